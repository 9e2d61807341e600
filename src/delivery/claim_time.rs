//! How long the statements of delivery may take.

use std::time::{Duration, Instant};

use crate::channels::timing::Timing;
use crate::delivery::recipients::CONTACTS_TIMEOUT;
use crate::primitives::call::Call;

/// Longest time for one statement of a delivery.
pub(crate) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(8);

/// How long a claim may take.
#[derive(Clone, Copy)]
pub(crate) struct ClaimTime {
    /// Each statement.
    pub(crate) statement: Duration,
    /// All of it.
    pub(crate) until: Instant,
}

impl ClaimTime {
    /// While outcomes wait for the end of a claim, it leaves time to record them. The server ends
    /// a slow statement before the client stops waiting for it: a claim that failed here is not
    /// committed there.
    pub(crate) fn of(call: &Call, timing: &Timing, is_ahead: bool) -> Self {
        let (statement, reserved) = match is_ahead {
            true => (CONTACTS_TIMEOUT, timing.recording / 2),
            false => (STATEMENT_TIMEOUT, Duration::ZERO),
        };
        Self {
            statement,
            until: call.deadline.checked_sub(reserved).unwrap_or(call.deadline),
        }
    }
}
