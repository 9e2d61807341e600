//! A day with its bookings, in the order of their starts: what a digest and a grouped reminder say.

use std::slice;

use chrono::NaiveDate;
use jiff::tz::TimeZone;

use crate::messages::facts::{BookingFacts, DayFacts};
use crate::messages::kind_name::KindName;
use crate::messages::languages::{TextError, Variable};
use crate::messages::phrases::Phrases;
use crate::messages::times::{
    ZoneName, clock_time, clock_time_and_zone, day_and_zone, in_words_of_day, name_beside, offset,
    time_in_day,
};
use crate::messages::zones::{Whose, Zones, iana_names};
use crate::messages::{Draft, ListedBooking, ListedDay};

/// The names of the texts that a kind of message about a day has of its own.
pub(super) struct DayTexts {
    pub(super) subject: &'static str,
    pub(super) opening: &'static str,
    pub(super) short: &'static str,
}

/// Writes a message about a day, with the zones of each booking.
pub(super) fn draft(
    phrases: &Phrases<'_>,
    day: &DayFacts,
    date: NaiveDate,
    zones: &[Zones],
    texts: DayTexts,
) -> Result<Draft, TextError> {
    let language = phrases.language;
    let count = day.bookings.len() + day.others;
    let is_one_zone = is_one_zone(phrases, day, zones);
    let on_day = |pattern| -> Result<[Variable<'static>; 2], TextError> {
        let day = in_words_of_day(language, pattern, date)?;
        Ok([("count", count.into()), ("day", day.into())])
    };
    let mut in_sms = on_day("date-sms")?.to_vec();
    in_sms.push(("first", first_time(phrases, zones, is_one_zone)?.into()));
    let mut opening = vec![phrases.write(texts.opening, &on_day("date")?)?];
    if day.others > 0 {
        opening.push(phrases.write("digest-more", &[("count", day.others.into())])?);
    }
    Ok(Draft {
        subject: phrases.write_subject(texts.subject, &on_day("date-short")?)?,
        opening,
        short: phrases.write_short(texts.short, &in_sms)?,
        names_booking: true,
        is_ahead: false,
        moved_from: None,
        day: Some(list(phrases, day, date, zones, is_one_zone)?),
    })
}

/// Whether all bookings start at the same times in the zone of the first one as in their own.
fn is_one_zone(phrases: &Phrases<'_>, day: &DayFacts, zones: &[Zones]) -> bool {
    let first = zones.first().unwrap_or(&phrases.zones);
    let mut bookings = day.bookings.iter().zip(zones);
    bookings.all(|(booking, zones)| {
        offset(&zones.first, booking.starts_at) == offset(&first.first, booking.starts_at)
    })
}

/// The time of the first booking. It has its zone, unless all times are of one zone that is the
/// recipient's.
fn first_time(
    phrases: &Phrases<'_>,
    zones: &[Zones],
    is_one_zone: bool,
) -> Result<String, TextError> {
    let first = zones.first().unwrap_or(&phrases.zones);
    let is_own = |zones: &Zones| zones.second.is_none() || zones.second_is_of != Whose::Recipient;
    let write = match is_one_zone && zones.iter().all(is_own) {
        true => clock_time,
        false => clock_time_and_zone,
    };
    write(phrases.language, phrases.facts.starts_at, &first.first)
}

fn list(
    phrases: &Phrases<'_>,
    day: &DayFacts,
    date: NaiveDate,
    zones: &[Zones],
    is_one_zone: bool,
) -> Result<ListedDay, TextError> {
    let first = zones.first().unwrap_or(&phrases.zones);
    let (language, starts_at) = (phrases.language, phrases.facts.starts_at);
    let when = match is_one_zone {
        true => day_and_zone(language, date, starts_at, &first.first)?,
        false => in_words_of_day(language, "date", date)?,
    };
    let bookings = day.bookings.iter().zip(zones).map(|(booking, zones)| {
        let (time, zone_name) = match is_one_zone {
            true => (
                time_of(phrases, date, booking, &first.first, ZoneName::Elsewhere)?,
                None,
            ),
            false => (
                time_of(phrases, date, booking, &zones.first, ZoneName::Beside)?,
                name_beside(language, &zones.first)?,
            ),
        };
        let mut notes: Vec<_> = zone_name.into_iter().collect();
        if let Some(zone) = &zones.second {
            let when = time_of(phrases, date, booking, zone, ZoneName::WithTime)?;
            notes.push(phrases.in_second_zone(zones, when)?);
        }
        listed(phrases, booking, time, notes)
    });
    Ok(ListedDay {
        when: vec![when],
        bookings: bookings.collect::<Result<_, _>>()?,
        zones: match is_one_zone && zones.iter().all(|zones| zones.second.is_none()) {
            true => iana_names(slice::from_ref(first)),
            false => iana_names(zones),
        },
    })
}

fn time_of(
    phrases: &Phrases<'_>,
    date: NaiveDate,
    booking: &BookingFacts,
    zone: &TimeZone,
    zone_name: ZoneName,
) -> Result<String, TextError> {
    let (language, duration) = (phrases.language, booking.duration_minutes);
    time_in_day(language, date, booking.starts_at, duration, zone, zone_name)
}

fn listed(
    phrases: &Phrases<'_>,
    booking: &BookingFacts,
    time: String,
    time_notes: Vec<String>,
) -> Result<ListedBooking, TextError> {
    let of_booking = phrases.of_other(booking)?;
    // A digest never asks.
    let asks = phrases.kind == KindName::GroupedReminder;
    Ok(ListedBooking {
        booking_id: booking.booking_id,
        time,
        time_notes,
        booking: of_booking.booking,
        place: of_booking.place,
        meeting_link: booking.meeting_link.clone(),
        attendance_link: booking.attendance_link.clone().filter(|_| asks),
    })
}
