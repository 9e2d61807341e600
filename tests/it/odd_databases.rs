//! Databases with unusual triggers, constraints, roles and views.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::app::{App, connect, hours, minutes, noon};
use crate::ses::Answer;
use crate::webhooks::subscribe;

async fn count_rows(app: &App, what: &str) -> i64 {
    app.one(&format!("SELECT count(*) FROM {what}"), &[])
        .await
        .get(0)
}

/// Creates a user's trigger that runs `body` before the update of a booking that matches
/// `condition`.
pub async fn create_before_update_trigger(app: &App, condition: &str, body: &str) {
    app.db
        .batch_execute(&format!(
            "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NEW; END $$;
             CREATE TRIGGER theirs BEFORE UPDATE ON bookings FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION theirs()"
        ))
        .await
        .unwrap();
}

/// An app whose database belongs to a role without special privileges; the session is of that role.
pub async fn app_of_plain_role(settings: &[&str]) -> App {
    let mut app = App::empty().await;
    let role = format!("owner_{}", uuid::Uuid::new_v4().simple());
    let (_, host) = app.url.rsplit_once('@').unwrap();
    let (_, database) = host.rsplit_once('/').unwrap();
    let mut sql = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'owner'; ALTER SCHEMA public OWNER TO {role}; ALTER DATABASE {database} OWNER TO {role};"
    );
    for setting in settings {
        sql += &format!("ALTER ROLE {role} SET {setting};");
    }
    app.env
        .insert("DATABASE_URL", format!("postgres://{role}:owner@{host}"));
    app.db
        .batch_execute(&format!("{sql} SET ROLE {role}"))
        .await
        .unwrap();
    let said = app.call(&["migrate"]).await;
    assert!(said.success, "{}", said.stderr);
    app.sql(
        "UPDATE reminder_rules SET effective_from = '2020-01-01'",
        &[],
    )
    .await;
    app.customer = app
        .person("Carla", Some("carla@customers.example"), "Europe/Vienna")
        .await;
    app.provider = app.person("Petra", None, "Europe/Vienna").await;
    app.service = app
        .one(
            "INSERT INTO services (title) VALUES ('Massage') RETURNING id",
            &[],
        )
        .await
        .get(0);
    app
}

#[tokio::test]
async fn a_plain_role_with_unusual_defaults_can_own_everything() {
    let app = app_of_plain_role(&[
        "default_transaction_read_only = on",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_deferrable = on",
        "search_path = 'nowhere'",
        "statement_timeout = '500ms'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '50ms'",
        "IntervalStyle = 'iso_8601'",
        "DateStyle = 'SQL, DMY'",
        "TimeZone = 'Pacific/Chatham'",
        "standard_conforming_strings = off",
        "client_min_messages = 'debug5'",
        "transform_null_equals = on",
        "row_security = off",
    ])
    .await;
    let (reminded, started) = (
        app.confirmed(noon() + hours(24)).await,
        app.confirmed(noon()).await,
    );
    let summary = app.run(noon()).await;
    assert_eq!(
        (
            &summary["reminders"]["sent"],
            &summary["transitions"]["started"]
        ),
        (&1.into(), &1.into()),
        "{summary}"
    );
    assert_eq!(
        (app.reminders(reminded).await, app.status(started).await),
        (vec!["24h completed".to_owned()], "in_progress".to_owned())
    );
}

#[tokio::test]
async fn row_level_security_that_hides_bookings_is_an_error() {
    let app = app_of_plain_role(&[]).await;
    app.confirmed(noon()).await;
    app.sql("ALTER TABLE bookings ENABLE ROW LEVEL SECURITY", &[])
        .await;
    assert_eq!(
        app.run(noon() - minutes(1)).await["outcome"],
        "completed",
        "the owner sees all bookings"
    );
    app.sql("ALTER TABLE bookings FORCE ROW LEVEL SECURITY", &[])
        .await;
    for arguments in [&["run"][..], &["run", "--dry-run"], &["migrate"]] {
        let said = app.call(arguments).await;
        assert!(
            !said.success && said.stderr.contains("row-level security"),
            "{arguments:?}: {}",
            said.stderr
        );
    }
}

#[tokio::test]
async fn an_overdue_booking_that_cannot_expire_is_not_completed_instead() {
    let app = App::new().await;
    app.sql(
        "INSERT INTO bookings (customer_id, status, scheduled_at, duration_minutes)
         SELECT $1, 'confirmed', $2::timestamptz - n * interval '1 second', 60 FROM generate_series(1, 400) AS n",
        &[&app.customer, &(noon() - hours(240))],
    )
    .await;
    // Half of them are refused: one pass cannot try all of them.
    create_before_update_trigger(
        &app,
        "NEW.status = 'expired' AND extract(second FROM NEW.scheduled_at)::int % 2 = 0",
        "RAISE EXCEPTION 'no'",
    )
    .await;
    let mut expired = 0;
    for minute in 0..6 {
        let summary = app.run(noon() + minutes(minute)).await;
        assert_eq!(
            (
                &summary["transitions"]["started"],
                &summary["transitions"]["completed"]
            ),
            (&json!(0), &json!(0))
        );
        expired += summary["transitions"]["expired"].as_i64().unwrap();
    }
    assert!(expired > 0, "every pass makes progress");
    assert_eq!(
        count_rows(
            &app,
            "bookings WHERE status NOT IN ('confirmed', 'expired')"
        )
        .await,
        0
    );
}

#[tokio::test]
async fn an_overdue_booking_unlocked_during_a_pass_is_not_completed() {
    let app = App::new().await;
    let held = app.confirmed(noon() - hours(240)).await;
    app.confirmed(noon() - hours(250)).await;
    create_before_update_trigger(
        &app,
        "NEW.status = 'expired'",
        "PERFORM pg_advisory_lock(2); PERFORM pg_advisory_unlock(2)",
    )
    .await;
    let (holder, gate) = (connect(&app.url).await, connect(&app.url).await);
    holder.batch_execute("BEGIN").await.unwrap();
    holder
        .execute("SELECT FROM bookings WHERE id = $1 FOR UPDATE", &[&held])
        .await
        .unwrap();
    gate.batch_execute("SELECT pg_advisory_lock(2)")
        .await
        .unwrap();
    // The expiry of the other booking waits for the lock and gives up; meanwhile this booking is
    // unlocked.
    let pass = app.run(noon());
    let release = async {
        app.wait_until(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND NOT granted)",
        )
        .await;
        holder.batch_execute("COMMIT").await.unwrap();
        gate.batch_execute("SELECT pg_advisory_unlock(2)")
            .await
            .unwrap();
    };
    let (summary, ()) = tokio::join!(pass, release);
    assert_eq!(
        (
            &summary["transitions"]["started"],
            &summary["transitions"]["completed"]
        ),
        (&json!(0), &json!(0))
    );
    assert_ne!(app.status(held).await, "completed");
}

