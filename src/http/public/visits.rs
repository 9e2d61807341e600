//! Limits how often one person's links may be used. The count is in the process: a link that was
//! passed on must not keep the database busy.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Visits of one person in a period.
const VISITS: u32 = 30;
const PERIOD: Duration = Duration::from_secs(60);

/// The visits of the current period.
#[derive(Debug, Default)]
pub(super) struct Visits(Mutex<Period>);

#[derive(Debug, Default)]
struct Period {
    began: Option<Instant>,
    of: HashMap<String, u32>,
}

impl Visits {
    /// Counts a visit. Returns whether it is within the limit.
    pub(super) fn count(&self, person: &str, now: Instant) -> bool {
        let mut period = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |began: Instant| now.duration_since(began) >= PERIOD;
        if period.began.is_none_or(is_over) {
            period.of.clear();
            period.began = Some(now);
        }
        let visits = period.of.entry(person.to_owned()).or_default();
        *visits = visits.saturating_add(1);
        *visits <= VISITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_person_has_visits_of_their_own_in_each_minute() {
        let (visits, begin) = (Visits::default(), Instant::now());
        let count = |person, seconds| visits.count(person, begin + Duration::from_secs(seconds));
        for _ in 0..30 {
            assert!(count("a", 0));
        }
        assert!(!count("a", 59));
        assert!(count("b", 59));
        assert!(count("a", 60));
    }
}
