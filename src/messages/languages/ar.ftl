### Arabic. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = rtl
sms-alphabet = ucs-2
weekday = { $weekday ->
    [1] الاثنين
    [2] الثلاثاء
    [3] الأربعاء
    [4] الخميس
    [5] الجمعة
    [6] السبت
   *[7] الأحد
}
weekday-short = { weekday }
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
month-short = { month }
half-of-day = { $half ->
    [am] ص
   *[pm] م
}
date = { weekday }، { $day } { month } { $year }
date-short = { weekday-short }، { $day } { month-short }
date-sms = { date-short }
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
days-sms = { days }
hours-sms = { hours }
minutes-sms = { minutes }
two-durations = { $first } و{ $second }
starts-in = بعد { $duration }
starts-now = الآن

## Money

decimal-separator = .
group-separator = ,
grouped-from = 4
money = { "\u200F" }{ $amount }{ "\u00A0" }{ $sign }
money-in-letters = { money }
percent = { $number }%
refund-full = سيُعاد المبلغ الكامل وقدره { $total }.
refund-part = سيُعاد مبلغ { $amount } من أصل { $total }.
refund-percentage = سيُعاد { $percent } من السعر.
refund-none = لن يُعاد أي مبلغ.

## The booking

your-booking = حجزك
booking-with = { $service } مع { $person }
greeting = مرحبًا { $name }،
greeting-nameless = مرحبًا،
service = الخدمة
with = مع
before = الموعد السابق
labelled = { $label }: { $value }
when = الموعد
where = المكان
join = رابط الانضمام
when-here = { $when }، بتوقيتك المحلي
when-there = { $when }، بالتوقيت المحلي للطرف الآخر
time-zones = المنطقة الزمنية
clocks-change = سيبدأ التوقيت الصيفي أو ينتهي قبل ذلك الموعد.

## The reminder

reminder-subject = تذكير: { $service } { $starts-in }، { $when }
reminder-opening = يبدأ موعد { $booking } { $starts-in }.
reminder-short = تذكير: { $booking } { $starts-in }، { $when }

## The reminder of several bookings of a day

grouped-reminder-subject = { $count ->
    [zero] تذكير: { $count } حجز يوم { $day }
    [one] تذكير: حجز واحد يوم { $day }
    [two] تذكير: حجزان يوم { $day }
    [few] تذكير: { $count } حجوزات يوم { $day }
    [many] تذكير: { $count } حجزًا يوم { $day }
   *[other] تذكير: { $count } حجز يوم { $day }
}
grouped-reminder-opening = { $count ->
    [zero] نذكّرك بأن لديك { $count } حجز في هذا اليوم: { $day }.
    [one] نذكّرك بأن لديك حجزًا واحدًا في هذا اليوم: { $day }.
    [two] نذكّرك بأن لديك حجزين في هذا اليوم: { $day }.
    [few] نذكّرك بأن لديك { $count } حجوزات في هذا اليوم: { $day }.
    [many] نذكّرك بأن لديك { $count } حجزًا في هذا اليوم: { $day }.
   *[other] نذكّرك بأن لديك { $count } حجز في هذا اليوم: { $day }.
}
grouped-reminder-short = { grouped-reminder-subject }؛ الأول: { $first }، { $booking }

## Confirmed

confirmed-subject = تأكيد الحجز: { $booking }، { $when }
confirmed-opening = { $audience ->
    [provider] تم تأكيد الحجز التالي.
   *[customer] تم تأكيد حجزك.
}
confirmed-short = { confirmed-subject }

## Rescheduled

rescheduled-subject = تغيير موعد الحجز: { $booking }، الموعد الجديد: { $when }
rescheduled-opening = { $audience ->
    [provider] تم تغيير موعد الحجز التالي.
   *[customer] تم تغيير موعد حجزك.
}
rescheduled-short = { rescheduled-subject }

## Cancelled

cancelled-subject = إلغاء الحجز: { $booking }، { $when }
cancelled-opening = { $by ->
    [you] تم إلغاء هذا الحجز من قِبلك.
    [customer] تم إلغاء هذا الحجز من قِبل العميل.
    [provider] تم إلغاء هذا الحجز من قِبل مقدّم الخدمة.
    [business] لقد ألغينا هذا الحجز.
   *[unknown] تم إلغاء هذا الحجز.
}
cancelled-short = { cancelled-subject }

## Expired

expired-subject = انتهاء صلاحية الحجز: { $booking }، { $when }
expired-opening = انتهت صلاحية هذا الحجز لأن موعده قد مضى.
expired-short = { expired-subject }

## Follow-up

