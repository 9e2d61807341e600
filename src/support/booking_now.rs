//! How a booking stands now, for its timeline.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::step_rules::StepRules;
use crate::database::{Result, Transaction, finite};
use crate::support::sentences::COMPLETED_AHEAD;

/// A booking, as the timeline shows it.
#[derive(Debug, Serialize)]
pub(crate) struct BookingNow {
    status: String,
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    /// The automation neither completes nor expires it; with a reason, it does not start it,
    /// either.
    automation_blocked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_reason: Option<String>,
    /// By the owner's function `booking_automation_is_live`: if not, the automation leaves it
    /// alone. Absent: it is live.
    #[serde(skip_serializing_if = "is_true")]
    is_live: bool,
    /// What does not go together, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    contradiction: Option<&'static str>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_true(value: &bool) -> bool {
    *value
}

/// Reads it. `None`: there is no such booking.
pub(crate) async fn read_booking(
    transaction: &Transaction,
    rules: &StepRules,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
) -> Result<Option<BookingNow>> {
    let (blocked, is_live, end) = (rules.blocked(), rules.liveness.condition(), rules.end());
    let sql = format!(
        "SELECT coalesce(b.status, '') AS status, b.scheduled_at AS starts_at,
                {end} AS ends_at,
                {blocked} AS automation_blocked,
                CASE WHEN {blocked} THEN s.blocked_reason END AS blocked_reason,
                {is_live} AS is_live,
                coalesce(b.status = 'completed' AND b.scheduled_at > $2, false)
                  AS is_completed_ahead
           FROM public.bookings b LEFT JOIN public.booking_automation_state s ON s.booking_id = b.id
          WHERE b.id = $1"
    );
    let rows = transaction
        .query(
            &sql,
            &[(&booking_id, Type::UUID), (&as_of, Type::TIMESTAMPTZ)],
        )
        .await?;
    Ok(rows.first().map(|row| BookingNow {
        status: row.get("status"),
        starts_at: finite(row, "starts_at"),
        contradiction: row
            .get::<_, bool>("is_completed_ahead")
            .then_some(COMPLETED_AHEAD),
        ends_at: finite(row, "ends_at"),
        automation_blocked: row.get("automation_blocked"),
        blocked_reason: row.get("blocked_reason"),
        is_live: row.get("is_live"),
    }))
}
