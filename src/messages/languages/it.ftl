### Italian. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
weekday = { $weekday ->
    [1] lunedì
    [2] martedì
    [3] mercoledì
    [4] giovedì
    [5] venerdì
    [6] sabato
   *[7] domenica
}
weekday-short = { $weekday ->
    [1] lun
    [2] mar
    [3] mer
    [4] gio
    [5] ven
    [6] sab
   *[7] dom
}
month = { $month ->
    [1] gennaio
    [2] febbraio
    [3] marzo
    [4] aprile
    [5] maggio
    [6] giugno
    [7] luglio
    [8] agosto
    [9] settembre
    [10] ottobre
    [11] novembre
   *[12] dicembre
}
month-short = { $month ->
    [1] gen
    [2] feb
    [3] mar
    [4] apr
    [5] mag
    [6] giu
    [7] lug
    [8] ago
    [9] set
    [10] ott
    [11] nov
   *[12] dic
}
half-of-day = { $half ->
    [am] AM
   *[pm] PM
}
date = { weekday } { $day } { month } { $year }
date-short = { weekday-short } { $day } { month-short }
time = { $hour-padded }:{ $minute }
time-range = { $start }–{ $end }
date-range = { $start } – { $end }
date-and-time = { $date }, { $time }
time-and-zone = { $time } { $zone }

## Durations

days = { $count ->
    [one] { $count } giorno
   *[other] { $count } giorni
}
hours = { $count ->
    [one] { $count } ora
   *[other] { $count } ore
}
minutes = { $count ->
    [one] { $count } minuto
   *[other] { $count } minuti
}
two-durations = { $first } e { $second }
starts-in = tra { $duration }
starts-now = adesso

## The booking

your-booking = La Sua prenotazione
labelled = { $label }: { $value }
when = Quando
where = Dove
join = Link
when-here = { $when }, nel Suo fuso orario
when-there = { $when }, ora locale dell’altra persona
clocks-change = Prima di allora inizia o termina l’ora legale.

## The reminder

reminder-subject = Promemoria: { $service } { $starts-in }, { $when }
reminder-greeting = Gentile { $name },
reminder-greeting-nameless = Buongiorno,
reminder-starts = { $service } inizia { $starts-in }.
reminder-starts-with = { $service } con { $person } inizia { $starts-in }.
