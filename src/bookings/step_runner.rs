//! Runs one step over many bookings, so that one booking that the user's database refuses does not
//! stop the others.

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::lifecycle::Status;
use crate::bookings::steps::{Moments, StepRules, TimedStep};
use crate::bookings::storable::unstorable_statuses;
use crate::database::{DatabaseError, Result, Transaction};

/// How long a booking is skipped after the user's database refused its change (by a constraint or
/// trigger). Others go on meanwhile.
const REFUSED_FOR: Duration = Duration::from_secs(3600);
/// The factor by which the number of bookings shrinks when a statement takes too long: 50 000, 3
/// 125, 195, 12.
const SLOW_DIVISOR: i64 = 16;
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
    /// Statements left for finding the bookings whose change is refused.
    pub(crate) isolation_statements: usize,
    /// What was refused so far.
    pub(crate) refused: Option<Refused>,
}

/// Changes that the user's database refused. They are tried again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// How many bookings.
    pub count: i64,
    /// One of them.
    pub first: Refusal,
}

/// A status change that the user's database refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The booking.
    pub booking_id: Uuid,
    /// The status that it keeps.
    pub from: Status,
    /// The status that it should have.
    pub to: Status,
    /// Why.
    pub reason: RefusalReason,
}

/// Why a change was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// A trigger kept the status, or set it back.
    Trigger,
    /// An error with this SQLSTATE; the trail has its text.
    Sqlstate([u8; 5]),
}

impl RefusalReason {
    fn of(error: &DatabaseError) -> Self {
        let code = error.code().map(|code| code.code().as_bytes());
        code.and_then(|code| code.try_into().ok())
            .map_or(Self::Trigger, Self::Sqlstate)
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trigger => f.write_str("trigger"),
            Self::Sqlstate(code) => f.write_str(&String::from_utf8_lossy(code)),
        }
    }
}

