### French. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
weekday = { $weekday ->
    [1] lundi
    [2] mardi
    [3] mercredi
    [4] jeudi
    [5] vendredi
    [6] samedi
   *[7] dimanche
}
weekday-short = { $weekday ->
    [1] lun.
    [2] mar.
    [3] mer.
    [4] jeu.
    [5] ven.
    [6] sam.
   *[7] dim.
}
month = { $month ->
    [1] janvier
    [2] février
    [3] mars
    [4] avril
    [5] mai
    [6] juin
    [7] juillet
    [8] août
    [9] septembre
    [10] octobre
    [11] novembre
   *[12] décembre
}
month-short = { $month ->
    [1] janv.
    [2] févr.
    [3] mars
    [4] avr.
    [5] mai
    [6] juin
    [7] juil.
    [8] août
    [9] sept.
    [10] oct.
    [11] nov.
   *[12] déc.
}
half-of-day = { $half ->
    [am] AM
   *[pm] PM
}
date = { weekday } { $day } { month } { $year }
date-short = { weekday-short } { $day } { month-short }
time = { $hour-padded }:{ $minute }
time-range = { $start } – { $end }
date-range = { $start } – { $end }
date-and-time = { $date }, { $time }
time-and-zone = { $time } { $zone }

## Durations

days = { $count ->
    [one] { $count } jour
   *[other] { $count } jours
}
hours = { $count ->
    [one] { $count } heure
   *[other] { $count } heures
}
minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
two-durations = { $first } et { $second }
starts-in = dans { $duration }
starts-now = maintenant

## The booking

your-booking = Votre réservation
labelled = { $label }{ "\u00A0" }: { $value }
when = Quand
where = Où
join = Participer
when-here = { $when }, dans votre fuseau horaire
when-there = { $when }, heure locale de l’autre personne
clocks-change = Le changement d’heure aura lieu d’ici là.

## The reminder

reminder-subject = Rappel{ "\u00A0" }: { $service } { $starts-in }, { $when }
reminder-greeting = Bonjour { $name },
reminder-greeting-nameless = Bonjour,
reminder-starts = { $service } commence { $starts-in }.
reminder-starts-with = { $service } avec { $person } commence { $starts-in }.
