//! `/people/{id}/push-tokens`: the devices of a person that take push messages. No answer and no
//! log repeats a token.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::http::api::errors::database_problem;
use crate::http::api::guard::{Api, ApiResponse, PathId, authorize, idempotently, read_only};
use crate::http::api::people::parse_person;
use crate::http::params::malformed;
use crate::http::problem::{Problem, method_not_allowed};
use crate::people::devices::{PushToken, add_device, read_devices, remove_device};

/// The person and the token in a path. They are checked after the credentials.
type TokenPath = Result<Path<(String, String)>, PathRejection>;

/// `GET /people/{id}/push-tokens`
pub(crate) async fn push_tokens(
    State(api): State<Arc<Api>>,
    id: PathId,
    request: Request,
) -> ApiResponse {
    let authorized = authorize(&api, "GET", request).await?;
    let person = parse_person(id)?;
    let answer = read_only(&api, &authorized, async |transaction, _| {
        let read = read_devices(transaction, &person).await;
        let devices = read.map_err(|error| database_problem(&error))?;
        let described = |seen_at: &DateTime<Utc>| json!({"seen_at": seen_at});
        let described: Vec<_> = devices.iter().map(described).collect();
        Ok(json!({"person_id": person, "count": devices.len(), "devices": described}))
    });
    Ok(Json(answer.await?))
}

/// `PUT` and `DELETE /people/{id}/push-tokens/{token}`
pub(crate) async fn push_token(
    state: State<Arc<Api>>,
    path: TokenPath,
    request: Request,
) -> Result<Response, Response> {
    match request.method().as_str() {
        "PUT" => add(state, path, request).await,
        "DELETE" => remove(state, path, request).await,
        _ => Err(method_not_allowed("PUT, DELETE")),
    }
}

async fn add(
    State(api): State<Arc<Api>>,
    path: TokenPath,
    request: Request,
) -> Result<Response, Response> {
    let authorized = authorize(&api, "PUT", request).await?;
    let (person, token) = parse_path(path)?;
    let answer = idempotently(&api, &authorized, async |transaction, _| {
        let added = add_device(transaction, &person, &token).await;
        let added = added.map_err(|error| database_problem(&error))?;
        Ok(json!({
            "person_id": person,
            "seen_at": added.seen_at,
            "is_new": added.is_new,
            "dropped": added.dropped,
        }))
    });
    let answer: Value = answer.await?;
    let status = match answer["is_new"].as_bool() {
        Some(true) => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    Ok((status, Json(answer)).into_response())
}

async fn remove(
    State(api): State<Arc<Api>>,
    path: TokenPath,
    request: Request,
) -> Result<Response, Response> {
    let authorized = authorize(&api, "DELETE", request).await?;
    let (person, token) = parse_path(path)?;
    let answer = idempotently(&api, &authorized, async |transaction, _| {
        let removed = remove_device(transaction, &person, &token).await;
        removed
            .map(|was_there| json!({"person_id": person, "was_there": was_there}))
            .map_err(|error| database_problem(&error))
    });
    Ok(Json(answer.await?).into_response())
}

fn parse_path(path: TokenPath) -> Result<(String, PushToken), Problem> {
    let (id, token) = path.map(|Path(parts)| parts).unwrap_or_default();
    let person = parse_person(Ok(Path(id)))?;
    let token = PushToken::parse(&token).ok_or_else(|| {
        let accepts = "takes up to 1024 characters of visible ASCII, as the app gets it from FCM";
        malformed("token", accepts)
    })?;
    Ok((person, token))
}
