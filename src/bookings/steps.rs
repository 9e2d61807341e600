//! The automatic steps: their conditions, their times and their SQL.
//!
//! The same conditions are used for the UPDATE, for the check whether anything is due, and for the
//! counts of `--dry-run`, `migrate` and the summary's `remaining`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::types::Type;

use crate::bookings::columns::Column;
use crate::bookings::lifecycle::{self, Status};
use crate::bookings::settings::TransitionSettings;
use crate::bookings::state_changes::NOT_YET_UNBLOCKED;
use crate::bookings::step_rules::{StepRules, TAKEN_BACK};
use crate::database::Parameter;
use crate::database::owner_functions::Liveness;

const STEP: &str = include_str!("step.sql");
const STEP_CANDIDATES: &str = include_str!("step_candidates.sql");
const STEP_SINGLY: &str = include_str!("step_singly.sql");
const SET_BACK: &str = include_str!("set_back.sql");

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
    Reopened,
}

/// Stands for [`StepRules::end`].
pub(crate) const END: &str = "{end}";
/// The wait of an overdue booking starts when a person unblocked it, if that is later than its end.
const NOT_JUST_UNBLOCKED: &str = "NOT EXISTS (SELECT FROM public.booking_automation_state s \
    WHERE s.booking_id = b.id AND s.unblocked_at > $2)";
/// An overdue booking expires or stays. If the earlier step could not take it (it was locked, the
/// limit was reached, the database refused), it must not count as completed.
const NOT_OVERDUE: &str = "({end} > $2 OR {blocked} OR {refused_before}
        OR EXISTS (SELECT FROM public.booking_automation_state s WHERE s.booking_id = b.id
                            AND s.unblocked_at > $2))";
const OVERDUE_AT: &str = "greatest({end},
        (SELECT s.unblocked_at FROM public.booking_automation_state s
          WHERE s.booking_id = b.id)) + ($1 - $2)";
/// The latest change of the status is the start by time. Where a trigger of the user sets the
/// status back, its change is recorded before ours.
const STARTED_BY_TIME: &str = "(SELECT e.event_data ->> 'by' = 'booking-automation'
                 AND ROW(e.event_data ->> 'from', e.event_data ->> 'to')
                     IN (('confirmed', b.status), (b.status, 'confirmed'))
            FROM public.booking_automation_events e
           WHERE e.booking_id = b.id AND e.event_type = 'status_update' AND e.status = 'completed'
           ORDER BY e.seq DESC LIMIT 1)";
/// The database once refused the step that was due before: the booking was not lost sight of.
const REFUSED_BEFORE: &str = "EXISTS (SELECT FROM public.booking_automation_events f
        WHERE f.booking_id = b.id AND f.event_type = 'status_update' AND f.status = 'failed'
           AND f.event_data ->> 'from' = b.status AND f.event_data ->> 'to' <> 'expired')";
/// The database did not refuse a step of this booking lately. A refusal that lies ahead was
/// recorded before the database's clock was set back. One that may not go back to `confirmed` is
/// completed in time.
const NOT_REFUSED: &str = "NOT EXISTS (SELECT FROM public.booking_automation_events f
        WHERE f.booking_id = b.id AND f.event_type = 'status_update' AND f.status = 'failed'
          AND f.event_data ->> 'to' {is_it} 'confirmed' AND f.next_attempt_at > $1
          AND f.executed_at <= $1)";

/// Nor did it ever refuse this step. OFFSET 0: each booking is looked up by its key, however many
/// were refused since the planner's statistics were made.
const NEVER_REFUSED: &str = "NOT EXISTS (SELECT FROM public.booking_automation_events f
        WHERE f.booking_id = b.id AND f.event_type = 'status_update' AND f.status = 'failed'
          AND (f.event_data ->> 'to' {is_it} 'confirmed' AND f.next_attempt_at > $1
          AND f.executed_at <= $1
               OR f.event_data ->> 'from' = '{from}' AND f.event_data ->> 'to' = '{to}') OFFSET 0)";

/// Bookings whose step was refused before wait behind the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Those that were never refused.
    New,
    /// All.
    Any,
}

