//! The preview of the coming passes.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use crate::app::{App, hours, minutes, noon};
use crate::ses::Answer;
use crate::status::{ask, support};

/// The work of one pass: started, completed, expired, reminders sent, reminders skipped.
type Work = [i64; 5];

fn work_by_minute(preview: &Value) -> BTreeMap<DateTime<Utc>, Work> {
    let minutes = preview["minutes"].as_array().unwrap();
    minutes
        .iter()
        .map(|minute| {
            (
                minute["at"].as_str().unwrap().parse().unwrap(),
                work_of_minute(minute),
            )
        })
        .collect()
}

fn work_of_minute(minute: &Value) -> Work {
    let count = |name: &str| minute[name].as_i64().unwrap();
    let reminders = minute["reminders"].as_array().unwrap();
    let skipped = |rule: &Value| {
        rule["skip"]
            .as_object()
            .unwrap()
            .values()
            .map(|n| n.as_i64().unwrap())
            .sum::<i64>()
    };
    [
        count("started"),
        count("completed"),
        count("expired"),
        reminders
            .iter()
            .map(|rule| rule["send"].as_i64().unwrap())
            .sum(),
        reminders.iter().map(skipped).sum(),
    ]
}

fn work_of_summary(summary: &Value) -> Work {
    let count = |of: &str, name: &str| summary[of][name].as_i64().unwrap();
    [
        count("transitions", "started"),
        count("transitions", "completed"),
        count("transitions", "expired"),
        count("reminders", "sent"),
        count("reminders", "skipped"),
    ]
}

/// A hash of our tables and the bookings.
async fn database_digest(app: &App) -> String {
    let sql = "SELECT md5(concat((SELECT string_agg(b::text, ',' ORDER BY id) FROM bookings b),
                                 (SELECT string_agg(e::text, ',' ORDER BY id) FROM booking_automation_events e),
                                 (SELECT string_agg(r::text, ',' ORDER BY id) FROM automation_runs r),
                                 (SELECT string_agg(l::text, ',' ORDER BY seq) FROM booking_automation_looks l),
                                 (SELECT string_agg(s::text, ',' ORDER BY booking_id) FROM booking_automation_state s)))";
    app.one(sql, &[]).await.get(0)
}

/// Creates bookings of all kinds over six days.
async fn create_week_of_bookings(app: &App) {
    app.sql("INSERT INTO reminder_rules (name, lead, audience) VALUES ('3d', '3 days', 'customer'), ('2h', '2 hours', 'provider')", &[]).await;
    app.sql(
        "UPDATE reminder_rules SET effective_from = '2020-01-01'",
        &[],
    )
    .await;
    let nobody = app.person("Nobody", None, "UTC").await;
    for day in 0..6 {
        app.confirmed(noon() + hours(24 * day + 1)).await;
        app.confirmed(noon() + hours(24 * day + 1)).await;
        app.confirmed(noon() + hours(24 * day) + minutes(7)).await;
        app.confirmed(noon() + hours(24 * day + 2) + Duration::seconds(30))
            .await;
        app.booking("pending", noon() + hours(24 * day + 3)).await;
        let id = app.confirmed(noon() + hours(24 * day + 5)).await;
        app.sql(
            "UPDATE bookings SET customer_id = $2 WHERE id = $1",
            &[&id, &nobody],
        )
        .await;
        for status in ["confirmed", "in_progress"] {
            let id = app.booking(status, noon() + hours(24 * day + 7)).await;
            app.sql(
                "UPDATE bookings SET auto_complete_blocked = true WHERE id = $1",
                &[&id],
            )
            .await;
        }
        // Started, over, and overdue.
        app.booking("confirmed", noon() - minutes(20) + minutes(day))
            .await;
        app.booking("in_progress", noon() - minutes(80) + minutes(day))
            .await;
        app.booking("confirmed", noon() - hours(90) + minutes(day))
            .await;
        // Booked just now: some of its reminders are late.
        app.booking("confirmed", noon() + hours(24 * day) + minutes(100))
            .await;
    }
}

