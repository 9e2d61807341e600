//! Errors over HTTP: `application/problem+json` (RFC 9457). They never carry SQL, addresses or
//! secrets.

use std::fmt::Display;
use std::time::Duration;

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::http::refusals::log_refusal;
use crate::tick::error::PassError;

/// A problem of RFC 9457. It has no `type`, so its title is that of the HTTP status.
pub(crate) struct Problem {
    status: StatusCode,
    members: serde_json::Map<String, Value>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// `detail` says in a sentence what is wrong.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let Value::Object(members) = json!({
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": detail.into()
        }) else {
            unreachable!("an object is one")
        };
        Self {
            status,
            members,
            retry_after: None,
        }
    }

    /// Adds a member.
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// Says when the caller may try again.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Value::Object(self.members).to_string();
        let content_type = [(CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, content_type, body).into_response();
        if let Some(wait) = self.retry_after {
            let seconds = HeaderValue::from(wait.as_secs());
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        problem.into_response()
    }
}

/// A problem without further members.
pub(crate) fn problem(status: StatusCode, detail: &'static str) -> Response {
    Problem::new(status, detail).into_response()
}

/// The answer to a call that does not pass the checks, which is logged.
pub(crate) fn refuse(status: StatusCode, detail: &'static str) -> Response {
    log_refusal(status, detail);
    problem(status, detail)
}

/// The answer is the same for every reason, so a caller does not learn which part was wrong. The
/// log names the reason.
pub(crate) fn unauthorized(reason: impl Display) -> Response {
    log_refusal(StatusCode::UNAUTHORIZED, reason);
    let mut response = problem(StatusCode::UNAUTHORIZED, "valid credentials are needed");
    response
        .headers_mut()
        .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// `allowed` lists the methods of the path.
pub(crate) fn method_not_allowed(allowed: &'static str) -> Response {
    let mut response = refuse(
        StatusCode::METHOD_NOT_ALLOWED,
        "the path does not support this method",
    );
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The caller may try again after `wait`.
pub(crate) fn too_many_requests(wait: Duration) -> Response {
    let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, "too many calls");
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    response
}

/// The answer when a pass fails.
pub(crate) fn pass_failed(error: &PassError) -> Response {
    tracing::error!("{error}");
    let detail = match error {
        PassError::SchemaMissing => "the database has not been migrated",
        PassError::Changed(_) => "the table of the bookings has changed; the log says how",
        PassError::RowSecurity => "the database hides bookings from this program; the log says why",
        PassError::HiddenRows { .. } => {
            "the database hides people from this program; the log says why"
        }
        PassError::LockHeld { .. } => {
            "no pass was committed for too long: another session holds the pass's lock; the log \
             names it"
        }
        PassError::Database(_) => "the pass failed and changed nothing; the log says why",
        PassError::Unsettled(_) => "whether the pass was committed is not known; the log says why",
    };
    problem(StatusCode::SERVICE_UNAVAILABLE, detail)
}
