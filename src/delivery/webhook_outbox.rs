//! The outbox of webhook messages: find subscriptions with due messages, claim a batch, record its
//! outcomes.

use std::time::{Duration, Instant};

use futures_util::future;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::channels::Outcome;
use crate::channels::webhook::settings::WebhookSettings;
use crate::channels::webhook::{Endpoint, EndpointState};
use crate::database::{Begin, Database, Result, Transaction};
use crate::delivery::engine::Claimed;
use crate::delivery::figures::MOST_LEFT;
use crate::delivery::outcomes::{PageOutcomes, RecordedOutcome, record_outcomes};
use crate::delivery::tally::EndedMessages;
use crate::primitives::call::Call;

/// Messages of one batch, at most.
const BATCH: i64 = 64;
/// Bytes of the bodies of one batch, at most.
const BATCH_BYTES: i64 = 1 << 20;

const CLAIM: &str = include_str!("claim_webhooks.sql");
const RECORD_ENDPOINT: &str = include_str!("record_endpoint.sql");
/// SQL of a query of the subscriptions whose messages are due.
pub(crate) const DUE: &str = include_str!("webhooks_due.sql");

/// The outbox, as one call works with it.
pub(crate) struct WebhookOutbox<'a> {
    pub(crate) database: &'a Database,
    pub(crate) call: &'a Call,
    settings: &'a WebhookSettings,
    /// One transaction at a time, so that mail, which shares the connections, waits for one at
    /// most.
    turn: Mutex<()>,
}

pub(crate) fn subscriptions_sql() -> String {
    format!(
        "SELECT d.audience
           FROM ({DUE}) AS d
           LEFT JOIN public.booking_automation_webhooks s ON s.id::text = d.audience
          ORDER BY s.failing_since NULLS FIRST, d.audience"
    )
}

/// A claimed batch of one subscription.
pub(crate) struct WebhookBatch {
    pub(crate) ended: EndedMessages,
    /// `None`: there is no such subscription.
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) messages: Vec<Claimed<WebhookBody>>,
}

/// What a message says.
pub(crate) struct WebhookBody {
    /// The receiver's id of the message, the same for every attempt.
    pub(crate) message_id: String,
    pub(crate) body: Value,
}

/// `None`: a batch without messages, which is one row without an id.
fn claimed_message(row: &Row) -> Option<Claimed<WebhookBody>> {
    Some(Claimed {
        id: row.get::<_, Option<Uuid>>("id")?,
        claim: row.get("claim"),
        members: Vec::new(),
        attempt: row.get("attempts"),
        content: WebhookBody {
            message_id: row.get("message_id"),
            body: row.get("event_data"),
        },
    })
}

/// A recorded batch.
pub(crate) struct RecordedBatch {
    pub(crate) outcomes: Vec<RecordedOutcome>,
    /// Whether the subscription was suspended.
    pub(crate) suspended: bool,
}

impl<'a> WebhookOutbox<'a> {
    pub(crate) fn new(
        database: &'a Database,
        call: &'a Call,
        settings: &'a WebhookSettings,
    ) -> Self {
        Self {
            database,
            call,
            settings,
            turn: Mutex::new(()),
        }
    }

    /// Attempts at one message, at most.
    fn max_attempts(&self) -> i32 {
        self.settings.retry_after.len() as i32 + 1
    }

    /// The subscriptions with due messages; those that have not failed come first.
    pub(crate) async fn subscriptions(&self) -> Result<Vec<String>> {
        let sql = &subscriptions_sql();
        let rows = self
            .in_transaction(async |transaction| transaction.query(sql, &[]).await)
            .await?;
        Ok(rows.iter().map(|row| row.get("audience")).collect())
    }

