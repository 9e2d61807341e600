### French. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
sms-alphabet = gsm-7
weekday = { $weekday ->
    [1] lundi
    [2] mardi
    [3] mercredi
    [4] jeudi
    [5] vendredi
    [6] samedi
   *[7] dimanche
}
weekday-short = { $weekday ->
    [1] lun.
    [2] mar.
    [3] mer.
    [4] jeu.
    [5] ven.
    [6] sam.
   *[7] dim.
}
month = { $month ->
    [1] janvier
    [2] février
    [3] mars
    [4] avril
    [5] mai
    [6] juin
    [7] juillet
    [8] août
    [9] septembre
    [10] octobre
    [11] novembre
   *[12] décembre
}
month-short = { $month ->
    [1] janv.
    [2] févr.
    [3] mars
    [4] avr.
    [5] mai
    [6] juin
    [7] juil.
    [8] août
    [9] sept.
    [10] oct.
    [11] nov.
   *[12] déc.
}
date = { weekday } { $day } { month } { $year }
date-short = { weekday-short } { $day } { month-short }
date-sms = { weekday-short } { $day-padded }/{ $month-padded }
time = { $hour-padded }:{ $minute }
time-range = { $start } – { $end }
date-range = { $start } – { $end }
date-and-time = { $date }, { $time }
time-and-zone = { $time } { $zone }

## Durations

days = { $count ->
    [one] { $count } jour
   *[other] { $count } jours
}
hours = { $count ->
    [one] { $count } heure
   *[other] { $count } heures
}
minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
days-sms = { days }
hours-sms = { hours }
minutes-sms = { minutes }
two-durations = { $first } et { $second }
starts-in = dans { $duration }
starts-now = maintenant

## Money

decimal-separator = ,
group-separator = { "\u202F" }
grouped-from = 4
money = { $amount }{ "\u00A0" }{ $sign }
money-in-letters = { money }
percent = { $number }{ "\u202F" }%
refund-full = Le prix total de { $total } sera remboursé.
refund-part = Un remboursement de { $amount } sur { $total } sera effectué.
refund-percentage = Un remboursement de { $percent } du prix sera effectué.
refund-none = Aucun remboursement ne sera effectué.

## The booking

your-booking = Votre réservation
booking-with = { $service } avec { $person }
greeting = Bonjour { $name },
greeting-nameless = Bonjour,
service = Prestation
with = Avec
before = Ancien horaire
labelled = { $label }{ "\u00A0" }: { $value }
when = Quand
where = Où
join = Participer
when-here = { $when }, dans votre fuseau horaire
when-there = { $when }, heure locale de l’autre personne
time-zones = Fuseau horaire
clocks-change = Le changement d’heure aura lieu d’ici là.

## The reminder

reminder-subject = Rappel{ "\u00A0" }: { $service } { $starts-in }, { $when }
reminder-opening = { $booking } commence { $starts-in }.
reminder-short = Rappel{ "\u00A0" }: { $booking } { $starts-in }, { $when }

## The reminder of several bookings of a day

grouped-reminder-subject = { $count ->
    [one] Rappel{ "\u00A0" }: { $count } réservation le { $day }
   *[other] Rappel{ "\u00A0" }: { $count } réservations le { $day }
}
grouped-reminder-opening = { $count ->
    [one] Pour rappel, vous avez { $count } réservation le { $day }.
   *[other] Pour rappel, vous avez { $count } réservations le { $day }.
}
grouped-reminder-short = { grouped-reminder-subject }{ "\u00A0" }; la première{ "\u00A0" }: { $first }, { $booking }

## Confirmed

confirmed-subject = Réservation confirmée{ "\u00A0" }: { $booking }, { $when }
confirmed-opening = { $audience ->
    [provider] La réservation suivante est confirmée.
   *[customer] Votre réservation est confirmée.
}
confirmed-short = { confirmed-subject }

## Rescheduled

rescheduled-subject = Réservation déplacée{ "\u00A0" }: { $booking }, nouvel horaire{ "\u00A0" }: { $when }
rescheduled-opening = { $audience ->
    [provider] La réservation suivante a été déplacée à un nouvel horaire.
   *[customer] Votre réservation a été déplacée à un nouvel horaire.
}
rescheduled-short = { rescheduled-subject }