/// All steps, in the order in which they are tried.
pub(crate) const STEPS: [TimedStep; 6] = [
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
        due: "b.scheduled_at <= $2 AND {end} <= $2 AND {not_blocked}",
        due_at: OVERDUE_AT,
        order: "b.scheduled_at",
        kind: StepKind::Expired,
    },
    TimedStep {
        edge: lifecycle::EXPIRE_STARTED,
        due: "{end} <= $2 AND {not_blocked}",
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
        due: "{end} <= $3 AND {not_blocked}",
        due_at: "{end} + ($1 - $3)",
        order: END,
        kind: StepKind::Completed,
    },
    // Its start was moved into the future. It is due as soon as a pass sees that.
    TimedStep {
        edge: lifecycle::REOPEN,
        due: "b.scheduled_at > $1 AND {may_be_automatic}",
        due_at: "$1",
        order: "b.scheduled_at",
        kind: StepKind::Reopened,
    },
];

impl StepRules {
    /// The steps that this database and these settings allow.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &'static TimedStep> + use<> {
        let rules = *self;
        STEPS.iter().filter(move |step| step.is_on(&rules))
    }
}

impl TimedStep {
    pub(crate) fn is_on(&self, rules: &StepRules) -> bool {
        match self.kind {
            StepKind::ExpiredPending => rules.settings.expire_pending,
            // Its index comes with `migrate` of the same release.
            StepKind::Reopened => rules.liveness != Liveness::Unknown,
            StepKind::Started | StepKind::Completed | StepKind::Expired => true,
        }
    }

    /// The condition on the booking: tested to find it, and again when it is locked.
    pub(crate) fn condition(&self, rules: &StepRules) -> String {
        let due = self.due;
        // No person undid an automatic step without unblocking the booking since.
        let not_taken_back = format!("NOT ({{blocked}} AND {TAKEN_BACK})");
        let condition = match self.kind {
            StepKind::ExpiredPending => format!("{due} AND {not_taken_back}"),
            StepKind::Expired => format!("{due} AND {NOT_JUST_UNBLOCKED} AND NOT {REFUSED_BEFORE}"),
            StepKind::Started => format!("{due} AND {NOT_OVERDUE} AND {not_taken_back}"),
            StepKind::Completed => format!("{due} AND {NOT_OVERDUE}"),
            StepKind::Reopened => format!("{due} AND {STARTED_BY_TIME} AND {not_taken_back}"),
        };
        condition
            .replace("{may_be_automatic}", rules.may_be_automatic())
            .replace("{refused_before}", REFUSED_BEFORE)
            .replace("{blocked}", rules.blocked())
            .replace("{not_blocked}", &rules.not_blocked())
            .replace(END, rules.end())
    }

    /// SQL of a boolean: the database did not refuse the booking lately.
    pub(crate) fn not_refused(&self) -> String {
        self.about_refusals(NOT_REFUSED)
    }

    fn about_refusals(&self, sql: &str) -> String {
        let is_it = if self.kind == StepKind::Reopened {
            "="
        } else {
            "<>"
        };
        sql.replace("{is_it}", is_it)
    }

    /// The bookings that are due for this step, and live.
    pub(crate) fn candidates(&self, rules: &StepRules) -> String {
        self.candidates_of(rules, &self.not_refused())
    }

    /// Those of them whose turn it is.
    fn candidates_in(&self, rules: &StepRules, turn: Turn) -> String {
        match turn {
            Turn::New => self.candidates_of(rules, &self.about_refusals(NEVER_REFUSED)),
            Turn::Any => self.candidates(rules),
        }
    }

    fn candidates_of(&self, rules: &StepRules, refused: &str) -> String {
        let (from, order) = (self.edge.from, self.order);
        // The owner's function is not asked about a booking that was refused: it may have failed
        // for it.
        let may_expire = match self.edge.to {
            Status::Expired => NOT_YET_UNBLOCKED,
            _ => "true",
        };
        let its_turn = match rules.liveness {
            Liveness::Known | Liveness::Singly => format!(
                "{order} >= public.booking_automation_live_from('{from}', $1) AND {may_expire}
                 AND CASE WHEN {refused} THEN {} ELSE false END",
                rules.liveness.condition()
            ),
            Liveness::Unknown => refused.to_owned(),
        };
        format!(
            "FROM public.bookings b WHERE b.status = '{from}' AND {} AND {its_turn}",
            self.condition(rules)
        )
        .replace(END, rules.end())
    }

    /// The bookings of its status whose time is before `$2`, `$3` at most: their status, their time
    /// and whether the automation may ever change them as they are. They begin at the mark, unless
    /// `$4`.
    pub(crate) fn past_sql(&self, rules: &StepRules) -> String {
        let (from, order, is_live) = (self.edge.from, self.order, rules.liveness.condition());
        let indexed = match order {
            END => rules.not_blocked(),
            _ => "true".to_owned(),
        };
        format!(
            "SELECT '{from}' AS status, {order} AS key,
                    CASE WHEN {not_refused} THEN {is_live} ELSE true END
                      AND NOT ({blocked} AND {TAKEN_BACK}) AS may_change
               FROM public.bookings b
              WHERE b.status = '{from}' AND {order} < $2 AND {indexed}
                AND {order} >= CASE WHEN $4 THEN '-infinity'
                                    ELSE public.booking_automation_live_from('{from}', $1) END
              ORDER BY key
              LIMIT $3",
            not_refused = self.not_refused(),
            blocked = rules.blocked()
        )
        .replace(END, rules.end())
    }

