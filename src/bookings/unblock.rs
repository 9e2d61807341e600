//! Lifts the block that keeps the automation from a booking.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::columns::Column;
use crate::bookings::not_live::lower_marks;
use crate::bookings::settings::TransitionSettings;
use crate::bookings::snapshot;
use crate::bookings::status_change::StatusError;
use crate::bookings::step_rules::StepRules;
use crate::database::Transaction;

/// It runs with the settings of the user's database.
pub(crate) const UNBLOCK: &str = "UPDATE public.bookings SET auto_complete_blocked = false
      WHERE id OPERATOR(pg_catalog.=) $1 AND auto_complete_blocked IS TRUE";

/// What became of the block.
#[derive(Debug, Serialize)]
pub(crate) struct Unblocked {
    booking_id: Uuid,
    /// Whether there was one.
    was_blocked: bool,
    automation_blocked: bool,
}

/// Lifts the block of a booking: the one of an undo, and the user's own `auto_complete_blocked`.
/// The wait of an overdue booking starts anew. The caller commits.
pub(crate) async fn unblock(
    transaction: &Transaction,
    settings: &TransitionSettings,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
) -> Result<Unblocked, StatusError> {
    let rules = StepRules::read(transaction, settings).await?;
    if snapshot::lock(transaction, booking_id, as_of)
        .await?
        .is_none()
    {
        return Err(StatusError::NoBooking);
    }
    let mut lifted = 0;
    // The audit trigger then does the same as below.
    if rules.columns.has(Column::AutoCompleteBlocked) {
        let announce = async |transaction: &Transaction| {
            transaction
                .batch("SET LOCAL booking_automation.actor = 'support'")
                .await
        };
        let write = async |transaction: &Transaction| {
            transaction
                .execute(UNBLOCK, &[(&booking_id, Type::UUID)])
                .await
        };
        lifted += transaction
            .write_with_their_settings(transaction.statement_timeout(), announce, write)
            .await?;
    }
    let sql = "UPDATE public.booking_automation_state SET blocked_reason = NULL, unblocked_at = $2
                WHERE booking_id = $1 AND blocked_reason IS NOT NULL";
    let parameters = [
        (&booking_id as _, Type::UUID),
        (&as_of as _, Type::TIMESTAMPTZ),
    ];
    lifted += transaction.execute(sql, &parameters).await?;
    // Blocked bookings do not keep a mark from being set behind them.
    lower_marks(transaction, &rules, booking_id).await?;
    Ok(Unblocked {
        booking_id,
        was_blocked: lifted > 0,
        automation_blocked: false,
    })
}
