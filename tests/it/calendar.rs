//! The appointment that mails carry: what a calendar makes of the messages about a booking, read by
//! parsers that none of us wrote.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use booking_automation::messages::Kind;
use booking_automation::messages::facts::BookingFacts;
use booking_automation::primitives::email_address::Address;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, hours, minutes, noon, skipped};
use crate::kinds::{all_kinds, day_of};
use crate::languages::{reminder, tags, written, written_as};
use crate::notices::{set_start, set_status, switch_on, with_rules};
use crate::others::find;
use crate::ses::{Answer, Calendar, Mail};

/// Sends JSON to a program and reads its answer.
pub fn ask(mut program: Command, given: &Value) -> Result<Value, String> {
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let given = given.to_string();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(given.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let _ = writer.join().unwrap();
    serde_json::from_slice(&output.stdout).map_err(|_| error)
}

/// What Python's parser of mails and the icalendar library find; `None`, with a message, where the
/// library is not installed.
fn python(mails: &[Mail]) -> Option<Vec<Value>> {
    let raw = |mail: &Mail| STANDARD.encode(&mail.calendar().unwrap().mail);
    let mails: Vec<_> = mails.iter().map(raw).collect();
    ask_python(&[], &json!(mails))
}

/// The same, of feeds.
pub fn python_on_feeds(texts: &[&str]) -> Option<Vec<Value>> {
    ask_python(&["feeds"], &json!(texts))
}

fn ask_python(arguments: &[&str], given: &Value) -> Option<Vec<Value>> {
    let missing = || {
        skipped("icalendar is not installed (make judges)");
        None
    };
    let Some(python) = find("python", &["target/judges/bin"]) else {
        return missing();
    };
    let mut command = Command::new(python);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/calendars.py");
    command.arg(script).args(arguments);
    match ask(command, given) {
        Ok(found) => Some(found.as_array().unwrap().clone()),
        Err(error) if error.contains("No module named 'icalendar'") => missing(),
        Err(error) => panic!("{error}"),
    }
}

/// What ical.js finds in calendars; `None`, with a message, where it is not installed.
pub fn ical_js(texts: &[&str]) -> Option<Vec<Value>> {
    let judges = concat!(env!("CARGO_MANIFEST_DIR"), "/target/judges-node");
    let is_installed = Path::new(judges).join("node_modules/ical.js").exists();
    let Some(node) = find("node", &[]).filter(|_| is_installed) else {
        skipped("ical.js is not installed (make judges)");
        return None;
    };
    let mut command = Command::new(node);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/calendars.mjs");
    command.args([script, judges]);
    let found = ask(command, &json!(texts)).unwrap_or_else(|error| panic!("{error}"));
    Some(found.as_array().unwrap().clone())
}

/// The properties of a calendar, unfolded. Each occurs once.
fn properties(text: &str) -> BTreeMap<String, String> {
    let unfolded = text.replace("\r\n ", "");
    let mut found = BTreeMap::new();
    for line in unfolded.strip_suffix("\r\n").unwrap().split("\r\n") {
        let (name, value) = line.split_once(':').unwrap();
        if name != "BEGIN" && name != "END" {
            let before = found.insert(name.to_owned(), value.to_owned());
            assert_eq!(before, None, "{text}");
        }
    }
    found
}

fn calendar(mail: &Mail) -> &Calendar {
    mail.calendar()
        .unwrap_or_else(|| panic!("no calendar part: {mail:?}"))
}

/// `method sequence start end stamp`.
fn in_short(mail: &Mail) -> String {
    let Calendar { method, text, .. } = calendar(mail);
    let found = properties(text);
    assert_eq!(&found["METHOD"], method, "of the part and of the calendar");
    ["METHOD", "SEQUENCE", "DTSTART", "DTEND", "DTSTAMP"]
        .map(|name| found.get(name).map_or("-", String::as_str))
        .join(" ")
}

/// A booking that is confirmed, moved, reminded of, made longer, cancelled and confirmed again, and
/// the mails about it.
async fn life_of_a_booking() -> (Uuid, Vec<Mail>) {
    let app = with_rules(&["confirmed", "rescheduled", "cancelled"]).await;
    app.sql(
        "UPDATE reminder_rules SET active = name IN ('24h', '1h')",
        &[],
    )
    .await;
    let id = app.booking("pending", noon() + hours(48)).await;
    set_status(&app, id, "confirmed").await;
    app.run(noon()).await;
    app.set_clock(noon() + minutes(1)).await;
    set_start(&app, id, noon() + hours(26)).await;
    app.run(noon() + minutes(1)).await;
    app.run(noon() + hours(2)).await;
    app.sql(
        "UPDATE bookings SET duration_minutes = 90 WHERE id = $1",
        &[&id],
    )
    .await;
    app.run(noon() + hours(25)).await;
    app.set_clock(noon() + hours(25) + minutes(1)).await;
    set_status(&app, id, "cancelled").await;
    app.run(noon() + hours(25) + minutes(1)).await;
    app.set_clock(noon() + hours(25) + minutes(2)).await;
    set_status(&app, id, "confirmed").await;
    app.run(noon() + hours(25) + minutes(2)).await;
    (id, app.ses.mails())
}

#[tokio::test]
async fn a_calendar_follows_a_booking_from_its_confirmation_to_its_cancellation() {
    let (id, mails) = life_of_a_booking().await;
    let told: Vec<_> = mails.iter().map(in_short).collect();
    assert_eq!(
        told,
        [
            "REQUEST 2 20260303T120000Z 20260303T130000Z 20260301T120000Z",
            "REQUEST 5 20260302T140000Z 20260302T150000Z 20260301T120100Z",
            "REQUEST 5 20260302T140000Z 20260302T150000Z 20260301T140000Z",
            "REQUEST 6 20260302T140000Z 20260302T153000Z 20260302T130000Z",
            "CANCEL 7 20260302T140000Z 20260302T153000Z 20260302T130100Z",
            // The confirmation, and the reminder of the next hour.
            "REQUEST 10 20260302T140000Z 20260302T153000Z 20260302T130200Z",
            "REQUEST 10 20260302T140000Z 20260302T153000Z 20260302T130200Z",
        ]
    );
    for mail in &mails {
        let found = properties(&calendar(mail).text);
        assert_eq!(found["UID"], format!("{id}@booking-automation"));
    }
}

#[tokio::test]
async fn other_calendars_read_the_same_appointment() {
    let (id, mails) = life_of_a_booking().await;
    let texts: Vec<_> = mails.iter().map(|mail| &calendar(mail).text[..]).collect();
    let by_python = python(&mails);
    let by_ical_js = ical_js(&texts);
    let iso = |at: &str| at.replace(".000Z", "Z").replace("+00:00", "Z");
    for (at, mail) in mails.iter().enumerate() {
        let ours = in_short(mail);
        let short = |found: &Value| {
            let time = |name: &str| iso(found[name].as_str().unwrap()).replace(['-', ':'], "");
            format!(
                "{} {} {} {} {}",
                found["method"].as_str().unwrap(),
                found["sequence"],
                time("start"),
                time("end"),
                time("stamp")
            )
        };
        for found in [&by_python, &by_ical_js].into_iter().flatten() {
            assert_eq!(short(&found[at]), ours);
            assert_eq!(found[at]["uid"], format!("{id}@booking-automation"));
            assert_eq!(found[at]["summary"], "Massage with Petra Provider");
            assert_eq!(found[at]["organizer"], "mailto:booking@studio.example");
        }
        if let Some(found) = by_python.as_ref().map(|found| &found[at]) {
            assert_eq!(found["defects"], json!([]));
            assert_eq!(found["type"], "multipart/alternative");
            assert_eq!(
                found["parts"],
                json!(["text/plain", "text/html", "text/calendar"])
            );
            assert_eq!(found["charset"], "utf-8");
            assert_eq!(found["header_method"], found["method"]);
            assert_eq!(found["attendee"], "mailto:carla@customers.example");
            assert_eq!(found["answer"], json!(["ACCEPTED", "FALSE"]));
            assert_eq!(found["to"], json!(["carla@customers.example"]));
            assert_eq!(found["from"], "booking@studio.example");
            assert_eq!(found["subject"], mail.subject());
            assert_eq!(found["text"], mail.text());
            assert_eq!(found["html"], mail.html());
            let status = match found["method"].as_str() {
                Some("CANCEL") => "CANCELLED",
                _ => "CONFIRMED",
            };
            assert_eq!(found["status"], status);
        }
        if let Some(found) = by_ical_js.as_ref().map(|found| &found[at]) {
            assert_eq!(found["events"], 1);
            assert_eq!(
                found["attendees"],
                json!(["mailto:carla@customers.example"])
            );
        }
    }
}

/// What a calendar does (RFC 5546, 2.1.5): of what it gets, in any order, it keeps the highest
/// sequence, and of that the newest.
#[tokio::test]
async fn mails_that_arrive_in_any_order_leave_the_latest_appointment() {
    let (_, mails) = life_of_a_booking().await;
    let told: Vec<_> = (mails.iter())
        .map(|mail| {
            let found = properties(&calendar(mail).text);
            let sequence: i64 = found["SEQUENCE"].parse().unwrap();
            (sequence, found["DTSTAMP"].clone(), found["DTSTART"].clone())
        })
        .collect();
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let until = rng.usize(1..=told.len());
        let mut arriving = told[..until].to_vec();
        rng.shuffle(&mut arriving);
        let mut kept = arriving[0].clone();
        for one in &arriving[1..] {
            if (one.0, &one.1) > (kept.0, &kept.1) {
                kept = one.clone();
            }
        }
        assert_eq!(kept, told[until - 1], "seed {seed}");
    }
}

