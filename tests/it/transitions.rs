//! The automatic status changes, each just before and at its boundary.

use chrono::Duration;
use serde_json::{Value, json};

use crate::app::{App, hours, minutes, noon};

/// The smallest time difference in the database.
fn microsecond() -> Duration {
    Duration::microseconds(1)
}

fn transitions_of(summary: &Value) -> Value {
    summary["transitions"].clone()
}

#[tokio::test]
async fn a_confirmed_booking_starts_at_its_start() {
    let app = App::new().await;
    let id = app.confirmed(noon()).await;

    app.run(noon() - microsecond()).await;
    assert_eq!(app.status(id).await, "confirmed");

    let summary = app.run(noon()).await;
    assert_eq!(
        transitions_of(&summary),
        json!({"started": 1, "completed": 0, "expired": 0, "remaining": 0})
    );
    assert_eq!(app.status(id).await, "in_progress");
    let row = app
        .one(
            "SELECT auto_status_updated, completed_at IS NULL FROM bookings WHERE id = $1",
            &[&id],
        )
        .await;
    assert_eq!((row.get(0), row.get(1)), (true, true));
}

#[tokio::test]
async fn a_booking_in_progress_completes_at_its_end() {
    let app = App::new().await;
    let id = app.booking("in_progress", noon() - hours(1)).await;

    app.run(noon() - microsecond()).await;
    assert_eq!(app.status(id).await, "in_progress");

    app.run(noon()).await;
    assert_eq!(app.status(id).await, "completed");
    let completed_at: chrono::DateTime<chrono::Utc> = app
        .one("SELECT completed_at FROM bookings WHERE id = $1", &[&id])
        .await
        .get(0);
    assert_eq!(completed_at, noon());
}

#[tokio::test]
async fn complete_after_delays_the_completion() {
    let mut app = App::new().await;
    app.env.insert("COMPLETE_AFTER", "15m".to_owned());
    let id = app.booking("in_progress", noon() - hours(1)).await;

    app.run(noon() + minutes(15) - microsecond()).await;
    assert_eq!(app.status(id).await, "in_progress");
    app.run(noon() + minutes(15)).await;
    assert_eq!(app.status(id).await, "completed");
}

#[tokio::test]
async fn an_overdue_booking_expires_and_is_not_completed() {
    let app = App::new().await;
    let end_25_hours = noon() - hours(25);
    for status in ["confirmed", "in_progress"] {
        let id = app.booking(status, end_25_hours).await;
        // A booking that is overdue one microsecond later is completed.
        let just_in_time = app.booking(status, end_25_hours + microsecond()).await;
        app.run(noon()).await;
        assert_eq!(app.status(id).await, "expired", "{status}");
        assert_eq!(app.status(just_in_time).await, "completed", "{status}");
    }
}

#[tokio::test]
async fn expire_after_sets_when_a_booking_is_overdue() {
    let mut app = App::new().await;
    app.env.insert("EXPIRE_AFTER", "2h".to_owned());
    let overdue = app.confirmed(noon() - hours(3)).await;
    let late = app.confirmed(noon() - hours(3) + microsecond()).await;
    app.run(noon()).await;
    assert_eq!(
        (app.status(overdue).await, app.status(late).await),
        ("expired".to_owned(), "completed".to_owned())
    );
}

#[tokio::test]
async fn pending_bookings_expire_only_with_expire_pending() {
    let mut app = App::new().await;
    let past = app.booking("pending", noon()).await;
    let future = app.booking("pending", noon() + microsecond()).await;

    app.run(noon()).await;
    assert_eq!(app.status(past).await, "pending");

    app.env.insert("EXPIRE_PENDING", "true".to_owned());
    let summary = app.run(noon()).await;
    assert_eq!(transitions_of(&summary)["expired"], 1);
    assert_eq!(
        (app.status(past).await, app.status(future).await),
        ("expired".to_owned(), "pending".to_owned())
    );
}

