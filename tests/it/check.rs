//! Whether a database fits: `booking-automation check`, and what `migrate` refuses before it
//! changes anything.

use serde_json::Value;

use crate::app::{App, connect, hours, noon};
use crate::fcm_endpoint::Fcm;
use crate::sms_endpoint::Sms;

/// The tables that `migrate` makes in an empty database.
const BASE_TABLES: &str = include_str!("../../migrations/01_base_tables.sql");
/// The owners' tables and rows.
const THEIRS: &str = include_str!("theirs.sql");

/// Everything in the catalogue that a migration may change, as a hash.
const CATALOGUE: &str = "
    SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
        SELECT format('relation %s.%s %s %s %s', c.relnamespace, c.relname, c.relkind, c.relowner, c.relacl) AS line FROM pg_class c
        UNION ALL SELECT format('column %s.%s %s %s', attrelid, attname, atttypid, attnotnull) FROM pg_attribute
        UNION ALL SELECT format('function %s %s %s', oid, prosrc, proacl) FROM pg_proc
        UNION ALL SELECT format('constraint %s %s', oid, pg_get_constraintdef(oid)) FROM pg_constraint
        UNION ALL SELECT format('trigger %s %s', oid, tgname) FROM pg_trigger
        UNION ALL SELECT format('schema %s %s %s', oid, nspname, nspacl) FROM pg_namespace
        UNION ALL SELECT format('type %s %s', oid, typname) FROM pg_type
    ) AS catalogue";

/// Before PostgreSQL 15, any role may create in `public`.
const KEPT_TO_OWNERS: &str = "REVOKE CREATE ON SCHEMA public FROM PUBLIC";

/// A migrated database.
async fn migrated() -> App {
    let app = App::new().await;
    app.sql(KEPT_TO_OWNERS, &[]).await;
    app
}

