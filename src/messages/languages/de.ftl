### German. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
weekday = { $weekday ->
    [1] Montag
    [2] Dienstag
    [3] Mittwoch
    [4] Donnerstag
    [5] Freitag
    [6] Samstag
   *[7] Sonntag
}
weekday-short = { $weekday ->
    [1] Mo.
    [2] Di.
    [3] Mi.
    [4] Do.
    [5] Fr.
    [6] Sa.
   *[7] So.
}
month = { $month ->
    [1] Januar
    [2] Februar
    [3] März
    [4] April
    [5] Mai
    [6] Juni
    [7] Juli
    [8] August
    [9] September
    [10] Oktober
    [11] November
   *[12] Dezember
}
month-short = { $month ->
    [1] Jan.
    [2] Feb.
    [3] März
    [4] Apr.
    [5] Mai
    [6] Juni
    [7] Juli
    [8] Aug.
    [9] Sept.
    [10] Okt.
    [11] Nov.
   *[12] Dez.
}
half-of-day = { $half ->
    [am] AM
   *[pm] PM
}
date = { weekday }, { $day }. { month } { $year }
date-short = { weekday-short }, { $day }. { month-short }
time = { $hour-padded }:{ $minute }
time-range = { $start }–{ $end }
date-range = { $start } – { $end }
date-and-time = { $date }, { $time }
time-and-zone = { $time } { $zone }

## Durations

days = { $count ->
    [one] { $count } Tag
   *[other] { $count } Tagen
}
hours = { $count ->
    [one] { $count } Stunde
   *[other] { $count } Stunden
}
minutes = { $count ->
    [one] { $count } Minute
   *[other] { $count } Minuten
}
two-durations = { $first } und { $second }
starts-in = in { $duration }
starts-now = jetzt

## The booking

your-booking = Ihre Buchung
labelled = { $label }: { $value }
when = Wann
where = Wo
join = Teilnehmen
when-here = { $when }, Ihre Ortszeit
when-there = { $when }, Ortszeit Ihres Gegenübers
clocks-change = Bis dahin werden die Uhren umgestellt.

## The reminder

reminder-subject = Erinnerung: { $service } { $starts-in }, { $when }
reminder-greeting = Guten Tag { $name },
reminder-greeting-nameless = Guten Tag,
reminder-starts = { $service } beginnt { $starts-in }.
reminder-starts-with = { $service } mit { $person } beginnt { $starts-in }.
