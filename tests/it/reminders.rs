//! Which reminder is due, every decision, and every way to reschedule, cancel and confirm again.

use chrono::{DateTime, Duration, Utc};
use serde_json::json;

use crate::app::{App, connect, hours, minutes, noon};
use crate::ses::Answer;

fn microsecond() -> Duration {
    Duration::microseconds(1)
}

#[tokio::test]
async fn each_rule_is_due_from_its_lead_until_the_start() {
    for (rule, lead) in [("24h", hours(24)), ("1h", hours(1)), ("15m", minutes(15))] {
        let app = App::new().await;
        app.sql(
            "UPDATE reminder_rules SET active = false WHERE name <> $1",
            &[&rule],
        )
        .await;
        let id = app.confirmed(noon() + lead).await;

        app.run(noon() - microsecond()).await;
        assert!(app.reminders(id).await.is_empty(), "{rule} too early");

        let summary = app.run(noon()).await;
        assert_eq!(app.reminders(id).await, [format!("{rule} completed")]);
        assert_eq!(
            summary["reminders"],
            json!({"due": 1, "sent": 1, "retrying": 0, "unknown": 0, "failed": 0, "skipped": 0, "deferred": 0})
        );
        app.run(noon() + minutes(1)).await;
        assert_eq!(app.ses.mails().len(), 1, "{rule} once");
    }
}

#[tokio::test]
async fn a_reminder_is_due_just_before_the_start_and_not_at_the_start() {
    let app = App::new().await;
    let before = app.confirmed(noon() + microsecond()).await;
    let at = app.confirmed(noon()).await;
    app.run(noon()).await;
    assert_eq!(
        app.reminders(before).await,
        [
            "24h skipped superseded",
            "1h skipped superseded",
            "15m completed"
        ]
    );
    assert!(app.reminders(at).await.is_empty());
}

#[tokio::test]
async fn cancelled_and_started_bookings_get_no_reminder_decision() {
    let app = App::new().await;
    let held = app.confirmed(noon()).await;
    let cancelled = app.confirmed(noon() + minutes(10)).await;
    app.sql(
        "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
        &[&cancelled],
    )
    .await;
    // Another session locks it, so that it stays confirmed.
    let other = connect(&app.url).await;
    other.batch_execute("BEGIN").await.unwrap();
    other
        .execute("SELECT FROM bookings WHERE id = $1 FOR UPDATE", &[&held])
        .await
        .unwrap();
    app.run(noon()).await;
    assert_eq!(app.status(held).await, "confirmed");
    assert_eq!(app.reminders(held).await, Vec::<String>::new());
    assert_eq!(app.reminders(cancelled).await, Vec::<String>::new());
}

#[tokio::test]
async fn reminders_of_customer_and_provider_are_decided_separately() {
    let app = App::new().await;
    app.set_clock("2020-01-01T00:00:00Z".parse().unwrap()).await;
    app.sql(
        "INSERT INTO reminder_rules (name, lead, audience) VALUES ('1h', '2 hours', 'provider')",
        &[],
    )
    .await;
    let id = app.confirmed(noon() + hours(2)).await;
    let by_another = "INSERT INTO booking_automation_events
        (booking_id, event_type, status, rule, audience, channel, revision, starts_at, scheduled_at)
        VALUES ($1, 'reminder_sent', 'completed', '15m', 'customer', 'sms', 1, $2, $2)";
    app.sql(by_another, &[&id, &(noon() + hours(2))]).await;
    for (time, mails) in [
        (noon(), 2),
        (noon() + hours(1), 3),
        (noon() + minutes(105), 4),
    ] {
        app.run(time).await;
        assert_eq!(app.ses.mails().len(), mails, "{time}");
    }
}

#[tokio::test]
async fn a_booking_gets_three_reminders_and_three_flags() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    let flags = "SELECT concat_ws(' ', reminder_24h_sent, reminder_1h_sent, reminder_15m_sent) FROM bookings WHERE id = $1";
    for (time, expected) in [
        (hours(0), "t f f"),
        (hours(23), "t t f"),
        (hours(23) + minutes(45), "t t t"),
        (hours(25), "t t t"),
    ] {
        app.run(noon() + time).await;
        assert_eq!(app.column(flags, &[&id]).await, [expected]);
    }
    assert_eq!(
        app.reminders(id).await,
        ["24h completed", "1h completed", "15m completed"]
    );
    assert_eq!(app.status(id).await, "completed");
    let subjects: Vec<_> = app
        .ses
        .mails()
        .iter()
        .map(|mail| mail.subject().to_owned())
        .collect();
    assert_eq!(
        subjects,
        [
            "Reminder: Massage in 24 hours, Mon, Mar 2, 1:00\u{a0}PM (Central European Time)",
            "Reminder: Massage in 1 hour, Mon, Mar 2, 1:00\u{a0}PM (Central European Time)",
            "Reminder: Massage in 15 minutes, Mon, Mar 2, 1:00\u{a0}PM (Central European Time)"
        ]
    );
}

#[tokio::test]
async fn after_an_outage_only_the_nearest_reminder_is_sent_with_the_true_remaining_time() {
    let app = App::new().await;
    let id = app.confirmed(noon() + minutes(40)).await;
    app.run(noon()).await;
    assert_eq!(
        app.reminders(id).await,
        ["24h skipped superseded", "1h completed"]
    );
    assert_eq!(app.ses.mails().len(), 1);
    assert!(app.ses.mails()[0].text().contains("starts in 40 minutes."));
}

#[tokio::test]
async fn a_late_booking_skips_reminders_that_came_due_before_it() {
    let app = App::new().await;
    // Booked now. The 24 h reminder is late with less than 16 h left, the 1 h reminder with less
    // than 40 min.
    app.set_clock(noon()).await;
    let soon = app
        .booking("confirmed", noon() + minutes(40) - microsecond())
        .await;
    let one_hour = app.booking("confirmed", noon() + minutes(40)).await;
    let today = app
        .booking("confirmed", noon() + hours(16) - microsecond())
        .await;
    let tonight = app.booking("confirmed", noon() + hours(16)).await;
    app.run(noon()).await;
    assert_eq!(
        app.reminders(soon).await,
        ["24h skipped booked_late", "1h skipped booked_late"]
    );
    assert_eq!(
        app.reminders(one_hour).await,
        ["24h skipped booked_late", "1h completed"]
    );
    assert_eq!(app.reminders(today).await, ["24h skipped booked_late"]);
    assert_eq!(app.reminders(tonight).await, ["24h completed"]);

    // The later rules are due at their own times.
    app.run(noon() + minutes(40)).await;
    assert_eq!(
        app.reminders(soon).await,
        ["24h skipped booked_late", "1h skipped booked_late"]
    );
    let soon = app.booking("confirmed", noon() + hours(2)).await;
    app.run(noon() + hours(1)).await;
    assert_eq!(
        app.reminders(soon).await,
        ["24h skipped booked_late", "1h completed"]
    );
}

