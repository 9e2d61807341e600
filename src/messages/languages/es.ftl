### Spanish. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
sms-alphabet = gsm-7
weekday = { $weekday ->
    [1] lunes
    [2] martes
    [3] miércoles
    [4] jueves
    [5] viernes
    [6] sábado
   *[7] domingo
}
weekday-short = { $weekday ->
    [1] lun
    [2] mar
    [3] mié
    [4] jue
    [5] vie
    [6] sáb
   *[7] dom
}
month = { $month ->
    [1] enero
    [2] febrero
    [3] marzo
    [4] abril
    [5] mayo
    [6] junio
    [7] julio
    [8] agosto
    [9] septiembre
    [10] octubre
    [11] noviembre
   *[12] diciembre
}
month-short = { $month ->
    [1] ene
    [2] feb
    [3] mar
    [4] abr
    [5] may
    [6] jun
    [7] jul
    [8] ago
    [9] sept
    [10] oct
    [11] nov
   *[12] dic
}
date = { weekday }, { $day } de { month } de { $year }
date-short = { weekday-short }, { $day } { month-short }
date-sms = { $day } { month-short }
time = { $hour }:{ $minute }
time-range = { $start }–{ $end }
date-range = { $start } – { $end }
date-and-time = { $date }, { $time }
time-and-zone = { $time } { $zone }

## Durations

days = { $count ->
    [one] { $count } día
   *[other] { $count } días
}
hours = { $count ->
    [one] { $count } hora
   *[other] { $count } horas
}
minutes = { $count ->
    [one] { $count } minuto
   *[other] { $count } minutos
}
days-sms = { $count } d
hours-sms = { $count } h
minutes-sms = { $count } min
two-durations = { $first } y { $second }
starts-in = dentro de { $duration }
starts-now = ahora

## Money

decimal-separator = ,
group-separator = .
grouped-from = 5
money = { $amount }{ "\u00A0" }{ $sign }
money-in-letters = { money }
percent = { $number }{ "\u00A0" }%
refund-full = Se reembolsará el precio completo de { $total }.
refund-part = Se efectuará un reembolso de { $amount } de un total de { $total }.
refund-percentage = Se reembolsará el { $percent } del precio.
refund-none = No se reembolsará ningún importe.

## The booking

your-booking = Su reserva
booking-with = { $service } con { $person }
greeting = Hola, { $name }:
greeting-nameless = Hola:
service = Servicio
with = Con
before = Horario anterior
labelled = { $label }: { $value }
when = Cuándo
where = Dónde
join = Unirse
when-here = { $when }, en su zona horaria
when-there = { $when }, hora local de la otra persona
time-zones = Zona horaria
clocks-change = Antes de ese momento empieza o termina el horario de verano.

## The reminder

reminder-subject = Recordatorio: { $service } { $starts-in }, { $when }
reminder-opening = { $booking } empieza { $starts-in }.
reminder-short = Recordatorio: { $booking } { $starts-in }, { $when }

## The reminder of several bookings of a day

grouped-reminder-subject = { $count ->
    [one] Recordatorio: { $count } reserva para el { $day }
   *[other] Recordatorio: { $count } reservas para el { $day }
}
grouped-reminder-opening = { $count ->
    [one] Le recordamos que tiene una reserva para el { $day }.
   *[other] Le recordamos que tiene { $count } reservas para el { $day }.
}
grouped-reminder-short = { grouped-reminder-subject }; la primera: { $first }, { $booking }

## Confirmed

confirmed-subject = Reserva confirmada: { $booking }, { $when }
confirmed-opening = { $audience ->
    [provider] La siguiente reserva está confirmada.
   *[customer] Su reserva está confirmada.
}
confirmed-short = { confirmed-subject }

## Rescheduled

