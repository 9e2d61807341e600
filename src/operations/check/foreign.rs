//! Keys and indexes of others that stand in our way.

use tokio_postgres::types::Type;

use crate::database::schema::INDEXES;
use crate::database::{Result, Transaction};
use crate::operations::check::finding::{Finding, Topic};

/// With such a key, deleting a booking or a user would fail on the trail, or delete it.
pub(crate) async fn foreign_keys(transaction: &Transaction) -> Result<Vec<Finding>> {
    let sql = "SELECT quote_ident(conname) AS key FROM pg_constraint
                WHERE conrelid = to_regclass('public.booking_automation_events') AND contype = 'f'";
    let rows = transaction.query(sql, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let key: &str = row.get("key");
            Finding::error(
                Topic::Names,
                format!(
                    "booking_automation_events has the foreign key {key}: deleting a user would \
                     fail on it"
                ),
                format!("run: ALTER TABLE booking_automation_events DROP CONSTRAINT {key};"),
            )
        })
        .collect())
}

/// An index is built only where its name is free.
pub(crate) async fn foreign_indexes(transaction: &Transaction) -> Result<Vec<Finding>> {
    let sql = "SELECT c.relname::text AS name FROM pg_class c
                 LEFT JOIN pg_index i ON i.indexrelid = c.oid
                WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($1::text[])
                  AND (i.indrelid = ANY (ARRAY[to_regclass('public.bookings'),
                                               to_regclass('public.booking_automation_events')]))
                      IS NOT TRUE";
    let names: Vec<_> = INDEXES.iter().map(|(name, _)| *name).collect();
    let rows = transaction
        .query(sql, &[(&names as _, Type::TEXT_ARRAY)])
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let name: &str = row.get("name");
            Finding::error(
                Topic::Names,
                format!("public.{name} exists and is not this program's index"),
                format!(
                    "the program needs this name for an index: rename yours; or, if a replaced \
                     table still has ours, run: DROP INDEX public.{name};"
                ),
            )
        })
        .collect())
}