#[tokio::test]
async fn lateness_counts_from_the_confirmation() {
    let app = App::new().await;
    app.set_clock(noon() - hours(500)).await;
    let id = app.booking("pending", noon() + hours(10)).await;
    app.set_clock(noon()).await;
    app.sql(
        "UPDATE bookings SET status = 'confirmed' WHERE id = $1",
        &[&id],
    )
    .await;
    app.run(noon()).await;
    assert_eq!(app.reminders(id).await, ["24h skipped booked_late"]);
}

#[tokio::test]
async fn a_reused_booking_id_is_reminded_again() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    app.sql("DELETE FROM bookings WHERE id = $1", &[&id]).await;
    app.set_clock(noon() - hours(500)).await;
    let again = "INSERT INTO bookings (id, customer_id, status, scheduled_at) VALUES ($1, $2, 'confirmed', $3)";
    app.sql(again, &[&id, &app.customer, &(noon() + hours(20))])
        .await;
    app.run(noon() + minutes(1)).await;
    assert_eq!(app.reminders(id).await, ["24h completed", "24h completed"]);
}

#[tokio::test]
async fn rows_older_than_the_installation_are_in_force_since_created_at() {
    let app = App::new().await;
    // Rows written before the triggers existed.
    app.db
        .batch_execute("ALTER TABLE bookings DISABLE TRIGGER USER")
        .await
        .unwrap();
    let old = app.booking("confirmed", noon() + hours(10)).await;
    let fresh = app.booking("confirmed", noon() + hours(10)).await;
    app.sql(
        "UPDATE bookings SET created_at = $2 WHERE id = $1",
        &[&fresh, &noon()],
    )
    .await;
    app.db
        .batch_execute("ALTER TABLE bookings ENABLE TRIGGER USER")
        .await
        .unwrap();
    app.run(noon()).await;
    assert_eq!(app.reminders(old).await, ["24h completed"]);
    assert_eq!(app.reminders(fresh).await, ["24h skipped booked_late"]);
}

#[tokio::test]
async fn every_skipped_reminder_has_a_row_with_its_reason() {
    let app = App::new().await;
    let mut ids = Vec::new();
    for email in ["NULL", "''", "'  '"] {
        let id = app.confirmed(noon() + hours(24)).await;
        let nobody = app.person("Nobody", None, "UTC").await;
        app.sql(
            &format!("UPDATE users SET email = {email} WHERE id = $1"),
            &[&nobody],
        )
        .await;
        app.sql(
            "UPDATE bookings SET customer_id = $2 WHERE id = $1",
            &[&id, &nobody],
        )
        .await;
        ids.push(id);
    }
    let orphan = app.confirmed(noon() + hours(24)).await;
    app.sql(
        "UPDATE bookings SET customer_id = NULL WHERE id = $1",
        &[&orphan],
    )
    .await;
    ids.push(orphan);
    let mut malformed = Vec::new();
    for email in [
        "carla",
        "carla@",
        "@example.com",
        "carla@localhost",
        "carla customer@example.com",
        "cärla@example.com",
        "a@example.com, b@example.com",
    ] {
        let id = app.confirmed(noon() + hours(24)).await;
        let person = app.person("Odd", Some(email), "UTC").await;
        app.sql(
            "UPDATE bookings SET customer_id = $2 WHERE id = $1",
            &[&id, &person],
        )
        .await;
        malformed.push(id);
    }
    let summary = app.run(noon()).await;
    assert_eq!(
        summary["reminders"],
        json!({"due": 11, "sent": 0, "retrying": 0, "unknown": 0, "failed": 7, "skipped": 4, "deferred": 0})
    );
    for id in ids {
        assert_eq!(app.reminders(id).await, ["24h skipped no_address"]);
    }
    let ended = "SELECT count(*) FROM booking_automation_events WHERE reason = 'no_address' AND executed_at = $1";
    assert_eq!(app.one(ended, &[&noon()]).await.get::<_, i64>(0), 4);
    for id in malformed {
        assert_eq!(app.reminders(id).await, ["24h failed bad_address"]);
    }
    assert!(app.ses.mails().is_empty());
}

#[tokio::test]
async fn missing_names_and_unknown_time_zones_stop_no_message() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    app.sql(
        "UPDATE users SET display_name = NULL, timezone = 'Mars/Olympus'",
        &[],
    )
    .await;
    app.sql("UPDATE services SET title = NULL", &[]).await;
    app.sql(
        "UPDATE bookings SET location = NULL, duration_minutes = 0",
        &[],
    )
    .await;
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert_eq!(said.summary()["reminders"]["sent"], 1);
    assert!(said.stderr.contains("time zone"), "{}", said.stderr);
    assert_eq!(app.reminders(id).await, ["24h completed"]);
    let mails = app.ses.mails();
    insta::assert_snapshot!(
        "mail_without_names",
        format!("{}\n\n{}", mails[0].subject(), mails[0].text())
    );
}

#[tokio::test]
async fn each_reschedule_is_a_new_revision_even_back_to_an_old_start() {
    let app = App::new().await;
    let (a, b) = (noon() + hours(24), noon() + hours(48));
    let id = app.confirmed(a).await;
    let move_to = "UPDATE bookings SET scheduled_at = $2 WHERE id = $1";
    app.run(noon()).await;
    assert_eq!(app.reminders(id).await, ["24h completed"]);
    let flag = "SELECT reminder_24h_sent::text FROM bookings WHERE id = $1";
    assert_eq!(app.column(flag, &[&id]).await, ["true"]);

    app.sql(move_to, &[&id, &b]).await;
    assert_eq!(
        app.column(flag, &[&id]).await,
        ["false"],
        "no reminder was sent for the new start"
    );
    app.sql(move_to, &[&id, &a]).await;
    assert_eq!(
        app.column(flag, &[&id]).await,
        ["true"],
        "a reminder was sent for this start"
    );
    app.run(noon() + minutes(1)).await;
    // Moved at noon with 24 h left: due again, and not late.
    assert_eq!(
        app.reminders(id).await,
        ["24h completed", "24h skipped already_told"]
    );
    let revisions = app
        .column(
            "SELECT revision::text FROM booking_automation_events WHERE event_type = 'reminder_sent' ORDER BY seq",
            &[],
        )
        .await;
    assert_eq!(revisions, ["1", "3"]);
}

