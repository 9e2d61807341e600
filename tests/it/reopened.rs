//! Bookings that were started by time and are moved into the future: they go back to `confirmed`.
//! Bookings that are completed and lie ahead are reported.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, connect, hours, minutes, noon};
use crate::status::{ask, support};

/// A booking that a pass at noon has started.
async fn started_by_time(app: &App) -> Uuid {
    let id = app.confirmed(noon() - minutes(10)).await;
    app.run(noon()).await;
    assert_eq!(app.status(id).await, "in_progress");
    id
}

/// Moves the start, at a time.
async fn move_to(app: &App, id: Uuid, start: DateTime<Utc>, now: DateTime<Utc>) {
    app.set_clock(now).await;
    let sql = "UPDATE bookings SET scheduled_at = $2 WHERE id = $1";
    app.sql(sql, &[&id, &start]).await;
}

/// The audited status changes: from, to, by, due, status.
async fn changes(app: &App, id: Uuid) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', event_data ->> 'from', event_data ->> 'to', event_data ->> 'by', to_char(scheduled_at AT TIME ZONE 'UTC', 'HH24:MI'), status)
                 FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'status_update' ORDER BY seq";
    app.column(sql, &[&id]).await
}

fn later(count: i64) -> DateTime<Utc> {
    noon() + minutes(count)
}

#[tokio::test]
async fn a_booking_that_was_started_by_time_and_moved_ahead_is_confirmed_and_reminded_of_again() {
    let app = App::new().await;
    let id = started_by_time(&app).await;
    move_to(&app, id, noon() + hours(23), later(4)).await;

    let dry = app
        .call(&["run", "--dry-run", "--as-of", &later(5).to_rfc3339()])
        .await
        .summary();
    assert_eq!(dry["transitions"]["reopened"], 1);
    assert_eq!(app.status(id).await, "in_progress");

    // The step and the decision on its reminder are made in one pass.
    let summary = app.run(later(5)).await;
    assert_eq!(
        summary["transitions"],
        json!({"started": 0, "completed": 0, "expired": 0, "reopened": 1, "remaining": 0})
    );
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    assert_eq!(app.status(id).await, "confirmed");
    assert_eq!(
        changes(&app, id).await,
        [
            "confirmed in_progress booking-automation 11:50 completed",
            "in_progress confirmed booking-automation 12:05 completed"
        ]
    );
    let row = app
        .one(
            "SELECT auto_status_updated, automation_logs -> -1 FROM bookings WHERE id = $1",
            &[&id],
        )
        .await;
    let log: Value = row.get(1);
    assert!(row.get::<_, bool>(0));
    assert_eq!(
        (&log["from"], &log["to"], &log["run_id"]),
        (
            &json!("in_progress"),
            &json!("confirmed"),
            &summary["run_id"]
        )
    );

    // Its life goes on as that of any other.
    assert!(app.run(later(6)).await["transitions"]["reopened"].is_null());
    app.run(noon() + hours(23) - minutes(10)).await;
    assert_eq!(
        app.reminders(id).await,
        ["24h completed", "1h skipped superseded", "15m completed"]
    );
    app.run(noon() + hours(24)).await;
    assert_eq!(app.status(id).await, "completed");
}

#[tokio::test]
async fn the_step_is_made_at_a_start_one_microsecond_ahead_and_not_at_the_start() {
    let app = App::new().await;
    let (ahead, now) = (started_by_time(&app).await, started_by_time(&app).await);
    move_to(&app, ahead, later(5) + Duration::microseconds(1), later(4)).await;
    move_to(&app, now, later(5), later(4)).await;
    app.run(later(5)).await;
    assert_eq!(
        (
            app.status(ahead).await.as_str(),
            app.status(now).await.as_str()
        ),
        ("confirmed", "in_progress")
    );
}

#[tokio::test]
async fn what_a_person_set_in_progress_stays_so() {
    let app = App::new().await;
    let sql = "UPDATE bookings SET status = $2 WHERE id = $1";
    // Never started by time; and started by time, but put back by a person since.
    let by_person = app.confirmed(noon() + hours(48)).await;
    app.sql(sql, &[&by_person, &"in_progress"]).await;
    let by_both = started_by_time(&app).await;
    app.sql(sql, &[&by_both, &"paid"]).await;
    app.sql(sql, &[&by_both, &"in_progress"]).await;
    let inserted = app.booking("in_progress", noon() + hours(48)).await;
    let ids = [by_person, by_both, inserted];
    // Even if it looks as if the automation had done it.
    app.sql("UPDATE bookings SET auto_status_updated = true", &[])
        .await;
    for id in ids {
        move_to(&app, id, noon() + hours(23), later(4)).await;
    }
    let summary = app.run(later(5)).await;
    assert!(summary["transitions"]["reopened"].is_null(), "{summary}");
    for id in ids {
        assert_eq!(app.status(id).await, "in_progress");
    }
}

