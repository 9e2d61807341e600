//! Records the providers' events about a message, which arrive through EventBridge: SES's events,
//! and the receipts of SMS.
//!
//! Events arrive twice, late, out of order, before our own record of the send, and for messages
//! that are not ours. So each event is stored once, in its own row. Whenever it comes, it settles
//! an unknown outcome. Its other effects: an address that cannot be reached, or whose owner
//! complained, is suppressed, and a message that will never arrive goes on by the next channel of
//! its chain.

use std::fmt;
use std::sync::LazyLock;
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures_util::future;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, Type};
use uuid::Uuid;

use crate::database::owner_functions::IS_KNOWN;
use crate::database::{Begin, Database, Parameter, Result, Transaction};
use crate::delivery::suppression::LOCK_ADDRESS;

pub(crate) static FEEDBACK: LazyLock<String> = LazyLock::new(|| {
    feedback_sql(include_str!("open_next.sql"))
        .replace("{suppressed}", include_str!("suppress.sql"))
});
/// Before `migrate`, there are no chains, and only permanent bounces and complaints suppress.
pub(crate) static FEEDBACK_ALONE: LazyLock<String> = LazyLock::new(|| {
    feedback_sql("opened AS (SELECT WHERE $7 AND false),")
        .replace("{suppressed}", include_str!("suppress_alone.sql"))
});
fn feedback_sql(opened: &str) -> String {
    include_str!("feedback.sql")
        .replace("{opened}", opened)
        .replace("{are_groups_known}", IS_KNOWN)
}

/// Locks a message and those that it leads, in the order of an erasure. Before `migrate`, events
/// lack the column.
pub(crate) static LOCK_MAIL: LazyLock<String> = LazyLock::new(|| {
    "
    SELECT FROM public.booking_automation_events
     WHERE id = ANY (ARRAY(
           SELECT $1::uuid UNION ALL
           SELECT led.id FROM (SELECT NULL::uuid AS led_by) AS absent
            CROSS JOIN LATERAL (
                  SELECT e.id FROM public.booking_automation_events e
                   WHERE {are_groups_known} AND led_by = $1) AS led))
     ORDER BY status = 'sending', id FOR UPDATE"
        .replace("{are_groups_known}", IS_KNOWN)
});

/// Longest text that is kept from a provider or the recipient's server, in characters.
const LONGEST_TEXT: usize = 500;

/// A provider's event about a message. Its addresses are never printed.
#[derive(Clone, PartialEq)]
pub struct Feedback {
    /// The message: its tag.
    pub event_id: Uuid,
    /// The provider's id of it.
    pub message_id: String,
    /// What happened: `sent`, `delivered`, `bounced` and so on.
    pub kind: &'static str,
    /// By the provider's clock.
    pub occurred_at: DateTime<Utc>,
    /// Its details, without addresses.
    pub details: Value,
    /// Addresses to suppress.
    pub suppress: Vec<String>,
    /// The address that a transient bounce came from: with the third in a month, it is suppressed
    /// for a while.
    pub bounced_softly: Option<String>,
    /// Whether the number that the message went to is not valid. A receipt may not have it.
    pub is_bad_number: bool,
    /// Whether the message will never arrive: the next channel of its chain is used.
    pub is_lost: bool,
}

impl fmt::Debug for Feedback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feedback")
            .field("event_id", &self.event_id)
            .field("kind", &self.kind)
            .field("occurred_at", &self.occurred_at)
            .field("suppress", &self.suppress.len())
            .field("has_bounced_softly", &self.bounced_softly.is_some())
            .finish_non_exhaustive()
    }
}

impl Feedback {
    /// The parameters of the statement that records it.
    fn parameters<'a>(&'a self, details: &'a Json<&'a Value>) -> [Parameter<'a>; 9] {
        [
            (&self.event_id, Type::UUID),
            (&self.message_id, Type::TEXT),
            (&self.kind, Type::TEXT),
            (&self.occurred_at, Type::TIMESTAMPTZ),
            (details, Type::JSONB),
            (&self.suppress, Type::TEXT_ARRAY),
            (&self.is_lost, Type::BOOL),
            (&self.bounced_softly, Type::TEXT),
            (&self.is_bad_number, Type::BOOL),
        ]
    }
}