#[tokio::test]
async fn customer_and_provider_get_one_appointment_each_in_their_language() {
    let app = with_rules(&["confirmed"]).await;
    app.db
        .batch_execute(
            "UPDATE booking_automation_notice_rules SET active = true WHERE name = 'confirmed';
             UPDATE users SET timezone = 'America/New_York' WHERE email LIKE 'carla%';
             DO $$ BEGIN
                 EXECUTE 'CREATE OR REPLACE VIEW booking_automation_contacts AS
                          SELECT booking_id, audience, email, name, timezone, CASE audience WHEN ''provider'' THEN ''de'' END AS language,
                                 service, with_name, place, meeting_link, is_online, place_timezone FROM ('
                     || rtrim(pg_get_viewdef('booking_automation_contacts'::regclass), ';') || ') AS shipped';
             END $$",
        )
        .await
        .unwrap();
    // In UTC and in New York it is still the day before.
    let start: DateTime<Utc> = "2026-03-03T23:30:00Z".parse().unwrap();
    let id = app.booking("confirmed", start).await;
    app.run(noon()).await;
    let mails = app.ses.mails();
    let of = |to: &str| {
        let mail = mails.iter().find(|mail| mail.to() == to).unwrap();
        properties(&calendar(mail).text)
    };
    let (customer, provider) = (of("carla@customers.example"), of("petra@providers.example"));
    for name in ["UID", "SEQUENCE", "DTSTART", "DTEND", "ORGANIZER"] {
        assert_eq!(customer[name], provider[name], "{name}");
    }
    assert_eq!(customer["UID"], format!("{id}@booking-automation"));
    assert_eq!(customer["DTSTART"], "20260303T233000Z");
    let attendee = "ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;RSVP=FALSE";
    assert_eq!(customer[attendee], "mailto:carla@customers.example");
    assert_eq!(provider[attendee], "mailto:petra@providers.example");
    assert_eq!(customer["SUMMARY"], "Massage with Petra Provider");
    assert_eq!(provider["SUMMARY"], "Massage mit Carla Customer");
    // In words, with the zone, and the day of that zone.
    assert_eq!(
        customer["DESCRIPTION"],
        "Wednesday\\, March 4\\, 2026\\, 12:30 AM – 1:30 AM Central European Time (UTC+01:00)\\n\
         Tuesday\\, March 3\\, 2026\\, 6:30 PM – 7:30 PM Eastern Time (UTC−05:00)\\, your local time"
            .replace(" AM", "\u{a0}AM")
            .replace(" PM", "\u{a0}PM")
    );
    assert!(
        provider["DESCRIPTION"].starts_with("Mittwoch\\, 4. März 2026\\, 00:30"),
        "{}",
        provider["DESCRIPTION"]
    );
    // No zone that a calendar would have to know.
    for mail in &mails {
        let text = &calendar(mail).text;
        assert!(!text.contains("TZID") && !text.contains("VTIMEZONE"));
    }
}

#[tokio::test]
async fn a_retry_is_newer_and_has_the_same_sequence() {
    let app = with_rules(&["confirmed"]).await;
    app.booking("confirmed", noon() + hours(48)).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    app.run(noon() + minutes(2)).await;
    let told: Vec<_> = app.ses.mails().iter().map(in_short).collect();
    assert_eq!(
        told,
        [
            "REQUEST 2 20260303T120000Z 20260303T130000Z 20260301T120000Z",
            "REQUEST 2 20260303T120000Z 20260303T130000Z 20260301T120200Z",
        ]
    );
}

#[tokio::test]
async fn every_change_that_a_mail_tells_of_has_a_higher_sequence() {
    let app = with_rules(&["confirmed"]).await;
    let rules = "UPDATE reminder_rules SET active = name IN ('24h', '1h')";
    app.sql(rules, &[]).await;
    let id = app.booking("confirmed", noon() + hours(48)).await;
    app.run(noon()).await;
    // What other programs write there is no version, and others have versions of their own.
    for (audience, channel, recipient, sequence) in [
        ("customer", "email", "", json!("9")),
        ("customer", "email", "", json!([])),
        ("customer", "email", "", Value::Null),
        ("customer", "email", "", json!(-1e300)),
        ("provider", "email", "", json!(900)),
        ("customer", "sms", "", json!(900)),
        ("customer", "email", "guest", json!(900)),
    ] {
        tell(&app, id, audience, channel, recipient, &sequence).await;
    }
    app.sql("UPDATE bookings SET location = 'Opernring 2, Wien'", &[])
        .await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon() + hours(24)).await;
    app.ses.answer(|_| Answer::Sent);
    app.sql("UPDATE services SET title = 'Long massage'", &[])
        .await;
    app.make_claimable().await;
    app.run(noon() + hours(25)).await;
    // What the message before told is in doubt: its attempts differ.
    app.run(noon() + hours(47)).await;
    let told: Vec<_> = (app.ses.mails().iter())
        .map(|mail| properties(&calendar(mail).text)["SEQUENCE"].clone())
        .collect();
    assert_eq!(told, ["2", "3", "4", "5"]);
}

