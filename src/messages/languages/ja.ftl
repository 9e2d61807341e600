### Japanese. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
weekday = { $weekday ->
    [1] 月曜日
    [2] 火曜日
    [3] 水曜日
    [4] 木曜日
    [5] 金曜日
    [6] 土曜日
   *[7] 日曜日
}
weekday-short = { $weekday ->
    [1] 月
    [2] 火
    [3] 水
    [4] 木
    [5] 金
    [6] 土
   *[7] 日
}
month = { $month }月
month-short = { $month }月
half-of-day = { $half ->
    [am] 午前
   *[pm] 午後
}
date = { $year }年{ month }{ $day }日{ weekday }
date-short = { month-short }{ $day }日({ weekday-short })
time = { $hour }:{ $minute }
time-range = { $start }～{ $end }
date-range = { $start } ～ { $end }
date-and-time = { $date } { $time }
time-and-zone = { $time } { $zone }

## Durations

days = { $count ->
   *[other] { $count }日
}
hours = { $count ->
   *[other] { $count }時間
}
minutes = { $count ->
   *[other] { $count }分
}
two-durations = { $first }{ $second }
starts-in = { $duration }後
starts-now = まもなく

## The booking

your-booking = ご予約
labelled = { $label }：{ $value }
when = 日時
where = 場所
join = 参加リンク
when-here = お使いのタイムゾーン：{ $when }
when-there = 相手側の現地時間：{ $when }
clocks-change = それまでに夏時間の切り替えがあります。

## The reminder

reminder-subject = リマインダー：{ $service }（{ $starts-in }）{ $when }
reminder-greeting = { $name } 様
reminder-greeting-nameless = いつもご利用いただきありがとうございます。
reminder-starts = { $service }の開始は{ $starts-in }です。
reminder-starts-with = { $service }（{ $person } 様）の開始は{ $starts-in }です。
