//! A status change that a person or another program asks for: checked against the table in
//! [`crate::bookings::lifecycle`], with the booking as it is now, under a lock.
//!
//! First the booking is locked, and its due automatic steps are taken with the pass's own
//! statements, so that the decision does not depend on whether a pass has run. Then the change is
//! checked and made in the same transaction; a refusal undoes the first part, too.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use thiserror::Error;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::cancellation::money::MoneySettings;
use crate::bookings::cancellation::refunds::{self, Refund, RefundError};
use crate::bookings::cancellation::tiers::{Case, RefundUndetermined, is_same_amount};
use crate::bookings::columns::Column;
use crate::bookings::judge::{NotAllowed, judge};
use crate::bookings::lifecycle::{Role, Status, Step, When};
use crate::bookings::settings::TransitionSettings;
use crate::bookings::snapshot::{self, BookingSnapshot};
use crate::bookings::state_changes::make_state_changes;
use crate::bookings::step_rules::StepRules;
use crate::bookings::transitions::{self, Moments};
use crate::database::owner_functions::Liveness;
use crate::database::{DatabaseError, Transaction};

/// Who asks for a change, and why.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    /// The role.
    pub(crate) role: Role,
    /// The id in the user's backend.
    pub(crate) id: Option<String>,
    /// The reason given.
    pub(crate) reason: Option<String>,
}

impl Actor {
    /// The name in the audit trail.
    fn name(&self) -> String {
        match &self.id {
            Some(id) => format!("{}:{id}", self.role),
            None => self.role.to_string(),
        }
    }
}

/// A change that was made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StatusChange {
    booking_id: Uuid,
    from: Status,
    to: Status,
    at: DateTime<Utc>,
    by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The refund that was decided, where the booking was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refund: Option<Refund>,
    /// The automation no longer changes the booking.
    automation_blocked: bool,
}