#[tokio::test]
async fn a_trigger_error_of_any_code_delays_only_its_own_booking() {
    for code in ["42501", "PT409", "P0001", "23514", "22012", "0A000"] {
        let app = App::new().await;
        let (bad, good) = (
            app.confirmed(noon() - minutes(1)).await,
            app.confirmed(noon()).await,
        );
        let raise =
            format!("RAISE EXCEPTION 'no: carla@customers.example' USING ERRCODE = '{code}'");
        create_before_update_trigger(&app, &format!("NEW.id = '{bad}'"), &raise).await;
        let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
        assert_eq!(said.summary()["transitions"]["started"], 1, "{code}");
        assert_eq!(
            (
                app.status(bad).await.as_str(),
                app.status(good).await.as_str()
            ),
            ("confirmed", "in_progress"),
            "{code}"
        );
        assert!(!said.stderr.contains("carla"), "{code}: {}", said.stderr);
    }
}

#[tokio::test]
async fn a_status_that_a_trigger_resets_is_retried_less_and_less_often() {
    let app = App::new().await;
    let ids = [app.confirmed(noon()).await, app.confirmed(noon()).await];
    app.sql(
        "UPDATE bookings SET total_price = 0 WHERE id = $1",
        &[&ids[0]],
    )
    .await;
    create_before_update_trigger(
        &app,
        "NEW.status = 'in_progress' AND NEW.total_price = 0",
        "NEW.status := OLD.status",
    )
    .await;
    let told = |summary: &serde_json::Value| {
        json!([
            summary["transitions"]["started"],
            summary["transitions"]["remaining"]
        ])
    };
    let summary = app.run(noon()).await;
    assert_eq!(told(&summary), json!([1, 0]));
    assert_eq!(
        summary["transitions"]["refused"],
        json!({"count": 1, "first": {"booking_id": ids[0], "from": "confirmed", "to": "in_progress", "reason": "trigger"}})
    );
    assert_eq!(
        (app.status(ids[0]).await, app.status(ids[1]).await),
        ("confirmed".to_owned(), "in_progress".to_owned())
    );
    let mut retried = Vec::new();
    for minute in 1..=16 {
        let summary = app.run(noon() + minutes(minute)).await;
        assert_eq!(told(&summary), json!([0, 0]));
        if !summary["transitions"]["refused"].is_null() {
            retried.push(minute);
        }
    }
    assert_eq!(retried, [1, 3, 7, 15]);
    app.sql("DROP TRIGGER theirs ON bookings", &[]).await;
    for (minute, started) in [(30, 0), (31, 1)] {
        let summary = app.run(noon() + minutes(minute)).await;
        assert_eq!(summary["transitions"]["started"], started);
    }
    let sql = "SELECT concat_ws(' ', status, reason) FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'status_update' ORDER BY seq";
    assert_eq!(
        app.column(sql, &[&ids[0]]).await,
        [vec!["failed refused"; 5], vec!["completed"]].concat()
    );
    let logs: i32 = app
        .one(
            "SELECT jsonb_array_length(automation_logs) FROM bookings WHERE id = $1",
            &[&ids[0]],
        )
        .await
        .get(0);
    assert_eq!(logs, 6, "one entry for each try, and one for the step");
}

#[tokio::test]
async fn an_error_of_a_deferred_trigger_does_not_fail_the_pass() {
    let app = App::new().await;
    let (bad, good) = (
        app.confirmed(noon() - minutes(1)).await,
        app.confirmed(noon()).await,
    );
    app.db
        .batch_execute(&format!(
            "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'late'; END $$;
             CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON bookings DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW WHEN (NEW.id = '{bad}') EXECUTE FUNCTION late()"
        ))
        .await
        .unwrap();
    app.run(noon()).await;
    assert_eq!(
        (
            app.status(bad).await.as_str(),
            app.status(good).await.as_str()
        ),
        ("confirmed", "in_progress")
    );
}

#[tokio::test]
async fn slow_triggers_reduce_the_work_of_a_pass_without_failing_it() {
    let app = App::new().await;
    app.sql(
        "INSERT INTO bookings (customer_id, status, scheduled_at, duration_minutes)
         SELECT $1, 'confirmed', $2, 600 FROM generate_series(1, 2000)",
        &[&app.customer, &noon()],
    )
    .await;
    create_before_update_trigger(&app, "true", "PERFORM pg_sleep(0.005)").await;
    // The triggers take ten seconds, and the call has eight.
    let said = app
        .call(&["run", "--for", "8s", "--as-of", &noon().to_rfc3339()])
        .await;
    let transitions = &said.summary()["transitions"];
    assert!(
        transitions["started"].as_i64().unwrap() > 0,
        "{transitions}"
    );
    assert_eq!(
        transitions["started"].as_i64().unwrap() + transitions["remaining"].as_i64().unwrap(),
        2000
    );
}

#[tokio::test]
async fn a_lock_conflict_in_a_trigger_defers_bookings_to_the_next_pass() {
    let mut app = App::new().await;
    app.has_grants = false; // their trigger writes users
    for _ in 0..50 {
        app.confirmed(noon()).await;
    }
    create_before_update_trigger(
        &app,
        "true",
        "UPDATE users SET updated_at = now() WHERE id = NEW.customer_id",
    )
    .await;
    let holder = connect(&app.url).await;
    holder
        .batch_execute("BEGIN; SELECT FROM users FOR UPDATE")
        .await
        .unwrap();
    let summary = app.run(noon()).await;
    assert_eq!(
        summary["transitions"],
        json!({"started": 0, "completed": 0, "expired": 0, "remaining": 50})
    );
    assert_eq!(
        count_rows(&app, "booking_automation_events").await,
        0,
        "a lock conflict is not recorded as a refusal"
    );
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(
        app.run(noon() + minutes(1)).await["transitions"]["started"],
        50
    );
}

#[tokio::test]
async fn a_locked_booking_is_not_recorded_as_reset_by_a_trigger() {
    let mut app = App::new().await;
    app.has_grants = false; // their trigger writes users
    let refused =
        "booking_automation_events WHERE event_type = 'status_update' AND status = 'failed'";
    // An earlier pass moved it, and it was confirmed again; another session locks it.
    let again = app.confirmed(noon()).await;
    app.sql(
        "UPDATE bookings SET automation_logs = jsonb_build_array(jsonb_build_object('to', 'in_progress', 'run_id', gen_random_uuid())) WHERE id = $1",
        &[&again],
    )
    .await;
    // This pass starts it; its completion meets a lock in a user's trigger.
    let over = app.confirmed(noon() - hours(2)).await;
    create_before_update_trigger(
        &app,
        "NEW.status = 'completed'",
        "UPDATE users SET updated_at = now() WHERE id = NEW.customer_id",
    )
    .await;
    let holder = connect(&app.url).await;
    holder
        .batch_execute(&format!(
            "BEGIN; SELECT FROM users FOR UPDATE; SELECT FROM bookings WHERE id = '{again}' FOR UPDATE"
        ))
        .await
        .unwrap();
    let summary = app.run(noon()).await;
    assert_eq!(
        summary["transitions"],
        json!({"started": 1, "completed": 0, "expired": 0, "remaining": 2})
    );
    assert_eq!(count_rows(&app, refused).await, 0);
    holder.batch_execute("COMMIT").await.unwrap();
    let summary = app.run(noon() + minutes(1)).await;
    assert_eq!(
        summary["transitions"],
        json!({"started": 1, "completed": 1, "expired": 0, "remaining": 0})
    );
    assert_eq!(app.status(over).await, "completed");
}

