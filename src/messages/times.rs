//! Times for people to read. Only this module converts a time to a zone, and it always names the
//! zone.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, TimeDelta, Timelike, Utc};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::messages::languages::{Language, TextError, Variable};
use crate::messages::plain_text::{isolated, without_typography};
use crate::messages::sms::segments;
use crate::primitives::zones::iana_name;

/// A zone's offset from UTC at a time, in seconds to the east.
pub(crate) fn offset(zone: &TimeZone, at: DateTime<Utc>) -> i32 {
    let at = Timestamp::from_second(at.timestamp()).unwrap_or_default();
    zone.to_offset(at).seconds()
}

fn local_time(zone: &TimeZone, at: DateTime<Utc>) -> DateTime<FixedOffset> {
    let offset = FixedOffset::east_opt(offset(zone, at));
    at.with_timezone(&offset.unwrap_or(const { FixedOffset::east_opt(0).expect("no offset") }))
}

/// `Sunday, October 25, 2026, 2:30 AM – 3:30 AM Central European Time (UTC+02:00)`. The offset
/// distinguishes the two 2:30 of that night.
pub(crate) fn full_time(
    language: &Language,
    starts_at: DateTime<Utc>,
    duration_minutes: Option<i32>,
    zone: &TimeZone,
) -> Result<String, TextError> {
    let start = local_time(zone, starts_at);
    let start_of_day = time_of_day(language, &start)?;
    let end =
        ends_at(starts_at, duration_minutes).map(|ends_at| (ends_at, local_time(zone, ends_at)));
    let Some((ends_at, end)) = end else {
        let time = date_and_time(language, "date", &start, start_of_day)?;
        return with_zone(language, time, zone, starts_at);
    };
    let end_of_day = time_of_day(language, &end)?;
    let is_same_day = end.date_naive() == start.date_naive();
    if is_same_day && end.offset() == start.offset() {
        let time = range(language, "time-range", start_of_day, end_of_day)?;
        let time = date_and_time(language, "date", &start, time)?;
        return with_zone(language, time, zone, starts_at);
    }
    // An end on another day, or after a clock change, would be misread as a bare time.
    let from = date_and_time(language, "date", &start, start_of_day)?;
    let until = date_and_time(language, "date", &end, end_of_day)?;
    if end.offset() == start.offset() {
        let time = range(language, "date-range", from, until)?;
        return with_zone(language, time, zone, starts_at);
    }
    let from = with_zone(language, from, zone, starts_at)?;
    let until = with_zone(language, until, zone, ends_at)?;
    range(language, "date-range", from, until)
}

/// `None`: not known.
pub(crate) fn ends_at(
    starts_at: DateTime<Utc>,
    duration_minutes: Option<i32>,
) -> Option<DateTime<Utc>> {
    let minutes = duration_minutes.filter(|minutes| *minutes > 0)?;
    starts_at.checked_add_signed(TimeDelta::minutes(minutes.into()))
}

/// Where a list of times names the zone of one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ZoneName {
    /// Once for the whole list.
    Elsewhere,
    /// Beside the time, which has its offset.
    Beside,
    /// With the time.
    WithTime,
}

/// The day on which a time is.
pub(crate) fn local_day(at: DateTime<Utc>, zone: &TimeZone) -> NaiveDate {
    local_time(zone, at).date_naive()
}

/// `2:30 PM – 3:30 PM`, in a list of a day; an end on another day has its date. If the zone is
/// named elsewhere, each time has its offset on a day on which the clocks change.
pub(crate) fn time_in_day(
    language: &Language,
    day: NaiveDate,
    starts_at: DateTime<Utc>,
    duration_minutes: Option<i32>,
    zone: &TimeZone,
    zone_name: ZoneName,
) -> Result<String, TextError> {
    let time = |at: DateTime<Utc>| {
        let local = local_time(zone, at);
        let time = time_of_day(language, &local)?;
        match local.date_naive() == day {
            true => Ok(time),
            false => date_and_time(language, "date-short", &local, time),
        }
    };
    let in_zone = |time: String, at: DateTime<Utc>| match zone_name {
        ZoneName::WithTime => with_zone(language, time, zone, at),
        ZoneName::Elsewhere if !clocks_change_within(zone, day) => Ok(time),
        ZoneName::Elsewhere | ZoneName::Beside => {
            time_and_zone(language, time, format!("({})", offset_in_words(zone, at)))
        }
    };
    let start = time(starts_at)?;
    let Some(ends_at) = ends_at(starts_at, duration_minutes) else {
        return in_zone(start, starts_at);
    };
    let end = time(ends_at)?;
    if offset(zone, starts_at) != offset(zone, ends_at) {
        let start = in_zone(start, starts_at)?;
        return range(language, "date-range", start, in_zone(end, ends_at)?);
    }
    let pattern = match local_time(zone, ends_at).date_naive() == day {
        true => "time-range",
        false => "date-range",
    };
    in_zone(range(language, pattern, start, end)?, starts_at)
}

