### English in the United Kingdom: what differs from en.ftl.

## Dates and times

month-short = { $month ->
    [1] Jan
    [2] Feb
    [3] Mar
    [4] Apr
    [5] May
    [6] Jun
    [7] Jul
    [8] Aug
    [9] Sept
    [10] Oct
    [11] Nov
   *[12] Dec
}
date = { weekday }, { $day } { month } { $year }
date-short = { weekday-short } { $day } { month-short }
time = { $hour-padded }:{ $minute }
time-range = { $start }–{ $end }

## Cancelled

cancelled-subject = Booking cancelled: { $booking }, { $when }
cancelled-opening = { $by ->
    [you] You cancelled this booking.
    [customer] The customer cancelled this booking.
    [provider] The provider cancelled this booking.
    [business] We cancelled this booking.
   *[unknown] This booking was cancelled.
}

## What people choose

message-kind = { $kind ->
    [reminder] Reminders
    [confirmed] Booking confirmed
    [rescheduled] Booking moved
    [cancelled] Booking cancelled
    [expired] Booking expired
    [digest] Overview of a day
   *[follow-up] After a booking
}
language-name = English (United Kingdom)

## Whether they will come

booking-cancelled = Your booking is cancelled
cannot-cancel = This booking cannot be cancelled here
link-over-explained = The booking has begun, was cancelled or has changed.

## Currencies (scripts/currencies)

currency-sign = { $currency ->
    [AUD] A$
    [BRL] R$
    [CAD] CA$
    [CNY] CN¥
    [EUR] €
    [GBP] £
    [HKD] HK$
    [ILS] ₪
    [INR] ₹
    [JPY] JP¥
    [KRW] ₩
    [MXN] MX$
    [NZD] NZ$
    [PHP] ₱
    [TWD] NT$
    [USD] US$
    [VND] ₫
    [XAF] FCFA
    [XCD] EC$
    [XCG] Cg.
    [XOF] F CFA
    [XPF] CFPF
   *[other] { $currency }
}
