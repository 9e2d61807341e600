//! The message that a booking was moved: its time before, and the new one.

use chrono::{DateTime, Utc};

use crate::messages::Draft;
use crate::messages::languages::TextError;
use crate::messages::phrases::Phrases;

pub(super) fn draft(
    phrases: &Phrases<'_>,
    from: Option<DateTime<Utc>>,
) -> Result<Draft, TextError> {
    Ok(Draft {
        subject: phrases.write_subject("rescheduled-subject", &[])?,
        opening: vec![phrases.write("rescheduled-opening", &[])?],
        short: phrases.write_short("rescheduled-short", &[])?,
        names_booking: false,
        is_ahead: true,
        moved_from: from,
        day: None,
    })
}
