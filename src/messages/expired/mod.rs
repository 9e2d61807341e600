//! The message that a booking expired.

use crate::messages::Draft;
use crate::messages::languages::TextError;
use crate::messages::phrases::Phrases;

pub(super) fn draft(phrases: &Phrases<'_>) -> Result<Draft, TextError> {
    Ok(Draft {
        subject: phrases.write_subject("expired-subject", &[])?,
        opening: vec![phrases.write("expired-opening", &[])?],
        short: phrases.write_short("expired-short", &[])?,
        names_booking: false,
        is_ahead: false,
        moved_from: None,
        day: None,
    })
}
