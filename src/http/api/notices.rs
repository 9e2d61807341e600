//! `/notices/held`: notices about too many changes in one transaction, which wait for a decision.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::database::Transaction;
use crate::http::api::errors::database_problem;
use crate::http::api::guard::{
    Answer, Api, ApiResponse, InParts, PathId, Progress, authorize, read_only,
};
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

/// `POST /notices/held/{transaction}/release`
pub(crate) async fn release(state: State<Arc<Api>>, id: PathId, request: Request) -> ApiResponse {
    decide_on_held(state, id, request, HeldDecision::Release).await
}

/// `POST /notices/held/{transaction}/drop`
pub(crate) async fn drop(state: State<Arc<Api>>, id: PathId, request: Request) -> ApiResponse {
    decide_on_held(state, id, request, HeldDecision::Drop).await
}

async fn decide_on_held(
    State(api): State<Arc<Api>>,
    id: PathId,
    request: Request,
    decision: HeldDecision,
) -> ApiResponse {
    let authorized = authorize(&api, "POST", request).await?;
    let number = id.ok().and_then(|Path(number)| number.parse().ok());
    let number = number.ok_or_else(|| malformed("transaction", "is not the number of one"))?;
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