#[tokio::test]
async fn after_an_outage_both_steps_are_made_and_audited() {
    let app = App::new().await;
    let id = app.confirmed(noon() - hours(10)).await;

    let summary = app.run(noon()).await;
    assert_eq!(
        transitions_of(&summary),
        json!({"started": 1, "completed": 1, "expired": 0, "remaining": 0})
    );
    let sql =
        "SELECT concat_ws(' ', event_data ->> 'from', event_data ->> 'to', event_data ->> 'by',
                      scheduled_at AT TIME ZONE 'UTC', executed_at AT TIME ZONE 'UTC', status)
                 FROM booking_automation_events WHERE booking_id = $1 ORDER BY seq";
    assert_eq!(
        app.column(sql, &[&id]).await,
        [
            "confirmed in_progress booking-automation 2026-03-01 02:00:00 2026-03-01 12:00:00 completed",
            "in_progress completed booking-automation 2026-03-01 03:00:00 2026-03-01 12:00:00 completed"
        ]
    );
    let logs: Value = app
        .one("SELECT automation_logs FROM bookings WHERE id = $1", &[&id])
        .await
        .get(0);
    assert_eq!(logs.as_array().unwrap().len(), 2);
    assert_eq!(logs[0]["to"], "in_progress");
    assert_eq!(logs[1]["to"], "completed");
    assert_eq!(logs[1]["run_id"], summary["run_id"]);
}

#[tokio::test]
async fn a_blocked_booking_starts_unless_a_step_was_reverted() {
    let app = App::new().await;
    let ids = [app.confirmed(noon()).await, app.confirmed(noon()).await];
    app.sql(
        "UPDATE bookings SET auto_complete_blocked = true WHERE id = ANY ($1)",
        &[&&ids[..]],
    )
    .await;
    app.sql("UPDATE booking_automation_state SET blocked_reason = 'they never came' WHERE booking_id = $1", &[&ids[1]])
        .await;
    app.run(noon()).await;
    assert_eq!(
        (
            app.status(ids[0]).await.as_str(),
            app.status(ids[1]).await.as_str()
        ),
        ("in_progress", "confirmed")
    );
}

#[tokio::test]
async fn the_reason_of_a_block_is_kept_until_the_block_is_removed() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    app.sql(
        "UPDATE bookings SET auto_complete_blocked = true WHERE id = $1",
        &[&id],
    )
    .await;
    app.sql("UPDATE booking_automation_state SET blocked_reason = 'they never came' WHERE booking_id = $1", &[&id])
        .await;
    let why =
        "SELECT coalesce(blocked_reason, '-') FROM booking_automation_state WHERE booking_id = $1";
    app.sql(
        "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 day' WHERE id = $1",
        &[&id],
    )
    .await;
    assert_eq!(app.column(why, &[&id]).await, ["they never came"]);
    app.sql(
        "UPDATE bookings SET auto_complete_blocked = false WHERE id = $1",
        &[&id],
    )
    .await;
    assert_eq!(app.column(why, &[&id]).await, ["-"]);
}

#[tokio::test]
async fn the_overdue_time_of_a_blocked_booking_counts_from_its_unblocking() {
    let app = App::new().await;
    let days_ago = noon() - hours(100);
    let mut ids = Vec::new();
    for status in ["confirmed", "in_progress"] {
        let id = app.booking(status, days_ago).await;
        app.sql(
            "UPDATE bookings SET auto_complete_blocked = true WHERE id = $1",
            &[&id],
        )
        .await;
        ids.push(id);
    }
    app.run(noon()).await;
    // A block prevents expiry and completion, and not the start.
    for id in &ids {
        assert_eq!(app.status(*id).await, "in_progress");
    }

    // Unblocked: it is completed.
    app.set_clock(noon()).await;
    app.sql(
        "UPDATE bookings SET auto_complete_blocked = false WHERE id = $1",
        &[&ids[0]],
    )
    .await;
    app.run(noon() + hours(24) - microsecond()).await;
    assert_eq!(app.status(ids[0]).await, "completed");

    // Unblocked, and then no pass for 24 hours.
    app.sql(
        "UPDATE bookings SET auto_complete_blocked = NULL WHERE id = $1",
        &[&ids[1]],
    )
    .await;
    app.run(noon() + hours(24)).await;
    assert_eq!(app.status(ids[1]).await, "expired");
}

