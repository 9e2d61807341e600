//! The appointment of a booking, for the calendar of the recipient: an invitation or a
//! cancellation by mail (iMIP: RFC 5545, RFC 5546, RFC 6047).

mod lines;

use uuid::Uuid;

use crate::messages::calendar::lines::{Lines, mailto, utc};
use crate::messages::facts::BookingFacts;
use crate::messages::kind_name::KindName;
use crate::messages::languages::{Language, TextError};
use crate::messages::phrases::Phrases;
use crate::messages::plain_text::without_isolates;
use crate::messages::settings::MessageSettings;
use crate::messages::times::ends_at;
use crate::messages::wording::Wording;
use crate::primitives::email_address::Address;

/// The value of `PRODID`.
const PRODUCT: &str = "-//booking-automation//booking-automation//EN";

/// What a message does to the calendar of its recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// It adds or changes the appointment.
    Request,
    /// It cancels the appointment.
    Cancel,
}

impl Method {
    /// `None`: messages of this kind carry no appointment.
    fn of(kind: KindName) -> Option<Self> {
        match kind {
            KindName::Reminder | KindName::Confirmed | KindName::Rescheduled => Some(Self::Request),
            KindName::Cancelled => Some(Self::Cancel),
            // Of several bookings: an invitation has one.
            KindName::GroupedReminder | KindName::Digest => None,
            KindName::Expired | KindName::FollowUp => None,
        }
    }

    /// The value of `METHOD`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "REQUEST",
            Self::Cancel => "CANCEL",
        }
    }

    fn status(self) -> &'static str {
        match self {
            Self::Request => "CONFIRMED",
            Self::Cancel => "CANCELLED",
        }
    }
}

/// The appointment of a booking, in the recipient's language. Times are in UTC: a time zone would
/// have to be described, and calendars disagree about descriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appointment {
    /// What the message does with it.
    pub method: Method,
    booking_id: Uuid,
    sequence: i64,
    /// Of these, a calendar uses the newest one that it gets with the same sequence.
    told_at: String,
    starts_at: String,
    /// `None`: not known.
    ends_at: Option<String>,
    summary: String,
    description: String,
    location: Option<String>,
    url: Option<String>,
}

impl Appointment {
    /// `None`: the message carries none, or iCalendar cannot express its start.
    pub(super) fn of(
        phrases: &Phrases<'_>,
        settings: &MessageSettings,
    ) -> Result<Option<Self>, TextError> {
        let facts = phrases.facts;
        let times = (utc(facts.told_at), utc(facts.starts_at));
        let (Some(method), (Some(told_at), Some(starts_at))) = (Method::of(phrases.kind), times)
        else {
            return Ok(None);
        };
        let link = phrases.meeting_link().filter(|_| method == Method::Request);
        let url = settings.booking_url(facts.booking_id);
        Ok(Some(Self {
            method,
            booking_id: facts.booking_id,
            sequence: facts.sequence,
            told_at,
            starts_at,
            ends_at: ends_at(facts.starts_at, facts.duration_minutes).and_then(utc),
            summary: without_isolates(&phrases.booking),
            description: description(phrases, link.as_deref(), url.as_deref())?,
            location: phrases.place.as_deref().map(without_isolates).or(link),
            url,
        }))
    }

    /// The appointment of a booking for a feed, which shows cancelled ones, too.
    ///
    /// # Errors
    /// When a text of the language files fails, which no input can cause.
    pub fn in_feed(
        facts: &BookingFacts,
        is_cancelled: bool,
        language: &'static Language,
        settings: &MessageSettings,
        wording: &Wording,
    ) -> Result<Option<Self>, TextError> {
        let kind = match is_cancelled {
            true => KindName::Cancelled,
            false => KindName::Confirmed,
        };
        Self::of(&Phrases::of(facts, language, kind, wording)?, settings)
    }

    /// The calendar part of a mail from the organizer to the attendee.
    ///
    /// The attendee has accepted: they have a booking. An answer of their calendar would go to the
    /// organizer's mailbox, where no program reads it, so none is asked for.
    pub fn invitation(&self, organizer: &Address, attendee: &Address) -> String {
        let mut lines = Lines::default();
        lines.push("BEGIN", "VCALENDAR");
        lines.push("PRODID", PRODUCT);
        lines.push("VERSION", "2.0");
        lines.push("METHOD", self.method.as_str());
        self.write(&mut lines, organizer, Some(attendee));
        lines.push("END", "VCALENDAR");
        lines.into_text()
    }

    fn write(&self, lines: &mut Lines, organizer: &Address, attendee: Option<&Address>) {
        lines.push("BEGIN", "VEVENT");
        lines.push("UID", &uid(self.booking_id));
        lines.push("SEQUENCE", &self.sequence.to_string());
        lines.push("DTSTAMP", &self.told_at);
        lines.push("DTSTART", &self.starts_at);
        if let Some(ends_at) = &self.ends_at {
            lines.push("DTEND", ends_at);
        }
        lines.push_text("SUMMARY", &self.summary);
        lines.push_text("DESCRIPTION", &self.description);
        if let Some(location) = &self.location {
            lines.push_text("LOCATION", location);
        }
        if let Some(url) = &self.url {
            lines.push("URL", url);
        }
        lines.push("STATUS", self.method.status());
        lines.push("ORGANIZER", &mailto(organizer));
        if let Some(attendee) = attendee {
            lines.push(
                "ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;RSVP=FALSE",
                &mailto(attendee),
            );
        }
        lines.push("END", "VEVENT");
    }
}

/// A feed: a calendar that calendars fetch again every hour, or when they like.
pub fn feed(name: &str, organizer: &Address, appointments: &[Appointment]) -> String {
    let mut lines = Lines::default();
    lines.push("BEGIN", "VCALENDAR");
    lines.push("PRODID", PRODUCT);
    lines.push("VERSION", "2.0");
    lines.push("METHOD", "PUBLISH");
    // Each of the two pairs is known to some calendars only.
    lines.push_text("NAME", name);
    lines.push_text("X-WR-CALNAME", name);
    lines.push("REFRESH-INTERVAL;VALUE=DURATION", "PT1H");
    lines.push("X-PUBLISHED-TTL", "PT1H");
    for appointment in appointments {
        appointment.write(&mut lines, organizer, None);
    }
    lines.push("END", "VCALENDAR");
    lines.into_text()
}

/// It never changes, and is the same for all recipients: a calendar shows a second appointment for
/// another UID. The sender's domain can change, so it is no part of it; and the id
/// alone may be the UID of an appointment that another program of the owner makes.
fn uid(booking_id: Uuid) -> String {
    format!("{booking_id}@booking-automation")
}

/// When, in words and with the zones' names, and the links.
fn description(
    phrases: &Phrases<'_>,
    join: Option<&str>,
    booking: Option<&str>,
) -> Result<String, TextError> {
    let mut lines = phrases.times(phrases.facts.starts_at)?;
    for (label, target) in [("join", join), ("your-booking", booking)] {
        if let Some(target) = target {
            lines.push(phrases.labelled(&phrases.text(label, &[])?, target)?);
        }
    }
    Ok(lines.join("\n"))
}
