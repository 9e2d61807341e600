### Arabic. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = rtl
weekday = { $weekday ->
    [1] الاثنين
    [2] الثلاثاء
    [3] الأربعاء
    [4] الخميس
    [5] الجمعة
    [6] السبت
   *[7] الأحد
}
weekday-short = { $weekday ->
    [1] الاثنين
    [2] الثلاثاء
    [3] الأربعاء
    [4] الخميس
    [5] الجمعة
    [6] السبت
   *[7] الأحد
}
month = { $month ->
    [1] يناير
    [2] فبراير
    [3] مارس
    [4] أبريل
    [5] مايو
    [6] يونيو
    [7] يوليو
    [8] أغسطس
    [9] سبتمبر
    [10] أكتوبر
    [11] نوفمبر
   *[12] ديسمبر
}
month-short = { $month ->
    [1] يناير
    [2] فبراير
    [3] مارس
    [4] أبريل
    [5] مايو
    [6] يونيو
    [7] يوليو
    [8] أغسطس
    [9] سبتمبر
    [10] أكتوبر
    [11] نوفمبر
   *[12] ديسمبر
}
half-of-day = { $half ->
    [am] ص
   *[pm] م
}
date = { weekday }، { $day } { month } { $year }
date-short = { weekday-short }، { $day } { month-short }
time = { $hour-of-12 }:{ $minute }{ "\u00A0" }{ half-of-day }
time-range = { $start } – { $end }
date-range = { $start } – { $end }
date-and-time = { $date }، { $time }
time-and-zone = { $time } { $zone }

## Durations

days = { $count ->
    [zero] { $count } يوم
    [one] يوم واحد
    [two] يومين
    [few] { $count } أيام
    [many] { $count } يومًا
   *[other] { $count } يوم
}
hours = { $count ->
    [zero] { $count } ساعة
    [one] ساعة واحدة
    [two] ساعتين
    [few] { $count } ساعات
    [many] { $count } ساعة
   *[other] { $count } ساعة
}
minutes = { $count ->
    [zero] { $count } دقيقة
    [one] دقيقة واحدة
    [two] دقيقتين
    [few] { $count } دقائق
    [many] { $count } دقيقة
   *[other] { $count } دقيقة
}
two-durations = { $first } و{ $second }
starts-in = بعد { $duration }
starts-now = الآن

## The booking

your-booking = حجزك
labelled = { $label }: { $value }
when = الموعد
where = المكان
join = رابط الانضمام
when-here = { $when }، بتوقيتك المحلي
when-there = { $when }، بالتوقيت المحلي للطرف الآخر
clocks-change = سيبدأ التوقيت الصيفي أو ينتهي قبل ذلك الموعد.

## The reminder

reminder-subject = تذكير: { $service } { $starts-in }، { $when }
reminder-greeting = مرحبًا { $name }،
reminder-greeting-nameless = مرحبًا،
reminder-starts = يبدأ موعد { $service } { $starts-in }.
reminder-starts-with = يبدأ موعد { $service } مع { $person } { $starts-in }.
