//! Reads values from rows.

use chrono::{DateTime, Utc};
use tokio_postgres::{Row, SimpleQueryMessage, SimpleQueryRow};

/// The text values of the last row that a simple query returned.
pub(crate) fn last_row(messages: &[SimpleQueryMessage]) -> Option<&SimpleQueryRow> {
    messages.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })
}

/// A JSON value, or null: PostgreSQL accepts numbers and nesting that serde_json does not.
pub(crate) fn json(row: &Row, column: &str) -> serde_json::Value {
    row.try_get(column).ok().flatten().unwrap_or_default()
}

/// A finite time. `None`: NULL, infinite, or beyond chrono's range.
pub(crate) fn finite(row: &Row, column: &str) -> Option<DateTime<Utc>> {
    row.try_get(column).ok().flatten()
}
