//! Handles a message that cannot be prepared, so that other messages go on: where its row of the
//! contacts view cannot be read, that is a failed attempt; where processes end over it, it is given
//! up.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::owner_functions::{Liveness, is_known};
use crate::database::{Result, Transaction};
use crate::delivery::claim_sql::with_conditions;
use crate::delivery::outbox::MAX_ATTEMPTS;
use crate::delivery::outcomes::RecordedOutcome;
use crate::reminders::Reason;

/// SQL of the statement. A message that was tried alone is in no group any more.
pub(crate) fn unprepared_sql(liveness: Liveness) -> String {
    let leaves_group = match liveness {
        Liveness::Known | Liveness::Singly => "led_by = NULL, led_attempt = NULL,",
        Liveness::Unknown => "",
    };
    with_conditions(include_str!("unprepared.sql")).replace("{leaves_group}", leaves_group)
}

/// Why a message cannot be prepared.
pub(crate) struct Unprepared<'a> {
    /// The message's event.
    pub(crate) event_id: Uuid,
    /// [`Reason::Contacts`], or [`Reason::Crash`]: no attempt follows.
    pub(crate) reason: Reason,
    /// What is recorded about it.
    pub(crate) error: &'a str,
}

/// Counts a failed attempt, or gives the message up. `None`: another sender has it.
pub(crate) async fn record_unprepared(
    transaction: &Transaction,
    unprepared: &Unprepared<'_>,
    back_off: Duration,
    as_of: Option<DateTime<Utc>>,
) -> Result<Option<RecordedOutcome>> {
    let parameters = [
        (&unprepared.error as _, Type::TEXT),
        (&as_of as _, Type::TIMESTAMPTZ),
        (&MAX_ATTEMPTS as _, Type::INT4),
        (&back_off.as_secs_f64() as _, Type::FLOAT8),
        (&unprepared.event_id as _, Type::UUID),
        (&unprepared.reason.as_str() as _, Type::TEXT),
    ];
    let sql = unprepared_sql(Liveness::of(is_known(transaction).await?));
    // The provider's events lock their message, too, in a statement of its own: either this one
    // sees an event, or the event's own statement sees the row as this one left it.
    let lock = "SELECT FROM public.booking_automation_events WHERE id = $1 FOR UPDATE";
    let (locked, rows) = future::join(
        transaction.execute(lock, &[(&unprepared.event_id, Type::UUID)]),
        transaction.query(&sql, &parameters),
    )
    .await;
    locked?;
    Ok(rows?.first().map(RecordedOutcome::of))
}
