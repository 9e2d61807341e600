//! Runs one step over many bookings, so that one booking that the user's database refuses does not
//! stop the others.

use std::time::{Duration, Instant};

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::lifecycle;
use crate::bookings::refusals::{
    KEPT, Refusal, RefusalReason, Refused, RefusedBooking, SET_BACK, TriedSingly,
};
use crate::bookings::step_rules::StepRules;
use crate::bookings::steps::{Moments, TimedStep, Turn};
use crate::bookings::storable::unstorable_statuses;
use crate::database::owner_functions::Liveness;
use crate::database::{DatabaseError, Result, Transaction, json};

/// How many bookings are tried after a statement for all took too long, and one by one after it was
/// refused.
const FEW: i64 = 500;
/// How many are tried one by one where most may not be live.
const MANY: i64 = 50_000;
/// Each attempt may take this part of the pass's statement time, itself a quarter of the call's.
/// When the smallest runs, half of the time for transitions is left.
const SLOW_ATTEMPTS: u32 = 4;

/// What the steps of one pass share.
pub(crate) struct StepRunner<'a> {
    pub(crate) transaction: &'a Transaction,
    pub(crate) rules: &'a StepRules,
    pub(crate) moments: &'a Moments,
    pub(crate) run_id: Uuid,
    /// No statement begins after this.
    pub(crate) until: Instant,
    /// How often bookings may still be tried one by one.
    pub(crate) rounds_singly: usize,
    /// What was refused so far.
    pub(crate) refused: Option<Refused>,
    /// Steps that changed a booking in this pass: the database does not refuse them as such.
    pub(crate) working: Vec<lifecycle::Step>,
    /// Steps that failed for all bookings alike: they are not tried again in this pass.
    pub(crate) failed: Vec<lifecycle::Step>,
}

