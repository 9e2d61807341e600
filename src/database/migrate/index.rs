//! Indexes on tables that other programs write to.

use std::time::Instant;

use tokio_postgres::types::Type;

use crate::database::migrate::step::{
    MigrateError, announce_and_lock, as_ours, retry_on_locks, run_step,
};
use crate::database::{Begin, Database, DatabaseError, last_row};

/// Columns that the user's table may lack, each with its condition in a predicate.
const CONDITIONS: [(&str, &str); 2] = [
    (
        "auto_complete_blocked",
        " AND auto_complete_blocked IS NOT TRUE",
    ),
    ("auto_status_updated", " AND auto_status_updated IS TRUE"),
];

/// Ensures that a valid index of this name exists. Returns whether it was built.
///
/// While the index is built `CONCURRENTLY`, a second connection holds the migrations' lock in an
/// open transaction. That transaction must not touch `bookings`: dropping an index concurrently
/// waits for every reader of its table. Empty tables are indexed directly, on one connection. The
/// build changes no session settings: behind a transaction pooler they would stay on a connection
/// that another client gets next.
///
/// A build continues in the server after the program that started it is gone; the next `migrate`
/// waits for it.
pub(crate) async fn ensure_index(
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
    if build_on_empty_tables(
        database,
        &step_name,
        name,
        &format!("CREATE {kind} {name} {definition}"),
    )
    .await?
    {
        return Ok(true);
    }
    let lock_and_look = lock_and_look(name, until);
    retry_on_locks(&step_name, async || {
        let (guard, rows) = database.begin(&Begin::default(), &lock_and_look).await?;
        let valid = last_row(&rows)
            .and_then(|row| row.get(0))
            .map(|valid| valid == "t");
        if valid != Some(true) {
            let create = format!("CREATE {kind} CONCURRENTLY {name} {definition}");
            build_concurrently(database, name, &create, valid == Some(false)).await?;
        }
        guard.rollback().await?;
        Ok(valid != Some(true))
    })
    .await
}

/// The definition without the conditions on columns that the user's table does not have.
pub(crate) async fn without_missing_column(
    database: &Database,
    definition: &str,
) -> Result<String, MigrateError> {
    let sql = "SELECT EXISTS (SELECT FROM pg_attribute
                               WHERE attrelid = to_regclass('public.bookings') AND attname = $1
                                 AND atttypid = 'boolean'::regtype AND NOT attisdropped) AS found";
    let mut fitting = definition.to_owned();
    for (column, condition) in CONDITIONS {
        if !definition.contains(condition) {
            continue;
        }
        let found = run_step(database, "columns", async |transaction| {
            let row = transaction.query_one(sql, &[(&column, Type::TEXT)]).await?;
            Ok(row.get::<_, bool>("found"))
        });
        if !found.await? {
            fitting = fitting.replace(condition, "");
        }
    }
    Ok(fitting)
}

async fn build_on_empty_tables(
    database: &Database,
    step_name: &str,
    name: &str,
    create: &str,
) -> Result<bool, MigrateError> {
    run_step(database, step_name, async |transaction| {
        let absent = "SELECT to_regclass('public.' || $1) IS NULL
                                     AND NOT EXISTS (SELECT FROM public.bookings)
                             AND NOT EXISTS (SELECT FROM public.booking_automation_events) AS now";
        let now = transaction
            .query_one(absent, &[(&name, Type::TEXT)])
            .await?
            .get("now");
        if now {
            transaction.batch(create).await?;
        }
        Ok(now)
    })
    .await
}

/// Drops an index, if it is there, without a lock that reads or writes wait for.
pub(crate) async fn drop_index(database: &Database, name: &str) -> Result<(), MigrateError> {
    let lock_and_look = lock_and_look(name, None);
    retry_on_locks(&format!("uninstall: index {name}"), async || {
        let (guard, rows) = database.begin(&Begin::default(), &lock_and_look).await?;
        if last_row(&rows).is_some_and(|row| row.get(0).is_some()) {
            let work = database.detached().await?;
            let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS public.{name}");
            work.batch_execute(&as_ours(&drop)).await?;
        }
        guard.rollback().await
    })
    .await
}

/// SQL that takes the migrations' lock and returns whether the index is valid (no row: it does not
/// exist).
///
/// The guard's transaction is idle during the build. It uses the simple protocol: the extended
/// protocol leaves a portal open, which holds a snapshot, and the build would wait for that without
/// end.
fn lock_and_look(name: &str, until: Option<Instant>) -> String {
    let idle = until.map_or(0, |until| {
        until
            .saturating_duration_since(Instant::now())
            .as_millis()
            .max(1)
    });
    format!(
        "SET LOCAL idle_in_transaction_session_timeout = {idle};
         {lock};
         DO $$ BEGIN
             IF EXISTS (SELECT FROM pg_stat_progress_create_index
                         WHERE datname = current_database()
                           AND index_relid = to_regclass('public.{name}')) THEN
                 RAISE lock_not_available USING MESSAGE =
                   'an earlier call''s build of {name} continues in the server';
             END IF;
         END $$;
         SELECT (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('public.{name}'))",
        lock = announce_and_lock(&format!("index {name}"))
    )
}

async fn build_concurrently(
    database: &Database,
    name: &str,
    create: &str,
    drop_invalid: bool,
) -> Result<(), DatabaseError> {
    tracing::info!(
        migration.index = name,
        "building; reads and writes go on meanwhile"
    );
    let work = database.detached().await?;
    if drop_invalid {
        let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS public.{name}");
        work.batch_execute(&as_ours(&drop)).await?;
    }
    work.batch_execute(&as_ours(create)).await?;
    Ok(())
}
