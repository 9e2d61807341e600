//! What every route of the support API shares: authorization, one snapshot for reads, and
//! idempotent writes.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::Request;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::database::{BOOKINGS_LOCK_TIMEOUT, Begin, Transaction};
use crate::http::api::errors::{database_problem, unavailable};
use crate::http::auth::authorize_bearer;
use crate::http::clock::read_clock;
use crate::http::idempotency::{self, EarlierRequest};
use crate::http::params::{malformed, parse_id, unprocessable};
use crate::http::places::{Place, Places};
use crate::http::problem::{Problem, method_not_allowed, too_many_requests, unauthorized};
use crate::http::rate_limit;
use crate::http::request::{credentials_of, deadline_of, read_request};
use crate::http::settings::AdminTokens;
use crate::tick::Automation;

/// Calls a minute with one token. The limit is high, since programs use tokens, too.
const CALLS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(6_000).expect("not zero");

/// What the routes work with.
pub(crate) struct Api {
    pub(crate) automation: Arc<Automation>,
    pub(crate) tokens: AdminTokens,
    pub(crate) places: Arc<Places>,
    /// The moment to decide by, in place of the database clock.
    pub(crate) as_of: Option<DateTime<Utc>>,
}

/// The id in a path. It is checked after the credentials.
pub(crate) type PathId = Result<Path<String>, PathRejection>;
/// The outcome of a route's work.
pub(crate) type Answer = Result<Value, Problem>;
/// The response to the caller.
pub(crate) type ApiResponse = Result<Json<Value>, Response>;

/// A request whose credentials are valid.
pub(crate) struct Authorized {
    /// Identifies the token.
    credential: String,
    /// Of method, URI and body.
    digest: Vec<u8>,
    pub(crate) query: String,
    pub(crate) body: Bytes,
    headers: HeaderMap,
    pub(crate) deadline: Instant,
}

/// Checks in this order: method, size, credentials, rate.
pub(crate) async fn authorize(
    api: &Api,
    method: &'static str,
    request: Request,
) -> Result<Authorized, Response> {
    let deadline = deadline_of(&request);
    if request.method() != method {
        return Err(method_not_allowed(method));
    }
    let (head, body) = read_request(request).await?;
    let Some(credential) = authorize_bearer(&api.tokens, &credentials_of(&head.headers)) else {
        return Err(unauthorized("no valid token for the support API"));
    };
    let place = api.places.take(deadline).await?;
    let database = api.automation.database();
    let counted = rate_limit::take_call(database, &credential, CALLS_PER_MINUTE, deadline).await;
    drop(place);
    match counted {
        Ok(None) => {}
        Ok(Some(wait)) => return Err(too_many_requests(wait)),
        Err(error) => return Err(unavailable(&error).into_response()),
    }
    let query = head.uri.query().unwrap_or_default().to_owned();
    let (method, uri) = (head.method.as_str(), head.uri.to_string());
    let digest =
        Sha256::digest([method.as_bytes(), b" ", uri.as_bytes(), b"\n", &body].concat()).to_vec();
    Ok(Authorized {
        credential,
        digest,
        query,
        body,
        headers: head.headers,
        deadline,
    })
}

/// Runs `work`, which only reads, on one snapshot.
pub(crate) async fn read_only(
    api: &Api,
    request: &Authorized,
    work: impl AsyncFnOnce(&Transaction, DateTime<Utc>) -> Answer,
) -> Answer {
    let _place = api.places.take(request.deadline).await?;
    let begin = Begin {
        read_only: true,
        as_of: api.as_of,
        until: Some(request.deadline),
        ..Begin::default()
    };
    let database = api.automation.database();
    let (transaction, _) = database
        .begin(&begin, "")
        .await
        .map_err(|error| unavailable(&error))?;
    let as_of = read_clock(&transaction, api.as_of).await;
    let as_of = as_of.map_err(|error| database_problem(&error))?;
    let answer = work(&transaction, as_of).await;
    let _ = transaction.rollback().await;
    answer
}

/// Runs `work` in a transaction, and commits unless `work` refuses. With an `Idempotency-Key`,
/// `work` runs only once.
pub(crate) async fn idempotently(
    api: &Api,
    request: &Authorized,
    work: impl AsyncFnOnce(&Transaction, DateTime<Utc>) -> Answer,
) -> Answer {
    let key = idempotency_key(request)?;
    let _place = api.places.take(request.deadline).await?;
    let work = async |transaction: &Transaction, as_of, _| work(transaction, as_of).await;
    transact(api, request, key.as_deref(), |_| true, work).await
}

/// How far a request in parts came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing is left.
    Complete,
    /// More is left, and can be done now.
    More,
    /// More is left, and can be done later.
    Later,
}

/// A request that is done in parts, each in a transaction of its own, until nothing can be done any
/// more or its time is over. With an `Idempotency-Key`, the same request goes on until it is
/// complete; then it gets the last answer.
pub(crate) struct InParts<'a> {
    api: &'a Api,
    request: &'a Authorized,
    key: Option<String>,
    so_far: Option<Value>,
    _place: Place,
    deadline: Instant,
}