impl Serialize for RefusalReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl StepRunner<'_> {
    /// One step of up to `room` bookings: a single statement, or smaller ones when the user's
    /// triggers are too slow for that. Returns how many changed.
    pub(crate) async fn advance(&mut self, step: &TimedStep, room: i64) -> Result<i64> {
        let (mut changed, mut chunk) = (0, room);
        while chunk > 0 {
            match self.advance_up_to(step, chunk, None).await {
                Ok(count) => {
                    changed += count;
                    if count < chunk {
                        break;
                    }
                    chunk = chunk.min(room - changed);
                }
                Err(error) if error.is_statement_timeout() && chunk > 1 => {
                    tracing::warn!(
                        transition.to = step.edge.to.as_str(),
                        chunk,
                        "status changes are slow here; trying fewer at a time"
                    );
                    chunk = (chunk / SLOW_DIVISOR).max(1);
                }
                Err(error) if error.is_of_a_row() => {
                    changed += match self.is_storable(step).await? {
                        true => self.isolate_refused(step, chunk).await?,
                        false => self.refuse_all(step, chunk, &error).await?,
                    };
                    break;
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
        limit: i64,
        only: Option<&[Uuid]>,
    ) -> Result<i64> {
        let (candidates_sql, update_sql) =
            (step.candidates_sql(self.rules), step.update_sql(self.rules));
        let [as_of, expire, complete] = self.moments.parameters();
        let run_id = self.run_id.to_string();
        let as_of_text = self.moments.as_of().to_rfc3339();
        let candidates = [
            as_of.clone(),
            expire,
            complete,
            (&limit, Type::INT8),
            (&only, Type::UUID_ARRAY),
            (&run_id, Type::TEXT),
        ];
        let update = [
            as_of,
            (&as_of_text as _, Type::TEXT),
            (&run_id as _, Type::TEXT),
        ];
        let time = self.transaction.statement_timeout() / SLOW_ATTEMPTS;
        let lock = async |transaction: &Transaction| {
            transaction.query(&candidates_sql, &candidates).await?;
            Ok(())
        };
        let write =
            async |transaction: &Transaction| transaction.query_one(&update_sql, &update).await;
        let row = self
            .transaction
            .write_with_their_settings(time, lock, write)
            .await?;
        if let Some(kept) = row.get::<_, Option<Vec<Uuid>>>("kept") {
            self.record_refusals(
                step,
                &kept,
                RefusalReason::Trigger,
                "a trigger kept the status",
            )
            .await?;
        }
        Ok(row.get("moved"))
    }

    /// Whether the column can hold the status at all.
    async fn is_storable(&self, step: &TimedStep) -> Result<bool> {
        let unstorable = unstorable_statuses(self.transaction).await?;
        Ok(!unstorable.contains(&step.edge.to))
    }

    /// Records every candidate as refused: the column cannot hold the status, so none can be
    /// changed. None of them is lost sight of. Returns how many were changed: none.
    async fn refuse_all(
        &mut self,
        step: &TimedStep,
        room: i64,
        error: &DatabaseError,
    ) -> Result<i64> {
        let ids = self.lock_candidates(step, room).await?;
        self.record_refusals(step, &ids, RefusalReason::of(error), &error.details())
            .await?;
        Ok(0)
    }

    /// Halves the candidates until each refused one stands alone. A refused one is recorded and
    /// skipped for a while; the others are changed.
    async fn isolate_refused(&mut self, step: &TimedStep, room: i64) -> Result<i64> {
        let ids = self.lock_candidates(step, room).await?;
        let mut changed = 0;
        let mut halves = vec![&ids[..]];
        while let Some(ids) = halves.pop() {
            if ids.is_empty() {
                continue;
            }
            if self.isolation_statements == 0 || Instant::now() >= self.until {
                tracing::warn!(
                    transition.to = step.edge.to.as_str(),
                    "too many bookings are refused; the rest waits for the next pass"
                );
                break;
            }
            self.isolation_statements -= 1;
            match self.advance_up_to(step, room, Some(ids)).await {
                Ok(count) => changed += count,
                Err(error) if error.is_of_a_row() || error.is_statement_timeout() => match ids {
                    // A trigger of the user's database met a lock, or is slow: the next pass may
                    // succeed.
                    [_] if error.is_lock() || error.is_statement_timeout() => {}
                    [id] => self.record_refused(step, *id, &error).await?,
                    _ => {
                        let (first, second) = ids.split_at(ids.len() / 2);
                        halves.extend([second, first]);
                    }
                },
                Err(error) => return Err(error),
            }
        }
        Ok(changed)
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
        let (run_id, wait) = (self.run_id.to_string(), REFUSED_FOR.as_secs_f64());
        let parameters = [
            as_of,
            expire,
            complete,
            (&run_id as _, Type::TEXT),
            (&wait as _, Type::FLOAT8),
        ];
        let rows = self
            .transaction
            .query(&step.record_set_back_sql(self.rules), &parameters)
            .await?;
        let bookings: Vec<Uuid> = rows.iter().map(|row| row.get("booking_id")).collect();
        self.count_refusals(step, &bookings, RefusalReason::Trigger);
        Ok(i64::try_from(bookings.len()).unwrap_or(i64::MAX))
    }

    /// Records that the user's database refused a booking with an error.
    async fn record_refused(
        &mut self,
        step: &TimedStep,
        booking_id: Uuid,
        error: &DatabaseError,
    ) -> Result<()> {
        self.record_refusals(
            step,
            &[booking_id],
            RefusalReason::of(error),
            &error.details(),
        )
        .await
    }

    fn count_refusals(&mut self, step: &TimedStep, bookings: &[Uuid], reason: RefusalReason) {
        let Some(booking_id) = bookings.first().copied() else {
            return;
        };
        let first = Refusal {
            booking_id,
            from: step.edge.from,
            to: step.edge.to,
            reason,
        };
        let refused = self.refused.get_or_insert(Refused { count: 0, first });
        refused.count += i64::try_from(bookings.len()).unwrap_or(i64::MAX);
    }

    async fn record_refusals(
        &mut self,
        step: &TimedStep,
        bookings: &[Uuid],
        reason: RefusalReason,
        why: &str,
    ) -> Result<()> {
        self.count_refusals(step, bookings, reason);
        let parameters = [
            (&bookings as _, Type::UUID_ARRAY),
            (&step.edge.from.as_str() as _, Type::TEXT),
            (&step.edge.to.as_str() as _, Type::TEXT),
            (&self.run_id.to_string() as _, Type::TEXT),
            (&self.moments.as_of() as _, Type::TIMESTAMPTZ),
            (&why as _, Type::TEXT),
            (&REFUSED_FOR.as_secs_f64() as _, Type::FLOAT8),
        ];
        self.transaction
            .execute(include_str!("record_refusal.sql"), &parameters)
            .await?;
        Ok(())
    }
}
