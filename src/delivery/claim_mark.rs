//! Marks of claims: how a page that ends its process is found.
//!
//! A process that ends before the COMMIT of its claim, because its memory runs out, leaves no
//! lease. Without a trace, the next process would read the same page and end, too. So each claim is
//! announced in the transaction before it, and deletes its mark in its own. A mark that is left
//! over halves the next page, down to a single message; that message is given up when a third
//! process ends over it.

use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::channels::Channel;
use crate::database::{Result, Transaction};
use crate::delivery::claim_sql::with_conditions;

/// How long a claim may take, with the wait for a connection and a second try. A mark that is older
/// belongs to a process that has ended; the call of the next minute finds it.
const CLAIM_LASTS: Duration = Duration::from_secs(45);
/// How many processes end over one message before it is given up.
const MOST_DEATHS: i32 = 3;

static MARK: LazyLock<String> = LazyLock::new(|| with_conditions(include_str!("claim_mark.sql")));

/// An announced claim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClaimMark {
    /// Messages of the page, at most.
    pub(crate) messages: i64,
    /// The page is this message alone.
    pub(crate) single: Option<Uuid>,
    /// How many processes have ended over that message.
    pub(crate) deaths: i32,
}

impl ClaimMark {
    /// Without marks: before `migrate` has created their table.
    pub(crate) fn unmarked(messages: i64) -> Self {
        Self {
            messages,
            single: None,
            deaths: 0,
        }
    }

    /// The message that is to be given up.
    pub(crate) fn fatal_message(&self) -> Option<Uuid> {
        self.single.filter(|_| self.deaths >= MOST_DEATHS)
    }
}

/// Announces the claim of a page of up to so many messages. The caller commits before it claims.
pub(crate) async fn announce_claim(
    transaction: &Transaction,
    delivery: Uuid,
    channel: Channel,
    messages: i64,
    as_of: Option<DateTime<Utc>>,
) -> Result<ClaimMark> {
    let parameters = [
        (&delivery as _, Type::UUID),
        (&channel.as_str() as _, Type::TEXT),
        (&messages as _, Type::INT8),
        (&CLAIM_LASTS.as_secs_f64() as _, Type::FLOAT8),
        (&as_of as _, Type::TIMESTAMPTZ),
    ];
    let row = transaction.query_one(&MARK, &parameters).await?;
    Ok(ClaimMark {
        messages: row.get("messages"),
        single: row.get("event_id"),
        deaths: row.get("deaths"),
    })
}

/// Deletes the mark of a claim that came to its end.
pub(crate) async fn delete_mark(transaction: &Transaction, delivery: Uuid) -> Result<()> {
    let sql = "DELETE FROM public.booking_automation_claim_marks WHERE id = $1";
    transaction.execute(sql, &[(&delivery, Type::UUID)]).await?;
    Ok(())
}
