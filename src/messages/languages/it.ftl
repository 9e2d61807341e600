### Italian. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
sms-alphabet = gsm-7
weekday = { $weekday ->
    [1] lunedì
    [2] martedì
    [3] mercoledì
    [4] giovedì
    [5] venerdì
    [6] sabato
   *[7] domenica
}
weekday-short = { $weekday ->
    [1] lun
    [2] mar
    [3] mer
    [4] gio
    [5] ven
    [6] sab
   *[7] dom
}
month = { $month ->
    [1] gennaio
    [2] febbraio
    [3] marzo
    [4] aprile
    [5] maggio
    [6] giugno
    [7] luglio
    [8] agosto
    [9] settembre
    [10] ottobre
    [11] novembre
   *[12] dicembre
}
month-short = { $month ->
    [1] gen
    [2] feb
    [3] mar
    [4] apr
    [5] mag
    [6] giu
    [7] lug
    [8] ago
    [9] set
    [10] ott
    [11] nov
   *[12] dic
}
date = { weekday } { $day } { month } { $year }
date-short = { weekday-short } { $day } { month-short }
date-sms = { date-short }
time = { $hour-padded }:{ $minute }
time-range = { $start }–{ $end }
date-range = { $start } – { $end }
date-and-time = { $date }, { $time }
time-and-zone = { $time } { $zone }

## Durations

days = { $count ->
    [one] { $count } giorno
   *[other] { $count } giorni
}
hours = { $count ->
    [one] { $count } ora
   *[other] { $count } ore
}
minutes = { $count ->
    [one] { $count } minuto
   *[other] { $count } minuti
}
days-sms = { days }
hours-sms = { hours }
minutes-sms = { minutes }
two-durations = { $first } e { $second }
starts-in = tra { $duration }
starts-now = adesso

## Money

decimal-separator = ,
group-separator = .
grouped-from = 5
money = { $amount }{ "\u00A0" }{ $sign }
money-in-letters = { money }
percent = { $number }%
refund-full = Sarà rimborsato l’intero prezzo di { $total }.
refund-part = Sarà effettuato un rimborso di { $amount } su { $total }.
refund-percentage = Rimborso previsto: { $percent } del prezzo.
refund-none = Non è previsto alcun rimborso.

## The booking

your-booking = La Sua prenotazione
booking-with = { $service } con { $person }
greeting = Gentile { $name },
greeting-nameless = Buongiorno,
service = Servizio
with = Con
before = Orario precedente
labelled = { $label }: { $value }
when = Quando
where = Dove
join = Link
when-here = { $when }, nel Suo fuso orario
when-there = { $when }, ora locale dell’altra persona
time-zones = Fuso orario
clocks-change = Prima di allora inizia o termina l’ora legale.

## The reminder

reminder-subject = Promemoria: { $service } { $starts-in }, { $when }
reminder-opening = { $booking } inizia { $starts-in }.
reminder-short = Promemoria: { $booking } { $starts-in }, { $when }

## The reminder of several bookings of a day

grouped-reminder-subject = { $count ->
    [one] Promemoria: { $count } prenotazione per { $day }
   *[other] Promemoria: { $count } prenotazioni per { $day }
}
grouped-reminder-opening = { $count ->
    [one] Le ricordiamo che ha una prenotazione per { $day }.
   *[other] Le ricordiamo che ha { $count } prenotazioni per { $day }.
}
grouped-reminder-short = { grouped-reminder-subject }; la prima: { $first }, { $booking }

## Confirmed

confirmed-subject = Prenotazione confermata: { $booking }, { $when }
confirmed-opening = { $audience ->
    [provider] la prenotazione seguente è confermata.
   *[customer] la Sua prenotazione è confermata.
}
confirmed-short = { confirmed-subject }

## Rescheduled

rescheduled-subject = Prenotazione spostata: { $booking }, nuovo orario: { $when }
rescheduled-opening = { $audience ->
    [provider] la prenotazione seguente è stata spostata a un nuovo orario.
   *[customer] la Sua prenotazione è stata spostata a un nuovo orario.
}
rescheduled-short = { rescheduled-subject }