## Cancelled

cancelled-subject = Réservation annulée{ "\u00A0" }: { $booking }, { $when }
cancelled-opening = { $by ->
    [you] Vous avez annulé cette réservation.
    [customer] Cette réservation a été annulée par le client.
    [provider] Cette réservation a été annulée par le prestataire.
    [business] Nous avons annulé cette réservation.
   *[unknown] Cette réservation a été annulée.
}
cancelled-short = { cancelled-subject }

## Expired

expired-subject = Réservation expirée{ "\u00A0" }: { $booking }, { $when }
expired-opening = Cette réservation a expiré, car l’horaire prévu est passé.
expired-short = { expired-subject }

## Follow-up

follow-up-subject = { $audience ->
    [provider] Réservation terminée{ "\u00A0" }: { $booking }, { $when }
   *[customer] Merci pour votre réservation{ "\u00A0" }: { $booking }, { $when }
}
follow-up-opening = { $audience ->
    [provider] La réservation suivante est terminée.
   *[customer] Merci pour votre réservation. Nous espérons vous revoir bientôt.
}
follow-up-short = { follow-up-subject }

## The digest of a day

digest-subject = { $count ->
    [one] { $count } réservation le { $day }
   *[other] { $count } réservations le { $day }
}
digest-opening = { $count ->
    [one] Vous avez { $count } réservation le { $day }.
   *[other] Vous avez { $count } réservations le { $day }.
}
digest-more = { $count ->
    [one] { $count } autre réservation ne figure pas dans cette liste.
   *[other] { $count } autres réservations ne figurent pas dans cette liste.
}
digest-short = { digest-subject }{ "\u00A0" }; la première{ "\u00A0" }: { $first }, { $booking }

## What people choose

choose-messages = Choisir les messages à recevoir
your-messages = Vos messages
messages-explained = Choisissez les messages que vous souhaitez recevoir par e-mail au sujet de vos réservations.
message-kind = { $kind ->
    [reminder] Rappels
    [confirmed] Réservation confirmée
    [rescheduled] Réservation déplacée
    [cancelled] Réservation annulée
    [expired] Réservation expirée
    [digest] Programme de la journée
   *[follow-up] Après la prestation
}
unsubscribe-from = Se désabonner{ "\u00A0" }: { $kind }
unsubscribed-from = Vous ne recevrez plus ces messages{ "\u00A0" }: { $kind }
choices-saved = Vos choix sont enregistrés.
save = Enregistrer
language = Langue
language-name = Français
link-broken = Ce lien ne fonctionne pas
link-broken-explained = Il est peut-être incomplet ou trop ancien. Veuillez utiliser le lien d’un message plus récent.
page-unavailable = Cela n’a pas fonctionné
page-unavailable-explained = Rien n’a été modifié. Veuillez réessayer dans une minute.

## Whether they will come

attend = Je viendrai
cannot-attend = Je ne peux pas venir
attendance-question = Viendrez-vous{ "\u00A0" }?
# The same in an SMS that can be answered. C and N stay as they are.
attendance-question-sms = Répondez C si vous venez, N sinon.
attendance-saved = Merci. À bientôt{ "\u00A0" }!
cancel-question = Annuler cette réservation{ "\u00A0" }?
cancel-booking = Annuler la réservation
cancel-booking-sms = { cancel-booking }
booking-cancelled = Votre réservation est annulée
cannot-cancel = Cette réservation ne peut pas être annulée ici
cannot-cancel-explained = Veuillez nous contacter.
contact-sms = { cannot-cancel-explained }
terms-changed = L’horaire ou le remboursement a changé. Veuillez vérifier à nouveau.
link-over = Ce lien n’est plus valable
link-over-explained = La prestation a commencé, ou la réservation a été annulée ou modifiée.

## Time zones (scripts/zones)

