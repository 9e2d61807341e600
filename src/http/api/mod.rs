//! The routes for support and for the user's other programs, all under `ADMIN_TOKEN`; without one there are none.
//!
//! Judged as `/run` is: path, method, size, credentials, rate; then what is asked for, member by member.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::cancellation::policies::{self, Undecided};
use crate::bookings::cancellation::{self, CANCELLED};
use crate::bookings::lifecycle::{Role, TABLE};
use crate::bookings::status_change::{self, Actor, Refused, Wish};
use crate::config::{self, AdminTokens};
use crate::database::migrate;
use crate::database::{BOOKINGS_LOCK_TIMEOUT, Begin, DatabaseError, Transaction};
use crate::http::auth;
use crate::http::idempotency::{self, Earlier};
use crate::http::params::{Members, Query, malformed, parse_id, unprocessable};
use crate::http::rate_limit;
use crate::http::{self, Problem};
use crate::operations::erasure;
use crate::support::preview;
use crate::support::timeline;
use crate::support::trail::{self, Filter};
use crate::tick::Automation;
use crate::tick::pass::PassError;

/// Calls a minute with one token: other programs use it, not only people.
const CALLS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(6_000).expect("not zero");
/// Longest id of an actor, and longest reason, in characters.
const LONGEST_ID: usize = 200;
const LONGEST_REASON: usize = 1_000;
/// Events of a page, if nobody says how many.
const USUAL_PAGE: i64 = 100;
/// What the routes are, for programs.
const OPENAPI: &str = include_str!("openapi.json");

/// What the routes work with.
struct Admin {
    automation: Arc<Automation>,
    tokens: AdminTokens,
    /// The moment to decide by, in place of the database clock.
    as_of: Option<DateTime<Utc>>,
}

/// The id in a path. One that cannot be read is judged when its turn comes.
type Id = Result<Path<String>, PathRejection>;
/// What the database had to say.
type Answer = Result<Value, Problem>;
/// What the caller is told.
type Answered = Result<Json<Value>, Response>;

/// The routes; none without a token.
pub(crate) fn routes(automation: Arc<Automation>, tokens: AdminTokens, as_of: Option<DateTime<Utc>>) -> Router {
    if tokens.is_empty() {
        return Router::new();
    }
    Router::new()
        .route("/openapi.json", any(openapi))
        .route("/bookings/{id}/status", any(change_status))
        .route("/bookings/{id}/cancellation", any(cancellation))
        .route("/bookings/{id}/timeline", any(tell_timeline))
        .route("/events", any(list_events))
        .route("/people/{id}/messages", any(forget_person))
        .route("/preview", any(tell_preview))
        .with_state(Arc::new(Admin { automation, tokens, as_of }))
}

async fn openapi(State(admin): State<Arc<Admin>>, request: Request) -> Result<Response, Response> {
    admit(&admin, "GET", request).await?;
    Ok(([(CONTENT_TYPE, "application/json")], OPENAPI).into_response())
}

async fn change_status(State(admin): State<Arc<Admin>>, id: Id, request: Request) -> Answered {
    let admitted = admit(&admin, "POST", request).await?;
    let booking_id = of_path(id)?;
    let body = Members::of(&admitted.body, &["to", "actor", "reason"])?;
    let to = body.text("to")?;
    if !TABLE.iter().any(|step| step.to == to) {
        let problem = format!("takes a status that a booking can be given: {}", statuses());
        return Err(unprocessable("to", &problem).into());
    }
    let actor = actor(&body)?;
    let wish = Wish { to: &to, actor: &actor, no_show: false, expected_refund: None };
    take_step(&admin, &admitted, booking_id, &wish).await
}

async fn cancellation(state: State<Arc<Admin>>, id: Id, request: Request) -> Answered {
    match request.method().as_str() {
        "GET" => tell_cancellation(state, id, request).await,
        "POST" => cancel(state, id, request).await,
        _ => Err(http::method_not_allowed("GET, POST")),
    }
}

async fn tell_cancellation(State(admin): State<Arc<Admin>>, id: Id, request: Request) -> Answered {
    let admitted = admit(&admin, "GET", request).await?;
    let booking_id = of_path(id)?;
    let outlook = look(&admin, &admitted, async |transaction, as_of| {
        let outlook = cancellation::outlook(transaction, admin.automation.settings(), as_of, booking_id).await;
        outlook.map(|outlook| json!(outlook)).map_err(refused)
    });
    Ok(Json(outlook.await?))
}

