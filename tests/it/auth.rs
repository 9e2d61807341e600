//! The function that checks credentials, part by part.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use booking_automation::http::auth::{self, Credentials, Refusal};
use booking_automation::http::settings::CronSecrets;
use booking_automation::tick::trigger::Trigger;

use crate::client::signature;

/// The example of the Standard Webhooks specification.
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
const TIMESTAMP: u64 = 1_649_367_553;
const BODY: &str = r#"{"email":"test@example.com","username":"test_user"}"#;
const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

const OTHER_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAA";
const BEARER: &str = "0123456789abcdef";
const OTHER_BEARER: &str = "fedcba9876543210-ABC";

fn secrets(bearer: &str, signing: &str) -> CronSecrets {
    let lookup = |name: &str| match name {
        "CRON_SECRET" => Some(bearer.to_owned()),
        "CRON_SIGNING_SECRET" => Some(signing.to_owned()),
        _ => None,
    };
    CronSecrets::from_environment(&lookup).unwrap()
}

/// The cause that a request is accepted with.
fn authenticate(
    secrets: &CronSecrets,
    presented: &Credentials,
    body: &[u8],
    now: SystemTime,
) -> Result<Trigger, Refusal> {
    auth::authenticate(secrets, presented, body, now).map(|caller| caller.trigger)
}

#[test]
fn each_secret_has_its_own_rate_limit_key_that_does_not_reveal_it() {
    let credential = |secret: &str| {
        let authorization = format!("Bearer {secret}");
        let presented = Credentials {
            authorization: vec![authorization.as_bytes()],
            ..Credentials::default()
        };
        let list = format!("{BEARER},{OTHER_BEARER}");
        auth::authenticate(&secrets(&list, ""), &presented, b"", unix_time(TIMESTAMP))
            .unwrap()
            .credential
    };
    assert_ne!(credential(BEARER), credential(OTHER_BEARER));
    // The first 32 bits of sha256("booking-automation caller " + secret), by sha256sum.
    assert_eq!(credential(BEARER), "7437237e");
}

fn unix_time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Authenticates with three headers and a body, at the time and with the secret of the example.
fn authenticate_signed(
    id: &[u8],
    timestamp: &[u8],
    signatures: &[u8],
    body: &[u8],
) -> Result<Trigger, Refusal> {
    let presented = Credentials {
        authorization: vec![],
        webhook_id: vec![id],
        webhook_timestamp: vec![timestamp],
        webhook_signature: vec![signatures],
    };
    authenticate(&secrets("", SECRET), &presented, body, unix_time(TIMESTAMP))
}

/// Authenticates with a valid signature of these parts.
fn authenticate_with_valid_signature(id: &[u8], timestamp: &[u8]) -> Result<Trigger, Refusal> {
    authenticate_signed(
        id,
        timestamp,
        signature(SECRET, id, timestamp, b"body").as_bytes(),
        b"body",
    )
}

fn trigger_of_example() -> Trigger {
    Trigger::Signature {
        webhook_id: ID.to_owned(),
    }
}

#[test]
fn the_example_of_the_specification_is_accepted() {
    let timestamp = TIMESTAMP.to_string();
    assert_eq!(
        authenticate_signed(
            ID.as_bytes(),
            timestamp.as_bytes(),
            SIGNATURE.as_bytes(),
            BODY.as_bytes()
        ),
        Ok(trigger_of_example())
    );
}

