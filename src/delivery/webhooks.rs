//! Delivery of webhooks: the endpoints take turns.
//!
//! A message is a row of the outbox, which triggers write in the transaction of the change that it
//! reports. It is claimed, sent and recorded like a mail. Mails share one provider and its rate,
//! but each subscription has its own endpoint, which may be slow, broken or gone. So the dispatcher
//! works in batches of one subscription each, several at a time, and an endpoint that fails gets no
//! further batch in this call.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};

use crate::channels::webhook::egress::Egress;
use crate::channels::webhook::settings::WebhookSettings;
use crate::channels::webhook::{Endpoint, WebhookClient, WebhookMessage, WebhookOutcome};
use crate::database::{Database, Result};
use crate::delivery::figures::WebhookFigures;
use crate::delivery::webhook_outbox::{ClaimedWebhook, RecordedBatch, WebhookOutbox};
pub(crate) use crate::delivery::webhook_outbox::{DUE, count_due};
use crate::primitives::call::Call;

/// Batches at once.
const BATCHES: usize = 16;
/// Requests at once to one endpoint.
const IN_FLIGHT: usize = 4;

/// SQL of a boolean: is there any live subscription?
pub(crate) const ANY_SUBSCRIBED: &str = "EXISTS (SELECT FROM public.booking_automation_webhooks \
    WHERE is_active AND suspended_at IS NULL)";

/// Delivers webhooks.
#[derive(Debug)]
pub struct WebhookDispatcher {
    client: WebhookClient,
    settings: WebhookSettings,
}

/// When a call's requests must leave, and how long each waits for its answer.
#[derive(Clone, Copy)]
struct Window {
    leave_by: Instant,
    answer_time: Duration,
}

/// The result of a batch.
struct DispatchedBatch {
    figures: WebhookFigures,
    /// Whether more messages may be due, and the endpoint accepts them.
    goes_on: bool,
}

impl WebhookDispatcher {
    /// Calls the endpoints that the settings allow.
    pub fn new(settings: WebhookSettings) -> Self {
        let egress = Egress::new(settings.allow_private.clone(), settings.timing.connect);
        let client = WebhookClient::new(egress);
        Self { client, settings }
    }

    pub(crate) fn settings(&self) -> &WebhookSettings {
        &self.settings
    }

    /// Delivers until nothing is due or the call's time is over. It never fails: errors are logged
    /// and stored in the outbox.
    pub(crate) async fn dispatch(&self, database: &Database, call: &Call) -> WebhookFigures {
        let window = self.sending_window(call.deadline);
        let outbox = &WebhookOutbox::new(database, call, &self.settings);
        let mut queue = match outbox.subscriptions().await {
            Ok(subscriptions) => VecDeque::from(subscriptions),
            Err(error) => {
                tracing::error!(
                    "webhooks were not sent, the outbox cannot be reached: {}",
                    error.loggable()
                );
                return WebhookFigures::default();
            }
        };
        let mut figures = WebhookFigures::default();
        let mut batches = FuturesUnordered::new();
        loop {
            while batches.len() < BATCHES
                && Instant::now() < window.leave_by
                && !call.stop.is_cancelled()
                && let Some(subscription) = queue.pop_front()
            {
                batches.push(async move {
                    let ended = self.dispatch_batch(outbox, &subscription, window).await;
                    (subscription, ended)
                });
            }
            let Some((subscription, ended)) = batches.next().await else {
                return figures;
            };
            match ended {
                Ok(batch) => {
                    figures.add(&batch.figures);
                    if batch.goes_on {
                        queue.push_back(subscription);
                    }
                }
                Err(error) => {
                    tracing::error!(
                        webhook.id = subscription,
                        "a webhook's batch ended early: {}",
                        error.loggable()
                    );
                }
            }
        }
    }

    /// A request that leaves late in a call must still be answered and recorded: half of the call
    /// is reserved for that, or as long as an answer may take.
    fn sending_window(&self, deadline: Instant) -> Window {
        let left = deadline
            .saturating_duration_since(Instant::now())
            .saturating_sub(self.settings.timing.recording);
        let answer_time = self.settings.timing.request.min(left / 2);
        Window {
            leave_by: Instant::now() + (left - answer_time),
            answer_time,
        }
    }

