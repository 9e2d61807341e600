//! What libraries that none of us wrote say: of signatures of requests to AWS (botocore), of the
//! assertions by which FCM lets us in (PyJWT), and of phone numbers (phonenumbers).

use std::process::Command;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use booking_automation::primitives::phone_number::{PhoneNumber, PhoneNumberError};
use chrono::{NaiveDateTime, Utc};
use serde_json::{Value, json};

use crate::app::skipped;
use crate::calendar::ask;
use crate::channels::Reach;
use crate::fcm_endpoint::{ACCOUNT, KEY, SCOPE};
use crate::others::find;

/// Phone numbers, and what is none, as people write it.
const WRITTEN: &[&str] = &[
    "+12065550100",
    "+1 (206) 555-0100",
    "+1.206.555.0100",
    "+(1)(206)5550100",
    " +1 206 555 0100 ",
    "+1 206 555 0100 ext. 5",
    "+1 206 555 0100 / 0101",
    "+1 206 KL5 0100",
    "+1 (206 555 0100",
    "+1 206) 555 0100",
    "+12065550100,+12065550101",
    "++12065550100",
    "(206) 555-0100",
    "1-206-555-0100",
    "011 1 206 555 0100",
    "+44 20 7946 0958",
    "+44 (0)20 7946 0958",
    "+44 (020) 7946 0958",
    "+44 020 7946 0958",
    "+250 0720 123456",
    "+44 7700 900123",
    "07700 900123",
    "+43 664 1234567",
    "+43/664/1234567",
    "+43 (0)664 1234567",
    "0664 1234567",
    "0043 664 1234567",
    "+49 151 12345678",
    "+49-151-12345678",
    "+49 (151) 1234 5678",
    "+49\u{a0}151\u{2011}12345678",
    "\u{202a}+49 151 12345678\u{202c}",
    "tel:+4915112345678",
    "+39 06 6982 0000",
    "+33 1 23 45 67 89",
    "+7 (912) 345-67-89",
    "+55 (11) 96123-4567",
    "+86 138 0013 8000",
    "+91 81234 56789",
    "+225 01 23 45 67 89",
    "+0",
    "+012065550100",
    "+",
    "",
    "carla",
    "none",
];

/// What a library says; `None`, with a message, where it is not installed.
fn ask_library(module: &str, script: &str, given: &Value) -> Option<Value> {
    let missing = || {
        skipped(&format!("{module} is not installed (make judges)"));
        None
    };
    let Some(python) = find("python", &["target/judges/bin"]) else {
        return missing();
    };
    let mut command = Command::new(python);
    command.arg(format!("{}/tests/it/{script}", env!("CARGO_MANIFEST_DIR")));
    match ask(command, given) {
        Ok(found) => Some(found),
        Err(error) if error.contains(&format!("No module named '{module}")) => missing(),
        Err(error) => panic!("{error}"),
    }
}

/// A request to AWS as it arrived: what its signature may cover.
pub fn captured(service: &str, path: &str, headers: &HeaderMap, body: &[u8]) -> Value {
    let headers: Value = headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let body = STANDARD.encode(body);
    json!({"service": service, "method": "POST", "path": path, "headers": headers, "body": body})
}