#[tokio::test]
async fn unblocking_one_booking_does_not_affect_another() {
    let app = App::new().await;
    let unblocked = app.booking("in_progress", noon() - hours(100)).await;
    let (overdue, refused) = (
        app.booking("in_progress", noon() - hours(101)).await,
        app.booking("in_progress", noon() - hours(102)).await,
    );
    app.sql(
        "UPDATE bookings SET auto_complete_blocked = true WHERE id = $1",
        &[&unblocked],
    )
    .await;
    app.sql(
        "UPDATE bookings SET auto_complete_blocked = false WHERE id = $1",
        &[&unblocked],
    )
    .await;
    app.db
        .batch_execute(&format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON bookings FOR EACH ROW
                WHEN (NEW.status = 'expired' AND NEW.id = '{refused}') EXECUTE FUNCTION refuse()"
        ))
        .await
        .unwrap();
    for minute in [0, 61, 122] {
        app.run(noon() + minutes(minute)).await;
        assert_eq!(app.status(unblocked).await, "completed");
        assert_eq!(app.status(overdue).await, "expired");
        assert_eq!(
            app.status(refused).await,
            "in_progress",
            "it did not take place, as far as anybody knows"
        );
    }
}

#[tokio::test]
async fn a_booking_moved_while_in_progress_completes_at_its_new_end() {
    let app = App::new().await;
    let id = app.confirmed(noon() - minutes(30)).await;
    app.run(noon()).await;
    app.sql(
        "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
        &[&id, &(noon() + hours(5))],
    )
    .await;

    app.run(noon() + hours(6) - microsecond()).await;
    assert_eq!(app.status(id).await, "in_progress");
    app.run(noon() + hours(6)).await;
    assert_eq!(app.status(id).await, "completed");
    assert_eq!(
        app.ses.mails().len(),
        0,
        "no reminder is sent for a booking in progress"
    );
}

#[tokio::test]
async fn other_statuses_are_not_changed() {
    let mut app = App::new().await;
    app.env.insert("EXPIRE_PENDING", "true".to_owned());
    let others = [
        "pending_payment",
        "paid",
        "completed",
        "cancelled",
        "rejected",
        "refunded",
        "failed",
        "pending_completion",
        "pending_cancellation",
        "expired",
    ];
    let mut ids = Vec::new();
    for status in others {
        for start in [
            noon() - hours(1000),
            noon() - hours(2),
            noon(),
            noon() + minutes(10),
        ] {
            ids.push((status, app.booking(status, start).await));
        }
    }
    let summary = app.run(noon()).await;
    assert_eq!(
        transitions_of(&summary),
        json!({"started": 0, "completed": 0, "expired": 0, "remaining": 0})
    );
    assert_eq!(summary["reminders"]["due"], 0);
    for (status, id) in ids {
        assert_eq!(app.status(id).await, status);
    }
    let events: i64 = app
        .one("SELECT count(*) FROM booking_automation_events", &[])
        .await
        .get(0);
    assert_eq!(events, 0);
}

#[tokio::test]
async fn unusual_durations_and_starts_do_not_stop_the_pass() {
    let app = App::new().await;
    for (duration, start) in [
        ("0", "2026-03-01 11:00Z"),
        ("-90", "2026-03-01 11:00Z"),
        ("2147483647", "2026-03-01 11:00Z"),
    ] {
        let id = app.confirmed(noon()).await;
        let sql = format!(
            "UPDATE bookings SET duration_minutes = {duration}, scheduled_at = '{start}' WHERE id = $1"
        );
        app.sql(&sql, &[&id]).await;
    }
    let mut infinite = Vec::new();
    for (start, expected) in [
        ("infinity", "confirmed"),
        ("-infinity", "expired"),
        ("294000-01-01", "confirmed"),
    ] {
        let id = app.confirmed(noon() + hours(1)).await;
        app.sql(
            &format!("UPDATE bookings SET scheduled_at = '{start}' WHERE id = $1"),
            &[&id],
        )
        .await;
        infinite.push((id, expected));
    }
    // Its end is after the last timestamp of PostgreSQL.
    app.sql(
        "INSERT INTO bookings (status, scheduled_at, duration_minutes) VALUES ('in_progress', '294000-01-01', 2147483647)",
        &[],
    )
    .await;
    let good = app.confirmed(noon() - minutes(90)).await;
    let summary = app.run(noon()).await;
    // Zero and negative durations end at the start; four thousand years do not end.
    assert_eq!(
        transitions_of(&summary),
        json!({"started": 4, "completed": 3, "expired": 1, "remaining": 0})
    );
    for (id, expected) in infinite {
        assert_eq!(app.status(id).await, expected);
    }
    assert_eq!(app.status(good).await, "completed");
}

