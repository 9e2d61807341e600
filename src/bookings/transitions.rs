//! Automatic status changes: one set-based statement for each step.

use std::time::Instant;

use serde::Serialize;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::lifecycle::Status;
pub use crate::bookings::refusals::{Refusal, Refused};
use crate::bookings::step_rules::StepRules;
use crate::bookings::step_runner::StepRunner;
pub(crate) use crate::bookings::steps::Moments;
use crate::bookings::steps::{STEPS, StepKind, TimedStep, Turn};
use crate::bookings::storable::unstorable_statuses;
use crate::database::{Result, Transaction};

/// Status changes that one pass makes at most, over all steps.
pub const LIMIT: i64 = 50_000;
/// A preview counts each kind of due change up to this number: an exact count beyond it is not
/// worth the reads.
const PREVIEW_LIMIT: i64 = 1_000_000;
/// How often one pass tries bookings one by one, since one of many is refused or slow.
const ROUNDS_SINGLY: usize = 20;

/// How many bookings each kind of change moved, or would move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Transitions {
    /// `confirmed → in_progress`.
    pub started: i64,
    /// `in_progress → completed`.
    pub completed: i64,
    /// `→ expired`.
    pub expired: i64,
    /// `in_progress → confirmed`: started by time, then moved into the future. Absent where there
    /// were none.
    #[serde(skip_serializing_if = "is_zero")]
    pub reopened: i64,
    /// Due, but beyond this pass's limit, or of bookings that another transaction has locked.
    pub remaining: i64,
    /// More than [`LIMIT`] remain, up to which they are counted. Absent otherwise.
    #[serde(skip_serializing_if = "is_false")]
    pub more: bool,
    /// Changes that the user's database refused in this pass. Absent where there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(crate) fn is_zero(count: &i64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}

impl Transitions {
    fn add(&mut self, kind: StepKind, count: i64) {
        match kind {
            StepKind::Started => self.started += count,
            StepKind::Completed => self.completed += count,
            StepKind::Expired | StepKind::ExpiredPending => self.expired += count,
            StepKind::Reopened => self.reopened += count,
        }
    }

    /// How many were made.
    pub(crate) fn total(&self) -> i64 {
        self.started + self.completed + self.expired + self.reopened
    }
}

/// SQL of a boolean: is any change due? A few index probes.
pub(crate) fn any_due(rules: &StepRules) -> String {
    let questions: Vec<_> = rules
        .steps()
        .map(|step| format!("EXISTS (SELECT {})", step.candidates(rules)))
        .collect();
    questions.join(" OR ")
}

/// Makes the changes that are due, at most [`LIMIT`], and begins none after `until`. A constant
/// number of statements, unless the user's database refuses one or is slow at it.
pub(crate) async fn advance(
    transaction: &Transaction,
    moments: &Moments,
    rules: &StepRules,
    run_id: Uuid,
    until: Instant,
) -> Result<Transitions> {
    let mut done = Transitions::default();
    let mut runner = StepRunner {
        transaction,
        rules,
        moments,
        run_id,
        until,
        rounds_singly: ROUNDS_SINGLY,
        refused: None,
        working: Vec::new(),
        failed: Vec::new(),
    };
    for turn in [Turn::New, Turn::Any] {
        if done.total() >= LIMIT {
            break;
        }
        for step in rules.steps() {
            let room = LIMIT - done.total();
            done.add(step.kind, runner.advance(step, turn, room).await?);
        }
        let Some(remaining) = count_remaining(transaction, moments, rules).await? else {
            continue;
        };
        (done.remaining, done.more) = (remaining.min(LIMIT), remaining > LIMIT);
        if done.remaining == 0 {
            break;
        }
        if done.remaining < LIMIT {
            for step in rules.steps() {
                done.add(step.kind, -runner.record_set_back(step).await?);
            }
        }
    }
    done.refused = runner.refused;
    log_refused(done.refused.as_ref());
    Ok(done)
}

/// What is due and was not done, if that is less than [`LIMIT`]; else more than that. `None`: it
/// cannot be counted, since the owner's function fails for a booking whose turn is still to come or
/// that was not reached.
async fn count_remaining(
    transaction: &Transaction,
    moments: &Moments,
    rules: &StepRules,
) -> Result<Option<i64>> {
    let count = async |transaction: &Transaction| {
        count_due(transaction, moments, rules, &[], LIMIT + 1).await
    };
    let counted = transaction
        .in_savepoint(transaction.statement_timeout(), count)
        .await;
    match counted {
        Err(error) if error.is_of_contents() => {
            tracing::warn!(
                error = error.loggable(),
                "what is left to do could not be counted"
            );
            Ok(None)
        }
        counted => Ok(Some(counted?.total())),
    }
}

/// The alarm on errors counts this line.
fn log_refused(refused: Option<&Refused>) {
    if let Some(Refused { count, first }) = refused {
        tracing::error!(
            transitions.refused = count,
            booking.id = %first.booking_id,
            reason = %first.reason,
            "the database refuses status changes from {} to {}; the trail has its error, and they \
             are tried again later",
            first.from,
            first.to
        );
    }
}

