//! Everything that happened to one booking and its messages, and what is to come, in sentences: it
//! shows why a person was or was not reminded. It only reads.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use futures_util::future;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::projection::{self, ProjectedStep};
use crate::bookings::settings::TransitionSettings;
use crate::bookings::step_rules::StepRules;
use crate::database::{Result, Transaction, finite, json};
use crate::delivery::event::{EventStatus, EventType};
use crate::people::attendance::{Attendance, read_attendance};
use crate::reminders::notices::{QueuedNotice, queued_notices};
use crate::reminders::planned::{PlannedReminder, planned_reminders};
use crate::support::booking_now::{BookingNow, read_booking};
use crate::support::route::Route;
use crate::support::sentences::{
    AUTOMATION, StatusFacts, attendance_sentence, move_sentence, notice_subject, outcome_sentence,
    planned_reminder_sentence, planned_step_sentence, queued_notice_sentence, reminder_subject,
    shared_mail_sentence, status_sentence, webhook_subject,
};
use crate::support::{EVENT_DATA, guest_of};

/// Events of one booking in a timeline, at most: the latest.
const MOST_EVENTS: i64 = 1_000;

pub(crate) static EVENTS: LazyLock<String> =
    LazyLock::new(|| include_str!("timeline.sql").replace("{event_data}", EVENT_DATA));

/// The timeline of a booking.
#[derive(Debug, Serialize)]
pub(crate) struct Timeline {
    booking_id: Uuid,
    as_of: DateTime<Utc>,
    /// `None`: it was deleted.
    booking: Option<BookingNow>,
    /// In the order in which it happened.
    happened: Vec<Entry>,
    /// In the order in which it will happen, if nothing changes.
    planned: Vec<Entry>,
}

