//! `uninstall`: nothing of ours is left, what is theirs stays, and `migrate` installs again.

use serde_json::Value;

use crate::app::{App, CommandOutput, connect, grant_documented_rights, hours, minutes, noon};

const THEIRS: &str = include_str!("theirs.sql");

/// Everything in `public` that has a name of ours, or calls a function of ours.
const LEFT: &str = "
    SELECT line FROM (
        SELECT concat('relation ', relname) AS line, relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT concat('function ', proname), proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT concat('type ', typname), typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
        UNION ALL SELECT concat('trigger ', tgname), tgname FROM pg_trigger
        UNION ALL SELECT concat('constraint ', conname), conname FROM pg_constraint
    ) AS named
    WHERE name ~ 'booking_automation|reminder_rules|automation_runs|^booking_end$' ORDER BY 1";

const COLUMNS: &str = "SELECT attname::text FROM pg_attribute
    WHERE attrelid = 'bookings'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum";

async fn uninstall(app: &App, arguments: &[&str]) -> CommandOutput {
    let said = app
        .call(&[&["uninstall", "--yes"], arguments].concat())
        .await;
    assert!(said.success, "{}", said.stderr);
    said
}

fn names(said: &CommandOutput, what: &str) -> Vec<String> {
    let answer: Value = serde_json::from_str(&said.stdout).unwrap();
    let list = answer[what].as_array().unwrap().iter();
    list.map(|it| it["name"].as_str().or(it.as_str()).unwrap().to_owned())
        .collect()
}

async fn migrate(app: &App) {
    let said = app.call(&["migrate"]).await;
    assert!(said.success, "{}", said.stderr);
    let old = "UPDATE reminder_rules SET effective_from = '2020-01-01'";
    app.sql(old, &[]).await;
    grant_documented_rights(&app.db).await;
}

/// A booking is reminded, started and completed.
async fn a_day_passes(app: &App) {
    let booking = app.confirmed(noon() + hours(24)).await;
    assert_eq!(app.run(noon()).await["reminders"]["sent"], 1);
    app.run(noon() + hours(24)).await;
    assert_eq!(app.status(booking).await, "in_progress");
    app.run(noon() + hours(25) + minutes(1)).await;
    assert_eq!(app.status(booking).await, "completed");
    app.sql("DELETE FROM bookings WHERE id = $1", &[&booking])
        .await;
}