impl<'a> InParts<'a> {
    pub(crate) async fn begin(api: &'a Api, request: &'a Authorized) -> Result<Self, Problem> {
        let key = idempotency_key(request)?;
        let (place, deadline) = api.places.take_large(request.deadline).await?;
        Ok(Self {
            api,
            request,
            key,
            so_far: None,
            _place: place,
            deadline,
        })
    }

    /// Does the next part. It gets the answer so far, and makes the next one, of which `progress`
    /// says how far the request came. `Some`: this is the answer to the request.
    pub(crate) async fn next(
        &mut self,
        progress: fn(&Value) -> Progress,
        part: impl AsyncFnOnce(&Transaction, Option<Value>) -> Answer,
    ) -> Result<Option<Value>, Problem> {
        let before = self.so_far.take();
        let so_far = before.clone();
        let work = async |transaction: &Transaction, _, earlier: Option<Value>| {
            part(transaction, earlier.or(so_far)).await
        };
        let is_final = |answer: &Value| progress(answer) == Progress::Complete;
        let key = self.key.as_deref();
        match transact(self.api, self.request, key, is_final, work).await {
            Ok(answer) if progress(&answer) == Progress::More && Instant::now() < self.deadline => {
                self.so_far = Some(answer);
                Ok(None)
            }
            Ok(answer) => Ok(Some(answer)),
            // What was done is committed, and the answer says that more is left.
            Err(problem) => before.map(Some).ok_or(problem),
        }
    }
}

/// One transaction of a request. With a key it answers an earlier request with that key, if its
/// answer was final; otherwise `work` gets that answer, and its own is stored in the same
/// transaction.
async fn transact(
    api: &Api,
    request: &Authorized,
    key: Option<&str>,
    is_final: impl Fn(&Value) -> bool,
    work: impl AsyncFnOnce(&Transaction, DateTime<Utc>, Option<Value>) -> Answer,
) -> Answer {
    let begin = Begin {
        lock_timeout: BOOKINGS_LOCK_TIMEOUT,
        as_of: api.as_of,
        until: Some(request.deadline),
        ..Begin::default()
    };
    let database = api.automation.database();
    let (transaction, _) = database
        .begin(&begin, "")
        .await
        .map_err(|error| unavailable(&error))?;
    let done = async {
        let earlier = match key {
            Some(key) => earlier_answer(&transaction, key, &request.digest).await?,
            None => None,
        };
        if let Some(answer) = &earlier
            && is_final(answer)
        {
            return Ok((answer.clone(), false));
        }
        let as_of = read_clock(&transaction, api.as_of).await;
        let as_of = as_of.map_err(|error| database_problem(&error))?;
        let answer = work(&transaction, as_of, earlier).await?;
        if let Some(key) = key {
            let kept = idempotency::keep_answer(&transaction, key, &answer).await;
            kept.map_err(|error| database_problem(&error))?;
        }
        Ok((answer, true))
    }
    .await;
    end(transaction, done).await
}

/// Commits a new answer.
async fn end(transaction: Transaction, done: Result<(Value, bool), Problem>) -> Answer {
    let (answer, is_new) = match done {
        Ok(done) => done,
        Err(problem) => {
            let _ = transaction.rollback().await;
            return Err(problem);
        }
    };
    let ended = match is_new {
        true => transaction.commit().await,
        false => transaction.rollback().await,
    };
    ended
        .map(|()| answer)
        .map_err(|error| database_problem(&error))
}

/// Takes the key. Returns the answer of an earlier request with it, if there was one.
async fn earlier_answer(
    transaction: &Transaction,
    key: &str,
    digest: &[u8],
) -> Result<Option<Value>, Problem> {
    match idempotency::take_key(transaction, key, digest).await {
        Ok(EarlierRequest::None) => Ok(None),
        Ok(EarlierRequest::Answered(answer)) => Ok(Some(answer)),
        Ok(EarlierRequest::Different) => Err(unprocessable(
            "Idempotency-Key",
            "was used for another request",
        )),
        Err(error) => Err(database_problem(&error)),
    }
}

/// The key as it is stored.
fn idempotency_key(request: &Authorized) -> Result<Option<String>, Problem> {
    const NAME: &str = "Idempotency-Key";
    let mut keys = request.headers.get_all(NAME).iter();
    match (keys.next(), keys.next()) {
        (None, _) => Ok(None),
        (Some(key), None) => {
            let key = key.to_str().ok().filter(|key| idempotency::is_key(key));
            let key =
                key.ok_or_else(|| malformed(NAME, "takes up to 256 characters of visible ASCII"))?;
            Ok(Some(idempotency::key_of_token(&request.credential, key)))
        }
        _ => Err(malformed(NAME, "may be given only once")),
    }
}

/// The id in a path.
pub(crate) fn parse_path_id(id: PathId) -> Result<Uuid, Problem> {
    parse_id("id", &id.map(|Path(id)| id).unwrap_or_default())
}
