//! Delivery of mail, page by page: claim, send, record.
//!
//! A claim (status, claim number, lease) is committed before its first request leaves, and no
//! transaction is open while a request is under way. The outcomes of one page are recorded and
//! committed before the next page is claimed. A message that cannot leave in time is released, and
//! the attempt does not count.

mod claim_mark;
pub(crate) mod claim_sql;
pub(crate) mod digests;
pub mod event;
pub(crate) mod feed;
pub mod feedback;
pub mod figures;
pub(crate) mod flags;
pub(crate) mod groups;
mod guests;
mod hold;
pub(crate) mod invitation;
mod mailer;
pub(crate) mod outbox;
mod outcomes;
mod pages;
pub mod preparation;
mod recipients;
mod sending;
pub mod suppression;
mod tally;
pub mod templates;
pub(crate) mod unprepared;
pub(crate) mod webhook_outbox;
pub mod webhooks;

use std::time::Instant;

use crate::channels::Outcome;
use crate::channels::email::settings::EmailSettings;
use crate::database::Database;
use crate::delivery::figures::ReminderFigures;
pub use crate::delivery::mailer::Mailer;
use crate::delivery::outbox::{ClaimLimits, ClaimedMessage, MessagePage};
use crate::delivery::outcomes::PageOutcomes;
use crate::delivery::pages::{DeliveryPages, LARGEST_PAGE};
use crate::delivery::preparation::{DeliveryAccess, Preparation, prepare};
use crate::delivery::tally::Tally;
use crate::people::keys::LinkKeys;
use crate::primitives::call::Call;
use crate::reminders::Reason;

/// What a delivery did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delivered {
    /// The outcomes of the messages.
    pub reminders: ReminderFigures,
    /// Why the account cannot send, where it cannot: [`Reason::Quota`] or [`Reason::Account`].
    pub held_back: Option<Reason>,
    /// Own texts of the owner's that are broken.
    pub broken_templates: i64,
}

/// Delivers what can be claimed until nothing is left, other instances use up the rate, or the
/// call's deadline is near. It never fails: errors are logged and stored in the outbox, and the
/// figures count what was sent.
pub(crate) async fn deliver(
    database: &Database,
    mailer: &Mailer,
    call: &Call,
    access: DeliveryAccess,
    link_keys: &LinkKeys,
) -> Delivered {
    let timing = &mailer.settings.timing;
    let stop_sending = call
        .deadline
        .checked_sub(timing.recording)
        .unwrap_or(call.deadline);
    // Without an answer in time, no time is left to send.
    let Ok(rate) = tokio::time::timeout_at(stop_sending.into(), mailer.rate()).await else {
        return Delivered::default();
    };
    let link_base = mailer.settings.messages.link_base_url.as_deref();
    let prepared = prepare(database, call, access, link_base, link_keys).await;
    let mut pages = DeliveryPages::new(database, call, timing);
    let held_back = deliver_pages(mailer, &prepared, call, &mut pages, rate, stop_sending).await;
    Delivered {
        reminders: pages.tally.figures(),
        held_back,
        broken_templates: templates::report_broken(&prepared.wording),
    }
}

/// Claims and sends page by page. Returns why the account cannot send, where it cannot.
async fn deliver_pages(
    mailer: &Mailer,
    prepared: &Preparation,
    call: &Call,
    pages: &mut DeliveryPages<'_>,
    rate: f64,
    stop_sending: Instant,
) -> Option<Reason> {
    let mut limits = first_limits(mailer, rate, call);
    let mut outcomes = PageOutcomes::default();
    let mut held_back = None;
    // One message was tried on a held account, and its outcome says nothing about the account: the
    // next call tries another.
    let mut probed = false;
    loop {
        let more = !probed
            && held_back.is_none()
            && Instant::now() < stop_sending
            && !call.stop.is_cancelled();
        // Taken before the claim reads, so that the facts sent are no older than this.
        let read_at = Instant::now();
        let page = match pages.next_page(&outcomes, more.then_some(&limits)).await {
            Ok(page) if more => page,
            Ok(_) => return held_back,
            Err(error) => {
                let why = error.loggable();
                tracing::error!("delivery stopped, the outbox cannot be reached: {why}");
                return held_back;
            }
        };
        outcomes = PageOutcomes::default();
        pages.tally.add_ended(&page);
        if page.is_empty() {
            if !wait_for_rate(&page, call, stop_sending).await {
                return held_back;
            }
            continue;
        }
        let (started, held) = (Instant::now(), page.held);
        let sent = sending::send_page(mailer, prepared, page, rate, read_at, stop_sending).await;
        limits.messages = sending::next_page_size(&sent, started.elapsed(), mailer);
        outcomes = page_outcomes(&sent, mailer, &mut pages.tally);
        held_back = outcomes.account.and_then(|account| account.err());
        // Messages that were only skipped do not count as tried.
        probed = held && !sent.is_empty() && outcomes.account.is_none();
        // That the account can send matters only after it could not.
        outcomes.account = outcomes.account.filter(|account| account.is_err() || held);
    }
}

/// The outcomes of a page, to be recorded, and counts them.
fn page_outcomes(
    sent: &[(ClaimedMessage, Outcome)],
    mailer: &Mailer,
    tally: &mut Tally,
) -> PageOutcomes {
    let mut outcomes = PageOutcomes::default();
    for (claimed, outcome) in sent {
        let wait = sending::wait_after(outcome, claimed.attempt, mailer);
        outcomes.push(claimed, outcome, wait);
        for (id, _) in claimed.events() {
            tally.add_outcome(id, outcome);
        }
    }
    outcomes
}

/// Waits until the other instances' seconds of the rate are over. Returns whether there is
/// something to wait for, and time.
async fn wait_for_rate(page: &MessagePage, call: &Call, stop_sending: Instant) -> bool {
    if page.is_without_channel {
        tracing::error!(
            "mail cannot be sent: its row in booking_automation_channels, by which all instances \
             share the rate, is missing: \
             INSERT INTO public.booking_automation_channels (channel) VALUES ('email')"
        );
        return false;
    }
    let wait = page.free_in;
    if page.room >= 1.0 || Instant::now() + wait >= stop_sending {
        return false;
    }
    let sleep = tokio::time::sleep(wait);
    call.stop.run_until_cancelled(sleep).await;
    true
}

fn first_limits(mailer: &Mailer, rate: f64, call: &Call) -> ClaimLimits {
    let EmailSettings {
        send_concurrency,
        timing,
        ..
    } = &mailer.settings;
    ClaimLimits {
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
