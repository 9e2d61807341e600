//! `Idempotency-Key`: a request that is sent again is answered as the first time, and does nothing.
//!
//! The key is taken in the request's own transaction. One that failed or was refused may be sent again with it; one that
//! comes while the first is under way waits for it, 100 ms at most, and then finds its answer, or is told to try again.
//! Answers are kept for a day (`housekeeping`).

use serde_json::Value;
use tokio_postgres::types::{Json, Type};

use crate::database::{Result, Transaction};

/// Longest key, in bytes.
const LONGEST_KEY: usize = 256;

/// An earlier request with the same key.
pub(crate) enum EarlierRequest {
    /// None had it.
    None,
    /// The same request got this answer.
    Answered(Value),
    /// A different request had it.
    Different,
}

/// Whether a text serves as a key: visible ASCII.
pub(crate) fn is_key(text: &str) -> bool {
    (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Takes a key for a request, which has this digest.
pub(crate) async fn take_key(
    transaction: &Transaction,
    key: &str,
    digest: &[u8],
) -> Result<EarlierRequest> {
    let sql = "INSERT INTO booking_automation_requests (key, digest) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    if transaction
        .execute(sql, &[(&key, Type::TEXT), (&digest, Type::BYTEA)])
        .await?
        == 1
    {
        return Ok(EarlierRequest::None);
    }
    // Of a statement of its own, whose snapshot sees what was waited for.
    let sql =
        "SELECT digest = $2 AS is_same, answer FROM booking_automation_requests WHERE key = $1";
    let rows = transaction
        .query(sql, &[(&key, Type::TEXT), (&digest, Type::BYTEA)])
        .await?;
    Ok(
        match rows.first().map(|row| {
            (
                row.get("is_same"),
                row.get::<_, Option<Json<Value>>>("answer"),
            )
        }) {
            Some((true, Some(Json(answer)))) => EarlierRequest::Answered(answer),
            _ => EarlierRequest::Different,
        },
    )
}

/// Keeps the answer for the next time.
pub(crate) async fn keep_answer(
    transaction: &Transaction,
    key: &str,
    answer: &Value,
) -> Result<()> {
    let sql = "UPDATE booking_automation_requests SET answer = $2 WHERE key = $1";
    transaction
        .execute(sql, &[(&key, Type::TEXT), (&Json(answer), Type::JSONB)])
        .await?;
    Ok(())
}
