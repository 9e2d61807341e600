//! The grouped reminder: several bookings of one day that start soon, in the order of their starts.
//!
//! Each time is the one that a reminder of that booking alone puts first: of the place, or of the
//! recipient if the booking is online. The day is that of the first time.

use chrono::NaiveDate;

use crate::messages::Draft;
use crate::messages::day::{self, DayTexts};
use crate::messages::facts::{BookingFacts, DayFacts};
use crate::messages::languages::TextError;
use crate::messages::phrases::Phrases;
use crate::messages::plain_text::one_line;
use crate::messages::times::local_day;
use crate::messages::zones::Zones;

const TEXTS: DayTexts = DayTexts {
    subject: "grouped-reminder-subject",
    opening: "grouped-reminder-opening",
    short: "grouped-reminder-short",
};

pub(super) fn draft(phrases: &Phrases<'_>, day: &DayFacts) -> Result<Draft, TextError> {
    let zones: Vec<_> = (day.bookings.iter())
        .map(|booking| zones_of(phrases.facts.timezone.as_deref(), booking))
        .collect();
    let first = zones.first().unwrap_or(&phrases.zones);
    let date = local_day(phrases.facts.starts_at, &first.first);
    let mut draft = day::draft(phrases, day, date, &zones, TEXTS)?;
    let clocks_change =
        (day.bookings.iter().zip(&zones)).any(|(booking, zones)| zones.clocks_change(booking));
    if let Some(list) = &mut draft.day
        && clocks_change
    {
        list.when.push(phrases.text("clocks-change", &[])?);
    }
    Ok(draft)
}

/// The day of a booking on the clock that its reminder goes by: of the place, or of the recipient
/// if it is online.
pub(crate) fn day_of(booking: &BookingFacts) -> NaiveDate {
    let zones = zones_of(booking.timezone.as_deref(), booking);
    local_day(booking.starts_at, &zones.first)
}

/// The zones of a booking, for a recipient in this zone.
fn zones_of(timezone: Option<&str>, booking: &BookingFacts) -> Zones {
    let is_at_place = !booking.is_online && one_line(booking.place.as_deref()).is_some();
    Zones::between(timezone, booking, is_at_place)
}
