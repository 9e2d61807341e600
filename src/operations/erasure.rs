//! Erases what the audit trail says about a person. It keeps the fact that there were messages.
//!
//! Addresses and message texts are never stored. What identifies a person is the provider's message
//! id, the provider's feedback, and the reasons that the person gave for status changes. The keyed
//! digest of a suppressed address stays; otherwise the address would get mail again.

use serde::Serialize;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::{Result, Transaction};

const ERASE: &str = include_str!("erasure.sql");

/// What was erased.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Erasure {
    person_id: Uuid,
    /// The person's messages.
    messages: i64,
    /// Of those, messages that were waiting; they are not sent.
    not_sent: i64,
    /// Erased feedback of the provider.
    feedback: i64,
    /// Reasons that the person gave for a status change.
    reasons: i64,
    /// Messages that are being sent right now: call again to erase them.
    under_way: i64,
}

/// Erases a person's messages. `None`: no booking refers to such a person. The caller commits.
pub(crate) async fn erase_person(
    transaction: &Transaction,
    person_id: Uuid,
) -> Result<Option<Erasure>> {
    // The audit trail accepts no change without this row.
    let announce = "INSERT INTO public.booking_automation_erasures (kind, day, person_id, at, transaction)
                    SELECT 'person', (moment AT TIME ZONE 'UTC')::date, $1, moment, pg_current_xact_id()
                      FROM public.booking_automation_now() AS moment";
    transaction
        .execute(announce, &[(&person_id, Type::UUID)])
        .await?;
    let row = transaction
        .query_one(ERASE, &[(&person_id, Type::UUID)])
        .await?;
    let erasure = Erasure {
        person_id,
        messages: row.get("messages"),
        not_sent: row.get("not_sent"),
        under_way: row.get("under_way"),
        feedback: row.get("feedback"),
        reasons: row.get("reasons"),
    };
    Ok(row.get::<_, bool>("is_known").then_some(erasure))
}
