//! The sender of SMS.

use std::fmt;

use crate::primitives::phone_number::PhoneNumber;

/// Characters of a sender id, at most (3GPP TS 23.040, 9.1.2.5: 11 of the GSM 7-bit alphabet).
const LONGEST_SENDER_ID: usize = 11;
/// Characters of an origination identity, at most.
const LONGEST: usize = 256;

/// Who an SMS is from: the origination identity of `SendTextMessage`.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Parses a number in international form, the id or ARN of a number, a pool or a sender id, or
    /// a sender id itself. A short code is given by its id: without a `+`, a number is more likely
    /// a mistake.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with('+') {
            let number = PhoneNumber::parse(text).ok()?;
            return Some(Self(number.as_str().to_owned()));
        }
        let has_only = |others: &str| {
            let mut all = text.chars();
            all.all(|one| one.is_ascii_alphanumeric() || others.contains(one))
        };
        let is_arn = text.starts_with("arn:") && has_only("_:/+-");
        let is_id = (text.starts_with("pool-") || text.starts_with("phone-")) && has_only("-");
        let is_sender_id = text.len() <= LONGEST_SENDER_ID
            && text.contains(|one: char| one.is_ascii_alphabetic())
            && has_only("_-");
        let is_valid = text.len() <= LONGEST && (is_arn || is_id || is_sender_id);
        is_valid.then(|| Self(text.to_owned()))
    }

    /// Whether it is a sender id. SMS from a sender id cannot be answered.
    pub fn is_sender_id(&self) -> bool {
        let is_named = |names: &[&str]| names.iter().any(|name| self.0.starts_with(name));
        self.0.contains(":sender-id/") || !is_named(&["+", "arn:", "pool-", "phone-"])
    }

    /// The origination identity.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// It may be a phone number.
impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Origin(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn a_sender_is_a_number_an_id_an_arn_or_a_sender_id() {
        let arn = "arn:aws:sms-voice:eu-central-1:123456789012:pool/pool-0123456789abcdef";
        for (text, identity) in [
            ("+1 (206) 555-0100", "+12065550100"),
            (arn, arn),
            ("pool-0123456789abcdef", "pool-0123456789abcdef"),
            ("phone-0123456789abcdef", "phone-0123456789abcdef"),
            ("STUDIO", "STUDIO"),
            ("Studio_4-U", "Studio_4-U"),
        ] {
            let origin = Origin::parse(text);
            assert_eq!(origin.as_ref().map(Origin::as_str), Some(identity));
            assert_eq!(format!("{origin:?}"), "Some(Origin(…))");
        }
        let long = format!("arn:{}", "a".repeat(253));
        for text in [
            "",
            "+1206",
            "+44 (0)20 7946 0958",
            "12065550100",
            "12345",
            "24-7",
            "Studio Nord",
            "StudioNordWest",
            "Café",
            "pool-a b",
            "arn:aws:sms-voice:eu-central-1:123456789012:pool/a b",
            &long,
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }
}
