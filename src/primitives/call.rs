//! One call: by which clock it decides, and when it must be over.

use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

/// The limits of one call, whatever fired it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The moment to decide by, in place of the database clock: for tests, demonstrations, previews.
    pub as_of: Option<DateTime<Utc>>,
    /// When it must be over. It waits for nothing beyond this, except for up to a second to record a failure.
    pub deadline: Instant,
    /// Cancelled when the process is asked to stop: sent messages are recorded, and no more are sent.
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
