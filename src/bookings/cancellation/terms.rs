//! Who may cancel a booking, until when, and what is refunded.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::bookings::cancellation::money::MoneySettings;
use crate::bookings::cancellation::refunds::{Refund, RefundBasis, RefundError};
use crate::bookings::cancellation::tiers::{Case, format_moment};
use crate::bookings::judge::judge;
use crate::bookings::lifecycle::{Role, Status};
use crate::bookings::projection;
use crate::bookings::settings::TransitionSettings;
use crate::bookings::snapshot::BookingSnapshot;
use crate::bookings::step_rules::StepRules;
use crate::database::Transaction;

/// Who may cancel: the role, and whether as a no-show.
const WAYS: [(Role, bool); 5] = [
    (Role::Customer, false),
    (Role::Provider, false),
    (Role::Provider, true),
    (Role::Admin, false),
    (Role::System, false),
];

/// The terms of a cancellation.
#[derive(Debug, Serialize)]
pub(crate) struct CancellationTerms {
    booking_id: Uuid,
    as_of: DateTime<Utc>,
    /// The status at this time, even if no pass has run yet.
    status: String,
    starts_at: Option<DateTime<Utc>>,
    total: Option<String>,
    options: Vec<CancellationOption>,
}

/// One way to cancel it.
#[derive(Debug, Serialize)]
struct CancellationOption {
    role: Role,
    no_show: bool,
    allowed: bool,
    /// From this time on it is not allowed, if nothing else changes; `None`: no such time is known.
    before: Option<DateTime<Utc>>,
    text: String,
    /// The refund now.
    refund: Option<Refund>,
    /// The refunds after that, in order of time.
    later: Vec<Refund>,
}

/// Reads the terms without locks or writes: no other transaction waits, and none of the user's
/// triggers fire.
pub(crate) async fn terms(
    transaction: &Transaction,
    settings: &TransitionSettings,
    money: MoneySettings,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
) -> Result<CancellationTerms, RefundError> {
    let rules = StepRules::read(transaction, settings).await?;
    let states = projection::projected_states(transaction, &rules, as_of, booking_id).await?;
    let mut states = states.ok_or(RefundError::NoBooking)?;
    let basis = RefundBasis::read(transaction, money, booking_id)
        .await?
        .ok_or(RefundError::NoBooking)?;
    let (_, booking) = states.remove(0);
    let mut options = Vec::new();
    for (role, no_show) in WAYS {
        let may = |booking: &BookingSnapshot| judge(booking, &[], Status::Cancelled, role, no_show);
        options.push(match may(&booking) {
            Err(not_allowed) => CancellationOption::refused(role, no_show, &not_allowed),
            Ok(_) => {
                let before = states
                    .iter()
                    .find(|(_, booking)| may(booking).is_err())
                    .map(|(moment, _)| *moment);
                let case = Case::of(role, no_show);
                match basis
                    .refunds_from(transaction, as_of, &booking.status, case, before)
                    .await
                {
                    Ok(refunds) => CancellationOption::allowed(role, no_show, before, refunds),
                    Err(RefundError::Undetermined(why)) => {
                        CancellationOption::refused(role, no_show, &why)
                    }
                    Err(error) => return Err(error),
                }
            }
        });
    }
    let total = basis.price.ok().and_then(|price| price.total);
    Ok(CancellationTerms {
        booking_id,
        as_of,
        status: booking.status,
        starts_at: basis.start,
        total,
        options,
    })
}

impl CancellationOption {
    fn refused(role: Role, no_show: bool, why: &dyn fmt::Display) -> Self {
        Self {
            role,
            no_show,
            allowed: false,
            before: None,
            text: why.to_string(),
            refund: None,
            later: Vec::new(),
        }
    }

    fn allowed(
        role: Role,
        no_show: bool,
        before: Option<DateTime<Utc>>,
        refunds: Vec<Refund>,
    ) -> Self {
        let mut refunds = refunds.into_iter();
        let refund = refunds.next();
        let what = if no_show {
            "report a no-show"
        } else {
            "cancel"
        };
        let how_long = before
            .map(|before| format!(" before {}", format_moment(before)))
            .unwrap_or_default();
        let refund_text = refund
            .as_ref()
            .map(|refund| format!(" {refund}"))
            .unwrap_or_default();
        let text = format!("{role} may {what}{how_long}.{refund_text}");
        Self {
            role,
            no_show,
            allowed: true,
            before,
            text,
            refund,
            later: refunds.collect(),
        }
    }
}
