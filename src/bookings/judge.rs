//! Whether a person may take a step now, by the table of [`crate::bookings::lifecycle`].

use thiserror::Error;

use crate::bookings::lifecycle::{Role, Status, Step, TABLE, When};
use crate::bookings::snapshot::BookingSnapshot;

/// The step may not be taken from this status, by this role, now.
#[derive(Debug, Error)]
#[error("{why}")]
pub(crate) struct NotAllowed {
    why: String,
    pub(crate) current: String,
    /// The statuses that this role may set now.
    pub(crate) allowed: Vec<Status>,
}

/// The step, if this role may take it now. `undoable` are the statuses before the automation's
/// latest steps.
pub(crate) fn judge(
    booking: &BookingSnapshot,
    undoable: &[String],
    to: Status,
    role: Role,
    no_show: bool,
) -> Result<&'static Step, NotAllowed> {
    let may_now = |step: &&Step| {
        step.from.as_str() == booking.status
            && step.by.contains(&role)
            && match step.when {
                When::Any => true,
                When::BeforeStart => !booking.has_started,
                When::FromStart | When::NoShow => booking.has_started,
                When::Undo => undoable.iter().any(|before| before == step.to.as_str()),
                When::Due => false,
            }
    };
    let is_meant = |step: &&Step| step.to == to && (step.when == When::NoShow) == no_show;
    if let Some(step) = TABLE.iter().filter(may_now).find(is_meant) {
        return Ok(step);
    }
    let mut allowed: Vec<_> = TABLE
        .iter()
        .filter(may_now)
        .filter(|step| step.when != When::NoShow)
        .map(|step| step.to)
        .collect();
    allowed.dedup();
    let from_here = |step: &&Step| step.from.as_str() == booking.status && step.when != When::Due;
    let steps: Vec<_> = TABLE.iter().filter(from_here).filter(is_meant).collect();
    Err(NotAllowed {
        why: why_not(booking, &steps, to, role, no_show),
        current: booking.status.clone(),
        allowed,
    })
}

/// The sentence that says why this role may not take these steps.
fn why_not(
    booking: &BookingSnapshot,
    steps: &[&Step],
    to: Status,
    role: Role,
    no_show: bool,
) -> String {
    let status = &booking.status;
    let as_what = if no_show { " as a no-show" } else { "" };
    let Some(step) = steps.iter().find(|step| step.by.contains(&role)) else {
        return match steps.first() {
            None => format!("a booking that is {status} cannot become {to}{as_what}"),
            Some(_) => format!("{role} may not change a booking from {status} to {to}{as_what}"),
        };
    };
    match step.when {
        When::BeforeStart => {
            format!("the booking has started: {role} can change it to {to} only before the start")
        }
        When::FromStart | When::NoShow => {
            format!(
                "the booking has not started: {role} can change it to {to}{as_what} only from the \
                 start on"
            )
        }
        _ => {
            format!("the automation did not make the booking {status}, so there is nothing to undo")
        }
    }
}