#[tokio::test]
async fn a_flag_blocked_by_a_lock_in_a_trigger_is_set_later() {
    let mut app = App::new().await;
    app.has_grants = false; // their trigger writes users
    let id = app.confirmed(noon() + hours(24)).await;
    create_before_update_trigger(
        &app,
        "true",
        "UPDATE users SET updated_at = now() WHERE id = NEW.customer_id",
    )
    .await;
    let holder = connect(&app.url).await;
    holder.batch_execute("BEGIN").await.unwrap();
    // The claim can still read the locked user.
    holder
        .execute(
            "SELECT FROM users WHERE id = $1 FOR UPDATE",
            &[&app.customer],
        )
        .await
        .unwrap();
    assert_eq!(app.run(noon()).await["reminders"]["sent"], 1);
    let flag = "SELECT reminder_24h_sent::text FROM bookings WHERE id = $1";
    assert_eq!(app.column(flag, &[&id]).await, ["false"]);
    holder.batch_execute("COMMIT").await.unwrap();
    app.run(noon() + minutes(1)).await;
    assert_eq!(app.column(flag, &[&id]).await, ["true"]);
}

#[tokio::test]
async fn other_roles_cannot_use_our_trigger_functions() {
    let app = App::new().await;
    let backend = app.backend_role().await;
    for (function, timing) in [
        ("on_move", "BEFORE UPDATE ON forged FOR EACH ROW"),
        ("on_update", UPDATED_ROWS),
        ("on_insert", INSERTED_ROWS),
        ("keep_event", "BEFORE DELETE ON forged FOR EACH STATEMENT"),
        ("keep_table", "BEFORE DELETE ON forged FOR EACH STATEMENT"),
        ("keep_erasure", "BEFORE DELETE ON forged FOR EACH STATEMENT"),
        (
            "tell_of_events",
            "BEFORE DELETE ON forged FOR EACH STATEMENT",
        ),
        (
            "tell_of_moves",
            "BEFORE DELETE ON forged FOR EACH STATEMENT",
        ),
    ] {
        let sql = format!(
            "{FORGED_TABLE} CREATE TRIGGER forge {timing} EXECUTE FUNCTION booking_automation_{function}()"
        );
        assert_eq!(
            error_code(backend.batch_execute(&sql).await),
            "42501",
            "{function}"
        );
    }

    // With EXECUTE privileges, a function writes only for the table that it is made for.
    app.db
        .batch_execute("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC")
        .await
        .unwrap();
    backend.batch_execute(FORGED_TABLE).await.unwrap();
    backend
        .execute(
            "INSERT INTO forged VALUES (gen_random_uuid(), 'pending', 'infinity')",
            &[],
        )
        .await
        .unwrap();
    let insert = "INSERT INTO forged VALUES (gen_random_uuid(), 'confirmed', 'infinity')";
    for (function, timing, write) in [
        ("on_insert", INSERTED_ROWS, insert),
        (
            "on_update",
            UPDATED_ROWS,
            "UPDATE forged SET status = 'confirmed'",
        ),
        (
            "on_move",
            "BEFORE UPDATE ON forged FOR EACH ROW",
            "UPDATE forged SET scheduled_at = now()",
        ),
        ("tell_of_events", INSERTED_ROWS, insert),
        (
            "tell_of_moves",
            UPDATED_ROWS,
            "UPDATE forged SET scheduled_at = now()",
        ),
    ] {
        let sql = format!(
            "CREATE TRIGGER forge {timing} EXECUTE FUNCTION booking_automation_{function}()"
        );
        backend.batch_execute(&sql).await.unwrap();
        let written = backend.execute(write, &[]).await;
        match function {
            "tell_of_events" => assert_eq!(error_code(written), "42501"),
            _ => assert!(written.is_ok(), "{function}"),
        }
        backend
            .batch_execute("DROP TRIGGER forge ON forged")
            .await
            .unwrap();
    }
    let written = "SELECT (SELECT count(*) FROM booking_automation_events) + (SELECT count(*) FROM booking_automation_state)
                          + (SELECT count(*) FROM booking_automation_looks)";
    assert_eq!(app.one(written, &[]).await.get::<_, i64>(0), 0);
}

/// A table with the columns that our trigger functions read.
const FORGED_TABLE: &str =
    "CREATE TEMP TABLE forged (id uuid, status text, scheduled_at timestamptz, auto_complete_blocked boolean, automation_logs jsonb,
                               reminder_24h_sent boolean, reminder_1h_sent boolean, reminder_15m_sent boolean);";
const INSERTED_ROWS: &str =
    "AFTER INSERT ON forged REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT";
const UPDATED_ROWS: &str = "AFTER UPDATE ON forged REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT";

/// The SQLSTATE of a statement that fails.
fn error_code<T: std::fmt::Debug>(result: Result<T, tokio_postgres::Error>) -> String {
    result.unwrap_err().code().unwrap().code().to_owned()
}

