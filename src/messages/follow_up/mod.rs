//! The message after a booking was completed.

use crate::messages::Draft;
use crate::messages::languages::TextError;
use crate::messages::phrases::Phrases;

pub(super) fn draft(phrases: &Phrases<'_>) -> Result<Draft, TextError> {
    Ok(Draft {
        subject: phrases.write_subject("follow-up-subject", &[])?,
        opening: vec![phrases.write("follow-up-opening", &[])?],
        short: phrases.write_short("follow-up-short", &[])?,
        names_booking: false,
        is_ahead: false,
        moved_from: None,
        day: None,
    })
}
