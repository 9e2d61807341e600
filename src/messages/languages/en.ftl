### English. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
sms-alphabet = gsm-7
weekday = { $weekday ->
    [1] Monday
    [2] Tuesday
    [3] Wednesday
    [4] Thursday
    [5] Friday
    [6] Saturday
   *[7] Sunday
}
weekday-short = { $weekday ->
    [1] Mon
    [2] Tue
    [3] Wed
    [4] Thu
    [5] Fri
    [6] Sat
   *[7] Sun
}
month = { $month ->
    [1] January
    [2] February
    [3] March
    [4] April
    [5] May
    [6] June
    [7] July
    [8] August
    [9] September
    [10] October
    [11] November
   *[12] December
}
month-short = { $month ->
    [1] Jan
    [2] Feb
    [3] Mar
    [4] Apr
    [5] May
    [6] Jun
    [7] Jul
    [8] Aug
    [9] Sep
    [10] Oct
    [11] Nov
   *[12] Dec
}
half-of-day = { $half ->
    [am] AM
   *[pm] PM
}
date = { weekday }, { month } { $day }, { $year }
date-short = { weekday-short }, { month-short } { $day }
date-sms = { date-short }
time = { $hour-of-12 }:{ $minute }{ "\u00A0" }{ half-of-day }
time-range = { $start } – { $end }
date-range = { $start } – { $end }
date-and-time = { $date }, { $time }
time-and-zone = { $time } { $zone }

## Durations

days = { $count ->
    [one] { $count } day
   *[other] { $count } days
}
hours = { $count ->
    [one] { $count } hour
   *[other] { $count } hours
}
minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
days-sms = { days }
hours-sms = { hours }
minutes-sms = { minutes }
two-durations = { $first } { $second }
starts-in = in { $duration }
starts-now = now

## Money

decimal-separator = .
group-separator = ,
grouped-from = 4
money = { $sign }{ $amount }
money-in-letters = { $sign }{ "\u00A0" }{ $amount }
percent = { $number }%
refund-full = The full price of { $total } will be refunded.
refund-part = { $amount } of { $total } will be refunded.
refund-percentage = { $percent } of the price will be refunded.
refund-none = Nothing will be refunded.

## The booking

your-booking = Your booking
booking-with = { $service } with { $person }
greeting = Hello { $name },
greeting-nameless = Hello,
service = Service
with = With
before = Before
labelled = { $label }: { $value }
when = When
where = Where
join = Join
when-here = { $when }, your local time
when-there = { $when }, local time at the other end
time-zones = Time zone
clocks-change = The clocks change before then.

## The reminder

reminder-subject = Reminder: { $service } { $starts-in }, { $when }
reminder-opening = { $booking } starts { $starts-in }.
reminder-short = Reminder: { $booking } { $starts-in }, { $when }

## The reminder of several bookings of a day

grouped-reminder-subject = { $count ->
    [one] Reminder: 1 booking on { $day }
   *[other] Reminder: { $count } bookings on { $day }
}
grouped-reminder-opening = { $count ->
    [one] This is a reminder of your booking on { $day }.
   *[other] This is a reminder of your { $count } bookings on { $day }.
}
grouped-reminder-short = { grouped-reminder-subject }; first: { $first }, { $booking }

## Confirmed

confirmed-subject = Booking confirmed: { $booking }, { $when }
confirmed-opening = { $audience ->
    [provider] The following booking is confirmed.
   *[customer] Your booking is confirmed.
}
confirmed-short = { confirmed-subject }

## Rescheduled

rescheduled-subject = Booking moved: { $booking }, now { $when }
rescheduled-opening = { $audience ->
    [provider] The following booking has been moved to a new time.
   *[customer] Your booking has been moved to a new time.
}
rescheduled-short = { rescheduled-subject }

## Cancelled

cancelled-subject = Booking canceled: { $booking }, { $when }
cancelled-opening = { $by ->
    [you] You canceled this booking.
    [customer] The customer canceled this booking.
    [provider] The provider canceled this booking.
    [business] We canceled this booking.
   *[unknown] This booking was canceled.
}
cancelled-short = { cancelled-subject }

## Expired

expired-subject = Booking expired: { $booking }, { $when }
expired-opening = This booking has expired because its time has passed.
expired-short = { expired-subject }

## Follow-up

follow-up-subject = { $audience ->
    [provider] Booking completed: { $booking }, { $when }
   *[customer] Thank you for your booking: { $booking }, { $when }
}
follow-up-opening = { $audience ->
    [provider] The following booking has been completed.
   *[customer] Thank you for your booking. We hope to see you again soon.
}
follow-up-short = { follow-up-subject }

## The digest of a day

