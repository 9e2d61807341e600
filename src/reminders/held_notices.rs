//! Notices that are held, because one transaction of another program made too many changes, and
//! what a person decides on them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::types::Type;

use crate::database::{Result, Transaction};
use crate::reminders::notices::NoticeEvent;

/// Transactions in one answer, at most: those that wait longest.
const LISTED: i64 = 100;
/// Notices that one transaction of ours changes, at most.
const PART: i64 = 20_000;

const DECIDE: &str = include_str!("decide_on_held.sql");

/// The notices that one transaction would have sent about one kind of event.
#[derive(Debug, Serialize)]
pub(crate) struct HeldNotices {
    /// The transaction's number in PostgreSQL (`xid8`).
    transaction: String,
    on_event: String,
    notices: i64,
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
                 min(held_since) AS held_since
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
            held_since: row.get("held_since"),
        })
        .collect())
}

/// Decides on some of the notices of a transaction about one kind of event. Returns how many, and
/// whether more may be left.
pub(crate) async fn decide_on_part(
    transaction: &Transaction,
    number: u64,
    on_event: NoticeEvent,
    decision: HeldDecision,
) -> Result<(i64, bool)> {
    let parameters = [
        (&number.to_string() as _, Type::TEXT),
        (&on_event.as_str() as _, Type::TEXT),
        (&(decision == HeldDecision::Drop) as _, Type::BOOL),
        (&PART as _, Type::INT8),
    ];
    let row = transaction.query_one(DECIDE, &parameters).await?;
    // A statement of its own: a pass may have held some meanwhile.
    let left = "SELECT EXISTS (SELECT FROM public.booking_automation_notices
                                WHERE transaction = $1::xid8 AND on_event = $2
                                  AND held_since IS NOT NULL) AS is_left";
    let left = transaction.query_one(left, &parameters[..2]).await?;
    Ok((row.get("decided"), left.get("is_left")))
}
