//! From one page to the next: records what was sent, then claims more, each in its own transaction,
//! so that a claim that fails undoes no record.

use std::time::{Duration, Instant};

use futures_util::future;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::channels::Channel;
use crate::channels::timing::Timing;
use crate::database::{Begin, Database, DatabaseError, Result, Transaction};
use crate::delivery::candidates::{ClaimLimits, lock_candidates};
use crate::delivery::claim_mark::{ClaimMark, announce_claim, delete_mark};
use crate::delivery::claim_sql::IN_INDEX_ORDER;
use crate::delivery::claim_time::{ClaimTime, STATEMENT_TIMEOUT};
use crate::delivery::hold::set_channel_hold;
use crate::delivery::outbox::{MAX_ATTEMPTS, MessagePage, claim_page};
use crate::delivery::outcomes::{PageOutcomes, RecordRetries, RecordedOutcome, record_outcomes};
use crate::delivery::tally::Tally;
use crate::delivery::unprepared::{Unprepared, record_unprepared};
use crate::primitives::call::Call;
use crate::reminders::Reason;

/// Messages in one page, at most: what two seconds of the fastest accounts send.
pub(crate) const LARGEST_PAGE: i64 = 2_000;

/// What moving from page to page needs.
pub(crate) struct DeliveryPages<'a> {
    pub(crate) channel: Channel,
    pub(crate) database: &'a Database,
    pub(crate) call: &'a Call,
    pub(crate) timing: &'a Timing,
    pub(crate) tally: Tally,
    /// Messages in a page, at most: fewer where the contacts view is slow.
    most_messages: i64,
    /// The same, where a process ended over them.
    most_after_death: i64,
    /// Of this delivery's mark.
    id: Uuid,
    /// Whether claims are announced.
    keeps_marks: bool,
    /// The next claim, if it is announced.
    mark: Option<ClaimMark>,
    /// Whether messages have chains of channels: not before `migrate`.
    pub(crate) has_chains: bool,
    /// The limits of the claim that is under way.
    claim_limits: ClaimTime,
}

/// The factor by which a page shrinks whose contacts could not be read in time.
const SLOW_DIVISOR: i64 = 8;

impl<'a> DeliveryPages<'a> {
    pub(crate) fn new(
        channel: Channel,
        database: &'a Database,
        call: &'a Call,
        timing: &'a Timing,
    ) -> Self {
        Self {
            channel,
            database,
            call,
            timing,
            tally: Tally::default(),
            most_messages: LARGEST_PAGE,
            most_after_death: LARGEST_PAGE,
            id: Uuid::new_v4(),
            keeps_marks: true,
            mark: None,
            has_chains: false,
            claim_limits: ClaimTime::of(call, timing, false),
        }
    }

    /// The limits of the next page.
    fn narrowed(&self, limits: &ClaimLimits) -> ClaimLimits {
        ClaimLimits {
            messages: limits
                .messages
                .min(self.most_messages)
                .min(self.most_after_death),
            ..*limits
        }
    }

    /// Records what was sent, and announces the claim of the next page with it. If that fails,
    /// recording is retried alone: outcomes matter more than the next page. Returns whether
    /// messages go by the next channel of their chain.
    pub(crate) async fn record(
        &mut self,
        outcomes: &PageOutcomes,
        next: Option<&ClaimLimits>,
    ) -> Result<bool> {
        if outcomes.is_empty() {
            return Ok(false);
        }
        let next = next.filter(|_| self.keeps_marks);
        let next = next.map(|limits| self.narrowed(limits));
        match self.record_once(outcomes, next.as_ref()).await {
            Ok((recorded, mark)) => {
                self.tally.add_recorded(outcomes, &recorded, false);
                self.mark = mark;
                Ok(recorded.iter().any(|outcome| outcome.moves_on))
            }
            Err(error) => self.record_again(outcomes, error).await,
        }
    }

    /// Takes back the announcement of the next claim, or the next call takes this process for one
    /// that ended.
    pub(crate) async fn withdraw_claim(&mut self) {
        if self.mark.take().is_some() {
            self.delete_mark().await;
        }
    }

