//! The engine of delivery, the same for all channels: claim a page, send it, record its outcomes.
//!
//! A claim (status, claim number, lease) is committed before its first request leaves, and no
//! transaction waits for a request. A message that cannot leave in time is released, and the
//! attempt does not count.

use std::iter;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, stream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::channels::Outcome;
use crate::database::DatabaseError;

/// A claimed message.
#[derive(Clone, Debug)]
pub(crate) struct Claimed<C> {
    /// The event: the message's tag at the provider.
    pub(crate) id: Uuid,
    /// The fencing token.
    pub(crate) claim: i64,
    /// The others that leave in this one: their events and fencing tokens.
    pub(crate) members: Vec<(Uuid, i64)>,
    /// Which attempt this is, from 1.
    pub(crate) attempt: i32,
    /// What its channel sends.
    pub(crate) content: C,
}

impl<C> Claimed<C> {
    /// All that leave in it: their events and fencing tokens.
    pub(crate) fn events(&self) -> impl Iterator<Item = (Uuid, i64)> {
        iter::once((self.id, self.claim)).chain(self.members.iter().copied())
    }
}

/// What sends the messages of one page.
pub(crate) trait Carrier: Sync {
    /// What it sends.
    type Content: Send + Sync;

    /// Cancelled when no other message of the page shall leave.
    fn stop(&self) -> &CancellationToken;

    /// Sends a message, once.
    fn send(&self, claimed: &Claimed<Self::Content>) -> impl Future<Output = Outcome> + Send;
}

/// When the messages of a page leave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The first one.
    pub(crate) begins_at: Instant,
    /// How many a second; infinite: all at once.
    pub(crate) per_second: f64,
    /// None leaves after that.
    pub(crate) leave_by: Instant,
}

impl Pace {
    /// When the message at this place of the page leaves, or is given up.
    fn leaves_at(&self, place: usize) -> Instant {
        let after = Duration::from_secs_f64(place as f64 / self.per_second);
        (self.begins_at + after).min(self.leave_by)
    }
}

/// A claimed page.
pub(crate) struct Page<C: Carrier> {
    pub(crate) carrier: C,
    pub(crate) messages: Vec<Claimed<C::Content>>,
    pub(crate) pace: Pace,
    /// The next page is claimed when so many of these messages wait; `None`: when all are recorded.
    pub(crate) claim_ahead: Option<usize>,
}

/// Messages that were sent, or not, with their outcomes.
pub(crate) type Sent<C> = Vec<(Claimed<C>, Outcome)>;

/// The outcomes that are not recorded yet.
struct Unrecorded<C>(Mutex<Sent<C>>);

impl<C> Unrecorded<C> {
    fn new() -> Self {
        Self(Mutex::default())
    }

    fn lock(&self) -> MutexGuard<'_, Sent<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn take(&self) -> Sent<C> {
        std::mem::take(&mut self.lock())
    }
}

/// Places for requests.
struct Slots {
    count: usize,
    free: Semaphore,
}

impl Slots {
    fn new(count: usize) -> Self {
        let free = Semaphore::new(count);
        Self { count, free }
    }
}

impl<C: Carrier> Page<C> {
    /// Sends each message at its time, and when one of the slots is free. `unsent` counts those
    /// that wait.
    async fn send(
        self,
        slots: &Slots,
        unsent: watch::Sender<usize>,
        unrecorded: &Unrecorded<C::Content>,
    ) {
        let (pace, carrier, unsent) = (self.pace, &self.carrier, &unsent);
        let placed = self.messages.into_iter().enumerate();
        let sends = placed.map(|(place, claimed)| async move {
            let turn = async {
                tokio::time::sleep_until(pace.leaves_at(place).into()).await;
                slots.free.acquire().await
            };
            let slot = carrier.stop().run_until_cancelled(turn).await;
            unsent.send_modify(|unsent| *unsent -= 1);
            let is_over = carrier.stop().is_cancelled() || Instant::now() >= pace.leave_by;
            let outcome = match slot.is_none() || is_over {
                true => Outcome::Deferred,
                false => carrier.send(&claimed).await,
            };
            drop(slot);
            unrecorded.lock().push((claimed, outcome));
        });
        let mut sends = pin!(stream::iter(sends).buffer_unordered(slots.count));
        while sends.next().await.is_some() {}
    }
}

/// What a claim has found.
pub(crate) enum Claim<C: Carrier> {
    /// Messages to send.
    Page(Page<C>),
    /// Only messages that are not to be sent any more: there may be others.
    Again,
    /// Other instances use up the rate until then.
    Wait(Instant),
    /// Nothing; or the lane does not go on.
    End,
    /// The outbox cannot be reached.
    Failed(DatabaseError),
}

/// A queue of the outbox whose messages share a pace: those of a channel, or of one endpoint.
pub(crate) trait Lane {
    /// What sends its pages.
    type Carrier: Carrier;

    /// Cancelled when the lane does not go on.
    fn stop(&self) -> &CancellationToken;

    /// Claims a page, and commits. `is_ahead`: while another one is being sent, whose outcomes wait
    /// for the end of the claim.
    fn claim(&mut self, is_ahead: bool) -> impl Future<Output = Claim<Self::Carrier>> + Send;

