//! Changes that the user's database refuses: as the summary shows them, and as a pass finds them.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use crate::bookings::lifecycle::Status;
use crate::database::DatabaseError;
use crate::database::error::is_lock;

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
    pub(crate) fn of(error: &DatabaseError) -> Self {
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

/// A booking whose change was refused, and the server's words.
pub(crate) struct RefusedBooking {
    pub(crate) id: Uuid,
    pub(crate) reason: RefusalReason,
    /// Another session holds a lock that a trigger needs: nothing to record.
    pub(crate) is_locked: bool,
    pub(crate) message: String,
}

impl RefusedBooking {
    fn parse(value: &Value) -> Option<Self> {
        let text = |member: &str| value[member].as_str();
        let id = text("booking_id")?.parse().ok()?;
        let Some(state) = text("state") else {
            let message = KEPT.to_owned();
            return Some(Self::of_trigger(id, message));
        };
        let hint = text("hint").filter(|hint| !hint.is_empty());
        let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        Some(Self {
            id,
            reason: state
                .as_bytes()
                .try_into()
                .map_or(RefusalReason::Trigger, RefusalReason::Sqlstate),
            is_locked: is_lock(state),
            message: format!("{state}: {}{hint}", text("message").unwrap_or_default()),
        })
    }

    pub(crate) fn of_trigger(id: Uuid, message: String) -> Self {
        Self {
            id,
            reason: RefusalReason::Trigger,
            is_locked: false,
            message,
        }
    }
}

pub(crate) const KEPT: &str = "a trigger kept the status";
pub(crate) const SET_BACK: &str = "a trigger set the status back";

/// What became of bookings that were tried one by one.
pub(crate) struct TriedSingly {
    pub(crate) moved: i64,
    /// Fewer than were due.
    ended_early: bool,
    pub(crate) refused: Vec<RefusedBooking>,
}

impl TriedSingly {
    /// From the outcome of `step_singly.sql` for up to `limit` bookings.
    pub(crate) fn parse(outcome: &Value, limit: i64) -> Self {
        let refused = outcome["refused"].as_array();
        let refused = refused.into_iter().flatten();
        Self {
            moved: outcome["moved"].as_i64().unwrap_or_default(),
            ended_early: outcome["tried"].as_i64() >= Some(limit) || outcome["ended_early"] == true,
            refused: refused.filter_map(RefusedBooking::parse).collect(),
        }
    }

    /// The step fails, not its bookings: all that are due were tried, and failed alike.
    pub(crate) fn is_of_the_step(&self) -> bool {
        let is_alike = |pair: &[RefusedBooking]| pair[0].reason == pair[1].reason;
        self.moved == 0
            && !self.ended_early
            && self.refused.len() > 1
            && self.refused.windows(2).all(is_alike)
    }
}
