//! The shape of Lambda's events: requests of a function URL or an HTTP API, made fit for
//! `lambda_http`, and the payloads of a direct invocation.

use axum::http::{HeaderName, HeaderValue};
use base64::prelude::{BASE64_STANDARD, Engine};
use lambda_http::request::LambdaRequest;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::operations::check::finding::MigrateOptions;

/// Longest path, and longest query, in bytes; no route needs that many.
const LONGEST_PATH: usize = 1000;
/// Longest text that is recorded from the scheduler's payload, in characters.
const LONGEST_NOTE: usize = 200;

/// An event that `lambda_http` can turn into a request. It panics on a query, path, host or stage
/// that makes no URI, or one that is too long, on an odd cookie, and on a body that claims to be
/// base64 and is not. The routes need none of these, and the sender is not authenticated yet.
#[derive(Debug)]
pub struct Event(pub(crate) LambdaRequest);

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut event = Value::deserialize(deserializer)?;
        // Serde would also accept a list as the context. No real request has one.
        if event
            .get("requestContext")
            .is_some_and(|context| !context.is_object())
        {
            event = Value::Null;
        }
        if let Some(request) = event
            .as_object_mut()
            .filter(|event| event.contains_key("requestContext"))
        {
            make_harmless(request);
        }
        serde_json::from_value(event)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// Removes or replaces the parts that make `lambda_http` panic.
fn make_harmless(request: &mut Map<String, Value>) {
    for unused in ["queryStringParameters", "cookies"] {
        request.remove(unused);
    }
    let is_text = |value: Option<&Value>, plain: fn(&str) -> bool| {
        value.and_then(Value::as_str).is_some_and(plain)
    };
    // No route uses a query or path with unusual characters.
    if request.contains_key("rawQueryString")
        && !is_text(request.get("rawQueryString"), is_plain_query)
    {
        request.insert("rawQueryString".to_owned(), "-".into());
    }
    if !is_text(request.get("rawPath"), is_plain_path) {
        request.insert("rawPath".to_owned(), "/-".into());
    }
    if let Some(headers) = request.get_mut("headers").and_then(Value::as_object_mut) {
        headers.retain(|name, value| is_usable_header(name, value));
    }
    if let Some(context) = request
        .get_mut("requestContext")
        .and_then(Value::as_object_mut)
    {
        for unused in ["domainName", "stage"] {
            context.remove(unused);
        }
    }
    if !is_text(request.get("body"), |body| {
        BASE64_STANDARD.decode(body).is_ok()
    }) {
        request.insert("isBase64Encoded".to_owned(), false.into());
    }
}

fn is_plain_query(query: &str) -> bool {
    query.len() <= LONGEST_PATH
        && query
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~=&+%:,".contains(&byte))
}

fn is_plain_path(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= LONGEST_PATH
        && path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/-._".contains(&byte))
}

fn is_usable_header(name: &str, value: &Value) -> bool {
    !["host", "x-forwarded-proto"].contains(&&name.to_ascii_lowercase()[..])
        && HeaderName::from_bytes(name.as_bytes()).is_ok()
        && value
            .as_str()
            .is_some_and(|value| HeaderValue::from_str(value).is_ok())
}

/// The payloads of a direct invocation.
#[derive(Deserialize)]
#[serde(tag = "trigger", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Invocation {
    Schedule {
        #[serde(default)]
        scheduled_time: Value,
        #[serde(default)]
        execution_id: Value,
        #[serde(default)]
        attempt: Value,
    },
    Migrate(MigrateOptions),
}

impl Invocation {
    /// `None`: a payload of another kind.
    pub(crate) fn parse(payload: Value) -> Option<Self> {
        // Serde would accept `["schedule"]` for `{"trigger":"schedule"}`.
        Some(payload)
            .filter(Value::is_object)
            .and_then(|payload| serde_json::from_value(payload).ok())
    }
}

/// A text that PostgreSQL can store, whatever the value is.
pub(crate) fn recordable(value: Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text,
        other => other.to_string(),
    };
    Some(
        text.chars()
            .filter(|character| *character != '\0')
            .take(LONGEST_NOTE)
            .collect(),
    )
}