/// Something that happened or will happen: a time, a sentence, and the facts of the sentence as
/// members.
#[derive(Debug, Serialize)]
struct Entry {
    /// `None`: with the next pass.
    at: Option<DateTime<Utc>>,
    text: String,
    #[serde(flatten)]
    what: EntryKind,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum EntryKind {
    Status {
        from: Option<String>,
        to: Option<String>,
        by: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The refund that was decided.
        #[serde(skip_serializing_if = "Option::is_none")]
        refund: Option<Value>,
    },
    /// A move of the start.
    Rescheduled {
        event_id: Uuid,
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
        by: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    Message {
        #[serde(skip_serializing_if = "Option::is_none")]
        event_id: Option<Uuid>,
        rule: String,
        audience: String,
        channel: String,
        #[serde(flatten)]
        route: Box<Route>,
        /// The guest; `None`: the first recipient.
        #[serde(skip_serializing_if = "Option::is_none")]
        recipient: Option<String>,
        due_at: Option<DateTime<Utc>>,
        status: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Each request that was made, and its outcome.
        #[serde(skip_serializing_if = "is_nothing")]
        attempts: Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_attempt_at: Option<DateTime<Utc>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message_id: Option<String>,
        /// The booking whose message led the mail, if it was for several.
        #[serde(skip_serializing_if = "Option::is_none")]
        sent_with: Option<Uuid>,
        /// Later events of the provider.
        #[serde(skip_serializing_if = "is_nothing")]
        provider: Value,
    },
    /// The customer said that they will come.
    Attendance {
        /// The start that they were shown.
        starts_at: Option<DateTime<Utc>>,
    },
    Webhook {
        /// The subscription.
        webhook_id: String,
        /// The kind of event: started, completed and so on.
        about: String,
        /// The `webhook-id` that the receiver sees.
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

/// Reads the timeline of one booking. `None`: the booking is unknown.
pub(crate) async fn timeline(
    transaction: &Transaction,
    settings: &TransitionSettings,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
) -> Result<Option<Timeline>> {
    // Digests belong to no booking.
    if booking_id.is_nil() {
        return Ok(None);
    }
    let rules = StepRules::read(transaction, settings).await?;
    let (booking, events, attendance) = future::join3(
        read_booking(transaction, &rules, as_of, booking_id),
        read_events(transaction, booking_id),
        read_attendance(transaction, booking_id),
    )
    .await;
    let (booking, mut happened) = (booking?, events?);
    happened.extend(attendance?.map(Entry::of_attendance));
    if booking.is_none() && happened.is_empty() {
        return Ok(None);
    }
    happened.sort_by_key(|entry| entry.at);
    let mut planned = Vec::new();
    if booking.is_some() {
        let steps = projection::projected_steps(transaction, &rules, as_of, booking_id).await?;
        planned.extend(steps.into_iter().map(|step| planned_step(step, as_of)));
        let reminders = planned_reminders(transaction, rules.liveness, as_of, booking_id).await?;
        planned.extend(reminders.into_iter().map(planned_reminder));
        let notices = queued_notices(transaction, rules.liveness, booking_id).await?;
        planned.extend(notices.into_iter().map(planned_notice));
    }
    planned.sort_by_key(|entry| entry.at);
    Ok(Some(Timeline {
        booking_id,
        as_of,
        booking,
        happened,
        planned,
    }))
}

/// In the order in which they were written.
async fn read_events(transaction: &Transaction, booking_id: Uuid) -> Result<Vec<Entry>> {
    let rows = transaction
        .query(
            &EVENTS,
            &[(&booking_id, Type::UUID), (&MOST_EVENTS, Type::INT8)],
        )
        .await?;
    Ok(rows.iter().rev().map(Entry::of_event).collect())
}

impl Entry {
    fn of_event(row: &Row) -> Self {
        match EventType::from_name(row.get("event_type")) {
            Some(EventType::Webhook) => Self::of_webhook(row),
            Some(EventType::ReminderSent | EventType::GuestReminderSent) => {
                Self::of_message(row, reminder_subject)
            }
            Some(EventType::NotificationSent) => Self::of_message(row, notice_subject),
            Some(EventType::Rescheduled) => Self::of_move(row),
            _ => Self::of_status_change(row),
        }
    }

    fn of_attendance(answer: Attendance) -> Self {
        let starts_at = answer.starts_at;
        Self {
            at: answer.answered_at,
            text: attendance_sentence(starts_at),
            what: EntryKind::Attendance { starts_at },
        }
    }

    fn of_webhook(row: &Row) -> Self {
        let (about, webhook_id): (String, String) = (row.get("rule"), row.get("audience"));
        let (status, reason): (String, Option<String>) = (row.get("status"), row.get("reason"));
        let due_at = finite(row, "scheduled_at");
        Self {
            at: finite(row, "executed_at").or(due_at),
            text: outcome_sentence(
                &webhook_subject(&webhook_id, &about),
                &status,
                reason.as_deref(),
            ),
            what: EntryKind::Webhook {
                webhook_id,
                about,
                message_id: row.get("message_id"),
                due_at,
                status,
                reason,
                attempts: json(row, "event_data")["attempts"].clone(),
                next_attempt_at: finite(row, "next_attempt_at"),
            },
        }
    }

    fn of_message(row: &Row, subject: fn(&str, &str, &str) -> String) -> Self {
        let (rule, audience, channel): (String, String, String) =
            (row.get("rule"), row.get("audience"), row.get("channel"));
        let (status, reason): (String, Option<String>) = (row.get("status"), row.get("reason"));
        let sent_with: Option<Uuid> = row.get("sent_with");
        let recipient = guest_of(row);
        let told = match &recipient {
            Some(guest) => format!("{audience}'s guest {guest}"),
            None => audience.clone(),
        };
        let data = json(row, "event_data");
        let route = Route::of(&channel, row.get("via"), &status, &data);
        let subject = subject(&rule, &told, route.words());
        let mut text = outcome_sentence(&subject, &status, reason.as_deref());
        text += &route.note();
        text += &sent_with.map(shared_mail_sentence).unwrap_or_default();
        Self {
            at: finite(row, "executed_at").or_else(|| finite(row, "created_at")),
            text,
            what: EntryKind::Message {
                event_id: Some(row.get("id")),
                rule,
                audience,
                channel,
                route: Box::new(route),
                recipient,
                due_at: finite(row, "scheduled_at"),
                status,
                reason,
                attempts: data["attempts"].clone(),
                next_attempt_at: finite(row, "next_attempt_at"),
                message_id: row.get("message_id"),
                sent_with,
                provider: json(row, "provider"),
            },
        }
    }

    fn of_move(row: &Row) -> Self {
        let data = json(row, "event_data");
        let text = |member: &str| data[member].as_str().map(str::to_owned);
        let start = |member: &str| data[member].as_str().and_then(|text| text.parse().ok());
        let (from, to, by, reason) = (start("from"), start("to"), text("by"), text("reason"));
        Self {
            at: finite(row, "executed_at"),
            text: move_sentence(from, to, by.as_deref(), reason.as_deref()),
            what: EntryKind::Rescheduled {
                event_id: row.get("id"),
                from,
                to,
                by,
                reason,
            },
        }
    }

    fn of_status_change(row: &Row) -> Self {
        let data = json(row, "event_data");
        let text = |member: &str| data[member].as_str().map(str::to_owned);
        let (from, to, by, reason) = (text("from"), text("to"), text("by"), text("reason"));
        let refund = data.get("refund").cloned();
        let was_refused = row.get::<_, &str>("status") == EventStatus::Failed.as_str();
        let facts = StatusFacts {
            from: from.as_deref(),
            to: to.as_deref(),
            by: by.as_deref(),
            reason: reason.as_deref(),
            refund: refund.as_ref(),
        };
        let text = status_sentence(&facts, was_refused);
        Self {
            at: finite(row, "executed_at"),
            text,
            what: EntryKind::Status {
                from,
                to,
                by,
                reason,
                refund,
            },
        }
    }
}

/// A step that the automation will take, if nothing changes.
fn planned_step(step: ProjectedStep, as_of: DateTime<Utc>) -> Entry {
    let ProjectedStep { at, from, to } = step;
    let at = (at > as_of).then_some(at);
    Entry {
        at,
        text: planned_step_sentence(&to, at.is_none()),
        what: EntryKind::Status {
            from: Some(from),
            to: Some(to),
            by: Some(AUTOMATION.to_owned()),
            reason: None,
            refund: None,
        },
    }
}

fn planned_notice(queued: QueuedNotice) -> Entry {
    let QueuedNotice {
        rule,
        audience,
        due_at,
        is_held,
    } = queued;
    let status = if is_held { "held" } else { "planned" };
    Entry {
        at: Some(due_at).filter(|_| !is_held),
        text: queued_notice_sentence(&rule, &audience, is_held),
        what: EntryKind::planned_message(rule, audience, String::new(), due_at, status, None),
    }
}

fn planned_reminder(planned: PlannedReminder) -> Entry {
    let PlannedReminder {
        rule,
        audience,
        channel,
        at,
        due_at,
        reason,
    } = planned;
    let subject = reminder_subject(&rule, &audience, Route::planned(&channel).words());
    Entry {
        at,
        text: planned_reminder_sentence(&subject, reason.as_deref()),
        what: EntryKind::planned_message(rule, audience, channel, due_at, "planned", reason),
    }
}

impl EntryKind {
    fn planned_message(
        rule: String,
        audience: String,
        channel: String,
        due_at: DateTime<Utc>,
        status: &str,
        reason: Option<String>,
    ) -> Self {
        Self::Message {
            event_id: None,
            rule,
            audience,
            route: Box::new(Route::planned(&channel)),
            channel,
            recipient: None,
            due_at: Some(due_at),
            status: status.to_owned(),
            reason,
            attempts: Value::Null,
            next_attempt_at: None,
            message_id: None,
            sent_with: None,
            provider: Value::Null,
        }
    }
}
