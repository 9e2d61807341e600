//! The brief's flags on `bookings` (`reminder_24h_sent` and so on): a projection of what was sent,
//! for the user's own pages. A separate statement sets them; it skips locked rows, which a later
//! call sets.

use std::time::{Duration, Instant};

use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::{BOOKINGS_LOCK_TIMEOUT, Begin, Database, Result, Transaction};

/// Longest time for one statement.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(8);
/// Flags set in one statement.
const PAGE: i64 = 2_000;
/// Bookings whose flags are set one by one in one call, after a page was refused.
const SINGLY: i64 = 100;

const FLAGS: &str = include_str!("flags.sql");

/// Sets the flags that are behind, page by page, until none is left that can be set.
pub(crate) async fn update_flags(database: &Database, deadline: Instant) {
    while Instant::now() < deadline {
        let settled = match project_page(database, None, deadline).await {
            // A trigger of the user's database refuses one booking: set each by itself, so that the
            // others succeed.
            Err(error) if error.is_of_a_row() => project_singly(database, deadline).await,
            result => result,
        };
        match settled {
            Ok(settled) if settled == PAGE as u64 => {}
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(
                    error = error.loggable(),
                    "flags on bookings could not be set; they follow with a later pass"
                );
                return;
            }
        }
    }
}

/// Returns how many flags are settled.
async fn project_page(
    database: &Database,
    only: Option<&[Uuid]>,
    deadline: Instant,
) -> Result<u64> {
    let begin = Begin {
        statement_timeout: STATEMENT_TIMEOUT,
        lock_timeout: BOOKINGS_LOCK_TIMEOUT,
        until: Some(deadline),
        ..Begin::default()
    };
    let (transaction, _) = database.begin(&begin, "").await?;
    let parameters = [(&PAGE as _, Type::INT8), (&only as _, Type::UUID_ARRAY)];
    transaction
        .commit_after(async |transaction| transaction.execute(FLAGS, &parameters).await)
        .await
}

async fn project_singly(database: &Database, deadline: Instant) -> Result<u64> {
    let begin = Begin {
        until: Some(deadline),
        ..Begin::default()
    };
    let (transaction, _) = database.begin(&begin, "").await?;
    let bookings = bookings_behind(&transaction).await?;
    transaction.rollback().await?;
    let mut settled = 0;
    for booking in bookings {
        match project_page(database, Some(&[booking]), deadline).await {
            Ok(count) => settled += count,
            // A later call sets it.
            Err(error) if error.is_lock() => {}
            Err(error) if error.is_of_a_row() => {
                tracing::warn!(
                    booking.id = %booking,
                    error = error.loggable(),
                    "the database refuses this booking's reminder flags"
                );
                let (transaction, _) = database.begin(&begin, "").await?;
                let details = error.details();
                transaction
                    .commit_after(async |transaction| give_up(transaction, booking, &details).await)
                    .await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(settled)
}

async fn bookings_behind(transaction: &Transaction) -> Result<Vec<Uuid>> {
    let sql = "SELECT DISTINCT booking_id FROM (
                   SELECT booking_id FROM booking_automation_events WHERE flag_due ORDER BY seq LIMIT $1) AS due";
    let rows = transaction.query(sql, &[(&SINGLY, Type::INT8)]).await?;
    Ok(rows.iter().map(|row| row.get("booking_id")).collect())
}

/// Leaves a booking's flags as they are: the user's database refuses them. The event has the error.
async fn give_up(transaction: &Transaction, booking_id: Uuid, error: &str) -> Result<()> {
    let sql = "UPDATE booking_automation_events
                  SET flag_due = false,
                      event_data = coalesce(event_data, '{}') || jsonb_build_object('flag_error', $2)
                WHERE booking_id = $1 AND flag_due";
    transaction
        .execute(sql, &[(&booking_id, Type::UUID), (&error, Type::TEXT)])
        .await?;
    Ok(())
}