/// The event of a message that told of this version of an appointment.
async fn tell(
    app: &App,
    booking: Uuid,
    audience: &str,
    channel: &str,
    recipient: &str,
    sequence: &Value,
) {
    let sql = "INSERT INTO booking_automation_events (booking_id, event_type, rule, audience, channel, recipient, status, starts_at, revision, event_data)
               VALUES ($1, 'reminder_sent', gen_random_uuid()::text, $2, $3, $4, 'skipped', now(), 1, jsonb_build_object('sequence', $5::jsonb))";
    app.sql(sql, &[&booking, &audience, &channel, &recipient, &sequence])
        .await;
}

#[tokio::test]
async fn a_move_before_a_retry_counts_once() {
    let app = with_rules(&["confirmed"]).await;
    app.sql("UPDATE reminder_rules SET active = name = '24h'", &[])
        .await;
    let id = app.booking("confirmed", noon() + hours(48)).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    set_start(&app, id, noon() + hours(26)).await;
    app.make_claimable().await;
    app.run(noon() + minutes(2)).await;
    app.run(noon() + hours(2)).await;
    let told: Vec<_> = (app.ses.mails().iter())
        .map(|mail| properties(&calendar(mail).text)["SEQUENCE"].clone())
        .collect();
    // The reminder follows a message whose attempts differ.
    assert_eq!(told, ["2", "5", "6"]);
}

