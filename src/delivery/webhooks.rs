//! Webhooks out: whoever subscribed is told what happened to bookings, as Standard Webhooks has it.
//!
//! A message is a row of the outbox, written by triggers (`migrations/16_webhooks.sql`) in the transaction of what it tells. It is
//! claimed, sent and recorded as a mail is; but where mails share one provider and its rate, here each subscription has an
//! endpoint of its own, which may be slow, broken or gone. So they take turns: a turn is a page for one of them, several turns
//! go on at once, and who fails has no further one in this call.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use axum::http::uri::Scheme;
use axum::http::{HeaderValue, Request, StatusCode, Uri};
use futures_util::StreamExt;
use futures_util::future::{self, Either};
use futures_util::stream::{self, FuturesUnordered};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::types::Type;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;
use uuid::Uuid;

use crate::channels::email::chain;
use crate::channels::timing::Times;
use crate::channels::webhook::egress::{BoxError, Refused, Targets};
use crate::config::{WebhookSettings, signing_secret};
use crate::database::tls;
use crate::database::{Begin, Database, Result, Transaction};
use crate::http::auth;
use crate::tick::call::Call;
use crate::tick::summary::Webhooks;

/// Before the second attempt, the third and so on, in minutes: ten attempts in 25 hours.
const WAITS: [u32; 9] = [1, 5, 15, 60, 2 * 60, 4 * 60, 6 * 60, 6 * 60, 6 * 60];
/// Attempts at one message, at most.
const MAX_ATTEMPTS: i32 = WAITS.len() as i32 + 1;
/// Minutes for which an endpoint may take nothing before it is suspended.
const FAILING_FOR: u32 = 24 * 60;
/// Messages of one turn, at most.
const PAGE: i64 = 64;
/// Turns at once.
const TURNS: usize = 16;
/// Requests at once to one endpoint.
const IN_FLIGHT: usize = 4;
/// Longest head of an answer, in bytes. Of its body nothing is read.
const LONGEST_HEAD: usize = 8 * 1024;

const CLAIM: &str = include_str!("claim_webhooks.sql");
const RECORD: &str = include_str!("record_webhooks.sql");

/// SQL of a query: whose messages are due. One who has gone is among them: what waits for it must end.
pub(crate) const DUE: &str = "
    WITH RECURSIVE waiting AS (
        (SELECT audience FROM booking_automation_events
          WHERE event_type = 'webhook' AND status IN ('pending', 'sending')
          ORDER BY audience LIMIT 1)
        UNION ALL
        -- From one to the next: what one waits for may be a million rows.
        SELECT (SELECT e.audience FROM booking_automation_events e
                 WHERE e.event_type = 'webhook' AND e.status IN ('pending', 'sending') AND e.audience > w.audience
                 ORDER BY e.audience LIMIT 1)
          FROM waiting w
         WHERE w.audience IS NOT NULL
    )
    SELECT w.audience
      FROM waiting w
     WHERE EXISTS (SELECT FROM booking_automation_events e
                    WHERE e.event_type = 'webhook' AND e.status IN ('pending', 'sending') AND e.audience = w.audience
                      AND e.next_attempt_at <= (SELECT clock_timestamp()))";
/// SQL of a boolean: does anybody want to be told?
pub(crate) const ANY_SUBSCRIBED: &str =
    "EXISTS (SELECT FROM booking_automation_webhooks WHERE is_active AND suspended_at IS NULL)";

/// What tells them.
#[derive(Debug)]
pub struct Teller {
    targets: Targets,
    times: Times,
    /// Made for the first request.
    tls: OnceCell<Arc<ClientConfig>>,
}

/// A connection, with TLS or without.
type Stream = tokio_util::either::Either<TcpStream, TlsStream<TcpStream>>;

/// Why there is no answer.
enum Unanswered {
    /// No request left.
    Connect(BoxError),
    /// It may have been carried out.
    Request(hyper::Error),
}

/// When a call's requests must leave, and how long an answer is waited for.
#[derive(Clone, Copy)]
struct Window {
    leave_by: Instant,
    answer: Duration,
}

impl Teller {
    /// Calls whom the settings allow.
    pub fn new(settings: WebhookSettings) -> Self {
        let WebhookSettings { allow_private, times } = settings;
        Self { targets: Targets::new(allow_private, times.connect), times, tls: OnceCell::new() }
    }

