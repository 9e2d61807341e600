//! The sweep: examines every confirmed booking within the longest lead, including those written
//! without firing the triggers.
//!
//! A million bookings take longer than a statement, or a call, may take. So a sweep goes through
//! them in the order of their starts, in parts. Each part is a transaction that records how far the
//! sweep came, and the next part continues there, in this call or in a later one.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future;
use serde_json::{Value, json};
use tokio_postgres::types::{Json, Timestamp, Type};
use uuid::Uuid;

use crate::database::owner_functions::Liveness;
use crate::database::{Result, Transaction};
use crate::reminders::decisions::{Decided, Decisions, IS_DECIDED, decide_candidates};
use crate::reminders::watermark::LATEST_HOUR;

/// Time for the sweep in one call: the calls of an hour examine about a million bookings.
pub(crate) const SWEEP_TIME: Duration = Duration::from_millis(200);

/// Bookings of a sweep's first part.
const FIRST_SIZE: i64 = 1_000;
/// Bookings of a part, at most.
const LARGEST_SIZE: i64 = 50_000;
/// How long a part shall take: most of the time of a call, since each has the same costs whatever
/// its size.
pub(crate) const PART_TIME: Duration = Duration::from_millis(170);

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
/// SQL of a boolean: the start of the booking `b`, whose state is `s`, changed past our triggers.
const IS_MOVED: &str = "(s.starts_at <> b.scheduled_at
    -- Without a stored start, compare with what was enqueued.
    OR s.starts_at IS NULL AND EXISTS (
       SELECT FROM public.booking_automation_events e
        WHERE e.event_type = 'reminder_sent' AND e.booking_id = b.id
          AND e.revision = coalesce(s.revision, public.booking_automation_latest_revision(b.id))
          AND e.starts_at <> b.scheduled_at))";

/// The statements, for the test that prepares them all.
pub(crate) fn statements(liveness: Liveness) -> [(&'static str, String); 2] {
    [
        ("missed by passes", missed_sql(liveness)),
        ("untracked moves", untracked_moves_sql()),
    ]
}

/// SQL that gives bookings a new revision whose starts changed past our triggers.
fn untracked_moves_sql() -> String {
    include_str!("untracked_moves.sql").replace("{is_moved}", IS_MOVED)
}

/// SQL of the bookings that passes have missed something of.
fn missed_sql(liveness: Liveness) -> String {
    include_str!("missed.sql")
        .replace("{is_moved}", IS_MOVED)
        .replace("{is_decided}", IS_DECIDED)
        .replace("{latest_revision}", &liveness.latest_revision("b.id"))
}

/// What a sweep examines next.
pub(crate) struct Part {
    bookings: Vec<Uuid>,
    starts: Vec<DateTime<Utc>>,
    /// Where the sweep had come to.
    from: (Timestamp<DateTime<Utc>>, Uuid),
    /// The last of them.
    last: (DateTime<Utc>, Uuid),
    /// How many a part may have.
    size: i64,
    /// Whether the sweep makes decisions that passes left to it.
    pub(crate) catches_up: bool,
}

/// Begins a sweep; one that is under way goes on.
pub(crate) async fn begin_sweep(transaction: &Transaction, as_of: DateTime<Utc>) -> Result<()> {
    let sql = format!("{BEGIN} ON CONFLICT DO NOTHING");
    let sweep = from_the_beginning(as_of, false);
    transaction
        .execute(&sql, &[(&Json(sweep), Type::JSONB)])
        .await?;
    Ok(())
}

/// Begins a sweep that makes the decisions that a pass could not; one that is under way begins
/// again.
pub(crate) async fn begin_to_catch_up(
    transaction: &Transaction,
    as_of: DateTime<Utc>,
) -> Result<()> {
    let delete = "DELETE FROM public.booking_automation_sweep";
    transaction.execute(delete, &[]).await?;
    let sweep = from_the_beginning(as_of, true);
    transaction
        .execute(BEGIN, &[(&Json(sweep), Type::JSONB)])
        .await?;
    Ok(())
}

/// Before step 29, the table lacks columns.
const BEGIN: &str = "INSERT INTO public.booking_automation_sweep
    SELECT (jsonb_populate_record(NULL::public.booking_automation_sweep, $1)).*";

fn from_the_beginning(as_of: DateTime<Utc>, catches_up: bool) -> Value {
    json!({
        "one": true,
        "starts_at": "-infinity",
        "booking_id": Uuid::nil(),
        "size": FIRST_SIZE,
        "catches_up": catches_up,
        "begun_at": as_of,
    })
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
        starts: rows.iter().map(|row| row.get("scheduled_at")).collect(),
        from: (last.get("from_start"), last.get("from_booking")),
        last: (last.get("scheduled_at"), last.get("id")),
        size: last.get("size"),
        catches_up: last.get("catches_up"),
    }))
}

