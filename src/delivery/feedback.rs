//! Records SES's events about a message, which arrive through EventBridge.
//!
//! Events arrive twice, late, out of order, before our own record of the send, and for messages
//! that are not ours. So each event is stored once, in its own row. Whenever it comes, it settles
//! an unknown outcome. Its only other effect: an address with a permanent bounce or a complaint is
//! suppressed.

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

use crate::channels::email::EVENT_TAG;
use crate::database::owner_functions::IS_KNOWN;
use crate::database::{Begin, Database, Result};
use crate::primitives::email_address::as_sent_to;
use crate::primitives::errors::redact_addresses;

pub(crate) static FEEDBACK: LazyLock<String> =
    LazyLock::new(|| include_str!("feedback.sql").replace("{are_groups_known}", IS_KNOWN));
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

/// SES's name of an event, the object with its details, and our name (SES Developer Guide,
/// "Contents of event data"). Others (opens, clicks, subscriptions) are not recorded.
const KINDS: [(&str, &str, &str); 8] = [
    ("Send", "send", "sent"),
    ("Delivery", "delivery", "delivered"),
    ("Bounce", "bounce", "bounced"),
    ("Complaint", "complaint", "complained"),
    ("Reject", "reject", "rejected"),
    ("DeliveryDelay", "deliveryDelay", "delayed"),
    ("Rendering Failure", "failure", "rendering_failed"),
    ("RenderingFailure", "failure", "rendering_failed"),
];

/// Longest text that is kept from SES or the recipient's server, in characters.
const LONGEST_TEXT: usize = 500;

/// An SES event about a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    /// The message: its tag.
    pub event_id: Uuid,
    /// SES's id of it.
    pub message_id: String,
    /// What happened: `sent`, `delivered`, `bounced` and so on.
    pub kind: &'static str,
    /// By SES's clock.
    pub occurred_at: DateTime<Utc>,
    /// Its details, without addresses.
    pub details: Value,
    /// Addresses to suppress.
    pub suppress: Vec<String>,
}

/// An event that is not of the documented shape.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the SES event has no {0}")]
pub struct MalformedEvent(&'static str);

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
pub(crate) async fn record_ses_event(
    database: &Database,
    feedback: Option<&Feedback>,
    until: Instant,
) -> Result<FeedbackOutcome> {
    let Some(Feedback {
        event_id,
        message_id,
        kind,
        occurred_at,
        details,
        suppress,
    }) = feedback
    else {
        return Ok(FeedbackOutcome::Ignored {
            reason: "event_type",
        });
    };
    let parameters = [
        (event_id as _, Type::UUID),
        (message_id as _, Type::TEXT),
        (kind as _, Type::TEXT),
        (occurred_at as _, Type::TIMESTAMPTZ),
        (&Json(details) as _, Type::JSONB),
        (suppress as _, Type::TEXT_ARRAY),
    ];
    let (transaction, _) = database.begin(&Begin::until(until), "").await?;
    let row = transaction
        .commit_after(async |transaction| {
            // Locks the messages first, as a sender does, in a statement of its own, so that the
            // second transaction sees what the first one wrote.
            let (locked, row) = future::join(
                transaction.execute(&LOCK_MAIL, &parameters[..1]),
                transaction.query_one(&FEEDBACK, &parameters),
            )
            .await;
            locked?;
            row
        })
        .await?;
    let recorded = FeedbackOutcome::of(&row, kind);
    tracing::info!(
        event.id = %event_id,
        feedback.kind = kind,
        feedback = ?recorded,
        "received an SES event"
    );
    Ok(recorded)
}

/// Parses an event from EventBridge. `None`: its type is not recorded, or its message has no tag of
/// ours.
///
/// # Errors
/// Names the missing member.
pub fn parse(event: &Value) -> std::result::Result<Option<Feedback>, MalformedEvent> {
    let detail = &event["detail"];
    let event_type = text(&detail["eventType"]).ok_or(MalformedEvent("detail.eventType"))?;
    let Some((_, object, kind)) = KINDS.iter().find(|(name, ..)| *name == event_type) else {
        return Ok(None);
    };
    let mail = &detail["mail"];
    let message_id = text(&mail["messageId"]).ok_or(MalformedEvent("detail.mail.messageId"))?;
    // Messages of other senders in the configuration set have no such tag.
    let Some(event_id) = text(&mail["tags"][EVENT_TAG][0]).and_then(|tag| tag.parse().ok()) else {
        return Ok(None);
    };
    let said = &detail[object];
    // Not every kind has a time of its own.
    let occurred_at = [&said["timestamp"], &mail["timestamp"]]
        .into_iter()
        .find_map(time);
    let recipients = match *kind {
        // A transient bounce says nothing about the next message.
        "bounced" if said["bounceType"] == "Permanent" => &said["bouncedRecipients"],
        // `not-spam`: the recipient moved it out of the spam folder.
        "complained" if said["complaintFeedbackType"] != "not-spam" => {
            &said["complainedRecipients"]
        }
        _ => &Value::Null,
    };
    Ok(Some(Feedback {
        event_id,
        message_id,
        kind,
        occurred_at: occurred_at.ok_or(MalformedEvent("detail.mail.timestamp"))?,
        details: without_addresses(said),
        suppress: recipients
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(address)
            .map(|address| as_sent_to(&address))
            .collect(),
    }))
}

/// A text that is not empty, and that PostgreSQL accepts.
fn text(value: &Value) -> Option<String> {
    let text: String = value
        .as_str()?
        .chars()
        .filter(|character| *character != '\0')
        .take(LONGEST_TEXT)
        .collect();
    (!text.is_empty()).then_some(text)
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?)
        .ok()
        .map(Into::into)
}

/// A recipient's address, without a name and brackets.
fn address(recipient: &Value) -> Option<String> {
    let address = text(&recipient["emailAddress"])?;
    let bare = address
        .rsplit_once('<')
        .map_or(address.as_str(), |(_, bare)| bare.trim_end_matches('>'));
    Some(bare.trim().to_owned()).filter(|bare| !bare.is_empty())
}

/// The details without addresses, which servers quote in their answers.
fn without_addresses(said: &Value) -> Value {
    match said {
        // Redact before truncating: half an address would not be recognized.
        Value::String(words) => {
            text(&redact_addresses(words).into()).map_or(Value::Null, Value::from)
        }
        Value::Array(items) => items.iter().map(without_addresses).collect(),
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !["emailAddress", "recipients"].contains(&name.as_str()))
            .map(|(name, value)| {
                (
                    text(&redact_addresses(name).into()).unwrap_or_default(),
                    without_addresses(value),
                )
            })
            .collect(),
        other => other.clone(),
    }
}
