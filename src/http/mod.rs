//! The ways in over HTTP: `/run` fires a pass, `/health` says that the process lives.
//!
//! One router, the same on Lambda and under `serve`. What is refused (401, 404, 405, 413) has read and
//! written nothing.

pub(crate) mod api;
pub mod auth;
pub(crate) mod idempotency;
pub(crate) mod params;
pub(crate) mod rate_limit;

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use http_body_util::LengthLimitError;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::config::CronSecrets;
use crate::database::migrate;
use crate::http::auth::{Caller, Credentials};
use crate::tick::call::{Call, Cause};
use crate::tick::pass::PassError;
use crate::tick::{self, Automation};

/// A call must be over after this long, and answered within 20 s: external cron services give up at 30 s.
/// The rest is for a failure's record, and for the way back.
const CALL_TIME: Duration = Duration::from_secs(18);
/// Largest body, in bytes. Nothing is read from it; it is part of what is signed.
const LARGEST_BODY: usize = 64 * 1024;
/// How long a caller may take to send it.
const BODY_TIME: Duration = Duration::from_secs(10);

/// When the process that answers will be gone: an extension of the request, where there is such a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GoneAt(pub(crate) Instant);

/// What the routes work with.
struct Service {
    automation: Arc<Automation>,
    secrets: CronSecrets,
    calls: TaskTracker,
    stop: CancellationToken,
}

/// The routes. A call that has begun is one of `calls`, whether its client still waits or not, and hears of
/// `stop`.
pub(crate) fn router(
    automation: Arc<Automation>,
    secrets: CronSecrets,
    admin: Router,
    calls: TaskTracker,
    stop: CancellationToken,
) -> Router {
    Router::new()
        .route("/run", any(run))
        .route("/health", any(health))
        .fallback(async || problem(StatusCode::NOT_FOUND, "there is /run and /health"))
        .with_state(Arc::new(Service { automation, secrets, calls, stop }))
        .merge(admin)
}

async fn health(method: Method) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return method_not_allowed("GET, HEAD");
    }
    Json(json!({"status": "ok"})).into_response()
}

/// Judged in this order: method, size, credentials, rate.
async fn run(State(service): State<Arc<Service>>, request: Request) -> Response {
    let deadline = deadline(&request);
    if *request.method() != Method::GET && *request.method() != Method::POST {
        return method_not_allowed("GET, POST");
    }
    let (head, body) = request.into_parts();
    let body = match read(body).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let Caller { cause, credential } =
        match auth::authenticate(&service.secrets, &credentials(&head.headers), &body, SystemTime::now()) {
            Ok(caller) => caller,
            Err(refusal) => {
                tracing::info!("refused a call: {refusal}");
                return unauthorized();
            }
        };
    let (database, calls_per_minute) = (service.automation.database(), service.secrets.calls_per_minute);
    match rate_limit::take(database, &credential, calls_per_minute, deadline).await {
        Ok(None) => fire(&service, cause, deadline).await,
        Ok(Some(wait)) => too_many(wait),
        Err(error) if migrate::is_schema_missing(&error) => unavailable(&PassError::SchemaMissing),
        Err(error) => unavailable(&PassError::Database(error)),
    }
}

/// In a task of its own: a client that hangs up must not cut off what is being sent and recorded.
async fn fire(service: &Service, cause: Cause, deadline: Instant) -> Response {
    let automation = service.automation.clone();
    let call = Call { stop: service.stop.clone(), ..Call::new(cause, deadline) };
    match service.calls.spawn(async move { tick::run(&automation, &call).await }.in_current_span()).await {
        Ok(Ok(summary)) => Json(summary).into_response(),
        Ok(Err(error)) => unavailable(&error),
        Err(error) => {
            tracing::error!("the call was cut off: {error}");
            problem(StatusCode::SERVICE_UNAVAILABLE, "the call was cut off; the log says why")
        }
    }
}

/// When a request's work must be over.
pub(crate) fn deadline(request: &Request) -> Instant {
    let deadline = Instant::now() + CALL_TIME;
    request.extensions().get::<GoneAt>().map_or(deadline, |GoneAt(gone_at)| deadline.min(*gone_at))
}

pub(crate) fn unavailable(error: &PassError) -> Response {
    tracing::error!("{error}");
    let detail = match error {
        PassError::SchemaMissing => "the database has not been migrated",
        PassError::RowSecurity => "the database hides bookings from this program; the log says why",
        PassError::Database(_) => "the pass failed and changed nothing; the log says why",
        PassError::Unsettled(_) => "whether the pass was committed is not known; the log says why",
    };
    problem(StatusCode::SERVICE_UNAVAILABLE, detail)
}

pub(crate) async fn read(body: Body) -> Result<Bytes, Response> {
    let too_large = || problem(StatusCode::PAYLOAD_TOO_LARGE, "a body may have 64 KiB");
    if body.size_hint().lower() > LARGEST_BODY as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, LARGEST_BODY)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if error.source().is_some_and(|error| error.is::<LengthLimitError>()) => Err(too_large()),
        Ok(Err(_)) => Err(problem(StatusCode::BAD_REQUEST, "the body cannot be read")),
        Err(_) => Err(problem(StatusCode::REQUEST_TIMEOUT, "the body did not arrive")),
    }
}

pub(crate) fn credentials(headers: &HeaderMap) -> Credentials<'_> {
    let all = |name: HeaderName| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    Credentials {
        authorization: all(AUTHORIZATION),
        webhook_id: all(HeaderName::from_static("webhook-id")),
        webhook_timestamp: all(HeaderName::from_static("webhook-timestamp")),
        webhook_signature: all(HeaderName::from_static("webhook-signature")),
    }
}

/// One answer for every reason: a caller learns nothing of which part was right.
pub(crate) fn unauthorized() -> Response {
    let mut response = problem(StatusCode::UNAUTHORIZED, "valid credentials are needed");
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

pub(crate) fn method_not_allowed(allowed: &'static str) -> Response {
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "this path takes other methods");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

pub(crate) fn too_many(wait: Duration) -> Response {
    let mut response = problem(StatusCode::TOO_MANY_REQUESTS, "too many calls");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    response
}

/// An error as RFC 9457 has it. Without a type of its own, the title is the status's.
pub(crate) struct Problem {
    status: StatusCode,
    members: serde_json::Map<String, Value>,
}

impl Problem {
    /// What is wrong, in a sentence.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let Value::Object(members) =
            json!({"title": status.canonical_reason(), "status": status.as_u16(), "detail": detail.into()})
        else {
            unreachable!("an object is one")
        };
        Self { status, members }
    }

    /// And more of it.
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Value::Object(self.members).to_string();
        (self.status, [(CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        problem.into_response()
    }
}

fn problem(status: StatusCode, detail: &'static str) -> Response {
    Problem::new(status, detail).into_response()
}
