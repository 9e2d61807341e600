//! `DELETE /people/{id}/messages`: erases what the audit trail says about a person.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde_json::json;

use crate::http::api::errors::database_problem;
use crate::http::api::guard::{Api, ApiResponse, PathId, authorize, idempotently, parse_path_id};
use crate::http::problem::Problem;
use crate::operations::erasure::erase_person;

pub(crate) async fn erase_messages(
    State(api): State<Arc<Api>>,
    id: PathId,
    request: Request,
) -> ApiResponse {
    let authorized = authorize(&api, "DELETE", request).await?;
    let person_id = parse_path_id(id)?;
    let erased = idempotently(&api, &authorized, async |transaction, _| {
        let erasure = erase_person(transaction, person_id)
            .await
            .map_err(|error| database_problem(&error))?;
        let unknown = || {
            Problem::new(StatusCode::NOT_FOUND, "no booking refers to this person")
                .with("field", "id")
        };
        erasure.map(|erasure| json!(erasure)).ok_or_else(unknown)
    });
    Ok(Json(erased.await?))
}
