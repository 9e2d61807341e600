//! Channels: one folder each. A channel renders and stores nothing: it sends one message once, and
//! says what the answer means.

mod aws;
pub mod email;
mod http_client;
pub mod push;
pub mod sms;
pub mod timing;
pub mod webhook;

use std::time::Instant;

use crate::primitives::names::named;
use crate::reminders::Reason;

named! {
    /// The `channel` of an event.
    pub enum Channel {
        /// Mail through Amazon SES.
        Email = "email",
        /// SMS through AWS End User Messaging.
        Sms = "sms",
        /// Push messages through Firebase Cloud Messaging.
        Push = "push",
        /// HTTP requests to subscribers.
        Webhook = "webhook",
    }
}

/// The time that a message has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeLimits {
    /// No request leaves after that.
    pub(crate) leave_by: Instant,
    /// No answer is waited for after that. It is later.
    pub(crate) give_up_at: Instant,
}

/// The outcome of one request to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was accepted, under this id of the provider's. Endpoints of webhooks give none. SMS are
    /// sent, and paid, in parts.
    Sent {
        message_id: Option<String>,
        parts: Option<i32>,
    },
    /// It was not accepted and may be retried. A lost answer of a webhook's endpoint is this, too:
    /// the receiver knows a repeated message by its id.
    NotSent { reason: Reason, error: String },
    /// It was not sent and never will be.
    Rejected { reason: Reason, error: String },
    /// The answer was lost.
    Unknown { error: String },
    /// The account cannot send now. The message is not at fault, and the attempt does not count.
    AccountWide { reason: Reason, error: String },
    /// No request left: the page's or the call's time was over. The attempt does not count.
    Deferred,
}
