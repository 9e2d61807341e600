//! The ways in over HTTP: one router, the same on Lambda and under `serve`. A request that is refused (401, 404, 405, 413) has read
//! and written nothing.

pub(crate) mod api;
pub mod auth;
mod idempotency;
mod params;
mod problem;
mod rate_limit;
mod request;
mod run;
pub mod settings;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::problem::problem;
pub(crate) use crate::http::request::InvocationDeadline;
use crate::http::settings::{AdminTokens, CronSecrets};
use crate::tick::Automation;

/// All routes. A call that has begun is one of `calls`, whether its client still waits or not, and ends early when `stop` is
/// cancelled. `as_of` is the moment to decide by for support's routes, in place of the database clock.
pub(crate) fn router(
    automation: Arc<Automation>,
    secrets: CronSecrets,
    tokens: AdminTokens,
    as_of: Option<DateTime<Utc>>,
    calls: TaskTracker,
    stop: CancellationToken,
) -> Router {
    run::routes(automation.clone(), secrets, calls, stop)
        .fallback(async || problem(StatusCode::NOT_FOUND, "there is /run and /health"))
        .merge(api::routes(automation, tokens, as_of))
}
