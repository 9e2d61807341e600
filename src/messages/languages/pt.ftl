### Portuguese. docs/languages.md says what each text is, and which variables it takes.

## Dates and times

direction = ltr
sms-alphabet = gsm-7
weekday = { $weekday ->
    [1] segunda-feira
    [2] terça-feira
    [3] quarta-feira
    [4] quinta-feira
    [5] sexta-feira
    [6] sábado
   *[7] domingo
}
weekday-short = { $weekday ->
    [1] seg.
    [2] ter.
    [3] qua.
    [4] qui.
    [5] sex.
    [6] sáb.
   *[7] dom.
}
month = { $month ->
    [1] janeiro
    [2] fevereiro
    [3] março
    [4] abril
    [5] maio
    [6] junho
    [7] julho
    [8] agosto
    [9] setembro
    [10] outubro
    [11] novembro
   *[12] dezembro
}
month-short = { $month ->
    [1] jan.
    [2] fev.
    [3] mar.
    [4] abr.
    [5] mai.
    [6] jun.
    [7] jul.
    [8] ago.
    [9] set.
    [10] out.
    [11] nov.
   *[12] dez.
}
date = { weekday }, { $day } de { month } de { $year }
date-short = { weekday-short }, { $day } de { month-short }
date-sms = { $day } de { month-short }
time = { $hour-padded }:{ $minute }
time-range = { $start } – { $end }
date-range = { $start } – { $end }
date-and-time = { $date }, { $time }
time-and-zone = { $time } { $zone }

## Durations

days = { $count ->
    [one] { $count } dia
   *[other] { $count } dias
}
hours = { $count ->
    [one] { $count } hora
   *[other] { $count } horas
}
minutes = { $count ->
    [one] { $count } minuto
   *[other] { $count } minutos
}
days-sms = { days }
hours-sms = { hours }
minutes-sms = { minutes }
two-durations = { $first } e { $second }
starts-in = em { $duration }
starts-now = agora

## Money

decimal-separator = ,
group-separator = .
grouped-from = 4
money = { $sign }{ "\u00A0" }{ $amount }
money-in-letters = { money }
percent = { $number }%
refund-full = O valor total de { $total } será reembolsado.
refund-part = Será feito um reembolso de { $amount } do total de { $total }.
refund-percentage = Será feito um reembolso de { $percent } do valor total.
refund-none = Não haverá reembolso.

## The booking

your-booking = Sua reserva
booking-with = { $service } com { $person }
greeting = Olá, { $name },
greeting-nameless = Olá,
service = Serviço
with = Com
before = Horário anterior
labelled = { $label }: { $value }
when = Quando
where = Onde
join = Participar
when-here = { $when }, no seu fuso horário
when-there = { $when }, horário local da outra pessoa
time-zones = Fuso horário
clocks-change = Até lá, começa ou termina o horário de verão.

## The reminder

reminder-subject = Lembrete: { $service } { $starts-in }, { $when }
reminder-opening = { $booking } começa { $starts-in }.
reminder-short = Lembrete: { $booking } { $starts-in }, { $when }

## The reminder of several bookings of a day

grouped-reminder-subject = { $count ->
    [one] Lembrete de { $count } reserva: { $day }
   *[other] Lembrete de { $count } reservas: { $day }
}
grouped-reminder-opening = { $count ->
    [one] Lembramos que você tem { $count } reserva neste dia: { $day }.
   *[other] Lembramos que você tem { $count } reservas neste dia: { $day }.
}
grouped-reminder-short = { grouped-reminder-subject }; a primeira: { $first }, { $booking }

## Confirmed

confirmed-subject = Reserva confirmada: { $booking }, { $when }
confirmed-opening = { $audience ->
    [provider] A reserva a seguir está confirmada.
   *[customer] Sua reserva está confirmada.
}
confirmed-short = { confirmed-subject }

## Rescheduled

rescheduled-subject = Reserva remarcada: { $booking }, novo horário: { $when }
rescheduled-opening = { $audience ->
    [provider] A reserva a seguir foi remarcada.
   *[customer] Sua reserva foi remarcada.
}
rescheduled-short = Reserva remarcada: { $booking }, nova data: { $when }