#[tokio::test]
async fn flags_of_a_rescheduled_booking_reflect_reminders_for_its_new_start() {
    let app = App::new().await;
    app.set_clock("2020-01-01T00:00:00Z".parse().unwrap()).await;
    app.sql(
        "INSERT INTO reminder_rules (name, lead, audience) VALUES ('24h', '24 hours', 'provider')",
        &[],
    )
    .await;
    let start = noon() + hours(24);
    let (reminded, unreachable, other) = (
        app.confirmed(start).await,
        app.confirmed(start).await,
        app.confirmed(start + hours(24)).await,
    );
    let nobody = app.person("Nobody", None, "UTC").await;
    app.sql(
        "UPDATE bookings SET customer_id = $2 WHERE id = $1",
        &[&unreachable, &nobody],
    )
    .await;
    app.run(noon()).await;
    for moves in [&[][..], &[noon() + hours(72), start]] {
        for moved in moves {
            app.sql("UPDATE bookings SET scheduled_at = $1", &[moved])
                .await;
        }
        for (booking, flag) in [(reminded, true), (unreachable, false), (other, false)] {
            let flags = "SELECT reminder_24h_sent, reminder_1h_sent FROM bookings WHERE id = $1";
            let row = app.one(flags, &[&booking]).await;
            assert_eq!(
                (row.get::<_, bool>(0), row.get::<_, bool>(1)),
                (flag, false)
            );
        }
    }
}

#[tokio::test]
async fn a_flag_delayed_by_a_lock_is_set_only_for_its_own_booking_and_start() {
    let app = App::new().await;
    let start = noon() + hours(24);
    let (held, moved, gone) = (
        app.confirmed(start).await,
        app.confirmed(start).await,
        app.confirmed(start).await,
    );
    app.sql(
        "UPDATE bookings SET reminder_15m_sent = true WHERE id = $1",
        &[&held],
    )
    .await;
    let mut other = connect(&app.url).await;
    let transaction = other.transaction().await.unwrap();
    transaction
        .execute("SELECT FROM bookings WHERE id <> $1 FOR UPDATE", &[&moved])
        .await
        .unwrap();
    transaction
        .execute(
            "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
            &[&moved, &(start + hours(24))],
        )
        .await
        .unwrap();
    transaction
        .execute("DELETE FROM bookings WHERE id = $1", &[&gone])
        .await
        .unwrap();
    // A run that waited for the lock would see the move.
    let waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND pid IN (
                     SELECT pid FROM pg_stat_activity WHERE datname = current_database())";
    let run = app.run(noon());
    tokio::pin!(run);
    let ended = tokio::select! {
        summary = &mut run => Some(summary),
        () = app.wait_until(waits) => None,
    };
    transaction.commit().await.unwrap();
    let summary = match ended {
        Some(summary) => summary,
        None => run.await,
    };
    assert_eq!(summary["reminders"]["sent"], 3);

    // Booked too late for the 24 h rule; the 1 h reminders are sent together.
    app.set_clock(noon() + hours(20)).await;
    let late = app.booking("confirmed", start).await;
    app.run(noon() + hours(23)).await;
    let flags = "SELECT concat_ws(' ', reminder_24h_sent, reminder_1h_sent, reminder_15m_sent) FROM bookings WHERE id = $1";
    for (booking, expected) in [(held, "t t t"), (moved, "f f f"), (late, "f t f")] {
        assert_eq!(app.column(flags, &[&booking]).await, [expected]);
    }
    let behind: i64 = app
        .one(
            "SELECT count(*) FROM booking_automation_events WHERE flag_due",
            &[],
        )
        .await
        .get(0);
    assert_eq!(behind, 0);
}

#[tokio::test]
async fn a_booking_moved_before_sending_gets_no_mail_for_the_old_start() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    app.ses
        .answer(|_| crate::ses::Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    assert_eq!(app.reminders(id).await, ["24h pending throttled"]);

    app.ses.answer(|_| crate::ses::Answer::Sent);
    app.sql(
        "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
        &[&id, &(noon() + hours(72))],
    )
    .await;
    app.make_claimable().await;
    app.ses.clear();
    app.run(noon() + minutes(1)).await;
    assert_eq!(app.reminders(id).await, ["24h skipped rescheduled"]);
    assert!(app.ses.mails().is_empty());
    app.run(noon() + hours(48)).await;
    assert_eq!(
        app.reminders(id).await,
        ["24h skipped rescheduled", "24h completed"]
    );
    assert!(app.ses.mails()[0].subject().contains("Wed, Mar 4"));
}

#[tokio::test]
async fn an_untracked_move_is_detected_before_its_message_is_sent() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    app.ses
        .answer(|_| crate::ses::Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    app.ses.clear();
    app.db
        .batch_execute("SET session_replication_role = replica")
        .await
        .unwrap();
    app.sql(
        "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
        &[&id, &(noon() + hours(72))],
    )
    .await;
    app.make_claimable().await;
    app.run(noon() + minutes(1)).await;
    assert_eq!(app.reminders(id).await, ["24h skipped rescheduled"]);
    assert!(app.ses.mails().is_empty());
}

