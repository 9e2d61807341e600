//! Sentences about what happened.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::bookings::cancellation::tiers::format_moment;
use crate::delivery::event::EventStatus;
use crate::reminders::Reason;

/// The audit trail's name of this program.
pub(crate) const AUTOMATION: &str = "booking-automation";

/// Of a booking that was completed early, or moved after it was completed.
pub(crate) const COMPLETED_AHEAD: &str =
    "The booking is completed, but its start lies ahead. The automation does not change it.";

/// The facts of a status change.
pub(crate) struct StatusFacts<'a> {
    pub(crate) from: Option<&'a str>,
    pub(crate) to: Option<&'a str>,
    pub(crate) by: Option<&'a str>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) refund: Option<&'a Value>,
}

/// A status change, made or refused.
pub(crate) fn status_sentence(facts: &StatusFacts<'_>, was_refused: bool) -> String {
    let (from, to) = (
        facts.from.unwrap_or("no status"),
        facts.to.unwrap_or("no status"),
    );
    let by = subject(facts.by);
    if was_refused {
        return format!(
            "The database refused a change from {from} to {to} by {}. It is tried again later.",
            lower(by)
        );
    }
    let mut sentence = format!("{by} changed the status from {from} to {to}");
    sentence += &reason_note(facts.reason);
    if let Some(refund) = facts.refund {
        sentence += &refund_note(refund);
    }
    sentence
}

/// A move of the start; a start may be missing.
pub(crate) fn move_sentence(
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    by: Option<&str>,
    reason: Option<&str>,
) -> String {
    let start = |start: Option<DateTime<Utc>>| start.map_or("no start".to_owned(), format_moment);
    let (from, to) = (start(from), start(to));
    let (by, reason) = (subject(by), reason_note(reason));
    format!("{by} moved the start from {from} to {to}{reason}")
}

/// The answer of a customer who was asked.
pub(crate) fn attendance_sentence(starts_at: Option<DateTime<Utc>>) -> String {
    match starts_at {
        Some(starts_at) => format!(
            "The customer said that they will come at {}.",
            format_moment(starts_at)
        ),
        None => "The customer said that they will come.".to_owned(),
    }
}

fn subject(by: Option<&str>) -> &str {
    match by {
        Some(AUTOMATION) => "The automation",
        Some(by) => by,
        None => "An unknown user",
    }
}

fn reason_note(reason: Option<&str>) -> String {
    reason.map_or(".".to_owned(), |reason| format!(": {reason}"))
}

fn lower(by: &str) -> &str {
    if by == "The automation" {
        "the automation"
    } else {
        by
    }
}

fn refund_note(refund: &Value) -> String {
    let amount = refund["amount"]
        .as_str()
        .or(refund["percent"].as_str())
        .unwrap_or_default();
    let of = refund["total"]
        .as_str()
        .map_or("% of the price".to_owned(), |total| format!("of {total}"));
    format!(" (to be refunded: {amount} {of})")
}

/// A step to come.
pub(crate) fn planned_step_sentence(to: &str, with_next_pass: bool) -> String {
    match with_next_pass {
        true => format!("The next pass changes the status to {to}."),
        false => format!("The automation changes the status to {to}."),
    }
}

/// The subject of a sentence on a reminder.
pub(crate) fn reminder_subject(rule: &str, audience: &str, channel: &str) -> String {
    format!("The {rule} reminder to the {audience} by {channel}")
}

/// The subject of a sentence on a notice. Rows from before the installation have no rule.
pub(crate) fn notice_subject(rule: &str, audience: &str, channel: &str) -> String {
    match rule {
        "" => "A notification from before the installation".to_owned(),
        rule => format!("The {rule} notice to the {audience} by {channel}"),
    }
}

/// A notice that no pass has decided on.
pub(crate) fn queued_notice_sentence(rule: &str, audience: &str, is_held: bool) -> String {
    match is_held {
        true => format!(
            "The {rule} notice to the {audience} is held until somebody releases or drops it: one \
             transaction changed too many bookings."
        ),
        false => format!("The {rule} notice to the {audience} will be sent."),
    }
}

/// The subject of a sentence on a webhook message.
pub(crate) fn webhook_subject(webhook_id: &str, about: &str) -> String {
    format!("The booking.{about} message to webhook {webhook_id}")
}

/// The outcome of a message.
pub(crate) fn outcome_sentence(subject: &str, status: &str, reason: Option<&str>) -> String {
    let why = reason.map_or("no reason is recorded", sentence_of_reason);
    match EventStatus::from_name(status) {
        Some(EventStatus::Completed) => format!("{subject} was sent."),
        Some(EventStatus::Skipped) => format!("{subject} was not sent: {why}."),
        Some(EventStatus::Failed) => format!("{subject} failed permanently: {why}."),
        Some(EventStatus::Sending) => format!("{subject} is being sent."),
        _ if reason.is_some() => format!("{subject} waits for its next attempt: {why}."),
        _ => format!("{subject} waits to be sent."),
    }
}

/// Of a message that was tried in the mail of another booking's.
pub(crate) fn shared_mail_sentence(booking_id: Uuid) -> String {
    format!(" It shared its mail with the reminder of booking {booking_id}.")
}

/// What a message is planned to become.
pub(crate) fn planned_reminder_sentence(subject: &str, reason: Option<&str>) -> String {
    match reason {
        None => format!("{subject} will be sent."),
        Some(reason) => format!(
            "{subject} will not be sent: {}.",
            sentence_of_reason(reason)
        ),
    }
}

/// The reason of an event in words, or its name if this version does not know it.
pub(crate) fn sentence_of_reason(reason: &str) -> &str {
    match Reason::from_name(reason) {
        Some(reason) => reason.sentence(),
        None => reason,
    }
}