async fn cancel(State(admin): State<Arc<Admin>>, id: Id, request: Request) -> Answered {
    let admitted = admit(&admin, "POST", request).await?;
    let booking_id = of_path(id)?;
    let body = Members::of(&admitted.body, &["actor", "reason", "no_show", "expected_refund"])?;
    let actor = actor(&body)?;
    let no_show = body.flag("no_show")?;
    let expected_refund = body.optional_text("expected_refund", usize::MAX)?;
    if expected_refund.as_deref().is_some_and(|text| !policies::is_amount(text)) {
        return Err(unprocessable("expected_refund", "takes an amount such as 12.50").into());
    }
    let wish = Wish { to: CANCELLED, actor: &actor, no_show, expected_refund: expected_refund.as_deref() };
    take_step(&admin, &admitted, booking_id, &wish).await
}

async fn take_step(admin: &Admin, admitted: &Admitted, booking_id: Uuid, wish: &Wish<'_>) -> Answered {
    let changed = once(admin, admitted, async |transaction, as_of| {
        let changed = status_change::change(transaction, admin.automation.settings(), as_of, booking_id, wish).await;
        changed.map(|changed| json!(changed)).map_err(refused)
    });
    Ok(Json(changed.await?))
}

async fn tell_timeline(State(admin): State<Arc<Admin>>, id: Id, request: Request) -> Answered {
    let admitted = admit(&admin, "GET", request).await?;
    let booking_id = of_path(id)?;
    let timeline = look(&admin, &admitted, async |transaction, as_of| {
        let timeline = timeline::of(transaction, admin.automation.settings(), as_of, booking_id).await;
        let timeline = timeline.map_err(|error| failed(&error))?;
        timeline.map(|timeline| json!(timeline)).ok_or_else(|| refused(Refused::Unknown))
    });
    Ok(Json(timeline.await?))
}

async fn list_events(State(admin): State<Arc<Admin>>, request: Request) -> Answered {
    let admitted = admit(&admin, "GET", request).await?;
    let known = ["booking", "type", "status", "since", "until", "before", "limit"];
    let query = Query::of(&admitted.query, &known)?;
    let filter = Filter {
        booking_id: query.get("booking").map(|id| parse_id("booking", id)).transpose()?,
        event_type: query.get("type").map(str::to_owned),
        status: query.get("status").map(event_status).transpose()?,
        since: query.time("since")?,
        until: query.time("until")?,
    };
    let before = query.number("before", 1..=i64::MAX)?.unwrap_or(i64::MAX);
    let rows = query.number("limit", 1..=trail::LARGEST_PAGE)?.unwrap_or(USUAL_PAGE);
    let page = look(&admin, &admitted, async |transaction, _| {
        let page = trail::page(transaction, &filter, before, rows).await;
        page.map(|page| json!(page)).map_err(|error| failed(&error))
    });
    Ok(Json(page.await?))
}

async fn forget_person(State(admin): State<Arc<Admin>>, id: Id, request: Request) -> Answered {
    let admitted = admit(&admin, "DELETE", request).await?;
    let person_id = of_path(id)?;
    let forgotten = once(&admin, &admitted, async |transaction, _| {
        let forgotten = erasure::forget(transaction, person_id).await.map_err(|error| failed(&error))?;
        let unknown = || Problem::new(StatusCode::NOT_FOUND, "no booking knows such a person").with("field", "id");
        forgotten.map(|forgotten| json!(forgotten)).ok_or_else(unknown)
    });
    Ok(Json(forgotten.await?))
}

async fn tell_preview(State(admin): State<Arc<Admin>>, request: Request) -> Answered {
    let admitted = admit(&admin, "GET", request).await?;
    let time = preview_time(&Query::of(&admitted.query, &["for"])?)?;
    let automation = &admin.automation;
    match preview::of(automation.database(), automation.settings(), admin.as_of, time, admitted.deadline).await {
        Ok(preview) => Ok(Json(json!(preview))),
        Err(PassError::Database(error)) => Err(failed(&error).into()),
        Err(error) => Err(http::unavailable(&error)),
    }
}

