### German. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
sms-alphabet = gsm-7
weekday = { $weekday ->
    [1] Montag
    [2] Dienstag
    [3] Mittwoch
    [4] Donnerstag
    [5] Freitag
    [6] Samstag
   *[7] Sonntag
}
weekday-short = { $weekday ->
    [1] Mo.
    [2] Di.
    [3] Mi.
    [4] Do.
    [5] Fr.
    [6] Sa.
   *[7] So.
}
month = { $month ->
    [1] Januar
    [2] Februar
    [3] März
    [4] April
    [5] Mai
    [6] Juni
    [7] Juli
    [8] August
    [9] September
    [10] Oktober
    [11] November
   *[12] Dezember
}
month-short = { $month ->
    [1] Jan.
    [2] Feb.
    [3] März
    [4] Apr.
    [5] Mai
    [6] Juni
    [7] Juli
    [8] Aug.
    [9] Sept.
    [10] Okt.
    [11] Nov.
   *[12] Dez.
}
date = { weekday }, { $day }. { month } { $year }
date-short = { weekday-short }, { $day }. { month-short }
date-sms = { date-short }
time = { $hour-padded }:{ $minute }
time-range = { $start }–{ $end }
date-range = { $start } – { $end }
date-and-time = { $date }, { $time }
time-and-zone = { $time } { $zone }

## Durations

days = { $count ->
    [one] { $count } Tag
   *[other] { $count } Tagen
}
hours = { $count ->
    [one] { $count } Stunde
   *[other] { $count } Stunden
}
minutes = { $count ->
    [one] { $count } Minute
   *[other] { $count } Minuten
}
days-sms = { days }
hours-sms = { hours }
minutes-sms = { minutes }
two-durations = { $first } und { $second }
starts-in = in { $duration }
starts-now = jetzt

## Money

decimal-separator = ,
group-separator = .
grouped-from = 4
money = { $amount }{ "\u00A0" }{ $sign }
money-in-letters = { money }
percent = { $number }{ "\u00A0" }%
refund-full = Der volle Preis von { $total } wird erstattet.
refund-part = Die Erstattung beträgt { $amount } von { $total }.
refund-percentage = Die Erstattung beträgt { $percent } des Preises.
refund-none = Es wird nichts erstattet.

## The booking

your-booking = Ihre Buchung
booking-with = { $service } mit { $person }
greeting = Guten Tag { $name },
greeting-nameless = Guten Tag,
service = Leistung
with = Mit
before = Bisher
labelled = { $label }: { $value }
when = Wann
where = Wo
join = Teilnehmen
when-here = { $when }, Ihre Ortszeit
when-there = { $when }, Ortszeit Ihres Gegenübers
time-zones = Zeitzone
clocks-change = Bis dahin werden die Uhren umgestellt.

## The reminder

reminder-subject = Erinnerung: { $service } { $starts-in }, { $when }
reminder-opening = { $booking } beginnt { $starts-in }.
reminder-short = Erinnerung: { $booking } { $starts-in }, { $when }

## The reminder of several bookings of a day

grouped-reminder-subject = { $count ->
    [one] Erinnerung: 1 Buchung am { $day }
   *[other] Erinnerung: { $count } Buchungen am { $day }
}
grouped-reminder-opening = { $count ->
    [one] wir erinnern Sie an Ihre Buchung am { $day }.
   *[other] wir erinnern Sie an Ihre { $count } Buchungen am { $day }.
}
grouped-reminder-short = { grouped-reminder-subject }; als Erstes: { $first }, { $booking }

## Confirmed

confirmed-subject = Buchung bestätigt: { $booking }, { $when }
confirmed-opening = { $audience ->
    [provider] die folgende Buchung ist bestätigt.
   *[customer] Ihre Buchung ist bestätigt.
}
confirmed-short = { confirmed-subject }

## Rescheduled

rescheduled-subject = Buchung verlegt: { $booking }, neuer Termin: { $when }
rescheduled-opening = { $audience ->
    [provider] die folgende Buchung wurde auf einen anderen Termin verlegt.
   *[customer] Ihre Buchung wurde auf einen anderen Termin verlegt.
}
rescheduled-short = { rescheduled-subject }

## Cancelled

