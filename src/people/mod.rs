//! What people decide about their messages, and the signed links by which they do it.

pub(crate) mod keys;
pub(crate) mod links;
pub(crate) mod preferences;

use uuid::Uuid;

/// Longest name of a person, in bytes.
const LONGEST: usize = 400;

/// The name by which a person is found. `None`: it is empty, or too long.
///
/// A UUID has one form, whichever one the caller has.
pub(crate) fn person_id(text: &str) -> Option<String> {
    let text = text.trim();
    if let Ok(id) = Uuid::try_parse(text) {
        return Some(id.to_string());
    }
    let is_one = !text.is_empty() && text.len() <= LONGEST && !text.contains('\0');
    is_one.then(|| text.to_owned())
}
