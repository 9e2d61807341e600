//! The moment by which a request is decided.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;

use crate::database::{Result, Transaction};

/// The moment to decide by. Triggers record it, too: what was decided just inside a limit must not
/// be in the trail as outside it.
pub(crate) async fn read_clock(
    transaction: &Transaction,
    as_of: Option<DateTime<Utc>>,
) -> Result<DateTime<Utc>> {
    let sql = "SELECT moment AS as_of, set_config('booking_automation.as_of', moment::text, true)
                 FROM coalesce($1, transaction_timestamp()) AS moment";
    let row = transaction
        .query_one(sql, &[(&as_of, Type::TIMESTAMPTZ)])
        .await?;
    Ok(row.get("as_of"))
}
