//! Time zones by their names, and the days of their clocks.

use std::sync::LazyLock;

use icu_time::zone::WindowsParser;
use icu_time::zone::iana::IanaParserExtended;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

/// The other names that the IANA database has for UTC.
const UTC_NAMES: [&str; 7] = [
    "Etc/UTC",
    "Etc/UCT",
    "Etc/Universal",
    "Etc/Zulu",
    "UCT",
    "Universal",
    "Zulu",
];

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A zone by its IANA name, in any case, or by its name in Windows.
pub(crate) fn known_zone(name: Option<&str>) -> Option<TimeZone> {
    let name = name?.trim();
    ZONES
        .get(name)
        .ok()
        .or_else(|| windows_zone(name))
        .filter(|zone| !zone.is_unknown())
        .map(|zone| match UTC_NAMES.contains(&iana_name(&zone)) {
            true => TimeZone::UTC,
            false => zone,
        })
}

/// `W. Europe Standard Time` is Europe/Berlin: CLDR's table of names in Windows, for the whole
/// world.
fn windows_zone(name: &str) -> Option<TimeZone> {
    let id = WindowsParser::new().parse(name, None)?;
    let zone = IanaParserExtended::new()
        .iter()
        .find(|zone| zone.time_zone == id)?;
    ZONES.get(zone.canonical).ok()
}

pub(crate) fn iana_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

/// The zone that counts for a person: their own, else that of the place, else UTC. UTC is the
/// default of `users.timezone`, so it counts as not set.
pub(crate) fn zone_of_person(own: Option<&str>, of_place: Option<&str>) -> TimeZone {
    set_zone(own)
        .or_else(|| set_zone(of_place))
        .unwrap_or(TimeZone::UTC)
}

/// A zone that is known and not UTC.
pub(crate) fn set_zone(name: Option<&str>) -> Option<TimeZone> {
    known_zone(name).filter(|zone| *zone != TimeZone::UTC)
}

/// When the clocks of a zone come to an hour of a day: the first time, if they show it twice; the
/// moment when they leave it out, if they do. `None`: beyond the years that can be represented.
pub(crate) fn moment_of(zone: &TimeZone, day: Date, hour: i8) -> Option<Timestamp> {
    let shown = zone.to_ambiguous_timestamp(day.at(hour, 0, 0, 0));
    let is_left_out = matches!(shown.offset(), AmbiguousOffset::Gap { .. });
    let moment = shown.compatible().ok()?;
    if !is_left_out {
        return Some(moment);
    }
    // The clocks were put forward at this moment, or before.
    let behind = moment
        .checked_add(jiff::SignedDuration::from_nanos(1))
        .ok()?;
    zone.preceding(behind)
        .next()
        .map(|change| change.timestamp())
}
