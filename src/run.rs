//! One call: the pass, then delivery, then the summary.

use std::time::Instant;

use crate::config::PassSettings;
use crate::database::{Begin, Database, Result};
use crate::delivery::{self, Mailer};
use crate::outbox;
use crate::pass::{self, Call, Committed, Pass, PassError};
use crate::summary::{Skip, SkipReason, Summary, Work};

/// Runs a pass and delivers what is due.
///
/// # Errors
/// When the pass failed. What goes wrong after it was committed is logged, and the summary tells what is
/// known.
pub async fn run(
    database: &Database,
    settings: &PassSettings,
    mailer: &Mailer<'_>,
    call: &Call,
) -> std::result::Result<Summary, PassError> {
    let started = Instant::now();
    let committed = match pass::run(database, settings, call).await? {
        Pass::Committed(committed) => committed,
        Pass::Overlap => {
            let duration_ms = milliseconds_since(started);
            return Ok(Summary::Skipped(Skip { reason: SkipReason::Overlap, trigger: call.trigger, duration_ms }));
        }
    };
    let Committed { mut work, claimable, flags_due } = committed;
    if claimable {
        let delivered = delivery::deliver(database, mailer, call).await;
        work.reminders.add(&delivered);
    }
    if claimable || flags_due {
        delivery::project_flags(database, call.deadline).await;
    }
    work.duration_ms = milliseconds_since(started);
    if claimable && let Err(error) = conclude(database, &mut work).await {
        tracing::error!(error = error.loggable(), "the run's summary could not be completed");
    }
    Ok(Summary::Completed(work))
}

/// What a pass would do now. Reminders that would be sent are told as `deferred`: due, and not sent by
/// this call.
///
/// # Errors
/// As [`run`].
pub async fn dry_run(
    database: &Database,
    settings: &PassSettings,
    call: &Call,
) -> std::result::Result<Summary, PassError> {
    let started = Instant::now();
    let mut work = pass::preview(database, settings, call).await?;
    work.duration_ms = milliseconds_since(started);
    Ok(Summary::DryRun(work))
}

/// Counts what delivery left, and writes the summary into the run's row.
async fn conclude(database: &Database, work: &mut Work) -> Result<()> {
    let (transaction, _) = database.begin(&Begin::default(), "").await?;
    let (backlog, claimable) = outbox::waiting(&transaction.query_one(outbox::WAITING, &[]).await?, 0);
    work.backlog = backlog;
    work.reminders.deferred = claimable;
    work.reminders = work.reminders.summed();
    pass::record_summary(transaction, work).await
}

fn milliseconds_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
