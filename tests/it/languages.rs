//! The languages of messages: their files, who gets which, and their dates and times, with CLDR's
//! data (Babel) as the judge.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use booking_automation::messages::facts::BookingFacts;
use booking_automation::messages::languages::Language;
use booking_automation::messages::settings::{Look, MessageSettings};
use booking_automation::messages::wording::Wording;
use booking_automation::messages::{Kind, Message, render};
use chrono::{DateTime, Utc};
use fluent_syntax::ast::{
    Entry, Expression, InlineExpression, Pattern, PatternElement, Resource, VariantKey,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, hours, noon, skipped};
use crate::others::find;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/messages/languages");

/// Variables of which each language uses what its patterns need.
const OPTIONAL: [(&str, &[&str]); 5] = [
    ("date", &["weekday", "day", "month", "year"]),
    ("date-short", &["weekday", "day", "month"]),
    (
        "date-sms",
        &["weekday", "day", "day-padded", "month", "month-padded"],
    ),
    (
        "time",
        &["hour", "hour-padded", "hour-of-12", "minute", "half"],
    ),
    ("month", &["month"]),
];
/// Texts whose variants are plural forms.
const COUNTED: [&str; 8] = [
    "days",
    "hours",
    "minutes",
    "digest-subject",
    "digest-opening",
    "digest-more",
    "grouped-reminder-subject",
    "grouped-reminder-opening",
];
/// Texts with a variant for each zone, or each kind of message.
const NAMES: [&str; 2] = ["zone-name", "message-kind"];

/// A text of a language file.
#[derive(Debug, Default)]
pub struct Text {
    /// Its own, and those of the texts that it refers to.
    variables: BTreeSet<String>,
    references: BTreeSet<String>,
    variants: BTreeSet<String>,
}

pub fn tags() -> Vec<&'static str> {
    Language::all().map(Language::tag).collect()
}

pub fn is_regional(tag: &str) -> bool {
    tag.contains('-')
}

/// The texts of a file, each with all of its variables.
pub fn texts(tag: &str) -> BTreeMap<String, Text> {
    let source = fs::read_to_string(Path::new(FOLDER).join(format!("{tag}.ftl"))).unwrap();
    let resource: Resource<String> = fluent_syntax::parser::parse(source)
        .unwrap_or_else(|(_, errors)| panic!("{tag}: {errors:?}"));
    let mut texts = BTreeMap::new();
    for entry in resource.body {
        let Entry::Message(message) = entry else {
            assert!(
                !matches!(entry, Entry::Term(_) | Entry::Junk { .. }),
                "{tag}: {entry:?}"
            );
            continue;
        };
        assert!(message.attributes.is_empty(), "{tag}: {}", message.id.name);
        let mut text = Text::default();
        text.read(&message.value.expect("a value"));
        let again = texts.insert(message.id.name.clone(), text);
        assert!(again.is_none(), "{tag}: {} is there twice", message.id.name);
    }
    texts
}

impl Text {
    fn read(&mut self, pattern: &Pattern<String>) {
        for element in &pattern.elements {
            if let PatternElement::Placeable { expression } = element {
                self.read_expression(expression);
            }
        }
    }

    fn read_expression(&mut self, expression: &Expression<String>) {
        match expression {
            Expression::Inline(inline) => self.read_inline(inline),
            Expression::Select { selector, variants } => {
                self.read_inline(selector);
                for variant in variants {
                    let (VariantKey::Identifier { name }
                    | VariantKey::NumberLiteral { value: name }) = &variant.key;
                    self.variants.insert(name.clone());
                    self.read(&variant.value);
                }
            }
        }
    }

    fn read_inline(&mut self, inline: &InlineExpression<String>) {
        match inline {
            InlineExpression::VariableReference { id } => {
                self.variables.insert(id.name.clone());
            }
            InlineExpression::MessageReference {
                id,
                attribute: None,
            } => {
                self.references.insert(id.name.clone());
            }
            InlineExpression::StringLiteral { .. } => {}
            other => panic!("{other:?} is not used in language files"),
        }
    }
}

pub fn all_variables(texts: &BTreeMap<String, Text>, id: &str) -> BTreeSet<String> {
    let text = &texts[id];
    let referred = (text.references.iter()).flat_map(|id| all_variables(texts, id));
    referred.chain(text.variables.iter().cloned()).collect()
}

