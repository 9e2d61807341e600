//! One message to several devices.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Barrier;

use crate::channels::push::tests::fake_fcm::{FakeFcm, Received, Reply};
use crate::channels::push::tests::samples::refusal;
use crate::channels::push::tests::{SHORT, TOKEN, later, leaving_by, message, settings_for};
use crate::channels::push::{DeviceOutcome, Push, together};
use crate::channels::{Outcome, TimeLimits};
use crate::reminders::Reason;

/// One outcome of each line of the table, in its order; and each with a text of its own.
fn lines() -> Vec<Outcome> {
    let rejected = |reason| Outcome::Rejected {
        reason,
        error: "rejected".to_owned(),
    };
    vec![
        Outcome::Sent {
            message_id: Some("1".to_owned()),
            parts: None,
        },
        Outcome::Unknown {
            error: "unknown".to_owned(),
        },
        Outcome::AccountWide {
            reason: Reason::Account,
            error: "account".to_owned(),
        },
        Outcome::NotSent {
            reason: Reason::Throttled,
            error: "not sent".to_owned(),
        },
        Outcome::Deferred,
        rejected(Reason::Rejected),
        rejected(Reason::OtherSender),
        rejected(Reason::NoDevice),
    ]
}

fn together_of(outcomes: &[&Outcome]) -> Outcome {
    let devices = outcomes
        .iter()
        .map(|outcome| DeviceOutcome::from((*outcome).clone()));
    together(devices.map(|device| (TOKEN, device))).outcome
}

#[test]
fn of_any_two_outcomes_the_upper_line_is_that_of_the_message() {
    let lines = lines();
    for (first, upper) in lines.iter().enumerate() {
        assert_eq!(together_of(&[upper]), *upper);
        for lower in &lines[first..] {
            assert_eq!(together_of(&[upper, lower]), *upper, "{lower:?}");
            assert_eq!(together_of(&[lower, upper]), *upper, "{lower:?}");
            // Others of the lower line change nothing.
            assert_eq!(together_of(&[lower, upper, lower]), *upper, "{lower:?}");
        }
    }
}

#[test]
fn of_equal_outcomes_the_first_counts() {
    let sent = ["1", "2"].map(|id| Outcome::Sent {
        message_id: Some(id.to_owned()),
        parts: None,
    });
    assert_eq!(together_of(&[&sent[0], &sent[1]]), sent[0]);
    assert_eq!(together_of(&[&sent[1], &sent[0]]), sent[1]);
}

#[test]
fn the_longest_wait_is_that_of_the_message() {
    let waits = [Some(5), None, Some(60), Some(7)].map(|wait| wait.map(Duration::from_secs));
    let devices = waits.map(|retry_after| {
        let device = DeviceOutcome {
            retry_after,
            ..Outcome::Deferred.into()
        };
        (TOKEN, device)
    });
    assert_eq!(together(devices.into_iter()).retry_after, waits[2]);
}

