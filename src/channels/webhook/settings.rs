//! Settings of webhooks.

use std::time::Duration;

use crate::channels::timing::Timing;
use crate::primitives::duration::parse_duration;
use crate::primitives::settings::{Lookup, SettingError, read_or};

/// Before the second attempt, the third and so on: ten attempts in 25 hours.
const RETRY_AFTER: &str = "1m,5m,15m,1h,2h,4h,6h,6h,6h";
/// Waits between attempts, at most.
const MOST_WAITS: usize = 20;
/// How long an endpoint may fail before its subscription is suspended.
const SUSPEND_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Which targets webhooks may call, and the waits.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// Hosts that may be called at any address and without TLS: names or addresses, as in a URL.
    pub allow_private: Vec<String>,
    /// The waits before the second attempt, the third and so on. There are as many attempts, and
    /// one more.
    pub(crate) retry_after: Vec<Duration>,
    /// How long an endpoint may fail before its subscription is suspended.
    pub(crate) suspend_after: Duration,
    /// The waits of delivery.
    pub(crate) timing: Timing,
}

impl WebhookSettings {
    /// Reads `WEBHOOK_ALLOW_PRIVATE`, `WEBHOOK_RETRY_AFTER` and `WEBHOOK_SUSPEND_AFTER`; and, in
    /// tests, `TEST_TIME_DIVISOR`.
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
        let retry_after = read_or(
            lookup,
            "WEBHOOK_RETRY_AFTER",
            parse_waits(RETRY_AFTER).unwrap_or_default(),
            parse_waits,
            "up to 20 durations of at least 1s, comma-separated, such as 1m,5m,1h",
        )?;
        let suspend_after = read_or(
            lookup,
            "WEBHOOK_SUSPEND_AFTER",
            SUSPEND_AFTER,
            |text| parse_duration(text).filter(|duration| !duration.is_zero()),
            "a duration of at least 1s, such as 24h",
        )?;
        let timing = Timing::from_environment(lookup)?;
        Ok(Self {
            allow_private,
            retry_after: retry_after
                .into_iter()
                .map(|wait| timing.scaled(wait))
                .collect(),
            suspend_after: timing.scaled(suspend_after),
            timing,
        })
    }
}

fn parse_waits(list: &str) -> Option<Vec<Duration>> {
    let waits: Option<Vec<_>> = list
        .split(',')
        .map(|wait| parse_duration(wait.trim()).filter(|wait| !wait.is_zero()))
        .collect();
    waits.filter(|waits| waits.len() <= MOST_WAITS)
}