#[tokio::test]
async fn a_booking_that_is_moved_ahead_and_back_between_two_passes_stays_in_progress() {
    let app = App::new().await;
    let id = started_by_time(&app).await;
    move_to(&app, id, noon() + hours(23), later(4)).await;
    move_to(&app, id, noon() - minutes(10), later(4)).await;
    let summary = app.run(later(5)).await;
    assert_eq!(
        summary["transitions"],
        json!({"started": 0, "completed": 0, "expired": 0, "remaining": 0})
    );
    assert_eq!(app.status(id).await, "in_progress");
}

/// A block concerns the completion. After an undo, a person decides.
#[tokio::test]
async fn a_blocked_booking_is_confirmed_again_unless_a_step_was_reverted() {
    let app = App::new().await;
    let ids = [started_by_time(&app).await, started_by_time(&app).await];
    app.sql("UPDATE bookings SET auto_complete_blocked = true", &[])
        .await;
    let undone = "INSERT INTO booking_automation_state (booking_id, revision, blocked_reason) VALUES ($1, 1, 'they never came')
                  ON CONFLICT (booking_id) DO UPDATE SET blocked_reason = excluded.blocked_reason";
    app.sql(undone, &[&ids[1]]).await;
    for id in ids {
        move_to(&app, id, noon() + hours(23), later(4)).await;
    }
    app.run(later(5)).await;
    assert_eq!(
        (
            app.status(ids[0]).await.as_str(),
            app.status(ids[1]).await.as_str()
        ),
        ("confirmed", "in_progress")
    );
}

#[tokio::test]
async fn a_locked_booking_is_confirmed_again_after_it_is_unlocked() {
    let app = App::new().await;
    let ids = [started_by_time(&app).await, started_by_time(&app).await];
    for id in ids {
        move_to(&app, id, noon() + hours(23), later(4)).await;
    }
    let other = connect(&app.url).await;
    other.batch_execute("BEGIN").await.unwrap();
    let lock = "SELECT FROM bookings WHERE id = $1 FOR UPDATE";
    other.execute(lock, &[&ids[0]]).await.unwrap();
    let summary = app.run(later(5)).await;
    assert_eq!(
        (
            &summary["transitions"]["reopened"],
            &summary["transitions"]["remaining"]
        ),
        (&json!(1), &json!(1))
    );
    // Moved back under the lock: the pass that waited for nothing must not confirm it.
    let back = "UPDATE bookings SET scheduled_at = $2 WHERE id = $1";
    other
        .execute(back, &[&ids[0], &(noon() - minutes(10))])
        .await
        .unwrap();
    other.batch_execute("COMMIT").await.unwrap();
    app.run(later(6)).await;
    assert_eq!(
        (
            app.status(ids[0]).await.as_str(),
            app.status(ids[1]).await.as_str()
        ),
        ("in_progress", "confirmed")
    );
}

/// Each way in which a database refuses the step: a CHECK, a trigger with an error, a trigger that
/// keeps the status, and one that sets it back.
#[tokio::test]
async fn a_refused_step_delays_only_its_booking_and_the_booking_is_completed_in_time() {
    let refusals = [
        "ALTER TABLE bookings ADD CONSTRAINT no_way_back CHECK (NOT (status = 'confirmed' AND auto_status_updated AND id = '{id}'))",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a booking goes forward'; END $$;
         CREATE TRIGGER refuse BEFORE UPDATE ON bookings FOR EACH ROW
            WHEN (OLD.status = 'in_progress' AND NEW.status = 'confirmed' AND NEW.id = '{id}') EXECUTE FUNCTION refuse()",
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.status := OLD.status; RETURN NEW; END $$;
         CREATE TRIGGER keep BEFORE UPDATE ON bookings FOR EACH ROW
            WHEN (OLD.status = 'in_progress' AND NEW.status = 'confirmed' AND NEW.id = '{id}') EXECUTE FUNCTION keep()",
        "CREATE FUNCTION set_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             UPDATE bookings SET status = 'in_progress' WHERE id = NEW.id; RETURN NULL; END $$;
         CREATE TRIGGER set_back AFTER UPDATE ON bookings FOR EACH ROW
            WHEN (OLD.status = 'in_progress' AND NEW.status = 'confirmed' AND NEW.id = '{id}') EXECUTE FUNCTION set_back()",
    ];
    for refusal in refusals {
        let app = App::new().await;
        let (refused, free) = (started_by_time(&app).await, started_by_time(&app).await);
        app.db
            .batch_execute(&refusal.replace("{id}", &refused.to_string()))
            .await
            .unwrap();
        for id in [refused, free] {
            move_to(&app, id, noon() + hours(6), later(4)).await;
        }
        let summary = app.run(later(5)).await;
        assert_eq!(summary["transitions"]["refused"]["count"], 1, "{refusal}");
        let first = &summary["transitions"]["refused"]["first"];
        assert_eq!(
            (&first["from"], &first["to"]),
            (&json!("in_progress"), &json!("confirmed")),
            "{refusal}"
        );
        assert_eq!(
            (
                app.status(refused).await.as_str(),
                app.status(free).await.as_str()
            ),
            ("in_progress", "confirmed"),
            "{refusal}"
        );
        // Refused again and again, for longer and longer.
        for minute in [6, 10, 20, 50, 110, 170, 350] {
            app.run(later(minute)).await;
        }
        assert_eq!(app.status(refused).await, "in_progress", "{refusal}");
        app.run(noon() + hours(7)).await;
        assert_eq!(app.status(refused).await, "completed", "{refusal}");
        assert_eq!(app.status(free).await, "completed", "{refusal}");
    }
}

