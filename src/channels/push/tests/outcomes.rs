//! One message to one device: what is sent, and what each answer means.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Barrier;

use crate::channels::push::tests::fake_fcm::{FakeFcm, Reply};
use crate::channels::push::tests::samples::refusal;
use crate::channels::push::tests::{
    SHORT, TOKEN, later, leaving_by, message, settings_for, settings_with,
};
use crate::channels::push::{DeviceOutcome, Push, PushMessage};
use crate::channels::{Outcome, TimeLimits};

/// What a test says of an outcome, in short.
fn short(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Sent { .. } => "sent".to_owned(),
        Outcome::NotSent { reason, .. } => format!("not sent: {reason}"),
        Outcome::Rejected { reason, .. } => format!("rejected: {reason}"),
        Outcome::Unknown { .. } => "unknown".to_owned(),
        Outcome::AccountWide { reason, .. } => format!("account: {reason}"),
        Outcome::Deferred => "deferred".to_owned(),
    }
}

/// The outcome for one device of a server with this reply to messages.
async fn outcome_of(reply: Reply) -> DeviceOutcome {
    let server = FakeFcm::start(move |_, _| reply.clone()).await;
    let push = Push::new(&settings_for(&server));
    let outcome = push.send_to(TOKEN, &message(), later()).await;
    assert_eq!(server.messages().len(), 1, "a message leaves once");
    assert!(!format!("{outcome:?}").contains(TOKEN), "{outcome:?}");
    outcome
}

/// Status, its name, the code in the details of FCM (if there are any), the text, the outcome.
const TABLE: &str = "\
    404 | NOT_FOUND | UNREGISTERED | Requested entity was not found. | gone rejected: no_device
    404 | NOT_FOUND |  | Requested entity was not found. | account: account
    400 | INVALID_ARGUMENT | INVALID_ARGUMENT | Request contains an error. | rejected: rejected
    400 | INVALID_ARGUMENT | INVALID_ARGUMENT | Not a registration token | gone rejected: no_device
    400 | INVALID_ARGUMENT |  | Not a registration token | rejected: rejected
    403 | PERMISSION_DENIED | SENDER_ID_MISMATCH | SenderId mismatch | rejected: other_sender
    403 | PERMISSION_DENIED |  | Permission denied | account: account
    401 | UNAUTHENTICATED | THIRD_PARTY_AUTH_ERROR | Invalid credentials | account: account
    401 | UNAUTHENTICATED |  | Invalid credentials | not sent: account
    429 | RESOURCE_EXHAUSTED | QUOTA_EXCEEDED | Quota exceeded | not sent: throttled
    503 | UNAVAILABLE | UNAVAILABLE | Unavailable | not sent: throttled
    500 | INTERNAL | INTERNAL | Internal error | unknown
    503 | UNAVAILABLE |  | Unavailable | not sent: throttled
    503 | INTERNAL | INTERNAL | Internal error | unknown
    503 |  |  |  | unknown
    502 |  |  |  | unknown";

#[tokio::test]
async fn each_answer_of_fcm_has_its_outcome() {
    for line in TABLE.lines() {
        let columns: Vec<_> = line.trim().split(" | ").collect();
        let [status, name, code, message, expected] = columns[..] else {
            panic!("{line}");
        };
        let status = status.parse().expect("a status");
        let mut body = refusal(status, name, code, message);
        if code.is_empty() {
            body["error"]["details"] = json!([]);
        }
        let outcome = outcome_of(Reply::json(status, &body)).await;
        let gone = if outcome.is_gone { "gone " } else { "" };
        let said = format!("{gone}{}", short(&outcome.outcome));
        assert_eq!(said, expected, "{line}");
    }
}

#[tokio::test]
async fn the_wait_that_fcm_asks_for_is_returned() {
    let date = "date: Fri, 15 Jan 2027 08:00:00 GMT\r\n";
    for (head, expected) in [
        ("retry-after: 60\r\n".to_owned(), Some(60)),
        (
            format!("{date}retry-after: Fri, 15 Jan 2027 08:00:45 GMT\r\n"),
            Some(45),
        ),
        (String::new(), None),
    ] {
        for status in [429, 503] {
            let body = refusal(status, "UNAVAILABLE", "UNAVAILABLE", "No.").to_string();
            let outcome = outcome_of(Reply::Answer(status, head.clone(), body)).await;
            assert_eq!(
                outcome.retry_after,
                expected.map(Duration::from_secs),
                "{head}"
            );
        }
    }
}

#[tokio::test]
async fn a_lost_answer_is_unknown() {
    for reply in [Reply::Close, Reply::Reset, Reply::Cut] {
        let outcome = outcome_of(reply).await;
        assert_eq!(short(&outcome.outcome), "unknown");
        assert!(!outcome.is_gone);
    }
    let server = FakeFcm::start(|_, _| Reply::Silence).await;
    let mut push = Push::new(&settings_for(&server));
    push.timing.request = SHORT;
    let outcome = push.send_to(TOKEN, &message(), later()).await.outcome;
    let error = "no answer in time".to_owned();
    assert_eq!(outcome, Outcome::Unknown { error });
}

#[tokio::test]
async fn a_connection_that_is_refused_is_tried_again() {
    let server = FakeFcm::start(|_, _| Reply::taken()).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", closed.local_addr().expect("an address"));
    drop(closed);
    let token_uri = format!("http://{}/token", server.address);
    let push = Push::new(&settings_with(&endpoint, &token_uri));
    let outcome = push.send_to(TOKEN, &message(), later()).await;
    assert_eq!(short(&outcome.outcome), "not sent: unreachable");
    assert_eq!(server.token_requests().len(), 1);
}

