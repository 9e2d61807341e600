//! Migrations of an empty database and of a live one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::io::{AsyncBufReadExt, BufReader};

use booking_automation::database::functions;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::app::{App, CommandOutput, connect, hours, noon};

const THEIRS: &str = include_str!("theirs.sql");

/// The catalog's description of the schema, as a hash.
const CATALOG: &str = "
    SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
        SELECT format('column %s.%s %s %s %s %s', attrelid::regclass, attname, atttypid::regtype, attnotnull, attnum,
                      pg_get_expr(adbin, adrelid)) AS line
          FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
          JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND attnum > 0
        UNION ALL SELECT format('index %s %s %s', indexrelid, indisvalid, pg_get_indexdef(indexrelid)) FROM pg_index
        UNION ALL SELECT format('constraint %s %s %s', oid, convalidated, pg_get_constraintdef(oid)) FROM pg_constraint
        UNION ALL SELECT format('trigger %s %s', oid, pg_get_triggerdef(oid)) FROM pg_trigger
        UNION ALL SELECT format('function %s %s', oid, prosrc) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT format('rule %s %s', name, effective_from) FROM reminder_rules
    ) AS catalog";

async fn migrate(app: &App) -> CommandOutput {
    let said = app.call(&["migrate"]).await;
    assert!(said.success, "{}", said.stderr);
    said
}

#[tokio::test]
async fn migrate_creates_everything_and_a_second_run_changes_nothing() {
    let app = App::empty().await;
    let first = migrate(&app).await;
    assert!(first.stderr.contains("07_triggers"), "{}", first.stderr);
    let tables = app.column("SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') ORDER BY 1", &[]).await;
    assert_eq!(
        tables,
        [
            "automation_runs",
            "booking_automation_attendance",
            "booking_automation_callers",
            "booking_automation_cancellation_policies",
            "booking_automation_channels",
            "booking_automation_claim_marks",
            "booking_automation_contacts",
            "booking_automation_digest_rules",
            "booking_automation_digest_state",
            "booking_automation_erasures",
            "booking_automation_events",
            "booking_automation_feedback",
            "booking_automation_functions",
            "booking_automation_hash_key",
            "booking_automation_link_keys",
            "booking_automation_looks",
            "booking_automation_migrations",
            "booking_automation_not_live",
            "booking_automation_notice_rules",
            "booking_automation_notices",
            "booking_automation_opt_outs",
            "booking_automation_preferences",
            "booking_automation_push_tokens",
            "booking_automation_requests",
            "booking_automation_sms",
            "booking_automation_sms_replies",
            "booking_automation_soft_bounces",
            "booking_automation_state",
            "booking_automation_state_changes",
            "booking_automation_suppressions",
            "booking_automation_sweep",
            "booking_automation_templates",
            "booking_automation_webhooks",
            "bookings",
            "reminder_rules",
            "services",
            "users"
        ]
    );
    let rules = app
        .column(
            "SELECT concat_ws(' ', name, lead, audience, channels, active) FROM reminder_rules ORDER BY lead DESC",
            &[],
        )
        .await;
    assert_eq!(
        rules,
        [
            "24h 24:00:00 customer {email} t",
            "1h 01:00:00 customer {email} t",
            "15m 00:15:00 customer {email} t"
        ]
    );

    let before = app.column(CATALOG, &[]).await;
    let second = migrate(&app).await;
    assert!(second.stderr.contains("nothing to do"), "{}", second.stderr);
    assert_eq!(app.column(CATALOG, &[]).await, before);
}

