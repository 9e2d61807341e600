//! `/people/{id}/calendar`: the address of a person's feed.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::api::errors::database_problem;
use crate::http::api::guard::{
    Answer, Api, ApiResponse, PathId, authorize, idempotently, read_only,
};
use crate::http::api::people::parse_person;
use crate::http::params::malformed;
use crate::http::problem::{Problem, method_not_allowed};
use crate::people::calendar::revoke_feeds;
use crate::people::keys::read_signer;

/// `GET` and `DELETE /people/{id}/calendar`
pub(crate) async fn calendar(state: State<Arc<Api>>, id: PathId, request: Request) -> ApiResponse {
    match request.method().as_str() {
        "GET" => show(state, id, request).await,
        "DELETE" => revoke(state, id, request).await,
        _ => Err(method_not_allowed("GET, DELETE")),
    }
}

async fn show(State(api): State<Arc<Api>>, id: PathId, request: Request) -> ApiResponse {
    let authorized = authorize(&api, "GET", request).await?;
    let person = parse_person_with_bookings(id)?;
    let settings = api.automation.messages();
    let base = settings.link_base_url.as_deref().ok_or_else(|| {
        Problem::new(
            StatusCode::CONFLICT,
            "there are no links: LINK_BASE_URL is not set",
        )
    })?;
    let answer = read_only(&api, &authorized, async |transaction, _| -> Answer {
        let signer = read_signer(transaction, base).await;
        let signer = signer.map_err(|error| database_problem(&error))?;
        let url = signer.and_then(|signer| signer.feed_url(&person, settings.default_language));
        let no_key = || {
            let detail = "there is no key for links: run migrate, or a pass that sends a message";
            Problem::new(StatusCode::CONFLICT, detail)
        };
        let url = url.ok_or_else(no_key)?;
        Ok(json!({"person_id": person, "url": url}))
    });
    Ok(Json(answer.await?))
}

async fn revoke(State(api): State<Arc<Api>>, id: PathId, request: Request) -> ApiResponse {
    let authorized = authorize(&api, "DELETE", request).await?;
    let person = parse_person_with_bookings(id)?;
    let answer = idempotently(&api, &authorized, async |transaction, _| {
        let revoked = revoke_feeds(transaction, &person).await;
        revoked
            .map(|()| -> Value { json!({"person_id": person, "revoked": true}) })
            .map_err(|error| database_problem(&error))
    });
    Ok(Json(answer.await?))
}

/// Bookings refer to people by UUID: a person of another name has no feed.
fn parse_person_with_bookings(id: PathId) -> Result<String, Problem> {
    let person = parse_person(id)?;
    match Uuid::try_parse(&person) {
        Ok(_) => Ok(person),
        Err(_) => Err(malformed("id", "takes a UUID, as in the bookings")),
    }
}