follow-up-subject = { $audience ->
    [provider] اكتمال الحجز: { $booking }، { $when }
   *[customer] شكرًا على حجزك: { $booking }، { $when }
}
follow-up-opening = { $audience ->
    [provider] اكتمل الحجز التالي.
   *[customer] شكرًا على حجزك. نأمل أن نراك مرة أخرى قريبًا.
}
follow-up-short = { follow-up-subject }

## The digest of a day

digest-subject = { $count ->
    [zero] { $count } حجز: { $day }
    [one] حجز واحد: { $day }
    [two] حجزان: { $day }
    [few] { $count } حجوزات: { $day }
    [many] { $count } حجزًا: { $day }
   *[other] { $count } حجز: { $day }
}
digest-opening = { $count ->
    [zero] لديك { $count } حجز في هذا اليوم: { $day }.
    [one] لديك حجز واحد في هذا اليوم: { $day }.
    [two] لديك حجزان في هذا اليوم: { $day }.
    [few] لديك { $count } حجوزات في هذا اليوم: { $day }.
    [many] لديك { $count } حجزًا في هذا اليوم: { $day }.
   *[other] لديك { $count } حجز في هذا اليوم: { $day }.
}
digest-more = { $count ->
    [zero] هناك { $count } حجز آخر غير مدرج في هذه القائمة.
    [one] هناك حجز آخر غير مدرج في هذه القائمة.
    [two] هناك حجزان آخران غير مدرجين في هذه القائمة.
    [few] هناك { $count } حجوزات أخرى غير مدرجة في هذه القائمة.
    [many] هناك { $count } حجزًا آخر غير مدرج في هذه القائمة.
   *[other] هناك { $count } حجز آخر غير مدرج في هذه القائمة.
}
digest-short = { digest-subject }؛ الأول: { $first }، { $booking }

## What people choose

choose-messages = اختيار الرسائل التي تصلك
your-messages = رسائلك
messages-explained = يمكنك هنا اختيار رسائل حجوزاتك التي تصلك عبر البريد الإلكتروني.
message-kind = { $kind ->
    [reminder] رسائل التذكير
    [confirmed] تأكيد الحجز
    [rescheduled] تغيير موعد الحجز
    [cancelled] إلغاء الحجز
    [expired] انتهاء صلاحية الحجز
    [digest] ملخص الحجوزات اليومي
   *[follow-up] بعد موعد الحجز
}
unsubscribe-from = إلغاء الاشتراك: { $kind }
unsubscribed-from = لن تصلك هذه الرسائل بعد الآن: { $kind }
choices-saved = تم حفظ اختياراتك.
save = حفظ
language = اللغة
language-name = العربية
link-broken = هذا الرابط لا يعمل
link-broken-explained = قد يكون الرابط غير مكتمل أو قديمًا جدًا. يُرجى استخدام الرابط الموجود في رسالة أحدث.
page-unavailable = لم تنجح العملية
page-unavailable-explained = لم يتغير أي شيء. يُرجى المحاولة مرة أخرى بعد دقيقة.

## Whether they will come

attend = سأحضر
cannot-attend = لا يمكنني الحضور
attendance-question = هل يمكنك الحضور؟
# The same in an SMS that can be answered. C and N stay as they are.
attendance-question-sms = أجب بالحرف C إن كنت ستحضر، وبالحرف N إن تعذّر حضورك.
attendance-saved = شكرًا لك. نراك في الموعد!
cancel-question = إلغاء هذا الحجز؟
cancel-booking = إلغاء الحجز
cancel-booking-sms = { cancel-booking }
booking-cancelled = تم إلغاء حجزك
cannot-cancel = لا يمكن إلغاء هذا الحجز هنا
cannot-cancel-explained = يُرجى التواصل معنا.
contact-sms = { cannot-cancel-explained }
terms-changed = تغيّر الموعد أو المبلغ المسترد. يُرجى التحقق مرة أخرى.
link-over = لم يعد هذا الرابط صالحًا
link-over-explained = بدأ موعد الحجز، أو أُلغي الحجز أو تغيّر.

## Time zones (scripts/zones)

