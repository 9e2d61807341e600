//! Mail addresses.

use email_address::{EmailAddress, Options};

/// SES accepts addresses up to 320 characters: 64 before the `@`, 255 after it (RFC 5321, 4.5.3.1).
const ADDRESS_OPTIONS: Options = Options {
    minimum_sub_domains: 2,
    allow_domain_literal: false,
    allow_display_text: false,
};

/// A mail address: ASCII, with a domain of at least two labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// Parses one address without a display name; `None` when it is not one. SES accepts ASCII
    /// only, and RFC 5321 allows no control characters, not even inside quotes. It trims the same
    /// characters as `booking_automation_address_hash`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        let address = EmailAddress::parse_with_options(text, ADDRESS_OPTIONS).ok()?;
        text.bytes()
            .all(|byte| (b' '..=b'~').contains(&byte))
            .then(|| Self(address.to_string()))
    }

    /// The address itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
