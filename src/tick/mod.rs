//! One call: the pass, then delivery by mail and to webhooks, then the summary.

mod clock;
pub mod error;
mod overlap;
pub mod pass;
mod preconditions;
mod preview;
pub(crate) mod probe;
mod run_log;
pub mod settings;
pub mod summary;
mod sweep;
pub mod trigger;

use std::time::Instant;

use futures_util::future;

use crate::channels::email::sender::Sender;
use crate::database::{Begin, Database, Result};
use crate::delivery::webhooks::{self, WebhookDispatcher};
use crate::delivery::{self, Channels, Delivered, Messengers, Texter, claim_sql, flags, outbox};
use crate::messages::settings::MessageSettings;
use crate::operations::retention;
use crate::people::keys::LinkKeys;
use crate::primitives::call::Call;
use crate::tick::error::PassError;
use crate::tick::pass::{Committed, Pass};
use crate::tick::settings::PassSettings;
use crate::tick::summary::{Skip, Summary, TemplateFigures, Work};
use crate::tick::trigger::Trigger;

/// What a call works with, created once at start.
#[derive(Debug)]
pub struct Automation {
    database: Database,
    settings: PassSettings,
    messengers: Messengers,
    dispatcher: WebhookDispatcher,
    link_keys: LinkKeys,
}

impl Automation {
    /// Passes on `database`; `messengers` and `dispatcher` deliver.
    pub fn new(
        database: Database,
        settings: PassSettings,
        messengers: Messengers,
        dispatcher: WebhookDispatcher,
    ) -> Self {
        Self {
            database,
            settings,
            messengers,
            dispatcher,
            link_keys: LinkKeys::default(),
        }
    }

    pub(crate) fn settings(&self) -> &PassSettings {
        &self.settings
    }

    pub(crate) fn sender(&self) -> &Sender {
        &self.messengers.mailer.settings.from
    }

    pub(crate) fn messages(&self) -> &MessageSettings {
        &self.messengers.mailer.settings.messages
    }

    pub(crate) fn texter(&self) -> Option<&Texter> {
        self.messengers.texter.as_ref()
    }

    pub(crate) fn link_keys(&self) -> &LinkKeys {
        &self.link_keys
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }
}

/// Runs a pass and delivers what is due.
///
/// Do not drop this future before it ends: messages that were sent but not recorded yet would be
/// sent again. The call's deadline limits its time.
///
/// # Errors
/// When the pass failed. What goes wrong after its COMMIT is logged, and the summary has what is
/// known.
pub async fn run(
    automation: &Automation,
    trigger: &Trigger,
    call: &Call,
) -> std::result::Result<Summary, PassError> {
    let summary = pass_and_deliver(automation, trigger, call).await?;
    tracing::info!(
        outcome = summary.outcome(),
        trigger = trigger.as_str(),
        summary = serde_json::to_string(&summary).unwrap_or_default(),
        "the call ended"
    );
    Ok(summary)
}

async fn pass_and_deliver(
    automation: &Automation,
    trigger: &Trigger,
    call: &Call,
) -> std::result::Result<Summary, PassError> {
    let Automation {
        database, settings, ..
    } = automation;
    let started = Instant::now();
    let mut committed = match pass::run(database, settings, trigger, call).await {
        Ok(Pass::Committed(committed)) => committed,
        Err(error) => {
            // It may have read many bookings that are not live: the next pass need not.
            if error.is_too_slow() {
                sweep::mark_what_is_not_live(database, settings, call, false).await;
            }
            return Err(error);
        }
        Ok(Pass::Skipped(reason)) => {
            let (trigger, duration_ms) = (trigger.as_str(), milliseconds_since(started));
            return Ok(Summary::Skipped(Skip {
                reason,
                trigger,
                duration_ms,
            }));
        }
    };
    // The alarm on silence counts these lines.
    tracing::info!(pass = "committed", run.id = %committed.work.run_id, "the pass was committed");
    bound_waits(automation, call, &mut committed).await;
    let waiting = deliver(automation, call, &mut committed).await;
    let delivers = committed.channels.any() || committed.webhooks;
    if delivers {
        let work = &mut committed.work;
        work.duration_ms = milliseconds_since(started);
        if let Err(error) = record_delivery(database, work, waiting, call.deadline).await {
            let error = error.loggable();
            tracing::error!(error, "the run's summary could not be completed");
        }
    }
    let goes_on = follow_up(automation, call, &committed).await;
    let mut work = committed.work;
    work.duration_ms = milliseconds_since(started);
    // The summary was recorded before, since the rest may use up the call's time.
    if goes_on && let Err(error) = run_log::record_duration(database, &work, call.deadline).await {
        let error = error.loggable();
        tracing::warn!(error, "the run's duration could not be completed");
    }
    Ok(Summary::Completed(work))
}