#[tokio::test]
async fn foreign_operators_do_not_run_with_our_privileges() {
    let app = App::new().await;
    let backend = app.backend_role().await;
    subscribe(&app, "https://hooks.example", &["rescheduled", "cancelled"]).await;
    // An unqualified operator name resolves to this one first.
    app.db
        .batch_execute(
            "CREATE SCHEMA theirs;
             GRANT USAGE ON SCHEMA theirs TO PUBLIC;
             CREATE FUNCTION theirs.evil(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'as %', current_user; END $$;
             CREATE OPERATOR theirs.= (LEFTARG = text, RIGHTARG = text, FUNCTION = theirs.evil)",
        )
        .await
        .unwrap();
    // A reminder that was sent for the start that the booking is moved to.
    let (id, start) = (Uuid::from_u128(1), "2030-01-01T00:00:00Z");
    app.sql(
        "INSERT INTO booking_automation_events (booking_id, event_type, status, rule, audience, channel, revision, starts_at)
         VALUES ($1, 'reminder_sent', 'completed', '24h', 'customer', 'email', 0, $2)",
        &[&id, &start.parse::<DateTime<Utc>>().unwrap()],
    )
    .await;
    backend
        .batch_execute("SET search_path = theirs, pg_catalog, public")
        .await
        .unwrap();
    assert!(
        backend
            .execute("SELECT 'a'::text = 'a'::text", &[])
            .await
            .is_err()
    );
    for write in [
        &format!(
            "INSERT INTO bookings (id, status, scheduled_at) VALUES ('{id}', 'confirmed', now() + interval '1 hour')"
        ),
        "UPDATE bookings SET status = 'cancelled'",
        &format!("UPDATE bookings SET scheduled_at = '{start}'"),
        "DELETE FROM bookings",
    ] {
        assert_eq!(
            backend
                .execute(write, &[])
                .await
                .unwrap_or_else(|error| panic!("{write}: {error:?}")),
            1
        );
    }
}

#[tokio::test]
async fn default_privileges_grant_no_access_to_our_tables() {
    let app = App::empty().await;
    app.db
        .batch_execute(
            "DO $$ BEGIN CREATE ROLE anonymous_of_the_web; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
             ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anonymous_of_the_web;
             ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO PUBLIC;
             CREATE TABLE of_another (); ALTER TABLE of_another OWNER TO anonymous_of_the_web; GRANT SELECT ON of_another TO postgres",
        )
        .await
        .unwrap();
    let said = app.call(&["migrate", "--create-base-tables"]).await;
    assert!(said.success, "{}", said.stderr);
    let open =
        "SELECT c.relname::text FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
                   AND has_table_privilege('anonymous_of_the_web', c.oid, 'SELECT, INSERT, UPDATE, DELETE') ORDER BY 1";
    assert_eq!(
        app.column(open, &[]).await,
        ["bookings", "of_another", "services", "users"],
        "the user's tables keep their privileges"
    );
    let taken_from_the_owner =
        "SELECT relname::text FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relacl IS NOT NULL
        AND NOT EXISTS (SELECT FROM aclexplode(relacl) a WHERE a.grantee = c.relowner AND a.privilege_type = 'INSERT')";
    assert_eq!(
        app.column(taken_from_the_owner, &[]).await,
        Vec::<String>::new()
    );
    app.db
        .batch_execute("DROP OWNED BY anonymous_of_the_web")
        .await
        .unwrap();
}

#[tokio::test]
async fn revoked_function_privileges_fail_no_statement_of_the_backend() {
    let app = App::empty().await;
    app.db
        .batch_execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
        .await
        .unwrap();
    let said = app.call(&["migrate"]).await;
    assert!(said.success, "{}", said.stderr);
    let backend = app.backend_role().await;
    for write in [
        "INSERT INTO bookings (status, scheduled_at) VALUES ('in_progress', now())",
        "UPDATE bookings SET scheduled_at = now() + interval '1 hour', status = 'confirmed'",
        "UPDATE bookings SET status = 'in_progress'",
        "DELETE FROM bookings",
    ] {
        assert_eq!(
            backend
                .execute(write, &[])
                .await
                .unwrap_or_else(|error| panic!("{write}: {error:?}")),
            1
        );
    }
}

#[tokio::test]
async fn an_existing_events_table_is_adopted_with_its_rows() {
    let app = App::empty().await;
    app.db
        .batch_execute(
            "CREATE TABLE booking_automation_events (
                id uuid PRIMARY KEY DEFAULT gen_random_uuid(), booking_id uuid NOT NULL, event_type text NOT NULL, event_data jsonb,
                scheduled_at timestamptz, executed_at timestamptz DEFAULT now(), status text NOT NULL DEFAULT 'completed',
                error_message text, created_at timestamptz DEFAULT now());
             INSERT INTO booking_automation_events (booking_id, event_type, status) SELECT '00000000-0000-0000-0000-000000000001', 'reminder_sent', s
                FROM unnest(ARRAY['completed', 'completed', 'pending', 'pending']) AS s;
             GRANT SELECT ON booking_automation_events TO pg_monitor",
        )
        .await
        .unwrap();
    let said = app.call(&["migrate"]).await;
    assert!(said.success, "{}", said.stderr);
    assert_eq!(
        app.call(&["run"]).await.summary()["backlog"]["pending"],
        0,
        "existing rows are not sent"
    );
    assert_eq!(count_rows(&app, "booking_automation_events").await, 4);
    let open =
        "SELECT has_table_privilege('pg_monitor', 'booking_automation_events', 'SELECT')::text";
    assert_eq!(
        app.column(open, &[]).await,
        ["true"],
        "existing privileges are kept"
    );
}

#[tokio::test]
async fn a_trigger_that_moves_a_booking_on_confirmation_causes_no_second_mail() {
    let app = App::new().await;
    let id = app.booking("pending", noon() + hours(23)).await;
    app.db
        .batch_execute(
            "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN UPDATE bookings SET scheduled_at = scheduled_at + interval '4 minutes' WHERE id = NEW.id; RETURN NULL; END $$;
             CREATE TRIGGER theirs AFTER UPDATE OF status ON bookings FOR EACH ROW
                WHEN (NEW.status = 'confirmed' AND OLD.status = 'pending') EXECUTE FUNCTION theirs()",
        )
        .await
        .unwrap();
    // No pass within this time includes the hourly sweep, which would correct it.
    app.run(noon()).await;
    app.sql(
        "UPDATE bookings SET status = 'confirmed' WHERE id = $1",
        &[&id],
    )
    .await;
    for time in [
        minutes(1),
        minutes(2),
        minutes(60),
        minutes(61),
        minutes(120),
    ] {
        app.run(noon() + time).await;
    }
    assert_eq!(app.ses.mails().len(), 1);
}

#[tokio::test]
async fn a_contact_view_with_two_rows_for_a_person_sends_one_mail() {
    let app = App::new().await;
    app.confirmed(noon() + hours(24)).await;
    app.db
        .batch_execute(
            "ALTER VIEW booking_automation_contacts RENAME TO once;
             CREATE VIEW booking_automation_contacts AS SELECT * FROM once UNION ALL SELECT * FROM once",
        )
        .await
        .unwrap();
    let foreseen = app
        .call(&["run", "--dry-run", "--as-of", &noon().to_rfc3339()])
        .await
        .summary();
    assert_eq!(foreseen["reminders"]["deferred"], 1);
    assert_eq!(app.run(noon()).await["reminders"]["sent"], 1);
    assert_eq!(app.ses.mails().len(), 1);
}

#[tokio::test]
async fn a_schema_older_than_the_program_is_refused() {
    let app = App::new().await;
    let id = app.confirmed(noon()).await;
    app.sql(
        "DELETE FROM booking_automation_migrations WHERE name = '17_cancellation'",
        &[],
    )
    .await;
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert!(
        !said.success
            && said
                .stderr
                .contains("run `booking-automation migrate` first"),
        "{}",
        said.stderr
    );
    assert_eq!(app.status(id).await, "confirmed");
}

