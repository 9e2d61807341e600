//! The message that a booking is confirmed.

use crate::messages::Draft;
use crate::messages::languages::TextError;
use crate::messages::phrases::Phrases;

pub(super) fn draft(phrases: &Phrases<'_>) -> Result<Draft, TextError> {
    Ok(Draft {
        subject: phrases.write_subject("confirmed-subject", &[])?,
        opening: vec![phrases.write("confirmed-opening", &[])?],
        short: phrases.write_short("confirmed-short", &[])?,
        names_booking: false,
        is_ahead: true,
        moved_from: None,
        day: None,
    })
}
