//! The hourly sweep of all bookings, in parts.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::app::{App, hours, minutes, noon};

/// Creates confirmed bookings past the triggers, a minute apart, whose 24-hour reminder is due.
async fn add_untracked(app: &App, count: i32) -> Vec<String> {
    let sql = format!(
        "INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, created_at)
         SELECT '{}', '{}', '{}', 'confirmed', '{}'::timestamptz + n * interval '1 minute', '2026-01-01'
           FROM generate_series(1, {count}) AS n",
        app.customer,
        app.provider,
        app.service,
        noon() + hours(20)
    );
    app.sql_without_triggers(&sql).await;
    let ids = "SELECT id::text FROM bookings ORDER BY scheduled_at";
    app.column(ids, &[]).await
}

/// The owner's function fails as a statement does that takes too long, if a transaction asks it about
/// more than `most` bookings; and always about the booking `bad`.
async fn limit_liveness(app: &App, most: i32, bad: Uuid) {
    app.db
        .batch_execute(&format!(
            "CREATE OR REPLACE FUNCTION booking_automation_is_live(booking bookings) RETURNS boolean LANGUAGE plpgsql AS $$
             DECLARE asked integer := coalesce(nullif(current_setting('tests.asked', true), ''), '0')::integer + 1;
             BEGIN
                 IF booking.id = '{bad}' THEN
                     RAISE EXCEPTION 'no';
                 ELSIF asked > {most} THEN
                     RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = 'query_canceled';
                 END IF;
                 PERFORM set_config('tests.asked', asked::text, true);
                 RETURN true;
             END $$"
        ))
        .await
        .unwrap();
}

/// The owner's function takes this time, in seconds, for each booking.
async fn slow_liveness(app: &App, seconds: f64) {
    app.db
        .batch_execute(&format!(
            "CREATE OR REPLACE FUNCTION booking_automation_is_live(booking bookings) RETURNS boolean LANGUAGE plpgsql AS $$
             BEGIN
                 PERFORM pg_sleep({seconds});
                 RETURN true;
             END $$"
        ))
        .await
        .unwrap();
}

/// Runs passes, a minute apart, until no sweep is under way. Returns their logs.
async fn run_until_swept(app: &App, from: DateTime<Utc>) -> String {
    let mut logs = String::new();
    for minute in 0..50 {
        let at = (from + minutes(minute)).to_rfc3339();
        let said = app.call(&["run", "--as-of", &at]).await;
        assert!(said.success, "{}", said.stderr);
        logs += &said.stderr;
        if sweep_under_way(app).await.is_empty() {
            return logs;
        }
    }
    panic!("the sweep does not end: {logs}");
}

/// How many bookings have reminders that were not skipped.
async fn bookings_with_reminders(app: &App) -> i64 {
    let sql = "SELECT count(DISTINCT booking_id) FROM booking_automation_events
                WHERE event_type = 'reminder_sent' AND status IN ('pending', 'completed')";
    app.one(sql, &[]).await.get(0)
}

/// How many bookings have reminders, by the reminder's status.
async fn reminders_by_status(app: &App) -> Vec<String> {
    let sql =
        "SELECT concat_ws(' ', status, count(DISTINCT booking_id)) FROM booking_automation_events
                WHERE event_type = 'reminder_sent' GROUP BY status ORDER BY status";
    app.column(sql, &[]).await
}

/// The sweep that is under way, if there is one.
async fn sweep_under_way(app: &App) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', starts_at = '-infinity', size) FROM booking_automation_sweep";
    app.column(sql, &[]).await
}

#[tokio::test]
async fn a_sweep_that_takes_too_long_goes_on_with_smaller_parts() {
    let app = App::new().await;
    app.run(noon()).await;
    add_untracked(&app, 40).await;
    limit_liveness(&app, 10, Uuid::nil()).await;
    let logs = run_until_swept(&app, noon() + minutes(7)).await;
    assert_eq!(bookings_with_reminders(&app).await, 40, "{logs}");
}

