//! Whether `public.bookings` is a table, with columns, that the program can work on.

use std::collections::BTreeMap;

use crate::bookings::columns::fitting_types;
use crate::database::{BASE_TYPE, Result, Transaction};
use crate::operations::check::finding::{Finding, Level, Topic};

/// A column that the program reads or writes.
struct Column {
    name: &'static str,
    /// The type as an owner writes it.
    shown: &'static str,
    need: Need,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Every decision reads it.
    Read,
    /// A step writes it, too.
    Written,
    /// `migrate` adds it, where it is missing.
    Added,
    /// Support's cancellations are recorded in it, where it fits.
    Recorded,
}

const COLUMNS: &[Column] = &[
    column("id", "uuid", Need::Read),
    column("status", "text or varchar", Need::Written),
    column("scheduled_at", "timestamptz", Need::Read),
    column(
        "duration_minutes",
        "smallint, integer or bigint",
        Need::Read,
    ),
    column("created_at", "timestamptz, timestamp or date", Need::Read),
    column("completed_at", "timestamptz", Need::Added),
    column("auto_complete_blocked", "boolean", Need::Added),
    column("reminder_24h_sent", "boolean", Need::Added),
    column("reminder_1h_sent", "boolean", Need::Added),
    column("reminder_15m_sent", "boolean", Need::Added),
    column("auto_status_updated", "boolean", Need::Added),
    column("automation_logs", "jsonb", Need::Added),
    column("cancelled_at", "timestamptz", Need::Recorded),
    column("cancelled_by", "uuid, text or varchar", Need::Recorded),
    column("cancellation_reason", "text or varchar", Need::Recorded),
];

const fn column(name: &'static str, shown: &'static str, need: Need) -> Column {
    Column { name, shown, need }
}

/// A column that is there.
struct Found {
    shown: String,
    base: Option<String>,
    is_generated: bool,
}

/// What `bookings` is like.
pub(crate) struct Bookings {
    pub(crate) findings: Vec<Finding>,
    /// Whether statements on it can be tried.
    pub(crate) fits: bool,
    /// Whether there is a column `status`.
    pub(crate) has_status: bool,
    /// Whether `migrate` is to add columns.
    pub(crate) lacks_columns: bool,
}

/// `migrate --no-columns` comes too late.
pub(crate) fn added_already() -> Finding {
    Finding::error(
        Topic::Columns,
        "an earlier migrate has added its columns to bookings, so --no-columns would change \
         nothing",
        "run migrate without it; the columns that bookings lacks are not used",
    )
}

/// `adds_columns`: `migrate` adds those that are missing; else those that do not fit are not used.
pub(crate) async fn look(transaction: &Transaction, adds_columns: bool) -> Result<Bookings> {
    let row = transaction
        .query_one(include_str!("bookings.sql"), &[])
        .await?;
    let kind = unfit_kind(
        row.get("kind"),
        row.get("is_partition"),
        row.get("inherits"),
    );
    if let Some(kind) = kind {
        return Ok(Bookings {
            findings: vec![kind],
            fits: false,
            has_status: false,
            lacks_columns: false,
        });
    }
    let found = read_columns(transaction).await?;
    let mut findings: Vec<_> = COLUMNS
        .iter()
        .filter(|column| adds_columns || column.need != Need::Added)
        .filter_map(|column| judge(column, found.get(column.name)))
        .collect();
    let fits = !findings.iter().any(|finding| finding.level == Level::Error);
    let lacks_columns = adds_columns
        && COLUMNS
            .iter()
            .any(|column| column.need == Need::Added && !found.contains_key(column.name));
    if lacks_columns && row.get("is_typed") {
        findings.push(Finding::error(
            Topic::Columns,
            "public.bookings is a typed table (CREATE TABLE … OF), to which no column can be added",
            "run: ALTER TABLE bookings NOT OF; or migrate with --no-columns",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Topic::Columns, "the columns of bookings fit"));
    }
    Ok(Bookings {
        findings,
        fits,
        has_status: found.contains_key("status"),
        lacks_columns,
    })
}

