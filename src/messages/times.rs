//! Times for people to read. Only this module converts a time to a zone, and it always names the
//! zone.

use std::fmt::Write;
use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// The zone of a message: UTC if the recipient's is missing or not an IANA name.
pub(crate) fn zone(name: Option<&str>) -> TimeZone {
    known_zone(name).unwrap_or(TimeZone::UTC)
}

/// An IANA zone, whatever the case of its name.
pub(crate) fn known_zone(name: Option<&str>) -> Option<TimeZone> {
    static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    name.and_then(|name| ZONES.get(name.trim()).ok())
        .filter(|zone| !zone.is_unknown())
}

pub(crate) fn name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

/// A zone's offset from UTC at a time, in seconds to the east, and its abbreviation then.
pub(crate) fn offset(zone: &TimeZone, at: DateTime<Utc>) -> (i32, String) {
    let at = Timestamp::from_second(at.timestamp()).unwrap_or_default();
    let info = zone.to_offset_info(at);
    (info.offset().seconds(), info.abbreviation().to_owned())
}

pub(crate) fn local_time(zone: &TimeZone, at: DateTime<Utc>) -> DateTime<FixedOffset> {
    let offset = FixedOffset::east_opt(offset(zone, at).0);
    at.with_timezone(&offset.unwrap_or(const { FixedOffset::east_opt(0).expect("no offset") }))
}

/// `Sunday, 25 October 2026, 02:30–03:30 CEST (Europe/Vienna, UTC+02:00)`. The offset distinguishes
/// the two 02:30 of that night.
pub(crate) fn full_time(
    starts_at: DateTime<Utc>,
    duration_minutes: Option<i32>,
    zone: &TimeZone,
) -> String {
    let start = local_time(zone, starts_at);
    let mut text = start.format("%A, %-d %B %Y, %H:%M").to_string();
    let minutes = duration_minutes.filter(|minutes| *minutes > 0);
    if let Some(end) =
        minutes.and_then(|minutes| starts_at.checked_add_signed(TimeDelta::minutes(minutes.into())))
    {
        let end = local_time(zone, end);
        // An end on another day, or after a clock change, would be misread as a bare time.
        if end.date_naive() == start.date_naive() && end.offset() == start.offset() {
            let _ = write!(text, "–{}", end.format("%H:%M"));
        }
    }
    let (name, short) = (name(zone), offset(zone, starts_at).1);
    // With a minus sign: a line may end after a hyphen.
    let distance = start.format("UTC%:z").to_string().replace('-', "\u{2212}");
    let _ = if *zone == TimeZone::UTC {
        write!(text, " (UTC)")
    } else if short.chars().all(char::is_alphabetic) && short != name {
        write!(text, " {short} ({name}, {distance})")
    } else {
        write!(text, " ({name}, {distance})")
    };
    text
}

/// `in 1 hour`, `in 23 hours 40 minutes`, `in 2 days 3 hours`: to the minute, and to the hour from
/// two days on.
pub(crate) fn in_words(left: Duration) -> String {
    let minutes = (left.as_secs() + 30) / 60;
    let (days, hours, minutes) = if minutes >= 48 * 60 {
        let hours = (minutes + 30) / 60;
        (hours / 24, hours % 24, 0)
    } else {
        (0, minutes / 60, minutes % 60)
    };
    let mut words = String::from("in");
    for (number, unit) in [(days, "day"), (hours, "hour"), (minutes, "minute")] {
        if number > 0 {
            let plural = if number == 1 { "" } else { "s" };
            let _ = write!(words, " {number} {unit}{plural}");
        }
    }
    if words == "in" {
        "now".to_owned()
    } else {
        words
    }
}
