//! One of the pass's own UPDATEs, tried on one booking and undone.

use std::fmt;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::lifecycle::Status;
use crate::bookings::step_rules::StepRules;
use crate::bookings::steps::{STEPS, TimedStep};
use crate::database::{DatabaseError, Result, Transaction};
use crate::delivery::flags;

/// Longest time for one statement. The check of the deferred constraints may take as long again.
pub(crate) const STATEMENT_TIMEOUT: Duration = Duration::from_millis(400);
/// With less time than this, nothing more is tried.
const SHORTEST: Duration = Duration::from_millis(10);
const HAND_OVER: &str = include_str!("hand_over.sql");
pub(crate) const TOUCH: &str = include_str!("touch.sql");

/// What is tried.
#[derive(Clone, Copy)]
pub(crate) enum Attempt {
    /// A step, which really changes the status.
    Step(&'static TimedStep),
    /// The reminder flags.
    Flags,
}

impl Attempt {
    /// All that a pass writes to `bookings`.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        STEPS.iter().map(Self::Step).chain([Self::Flags])
    }

    /// The status of the booking that it needs.
    pub(crate) fn status(self) -> Status {
        match self {
            Self::Step(step) => step.edge.from,
            Self::Flags => Status::Confirmed,
        }
    }

    /// Whether it writes `expired`, which a CHECK of the user may refuse until it is extended.
    pub(crate) fn expires(self) -> bool {
        matches!(self, Self::Step(step) if step.edge.to == Status::Expired)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => write!(f, "{} → {}", step.edge.from, step.edge.to),
            Self::Flags => f.write_str("the reminder flags of a confirmed booking"),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The database took it.
    Taken,
    /// It took it, but the booking has its old status.
    Kept,
    /// There is no booking for it.
    Absent,
    /// It took too long, or waited for a lock, or no time was left.
    Slow,
    /// The database refused it.
    Refused {
        /// The server's words, and the function that said so.
        words: String,
        /// A CHECK refused it.
        by_check: bool,
    },
}

impl Outcome {
    /// Of a failed statement. `None`: the connection is lost.
    fn of_error(error: &DatabaseError) -> Option<Self> {
        if error.is_lost_connection() {
            return None;
        }
        if error.is_statement_timeout() || error.is_lock() {
            return Some(Self::Slow);
        }
        let function = error.function();
        let function = function.map(|name| format!(", in the function {name}"));
        Some(Self::Refused {
            words: error.message() + &function.unwrap_or_default(),
            by_check: error.code() == Some(&SqlState::CHECK_VIOLATION),
        })
    }
}

/// An attempt, its booking, and what came of it.
#[derive(Clone)]
pub(crate) struct Tried {
    pub(crate) attempt: Attempt,
    /// `None`: there is none.
    pub(crate) booking: Option<Uuid>,
    pub(crate) outcome: Outcome,
}

/// A transaction in which attempts are made.
pub(crate) struct Trial<'a> {
    pub(crate) transaction: &'a Transaction,
    pub(crate) rules: StepRules,
    /// When all attempts must be over.
    pub(crate) deadline: Instant,
}

impl Trial<'_> {
    /// Tries it on a booking, and undoes it.
    pub(crate) async fn attempt(&self, attempt: Attempt, booking: Option<Uuid>) -> Result<Tried> {
        let outcome = match booking {
            Some(booking) => self.outcome(attempt, booking).await?,
            None => Outcome::Absent,
        };
        Ok(Tried {
            attempt,
            booking,
            outcome,
        })
    }

    async fn outcome(&self, attempt: Attempt, booking: Uuid) -> Result<Outcome> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        // Half of it for the statement, half for the deferred constraints.
        let limit = STATEMENT_TIMEOUT.min(left / 2);
        if limit < SHORTEST {
            return Ok(Outcome::Slow);
        }
        self.transaction.batch("SAVEPOINT probe").await?;
        let written = match attempt {
            Attempt::Step(step) => self.step(step, booking, limit).await,
            Attempt::Flags => self.flags(booking, limit).await,
        };
        let outcome = match written {
            Ok(true) => Outcome::Taken,
            Ok(false) => Outcome::Kept,
            Err(error) => match Outcome::of_error(&error) {
                Some(outcome) => outcome,
                None => return Err(error),
            },
        };
        // It restores our settings, too, and ends the failure of the transaction.
        let undo = "ROLLBACK TO SAVEPOINT probe; RELEASE SAVEPOINT probe";
        self.transaction.batch(undo).await?;
        Ok(outcome)
    }

    /// Returns whether the status has changed.
    async fn step(&self, step: &TimedStep, booking: Uuid, limit: Duration) -> Result<bool> {
        let sql = step.update_sql(&self.rules);
        let (booking, run) = (booking.to_string(), Uuid::new_v4().to_string());
        let (as_of, as_of_text) = (Utc::now(), Utc::now().to_rfc3339());
        let handed = [(&booking as _, Type::TEXT), (&run as _, Type::TEXT)];
        let parameters = [
            (&as_of as _, Type::TIMESTAMPTZ),
            (&as_of_text as _, Type::TEXT),
            (&run as _, Type::TEXT),
        ];
        let hand_over = async |transaction: &Transaction| {
            transaction.query(HAND_OVER, &handed).await?;
            Ok(())
        };
        let write = async |transaction: &Transaction| transaction.query(&sql, &parameters).await;
        let rows = self
            .transaction
            .write_with_their_settings(limit, hand_over, write)
            .await?;
        Ok(rows
            .first()
            .is_some_and(|row| row.get::<_, i64>("moved") > 0))
    }

    /// Sets all flags. Where there are none, the triggers fire all the same.
    async fn flags(&self, booking: Uuid, limit: Duration) -> Result<bool> {
        let (bookings, sent) = ([booking], [true]);
        let flags = [
            (&&bookings[..] as _, Type::UUID_ARRAY),
            (&&sent[..] as _, Type::BOOL_ARRAY),
            (&&sent[..] as _, Type::BOOL_ARRAY),
            (&&sent[..] as _, Type::BOOL_ARRAY),
        ];
        let update = flags::update_sql(self.rules.columns);
        let write = async |transaction: &Transaction| match &update {
            Some(sql) => transaction.execute(sql, &flags).await,
            None => {
                let touched = [(&booking as _, Type::UUID)];
                transaction.execute(TOUCH, &touched).await
            }
        };
        self.transaction
            .write_with_their_settings(limit, async |_| Ok(()), write)
            .await?;
        Ok(true)
    }
}
