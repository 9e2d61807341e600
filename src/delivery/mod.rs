//! Delivery: page by page, claim, send, record.
//!
//! A claim (status, claim number, lease) is committed before its first request leaves, and no
//! transaction is open while a request is under way. The outcomes of one page are recorded in the
//! transaction that claims the next: one round trip between two pages. What cannot leave in time is
//! given back unharmed.

pub mod feedback;
pub(crate) mod outbox;
pub mod webhooks;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, future, stream};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::channels::email::Ses;
use crate::channels::timing::Times;
use crate::config::{Address, DeliverySettings};
use crate::database::{BOOKINGS_LOCK_TIMEOUT, Begin, Database, DatabaseError, Result};
use crate::delivery::outbox::{ClaimLimits, Claimed, Outcome, Outcomes, Page};
use crate::messages::reminder;
use crate::tick::call::Call;
use crate::tick::summary::Reminders;

/// Longest time for one statement of a delivery.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(8);
/// Messages per second when nobody says how many: what SES allows in its sandbox.
const SLOWEST_RATE: f64 = 1.0;
/// Messages in one page, at most: what two seconds of the fastest accounts send.
const LARGEST_PAGE: i64 = 2_000;
/// Flags made good in one statement.
const FLAGS_PAGE: i64 = 2_000;
/// Bookings whose flags are set one by one in one call, when a whole page was refused.
const FLAGS_SINGLY: i64 = 100;

/// What delivers: the provider and how fast it may be used.
#[derive(Debug)]
pub struct Mailer {
    settings: DeliverySettings,
    ses: Ses,
    /// What SES told of the account's rate.
    rate: OnceCell<f64>,
}

impl Mailer {
    /// Sends through `ses`.
    pub fn new(settings: DeliverySettings, ses: Ses) -> Self {
        Self { settings, ses, rate: OnceCell::new() }
    }

    /// Messages per second: as set, else as SES told once, else what it allows everybody.
    async fn rate(&self) -> f64 {
        match self.settings.send_rate {
            Some(rate) => rate,
            None => {
                let told = self.rate.get_or_try_init(async || self.ses.send_rate().await.ok_or(())).await;
                told.copied().unwrap_or(SLOWEST_RATE)
            }
        }
    }
}

/// What a delivery did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delivered {
    /// What became of the messages.
    pub reminders: Reminders,
    /// Why the account cannot send, where it cannot: `quota` or `account`.
    pub held_back: Option<&'static str>,
}

