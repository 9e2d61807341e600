//! Migrations of a live database that belongs to somebody else.
//!
//! A migration library was looked for first: `refinery`, `sqlx` and `diesel_migrations` run a migration
//! in one transaction with named statements or take a session lock, and none builds an index
//! `CONCURRENTLY` under a lock of our own behind a transaction pooler. What is needed is small:
//!
//! 1. every step is one short transaction with a lock time-out, under an advisory *transaction* lock,
//!    and is recorded in `booking_automation_migrations`; a lock that is not had is let go and asked for
//!    again, so that nobody queues behind us for longer than a second;
//! 2. indexes on `bookings` are built `CONCURRENTLY`, one left invalid by a failure is rebuilt; what the
//!    catalog says counts, not the record;
//! 3. the triggers come last, when the indexes that they lean on are there.

use std::time::{Duration, Instant};

use thiserror::Error;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

pub(crate) use crate::database::schema::REQUIRED;
use crate::database::schema::{INDEXES, LAST_STEPS, STEPS};
use crate::database::{Begin, Database, DatabaseError, Transaction, last_row};

/// Connections that it takes: one builds an index while another holds the lock.
pub const CONNECTIONS: usize = 2;
/// Advisory lock of the migrations, held by one `migrate` at a time. An arbitrary number.
const MIGRATE_LOCK: i64 = 0x626b_6175_746f_0002;
/// A step that reads a whole table (to validate a CHECK) may take this long.
const STEP_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// How long a step that met somebody else's lock is tried again before `migrate` gives up.
const RETRY_FOR: Duration = Duration::from_secs(300);
/// Pauses before it is tried again: the first, doubled up to the last, so that those who queued behind
/// our request get far more time than we take from them.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(8));

/// Why the database could not be migrated. What was done before stays done; run it again.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// A step failed.
    #[error("migration {step} failed: {}", .cause.message())]
    Step {
        /// The step's name.
        step: String,
        /// Why.
        cause: DatabaseError,
    },
    /// Another `migrate`, or somebody's lock on `bookings`, did not let go in time.
    #[error("migration {step} met somebody else's lock for {} s: {}; run migrate again at a quieter time", RETRY_FOR.as_secs(), .cause.message())]
    Locked {
        /// The step's name.
        step: String,
        /// The last refusal.
        cause: DatabaseError,
    },
    /// The bookings table is not what the program can work on.
    #[error("{0}")]
    Unfit(String),
}

/// Brings the schema up to date; calls `report` once per step that was done.
///
/// `until`, the caller will be gone, perhaps without closing its connections: nothing may hold a lock of
/// ours after that. It is for the caller to stop waiting then.
///
/// # Errors
/// See [`MigrateError`]. A failed step is rolled back.
pub async fn migrate(
    database: &Database,
    until: Option<Instant>,
    mut report: impl FnMut(&str),
) -> Result<(), MigrateError> {
    let ledger = "CREATE TABLE IF NOT EXISTS booking_automation_migrations (
        name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())";
    let has_ledger = "SELECT to_regclass('public.booking_automation_migrations') IS NOT NULL";
    step(database, "00_ledger", async |transaction| {
        if !transaction.query_one(has_ledger, &[]).await?.get::<_, bool>(0) {
            transaction.batch(ledger).await?;
        }
        Ok(false)
    })
    .await?;
    for (name, sql) in STEPS {
        once(database, name, sql, &mut report).await?;
        if name == "01_base_tables" {
            check_bookings(database).await?;
        }
    }
    for (name, definition) in INDEXES {
        if index(database, until, name, definition).await? {
            report(&format!("index {name}"));
        }
    }
    for (name, sql) in LAST_STEPS {
        once(database, name, sql, &mut report).await?;
    }
    Ok(())
}

/// One recorded step.
async fn once(database: &Database, name: &str, sql: &str, report: &mut impl FnMut(&str)) -> Result<(), MigrateError> {
    let record = "INSERT INTO booking_automation_migrations (name) VALUES ($1) ON CONFLICT DO NOTHING";
    let done = step(database, name, async |transaction| {
        if transaction.execute(record, &[(&name, Type::TEXT)]).await? == 0 {
            return Ok(false);
        }
        transaction.batch(sql).await?;
        Ok(true)
    })
    .await?;
    if done {
        report(name);
    }
    Ok(())
}

/// Runs `work` in a transaction under the migrations' lock, again and again while it meets locks.
async fn step<T>(
    database: &Database,
    name: &str,
    work: impl AsyncFn(&Transaction) -> Result<T, DatabaseError>,
) -> Result<T, MigrateError> {
    let begin = Begin { statement_timeout: STEP_TIMEOUT, ..Begin::default() };
    retry(name, async || {
        let (transaction, _) = database.begin(&begin, &format!("SELECT pg_advisory_xact_lock({MIGRATE_LOCK})")).await?;
        let result = work(&transaction).await?;
        transaction.commit().await?;
        Ok(result)
    })
    .await
}

