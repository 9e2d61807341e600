//! A stand-in for the Lambda Runtime API, and an instance of the function that uses it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as Segment, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::app::App;

/// The result of an invocation: the answer or the function error.
pub type Outcome = Result<Value, Value>;

struct Invocation {
    id: String,
    payload: Vec<u8>,
    deadline_ms: u128,
}

struct Shared {
    waiting: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    outcomes: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
}

/// A function's instance: one process, one invocation at a time.
pub struct Instance {
    process: Child,
    /// How many seconds its clock is ahead.
    ahead: i64,
    _server: AbortOnDropHandle<std::io::Result<()>>,
    invocations: mpsc::UnboundedSender<Invocation>,
    shared: Arc<Shared>,
    log: tokio::task::JoinHandle<String>,
}

impl Instance {
    /// Starts the program under test.
    pub async fn start(app: &App) -> Self {
        Self::start_program(app, Path::new(env!("CARGO_BIN_EXE_booking-automation"))).await
    }

    /// Starts a program in an environment like Lambda's.
    pub async fn start_program(app: &App, program: &Path) -> Self {
        Self::start_in_environment(&app.env, program, 0).await
    }

    /// Starts a program with this environment and Lambda's, and with a clock that is ahead by so
    /// many seconds.
    pub async fn start_in_environment(
        environment: &BTreeMap<&'static str, String>,
        program: &Path,
        ahead: i64,
    ) -> Self {
        let (invocations, waiting) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            waiting: tokio::sync::Mutex::new(waiting),
            outcomes: Mutex::default(),
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route(
                "/2018-06-01/runtime/invocation/{id}/response",
                post(respond),
            )
            .route("/2018-06-01/runtime/invocation/{id}/error", post(fail))
            .with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server =
            AbortOnDropHandle::new(tokio::spawn(
                async move { axum::serve(listener, router).await },
            ));
        let mut process = Command::new(program)
            .env_clear()
            .envs(environment)
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", address.to_string().as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", "booking-automation"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stderr = process.stderr.take().unwrap();
        let log = tokio::spawn(async move {
            let mut log = String::new();
            let _ = stderr.read_to_string(&mut log).await;
            log
        });
        Self {
            process,
            ahead,
            _server: server,
            invocations,
            shared,
            log,
        }
    }

    /// Invokes the function with a deadline in a minute.
    pub async fn invoke(&self, payload: &Value) -> Outcome {
        self.invoke_within(Duration::from_secs(60), payload.to_string().into_bytes())
            .await
    }

    /// Invokes the function with a deadline after `time`.
    pub async fn invoke_within(&self, time: Duration, payload: Vec<u8>) -> Outcome {
        let id = Uuid::new_v4().to_string();
        let (sender, outcome) = oneshot::channel();
        self.shared
            .outcomes
            .lock()
            .unwrap()
            .insert(id.clone(), sender);
        // The deadline uses the clock of the instance.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let deadline_ms = (now + time)
            .as_millis()
            .saturating_add_signed(i128::from(self.ahead) * 1000);
        self.invocations
            .send(Invocation {
                id,
                payload,
                deadline_ms,
            })
            .unwrap_or_else(|_| panic!("the instance has ended"));
        tokio::time::timeout(time + Duration::from_secs(30), outcome)
            .await
            .expect("an outcome in time")
            .unwrap()
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.process.id().unwrap()
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: &str) {
        crate::app::signal(&self.process, signal);
    }

    /// Waits until the process ends; returns whether it succeeded, and its log.
    pub async fn wait_for_exit(mut self) -> (bool, String) {
        let status = self.process.wait().await.unwrap();
        (status.success(), self.log.await.unwrap())
    }

    /// Its exit status, if it has ended.
    pub fn try_exit_status(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().unwrap()
    }

    /// Kills the instance, as Lambda does; returns its log.
    pub async fn kill(mut self) -> String {
        self.process.kill().await.unwrap();
        self.log.await.unwrap()
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let Some(invocation) = shared.waiting.lock().await.recv().await else {
        std::future::pending().await
    };
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", invocation.id),
        (
            "Lambda-Runtime-Deadline-Ms",
            invocation.deadline_ms.to_string(),
        ),
        (
            "Lambda-Runtime-Invoked-Function-Arn",
            "arn:aws:lambda:eu-central-1:123456789012:function:x".to_owned(),
        ),
        (
            "Lambda-Runtime-Trace-Id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700".to_owned(),
        ),
    ];
    (headers, invocation.payload)
}

async fn respond(
    State(shared): State<Arc<Shared>>,
    Segment(id): Segment<String>,
    body: Bytes,
) -> StatusCode {
    complete_invocation(&shared, &id, Ok(serde_json::from_slice(&body).unwrap()))
}

async fn fail(
    State(shared): State<Arc<Shared>>,
    Segment(id): Segment<String>,
    body: Bytes,
) -> StatusCode {
    complete_invocation(&shared, &id, Err(serde_json::from_slice(&body).unwrap()))
}

fn complete_invocation(shared: &Shared, id: &str, outcome: Outcome) -> StatusCode {
    if let Some(sender) = shared.outcomes.lock().unwrap().remove(id) {
        let _ = sender.send(outcome);
    }
    StatusCode::ACCEPTED
}
