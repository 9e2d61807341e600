//! The pass: one transaction under an advisory lock that moves bookings on and enqueues reminders.
//!
//! Nothing but the database is talked to while it is open. An idle pass is four round trips: the
//! connection's proof of life, BEGIN with the lock, the questions, the run's row with COMMIT.
//!
//! The advisory *transaction* lock is let go by any end of the transaction, a crash or a transaction
//! pooler included. It keeps passes from waiting for each other; what keeps a reminder from going out
//! twice is the UNIQUE key.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use thiserror::Error;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::{Json, Timestamp, Type};
use uuid::Uuid;

use crate::bookings::transitions::{self, Moments, Transitions};
use crate::config::PassSettings;
use crate::database::migrate;
use crate::database::{BOOKINGS_LOCK_TIMEOUT, Begin, Database, DatabaseError, Transaction, last_row};
use crate::delivery::outbox;
use crate::delivery::webhooks;
use crate::operations::retention;
use crate::reminders::{self, Verdicts, Watermark};
use crate::tick::call::{Call, Cause};
use crate::tick::summary::{Backlog, Reminders, SkipReason, Summary, Work};

/// Advisory lock of the pass. An arbitrary number.
const PASS_LOCK: i64 = 0x626b_6175_746f_0001;
/// Longest time for one statement of a pass; and never more than a quarter of what is left of the call, so
/// that a slow one can be tried smaller.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(25);
/// Shortest such time, however little of the call is left.
const SHORTEST_STATEMENT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait for the end of our own transaction whose COMMIT got no answer.
const SETTLE_FOR: Duration = Duration::from_secs(10);
/// How long recording that a pass failed may take, past the call's deadline if need be.
pub(crate) const RECORD_FAILURE_FOR: Duration = Duration::from_secs(1);
/// How long a `webhook-id` is remembered: longer than a signature can be valid, which is twice the tolerance,
/// and clocks differ.
const WEBHOOK_ID_MINUTES: u32 = 15;

/// Why a pass failed. Nothing of it is in the database but its run row.
#[derive(Debug, Error)]
pub enum PassError {
    /// The schema is missing, or older than this program.
    #[error("the database has no booking-automation schema of this version: run `booking-automation migrate` first")]
    SchemaMissing,
    /// Row-level security would hide bookings: the pass would find nothing due, and say so every minute.
    #[error(
        "row-level security is in force for this role on bookings, so that it may not see them all: \
         give it BYPASSRLS, or use the owner's without FORCE ROW LEVEL SECURITY"
    )]
    RowSecurity,
    /// The database refused, or cannot be reached.
    ///
    /// Not its `source`: what prints a whole chain of errors would print the server's own text, which may
    /// quote a row.
    #[error("the pass failed: {}", .0.loggable())]
    Database(DatabaseError),
    /// The connection broke in COMMIT, and the database could not be asked what became of it.
    #[error("the connection broke in COMMIT, and whether the pass was committed is not known: {}", .0.loggable())]
    Unsettled(DatabaseError),
}

impl From<DatabaseError> for PassError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

/// What became of a pass.
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
    /// Whether anything can be claimed now.
    pub claimable: bool,
    /// Whether webhooks may have to be told something.
    pub webhooks: bool,
    /// Whether a flag on `bookings` is behind.
    pub flags_due: bool,
    /// Whether something is older than is kept.
    pub any_old: bool,
    /// Whether a sweep is to follow.
    pub sweep: bool,
}

/// What is due, asked before anything is written.
struct Due {
    duplicate_request: bool,
    transitions: bool,
    reminders: bool,
    flags: bool,
    any_old: bool,
    webhooks: bool,
    subscribed: bool,
    backlog: Backlog,
    /// Of those, what can be claimed now.
    claimable: i64,
    watermark: Watermark,
}

/// Runs one pass.
///
/// # Errors
/// [`PassError`]; the failure is recorded in `automation_runs` where the database can still be reached.
pub async fn run(database: &Database, settings: &PassSettings, call: &Call) -> Result<Pass, PassError> {
    let run_id = Uuid::new_v4();
    let error = match attempt(database, settings, call, run_id).await {
        Err(PassError::Database(error)) => error,
        ended => return ended,
    };
    // A database that takes no connection takes no record, either.
    if !matches!(error, DatabaseError::Unreachable(_))
        && let Err(unrecorded) = record_failure(database, call, run_id, &error).await
    {
        tracing::warn!(run.id = %run_id, error = unrecorded.loggable(), "the failed run could not be recorded");
    }
    Err(error.into())
}

