//! The reminder of a booking that starts soon.

use crate::messages::Draft;
use crate::messages::languages::TextError;
use crate::messages::phrases::Phrases;
use crate::messages::times::in_words;

pub(super) fn draft(phrases: &Phrases<'_>) -> Result<Draft, TextError> {
    let starts_in = in_words(phrases.language, phrases.facts.starts_in)?;
    let variables = [("starts-in", starts_in.into())];
    Ok(Draft {
        subject: phrases.write_subject("reminder-subject", &variables)?,
        opening: vec![phrases.write("reminder-opening", &variables)?],
        short: phrases.write_short("reminder-short", &variables)?,
        names_booking: true,
        is_ahead: true,
        moved_from: None,
        day: None,
    })
}
