//! The lines of iCalendar (RFC 5545, 3.1): escaped and folded.

use chrono::{DateTime, Datelike, Utc};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::primitives::email_address::Address;

/// Bytes in a line, without its end.
const LONGEST: usize = 75;
/// What a `mailto:` URI cannot hold as it is (RFC 3986, and RFC 6068, 2).
const NOT_IN_MAILTO: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'/')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Lines of an iCalendar file.
#[derive(Default)]
pub(super) struct Lines(String);

impl Lines {
    /// Adds a property whose value has no line break and nothing to escape. It is folded between
    /// characters, not within one.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        let mut room = LONGEST;
        for character in [name, ":", value].into_iter().flat_map(str::chars) {
            let bytes = character.len_utf8();
            if bytes > room {
                self.0.push_str("\r\n ");
                // The space counts.
                room = LONGEST - 1;
            }
            self.0.push(character);
            room -= bytes;
        }
        self.0.push_str("\r\n");
    }

    /// Adds a property whose value is any text.
    pub(super) fn push_text(&mut self, name: &str, text: &str) {
        self.push(name, &escaped(text));
    }

    /// All lines.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// A `TEXT` (RFC 5545, 3.3.11). Some readers also end lines at the separators of Unicode.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | ';' | ',' => escaped.extend(['\\', character]),
            '\n' => escaped.push_str("\\n"),
            '\u{2028}' | '\u{2029}' => escaped.push(' '),
            other if other.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A time in UTC; `None`: its year has not four digits.
pub(super) fn utc(at: DateTime<Utc>) -> Option<String> {
    (0..=9999)
        .contains(&at.year())
        .then(|| at.format("%Y%m%dT%H%M%SZ").to_string())
}

/// A `CAL-ADDRESS`.
pub(super) fn mailto(address: &Address) -> String {
    let encoded = utf8_percent_encode(address.as_str(), NOT_IN_MAILTO);
    format!("mailto:{encoded}")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::{Lines, mailto, utc};
    use crate::primitives::email_address::Address;

    #[test]
    fn a_long_line_is_folded_between_characters() {
        // Every position of a character of four bytes, and of several that people see as one.
        for before in 0..80 {
            let text = format!("{}👩‍👩‍👧é{}", "x".repeat(before), "日本".repeat(40));
            let mut lines = Lines::default();
            lines.push_text("SUMMARY", &text);
            let written = lines.into_text();
            assert!(
                written
                    .strip_suffix("\r\n")
                    .expect("a whole line")
                    .split("\r\n")
                    .all(|line| line.len() <= 75),
                "{written}"
            );
            let unfolded = written.replace("\r\n ", "");
            assert_eq!(unfolded, format!("SUMMARY:{text}\r\n"));
        }
    }

    #[test]
    fn a_text_stays_one_property() {
        let mut lines = Lines::default();
        lines.push_text("SUMMARY", "a\r\nATTENDEE:x;y,z\\n\u{2028}\u{85}\u{b}\t\0");
        let expected = "SUMMARY:a \\nATTENDEE:x\\;y\\,z\\\\n     \r\n";
        assert_eq!(lines.into_text(), expected);
    }

    #[test]
    fn an_address_is_a_uri() {
        for (address, uri) in [
            ("carla@bücher.example", "mailto:carla@xn--bcher-kva.example"),
            ("o'neil+x@b.example", "mailto:o'neil+x@b.example"),
            ("a..b@docomo.ne.jp", "mailto:%22a..b%22@docomo.ne.jp"),
            (
                "a%b/c?d=e&f#g@h.example",
                "mailto:a%25b%2Fc%3Fd%3De%26f%23g@h.example",
            ),
            (
                "\"a b;:,\\\"\"@c.example",
                "mailto:%22a%20b%3B:,%5C%22%22@c.example",
            ),
        ] {
            assert_eq!(mailto(&Address::parse(address).expect("an address")), uri);
        }
    }

    #[test]
    fn a_time_has_a_z_and_four_digits_of_the_year() {
        let at = |seconds| DateTime::from_timestamp(seconds, 999_999_999).expect("a time");
        assert_eq!(utc(at(1_772_546_400)).as_deref(), Some("20260303T140000Z"));
        assert_eq!(
            utc(at(-62_135_596_800)).as_deref(),
            Some("00010101T000000Z")
        );
        assert_eq!(
            utc(at(253_402_300_799)).as_deref(),
            Some("99991231T235959Z")
        );
        assert_eq!(utc(at(253_402_300_800)), None);
        assert_eq!(utc(at(-70_000_000_000)), None);
    }
}
