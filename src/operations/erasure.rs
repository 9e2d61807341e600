//! Forgetting a person: what their messages say of them goes, that there were messages stays.
//!
//! Addresses and texts are never kept; what is, leads to a person by the provider's message id, its words on the message,
//! and the reasons that they gave for a step. The keyed digest of an address that is not to be written to stays, or
//! it would be written to again.

use serde::Serialize;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::{Result, Transaction};

const FORGET: &str = include_str!("erasure.sql");

/// What was forgotten.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Forgotten {
    person_id: Uuid,
    /// Their messages.
    messages: i64,
    /// Of those, messages that waited: they are not sent any more.
    not_sent: i64,
    /// What the provider said of them.
    feedback: i64,
    /// Reasons that they gave for a step in a booking's life.
    reasons: i64,
    /// Messages that are being sent right now: ask again for those.
    under_way: i64,
}

/// Forgets a person's messages. `None`: no booking knows such a person. The caller commits.
pub(crate) async fn forget(transaction: &Transaction, person_id: Uuid) -> Result<Option<Forgotten>> {
    // The trail lets nothing be changed without it.
    let say_so = "INSERT INTO booking_automation_erasures (kind, day, person_id, at, transaction)
                  SELECT 'person', (moment AT TIME ZONE 'UTC')::date, $1, moment, pg_current_xact_id()
                    FROM booking_automation_now() AS moment";
    transaction.execute(say_so, &[(&person_id, Type::UUID)]).await?;
    let row = transaction.query_one(FORGET, &[(&person_id, Type::UUID)]).await?;
    let forgotten = Forgotten {
        person_id,
        messages: row.get(0),
        not_sent: row.get(1),
        under_way: row.get(2),
        feedback: row.get(3),
        reasons: row.get(4),
    };
    Ok(row.get::<_, bool>(5).then_some(forgotten))
}
