//! What `migrate` tries before it changes anything: the pass's own changes, without and with the columns that it adds.

use std::time::{Duration, Instant};

use crate::app::{App, CommandOutput, noon, skipped};

/// The tables of a user before the first `migrate`, with a booking of each state.
const TABLES: &str = include_str!("../../migrations/01_base_tables.sql");
const BOOKINGS: &str = "
    INSERT INTO bookings (status, scheduled_at)
    SELECT status, now() + interval '1 day' FROM unnest(ARRAY['pending', 'confirmed', 'in_progress', 'completed']) AS status";

/// What a trial must leave as it was: the catalogue, and the rows of the user's tables.
const CATALOGUE: &str = "
    SELECT format('column %s.%s %s %s', attrelid::regclass, attname, atttypid, attisdropped) FROM pg_attribute
    UNION ALL SELECT format('relation %s %s %s %s', oid, relname, relkind, relnatts) FROM pg_class
    UNION ALL SELECT format('constraint %s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint
    ORDER BY 1";
const ROWS: &str =
    "SELECT format('%s', b) FROM bookings b UNION ALL SELECT format('%s', h) FROM history h
                    UNION ALL SELECT format('%s', a) FROM archive a ORDER BY 1";

/// A database of a user that has never been migrated: these tables, history and archive, and then this SQL.
async fn database_with(sql: &str) -> App {
    let app = App::empty().await;
    for sql in [
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        TABLES,
        BOOKINGS,
        "CREATE TABLE history (LIKE bookings); CREATE TABLE archive (LIKE bookings)",
        sql,
    ] {
        app.db
            .batch_execute(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    app
}

/// A trigger of the user with this body.
fn trigger(when: &str, body: &str) -> String {
    format!(
        "CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$;
         CREATE TRIGGER remember {when} UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION remember()"
    )
}

/// The user's own statement.
async fn theirs_works(app: &App) -> bool {
    let sql =
        "UPDATE bookings SET status = 'cancelled', cancelled_at = now() WHERE status = 'confirmed'";
    app.db.batch_execute(&format!("BEGIN; {sql}")).await.is_ok()
        & app.db.batch_execute("ROLLBACK").await.is_ok()
}

/// Calls `migrate`, which must refuse with all of these words and change nothing.
async fn assert_refused(app: &App, words: &[&str]) {
    let state = async || {
        [
            app.column(CATALOGUE, &[]).await,
            app.column(ROWS, &[]).await,
        ]
    };
    let before = state().await;
    let said = app.call(&["migrate"]).await;
    assert!(!said.success, "{words:?}: {}", said.stderr);
    for words in [
        words,
        &[
            "with the columns that migrate adds",
            "--no-columns",
            "--no-probe",
            "nothing was changed",
        ],
    ]
    .concat()
    {
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
    assert_eq!(state().await, before);
    assert!(theirs_works(app).await);
}

/// Calls `migrate`, which must succeed and say these words in a warning.
async fn assert_warned(app: &App, words: &[&str]) -> CommandOutput {
    let said = app.call(&["migrate"]).await;
    assert!(said.success, "{words:?}: {}", said.stderr);
    for words in words {
        assert!(
            said.stderr
                .lines()
                .any(|line| line.contains("WARN") && line.contains(words)),
            "{words}: {}",
            said.stderr
        );
    }
    said
}

#[tokio::test]
async fn what_copies_whole_rows_is_refused_with_the_servers_words_and_the_way_out() {
    for (sql, words) in [
        (
            trigger("AFTER", "INSERT INTO history SELECT old.*;"),
            "INSERT has more expressions than target columns, in the function remember()",
        ),
        (
            trigger(
                "BEFORE",
                "INSERT INTO archive SELECT * FROM bookings WHERE id = old.id;",
            ),
            "42601: INSERT has more expressions than target columns",
        ),
        (
            trigger(
                "AFTER",
                "PERFORM count(*) FROM (SELECT * FROM bookings UNION ALL SELECT * FROM archive) AS everything;",
            ),
            "each UNION query must have the same number of columns",
        ),
        (
            // Only a real change of the status comes here.
            trigger("AFTER", "INSERT INTO history VALUES (old.*);").replace(
                "EXECUTE",
                "WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE",
            ),
            "confirmed → in_progress",
        ),
        (
            // A row of 7 900 bytes as JSON; the new columns take about 200 more.
            format!(
                "UPDATE bookings SET location = repeat('x', 7900 - length(row_to_json(bookings)::text)); {}",
                trigger("AFTER", "PERFORM pg_notify('bookings', row_to_json(new)::text);")
            ),
            "22023: payload string too long",
        ),
        (
            // Within the function, not at its end: the plan has the columns of the first call.
            format!(
                "CREATE FUNCTION all_of(bookings) RETURNS SETOF archive LANGUAGE plpgsql AS $$ BEGIN
                     RETURN QUERY SELECT * FROM bookings b WHERE b.id = $1.id;
                 END $$; {}",
                trigger("AFTER", "PERFORM count(*) FROM all_of(new);")
            ),
            "structure of query does not match function result type, in the function all_of(bookings)",
        ),
        (
            // A deferred trigger runs after the statement.
            format!(
                "{}; DROP TRIGGER remember ON bookings;
                 CREATE CONSTRAINT TRIGGER remember AFTER UPDATE ON bookings DEFERRABLE INITIALLY DEFERRED
                     FOR EACH ROW EXECUTE FUNCTION remember()",
                trigger("AFTER", "INSERT INTO history SELECT new.*;")
            ),
            "INSERT has more expressions than target columns",
        ),
    ] {
        assert_refused(&database_with(&sql).await, &[words]).await;
    }
}

#[tokio::test]
async fn expired_is_tried_although_a_check_does_not_allow_it_yet() {
    let app = database_with(&format!(
        "ALTER TABLE bookings DROP CONSTRAINT bookings_status_check;
         ALTER TABLE bookings ADD CONSTRAINT valid CHECK (status IN ('pending', 'confirmed', 'in_progress', 'completed', 'cancelled'));
         {}",
        trigger("AFTER", "IF new.status = 'expired' THEN INSERT INTO history SELECT old.*; END IF;")
    ))
    .await;
    assert_refused(
        &app,
        &[": pending → expired, confirmed → expired, in_progress → expired: 42601"],
    )
    .await;
    // Without that trigger there is nothing to say.
    app.sql("DROP TRIGGER remember ON bookings", &[]).await;
    let said = app.call(&["migrate"]).await;
    assert!(
        said.success && !said.stderr.contains("WARN"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn what_the_database_refuses_already_today_is_a_warning() {
    let app = database_with(&trigger(
        "BEFORE",
        "IF new.status = 'completed' THEN RAISE 'no completion here'; END IF;",
    ))
    .await;
    let said = assert_warned(
        &app,
        &["already today: in_progress → completed: P0001: no completion here, in the function remember()"],
    )
    .await;
    assert!(
        !said.stderr.contains("confirmed → in_progress"),
        "{}",
        said.stderr
    );
    let rows = "SELECT string_agg(status, ' ' ORDER BY status) FROM bookings";
    assert_eq!(
        app.column(rows, &[]).await,
        ["completed confirmed in_progress pending"]
    );
}

#[tokio::test]
async fn rules_and_triggers_that_keep_the_status_are_warnings() {
    for (sql, words) in [
        (
            trigger("BEFORE", "new.status := old.status;"),
            "a trigger or rule keeps the old status: pending → expired, confirmed → expired",
        ),
        // The pass changes the status in a WITH, in which PostgreSQL takes no such rule.
        (
            "CREATE RULE remember AS ON UPDATE TO bookings DO ALSO INSERT INTO history (id) VALUES (old.id)".to_owned(),
            "already today: pending → expired",
        ),
    ] {
        assert_warned(&database_with(&sql).await, &[words]).await;
    }
}

#[tokio::test]
async fn an_installation_of_today_is_tried_too_and_only_warned() {
    let app = App::new().await;
    for status in ["pending", "confirmed", "in_progress"] {
        app.booking(status, noon()).await;
    }
    let said = app.call(&["migrate"]).await;
    assert!(
        said.success && !said.stderr.contains("steps"),
        "{}",
        said.stderr
    );
    let history =
        "CREATE TABLE history (LIKE bookings); ALTER TABLE history DROP COLUMN automation_logs";
    app.db
        .batch_execute(&format!(
            "{history}; {}",
            trigger("AFTER", "INSERT INTO history SELECT new.*;")
        ))
        .await
        .unwrap();
    let count = "SELECT count(*)::text FROM booking_automation_events UNION ALL SELECT count(*)::text FROM history";
    let before = app.column(count, &[]).await;
    assert_warned(
        &app,
        &["the reminder flags of a confirmed booking: 42601: INSERT has more expressions"],
    )
    .await;
    assert_eq!(app.column(count, &[]).await, before);
}

#[tokio::test]
async fn a_state_without_a_booking_is_a_warning() {
    let app = database_with("DELETE FROM bookings WHERE status <> 'pending'").await;
    assert_warned(&app, &["no booking in the state confirmed, in_progress,"]).await;
    let app = database_with("DELETE FROM bookings").await;
    assert_warned(
        &app,
        &["no booking in the state confirmed, in_progress, pending,"],
    )
    .await;
    // Where migrate makes the tables, nobody's code can fail.
    let app = App::empty().await;
    let said = app.call(&["migrate"]).await;
    assert!(
        said.success && !said.stderr.contains("could not be tried"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn no_probe_leaves_it_out() {
    let app = database_with(&trigger("AFTER", "INSERT INTO history SELECT old.*;")).await;
    let said = app.call(&["migrate"]).await;
    assert!(
        !said.success && said.stderr.contains("--no-probe leaves this out"),
        "{}",
        said.stderr
    );
    let said = app.call(&["check"]).await;
    assert!(!said.stderr.contains("trying"), "{}", said.stderr);
    let said = app.call(&["migrate", "--no-probe"]).await;
    assert!(
        said.success && !said.stderr.contains("trying"),
        "{}",
        said.stderr
    );
    assert!(!theirs_works(&app).await);
}

#[tokio::test]
async fn a_lock_of_another_session_delays_the_trial_and_does_not_end_it() {
    let app = database_with(&trigger("AFTER", "INSERT INTO history SELECT old.*;")).await;
    let session = crate::app::connect(&app.url).await;
    session
        .batch_execute("BEGIN; SELECT count(*) FROM bookings; SELECT id FROM bookings WHERE status = 'confirmed' FOR UPDATE")
        .await
        .unwrap();
    let end = async {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        session.batch_execute("ROLLBACK").await.unwrap();
    };
    let (said, ()) = tokio::join!(app.call(&["migrate"]), end);
    assert!(
        !said.success
            && said
                .stderr
                .contains("with the columns that migrate adds to bookings, the database refuses")
            && said.stderr.contains("another session holds a lock"),
        "{}",
        said.stderr
    );
}

/// Migrates while a session of the user reads `bookings` every few milliseconds; returns the longest that it waited.
async fn longest_wait(app: &App, words: &[&str]) -> Duration {
    let session = crate::app::connect(&app.url).await;
    let reader = tokio::spawn(async move {
        let mut longest = Duration::ZERO;
        loop {
            let begun = Instant::now();
            if session
                .query("SELECT count(*) FROM bookings", &[])
                .await
                .is_err()
            {
                return longest;
            }
            longest = longest.max(begun.elapsed());
            let is_done = "SELECT to_regclass('public.booking_automation_migrations') IS NOT NULL";
            if session.query_one(is_done, &[]).await.unwrap().get(0) {
                return longest;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert_warned(app, words).await;
    reader.await.unwrap()
}

#[tokio::test]
async fn a_slow_trigger_is_a_warning_and_holds_the_lock_for_a_second_at_most() {
    let slow = "these changes were not tried to the end";
    // Slow today, and slow with the new columns only.
    for (body, words) in [
        ("PERFORM pg_sleep(0.6);", slow),
        (
            "IF to_jsonb(new) ? 'automation_logs' THEN PERFORM pg_sleep(20); END IF;",
            "not tried to the end with the columns that migrate adds",
        ),
    ] {
        let app = database_with(&trigger("BEFORE", body)).await;
        let waited = longest_wait(&app, &[words]).await;
        // Some time for a busy machine.
        assert!(waited < Duration::from_secs(3), "{body}: {waited:?}");
    }
}

#[tokio::test]
async fn a_trigger_that_calls_its_own_database_by_dblink_does_not_hang() {
    let app = database_with("").await;
    if app
        .db
        .batch_execute("CREATE EXTENSION dblink")
        .await
        .is_err()
    {
        return skipped("a trigger that calls dblink: the server has no such extension");
    }
    let sql = trigger(
        "AFTER",
        &format!(
            "PERFORM * FROM dblink('{}', 'SELECT count(*) FROM bookings') AS found (n bigint);",
            app.url
        ),
    );
    app.db.batch_execute(&sql).await.unwrap();
    let begun = Instant::now();
    assert_warned(&app, &["a function calls dblink"]).await;
    assert!(begun.elapsed() < Duration::from_secs(60));
}
