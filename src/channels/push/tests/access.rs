//! Access tokens: the assertion, sharing, renewal and failures.

use std::time::{Duration, Instant};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use futures_util::future::join_all;
use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::channels::Outcome;
use crate::channels::push::tests::fake_fcm::{FakeFcm, Reply};
use crate::channels::push::tests::samples::{ACCOUNT, KEY, refusal};
use crate::channels::push::tests::{
    NOW, SHORT, TOKEN, later, message, settings_for, settings_with,
};
use crate::channels::push::{Push, PushMessage};
use crate::reminders::Reason;

/// A message that is sent this many seconds later.
fn message_after(seconds: u64) -> PushMessage<'static> {
    PushMessage {
        at: NOW + Duration::from_secs(seconds),
        ..message()
    }
}

async fn send_after(push: &Push, seconds: u64) -> Outcome {
    push.send_to(TOKEN, &message_after(seconds), later())
        .await
        .outcome
}

/// The `Authorization` of the latest message.
fn latest_access(server: &FakeFcm) -> String {
    let message = server.messages().pop().expect("a message");
    message
        .header("authorization")
        .expect("a header")
        .to_owned()
}

fn unavailable() -> Reply {
    Reply::json(503, &json!({"error": "unavailable"}))
}

#[tokio::test]
async fn the_assertion_is_signed_by_the_accounts_key() {
    let server = FakeFcm::start(|_, _| Reply::taken()).await;
    send_after(&Push::new(&settings_for(&server)), 0).await;
    let request = server.token_requests().pop().expect("a request");
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    let form: Vec<_> = url::form_urlencoded::parse(request.body.as_bytes()).collect();
    let [(grant, kind), (name, assertion)] = &form[..] else {
        panic!("{form:?}");
    };
    assert_eq!((&**grant, &**name), ("grant_type", "assertion"));
    assert_eq!(kind, "urn:ietf:params:oauth:grant-type:jwt-bearer");

    let (signed, signature) = assertion.rsplit_once('.').expect("three parts");
    let (header, claims) = signed.split_once('.').expect("three parts");
    let decoded = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64");
    let json = |part| serde_json::from_slice::<Value>(&decoded(part)).expect("JSON");
    assert_eq!(
        json(header),
        json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"})
    );
    let issued_at = NOW.timestamp() - 10;
    let expected = json!({
        "iss": ACCOUNT,
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": format!("http://{}/token", server.address),
        "iat": issued_at,
        "exp": issued_at + 3600,
    });
    assert_eq!(json(claims), expected);

    let key = PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).expect("a key");
    let key = KeyPair::from_pkcs8(key.secret_pkcs8_der()).expect("a key");
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public());
    let signature = decoded(signature);
    assert!(public.verify(signed.as_bytes(), &signature).is_ok());
    assert!(public.verify(header.as_bytes(), &signature).is_err());
}

#[tokio::test]
async fn ten_sends_at_once_share_one_token_and_later_ones_use_it() {
    let server = FakeFcm::start(|_, _| Reply::taken()).await;
    let push = Push::new(&settings_for(&server));
    let outcomes = join_all((0..10).map(|_| send_after(&push, 0))).await;
    let is_sent = |outcome: &Outcome| matches!(outcome, Outcome::Sent { .. });
    assert!(outcomes.iter().all(is_sent), "{outcomes:?}");
    assert!(is_sent(&send_after(&push, 3298).await));
    assert_eq!(server.messages().len(), 11);
    assert_eq!(server.token_requests().len(), 1);
}

#[tokio::test]
async fn ten_sends_at_once_share_one_failure_and_the_next_one_tries_again() {
    let tokens = |count| match count {
        1 => unavailable(),
        _ => Reply::granted(count),
    };
    let server = FakeFcm::start_with_tokens(tokens, |_, _| Reply::taken()).await;
    let push = Push::new(&settings_for(&server));
    let outcomes = join_all((0..10).map(|_| send_after(&push, 0))).await;
    for outcome in outcomes {
        let is_not_sent = matches!(
            outcome,
            Outcome::NotSent {
                reason: Reason::Unreachable,
                ..
            }
        );
        assert!(is_not_sent, "{outcome:?}");
    }
    assert_eq!(
        (server.token_requests().len(), server.messages().len()),
        (1, 0)
    );
    assert!(matches!(send_after(&push, 0).await, Outcome::Sent { .. }));
    assert_eq!(server.token_requests().len(), 2);
}

