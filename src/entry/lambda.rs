//! AWS Lambda: direct invocations (the scheduler's, providers' events, and `migrate`) here,
//! everything else through the HTTP routes. With `invocation`, the only module that knows
//! `lambda_http`.
//!
//! The request context tells which of the two an event is, and never its path: a direct invocation
//! arrives as `POST /events`, and any caller can send such a request. Lambda ignores the status of
//! an answer to a direct invocation, so that a failure must be an `Err` to become a *function
//! error*, which alarms and retries see.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::response::Response;
use futures_util::TryFutureExt;
use lambda_http::request::RequestContext;
use lambda_http::tower::ServiceExt;
use lambda_http::{Adapter, Body, Context, LambdaEvent, Request, RequestExt, Service, service_fn};
use lambda_runtime::Diagnostic;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::database::migrate::progress;
use crate::database::settings::DatabaseSettings;
use crate::database::{Database, migrate};
use crate::delivery::feedback::{self, Feedback, MalformedEvent};
use crate::delivery::replies::{Replier, ReplyOutcome};
use crate::delivery::{ses_events, sms_receipts, sms_replies};
use crate::entry::invocation::{Invocation, recordable};
use crate::http::settings::HttpSettings;
use crate::http::{self, InvocationDeadline};
use crate::operations::check::finding::MigrateOptions;
use crate::operations::migration;
use crate::primitives::call::Call;
use crate::tick::settings::PassSettings;
use crate::tick::trigger::{Scheduled, Trigger};
use crate::tick::{self, Automation};

pub use crate::entry::invocation::Event;

/// The part of an invocation's time that is kept for recording a failure and answering.
const MARGIN: Duration = Duration::from_secs(2);
/// A deadline that passed this long ago is ignored: `cargo lambda watch` sends ten minutes
/// after 1970.
const IMPOSSIBLY_LATE: Duration = Duration::from_secs(24 * 3600);
/// The time of an invocation that has no deadline.
const EMULATED_TIME: Duration = Duration::from_secs(55);

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

/// Answers invocations until Lambda stops the environment.
///
/// # Errors
/// When the runtime API cannot be reached.
pub async fn run(
    automation: Automation,
    database_settings: DatabaseSettings,
    pass_settings: PassSettings,
    http_settings: HttpSettings,
) -> anyhow::Result<()> {
    let service = service(automation, database_settings, pass_settings, http_settings);
    lambda_runtime::run(service)
        .await
        .map_err(anyhow::Error::from_boxed)
}

/// What answers one invocation.
pub fn service(
    automation: Automation,
    database_settings: DatabaseSettings,
    pass_settings: PassSettings,
    http_settings: HttpSettings,
) -> impl Service<LambdaEvent<Event>, Response: Serialize, Error = Diagnostic, Future: Send> {
    let automation = Arc::new(automation);
    let (calls, stop) = (TaskTracker::new(), CancellationToken::new());
    let routes = http::router(automation.clone(), http_settings, None, calls, stop);
    let function = Arc::new(Function {
        automation,
        database_settings,
        pass_settings,
        routes,
    });
    let mut adapter = Adapter::from(service_fn(move |request| {
        answer_invocation(function.clone(), request)
    }));
    service_fn(move |event: LambdaEvent<Event>| {
        adapter
            .call(LambdaEvent {
                payload: event.payload.0,
                context: event.context,
            })
            .map_err(Diagnostic::from)
    })
}

async fn answer_invocation(
    function: Arc<Function>,
    mut request: Request,
) -> Result<Response, FunctionError> {
    let deadline = invocation_deadline(&request.lambda_context());
    if matches!(
        request.request_context_ref(),
        Some(RequestContext::PassThrough)
    ) {
        let answer = invoke(function, request.body(), deadline).await?;
        return Ok(Response::new(axum::body::Body::from(answer.to_string())));
    }
    request
        .extensions_mut()
        .insert(InvocationDeadline(deadline));
    function
        .routes
        .clone()
        .oneshot(request)
        .await
        .map_err(|never| match never {})
}

/// When the invocation's work must be over.
fn invocation_deadline(context: &Context) -> Instant {
    let (deadline, now) = (context.deadline(), SystemTime::now());
    let left = match deadline + IMPOSSIBLY_LATE < now {
        true => EMULATED_TIME,
        false => deadline.duration_since(now).unwrap_or_default(),
    };
    Instant::now() + left.saturating_sub(MARGIN)
}

