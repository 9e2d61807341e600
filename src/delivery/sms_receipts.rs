//! Reads the receipts of SMS: the events "Text Message Delivery Status Updated" of AWS End User
//! Messaging, which arrive through EventBridge, at best effort, up to three days later.

use chrono::{DateTime, Datelike, Utc};
use serde_json::{Value, json};

use crate::channels::sms::EVENT_CONTEXT;
use crate::delivery::feedback::{Feedback, MalformedEvent, text};
use crate::primitives::errors::{redact_addresses, redact_numbers};

/// The source of the events.
pub(crate) const SOURCE: &str = "aws.sms-voice";
/// The events about SMS; others are about voice messages, MMS and registrations.
const DETAIL_TYPE: &str = "Text Message Delivery Status Updated";

/// What an event means for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is under way or has arrived, or nobody knows.
    Open,
    /// It will never arrive. A status that is not final is a delay.
    Lost,
    /// It will never arrive, and neither will another one to this number.
    BadNumber,
}

/// AWS's name of an event, our name, and what it means (AWS End User Messaging SMS User Guide,
/// "Event types for SMS, MMS, and voice", and `EventType` of the API).
const KINDS: [(&str, &str, Fate); 15] = [
    ("TEXT_QUEUED", "sent", Fate::Open),
    ("TEXT_PENDING", "sent", Fate::Open),
    ("TEXT_SENT", "sent", Fate::Open),
    // Accepted by the recipient's carrier. In some countries this is used in place of the next one.
    ("TEXT_SUCCESSFUL", "handed_over", Fate::Open),
    ("TEXT_DELIVERED", "delivered", Fate::Open),
    // "The destination phone number is not valid": the only one about the number itself.
    ("TEXT_INVALID", "bounced", Fate::BadNumber),
    // The text, or what the carrier, the device or the owner's own rules think of it.
    ("TEXT_INVALID_MESSAGE", "rejected", Fate::Lost),
    ("TEXT_BLOCKED", "rejected", Fate::Lost),
    ("TEXT_CARRIER_BLOCKED", "rejected", Fate::Lost),
    ("TEXT_PROTECT_BLOCKED", "rejected", Fate::Lost),
    ("TEXT_SPAM", "rejected", Fate::Lost),
    // The device is off or without a network, the carrier has a transient error, the message came
    // too late: the next one may arrive.
    ("TEXT_UNREACHABLE", "undelivered", Fate::Lost),
    ("TEXT_CARRIER_UNREACHABLE", "undelivered", Fate::Lost),
    ("TEXT_TTL_EXPIRED", "undelivered", Fate::Lost),
    // Also where the carrier has said nothing for 72 hours: it may have arrived.
    ("TEXT_UNKNOWN", "unknown", Fate::Open),
];

/// Parses a receipt. `None`: an event of another type, or of a message without a context of ours.
///
/// # Errors
/// Names the missing member.
pub fn parse(event: &Value) -> Result<Option<Feedback>, MalformedEvent> {
    if event["detail-type"] != DETAIL_TYPE {
        return Ok(None);
    }
    let malformed = |member| MalformedEvent("SMS", member);
    let detail = &event["detail"];
    let event_type = text(&detail["eventType"]).ok_or(malformed("detail.eventType"))?;
    let Some((_, kind, fate)) = KINDS.iter().find(|(name, ..)| *name == event_type) else {
        return Ok(None);
    };
    let message_id = text(&detail["messageId"]).ok_or(malformed("detail.messageId"))?;
    // Other messages of the account have no such context.
    let tag = text(&detail["context"][EVENT_CONTEXT]);
    let Some(event_id) = tag.and_then(|tag| tag.parse().ok()) else {
        return Ok(None);
    };
    let occurred_at = time(&detail["eventTimestamp"]);
    let is_final = detail["isFinal"] == true;
    let never_arrives = matches!(fate, Fate::Lost | Fate::BadNumber);
    Ok(Some(Feedback {
        event_id,
        message_id,
        kind: match never_arrives && !is_final {
            true => "delayed",
            false => kind,
        },
        occurred_at: occurred_at.ok_or(malformed("detail.eventTimestamp"))?,
        details: details_of(detail),
        suppress: Vec::new(),
        bounced_softly: None,
        is_bad_number: *fate == Fate::BadNumber && is_final,
        is_lost: never_arrives && is_final,
    }))
}

/// Milliseconds since 1970, in the years that people write.
fn time(value: &Value) -> Option<DateTime<Utc>> {
    let time = DateTime::from_timestamp_millis(value.as_i64()?)?;
    Some(time).filter(|time| (1970..=9999).contains(&time.year()))
}

/// What is kept of a receipt: no numbers. Parts and prices are those of the whole message.
fn details_of(detail: &Value) -> Value {
    // Redacted before it is cut: half a number would not be recognized.
    let known = |name: &str| {
        let words = detail[name].as_str()?;
        text(&redact_numbers(&redact_addresses(words)).into())
    };
    let parts = detail["totalMessageParts"].as_i64();
    let price = |name: &str| {
        let price = detail[name].as_f64();
        price.filter(|price| (0.0..1e6).contains(price))
    };
    let mut details = json!({
        "status": known("messageStatus"),
        "description": known("messageStatusDescription"),
        "is_final": detail["isFinal"].as_bool(),
        "country": known("isoCountryCode"),
        "carrier": known("carrierName"),
        "parts": parts.filter(|parts| (0..=1_000).contains(parts)),
        "price": price("totalMessagePrice"),
        "carrier_fee": price("totalCarrierFee"),
    });
    if let Value::Object(members) = &mut details {
        members.retain(|_, value| !value.is_null());
    }
    details
}
