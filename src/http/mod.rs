//! HTTP: one router, the same on Lambda and under `serve`. A refused request (401, 404, 405, 413)
//! does not touch the database.

pub(crate) mod api;
pub mod app_links;
pub mod auth;
mod clock;
mod idempotency;
mod params;
mod places;
mod problem;
mod public;
mod rate_limit;
mod refusals;
mod repeated_member;
mod request;
mod run;
pub mod settings;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::places::Places;
use crate::http::problem::refuse;
pub(crate) use crate::http::request::{Arrived, InvocationDeadline};
use crate::http::settings::HttpSettings;
use crate::tick::Automation;

/// All routes. `calls` tracks each call until it ends, even if its client has hung up; a call ends
/// early when `stop` is cancelled. `as_of` replaces the database clock for the support routes.
pub fn router(
    automation: Arc<Automation>,
    settings: HttpSettings,
    as_of: Option<DateTime<Utc>>,
    calls: TaskTracker,
    stop: CancellationToken,
) -> Router {
    let places = Arc::new(Places::of(automation.database()));
    run::routes(automation.clone(), settings.secrets, calls, stop)
        .fallback(async || {
            refuse(
                StatusCode::NOT_FOUND,
                "there is no such path; use /run or /health",
            )
        })
        .merge(settings.app_links.routes())
        .merge(public::routes(automation.clone(), places.clone(), as_of))
        .merge(api::routes(automation, settings.tokens, as_of, places))
}
