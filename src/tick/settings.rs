//! The settings of a pass.

use crate::bookings::settings::TransitionSettings;
use crate::operations::settings::RetentionSettings;
use crate::primitives::settings::{Lookup, SettingError};

/// What the pass decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassSettings {
    /// When automatic status changes are due.
    pub transitions: TransitionSettings,
    /// How long our own rows are kept.
    pub retention: RetentionSettings,
}

impl PassSettings {
    /// Reads the settings of both.
    ///
    /// # Errors
    /// Names the variable that is malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let transitions = TransitionSettings::from_environment(lookup)?;
        let retention = RetentionSettings::from_environment(lookup)?;
        Ok(Self {
            transitions,
            retention,
        })
    }
}