/// Delivers what can be claimed until nothing is left, the rate is used up by others, or `deadline` is
/// near. Never fails: what went wrong is logged and is in the outbox, and what was sent is told.
pub async fn deliver(database: &Database, mailer: &Mailer, call: &Call) -> Delivered {
    let Call { as_of, deadline, .. } = *call;
    let times = &mailer.settings.times;
    let stop_sending = deadline.checked_sub(times.recording).unwrap_or(deadline);
    // Without an answer in time there is no time to send, either.
    let Ok(rate) = tokio::time::timeout_at(stop_sending.into(), mailer.rate()).await else {
        return Delivered::default();
    };
    let concurrency = mailer.settings.send_concurrency.get();
    let unknown_wait = if mailer.settings.configuration_set.is_some() { times.unknown_wait } else { Duration::ZERO };
    let mut limits = ClaimLimits {
        messages: i64::try_from(2 * concurrency).unwrap_or(LARGEST_PAGE),
        rate,
        page: times.page,
        lease: times.lease,
        unknown_wait,
        as_of,
    };
    let mut tally = Tally::default();
    let mut outcomes = Outcomes::default();
    let mut held_back = None;
    // One message has found out nothing of an account that could not send: the next call's goes on.
    let mut probed = false;
    loop {
        let more = !probed && held_back.is_none() && Instant::now() < stop_sending && !call.stop.is_cancelled();
        // Before the claim reads: however long its answer takes, what is sent is no older than this says.
        let read_at = Instant::now();
        let page = match turn_page(database, &outcomes, more.then_some(&limits), times, call, &mut tally).await {
            Ok(page) => page,
            Err(error) => {
                tracing::error!("delivery stopped, the outbox cannot be reached: {}", error.loggable());
                break;
            }
        };
        outcomes = Outcomes::default();
        if !more {
            break;
        }
        tally.ended(&page);
        if page.is_empty() {
            // Others have taken the next seconds of the rate; or there is nothing left.
            let wait = if page.room < 1.0 { page.free_in } else { break };
            if Instant::now() + wait >= stop_sending {
                break;
            }
            call.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
            continue;
        }
        let (started, held) = (Instant::now(), page.held);
        let sent = send_page(mailer, page, rate, read_at, stop_sending).await;
        limits.messages = next_page_size(&sent, started.elapsed(), times.page, concurrency);
        for (claimed, outcome) in &sent {
            outcomes.push(
                claimed.id,
                claimed.claim,
                outcome,
                wait_after(outcome, claimed.attempt, unknown_wait, times),
            );
            tally.add(claimed.id, outcome);
        }
        held_back = outcomes.account.and_then(|account| account.err());
        // What only ended as skipped was no attempt to find out: others wait behind it.
        probed = held && !sent.is_empty() && outcomes.account.is_none();
        // That the account can send is news only after it could not.
        outcomes.account = outcomes.account.filter(|account| account.is_err() || held);
    }
    Delivered { reminders: tally.reminders(), held_back }
}

/// Records what was sent and claims the next page, in one transaction and one round trip. When that
/// fails, recording is tried alone: an outcome is worth more than a page.
async fn turn_page(
    database: &Database,
    outcomes: &Outcomes,
    limits: Option<&ClaimLimits>,
    times: &Times,
    call: &Call,
    tally: &mut Tally,
) -> Result<Page> {
    // Only the first attempt claims: a claim whose COMMIT was lost waits for its lease.
    let error = match record_and_claim(database, outcomes, limits, call).await {
        Ok((recorded, page)) => {
            tally.recorded(outcomes, &recorded, false);
            return Ok(page);
        }
        Err(error) => error,
    };
    if outcomes.is_empty() {
        return match limits {
            Some(limits) if is_of_somebodys_row(&error) => claim_singly(database, limits, times, call, tally).await,
            _ => Err(error),
        };
    }
    let (mut error, mut pause) = (error, times.record_pauses.0);
    while Instant::now() + pause < call.deadline {
        tracing::warn!(
            error = error.loggable(),
            outcomes.count = outcomes.len(),
            "outcomes could not be recorded; trying again"
        );
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(times.record_pauses.1);
        match record_and_claim(database, outcomes, None, call).await {
            Ok((recorded, page)) => {
                tally.recorded(outcomes, &recorded, true);
                return Ok(page);
            }
            Err(again) => error = again,
        }
    }
    for (event, message_id) in outcomes.sent() {
        tracing::error!(event.id = %event, message.id = message_id, "sent, and not recorded: it will be sent again");
    }
    Err(error)
}

/// Claims one message, after a page failed: the view on the user's tables cannot be read for somebody's
/// row. When it is the first one's, that one is set aside as an attempt that failed.
async fn claim_singly(
    database: &Database,
    limits: &ClaimLimits,
    times: &Times,
    call: &Call,
    tally: &mut Tally,
) -> Result<Page> {
    let single = ClaimLimits { messages: 1, ..*limits };
    let error = match record_and_claim(database, &Outcomes::default(), Some(&single), call).await {
        Ok((_, page)) => return Ok(page),
        Err(error) if is_of_somebodys_row(&error) => error,
        Err(error) => return Err(error),
    };
    let details = error.details();
    let begin = Begin { until: Some(call.deadline), ..Begin::default() };
    let (transaction, _) = database.begin(&begin, "").await?;
    let aside = transaction
        .commit_after(async |transaction| outbox::set_aside(transaction, &details, times.back_off, call.as_of).await)
        .await?;
    if aside.is_empty() {
        return Err(error);
    }
    for (event, status) in aside {
        tracing::error!(event.id = %event, error = error.loggable(), "booking_automation_contacts cannot be read for this event's booking");
        let kind = match status.as_str() {
            "completed" => Kind::Sent,
            "failed" => Kind::Failed,
            _ => Kind::Retrying,
        };
        tally.open.insert(event, kind);
    }
    Ok(Page::default())
}