cancelled-subject = Buchung storniert: { $booking }, { $when }
cancelled-opening = { $by ->
    [you] Sie haben diese Buchung storniert.
    [customer] diese Buchung wurde von Kundenseite storniert.
    [provider] diese Buchung wurde von Anbieterseite storniert.
    [business] wir haben diese Buchung storniert.
   *[unknown] diese Buchung wurde storniert.
}
cancelled-short = { cancelled-subject }

## Expired

expired-subject = Buchung abgelaufen: { $booking }, { $when }
expired-opening = diese Buchung ist abgelaufen, weil der Termin verstrichen ist.
expired-short = { expired-subject }

## Follow-up

follow-up-subject = { $audience ->
    [provider] Buchung abgeschlossen: { $booking }, { $when }
   *[customer] Vielen Dank für Ihre Buchung: { $booking }, { $when }
}
follow-up-opening = { $audience ->
    [provider] die folgende Buchung ist abgeschlossen.
   *[customer] vielen Dank für Ihre Buchung. Wir freuen uns auf das nächste Mal.
}
follow-up-short = { follow-up-subject }

## The digest of a day

digest-subject = { $count ->
    [one] 1 Buchung am { $day }
   *[other] { $count } Buchungen am { $day }
}
digest-opening = { $count ->
    [one] Sie haben eine Buchung am { $day }.
   *[other] Sie haben { $count } Buchungen am { $day }.
}
digest-more = { $count ->
    [one] Eine weitere Buchung ist hier nicht aufgeführt.
   *[other] { $count } weitere Buchungen sind hier nicht aufgeführt.
}
digest-short = { digest-subject }; als Erstes: { $first }, { $booking }

## What people choose

choose-messages = Nachrichten auswählen
your-messages = Ihre Nachrichten
messages-explained = Wählen Sie aus, welche Nachrichten zu Ihren Buchungen Sie per E-Mail erhalten möchten.
message-kind = { $kind ->
    [reminder] Erinnerungen
    [confirmed] Buchung bestätigt
    [rescheduled] Buchung verlegt
    [cancelled] Buchung storniert
    [expired] Buchung abgelaufen
    [digest] Tagesübersicht
   *[follow-up] Nach dem Termin
}
unsubscribe-from = Abbestellen: { $kind }
unsubscribed-from = Diese Nachrichten erhalten Sie nicht mehr: { $kind }
choices-saved = Ihre Auswahl ist gespeichert.
save = Speichern
language = Sprache
language-name = Deutsch
link-broken = Dieser Link funktioniert nicht
link-broken-explained = Er ist vielleicht unvollständig oder zu alt. Bitte verwenden Sie den Link in einer neueren Nachricht.
page-unavailable = Das hat nicht geklappt
page-unavailable-explained = Es wurde nichts geändert. Bitte versuchen Sie es in einer Minute noch einmal.

## Whether they will come

attend = Ich komme
cannot-attend = Ich kann nicht kommen
attendance-question = Kommen Sie?
# The same in an SMS that can be answered. C and N stay as they are.
attendance-question-sms = Antworten Sie C, wenn Sie kommen, N, wenn nicht.
attendance-saved = Vielen Dank. Bis dann!
cancel-question = Diese Buchung stornieren?
cancel-booking = Buchung stornieren
cancel-booking-sms = { cancel-booking }
booking-cancelled = Ihre Buchung ist storniert
cannot-cancel = Diese Buchung kann hier nicht storniert werden
cannot-cancel-explained = Bitte wenden Sie sich an uns.
contact-sms = { cannot-cancel-explained }
terms-changed = Der Termin oder die Erstattung hat sich geändert. Bitte prüfen Sie die Angaben.
link-over = Dieser Link ist nicht mehr gültig
link-over-explained = Der Termin hat begonnen, oder die Buchung wurde storniert oder geändert.

## Time zones (scripts/zones)