#[tokio::test]
async fn a_week_of_passes_matches_its_preview_to_the_minute() {
    let mut app = App::new().await;
    app.env.insert("COMPLETE_AFTER", "20m".to_owned());
    app.env.insert("EXPIRE_PENDING", "true".to_owned());
    create_week_of_bookings(&app).await;
    // A refused step waits for its retry.
    let refused = app.booking("in_progress", noon() - hours(3)).await;
    let sql =
        "INSERT INTO booking_automation_events (booking_id, event_type, status, next_attempt_at)
               VALUES ($1, 'status_update', 'failed', $2)";
    app.sql(sql, &[&refused, &(noon() + minutes(30))]).await;
    // No pass has run: the first one checks all bookings.
    let before = database_digest(&app).await;
    let preview = app
        .call(&["preview", "--for", "7d", "--as-of", &noon().to_rfc3339()])
        .await
        .summary();
    assert_eq!(database_digest(&app).await, before, "nothing is written");
    assert!(app.ses.mails().is_empty(), "nothing is sent");
    let server = support(&mut app, noon()).await;
    assert_eq!(
        ask(&server, "GET", "/preview?for=7d", &[], b"")
            .await
            .json(),
        preview
    );
    server.end().await;

    let foreseen = work_by_minute(&preview);
    assert!(foreseen.len() > 60, "{}", foreseen.len());
    assert!(
        foreseen[&noon()].iter().all(|count| *count > 0),
        "{:?}",
        foreseen[&noon()]
    );
    // Each minute of the preview, the minutes before and after it, and every hour.
    let around = foreseen
        .keys()
        .flat_map(|at| [*at - minutes(1), *at, *at + minutes(1)]);
    let every_hour = (0..24 * 7).map(|hour| noon() + hours(hour));
    let mut times: Vec<_> = around
        .chain(every_hour)
        .filter(|at| (noon()..=noon() + hours(24 * 7)).contains(at))
        .collect();
    times.sort_unstable();
    times.dedup();
    let mut total = [0; 5];
    for at in times {
        let did = work_of_summary(&app.run(at).await);
        assert_eq!(did, foreseen.get(&at).copied().unwrap_or_default(), "{at}");
        total = std::array::from_fn(|which| total[which] + did[which]);
    }
    let [started, completed, expired, sent, skipped] = total;
    assert_eq!(
        preview["total"],
        json!({"started": started, "completed": completed, "expired": expired})
    );
    let rules = preview["rules"].as_array().unwrap();
    assert_eq!(
        rules
            .iter()
            .map(|rule| rule["send"].as_i64().unwrap())
            .sum::<i64>(),
        sent
    );
    let skips = rules
        .iter()
        .flat_map(|rule| rule["skip"].as_object().unwrap().values());
    assert_eq!(
        skips.map(|count| count.as_i64().unwrap()).sum::<i64>(),
        skipped
    );
}

#[tokio::test]
async fn the_preview_counts_by_rule_and_reason_and_includes_pending_retries() {
    let mut app = App::new().await;
    app.confirmed(noon() + hours(24)).await;
    app.confirmed(noon() + hours(23)).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slower"));
    app.run(noon()).await;
    let waiting = app
        .one(
            "SELECT count(*) FROM booking_automation_events WHERE status = 'pending'",
            &[],
        )
        .await;
    assert_eq!(waiting.get::<_, i64>(0), 2);
    // Retries use the real clock.
    app.sql(
        "UPDATE booking_automation_events SET next_attempt_at = $1",
        &[&(noon() + minutes(5))],
    )
    .await;
    // Not in the preview: a reminder in flight, one whose start has come, and one with a later
    // retry.
    for (status, start, next) in [
        ("sending", noon() + hours(3), noon() + minutes(5)),
        ("pending", noon(), noon() + minutes(5)),
        (
            "pending",
            noon() + hours(48),
            noon() + hours(24) + minutes(1),
        ),
    ] {
        let sql = "INSERT INTO booking_automation_events (booking_id, event_type, rule, audience, channel, status, starts_at, next_attempt_at)
                   VALUES (gen_random_uuid(), 'reminder_sent', '24h', 'customer', 'email', $1, $2, $3)";
        app.sql(sql, &[&status, &start, &next]).await;
    }

    let server = support(&mut app, noon()).await;
    let preview = ask(&server, "GET", "/preview", &[], b"").await.json();
    let rule = |name: &str| {
        preview["rules"]
            .as_array()
            .unwrap()
            .iter()
            .find(|rule| rule["rule"] == name)
            .cloned()
            .unwrap()
    };
    assert_eq!(
        rule("24h"),
        json!({"rule": "24h", "audience": "customer", "channel": "email", "send": 2, "skip": {}})
    );
    assert_eq!(rule("1h")["send"], 2);
    assert_eq!(rule("15m")["send"], 2);
    assert_eq!(
        (&preview["as_of"], &preview["until"]),
        (
            &json!("2026-03-01T12:00:00Z"),
            &json!("2026-03-02T12:00:00Z")
        )
    );
    assert_eq!(
        preview["total"],
        json!({"started": 2, "completed": 1, "expired": 0})
    );
    // A step due just before the end is made by the next pass, after the end.
    app.confirmed(noon() + minutes(1) + Duration::seconds(10))
        .await;
    for (time, started) in [("90s", 0), ("120s", 1)] {
        let preview = ask(&server, "GET", &format!("/preview?for={time}"), &[], b"")
            .await
            .json();
        assert_eq!(preview["total"]["started"], started, "{time}");
    }
}

#[tokio::test]
async fn invalid_input_is_refused_with_its_field() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    for (query, field) in [
        ("for=1", "for"),
        ("for=0m", "for"),
        ("for=59s", "for"),
        ("for=8d", "for"),
        ("for=-1h", "for"),
        ("for=", "for"),
        ("for=1h&for=1h", "for"),
        ("For=1h", "For"),
        ("since=1h", "since"),
    ] {
        let answer = ask(&server, "GET", &format!("/preview?{query}"), &[], b"").await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (400, "application/problem+json"),
            "{query}"
        );
        assert_eq!(answer.json()["field"], field, "{query}");
    }
    let said = app.call(&["preview", "--for", "8d"]).await;
    assert!(
        !said.success && said.stderr.contains("takes a duration from 1m to 7d"),
        "{}",
        said.stderr
    );
    // Without the schema the error says what to do.
    let empty = App::empty().await;
    let said = empty.call(&["preview"]).await;
    assert!(
        !said.success
            && said
                .stderr
                .contains("run `booking-automation migrate` first"),
        "{}",
        said.stderr
    );
}