/// Whether the view failed on what is in a row. One that is missing or forbidden (class 42) fails for
/// everybody: that costs no message an attempt.
fn is_of_somebodys_row(error: &DatabaseError) -> bool {
    error.is_of_a_row() && !error.is_lock() && !error.code().is_some_and(|code| code.code().starts_with("42"))
}

async fn record_and_claim(
    database: &Database,
    outcomes: &Outcomes,
    claim: Option<&ClaimLimits>,
    call: &Call,
) -> Result<(Vec<(Uuid, String)>, Page)> {
    if outcomes.is_empty() && claim.is_none() {
        return Ok(Default::default());
    }
    let as_of = call.as_of;
    let begin = Begin { statement_timeout: STATEMENT_TIMEOUT, as_of, until: Some(call.deadline), ..Begin::default() };
    let (transaction, _) = database.begin(&begin, outbox::IN_INDEX_ORDER).await?;
    transaction
        .commit_after(async |transaction| {
            let record = async {
                if outcomes.is_empty() { Ok(Vec::new()) } else { outbox::record(transaction, outcomes, as_of).await }
            };
            let claim = async {
                match claim {
                    Some(limits) => outbox::claim(transaction, limits).await,
                    None => Ok(Page::default()),
                }
            };
            let hold = async {
                match outcomes.account {
                    Some(account) => outbox::hold(transaction, account.err()).await,
                    None => Ok(()),
                }
            };
            let (recorded, held, page) = future::join3(record, hold, claim).await;
            held?;
            Ok((recorded?, page?))
        })
        .await
}

/// Sends a page at its rate, so many at a time; every message gets an outcome.
async fn send_page(
    mailer: &Mailer,
    page: Page,
    rate: f64,
    read_at: Instant,
    stop_sending: Instant,
) -> Vec<(Claimed, Outcome)> {
    let (stopped, times) = (&AtomicBool::new(false), &mailer.settings.times);
    let sends = page.messages.into_iter().enumerate().map(|(position, claimed)| {
        let leaves_at = read_at + page.free_in + Duration::from_secs_f64(position as f64 / rate);
        async move {
            tokio::time::sleep_until(leaves_at.into()).await;
            let leave_by = (read_at + times.fresh_for).min(stop_sending);
            let outcome = if stopped.load(Ordering::Relaxed) || Instant::now() >= leave_by {
                Outcome::Deferred
            } else {
                send(mailer, &claimed, leave_by, stop_sending + times.recording / 2).await
            };
            if matches!(outcome, Outcome::AccountWide { .. }) {
                stopped.store(true, Ordering::Relaxed);
            }
            (claimed, outcome)
        }
    });
    stream::iter(sends).buffer_unordered(mailer.settings.send_concurrency.get()).collect().await
}

async fn send(mailer: &Mailer, claimed: &Claimed, leave_by: Instant, give_up_at: Instant) -> Outcome {
    let reminder = &claimed.reminder;
    let Some(to) = Address::parse(&reminder.email) else {
        return Outcome::Rejected { reason: "bad_address", error: "not a mail address that SES takes".to_owned() };
    };
    if reminder.timezone.is_some() && reminder::known_zone(reminder.timezone.as_deref()).is_none() {
        tracing::warn!(event.id = %claimed.id, booking.id = %reminder.booking_id, "the person's time zone is no IANA name; the message says UTC");
    }
    let message = match reminder::render(reminder, mailer.settings.public_url.as_deref()) {
        Ok(message) => message,
        Err(error) => return Outcome::Rejected { reason: "template", error: error.to_string() },
    };
    let left = give_up_at.saturating_duration_since(Instant::now()).min(mailer.settings.times.request);
    let outcome = match tokio::time::timeout(left, mailer.ses.send(claimed.id, &to, message, leave_by)).await {
        Ok(outcome) => outcome,
        Err(_) => Outcome::Unknown { error: "no answer before the call had to end".to_owned() },
    };
    log(claimed, &outcome);
    outcome
}

