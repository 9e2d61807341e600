//! What follows from the answers of a channel for others: messages leave a channel that is held,
//! and devices without the app are forgotten.

use std::sync::LazyLock;

use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::{Result, Transaction};
use crate::delivery::claim_sql::with_conditions;
use crate::delivery::claim_time::STATEMENT_TIMEOUT;
use crate::delivery::pages::DeliveryPages;

/// Messages that leave a held channel in one transaction, at most.
const MOST_MOVED: usize = 1_000;

pub(crate) static MOVE_ON_HELD: LazyLock<String> =
    LazyLock::new(|| with_conditions(include_str!("move_on_held.sql")));

/// If a channel is held, lets the messages that have waited too long for it go by the next one of
/// their chain. Returns whether there were any.
pub(crate) async fn move_on_held(pages: &mut DeliveryPages<'_>) -> bool {
    let mut any = false;
    while pages.has_chains {
        let moved = move_on(pages).await.unwrap_or_else(|error| {
            let error = error.loggable();
            tracing::warn!(error, "messages of a held channel still wait for it");
            Vec::new()
        });
        // The next channel counts them.
        pages.tally.forget(&moved);
        any |= !moved.is_empty();
        if moved.len() < MOST_MOVED {
            break;
        }
    }
    any
}

async fn move_on(pages: &DeliveryPages<'_>) -> Result<Vec<Uuid>> {
    let parameters = [
        (&pages.channel.as_str() as _, Type::TEXT),
        (&(MOST_MOVED as i64) as _, Type::INT8),
        (&pages.call.as_of as _, Type::TIMESTAMPTZ),
    ];
    let transaction = pages.begin(STATEMENT_TIMEOUT, pages.call.deadline).await?;
    let move_on = async |transaction: &Transaction| {
        let rows = transaction.query(&MOVE_ON_HELD, &parameters).await?;
        Ok(rows.iter().map(|row| row.get("id")).collect())
    };
    transaction.commit_after(move_on).await
}

/// Forgets devices that have the app no more. If that fails, the next message finds it out again.
pub(crate) async fn forget_devices(pages: &DeliveryPages<'_>, tokens: &Vec<String>) {
    if tokens.is_empty() {
        return;
    }
    let sql = "DELETE FROM public.booking_automation_push_tokens WHERE token = ANY ($1)";
    let parameters = [(tokens as _, Type::TEXT_ARRAY)];
    if let Ok(transaction) = pages.begin(STATEMENT_TIMEOUT, pages.call.deadline).await {
        let forget = async |transaction: &Transaction| transaction.execute(sql, &parameters).await;
        let _ = transaction.commit_after(forget).await;
    }
}