rescheduled-subject = Reserva reprogramada: { $booking }, nuevo horario: { $when }
rescheduled-opening = { $audience ->
    [provider] La siguiente reserva se ha reprogramado.
   *[customer] Su reserva se ha reprogramado.
}
rescheduled-short = { rescheduled-subject }

## Cancelled

cancelled-subject = Reserva cancelada: { $booking }, { $when }
cancelled-opening = { $by ->
    [you] Usted ha cancelado esta reserva.
    [customer] El cliente ha cancelado esta reserva.
    [provider] El proveedor del servicio ha cancelado esta reserva.
    [business] Hemos cancelado esta reserva.
   *[unknown] Se ha cancelado esta reserva.
}
cancelled-short = { cancelled-subject }

## Expired

expired-subject = Reserva caducada: { $booking }, { $when }
expired-opening = Esta reserva ha caducado porque la hora prevista ya ha pasado.
expired-short = { expired-subject }

## Follow-up

follow-up-subject = { $audience ->
    [provider] Reserva finalizada: { $booking }, { $when }
   *[customer] Gracias por su reserva: { $booking }, { $when }
}
follow-up-opening = { $audience ->
    [provider] La siguiente reserva ha finalizado.
   *[customer] Gracias por su reserva. Esperamos volver a atenderle pronto.
}
follow-up-short = { follow-up-subject }

## The digest of a day

digest-subject = { $count ->
    [one] { $count } reserva para el { $day }
   *[other] { $count } reservas para el { $day }
}
digest-opening = { $count ->
    [one] Tiene una reserva para el { $day }.
   *[other] Tiene { $count } reservas para el { $day }.
}
digest-more = { $count ->
    [one] Hay una reserva más que no figura en esta lista.
   *[other] Hay { $count } reservas más que no figuran en esta lista.
}
digest-short = { digest-subject }; la primera: { $first }, { $booking }

## What people choose

choose-messages = Elegir qué mensajes recibir
your-messages = Sus mensajes
messages-explained = Elija qué mensajes sobre sus reservas desea recibir por correo electrónico.
message-kind = { $kind ->
    [reminder] Recordatorios
    [confirmed] Reserva confirmada
    [rescheduled] Reserva reprogramada
    [cancelled] Reserva cancelada
    [expired] Reserva caducada
    [digest] Resumen del día
   *[follow-up] Después del servicio
}
unsubscribe-from = Darse de baja: { $kind }
unsubscribed-from = Ya no recibirá estos mensajes: { $kind }
choices-saved = Sus preferencias se han guardado.
save = Guardar
language = Idioma
language-name = Español
link-broken = Este enlace no funciona
link-broken-explained = Puede que esté incompleto o sea demasiado antiguo. Utilice el enlace de un mensaje más reciente.
page-unavailable = No ha funcionado
page-unavailable-explained = No se ha cambiado nada. Inténtelo de nuevo dentro de un minuto.

## Whether they will come

attend = Asistiré
cannot-attend = No puedo asistir
attendance-question = ¿Asistirá?
# The same in an SMS that can be answered. C and N stay as they are.
attendance-question-sms = Responda C si viene, N si no puede.
attendance-saved = Gracias. ¡Hasta entonces!
cancel-question = ¿Cancelar esta reserva?
cancel-booking = Cancelar la reserva
cancel-booking-sms = { cancel-booking }
booking-cancelled = Se ha cancelado su reserva
cannot-cancel = Esta reserva no se puede cancelar aquí
cannot-cancel-explained = Póngase en contacto con nosotros.
contact-sms = Contacte con nosotros.
terms-changed = El horario o el reembolso ha cambiado. Revíselo de nuevo.
link-over = Este enlace ya no es válido
link-over-explained = El servicio ha comenzado, o la reserva se ha cancelado o modificado.

## Time zones (scripts/zones)

