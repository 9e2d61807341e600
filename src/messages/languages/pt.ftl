### Portuguese. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
weekday = { $weekday ->
    [1] segunda-feira
    [2] terça-feira
    [3] quarta-feira
    [4] quinta-feira
    [5] sexta-feira
    [6] sábado
   *[7] domingo
}
weekday-short = { $weekday ->
    [1] seg.
    [2] ter.
    [3] qua.
    [4] qui.
    [5] sex.
    [6] sáb.
   *[7] dom.
}
month = { $month ->
    [1] janeiro
    [2] fevereiro
    [3] março
    [4] abril
    [5] maio
    [6] junho
    [7] julho
    [8] agosto
    [9] setembro
    [10] outubro
    [11] novembro
   *[12] dezembro
}
month-short = { $month ->
    [1] jan.
    [2] fev.
    [3] mar.
    [4] abr.
    [5] mai.
    [6] jun.
    [7] jul.
    [8] ago.
    [9] set.
    [10] out.
    [11] nov.
   *[12] dez.
}
half-of-day = { $half ->
    [am] AM
   *[pm] PM
}
date = { weekday }, { $day } de { month } de { $year }
date-short = { weekday-short }, { $day } de { month-short }
time = { $hour-padded }:{ $minute }
time-range = { $start } – { $end }
date-range = { $start } – { $end }
date-and-time = { $date }, { $time }
time-and-zone = { $time } { $zone }

## Durations

days = { $count ->
    [one] { $count } dia
   *[other] { $count } dias
}
hours = { $count ->
    [one] { $count } hora
   *[other] { $count } horas
}
minutes = { $count ->
    [one] { $count } minuto
   *[other] { $count } minutos
}
two-durations = { $first } e { $second }
starts-in = em { $duration }
starts-now = agora

## The booking

your-booking = Sua reserva
labelled = { $label }: { $value }
when = Quando
where = Onde
join = Participar
when-here = { $when }, no seu fuso horário
when-there = { $when }, horário local da outra pessoa
clocks-change = Até lá, começa ou termina o horário de verão.

## The reminder

reminder-subject = Lembrete: { $service } { $starts-in }, { $when }
reminder-greeting = Olá, { $name },
reminder-greeting-nameless = Olá,
reminder-starts = { $service } começa { $starts-in }.
reminder-starts-with = { $service } com { $person } começa { $starts-in }.