## Cancelled

cancelled-subject = Reserva cancelada: { $booking }, { $when }
cancelled-opening = { $by ->
    [you] Você cancelou esta reserva.
    [customer] Esta reserva foi cancelada pelo cliente.
    [provider] Esta reserva foi cancelada pelo prestador do serviço.
    [business] Cancelamos esta reserva.
   *[unknown] Esta reserva foi cancelada.
}
cancelled-short = { cancelled-subject }

## Expired

expired-subject = Reserva expirada: { $booking }, { $when }
expired-opening = Esta reserva expirou porque o horário já passou.
expired-short = { expired-subject }

## Follow-up

follow-up-subject = { $audience ->
    [provider] Reserva concluída: { $booking }, { $when }
   *[customer] Agradecemos a sua reserva: { $booking }, { $when }
}
follow-up-opening = { $audience ->
    [provider] A reserva a seguir foi concluída.
   *[customer] Agradecemos a sua reserva. Esperamos ver você novamente em breve.
}
follow-up-short = { $audience ->
    [provider] Reserva finalizada: { $booking }, { $when }
   *[customer] Agradecemos a sua reserva: { $booking }, { $when }
}

## The digest of a day

digest-subject = { $count ->
    [one] { $count } reserva: { $day }
   *[other] { $count } reservas: { $day }
}
digest-opening = { $count ->
    [one] Você tem { $count } reserva neste dia: { $day }.
   *[other] Você tem { $count } reservas neste dia: { $day }.
}
digest-more = { $count ->
    [one] Há mais { $count } reserva que não aparece nesta lista.
   *[other] Há mais { $count } reservas que não aparecem nesta lista.
}
digest-short = { digest-subject }; a primeira: { $first }, { $booking }

## What people choose

choose-messages = Escolher quais mensagens receber
your-messages = Suas mensagens
messages-explained = Escolha quais mensagens sobre suas reservas você quer receber por e-mail.
message-kind = { $kind ->
    [reminder] Lembretes
    [confirmed] Reserva confirmada
    [rescheduled] Reserva remarcada
    [cancelled] Reserva cancelada
    [expired] Reserva expirada
    [digest] Resumo do dia
   *[follow-up] Depois do serviço
}
unsubscribe-from = Cancelar inscrição: { $kind }
unsubscribed-from = Você não receberá mais estas mensagens: { $kind }
choices-saved = Suas escolhas foram salvas.
save = Salvar
language = Idioma
language-name = Português
link-broken = Este link não funciona
link-broken-explained = Ele pode estar incompleto ou ser antigo demais. Use o link de uma mensagem mais recente.
page-unavailable = Não deu certo
page-unavailable-explained = Nada foi alterado. Tente novamente em um minuto.

## Whether they will come

attend = Eu vou
cannot-attend = Não posso ir
attendance-question = Você vem?
# The same in an SMS that can be answered. C and N stay as they are.
attendance-question-sms = Responda C para confirmar ou N se houver impedimento.
attendance-saved = Agradecemos a resposta. Até lá!
cancel-question = Cancelar esta reserva?
cancel-booking = Cancelar a reserva
cancel-booking-sms = { cancel-booking }
booking-cancelled = Sua reserva foi cancelada
cannot-cancel = Esta reserva não pode ser cancelada aqui
cannot-cancel-explained = Entre em contato conosco.
contact-sms = { cannot-cancel-explained }
terms-changed = O horário ou o reembolso mudou. Confira novamente.
link-over = Este link não é mais válido
link-over-explained = O serviço já começou, ou a reserva foi cancelada ou alterada.

## Time zones (scripts/zones)

