### Simplified Chinese. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
sms-alphabet = ucs-2
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
date = { $year }年{ month }{ $day }日{ weekday }
date-short = { month-short }{ $day }日{ weekday-short }
date-sms = { date-short }
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
days-sms = { days }
hours-sms = { hours }
minutes-sms = { minutes }
two-durations = { $first }{ $second }
starts-in = 将在{ $duration }后
starts-now = 现在

## Money

decimal-separator = .
group-separator = ,
grouped-from = 4
money = { $sign }{ $amount }
money-in-letters = { $sign }{ "\u00A0" }{ $amount }
percent = { $number }%
refund-full = 将全额退还{ $total }。
refund-part = 将退还{ $amount }（总价{ $total }）。
refund-percentage = 将退还费用的{ $percent }。
refund-none = 不会退还任何款项。

## The booking

your-booking = 您的预约
booking-with = { $service }（{ $person }）
greeting = { $name }，您好：
greeting-nameless = 您好：
service = 服务项目
with = 预约对象
before = 原定时间
labelled = { $label }：{ $value }
when = 时间
where = 地点
join = 会议链接
when-here = 您所在时区：{ $when }
when-there = 对方所在时区：{ $when }
time-zones = 时区
clocks-change = 在此之前会有夏令时调整。

## The reminder

reminder-subject = 提醒：{ $service }{ $starts-in }开始，{ $when }
reminder-opening = { $booking }{ $starts-in }开始。
reminder-short = 提醒：{ $booking }{ $starts-in }开始，{ $when }

## The reminder of several bookings of a day

grouped-reminder-subject = { $count ->
   *[other] 提醒：{ $day }共有{ $count }个预约
}
grouped-reminder-opening = { $count ->
   *[other] 谨提醒您，{ $day }您共有{ $count }个预约。
}
grouped-reminder-short = { grouped-reminder-subject }。首个预约：{ $first }，{ $booking }

## Confirmed

confirmed-subject = 预约已确认：{ $booking }，{ $when }
confirmed-opening = { $audience ->
    [provider] 以下预约已确认。
   *[customer] 您的预约已确认。
}
confirmed-short = { confirmed-subject }

## Rescheduled

rescheduled-subject = 预约时间已更改：{ $booking }，新时间：{ $when }
rescheduled-opening = { $audience ->
    [provider] 以下预约的时间已更改。
   *[customer] 您的预约时间已更改。
}
rescheduled-short = { rescheduled-subject }

## Cancelled

cancelled-subject = 预约已取消：{ $booking }，{ $when }
cancelled-opening = { $by ->
    [you] 您已取消此预约。
    [customer] 客户已取消此预约。
    [provider] 服务提供者已取消此预约。
    [business] 我们已取消此预约。
   *[unknown] 此预约已取消。
}
cancelled-short = { cancelled-subject }

## Expired

expired-subject = 预约已过期：{ $booking }，{ $when }
expired-opening = 由于预约时间已过，此预约已过期。
expired-short = { expired-subject }

## Follow-up

follow-up-subject = { $audience ->
    [provider] 预约已完成：{ $booking }，{ $when }
   *[customer] 感谢您的预约：{ $booking }，{ $when }
}
follow-up-opening = { $audience ->
    [provider] 以下预约已完成。
   *[customer] 感谢您的预约，期待再次为您服务。
}
follow-up-short = { follow-up-subject }

## The digest of a day

digest-subject = { $count ->
   *[other] { $day }：共{ $count }个预约
}
digest-opening = { $count ->
   *[other] { $day }，您共有{ $count }个预约。
}
digest-more = { $count ->
   *[other] 另有{ $count }个预约未在此列出。
}
digest-short = { digest-subject }。首个预约：{ $first }，{ $booking }

## What people choose

choose-messages = 选择接收哪些消息
your-messages = 您的消息
messages-explained = 请选择您希望通过电子邮件接收哪些与预约有关的消息。
message-kind = { $kind ->
    [reminder] 提醒
    [confirmed] 预约确认
    [rescheduled] 预约改期
    [cancelled] 预约取消
    [expired] 预约过期
    [digest] 单日预约一览
   *[follow-up] 预约结束后
}
unsubscribe-from = 退订：{ $kind }
unsubscribed-from = 您将不再收到以下消息：{ $kind }
choices-saved = 您的选择已保存。
save = 保存
language = 语言
language-name = 简体中文
link-broken = 此链接无效
link-broken-explained = 链接可能不完整或已过期。请使用较新消息中的链接。
page-unavailable = 操作未成功
page-unavailable-explained = 未做任何更改。请稍后再试。

