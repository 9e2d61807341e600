//! Notices that are held, because one transaction of another program made too many changes, and what
//! a person decides on them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::types::Type;

use crate::database::{Result, Transaction};

/// Transactions in one answer, at most: those that wait longest.
const LISTED: i64 = 100;
/// Notices that one transaction of ours changes, at most.
const PART: i64 = 20_000;

/// The notices that one transaction would have sent about one kind of event.
#[derive(Debug, Serialize)]
pub(crate) struct HeldNotices {
    /// The transaction's number in PostgreSQL (`xid8`).
    transaction: String,
    on_event: String,
    notices: i64,
    bookings: i64,
    /// When a pass held the first of them.
    held_since: DateTime<Utc>,
}

/// What a person decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeldDecision {
    /// The next passes send them.
    Release,
    /// They are not sent.
    Drop,
}

/// All that are held.
pub(crate) async fn held_notices(transaction: &Transaction) -> Result<Vec<HeldNotices>> {
    let sql = "SELECT transaction::text AS transaction, on_event, count(*) AS notices,
                      count(DISTINCT booking_id) AS bookings, min(held_since) AS held_since
                 FROM public.booking_automation_notices
                WHERE held_since IS NOT NULL
                GROUP BY 1, 2 ORDER BY min(held_since), 1, 2 LIMIT $1";
    let rows = transaction.query(sql, &[(&LISTED, Type::INT8)]).await?;
    Ok(rows
        .iter()
        .map(|row| HeldNotices {
            transaction: row.get("transaction"),
            on_event: row.get("on_event"),
            notices: row.get("notices"),
            bookings: row.get("bookings"),
            held_since: row.get("held_since"),
        })
        .collect())
}

/// Decides on some of the notices of a transaction; those that no pass has held yet come first.
/// Returns how many, and how many may be left.
pub(crate) async fn decide_on_part(
    transaction: &Transaction,
    number: u64,
    decision: HeldDecision,
) -> Result<(i64, i64)> {
    let sql = "WITH part AS (
                   SELECT seq FROM public.booking_automation_notices
                    WHERE transaction = $1::xid8 AND decided_at IS NULL
                      AND EXISTS (SELECT FROM public.booking_automation_notices
                                   WHERE transaction = $1::xid8 AND held_since IS NOT NULL)
                    ORDER BY held_since NULLS FIRST LIMIT $3 FOR UPDATE
               ), decided AS (
                   UPDATE public.booking_automation_notices n
                      SET held_since = NULL, decided_at = public.booking_automation_now(), is_dropped = $2
                     FROM part WHERE n.seq = part.seq
                   RETURNING 1
               )
               SELECT count(*) AS decided FROM decided";
    let parameters = [
        (&number.to_string() as _, Type::TEXT),
        (&(decision == HeldDecision::Drop) as _, Type::BOOL),
        (&PART as _, Type::INT8),
    ];
    let row = transaction.query_one(sql, &parameters).await?;
    let decided: i64 = row.get("decided");
    Ok((decided, i64::from(decided == PART)))
}
