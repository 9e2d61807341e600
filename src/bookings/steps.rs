//! The automatic steps: their conditions, their times and their SQL.
//!
//! The same conditions are used for the UPDATE, for the check whether anything is due, and for the
//! counts of `--dry-run`, `migrate` and the summary's `remaining`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::types::Type;

use crate::bookings::lifecycle::{self, Status};
use crate::bookings::settings::TransitionSettings;
use crate::database::Parameter;

const STEP: &str = include_str!("step.sql");
const RECORD_SET_BACK: &str = include_str!("record_set_back.sql");

/// One step. In its SQL, `b` is the booking; `$1` is `as_of`, `$2` is `as_of − EXPIRE_AFTER`, `$3`
/// is `as_of − COMPLETE_AFTER`.
pub(crate) struct TimedStep {
    /// The statuses before and after.
    pub(crate) edge: lifecycle::Step,
    /// Condition on the booking's own columns.
    due: &'static str,
    /// When it became due, for the audit trail.
    due_at: &'static str,
    /// Sorts the most overdue first: an indexed expression.
    pub(crate) order: &'static str,
    pub(crate) kind: StepKind,
}

/// Which number of the summary a step adds to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepKind {
    Started,
    Completed,
    Expired,
    /// Like `Expired`, but only with `EXPIRE_PENDING`.
    ExpiredPending,
}

pub(crate) const END: &str = "booking_end(b.scheduled_at, b.duration_minutes)";
/// The wait of an overdue booking starts when a person unblocked it, if that is later than its end.
const NOT_JUST_UNBLOCKED: &str = "NOT EXISTS (SELECT FROM booking_automation_state s WHERE s.booking_id = b.id AND s.unblocked_at > $2)";
/// An overdue booking expires or stays. If the earlier step could not take it (it was locked, the
/// limit was reached, the database refused), it must not count as completed.
const NOT_OVERDUE: &str = "(booking_end(b.scheduled_at, b.duration_minutes) > $2 OR b.auto_complete_blocked IS TRUE
        OR EXISTS (SELECT FROM booking_automation_state s WHERE s.booking_id = b.id AND s.unblocked_at > $2))";
const OVERDUE_AT: &str = "greatest(booking_end(b.scheduled_at, b.duration_minutes),
        (SELECT s.unblocked_at FROM booking_automation_state s WHERE s.booking_id = b.id)) + ($1 - $2)";
/// No person undid an automatic step without unblocking the booking since.
const NOT_TAKEN_BACK: &str = "NOT (b.auto_complete_blocked IS TRUE AND EXISTS (
        SELECT FROM booking_automation_state s WHERE s.booking_id = b.id AND s.blocked_reason IS NOT NULL))";
/// The database did not refuse a step of this booking lately.
pub(crate) const NOT_REFUSED: &str = "NOT EXISTS (SELECT FROM booking_automation_events f
        WHERE f.booking_id = b.id AND f.event_type = 'status_update' AND f.status = 'failed' AND f.next_attempt_at > $1)";

/// All steps, in the order in which they are tried.
pub(crate) const STEPS: [TimedStep; 5] = [
    TimedStep {
        edge: lifecycle::EXPIRE_PENDING,
        due: "b.scheduled_at <= $1",
        due_at: "b.scheduled_at",
        order: "b.scheduled_at",
        kind: StepKind::ExpiredPending,
    },
    // A booking never ends before it starts: the bound on the start uses the index.
    TimedStep {
        edge: lifecycle::EXPIRE_CONFIRMED,
        due: "b.scheduled_at <= $2 AND booking_end(b.scheduled_at, b.duration_minutes) <= $2 AND b.auto_complete_blocked IS NOT TRUE",
        due_at: OVERDUE_AT,
        order: "b.scheduled_at",
        kind: StepKind::Expired,
    },
    TimedStep {
        edge: lifecycle::EXPIRE_STARTED,
        due: "booking_end(b.scheduled_at, b.duration_minutes) <= $2 AND b.auto_complete_blocked IS NOT TRUE",
        due_at: OVERDUE_AT,
        order: END,
        kind: StepKind::Expired,
    },
    TimedStep {
        edge: lifecycle::START,
        due: "b.scheduled_at <= $1",
        due_at: "b.scheduled_at",
        order: "b.scheduled_at",
        kind: StepKind::Started,
    },
    TimedStep {
        edge: lifecycle::COMPLETE,
        due: "booking_end(b.scheduled_at, b.duration_minutes) <= $3 AND b.auto_complete_blocked IS NOT TRUE",
        due_at: "booking_end(b.scheduled_at, b.duration_minutes) + ($1 - $3)",
        order: END,
        kind: StepKind::Completed,
    },
];

