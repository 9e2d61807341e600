//! Transactions of the user's that keep one snapshot (REPEATABLE READ, SERIALIZABLE): no statement of
//! theirs fails because the program wrote a row of its own meanwhile.

use chrono::{DateTime, Utc};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::app::{App, connect, hours, minutes, noon};

const LEVELS: [&str; 2] = ["REPEATABLE READ", "SERIALIZABLE"];

/// A session of the user's with a transaction whose snapshot is taken now.
async fn begin(app: &App, level: &str) -> Client {
    let theirs = connect(&app.url).await;
    let begin = format!(
        "SET booking_automation.as_of = '{}'; BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM services",
        noon().to_rfc3339()
    );
    theirs.batch_execute(&begin).await.unwrap();
    theirs
}

async fn revision(app: &App, id: Uuid) -> Option<i32> {
    let sql = "SELECT (SELECT revision FROM booking_automation_state WHERE booking_id = $1)";
    app.one(sql, &[&id]).await.get(0)
}

async fn count_waiting(app: &App) -> i64 {
    let sql = "SELECT count(*) FROM booking_automation_state_changes";
    app.one(sql, &[]).await.get(0)
}

/// Moves a booking past the triggers, as logical replication does.
async fn move_past_triggers(app: &App, id: Uuid, start: DateTime<Utc>) {
    let start = start.to_rfc3339();
    let sql = format!("UPDATE bookings SET scheduled_at = '{start}' WHERE id = '{id}'");
    app.sql_without_triggers(&sql).await;
}

#[tokio::test]
async fn a_move_succeeds_although_the_hourly_check_wrote_its_row_meanwhile() {
    for level in LEVELS {
        let app = App::new().await;
        let (moved, other) = (
            app.confirmed(noon() + hours(24)).await,
            app.confirmed(noon() + hours(48)).await,
        );
        app.run(noon()).await;
        assert_eq!(app.reminders(moved).await, ["24h completed"]);
        move_past_triggers(&app, moved, noon() + hours(20)).await;
        let theirs = begin(&app, level).await;
        // This pass includes the hourly check.
        app.run(noon() + minutes(7)).await;
        assert_eq!(revision(&app, moved).await, Some(2));
        let both = "UPDATE bookings SET scheduled_at = scheduled_at - interval '1 hour'";
        theirs.batch_execute(both).await.unwrap();
        theirs.batch_execute("COMMIT").await.unwrap();
        // One row was in the way, and the trigger writes those of a statement together.
        assert_eq!(count_waiting(&app).await, 2, "{level}");
        app.run(noon() + minutes(8)).await;
        assert_eq!(count_waiting(&app).await, 0, "{level}");
        assert_eq!(revision(&app, moved).await, Some(3), "{level}");
        assert_eq!(revision(&app, other).await, Some(2), "{level}");
        let starts = "SELECT bool_and(s.starts_at = b.scheduled_at AND s.in_force_since = $1)
                        FROM bookings b JOIN booking_automation_state s ON s.booking_id = b.id";
        assert!(
            app.one(starts, &[&noon()]).await.get::<_, bool>(0),
            "{level}"
        );
        // Only the message about the last start is sent.
        assert_eq!(
            app.reminders(moved).await,
            ["24h completed", "24h skipped rescheduled", "24h completed"],
            "{level}"
        );
    }
}

#[tokio::test]
async fn an_unblocked_booking_waits_anew_although_its_row_was_written_meanwhile() {
    for level in LEVELS {
        let app = App::new().await;
        let id = app.booking("in_progress", noon() - hours(47)).await;
        let block = "UPDATE bookings SET auto_complete_blocked = true WHERE id = $1";
        app.sql(block, &[&id]).await;
        let theirs = begin(&app, level).await;
        // As erasure does; there may be no row of it yet.
        let ours = "INSERT INTO booking_automation_state (booking_id, revision, blocked_reason) VALUES ($1, 0, '')
                    ON CONFLICT (booking_id) DO UPDATE SET blocked_reason = ''";
        app.sql(ours, &[&id]).await;
        let unblock =
            format!("UPDATE bookings SET auto_complete_blocked = false WHERE id = '{id}'");
        theirs.batch_execute(&unblock).await.unwrap();
        theirs.batch_execute("COMMIT").await.unwrap();
        // It ended long ago: without the time of the unblocking it would expire now.
        app.run(noon() + minutes(1)).await;
        assert_eq!(app.status(id).await, "completed", "{level}");
        let state = "SELECT unblocked_at = $2 AND blocked_reason IS NULL FROM booking_automation_state WHERE booking_id = $1";
        let unblocked = app
            .one(state, &[&id, &noon()])
            .await
            .get::<_, Option<bool>>(0);
        assert_eq!(unblocked, Some(true), "{level}");
    }
}

