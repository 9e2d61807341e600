//! Values of rows.

use chrono::{DateTime, Utc};
use tokio_postgres::{Row, SimpleQueryMessage, SimpleQueryRow};

/// The text values of the last row that a simple query returned.
pub(crate) fn last_row(messages: &[SimpleQueryMessage]) -> Option<&SimpleQueryRow> {
    messages.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })
}

/// A JSON value that is one: PostgreSQL takes numbers and depths that serde_json does not.
pub(crate) fn json(row: &Row, column: &str) -> serde_json::Value {
    row.try_get(column).ok().flatten().unwrap_or_default()
}

/// A time that is one: neither missing nor infinite, nor beyond what chrono knows.
pub(crate) fn finite(row: &Row, column: &str) -> Option<DateTime<Utc>> {
    row.try_get(column).ok().flatten()
}
