//! Delivery: what is due leaves, channel by channel, and what comes of it is recorded.

mod claim_mark;
pub(crate) mod claim_sql;
mod claim_time;
pub(crate) mod digests;
mod endpoint_lane;
mod engine;
pub mod event;
pub(crate) mod feed;
pub mod feedback;
pub mod figures;
pub(crate) mod flags;
pub(crate) mod groups;
mod guests;
mod hold;
pub(crate) mod invitation;
mod mail_lane;
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

use crate::database::Database;
use crate::delivery::figures::ReminderFigures;
use crate::delivery::mail_lane::MailLane;
pub use crate::delivery::mailer::Mailer;
use crate::delivery::preparation::{DeliveryAccess, prepare};
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
    let mut lane = MailLane::new(mailer, &prepared, database, call, rate, stop_sending);
    engine::deliver(&mut lane, mailer.settings.send_concurrency.get()).await;
    Delivered {
        held_back: lane.held_back,
        reminders: lane.pages.tally.figures(),
        broken_templates: templates::report_broken(&prepared.wording),
    }
}
