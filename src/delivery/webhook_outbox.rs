//! The outbox of webhook messages: find subscriptions with due messages, claim a batch, record its
//! outcomes.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Mutex;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::channels::webhook::settings::WebhookSettings;
use crate::channels::webhook::{Endpoint, WebhookOutcome};
use crate::database::{Begin, Database, Result, Transaction};
use crate::primitives::call::Call;

/// Messages of one batch, at most.
const BATCH: i64 = 64;
/// Bytes of the bodies of one batch, at most.
const BATCH_BYTES: i64 = 1 << 20;

const CLAIM: &str = include_str!("claim_webhooks.sql");
const RECORD: &str = include_str!("record_webhooks.sql");
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
    pub(crate) skipped: i64,
    pub(crate) failed: i64,
    /// `None`: there is no such subscription.
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) messages: Vec<ClaimedWebhook>,
}

/// One claimed message.
pub(crate) struct ClaimedWebhook {
    id: Uuid,
    /// The fencing token.
    claim: i64,
    /// Which attempt this is, from 1.
    attempt: i32,
    /// The receiver's id of the message, the same for every attempt.
    pub(crate) message_id: String,
    pub(crate) body: Value,
}

impl ClaimedWebhook {
    /// `None`: a batch without messages, which is one row without an id.
    fn of(row: &Row) -> Option<Self> {
        let id: Option<Uuid> = row.get("id");
        Some(Self {
            id: id?,
            claim: row.get("claim"),
            attempt: row.get("attempts"),
            message_id: row.get("message_id"),
            body: row.get("event_data"),
        })
    }
}

/// The figures of a recorded batch.
pub(crate) struct RecordedBatch {
    pub(crate) count: i64,
    pub(crate) completed: i64,
    pub(crate) failed: i64,
    pub(crate) retrying: i64,
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
        let (skipped, failed) = rows
            .first()
            .map_or((0, 0), |row| (row.get("skipped"), row.get("failed")));
        let messages = rows.iter().filter_map(ClaimedWebhook::of).collect();
        Ok(WebhookBatch {
            skipped,
            failed,
            endpoint,
            messages,
        })
    }

    /// Records a batch, each outcome fenced by its claim, and commits.
    pub(crate) async fn record_batch(
        &self,
        subscription: &str,
        outcomes: &[(ClaimedWebhook, WebhookOutcome)],
    ) -> Result<RecordedBatch> {
        let ids: Vec<_> = outcomes.iter().map(|(message, _)| message.id).collect();
        let claims: Vec<_> = outcomes.iter().map(|(message, _)| message.claim).collect();
        let names: Vec<_> = outcomes.iter().map(|(_, outcome)| name(outcome)).collect();
        let (reasons, errors): (Vec<_>, Vec<_>) =
            outcomes.iter().map(|(_, outcome)| failure(outcome)).unzip();
        let waits: Vec<_> = outcomes
            .iter()
            .map(|(message, outcome)| self.wait_after(message, outcome).as_secs_f64())
            .collect();
        let any = |is: fn(&WebhookOutcome) -> bool| outcomes.iter().any(|(_, outcome)| is(outcome));
        let (is_alive, gone) = (any(WebhookOutcome::is_alive), any(WebhookOutcome::is_gone));
        let was_tried = is_alive || any(WebhookOutcome::is_endpoint_failure);
        let is_alive = was_tried.then_some(is_alive);
        let parameters = [
            (&ids as _, Type::UUID_ARRAY),
            (&claims as _, Type::INT8_ARRAY),
            (&names as _, Type::TEXT_ARRAY),
            (&reasons as _, Type::TEXT_ARRAY),
            (&errors as _, Type::TEXT_ARRAY),
            (&waits as _, Type::FLOAT8_ARRAY),
            (&self.max_attempts() as _, Type::INT4),
            (&self.call.as_of as _, Type::TIMESTAMPTZ),
            (&subscription as _, Type::TEXT),
            (&is_alive as _, Type::BOOL),
            (&gone as _, Type::BOOL),
            (
                &self.settings.suspend_after.as_secs_f64() as _,
                Type::FLOAT8,
            ),
        ];
        let row = self
            .in_transaction(async |transaction| transaction.query_one(RECORD, &parameters).await)
            .await?;
        Ok(RecordedBatch {
            count: row.get("recorded"),
            completed: row.get("completed"),
            failed: row.get("failed"),
            retrying: row.get("retrying"),
            suspended: row.get("suspended"),
        })
    }

    fn wait_after(&self, message: &ClaimedWebhook, outcome: &WebhookOutcome) -> Duration {
        let attempt = usize::try_from(message.attempt - 1).unwrap_or_default();
        let waits = &self.settings.retry_after;
        match outcome.failure().and(waits.get(attempt).or(waits.last())) {
            Some(wait) => *wait,
            None => Duration::ZERO,
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

fn name(outcome: &WebhookOutcome) -> &'static str {
    match outcome {
        WebhookOutcome::Sent => "completed",
        WebhookOutcome::MessageRefused { .. } | WebhookOutcome::Failed { .. } => "pending",
        WebhookOutcome::Deferred => "released",
    }
}

fn failure(outcome: &WebhookOutcome) -> (Option<&'static str>, Option<&str>) {
    outcome
        .failure()
        .map(|(reason, error)| (reason.as_str(), error))
        .unzip()
}

/// How many messages are due and left for the next call.
pub(crate) async fn count_due(transaction: &Transaction) -> Result<i64> {
    let sql = "SELECT count(*) AS due FROM public.booking_automation_events
                WHERE event_type = 'webhook' AND status IN ('pending', 'sending')
                  AND next_attempt_at <= clock_timestamp()";
    Ok(transaction.query_one(sql, &[]).await?.get("due"))
}
