//! Migrations of a live database that other programs use.
//!
//! No migration library fits: `refinery`, `sqlx` and `diesel_migrations` use named statements or a
//! session lock, and none builds an index `CONCURRENTLY` under a lock of our own behind a
//! transaction pooler. The requirements are few:
//!
//! 1. every step is one short transaction with a lock time-out, under an advisory *transaction*
//!    lock, and is recorded in `booking_automation_migrations`; a step that does not get its lock
//!    gives up and tries again, so that other sessions queue behind it for a second at most;
//! 2. indexes on `bookings` are built `CONCURRENTLY`, and an index that a failure left invalid is
//!    rebuilt; the catalog decides, not the record of steps;
//! 3. functions (`schema/functions/`) are applied again when their text has changed;
//! 4. the triggers (`schema/triggers/`) come last, when the indexes and functions that they need
//!    exist; the catalog decides which are missing.
//!
//! A step only expands the schema; a later release contracts it. So the previous program and this
//! one both run before, between and after the steps.

mod created;
mod index;
pub mod progress;
mod step;
pub mod uninstall;

use std::time::Instant;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

pub use crate::database::migrate::step::MigrateError;
use crate::database::migrate::step::run_step;
pub(crate) use crate::database::migrate::step::{announce_and_lock, retry_on_locks};
use crate::database::schema::{INDEXES, LAST_STEPS, STEPS};
use crate::database::{Database, DatabaseError, functions, owner_functions, triggers};

/// Connections that `migrate` and `uninstall` need: one builds an index while another holds the
/// lock. Their progress is watched over further ones, each open for a moment.
pub const CONNECTIONS: usize = 2;

/// What becomes of base tables (`bookings`, `users`, `services`) that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseTables {
    /// They are created.
    Create,
    /// The owner has tables, and a view of the contacts, of another shape.
    Leave,
}

/// Whether columns are added to `bookings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// Yes, except in a database where `--no-columns` is recorded.
    AsRecorded,
    /// None is added, now and by every later `migrate`.
    Leave,
}

/// The step that records that no columns are added.
pub(crate) const NO_COLUMNS: &str = "02_no_columns";
/// The step that adds the columns.
pub(crate) const ADDS_COLUMNS: &str = "02_booking_columns";

/// Brings the schema up to date, and calls `report` for each step that it applied. Whether the
/// database fits was looked at before (`operations::check`).
///
/// The caller stops waiting at `until` and may exit without closing its connections, so no lock may
/// be held after that.
///
/// # Errors
/// See [`MigrateError`]. A failed step is rolled back.
pub async fn migrate(
    database: &Database,
    base_tables: BaseTables,
    columns: Columns,
    until: Option<Instant>,
    mut report: impl FnMut(&str),
) -> Result<(), MigrateError> {
    create_ledger(database).await?;
    let adds_columns = columns == Columns::AsRecorded && !is_recorded(database, NO_COLUMNS).await?;
    for (name, sql) in STEPS {
        let (name, sql) = match name {
            "01_base_tables" if base_tables == BaseTables::Leave => (name, ""),
            ADDS_COLUMNS if !adds_columns => (NO_COLUMNS, ""),
            _ => (name, sql),
        };
        run_once(database, name, sql, &mut report).await?;
    }
    let report_names = |what: &str, names: Vec<&str>, report: &mut dyn FnMut(&str)| {
        if !names.is_empty() {
            report(&format!("{what}: {}", names.join(", ")));
        }
    };
    let created = run_step(database, "functions", functions::create_missing).await?;
    report_names("functions", created, &mut report);
    let derived = run_step(database, "functions", owner_functions::derive).await?;
    report_names("functions", derived, &mut report);
    for (name, definition) in INDEXES {
        let definition = index::without_missing_column(database, definition).await?;
        if index::ensure_index(database, until, name, &definition).await? {
            report(&format!("index {name}"));
        }
    }
    for (name, sql) in LAST_STEPS {
        run_once(database, name, sql, &mut report).await?;
    }
    // After the steps: a new text may need the columns that they add.
    let applied = run_step(database, "functions", functions::apply_changed).await?;
    report_names("functions", applied, &mut report);
    let triggers = run_step(database, "triggers", triggers::create_missing).await?;
    report_names("triggers", triggers, &mut report);
    Ok(())
}

async fn create_ledger(database: &Database) -> Result<(), MigrateError> {
    let create = "CREATE TABLE IF NOT EXISTS public.booking_automation_migrations (
        name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())";
    let exists = "SELECT to_regclass('public.booking_automation_migrations') IS NOT NULL AS found";
    run_step(database, "00_ledger", async |transaction| {
        if !transaction
            .query_one(exists, &[])
            .await?
            .get::<_, bool>("found")
        {
            transaction.batch(create).await?;
        }
        created::ensure_record(transaction).await
    })
    .await
}

async fn is_recorded(database: &Database, step: &str) -> Result<bool, MigrateError> {
    let sql =
        "SELECT EXISTS (SELECT FROM public.booking_automation_migrations WHERE name = $1) AS found";
    run_step(database, step, async |transaction| {
        let row = transaction.query_one(sql, &[(&step, Type::TEXT)]).await?;
        Ok(row.get("found"))
    })
    .await
}

/// Runs a step once, and records it.
async fn run_once(
    database: &Database,
    name: &str,
    sql: &str,
    report: &mut impl FnMut(&str),
) -> Result<(), MigrateError> {
    let done = run_step(database, name, async |transaction| {
        if !created::begin_step(transaction, name).await? {
            return Ok(false);
        }
        transaction.batch(sql).await?;
        created::end_step(transaction, name).await?;
        Ok(true)
    })
    .await?;
    if done {
        report(name);
    }
    Ok(())
}

/// Whether a statement failed because the schema is missing or old. What a function of the user
/// misses is none of ours, and `migrate` would not create it.
pub(crate) fn is_schema_missing(error: &DatabaseError) -> bool {
    let is_ours = |name: &str| {
        name.starts_with("booking_automation_")
            || [
                "bookings",
                "reminder_rules",
                "automation_runs",
                "booking_end",
            ]
            .contains(&name)
    };
    match error.code() {
        _ if error.function().is_some_and(is_foreign) => false,
        Some(code) if [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_FUNCTION].contains(code) => {
            error.is_about(is_ours)
        }
        // It may have no table's name, and a statement of ours refers to it.
        Some(code) => *code == SqlState::UNDEFINED_COLUMN,
        None => false,
    }
}

/// Whether a function, written with its schema and the types of its arguments, is not one of ours.
fn is_foreign(function: &str) -> bool {
    let name = function.split('(').next().unwrap_or_default();
    let name = name.rsplit('.').next().unwrap_or_default();
    !functions::FUNCTIONS.iter().any(|(ours, _)| *ours == name)
}
