//! How a message leaves: one folder a channel. A channel renders nothing and stores nothing: it sends one message once, and
//! says what the answer means.

pub mod email;
pub mod timing;
pub mod webhook;

use crate::primitives::names::named;
use crate::reminders::Reason;

named! {
    /// The `channel` of an event.
    pub enum Channel {
        /// Mail through Amazon SES.
        Email = "email",
        /// HTTP requests to subscribers.
        Webhook = "webhook",
    }
}

/// What became of one request to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The provider accepted it, under this id.
    Sent { message_id: String },
    /// It was not sent and may be tried again.
    NotSent { reason: Reason, error: String },
    /// It was not sent and never will be.
    Rejected { reason: Reason, error: String },
    /// The answer was lost.
    Unknown { error: String },
    /// The account cannot send now: nothing is wrong with the message, and no attempt is used up.
    AccountWide { reason: Reason, error: String },
    /// No request left: past the page's time or the call's. No attempt is used up.
    Deferred,
}