## Whether they will come

attend = 我会到场
cannot-attend = 我无法到场
attendance-question = 您会到场吗？
# The same in an SMS that can be answered. C and N stay as they are.
attendance-question-sms = 能到请回复 C，不能到请回复 N。
attendance-saved = 谢谢。到时见！
cancel-question = 要取消此预约吗？
cancel-booking = 取消预约
cancel-booking-sms = { cancel-booking }
booking-cancelled = 您的预约已取消
cannot-cancel = 无法在此取消该预约
cannot-cancel-explained = 请与我们联系。
contact-sms = { cannot-cancel-explained }
terms-changed = 时间或退款金额已更改，请重新确认。
link-over = 此链接已失效
link-over-explained = 预约已开始、已取消或已更改。

## Time zones (scripts/zones)

zone-name = { $zone ->
    [Acre-standard] 阿克里标准时间
    [Afghanistan] 阿富汗时间
    [Africa_Central] 中部非洲时间
    [Africa_Eastern] 东部非洲时间
    [Africa_Southern] 南非标准时间
    [Africa_Western] 西部非洲时间
    [Alaska] 阿拉斯加时间
    [Amazon-standard] 亚马逊标准时间
    [America_Central] 北美中部时间
    [America_Central-standard] 北美中部标准时间
    [America_Eastern] 北美东部时间
    [America_Eastern-standard] 北美东部标准时间
    [America_Mountain] 北美山区时间
    [America_Mountain-standard] 北美山区标准时间
    [America_Pacific] 北美太平洋时间
    [Apia-standard] 阿皮亚标准时间
    [Arabian-standard] 阿拉伯标准时间
    [Argentina-standard] 阿根廷标准时间
    [Armenia-standard] 亚美尼亚标准时间
    [Atlantic] 大西洋时间
    [Atlantic-standard] 大西洋标准时间
    [Australia_Central] 澳大利亚中部时间
    [Australia_Central-standard] 澳大利亚中部标准时间
    [Australia_CentralWestern-standard] 澳大利亚中西部标准时间
    [Australia_Eastern] 澳大利亚东部时间
    [Australia_Eastern-standard] 澳大利亚东部标准时间
    [Australia_Western-standard] 澳大利亚西部标准时间
    [Azerbaijan-standard] 阿塞拜疆标准时间
    [Azores] 亚速尔群岛时间
    [Bangladesh-standard] 孟加拉标准时间
    [Bhutan] 不丹时间
    [Bolivia] 玻利维亚标准时间
    [Brasilia-standard] 巴西利亚标准时间
    [British] 英国时间
    [Brunei] 文莱达鲁萨兰时间
    [Cape_Verde-standard] 佛得角标准时间
    [Chamorro] 查莫罗时间
    [Chatham] 查塔姆时间
    [Chile] 智利时间
    [Chile-standard] 智利标准时间
    [China-standard] 中国标准时间
    [Christmas] 圣诞岛时间
    [Cocos] 科科斯群岛时间
    [Colombia-standard] 哥伦比亚标准时间
    [Cook-standard] 库克群岛标准时间
    [Cuba] 古巴时间
    [Davis] 戴维斯时间
    [DumontDUrville] 迪蒙·迪维尔时间
    [East_Timor] 东帝汶时间
    [Easter] 复活节岛时间
    [Ecuador] 厄瓜多尔标准时间
    [Europe_Central] 中欧时间
    [Europe_Central-standard] 中欧标准时间
    [Europe_Eastern] 东欧时间
    [Europe_Eastern-standard] 东欧标准时间
    [Europe_Western] 西欧时间
    [Falkland-standard] 福克兰群岛标准时间
    [Fiji-standard] 斐济标准时间
    [French_Guiana] 法属圭亚那标准时间
    [French_Southern] 法属南方和南极领地时间
    [GMT] 格林尼治标准时间
    [Galapagos] 科隆群岛时间
    [Gambier] 甘比尔时间
    [Georgia-standard] 格鲁吉亚标准时间
    [Gilbert_Islands] 吉尔伯特群岛时间
    [Greenland] 格陵兰岛时间
    [Gulf] 海湾标准时间
    [Guyana] 圭亚那时间
    [Hawaii] 夏威夷-阿留申标准时
    [Hawaii_Aleutian] 夏威夷-阿留申时间
    [Hong_Kong-standard] 香港标准时间
    [Hovd-standard] 科布多标准时间
    [India] 印度时间
    [Indian_Ocean] 印度洋时间
    [Indochina] 中南半岛时间
    [Indonesia_Central] 印度尼西亚中部时间
    [Indonesia_Eastern] 印度尼西亚东部时间
    [Indonesia_Western] 印度尼西亚西部时间
    [Iran-standard] 伊朗标准时间
    [Irish] 爱尔兰时间
    [Irkutsk-standard] 伊尔库茨克标准时间
    [Israel] 以色列时间
    [Japan-standard] 日本标准时间
    [Kamchatka-standard] 彼得罗巴甫洛夫斯克-堪察加标准时间
    [Kazakhstan] 哈萨克斯坦时间
    [Korea-standard] 韩国标准时间
    [Kosrae] 科斯雷时间
    [Krasnoyarsk-standard] 克拉斯诺亚尔斯克标准时间
    [Kyrgystan] 吉尔吉斯斯坦时间
    [Line_Islands] 莱恩群岛时间
    [Lord_Howe] 豪勋爵岛时间
    [Magadan-standard] 马加丹标准时间
    [Malaysia] 马来西亚时间
    [Maldives] 马尔代夫时间
    [Marquesas] 马克萨斯群岛时间
    [Marshall_Islands] 马绍尔群岛时间
    [Mauritius-standard] 毛里求斯标准时间
    [Mawson] 莫森时间
    [Mexico_Pacific-standard] 墨西哥太平洋标准时间
    [Mongolia-standard] 乌兰巴托标准时间
    [Moscow-standard] 莫斯科标准时间
    [Myanmar] 缅甸时间
    [Nauru] 瑙鲁时间
    [Nepal] 尼泊尔时间
    [New_Caledonia-standard] 新喀里多尼亚标准时间
    [New_Zealand] 新西兰时间
    [Newfoundland] 纽芬兰时间
    [Niue] 纽埃时间
    [Norfolk] 诺福克岛时间
    [Noronha-standard] 费尔南多-迪诺罗尼亚岛标准时间
    [Omsk-standard] 鄂木斯克标准时间
    [Pakistan-standard] 巴基斯坦标准时间
    [Palau] 帕劳时间
    [Papua_New_Guinea] 巴布亚新几内亚时间
    [Paraguay-standard] 巴拉圭标准时间
    [Peru-standard] 秘鲁标准时间
    [Philippines-standard] 菲律宾标准时间
    [Phoenix_Islands] 菲尼克斯群岛时间
    [Pierre_Miquelon] 圣皮埃尔和密克隆群岛时间
    [Pitcairn] 皮特凯恩时间
    [Ponape] 波纳佩时间
    [Reunion] 留尼汪时间
    [Rothera] 罗瑟拉时间
    [Samara-standard] 萨马拉标准时间
    [Samoa] 萨摩亚标准时间
    [Seychelles] 塞舌尔时间
    [Singapore] 新加坡标准时间
    [Solomon] 所罗门群岛时间
    [South_Georgia] 南乔治亚岛时间
    [Suriname] 苏里南时间
    [Syowa] 昭和时间
    [Tahiti] 塔希提岛时间
    [Taipei-standard] 台北标准时间
    [Tajikistan] 塔吉克斯坦时间
    [Tokelau] 托克劳时间
    [Tonga-standard] 汤加标准时间
    [Truk] 楚克时间
    [Turkey-standard] 土耳其标准时间
    [Turkmenistan-standard] 土库曼斯坦标准时间
    [Tuvalu] 图瓦卢时间
    [Uruguay-standard] 乌拉圭标准时间
    [Urumqi] 乌鲁木齐时间
    [Uzbekistan-standard] 乌兹别克斯坦标准时间
    [Vanuatu-standard] 瓦努阿图标准时间
    [Venezuela] 委内瑞拉时间
    [Vladivostok-standard] 海参崴标准时间
    [Vostok] 沃斯托克时间
    [Wake] 威克岛时间
    [Wallis] 瓦利斯和富图纳时间
    [Yakutsk-standard] 雅库茨克标准时间
    [Yekaterinburg-standard] 叶卡捷琳堡标准时间
    [Yukon] 育空时间
   *[other] UTC
}

## Currencies (scripts/currencies)

currency-sign = { $currency ->
    [AUD] AU$
    [BRL] R$
    [CAD] CA$
    [CNY] ¥
    [EUR] €
    [GBP] £
    [HKD] HK$
    [ILS] ₪
    [INR] ₹
    [JPY] JP¥
    [KRW] ₩
    [MXN] MX$
    [NZD] NZ$
    [TWD] NT$
    [USD] US$
    [VND] ₫
    [XAF] FCFA
    [XCD] EC$
    [XCG] Cg.
    [XOF] F CFA
    [XPF] CFPF
   *[other] { $currency }
}
