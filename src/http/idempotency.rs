//! `Idempotency-Key`: a repeated request gets the first answer and does nothing.
//!
//! The key is stored in the request's own transaction, so a failed or refused request may be
//! repeated with the same key. A repeat that arrives while the first request runs waits for it, up
//! to 100 ms; then it gets the first answer, or 409. Answers are kept for a day
//! (`operations/retention.sql`).
//!
//! A request that is done in parts stores its answer in the transaction of each part. Until it is
//! complete, the same request with the same key goes on with it.
//!
//! A key belongs to its token: the same key with another token is another request. Rows of version
//! 0.2.0 and before have the key alone; they match no request any more and expire within a day.

use serde_json::Value;
use tokio_postgres::types::{Json, Type};

use crate::database::{Result, Transaction};

/// Longest key, in bytes.
const LONGEST_KEY: usize = 256;

/// An earlier request with the same key.
pub(crate) enum EarlierRequest {
    /// No request had this key.
    None,
    /// The same request got this answer.
    Answered(Value),
    /// A different request had this key.
    Different,
}

/// Whether a text is a valid key: visible ASCII.
pub(crate) fn is_key(text: &str) -> bool {
    (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The key as it is stored: with the name of the token, which has a fixed length.
pub(crate) fn key_of_token(credential: &str, key: &str) -> String {
    format!("{credential}:{key}")
}

/// Stores the key of the request with this digest.
pub(crate) async fn take_key(
    transaction: &Transaction,
    key: &str,
    digest: &[u8],
) -> Result<EarlierRequest> {
    let sql = "INSERT INTO public.booking_automation_requests (key, digest) VALUES ($1, $2)
               ON CONFLICT DO NOTHING";
    if transaction
        .execute(sql, &[(&key, Type::TEXT), (&digest, Type::BYTEA)])
        .await?
        == 1
    {
        return Ok(EarlierRequest::None);
    }
    // A separate statement: its snapshot sees what the first one waited for.
    // FOR UPDATE: if that answer is not final, the requests with this key go on in turn.
    let sql = "SELECT digest = $2 AS is_same, answer FROM public.booking_automation_requests \
        WHERE key = $1 FOR UPDATE";
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

/// Stores the answer for repeats.
pub(crate) async fn keep_answer(
    transaction: &Transaction,
    key: &str,
    answer: &Value,
) -> Result<()> {
    let sql = "UPDATE public.booking_automation_requests SET answer = $2 WHERE key = $1";
    transaction
        .execute(sql, &[(&key, Type::TEXT), (&Json(answer), Type::JSONB)])
        .await?;
    Ok(())
}
