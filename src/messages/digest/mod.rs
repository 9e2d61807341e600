//! The digest: the bookings of a person's coming day, in the order of their starts.

use crate::messages::facts::{BookingFacts, DayFacts};
use crate::messages::languages::TextError;
use crate::messages::phrases::Phrases;
use crate::messages::times::{clock_time, day_and_zone, in_words_of_day, time_in_day};
use crate::messages::{Draft, ListedBooking, ListedDay};

pub(super) fn draft(phrases: &Phrases<'_>, day: &DayFacts) -> Result<Draft, TextError> {
    let (language, zone) = (phrases.language, &phrases.zones.first);
    let short = in_words_of_day(language, "date-short", day.date)?;
    let long = in_words_of_day(language, "date", day.date)?;
    let first = clock_time(language, phrases.facts.starts_at, zone)?;
    let count = day.bookings.len() + day.others;
    let short = [
        ("count", count.into()),
        ("day", short.into()),
        ("first", first.into()),
    ];
    let long = [("count", count.into()), ("day", long.into())];
    let mut opening = vec![phrases.write("digest-opening", &long)?];
    if day.others > 0 {
        opening.push(phrases.write("digest-more", &[("count", day.others.into())])?);
    }
    let bookings = day.bookings.iter();
    let bookings = bookings.map(|booking| listed(phrases, day, booking));
    Ok(Draft {
        subject: phrases.write_subject("digest-subject", &short[..2])?,
        opening,
        short: phrases.write_short("digest-short", &short)?,
        names_booking: true,
        is_ahead: false,
        moved_from: None,
        day: Some(ListedDay {
            when: day_and_zone(language, day.date, phrases.facts.starts_at, zone)?,
            bookings: bookings.collect::<Result<_, _>>()?,
        }),
    })
}

fn listed(
    phrases: &Phrases<'_>,
    day: &DayFacts,
    booking: &BookingFacts,
) -> Result<ListedBooking, TextError> {
    let of_booking = phrases.of_other(booking)?;
    Ok(ListedBooking {
        time: time_in_day(
            phrases.language,
            day.date,
            booking.starts_at,
            booking.duration_minutes,
            &phrases.zones.first,
        )?,
        booking: of_booking.booking,
        place: of_booking.place,
        meeting_link: booking.meeting_link.clone(),
    })
}