#[test]
fn each_language_has_the_texts_and_variables_of_english() {
    let english = texts("en");
    let (regional, complete): (Vec<_>, Vec<_>) =
        tags().into_iter().partition(|tag| is_regional(tag));
    assert!(complete.len() >= 10, "{complete:?}");
    for tag in complete {
        let mut own = texts(tag);
        // Only where its `time` has halves of the day; each text that is referred to is there.
        let halves = own.remove("half-of-day");
        let is_used = own["time"].references.contains("half-of-day");
        assert_eq!(halves.is_some(), is_used, "{tag}: half-of-day");
        let expected: Vec<_> = english.keys().filter(|id| *id != "half-of-day").collect();
        assert_eq!(own.keys().collect::<Vec<_>>(), expected, "{tag}");
        let own = texts(tag);
        for id in own.keys() {
            // To whom, and by whom.
            let is_about_people = ["audience", "by"]
                .iter()
                .any(|name| english[id].variables.contains(*name));
            if is_about_people || NAMES.contains(&id.as_str()) {
                let variants = (&own[id].variants, &english[id].variants);
                assert_eq!(variants.0, variants.1, "{tag}: {id}");
            }
            let variables = all_variables(&own, id);
            match OPTIONAL
                .iter()
                .find(|(name, _)| name == id || *id == format!("{name}-short"))
            {
                Some((_, known)) => assert!(
                    variables.iter().all(|one| known.contains(&&**one)),
                    "{tag}: {id}: {variables:?}"
                ),
                None => assert_eq!(variables, all_variables(&english, id), "{tag}: {id}"),
            }
        }
    }
    for tag in regional {
        let base = texts(tag.split_once('-').unwrap().0);
        let own = texts(tag);
        let unknown: Vec<_> = own.keys().filter(|id| !base.contains_key(*id)).collect();
        assert!(!own.is_empty() && unknown.is_empty(), "{tag}: {unknown:?}");
    }
}

#[test]
fn the_guide_names_each_text_and_language() {
    let guide = include_str!("../../docs/languages.md");
    let names = texts("en")
        .into_keys()
        .chain(tags().into_iter().map(str::to_owned));
    let missing: Vec<_> = names
        .filter(|name| !guide.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "docs/languages.md lacks {missing:?}");
}

#[test]
fn time_zones_have_the_names_of_cldr() {
    let Some(cldr) = babel(&[]) else { return };
    for tag in tags().into_iter().filter(|tag| !is_regional(tag)) {
        for (zone, name) in cldr[tag]["zones"].as_object().unwrap() {
            let mut booking = reminder(tag, "2026-03-02T12:00:00Z".parse().unwrap(), zone);
            booking.place_timezone = None;
            let name = format!("({})", name.as_str().unwrap());
            let subject = written(&booking).subject;
            assert!(subject.contains(&name), "{tag} {zone} {name}: {subject}");
        }
    }
}

/// A reminder of a booking in Vienna.
pub fn reminder(language: &str, starts_at: DateTime<Utc>, timezone: &str) -> BookingFacts {
    BookingFacts {
        booking_id: Uuid::from_u128(7),
        audience: "customer".to_owned(),
        is_guest: false,
        starts_at,
        starts_in: Duration::from_secs(65 * 60),
        duration_minutes: Some(60),
        email: "carla@customers.example".to_owned(),
        phone: None,
        sms_allowed: false,
        name: Some("Carla".to_owned()),
        timezone: Some(timezone.to_owned()),
        language: Some(language.to_owned()),
        service: Some("Massage".to_owned()),
        with_name: Some("Petra".to_owned()),
        place: Some("Ringstraße 1, Wien".to_owned()),
        meeting_link: None,
        is_online: false,
        place_timezone: Some("Europe/Vienna".to_owned()),
        reply_to: None,
        sequence: 2,
        told_at: starts_at - chrono::TimeDelta::minutes(65),
        preferences_link: None,
        attendance_link: None,
        asks_reply: false,
    }
}

pub fn written(reminder: &BookingFacts) -> Message {
    written_as(&Kind::Reminder, reminder)
}