#[tokio::test]
async fn a_booking_that_fails_in_the_sweep_is_left_out_and_does_not_stop_the_others() {
    let app = App::new().await;
    app.run(noon()).await;
    let ids = add_untracked(&app, 40).await;
    let bad: Uuid = ids[17].parse().unwrap();
    limit_liveness(&app, 1000, bad).await;
    let logs = run_until_swept(&app, noon() + minutes(7)).await;
    assert_eq!(bookings_with_reminders(&app).await, 39, "{logs}");
    let left_out = format!(
        "this booking is left out of the sweep; the next sweep tries again booking.id={bad}"
    );
    assert_eq!(logs.matches(&left_out).count(), 1, "{logs}");
    // The next hour's sweep finds it.
    limit_liveness(&app, 1000, Uuid::nil()).await;
    run_until_swept(&app, noon() + minutes(67)).await;
    assert_eq!(bookings_with_reminders(&app).await, 40);
}

/// Says that a sweep has examined the bookings up to a start, and the booking of this id.
async fn sweep_came_to(app: &App, starts_at: DateTime<Utc>, id: &str) {
    let sql = format!("INSERT INTO booking_automation_sweep VALUES (true, $1, '{id}', 1000)");
    app.sql(&sql, &[&starts_at]).await;
}

#[tokio::test]
async fn the_next_call_goes_on_with_a_sweep_where_it_came_to() {
    let app = App::new().await;
    app.run(noon()).await;
    let ids = add_untracked(&app, 9).await;
    sweep_came_to(&app, noon() + hours(20) + minutes(4), &ids[3]).await;
    // No hour begins with this pass.
    app.run(noon() + minutes(1)).await;
    assert_eq!(reminders_by_status(&app).await, ["pending 5"]);
    let found = "SELECT b.id::text FROM bookings b WHERE EXISTS (
                     SELECT FROM booking_automation_events e WHERE e.booking_id = b.id)
                  ORDER BY scheduled_at";
    assert_eq!(app.column(found, &[]).await, ids[4..]);
    assert!(sweep_under_way(&app).await.is_empty(), "it is complete");
    // The next hour begins a new one, with the others.
    app.run(noon() + minutes(7)).await;
    assert_eq!(
        reminders_by_status(&app).await,
        ["completed 5", "pending 4"]
    );
}

#[tokio::test]
async fn a_new_hour_does_not_begin_a_sweep_anew_that_is_under_way() {
    let app = App::new().await;
    app.run(noon()).await;
    let ids = add_untracked(&app, 9).await;
    sweep_came_to(&app, noon() + hours(20) + minutes(4), &ids[3]).await;
    app.run(noon() + minutes(7)).await;
    assert_eq!(reminders_by_status(&app).await, ["pending 5"]);
}

#[tokio::test]
async fn what_a_pass_missed_is_in_force_since_it_was_created() {
    let app = App::new().await;
    app.run(noon()).await;
    let sql = format!(
        "UPDATE bookings SET scheduled_at = '{}'",
        noon() + hours(10)
    );
    add_untracked(&app, 3).await;
    app.sql_without_triggers(&sql).await;
    run_until_swept(&app, noon() + minutes(7)).await;
    // Otherwise they would be booked late: less than two thirds of the lead are left.
    assert_eq!(bookings_with_reminders(&app).await, 3);
}

#[tokio::test]
async fn a_sweep_divides_bookings_with_the_same_start() {
    let app = App::new().await;
    app.run(noon()).await;
    add_untracked(&app, 9).await;
    let same = format!(
        "UPDATE bookings SET scheduled_at = '{}'",
        noon() + hours(20)
    );
    app.sql_without_triggers(&same).await;
    sweep_came_to(&app, noon() - hours(1), &Uuid::nil().to_string()).await;
    app.sql("UPDATE booking_automation_sweep SET size = 2", &[])
        .await;
    run_until_swept(&app, noon() + minutes(1)).await;
    assert_eq!(bookings_with_reminders(&app).await, 9);
}

