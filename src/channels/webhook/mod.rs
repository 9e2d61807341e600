//! Outgoing webhooks: sends one signed HTTP request (Standard Webhooks) to a subscriber's endpoint,
//! and classifies the answer.
//!
//! It reads only the status of an answer.

pub mod egress;
pub mod settings;

use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, USER_AGENT};
use axum::http::{Request, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use serde_json::Value;
use url::Url;

use crate::channels::Outcome;
use crate::channels::http_client::{HttpClient, PROGRAM};
use crate::channels::webhook::egress::{BoxError, Egress, EgressError};
use crate::primitives::errors::error_chain;
use crate::primitives::signature::{sign, signing_secret};
use crate::reminders::Reason;

/// Where a subscription's messages go, and the secret that signs them.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) secret: String,
    /// The database clock when the message was read, in seconds since 1970, and our clock at that
    /// time: the receiver checks the signature's age by its own clock.
    pub(crate) at: f64,
    pub(crate) read_at: Instant,
}

/// One message.
pub(crate) struct WebhookMessage<'a> {
    /// The receiver's `webhook-id`, the same for every attempt.
    pub(crate) message_id: &'a str,
    /// `type`, `timestamp` and `data`.
    pub(crate) body: &'a Value,
}

/// What a request shows about the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndpointState {
    /// It is there: 2xx, or 4xx other than 410, which is about the message.
    Alive,
    /// It is there and accepts nothing: any other status.
    Failing,
    /// Requests do not reach it, or are not answered.
    Unreached,
    /// It answered 410: it wants no more messages.
    Gone,
}

impl EndpointState {
    /// Whether other messages to this endpoint would fail, too.
    pub(crate) fn stops_page(self) -> bool {
        matches!(self, Self::Unreached | Self::Gone)
    }
}

/// Why there is no answer.
enum Unanswered {
    /// No request left.
    Connect(BoxError),
    /// The request may have been carried out.
    Request(hyper::Error),
}

/// Calls endpoints.
#[derive(Debug)]
pub(crate) struct WebhookClient {
    http: HttpClient,
}

impl WebhookClient {
    /// Calls the endpoints that `egress` allows.
    pub(crate) fn new(egress: Egress) -> Self {
        Self {
            http: HttpClient::new(egress),
        }
    }

    /// Sends one message, once, and waits `answer_time` for its answer.
    pub(crate) async fn send(
        &self,
        endpoint: &Endpoint,
        message: &WebhookMessage<'_>,
        answer_time: Duration,
    ) -> (Outcome, EndpointState) {
        let unreached = |reason, error: String| {
            let outcome = Outcome::NotSent { reason, error };
            (outcome, EndpointState::Unreached)
        };
        let request = match request(endpoint, message) {
            Ok(request) => request,
            Err(problem) => return unreached(Reason::BadSubscription, problem.to_owned()),
        };
        match tokio::time::timeout(answer_time, self.post(request)).await {
            Err(_) => unreached(Reason::NoAnswer, "no answer in time".to_owned()),
            Ok(Ok(status)) => meaning_of(status),
            Ok(Err(Unanswered::Connect(error))) => match error.downcast_ref::<EgressError>() {
                Some(refused) => unreached(Reason::ForbiddenTarget, refused.to_string()),
                None => unreached(Reason::NoConnection, error_chain(&*error)),
            },
            Ok(Err(Unanswered::Request(error))) => unreached(Reason::NoAnswer, error_chain(&error)),
        }
    }

    /// Sends one request over its own connection, and returns the status of the answer.
    async fn post(&self, request: Request<Full<Bytes>>) -> Result<StatusCode, Unanswered> {
        let connection = self.http.connect(request.uri()).await;
        let connection = connection.map_err(Unanswered::Connect)?;
        let answer = connection.send(request, 0).await;
        Ok(answer.map_err(Unanswered::Request)?.status())
    }
}

/// What an answer means. A message that is not accepted is sent again.
fn meaning_of(status: StatusCode) -> (Outcome, EndpointState) {
    let (reason, state) = match status {
        _ if status.is_success() => {
            return (
                Outcome::Sent {
                    message_id: None,
                    parts: None,
                },
                EndpointState::Alive,
            );
        }
        StatusCode::GONE => (Reason::Gone, EndpointState::Gone),
        _ if status.is_client_error() => (Reason::Refused, EndpointState::Alive),
        _ => (Reason::Refused, EndpointState::Failing),
    };
    let error = format!("HTTP {}", status.as_u16());
    (Outcome::NotSent { reason, error }, state)
}

/// The body of a message (Standard Webhooks, "Payload structure").
#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'a Value,
    timestamp: &'a Value,
    data: &'a Value,
}

/// The request for a message, signed with the current time.
fn request(
    endpoint: &Endpoint,
    message: &WebhookMessage<'_>,
) -> Result<Request<Full<Bytes>>, &'static str> {
    let secret = signing_secret(&endpoint.secret)?;
    let url = Url::parse(&endpoint.url).map_err(|_| "the URL is malformed")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL contains a user name or password");
    }
    let WebhookMessage { message_id, body } = message;
    let payload = Payload {
        r#type: &body["type"],
        timestamp: &body["timestamp"],
        data: &body["data"],
    };
    let payload = serde_json::to_vec(&payload).map_err(|_| "the message cannot be serialized")?;
    // By the database clock, as everywhere.
    let timestamp = ((endpoint.at + endpoint.read_at.elapsed().as_secs_f64()) as u64).to_string();
    Request::post(url.as_str())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, PROGRAM)
        .header("webhook-id", *message_id)
        .header("webhook-timestamp", &timestamp)
        .header(
            "webhook-signature",
            sign(&secret, message_id, &timestamp, &payload),
        )
        .body(Full::from(payload))
        .map_err(|_| "the URL cannot be called")
}
