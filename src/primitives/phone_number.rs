//! Phone numbers.

use std::fmt;

use thiserror::Error;

/// Digits of a number at least, its country code included. E.164 names no minimum. The shortest
/// mobile numbers are those of Saint Helena, Niue and Tokelau: four digits after +290, +683 and
/// +690 (metadata of Google's libphonenumber 9.0.43).
pub(crate) const FEWEST_DIGITS: usize = 7;
/// Digits of a number at most (E.164, 6.1).
const MOST_DIGITS: usize = 15;

/// The country codes with mobile or fixed numbers that begin with 0 (metadata of Google's
/// libphonenumber 9.0.43): Italy, with the Vatican, and San Marino, Ivory Coast, Burkina Faso,
/// Benin, Gabon, the Congo, Tajikistan, and satellite phones. Some fixed numbers of Rwanda do, too,
/// but there a 0 is most often the trunk prefix.
const CODES_BEFORE_ZERO: [&str; 9] = ["39", "225", "226", "229", "241", "242", "378", "881", "992"];

/// A phone number as it is sent to: `+` and its digits (E.164). It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneNumber(String);

/// Why a text is not a phone number that can be sent to. It repeats no digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PhoneNumberError {
    /// How a national number, or one with `00`, is dialled depends on where the caller is.
    #[error("the phone number does not start with + and the country code")]
    NotInternational,
    /// `+44 (0)20 …` and `+44 020 …` are dialled without the zero, `+39 06 …` with it.
    #[error(
        "the phone number has a 0 in parentheses or after the country code: write it as it is \
         dialled from abroad"
    )]
    TrunkPrefix,
    /// A letter, an extension, two numbers.
    #[error("the phone number has other characters than digits, spaces, hyphens, dots and ()")]
    Malformed,
    /// No country code starts with 0.
    #[error("the phone number has no country code: none starts with 0")]
    NoCountryCode,
    /// Fewer than seven digits, or more than fifteen.
    #[error("the phone number does not have 7 to 15 digits")]
    WrongLength,
}

impl PhoneNumber {
    /// Parses one number in international form, as people write it: with spaces (also those that
    /// do not break), hyphens, dots, and pairs of parentheses. Only what has one meaning is taken:
    /// no `00` in place of the `+`, no zero in parentheses or of a trunk prefix, no extension.
    ///
    /// # Errors
    /// Says why it is not a number that can be sent to.
    pub fn parse(text: &str) -> Result<Self, PhoneNumberError> {
        let text = text.trim_matches(|one: char| one.is_whitespace() || is_direction(one));
        let rest = (text.strip_prefix('+')).ok_or(PhoneNumberError::NotInternational)?;
        let mut number = String::from("+");
        let (mut before, mut is_open) = ('+', false);
        for one in rest.chars() {
            match one {
                '0' if before == '(' => return Err(PhoneNumberError::TrunkPrefix),
                '0'..='9' => number.push(one),
                '(' | ')' if is_open == (one == ')') => is_open = !is_open,
                _ if is_separator(one) => {}
                _ => return Err(PhoneNumberError::Malformed),
            }
            if !is_separator(one) {
                before = one;
            }
        }
        match number.len() - 1 {
            _ if is_open => Err(PhoneNumberError::Malformed),
            _ if number.starts_with("+0") => Err(PhoneNumberError::NoCountryCode),
            digits if !(FEWEST_DIGITS..=MOST_DIGITS).contains(&digits) => {
                Err(PhoneNumberError::WrongLength)
            }
            _ if has_trunk_zero(&number[1..]) => Err(PhoneNumberError::TrunkPrefix),
            _ => Ok(Self(number)),
        }
    }

    /// The number itself: `+` and its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneNumber(…)")
    }
}

/// Whether a 0 follows the country code, where no number begins with 0.
fn has_trunk_zero(digits: &str) -> bool {
    let (code, number) = digits.split_at(country_code_length(digits));
    number.starts_with('0') && !CODES_BEFORE_ZERO.contains(&code)
}