zone-name = { $zone ->
    [Acre-standard] Acre-Normalzeit
    [Afghanistan] Afghanistan-Zeit
    [Africa_Central] Zentralafrikanische Zeit
    [Africa_Eastern] Ostafrikanische Zeit
    [Africa_Southern] Südafrikanische Zeit
    [Africa_Western] Westafrikanische Zeit
    [Alaska] Alaska-Zeit
    [Amazon-standard] Amazonas-Normalzeit
    [America_Central] Nordamerikanische Zentralzeit
    [America_Central-standard] Nordamerikanische Zentral-Normalzeit
    [America_Eastern] Nordamerikanische Ostküstenzeit
    [America_Eastern-standard] Nordamerikanische Ostküsten-Normalzeit
    [America_Mountain] Rocky-Mountains-Zeit
    [America_Mountain-standard] Rocky-Mountains-Normalzeit
    [America_Pacific] Nordamerikanische Westküstenzeit
    [Apia-standard] Apia-Normalzeit
    [Arabian-standard] Arabische Normalzeit
    [Argentina-standard] Argentinische Normalzeit
    [Armenia-standard] Armenische Normalzeit
    [Atlantic] Atlantik-Zeit
    [Atlantic-standard] Atlantik-Normalzeit
    [Australia_Central] Zentralaustralische Zeit
    [Australia_Central-standard] Zentralaustralische Normalzeit
    [Australia_CentralWestern-standard] Zentral-/Westaustralische Normalzeit
    [Australia_Eastern] Ostaustralische Zeit
    [Australia_Eastern-standard] Ostaustralische Normalzeit
    [Australia_Western-standard] Westaustralische Normalzeit
    [Azerbaijan-standard] Aserbeidschanische Normalzeit
    [Azores] Azoren-Zeit
    [Bangladesh-standard] Bangladesch-Normalzeit
    [Bhutan] Bhutan-Zeit
    [Bolivia] Bolivianische Zeit
    [Brasilia-standard] Brasília-Normalzeit
    [British] Britische Zeit
    [Brunei] Brunei-Darussalam-Zeit
    [Cape_Verde-standard] Cabo-Verde-Normalzeit
    [Chamorro] Chamorro-Zeit
    [Chatham] Chatham-Zeit
    [Chile] Chilenische Zeit
    [Chile-standard] Chilenische Normalzeit
    [China-standard] Chinesische Normalzeit
    [Christmas] Weihnachtsinsel-Zeit
    [Cocos] Kokosinseln-Zeit
    [Colombia-standard] Kolumbianische Normalzeit
    [Cook-standard] Cookinseln-Normalzeit
    [Cuba] Kubanische Zeit
    [Davis] Davis-Zeit
    [DumontDUrville] Dumont-d’Urville-Zeit
    [East_Timor] Osttimor-Zeit
    [Easter] Osterinsel-Zeit
    [Ecuador] Ecuadorianische Zeit
    [Europe_Central] Mitteleuropäische Zeit
    [Europe_Central-standard] Mitteleuropäische Normalzeit
    [Europe_Eastern] Osteuropäische Zeit
    [Europe_Eastern-standard] Osteuropäische Normalzeit
    [Europe_Western] Westeuropäische Zeit
    [Falkland-standard] Falklandinseln-Normalzeit
    [Fiji-standard] Fidschi-Normalzeit
    [French_Guiana] Französisch-Guayana-Zeit
    [French_Southern] Französische-Süd-und-Antarktisgebiete-Zeit
    [GMT] Mittlere Greenwich-Zeit
    [Galapagos] Galapagos-Zeit
    [Gambier] Gambier-Zeit
    [Georgia-standard] Georgische Normalzeit
    [Gilbert_Islands] Gilbert-Inseln-Zeit
    [Greenland] Grönländische Zeit
    [Gulf] Golf-Zeit
    [Guyana] Guyana-Zeit
    [Hawaii] Hawaii-Normalzeit
    [Hawaii_Aleutian] Hawaii-Aleuten-Zeit
    [Hong_Kong-standard] Hongkong-Normalzeit
    [Hovd-standard] Chowd-Normalzeit
    [India] Indische Normalzeit
    [Indian_Ocean] Indischer-Ozean-Zeit
    [Indochina] Indochina-Zeit
    [Indonesia_Central] Zentralindonesische Zeit
    [Indonesia_Eastern] Ostindonesische Zeit
    [Indonesia_Western] Westindonesische Zeit
    [Iran-standard] Iranische Normalzeit
    [Irish] Irische Zeit
    [Irkutsk-standard] Irkutsker Normalzeit
    [Israel] Israelische Zeit
    [Japan-standard] Japanische Normalzeit
    [Kamchatka-standard] Kamtschatka-Normalzeit
    [Kazakhstan] Kasachische Zeit
    [Korea-standard] Koreanische Normalzeit
    [Kosrae] Kosrae-Zeit
    [Krasnoyarsk-standard] Krasnojarsker Normalzeit
    [Kyrgystan] Kirgisische Zeit
    [Line_Islands] Linieninseln-Zeit
    [Lord_Howe] Lord-Howe-Zeit
    [Magadan-standard] Magadan-Normalzeit
    [Malaysia] Malaysische Zeit
    [Maldives] Malediven-Zeit
    [Marquesas] Marquesas-Zeit
    [Marshall_Islands] Marshallinseln-Zeit
    [Mauritius-standard] Mauritius-Normalzeit
    [Mawson] Mawson-Zeit
    [Mexico_Pacific-standard] Mexikanische Pazifik-Normalzeit
    [Mongolia-standard] Ulaanbaatar-Normalzeit
    [Moscow-standard] Moskauer Normalzeit
    [Myanmar] Myanmar-Zeit
    [Nauru] Nauru-Zeit
    [Nepal] Nepalesische Zeit
    [New_Caledonia-standard] Neukaledonische Normalzeit
    [New_Zealand] Neuseeland-Zeit
    [Newfoundland] Neufundland-Zeit
    [Niue] Niue-Zeit
    [Norfolk] Norfolkinsel-Zeit
    [Noronha-standard] Fernando-de-Noronha-Normalzeit
    [Omsk-standard] Omsker Normalzeit
    [Pakistan-standard] Pakistanische Normalzeit
    [Palau] Palau-Zeit
    [Papua_New_Guinea] Papua-Neuguinea-Zeit
    [Paraguay-standard] Paraguayische Normalzeit
    [Peru-standard] Peruanische Normalzeit
    [Philippines-standard] Philippinische Normalzeit
    [Phoenix_Islands] Phoenixinseln-Zeit
    [Pierre_Miquelon] St.-Pierre-und-Miquelon-Zeit
    [Pitcairn] Pitcairninseln-Zeit
    [Ponape] Pohnpei-Zeit
    [Reunion] Réunion-Zeit
    [Rothera] Rothera-Zeit
    [Samara-standard] Samara-Normalzeit
    [Samoa] Samoa-Normalzeit
    [Seychelles] Seychellen-Zeit
    [Singapore] Singapurische Normalzeit
    [Solomon] Salomonen-Zeit
    [South_Georgia] Südgeorgische Zeit
    [Suriname] Suriname-Zeit
    [Syowa] Syowa-Zeit
    [Tahiti] Tahiti-Zeit
    [Taipei-standard] Taipeh-Normalzeit
    [Tajikistan] Tadschikische Zeit
    [Tokelau] Tokelau-Zeit
    [Tonga-standard] Tongaische Normalzeit
    [Truk] Chuuk-Zeit
    [Turkey-standard] Türkische Normalzeit
    [Turkmenistan-standard] Turkmenische Normalzeit
    [Tuvalu] Tuvalu-Zeit
    [Uruguay-standard] Uruguayische Normalzeit
    [Urumqi] Ürümqi-Zeit
    [Uzbekistan-standard] Usbekische Normalzeit
    [Vanuatu-standard] Vanuatu-Normalzeit
    [Venezuela] Venezuela-Zeit
    [Vladivostok-standard] Wladiwostoker Normalzeit
    [Vostok] Wostok-Zeit
    [Wake] Wake-Insel-Zeit
    [Wallis] Wallis-und-Futuna-Zeit
    [Yakutsk-standard] Jakutsker Normalzeit
    [Yekaterinburg-standard] Jekaterinburger Normalzeit
    [Yukon] Yukon-Zeit
   *[other] UTC
}

## Currencies (scripts/currencies)

currency-sign = { $currency ->
    [AUD] AU$
    [BRL] R$
    [CAD] CA$
    [CNY] CN¥
    [EUR] €
    [GBP] £
    [HKD] HK$
    [ILS] ₪
    [INR] ₹
    [JPY] ¥
    [KRW] ₩
    [MXN] MX$
    [NZD] NZ$
    [THB] ฿
    [TWD] NT$
    [USD] $
    [VND] ₫
    [XAF] FCFA
    [XCD] EC$
    [XCG] Cg.
    [XOF] F CFA
    [XPF] CFPF
   *[other] { $currency }
}