#[tokio::test]
async fn no_reminder_is_sent_at_the_start_even_if_the_booking_is_locked() {
    let app = App::new().await;
    let id = app.confirmed(noon() + minutes(15)).await;
    app.ses
        .answer(|_| crate::ses::Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    app.ses.clear();
    app.make_claimable().await;
    let other = connect(&app.url).await;
    other.batch_execute("BEGIN").await.unwrap();
    other
        .execute("SELECT FROM bookings WHERE id = $1 FOR UPDATE", &[&id])
        .await
        .unwrap();
    app.run(noon() + minutes(15)).await;
    assert_eq!(app.status(id).await, "confirmed");
    assert_eq!(
        app.reminders(id).await.last().unwrap(),
        "15m skipped started"
    );
    assert!(app.ses.mails().is_empty());
}

#[tokio::test]
async fn a_reminder_that_is_no_longer_due_when_sending_is_skipped() {
    for (change, verdict) in [
        ("UPDATE bookings SET status = 'cancelled'", "cancelled"),
        (
            "UPDATE bookings SET status = 'pending_cancellation'",
            "cancelled",
        ),
        ("UPDATE bookings SET status = 'in_progress'", "started"),
        (
            "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 second'",
            "rescheduled",
        ),
        (
            "UPDATE bookings SET scheduled_at = 'infinity'",
            "rescheduled",
        ),
        (
            "UPDATE bookings SET status = 'cancelled'; UPDATE bookings SET status = 'confirmed'",
            "rescheduled",
        ),
        ("UPDATE reminder_rules SET active = false", "rule_off"),
        ("UPDATE reminder_rules SET channels = '{}'", "rule_off"),
        ("DELETE FROM reminder_rules", "rule_off"),
        ("UPDATE users SET email = NULL", "no_address"),
        ("DELETE FROM bookings", "deleted"),
        ("DELETE FROM users", "deleted"),
    ] {
        let app = App::new().await;
        let id = app.confirmed(noon() + hours(24)).await;
        app.ses
            .answer(|_| crate::ses::Answer::Error(429, "TooManyRequestsException", "slow down"));
        app.run(noon()).await;
        app.ses.clear();
        app.ses.answer(|_| crate::ses::Answer::Sent);
        app.db.batch_execute(change).await.unwrap();
        app.make_claimable().await;
        app.run(noon() + minutes(1)).await;
        assert_eq!(
            app.reminders(id).await[0],
            format!("24h skipped {verdict}"),
            "{change}"
        );
        let about_the_old: Vec<_> = app
            .ses
            .mails()
            .iter()
            .filter(|mail| mail.subject().contains("24 hours"))
            .map(|mail| mail.subject().to_owned())
            .collect();
        assert!(about_the_old.is_empty(), "{change}: {about_the_old:?}");
    }
}

#[tokio::test]
async fn a_booking_cancelled_and_confirmed_again_gets_a_new_decision() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    app.sql(
        "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
        &[&id],
    )
    .await;
    app.run(noon() + minutes(1)).await;
    app.set_clock(noon() + minutes(2)).await;
    app.sql(
        "UPDATE bookings SET status = 'confirmed' WHERE id = $1",
        &[&id],
    )
    .await;
    app.run(noon() + minutes(2)).await;
    assert_eq!(
        app.reminders(id).await,
        ["24h completed", "24h skipped already_told"]
    );
    assert_eq!(app.ses.mails().len(), 1);
}

#[tokio::test]
async fn a_queued_retry_is_superseded_by_the_next_rule() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    app.ses
        .answer(|_| crate::ses::Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    app.ses.answer(|_| crate::ses::Answer::Sent);
    app.ses.clear();
    app.make_claimable().await;
    app.run(noon() + hours(23)).await;
    assert_eq!(
        app.reminders(id).await,
        ["24h skipped superseded", "1h completed"]
    );
    assert_eq!(app.ses.mails().len(), 1);
}

#[tokio::test]
async fn a_rule_that_becomes_due_after_a_nearer_reminder_was_sent_is_superseded() {
    for (told, expected) in [
        (
            true,
            [
                "one provider completed",
                "two customer completed",
                "two provider skipped superseded",
            ],
        ),
        (
            false,
            [
                "one provider skipped no_address",
                "two customer completed",
                "two provider completed",
            ],
        ),
    ] {
        let app = App::new().await;
        app.set_clock("2020-01-01T00:00:00Z".parse().unwrap()).await;
        app.sql("UPDATE reminder_rules SET active = false", &[])
            .await;
        let of_one_hour = "INSERT INTO reminder_rules (name, lead, audience) VALUES ('one', '1 hour', 'provider')";
        app.sql(of_one_hour, &[]).await;
        let id = app.confirmed(noon() + hours(1)).await;
        let provider = "UPDATE users SET email = $2 WHERE id = $1";
        if !told {
            app.sql(provider, &[&app.provider, &None::<String>]).await;
        }
        assert_eq!(
            dry_run_counts(&app, noon()).await,
            if told { (0, 1) } else { (1, 0) }
        );
        app.run(noon()).await;
        app.sql(provider, &[&app.provider, &"paul@providers.example"])
            .await;
        // The clock is set back, and earlier rules are added.
        app.set_clock(noon() - hours(2)).await;
        let of_two = "INSERT INTO reminder_rules (name, lead, audience) VALUES ('two', '2 hours', 'provider'), ('two', '2 hours', 'customer')";
        app.sql(of_two, &[]).await;
        // The pass decides it, not the claim.
        assert_eq!(
            dry_run_counts(&app, noon() - hours(1)).await,
            if told { (1, 1) } else { (0, 2) }
        );
        app.run(noon() - hours(1)).await;
        let outcome = "SELECT concat_ws(' ', rule, audience, status, reason) FROM booking_automation_events
                     WHERE booking_id = $1 AND event_type = 'reminder_sent' ORDER BY rule, audience";
        assert_eq!(app.column(outcome, &[&id]).await, expected);
    }
}

#[tokio::test]
async fn of_two_rules_due_at_once_only_the_nearer_is_queued() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(1)).await;
    assert_eq!(dry_run_counts(&app, noon()).await, (1, 1));
    app.run(noon()).await;
    assert_eq!(
        app.reminders(id).await,
        ["24h skipped superseded", "1h completed"]
    );
}

#[tokio::test]
async fn of_two_rules_with_the_same_lead_the_later_name_is_sent() {
    let rule =
        |name| format!("INSERT INTO reminder_rules (name, lead) VALUES ('{name}', '30 minutes')");
    // Both due in one pass; then the second one when the first is queued already.
    for first in ["b", "c", "bc"] {
        let app = App::new().await;
        app.set_clock("2020-01-01T00:00:00Z".parse().unwrap()).await;
        app.sql("UPDATE reminder_rules SET active = false", &[])
            .await;
        for name in first.split("").filter(|name| !name.is_empty()) {
            app.sql(&rule(name), &[]).await;
        }
        let id = app.confirmed(noon() + minutes(30)).await;
        if first != "bc" {
            let slow_down = crate::ses::Answer::Error;
            app.ses
                .answer(move |_| slow_down(429, "TooManyRequestsException", "slow down"));
            app.run(noon()).await;
            app.sql(&rule(if first == "b" { "c" } else { "b" }), &[])
                .await;
            app.ses.answer(|_| crate::ses::Answer::Sent);
            app.ses.clear();
            app.make_claimable().await;
        }
        app.run(noon() + minutes(1)).await;
        let mut reminders = app.reminders(id).await;
        reminders.sort();
        assert_eq!(
            reminders,
            ["b skipped superseded", "c completed"],
            "first {first}"
        );
        assert_eq!(app.ses.mails().len(), 1, "first {first}");
    }
}

