//! The reminder that a person reads: subject, text and HTML beside this file.

use std::time::Duration;

use askama::Template;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::messages::plain_text::{one_line, whole_link};
use crate::messages::times::{full_time, in_words, known_zone, local_time, name, offset, zone};

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
    /// The recipient's time zone, an IANA name.
    pub timezone: Option<String>,
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
    /// The time zone of the place.
    pub place_timezone: Option<String>,
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
/// When a template fails, which no input can cause.
pub fn render(reminder: &Reminder, public_url: Option<&str>) -> Result<Message, askama::Error> {
    let what = one_line(reminder.service.as_deref()).unwrap_or_else(|| "Your booking".to_owned());
    let starts_in = in_words(reminder.starts_in);
    let zone = zone(reminder.timezone.as_deref());
    let place = one_line(reminder.place.as_deref()).filter(|_| !reminder.is_online);
    // A traveller needs the local time there.
    let when_there = known_zone(reminder.place_timezone.as_deref())
        .filter(|there| {
            place.is_some()
                && offset(there, reminder.starts_at).0 != offset(&zone, reminder.starts_at).0
        })
        .map(|there| full_time(reminder.starts_at, reminder.duration_minutes, &there));
    let local = local_time(&zone, reminder.starts_at);
    let short_when = format!("{} ({})", local.format("%a %-d %b, %H:%M"), name(&zone));
    let subject = Subject {
        what: &what,
        starts_in: &starts_in,
        short_when: &short_when,
    }
    .render()?;
    let meeting_link = whole_link(reminder.meeting_link.as_deref())
        .filter(|_| reminder.is_online || place.is_none());
    let body = Body {
        name: one_line(reminder.name.as_deref()),
        with_name: one_line(reminder.with_name.as_deref()),
        when: full_time(reminder.starts_at, reminder.duration_minutes, &zone),
        when_there,
        // Any other link (javascript:, data:) is shown as text.
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
    Ok(Message {
        text: Text { body: &body }.render()?,
        html: Html { body: &body }.render()?,
        subject: body.subject,
    })
}
