//! The reminder that a person reads: text and HTML beside this file, and its sentences in the
//! language files.

use std::time::Duration;

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::messages::languages::{Language, TextError};
use crate::messages::plain_text::{isolated, one_line, whole_link, without_isolates};
use crate::messages::times::{full_time, iana_name, in_words, known_zone, offset, short_time};

/// The facts of a reminder, read when the message was claimed. Every `Option` may be missing in the
/// user's tables.
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
    /// How long it takes; zero or less: not shown.
    pub duration_minutes: Option<i32>,
    /// The recipient's address.
    pub email: String,
    /// The recipient's name.
    pub name: Option<String>,
    /// The recipient's time zone: its IANA name, or its name in Windows.
    pub timezone: Option<String>,
    /// The recipient's language, a BCP 47 tag.
    pub language: Option<String>,
    /// What was booked.
    pub service: Option<String>,
    /// The name of the other person.
    pub with_name: Option<String>,
    /// Where.
    pub place: Option<String>,
    /// Where, online.
    pub meeting_link: Option<String>,
    /// Whether the booking is online.
    pub is_online: bool,
    /// The time zone of the place, or of the provider.
    pub place_timezone: Option<String>,
}

/// The zones in which a message writes its time.
struct Zones {
    /// Of the place, or of the recipient of an online booking.
    first: TimeZone,
    /// The other one of the two, where it is known and has another time.
    second: Option<TimeZone>,
    /// Whether the second is the recipient's.
    second_is_own: bool,
}

impl Zones {
    fn of(reminder: &Reminder, is_at_place: bool) -> Self {
        // UTC is the default of users.timezone, so it counts as not set.
        let civil = |name: &Option<String>| {
            known_zone(name.as_deref()).filter(|zone| *zone != TimeZone::UTC)
        };
        let (own, there) = (civil(&reminder.timezone), civil(&reminder.place_timezone));
        let (first, second) = match is_at_place {
            true => (there, own),
            false => (own, there),
        };
        let (first, second) = match first {
            Some(first) => (first, second),
            None => (second.unwrap_or(TimeZone::UTC), None),
        };
        let offset = |zone: &TimeZone| offset(zone, reminder.starts_at);
        Self {
            second: second.filter(|second| offset(second) != offset(&first)),
            second_is_own: is_at_place,
            first,
        }
    }

    /// `Europe/Vienna, Asia/Tokyo`.
    fn iana_names(&self) -> String {
        let zones = [Some(&self.first), self.second.as_ref()];
        let names: Vec<_> = zones.into_iter().flatten().map(iana_name).collect();
        names.join(", ")
    }

    /// Whether the clocks of the place, or the recipient's, change between now and the start.
    fn clocks_change(&self, reminder: &Reminder) -> bool {
        let now = TimeDelta::from_std(reminder.starts_in)
            .ok()
            .and_then(|left| reminder.starts_at.checked_sub_signed(left));
        let Some(now) = now else { return false };
        let own = self.second.as_ref().filter(|_| self.second_is_own);
        [Some(&self.first), own]
            .into_iter()
            .flatten()
            .any(|zone| offset(zone, now) != offset(zone, reminder.starts_at))
    }
}

impl Reminder {
    /// Whether the recipient's time zone is missing or unknown.
    pub(crate) fn is_zone_unknown(&self) -> bool {
        known_zone(self.timezone.as_deref()).is_none()
    }
}

/// A message, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// One line.
    pub subject: String,
    /// For mail readers without HTML.
    pub text: String,
    /// For the others.
    pub html: String,
}

/// A message that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A text of the language.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The layout.
    #[error(transparent)]
    Template(#[from] askama::Error),
}

#[derive(Template)]
#[template(path = "reminder/body.txt")]
struct Text<'a> {
    body: &'a Body,
    lines: Vec<String>,
}

#[derive(Template)]
#[template(path = "reminder/body.html")]
struct Html<'a> {
    body: &'a Body,
}

struct Body {
    language: &'static Language,
    direction: String,
    subject: String,
    greeting: String,
    starts: String,
    when: Labelled,
    when_else: Option<String>,
    clocks_change: Option<String>,
    place: Option<Labelled>,
    meeting_link: Option<Labelled>,
    booking_link: Option<Labelled>,
    /// The IANA names of the zones, in small print.
    zones: String,
}

/// A fact and its label.
struct Labelled {
    label: String,
    value: String,
}

impl Labelled {
    fn new(
        language: &Language,
        label: &'static str,
        value: Option<String>,
    ) -> Result<Option<Self>, TextError> {
        let label = language.text(label, &[])?;
        Ok(value.map(|value| Self { label, value }))
    }

    /// Any other link (`javascript:`, `data:`) is shown as text.
    fn is_safe_link(&self) -> bool {
        self.value.starts_with("https://") || self.value.starts_with("http://")
    }
}

