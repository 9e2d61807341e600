//! The messages and the summary.

use booking_automation::messages::settings::MessageSettings;
use booking_automation::messages::wording::Wording;
use booking_automation::messages::{Kind, render};
use serde_json::Value;

use crate::app::{App, hours, minutes, noon};
use crate::languages::{reminder, written};

#[tokio::test]
async fn messages_and_summary_match_their_snapshots() {
    let mut app = App::new().await;
    app.env
        .insert("PUBLIC_URL", "https://studio.example/app/".to_owned());
    let here = app.confirmed(noon() + hours(24)).await;
    let elsewhere = app.confirmed(noon() + hours(24) + minutes(1)).await;
    let traveller = app
        .person(
            "Ana García-Núñez",
            Some("ana@customers.example"),
            "America/New_York",
        )
        .await;
    app.sql(
        "UPDATE bookings SET customer_id = $2 WHERE id = $1",
        &[&elsewhere, &traveller],
    )
    .await;
    let online = app.confirmed(noon() + minutes(50)).await;
    app.sql(
        "UPDATE bookings SET is_online = true, meeting_link = 'https://meet.example/a?b=1&c=2' WHERE id = $1",
        &[&online],
    )
    .await;
    let mut summary = app.run(noon() + minutes(1)).await;

    // Values that differ between runs.
    summary["run_id"] = Value::from("[uuid]");
    summary["duration_ms"] = Value::from("[ms]");
    insta::assert_json_snapshot!("summary", summary);
    for (id, name) in [
        (here, "mail_at_a_place"),
        (elsewhere, "mail_from_another_zone"),
        (online, "mail_online"),
    ] {
        let event = app
            .column("SELECT id::text FROM booking_automation_events WHERE booking_id = $1 AND status = 'completed' AND event_type = 'reminder_sent'", &[&id])
            .await;
        let mails = app.ses.mails();
        let mail = mails
            .iter()
            .find(|mail| mail.event_id() == event[0])
            .unwrap();
        let rendered = format!("{}\n\n{}\n\n{}", mail.subject(), mail.text(), mail.html())
            .replace(&id.to_string(), "[uuid]");
        insta::assert_snapshot!(name, rendered);
    }
}

#[tokio::test]
async fn customer_and_provider_get_the_service_and_place_of_their_booking() {
    let app = App::new().await;
    let massage = app.confirmed(noon() + hours(24)).await;
    let far_away = app
        .person("Pia Provider", Some("pia@providers.example"), "Asia/Tokyo")
        .await;
    let yoga = app.confirmed(noon() + hours(24)).await;
    app.sql(
        "WITH service AS (INSERT INTO services (provider_id, title) VALUES ($2, 'Yoga') RETURNING id)
         UPDATE bookings SET provider_id = $2, service_id = service.id FROM service WHERE bookings.id = $1",
        &[&yoga, &far_away],
    )
    .await;
    let rows =
        "SELECT concat_ws(', ', audience, email, service, with_name, place_timezone) FROM booking_automation_contacts
                 WHERE booking_id = $1 ORDER BY 1";
    for (id, expected) in [
        (
            massage,
            [
                "customer, carla@customers.example, Massage, Petra Provider, Europe/Vienna",
                "provider, petra@providers.example, Massage, Carla Customer, Europe/Vienna",
            ],
        ),
        (
            yoga,
            [
                "customer, carla@customers.example, Yoga, Pia Provider, Asia/Tokyo",
                "provider, pia@providers.example, Yoga, Carla Customer, Asia/Tokyo",
            ],
        ),
    ] {
        assert_eq!(app.column(rows, &[&id]).await, expected);
    }
}

