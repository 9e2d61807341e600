//! Whether row-level security hides contacts: a message to a hidden person would end as
//! `no_address`, for good.

use crate::database::{Result, Transaction};

/// A relation under the contacts view, and the role that it is read as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HiddenContacts {
    pub(crate) relation: String,
    pub(crate) reader: String,
}

/// The first relation under the contacts view, through views of any depth, in which row-level
/// security is in force for the role that it is read as. One query on the catalogue.
pub(crate) async fn find_hidden_contacts(
    transaction: &Transaction,
) -> Result<Option<HiddenContacts>> {
    let rows = transaction
        .query(include_str!("hidden_contacts.sql"), &[])
        .await?;
    Ok(rows.first().map(|row| HiddenContacts {
        relation: row.get("relation"),
        reader: row.get("reader"),
    }))
}