async fn attempt(database: &Database, settings: &PassSettings, call: &Call, run_id: Uuid) -> Result<Pass, PassError> {
    let started = Instant::now();
    let begin = begin(call);
    let (transaction, rows) = database.begin(&begin, &take_lock()).await?;
    let Some(as_of) = clock(&rows) else {
        transaction.rollback().await?;
        return Ok(Pass::Skipped(SkipReason::Overlap));
    };
    let as_of = call.as_of.unwrap_or(as_of);
    let moments = Moments::new(as_of, settings);
    let due = ask(&transaction, settings, &moments, call.cause.webhook_id()).await?;
    if due.duplicate_request {
        transaction.rollback().await?;
        return Ok(Pass::Skipped(SkipReason::DuplicateRequest));
    }

    let transitions = if due.transitions {
        // The other half of the call is for the rest of the pass, and for sending.
        let until = started + call.deadline.saturating_duration_since(started) / 2;
        transitions::advance(&transaction, &moments, settings, run_id, until).await?
    } else {
        Transitions::default()
    };
    let verdicts = if due.reminders {
        reminders::enqueue(&transaction, as_of, &due.watermark, run_id).await?
    } else {
        Verdicts::default()
    };
    let work = Work {
        run_id,
        trigger: call.cause.trigger(),
        as_of,
        transitions,
        reminders: waiting_reminders(&due, &verdicts),
        backlog: Backlog { pending: due.backlog.pending + verdicts.pending, ..due.backlog },
        webhooks: None,
        held_back: None,
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    let claimable = due.claimable + verdicts.pending > 0;
    let committed = Committed {
        work,
        claimable,
        webhooks: due.webhooks || due.subscribed && transitions.made() > 0,
        flags_due: due.flags,
        any_old: due.any_old,
        sweep: due.watermark.sweep,
    };
    // More than one pass takes: the next one looks at everything.
    let looked_through = if verdicts.more { Timestamp::NegInfinity } else { Timestamp::Value(as_of) };
    match commit(transaction, call, &work, looked_through, &due.watermark.rules_digest).await {
        Ok(()) => Ok(Pass::Committed(committed)),
        // The answer is lost, not necessarily the pass.
        Err(error) if error.is_lost_connection() => {
            tracing::warn!(run.id = %run_id, error = error.loggable(), "the connection broke in COMMIT");
            match was_committed(database, run_id, call.deadline).await.map_err(PassError::Unsettled)? {
                true => Ok(Pass::Committed(committed)),
                false => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// The reminders' figures before anything is delivered: what can be sent is still deferred.
fn waiting_reminders(due: &Due, verdicts: &Verdicts) -> Reminders {
    Reminders { skipped: verdicts.skipped, deferred: due.claimable + verdicts.pending, ..Reminders::default() }.summed()
}

fn begin(call: &Call) -> Begin {
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

/// The clock, if the lock was free. Triggers are told the same moment.
fn take_lock() -> String {
    format!(
        "SELECT (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint,
                set_config('booking_automation.as_of',
                           coalesce(nullif(current_setting('booking_automation.as_of', true), ''), transaction_timestamp()::text), true)
          WHERE pg_try_advisory_xact_lock({PASS_LOCK})"
    )
}

/// The database's clock, where a row of it was returned.
fn clock(rows: &[SimpleQueryMessage]) -> Option<DateTime<Utc>> {
    let microseconds = last_row(rows)?.get(0)?.parse().ok()?;
    DateTime::from_timestamp_micros(microseconds)
}

/// One round trip that decides whether there is anything to do.
async fn ask(
    transaction: &Transaction,
    settings: &PassSettings,
    moments: &Moments,
    webhook_id: Option<&str>,
) -> Result<Due, PassError> {
    let sql = format!(
        "WITH {watermark}, waiting AS ({waiting})
         SELECT EXISTS (SELECT FROM booking_automation_migrations WHERE name = '{latest}'),
                {transitions},
                EXISTS (SELECT FROM booking_automation_looks) OR {reminders},
                EXISTS (SELECT FROM booking_automation_events WHERE flag_due),
                waiting.pending, waiting.claimable, waiting.oldest_due_at,
                watermark.digest, watermark.looked_through, watermark.everything, watermark.sweep,
                EXISTS (SELECT FROM automation_runs
                         WHERE webhook_id = $4
                           AND created_at > now() - interval '{WEBHOOK_ID_MINUTES} minutes'),
                {any_old},
                row_security_active('public.bookings'),
                EXISTS ({webhooks_due}), {subscribed}
           FROM watermark, waiting",
        watermark = reminders::WATERMARK,
        latest = migrate::LATEST,
        transitions = transitions::any_due(settings),
        reminders = reminders::ANY_DUE,
        waiting = outbox::WAITING,
        any_old = retention::ANY_OLD,
        webhooks_due = webhooks::DUE,
        subscribed = webhooks::ANY_SUBSCRIBED,
    );
    let [as_of, expire_before, complete_before] = moments.parameters();
    let [events, runs] = retention::kept(settings.retention);
    let parameters = [
        as_of,
        expire_before,
        complete_before,
        (&webhook_id as _, Type::TEXT),
        (&events as _, Type::FLOAT8),
        (&runs as _, Type::FLOAT8),
    ];
    let row = match transaction.query_one(&sql, &parameters).await {
        Err(error) if migrate::is_schema_missing(&error) => return Err(PassError::SchemaMissing),
        row => row?,
    };
    if !row.get::<_, bool>(0) {
        return Err(PassError::SchemaMissing);
    }
    if row.get::<_, bool>(13) {
        return Err(PassError::RowSecurity);
    }
    let (backlog, claimable) = outbox::waiting(&row, 4);
    Ok(Due {
        transitions: row.get(1),
        reminders: row.get(2),
        flags: row.get(3),
        backlog,
        claimable,
        watermark: Watermark {
            rules_digest: row.get(7),
            looked_through: row.get(8),
            everything: row.get(9),
            sweep: row.get(10),
        },
        duplicate_request: row.get(11),
        any_old: row.get::<_, Option<bool>>(12).unwrap_or_default(),
        webhooks: row.get(14),
        subscribed: row.get(15),
    })
}

/// Writes the run's row and commits, in one round trip. The row is how a lost COMMIT is settled, and what
/// remembers a `webhook-id`.
async fn commit(
    transaction: Transaction,
    call: &Call,
    work: &Work,
    looked_through: Timestamp<DateTime<Utc>>,
    rules_digest: &str,
) -> Result<(), DatabaseError> {
    let row = RunRow {
        run_id: work.run_id,
        as_of: Some(work.as_of),
        outcome: "completed",
        webhook_id: call.cause.webhook_id(),
        summary: Some(Json(Summary::Completed(*work))),
        error: None,
        looked_through: Some(looked_through),
        rules_digest: Some(rules_digest),
    };
    transaction.commit_after(async |transaction| row.insert(transaction, &call.cause).await).await
}

/// A row of `automation_runs`.
struct RunRow<'a> {
    run_id: Uuid,
    /// `None`: now.
    as_of: Option<DateTime<Utc>>,
    outcome: &'static str,
    /// Only of a pass that is committed: another may be repeated.
    webhook_id: Option<&'a str>,
    summary: Option<Json<Summary>>,
    error: Option<String>,
    looked_through: Option<Timestamp<DateTime<Utc>>>,
    rules_digest: Option<&'a str>,
}

impl RunRow<'_> {
    async fn insert(&self, transaction: &Transaction, cause: &Cause) -> Result<(), DatabaseError> {
        // The conflict: a failure that turns out to be no failure, since the pass was committed after all.
        let sql = "INSERT INTO automation_runs (id, trigger, scheduled_time, execution_id, attempt, as_of, outcome,
                                                webhook_id, summary, error, looked_through, rules_digest)
                   VALUES ($1, $2, $3, $4, $5, coalesce($6, clock_timestamp()), $7, $8, $9, $10, $11, $12)
                   ON CONFLICT DO NOTHING";
        let scheduled = cause.scheduled();
        let parameters = [
            (&self.run_id as _, Type::UUID),
            (&cause.trigger().as_str() as _, Type::TEXT),
            (&scheduled.time as _, Type::TEXT),
            (&scheduled.execution_id as _, Type::TEXT),
            (&scheduled.attempt as _, Type::TEXT),
            (&self.as_of as _, Type::TIMESTAMPTZ),
            (&self.outcome as _, Type::TEXT),
            (&self.webhook_id as _, Type::TEXT),
            (&self.summary as _, Type::JSONB),
            (&self.error as _, Type::TEXT),
            (&self.looked_through as _, Type::TIMESTAMPTZ),
            (&self.rules_digest as _, Type::TEXT),
        ];
        transaction.execute(sql, &parameters).await?;
        Ok(())
    }
}

/// Completes the run's row with what delivery did, and commits. Not part of the pass.
pub(crate) async fn record_summary(transaction: Transaction, work: &Work) -> Result<(), DatabaseError> {
    let sql = "UPDATE automation_runs SET summary = $2 WHERE id = $1";
    let parameters = [(&work.run_id as _, Type::UUID), (&Json(Summary::Completed(*work)) as _, Type::JSONB)];
    transaction.commit_after(async |transaction| transaction.execute(sql, &parameters).await).await?;
    Ok(())
}

/// Settles a COMMIT whose answer was lost: looks for its run row; when it is not there, takes the pass's
/// lock, so that the transaction has ended one way or the other, and looks again.
async fn was_committed(database: &Database, run_id: Uuid, until: Instant) -> Result<bool, DatabaseError> {
    let committed = has_run_row(database, run_id, "", until).await? || {
        let lock =
            format!("SET LOCAL lock_timeout = {}; SELECT pg_advisory_xact_lock({PASS_LOCK})", SETTLE_FOR.as_millis());
        has_run_row(database, run_id, &lock, until).await?
    };
    tracing::warn!(run.id = %run_id, committed, "settled by looking for the run's row");
    Ok(committed)
}

async fn has_run_row(database: &Database, run_id: Uuid, before: &str, until: Instant) -> Result<bool, DatabaseError> {
    let begin = Begin { statement_timeout: SETTLE_FOR, until: Some(until), ..Begin::default() };
    let (transaction, _) = database.begin(&begin, before).await?;
    let sql = "SELECT EXISTS (SELECT FROM automation_runs WHERE id = $1)";
    let found = transaction.query_one(sql, &[(&run_id, Type::UUID)]).await?.get(0);
    transaction.rollback().await?;
    Ok(found)
}

async fn record_failure(
    database: &Database,
    call: &Call,
    run_id: Uuid,
    error: &DatabaseError,
) -> Result<(), DatabaseError> {
    let until = call.deadline.max(Instant::now() + RECORD_FAILURE_FOR);
    let (transaction, _) = database.begin(&Begin { until: Some(until), ..Begin::default() }, "").await?;
    let row = RunRow {
        run_id,
        as_of: call.as_of,
        outcome: "failed",
        webhook_id: None,
        summary: None,
        error: Some(format!("{error}: {}", error.details())),
        looked_through: None,
        rules_digest: None,
    };
    transaction.commit_after(async |transaction| row.insert(transaction, &call.cause).await).await
}

/// Looks for what was written past the triggers, under the pass's lock. What it finds is pending for the next call; what
/// goes wrong is logged, and tried again in an hour.
pub(crate) async fn sweep(database: &Database, call: &Call, run_id: Uuid) {
    let swept = async {
        let (transaction, rows) = database.begin(&begin(call), &take_lock()).await?;
        let Some(as_of) = clock(&rows) else {
            // A pass is under way, and would have to wait.
            return transaction.rollback().await;
        };
        reminders::sweep(&transaction, call.as_of.unwrap_or(as_of), run_id).await?;
        transaction.commit().await
    };
    if let Err(error) = swept.await {
        tracing::error!(error = error.loggable(), "the look at all bookings failed; the next hour's tries again");
    }
}

/// Where a pass would stand now.
pub(crate) async fn watermark(
    transaction: &Transaction,
    settings: &PassSettings,
    as_of: DateTime<Utc>,
) -> Result<Watermark, PassError> {
    Ok(ask(transaction, settings, &Moments::new(as_of, settings), None).await?.watermark)
}

/// What a pass would do now.
///
/// Asks the pass's questions in a read-only transaction; takes no lock and writes nothing.
///
/// # Errors
/// As [`run`]; nothing is recorded.
pub async fn preview(database: &Database, settings: &PassSettings, call: &Call) -> Result<Work, PassError> {
    let begin = Begin { read_only: true, ..begin(call) };
    let ask_clock = "SELECT (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint";
    let (transaction, rows) = database.begin(&begin, ask_clock).await?;
    let as_of = call.as_of.or_else(|| clock(&rows)).unwrap_or_default();
    let moments = Moments::new(as_of, settings);
    let due = ask(&transaction, settings, &moments, None).await?;
    let transitions = transitions::preview(&transaction, &moments, settings).await?;
    let verdicts = reminders::preview(&transaction, as_of, &due.watermark).await?;
    transaction.rollback().await?;
    Ok(Work {
        run_id: Uuid::nil(),
        trigger: call.cause.trigger(),
        as_of,
        transitions,
        reminders: waiting_reminders(&due, &verdicts),
        backlog: due.backlog,
        webhooks: None,
        held_back: None,
        duration_ms: 0,
    })
}