/// A request that may come in.
struct Admitted {
    /// Of everything that makes it this request.
    digest: Vec<u8>,
    query: String,
    body: Bytes,
    headers: HeaderMap,
    deadline: Instant,
}

/// Judged in this order: method, size, credentials, rate.
async fn admit(admin: &Admin, method: &'static str, request: Request) -> Result<Admitted, Response> {
    let deadline = http::deadline(&request);
    if request.method() != method {
        return Err(http::method_not_allowed(method));
    }
    let (head, body) = request.into_parts();
    let body = http::read(body).await?;
    let Some(credential) = auth::bearer(&admin.tokens, &http::credentials(&head.headers)) else {
        tracing::info!("refused a call for support: no token that is valid");
        return Err(http::unauthorized());
    };
    match rate_limit::take(admin.automation.database(), &credential, CALLS_PER_MINUTE, deadline).await {
        Ok(None) => {}
        Ok(Some(wait)) => return Err(http::too_many(wait)),
        Err(error) => return Err(unavailable(&error).into_response()),
    }
    let query = head.uri.query().unwrap_or_default().to_owned();
    let digest =
        Sha256::digest([head.method.as_str().as_bytes(), b" ", head.uri.to_string().as_bytes(), b"\n", &body].concat());
    Ok(Admitted { digest: digest.to_vec(), query, body, headers: head.headers, deadline })
}

/// Does `work`, which reads alone, on one snapshot.
async fn look(
    admin: &Admin,
    request: &Admitted,
    work: impl AsyncFnOnce(&Transaction, DateTime<Utc>) -> Answer,
) -> Answer {
    let begin = Begin { read_only: true, as_of: admin.as_of, until: Some(request.deadline), ..Begin::default() };
    let database = admin.automation.database();
    let (transaction, _) = database.begin(&begin, "").await.map_err(|error| unavailable(&error))?;
    let as_of = clock(&transaction, admin.as_of).await?;
    let answer = work(&transaction, as_of).await;
    let _ = transaction.rollback().await;
    answer
}

/// The moment to decide by.
async fn clock(transaction: &Transaction, as_of: Option<DateTime<Utc>>) -> Result<DateTime<Utc>, Problem> {
    let now = "SELECT coalesce($1, transaction_timestamp())";
    let row = transaction.query_one(now, &[(&as_of, Type::TIMESTAMPTZ)]).await;
    Ok(row.map_err(|error| failed(&error))?.get(0))
}

