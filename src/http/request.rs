//! What is read of a request before it is judged.

use std::error::Error;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use http_body_util::LengthLimitError;

use crate::http::auth::Credentials;
use crate::http::problem::problem;

/// A call must be over after this long, and answered within 20 s: external cron services give up at 30 s.
/// The rest is for a failure's record, and for the way back.
const CALL_TIME: Duration = Duration::from_secs(18);
/// Largest body, in bytes. Nothing is read from it; it is part of what is signed.
const LARGEST_BODY: usize = 64 * 1024;
/// How long a caller may take to send it.
const BODY_TIME: Duration = Duration::from_secs(10);

/// When the process that answers will be gone: an extension of the request, where there is such a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InvocationDeadline(pub(crate) Instant);

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

/// Reads a body, up to its limits of size and time.
pub(crate) async fn read_body(body: Body) -> Result<Bytes, Response> {
    let too_large = || problem(StatusCode::PAYLOAD_TOO_LARGE, "a body may have 64 KiB");
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
        Ok(Err(_)) => Err(problem(StatusCode::BAD_REQUEST, "the body cannot be read")),
        Err(_) => Err(problem(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive",
        )),
    }
}

/// What a request presents.
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
