//! Logs refused calls: a few of each status in a minute, so that a flood of them does not fill the
//! log.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;

/// Lines for each status in one period.
const LINES: u64 = 5;
/// It begins with a line.
const PERIOD: Duration = Duration::from_secs(60);

/// The periods of this process.
static LOG: Mutex<Sample> = Mutex::new(Sample(BTreeMap::new()));

/// Which refusals are logged.
struct Sample(BTreeMap<StatusCode, Period>);

/// The current period of one status.
struct Period {
    began: Instant,
    /// Refused calls since then.
    calls: u64,
}

impl Sample {
    /// Counts a refusal. `Some`: it is to be logged, with the number of those that were not, since
    /// the line before it.
    fn count(&mut self, status: StatusCode, now: Instant) -> Option<u64> {
        let new = Period {
            began: now,
            calls: 0,
        };
        let period = self.0.entry(status).or_insert(new);
        let mut left_out = 0;
        if now.duration_since(period.began) >= PERIOD {
            left_out = period.calls.saturating_sub(LINES);
            (period.began, period.calls) = (now, 0);
        }
        period.calls += 1;
        (period.calls <= LINES).then_some(left_out)
    }
}

/// Logs a refused call, or counts it for a later line. The reason says nothing of what the call
/// holds: a path or a header could be a secret.
pub(crate) fn log_refusal(status: StatusCode, reason: impl Display) {
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(left_out) = log.count(status, Instant::now()) else {
        return;
    };
    let left_out = (left_out > 0).then_some(left_out);
    tracing::info!(
        status = status.as_u16(),
        left_out,
        "refused a call: {reason}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_refusals_of_each_status_are_logged_in_a_minute_and_the_others_counted() {
        let (mut log, begin) = (Sample(BTreeMap::new()), Instant::now());
        let mut count = |status, seconds| log.count(status, begin + Duration::from_secs(seconds));
        let (unauthorized, not_found) = (StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND);
        for second in 0..5 {
            assert_eq!(count(unauthorized, second), Some(0));
        }
        for second in 5..60 {
            assert_eq!(count(unauthorized, second), None);
        }
        // Another status has lines of its own.
        assert_eq!(count(not_found, 59), Some(0));
        // A line says how many there were, once.
        assert_eq!(count(unauthorized, 60), Some(55));
        for second in 61..65 {
            assert_eq!(count(unauthorized, second), Some(0));
        }
        assert_eq!(count(unauthorized, 119), None);
        assert_eq!(count(unauthorized, 10_000), Some(1));
        // A quiet time has nothing to count.
        assert_eq!(count(unauthorized, 20_000), Some(0));
    }
}