#[tokio::test]
async fn a_dry_run_includes_bookings_confirmed_since_the_last_pass() {
    let app = App::new().await;
    app.run(noon()).await;
    app.set_clock(noon() + minutes(1)).await;
    let id = app.booking("confirmed", noon() + hours(20)).await;
    assert_eq!(dry_run_counts(&app, noon() + minutes(2)).await, (0, 1));
    app.run(noon() + minutes(2)).await;
    assert_eq!(app.reminders(id).await, ["24h completed"]);
}

/// How many reminders a pass would skip and would queue.
async fn dry_run_counts(app: &App, as_of: DateTime<Utc>) -> (i64, i64) {
    let summary = app
        .call(&["run", "--dry-run", "--as-of", &as_of.to_rfc3339()])
        .await
        .summary();
    let reminders = &summary["reminders"];
    (
        reminders["skipped"].as_i64().unwrap(),
        reminders["deferred"].as_i64().unwrap(),
    )
}

#[tokio::test]
async fn a_reminder_for_the_old_start_does_not_replace_one_for_the_new_start() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(1)).await;
    app.run(noon()).await;
    assert_eq!(
        app.reminders(id).await,
        ["24h skipped superseded", "1h completed"]
    );
    // The 24 h reminder of the new start was due earlier than the 1 h reminder of the old one.
    app.sql(
        "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
        &[&id, &(noon() + hours(20))],
    )
    .await;
    app.run(noon() + minutes(1)).await;
    assert_eq!(app.ses.mails().len(), 2);
    assert!(
        app.ses.mails()[1]
            .text()
            .contains("starts in 19 hours 59 minutes."),
        "{}",
        app.ses.mails()[1].text()
    );
}

#[tokio::test]
async fn a_queued_retry_is_superseded_only_for_the_same_recipient_and_channel() {
    let app = App::new().await;
    app.set_clock("2020-01-01T00:00:00Z".parse().unwrap()).await;
    app.sql(
        "UPDATE reminder_rules SET active = false WHERE name = '1h'",
        &[],
    )
    .await;
    app.sql(
        "INSERT INTO reminder_rules (name, lead, audience) VALUES ('1h', '1 hour', 'provider')",
        &[],
    )
    .await;
    let id = app.confirmed(noon() + hours(24)).await;
    app.ses
        .answer(|_| crate::ses::Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    app.ses.clear();
    app.ses.answer(|_| crate::ses::Answer::Sent);
    // The provider's reminder and one by another channel are sent before.
    app.run(noon() + hours(23)).await;
    let by_another = "INSERT INTO booking_automation_events
        (booking_id, event_type, status, rule, audience, channel, revision, starts_at, scheduled_at)
        VALUES ($1, 'reminder_sent', 'completed', '1h', 'customer', 'sms', 1, $2, $3)";
    app.sql(
        by_another,
        &[&id, &(noon() + hours(24)), &(noon() + hours(23))],
    )
    .await;
    assert_eq!(app.ses.mails().len(), 1);
    app.make_claimable().await;
    app.run(noon() + hours(23) + minutes(1)).await;
    assert_eq!(app.ses.mails().len(), 2);
    assert_eq!(app.ses.mails()[1].to(), "carla@customers.example");
}

#[tokio::test]
async fn a_queued_retry_is_not_superseded_by_a_skipped_reminder() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    app.ses
        .answer(|_| crate::ses::Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    app.ses.clear();
    app.ses.answer(|_| crate::ses::Answer::Sent);
    app.sql("UPDATE users SET email = NULL", &[]).await;
    app.run(noon() + hours(23)).await;
    assert_eq!(
        app.reminders(id).await,
        ["24h pending throttled", "1h skipped no_address"]
    );
    app.sql("UPDATE users SET email = 'carla@customers.example'", &[])
        .await;
    app.make_claimable().await;
    app.run(noon() + hours(23) + minutes(1)).await;
    assert_eq!(
        app.reminders(id).await,
        ["24h completed", "1h skipped no_address"]
    );
}

#[tokio::test]
async fn a_new_or_changed_rule_applies_only_to_later_due_times() {
    let app = App::new().await;
    let soon = app.confirmed(noon() + hours(2)).await;
    let later = app.confirmed(noon() + hours(4)).await;
    app.run(noon()).await;
    let before = (app.reminders(soon).await, app.reminders(later).await);

    // Added: earlier due times are ignored.
    app.set_clock(noon()).await;
    app.sql(
        "INSERT INTO reminder_rules (name, lead) VALUES ('3h', '3 hours')",
        &[],
    )
    .await;
    app.run(noon() + minutes(1)).await;
    assert_eq!(
        (app.reminders(soon).await, app.reminders(later).await),
        before
    );
    app.run(noon() + hours(1)).await;
    assert_eq!(
        app.reminders(later).await,
        ["24h completed", "3h completed"]
    );

    // Switched off, and on again after the 1 h reminder of `other` was due.
    app.set_clock(noon() + hours(1)).await;
    let other = app.confirmed(noon() + hours(3)).await;
    app.sql(
        "UPDATE reminder_rules SET active = false WHERE name = '1h'",
        &[],
    )
    .await;
    app.run(noon() + hours(2) + minutes(5)).await;
    app.set_clock(noon() + hours(2) + minutes(5)).await;
    app.sql(
        "UPDATE reminder_rules SET active = true WHERE name = '1h'",
        &[],
    )
    .await;
    app.run(noon() + hours(2) + minutes(6)).await;
    assert!(
        !app.reminders(other)
            .await
            .iter()
            .any(|reminder| reminder.starts_with("1h"))
    );
    app.run(noon() + hours(3)).await;
    assert!(
        app.reminders(later)
            .await
            .contains(&"1h completed".to_owned())
    );

    // A changed lead applies from now on; each rule still has one decision.
    app.set_clock(noon() + hours(3)).await;
    app.sql(
        "UPDATE reminder_rules SET lead = '30 minutes' WHERE name = '15m'",
        &[],
    )
    .await;
    app.run(noon() + hours(3) + minutes(30)).await;
    assert!(
        app.reminders(later)
            .await
            .contains(&"15m completed".to_owned())
    );
    app.run(noon() + hours(3) + minutes(46)).await;
    let count = app
        .reminders(later)
        .await
        .iter()
        .filter(|reminder| reminder.starts_with("15m"))
        .count();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn renaming_or_redirecting_a_rule_sends_no_past_reminders() {
    for changes in [
        &["SET name = 'the day before'"][..],
        &["SET audience = 'provider'"],
        &["SET channels = '{}'", "SET channels = '{email}'"],
    ] {
        let app = App::new().await;
        // One booking was reminded; the other is due later.
        app.confirmed(noon() + hours(23)).await;
        app.confirmed(noon() + hours(24) + minutes(5)).await;
        app.run(noon()).await;
        app.set_clock(noon() + minutes(1)).await;
        for change in changes {
            app.sql(
                &format!("UPDATE reminder_rules {change} WHERE name = '24h'"),
                &[],
            )
            .await;
        }
        app.run(noon() + minutes(2)).await;
        assert_eq!(app.ses.mails().len(), 1, "{changes:?}");
        app.run(noon() + minutes(5)).await;
        assert_eq!(app.ses.mails().len(), 2, "{changes:?}");
    }
}

#[tokio::test]
async fn a_rule_without_channels_for_a_while_does_not_catch_up() {
    let app = App::new().await;
    let missed = app.confirmed(noon() + hours(24) + minutes(5)).await;
    let later = app.confirmed(noon() + hours(24) + minutes(9)).await;
    app.run(noon()).await;
    app.sql(
        "UPDATE reminder_rules SET channels = '{}' WHERE name = '24h'",
        &[],
    )
    .await;
    app.run(noon() + minutes(6)).await;
    app.set_clock(noon() + minutes(7)).await;
    app.sql(
        "UPDATE reminder_rules SET channels = '{email}' WHERE name = '24h'",
        &[],
    )
    .await;
    app.run(noon() + minutes(8)).await;
    app.run(noon() + minutes(9)).await;
    assert_eq!(app.reminders(missed).await, [""; 0]);
    assert_eq!(app.reminders(later).await, ["24h completed"]);
}

#[tokio::test]
async fn a_longer_lead_sends_no_past_reminders() {
    let app = App::new().await;
    let (soon, later) = (
        app.confirmed(noon() + hours(2)).await,
        app.confirmed(noon() + hours(4)).await,
    );
    app.run(noon()).await;
    app.set_clock(noon()).await;
    app.sql(
        "UPDATE reminder_rules SET lead = '3 hours' WHERE name = '1h'",
        &[],
    )
    .await;
    app.run(noon() + minutes(1)).await;
    // This also holds for a booking that is rechecked.
    let added = app.confirmed(noon() + hours(2)).await;
    app.run(noon() + minutes(2)).await;
    assert_eq!(app.reminders(added).await, ["24h completed"]);
    assert_eq!(app.reminders(soon).await, ["24h completed"]);
    app.run(noon() + hours(1)).await;
    assert_eq!(app.reminders(soon).await, ["24h completed"]);
    assert_eq!(
        app.reminders(later).await,
        ["24h completed", "1h completed"]
    );
}

#[tokio::test]
async fn a_rule_committed_late_loses_no_reminder() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(3) + minutes(2)).await;
    let other = connect(&app.url).await;
    other
        .batch_execute(&format!(
            "SET booking_automation.as_of = '{}'; BEGIN",
            noon().to_rfc3339()
        ))
        .await
        .unwrap();
    other
        .execute(
            "INSERT INTO reminder_rules (name, lead) VALUES ('3h', '3 hours')",
            &[],
        )
        .await
        .unwrap();
    app.run(noon() + minutes(3)).await;
    other.batch_execute("COMMIT").await.unwrap();
    app.run(noon() + minutes(4)).await;
    assert!(
        app.reminders(id).await.contains(&"3h completed".to_owned()),
        "the reminder was due at 12:02, after effective_from"
    );
}

