//! Claim, send, record: the provider's answers and the outcomes of the messages.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::Notify;

use crate::app::{App, connect, hours, minutes, noon, signal};
use crate::ses::Answer;

/// Creates bookings whose 24 h reminders are due at noon, each with its own customer.
pub async fn create_due_bookings(app: &App, count: i32) {
    app.set_clock(noon() - hours(1000)).await;
    app.sql(
        "WITH person AS (
             INSERT INTO users (display_name, email, timezone)
             SELECT 'Customer ' || n, 'c' || n || '@customers.example', 'Europe/Vienna' FROM generate_series(1, $1::int) AS n
             RETURNING id
         )
         INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, created_at)
         SELECT id, $2, $3, 'confirmed', $4::timestamptz + row_number() OVER () * interval '1 second', 60, '2026-01-01' FROM person",
        &[&count, &app.provider, &app.service, &(noon() + hours(23))],
    )
    .await;
    app.set_clock(noon()).await;
}

/// The number of reminders in each state: `status reason attempts count`.
pub async fn reminder_outcomes(app: &App) -> Vec<String> {
    app.column(
        "SELECT concat_ws(' ', status, reason, attempts, count(*)) FROM booking_automation_events
          WHERE event_type = 'reminder_sent' GROUP BY status, reason, attempts ORDER BY 1",
        &[],
    )
    .await
}

