//! The support API: routes for support and for the user's other programs. All require a token from
//! `ADMIN_TOKEN`; without that setting the routes do not exist. The rooms below do the work.
//!
//! A request is checked as for `/run`: path, method, size, credentials, rate; then each parameter.

mod bookings;
mod calendar;
mod costs;
mod errors;
mod guard;
mod notices;
mod people;
mod preferences;
mod preview;
mod push_tokens;
mod trail;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use chrono::{DateTime, Utc};

use crate::http::api::guard::{Api, authorize};
use crate::http::places::Places;
use crate::http::settings::AdminTokens;
use crate::tick::Automation;

/// The OpenAPI description of the routes.
const OPENAPI: &str = include_str!("openapi.json");

/// The routes; none without a token. `as_of` is the moment to decide by, in place of the database
/// clock.
pub(crate) fn routes(
    automation: Arc<Automation>,
    tokens: AdminTokens,
    as_of: Option<DateTime<Utc>>,
    places: Arc<Places>,
) -> Router {
    if tokens.is_empty() {
        return Router::new();
    }
    Router::new()
        .route("/openapi.json", any(openapi))
        .route("/bookings/{id}/status", any(bookings::change_status))
        .route("/bookings/{id}/block", any(bookings::lift_block))
        .route("/bookings/{id}/cancellation", any(bookings::cancellation))
        .route("/bookings/{id}/timeline", any(bookings::timeline))
        .route("/costs", any(costs::costs))
        .route("/events", any(trail::list_events))
        .route("/notices/held", any(notices::list_held))
        .route(
            "/notices/held/{transaction}/{on_event}/release",
            any(notices::release),
        )
        .route(
            "/notices/held/{transaction}/{on_event}/drop",
            any(notices::drop),
        )
        .route("/people/{id}", any(people::erase_person))
        .route("/people/{id}/calendar", any(calendar::calendar))
        .route("/people/{id}/messages", any(people::erase_messages))
        .route("/people/{id}/preferences", any(preferences::preferences))
        .route("/people/{id}/push-tokens", any(push_tokens::push_tokens))
        .route(
            "/people/{id}/push-tokens/{token}",
            any(push_tokens::push_token),
        )
        .route("/preview", any(preview::preview))
        .with_state(Arc::new(Api {
            places,
            automation,
            tokens,
            as_of,
        }))
}

async fn openapi(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Response> {
    authorize(&api, "GET", request).await?;
    Ok(([(CONTENT_TYPE, "application/json")], OPENAPI).into_response())
}
