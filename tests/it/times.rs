//! Times as a person reads them: in whose zone, with which end, across clock changes.

use std::time::Duration;

use booking_automation::messages::Message;
use booking_automation::messages::facts::BookingFacts;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::app::{App, hours, noon};
use crate::languages::{babel, reminder, written};

fn at(time: &str) -> DateTime<Utc> {
    time.parse().unwrap()
}

/// The lines from the time to the place, with plain spaces.
fn time_lines(mail: &Message) -> Vec<String> {
    let text = mail.text.replace('\u{a0}', " ");
    text.lines()
        .skip_while(|line| !line.starts_with("When: "))
        .take_while(|line| {
            let after = ["Where: ", "Join: ", "Your booking: "];
            !line.is_empty() && !after.iter().any(|label| line.starts_with(label))
        })
        .map(|line| line.trim_start_matches("When: ").to_owned())
        .collect()
}

/// A booking in English, at a place in Vienna.
fn at_a_place(starts_at: &str, timezone: &str) -> BookingFacts {
    reminder("en-GB", at(starts_at), timezone)
}

fn online(starts_at: &str, timezone: &str) -> BookingFacts {
    BookingFacts {
        is_online: true,
        meeting_link: Some("https://meet.example/a".to_owned()),
        ..at_a_place(starts_at, timezone)
    }
}

#[test]
fn a_booking_at_a_place_leads_with_its_time_and_an_online_one_with_the_recipients() {
    let starts_at = "2026-03-02T12:00:00Z";
    let vienna = "Monday, 2 March 2026, 13:00–14:00 Central European Time (UTC+01:00)";
    let kolkata = "Monday, 2 March 2026, 17:30–18:30 India Standard Time (UTC+05:30)";
    let mail = written(&at_a_place(starts_at, "Asia/Kolkata"));
    assert_eq!(
        time_lines(&mail),
        [vienna, &format!("{kolkata}, your local time")]
    );
    assert!(
        mail.subject
            .ends_with("Mon 2 Mar, 13:00 (Central European Time)"),
        "{}",
        mail.subject
    );
    let mail = written(&online(starts_at, "Asia/Kolkata"));
    assert_eq!(
        time_lines(&mail),
        [kolkata, &format!("{vienna}, local time at the other end")]
    );
    assert!(
        mail.subject
            .ends_with("Mon 2 Mar, 17:30 (India Standard Time)"),
        "{}",
        mail.subject
    );
    // Other zones with the same time then.
    for booking in [at_a_place, online] {
        assert_eq!(
            time_lines(&written(&booking(starts_at, "Europe/Berlin"))).len(),
            1
        );
    }
    // Across the date line.
    let mut far = online("2026-03-02T10:30:00Z", "Pacific/Kiritimati");
    far.place_timezone = Some("Pacific/Pago_Pago".to_owned());
    assert_eq!(
        time_lines(&written(&far)),
        [
            "Tuesday, 3 March 2026, 00:30–01:30 Line Islands Time (UTC+14:00)",
            "Sunday, 1 March 2026, 23:30 – Monday, 2 March 2026, 00:30 American Samoa Time (UTC−11:00), local time at the other end"
        ]
    );
}

#[test]
fn an_end_on_another_day_or_after_a_clock_change_has_its_date() {
    let with_minutes = |starts_at: &str, minutes: i32, zone: &str| {
        let mut booking = online(starts_at, zone);
        (booking.duration_minutes, booking.place_timezone) = (Some(minutes), None);
        booking.starts_in = Duration::ZERO;
        time_lines(&written(&booking)).join("\n")
    };
    let said = [
        // Over midnight, and over two of them.
        with_minutes("2026-03-02T22:30:00Z", 60, "Europe/Vienna"),
        with_minutes("2026-03-02T12:00:00Z", 2 * 24 * 60, "Europe/Vienna"),
        // To midnight itself.
        with_minutes("2026-03-02T22:00:00Z", 60, "Europe/Vienna"),
        // The clocks go back, and forward; by half an hour on Lord Howe Island.
        with_minutes("2026-10-25T00:30:00Z", 60, "Europe/Vienna"),
        with_minutes("2026-03-29T00:30:00Z", 60, "Europe/Vienna"),
        with_minutes("2026-04-04T14:30:00Z", 60, "Australia/Lord_Howe"),
        // No end.
        with_minutes("2026-03-02T12:00:00Z", 0, "Europe/Vienna"),
        with_minutes("2026-03-02T12:00:00Z", i32::MIN, "Europe/Vienna"),
    ];
    insta::assert_snapshot!("ends", said.join("\n"));
    // Years after what the calendar has.
    with_minutes("2026-03-02T12:00:00Z", i32::MAX, "Europe/Vienna");
}

#[test]
fn a_line_says_if_the_clocks_change_before_the_start() {
    for (starts_at, hours, zone, changes) in [
        ("2026-10-25T12:00:00Z", 24, "Europe/Vienna", true),
        ("2026-10-25T12:00:00Z", 1, "Europe/Vienna", false),
        ("2026-10-25T12:00:00Z", 24, "Asia/Tokyo", false),
        ("2026-03-29T01:00:00Z", 1, "Europe/Vienna", true),
        ("2026-03-29T00:59:59Z", 1, "Europe/Vienna", false),
    ] {
        let mut booking = online(starts_at, zone);
        booking.place_timezone = None;
        booking.starts_in = Duration::from_secs(hours * 3600);
        let mail = written(&booking);
        let line = "The clocks change before then.";
        assert_eq!(
            (mail.text.contains(line), mail.html.contains(line)),
            (changes, changes),
            "{starts_at} {zone}"
        );
    }
}

