### Spanish. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
weekday = { $weekday ->
    [1] lunes
    [2] martes
    [3] miércoles
    [4] jueves
    [5] viernes
    [6] sábado
   *[7] domingo
}
weekday-short = { $weekday ->
    [1] lun
    [2] mar
    [3] mié
    [4] jue
    [5] vie
    [6] sáb
   *[7] dom
}
month = { $month ->
    [1] enero
    [2] febrero
    [3] marzo
    [4] abril
    [5] mayo
    [6] junio
    [7] julio
    [8] agosto
    [9] septiembre
    [10] octubre
    [11] noviembre
   *[12] diciembre
}
month-short = { $month ->
    [1] ene
    [2] feb
    [3] mar
    [4] abr
    [5] may
    [6] jun
    [7] jul
    [8] ago
    [9] sept
    [10] oct
    [11] nov
   *[12] dic
}
half-of-day = { $half ->
    [am] a.{ "\u00A0" }m.
   *[pm] p.{ "\u00A0" }m.
}
date = { weekday }, { $day } de { month } de { $year }
date-short = { weekday-short }, { $day } { month-short }
time = { $hour }:{ $minute }
time-range = { $start }–{ $end }
date-range = { $start } – { $end }
date-and-time = { $date }, { $time }
time-and-zone = { $time } { $zone }

## Durations

days = { $count ->
    [one] { $count } día
   *[other] { $count } días
}
hours = { $count ->
    [one] { $count } hora
   *[other] { $count } horas
}
minutes = { $count ->
    [one] { $count } minuto
   *[other] { $count } minutos
}
two-durations = { $first } y { $second }
starts-in = dentro de { $duration }
starts-now = ahora

## The booking

your-booking = Su reserva
labelled = { $label }: { $value }
when = Cuándo
where = Dónde
join = Unirse
when-here = { $when }, en su zona horaria
when-there = { $when }, hora local de la otra persona
clocks-change = Antes de ese momento empieza o termina el horario de verano.

## The reminder

reminder-subject = Recordatorio: { $service } { $starts-in }, { $when }
reminder-greeting = Hola, { $name }:
reminder-greeting-nameless = Hola:
reminder-starts = { $service } empieza { $starts-in }.
reminder-starts-with = { $service } con { $person } empieza { $starts-in }.
