//! The settings of a pass, and of the decisions on bookings that it shares with support.

use std::time::Duration;

use crate::bookings::cancellation::money::MoneySettings;
use crate::bookings::settings::TransitionSettings;
use crate::operations::settings::RetentionSettings;
use crate::primitives::duration::parse_duration;
use crate::primitives::settings::{Lookup, SettingError, read_or};

/// What the pass and support decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassSettings {
    /// When automatic status changes are due.
    pub transitions: TransitionSettings,
    /// How long our own rows are kept.
    pub retention: RetentionSettings,
    /// What prices are, for refunds.
    pub money: MoneySettings,
    /// A call that finds another pass running fails when the last one was committed longer ago.
    pub overlap_alarm_after: Duration,
}

/// Default of `OVERLAP_ALARM_AFTER`: as long as the template's alarm on missing passes waits.
pub(crate) const OVERLAP_ALARM_AFTER: Duration = Duration::from_secs(5 * 60);
/// Its lowest value: a pass a minute may overlap the one before it.
const SHORTEST_OVERLAP: Duration = Duration::from_secs(60);

impl PassSettings {
    /// Reads all of them.
    ///
    /// # Errors
    /// Names the variable that is malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let transitions = TransitionSettings::from_environment(lookup)?;
        let retention = RetentionSettings::from_environment(lookup)?;
        let money = MoneySettings::from_environment(lookup)?;
        let overlap_alarm_after = read_or(
            lookup,
            "OVERLAP_ALARM_AFTER",
            OVERLAP_ALARM_AFTER,
            |text| parse_duration(text).filter(|time| *time >= SHORTEST_OVERLAP),
            "a duration such as 5m, from 1m to 365d",
        )?;
        Ok(Self {
            transitions,
            retention,
            money,
            overlap_alarm_after,
        })
    }
}
