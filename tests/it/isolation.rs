//! What the user's triggers and view do for one booking delays that booking alone.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use serde_json::json;
use uuid::Uuid;

use crate::app::{App, CommandOutput, hours, minutes, noon};
use crate::odd_databases::create_before_update_trigger;
use crate::ses::Answer;

/// What a trigger may raise: of the connection, the transaction, resources, the operator, the system, and others.
pub const STATES: [&str; 23] = [
    "08001", "08003", "08006", "22012", "23514", "25006", "25P02", "25P03", "40001", "42501",
    "42883", "53100", "53200", "53300", "54001", "55000", "57014", "57P01", "57P03", "58030",
    "P0004", "XX000", "XX001",
];

async fn run_for(app: &App, time: &str, minute: i64) -> CommandOutput {
    let as_of = (noon() + minutes(minute)).to_rfc3339();
    app.call(&["run", "--for", time, "--as-of", &as_of]).await
}

/// The refusals of a booking: each with its error and for how long it is set aside.
async fn refusals(app: &App, id: Uuid) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', error_message, next_attempt_at - executed_at) FROM booking_automation_events
                WHERE booking_id = $1 AND event_type = 'status_update' AND status = 'failed' ORDER BY seq";
    app.column(sql, &[&id]).await
}

#[tokio::test]
async fn an_error_of_any_code_for_one_booking_belongs_to_that_booking() {
    for state in STATES {
        let app = App::new().await;
        let (bad, good) = (
            app.confirmed(noon() - minutes(1)).await,
            app.confirmed(noon()).await,
        );
        let reminded = app.confirmed(noon() + hours(24)).await;
        let raise = format!("RAISE EXCEPTION 'refused' USING ERRCODE = '{state}'");
        create_before_update_trigger(&app, &format!("NEW.id = '{bad}'"), &raise).await;
        let summary = app.run(noon()).await;
        assert_eq!(summary["transitions"]["started"], 1, "{state}: {summary}");
        assert_eq!(
            summary["transitions"]["refused"],
            json!({"count": 1, "first": {"booking_id": bad, "from": "confirmed", "to": "in_progress", "reason": state}})
        );
        assert_eq!(app.status(good).await, "in_progress", "{state}");
        assert_eq!(app.reminders(reminded).await, ["24h completed"], "{state}");
        assert_eq!(
            refusals(&app, bad).await,
            [format!("{state}: refused 00:01:00")]
        );
    }
}

#[tokio::test]
async fn an_error_of_any_code_of_the_view_for_one_person_belongs_to_that_person() {
    for state in [
        "08001", "08006", "25P02", "40001", "53100", "57P01", "XX000", "XX001",
    ] {
        let mut app = App::new().await;
        let good = app.confirmed(noon() + hours(24)).await;
        app.customer = app
            .person("Bad", Some("bad@customers.example"), "UTC")
            .await;
        let bad = app.confirmed(noon() + hours(24)).await;
        let view = app
            .one("SELECT pg_get_viewdef('booking_automation_contacts')", &[])
            .await
            .get::<_, String>(0);
        let sql = format!(
            "CREATE FUNCTION fail(address text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
                 IF address LIKE 'bad@%' THEN RAISE EXCEPTION 'unreadable' USING ERRCODE = '{state}'; END IF; RETURN address; END $$;
             CREATE OR REPLACE VIEW booking_automation_contacts AS
             SELECT booking_id, audience, fail(email) AS email, name, timezone, language, service, with_name, place, meeting_link, is_online,
                    place_timezone FROM ({}) AS shipped",
            view.trim_end_matches(';')
        );
        app.db.batch_execute(&sql).await.unwrap();
        app.run(noon()).await;
        app.run(noon() + minutes(1)).await;
        assert_eq!(app.reminders(good).await, ["24h completed"], "{state}");
        assert_eq!(
            app.reminders(bad).await,
            ["24h pending contacts"],
            "{state}"
        );
    }
}

#[tokio::test]
async fn a_step_that_fails_for_all_alike_sets_none_aside() {
    let mut app = App::new().await;
    app.has_grants = false; // their trigger writes a table of theirs
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(app.confirmed(noon()).await);
    }
    app.sql("CREATE TABLE log (id uuid)", &[]).await;
    create_before_update_trigger(&app, "true", "INSERT INTO public.log VALUES (NEW.id)").await;
    app.sql("ALTER TABLE log RENAME TO gone", &[]).await;
    for minute in 0..3 {
        let summary = app.run(noon() + minutes(minute)).await;
        assert_eq!(summary["transitions"]["refused"]["count"], 40, "{summary}");
        assert_eq!(summary["transitions"]["remaining"], 40, "{summary}");
    }
    // Each has one record: it was not lost sight of.
    assert_eq!(
        refusals(&app, ids[7]).await,
        ["42P01: relation \"public.log\" does not exist 00:00:00"]
    );
    app.sql("ALTER TABLE gone RENAME TO log", &[]).await;
    let summary = app.run(noon() + minutes(3)).await;
    assert_eq!(
        summary["transitions"],
        json!({"started": 40, "completed": 0, "expired": 0, "remaining": 0})
    );
}