digest-subject = { $count ->
    [one] 1 booking on { $day }
   *[other] { $count } bookings on { $day }
}
digest-opening = { $count ->
    [one] You have one booking on { $day }.
   *[other] You have { $count } bookings on { $day }.
}
digest-more = { $count ->
    [one] One more booking is not listed here.
   *[other] { $count } more bookings are not listed here.
}
digest-short = { digest-subject }; first: { $first }, { $booking }

## What people choose

choose-messages = Choose which messages you get
your-messages = Your messages
messages-explained = Choose which messages about your bookings you want to get by e-mail.
message-kind = { $kind ->
    [reminder] Reminders
    [confirmed] Booking confirmed
    [rescheduled] Booking moved
    [cancelled] Booking canceled
    [expired] Booking expired
    [digest] Overview of a day
   *[follow-up] After a booking
}
unsubscribe-from = Unsubscribe: { $kind }
unsubscribed-from = You will no longer get these messages: { $kind }
choices-saved = Your choices are saved.
save = Save
language = Language
language-name = English
link-broken = This link does not work
link-broken-explained = It may be incomplete or too old. Please use the link in a newer message.
page-unavailable = That did not work
page-unavailable-explained = Nothing was changed. Please try again in a minute.

## Whether they will come

attend = I’ll be there
cannot-attend = I can’t come
attendance-question = Will you be there?
# The same in an SMS that can be answered. C and N stay as they are.
attendance-question-sms = Reply C if you will come, N if you cannot.
attendance-saved = Thank you. See you then!
cancel-question = Cancel this booking?
cancel-booking = Cancel the booking
cancel-booking-sms = { cancel-booking }
booking-cancelled = Your booking is canceled
cannot-cancel = This booking cannot be canceled here
cannot-cancel-explained = Please contact us.
contact-sms = { cannot-cancel-explained }
terms-changed = The time or the refund has changed. Please look at it again.
link-over = This link is no longer valid
link-over-explained = The booking has begun, was canceled or has changed.

## Time zones (scripts/zones)

