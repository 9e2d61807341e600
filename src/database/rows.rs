//! Reads values from rows.

use chrono::{DateTime, Utc};
use tokio_postgres::types::FromSql;
use tokio_postgres::{Row, SimpleQueryMessage, SimpleQueryRow};

/// SQL of the name of the type of PostgreSQL's that the type `t` (a row of `pg_type`) is, or is a
/// domain over: `int4`, `timestamptz`.
pub(crate) const BASE_TYPE: &str = include_str!("base_type.sql");

/// SQL of a boolean: the attribute `a` (a row of `pg_attribute`) holds whole numbers only.
pub(crate) const IS_WHOLE: &str = include_str!("is_whole.sql");

/// The text values of the last row that a simple query returned.
pub(crate) fn last_row(messages: &[SimpleQueryMessage]) -> Option<&SimpleQueryRow> {
    messages.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })
}

/// A JSON value, or null: PostgreSQL accepts numbers and nesting that serde_json does not.
///
/// # Panics
/// If the row has no such column.
pub(crate) fn json(row: &Row, column: &str) -> serde_json::Value {
    representable(row, column).unwrap_or_default()
}

/// A finite time. `None`: NULL, infinite, or beyond chrono's range.
///
/// # Panics
/// If the row has no such column.
pub(crate) fn finite(row: &Row, column: &str) -> Option<DateTime<Utc>> {
    representable(row, column)
}

/// `None`: NULL, or a value that Rust's type cannot hold.
fn representable<'a, T: FromSql<'a>>(row: &'a Row, column: &str) -> Option<T> {
    let mut columns = row.columns().iter();
    let position = columns.position(|it| it.name() == column);
    let position = position.unwrap_or_else(|| panic!("the row has no column {column}"));
    row.try_get(position).ok().flatten()
}
