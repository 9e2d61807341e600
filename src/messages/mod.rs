//! What people read. A kind of message is a folder with what is its own; what all of them share
//! stands once: the facts, their phrases, the layout and the languages.

pub(crate) mod answers;
pub mod calendar;
mod cancelled;
mod confirmed;
mod day;
mod digest;
mod expired;
pub mod facts;
mod follow_up;
pub(crate) mod grouped_reminder;
pub mod kind_name;
pub mod languages;
mod layout;
mod money;
mod phrases;
mod plain_text;
mod reminder;
mod rescheduled;
pub mod samples;
pub mod settings;
pub mod sms;
pub mod times;
pub mod wording;
mod zones;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::messages::calendar::Appointment;
use crate::messages::facts::{BookingFacts, Canceller, DayFacts, RefundFacts};
use crate::messages::kind_name::KindName;
use crate::messages::languages::{Language, TextError};
use crate::messages::phrases::Phrases;
use crate::messages::settings::MessageSettings;
use crate::messages::wording::Wording;

/// A kind of message, with the facts that only it has.
#[derive(Clone, Debug)]
pub enum Kind {
    /// The booking starts soon.
    Reminder,
    /// Several bookings of a day start soon. The facts of the message are those of the first.
    GroupedReminder(DayFacts),
    /// The booking was confirmed.
    Confirmed,
    /// The booking was moved.
    Rescheduled {
        /// Its start before; `None`: not known.
        from: Option<DateTime<Utc>>,
    },
    /// The booking was cancelled.
    Cancelled {
        /// By whom; `None`: not known.
        by: Option<Canceller>,
        /// What is refunded; `None`: not known.
        refund: Option<RefundFacts>,
    },
    /// The booking expired.
    Expired,
    /// The booking was completed.
    FollowUp,
    /// The bookings of a day. The facts of the message are those of the first.
    Digest(DayFacts),
}

impl Kind {
    /// Its name.
    pub fn name(&self) -> KindName {
        match self {
            Self::Reminder => KindName::Reminder,
            Self::GroupedReminder(_) => KindName::GroupedReminder,
            Self::Confirmed => KindName::Confirmed,
            Self::Rescheduled { .. } => KindName::Rescheduled,
            Self::Cancelled { .. } => KindName::Cancelled,
            Self::Expired => KindName::Expired,
            Self::FollowUp => KindName::FollowUp,
            Self::Digest(_) => KindName::Digest,
        }
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
    /// One sentence, for SMS and push.
    pub short: String,
    /// The page of the booking, of a message about one; `None`: there is none.
    pub link: Option<String>,
    /// For the recipient's calendar.
    pub calendar: Option<Appointment>,
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

/// What a kind of message says of its own.
struct Draft {
    subject: String,
    /// The first paragraphs.
    opening: Vec<String>,
    short: String,
    /// Whether the opening already says service and person.
    names_booking: bool,
    /// Whether the booking is still to take place: how to join it, and whether the clocks change
    /// before.
    is_ahead: bool,
    /// The start before a move.
    moved_from: Option<DateTime<Utc>>,
    /// Of a message about several bookings, in place of the facts of one.
    day: Option<ListedDay>,
}

/// A day with its bookings.
struct ListedDay {
    /// The day, with the zone of the times if all have the same one; then what else is said of it.
    when: Vec<String>,
    bookings: Vec<ListedBooking>,
    /// The IANA names of the zones.
    zones: String,
}

/// A booking of a list.
struct ListedBooking {
    booking_id: Uuid,
    time: String,
    /// The name of its zone, and the time on the recipient's clock, where they are not the list's.
    time_notes: Vec<String>,
    booking: String,
    /// `None` for a booking online.
    place: Option<String>,
    meeting_link: Option<String>,
    /// Where the customer says whether they will come; `None`: they are not asked.
    attendance_link: Option<String>,
}

/// The recipient's language, else the default one.
pub(crate) fn language_of(facts: &BookingFacts, settings: &MessageSettings) -> &'static Language {
    (facts.language.as_deref())
        .and_then(Language::matching)
        .unwrap_or(settings.default_language)
}

/// A booking as pages show it.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    /// Labels, each with its lines.
    pub(crate) facts: Vec<(String, Vec<String>)>,
    /// A sentence about what would be refunded; `None`: there is nothing to say.
    pub(crate) refund: Option<String>,
}

/// Describes a booking, and what would be refunded if it were cancelled.
///
/// # Errors
/// When a text of the language files fails, which no input can cause.
pub(crate) fn describe(
    facts: &BookingFacts,
    language: &'static Language,
    refund: Option<&RefundFacts>,
) -> Result<Described, TextError> {
    let wording = Wording::default();
    let phrases = Phrases::of(facts, language, KindName::Reminder, &wording)?;
    let refund = match refund {
        Some(refund) => money::write_refund(&phrases, refund)?,
        None => None,
    };
    Ok(Described {
        facts: layout::described(&phrases)?,
        refund,
    })
}

/// Renders a message in the recipient's language, else in the default one, with the owner's own
/// wording.
///
/// # Errors
/// When a template or a text of the language files fails, which no input can cause.
pub fn render(
    kind: &Kind,
    facts: &BookingFacts,
    settings: &MessageSettings,
    wording: &Wording,
) -> Result<Message, RenderError> {
    let language = language_of(facts, settings);
    let phrases = Phrases::of(facts, language, kind.name(), wording)?;
    let draft = match kind {
        Kind::Reminder => reminder::draft(&phrases),
        Kind::GroupedReminder(day) => grouped_reminder::draft(&phrases, day),
        Kind::Confirmed => confirmed::draft(&phrases),
        Kind::Rescheduled { from } => rescheduled::draft(&phrases, *from),
        Kind::Cancelled { by, refund } => cancelled::draft(&phrases, *by, refund.as_ref()),
        Kind::Expired => expired::draft(&phrases),
        Kind::FollowUp => follow_up::draft(&phrases),
        Kind::Digest(day) => digest::draft(&phrases, day),
    }?;
    let calendar = match settings.calendar {
        true => Appointment::of(&phrases, settings)?,
        false => None,
    };
    Ok(Message {
        calendar,
        ..layout::lay_out(&phrases, draft, settings)?
    })
}