#[tokio::test]
async fn a_connection_without_tls_in_time_is_tried_again() {
    let server = FakeFcm::start(|_, _| Reply::taken()).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("https://{}", silent.local_addr().expect("an address"));
    let mut settings = settings_with(&endpoint, &format!("http://{}/token", server.address));
    settings.timing.connect = 2 * SHORT;
    let push = Push::new(&settings);
    let outcome = push.send_to(TOKEN, &message(), later()).await.outcome;
    assert_eq!(short(&outcome), "not sent: unreachable");
    assert_eq!(server.token_requests().len(), 1);
}

#[tokio::test]
async fn at_the_end_of_a_call_only_what_has_left_is_in_doubt() {
    let limits = || TimeLimits {
        give_up_at: Instant::now() + SHORT,
        ..later()
    };
    let server = FakeFcm::start_with_tokens(|_| Reply::Silence, |_, _| Reply::taken()).await;
    let push = Push::new(&settings_for(&server));
    let outcome = push.send_to(TOKEN, &message(), limits()).await.outcome;
    assert_eq!(outcome, Outcome::Deferred);
    assert!(server.messages().is_empty());

    let server = FakeFcm::start(|_, _| Reply::Silence).await;
    let push = Push::new(&settings_for(&server));
    let outcome = push.send_to(TOKEN, &message(), limits()).await.outcome;
    assert_eq!(short(&outcome), "unknown");
}

#[tokio::test]
async fn after_its_time_nothing_is_sent() {
    let server = FakeFcm::start(|_, _| Reply::taken()).await;
    let push = Push::new(&settings_for(&server));
    let limits = leaving_by(Instant::now());
    let outcome = push.send_to(TOKEN, &message(), limits).await;
    assert_eq!(outcome.outcome, Outcome::Deferred);
    assert!(server.messages().is_empty() && server.token_requests().is_empty());
}

#[tokio::test]
async fn a_token_that_arrives_too_late_sends_nothing() {
    // The first answer and this test.
    let barrier = Arc::new(Barrier::new(2));
    let gate = barrier.clone();
    let tokens = move |count| Reply::After(gate.clone(), Box::new(Reply::granted(count)));
    let server = FakeFcm::start_with_tokens(tokens, |_, _| Reply::taken()).await;
    let push = Push::new(&settings_for(&server));
    let leave_by = Instant::now() + SHORT;
    let release = async {
        while Instant::now() < leave_by {
            tokio::task::yield_now().await;
        }
        let released = tokio::time::timeout(Duration::from_secs(10), barrier.wait()).await;
        assert!(released.is_ok(), "a token was requested");
    };
    let message = message();
    let (outcome, ()) = tokio::join!(push.send_to(TOKEN, &message, leaving_by(leave_by)), release);
    assert_eq!(outcome.outcome, Outcome::Deferred);
    assert!(server.messages().is_empty());
    // It serves the next one.
    let outcome = push.send_to(TOKEN, &message, later()).await;
    assert_eq!(short(&outcome.outcome), "sent");
    assert_eq!(server.token_requests().len(), 1);
}

#[tokio::test]
async fn a_message_has_what_each_kind_of_device_needs() {
    let server = FakeFcm::start(|_, _| Reply::taken()).await;
    let push = Push::new(&settings_for(&server));
    let outcome = push.send_to(TOKEN, &message(), later()).await;
    let message_id = Some("projects/studio-nord/messages/1".to_owned());
    let parts = None;
    assert_eq!(outcome, Outcome::Sent { message_id, parts }.into());

    let request = server.messages().pop().expect("a message");
    let line = request.head.lines().next().expect("a line");
    assert_eq!(line, "POST /v1/projects/studio-nord/messages:send HTTP/1.1");
    assert_eq!(request.header("authorization"), Some("Bearer access-1"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(
        request.header("host"),
        Some(server.address.to_string().as_str())
    );
    let replaces = "00000000000000000000000000000b00";
    let expected = json!({"message": {
        "token": TOKEN,
        "notification": {"title": "Haircut at 9:00 AM", "body": "With Ana, Ringstraße 1"},
        "data": {
            "event_id": "00000000-0000-0000-0000-000000000001",
            "booking_id": "00000000-0000-0000-0000-000000000b00",
            "link": "https://go.studio.example/bookings/1",
        },
        "android": {
            "ttl": "3598s",
            "collapse_key": replaces,
            "priority": "HIGH",
            "notification": {"tag": replaces},
        },
        "apns": {"headers": {
            "apns-collapse-id": replaces,
            "apns-expiration": "1800003598",
            "apns-priority": "10",
        }},
        "webpush": {
            "headers": {"TTL": "3598", "Topic": replaces, "Urgency": "high"},
            "fcm_options": {"link": "https://go.studio.example/bookings/1"},
        },
    }});
    assert_eq!(request.json(), expected);
}

#[tokio::test]
async fn a_message_that_is_too_long_without_its_text_is_not_sent() {
    let server = FakeFcm::start(|_, _| Reply::taken()).await;
    let push = Push::new(&settings_for(&server));
    let title = "x".repeat(4096);
    let message = PushMessage {
        title: &title,
        ..message()
    };
    let outcome = push.send_to(TOKEN, &message, later()).await;
    assert_eq!(short(&outcome.outcome), "rejected: template");
    assert!(server.messages().is_empty());
}
