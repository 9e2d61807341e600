//! The owner's own wording: rows of `booking_automation_templates`.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use booking_automation::messages::facts::BookingFacts;
use booking_automation::messages::kind_name::KindName;
use booking_automation::messages::languages::Language;
use booking_automation::messages::samples::{sample_facts, sample_kind, samples};
use booking_automation::messages::settings::{Look, MessageSettings};
use booking_automation::messages::sms::segments;
use booking_automation::messages::wording::parts::{PARTS, Part};
use booking_automation::messages::wording::{OwnText, Wording};
use booking_automation::messages::{Message, render};
use serde_json::{Value, json};

use crate::app::{App, connect, hours, noon, skipped};
use crate::languages::{read_languages, texts};
use crate::others::find;

const INSERT: &str =
    "INSERT INTO booking_automation_templates (kind, language, part, body) VALUES ($1, $2, $3, $4)
                      ON CONFLICT (kind, language, part) DO UPDATE SET body = excluded.body";

/// The owner writes a text.
async fn own(app: &App, kind: &str, language: &str, part: &str, body: &str) {
    app.sql(INSERT, &[&kind, &language, &part, &body]).await;
}

/// Sends a reminder; returns it, and what the program wrote on stderr and in its summary.
async fn reminder(app: &App) -> (String, String, String, Value) {
    app.confirmed(noon() + hours(24)).await;
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    let summary = said.summary();
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    let mails = app.ses.mails();
    let mail = mails.last().unwrap();
    (
        mail.subject().to_owned(),
        format!("{}\n{}", mail.text(), mail.html()),
        said.stderr,
        summary,
    )
}

const BUILT_IN: &str = "Reminder: Massage in 24 hours, Mon, Mar 2, 1:00 PM (Central European Time)";
const BROKEN: &str = "own texts are broken";

#[tokio::test]
async fn own_texts_replace_their_parts_in_their_language_alone() {
    let app = App::new().await;
    read_languages(&app).await;
    own(&app, "reminder", "de", "subject", "Bald: { $service }").await;
    own(
        &app,
        "reminder",
        "de",
        "opening",
        "{ $booking } naht.\n\nBring ein Handtuch mit.",
    )
    .await;
    own(&app, "all", "de", "greeting", "Servus { $name }!").await;
    own(&app, "confirmed", "de", "greeting", "Nur in Bestätigungen").await;
    for (language, subject, lines) in [
        (
            "de-AT",
            "Bald: Massage",
            [
                "Servus Carla Customer!",
                "",
                "Massage mit Petra Provider naht.",
                "Bring ein Handtuch mit.",
                "",
            ],
        ),
        (
            "en",
            BUILT_IN,
            [
                "Hello Carla Customer,",
                "",
                "Massage with Petra Provider starts in 24 hours.",
                "",
                "When: Monday, March 2, 2026, 1:00\u{a0}PM – 2:00\u{a0}PM Central European Time (UTC+01:00)",
            ],
        ),
    ] {
        app.sql("UPDATE users SET speaks = $1", &[&language]).await;
        let (said, text, log, summary) = reminder(&app).await;
        assert_eq!(said.replace('\u{a0}', " "), subject);
        assert_eq!(text.lines().take(5).collect::<Vec<_>>(), lines);
        assert!(
            !log.contains(BROKEN) && summary["templates"].is_null(),
            "{log} {summary}"
        );
    }
    let mails = app.ses.mails();
    assert!(
        mails[0]
            .html()
            .contains("Massage mit Petra Provider naht.</p>"),
        "{}",
        mails[0].html()
    );
}

