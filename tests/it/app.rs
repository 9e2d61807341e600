//! Each test's database and mail endpoint, and the program, run as users run it.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Duration, Utc};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row};
use uuid::Uuid;

use crate::cluster::cluster;
use crate::ses::Ses;

/// All statuses of a booking.
pub const STATUSES: [&str; 13] = [
    "pending",
    "pending_payment",
    "paid",
    "confirmed",
    "in_progress",
    "completed",
    "cancelled",
    "rejected",
    "refunded",
    "failed",
    "pending_completion",
    "pending_cancellation",
    "expired",
];

/// The time at which most tests run: a Sunday, in the past of every real clock.
pub fn noon() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// A duration in minutes.
pub fn minutes(minutes: i64) -> Duration {
    Duration::minutes(minutes)
}

/// A duration in hours.
pub fn hours(hours: i64) -> Duration {
    Duration::hours(hours)
}

/// Reports that a test did not run. Writes to stderr directly: the test runner hides the output of
/// passing tests.
pub fn skipped(what: &str) {
    std::io::stderr()
        .write_all(format!("SKIPPED: {what}\n").as_bytes())
        .unwrap();
}

/// Sends a signal to a child process.
pub fn signal(process: &Child, signal: &str) {
    let id = process.id().unwrap().to_string();
    assert!(
        std::process::Command::new("sh")
            .args(["-c", "kill $0 $1", signal, &id])
            .status()
            .unwrap()
            .success()
    );
}

/// Opens a new session.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The program with a database and a mail endpoint.
pub struct App {
    /// URL of the database, as a superuser.
    pub url: String,
    /// A session of the user's backend on it. Its clock stands at `noon()`.
    pub db: Client,
    /// The mail endpoint.
    pub ses: Ses,
    /// Settings of the program.
    pub env: BTreeMap<&'static str, String>,
    /// The three people and the service that `booking` uses.
    pub customer: Uuid,
    /// See `customer`.
    pub provider: Uuid,
    /// See `customer`.
    pub service: Uuid,
    /// Whether `PASS_ROLE` has the documented rights on this database.
    pub has_grants: bool,
}

/// The role of docs/install.md that passes run as.
const PASS_ROLE: &str = "booking_automation_pass";

/// Creates the role, once for the cluster, and grants it in this database what docs/install.md says.
/// The tests' own tables and functions, which their triggers use, are open to it.
pub async fn grant_documented_rights(db: &Client) {
    let docs = include_str!("../../docs/install.md");
    let (_, section) = docs.split_once("### A role for passes").unwrap();
    let (_, grants) = section.split_once("```sql\n").unwrap();
    let (grants, _) = grants.split_once("```").unwrap();
    let create = format!(
        "DO $$ BEGIN
             CREATE ROLE {PASS_ROLE} LOGIN PASSWORD '{PASS_ROLE}';
         EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
         END $$;
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {PASS_ROLE};
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO {PASS_ROLE};"
    );
    db.batch_execute(&create).await.unwrap();
    db.batch_execute(grants).await.unwrap();
}

/// The output of the program.
#[derive(Debug)]
pub struct CommandOutput {
    /// Whether the exit code was 0.
    pub success: bool,
    /// Its stdout.
    pub stdout: String,
    /// Its stderr.
    pub stderr: String,
}

impl CommandOutput {
    /// The summary.
    pub fn summary(&self) -> Value {
        assert!(self.success, "{}", self.stderr);
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.stdout, self.stderr))
    }
}

impl App {
    /// Creates an app with a new, migrated database.
    pub async fn new() -> Self {
        let mut app = Self::with_people(&new_database(template().await).await).await;
        app.has_grants = true;
        app
    }

    /// Creates an app with an empty database.
    pub async fn empty() -> Self {
        let url = new_database("template0").await;
        Self::open(&url).await
    }

    /// Migrates an empty database of the test's own and opens it.
    pub async fn migrate_and_open(url: &str) -> Self {
        migrate(url).await;
        Self::with_people(url).await
    }

    async fn with_people(url: &str) -> Self {
        let mut app = Self::open(url).await;
        // One customer has many bookings in most tests, and each is to have its own mail: groups.rs
        // tests the others.
        app.db
            .batch_execute(&format!(
                "ALTER TABLE reminder_rules ALTER group_within SET DEFAULT '0';
                 UPDATE reminder_rules SET group_within = '0';
                 SET booking_automation.as_of = '{}'",
                noon().to_rfc3339()
            ))
            .await
            .unwrap();
        app.customer = app
            .person(
                "Carla Customer",
                Some("carla@customers.example"),
                "Europe/Vienna",
            )
            .await;
        app.provider = app
            .person(
                "Petra Provider",
                Some("petra@providers.example"),
                "Europe/Vienna",
            )
            .await;
        let sql = "INSERT INTO services (provider_id, title, duration_minutes) VALUES ($1, 'Massage', 60) RETURNING id";
        app.service = app.one(sql, &[&app.provider]).await.get(0);
        app
    }

