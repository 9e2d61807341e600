//! Delivery: what is due leaves, channel by channel, and what comes of it is recorded.

pub(crate) mod aftermath;
mod candidates;
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
pub(crate) mod hold;
pub(crate) mod invitation;
mod mailer;
mod message_carrier;
mod message_lane;
mod messenger;
pub(crate) mod outbox;
pub(crate) mod outcomes;
mod pages;
pub mod preparation;
mod pusher;
mod recipients;
pub(crate) mod replies;
pub mod ses_events;
pub mod sms_receipts;
pub mod sms_replies;
pub mod suppression;
mod tally;
pub mod templates;
mod texter;
pub(crate) mod unprepared;
pub(crate) mod webhook_outbox;
pub mod webhooks;

use std::time::Instant;

use futures_util::future;
use tokio_postgres::Row;

use crate::channels::Channel;
use crate::channels::email::Ses;
use crate::channels::email::settings::EmailSettings;
use crate::channels::push::settings::PushSettings;
use crate::channels::sms::Sms;
use crate::channels::sms::settings::SmsSettings;
use crate::database::{self, Database, Transaction};
use crate::delivery::aftermath::move_on_held;
use crate::delivery::figures::ReminderFigures;
pub use crate::delivery::mailer::Mailer;
use crate::delivery::message_lane::{Delivery, MessageLane};
pub(crate) use crate::delivery::messenger::Messenger;
use crate::delivery::messenger::NotSetUp;
use crate::delivery::preparation::{DeliveryAccess, prepare};
pub use crate::delivery::pusher::Pusher;
pub use crate::delivery::texter::Texter;
use crate::people::keys::LinkKeys;
use crate::primitives::call::Call;
use crate::primitives::settings::{Lookup, SettingError};
use crate::reminders::Reason;

/// The channels that reach people.
pub(crate) const REACH_PEOPLE: [Channel; 3] = [Channel::Email, Channel::Sms, Channel::Push];

/// What sends by them.
#[derive(Debug)]
pub struct Messengers {
    /// Mail.
    pub mailer: Mailer,
    /// SMS; `None`: they are not set up.
    pub texter: Option<Texter>,
    /// Push messages; `None`: they are not set up.
    pub pusher: Option<Pusher>,
}

impl Messengers {
    /// Those that the settings set up.
    ///
    /// # Errors
    /// Names the setting that is missing or malformed.
    pub async fn from_environment(lookup: Lookup<'_>) -> Result<Self, SettingError> {
        let email = EmailSettings::from_environment(lookup)?;
        let ses = Ses::new(&email).await?;
        let texter = match SmsSettings::from_environment(lookup)? {
            Some(settings) => {
                let sms = Sms::new(&settings).await?;
                Some(Texter::new(settings, sms))
            }
            None => None,
        };
        let pusher = PushSettings::from_environment(lookup)?.map(Pusher::new);
        Ok(Self {
            mailer: Mailer::new(email, ses),
            texter,
            pusher,
        })
    }
}

/// A set of the channels that reach people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels([bool; REACH_PEOPLE.len()]);

impl Channels {
    pub(crate) const ALL: Self = Self([true; REACH_PEOPLE.len()]);

    /// Those that the settings set up. Mail counts as set up: nothing is sent without its sender.
    ///
    /// # Errors
    /// Names the setting that is malformed.
    pub fn set_up(lookup: Lookup<'_>) -> Result<Self, SettingError> {
        let has_sms = SmsSettings::from_environment(lookup)?.is_some();
        let has_push = PushSettings::from_environment(lookup)?.is_some();
        Ok(Self(REACH_PEOPLE.map(|channel| match channel {
            Channel::Sms => has_sms,
            Channel::Push => has_push,
            _ => true,
        })))
    }

    /// From a row of [`claim_sql::WAITING`].
    pub(crate) fn of(row: &Row) -> Self {
        let names: Vec<&str> = row.get("channels");
        Self(REACH_PEOPLE.map(|channel| names.contains(&channel.as_str())))
    }

    /// Those that have anything that can be claimed now.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) async fn claimable(transaction: &Transaction) -> database::Result<Self> {
        let row = transaction.query_one(claim_sql::WAITING, &[]).await?;
        Ok(Self::of(&row))
    }

    /// Whether there are any.
    pub(crate) fn any(self) -> bool {
        self.0.contains(&true)
    }

    /// All but those that are held.
    fn all_but(held: [Option<Channel>; REACH_PEOPLE.len()]) -> Self {
        Self(REACH_PEOPLE.map(|channel| !held.contains(&Some(channel))))
    }

    pub(crate) fn contains(self, channel: Channel) -> bool {
        (REACH_PEOPLE.iter().zip(self.0)).any(|(one, is_in)| is_in && *one == channel)
    }
}