#[tokio::test]
async fn after_uninstall_nothing_of_ours_is_left_and_migrate_installs_again() {
    let app = App::new().await;
    a_day_passes(&app).await;
    let said = uninstall(&app, &["--columns"]).await;
    assert_eq!(app.column(LEFT, &[]).await, Vec::<String>::new());
    let columns = app.column(COLUMNS, &[]).await;
    // The base table has `completed_at` itself.
    assert!(columns.contains(&"completed_at".to_owned()), "{columns:?}");
    for ours in [
        "automation_logs",
        "reminder_1h_sent",
        "auto_complete_blocked",
    ] {
        assert!(!columns.contains(&ours.to_owned()), "{columns:?}");
    }
    assert!(names(&said, "dropped").len() > 40, "{}", said.stdout);

    // Their statements leave no trace, and a pass says what is missing.
    let booking = app.booking("confirmed", noon() + hours(24)).await;
    app.sql(
        "UPDATE bookings SET status = 'paid' WHERE id = $1",
        &[&booking],
    )
    .await;
    assert_eq!(app.column(LEFT, &[]).await, Vec::<String>::new());
    let pass = app.call(&["run"]).await;
    assert!(
        !pass.success
            && pass
                .stderr
                .contains("run `booking-automation migrate` first")
    );

    let again = uninstall(&app, &["--columns"]).await;
    assert!(
        again.stderr.contains("nothing to uninstall"),
        "{}",
        again.stderr
    );
    assert_eq!(names(&again, "dropped"), Vec::<String>::new());

    migrate(&app).await;
    a_day_passes(&app).await;
    uninstall(&app, &[]).await;
    assert_eq!(app.column(LEFT, &[]).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_kept_trail_stays_protected_and_goes_on_after_a_new_migrate() {
    let app = App::new().await;
    let moved = app.confirmed(noon() + hours(24)).await;
    app.sql(
        "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
        &[&moved, &(noon() + hours(25))],
    )
    .await;
    app.run(noon() + hours(1)).await;
    assert_eq!(app.reminders(moved).await, ["24h completed"]);
    let trail = "SELECT to_jsonb(e)::text FROM booking_automation_events e ORDER BY seq";
    let before = app.column(trail, &[]).await;

    let said = uninstall(&app, &["--keep-trail"]).await;
    assert_eq!(app.column(trail, &[]).await, before);
    assert!(names(&said, "kept").contains(&"table booking_automation_events".to_owned()));
    for forbidden in [
        "UPDATE booking_automation_events SET reason = 'x'",
        "DELETE FROM booking_automation_events",
        "TRUNCATE booking_automation_events",
        "DELETE FROM booking_automation_erasures",
    ] {
        let error = app.db.batch_execute(forbidden).await.unwrap_err();
        assert_eq!(
            error.code().unwrap().code(),
            "23001",
            "{forbidden}: {error:?}"
        );
    }
    // The triggers of the trail find all that they call.
    let erasure = "INSERT INTO booking_automation_erasures (kind, person_id) VALUES ('person', gen_random_uuid())";
    app.sql(erasure, &[]).await;
    let again = uninstall(&app, &["--keep-trail"]).await;
    assert!(
        again.stderr.contains("nothing to uninstall"),
        "{}",
        again.stderr
    );

    // Moved while nothing of ours ran: it is reminded for the new start, under a new revision.
    app.sql(
        "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
        &[&moved, &(noon() + hours(49))],
    )
    .await;
    assert_eq!(app.column(trail, &[]).await, before);
    migrate(&app).await;
    // The hourly sweep finds it.
    for hour in [22, 24, 25, 26] {
        app.run(noon() + hours(hour)).await;
    }
    assert_eq!(
        app.reminders(moved).await,
        ["24h completed", "24h completed"]
    );
    app.sql("DELETE FROM bookings", &[]).await;
    a_day_passes(&app).await;

    uninstall(&app, &[]).await;
    assert_eq!(app.column(LEFT, &[]).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_theirs_stays() {
    let app = App::empty().await;
    app.db.batch_execute(THEIRS).await.unwrap();
    app.db
        .batch_execute("CREATE TABLE reminder_rules (
             name text NOT NULL, audience text NOT NULL DEFAULT 'customer', lead interval NOT NULL, channels text[] NOT NULL DEFAULT '{email}',
             active boolean NOT NULL DEFAULT true, effective_from timestamptz NOT NULL DEFAULT now(),
             created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (name, audience))")
        .await
        .unwrap();
    let before = app.column(COLUMNS, &[]).await;
    migrate(&app).await;
    app.db
        .batch_execute(
            "CREATE VIEW theirs AS SELECT id, status FROM booking_automation_events;
             ALTER TABLE bookings RENAME automation_logs TO logs; ALTER TABLE bookings ADD automation_logs jsonb;
             CREATE OR REPLACE VIEW booking_automation_contacts AS
                 SELECT b.id AS booking_id, 'customer'::text AS audience, 'a@example.com'::text AS email, NULL::text AS name, NULL::text AS timezone,
                        NULL::text AS language, NULL::text AS service, NULL::text AS with_name, NULL::text AS place, NULL::text AS meeting_link,
                        false AS is_online, NULL::text AS place_timezone FROM bookings b",
        )
        .await
        .unwrap();
    let said = uninstall(&app, &["--columns"]).await;
    let left: Vec<_> = app.column(LEFT, &[]).await;
    let left = |name: &str| left.iter().any(|it| it == name);
    assert!(
        left("relation booking_automation_contacts"),
        "their view of the contacts"
    );
    assert!(left("relation reminder_rules") && !left("trigger booking_automation_effective_from"));
    assert!(
        left("relation booking_automation_events"),
        "their view reads it"
    );
    assert!(
        left("trigger booking_automation_keep_updated"),
        "so its trail stays protected"
    );
    assert!(
        !left("relation booking_automation_webhooks")
            && !left("trigger booking_automation_on_update")
    );
    assert!(
        said.stderr
            .contains("view public.theirs depends on table public.booking_automation_events"),
        "{}",
        said.stderr
    );
    // Columns that were there before, were renamed, or took the name of one of ours.
    let after = app.column(COLUMNS, &[]).await;
    assert_eq!(
        after,
        [
            before,
            vec!["logs".to_owned(), "automation_logs".to_owned()]
        ]
        .concat()
    );

    app.sql("DROP VIEW theirs", &[]).await;
    uninstall(&app, &["--columns"]).await;
    let left = app.column(LEFT, &[]).await;
    let theirs = ["booking_automation_contacts", "reminder_rules"];
    let is_theirs = |it: &&String| theirs.iter().any(|name| it.contains(name));
    assert_eq!(
        left.iter().filter(|it| !is_theirs(it)).count(),
        0,
        "{left:?}"
    );
    migrate(&app).await;
}

#[tokio::test]
async fn without_a_record_no_column_is_dropped() {
    let app = App::new().await;
    let before = app.column(COLUMNS, &[]).await;
    // As an earlier version left it.
    app.sql(
        "ALTER TABLE booking_automation_migrations DROP COLUMN created",
        &[],
    )
    .await;
    let said = uninstall(&app, &["--columns"]).await;
    assert_eq!(app.column(COLUMNS, &[]).await, before);
    assert_eq!(app.column(LEFT, &[]).await, Vec::<String>::new());
    let by_hand = "ALTER TABLE public.bookings DROP COLUMN IF EXISTS automation_logs";
    assert!(said.stderr.contains(by_hand), "{}", said.stderr);
}

#[tokio::test]
async fn without_confirmation_nothing_is_changed() {
    let app = App::new().await;
    let before = app.column(LEFT, &[]).await;
    let said = app.call(&["uninstall"]).await;
    assert!(
        !said.success && said.stderr.contains("confirm with --yes"),
        "{}",
        said.stderr
    );
    assert!(
        said.stderr
            .contains("will be dropped: trigger booking_automation_on_update on bookings"),
        "{}",
        said.stderr
    );
    assert_eq!(app.column(LEFT, &[]).await, before);
}

#[tokio::test]
async fn uninstall_waits_for_a_pass_and_for_writers_and_delays_nobody() {
    let app = App::new().await;
    let booking = app.confirmed(noon() + hours(24)).await;
    let (pass, writer) = (connect(&app.url).await, connect(&app.url).await);
    let lock = format!(
        "BEGIN; SELECT pg_advisory_xact_lock({})",
        0x626b_6175_746f_0001_i64
    );
    pass.batch_execute(&lock).await.unwrap();
    writer
        .batch_execute(&format!(
            "SET application_name = 'nightly_export'; BEGIN; UPDATE bookings SET total_price = 1 WHERE id = '{booking}'"
        ))
        .await
        .unwrap();
    let uninstall = tokio::spawn(app.command(&["uninstall", "--yes"]).output());
    let waits_for_pass =
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    app.wait_until(waits_for_pass).await;
    pass.batch_execute("COMMIT").await.unwrap();
    let waits_for_writer = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'bookings'::regclass AND NOT granted)";
    app.wait_until(waits_for_writer).await;
    app.wait_until(&waits_for_writer.replace("SELECT EXISTS", "SELECT NOT EXISTS"))
        .await;
    writer.batch_execute("COMMIT").await.unwrap();
    assert!(uninstall.await.unwrap().unwrap().status.success());
    assert_eq!(app.column(LEFT, &[]).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_interrupted_uninstall_continues_and_migrate_repairs_after_it() {
    let app = App::new().await;
    a_day_passes(&app).await;
    // The view on the table of feedback lets it stop half-way: a lock that it waits for, and a kill.
    let holder = connect(&app.url).await;
    holder
        .batch_execute("BEGIN; SELECT FROM booking_automation_feedback")
        .await
        .unwrap();
    let mut process = app.command(&["uninstall", "--yes"]).spawn().unwrap();
    app.wait_until("SELECT to_regclass('booking_automation_channels') IS NULL")
        .await;
    process.kill().await.unwrap();
    holder.batch_execute("COMMIT").await.unwrap();
    migrate(&app).await;
    a_day_passes(&app).await;
    uninstall(&app, &["--columns"]).await;
    assert_eq!(app.column(LEFT, &[]).await, Vec::<String>::new());
}