#[tokio::test]
async fn a_sent_message_records_the_provider_id_and_is_tagged_with_its_event() {
    let mut app = App::new().await;
    app.env
        .insert("SES_CONFIGURATION_SET", "bookings".to_owned());
    create_due_bookings(&app, 3).await;
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert!(!said.stderr.contains("stale"), "{}", said.stderr);
    let on_record: serde_json::Value = app
        .one("SELECT summary FROM automation_runs", &[])
        .await
        .get(0);
    assert_eq!(on_record, said.summary());
    let recorded = app
        .column(
            "SELECT id || ' ' || message_id FROM booking_automation_events WHERE status = 'completed' ORDER BY 1",
            &[],
        )
        .await;
    let mut sent: Vec<_> = app
        .ses
        .mails()
        .iter()
        .enumerate()
        .map(|(index, mail)| format!("{} message-{}", mail.event_id(), index + 1))
        .collect();
    sent.sort();
    assert_eq!(recorded.len(), 3);
    // The answers may arrive in any order: compare the event ids.
    let events = |rows: &[String]| {
        rows.iter()
            .map(|row| row.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(events(&recorded), events(&sent));
    let mail = &app.ses.mails()[0].0;
    assert_eq!(mail["ConfigurationSetName"], "bookings");
    assert_eq!(
        mail["FromEmailAddress"],
        "\"Studio Nord\" <booking@studio.example>"
    );
    assert_eq!(mail["EmailTags"][0]["Name"], "event_id");
}

#[tokio::test]
async fn reminders_of_the_earliest_start_are_sent_first() {
    let mut app = App::new().await;
    app.env.insert("SEND_CONCURRENCY", "1".to_owned());
    let late = app.confirmed(noon() + hours(24)).await;
    let soon = app.confirmed(noon() + minutes(10)).await;
    let middle = app.confirmed(noon() + minutes(50)).await;
    app.run(noon()).await;
    let order = app
        .column(
            "SELECT booking_id::text FROM booking_automation_events WHERE status = 'completed' ORDER BY message_id",
            &[],
        )
        .await;
    assert_eq!(order, [soon, middle, late].map(|id| id.to_string()));
}

#[tokio::test]
async fn the_send_order_does_not_depend_on_the_query_plan() {
    let mut app = App::new().await;
    app.env.insert("SEND_CONCURRENCY", "1".to_owned());
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    // Each is enqueued by its own pass, the latest start first.
    let mut ids = Vec::new();
    for ahead in [hours(24), minutes(50), minutes(10)] {
        ids.insert(0, app.confirmed(noon() + ahead).await);
        app.run(noon()).await;
    }
    app.ses.clear();
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    let no_index = "DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET enable_nestloop = off', current_database());
        EXECUTE format('ALTER DATABASE %I SET enable_mergejoin = off', current_database());
    END $$";
    app.db.batch_execute(no_index).await.unwrap();
    app.run(noon()).await;
    let mut order = Vec::new();
    for mail in app.ses.mails() {
        let of = "SELECT booking_id::text FROM booking_automation_events WHERE id::text = $1";
        order.extend(app.column(of, &[&mail.event_id()]).await);
    }
    assert_eq!(
        order,
        ids.iter().map(ToString::to_string).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn only_reminders_by_email_are_claimed_for_sending() {
    let app = App::new().await;
    create_due_bookings(&app, 1).await;
    let others = "INSERT INTO booking_automation_events
               (booking_id, event_type, status, rule, audience, channel, revision, starts_at, scheduled_at, next_attempt_at)
        SELECT b.id, kind, 'pending', rule, 'customer', channel, 1, coalesce(start, b.scheduled_at), $1::timestamptz, '2020-01-01'
          FROM bookings b, (VALUES ('notification_sent', '24h', 'email', NULL::timestamptz), ('reminder_sent', '24h', 'letter', NULL::timestamptz),
                                   ('reminder_sent', '1h', 'letter', $1::timestamptz - interval '1 hour')) AS other (kind, rule, channel, start)";
    app.sql(others, &[&noon()]).await;
    app.sql_without_triggers("UPDATE booking_automation_events SET scheduled_at = '-infinity'")
        .await;
    app.sql(
        "INSERT INTO booking_automation_channels VALUES ('letter', 'infinity', 'quota', now())",
        &[],
    )
    .await;
    let other = connect(&app.url).await;
    other
        .batch_execute(
            "BEGIN; SELECT FROM booking_automation_channels WHERE channel = 'letter' FOR UPDATE",
        )
        .await
        .unwrap();
    app.run(noon()).await;
    let letter = "SELECT concat_ws(' ', next_at, held_reason) FROM booking_automation_channels WHERE channel = 'letter'";
    assert_eq!(app.column(letter, &[]).await, ["infinity quota"]);
    let statuses = app
        .column("SELECT concat_ws(' ', event_type, channel, status) FROM booking_automation_events ORDER BY 1", &[])
        .await;
    assert_eq!(
        statuses,
        [
            "notification_sent email skipped",
            "reminder_sent email completed",
            "reminder_sent letter pending",
            "reminder_sent letter pending"
        ]
    );
    assert_eq!(app.ses.mails().len(), 1);
}

#[tokio::test]
async fn pending_webhook_messages_do_not_count_as_reminder_backlog() {
    let app = App::new().await;
    app.sql(
        "INSERT INTO booking_automation_events (booking_id, event_type, status, channel, audience, next_attempt_at)
         VALUES (gen_random_uuid(), 'webhook', 'pending', 'webhook', gen_random_uuid()::text, now() + interval '1 hour')",
        &[],
    )
    .await;
    assert_eq!(app.run(noon()).await["backlog"]["pending"], 0);
}

#[tokio::test]
async fn without_aws_credentials_all_messages_are_deferred() {
    let mut app = App::new().await;
    create_due_bookings(&app, 2).await;
    app.env.remove("AWS_ACCESS_KEY_ID");
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert_eq!(said.summary()["reminders"]["deferred"], 2);
    assert!(
        said.stderr.contains("the account cannot send"),
        "{}",
        said.stderr
    );
    assert!(
        reminder_outcomes(&app)
            .await
            .iter()
            .all(|outcome| outcome.starts_with("pending") && outcome.contains(" 0 "))
    );
    let tried: i64 = app
        .one(
            "SELECT count(*) FROM booking_automation_events WHERE event_data ? 'attempts'",
            &[],
        )
        .await
        .get(0);
    assert_eq!(tried, 0, "no attempt is recorded");
}

#[tokio::test]
async fn retries_back_off_1_2_4_8_minutes_and_end_after_five_attempts() {
    let app = App::new().await;
    create_due_bookings(&app, 1).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    let wait = "SELECT round(extract(epoch FROM next_attempt_at - now()) / 60)::int::text FROM booking_automation_events WHERE event_type = 'reminder_sent'";
    for minutes in ["1", "2", "4", "8"] {
        app.run(noon()).await;
        assert_eq!(app.column(wait, &[]).await, [minutes]);
        let told = "SELECT (error_message LIKE '%slow down%')::text FROM booking_automation_events";
        assert_eq!(app.column(told, &[]).await, ["true"]);
        let flags = "SELECT reminder_24h_sent::text FROM bookings";
        assert_eq!(app.column(flags, &[]).await, ["false"]);
        // No retry happens before its time.
        let mails = app.ses.mails().len();
        app.run(noon()).await;
        assert_eq!(app.ses.mails().len(), mails);
        app.make_claimable().await;
    }
    assert_eq!(app.run(noon()).await["reminders"]["failed"], 1);
    assert_eq!(reminder_outcomes(&app).await, ["failed throttled 5 1"]);
    assert_eq!(app.ses.mails().len(), 5);
}

#[tokio::test]
async fn no_retry_is_planned_after_the_start() {
    let app = App::new().await;
    let id = app.confirmed(noon() + chrono::Duration::seconds(59)).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    assert_eq!(
        app.reminders(id).await.last().unwrap(),
        "15m failed throttled"
    );
}

#[tokio::test]
async fn with_ses_events_an_unknown_outcome_waits_longer_before_its_retry() {
    for (set, seconds) in [(None, 60), (Some("bookings"), 120)] {
        let mut app = App::new().await;
        if let Some(set) = set {
            app.env.insert("SES_CONFIGURATION_SET", set.to_owned());
        }
        create_due_bookings(&app, 1).await;
        app.ses
            .answer(|_| Answer::Error(500, "InternalFailure", "oops"));
        app.run(noon()).await;
        let sql = "SELECT extract(epoch FROM next_attempt_at - now())::float8 FROM booking_automation_events WHERE event_type = 'reminder_sent'";
        let wait: f64 = app.one(sql, &[]).await.get(0);
        assert!(
            wait <= f64::from(seconds) && wait > f64::from(seconds) - 30.0,
            "{set:?} {wait}"
        );
    }
}

#[tokio::test]
async fn a_failed_message_does_not_stop_the_others() {
    let app = App::new().await;
    create_due_bookings(&app, 30).await;
    app.ses.answer(|mail| match mail.to() {
        "c1@customers.example" => Answer::Error(400, "MessageRejected", "no"),
        "c2@customers.example" => Answer::Error(500, "InternalFailure", "oops"),
        "c3@customers.example" => Answer::Error(429, "TooManyRequestsException", "slow down"),
        _ => Answer::Sent,
    });
    let summary = app.run(noon()).await;
    assert_eq!(
        summary["reminders"],
        json!({"due": 30, "sent": 27, "retrying": 1, "unknown": 1, "failed": 1, "skipped": 0, "deferred": 0})
    );
}

#[tokio::test]
async fn an_account_that_cannot_send_stops_the_call_without_using_attempts() {
    let mut app = App::new().await;
    app.env.insert("SEND_CONCURRENCY", "2".to_owned());
    create_due_bookings(&app, 40).await;
    app.ses
        .answer(|_| Answer::Error(400, "SendingPausedException", "paused"));
    let summary = app.run(noon()).await;
    assert_eq!(summary["reminders"]["deferred"], 40);
    assert_eq!(summary["held_back"], "account");
    assert!(app.ses.mails().len() <= 4, "{}", app.ses.mails().len());
    // The refused messages wait 90 seconds, so that the next call tests another message.
    let wait = "SELECT DISTINCT round(extract(epoch FROM next_attempt_at - now()) / 30)::int::text FROM booking_automation_events
                 WHERE reason = 'account'";
    assert_eq!(app.column(wait, &[]).await, ["3"]);
    // While the account is held, each call tests it with one message.
    for (answer, told) in [
        ("SendingPausedException", "account"),
        ("MessageTooNew", "unknown"),
        ("Throttling", "throttled"),
    ] {
        app.make_claimable().await;
        app.ses.clear();
        app.ses.answer(move |_| Answer::Error(400, answer, "no"));
        let summary = app.run(noon()).await;
        match told {
            "account" => assert_eq!(
                (app.ses.mails().len(), &summary["held_back"]),
                (1, &"account".into())
            ),
            // An answer that says nothing about the account: no second message is tried.
            _ => assert_eq!(
                (app.ses.mails().len(), &summary["held_back"]),
                (1, &serde_json::Value::Null),
                "{summary}"
            ),
        }
        let held = app
            .column(
                "SELECT held_reason FROM booking_automation_channels WHERE held_since IS NOT NULL",
                &[],
            )
            .await;
        assert_eq!(held, ["account"], "{told}");
    }
    let since = "SELECT held_since::text FROM booking_automation_channels WHERE channel = 'email'";
    let first = app.column(since, &[]).await;
    app.make_claimable().await;
    app.ses.answer(|_| {
        Answer::Error(
            400,
            "TooManyRequestsException",
            "Daily message quota exceeded.",
        )
    });
    assert_eq!(app.run(noon()).await["held_back"], "quota");
    assert_eq!(
        app.column(since, &[]).await,
        first,
        "the reason changes, and the beginning of the hold stays"
    );
    app.make_claimable().await;
    app.ses.answer(|_| Answer::Sent);
    let summary = app.run(noon()).await;
    assert_eq!(summary["reminders"]["sent"], 40, "{summary}");
    assert!(summary["held_back"].is_null(), "{summary}");
    let held: i64 = app
        .one(
            "SELECT count(*) FROM booking_automation_channels WHERE held_reason IS NOT NULL",
            &[],
        )
        .await
        .get(0);
    assert_eq!(held, 0);
}

/// Why the account is held.
async fn account_hold_reason(app: &App) -> Vec<String> {
    app.column(
        "SELECT held_reason FROM booking_automation_channels WHERE channel = 'email'",
        &[],
    )
    .await
}

#[tokio::test]
async fn only_an_answer_about_a_message_ends_the_account_hold() {
    let app = App::new().await;
    create_due_bookings(&app, 3).await;
    app.ses
        .answer(|_| Answer::Error(400, "SendingPausedException", "paused"));
    app.run(noon()).await;
    assert_eq!(account_hold_reason(&app).await, ["account"]);
    // A malformed address says nothing about the account, and no other message is sent in that
    // call.
    app.sql(
        "UPDATE users SET email = 'nobody' WHERE email = 'c1@customers.example'",
        &[],
    )
    .await;
    app.ses.clear();
    app.make_claimable().await;
    app.run(noon()).await;
    assert_eq!(reminder_outcomes(&app).await[0], "failed bad_address 1 1");
    assert!(app.ses.mails().is_empty());
    assert_eq!(account_hold_reason(&app).await, ["account"]);
    // A refused message shows that the account can send.
    app.ses.answer(|mail| match mail.to() {
        "c2@customers.example" => Answer::Error(400, "MessageRejected", "virus"),
        _ => Answer::Sent,
    });
    let summary = app.run(noon()).await;
    assert_eq!(
        (
            &summary["reminders"]["failed"],
            &summary["reminders"]["sent"]
        ),
        (&1.into(), &1.into()),
        "{summary}"
    );
    assert_eq!(account_hold_reason(&app).await, [""]);
}

#[tokio::test]
async fn reminders_skipped_during_an_account_hold_do_not_delay_the_others() {
    let app = App::new().await;
    // The most urgent ones start while the account cannot send.
    for minute in 1..=3 {
        app.confirmed(noon() + minutes(minute)).await;
    }
    let waiting = app.confirmed(noon() + hours(24)).await;
    app.ses
        .answer(|_| Answer::Error(400, "SendingPausedException", "paused"));
    app.run(noon()).await;
    assert_eq!(account_hold_reason(&app).await, ["account"]);
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    let summary = app.run(noon() + minutes(10)).await;
    assert_eq!(
        (
            &summary["reminders"]["skipped"],
            &summary["reminders"]["sent"]
        ),
        (&3.into(), &1.into()),
        "{summary}"
    );
    assert_eq!(app.reminders(waiting).await, ["24h completed"]);
    assert_eq!(account_hold_reason(&app).await, [""]);
}

#[tokio::test]
async fn an_account_refusal_stops_the_page_and_a_late_success_does_not_clear_it() {
    let mut app = App::new().await;
    app.env.insert("SEND_CONCURRENCY", "2".to_owned());
    create_due_bookings(&app, 4).await;
    let (answer, wait) = tokio::sync::watch::channel(false);
    app.ses.answer(move |mail| match mail.to() {
        "c1@customers.example" => Answer::Held(wait.clone(), Box::new(Answer::Sent)),
        _ => Answer::Error(400, "AccountSuspendedException", "no"),
    });
    let noon = noon().to_rfc3339();
    let mut command = app.command(&["run", "--as-of", &noon]);
    let mut process = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    // One message is refused while the other is in flight.
    while !lines
        .next_line()
        .await
        .unwrap()
        .expect("it says so")
        .contains("the account cannot send")
    {}
    answer.send(true).unwrap();
    let output = process.wait_with_output().await.unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["held_back"], "account", "{summary}");
    assert_eq!(
        reminder_outcomes(&app).await,
        ["completed 1 1", "pending 0 2", "pending account 0 1"]
    );
    assert_eq!(app.ses.mails().len(), 2);
    assert_eq!(account_hold_reason(&app).await, ["account"]);
}

#[tokio::test]
async fn a_success_of_an_older_page_does_not_end_a_newer_account_hold() {
    let app = App::new().await;
    create_due_bookings(&app, 1).await;
    let (answer, wait) = tokio::sync::watch::channel(false);
    app.ses.answer(move |mail| match mail.to() {
        "c1@customers.example" => Answer::Held(wait.clone(), Box::new(Answer::Sent)),
        _ => Answer::Error(400, "AccountSuspendedException", "no"),
    });
    let noon_text = noon().to_rfc3339();
    let arguments = ["run", "--as-of", &noon_text];
    let (older, ()) = tokio::join!(app.call(&arguments), async {
        app.ses.wait_for_mails(1).await;
        app.confirmed(noon() + hours(24)).await;
        assert_eq!(app.run(noon()).await["held_back"], "account");
        answer.send(true).unwrap();
    });
    assert_eq!(older.summary()["reminders"]["sent"], 1);
    assert_eq!(account_hold_reason(&app).await, ["account"]);
}

#[tokio::test]
async fn a_message_refused_as_an_account_problem_does_not_delay_the_others() {
    let app = App::new().await;
    create_due_bookings(&app, 6).await;
    // The most urgent message is refused with an account error.
    app.ses.answer(|mail| match mail.to() {
        "c1@customers.example" => Answer::Error(403, "AccessDeniedException", "not for this one"),
        _ => Answer::Sent,
    });
    let summary = app.run(noon()).await;
    assert_eq!(summary["held_back"], "account");
    assert_eq!(
        summary["reminders"]["deferred"],
        6 - summary["reminders"]["sent"].as_i64().unwrap(),
        "{summary}"
    );
    // The next call tests the account with another message and then sends all but one.
    app.run(noon()).await;
    assert_eq!(
        reminder_outcomes(&app).await,
        ["completed 1 5", "pending account 0 1"]
    );
}

#[tokio::test]
async fn two_instances_test_a_held_account_with_one_message_each() {
    let mut app = App::new().await;
    app.env.insert("SEND_CONCURRENCY", "16".to_owned());
    create_due_bookings(&app, 40).await;
    app.ses
        .answer(|_| Answer::Error(400, "AccountSuspendedException", "no"));
    app.run(noon()).await;
    app.ses.clear();
    let told = futures_util::future::join_all((0..2).map(|_| app.run(noon()))).await;
    assert!(app.ses.mails().len() <= 2, "{}", app.ses.mails().len());
    assert!(
        told.iter().any(|summary| summary["held_back"] == "account"),
        "{told:?}"
    );
    assert_eq!(
        reminder_outcomes(&app)
            .await
            .iter()
            .filter(|row| !row.starts_with("pending") || row.contains(" 1 "))
            .count(),
        0
    );
}

#[tokio::test]
async fn messages_beyond_the_deadline_or_the_send_rate_are_deferred() {
    let mut app = App::new().await;
    app.env.insert("SEND_RATE", "4".to_owned());
    create_due_bookings(&app, 40).await;
    let said = app
        .call(&["run", "--for", "6s", "--as-of", &noon().to_rfc3339()])
        .await;
    let reminders = &said.summary()["reminders"];
    let (sent, deferred) = (
        reminders["sent"].as_i64().unwrap(),
        reminders["deferred"].as_i64().unwrap(),
    );
    // Three seconds of sending at four per second; the first message is sent at once.
    assert!((1..=16).contains(&sent), "{reminders}");
    assert_eq!(sent + deferred, 40);
    assert_eq!(reminders["due"], 40);
    assert_eq!(app.ses.mails().len() as i64, sent);
    let attempts: i64 = app
        .one("SELECT sum(attempts) FROM booking_automation_events", &[])
        .await
        .get(0);
    assert_eq!(attempts, sent);
}

#[tokio::test]
async fn a_call_does_not_wait_past_its_end_for_an_exhausted_send_rate() {
    let app = App::new().await;
    create_due_bookings(&app, 1).await;
    app.sql(
        "UPDATE booking_automation_channels SET next_at = now() + interval '60 seconds' WHERE channel = 'email'",
        &[],
    )
    .await;
    let begun = std::time::Instant::now();
    let said = app
        .call(&["run", "--for", "5s", "--as-of", &noon().to_rfc3339()])
        .await;
    assert_eq!(said.summary()["reminders"]["deferred"], 1);
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
    assert!(app.ses.mails().is_empty());
}

#[tokio::test]
async fn a_locked_message_is_skipped_until_the_lock_is_released() {
    let app = App::new().await;
    create_due_bookings(&app, 3).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    let other = connect(&app.url).await;
    other.batch_execute("BEGIN").await.unwrap();
    let lock = "SELECT FROM booking_automation_events ORDER BY starts_at LIMIT 1 FOR UPDATE";
    other.execute(lock, &[]).await.unwrap();
    assert_eq!(app.run(noon()).await["reminders"]["sent"], 2);
    assert_eq!(
        reminder_outcomes(&app).await,
        ["completed 2 2", "pending throttled 1 1"]
    );
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(app.run(noon()).await["reminders"]["sent"], 1);
}

#[tokio::test]
async fn a_claim_takes_at_most_two_seconds_of_sending() {
    let mut app = App::new().await;
    app.env.insert("SEND_RATE", "2".to_owned());
    create_due_bookings(&app, 20).await;
    // Unused sending time does not accumulate.
    app.sql(
        "UPDATE booking_automation_channels SET next_at = now() - interval '1 day'",
        &[],
    )
    .await;
    let (answer, wait) = tokio::sync::watch::channel(false);
    app.ses
        .answer(move |_| Answer::Held(wait.clone(), Box::new(Answer::Sent)));
    let noon = noon().to_rfc3339();
    let arguments = ["run", "--for", "5s", "--as-of", &noon];
    let (said, ()) = tokio::join!(app.call(&arguments), async {
        app.ses.wait_for_mails(1).await;
        let claimed: i64 = app
            .one(
                "SELECT count(*) FROM booking_automation_events WHERE status = 'sending'",
                &[],
            )
            .await
            .get(0);
        assert_eq!(claimed, 4);
        answer.send(true).unwrap();
    });
    let reminders = &said.summary()["reminders"];
    assert_eq!(
        reminders["sent"].as_i64().unwrap() + reminders["deferred"].as_i64().unwrap(),
        20,
        "{reminders}"
    );
}

#[tokio::test]
async fn all_instances_share_one_send_rate() {
    let mut app = App::new().await;
    app.env.insert("SEND_RATE", "10".to_owned());
    create_due_bookings(&app, 60).await;
    let started = std::time::Instant::now();
    let arguments = ["run", "--for", "20s", "--as-of", &noon().to_rfc3339()].map(str::to_owned);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The first call enqueues, and all calls deliver.
    let mut first = app
        .command(&arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    app.ses.wait_for_mails(1).await;
    let others = futures_util::future::join_all((0..3).map(|_| app.call(&arguments))).await;
    first.wait().await.unwrap();
    assert!(others.iter().all(|said| said.success));
    assert_eq!(app.ses.mails().len(), 60);
    // 60 messages at 10 per second: all instances together do not exceed the rate.
    assert!(
        started.elapsed() >= Duration::from_millis(5500),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn without_send_rate_the_rate_is_requested_from_ses() {
    let mut app = App::new().await;
    app.env.remove("SEND_RATE");
    create_due_bookings(&app, 50).await;
    let summary = app
        .call(&["run", "--for", "20s", "--as-of", &noon().to_rfc3339()])
        .await
        .summary();
    assert_eq!(
        summary["reminders"]["sent"], 50,
        "the endpoint reports 500 per second"
    );
}

#[tokio::test]
async fn an_expired_lease_counts_as_unknown_and_its_late_answer_is_stale() {
    let app = App::new().await;
    create_due_bookings(&app, 1).await;
    app.ses.answer(|mail| {
        if mail.subject().contains("23 hours") {
            Answer::Slow(Duration::from_secs(4))
        } else {
            Answer::Sent
        }
    });
    let noon_text = noon().to_rfc3339();
    let arguments = ["run", "--as-of", &noon_text];
    let slow = app.call(&arguments);
    let meanwhile = async {
        app.ses.wait_for_mails(1).await;
        // The lease expires before the answer, and another call claims the row.
        app.make_claimable().await;
        app.ses
            .answer(|_| Answer::Error(400, "MessageRejected", "the second one"));
        app.call(&arguments).await
    };
    let (slow, other) = tokio::join!(slow, meanwhile);
    assert_eq!(other.summary()["reminders"]["failed"], 1);
    assert!(slow.stderr.contains("stale"), "{}", slow.stderr);
    // The late success of the first claim does not overwrite the outcome of the second.
    assert_eq!(reminder_outcomes(&app).await, ["failed rejected 2 1"]);
    let history: serde_json::Value = app
        .one(
            "SELECT event_data -> 'attempts' FROM booking_automation_events",
            &[],
        )
        .await
        .get(0);
    assert_eq!(history[0]["outcome"], "unknown");
    assert_eq!(history[0]["error"], "the lease ran out");
    let claim: i64 = app
        .one("SELECT claim FROM booking_automation_events", &[])
        .await
        .get(0);
    assert_eq!(claim, 2);
}

#[tokio::test]
async fn a_reminder_whose_lease_expires_in_its_last_attempt_fails() {
    let app = App::new().await;
    create_due_bookings(&app, 3).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    let mails = app.ses.mails().len();
    let change = async |sql: &str, number: i64| {
        let of = "(SELECT booking_id FROM booking_automation_events WHERE event_type = 'reminder_sent' ORDER BY starts_at LIMIT 1 OFFSET $1)";
        app.sql(&format!("{sql} = {of}"), &[&number]).await;
    };
    // One sender died in the last attempt, one in the second; the third booking is cancelled.
    change(
        "UPDATE booking_automation_events SET status = 'sending', claim = claim + 1, attempts = 5 WHERE booking_id",
        0,
    )
    .await;
    change(
        "UPDATE booking_automation_events SET status = 'sending', claim = claim + 1, attempts = 2 WHERE booking_id",
        1,
    )
    .await;
    change("UPDATE bookings SET status = 'cancelled' WHERE id", 2).await;
    app.make_claimable().await;
    app.ses.answer(|_| Answer::Sent);
    assert_eq!(
        app.run(noon() + minutes(2)).await["reminders"],
        json!({"due": 3, "sent": 1, "retrying": 0, "unknown": 0, "failed": 1, "skipped": 1, "deferred": 0})
    );
    assert_eq!(
        reminder_outcomes(&app).await,
        [
            "completed 3 1",
            "failed unknown 5 1",
            "skipped cancelled 1 1"
        ]
    );
    assert_eq!(app.ses.mails().len(), mails + 1);
    let ended = "SELECT concat_ws('; ', executed_at = $1, error_message) FROM booking_automation_events
                  WHERE event_type = 'reminder_sent' AND status IN ('failed', 'skipped') ORDER BY starts_at";
    let ended = app.column(ended, &[&(noon() + minutes(2))]).await;
    assert_eq!(
        ended[0],
        "t; the lease ran out: the message may have been sent"
    );
    // The error of the last attempt is kept.
    assert!(
        ended[1].starts_with("t; ") && ended[1].contains("slow down"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn switching_a_rule_off_skips_only_its_own_messages() {
    let app = App::new().await;
    app.sql(
        "INSERT INTO reminder_rules (name, audience, lead) VALUES ('24h', 'provider', '24 hours')",
        &[],
    )
    .await;
    let day = app.confirmed(noon() + hours(24)).await;
    let within_the_hour = [
        app.confirmed(noon() + hours(1)).await,
        app.confirmed(noon() + minutes(59)).await,
    ];
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    app.sql(
        "UPDATE reminder_rules SET active = false WHERE name = '24h' AND audience = 'customer'",
        &[],
    )
    .await;
    app.make_claimable().await;
    app.ses.answer(|_| Answer::Sent);
    app.run(noon() + minutes(2)).await;
    let outcome = "SELECT concat_ws(' ', rule, audience, status, reason) FROM booking_automation_events
                    WHERE booking_id = $1 AND event_type = 'reminder_sent' AND attempts > 0 ORDER BY 1";
    assert_eq!(
        app.column(outcome, &[&day]).await,
        ["24h customer skipped rule_off", "24h provider completed"]
    );
    for id in within_the_hour {
        assert_eq!(app.column(outcome, &[&id]).await, ["1h customer completed"]);
    }
}

#[tokio::test]
async fn a_late_answer_does_not_end_a_newer_claim() {
    let app = App::new().await;
    create_due_bookings(&app, 1).await;
    app.ses.answer(|_| Answer::Slow(Duration::from_secs(3)));
    let noon_text = noon().to_rfc3339();
    let arguments = ["run", "--as-of", &noon_text];
    let first = app.call(&arguments);
    let second = async {
        app.ses.wait_for_mails(1).await;
        app.make_claimable().await;
        // The second request takes longer than the first.
        app.ses.answer(|_| Answer::Slow(Duration::from_secs(7)));
        app.call(&arguments).await
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.stderr.contains("stale"), "{}", first.stderr);
    assert_eq!(second.summary()["reminders"]["sent"], 1);
    assert_eq!(
        app.column("SELECT message_id FROM booking_automation_events", &[])
            .await,
        ["message-2"]
    );
}

#[tokio::test]
async fn a_late_answer_does_not_revive_a_skipped_message() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    let (answer, wait) = tokio::sync::watch::channel(false);
    app.ses
        .answer(move |_| Answer::Held(wait.clone(), Box::new(Answer::Sent)));
    let noon_text = noon().to_rfc3339();
    let arguments = ["run", "--as-of", &noon_text];
    let (late, ()) = tokio::join!(app.call(&arguments), async {
        app.ses.wait_for_mails(1).await;
        app.sql(
            "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
            &[&id],
        )
        .await;
        app.make_claimable().await;
        app.run(noon()).await;
        answer.send(true).unwrap();
    });
    assert!(late.stderr.contains("stale"), "{}", late.stderr);
    assert_eq!(app.reminders(id).await, ["24h skipped cancelled"]);
}

#[tokio::test]
async fn attempts_and_retry_times_are_kept_per_message() {
    let app = App::new().await;
    create_due_bookings(&app, 5).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    app.make_claimable().await;
    app.sql(
        "UPDATE booking_automation_events SET attempts = 4 WHERE id IN (SELECT id FROM booking_automation_events ORDER BY starts_at LIMIT 3 OFFSET 1)",
        &[],
    )
    .await;
    app.run(noon()).await;
    assert_eq!(
        reminder_outcomes(&app).await,
        ["failed throttled 5 3", "pending throttled 2 2"]
    );
}

#[tokio::test]
async fn killing_a_sender_loses_nothing_and_repeats_only_messages_in_flight() {
    let mut app = App::new().await;
    app.env.insert("SEND_CONCURRENCY", "4".to_owned());
    create_due_bookings(&app, 20).await;
    let nobody = app.confirmed(noon() + hours(23)).await;
    let without_address = app.person("Nobody", None, "UTC").await;
    app.sql(
        "UPDATE bookings SET customer_id = $2 WHERE id = $1",
        &[&nobody, &without_address],
    )
    .await;
    app.ses.answer(|_| Answer::Silence);
    let mut process = app
        .command(&["run", "--as-of", &noon().to_rfc3339()])
        .spawn()
        .unwrap();
    app.ses.wait_for_mails(4).await;
    process.kill().await.unwrap();
    // The run's row has the work of the pass, and no sent messages yet.
    let backlog = "SELECT summary -> 'backlog' ->> 'pending' FROM automation_runs";
    assert_eq!(app.column(backlog, &[]).await, ["20"]);
    let of_the_pass = "SELECT summary -> 'reminders' FROM automation_runs";
    assert_eq!(
        app.one(of_the_pass, &[])
            .await
            .get::<_, serde_json::Value>(0),
        json!({"due": 21, "sent": 0, "retrying": 0, "unknown": 0, "failed": 0, "skipped": 1, "deferred": 20})
    );
    let under_way: Vec<_> = app
        .ses
        .mails()
        .iter()
        .map(|mail| mail.to().to_owned())
        .collect();

    app.ses.clear();
    app.ses.answer(|_| Answer::Sent);
    // Messages under a lease are not claimed again.
    app.run(noon()).await;
    assert!(
        app.ses
            .mails()
            .iter()
            .all(|mail| !under_way.contains(&mail.to().to_owned()))
    );
    app.make_claimable().await;
    app.run(noon()).await;
    let mut to: Vec<_> = app
        .ses
        .mails()
        .iter()
        .map(|mail| mail.to().to_owned())
        .collect();
    to.sort();
    to.dedup();
    assert_eq!(to.len(), 20);
    assert_eq!(app.ses.mails().len(), 20);
}

#[tokio::test]
async fn a_locked_booking_loses_no_outcome_and_gets_its_flag_later() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    let free = app.confirmed(noon() + hours(24)).await;
    let other = connect(&app.url).await;
    other.batch_execute("BEGIN").await.unwrap();
    other
        .execute("SELECT FROM bookings WHERE id = $1 FOR UPDATE", &[&id])
        .await
        .unwrap();

    app.run(noon()).await;
    assert_eq!(app.reminders(id).await, ["24h completed"]);
    let flag = "SELECT reminder_24h_sent::text FROM bookings WHERE id = $1";
    assert_eq!(
        (
            app.column(flag, &[&id]).await,
            app.column(flag, &[&free]).await
        ),
        (vec!["false".to_owned()], vec!["true".to_owned()])
    );

    other.batch_execute("COMMIT").await.unwrap();
    app.run(noon() + minutes(1)).await;
    assert_eq!(
        app.column(flag, &[&id]).await,
        ["true"],
        "the flag is set later"
    );
    assert_eq!(app.ses.mails().len(), 2);
}

#[tokio::test]
async fn a_refused_flag_does_not_stop_the_other_flags() {
    let app = App::new().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(app.confirmed(noon() + hours(24)).await);
    }
    // The one with the greatest id is written last when bookings are tried one by one.
    let refused = ids.into_iter().max().unwrap();
    // It also has the earliest start.
    app.sql(
        "UPDATE bookings SET scheduled_at = scheduled_at - interval '1 minute' WHERE id = $1",
        &[&refused],
    )
    .await;
    app.db
        .batch_execute(&format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON bookings FOR EACH ROW WHEN (NEW.id = '{}') EXECUTE FUNCTION refuse()",
            refused
        ))
        .await
        .unwrap();
    let of_before = "INSERT INTO booking_automation_events (booking_id, event_type)
                     SELECT CASE n WHEN 1 THEN $1 ELSE gen_random_uuid() END, 'status_update' FROM generate_series(1, 150) AS n";
    app.sql(of_before, &[&refused]).await;
    assert_eq!(app.run(noon()).await["reminders"]["sent"], 5);
    let flagged: i64 = app
        .one("SELECT count(*) FROM bookings WHERE reminder_24h_sent", &[])
        .await
        .get(0);
    assert_eq!(flagged, 4);
    let told = "SELECT booking_id::text FROM booking_automation_events WHERE event_data ? 'flag_error' AND NOT flag_due";
    assert_eq!(app.column(told, &[]).await, [refused.to_string()]);
}

#[tokio::test]
async fn claims_that_aged_while_waiting_for_credentials_are_not_sent() {
    let mut app = App::new().await;
    // A credentials endpoint, as a container has one, that answers late.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let agent = format!("http://{}/credentials", listener.local_addr().unwrap());
    let (answer, asked) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, heard) = (answer.clone(), asked.clone());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        asked.notify_one();
        answer.notified().await;
        let body = r#"{"AccessKeyId":"a","SecretAccessKey":"b","Token":"c","Expiration":"2099-01-01T00:00:00Z"}"#;
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all((head + body).as_bytes()).await.unwrap();
        answer.notified().await;
    });
    // A claim may wait 1.5 seconds; the SDK waits five for the credentials.
    app.env.insert("TEST_TIME_DIVISOR", "2".to_owned());
    app.env.remove("AWS_ACCESS_KEY_ID");
    app.env.remove("AWS_SECRET_ACCESS_KEY");
    app.env.insert("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent);
    let (cancelled, other) = (
        app.confirmed(noon() + hours(24)).await,
        app.confirmed(noon() + hours(24)).await,
    );
    let call = tokio::spawn(
        app.command(&["run", "--as-of", &noon().to_rfc3339()])
            .output(),
    );
    heard.notified().await;
    app.sql(
        "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
        &[&cancelled],
    )
    .await;
    app.wait_until("SELECT min(lease_until) < now() + interval '20.9 seconds' FROM booking_automation_events WHERE status = 'sending'").await;
    told.notify_one();
    assert!(call.await.unwrap().unwrap().status.success());
    assert_eq!(app.reminders(cancelled).await, ["24h skipped cancelled"]);
    assert_eq!(app.reminders(other).await, ["24h completed"]);
    let attempts: i32 = app
        .one(
            "SELECT attempts FROM booking_automation_events WHERE booking_id = $1",
            &[&other],
        )
        .await
        .get(0);
    assert_eq!((app.ses.mails().len(), attempts), (1, 1));
}

#[tokio::test]
async fn no_transaction_is_open_while_a_message_is_in_flight() {
    let app = App::new().await;
    create_due_bookings(&app, 1).await;
    app.ses.answer(|_| Answer::Slow(Duration::from_secs(3)));
    let noon_text = noon().to_rfc3339();
    let arguments = ["run", "--as-of", &noon_text];
    let call = app.call(&arguments);
    let look = async {
        app.ses.wait_for_mails(1).await;
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                      AND application_name = 'booking-automation' AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL)";
        app.one(sql, &[]).await.get::<_, i64>(0)
    };
    let (said, open) = tokio::join!(call, look);
    assert_eq!(open, 0);
    assert_eq!(said.summary()["reminders"]["sent"], 1);
}

#[tokio::test]
async fn run_records_its_outcomes_when_it_receives_sigterm() {
    let mut app = App::new().await;
    app.env.insert("SEND_RATE", "20".to_owned());
    for _ in 0..200 {
        app.booking_due_now().await;
    }
    let mut command = app.command(&["run"]);
    let run = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    app.ses.wait_for_mails(1).await;
    signal(&run, "-TERM");
    let output = run.wait_with_output().await.unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let (sent, deferred) = (
        &summary["reminders"]["sent"],
        &summary["reminders"]["deferred"],
    );
    assert!(
        output.status.success() && deferred.as_i64() > Some(0),
        "{summary}"
    );
    assert_eq!(sent.as_u64(), Some(app.ses.mails().len() as u64));
}