/// Whether the offset at a day's end is another one than at its beginning.
fn clocks_change_within(zone: &TimeZone, day: NaiveDate) -> bool {
    // Offsets differ from UTC by less than a day, and do not change twice within two.
    let noon = day.and_hms_opt(12, 0, 0).unwrap_or_default().and_utc();
    let shift = TimeDelta::seconds(offset(zone, noon).into());
    let half_day = TimeDelta::hours(12);
    let [begin, end] = [noon - shift - half_day, noon - shift + half_day];
    offset(zone, begin) != offset(zone, end)
}

/// `Sunday, October 25, 2026`, by the pattern `date`, or `Sun, Oct 25`, by `date-short`, or as
/// `date-sms` has it.
pub(crate) fn in_words_of_day(
    language: &Language,
    pattern: &'static str,
    day: NaiveDate,
) -> Result<String, TextError> {
    language.text(pattern, &date_parts(&day))
}

/// A day with the zone of its times: its name, and its offset where that is the same all day.
pub(crate) fn day_and_zone(
    language: &Language,
    day: NaiveDate,
    at: DateTime<Utc>,
    zone: &TimeZone,
) -> Result<String, TextError> {
    let date = in_words_of_day(language, "date", day)?;
    match (clocks_change_within(zone, day), known_as(zone)) {
        (false, _) => with_zone(language, date, zone, at),
        (true, Some(variant)) => {
            let name = zone_name(language, variant)?;
            time_and_zone(language, date, isolated(language, name))
        }
        (true, None) => Ok(date),
    }
}

/// `2:30 PM`, for an SMS that does not name the zone.
pub(crate) fn clock_time(
    language: &Language,
    at: DateTime<Utc>,
    zone: &TimeZone,
) -> Result<String, TextError> {
    time_of_day(language, &local_time(zone, at))
}

/// `2:30 PM (Central European Time)`, for an SMS.
pub(crate) fn clock_time_and_zone(
    language: &Language,
    at: DateTime<Utc>,
    zone: &TimeZone,
) -> Result<String, TextError> {
    with_sms_zone(language, clock_time(language, at, zone)?, zone, at)
}

fn range(
    language: &Language,
    pattern: &'static str,
    start: String,
    end: String,
) -> Result<String, TextError> {
    language.text(pattern, &[("start", start.into()), ("end", end.into())])
}

fn with_zone(
    language: &Language,
    time: String,
    zone: &TimeZone,
    at: DateTime<Utc>,
) -> Result<String, TextError> {
    let offset = offset_in_words(zone, at);
    let name = match known_as(zone) {
        Some(variant) => format!("{} ({offset})", zone_name(language, variant)?),
        None => offset,
    };
    time_and_zone(language, time, isolated(language, name))
}

fn time_and_zone(language: &Language, time: String, zone: String) -> Result<String, TextError> {
    language.text(
        "time-and-zone",
        &[("time", time.into()), ("zone", zone.into())],
    )
}

/// `Sun, Oct 25, 2:30 AM (Central European Time)`.
pub(crate) fn short_time(
    language: &Language,
    starts_at: DateTime<Utc>,
    zone: &TimeZone,
) -> Result<String, TextError> {
    let start = local_time(zone, starts_at);
    let time = time_of_day(language, &start)?;
    let time = date_and_time(language, "date-short", &start, time)?;
    let name = match known_as(zone) {
        Some(variant) => zone_name(language, variant)?,
        None => offset_in_words(zone, starts_at),
    };
    time_and_zone(language, time, format!("({name})"))
}

/// `dim. 25/10, 02:30 (heure d’Europe centrale)`, for an SMS.
pub(crate) fn sms_time(
    language: &Language,
    starts_at: DateTime<Utc>,
    zone: &TimeZone,
) -> Result<String, TextError> {
    let start = local_time(zone, starts_at);
    let time = time_of_day(language, &start)?;
    let time = date_and_time(language, "date-sms", &start, time)?;
    with_sms_zone(language, time, zone, starts_at)
}

/// The zone has its offset in place of a name that would make a second segment of the SMS.
fn with_sms_zone(
    language: &Language,
    time: String,
    zone: &TimeZone,
    at: DateTime<Utc>,
) -> Result<String, TextError> {
    let name = match known_as(zone) {
        Some(variant) => Some(zone_name(language, variant)?),
        None => None,
    };
    let keeps_gsm = language.has_gsm_sms();
    let name = name.filter(|name| !keeps_gsm || is_for_gsm(name));
    let zone = name.unwrap_or_else(|| offset_in_words(zone, at));
    time_and_zone(language, time, format!("({zone})"))
}

