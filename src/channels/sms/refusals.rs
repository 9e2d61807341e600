//! What each answer of the SMS API means for the message, in one table.

use aws_sdk_pinpointsmsvoicev2::config::http::HttpResponse;
use aws_sdk_pinpointsmsvoicev2::error::SdkError;
use aws_sdk_pinpointsmsvoicev2::operation::send_text_message::SendTextMessageError;

use crate::channels::Outcome;
use crate::channels::aws::refusals::{Meaning, common_meaning, unanswered};
use crate::primitives::errors::redact_numbers;
use crate::reminders::Reason;

/// Classifies an answer, or its absence. Anything not listed is an unknown outcome.
pub(crate) fn classify(error: &SdkError<SendTextMessageError, HttpResponse>) -> Outcome {
    let SdkError::ServiceError(refused) = error else {
        return unanswered(error);
    };
    let status = refused.raw().status().as_u16();
    let metadata = refused.err().meta();
    let code = metadata.code().unwrap_or_default();
    let why = reason_of(refused.err());
    let line = REFUSALS
        .iter()
        .find(|(known, reason, _)| *known == code && (reason.is_empty() || *reason == why));
    let meaning = match line {
        Some((_, _, meaning)) => *meaning,
        None => of_fields(refused.err()).unwrap_or_else(|| common_meaning(status, code)),
    };
    let answer = format!("HTTP {status} {code} {why}");
    let message = metadata.message().unwrap_or_default();
    let error = redact_numbers(&format!("{}: {message}", answer.trim_end()));
    meaning.outcome(error)
}

/// Every error documented for `SendTextMessage` besides those of AWS's APIs in general, and its
/// reasons that a request of ours may get (AWS End User Messaging SMS, API version 2022-03-31). The
/// first line matches whose code and reason (empty: any) are the answer's.
pub(crate) const REFUSALS: &[(&str, &str, Meaning)] = {
    use Meaning::{AccountWide, Never, Unknown};
    const CONFLICT: &str = "ConflictException";
    const VALIDATION: &str = "ValidationException";
    &[
        // The number.
        (
            CONFLICT,
            "DESTINATION_PHONE_NUMBER_OPTED_OUT",
            Never(Reason::NumberOptedOut),
        ),
        (
            CONFLICT,
            "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE",
            Never(Reason::NumberBlocked),
        ),
        (
            CONFLICT,
            "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION",
            Never(Reason::NumberBlocked),
        ),
        (
            VALIDATION,
            "PRICE_OVER_THRESHOLD",
            Never(Reason::TooExpensive),
        ),
        // Its country. A pool without a sender for the country has no identity for this message.
        (
            CONFLICT,
            "NO_ORIGINATION_IDENTITIES_FOUND",
            Never(Reason::CountryOff),
        ),
        (VALIDATION, "COUNTRY_NOT_ENABLED", Never(Reason::CountryOff)),
        (
            VALIDATION,
            "DESTINATION_COUNTRY_BLOCKED",
            Never(Reason::CountryOff),
        ),
        (
            VALIDATION,
            "INTERNATIONAL_SENDING_NOT_SUPPORTED",
            Never(Reason::CountryOff),
        ),
        (
            VALIDATION,
            "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY",
            Never(Reason::CountryOff),
        ),
        (
            VALIDATION,
            "SENDER_ID_NOT_REGISTERED",
            Never(Reason::CountryOff),
        ),
        (
            VALIDATION,
            "SENDER_ID_NOT_SUPPORTED",
            Never(Reason::CountryOff),
        ),
        (
            VALIDATION,
            "SENDER_ID_REQUIRES_REGISTRATION",
            Never(Reason::CountryOff),
        ),
        // The account, the sender, the configuration set. In the sandbox, every number that is sent
        // to must be verified.
        (
            CONFLICT,
            "DESTINATION_PHONE_NUMBER_NOT_VERIFIED",
            AccountWide(Reason::Account),
        ),
        (
            CONFLICT,
            "MESSAGE_TYPE_MISMATCH",
            AccountWide(Reason::Account),
        ),
        (
            CONFLICT,
            "NUMBER_CAPABILITIES_MISMATCH",
            AccountWide(Reason::Account),
        ),
        (
            CONFLICT,
            "REGISTRATION_NOT_COMPLETE",
            AccountWide(Reason::Account),
        ),
        (
            CONFLICT,
            "RESOURCE_NOT_ACTIVE",
            AccountWide(Reason::Account),
        ),
        (VALIDATION, "INVALID_ARN", AccountWide(Reason::Account)),
        (
            VALIDATION,
            "RESOURCE_NOT_ACCESSIBLE",
            AccountWide(Reason::Account),
        ),
        (
            VALIDATION,
            "UNKNOWN_OPERATION",
            AccountWide(Reason::Account),
        ),
        (
            "ResourceNotFoundException",
            "",
            AccountWide(Reason::Account),
        ),
        // The only quota of sending is what a month may cost
        // (MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT).
        (
            "ServiceQuotaExceededException",
            "",
            AccountWide(Reason::Quota),
        ),
        // Other reasons: AWS refused the request.
        (CONFLICT, "", Never(Reason::Rejected)),
        // It may have been carried out.
        ("InternalServerException", "", Unknown),
    ]
};

/// The reason that a refusal gives, as the wire spells it.
fn reason_of(error: &SendTextMessageError) -> &str {
    use SendTextMessageError as E;
    let reason = match error {
        E::AccessDeniedException(denied) => denied.reason().map(|it| it.as_str()),
        E::ConflictException(conflict) => conflict.reason().map(|it| it.as_str()),
        E::ServiceQuotaExceededException(quota) => quota.reason().map(|it| it.as_str()),
        E::ValidationException(invalid) => invalid.reason().map(|it| it.as_str()),
        _ => None,
    };
    reason.unwrap_or_default()
}

/// What it means that the API does not take a part of the request: the number, or what the settings
/// say.
fn of_fields(error: &SendTextMessageError) -> Option<Meaning> {
    let SendTextMessageError::ValidationException(invalid) = error else {
        return None;
    };
    let names = |name: &str| {
        let mut fields = invalid.fields().iter();
        fields.any(|field| field.name().eq_ignore_ascii_case(name))
    };
    if names("DestinationPhoneNumber") {
        return Some(Meaning::Never(Reason::BadNumber));
    }
    ["OriginationIdentity", "ConfigurationSetName", "MaxPrice"]
        .into_iter()
        .any(names)
        .then_some(Meaning::AccountWide(Reason::Account))
}
