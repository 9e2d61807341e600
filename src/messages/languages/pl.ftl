### Polish. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
sms-alphabet = gsm-7
weekday = { $weekday ->
    [1] poniedziałek
    [2] wtorek
    [3] środa
    [4] czwartek
    [5] piątek
    [6] sobota
   *[7] niedziela
}
weekday-short = { $weekday ->
    [1] pon.
    [2] wt.
    [3] śr.
    [4] czw.
    [5] pt.
    [6] sob.
   *[7] niedz.
}
month = { $month ->
    [1] stycznia
    [2] lutego
    [3] marca
    [4] kwietnia
    [5] maja
    [6] czerwca
    [7] lipca
    [8] sierpnia
    [9] września
    [10] października
    [11] listopada
   *[12] grudnia
}
month-short = { $month ->
    [1] sty
    [2] lut
    [3] mar
    [4] kwi
    [5] maj
    [6] cze
    [7] lip
    [8] sie
    [9] wrz
    [10] paź
    [11] lis
   *[12] gru
}
date = { weekday }, { $day } { month } { $year }
date-short = { weekday-short }, { $day } { month-short }
date-sms = { $day }.{ $month-padded }
time = { $hour-padded }:{ $minute }
time-range = { $start }–{ $end }
date-range = { $start } – { $end }
date-and-time = { $date }, { $time }
time-and-zone = { $time } { $zone }

## Durations

days = { $count ->
    [one] { $count } dzień
    [few] { $count } dni
    [many] { $count } dni
   *[other] { $count } dnia
}
hours = { $count ->
    [one] { $count } godzinę
    [few] { $count } godziny
    [many] { $count } godzin
   *[other] { $count } godziny
}
minutes = { $count ->
    [one] { $count } minutę
    [few] { $count } minuty
    [many] { $count } minut
   *[other] { $count } minuty
}
# Two or more: less than two days are hours.
days-sms = { $count } dni
hours-sms = { $count } godz.
minutes-sms = { $count } min
two-durations = { $first } i { $second }
starts-in = za { $duration }
starts-now = teraz

## Money

decimal-separator = ,
group-separator = { "\u00A0" }
grouped-from = 5
money = { $amount }{ "\u00A0" }{ $sign }
money-in-letters = { money }
percent = { $number }%
refund-full = Zwrócona zostanie pełna kwota: { $total }.
refund-part = Kwota zwrotu: { $amount } z { $total }.
refund-percentage = Zwrot wyniesie { $percent } ceny.
refund-none = Nie nastąpi zwrot pieniędzy.

## The booking

your-booking = Twoja rezerwacja
booking-with = { $service } ({ $person })
greeting = Dzień dobry, { $name }!
greeting-nameless = Dzień dobry!
service = Usługa
with = Z kim
before = Poprzedni termin
labelled = { $label }: { $value }
when = Kiedy
where = Gdzie
join = Dołącz
when-here = { $when }, w Twojej strefie czasowej
when-there = { $when }, czas lokalny drugiej osoby
time-zones = Strefa czasowa
clocks-change = Przed tym terminem nastąpi zmiana czasu.

## The reminder

reminder-subject = Przypomnienie: { $service } { $starts-in }, { $when }
reminder-opening = { $booking } zaczyna się { $starts-in }.
reminder-short = Przypomnienie: { $booking } { $starts-in }, { $when }

## The reminder of several bookings of a day

grouped-reminder-subject = { $count ->
    [one] Przypomnienie o { $count } rezerwacji: { $day }
    [few] Przypomnienie o { $count } rezerwacjach: { $day }
    [many] Przypomnienie o { $count } rezerwacjach: { $day }
   *[other] Przypomnienie o { $count } rezerwacji: { $day }
}
grouped-reminder-opening = { $count ->
    [one] Przypominamy o rezerwacji na ten dzień: { $day }.
    [few] Przypominamy o { $count } rezerwacjach na ten dzień: { $day }.
    [many] Przypominamy o { $count } rezerwacjach na ten dzień: { $day }.
   *[other] Przypominamy o { $count } rezerwacji na ten dzień: { $day }.
}
grouped-reminder-short = { grouped-reminder-subject }; pierwsza: { $first }, { $booking }

## Confirmed

confirmed-subject = Rezerwacja potwierdzona: { $booking }, { $when }
confirmed-opening = { $audience ->
    [provider] Poniższa rezerwacja jest potwierdzona.
   *[customer] Twoja rezerwacja jest potwierdzona.
}
confirmed-short = { confirmed-subject }