/// Whether the name of a zone leaves an SMS in the GSM 7-bit alphabet, and room for the rest.
fn is_for_gsm(name: &str) -> bool {
    // With longer ones, the longest usual texts of some languages have more than 160 characters.
    const LONGEST: usize = 40;
    let sms = segments(&without_typography(name));
    sms.wide.is_none() && sms.units <= LONGEST
}

fn date_and_time(
    language: &Language,
    pattern: &'static str,
    at: &DateTime<FixedOffset>,
    time: String,
) -> Result<String, TextError> {
    let date = in_words_of_day(language, pattern, at.date_naive())?;
    language.text(
        "date-and-time",
        &[("date", date.into()), ("time", time.into())],
    )
}

fn date_parts(date: &NaiveDate) -> [Variable<'static>; 6] {
    [
        ("weekday", date.weekday().number_from_monday().into()),
        ("day", date.day().into()),
        ("day-padded", format!("{:02}", date.day()).into()),
        ("month", date.month().into()),
        ("month-padded", format!("{:02}", date.month()).into()),
        ("year", date.year().into()),
    ]
}

fn time_of_day(language: &Language, at: &DateTime<FixedOffset>) -> Result<String, TextError> {
    let (is_pm, hour_of_12) = at.hour12();
    let half = if is_pm { "pm" } else { "am" };
    let parts = [
        ("hour", at.hour().into()),
        ("hour-padded", format!("{:02}", at.hour()).into()),
        ("hour-of-12", hour_of_12.into()),
        ("minute", format!("{:02}", at.minute()).into()),
        ("half", half.into()),
    ];
    language.text("time", &parts)
}

/// `UTC+02:00`.
fn offset_in_words(zone: &TimeZone, at: DateTime<Utc>) -> String {
    if *zone == TimeZone::UTC {
        return "UTC".to_owned();
    }
    let offset = local_time(zone, at).format("UTC%:z").to_string();
    // With a minus sign: a line may end after a hyphen.
    offset.replace('-', "\u{2212}")
}

/// The variant of the text `zone-name` by which people know a zone, if there is one.
fn known_as(zone: &TimeZone) -> Option<&'static str> {
    static VARIANTS: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
        let lines = include_str!("zones.txt").lines();
        lines
            .filter_map(|line| line.split_once(' '))
            .flat_map(|(variant, zones)| zones.split(' ').map(move |zone| (zone, variant)))
            .collect()
    });
    VARIANTS.get(iana_name(zone)).copied()
}

/// `Central European Time`, beside a time with its offset; `None`: people know the zone by no name.
pub(crate) fn name_beside(
    language: &Language,
    zone: &TimeZone,
) -> Result<Option<String>, TextError> {
    let variant = known_as(zone);
    let name = variant.map(|variant| Ok(isolated(language, zone_name(language, variant)?)));
    name.transpose()
}

/// `Central European Time`.
fn zone_name(language: &Language, variant: &'static str) -> Result<String, TextError> {
    language.text("zone-name", &[("zone", variant.into())])
}

/// The names of the texts of days, hours and minutes.
type Units = [&'static str; 3];

/// The units of mails.
pub(crate) const UNITS: Units = ["days", "hours", "minutes"];
/// The units of SMS.
pub(crate) const SMS_UNITS: Units = ["days-sms", "hours-sms", "minutes-sms"];

/// `in 1 hour`, `in 23 hours 40 minutes`, `in 2 days 3 hours`: to the minute, and to the hour from
/// two days on.
pub(crate) fn in_words(
    language: &Language,
    left: Duration,
    units: Units,
) -> Result<String, TextError> {
    let minutes = (left.as_secs() + 30) / 60;
    let (days, hours, minutes) = if minutes >= 48 * 60 {
        let hours = (minutes + 30) / 60;
        (hours / 24, hours % 24, 0)
    } else {
        (0, minutes / 60, minutes % 60)
    };
    let mut parts = Vec::new();
    for (count, unit) in [days, hours, minutes].into_iter().zip(units) {
        if count > 0 {
            parts.push(language.text(unit, &[("count", count.into())])?);
        }
    }
    let mut parts = parts.into_iter();
    let duration = match (parts.next(), parts.next()) {
        (None, _) => return language.text("starts-now", &[]),
        (Some(only), None) => only,
        (Some(first), Some(second)) => {
            let both = [("first", first.into()), ("second", second.into())];
            language.text("two-durations", &both)?
        }
    };
    language.text("starts-in", &[("duration", duration.into())])
}