/// Why a change was not made. Nothing was written.
#[derive(Debug, Error)]
pub(crate) enum StatusError {
    #[error("there is no such booking")]
    NoBooking,
    #[error("{0}")]
    NotAllowed(#[from] NotAllowed),
    /// The refund cannot be determined.
    #[error("{0}")]
    RefundUndetermined(#[from] RefundUndetermined),
    #[error("the refund is not the expected one: {0}")]
    OtherRefund(Box<Refund>),
    /// A trigger of the user's database changed the result.
    #[error("a database trigger prevents the booking from becoming {0}")]
    ChangedByTrigger(Status),
    /// A constraint or trigger of the user's database refused it.
    #[error("the database refuses this change")]
    Database(#[from] DatabaseError),
}

impl From<RefundError> for StatusError {
    fn from(error: RefundError) -> Self {
        match error {
            RefundError::NoBooking => Self::NoBooking,
            RefundError::Undetermined(why) => Self::RefundUndetermined(why),
            RefundError::Database(error) => Self::Database(error),
        }
    }
}

/// A change that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusRequest<'a> {
    /// The status to set.
    pub(crate) to: Status,
    pub(crate) actor: &'a Actor,
    /// Because the customer did not come.
    pub(crate) no_show: bool,
    /// Change it only if the refund is this amount.
    pub(crate) expected_refund: Option<&'a str>,
}

/// Makes a change, if it is allowed now. The caller commits.
pub(crate) async fn change_status(
    transaction: &Transaction,
    settings: &TransitionSettings,
    money: MoneySettings,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
    request: &StatusRequest<'_>,
) -> Result<StatusChange, StatusError> {
    let StatusRequest {
        to, actor, no_show, ..
    } = *request;
    let rules = StepRules::read(transaction, settings).await?;
    make_state_changes(transaction, rules.liveness == Liveness::Known).await?;
    let booking = lock_and_advance(transaction, &rules, as_of, booking_id).await?;
    let undoable = snapshot::undoable_step(transaction, booking_id, &booking.status).await?;
    let step = judge(&booking, &undoable, to, actor.role, no_show)?;
    let refund = decide_refund(transaction, money, as_of, booking_id, step, request).await?;
    write(
        transaction,
        &rules,
        booking_id,
        step,
        actor,
        as_of,
        refund.as_ref(),
    )
    .await?;
    Ok(StatusChange {
        booking_id,
        from: step.from,
        to: step.to,
        at: as_of,
        by: actor.name(),
        reason: actor.reason.clone(),
        refund,
        automation_blocked: step.when == When::Undo,
    })
}

/// The refund of a cancellation, if it is the expected one.
async fn decide_refund(
    transaction: &Transaction,
    money: MoneySettings,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
    step: &Step,
    request: &StatusRequest<'_>,
) -> Result<Option<Refund>, StatusError> {
    if step.to != Status::Cancelled {
        return Ok(None);
    }
    let case = Case::of(request.actor.role, request.no_show);
    let refund = refunds::refund(transaction, money, as_of, booking_id, step.from, case).await?;
    let is_expected = |expected| {
        let amount = refund.amount.as_deref();
        amount.is_some_and(|amount| is_same_amount(amount, expected))
    };
    match request.expected_refund {
        Some(expected) if !is_expected(expected) => Err(StatusError::OtherRefund(Box::new(refund))),
        _ => Ok(Some(refund)),
    }
}

/// Locks the booking, and moves it on by time as the next pass would.
async fn lock_and_advance(
    transaction: &Transaction,
    rules: &StepRules,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
) -> Result<BookingSnapshot, StatusError> {
    let lock = async || {
        let booking = snapshot::lock(transaction, booking_id, as_of).await?;
        booking.ok_or(StatusError::NoBooking)
    };
    let (booking, moments) = (lock().await?, Moments::new(as_of, &rules.settings));
    let status = &booking.status;
    match transitions::advance_one(transaction, &moments, rules, booking_id, status).await? {
        true => lock().await,
        false => Ok(booking),
    }
}

/// The columns besides the status that a step sets, where the database has them.
fn columns_sql(rules: &StepRules, step: &Step) -> String {
    let undo = step.when == When::Undo;
    let (cancelled, completed) = (step.to == Status::Cancelled, step.to == Status::Completed);
    let cancelled_by = match rules.columns.is_cancelled_by_text {
        true => "cancelled_by = $5",
        false => "cancelled_by = $5::pg_catalog.uuid",
    };
    let columns = [
        (Column::CompletedAt, "completed_at = $4", completed),
        (
            Column::CompletedAt,
            "completed_at = NULL",
            undo && step.from == Status::Completed,
        ),
        (Column::CancelledAt, "cancelled_at = $4", cancelled),
        (Column::CancelledBy, cancelled_by, cancelled),
        (
            Column::CancellationReason,
            "cancellation_reason = $6",
            cancelled,
        ),
        (
            Column::AutoCompleteBlocked,
            "auto_complete_blocked = true",
            undo,
        ),
    ];
    columns
        .into_iter()
        .filter(|(column, _, is_meant)| *is_meant && rules.columns.has(*column))
        .map(|(_, sql, _)| format!(", {sql}"))
        .collect()
}

pub(crate) fn update_sql(rules: &StepRules, step: &Step) -> String {
    include_str!("status_change.sql").replace("{columns}", &columns_sql(rules, step))
}

async fn write(
    transaction: &Transaction,
    rules: &StepRules,
    id: Uuid,
    step: &Step,
    actor: &Actor,
    as_of: DateTime<Utc>,
    refund: Option<&Refund>,
) -> Result<(), StatusError> {
    let reason = actor.reason.clone().unwrap_or_default();
    // An id that is not a UUID may not fit into `cancelled_by`; the audit trail has it.
    let is_text = rules.columns.is_cancelled_by_text;
    let cancelled_by = actor
        .id
        .clone()
        .filter(|id| is_text || id.parse::<Uuid>().is_ok());
    let parameters = [
        (&id as _, Type::UUID),
        (&step.from.as_str() as _, Type::TEXT),
        (&step.to.as_str() as _, Type::TEXT),
        (&as_of as _, Type::TIMESTAMPTZ),
        (&cancelled_by as _, Type::TEXT),
        (&actor.reason as _, Type::TEXT),
    ];
    let sql = update_sql(rules, step);
    let announce = async |transaction: &Transaction| {
        announce_to_triggers(transaction, id, actor, &reason, refund).await
    };
    let rows = transaction
        .write_with_their_settings(
            transaction.statement_timeout(),
            announce,
            async |transaction| transaction.query(&sql, &parameters).await,
        )
        .await?;
    if !rows.first().is_some_and(|row| row.get("has_changed")) {
        return Err(StatusError::ChangedByTrigger(step.to));
    }
    if step.when == When::Undo {
        block_restart(transaction, rules, id, &reason).await?;
    }
    Ok(())
}

/// The pass starts bookings whatever `auto_complete_blocked` says: this keeps the next one from it.
async fn block_restart(
    transaction: &Transaction,
    rules: &StepRules,
    id: Uuid,
    reason: &str,
) -> Result<(), DatabaseError> {
    let sql = format!(
        "INSERT INTO public.booking_automation_state (booking_id, revision, blocked_reason)
         VALUES ($1, {}, $2)
         ON CONFLICT (booking_id) DO UPDATE SET blocked_reason = excluded.blocked_reason",
        rules.liveness.latest_revision("$1")
    );
    transaction
        .execute(&sql, &[(&id, Type::UUID), (&reason, Type::TEXT)])
        .await?;
    Ok(())
}

/// Sets what the audit trigger writes into the event, for this transaction.
async fn announce_to_triggers(
    transaction: &Transaction,
    id: Uuid,
    actor: &Actor,
    reason: &str,
    refund: Option<&Refund>,
) -> Result<(), DatabaseError> {
    let sql = "SELECT set_config('booking_automation.actor', $1, true),
                      set_config('booking_automation.reason', $2, true),
                      set_config('booking_automation.refund', $3, true)";
    let refund = refund
        .map(|refund| json!({id.to_string(): refund.decision()}).to_string())
        .unwrap_or_default();
    transaction
        .query(
            sql,
            &[
                (&actor.name(), Type::TEXT),
                (&reason, Type::TEXT),
                (&refund, Type::TEXT),
            ],
        )
        .await?;
    Ok(())
}
