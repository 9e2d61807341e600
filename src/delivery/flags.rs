//! The brief's flags on `bookings` (`reminder_24h_sent` and so on): a projection of what was sent,
//! for the user's own pages. A separate statement sets them; it skips locked rows, which a later
//! call sets.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::columns::{BookingColumns, COLUMNS_THERE, Column};
use crate::database::{BOOKINGS_LOCK_TIMEOUT, Begin, Database, Result, Transaction, last_row};

/// Longest time for one statement.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(8);
/// Flags set in one statement.
const PAGE: i64 = 2_000;
/// Bookings whose flags are set one by one in one call, after a page was refused.
const SINGLY: i64 = 100;

const FLAGS_DUE: &str = include_str!("flags_due.sql");
const UPDATE: &str = include_str!("flags.sql");
/// The flags, and the rule of each.
const FLAGS: [(Column, &str, &str); 3] = [
    (Column::Reminder24hSent, "reminder_24h_sent", "24h"),
    (Column::Reminder1hSent, "reminder_1h_sent", "1h"),
    (Column::Reminder15mSent, "reminder_15m_sent", "15m"),
];

/// Sets the flags that are behind, page by page, until none is left that can be set.
pub(crate) async fn update_flags(database: &Database, deadline: Instant) {
    while Instant::now() < deadline {
        let settled = match project_page(database, None, deadline).await {
            // A trigger of the user's database refuses one booking: set each by itself, so that the
            // others succeed.
            Err(error) if error.is_of_a_row() => project_singly(database, deadline).await,
            result => result,
        };
        match settled {
            Ok(settled) if settled == PAGE as u64 => {}
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(
                    error = error.loggable(),
                    "flags on bookings could not be set; they follow with a later pass"
                );
                return;
            }
        }
    }
}

/// Returns how many flags are settled.
async fn project_page(
    database: &Database,
    only: Option<&[Uuid]>,
    deadline: Instant,
) -> Result<u64> {
    let begin = Begin {
        statement_timeout: STATEMENT_TIMEOUT,
        lock_timeout: BOOKINGS_LOCK_TIMEOUT,
        until: Some(deadline),
        ..Begin::default()
    };
    let (transaction, rows) = database
        .begin(&begin, &format!("SELECT {}", *COLUMNS_THERE))
        .await?;
    let columns = last_row(&rows).and_then(|row| row.get(0)).unwrap_or("");
    let parameters = [(&PAGE as _, Type::INT8), (&only as _, Type::UUID_ARRAY)];
    let due = transaction.query(FLAGS_DUE, &parameters).await?;
    let sent = SentReminders::of(&due);
    if let Some(sql) = update_sql(BookingColumns::of(columns))
        && !sent.bookings.is_empty()
    {
        sent.set_flags(&transaction, &sql).await?;
    }
    let events: Vec<Uuid> = due.iter().map(|row| row.get("event_id")).collect();
    let settle = "UPDATE public.booking_automation_events SET flag_due = false WHERE id = ANY ($1)";
    transaction
        .commit_after(async |transaction| {
            transaction
                .execute(settle, &[(&events, Type::UUID_ARRAY)])
                .await
        })
        .await
}

/// The bookings to which current reminders were sent, and by which of [`FLAGS`].
#[derive(Default)]
struct SentReminders {
    bookings: Vec<Uuid>,
    by_rule: [Vec<bool>; 3],
}

impl SentReminders {
    fn of(due: &[Row]) -> Self {
        let mut sent = BTreeMap::<Uuid, [bool; 3]>::new();
        for row in due.iter().filter(|row| row.get("is_current")) {
            let rule: &str = row.get("rule");
            let flags = sent.entry(row.get("booking_id")).or_default();
            for (flag, (_, _, name)) in flags.iter_mut().zip(FLAGS) {
                *flag |= name == rule;
            }
        }
        let of_rule = |index: usize| sent.values().map(|flags| flags[index]).collect();
        Self {
            by_rule: [of_rule(0), of_rule(1), of_rule(2)],
            bookings: sent.into_keys().collect(),
        }
    }

    async fn set_flags(&self, transaction: &Transaction, sql: &str) -> Result<()> {
        let [of_24h, of_1h, of_15m] = &self.by_rule;
        let parameters = [
            (&self.bookings as _, Type::UUID_ARRAY),
            (of_24h as _, Type::BOOL_ARRAY),
            (of_1h as _, Type::BOOL_ARRAY),
            (of_15m as _, Type::BOOL_ARRAY),
        ];
        let write = async |transaction: &Transaction| transaction.execute(sql, &parameters).await;
        transaction
            .write_with_their_settings(STATEMENT_TIMEOUT, async |_| Ok(()), write)
            .await?;
        Ok(())
    }
}

/// `None`: the database has none of the columns.
pub(crate) fn update_sql(columns: BookingColumns) -> Option<String> {
    let there: Vec<_> = FLAGS
        .into_iter()
        .filter(|(column, ..)| columns.has(*column))
        .collect();
    let set: Vec<_> = there
        .iter()
        .map(|(_, name, rule)| format!("{name} = COALESCE(b.{name}, false) OR sent.of_{rule}"))
        .collect();
    let is_change: Vec<_> = there
        .iter()
        .map(|(_, name, rule)| format!("sent.of_{rule} AND b.{name} IS NOT TRUE"))
        .collect();
    (!there.is_empty()).then(|| {
        UPDATE
            .replace("{columns}", &set.join(", "))
            .replace("{is_change}", &is_change.join(" OR "))
    })
}

async fn project_singly(database: &Database, deadline: Instant) -> Result<u64> {
    let begin = Begin {
        until: Some(deadline),
        ..Begin::default()
    };
    let (transaction, _) = database.begin(&begin, "").await?;
    let bookings = bookings_behind(&transaction).await?;
    transaction.rollback().await?;
    let mut settled = 0;
    for booking in bookings {
        match project_page(database, Some(&[booking]), deadline).await {
            Ok(count) => settled += count,
            // A later call sets it.
            Err(error) if error.is_lock() => {}
            Err(error) if error.is_of_a_row() => {
                tracing::warn!(
                    booking.id = %booking,
                    error = error.loggable(),
                    "the database refuses this booking's reminder flags"
                );
                let (transaction, _) = database.begin(&begin, "").await?;
                let details = error.details();
                transaction
                    .commit_after(async |transaction| give_up(transaction, booking, &details).await)
                    .await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(settled)
}

async fn bookings_behind(transaction: &Transaction) -> Result<Vec<Uuid>> {
    let sql = "SELECT DISTINCT booking_id FROM (
                   SELECT booking_id FROM public.booking_automation_events WHERE flag_due
                     ORDER BY seq LIMIT $1) AS due";
    let rows = transaction.query(sql, &[(&SINGLY, Type::INT8)]).await?;
    Ok(rows.iter().map(|row| row.get("booking_id")).collect())
}

/// Leaves a booking's flags as they are: the user's database refuses them. The event has the error.
async fn give_up(transaction: &Transaction, booking_id: Uuid, error: &str) -> Result<()> {
    let sql = "UPDATE public.booking_automation_events
                  SET flag_due = false,
                      event_data = coalesce(event_data, '{}')
                                   || jsonb_build_object('flag_error', $2)
                WHERE booking_id = $1 AND flag_due";
    transaction
        .execute(sql, &[(&booking_id, Type::UUID), (&error, Type::TEXT)])
        .await?;
    Ok(())
}
