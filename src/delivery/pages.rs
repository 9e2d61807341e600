//! From one page to the next: records what was sent and claims more, in one transaction.

use std::time::{Duration, Instant};

use futures_util::future;

use crate::channels::timing::Timing;
use crate::database::{Begin, Database, DatabaseError, Result};
use crate::delivery::contact_failure::{is_contact_failure, record_contact_failure};
use crate::delivery::outbox::{
    self, ClaimLimits, IN_INDEX_ORDER, PageOutcomes, RecordedOutcome, ReminderPage, claim_page,
    lock_candidates, record_outcomes,
};
use crate::delivery::tally::Tally;
use crate::primitives::call::Call;

/// Longest time for one statement of a delivery.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(8);
/// Messages in one page, at most: what two seconds of the fastest accounts send.
pub(crate) const LARGEST_PAGE: i64 = 2_000;

/// What moving from page to page needs.
pub(crate) struct DeliveryPages<'a> {
    pub(crate) database: &'a Database,
    pub(crate) call: &'a Call,
    pub(crate) timing: &'a Timing,
    pub(crate) tally: Tally,
    /// Messages in a page, at most: fewer where the contacts view is slow.
    most_messages: i64,
}

/// The factor by which a page shrinks whose contacts could not be read in time.
const SLOW_DIVISOR: i64 = 8;

impl<'a> DeliveryPages<'a> {
    pub(crate) fn new(database: &'a Database, call: &'a Call, timing: &'a Timing) -> Self {
        Self {
            database,
            call,
            timing,
            tally: Tally::default(),
            most_messages: LARGEST_PAGE,
        }
    }

    /// Records what was sent and claims the next page, in one transaction of three round trips. If that fails, recording
    /// is retried alone: outcomes matter more than the next page.
    pub(crate) async fn next_page(
        &mut self,
        outcomes: &PageOutcomes,
        limits: Option<&ClaimLimits>,
    ) -> Result<ReminderPage> {
        let limits = limits.map(|limits| ClaimLimits {
            messages: limits.messages.min(self.most_messages),
            ..*limits
        });
        let limits = limits.as_ref();
        // Only the first attempt claims: a claim whose COMMIT was lost waits for its lease.
        let error = match self.record_and_claim(outcomes, limits).await {
            Ok((recorded, page)) => {
                self.tally.add_recorded(outcomes, &recorded, false);
                return Ok(page);
            }
            Err(error) => error,
        };
        let is_slow = self.shrink_if_slow(&error, limits);
        if outcomes.is_empty() {
            return match limits {
                Some(_) if is_slow => Ok(ReminderPage::default()),
                Some(limits) if is_contact_failure(&error) => self.claim_singly(limits).await,
                _ => Err(error),
            };
        }
        self.record_again(outcomes, error).await
    }

    /// Whether the contacts of a page could not be read in time: the next ones are smaller.
    fn shrink_if_slow(&mut self, error: &DatabaseError, limits: Option<&ClaimLimits>) -> bool {
        let Some(messages) = limits.map(|limits| limits.messages) else {
            return false;
        };
        let is_slow = error.is_statement_timeout() && messages > 1;
        if is_slow {
            self.most_messages = (messages / SLOW_DIVISOR).max(1);
            tracing::warn!(
                messages.count = messages,
                "the contacts of a page could not be read in time; trying fewer at a time"
            );
        }
        is_slow
    }

    /// Records what was sent, until it succeeds or the call is over.
    async fn record_again(
        &mut self,
        outcomes: &PageOutcomes,
        mut error: DatabaseError,
    ) -> Result<ReminderPage> {
        let in_ascii = error.is_untranslatable().then(|| outcomes.in_ascii());
        let outcomes = in_ascii.as_ref().unwrap_or(outcomes);
        let (mut pause, longest) = self.timing.record_pauses;
        while Instant::now() + pause < self.call.deadline {
            tracing::warn!(
                error = error.loggable(),
                outcomes.count = outcomes.len(),
                "outcomes could not be recorded; trying again"
            );
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
            match self.record_and_claim(outcomes, None).await {
                Ok((recorded, page)) => {
                    self.tally.add_recorded(outcomes, &recorded, true);
                    return Ok(page);
                }
                Err(again) => error = again,
            }
        }
        for (event, message_id) in outcomes.sent() {
            tracing::error!(
                event.id = %event,
                message.id = message_id,
                "sent, but the outcome could not be recorded: the message will be sent again"
            );
        }
        Err(error)
    }

    /// Claims one message after a page failed because the contacts view cannot be read for one of
    /// its bookings. If it is this message's booking, the failure counts as an attempt.
    async fn claim_singly(&mut self, limits: &ClaimLimits) -> Result<ReminderPage> {
        let single = ClaimLimits {
            messages: 1,
            ..*limits
        };
        let error = match self
            .record_and_claim(&PageOutcomes::default(), Some(&single))
            .await
        {
            Ok((_, page)) => return Ok(page),
            Err(error) if is_contact_failure(&error) => error,
            Err(error) => return Err(error),
        };
        let (details, back_off, as_of) = (error.details(), self.timing.back_off, self.call.as_of);
        let begin = Begin {
            until: Some(self.call.deadline),
            ..Begin::default()
        };
        let (transaction, _) = self.database.begin(&begin, "").await?;
        let recorded = transaction
            .commit_after(async |transaction| {
                record_contact_failure(transaction, &details, back_off, as_of).await
            })
            .await?;
        let Some(recorded) = recorded else {
            return Err(error);
        };
        tracing::error!(
            event.id = %recorded.event_id,
            error = error.loggable(),
            "booking_automation_contacts cannot be read for this event's booking"
        );
        self.tally.add_contact_failure(&recorded);
        Ok(ReminderPage::default())
    }

    async fn record_and_claim(
        &self,
        outcomes: &PageOutcomes,
        claim: Option<&ClaimLimits>,
    ) -> Result<(Vec<RecordedOutcome>, ReminderPage)> {
        if outcomes.is_empty() && claim.is_none() {
            return Ok(Default::default());
        }
        let (as_of, until) = (self.call.as_of, Some(self.call.deadline));
        let begin = Begin {
            statement_timeout: STATEMENT_TIMEOUT,
            as_of,
            until,
            ..Begin::default()
        };
        let (transaction, _) = self.database.begin(&begin, IN_INDEX_ORDER).await?;
        let record = async {
            match outcomes.is_empty() {
                true => Ok(Vec::new()),
                false => record_outcomes(&transaction, outcomes, as_of).await,
            }
        };
        let hold = async {
            match outcomes.account {
                Some(account) => outbox::set_channel_hold(&transaction, account.err()).await,
                None => Ok(()),
            }
        };
        let candidates = async {
            match claim {
                Some(limits) => lock_candidates(&transaction, limits)
                    .await
                    .map(|candidates| Some((limits, candidates))),
                None => Ok(None),
            }
        };
        let (recorded, held, candidates) = future::join3(record, hold, candidates).await;
        held?;
        let (recorded, candidates) = (recorded?, candidates?);
        let page = transaction
            .commit_after(async |transaction| match &candidates {
                Some((limits, candidates)) => claim_page(transaction, limits, candidates).await,
                None => Ok(ReminderPage::default()),
            })
            .await?;
        Ok((recorded, page))
    }
}