#[tokio::test]
async fn migrate_applies_a_changed_function_unless_a_newer_migrate_applied_it() {
    let app = App::new().await;
    let replaced = "booking_automation_has_flag";
    let version: i32 = app
        .one("SELECT max(version) FROM booking_automation_functions", &[])
        .await
        .get(0);
    for (recorded, is_applied) in [(version - 1, true), (version, true), (version + 1, false)] {
        app.db
            .batch_execute(&format!(
                "CREATE OR REPLACE FUNCTION {replaced}(rule text, audience text) RETURNS boolean
                     LANGUAGE sql IMMUTABLE AS 'SELECT NULL::boolean';
                 UPDATE booking_automation_functions SET version = {recorded}, digest = 'another'
                  WHERE name = '{replaced}'"
            ))
            .await
            .unwrap();
        migrate(&app).await;
        let row = app
            .one(
                "SELECT booking_automation_has_flag('1h', 'customer') IS TRUE AS is_applied, version
                   FROM booking_automation_functions WHERE name = 'booking_automation_has_flag'",
                &[],
            )
            .await;
        assert_eq!(row.get::<_, bool>("is_applied"), is_applied, "{recorded}");
        assert_eq!(row.get::<_, i32>("version"), version.max(recorded));
    }
}

/// Each released version of the functions' texts, with the digest of them all. Once a version is
/// released, its line does not change; a change adds a line.
const VERSIONS_OF_FUNCTIONS: &[(i32, &str)] = &[
    // 0.2.0
    (
        1,
        "ac4815b456d85e6ce75f5ba84b4a8cab5b3ee333cee46919a8824f811b8b9b54",
    ),
    // 0.3.0
    (
        2,
        "b7e61a14a8e9137636270edc1985d7b7d3099b3d276a140f38474c5f29c987f0",
    ),
];

#[test]
fn changed_functions_have_a_new_version() {
    let mut digest = Sha256::new();
    for (name, text) in functions::FUNCTIONS {
        digest.update(format!("{name}\n{text}"));
    }
    let digest: String = digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        VERSIONS_OF_FUNCTIONS.last(),
        Some(&(functions::VERSION, &digest[..])),
        "a text in schema/functions changed: raise VERSION in src/database/functions.rs if the \
         version before was released, and add both here"
    );
    assert!(VERSIONS_OF_FUNCTIONS.is_sorted_by(|one, next| one.0 < next.0));
}

#[tokio::test]
async fn migrate_creates_a_dropped_function_again() {
    let app = App::new().await;
    app.db
        .batch_execute("DROP FUNCTION booking_automation_rfc3339(timestamptz), booking_automation_has_flag(text, text)")
        .await
        .unwrap();
    let said = migrate(&app).await;
    assert!(
        said.stderr
            .contains("functions: booking_automation_has_flag, booking_automation_rfc3339"),
        "{}",
        said.stderr
    );
}

/// A new text may need a column that a step of the same release adds; a trigger needs its function.
#[tokio::test]
async fn missing_functions_come_before_the_last_steps_and_changed_ones_after() {
    let app = App::new().await;
    app.db
        .batch_execute(
            "DROP FUNCTION booking_automation_rfc3339(timestamptz);
             UPDATE booking_automation_functions SET digest = 'of an older text' WHERE name = 'booking_automation_on_update';
             DELETE FROM booking_automation_migrations WHERE name = '17_cancellation'",
        )
        .await
        .unwrap();
    let said = migrate(&app).await;
    let place = |text: &str| said.stderr.find(text).expect(text);
    let created = place("functions: booking_automation_rfc3339");
    let applied = place("functions: booking_automation_on_update");
    assert!(created < place("17_cancellation") && place("17_cancellation") < applied);
}

#[tokio::test]
async fn migrate_keeps_the_owners_view_of_the_contacts() {
    let app = App::new().await;
    let definition = "SELECT pg_get_viewdef('booking_automation_contacts'::regclass)";
    app.db
        .batch_execute(
            "DROP VIEW booking_automation_contacts;
             CREATE VIEW booking_automation_contacts AS
                 SELECT id AS booking_id, 'customer'::text AS audience, 'owner@example.com'::text AS email,
                        'Owner'::text AS name, 'UTC'::text AS timezone, NULL AS service, NULL AS with_name, NULL AS place,
                        NULL AS meeting_link, false AS is_online, NULL AS place_timezone FROM bookings;
             DELETE FROM booking_automation_functions",
        )
        .await
        .unwrap();
    let before: String = app.one(definition, &[]).await.get(0);
    assert!(before.contains("owner@example.com"), "{before}");
    migrate(&app).await;
    let after: String = app.one(definition, &[]).await.get(0);
    assert_eq!(before, after);
}

