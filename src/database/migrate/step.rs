//! One step: a short transaction under the migrations' lock, retried while other sessions hold
//! locks that it needs.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use thiserror::Error;
use uuid::Uuid;

use crate::database::{Begin, Database, DatabaseError, Transaction};

/// Advisory lock of the migrations, held by one `migrate` at a time. An arbitrary number.
pub(crate) const MIGRATE_LOCK: i64 = 0x626b_6175_746f_0002;
/// A step that reads a whole table (to validate a CHECK) may take this long.
const STEP_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// How long a step is retried because of locks before `migrate` gives up.
const RETRY_FOR: Duration = Duration::from_secs(300);
/// Pauses between tries: the first is doubled up to the last, so that sessions that queued behind
/// our request get far more time than it took.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(8));

/// How the `application_name` of this process's sessions begins while they migrate; the step
/// follows. The progress is found by it, and the database's owner sees it in `pg_stat_activity`.
pub(crate) fn session_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        // The server cuts names after 63 bytes, and the step is to fit in.
        let (token, ..) = Uuid::new_v4().as_fields();
        format!("booking-automation migrate {token:08x}")
    })
}

/// SQL that shows the step in `pg_stat_activity` and takes the migrations' lock.
pub(crate) fn announce_and_lock(step: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || " _:,.".contains(*c);
    let step: String = step.chars().filter(is_plain).collect();
    format!(
        "SET LOCAL application_name = '{} {step}'; SELECT pg_advisory_xact_lock({MIGRATE_LOCK})",
        session_name()
    )
}

/// Marks a statement that runs without a transaction. There, a session setting would stay on a
/// pooler's connection.
pub(crate) fn as_ours(statement: &str) -> String {
    format!("{statement} /* {} */", session_name())
}

/// Why the database could not be migrated. Finished steps stay; run it again.
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
    /// Another `migrate`, or a lock of another session on `bookings`, was not released in time.
    #[error(
        "migration {step} waited {} s for a lock of another session: {}; run migrate again at a \
         quieter time",
        RETRY_FOR.as_secs(),
        .cause.message()
    )]
    Locked {
        /// The step's name.
        step: String,
        /// The last refusal.
        cause: DatabaseError,
    },
    /// The program cannot work on this database; nothing was changed.
    #[error("{0}")]
    Unfit(String),
}

/// Runs `work` in a transaction under the migrations' lock, and retries it while other sessions
/// hold locks.
pub(crate) async fn run_step<T>(
    database: &Database,
    name: &str,
    work: impl AsyncFn(&Transaction) -> Result<T, DatabaseError>,
) -> Result<T, MigrateError> {
    let begin = Begin {
        statement_timeout: STEP_TIMEOUT,
        ..Begin::default()
    };
    retry_on_locks(name, async || {
        let (transaction, _) = database.begin(&begin, &announce_and_lock(name)).await?;
        let result = work(&transaction).await?;
        transaction.commit().await?;
        Ok(result)
    })
    .await
}

/// Retries until `attempt` succeeds, fails for another reason than a lock or a lack of connections,
/// or the time is up.
pub(crate) async fn retry_on_locks<T>(
    name: &str,
    attempt: impl AsyncFn() -> Result<T, DatabaseError>,
) -> Result<T, MigrateError> {
    let give_up = Instant::now() + RETRY_FOR;
    let mut pause = RETRY_PAUSES.0;
    loop {
        let cause = match attempt().await {
            Ok(done) => return Ok(done),
            Err(cause) => cause,
        };
        let step = name.to_owned();
        if !cause.is_lock() && !cause.is_out_of_connections() {
            return Err(MigrateError::Step { step, cause });
        }
        if Instant::now() >= give_up {
            return Err(MigrateError::Locked { step, cause });
        }
        let why = match cause.is_lock() {
            true => "another session holds a lock",
            false => "the server has no connection left",
        };
        tracing::info!(migration.step = name, "{why}; trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_PAUSES.1);
    }
}
