//! The lane of a channel: all instances share the rate of its account.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::channels::{Outcome, TimeLimits};
use crate::database::{Database, DatabaseError};
use crate::delivery::aftermath::forget_devices;
use crate::delivery::candidates::ClaimLimits;
use crate::delivery::engine::{Claim, Claimed, Lane, Pace, Page, Sent};
use crate::delivery::message_carrier::MessageCarrier;
use crate::delivery::messenger::Messenger;
use crate::delivery::outbox::{Draft, MessagePage};
use crate::delivery::outcomes::PageOutcomes;
use crate::delivery::pages::{DeliveryPages, LARGEST_PAGE};
use crate::delivery::preparation::Preparation;
use crate::messages::settings::MessageSettings;
use crate::primitives::call::Call;
use crate::reminders::Reason;

/// What all channels of a call share.
#[derive(Clone, Copy)]
pub(crate) struct Delivery<'a> {
    pub(crate) settings: &'a MessageSettings,
    pub(crate) prepared: &'a Preparation,
    pub(crate) database: &'a Database,
    pub(crate) call: &'a Call,
    pub(crate) stop_sending: Instant,
}

/// The messages of one channel in one call.
pub(crate) struct MessageLane<'a, M> {
    messenger: &'a M,
    delivery: Delivery<'a>,
    pub(crate) pages: DeliveryPages<'a>,
    limits: ClaimLimits,
    /// Whether messages are to go by the next channel of their chain.
    pub(crate) moved_on: bool,
    /// Why the account cannot send, where it cannot.
    pub(crate) held_back: Option<Reason>,
    /// The account could not send when the latest page was claimed.
    pub(crate) was_held: bool,
    /// One message was tried on a held account, and its outcome says nothing about the account: the
    /// next call tries another.
    probed: bool,
    /// Cancelled when the process must stop, or the account cannot send or has to wait.
    stop: CancellationToken,
    speed: Speed,
}

/// How many have left.
struct Speed {
    /// Mails, and messages in them.
    left: (usize, usize),
    /// Since when.
    since: Instant,
    /// Mails per second, at the latest measurement; zero: there was none.
    per_second: f64,
}

/// Shortest time of a measurement.
const MEASURED_FOR: Duration = Duration::from_millis(100);

impl<'a, M: Messenger> MessageLane<'a, M> {
    /// `rate`: messages per second.
    pub(crate) fn new(messenger: &'a M, delivery: Delivery<'a>, rate: f64) -> Self {
        let (timing, call) = (messenger.timing(), delivery.call);
        Self {
            messenger,
            delivery,
            pages: DeliveryPages::new(messenger.channel(), delivery.database, call, timing),
            limits: first_limits(messenger, rate, call),
            moved_on: false,
            held_back: None,
            was_held: false,
            probed: false,
            stop: call.stop.child_token(),
            speed: Speed {
                left: (0, 0),
                since: Instant::now(),
                per_second: 0.0,
            },
        }
    }

    /// Whether another page may be claimed.
    fn goes_on(&self) -> bool {
        !self.probed
            && self.held_back.is_none()
            && !self.stop.is_cancelled()
            && Instant::now() < self.delivery.stop_sending
    }

    /// What follows a page without messages.
    fn without_messages(&self, page: &MessagePage) -> Claim<MessageCarrier<'a, M>> {
        if page.is_without_channel {
            tracing::error!(
                "messages cannot be sent by {channel}: its row in booking_automation_channels, by \
                 which all instances share the rate, is missing: \
                 INSERT INTO public.booking_automation_channels (channel) VALUES ('{channel}')",
                channel = self.messenger.channel(),
            );
            return Claim::End;
        }
        if !page.is_empty() {
            return Claim::Again;
        }
        let free_at = Instant::now() + page.free_in;
        match page.room < 1.0 && free_at < self.delivery.stop_sending {
            true => Claim::Wait(free_at),
            false => Claim::End,
        }
    }

    /// When so many messages of a page wait, the next one is claimed. A message that tests the
    /// account is alone, and what leaves at once needs no other page.
    fn claim_ahead(&self, page: &MessagePage) -> Option<usize> {
        let time = self.messenger.timing().claim_ahead.as_secs_f64();
        let ahead = (self.speed.per_second * time) as usize;
        Some(ahead).filter(|_| !page.held && page.messages.len() > self.messenger.in_flight())
    }

    /// Measures the speed, and claims as many messages as leave within a page's time.
    fn measure(&mut self, sent: &Sent<Draft>) {
        let speed = &mut self.speed;
        for (claimed, outcome) in sent {
            if *outcome != Outcome::Deferred {
                speed.left.0 += 1;
                speed.left.1 += claimed.events().count();
            }
        }
        let took = speed.since.elapsed();
        if speed.per_second > 0.0 && took < MEASURED_FOR {
            return;
        }
        let per_second = |count: usize| count as f64 / took.as_secs_f64().max(0.001);
        let (mails, messages) = speed.left;
        // The last of a page that is claimed ahead leaves as soon after its facts were read.
        let timing = self.messenger.timing();
        let page_time = timing.page.saturating_sub(timing.claim_ahead).as_secs_f64();
        *speed = Speed {
            left: (0, 0),
            since: Instant::now(),
            per_second: per_second(mails),
        };
        let at_once = i64::try_from(self.messenger.in_flight()).unwrap_or(1);
        let messages = (per_second(messages) * page_time) as i64;
        self.limits.messages = messages.clamp(at_once, LARGEST_PAGE);
    }

    /// The outcomes, to be recorded, and counts them.
    fn outcomes_of(&mut self, sent: &Sent<Draft>) -> PageOutcomes {
        let mut outcomes = PageOutcomes::default();
        for (claimed, outcome) in sent {
            let wait = wait_after(outcome, claimed, self.messenger);
            let is_zone_unknown = claimed.content.facts.is_zone_unknown();
            let account = outcomes.account;
            outcomes.push(claimed.events(), outcome, wait, is_zone_unknown);
            // That the account can send matters only after it could not.
            if outcomes.account == Some(Ok(())) && !claimed.content.tests_account {
                outcomes.account = account;
            }
            for (id, _) in claimed.events() {
                self.pages.tally.add_outcome(id, outcome);
            }
        }
        outcomes
    }
}

