//! Amazon SES: one message out, one outcome back.
//!
//! SES has no idempotency key, so the SDK's own retries are off: a request whose answer was lost would
//! become a second mail. What is a second attempt, and when, the outbox decides.

use std::time::{Duration, Instant};

use aws_config::Region;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::http::HttpResponse;
use aws_sdk_sesv2::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sesv2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sesv2::error::BoxError;
use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message as SesMessage, MessageTag};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use thiserror::Error;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::channels::timing::Times;
use crate::config::{Address, DeliverySettings, SettingError};
use crate::delivery::outbox::Outcome;
use crate::messages::reminder::Message;

/// How long a connection is kept that nothing is sent through: less than a minute by far, since one that died
/// while the function was frozen looks open, and would make the first messages' outcomes unknown.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);
/// The tag that comes back in the provider's events.
pub(crate) const EVENT_TAG: &str = "event_id";

/// A client of Amazon SES.
#[derive(Clone, Debug)]
pub struct Ses {
    region: Region,
    /// Made for the first request: it reads all the system's certificate authorities, which takes longer than
    /// everything else at a cold start, and most calls send nothing.
    client: OnceCell<Client>,
    from: String,
    from_address: Address,
    configuration_set: Option<String>,
    times: Times,
}

impl Ses {
    /// Reads the region from the SDK's standard settings; the others (credentials, `AWS_ENDPOINT_URL_SESV2`)
    /// are read for the first request.
    ///
    /// # Errors
    /// When no region is set.
    pub async fn new(settings: &DeliverySettings) -> Result<Self, SettingError> {
        // The SDK's own chain would also ask the instance metadata service, and wait for it where there is none.
        let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .region()
            .await
            .filter(|region| !region.as_ref().is_empty())
            .ok_or_else(|| {
                SettingError::new("AWS_REGION", "is not set: it takes the region of SES, such as eu-central-1")
            })?;
        Ok(Self {
            region,
            client: OnceCell::new(),
            from: settings.from.header(),
            from_address: settings.from.address().clone(),
            configuration_set: settings.configuration_set.clone(),
            times: settings.times,
        })
    }

    async fn client(&self) -> &Client {
        self.client
            .get_or_init(async || {
                let http = aws_smithy_http_client::Builder::new()
                    .pool_idle_timeout(IDLE_TIMEOUT)
                    .tls_provider(Provider::Rustls(CryptoMode::Ring))
                    .build_https();
                let timeouts =
                    TimeoutConfig::builder().connect_timeout(self.times.connect).operation_timeout(self.times.request);
                let config = aws_config::from_env()
                    .region(self.region.clone())
                    .http_client(http)
                    .retry_config(RetryConfig::disabled())
                    .timeout_config(timeouts.build())
                    .load()
                    .await;
                Client::new(&config)
            })
            .await
    }

    /// The account's send rate, messages per second; `None` when SES does not tell.
    pub(crate) async fn send_rate(&self) -> Option<f64> {
        match self.client().await.get_account().send().await {
            Ok(account) => account.send_quota().map(|quota| quota.max_send_rate()).filter(|rate| *rate > 0.0),
            Err(error) => {
                tracing::warn!(
                    error.code = error.code(),
                    "SES did not tell its send rate; sending one message a second (set SEND_RATE)"
                );
                None
            }
        }
    }

    /// Sends one message, once; after `leave_by`, not at all.
    pub(crate) async fn send(&self, event_id: Uuid, to: &Address, message: Message, leave_by: Instant) -> Outcome {
        match self.request(event_id, to, message, leave_by).await {
            Ok(message_id) if message_id.is_empty() => {
                Outcome::Unknown { error: "an answer without a message id".to_owned() }
            }
            Ok(message_id) => Outcome::Sent { message_id },
            Err(error) => classify(&error, &self.from_address),
        }
    }

