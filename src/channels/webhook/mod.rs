//! Outgoing webhooks: sends one signed HTTP request (Standard Webhooks) to a subscriber's endpoint,
//! and classifies the answer.
//!
//! It opens a connection for each request, follows no redirects, keeps no cookies, uses no proxy
//! from the environment, and reads only the status of an answer.

pub mod egress;
pub mod settings;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use axum::http::uri::Scheme;
use axum::http::{HeaderValue, Request, StatusCode, Uri};
use futures_util::future::{self, Either};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

use crate::channels::Outcome;
use crate::channels::webhook::egress::{BoxError, Egress, EgressError};
use crate::primitives::errors::error_chain;
use crate::primitives::signature::{sign, signing_secret};
use crate::reminders::Reason;

/// Longest head of an answer, in bytes.
const LONGEST_HEAD: usize = 8 * 1024;

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

/// A connection, with TLS or without.
type Stream = tokio_util::either::Either<TcpStream, TlsStream<TcpStream>>;

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
    egress: Egress,
    /// Created for the first request: it reads all the system's certificate authorities.
    tls: OnceCell<Arc<ClientConfig>>,
}

impl WebhookClient {
    /// Calls the endpoints that `egress` allows.
    pub(crate) fn new(egress: Egress) -> Self {
        Self {
            egress,
            tls: OnceCell::new(),
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
    async fn post(&self, mut request: Request<Full<Bytes>>) -> Result<StatusCode, Unanswered> {
        let uri = std::mem::take(request.uri_mut());
        let stream = self.connect(&uri).await.map_err(Unanswered::Connect)?;
        // The form that servers expect: the host in `Host`, and only the path in the request line.
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let host =
            HeaderValue::from_str(host).map_err(|error| Unanswered::Connect(error.into()))?;
        request.headers_mut().insert(HOST, host);
        *request.uri_mut() = uri
            .path_and_query()
            .map_or_else(Uri::default, |path| path.clone().into());
        let mut http = http1::Builder::new();
        let (mut sender, connection) = http
            .max_buf_size(LONGEST_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Unanswered::Request)?;
        let (answer, connection) = (pin!(sender.send_request(request)), pin!(connection));
        let answer = match future::select(answer, connection).await {
            Either::Left((answer, _)) => answer,
            // The connection ended, with or without an answer.
            Either::Right((_, answer)) => answer.await,
        };
        Ok(answer.map_err(Unanswered::Request)?.status())
    }

    async fn connect(&self, uri: &Uri) -> Result<Stream, BoxError> {
        let stream = self.egress.connect(uri).await?;
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Ok(Stream::Left(stream));
        }
        let tls = self
            .tls
            .get_or_try_init(async || tls_config().map(Arc::new))
            .await?;
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        Ok(Stream::Right(
            TlsConnector::from(tls.clone())
                .connect(ServerName::try_from(host)?, stream)
                .await?,
        ))
    }
}

/// What an answer means. A message that is not accepted is sent again.
fn meaning_of(status: StatusCode) -> (Outcome, EndpointState) {
    let (reason, state) = match status {
        _ if status.is_success() => {
            return (Outcome::Sent { message_id: None }, EndpointState::Alive);
        }
        StatusCode::GONE => (Reason::Gone, EndpointState::Gone),
        _ if status.is_client_error() => (Reason::Refused, EndpointState::Alive),
        _ => (Reason::Refused, EndpointState::Failing),
    };
    let error = format!("HTTP {}", status.as_u16());
    (Outcome::NotSent { reason, error }, state)
}

/// TLS for HTTP/1.1, verified with the authorities that this machine trusts, as for SES
/// (`SSL_CERT_FILE` names others).
fn tls_config() -> Result<ClientConfig, rustls::Error> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
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
        .header(
            USER_AGENT,
            concat!("booking-automation/", env!("CARGO_PKG_VERSION")),
        )
        .header("webhook-id", *message_id)
        .header("webhook-timestamp", &timestamp)
        .header(
            "webhook-signature",
            sign(&secret, message_id, &timestamp, &payload),
        )
        .body(Full::from(payload))
        .map_err(|_| "the URL cannot be called")
}
