//! A pass that finds its lock taken. For a short time that is another pass. Any role of the
//! database can take that lock, though, and would then stop all passes: so the silence has a limit.

use std::time::Duration;

use tokio_postgres::types::Type;

use crate::database::{Transaction, migrate};
use crate::tick::error::PassError;
use crate::tick::run_log::PASS_LOCK;

/// Whether passes are committed at all: the last one no longer ago than `alarm_after`.
///
/// # Errors
/// [`PassError::LockHeld`], when it is longer ago.
pub(crate) async fn check_last_pass(
    transaction: &Transaction,
    alarm_after: Duration,
) -> Result<(), PassError> {
    let sql = include_str!("lock_holders.sql");
    let row = match transaction
        .query_one(sql, &[(&PASS_LOCK, Type::INT8)])
        .await
    {
        Err(error) if migrate::is_schema_missing(&error) => return Err(PassError::SchemaMissing),
        row => row?,
    };
    let seconds: Option<f64> = row.get("seconds_since");
    let since = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match since.filter(|since| *since > alarm_after) {
        None => Ok(()),
        Some(since) => Err(PassError::LockHeld {
            minutes: since.as_secs() / 60,
            holders: row
                .get::<_, Option<String>>("named")
                .unwrap_or_else(|| "a session that has released it meanwhile".to_owned()),
        }),
    }
}
