//! What differs between the channels of the outbox: how fast a channel sends, and how it hands a
//! message over to its provider.

use std::time::Duration;

use uuid::Uuid;

use crate::channels::timing::Timing;
use crate::channels::{Channel, Outcome, TimeLimits};
use crate::delivery::outbox::Draft;
use crate::delivery::pages::LARGEST_PAGE;
use crate::messages::Message;

/// A channel that reaches people.
pub(crate) trait Messenger: Sync {
    /// Which one.
    fn channel(&self) -> Channel;

    /// Whether it is set up. Otherwise no message goes by it.
    fn is_set_up(&self) -> bool {
        true
    }

    /// The waits of its delivery.
    fn timing(&self) -> &Timing;

    /// Requests at once.
    fn in_flight(&self) -> usize;

    /// Messages per second, of all instances together.
    fn rate(&self) -> impl Future<Output = f64> + Send;

    /// How long an unknown outcome waits for the provider's own event.
    fn unknown_wait(&self) -> Duration;

    /// How long the provider asks to wait before it is tried again.
    fn asked_wait(&self) -> Duration {
        Duration::ZERO
    }

    /// Messages to one person in a day, at most.
    fn per_person(&self) -> i64 {
        i64::MAX
    }

    /// Whether the program reads answers by this channel, and answers a refusal with a link or a
    /// contact.
    fn takes_replies(&self, _has_links: bool) -> bool {
        false
    }

    /// The tokens of devices that have the app no more, since the last time.
    fn gone_tokens(&self) -> Vec<String> {
        Vec::new()
    }

    /// How long before the start a message leaves, at the latest.
    fn shortest_lead(&self) -> Duration {
        Duration::ZERO
    }

    /// Sends a message, once, which was made of this draft, and returns within these limits. What
    /// certainly has not left is no unknown outcome.
    fn send(
        &self,
        event_id: Uuid,
        draft: &Draft,
        message: &Message,
        limits: TimeLimits,
    ) -> impl Future<Output = Outcome> + Send;
}

/// A channel that is not set up: its messages go by the next one of their chain, or end.
pub(crate) struct NotSetUp {
    pub(crate) channel: Channel,
    pub(crate) timing: Timing,
}

impl Messenger for NotSetUp {
    fn channel(&self) -> Channel {
        self.channel
    }

    fn is_set_up(&self) -> bool {
        false
    }

    fn timing(&self) -> &Timing {
        &self.timing
    }

    fn in_flight(&self) -> usize {
        usize::from(u8::MAX)
    }

    async fn rate(&self) -> f64 {
        LARGEST_PAGE as f64
    }

    fn unknown_wait(&self) -> Duration {
        Duration::ZERO
    }

    async fn send(&self, _: Uuid, _: &Draft, _: &Message, _: TimeLimits) -> Outcome {
        Outcome::Deferred
    }
}
