//! The lane of a webhook: the messages of one subscription, to one endpoint.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::channels::Outcome;
use crate::channels::webhook::settings::WebhookSettings;
use crate::channels::webhook::{Endpoint, EndpointState, WebhookClient, WebhookMessage};
use crate::database::DatabaseError;
use crate::delivery::engine::{Carrier, Claim, Claimed, Lane, Pace, Page, Sent};
use crate::delivery::outcomes::{PageOutcomes, RecordRetries};
use crate::delivery::tally::Tally;
use crate::delivery::webhook_outbox::{RecordedBatch, WebhookBody, WebhookOutbox};

/// Requests at once to one endpoint.
pub(crate) const IN_FLIGHT: usize = 4;

/// When a call's requests must leave, and how long each waits for its answer.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) leave_by: Instant,
    pub(crate) answer_time: Duration,
}

/// The messages of one subscription in one call.
pub(crate) struct EndpointLane<'a> {
    pub(crate) client: &'a WebhookClient,
    pub(crate) settings: &'a WebhookSettings,
    pub(crate) outbox: &'a WebhookOutbox<'a>,
    pub(crate) subscription: String,
    pub(crate) window: Window,
    pub(crate) tally: Tally,
    pub(crate) states: States,
    pub(crate) stop: CancellationToken,
}

/// Sends one page to an endpoint.
pub(crate) struct EndpointCarrier<'a> {
    client: &'a WebhookClient,
    endpoint: Endpoint,
    answer_time: Duration,
    states: States,
    stop: CancellationToken,
}

/// What the requests of a page showed about the endpoint.
#[derive(Clone, Default)]
pub(crate) struct States(Arc<Mutex<Vec<EndpointState>>>);

impl States {
    fn lock(&self) -> MutexGuard<'_, Vec<EndpointState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Carrier for EndpointCarrier<'_> {
    type Content = WebhookBody;

    fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    async fn send(&self, claimed: &Claimed<WebhookBody>) -> Outcome {
        let message = WebhookMessage {
            message_id: &claimed.content.message_id,
            body: &claimed.content.body,
        };
        let sending = self.client.send(&self.endpoint, &message, self.answer_time);
        let (outcome, state) = sending.await;
        // If the endpoint cannot be reached or does not answer, the rest is not tried.
        if state.stops_page() {
            self.stop.cancel();
        }
        self.states.lock().push(state);
        outcome
    }
}

impl<'a> Lane for EndpointLane<'a> {
    type Carrier = EndpointCarrier<'a>;

    fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    async fn claim(&mut self, _is_ahead: bool) -> Claim<EndpointCarrier<'a>> {
        let read_at = Instant::now();
        let timing = &self.settings.timing;
        let claimed = self.outbox.claim_batch(&self.subscription, timing.lease);
        let page = match claimed.await {
            Ok(page) => page,
            Err(error) => return Claim::Failed(error),
        };
        self.tally.add_ended(&page.ended);
        let endpoint = page.endpoint.filter(|_| !page.messages.is_empty());
        let Some(endpoint) = endpoint else {
            return match page.ended.ids.is_empty() {
                true => Claim::End,
                false => Claim::Again,
            };
        };
        self.states = States::default();
        Claim::Page(Page {
            claim_ahead: None,
            carrier: EndpointCarrier {
                client: self.client,
                endpoint,
                answer_time: self.window.answer_time,
                states: self.states.clone(),
                stop: self.stop.child_token(),
            },
            messages: page.messages,
            pace: Pace {
                begins_at: read_at,
                per_second: f64::INFINITY,
                // A lease outlasts the last request of a page and its record.
                leave_by: self.window.leave_by.min(read_at + timing.request),
            },
        })
    }

    /// If the endpoint did not prove to be there, the next call tries again.
    async fn record(&mut self, sent: Sent<WebhookBody>) -> bool {
        let mut outcomes = PageOutcomes::default();
        for (claimed, outcome) in &sent {
            let wait = self.outbox.wait_after(claimed.attempt, outcome);
            outcomes.push(claimed.events(), outcome, wait, false);
            self.tally.add_outcome(claimed.id, outcome);
        }
        let states = self.states.lock().clone();
        let Some(recorded) = self.record_page(&outcomes, &states).await else {
            return false;
        };
        self.log_outcomes(&sent, recorded.suspended);
        !recorded.outcomes.is_empty()
            && !recorded.suspended
            && states.contains(&EndpointState::Alive)
            && !states.iter().any(|state| state.stops_page())
    }

    fn log_stop(&self, error: &DatabaseError) {
        tracing::error!(
            webhook.id = self.subscription,
            "a webhook's batch ended early: {}",
            error.loggable()
        );
    }
}

impl EndpointLane<'_> {
    /// Records outcomes until that succeeds or the call is over.
    async fn record_page(
        &mut self,
        outcomes: &PageOutcomes,
        states: &[EndpointState],
    ) -> Option<RecordedBatch> {
        let mut retries = RecordRetries::new(&self.settings.timing, self.outbox.call.deadline);
        let mut again = false;
        loop {
            let record = self
                .outbox
                .record_batch(&self.subscription, outcomes, states);
            match record.await {
                Ok(recorded) => {
                    self.tally.add_recorded(outcomes, &recorded.outcomes, again);
                    return Some(recorded);
                }
                Err(error) if retries.wait_after(&error, outcomes).await => again = true,
                Err(error) => {
                    self.log_stop(&error);
                    return None;
                }
            }
        }
    }

    fn log_outcomes(&self, sent: &Sent<WebhookBody>, suspended: bool) {
        let failures: Vec<_> = sent
            .iter()
            .filter_map(|(_, outcome)| match outcome {
                Outcome::NotSent { reason, .. } => Some(reason),
                _ => None,
            })
            .collect();
        if let Some(reason) = failures.first() {
            tracing::warn!(
                webhook.id = self.subscription,
                reason = reason.as_str(),
                failures = failures.len(),
                "a webhook did not accept everything; tried again later"
            );
        }
        if suspended {
            tracing::warn!(
                webhook.id = self.subscription,
                "a webhook is suspended, because it accepts nothing any more: \
                 UPDATE public.booking_automation_webhooks SET suspended_at = NULL resumes it"
            );
        }
    }
}
