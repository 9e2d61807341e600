//! Errors as text.

use std::error::Error;
use std::iter;

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