    /// Records outcomes. Returns whether the lane goes on.
    fn record(
        &mut self,
        sent: Sent<<Self::Carrier as Carrier>::Content>,
    ) -> impl Future<Output = bool> + Send;

    /// Logs that the outbox cannot be reached.
    fn log_stop(&self, error: &DatabaseError);
}

/// Claims, sends and records one page of a lane, with so many requests at once. Returns whether the
/// lane goes on.
pub(crate) async fn take_turn<L: Lane>(lane: &mut L, at_once: usize) -> bool {
    let page = match lane.claim(false).await {
        Claim::Page(page) => page,
        Claim::Again => return true,
        Claim::Failed(error) => {
            lane.log_stop(&error);
            return false;
        }
        Claim::Wait(_) | Claim::End => return false,
    };
    let (slots, unrecorded) = (Slots::new(at_once), Unrecorded::new());
    let unsent = watch::Sender::new(page.messages.len());
    page.send(&slots, unsent, &unrecorded).await;
    lane.record(unrecorded.take()).await
}

/// The page that began last.
struct LastPage {
    /// How many of its messages wait.
    unsent: watch::Receiver<usize>,
    /// The next page is claimed when so many wait; `None`: when all are recorded.
    claim_ahead: Option<usize>,
}

impl LastPage {
    fn none() -> Self {
        Self {
            unsent: watch::Sender::new(0).subscribe(),
            claim_ahead: None,
        }
    }

    /// When the next page is claimed while this one is being sent, if it is, and how many of its
    /// messages wait then; `claim_at`: not before that time.
    fn claims_ahead(&self, claim_at: Option<Instant>) -> (Option<Instant>, usize) {
        match self.claim_ahead {
            Some(few) => (claim_at, few),
            None => (None, 0),
        }
    }

    /// Waits until that time, and until so few of its messages wait; or for the lane's end.
    async fn wait(&mut self, until: Option<Instant>, few: usize, stop: &CancellationToken) {
        let wait = async {
            tokio::time::sleep_until(until.unwrap_or_else(Instant::now).into()).await;
            // The page may have ended.
            let _ = self.unsent.wait_for(|unsent| *unsent <= few).await;
        };
        stop.run_until_cancelled(wait).await;
    }
}

/// Delivers a lane to its end, with so many requests at once. A page may be claimed while the last
/// one is being sent; before that, the outcomes that are there are recorded. A process that ends
/// leaves two pages in doubt, at most.
pub(crate) async fn deliver<L: Lane>(lane: &mut L, at_once: usize) {
    let (slots, unrecorded) = (&Slots::new(at_once), &Unrecorded::new());
    let (mut under_way, mut last) = (FuturesUnordered::new(), LastPage::none());
    // The claimed page that follows, when all of the last one have left.
    let mut next = None::<Page<L::Carrier>>;
    // When to claim; `None`: nothing is left.
    let mut claim_at = Some(Instant::now());
    loop {
        let is_idle = under_way.is_empty() && next.is_none();
        if is_idle && !unrecorded.is_empty() && !lane.record(unrecorded.take()).await {
            return;
        }
        let (until, few) = match (&next, under_way.len()) {
            (Some(_), _) => (Some(Instant::now()), 0),
            (None, 0) => (claim_at, 0),
            (None, 1) => last.claims_ahead(claim_at),
            // One of them waits for a slow answer: no third one is claimed.
            (None, _) => (None, 0),
        };
        tokio::select! {
            Some(()) = under_way.next() => continue,
            () = last.wait(until, few, lane.stop()), if until.is_some() => {}
            else => return,
        }
        if let Some(page) = next.take() {
            let waiting = watch::Sender::new(page.messages.len());
            last = LastPage {
                unsent: waiting.subscribe(),
                claim_ahead: page.claim_ahead,
            };
            under_way.push(page.send(slots, waiting, unrecorded));
            continue;
        }
        let is_ahead = !under_way.is_empty();
        let claim = record_and_claim(lane, unrecorded.take(), is_ahead);
        match while_sending(claim, &mut under_way).await {
            Claim::Page(page) => next = Some(page),
            Claim::Again => {}
            Claim::Wait(until) => claim_at = Some(until),
            // What follows is claimed when all are recorded, and so is what does not leave.
            Claim::End if is_ahead => last.claim_ahead = None,
            Claim::Failed(error) if is_ahead => {
                log_claim_ahead(&error);
                last.claim_ahead = None;
            }
            Claim::End => claim_at = None,
            Claim::Failed(error) => return lane.log_stop(&error),
        }
    }
}

/// Records what there is, and claims a page if the lane goes on.
async fn record_and_claim<L: Lane>(
    lane: &mut L,
    sent: Sent<<L::Carrier as Carrier>::Content>,
    is_ahead: bool,
) -> Claim<L::Carrier> {
    match sent.is_empty() || lane.record(sent).await {
        true => lane.claim(is_ahead).await,
        false => Claim::End,
    }
}

fn log_claim_ahead(error: &DatabaseError) {
    let error = error.loggable();
    tracing::warn!(error, "the next page could not be claimed ahead");
}

/// Works, while pages are being sent.
async fn while_sending<T>(
    work: impl Future<Output = T>,
    under_way: &mut FuturesUnordered<impl Future<Output = ()>>,
) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            Some(()) = under_way.next() => {}
        }
    }
}
