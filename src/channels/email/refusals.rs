//! What each answer of SES means for the message, in one table.

use aws_sdk_sesv2::config::http::HttpResponse;
use aws_sdk_sesv2::error::SdkError;
use aws_sdk_sesv2::operation::send_email::SendEmailError;

use crate::channels::Outcome;
use crate::channels::aws::refusals::{Meaning, common_meaning, unanswered};
use crate::primitives::email_address::Address;
use crate::primitives::errors::redact_addresses;
use crate::reminders::Reason;

/// Classifies an answer, or its absence. Anything not listed is an unknown outcome.
pub(crate) fn classify(error: &SdkError<SendEmailError, HttpResponse>, from: &Address) -> Outcome {
    let SdkError::ServiceError(refused) = error else {
        return unanswered(error);
    };
    let metadata = refused.err().meta();
    refusal(
        refused.raw().status().as_u16(),
        metadata.code().unwrap_or_default(),
        metadata.message().unwrap_or_default(),
        from,
    )
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

/// Every error documented for `SendEmail` (SES API v2 reference) besides those of AWS's APIs in
/// general, and others that were observed. The first line matches whose code is the answer's (`*`:
/// any) and whose lower-case words occur in its message.
const REFUSALS: &[(&str, &str, Meaning)] = {
    use Meaning::{AccountWide, Never, TryAgain};
    use Reason::{Account, Limit, Quota, Rejected};
    &[
        // The daily quota, under any code.
        ("*", "daily message quota exceeded", AccountWide(Quota)),
        ("*", "sending quota exceeded", AccountWide(Quota)),
        ("LimitExceededException", "", TryAgain(Limit)),
        // The account, its identities, the configuration set.
        ("AccountSuspendedException", "", AccountWide(Account)),
        ("SendingPausedException", "", AccountWide(Account)),
        (
            "MailFromDomainNotVerifiedException",
            "",
            AccountWide(Account),
        ),
        ("NotFoundException", "", AccountWide(Account)),
        ("MessageRejected", "sending suspended", AccountWide(Account)),
        ("MessageRejected", "sending paused", AccountWide(Account)),
        // The message.
        ("MessageRejected", "", Never(Rejected)),
        ("BadRequestException", "", Never(Rejected)),
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
    let meaning = match line {
        _ if sender_unverified => Meaning::AccountWide(Reason::Account),
        Some((_, _, meaning)) => *meaning,
        None => common_meaning(status, code),
    };
    meaning.outcome(redact_addresses(&format!(
        "HTTP {status} {code}: {message}"
    )))
}