#[tokio::test]
async fn a_booking_committed_late_loses_no_reminder() {
    let app = App::new().await;
    app.run(noon()).await;
    let other = connect(&app.url).await;
    let early = (noon() - hours(100)).to_rfc3339();
    other
        .batch_execute(&format!("SET booking_automation.as_of = '{early}'; BEGIN"))
        .await
        .unwrap();
    let sql = "INSERT INTO bookings (customer_id, status, scheduled_at) VALUES ($1, 'confirmed', $2) RETURNING id";
    let id = other
        .query_one(sql, &[&app.customer, &(noon() + hours(24) + minutes(2))])
        .await
        .unwrap()
        .get(0);
    app.run(noon() + minutes(3)).await;
    other.batch_execute("COMMIT").await.unwrap();
    app.run(noon() + minutes(4)).await;
    assert_eq!(app.reminders(id).await, ["24h completed"]);
}

#[tokio::test]
async fn a_clock_set_back_loses_no_reminder() {
    let app = App::new().await;
    app.sql(
        "UPDATE reminder_rules SET active = false WHERE name <> '15m'",
        &[],
    )
    .await;
    app.run(noon()).await;
    // The next host's clock is a minute behind. It sees the booking before its reminder is due.
    app.set_clock(noon() - minutes(1)).await;
    let id = app
        .booking("confirmed", noon() + minutes(15) - microsecond())
        .await;
    app.run(noon() - minutes(1)).await;
    assert!(app.reminders(id).await.is_empty());
    app.run(noon() + microsecond()).await;
    assert_eq!(app.reminders(id).await, ["15m completed"]);
}

#[tokio::test]
async fn bookings_confirmed_while_the_clock_was_fast_are_decided_after_its_correction() {
    let app = App::new().await;
    app.run(noon() - minutes(51)).await;
    app.run(noon()).await;
    // Both start now by a clock that is 50 minutes fast.
    let pending = app.booking("pending", noon()).await;
    app.sql("UPDATE bookings SET status = 'confirmed'", &[])
        .await;
    let born = app.booking("confirmed", noon()).await;
    app.run(noon() - minutes(50)).await;
    for id in [pending, born] {
        assert_eq!(
            app.reminders(id).await,
            ["24h skipped booked_late", "1h completed"]
        );
    }
}

#[tokio::test]
async fn untracked_changes_are_found_within_an_hour() {
    let app = App::new().await;
    let moved = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    app.run(noon() + minutes(1)).await;
    // A logical replication worker writes like this.
    app.db
        .batch_execute("SET session_replication_role = replica")
        .await
        .unwrap();
    app.sql(
        "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
        &[&moved, &(noon() + hours(20))],
    )
    .await;
    let added = app.booking("confirmed", noon() + hours(20)).await;
    app.db
        .batch_execute("SET session_replication_role = DEFAULT")
        .await
        .unwrap();

    app.run(noon() + minutes(6)).await;
    assert!(
        app.reminders(added).await.is_empty(),
        "the pass does not know of the change"
    );
    // The sweep runs once an hour, after the pass.
    app.run(noon() + minutes(7)).await;
    assert_eq!(app.reminders(added).await, ["24h pending"]);
    app.run(noon() + minutes(8)).await;
    assert_eq!(app.reminders(added).await, ["24h completed"]);
    assert_eq!(
        app.reminders(moved).await,
        ["24h completed", "24h completed"]
    );
}