## Cancelled

cancelled-subject = Prenotazione annullata: { $booking }, { $when }
cancelled-opening = { $by ->
    [you] Lei ha annullato questa prenotazione.
    [customer] questa prenotazione è stata annullata dal cliente.
    [provider] questa prenotazione è stata annullata da chi offre il servizio.
    [business] abbiamo annullato questa prenotazione.
   *[unknown] questa prenotazione è stata annullata.
}
cancelled-short = { cancelled-subject }

## Expired

expired-subject = Prenotazione scaduta: { $booking }, { $when }
expired-opening = questa prenotazione è scaduta perché l’orario previsto è passato.
expired-short = { expired-subject }

## Follow-up

follow-up-subject = { $audience ->
    [provider] Prenotazione conclusa: { $booking }, { $when }
   *[customer] Grazie per la Sua prenotazione: { $booking }, { $when }
}
follow-up-opening = { $audience ->
    [provider] la prenotazione seguente si è conclusa.
   *[customer] grazie per la Sua prenotazione. Speriamo di rivederLa presto.
}
follow-up-short = { follow-up-subject }

## The digest of a day

digest-subject = { $count ->
    [one] { $count } prenotazione per { $day }
   *[other] { $count } prenotazioni per { $day }
}
digest-opening = { $count ->
    [one] ha una prenotazione per { $day }.
   *[other] ha { $count } prenotazioni per { $day }.
}
digest-more = { $count ->
    [one] Un’altra prenotazione non è riportata in questo elenco.
   *[other] Altre { $count } prenotazioni non sono riportate in questo elenco.
}
digest-short = { digest-subject }; la prima: { $first }, { $booking }

## What people choose

choose-messages = Scelga quali messaggi ricevere
your-messages = I Suoi messaggi
messages-explained = Scelga quali messaggi sulle Sue prenotazioni desidera ricevere via e-mail.
message-kind = { $kind ->
    [reminder] Promemoria
    [confirmed] Prenotazione confermata
    [rescheduled] Prenotazione spostata
    [cancelled] Prenotazione annullata
    [expired] Prenotazione scaduta
    [digest] Riepilogo della giornata
   *[follow-up] Dopo il servizio
}
unsubscribe-from = Annulla iscrizione: { $kind }
unsubscribed-from = Non riceverà più questi messaggi: { $kind }
choices-saved = Le Sue scelte sono state salvate.
save = Salva
language = Lingua
language-name = Italiano
link-broken = Questo link non funziona
link-broken-explained = Potrebbe essere incompleto o troppo vecchio. Usi il link di un messaggio più recente.
page-unavailable = Operazione non riuscita
page-unavailable-explained = Non è stato modificato nulla. Riprovi tra un minuto.

## Whether they will come

attend = Ci sarò
cannot-attend = Non posso venire
attendance-question = Sarà presente?
# The same in an SMS that can be answered. C and N stay as they are.
attendance-question-sms = Risponda C se viene, N se non può.
attendance-saved = Grazie. A presto!
cancel-question = Annullare questa prenotazione?
cancel-booking = Annulla la prenotazione
cancel-booking-sms = { cancel-booking }
booking-cancelled = La Sua prenotazione è stata annullata
cannot-cancel = Questa prenotazione non può essere annullata qui
cannot-cancel-explained = La preghiamo di contattarci.
contact-sms = { cannot-cancel-explained }
terms-changed = L’orario o il rimborso è cambiato. Controlli di nuovo.
link-over = Questo link non è più valido
link-over-explained = Il servizio è iniziato, oppure la prenotazione è stata annullata o modificata.

## Time zones (scripts/zones)

