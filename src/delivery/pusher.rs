//! The pusher: sends push messages to the devices of people.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::channels::push::settings::PushSettings;
use crate::channels::push::{Push, PushMessage};
use crate::channels::timing::Timing;
use crate::channels::{Channel, Outcome, TimeLimits};
use crate::delivery::messenger::Messenger;
use crate::delivery::outbox::Draft;
use crate::messages::{Kind, Message};

/// Requests at once.
const IN_FLIGHT: usize = 16;
/// Messages per second, of all instances together: far below what FCM allows a project.
const RATE: f64 = 500.0;

/// Sends push messages: the provider, and the settings.
#[derive(Debug)]
pub struct Pusher {
    settings: PushSettings,
    push: Push,
    /// Tokens of devices that have the app no more.
    gone: Mutex<Vec<String>>,
    /// FCM asks to wait until then.
    wait_until: Mutex<Option<Instant>>,
}

impl Pusher {
    /// Sends through the account in the settings.
    pub fn new(settings: PushSettings) -> Self {
        Self {
            push: Push::new(&settings),
            settings,
            gone: Mutex::default(),
            wait_until: Mutex::default(),
        }
    }
}

impl Messenger for Pusher {
    fn channel(&self) -> Channel {
        Channel::Push
    }

    fn timing(&self) -> &Timing {
        &self.settings.timing
    }

    fn in_flight(&self) -> usize {
        IN_FLIGHT
    }

    async fn rate(&self) -> f64 {
        RATE
    }

    /// FCM sends no events.
    fn unknown_wait(&self) -> Duration {
        Duration::ZERO
    }

    fn asked_wait(&self) -> Duration {
        let until = *lock(&self.wait_until);
        until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    async fn send(
        &self,
        event_id: Uuid,
        draft: &Draft,
        message: &Message,
        limits: TimeLimits,
    ) -> Outcome {
        let Draft {
            kind,
            facts,
            tokens,
            ..
        } = draft;
        let is_about_one = !matches!(kind, Kind::Digest(_) | Kind::GroupedReminder(_));
        let tokens: Vec<_> = tokens.iter().map(String::as_str).collect();
        let push = PushMessage {
            event_id,
            booking_id: is_about_one.then_some(facts.booking_id),
            title: &message.subject,
            body: &message.short,
            link: message.link.as_deref(),
            starts_at: draft.start,
            at: draft.at,
            read_at: draft.read_at,
        };
        let sent = self.push.send(&tokens, &push, limits).await;
        lock(&self.gone).extend(sent.gone.iter().map(|&token| token.to_owned()));
        if let Some(wait) = sent.retry_after {
            let mut until = lock(&self.wait_until);
            *until = (*until).max(Some(Instant::now() + wait));
        }
        sent.outcome
    }

    fn gone_tokens(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.gone))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