fn unfit_kind(kind: &str, is_partition: bool, inherits: bool) -> Option<Finding> {
    let what = match kind {
        "p" => "a partitioned table",
        "v" => "a view",
        "m" => "a materialized view",
        "f" => "a foreign table",
        "r" if is_partition => "a partition of another table",
        "r" if inherits => "a parent or a child in an inheritance tree",
        "r" => return None,
        _ => "no table",
    };
    Some(Finding::error(
        Topic::Tables,
        format!(
            "public.bookings is not a plain table: it is {what}, where our triggers would miss \
             statements"
        ),
        "give the plain table that holds the bookings this name",
    ))
}

async fn read_columns(transaction: &Transaction) -> Result<BTreeMap<String, Found>> {
    let sql = include_str!("columns.sql").replace("{base_type}", BASE_TYPE);
    let rows = transaction.query(&sql, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let found = Found {
                shown: row.get("type"),
                base: row.get("base"),
                is_generated: row.get("is_generated"),
            };
            (row.get("name"), found)
        })
        .collect())
}

fn judge(column: &Column, found: Option<&Found>) -> Option<Finding> {
    let Column {
        name, shown, need, ..
    } = column;
    let Some(found) = found else {
        return match need {
            Need::Added => None,
            Need::Recorded => Some(unrecorded(column, "does not exist")),
            Need::Read | Need::Written => Some(Finding::error(
                Topic::Columns,
                format!("bookings.{name} is absent: it must be {shown}"),
                absent_remedy(name),
            )),
        };
    };
    let is_written = *need != Need::Read;
    if is_written && found.is_generated {
        let text = format!("bookings.{name} is a generated column, and the program writes it");
        return Some(match need {
            Need::Recorded => unrecorded(column, "is a generated column"),
            _ => Finding::error(Topic::Columns, text, other_type_remedy(name, *need)),
        });
    }
    let base = found.base.as_deref().unwrap_or_default();
    if fitting_types(name).contains(&base) {
        return None;
    }
    let is = format!("is {}", found.shown);
    Some(match need {
        Need::Recorded => unrecorded(column, &is),
        _ => Finding::error(
            Topic::Columns,
            format!("bookings.{name} {is}: it must be {shown}"),
            other_type_remedy(name, *need),
        ),
    })
}

fn unrecorded(column: &Column, what: &str) -> Finding {
    let Column { name, shown, .. } = column;
    let lost = match *name {
        "cancelled_at" => "when a booking was cancelled",
        "cancelled_by" => "who cancelled a booking",
        _ => "why a booking was cancelled",
    };
    Finding::warning(
        Topic::Columns,
        format!(
            "bookings.{name} {what}: a cancellation through the support API does not record in \
             it {lost}; the audit trail does"
        ),
        format!("to have it there, too, add or change the column: {name} {shown}"),
    )
}

fn absent_remedy(name: &str) -> String {
    match name {
        "duration_minutes" => "add it: ALTER TABLE bookings ADD COLUMN duration_minutes integer; \
             or, from an end, as a generated column: ADD COLUMN duration_minutes integer \
             GENERATED ALWAYS AS ((extract(epoch FROM ends_at - scheduled_at) / 60)::integer) \
             STORED"
            .to_owned(),
        "created_at" => "add it: ALTER TABLE bookings ADD COLUMN created_at timestamptz; \
             (without a value, a booking counts as made long ago)"
            .to_owned(),
        _ => format!(
            "rename the column that holds it to {name} (ALTER TABLE bookings RENAME COLUMN …)"
        ),
    }
}

fn other_type_remedy(name: &str, need: Need) -> String {
    match (name, need) {
        ("duration_minutes", _) => "change it: ALTER TABLE bookings ALTER COLUMN \
             duration_minutes TYPE integer USING …; or rename it, and add a generated column \
             duration_minutes integer GENERATED ALWAYS AS (…) STORED: a view cannot help, since \
             an index needs the column"
            .to_owned(),
        ("scheduled_at", _) => "change it: ALTER TABLE bookings ALTER COLUMN scheduled_at TYPE \
             timestamptz USING scheduled_at AT TIME ZONE 'the zone in which it is written'"
            .to_owned(),
        (_, Need::Added) => format!(
            "rename it (ALTER TABLE bookings RENAME COLUMN {name} TO …), and migrate adds its \
             own; or run migrate --no-columns, which adds none"
        ),
        _ => format!("change it (ALTER TABLE bookings ALTER COLUMN {name} TYPE …)"),
    }
}