#[tokio::test]
async fn a_database_without_our_columns_confirms_again_too() {
    let app = App::empty().await;
    let migrated = app.call(&["migrate"]).await;
    assert!(migrated.success, "{}", migrated.stderr);
    app.db
        .batch_execute("ALTER TABLE bookings DROP COLUMN auto_status_updated")
        .await
        .unwrap();
    let migrated = app.call(&["migrate"]).await;
    assert!(
        migrated
            .stderr
            .contains("index booking_automation_in_progress_start"),
        "{}",
        migrated.stderr
    );
    app.set_clock(noon() - hours(72)).await;
    let sql = "INSERT INTO bookings (status, scheduled_at, duration_minutes) VALUES ('confirmed', $1, 60) RETURNING id";
    let id: Uuid = app.one(sql, &[&(noon() - minutes(10))]).await.get(0);
    app.run(noon()).await;
    move_to(&app, id, noon() + hours(23), later(4)).await;
    assert_eq!(app.run(later(5)).await["transitions"]["reopened"], 1);
    assert_eq!(app.status(id).await, "confirmed");
}

/// Its mark is about the ends of bookings in progress.
#[tokio::test]
async fn a_booking_that_is_not_live_stays_as_it_is() {
    let app = App::new().await;
    let id = started_by_time(&app).await;
    app.db
        .batch_execute(
            "CREATE OR REPLACE FUNCTION public.booking_automation_is_live(booking public.bookings) RETURNS boolean
             LANGUAGE sql STABLE RETURN false",
        )
        .await
        .unwrap();
    move_to(&app, id, noon() + hours(23), later(4)).await;
    app.run(later(5)).await;
    assert_eq!(app.status(id).await, "in_progress");
}