/// Replaces the contact view with one that divides by the price of the booking.
async fn break_view_for_free_bookings(app: &App) {
    app.db
        .batch_execute(
            "ALTER VIEW booking_automation_contacts RENAME TO sound;
             CREATE VIEW booking_automation_contacts AS
                SELECT s.booking_id, s.audience, s.email, s.name || CASE WHEN 1 / coalesce(b.total_price, 1) > 0 THEN '' END AS name,
                       s.timezone, s.language, s.service, s.with_name, s.place, s.meeting_link, s.is_online, s.place_timezone
                  FROM sound s JOIN bookings b ON b.id = s.booking_id",
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn a_contact_view_that_fails_for_one_booking_does_not_stop_other_mail() {
    let app = App::new().await;
    let mut ids = Vec::new();
    for minute in 0..6 {
        ids.push(app.confirmed(noon() + hours(23) + minutes(minute)).await);
    }
    app.sql(
        "UPDATE bookings SET total_price = 0 WHERE id = $1",
        &[&ids[2]],
    )
    .await;
    break_view_for_free_bookings(&app).await;
    let notification =
        "INSERT INTO booking_automation_events (booking_id, event_type, status, starts_at, next_attempt_at)
                        VALUES (gen_random_uuid(), 'notification_sent', 'pending', '2020-01-01', '2020-01-01')";
    app.sql(notification, &[]).await;
    let summary = app.run(noon()).await;
    assert_eq!(
        count_rows(
            &app,
            "booking_automation_events WHERE event_type = 'notification_sent' AND claim = 0"
        )
        .await,
        1
    );
    let reminders = &summary["reminders"];
    assert_eq!(
        (
            &reminders["sent"],
            &reminders["retrying"],
            &reminders["failed"]
        ),
        (&json!(5), &json!(1), &json!(0))
    );
    assert_eq!(app.reminders(ids[2]).await, ["24h pending contacts"]);
}

/// Another instance locks the message after its view failed and before the failure is recorded.
#[tokio::test]
async fn a_failed_view_counts_for_no_other_message() {
    let app = App::new().await;
    let first = app.confirmed(noon() + hours(23)).await;
    let second = app.confirmed(noon() + hours(23) + minutes(1)).await;
    app.sql(
        "UPDATE bookings SET total_price = 0 WHERE id = $1",
        &[&first],
    )
    .await;
    // The pass reads it, and the claim of the page. Then it waits until the test says so.
    let view = "CREATE SEQUENCE times;
                CREATE FUNCTION fail() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
                    IF nextval('public.times') > 2 THEN PERFORM pg_advisory_xact_lock(77); END IF;
                    RAISE EXCEPTION 'no contact';
                END $$;
                GRANT USAGE ON SEQUENCE times TO PUBLIC;
                DO $do$ BEGIN
                    EXECUTE 'CREATE OR REPLACE VIEW booking_automation_contacts AS
                             SELECT shipped.booking_id, audience, CASE WHEN b.total_price = 0 THEN fail() ELSE email END AS email, name, timezone,
                                    language, service, with_name, place, shipped.meeting_link, shipped.is_online, place_timezone
                               FROM (' || rtrim(pg_get_viewdef('booking_automation_contacts'), ';') || ') AS shipped
                               JOIN bookings b ON b.id = shipped.booking_id';
                END $do$";
    app.db.batch_execute(view).await.unwrap();
    let (gate, mut other) = (connect(&app.url).await, connect(&app.url).await);
    gate.batch_execute("SELECT pg_advisory_lock(77)")
        .await
        .unwrap();
    let lock = async {
        let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 AND NOT granted
                                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
        app.wait_until(waits).await;
        let transaction = other.transaction().await.unwrap();
        let sql = "SELECT FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'reminder_sent' FOR UPDATE";
        let locked = async { transaction.execute(sql, &[&first]).await };
        let open = async {
            let queued = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event <> 'advisory'
                                            AND datname = current_database())";
            app.wait_until(queued).await;
            gate.batch_execute("SELECT pg_advisory_unlock(77)")
                .await
                .unwrap();
        };
        let (locked, ()) = tokio::join!(locked, open);
        locked.unwrap();
        transaction
    };
    let at_noon = noon().to_rfc3339();
    let call = ["run", "--as-of", &at_noon];
    let (_, transaction) = tokio::join!(app.call(&call), lock);
    drop(transaction);
    let blamed = "SELECT booking_id::text FROM booking_automation_events WHERE event_data -> 'attempts' @> '[{\"outcome\": \"contacts\"}]'";
    let blamed = app.column(blamed, &[]).await;
    assert!(!blamed.contains(&second.to_string()), "{blamed:?}");
}

#[tokio::test]
async fn a_view_that_fails_for_a_past_booking_counts_for_no_other_message() {
    let app = App::new().await;
    let past = app.confirmed(noon() + hours(23)).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slower"));
    app.run(noon()).await;
    app.sql(
        "UPDATE bookings SET total_price = 0 WHERE id = $1",
        &[&past],
    )
    .await;
    break_view_for_free_bookings(&app).await;
    let ahead = [
        app.confirmed(noon() + hours(47)).await,
        app.confirmed(noon() + hours(47) + minutes(1)).await,
    ];
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    app.run(noon() + hours(23) + minutes(1)).await;
    for id in ahead {
        assert_eq!(app.reminders(id).await, ["24h completed"]);
    }
    assert_eq!(app.reminders(past).await, ["24h failed contacts"]);
}

#[tokio::test]
async fn a_failing_contact_view_keeps_the_doubt_and_the_ses_event_of_a_killed_sender() {
    let app = App::new().await;
    app.ses.answer(|_| Answer::Silence);
    let ids = [
        app.confirmed(noon() + hours(23)).await,
        app.confirmed(noon() + hours(24)).await,
    ];
    let mut process = app
        .command(&["run", "--as-of", &noon().to_rfc3339()])
        .spawn()
        .unwrap();
    app.ses.wait_for_mails(2).await;
    process.kill().await.unwrap();
    // SES has reported one of them as accepted.
    app.sql(
        "INSERT INTO booking_automation_feedback (event_id, booking_id, kind, message_id, occurred_at, details)
         SELECT id, booking_id, 'sent', 'theirs', now(), '{}' FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'reminder_sent'",
        &[&ids[1]],
    )
    .await;
    app.sql("UPDATE bookings SET total_price = 0", &[]).await;
    break_view_for_free_bookings(&app).await;
    app.make_claimable().await;
    let summary = app.run(noon()).await;
    assert_eq!(
        (
            &summary["reminders"]["retrying"],
            &summary["reminders"]["sent"]
        ),
        (&1.into(), &1.into()),
        "{summary}"
    );
    assert_eq!(app.reminders(ids[0]).await, ["24h pending contacts"]);
    assert_eq!(app.reminders(ids[1]).await, ["24h completed"]);
    let attempts = app
        .column(
            "SELECT event_data ->> 'attempts' FROM booking_automation_events WHERE event_type = 'reminder_sent' ORDER BY starts_at",
            &[],
        )
        .await;
    assert!(attempts[0].contains("the lease ran out"), "{attempts:?}");
    assert!(
        attempts[1].contains("settled_by") && attempts[1].contains("theirs"),
        "{attempts:?}"
    );
    // It was not tried again.
    assert_eq!(attempts[1].matches("\"attempt\"").count(), 1);
    let told = "SELECT concat_ws(' ', status, reason, attempts, executed_at = $1) FROM booking_automation_events
                 WHERE event_type = 'reminder_sent' ORDER BY starts_at";
    assert_eq!(
        app.column(told, &[&noon()]).await,
        ["pending contacts 2", "completed 1 t"]
    );
    let flags = "SELECT reminder_24h_sent::text FROM bookings ORDER BY scheduled_at";
    assert_eq!(app.column(flags, &[]).await, ["false", "true"]);
}

#[tokio::test]
async fn a_failing_contact_view_sets_no_flag_for_providers() {
    let app = App::new().await;
    app.set_clock(noon() - hours(1000)).await;
    let rules = "UPDATE reminder_rules SET active = false;
                 INSERT INTO reminder_rules (name, lead, audience) VALUES ('24h', '24 hours', 'provider')";
    app.db.batch_execute(rules).await.unwrap();
    app.ses
        .answer(|_| Answer::Error(500, "InternalFailure", "?"));
    let id = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    // As if its sender had been killed; SES has reported the message as accepted.
    let sending = "UPDATE booking_automation_events SET status = 'sending' WHERE booking_id = $1";
    app.sql(sending, &[&id]).await;
    let feedback = "INSERT INTO booking_automation_feedback (event_id, booking_id, kind, message_id, occurred_at, details)
                    SELECT id, booking_id, 'sent', 'theirs', now(), '{}' FROM booking_automation_events WHERE booking_id = $1";
    app.sql(feedback, &[&id]).await;
    app.sql("UPDATE bookings SET total_price = 0", &[]).await;
    break_view_for_free_bookings(&app).await;
    app.make_claimable().await;
    for minute in 0..2 {
        app.run(noon() + minutes(minute)).await;
    }
    assert_eq!(app.reminders(id).await, ["24h completed"]);
    let flag = "SELECT reminder_24h_sent FROM bookings WHERE id = $1";
    assert!(!app.one(flag, &[&id]).await.get::<_, bool>(0));
}

#[tokio::test]
async fn a_failing_contact_view_does_not_touch_a_message_being_recorded() {
    let app = App::new().await;
    let ids = [
        app.confirmed(noon() + hours(23)).await,
        app.confirmed(noon() + hours(24)).await,
    ];
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    app.sql("UPDATE bookings SET total_price = 0", &[]).await;
    break_view_for_free_bookings(&app).await;
    app.make_claimable().await;
    // A sender whose answer came late and who has not committed yet.
    let other = connect(&app.url).await;
    other.batch_execute("BEGIN").await.unwrap();
    let record = "UPDATE booking_automation_events SET status = 'completed', next_attempt_at = NULL
                   WHERE booking_id = $1 AND event_type = 'reminder_sent'";
    assert_eq!(other.execute(record, &[&ids[0]]).await.unwrap(), 1);
    assert_eq!(app.run(noon()).await["reminders"]["retrying"], 1);
    other.batch_execute("COMMIT").await.unwrap();
    assert!(app.reminders(ids[0]).await[0].starts_with("24h completed"));
    assert_eq!(app.reminders(ids[1]).await, ["24h pending contacts"]);
}

#[tokio::test]
async fn a_failing_contact_view_ends_a_message_without_time_for_a_retry() {
    let app = App::new().await;
    let id = app.confirmed(noon() + chrono::Duration::seconds(59)).await;
    app.sql("UPDATE bookings SET total_price = 0", &[]).await;
    break_view_for_free_bookings(&app).await;
    app.run(noon()).await;
    assert_eq!(
        app.reminders(id).await.last().unwrap(),
        "15m failed contacts"
    );
}

#[tokio::test]
async fn a_failing_contact_view_ends_a_message_after_five_attempts() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(23)).await;
    app.sql("UPDATE bookings SET total_price = 0", &[]).await;
    break_view_for_free_bookings(&app).await;
    let attempts = "SELECT concat_ws(' ', status, reason, attempts) FROM booking_automation_events WHERE event_type = 'reminder_sent'";
    let told = "SELECT concat_ws(' ', error_message LIKE '%division by zero%', event_data ? 'run_id', flag_due, executed_at = $1,
                                 round(extract(epoch FROM next_attempt_at - now()) / 60))
                  FROM booking_automation_events WHERE event_type = 'reminder_sent'";
    for (attempt, minutes) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        app.run(noon()).await;
        assert_eq!(
            app.column(attempts, &[]).await,
            [format!("pending contacts {attempt}")]
        );
        assert_eq!(
            app.column(told, &[&noon()]).await,
            [format!("t t f {minutes}")]
        );
        app.make_claimable().await;
    }
    assert_eq!(app.run(noon()).await["reminders"]["failed"], 1);
    assert_eq!(app.column(attempts, &[]).await, ["failed contacts 5"]);
    assert_eq!(app.column(told, &[&noon()]).await, ["t t f t"]);

    // A sender that died in the last attempt has used that attempt.
    app.sql_without_triggers(
        "UPDATE booking_automation_events SET status = 'sending', claim = claim + 1, next_attempt_at = now(), lease_until = now()
          WHERE event_type = 'reminder_sent'",
    )
    .await;
    app.run(noon()).await;
    assert_eq!(app.column(attempts, &[]).await, ["failed contacts 5"]);
    assert_eq!(app.reminders(id).await, ["24h failed contacts"]);
    assert!(app.ses.mails().is_empty());
}