zone-name = { $zone ->
    [Acre-standard] heure normale de l’Acre
    [Afghanistan] heure de l’Afghanistan
    [Africa_Central] heure normale d’Afrique centrale
    [Africa_Eastern] heure normale d’Afrique de l’Est
    [Africa_Southern] heure normale d’Afrique méridionale
    [Africa_Western] heure d’Afrique de l’Ouest
    [Alaska] heure de l’Alaska
    [Amazon-standard] heure normale de l’Amazonie
    [America_Central] heure du centre nord-américain
    [America_Central-standard] heure normale du centre nord-américain
    [America_Eastern] heure de l’Est nord-américain
    [America_Eastern-standard] heure normale de l’Est nord-américain
    [America_Mountain] heure des Rocheuses
    [America_Mountain-standard] heure normale des Rocheuses
    [America_Pacific] heure du Pacifique nord-américain
    [Apia-standard] heure normale des Samoa occidentales
    [Arabian-standard] heure normale de l’Arabie
    [Argentina-standard] heure normale d’Argentine
    [Armenia-standard] heure normale de l’Arménie
    [Atlantic] heure de l’Atlantique
    [Atlantic-standard] heure normale de l’Atlantique
    [Australia_Central] heure du centre de l’Australie
    [Australia_Central-standard] heure normale du centre de l’Australie
    [Australia_CentralWestern-standard] heure normale du centre-ouest de l’Australie
    [Australia_Eastern] heure de l’Est de l’Australie
    [Australia_Eastern-standard] heure normale de l’Est de l’Australie
    [Australia_Western-standard] heure normale de l’Ouest de l’Australie
    [Azerbaijan-standard] heure normale de l’Azerbaïdjan
    [Azores] heure des Açores
    [Bangladesh-standard] heure normale du Bangladesh
    [Bhutan] heure du Bhoutan
    [Bolivia] heure de Bolivie
    [Brasilia-standard] heure normale de Brasilia
    [British] heure britannique
    [Brunei] heure du Brunei
    [Cape_Verde-standard] heure normale du Cap-Vert
    [Chamorro] heure des Chamorro
    [Chatham] heure des îles Chatham
    [Chile] heure du Chili
    [Chile-standard] heure normale du Chili
    [China-standard] heure normale de la Chine
    [Christmas] heure de l’île Christmas
    [Cocos] heure des îles Cocos
    [Colombia-standard] heure normale de Colombie
    [Cook-standard] heure normale des îles Cook
    [Cuba] heure de Cuba
    [Davis] heure de Davis
    [DumontDUrville] heure de Dumont-d’Urville
    [East_Timor] heure du Timor oriental
    [Easter] heure de l’île de Pâques
    [Ecuador] heure de l’Équateur
    [Europe_Central] heure d’Europe centrale
    [Europe_Central-standard] heure normale d’Europe centrale
    [Europe_Eastern] heure d’Europe de l’Est
    [Europe_Eastern-standard] heure normale d’Europe de l’Est
    [Europe_Western] heure d’Europe de l’Ouest
    [Falkland-standard] heure normale des îles Malouines
    [Fiji-standard] heure normale des îles Fidji
    [French_Guiana] heure de la Guyane française
    [French_Southern] heure des Terres australes et antarctiques françaises
    [GMT] heure moyenne de Greenwich
    [Galapagos] heure des îles Galápagos
    [Gambier] heure des îles Gambier
    [Georgia-standard] heure normale de la Géorgie
    [Gilbert_Islands] heure des îles Gilbert
    [Greenland] heure du Groenland
    [Gulf] heure du Golfe
    [Guyana] heure du Guyana
    [Hawaii] heure d’Hawaï
    [Hawaii_Aleutian] heure d’Hawaï - Aléoutiennes
    [Hong_Kong-standard] heure normale de Hong Kong
    [Hovd-standard] heure normale de Hovd
    [India] heure de l’Inde
    [Indian_Ocean] heure de l’Océan Indien
    [Indochina] heure d’Indochine
    [Indonesia_Central] heure du Centre indonésien
    [Indonesia_Eastern] heure de l’Est indonésien
    [Indonesia_Western] heure de l’Ouest indonésien
    [Iran-standard] heure normale d’Iran
    [Irish] heure irlandaise
    [Irkutsk-standard] heure normale d’Irkoutsk
    [Israel] heure d’Israël
    [Japan-standard] heure normale du Japon
    [Kamchatka-standard] heure normale du Kamtchatka
    [Kazakhstan] heure du Kazakhstan
    [Korea-standard] heure normale de la Corée
    [Kosrae] heure de Kosrae
    [Krasnoyarsk-standard] heure normale de Krasnoïarsk
    [Kyrgystan] heure du Kirghizistan
    [Line_Islands] heure des îles de la Ligne
    [Lord_Howe] heure de Lord Howe
    [Magadan-standard] heure normale de Magadan
    [Malaysia] heure de la Malaisie
    [Maldives] heure des Maldives
    [Marquesas] heure des îles Marquises
    [Marshall_Islands] heure des îles Marshall
    [Mauritius-standard] heure normale de Maurice
    [Mawson] heure de Mawson
    [Mexico_Pacific-standard] heure normale du Pacifique mexicain
    [Mongolia-standard] heure normale d’Oulan-Bator
    [Moscow-standard] heure normale de Moscou
    [Myanmar] heure du Myanmar
    [Nauru] heure de Nauru
    [Nepal] heure du Népal
    [New_Caledonia-standard] heure normale de la Nouvelle-Calédonie
    [New_Zealand] heure de la Nouvelle-Zélande
    [Newfoundland] heure de Terre-Neuve
    [Niue] heure de Niue
    [Norfolk] heure de l’île Norfolk
    [Noronha-standard] heure normale de Fernando de Noronha
    [Omsk-standard] heure normale de Omsk
    [Pakistan-standard] heure normale du Pakistan
    [Palau] heure des Palaos
    [Papua_New_Guinea] heure de la Papouasie-Nouvelle-Guinée
    [Paraguay-standard] heure normale du Paraguay
    [Peru-standard] heure normale du Pérou
    [Philippines-standard] heure normale des Philippines
    [Phoenix_Islands] heure des îles Phoenix
    [Pierre_Miquelon] heure de Saint-Pierre-et-Miquelon
    [Pitcairn] heure des îles Pitcairn
    [Ponape] heure de l’île de Pohnpei
    [Reunion] heure de La Réunion
    [Rothera] heure de Rothera
    [Samara-standard] heure normale de Samara
    [Samoa] heure normale des Samoa
    [Seychelles] heure des Seychelles
    [Singapore] heure de Singapour
    [Solomon] heure des îles Salomon
    [South_Georgia] heure de Géorgie du Sud
    [Suriname] heure du Suriname
    [Syowa] heure de Syowa
    [Tahiti] heure de Tahiti
    [Taipei-standard] heure normale de Taipei
    [Tajikistan] heure du Tadjikistan
    [Tokelau] heure de Tokelau
    [Tonga-standard] heure normale des Tonga
    [Truk] heure de Chuuk
    [Turkey-standard] heure normale de Turquie
    [Turkmenistan-standard] heure normale du Turkménistan
    [Tuvalu] heure des Tuvalu
    [Uruguay-standard] heure normale de l’Uruguay
    [Urumqi] heure d’Ürümqi
    [Uzbekistan-standard] heure normale de l’Ouzbékistan
    [Vanuatu-standard] heure normale du Vanuatu
    [Venezuela] heure du Venezuela
    [Vladivostok-standard] heure normale de Vladivostok
    [Vostok] heure de Vostok
    [Wake] heure de l’île Wake
    [Wallis] heure de Wallis-et-Futuna
    [Yakutsk-standard] heure normale de Iakoutsk
    [Yekaterinburg-standard] heure normale d’Ekaterinbourg
    [Yukon] heure normale du Yukon
   *[other] UTC
}

## Currencies (scripts/currencies)

currency-sign = { $currency ->
    [ARS] $AR
    [AUD] $AU
    [BMD] $BM
    [BND] $BN
    [BRL] R$
    [BZD] $BZ
    [CAD] $CA
    [CLP] $CL
    [COP] $CO
    [EUR] €
    [FJD] $FJ
    [FKP] £FK
    [GBP] £GB
    [GIP] £GI
    [ILS] ₪
    [INR] ₹
    [KRW] ₩
    [LBP] £LB
    [MXN] $MX
    [NAD] $NA
    [NZD] $NZ
    [SBD] $SB
    [SGD] $SG
    [SRD] $SR
    [TTD] $TT
    [USD] $US
    [UYU] $UY
    [VND] ₫
    [WST] $WS
    [XAF] FCFA
    [XCG] Cg.
    [XOF] F CFA
    [XPF] FCFP
   *[other] { $currency }
}
