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

/// Each time is of the person's zone, whose day it is; beside it that of the place or of the
/// provider, where it differs.
pub(super) fn draft(phrases: &Phrases<'_>, day: &DayFacts) -> Result<Draft, TextError> {
    let zones: Vec<_> = (day.bookings.iter())
        .map(|booking| phrases.zones.of_listed(booking))
        .collect();
    day::draft(phrases, day, day.date, &zones, TEXTS)
}
