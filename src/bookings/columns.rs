//! The columns of `bookings` that this program uses, and the types that fit. Some may be missing: a
//! user may have renamed or dropped one, have one of another type, or want none of ours.

use std::sync::LazyLock;

use crate::database::BASE_TYPE;

/// Each column with the types that fit, by PostgreSQL's own names. Domains over them fit, too.
const FITTING: [(&str, &[&str]); 15] = [
    ("id", &["uuid"]),
    ("status", TEXT),
    ("scheduled_at", MOMENT),
    ("duration_minutes", &["int4", "int8", "int2"]),
    ("created_at", &["timestamptz", "timestamp", "date"]),
    ("auto_complete_blocked", BOOLEAN),
    ("auto_status_updated", BOOLEAN),
    ("automation_logs", &["jsonb"]),
    ("completed_at", MOMENT),
    ("cancelled_at", MOMENT),
    ("cancelled_by", &["uuid", "text", "varchar"]),
    ("cancellation_reason", TEXT),
    ("reminder_24h_sent", BOOLEAN),
    ("reminder_1h_sent", BOOLEAN),
    ("reminder_15m_sent", BOOLEAN),
];
const BOOLEAN: &[&str] = &["bool"];
const MOMENT: &[&str] = &["timestamptz"];
const TEXT: &[&str] = &["text", "varchar"];
/// The columns without which nothing can be decided.
const REQUIRED: [&str; 5] = [
    "id",
    "status",
    "scheduled_at",
    "duration_minutes",
    "created_at",
];

/// The types that fit a column; none: it is not used.
pub(crate) fn fitting_types(column: &str) -> &'static [&'static str] {
    let found = FITTING.iter().find(|(name, _)| *name == column);
    found.map_or(&[], |(_, types)| types)
}

/// SQL of a text: the columns that `bookings` has, as `name:type,`.
pub(crate) static COLUMNS_THERE: LazyLock<String> = LazyLock::new(|| {
    let names: Vec<_> = FITTING
        .iter()
        .map(|(name, _)| format!("'{name}'"))
        .collect();
    format!(
        "(SELECT coalesce(string_agg(a.attname || ':' || {BASE_TYPE} || ',', ''), '')
            FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
           WHERE a.attrelid = to_regclass('public.bookings') AND NOT a.attisdropped
             AND a.attname IN ({}))",
        names.join(", ")
    )
});

/// The columns of such a list: name and type.
fn parse(list: &str) -> impl Iterator<Item = (&str, &str)> {
    list.split(',').filter_map(|column| column.split_once(':'))
}

/// Which columns that are needed are missing, by the value of [`COLUMNS_THERE`], in a sentence.
pub(crate) fn missing_columns(list: &str) -> Option<String> {
    if list.is_empty() {
        return Some("there is no table public.bookings".to_owned());
    }
    let fits = |required: &&str| {
        let types = fitting_types(required);
        parse(list).any(|(name, found)| name == *required && types.contains(&found))
    };
    let missing: Vec<_> = REQUIRED
        .iter()
        .filter(|required| !fits(required))
        .map(|name| {
            let types = fitting_types(name).join(" or ");
            format!("public.bookings has no column {name} of type {types}")
        })
        .collect();
    (!missing.is_empty()).then(|| missing.join("; "))
}

/// A column that may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    AutoCompleteBlocked,
    AutoStatusUpdated,
    AutomationLogs,
    CompletedAt,
    CancelledAt,
    CancelledBy,
    CancellationReason,
    Reminder24hSent,
    Reminder1hSent,
    Reminder15mSent,
}

impl Column {
    const ALL: [Self; 10] = [
        Self::AutoCompleteBlocked,
        Self::AutoStatusUpdated,
        Self::AutomationLogs,
        Self::CompletedAt,
        Self::CancelledAt,
        Self::CancelledBy,
        Self::CancellationReason,
        Self::Reminder24hSent,
        Self::Reminder1hSent,
        Self::Reminder15mSent,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::AutoCompleteBlocked => "auto_complete_blocked",
            Self::AutoStatusUpdated => "auto_status_updated",
            Self::AutomationLogs => "automation_logs",
            Self::CompletedAt => "completed_at",
            Self::CancelledAt => "cancelled_at",
            Self::CancelledBy => "cancelled_by",
            Self::CancellationReason => "cancellation_reason",
            Self::Reminder24hSent => "reminder_24h_sent",
            Self::Reminder1hSent => "reminder_1h_sent",
            Self::Reminder15mSent => "reminder_15m_sent",
        }
    }
}

/// Which of the columns exist and fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BookingColumns {
    /// One bit each, by the position in [`Column`].
    there: u16,
    /// `cancelled_by` takes any id, not only a UUID.
    pub(crate) is_cancelled_by_text: bool,
}

impl BookingColumns {
    /// From the value of [`COLUMNS_THERE`].
    pub(crate) fn of(list: &str) -> Self {
        let mut columns = Self::default();
        for column in Column::ALL {
            let types = fitting_types(column.name());
            let found = parse(list).find(|(name, _)| *name == column.name());
            if found.is_some_and(|(_, found)| types.contains(&found)) {
                columns.there |= 1 << column as u16;
            }
        }
        columns.is_cancelled_by_text = parse(list)
            .any(|(name, found)| name == Column::CancelledBy.name() && TEXT.contains(&found));
        columns
    }

    /// All columns, for the test that prepares every statement.
    pub(crate) fn all() -> Self {
        Self {
            there: u16::MAX,
            is_cancelled_by_text: false,
        }
    }

    /// Whether a column exists and fits.
    pub(crate) fn has(self, column: Column) -> bool {
        self.there & (1 << column as u16) != 0
    }
}
