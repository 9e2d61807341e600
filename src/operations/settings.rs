//! How long our own rows are kept.

use std::time::Duration;

use crate::primitives::duration::parse_duration_up_to;
use crate::primitives::settings::{Lookup, SettingError, read_or};

/// Default: a year, and a month to look back at it.
const USUAL_RETENTION: Duration = Duration::from_secs(400 * 24 * 3600);
/// The minimum: a stored decision prevents a second reminder, and complaints arrive weeks later.
const SHORTEST_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long runs are kept, unless events are kept for less.
const RUN_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long events and runs are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionSettings {
    /// How long events are kept, after they happened and after the start that they refer to.
    pub events: Duration,
}

impl RetentionSettings {
    /// Reads `RETENTION`.
    ///
    /// # Errors
    /// Names the variable when it is malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let parse = |text: &str| {
            parse_duration_up_to(text, 3650).filter(|kept| *kept >= SHORTEST_RETENTION)
        };
        let accepts = "a duration from 30d to 3650d, such as 400d";
        let events = read_or(lookup, "RETENTION", USUAL_RETENTION, parse, accepts)?;
        Ok(Self { events })
    }

    /// How long runs are kept.
    pub(crate) fn runs_kept_for(&self) -> Duration {
        self.events.min(RUN_RETENTION)
    }
}