async fn invoke(
    function: Arc<Function>,
    payload: &Body,
    deadline: Instant,
) -> Result<Value, FunctionError> {
    if deadline <= Instant::now() {
        let message = "the invocation has no time left: give the function a longer time-out";
        return Err(FunctionError::new("NoTime", message));
    }
    let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
    if let Some(parse) = parser_of(&payload) {
        return record_provider_event(&function, parse(&payload), deadline).await;
    }
    if payload["Records"][0]["EventSource"] == sms_replies::SOURCE {
        return handle_replies(&function, &payload, deadline).await;
    }
    match Invocation::parse(payload) {
        Some(Invocation::Schedule {
            scheduled_time,
            execution_id,
            attempt,
        }) => {
            let trigger = Trigger::Schedule(Scheduled {
                time: recordable(scheduled_time),
                execution_id: recordable(execution_id),
                attempt: recordable(attempt),
            });
            let summary = tick::run(&function.automation, &trigger, &Call::until(deadline)).await;
            Ok(json!(summary.map_err(|error| FunctionError::new(
                "PassFailed",
                error
            ))?))
        }
        Some(Invocation::Migrate(options)) => {
            migrate_on_a_thread(function, options, deadline).await
        }
        None => Err(FunctionError::new(
            "UnknownPayload",
            "the function does not know this payload; it takes \
             {\"trigger\":\"schedule\"}, optionally with scheduled_time, execution_id and attempt; \
             {\"trigger\":\"migrate\"}, optionally with no_probe, no_columns and \
             create_base_tables; an EventBridge event with \"source\":\"aws.ses\" or \
             \"aws.sms-voice\"; an SNS event with replies to SMS; a request of a function URL or \
             an HTTP API",
        )),
    }
}

/// What reads the events of a provider.
type EventParser = fn(&Value) -> Result<Option<Feedback>, MalformedEvent>;

/// `None`: a payload of another kind.
fn parser_of(payload: &Value) -> Option<EventParser> {
    match payload["source"].as_str()? {
        ses_events::SOURCE => Some(ses_events::parse),
        sms_receipts::SOURCE => Some(sms_receipts::parse),
        _ => None,
    }
}

/// Records an event of a provider. It runs no pass.
async fn record_provider_event(
    function: &Function,
    event: Result<Option<Feedback>, MalformedEvent>,
    deadline: Instant,
) -> Result<Value, FunctionError> {
    let event = event.map_err(|error| FunctionError::new("MalformedEvent", error))?;
    let database = function.automation.database();
    let recorded = feedback::record_provider_event(database, event.as_ref(), deadline).await;
    Ok(json!(recorded.map_err(|error| FunctionError::new(
        "EventNotRecorded",
        error.loggable()
    ))?))
}

/// Records replies to SMS, and answers them. It runs no pass.
async fn handle_replies(
    function: &Function,
    event: &Value,
    deadline: Instant,
) -> Result<Value, FunctionError> {
    let replies = sms_replies::parse(event);
    let replies = replies.map_err(|error| FunctionError::new("MalformedEvent", error))?;
    let replier = Replier {
        database: function.automation.database(),
        texter: function.automation.texter(),
        messages: function.automation.messages(),
        until: deadline,
    };
    let mut outcomes = Vec::new();
    for reply in &replies {
        let outcome = match reply {
            Some(reply) => replier.handle(reply).await,
            None => Ok(ReplyOutcome::NOT_OURS),
        };
        outcomes.push(
            outcome.map_err(|error| FunctionError::new("EventNotRecorded", error.loggable()))?,
        );
    }
    Ok(json!({"replies": outcomes}))
}

/// On a thread of its own: the compiler cannot see that its async closures are Send.
async fn migrate_on_a_thread(
    function: Arc<Function>,
    options: MigrateOptions,
    deadline: Instant,
) -> Result<Value, FunctionError> {
    let (runtime, span) = (tokio::runtime::Handle::current(), tracing::Span::current());
    tokio::task::spawn_blocking(move || {
        runtime.block_on(migrate(&function, options, deadline).instrument(span))
    })
    .await
    .map_err(|error| FunctionError::new("MigrationFailed", error))?
}

/// Applies the migrations, and previews the first pass.
async fn migrate(
    function: &Function,
    options: MigrateOptions,
    deadline: Instant,
) -> Result<Value, FunctionError> {
    let failed = |error: &dyn std::fmt::Display| FunctionError::new("MigrationFailed", error);
    let database = Database::new(&function.database_settings, migrate::CONNECTIONS)
        .map_err(|error| failed(&error))?;
    let mut steps = Vec::new();
    let report = |step: &str| {
        tracing::info!("done: {step}");
        steps.push(step.to_owned());
    };
    match tokio::time::timeout_at(
        deadline.into(),
        progress::watched(
            &function.database_settings,
            progress::INTERVAL,
            migration::check_and_migrate(&database, options, Some(deadline), report),
        ),
    )
    .await
    {
        Ok(migrated) => migrated.map_err(|error| failed(&error))?,
        Err(_) => {
            return Err(failed(
                &"the invocation ran out of time; the finished steps stay: invoke it again, \
                 with a longer time-out of the function if it stops again at the same step",
            ));
        }
    }
    let preview = tick::dry_run(&database, &function.pass_settings, &Call::until(deadline)).await;
    let preview = preview.map_err(|error| {
        failed(&format!(
            "the schema is up to date, but the first pass cannot be previewed: {error}"
        ))
    })?;
    Ok(json!({"outcome": "migrated", "steps": steps, "first_pass": preview}))
}

/// A function error.
#[derive(Debug)]
struct FunctionError {
    kind: &'static str,
    message: String,
}

impl FunctionError {
    /// Logs the error here, once, at the boundary.
    fn new(kind: &'static str, message: impl ToString) -> Self {
        let message = message.to_string();
        tracing::error!(error.kind = kind, "{message}");
        Self { kind, message }
    }
}

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        Self {
            error_type: error.kind.to_owned(),
            error_message: error.message,
        }
    }
}