#[tokio::test]
async fn a_token_is_renewed_five_minutes_before_its_end() {
    let server = FakeFcm::start(|_, _| Reply::taken()).await;
    let push = Push::new(&settings_for(&server));
    for (seconds, access) in [(0, 1), (3298, 1), (3300, 2), (6598, 2), (6600, 3)] {
        send_after(&push, seconds).await;
        assert_eq!(
            latest_access(&server),
            format!("Bearer access-{access}"),
            "{seconds}"
        );
    }
}

#[tokio::test]
async fn a_short_token_is_renewed_at_its_half_and_none_is_used_for_more_than_an_hour() {
    for (expires_in, steps) in [
        (json!(60), [(0, 1), (29, 1), (31, 2)]),
        (json!(86_400), [(0, 1), (3299, 1), (3301, 2)]),
        (json!(null), [(0, 1), (3299, 1), (3301, 2)]),
    ] {
        let tokens = move |count| {
            let token = format!("access-{count}");
            Reply::json(
                200,
                &json!({"access_token": token, "expires_in": expires_in}),
            )
        };
        let server = FakeFcm::start_with_tokens(tokens, |_, _| Reply::taken()).await;
        let push = Push::new(&settings_for(&server));
        for (seconds, access) in steps {
            send_after(&push, seconds).await;
            assert_eq!(
                latest_access(&server),
                format!("Bearer access-{access}"),
                "{seconds}"
            );
        }
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_is_used_to_its_end() {
    let tokens = |count| match count {
        1 => Reply::granted(1),
        _ => unavailable(),
    };
    let server = FakeFcm::start_with_tokens(tokens, |_, _| Reply::taken()).await;
    let push = Push::new(&settings_for(&server));
    for (seconds, requests) in [(0, 1), (3300, 2), (3350, 2), (3370, 3), (3590, 4)] {
        let outcome = send_after(&push, seconds).await;
        assert!(
            matches!(outcome, Outcome::Sent { .. }),
            "{seconds} {outcome:?}"
        );
        assert_eq!(latest_access(&server), "Bearer access-1");
        assert_eq!(server.token_requests().len(), requests, "{seconds}");
    }
    let outcome = send_after(&push, 3660).await;
    assert!(matches!(outcome, Outcome::NotSent { .. }), "{outcome:?}");
}

#[tokio::test]
async fn while_a_renewal_hangs_the_old_token_is_used() {
    let tokens = |count| match count {
        1 => Reply::granted(1),
        _ => Reply::Silence,
    };
    let server = FakeFcm::start_with_tokens(tokens, |_, _| Reply::taken()).await;
    let push = Push::new(&settings_for(&server));
    send_after(&push, 0).await;
    for (seconds, requests) in [(3300, 2), (3359, 2), (3361, 3)] {
        let outcomes = join_all((0..5).map(|_| send_after(&push, seconds))).await;
        for outcome in outcomes {
            assert!(matches!(outcome, Outcome::Sent { .. }), "{outcome:?}");
        }
        assert_eq!(latest_access(&server), "Bearer access-1");
        assert_eq!(server.token_requests().len(), requests, "{seconds}");
    }
    // A caller that goes away leaves the wait, too.
    let message = message_after(3422);
    let renewing = push.send_to(TOKEN, &message, later());
    assert!(tokio::time::timeout(SHORT, renewing).await.is_err());
    let begun = Instant::now();
    assert!(matches!(
        send_after(&push, 3422).await,
        Outcome::Sent { .. }
    ));
    assert!(begun.elapsed() < Duration::from_millis(900), "it waited");
    assert_eq!(server.token_requests().len(), 4);
}

#[tokio::test]
async fn a_token_that_fcm_refuses_is_thrown_away() {
    for (code, access) in [("", "access-2"), ("THIRD_PARTY_AUTH_ERROR", "access-1")] {
        let refused = refusal(401, "UNAUTHENTICATED", code, "No.");
        let server = FakeFcm::start(move |_, count| match count {
            1 => Reply::json(401, &refused),
            _ => Reply::taken(),
        })
        .await;
        let push = Push::new(&settings_for(&server));
        let refused = send_after(&push, 0).await;
        assert!(!matches!(refused, Outcome::Sent { .. }), "{refused:?}");
        assert!(matches!(send_after(&push, 0).await, Outcome::Sent { .. }));
        assert_eq!(latest_access(&server), format!("Bearer {access}"));
    }
}

#[tokio::test]
async fn a_late_refusal_leaves_the_next_token_alone() {
    let refused = json!({"error": {"code": 401, "status": "UNAUTHENTICATED"}});
    let server = FakeFcm::start(move |request, _| match request.header("authorization") {
        Some("Bearer access-1") => Reply::json(401, &refused),
        _ => Reply::taken(),
    })
    .await;
    let push = Push::new(&settings_for(&server));
    let message = message();
    let first = push
        .access
        .authorization(&push.http, NOW)
        .await
        .expect("a token");
    push.send_to(TOKEN, &message, later()).await;
    push.send_to(TOKEN, &message, later()).await;
    push.access.discard(&first);
    push.send_to(TOKEN, &message, later()).await;
    assert_eq!(latest_access(&server), "Bearer access-2");
    assert_eq!(server.token_requests().len(), 2);
}

#[tokio::test]
async fn each_failure_to_get_a_token_has_its_outcome() {
    let error = |name: &str| json!({"error": name, "error_description": format!("No {ACCOUNT}.")});
    let (account, unreachable) = ("account", "unreachable");
    for (reply, expected) in [
        (Reply::json(400, &error("invalid_grant")), account),
        (Reply::json(401, &error("invalid_client")), account),
        (Reply::json(403, &error("access_denied")), account),
        (Reply::json(404, &Value::Null), account),
        (Reply::json(408, &Value::Null), unreachable),
        (Reply::json(429, &error("rate_limit")), "throttled"),
        (Reply::json(500, &error("internal_failure")), unreachable),
        (unavailable(), unreachable),
        (Reply::json(302, &Value::Null), unreachable),
        (
            Reply::json(200, &json!({"id_token": "secret"})),
            unreachable,
        ),
        (
            Reply::json(200, &json!({"access_token": "line\nbreak"})),
            unreachable,
        ),
        (Reply::Close, unreachable),
        (Reply::Reset, unreachable),
        (Reply::Cut, unreachable),
        (Reply::Silence, unreachable),
    ] {
        let is_silent = matches!(reply, Reply::Silence);
        let tokens = move |_| reply.clone();
        let server = FakeFcm::start_with_tokens(tokens, |_, _| Reply::taken()).await;
        let mut settings = settings_for(&server);
        if is_silent {
            settings.timing.connect = SHORT;
        }
        let outcome = send_after(&Push::new(&settings), 0).await;
        let (Outcome::AccountWide { reason, error } | Outcome::NotSent { reason, error }) =
            &outcome
        else {
            panic!("{outcome:?}");
        };
        assert_eq!(reason.as_str(), expected, "{outcome:?}");
        let is_account_wide = matches!(outcome, Outcome::AccountWide { .. });
        assert_eq!(is_account_wide, *reason == Reason::Account, "{outcome:?}");
        assert!(error.starts_with("no access token: "), "{error}");
        assert!(!error.contains('@'), "{error}");
        assert!(server.messages().is_empty(), "nothing was sent");
    }
}

#[tokio::test]
async fn a_token_server_that_refuses_connections_is_tried_again() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", closed.local_addr().expect("an address"));
    drop(closed);
    let push = Push::new(&settings_with(&base, &format!("{base}/token")));
    let outcome = send_after(&push, 0).await;
    let is_not_sent = matches!(
        outcome,
        Outcome::NotSent {
            reason: Reason::Unreachable,
            ..
        }
    );
    assert!(is_not_sent, "{outcome:?}");
}
