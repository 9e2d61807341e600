//! The zones in which a message writes its time.

use chrono::{DateTime, TimeDelta, Utc};
use jiff::tz::TimeZone;

use crate::messages::facts::BookingFacts;
use crate::messages::times::offset;
use crate::primitives::zones::{iana_name, set_zone, zone_of_person};

/// The zones in which a message writes its time.
#[derive(Clone)]
pub(crate) struct Zones {
    /// Of the place, or of the recipient of an online booking.
    pub(crate) first: TimeZone,
    /// The other one of the two, where it is known and has another time.
    pub(crate) second: Option<TimeZone>,
    /// Whether the second is the recipient's.
    pub(crate) second_is_own: bool,
}

impl Zones {
    pub(crate) fn of(facts: &BookingFacts, is_at_place: bool) -> Self {
        let (own, there) = (facts.timezone.as_deref(), facts.place_timezone.as_deref());
        Self::between(own, there, facts.starts_at, is_at_place)
    }

    /// Of the recipient's zone and that of the place, or of the provider, by their names.
    pub(crate) fn between(
        own: Option<&str>,
        there: Option<&str>,
        starts_at: DateTime<Utc>,
        is_at_place: bool,
    ) -> Self {
        let (own, there) = (set_zone(own), set_zone(there));
        let (first, second) = match is_at_place {
            true => (there, own),
            false => (own, there),
        };
        let (first, second) = match first {
            Some(first) => (first, second),
            None => (second.unwrap_or(TimeZone::UTC), None),
        };
        let offset = |zone: &TimeZone| offset(zone, starts_at);
        Self {
            second: second.filter(|second| offset(second) != offset(&first)),
            second_is_own: is_at_place,
            first,
        }
    }

    /// The recipient's alone: of a digest.
    pub(crate) fn of_person(facts: &BookingFacts) -> Self {
        Self {
            first: zone_of_person(facts.timezone.as_deref(), facts.place_timezone.as_deref()),
            second: None,
            second_is_own: false,
        }
    }

    /// Of a booking in a digest of that person: theirs, and that of the place or of the provider.
    pub(crate) fn of_listed(&self, booking: &BookingFacts) -> Self {
        let first = self.first.clone();
        let there = set_zone(booking.place_timezone.as_deref());
        let at = booking.starts_at;
        Self {
            second: there.filter(|there| offset(there, at) != offset(&first, at)),
            second_is_own: false,
            first,
        }
    }

    /// The text that says whose the time in the second zone is.
    pub(crate) fn text_of_second(&self) -> &'static str {
        match self.second_is_own {
            true => "when-here",
            false => "when-there",
        }
    }

    /// Whether the clocks of the place, or the recipient's, change between now and the start.
    pub(crate) fn clocks_change(&self, facts: &BookingFacts) -> bool {
        let now = TimeDelta::from_std(facts.starts_in)
            .ok()
            .and_then(|left| facts.starts_at.checked_sub_signed(left));
        let Some(now) = now else { return false };
        let own = self.second.as_ref().filter(|_| self.second_is_own);
        [Some(&self.first), own]
            .into_iter()
            .flatten()
            .any(|zone| offset(zone, now) != offset(zone, facts.starts_at))
    }
}

/// `Europe/Vienna, Asia/Tokyo`: each zone once.
pub(crate) fn iana_names(zones: &[Zones]) -> String {
    let mut names: Vec<&str> = Vec::new();
    let zones = zones
        .iter()
        .flat_map(|zones| [Some(&zones.first), zones.second.as_ref()]);
    for name in zones.flatten().map(iana_name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}