/// Renders a reminder in the recipient's language, else in `default_language`. `public_url` is the
/// base of the link to the booking; `None`: no link.
///
/// # Errors
/// When a template or a text fails, which no input can cause.
pub fn render(
    reminder: &Reminder,
    default_language: &'static Language,
    public_url: Option<&str>,
) -> Result<Message, RenderError> {
    let language = (reminder.language.as_deref())
        .and_then(Language::matching)
        .unwrap_or(default_language);
    let body = write_body(reminder, language, public_url)?;
    let lines = body.lines()?;
    Ok(Message {
        text: Text { body: &body, lines }.render()?,
        html: Html { body: &body }.render()?,
        subject: body.subject,
    })
}

fn write_body(
    reminder: &Reminder,
    language: &'static Language,
    public_url: Option<&str>,
) -> Result<Body, TextError> {
    let name = |text: &Option<String>| one_line(text.as_deref()).map(|it| isolated(language, it));
    let place = name(&reminder.place).filter(|_| !reminder.is_online);
    let zones = Zones::of(reminder, place.is_some());
    let clocks_change = match zones.clocks_change(reminder) {
        true => Some(language.text("clocks-change", &[])?),
        false => None,
    };
    let meeting_link = whole_link(reminder.meeting_link.as_deref())
        .filter(|_| reminder.is_online || place.is_none());
    let booking_link = public_url.map(|base| format!("{base}/bookings/{}", reminder.booking_id));
    let service = match name(&reminder.service) {
        Some(service) => service,
        None => language.text("your-booking", &[])?,
    };
    let starts_in = in_words(language, reminder.starts_in)?;
    Ok(Body {
        direction: language.direction()?,
        subject: write_subject(reminder, language, &service, &starts_in, &zones.first)?,
        greeting: match name(&reminder.name) {
            Some(name) => language.text("reminder-greeting", &[("name", name.into())])?,
            None => language.text("reminder-greeting-nameless", &[])?,
        },
        starts: write_sentence(language, service, starts_in, name(&reminder.with_name))?,
        when: Labelled {
            label: language.text("when", &[])?,
            value: write_time(reminder, language, &zones.first)?,
        },
        when_else: write_other_time(reminder, language, &zones)?,
        clocks_change,
        place: Labelled::new(language, "where", place)?,
        meeting_link: Labelled::new(language, "join", meeting_link)?,
        booking_link: Labelled::new(language, "your-booking", booking_link)?,
        zones: write_line(
            language,
            &language.text("time-zones", &[])?,
            &zones.iana_names(),
        )?,
        language,
    })
}

fn write_time(
    reminder: &Reminder,
    language: &Language,
    zone: &TimeZone,
) -> Result<String, TextError> {
    full_time(
        language,
        reminder.starts_at,
        reminder.duration_minutes,
        zone,
    )
}

fn write_other_time(
    reminder: &Reminder,
    language: &Language,
    zones: &Zones,
) -> Result<Option<String>, TextError> {
    let Some(zone) = &zones.second else {
        return Ok(None);
    };
    let text = match zones.second_is_own {
        true => "when-here",
        false => "when-there",
    };
    let when = write_time(reminder, language, zone)?;
    language.text(text, &[("when", when.into())]).map(Some)
}

fn write_subject(
    reminder: &Reminder,
    language: &Language,
    service: &str,
    starts_in: &str,
    zone: &TimeZone,
) -> Result<String, TextError> {
    let when = short_time(language, reminder.starts_at, zone)?;
    let facts = [
        ("service", service.into()),
        ("starts-in", starts_in.into()),
        ("when", when.into()),
    ];
    let subject = language.text("reminder-subject", &facts)?;
    Ok(without_isolates(&subject))
}

fn write_sentence(
    language: &Language,
    service: String,
    starts_in: String,
    person: Option<String>,
) -> Result<String, TextError> {
    let mut facts = vec![("service", service.into()), ("starts-in", starts_in.into())];
    let Some(person) = person else {
        return language.text("reminder-starts", &facts);
    };
    facts.push(("person", person.into()));
    language.text("reminder-starts-with", &facts)
}

fn write_line(language: &Language, label: &str, value: &str) -> Result<String, TextError> {
    language.text(
        "labelled",
        &[("label", label.into()), ("value", value.into())],
    )
}

impl Body {
    /// The facts, a line each.
    fn lines(&self) -> Result<Vec<String>, TextError> {
        let line = |fact: &Labelled| write_line(self.language, &fact.label, &fact.value);
        let mut lines = vec![line(&self.when)?];
        lines.extend(self.clocks_change.clone());
        lines.extend(self.when_else.clone());
        for fact in [&self.place, &self.meeting_link, &self.booking_link] {
            lines.extend(fact.as_ref().map(line).transpose()?);
        }
        lines.extend([String::new(), self.zones.clone()]);
        Ok(lines)
    }
}