/// An event that is not of the documented shape.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the {0} event has no {1}")]
pub struct MalformedEvent(pub(crate) &'static str, pub(crate) &'static str);

/// How an event was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum FeedbackOutcome {
    /// It was stored.
    Recorded {
        kind: &'static str,
        /// Whether it settled a message's unknown outcome.
        settled: bool,
        /// How many addresses are newly suppressed.
        suppressed: i64,
    },
    /// It was not stored.
    Ignored {
        /// `not_ours`: no message of this database; `duplicate`: stored before; `event_type`: a
        /// type that is not recorded.
        reason: &'static str,
    },
}

impl FeedbackOutcome {
    fn of(row: &Row, kind: &'static str) -> Self {
        match (row.get("is_ours"), row.get("is_new")) {
            (false, _) => Self::Ignored { reason: "not_ours" },
            (true, false) => Self::Ignored {
                reason: "duplicate",
            },
            (true, true) => Self::Recorded {
                kind,
                settled: row.get("has_settled"),
                suppressed: row.get("suppressed"),
            },
        }
    }
}

/// Records an event.
///
/// # Errors
/// When the database refuses it. Lambda then delivers the event again.
pub(crate) async fn record_provider_event(
    database: &Database,
    feedback: Option<&Feedback>,
    until: Instant,
) -> Result<FeedbackOutcome> {
    let Some(feedback) = feedback else {
        return Ok(FeedbackOutcome::Ignored {
            reason: "event_type",
        });
    };
    let details = Json(&feedback.details);
    let parameters = feedback.parameters(&details);
    let (transaction, _) = database.begin(&Begin::until(until), "").await?;
    let sql = match is_up_to_date(&transaction).await? {
        true => &FEEDBACK,
        false => &FEEDBACK_ALONE,
    };
    let row = transaction
        .commit_after(async |transaction| {
            // Locks the messages first, as a sender does, and then the address, of which bounces
            // are counted, in statements of their own, so that the second transaction sees what
            // the first one wrote. COMMIT follows at once: nothing here may wait before the last
            // statement is sent.
            let (locked, counted, row) = future::join3(
                transaction.execute(&LOCK_MAIL, &parameters[..1]),
                lock_address(transaction, feedback),
                transaction.query_one(sql, &parameters),
            )
            .await;
            locked?;
            counted?;
            row
        })
        .await?;
    let recorded = FeedbackOutcome::of(&row, feedback.kind);
    tracing::info!(
        event.id = %feedback.event_id,
        feedback.kind = feedback.kind,
        feedback = ?recorded,
        "received a provider's event"
    );
    Ok(recorded)
}

/// One transient bounce of an address at a time.
async fn lock_address(transaction: &Transaction, feedback: &Feedback) -> Result<()> {
    if let Some(address) = &feedback.bounced_softly {
        let parameters = [(address as _, Type::TEXT)];
        transaction.execute(LOCK_ADDRESS, &parameters).await?;
    }
    Ok(())
}

async fn is_up_to_date(transaction: &Transaction) -> Result<bool> {
    let sql = format!("SELECT {IS_KNOWN} AS is_up_to_date");
    let row = transaction.query_one(&sql, &[]).await?;
    Ok(row.get("is_up_to_date"))
}

/// A text that is not empty, and that PostgreSQL accepts.
pub(crate) fn text(value: &Value) -> Option<String> {
    let text: String = value
        .as_str()?
        .chars()
        .filter(|character| *character != '\0')
        .take(LONGEST_TEXT)
        .collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;
    use uuid::Uuid;

    use super::Feedback;

    #[test]
    fn the_addresses_of_an_event_are_never_printed() {
        let feedback = Feedback {
            event_id: Uuid::nil(),
            message_id: "message of carla@customers.example".to_owned(),
            kind: "bounced",
            occurred_at: DateTime::UNIX_EPOCH,
            details: json!({"said": "carla@customers.example is full"}),
            suppress: vec!["carla@customers.example".to_owned()],
            bounced_softly: Some("carla@customers.example".to_owned()),
            is_bad_number: false,
            is_lost: true,
        };
        let printed = format!("{feedback:?}");
        assert!(printed.contains("\"bounced\""), "{printed}");
        assert!(!printed.contains("carla"), "{printed}");
    }
}
