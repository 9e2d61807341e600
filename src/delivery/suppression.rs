//! Suppressed addresses: only their keyed digests are stored.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;

use crate::database::{Begin, Database, Result};
use crate::primitives::email_address::Address;

/// Since when, and why, an address is suppressed.
#[derive(Clone, Debug)]
pub struct Suppression {
    /// `bounced` or `complained`.
    pub reason: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// Takes an address off the suppression list. `None`: it was not suppressed.
///
/// # Errors
/// When the database refuses.
pub async fn lift_suppression(
    database: &Database,
    address: &Address,
) -> Result<Option<Suppression>> {
    let sql = "DELETE FROM public.booking_automation_suppressions x
                USING public.booking_automation_hash_key k
                WHERE x.address_hash =
                    public.booking_automation_address_hash(k.inner_key, k.outer_key, $1)
            RETURNING x.reason, x.created_at";
    let (transaction, _) = database.begin(&Begin::default(), "").await?;
    let parameters = [(&address.as_str() as _, Type::TEXT)];
    let rows = transaction
        .commit_after(async |transaction| transaction.query(sql, &parameters).await)
        .await?;
    Ok(rows.first().map(|row| Suppression {
        reason: row.get("reason"),
        since: row.get("created_at"),
    }))
}
