//! One call: the clock that it decides by, and its deadline.

use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

/// The limits of one call.
#[derive(Clone, Debug)]
pub struct Call {
    /// The moment to decide by, in place of the database clock: for tests, demonstrations,
    /// previews.
    pub as_of: Option<DateTime<Utc>>,
    /// When the call must end. It waits for nothing after this, except up to a second to record a
    /// failure.
    pub deadline: Instant,
    /// Cancelled when the process must stop: sent messages are recorded, and no more are sent.
    pub stop: CancellationToken,
}

impl Call {
    /// A call that decides by the database clock and must be over at `deadline`.
    pub fn until(deadline: Instant) -> Self {
        Self {
            as_of: None,
            deadline,
            stop: CancellationToken::new(),
        }
    }
}