#[test]
fn changing_any_part_of_a_signed_request_invalidates_it() {
    let timestamp = TIMESTAMP.to_string();
    let parts = [
        ID.as_bytes(),
        timestamp.as_bytes(),
        SIGNATURE.as_bytes(),
        BODY.as_bytes(),
    ];
    for part in 0..4 {
        for position in 0..parts[part].len() {
            // Flip one bit in every byte of every part.
            let mut changed = parts.map(<[u8]>::to_vec);
            changed[part][position] ^= 1;
            let judged = authenticate_signed(&changed[0], &changed[1], &changed[2], &changed[3]);
            assert_eq!(
                judged,
                Err(Refusal::Signature),
                "part {part}, byte {position}"
            );

            let mut truncated = parts.map(<[u8]>::to_vec);
            truncated[part].truncate(position);
            let judged =
                authenticate_signed(&truncated[0], &truncated[1], &truncated[2], &truncated[3]);
            assert_eq!(
                judged,
                Err(Refusal::Signature),
                "part {part}, {position} bytes of it"
            );
        }
        let mut doubled = parts.map(<[u8]>::to_vec);
        doubled[part].extend(parts[part]);
        let judged = authenticate_signed(&doubled[0], &doubled[1], &doubled[2], &doubled[3]);
        assert_eq!(
            judged,
            Err(Refusal::Signature),
            "part {part}, twice in one value"
        );
        for other in 0..4 {
            let mut reordered = parts;
            reordered.swap(part, other);
            let judged =
                authenticate_signed(reordered[0], reordered[1], reordered[2], reordered[3]);
            assert_eq!(
                judged.is_ok(),
                part == other,
                "parts {part} and {other} exchanged"
            );
        }
    }
    // The same bytes, split at another place.
    let (id, rest) = (format!("{ID}.1"), &timestamp[1..]);
    assert_eq!(
        authenticate_signed(
            id.as_bytes(),
            rest.as_bytes(),
            SIGNATURE.as_bytes(),
            BODY.as_bytes()
        ),
        Err(Refusal::Signature)
    );
}

#[test]
fn each_signature_header_must_occur_exactly_once() {
    let timestamp = TIMESTAMP.to_string();
    let whole = [
        vec![ID.as_bytes()],
        vec![timestamp.as_bytes()],
        vec![SIGNATURE.as_bytes()],
    ];
    let judge = |headers: [Vec<&[u8]>; 3]| {
        let [webhook_id, webhook_timestamp, webhook_signature] = headers;
        let presented = Credentials {
            authorization: vec![],
            webhook_id,
            webhook_timestamp,
            webhook_signature,
        };
        authenticate(
            &secrets("", SECRET),
            &presented,
            BODY.as_bytes(),
            unix_time(TIMESTAMP),
        )
    };
    assert_eq!(judge(whole.clone()), Ok(trigger_of_example()));
    for part in 0..3 {
        let mut missing = whole.clone();
        missing[part].clear();
        assert_eq!(
            judge(missing),
            Err(Refusal::Incomplete),
            "part {part} is missing"
        );
        let mut doubled = whole.clone();
        doubled[part].push(whole[part][0]);
        assert_eq!(
            judge(doubled),
            Err(Refusal::Incomplete),
            "part {part} comes twice"
        );
        let mut alone = [vec![], vec![], vec![]];
        alone[part] = whole[part].clone();
        assert_eq!(judge(alone), Err(Refusal::Incomplete), "part {part} alone");
    }
    assert_eq!(judge([vec![], vec![], vec![]]), Err(Refusal::None));
}

#[test]
fn one_valid_signature_among_several_is_enough() {
    let timestamp = TIMESTAMP.to_string();
    let wrong = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let bare = &SIGNATURE[3..];
    for (signatures, fits) in [
        (format!("{wrong} {SIGNATURE}"), true),
        (format!("{SIGNATURE} {wrong}"), true),
        (format!("{SIGNATURE} {SIGNATURE}"), true),
        (format!("v1a,{bare} v2,x rubbish {SIGNATURE}"), true),
        (format!("{wrong} {wrong}"), false),
        (format!("{SIGNATURE},{wrong}"), false),
        (format!("{wrong}\t{SIGNATURE}"), false),
        (format!("v1a,{bare}"), false),
        (format!("v2,{bare}"), false),
        (format!("V1,{bare}"), false),
        (bare.to_owned(), false),
        (format!("v1,{}", bare.trim_end_matches('=')), false),
        ("v1,".to_owned(), false),
        (" ".repeat(10_000), false),
        ("v1, ".repeat(10_000), false),
    ] {
        let judged = authenticate_signed(
            ID.as_bytes(),
            timestamp.as_bytes(),
            signatures.as_bytes(),
            BODY.as_bytes(),
        );
        assert_eq!(judged.is_ok(), fits, "{signatures:.60}");
    }
    assert_eq!(
        authenticate_signed(
            ID.as_bytes(),
            timestamp.as_bytes(),
            b"\xff\xfe",
            BODY.as_bytes()
        ),
        Err(Refusal::Signature)
    );
}