/// Cuts waits and leases from before the clock was set back, if it was. What waits no longer is
/// delivered now.
async fn bound_waits(automation: &Automation, call: &Call, committed: &mut Committed) {
    if !committed.is_clock_set_back {
        return;
    }
    let Automation {
        database,
        messengers,
        dispatcher,
        ..
    } = automation;
    match clock::bound_waits(database, &messengers.mailer, dispatcher, call).await {
        Ok(0) => {}
        Ok(_) => (committed.channels, committed.webhooks) = (Channels::ALL, true),
        Err(error) => {
            let error = error.loggable();
            tracing::error!(
                error,
                "waits and leases from before the clock was set back could not be cut"
            );
        }
    }
}

/// What follows delivery: the flags on bookings, the sweep, and retention. Returns whether there
/// was any.
async fn follow_up(automation: &Automation, call: &Call, committed: &Committed) -> bool {
    let Automation {
        database, settings, ..
    } = automation;
    let sets_flags = committed.channels.any() || committed.flags_due;
    if sets_flags {
        flags::update_flags(database, call.deadline).await;
    }
    if committed.new_hour {
        sweep::mark_what_is_not_live(database, settings, call, true).await;
    }
    if committed.sweeps {
        sweep::sweep(database, settings, call, committed.work.run_id).await;
    }
    if committed.rows_expired {
        retention::delete_old_rows(database, &settings.retention, call).await;
    }
    sets_flags || committed.sweeps || committed.rows_expired
}

/// Delivers mail and webhooks side by side: neither waits for the other's endpoints. Returns how
/// many reminders were claimed and given back.
async fn deliver(automation: &Automation, call: &Call, committed: &mut Committed) -> i64 {
    let Automation {
        database,
        messengers,
        dispatcher,
        link_keys,
        ..
    } = automation;
    let Committed {
        channels,
        webhooks,
        delivery: access,
        ..
    } = *committed;
    let mails = async {
        if channels.any() {
            delivery::deliver(database, messengers, call, channels, access, link_keys).await
        } else {
            Delivered::default()
        }
    };
    let messages = async {
        if webhooks {
            Some(dispatcher.dispatch(database, call).await)
        } else {
            None
        }
    };
    let (mails, messages) = future::join(mails, messages).await;
    if channels.any() {
        committed.work.reminders.add(&mails.reminders);
        committed.work.held_back = mails.held_back;
        committed.work.templates = Some(mails.broken_templates)
            .filter(|broken| *broken > 0)
            .map(|broken| TemplateFigures { broken });
    }
    committed.work.webhooks = messages;
    mails.reminders.deferred
}

/// What a pass would do now. Reminders that would be sent count as `deferred`: due, and not sent by
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
    let mut work = preview::preview(database, settings, call).await?;
    work.duration_ms = milliseconds_since(started);
    Ok(Summary::DryRun(work))
}

/// Counts what delivery left, besides those that are `waiting`, and writes the summary into the
/// run's row.
async fn record_delivery(
    database: &Database,
    work: &mut Work,
    waiting: i64,
    deadline: Instant,
) -> Result<()> {
    let (transaction, _) = database
        .begin(
            &Begin {
                until: Some(deadline),
                ..Begin::default()
            },
            "",
        )
        .await?;
    let (backlog, claimable) =
        outbox::waiting_of_row(&transaction.query_one(claim_sql::WAITING, &[]).await?);
    if let Some(figures) = work.webhooks {
        let left = webhooks::count_due(&transaction).await?;
        work.webhooks = Some(figures.summed(left)).filter(|figures| figures.due > 0);
    }
    work.backlog = backlog;
    work.reminders.deferred = claimable + waiting;
    work.reminders = work.reminders.summed();
    run_log::record_summary(transaction, work).await
}

fn milliseconds_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