pub fn written_as(kind: &Kind, facts: &BookingFacts) -> Message {
    let settings = MessageSettings {
        default_language: Language::matching("en").unwrap(),
        calendar: true,
        public_url: Some("https://studio.example".to_owned()),
        app_link_base: None,
        link_base_url: None,
        look: Look::default(),
    };
    render(kind, facts, &settings, &Wording::default()).unwrap()
}

/// Each kind of space as a plain one: which one CLDR takes differs from release to release.
pub fn plain_spaces(text: &str) -> String {
    text.replace(['\u{a0}', '\u{202f}', '\u{2009}'], " ")
}

/// What Babel says; `None`, with a message, where it is not installed.
pub fn babel(times: &[DateTime<Utc>]) -> Option<Value> {
    let python = find("python", &["target/judges/bin"]).or_else(|| {
        skipped("Babel is not installed (make judges)");
        None
    })?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/languages.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let times: Vec<_> = times
        .iter()
        .map(|at| at.format("%FT%T").to_string())
        .collect();
    let asked = json!({"tags": tags(), "times": times}).to_string();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(asked.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    if String::from_utf8_lossy(&output.stderr).contains("No module named 'babel'") {
        skipped("Babel is not installed (make judges)");
        return None;
    }
    assert!(output.status.success(), "{output:?}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn dates_times_and_plural_forms_are_those_of_cldr() {
    // Each month, each day of the week, and each hour of the day.
    let first: DateTime<Utc> = "2026-01-01T00:05:00Z".parse().unwrap();
    let times: Vec<_> = (0..24)
        .map(|step| first + hours(step * (24 * 15 + 1)))
        .collect();
    let Some(cldr) = babel(&times) else { return };
    for tag in tags() {
        let expected = &cldr[tag];
        for (at, expected) in times.iter().zip(expected["written"].as_array().unwrap()) {
            let mut booking = reminder(tag, *at, "UTC");
            booking.place_timezone = None;
            let message = written(&booking);
            let [text, subject, sms] =
                [&message.text, &message.subject, &message.short].map(|text| plain_spaces(text));
            for (what, found) in [
                ("date", &text),
                ("time", &text),
                ("short", &subject),
                ("time", &subject),
                ("sms", &sms),
            ] {
                let expected = plain_spaces(expected[what].as_str().unwrap());
                assert!(
                    found.contains(&expected),
                    "{tag} {what} {expected}: {found}"
                );
            }
        }
        let html = written(&reminder(tag, first, "UTC")).html;
        let direction = expected["direction"].as_str().unwrap();
        let opening = format!("<html lang=\"{tag}\" dir=\"{direction}\">");
        assert!(html.contains(&opening), "{opening}: {html}");
        if is_regional(tag) {
            continue;
        }
        let texts = texts(tag);
        for id in COUNTED {
            let mut categories: BTreeSet<_> = (expected["categories"].as_array().unwrap().iter())
                .map(|one| one.as_str().unwrap().to_owned())
                .collect();
            categories.insert("other".to_owned());
            let variants = &texts[id].variants;
            // A language with one form needs no variants.
            assert!(
                *variants == categories || variants.is_empty() && categories.len() == 1,
                "{tag} {id}: {variants:?}, {categories:?}"
            );
        }
    }
}

#[test]
fn durations_have_the_plural_forms_of_the_language() {
    let starts_at = "2026-10-25T13:30:00Z".parse().unwrap();
    let mut said = String::new();
    for tag in tags() {
        for minutes in [
            0, 1, 2, 5, 22, 60, 61, 125, 660, 1345, 2880, 4320, 15_840, 158_400,
        ] {
            let mut reminder = reminder(tag, starts_at, "UTC");
            reminder.starts_in = Duration::from_secs(minutes * 60);
            let text = written(&reminder).text;
            said += &format!("{tag} {minutes}: {}\n", text.lines().nth(2).unwrap());
        }
    }
    insta::assert_snapshot!("durations", said);
}

#[tokio::test]
async fn the_mail_is_in_the_language_of_the_view_else_in_the_default() {
    let mut app = App::new().await;
    app.env.insert("DEFAULT_LANGUAGE", "de".to_owned());
    read_languages(&app).await;
    let unknown = "x".repeat(10_000);
    for (language, greeting) in [
        (Some("fr"), "Bonjour Carla Customer,"),
        (Some("pt-BR"), "Olá, Carla Customer,"),
        (Some("pt_PT.UTF-8"), "Olá, Carla Customer,"),
        (Some("ES-mx"), "Hola, Carla Customer:"),
        (Some("zh-CN"), "Carla Customer，您好："),
        (Some("zh-Hans-HK"), "Carla Customer，您好："),
        (Some("ja-JP-u-ca-japanese"), "Carla Customer 様"),
        (Some("en-US"), "Hello Carla Customer,"),
        // Not in the simplified script.
        (Some("zh-TW"), "Guten Tag Carla Customer,"),
        (Some("zh-Hant"), "Guten Tag Carla Customer,"),
        (Some("sv"), "Guten Tag Carla Customer,"),
        (Some("und"), "Guten Tag Carla Customer,"),
        (Some("Deutsch"), "Guten Tag Carla Customer,"),
        (Some(""), "Guten Tag Carla Customer,"),
        (Some(&*unknown), "Guten Tag Carla Customer,"),
        (None, "Guten Tag Carla Customer,"),
    ] {
        app.sql("UPDATE users SET speaks = $1", &[&language]).await;
        app.confirmed(noon() + hours(24)).await;
        app.run(noon()).await;
        let mails = app.ses.mails();
        let text = mails.last().unwrap().text();
        assert_eq!(text.lines().next(), Some(greeting), "{language:?}");
    }
}

#[tokio::test]
async fn a_region_has_its_own_dates_in_the_texts_of_its_language() {
    let app = App::new().await;
    read_languages(&app).await;
    app.sql("UPDATE users SET speaks = 'en-GB'", &[]).await;
    app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let mails = app.ses.mails();
    assert_eq!(
        mails[0].subject(),
        "Reminder: Massage in 24 hours, Mon 2 Mar, 13:00 (Central European Time)"
    );
    assert!(
        mails[0]
            .text()
            .contains("When: Monday, 2 March 2026, 13:00–14:00 Central European Time (UTC+01:00)"),
        "{}",
        mails[0].text()
    );
}

/// The view's language comes from a column of the owner's.
pub async fn read_languages(app: &App) {
    app.db
        .batch_execute(
            "ALTER TABLE users ADD COLUMN speaks text;
             DO $$ BEGIN
                 EXECUTE 'CREATE OR REPLACE VIEW booking_automation_contacts AS '
                     || replace(pg_get_viewdef('booking_automation_contacts'::regclass), 'NULL::text AS language', 'person.speaks AS language');
             END $$",
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn a_view_without_languages_is_read() {
    let app = App::new().await;
    app.db
        .batch_execute(
            "DO $$ DECLARE query text := pg_get_viewdef('booking_automation_contacts'::regclass); BEGIN
                 DROP VIEW booking_automation_contacts;
                 EXECUTE 'CREATE VIEW booking_automation_contacts AS ' || replace(query, 'NULL::text AS language,', '');
             END $$",
        )
        .await
        .unwrap();
    app.confirmed(noon() + hours(24)).await;
    let summary = app.run(noon()).await;
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    assert!(
        app.ses.mails()[0]
            .text()
            .starts_with("Hello Carla Customer,\n")
    );
}

#[test]
fn names_of_the_other_direction_are_isolated() {
    let starts_at = "2026-10-25T13:30:00Z".parse().unwrap();
    let with_name = |language: &str, name: &str| {
        let mut reminder = reminder(language, starts_at, "Europe/Vienna");
        reminder.name = Some(name.to_owned());
        reminder.service = Some(name.to_owned());
        written(&reminder)
    };
    for (language, name, is_isolated) in [
        ("en", "Carla", false),
        ("en", "مريم", true),
        ("en", "דנה", true),
        ("ar", "Carla", true),
        ("ar", "مريم", true),
    ] {
        let mail = with_name(language, name);
        let isolated = format!("\u{2068}{name}\u{2069}");
        for part in [&mail.text, &mail.html] {
            assert!(part.contains(name), "{part}");
            assert_eq!(
                part.contains(&isolated),
                is_isolated,
                "{language} {name}: {part}"
            );
        }
        assert!(
            !mail.subject.contains(['\u{2068}', '\u{2069}']),
            "{}",
            mail.subject
        );
    }
}
