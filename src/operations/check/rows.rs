//! What a new column on `bookings` may break: copies of whole rows, by what the catalogue tells.

use crate::database::{Result, Transaction};
use crate::operations::check::finding::{Finding, Topic};

/// Names what uses whole rows. Only useful while `migrate` is to add columns.
pub(crate) async fn look(transaction: &Transaction) -> Result<Vec<Finding>> {
    let rows = transaction.query(include_str!("rows.sql"), &[]).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let what: &str = row.get("what");
            Finding::warning(
                Topic::Rows,
                format!("{what}: migrate adds columns to bookings, and it may then fail"),
                "try it with a copy of the database, or run migrate --no-columns",
            )
        })
        .collect())
}
