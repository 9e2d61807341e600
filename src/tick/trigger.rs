//! What fired a call.

/// What fired a call, and its details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A direct invocation by the scheduler.
    Schedule(Scheduled),
    /// An HTTP request with a bearer secret.
    Bearer,
    /// A signed HTTP request.
    Signature {
        /// Its `webhook-id`: an idempotency key, good for one pass.
        webhook_id: String,
    },
    /// The command line, or the timer of `serve`.
    Cli,
}

impl Trigger {
    /// Its name in the summary and in `automation_runs`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Schedule(_) => "schedule",
            Self::Bearer => "bearer",
            Self::Signature { .. } => "signature",
            Self::Cli => "cli",
        }
    }

    pub(crate) fn scheduled(&self) -> Option<&Scheduled> {
        match self {
            Self::Schedule(scheduled) => Some(scheduled),
            _ => None,
        }
    }

    pub(crate) fn webhook_id(&self) -> Option<&str> {
        match self {
            Self::Signature { webhook_id } => Some(webhook_id),
            _ => None,
        }
    }
}

/// The scheduler's details of its invocation: only recorded in `automation_runs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scheduled {
    /// The time that it was scheduled for.
    pub time: Option<String>,
    /// The scheduler's id of the invocation.
    pub execution_id: Option<String>,
    /// The scheduler's count of its attempts.
    pub attempt: Option<String>,
}