/// The steps that these settings allow.
pub(crate) fn steps(settings: &TransitionSettings) -> impl Iterator<Item = &'static TimedStep> {
    STEPS.iter().filter(|step| step.is_on(settings))
}

impl TimedStep {
    pub(crate) fn is_on(&self, settings: &TransitionSettings) -> bool {
        self.kind != StepKind::ExpiredPending || settings.expire_pending
    }

    /// The condition on the booking: tested to find it, and again in the UPDATE.
    pub(crate) fn condition(&self) -> String {
        let due = self.due;
        match self.kind {
            StepKind::ExpiredPending => format!("{due} AND {NOT_TAKEN_BACK}"),
            StepKind::Expired => format!("{due} AND {NOT_JUST_UNBLOCKED}"),
            StepKind::Started => format!("{due} AND {NOT_OVERDUE} AND {NOT_TAKEN_BACK}"),
            StepKind::Completed => format!("{due} AND {NOT_OVERDUE}"),
        }
    }

    /// The bookings that are due for this step.
    pub(crate) fn candidates(&self) -> String {
        format!(
            "FROM bookings b WHERE b.status = '{}' AND {} AND {NOT_REFUSED}",
            self.edge.from,
            self.condition()
        )
    }

    /// Changes the status of bookings: see `step.sql`.
    pub(crate) fn update_sql(&self) -> String {
        let completed_at = if self.edge.to == Status::Completed {
            ", completed_at = $1"
        } else {
            ""
        };
        self.filled(STEP)
            .replace("{order}", self.order)
            .replace("{due_at}", self.due_at)
            .replace("{completed_at}", completed_at)
            .replace("{condition}", &self.condition())
    }

    /// Locks up to `$4` bookings that are due for it, the most overdue first.
    pub(crate) fn lock_candidates_sql(&self) -> String {
        let (candidates, order) = (self.candidates(), self.order);
        format!(
            "SELECT b.id {candidates} ORDER BY {order} LIMIT $4 FOR NO KEY UPDATE OF b SKIP LOCKED"
        )
    }

    /// Records which bookings a trigger set back: see `record_set_back.sql`.
    pub(crate) fn record_set_back_sql(&self) -> String {
        self.filled(RECORD_SET_BACK)
    }

    fn filled(&self, sql: &str) -> String {
        sql.replace("{candidates}", &self.candidates())
            .replace("{from}", self.edge.from.as_str())
            .replace("{to}", self.edge.to.as_str())
    }
}

/// The times by which a pass decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    as_of: DateTime<Utc>,
    expire_before: DateTime<Utc>,
    complete_before: DateTime<Utc>,
}

impl Moments {
    pub(crate) fn new(as_of: DateTime<Utc>, settings: &TransitionSettings) -> Self {
        // Settings are at most a year: neither conversion nor subtraction can fail.
        let before = |wait: Duration| as_of - TimeDelta::from_std(wait).unwrap_or_default();
        Self {
            as_of,
            expire_before: before(settings.expire_after),
            complete_before: before(settings.complete_after),
        }
    }

    pub(crate) fn as_of(&self) -> DateTime<Utc> {
        self.as_of
    }

    /// `$1` to `$3` of every statement here.
    pub(crate) fn parameters(&self) -> [Parameter<'_>; 3] {
        [
            (&self.as_of, Type::TIMESTAMPTZ),
            (&self.expire_before, Type::TIMESTAMPTZ),
            (&self.complete_before, Type::TIMESTAMPTZ),
        ]
    }
}
