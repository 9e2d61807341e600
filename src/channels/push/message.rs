//! A message as FCM takes it (REST reference of FCM v1, `projects.messages`).
//!
//! Android, iOS and browsers are told the same, each in its own words: how long to keep trying,
//! which older message this one replaces, and to show it at once.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation;
use uuid::Uuid;

/// Bytes of a request's body, at most. FCM has this limit for the payload, which is smaller.
const LONGEST: usize = 4096;
/// What shows that a text was cut.
const ELLIPSIS: &str = "…";
/// How long FCM keeps a message for a device that is off, at most.
const LONGEST_TTL: Duration = Duration::from_secs(28 * 24 * 3600);
/// The same of a message that is about no start.
const TTL_WITHOUT_START: Duration = Duration::from_secs(24 * 3600);
/// How long before the start a message expires.
const MARGIN: Duration = Duration::from_secs(1);

/// One message for all devices of a person.
#[derive(Clone, Copy)]
pub(crate) struct PushMessage<'a> {
    /// The event of the outbox.
    pub(crate) event_id: Uuid,
    /// The booking it is about; `None`: it is about several.
    pub(crate) booking_id: Option<Uuid>,
    /// It is never cut.
    pub(crate) title: &'a str,
    /// It is cut where the message would be too long.
    pub(crate) body: &'a str,
    /// What a tap opens.
    pub(crate) link: Option<&'a str>,
    /// The start that the message is about, after which it is not shown any more; `None`: it is
    /// about none that lies ahead.
    pub(crate) starts_at: Option<DateTime<Utc>>,
    /// The database clock when the message was read, and our clock at that time.
    pub(crate) at: DateTime<Utc>,
    pub(crate) read_at: Instant,
}

impl PushMessage<'_> {
    /// The time by the database clock.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.at + self.read_at.elapsed()
    }

    /// The body of the request for one device; `None`: it is too long even without its text.
    pub(super) fn request_body(&self, token: &str) -> Option<Bytes> {
        let now = self.now();
        let size_of = |body| self.json(token, body, now).to_string().len();
        if size_of(self.body) <= LONGEST {
            return Some(self.json(token, self.body, now).to_string().into());
        }
        let room = LONGEST.checked_sub(size_of(ELLIPSIS))?;
        let body = format!("{}{ELLIPSIS}", start_of(self.body, room).trim_end());
        Some(self.json(token, &body, now).to_string().into())
    }

    fn json(&self, token: &str, body: &str, now: DateTime<Utc>) -> Value {
        let ttl = self.ttl(now).as_secs();
        // The same of all messages about a booking: a newer one replaces the older one. It fits
        // into the `Topic` of web push, the shortest of the three: 32 characters of base64url.
        let replaces = self
            .booking_id
            .unwrap_or(self.event_id)
            .simple()
            .to_string();
        let mut data = json!({"event_id": self.event_id});
        if let Some(booking_id) = self.booking_id {
            data["booking_id"] = json!(booking_id);
        }
        let mut webpush = json!({
            "headers": {"TTL": ttl.to_string(), "Topic": replaces, "Urgency": "high"},
        });
        if let Some(link) = self.link {
            data["link"] = json!(link);
            // FCM refuses a message with any other link here.
            if link.starts_with("https://") {
                webpush["fcm_options"] = json!({"link": link});
            }
        }
        json!({"message": {
            "token": token,
            "notification": {"title": self.title, "body": body},
            "data": data,
            "android": {
                "ttl": format!("{ttl}s"),
                "collapse_key": replaces,
                "priority": "HIGH",
                "notification": {"tag": replaces},
            },
            "apns": {"headers": {
                "apns-collapse-id": replaces,
                "apns-expiration": apns_expiration(now, ttl).to_string(),
                "apns-priority": "10",
            }},
            "webpush": webpush,
        }})
    }

    /// How long a device that is off may get the message: until the start.
    fn ttl(&self, now: DateTime<Utc>) -> Duration {
        match self.starts_at {
            None => TTL_WITHOUT_START,
            Some(starts_at) => (starts_at - MARGIN - now)
                .to_std()
                .unwrap_or_default()
                .min(LONGEST_TTL),
        }
    }
}

/// Seconds since 1970; 0: now or never.
fn apns_expiration(now: DateTime<Utc>, ttl: u64) -> u64 {
    match ttl {
        0 => 0,
        _ => now.timestamp().unsigned_abs() + ttl,
    }
}