#[tokio::test]
async fn a_pass_with_a_clock_days_ahead_does_not_prevent_later_sweeps() {
    let app = App::new().await;
    app.run(noon()).await;
    app.run(noon() + hours(48)).await;
    app.db
        .batch_execute("SET session_replication_role = replica")
        .await
        .unwrap();
    let added = app.booking("confirmed", noon() + hours(20)).await;
    app.run(noon() + minutes(7)).await;
    assert_eq!(app.reminders(added).await, ["24h pending"]);
}

#[tokio::test]
async fn an_untracked_move_of_a_booking_older_than_the_installation_is_reminded_again() {
    let app = App::new().await;
    app.db
        .batch_execute("SET session_replication_role = replica")
        .await
        .unwrap();
    let old = app.booking("confirmed", noon() + hours(24)).await;
    let state: i64 = app
        .one("SELECT count(*) FROM booking_automation_state", &[])
        .await
        .get(0);
    assert_eq!(state, 0, "there is no state row");
    app.run(noon()).await;
    assert_eq!(app.reminders(old).await, ["24h completed"]);
    app.sql(
        "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
        &[&old, &(noon() + hours(20))],
    )
    .await;
    app.run(noon() + minutes(7)).await;
    app.run(noon() + minutes(8)).await;
    assert_eq!(app.reminders(old).await, ["24h completed", "24h completed"]);
}

#[tokio::test]
async fn unmoved_bookings_older_than_the_installation_are_reminded_once() {
    let app = App::new().await;
    app.db
        .batch_execute("SET session_replication_role = replica")
        .await
        .unwrap();
    for minute in 0..3 {
        app.booking("confirmed", noon() + hours(23) + minutes(minute))
            .await;
    }
    app.run(noon()).await;
    app.run(noon() + minutes(7)).await;
    app.run(noon() + minutes(8)).await;
    assert_eq!(app.ses.mails().len(), 3);
    let remembered: i64 = app
        .one("SELECT count(*) FROM booking_automation_state", &[])
        .await
        .get(0);
    assert_eq!(remembered, 0);
}

#[tokio::test]
async fn a_sweep_ignores_bookings_without_coming_reminders() {
    let app = App::new().await;
    let (cancelled, far) = (
        app.confirmed(noon() + hours(24)).await,
        app.confirmed(noon() + hours(100)).await,
    );
    app.run(noon()).await;
    app.sql(
        "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
        &[&cancelled],
    )
    .await;
    app.db
        .batch_execute("SET session_replication_role = replica")
        .await
        .unwrap();
    app.sql(
        "UPDATE bookings SET scheduled_at = scheduled_at - interval '1 hour'",
        &[],
    )
    .await;
    let remembered = "SELECT s::text FROM booking_automation_state s ORDER BY booking_id";
    let before = app.column(remembered, &[]).await;
    app.run(noon() + minutes(7)).await;
    assert_eq!(app.column(remembered, &[]).await, before);
    // It is checked once it is within the longest lead.
    app.run(noon() + hours(80)).await;
    let revision: i32 = app
        .one(
            "SELECT revision FROM booking_automation_state WHERE booking_id = $1",
            &[&far],
        )
        .await
        .get(0);
    assert_eq!(revision, 2);
}

#[tokio::test]
async fn a_locked_booking_does_not_delay_a_sweep() {
    let app = App::new().await;
    let (held, free) = (
        app.confirmed(noon() + hours(24)).await,
        app.confirmed(noon() + hours(24)).await,
    );
    app.run(noon()).await;
    app.db
        .batch_execute("SET session_replication_role = replica")
        .await
        .unwrap();
    app.sql(
        "UPDATE bookings SET scheduled_at = $1",
        &[&(noon() + hours(20))],
    )
    .await;
    let other = connect(&app.url).await;
    other.batch_execute("BEGIN").await.unwrap();
    other
        .execute("SELECT FROM bookings WHERE id = $1 FOR UPDATE", &[&held])
        .await
        .unwrap();
    app.run(noon() + minutes(7)).await;
    app.run(noon() + minutes(8)).await;
    assert_eq!(
        app.reminders(free).await,
        ["24h completed", "24h completed"]
    );
    // It is found by the next sweep, an hour later.
    assert_eq!(app.reminders(held).await, ["24h completed"]);
    other.batch_execute("COMMIT").await.unwrap();
    app.run(noon() + minutes(67)).await;
    app.run(noon() + minutes(68)).await;
    assert_eq!(
        app.reminders(held).await,
        ["24h completed", "24h completed"]
    );
}

#[tokio::test]
async fn providers_are_reminded_if_a_rule_says_so() {
    let app = App::new().await;
    app.set_clock("2020-01-01T00:00:00Z".parse().unwrap()).await;
    app.sql(
        "INSERT INTO reminder_rules (name, lead, audience) VALUES ('1h', '1 hour', 'provider')",
        &[],
    )
    .await;
    app.confirmed(noon() + hours(1)).await;
    app.run(noon()).await;
    let mut to: Vec<_> = app
        .ses
        .mails()
        .iter()
        .map(|mail| mail.to().to_owned())
        .collect();
    to.sort();
    assert_eq!(to, ["carla@customers.example", "petra@providers.example"]);
    let mails = app.ses.mails();
    let petras = mails
        .iter()
        .find(|mail| mail.to().starts_with("petra"))
        .unwrap();
    assert!(petras.text().contains("Massage with Carla Customer"));
}

#[tokio::test]
async fn a_rule_that_is_on_for_providers_is_off_for_customers() {
    let app = App::new().await;
    app.set_clock("2020-01-01T00:00:00Z".parse().unwrap()).await;
    let sql =
        "INSERT INTO reminder_rules (name, lead, audience) VALUES ('24h', '24 hours', 'provider')";
    app.sql(sql, &[]).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slower"));
    app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    let off = "UPDATE reminder_rules SET active = false WHERE audience = 'customer'";
    app.sql(off, &[]).await;
    app.make_claimable().await;
    app.run(noon() + minutes(1)).await;
    let sql = "SELECT concat_ws(' ', audience, status, reason) FROM booking_automation_events
                WHERE event_type = 'reminder_sent' ORDER BY 1";
    assert_eq!(
        app.column(sql, &[]).await,
        ["customer skipped rule_off", "provider completed"]
    );
}

