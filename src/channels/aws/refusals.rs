//! What an answer of AWS means for the message, whatever the service, and what it means that there
//! is none.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
// The SDK's crates of all services export these.
use aws_sdk_sesv2::config::http::HttpResponse;
use aws_sdk_sesv2::error::SdkError;
use thiserror::Error;

use crate::channels::Outcome;
use crate::primitives::errors::{error_chain, find_source, redact_addresses, redact_numbers};
use crate::reminders::Reason;

/// A request that this program stopped.
#[derive(Debug, Error)]
#[error("the credentials arrived too late; the message was not sent")]
pub(crate) struct TooLate;

/// What a refusal means for the message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meaning {
    /// Not sent; it may be retried.
    TryAgain(Reason),
    /// Not sent, and never will be.
    Never(Reason),
    /// The account cannot send now.
    AccountWide(Reason),
    /// The request may have been carried out.
    Unknown,
}

impl Meaning {
    /// The outcome of a request with this answer.
    pub(crate) fn outcome(self, error: String) -> Outcome {
        match self {
            Self::TryAgain(reason) => Outcome::NotSent { reason, error },
            Self::Never(reason) => Outcome::Rejected { reason, error },
            Self::AccountWide(reason) => Outcome::AccountWide { reason, error },
            Self::Unknown => Outcome::Unknown { error },
        }
    }
}

/// Classifies the absence of a service's answer. Anything not listed is an unknown outcome.
pub(crate) fn unanswered<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> Outcome {
    let meaning = match error {
        // The SDK could not build the request, for example without credentials. No request left.
        SdkError::ConstructionFailure(_) => Meaning::AccountWide(Reason::Account),
        SdkError::DispatchFailure(_) if find_source::<CredentialsError>(error).is_some() => {
            Meaning::AccountWide(Reason::Account)
        }
        SdkError::DispatchFailure(_) if find_source::<TooLate>(error).is_some() => {
            return Outcome::Deferred;
        }
        // Name look-up, connection or TLS failed. No request left.
        SdkError::DispatchFailure(_)
            if find_source::<hyper_util::client::legacy::Error>(error)
                .is_some_and(|error| error.is_connect()) =>
        {
            Meaning::TryAgain(Reason::Unreachable)
        }
        // No connection in time. A time-out of the request is another kind of error.
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            Meaning::TryAgain(Reason::Unreachable)
        }
        // No answer in time, a broken connection, or an answer that is not from the service.
        _ => Meaning::Unknown,
    };
    // An answer that cannot be read is quoted.
    meaning.outcome(redact_numbers(&redact_addresses(&error_chain(error))))
}

/// Every error documented for AWS's APIs in general (Common Errors; the throttling codes are those
/// of the SDKs' standard retry mode), and others that were observed.
const COMMON_REFUSALS: &[(&str, Meaning)] = {
    use Meaning::{AccountWide, Never, TryAgain, Unknown};
    use Reason::{Account, Rejected, Throttled};
    &[
        // Throttling, under all its names.
        ("Throttling", TryAgain(Throttled)),
        ("ThrottlingException", TryAgain(Throttled)),
        ("ThrottledException", TryAgain(Throttled)),
        ("RequestThrottled", TryAgain(Throttled)),
        ("RequestThrottledException", TryAgain(Throttled)),
        ("RequestLimitExceeded", TryAgain(Throttled)),
        ("BandwidthLimitExceeded", TryAgain(Throttled)),
        ("SlowDown", TryAgain(Throttled)),
        ("EC2ThrottledException", TryAgain(Throttled)),
        ("PriorRequestNotComplete", TryAgain(Throttled)),
        (
            "ProvisionedThroughputExceededException",
            TryAgain(Throttled),
        ),
        ("TransactionInProgressException", TryAgain(Throttled)),
        ("TooManyRequestsException", TryAgain(Throttled)),
        // The message.
        ("ValidationError", Never(Rejected)),
        ("ValidationException", Never(Rejected)),
        ("RequestEntityTooLargeException", Never(Rejected)),
        ("MalformedHttpRequestException", Never(Rejected)),
        // Credentials, rights, the clock, the endpoint.
        ("AccessDenied", AccountWide(Account)),
        ("AccessDeniedException", AccountWide(Account)),
        ("NotAuthorized", AccountWide(Account)),
        ("OptInRequired", AccountWide(Account)),
        ("ExpiredToken", AccountWide(Account)),
        ("ExpiredTokenException", AccountWide(Account)),
        ("InvalidClientTokenId", AccountWide(Account)),
        ("UnrecognizedClientException", AccountWide(Account)),
        ("MissingAuthenticationToken", AccountWide(Account)),
        ("MissingAuthenticationTokenException", AccountWide(Account)),
        ("IncompleteSignature", AccountWide(Account)),
        ("IncompleteSignatureException", AccountWide(Account)),
        ("InvalidSignatureException", AccountWide(Account)),
        ("SignatureDoesNotMatch", AccountWide(Account)),
        ("RequestExpired", AccountWide(Account)),
        ("UnknownOperationException", AccountWide(Account)),
        // It may have been carried out.
        ("RequestAbortedException", Unknown),
        ("RequestTimeoutException", Unknown),
        ("InternalFailure", Unknown),
        ("InternalServiceErrorException", Unknown),
        ("ServiceUnavailable", Unknown),
        ("ServiceUnavailableException", Unknown),
    ]
};

/// What a refusal means that is not one of the service's own.
pub(crate) fn common_meaning(status: u16, code: &str) -> Meaning {
    let line = COMMON_REFUSALS.iter().find(|(known, _)| *known == code);
    match (line, status) {
        (Some((_, meaning)), _) => *meaning,
        // An unlisted code: only the HTTP status counts.
        (None, 429) => Meaning::TryAgain(Reason::Throttled),
        (None, 401 | 403) => Meaning::AccountWide(Reason::Account),
        (None, 413) => Meaning::Never(Reason::Rejected),
        (None, _) => Meaning::Unknown,
    }
}
