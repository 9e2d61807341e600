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
use crate::reminders::notices::NoticeEvent;

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

/// The number of a transaction and the event, in a path. They are checked after the credentials.
type HeldPath = Result<Path<(String, String)>, PathRejection>;

/// `POST /notices/held/{transaction}/{on_event}/release`
pub(crate) async fn release(
    state: State<Arc<Api>>,
    held: HeldPath,
    request: Request,
) -> ApiResponse {
    decide_on_held(state, held, request, HeldDecision::Release).await
}

/// `POST /notices/held/{transaction}/{on_event}/drop`
pub(crate) async fn drop(state: State<Arc<Api>>, held: HeldPath, request: Request) -> ApiResponse {
    decide_on_held(state, held, request, HeldDecision::Drop).await
}

async fn decide_on_held(
    State(api): State<Arc<Api>>,
    held: HeldPath,
    request: Request,
    decision: HeldDecision,
) -> ApiResponse {
    let authorized = authorize(&api, "POST", request).await?;
    let (number, on_event) = parse_path(held)?;
    let mut parts = InParts::begin(&api, &authorized).await?;
    loop {
        let part = async |transaction: &Transaction, so_far: Option<Value>| {
            decide(transaction, (number, on_event), decision, so_far).await
        };
        if let Some(answer) = parts.next(progress, part).await? {
            tracing::info!(
                notices.transaction = number,
                notices.event = on_event.as_str(),
                notices.decision = ?decision,
                answer = answer.to_string(),
                "a person decided on held notices"
            );
            return Ok(Json(answer));
        }
    }
}

fn parse_path(held: HeldPath) -> Result<(u64, NoticeEvent), Problem> {
    let (number, on_event) = held.map(|Path(parts)| parts).unwrap_or_default();
    let number = number.parse();
    let number = number.map_err(|_| malformed("transaction", "is not the number of one"))?;
    let on_event = NoticeEvent::from_name(&on_event)
        .ok_or_else(|| malformed("on_event", "is not the name of an event"))?;
    Ok((number, on_event))
}

async fn decide(
    transaction: &Transaction,
    (number, on_event): (u64, NoticeEvent),
    decision: HeldDecision,
    so_far: Option<Value>,
) -> Answer {
    let decided = decide_on_part(transaction, number, on_event, decision).await;
    let (decided, has_more) = decided.map_err(|error| database_problem(&error))?;
    let before = so_far
        .as_ref()
        .and_then(|so_far| so_far["notices"].as_i64());
    if decided == 0 && before.is_none() {
        let detail = "no notices of this transaction about this event are held";
        return Err(Problem::new(StatusCode::NOT_FOUND, detail).with("field", "transaction"));
    }
    Ok(json!({
        "transaction": number.to_string(),
        "on_event": on_event.as_str(),
        "notices": before.unwrap_or_default() + decided,
        "has_more": has_more,
    }))
}

fn progress(answer: &Value) -> Progress {
    match answer["has_more"].as_bool() {
        Some(false) => Progress::Complete,
        _ => Progress::More,
    }
}
