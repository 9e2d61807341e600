//! The pass: one transaction under an advisory lock that makes the due status changes and enqueues
//! reminders.
//!
//! While it is open, the pass talks to the database alone. An idle pass is four round trips: the
//! connection's proof of life, BEGIN with the lock, the probe, the run's row with COMMIT.
//!
//! The advisory *transaction* lock is released by any end of the transaction, including a crash or
//! a transaction pooler. It keeps passes from waiting for each other; the UNIQUE key prevents a
//! second reminder.

use std::time::{Duration, Instant};

use tokio_postgres::types::Timestamp;
use uuid::Uuid;

use crate::bookings::state_changes::make_state_changes;
use crate::bookings::step_rules::StepRules;
use crate::bookings::transitions::{self, Moments, Transitions};
use crate::database::owner_functions::Liveness;
use crate::database::{BOOKINGS_LOCK_TIMEOUT, Begin, Database, DatabaseError, Transaction};
use crate::delivery::Channels;
use crate::delivery::figures::{Backlog, ReminderFigures};
use crate::delivery::groups::group_enqueued;
use crate::delivery::preparation::DeliveryAccess;
use crate::primitives::call::Call;
use crate::reminders::decisions::{self, Decisions};
use crate::reminders::digests::enqueue_digests;
use crate::reminders::hidden_rows::{HiddenRows, find_hidden_rows};
use crate::reminders::notices::enqueue_notices;
use crate::reminders::quiet_hours::hand_over_names;
use crate::reminders::sweep::{begin_sweep, begin_to_catch_up};
use crate::tick::clock;
pub use crate::tick::error::PassError;
use crate::tick::overlap;
use crate::tick::preconditions::{PRECONDITIONS, Preconditions};
use crate::tick::probe::{WorkDue, probe};
use crate::tick::run_log::{self, PASS_LOCK};
use crate::tick::settings::PassSettings;
use crate::tick::summary::{SkipReason, Work};
use crate::tick::trigger::Trigger;

/// Longest time for one statement of a pass; and never more than a quarter of what is left of the
/// call, so that a slow one can be tried with fewer rows.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(25);
/// Shortest such time, however little of the call is left.
const SHORTEST_STATEMENT_TIMEOUT: Duration = Duration::from_secs(1);

/// The result of a pass.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one a call")]
pub enum Pass {
    /// It was committed.
    Committed(Committed),
    /// It did not run.
    Skipped(SkipReason),
}

/// A committed pass.
#[derive(Clone, Copy, Debug)]
pub struct Committed {
    /// What it did. Its reminders are not delivered yet.
    pub work: Work,
    /// The channels that have anything that can be claimed now.
    pub channels: Channels,
    /// Whether there may be messages for webhooks.
    pub webhooks: bool,
    /// Whether a flag on `bookings` is behind.
    pub flags_due: bool,
    /// Whether rows are older than they are kept.
    pub rows_expired: bool,
    /// Whether the database's clock was set back.
    pub(crate) is_clock_set_back: bool,
    /// Whether a sweep is under way.
    pub sweeps: bool,
    /// Whether an hour has begun since the latest pass: the marks of what is not live are due.
    pub new_hour: bool,
    /// What delivery can read.
    pub delivery: DeliveryAccess,
}

impl Committed {
    fn of(work: Work, due: &WorkDue, decisions: &Decisions, delivery: DeliveryAccess) -> Self {
        Self {
            work,
            channels: due.channels,
            webhooks: due.webhooks || due.subscribed && work.transitions.total() > 0,
            flags_due: due.flags,
            rows_expired: due.expired_rows,
            is_clock_set_back: !due.clock_set_back.is_zero(),
            sweeps: due.sweeps || due.watermark.sweep || decisions.left_to_sweep,
            new_hour: due.watermark.sweep,
            delivery,
        }
    }
}

/// Runs one pass.
///
/// # Errors
/// [`PassError`]; the failure is recorded in `automation_runs` where the database can still be
/// reached.
pub async fn run(
    database: &Database,
    settings: &PassSettings,
    trigger: &Trigger,
    call: &Call,
) -> Result<Pass, PassError> {
    let run_id = Uuid::new_v4();
    let attempt = async |asks_singly| {
        let attempt = Attempt {
            settings,
            trigger,
            call,
            run_id,
            asks_singly,
            started: Instant::now(),
        };
        attempt.run(database).await
    };
    let mut ended = attempt(false).await;
    if let Err(PassError::Database(error)) = &ended
        && error.is_of_contents()
        && !error.is_too_slow()
    {
        tracing::error!(
            error = error.loggable(),
            "the pass failed; trying again, for a booking of which booking_automation_is_live fails"
        );
        ended = attempt(true).await;
    }
    let error = match ended {
        Err(PassError::Database(error)) => error,
        ended => return ended,
    };
    // Without a connection, the failure cannot be recorded, either.
    if !matches!(error, DatabaseError::Unreachable(_))
        && let Err(unrecorded) =
            run_log::record_failure(database, trigger, call, run_id, &error).await
    {
        tracing::warn!(
            run.id = %run_id,
            error = unrecorded.loggable(),
            "the failed run could not be recorded"
        );
    }
    Err(error.into())
}

