//! Counts the outcomes of one call. A message that is tried twice counts once, with its last
//! outcome.

use std::collections::HashMap;

use uuid::Uuid;

use crate::channels::Outcome;
use crate::delivery::event::EventStatus;
use crate::delivery::figures::ReminderFigures;
use crate::delivery::outcomes::{PageOutcomes, RecordedOutcome};

/// The messages that a claim ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct EndedMessages {
    /// No longer due.
    pub(crate) skipped: i64,
    /// All attempts are used.
    pub(crate) failed: i64,
    /// Sent by an earlier attempt, according to the provider's events.
    pub(crate) settled: i64,
    /// The events of all three, and those that go by the next channel of their chain.
    pub(crate) ids: Vec<Uuid>,
}

/// The count.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    figures: ReminderFigures,
    /// Not final yet: retried, or released.
    open: HashMap<Uuid, Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sent,
    Retrying,
    Unknown,
    Failed,
    /// Not sent because of the account: it waits a little.
    HeldBack,
    Deferred,
}

impl Tally {
    /// Counts the messages that a claim ended.
    pub(crate) fn add_ended(&mut self, ended: &EndedMessages) {
        self.figures.skipped += ended.skipped;
        self.figures.failed += ended.failed;
        self.figures.sent += ended.settled;
        self.forget(&ended.ids);
    }

    /// Does not count these any more: they ended, or another channel counts them.
    pub(crate) fn forget(&mut self, ids: &[Uuid]) {
        for id in ids {
            self.open.remove(id);
        }
    }

    /// Counts an outcome that is not recorded yet.
    pub(crate) fn add_outcome(&mut self, id: Uuid, outcome: &Outcome) {
        let kind = match outcome {
            Outcome::Sent { .. } => Kind::Sent,
            Outcome::NotSent { .. } => Kind::Retrying,
            Outcome::Rejected { .. } => Kind::Failed,
            Outcome::Unknown { .. } => Kind::Unknown,
            Outcome::AccountWide { .. } => Kind::HeldBack,
            Outcome::Deferred => Kind::Deferred,
        };
        self.open.insert(id, kind);
    }

    /// Counts a message that could not be prepared.
    pub(crate) fn add_unprepared(&mut self, recorded: &RecordedOutcome) {
        let kind = match recorded.status {
            Some(EventStatus::Completed) => Kind::Sent,
            Some(EventStatus::Failed) => Kind::Failed,
            _ => Kind::Retrying,
        };
        self.open.insert(recorded.event_id, kind);
    }

    /// Adds a page's outcomes as the database recorded them. `again`: an earlier try to record them
    /// failed.
    pub(crate) fn add_recorded(
        &mut self,
        outcomes: &PageOutcomes,
        recorded: &[RecordedOutcome],
        again: bool,
    ) {
        let stale = outcomes.len() - recorded.len();
        if stale > 0 {
            // After a lost COMMIT the first attempt may have recorded them.
            tracing::warn!(
                outcomes.stale = stale,
                event.id = outcomes.first_event(recorded),
                outcomes.tried_again = again,
                "stale outcomes were not recorded: other senders have claimed their messages since"
            );
        }
        for RecordedOutcome {
            event_id,
            status,
            moves_on,
        } in recorded
        {
            match status {
                // The next channel counts it.
                _ if *moves_on => self.open.remove(event_id),
                Some(EventStatus::Failed) => self.open.insert(*event_id, Kind::Failed),
                // SES's own event settled what the answer left open.
                Some(EventStatus::Completed) => self.open.insert(*event_id, Kind::Sent),
                _ => None,
            };
        }
        // Only messages that may come up again in this call are remembered by id.
        let figures = &mut self.figures;
        self.open.retain(|_, kind| match kind {
            Kind::Sent => {
                figures.sent += 1;
                false
            }
            Kind::Failed => {
                figures.failed += 1;
                false
            }
            Kind::Retrying | Kind::Unknown | Kind::HeldBack | Kind::Deferred => true,
        });
    }

    /// The sums.
    pub(crate) fn figures(mut self) -> ReminderFigures {
        for kind in self.open.values() {
            match kind {
                Kind::Sent => self.figures.sent += 1,
                Kind::Retrying => self.figures.retrying += 1,
                Kind::Unknown => self.figures.unknown += 1,
                Kind::Failed => self.figures.failed += 1,
                Kind::HeldBack => self.figures.deferred += 1,
                // Counted in the outbox, with those that no page took.
                Kind::Deferred => {}
            }
        }
        self.figures
    }
}