## Rescheduled

rescheduled-subject = Zmiana terminu rezerwacji: { $booking }, nowy termin: { $when }
rescheduled-opening = { $audience ->
    [provider] Termin poniższej rezerwacji został zmieniony.
   *[customer] Termin Twojej rezerwacji został zmieniony.
}
rescheduled-short = { rescheduled-subject }

## Cancelled

cancelled-subject = Rezerwacja anulowana: { $booking }, { $when }
cancelled-opening = { $by ->
    [you] Ta rezerwacja została anulowana przez Ciebie.
    [customer] Ta rezerwacja została anulowana przez klienta.
    [provider] Ta rezerwacja została anulowana przez usługodawcę.
    [business] Anulowaliśmy tę rezerwację.
   *[unknown] Ta rezerwacja została anulowana.
}
cancelled-short = { cancelled-subject }

## Expired

expired-subject = Rezerwacja wygasła: { $booking }, { $when }
expired-opening = Ta rezerwacja wygasła, ponieważ jej termin minął.
expired-short = Rezerwacja nieaktualna: { $booking }, { $when }

## Follow-up

follow-up-subject = { $audience ->
    [provider] Rezerwacja zrealizowana: { $booking }, { $when }
   *[customer] Dziękujemy za rezerwację: { $booking }, { $when }
}
follow-up-opening = { $audience ->
    [provider] Poniższa rezerwacja została zrealizowana.
   *[customer] Dziękujemy za rezerwację. Mamy nadzieję, że wkrótce znów się zobaczymy.
}
follow-up-short = { $audience ->
    [provider] Rezerwacja zrealizowana: { $booking }, { $when }
   *[customer] Rezerwacja zrealizowana: { $booking }, { $when }. Zapraszamy ponownie!
}

## The digest of a day

digest-subject = { $count ->
    [one] { $count } rezerwacja: { $day }
    [few] { $count } rezerwacje: { $day }
    [many] { $count } rezerwacji: { $day }
   *[other] { $count } rezerwacji: { $day }
}
digest-opening = { $count ->
    [one] Masz jedną rezerwację na ten dzień: { $day }.
    [few] Masz { $count } rezerwacje na ten dzień: { $day }.
    [many] Masz { $count } rezerwacji na ten dzień: { $day }.
   *[other] Masz { $count } rezerwacji na ten dzień: { $day }.
}
digest-more = { $count ->
    [one] Masz jeszcze jedną rezerwację, której nie ma na tej liście.
    [few] Masz jeszcze { $count } rezerwacje, których nie ma na tej liście.
    [many] Masz jeszcze { $count } rezerwacji, których nie ma na tej liście.
   *[other] Masz jeszcze { $count } rezerwacji, których nie ma na tej liście.
}
digest-short = { digest-subject }; pierwsza: { $first }, { $booking }

## What people choose

choose-messages = Wybierz, jakie wiadomości chcesz otrzymywać
your-messages = Twoje wiadomości
messages-explained = Wybierz, które wiadomości o swoich rezerwacjach chcesz otrzymywać e-mailem.
message-kind = { $kind ->
    [reminder] Przypomnienia
    [confirmed] Potwierdzenie rezerwacji
    [rescheduled] Zmiana terminu rezerwacji
    [cancelled] Anulowanie rezerwacji
    [expired] Wygaśnięcie rezerwacji
    [digest] Plan dnia
   *[follow-up] Po realizacji rezerwacji
}
unsubscribe-from = Zrezygnuj z wiadomości: { $kind }
unsubscribed-from = Nie będziesz już otrzymywać tych wiadomości: { $kind }
choices-saved = Twój wybór został zapisany.
save = Zapisz
language = Język
language-name = Polski
link-broken = Ten link nie działa
link-broken-explained = Może być niepełny lub zbyt stary. Użyj linku z nowszej wiadomości.
page-unavailable = Nie udało się
page-unavailable-explained = Nic nie zostało zmienione. Spróbuj ponownie za minutę.

## Whether they will come