    /// Claims a page: with fewer messages, or a single one, where an earlier claim came to no end.
    /// Only one attempt: a claim whose COMMIT was lost waits for its lease. `is_ahead`: outcomes
    /// wait for its end.
    pub(crate) async fn claim(
        &mut self,
        limits: &ClaimLimits,
        is_ahead: bool,
    ) -> Result<MessagePage> {
        self.claim_limits = ClaimTime::of(self.call, self.timing, is_ahead);
        let limits = self.narrowed(limits);
        let mark = match self.mark.take() {
            Some(mark) => mark,
            None => self.announce(limits.messages).await,
        };
        let mark = match mark.fatal_message() {
            Some(event_id) => {
                self.give_up(event_id).await?;
                self.announce(limits.messages).await
            }
            None => mark,
        };
        if mark.messages < limits.messages {
            self.most_after_death = mark.messages;
        }
        let limits = ClaimLimits {
            messages: mark.messages.min(limits.messages),
            single: mark.single,
            // So that the message is found over which processes end.
            alone: mark.single.is_some() && (mark.deaths > 0 || mark.messages < limits.messages),
            ..limits
        };
        let error = match self.claim_once(&limits, &mut None).await {
            Ok(page) => {
                self.most_after_death = (2 * self.most_after_death).min(LARGEST_PAGE);
                return Ok(page);
            }
            Err(error) => error,
        };
        let claimed = if self.shrink_if_slow(&error, &limits) {
            Ok(MessagePage::default())
        } else if error.is_of_contents() {
            self.claim_singly(&limits).await
        } else {
            Err(error)
        };
        self.delete_mark().await;
        claimed
    }

    /// Whether the contacts of a page could not be read in time: the next ones are smaller.
    fn shrink_if_slow(&mut self, error: &DatabaseError, limits: &ClaimLimits) -> bool {
        let messages = limits.messages;
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
    ) -> Result<bool> {
        let in_ascii = error.is_untranslatable().then(|| outcomes.in_ascii());
        let outcomes = in_ascii.as_ref().unwrap_or(outcomes);
        let mut retries = RecordRetries::new(self.timing, self.call.deadline);
        while retries.wait_after(&error, outcomes).await {
            match self.record_once(outcomes, None).await {
                Ok((recorded, _)) => {
                    self.tally.add_recorded(outcomes, &recorded, true);
                    return Ok(recorded.iter().any(|outcome| outcome.moves_on));
                }
                Err(again) => error = again,
            }
        }
        Err(error)
    }

    /// Claims one message after a page failed because the contacts view cannot be read for one of
    /// its bookings. If it is this message's booking, the failure counts as an attempt.
    async fn claim_singly(&mut self, limits: &ClaimLimits) -> Result<MessagePage> {
        let single = ClaimLimits {
            messages: 1,
            alone: true,
            ..*limits
        };
        let mut event_id = limits.single;
        let error = match self.claim_once(&single, &mut event_id).await {
            Ok(page) => return Ok(page),
            Err(error) if error.is_of_contents() => error,
            Err(error) => return Err(error),
        };
        let Some(event_id) = event_id else {
            return Err(error);
        };
        let unprepared = Unprepared {
            event_id,
            reason: Reason::Contacts,
            error: &error.details(),
        };
        let Some(recorded) = self.record_unprepared(&unprepared).await? else {
            return Err(error);
        };
        tracing::error!(
            event.id = %recorded.event_id,
            error = error.loggable(),
            "booking_automation_contacts cannot be read for this event's booking"
        );
        Ok(MessagePage::default())
    }

    /// Gives up a message over which processes have ended, so that the others go on.
    async fn give_up(&mut self, event_id: Uuid) -> Result<()> {
        let unprepared = Unprepared {
            event_id,
            reason: Reason::Crash,
            error: Reason::Crash.sentence(),
        };
        self.record_unprepared(&unprepared).await?;
        tracing::error!(
            event.id = %event_id,
            "the program ended three times while it prepared this message: not sent; given up"
        );
        Ok(())
    }

    async fn record_unprepared(
        &mut self,
        unprepared: &Unprepared<'_>,
    ) -> Result<Option<RecordedOutcome>> {
        let (back_off, as_of) = (self.timing.back_off, self.call.as_of);
        let transaction = self.begin_claim().await?;
        let recorded = transaction
            .commit_after(async |transaction| {
                record_unprepared(transaction, unprepared, back_off, as_of).await
            })
            .await?;
        if let Some(recorded) = &recorded {
            self.tally.add_unprepared(recorded);
        }
        Ok(recorded)
    }