/// One line for what went wrong. Never the provider's text, which quotes addresses; it is in the event.
fn log(claimed: &Claimed, outcome: &Outcome) {
    let (event, booking) = (claimed.id, claimed.reminder.booking_id);
    match outcome {
        Outcome::Sent { .. } | Outcome::Deferred => {}
        // A limit of the account's that does not go by itself: an alarm's business.
        Outcome::NotSent { reason: reason @ "limit", .. } => {
            tracing::error!(event.id = %event, booking.id = %booking, reason, "not sent; tried again later")
        }
        Outcome::NotSent { reason, .. } => {
            tracing::warn!(event.id = %event, booking.id = %booking, reason, "not sent; tried again later")
        }
        Outcome::Rejected { reason, .. } => {
            tracing::warn!(event.id = %event, booking.id = %booking, reason, "not sent; given up")
        }
        Outcome::Unknown { .. } => {
            tracing::warn!(event.id = %event, booking.id = %booking, "nobody knows whether it was sent")
        }
        Outcome::AccountWide { reason, .. } => {
            tracing::error!(event.id = %event, reason, "the account cannot send; everything is held back");
        }
    }
}

/// Back-off: 1, 2, 4, 8 minutes. An unknown outcome first waits for the provider's own event. What was not tried is free
/// at once; what the account could not send lets another one try first.
fn wait_after(outcome: &Outcome, attempt: i32, unknown_wait: Duration, times: &Times) -> Duration {
    let back_off = times.back_off * (1 << (attempt - 1).clamp(0, 3));
    match outcome {
        Outcome::Deferred => Duration::ZERO,
        Outcome::AccountWide { .. } => times.probe_wait,
        Outcome::Unknown { .. } => back_off.max(unknown_wait),
        _ => back_off,
    }
}

/// As many as the last page's speed lets leave within a page's time.
fn next_page_size(sent: &[(Claimed, Outcome)], took: Duration, page: Duration, concurrency: usize) -> i64 {
    let left = sent.iter().filter(|(_, outcome)| *outcome != Outcome::Deferred).count();
    let per_second = left as f64 / took.as_secs_f64().max(0.001);
    let messages = (per_second * page.as_secs_f64()) as i64;
    messages.clamp(i64::try_from(concurrency).unwrap_or(1), LARGEST_PAGE)
}

/// Makes the flags on `bookings` good, a page at a time, until none is left that can be had.
pub(crate) async fn project_flags(database: &Database, deadline: Instant) {
    while Instant::now() < deadline {
        let settled = match project_flags_page(database, None, deadline).await {
            // A trigger of theirs refuses one of them: each by itself, so that the others get theirs.
            Err(error) if error.is_of_a_row() => project_flags_singly(database, deadline).await,
            result => result,
        };
        match settled {
            Ok(settled) if settled == FLAGS_PAGE as u64 => {}
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(
                    error = error.loggable(),
                    "flags on bookings could not be set; they follow with a later pass"
                );
                return;
            }
        }
    }
}

async fn project_flags_page(database: &Database, only: Option<&[Uuid]>, deadline: Instant) -> Result<u64> {
    let begin = Begin {
        statement_timeout: STATEMENT_TIMEOUT,
        lock_timeout: BOOKINGS_LOCK_TIMEOUT,
        until: Some(deadline),
        ..Begin::default()
    };
    let (transaction, _) = database.begin(&begin, "").await?;
    transaction.commit_after(async |transaction| outbox::project_flags(transaction, FLAGS_PAGE, only).await).await
}

