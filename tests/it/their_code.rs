//! The user's own code: triggers on `bookings`, constraints, and functions that the contacts view calls. It sees what the user's
//! database, role and connection set, and never what our statements need; and nothing of theirs is called in place of ours.

use serde_json::json;

use crate::app::{App, hours, minutes, noon};
use crate::status::{ask, support};

/// Sets something for every new session of the app's database.
async fn set_for_new_sessions(app: &App, setting: &str) {
    let sql = format!(
        "DO $do$ BEGIN EXECUTE format('ALTER DATABASE %I SET {setting}', current_database()); END $do$"
    );
    app.db.batch_execute(&sql).await.unwrap();
}

/// A booking that is started, one that is reminded of, and one that support completes; each must succeed.
async fn live_through_a_day(app: &mut App) {
    let started = app.confirmed(noon()).await;
    let reminded = app.confirmed(noon() + hours(24)).await;
    let served = app.confirmed(noon() + minutes(10)).await;
    let summary = app.run(noon()).await;
    assert_eq!(
        summary["transitions"],
        json!({"started": 1, "completed": 0, "expired": 0, "remaining": 0})
    );
    assert_eq!(summary["reminders"]["sent"], 2, "{summary}");
    assert_eq!(app.status(started).await, "in_progress");
    assert_eq!(app.reminders(reminded).await, ["24h completed"]);
    let flag = "SELECT reminder_24h_sent FROM public.bookings WHERE id = $1";
    assert!(app.one(flag, &[&reminded]).await.get::<_, bool>(0));
    let server = support(app, noon() + minutes(11)).await;
    let body = json!({"to": "completed", "actor": {"role": "admin"}}).to_string();
    let path = format!("/bookings/{served}/status");
    let answer = ask(&server, "POST", &path, &[], body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    for route in ["timeline", "cancellation"] {
        let path = format!("/bookings/{reminded}/{route}");
        let answer = ask(&server, "GET", &path, &[], b"").await;
        assert_eq!(answer.status, 200, "{}", answer.json());
    }
    let answer = ask(&server, "GET", "/preview?for=25h", &[], b"").await;
    assert_eq!(answer.status, 200, "{}", answer.json());
}

/// What `current_setting` says in a trigger, for settings that our own statements change.
const SETTINGS: [&str; 11] = [
    "search_path",
    "TimeZone",
    "DateStyle",
    "IntervalStyle",
    "standard_conforming_strings",
    "quote_all_identifiers",
    "enable_seqscan",
    "enable_bitmapscan",
    "enable_hashjoin",
    "enable_mergejoin",
    "escape_string_warning",
];

#[tokio::test]
async fn triggers_and_the_view_see_the_settings_of_their_database() {
    let mut app = App::new().await;
    for setting in [
        "search_path = theirs, public",
        "TimeZone = \"Europe/Berlin\"",
        "DateStyle = \"German, DMY\"",
        "IntervalStyle = iso_8601",
        "jit = on",
        "enable_mergejoin = off",
        "quote_all_identifiers = on",
    ] {
        set_for_new_sessions(&app, setting).await;
    }
    let settings: Vec<_> = SETTINGS
        .iter()
        .map(|name| format!("current_setting('{name}')"))
        .collect();
    let settings = settings.join(", ");
    app.db
        .batch_execute(&format!(
            "CREATE SCHEMA theirs;
             CREATE TABLE theirs.seen (by text, settings text);
             CREATE FUNCTION theirs.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO seen VALUES (current_setting('booking_automation.actor', true), concat_ws('|', {settings}));
                 RETURN NEW;
             END $$;
             CREATE TRIGGER note BEFORE UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION theirs.note();
             CREATE FUNCTION theirs.address(id uuid) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
                 RETURN (SELECT email FROM public.users u WHERE u.id = address.id AND concat_ws('|', {settings}) IN (SELECT settings FROM expected));
             END $$;
             CREATE TABLE theirs.expected (settings text);
             GRANT USAGE ON SCHEMA theirs TO PUBLIC;
             GRANT ALL ON ALL TABLES IN SCHEMA theirs TO PUBLIC; GRANT SELECT ON users TO PUBLIC;"
        ))
        .await
        .unwrap();
    let session = crate::app::connect(&app.url).await;
    let expected: String = session
        .query_one(&format!("SELECT concat_ws('|', {settings})"), &[])
        .await
        .unwrap()
        .get(0);
    app.sql("INSERT INTO theirs.expected VALUES ($1)", &[&expected])
        .await;
    // Whoever sees other settings has no address.
    app.db
        .batch_execute(
            "CREATE OR REPLACE VIEW booking_automation_contacts AS
             SELECT b.id AS booking_id, a.audience, theirs.address(b.customer_id) AS email, 'Carla'::text AS name, NULL::text AS timezone,
                    NULL::text AS language, NULL::text AS service, NULL::text AS with_name, NULL::text AS place,
                    NULL::text AS meeting_link, false AS is_online, NULL::text AS place_timezone
               FROM bookings b CROSS JOIN (VALUES ('customer'), ('provider')) AS a (audience)",
        )
        .await
        .unwrap();
    live_through_a_day(&mut app).await;
    let seen = app
        .column(
            "SELECT DISTINCT settings FROM theirs.seen WHERE by <> ''",
            &[],
        )
        .await;
    assert_eq!(seen, [expected]);
    // The pass, the flags, and support.
    let writers: i64 = app
        .one("SELECT count(*) FROM theirs.seen WHERE by <> ''", &[])
        .await
        .get(0);
    assert!(writers >= 5, "{writers}");
}

#[tokio::test]
async fn a_trigger_finds_its_functions_and_tables_by_the_path_of_its_database() {
    let mut app = App::new().await;
    set_for_new_sessions(&app, "search_path = app, public, extensions").await;
    // As on Supabase, where pgcrypto is in `extensions`; and a history of the same name in two schemas.
    app.db
        .batch_execute(
            "CREATE SCHEMA extensions; CREATE SCHEMA app;
             CREATE FUNCTION extensions.digest_of(text) RETURNS text LANGUAGE sql AS 'SELECT md5($1)';
             CREATE TABLE public.history (id uuid); CREATE TABLE app.history (id uuid, digest text);
             CREATE FUNCTION app.remember() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO history SELECT NEW.id, digest_of(NEW.status);
                 RETURN NULL;
             END $$;
             CREATE TRIGGER remember AFTER UPDATE ON bookings FOR EACH ROW
                 WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION app.remember();
             GRANT USAGE ON SCHEMA app, extensions TO PUBLIC;
             GRANT ALL ON app.history TO PUBLIC",
        )
        .await
        .unwrap();
    live_through_a_day(&mut app).await;
    let written =
        "SELECT (SELECT count(*) FROM app.history) || ' ' || (SELECT count(*) FROM public.history)";
    // Started; started and completed.
    assert_eq!(app.column(written, &[]).await, ["3 0"]);
}

#[tokio::test]
async fn a_trigger_reckons_in_the_zone_of_its_database() {
    let app = App::new().await;
    set_for_new_sessions(&app, "TimeZone = \"Europe/Berlin\"").await;
    app.db
        .batch_execute(
            "ALTER TABLE bookings ADD COLUMN local_start timestamp, ADD COLUMN day date, ADD COLUMN label text;
             CREATE FUNCTION localize() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 NEW.local_start := NEW.scheduled_at; NEW.day := NEW.scheduled_at::date; NEW.label := NEW.scheduled_at::text;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER localize BEFORE UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION localize()",
        )
        .await
        .unwrap();
    // Half past midnight in Berlin, the day before in UTC.
    let id = app.confirmed(noon() + minutes(690)).await;
    app.run(noon() + minutes(691)).await;
    let written =
        "SELECT concat_ws('|', status, local_start, day, label) FROM bookings WHERE id = $1";
    assert_eq!(
        app.column(written, &[&id]).await,
        ["in_progress|2026-03-02 00:30:00|2026-03-02|2026-03-02 00:30:00+01"]
    );
    // The time in our own trail does not depend on it.
    let due = "SELECT scheduled_at FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'status_update'";
    assert_eq!(
        app.one(due, &[&id])
            .await
            .get::<_, chrono::DateTime<chrono::Utc>>(0),
        noon() + minutes(690)
    );
}

/// A key to a parent row that a later trigger writes: it must be deferred.
const DEFERRED_KEY: &str = "
    CREATE TABLE phases (id uuid, status text, PRIMARY KEY (id, status));
    INSERT INTO phases SELECT id, status FROM bookings;
    ALTER TABLE bookings ADD FOREIGN KEY (id, status) REFERENCES phases DEFERRABLE INITIALLY DEFERRED;
    CREATE FUNCTION phase() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO phases VALUES (NEW.id, NEW.status) ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$;
    CREATE TRIGGER phase AFTER INSERT OR UPDATE ON bookings FOR EACH ROW
        WHEN (NEW.total_price IS DISTINCT FROM 13) EXECUTE FUNCTION phase()";

#[tokio::test]
async fn constraints_stay_deferred_during_our_statements() {
    let mut app = App::new().await;
    app.db.batch_execute(DEFERRED_KEY).await.unwrap();
    live_through_a_day(&mut app).await;
}

#[tokio::test]
async fn a_violated_deferred_constraint_stops_only_its_booking() {
    let app = App::new().await;
    app.db.batch_execute(DEFERRED_KEY).await.unwrap();
    // Both steps of each booking are due in one pass; the key of the second is violated.
    let ids = [
        app.confirmed(noon()).await,
        app.confirmed(noon()).await,
        app.confirmed(noon()).await,
    ];
    app.sql(
        "UPDATE bookings SET total_price = 13 WHERE id = $1",
        &[&ids[1]],
    )
    .await;
    let summary = app.run(noon() + hours(2)).await;
    let transitions = &summary["transitions"];
    assert_eq!(
        (&transitions["started"], &transitions["completed"]),
        (&json!(2), &json!(2)),
        "{summary}"
    );
    assert_eq!(transitions["refused"]["count"], 1);
    assert_eq!(transitions["refused"]["first"]["booking_id"], json!(ids[1]));
    assert_eq!(transitions["refused"]["first"]["reason"], "23503");
    let statuses = [
        app.status(ids[0]).await,
        app.status(ids[1]).await,
        app.status(ids[2]).await,
    ];
    assert_eq!(statuses, ["completed", "confirmed", "completed"]);
}

/// For each operator of PostgreSQL with these names and types, one of the same in the schema `hostile`; and functions of the names
/// that our statements call. Each fails.
const HOSTILE: &str = r#"
    CREATE SCHEMA hostile;
    DO $do$
    DECLARE
        it record;
        types CONSTANT oid[] := ARRAY['text', 'varchar', 'uuid', 'timestamptz', 'interval', 'int4', 'int8', 'bool', 'jsonb', 'numeric', 'float8',
                                      'text[]', 'uuid[]', 'regclass', 'oid', 'name']::regtype[]::oid[];
    BEGIN
        FOR it IN SELECT o.oprname AS name, o.oprleft::regtype AS l, o.oprright::regtype AS r, o.oprresult::regtype AS result, row_number() OVER () AS n
                    FROM pg_catalog.pg_operator o
                   WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprleft = ANY (types) AND o.oprright = ANY (types)
                     AND o.oprname IN ('=', '<>', '<', '>', '<=', '>=', '||', '+', '-', '*', '->', '->>', '@>', '?', '~~', '~')
        LOOP
            EXECUTE format('CREATE FUNCTION hostile.op_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION %L; END $f$',
                           it.n, it.l, it.r, it.result, 'a foreign operator ' || it.name);
            EXECUTE format('CREATE OPERATOR hostile.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = hostile.op_%s)', it.name, it.l, it.r, it.n);
        END LOOP;
        FOR it IN SELECT p.proname AS name, pg_get_function_identity_arguments(p.oid) AS arguments, p.prorettype::regtype AS result
                    FROM pg_catalog.pg_proc p
                   WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset AND p.provariadic = 0
                     AND p.proname IN ('btrim', 'current_setting', 'set_config', 'jsonb_typeof', 'jsonb_array_length', 'clock_timestamp', 'now',
                                       'to_char', 'lower', 'timezone', 'date_trunc', 'md5', 'isfinite', 'uuid_eq', 'textcat', 'length', 'floor')
        LOOP
            EXECUTE format('CREATE FUNCTION hostile.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION %L; END $f$',
                           it.name, it.arguments, it.result, 'a foreign function ' || it.name);
        END LOOP;
    END $do$"#;

#[tokio::test]
async fn no_operator_or_function_is_found_by_the_path_of_the_database() {
    let mut app = App::new().await;
    app.db.batch_execute(HOSTILE).await.unwrap();
    set_for_new_sessions(&app, "search_path = hostile, public, pg_catalog").await;
    // They do fail, where they are found by path.
    let session = crate::app::connect(&app.url).await;
    for sql in [
        "SELECT 'a'::text IN ('b'::text)",
        "SELECT NULLIF('a'::text, 'b'::text)",
        "SELECT btrim('a'::text)",
    ] {
        let error = session.query(sql, &[]).await.unwrap_err();
        assert!(
            format!("{error:?}").contains("a foreign"),
            "{sql}: {error:?}"
        );
    }
    live_through_a_day(&mut app).await;
}

#[tokio::test]
async fn a_function_that_another_role_adds_to_public_is_never_called() {
    let mut app = App::new().await;
    app.db
        .batch_execute(
            // For varchar, PostgreSQL has no operators of its own: those of text are used.
            "GRANT CREATE ON SCHEMA public TO PUBLIC; GRANT USAGE ON SCHEMA public TO PUBLIC;
             ALTER TABLE bookings ALTER COLUMN status TYPE varchar(40)",
        )
        .await
        .unwrap();
    let other = app.backend_role().await;
    // Better matches of the arguments than ours, and operators that PostgreSQL has for other types.
    for (name, arguments, result) in [
        ("booking_end", "timestamptz, integer", "timestamptz"),
        (
            "booking_automation_end",
            "timestamptz, integer",
            "timestamptz",
        ),
        ("booking_end", "timestamptz, numeric", "timestamptz"),
        (
            "booking_automation_is_due",
            "timestamptz, interval, timestamptz, timestamp",
            "boolean",
        ),
        ("booking_automation_settled_by", "text", "text"),
        (
            "booking_automation_address_hash",
            "bytea, bytea, varchar",
            "bytea",
        ),
        ("booking_automation_rfc3339", "timestamp", "text"),
        ("booking_automation_has_flag", "varchar, varchar", "boolean"),
        (
            "booking_automation_supersedes",
            "timestamptz, varchar, timestamptz, varchar",
            "boolean",
        ),
        ("btrim", "varchar", "text"),
        ("coalesce_text", "text", "text"),
    ] {
        let sql = format!(
            "CREATE FUNCTION public.{name}({arguments}) RETURNS {result} LANGUAGE plpgsql AS $$ BEGIN RAISE 'called as %', current_user; END $$"
        );
        other.batch_execute(&sql).await.unwrap();
    }
    other
        .batch_execute(
            "CREATE FUNCTION public.equal(varchar, varchar) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'called as %', current_user; END $$;
             CREATE OPERATOR public.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.equal)",
        )
        .await
        .unwrap();
    live_through_a_day(&mut app).await;
}