    /// Tells whoever is to be told, until nothing is due or the call's time is over. Never fails: what went wrong is logged,
    /// and is in the outbox.
    pub(crate) async fn tell(&self, database: &Database, call: &Call) -> Webhooks {
        let window = self.window(call.deadline);
        let outbox = &Outbox { database, call, turn: Mutex::new(()) };
        let mut queue = match outbox.subscriptions().await {
            Ok(subscriptions) => VecDeque::from(subscriptions),
            Err(error) => {
                tracing::error!("webhooks were not sent, the outbox cannot be reached: {}", error.loggable());
                return Webhooks::default();
            }
        };
        let mut told = Webhooks::default();
        let mut turns = FuturesUnordered::new();
        loop {
            while turns.len() < TURNS
                && Instant::now() < window.leave_by
                && !call.stop.is_cancelled()
                && let Some(subscription) = queue.pop_front()
            {
                turns.push(async move {
                    let ended = self.turn(outbox, &subscription, window).await;
                    (subscription, ended)
                });
            }
            let Some((subscription, ended)) = turns.next().await else { return told };
            match ended {
                Ok(turn) => {
                    told.add(&turn.told);
                    if turn.goes_on {
                        queue.push_back(subscription);
                    }
                }
                Err(error) => {
                    tracing::error!(webhook.id = subscription, "a webhook's turn ended early: {}", error.loggable());
                }
            }
        }
    }

    /// What is sent late in a call must still be answered and recorded: half of its time is for that, or as long as an answer
    /// may take.
    fn window(&self, deadline: Instant) -> Window {
        let left = deadline.saturating_duration_since(Instant::now()).saturating_sub(self.times.recording);
        let answer = self.times.request.min(left / 2);
        Window { leave_by: Instant::now() + (left - answer), answer }
    }

    /// A page for one subscription: claim, send, record.
    async fn turn(&self, outbox: &Outbox<'_>, subscription: &str, window: Window) -> Result<Turn> {
        let read_at = Instant::now();
        let page = outbox.claim(subscription, self.times.lease).await?;
        let mut told = Webhooks { skipped: page.skipped, failed: page.failed, ..Webhooks::default() };
        let Some(endpoint) = page.endpoint.filter(|_| !page.messages.is_empty()) else {
            return Ok(Turn { told, goes_on: page.skipped + page.failed > 0 });
        };
        // A lease outlasts the last request of a page and its record.
        let leave_by = window.leave_by.min(read_at + self.times.request);
        let outcomes = self.send_page(outbox.call, &endpoint, page.messages, leave_by, window.answer).await;
        let recorded = self.record(outbox, subscription, &outcomes).await?;
        let stale = outcomes.len() as i64 - recorded.count;
        if stale > 0 {
            tracing::warn!(
                webhook.id = subscription,
                outcomes.stale = stale,
                "stale outcomes were not recorded: others have claimed their messages since"
            );
        }
        if let Some(Outcome::Failed { reason, .. }) =
            outcomes.iter().map(|(_, outcome)| outcome).find(|o| o.is_failure())
        {
            let failures = outcomes.iter().filter(|(_, outcome)| outcome.is_failure()).count();
            tracing::warn!(
                webhook.id = subscription,
                reason,
                failures,
                "a webhook took not everything; tried again later"
            );
        }
        if recorded.suspended {
            tracing::warn!(
                webhook.id = subscription,
                "a webhook is suspended, since it takes nothing any more: \
                 UPDATE booking_automation_webhooks SET suspended_at = NULL takes it up again"
            );
        }
        told.sent += recorded.completed;
        told.failed += recorded.failed;
        told.retrying += recorded.retrying;
        let reached = !outcomes.iter().any(|(_, outcome)| outcome.is_of_the_endpoint());
        // Nothing taken, no further turn: the next call tries again.
        Ok(Turn { told, goes_on: recorded.completed > 0 && reached && !recorded.suspended })
    }

