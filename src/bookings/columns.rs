//! The columns of `bookings` that this program writes or reads where they exist: a user may have
//! renamed or dropped one, have one of another type, or want none of ours.

/// A column that may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    AutoCompleteBlocked,
    AutoStatusUpdated,
    AutomationLogs,
    CompletedAt,
    CancelledAt,
    CancelledBy,
    CancelledByText,
    CancellationReason,
    Reminder24hSent,
    Reminder1hSent,
    Reminder15mSent,
}

/// Each column's name, and the types with which it is used.
const COLUMNS: [(Column, &str, &[&str]); 11] = [
    (
        Column::AutoCompleteBlocked,
        "auto_complete_blocked",
        BOOLEAN,
    ),
    (Column::AutoStatusUpdated, "auto_status_updated", BOOLEAN),
    (Column::AutomationLogs, "automation_logs", &["jsonb"]),
    (Column::CompletedAt, "completed_at", MOMENT),
    (Column::CancelledAt, "cancelled_at", MOMENT),
    (Column::CancelledBy, "cancelled_by", &["uuid"]),
    (Column::CancelledByText, "cancelled_by", TEXT),
    (Column::CancellationReason, "cancellation_reason", TEXT),
    (Column::Reminder24hSent, "reminder_24h_sent", BOOLEAN),
    (Column::Reminder1hSent, "reminder_1h_sent", BOOLEAN),
    (Column::Reminder15mSent, "reminder_15m_sent", BOOLEAN),
];
const BOOLEAN: &[&str] = &["boolean"];
const MOMENT: &[&str] = &["timestamp with time zone"];
const TEXT: &[&str] = &["text", "character varying"];

/// SQL of a text: the columns that `bookings` has, as `name:type,`. A domain counts as its base type.
pub(crate) const COLUMNS_THERE: &str = "(SELECT coalesce(string_agg(a.attname || ':'
                  || format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid), NULL) || ',', ''), '')
           FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
          WHERE a.attrelid = to_regclass('public.bookings') AND a.attnum > 0 AND NOT a.attisdropped)";

/// The columns without which nothing can be decided, and the types that fit.
pub(crate) const REQUIRED: [(&str, &[&str]); 4] = [
    ("id", &["uuid"]),
    ("status", TEXT),
    ("scheduled_at", MOMENT),
    ("duration_minutes", &["integer", "bigint", "smallint"]),
];

/// What of [`REQUIRED`] is missing, by the value of [`COLUMNS_THERE`], in a sentence.
pub(crate) fn missing_columns(list: &str) -> Option<String> {
    if list.is_empty() {
        return Some("there is no table public.bookings".to_owned());
    }
    let is_there = |name: &str, types: &[&str]| {
        let mut columns = list.split(',').filter_map(|column| column.split_once(':'));
        columns.any(|(found, kind)| found == name && types.contains(&kind))
    };
    let missing: Vec<_> = REQUIRED
        .iter()
        .filter(|(name, types)| !is_there(name, types))
        .map(|(name, types)| format!("public.bookings has no column {name} of type {}", types[0]))
        .collect();
    (!missing.is_empty()).then(|| missing.join("; "))
}

/// Which of the columns exist and fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BookingColumns {
    /// One bit each, by the position in [`Column`].
    there: u16,
}

impl BookingColumns {
    /// From the value of [`COLUMNS_THERE`].
    pub(crate) fn of(list: &str) -> Self {
        let found: Vec<_> = list
            .split(',')
            .filter_map(|column| column.split_once(':'))
            .collect();
        let mut there = 0;
        for (column, name, types) in COLUMNS {
            if found
                .iter()
                .any(|(found, kind)| *found == name && types.contains(kind))
            {
                there |= 1 << column as u16;
            }
        }
        Self { there }
    }

    /// All columns, for the test that prepares every statement.
    pub(crate) fn all() -> Self {
        Self { there: u16::MAX }
    }

    /// Whether a column exists and fits.
    pub(crate) fn has(self, column: Column) -> bool {
        self.there & (1 << column as u16) != 0
    }
}
