//! What each answer of FCM means for the message and for the device, in one table.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{DATE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, Response};
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::channels::Outcome;
use crate::primitives::errors::{redact_addresses, shortened};
use crate::reminders::Reason;

/// The longest wait that FCM may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
/// The detail that FCM itself adds to an error. Others come from Google's gateway, which knows no
/// tokens.
const FCM_ERROR: &str = "google.firebase.fcm.v1.FcmError";

/// The outcome of one request for one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceOutcome {
    pub(crate) outcome: Outcome,
    /// The app is no longer on the device, or was never: forget the token.
    pub(crate) is_gone: bool,
    /// How long FCM asks to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl From<Outcome> for DeviceOutcome {
    /// The device's token is kept.
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            is_gone: false,
            retry_after: None,
        }
    }
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// The device has no app that is registered under this token.
    Gone,
    /// Never to this device, as long as the credentials are these.
    OtherSender,
    /// Not sent, and never will be: the message is at fault, or the token if FCM says so.
    Never,
    /// Not sent; later.
    Later,
    /// Not sent: the access token is not accepted, and another one may be.
    NoAccess,
    /// The project cannot send now.
    AccountWide,
    /// The request may have been carried out.
    Unknown,
}

/// FCM's error codes (REST reference of FCM v1, `ErrorCode`) and Google's own. The first line
/// matches whose status is the answer's and whose code is that of its details (`*`: any). A code
/// is missing where the answer is not FCM's: a 404 is then about the URL or the project, not about
/// the device. Texts do not decide: that of `THIRD_PARTY_AUTH_ERROR` may be the one of a missing
/// access token. The one exception is a 400 that names the token.
const ANSWERS: &[(u16, &str, Meaning)] = &[
    (400, "*", Meaning::Never),
    // The project's key of APNs or of web push.
    (401, "THIRD_PARTY_AUTH_ERROR", Meaning::AccountWide),
    (401, "*", Meaning::NoAccess),
    (403, "SENDER_ID_MISMATCH", Meaning::OtherSender),
    (403, "*", Meaning::AccountWide),
    (404, "UNREGISTERED", Meaning::Gone),
    (404, "*", Meaning::AccountWide),
    (413, "*", Meaning::Never),
    (429, "*", Meaning::Later),
    // Of FCM, or of Google's own front. Another gateway may have lost the answer.
    (503, "UNAVAILABLE", Meaning::Later),
];

/// Classifies an answer. Anything not listed is an unknown outcome. `now` counts where the answer
/// has no date.
pub(super) fn classify(answer: &Response<Bytes>, token: &str, now: DateTime<Utc>) -> DeviceOutcome {
    if answer.status().is_success() {
        return accepted(answer).into();
    }
    let refusal = Refusal::read(answer);
    let (meaning, error) = (refusal.meaning(), refusal.text(token));
    let rejected = |reason, error| Outcome::Rejected { reason, error };
    let (account, throttled) = (Reason::Account, Reason::Throttled);
    let outcome = match meaning {
        Meaning::Gone => rejected(Reason::NoDevice, error),
        Meaning::OtherSender => rejected(Reason::OtherSender, error),
        Meaning::Never => rejected(Reason::Rejected, error),
        Meaning::Later => Outcome::NotSent {
            reason: throttled,
            error,
        },
        Meaning::NoAccess => Outcome::NotSent {
            reason: account,
            error,
        },
        Meaning::AccountWide => Outcome::AccountWide {
            reason: account,
            error,
        },
        Meaning::Unknown => Outcome::Unknown { error },
    };
    DeviceOutcome {
        outcome,
        is_gone: meaning == Meaning::Gone,
        retry_after: (meaning == Meaning::Later)
            .then(|| retry_after(answer.headers(), now))
            .flatten(),
    }
}

/// Whether the access token was refused.
pub(super) fn refuses_access(answer: &Response<Bytes>) -> bool {
    Refusal::read(answer).meaning() == Meaning::NoAccess
}

/// A message that FCM took.
fn accepted(answer: &Response<Bytes>) -> Outcome {
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    match body["name"].as_str().filter(|name| !name.is_empty()) {
        Some(name) => Outcome::Sent {
            message_id: Some(name.to_owned()),
            parts: None,
        },
        None => Outcome::Unknown {
            error: "the answer has no message id".to_owned(),
        },
    }
}

/// An answer with another status than 2xx.
struct Refusal {
    status: u16,
    /// `errorCode` of the details.
    code: Option<String>,
    /// The details have an error of FCM's.
    is_of_fcm: bool,
    /// The status in words: `NOT_FOUND`.
    name: String,
    message: String,
}

impl Refusal {
    fn read(answer: &Response<Bytes>) -> Self {
        let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let error = &body["error"];
        let text = |name| error[name].as_str().unwrap_or_default().to_owned();
        let details = error["details"].as_array().map_or(&[][..], Vec::as_slice);
        let is_of_fcm = |detail: &Value| {
            let kind = detail["@type"].as_str();
            kind.is_some_and(|kind| kind.ends_with(FCM_ERROR))
        };
        Self {
            status: answer.status().as_u16(),
            code: (details.iter())
                .find_map(|detail| detail["errorCode"].as_str())
                .map(str::to_owned),
            is_of_fcm: details.iter().any(is_of_fcm),
            name: text("status"),
            message: text("message"),
        }
    }

    fn meaning(&self) -> Meaning {
        let code = match (self.status, &self.code) {
            // Google's front has no codes.
            (503, None) => Some(&self.name),
            (_, code) => code.as_ref(),
        };
        let line = (ANSWERS.iter()).find(|(status, known, _)| {
            *status == self.status && (*known == "*" || code.is_some_and(|code| code == known))
        });
        match line {
            Some((400, ..)) if self.is_about_token() => Meaning::Gone,
            Some((_, _, meaning)) => *meaning,
            None => Meaning::Unknown,
        }
    }

    /// Any wrong message has the same status and code as a wrong token. Only FCM's own words tell
    /// them apart, and a token that is forgotten by mistake is lost.
    fn is_about_token(&self) -> bool {
        self.is_of_fcm && self.message.to_lowercase().contains("registration token")
    }

    /// For people, without the token and without addresses.
    fn text(&self, token: &str) -> String {
        let mut text = format!("HTTP {}", self.status);
        let code = self.code.as_ref().unwrap_or(&self.name);
        for (before, part) in [(" ", code), (": ", &self.message)] {
            if !part.is_empty() {
                text.push_str(before);
                text.push_str(part);
            }
        }
        shortened(redact_addresses(&without(&text, token)))
    }
}

/// The text without the token in it.
fn without(text: &str, token: &str) -> String {
    match token.is_empty() {
        true => text.to_owned(),
        false => text.replace(token, "…"),
    }
}

/// How long FCM asks to wait: seconds, or a date (RFC 9110, 10.2.3). The answer's own date is of
/// the same clock.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let date = |text: &str| DateTime::parse_from_rfc2822(text).ok();
    let asked = text(RETRY_AFTER)?.trim();
    let wait = match asked.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let now = text(DATE).and_then(date).unwrap_or_else(|| now.into());
            // One that has passed is no wait.
            (date(asked)? - now).to_std().unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}