attend = Będę
cannot-attend = Nie mogę przyjść
attendance-question = Czy przyjdziesz?
# The same in an SMS that can be answered. C and N stay as they are.
attendance-question-sms = Odpisz C, gdy przyjdziesz, N, gdy nie.
attendance-saved = Dziękujemy. Do zobaczenia!
cancel-question = Anulować tę rezerwację?
cancel-booking = Anuluj rezerwację
cancel-booking-sms = Anulowanie rezerwacji
booking-cancelled = Twoja rezerwacja została anulowana
cannot-cancel = Tej rezerwacji nie można tu anulować
cannot-cancel-explained = Skontaktuj się z nami.
contact-sms = Prosimy o kontakt.
terms-changed = Zmienił się termin lub kwota zwrotu. Sprawdź ponownie.
link-over = Ten link nie jest już ważny
link-over-explained = Usługa już się rozpoczęła albo rezerwacja została anulowana lub zmieniona.

## Time zones (scripts/zones)

zone-name = { $zone ->
    [Acre-standard] Acre (czas standardowy)
    [Afghanistan] czas Afganistan
    [Africa_Central] czas środkowoafrykański
    [Africa_Eastern] czas wschodnioafrykański
    [Africa_Southern] czas południowoafrykański
    [Africa_Western] czas zachodnioafrykański
    [Alaska] czas Alaska
    [Amazon-standard] czas amazoński standardowy
    [America_Central] czas środkowoamerykański
    [America_Central-standard] czas środkowoamerykański standardowy
    [America_Eastern] czas wschodnioamerykański
    [America_Eastern-standard] czas wschodnioamerykański standardowy
    [America_Mountain] czas górski
    [America_Mountain-standard] czas górski standardowy
    [America_Pacific] czas pacyficzny
    [Apia-standard] Apia (czas standardowy)
    [Arabian-standard] Półwysep Arabski (czas standardowy)
    [Argentina-standard] Argentyna (czas standardowy)
    [Armenia-standard] Armenia (czas standardowy)
    [Atlantic] czas atlantycki
    [Atlantic-standard] czas atlantycki standardowy
    [Australia_Central] czas środkowoaustralijski
    [Australia_Central-standard] czas środkowoaustralijski standardowy
    [Australia_CentralWestern-standard] czas środkowo-zachodnioaustralijski standardowy
    [Australia_Eastern] czas wschodnioaustralijski
    [Australia_Eastern-standard] czas wschodnioaustralijski standardowy
    [Australia_Western-standard] czas zachodnioaustralijski standardowy
    [Azerbaijan-standard] Azerbejdżan (czas standardowy)
    [Azores] czas Azory
    [Bangladesh-standard] Bangladesz (czas standardowy)
    [Bhutan] czas Bhutan
    [Bolivia] czas Boliwia
    [Brasilia-standard] Brasília (czas standardowy)
    [British] czas Wielka Brytania
    [Brunei] czas Brunei
    [Cape_Verde-standard] Wyspy Zielonego Przylądka (czas standardowy)
    [Chamorro] czas Czamorro
    [Chatham] czas Chatham
    [Chile] czas Chile
    [Chile-standard] Chile (czas standardowy)
    [China-standard] Chiny (czas standardowy)
    [Christmas] czas Wyspa Bożego Narodzenia
    [Cocos] czas Wyspy Kokosowe
    [Colombia-standard] Kolumbia (czas standardowy)
    [Cook-standard] Wyspy Cooka (czas standardowy)
    [Cuba] czas Kuba
    [Davis] czas Davis
    [DumontDUrville] czas Dumont-d’Urville
    [East_Timor] czas Timor Wschodni
    [Easter] czas Wyspa Wielkanocna
    [Ecuador] czas Ekwador
    [Europe_Central] czas środkowoeuropejski
    [Europe_Central-standard] czas środkowoeuropejski standardowy
    [Europe_Eastern] czas wschodnioeuropejski
    [Europe_Eastern-standard] czas wschodnioeuropejski standardowy
    [Europe_Western] czas zachodnioeuropejski
    [Falkland-standard] Falklandy (czas standardowy)
    [Fiji-standard] Fidżi (czas standardowy)
    [French_Guiana] czas Gujana Francuska
    [French_Southern] czas Francuskie Terytoria Południowe i Antarktyczne
    [GMT] czas uniwersalny
    [Galapagos] czas Galapagos
    [Gambier] czas Wyspy Gambiera
    [Georgia-standard] Gruzja (czas standardowy)
    [Gilbert_Islands] czas Wyspy Gilberta
    [Greenland] czas Grenlandia
    [Gulf] czas Zatoka Perska
    [Guyana] czas Gujana
    [Hawaii] Hawaje (czas standardowy)
    [Hawaii_Aleutian] czas Hawaje-Aleuty
    [Hong_Kong-standard] Hongkong (czas standardowy)
    [Hovd-standard] Kobdo (czas standardowy)
    [India] czas indyjski standardowy
    [Indian_Ocean] czas Ocean Indyjski
    [Indochina] czas indochiński
    [Indonesia_Central] czas Indonezja Środkowa
    [Indonesia_Eastern] czas Indonezja Wschodnia
    [Indonesia_Western] czas Indonezja Zachodnia
    [Iran-standard] Iran (czas standardowy)
    [Irish] czas irlandzki
    [Irkutsk-standard] Irkuck (czas standardowy)
    [Israel] czas Izrael
    [Japan-standard] Japonia (czas standardowy)
    [Kamchatka-standard] Kamczatka (czas standardowy)
    [Kazakhstan] czas Kazachstan
    [Korea-standard] Korea (czas standardowy)
    [Kosrae] czas Kosrae
    [Krasnoyarsk-standard] Krasnojarsk (czas standardowy)
    [Kyrgystan] czas Kirgistan
    [Line_Islands] czas Line Islands
    [Lord_Howe] czas Lord Howe
    [Magadan-standard] Magadan (czas standardowy)
    [Malaysia] czas Malezja
    [Maldives] czas Malediwy
    [Marquesas] czas Markizy
    [Marshall_Islands] czas Wyspy Marshalla
    [Mauritius-standard] Mauritius (czas standardowy)
    [Mawson] czas Mawson
    [Mexico_Pacific-standard] Meksyk (czas pacyficzny standardowy)
    [Mongolia-standard] Ułan Bator (czas standardowy)
    [Moscow-standard] Moskwa (czas standardowy)
    [Myanmar] czas Mjanma
    [Nauru] czas Nauru
    [Nepal] czas Nepal
    [New_Caledonia-standard] Nowa Kaledonia (czas standardowy)
    [New_Zealand] czas Nowa Zelandia
    [Newfoundland] czas Nowa Fundlandia
    [Niue] czas Niue
    [Norfolk] czas Norfolk
    [Noronha-standard] Fernando de Noronha (czas standardowy)
    [Omsk-standard] Omsk (czas standardowy)
    [Pakistan-standard] Pakistan (czas standardowy)
    [Palau] czas Palau
    [Papua_New_Guinea] czas Papua-Nowa Gwinea
    [Paraguay-standard] Paragwaj (czas standardowy)
    [Peru-standard] Peru (czas standardowy)
    [Philippines-standard] Filipiny (czas standardowy)
    [Phoenix_Islands] czas Feniks
    [Pierre_Miquelon] czas Saint-Pierre i Miquelon
    [Pitcairn] czas Pitcairn
    [Ponape] czas Pohnpei
    [Reunion] czas Reunion
    [Rothera] czas Rothera
    [Samara-standard] Samara (czas standardowy)
    [Samoa] Samoa (czas standardowy)
    [Seychelles] czas Seszele
    [Singapore] czas Singapur
    [Solomon] czas Wyspy Salomona
    [South_Georgia] czas Georgia Południowa
    [Suriname] czas Surinam
    [Syowa] czas Syowa
    [Tahiti] czas Tahiti
    [Taipei-standard] Tajpej (czas standardowy)
    [Tajikistan] czas Tadżykistan
    [Tokelau] czas Tokelau
    [Tonga-standard] Tonga (czas standardowy)
    [Truk] czas Chuuk
    [Turkey-standard] Turcja (czas standardowy)
    [Turkmenistan-standard] Turkmenistan (czas standardowy)
    [Tuvalu] czas Tuvalu
    [Uruguay-standard] Urugwaj (czas standardowy)
    [Urumqi] czas Urumczi
    [Uzbekistan-standard] Uzbekistan (czas standardowy)
    [Vanuatu-standard] Vanuatu (czas standardowy)
    [Venezuela] czas Wenezuela
    [Vladivostok-standard] Władywostok (czas standardowy)
    [Vostok] czas Wostok
    [Wake] czas Wake
    [Wallis] czas Wallis i Futuna
    [Yakutsk-standard] Jakuck (czas standardowy)
    [Yekaterinburg-standard] Jekaterynburg (czas standardowy)
    [Yukon] czas Jukon
   *[other] UTC
}

## Currencies (scripts/currencies)

currency-sign = { $currency ->
    [BRL] R$
    [EUR] €
    [PLN] zł
    [XAF] FCFA
    [XCD] EC$
    [XOF] F CFA
    [XPF] CFPF
   *[other] { $currency }
}
