//! The sender, the send rate, and other settings of mail.

use std::num::NonZeroUsize;

use crate::channels::email::sender::Sender;
use crate::channels::timing::Timing;
use crate::messages::settings::MessageSettings;
use crate::primitives::settings::{Lookup, SettingError, read, read_or};

/// The sender, the send rate, and other settings of mail.
#[derive(Clone, Debug)]
pub struct EmailSettings {
    /// The sender.
    pub from: Sender,
    /// The SES configuration set, if any.
    pub configuration_set: Option<String>,
    /// Messages per second of all instances together; `None`: ask SES.
    pub send_rate: Option<f64>,
    /// Sends in flight in one instance.
    pub send_concurrency: NonZeroUsize,
    /// What messages look like.
    pub messages: MessageSettings,
    /// The waits of delivery.
    pub(crate) timing: Timing,
}

impl EmailSettings {
    /// Reads `EMAIL_FROM`, `SES_CONFIGURATION_SET`, `SEND_RATE`, `SEND_CONCURRENCY`, and
    /// the settings of messages; and, in tests, `TEST_TIME_DIVISOR`.
    ///
    /// # Errors
    /// Names the variable that is missing or malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let from = read_sender(lookup)?;
        let configuration_set = read_or(
            lookup,
            "SES_CONFIGURATION_SET",
            None,
            |name| is_ses_name(name).then(|| Some(name.to_owned())),
            "a configuration set's name, up to 64 letters, digits, - and _",
        )?;
        let send_rate = read_or(
            lookup,
            "SEND_RATE",
            None,
            |text| parse_rate(text).map(Some),
            "messages per second, from 0.01 to 10000",
        )?;
        let send_concurrency = read_or(
            lookup,
            "SEND_CONCURRENCY",
            const { NonZeroUsize::new(16).expect("16 is not zero") },
            |text| text.parse().ok().filter(|n: &NonZeroUsize| n.get() <= 256),
            "a whole number from 1 to 256",
        )?;
        let messages = MessageSettings::from_environment(lookup)?;
        let timing = Timing::from_environment(lookup)?;
        Ok(Self {
            from,
            configuration_set,
            send_rate,
            send_concurrency,
            messages,
            timing,
        })
    }
}

fn read_sender(lookup: Lookup) -> Result<Sender, SettingError> {
    const NAME: &str = "EMAIL_FROM";
    let text = read(lookup, NAME).ok_or_else(|| {
        SettingError::new(
            NAME,
            "is not set: it takes the sender, Name <address@example.com>",
        )
    })?;
    Sender::parse(&text).ok_or_else(|| {
        SettingError::new(
            NAME,
            "is not valid: it takes address@example.com or Name <address@example.com>",
        )
    })
}

fn parse_rate(text: &str) -> Option<f64> {
    text.parse()
        .ok()
        .filter(|rate: &f64| (0.01..=10_000.0).contains(rate))
}

/// SES names: `[A-Za-z0-9_-]`, at most 64.
fn is_ses_name(name: &str) -> bool {
    name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