/// The start of a text that takes up to `room` bytes in JSON, cut between characters as people see
/// them.
fn start_of(text: &str, mut room: usize) -> &str {
    let fits = |(_, grapheme): &(usize, &str)| {
        let in_json = Value::from(*grapheme).to_string().len() - "\"\"".len();
        let left = room.checked_sub(in_json);
        room = left.unwrap_or_default();
        left.is_some()
    };
    let kept = text.grapheme_indices(true).take_while(fits).last();
    &text[..kept.map_or(0, |(at, grapheme)| at + grapheme.len())]
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use chrono::{DateTime, Utc};
    use serde_json::Value;
    use uuid::Uuid;

    use super::PushMessage;

    const NOW: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");

    fn message(body: &str) -> PushMessage<'_> {
        PushMessage {
            event_id: Uuid::from_u128(1),
            booking_id: None,
            title: "Haircut at 9:00 AM",
            body,
            link: None,
            starts_at: None,
            at: NOW,
            read_at: Instant::now(),
        }
    }

    fn json(message: &PushMessage<'_>) -> Value {
        let body = message.request_body("token").expect("it fits");
        assert!(body.len() <= 4096, "{}", body.len());
        serde_json::from_slice::<Value>(&body).expect("JSON")["message"].take()
    }

    #[test]
    fn a_text_is_cut_between_characters_where_the_message_is_too_long() {
        let rest = message("").request_body("token").expect("it fits").len();
        // Each takes two bytes and more, some of them in JSON alone; the last is one character of
        // 18 bytes.
        for piece in ["ü", "\"", "\n", "\u{1}", "€", "😀", "👨‍👩‍👦"] {
            let in_json = Value::from(piece).to_string().len() - 2;
            let fitting = (4096 - rest) / in_json;
            let text = piece.repeat(fitting);
            assert_eq!(json(&message(&text))["notification"]["body"], text);

            let text = piece.repeat(fitting + 1);
            let sent = json(&message(&text));
            assert_eq!(sent["notification"]["title"], "Haircut at 9:00 AM");
            let kept = sent["notification"]["body"].as_str().expect("a text");
            let kept = kept.strip_suffix('…').expect("it says that it was cut");
            // White space before the ellipsis is left out.
            let expected = match piece {
                "\n" => "".to_owned(),
                _ => piece.repeat((4096 - rest - "…".len()) / in_json),
            };
            assert_eq!(kept, expected);
        }
    }

    #[test]
    fn a_message_without_room_for_a_text_is_sent_without_it_or_not_at_all() {
        let rest = message("").request_body("token").expect("it fits").len();
        let title_of = |length: usize| "x".repeat(length + "Haircut at 9:00 AM".len());
        for (left, expected) in [(3, Some("…")), (2, None)] {
            let title = title_of(4096 - rest - left);
            let message = PushMessage {
                title: &title,
                ..message("a text")
            };
            let body = message.request_body("token");
            let body = body.map(|body| serde_json::from_slice::<Value>(&body).expect("JSON"));
            let body = body.map(|mut body| body["message"]["notification"]["body"].take());
            assert_eq!(body, expected.map(Value::from), "{left}");
        }
    }

    #[test]
    fn a_message_is_kept_until_the_start() {
        let until = |seconds: i64| Some(NOW + chrono::Duration::seconds(seconds));
        for (starts_at, ttl) in [
            (until(90_061), 90_059),
            (until(1), 0),
            (until(0), 0),
            (until(-60), 0),
            (until(40 * 86_400), 28 * 86_400),
            (None, 86_400),
        ] {
            let sent = json(&PushMessage {
                starts_at,
                ..message("")
            });
            assert_eq!(sent["android"]["ttl"], format!("{ttl}s"));
            assert_eq!(sent["webpush"]["headers"]["TTL"], ttl.to_string());
            let expiration = if ttl == 0 { 0 } else { NOW.timestamp() + ttl };
            assert_eq!(
                sent["apns"]["headers"]["apns-expiration"],
                expiration.to_string()
            );
        }
    }

    #[test]
    fn the_time_goes_on_after_the_message_was_read() {
        let read_at = Instant::now().checked_sub(Duration::from_secs(10));
        let read_at = read_at.expect("this computer runs for longer");
        let starts_at = Some(NOW + Duration::from_secs(100));
        let sent = json(&PushMessage {
            starts_at,
            read_at,
            ..message("")
        });
        assert_eq!(sent["android"]["ttl"], "88s");
    }

    #[test]
    fn only_https_links_are_those_of_web_push() {
        for (link, is_of_web) in [("https://a.example/b", true), ("http://a.example/b", false)] {
            let sent = json(&PushMessage {
                link: Some(link),
                ..message("")
            });
            assert_eq!(sent["data"]["link"], link);
            let of_web = is_of_web.then_some(link).map_or(Value::Null, Value::from);
            assert_eq!(sent["webpush"]["fcm_options"]["link"], of_web);
        }
        let sent = json(&message(""));
        assert_eq!(sent["data"].get("link"), None);
    }

    #[test]
    fn a_message_about_several_bookings_replaces_itself_alone() {
        let sent = json(&message(""));
        assert_eq!(sent["data"].get("booking_id"), None);
        let event_id = "00000000000000000000000000000001";
        for replaced in [
            &sent["android"]["collapse_key"],
            &sent["android"]["notification"]["tag"],
            &sent["apns"]["headers"]["apns-collapse-id"],
            &sent["webpush"]["headers"]["Topic"],
        ] {
            assert_eq!(replaced, event_id);
        }
    }
}