    /// Claims, sends and records a batch of one subscription.
    async fn dispatch_batch(
        &self,
        outbox: &WebhookOutbox<'_>,
        subscription: &str,
        window: Window,
    ) -> Result<DispatchedBatch> {
        let read_at = Instant::now();
        let batch = outbox
            .claim_batch(subscription, self.settings.timing.lease)
            .await?;
        let mut figures = WebhookFigures {
            skipped: batch.skipped,
            failed: batch.failed,
            ..WebhookFigures::default()
        };
        let Some(endpoint) = batch.endpoint.filter(|_| !batch.messages.is_empty()) else {
            return Ok(DispatchedBatch {
                figures,
                goes_on: batch.skipped + batch.failed > 0,
            });
        };
        // A lease outlasts the last request of a batch and its record.
        let window = Window {
            leave_by: window.leave_by.min(read_at + self.settings.timing.request),
            ..window
        };
        let outcomes = self
            .send_batch(outbox.call, &endpoint, batch.messages, window)
            .await;
        let recorded = self.record_batch(outbox, subscription, &outcomes).await?;
        log_outcomes(subscription, &outcomes, &recorded);
        figures.sent += recorded.completed;
        figures.failed += recorded.failed;
        figures.retrying += recorded.retrying;
        let reached = !outcomes
            .iter()
            .any(|(_, outcome)| outcome.is_of_the_endpoint());
        let is_alive = outcomes.iter().any(|(_, outcome)| outcome.is_alive());
        // If the endpoint did not prove to be there, the next call tries again.
        Ok(DispatchedBatch {
            figures,
            goes_on: recorded.count > 0 && is_alive && reached && !recorded.suspended,
        })
    }

    /// Sends a batch, with a limited number of requests at a time; every message gets an outcome.
    /// If the endpoint cannot be reached or does not answer, the rest is not tried.
    async fn send_batch(
        &self,
        call: &Call,
        endpoint: &Endpoint,
        messages: Vec<ClaimedWebhook>,
        window: Window,
    ) -> Vec<(ClaimedWebhook, WebhookOutcome)> {
        let unreached = &AtomicBool::new(false);
        let sends = messages.into_iter().map(|claimed| async move {
            if unreached.load(Ordering::Relaxed)
                || call.stop.is_cancelled()
                || Instant::now() >= window.leave_by
            {
                return (claimed, WebhookOutcome::Deferred);
            }
            let message = WebhookMessage {
                message_id: &claimed.message_id,
                body: &claimed.body,
            };
            let outcome = self
                .client
                .send(endpoint, &message, window.answer_time)
                .await;
            if outcome.is_of_the_endpoint() {
                unreached.store(true, Ordering::Relaxed);
            }
            (claimed, outcome)
        });
        stream::iter(sends)
            .buffer_unordered(IN_FLIGHT)
            .collect()
            .await
    }

    /// Records outcomes, and retries until the call's end: a message whose outcome cannot be
    /// recorded is sent again when its lease has run out.
    async fn record_batch(
        &self,
        outbox: &WebhookOutbox<'_>,
        subscription: &str,
        outcomes: &[(ClaimedWebhook, WebhookOutcome)],
    ) -> Result<RecordedBatch> {
        let (mut pause, longest) = self.settings.timing.record_pauses;
        loop {
            let error = match outbox.record_batch(subscription, outcomes).await {
                Err(error) if Instant::now() + pause < outbox.call.deadline => error,
                ended => return ended,
            };
            tracing::warn!(
                error = error.loggable(),
                "outcomes of a webhook could not be recorded; trying again"
            );
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}

fn log_outcomes(
    subscription: &str,
    outcomes: &[(ClaimedWebhook, WebhookOutcome)],
    recorded: &RecordedBatch,
) {
    let stale = outcomes.len() as i64 - recorded.count;
    if stale > 0 {
        tracing::warn!(
            webhook.id = subscription,
            outcomes.stale = stale,
            "stale outcomes were not recorded: other senders have claimed their messages since"
        );
    }
    let failures: Vec<_> = outcomes
        .iter()
        .filter_map(|(_, outcome)| outcome.failure())
        .collect();
    if let Some((reason, _)) = failures.first() {
        tracing::warn!(
            webhook.id = subscription,
            reason = reason.as_str(),
            failures = failures.len(),
            "a webhook did not accept everything; tried again later"
        );
    }
    if recorded.suspended {
        tracing::warn!(
            webhook.id = subscription,
            "a webhook is suspended, because it accepts nothing any more: \
             UPDATE public.booking_automation_webhooks SET suspended_at = NULL resumes it"
        );
    }
}
