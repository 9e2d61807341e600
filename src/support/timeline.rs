//! Everything that happened to one booking and its messages, and what is still to come: why somebody was, or was not,
//! reminded, in sentences. Reads alone.

use chrono::{DateTime, Utc};
use futures_util::future;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::projection::{self, ToCome};
use crate::config::PassSettings;
use crate::database::{Result, Transaction, finite, json};
use crate::reminders::{self, Expected};

/// Events of one booking that are told, at most: the latest.
const EVENTS: i64 = 1_000;

/// What there is to tell of a booking.
#[derive(Debug, Serialize)]
pub(crate) struct Timeline {
    booking_id: Uuid,
    as_of: DateTime<Utc>,
    /// `None`: it was deleted.
    booking: Option<Booking>,
    /// In the order in which it happened.
    happened: Vec<Entry>,
    /// In the order in which it is to happen, if nothing changes.
    planned: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Booking {
    status: String,
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    /// The automation neither completes it nor lets it expire; with a reason, it does not start it, either.
    automation_blocked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_reason: Option<String>,
}

/// Something that happened, or is to: a time, a sentence, and what the sentence says in members.
#[derive(Debug, Serialize)]
struct Entry {
    /// `None`: with the next pass.
    at: Option<DateTime<Utc>>,
    text: String,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum What {
    Status {
        from: Option<String>,
        to: Option<String>,
        by: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What was decided to be refunded.
        #[serde(skip_serializing_if = "Option::is_none")]
        refund: Option<Value>,
    },
    Message {
        #[serde(skip_serializing_if = "Option::is_none")]
        event_id: Option<Uuid>,
        rule: String,
        audience: String,
        channel: String,
        due_at: Option<DateTime<Utc>>,
        status: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// One for each request that was made, and what became of it.
        #[serde(skip_serializing_if = "is_nothing")]
        attempts: Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_attempt_at: Option<DateTime<Utc>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message_id: Option<String>,
        /// What the provider said of it afterwards.
        #[serde(skip_serializing_if = "is_nothing")]
        provider: Value,
    },
    Webhook {
        /// The subscription.
        webhook_id: String,
        /// What it was told: started, completed and so on.
        about: String,
        /// What the receiver knows the message by: its `webhook-id`.
        message_id: Option<String>,
        due_at: Option<DateTime<Utc>>,
        status: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        #[serde(skip_serializing_if = "is_nothing")]
        attempts: Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_attempt_at: Option<DateTime<Utc>>,
    },
}

fn is_nothing(value: &Value) -> bool {
    value.as_array().is_none_or(Vec::is_empty)
}

/// `None`: nothing is known of such a booking.
pub(crate) async fn of(
    transaction: &Transaction,
    settings: &PassSettings,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
) -> Result<Option<Timeline>> {
    let booking = "SELECT coalesce(b.status, ''), b.scheduled_at, booking_end(b.scheduled_at, b.duration_minutes),
                          b.auto_complete_blocked IS TRUE,
                          CASE WHEN b.auto_complete_blocked IS TRUE THEN s.blocked_reason END
                     FROM bookings b LEFT JOIN booking_automation_state s ON s.booking_id = b.id
                    WHERE b.id = $1";
    let events = "SELECT e.id, e.event_type, e.event_data, e.scheduled_at, e.executed_at, e.status, e.reason, e.rule, e.audience,
                         e.channel, e.next_attempt_at, e.message_id, e.created_at,
                         (SELECT jsonb_agg(jsonb_build_object('at', f.occurred_at, 'said', f.kind) ORDER BY f.id)
                            FROM booking_automation_feedback f WHERE f.event_id = e.id)
                    FROM booking_automation_events e
                   WHERE e.booking_id = $1
                   ORDER BY e.seq DESC LIMIT $2";
    let (booking, events) = future::join(
        transaction.query(booking, &[(&booking_id, Type::UUID)]),
        transaction.query(events, &[(&booking_id, Type::UUID), (&EVENTS, Type::INT8)]),
    )
    .await;
    let (booking, events) = (booking?, events?);
    if booking.is_empty() && events.is_empty() {
        return Ok(None);
    }
    let mut happened: Vec<Entry> = events.iter().rev().map(entry).collect();
    happened.sort_by_key(|entry| entry.at);
    let mut planned = Vec::new();
    let booking = booking.first().map(|row| Booking {
        status: row.get(0),
        starts_at: finite(row, 1),
        ends_at: finite(row, 2),
        automation_blocked: row.get(3),
        blocked_reason: row.get(4),
    });
    if booking.is_some() {
        let steps = projection::life_of(transaction, settings, as_of, booking_id).await?;
        planned.extend(steps.into_iter().map(|step| step_to_come(step, as_of)));
        planned.extend(reminders::expected(transaction, as_of, booking_id).await?.into_iter().map(expected));
    }
    planned.sort_by_key(|entry| entry.at);
    Ok(Some(Timeline { booking_id, as_of, booking, happened, planned }))
}

fn entry(row: &Row) -> Entry {
    let data = json(row, 2);
    let text = |member: &str| data[member].as_str().map(str::to_owned);
    let (kind, status, reason): (String, String, Option<String>) = (row.get(1), row.get(5), row.get(6));
    let executed_at = finite(row, 4);
    if kind == "webhook" {
        let (about, webhook_id): (String, String) = (row.get(7), row.get(8));
        return Entry {
            at: executed_at.or_else(|| finite(row, 3)),
            text: outcome_sentence(&message(&webhook_id, &about), &status, reason.as_deref()),
            what: What::Webhook {
                webhook_id,
                about,
                message_id: row.get(11),
                due_at: finite(row, 3),
                status,
                reason,
                attempts: data["attempts"].clone(),
                next_attempt_at: finite(row, 10),
            },
        };
    }
    if kind != "reminder_sent" {
        let (from, to, by, why) = (text("from"), text("to"), text("by"), text("reason"));
        let refund = data.get("refund").cloned();
        let mut text = status_sentence(from.as_deref(), to.as_deref(), by.as_deref(), why.as_deref(), &status);
        if let Some(refund) = &refund {
            let amount = refund["amount"].as_str().or(refund["percent"].as_str()).unwrap_or_default();
            let of = refund["total"].as_str().map_or("% of the price".to_owned(), |total| format!("of {total}"));
            text += &format!(" (to be refunded: {amount} {of})");
        }
        return Entry { at: executed_at, text, what: What::Status { from, to, by, reason: why, refund } };
    }
    let (rule, audience, channel): (String, String, String) = (row.get(7), row.get(8), row.get(9));
    let sentence = outcome_sentence(&reminder(&rule, &audience, &channel), &status, reason.as_deref());
    Entry {
        at: executed_at.or_else(|| finite(row, 12)),
        text: sentence,
        what: What::Message {
            event_id: Some(row.get(0)),
            rule,
            audience,
            channel,
            due_at: finite(row, 3),
            status,
            reason,
            attempts: data["attempts"].clone(),
            next_attempt_at: finite(row, 10),
            message_id: row.get(11),
            provider: json(row, 13),
        },
    }
}

fn status_sentence(from: Option<&str>, to: Option<&str>, by: Option<&str>, why: Option<&str>, status: &str) -> String {
    let (from, to, by) = (from.unwrap_or("nothing"), to.unwrap_or("nothing"), by.unwrap_or("somebody"));
    let by = if by == "booking-automation" { "the automation" } else { by };
    if status == "failed" {
        return format!("The database refused to let {by} make it {to}, from {from}. It is tried again later.");
    }
    match why {
        Some(why) => format!("{by} made it {to}, from {from}: {why}"),
        None => format!("{by} made it {to}, from {from}."),
    }
}

fn reminder(rule: &str, audience: &str, channel: &str) -> String {
    format!("The {rule} reminder to the {audience} by {channel}")
}

fn message(webhook_id: &str, about: &str) -> String {
    let about = match about {
        "started" => "it started",
        "completed" => "it was completed",
        "expired" => "it expired",
        "cancelled" => "it was cancelled",
        "rescheduled" => "it was moved",
        "reminder_sent" => "a reminder was sent",
        other => other,
    };
    format!("The message to webhook {webhook_id} that {about}")
}

fn outcome_sentence(what: &str, status: &str, reason: Option<&str>) -> String {
    let why = reason.map_or("nobody said why", because);
    match status {
        "completed" => format!("{what} was sent."),
        "skipped" => format!("{what} was not sent: {why}."),
        "failed" => format!("{what} failed for good: {why}."),
        "sending" => format!("{what} is being sent."),
        _ if reason.is_some() => format!("{what} waits for its next attempt: {why}."),
        _ => format!("{what} waits for its turn."),
    }
}

/// The reason of an event, in words.
fn because(reason: &str) -> &str {
    match reason {
        "booked_late" => {
            "the booking was made, confirmed or moved only after it was due, with less than two thirds of its time left"
        }
        "superseded" => "a reminder nearer to the start went out, or is to, in its place",
        "no_address" => "there is no address to send it to",
        "suppressed" => "mail to this address came back for good, or its owner complained",
        "rescheduled" => "the booking was moved, or came into force anew, after it was due",
        "cancelled" => "the booking was no longer confirmed",
        "started" => "the booking had started",
        "deleted" => "the booking was deleted",
        "rule_off" => "the rule was switched off",
        "bad_address" => "the address is none that mail can be sent to",
        "rejected" => "the mail provider refused the message for good",
        "template" => "the message could not be written",
        "contacts" => "names and address could not be read from the database",
        "unknown" => "nobody knows whether the provider took it: no answer came",
        "unreachable" => "the mail provider could not be reached",
        "throttled" => "the mail provider asked to slow down",
        "limit" => "a limit of the account at the mail provider is reached",
        "quota" => "the account's quota at the mail provider is used up",
        "account" => "the account cannot send at the mail provider",
        "unsubscribed" => "the subscription was deleted",
        "switched_off" => "the subscription was switched off",
        "suspended" => "the webhook is suspended, since it took nothing for a day or said that it is gone",
        "gone" => "the webhook said that it is gone",
        "refused" => "the webhook did not accept it",
        "no_connection" => "the webhook could not be reached",
        "no_answer" => "the webhook did not answer in time, or not properly",
        "forbidden_target" => "the webhook's address is none that may be called",
        "bad_subscription" => "the subscription's URL or secret cannot be used",
        "forgotten" => "the person's data was deleted",
        other => other,
    }
}

/// A step of the automation's, if nobody does anything.
fn step_to_come(step: ToCome, as_of: DateTime<Utc>) -> Entry {
    let ToCome { at, from, to } = step;
    let at = (at > as_of).then_some(at);
    Entry {
        at,
        text: match at {
            Some(_) => format!("The automation makes it {to}."),
            None => format!("The automation makes it {to} with the next pass."),
        },
        what: What::Status {
            from: Some(from),
            to: Some(to),
            by: Some("booking-automation".to_owned()),
            reason: None,
            refund: None,
        },
    }
}

fn expected(expected: Expected) -> Entry {
    let Expected { rule, audience, channel, at, due_at, reason } = expected;
    let what = reminder(&rule, &audience, &channel);
    let text = match &reason {
        None => format!("{what} is to be sent."),
        Some(reason) => format!("{what} is not going to be sent: {}.", because(reason)),
    };
    Entry {
        at,
        text,
        what: What::Message {
            event_id: None,
            rule,
            audience,
            channel,
            due_at: Some(due_at),
            status: "planned".to_owned(),
            reason,
            attempts: Value::Array(Vec::new()),
            next_attempt_at: None,
            message_id: None,
            provider: Value::Array(Vec::new()),
        },
    }
}