    async fn request(
        &self,
        event_id: Uuid,
        to: &Address,
        message: Message,
        leave_by: Instant,
    ) -> Result<String, SdkError<SendEmailError, HttpResponse>> {
        let body = Body::builder().text(utf8(message.text)?).html(utf8(message.html)?).build();
        let content = SesMessage::builder().subject(utf8(message.subject)?).body(body).build();
        let tag = MessageTag::builder().name(EVENT_TAG).value(event_id.to_string()).build();
        let sent = self
            .client()
            .await
            .send_email()
            .from_email_address(&self.from)
            .destination(Destination::builder().to_addresses(to.as_str()).build())
            .content(EmailContent::builder().simple(content).build())
            .email_tags(tag.map_err(SdkError::construction_failure)?)
            .set_configuration_set_name(self.configuration_set.clone())
            .customize()
            .interceptor(LeaveBy(leave_by))
            .send()
            .await?;
        Ok(sent.message_id().unwrap_or_default().to_owned())
    }
}

/// Lets no request leave after this: credentials are asked for while what it says grows old, and may take seconds.
#[derive(Debug)]
struct LeaveBy(Instant);

#[derive(Debug, Error)]
#[error("the credentials came too late for what was read")]
struct TooLate;

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
        if Instant::now() < self.0 { Ok(()) } else { Err(TooLate.into()) }
    }
}

#[expect(clippy::result_large_err, reason = "the SDK's own error, looked at once and dropped")]
fn utf8(data: String) -> Result<Content, SdkError<SendEmailError, HttpResponse>> {
    Content::builder().charset("UTF-8").data(data).build().map_err(SdkError::construction_failure)
}

/// What an answer, or its absence, says about the message. What is in no line of it is unknown.
fn classify(error: &SdkError<SendEmailError, HttpResponse>, from: &Address) -> Outcome {
    match error {
        SdkError::ServiceError(refused) => {
            let status = refused.raw().status().as_u16();
            let metadata = refused.err().meta();
            refusal(status, metadata.code().unwrap_or_default(), metadata.message().unwrap_or_default(), from)
        }
        // Made here: no credentials, for one. No request left.
        SdkError::ConstructionFailure(_) => Outcome::AccountWide { reason: "account", error: chain(error) },
        SdkError::DispatchFailure(_) if find::<CredentialsError>(error).is_some() => {
            Outcome::AccountWide { reason: "account", error: chain(error) }
        }
        SdkError::DispatchFailure(_) if find::<TooLate>(error).is_some() => Outcome::Deferred,
        // No name, no connection, no TLS: no request.
        SdkError::DispatchFailure(_)
            if find::<hyper_util::client::legacy::Error>(error).is_some_and(|error| error.is_connect()) =>
        {
            Outcome::NotSent { reason: "unreachable", error: chain(error) }
        }
        // No connection in time. The request's own time ends as another kind of error.
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            Outcome::NotSent { reason: "unreachable", error: chain(error) }
        }
        // No answer in time, a connection that broke, an answer that is not SES's.
        _ => Outcome::Unknown { error: chain(error) },
    }
}

