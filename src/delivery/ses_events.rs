//! Reads SES's events, which arrive through EventBridge.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::channels::email::EVENT_TAG;
use crate::delivery::feedback::{Feedback, MalformedEvent, text};
use crate::primitives::email_address::as_sent_to;
use crate::primitives::errors::redact_addresses;

/// The source of the events.
pub(crate) const SOURCE: &str = "aws.ses";
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

/// Parses an event of SES from EventBridge. `None`: its type is not recorded, or its message has no
/// tag of ours.
///
/// # Errors
/// Names the missing member.
pub fn parse(event: &Value) -> std::result::Result<Option<Feedback>, MalformedEvent> {
    let detail = &event["detail"];
    let event_type = text(&detail["eventType"]).ok_or(MalformedEvent("SES", "detail.eventType"))?;
    let Some((_, object, kind)) = KINDS.iter().find(|(name, ..)| *name == event_type) else {
        return Ok(None);
    };
    let mail = &detail["mail"];
    let message_id =
        text(&mail["messageId"]).ok_or(MalformedEvent("SES", "detail.mail.messageId"))?;
    // Messages of other senders in the configuration set have no such tag.
    let Some(event_id) = text(&mail["tags"][EVENT_TAG][0]).and_then(|tag| tag.parse().ok()) else {
        return Ok(None);
    };
    let said = &detail[object];
    // Not every kind has a time of its own.
    let occurred_at = [&said["timestamp"], &mail["timestamp"]]
        .into_iter()
        .find_map(time);
    let is_permanent = *kind == "bounced" && said["bounceType"] == "Permanent";
    let recipients = match *kind {
        "bounced" if is_permanent => &said["bouncedRecipients"],
        // `not-spam`: the recipient moved it out of the spam folder.
        "complained" if said["complaintFeedbackType"] != "not-spam" => {
            &said["complainedRecipients"]
        }
        _ => &Value::Null,
    };
    Ok(Some(Feedback {
        is_lost: is_permanent || *kind == "rejected",
        is_bad_number: false,
        bounced_softly: Some(said)
            .filter(|_| *kind == "bounced")
            .and_then(softly_bounced),
        event_id,
        message_id,
        kind,
        occurred_at: occurred_at.ok_or(MalformedEvent("SES", "detail.mail.timestamp"))?,
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

/// The address that a transient bounce is about. A single one says nothing about the next message.
fn softly_bounced(bounce: &Value) -> Option<String> {
    // The other types are about the message: too large, or its content or attachment refused.
    let is_of_mailbox = ["MailboxFull", "General"]
        .map(Value::from)
        .contains(&bounce["bounceSubType"]);
    let is_soft = bounce["bounceType"] == "Transient" && is_of_mailbox;
    // Each mail has one recipient.
    address(&bounce["bouncedRecipients"][0])
        .filter(|_| is_soft)
        .map(|address| as_sent_to(&address))
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