#[tokio::test]
async fn a_message_that_one_device_took_is_sent_and_gone_devices_are_named() {
    let gone = refusal(404, "NOT_FOUND", "UNREGISTERED", "No.");
    let later_on = refusal(503, "UNAVAILABLE", "UNAVAILABLE", "No.");
    let server = FakeFcm::start(move |request, _| match request.token().as_str() {
        "gone-1" | "gone-2" => Reply::json(404, &gone),
        "busy" => Reply::json(503, &later_on),
        _ => Reply::taken(),
    })
    .await;
    let push = Push::new(&settings_for(&server));
    let send = async |tokens: &[&'static str]| push.send(tokens, &message(), later()).await;

    let outcome = send(&["gone-2", "busy", TOKEN, "gone-1"]).await;
    assert!(
        matches!(outcome.outcome, Outcome::Sent { .. }),
        "{outcome:?}"
    );
    assert_eq!(outcome.gone, ["gone-2", "gone-1"]);
    let said = format!("{outcome:?}{push:?}");
    assert!(!said.contains("gone-") && !said.contains(TOKEN), "{said}");

    let outcome = send(&["gone-1", "busy"]).await;
    assert!(
        matches!(outcome.outcome, Outcome::NotSent { .. }),
        "{outcome:?}"
    );
    assert_eq!(outcome.gone, ["gone-1"]);

    for tokens in [&["gone-1", "gone-2"][..], &[]] {
        let outcome = send(tokens).await;
        let is_rejected = matches!(
            outcome.outcome,
            Outcome::Rejected {
                reason: Reason::NoDevice,
                ..
            }
        );
        assert!(is_rejected, "{outcome:?}");
        assert_eq!(outcome.gone, tokens);
    }
}

#[tokio::test]
async fn four_devices_are_sent_to_at_once_and_twenty_at_most() {
    // Four requests and this test.
    let barrier = Arc::new(Barrier::new(5));
    let gate = barrier.clone();
    let reply = move |_: &Received, _| Reply::After(gate.clone(), Box::new(Reply::taken()));
    let server = FakeFcm::start(reply).await;
    let push = Push::new(&settings_for(&server));
    let tokens: Vec<_> = (0..25)
        .map(|number| format!("device-{number:02}"))
        .collect();
    let tokens: Vec<_> = tokens.iter().map(String::as_str).collect();
    let message = message();
    let release = async {
        for round in 1..=5 {
            while server.messages().len() < 4 * round {
                tokio::task::yield_now().await;
            }
            // A fifth request would arrive in this time.
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            assert_eq!(server.messages().len(), 4 * round);
            barrier.wait().await;
        }
    };
    let both = async { tokio::join!(push.send(&tokens, &message, later()), release) };
    let both = tokio::time::timeout(Duration::from_secs(20), both).await;
    let (outcome, ()) = both.expect("all requests arrive");
    assert!(
        matches!(outcome.outcome, Outcome::Sent { .. }),
        "{outcome:?}"
    );
    let mut reached: Vec<_> = server.messages().iter().map(|one| one.token()).collect();
    reached.sort();
    assert_eq!(reached, tokens[..20]);
    assert_eq!(server.token_requests().len(), 1);
}

#[tokio::test]
async fn a_task_of_any_thread_can_send() {
    let server = FakeFcm::start(|_, _| Reply::taken()).await;
    let push = Push::new(&settings_for(&server));
    let task = tokio::spawn(async move {
        let message = message();
        push.send(&[TOKEN], &message, later()).await.outcome
    });
    let outcome = task.await.expect("it ends");
    assert!(matches!(outcome, Outcome::Sent { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_device_without_an_answer_does_not_change_the_outcomes_of_the_others() {
    let gone = refusal(404, "NOT_FOUND", "UNREGISTERED", "No.");
    let server = FakeFcm::start(move |request, _| match request.token().as_str() {
        "silent" => Reply::Silence,
        "gone" => Reply::json(404, &gone),
        _ => Reply::taken(),
    })
    .await;
    let push = Push::new(&settings_for(&server));
    for (tokens, is_sent, gone) in [
        (&["silent", TOKEN, "gone"][..], true, &["gone"][..]),
        (&["silent", "gone"], false, &["gone"]),
        // The fifth one has no turn.
        (&["silent", "silent", "silent", "silent", TOKEN], false, &[]),
    ] {
        let limits = TimeLimits {
            give_up_at: Instant::now() + 2 * SHORT,
            leave_by: Instant::now() + SHORT,
        };
        let sent = push.send(tokens, &message(), limits).await;
        match is_sent {
            true => assert!(matches!(sent.outcome, Outcome::Sent { .. }), "{sent:?}"),
            false => assert!(matches!(sent.outcome, Outcome::Unknown { .. }), "{sent:?}"),
        }
        assert_eq!(sent.gone, gone);
    }
    assert_eq!(server.messages().len(), 3 + 2 + 4);
}

#[tokio::test]
async fn devices_without_their_turn_are_deferred() {
    let server = FakeFcm::start(|_, _| Reply::taken()).await;
    let push = Push::new(&settings_for(&server));
    let limits = leaving_by(Instant::now());
    let outcome = push.send(&["a", "b"], &message(), limits).await;
    assert_eq!(outcome.outcome, Outcome::Deferred);
    assert!(server.messages().is_empty());
}
