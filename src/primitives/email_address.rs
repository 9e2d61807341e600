//! Mail addresses.

use std::fmt;

use email_address::{EmailAddress, Options};
use thiserror::Error;
use url::Host;

/// SES accepts addresses up to 320 characters: 64 before the `@`, 255 after it (RFC 5321, 4.5.3.1).
const ADDRESS_OPTIONS: Options = Options {
    minimum_sub_domains: 2,
    allow_domain_literal: false,
    allow_display_text: false,
};

/// A mail address as it is sent to: ASCII, with a domain of at least two labels. It is never
/// printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

/// A text that is not an address that SES accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// It is no address.
    #[error("not a mail address that SES accepts")]
    Malformed,
    /// SES does not support SMTPUTF8.
    #[error("the part before the @ is not ASCII, and SES accepts no such address")]
    LocalPartNotAscii,
}

impl Address {
    /// Parses one address without a display name. A domain that is not ASCII is converted (IDNA),
    /// and a local part that needs quotes gets them: Japanese carriers gave out `a..b@` and `a.@`.
    /// RFC 5321 allows no control characters, not even inside quotes. It trims the same characters
    /// as `booking_automation_address_hash`, which is asked about the address in this form.
    ///
    /// # Errors
    /// Says why it is not an address that SES accepts.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local, domain) =
            (text.trim_ascii().rsplit_once('@')).ok_or(AddressError::Malformed)?;
        let domain = match domain.is_ascii() {
            true => domain.to_owned(),
            false => domain_in_ascii(domain).ok_or(AddressError::Malformed)?,
        };
        if local
            .chars()
            .any(|one| !one.is_ascii() && !one.is_control())
        {
            return Err(AddressError::LocalPartNotAscii);
        }
        Self::parse_ascii(&format!("{local}@{domain}"))
            .or_else(|| {
                let has_misplaced_dots = local.bytes().all(|byte| byte == b'.' || is_of_atom(byte));
                has_misplaced_dots.then(|| Self::parse_ascii(&format!("\"{local}\"@{domain}")))?
            })
            .ok_or(AddressError::Malformed)
    }

    fn parse_ascii(text: &str) -> Option<Self> {
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

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(…)")
    }
}

/// An address in the form in which it is sent to and in which SES reports on it, by which it is
/// suppressed. What is no address stays as it is.
pub(crate) fn as_sent_to(address: &str) -> String {
    Address::parse(address).map_or_else(|_| address.to_owned(), |parsed| parsed.0)
}

/// `bücher.example` is `xn--bcher-kva.example` (UTS #46).
fn domain_in_ascii(domain: &str) -> Option<String> {
    match Host::parse(domain).ok()? {
        Host::Domain(domain) => Some(domain),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

/// `atext` of RFC 5322, 3.2.3.
fn is_of_atom(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::{Address, AddressError, as_sent_to};

    fn sent_to(text: &str) -> Result<String, AddressError> {
        Address::parse(text).map(|address| address.as_str().to_owned())
    }

    #[test]
    fn an_address_is_never_printed() {
        let printed = format!("{:?}", Address::parse("carla@customers.example"));
        assert_eq!(printed, "Ok(Address(…))");
    }

    #[test]
    fn a_domain_is_sent_to_in_ascii() {
        for (text, address) in [
            ("carla@bücher.example", "carla@xn--bcher-kva.example"),
            (" Carla@BÜCHER.example ", "Carla@xn--bcher-kva.example"),
            ("a@faß.de", "a@xn--fa-hia.de"),
            ("a@例え。テスト", "a@xn--r8jz45g.xn--zckzah"),
            ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
            // As before: not lower-cased, since it is ASCII.
            ("Carla@Customers.Example", "Carla@Customers.Example"),
        ] {
            assert_eq!(sent_to(text).as_deref(), Ok(address), "{text}");
        }
        for text in [
            "a@１２７．０．０．１",
            "a@bücher",
            "a@bü cher.example",
            "a@bü\u{202e}.example",
            "a@ü%00.example",
        ] {
            assert_eq!(sent_to(text), Err(AddressError::Malformed), "{text}");
        }
    }

    #[test]
    fn a_local_part_that_needs_quotes_gets_them() {
        for (text, address) in [
            ("abc..def@docomo.ne.jp", "\"abc..def\"@docomo.ne.jp"),
            ("abc.@docomo.ne.jp", "\"abc.\"@docomo.ne.jp"),
            (".abc@ezweb.ne.jp", "\".abc\"@ezweb.ne.jp"),
            ("\"abc..def\"@docomo.ne.jp", "\"abc..def\"@docomo.ne.jp"),
            ("\"a@b\"@bücher.example", "\"a@b\"@xn--bcher-kva.example"),
            ("o'neil+x@b.example", "o'neil+x@b.example"),
        ] {
            assert_eq!(sent_to(text).as_deref(), Ok(address), "{text}");
        }
        for text in [
            "a b@c.example",
            "a..\"b@c.example",
            "a,,b@c.example",
            "@c.example",
            "a\r\n..b@c.example",
            "a@b@c.example",
        ] {
            assert_eq!(sent_to(text), Err(AddressError::Malformed), "{text}");
        }
    }

    #[test]
    fn what_ses_cannot_take_says_so() {
        assert_eq!(
            sent_to("jürgen@b.example"),
            Err(AddressError::LocalPartNotAscii)
        );
        assert_eq!(
            sent_to("用户@例え.jp"),
            Err(AddressError::LocalPartNotAscii)
        );
        assert_eq!(as_sent_to("jürgen@b.example"), "jürgen@b.example");
        assert_eq!(
            as_sent_to(" a..b@bücher.example\n"),
            "\"a..b\"@xn--bcher-kva.example"
        );
    }
}