#[test]
fn a_signature_is_valid_within_five_minutes_of_its_timestamp() {
    for (offset, fits) in [
        (0, true),
        (300, true),
        (301, false),
        (-300, true),
        (-301, false),
        (86_400, false),
    ] {
        let timestamp = TIMESTAMP.checked_add_signed(offset).unwrap().to_string();
        let expected = if fits {
            Ok(trigger_of_example())
        } else {
            Err(Refusal::Timestamp)
        };
        assert_eq!(
            authenticate_with_valid_signature(ID.as_bytes(), timestamp.as_bytes()),
            expected,
            "{offset} s"
        );
    }
}

#[test]
fn a_malformed_timestamp_is_refused_even_if_signed() {
    for timestamp in [
        &b""[..],
        b"0",
        b"-1649367553",
        b"+1649367553",
        b" 1649367553",
        b"1649367553 ",
        b"1649367553.0",
        b"1.649367553e9",
        b"0x624f5b01",
        b"9223372036854775807",
        b"9223372036854775808",
        b"-9223372036854775808",
        b"18446744073709551615",
        b"18446744073709551616",
        b"99999999999999999999999999999999999999999",
        b"2022-04-07T21:39:13Z",
        b"\xff\xfe",
        "١٦٤٩٣٦٧٥٥٣".as_bytes(),
    ] {
        let judged = authenticate_with_valid_signature(ID.as_bytes(), timestamp);
        assert_eq!(
            judged,
            Err(Refusal::Timestamp),
            "{}",
            String::from_utf8_lossy(timestamp)
        );
    }
}

#[test]
fn a_malformed_webhook_id_is_refused_even_if_signed() {
    let timestamp = TIMESTAMP.to_string();
    let longest = "x".repeat(256);
    assert!(authenticate_with_valid_signature(longest.as_bytes(), timestamp.as_bytes()).is_ok());
    for id in [
        &b""[..],
        b"msg.1",
        b".",
        b"a b",
        b"a\0b",
        b"\xff",
        "ä".as_bytes(),
        "x".repeat(257).as_bytes(),
    ] {
        let judged = authenticate_with_valid_signature(id, timestamp.as_bytes());
        assert_eq!(judged, Err(Refusal::Id), "{}", String::from_utf8_lossy(id));
    }
}

/// Authenticates with `Authorization` headers.
fn authenticate_bearer(list: &str, headers: &[&[u8]]) -> Result<Trigger, Refusal> {
    let presented = Credentials {
        authorization: headers.to_vec(),
        ..Credentials::default()
    };
    authenticate(
        &secrets(list, ""),
        &presented,
        b"anything",
        unix_time(TIMESTAMP),
    )
}

#[test]
fn a_bearer_secret_must_match_exactly() {
    let right = format!("Bearer {BEARER}");
    for header in [
        right.clone(),
        format!("bearer {BEARER}"),
        format!("BEARER {BEARER}"),
    ] {
        assert_eq!(
            authenticate_bearer(BEARER, &[header.as_bytes()]),
            Ok(Trigger::Bearer),
            "{header}"
        );
    }
    for header in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        BEARER.to_owned(),
        format!("Bearer {}", &BEARER[1..]),
        format!("Bearer {}", &BEARER[..15]),
        format!("Bearer {BEARER}x"),
        format!("Bearer {BEARER} "),
        format!("Bearer  {BEARER}"),
        format!("Bearer {}", BEARER.to_uppercase()),
        format!("Bearer {BEARER}, Bearer {BEARER}"),
        format!("Basic {BEARER}"),
        format!("Bearer{BEARER}x"),
        format!("Bearer {}", "x".repeat(100_000)),
    ] {
        assert_eq!(
            authenticate_bearer(BEARER, &[header.as_bytes()]),
            Err(Refusal::Bearer),
            "{header:.60}"
        );
    }
    assert_eq!(
        authenticate_bearer(BEARER, &[b"Bearer \xff\xff"]),
        Err(Refusal::Bearer)
    );
    assert_eq!(
        authenticate_bearer(BEARER, &[right.as_bytes(), right.as_bytes()]),
        Err(Refusal::Bearer)
    );
    assert_eq!(authenticate_bearer(BEARER, &[]), Err(Refusal::None));
}

