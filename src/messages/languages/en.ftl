### English. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
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
two-durations = { $first } { $second }
starts-in = in { $duration }
starts-now = now

## The booking

your-booking = Your booking
labelled = { $label }: { $value }
when = When
where = Where
join = Join
when-here = { $when }, your local time
when-there = { $when }, local time at the other end
clocks-change = The clocks change before then.

## The reminder

reminder-subject = Reminder: { $service } { $starts-in }, { $when }
reminder-greeting = Hello { $name },
reminder-greeting-nameless = Hello,
reminder-starts = { $service } starts { $starts-in }.
reminder-starts-with = { $service } with { $person } starts { $starts-in }.
