//! The feeds of people's calendars: until when their addresses work.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;

use crate::database::{Result, Transaction, finite};

/// Addresses of a person's feed that are older do not work. `None`: all do.
pub(crate) async fn feeds_from(
    transaction: &Transaction,
    person: &str,
) -> Result<Option<DateTime<Utc>>> {
    let sql = "SELECT p.calendar_from FROM (SELECT) AS one
                 LEFT JOIN public.booking_automation_preferences p ON p.person_id = $1";
    let row = transaction.query_one(sql, &[(&person, Type::TEXT)]).await?;
    Ok(finite(&row, "calendar_from"))
}

/// Revokes the addresses of a person's feed. A new one that is made right then works: addresses
/// have milliseconds.
pub(crate) async fn revoke_feeds(transaction: &Transaction, person: &str) -> Result<()> {
    let sql = "INSERT INTO public.booking_automation_preferences (person_id, calendar_from)
               VALUES ($1, date_trunc('milliseconds', clock_timestamp()))
               ON CONFLICT (person_id) DO UPDATE SET calendar_from = excluded.calendar_from,
                 updated_at = now()";
    transaction.execute(sql, &[(&person, Type::TEXT)]).await?;
    Ok(())
}