#[tokio::test]
async fn a_pass_that_cannot_look_at_everything_leaves_it_to_a_sweep() {
    let app = App::new().await;
    add_untracked(&app, 40).await;
    limit_liveness(&app, 10, Uuid::nil()).await;
    // The first pass looks at everything, and so does the first one after the rules changed.
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert!(said.success, "{}", said.stderr);
    assert_eq!(reminders_by_status(&app).await, ["pending 40"]);
    app.run(noon() + minutes(1)).await;
    assert_eq!(reminders_by_status(&app).await, ["completed 40"]);

    app.sql(
        "INSERT INTO reminder_rules (name, lead, audience) VALUES ('21h', '21 hours', 'provider')",
        &[],
    )
    .await;
    app.sql(
        "UPDATE reminder_rules SET effective_from = '2020-01-01'",
        &[],
    )
    .await;
    // A sweep that is under way begins again: it may have come past what the new rule makes due.
    sweep_came_to(
        &app,
        noon() + hours(20) + minutes(20),
        &Uuid::nil().to_string(),
    )
    .await;
    app.run(noon() + minutes(2)).await;
    assert_eq!(
        reminders_by_status(&app).await,
        ["completed 40", "pending 40"]
    );
}

#[tokio::test]
async fn a_pass_after_an_outage_leaves_to_a_sweep_what_is_too_much_for_it() {
    let app = App::new().await;
    app.run(noon() - hours(5)).await;
    add_untracked(&app, 40).await;
    let tracked = app.confirmed(noon() + hours(22)).await;
    limit_liveness(&app, 10, Uuid::nil()).await;
    let said = app
        .call(&["run", "--as-of", &(noon() + minutes(1)).to_rfc3339()])
        .await;
    assert!(said.success, "{}", said.stderr);
    // The recheck queue does not wait for the sweep.
    assert_eq!(app.reminders(tracked).await, ["24h completed"]);
    assert_eq!(
        reminders_by_status(&app).await,
        ["completed 1", "pending 40"]
    );
}

#[tokio::test]
async fn a_pass_without_a_sweep_fails_where_its_decisions_take_too_long() {
    let app = App::new().await;
    app.run(noon() - minutes(1)).await;
    let booking = app.confirmed(noon() + hours(24)).await;
    app.db
        .batch_execute(
            // As before the last step of 0.3.0.
            "DROP TABLE booking_automation_state_changes, booking_automation_notices, booking_automation_preferences,
                 booking_automation_push_tokens, booking_automation_soft_bounces, booking_automation_sms_replies;
             CREATE FUNCTION cancel() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = 'query_canceled'; END $$;
             CREATE TRIGGER cancel BEFORE INSERT ON booking_automation_events FOR EACH ROW
                 WHEN (NEW.event_type = 'reminder_sent') EXECUTE FUNCTION cancel()",
        )
        .await
        .unwrap();
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert!(!said.success, "{}", said.stderr);
    app.sql("DROP TRIGGER cancel ON booking_automation_events", &[])
        .await;
    app.run(noon() + minutes(1)).await;
    assert_eq!(app.reminders(booking).await, ["24h completed"]);
}

/// Creates past bookings of a person who is gone, a minute apart, in both statuses that time changes.
async fn add_past_bookings_of(app: &App, gone: Uuid, count: i32) {
    let sql = format!(
        "INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes)
         SELECT '{gone}', '{}', '{}', status, '{}'::timestamptz + n * interval '1 minute', 60
           FROM generate_series(1, {count}) AS n, unnest(ARRAY['confirmed', 'in_progress']) AS status",
        app.provider,
        app.service,
        noon() - hours(200)
    );
    app.sql_without_triggers(&sql).await;
}

/// The owner's function says that this person's bookings are not live. In statements that contain
/// `of`, it fails as a statement does that takes too long, if a transaction asks it more than 200
/// times.
async fn limit_liveness_of(app: &App, gone: Uuid, of: &str) {
    app.db
        .batch_execute(&format!(
            "CREATE OR REPLACE FUNCTION booking_automation_is_live(booking bookings) RETURNS boolean LANGUAGE plpgsql AS $$
             DECLARE asked integer := coalesce(nullif(current_setting('tests.asked', true), ''), '0')::integer + 1;
             BEGIN
                 IF current_query() LIKE '%{of}%' THEN
                     IF asked > 200 THEN
                         RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = 'query_canceled';
                     END IF;
                     PERFORM set_config('tests.asked', asked::text, true);
                 END IF;
                 RETURN booking.customer_id IS DISTINCT FROM '{gone}';
             END $$"
        ))
        .await
        .unwrap();
}