#[tokio::test]
async fn requests_to_aws_have_the_signatures_of_botocore() {
    let reach = Reach::by(&["sms", "email"]).await;
    reach.booking().await;
    reach.run().await;
    let requests = [reach.sms.captured(), reach.app.ses.captured()].concat();
    let services: Vec<_> = requests.iter().map(|one| &one["service"]).collect();
    assert_eq!(services, ["sms-voice", "ses"]);

    // Each as it is, and with another body, path or time.
    let mut asked = Vec::new();
    for request in &requests {
        let with = |pointer: &str, value: &str| {
            let mut other = request.clone();
            *other.pointer_mut(pointer).unwrap() = json!(value);
            other
        };
        asked.extend([
            request.clone(),
            with("/body", &STANDARD.encode("{}")),
            with("/path", "/v2/email/other"),
            with("/headers/x-amz-date", "20260101T000000Z"),
        ]);
    }
    let given = json!({
        "key_id": "test",
        "secret": "test",
        "region": "eu-central-1",
        "requests": asked,
    });
    let Some(signed) = ask_library("botocore", "signatures.py", &given) else {
        return;
    };
    let signed = signed.as_array().unwrap();
    assert_eq!(signed.len(), asked.len());
    for (request, signed) in requests.iter().zip(signed.chunks(4)) {
        let header = |name: &str| request["headers"][name].as_str().unwrap();
        let authorization = header("authorization");
        assert_eq!(signed[0], authorization, "{request}");
        assert!(!signed[1..].contains(&json!(authorization)), "{signed:?}");
        // AWS takes what was signed within five minutes.
        let at = NaiveDateTime::parse_from_str(header("x-amz-date"), "%Y%m%dT%H%M%SZ").unwrap();
        assert!(
            (Utc::now() - at.and_utc()).num_seconds().abs() < 300,
            "{at}"
        );
        let (_, names) = authorization.split_once("SignedHeaders=").unwrap();
        let names: Vec<_> = names.split(',').next().unwrap().split(';').collect();
        for name in ["host", "x-amz-date", "content-type"] {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
    }
}

#[tokio::test]
async fn assertions_for_fcm_are_verified_by_pyjwt() {
    let reach = Reach::by(&["push"]).await;
    reach.app.booking_due_now().await;
    let summary = reach.app.call(&["run"]).await.summary();
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    let assertions = reach.fcm.assertions();
    let [assertion] = &assertions[..] else {
        panic!("one request for a token");
    };
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{signed}.{first}{}", &signature[1..]);
    let verify = |audience: &str| {
        let given = json!({
            "key": KEY,
            "issuer": ACCOUNT,
            "audience": audience,
            "assertions": [assertion, forged],
        });
        ask_library("jwt", "assertions.py", &given)
    };
    let token_uri = reach.fcm.token_uri();
    let Some(verified) = verify(token_uri) else {
        return;
    };
    assert_eq!(
        verified[0]["header"],
        json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"})
    );
    let claims = &verified[0]["claims"];
    let time = |name: &str| claims[name].as_i64().unwrap();
    let expected = json!({
        "iss": ACCOUNT,
        "scope": SCOPE,
        "aud": token_uri,
        "iat": time("iat"),
        "exp": time("exp"),
    });
    assert_eq!(*claims, expected);
    assert_eq!(time("exp") - time("iat"), 3600);
    assert_eq!(verified[1]["refused"], "InvalidSignatureError");
    let elsewhere = verify("https://oauth2.example/token").unwrap();
    assert_eq!(elsewhere[0]["refused"], "InvalidAudienceError");
}

#[test]
fn phone_numbers_are_those_of_googles_library() {
    let Some(found) = ask_library("phonenumbers", "phone_numbers.py", &json!(WRITTEN)) else {
        return;
    };
    let examples: Vec<(String, String)> =
        serde_json::from_value(found["examples"].clone()).unwrap();
    assert!(examples.len() > 900, "{}", examples.len());
    for (text, e164) in &examples {
        assert_eq!(PhoneNumber::parse(text).unwrap().as_str(), e164, "{text}");
    }
    // None is shorter than the shortest mobile number.
    let fewest = usize::try_from(found["fewest"].as_u64().unwrap()).unwrap();
    let of_digits = |count| format!("+1{}", "2".repeat(count - 1));
    let too_short = PhoneNumber::parse(&of_digits(fewest - 1));
    assert_eq!(too_short, Err(PhoneNumberError::WrongLength));
    PhoneNumber::parse(&of_digits(fewest)).unwrap();

    let readings: Vec<(String, Option<String>, bool)> =
        serde_json::from_value(found["readings"].clone()).unwrap();
    let mut accepted = 0;
    for (text, e164, is_possible) in &readings {
        match PhoneNumber::parse(text) {
            Ok(number) => {
                assert_eq!(e164.as_deref(), Some(number.as_str()), "{text}");
                // Where numbers begin with 0, one 0 too many makes the number too long.
                let has_zero =
                    (text.split_once(' ')).is_some_and(|(_, rest)| rest.starts_with('0'));
                assert!(*is_possible || has_zero, "{text}");
                accepted += 1;
            }
            // Other reasons are about how it is written.
            Err(error @ (PhoneNumberError::WrongLength | PhoneNumberError::NoCountryCode)) => {
                assert!(!is_possible, "{text}: {error}");
            }
            Err(_) => {}
        }
    }
    let refused = readings.len() - accepted;
    assert!(accepted > 7000 && refused > 5000, "{accepted} {refused}");
}