#[tokio::test]
async fn names_are_escaped_in_subject_text_and_html() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    app.sql(
        "UPDATE users SET display_name = $1",
        &[&"<script>alert(1)</script>\r\nBcc: x@y.example \u{7} \u{202e}\"Q\"\u{2066} & Söhne"],
    )
    .await;
    app.sql(
        "UPDATE services SET title = $1",
        &[&format!("Cut & <b>colour</b>\n{}", "x".repeat(500))],
    )
    .await;
    app.sql(
        "UPDATE bookings SET location = NULL, meeting_link = 'javascript:alert(1)' WHERE id = $1",
        &[&id],
    )
    .await;
    app.run(noon()).await;
    let mails = app.ses.mails();
    let (subject, text, html) = (mails[0].subject(), mails[0].text(), mails[0].html());
    assert!(
        !subject.contains('\n') && subject.chars().count() < 300,
        "{subject}"
    );
    assert!(
        text.contains("with <script>alert(1)</script> Bcc: x\u{2060}@\u{2060}y\u{2060}.\u{2060}example \"Q\" & Söhne starts"),
        "{text}"
    );
    assert!(
        !html.contains("<script") && !html.contains("<b>") && !html.contains("href=\"javascript"),
        "{html}"
    );
    assert!(
        html.contains("&#60;script&#62;") && html.contains("javascript:alert(1)"),
        "the link is shown as text: {html}"
    );
}

#[tokio::test]
async fn a_name_without_visible_characters_is_left_out() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    let nothing = "\u{202e} \u{2066}\t\u{202a}";
    app.sql(
        "UPDATE bookings SET location = $2 WHERE id = $1",
        &[&id, &nothing],
    )
    .await;
    app.sql("UPDATE users SET display_name = $1", &[&nothing])
        .await;
    app.run(noon()).await;
    let mails = app.ses.mails();
    assert!(
        mails[0].text().starts_with("Hello,\n"),
        "{}",
        mails[0].text()
    );
    assert!(
        mails[0]
            .text()
            .lines()
            .all(|line| line.trim_end() == line && !line.contains("Where")),
        "{}",
        mails[0].text()
    );
}

#[tokio::test]
async fn a_name_that_was_cut_ends_in_an_ellipsis() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    // 200 letters of two bytes fit; a place with a space at the cut; a title of one letter too many.
    app.sql("UPDATE users SET display_name = $1", &[&"ö".repeat(200)])
        .await;
    app.sql("UPDATE services SET title = $1", &[&"x".repeat(201)])
        .await;
    app.sql(
        "UPDATE bookings SET location = $2 WHERE id = $1",
        &[&id, &format!("{} yyy", "p".repeat(198))],
    )
    .await;
    app.run(noon()).await;
    let mails = app.ses.mails();
    let (subject, text) = (mails[0].subject(), mails[0].text());
    assert!(
        subject.contains(&format!("{}…", "x".repeat(199))),
        "{subject}"
    );
    assert!(!subject.contains(&"x".repeat(200)), "{subject}");
    assert!(
        text.contains(&format!("Hello {},\n", "ö".repeat(200))),
        "{text}"
    );
    assert!(text.contains(&format!(" {}…", "p".repeat(198))), "{text}");
}

#[test]
fn a_text_is_cut_between_characters_as_people_see_them() {
    let starts_at = "2026-10-25T13:30:00Z".parse().unwrap();
    for (last, is_kept) in [
        // An accent of its own, a family, a flag, a letter with its vowels: the limit lies inside of each.
        ("e\u{301}\u{323}", false),
        ("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}", false),
        ("\u{1f1e6}\u{1f1f9}", false),
        ("\u{915}\u{94d}\u{937}\u{93f}", false),
        ("x", true),
    ] {
        let mut facts = reminder("en", starts_at, "UTC");
        facts.name = Some(format!("{}{last}{}", "a".repeat(198), "b".repeat(50)));
        let mail = written(&facts);
        let kept = if is_kept { last } else { "" };
        let greeting = format!("Hello {}{kept}…,\n", "a".repeat(198));
        assert!(mail.text.starts_with(&greeting), "{last:?}: {}", mail.text);
    }
    // One character of 1000 marks.
    let mut facts = reminder("en", starts_at, "UTC");
    facts.name = Some(format!("a{}", "\u{301}".repeat(1000)));
    assert!(written(&facts).text.starts_with("Hello …,\n"));
}

