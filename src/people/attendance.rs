//! Customers who said that they will come.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::{Result, Transaction, finite};

/// SQL of a boolean: there is the table. Before step 26 of 0.3.0, there is none.
pub(crate) const IS_KNOWN: &str = "to_regclass('public.booking_automation_attendance') IS NOT NULL";

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Attendance {
    /// The start that they were shown.
    pub(crate) starts_at: Option<DateTime<Utc>>,
    pub(crate) answered_at: Option<DateTime<Utc>>,
}

/// Stores that a customer will come, while the booking is confirmed at that start. Returns whether
/// it is.
pub(crate) async fn store_attendance(
    transaction: &Transaction,
    booking_id: Uuid,
    person: &str,
    starts_at: DateTime<Utc>,
    as_of: DateTime<Utc>,
) -> Result<bool> {
    let sql = "INSERT INTO public.booking_automation_attendance
                          (booking_id, person_id, starts_at, answered_at)
               SELECT b.id, $2, b.scheduled_at, $4
                 FROM public.bookings b
                WHERE b.id = $1 AND b.status = 'confirmed' AND b.scheduled_at = $3
                  FOR SHARE
               ON CONFLICT (booking_id) DO UPDATE
                  SET person_id = excluded.person_id, starts_at = excluded.starts_at,
                    answered_at = excluded.answered_at";
    let parameters = [
        (&booking_id as _, Type::UUID),
        (&person as _, Type::TEXT),
        (&starts_at as _, Type::TIMESTAMPTZ),
        (&as_of as _, Type::TIMESTAMPTZ),
    ];
    Ok(transaction.execute(sql, &parameters).await? > 0)
}

/// Forgets that a customer will come: they say that they cannot.
pub(crate) async fn forget_attendance(transaction: &Transaction, booking_id: Uuid) -> Result<()> {
    let sql = "DELETE FROM public.booking_automation_attendance WHERE booking_id = $1";
    transaction
        .execute(sql, &[(&booking_id, Type::UUID)])
        .await?;
    Ok(())
}

/// The answer about a booking. `None`: there is none.
pub(crate) async fn read_attendance(
    transaction: &Transaction,
    booking_id: Uuid,
) -> Result<Option<Attendance>> {
    let is_known = format!("SELECT {IS_KNOWN} AS is_known");
    let row = transaction.query_one(&is_known, &[]).await?;
    if !row.get::<_, bool>("is_known") {
        return Ok(None);
    }
    let sql = "SELECT starts_at, answered_at FROM public.booking_automation_attendance \
        WHERE booking_id = $1";
    let rows = transaction.query(sql, &[(&booking_id, Type::UUID)]).await?;
    Ok(rows.first().map(|row| Attendance {
        starts_at: finite(row, "starts_at"),
        answered_at: finite(row, "answered_at"),
    }))
}
