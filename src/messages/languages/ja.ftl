### Japanese. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
sms-alphabet = ucs-2
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
date = { $year }年{ month }{ $day }日{ weekday }
date-short = { month-short }{ $day }日({ weekday-short })
date-sms = { date-short }
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
days-sms = { days }
hours-sms = { hours }
minutes-sms = { minutes }
two-durations = { $first }{ $second }
starts-in = { $duration }後
starts-now = まもなく

## Money

decimal-separator = .
group-separator = ,
grouped-from = 4
money = { $sign }{ $amount }
money-in-letters = { $sign }{ "\u00A0" }{ $amount }
percent = { $number }%
refund-full = 全額（{ $total }）が返金されます。
refund-part = { $total }のうち{ $amount }が返金されます。
refund-percentage = 料金の{ $percent }が返金されます。
refund-none = 返金はございません。

## The booking

your-booking = ご予約
booking-with = { $service }（{ $person } 様）
greeting = { $name } 様
greeting-nameless = いつもご利用いただきありがとうございます。
service = ご予約内容
with = 予約相手
before = 変更前の日時
labelled = { $label }：{ $value }
when = 日時
where = 場所
join = 参加リンク
when-here = お使いのタイムゾーン：{ $when }
when-there = 相手側の現地時間：{ $when }
time-zones = タイムゾーン
clocks-change = それまでに夏時間の切り替えがあります。

## The reminder

reminder-subject = リマインダー：{ $service }（{ $starts-in }）{ $when }
reminder-opening = { $booking }の開始は{ $starts-in }です。
reminder-short = リマインダー：{ $booking }の開始は{ $starts-in }です。{ $when }

## The reminder of several bookings of a day

grouped-reminder-subject = { $count ->
   *[other] リマインダー：{ $day }のご予約（{ $count }件）
}
grouped-reminder-opening = { $count ->
   *[other] { $day }のご予約（{ $count }件）を改めてご案内いたします。
}
grouped-reminder-short = { grouped-reminder-subject }。最初のご予約：{ $first } { $booking }

## Confirmed

confirmed-subject = ご予約確定：{ $booking } { $when }
confirmed-opening = { $audience ->
    [provider] 次のご予約が確定しました。
   *[customer] ご予約が確定しました。
}
confirmed-short = { confirmed-subject }

## Rescheduled

rescheduled-subject = ご予約日時の変更：{ $booking } 新しい日時：{ $when }
rescheduled-opening = { $audience ->
    [provider] 次のご予約の日時が変更されました。
   *[customer] ご予約の日時が変更されました。
}
rescheduled-short = { rescheduled-subject }

## Cancelled

cancelled-subject = ご予約のキャンセル：{ $booking } { $when }
cancelled-opening = { $by ->
    [you] ご本人のお手続きにより、このご予約はキャンセルされました。
    [customer] このご予約は、お客様によりキャンセルされました。
    [provider] このご予約は、サービス提供者によりキャンセルされました。
    [business] このご予約は、当方でキャンセルいたしました。
   *[unknown] このご予約はキャンセルされました。
}
cancelled-short = { cancelled-subject }

## Expired

expired-subject = ご予約の期限切れ：{ $booking } { $when }
expired-opening = 予約日時が過ぎたため、このご予約は無効になりました。
expired-short = { expired-subject }

## Follow-up

follow-up-subject = { $audience ->
    [provider] サービス提供の完了：{ $booking } { $when }
   *[customer] ご利用ありがとうございました：{ $booking } { $when }
}
follow-up-opening = { $audience ->
    [provider] 次のご予約のサービス提供が完了しました。
   *[customer] このたびはご利用いただき、誠にありがとうございました。またのご利用をお待ちしております。
}
follow-up-short = { follow-up-subject }

## The digest of a day

digest-subject = { $count ->
   *[other] { $day }のご予約：{ $count }件
}
digest-opening = { $count ->
   *[other] { $day }のご予約は{ $count }件です。
}
digest-more = { $count ->
   *[other] このほか、ここに記載のないご予約が{ $count }件あります。
}
digest-short = { digest-subject }。最初のご予約：{ $first } { $booking }

## What people choose

choose-messages = 受け取るメッセージを選ぶ
your-messages = メッセージの設定
messages-explained = ご予約について、メールで受け取るメッセージをお選びください。
message-kind = { $kind ->
    [reminder] リマインダー
    [confirmed] ご予約の確定
    [rescheduled] ご予約の日時変更
    [cancelled] ご予約のキャンセル
    [expired] ご予約の期限切れ
    [digest] 一日のご予約一覧
   *[follow-up] ご利用後のご案内
}
unsubscribe-from = 配信を停止：{ $kind }
unsubscribed-from = 次のメッセージの配信を停止しました：{ $kind }
choices-saved = 設定を保存しました。
save = 保存
language = 言語
language-name = 日本語
link-broken = このリンクは使用できません
link-broken-explained = リンクが途中で切れているか、古すぎる可能性があります。新しいメッセージのリンクをご利用ください。
page-unavailable = 処理できませんでした
page-unavailable-explained = 何も変更されていません。しばらくしてからもう一度お試しください。