    /// Locks the bookings that are due for it: see `step_candidates.sql`.
    pub(crate) fn candidates_sql(&self, rules: &StepRules, turn: Turn) -> String {
        self.filled(STEP_CANDIDATES, &self.candidates_in(rules, turn))
            .replace("{order}", self.order)
            .replace("{due_at}", self.due_at)
            .replace(END, rules.end())
    }

    /// Changes the status of those bookings: see `step.sql`.
    pub(crate) fn update_sql(&self, rules: &StepRules) -> String {
        let sql = STEP.replace("{columns}", &self.columns(rules));
        self.filled(&sql, "")
    }

    /// Changes them one by one: see `step_singly.sql`.
    pub(crate) fn update_singly_sql(
        &self,
        rules: &StepRules,
        as_of: DateTime<Utc>,
        run_id: &str,
        limit: Duration,
    ) -> String {
        let columns = self
            .columns(rules)
            .replace("$1", "ours.as_of")
            .replace("$2", "ours.as_of_text")
            .replace("$3", "ours.run_id");
        // Otherwise the candidates were asked about.
        let is_live = match rules.liveness {
            Liveness::Singly => Liveness::Known.condition(),
            _ => "true",
        };
        let sql = STEP_SINGLY
            .replace("{columns}", &columns)
            .replace("{is_live}", is_live);
        self.filled(&sql, "")
            .replace("{as_of}", &as_of.to_rfc3339())
            .replace("{run_id}", run_id)
            .replace("{seconds}", &limit.as_secs_f64().to_string())
    }

    fn columns(&self, rules: &StepRules) -> String {
        let completed = self.edge.to == Status::Completed;
        let columns = [
            (Column::CompletedAt, COMPLETED_AT, completed),
            (Column::AutoStatusUpdated, AUTO_STATUS_UPDATED, true),
            (Column::AutomationLogs, AUTOMATION_LOGS, true),
        ];
        columns
            .into_iter()
            .filter(|(column, _, is_meant)| *is_meant && rules.columns.has(*column))
            .map(|(_, sql, _)| sql)
            .collect()
    }

    /// Locks up to `$4` bookings that are due for it, the most overdue first.
    pub(crate) fn lock_candidates_sql(&self, rules: &StepRules) -> String {
        let (candidates, order) = (self.candidates(rules), self.order);
        format!(
            "SELECT b.id {candidates} ORDER BY {order} LIMIT $4 FOR NO KEY UPDATE OF b SKIP LOCKED"
        )
        .replace(END, rules.end())
    }

    /// The bookings that a trigger set back: see `set_back.sql`.
    pub(crate) fn set_back_sql(&self, rules: &StepRules) -> String {
        self.filled(SET_BACK, &self.candidates(rules))
    }

    fn filled(&self, sql: &str, candidates: &str) -> String {
        sql.replace("{candidates}", candidates)
            .replace("{from}", self.edge.from.as_str())
            .replace("{to}", self.edge.to.as_str())
    }
}

/// The columns that a step sets besides the status.
const COMPLETED_AT: &str = ", completed_at = $1";
const AUTO_STATUS_UPDATED: &str = ", auto_status_updated = true";
/// Our entries form a list of at most 100. Earlier content is kept.
const AUTOMATION_LOGS: &str = ",
       automation_logs = CASE
           WHEN b.automation_logs IS NULL
             OR pg_catalog.jsonb_typeof(b.automation_logs) OPERATOR(pg_catalog.=) 'null'
             THEN '[]'::pg_catalog.jsonb
           WHEN pg_catalog.jsonb_typeof(b.automation_logs) OPERATOR(pg_catalog.<>) 'array'
           THEN pg_catalog.jsonb_build_array(b.automation_logs)
           WHEN pg_catalog.jsonb_array_length(b.automation_logs) OPERATOR(pg_catalog.>=) 100
           THEN b.automation_logs OPERATOR(pg_catalog.-) 0
           ELSE b.automation_logs END
           OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(
               'at', $2, 'from', '{from}', 'to', '{to}', 'due_at', d.due_at, 'run_id', $3)";

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
