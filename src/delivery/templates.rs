//! The owner's own wording.

use tokio_postgres::SimpleQueryMessage;

use crate::database::{Result, Transaction};
use crate::messages::wording::{OwnText, Wording};

/// Broken texts that one line of the log names.
const NAMED: usize = 5;

pub(crate) const READ: &str = include_str!("templates.sql");

/// SQL of a boolean: this role may read the table; NULL: there is none before `migrate` of 0.3.0.
/// It looks at the catalogue alone, so it waits for no lock on the table.
pub(crate) const MAY_READ: &str =
    "has_table_privilege(to_regclass('public.booking_automation_templates'), 'SELECT')";

/// A text from a row of [`READ`]. `None`: a row of another statement.
pub(crate) fn own_text(message: &SimpleQueryMessage) -> Option<OwnText> {
    let SimpleQueryMessage::Row(row) = message else {
        return None;
    };
    // Rows of other statements have other columns.
    let text = |column: &str| row.try_get(column).ok().flatten().map(str::to_owned);
    Some(OwnText {
        kind: text("kind")?,
        language: text("language")?,
        part: text("part")?,
        body: text("body"),
    })
}

/// The owner's own texts, for a person who looks at them. With the inactive ones, as if they were
/// active.
///
/// # Errors
/// As every statement; also when there is no table.
pub async fn read_templates(transaction: &Transaction, inactive: bool) -> Result<Vec<OwnText>> {
    let sql = match inactive {
        true => READ.replace("WHERE active", ""),
        false => READ.to_owned(),
    };
    let rows = transaction.query(&sql, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| OwnText {
            kind: row.get("kind"),
            language: row.get("language"),
            part: row.get("part"),
            body: row.get("body"),
        })
        .collect())
}

/// Logs the broken texts, in one line for each call, and counts them.
pub(crate) fn report_broken(wording: &Wording) -> i64 {
    let broken = wording.broken();
    if broken.is_empty() {
        return 0;
    }
    let named: Vec<_> = broken.iter().take(NAMED).map(ToString::to_string).collect();
    tracing::warn!(
        templates.broken = broken.len(),
        templates.first = named.join("; "),
        "own texts are broken, and the built-in ones are used (booking-automation template check)"
    );
    i64::try_from(broken.len()).unwrap_or(i64::MAX)
}
