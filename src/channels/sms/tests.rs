//! The real client against an endpoint on this machine: what it sends, and what each answer means.

mod departure;

use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_sdk_pinpointsmsvoicev2::types::{ConflictExceptionReason, ValidationExceptionReason};
use serde_json::json;

use crate::channels::Outcome;
use crate::channels::sms::refusals::REFUSALS;
use crate::channels::sms::test_endpoint::{EVENT, Endpoint, HOUR, answer, receive};
use crate::reminders::Reason;

/// The outcome in two words, once its text is checked: no number is in it.
fn told(outcome: &Outcome) -> String {
    let (what, reason, error) = match outcome {
        Outcome::Sent { .. } => ("sent", None, ""),
        Outcome::NotSent { reason, error } => ("retry", Some(reason), &**error),
        Outcome::Rejected { reason, error } => ("final", Some(reason), &**error),
        Outcome::AccountWide { reason, error } => ("hold", Some(reason), &**error),
        Outcome::Unknown { error } => ("unknown", None, &**error),
        Outcome::Deferred => ("deferred", None, ""),
    };
    assert!(!error.contains("2065550100"), "{error}");
    let reason = reason.map(|reason: &Reason| format!(" {reason}"));
    format!("{what}{}", reason.unwrap_or_default())
}

#[tokio::test]
async fn a_message_is_one_signed_request() {
    let endpoint = Endpoint::start(&[
        ("SMS_FROM", "+1 (206) 555-0199"),
        ("SMS_CONFIGURATION_SET", "bookings"),
        ("SMS_MAX_PRICE", "0.10"),
    ])
    .await;
    let accepted = answer(200, r#"{"MessageId":"m-1"}"#);
    let (outcome, request) = endpoint.exchange(HOUR, &accepted).await;
    assert_eq!(
        outcome,
        Outcome::Sent {
            message_id: Some("m-1".to_owned()),
            parts: Some(1),
        }
    );
    assert_eq!(
        request.body,
        json!({
            "DestinationPhoneNumber": "+12065550100",
            "OriginationIdentity": "+12065550199",
            "MessageBody": "Your booking: 1 March, 13:00 ✓",
            "MessageType": "TRANSACTIONAL",
            "ConfigurationSetName": "bookings",
            "MaxPrice": "0.10",
            "TimeToLive": 3600,
            "Context": { "event_id": EVENT.to_string() },
        })
    );
    assert_eq!(request.line(), "POST / HTTP/1.1");
    let target = request.header("x-amz-target");
    assert_eq!(target, "PinpointSMSVoiceV2.SendTextMessage");
    let content_type = request.header("content-type");
    assert_eq!(content_type, "application/x-amz-json-1.0");
    let authorization = request.header("authorization");
    assert!(
        authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
            && authorization.contains("/eu-central-1/sms-voice/aws4_request, ")
            && authorization.contains("Signature="),
        "{authorization}"
    );
    endpoint.assert_quiet();
}

#[tokio::test]
async fn a_message_expires_with_its_use() {
    let endpoint = Endpoint::start(&[]).await;
    let accepted = answer(200, r#"{"MessageId":"m-1"}"#);
    for (expires_in, seconds) in [
        (Duration::from_secs(5), 5),
        // Rounded down: never after the start.
        (Duration::from_millis(6999), 6),
        (Duration::from_secs(259_200), 259_200),
        (Duration::from_secs(259_201), 259_200),
        (Duration::MAX, 259_200),
    ] {
        let (outcome, request) = endpoint.exchange(expires_in, &accepted).await;
        assert_eq!(told(&outcome), "sent");
        assert_eq!(request.body["TimeToLive"], seconds, "{expires_in:?}");
        assert_eq!(request.body["OriginationIdentity"], "STUDIO");
        // What is not set is not sent.
        assert_eq!(request.body.get("MaxPrice"), None);
        assert_eq!(request.body.get("ConfigurationSetName"), None);
    }
    // It would arrive after the start.
    for too_soon in [Duration::ZERO, Duration::from_millis(4_999)] {
        let outcome = endpoint.send(too_soon, Instant::now() + HOUR).await;
        assert_eq!(told(&outcome), "deferred");
    }
    endpoint.assert_quiet();
}

/// HTTP status, code, reason; the outcome.
const ANSWERS: &[(u16, &str, &str, &str)] = {
    const CONFLICT: &str = "ConflictException";
    const VALIDATION: &str = "ValidationException";
    const DENIED: &str = "AccessDeniedException";
    const QUOTA: &str = "ServiceQuotaExceededException";
    &[
        (
            400,
            CONFLICT,
            "DESTINATION_PHONE_NUMBER_OPTED_OUT",
            "final number_opted_out",
        ),
        (
            400,
            CONFLICT,
            "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE",
            "final number_blocked",
        ),
        (
            400,
            CONFLICT,
            "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION",
            "final number_blocked",
        ),
        (
            400,
            VALIDATION,
            "PRICE_OVER_THRESHOLD",
            "final too_expensive",
        ),
        (
            400,
            CONFLICT,
            "NO_ORIGINATION_IDENTITIES_FOUND",
            "final country_off",
        ),
        (400, VALIDATION, "COUNTRY_NOT_ENABLED", "final country_off"),
        (
            400,
            VALIDATION,
            "DESTINATION_COUNTRY_BLOCKED",
            "final country_off",
        ),
        (
            400,
            VALIDATION,
            "INTERNATIONAL_SENDING_NOT_SUPPORTED",
            "final country_off",
        ),
        (
            400,
            VALIDATION,
            "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY",
            "final country_off",
        ),
        (
            400,
            VALIDATION,
            "SENDER_ID_NOT_REGISTERED",
            "final country_off",
        ),
        (
            400,
            VALIDATION,
            "SENDER_ID_NOT_SUPPORTED",
            "final country_off",
        ),
        (
            400,
            VALIDATION,
            "SENDER_ID_REQUIRES_REGISTRATION",
            "final country_off",
        ),
        (
            400,
            CONFLICT,
            "DESTINATION_PHONE_NUMBER_NOT_VERIFIED",
            "hold account",
        ),
        (400, CONFLICT, "MESSAGE_TYPE_MISMATCH", "hold account"),
        (
            400,
            CONFLICT,
            "NUMBER_CAPABILITIES_MISMATCH",
            "hold account",
        ),
        (400, CONFLICT, "REGISTRATION_NOT_COMPLETE", "hold account"),
        (400, CONFLICT, "RESOURCE_NOT_ACTIVE", "hold account"),
        (400, VALIDATION, "INVALID_ARN", "hold account"),
        (400, VALIDATION, "RESOURCE_NOT_ACCESSIBLE", "hold account"),
        (400, VALIDATION, "UNKNOWN_OPERATION", "hold account"),
        (400, "ResourceNotFoundException", "", "hold account"),
        (
            400,
            QUOTA,
            "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT",
            "hold quota",
        ),
        (400, QUOTA, "", "hold quota"),
        (500, "InternalServerException", "", "unknown"),
        // Those of AWS in general; a test of mail has the others.
        (400, "ThrottlingException", "", "retry throttled"),
        (429, "TooManyRequestsException", "", "retry throttled"),
        (400, DENIED, "ACCOUNT_DISABLED", "hold account"),
        (
            400,
            DENIED,
            "INSUFFICIENT_ACCOUNT_REPUTATION",
            "hold account",
        ),
        (400, DENIED, "", "hold account"),
        (403, "ExpiredTokenException", "", "hold account"),
        (403, "UnrecognizedClientException", "", "hold account"),
        (403, "InvalidSignatureException", "", "hold account"),
        (400, VALIDATION, "", "final rejected"),
        (503, "ServiceUnavailableException", "", "unknown"),
        // What is not listed.
        (400, CONFLICT, "SOMETHING_NEW", "final rejected"),
        (400, CONFLICT, "", "final rejected"),
        (400, VALIDATION, "SOMETHING_NEW", "final rejected"),
        (400, "SomethingNewException", "", "unknown"),
        (403, "", "", "hold account"),
        (429, "", "", "retry throttled"),
        (413, "", "", "final rejected"),
        (500, "", "", "unknown"),
        (502, "", "", "unknown"),
    ]
};

#[tokio::test]
async fn every_answer_has_its_outcome() {
    let endpoint = Endpoint::start(&[]).await;
    for (status, code, reason, expected) in ANSWERS {
        let mut body = json!({ "Message": "not +12065550100 (12065550100)" });
        for (key, value) in [("__type", code), ("Reason", reason)] {
            if !value.is_empty() {
                body[key] = json!(value);
            }
        }
        let outcome = endpoint.outcome(*status, &body.to_string()).await;
        assert_eq!(told(&outcome), *expected, "{status} {code} {reason}");
    }
    let throttled = endpoint.outcome(400, r#"{"__type":"Throttling","message":"x"}"#);
    assert_eq!(
        throttled.await,
        Outcome::NotSent {
            reason: Reason::Throttled,
            error: "HTTP 400 Throttling: x".to_owned(),
        }
    );
    endpoint.assert_quiet();

    // Every line of the table has a test, and is spelled as the SDK spells it.
    for (code, reason, _) in REFUSALS {
        let mut tested = ANSWERS.iter();
        assert!(
            tested.any(|(_, known, why, _)| known == code && (reason.is_empty() || why == reason)),
            "{code} {reason}"
        );
        let spelled = match *code {
            "ConflictException" => ConflictExceptionReason::values(),
            "ValidationException" => ValidationExceptionReason::values(),
            _ => continue,
        };
        // The SDK of the oldest supported Rust does not have it.
        let is_newer = *reason == "COUNTRY_NOT_ENABLED";
        let is_spelled = reason.is_empty() || is_newer || spelled.contains(reason);
        assert!(is_spelled, "{code} {reason}");
    }
}

#[tokio::test]
async fn a_part_of_the_request_that_aws_refuses_is_the_numbers_or_the_settings() {
    let endpoint = Endpoint::start(&[]).await;
    for (field, expected) in [
        ("DestinationPhoneNumber", "final bad_number"),
        ("destinationPhoneNumber", "final bad_number"),
        ("OriginationIdentity", "hold account"),
        ("ConfigurationSetName", "hold account"),
        ("MaxPrice", "hold account"),
        ("MessageBody", "final rejected"),
    ] {
        let body = json!({
            "__type": "com.amazonaws.pinpointsmsvoicev2#ValidationException",
            "Message": "Invalid value +12065550100",
            "Reason": "FIELD_VALIDATION_FAILED",
            "Fields": [{ "Name": field, "Message": "+12065550100" }],
        });
        let outcome = endpoint.outcome(400, &body.to_string()).await;
        assert_eq!(told(&outcome), expected, "{field}");
        let error = "HTTP 400 ValidationException FIELD_VALIDATION_FAILED: Invalid value +…";
        assert!(format!("{outcome:?}").contains(error), "{outcome:?}");
    }
}

#[tokio::test]
async fn an_unreadable_answer_is_an_unknown_outcome() {
    let endpoint = Endpoint::start(&[]).await;
    for body in [
        "",
        "{}",
        r#"{"MessageId":""}"#,
        r#"{"MessageId":null}"#,
        r#"{"MessageId":"#,
        r#"{"MessageId":["+12065550100"]}"#,
        "<html>It works!</html>",
        "[]",
        "null",
    ] {
        assert_eq!(
            told(&endpoint.outcome(200, body).await),
            "unknown",
            "{body}"
        );
    }
    endpoint.assert_quiet();
}

#[tokio::test]
async fn a_request_without_an_answer_is_an_unknown_outcome() {
    // The connection ends in the answer.
    let endpoint = Endpoint::start(&[]).await;
    for half in [
        &b"HTTP/1.1 2"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"Mess",
    ] {
        let (outcome, _) = endpoint.exchange(HOUR, half).await;
        assert_eq!(told(&outcome), "unknown");
    }
    // The connection ends before the answer, and is reset.
    for is_reset in [false, true] {
        let sent = endpoint.send(HOUR, Instant::now() + HOUR);
        let received = async {
            let request = receive(&endpoint.listener, b"").await;
            if is_reset {
                request.connection.set_zero_linger().expect("a reset");
            }
        };
        assert_eq!(told(&tokio::join!(sent, received).0), "unknown");
    }
    endpoint.assert_quiet();

    // There is no answer in time.
    let credentials = Credentials::new("AKIDEXAMPLE", "secret-of-aws", None, None, "test");
    let endpoint = Endpoint::start_with(&[], Duration::from_millis(200), credentials).await;
    assert_eq!(told(&endpoint.exchange(HOUR, b"").await.0), "unknown");
    endpoint.assert_quiet();
}
