//! A booking as it is at one moment.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::{Result, Transaction, finite};

/// A booking at a moment.
pub(crate) struct BookingSnapshot {
    /// Empty where it is NULL.
    pub(crate) status: String,
    pub(crate) start: Option<DateTime<Utc>>,
    pub(crate) has_started: bool,
}

/// Reads a booking without a lock. `None`: there is no such booking.
pub(crate) async fn read(
    transaction: &Transaction,
    id: Uuid,
    as_of: DateTime<Utc>,
) -> Result<Option<BookingSnapshot>> {
    read_with(transaction, id, as_of, "").await
}

/// Reads a booking and locks it, so that nothing changes until the caller writes.
pub(crate) async fn lock(
    transaction: &Transaction,
    id: Uuid,
    as_of: DateTime<Utc>,
) -> Result<Option<BookingSnapshot>> {
    read_with(transaction, id, as_of, "FOR NO KEY UPDATE").await
}

async fn read_with(
    transaction: &Transaction,
    id: Uuid,
    as_of: DateTime<Utc>,
    lock: &str,
) -> Result<Option<BookingSnapshot>> {
    let sql = format!(
        "SELECT coalesce(status, '') AS status, scheduled_at,
               coalesce(scheduled_at <= $2, false) AS has_started
           FROM public.bookings WHERE id = $1 {lock}"
    );
    let rows = transaction
        .query(&sql, &[(&id, Type::UUID), (&as_of, Type::TIMESTAMPTZ)])
        .await?;
    Ok(rows.first().map(|row| BookingSnapshot {
        status: row.get("status"),
        start: finite(row, "scheduled_at"),
        has_started: row.get("has_started"),
    }))
}

/// The statuses before the automation's latest steps, the latest first, where no other change came
/// after them.
pub(crate) async fn undoable_step(
    transaction: &Transaction,
    id: Uuid,
    status: &str,
) -> Result<Vec<String>> {
    let sql = "SELECT event_data ->> 'from' AS from_status, event_data ->> 'to' AS to_status,
                      event_data ->> 'by' = 'booking-automation' AS automatic
                 FROM public.booking_automation_events
                WHERE booking_id = $1 AND event_type = 'status_update' AND status = 'completed'
                ORDER BY seq DESC LIMIT 4";
    let mut before = Vec::new();
    let mut current = status.to_owned();
    for row in transaction.query(sql, &[(&id, Type::UUID)]).await? {
        let automatic = row.get::<_, Option<bool>>("automatic") == Some(true);
        let to: Option<String> = row.get("to_status");
        match row.get::<_, Option<String>>("from_status") {
            Some(from) if automatic && to.as_deref() == Some(&current) => {
                current.clone_from(&from);
                before.push(from);
            }
            _ => break,
        }
    }
    Ok(before)
}