zone-name = { $zone ->
    [Acre-standard] hora estándar de Acre
    [Afghanistan] hora de Afganistán
    [Africa_Central] hora de África central
    [Africa_Eastern] hora de África oriental
    [Africa_Southern] hora de Sudáfrica
    [Africa_Western] hora de África occidental
    [Alaska] hora de Alaska
    [Amazon-standard] hora estándar del Amazonas
    [America_Central] hora central
    [America_Central-standard] hora estándar central
    [America_Eastern] hora oriental
    [America_Eastern-standard] hora estándar oriental
    [America_Mountain] hora de las Montañas Rocosas
    [America_Mountain-standard] hora estándar de las Montañas Rocosas
    [America_Pacific] hora del Pacífico
    [Apia-standard] hora estándar de Apia
    [Arabian-standard] hora estándar de Arabia
    [Argentina-standard] hora estándar de Argentina
    [Armenia-standard] hora estándar de Armenia
    [Atlantic] hora del Atlántico
    [Atlantic-standard] hora estándar del Atlántico
    [Australia_Central] hora de Australia central
    [Australia_Central-standard] hora estándar de Australia central
    [Australia_CentralWestern-standard] hora estándar de Australia centroccidental
    [Australia_Eastern] hora de Australia oriental
    [Australia_Eastern-standard] hora estándar de Australia oriental
    [Australia_Western-standard] hora estándar de Australia occidental
    [Azerbaijan-standard] hora estándar de Azerbaiyán
    [Azores] hora de las Azores
    [Bangladesh-standard] hora estándar de Bangladés
    [Bhutan] hora de Bután
    [Bolivia] hora de Bolivia
    [Brasilia-standard] hora estándar de Brasilia
    [British] hora británica
    [Brunei] hora de Brunéi
    [Cape_Verde-standard] hora estándar de Cabo Verde
    [Chamorro] hora estándar de Chamorro
    [Chatham] hora de Chatham
    [Chile] hora de Chile
    [Chile-standard] hora estándar de Chile
    [China-standard] hora estándar de China
    [Christmas] hora de la Isla de Navidad
    [Cocos] hora de las Islas Cocos
    [Colombia-standard] hora estándar de Colombia
    [Cook-standard] hora estándar de las Islas Cook
    [Cuba] hora de Cuba
    [Davis] hora de Davis
    [DumontDUrville] hora de Dumont-d’Urville
    [East_Timor] hora de Timor Oriental
    [Easter] hora de la isla de Pascua
    [Ecuador] hora de Ecuador
    [Europe_Central] hora de Europa central
    [Europe_Central-standard] hora estándar de Europa central
    [Europe_Eastern] hora de Europa oriental
    [Europe_Eastern-standard] hora estándar de Europa oriental
    [Europe_Western] hora de Europa occidental
    [Falkland-standard] hora estándar de las islas Malvinas
    [Fiji-standard] hora estándar de Fiyi
    [French_Guiana] hora de la Guayana Francesa
    [French_Southern] hora de Antártida y Territorios Australes Franceses
    [GMT] hora del meridiano de Greenwich
    [Galapagos] hora de Galápagos
    [Gambier] hora de Gambier
    [Georgia-standard] hora estándar de Georgia
    [Gilbert_Islands] hora de las islas Gilbert
    [Greenland] hora de Groenlandia
    [Gulf] hora estándar del Golfo
    [Guyana] hora de Guyana
    [Hawaii] hora estándar de Hawái y Aleutianas
    [Hawaii_Aleutian] hora de Hawái-Aleutianas
    [Hong_Kong-standard] hora estándar de Hong Kong
    [Hovd-standard] hora estándar de Hovd
    [India] hora estándar de la India
    [Indian_Ocean] hora del océano Índico
    [Indochina] hora de Indochina
    [Indonesia_Central] hora de Indonesia central
    [Indonesia_Eastern] hora de Indonesia oriental
    [Indonesia_Western] hora de Indonesia occidental
    [Iran-standard] hora estándar de Irán
    [Irish] hora de Irlanda
    [Irkutsk-standard] hora estándar de Irkutsk
    [Israel] hora de Israel
    [Japan-standard] hora estándar de Japón
    [Kamchatka-standard] hora estándar de Kamchatka
    [Kazakhstan] hora de Kazajistán
    [Korea-standard] hora estándar de Corea
    [Kosrae] hora de Kosrae
    [Krasnoyarsk-standard] hora estándar de Krasnoyarsk
    [Kyrgystan] hora de Kirguistán
    [Line_Islands] hora de las Espóradas Ecuatoriales
    [Lord_Howe] hora de Lord Howe
    [Magadan-standard] hora estándar de Magadán
    [Malaysia] hora de Malasia
    [Maldives] hora de Maldivas
    [Marquesas] hora de Marquesas
    [Marshall_Islands] hora de las Islas Marshall
    [Mauritius-standard] hora estándar de Mauricio
    [Mawson] hora de Mawson
    [Mexico_Pacific-standard] hora estándar del Pacífico de México
    [Mongolia-standard] hora estándar de Ulán Bator
    [Moscow-standard] hora estándar de Moscú
    [Myanmar] hora de Myanmar
    [Nauru] hora de Nauru
    [Nepal] hora de Nepal
    [New_Caledonia-standard] hora estándar de Nueva Caledonia
    [New_Zealand] hora de Nueva Zelanda
    [Newfoundland] hora de Terranova
    [Niue] hora de Niue
    [Norfolk] hora de la isla Norfolk
    [Noronha-standard] hora estándar de Fernando de Noronha
    [Omsk-standard] hora estándar de Omsk
    [Pakistan-standard] hora estándar de Pakistán
    [Palau] hora de Palaos
    [Papua_New_Guinea] hora de Papúa Nueva Guinea
    [Paraguay-standard] hora estándar de Paraguay
    [Peru-standard] hora estándar de Perú
    [Philippines-standard] hora estándar de Filipinas
    [Phoenix_Islands] hora de las Islas Fénix
    [Pierre_Miquelon] hora de San Pedro y Miquelón
    [Pitcairn] hora de Pitcairn
    [Ponape] hora de Pohnpei
    [Reunion] hora de Reunión
    [Rothera] hora de Rothera
    [Samara-standard] hora estándar de Samara
    [Samoa] hora estándar de Samoa
    [Seychelles] hora de Seychelles
    [Singapore] hora de Singapur
    [Solomon] hora de las Islas Salomón
    [South_Georgia] hora de Georgia del Sur
    [Suriname] hora de Surinam
    [Syowa] hora de Syowa
    [Tahiti] hora de Tahití
    [Taipei-standard] hora estándar de Taipéi
    [Tajikistan] hora de Tayikistán
    [Tokelau] hora de Tokelau
    [Tonga-standard] hora estándar de Tonga
    [Truk] hora de Chuuk
    [Turkey-standard] hora estándar de Turquía
    [Turkmenistan-standard] hora estándar de Turkmenistán
    [Tuvalu] hora de Tuvalu
    [Uruguay-standard] hora estándar de Uruguay
    [Urumqi] hora de Urumqi
    [Uzbekistan-standard] hora estándar de Uzbekistán
    [Vanuatu-standard] hora estándar de Vanuatu
    [Venezuela] hora de Venezuela
    [Vladivostok-standard] hora estándar de Vladivostok
    [Vostok] hora de Vostok
    [Wake] hora de la isla Wake
    [Wallis] hora de Wallis y Futuna
    [Yakutsk-standard] hora estándar de Yakutsk
    [Yekaterinburg-standard] hora estándar de Ekaterimburgo
    [Yukon] hora de Yukón
   *[other] UTC
}

## Currencies (scripts/currencies)

currency-sign = { $currency ->
    [EUR] €
    [THB] ฿
    [USD] US$
    [VND] ₫
    [XCG] Cg.
    [XPF] CFPF
   *[other] { $currency }
}
