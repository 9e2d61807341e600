//! A cancellation by the customer, with what they were shown.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::cancellation::money::MoneySettings;
use crate::bookings::cancellation::refunds;
use crate::bookings::cancellation::tiers::Case;
use crate::bookings::judge::judge;
use crate::bookings::lifecycle::{Role, Status};
use crate::bookings::settings::TransitionSettings;
use crate::bookings::snapshot;
use crate::bookings::status_change::{Actor, StatusError, StatusRequest, change_status};
use crate::database::{Transaction, finite};

/// What is refunded if the customer cancels now, as the trail has it. The booking must need no step
/// by time.
pub(crate) async fn customer_refund(
    transaction: &Transaction,
    money: MoneySettings,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
) -> Result<Value, StatusError> {
    let booking = snapshot::read(transaction, booking_id, as_of).await?;
    let booking = booking.ok_or(StatusError::NoBooking)?;
    let step = judge(&booking, &[], Status::Cancelled, Role::Customer, false)?;
    let case = Case::of(Role::Customer, false);
    let refund = refunds::refund(transaction, money, as_of, booking_id, step.from, case).await?;
    Ok(refund.decision())
}

/// What a cancellation found, under the booking's lock.
#[derive(Clone, Debug)]
pub(crate) struct CancelledByCustomer {
    /// As the trail has it.
    pub(crate) refund: Option<Value>,
    pub(crate) starts_at: Option<DateTime<Utc>>,
    pub(crate) customer_id: String,
}

/// Cancels a booking. The caller compares what was found with what the customer was shown, and
/// commits or undoes it.
pub(crate) async fn cancel_by_customer(
    transaction: &Transaction,
    settings: &TransitionSettings,
    money: MoneySettings,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
    customer_id: &str,
) -> Result<CancelledByCustomer, StatusError> {
    let actor = Actor {
        role: Role::Customer,
        id: (!customer_id.is_empty()).then(|| customer_id.to_owned()),
        reason: None,
    };
    let request = StatusRequest {
        to: Status::Cancelled,
        actor: &actor,
        no_show: false,
        expected_refund: None,
    };
    let changed = change_status(transaction, settings, money, as_of, booking_id, &request).await?;
    let sql = "SELECT scheduled_at, coalesce(to_jsonb(b) ->> 'customer_id', '') AS customer_id
                 FROM public.bookings b WHERE id = $1";
    let rows = transaction.query(sql, &[(&booking_id, Type::UUID)]).await?;
    let row = rows.first().ok_or(StatusError::NoBooking)?;
    Ok(CancelledByCustomer {
        refund: changed.refund.map(|refund| refund.decision()),
        starts_at: finite(row, "scheduled_at"),
        customer_id: row.get("customer_id"),
    })
}
