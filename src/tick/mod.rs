//! One call: the pass, then delivery, by mail and to webhooks, then the summary.

pub mod call;
pub mod pass;
pub mod summary;

use std::time::Instant;

use futures_util::future;

use crate::config::PassSettings;
use crate::database::{Begin, Database, Result};
use crate::delivery::outbox;
use crate::delivery::webhooks::{self, Teller};
use crate::delivery::{self, Delivered, Mailer};
use crate::operations::retention;
use crate::tick::call::Call;
use crate::tick::pass::{Committed, Pass, PassError};
use crate::tick::summary::{Skip, Summary, Work};

/// What a call works with, made once at start, whatever fires the calls.
#[derive(Debug)]
pub struct Automation {
    database: Database,
    settings: PassSettings,
    mailer: Mailer,
    teller: Teller,
}

impl Automation {
    /// Passes on `database`, delivered by `mailer`; `teller` tells whoever subscribed.
    pub fn new(database: Database, settings: PassSettings, mailer: Mailer, teller: Teller) -> Self {
        Self { database, settings, mailer, teller }
    }

    pub(crate) fn settings(&self) -> &PassSettings {
        &self.settings
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }
}

/// Runs a pass and delivers what is due.
///
/// Dropped in the middle, it forgets what it has sent and not recorded yet, and that would be sent again: let
/// it come to its end, which the call's deadline sees to.
///
/// # Errors
/// When the pass failed. What goes wrong after it was committed is logged, and the summary tells what is
/// known.
pub async fn run(automation: &Automation, call: &Call) -> std::result::Result<Summary, PassError> {
    let summary = pass_and_deliver(automation, call).await?;
    tracing::info!(
        outcome = summary.outcome(),
        trigger = call.cause.trigger().as_str(),
        summary = serde_json::to_string(&summary).unwrap_or_default(),
        "the call ended"
    );
    Ok(summary)
}

async fn pass_and_deliver(automation: &Automation, call: &Call) -> std::result::Result<Summary, PassError> {
    let Automation { database, settings, mailer, teller } = automation;
    let started = Instant::now();
    let Committed { mut work, claimable, webhooks, flags_due, any_old, sweep } =
        match pass::run(database, settings, call).await? {
            Pass::Committed(committed) => committed,
            Pass::Skipped(reason) => {
                let duration_ms = milliseconds_since(started);
                return Ok(Summary::Skipped(Skip { reason, trigger: call.cause.trigger(), duration_ms }));
            }
        };
    // The alarm on silence counts these lines.
    tracing::info!(pass = "committed", run.id = %work.run_id, "the pass was committed");
    // Side by side: neither waits for the other's endpoints.
    let mails =
        async { if claimable { delivery::deliver(database, mailer, call).await } else { Delivered::default() } };
    let messages = async { if webhooks { Some(teller.tell(database, call).await) } else { None } };
    let (delivered, told) = future::join(mails, messages).await;
    if claimable {
        work.reminders.add(&delivered.reminders);
        work.held_back = delivered.held_back;
    }
    work.webhooks = told;
    let waiting = delivered.reminders.deferred;
    work.duration_ms = milliseconds_since(started);
    if (claimable || webhooks)
        && let Err(error) = conclude(database, &mut work, waiting, call.deadline).await
    {
        tracing::error!(error = error.loggable(), "the run's summary could not be completed");
    }
    if claimable || flags_due {
        delivery::project_flags(database, call.deadline).await;
    }
    if sweep {
        pass::sweep(database, call, work.run_id).await;
    }
    if any_old {
        retention::prune(database, settings.retention, call).await;
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

/// Counts what delivery left, besides those that are `waiting`, and writes the summary into the run's row.
async fn conclude(database: &Database, work: &mut Work, waiting: i64, deadline: Instant) -> Result<()> {
    let (transaction, _) = database.begin(&Begin { until: Some(deadline), ..Begin::default() }, "").await?;
    let (backlog, claimable) = outbox::waiting(&transaction.query_one(outbox::WAITING, &[]).await?, 0);
    if let Some(told) = work.webhooks {
        work.webhooks = Some(told.summed(webhooks::left(&transaction).await?)).filter(|told| told.due > 0);
    }
    work.backlog = backlog;
    work.reminders.deferred = claimable + waiting;
    work.reminders = work.reminders.summed();
    pass::record_summary(transaction, work).await
}

fn milliseconds_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
