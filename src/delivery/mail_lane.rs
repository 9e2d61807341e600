//! The lane of mail: all instances share the rate of the account.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::channels::email::settings::EmailSettings;
use crate::channels::{Channel, Outcome};
use crate::database::{Database, DatabaseError};
use crate::delivery::engine::{Claim, Lane, Pace, Page, Sent};
use crate::delivery::mailer::Mailer;
use crate::delivery::outbox::{ClaimLimits, Draft, MessagePage};
use crate::delivery::outcomes::PageOutcomes;
use crate::delivery::pages::{DeliveryPages, LARGEST_PAGE};
use crate::delivery::preparation::Preparation;
use crate::delivery::sending::{MailCarrier, wait_after};
use crate::primitives::call::Call;
use crate::reminders::Reason;

/// The mails of one call.
pub(crate) struct MailLane<'a> {
    mailer: &'a Mailer,
    prepared: &'a Preparation,
    call: &'a Call,
    pub(crate) pages: DeliveryPages<'a>,
    limits: ClaimLimits,
    stop_sending: Instant,
    /// Why the account cannot send, where it cannot.
    pub(crate) held_back: Option<Reason>,
    /// One message was tried on a held account, and its outcome says nothing about the account: the
    /// next call tries another.
    probed: bool,
    /// Whether the account cannot send now.
    is_stopped: Arc<AtomicBool>,
    /// Messages per second that have left.
    speed: f64,
    /// Since when.
    measured_from: Instant,
}

impl<'a> MailLane<'a> {
    /// `rate`: messages per second. None leaves after `stop_sending`.
    pub(crate) fn new(
        mailer: &'a Mailer,
        prepared: &'a Preparation,
        database: &'a Database,
        call: &'a Call,
        rate: f64,
        stop_sending: Instant,
    ) -> Self {
        let timing = &mailer.settings.timing;
        Self {
            mailer,
            prepared,
            call,
            pages: DeliveryPages::new(Channel::Email, database, call, timing),
            limits: first_limits(mailer, rate, call),
            stop_sending,
            held_back: None,
            probed: false,
            is_stopped: Arc::default(),
            speed: 0.0,
            measured_from: Instant::now(),
        }
    }

    fn in_flight(&self) -> usize {
        self.mailer.settings.send_concurrency.get()
    }

    /// Whether another page may be claimed.
    fn goes_on(&self) -> bool {
        !self.probed
            && self.held_back.is_none()
            && !self.is_stopped.load(Ordering::Relaxed)
            && Instant::now() < self.stop_sending
            && !self.call.stop.is_cancelled()
    }

    /// What follows a page without messages.
    fn without_messages(&self, page: &MessagePage) -> Claim<MailCarrier<'a>> {
        if page.is_without_channel {
            tracing::error!(
                "mail cannot be sent: its row in booking_automation_channels, by which all \
                 instances share the rate, is missing: \
                 INSERT INTO public.booking_automation_channels (channel) VALUES ('email')"
            );
            return Claim::End;
        }
        let free_at = Instant::now() + page.free_in;
        match page.room < 1.0 && free_at < self.stop_sending {
            true => Claim::Wait(free_at),
            false => Claim::End,
        }
    }

    /// When so many messages of a page wait, the next one is claimed. A message that tests the
    /// account is alone, and what leaves at once needs no other page.
    fn claim_ahead(&self, page: &MessagePage) -> Option<usize> {
        let time = self.mailer.settings.timing.claim_ahead.as_secs_f64();
        let ahead = (self.speed * time) as usize;
        Some(ahead).filter(|_| !page.held && page.messages.len() > self.in_flight())
    }

    /// Measures the speed, and claims as many messages as leave within a page's time.
    fn measure(&mut self, sent: &Sent<Draft>) {
        let left = sent
            .iter()
            .filter(|(_, outcome)| *outcome != Outcome::Deferred)
            .map(|(claimed, _)| claimed.events().count());
        let took = self.measured_from.elapsed().as_secs_f64();
        self.speed = left.sum::<usize>() as f64 / took.max(0.001);
        // The last of a page that is claimed ahead leaves as soon after its facts were read.
        let timing = &self.mailer.settings.timing;
        let page_time = timing.page.saturating_sub(timing.claim_ahead);
        let messages = (self.speed * page_time.as_secs_f64()) as i64;
        let at_once = i64::try_from(self.in_flight()).unwrap_or(1);
        self.limits.messages = messages.clamp(at_once, LARGEST_PAGE);
    }

    /// The outcomes, to be recorded, and counts them.
    fn outcomes_of(&mut self, sent: &Sent<Draft>) -> PageOutcomes {
        let mut outcomes = PageOutcomes::default();
        for (claimed, outcome) in sent {
            let wait = wait_after(outcome, claimed.attempt, self.mailer);
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

impl<'a> Lane for MailLane<'a> {
    type Carrier = MailCarrier<'a>;

    async fn claim(&mut self) -> Claim<MailCarrier<'a>> {
        if !self.goes_on() && !self.pages.is_announced() {
            return Claim::End;
        }
        // Taken before the claim reads, so that the facts sent are no older than this.
        let read_at = Instant::now();
        let page = match self.pages.claim(&self.limits).await {
            Ok(page) => page,
            Err(error) => return Claim::Failed(error),
        };
        self.pages.tally.add_ended(&page.ended);
        if page.is_empty() {
            return self.without_messages(&page);
        }
        self.measured_from = Instant::now() + page.free_in;
        let timing = &self.mailer.settings.timing;
        let leave_by = (read_at + timing.fresh_for).min(self.stop_sending);
        Claim::Page(Page {
            claim_ahead: self.claim_ahead(&page),
            pace: Pace {
                begins_at: read_at + page.free_in,
                per_second: self.limits.rate,
                leave_by,
            },
            carrier: MailCarrier {
                mailer: self.mailer,
                prepared: self.prepared,
                leave_by,
                give_up_at: self.stop_sending + timing.recording / 2,
                is_stopped: self.is_stopped.clone(),
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
        recorded.inspect_err(|error| self.log_stop(error)).is_ok() && goes_on
    }

    fn log_stop(&self, error: &DatabaseError) {
        let why = error.loggable();
        tracing::error!("delivery stopped, the outbox cannot be reached: {why}");
    }
}

fn first_limits(mailer: &Mailer, rate: f64, call: &Call) -> ClaimLimits {
    let EmailSettings {
        send_concurrency,
        timing,
        ..
    } = &mailer.settings;
    ClaimLimits {
        channel: Channel::Email,
        messages: i64::try_from(2 * send_concurrency.get()).unwrap_or(LARGEST_PAGE),
        rate,
        page: timing.page,
        lease: timing.lease,
        unknown_wait: mailer.unknown_wait(),
        as_of: call.as_of,
        single: None,
        alone: false,
    }
}
