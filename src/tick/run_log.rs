//! `automation_runs`: one row a pass that ran or failed.
//!
//! A pass writes its row in its own transaction. So the row settles a COMMIT whose answer was lost,
//! and records a `webhook-id` only if the pass was committed.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio_postgres::types::{Json, Timestamp, Type};
use uuid::Uuid;

pub(crate) use crate::database::PASS_LOCK;
use crate::database::{Begin, Database, DatabaseError, Result, Transaction};
use crate::primitives::call::Call;
use crate::tick::summary::{Summary, Work};
use crate::tick::trigger::Trigger;

/// How long to wait for the end of our own transaction whose COMMIT got no answer.
const SETTLE_FOR: Duration = Duration::from_secs(10);
/// How long recording a failed pass may take, past the call's deadline if need be.
const RECORD_FAILURE_FOR: Duration = Duration::from_secs(1);

/// A row of `automation_runs`.
struct RunRow<'a> {
    run_id: Uuid,
    /// `None`: now.
    as_of: Option<DateTime<Utc>>,
    outcome: &'static str,
    /// Only of a committed pass: a request whose pass failed may be repeated.
    webhook_id: Option<&'a str>,
    summary: Option<Json<Summary>>,
    error: Option<String>,
    looked_through: Option<Timestamp<DateTime<Utc>>>,
    rules_digest: Option<&'a str>,
}

impl RunRow<'_> {
    async fn insert_row(&self, transaction: &Transaction, trigger: &Trigger) -> Result<()> {
        // On conflict, the pass was committed after all, and there is no failure to record.
        let sql = "INSERT INTO public.automation_runs
                          (id, trigger, scheduled_time, execution_id, attempt, as_of, outcome,
                           webhook_id, summary, error, looked_through, rules_digest)
                   VALUES ($1, $2, $3, $4, $5, coalesce($6, clock_timestamp()), $7, $8, $9,
                     $10, $11, $12)
                   ON CONFLICT DO NOTHING";
        let scheduled = trigger.scheduled().cloned().unwrap_or_default();
        let parameters = [
            (&self.run_id as _, Type::UUID),
            (&trigger.as_str() as _, Type::TEXT),
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

/// Writes the run's row and commits, in one round trip.
pub(crate) async fn commit_with_row(
    transaction: Transaction,
    trigger: &Trigger,
    work: &Work,
    looked_through: Timestamp<DateTime<Utc>>,
    rules_digest: &str,
) -> Result<()> {
    let row = RunRow {
        run_id: work.run_id,
        as_of: Some(work.as_of),
        outcome: "completed",
        webhook_id: trigger.webhook_id(),
        summary: Some(Json(Summary::Completed(*work))),
        error: None,
        looked_through: Some(looked_through),
        rules_digest: Some(rules_digest),
    };
    transaction
        .commit_after(async |transaction| row.insert_row(transaction, trigger).await)
        .await
}

/// Completes the run's row with what delivery did, and commits. Not part of the pass.
pub(crate) async fn record_summary(transaction: Transaction, work: &Work) -> Result<()> {
    let sql = "UPDATE public.automation_runs SET summary = $2 WHERE id = $1";
    let summary = Json(Summary::Completed(*work));
    let parameters = [
        (&work.run_id as _, Type::UUID),
        (&summary as _, Type::JSONB),
    ];
    transaction
        .commit_after(async |transaction| transaction.execute(sql, &parameters).await)
        .await?;
    Ok(())
}

/// Completes the duration in the run's row, in one round trip.
pub(crate) async fn record_duration(
    database: &Database,
    work: &Work,
    deadline: Instant,
) -> Result<()> {
    let begin = Begin {
        until: Some(deadline),
        ..Begin::default()
    };
    let (run_id, milliseconds) = (work.run_id, work.duration_ms);
    let sql = format!(
        "UPDATE public.automation_runs SET summary =
              jsonb_set(summary, '{{duration_ms}}', '{milliseconds}')
          WHERE id = '{run_id}';
         COMMIT"
    );
    database.alone(&begin, &sql).await?;
    Ok(())
}

/// Records a pass that failed.
pub(crate) async fn record_failure(
    database: &Database,
    trigger: &Trigger,
    call: &Call,
    run_id: Uuid,
    error: &DatabaseError,
) -> Result<()> {
    let until = call.deadline.max(Instant::now() + RECORD_FAILURE_FOR);
    let (transaction, _) = database
        .begin(
            &Begin {
                until: Some(until),
                ..Begin::default()
            },
            "",
        )
        .await?;
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
    transaction
        .commit_after(async |transaction| row.insert_row(transaction, trigger).await)
        .await
}

/// Settles a COMMIT whose answer was lost: looks for its run row; where there is none, takes the
/// pass's lock, so that the transaction has ended one way or the other, and looks again.
pub(crate) async fn was_committed(
    database: &Database,
    run_id: Uuid,
    until: Instant,
) -> Result<bool> {
    let committed = has_row(database, run_id, "", until).await? || {
        let wait = SETTLE_FOR.as_millis();
        let lock =
            format!("SET LOCAL lock_timeout = {wait}; SELECT pg_advisory_xact_lock({PASS_LOCK})");
        has_row(database, run_id, &lock, until).await?
    };
    tracing::warn!(run.id = %run_id, committed, "looked for the run's row to settle a lost COMMIT");
    Ok(committed)
}

async fn has_row(database: &Database, run_id: Uuid, before: &str, until: Instant) -> Result<bool> {
    let begin = Begin {
        statement_timeout: SETTLE_FOR,
        until: Some(until),
        ..Begin::default()
    };
    let (transaction, _) = database.begin(&begin, before).await?;
    let sql = "SELECT EXISTS (SELECT FROM public.automation_runs WHERE id = $1) AS found";
    let found = transaction
        .query_one(sql, &[(&run_id, Type::UUID)])
        .await?
        .get("found");
    transaction.rollback().await?;
    Ok(found)
}