impl<'a, M: Messenger> Lane for MessageLane<'a, M> {
    type Carrier = MessageCarrier<'a, M>;

    fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    async fn claim(&mut self, is_ahead: bool) -> Claim<MessageCarrier<'a, M>> {
        if !self.goes_on() {
            self.pages.withdraw_claim().await;
            return Claim::End;
        }
        let timing = self.messenger.timing();
        // Taken before the claim reads, so that the facts sent are no older than this.
        let read_at = Instant::now();
        let leave_by = (read_at + timing.fresh_for).min(self.delivery.stop_sending);
        let page = match self.pages.claim(&self.limits, is_ahead).await {
            Ok(page) => page,
            Err(error) => return Claim::Failed(error),
        };
        self.pages.tally.add_ended(&page.ended);
        self.moved_on |= page.moved_on > 0;
        self.was_held = page.held;
        if page.messages.is_empty() {
            return self.without_messages(&page);
        }
        let free_at = Instant::now() + page.free_in;
        if !is_ahead {
            (self.speed.left, self.speed.since) = ((0, 0), free_at);
        }
        Claim::Page(Page {
            claim_ahead: self.claim_ahead(&page),
            pace: Pace {
                begins_at: free_at,
                per_second: self.limits.rate,
                leave_by,
            },
            carrier: MessageCarrier {
                messenger: self.messenger,
                settings: self.delivery.settings,
                prepared: self.delivery.prepared,
                limits: TimeLimits {
                    leave_by,
                    give_up_at: self.delivery.stop_sending + timing.recording / 2,
                },
                stop: self.stop.clone(),
            },
            messages: page.messages,
        })
    }

    async fn record(&mut self, sent: Sent<Draft>) -> bool {
        self.measure(&sent);
        let outcomes = self.outcomes_of(&sent);
        let account = outcomes.account.and_then(|account| account.err());
        self.held_back = self.held_back.or(account);
        // Messages that were only skipped do not count as tried.
        let tests = sent
            .iter()
            .any(|(claimed, _)| claimed.content.tests_account);
        self.probed |= tests && outcomes.account.is_none();
        let goes_on = self.goes_on();
        let next = goes_on.then_some(&self.limits);
        let recorded = self.pages.record(&outcomes, next).await;
        let recorded = recorded.inspect_err(|error| self.log_stop(error));
        // Only now: outcomes come first.
        forget_devices(&self.pages, &self.messenger.gone_tokens()).await;
        self.moved_on |= matches!(recorded, Ok(true));
        recorded.is_ok() && goes_on
    }

    fn log_stop(&self, error: &DatabaseError) {
        let why = error.loggable();
        tracing::error!("delivery stopped, the outbox cannot be reached: {why}");
    }
}

fn first_limits<M: Messenger>(messenger: &M, rate: f64, call: &Call) -> ClaimLimits {
    let timing = messenger.timing();
    ClaimLimits {
        channel: messenger.channel(),
        messages: i64::try_from(2 * messenger.in_flight()).unwrap_or(LARGEST_PAGE),
        rate,
        page: timing.page,
        lease: timing.lease,
        unknown_wait: messenger.unknown_wait(),
        as_of: call.as_of,
        single: None,
        alone: false,
        per_person: messenger.per_person(),
        is_off: !messenger.is_set_up(),
    }
}

/// Back-off: 1, 2, 4, 8 minutes. An unknown outcome first waits for the provider's own event. A
/// message that was not tried is free at once, or at the start if no time is left before it. A
/// message that the account could not send waits, so that another one is tried first. The provider
/// may ask for a longer wait.
fn wait_after(outcome: &Outcome, claimed: &Claimed<Draft>, messenger: &impl Messenger) -> Duration {
    let timing = messenger.timing();
    let back_off = timing.back_off * (1 << (claimed.attempt - 1).clamp(0, 3));
    match outcome {
        Outcome::Deferred => {
            let left = claimed.content.starts_in();
            left.filter(|left| *left < messenger.shortest_lead())
                .unwrap_or_default()
        }
        Outcome::AccountWide { .. } => timing.probe_wait,
        Outcome::Unknown { .. } => back_off.max(messenger.unknown_wait()),
        _ => back_off.max(messenger.asked_wait()),
    }
}