#[tokio::test]
async fn a_missing_contact_view_defers_all_messages() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    app.db
        .batch_execute("ALTER VIEW booking_automation_contacts RENAME TO gone")
        .await
        .unwrap();
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert_eq!(said.summary()["reminders"]["deferred"], 1);
    assert!(
        said.stderr
            .contains("the outbox cannot be reached: SQLSTATE 42P01"),
        "{}",
        said.stderr
    );
    app.db
        .batch_execute("ALTER VIEW gone RENAME TO booking_automation_contacts")
        .await
        .unwrap();
    app.run(noon()).await;
    assert_eq!(app.reminders(id).await, ["24h completed"]);
    let attempts: i32 = app
        .one(
            "SELECT attempts FROM booking_automation_events WHERE booking_id = $1",
            &[&id],
        )
        .await
        .get(0);
    assert_eq!(attempts, 2, "one throttled attempt and one that was sent");
}

#[tokio::test]
async fn a_role_without_privileges_gets_a_privilege_error_and_no_advice_to_migrate() {
    let mut app = App::new().await;
    app.env.insert("DATABASE_URL", app.backend_url().await);
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert!(
        !said.success && said.stderr.contains("the pass failed: SQLSTATE 42501"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("migrate` first"), "{}", said.stderr);
}

#[tokio::test]
async fn a_failed_connection_is_reported_with_its_reason() {
    let mut app = App::empty().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    app.env.insert(
        "DATABASE_URL",
        format!("postgres://user@{}/x", listener.local_addr().unwrap()),
    );
    drop(listener);
    let said = app.call(&["run"]).await;
    assert!(
        !said.success && said.stderr.contains("Connection refused"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn a_temporarily_unavailable_database_loses_no_outcome() {
    let app = App::new().await;
    for _ in 0..10 {
        app.confirmed(noon() + hours(24)).await;
    }
    app.ses.answer(|_| Answer::Slow(Duration::from_secs(1)));
    let noon_text = noon().to_rfc3339();
    let arguments = ["run", "--as-of", &noon_text];
    let call = app.call(&arguments);
    let outage = async {
        app.ses.wait_for_mails(10).await;
        let (base, name) = app.url.rsplit_once('/').unwrap();
        let admin = connect(&format!("{base}/postgres")).await;
        admin
            .batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
            .await
            .unwrap();
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'booking-automation'";
        admin.query(end, &[&name]).await.unwrap();
        // Longer than a few quick retries.
        tokio::time::sleep(Duration::from_secs(5)).await;
        admin
            .batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
            .await
            .unwrap();
    };
    let (said, ()) = tokio::join!(call, outage);
    assert_eq!(said.summary()["reminders"]["sent"], 10, "{}", said.stderr);
    assert_eq!(
        count_rows(
            &app,
            "booking_automation_events WHERE status = 'completed' AND message_id IS NOT NULL"
        )
        .await,
        10
    );
    app.make_claimable().await;
    app.run(noon()).await;
    assert_eq!(app.ses.mails().len(), 10, "no message is sent twice");
}

#[tokio::test]
async fn decisions_beyond_the_limit_of_a_pass_are_made_by_the_next_pass() {
    let app = App::new().await;
    app.sql("UPDATE users SET email = NULL", &[]).await;
    app.run(noon()).await;
    // Three rules are due for each booking.
    app.sql(
        "INSERT INTO bookings (customer_id, status, scheduled_at) SELECT $1, 'confirmed', $2 FROM generate_series(1, 19000)",
        &[&app.customer, &(noon() + minutes(10))],
    )
    .await;
    for minute in 1..4 {
        app.run(noon() + minutes(minute)).await;
    }
    assert_eq!(
        count_rows(
            &app,
            "booking_automation_events WHERE event_type = 'reminder_sent'"
        )
        .await,
        57_000
    );
}

#[tokio::test]
async fn a_failed_full_scan_does_not_block_new_bookings() {
    let app = App::new().await;
    app.run(noon()).await;
    app.db
        .batch_execute("SET session_replication_role = replica")
        .await
        .unwrap();
    let missed = app.booking("confirmed", noon() + hours(20)).await;
    app.db
        .batch_execute(&format!(
            "SET session_replication_role = DEFAULT;
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON booking_automation_events FOR EACH ROW
                 WHEN (NEW.booking_id = '{missed}') EXECUTE FUNCTION refuse()"
        ))
        .await
        .unwrap();
    let new = app.booking("confirmed", noon() + hours(20)).await;
    app.sql(
        "UPDATE reminder_rules SET lead = '16 minutes' WHERE name = '15m'",
        &[],
    )
    .await;
    let said = app
        .call(&["run", "--as-of", &(noon() + minutes(1)).to_rfc3339()])
        .await;
    assert_eq!(said.summary()["reminders"]["sent"], 1);
    assert!(
        said.stderr
            .contains("deciding about all reminders that are due failed"),
        "{}",
        said.stderr
    );
    assert_eq!(app.reminders(new).await, ["24h completed"]);
}

#[tokio::test]
async fn a_failed_sweep_does_not_fail_the_pass() {
    let app = App::new().await;
    let stray = app.confirmed(noon() + hours(20)).await;
    app.run(noon()).await;
    app.db
        .batch_execute(&format!(
            "SET session_replication_role = replica;
             UPDATE bookings SET scheduled_at = scheduled_at + interval '1 minute' WHERE id = '{stray}';
             SET session_replication_role = DEFAULT;
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON booking_automation_state FOR EACH ROW EXECUTE FUNCTION refuse()"
        ))
        .await
        .unwrap();
    let (starts, due) = (
        app.confirmed(noon() + hours(1)).await,
        app.confirmed(noon() + hours(25)).await,
    );
    let said = app
        .call(&["run", "--as-of", &(noon() + hours(1)).to_rfc3339()])
        .await;
    assert!(
        said.stderr
            .contains("this booking is left out of the sweep"),
        "{}",
        said.stderr
    );
    assert_eq!(said.summary()["transitions"]["started"], 1);
    assert_eq!(app.status(starts).await, "in_progress");
    assert_eq!(app.reminders(due).await, ["24h completed"]);
}

#[tokio::test]
async fn database_settings_do_not_change_the_result() {
    let app = App::new().await;
    let (_, name) = app.url.rsplit_once('/').unwrap();
    app.db
        .batch_execute(&format!(
            "CREATE SCHEMA elsewhere;
             CREATE TABLE elsewhere.bookings (LIKE bookings);
             ALTER DATABASE {name} SET search_path = elsewhere, public;
             ALTER DATABASE {name} SET TimeZone = 'Asia/Kathmandu';
             ALTER DATABASE {name} SET DateStyle = 'German';
             ALTER DATABASE {name} SET default_transaction_isolation = 'serializable';
             ALTER DATABASE {name} SET default_transaction_read_only = on"
        ))
        .await
        .unwrap();
    let (ended, soon) = (
        app.confirmed(noon() - hours(2)).await,
        app.confirmed(noon() + hours(24)).await,
    );
    app.run(noon()).await;
    assert_eq!(
        (app.status(ended).await, app.reminders(soon).await),
        ("completed".to_owned(), vec!["24h completed".to_owned()])
    );
    let log = "SELECT automation_logs -> 0 ->> 'due_at' FROM bookings WHERE id = $1";
    assert_eq!(
        app.column(log, &[&ended]).await,
        ["2026-03-01T10:00:00+00:00"]
    );
    // The sweep runs at the same minute of UTC, also in a zone with an offset of 45 minutes.
    app.db
        .batch_execute("SET session_replication_role = replica")
        .await
        .unwrap();
    let added = app.booking("confirmed", noon() + hours(20)).await;
    app.run(noon() + minutes(6)).await;
    app.run(noon() + minutes(7)).await;
    assert_eq!(app.reminders(added).await, ["24h pending"]);
}

#[tokio::test]
async fn every_transaction_has_statement_lock_and_idle_timeouts() {
    let app = App::new().await;
    app.db
        .batch_execute(
            "CREATE TABLE seen (at text, statement integer, lock integer, idle integer, jit text, dates text);
             CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
             DECLARE
                 milliseconds jsonb := (SELECT jsonb_object_agg(name, setting) FROM pg_settings WHERE name LIKE '%timeout' AND unit = 'ms');
             BEGIN
                 INSERT INTO seen SELECT TG_TABLE_NAME, (milliseconds ->> 'statement_timeout')::int, (milliseconds ->> 'lock_timeout')::int,
                     (milliseconds ->> 'idle_in_transaction_session_timeout')::int, current_setting('jit'), split_part(current_setting('DateStyle'), ',', 1);
                 RETURN NEW;
             END $$;
             CREATE TRIGGER seen BEFORE INSERT ON booking_automation_events FOR EACH ROW
                 WHEN (NEW.event_type = 'reminder_sent') EXECUTE FUNCTION seen();
             CREATE TRIGGER seen BEFORE INSERT ON automation_runs FOR EACH ROW EXECUTE FUNCTION seen();
             DO $$ BEGIN
                 EXECUTE format('ALTER DATABASE %I SET statement_timeout = 0', current_database());
                 EXECUTE format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = 0', current_database());
                 EXECUTE format('ALTER DATABASE %I SET jit = on', current_database());
                 EXECUTE format('ALTER DATABASE %I SET DateStyle = German', current_database());
             END $$",
        )
        .await
        .unwrap();
    app.confirmed(noon() + hours(24)).await;
    // The first pass checks all bookings, the second has no work.
    for at in [noon() - minutes(2), noon() - minutes(1), noon()] {
        app.call(&["run", "--for", "200s", "--as-of", &at.to_rfc3339()])
            .await
            .summary();
    }
    // Statements in a savepoint have half of the time, and later ones the whole.
    let seen = app
        .column(
            "SELECT concat_ws(' ', at, statement, lock, idle, jit, dates) FROM seen",
            &[],
        )
        .await;
    let run = "automation_runs 25000 100 10000 off ISO";
    assert_eq!(
        seen,
        [
            run,
            run,
            "booking_automation_events 12500 100 10000 off ISO",
            run
        ]
    );
    // A shorter call has a quarter of its time for a statement.
    app.sql("TRUNCATE seen", &[]).await;
    app.call(&[
        "run",
        "--for",
        "20s",
        "--as-of",
        &(noon() + minutes(1)).to_rfc3339(),
    ])
    .await
    .summary();
    let statement: i32 = app.one("SELECT statement FROM seen", &[]).await.get(0);
    assert!((1000..=5000).contains(&statement), "{statement}");
}

#[tokio::test]
async fn a_publication_of_all_tables_blocks_no_update() {
    let app = App::new().await;
    app.db
        .batch_execute("CREATE PUBLICATION everything FOR ALL TABLES")
        .await
        .unwrap();
    let started = app.confirmed(noon()).await;
    app.confirmed(noon() + hours(24)).await;
    let summary = app.run(noon()).await;
    assert_eq!(
        (
            &summary["reminders"]["sent"],
            &summary["transitions"]["started"]
        ),
        (&1.into(), &1.into())
    );
    app.sql(
        "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
        &[&started],
    )
    .await;
    // With the publication, a table without a key cannot be updated.
    let without = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
                      AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = pg_class.oid AND indisprimary)";
    assert_eq!(app.column(without, &[]).await, [""; 0]);
}

#[tokio::test]
async fn duration_minutes_may_be_bigint_or_smallint() {
    for duration in ["bigint USING 9223372036854775807", "smallint USING 60"] {
        let app = App::new().await;
        let (id, reminded) = (
            app.confirmed(noon()).await,
            app.confirmed(noon() + hours(24)).await,
        );
        app.db
            .batch_execute(&format!(
                "ALTER TABLE bookings ALTER COLUMN duration_minutes TYPE {duration}"
            ))
            .await
            .unwrap();
        assert_eq!(app.run(noon()).await["transitions"]["started"], 1);
        assert_eq!(app.status(id).await, "in_progress");
        assert_eq!(
            app.reminders(reminded).await,
            ["24h completed"],
            "{duration}"
        );
    }
}

#[tokio::test]
async fn a_contact_view_with_other_column_types_works() {
    let app = App::new().await;
    app.db
        .batch_execute(
            "CREATE TYPE zone AS ENUM ('Europe/Vienna');
             CREATE TYPE tongue AS ENUM ('de');
             ALTER VIEW booking_automation_contacts RENAME TO sound;
             CREATE VIEW booking_automation_contacts AS
                SELECT booking_id, audience::name, email::varchar(320), name::char(30), timezone::zone, 'de'::tongue AS language, to_jsonb(service) AS service,
                       with_name::name, place, meeting_link, is_online::integer, place_timezone::zone
                  FROM sound",
        )
        .await
        .unwrap();
    app.confirmed(noon() + hours(24)).await;
    assert_eq!(app.run(noon()).await["reminders"]["sent"], 1);
    assert!(
        app.ses.mails()[0]
            .text()
            .contains("13:00–14:00 Mitteleuropäische Zeit (UTC+01:00)"),
        "{}",
        app.ses.mails()[0].text()
    );
}

/// The log of a run that fails. The lock of the one before may be held until its session has ended.
async fn log_of_failed_run(app: &App) -> String {
    app.wait_until(
        "SELECT NOT EXISTS (SELECT FROM pg_locks JOIN pg_database d ON d.oid = database
                             WHERE locktype = 'advisory' AND datname = current_database())",
    )
    .await;
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert!(!said.success, "{}", said.stderr);
    said.stderr
}

#[tokio::test]
async fn a_role_that_lacks_a_privilege_hears_which_one_on_what() {
    let app = App::new().await;
    app.confirmed(noon() + hours(24)).await;
    for (take, give, expected) in [
        (
            "REVOKE SELECT ON reminder_rules FROM booking_automation_pass",
            "GRANT SELECT ON reminder_rules TO booking_automation_pass",
            "permission denied for table reminder_rules: this role needs SELECT on public.reminder_rules",
        ),
        (
            "REVOKE INSERT ON automation_runs FROM booking_automation_pass",
            "GRANT INSERT ON automation_runs TO booking_automation_pass",
            "permission denied for table automation_runs: \
             this role needs SELECT, INSERT, UPDATE, DELETE on public.automation_runs",
        ),
        (
            "REVOKE EXECUTE ON FUNCTION booking_automation_is_due FROM PUBLIC, booking_automation_pass",
            "GRANT EXECUTE ON FUNCTION booking_automation_is_due TO PUBLIC",
            "permission denied for function booking_automation_is_due: this role needs EXECUTE on booking_automation_is_due",
        ),
        (
            "REVOKE USAGE ON SCHEMA public FROM PUBLIC, booking_automation_pass",
            "GRANT USAGE ON SCHEMA public TO PUBLIC",
            "permission denied for schema public: this role needs USAGE on public",
        ),
    ] {
        app.db.batch_execute(take).await.unwrap();
        let log = log_of_failed_run(&app).await;
        assert!(
            log.contains(&format!("SQLSTATE 42501: {expected}")),
            "{log}"
        );
        app.db.batch_execute(give).await.unwrap();
    }
    // A trigger may raise the same with any text.
    app.db
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION 'permission denied for table carla' USING ERRCODE = '42501'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON automation_runs FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    let log = log_of_failed_run(&app).await;
    assert!(
        log.contains("SQLSTATE 42501") && !log.contains("carla"),
        "{log}"
    );
    let database = app.url.rsplit('/').next().unwrap();
    app.db
        .batch_execute(&format!(
            "REVOKE CONNECT ON DATABASE {database} FROM PUBLIC"
        ))
        .await
        .unwrap();
    let log = log_of_failed_run(&app).await;
    assert!(
        log.contains("User does not have CONNECT privilege"),
        "{log}"
    );
}

#[tokio::test]
async fn only_what_is_missing_of_ours_is_answered_by_migrate() {
    let app = App::new().await;
    app.confirmed(noon() + hours(24)).await;
    for (body, missing) in [
        (
            "RETURN theirs(booking.id);",
            "function theirs(uuid) does not exist",
        ),
        (
            "RETURN (SELECT kept FROM theirs WHERE id = booking.id);",
            "relation \"theirs\" does not exist",
        ),
        // Ours, which the owner's function misses by mistake; and a column.
        (
            "RETURN booking_automation_old(booking);",
            "function booking_automation_old(",
        ),
        (
            "RETURN (SELECT kept FROM public.services WHERE id = booking.service_id);",
            "column \"kept\" does not exist",
        ),
    ] {
        app.db
            .batch_execute(&format!(
                "CREATE OR REPLACE FUNCTION booking_automation_is_live(booking bookings) RETURNS boolean
                    LANGUAGE plpgsql STABLE AS $$ BEGIN {body} END $$"
            ))
            .await
            .unwrap();
        let log = log_of_failed_run(&app).await;
        assert!(!log.contains("migrate` first"), "{log}");
        assert!(
            log.contains(missing) && log.contains("in public.booking_automation_is_live("),
            "{log}"
        );
    }
    app.db
        .batch_execute(
            "CREATE OR REPLACE FUNCTION booking_automation_is_live(booking bookings) RETURNS boolean
                LANGUAGE sql STABLE AS 'SELECT true';
             DROP FUNCTION booking_automation_is_due CASCADE",
        )
        .await
        .unwrap();
    let log = log_of_failed_run(&app).await;
    assert!(log.contains("migrate` first"), "{log}");
}
