//! What leaves no doubt, since it never left.

use std::time::{Duration, Instant};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};

use crate::channels::sms::test_endpoint::{EVENT, Endpoint, HOUR, receive};
use crate::channels::sms::tests::told;
use crate::channels::{Outcome, TimeLimits};
use crate::primitives::phone_number::PhoneNumber;

/// No credentials are found.
#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("none in this test")))
    }
}

#[tokio::test]
async fn a_request_that_never_left_is_not_an_attempt_in_doubt() {
    // The time to leave has come.
    let endpoint = Endpoint::start(&[]).await;
    let outcome = endpoint.send(HOUR, Instant::now()).await;
    assert_eq!(outcome, Outcome::Deferred);
    endpoint.assert_quiet();

    // There are no credentials.
    let endpoint = Endpoint::start_with(&[], HOUR, NoCredentials).await;
    let outcome = endpoint.send(HOUR, Instant::now() + HOUR).await;
    assert_eq!(told(&outcome), "hold account");
    endpoint.assert_quiet();

    // No process listens.
    let Endpoint { listener, sms } = Endpoint::start(&[]).await;
    drop(listener);
    let to = PhoneNumber::parse("+12065550100").expect("a number");
    let limits = TimeLimits {
        leave_by: Instant::now() + HOUR,
        give_up_at: Instant::now() + HOUR,
    };
    let outcome = sms.send(EVENT, &to, "x", HOUR, limits).await;
    assert_eq!(told(&outcome), "retry unreachable");
}

/// Credentials that never arrive.
#[derive(Debug)]
struct HangingCredentials;

impl ProvideCredentials for HangingCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(std::future::pending())
    }
}

#[tokio::test]
async fn at_the_end_of_a_call_only_what_may_have_left_is_in_doubt() {
    let soon = || TimeLimits {
        leave_by: Instant::now() + HOUR,
        give_up_at: Instant::now() + Duration::from_millis(200),
    };
    let endpoint = Endpoint::start_with(&[], HOUR, HangingCredentials).await;
    let outcome = endpoint.send_within(HOUR, soon()).await;
    assert_eq!(told(&outcome), "deferred");
    endpoint.assert_quiet();

    let endpoint = Endpoint::start(&[]).await;
    let sent = endpoint.send_within(HOUR, soon());
    let (outcome, _) = tokio::join!(sent, receive(&endpoint.listener, b""));
    assert_eq!(told(&outcome), "unknown");
}
