//! Steps that a person or another program takes in a booking's life: judged by the table in [`crate::lifecycle`], on the
//! booking as it is now, and written only while it is so.
//!
//! First the booking is locked, and moved on by time, by the pass's own statements: that no pass has come yet must not decide
//! what is allowed. Then it is judged, and changed, in the same transaction; a refused step undoes that, too.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use thiserror::Error;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::cancellation::policies::{self, Undecided};
use crate::bookings::cancellation::{self, CANCELLED, Refund};
use crate::bookings::lifecycle::{Role, Step, TABLE, When};
use crate::bookings::projection;
use crate::bookings::transitions::{self, Moments};
use crate::config::PassSettings;
use crate::database::{DatabaseError, Transaction, finite};

/// Who takes a step, and why.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    /// As what.
    pub(crate) role: Role,
    /// Their id, as the user's backend knows it.
    pub(crate) id: Option<String>,
    /// Their words.
    pub(crate) reason: Option<String>,
}

impl Actor {
    /// As the audit trail names them.
    fn name(&self) -> String {
        match &self.id {
            Some(id) => format!("{}:{id}", self.role),
            None => self.role.to_string(),
        }
    }
}

/// A step that was taken.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Changed {
    booking_id: Uuid,
    from: String,
    to: String,
    at: DateTime<Utc>,
    by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What was decided to be refunded, where the booking was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<Refund>,
    /// The automation leaves the booking alone from now on.
    automation_blocked: bool,
}

