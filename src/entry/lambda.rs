//! AWS Lambda: direct invocations (the scheduler's, SES's events, and `migrate`) here, everything else through the HTTP
//! routes. The only module that knows `lambda_http`.
//!
//! Which of the two an event is, its request context says, never its path: a direct invocation arrives as
//! `POST /events`, and so may a request of anybody's. The answer's status is thrown away on that way, so that
//! a failure must be an `Err` to become a *function error*, which alarms and retries see.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use base64::prelude::{BASE64_STANDARD, Engine};
use futures_util::TryFutureExt;
use lambda_http::lambda_runtime::{self, Diagnostic};
use lambda_http::request::LambdaRequest;
use lambda_http::request::RequestContext;
use lambda_http::tower::ServiceExt;
use lambda_http::{Adapter, Body, Context, LambdaEvent, Request, RequestExt, Service, service_fn};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::config::{AdminTokens, CronSecrets, DatabaseSettings, PassSettings};
use crate::database::Database;
use crate::database::migrate;
use crate::delivery::feedback;
use crate::http::api;
use crate::http::{self, GoneAt};
use crate::tick::call::{Call, Cause, Scheduled};
use crate::tick::{self, Automation};

/// What is left of an invocation's time for a failure's record and the way back.
const MARGIN: Duration = Duration::from_secs(2);
/// A deadline that was passed this long ago is none: `cargo lambda watch` tells ten minutes after 1970.
const IMPOSSIBLY_LATE: Duration = Duration::from_secs(24 * 3600);
/// The time of an invocation that has no deadline.
const EMULATED_TIME: Duration = Duration::from_secs(55);
/// Longest path, and longest query, that is looked at, in bytes: no route's is near it.
const LONGEST_PATH: usize = 1000;
/// Longest text that is recorded of what the scheduler says of itself, in characters.
const LONGEST_NOTE: usize = 200;

/// Whether this process is a Lambda function's.
pub fn is_here() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// What the function works with.
struct Function {
    automation: Arc<Automation>,
    database_settings: DatabaseSettings,
    pass_settings: PassSettings,
    routes: Router,
}

/// Answers invocations until the environment is taken down.
///
/// # Errors
/// When the runtime API cannot be reached.
pub async fn run(
    automation: Automation,
    database_settings: DatabaseSettings,
    pass_settings: PassSettings,
    secrets: CronSecrets,
    tokens: AdminTokens,
) -> anyhow::Result<()> {
    let service = service(automation, database_settings, pass_settings, secrets, tokens);
    lambda_runtime::run(service).await.map_err(anyhow::Error::from_boxed)
}

/// What answers one invocation.
pub fn service(
    automation: Automation,
    database_settings: DatabaseSettings,
    pass_settings: PassSettings,
    secrets: CronSecrets,
    tokens: AdminTokens,
) -> impl Service<LambdaEvent<Event>, Response: Serialize, Error = Diagnostic, Future: Send> {
    let automation = Arc::new(automation);
    let admin = api::routes(automation.clone(), tokens, None);
    let routes = http::router(automation.clone(), secrets, admin, TaskTracker::new(), CancellationToken::new());
    let function = Arc::new(Function { automation, database_settings, pass_settings, routes });
    let mut adapter = Adapter::from(service_fn(move |request| answer(function.clone(), request)));
    service_fn(move |event: LambdaEvent<Event>| {
        adapter.call(LambdaEvent { payload: event.payload.0, context: event.context }).map_err(Diagnostic::from)
    })
}

/// An event that `lambda_http` can make a request of. It panics on a query, path, host or stage that makes no URI, or one
/// that is too long, on an odd cookie, and on a body that is said to be base64 and is not. The routes need no such, and
/// whoever sends them has shown no credentials yet.
#[derive(Debug)]
pub struct Event(LambdaRequest);

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut event = Value::deserialize(deserializer)?;
        // One in the form of a list would be read, too, member by member. It is no request's, and nothing else of ours has one.
        if event.get("requestContext").is_some_and(|context| !context.is_object()) {
            event = Value::Null;
        }
        if let Some(request) = event.as_object_mut().filter(|event| event.contains_key("requestContext")) {
            for unused in ["queryStringParameters", "cookies"] {
                request.remove(unused);
            }
            let plain = |query: &str| {
                query.len() <= LONGEST_PATH
                    && query.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~=&+%:,".contains(&byte))
            };
            // One that is not is no query that a route knows.
            if !request.get("rawQueryString").is_none_or(|query| query.as_str().is_some_and(plain)) {
                request.insert("rawQueryString".to_owned(), "-".into());
            }
            if let Some(headers) = request.get_mut("headers").and_then(Value::as_object_mut) {
                headers.retain(|name, value| {
                    !["host", "x-forwarded-proto"].contains(&&name.to_ascii_lowercase()[..])
                        && HeaderName::from_bytes(name.as_bytes()).is_ok()
                        && value.as_str().is_some_and(|value| HeaderValue::from_str(value).is_ok())
                });
            }
            if let Some(context) = request.get_mut("requestContext").and_then(Value::as_object_mut) {
                for unused in ["domainName", "stage"] {
                    context.remove(unused);
                }
            }
            let plain = |path: &str| {
                path.starts_with('/')
                    && path.len() <= LONGEST_PATH
                    && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._".contains(&byte))
            };
            if !request.get("rawPath").and_then(Value::as_str).is_some_and(plain) {
                request.insert("rawPath".to_owned(), "/-".into());
            }
            if request.get("body").and_then(Value::as_str).is_none_or(|body| BASE64_STANDARD.decode(body).is_err()) {
                request.insert("isBase64Encoded".to_owned(), false.into());
            }
        }
        serde_json::from_value(event).map(Self).map_err(D::Error::custom)
    }
}