#[tokio::test]
async fn constraints_and_indexes_match_their_snapshot() {
    let app = App::empty().await;
    migrate(&app).await;
    let lines = app
        .column(
            "SELECT line FROM (
                SELECT c.relname, 1, a.attname || ' NOT NULL'
                  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                 WHERE c.relkind = 'r' AND a.attnum > 0 AND a.attnotnull AND c.relnamespace = 'public'::regnamespace
                UNION ALL SELECT c.relname, 2, pg_get_constraintdef(k.oid)
                  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
                 WHERE k.contype IN ('c', 'f') AND c.relnamespace = 'public'::regnamespace
                UNION ALL SELECT c.relname, 3, regexp_replace(pg_get_indexdef(i.indexrelid), ' ON public\\.\\w+ USING btree', '')
                  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'public'::regnamespace
             ) AS known (relation, kind, what), LATERAL (SELECT relation || ': ' || what AS line) AS l
             ORDER BY relation, kind, what COLLATE \"C\"",
            &[],
        )
        .await;
    insta::assert_snapshot!("constraints_and_indexes", lines.join("\n"));
}

#[tokio::test]
async fn migrate_keeps_existing_data_and_adds_what_is_missing() {
    let app = App::empty().await;
    app.db.batch_execute(THEIRS).await.unwrap();
    let rows = "SELECT md5(string_agg(to_jsonb(b)::text, '' ORDER BY id)) FROM
        (SELECT id, status, scheduled_at, updated_at, payment_intent, reminder_24h_sent, auto_complete_blocked FROM bookings) AS b";
    let before = app.column(rows, &[]).await;
    let filenode = "SELECT pg_relation_filenode('bookings')::text";
    let file = app.column(filenode, &[]).await;

    let said = migrate(&app).await;
    assert_eq!(app.column(rows, &[]).await, before);
    assert_eq!(
        app.column(filenode, &[]).await,
        file,
        "the table was not rewritten"
    );

    // The status CHECK keeps its name, also allows `expired`, and is valid.
    let check = app
        .one("SELECT pg_get_constraintdef(oid), convalidated FROM pg_constraint WHERE conname = 'valid_status'", &[])
        .await;
    assert!(check.get::<_, String>(0).contains("expired"));
    assert!(check.get::<_, bool>(1));
    for (status, allowed) in [
        ("expired", true),
        ("pending_completion", true),
        ("nonsense", false),
    ] {
        let sql = format!("INSERT INTO bookings (status, scheduled_at) VALUES ('{status}', now())");
        assert_eq!(app.db.execute(&sql, &[]).await.is_ok(), allowed, "{status}");
    }
    let other =
        app.one("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'cancelled_has_time'", &[]).await;
    assert!(!other.get::<_, String>(0).contains("expired"));

    // The preview of the first pass.
    let preview: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(preview["outcome"], "dry_run");
    assert_eq!(
        preview["transitions"],
        serde_json::json!({"started": 0, "completed": 0, "expired": 8000, "remaining": 0})
    );
    let summary = app.call(&["run"]).await.summary();
    assert_eq!(summary["transitions"]["expired"], 8000);

    let before = app.column(CATALOG, &[]).await;
    migrate(&app).await;
    assert_eq!(app.column(CATALOG, &[]).await, before);
}

