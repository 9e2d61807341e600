//! Reads the parts of a request that its checks need.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use http_body_util::LengthLimitError;

use crate::http::auth::Credentials;
use crate::http::problem::refuse;

/// Longest time for a call. The answer must come within 20 s, since external cron services give up
/// after 30 s. The difference is for recording a failure and sending the answer.
const CALL_TIME: Duration = Duration::from_secs(18);
/// Largest body, in bytes.
const LARGEST_BODY: usize = 64 * 1024;
/// How long a caller may take to send the body.
const BODY_TIME: Duration = Duration::from_secs(10);

/// When the process that answers will be stopped. A request extension, present on Lambda only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InvocationDeadline(pub(crate) Instant);

/// Set when a request has arrived whole: from then on, the caller waits for the program. A request
/// extension, present under `serve` only.
#[derive(Clone, Debug)]
pub(crate) struct Arrived(pub(crate) Arc<AtomicBool>);

/// When a request's work must be over.
pub(crate) fn deadline_of(request: &Request) -> Instant {
    let deadline = Instant::now() + CALL_TIME;
    request
        .extensions()
        .get::<InvocationDeadline>()
        .map_or(deadline, |InvocationDeadline(gone_at)| {
            deadline.min(*gone_at)
        })
}

/// Reads a request whole, its body within the limits of size and time.
pub(crate) async fn read_request(request: Request) -> Result<(Parts, Bytes), Response> {
    let (head, body) = request.into_parts();
    let body = read_body(body).await?;
    if let Some(Arrived(arrived)) = head.extensions.get() {
        arrived.store(true, Ordering::Release);
    }
    Ok((head, body))
}

async fn read_body(body: Body) -> Result<Bytes, Response> {
    let too_large = || {
        refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is larger than 64 KiB",
        )
    };
    if body.size_hint().lower() > LARGEST_BODY as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, LARGEST_BODY)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error))
            if error
                .source()
                .is_some_and(|error| error.is::<LengthLimitError>()) =>
        {
            Err(too_large())
        }
        Ok(Err(_)) => Err(refuse(StatusCode::BAD_REQUEST, "the body cannot be read")),
        Err(_) => Err(refuse(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time",
        )),
    }
}

/// The credentials that a request presents.
pub(crate) fn credentials_of(headers: &HeaderMap) -> Credentials<'_> {
    let all = |name: HeaderName| {
        headers
            .get_all(name)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect()
    };
    Credentials {
        authorization: all(AUTHORIZATION),
        webhook_id: all(HeaderName::from_static("webhook-id")),
        webhook_timestamp: all(HeaderName::from_static("webhook-timestamp")),
        webhook_signature: all(HeaderName::from_static("webhook-signature")),
    }
}
