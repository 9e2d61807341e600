//! The mailer.

use std::time::Duration;

use tokio::sync::OnceCell;

use crate::channels::email::Ses;
use crate::channels::email::settings::EmailSettings;

/// Messages per second if neither the setting nor SES gives a rate: the rate of SES's sandbox.
const SLOWEST_RATE: f64 = 1.0;

/// Delivers mail: the provider, and its send rate.
#[derive(Debug)]
pub struct Mailer {
    pub(crate) settings: EmailSettings,
    pub(crate) ses: Ses,
    /// The account's rate, once SES has answered.
    rate: OnceCell<f64>,
}

impl Mailer {
    /// Sends through `ses`.
    pub fn new(settings: EmailSettings, ses: Ses) -> Self {
        Self {
            settings,
            ses,
            rate: OnceCell::new(),
        }
    }

    /// Messages per second: the setting, else SES's answer, else the rate that SES allows every
    /// account.
    pub(crate) async fn rate(&self) -> f64 {
        match self.settings.send_rate {
            Some(rate) => rate,
            None => {
                let answer = self
                    .rate
                    .get_or_try_init(async || self.ses.send_rate().await.ok_or(()))
                    .await;
                answer.copied().unwrap_or(SLOWEST_RATE)
            }
        }
    }

    /// How long an unknown outcome waits for SES's own event.
    pub(crate) fn unknown_wait(&self) -> Duration {
        match self.settings.configuration_set {
            Some(_) => self.settings.timing.unknown_wait,
            None => Duration::ZERO,
        }
    }
}
