//! The reminder that a person reads: subject, text and HTML from `templates/reminder/`.
//!
//! Times are turned to a zone here and nowhere else, and the zone is always named.

use std::fmt::Write;
use std::sync::LazyLock;
use std::time::Duration;

use askama::Template;
use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use uuid::Uuid;

/// What a reminder tells, as the database knew it when the message was claimed. Every `Option` may be
/// absent in the user's tables.
#[derive(Clone, Debug)]
pub struct Reminder {
    /// The booking.
    pub booking_id: Uuid,
    /// `customer` or `provider`.
    pub audience: String,
    /// When it starts.
    pub starts_at: DateTime<Utc>,
    /// How long until then: the true time, not the rule's lead.
    pub starts_in: Duration,
    /// How long it takes; zero or less: not told.
    pub duration_minutes: Option<i32>,
    /// Whom it goes to.
    pub email: String,
    /// Their name.
    pub name: Option<String>,
    /// Their zone, an IANA name.
    pub timezone: Option<String>,
    /// What was booked.
    pub service: Option<String>,
    /// Whom they meet.
    pub with_name: Option<String>,
    /// Where.
    pub place: Option<String>,
    /// Where, online.
    pub meeting_link: Option<String>,
    /// Whether they meet online.
    pub is_online: bool,
    /// The zone of the place.
    pub place_timezone: Option<String>,
}

/// A message, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// One line.
    pub subject: String,
    /// For readers without HTML.
    pub text: String,
    /// For the others.
    pub html: String,
}

#[derive(Template)]
#[template(path = "reminder/subject.txt")]
struct Subject<'a> {
    what: &'a str,
    starts_in: &'a str,
    short_when: &'a str,
}

#[derive(Template)]
#[template(path = "reminder/body.txt")]
struct Text<'a> {
    body: &'a Body,
}

#[derive(Template)]
#[template(path = "reminder/body.html")]
struct Html<'a> {
    body: &'a Body,
}

struct Body {
    subject: String,
    name: Option<String>,
    what: String,
    with_name: Option<String>,
    starts_in: String,
    when: String,
    when_there: Option<String>,
    place: Option<String>,
    meeting_link: Option<String>,
    link_is_safe: bool,
    booking_url: Option<String>,
}

/// Renders a reminder. `public_url` is the base of the link to the booking; `None`: no link.
///
/// # Errors
/// When a template fails, which no input can make it do.
pub fn render(reminder: &Reminder, public_url: Option<&str>) -> Result<Message, askama::Error> {
    let what = one_line(reminder.service.as_deref()).unwrap_or_else(|| "Your booking".to_owned());
    let starts_in = in_words(reminder.starts_in);
    let zone = zone(reminder.timezone.as_deref());
    let place = one_line(reminder.place.as_deref()).filter(|_| !reminder.is_online);
    // Who travels wants to know what the clock says there.
    let when_there = known_zone(reminder.place_timezone.as_deref())
        .filter(|there| place.is_some() && offset(there, reminder.starts_at).0 != offset(&zone, reminder.starts_at).0)
        .map(|there| full_time(reminder, &there));
    let local = local(&zone, reminder.starts_at);
    let short_when = format!("{} ({})", local.format("%a %-d %b, %H:%M"), name(&zone));
    let subject = Subject { what: &what, starts_in: &starts_in, short_when: &short_when }.render()?;
    let meeting_link = whole_link(reminder.meeting_link.as_deref()).filter(|_| reminder.is_online || place.is_none());
    let body = Body {
        name: one_line(reminder.name.as_deref()),
        with_name: one_line(reminder.with_name.as_deref()),
        when: full_time(reminder, &zone),
        when_there,
        // Anything else (javascript:, data:) is shown, never linked.
        link_is_safe: meeting_link
            .as_deref()
            .is_some_and(|link| link.starts_with("https://") || link.starts_with("http://")),
        meeting_link,
        place,
        booking_url: public_url.map(|base| format!("{base}/bookings/{}", reminder.booking_id)),
        subject,
        what,
        starts_in,
    };
    Ok(Message { text: Text { body: &body }.render()?, html: Html { body: &body }.render()?, subject: body.subject })
}

/// The zone that a message is written in: UTC where the person's is absent or not an IANA name.
fn zone(name: Option<&str>) -> TimeZone {
    known_zone(name).unwrap_or(TimeZone::UTC)
}

/// An IANA zone, whatever the case of its name.
pub(crate) fn known_zone(name: Option<&str>) -> Option<TimeZone> {
    static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    name.and_then(|name| ZONES.get(name.trim()).ok()).filter(|zone| !zone.is_unknown())
}

fn name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

/// A zone's distance from UTC at a time, in seconds to the east, and what it is called then.
fn offset(zone: &TimeZone, at: DateTime<Utc>) -> (i32, String) {
    let at = Timestamp::from_second(at.timestamp()).unwrap_or_default();
    let info = zone.to_offset_info(at);
    (info.offset().seconds(), info.abbreviation().to_owned())
}

fn local(zone: &TimeZone, at: DateTime<Utc>) -> DateTime<FixedOffset> {
    let offset = FixedOffset::east_opt(offset(zone, at).0);
    at.with_timezone(&offset.unwrap_or(const { FixedOffset::east_opt(0).expect("no offset") }))
}

/// `Sunday, 25 October 2026, 02:30–03:30 CEST (Europe/Vienna, UTC+02:00)`. The offset tells the two
/// 02:30 of that night apart.
fn full_time(reminder: &Reminder, zone: &TimeZone) -> String {
    let start = local(zone, reminder.starts_at);
    let mut text = start.format("%A, %-d %B %Y, %H:%M").to_string();
    let minutes = reminder.duration_minutes.filter(|minutes| *minutes > 0);
    if let Some(end) =
        minutes.and_then(|minutes| reminder.starts_at.checked_add_signed(TimeDelta::minutes(minutes.into())))
    {
        let end = local(zone, end);
        // An end on another day, or after the clock changed, would read wrongly as a bare time.
        if end.date_naive() == start.date_naive() && end.offset() == start.offset() {
            let _ = write!(text, "–{}", end.format("%H:%M"));
        }
    }
    let (name, short) = (name(zone), offset(zone, reminder.starts_at).1);
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

/// `in 1 hour`, `in 23 hours 40 minutes`, `in 2 days 3 hours`: to the minute, and to the hour from two
/// days on.
fn in_words(left: Duration) -> String {
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
    if words == "in" { "now".to_owned() } else { words }
}

/// In one line, no longer than a subject can bear.
fn one_line(text: Option<&str>) -> Option<String> {
    const LONGEST: usize = 200;
    let line: String = plain(text?).chars().take(LONGEST).collect();
    (!line.is_empty()).then_some(line)
}

/// Whole or not at all: half of one leads nowhere. Those of video meetings have 300 characters and more.
fn whole_link(link: Option<&str>) -> Option<String> {
    const LONGEST: usize = 2000;
    Some(plain(link?)).filter(|link| !link.is_empty() && link.len() <= LONGEST)
}

/// Names are other people's input: no line breaks or control characters, and none that turn the direction of what follows (a
/// time would read backwards).
fn plain(text: &str) -> String {
    let turns = |c: &char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let text: String = text.chars().filter(|c| !turns(c)).collect();
    let words: Vec<_> =
        text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}
