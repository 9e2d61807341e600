### Polish. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
weekday = { $weekday ->
    [1] poniedziałek
    [2] wtorek
    [3] środa
    [4] czwartek
    [5] piątek
    [6] sobota
   *[7] niedziela
}
weekday-short = { $weekday ->
    [1] pon.
    [2] wt.
    [3] śr.
    [4] czw.
    [5] pt.
    [6] sob.
   *[7] niedz.
}
month = { $month ->
    [1] stycznia
    [2] lutego
    [3] marca
    [4] kwietnia
    [5] maja
    [6] czerwca
    [7] lipca
    [8] sierpnia
    [9] września
    [10] października
    [11] listopada
   *[12] grudnia
}
month-short = { $month ->
    [1] sty
    [2] lut
    [3] mar
    [4] kwi
    [5] maj
    [6] cze
    [7] lip
    [8] sie
    [9] wrz
    [10] paź
    [11] lis
   *[12] gru
}
half-of-day = { $half ->
    [am] AM
   *[pm] PM
}
date = { weekday }, { $day } { month } { $year }
date-short = { weekday-short }, { $day } { month-short }
time = { $hour-padded }:{ $minute }
time-range = { $start }–{ $end }
date-range = { $start } – { $end }
date-and-time = { $date }, { $time }
time-and-zone = { $time } { $zone }

## Durations

days = { $count ->
    [one] { $count } dzień
    [few] { $count } dni
    [many] { $count } dni
   *[other] { $count } dnia
}
hours = { $count ->
    [one] { $count } godzinę
    [few] { $count } godziny
    [many] { $count } godzin
   *[other] { $count } godziny
}
minutes = { $count ->
    [one] { $count } minutę
    [few] { $count } minuty
    [many] { $count } minut
   *[other] { $count } minuty
}
two-durations = { $first } i { $second }
starts-in = za { $duration }
starts-now = teraz

## The booking

your-booking = Twoja rezerwacja
labelled = { $label }: { $value }
when = Kiedy
where = Gdzie
join = Dołącz
when-here = { $when }, w Twojej strefie czasowej
when-there = { $when }, czas lokalny drugiej osoby
clocks-change = Przed tym terminem nastąpi zmiana czasu.

## The reminder

reminder-subject = Przypomnienie: { $service } { $starts-in }, { $when }
reminder-greeting = Dzień dobry, { $name }!
reminder-greeting-nameless = Dzień dobry!
reminder-starts = { $service } zaczyna się { $starts-in }.
reminder-starts-with = { $service } ({ $person }) zaczyna się { $starts-in }.
