//! Delivery of webhooks: the endpoints take turns.
//!
//! A message is a row of the outbox, which triggers write in the transaction of the change that it
//! reports. It is claimed, sent and recorded like a mail. Mails share one provider and its rate,
//! but each subscription has its own endpoint, which may be slow, broken or gone. So the dispatcher
//! works in batches of one subscription each, several at a time, and an endpoint that fails gets no
//! further batch in this call.

use std::collections::VecDeque;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::channels::webhook::WebhookClient;
use crate::channels::webhook::egress::Egress;
use crate::channels::webhook::settings::WebhookSettings;
use crate::database::Database;
use crate::delivery::endpoint_lane::{EndpointLane, IN_FLIGHT, States, Window};
use crate::delivery::engine::take_turn;
use crate::delivery::figures::WebhookFigures;
use crate::delivery::tally::Tally;
use crate::delivery::webhook_outbox::WebhookOutbox;
pub(crate) use crate::delivery::webhook_outbox::{DUE, count_due};
use crate::primitives::call::Call;

/// Endpoints at once.
const LANES: usize = 16;
/// SQL of a boolean: is there any live subscription?
pub(crate) const ANY_SUBSCRIBED: &str = "EXISTS (SELECT FROM public.booking_automation_webhooks \
    WHERE is_active AND suspended_at IS NULL)";

/// SQL of a query of that.
pub(crate) fn any_subscribed_sql() -> String {
    format!("SELECT {ANY_SUBSCRIBED}")
}

/// Delivers webhooks.
#[derive(Debug)]
pub struct WebhookDispatcher {
    client: WebhookClient,
    settings: WebhookSettings,
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
        let subscriptions = match outbox.subscriptions().await {
            Ok(subscriptions) => subscriptions,
            Err(error) => {
                tracing::error!(
                    "webhooks were not sent, the outbox cannot be reached: {}",
                    error.loggable()
                );
                return WebhookFigures::default();
            }
        };
        let lanes = subscriptions.into_iter().map(|subscription| EndpointLane {
            client: &self.client,
            settings: &self.settings,
            outbox,
            subscription,
            window,
            tally: Tally::default(),
            states: States::default(),
            stop: call.stop.clone(),
        });
        let (mut queue, mut turns) = (VecDeque::from_iter(lanes), FuturesUnordered::new());
        let mut ended = Vec::new();
        loop {
            while turns.len() < LANES
                && Instant::now() < window.leave_by
                && !call.stop.is_cancelled()
                && let Some(mut lane) = queue.pop_front()
            {
                turns.push(async move { (take_turn(&mut lane, IN_FLIGHT).await, lane) });
            }
            match turns.next().await {
                Some((true, lane)) => queue.push_back(lane),
                Some((false, lane)) => ended.push(lane),
                None => break,
            }
        }
        let mut figures = WebhookFigures::default();
        // For those of the queue, the call has no time left.
        for lane in ended.into_iter().chain(queue) {
            figures.add(&lane.tally.figures());
        }
        figures
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
}