/// Runs the user's own statement, which must succeed, and returns what the next pass says.
async fn pass_after(ddl: &str, theirs: &str) -> String {
    let app = App::new().await;
    app.confirmed(noon()).await;
    app.db.batch_execute(ddl).await.unwrap();
    app.db
        .batch_execute(theirs)
        .await
        .unwrap_or_else(|error| panic!("after {ddl}: {theirs}: {error:?}"));
    let said = app
        .call(&["run", "--as-of", &(noon() + minutes(1)).to_rfc3339()])
        .await;
    format!("{} {}", said.success, said.stderr)
}

#[tokio::test]
async fn their_later_changes_of_the_table_break_no_statement_and_are_named() {
    for (ddl, theirs, named) in [
        (
            "ALTER TABLE bookings RENAME scheduled_at TO starts_at",
            "UPDATE bookings SET status = 'paid', starts_at = now()",
            "no column scheduled_at",
        ),
        (
            "ALTER TABLE bookings RENAME status TO state",
            "UPDATE bookings SET state = 'paid', scheduled_at = now()",
            "no column status",
        ),
        (
            "ALTER TABLE bookings RENAME duration_minutes TO minutes",
            "UPDATE bookings SET status = 'paid', minutes = 5",
            "no column duration_minutes",
        ),
        (
            "ALTER TABLE bookings RENAME TO appointments",
            "UPDATE appointments SET status = 'paid', scheduled_at = now()",
            "no table public.bookings",
        ),
        (
            "CREATE SCHEMA app; ALTER TABLE bookings SET SCHEMA app",
            "UPDATE app.bookings SET status = 'paid', scheduled_at = now()",
            "no table public.bookings",
        ),
        (
            "ALTER TABLE bookings RENAME TO old; CREATE TABLE bookings (LIKE old INCLUDING ALL); INSERT INTO bookings SELECT * FROM old",
            "UPDATE bookings SET status = 'paid', scheduled_at = now(); UPDATE old SET status = 'paid', scheduled_at = now()",
            "the table was replaced",
        ),
        (
            "DROP TRIGGER booking_automation_on_insert ON bookings",
            "UPDATE bookings SET status = 'paid'",
            "no trigger booking_automation_on_insert",
        ),
        (
            "DROP FUNCTION booking_automation_is_live(bookings)",
            "UPDATE bookings SET status = 'paid'",
            "no function booking_automation_is_live",
        ),
        // Nobody's later statement fails for a table of ours that is gone.
        (
            "ALTER TABLE booking_automation_looks RENAME TO gone",
            "UPDATE bookings SET status = 'confirmed', scheduled_at = now()",
            "run `booking-automation migrate` first",
        ),
    ] {
        let said = pass_after(ddl, theirs).await;
        assert!(
            said.starts_with("false ") && said.contains(named),
            "{ddl}: {said}"
        );
    }
}