#[tokio::test]
async fn markup_in_own_texts_is_shown_as_text() {
    let app = App::new().await;
    own(
        &app,
        "reminder",
        "en",
        "opening",
        "<b>{ $service }</b> <script>alert(1)</script> {\"<a href='https://x.example'>\"}",
    )
    .await;
    own(
        &app,
        "all",
        "en",
        "greeting",
        "{\"\\u003C\"}img src=x> { $name }",
    )
    .await;
    own(
        &app,
        "reminder",
        "en",
        "subject",
        "One{\"\\u000D\\u000A\"}Bcc: x@y.example\n  two\u{2028}three",
    )
    .await;
    let (subject, text, _, summary) = reminder(&app).await;
    assert_eq!(subject, "One  Bcc: x@y.example two three");
    let html = text.split_once("<!").unwrap().1;
    for tag in ["<b>", "<script", "<a href='", "<img src=x"] {
        assert!(text.contains(tag) && !html.contains(tag), "{tag}: {html}");
    }
    assert!(html.contains("&#60;b&#62;Massage&#60;/b&#62;"), "{html}");
    assert!(summary["templates"].is_null(), "{summary}");
}

/// Bodies of a reminder's subject, and what is wrong with them.
fn broken_bodies() -> Vec<(String, &'static str)> {
    let bodies = [
        (
            "Soon: { $nmae }",
            "1:10: there is no variable $nmae; it takes $service, $booking, $when, $audience, $starts-in",
        ),
        (
            "Soon:\n{ $audience ->\n  [customer] { $email }\n *[other] x\n}",
            "3:17: there is no variable $email; it takes",
        ),
        (
            "{ $audience ->\n  [custmer] a\n *[other] b\n}",
            "2:4: $audience is never custmer, but one of customer, provider",
        ),
        ("{ text }", "1:3: it refers to another text, text"),
        (
            "{ reminder-subject }",
            "1:3: it refers to another text, reminder-subject",
        ),
        ("{ -term }", "1:4: it refers to another text, term"),
        ("{ NUMBER($service) }", "1:3: it calls a function, NUMBER"),
        ("{ 1 }", "1:3: a number stands in braces without quotes"),
        ("{ $service", "1:11: Expected a token starting with \"}\""),
        ("Soon }", "1:6: "),
        (
            "{ $audience ->\n  [customer] a\n}",
            "The select expression must have a default variant",
        ),
        ("Soon\n.title = other", "it is more than one text"),
        ("Soon\n[customer] a", "2:1: "),
        ("{\"\"}", "it says nothing"),
        ("\u{200b}{\"\\u2068\"} ", "it says nothing"),
        (" \n ", "1:"),
    ];
    let mut bodies: Vec<_> = (bodies.iter())
        .map(|(body, problem)| ((*body).to_owned(), *problem))
        .collect();
    // What its parser and its writer would do for ever, or until their stack or memory is used up.
    bodies.push(("{".repeat(10_000), "it has more than 100 of { and ("));
    bodies.push((
        format!("{{ {}", "A(".repeat(4_999)),
        "it has more than 100 of { and (",
    ));
    bodies.push((
        "{ \"}\" -> *[a] ".repeat(700),
        "it has more than 100 of { and (",
    ));
    bodies.push(("{".repeat(100), "1:"));
    bodies.push((
        "a {\"\\u\u{30c}".to_owned(),
        "1:5: this escape is too short",
    ));
    bodies.push((
        "\n{\"\\U01F6é\"}".to_owned(),
        "2:3: this escape is too short",
    ));
    bodies.push(("x".repeat(501), "it is longer than 500 characters"));
    bodies
}

#[tokio::test]
async fn a_broken_text_is_not_used_and_the_message_goes_out() {
    let app = App::new().await;
    for (body, problem) in broken_bodies() {
        own(&app, "reminder", "en", "subject", &body).await;
        let (subject, _, log, summary) = reminder(&app).await;
        assert_eq!(subject.replace('\u{a0}', " "), BUILT_IN, "{body}");
        assert_eq!(summary["templates"], json!({"broken": 1}), "{body}");
        assert_eq!(log.matches(BROKEN).count(), 1, "{log}");
        let checked = app.call(&["template", "check"]).await;
        let line = format!("reminder en subject: {problem}");
        assert!(!checked.success && checked.stdout.lines().count() == 1);
        let found =
            checked.stdout.contains(problem) && checked.stdout.starts_with("reminder en subject: ");
        assert!(found, "{line}: {}", checked.stdout);
    }
    let stored = "SELECT summary->'templates'->>'broken' FROM automation_runs WHERE summary ? 'templates' LIMIT 1";
    assert_eq!(app.column(stored, &[]).await, ["1"]);
    let found = app.call(&["check"]).await;
    let line = "warning  templates   reminder en subject: it is longer than 500 characters; the built-in text is used";
    assert!(
        found.success && found.stdout.contains(line),
        "{}",
        found.stdout
    );
}

