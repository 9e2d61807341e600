//! The mailer.

use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use uuid::Uuid;

use crate::channels::email::settings::EmailSettings;
use crate::channels::email::{Envelope, Ses};
use crate::channels::timing::Timing;
use crate::channels::{Channel, Outcome, TimeLimits};
use crate::delivery::messenger::Messenger;
use crate::delivery::outbox::Draft;
use crate::messages::Message;
use crate::reminders::Reason;

/// Messages per second if neither the setting nor SES gives a rate: the rate of SES's sandbox.
const SLOWEST_RATE: f64 = 1.0;

/// Delivers mail: the provider, and its send rate.
#[derive(Debug)]
pub struct Mailer {
    pub(crate) settings: EmailSettings,
    pub(crate) ses: Ses,
    /// The account's rate, once SES has answered.
    rate: Mutex<Option<AccountRate>>,
}

/// SES's answer.
#[derive(Clone, Copy, Debug)]
struct AccountRate {
    rate: f64,
    /// By the wall's clock: the other one may stand still while a function is frozen.
    asked_at: SystemTime,
}

impl Mailer {
    /// Sends through `ses`.
    pub fn new(settings: EmailSettings, ses: Ses) -> Self {
        Self {
            settings,
            ses,
            rate: Mutex::new(None),
        }
    }

    /// Messages per second: the setting, else SES's answer, else the rate that SES allows every
    /// account. An old answer is asked for again, and used where SES gives no new one.
    async fn account_rate(&self) -> f64 {
        if let Some(rate) = self.settings.send_rate {
            return rate;
        }
        let mut known = self.rate.lock().await;
        // A clock that was set back makes an answer old, too.
        let is_fresh = |known: &AccountRate| {
            let age = known.asked_at.elapsed();
            age.is_ok_and(|age| age < self.settings.timing.rate_for)
        };
        if !known.as_ref().is_some_and(is_fresh) {
            let asked_at = SystemTime::now();
            match self.ses.send_rate().await {
                Some(rate) => *known = Some(AccountRate { rate, asked_at }),
                None => tracing::warn!(
                    rate = known.map_or(SLOWEST_RATE, |known| known.rate),
                    "SES did not report its send rate; sending so many messages a second (set \
                     SEND_RATE)"
                ),
            }
        }
        known.map_or(SLOWEST_RATE, |known| known.rate)
    }
}

impl Messenger for Mailer {
    fn channel(&self) -> Channel {
        Channel::Email
    }

    fn timing(&self) -> &Timing {
        &self.settings.timing
    }

    fn in_flight(&self) -> usize {
        self.settings.send_concurrency.get()
    }

    async fn rate(&self) -> f64 {
        self.account_rate().await
    }

    fn unknown_wait(&self) -> Duration {
        match self.settings.configuration_set {
            Some(_) => self.settings.timing.unknown_wait,
            None => Duration::ZERO,
        }
    }

    async fn send(
        &self,
        event_id: Uuid,
        draft: &Draft,
        message: &Message,
        limits: TimeLimits,
    ) -> Outcome {
        match Envelope::of(&draft.facts) {
            Ok(envelope) => self.ses.send(event_id, &envelope, message, limits).await,
            Err(error) => Outcome::Rejected {
                reason: Reason::BadAddress,
                error: error.to_string(),
            },
        }
    }
}