#[tokio::test]
async fn concurrent_writes_neither_fail_nor_wait_during_migrate() {
    let app = App::empty().await;
    app.db.batch_execute(THEIRS).await.unwrap();
    app.db
        .batch_execute(
            "INSERT INTO bookings (customer_id, status, scheduled_at, duration_minutes)
             SELECT '00000000-0000-0000-0000-00000000000c', 'completed', now() - n * interval '1 minute', 60 FROM generate_series(1, 300000) AS n",
        )
        .await
        .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (writes, slowest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let writer = {
        let backend = app.backend_role().await;
        let (stop, writes, slowest) = (stop.clone(), writes.clone(), slowest.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let started = std::time::Instant::now();
                let sql = "WITH new AS (INSERT INTO bookings (status, scheduled_at) VALUES ('confirmed', now() + interval '3 days') RETURNING id)
                           SELECT id FROM new";
                let id: uuid::Uuid = backend.query_one(sql, &[]).await.unwrap().get(0);
                backend
                    .execute("UPDATE bookings SET status = 'paid' WHERE id = $1", &[&id])
                    .await
                    .unwrap();
                backend
                    .execute("DELETE FROM bookings WHERE id = $1", &[&id])
                    .await
                    .unwrap();
                slowest.fetch_max(
                    u64::try_from(started.elapsed().as_millis()).unwrap(),
                    Ordering::Relaxed,
                );
                writes.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    migrate(&app).await;
    stop.store(true, Ordering::Relaxed);
    writer.await.expect("no write of the backend failed");
    assert!(writes.load(Ordering::Relaxed) > 0);
    // Migrate waits for a lock for one second at most; so do sessions behind it. The limit allows
    // for slow machines.
    assert!(slowest.load(Ordering::Relaxed) < 10_000, "{slowest:?} ms");
}

#[tokio::test]
async fn an_open_transaction_delays_migrate_and_not_other_sessions() {
    let app = App::empty().await;
    app.db.batch_execute(THEIRS).await.unwrap();
    let holder = connect(&app.url).await;
    holder
        .batch_execute("BEGIN; UPDATE bookings SET total_price = 1 WHERE id = (SELECT id FROM bookings LIMIT 1)")
        .await
        .unwrap();
    let migration = app.call(&["migrate"]);
    let release = async {
        // Migrate requests the lock, gives up after a second and retries.
        for _ in 0..2 {
            app.wait_until(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'bookings'::regclass AND NOT granted)",
            )
            .await;
            app.wait_until(
                "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE relation = 'bookings'::regclass AND NOT granted)",
            )
            .await;
        }
        holder.batch_execute("COMMIT").await.unwrap();
    };
    let (said, ()) = tokio::join!(migration, release);
    assert!(said.success, "{}", said.stderr);
    assert!(
        said.stderr.contains("another session holds a lock"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn concurrent_migrations_do_each_step_once() {
    let app = App::empty().await;
    app.db.batch_execute(THEIRS).await.unwrap();
    let calls = futures_util::future::join_all((0..3).map(|_| app.call(&["migrate"]))).await;
    for said in &calls {
        assert!(said.success, "{}", said.stderr);
    }
    let done: usize = calls
        .iter()
        .map(|said| said.stderr.matches("done: ").count())
        .sum();
    assert_eq!(
        done, 52,
        "33 steps, sixteen indexes, the functions, those of the owner, and the triggers, each once"
    );
}

#[tokio::test]
async fn an_index_build_of_a_killed_migration_is_awaited_and_not_restarted() {
    let app = App::empty().await;
    app.db.batch_execute(THEIRS).await.unwrap();
    let holder = connect(&app.url).await;
    holder
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM users LIMIT 1")
        .await
        .unwrap();
    let quiet = std::process::Stdio::null;
    let mut first = app
        .command(&["migrate"])
        .stderr(quiet())
        .stdout(quiet())
        .spawn()
        .unwrap();
    app.wait_until("SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%' AND datname = current_database())").await;
    first.kill().await.unwrap();

    let mut command = app.command(&["migrate"]);
    let mut second = command
        .stderr(std::process::Stdio::piped())
        .stdout(quiet())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(second.stderr.take().unwrap()).lines();
    let mut said = String::new();
    let listen = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("another session holds a lock") {
                holder.batch_execute("COMMIT").await.unwrap();
            }
            said += &line;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), listen)
        .await
        .expect("it waits for the build and continues");
    assert!(second.wait().await.unwrap().success(), "{said}");
    assert!(said.contains("another session holds a lock"), "{said}");
    assert!(
        !said.contains("done: index booking_automation_confirmed_start"),
        "{said}"
    );
    assert!(
        said.contains("done: index booking_automation_in_progress_end"),
        "{said}"
    );
}

#[tokio::test]
async fn an_interrupted_index_build_is_repeated() {
    let app = App::empty().await;
    app.db.batch_execute(THEIRS).await.unwrap();
    // A transaction that has seen the table keeps a concurrent build from finishing.
    let holder = connect(&app.url).await;
    holder
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM users LIMIT 1")
        .await
        .unwrap();
    let mut process = app
        .command(&["migrate"])
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let building = "EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('booking_automation_confirmed_start') AND NOT indisvalid)";
    app.wait_until(&format!("SELECT {building}")).await;
    process.kill().await.unwrap();
    app.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND datname = current_database()", &[])
        .await;
    holder.batch_execute("COMMIT").await.unwrap();
    app.wait_until("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND pid <> pg_backend_pid() AND datname = current_database())").await;
    assert!(
        app.one(&format!("SELECT {building}"), &[])
            .await
            .get::<_, bool>(0),
        "left invalid"
    );

    let said = app.call(&["run"]).await;
    assert!(
        !said.success
            && said
                .stderr
                .contains("run `booking-automation migrate` first"),
        "{}",
        said.stderr
    );
    migrate(&app).await;
    let invalid: i64 = app
        .one("SELECT count(*) FROM pg_index WHERE NOT indisvalid", &[])
        .await
        .get(0);
    assert_eq!(invalid, 0);
    assert_eq!(app.call(&["run"]).await.summary()["outcome"], "completed");
}

#[tokio::test]
async fn a_waiting_step_holds_no_lock_that_writers_need() {
    let app = App::new().await;
    // The state before the migration of the webhooks.
    app.db
        .batch_execute(
            "DROP FUNCTION booking_automation_tell_of_events(), booking_automation_tell_of_moves() CASCADE;
             DROP TABLE booking_automation_webhooks;
             DELETE FROM booking_automation_migrations WHERE name LIKE '16%'",
        )
        .await
        .unwrap();
    let id = app.confirmed(noon() + hours(24)).await;
    // A transaction of the backend that has written to bookings and continues.
    let writer = app.backend_role().await;
    writer
        .batch_execute(
            "BEGIN; LOCK TABLE bookings IN ROW EXCLUSIVE MODE; SET LOCAL lock_timeout = '100ms'",
        )
        .await
        .unwrap();
    let migrate = tokio::spawn(app.command(&["migrate"]).output());
    app.wait_until("SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'bookings'::regclass AND NOT granted)").await;
    writer
        .execute(
            "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
            &[&id],
        )
        .await
        .unwrap();
    writer.batch_execute("COMMIT").await.unwrap();
    assert!(migrate.await.unwrap().unwrap().status.success());
}

#[tokio::test]
async fn other_constraints_stay_unchanged() {
    let app = App::empty().await;
    app.db
        .batch_execute(
            "CREATE TABLE statuses (status text PRIMARY KEY);
             INSERT INTO statuses VALUES ('confirmed'), ('expired');
             CREATE TABLE bookings (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), scheduled_at timestamptz, duration_minutes int,
                 created_at timestamptz, kind text CHECK (kind IN ('private', 'group')), status text CHECK (status IN ('confirmed')),
                 customer_id uuid, provider_id uuid, service_id uuid, location text, meeting_link text, is_online boolean);
             INSERT INTO bookings (status, kind) VALUES ('confirmed', 'private');
             ALTER TABLE bookings ADD CONSTRAINT known FOREIGN KEY (status) REFERENCES statuses NOT VALID;
             ALTER TABLE bookings ADD CONSTRAINT one_kind CHECK (kind = 'private') NOT VALID;
             -- Where bookings have another column, and of another table.
             CREATE TABLE orders (a int, b int, c int, d int, status text CHECK (status IN ('open')));
             ALTER TABLE orders ADD CONSTRAINT open CHECK (status = 'open') NOT VALID",
        )
        .await
        .unwrap();
    let theirs = "SELECT concat_ws(' ', conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid)) FROM pg_constraint
                   WHERE conrelid IN ('bookings'::regclass, 'orders'::regclass) AND conname <> 'bookings_status_check'
                     AND contype <> 'n' ORDER BY conname";
    let before = app.column(theirs, &[]).await;
    assert_eq!(before.len(), 6, "{before:?}");
    let said = app.call(&["migrate", "--create-base-tables"]).await;
    assert!(said.success, "{}", said.stderr);
    assert_eq!(app.column(theirs, &[]).await, before);
    app.sql("INSERT INTO bookings (status) VALUES ('expired')", &[])
        .await;
}

#[tokio::test]
async fn a_check_violated_by_existing_rows_stays_not_valid() {
    let app = App::empty().await;
    app.db.batch_execute(THEIRS).await.unwrap();
    app.db
        .batch_execute(
            "ALTER TABLE bookings DROP CONSTRAINT valid_status;
             UPDATE bookings SET status = 'from the old days' WHERE id = (SELECT id FROM bookings WHERE status = 'paid' LIMIT 1);
             ALTER TABLE bookings ADD CONSTRAINT valid_status CHECK (status IN ('pending', 'confirmed')) NOT VALID",
        )
        .await
        .unwrap();
    migrate(&app).await;
    let check = app
        .one(
            "SELECT convalidated FROM pg_constraint WHERE conname = 'valid_status'",
            &[],
        )
        .await;
    assert!(!check.get::<_, bool>(0));
    app.sql(
        "INSERT INTO bookings (status, scheduled_at) VALUES ('expired', now())",
        &[],
    )
    .await;
}

#[tokio::test]
async fn an_incompatible_schema_is_refused_with_the_reason() {
    for (sql, expected) in [
        ("CREATE TABLE bookings (id uuid, status text, scheduled_at timestamptz) PARTITION BY RANGE (scheduled_at)", "not a plain table"),
        ("CREATE TABLE bookings (id uuid, status text, scheduled_at timestamp)", "bookings.scheduled_at is timestamp without time zone: it must be timestamptz"),
        ("CREATE TABLE bookings (id bigint, status text, scheduled_at timestamptz)", "bookings.id is bigint"),
        ("CREATE TYPE s AS ENUM ('confirmed'); CREATE TABLE bookings (id uuid, status s, scheduled_at timestamptz)", "bookings.status is public.s"),
        ("CREATE TABLE bookings (id uuid, scheduled_at timestamptz)", "bookings.status is absent"),
        ("CREATE TABLE bookings (id uuid, status text); CREATE TABLE slots (scheduled_at timestamptz)", "bookings.scheduled_at is absent"),
        ("CREATE TABLE bookings (status text, scheduled_at timestamptz)", "bookings.id is absent"),
        ("CREATE TABLE users (id uuid PRIMARY KEY, mail text)", "the table public.bookings does not exist"),
        (
            "CREATE TABLE bookings (id uuid PRIMARY KEY, status text, scheduled_at timestamptz, duration_minutes int, created_at timestamptz);
             CREATE TABLE booking_automation_events (id uuid PRIMARY KEY, booking_id uuid NOT NULL REFERENCES bookings (id), event_type text NOT NULL,
                event_data jsonb, scheduled_at timestamptz, executed_at timestamptz, status text, error_message text, created_at timestamptz)",
            "DROP CONSTRAINT booking_automation_events_booking_id_fkey",
        ),
    ] {
        let app = App::empty().await;
        app.db.batch_execute(sql).await.unwrap();
        let said = app.call(&["migrate"]).await;
        assert!(!said.success);
        assert!(said.stderr.contains(expected), "{expected}: {}", said.stderr);
    }
}

#[tokio::test]
async fn only_one_migration_runs_at_a_time() {
    let app = App::empty().await;
    let other = connect(&app.url).await;
    // The lock of the migrations (src/database/migrate/step.rs).
    other
        .batch_execute(&format!(
            "SELECT pg_advisory_lock({})",
            0x626b_6175_746f_0002_i64
        ))
        .await
        .unwrap();
    let migrate = tokio::spawn(app.command(&["migrate"]).output());
    app.wait_until(
        "SELECT count(*) > 0 FROM pg_locks
          WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .await;
    drop(other);
    assert!(migrate.await.unwrap().unwrap().status.success());
}

#[tokio::test]
async fn an_index_build_may_exceed_the_idle_transaction_timeout() {
    let app = App::empty().await;
    app.db
        .batch_execute(include_str!("theirs.sql"))
        .await
        .unwrap();
    // A transaction that has seen the table keeps a concurrent build from finishing.
    let holder = connect(&app.url).await;
    holder
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM users LIMIT 1")
        .await
        .unwrap();
    let migrate = tokio::spawn(app.command(&["migrate"]).output());
    // The guard session is idle in its transaction for longer than the usual ten seconds.
    for (time, idles) in [("0 s", "it begins"), ("10.5 s", "it has not been ended")] {
        let guard = format!(
            "SELECT EXISTS (SELECT FROM pg_stat_activity
                             WHERE datname = current_database() AND state = 'idle in transaction' AND query LIKE '%pg_advisory%'
                               AND clock_timestamp() - state_change > interval '{time}') -- {idles}"
        );
        app.wait_until(&guard).await;
    }
    drop(holder);
    assert!(migrate.await.unwrap().unwrap().status.success());
}

#[tokio::test]
async fn another_schema_needs_only_another_contact_view() {
    let app = App::empty().await;
    app.db
        .batch_execute(
            "CREATE TABLE users (id uuid PRIMARY KEY);
             CREATE TABLE people (booking_id uuid, mail text, zone text);
             CREATE TABLE bookings (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), status text, scheduled_at timestamptz, duration_minutes int, created_at timestamptz);
             CREATE VIEW booking_automation_contacts AS
                SELECT booking_id, 'customer' AS audience, mail AS email, 'Kim' AS name, zone AS timezone, NULL::text AS language,
                       'Haircut' AS service, NULL::text AS with_name, NULL::text AS place, NULL::text AS meeting_link,
                       false AS is_online, NULL::text AS place_timezone
                  FROM people",
        )
        .await
        .unwrap();
    migrate(&app).await;
    app.sql(
        "UPDATE reminder_rules SET effective_from = '2020-01-01'",
        &[],
    )
    .await;
    let sql = "WITH b AS (INSERT INTO bookings (status, scheduled_at, duration_minutes, created_at) VALUES ('confirmed', $1, 30, '2020-01-01') RETURNING id)
               INSERT INTO people SELECT id, 'kim@people.example', 'Asia/Tokyo' FROM b";
    app.db
        .batch_execute(&format!(
            "SET booking_automation.as_of = '{}'",
            noon().to_rfc3339()
        ))
        .await
        .unwrap();
    app.sql(sql, &[&(noon() + hours(24))]).await;
    assert_eq!(app.run(noon()).await["reminders"]["sent"], 1);
    assert!(app.ses.mails()[0].text().contains(
        "Monday, March 2, 2026, 9:00\u{a0}PM – 9:30\u{a0}PM Japan Standard Time (UTC+09:00)"
    ));
}

#[tokio::test]
async fn the_index_of_an_older_installation_serves_the_function_of_this_release() {
    let app = App::new().await;
    app.db
        .batch_execute(
            "DROP INDEX booking_automation_in_progress_end;
             CREATE INDEX booking_automation_in_progress_end ON bookings (booking_end(scheduled_at, duration_minutes::bigint))
              WHERE status = 'in_progress' AND auto_complete_blocked IS NOT TRUE",
        )
        .await
        .unwrap();
    assert!(!migrate(&app).await.stderr.contains("index "));
    let plan = "EXPLAIN SELECT FROM bookings b WHERE status = 'in_progress' AND auto_complete_blocked IS NOT TRUE
                   AND booking_automation_end(b.scheduled_at, b.duration_minutes::bigint) <= now()";
    app.db
        .batch_execute("SET enable_seqscan = off")
        .await
        .unwrap();
    let plan = app.column(plan, &[]).await.join(" ");
    assert!(
        plan.contains("booking_automation_in_progress_end") && plan.contains("Index Cond"),
        "{plan}"
    );
}