zone-name = { $zone ->
    [Acre-standard] Horário Padrão do Acre
    [Afghanistan] Horário do Afeganistão
    [Africa_Central] Horário da África Central
    [Africa_Eastern] Horário da África Oriental
    [Africa_Southern] Horário Padrão da África do Sul
    [Africa_Western] Horário da África Ocidental
    [Alaska] Horário do Alasca
    [Amazon-standard] Horário Padrão do Amazonas
    [America_Central] Horário Central
    [America_Central-standard] Horário Padrão Central
    [America_Eastern] Horário do Leste
    [America_Eastern-standard] Horário Padrão do Leste
    [America_Mountain] Horário das Montanhas
    [America_Mountain-standard] Horário Padrão das Montanhas
    [America_Pacific] Horário do Pacífico
    [Apia-standard] Horário Padrão de Apia
    [Arabian-standard] Horário Padrão da Arábia
    [Argentina-standard] Horário Padrão da Argentina
    [Armenia-standard] Horário Padrão da Armênia
    [Atlantic] Horário do Atlântico
    [Atlantic-standard] Horário Padrão do Atlântico
    [Australia_Central] Horário da Austrália Central
    [Australia_Central-standard] Horário Padrão da Austrália Central
    [Australia_CentralWestern-standard] Horário Padrão da Austrália Centro-Ocidental
    [Australia_Eastern] Horário da Austrália Oriental
    [Australia_Eastern-standard] Horário Padrão da Austrália Oriental
    [Australia_Western-standard] Horário Padrão da Austrália Ocidental
    [Azerbaijan-standard] Horário Padrão do Azerbaijão
    [Azores] Horário dos Açores
    [Bangladesh-standard] Horário Padrão de Bangladesh
    [Bhutan] Horário do Butão
    [Bolivia] Horário da Bolívia
    [Brasilia-standard] Horário Padrão de Brasília
    [British] Horário Britânico
    [Brunei] Horário de Brunei Darussalam
    [Cape_Verde-standard] Horário Padrão de Cabo Verde
    [Chamorro] Horário de Chamorro
    [Chatham] Horário de Chatham
    [Chile] Horário do Chile
    [Chile-standard] Horário Padrão do Chile
    [China-standard] Horário Padrão da China
    [Christmas] Horário da Ilha Christmas
    [Cocos] Horário das Ilhas Coco
    [Colombia-standard] Horário Padrão da Colômbia
    [Cook-standard] Horário Padrão das Ilhas Cook
    [Cuba] Horário de Cuba
    [Davis] Horário de Davis
    [DumontDUrville] Horário de Dumont-d’Urville
    [East_Timor] Horário do Timor-Leste
    [Easter] Horário da Ilha de Páscoa
    [Ecuador] Horário do Equador
    [Europe_Central] Horário da Europa Central
    [Europe_Central-standard] Horário Padrão da Europa Central
    [Europe_Eastern] Horário da Europa Oriental
    [Europe_Eastern-standard] Horário Padrão da Europa Oriental
    [Europe_Western] Horário da Europa Ocidental
    [Falkland-standard] Horário Padrão das Ilhas Malvinas
    [Fiji-standard] Horário Padrão de Fiji
    [French_Guiana] Horário da Guiana Francesa
    [French_Southern] Horário dos Territórios Franceses do Sul e Antártida
    [GMT] Horário do Meridiano de Greenwich
    [Galapagos] Horário de Galápagos
    [Gambier] Horário de Gambier
    [Georgia-standard] Horário Padrão da Geórgia
    [Gilbert_Islands] Horário das Ilhas Gilberto
    [Greenland] Horário da Groenlândia
    [Gulf] Horário do Golfo
    [Guyana] Horário da Guiana
    [Hawaii] Horário do Havaí
    [Hawaii_Aleutian] Horário do Havaí e Ilhas Aleutas
    [Hong_Kong-standard] Horário Padrão de Hong Kong
    [Hovd-standard] Horário Padrão de Hovd
    [India] Horário Padrão da Índia
    [Indian_Ocean] Horário do Oceano Índico
    [Indochina] Horário da Indochina
    [Indonesia_Central] Horário da Indonésia Central
    [Indonesia_Eastern] Horário da Indonésia Oriental
    [Indonesia_Western] Horário da Indonésia Ocidental
    [Iran-standard] Horário Padrão do Irã
    [Irish] Horário Irlandês
    [Irkutsk-standard] Horário Padrão de Irkutsk
    [Israel] Horário de Israel
    [Japan-standard] Horário Padrão do Japão
    [Kamchatka-standard] Horário Padrão de Kamchatka
    [Kazakhstan] Horário do Cazaquistão
    [Korea-standard] Horário Padrão da Coreia
    [Kosrae] Horário de Kosrae
    [Krasnoyarsk-standard] Horário Padrão de Krasnoyarsk
    [Kyrgystan] Horário do Quirguistão
    [Line_Islands] Horário das Ilhas da Linha
    [Lord_Howe] Horário de Lord Howe
    [Magadan-standard] Horário Padrão de Magadan
    [Malaysia] Horário da Malásia
    [Maldives] Horário das Ilhas Maldivas
    [Marquesas] Horário das Marquesas
    [Marshall_Islands] Horário das Ilhas Marshall
    [Mauritius-standard] Horário Padrão de Maurício
    [Mawson] Horário de Mawson
    [Mexico_Pacific-standard] Horário Padrão do Pacífico Mexicano
    [Mongolia-standard] Horário Padrão de Ulan Bator
    [Moscow-standard] Horário Padrão de Moscou
    [Myanmar] Horário de Mianmar
    [Nauru] Horário de Nauru
    [Nepal] Horário do Nepal
    [New_Caledonia-standard] Horário Padrão da Nova Caledônia
    [New_Zealand] Horário da Nova Zelândia
    [Newfoundland] Horário da Terra Nova
    [Niue] Horário de Niue
    [Norfolk] Horário da Ilha Norfolk
    [Noronha-standard] Horário Padrão de Fernando de Noronha
    [Omsk-standard] Horário Padrão de Omsk
    [Pakistan-standard] Horário Padrão do Paquistão
    [Palau] Horário de Palau
    [Papua_New_Guinea] Horário de Papua-Nova Guiné
    [Paraguay-standard] Horário Padrão do Paraguai
    [Peru-standard] Horário Padrão do Peru
    [Philippines-standard] Horário Padrão das Filipinas
    [Phoenix_Islands] Horário das Ilhas Fênix
    [Pierre_Miquelon] Horário de São Pedro e Miquelão
    [Pitcairn] Horário de Pitcairn
    [Ponape] Horário de Ponape
    [Reunion] Horário de Reunião
    [Rothera] Horário de Rothera
    [Samara-standard] Horário Padrão de Samara
    [Samoa] Horário Padrão de Samoa
    [Seychelles] Horário de Seicheles
    [Singapore] Horário Padrão de Singapura
    [Solomon] Horário das Ilhas Salomão
    [South_Georgia] Horário da Geórgia do Sul
    [Suriname] Horário do Suriname
    [Syowa] Horário de Syowa
    [Tahiti] Horário do Taiti
    [Taipei-standard] Horário Padrão de Taipei
    [Tajikistan] Horário do Tajiquistão
    [Tokelau] Horário de Tokelau
    [Tonga-standard] Horário Padrão de Tonga
    [Truk] Horário de Chuuk
    [Turkey-standard] Horário Padrão da Turquia
    [Turkmenistan-standard] Horário Padrão do Turcomenistão
    [Tuvalu] Horário de Tuvalu
    [Uruguay-standard] Horário Padrão do Uruguai
    [Urumqi] Horário de Ürümqi
    [Uzbekistan-standard] Horário Padrão do Uzbequistão
    [Vanuatu-standard] Horário Padrão de Vanuatu
    [Venezuela] Horário da Venezuela
    [Vladivostok-standard] Horário Padrão de Vladivostok
    [Vostok] Horário de Vostok
    [Wake] Horário das Ilhas Wake
    [Wallis] Horário de Wallis e Futuna
    [Yakutsk-standard] Horário Padrão de Yakutsk
    [Yekaterinburg-standard] Horário Padrão de Ecaterimburgo
    [Yukon] Horário do Yukon
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
    [JPY] JP¥
    [KRW] ₩
    [MXN] MX$
    [NZD] NZ$
    [THB] ฿
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