/// The statuses with a mark that covers all past bookings, and was made at this time.
async fn complete_marks(app: &App, looked_at: DateTime<Utc>) -> Vec<String> {
    let sql = "SELECT status FROM booking_automation_not_live
                WHERE looked_at = $1 AND before > (SELECT max(scheduled_at) + interval '1 hour' FROM bookings)
                ORDER BY status";
    app.column(sql, &[&looked_at]).await
}

#[tokio::test]
async fn marks_that_take_too_long_are_set_in_smaller_parts() {
    let app = App::new().await;
    let gone = app.person("Gerda Gone", None, "UTC").await;
    add_past_bookings_of(&app, gone, 400).await;
    limit_liveness_of(&app, gone, "INTO public.booking_automation_not_live").await;
    app.run(noon()).await;
    app.run(noon() + minutes(8)).await;
    assert_eq!(
        complete_marks(&app, noon() + minutes(8)).await,
        ["confirmed", "in_progress"]
    );
}

#[tokio::test]
async fn a_pass_that_reads_too_many_bookings_that_are_not_live_is_followed_by_marks() {
    let app = App::new().await;
    let gone = app.person("Gerda Gone", None, "UTC").await;
    add_past_bookings_of(&app, gone, 400).await;
    limit_liveness_of(&app, gone, "").await;
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert!(!said.success, "{}", said.stderr);
    assert_eq!(
        complete_marks(&app, noon()).await,
        ["confirmed", "in_progress"]
    );
    let due = app.confirmed(noon() + minutes(1)).await;
    app.run(noon() + minutes(1)).await;
    assert_eq!(app.status(due).await, "in_progress");
}

#[tokio::test]
async fn marks_begin_again_with_each_hour() {
    let app = App::new().await;
    let gone = app.person("Gerda Gone", None, "UTC").await;
    add_past_bookings_of(&app, gone, 200).await;
    app.db
        .batch_execute(&format!(
            "CREATE OR REPLACE FUNCTION booking_automation_is_live(booking bookings) RETURNS boolean LANGUAGE sql
             RETURN booking.customer_id IS DISTINCT FROM '{gone}'"
        ))
        .await
        .unwrap();
    app.run(noon()).await;
    app.run(noon() + minutes(8)).await;
    // One behind the mark becomes live again, and is found by the next hour's mark.
    let first = "UPDATE bookings SET customer_id = $1
                  WHERE id = (SELECT id FROM bookings WHERE status = 'confirmed' ORDER BY scheduled_at LIMIT 1)
              RETURNING id";
    let restored: Uuid = app.one(first, &[&app.customer]).await.get(0);
    app.run(noon() + minutes(9)).await;
    assert_eq!(app.status(restored).await, "confirmed");
    app.run(noon() + minutes(68)).await;
    app.run(noon() + minutes(69)).await;
    assert_eq!(app.status(restored).await, "expired");
}

/// What `check` prints about the sweep.
async fn checked_sweep(app: &App) -> String {
    let said = app.call(&["check"]).await;
    let lines: Vec<_> = said
        .stdout
        .lines()
        .filter(|line| line.contains(" sweep "))
        .collect();
    lines.join("\n")
}

#[tokio::test]
async fn the_sweep_asks_about_live_bookings_only_where_a_pass_missed_something() {
    let app = App::new().await;
    app.run(noon()).await;
    add_untracked(&app, 40).await;
    run_until_swept(&app, noon() + minutes(7)).await;
    assert_eq!(bookings_with_reminders(&app).await, 40);
    // All have their decisions and are sent, and one was moved past the triggers.
    app.run(noon() + minutes(60)).await;
    app.sql_without_triggers(&format!(
        "UPDATE bookings SET scheduled_at = '{}' WHERE id = (SELECT id FROM bookings ORDER BY scheduled_at LIMIT 1)",
        noon() + hours(21)
    ))
    .await;
    app.db
        .batch_execute(
            "CREATE TABLE asked (booking_id uuid);
             GRANT INSERT ON asked TO PUBLIC;
             CREATE OR REPLACE FUNCTION booking_automation_is_live(booking bookings) RETURNS boolean LANGUAGE plpgsql AS $$
             BEGIN
                 INSERT INTO public.asked VALUES (booking.id);
                 RETURN true;
             END $$",
        )
        .await
        .unwrap();
    let logs = run_until_swept(&app, noon() + minutes(67)).await;
    let asked = "SELECT DISTINCT booking_id::text FROM asked";
    let moved = format!(
        "SELECT id::text FROM bookings WHERE scheduled_at = '{}'",
        noon() + hours(21)
    );
    let (asked, moved) = (app.column(asked, &[]).await, app.column(&moved, &[]).await);
    assert_eq!(asked, moved, "{logs}");
}