#[tokio::test]
async fn a_booking_with_a_slow_trigger_is_set_aside_and_the_others_go_on() {
    let app = App::new().await;
    let slow = app.confirmed(noon() - minutes(1)).await;
    for _ in 0..40 {
        app.confirmed(noon()).await;
    }
    create_before_update_trigger(&app, &format!("NEW.id = '{slow}'"), "PERFORM pg_sleep(30)").await;
    let summary = run_for(&app, "12s", 0).await.summary();
    assert_eq!(summary["transitions"]["started"], 40, "{summary}");
    let words = "57014: canceling statement due to statement timeout 00:01:00";
    assert_eq!(refusals(&app, slow).await, [words]);
}

#[tokio::test]
async fn thousands_of_refused_bookings_do_not_starve_the_others() {
    let app = App::new().await;
    app.db
        .batch_execute(
            "INSERT INTO bookings (status, scheduled_at, duration_minutes, total_price)
             SELECT 'confirmed', '2026-03-01 11:00Z'::timestamptz - n * interval '1 second', 600, 13 FROM generate_series(1, 5000) AS n;
             ALTER TABLE bookings ADD CONSTRAINT theirs CHECK (NOT (status = 'in_progress' AND total_price = 13)) NOT VALID",
        )
        .await
        .unwrap();
    for _ in 0..100 {
        app.confirmed(noon()).await;
    }
    let summary = run_for(&app, "50s", 0).await.summary();
    assert_eq!(summary["transitions"]["started"], 100, "{summary}");
    assert_eq!(
        summary["transitions"]["refused"]["count"], 5000,
        "{summary}"
    );
    // Those that were refused wait behind a new one.
    let new = app.confirmed(noon() + minutes(1)).await;
    let summary = run_for(&app, "50s", 1).await.summary();
    assert_eq!(app.status(new).await, "in_progress");
    assert_eq!(summary["transitions"]["started"], 1, "{summary}");
}

#[tokio::test]
async fn a_refusal_is_repeated_after_a_day_at_the_latest() {
    let app = App::new().await;
    let bad = app.confirmed(noon()).await;
    let earlier = "INSERT INTO booking_automation_events (booking_id, event_type, event_data, scheduled_at, executed_at, status, next_attempt_at)
                   SELECT $1, 'status_update', '{\"from\": \"confirmed\", \"to\": \"in_progress\"}', $2, $2::timestamptz - n * interval '1 day', 'failed',
                          $2::timestamptz - n * interval '1 day' + interval '1 hour' FROM generate_series(1, 30) AS n";
    app.sql(earlier, &[&bad, &noon()]).await;
    create_before_update_trigger(&app, "true", "RAISE EXCEPTION 'refused'").await;
    app.run(noon()).await;
    assert_eq!(
        refusals(&app, bad).await.last().unwrap(),
        "P0001: refused 1 day"
    );
}

#[tokio::test]
async fn what_a_trigger_sets_for_the_transaction_ends_with_its_statement() {
    let mut app = App::new().await;
    app.has_grants = false; // a superuser may take any role
    let started = app.confirmed(noon()).await;
    let reminded = app.confirmed(noon() + hours(24)).await;
    create_before_update_trigger(
        &app,
        "true",
        "PERFORM set_config('search_path', 'nowhere', true), set_config('role', 'pg_monitor', true), set_config('TimeZone', 'Asia/Tokyo', true)",
    )
    .await;
    let summary = app.run(noon()).await;
    // The audit trigger runs as its owner, and the statement itself was allowed before.
    assert_eq!(summary["transitions"]["started"], 1, "{summary}");
    assert_eq!(app.status(started).await, "in_progress");
    assert_eq!(app.reminders(reminded).await, ["24h completed"]);
}

#[tokio::test]
async fn what_a_trigger_does_not_let_move_is_named_and_not_counted_as_moved() {
    for returns in ["OLD", "NULL"] {
        let app = App::new().await;
        let id = app.confirmed(noon()).await;
        app.db
            .batch_execute(&format!(
                "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN {returns}; END $$;
                 CREATE TRIGGER theirs BEFORE UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION theirs()"
            ))
            .await
            .unwrap();
        let summary = app.run(noon()).await;
        assert_eq!(
            summary["transitions"],
            json!({"started": 0, "completed": 0, "expired": 0, "remaining": 0,
                   "refused": {"count": 1, "first": {"booking_id": id, "from": "confirmed", "to": "in_progress", "reason": "trigger"}}}),
            "{returns}"
        );
        assert_eq!(
            refusals(&app, id).await,
            ["a trigger kept the status 00:01:00"]
        );
    }
}

