//! Handles a message whose row of the contacts view cannot be read: it counts as a failed attempt,
//! so that other messages go on.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future;
use tokio_postgres::types::Type;

use crate::database::{DatabaseError, Result, Transaction};
use crate::delivery::outbox::{MAX_ATTEMPTS, RecordedOutcome, lock_channel};

const CONTACT_FAILURE: &str = include_str!("contact_failure.sql");

/// Counts a failed attempt against the first message that could be claimed. Returns its event.
pub(crate) async fn record_contact_failure(
    transaction: &Transaction,
    error: &str,
    back_off: Duration,
    as_of: Option<DateTime<Utc>>,
) -> Result<Option<RecordedOutcome>> {
    let parameters = [
        (&error as _, Type::TEXT),
        (&as_of as _, Type::TIMESTAMPTZ),
        (&MAX_ATTEMPTS as _, Type::INT4),
        (&back_off.as_secs_f64() as _, Type::FLOAT8),
    ];
    // The provider's events are written under the channel's lock: either this statement sees an
    // event, or the event's own statement sees the row as this one left it.
    let (locked, rows) = future::join(
        lock_channel(transaction),
        transaction.query(CONTACT_FAILURE, &parameters),
    )
    .await;
    locked?;
    Ok(rows?.first().map(RecordedOutcome::of))
}

/// Whether the view failed on the contents of a row. A missing or forbidden view (class 42) fails
/// for every message, and does not count as an attempt.
pub(crate) fn is_contact_failure(error: &DatabaseError) -> bool {
    error.is_of_a_row()
        && !error.is_lock()
        && !error
            .code()
            .is_some_and(|code| code.code().starts_with("42"))
}
