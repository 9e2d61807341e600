//! `DELETE /people/{id}/messages`: erases what the audit trail says about a person.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::database::Transaction;
use crate::http::api::errors::database_problem;
use crate::http::api::guard::{
    Answer, Api, ApiResponse, InParts, PathId, Progress, authorize, parse_path_id,
};
use crate::http::problem::Problem;
use crate::operations::erasure::{Eraser, Erasure};

pub(crate) async fn erase_messages(
    State(api): State<Arc<Api>>,
    id: PathId,
    request: Request,
) -> ApiResponse {
    let authorized = authorize(&api, "DELETE", request).await?;
    let person_id = parse_path_id(id)?;
    let mut eraser = None;
    let mut parts = InParts::begin(&api, &authorized).await?;
    loop {
        let part = async |transaction: &Transaction, so_far: Option<Value>| {
            let eraser = match &mut eraser {
                Some(eraser) => eraser,
                none => none.insert(begin(transaction, person_id).await?),
            };
            erase_part(eraser, transaction, so_far).await
        };
        if let Some(answer) = parts.next(progress, part).await? {
            return Ok(Json(answer));
        }
    }
}

async fn begin(transaction: &Transaction, person_id: Uuid) -> Result<Eraser, Problem> {
    let eraser = Eraser::begin(transaction, person_id).await;
    let unknown = || {
        Problem::new(StatusCode::NOT_FOUND, "no booking refers to this person").with("field", "id")
    };
    eraser
        .map_err(|error| database_problem(&error))?
        .ok_or_else(unknown)
}

async fn erase_part(
    eraser: &mut Eraser,
    transaction: &Transaction,
    so_far: Option<Value>,
) -> Answer {
    let part = eraser.erase_part(transaction).await;
    let part = part.map_err(|error| database_problem(&error))?;
    Ok(match so_far.and_then(erasure) {
        Some(earlier) => json!(earlier.followed_by(&part)),
        None => json!(part),
    })
}

fn erasure(answer: Value) -> Option<Erasure> {
    serde_json::from_value(answer).ok()
}

/// How far an erasure came, from its answer.
fn progress(answer: &Value) -> Progress {
    match erasure(answer.clone()) {
        Some(erasure) if erasure.has_more() => Progress::More,
        Some(erasure) if !erasure.is_complete() => Progress::Later,
        _ => Progress::Complete,
    }
}