#[tokio::test]
async fn broken_texts_are_logged_once_a_call_and_others_are_used() {
    let app = App::new().await;
    own(
        &app,
        "reminder",
        "en",
        "subject",
        "{ $service }".repeat(30).trim(),
    )
    .await;
    own(&app, "reminder", "xx", "subject", "x").await;
    own(&app, "remindr", "en", "subject", "x").await;
    own(&app, "reminder", "en", "subjekt", "x").await;
    own(&app, "all", "en", "subject", "x").await;
    own(&app, "all", "en", "when", "At").await;
    // With 200 characters, it is too long: only then is it broken.
    app.sql("UPDATE services SET title = $1", &[&"y".repeat(200)])
        .await;
    for hour in 0..3 {
        app.confirmed(noon() + hours(24 - hour)).await;
    }
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    let summary = said.summary();
    assert_eq!(summary["reminders"]["sent"], 3, "{summary}");
    assert_eq!(summary["templates"], json!({"broken": 5}));
    assert_eq!(said.stderr.matches(BROKEN).count(), 1, "{}", said.stderr);
    assert!(
        said.stderr.contains("reminder en subject: it is longer"),
        "{}",
        said.stderr
    );
    for mail in app.ses.mails() {
        assert!(mail.subject().starts_with("Reminder: y") && mail.text().contains("\nAt: "));
    }
    let checked = app.call(&["template", "check"]).await;
    insta::assert_snapshot!("check", checked.stdout);
    assert!(!checked.success);
}

#[tokio::test]
async fn the_table_refuses_what_is_too_long() {
    let app = App::new().await;
    for (kind, part, body) in [
        ("reminder", "subject", "x".repeat(1_000_000)),
        ("reminder", "subject", "x".repeat(10_001)),
        ("reminder", "subject", String::new()),
        (&"k".repeat(41), "subject", "x".to_owned()),
        ("reminder", &"p".repeat(41), "x".to_owned()),
    ] {
        let refused = app.db.execute(INSERT, &[&kind, &"en", &part, &body]).await;
        let error = refused.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "23514", "{error:?}");
    }
    own(&app, "reminder", "en", "subject", &"ß".repeat(10_000)).await;
}

#[tokio::test]
async fn inactive_texts_are_ignored_but_can_be_tried() {
    let app = App::new().await;
    own(&app, "reminder", "en", "subject", "Soon").await;
    own(&app, "reminder", "de", "subject", "{").await;
    app.sql(
        "UPDATE booking_automation_templates SET active = false",
        &[],
    )
    .await;
    let (subject, _, log, summary) = reminder(&app).await;
    assert_eq!(subject.replace('\u{a0}', " "), BUILT_IN);
    assert!(summary["templates"].is_null() && !log.contains(BROKEN));
    assert!(app.call(&["template", "check"]).await.success);
    assert!(!app.call(&["template", "check", "--inactive"]).await.success);
    let preview = [
        "template",
        "preview",
        "--kind",
        "reminder",
        "--language",
        "en",
    ];
    for (inactive, is_shown) in [(None, false), (Some("--inactive"), true)] {
        let arguments: Vec<_> = preview.into_iter().chain(inactive).collect();
        let said = app.call(&arguments).await;
        assert_eq!(
            said.stdout.contains("Subject: Soon\n"),
            is_shown,
            "{}",
            said.stdout
        );
    }
}