#[tokio::test]
async fn a_sequence_is_an_integer_of_32_bits() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    tell(&app, id, "customer", "email", "", &json!(1e300)).await;
    app.run(noon()).await;
    let found = properties(&calendar(&app.ses.mails()[0]).text);
    assert_eq!(found["SEQUENCE"], i32::MAX.to_string());
}

/// The form of the mails, and what the request says beside them.
async fn request_of(app: &mut App, settings: &[(&'static str, &str)]) -> Value {
    for (name, value) in settings {
        app.env.insert(name, (*value).to_owned());
    }
    app.ses.clear();
    app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let mut request = app.ses.mails().last().unwrap().0.clone();
    // It differs from mail to mail.
    request["EmailTags"][0]["Value"] = json!("[uuid]");
    request
}

#[tokio::test]
async fn a_setting_switches_it_off() {
    let mut app = App::new().await;
    let sender = ("EMAIL_FROM", "Praxis Müller <booking@studio.example>");
    let set = ("SES_CONFIGURATION_SET", "bookings");
    let mut with = request_of(&mut app, &[sender, set]).await;
    let with_mail = app.ses.mails().pop().unwrap();
    let mut without = request_of(&mut app, &[("MAIL_CALENDAR", "false")]).await;
    let without_mail = app.ses.mails().pop().unwrap();
    assert!(with["Content"]["Raw"].is_object() && with["Content"]["Simple"].is_null());
    assert!(without["Content"]["Simple"].is_object() && without["Content"]["Raw"].is_null());
    assert!(without_mail.calendar().is_none());
    // Otherwise they are the same.
    for request in [&mut with, &mut without] {
        request.as_object_mut().unwrap().remove("Content");
    }
    assert_eq!(with, without);
    assert_eq!(with["ConfigurationSetName"], "bookings");
    assert_eq!(
        with["Destination"]["ToAddresses"],
        json!(["carla@customers.example"])
    );
    let of =
        |mail: &Mail| [mail.from(), mail.subject(), mail.text(), mail.html()].map(str::to_owned);
    assert_eq!(of(&with_mail), of(&without_mail));
    assert_eq!(
        with_mail.header("Auto-Submitted"),
        without_mail.header("Auto-Submitted")
    );
}

#[tokio::test]
async fn a_role_that_may_send_no_complete_mails_sends_them_without_the_appointment() {
    let mut app = App::new().await;
    app.confirmed(noon() + hours(24)).await;
    app.confirmed(noon() + hours(24)).await;
    let denied = "User `arn:aws:sts::123456789012:assumed-role/booking/x' is not authorized to perform \
                  `ses:SendRawEmail' on resource `arn:aws:ses:eu-central-1:123456789012:identity/studio.example'";
    app.ses.answer(move |mail| match mail.calendar() {
        Some(_) => Answer::Error(403, "AccessDeniedException", denied),
        None => Answer::Sent,
    });
    app.env.insert("SEND_CONCURRENCY", "1".to_owned());
    let output = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    let log = &output.stderr;
    assert_eq!(log.matches("ses:SendRawEmail").count(), 1, "{log}");
    let summary = output.summary();
    assert_eq!(summary["reminders"]["sent"], 2, "{summary}");
    let complete: Vec<_> = (app.ses.mails().iter())
        .map(|mail| mail.calendar().is_some())
        .collect();
    assert_eq!(complete, [true, false, false], "it is tried once");
    // Any other permission that is missing holds all mails back, as before.
    app.confirmed(noon() + hours(24)).await;
    app.ses.answer(|_| {
        let denied = "User is not authorized to perform `ses:SendEmail'";
        Answer::Error(403, "AccessDeniedException", denied)
    });
    let summary = app.run(noon()).await;
    assert_eq!(summary["reminders"]["deferred"], 1, "{summary}");
}

#[tokio::test]
async fn follow_ups_and_expiries_carry_none() {
    let app = with_rules(&["expired", "follow-up"]).await;
    let completed = app.booking("confirmed", noon() + minutes(1)).await;
    app.run(noon() + minutes(1)).await;
    app.run(noon() + minutes(61)).await;
    set_status(&app, app.confirmed(noon() + hours(1)).await, "expired").await;
    app.run(noon() + minutes(182)).await;
    assert_eq!(app.status(completed).await, "completed");
    let mails = app.ses.mails();
    assert_eq!(mails.len(), 2);
    for mail in mails {
        assert!(mail.calendar().is_none() && mail.0["Content"]["Simple"].is_object());
    }
    let facts = reminder("en", noon(), "UTC");
    for kind in [
        Kind::Expired,
        Kind::FollowUp,
        Kind::Digest(day_of(&facts, 2)),
        Kind::GroupedReminder(day_of(&facts, 0)),
    ] {
        assert_eq!(written_as(&kind, &facts).calendar, None);
    }
}

fn invitation(kind: &Kind, facts: &BookingFacts) -> String {
    let organizer = Address::parse("booking@studio.example").unwrap();
    let attendee = Address::parse(&facts.email).unwrap();
    let message = written_as(kind, facts);
    message.calendar.unwrap().invitation(&organizer, &attendee)
}

#[test]
fn invitations_match_their_snapshots() {
    let at = "2026-03-03T14:00:00Z".parse().unwrap();
    let place = reminder("en", at, "Europe/Vienna");
    let online = BookingFacts {
        is_online: true,
        meeting_link: Some("https://meet.example/a?b=1,2;c=3&d".to_owned()),
        ..reminder("ar", at, "Asia/Tokyo")
    };
    let all = all_kinds();
    let cancelled = all
        .iter()
        .find(|kind| matches!(kind, Kind::Cancelled { .. }));
    let texts = [
        invitation(&Kind::Reminder, &place),
        invitation(
            cancelled.unwrap(),
            &BookingFacts {
                sequence: 3,
                ..place
            },
        ),
        invitation(&Kind::Confirmed, &online),
    ];
    insta::assert_snapshot!(texts.join("\n").replace("\r\n", "\n"));
}

#[test]
fn a_cancellation_has_no_link_to_join() {
    let online = BookingFacts {
        is_online: true,
        meeting_link: Some("https://meet.example/a".to_owned()),
        ..reminder("en", noon(), "UTC")
    };
    for kind in all_kinds() {
        let Some(appointment) = written_as(&kind, &online).calendar else {
            continue;
        };
        let address = Address::parse("a@b.example").unwrap();
        let found = properties(&appointment.invitation(&address, &address));
        let is_cancelled = matches!(kind, Kind::Cancelled { .. });
        assert_eq!(found.contains_key("LOCATION"), !is_cancelled, "{kind:?}");
        assert_eq!(found["DESCRIPTION"].contains("meet.example"), !is_cancelled);
    }
}

#[test]
fn an_appointment_without_a_known_end_has_none() {
    for duration_minutes in [None, Some(0), Some(-5)] {
        let facts = BookingFacts {
            duration_minutes,
            ..reminder("en", noon(), "UTC")
        };
        let text = invitation(&Kind::Confirmed, &facts);
        assert!(!properties(&text).contains_key("DTEND"), "{text}");
        if let Some(found) = ical_js(&[&text]) {
            assert_eq!(found[0]["start"], "2026-03-01T12:00:00.000Z");
            assert_eq!(found[0]["end"], found[0]["start"]);
        }
    }
}

#[test]
fn a_time_that_a_calendar_cannot_hold_is_left_out() {
    let last: DateTime<Utc> = "9999-12-31T23:30:00Z".parse().unwrap();
    let text = invitation(&Kind::Confirmed, &reminder("en", last, "UTC"));
    assert_eq!(properties(&text)["DTSTART"], "99991231T233000Z");
    assert!(!properties(&text).contains_key("DTEND"), "{text}");
    let later = reminder("en", last + hours(1), "UTC");
    assert_eq!(written(&later).calendar, None);
}

/// Texts of users that try to leave their property, their header or their part.
const HOSTILE: [&str; 7] = [
    "x\r\nATTENDEE:mailto:evil@x.example\r\nEND:VEVENT\r\nBEGIN:VEVENT",
    "x\\n,;:\"'^n\\",
    "x\u{2028}STATUS:CANCELLED\u{85}STATUS:CANCELLED\u{b}STATUS:CANCELLED",
    "x\r\n\r\n--=_booking_automation\r\nContent-Type: text/html\r\n\r\n<b>",
    "x\r\nBcc: evil@x.example",
    "=?UTF-8?Q?x=0D=0ABcc:_evil@x.example?=",
    "x;CN=\"evil\":mailto:evil@x.example",
];

#[tokio::test]
async fn no_text_of_a_user_adds_a_property_a_header_or_a_part() {
    let app = with_rules(&["confirmed"]).await;
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
    let emoji = "👩‍👩‍👧".repeat(3_000);
    let texts = HOSTILE.into_iter().chain(["x", &emoji]);
    let mut expected = None;
    for (text, is_online) in texts.flat_map(|text| [(text, false), (text, true)]) {
        app.sql("UPDATE users SET display_name = $1, answers = $1", &[&text])
            .await;
        app.sql("UPDATE services SET title = $1", &[&text]).await;
        let id = app.booking("pending", noon() + hours(48)).await;
        let end: String = text.chars().take(300).collect();
        app.sql(
            "UPDATE bookings SET location = $2, is_online = $3, meeting_link = $4 WHERE id = $1",
            &[
                &id,
                &text,
                &is_online,
                &format!("https://meet.example/{end}"),
            ],
        )
        .await;
        set_status(&app, id, "confirmed").await;
        app.run(noon()).await;
        let mails = app.ses.mails();
        let mail = mails.last().unwrap();
        let ours = &calendar(mail).text;
        assert!(
            ours.split("\r\n")
                .all(|line| line.len() <= 75 && !line.contains(['\r', '\n'])),
            "{ours}"
        );
        // Each one once, and no other.
        let names: Vec<_> = properties(ours).into_keys().collect();
        assert_eq!(ours.matches("\r\nBEGIN:").count(), 1, "{ours}");
        assert_eq!(expected.get_or_insert(names.clone()), &names, "{ours}");
        assert!(mail.reply_to().is_empty());
    }
    let mails = app.ses.mails();
    assert_eq!(mails.len(), 18);
    for (found, mail) in python(&mails).into_iter().flatten().zip(&mails) {
        assert_eq!(found["defects"], json!([]), "{mail:?}");
        let headers = [
            "Auto-Submitted",
            "Content-Type",
            "From",
            "MIME-Version",
            "Subject",
            "To",
        ];
        assert_eq!(found["headers"], json!(headers), "{mail:?}");
        let parts = ["text/plain", "text/html", "text/calendar"];
        assert_eq!(found["parts"], json!(parts), "{mail:?}");
        assert_eq!(found["status"], "CONFIRMED");
        assert_eq!(found["subject"], mail.subject());
        assert_eq!(found["attendee"], "mailto:carla@customers.example");
    }
    let texts: Vec<_> = mails.iter().map(|mail| &calendar(mail).text[..]).collect();
    for found in ical_js(&texts).into_iter().flatten() {
        assert_eq!(found["events"], 1);
        assert_eq!(
            found["attendees"],
            json!(["mailto:carla@customers.example"])
        );
    }
}

#[test]
fn texts_arrive_as_they_were_written() {
    let at = noon();
    let title = |text: &str| BookingFacts {
        service: Some(text.to_owned()),
        with_name: None,
        place: Some(text.to_owned()),
        ..reminder("en", at, "UTC")
    };
    let texts = [
        "Cut, colour; \"wash\" \\ dry: ^n",
        "日本語のとても長いサービス名".repeat(5).leak(),
        "👩‍👩‍👧 é 🇦🇹".repeat(6).leak(),
    ];
    for before in 0..10 {
        let texts = texts.map(|text| format!("{}{text}", "x".repeat(before)));
        let written: Vec<_> = texts
            .iter()
            .map(|text| invitation(&Kind::Confirmed, &title(text)))
            .collect();
        let written: Vec<_> = written.iter().map(String::as_str).collect();
        let Some(found) = ical_js(&written) else {
            return;
        };
        for (text, found) in texts.iter().zip(found) {
            assert_eq!(found["summary"], *text);
            assert_eq!(found["location"], *text);
        }
    }
}

#[tokio::test]
async fn every_address_that_ses_takes_is_attendee_and_recipient() {
    let app = with_rules(&["confirmed"]).await;
    let mut expected = Vec::new();
    for (email, to, uri) in [
        (
            "carla@bücher.example",
            "carla@xn--bcher-kva.example",
            "mailto:carla@xn--bcher-kva.example",
        ),
        (
            "abc..def@docomo.ne.jp",
            "\"abc..def\"@docomo.ne.jp",
            "mailto:%22abc..def%22@docomo.ne.jp",
        ),
        (
            "o'neil+50%@b.example",
            "o'neil+50%@b.example",
            "mailto:o'neil+50%25@b.example",
        ),
    ] {
        app.sql(
            "UPDATE users SET email = $1 WHERE id = $2",
            &[&email, &app.customer],
        )
        .await;
        app.booking("confirmed", noon() + hours(48)).await;
        app.run(noon()).await;
        expected.push((to, uri));
    }
    let mails = app.ses.mails();
    let found = python(&mails);
    for (at, (to, uri)) in expected.into_iter().enumerate() {
        assert_eq!(mails[at].to(), to);
        let raw = String::from_utf8(calendar(&mails[at]).mail.clone()).unwrap();
        assert!(raw.contains(&format!("\r\nTo: {to}\r\n")), "{raw}");
        let text = &calendar(&mails[at]).text;
        assert!(
            text.replace("\r\n ", "").contains(&format!(":{uri}\r\n")),
            "{text}"
        );
        if let Some(found) = &found {
            // Python names it without its quotes.
            assert_eq!(found[at]["to"], json!([to.replace('"', "")]));
            assert_eq!(found[at]["attendee"], uri);
            assert_eq!(found[at]["defects"], json!([]));
        }
    }
}

#[tokio::test]
async fn a_mail_is_seven_bit_in_short_lines_with_any_sender_and_subject() {
    let mut app = with_rules(&["confirmed"]).await;
    let long = "Praxis für Physiotherapie und ganzheitliche Körperarbeit im schönen Ötztal";
    for (name, shown) in [
        (long, long),
        ("Studio \"Nord\", Inc.", "Studio \"Nord\", Inc."),
        ("=?UTF-8?Q?a?=", "=?UTF-8?Q?a?="),
    ] {
        let from = format!("{name} <booking@studio.example>");
        app.env.insert("EMAIL_FROM", from);
        app.ses.clear();
        for title in [
            "Massage",
            &"Überlange Behandlung ".repeat(9),
            &"x".repeat(180),
        ] {
            app.sql("UPDATE services SET title = $1", &[&title]).await;
            app.booking("confirmed", noon() + hours(48)).await;
            app.run(noon()).await;
        }
        let mails = app.ses.mails();
        assert_eq!(mails.len(), 3);
        for mail in &mails {
            let raw = std::str::from_utf8(&calendar(mail).mail).unwrap();
            assert!(raw.is_ascii());
            for line in raw.split("\r\n") {
                assert!(line.len() <= 78 && !line.contains(['\r', '\n']), "{line}");
            }
        }
        for (found, mail) in python(&mails).into_iter().flatten().zip(&mails) {
            assert_eq!(found["defects"], json!([]), "{mail:?}");
            assert_eq!(found["from_name"], shown);
            assert_eq!(found["subject"], mail.subject());
        }
    }
}

#[test]
fn every_language_and_kind_is_read_back() {
    let mut texts = Vec::new();
    for tag in tags() {
        for kind in all_kinds() {
            let facts = reminder(tag, noon() + hours(24), "Asia/Tokyo");
            if written_as(&kind, &facts).calendar.is_some() {
                texts.push(invitation(&kind, &facts));
            }
        }
    }
    assert!(texts.len() >= 4 * 10);
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let Some(found) = ical_js(&texts) else { return };
    for (text, found) in texts.iter().zip(found) {
        let summary = found["summary"].as_str().unwrap();
        assert!(
            summary.contains("Massage") && summary.contains("Petra"),
            "{text}"
        );
        assert!(!summary.contains(['\u{2068}', '\u{2069}']), "{text}");
        let lines = found["description"].as_str().unwrap().lines().count();
        assert_eq!(lines, 3, "both zones and the booking's page: {text}");
    }
}

#[tokio::test]
async fn a_booking_from_before_the_installation_begins_with_sequence_zero() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    // As if it were older than our triggers.
    app.sql(
        "DELETE FROM booking_automation_state WHERE booking_id = $1",
        &[&id],
    )
    .await;
    app.run(noon()).await;
    switch_on(&app, &["cancelled"]).await;
    app.set_clock(noon() + minutes(1)).await;
    set_status(&app, id, "cancelled").await;
    app.run(noon() + minutes(1)).await;
    let told: Vec<_> = app.ses.mails().iter().map(in_short).collect();
    assert_eq!(
        told,
        [
            "REQUEST 0 20260302T120000Z 20260302T130000Z 20260301T120000Z",
            "CANCEL 1 20260302T120000Z 20260302T130000Z 20260301T120100Z",
        ]
    );
}