/// What a refusal means for the message.
#[derive(Clone, Copy)]
enum Meaning {
    /// Not sent; it may be tried again.
    TryAgain(&'static str),
    /// Not sent, and never will be.
    Never,
    /// Nothing can be sent now.
    AccountWide(&'static str),
    /// The request may have been carried out.
    Unknown,
}

/// Every error that `SendEmail` and AWS's APIs in general document, and what else has been seen (SES API v2
/// reference: SendEmail, Common Errors; the throttling codes are those of the SDKs' standard retry mode). The first line
/// whose code is the answer's (`*`: any) and whose words, in small letters, are in its message counts.
const REFUSALS: &[(&str, &str, Meaning)] = {
    use Meaning::{AccountWide, Never, TryAgain, Unknown};
    &[
        // The day's quota, under whatever code.
        ("*", "daily message quota exceeded", AccountWide("quota")),
        ("*", "sending quota exceeded", AccountWide("quota")),
        // Throttling, in its spellings.
        ("TooManyRequestsException", "", TryAgain("throttled")),
        ("Throttling", "", TryAgain("throttled")),
        ("ThrottlingException", "", TryAgain("throttled")),
        ("ThrottledException", "", TryAgain("throttled")),
        ("RequestThrottled", "", TryAgain("throttled")),
        ("RequestThrottledException", "", TryAgain("throttled")),
        ("RequestLimitExceeded", "", TryAgain("throttled")),
        ("BandwidthLimitExceeded", "", TryAgain("throttled")),
        ("SlowDown", "", TryAgain("throttled")),
        ("EC2ThrottledException", "", TryAgain("throttled")),
        ("PriorRequestNotComplete", "", TryAgain("throttled")),
        ("ProvisionedThroughputExceededException", "", TryAgain("throttled")),
        ("TransactionInProgressException", "", TryAgain("throttled")),
        ("LimitExceededException", "", TryAgain("limit")),
        // The account, its identities, the configuration set.
        ("AccountSuspendedException", "", AccountWide("account")),
        ("SendingPausedException", "", AccountWide("account")),
        ("MailFromDomainNotVerifiedException", "", AccountWide("account")),
        ("NotFoundException", "", AccountWide("account")),
        ("MessageRejected", "sending suspended", AccountWide("account")),
        ("MessageRejected", "sending paused", AccountWide("account")),
        // The message.
        ("MessageRejected", "", Never),
        ("BadRequestException", "", Never),
        ("ValidationError", "", Never),
        ("ValidationException", "", Never),
        ("RequestEntityTooLargeException", "", Never),
        ("MalformedHttpRequestException", "", Never),
        // Credentials, rights, the clock, the endpoint.
        ("AccessDenied", "", AccountWide("account")),
        ("AccessDeniedException", "", AccountWide("account")),
        ("NotAuthorized", "", AccountWide("account")),
        ("OptInRequired", "", AccountWide("account")),
        ("ExpiredToken", "", AccountWide("account")),
        ("ExpiredTokenException", "", AccountWide("account")),
        ("InvalidClientTokenId", "", AccountWide("account")),
        ("UnrecognizedClientException", "", AccountWide("account")),
        ("MissingAuthenticationToken", "", AccountWide("account")),
        ("MissingAuthenticationTokenException", "", AccountWide("account")),
        ("IncompleteSignature", "", AccountWide("account")),
        ("IncompleteSignatureException", "", AccountWide("account")),
        ("InvalidSignatureException", "", AccountWide("account")),
        ("SignatureDoesNotMatch", "", AccountWide("account")),
        ("RequestExpired", "", AccountWide("account")),
        ("UnknownOperationException", "", AccountWide("account")),
        // It may have been carried out.
        ("RequestAbortedException", "", Unknown),
        ("RequestTimeoutException", "", Unknown),
        ("InternalFailure", "", Unknown),
        ("InternalServiceErrorException", "", Unknown),
        ("ServiceUnavailable", "", Unknown),
        ("ServiceUnavailableException", "", Unknown),
    ]
};

/// What SES's own refusal means.
fn refusal(status: u16, code: &str, message: &str, from: &Address) -> Outcome {
    let words = message.to_lowercase();
    let line = REFUSALS.iter().find(|(known, says, _)| (*known == "*" || *known == code) && words.contains(says));
    // In the sandbox the recipient must be verified too: then it is the message's own trouble. SES names whom it means.
    let mut named = message.split([' ', ',', ':', ';', '<', '>']).map(|word| word.trim_end_matches('.'));
    let sender_unverified = code == "MessageRejected"
        && words.contains("not verified")
        && named.any(|address| address.eq_ignore_ascii_case(from.as_str()));
    let meaning = match (line, status) {
        _ if sender_unverified => Meaning::AccountWide("account"),
        (Some((_, _, meaning)), _) => *meaning,
        // A code that nobody has told us: what HTTP says for certain.
        (None, 429) => Meaning::TryAgain("throttled"),
        (None, 401 | 403) => Meaning::AccountWide("account"),
        (None, 413) => Meaning::Never,
        (None, _) => Meaning::Unknown,
    };
    let error = redacted(&format!("HTTP {status} {code}: {message}"));
    match meaning {
        Meaning::TryAgain(reason) => Outcome::NotSent { reason, error },
        Meaning::Never => Outcome::Rejected { reason: "rejected", error },
        Meaning::AccountWide(reason) => Outcome::AccountWide { reason, error },
        Meaning::Unknown => Outcome::Unknown { error },
    }
}

/// The first error of a type among the sources.
fn find<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What SES, or a recipient's server, says, without the addresses in it.
pub(crate) fn redacted(text: &str) -> String {
    let ends = |character: char| character.is_whitespace() || "<>()[],;:\"'".contains(character);
    let words = text.split_inclusive(ends).map(|word| match word.contains('@') {
        true => format!("…{}", word.matches(ends).collect::<String>()),
        false => word.to_owned(),
    });
    words.collect()
}
