//! The customers' phones: endpoints with the part of AWS End User Messaging SMS, and of FCM, that
//! the program uses.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::mailbox::{Channel, Mailbox, text};

/// The token of a device from which the app was removed.
pub const REMOVED: &str = "pia-old-phone";
/// A key that was made for tests, and opens nothing.
const KEY: &str = include_str!("../../src/channels/push/tests/key.pem");

/// The key of a service account, as `FCM_CREDENTIALS` has it.
pub fn service_account(endpoint: &str) -> String {
    json!({
        "type": "service_account",
        "project_id": "studio",
        "private_key": KEY,
        "client_email": "sender@studio.iam.gserviceaccount.example",
        "token_uri": format!("{endpoint}/token"),
    })
    .to_string()
}

pub fn routes() -> Router<Arc<Mailbox>> {
    Router::new()
        .route("/", post(take_sms))
        .route(
            "/token",
            post(async || Json(json!({"access_token": "demo", "expires_in": 3599}))),
        )
        .route("/v1/projects/studio/messages:send", post(take_push))
}

async fn take_sms(State(mailbox): State<Arc<Mailbox>>, body: Bytes) -> Result<Json<Value>, String> {
    let request: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    let (to, body) = (
        text(&request, "/DestinationPhoneNumber"),
        text(&request, "/MessageBody"),
    );
    mailbox
        .keep_text(Channel::Sms, to, body, str::to_owned)
        .map(|id| Json(json!({"MessageId": id})))
        .map_err(|error| error.to_string())
}

async fn take_push(
    State(mailbox): State<Arc<Mailbox>>,
    Json(request): Json<Value>,
) -> Result<Response, String> {
    let device = text(&request, "/message/token");
    if device == REMOVED {
        let detail = json!({
            "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
            "errorCode": "UNREGISTERED",
        });
        let error = json!({"code": 404, "status": "NOT_FOUND", "details": [detail]});
        return Ok((StatusCode::NOT_FOUND, Json(json!({"error": error}))).into_response());
    }
    let body = text(&request, "/message/notification/body");
    let id_of = |name: &str| format!("projects/studio/messages/{name}");
    mailbox
        .keep_text(Channel::Push, device, body, id_of)
        .map(|id| Json(json!({"name": id})).into_response())
        .map_err(|error| error.to_string())
}