    /// Sends a page, so many at a time; every message gets an outcome. When the endpoint cannot be reached, or does not answer,
    /// the rest is not tried.
    async fn send_page(
        &self,
        call: &Call,
        endpoint: &Endpoint,
        messages: Vec<Claimed>,
        leave_by: Instant,
        answer: Duration,
    ) -> Vec<(Claimed, Outcome)> {
        let unreached = &AtomicBool::new(false);
        let sends = messages.into_iter().map(|message| async move {
            if unreached.load(Ordering::Relaxed) || call.stop.is_cancelled() || Instant::now() >= leave_by {
                return (message, Outcome::Deferred);
            }
            let outcome = self.send(endpoint, &message, answer).await;
            if outcome.is_of_the_endpoint() {
                unreached.store(true, Ordering::Relaxed);
            }
            (message, outcome)
        });
        stream::iter(sends).buffer_unordered(IN_FLIGHT).collect().await
    }

    async fn send(&self, endpoint: &Endpoint, message: &Claimed, answer: Duration) -> Outcome {
        let failed = |reason, error: String| Outcome::Failed { reason, error };
        let request = match request(endpoint, message) {
            Ok(request) => request,
            Err(problem) => return failed("bad_subscription", problem.to_owned()),
        };
        match tokio::time::timeout(answer, self.post(request)).await {
            Err(_) => failed("no_answer", "no answer in time".to_owned()),
            Ok(Ok(status)) if status.is_success() => Outcome::Sent,
            Ok(Ok(StatusCode::GONE)) => failed("gone", "HTTP 410".to_owned()),
            Ok(Ok(status)) => failed("refused", format!("HTTP {}", status.as_u16())),
            Ok(Err(Unanswered::Connect(error))) => match error.downcast_ref::<Refused>() {
                Some(refused) => failed("forbidden_target", refused.to_string()),
                None => failed("no_connection", chain(&*error)),
            },
            Ok(Err(Unanswered::Request(error))) => failed("no_answer", chain(&error)),
        }
    }

    /// One request over a connection of its own, and the status of its answer. What is said besides is nobody's business: it is
    /// left unread. Nothing here follows a redirect, keeps a cookie or asks the environment for a proxy.
    async fn post(&self, mut request: Request<Full<Bytes>>) -> std::result::Result<StatusCode, Unanswered> {
        let uri = std::mem::take(request.uri_mut());
        let stream = self.connect(&uri).await.map_err(Unanswered::Connect)?;
        // As a server expects it: where to in `Host`, and the path alone.
        let host = uri.authority().map_or("", |authority| authority.as_str());
        request
            .headers_mut()
            .insert(HOST, HeaderValue::from_str(host).map_err(|error| Unanswered::Connect(error.into()))?);
        *request.uri_mut() = uri.path_and_query().map_or_else(Uri::default, |path| path.clone().into());
        let mut http = http1::Builder::new();
        let (mut sender, connection) =
            http.max_buf_size(LONGEST_HEAD).handshake(TokioIo::new(stream)).await.map_err(Unanswered::Request)?;
        let (answer, connection) = (pin!(sender.send_request(request)), pin!(connection));
        let answer = match future::select(answer, connection).await {
            Either::Left((answer, _)) => answer,
            // It ended with the answer, or without one.
            Either::Right((_, answer)) => answer.await,
        };
        Ok(answer.map_err(Unanswered::Request)?.status())
    }

