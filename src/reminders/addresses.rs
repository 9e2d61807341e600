//! Whom reminders tell: how people are found without the contacts view, and who has no address
//! according to it.
//!
//! The view is the user's, and may call their functions. So it is read by statements of its own,
//! with the settings of their database; the bookings to ask about are handed over in settings of
//! the transaction.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::{Result, Transaction};

/// SQL of columns that hand over the rows `handed_over`, with `id`, `booking_id` and `audience`.
pub(crate) const HAND_OVER: &str = "
       set_config('booking_automation.events', coalesce(array_agg(id), '{}')::text, true),
       set_config('booking_automation.bookings', coalesce(array_agg(booking_id), '{}')::text, true),
       set_config('booking_automation.audiences', coalesce(array_agg(audience), '{}')::text, true)";

/// SQL of a relation beside a sub-query of `bookings`: columns that `bookings` may lack. Where it
/// has them, the names in the sub-query mean its own.
const ABSENT: &str = "(SELECT NULL::text AS customer_id, NULL::text AS provider_id) AS absent";
/// SQL of the name of the person whom the rule `r` tells about a booking, in a sub-query beside
/// [`ABSENT`].
const PERSON: &str =
    "CASE r.audience WHEN 'customer' THEN customer_id::text ELSE provider_id::text END";

/// Replaces what statements about people share.
pub(crate) fn with_people(sql: &str) -> String {
    sql.replace("{person}", PERSON).replace("{absent}", ABSENT)
}

pub(crate) const WITHOUT_ADDRESS: &str = include_str!("without_address.sql");
pub(crate) const WITHOUT_ADDRESS_BETWEEN: &str = include_str!("without_address_between.sql");

/// Those that were handed over and have no address: their `id` and audience.
pub(crate) async fn without_address(transaction: &Transaction) -> Result<Vec<(Uuid, String)>> {
    let limit = transaction.statement_timeout() / 2;
    let rows = transaction
        .query_with_their_settings(limit, WITHOUT_ADDRESS, &[])
        .await?;
    Ok(rows
        .iter()
        .map(|row| (row.get("id"), row.get("audience")))
        .collect())
}

/// The bookings and audiences without an address of which passes from `from` to `until` may decide.
pub(crate) async fn without_address_between(
    transaction: &Transaction,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<(Vec<Uuid>, Vec<String>)> {
    let limit = transaction.statement_timeout();
    let parameters = [
        (&from as _, Type::TIMESTAMPTZ),
        (&until as _, Type::TIMESTAMPTZ),
    ];
    let rows = transaction
        .query_with_their_settings(limit, WITHOUT_ADDRESS_BETWEEN, &parameters)
        .await?;
    Ok(rows
        .iter()
        .map(|row| (row.get::<_, Uuid>("id"), row.get::<_, String>("audience")))
        .unzip())
}
