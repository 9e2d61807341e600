//! The sweep: examines every confirmed booking within the longest lead, including those written
//! without firing the triggers.
//!
//! A million bookings take longer than a statement, or a call, may take. So a sweep goes through
//! them in the order of their starts, in parts. Each part is a transaction that records how far the
//! sweep came, and the next part continues there, in this call or in a later one.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future;
use tokio_postgres::types::{Timestamp, Type};
use uuid::Uuid;

use crate::database::owner_functions::Liveness;
use crate::database::{Result, Transaction};
use crate::reminders::decisions::{Decided, Decisions, decide_candidates};

/// Bookings of a sweep's first part.
const FIRST_SIZE: i64 = 1_000;
/// Bookings of a part, at most: about 200 ms of work.
const LARGEST_SIZE: i64 = 10_000;
/// A part that took longer than this is followed by a smaller one; one that took a quarter of it,
/// by a larger one.
const SLOW: Duration = Duration::from_millis(400);

/// SQL of a boolean: a sweep is under way. The table exists where
/// [`crate::database::owner_functions::IS_KNOWN`].
pub(crate) fn under_way_sql(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Known | Liveness::Singly => {
            "EXISTS (SELECT FROM public.booking_automation_sweep)"
        }
        Liveness::Unknown => "false",
    }
}

const PART: &str = include_str!("sweep_part.sql");
const UNTRACKED_MOVES: &str = include_str!("untracked_moves.sql");

/// What a sweep examines next.
pub(crate) struct Part {
    bookings: Vec<Uuid>,
    /// Where the sweep had come to.
    from: (Timestamp<DateTime<Utc>>, Uuid),
    /// The last of them.
    last: (DateTime<Utc>, Uuid),
    /// How many a part may have.
    size: i64,
}

/// Begins a sweep; one that is under way goes on.
pub(crate) async fn begin_sweep(transaction: &Transaction) -> Result<()> {
    let sql = "INSERT INTO public.booking_automation_sweep (starts_at, booking_id, size)
               VALUES ('-infinity', '00000000-0000-0000-0000-000000000000', $1)
               ON CONFLICT DO NOTHING";
    transaction
        .execute(sql, &[(&FIRST_SIZE, Type::INT8)])
        .await?;
    Ok(())
}

/// Begins a sweep; one that is under way begins again.
pub(crate) async fn begin_sweep_again(transaction: &Transaction) -> Result<()> {
    begin_sweep(transaction).await?;
    let sql = "UPDATE public.booking_automation_sweep SET starts_at = '-infinity'";
    transaction.execute(sql, &[]).await?;
    Ok(())
}

/// `None`: everything has been examined, or no sweep is under way.
pub(crate) async fn next_part(
    transaction: &Transaction,
    as_of: DateTime<Utc>,
) -> Result<Option<Part>> {
    // In the order of the index: without statistics, the planner would sort all later bookings for
    // each part.
    let (begun, rows, ended) = future::join3(
        transaction.batch("SET LOCAL enable_sort = off"),
        transaction.query(PART, &[(&as_of, Type::TIMESTAMPTZ)]),
        transaction.batch("SET LOCAL enable_sort = on"),
    )
    .await;
    begun?;
    let rows = rows?;
    ended?;
    Ok(rows.last().map(|last| Part {
        bookings: rows.iter().map(|row| row.get("id")).collect(),
        from: (last.get("from_start"), last.get("from_booking")),
        last: (last.get("scheduled_at"), last.get("id")),
        size: last.get("size"),
    }))
}

/// Decides about the bookings of a part whose reminders are due. At most three statements.
pub(crate) async fn examine_part(
    transaction: &Transaction,
    liveness: Liveness,
    as_of: DateTime<Utc>,
    part: &Part,
    run_id: Uuid,
) -> Result<Decisions> {
    let parameters = [
        (&as_of as _, Type::TIMESTAMPTZ),
        (&part.bookings as _, Type::UUID_ARRAY),
    ];
    let adopt =
        async |transaction: &Transaction| transaction.execute(UNTRACKED_MOVES, &parameters).await;
    let limit = transaction.statement_timeout() / 2;
    let untracked = transaction.in_savepoint(limit, adopt).await?;
    if untracked > 0 {
        tracing::warn!(
            bookings.count = untracked,
            "bookings were moved without firing the triggers; their reminders are decided again"
        );
    }
    let bookings = &part.bookings;
    decide_candidates(transaction, liveness, as_of, Decided::ALL, bookings, run_id).await
}

/// Records that a part, which took so long, has been examined.
pub(crate) async fn record_part(
    transaction: &Transaction,
    part: &Part,
    took: Duration,
) -> Result<()> {
    let size = match took {
        _ if took > SLOW => part.size / 2,
        _ if took < SLOW / 4 => part.size * 2,
        _ => part.size,
    };
    record(transaction, part, part.last, size).await
}

/// Records that a part could not be examined: the next one is smaller. A booking that fails alone
/// is left out, so that it does not stop the others; returns whether one was.
pub(crate) async fn record_failed_part(transaction: &Transaction, part: &Part) -> Result<bool> {
    if let [booking_id] = part.bookings[..] {
        tracing::error!(
            booking.id = %booking_id,
            "this booking is left out of the sweep; the next sweep tries again"
        );
        record(transaction, part, part.last, part.size).await?;
        return Ok(true);
    }
    let examined = i64::try_from(part.bookings.len()).unwrap_or(part.size);
    let sql = format!("UPDATE public.booking_automation_sweep SET size = $3 WHERE {UNMOVED}");
    let size = (examined / 4).max(1);
    let parameters = [
        (&part.from.0 as _, Type::TIMESTAMPTZ),
        (&part.from.1 as _, Type::UUID),
        (&size as _, Type::INT8),
    ];
    transaction.execute(&sql, &parameters).await?;
    Ok(false)
}

/// Between a part that failed and its record, a pass may have begun the sweep again.
const UNMOVED: &str = "starts_at = $1 AND booking_id = $2";

async fn record(
    transaction: &Transaction,
    part: &Part,
    (starts_at, booking_id): (DateTime<Utc>, Uuid),
    size: i64,
) -> Result<()> {
    let sql = format!(
        "UPDATE public.booking_automation_sweep SET starts_at = $3, booking_id = $4, size = $5 \
         WHERE {UNMOVED}"
    );
    let size = size.clamp(1, LARGEST_SIZE);
    let parameters = [
        (&part.from.0 as _, Type::TIMESTAMPTZ),
        (&part.from.1 as _, Type::UUID),
        (&starts_at as _, Type::TIMESTAMPTZ),
        (&booking_id as _, Type::UUID),
        (&size as _, Type::INT8),
    ];
    transaction.execute(&sql, &parameters).await?;
    Ok(())
}

/// Records that the sweep is complete.
pub(crate) async fn end_sweep(transaction: &Transaction) -> Result<()> {
    let sql = "DELETE FROM public.booking_automation_sweep";
    transaction.execute(sql, &[]).await?;
    Ok(())
}