## Whether they will come

attend = 予定どおり利用します
cannot-attend = 都合がつきません
attendance-question = 予定どおりご利用になりますか？
# The same in an SMS that can be answered. C and N stay as they are.
attendance-question-sms = ご利用の場合はC、できない場合はNとご返信ください。
attendance-saved = ありがとうございます。お待ちしております。
cancel-question = このご予約をキャンセルしますか？
cancel-booking = 予約をキャンセルする
cancel-booking-sms = { cancel-booking }
booking-cancelled = ご予約はキャンセルされました
cannot-cancel = このご予約は、こちらではキャンセルできません
cannot-cancel-explained = お手数ですが、当方までお問い合わせください。
contact-sms = { cannot-cancel-explained }
terms-changed = 日時または返金額が変更されました。もう一度ご確認ください。
link-over = このリンクは無効になりました
link-over-explained = ご予約の開始時刻を過ぎたか、ご予約がキャンセルまたは変更されました。

## Time zones (scripts/zones)

zone-name = { $zone ->
    [Acre-standard] アクレ標準時
    [Afghanistan] アフガニスタン時間
    [Africa_Central] 中央アフリカ時間
    [Africa_Eastern] 東アフリカ時間
    [Africa_Southern] 南アフリカ標準時
    [Africa_Western] 西アフリカ時間
    [Alaska] アラスカ時間
    [Amazon-standard] アマゾン標準時
    [America_Central] 米国中部時間
    [America_Central-standard] 米国中部標準時
    [America_Eastern] 米国東部時間
    [America_Eastern-standard] 米国東部標準時
    [America_Mountain] 米国山岳部時間
    [America_Mountain-standard] 米国山岳部標準時
    [America_Pacific] 米国太平洋時間
    [Apia-standard] 西サモア標準時
    [Arabian-standard] アラビア標準時
    [Argentina-standard] アルゼンチン標準時
    [Armenia-standard] アルメニア標準時
    [Atlantic] 大西洋時間
    [Atlantic-standard] 大西洋標準時
    [Australia_Central] オーストラリア中部時間
    [Australia_Central-standard] オーストラリア中部標準時
    [Australia_CentralWestern-standard] オーストラリア中西部標準時
    [Australia_Eastern] オーストラリア東部時間
    [Australia_Eastern-standard] オーストラリア東部標準時
    [Australia_Western-standard] オーストラリア西部標準時
    [Azerbaijan-standard] アゼルバイジャン標準時
    [Azores] アゾレス時間
    [Bangladesh-standard] バングラデシュ標準時
    [Bhutan] ブータン時間
    [Bolivia] ボリビア時間
    [Brasilia-standard] ブラジリア標準時
    [British] 英国時間
    [Brunei] ブルネイ時間
    [Cape_Verde-standard] カーボベルデ標準時
    [Chamorro] チャモロ時間
    [Chatham] チャタム時間
    [Chile] チリ時間
    [Chile-standard] チリ標準時
    [China-standard] 中国標準時
    [Christmas] クリスマス島時間
    [Cocos] ココス諸島時間
    [Colombia-standard] コロンビア標準時
    [Cook-standard] クック諸島標準時
    [Cuba] キューバ時間
    [Davis] デービス基地時間
    [DumontDUrville] デュモン・デュルヴィル基地時間
    [East_Timor] 東ティモール時間
    [Easter] イースター島時間
    [Ecuador] エクアドル時間
    [Europe_Central] 中央ヨーロッパ時間
    [Europe_Central-standard] 中央ヨーロッパ標準時
    [Europe_Eastern] 東ヨーロッパ時間
    [Europe_Eastern-standard] 東ヨーロッパ標準時
    [Europe_Western] 西ヨーロッパ時間
    [Falkland-standard] フォークランド諸島標準時
    [Fiji-standard] フィジー標準時
    [French_Guiana] 仏領ギアナ時間
    [French_Southern] 仏領南方南極時間
    [GMT] グリニッジ標準時
    [Galapagos] ガラパゴス時間
    [Gambier] ガンビエ諸島時間
    [Georgia-standard] ジョージア標準時
    [Gilbert_Islands] ギルバート諸島時間
    [Greenland] グリーンランド時間
    [Gulf] 湾岸標準時
    [Guyana] ガイアナ時間
    [Hawaii] ハワイ時間
    [Hawaii_Aleutian] ハワイ・アリューシャン時間
    [Hong_Kong-standard] 香港標準時
    [Hovd-standard] ホブド標準時
    [India] インド標準時
    [Indian_Ocean] インド洋時間
    [Indochina] インドシナ時間
    [Indonesia_Central] インドネシア中部時間
    [Indonesia_Eastern] インドネシア東部時間
    [Indonesia_Western] インドネシア西部時間
    [Iran-standard] イラン標準時
    [Irish] アイルランド時間
    [Irkutsk-standard] イルクーツク標準時
    [Israel] イスラエル時間
    [Japan-standard] 日本標準時
    [Kamchatka-standard] カムチャッカ標準時
    [Kazakhstan] カザフスタン時間
    [Korea-standard] 韓国標準時
    [Kosrae] コスラエ時間
    [Krasnoyarsk-standard] クラスノヤルスク標準時
    [Kyrgystan] キルギス時間
    [Line_Islands] ライン諸島時間
    [Lord_Howe] ロードハウ時間
    [Magadan-standard] マガダン標準時
    [Malaysia] マレーシア時間
    [Maldives] モルディブ時間
    [Marquesas] マルキーズ時間
    [Marshall_Islands] マーシャル諸島時間
    [Mauritius-standard] モーリシャス標準時
    [Mawson] モーソン基地時間
    [Mexico_Pacific-standard] メキシコ太平洋標準時
    [Mongolia-standard] ウランバートル標準時
    [Moscow-standard] モスクワ標準時
    [Myanmar] ミャンマー時間
    [Nauru] ナウル時間
    [Nepal] ネパール時間
    [New_Caledonia-standard] ニューカレドニア標準時
    [New_Zealand] ニュージーランド時間
    [Newfoundland] ニューファンドランド時間
    [Niue] ニウエ時間
    [Norfolk] ノーフォーク島時間
    [Noronha-standard] フェルナンド・デ・ノローニャ標準時
    [Omsk-standard] オムスク標準時
    [Pakistan-standard] パキスタン標準時
    [Palau] パラオ時間
    [Papua_New_Guinea] パプアニューギニア時間
    [Paraguay-standard] パラグアイ標準時
    [Peru-standard] ペルー標準時
    [Philippines-standard] フィリピン標準時
    [Phoenix_Islands] フェニックス諸島時間
    [Pierre_Miquelon] サンピエール島・ミクロン島時間
    [Pitcairn] ピトケアン時間
    [Ponape] ポンペイ時間
    [Reunion] レユニオン時間
    [Rothera] ロゼラ基地時間
    [Samara-standard] サマラ標準時
    [Samoa] 米領サモア標準時
    [Seychelles] セーシェル時間
    [Singapore] シンガポール標準時
    [Solomon] ソロモン諸島時間
    [South_Georgia] サウスジョージア時間
    [Suriname] スリナム時間
    [Syowa] 昭和基地時間
    [Tahiti] タヒチ時間
    [Taipei-standard] 台湾標準時
    [Tajikistan] タジキスタン時間
    [Tokelau] トケラウ時間
    [Tonga-standard] トンガ標準時
    [Truk] チューク時間
    [Turkey-standard] トルコ標準時
    [Turkmenistan-standard] トルクメニスタン標準時
    [Tuvalu] ツバル時間
    [Uruguay-standard] ウルグアイ標準時
    [Urumqi] ウルムチ時間
    [Uzbekistan-standard] ウズベキスタン標準時
    [Vanuatu-standard] バヌアツ標準時
    [Venezuela] ベネズエラ時間
    [Vladivostok-standard] ウラジオストク標準時
    [Vostok] ボストーク基地時間
    [Wake] ウェーク島時間
    [Wallis] ウォリス・フツナ時間
    [Yakutsk-standard] ヤクーツク標準時
    [Yekaterinburg-standard] エカテリンブルグ標準時
    [Yukon] ユーコン時間
   *[other] UTC
}

## Currencies (scripts/currencies)

currency-sign = { $currency ->
    [AUD] A$
    [BRL] R$
    [CAD] CA$
    [CNY] 元
    [EUR] €
    [GBP] £
    [HKD] HK$
    [ILS] ₪
    [INR] ₹
    [JPY] ￥
    [KRW] ₩
    [MXN] MX$
    [NZD] NZ$
    [TWD] NT$
    [USD] $
    [VND] ₫
    [XAF] FCFA
    [XCD] EC$
    [XCG] Cg
    [XOF] F CFA
    [XPF] CFPF
   *[other] { $currency }
}