    /// Announces a claim in a transaction of its own. Where that is not possible, the claim goes on
    /// without.
    async fn announce(&mut self, messages: i64) -> ClaimMark {
        if !self.keeps_marks {
            return ClaimMark::unmarked(messages);
        }
        let announced = async {
            let transaction = self.begin_claim().await?;
            transaction
                .commit_after(async |transaction| {
                    announce_claim(
                        transaction,
                        self.id,
                        self.channel,
                        messages,
                        self.call.as_of,
                    )
                    .await
                })
                .await
        };
        match announced.await {
            Ok(mark) => mark,
            Err(error) => {
                self.keeps_marks = false;
                // Before `migrate`, there is no such table.
                if error.code() != Some(&SqlState::UNDEFINED_TABLE) {
                    tracing::warn!(
                        error = error.loggable(),
                        "the claim of a page could not be announced"
                    );
                }
                ClaimMark::unmarked(messages)
            }
        }
    }

    /// Deletes the mark of a claim that failed: its process has not ended. If that fails, too, the
    /// next call claims fewer messages at first.
    async fn delete_mark(&self) {
        if !self.keeps_marks {
            return;
        }
        let until = (Instant::now() + self.timing.recording / 2).min(self.call.deadline);
        if let Ok(transaction) = self.begin(STATEMENT_TIMEOUT, until).await {
            let delete = async |transaction: &Transaction| delete_mark(transaction, self.id).await;
            let _ = transaction.commit_after(delete).await;
        }
    }

    async fn begin_claim(&self) -> Result<Transaction> {
        let ClaimTime { statement, until } = self.claim_limits;
        self.begin(statement, until).await
    }

    /// Begins a transaction of delivery.
    pub(crate) async fn begin(
        &self,
        statement_timeout: Duration,
        until: Instant,
    ) -> Result<Transaction> {
        let begin = Begin {
            statement_timeout,
            as_of: self.call.as_of,
            until: Some(until),
            ..Begin::default()
        };
        let (transaction, _) = self.database.begin(&begin, IN_INDEX_ORDER).await?;
        Ok(transaction)
    }

    /// Records outcomes and announces the next claim, in two round trips.
    async fn record_once(
        &self,
        outcomes: &PageOutcomes,
        next: Option<&ClaimLimits>,
    ) -> Result<(Vec<RecordedOutcome>, Option<ClaimMark>)> {
        let transaction = self.begin(STATEMENT_TIMEOUT, self.call.deadline).await?;
        let write = async |transaction: &Transaction| {
            let (as_of, has_chains) = (self.call.as_of, self.has_chains);
            let record = record_outcomes(transaction, outcomes, MAX_ATTEMPTS, as_of, has_chains);
            let hold = async {
                match outcomes.account {
                    Some(account) => {
                        set_channel_hold(transaction, self.channel, account.err()).await
                    }
                    None => Ok(()),
                }
            };
            let announce = async {
                match next {
                    Some(limits) => {
                        let (messages, as_of) = (limits.messages, limits.as_of);
                        announce_claim(transaction, self.id, self.channel, messages, as_of)
                            .await
                            .map(Some)
                    }
                    None => Ok(None),
                }
            };
            let (recorded, held, mark) = future::join3(record, hold, announce).await;
            held?;
            Ok((recorded?, mark?))
        };
        transaction.commit_after(write).await
    }

    /// Claims a page in three round trips. `first` is set to its first message, also if the page
    /// cannot be claimed.
    async fn claim_once(
        &mut self,
        limits: &ClaimLimits,
        first: &mut Option<Uuid>,
    ) -> Result<MessagePage> {
        let transaction = self.begin_claim().await?;
        let candidates = lock_candidates(&transaction, limits, first).await?;
        self.has_chains = candidates.has_chains();
        let claim = async |transaction: &Transaction| {
            let page = claim_page(transaction, limits, &candidates);
            let unmark = async {
                match self.keeps_marks {
                    true => delete_mark(transaction, self.id).await,
                    false => Ok(()),
                }
            };
            let (page, unmarked) = future::join(page, unmark).await;
            page.and_then(|page| unmarked.map(|()| page))
        };
        transaction.commit_after(claim).await
    }
}