    /// Claims a batch, and commits.
    pub(crate) async fn claim_batch(
        &self,
        subscription: &str,
        lease: Duration,
    ) -> Result<WebhookBatch> {
        let parameters = [
            (&subscription as _, Type::TEXT),
            (&BATCH as _, Type::INT8),
            (&lease.as_secs_f64() as _, Type::FLOAT8),
            (&self.max_attempts() as _, Type::INT4),
            (&self.call.as_of as _, Type::TIMESTAMPTZ),
            (&BATCH_BYTES as _, Type::INT8),
        ];
        let read_at = Instant::now();
        let rows = self
            .in_transaction(async |transaction| transaction.query(CLAIM, &parameters).await)
            .await?;
        let endpoint = rows.first().and_then(|row| {
            let (url, secret): (Option<String>, Option<String>) =
                (row.get("url"), row.get("secret"));
            Some(Endpoint {
                url: url?,
                secret: secret?,
                at: row.get("at"),
                read_at,
            })
        });
        let ended = rows.first().map(|row| EndedMessages {
            skipped: row.get("skipped"),
            failed: row.get("failed"),
            settled: 0,
            ids: row.get("ended"),
        });
        let messages = rows.iter().filter_map(claimed_message).collect();
        Ok(WebhookBatch {
            ended: ended.unwrap_or_default(),
            endpoint,
            messages,
        })
    }

    /// Records a batch, each outcome fenced by its claim, with what the requests showed about the
    /// endpoint, and commits.
    pub(crate) async fn record_batch(
        &self,
        subscription: &str,
        outcomes: &PageOutcomes,
        states: &[EndpointState],
    ) -> Result<RecordedBatch> {
        let is_alive = Some(states.contains(&EndpointState::Alive)).filter(|_| !states.is_empty());
        let parameters = [
            (&subscription as _, Type::TEXT),
            (&is_alive as _, Type::BOOL),
            (&states.contains(&EndpointState::Gone) as _, Type::BOOL),
            (
                &self.settings.suspend_after.as_secs_f64() as _,
                Type::FLOAT8,
            ),
        ];
        self.in_transaction(async |transaction| {
            let (max_attempts, as_of) = (self.max_attempts(), self.call.as_of);
            let (outcomes, endpoint) = future::join(
                record_outcomes(transaction, outcomes, max_attempts, as_of, false),
                transaction.query(RECORD_ENDPOINT, &parameters),
            )
            .await;
            Ok(RecordedBatch {
                outcomes: outcomes?,
                suspended: endpoint?.iter().any(|row| row.get("suspended")),
            })
        })
        .await
    }

    /// The time until the next attempt after this one, if there is one.
    pub(crate) fn wait_after(&self, attempt: i32, outcome: &Outcome) -> Duration {
        let attempt = usize::try_from(attempt - 1).unwrap_or_default();
        let waits = &self.settings.retry_after;
        match outcome {
            Outcome::Sent { .. } | Outcome::Deferred => Duration::ZERO,
            _ => waits
                .get(attempt)
                .or(waits.last())
                .copied()
                .unwrap_or_default(),
        }
    }

    /// Runs a statement in its own transaction, in one round trip after its BEGIN.
    async fn in_transaction<T>(
        &self,
        work: impl AsyncFnOnce(&Transaction) -> Result<T>,
    ) -> Result<T> {
        let _turn = self.turn.lock().await;
        let begin = Begin {
            as_of: self.call.as_of,
            until: Some(self.call.deadline),
            ..Begin::default()
        };
        let (transaction, _) = self.database.begin(&begin, "").await?;
        transaction.commit_after(work).await
    }
}

/// How many messages are due and left for the next call, counted up to one more than [`MOST_LEFT`].
pub(crate) async fn count_due(transaction: &Transaction) -> Result<i64> {
    let sql = "SELECT count(*) AS due
                 FROM (SELECT FROM public.booking_automation_events
                        WHERE event_type = 'webhook' AND status IN ('pending', 'sending')
                          AND next_attempt_at <= clock_timestamp()
                        LIMIT $1 + 1) AS counted";
    let row = transaction.query_one(sql, &[(&MOST_LEFT, Type::INT8)]);
    Ok(row.await?.get("due"))
}
