//! Deletes expired rows: a few small batches in a call's spare time, each in its own transaction.

use std::time::{Duration, Instant};

use futures_util::future;
use tokio_postgres::types::Type;

use crate::database::{Begin, Database, Result, Transaction, last_row};
use crate::operations::settings::RetentionSettings;
use crate::people::attendance;
use crate::primitives::call::Call;

/// Rows of each table in one batch: a few milliseconds of work.
const BATCH: i64 = 1_000;
/// Batches in one call. A million rows are deleted in less than two hours.
const BATCHES: usize = 10;
/// No batch begins when less than this is left of the call.
const SPARE_TIME: Duration = Duration::from_secs(3);

const ANNOUNCE: &str = include_str!("announce_retention.sql");
const PRUNE: &str = include_str!("retention.sql");
/// SQL of a boolean.
pub(crate) const ANY_EXPIRED: &str = include_str!("any_expired.sql");

/// Seconds that events and runs are kept.
pub(crate) fn seconds_kept(retention: &RetentionSettings) -> [f64; 2] {
    [
        retention.events.as_secs_f64(),
        retention.runs_kept_for().as_secs_f64(),
    ]
}

/// Deletes expired rows. A failure is logged, and the next pass tries again.
pub(crate) async fn delete_old_rows(
    database: &Database,
    retention: &RetentionSettings,
    call: &Call,
) {
    if Instant::now() + SPARE_TIME < call.deadline {
        prune_attendance_and_log(database, retention, call).await;
    }
    for _ in 0..BATCHES {
        if Instant::now() + SPARE_TIME >= call.deadline || call.stop.is_cancelled() {
            return;
        }
        match prune_batch(database, retention, call).await {
            Ok(rows) if rows.contains(&BATCH) => {}
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(
                    error = error.loggable(),
                    "old events and runs could not be deleted"
                );
                return;
            }
        }
    }
}

/// Deletes a batch of answers that are as old as the oldest events.
async fn prune_attendance_and_log(database: &Database, retention: &RetentionSettings, call: &Call) {
    if let Err(error) = prune_attendance(database, retention, call).await {
        tracing::warn!(
            error = error.loggable(),
            "old answers about attendance could not be deleted"
        );
    }
}

async fn prune_attendance(
    database: &Database,
    retention: &RetentionSettings,
    call: &Call,
) -> Result<()> {
    let is_known = format!("SELECT {} AS is_known", attendance::IS_KNOWN);
    let (transaction, rows) = database
        .begin(&Begin::until(call.deadline), &is_known)
        .await?;
    // Before `migrate`, there are none.
    if last_row(&rows).and_then(|row| row.get("is_known")) != Some("t") {
        return transaction.rollback().await;
    }
    let [events, _] = seconds_kept(retention);
    let parameters = [
        (&events as _, Type::FLOAT8),
        (&BATCH as _, Type::INT8),
        (&call.as_of as _, Type::TIMESTAMPTZ),
    ];
    let prune = async |transaction: &Transaction| {
        let sql = "DELETE FROM public.booking_automation_attendance
                    WHERE booking_id IN (SELECT booking_id FROM public.booking_automation_attendance
                                          WHERE answered_at
                                                < coalesce($3, now()) - make_interval(secs => $1)
                                          ORDER BY answered_at LIMIT $2)";
        transaction.execute(sql, &parameters).await.map(|_| ())
    };
    transaction.commit_after(prune).await
}

/// Returns how many rows of each table it deleted.
async fn prune_batch(
    database: &Database,
    retention: &RetentionSettings,
    call: &Call,
) -> Result<[i64; 4]> {
    let begin = Begin {
        as_of: call.as_of,
        until: Some(call.deadline),
        ..Begin::default()
    };
    let (transaction, _) = database.begin(&begin, "").await?;
    let [events, runs] = seconds_kept(retention);
    let parameters = [
        (&events as _, Type::FLOAT8),
        (&runs as _, Type::FLOAT8),
        (&BATCH as _, Type::INT8),
        (&call.as_of as _, Type::TIMESTAMPTZ),
    ];
    let announcement = [
        (&events as _, Type::FLOAT8),
        (&call.as_of as _, Type::TIMESTAMPTZ),
    ];
    let prune = async |transaction: &Transaction| {
        let announce = transaction.execute(ANNOUNCE, &announcement);
        let (announced, pruned) =
            future::join(announce, transaction.query_one(PRUNE, &parameters)).await;
        announced.and(pruned)
    };
    let row = transaction.commit_after(prune).await?;
    Ok(["events", "feedback", "runs", "requests"].map(|table| row.get(table)))
}