async fn project_flags_singly(database: &Database, deadline: Instant) -> Result<u64> {
    let begin = Begin { until: Some(deadline), ..Begin::default() };
    let (transaction, _) = database.begin(&begin, "").await?;
    let bookings = outbox::flags_due(&transaction, FLAGS_SINGLY).await?;
    transaction.rollback().await?;
    let mut settled = 0;
    for booking in bookings {
        match project_flags_page(database, Some(&[booking]), deadline).await {
            Ok(count) => settled += count,
            // Made good later.
            Err(error) if error.is_lock() => {}
            Err(error) if error.is_of_a_row() => {
                tracing::warn!(booking.id = %booking, error = error.loggable(), "the database refuses this booking's reminder flags");
                let (transaction, _) = database.begin(&begin, "").await?;
                let details = error.details();
                transaction
                    .commit_after(async |transaction| outbox::give_up_flags(transaction, booking, &details).await)
                    .await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(settled)
}

/// What became of each message in this call. One that is tried twice counts once, as it ended.
#[derive(Debug, Default)]
struct Tally {
    reminders: Reminders,
    /// Not final yet: retried, or given back.
    open: HashMap<Uuid, Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sent,
    Retrying,
    Unknown,
    Failed,
    /// For the account's sake: it waits a little.
    HeldBack,
    Deferred,
}

impl Tally {
    fn ended(&mut self, page: &Page) {
        self.reminders.skipped += page.skipped;
        self.reminders.failed += page.failed;
        self.reminders.sent += page.settled;
        for id in &page.ended {
            self.open.remove(id);
        }
    }

    fn add(&mut self, id: Uuid, outcome: &Outcome) {
        let kind = match outcome {
            Outcome::Sent { .. } => Kind::Sent,
            Outcome::NotSent { .. } => Kind::Retrying,
            Outcome::Rejected { .. } => Kind::Failed,
            Outcome::Unknown { .. } => Kind::Unknown,
            Outcome::AccountWide { .. } => Kind::HeldBack,
            Outcome::Deferred => Kind::Deferred,
        };
        self.open.insert(id, kind);
    }

    /// Settles a page's outcomes by what the database made of them.
    fn recorded(&mut self, outcomes: &Outcomes, recorded: &[(Uuid, String)], again: bool) {
        let stale = outcomes.len() - recorded.len();
        if stale > 0 {
            // After a lost COMMIT the first attempt may have recorded them.
            tracing::warn!(
                outcomes.stale = stale,
                outcomes.tried_again = again,
                "stale outcomes were not recorded: others have claimed their messages since"
            );
        }
        for (id, status) in recorded {
            match status.as_str() {
                "failed" => self.open.insert(*id, Kind::Failed),
                // SES's own event settled what the answer did not tell.
                "completed" => self.open.insert(*id, Kind::Sent),
                _ => None,
            };
        }
        // Only what may come up again in this call must be remembered by name.
        let reminders = &mut self.reminders;
        self.open.retain(|_, kind| match kind {
            Kind::Sent => {
                reminders.sent += 1;
                false
            }
            Kind::Failed => {
                reminders.failed += 1;
                false
            }
            Kind::Retrying | Kind::Unknown | Kind::HeldBack | Kind::Deferred => true,
        });
    }

    fn reminders(mut self) -> Reminders {
        for kind in self.open.values() {
            match kind {
                Kind::Sent => self.reminders.sent += 1,
                Kind::Retrying => self.reminders.retrying += 1,
                Kind::Unknown => self.reminders.unknown += 1,
                Kind::Failed => self.reminders.failed += 1,
                Kind::HeldBack => self.reminders.deferred += 1,
                // Counted from the outbox, with those that no page took.
                Kind::Deferred => {}
            }
        }
        self.reminders
    }
}
