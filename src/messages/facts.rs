//! The facts of a message.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::primitives::zones::known_zone;

/// The facts of a booking for one recipient, read when the message was claimed. Every `Option` may
/// be missing in the user's tables.
#[derive(Clone)]
pub struct BookingFacts {
    /// The booking.
    pub booking_id: Uuid,
    /// `customer` or `provider`.
    pub audience: String,
    /// The recipient is a guest: another person than the customer or the provider.
    pub is_guest: bool,
    /// When it starts.
    pub starts_at: DateTime<Utc>,
    /// How long until then: the true time, not the rule's lead. Zero: it has started.
    pub starts_in: Duration,
    /// How long it takes; zero or less: not shown.
    pub duration_minutes: Option<i32>,
    /// The recipient's mail address.
    pub email: String,
    /// Their phone number, as it was entered.
    pub phone: Option<String>,
    /// Whether they agreed to get SMS, according to the contacts view.
    pub sms_allowed: bool,
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
    /// Whom an answer goes to; `None`: the sender.
    pub reply_to: Option<String>,
    /// The version of the appointment, as calendars count.
    pub sequence: i64,
    /// When the message was claimed.
    pub told_at: DateTime<Utc>,
    /// The recipient's page, where they choose which messages they get; `None`: there is none.
    pub preferences_link: Option<String>,
    /// Where a customer says whether they will come to this booking; `None`: they are not asked.
    pub attendance_link: Option<String>,
    /// Whether an SMS asks a customer to answer whether they will come.
    pub asks_reply: bool,
}

/// Neither the person nor their links.
impl fmt::Debug for BookingFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BookingFacts")
            .field("booking_id", &self.booking_id)
            .field("audience", &self.audience)
            .field("starts_at", &self.starts_at)
            .finish_non_exhaustive()
    }
}

impl BookingFacts {
    /// Whether the recipient's time zone is missing or unknown.
    pub(crate) fn is_zone_unknown(&self) -> bool {
        known_zone(self.timezone.as_deref()).is_none()
    }
}

/// The bookings of a person's day, for a digest or a grouped reminder.
#[derive(Clone, Debug)]
pub struct DayFacts {
    /// A day of the person's clock.
    pub date: NaiveDate,
    /// Those that are listed, in the order of their starts.
    pub bookings: Vec<BookingFacts>,
    /// How many more there are.
    pub others: usize,
}

/// Who cancelled a booking, as far as people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canceller {
    /// The customer.
    Customer,
    /// The provider.
    Provider,
    /// The business that sends the message: its support, its programs.
    Business,
}

/// What is refunded, as the entry of a cancellation in the trail has it. Amounts are decimal
/// numbers.
#[derive(Clone, Debug, Deserialize)]
pub struct RefundFacts {
    /// The part of the price, of a hundred.
    pub percent: String,
    /// The price.
    pub total: Option<String>,
    /// What is refunded of it.
    pub amount: Option<String>,
    /// A code of ISO 4217.
    pub currency: Option<String>,
    /// The unit of the amounts; `None`: that of the currency, such as euros.
    pub unit: Option<MoneyUnit>,
}

/// The unit of an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoneyUnit {
    /// Cents, pence, fils.
    Minor,
    /// Euros, pounds, dinars.
    Major,
}
