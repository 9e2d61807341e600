//! The figures of a delivery.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

use crate::bookings::transitions::is_false;

/// The outcomes of the reminders that were due in this call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReminderFigures {
    /// The sum of the others.
    pub due: i64,
    /// The provider accepted it.
    pub sent: i64,
    /// Not sent; it is tried again.
    pub retrying: i64,
    /// The answer was lost; it is tried again.
    pub unknown: i64,
    /// Given up.
    pub failed: i64,
    /// Not to be sent; the event has the reason.
    pub skipped: i64,
    /// Left for the next call because of this call's time or rate; the attempt does not count.
    /// Counted among the 10 000 waiting messages with the earliest starts.
    pub deferred: i64,
}

impl ReminderFigures {
    /// Adds what a delivery did. Its `deferred` are only those that cannot be claimed at once.
    pub(crate) fn add(&mut self, delivered: &Self) {
        self.sent += delivered.sent;
        self.retrying += delivered.retrying;
        self.unknown += delivered.unknown;
        self.failed += delivered.failed;
        self.skipped += delivered.skipped;
        self.deferred = (self.deferred - delivered.summed().due).max(0) + delivered.deferred;
        *self = self.summed();
    }

    /// Adds what another channel did.
    pub(crate) fn add_lane(&mut self, lane: &Self) {
        self.sent += lane.sent;
        self.retrying += lane.retrying;
        self.unknown += lane.unknown;
        self.failed += lane.failed;
        self.skipped += lane.skipped;
        self.deferred += lane.deferred;
    }

    /// Sets `due` to the sum of the others.
    #[must_use]
    pub fn summed(self) -> Self {
        let due =
            self.sent + self.retrying + self.unknown + self.failed + self.skipped + self.deferred;
        Self { due, ..self }
    }
}

/// The reminders that wait, including retries and those in flight: the first 10 000 by their
/// starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// How many.
    pub pending: i64,
    /// There are more. Absent otherwise.
    #[serde(skip_serializing_if = "is_false")]
    pub more: bool,
    /// The earliest time at which one of them was due.
    #[serde(serialize_with = "optional_microseconds")]
    pub oldest_due_at: Option<DateTime<Utc>>,
}

/// Messages that are left for the next call are counted up to this number.
pub(crate) const MOST_LEFT: i64 = 10_000;

/// The outcomes of the webhook messages that were due in this call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WebhookFigures {
    /// The sum of the others.
    pub due: i64,
    /// The endpoint accepted it.
    pub sent: i64,
    /// The endpoint did not accept it, or its answer was lost; it is tried again.
    pub retrying: i64,
    /// Given up.
    pub failed: i64,
    /// The subscription is gone, switched off or suspended.
    pub skipped: i64,
    /// Left for the next call because of this call's time, or because the endpoint accepts nothing;
    /// the attempt does not count. Counted up to 10 000.
    pub deferred: i64,
    /// More are left. Absent otherwise.
    #[serde(skip_serializing_if = "is_false")]
    pub more: bool,
}

impl WebhookFigures {
    /// Adds the messages of an endpoint that were tried or ended.
    pub(crate) fn add(&mut self, tried: &ReminderFigures) {
        self.sent += tried.sent;
        self.retrying += tried.retrying + tried.unknown;
        self.failed += tried.failed;
        self.skipped += tried.skipped;
    }

    /// Counts up to 10 000 of those `left` as deferred, and sets `due` to the sum of the others.
    #[must_use]
    pub(crate) fn summed(self, left: i64) -> Self {
        let deferred = left.min(MOST_LEFT);
        Self {
            due: self.sent + self.retrying + self.failed + self.skipped + deferred,
            deferred,
            more: left > deferred,
            ..self
        }
    }
}

/// A time in microseconds, the database's precision.
pub(crate) fn microseconds<S: Serializer>(
    time: &DateTime<Utc>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

fn optional_microseconds<S: Serializer>(
    time: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => microseconds(time, serializer),
        None => serializer.serialize_none(),
    }
}
