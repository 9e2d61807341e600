//! The meaning of answers, without a server.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::Response;
use serde_json::{Value, json};

use crate::channels::Outcome;
use crate::channels::push::DeviceOutcome;
use crate::channels::push::answers::{classify, refuses_access};
use crate::channels::push::tests::NOW;
use crate::channels::push::tests::samples::refusal;
use crate::reminders::Reason;

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(body.to_owned().into()).expect("an answer")
}

fn outcome_of(status: u16, body: &Value) -> DeviceOutcome {
    classify(&answer(status, &[], &body.to_string()), "token-1", NOW)
}

#[test]
fn an_accepted_message_has_an_id() {
    let outcome = outcome_of(200, &json!({"name": "projects/p/messages/1"}));
    let message_id = Some("projects/p/messages/1".to_owned());
    let parts = None;
    assert_eq!(outcome, Outcome::Sent { message_id, parts }.into());
    for body in [
        json!({}),
        json!({"name": ""}),
        json!([]),
        json!({"name": 7}),
    ] {
        let outcome = outcome_of(200, &body).outcome;
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    }
}

#[test]
fn what_is_not_in_the_table_is_unknown() {
    for status in [302, 402, 404, 405, 408, 409, 418, 500, 501, 502, 504] {
        let outcome = outcome_of(status, &refusal(status, "INTERNAL", "INTERNAL", "An error"));
        let is_unknown = matches!(outcome.outcome, Outcome::Unknown { .. });
        assert_eq!(is_unknown, status != 404, "{outcome:?}");
        assert!(!outcome.is_gone);
    }
}

#[test]
fn an_answer_without_details_is_not_of_fcm() {
    let texts = [
        "",
        "<html>Not Found</html>",
        "[]",
        "{\"error\": 7}",
        "{\"error\": {\"details\": [7, {\"@type\": 7}]}}",
    ];
    for text in texts {
        for (status, reason) in [(400, Reason::Rejected), (404, Reason::Account)] {
            let outcome = classify(&answer(status, &[], text), "", NOW);
            assert!(!outcome.is_gone, "{text}");
            let (Outcome::Rejected {
                reason: said,
                error,
            }
            | Outcome::AccountWide {
                reason: said,
                error,
            }) = outcome.outcome
            else {
                panic!("{outcome:?}");
            };
            assert_eq!((said, error), (reason, format!("HTTP {status}")), "{text}");
        }
    }
}

#[test]
fn a_token_is_forgotten_only_where_fcm_names_it() {
    let message = "The registration token is not a valid FCM registration token";
    let wrong_token = refusal(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", message);
    assert!(outcome_of(400, &wrong_token).is_gone);

    let other = "Request contains an invalid argument.";
    let mut of_gateway = wrong_token.clone();
    of_gateway["error"]["details"][0]["@type"] = json!("type.googleapis.com/google.rpc.BadRequest");
    let mut without_details = wrong_token.clone();
    without_details["error"]["details"] = json!([]);
    for body in [
        refusal(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", other),
        of_gateway,
        without_details,
    ] {
        let outcome = outcome_of(400, &body);
        let is_rejected = matches!(
            &outcome.outcome,
            Outcome::Rejected {
                reason: Reason::Rejected,
                ..
            }
        );
        assert!(is_rejected && !outcome.is_gone, "{outcome:?}");
    }
    // The same words of another status.
    assert!(!outcome_of(403, &refusal(403, "X", "X", message)).is_gone);
}

#[test]
fn the_code_decides_which_credentials_were_refused() {
    let text = "Request is missing required authentication credential.";
    let third_party = refusal(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", text);
    let own = json!({"error": {"code": 401, "status": "UNAUTHENTICATED", "message": text}});
    for (body, refuses) in [(third_party, false), (own, true)] {
        assert_eq!(
            refuses_access(&answer(401, &[], &body.to_string())),
            refuses,
            "{body}"
        );
        let is_account_wide = matches!(outcome_of(401, &body).outcome, Outcome::AccountWide { .. });
        assert_eq!(is_account_wide, !refuses, "{body}");
    }
}

#[test]
fn an_error_has_neither_token_nor_addresses_and_is_short() {
    let message = format!("token-1 of a@b.example {}", "x".repeat(2_000));
    let body = refusal(404, "NOT_FOUND", "UNREGISTERED", &message);
    let Outcome::Rejected { error, .. } = outcome_of(404, &body).outcome else {
        panic!("it is rejected");
    };
    assert!(
        error.starts_with("HTTP 404 UNREGISTERED: … of …"),
        "{error}"
    );
    assert_eq!(error.chars().count(), 1_001);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let wait = |status, headers: &[(&str, &str)]| {
        let body = refusal(status, "UNAVAILABLE", "UNAVAILABLE", "No.").to_string();
        classify(&answer(status, headers, &body), "", NOW).retry_after
    };
    for (asked, expected) in [
        ("120", Some(120)),
        (" 7 ", Some(7)),
        ("0", Some(0)),
        ("99999999999", Some(24 * 3600)),
        ("Fri, 15 Jan 2027 08:01:00 GMT", Some(60)),
        ("Fri, 15 Jan 2027 07:00:00 GMT", Some(0)),
        ("Sat, 15 Jan 2028 08:00:00 GMT", Some(24 * 3600)),
        ("soon", None),
        ("-5", None),
        ("", None),
    ] {
        let expected = expected.map(Duration::from_secs);
        for status in [429, 503] {
            assert_eq!(wait(status, &[("retry-after", asked)]), expected, "{asked}");
        }
    }
    // The clock of the answer is half a minute behind.
    let after = ("retry-after", "Fri, 15 Jan 2027 08:01:00 GMT");
    let date = ("date", "Fri, 15 Jan 2027 07:59:30 GMT");
    assert_eq!(wait(503, &[after, date]), Some(Duration::from_secs(90)));
    assert_eq!(wait(500, &[after]), None);
    // A gateway's: the message may have been sent.
    for body in ["", "<html>Busy</html>", "{\"error\": \"UNAVAILABLE\"}"] {
        let outcome = classify(&answer(503, &[after], body), "", NOW);
        let error = "HTTP 503".to_owned();
        assert_eq!(outcome, Outcome::Unknown { error }.into(), "{body}");
    }
}
