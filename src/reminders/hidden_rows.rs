//! Whether row-level security hides rows: a message to a hidden person would end as `no_address`,
//! for good, and a booking of a hidden person who was deleted would be live.

use tokio_postgres::types::Type;

use crate::database::{Result, Transaction};

/// A relation, and the role that it is read as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HiddenRows {
    pub(crate) relation: String,
    pub(crate) reader: String,
}

/// The first relation under `booking_automation_is_live` (and under the contacts view, if
/// `contacts` are read, too), through views of any depth, in which row-level security is in force
/// for the role that it is read as. One query on the catalogue.
pub(crate) async fn find_hidden_rows(
    transaction: &Transaction,
    contacts: bool,
) -> Result<Option<HiddenRows>> {
    let rows = transaction
        .query(include_str!("hidden_rows.sql"), &[(&contacts, Type::BOOL)])
        .await?;
    Ok(rows.first().map(|row| HiddenRows {
        relation: row.get("relation"),
        reader: row.get("reader"),
    }))
}