/// What a delivery did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delivered {
    /// The outcomes of the messages.
    pub reminders: ReminderFigures,
    /// Why an account cannot send, where one cannot: [`Reason::Quota`] or [`Reason::Account`].
    pub held_back: Option<Reason>,
    /// Own texts of the owner's that are broken.
    pub broken_templates: i64,
}

/// Delivers what can be claimed until nothing is left, other instances use up the rates, or the
/// call's deadline is near. It never fails: errors are logged and stored in the outbox, and the
/// figures count what was sent.
pub(crate) async fn deliver(
    database: &Database,
    messengers: &Messengers,
    call: &Call,
    mut channels: Channels,
    access: DeliveryAccess,
    link_keys: &LinkKeys,
) -> Delivered {
    let settings = &messengers.mailer.settings.messages;
    let recording = messengers.mailer.settings.timing.recording;
    let link_base = settings.link_base_url.as_deref();
    let prepared = prepare(database, call, access, link_base, link_keys).await;
    let delivery = Delivery {
        settings,
        prepared: &prepared,
        database,
        call,
        stop_sending: call
            .deadline
            .checked_sub(recording)
            .unwrap_or(call.deadline),
    };
    let mut delivered = Delivered::default();
    // What a channel leaves to the next one of a chain goes out in the same call.
    while channels.any() {
        let lanes = deliver_channels(delivery, messengers, channels).await;
        let mut moved_on = false;
        for lane in &lanes {
            delivered.reminders.add_lane(&lane.reminders);
            delivered.held_back = delivered.held_back.or(lane.held_back);
            moved_on |= lane.moved_on;
        }
        channels = match moved_on && Instant::now() < delivery.stop_sending {
            true => Channels::all_but(lanes.map(|lane| lane.held)),
            false => Channels::default(),
        };
    }
    delivered.broken_templates = templates::report_broken(&prepared.wording);
    delivered
}

/// What a channel did.
#[derive(Default)]
struct DeliveredLane {
    reminders: ReminderFigures,
    held_back: Option<Reason>,
    /// The channel, if its account could not send: one message of a call tests it.
    held: Option<Channel>,
    moved_on: bool,
}

/// Delivers these channels side by side.
async fn deliver_channels(
    delivery: Delivery<'_>,
    messengers: &Messengers,
    channels: Channels,
) -> [DeliveredLane; REACH_PEOPLE.len()] {
    let timing = messengers.mailer.settings.timing;
    let off = |channel| NotSetUp { channel, timing };
    let email = deliver_channel(delivery, &messengers.mailer, channels);
    let sms = async {
        match &messengers.texter {
            Some(texter) => deliver_channel(delivery, texter, channels).await,
            None => deliver_channel(delivery, &off(Channel::Sms), channels).await,
        }
    };
    let push = async {
        match &messengers.pusher {
            Some(pusher) => deliver_channel(delivery, pusher, channels).await,
            None => deliver_channel(delivery, &off(Channel::Push), channels).await,
        }
    };
    future::join3(email, sms, push).await.into()
}

/// Delivers a channel, if it is one of these.
async fn deliver_channel<M: Messenger>(
    delivery: Delivery<'_>,
    messenger: &M,
    channels: Channels,
) -> DeliveredLane {
    if !channels.contains(messenger.channel()) {
        return DeliveredLane::default();
    }
    // Without an answer in time, no time is left to send.
    let rate = tokio::time::timeout_at(delivery.stop_sending.into(), messenger.rate());
    let Ok(rate) = rate.await else {
        return DeliveredLane::default();
    };
    let mut lane = MessageLane::new(messenger, delivery, rate);
    engine::deliver(&mut lane, messenger.in_flight()).await;
    let is_held = lane.was_held || lane.held_back.is_some();
    if is_held {
        lane.moved_on |= move_on_held(&mut lane.pages).await;
    }
    DeliveredLane {
        reminders: lane.pages.tally.figures(),
        held_back: lane.held_back,
        held: is_held.then_some(lane.pages.channel),
        moved_on: lane.moved_on,
    }
}
