//! The digest: the bookings of a person's coming day, in the order of their starts.

use crate::messages::Draft;
use crate::messages::day::{self, DayTexts};
use crate::messages::facts::DayFacts;
use crate::messages::languages::TextError;
use crate::messages::phrases::Phrases;

const TEXTS: DayTexts = DayTexts {
    subject: "digest-subject",
    opening: "digest-opening",
    short: "digest-short",
};

/// All times are of the person's zone, whose day it is.
pub(super) fn draft(phrases: &Phrases<'_>, day: &DayFacts) -> Result<Draft, TextError> {
    let zones = vec![phrases.zones.clone(); day.bookings.len()];
    day::draft(phrases, day, day.date, &zones, TEXTS)
}