zone-name = { $zone ->
    [Acre-standard] توقيت أكري الرسمي
    [Afghanistan] توقيت أفغانستان
    [Africa_Central] توقيت وسط أفريقيا
    [Africa_Eastern] توقيت شرق أفريقيا
    [Africa_Southern] توقيت جنوب أفريقيا
    [Africa_Western] توقيت غرب أفريقيا
    [Alaska] توقيت ألاسكا
    [Amazon-standard] توقيت الأمازون الرسمي
    [America_Central] التوقيت المركزي لأمريكا الشمالية
    [America_Central-standard] التوقيت الرسمي المركزي لأمريكا الشمالية
    [America_Eastern] التوقيت الشرقي لأمريكا الشمالية
    [America_Eastern-standard] التوقيت الرسمي الشرقي لأمريكا الشمالية
    [America_Mountain] التوقيت الجبلي لأمريكا الشمالية
    [America_Mountain-standard] التوقيت الجبلي الرسمي لأمريكا الشمالية
    [America_Pacific] توقيت المحيط الهادي
    [Apia-standard] توقيت ساموا الغربية الرسمي
    [Arabian-standard] التوقيت العربي الرسمي
    [Argentina-standard] توقيت الأرجنتين الرسمي
    [Armenia-standard] توقيت أرمينيا الرسمي
    [Atlantic] توقيت الأطلسي
    [Atlantic-standard] التوقيت الرسمي الأطلسي
    [Australia_Central] توقيت وسط أستراليا
    [Australia_Central-standard] توقيت وسط أستراليا الرسمي
    [Australia_CentralWestern-standard] توقيت غرب وسط أستراليا الرسمي
    [Australia_Eastern] توقيت شرق أستراليا
    [Australia_Eastern-standard] توقيت شرق أستراليا الرسمي
    [Australia_Western-standard] توقيت غرب أستراليا الرسمي
    [Azerbaijan-standard] توقيت أذربيجان الرسمي
    [Azores] توقيت أزورس
    [Bangladesh-standard] توقيت بنغلاديش الرسمي
    [Bhutan] توقيت بوتان
    [Bolivia] توقيت بوليفيا
    [Brasilia-standard] توقيت برازيليا الرسمي
    [British] توقيت بريطانيا
    [Brunei] توقيت بروناي
    [Cape_Verde-standard] توقيت الرأس الأخضر الرسمي
    [Chamorro] توقيت تشامورو
    [Chatham] توقيت تشاتام
    [Chile] توقيت تشيلي
    [Chile-standard] توقيت تشيلي الرسمي
    [China-standard] توقيت الصين الرسمي
    [Christmas] توقيت جزر الكريسماس
    [Cocos] توقيت جزر كوكوس
    [Colombia-standard] توقيت كولومبيا الرسمي
    [Cook-standard] توقيت جزر كوك الرسمي
    [Cuba] توقيت كوبا
    [Davis] توقيت دافيز
    [DumontDUrville] توقيت دي مونت دو روفيل
    [East_Timor] توقيت تيمور الشرقية
    [Easter] توقيت جزيرة استر
    [Ecuador] توقيت الإكوادور
    [Europe_Central] توقيت وسط أوروبا
    [Europe_Central-standard] توقيت وسط أوروبا الرسمي
    [Europe_Eastern] توقيت شرق أوروبا
    [Europe_Eastern-standard] توقيت شرق أوروبا الرسمي
    [Europe_Western] توقيت غرب أوروبا
    [Falkland-standard] توقيت جزر فوكلاند الرسمي
    [Fiji-standard] توقيت فيجي الرسمي
    [French_Guiana] توقيت غويانا الفرنسية
    [French_Southern] توقيت المقاطعات الفرنسية الجنوبية والأنتارتيكية
    [GMT] توقيت غرينتش
    [Galapagos] توقيت غلاباغوس
    [Gambier] توقيت جامبير
    [Georgia-standard] توقيت جورجيا الرسمي
    [Gilbert_Islands] توقيت جزر جيلبرت
    [Greenland] توقيت غرينلاند
    [Gulf] توقيت الخليج
    [Guyana] توقيت غيانا
    [Hawaii] توقيت هاواي
    [Hawaii_Aleutian] توقيت هاواي ألوتيان
    [Hong_Kong-standard] توقيت هونغ كونغ الرسمي
    [Hovd-standard] توقيت هوفد الرسمي
    [India] توقيت الهند
    [Indian_Ocean] توقيت المحيط الهندي
    [Indochina] توقيت الهند الصينية
    [Indonesia_Central] توقيت وسط إندونيسيا
    [Indonesia_Eastern] توقيت شرق إندونيسيا
    [Indonesia_Western] توقيت غرب إندونيسيا
    [Iran-standard] توقيت إيران الرسمي
    [Irish] توقيت أيرلندا
    [Irkutsk-standard] توقيت إركوتسك الرسمي
    [Israel] توقيت إسرائيل
    [Japan-standard] توقيت اليابان الرسمي
    [Kamchatka-standard] توقيت كامتشاتكا الرسمي
    [Kazakhstan] توقيت كازاخستان
    [Korea-standard] توقيت كوريا الرسمي
    [Kosrae] توقيت كوسرا
    [Krasnoyarsk-standard] توقيت كراسنويارسك الرسمي
    [Kyrgystan] توقيت قيرغيزستان
    [Line_Islands] توقيت جزر لاين
    [Lord_Howe] توقيت لورد هاو
    [Magadan-standard] توقيت ماغادان الرسمي
    [Malaysia] توقيت ماليزيا
    [Maldives] توقيت جزر المالديف
    [Marquesas] توقيت ماركيساس
    [Marshall_Islands] توقيت جزر مارشال
    [Mauritius-standard] توقيت موريشيوس الرسمي
    [Mawson] توقيت ماوسون
    [Mexico_Pacific-standard] توقيت المحيط الهادي الرسمي للمكسيك
    [Mongolia-standard] توقيت أولان باتور الرسمي
    [Moscow-standard] توقيت موسكو الرسمي
    [Myanmar] توقيت ميانمار
    [Nauru] توقيت ناورو
    [Nepal] توقيت نيبال
    [New_Caledonia-standard] توقيت كاليدونيا الجديدة الرسمي
    [New_Zealand] توقيت نيوزيلندا
    [Newfoundland] توقيت نيوفاوندلاند
    [Niue] توقيت نيوي
    [Norfolk] توقيت جزيرة نورفولك
    [Noronha-standard] توقيت فرناندو دي نورونها الرسمي
    [Omsk-standard] توقيت أومسك الرسمي
    [Pakistan-standard] توقيت باكستان الرسمي
    [Palau] توقيت بالاو
    [Papua_New_Guinea] توقيت بابوا غينيا الجديدة
    [Paraguay-standard] توقيت باراغواي الرسمي
    [Peru-standard] توقيت بيرو الرسمي
    [Philippines-standard] توقيت الفيلبين الرسمي
    [Phoenix_Islands] توقيت جزر فينكس
    [Pierre_Miquelon] توقيت سانت بيير وميكولون
    [Pitcairn] توقيت بيتكيرن
    [Ponape] توقيت بونابي
    [Reunion] توقيت روينيون
    [Rothera] توقيت روثيرا
    [Samara-standard] توقيت سامارا الرسمي
    [Samoa] توقيت ساموا الرسمي
    [Seychelles] توقيت سيشل
    [Singapore] توقيت سنغافورة
    [Solomon] توقيت جزر سليمان
    [South_Georgia] توقيت جنوب جورجيا
    [Suriname] توقيت سورينام
    [Syowa] توقيت سايووا
    [Tahiti] توقيت تاهيتي
    [Taipei-standard] توقيت تايبيه الرسمي
    [Tajikistan] توقيت طاجكستان
    [Tokelau] توقيت توكيلاو
    [Tonga-standard] توقيت تونغا الرسمي
    [Truk] توقيت شوك
    [Turkey-standard] توقيت تركيا الرسمي
    [Turkmenistan-standard] توقيت تركمانستان الرسمي
    [Tuvalu] توقيت توفالو
    [Uruguay-standard] توقيت أوروغواي الرسمي
    [Urumqi] توقيت أورومتشي
    [Uzbekistan-standard] توقيت أوزبكستان الرسمي
    [Vanuatu-standard] توقيت فانواتو الرسمي
    [Venezuela] توقيت فنزويلا
    [Vladivostok-standard] توقيت فلاديفوستوك الرسمي
    [Vostok] توقيت فوستوك
    [Wake] توقيت جزيرة ويك
    [Wallis] توقيت واليس و فوتونا
    [Yakutsk-standard] توقيت ياكوتسك الرسمي
    [Yekaterinburg-standard] توقيت يكاترينبورغ الرسمي
    [Yukon] توقيت يوكون
   *[other] UTC
}

