//! A call: what fired it, and how long it may take.

use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::tick::summary::Trigger;

/// What fires a pass, and when it must be over.
#[derive(Clone, Debug)]
pub struct Call {
    /// What fired it.
    pub cause: Cause,
    /// The moment to decide by, in place of the database clock: for tests, demonstrations, previews.
    pub as_of: Option<DateTime<Utc>>,
    /// When it must be over. Nothing is waited for any longer, but for a second that recording a failure may
    /// take.
    pub deadline: Instant,
    /// Cancelled when the process has been told to end: what is under way is recorded, and nothing more is sent.
    pub stop: CancellationToken,
}

impl Call {
    /// A call that decides by the database clock, and that nobody stops.
    pub fn new(cause: Cause, deadline: Instant) -> Self {
        Self { cause, as_of: None, deadline, stop: CancellationToken::new() }
    }
}

/// What fired a call, and what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The scheduler's direct invocation.
    Schedule(Scheduled),
    /// A request over HTTP with a bearer secret.
    Bearer,
    /// A signed request over HTTP.
    Signature {
        /// Its `webhook-id`: an idempotency key, good for one pass.
        webhook_id: String,
    },
    /// The command line.
    Cli,
}

impl Cause {
    /// Its name.
    pub fn trigger(&self) -> Trigger {
        match self {
            Self::Schedule(_) => Trigger::Schedule,
            Self::Bearer => Trigger::Bearer,
            Self::Signature { .. } => Trigger::Signature,
            Self::Cli => Trigger::Cli,
        }
    }

    pub(crate) fn scheduled(&self) -> Scheduled {
        match self {
            Self::Schedule(scheduled) => scheduled.clone(),
            _ => Scheduled::default(),
        }
    }

    pub(crate) fn webhook_id(&self) -> Option<&str> {
        match self {
            Self::Signature { webhook_id } => Some(webhook_id),
            _ => None,
        }
    }
}

/// What the scheduler says of its invocation: recorded in `automation_runs`, never decided on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scheduled {
    /// For when it was scheduled.
    pub time: Option<String>,
    /// The scheduler's own id of it.
    pub execution_id: Option<String>,
    /// The scheduler's count of its attempts.
    pub attempt: Option<String>,
}
