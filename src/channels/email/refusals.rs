//! What each answer of SES means for the message, in one table.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sesv2::config::http::HttpResponse;
use aws_sdk_sesv2::error::SdkError;
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use thiserror::Error;

use crate::channels::Outcome;
use crate::primitives::email_address::Address;
use crate::primitives::errors::{error_chain, find_source, redact_addresses};
use crate::reminders::Reason;

/// A request that this program stopped.
#[derive(Debug, Error)]
#[error("the credentials arrived too late; the message was not sent")]
pub(crate) struct TooLate;

/// Classifies an answer, or its absence. Anything not listed is an unknown outcome.
pub(crate) fn classify(error: &SdkError<SendEmailError, HttpResponse>, from: &Address) -> Outcome {
    match error {
        SdkError::ServiceError(refused) => {
            let status = refused.raw().status().as_u16();
            let metadata = refused.err().meta();
            refusal(
                status,
                metadata.code().unwrap_or_default(),
                metadata.message().unwrap_or_default(),
                from,
            )
        }
        // The SDK could not build the request, for example without credentials. No request left.
        SdkError::ConstructionFailure(_) => Outcome::AccountWide {
            reason: Reason::Account,
            error: error_chain(error),
        },
        SdkError::DispatchFailure(_) if find_source::<CredentialsError>(error).is_some() => {
            Outcome::AccountWide {
                reason: Reason::Account,
                error: error_chain(error),
            }
        }
        SdkError::DispatchFailure(_) if find_source::<TooLate>(error).is_some() => {
            Outcome::Deferred
        }
        // Name look-up, connection or TLS failed. No request left.
        SdkError::DispatchFailure(_)
            if find_source::<hyper_util::client::legacy::Error>(error)
                .is_some_and(|error| error.is_connect()) =>
        {
            Outcome::NotSent {
                reason: Reason::Unreachable,
                error: error_chain(error),
            }
        }
        // No connection in time. A time-out of the request is another kind of error.
        SdkError::DispatchFailure(failure) if failure.is_timeout() => Outcome::NotSent {
            reason: Reason::Unreachable,
            error: error_chain(error),
        },
        // No answer in time, a broken connection, or an answer that is not from SES.
        _ => Outcome::Unknown {
            error: error_chain(error),
        },
    }
}

/// Whether the role may send mails, but no complete ones. Nothing was sent.
pub(crate) fn is_raw_denied(error: &SdkError<SendEmailError, HttpResponse>) -> bool {
    let SdkError::ServiceError(refused) = error else {
        return false;
    };
    let metadata = refused.err().meta();
    let names_permission =
        (metadata.message()).is_some_and(|text| text.contains("ses:SendRawEmail"));
    metadata.code() == Some("AccessDeniedException") && names_permission
}

/// What a refusal means for the message.
#[derive(Clone, Copy)]
enum Meaning {
    /// Not sent; it may be retried.
    TryAgain(Reason),
    /// Not sent, and never will be.
    Never,
    /// The account cannot send now.
    AccountWide(Reason),
    /// The request may have been carried out.
    Unknown,
}

