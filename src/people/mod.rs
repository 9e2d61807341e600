//! What people decide about their messages, and the signed links by which they do it.

pub(crate) mod attendance;
pub(crate) mod calendar;
pub(crate) mod devices;
pub(crate) mod keys;
pub(crate) mod links;
pub(crate) mod preferences;

use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

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

/// The `person_id` of the messages to a person of this name: a UUID itself, else one that is made
/// of the first 128 bits of the name's SHA-256 (version 8 of RFC 9562).
pub(crate) fn message_person(name: &str) -> Uuid {
    Uuid::try_parse(name).unwrap_or_else(|_| {
        let hash: [u8; 32] = Sha256::digest(name).into();
        let mut first = [0; 16];
        first.copy_from_slice(&hash[..16]);
        Builder::from_custom_bytes(first).into_uuid()
    })
}
