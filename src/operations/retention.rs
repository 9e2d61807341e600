//! What is over is forgotten: a few small batches in a call's spare time, each a transaction of its own.

use std::time::{Duration, Instant};

use futures_util::future;
use tokio_postgres::types::Type;

use crate::database::{Begin, Database, Result, Transaction};
use crate::tick::call::Call;

/// How long runs are kept; events, where that is less.
const KEEP_RUNS: Duration = Duration::from_secs(30 * 24 * 3600);
/// Rows of each table in one batch: some milliseconds' work.
const BATCH: i64 = 1_000;
/// Batches in one call. A million rows are forgotten in less than two hours.
const BATCHES: usize = 10;
/// Nothing is begun when less than this is left of the call.
const SPARE_TIME: Duration = Duration::from_secs(3);

/// The day's row among the erasures, where there is anything to delete: without it the trail refuses. `$1` seconds that events
/// are kept, `$2` the moment to judge by.
const SAY_SO: &str = "
    INSERT INTO booking_automation_erasures (kind, day, at, transaction)
    SELECT 'retention', (now.at AT TIME ZONE 'UTC')::date, now.at, pg_current_xact_id()
      FROM (SELECT coalesce($2, now()) AS at) AS now
     WHERE EXISTS (SELECT FROM booking_automation_events
                    WHERE greatest(created_at, starts_at) < now.at - make_interval(secs => $1)
                      AND status IN ('completed', 'failed', 'skipped'))
        ON CONFLICT (day) WHERE kind = 'retention' DO UPDATE SET at = excluded.at, transaction = excluded.transaction";
const PRUNE: &str = include_str!("retention.sql");

/// SQL of a boolean: is there anything to forget at `$1`? `$5` and `$6` are the seconds that events and runs are kept.
pub(crate) const ANY_OLD: &str = "
    EXISTS (SELECT FROM booking_automation_events
             WHERE greatest(created_at, starts_at) < $1 - make_interval(secs => $5)
               AND status IN ('completed', 'failed', 'skipped'))
    OR (SELECT created_at FROM booking_automation_feedback ORDER BY id LIMIT 1) < $1 - make_interval(secs => $5)
    OR (SELECT created_at FROM automation_runs ORDER BY created_at LIMIT 1) < $1 - make_interval(secs => $6)
    OR (SELECT created_at FROM booking_automation_requests ORDER BY created_at LIMIT 1) < $1 - interval '24 hours'";

/// Seconds that events and runs are kept.
pub(crate) fn kept(retention: Duration) -> [f64; 2] {
    [retention.as_secs_f64(), retention.min(KEEP_RUNS).as_secs_f64()]
}

/// Forgets what is older than `retention`. What goes wrong is logged, and tried again by the next pass.
pub(crate) async fn prune(database: &Database, retention: Duration, call: &Call) {
    for _ in 0..BATCHES {
        if Instant::now() + SPARE_TIME >= call.deadline || call.stop.is_cancelled() {
            return;
        }
        match prune_batch(database, retention, call).await {
            Ok(rows) if rows.contains(&BATCH) => {}
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(error = error.loggable(), "old events and runs could not be deleted");
                return;
            }
        }
    }
}

async fn prune_batch(database: &Database, retention: Duration, call: &Call) -> Result<[i64; 4]> {
    let (transaction, _) =
        database.begin(&Begin { as_of: call.as_of, until: Some(call.deadline), ..Begin::default() }, "").await?;
    let [events, runs] = kept(retention);
    let parameters = [
        (&events as _, Type::FLOAT8),
        (&runs as _, Type::FLOAT8),
        (&BATCH as _, Type::INT8),
        (&call.as_of as _, Type::TIMESTAMPTZ),
    ];
    let say_so = [(&events as _, Type::FLOAT8), (&call.as_of as _, Type::TIMESTAMPTZ)];
    let prune = async |transaction: &Transaction| {
        let (said, pruned) =
            future::join(transaction.execute(SAY_SO, &say_so), transaction.query_one(PRUNE, &parameters)).await;
        said.and(pruned)
    };
    let row = transaction.commit_after(prune).await?;
    Ok([row.get(0), row.get(1), row.get(2), row.get(3)])
}