#[tokio::test]
async fn without_a_column_that_only_shows_what_happened_the_pass_goes_on() {
    for column in [
        "auto_complete_blocked",
        "automation_logs",
        "auto_status_updated",
        "completed_at",
        "reminder_24h_sent",
        "reminder_1h_sent",
    ] {
        for ddl in [
            format!("ALTER TABLE bookings DROP COLUMN {column}"),
            format!("ALTER TABLE bookings RENAME {column} TO theirs"),
            format!(
                "DROP INDEX booking_automation_in_progress_end, booking_automation_in_progress_start; ALTER TABLE bookings ALTER COLUMN {column} DROP DEFAULT, ALTER COLUMN {column} TYPE text USING 'theirs'"
            ),
        ] {
            let said = pass_after(
                &ddl,
                "UPDATE bookings SET scheduled_at = scheduled_at - interval '1 second'",
            )
            .await;
            assert!(said.starts_with("true "), "{ddl}: {said}");
        }
    }
}

#[tokio::test]
async fn the_time_in_the_trail_cannot_be_claimed() {
    let app = App::new().await;
    let id = app.booking("pending", noon()).await;
    let backend = app.backend_role().await;
    backend
        .batch_execute("SET booking_automation.as_of = '1999-01-01 00:00:00Z'; SET booking_automation.actor = 'booking-automation'; SET booking_automation.run_id = 'x'; SET booking_automation.refund = 'no json'")
        .await
        .unwrap();
    backend
        .execute(
            "UPDATE bookings SET status = 'confirmed' WHERE id = $1",
            &[&id],
        )
        .await
        .unwrap();
    let written = "SELECT concat_ws(' ', executed_at > now() - interval '1 minute', event_data ->> 'by' = event_data ->> 'session_user',
                          event_data ->> 'claimed_by', event_data ? 'run_id')
                     FROM booking_automation_events WHERE booking_id = $1";
    assert_eq!(
        app.column(written, &[&id]).await,
        ["t t booking-automation f"]
    );
}

