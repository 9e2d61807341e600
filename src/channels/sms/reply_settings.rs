//! From which topic replies to SMS come, and whom people can contact.

use crate::primitives::settings::{Lookup, SettingError, read_or};

/// Longest text of `SMS_CONTACT`, in characters: an answer with it fits into one part in most
/// languages.
const LONGEST_CONTACT: usize = 100;

/// From which topic replies to SMS come, and whom people can contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplySettings {
    /// The ARN of the topic of SNS from which replies come; `None`: replies are ignored.
    pub topic: Option<String>,
    /// The contact that is sent back if a person must read the reply: a number, or a short text.
    /// `None`: nothing is sent back.
    pub contact: Option<String>,
}

impl ReplySettings {
    /// Reads `SMS_REPLIES_TOPIC` and `SMS_CONTACT`.
    ///
    /// # Errors
    /// Names the variable that is malformed.
    pub(crate) fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let topic = read_or(
            lookup,
            "SMS_REPLIES_TOPIC",
            None,
            |arn| is_topic(arn).then(|| Some(arn.to_owned())),
            "the ARN of an SNS topic, such as arn:aws:sns:eu-central-1:123456789012:sms-replies",
        )?;
        let contact = read_or(
            lookup,
            "SMS_CONTACT",
            None,
            |text| is_contact(text).then(|| Some(text.to_owned())),
            "a number or a short text, one line of up to 100 characters",
        )?;
        Ok(Self { topic, contact })
    }
}

fn is_contact(text: &str) -> bool {
    text.chars().count() <= LONGEST_CONTACT && !text.chars().any(char::is_control)
}

/// An ARN of SNS: partition, region, account and name.
fn is_topic(arn: &str) -> bool {
    let parts: Vec<_> = arn.split(':').collect();
    let [head, partition, service, region, account, name] = parts[..] else {
        return false;
    };
    let has_only = |text: &str, others: &[u8]| {
        !text.is_empty()
            && (text.bytes()).all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
    };
    (head, service) == ("arn", "sns")
        && has_only(partition, b"-")
        && has_only(region, b"-")
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && name.len() <= 256
        && has_only(name, b"_-")
}

#[cfg(test)]
mod tests {
    use super::ReplySettings;
    use crate::primitives::settings::SettingError;

    fn read(variable: &str, value: &str) -> Result<ReplySettings, SettingError> {
        ReplySettings::from_environment(&|name| (name == variable).then(|| value.to_owned()))
    }

    #[test]
    fn a_topic_is_an_arn_of_sns() {
        for arn in [
            "arn:aws:sns:eu-central-1:123456789012:sms-replies",
            "arn:aws-cn:sns:cn-north-1:123456789012:Replies_2",
        ] {
            let settings = read("SMS_REPLIES_TOPIC", arn).expect(arn);
            assert_eq!(settings.topic.as_deref(), Some(arn));
        }
        for arn in [
            "secret-value",
            "arn:aws:sqs:eu-central-1:123456789012:replies",
            "arn:aws:sns:eu-central-1:1234:replies",
            "arn:aws:sns:eu-central-1:12345678901x:replies",
            "arn:aws:sns::123456789012:replies",
            "arn:aws:sns:eu-central-1:123456789012:",
            "arn:aws:sns:eu-central-1:123456789012:a b",
            "arn:aws:sns:eu-central-1:123456789012:a:b",
        ] {
            let error = read("SMS_REPLIES_TOPIC", arn).expect_err(arn).to_string();
            assert!(error.starts_with("SMS_REPLIES_TOPIC is not valid: it takes "));
            assert!(!error.contains("secret-value"), "{error}");
        }
    }

    #[test]
    fn a_contact_is_one_short_line() {
        for text in [
            "+43 1 234567",
            "Call Studio Nord, 01 234567.",
            &"é".repeat(100),
        ] {
            let settings = read("SMS_CONTACT", text).expect(text);
            assert_eq!(settings.contact.as_deref(), Some(text));
        }
        for text in ["secret\nvalue", "secret\tvalue", &"x".repeat(101)] {
            let error = read("SMS_CONTACT", text).expect_err(text).to_string();
            assert!(error.starts_with("SMS_CONTACT is not valid: it takes "));
            assert!(!error.contains(text), "{error}");
        }
        let none = read("SMS_CONTACT", " ").expect("absent");
        assert_eq!(none, ReplySettings::default());
    }
}