#[tokio::test]
async fn existing_automation_logs_are_kept() {
    let app = App::new().await;
    for (before, length) in [
        ("NULL", 1),
        ("'null'", 1),
        ("'[]'", 1),
        ("'[1, 2]'", 3),
        ("'{\"theirs\": true}'", 2),
        ("'\"text\"'", 2),
    ] {
        let id = app.confirmed(noon()).await;
        app.sql(
            &format!("UPDATE bookings SET automation_logs = {before} WHERE id = $1"),
            &[&id],
        )
        .await;
        app.run(noon()).await;
        let count: i32 = app
            .one(
                "SELECT jsonb_array_length(automation_logs) FROM bookings WHERE id = $1",
                &[&id],
            )
            .await
            .get(0);
        assert_eq!(count, length, "{before}");
    }
}

#[tokio::test]
async fn a_locked_booking_is_skipped_until_it_is_unlocked() {
    let app = App::new().await;
    let locked = app.confirmed(noon()).await;
    let free = app.confirmed(noon()).await;
    let other = crate::app::connect(&app.url).await;
    other.batch_execute("BEGIN").await.unwrap();
    other
        .execute("SELECT FROM bookings WHERE id = $1 FOR UPDATE", &[&locked])
        .await
        .unwrap();

    let summary = app.run(noon()).await;
    assert_eq!(
        transitions_of(&summary),
        json!({"started": 1, "completed": 0, "expired": 0, "remaining": 1})
    );
    assert_eq!(
        (app.status(locked).await, app.status(free).await),
        ("confirmed".to_owned(), "in_progress".to_owned())
    );

    // The pass did not wait for a lock.
    if let Some(log) = crate::cluster::cluster().log_of_database(&app.url) {
        assert!(!log.contains("lock timeout"), "{log}");
    }

    // The other session cancels it: the pass must not change it.
    other
        .execute(
            "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
            &[&locked],
        )
        .await
        .unwrap();
    let held = app.confirmed(noon()).await;
    other
        .execute("SELECT FROM bookings WHERE id = $1 FOR UPDATE", &[&held])
        .await
        .unwrap();
    app.run(noon() + minutes(1)).await;
    other.batch_execute("COMMIT").await.unwrap();
    let summary = app.run(noon() + minutes(2)).await;
    assert_eq!(
        transitions_of(&summary),
        json!({"started": 1, "completed": 0, "expired": 0, "remaining": 0})
    );
    assert_eq!(
        (app.status(locked).await, app.status(held).await),
        ("cancelled".to_owned(), "in_progress".to_owned())
    );
}

#[tokio::test]
async fn referenced_and_share_locked_bookings_delay_only_themselves() {
    let app = App::new().await;
    let (referred, shared) = (app.confirmed(noon()).await, app.confirmed(noon()).await);
    app.sql(
        "CREATE TABLE notes (booking_id uuid REFERENCES bookings)",
        &[],
    )
    .await;
    let theirs = crate::app::connect(&app.url).await;
    let sql = format!(
        "BEGIN; INSERT INTO notes VALUES ('{referred}'); SELECT FROM bookings WHERE id = '{shared}' FOR SHARE"
    );
    theirs.batch_execute(&sql).await.unwrap();
    let transitions = &app.run(noon()).await["transitions"];
    assert_eq!(
        (&transitions["started"], &transitions["remaining"]),
        (&1.into(), &1.into())
    );
    assert_eq!(
        (app.status(referred).await, app.status(shared).await),
        ("in_progress".to_owned(), "confirmed".to_owned())
    );
    theirs.batch_execute("COMMIT").await.unwrap();
    assert_eq!(
        app.run(noon() + minutes(1)).await["transitions"]["started"],
        1
    );
    // If the status is part of a unique key, a status change conflicts with the lock of a
    // reference.
    app.sql("CREATE UNIQUE INDEX theirs ON bookings (id, status)", &[])
        .await;
    let (referred, other) = (
        app.confirmed(noon() + minutes(2)).await,
        app.confirmed(noon() + minutes(2)).await,
    );
    theirs
        .batch_execute(&format!("BEGIN; INSERT INTO notes VALUES ('{referred}')"))
        .await
        .unwrap();
    let transitions = &app.run(noon() + minutes(2)).await["transitions"];
    assert_eq!(
        (&transitions["started"], &transitions["remaining"]),
        (&1.into(), &1.into())
    );
    assert_eq!(app.status(other).await, "in_progress");
}

