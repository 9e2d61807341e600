//! The message that a booking was cancelled: by whom, and what is refunded.

use crate::messages::Draft;
use crate::messages::facts::{Canceller, RefundFacts};
use crate::messages::languages::TextError;
use crate::messages::money::write_refund;
use crate::messages::phrases::Phrases;

pub(super) fn draft(
    phrases: &Phrases<'_>,
    by: Option<Canceller>,
    refund: Option<&RefundFacts>,
) -> Result<Draft, TextError> {
    let by = match (by, phrases.facts.audience.as_str()) {
        (Some(Canceller::Customer), "customer") | (Some(Canceller::Provider), "provider")
            if !phrases.facts.is_guest =>
        {
            "you"
        }
        (Some(Canceller::Customer), _) => "customer",
        (Some(Canceller::Provider), _) => "provider",
        (Some(Canceller::Business), _) => "business",
        (None, _) => "unknown",
    };
    let mut opening = vec![phrases.write("cancelled-opening", &[("by", by.into())])?];
    if let Some(refund) = refund {
        opening.extend(write_refund(phrases, refund)?);
    }
    Ok(Draft {
        subject: phrases.write_subject("cancelled-subject", &[])?,
        opening,
        short: phrases.write_short("cancelled-short", &[])?,
        names_booking: false,
        is_ahead: false,
        moved_from: None,
        day: None,
    })
}