/// Looks at so many of the nearest bookings as a sweep does. Returns how many there were.
pub(crate) async fn look_at_sample(
    transaction: &Transaction,
    liveness: Liveness,
    most: i64,
) -> Result<i64> {
    let sql = "SELECT id, scheduled_at, now() AS as_of FROM public.bookings
                WHERE status = 'confirmed' AND scheduled_at > now()
                  AND scheduled_at <= now() + (SELECT max(lead) FROM public.reminder_rules)
                ORDER BY scheduled_at, id LIMIT $1";
    transaction.batch("SET LOCAL enable_sort = off").await?;
    let rows = transaction.query(sql, &[(&most, Type::INT8)]).await?;
    let bookings: Vec<Uuid> = rows.iter().map(|row| row.get("id")).collect();
    let starts: Vec<DateTime<Utc>> = rows.iter().map(|row| row.get("scheduled_at")).collect();
    if let Some(first) = rows.first() {
        find_missed(
            transaction,
            liveness,
            first.get("as_of"),
            &bookings,
            &starts,
        )
        .await?;
    }
    Ok(i64::try_from(rows.len()).unwrap_or(most))
}

/// Of the bookings with these starts, those that passes have missed something of.
async fn find_missed(
    transaction: &Transaction,
    liveness: Liveness,
    as_of: DateTime<Utc>,
    bookings: &Vec<Uuid>,
    starts: &Vec<DateTime<Utc>>,
) -> Result<Vec<Uuid>> {
    let parameters = [
        (&as_of as _, Type::TIMESTAMPTZ),
        (bookings as _, Type::UUID_ARRAY),
        (starts as _, Type::TIMESTAMPTZ_ARRAY),
    ];
    let missed = transaction
        .query(&missed_sql(liveness), &parameters)
        .await?;
    Ok(missed.iter().map(|row| row.get("id")).collect())
}

/// Decides about the bookings of a part that passes have missed something of: mostly none. At most
/// four statements.
pub(crate) async fn examine_part(
    transaction: &Transaction,
    liveness: Liveness,
    as_of: DateTime<Utc>,
    part: &Part,
    run_id: Uuid,
) -> Result<Decisions> {
    let (bookings, starts) = (&part.bookings, &part.starts);
    let missed = find_missed(transaction, liveness, as_of, bookings, starts).await?;
    if missed.is_empty() {
        return Ok(Decisions::default());
    }
    adopt_untracked_moves(transaction, as_of, &missed).await?;
    decide_candidates(transaction, liveness, as_of, Decided::ALL, &missed, run_id).await
}

async fn adopt_untracked_moves(
    transaction: &Transaction,
    as_of: DateTime<Utc>,
    bookings: &Vec<Uuid>,
) -> Result<()> {
    let parameters = [
        (&as_of as _, Type::TIMESTAMPTZ),
        (bookings as _, Type::UUID_ARRAY),
    ];
    let sql = untracked_moves_sql();
    let adopt = async |transaction: &Transaction| transaction.execute(&sql, &parameters).await;
    let limit = transaction.statement_timeout() / 2;
    let untracked = transaction.in_savepoint(limit, adopt).await?;
    if untracked > 0 {
        tracing::warn!(
            bookings.count = untracked,
            "bookings were moved without firing the triggers; their reminders are decided again"
        );
    }
    Ok(())
}

/// Records that a part, which took so long, has been examined.
pub(crate) async fn record_part(
    transaction: &Transaction,
    part: &Part,
    took: Duration,
) -> Result<()> {
    // The next one has at most twice as many bookings, since it may find more to do.
    let factor = PART_TIME.as_secs_f64() / took.as_secs_f64().max(0.001);
    let size = (part.size as f64 * factor.clamp(0.5, 2.0)) as i64;
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

/// Records that the sweep is complete. If another hour has begun meanwhile, the next one follows.
pub(crate) async fn end_sweep(transaction: &Transaction, as_of: DateTime<Utc>) -> Result<()> {
    // Before step 29, the table lacks the column. Where it has it, the name means its own.
    let sql = format!(
        "SELECT coalesce(bool_or(s.begun_at < {}), false) AS another_follows
           FROM (SELECT NULL::timestamptz AS begun_at) AS absent
          CROSS JOIN LATERAL (SELECT begun_at FROM public.booking_automation_sweep) AS s",
        LATEST_HOUR.replace("{as_of}", "$1")
    );
    let row = transaction
        .query_one(&sql, &[(&as_of, Type::TIMESTAMPTZ)])
        .await?;
    let delete = "DELETE FROM public.booking_automation_sweep";
    transaction.execute(delete, &[]).await?;
    match row.get("another_follows") {
        true => begin_sweep(transaction, as_of).await,
        false => Ok(()),
    }
}
