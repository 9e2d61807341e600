//! What the channels on AWS share: a client's settings, and what AWS answers whatever the service.
//!
//! AWS's services for messages have no idempotency key, so the SDK's retries are off: after a lost
//! answer, they would send a second message. The outbox decides on retries.

pub(crate) mod refusals;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{ConfigLoader, Region};
// The SDK's crates of all services export these.
use aws_sdk_sesv2::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sesv2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sesv2::error::BoxError;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::channels::aws::refusals::TooLate;
use crate::channels::timing::Timing;
use crate::channels::{Outcome, TimeLimits};
use crate::primitives::settings::SettingError;

/// How long an idle connection is kept. It is far below a minute: a connection that died while the
/// function was frozen looks open, and would make the first messages' outcomes unknown.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads the region of a service from the SDK's standard settings.
///
/// # Errors
/// When no region is set.
pub(crate) async fn read_region(service: &str) -> Result<Region, SettingError> {
    // The SDK's default chain also asks the instance metadata service, and would wait for it where
    // there is none.
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .region()
        .await
        .filter(|region| !region.as_ref().is_empty())
        .ok_or_else(|| {
            SettingError::new(
                "AWS_REGION",
                format!("is not set: it takes the region of {service}, such as eu-central-1"),
            )
        })
}

/// The settings of a client that sends each request once. The SDK reads the others when they are
/// loaded (credentials, endpoints), and all the system's certificate authorities: do that for the
/// first request.
pub(crate) fn client_config(region: Region, timing: Timing) -> ConfigLoader {
    let http = aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(timing.connect)
        .operation_timeout(timing.request);
    aws_config::from_env()
        .region(region)
        .http_client(http)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
}

/// Stops a request after this time. Fetching credentials may take seconds, and the message's facts
/// would be out of date.
#[derive(Clone, Debug)]
pub(crate) struct LeaveBy {
    time: Instant,
    /// Whether a request may have left.
    may_have_left: Arc<AtomicBool>,
}

/// The outcome of a message that is sent by this time, or not.
pub(crate) async fn outcome_in_time(
    limits: TimeLimits,
    send: impl AsyncFnOnce(LeaveBy) -> Outcome,
) -> Outcome {
    let leave_by = LeaveBy {
        time: limits.leave_by,
        may_have_left: Arc::default(),
    };
    let may_have_left = leave_by.may_have_left.clone();
    let sending = send(leave_by);
    match tokio::time::timeout_at(limits.give_up_at.into(), sending).await {
        Ok(outcome) => outcome,
        Err(_) if may_have_left.load(Ordering::Relaxed) => Outcome::Unknown {
            error: "no answer before the call had to end".to_owned(),
        },
        Err(_) => Outcome::Deferred,
    }
}

impl Intercept for LeaveBy {
    fn name(&self) -> &'static str {
        "LeaveBy"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if Instant::now() < self.time {
            self.may_have_left.store(true, Ordering::Relaxed);
            Ok(())
        } else {
            Err(TooLate.into())
        }
    }
}