#[tokio::test]
async fn without_the_table_or_the_right_to_read_it_the_built_in_texts_are_used() {
    let app = App::new().await;
    own(&app, "reminder", "en", "subject", "Soon").await;
    let unread = "your own texts could not be read";
    for (change, is_logged) in [
        (
            "REVOKE SELECT ON booking_automation_templates FROM booking_automation_pass",
            true,
        ),
        (
            "ALTER TABLE booking_automation_templates DROP COLUMN active",
            true,
        ),
        ("DROP TABLE booking_automation_templates", false),
    ] {
        app.db.batch_execute(change).await.unwrap();
        let (subject, _, log, _) = reminder(&app).await;
        assert_eq!(subject.replace('\u{a0}', " "), BUILT_IN, "{change}");
        assert_eq!(log.matches(unread).count(), usize::from(is_logged), "{log}");
        app.db
            .batch_execute(
                "GRANT SELECT ON booking_automation_templates TO booking_automation_pass",
            )
            .await
            .ok();
    }
    let said = app.call(&["template", "check"]).await;
    assert!(
        !said.success && said.stderr.contains("could not be read"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn a_locked_table_delays_no_message() {
    let app = App::new().await;
    own(&app, "reminder", "en", "subject", "Soon").await;
    let holder = connect(&app.url).await;
    holder
        .batch_execute("BEGIN; LOCK TABLE booking_automation_templates")
        .await
        .unwrap();
    let (subject, _, log, _) = reminder(&app).await;
    assert_eq!(subject.replace('\u{a0}', " "), BUILT_IN);
    assert!(log.contains("your own texts could not be read"), "{log}");
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(reminder(&app).await.0, "Soon");
}

#[tokio::test]
async fn texts_are_read_up_to_a_limit_and_the_rest_is_reported() {
    let app = App::new().await;
    own(&app, "reminder", "en", "subject", "Soon").await;
    let fill = "INSERT INTO booking_automation_templates (kind, language, part, body)
                SELECT 'other', 'en', 'p' || n, repeat('x', $2) FROM generate_series(1, $1) AS n";
    for (rows, length, is_used, broken) in [
        (1_999, 1, true, 1_999),
        (2_000, 1, false, 2_001),
        (2_500, 1, false, 2_001),
        (99, 10_000, true, 99),
        (100, 10_000, false, 101),
    ] {
        app.sql(fill, &[&rows, &length]).await;
        let (subject, _, _, summary) = reminder(&app).await;
        assert_eq!(subject == "Soon", is_used, "{rows} of {length}: {summary}");
        assert_eq!(summary["templates"]["broken"], broken, "{rows} of {length}");
        app.sql(
            "DELETE FROM booking_automation_templates WHERE kind = 'other'",
            &[],
        )
        .await;
    }
}

#[tokio::test]
async fn preview_shows_each_kind_in_each_language_with_its_segments() {
    let app = App::new().await;
    own(
        &app,
        "follow-up",
        "de",
        "opening",
        "{ $audience ->\n    [provider] Fertig.\n   *[customer] Danke!\n}",
    )
    .await;
    own(
        &app,
        "reminder",
        "de",
        "short",
        "Termin „{ $service }“ { $starts-in }",
    )
    .await;
    let all = app.call(&["template", "preview"]).await;
    assert!(all.success, "{}", all.stderr);
    for kind in KindName::ALL {
        for language in Language::all() {
            let heading = format!("== {kind}, {}, customer\n", language.tag());
            assert_eq!(all.stdout.matches(&heading).count(), 1, "{heading}");
        }
    }
    let reminder = [
        "template",
        "preview",
        "--language",
        "de",
        "--kind",
        "reminder",
    ];
    let follow_up = [
        "template",
        "preview",
        "--language",
        "de",
        "--kind",
        "follow-up",
    ];
    let mut shown = app.call(&reminder).await.stdout;
    shown += &app.call(&follow_up).await.stdout;
    insta::assert_snapshot!("preview", shown);
    // Customers alone are asked whether they will come.
    assert_eq!(shown.matches("== ").count(), 6);
    for wrong in [["--language", "xx"], ["--kind", "other"]] {
        let said = app.call(&["template", "preview", wrong[0], wrong[1]]).await;
        assert!(
            !said.success && said.stderr.contains("takes one of"),
            "{}",
            said.stderr
        );
    }
}

#[tokio::test]
async fn check_warns_of_texts_for_sms_that_cost_more_than_they_need_to() {
    let app = App::new().await;
    for (kind, language, body) in [
        ("reminder", "en", "Soon: { $service }, { $starts-in }"),
        ("confirmed", "en", "See you at { $when } ✓"),
        ("cancelled", "en", &"No. ".repeat(41)),
        ("expired", "en", &"ł".repeat(71)),
        // The language itself is outside the alphabet.
        ("reminder", "ja", "{ $service }"),
        (
            "reminder",
            "pl",
            "Wkrótce: { $service }, { $starts-in }, { $when }",
        ),
        // What it says of the time is in the alphabet on each day.
        ("reminder", "es", "{ $service } { $starts-in }, { $when }"),
        ("confirmed", "xx", "–"),
    ] {
        own(&app, kind, language, "short", body).await;
    }
    for (kind, language, part, body) in [
        ("reminder", "en", "subject", "Soon –"),
        ("all", "de", "booking-with", "{ $service } · { $person }"),
        ("digest", "pl", "your-booking", "Twój termin"),
        // With plain characters in the SMS.
        ("all", "fr", "booking-with", "{ $service } – { $person }"),
        ("all", "ja", "your-booking", "予約"),
    ] {
        own(&app, kind, language, part, body).await;
    }
    let checked = app.call(&["template", "check"]).await;
    insta::assert_snapshot!("check_sms", checked.stdout);
    assert!(!checked.success, "one is broken");
    app.sql(
        "DELETE FROM booking_automation_templates WHERE language = 'xx'",
        &[],
    )
    .await;
    let checked = app.call(&["template", "check"]).await;
    assert!(
        checked.success,
        "warnings are no errors: {}",
        checked.stderr
    );
    assert_eq!(
        checked.stdout.matches("warning").count(),
        6,
        "{}",
        checked.stdout
    );
}

fn settings() -> MessageSettings {
    MessageSettings {
        default_language: Language::matching("en").unwrap(),
        calendar: true,
        public_url: Some("https://studio.example".to_owned()),
        app_link_base: None,
        link_base_url: None,
        look: Look::default(),
    }
}

fn row(kind: &str, language: &str, part: &str, body: &str) -> OwnText {
    let [kind, language, part] = [kind, language, part].map(str::to_owned);
    let body = Some(body.to_owned());
    OwnText {
        kind,
        language,
        part,
        body,
    }
}

fn written(kind: KindName, facts: &BookingFacts, wording: &Wording) -> Message {
    render(&sample_kind(kind), facts, &settings(), wording).unwrap()
}

#[test]
fn a_region_and_a_kind_come_before_their_language_and_all_kinds() {
    let rows = [
        row("all", "en", "greeting", "en all"),
        row("confirmed", "en", "greeting", "en confirmed"),
        row("all", "en-GB", "greeting", "en-GB all"),
        row("confirmed", "en-GB", "greeting", "{ $broken }"),
        row("expired", "en", "subject", "en subject"),
    ];
    let wording = Wording::of(rows);
    for (kind, language, greeting) in [
        (KindName::Confirmed, "en", "en confirmed"),
        (KindName::Expired, "en", "en all"),
        (KindName::Confirmed, "en-GB", "en-GB all"),
        (KindName::Expired, "en-GB", "en-GB all"),
        (KindName::Expired, "de", "Guten Tag Carla,"),
    ] {
        let message = written(kind, &sample_facts("customer", language), &wording);
        assert_eq!(
            message.text.lines().next(),
            Some(greeting),
            "{kind} {language}"
        );
        let is_english = kind == KindName::Expired && language != "de";
        assert_eq!(
            message.subject == "en subject",
            is_english,
            "{kind} {language}"
        );
    }
    assert_eq!(wording.broken().len(), 1);
}

/// Texts that owners cannot replace: the grammar of the language.
const FIXED: &str = "direction sms-alphabet weekday weekday-short month month-short half-of-day date date-short \
    date-sms time time-range date-range date-and-time time-and-zone days hours minutes days-sms hours-sms minutes-sms \
    two-durations starts-in starts-now decimal-separator \
    group-separator grouped-from money money-in-letters percent labelled zone-name currency-sign";
/// Texts of pages, which owners cannot replace either.
const PAGES: &str = "your-messages messages-explained message-kind unsubscribe-from unsubscribed-from \
    choices-saved save language language-name link-broken link-broken-explained page-unavailable \
    page-unavailable-explained attendance-question attendance-saved cancel-question cancel-booking \
    booking-cancelled cannot-cancel cannot-cancel-explained \
    attendance-question-sms cancel-booking-sms contact-sms terms-changed link-over link-over-explained";

#[test]
fn each_text_of_the_language_files_is_a_part_or_grammar() {
    let english = texts("en");
    let of_parts: BTreeSet<_> = PARTS.iter().map(|part| part.text).collect();
    assert_eq!(of_parts.len(), PARTS.len());
    let fixed: BTreeSet<_> = FIXED
        .split_whitespace()
        .chain(PAGES.split_whitespace())
        .collect();
    assert_eq!(of_parts.intersection(&fixed).count(), 0);
    let known: BTreeSet<_> = of_parts.union(&fixed).copied().collect();
    assert_eq!(known, english.keys().map(String::as_str).collect());
    for part in PARTS {
        let variables = crate::languages::all_variables(&english, part.text);
        let unknown: Vec<_> = (variables.iter())
            .filter(|name| !part.variables.contains(&name.as_str()))
            .collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", part.text);
    }
}

#[test]
fn each_part_is_replaced_and_takes_each_of_its_variables() {
    for part in PARTS {
        let kind = part.kind.map_or("all", KindName::as_str);
        let variables: String = part
            .variables
            .iter()
            .map(|name| format!(" {{ ${name} }}"))
            .collect();
        let wording = Wording::of([row(
            kind,
            "en",
            part.name,
            &format!("Owners say{variables}"),
        )]);
        let samples = KindName::ALL
            .iter()
            .flat_map(|kind| samples(*kind, "customer", "en"));
        let is_shown = samples.into_iter().any(|sample| {
            let message = render(&sample.kind, &sample.facts, &settings(), &wording).unwrap();
            [message.subject, message.text, message.short]
                .iter()
                .any(|text| text.contains("Owners say"))
        });
        assert!(is_shown, "{kind} {} is never shown", part.name);
        assert_eq!(wording.broken(), [], "{kind} {}", part.name);
    }
}

#[test]
fn the_guide_lists_the_parts_and_their_variables() {
    let guide = include_str!("../../docs/wording.md");
    for Part {
        kind,
        name,
        variables,
        ..
    } in PARTS
    {
        let kind = kind.map_or("all", KindName::as_str);
        let variables: Vec<_> = variables.iter().map(|name| format!("`${name}`")).collect();
        let variables = if variables.is_empty() {
            "none".to_owned()
        } else {
            variables.join(", ")
        };
        let line = format!("| `{kind}` | `{name}` | {variables} |");
        assert!(guide.contains(&line), "docs/wording.md lacks: {line}");
    }
    let (_, parts) = guide.split_once("| kind | part | variables |\n").unwrap();
    let rows = parts.lines().take_while(|line| line.starts_with('|'));
    assert_eq!(rows.count() - 1, PARTS.len());
}

/// Pieces of Fluent, of which most orders are no text.
const PIECES: [&str; 40] = [
    "{",
    "}",
    "{ ",
    " }",
    "{ $service }",
    "{ $audience ->\n",
    "$",
    "service",
    "audience",
    " -> ",
    "->",
    "[",
    "]",
    "\n[provider] a\n",
    "*[other] b\n",
    "*[",
    "\n *",
    "\"",
    "\\",
    "\\u00",
    "\\U10FFFF",
    "{\"\\uD800\"}",
    "-term",
    "text = ",
    ".a = ",
    "#",
    "NUMBER(",
    "(",
    ")",
    ",",
    ": ",
    "1",
    "-0.5",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "\u{2028}",
    "😀",
    "é",
];

#[test]
fn any_body_is_written_in_its_bounds_or_is_broken() {
    // A panic would end the program at each call, before it claims a message.
    let mut random = fastrand::Rng::with_seed(8);
    let facts = sample_facts("customer", "en");
    let built_in = written(KindName::Reminder, &facts, &Wording::default());
    let mut used = 0;
    for _ in 0..20_000 {
        let pieces = (0..random.usize(1..25)).map(|_| random.choice(PIECES).unwrap());
        let body: String = pieces.collect();
        let wording = Wording::of([row("reminder", "en", "subject", &body)]);
        wording.try_with_samples();
        let subject = written(KindName::Reminder, &facts, &wording).subject;
        let is_line = subject
            .chars()
            .all(|one| !one.is_control() && one != '\u{2028}');
        assert!(is_line && !subject.trim().is_empty(), "{body:?}");
        match wording.broken().is_empty() {
            true => used += 1,
            // Of a body with variants, only one may be broken.
            false if body.contains("->") => {}
            false => assert_eq!(subject, built_in.subject, "{body:?}"),
        }
    }
    assert!(used > 1_000, "{used}");
}

/// Texts at the borders of segments, and beyond the alphabet.
fn messages() -> Vec<String> {
    let mut texts: Vec<_> = [159, 160, 161, 306, 307, 459, 460]
        .map(|length| "a".repeat(length))
        .into();
    for (text, length) in [
        ("€", 80),
        ("€", 81),
        ("{a", 102),
        ("ł", 70),
        ("ł", 71),
        ("ł", 134),
        ("ł", 135),
        ("😀", 35),
        ("😀", 36),
        ("😀", 66),
        ("😀", 67),
        ("aaa😀", 40),
    ] {
        texts.push(text.repeat(length));
    }
    texts.push(format!("{}€{}", "a".repeat(152), "a".repeat(20)));
    let alphabet: String = (' '..='ÿ')
        .chain("ŒœŁłΓΔ€–’„“…\u{a0}\u{202f}".chars())
        .collect();
    texts.extend(
        alphabet
            .chars()
            .filter(|one| !one.is_control())
            .map(|one| one.to_string()),
    );
    texts
}

/// The segments of these texts, and their encoding, by another calculator; `None`: it is not
/// installed.
pub fn calculated(texts: &[String]) -> Option<Vec<(usize, String)>> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/target/judges-node/node_modules/sms-segments-calculator"
    );
    let node = find("node", &[]).filter(|_| std::path::Path::new(folder).is_dir())?;
    let script = "const { SegmentedMessage } = require(process.argv[1]);
        const texts = JSON.parse(require('fs').readFileSync(0, 'utf8'));
        console.log(JSON.stringify(texts.map(text => {
            const message = new SegmentedMessage(text);
            return [message.segmentsCount, message.encodingName];
        })));";
    let mut child = Command::new(node)
        .args(["-e", script, folder])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let asked = json!(texts).to_string();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(asked.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let calculated: Vec<(usize, String)> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(calculated.len(), texts.len());
    Some(calculated)
}

#[test]
fn segments_are_those_of_another_calculator() {
    let texts = messages();
    let Some(calculated) = calculated(&texts) else {
        return skipped("sms-segments-calculator is not installed (make judges)");
    };
    for (text, (count, encoding)) in texts.iter().zip(calculated) {
        let found = segments(text);
        let is_narrow = found.wide.is_none();
        assert_eq!(
            (found.count, is_narrow),
            (count, encoding == "GSM-7"),
            "{text}"
        );
    }
}