async fn answer(function: Arc<Function>, mut request: Request) -> Result<Response, Failure> {
    let gone_at = gone_at(&request.lambda_context());
    if matches!(request.request_context_ref(), Some(RequestContext::PassThrough)) {
        let answer = invoke(function, request.body(), gone_at).await?;
        return Ok(Response::new(axum::body::Body::from(answer.to_string())));
    }
    request.extensions_mut().insert(GoneAt(gone_at));
    function.routes.clone().oneshot(request).await.map_err(|never| match never {})
}

/// When the invocation's work must be over.
fn gone_at(context: &Context) -> Instant {
    let (deadline, now) = (context.deadline(), SystemTime::now());
    let left =
        if deadline + IMPOSSIBLY_LATE < now { EMULATED_TIME } else { deadline.duration_since(now).unwrap_or_default() };
    Instant::now() + left.saturating_sub(MARGIN)
}

/// The payloads of a direct invocation.
#[derive(Deserialize)]
#[serde(tag = "trigger", rename_all = "snake_case", deny_unknown_fields)]
enum Invocation {
    Schedule {
        #[serde(default)]
        scheduled_time: Value,
        #[serde(default)]
        execution_id: Value,
        #[serde(default)]
        attempt: Value,
    },
    Migrate {},
}

async fn invoke(function: Arc<Function>, payload: &Body, gone_at: Instant) -> Result<Value, Failure> {
    if gone_at <= Instant::now() {
        return Err(Failure::new("NoTime", "the invocation has no time left: give the function a longer time-out"));
    }
    let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
    if payload["source"] == "aws.ses" {
        return hear(&function, &payload, gone_at).await;
    }
    // Serde would take `["schedule"]` for `{"trigger":"schedule"}`.
    let invocation = Some(payload).filter(Value::is_object).and_then(|payload| serde_json::from_value(payload).ok());
    match invocation {
        Some(Invocation::Schedule { scheduled_time, execution_id, attempt }) => {
            let scheduled =
                Scheduled { time: note(scheduled_time), execution_id: note(execution_id), attempt: note(attempt) };
            let call = Call::new(Cause::Schedule(scheduled), gone_at);
            let summary =
                tick::run(&function.automation, &call).await.map_err(|error| Failure::new("PassFailed", error))?;
            Ok(json!(summary))
        }
        // On a thread of its own: the compiler cannot see that its async closures are Send.
        Some(Invocation::Migrate {}) => {
            let (runtime, span) = (tokio::runtime::Handle::current(), tracing::Span::current());
            tokio::task::spawn_blocking(move || runtime.block_on(migrate(&function, gone_at).instrument(span)))
                .await
                .map_err(|error| Failure::new("MigrationFailed", error))?
        }
        None => Err(Failure::new(
            "UnknownPayload",
            "the payload is none that this function takes: \
             {\"trigger\":\"schedule\"}, with scheduled_time, execution_id and attempt if need be; \
             {\"trigger\":\"migrate\"}; an event of EventBridge with \"source\":\"aws.ses\"; \
             a request of a function URL or an HTTP API",
        )),
    }
}

/// Records what SES says of a message. It runs no pass.
async fn hear(function: &Function, event: &Value, gone_at: Instant) -> Result<Value, Failure> {
    let feedback = feedback::parse(event).map_err(|error| Failure::new("MalformedEvent", error))?;
    let recorded = feedback::record(function.automation.database(), feedback.as_ref(), gone_at)
        .await
        .map_err(|error| Failure::new("EventNotRecorded", error.loggable()))?;
    Ok(json!(recorded))
}

/// A text that PostgreSQL takes, whatever came.
fn note(value: Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text,
        other => other.to_string(),
    };
    Some(text.chars().filter(|character| *character != '\0').take(LONGEST_NOTE).collect())
}

/// Applies the migrations, and tells what the first pass would do.
async fn migrate(function: &Function, gone_at: Instant) -> Result<Value, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new("MigrationFailed", error);
    let database = Database::new(&function.database_settings, migrate::CONNECTIONS).map_err(|error| failed(&error))?;
    let mut steps = Vec::new();
    let report = |step: &str| {
        tracing::info!("done: {step}");
        steps.push(step.to_owned());
    };
    match tokio::time::timeout_at(gone_at.into(), migrate::migrate(&database, Some(gone_at), report)).await {
        Ok(migrated) => migrated.map_err(|error| failed(&error))?,
        Err(_) => {
            return Err(failed(
                &"the invocation's time is over; what was done stays: invoke again, \
                 with a longer time-out of the function if it happens again at the same step",
            ));
        }
    }
    let call = Call::new(Cause::Cli, gone_at);
    let preview = tick::dry_run(&database, &function.pass_settings, &call).await.map_err(|error| {
        failed(&format!("the schema is up to date, but the first pass cannot be previewed: {error}"))
    })?;
    Ok(json!({"outcome": "migrated", "steps": steps, "first_pass": preview}))
}

/// A function error.
#[derive(Debug)]
struct Failure {
    kind: &'static str,
    message: String,
}

impl Failure {
    /// Logged here, once, at the boundary.
    fn new(kind: &'static str, message: impl ToString) -> Self {
        let message = message.to_string();
        tracing::error!(error.kind = kind, "{message}");
        Self { kind, message }
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self { error_type: failure.kind.to_owned(), error_message: failure.message }
    }
}