async fn retry<T>(name: &str, attempt: impl AsyncFn() -> Result<T, DatabaseError>) -> Result<T, MigrateError> {
    let give_up = Instant::now() + RETRY_FOR;
    let mut pause = RETRY_PAUSES.0;
    loop {
        let cause = match attempt().await {
            Ok(done) => return Ok(done),
            Err(cause) => cause,
        };
        let step = name.to_owned();
        if !cause.is_lock() {
            return Err(MigrateError::Step { step, cause });
        }
        if Instant::now() >= give_up {
            return Err(MigrateError::Locked { step, cause });
        }
        tracing::info!(migration.step = name, "met somebody else's lock, trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_PAUSES.1);
    }
}

/// Says what is wrong before a later step would fail in its own words.
async fn check_bookings(database: &Database) -> Result<(), MigrateError> {
    let sql = "SELECT c.relkind::text, format_type(s.atttypid, NULL), format_type(t.atttypid, NULL), format_type(i.atttypid, NULL)
                 FROM pg_class c
                 LEFT JOIN pg_attribute s ON s.attrelid = c.oid AND s.attname = 'status'
                 LEFT JOIN pg_attribute t ON t.attrelid = c.oid AND t.attname = 'scheduled_at'
                 LEFT JOIN pg_attribute i ON i.attrelid = c.oid AND i.attname = 'id'
                WHERE c.oid = 'public.bookings'::regclass";
    let row = step(database, "01_base_tables", async |transaction| transaction.query_one(sql, &[]).await).await?;
    let kind: &str = row.get(0);
    if kind != "r" {
        return Err(MigrateError::Unfit(
            "public.bookings is not a plain table: partitioned tables and views are not supported".into(),
        ));
    }
    for (position, column, fits) in [
        (1, "status", &["text", "character varying"][..]),
        (2, "scheduled_at", &["timestamp with time zone"]),
        (3, "id", &["uuid"]),
    ] {
        let found: Option<&str> = row.get(position);
        if !found.is_some_and(|found| fits.contains(&found)) {
            let found = found.unwrap_or("absent");
            return Err(MigrateError::Unfit(format!("bookings.{column} is {found}: it must be {}", fits.join(" or "))));
        }
    }
    Ok(())
}

/// Sees to it that a valid index of that name is there. Returns whether it had to be built.
///
/// While it is built `CONCURRENTLY`, a second connection holds the migrations' lock in an open
/// transaction, which must not touch `bookings`: dropping an index concurrently waits for whoever reads
/// its table. Empty tables are indexed at once, on one connection. No session settings are made for the
/// build: behind a transaction pooler they would stay with somebody else's connection.
///
/// A build goes on in the server when the program that asked for it is gone; it is waited for.
async fn index(
    database: &Database,
    until: Option<Instant>,
    name: &str,
    definition: &str,
) -> Result<bool, MigrateError> {
    let step_name = format!("index {name}");
    let (kind, definition) = match definition.strip_prefix("UNIQUE ") {
        Some(definition) => ("UNIQUE INDEX", definition),
        None => ("INDEX", definition),
    };
    let in_empty_table = step(database, &step_name, async |transaction| {
        let absent = "SELECT to_regclass('public.' || $1) IS NULL AND NOT EXISTS (SELECT FROM public.bookings) \
                      AND NOT EXISTS (SELECT FROM public.booking_automation_events)";
        let now = transaction.query_one(absent, &[(&name, Type::TEXT)]).await?.get(0);
        if now {
            transaction.batch(&format!("CREATE {kind} {name} {definition}")).await?;
        }
        Ok(now)
    })
    .await?;
    if in_empty_table {
        return Ok(true);
    }

    // The guard idles for as long as the build takes. It asks by the simple protocol: the portal that the
    // extended one leaves open would hold a snapshot, and the build would wait for it for ever.
    let idle = until.map_or(0, |until| until.saturating_duration_since(Instant::now()).as_millis().max(1));
    let lock_and_look = format!(
        "SET LOCAL idle_in_transaction_session_timeout = {idle};
         SELECT pg_advisory_xact_lock({MIGRATE_LOCK});
         DO $$ BEGIN
             IF EXISTS (SELECT FROM pg_stat_progress_create_index
                         WHERE datname = current_database() AND index_relid = to_regclass('public.{name}')) THEN
                 RAISE lock_not_available USING MESSAGE = 'an earlier call''s build of {name} goes on in the server';
             END IF;
         END $$;
         SELECT (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('public.{name}'))"
    );
    retry(&step_name, async || {
        let (guard, rows) = database.begin(&Begin::default(), &lock_and_look).await?;
        let valid = last_row(&rows).and_then(|row| row.get(0)).map(|valid| valid == "t");
        if valid != Some(true) {
            tracing::info!(migration.index = name, "building; reads and writes go on meanwhile");
            let work = database.detached().await?;
            if valid == Some(false) {
                work.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS public.{name}")).await?;
            }
            work.batch_execute(&format!("CREATE {kind} CONCURRENTLY {name} {definition}")).await?;
        }
        guard.rollback().await?;
        Ok(valid != Some(true))
    })
    .await
}

/// Whether a statement failed because the schema is missing or old.
pub(crate) fn is_schema_missing(error: &DatabaseError) -> bool {
    matches!(
        error.code(),
        Some(code) if [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN, SqlState::UNDEFINED_FUNCTION].contains(code)
    )
}