#[tokio::test]
async fn without_columns_a_day_passes_and_nothing_is_added_to_bookings() {
    let columns = "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
                    WHERE attrelid = 'public.bookings'::regclass AND attnum > 0 AND NOT attisdropped";
    let mut app = App::empty().await;
    // A history that copies whole rows, and a column of ours with another type.
    app.db
        .batch_execute(
            "CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text, display_name text, timezone text);
             CREATE TABLE services (id uuid PRIMARY KEY, provider_id uuid, title text, duration_minutes int);
             CREATE TABLE bookings (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), customer_id uuid, provider_id uuid, service_id uuid,
                status text, scheduled_at timestamptz, duration_minutes int, total_price numeric, is_online boolean, location text,
                meeting_link text, automation_logs text, created_at timestamptz DEFAULT now());
             CREATE TABLE history AS SELECT * FROM bookings;
             CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.history SELECT OLD.*; RETURN NULL; END $$;
             CREATE TRIGGER remember AFTER UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION remember()",
        )
        .await
        .unwrap();
    let before = app.column(columns, &[]).await;
    for arguments in [&["migrate", "--no-columns"][..], &["migrate"][..]] {
        let said = app.call(arguments).await;
        assert!(said.success, "{}", said.stderr);
        // The choice holds for a later migrate.
        assert_eq!(app.column(columns, &[]).await, before);
    }
    app.sql(
        "UPDATE reminder_rules SET effective_from = '2020-01-01'",
        &[],
    )
    .await;
    app.customer = app
        .person("Carla Novak", Some("carla@customers.example"), "UTC")
        .await;
    app.provider = app
        .person("Petra Huber", Some("petra@studio.example"), "UTC")
        .await;
    let started = app.confirmed(noon()).await;
    let reminded = app.confirmed(noon() + hours(24)).await;
    let summary = app.run(noon()).await;
    assert_eq!(
        (
            &summary["transitions"]["started"],
            &summary["reminders"]["sent"]
        ),
        (&json!(1), &json!(1)),
        "{summary}"
    );
    assert_eq!(app.reminders(reminded).await, ["24h completed"]);
    // An undo blocks the booking until the block is lifted.
    let (status, block) = (
        format!("/bookings/{started}/status"),
        format!("/bookings/{started}/block"),
    );
    let body =
        json!({"to": "confirmed", "actor": {"role": "admin"}, "reason": "too early"}).to_string();
    let server = support(&mut app, noon() + minutes(1)).await;
    let answer = ask(&server, "POST", &status, &[], body.as_bytes()).await;
    assert_eq!(
        (answer.status, &answer.json()["automation_blocked"]),
        (200, &json!(true))
    );
    assert_eq!(
        app.run(noon() + minutes(2)).await["transitions"]["started"],
        0
    );
    for was_blocked in [true, false] {
        let answer = ask(&server, "DELETE", &block, &[], b"").await;
        assert_eq!(
            (answer.status, &answer.json()["was_blocked"]),
            (200, &json!(was_blocked))
        );
    }
    let transitions = app.run(noon() + hours(2)).await["transitions"].clone();
    assert_eq!(
        (&transitions["started"], &transitions["completed"]),
        (&json!(1), &json!(1))
    );
    // Due times and runs are in the trail nevertheless.
    let trail = "SELECT concat_ws(' ', event_data ->> 'to', scheduled_at AT TIME ZONE 'UTC', event_data ? 'run_id') FROM booking_automation_events
                  WHERE booking_id = $1 AND event_data ->> 'by' = 'booking-automation' ORDER BY seq";
    assert_eq!(
        app.column(trail, &[&started]).await,
        [
            "in_progress 2026-03-01 12:00:00 t",
            "in_progress 2026-03-01 12:00:00 t",
            "completed 2026-03-01 13:00:00 t"
        ]
    );
    assert_eq!(
        app.column("SELECT count(*)::text FROM history", &[]).await,
        ["4"]
    );
}