/// Why a step was not taken. Nothing was written.
#[derive(Debug, Error)]
pub(crate) enum Refused {
    #[error("there is no such booking")]
    Unknown,
    /// Not from this status, by this role, now.
    #[error("{why}")]
    Forbidden { why: String, current: String, allowed: Vec<&'static str> },
    /// It would refund what nobody can tell.
    #[error("{0}")]
    Undecided(#[from] Undecided),
    /// It would refund another amount than the one expected.
    #[error("another refund than the one expected: {0}")]
    OtherRefund(Box<Refund>),
    /// A trigger of the user's made something else of it.
    #[error("a trigger of the database keeps the booking from becoming {0}")]
    Kept(&'static str),
    /// A constraint or trigger of the user's.
    #[error("the database refuses this change")]
    Database(DatabaseError),
}

impl From<DatabaseError> for Refused {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

/// A step that somebody wishes to take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    /// To which status.
    pub(crate) to: &'a str,
    pub(crate) actor: &'a Actor,
    /// Because the customer did not come.
    pub(crate) no_show: bool,
    /// Only if that is the amount.
    pub(crate) expected_refund: Option<&'a str>,
}

/// A booking, as it is at a moment.
pub(crate) struct Booking {
    pub(crate) status: String,
    start: Option<DateTime<Utc>>,
    has_started: bool,
}

/// Takes a step, if it may be taken now. The caller commits.
pub(crate) async fn change(
    transaction: &Transaction,
    settings: &PassSettings,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
    wish: &Wish<'_>,
) -> Result<Changed, Refused> {
    let Wish { to, actor, no_show, expected_refund } = *wish;
    let mut booking = read(transaction, booking_id, as_of, LOCKED).await?.ok_or(Refused::Unknown)?;
    let moments = Moments::new(as_of, settings);
    if transitions::advance_one(transaction, &moments, settings, booking_id, &booking.status).await? {
        booking = read(transaction, booking_id, as_of, LOCKED).await?.ok_or(Refused::Unknown)?;
    }
    let undone = undoable(transaction, booking_id, &booking.status).await?;
    let step = judge(&booking, &undone, to, actor.role, no_show)?;
    let refund = match step.to {
        CANCELLED => Some(cancellation::refund(transaction, as_of, booking_id, step.from, actor.role, no_show).await?),
        _ => None,
    };
    if let (Some(refund), Some(expected)) = (&refund, expected_refund)
        && !refund.amount.as_deref().is_some_and(|amount| policies::is_same_amount(amount, expected))
    {
        return Err(Refused::OtherRefund(Box::new(refund.clone())));
    }
    write(transaction, booking_id, step, actor, as_of, refund.as_ref()).await?;
    Ok(Changed {
        booking_id,
        from: step.from.to_owned(),
        to: step.to.to_owned(),
        at: as_of,
        by: actor.name(),
        reason: actor.reason.clone(),
        refund,
        automation_blocked: step.when == When::Undo,
    })
}

/// The booking as [`change`] would find it now, and from each later moment at which time makes something else of it, if nothing
/// else happens. Told without a lock or a write.
pub(crate) async fn foreseen(
    transaction: &Transaction,
    settings: &PassSettings,
    as_of: DateTime<Utc>,
    id: Uuid,
) -> Result<Option<Vec<(DateTime<Utc>, Booking)>>, DatabaseError> {
    let Some(now) = read(transaction, id, as_of, "").await? else { return Ok(None) };
    let steps = projection::life_of(transaction, settings, as_of, id).await?;
    let mut moments: Vec<_> = steps.iter().map(|step| step.at).chain(now.start).filter(|at| *at > as_of).collect();
    moments.push(as_of);
    moments.sort_unstable();
    moments.dedup();
    let at = |moment| Booking {
        status: steps.iter().rfind(|step| step.at <= moment).map_or(&now.status, |step| &step.to).clone(),
        start: now.start,
        has_started: now.has_started || now.start.is_some_and(|start| start <= moment),
    };
    Ok(Some(moments.into_iter().map(|moment| (moment, at(moment))).collect()))
}

/// So that nothing changes until it is written.
const LOCKED: &str = "FOR NO KEY UPDATE";

async fn read(
    transaction: &Transaction,
    id: Uuid,
    as_of: DateTime<Utc>,
    lock: &str,
) -> Result<Option<Booking>, DatabaseError> {
    let sql = format!(
        "SELECT coalesce(status, ''), coalesce(scheduled_at <= $2, false), scheduled_at FROM bookings WHERE id = $1 {lock}"
    );
    let rows = transaction.query(&sql, &[(&id, Type::UUID), (&as_of, Type::TIMESTAMPTZ)]).await?;
    Ok(rows.first().map(|row| Booking { status: row.get(0), has_started: row.get(1), start: finite(row, 2) }))
}

/// What the booking was before the automation's last steps, the latest first, where nobody has changed it since.
async fn undoable(transaction: &Transaction, id: Uuid, status: &str) -> Result<Vec<String>, DatabaseError> {
    let sql = "SELECT event_data ->> 'from', event_data ->> 'to', event_data ->> 'by' = 'booking-automation'
                 FROM booking_automation_events
                WHERE booking_id = $1 AND event_type = 'status_update' AND status = 'completed'
                ORDER BY seq DESC LIMIT 4";
    let mut before = Vec::new();
    let mut current = status.to_owned();
    for row in transaction.query(sql, &[(&id, Type::UUID)]).await? {
        let (from, to, automatic): (Option<String>, Option<String>, Option<bool>) =
            (row.get(0), row.get(1), row.get(2));
        match from {
            Some(from) if automatic == Some(true) && to.as_deref() == Some(&current) => {
                current.clone_from(&from);
                before.push(from);
            }
            _ => break,
        }
    }
    Ok(before)
}

/// The step, if this role may take it now.
pub(crate) fn judge(
    booking: &Booking,
    undoable: &[String],
    to: &str,
    role: Role,
    no_show: bool,
) -> Result<&'static Step, Refused> {
    let may_now = |step: &&Step| {
        step.from == booking.status
            && step.by.contains(&role)
            && match step.when {
                When::Any => true,
                When::BeforeStart => !booking.has_started,
                When::FromStart | When::NoShow => booking.has_started,
                When::Undo => undoable.iter().any(|before| before == step.to),
                When::Due => false,
            }
    };
    let is_meant = |step: &&Step| step.to == to && (step.when == When::NoShow) == no_show;
    if let Some(step) = TABLE.iter().filter(may_now).find(is_meant) {
        return Ok(step);
    }
    let mut allowed: Vec<_> =
        TABLE.iter().filter(may_now).filter(|step| step.when != When::NoShow).map(|step| step.to).collect();
    allowed.dedup();
    let steps: Vec<_> =
        TABLE.iter().filter(|step| step.from == booking.status && step.when != When::Due).filter(is_meant).collect();
    Err(Refused::Forbidden {
        why: why_not(booking, &steps, to, role, no_show),
        current: booking.status.clone(),
        allowed,
    })
}

/// In a sentence: what would have to be otherwise, of the steps that are meant.
fn why_not(booking: &Booking, steps: &[&Step], to: &str, role: Role, no_show: bool) -> String {
    let status = &booking.status;
    let as_what = if no_show { " as a no-show" } else { "" };
    let Some(step) = steps.iter().find(|step| step.by.contains(&role)) else {
        return match steps.first() {
            None => format!("a booking that is {status} cannot become {to}{as_what}"),
            Some(_) => format!("{role} may not make a booking that is {status} {to}{as_what}"),
        };
    };
    match step.when {
        When::BeforeStart => format!("the booking has started: {role} may make it {to} only before that"),
        When::FromStart | When::NoShow => {
            format!("the booking has not started: {role} may make it {to}{as_what} only from then on")
        }
        _ => format!("that the booking is {status} is not the automation's doing: there is nothing to take back"),
    }
}

async fn write(
    transaction: &Transaction,
    id: Uuid,
    step: &Step,
    actor: &Actor,
    as_of: DateTime<Utc>,
    refund: Option<&Refund>,
) -> Result<(), Refused> {
    let told =
        "SELECT set_config('booking_automation.actor', $1, true), set_config('booking_automation.reason', $2, true),
                       set_config('booking_automation.refund', $3, true)";
    let reason = actor.reason.clone().unwrap_or_default();
    let refund = refund.map(|refund| json!({id.to_string(): refund.decision()}).to_string()).unwrap_or_default();
    transaction.query(told, &[(&actor.name(), Type::TEXT), (&reason, Type::TEXT), (&refund, Type::TEXT)]).await?;
    // Whoever is no UUID cannot be told in `cancelled_by`; the audit trail tells them.
    let who = actor.id.as_deref().and_then(|id| id.parse::<Uuid>().ok());
    let sql = "UPDATE bookings
                  SET status = $3,
                      completed_at = CASE WHEN $3 = 'completed' THEN $4 WHEN $2 = 'completed' AND $7 THEN NULL ELSE completed_at END,
                      cancelled_at = CASE WHEN $3 = 'cancelled' THEN $4 ELSE cancelled_at END,
                      cancelled_by = CASE WHEN $3 = 'cancelled' THEN $5 ELSE cancelled_by END,
                      cancellation_reason = CASE WHEN $3 = 'cancelled' THEN $6 ELSE cancellation_reason END,
                      auto_complete_blocked = CASE WHEN $7 THEN true ELSE auto_complete_blocked END
                WHERE id = $1 AND status = $2
            RETURNING status = $3";
    let undo = step.when == When::Undo;
    let parameters = [
        (&id as _, Type::UUID),
        (&step.from as _, Type::TEXT),
        (&step.to as _, Type::TEXT),
        (&as_of as _, Type::TIMESTAMPTZ),
        (&who as _, Type::UUID),
        (&actor.reason as _, Type::TEXT),
        (&undo as _, Type::BOOL),
    ];
    let rows = transaction.query(sql, &parameters).await?;
    if !rows.first().is_some_and(|row| row.get(0)) {
        return Err(Refused::Kept(step.to));
    }
    if undo {
        // The start is automatic whatever `auto_complete_blocked` says: this is what keeps the next pass from it.
        let block = "INSERT INTO booking_automation_state (booking_id, revision, blocked_reason) VALUES ($1, 0, $2)
                     ON CONFLICT (booking_id) DO UPDATE SET blocked_reason = excluded.blocked_reason";
        transaction.execute(block, &[(&id, Type::UUID), (&reason, Type::TEXT)]).await?;
    }
    Ok(())
}