/// Digits of the country code at the start of these digits (ITU-T, list of the country codes that
/// are assigned by E.164, with the spare ones). There are three or more digits, all of them ASCII.
fn country_code_length(digits: &str) -> usize {
    match &digits.as_bytes()[..2] {
        [b'1' | b'7', _] => 1,
        [b'2', b'1'..=b'6' | b'8' | b'9']
        | [b'3', b'5' | b'7' | b'8']
        | [b'4', b'2']
        | [b'5', b'0' | b'9']
        | [b'6', b'7'..=b'9']
        | [b'8', b'0' | b'3' | b'5' | b'7'..=b'9']
        | [b'9', b'6' | b'7' | b'9'] => 3,
        _ => 2,
    }
}

/// Spaces, hyphens and dots between the digits, also the forms that do not break a line.
fn is_separator(one: char) -> bool {
    matches!(
        one,
        ' ' | '\u{a0}' | '\u{2007}' | '\u{202f}' | '-' | '\u{2010}' | '\u{2011}' | '.'
    )
}

/// Invisible marks of the text's direction, which address books put around a copied number.
fn is_direction(one: char) -> bool {
    matches!(
        one,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::{PhoneNumber, PhoneNumberError};

    fn parse(text: &str) -> Result<String, PhoneNumberError> {
        PhoneNumber::parse(text).map(|number| number.as_str().to_owned())
    }

    #[test]
    fn a_number_as_people_write_it_is_sent_to_as_e164() {
        for (text, number) in [
            ("+12065550100", "+12065550100"),
            (" +1 (206) 555-0100\n", "+12065550100"),
            ("+1.206.555.0100", "+12065550100"),
            ("+(1)(206)5550100", "+12065550100"),
            ("+ 49 151 12345678", "+4915112345678"),
            ("+49\u{a0}151\u{202f}123\u{2011}45678", "+4915112345678"),
            ("\u{202a}+49 151 12345678\u{202c}", "+4915112345678"),
            // The zero is part of an Italian number of a fixed line, and of one of Ivory Coast.
            ("+39 06 6982 0000", "+390669820000"),
            ("+225 01 23 45 67 89", "+2250123456789"),
            // The country code has as many digits as this one needs.
            ("+20 100 123 4567", "+201001234567"),
            ("+350 57123456", "+35057123456"),
            ("+880 1812 345678", "+8801812345678"),
            // The shortest and the longest.
            ("+690 7290", "+6907290"),
            ("+123456789012345", "+123456789012345"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(number), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_or_has_two_meanings_says_why() {
        use PhoneNumberError::{
            Malformed, NoCountryCode, NotInternational, TrunkPrefix, WrongLength,
        };
        for (text, error) in [
            ("", NotInternational),
            ("0151 12345678", NotInternational),
            ("0049 151 12345678", NotInternational),
            ("12065550100", NotInternational),
            ("(+1) 206 555 0100", NotInternational),
            ("tel:+12065550100", NotInternational),
            ("\u{ff0b}12065550100", NotInternational),
            ("+44 (0)20 7946 0958", TrunkPrefix),
            ("+44 ( 0 ) 20 7946 0958", TrunkPrefix),
            ("+44 (020) 7946 0958", TrunkPrefix),
            ("+44 020 7946 0958", TrunkPrefix),
            ("+1 0206 555 0100", TrunkPrefix),
            ("+7 0912 345 67 89", TrunkPrefix),
            ("+212 0650 123456", TrunkPrefix),
            ("+250 0720 123456", TrunkPrefix),
            ("+1 206 555 0100 ext. 5", Malformed),
            ("+1 206 555 0100 / 0101", Malformed),
            ("+12065550100,+12065550101", Malformed),
            ("+1 206 KL5 0100", Malformed),
            ("++12065550100", Malformed),
            ("+1 206 555\n0100", Malformed),
            ("+1 (206 555 0100", Malformed),
            ("+1 206) 555 0100", Malformed),
            ("+1 ((206)) 555 0100", Malformed),
            ("+\u{661}\u{662}\u{663}45678901", Malformed),
            ("+012065550100", NoCountryCode),
            ("+0", NoCountryCode),
            ("+", WrongLength),
            ("+123456", WrongLength),
            ("+1234567890123456", WrongLength),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_number_is_never_printed() {
        let printed = format!("{:?}", PhoneNumber::parse("+12065550100"));
        assert_eq!(printed, "Ok(PhoneNumber(…))");
        let printed = format!("{:?}", PhoneNumber::parse("+1206555010x"));
        assert!(
            !printed.contains(|one: char| one.is_ascii_digit()),
            "{printed}"
        );
    }
}
