//! By which channel of its chain a message goes, and why not by an earlier one.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::channels::Channel;
use crate::delivery::event::EventStatus;
use crate::support::sentences::sentence_of_reason;

/// The way of a message. Where it has one channel, and has always had, there is nothing to say.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Route {
    /// The channel that is used, or tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) via: Option<String>,
    /// The same in words, with why it is not another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<String>,
    /// The channels that were left: each with its `reason`, and the time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    chain: Vec<Value>,
    /// The message that did not arrive, after which this one goes by the rest of its chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    follows: Option<Uuid>,
    #[serde(skip)]
    words: String,
    #[serde(skip)]
    notes: Vec<String>,
}

impl Route {
    /// Of a message by a channel, or by a chain of them: that of an event with this data.
    pub(crate) fn of(channel: &str, via: Option<&str>, status: &str, data: &Value) -> Self {
        let used = used_channel(channel, via);
        let rest = channel.split('>').skip_while(|one| *one != used);
        // Only what waits, or was not sent, may have others behind it.
        let is_tried = matches!(
            EventStatus::from_name(status),
            Some(EventStatus::Completed | EventStatus::Failed | EventStatus::Sending)
        );
        let rest = rest.skip(1).filter(|_| !is_tried);
        let channels: Vec<_> = [used].into_iter().chain(rest).collect();
        let chain = data["chain"].as_array().cloned().unwrap_or_default();
        let follows = data["follows"].as_str().and_then(|id| id.parse().ok());
        let mut notes: Vec<_> = chain.iter().filter_map(left_note).collect();
        notes.extend(follows.map(|_: Uuid| follows_note(&data["followed_reason"])));
        let words = words_of(&channels);
        let has_more = channel.contains('>') || !notes.is_empty();
        let route = || [&[format!("by {words}")], &notes[..]].concat().join("; ");
        Self {
            via: has_more.then(|| used.to_owned()),
            route: has_more.then(route),
            chain,
            follows,
            words,
            notes,
        }
    }

    /// Of a message that waits.
    pub(crate) fn waiting(channel: &str, via: Option<&str>) -> Self {
        Self::of(channel, via, EventStatus::Pending.as_str(), &Value::Null)
    }

    /// Of a message that is to be enqueued.
    pub(crate) fn planned(channel: &str) -> Self {
        Self::waiting(channel, None)
    }

    /// The channels in words.
    pub(crate) fn words(&self) -> &str {
        &self.words
    }

    /// A sentence on why it is no other channel, behind another sentence; or nothing.
    pub(crate) fn note(&self) -> String {
        let notes = self.notes.join("; ");
        let mut letters = notes.chars();
        match letters.next() {
            Some(first) => format!(" {}{}.", first.to_uppercase(), letters.as_str()),
            None => notes,
        }
    }
}

/// The channel by which a message goes, or that is tried next: of a chain, the first one that is
/// not left.
pub(crate) fn used_channel<'a>(channel: &'a str, via: Option<&'a str>) -> &'a str {
    let first = channel.split('>').next().unwrap_or_default();
    via.unwrap_or(first)
}

/// `push, else SMS, else email`.
fn words_of(channels: &[&str]) -> String {
    let words: Vec<_> = channels.iter().map(|one| word_of(one)).collect();
    words.join(", else ")
}

fn word_of(channel: &str) -> &str {
    match Channel::from_name(channel) {
        Some(Channel::Sms) => "SMS",
        _ => channel,
    }
}

/// Why a channel was left.
fn left_note(step: &Value) -> Option<String> {
    let (channel, reason) = (step["channel"].as_str()?, step["reason"].as_str()?);
    let why = sentence_of_reason(reason);
    Some(format!("not by {}: {why}", word_of(channel)))
}

/// Of a message after one that did not arrive.
fn follows_note(reason: &Value) -> String {
    let why = match reason.as_str() {
        Some("bounced") => "bounced",
        Some("rejected") => "was rejected",
        _ => "did not arrive",
    };
    format!("it follows a message that {why}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::Route;

    fn said(channel: &str, via: Option<&str>, status: &str, data: &Value) -> [String; 3] {
        let route = Route::of(channel, via, status, data);
        let text = route.route.clone().unwrap_or_default();
        [route.words().to_owned(), route.note(), text]
    }

    #[test]
    fn a_message_with_one_channel_has_nothing_to_say() {
        for status in ["pending", "completed"] {
            let route = Route::of("sms", None, status, &json!({"attempts": []}));
            assert_eq!((route.words(), route.note().as_str()), ("SMS", ""));
            assert_eq!(json!(route), json!({}));
        }
    }

    #[test]
    fn a_chain_says_which_channel_is_used_and_why_no_earlier_one() {
        let chain = "push>sms>email";
        let left = json!({"chain": [
            {"channel": "push", "reason": "no_device", "at": "2026-03-01T12:00:00Z"},
            {"channel": "sms", "reason": "not_agreed", "at": "2026-03-01T12:00:00Z"},
        ]});
        let planned = Route::planned(chain);
        assert_eq!(planned.words(), "push, else SMS, else email");
        assert_eq!(
            json!(planned),
            json!({"via": "push", "route": "by push, else SMS, else email"})
        );
        let note = "not by push: the app is no longer registered on any device of the recipient; \
                    not by SMS: the recipient has not agreed to get SMS";
        for (status, via, words) in [
            ("pending", None, "push, else SMS, else email"),
            ("sending", None, "push"),
            ("pending", Some("sms"), "SMS, else email"),
            ("skipped", Some("email"), "email"),
            ("completed", Some("sms"), "SMS"),
        ] {
            let expected = [
                words.to_owned(),
                format!(" N{}.", &note[1..]),
                format!("by {words}; {note}"),
            ];
            assert_eq!(
                said(chain, via, status, &left),
                expected,
                "{status} {via:?}"
            );
        }
    }

    #[test]
    fn a_message_that_follows_another_says_so() {
        let id = Uuid::from_u128(7);
        for (reason, why) in [
            (json!("bounced"), "bounced"),
            (json!("rejected"), "was rejected"),
            (Value::Null, "did not arrive"),
        ] {
            let data = json!({"follows": id, "followed_reason": reason});
            let expected = [
                "email".to_owned(),
                format!(" It follows a message that {why}."),
                format!("by email; it follows a message that {why}"),
            ];
            assert_eq!(said("email", None, "completed", &data), expected);
            let route = json!(Route::of("email", None, "completed", &data));
            assert_eq!(
                (&route["via"], &route["follows"]),
                (&json!("email"), &json!(id))
            );
        }
    }
}