#[tokio::test]
async fn a_refused_booking_does_not_stop_the_others() {
    let app = App::new().await;
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(app.confirmed(noon() - minutes(5)).await);
    }
    let bad = [ids[3], ids[29]];
    // A user's trigger refuses two bookings, including the most overdue.
    app.db
        .batch_execute(&format!(
            "UPDATE bookings SET scheduled_at = scheduled_at - interval '1 minute' WHERE id = '{}';
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN RAISE EXCEPTION 'no provider for carla@customers.example'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON bookings FOR EACH ROW
                WHEN (NEW.status = 'in_progress' AND NEW.id IN ('{}', '{}')) EXECUTE FUNCTION refuse()",
            bad[0], bad[0], bad[1]
        ))
        .await
        .unwrap();

    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert_eq!(
        transitions_of(&said.summary()),
        json!({"started": 38, "completed": 0, "expired": 0, "remaining": 0, "refused": {
            "count": 2,
            "first": {"booking_id": bad[0], "from": "confirmed", "to": "in_progress", "reason": "P0001"},
        }})
    );
    assert!(
        !said.stderr.contains("carla"),
        "the log has no address: {}",
        said.stderr
    );
    let sql = "SELECT booking_id::text FROM booking_automation_events
                WHERE status = 'failed' AND event_type = 'status_update' AND reason = 'refused'
                  AND error_message LIKE 'P0001: no provider%' ORDER BY 1";
    let mut expected = bad.map(|id| id.to_string());
    expected.sort();
    assert_eq!(app.column(sql, &[]).await, expected);

    // The step is retried after an hour.
    assert_eq!(
        transitions_of(&app.run(noon() + minutes(30)).await)["started"],
        0
    );
    app.db
        .batch_execute("DROP TRIGGER refuse ON bookings")
        .await
        .unwrap();
    assert_eq!(
        transitions_of(&app.run(noon() + minutes(61)).await)["started"],
        2
    );
}

#[tokio::test]
async fn a_dry_run_reports_what_a_run_does_and_writes_nothing() {
    let app = App::new().await;
    app.booking("in_progress", noon() - hours(100)).await;
    app.confirmed(noon() - hours(100)).await;
    app.confirmed(noon() - hours(101)).await;
    app.confirmed(noon() - hours(2)).await;
    app.confirmed(noon() - minutes(10)).await;
    app.booking("in_progress", noon() - hours(2)).await;
    app.confirmed(noon() + minutes(50)).await;
    let bookings_and_events = "SELECT md5(string_agg(row_text, '')) FROM (
        SELECT b::text AS row_text FROM bookings b UNION ALL SELECT e::text FROM booking_automation_events e
        UNION ALL SELECT l::text FROM booking_automation_looks l UNION ALL SELECT r::text FROM automation_runs r ORDER BY 1) AS t";
    let before = app.column(bookings_and_events, &[]).await;

    let preview = app
        .call(&["run", "--dry-run", "--as-of", &noon().to_rfc3339()])
        .await
        .summary();
    assert_eq!(preview["outcome"], "dry_run");
    assert_eq!(app.column(bookings_and_events, &[]).await, before);

    let done = app.run(noon()).await;
    assert_eq!(transitions_of(&preview), transitions_of(&done));
    assert_eq!(
        transitions_of(&done),
        json!({"started": 2, "completed": 2, "expired": 3, "remaining": 0})
    );
    assert_eq!(preview["reminders"]["due"], done["reminders"]["due"]);
    assert_eq!(
        done["reminders"],
        json!({"due": 2, "sent": 1, "retrying": 0, "unknown": 0, "failed": 0, "skipped": 1, "deferred": 0})
    );
}