/// Replaces the contacts view by one that waits for each row with an address like this.
async fn slow_view(app: &App, seconds: f64, address: &str) {
    let view: String = app
        .one("SELECT pg_get_viewdef('booking_automation_contacts')", &[])
        .await
        .get(0);
    let sql = format!(
        "CREATE FUNCTION wait_for(address text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
             IF address LIKE '{address}' THEN PERFORM pg_sleep({seconds}); END IF; RETURN address; END $$;
         CREATE OR REPLACE VIEW booking_automation_contacts AS
         SELECT booking_id, audience, wait_for(email) AS email, name, timezone, language, service, with_name, place, meeting_link, is_online,
                place_timezone FROM ({}) AS shipped",
        view.trim_end_matches(';')
    );
    app.db.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn a_slow_view_sends_fewer_mails_at_a_time_and_not_none() {
    let app = App::new().await;
    slow_view(&app, 0.25, "%").await;
    for _ in 0..40 {
        app.confirmed(noon() + hours(24)).await;
    }
    let summary = run_for(&app, "30s", 0).await.summary();
    assert!(
        summary["reminders"]["sent"].as_i64() >= Some(10),
        "{summary}"
    );
    assert_eq!(summary["reminders"]["failed"], 0, "{summary}");
}

#[tokio::test]
async fn a_view_that_is_slow_for_one_person_delays_only_that_person() {
    let mut app = App::new().await;
    slow_view(&app, 30.0, "slow@%").await;
    let good = app.confirmed(noon() + hours(24)).await;
    app.customer = app
        .person("Slow", Some("slow@customers.example"), "UTC")
        .await;
    let slow = app.confirmed(noon() + hours(24)).await;
    run_for(&app, "30s", 0).await.summary();
    run_for(&app, "30s", 1).await.summary();
    assert_eq!(app.reminders(good).await, ["24h completed"]);
    assert_eq!(app.reminders(slow).await, ["24h pending contacts"]);
}

/// The most memory that a process has had, in MiB.
pub fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

#[tokio::test]
async fn long_texts_are_cut_before_they_are_read() {
    let app = App::new().await;
    app.sql(
        "UPDATE services SET title = repeat('Massage ', 600000)",
        &[],
    )
    .await;
    for _ in 0..30 {
        app.confirmed(noon() + hours(24)).await;
    }
    let place = "UPDATE bookings SET location = repeat('x', 2000000)";
    app.sql(place, &[]).await;
    let (pid, peak) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU64::new(0)));
    let (of, most) = (pid.clone(), peak.clone());
    app.ses.answer(move |_| {
        most.fetch_max(peak_memory(of.load(Ordering::SeqCst)), Ordering::SeqCst);
        Answer::Sent
    });
    let as_of = noon().to_rfc3339();
    let mut command = app.command(&["run", "--as-of", &as_of]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    pid.store(child.id().unwrap(), Ordering::SeqCst);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success());
    assert_eq!(app.ses.mails().len(), 30);
    assert!(app.ses.mails()[0].subject().len() < 400);
    let peak = peak.load(Ordering::SeqCst);
    assert!((1..128).contains(&peak), "{peak} MiB");
}

#[tokio::test]
async fn what_was_refused_before_waits_behind_what_was_not() {
    let app = App::new().await;
    for _ in 0..12 {
        let id = app.confirmed(noon() - hours(1)).await;
        let refused = "INSERT INTO booking_automation_events (booking_id, event_type, event_data, scheduled_at, executed_at, status, next_attempt_at)
                       VALUES ($1, 'status_update', '{\"from\": \"confirmed\", \"to\": \"in_progress\"}', $2, $2, 'failed', $2)";
        app.sql(refused, &[&id, &(noon() - minutes(5))]).await;
    }
    let slow = format!("NEW.scheduled_at < '{}'", noon().to_rfc3339());
    create_before_update_trigger(&app, &slow, "PERFORM pg_sleep(30)").await;
    let new = app.confirmed(noon()).await;
    // There is no time to try even half of the slow ones.
    run_for(&app, "8s", 0).await.summary();
    assert_eq!(app.status(new).await, "in_progress");
}