#[test]
fn a_name_that_holds_a_link_is_not_greeted_and_no_text_becomes_a_link() {
    let starts_at = "2026-10-25T13:30:00Z".parse().unwrap();
    for (name, is_greeted) in [
        ("evil.example/x", false),
        ("Click https://evil.example now", false),
        ("a@b.example", false),
        ("WWW.EVIL.EXAMPLE", false),
        ("пример.рф", false),
        ("ftp://1.2.3.4", false),
        ("Prize: 203.0.113.5/x", false),
        ("Anna 1.2.3, 01.23.45.67.89", true),
        ("Prize: evil.example.", false),
        ("evile\u{301}.example", false),
        ("J. R. R. Tolkien", true),
        ("J.R. Ewing", true),
        ("Dr. Ana García-Núñez, Dipl.-Ing. (FH)", true),
        // A domain of the Seychelles, too.
        ("Ana García-Núñez, M.Sc.", false),
        ("Anna @ Home", true),
        ("3.5", true),
        ("…", true),
    ] {
        let mut facts = reminder("en", starts_at, "UTC");
        for text in [
            &mut facts.name,
            &mut facts.service,
            &mut facts.with_name,
            &mut facts.place,
        ] {
            *text = Some(name.to_owned());
        }
        let mail = written(&facts);
        let greeted = mail.text.starts_with(&format!("Hello {name},"));
        assert_eq!(
            (greeted, mail.text.starts_with("Hello,")),
            (is_greeted, !is_greeted),
            "{name}"
        );
        // An SMS has spaces in place of the joiners, and plain dots.
        let (short, plain) = (&mail.short, name.replace('…', "..."));
        assert_eq!(short.contains(&plain), is_greeted, "{name}: {short}");
        let apart = |text: &str| text.replace(' ', "");
        assert!(apart(short).contains(&apart(&plain)), "{name}: {short}");
        for part in [&mail.subject, &mail.text, &mail.html] {
            assert_eq!(part.contains(name), is_greeted, "{name}: {part}");
            let readable = part.replace('\u{2060}', "");
            assert!(
                readable.contains(&name.replace('/', "&#47;")) || readable.contains(name),
                "{name}: {part}"
            );
        }
    }
}

#[test]
fn a_link_is_recognized_behind_what_is_removed() {
    for name in [
        "evil\u{202e}.example",
        "evil.\u{2066}example",
        "a\u{202a}@b.example",
        "evil.\u{200b}example",
        "evil\u{2060}.\u{ad}example",
        "203.0.\u{200b}113.5",
    ] {
        let mut facts = reminder("en", "2026-10-25T13:30:00Z".parse().unwrap(), "UTC");
        facts.name = Some(name.to_owned());
        let mail = written(&facts);
        assert!(mail.text.starts_with("Hello,\n"), "{name:?}: {}", mail.text);
    }
}

#[test]
fn logo_colour_and_signature_are_the_owners() {
    let settings = |variables: &'static [(&str, &str)]| {
        let lookup = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        MessageSettings::from_environment(&lookup).unwrap()
    };
    let facts = reminder("en", "2026-10-25T13:30:00Z".parse().unwrap(), "UTC");
    let own = settings(&[
        ("PUBLIC_URL", "https://studio.example"),
        (
            "MAIL_LOGO_URL",
            "https://studio.example/logo.png?a=1&b=\"2\"",
        ),
        ("MAIL_COLOR", "#FFCC00"),
        ("MAIL_SIGNATURE", "Studio <Nord>\\nwww.studio.example"),
    ]);
    let mail = render(&Kind::Reminder, &facts, &own, &Wording::default()).unwrap();
    for part in [
        "src=\"https://studio.example/logo.png?a=1&#38;b=%222%22\"",
        "background-color:#ffcc00;",
        ";color:#000000;",
        "<p>Studio &#60;Nord&#62;<br>www.studio.example</p>",
    ] {
        assert!(mail.html.contains(part), "{part}: {}", mail.html);
    }
    assert!(
        mail.text
            .contains("\n\nStudio <Nord>\nwww.studio.example\n\nTime zone: "),
        "{}",
        mail.text
    );
    let plain = render(&Kind::Reminder, &facts, &settings(&[]), &Wording::default()).unwrap();
    for part in ["<img", "href", "studio.example"] {
        assert!(!plain.html.contains(part), "{part}: {}", plain.html);
    }
}

