//! The answer of every call: one JSON object.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::bookings::transitions::Transitions;
use crate::delivery::figures::{Backlog, ReminderFigures, WebhookFigures, microseconds};
use crate::reminders::Reason;

/// What a call did. Its fields are a contract: see `docs/reminders.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Summary {
    /// The pass was committed; what was due was delivered as far as time and rate allowed.
    Completed(Work),
    /// What a pass would do now. It wrote and sent nothing.
    DryRun(Work),
    /// The call did nothing and waited for nothing.
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
    pub trigger: &'static str,
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

/// A pass that ran, or would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Work {
    /// The key of its row in `automation_runs`. A dry run writes none and has the nil UUID.
    pub run_id: Uuid,
    /// What fired it.
    pub trigger: &'static str,
    /// The moment by which every decision was made: the database clock, in UTC.
    #[serde(serialize_with = "microseconds")]
    pub as_of: DateTime<Utc>,
    /// Status changes.
    pub transitions: Transitions,
    /// Reminders.
    pub reminders: ReminderFigures,
    /// What still waits.
    pub backlog: Backlog,
    /// Messages to webhooks. Absent where there were none to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhooks: Option<WebhookFigures>,
    /// Why sending stopped, when SES accepts nothing from this account: `quota` (the daily quota is
    /// used up) or `account` (paused, suspended, not verified, no rights). Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_back: Option<Reason>,
    /// The owner's own texts. Absent where all of them could be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub templates: Option<TemplateFigures>,
    /// How long the call took.
    pub duration_ms: u64,
}

/// The owner's own texts of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TemplateFigures {
    /// How many were not used, and the built-in texts were.
    pub broken: i64,
}

impl Work {
    /// A pass at this moment that has done nothing.
    pub(crate) fn none(trigger: &'static str, as_of: DateTime<Utc>) -> Self {
        Self {
            run_id: Uuid::nil(),
            trigger,
            as_of,
            transitions: Transitions::default(),
            reminders: ReminderFigures::default(),
            backlog: Backlog::default(),
            webhooks: None,
            held_back: None,
            templates: None,
            duration_ms: 0,
        }
    }
}