#[tokio::test]
async fn invalid_rules_are_refused() {
    let app = App::new().await;
    for values in [
        "('x', '0', 'customer', '{email}')",
        "('x', '-1 hour', 'customer', '{email}')",
        "('x', '61 days', 'customer', '{email}')",
        "('x', '1 month', 'customer', '{email}')",
        "('x', '1 hour', 'everybody', '{email}')",
        "('x', '1 hour', 'customer', '{pigeon}')",
    ] {
        let sql =
            format!("INSERT INTO reminder_rules (name, lead, audience, channels) VALUES {values}");
        let error = app.db.batch_execute(&sql).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "23514", "{values}");
    }
}

#[tokio::test]
async fn reminders_are_correct_in_nights_with_clock_changes() {
    // Vienna: clocks go back on 25 October 2026 at 01:00 UTC, forward on 29 March 2026 at 01:00
    // UTC.
    let app = App::new().await;
    let mut lines = Vec::new();
    for start in [
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:30:00Z",
        "2026-03-29T00:30:00Z",
        "2026-03-29T01:30:00Z",
    ] {
        let start: chrono::DateTime<chrono::Utc> = start.parse().unwrap();
        let id = app.confirmed(start).await;
        // Exactly 24 hours before, across the clock change.
        app.run(start - hours(24) - microsecond()).await;
        assert!(app.reminders(id).await.is_empty());
        app.run(start - hours(24)).await;
        assert_eq!(app.reminders(id).await, ["24h completed"]);
        let text = app.ses.mails().last().unwrap().text().to_owned();
        lines.push(
            text.lines()
                .find(|line| line.starts_with("When"))
                .unwrap()
                .to_owned(),
        );
        app.sql("UPDATE bookings SET status = 'cancelled'", &[])
            .await;
    }
    insta::assert_snapshot!(lines.join("\n").replace('\u{a0}', " "), @r"
    When: Sunday, October 25, 2026, 2:30 AM Central European Time (UTC+02:00) – Sunday, October 25, 2026, 2:30 AM Central European Time (UTC+01:00)
    When: Sunday, October 25, 2026, 2:30 AM – 3:30 AM Central European Time (UTC+01:00)
    When: Sunday, March 29, 2026, 1:30 AM Central European Time (UTC+01:00) – Sunday, March 29, 2026, 3:30 AM Central European Time (UTC+02:00)
    When: Sunday, March 29, 2026, 3:30 AM – 4:30 AM Central European Time (UTC+02:00)
    ");
}

#[tokio::test]
async fn reminders_beyond_the_limit_of_a_pass_are_decided_by_the_next_passes() {
    let app = App::new().await;
    app.set_clock(noon() - hours(1000)).await;
    app.sql("UPDATE users SET email = NULL", &[]).await;
    // One booking has a decision already, so that the limit falls between two decisions of one
    // booking: they stay together.
    app.booking("confirmed", noon() + hours(20)).await;
    assert_eq!(
        app.run(noon() - minutes(1)).await["reminders"]["skipped"],
        1
    );
    app.sql(
        "INSERT INTO reminder_rules (name, lead) VALUES ('30h', '30 hours')",
        &[],
    )
    .await;
    app.sql(
        "INSERT INTO bookings (customer_id, status, scheduled_at, created_at)
         SELECT $1, 'confirmed', $2::timestamptz + n * interval '1 millisecond', '2026-01-01' FROM generate_series(1, 26000) AS n",
        &[&app.customer, &(noon() + hours(20))],
    )
    .await;
    let counts = [
        app.run(noon()).await,
        app.run(noon() + minutes(1)).await,
        app.run(noon() + minutes(2)).await,
    ]
    .map(|summary| summary["reminders"]["skipped"].as_i64().unwrap());
    assert_eq!(counts, [50_001, 2_000, 0]);
    let looks: i64 = app
        .one("SELECT count(*) FROM booking_automation_looks", &[])
        .await
        .get(0);
    assert_eq!(looks, 0);
}

/// Empties the state of the bookings, and has the next pass decide about everything.
async fn forget_state(app: &App) {
    app.db
        .batch_execute("TRUNCATE booking_automation_state; UPDATE automation_runs SET rules_digest = 'another'")
        .await
        .unwrap();
}

#[tokio::test]
async fn an_emptied_state_repeats_no_reminder() {
    let app = App::new().await;
    let moved = [
        app.confirmed(noon() + hours(20)).await,
        app.confirmed(noon() + hours(21)).await,
        app.confirmed(noon() + hours(22)).await,
    ];
    for id in moved {
        let sql = "UPDATE bookings SET scheduled_at = $2 WHERE id = $1";
        app.sql(sql, &[&id, &(noon() + hours(24))]).await;
    }
    app.run(noon()).await;
    assert_eq!(app.ses.mails().len(), 3);
    forget_state(&app).await;
    app.run(noon() + minutes(1)).await;
    assert_eq!(app.ses.mails().len(), 3);
    for id in moved {
        assert_eq!(app.reminders(id).await, ["24h completed"]);
    }
}

#[tokio::test]
async fn an_emptied_state_loses_no_reminder() {
    let app = App::new().await;
    let (waiting, sent) = (
        app.confirmed(noon() + hours(20)).await,
        app.confirmed(noon() + hours(20)).await,
    );
    let start = "UPDATE bookings SET scheduled_at = $2 WHERE id = $1";
    for id in [waiting, sent] {
        app.sql(start, &[&id, &(noon() + hours(24))]).await;
    }
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slower"));
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    // The message that waits is of the revision that the state no longer knows.
    forget_state(&app).await;
    app.make_claimable().await;
    app.run(noon() + minutes(1)).await;
    assert_eq!(app.reminders(waiting).await, ["24h completed"]);
    // A move after that is a newer revision than those of the trail.
    forget_state(&app).await;
    app.sql(start, &[&sent, &(noon() + hours(24) + minutes(2))])
        .await;
    app.run(noon() + minutes(2)).await;
    assert_eq!(
        app.reminders(sent).await,
        ["24h completed", "24h completed"]
    );
    // So is one past the triggers, which the sweep finds.
    forget_state(&app).await;
    let start = (noon() + hours(24) + minutes(70)).to_rfc3339();
    app.sql_without_triggers(&format!(
        "UPDATE bookings SET scheduled_at = '{start}' WHERE id = '{waiting}'"
    ))
    .await;
    app.run(noon() + minutes(70)).await;
    app.run(noon() + minutes(71)).await;
    assert_eq!(
        app.reminders(waiting).await,
        ["24h completed", "24h completed"]
    );
}
