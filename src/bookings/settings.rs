//! When automatic status changes are due.

use std::time::Duration;

use crate::primitives::duration::parse_duration;
use crate::primitives::settings::{Lookup, SettingError, read_or};

/// The waits of the time-driven status changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransitionSettings {
    /// Wait after a booking's end before it is completed.
    pub complete_after: Duration,
    /// Wait after a booking's end before an unfinished one is overdue.
    pub expire_after: Duration,
    /// Whether `pending` bookings expire when their start has passed.
    pub expire_pending: bool,
}

impl TransitionSettings {
    /// Reads `COMPLETE_AFTER`, `EXPIRE_AFTER` and `EXPIRE_PENDING`.
    ///
    /// # Errors
    /// Names the variable that is malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        const DURATION: &str = "a duration such as 90s, 15m, 24h or 7d, up to 365d";
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let parse_bool = |text: &str| text.to_ascii_lowercase().parse().ok();
        let complete_after = read_or(
            lookup,
            "COMPLETE_AFTER",
            Duration::ZERO,
            parse_duration,
            DURATION,
        )?;
        let expire_after = read_or(lookup, "EXPIRE_AFTER", DAY, parse_duration, DURATION)?;
        if complete_after >= expire_after {
            return Err(SettingError::new(
                "COMPLETE_AFTER",
                "must be less than EXPIRE_AFTER",
            ));
        }
        let expire_pending = read_or(lookup, "EXPIRE_PENDING", false, parse_bool, "true or false")?;
        Ok(Self {
            complete_after,
            expire_after,
            expire_pending,
        })
    }
}