#[tokio::test]
async fn bookings_that_fail_alike_while_others_go_on_are_set_aside_longer_and_longer() {
    let app = App::new().await;
    let bad = [app.confirmed(noon()).await, app.confirmed(noon()).await];
    let body = "RAISE EXCEPTION 'refused'";
    let condition = format!("NEW.id IN ('{}', '{}')", bad[0], bad[1]);
    create_before_update_trigger(&app, &condition, body).await;
    // Nothing else is due yet: the step may be at fault.
    app.run(noon()).await;
    assert_eq!(refusals(&app, bad[0]).await, ["P0001: refused 00:00:00"]);
    // Another one starts: it is these two, in whatever company they are tried from then on.
    app.confirmed(noon() + minutes(1)).await;
    for minute in 1..=10 {
        app.run(noon() + minutes(minute)).await;
    }
    for id in bad {
        let waits = ["00:00:00", "00:01:00", "00:02:00", "00:04:00", "00:08:00"];
        assert_eq!(
            refusals(&app, id).await,
            waits.map(|wait| format!("P0001: refused {wait}"))
        );
    }
}

#[tokio::test]
async fn a_function_of_the_owner_that_fails_for_one_booking_delays_only_that_booking() {
    let app = App::new().await;
    let start = |minute| noon() + minutes(minute);
    let (bad, good) = (app.confirmed(start(0)).await, app.confirmed(start(0)).await);
    let (bad_later, good_later) = (
        app.confirmed(start(24 * 60 + 1)).await,
        app.confirmed(start(24 * 60 + 1)).await,
    );
    let not_live = app.confirmed(start(0)).await;
    app.db
        .batch_execute(&format!(
            "CREATE OR REPLACE FUNCTION booking_automation_is_live(booking bookings) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
                 IF booking.id IN ('{bad}', '{bad_later}') THEN RAISE EXCEPTION 'cannot tell' USING ERRCODE = 'XX000'; END IF;
                 RETURN booking.id <> '{not_live}'; END $$"
        ))
        .await
        .unwrap();
    let summary = app.run(start(0)).await;
    assert_eq!(summary["transitions"]["started"], 1, "{summary}");
    assert_eq!(
        refusals(&app, bad).await,
        ["XX000: cannot tell 00:01:00"],
        "{summary}"
    );
    assert_eq!(app.status(good).await, "in_progress");
    assert_eq!(app.status(not_live).await, "confirmed");
    // The decision on the reminder comes from the sweep.
    for minute in 1..=3 {
        app.run(start(minute)).await;
    }
    assert_eq!(app.reminders(good_later).await, ["24h completed"]);
    assert_eq!(app.reminders(bad_later).await, [""; 0]);
    // It can tell again.
    app.sql("CREATE OR REPLACE FUNCTION booking_automation_is_live(booking bookings) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN true; END $$", &[])
        .await;
    for minute in [4, 70, 71] {
        app.run(start(minute)).await;
    }
    assert_eq!(app.status(bad).await, "completed");
    assert_eq!(app.reminders(bad_later).await, ["24h completed"]);
}

#[tokio::test]
async fn a_function_that_fails_behind_many_bookings_that_are_not_live_stops_no_pass() {
    let app = App::new().await;
    app.db
        .batch_execute(
            "INSERT INTO bookings (status, scheduled_at, duration_minutes, total_price)
             SELECT 'confirmed', '2026-03-01 11:00Z'::timestamptz - n * interval '1 second', 600, 13 FROM generate_series(1, 700) AS n",
        )
        .await
        .unwrap();
    let (bad, good) = (
        app.confirmed(noon() - minutes(1)).await,
        app.confirmed(noon()).await,
    );
    app.db
        .batch_execute(&format!(
            "CREATE OR REPLACE FUNCTION booking_automation_is_live(booking bookings) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
                 IF booking.id = '{bad}' THEN RAISE EXCEPTION 'cannot tell' USING ERRCODE = 'XX000'; END IF;
                 RETURN booking.total_price IS DISTINCT FROM 13; END $$"
        ))
        .await
        .unwrap();
    let summary = app.run(noon()).await;
    assert_eq!(summary["transitions"]["started"], 1, "{summary}");
    assert_eq!(app.status(good).await, "in_progress");
    assert_eq!(refusals(&app, bad).await, ["XX000: cannot tell 00:01:00"]);
    // With the next hour the others are behind a mark, whatever is the matter with this one.
    let good = app.confirmed(noon() + minutes(25 * 60)).await;
    for minute in [25 * 60, 26 * 60, 26 * 60 + 1] {
        app.run(noon() + minutes(minute)).await;
    }
    assert_eq!(app.status(good).await, "completed");
    let marks = "SELECT count(*) FROM booking_automation_not_live WHERE status = 'confirmed'";
    assert_eq!(app.one(marks, &[]).await.get::<_, i64>(0), 1);
}