    async fn connect(&self, uri: &Uri) -> std::result::Result<Stream, BoxError> {
        let stream = self.targets.connect(uri).await?;
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Ok(Stream::Left(stream));
        }
        let tls = self.tls.get_or_try_init(async || tls::to_anybody().map(Arc::new)).await?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        Ok(Stream::Right(TlsConnector::from(tls.clone()).connect(ServerName::try_from(host)?, stream).await?))
    }

    /// Records outcomes, again and again until the call's end: what cannot be recorded is told again when its lease has run out.
    async fn record(
        &self,
        outbox: &Outbox<'_>,
        subscription: &str,
        outcomes: &[(Claimed, Outcome)],
    ) -> Result<Recorded> {
        let (mut pause, longest) = self.times.record_pauses;
        loop {
            let error = match outbox.record(subscription, outcomes, self.times.back_off).await {
                Err(error) if Instant::now() + pause < outbox.call.deadline => error,
                ended => return ended,
            };
            tracing::warn!(error = error.loggable(), "outcomes of a webhook could not be recorded; trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}

/// The outbox, as one call works with it.
struct Outbox<'a> {
    database: &'a Database,
    call: &'a Call,
    /// One transaction at a time: mails share the connections, and wait for no more than one.
    turn: Mutex<()>,
}

impl Outbox<'_> {
    /// Whose messages are due, those first that have not failed.
    async fn subscriptions(&self) -> Result<Vec<String>> {
        let sql = &format!(
            "SELECT d.audience
               FROM ({DUE}) AS d
               LEFT JOIN booking_automation_webhooks s ON s.id::text = d.audience
              ORDER BY s.failing_since NULLS FIRST, d.audience"
        );
        let rows = self.in_transaction(async |transaction| transaction.query(sql, &[]).await).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Claims a page, and commits.
    async fn claim(&self, subscription: &str, lease: Duration) -> Result<Page> {
        let parameters = [
            (&subscription as _, Type::TEXT),
            (&PAGE as _, Type::INT8),
            (&lease.as_secs_f64() as _, Type::FLOAT8),
            (&MAX_ATTEMPTS as _, Type::INT4),
            (&self.call.as_of as _, Type::TIMESTAMPTZ),
        ];
        let read_at = Instant::now();
        let rows = self.in_transaction(async |transaction| transaction.query(CLAIM, &parameters).await).await?;
        let endpoint = rows.first().and_then(|row| {
            let (url, secret): (Option<String>, Option<String>) = (row.get(3), row.get(4));
            Some(Endpoint { url: url?, secret: secret?, at: row.get(2), read_at })
        });
        let messages = rows.iter().filter_map(|row| {
            let id: Option<Uuid> = row.get(5);
            Some(Claimed { id: id?, claim: row.get(6), attempt: row.get(7), message_id: row.get(8), body: row.get(9) })
        });
        let (skipped, failed) = rows.first().map_or((0, 0), |row| (row.get(0), row.get(1)));
        Ok(Page { skipped, failed, endpoint, messages: messages.collect() })
    }

    /// Records a page, fenced, and commits.
    async fn record(&self, subscription: &str, outcomes: &[(Claimed, Outcome)], minute: Duration) -> Result<Recorded> {
        let ids: Vec<_> = outcomes.iter().map(|(message, _)| message.id).collect();
        let claims: Vec<_> = outcomes.iter().map(|(message, _)| message.claim).collect();
        let names: Vec<_> = outcomes
            .iter()
            .map(|(_, outcome)| match outcome {
                Outcome::Sent => "completed",
                Outcome::Failed { .. } => "pending",
                Outcome::Deferred => "released",
            })
            .collect();
        let (reasons, errors): (Vec<_>, Vec<_>) = outcomes
            .iter()
            .map(|(_, outcome)| match outcome {
                Outcome::Failed { reason, error } => (Some(*reason), Some(error.as_str())),
                Outcome::Sent | Outcome::Deferred => (None, None),
            })
            .unzip();
        let waits: Vec<_> =
            outcomes.iter().map(|(message, outcome)| wait_after(message, outcome, minute).as_secs_f64()).collect();
        let any = |is: fn(&Outcome) -> bool| outcomes.iter().any(|(_, outcome)| is(outcome));
        let taken = match (any(|outcome| matches!(outcome, Outcome::Sent)), any(Outcome::is_failure)) {
            (false, false) => None,
            (taken, _) => Some(taken),
        };
        let gone = any(Outcome::is_gone);
        let parameters = [
            (&ids as _, Type::UUID_ARRAY),
            (&claims as _, Type::INT8_ARRAY),
            (&names as _, Type::TEXT_ARRAY),
            (&reasons as _, Type::TEXT_ARRAY),
            (&errors as _, Type::TEXT_ARRAY),
            (&waits as _, Type::FLOAT8_ARRAY),
            (&MAX_ATTEMPTS as _, Type::INT4),
            (&self.call.as_of as _, Type::TIMESTAMPTZ),
            (&subscription as _, Type::TEXT),
            (&taken as _, Type::BOOL),
            (&gone as _, Type::BOOL),
            (&(minute * FAILING_FOR).as_secs_f64() as _, Type::FLOAT8),
        ];
        let row = self.in_transaction(async |transaction| transaction.query_one(RECORD, &parameters).await).await?;
        Ok(Recorded {
            count: row.get(0),
            completed: row.get(1),
            failed: row.get(2),
            retrying: row.get(3),
            suspended: row.get(4),
        })
    }

    /// A statement in a transaction of its own, in one round trip after its BEGIN.
    async fn in_transaction<T>(&self, work: impl AsyncFnOnce(&Transaction) -> Result<T>) -> Result<T> {
        let _turn = self.turn.lock().await;
        let begin = Begin { as_of: self.call.as_of, until: Some(self.call.deadline), ..Begin::default() };
        let (transaction, _) = self.database.begin(&begin, "").await?;
        transaction.commit_after(work).await
    }
}

/// What a turn came to.
struct Turn {
    told: Webhooks,
    /// Whether more may be due, and would be taken.
    goes_on: bool,
}

/// Where a subscription wants to be told, and what it knows us by.
struct Endpoint {
    url: String,
    secret: String,
    /// The database's clock when it was read, and ours: a signature's age is judged by another machine still.
    at: f64,
    read_at: Instant,
}

/// One claimed message.
struct Claimed {
    id: Uuid,
    /// The fencing token.
    claim: i64,
    /// Which attempt this is, from 1.
    attempt: i32,
    /// What the receiver knows it by, whatever the attempt.
    message_id: String,
    body: Value,
}

/// What became of one request.
enum Outcome {
    /// It was taken.
    Sent,
    /// It was not, or nobody knows; it is told again.
    Failed { reason: &'static str, error: String },
    /// No request left. No attempt is used up.
    Deferred,
}

impl Outcome {
    fn is_failure(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }

    fn is_gone(&self) -> bool {
        matches!(self, Self::Failed { reason: "gone", .. })
    }

    /// Whether another message would fare no better.
    fn is_of_the_endpoint(&self) -> bool {
        matches!(self, Self::Failed { reason, .. } if *reason != "refused")
    }
}

/// The body of a message (Standard Webhooks, "Payload structure").
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a Value,
    timestamp: &'a Value,
    data: &'a Value,
}

/// A message as it is sent, signed for now.
fn request(endpoint: &Endpoint, message: &Claimed) -> std::result::Result<Request<Full<Bytes>>, &'static str> {
    let secret = signing_secret(&endpoint.secret)?;
    let url = Url::parse(&endpoint.url).map_err(|_| "the URL is none")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL has a user in it");
    }
    let body =
        Body { r#type: &message.body["type"], timestamp: &message.body["timestamp"], data: &message.body["data"] };
    let body = serde_json::to_vec(&body).map_err(|_| "the message cannot be written")?;
    // The database's clock, as everywhere.
    let timestamp = ((endpoint.at + endpoint.read_at.elapsed().as_secs_f64()) as u64).to_string();
    Request::post(url.as_str())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("booking-automation/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", &message.message_id)
        .header("webhook-timestamp", &timestamp)
        .header("webhook-signature", auth::sign(&secret, &message.message_id, &timestamp, &body))
        .body(Full::from(body))
        .map_err(|_| "the URL is none that can be called")
}

/// A claimed page.
struct Page {
    skipped: i64,
    failed: i64,
    /// `None`: there is no such subscription.
    endpoint: Option<Endpoint>,
    messages: Vec<Claimed>,
}

/// What became of a page in the outbox.
struct Recorded {
    count: i64,
    completed: i64,
    failed: i64,
    retrying: i64,
    /// Whether the subscription was suspended for it.
    suspended: bool,
}

fn wait_after(message: &Claimed, outcome: &Outcome, minute: Duration) -> Duration {
    let attempt = usize::try_from(message.attempt - 1).unwrap_or_default();
    match outcome {
        Outcome::Failed { .. } => minute * WAITS[attempt.min(WAITS.len() - 1)],
        Outcome::Sent | Outcome::Deferred => Duration::ZERO,
    }
}

/// How many are due and were left to the next call.
pub(crate) async fn left(transaction: &Transaction) -> Result<i64> {
    let sql = "SELECT count(*) FROM booking_automation_events
                WHERE event_type = 'webhook' AND status IN ('pending', 'sending') AND next_attempt_at <= clock_timestamp()";
    Ok(transaction.query_one(sql, &[]).await?.get(0))
}