async fn fetch(app: &mut App, path: &str, as_of: DateTime<Utc>) -> Value {
    let server = support(app, as_of).await;
    let answer = ask(&server, "GET", path, &[], b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn texts(entries: &Value) -> Vec<&str> {
    let entries = entries.as_array().unwrap().iter();
    entries
        .map(|entry| entry["text"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_timeline_and_the_preview_say_what_comes_next() {
    let mut app = App::new().await;
    let id = started_by_time(&app).await;
    move_to(&app, id, noon() + hours(48), later(4)).await;
    let path = format!("/bookings/{id}/timeline");
    let timeline = fetch(&mut app, &path, later(4)).await;
    assert_eq!(
        texts(&timeline["planned"]),
        [
            "The next pass changes the status to confirmed.",
            "The automation changes the status to in_progress.",
            "The automation changes the status to completed.",
        ]
    );
    let preview = fetch(&mut app, "/preview", later(4)).await;
    assert_eq!(
        preview["total"],
        json!({"started": 0, "completed": 0, "expired": 0, "reopened": 1})
    );

    app.run(later(5)).await;
    let timeline = fetch(&mut app, &path, later(6)).await;
    let happened = texts(&timeline["happened"]);
    assert_eq!(
        happened.last(),
        Some(&"The automation changed the status from in_progress to confirmed.")
    );
    assert!(timeline["booking"]["contradiction"].is_null());
}

/// A request finds the booking as the next pass would leave it.
#[tokio::test]
async fn a_cancellation_sees_the_booking_as_confirmed() {
    let mut app = App::new().await;
    let id = started_by_time(&app).await;
    move_to(&app, id, noon() + hours(48), later(4)).await;
    let server = support(&mut app, later(4)).await;
    let body = json!({"to": "cancelled", "actor": {"role": "customer"}}).to_string();
    let path = format!("/bookings/{id}/status");
    let answer = ask(&server, "POST", &path, &[], body.as_bytes()).await;
    assert_eq!(
        (answer.status, answer.json()["from"].as_str()),
        (200, Some("confirmed")),
        "{answer:?}"
    );
}

/// The lines of the log about bookings that are completed ahead.
async fn reports(app: &App, as_of: DateTime<Utc>) -> Vec<String> {
    let output = app.call(&["run", "--as-of", &as_of.to_rfc3339()]).await;
    output.summary();
    let about = |line: &&str| line.contains("completed although their start lies ahead");
    output
        .stderr
        .lines()
        .filter(about)
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn a_completed_booking_that_lies_ahead_is_reported_once_and_not_changed() {
    let mut app = App::new().await;
    // Moved after it was completed; completed before its start.
    let moved = app.confirmed(noon() - hours(2)).await;
    let early = app.confirmed(noon() + hours(48)).await;
    let fine = app.confirmed(noon() - hours(2)).await;
    assert_eq!(reports(&app, noon()).await, [""; 0]);
    move_to(&app, moved, noon() + hours(23), later(4)).await;
    move_to(&app, fine, noon() - hours(3), later(4)).await;
    let complete = "UPDATE bookings SET status = 'completed' WHERE id = $1";
    app.sql(complete, &[&early]).await;

    let reported = reports(&app, later(5)).await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    let named = [moved, early].map(|id| reported[0].contains(&id.to_string()));
    assert!(reported[0].contains("bookings.count=2"), "{reported:?}");
    assert_eq!(named.iter().filter(|named| **named).count(), 1);
    assert_eq!(reports(&app, later(6)).await, [""; 0]);
    for id in [moved, early] {
        assert_eq!(app.status(id).await, "completed");
        let timeline = fetch(&mut app, &format!("/bookings/{id}/timeline"), later(6)).await;
        assert_eq!(
            timeline["booking"]["contradiction"],
            "The booking is completed, but its start lies ahead. The automation does not change it."
        );
        assert_eq!(timeline["planned"], json!([]));
    }
    let timeline = fetch(&mut app, &format!("/bookings/{fine}/timeline"), later(6)).await;
    assert!(timeline["booking"]["contradiction"].is_null());
}

/// Moved back before the pass: there is no contradiction left.
#[tokio::test]
async fn a_completed_booking_that_was_moved_ahead_and_back_is_not_reported() {
    let app = App::new().await;
    let id = app.confirmed(noon() - hours(2)).await;
    app.run(noon()).await;
    move_to(&app, id, noon() + hours(23), later(4)).await;
    move_to(&app, id, noon() - hours(2), later(4)).await;
    assert_eq!(reports(&app, later(5)).await, [""; 0]);
}

/// A million bookings in progress, long ones among them, cost a pass nothing.
#[tokio::test]
async fn the_bookings_that_lie_ahead_are_found_by_a_small_index() {
    let app = App::new().await;
    app.db
        .batch_execute(
            "SET session_replication_role = replica;
             INSERT INTO bookings (status, scheduled_at, duration_minutes, auto_status_updated)
             SELECT 'in_progress', now() - n * interval '1 minute', 1000000, n % 2 = 0 FROM generate_series(1, 20000) AS n;
             INSERT INTO bookings (status, scheduled_at, duration_minutes)
             SELECT CASE n % 2 WHEN 0 THEN 'in_progress' ELSE 'confirmed' END, now() + n * interval '1 minute', 60 FROM generate_series(1, 20000) AS n;
             RESET session_replication_role; ANALYZE bookings",
        )
        .await
        .unwrap();
    let statements = booking_automation::entry::statements::composed();
    let (_, sql) = statements
        .iter()
        .find(|(name, _)| name == "in_progress to confirmed, candidates")
        .unwrap();
    let sql = sql
        .replace("$1", "now()")
        .replace("$4", "50000")
        .replace("$5", "NULL")
        .replace("$6", "'run'");
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) {sql}");
    let plan = app.column(&explain, &[]).await.join("\n");
    assert!(
        plan.contains("Index Scan using booking_automation_in_progress_start"),
        "{plan}"
    );
    assert!(!plan.contains("Rows Removed"), "{plan}");
}

/// The mark of a status is about one time of its bookings: of those in progress, their end.
#[test]
fn the_marks_of_what_is_not_live_read_each_status_once() {
    let statements = booking_automation::entry::statements::composed();
    let (_, marks) = statements.iter().find(|(name, _)| name == "marks").unwrap();
    for status in ["pending", "confirmed", "in_progress"] {
        let reads = format!("SELECT '{status}' AS status");
        assert_eq!(marks.matches(&reads).count(), 1, "{marks}");
    }
}