impl StepRunner<'_> {
    /// One step of up to `room` bookings: a single statement, or smaller ones when the user's
    /// triggers refuse some or are too slow for that. Returns how many changed.
    pub(crate) async fn advance(&mut self, step: &TimedStep, turn: Turn, room: i64) -> Result<i64> {
        let (mut changed, mut most) = (0, room);
        while changed < room && !self.failed.contains(&step.edge) {
            let chunk = most.min(room - changed);
            match self.advance_up_to(step, turn, chunk, None).await {
                Ok(count) => {
                    changed += count;
                    if count > 0 {
                        self.working.push(step.edge);
                    }
                    if count < chunk {
                        break;
                    }
                }
                Err(error) if error.is_statement_timeout() && chunk > FEW => {
                    tracing::warn!(
                        transition.to = step.edge.to.as_str(),
                        chunk,
                        "status changes are slow here; trying fewer at a time"
                    );
                    most = FEW;
                }
                Err(error) if error.is_of_a_row() => {
                    if !self.is_storable(step).await? {
                        self.refuse_all(step, chunk, &error).await?;
                        break;
                    }
                    if self.rounds_singly == 0 {
                        tracing::warn!(
                            transition.to = step.edge.to.as_str(),
                            "too many bookings are refused; the rest waits for the next pass"
                        );
                        break;
                    }
                    self.rounds_singly -= 1;
                    let (moved, goes_on) = self.advance_singly(step, turn, chunk.min(FEW)).await?;
                    changed += moved;
                    if !goes_on {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
            if Instant::now() >= self.until {
                break;
            }
        }
        Ok(changed)
    }

    /// One step's UPDATE of up to `limit` bookings, or of `only` these, undone when it fails. One
    /// round trip. Bookings whose status a trigger of the user keeps are recorded as refused.
    pub(crate) async fn advance_up_to(
        &mut self,
        step: &TimedStep,
        turn: Turn,
        limit: i64,
        only: Option<&[Uuid]>,
    ) -> Result<i64> {
        let update_sql = step.update_sql(self.rules);
        let run_id = self.run_id.to_string();
        let as_of_text = self.moments.as_of().to_rfc3339();
        let [as_of, ..] = self.moments.parameters();
        let update = [
            as_of,
            (&as_of_text as _, Type::TEXT),
            (&run_id as _, Type::TEXT),
        ];
        let write =
            async |transaction: &Transaction| transaction.query_one(&update_sql, &update).await;
        let row = self
            .write(self.rules, step, turn, limit, only, write)
            .await?;
        if let Some(kept) = row.get::<_, Option<Vec<Uuid>>>("kept") {
            let kept = kept.into_iter();
            let kept = kept.map(|id| RefusedBooking::of_trigger(id, KEPT.to_owned()));
            self.record_refusals(step, &kept.collect::<Vec<_>>(), false)
                .await?;
        }
        Ok(row.get("moved"))
    }

    /// Locks the candidates of a step and changes them with the settings of the user's database.
    async fn write<T>(
        &self,
        rules: &StepRules,
        step: &TimedStep,
        turn: Turn,
        limit: i64,
        only: Option<&[Uuid]>,
        write: impl AsyncFnOnce(&Transaction) -> Result<T>,
    ) -> Result<T> {
        let candidates_sql = step.candidates_sql(rules, turn);
        let [as_of, expire, complete] = self.moments.parameters();
        let run_id = self.run_id.to_string();
        let candidates = [
            as_of,
            expire,
            complete,
            (&limit as _, Type::INT8),
            (&only as _, Type::UUID_ARRAY),
            (&run_id as _, Type::TEXT),
        ];
        let lock = async |transaction: &Transaction| {
            transaction.query(&candidates_sql, &candidates).await?;
            Ok(())
        };
        self.transaction
            .write_with_their_settings(self.time_limit(), lock, write)
            .await
    }

    fn time_limit(&self) -> Duration {
        self.transaction.statement_timeout() / SLOW_ATTEMPTS
    }

    /// Whether the column can hold the status at all.
    async fn is_storable(&self, step: &TimedStep) -> Result<bool> {
        let unstorable = unstorable_statuses(self.transaction).await?;
        Ok(!unstorable.contains(&step.edge.to))
    }

    /// Records every candidate as refused: the column cannot hold the status, so none can be
    /// changed. None of them is lost sight of.
    async fn refuse_all(
        &mut self,
        step: &TimedStep,
        room: i64,
        error: &DatabaseError,
    ) -> Result<()> {
        let refused = |id| RefusedBooking {
            reason: RefusalReason::of(error),
            ..RefusedBooking::of_trigger(id, error.details())
        };
        let ids = self.lock_candidates(step, room).await?;
        let refused: Vec<_> = ids.into_iter().map(refused).collect();
        self.record_refusals(step, &refused, false).await
    }

    /// Tries up to `limit` bookings one by one. Those that the database refuses, or that take too
    /// long, are recorded and set aside; the others are changed. Returns how many changed, and
    /// whether it got anywhere.
    async fn advance_singly(
        &mut self,
        step: &TimedStep,
        turn: Turn,
        limit: i64,
    ) -> Result<(i64, bool)> {
        let outcome = match self.try_singly(self.rules, step, turn, limit).await {
            Err(error) if self.rules.liveness == Liveness::Known && error.is_of_contents() => {
                tracing::warn!(
                    error = error.loggable(),
                    transition.to = step.edge.to.as_str(),
                    "the bookings that are due could not be found at once; trying \
                     booking_automation_is_live for each alone"
                );
                // Many may not be live, which takes no time.
                let rules = self.rules.asking_singly();
                self.try_singly(&rules, step, turn, MANY).await?
            }
            outcome => outcome?,
        };
        let outcome = json(&outcome, "outcome");
        let tried = TriedSingly::parse(&outcome, limit);
        let is_of_the_step = tried.is_of_the_step() && !self.working.contains(&step.edge);
        if is_of_the_step {
            self.failed.push(step.edge);
            tracing::error!(
                transition.to = step.edge.to.as_str(),
                bookings.count = tried.refused.len(),
                "the database refuses this step for all bookings that are due, with the same \
                 error; the next pass tries again"
            );
        }
        let is_to_record = |refused: &RefusedBooking| !refused.is_locked;
        let refused: Vec<_> = tried.refused.into_iter().filter(is_to_record).collect();
        self.record_refusals(step, &refused, is_of_the_step).await?;
        if tried.moved > 0 {
            self.working.push(step.edge);
        }
        let goes_on = tried.moved > 0 || !refused.is_empty();
        Ok((tried.moved, goes_on))
    }

    /// The outcome of bookings that are tried one by one.
    async fn try_singly(
        &self,
        rules: &StepRules,
        step: &TimedStep,
        turn: Turn,
        limit: i64,
    ) -> Result<Row> {
        let (run_id, as_of) = (self.run_id.to_string(), self.moments.as_of());
        // Then the last one has as much time again.
        let time = self.time_limit() / 2;
        let sql = step.update_singly_sql(rules, as_of, &run_id, time);
        let outcome = "SELECT \
            pg_catalog.current_setting('booking_automation.outcome')::pg_catalog.jsonb AS outcome";
        let write = async |transaction: &Transaction| {
            transaction.batch(&sql).await?;
            transaction.query_one(outcome, &[]).await
        };
        self.write(rules, step, turn, limit, None, write).await
    }

    async fn lock_candidates(&self, step: &TimedStep, limit: i64) -> Result<Vec<Uuid>> {
        let sql = step.lock_candidates_sql(self.rules);
        let [as_of, expire, complete] = self.moments.parameters();
        let rows = self
            .transaction
            .query(&sql, &[as_of, expire, complete, (&limit, Type::INT8)])
            .await?;
        Ok(rows.iter().map(|row| row.get("id")).collect())
    }

    /// Records as refused the bookings whose status a trigger of the user's database set back at
    /// once: a retry every minute would fire the triggers and lengthen the booking's log each time.
    /// Returns how many there were.
    pub(crate) async fn record_set_back(&mut self, step: &TimedStep) -> Result<i64> {
        let [as_of, expire, complete] = self.moments.parameters();
        let run_id = self.run_id.to_string();
        let parameters = [as_of, expire, complete, (&run_id as _, Type::TEXT)];
        let sql = step.set_back_sql(self.rules);
        let rows = self.transaction.query(&sql, &parameters).await?;
        let set_back = |row: &Row| RefusedBooking::of_trigger(row.get("id"), SET_BACK.to_owned());
        let refused: Vec<_> = rows.iter().map(set_back).collect();
        self.record_refusals(step, &refused, false).await?;
        Ok(i64::try_from(refused.len()).unwrap_or(i64::MAX))
    }

    fn count_refusals(&mut self, step: &TimedStep, refused: &[RefusedBooking]) {
        let Some(one) = refused.first() else {
            return;
        };
        let first = Refusal {
            booking_id: one.id,
            from: step.edge.from,
            to: step.edge.to,
            reason: one.reason,
        };
        let counted = self.refused.get_or_insert(Refused { count: 0, first });
        counted.count += i64::try_from(refused.len()).unwrap_or(i64::MAX);
    }

    async fn record_refusals(
        &mut self,
        step: &TimedStep,
        refused: &[RefusedBooking],
        is_of_the_step: bool,
    ) -> Result<()> {
        if refused.is_empty() {
            return Ok(());
        }
        self.count_refusals(step, refused);
        let bookings: Vec<_> = refused.iter().map(|refused| refused.id).collect();
        let messages: Vec<_> = refused.iter().map(|refused| &refused.message).collect();
        let parameters = [
            (&bookings as _, Type::UUID_ARRAY),
            (&step.edge.from.as_str() as _, Type::TEXT),
            (&step.edge.to.as_str() as _, Type::TEXT),
            (&self.run_id.to_string() as _, Type::TEXT),
            (&self.moments.as_of() as _, Type::TIMESTAMPTZ),
            (&messages as _, Type::TEXT_ARRAY),
            (&is_of_the_step as _, Type::BOOL),
        ];
        self.transaction
            .execute(include_str!("record_refusal.sql"), &parameters)
            .await?;
        Ok(())
    }
}