#[test]
fn both_secrets_are_accepted_during_rotation() {
    let list = format!("{BEARER}, {OTHER_BEARER}");
    for secret in [BEARER, OTHER_BEARER] {
        assert_eq!(
            authenticate_bearer(&list, &[format!("Bearer {secret}").as_bytes()]),
            Ok(Trigger::Bearer)
        );
    }
    for wrong in [
        list.as_str(),
        &format!("{BEARER},{OTHER_BEARER}"),
        "0123456789abcdeX",
    ] {
        assert_eq!(
            authenticate_bearer(&list, &[format!("Bearer {wrong}").as_bytes()]),
            Err(Refusal::Bearer)
        );
    }

    let timestamp = TIMESTAMP.to_string();
    let judge = |list: &str, by: &str| {
        let signatures = signature(by, ID.as_bytes(), timestamp.as_bytes(), b"");
        let presented = Credentials {
            authorization: vec![],
            webhook_id: vec![ID.as_bytes()],
            webhook_timestamp: vec![timestamp.as_bytes()],
            webhook_signature: vec![signatures.as_bytes()],
        };
        authenticate(&secrets("", list), &presented, b"", unix_time(TIMESTAMP))
    };
    let both = format!("{OTHER_SECRET},{SECRET}");
    assert_eq!(judge(&both, SECRET), Ok(trigger_of_example()));
    assert_eq!(judge(&both, OTHER_SECRET), Ok(trigger_of_example()));
    assert_eq!(judge(SECRET, OTHER_SECRET), Err(Refusal::Signature));
}

#[test]
fn with_several_credentials_each_must_be_valid() {
    let timestamp = TIMESTAMP.to_string();
    let (good, bad) = (format!("Bearer {BEARER}"), format!("Bearer {OTHER_BEARER}"));
    let wrong = SIGNATURE.replace("tZ1I", "tZ1J");
    for (authorization, signatures, expected) in [
        (good.as_str(), SIGNATURE, Ok(trigger_of_example())),
        (&good, &wrong, Err(Refusal::Signature)),
        (&bad, SIGNATURE, Err(Refusal::Bearer)),
        ("Basic dXNlcjpwYXNz", SIGNATURE, Err(Refusal::Bearer)),
        ("", SIGNATURE, Err(Refusal::Bearer)),
    ] {
        let presented = Credentials {
            authorization: vec![authorization.as_bytes()],
            webhook_id: vec![ID.as_bytes()],
            webhook_timestamp: vec![timestamp.as_bytes()],
            webhook_signature: vec![signatures.as_bytes()],
        };
        let judged = authenticate(
            &secrets(BEARER, SECRET),
            &presented,
            BODY.as_bytes(),
            unix_time(TIMESTAMP),
        );
        assert_eq!(judged, expected, "{authorization} {signatures}");
    }
    // A valid bearer secret does not replace missing signature headers.
    let presented = Credentials {
        authorization: vec![good.as_bytes()],
        webhook_id: vec![ID.as_bytes()],
        ..Credentials::default()
    };
    let judged = authenticate(
        &secrets(BEARER, SECRET),
        &presented,
        BODY.as_bytes(),
        unix_time(TIMESTAMP),
    );
    assert_eq!(judged, Err(Refusal::Incomplete));
}

#[test]
fn without_configured_secrets_every_request_is_refused() {
    let timestamp = TIMESTAMP.to_string();
    // The second signature is made with the empty key.
    for signatures in [
        SIGNATURE.to_owned(),
        signature(
            "whsec_",
            ID.as_bytes(),
            timestamp.as_bytes(),
            BODY.as_bytes(),
        ),
    ] {
        let presented = Credentials {
            authorization: vec![],
            webhook_id: vec![ID.as_bytes()],
            webhook_timestamp: vec![timestamp.as_bytes()],
            webhook_signature: vec![signatures.as_bytes()],
        };
        let judged = authenticate(
            &secrets("", ""),
            &presented,
            BODY.as_bytes(),
            unix_time(TIMESTAMP),
        );
        assert_eq!(judged, Err(Refusal::Signature));
    }
    assert_eq!(authenticate_bearer("", &[b"Bearer "]), Err(Refusal::Bearer));
    assert_eq!(
        authenticate_bearer("", &[b"Bearer 0123456789abcdef"]),
        Err(Refusal::Bearer)
    );
}
