//! The sender, the price limit, and other settings of SMS.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use crate::channels::sms::origin::Origin;
use crate::channels::sms::reply_settings::ReplySettings;
use crate::channels::timing::Timing;
use crate::primitives::settings::{Lookup, SettingError, read_or};

/// Messages per second: what AWS lets a toll-free number send. Beyond the sender's limit it refuses
/// requests, which are tried again.
const RATE: f64 = 3.0;
/// What `SMS_RATE` may be.
const RATES: RangeInclusive<f64> = 0.01..=1_000.0;

/// The sender, the price limit, and other settings of SMS.
#[derive(Clone, Debug)]
pub struct SmsSettings {
    /// The sender.
    pub from: Origin,
    /// The configuration set, if any: its name or ARN.
    pub configuration_set: Option<String>,
    /// What one message may cost, in US dollars, as AWS reads it; `None`: any price.
    pub max_price: Option<String>,
    /// Messages to one person in 24 hours, at most.
    pub per_person: NonZeroU32,
    /// Messages per second of all instances together.
    pub rate: f64,
    /// What is done with replies.
    pub replies: ReplySettings,
    /// The waits of delivery.
    pub(crate) timing: Timing,
}

impl SmsSettings {
    /// Reads `SMS_FROM`, `SMS_CONFIGURATION_SET`, `SMS_MAX_PRICE`, `SMS_PER_PERSON`, `SMS_RATE`,
    /// `SMS_REPLIES_TOPIC` and `SMS_CONTACT`; and, in tests, `TEST_TIME_DIVISOR`. Without a sender,
    /// the channel is off.
    ///
    /// # Errors
    /// Names the variable when it is malformed, also where the channel is off.
    pub fn from_environment(lookup: Lookup) -> Result<Option<Self>, SettingError> {
        let from = read_or(
            lookup,
            "SMS_FROM",
            None,
            |text| Origin::parse(text).map(Some),
            "a number such as +12065550100, the id or ARN of a number or pool, or a sender id of \
             up to 11 letters, digits, - and _",
        )?;
        let configuration_set = read_or(
            lookup,
            "SMS_CONFIGURATION_SET",
            None,
            |name| is_configuration_set(name).then(|| Some(name.to_owned())),
            "a configuration set's name or ARN, up to 256 letters, digits, :, /, - and _",
        )?;
        let max_price = read_or(
            lookup,
            "SMS_MAX_PRICE",
            None,
            |text| is_price(text).then(|| Some(text.to_owned())),
            "US dollars per message with one to five decimals, such as 0.10, up to 99.99999",
        )?;
        let per_person = read_or(
            lookup,
            "SMS_PER_PERSON",
            const { NonZeroU32::new(5).expect("5 is not zero") },
            |text| text.parse().ok().filter(|n: &NonZeroU32| n.get() <= 100),
            "a whole number from 1 to 100",
        )?;
        let rate = read_or(
            lookup,
            "SMS_RATE",
            RATE,
            |text| text.parse().ok().filter(|rate| RATES.contains(rate)),
            "messages per second, from 0.01 to 1000",
        )?;
        let replies = ReplySettings::from_environment(lookup)?;
        let timing = Timing::from_environment(lookup)?;
        Ok(from.map(|from| Self {
            from,
            configuration_set,
            max_price,
            per_person,
            rate,
            replies,
            timing,
        }))
    }
}

/// `ConfigurationSetNameOrArn` of the API: `[A-Za-z0-9_:/-]{1,256}`.
fn is_configuration_set(name: &str) -> bool {
    name.len() <= 256
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_:/-".contains(&byte))
}

/// `MaxPrice` of the API: `[0-9]{0,2}\.[0-9]{1,5}`. A price of zero would refuse every message.
fn is_price(text: &str) -> bool {
    let Some((dollars, decimals)) = text.split_once('.') else {
        return false;
    };
    let has_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    dollars.len() <= 2
        && (1..=5).contains(&decimals.len())
        && has_digits(dollars)
        && has_digits(decimals)
        && text.contains(|one| ('1'..='9').contains(&one))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::SmsSettings;
    use crate::primitives::settings::SettingError;

    fn read(variables: &[(&str, &str)]) -> Result<Option<SmsSettings>, SettingError> {
        let variables: BTreeMap<_, _> = variables.iter().copied().collect();
        SmsSettings::from_environment(&|name| variables.get(name).map(|&value| value.to_owned()))
    }

    #[test]
    fn the_channel_is_off_without_a_sender() {
        for from in [None, Some(("SMS_FROM", " "))] {
            let off = read(from.as_slice());
            assert!(matches!(off, Ok(None)), "{off:?}");
        }
        let settings = read(&[("SMS_FROM", "+1 206 555 0100")]);
        let settings = settings.expect("valid").expect("a sender");
        assert_eq!(settings.from.as_str(), "+12065550100");
        assert_eq!(settings.configuration_set, None);
        assert_eq!(settings.max_price, None);
        assert_eq!(settings.per_person.get(), 5);
    }

    #[test]
    fn settings_are_what_aws_accepts() {
        for price in ["0.10", ".5", "0.00001", "99.99999", "10.0"] {
            let all = [
                ("SMS_FROM", "STUDIO"),
                ("SMS_CONFIGURATION_SET", "bookings"),
                ("SMS_MAX_PRICE", price),
                ("SMS_PER_PERSON", "100"),
            ];
            let settings = read(&all).expect(price).expect("a sender");
            assert_eq!(settings.configuration_set.as_deref(), Some("bookings"));
            assert_eq!(settings.max_price.as_deref(), Some(price));
            assert_eq!(settings.per_person.get(), 100);
        }
    }

    #[test]
    fn a_malformed_setting_is_named_and_not_repeated() {
        for (variable, value) in [
            ("SMS_FROM", "secret-value"),
            ("SMS_FROM", "+1206"),
            ("SMS_FROM", "12065550100"),
            ("SMS_CONFIGURATION_SET", "secret-value?"),
            ("SMS_MAX_PRICE", "secret-value"),
            ("SMS_MAX_PRICE", "1"),
            ("SMS_MAX_PRICE", "1."),
            ("SMS_MAX_PRICE", "0.0"),
            ("SMS_MAX_PRICE", "-0.10"),
            ("SMS_MAX_PRICE", "0,10"),
            ("SMS_MAX_PRICE", "0.1.0"),
            ("SMS_MAX_PRICE", "$0.10"),
            ("SMS_MAX_PRICE", "100.00"),
            ("SMS_MAX_PRICE", "0.000001"),
            ("SMS_PER_PERSON", "secret-value"),
            ("SMS_PER_PERSON", "0"),
            ("SMS_PER_PERSON", "-1"),
            ("SMS_PER_PERSON", "101"),
        ] {
            let error = read(&[(variable, value)]).expect_err(value).to_string();
            let told = format!("{variable} is not valid: it takes ");
            assert!(error.starts_with(&told), "{error}");
            assert!(!error.contains("secret-value"), "{error}");
        }
    }
}