/// Does `work` in a transaction, and commits what it did unless it refuses. With an `Idempotency-Key`, once only.
async fn once(
    admin: &Admin,
    request: &Admitted,
    work: impl AsyncFnOnce(&Transaction, DateTime<Utc>) -> Answer,
) -> Answer {
    let key = idempotency_key(&request.headers)?;
    let begin = Begin {
        lock_timeout: BOOKINGS_LOCK_TIMEOUT,
        as_of: admin.as_of,
        until: Some(request.deadline),
        ..Begin::default()
    };
    let database = admin.automation.database();
    let (transaction, _) = database.begin(&begin, "").await.map_err(|error| unavailable(&error))?;
    let done = async {
        if let Some(key) = &key {
            match idempotency::take(&transaction, key, &request.digest).await.map_err(|error| failed(&error))? {
                Earlier::Nothing => {}
                Earlier::Answer(answer) => return Ok((answer, false)),
                Earlier::Other => {
                    return Err(unprocessable("Idempotency-Key", "was used for another request"));
                }
            }
        }
        let as_of = clock(&transaction, admin.as_of).await?;
        let answer = work(&transaction, as_of).await?;
        if let Some(key) = &key {
            idempotency::keep(&transaction, key, &answer).await.map_err(|error| failed(&error))?;
        }
        Ok((answer, true))
    }
    .await;
    match done {
        Ok((answer, true)) => transaction.commit().await.map(|()| answer).map_err(|error| failed(&error)),
        Ok((answer, false)) => transaction.rollback().await.map(|()| answer).map_err(|error| failed(&error)),
        Err(problem) => {
            let _ = transaction.rollback().await;
            Err(problem)
        }
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    const NAME: &str = "Idempotency-Key";
    let mut keys = headers.get_all(NAME).iter();
    match (keys.next(), keys.next()) {
        (None, _) => Ok(None),
        (Some(key), None) => key
            .to_str()
            .ok()
            .filter(|key| idempotency::is_key(key))
            .map(|key| Some(key.to_owned()))
            .ok_or_else(|| malformed(NAME, "takes up to 256 characters of visible ASCII")),
        _ => Err(malformed(NAME, "may be there once")),
    }
}

fn of_path(id: Id) -> Result<Uuid, Problem> {
    parse_id("id", &id.map(|Path(id)| id).unwrap_or_default())
}

fn preview_time(query: &Query) -> Result<Duration, Problem> {
    match query.get("for") {
        None => Ok(preview::USUAL),
        Some(text) => config::parse_duration(text)
            .filter(|time| (preview::SHORTEST..=preview::LONGEST).contains(time))
            .ok_or_else(|| malformed("for", "takes a duration from 1m to 7d, such as 24h")),
    }
}

fn event_status(text: &str) -> Result<String, Problem> {
    if ["pending", "sending", "completed", "failed", "skipped"].contains(&text) {
        return Ok(text.to_owned());
    }
    Err(unprocessable("status", "takes pending, sending, completed, failed or skipped"))
}

fn actor(body: &Members) -> Result<Actor, Problem> {
    let members = body.object("actor", &["role", "id"])?;
    let role =
        members.text("role").map_err(|_| malformed("actor.role", "takes customer, provider, admin or system"))?;
    let role: Role = serde_json::from_value(Value::String(role))
        .map_err(|_| unprocessable("actor.role", "takes customer, provider, admin or system"))?;
    Ok(Actor {
        role,
        id: members.optional_text("id", LONGEST_ID)?.map(actor_id).transpose()?,
        reason: body.optional_text("reason", LONGEST_REASON)?.filter(|reason| !reason.trim().is_empty()),
    })
}

/// It is told to others: an id, and no address or name. A UUID as it is written everywhere else.
fn actor_id(id: String) -> Result<String, Problem> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if id.is_empty() || !id.bytes().all(plain) {
        return Err(unprocessable("actor.id", "takes an id: letters, digits, and . _ : -"));
    }
    Ok(Uuid::try_parse(&id).map_or(id, |id| id.to_string()))
}

fn statuses() -> String {
    let mut statuses: Vec<_> = TABLE.iter().map(|step| step.to).collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses.join(", ")
}

fn refused(refused: Refused) -> Problem {
    match refused {
        Refused::Unknown => Problem::new(StatusCode::NOT_FOUND, "there is no such booking").with("field", "id"),
        Refused::Forbidden { why, current, allowed } => {
            Problem::new(StatusCode::CONFLICT, why).with("current", current).with("allowed", allowed)
        }
        Refused::Undecided(Undecided::Data(why)) => Problem::new(StatusCode::CONFLICT, why),
        Refused::Undecided(Undecided::Setup(why)) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, why),
        Refused::OtherRefund(refund) => {
            Problem::new(StatusCode::CONFLICT, format!("another refund than the one expected: {refund}"))
                .with("field", "expected_refund")
                .with("refund", json!(refund))
        }
        Refused::Kept(_) => Problem::new(StatusCode::CONFLICT, refused.to_string()),
        Refused::Database(error) => failed(&error),
    }
}

/// What the user's constraint or trigger refuses, or a lock of theirs, is no fault of ours.
fn failed(error: &DatabaseError) -> Problem {
    if error.is_lock() {
        return Problem::new(StatusCode::CONFLICT, "somebody else is changing this booking right now; try again");
    }
    if error.is_of_a_row() {
        tracing::warn!(error = error.loggable(), "the database refuses what support asked for");
        return Problem::new(StatusCode::CONFLICT, "the database refuses this change; the log says why");
    }
    if error.is_statement_timeout() {
        tracing::warn!("the database took too long over what support asked for");
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "it takes the database too long: ask for less");
    }
    unavailable(error)
}

fn unavailable(error: &DatabaseError) -> Problem {
    tracing::error!("{}", error.loggable());
    if migrate::is_schema_missing(error) {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the database has not been migrated");
    }
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the database cannot be asked; the log says why")
}
