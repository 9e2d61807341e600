//! `/notices/held`: notices about too many changes in one transaction, which wait for a decision.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::database::Transaction;
use crate::http::api::errors::database_problem;
use crate::http::api::guard::{Answer, Api, ApiResponse, InParts, Progress, authorize, read_only};
use crate::http::params::malformed;
use crate::http::problem::Problem;
use crate::reminders::held_notices::{HeldDecision, decide_on_part, held_notices};

/// `GET /notices/held`
pub(crate) async fn list_held(State(api): State<Arc<Api>>, request: Request) -> ApiResponse {
    let authorized = authorize(&api, "GET", request).await?;
    let held = read_only(&api, &authorized, async |transaction, _| {
        let held = held_notices(transaction).await;
        held.map(|held| json!({ "held": held }))
            .map_err(|error| database_problem(&error))
    });
    Ok(Json(held.await?))
}

/// The number of a transaction and the decision, in a path. They are checked after the credentials.
pub(crate) type PathDecision = Result<Path<(String, String)>, PathRejection>;

/// `POST /notices/held/{transaction}/release` and `…/drop`
pub(crate) async fn decide_on_held(
    State(api): State<Arc<Api>>,
    path: PathDecision,
    request: Request,
) -> ApiResponse {
    let authorized = authorize(&api, "POST", request).await?;
    let (number, decision) = parse_path(path)?;
    let mut parts = InParts::begin(&api, &authorized).await?;
    loop {
        let part = async |transaction: &Transaction, so_far: Option<Value>| {
            decide(transaction, number, decision, so_far).await
        };
        if let Some(answer) = parts.next(progress, part).await? {
            tracing::info!(
                notices.transaction = number,
                notices.decision = ?decision,
                answer = answer.to_string(),
                "a person decided on held notices"
            );
            return Ok(Json(answer));
        }
    }
}

fn parse_path(path: PathDecision) -> Result<(u64, HeldDecision), Problem> {
    let (transaction, decision) = path.map(|Path(parts)| parts).unwrap_or_default();
    let number = transaction.parse();
    let number = number.map_err(|_| malformed("transaction", "is not the number of one"))?;
    match decision.as_str() {
        "release" => Ok((number, HeldDecision::Release)),
        "drop" => Ok((number, HeldDecision::Drop)),
        _ => Err(Problem::new(StatusCode::NOT_FOUND, "release or drop them")),
    }
}

async fn decide(
    transaction: &Transaction,
    number: u64,
    decision: HeldDecision,
    so_far: Option<Value>,
) -> Answer {
    let decided = decide_on_part(transaction, number, decision).await;
    let (decided, remaining) = decided.map_err(|error| database_problem(&error))?;
    let before = so_far
        .as_ref()
        .and_then(|so_far| so_far["notices"].as_i64());
    if decided == 0 && before.is_none() {
        let detail = "no notices of this transaction are held";
        return Err(Problem::new(StatusCode::NOT_FOUND, detail).with("field", "transaction"));
    }
    Ok(json!({
        "transaction": number.to_string(),
        "notices": before.unwrap_or_default() + decided,
        "remaining": remaining,
    }))
}

fn progress(answer: &Value) -> Progress {
    match answer["remaining"].as_i64() {
        Some(0) => Progress::Complete,
        _ => Progress::More,
    }
}