#[tokio::test]
async fn a_meeting_link_is_complete_or_left_out() {
    let app = App::new().await;
    let link =
        |length: usize| format!("https://meet.example/join?context={:x<1$}", "", length - 34);
    for length in [2000, 2001] {
        let id = app.confirmed(noon() + hours(24)).await;
        app.sql(
            "UPDATE bookings SET location = NULL, meeting_link = $2 WHERE id = $1",
            &[&id, &link(length)],
        )
        .await;
    }
    app.run(noon()).await;
    let mails = app.ses.mails();
    let texts: Vec<_> = mails.iter().map(|mail| mail.text().to_owned()).collect();
    let (with, without): (Vec<_>, Vec<_>) =
        texts.iter().partition(|text| text.contains("meet.example"));
    assert_eq!((with.len(), without.len()), (1, 1));
    assert!(
        with[0]
            .lines()
            .any(|line| line == format!("Join: {}", link(2000))),
        "{}",
        with[0]
    );
    let linked = format!("href=\"{}\"", link(2000));
    assert!(
        mails.iter().any(|mail| mail.html().contains(&linked)),
        "the link can be clicked"
    );
}

#[tokio::test]
async fn the_remaining_time_is_written_in_words() {
    let app = App::new().await;
    app.sql(
        "UPDATE reminder_rules SET active = false WHERE name <> '24h'",
        &[],
    )
    .await;
    app.set_clock("2020-01-01T00:00:00Z".parse().unwrap()).await;
    app.sql(
        "UPDATE reminder_rules SET lead = '60 days' WHERE name = '24h'",
        &[],
    )
    .await;
    let mut said = Vec::new();
    for seconds in [
        1, 29, 31, 60, 89, 91, 3540, 3600, 3660, 86_340, 172_740, 172_800, 176_400, 5_184_000,
    ] {
        app.booking("confirmed", noon() + chrono::Duration::seconds(seconds))
            .await;
        app.run(noon()).await;
        let mails = app.ses.mails();
        let text = mails.last().unwrap().text();
        let line = text.lines().find(|line| line.contains("starts")).unwrap();
        said.push(
            line.trim_start_matches("Massage with Petra Provider starts ")
                .to_owned(),
        );
    }
    assert_eq!(
        said,
        [
            "now.",
            "now.",
            "in 1 minute.",
            "in 1 minute.",
            "in 1 minute.",
            "in 2 minutes.",
            "in 59 minutes.",
            "in 1 hour.",
            "in 1 hour 1 minute.",
            "in 23 hours 59 minutes.",
            "in 47 hours 59 minutes.",
            "in 2 days.",
            "in 2 days 1 hour.",
            "in 60 days."
        ]
    );
}

#[tokio::test]
async fn a_time_zone_has_the_name_that_people_know_and_its_iana_name() {
    for (zone, named) in [
        (
            "Europe/Vienna",
            "1:00\u{a0}PM – 2:00\u{a0}PM Central European Time (UTC+01:00)",
        ),
        (
            "America/Sao_Paulo",
            "10:00\u{a0}AM Brasilia Standard Time (UTC\u{2212}03:00)",
        ),
        ("Europe/London", "1:00\u{a0}PM British Time (UTC+00:00)"),
    ] {
        let app = App::new().await;
        let id = app.confirmed(noon() + hours(24)).await;
        let person = app
            .person("Someone", Some("someone@customers.example"), zone)
            .await;
        app.sql(
            "UPDATE bookings SET customer_id = $2 WHERE id = $1",
            &[&id, &person],
        )
        .await;
        app.run(noon()).await;
        let text = app.ses.mails()[0].text().to_owned();
        assert!(text.contains(named), "{zone}: {text}");
        let iana = text.lines().last().unwrap();
        assert!(
            iana.starts_with("Time zone: Europe/Vienna") && iana.ends_with(zone),
            "{iana}"
        );
    }
}