/// Every error documented for `SendEmail` and for AWS's APIs in general (SES API v2 reference:
/// SendEmail, Common Errors; the throttling codes are those of the SDKs' standard retry mode), and
/// others that were observed. The first line matches whose code is the answer's (`*`: any) and
/// whose lower-case words occur in its message.
const REFUSALS: &[(&str, &str, Meaning)] = {
    use Meaning::{AccountWide, Never, TryAgain, Unknown};
    &[
        // The daily quota, under any code.
        (
            "*",
            "daily message quota exceeded",
            AccountWide(Reason::Quota),
        ),
        ("*", "sending quota exceeded", AccountWide(Reason::Quota)),
        // Throttling, under all its names.
        ("TooManyRequestsException", "", TryAgain(Reason::Throttled)),
        ("Throttling", "", TryAgain(Reason::Throttled)),
        ("ThrottlingException", "", TryAgain(Reason::Throttled)),
        ("ThrottledException", "", TryAgain(Reason::Throttled)),
        ("RequestThrottled", "", TryAgain(Reason::Throttled)),
        ("RequestThrottledException", "", TryAgain(Reason::Throttled)),
        ("RequestLimitExceeded", "", TryAgain(Reason::Throttled)),
        ("BandwidthLimitExceeded", "", TryAgain(Reason::Throttled)),
        ("SlowDown", "", TryAgain(Reason::Throttled)),
        ("EC2ThrottledException", "", TryAgain(Reason::Throttled)),
        ("PriorRequestNotComplete", "", TryAgain(Reason::Throttled)),
        (
            "ProvisionedThroughputExceededException",
            "",
            TryAgain(Reason::Throttled),
        ),
        (
            "TransactionInProgressException",
            "",
            TryAgain(Reason::Throttled),
        ),
        ("LimitExceededException", "", TryAgain(Reason::Limit)),
        // The account, its identities, the configuration set.
        (
            "AccountSuspendedException",
            "",
            AccountWide(Reason::Account),
        ),
        ("SendingPausedException", "", AccountWide(Reason::Account)),
        (
            "MailFromDomainNotVerifiedException",
            "",
            AccountWide(Reason::Account),
        ),
        ("NotFoundException", "", AccountWide(Reason::Account)),
        (
            "MessageRejected",
            "sending suspended",
            AccountWide(Reason::Account),
        ),
        (
            "MessageRejected",
            "sending paused",
            AccountWide(Reason::Account),
        ),
        // The message.
        ("MessageRejected", "", Never),
        ("BadRequestException", "", Never),
        ("ValidationError", "", Never),
        ("ValidationException", "", Never),
        ("RequestEntityTooLargeException", "", Never),
        ("MalformedHttpRequestException", "", Never),
        // Credentials, rights, the clock, the endpoint.
        ("AccessDenied", "", AccountWide(Reason::Account)),
        ("AccessDeniedException", "", AccountWide(Reason::Account)),
        ("NotAuthorized", "", AccountWide(Reason::Account)),
        ("OptInRequired", "", AccountWide(Reason::Account)),
        ("ExpiredToken", "", AccountWide(Reason::Account)),
        ("ExpiredTokenException", "", AccountWide(Reason::Account)),
        ("InvalidClientTokenId", "", AccountWide(Reason::Account)),
        (
            "UnrecognizedClientException",
            "",
            AccountWide(Reason::Account),
        ),
        (
            "MissingAuthenticationToken",
            "",
            AccountWide(Reason::Account),
        ),
        (
            "MissingAuthenticationTokenException",
            "",
            AccountWide(Reason::Account),
        ),
        ("IncompleteSignature", "", AccountWide(Reason::Account)),
        (
            "IncompleteSignatureException",
            "",
            AccountWide(Reason::Account),
        ),
        (
            "InvalidSignatureException",
            "",
            AccountWide(Reason::Account),
        ),
        ("SignatureDoesNotMatch", "", AccountWide(Reason::Account)),
        ("RequestExpired", "", AccountWide(Reason::Account)),
        (
            "UnknownOperationException",
            "",
            AccountWide(Reason::Account),
        ),
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
    let line = REFUSALS
        .iter()
        .find(|(known, says, _)| (*known == "*" || *known == code) && words.contains(says));
    // In the sandbox the recipient must be verified, too; an unverified recipient concerns only
    // this message. SES names the unverified address.
    let mut named = message
        .split([' ', ',', ':', ';', '<', '>'])
        .map(|word| word.trim_end_matches('.'));
    let sender_unverified = code == "MessageRejected"
        && words.contains("not verified")
        && named.any(|address| address.eq_ignore_ascii_case(from.as_str()));
    let meaning = match (line, status) {
        _ if sender_unverified => Meaning::AccountWide(Reason::Account),
        (Some((_, _, meaning)), _) => *meaning,
        // An unlisted code: only the HTTP status counts.
        (None, 429) => Meaning::TryAgain(Reason::Throttled),
        (None, 401 | 403) => Meaning::AccountWide(Reason::Account),
        (None, 413) => Meaning::Never,
        (None, _) => Meaning::Unknown,
    };
    let error = redact_addresses(&format!("HTTP {status} {code}: {message}"));
    match meaning {
        Meaning::TryAgain(reason) => Outcome::NotSent { reason, error },
        Meaning::Never => Outcome::Rejected {
            reason: Reason::Rejected,
            error,
        },
        Meaning::AccountWide(reason) => Outcome::AccountWide { reason, error },
        Meaning::Unknown => Outcome::Unknown { error },
    }
}