/// A new database on which this SQL was run.
async fn database_with(sql: &[&str]) -> App {
    let app = App::empty().await;
    app.sql(KEPT_TO_OWNERS, &[]).await;
    for sql in sql {
        app.db
            .batch_execute(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    app
}

/// What `check --json` prints, each finding as `level topic: text; remedy`.
async fn findings(app: &App) -> Vec<String> {
    let said = app.call(&["check", "--json"]).await;
    let findings: Vec<Value> = serde_json::from_str(&said.stdout)
        .unwrap_or_else(|error| panic!("{error}: {} {}", said.stdout, said.stderr));
    let has_errors = findings.iter().any(|finding| finding["level"] == "error");
    assert_eq!(said.success, !has_errors, "{}", said.stdout);
    let text = |finding: &Value, part: &str| finding[part].as_str().unwrap_or_default().to_owned();
    findings
        .iter()
        .map(|finding| {
            let [level, topic, what, remedy] =
                ["level", "topic", "text", "remedy"].map(|part| text(finding, part));
            format!("{level} {topic}: {what}; {remedy}")
        })
        .collect()
}

/// Those of the findings that are warnings or errors.
async fn complaints(app: &App) -> Vec<String> {
    let mut complaints = findings(app).await;
    // Tests of row-level security give the view to a role of theirs.
    complaints.retain(|finding| {
        !finding.starts_with("ok ")
            && !finding.starts_with("warning schema")
            && !finding.starts_with("warning view: booking_automation_contacts belongs to role_")
    });
    complaints
}

/// Asserts that `check` reports these errors, and that `migrate` refuses with all of them and
/// changes nothing.
async fn assert_refused(app: &App, expected: &[&str]) {
    let before = app.column(CATALOGUE, &[]).await;
    let findings = findings(app).await;
    let said = app.call(&["migrate"]).await;
    assert!(!said.success, "{expected:?}: {}", said.stdout);
    for expected in expected {
        assert!(
            findings
                .iter()
                .any(|finding| finding.starts_with("error ") && finding.contains(expected)),
            "{expected}: {findings:#?}"
        );
        assert!(
            said.stderr.contains(expected),
            "{expected}: {}",
            said.stderr
        );
    }
    assert_eq!(app.column(CATALOGUE, &[]).await, before, "{expected:?}");
}

/// Asserts that `check` warns of this alone, and that `migrate` logs it and goes on.
async fn assert_warned(app: &App, expected: &str) {
    let complaints = complaints(app).await;
    assert!(
        complaints.len() == 1
            && complaints[0].starts_with("warning ")
            && complaints[0].contains(expected),
        "{expected}: {complaints:#?}"
    );
    let said = app.call(&["migrate"]).await;
    assert!(
        said.success && said.stderr.contains(expected),
        "{expected}: {}",
        said.stderr
    );
}

/// Asserts that there is nothing to say, before and after `migrate`.
async fn assert_fits(app: &App) {
    assert_eq!(complaints(app).await, [""; 0]);
    let said = app.call(&["migrate"]).await;
    assert!(said.success, "{}", said.stderr);
    assert_eq!(complaints(app).await, [""; 0]);
}

/// A role that may log in, alone in the cluster; its name, and the URL of the database as this role.
async fn role(app: &App, options: &str) -> (String, String) {
    let role = format!("role_{}", uuid::Uuid::new_v4().simple());
    let sql = format!("CREATE ROLE {role} LOGIN PASSWORD 'role' {options}");
    app.db.batch_execute(&sql).await.unwrap();
    let (_, host) = app.url.rsplit_once('@').unwrap();
    let url = format!("postgres://{role}:role@{host}");
    (role, url)
}

#[tokio::test]
async fn check_prints_a_line_for_each_finding_and_changes_nothing() {
    let app = database_with(&[THEIRS]).await;
    for is_migrated in [false, true] {
        if is_migrated {
            assert!(app.call(&["migrate"]).await.success);
        }
        let before = app.column(CATALOGUE, &[]).await;
        let said = app.call(&["check"]).await;
        assert!(said.success, "{}", said.stderr);
        let topics: Vec<_> = said
            .stdout
            .lines()
            .map(|line| line.split_whitespace().nth(1).unwrap())
            .collect();
        for topic in [
            "connection",
            "settings",
            "public",
            "tables",
            "schema",
            "names",
            "rights",
            "columns",
            "statuses",
            "view",
        ] {
            assert!(topics.contains(&topic), "{topic}: {}", said.stdout);
        }
        assert_eq!(
            said.stdout.contains("run booking-automation migrate"),
            !is_migrated,
            "{}",
            said.stdout
        );
        assert_eq!(app.column(CATALOGUE, &[]).await, before);
    }
    app.sql("DROP VIEW booking_automation_contacts", &[]).await;
    app.sql("ALTER TABLE users RENAME TO people", &[]).await;
    let said = app.call(&["check"]).await;
    assert!(
        !said.success && said.stdout.contains("error    tables"),
        "{}",
        said.stdout
    );
}

#[tokio::test]
async fn check_works_for_a_role_that_may_only_read() {
    let mut app = database_with(&[THEIRS]).await;
    let (role, url) = role(&app, "").await;
    let sql = format!("GRANT SELECT ON bookings, users, services TO {role}");
    app.db.batch_execute(&sql).await.unwrap();
    app.env.insert("DATABASE_URL", url);
    let complaints = complaints(&app).await;
    assert_eq!(complaints.len(), 2, "{complaints:#?}");
    assert!(complaints[0].contains("warning rights: this role cannot migrate"));
    assert!(complaints[1].contains("may not UPDATE on bookings"));
    // What check only warns of stops a migration.
    let said = app.call(&["migrate"]).await;
    assert!(
        !said.success
            && said
                .stderr
                .contains("run migrate as the owner of bookings, postgres"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn check_names_the_privileges_that_the_role_of_the_pass_lacks() {
    let mut app = migrated().await;
    let (role, url) = role(&app, "").await;
    let sql = format!(
        "GRANT SELECT, UPDATE ON bookings TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
         REVOKE DELETE ON booking_automation_looks FROM {role};
         REVOKE SELECT ON booking_automation_contacts FROM {role}"
    );
    app.db.batch_execute(&sql).await.unwrap();
    app.env.insert("DATABASE_URL", url);
    let complaints = complaints(&app).await.join("\n");
    assert!(
        complaints.contains("may not SELECT on booking_automation_contacts"),
        "{complaints}"
    );
    assert!(
        complaints.contains("GRANT DELETE ON public.booking_automation_looks"),
        "{complaints}"
    );
}

#[tokio::test]
async fn a_role_with_the_privileges_that_check_names_can_pass() {
    let mut app = migrated().await;
    let (role, url) = role(&app, "").await;
    let (started, reminded) = (
        app.confirmed(noon()).await,
        app.confirmed(noon() + hours(24)).await,
    );
    app.env.insert("DATABASE_URL", url);
    let first = findings(&app).await;
    assert!(
        first
            .iter()
            .any(|finding| finding.starts_with("error schema")),
        "{first:#?}"
    );
    for finding in &first {
        if let Some((_, grant)) = finding.split_once("; run: GRANT ") {
            let grant = grant.replace("the role of the pass;", &role);
            app.sql(&format!("GRANT {grant}"), &[]).await;
        }
    }
    assert_eq!(complaints(&app).await, [""; 0]);
    app.run(noon()).await;
    assert_eq!(app.status(started).await, "in_progress");
    assert_eq!(app.reminders(reminded).await, ["24h completed"]);
}

#[tokio::test]
async fn check_reports_a_database_that_cannot_be_reached() {
    let mut app = App::empty().await;
    let url = app.url.clone() + "_nowhere";
    app.env.insert("DATABASE_URL", url);
    let findings = findings(&app).await;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(
        findings[0].starts_with("error connection: ") && findings[0].contains("does not exist"),
        "{findings:#?}"
    );
}

#[tokio::test]
async fn everything_that_does_not_fit_is_told_at_once() {
    let app = database_with(&[
        BASE_TABLES,
        "ALTER TABLE bookings ALTER duration_minutes TYPE interval USING NULL, ALTER duration_minutes DROP DEFAULT,
             DROP COLUMN created_at, ADD COLUMN automation_logs text, ADD COLUMN reminder_1h_sent timestamptz;
         CREATE TABLE reminder_rules (id int);
         ALTER TABLE users DROP COLUMN email",
    ])
    .await;
    assert_refused(
        &app,
        &[
            "bookings.duration_minutes is interval",
            "bookings.created_at is absent",
            "bookings.automation_logs is text: it must be jsonb",
            "bookings.reminder_1h_sent is timestamp with time zone: it must be boolean",
            "public.reminder_rules exists and is not this program's",
            "does not fit these tables: 42703: column person.email does not exist",
        ],
    )
    .await;
}

#[tokio::test]
async fn an_installation_of_today_is_looked_at_too() {
    for (change, expected) in [
        (
            "ALTER TABLE bookings DROP COLUMN created_at",
            "bookings.created_at is absent",
        ),
        (
            "ALTER TABLE automation_runs DROP COLUMN webhook_id",
            "automation_runs of this program was changed: the column webhook_id is missing",
        ),
        (
            "DROP TABLE booking_automation_looks",
            "booking_automation_looks of this program was changed: it is gone",
        ),
        (
            "ALTER TABLE booking_automation_state ALTER revision TYPE bigint",
            "the column revision is int8, not int4",
        ),
    ] {
        let app = migrated().await;
        app.sql(change, &[]).await;
        assert_refused(&app, &[expected]).await;
    }
}

#[tokio::test]
async fn columns_that_do_not_fit_are_refused_with_the_way_out() {
    for (change, expected) in [
        (
            "ALTER duration_minutes TYPE numeric",
            "duration_minutes is numeric: it must be smallint, integer or bigint",
        ),
        ("ALTER duration_minutes TYPE text", "GENERATED ALWAYS AS"),
        ("DROP duration_minutes", "ends_at - scheduled_at"),
        (
            "ALTER created_at DROP DEFAULT, ALTER created_at TYPE bigint USING 0",
            "bookings.created_at is bigint",
        ),
        ("ALTER scheduled_at TYPE timestamp", "AT TIME ZONE"),
        (
            "ALTER scheduled_at TYPE date",
            "bookings.scheduled_at is date",
        ),
        (
            "DROP CONSTRAINT bookings_status_check, ALTER status DROP DEFAULT, ALTER status TYPE jsonb USING NULL",
            "bookings.status is jsonb",
        ),
        (
            "RENAME status TO state",
            "rename the column that holds it to status",
        ),
        ("ADD automation_logs json", "run migrate --no-columns"),
        (
            "ADD automation_logs jsonb[]",
            "bookings.automation_logs is jsonb[]",
        ),
        (
            "ADD auto_status_updated integer",
            "rename it (ALTER TABLE bookings RENAME COLUMN auto_status_updated TO …)",
        ),
        (
            "ADD auto_complete_blocked timestamptz",
            "bookings.auto_complete_blocked is timestamp with time zone: it must be boolean",
        ),
        (
            "ALTER completed_at TYPE timestamp",
            "bookings.completed_at is timestamp without time zone",
        ),
        (
            "ADD reminder_15m_sent boolean GENERATED ALWAYS AS (false) STORED",
            "reminder_15m_sent is a generated column",
        ),
        (
            "INHERIT parent",
            "a parent or a child in an inheritance tree",
        ),
    ] {
        let app = database_with(&[
            BASE_TABLES,
            "CREATE TABLE parent ()",
            &format!("ALTER TABLE bookings {change}"),
        ])
        .await;
        assert_refused(&app, &[expected]).await;
    }
}

#[tokio::test]
async fn bookings_that_are_not_a_plain_table_are_refused() {
    let others = "CREATE TABLE users (); CREATE TABLE services ();
                  CREATE TABLE other (id uuid, status text, scheduled_at timestamptz, created_at timestamptz)";
    for (create, expected) in [
        (
            "CREATE VIEW bookings AS SELECT * FROM other",
            "it is a view",
        ),
        (
            "CREATE MATERIALIZED VIEW bookings AS SELECT * FROM other",
            "it is a materialized view",
        ),
        (
            "CREATE TABLE bookings (LIKE other) PARTITION BY RANGE (scheduled_at)",
            "it is a partitioned table",
        ),
        (
            "CREATE TABLE halves (LIKE other) PARTITION BY LIST (status);
             CREATE TABLE bookings PARTITION OF halves DEFAULT",
            "it is a partition of another table",
        ),
    ] {
        let app = database_with(&[others, create]).await;
        assert_refused(&app, &[expected]).await;
    }
}

#[tokio::test]
async fn domains_and_generated_durations_fit() {
    let app = database_with(&[
        BASE_TABLES,
        "CREATE DOMAIN booking_status AS varchar(20) CHECK (VALUE <> '');
         CREATE DOMAIN key AS uuid;
         CREATE DOMAIN minutes AS integer;
         ALTER TABLE bookings DROP CONSTRAINT bookings_status_check,
             ALTER status TYPE booking_status, ALTER id TYPE key, ADD ends_at timestamptz, DROP duration_minutes;
         ALTER TABLE bookings ADD duration_minutes minutes
             GENERATED ALWAYS AS ((extract(epoch FROM ends_at - scheduled_at) / 60)::integer) STORED",
    ])
    .await;
    assert_fits(&app).await;
    app.sql(
        "UPDATE reminder_rules SET effective_from = '2020-01-01'",
        &[],
    )
    .await;
    app.sql(
        "INSERT INTO bookings (status, scheduled_at, ends_at) VALUES ('confirmed', $1, $1::timestamptz + interval '1 hour')",
        &[&noon()],
    )
    .await;
    assert_eq!(app.run(noon()).await["transitions"]["started"], 1);
    assert_eq!(
        app.run(noon() + hours(2)).await["transitions"]["completed"],
        1
    );
}

#[tokio::test]
async fn missing_columns_of_cancellations_are_a_warning() {
    for (change, expected) in [
        (
            "DROP cancelled_at",
            "does not record in it when a booking was cancelled",
        ),
        (
            "ALTER cancelled_by TYPE bigint USING 1",
            "bookings.cancelled_by is bigint",
        ),
        (
            "DROP cancellation_reason",
            "does not record in it why a booking was cancelled",
        ),
        (
            "ALTER cancelled_at TYPE date",
            "bookings.cancelled_at is date",
        ),
    ] {
        let app = database_with(&[BASE_TABLES, &format!("ALTER TABLE bookings {change}")]).await;
        assert_warned(&app, expected).await;
    }
}

#[tokio::test]
async fn a_status_that_cannot_be_stored_is_named_with_its_steps() {
    for (change, expected) in [
        (
            "ADD CHECK (status IN ('pending', 'confirmed', 'completed', 'expired'))",
            "cannot be in_progress: the CHECK bookings_status_check refuses it; these steps will not be made: confirmed → in_progress",
        ),
        (
            "ALTER status TYPE varchar(10)",
            "cannot be in_progress: the type character varying(10) cannot hold it",
        ),
        (
            "ALTER status TYPE no_start",
            "cannot be in_progress: the type public.no_start cannot hold it",
        ),
        (
            "ALTER status DROP DEFAULT, ALTER status TYPE no_end",
            "these steps will not be made: in_progress → completed",
        ),
        (
            "ADD FOREIGN KEY (status) REFERENCES statuses",
            "cannot be completed: the table of statuses that a foreign key names has no such row",
        ),
        (
            "ADD CONSTRAINT has_room CHECK (status <> 'in_progress' OR room IS NOT NULL)",
            "whether bookings.status can be in_progress depends on other columns: the CHECK has_room",
        ),
    ] {
        let app = database_with(&[
            BASE_TABLES,
            "CREATE DOMAIN no_start AS text CHECK (VALUE <> 'in_progress');
             CREATE DOMAIN no_end AS text CHECK (VALUE IN ('confirmed', 'in_progress', 'expired'));
             CREATE TABLE statuses (status text PRIMARY KEY);
             INSERT INTO statuses VALUES ('confirmed'), ('in_progress'), ('expired');
             ALTER TABLE bookings DROP CONSTRAINT bookings_status_check, ADD room text",
            &format!("ALTER TABLE bookings {change}"),
        ])
        .await;
        assert_warned(&app, expected).await;
    }
}

#[tokio::test]
async fn a_check_that_migrate_extends_or_that_a_step_satisfies_is_no_obstacle() {
    let app = database_with(&[
        BASE_TABLES,
        "ALTER TABLE bookings DROP CONSTRAINT bookings_status_check,
             ADD CHECK (status IN ('pending', 'confirmed', 'in_progress', 'completed')),
             ADD CHECK (status <> 'cancelled' OR cancelled_at IS NOT NULL),
             ADD CHECK (status <> 'completed' OR completed_at IS NOT NULL);
         -- Constraints over other columns, and of other tables.
         CREATE TABLE statuses (status text PRIMARY KEY, label text CHECK (label <> ''));
         INSERT INTO statuses VALUES ('pending'), ('confirmed'), ('in_progress'), ('completed'), ('expired');
         CREATE TABLE few (status text PRIMARY KEY);
         CREATE TABLE other (a int, b int, c int, d int, status text CHECK (status = 'open') REFERENCES few);
         ALTER TABLE bookings ADD FOREIGN KEY (status) REFERENCES statuses, ADD CHECK (total_price IS NOT NULL)",
    ])
    .await;
    assert_fits(&app).await;
    // Afterwards, it would be one.
    app.db
        .batch_execute(
            "ALTER TABLE bookings DROP CONSTRAINT bookings_status_check, ADD CHECK (status <> 'expired')",
        )
        .await
        .unwrap();
    assert_warned(
        &app,
        "cannot be expired: the CHECK bookings_status_check refuses it",
    )
    .await;
}

#[tokio::test]
async fn a_domain_that_the_step_of_the_statuses_would_fail_on_is_refused() {
    let app = database_with(&[
        BASE_TABLES,
        "CREATE DOMAIN state AS text CHECK (VALUE <> 'expired'); ALTER TABLE bookings ALTER status TYPE state",
    ])
    .await;
    assert_refused(
        &app,
        &["bookings.status cannot be expired: the type public.state"],
    )
    .await;
    // Without a CHECK on the table, nothing is evaluated.
    app.sql(
        "ALTER TABLE bookings DROP CONSTRAINT bookings_status_check",
        &[],
    )
    .await;
    assert_warned(
        &app,
        "pending → expired, confirmed → expired, in_progress → expired",
    )
    .await;
}

#[tokio::test]
async fn statuses_in_the_data_that_no_rule_knows_are_counted() {
    let app = database_with(&[
        BASE_TABLES,
        "ALTER TABLE bookings DROP CONSTRAINT bookings_status_check;
         INSERT INTO bookings (status, scheduled_at)
            SELECT CASE n % 4 WHEN 0 THEN 'CONFIRMED' WHEN 1 THEN 'no_show' ELSE 'confirmed' END, now() FROM generate_series(1, 40) AS n",
    ])
    .await;
    assert_warned(
        &app,
        "in a sample of 40 bookings, no rule knows these statuses: CONFIRMED (10), no_show (10)",
    )
    .await;
}

#[tokio::test]
async fn base_tables_are_not_made_beside_tables_of_another_shape() {
    let bookings = "(id uuid PRIMARY KEY, status text, scheduled_at timestamptz)";
    let app = database_with(&[&format!(
        "CREATE SCHEMA app; CREATE TABLE app.bookings {bookings}; CREATE TABLE profiles (id uuid, email text);
         CREATE TABLE app.treatments (id uuid)"
    )])
    .await;
    assert_refused(
        &app,
        &[
            "the table public.bookings does not exist; these look like it: app.bookings",
            "the table public.users does not exist; these look like it: public.profiles",
            "the table public.services does not exist; these look like it: app.treatments",
            "create the view public.booking_automation_contacts",
        ],
    )
    .await;
    // By their columns, whatever their names.
    let app = database_with(&[
        "CREATE TABLE \"Termine\" (id uuid, status text, starts_at timestamptz); CREATE TABLE leute (id uuid, email text)",
    ])
    .await;
    assert_refused(
        &app,
        &["look like it: public.Termine", "look like it: public.leute"],
    )
    .await;
    // On request, they are made.
    let said = app.call(&["migrate", "--create-base-tables"]).await;
    assert!(said.success, "{}", said.stderr);
    assert_eq!(complaints(&app).await, [""; 0]);
}

#[tokio::test]
async fn base_tables_are_not_made_beside_tables_that_they_cannot_refer_to() {
    for create in [
        "CREATE TABLE users (id bigint PRIMARY KEY, email text)",
        "CREATE TABLE users (id uuid, email text)",
        "CREATE TABLE people (id uuid PRIMARY KEY); CREATE VIEW users AS SELECT * FROM people",
    ] {
        let app = database_with(&[create]).await;
        let before = app.column(CATALOGUE, &[]).await;
        let said = app.call(&["migrate", "--create-base-tables"]).await;
        assert!(
            !said.success && said.stderr.contains("public.users has no unique column id"),
            "{create}: {}",
            said.stderr
        );
        assert_eq!(app.column(CATALOGUE, &[]).await, before);
    }
    let app = database_with(&[
        "CREATE TABLE users (id uuid UNIQUE, email text, display_name text, timezone text)",
    ])
    .await;
    let said = app.call(&["migrate", "--create-base-tables"]).await;
    assert!(said.success, "{}", said.stderr);
}

#[tokio::test]
async fn users_and_services_are_not_needed_where_the_owner_has_the_view() {
    let app = database_with(&[
        "CREATE TABLE bookings (id uuid PRIMARY KEY, status text, scheduled_at timestamptz, duration_minutes int, created_at timestamptz,
             cancelled_at timestamptz, cancelled_by uuid, cancellation_reason text, mail text);
         CREATE VIEW booking_automation_contacts AS
            SELECT id AS booking_id, 'customer' AS audience, mail AS email, mail AS name, 'UTC' AS timezone, 'Haircut' AS service,
                   '' AS with_name, '' AS place, '' AS meeting_link, false AS is_online, 'UTC' AS place_timezone
              FROM bookings",
    ])
    .await;
    assert_fits(&app).await;
    let made = "SELECT to_regclass('users') IS NOT NULL OR to_regclass('services') IS NOT NULL";
    assert!(!app.one(made, &[]).await.get::<_, bool>(0));
}

#[tokio::test]
async fn tables_of_extensions_do_not_count_as_the_owners() {
    let app = database_with(&["CREATE SCHEMA extensions; CREATE TABLE extensions.of_one ()"]).await;
    assert_refused(&app, &["the table public.bookings does not exist"]).await;
    app.db
        .batch_execute(
            "CREATE EXTENSION pgcrypto; ALTER EXTENSION pgcrypto ADD TABLE extensions.of_one",
        )
        .await
        .unwrap();
    assert_fits(&app).await;
}

#[tokio::test]
async fn functions_with_our_names_are_refused() {
    for (create, expected) in [
        (
            "booking_end(timestamptz, int) RETURNS timestamptz LANGUAGE sql AS 'SELECT $1'",
            "ALTER FUNCTION public.booking_end(timestamp with time zone, integer) RENAME TO …",
        ),
        (
            "booking_end(scheduled_at timestamptz, duration_minutes bigint) RETURNS timestamptz LANGUAGE sql AS 'SELECT $1'",
            "the function public.booking_end(scheduled_at timestamp with time zone, duration_minutes bigint) exists",
        ),
        (
            "booking_automation_make_private(text) RETURNS void LANGUAGE sql AS ''",
            "the function public.booking_automation_make_private(text) exists",
        ),
        (
            "booking_automation_on_update() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "the function public.booking_automation_on_update() exists",
        ),
        (
            "booking_automation_now() RETURNS text LANGUAGE sql AS 'SELECT $$now$$'",
            "the function public.booking_automation_now() exists",
        ),
    ] {
        let app = database_with(&[BASE_TABLES, &format!("CREATE FUNCTION {create}")]).await;
        assert_refused(&app, &[expected]).await;
    }
    // Beside ours, and in their place.
    for (change, expected) in [
        (
            "CREATE FUNCTION booking_end(timestamptz, int) RETURNS timestamptz LANGUAGE sql AS 'SELECT $1'",
            "public.booking_end(timestamp with time zone, integer)",
        ),
        (
            "CREATE OR REPLACE FUNCTION booking_automation_end(scheduled_at timestamptz, duration_minutes bigint) RETURNS timestamptz
                 LANGUAGE sql IMMUTABLE AS 'SELECT $1'",
            "public.booking_automation_end(scheduled_at timestamp with time zone, duration_minutes bigint)",
        ),
        (
            "CREATE FUNCTION booking_automation_has_flag(text, varchar) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
            "public.booking_automation_has_flag(text, character varying)",
        ),
        (
            "CREATE OR REPLACE FUNCTION booking_end(scheduled_at timestamptz, duration_minutes bigint) RETURNS timestamptz
                 LANGUAGE sql IMMUTABLE AS 'SELECT $1'",
            "public.booking_end(scheduled_at timestamp with time zone, duration_minutes bigint)",
        ),
        (
            "DROP FUNCTION booking_automation_has_flag(text, text);
             CREATE FUNCTION booking_automation_has_flag(rule text, audience text) RETURNS text LANGUAGE sql AS 'SELECT rule'",
            "public.booking_automation_has_flag(rule text, audience text)",
        ),
        (
            "CREATE OR REPLACE FUNCTION booking_automation_has_flag(rule text, audience text) RETURNS boolean
                 LANGUAGE plpgsql AS 'BEGIN RETURN true; END'",
            "public.booking_automation_has_flag(rule text, audience text)",
        ),
        (
            "CREATE PROCEDURE booking_automation_supersedes(int) LANGUAGE sql AS ''",
            "public.booking_automation_supersedes",
        ),
    ] {
        let app = migrated().await;
        app.db.batch_execute(change).await.unwrap();
        assert_refused(&app, &[expected]).await;
    }
    // In another schema, they are theirs.
    let app = database_with(&[
        BASE_TABLES,
        "CREATE SCHEMA app; CREATE FUNCTION app.booking_end(timestamptz, int) RETURNS timestamptz LANGUAGE sql AS 'SELECT $1'",
    ])
    .await;
    assert_fits(&app).await;
}

#[tokio::test]
async fn tables_with_our_names_are_refused_before_the_first_step() {
    for (create, expected) in [
        (
            "reminder_rules (id int, minutes_before int)",
            "public.reminder_rules exists and is not this program's: the column name is missing",
        ),
        (
            "automation_runs (id uuid, trigger text, as_of timestamp)",
            "the column as_of is timestamp, not timestamptz",
        ),
        (
            "booking_automation_events (id bigint, booking_id uuid, event_type text, event_data jsonb, scheduled_at timestamptz,
                 executed_at timestamptz, status text, error_message text, created_at timestamptz)",
            "the column id is int8, not uuid",
        ),
        (
            "booking_automation_events (id uuid, booking_id uuid, event_type text, event_data jsonb, scheduled_at timestamptz,
                 executed_at timestamptz, status text, error_message text, created_at timestamptz, tenant uuid NOT NULL)",
            "the column tenant needs a value",
        ),
        (
            "booking_automation_webhooks (id int)",
            "ALTER TABLE public.booking_automation_webhooks RENAME TO …",
        ),
        (
            "booking_automation_migrations (version int)",
            "public.booking_automation_migrations exists and is not this program's",
        ),
    ] {
        let app = database_with(&[BASE_TABLES, &format!("CREATE TABLE {create}")]).await;
        assert_refused(&app, &[expected]).await;
    }
    let app = database_with(&[
        BASE_TABLES,
        "CREATE INDEX booking_automation_pending_start ON users (id); CREATE TABLE booking_automation_events_seq (id int)",
    ])
    .await;
    assert_refused(
        &app,
        &[
            "public.booking_automation_pending_start exists and is not this program's index",
            "public.booking_automation_events_seq exists and is not this program's index",
        ],
    )
    .await;
    let app = database_with(&[BASE_TABLES, "CREATE VIEW automation_runs AS SELECT 1 AS id"]).await;
    assert_refused(&app, &["it is no plain table"]).await;
}

/// The shapes that `check` knows are those that `migrate` creates.
#[tokio::test]
async fn every_table_and_column_of_ours_is_known_to_check() {
    let app = migrated().await;
    let own = "SELECT quote_ident(relname) FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT IN ('bookings', 'users', 'services')";
    for table in app.column(own, &[]).await {
        let app = migrated().await;
        app.sql(&format!("DROP TABLE {table} CASCADE"), &[]).await;
        app.sql(&format!("CREATE TABLE {table} ()"), &[]).await;
        let findings = findings(&app).await.join("\n");
        assert!(
            findings.contains(&format!("{table} ")),
            "{table} is not known: {findings}"
        );
    }
    let columns = "SELECT c.relname || ' ' || a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
                      AND relname NOT IN ('bookings', 'users', 'services', 'booking_automation_migrations')";
    let columns = app.column(columns, &[]).await;
    assert!(columns.len() > 80);
    for column in &columns {
        let (table, name) = column.split_once(' ').unwrap();
        let sql = format!("ALTER TABLE {table} RENAME COLUMN {name} TO {name}_of_another");
        app.sql(&sql, &[]).await;
    }
    let findings = findings(&app).await;
    let is_known = |column: &&String| {
        let (table, name) = column.split_once(' ').unwrap();
        findings.iter().any(|finding| {
            finding.contains(&format!("{table} "))
                && finding.contains(&format!("the column {name} is missing"))
        })
    };
    let unknown: Vec<_> = columns.iter().filter(|column| !is_known(column)).collect();
    assert_eq!(unknown, [""; 0]);
}

#[tokio::test]
async fn roles_that_may_create_in_public_are_named() {
    let app = database_with(&[THEIRS, "GRANT CREATE ON SCHEMA public TO PUBLIC"]).await;
    assert_warned(&app, "run: REVOKE CREATE ON SCHEMA public FROM PUBLIC;").await;
    let app = database_with(&[THEIRS]).await;
    let (role, _) = role(&app, "").await;
    app.sql(&format!("GRANT CREATE ON SCHEMA public TO {role}"), &[])
        .await;
    assert_warned(&app, &format!("in the schema public, {role} may create")).await;
    // Superusers may, and others elsewhere.
    let app_of_others = database_with(&[
        THEIRS,
        "CREATE SCHEMA app; GRANT CREATE ON SCHEMA app TO PUBLIC",
    ])
    .await;
    let (superuser, _) = self::role(&app_of_others, "SUPERUSER").await;
    let grant = format!("GRANT CREATE ON SCHEMA public TO {superuser}");
    app_of_others.sql(&grant, &[]).await;
    assert_eq!(complaints(&app_of_others).await, [""; 0]);
    // The owner of the bookings may.
    app.sql(&format!("ALTER TABLE bookings OWNER TO {role}"), &[])
        .await;
    assert_eq!(complaints(&app).await, [""; 0]);
}

/// A view of the contacts, owned by a plain role, over `from`.
async fn view_of_plain_role(app: &App, from: &str) -> String {
    let (role, _) = role(app, "").await;
    app.db
        .batch_execute(&format!(
            "ALTER VIEW booking_automation_contacts RENAME TO sound;
             CREATE VIEW booking_automation_contacts AS
                SELECT s.booking_id, s.audience, u.email, s.name, s.timezone, s.language, s.service, s.with_name, s.place,
                       s.meeting_link, s.is_online, s.place_timezone
                  FROM sound s JOIN bookings b ON b.id = s.booking_id JOIN {from} u ON u.id = b.customer_id;
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};
             ALTER VIEW booking_automation_contacts OWNER TO {role}"
        ))
        .await
        .unwrap();
    role
}

#[tokio::test]
async fn row_level_security_under_the_view_is_an_error_of_check_migrate_and_passes() {
    let app = migrated().await;
    let role = view_of_plain_role(&app, "users").await;
    let id = app.confirmed(noon() + hours(24)).await;
    app.sql("ALTER TABLE users ENABLE ROW LEVEL SECURITY", &[])
        .await;
    let expected = format!("row-level security on public.users is in force for the role {role}");
    assert_refused(&app, &[&expected]).await;
    let noon_text = noon().to_rfc3339();
    for arguments in [
        &["run", "--as-of", &noon_text][..],
        &["run", "--dry-run", "--as-of", &noon_text],
    ] {
        let said = app.call(arguments).await;
        assert!(
            !said.success && said.stderr.contains(&expected),
            "{arguments:?}: {}",
            said.stderr
        );
    }
    assert_eq!(app.reminders(id).await, [""; 0], "nothing was decided");
    // A pass without a decision goes on.
    let early = noon() - hours(24);
    app.sql("DELETE FROM booking_automation_looks", &[]).await;
    assert_eq!(app.run(early).await["outcome"], "completed");

    app.sql(&format!("ALTER ROLE {role} BYPASSRLS"), &[]).await;
    assert_eq!(complaints(&app).await, [""; 0]);
    app.run(noon()).await;
    assert_eq!(app.reminders(id).await, ["24h completed"]);
}

#[tokio::test]
async fn every_view_in_a_chain_is_read_as_its_own_owner() {
    let app = migrated().await;
    app.db
        .batch_execute(
            "CREATE SCHEMA app; CREATE TABLE app.people AS SELECT id, email FROM users; ALTER TABLE app.people ENABLE ROW LEVEL SECURITY;
             CREATE VIEW inner_view AS SELECT id, email FROM app.people;
             CREATE VIEW outer_view AS SELECT id, email FROM inner_view",
        )
        .await
        .unwrap();
    let of_view = view_of_plain_role(&app, "outer_view").await;
    let (plain, _) = role(&app, "").await;
    let hidden =
        |role: &str| format!("row-level security on app.people is in force for the role {role},");
    // The inner view belongs to a superuser; the outer ones do not matter.
    assert_eq!(complaints(&app).await, [""; 0]);
    app.sql(&format!("ALTER VIEW inner_view OWNER TO {plain}"), &[])
        .await;
    assert_refused(&app, &[&hidden(&plain)]).await;
    // The owner of the table sees its rows, unless row-level security is forced.
    app.db
        .batch_execute(&format!(
            "GRANT ALL ON SCHEMA app TO {plain}; ALTER TABLE app.people OWNER TO {plain}"
        ))
        .await
        .unwrap();
    assert_eq!(complaints(&app).await, [""; 0]);
    app.sql("ALTER TABLE app.people FORCE ROW LEVEL SECURITY", &[])
        .await;
    assert_refused(&app, &[&hidden(&plain)]).await;
    assert!(
        !app.call(&["check"])
            .await
            .stdout
            .contains(&format!("for the role {of_view}"))
    );
}

#[tokio::test]
async fn row_level_security_that_hides_nothing_from_the_view_does_not_count() {
    let mut app = migrated().await;
    let of_view = view_of_plain_role(&app, "users").await;
    let (superuser, _) = role(&app, "SUPERUSER NOBYPASSRLS").await;
    app.db
        .batch_execute(&format!(
            "CREATE TABLE secret AS SELECT id, email FROM users; ALTER TABLE secret ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
             -- Read when it was refreshed.
             CREATE MATERIALIZED VIEW kept AS SELECT id, email FROM secret;
             -- Read as a superuser, who has no BYPASSRLS.
             CREATE VIEW of_superuser AS SELECT id FROM secret; ALTER VIEW of_superuser OWNER TO {superuser};
             -- Not read at all.
             CREATE VIEW unrelated AS SELECT id FROM secret; ALTER VIEW unrelated OWNER TO {of_view};
             ALTER VIEW booking_automation_contacts RENAME TO joined;
             CREATE VIEW booking_automation_contacts WITH (security_barrier = true) AS
                SELECT * FROM joined WHERE EXISTS (SELECT FROM kept) AND EXISTS (SELECT FROM of_superuser);
             CREATE RULE log AS ON UPDATE TO booking_automation_contacts DO INSTEAD INSERT INTO secret VALUES (NULL, NEW.email);
             GRANT SELECT ON joined, kept, of_superuser TO {of_view};
             ALTER VIEW booking_automation_contacts OWNER TO {of_view}"
        ))
        .await
        .unwrap();
    assert_eq!(complaints(&app).await, [""; 0]);
    // A table in place of the view is read by the caller.
    app.db
        .batch_execute(
            "DROP VIEW booking_automation_contacts; CREATE TABLE booking_automation_contacts AS SELECT * FROM joined;
             ALTER TABLE booking_automation_contacts ENABLE ROW LEVEL SECURITY",
        )
        .await
        .unwrap();
    assert_eq!(complaints(&app).await, [""; 0]);
    let (caller, url) = role(&app, "").await;
    app.sql(
        &format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {caller}"),
        &[],
    )
    .await;
    app.env.insert("DATABASE_URL", url);
    let complaints = complaints(&app).await.join("\n");
    let expected = format!("booking_automation_contacts is in force for the role {caller},");
    assert!(complaints.contains(&expected), "{complaints}");
}

#[tokio::test]
async fn a_view_with_security_invoker_is_read_as_the_caller() {
    let mut app = migrated().await;
    let version = "SELECT current_setting('server_version_num')::int";
    if app.one(version, &[]).await.get::<_, i32>(0) < 150_000 {
        return;
    }
    let owner = view_of_plain_role(&app, "users").await;
    app.db
        .batch_execute(
            "ALTER TABLE users ENABLE ROW LEVEL SECURITY;
             ALTER VIEW booking_automation_contacts SET (security_invoker = off)",
        )
        .await
        .unwrap();
    let hidden = format!("row-level security on public.users is in force for the role {owner},");
    assert_refused(&app, &[&hidden]).await;
    let invoker = "ALTER VIEW booking_automation_contacts SET (security_invoker = on)";
    app.sql(invoker, &[]).await;
    assert_eq!(complaints(&app).await, [""; 0], "the caller is a superuser");
    let (caller, url) = role(&app, "").await;
    app.sql(
        &format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {caller}"),
        &[],
    )
    .await;
    app.env.insert("DATABASE_URL", url);
    let complaints = complaints(&app).await;
    let expected = format!("row-level security on public.users is in force for the role {caller},");
    assert!(
        complaints.iter().any(|one| one.contains(&expected)),
        "{complaints:#?}"
    );
}

#[tokio::test]
async fn a_view_that_fails_or_lacks_columns_is_refused() {
    let sound = "SELECT booking_id, audience, email, name, timezone, service, with_name, place, meeting_link, is_online, place_timezone";
    for (columns, expected) in [
        (
            sound.replace("email,", "(1 / (length(email) - 23))::text AS email,"),
            "cannot be read for ten bookings: 22012: division by zero",
        ),
        (
            sound.replace(
                "timezone,",
                "timezone, (1 / (length(email) - 23))::text AS language,",
            ),
            "cannot be read for ten bookings: 22012: division by zero",
        ),
        (
            sound.replace("email,", "to_jsonb(email) AS email,"),
            "btrim(jsonb) does not exist",
        ),
        (
            sound.replace("is_online", "is_online::int::numeric AS is_online"),
            "cannot cast type numeric to boolean",
        ),
        (
            format!("{sound}, 'perhaps' AS sms_allowed"),
            "cannot be read for ten bookings: 22P02",
        ),
        (
            sound.replace("booking_id", "booking_id::text AS booking_id"),
            "booking_automation_contacts.booking_id is text: it must be uuid",
        ),
        (
            sound.replace(", is_online, place_timezone", ""),
            "has no column is_online, place_timezone",
        ),
        (
            sound.replace("name, timezone", "name AS full_name, timezone"),
            "has no column name;",
        ),
    ] {
        let app = migrated().await;
        app.confirmed(noon()).await;
        app.db
            .batch_execute(&format!(
                "ALTER VIEW booking_automation_contacts RENAME TO sound;
                 CREATE VIEW booking_automation_contacts AS {columns} FROM sound"
            ))
            .await
            .unwrap();
        assert_refused(&app, &[expected]).await;
    }
}

#[tokio::test]
async fn a_slow_view_is_a_warning_with_its_time() {
    for (seconds, expected) in [
        (0.06, "ms a row, for 2 rows"),
        (2.0, "took longer than a second"),
    ] {
        let app = migrated().await;
        app.confirmed(noon()).await;
        app.db
            .batch_execute(&format!(
                "CREATE FUNCTION slow(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({seconds}); RETURN $1; END $$;
                 ALTER VIEW booking_automation_contacts RENAME TO sound;
                 CREATE VIEW booking_automation_contacts AS
                    SELECT booking_id, audience, email, name, timezone, language, service, with_name, slow(place) AS place, meeting_link,
                           is_online, place_timezone
                      FROM sound"
            ))
            .await
            .unwrap();
        assert_warned(&app, expected).await;
    }
}

#[tokio::test]
async fn several_rows_of_a_few_pages_of_a_large_table_are_a_warning() {
    let app = migrated().await;
    // The oldest bookings, in the first pages, have a row each.
    app.sql_without_triggers(
        "INSERT INTO bookings (customer_id, status, scheduled_at, duration_minutes, location)
         SELECT (SELECT id FROM users LIMIT 1), 'completed', '2026-01-01', n, repeat('Ringstraße ', 40)
           FROM generate_series(1, 5000) AS n;
         ALTER VIEW booking_automation_contacts RENAME TO sound;
         CREATE VIEW booking_automation_contacts AS
            SELECT * FROM sound
             UNION ALL
            SELECT * FROM sound
             WHERE (SELECT b.duration_minutes > 500 FROM bookings b WHERE b.id = sound.booking_id);
         ANALYZE bookings",
    )
    .await;
    assert_warned(&app, "several rows for one audience and recipient of").await;
}

#[tokio::test]
async fn several_rows_for_a_booking_and_audience_are_a_warning() {
    let app = migrated().await;
    for hour in 0..3 {
        app.confirmed(noon() + hours(hour)).await;
    }
    // The guests of two of three bookings.
    app.db
        .batch_execute(
            "ALTER VIEW booking_automation_contacts RENAME TO sound;
             CREATE VIEW booking_automation_contacts AS
                SELECT * FROM sound
                 UNION ALL
                SELECT s.* FROM sound s JOIN bookings b ON b.id = s.booking_id
                 WHERE s.audience = 'customer' AND b.scheduled_at > (SELECT min(scheduled_at) FROM bookings)",
        )
        .await
        .unwrap();
    assert_warned(
        &app,
        "several rows for one audience and recipient of 2 of a hundred bookings",
    )
    .await;
    // A column `recipient` tells the rows apart. A view without a row of the customer is a warning.
    for (recipient, warning) in [
        (
            "nullif(row_number() OVER (PARTITION BY booking_id, audience), 1)",
            None,
        ),
        (
            "row_number() OVER (PARTITION BY booking_id, audience)",
            Some("every row of booking_automation_contacts for a hundred bookings has a recipient"),
        ),
    ] {
        let view = format!(
            "ALTER VIEW booking_automation_contacts RENAME TO same_{};
             CREATE VIEW booking_automation_contacts AS SELECT *, {recipient} AS recipient FROM same_{0}",
            warning.is_some()
        );
        let view = match warning {
            None => view,
            Some(_) => view.replace(
                "SELECT *,",
                "SELECT booking_id, audience, email, name, timezone, language, service, with_name, \
                place, meeting_link, is_online, place_timezone,",
            ),
        };
        app.db.batch_execute(&view).await.unwrap();
        match warning {
            None => assert_eq!(complaints(&app).await, Vec::<String>::new()),
            Some(warning) => assert_warned(&app, warning).await,
        }
    }
}

#[tokio::test]
async fn tables_that_the_usual_view_does_not_fit_are_refused() {
    for (change, expected) in [
        (
            "ALTER TABLE users RENAME email TO mail",
            "column person.email does not exist",
        ),
        (
            "ALTER TABLE services DROP title",
            "column s.title does not exist",
        ),
        (
            "ALTER TABLE bookings ALTER is_online DROP DEFAULT, ALTER is_online TYPE int USING 0",
            "COALESCE types integer and boolean cannot be matched",
        ),
        (
            "ALTER TABLE bookings DROP customer_id, ADD customer_id bigint",
            "cannot be matched",
        ),
    ] {
        let app = database_with(&[BASE_TABLES, change]).await;
        assert_refused(
            &app,
            &[
                expected,
                "create public.booking_automation_contacts yourself",
            ],
        )
        .await;
    }
}

/// Sets this for all sessions of the app's database.
async fn set_for_database(app: &App, setting: &str) {
    let (_, name) = app.url.rsplit_once('/').unwrap();
    app.sql(&format!("ALTER DATABASE {name} SET {setting}"), &[])
        .await;
}

#[tokio::test]
async fn a_session_without_triggers_is_refused() {
    for app in [database_with(&[THEIRS]).await, migrated().await] {
        set_for_database(&app, "session_replication_role = replica").await;
        assert_refused(
            &app,
            &["session_replication_role is replica: no trigger fires"],
        )
        .await;
        set_for_database(&app, "session_replication_role = local").await;
        assert_fits(&app).await;
    }
}

#[tokio::test]
async fn settings_that_change_the_text_of_sql_change_nothing() {
    for setting in [
        "quote_all_identifiers = on",
        "standard_conforming_strings = off",
        "array_nulls = off",
        "plpgsql.extra_errors = 'all'",
        "bytea_output = 'escape'",
    ] {
        let app = database_with(&[THEIRS]).await;
        set_for_database(&app, setting).await;
        assert_fits(&app).await;
        let urls = "SELECT string_agg(pg_get_constraintdef(oid), E'\\n' ORDER BY conname) FROM pg_constraint
                     WHERE conrelid IN ('booking_automation_webhooks'::regclass, 'bookings'::regclass)";
        let constraints = app.column(urls, &[]).await;
        let usual = database_with(&[THEIRS]).await;
        assert!(usual.call(&["migrate"]).await.success);
        assert_eq!(constraints, usual.column(urls, &[]).await, "{setting}");
        assert_eq!(app.call(&["run"]).await.summary()["outcome"], "completed");
    }
}

/// An empty database with this encoding.
async fn database_with_encoding(encoding: &str) -> App {
    let mut app = App::empty().await;
    let url = format!("{}_{}", app.url, encoding.to_lowercase());
    let (_, name) = url.rsplit_once('/').unwrap();
    let sql = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'");
    app.sql(&sql, &[]).await;
    app.env.insert("DATABASE_URL", url.clone());
    app.db = connect(&url).await;
    app.sql(KEPT_TO_OWNERS, &[]).await;
    app
}

#[tokio::test]
async fn an_encoding_that_is_not_utf8_is_a_warning_or_refused() {
    let app = database_with_encoding("LATIN1").await;
    app.db.batch_execute(THEIRS).await.unwrap();
    assert_warned(&app, "the database's encoding is LATIN1").await;
    assert_eq!(app.call(&["run"]).await.summary()["outcome"], "completed");
    let app = database_with_encoding("SQL_ASCII").await;
    app.db.batch_execute(THEIRS).await.unwrap();
    assert_refused(&app, &["the database's encoding is SQL_ASCII"]).await;
}

#[tokio::test]
async fn copies_of_whole_rows_are_a_warning() {
    let trigger = |body: &str| {
        format!(
            "CREATE TABLE history (LIKE bookings);
             CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NULL; END $$;
             CREATE TRIGGER theirs AFTER UPDATE ON bookings FOR EACH ROW WHEN (false) EXECUTE FUNCTION theirs()"
        )
    };
    for (create, expected) in [
        (trigger("INSERT INTO history SELECT OLD.*"), "the trigger function public.theirs copies whole rows"),
        (trigger("PERFORM pg_notify('bookings', row_to_json(NEW)::text)"), "the trigger function public.theirs"),
        (trigger("INSERT INTO history SELECT * FROM bookings WHERE false"), "the trigger function public.theirs"),
        (trigger("PERFORM to_jsonb( old )"), "the trigger function public.theirs"),
        (
            "CREATE FUNCTION of_today() RETURNS SETOF bookings LANGUAGE sql AS 'SELECT * FROM bookings'".to_owned(),
            "the function public.of_today takes or returns the row type of bookings",
        ),
        (
            "CREATE FUNCTION price(bookings[]) RETURNS numeric LANGUAGE sql AS 'SELECT 1'".to_owned(),
            "the function public.price takes or returns",
        ),
        (
            "CREATE TABLE snapshots (booking bookings)".to_owned(),
            "public.snapshots has the column booking of the row type of bookings",
        ),
        (
            "CREATE TABLE log (at timestamptz); CREATE RULE theirs AS ON UPDATE TO bookings DO ALSO INSERT INTO log VALUES (now())".to_owned(),
            "the rule theirs on bookings",
        ),
        (
            "CREATE PUBLICATION theirs FOR TABLE bookings".to_owned(),
            "the publication theirs sends bookings to subscribers",
        ),
    ] {
        let app = database_with(&[BASE_TABLES, &create]).await;
        let said = app.call(&["check"]).await;
        let warnings: Vec<_> = said.stdout.lines().filter(|line| line.contains(" rows ")).collect();
        assert!(warnings.len() == 1 && warnings[0].contains(expected), "{expected}: {}", said.stdout);
        if !create.contains("snapshots") {
            assert_warned(&app, expected).await;
            assert_eq!(complaints(&app).await, [""; 0], "only while columns are to be added");
        }
    }
    let app = database_with(&[
        BASE_TABLES,
        &trigger("INSERT INTO history (id) VALUES (OLD.id)"),
        "CREATE VIEW all_of_them AS SELECT * FROM bookings; CREATE FUNCTION count_them() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM bookings'",
    ])
    .await;
    assert_fits(&app).await;
}

/// What `check` says of the rules' channels.
async fn of_channels(app: &App) -> Vec<String> {
    let mut complaints = complaints(app).await;
    complaints.retain(|complaint| complaint.starts_with("warning channels: "));
    complaints
}

#[tokio::test]
async fn check_names_active_rules_whose_channels_are_not_set_up() {
    let mut app = migrated().await;
    for (table, name, channels, active) in [
        ("reminder_rules", "24h", "push>sms>email", true),
        ("reminder_rules", "1h", "sms", false),
        ("booking_automation_notice_rules", "cancelled", "sms", true),
        ("booking_automation_digest_rules", "daily", "push", true),
    ] {
        let sql = format!(
            "UPDATE {table} SET channels = '{{{channels}}}', active = {active}
              WHERE name = '{name}' AND audience = 'customer'"
        );
        assert_eq!(app.sql(&sql, &[]).await, 1, "{table} {name}");
    }
    let of = |rule: &str, channel: &str, setting: &str| {
        format!(
            "warning channels: the rule {rule} has the channel {channel}, which is not set up in the \
             settings of this call; set {setting} where the passes run, or take {channel} out of the \
             rule's channels"
        )
    };
    let (reminder, notice, digest) = (
        "24h for the customer (reminder_rules)",
        "cancelled for the customer (booking_automation_notice_rules)",
        "daily for the customer (booking_automation_digest_rules)",
    );
    let (sms, push) = ("SMS_FROM", "FCM_CREDENTIALS");
    let expected = [
        of(reminder, "sms", sms),
        of(reminder, "push", push),
        of(notice, "sms", sms),
        of(digest, "push", push),
    ];
    assert_eq!(of_channels(&app).await, expected);
    Sms::start().await.set_up(&mut app);
    assert_eq!(
        of_channels(&app).await,
        [of(reminder, "push", push), of(digest, "push", push)]
    );
    Fcm::start().await.set_up(&mut app);
    assert_eq!(of_channels(&app).await, [""; 0]);
    // A setting that is malformed stops it, as every command.
    app.env.insert("SMS_FROM", "no sender".to_owned());
    let said = app.call(&["check"]).await;
    assert!(
        !said.success && said.stderr.contains("SMS_FROM is not valid"),
        "{}",
        said.stderr
    );
    // migrate sends nothing, and does not look.
    app.env.remove("SMS_FROM");
    let said = app.call(&["migrate"]).await;
    assert!(said.success && !said.stderr.contains("not set up"));
}

#[tokio::test]
async fn check_warns_of_entries_that_have_a_channel_in_common() {
    let mut app = migrated().await;
    Sms::start().await.set_up(&mut app);
    Fcm::start().await.set_up(&mut app);
    for (channels, repeated) in [
        ("email", ""),
        ("push>sms>email", ""),
        ("push,sms,email", ""),
        ("push>email,sms", ""),
        // The same message.
        ("email,email", ""),
        ("email,push>email", "email"),
        ("push>sms,sms>push", "sms push"),
    ] {
        let sql =
            format!("UPDATE reminder_rules SET channels = '{{{channels}}}' WHERE name = '1h'");
        app.sql(&sql, &[]).await;
        let expected: Vec<_> = repeated
            .split_whitespace()
            .map(|channel| {
                format!(
                    "warning channels: the rule 1h for the customer (reminder_rules) has {channel} in \
                     several entries ({}): a person may get two messages by it; let its entries have \
                     no channel in common, or write one chain",
                    channels.replace(',', ", ")
                )
            })
            .collect();
        assert_eq!(of_channels(&app).await, expected, "{channels}");
    }
    // migrate warns of it, too.
    let said = app.call(&["migrate"]).await;
    assert!(
        said.success
            && said
                .stderr
                .contains("in several entries (push>sms, sms>push)")
    );
}