zone-name = { $zone ->
    [Acre-standard] Acre Standard Time
    [Afghanistan] Afghanistan Time
    [Africa_Central] Central Africa Time
    [Africa_Eastern] East Africa Time
    [Africa_Southern] South Africa Standard Time
    [Africa_Western] West Africa Time
    [Alaska] Alaska Time
    [Amazon-standard] Amazon Standard Time
    [America_Central] Central Time
    [America_Central-standard] Central Standard Time
    [America_Eastern] Eastern Time
    [America_Eastern-standard] Eastern Standard Time
    [America_Mountain] Mountain Time
    [America_Mountain-standard] Mountain Standard Time
    [America_Pacific] Pacific Time
    [Apia-standard] West Samoa Standard Time
    [Arabian-standard] Arabian Standard Time
    [Argentina-standard] Argentina Standard Time
    [Armenia-standard] Armenia Standard Time
    [Atlantic] Atlantic Time
    [Atlantic-standard] Atlantic Standard Time
    [Australia_Central] Australian Central Time
    [Australia_Central-standard] Australian Central Standard Time
    [Australia_CentralWestern-standard] Australian Central Western Standard Time
    [Australia_Eastern] Australian Eastern Time
    [Australia_Eastern-standard] Australian Eastern Standard Time
    [Australia_Western-standard] Australian Western Standard Time
    [Azerbaijan-standard] Azerbaijan Standard Time
    [Azores] Azores Time
    [Bangladesh-standard] Bangladesh Standard Time
    [Bhutan] Bhutan Time
    [Bolivia] Bolivia Time
    [Brasilia-standard] Brasilia Standard Time
    [British] British Time
    [Brunei] Brunei Time
    [Cape_Verde-standard] Cape Verde Standard Time
    [Chamorro] Chamorro Standard Time
    [Chatham] Chatham Time
    [Chile] Chile Time
    [Chile-standard] Chile Standard Time
    [China-standard] China Standard Time
    [Christmas] Christmas Island Time
    [Cocos] Cocos Islands Time
    [Colombia-standard] Colombia Standard Time
    [Cook-standard] Cook Islands Standard Time
    [Cuba] Cuba Time
    [Davis] Davis Time
    [DumontDUrville] Dumont d’Urville Time
    [East_Timor] Timor-Leste Time
    [Easter] Easter Island Time
    [Ecuador] Ecuador Time
    [Europe_Central] Central European Time
    [Europe_Central-standard] Central European Standard Time
    [Europe_Eastern] Eastern European Time
    [Europe_Eastern-standard] Eastern European Standard Time
    [Europe_Western] Western European Time
    [Falkland-standard] Falkland Islands Standard Time
    [Fiji-standard] Fiji Standard Time
    [French_Guiana] French Guiana Time
    [French_Southern] French Southern Territories Time
    [GMT] Greenwich Mean Time
    [Galapagos] Galapagos Time
    [Gambier] Gambier Time
    [Georgia-standard] Georgia Standard Time
    [Gilbert_Islands] Gilbert Islands Time
    [Greenland] Greenland Time
    [Gulf] Gulf Standard Time
    [Guyana] Guyana Time
    [Hawaii] Hawaii Time
    [Hawaii_Aleutian] Hawaii-Aleutian Time
    [Hong_Kong-standard] Hong Kong Standard Time
    [Hovd-standard] Khovd Standard Time
    [India] India Standard Time
    [Indian_Ocean] Indian Ocean Time
    [Indochina] Indochina Time
    [Indonesia_Central] Central Indonesia Time
    [Indonesia_Eastern] Eastern Indonesia Time
    [Indonesia_Western] Western Indonesia Time
    [Iran-standard] Iran Standard Time
    [Irish] Irish Time
    [Irkutsk-standard] Irkutsk Standard Time
    [Israel] Israel Time
    [Japan-standard] Japan Standard Time
    [Kamchatka-standard] Kamchatka Standard Time
    [Kazakhstan] Kazakhstan Time
    [Korea-standard] Korean Standard Time
    [Kosrae] Kosrae Time
    [Krasnoyarsk-standard] Krasnoyarsk Standard Time
    [Kyrgystan] Kyrgyzstan Time
    [Line_Islands] Line Islands Time
    [Lord_Howe] Lord Howe Time
    [Magadan-standard] Magadan Standard Time
    [Malaysia] Malaysia Time
    [Maldives] Maldives Time
    [Marquesas] Marquesas Time
    [Marshall_Islands] Marshall Islands Time
    [Mauritius-standard] Mauritius Standard Time
    [Mawson] Mawson Time
    [Mexico_Pacific-standard] Mexican Pacific Standard Time
    [Mongolia-standard] Ulaanbaatar Standard Time
    [Moscow-standard] Moscow Standard Time
    [Myanmar] Myanmar Time
    [Nauru] Nauru Time
    [Nepal] Nepal Time
    [New_Caledonia-standard] New Caledonia Standard Time
    [New_Zealand] New Zealand Time
    [Newfoundland] Newfoundland Time
    [Niue] Niue Time
    [Norfolk] Norfolk Island Time
    [Noronha-standard] Fernando de Noronha Standard Time
    [Omsk-standard] Omsk Standard Time
    [Pakistan-standard] Pakistan Standard Time
    [Palau] Palau Time
    [Papua_New_Guinea] Papua New Guinea Time
    [Paraguay-standard] Paraguay Standard Time
    [Peru-standard] Peru Standard Time
    [Philippines-standard] Philippine Standard Time
    [Phoenix_Islands] Phoenix Islands Time
    [Pierre_Miquelon] St. Pierre & Miquelon Time
    [Pitcairn] Pitcairn Time
    [Ponape] Pohnpei Time
    [Reunion] Réunion Time
    [Rothera] Rothera Time
    [Samara-standard] Samara Standard Time
    [Samoa] American Samoa Time
    [Seychelles] Seychelles Time
    [Singapore] Singapore Standard Time
    [Solomon] Solomon Islands Time
    [South_Georgia] South Georgia Time
    [Suriname] Suriname Time
    [Syowa] Syowa Time
    [Tahiti] Tahiti Time
    [Taipei-standard] Taiwan Standard Time
    [Tajikistan] Tajikistan Time
    [Tokelau] Tokelau Time
    [Tonga-standard] Tonga Standard Time
    [Truk] Chuuk Time
    [Turkey-standard] Türkiye Standard Time
    [Turkmenistan-standard] Turkmenistan Standard Time
    [Tuvalu] Tuvalu Time
    [Uruguay-standard] Uruguay Standard Time
    [Urumqi] Ürümqi Time
    [Uzbekistan-standard] Uzbekistan Standard Time
    [Vanuatu-standard] Vanuatu Standard Time
    [Venezuela] Venezuela Time
    [Vladivostok-standard] Vladivostok Standard Time
    [Vostok] Vostok Time
    [Wake] Wake Island Time
    [Wallis] Wallis & Futuna Time
    [Yakutsk-standard] Yakutsk Standard Time
    [Yekaterinburg-standard] Yekaterinburg Standard Time
    [Yukon] Yukon Time
   *[other] UTC
}

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
    [JPY] ¥
    [KRW] ₩
    [MXN] MX$
    [NZD] NZ$
    [PHP] ₱
    [TWD] NT$
    [USD] $
    [VND] ₫
    [XAF] FCFA
    [XCD] EC$
    [XCG] Cg.
    [XOF] F CFA
    [XPF] CFPF
   *[other] { $currency }
}
