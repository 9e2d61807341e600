//! Errors as text.

use std::error::Error;
use std::iter;

use crate::primitives::phone_number::FEWEST_DIGITS;

/// Characters of an error, at most: others may quote anything in theirs.
const LONGEST: usize = 1_000;

/// An error and all its sources, separated by colons. A long one is cut.
pub(crate) fn error_chain(error: &(dyn Error + 'static)) -> String {
    let chain = sources(error).map(ToString::to_string).collect::<Vec<_>>();
    shortened(chain.join(": "))
}

/// The text, cut where it is longer than an error may be.
pub(crate) fn shortened(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The first error of a type in the chain.
pub(crate) fn find_source<'a, E: Error + 'static>(
    error: &'a (dyn Error + 'static),
) -> Option<&'a E> {
    sources(error).find_map(|error| error.downcast_ref())
}

fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |error| (*error).source())
}

/// A text that a database of any encoding can store: a question mark for each other character.
pub(crate) fn in_ascii(text: &str) -> String {
    let ascii = |character: char| if character.is_ascii() { character } else { '?' };
    text.chars().map(ascii).collect()
}

/// A provider's or mail server's text without the addresses in it.
pub(crate) fn redact_addresses(text: &str) -> String {
    let mut text = text.to_owned();
    // A quoted local part, up to the quote before it.
    while let Some(end) = text.find("\"@") {
        let start = text[..end].rfind('"').unwrap_or(end);
        text.replace_range(start..=end, "…");
    }
    let ends = |character: char| character.is_whitespace() || "<>()[],;:\"'".contains(character);
    let words = text
        .split_inclusive(ends)
        .map(|word| match word.contains('@') {
            true => format!("…{}", word.matches(ends).collect::<String>()),
            false => word.to_owned(),
        });
    words.collect()
}

/// A provider's text without the phone numbers in it, as E.164 writes them: words of digits alone.
/// Times, ids with letters and short codes stay.
pub(crate) fn redact_numbers(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    for part in text.split_inclusive(|one: char| !one.is_alphanumeric()) {
        let word = part.trim_end_matches(|one: char| !one.is_alphanumeric());
        let is_number = word.len() >= FEWEST_DIGITS && word.bytes().all(|one| one.is_ascii_digit());
        redacted.push_str(if is_number { "…" } else { word });
        redacted.push_str(&part[word.len()..]);
    }
    redacted
}

#[cfg(test)]
mod tests {
    use super::redact_numbers;

    #[test]
    fn phone_numbers_are_redacted_and_times_and_ids_are_not() {
        for (text, redacted) in [
            ("no +12065550100.", "no +…."),
            ("12065550100", "…"),
            ("tel:+12065550100;+4915112345678", "tel:+…;+…"),
            ("…/12065550100\"ü", "…/…\"ü"),
            ("HTTP 400 at 127.0.0.1:41234", "HTTP 400 at 127.0.0.1:41234"),
            ("expired: 20261130T193000Z", "expired: 20261130T193000Z"),
            ("pool-1234567890abcdef", "pool-1234567890abcdef"),
            ("", ""),
        ] {
            assert_eq!(redact_numbers(text), redacted, "{text}");
        }
    }
}
