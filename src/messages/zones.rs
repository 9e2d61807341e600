//! The zones in which a message writes its time.

use chrono::{DateTime, TimeDelta, Utc};
use jiff::tz::TimeZone;

use crate::messages::facts::BookingFacts;
use crate::messages::times::offset;
use crate::primitives::zones::{iana_name, set_zone, zone_of_person};

/// Whose a zone is, as a message says it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The recipient's.
    Recipient,
    /// The provider's, for a customer.
    OtherPerson,
    /// The place's or the provider's, who may be the recipient: only the zone's name is shown.
    Unsaid,
}

/// The zones in which a message writes its time.
#[derive(Clone)]
pub(crate) struct Zones {
    /// Of the place, or of the recipient of an online booking.
    pub(crate) first: TimeZone,
    /// The other one of the two, where it is known and has another time.
    pub(crate) second: Option<TimeZone>,
    /// Whose the second one is.
    pub(crate) second_is_of: Whose,
}

impl Zones {
    pub(crate) fn of(booking: &BookingFacts, is_at_place: bool) -> Self {
        Self::between(booking.timezone.as_deref(), booking, is_at_place)
    }

    /// Of the recipient's zone, by its name, and that of the place or of the provider.
    pub(crate) fn between(own: Option<&str>, booking: &BookingFacts, is_at_place: bool) -> Self {
        let (own, there) = (set_zone(own), set_zone(booking.place_timezone.as_deref()));
        let (first, second, whose) = match is_at_place {
            true => (there, own, Whose::Recipient),
            false if booking.audience == "customer" => (own, there, Whose::OtherPerson),
            false => (own, there, Whose::Unsaid),
        };
        let (first, second) = match first {
            Some(first) => (first, second),
            None => (second.unwrap_or(TimeZone::UTC), None),
        };
        Self::with_second(first, second, whose, booking.starts_at)
    }

    /// The recipient's alone: of a digest.
    pub(crate) fn of_person(facts: &BookingFacts) -> Self {
        Self {
            first: zone_of_person(facts.timezone.as_deref(), facts.place_timezone.as_deref()),
            second: None,
            second_is_of: Whose::Unsaid,
        }
    }

    /// Of a booking in a digest of that person: theirs, and that of the place or of the provider.
    pub(crate) fn of_listed(&self, booking: &BookingFacts) -> Self {
        let there = set_zone(booking.place_timezone.as_deref());
        Self::with_second(self.first.clone(), there, Whose::Unsaid, booking.starts_at)
    }

    fn with_second(
        first: TimeZone,
        second: Option<TimeZone>,
        whose: Whose,
        at: DateTime<Utc>,
    ) -> Self {
        Self {
            second: second.filter(|second| offset(second, at) != offset(&first, at)),
            second_is_of: whose,
            first,
        }
    }

    /// Whether the clocks of the place, or the recipient's, change between now and the start.
    pub(crate) fn clocks_change(&self, facts: &BookingFacts) -> bool {
        let now = TimeDelta::from_std(facts.starts_in)
            .ok()
            .and_then(|left| facts.starts_at.checked_sub_signed(left));
        let Some(now) = now else { return false };
        let own = self
            .second
            .as_ref()
            .filter(|_| self.second_is_of == Whose::Recipient);
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
