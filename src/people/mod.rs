//! What people decide about their messages, and the signed links by which they do it.

pub(crate) mod attendance;
pub(crate) mod calendar;
pub(crate) mod keys;
pub(crate) mod links;
pub(crate) mod preferences;

use uuid::Uuid;

/// Longest name of a person, in characters.
const LONGEST: usize = 400;

/// The name by which a person is found: visible ASCII that begins with a letter, a digit or `_`.
/// `None`: anything else names nobody. A UUID has one form, whichever one the caller has.
pub(crate) fn person_id(text: &str) -> Option<String> {
    let is_first = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let is_name = text.as_bytes().first().is_some_and(is_first)
        && text.len() <= LONGEST
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then(|| match Uuid::try_parse(text) {
        Ok(id) => id.to_string(),
        Err(_) => text.to_owned(),
    })
}
