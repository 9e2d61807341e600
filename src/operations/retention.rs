//! Deletes expired rows: a few small batches in a call's spare time, each in its own transaction.

use std::time::{Duration, Instant};

use futures_util::future;
use tokio_postgres::types::Type;

use crate::database::owner_functions::Liveness;
use crate::database::{Begin, Database, Result, Transaction, last_row};
use crate::operations::settings::RetentionSettings;
use crate::primitives::call::Call;

/// Rows of each table in one batch: a few milliseconds of work.
const BATCH: i64 = 1_000;
/// Batches in one call. A million rows are deleted in less than two hours.
const BATCHES: usize = 10;
/// No batch begins when less than this is left of the call.
const SPARE_TIME: Duration = Duration::from_secs(3);

const ANNOUNCE: &str = include_str!("announce_retention.sql");
const PRUNE: &str = include_str!("retention.sql");
/// Of the records of SMS, of soft bounces and of replies, which there are not before `migrate`.
const RECORDS_EXPIRED: &str = "
    OR (SELECT claimed_at FROM public.booking_automation_sms ORDER BY claimed_at LIMIT 1)
       < $1 - make_interval(secs => $5)
    OR (SELECT bounced_at FROM public.booking_automation_soft_bounces ORDER BY bounced_at LIMIT 1)
       < $1 - make_interval(secs => $6)
    OR (SELECT received_at FROM public.booking_automation_sms_replies ORDER BY received_at LIMIT 1)
       < $1 - make_interval(secs => $6)";

/// SQL of a boolean: has any row expired?
pub(crate) fn any_expired_sql(liveness: Liveness) -> String {
    let records = match liveness {
        Liveness::Unknown => "",
        Liveness::Known | Liveness::Singly => RECORDS_EXPIRED,
    };
    include_str!("any_expired.sql").to_owned() + records
}

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
    for table in AgedTable::all(retention) {
        if Instant::now() + SPARE_TIME < call.deadline {
            table.prune_and_log(database, call).await;
        }
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

/// A table of 0.3.0 whose rows are deleted by their age. Before `migrate`, there is none.
struct AgedTable {
    name: &'static str,
    key: &'static str,
    /// The column with the time from which a row's age counts.
    since: &'static str,
    kept_for: f64,
}

impl AgedTable {
    /// The answers of customers and the record of SMS are kept as long as events; soft bounces and
    /// replies to SMS at most as long as runs.
    fn all(retention: &RetentionSettings) -> [Self; 4] {
        let [events, runs] = seconds_kept(retention);
        [
            Self {
                name: "booking_automation_attendance",
                key: "booking_id",
                since: "answered_at",
                kept_for: events,
            },
            Self {
                name: "booking_automation_sms",
                key: "event_id",
                since: "claimed_at",
                kept_for: events,
            },
            Self {
                name: "booking_automation_soft_bounces",
                key: "message_id",
                since: "bounced_at",
                kept_for: runs,
            },
            Self {
                name: "booking_automation_sms_replies",
                key: "inbound_id",
                since: "received_at",
                kept_for: events,
            },
        ]
    }

    /// Deletes a batch. Returns how many rows.
    async fn prune(&self, database: &Database, call: &Call) -> Result<u64> {
        let Self {
            name, key, since, ..
        } = self;
        let is_known = format!("SELECT to_regclass('public.{name}') IS NOT NULL AS is_known");
        let (transaction, rows) = database
            .begin(&Begin::until(call.deadline), &is_known)
            .await?;
        if last_row(&rows).and_then(|row| row.get("is_known")) != Some("t") {
            transaction.rollback().await?;
            return Ok(0);
        }
        let parameters = [
            (&self.kept_for as _, Type::FLOAT8),
            (&BATCH as _, Type::INT8),
            (&call.as_of as _, Type::TIMESTAMPTZ),
        ];
        let sql = format!(
            "DELETE FROM public.{name}
              WHERE {key} IN (SELECT {key} FROM public.{name}
                               WHERE {since} < coalesce($3, now()) - make_interval(secs => $1)
                               ORDER BY {since} LIMIT $2)"
        );
        let prune = async |transaction: &Transaction| transaction.execute(&sql, &parameters).await;
        transaction.commit_after(prune).await
    }

    async fn prune_and_log(&self, database: &Database, call: &Call) {
        if let Err(error) = self.prune(database, call).await {
            tracing::warn!(
                error = error.loggable(),
                "old rows of {} could not be deleted",
                self.name
            );
        }
    }
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