/// One attempt at a pass.
struct Attempt<'a> {
    settings: &'a PassSettings,
    trigger: &'a Trigger,
    call: &'a Call,
    run_id: Uuid,
    /// Whether the owner's function is asked for each booking alone.
    asks_singly: bool,
    started: Instant,
}

/// What a pass is about to commit.
struct Decided {
    work: Work,
    due: WorkDue,
    decisions: Decisions,
}

impl Attempt<'_> {
    async fn run(&self, database: &Database) -> Result<Pass, PassError> {
        let (transaction, rows) = database.begin(&begin_pass(self.call), &take_lock()).await?;
        let Some(preconditions) = Preconditions::of(&rows) else {
            let limit = self.settings.overlap_alarm_after;
            let checked = overlap::check_last_pass(&transaction, limit).await;
            transaction.rollback().await?;
            return checked.map(|()| Pass::Skipped(SkipReason::Overlap));
        };
        let decided = match self.decide(&transaction, &preconditions).await {
            Ok(Some(decided)) => decided,
            Ok(None) => {
                transaction.rollback().await?;
                return Ok(Pass::Skipped(SkipReason::DuplicateRequest));
            }
            Err(error) => {
                // What follows takes the lock again: it must be free by then.
                if !matches!(&error, PassError::Database(error) if !error.is_of_a_row()) {
                    let _ = transaction.rollback().await;
                }
                return Err(error);
            }
        };
        let Decided {
            work,
            due,
            decisions,
        } = &decided;
        let committed = Committed::of(*work, due, decisions, preconditions.delivery);
        match commit(transaction, self.trigger, work, due, decisions).await {
            Ok(()) => Ok(Pass::Committed(committed)),
            Err(error) if error.is_lost_connection() => {
                settle_commit(database, self.call, committed, error).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the changes and the decisions that are due. `None`: a request that has run a pass
    /// before.
    async fn decide(
        &self,
        transaction: &Transaction,
        preconditions: &Preconditions,
    ) -> Result<Option<Decided>, PassError> {
        let rules = preconditions.rules(&self.settings.transitions)?;
        let as_of = self.call.as_of.unwrap_or(preconditions.clock);
        let moments = Moments::new(as_of, &rules.settings);
        make_state_changes(transaction, preconditions.state_changes).await?;
        let asked = match self.asks_singly {
            true => rules.asking_singly(),
            false => rules,
        };
        let id = self.trigger.webhook_id();
        let mut due = probe(transaction, self.settings, &asked, &moments, id).await?;
        preconditions.check_triggers()?;
        clock::report_clock(preconditions.clock, due.clock_set_back);
        if due.duplicate_request {
            return Ok(None);
        }
        // The other half of the call is for the rest of the pass, and for sending.
        let left = self.call.deadline.saturating_duration_since(self.started);
        let until = self.started + left / 2;
        let (transitions, decisions) =
            advance_and_enqueue(transaction, &rules, &moments, &due, self.run_id, until).await?;
        // A channel without messages costs its round trips, too.
        if decisions.pending > 0 {
            due.channels = Channels::claimable(transaction).await?;
        }
        let work = Work {
            run_id: self.run_id,
            duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..summed(&moments, self.trigger, &due, transitions, &decisions)
        };
        Ok(Some(Decided {
            work,
            due,
            decisions,
        }))
    }
}

/// Commits the pass with its run's row.
async fn commit(
    transaction: Transaction,
    trigger: &Trigger,
    work: &Work,
    due: &WorkDue,
    decisions: &Decisions,
) -> Result<(), DatabaseError> {
    // More was due than one pass takes: the next pass looks at everything.
    let looked_through = match decisions.more {
        true => Timestamp::NegInfinity,
        false => Timestamp::Value(work.as_of),
    };
    let digest = &due.watermark.rules_digest;
    run_log::commit_with_row(transaction, trigger, work, looked_through, digest).await
}

/// What the pass did, before anything is delivered.
fn summed(
    moments: &Moments,
    trigger: &Trigger,
    due: &WorkDue,
    transitions: Transitions,
    decisions: &Decisions,
) -> Work {
    Work {
        transitions,
        reminders: waiting_reminders(due, decisions),
        backlog: Backlog {
            pending: due.backlog.pending + decisions.pending,
            ..due.backlog
        },
        ..Work::none(trigger.as_str(), moments.as_of())
    }
}

/// A person whose address is hidden would get no reminder, and the decision is final.
pub(crate) async fn refuse_hidden_rows(
    transaction: &Transaction,
    contacts: bool,
) -> Result<(), PassError> {
    match find_hidden_rows(transaction, contacts).await? {
        Some(HiddenRows { relation, reader }) => Err(PassError::HiddenRows { relation, reader }),
        None => Ok(()),
    }
}

async fn advance_and_enqueue(
    transaction: &Transaction,
    rules: &StepRules,
    moments: &Moments,
    due: &WorkDue,
    run_id: Uuid,
    until: Instant,
) -> Result<(Transitions, Decisions), PassError> {
    if due.reads_contacts() || due.transitions {
        refuse_hidden_rows(transaction, due.reads_contacts()).await?;
    }
    let (liveness, as_of) = (rules.liveness, moments.as_of());
    // Before bookings are locked.
    let are_named = due.reads_names && hand_over_names(transaction, liveness, as_of, as_of).await?;
    let transitions = if due.transitions {
        transitions::advance(transaction, moments, rules, run_id, until).await?
    } else {
        Transitions::default()
    };
    // Reminders of what is confirmed again may be due.
    let is_reopened = transitions.reopened > 0;
    if is_reopened && !due.reads_contacts() {
        refuse_hidden_rows(transaction, true).await?;
    }
    let mut decisions = if due.reminders || is_reopened || are_named {
        decisions::enqueue_due(transaction, liveness, as_of, &due.watermark, run_id).await?
    } else {
        Decisions::default()
    };
    if decisions.pending > 0 && liveness != Liveness::Unknown {
        decisions.pending += group_enqueued(transaction, liveness, as_of, run_id).await?;
    }
    // Status changes of this pass may be what notices are about.
    if due.notices || due.transitions && liveness != Liveness::Unknown {
        let notices = enqueue_notices(transaction, as_of, run_id).await?;
        if notices.pending > 0 && !due.reads_contacts() {
            refuse_hidden_rows(transaction, true).await?;
        }
        decisions.add(notices);
    }
    let digests = enqueue_digests(transaction, liveness, &due.digests, as_of, run_id, until);
    decisions.add(digests.await?);
    if decisions.left_to_sweep {
        begin_to_catch_up(transaction, as_of).await?;
    } else if due.watermark.sweep && liveness == Liveness::Known {
        begin_sweep(transaction, as_of).await?;
    }
    Ok((transitions, decisions))
}

/// The answer to COMMIT was lost; the pass may still be committed.
async fn settle_commit(
    database: &Database,
    call: &Call,
    committed: Committed,
    error: DatabaseError,
) -> Result<Pass, PassError> {
    let run_id = committed.work.run_id;
    tracing::warn!(run.id = %run_id, error = error.loggable(), "the connection broke in COMMIT");
    match run_log::was_committed(database, run_id, call.deadline)
        .await
        .map_err(PassError::Unsettled)?
    {
        true => Ok(Pass::Committed(committed)),
        false => Err(error.into()),
    }
}

/// The reminders' figures before anything is delivered: what can be sent still counts as deferred.
pub(crate) fn waiting_reminders(due: &WorkDue, decisions: &Decisions) -> ReminderFigures {
    let deferred = due.claimable + decisions.pending;
    ReminderFigures {
        skipped: decisions.skipped,
        deferred,
        ..ReminderFigures::default()
    }
    .summed()
}

pub(crate) fn begin_pass(call: &Call) -> Begin {
    let left = call.deadline.saturating_duration_since(Instant::now());
    let statement_timeout = (left / 4).clamp(SHORTEST_STATEMENT_TIMEOUT, STATEMENT_TIMEOUT);
    Begin {
        statement_timeout,
        lock_timeout: BOOKINGS_LOCK_TIMEOUT,
        as_of: call.as_of,
        until: Some(call.deadline),
        ..Begin::default()
    }
}

/// SQL that takes the lock, and returns the preconditions if the lock was free. Triggers see the
/// same time.
pub(crate) fn take_lock() -> String {
    format!(
        "SELECT {preconditions},
                set_config('booking_automation.as_of',
                           coalesce(nullif(current_setting('booking_automation.as_of', true), ''),
                                    transaction_timestamp()::text), true)
          WHERE pg_try_advisory_xact_lock({PASS_LOCK})",
        preconditions = *PRECONDITIONS
    )
}