## Currencies (scripts/currencies)

currency-sign = { $currency ->
    [AED] د.إ.‏
    [AUD] AU$
    [BHD] د.ب.‏
    [BRL] R$
    [CAD] CA$
    [CNY] CN¥
    [DZD] د.ج.‏
    [EGP] ج.م.‏
    [EUR] €
    [GBP] UK£
    [HKD] HK$
    [ILS] ₪
    [INR] ₹
    [IQD] د.ع.‏
    [IRR] ر.إ.
    [JOD] د.أ.‏
    [JPY] JP¥
    [KRW] ₩
    [KWD] د.ك.‏
    [LBP] ل.ل.‏
    [LYD] د.ل.‏
    [MAD] د.م.‏
    [MRU] أ.م.
    [MXN] MX$
    [NZD] NZ$
    [OMR] ر.ع.‏
    [QAR] ر.ق.‏
    [SAR] ر.س.‏
    [SDG] ج.س.
    [SYP] ل.س.‏
    [THB] ฿
    [TND] د.ت.‏
    [TWD] NT$
    [USD] US$
    [VND] ₫
    [XAF] FCFA
    [XCD] EC$
    [XCG] Cg.
    [XOF] F CFA
    [XPF] CFPF
    [YER] ر.ي.‏
   *[other] { $currency }
}