#[tokio::test]
async fn no_columns_comes_too_late_for_a_database_that_has_them() {
    let app = App::new().await;
    let said = app.call(&["migrate", "--no-columns"]).await;
    assert!(
        !said.success
            && said
                .stderr
                .contains("an earlier migrate has added its columns"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn a_block_is_lifted_from_the_column_and_from_the_undo() {
    let mut app = App::new().await;
    let id = app.confirmed(noon()).await;
    app.sql(
        "UPDATE bookings SET auto_complete_blocked = true WHERE id = $1",
        &[&id],
    )
    .await;
    let server = support(&mut app, noon() + hours(30)).await;
    assert_eq!(
        app.run(noon() + hours(30)).await["transitions"]["completed"],
        0
    );
    let answer = ask(
        &server,
        "DELETE",
        &format!("/bookings/{id}/block"),
        &[],
        b"",
    )
    .await;
    assert_eq!(
        (answer.status, &answer.json()["was_blocked"]),
        (200, &json!(true))
    );
    let unblocked = "SELECT unblocked_at IS NOT NULL AND blocked_reason IS NULL FROM booking_automation_state WHERE booking_id = $1";
    assert!(app.one(unblocked, &[&id]).await.get::<_, bool>(0));
    let nobody = format!("/bookings/{}/block", uuid::Uuid::new_v4());
    assert_eq!(ask(&server, "DELETE", &nobody, &[], b"").await.status, 404);
}

#[tokio::test]
async fn a_status_that_cannot_be_stored_expires_nothing() {
    for obstacle in [
        "ALTER TABLE bookings DROP CONSTRAINT bookings_status_check; ALTER TABLE bookings ADD CHECK (status <> 'in_progress')",
        "ALTER TABLE bookings DROP CONSTRAINT bookings_status_check; DROP INDEX booking_automation_in_progress_end, booking_automation_in_progress_start, booking_automation_confirmed_start, booking_automation_pending_start; ALTER TABLE bookings ALTER COLUMN status TYPE varchar(10)",
    ] {
        let app = App::new().await;
        // More than one pass could isolate one by one.
        let id = app.confirmed(noon()).await;
        let more = "INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes)
                    SELECT customer_id, provider_id, service_id, status, scheduled_at, duration_minutes
                      FROM bookings, generate_series(1, 199)";
        app.sql(more, &[]).await;
        app.db.batch_execute(obstacle).await.unwrap();
        // Nothing is promised that does not happen.
        let at = (noon() + minutes(1)).to_rfc3339();
        let promised = app
            .call(&["run", "--dry-run", "--as-of", &at])
            .await
            .summary();
        assert_eq!(
            promised["transitions"]["started"], 0,
            "{obstacle}: {promised}"
        );
        let summary = app.run(noon() + minutes(1)).await;
        assert_eq!(
            summary["transitions"]["refused"]["count"], 200,
            "{obstacle}: {summary}"
        );
        assert_eq!(summary["transitions"]["started"], 0);
        // Two days later they are neither lost sight of nor forgotten.
        let summary = app.run(noon() + hours(48)).await;
        assert_eq!(
            summary["transitions"]["expired"], 0,
            "{obstacle}: {summary}"
        );
        assert_eq!(
            summary["transitions"]["refused"]["count"], 200,
            "{obstacle}: {summary}"
        );
        assert_eq!(app.status(id).await, "confirmed", "{obstacle}");
    }
}

#[tokio::test]
async fn a_block_that_a_trigger_removes_during_our_step_is_recorded() {
    let app = App::new().await;
    let id = app.confirmed(noon()).await;
    app.sql(
        "UPDATE bookings SET auto_complete_blocked = true WHERE id = $1",
        &[&id],
    )
    .await;
    app.db
        .batch_execute(
            "CREATE FUNCTION lift() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.auto_complete_blocked := false; RETURN NEW; END $$;
             CREATE TRIGGER lift BEFORE UPDATE ON bookings FOR EACH ROW WHEN (NEW.status = 'in_progress') EXECUTE FUNCTION lift()",
        )
        .await
        .unwrap();
    app.run(noon()).await;
    let unblocked = "SELECT unblocked_at FROM booking_automation_state WHERE booking_id = $1";
    let at: chrono::DateTime<chrono::Utc> = app.one(unblocked, &[&id]).await.get(0);
    assert_eq!(at, noon());
}

#[tokio::test]
async fn a_table_that_was_replaced_leaves_no_trace_of_its_own() {
    let app = App::new().await;
    app.confirmed(noon()).await;
    app.db
        .batch_execute(
            "ALTER TABLE bookings RENAME TO old; CREATE TABLE bookings (LIKE old INCLUDING ALL); INSERT INTO bookings SELECT * FROM old;
             DELETE FROM booking_automation_looks",
        )
        .await
        .unwrap();
    let said = app.call(&["migrate", "--no-probe"]).await;
    let dropped: Vec<_> = said
        .stderr
        .lines()
        .filter_map(|line| line.split_once("run: DROP INDEX"))
        .map(|(_, index)| format!("DROP INDEX{index}"))
        .collect();
    assert_eq!(dropped.len(), 4, "{}", said.stderr);
    app.db.batch_execute(&dropped.join("\n")).await.unwrap();
    let said = app.call(&["migrate", "--no-probe"]).await;
    assert!(said.success, "{}", said.stderr);
    let written = "SELECT (SELECT count(*) FROM booking_automation_events) || ' ' || (SELECT count(*) FROM booking_automation_looks)";
    for old in [
        "UPDATE old SET status = 'paid'",
        "UPDATE old SET status = 'confirmed', scheduled_at = now()",
        "INSERT INTO old (customer_id, status, scheduled_at) SELECT customer_id, 'confirmed', now() + interval '1 day' FROM old",
    ] {
        app.sql(old, &[]).await;
        assert_eq!(app.column(written, &[]).await, ["0 0"], "{old}");
    }
    // The triggers are on the new table.
    app.sql("UPDATE bookings SET status = 'paid'", &[]).await;
    assert_eq!(app.column(written, &[]).await, ["1 0"]);
}

#[tokio::test]
async fn the_log_of_automatic_changes_keeps_the_latest_hundred() {
    let app = App::new().await;
    let id = app.confirmed(noon()).await;
    app.sql(
        "UPDATE bookings SET automation_logs = (SELECT jsonb_agg(n) FROM generate_series(1, 100) AS n) WHERE id = $1",
        &[&id],
    )
    .await;
    app.run(noon()).await;
    let kept = "SELECT concat_ws(' ', jsonb_array_length(automation_logs), automation_logs -> 0, automation_logs -> -1 ->> 'to')
                  FROM bookings WHERE id = $1";
    assert_eq!(app.column(kept, &[&id]).await, ["100 2 in_progress"]);
}
