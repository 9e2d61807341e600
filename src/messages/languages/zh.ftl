### Simplified Chinese. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
weekday = { $weekday ->
    [1] 星期一
    [2] 星期二
    [3] 星期三
    [4] 星期四
    [5] 星期五
    [6] 星期六
   *[7] 星期日
}
weekday-short = { $weekday ->
    [1] 周一
    [2] 周二
    [3] 周三
    [4] 周四
    [5] 周五
    [6] 周六
   *[7] 周日
}
month = { $month }月
month-short = { $month }月
half-of-day = { $half ->
    [am] 上午
   *[pm] 下午
}
date = { $year }年{ month }{ $day }日{ weekday }
date-short = { month-short }{ $day }日{ weekday-short }
time = { $hour-padded }:{ $minute }
time-range = { $start }–{ $end }
date-range = { $start } – { $end }
date-and-time = { $date } { $time }
time-and-zone = { $time } { $zone }

## Durations

days = { $count ->
   *[other] { $count }天
}
hours = { $count ->
   *[other] { $count }小时
}
minutes = { $count ->
   *[other] { $count }分钟
}
two-durations = { $first }{ $second }
starts-in = 将在{ $duration }后
starts-now = 现在

## The booking

your-booking = 您的预约
labelled = { $label }：{ $value }
when = 时间
where = 地点
join = 会议链接
when-here = 您所在时区：{ $when }
when-there = 对方所在时区：{ $when }
clocks-change = 在此之前会有夏令时调整。

## The reminder

reminder-subject = 提醒：{ $service }{ $starts-in }开始，{ $when }
reminder-greeting = { $name }，您好：
reminder-greeting-nameless = 您好：
reminder-starts = { $service }{ $starts-in }开始。
reminder-starts-with = { $service }（{ $person }）{ $starts-in }开始。
