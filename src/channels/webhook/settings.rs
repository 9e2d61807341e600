//! Settings of webhooks.

use crate::channels::timing::Timing;
use crate::primitives::settings::{Lookup, SettingError, read_or};

/// Which targets webhooks may call, and the waits.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// Hosts that may be called at any address and without TLS: names or addresses, as in a URL.
    pub allow_private: Vec<String>,
    /// The waits of delivery.
    pub(crate) timing: Timing,
}

impl WebhookSettings {
    /// Reads `WEBHOOK_ALLOW_PRIVATE`; and, in tests, `TEST_TIME_DIVISOR`.
    ///
    /// # Errors
    /// Names the variable when it is malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let allow_private = read_or(
            lookup,
            "WEBHOOK_ALLOW_PRIVATE",
            Vec::new(),
            |list| {
                list.split(',')
                    .map(|host| {
                        url::Host::parse(host.trim())
                            .ok()
                            .map(|host| host.to_string())
                    })
                    .collect()
            },
            "hosts, comma-separated, such as hooks.internal,10.0.3.7,[fd00::7]",
        )?;
        Ok(Self {
            allow_private,
            timing: Timing::from_environment(lookup)?,
        })
    }
}