#[tokio::test]
async fn a_sweep_that_passes_left_decisions_to_has_more_time_in_a_call() {
    let app = App::new().await;
    app.run(noon()).await;
    add_untracked(&app, 200).await;
    // Each part takes longer than a sweep has in one call.
    slow_liveness(&app, 0.01).await;
    for (catches_up, parts) in [(false, 1), (true, 2)] {
        let sql = format!(
            "DELETE FROM booking_automation_events;
             DELETE FROM booking_automation_sweep;
             INSERT INTO booking_automation_sweep (starts_at, booking_id, size, catches_up)
             VALUES ('-infinity', '00000000-0000-0000-0000-000000000000', 30, {catches_up})"
        );
        app.db.batch_execute(&sql).await.unwrap();
        app.call(&["run", "--as-of", &(noon() + minutes(1)).to_rfc3339()])
            .await;
        // Each part takes 300 ms, or half as many bookings are in the next one.
        let examined = bookings_with_reminders(&app).await;
        assert!(examined > 30 * (parts - 1), "{catches_up}: {examined}");
        assert!(catches_up || examined <= 30, "{examined}");
    }
}

#[tokio::test]
async fn check_says_how_many_calls_a_sweep_takes() {
    let app = App::new().await;
    // By the real clock.
    for hours in [1, 2, 30] {
        let sql = format!(
            "INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at)
             VALUES ('{}', '{}', '{}', 'confirmed', now() + interval '{hours} hours')",
            app.customer, app.provider, app.service
        );
        app.sql_without_triggers(&sql).await;
    }
    assert_eq!(
        checked_sweep(&app).await,
        "ok       sweep       the sweep, which looks at every confirmed booking within the longest lead, takes one call for 2 bookings"
    );
}

#[tokio::test]
async fn a_sweep_that_takes_longer_than_an_hour_is_followed_by_the_next_at_once() {
    let app = App::new().await;
    app.run(noon()).await;
    let ids = add_untracked(&app, 9).await;
    let begun = format!(
        "INSERT INTO booking_automation_sweep (starts_at, booking_id, size, begun_at)
         VALUES ('{}', '{}', 1000, '{}')",
        noon() + hours(20) + minutes(4),
        ids[3],
        noon() - hours(1)
    );
    app.db.batch_execute(&begun).await.unwrap();
    // No hour begins with this pass: one has begun since the sweep.
    run_until_swept(&app, noon() + minutes(1)).await;
    assert_eq!(bookings_with_reminders(&app).await, 9);
}

#[tokio::test]
async fn a_pass_before_the_last_steps_leaves_to_a_sweep_what_is_too_much_for_it() {
    let app = App::new().await;
    app.db
        .batch_execute("ALTER TABLE booking_automation_sweep DROP catches_up, DROP begun_at")
        .await
        .unwrap();
    add_untracked(&app, 40).await;
    limit_liveness(&app, 10, Uuid::nil()).await;
    run_until_swept(&app, noon()).await;
    assert_eq!(bookings_with_reminders(&app).await, 40);
}

#[tokio::test]
async fn a_part_with_much_to_decide_ends_in_a_second() {
    let app = App::new().await;
    app.run(noon()).await;
    add_untracked(&app, 40).await;
    slow_liveness(&app, 0.05).await;
    let logs = run_until_swept(&app, noon() + minutes(7)).await;
    assert_eq!(bookings_with_reminders(&app).await, 40);
    let too_slow = "a part of the sweep failed; the next one is smaller";
    assert!(logs.contains(too_slow), "{logs}");
}