zone-name = { $zone ->
    [Acre-standard] Ora standard dell’Acre
    [Afghanistan] Ora dell’Afghanistan
    [Africa_Central] Ora dell’Africa centrale
    [Africa_Eastern] Ora dell’Africa orientale
    [Africa_Southern] Ora dell’Africa meridionale
    [Africa_Western] Ora dell’Africa occidentale
    [Alaska] Ora dell’Alaska
    [Amazon-standard] Ora standard dell’Amazzonia
    [America_Central] Ora centrale USA
    [America_Central-standard] Ora standard centrale USA
    [America_Eastern] Ora orientale USA
    [America_Eastern-standard] Ora standard orientale USA
    [America_Mountain] Ora Montagne Rocciose USA
    [America_Mountain-standard] Ora standard Montagne Rocciose USA
    [America_Pacific] Ora del Pacifico USA
    [Apia-standard] Ora standard delle Samoa occidentali
    [Arabian-standard] Ora standard araba
    [Argentina-standard] Ora standard dell’Argentina
    [Armenia-standard] Ora standard dell’Armenia
    [Atlantic] Ora dell’Atlantico
    [Atlantic-standard] Ora standard dell’Atlantico
    [Australia_Central] Ora dell’Australia centrale
    [Australia_Central-standard] Ora standard dell’Australia centrale
    [Australia_CentralWestern-standard] Ora standard dell’Australia centroccidentale
    [Australia_Eastern] Ora dell’Australia orientale
    [Australia_Eastern-standard] Ora standard dell’Australia orientale
    [Australia_Western-standard] Ora standard dell’Australia occidentale
    [Azerbaijan-standard] Ora standard dell’Azerbaigian
    [Azores] Ora delle Azzorre
    [Bangladesh-standard] Ora standard del Bangladesh
    [Bhutan] Ora del Bhutan
    [Bolivia] Ora della Bolivia
    [Brasilia-standard] Ora standard di Brasilia
    [British] Ora del Regno Unito
    [Brunei] Ora del Brunei Darussalam
    [Cape_Verde-standard] Ora standard di Capo Verde
    [Chamorro] Ora di Chamorro
    [Chatham] Ora delle Chatham
    [Chile] Ora del Cile
    [Chile-standard] Ora standard del Cile
    [China-standard] Ora standard della Cina
    [Christmas] Ora dell’Isola Christmas
    [Cocos] Ora delle Isole Cocos
    [Colombia-standard] Ora standard della Colombia
    [Cook-standard] Ora standard delle isole Cook
    [Cuba] Ora di Cuba
    [Davis] Ora di Davis
    [DumontDUrville] Ora di Dumont-d’Urville
    [East_Timor] Ora di Timor Est
    [Easter] Ora dell’Isola di Pasqua
    [Ecuador] Ora dell’Ecuador
    [Europe_Central] Ora dell’Europa centrale
    [Europe_Central-standard] Ora standard dell’Europa centrale
    [Europe_Eastern] Ora dell’Europa orientale
    [Europe_Eastern-standard] Ora standard dell’Europa orientale
    [Europe_Western] Ora dell’Europa occidentale
    [Falkland-standard] Ora standard delle Isole Falkland
    [Fiji-standard] Ora standard delle Figi
    [French_Guiana] Ora della Guiana francese
    [French_Southern] Ora delle Terre australi e antartiche francesi
    [GMT] Ora del meridiano di Greenwich
    [Galapagos] Ora delle Galapagos
    [Gambier] Ora di Gambier
    [Georgia-standard] Ora standard della Georgia
    [Gilbert_Islands] Ora delle isole Gilbert
    [Greenland] Ora della Groenlandia
    [Gulf] Ora del Golfo
    [Guyana] Ora della Guyana
    [Hawaii] Ora standard delle Hawaii
    [Hawaii_Aleutian] Ora delle isole Hawaii-Aleutine
    [Hong_Kong-standard] Ora standard di Hong Kong
    [Hovd-standard] Ora standard di Hovd
    [India] Ora standard dell’India
    [Indian_Ocean] Ora dell’Oceano Indiano
    [Indochina] Ora dell’Indocina
    [Indonesia_Central] Ora dell’Indonesia centrale
    [Indonesia_Eastern] Ora dell’Indonesia orientale
    [Indonesia_Western] Ora dell’Indonesia occidentale
    [Iran-standard] Ora standard dell’Iran
    [Irish] Ora dell’Irlanda
    [Irkutsk-standard] Ora standard di Irkutsk
    [Israel] Ora di Israele
    [Japan-standard] Ora standard del Giappone
    [Kamchatka-standard] Ora standard della Kamchatka
    [Kazakhstan] Ora del Kazakistan
    [Korea-standard] Ora standard coreana
    [Kosrae] Ora del Kosrae
    [Krasnoyarsk-standard] Ora standard di Krasnoyarsk
    [Kyrgystan] Ora del Kirghizistan
    [Line_Islands] Ora delle Sporadi equatoriali
    [Lord_Howe] Ora di Lord Howe
    [Magadan-standard] Ora standard di Magadan
    [Malaysia] Ora della Malesia
    [Maldives] Ora delle Maldive
    [Marquesas] Ora delle Marchesi
    [Marshall_Islands] Ora delle Isole Marshall
    [Mauritius-standard] Ora standard delle Mauritius
    [Mawson] Ora di Mawson
    [Mexico_Pacific-standard] Ora standard del Pacifico (Messico)
    [Mongolia-standard] Ora standard di Ulan Bator
    [Moscow-standard] Ora standard di Mosca
    [Myanmar] Ora della Birmania
    [Nauru] Ora di Nauru
    [Nepal] Ora del Nepal
    [New_Caledonia-standard] Ora standard della Nuova Caledonia
    [New_Zealand] Ora della Nuova Zelanda
    [Newfoundland] Ora di Terranova
    [Niue] Ora di Niue
    [Norfolk] Ora delle Isole Norfolk
    [Noronha-standard] Ora standard di Fernando de Noronha
    [Omsk-standard] Ora standard di Omsk
    [Pakistan-standard] Ora standard del Pakistan
    [Palau] Ora di Palau
    [Papua_New_Guinea] Ora della Papua Nuova Guinea
    [Paraguay-standard] Ora standard del Paraguay
    [Peru-standard] Ora standard del Perù
    [Philippines-standard] Ora standard delle Filippine
    [Phoenix_Islands] Ora delle Isole della Fenice
    [Pierre_Miquelon] Ora di Saint-Pierre e Miquelon
    [Pitcairn] Ora delle Pitcairn
    [Ponape] Ora di Pohnpei
    [Reunion] Ora di Riunione
    [Rothera] Ora di Rothera
    [Samara-standard] Ora standard di Samara
    [Samoa] Ora standard di Samoa
    [Seychelles] Ora delle Seychelles
    [Singapore] Ora di Singapore
    [Solomon] Ora delle Isole Salomone
    [South_Georgia] Ora della Georgia del Sud
    [Suriname] Ora del Suriname
    [Syowa] Ora di Syowa
    [Tahiti] Ora di Tahiti
    [Taipei-standard] Ora standard di Taipei
    [Tajikistan] Ora del Tagikistan
    [Tokelau] Ora di Tokelau
    [Tonga-standard] Ora standard di Tonga
    [Truk] Ora del Chuuk
    [Turkey-standard] Ora standard della Turchia
    [Turkmenistan-standard] Ora standard del Turkmenistan
    [Tuvalu] Ora di Tuvalu
    [Uruguay-standard] Ora standard dell’Uruguay
    [Urumqi] Ora di Ürümqi
    [Uzbekistan-standard] Ora standard dell’Uzbekistan
    [Vanuatu-standard] Ora standard del Vanuatu
    [Venezuela] Ora del Venezuela
    [Vladivostok-standard] Ora standard di Vladivostok
    [Vostok] Ora di Vostok
    [Wake] Ora dell’Isola di Wake
    [Wallis] Ora di Wallis e Futuna
    [Yakutsk-standard] Ora standard di Yakutsk
    [Yekaterinburg-standard] Ora standard di Ekaterinburg
    [Yukon] Ora dello Yukon
   *[other] UTC
}

## Currencies (scripts/currencies)

currency-sign = { $currency ->
    [AUD] A$
    [CAD] CA$
    [CNY] CN¥
    [EUR] €
    [GBP] £
    [ILS] ₪
    [NZD] NZ$
    [PHP] ₱
    [THB] ฿
    [XAF] FCFA
    [XCD] EC$
    [XCG] Cg.
    [XOF] F CFA
    [XPF] CFPF
   *[other] { $currency }
}
