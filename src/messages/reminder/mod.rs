//! The reminder of a booking that starts soon.

use crate::messages::Draft;
use crate::messages::languages::TextError;
use crate::messages::phrases::Phrases;
use crate::messages::times::{SMS_UNITS, UNITS, in_words};

pub(super) fn draft(phrases: &Phrases<'_>) -> Result<Draft, TextError> {
    let starts_in = |units| in_words(phrases.language, phrases.facts.starts_in, units);
    let variables = [("starts-in", starts_in(UNITS)?.into())];
    let in_sms = [("starts-in", starts_in(SMS_UNITS)?.into())];
    Ok(Draft {
        subject: phrases.write_subject("reminder-subject", &variables)?,
        opening: vec![phrases.write("reminder-opening", &variables)?],
        short: phrases.with_question(phrases.write_short("reminder-short", &in_sms)?)?,
        names_booking: true,
        is_ahead: true,
        moved_from: None,
        day: None,
    })
}