#[tokio::test]
async fn an_id_that_was_used_and_deleted_meanwhile_can_be_inserted() {
    for level in LEVELS {
        let app = App::new().await;
        let theirs = begin(&app, level).await;
        let id = app.confirmed(noon() + hours(30)).await;
        app.sql("DELETE FROM bookings WHERE id = $1", &[&id]).await;
        let insert = format!(
            "INSERT INTO bookings (id, customer_id, provider_id, service_id, status, scheduled_at, duration_minutes)
             VALUES ('{id}', '{}', '{}', '{}', 'confirmed', '{}', 60)",
            app.customer,
            app.provider,
            app.service,
            (noon() + hours(24)).to_rfc3339()
        );
        theirs.batch_execute(&insert).await.unwrap();
        theirs.batch_execute("COMMIT").await.unwrap();
        app.run(noon()).await;
        assert_eq!(revision(&app, id).await, Some(2), "{level}");
        assert_eq!(app.reminders(id).await, ["24h completed"], "{level}");
    }
}

#[tokio::test]
async fn a_change_of_a_booking_that_is_gone_or_locked_stops_no_other() {
    let app = App::new().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(app.confirmed(noon() + hours(30)).await);
    }
    let theirs = begin(&app, LEVELS[0]).await;
    app.sql(
        "UPDATE booking_automation_state SET blocked_reason = ''",
        &[],
    )
    .await;
    let moved = "UPDATE bookings SET scheduled_at = scheduled_at - interval '6 hours'";
    theirs.batch_execute(moved).await.unwrap();
    theirs.batch_execute("COMMIT").await.unwrap();
    app.sql("DELETE FROM bookings WHERE id = $1", &[&ids[0]])
        .await;
    let lock = format!(
        "BEGIN; SELECT FROM bookings WHERE id = '{}' FOR UPDATE",
        ids[1]
    );
    theirs.batch_execute(&lock).await.unwrap();
    app.run(noon()).await;
    assert_eq!(count_waiting(&app).await, 1, "the locked one waits");
    assert_eq!(revision(&app, ids[2]).await, Some(2));
    assert_eq!(app.reminders(ids[2]).await, ["24h completed"]);
    theirs.batch_execute("ROLLBACK").await.unwrap();
    app.run(noon() + minutes(1)).await;
    assert_eq!(count_waiting(&app).await, 0);
    assert_eq!(revision(&app, ids[1]).await, Some(2));
    // The pass before had taken it from the recheck queue.
    assert_eq!(app.reminders(ids[1]).await, ["24h completed"]);
}

#[tokio::test]
async fn our_triggers_read_no_events_in_a_serializable_transaction() {
    let app = App::new().await;
    let id = app.booking("pending", noon() + hours(200)).await;
    let theirs = begin(&app, LEVELS[1]).await;
    let confirm = format!("UPDATE bookings SET status = 'confirmed' WHERE id = '{id}'");
    theirs.batch_execute(&confirm).await.unwrap();
    // Two transactions that each insert into what the other has read fail.
    let read = "SELECT count(*) FROM pg_locks l
                 WHERE l.mode = 'SIReadLock' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                   AND (l.relation = 'booking_automation_events'::regclass
                        OR l.relation IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'booking_automation_events'::regclass))";
    assert_eq!(app.one(read, &[]).await.get::<_, i64>(0), 0);
    theirs.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test]
async fn a_booking_whose_unblocking_waits_for_a_pass_does_not_expire() {
    let app = App::new().await;
    let id = app.confirmed(noon() - hours(48)).await;
    app.sql(
        "UPDATE bookings SET auto_complete_blocked = true, status = 'in_progress' WHERE id = $1",
        &[&id],
    )
    .await;
    // The trigger of a transaction of one snapshot left this to the next pass, and no pass can take it.
    app.db
        .batch_execute(&format!(
            "ALTER TABLE bookings DISABLE TRIGGER booking_automation_on_update;
             UPDATE bookings SET auto_complete_blocked = false;
             ALTER TABLE bookings ENABLE TRIGGER booking_automation_on_update;
             INSERT INTO booking_automation_state_changes (booking_id, unblocked_at) VALUES ('{id}', '{}');
             CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
             CREATE TRIGGER fail BEFORE DELETE ON booking_automation_state_changes FOR EACH ROW EXECUTE FUNCTION fail()",
            noon().to_rfc3339()
        ))
        .await
        .unwrap();
    app.run(noon()).await;
    assert_eq!(app.status(id).await, "in_progress");
    app.sql("DROP TRIGGER fail ON booking_automation_state_changes", &[])
        .await;
    app.run(noon() + hours(1)).await;
    assert_eq!(app.status(id).await, "completed");
}