    async fn open(url: &str) -> Self {
        let ses = Ses::start().await;
        let env = [
            ("DATABASE_URL", url.to_owned()),
            (
                "EMAIL_FROM",
                "Studio Nord <booking@studio.example>".to_owned(),
            ),
            ("SEND_RATE", "1000".to_owned()),
            ("RATE_LIMIT", "6000".to_owned()),
            // The template of the databases may be older than the default.
            ("OVERLAP_ALARM_AFTER", "365d".to_owned()),
            ("AWS_ENDPOINT_URL_SESV2", ses.url.clone()),
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ];
        Self {
            url: url.to_owned(),
            db: connect(url).await,
            ses,
            env: env.into_iter().collect(),
            customer: Uuid::nil(),
            provider: Uuid::nil(),
            service: Uuid::nil(),
            has_grants: false,
        }
    }

    /// A command of the program, without the environment of this process. Commands that need no
    /// more than the documented rights run with these, on a database that has them.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_booking-automation"));
        command
            .args(arguments)
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let needs_owner = ["migrate", "uninstall", "check"];
        let needs_owner = arguments.iter().any(|it| needs_owner.contains(it));
        if self.has_grants && !needs_owner && self.env["DATABASE_URL"] == self.url {
            let (_, host) = self.url.rsplit_once('@').unwrap();
            let url = format!("postgres://{PASS_ROLE}:{PASS_ROLE}@{host}");
            command.env("DATABASE_URL", url);
        }
        command
    }

    /// Runs the program and waits until it ends.
    pub async fn call(&self, arguments: &[&str]) -> CommandOutput {
        let output = self.command(arguments).output().await.unwrap();
        CommandOutput {
            success: output.status.success(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Calls `run` with the clock at `as_of`.
    pub async fn run(&self, as_of: DateTime<Utc>) -> Value {
        self.call(&["run", "--as-of", &as_of.to_rfc3339()])
            .await
            .summary()
    }

    /// Executes SQL as the user's backend.
    pub async fn sql(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> u64 {
        self.db
            .execute(sql, parameters)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    /// Executes SQL without any trigger, for changes that the triggers refuse.
    pub async fn sql_without_triggers(&self, sql: &str) {
        let past = "SET session_replication_role = replica";
        self.db
            .batch_execute(&format!("{past}; {sql}; RESET session_replication_role"))
            .await
            .unwrap();
    }

    /// The one row of a query.
    pub async fn one(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Row {
        self.db
            .query_one(sql, parameters)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    /// The first column of all rows of a query, as text.
    pub async fn column(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Vec<String> {
        let rows = self
            .db
            .query(sql, parameters)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        rows.iter()
            .map(|row| row.get::<_, Option<String>>(0).unwrap_or_default())
            .collect()
    }

    /// Creates a user.
    pub async fn person(&self, name: &str, email: Option<&str>, zone: &str) -> Uuid {
        let sql =
            "INSERT INTO users (display_name, email, timezone) VALUES ($1, $2, $3) RETURNING id";
        self.one(sql, &[&name, &email, &zone]).await.get(0)
    }

    /// Creates a booking of one hour that was made a month before its start.
    pub async fn booking(&self, status: &str, scheduled_at: DateTime<Utc>) -> Uuid {
        let sql = "INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, location, created_at)
                   VALUES ($1, $2, $3, $4, $5, 60, 'Ringstraße 1, Wien', $5::timestamptz - interval '30 days') RETURNING id";
        self.one(
            sql,
            &[
                &self.customer,
                &self.provider,
                &self.service,
                &status,
                &scheduled_at,
            ],
        )
        .await
        .get(0)
    }

    /// Creates a booking that was confirmed a month before its start.
    pub async fn confirmed(&self, scheduled_at: DateTime<Utc>) -> Uuid {
        self.set_clock(scheduled_at - Duration::days(30)).await;
        let id = self.booking("confirmed", scheduled_at).await;
        self.set_clock(noon()).await;
        id
    }

    /// Creates a booking whose 24-hour reminder is due by the real clock.
    pub async fn booking_due_now(&self) -> Uuid {
        self.set_clock(Utc::now() - hours(48)).await;
        self.booking("confirmed", Utc::now() + hours(20)).await
    }

    /// Sets the clock of the backend's session.
    pub async fn set_clock(&self, now: DateTime<Utc>) {
        self.db
            .batch_execute(&format!(
                "SET booking_automation.as_of = '{}'",
                now.to_rfc3339()
            ))
            .await
            .unwrap();
    }

    /// A booking's status.
    pub async fn status(&self, id: Uuid) -> String {
        self.one("SELECT status FROM bookings WHERE id = $1", &[&id])
            .await
            .get(0)
    }

    /// The reminders of a booking in order: `rule status reason`.
    pub async fn reminders(&self, id: Uuid) -> Vec<String> {
        let sql = "SELECT concat_ws(' ', rule, status, reason) FROM booking_automation_events
                    WHERE booking_id = $1 AND event_type = 'reminder_sent' ORDER BY scheduled_at, seq";
        self.column(sql, &[&id]).await
    }

    /// Waits until a query answers `true`.
    pub async fn wait_until(&self, condition: &str) {
        for _ in 0..3000 {
            if self.one(condition, &[]).await.get::<_, bool>(0) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("the condition did not become true: {condition}");
    }

    /// Ends all waits for retries and all leases.
    pub async fn make_claimable(&self) {
        self.sql("UPDATE booking_automation_events SET next_attempt_at = now(), lease_until = now() WHERE status IN ('pending', 'sending')", &[])
            .await;
    }

    /// Creates a role of the user's backend without privileges on our tables; returns a session.
    pub async fn backend_role(&self) -> Client {
        connect(&self.backend_url().await).await
    }

    /// Creates a role of the user's backend without privileges on our tables; returns its URL.
    pub async fn backend_url(&self) -> String {
        let role = format!("backend_{}", Uuid::new_v4().simple());
        self.db
            .batch_execute(&format!(
                "CREATE ROLE {role} LOGIN PASSWORD 'backend';
                 GRANT SELECT, INSERT, UPDATE, DELETE ON users, services, bookings TO {role}"
            ))
            .await
            .unwrap();
        let (_, host) = self.url.rsplit_once('@').unwrap();
        format!("postgres://{role}:backend@{host}")
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Some(name) = self
            .url
            .rsplit('/')
            .next()
            .filter(|name| name.starts_with("it_"))
        {
            // Our own cluster is deleted as a whole. On another server the database must be
            // dropped.
            if std::env::var_os("TEST_DATABASE_URL").is_some() {
                let (base, name) = (cluster().base_url.clone(), name.to_owned());
                let drop = async move {
                    let admin = connect(&format!("{base}/postgres")).await;
                    let _ = admin
                        .batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
                        .await;
                };
                let _ = std::thread::spawn(|| {
                    tokio::runtime::Runtime::new().map(|runtime| runtime.block_on(drop))
                })
                .join();
            }
        }
    }
}

/// Creates a database; returns its URL.
async fn new_database(template: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = format!("it_{}_{number}", std::process::id());
    let base = &cluster().base_url;
    let admin = connect(&format!("{base}/postgres")).await;
    // Since version 15 a copy goes through the write-ahead log by default, which takes four times
    // as long.
    let version = "SELECT current_setting('server_version_num')::int >= 150000";
    let strategy = if admin.query_one(version, &[]).await.unwrap().get(0) {
        "STRATEGY file_copy"
    } else {
        ""
    };
    // Two copies of one template at the same time may conflict.
    run_when_unused(
        &admin,
        &format!("CREATE DATABASE {name} TEMPLATE {template} {strategy}"),
    )
    .await;
    format!("{base}/{name}")
}

/// Runs a statement about databases as soon as no session is connected to them.
async fn run_when_unused(admin: &Client, sql: &str) {
    while let Err(error) = admin.batch_execute(sql).await {
        let code = error.code().map(|code| code.code().to_owned());
        assert_eq!(code.as_deref(), Some("55006"), "{error:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// The database that the others are copied from. The program migrates it once.
/// `TEST_DATABASE_TEMPLATE` names one that is kept for the next run of the tests.
async fn template() -> &'static str {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    TEMPLATE
        .get_or_init(|| async {
            let admin = connect(&format!("{}/postgres", cluster().base_url)).await;
            let kept = std::env::var("TEST_DATABASE_TEMPLATE").ok();
            let is_there = "SELECT count(*) > 0 FROM pg_database WHERE datname = $1";
            if let Some(kept) = &kept
                && admin.query_one(is_there, &[kept]).await.unwrap().get(0)
            {
                return kept.clone();
            }
            let url = new_database("template0").await;
            migrate(&url).await;
            grant_documented_rights(&connect(&url).await).await;
            let (_, name) = url.rsplit_once('/').unwrap();
            let Some(kept) = kept else {
                return name.to_owned();
            };
            run_when_unused(&admin, &format!("ALTER DATABASE {name} RENAME TO {kept}")).await;
            kept
        })
        .await
}

/// Migrates a database with the program.
async fn migrate(url: &str) {
    let mut app = App::open(url).await;
    let said = app.call(&["migrate"]).await;
    assert!(said.success, "{}", said.stderr);
    // The clock of the tests is before the installation.
    app.sql(
        "UPDATE reminder_rules SET effective_from = '2020-01-01'",
        &[],
    )
    .await;
    // Other databases are copied from this one: it is not dropped, on another server either.
    app.url.clear();
}