#[test]
fn a_change_of_the_recipients_own_clocks_is_said() {
    // Phoenix has no daylight saving time.
    let mut booking = at_a_place("2026-11-01T19:00:00Z", "America/Los_Angeles");
    booking.place_timezone = Some("America/Phoenix".to_owned());
    booking.starts_in = Duration::from_secs(24 * 3600);
    assert!(
        written(&booking)
            .text
            .contains("The clocks change before then.")
    );
    booking.is_online = true;
    booking.timezone = Some("America/Phoenix".to_owned());
    booking.place_timezone = Some("America/Los_Angeles".to_owned());
    assert!(
        !written(&booking)
            .text
            .contains("The clocks change before then.")
    );
}

#[test]
fn zones_under_one_name_have_the_same_time() {
    let zones = jiff::tz::TimeZoneDatabase::bundled();
    let first: jiff::Timestamp = "2026-11-15T12:00:00Z".parse().unwrap();
    for line in include_str!("../../src/messages/zones.txt").lines() {
        let mut names = line.split(' ');
        let variant = names.next().unwrap();
        // Some old names are not in this database.
        let known: Vec<_> = names.filter_map(|name| zones.get(name).ok()).collect();
        assert!(!known.is_empty(), "{variant}");
        for month in 0..24 {
            let at = first + jiff::SignedDuration::from_hours(month * 30 * 24);
            for zone in &known {
                assert_eq!(
                    zone.to_offset(at),
                    known[0].to_offset(at),
                    "{variant} {at} {zone:?}"
                );
            }
        }
    }
}

#[test]
fn a_zone_without_a_name_is_its_offset() {
    for (zone, offset) in [
        ("UTC+12", "UTC+12:00"),
        ("UTC-11", "UTC−11:00"),
        ("Asia/Amman", "UTC+03:00"),
        ("UTC", "UTC"),
    ] {
        let mut booking = online("2026-03-02T12:00:00Z", zone);
        booking.place_timezone = None;
        let mail = written(&booking);
        assert!(
            mail.subject.ends_with(&format!(" ({offset})")),
            "{}",
            mail.subject
        );
        let line = time_lines(&mail).remove(0);
        assert!(line.ends_with(&format!(" {offset}")), "{line}");
    }
}

#[tokio::test]
async fn a_time_zone_that_is_missing_or_unknown_is_replaced_and_recorded() {
    let app = App::new().await;
    for (timezone, place, online, shown, is_unknown) in [
        (
            Some("Asia/Tokyo"),
            Some("Europe/Vienna"),
            true,
            "Asia/Tokyo",
            false,
        ),
        (
            Some(" asia/tokyo "),
            Some("Europe/Vienna"),
            true,
            "Asia/Tokyo",
            false,
        ),
        (
            Some("Tokyo Standard Time"),
            Some("Europe/Vienna"),
            true,
            "Asia/Tokyo",
            false,
        ),
        (None, Some("Europe/Vienna"), true, "Europe/Vienna", true),
        (
            Some(""),
            Some("W. Europe Standard Time"),
            true,
            "Europe/Berlin",
            true,
        ),
        (
            Some("Mars/Base"),
            Some("Europe/Vienna"),
            true,
            "Europe/Vienna",
            true,
        ),
        (Some("Mars/Base"), None, true, "UTC", true),
        // The default of users.timezone counts as not set.
        (
            Some("UTC"),
            Some("Europe/Vienna"),
            true,
            "Europe/Vienna",
            false,
        ),
        (
            Some("Europe/Vienna"),
            Some("UTC"),
            false,
            "Europe/Vienna",
            false,
        ),
        (Some("Etc/UTC"), Some("UTC"), false, "UTC", false),
        (
            Some("zulu"),
            Some("Europe/Vienna"),
            true,
            "Europe/Vienna",
            false,
        ),
        (Some("UTC"), Some("UTC"), false, "UTC", false),
        (
            Some("Asia/Tokyo"),
            Some("Mars/Base"),
            false,
            "Asia/Tokyo",
            false,
        ),
        (None, None, false, "UTC", true),
    ] {
        app.sql(
            "UPDATE users SET timezone = CASE WHEN id = $1 THEN $2 ELSE $3 END",
            &[&app.customer, &timezone, &place],
        )
        .await;
        let id = app.confirmed(noon() + hours(24)).await;
        app.sql(
            "UPDATE bookings SET is_online = $2 WHERE id = $1",
            &[&id, &online],
        )
        .await;
        app.run(noon()).await;
        let mails = app.ses.mails();
        let zones = mails.last().unwrap().text().lines().last().unwrap();
        let first = zones.trim_start_matches("Time zone: ").split(", ").next();
        assert_eq!(first, Some(shown), "{timezone:?} {place:?}");
        let data: Value = app
            .one("SELECT event_data FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'reminder_sent'", &[&id])
            .await
            .get(0);
        let recorded = data["attempts"][0].get("zone_unknown").cloned();
        assert_eq!(
            recorded,
            is_unknown.then_some(Value::Bool(true)),
            "{timezone:?}: {data}"
        );
    }
}

#[test]
fn the_names_of_windows_are_those_of_cldr() {
    let Some(cldr) = babel(&[]) else { return };
    let windows = cldr["windows"].as_object().unwrap();
    assert!(windows.len() > 100, "{}", windows.len());
    for (name, zone) in windows.iter().filter(|(name, _)| *name != "UTC") {
        for starts_at in ["2026-01-15T12:00:00Z", "2026-07-15T12:00:00Z"] {
            let time_in = |zone: &str| {
                let mut booking = online(starts_at, zone);
                booking.place_timezone = None;
                time_lines(&written(&booking)).remove(0)
            };
            assert_eq!(time_in(name), time_in(zone.as_str().unwrap()), "{name}");
        }
    }
}