/// Takes the steps that are due for one booking, which has this status and is locked, as the next
/// pass would. Returns whether there were any. Steps that the user's database refuses are undone.
pub(crate) async fn advance_one(
    transaction: &Transaction,
    moments: &Moments,
    rules: &StepRules,
    booking_id: Uuid,
    mut status: &str,
) -> Result<bool> {
    let until = Instant::now();
    let mut runner = StepRunner {
        transaction,
        rules,
        moments,
        run_id: Uuid::nil(),
        until,
        rounds_singly: 0,
        refused: None,
        working: Vec::new(),
        failed: Vec::new(),
    };
    let mut moved = false;
    for step in rules.steps() {
        if step.edge.from.as_str() != status {
            continue;
        }
        match runner
            .advance_up_to(step, Turn::Any, 1, Some(&[booking_id]))
            .await
        {
            Ok(0) => {}
            Ok(_) => (status, moved) = (step.edge.to.as_str(), true),
            Err(error) if error.is_of_a_row() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(moved)
}

/// What is due, each kind counted up to `most`, without changes to `unstorable` statuses.
/// Writes nothing.
async fn count_due(
    transaction: &Transaction,
    moments: &Moments,
    rules: &StepRules,
    unstorable: &[Status],
    most: i64,
) -> Result<Transitions> {
    let sql = count_sql(rules, unstorable);
    let [as_of, expire_before, complete_before] = moments.parameters();
    let parameters = [
        as_of,
        expire_before,
        complete_before,
        (&most as _, Type::INT8),
    ];
    let row = transaction.query_one(&sql, &parameters).await?;
    Ok(Transitions {
        started: row.get("started"),
        completed: row.get("completed"),
        expired: row.get("expired"),
        reopened: row.get("reopened"),
        ..Transitions::default()
    })
}

fn count_sql(rules: &StepRules, unstorable: &[Status]) -> String {
    let [
        expire_pending,
        expire_confirmed,
        expire_in_progress,
        start,
        complete,
        reopen,
    ] = &STEPS;
    // A booking whose start and end both passed goes through both steps in one pass.
    let is_made = |step: &TimedStep| step.is_on(rules) && !unstorable.contains(&step.edge.to);
    let start_and_complete = format!(
        "{} AND {} AND {}",
        start.candidates(rules),
        complete.condition(rules),
        is_made(start) && is_made(complete)
    );
    let when_made = |step: &TimedStep| format!("{} AND {}", step.candidates(rules), is_made(step));
    let count = |candidates: String| {
        format!("(SELECT count(*) FROM (SELECT {candidates} LIMIT $4) AS counted)")
    };
    format!(
        "SELECT {} + {} + {} AS expired, {} AS started, {} + {} AS completed, {} AS reopened",
        count(when_made(expire_pending)),
        count(when_made(expire_confirmed)),
        count(when_made(expire_in_progress)),
        count(when_made(start)),
        count(when_made(complete)),
        count(start_and_complete),
        count(when_made(reopen)),
    )
}

/// Every statement of the steps, with a name.
pub(crate) fn statements(rules: &StepRules) -> Vec<(String, String)> {
    let of_step = |step: &TimedStep| {
        let (from, to) = (step.edge.from, step.edge.to);
        [
            (format!("{from} to {to}"), step.update_sql(rules)),
            (
                format!("{from} to {to}, candidates"),
                step.candidates_sql(rules, Turn::New),
            ),
            (
                format!("{from} to {to}, candidates of any turn"),
                step.candidates_sql(rules, Turn::Any),
            ),
            (
                format!("{from} to {to}, set back"),
                step.set_back_sql(rules),
            ),
            (
                format!("{from} to {to}, candidates alone"),
                step.lock_candidates_sql(rules),
            ),
        ]
    };
    let mut statements: Vec<_> = rules.steps().flat_map(of_step).collect();
    statements.push(("what is due, counted".to_owned(), count_sql(rules, &[])));
    statements
}

/// What one pass would do now: all that is due and that the status column can hold, cut at
/// [`LIMIT`] in the order of the steps.
pub(crate) async fn preview(
    transaction: &Transaction,
    moments: &Moments,
    rules: &StepRules,
) -> Result<Transitions> {
    let unstorable = unstorable_statuses(transaction).await?;
    let due = count_due(transaction, moments, rules, &unstorable, PREVIEW_LIMIT).await?;
    let expired = due.expired.min(LIMIT);
    let started = due.started.min(LIMIT - expired);
    let completed = due.completed.min(LIMIT - expired - started);
    let reopened = due.reopened.min(LIMIT - expired - started - completed);
    Ok(Transitions {
        started,
        completed,
        expired,
        reopened,
        remaining: due.total() - expired - started - completed - reopened,
        ..Transitions::default()
    })
}
