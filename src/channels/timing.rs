//! The waits of delivery.
//!
//! They are in one place for a test that kills the program ten thousand times and cannot wait for
//! the leases to run out. It shortens all of them by the same factor, so that their order stays the
//! same.

use std::time::Duration;

use crate::database::settings::DatabaseSettings;
use crate::primitives::settings::{Lookup, SettingError, read};

/// The waits of delivery, all of them.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How much sending one page contains. When a request leaves, the facts it is based on are at
    /// most this old, plus one request's time.
    pub(crate) page: Duration,
    /// How long before the end of a page the next one is claimed, at most.
    pub(crate) claim_ahead: Duration,
    /// How long a claim lasts. Longer than a page with its slowest request and its recording.
    pub(crate) lease: Duration,
    /// A request leaves at most this long after its booking was read.
    pub(crate) fresh_for: Duration,
    /// Longest time for a request, from its first byte to the last byte of its answer.
    pub(crate) request: Duration,
    /// Longest time for a connection to SES.
    pub(crate) connect: Duration,
    /// Nothing is sent when less than this is left of the call, so that outcomes can still be
    /// recorded.
    pub(crate) recording: Duration,
    /// Pauses between tries to record outcomes, the first and the longest, until the call's
    /// deadline. If recording fails, the lease runs out and the message is sent again.
    pub(crate) record_pauses: (Duration, Duration),
    /// The wait before the second attempt. It doubles before each further one, up to eight times.
    pub(crate) back_off: Duration,
    /// How long an unknown outcome waits for SES's Send event, if a configuration set delivers
    /// events.
    pub(crate) unknown_wait: Duration,
    /// How long a message waits after the account could not send it: longer than a minute, so that
    /// the next call tries another one, in case this message is at fault.
    pub(crate) probe_wait: Duration,
    /// How long the provider's answer about the account's send rate is believed. Accounts get
    /// higher rates, and a warm function lives for days.
    pub(crate) rate_for: Duration,
    /// `TEST_TIME_DIVISOR`.
    divisor: u32,
}

impl Timing {
    const NORMAL: Self = Self {
        page: Duration::from_secs(2),
        claim_ahead: Duration::from_millis(500),
        lease: Duration::from_secs(45),
        fresh_for: Duration::from_secs(3),
        request: Duration::from_secs(10),
        connect: Duration::from_secs(3),
        recording: Duration::from_secs(3),
        record_pauses: (Duration::from_millis(200), Duration::from_secs(2)),
        back_off: Duration::from_secs(60),
        unknown_wait: Duration::from_secs(120),
        probe_wait: Duration::from_secs(90),
        rate_for: Duration::from_secs(3600),
        divisor: 1,
    };

    /// A wait that a setting gives, shortened like the others.
    pub(crate) fn scaled(&self, wait: Duration) -> Duration {
        wait / self.divisor
    }

    /// The normal waits, or those of `TEST_TIME_DIVISOR` for a test whose database is on this
    /// machine.
    pub(crate) fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        const NAME: &str = "TEST_TIME_DIVISOR";
        let Some(text) = read(lookup, NAME) else {
            return Ok(Self::NORMAL);
        };
        let divisor = text
            .parse()
            .ok()
            .filter(|divisor| (1..=1000).contains(divisor))
            .ok_or_else(|| {
                SettingError::new(
                    NAME,
                    "is not valid: it takes a whole number from 1 to 1000, and is for tests only",
                )
            })?;
        if !DatabaseSettings::from_environment(lookup)?.is_of_this_machine() {
            return Err(SettingError::new(
                NAME,
                "is for tests only: it is refused unless every host of DATABASE_URL is this \
                 machine",
            ));
        }
        Ok(Self::NORMAL.divided_by(divisor))
    }

    fn divided_by(self, divisor: u32) -> Self {
        Self {
            page: self.page / divisor,
            claim_ahead: self.claim_ahead / divisor,
            lease: self.lease / divisor,
            fresh_for: self.fresh_for / divisor,
            request: self.request / divisor,
            connect: self.connect / divisor,
            recording: self.recording / divisor,
            record_pauses: (
                self.record_pauses.0 / divisor,
                self.record_pauses.1 / divisor,
            ),
            back_off: self.back_off / divisor,
            unknown_wait: self.unknown_wait / divisor,
            probe_wait: self.probe_wait / divisor,
            rate_for: self.rate_for / divisor,
            divisor,
        }
    }
}
