//! The settings of a pass, and of the decisions on bookings that it shares with support.

use crate::bookings::cancellation::money::MoneySettings;
use crate::bookings::settings::TransitionSettings;
use crate::operations::settings::RetentionSettings;
use crate::primitives::settings::{Lookup, SettingError};

/// What the pass and support decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassSettings {
    /// When automatic status changes are due.
    pub transitions: TransitionSettings,
    /// How long our own rows are kept.
    pub retention: RetentionSettings,
    /// What prices are, for refunds.
    pub money: MoneySettings,
}

impl PassSettings {
    /// Reads all of them.
    ///
    /// # Errors
    /// Names the variable that is malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let transitions = TransitionSettings::from_environment(lookup)?;
        let retention = RetentionSettings::from_environment(lookup)?;
        let money = MoneySettings::from_environment(lookup)?;
        Ok(Self {
            transitions,
            retention,
            money,
        })
    }
}