#[tokio::test]
async fn a_sender_name_is_encoded_or_quoted_if_needed() {
    let mut app = App::new().await;
    for (from, header) in [
        (
            "Praxis Müller <praxis@mueller.example>",
            "=?UTF-8?Q?Praxis_M=C3=BCller?= <praxis@mueller.example>",
        ),
        (
            "=?UTF-8?Q?a?= <a@b.example>",
            "=?UTF-8?Q?=3D=3FUTF=2D8=3FQ=3Fa=3F=3D?= <a@b.example>",
        ),
        (
            "Studio \"Nord\", Inc. <a@b.example>",
            "\"Studio \\\"Nord\\\", Inc.\" <a@b.example>",
        ),
        ("<a@b.example>", "a@b.example"),
    ] {
        app.env.insert("EMAIL_FROM", from.to_owned());
        app.confirmed(noon() + hours(24)).await;
        app.run(noon()).await;
        let mails = app.ses.mails();
        let mail = mails.last().unwrap();
        assert_eq!(mail.0["FromEmailAddress"], header);
        assert_eq!(mail.from(), header);
    }
}

#[tokio::test]
async fn each_mail_says_that_a_program_sent_it() {
    let app = App::new().await;
    app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let mails = app.ses.mails();
    assert_eq!(mails[0].header("Auto-Submitted"), "auto-generated");
    assert!(mails[0].reply_to().is_empty());
}

#[tokio::test]
async fn an_answer_goes_to_the_address_that_the_view_gives() {
    let mut app = App::new().await;
    app.db
        .batch_execute(
            "ALTER TABLE users ADD COLUMN answers text;
             DO $$ BEGIN
                 EXECUTE 'CREATE OR REPLACE VIEW booking_automation_contacts AS SELECT shipped.*, u.answers AS reply_to FROM ('
                     || rtrim(pg_get_viewdef('booking_automation_contacts'::regclass), ';')
                     || ') AS shipped LEFT JOIN bookings b ON b.id = shipped.booking_id LEFT JOIN users u ON u.id = b.provider_id';
             END $$",
        )
        .await
        .unwrap();
    for (given, used) in [
        (
            Some("studio@providers.example"),
            Some("studio@providers.example"),
        ),
        (
            Some(" info@bücher.example "),
            Some("info@xn--bcher-kva.example"),
        ),
        (None, None),
        (Some(""), None),
        // What is no address stops no message, and adds no header.
        (Some("a@b.example\r\nBcc: x@y.example"), None),
        (Some("a@b.example, x@y.example"), None),
        (Some("jürgen@b.example"), None),
    ] {
        app.sql("UPDATE users SET answers = $1", &[&given]).await;
        // As a mail that the program writes, and as one that SES puts together.
        for has_calendar in ["true", "false"] {
            app.env.insert("MAIL_CALENDAR", has_calendar.to_owned());
            app.confirmed(noon() + hours(24)).await;
            app.run(noon()).await;
            let mails = app.ses.mails();
            let mail = mails.last().unwrap();
            assert_eq!(mail.calendar().is_some(), has_calendar == "true");
            assert_eq!(mail.reply_to(), used.as_slice(), "{given:?}");
        }
    }
}

#[tokio::test]
async fn an_address_that_ses_cannot_take_is_recorded_with_the_reason() {
    let app = App::new().await;
    for (address, says) in [
        (
            "jürgen@b.example",
            "the part before the @ is not ASCII, and SES accepts no such address",
        ),
        ("carla", "not a mail address that SES accepts"),
    ] {
        app.sql(
            "UPDATE users SET email = $2 WHERE id = $1",
            &[&app.customer, &address],
        )
        .await;
        let id = app.confirmed(noon() + hours(24)).await;
        app.run(noon()).await;
        let sql = "SELECT reason || ': ' || error_message FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'reminder_sent'";
        let recorded: String = app.one(sql, &[&id]).await.get(0);
        assert_eq!(recorded, format!("bad_address: {says}"));
    }
}
