//! Channels: one folder each. A channel renders and stores nothing: it sends one message once, and
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

/// The outcome of one request to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was accepted, under this id of the provider's. Endpoints of webhooks give none.
    Sent { message_id: Option<String> },
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
