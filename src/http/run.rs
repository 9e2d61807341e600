//! `/run` fires a pass; `/health` reports that the process is alive.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::database::migrate;
use crate::http::auth::{Caller, authenticate};
use crate::http::problem::{
    method_not_allowed, pass_failed, problem, too_many_requests, unauthorized,
};
use crate::http::rate_limit;
use crate::http::request::{credentials_of, deadline_of, read_request};
use crate::http::settings::CronSecrets;
use crate::primitives::call::Call;
use crate::tick::error::PassError;
use crate::tick::trigger::Trigger;
use crate::tick::{self, Automation};

/// What the routes work with.
struct Service {
    automation: Arc<Automation>,
    secrets: CronSecrets,
    calls: TaskTracker,
    stop: CancellationToken,
}

/// The routes. `calls` tracks each call until it ends, even if its client has hung up; a call ends
/// early when `stop` is cancelled.
pub(crate) fn routes(
    automation: Arc<Automation>,
    secrets: CronSecrets,
    calls: TaskTracker,
    stop: CancellationToken,
) -> Router {
    Router::new()
        .route("/run", any(run))
        .route("/health", any(health))
        .with_state(Arc::new(Service {
            automation,
            secrets,
            calls,
            stop,
        }))
}

async fn health(method: Method) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return method_not_allowed("GET, HEAD");
    }
    Json(json!({"status": "ok"})).into_response()
}

/// Checks in this order: method, size, credentials, rate.
async fn run(State(service): State<Arc<Service>>, request: Request) -> Response {
    let deadline = deadline_of(&request);
    if *request.method() != Method::GET && *request.method() != Method::POST {
        return method_not_allowed("GET, POST");
    }
    let (head, body) = match read_request(request).await {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    let credentials = credentials_of(&head.headers);
    let Caller {
        trigger,
        credential,
    } = match authenticate(&service.secrets, &credentials, &body, SystemTime::now()) {
        Ok(caller) => caller,
        Err(refusal) => return unauthorized(refusal),
    };
    let (database, calls_per_minute) = (
        service.automation.database(),
        service.secrets.calls_per_minute,
    );
    match rate_limit::take_call(database, &credential, calls_per_minute, deadline).await {
        Ok(None) => run_call(&service, trigger, deadline).await,
        Ok(Some(wait)) => too_many_requests(wait),
        Err(error) if migrate::is_schema_missing(&error) => pass_failed(&PassError::SchemaMissing),
        Err(error) => pass_failed(&PassError::Database(error)),
    }
}

/// Runs the call in its own task, so that a client that hangs up does not interrupt sending and
/// recording.
async fn run_call(service: &Service, trigger: Trigger, deadline: Instant) -> Response {
    let automation = service.automation.clone();
    let call = Call {
        stop: service.stop.clone(),
        ..Call::until(deadline)
    };
    let run = async move { tick::run(&automation, &trigger, &call).await };
    match service.calls.spawn(run.in_current_span()).await {
        Ok(Ok(summary)) => Json(summary).into_response(),
        Ok(Err(error)) => pass_failed(&error),
        Err(error) => {
            tracing::error!("the call ended abnormally: {error}");
            problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "the call ended abnormally; the log says why",
            )
        }
    }
}
