//! The answer of every call: one JSON object.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::bookings::transitions::Transitions;

/// What a call did. Its fields are a contract; see docs/reminders.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Summary {
    /// The pass was committed; what was due was delivered as far as time and rate allowed.
    Completed(Work),
    /// What a pass would do now. Nothing was written or sent.
    DryRun(Work),
    /// This call did nothing and waited for nothing.
    Skipped(Skip),
}

impl Summary {
    /// Its `outcome`.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Completed(_) => "completed",
            Self::DryRun(_) => "dry_run",
            Self::Skipped(_) => "skipped",
        }
    }
}

/// A pass that did not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skip {
    /// Why.
    pub reason: SkipReason,
    /// What fired the call.
    pub trigger: Trigger,
    /// How long the call took.
    pub duration_ms: u64,
}

/// Why a pass did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Another pass is running.
    Overlap,
    /// A signed request with this `webhook-id` has run a pass before.
    DuplicateRequest,
}

/// What fires a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A direct invocation by the scheduler.
    Schedule,
    /// HTTP with a bearer secret.
    Bearer,
    /// HTTP with a signature.
    Signature,
    /// The command line.
    Cli,
}

impl Trigger {
    /// As it is written in the summary and in `automation_runs`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Bearer => "bearer",
            Self::Signature => "signature",
            Self::Cli => "cli",
        }
    }
}

/// A pass that ran, or would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Work {
    /// The key of its row in `automation_runs`; a dry run writes none, and tells the nil UUID.
    pub run_id: Uuid,
    /// What fired it.
    pub trigger: Trigger,
    /// The moment that every decision was made by: the database clock, in UTC.
    #[serde(serialize_with = "microseconds")]
    pub as_of: DateTime<Utc>,
    /// Status changes.
    pub transitions: Transitions,
    /// Reminders.
    pub reminders: Reminders,
    /// What is still waiting.
    pub backlog: Backlog,
    /// Messages to webhooks. Absent where none was to be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhooks: Option<Webhooks>,
    /// Why nothing more was sent, when SES would take nothing of this account's: `quota` (the day's is used up) or
    /// `account` (paused, suspended, not verified, no rights). Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_back: Option<&'static str>,
    /// How long the call took.
    pub duration_ms: u64,
}

/// What became of the reminders that were due in this call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reminders {
    /// The sum of the others.
    pub due: i64,
    /// The provider took it.
    pub sent: i64,
    /// Not sent; it is tried again.
    pub retrying: i64,
    /// Nobody knows whether it was sent; it is tried again.
    pub unknown: i64,
    /// Given up.
    pub failed: i64,
    /// Not to be sent; the event says why.
    pub skipped: i64,
    /// Past this call's time or rate: left for the next, no attempt used up.
    pub deferred: i64,
}

impl Reminders {
    /// Adds what a delivery did. Its `deferred` are those alone that cannot be claimed at once.
    pub(crate) fn add(&mut self, delivered: &Self) {
        self.sent += delivered.sent;
        self.retrying += delivered.retrying;
        self.unknown += delivered.unknown;
        self.failed += delivered.failed;
        self.skipped += delivered.skipped;
        self.deferred = (self.deferred - delivered.summed().due).max(0) + delivered.deferred;
        *self = self.summed();
    }

    /// With `due` made the sum of the others.
    #[must_use]
    pub fn summed(self) -> Self {
        Self { due: self.sent + self.retrying + self.unknown + self.failed + self.skipped + self.deferred, ..self }
    }
}

/// The reminders that wait, retries and those in flight included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// How many.
    pub pending: i64,
    /// The earliest time at which one of them was due.
    #[serde(serialize_with = "optional_microseconds")]
    pub oldest_due_at: Option<DateTime<Utc>>,
}

/// What became of the messages to webhooks that were due in this call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Webhooks {
    /// The sum of the others.
    pub due: i64,
    /// The endpoint took it.
    pub sent: i64,
    /// It did not, or nobody knows; it is told again.
    pub retrying: i64,
    /// Given up.
    pub failed: i64,
    /// The subscription is gone, switched off or suspended.
    pub skipped: i64,
    /// Past this call's time, or its endpoint takes nothing: left for the next, no attempt used up.
    pub deferred: i64,
}

impl Webhooks {
    pub(crate) fn add(&mut self, told: &Self) {
        self.sent += told.sent;
        self.retrying += told.retrying;
        self.failed += told.failed;
        self.skipped += told.skipped;
    }

    /// With what is `left`, and `due` made the sum of the others.
    #[must_use]
    pub(crate) fn summed(self, left: i64) -> Self {
        Self { due: self.sent + self.retrying + self.failed + self.skipped + left, deferred: left, ..self }
    }
}

fn microseconds<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

fn optional_microseconds<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => microseconds(time, serializer),
        None => serializer.serialize_none(),
    }
}
