//! The answers of the endpoints in the chaos run: what each channel's provider may say, and whether
//! it took the message.

use serde_json::json;

use crate::chaos_wire::Point;

/// A channel whose provider is an endpoint of the run. Webhooks have their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// SES.
    Email,
    /// AWS End User Messaging SMS.
    Sms,
    /// FCM.
    Push,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Email, Self::Sms, Self::Push];

    /// Its name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Push => "push",
        }
    }

    /// The points at which its requests arrive and are answered.
    pub fn points(self) -> [Point; 2] {
        match self {
            Self::Email => [Point::RequestArrived, Point::AnswerWritten],
            Self::Sms => [Point::TextArrived, Point::TextAnswered],
            Self::Push => [Point::PushArrived, Point::PushAnswered],
        }
    }

    /// Its faults.
    pub fn faults(self) -> &'static [Fault] {
        match self {
            Self::Email => MAIL,
            Self::Sms => TEXT,
            Self::Push => PUSH,
        }
    }

    /// Its faults of the account, which apply to all messages for a while.
    pub fn account_faults(self) -> impl Iterator<Item = &'static Fault> {
        self.faults().iter().filter(|(.., often)| *often == 0)
    }

    /// The answer to a message that was accepted.
    pub fn accepted(self, message_id: &str) -> String {
        match self {
            Self::Email | Self::Sms => json!({"MessageId": message_id}).to_string(),
            Self::Push => {
                let name = format!("projects/studio-nord/messages/{message_id}");
                json!({"name": name}).to_string()
            }
        }
    }

    /// The answer that is an error.
    pub fn refused(self, status: u16, code: &str, detail: &str) -> String {
        match self {
            Self::Email => json!({"message": detail}),
            Self::Sms => json!({
                "__type": format!("com.amazonaws.pinpointsmsvoicev2#{code}"),
                "Message": "no",
                "Reason": detail,
            }),
            Self::Push => {
                let details = json!([{
                    "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
                    "errorCode": detail,
                }]);
                let details = if detail.is_empty() { json!([]) } else { details };
                json!({"error": {"code": status, "message": "no", "status": code, "details": details}})
            }
        }
        .to_string()
    }
}

/// How a request is answered.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// Accepted, and answered.
    Sent,
    /// Accepted, with a late answer: before or after the sender gives up.
    Slow,
    /// An error of the API: its status and code; then the message of SES, the reason of AWS's SMS, or
    /// FCM's own code.
    Error(u16, &'static str, &'static str),
    /// No answer at all.
    Silence,
    /// The connection is reset when the request has arrived.
    Reset,
    /// The connection ends in the middle of the answer.
    Half,
    /// 200, with something that the provider would not say.
    Rubbish(&'static str),
    /// Nothing that is HTTP.
    Noise,
}

/// Whether the message was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Accepted.
    Yes,
    /// Not accepted.
    No,
    /// Either: the sender cannot know it.
    Maybe,
}

/// The name, the answer, whether the message is accepted, and how often in a thousand requests. A fault of
/// the account has no frequency.
pub type Fault = (&'static str, Answer, Taken, u32);

/// No fault.
pub const NONE: Fault = ("taken", Answer::Sent, Taken::Yes, 0);
/// The app is no longer on this device.
pub const UNREGISTERED: Fault = (
    "device without the app",
    Answer::Error(404, "NOT_FOUND", "UNREGISTERED"),
    Taken::No,
    0,
);

/// The faults of mail.
const MAIL: &[Fault] = {
    use Answer::{Error, Half, Noise, Reset, Rubbish, Silence, Slow};
    use Taken::{Maybe, No, Yes};
    &[
        (
            "throttled",
            Error(
                429,
                "TooManyRequestsException",
                "Maximum sending rate exceeded.",
            ),
            No,
            10,
        ),
        (
            "throttled",
            Error(400, "ThrottlingException", "Rate exceeded"),
            No,
            3,
        ),
        (
            "throttled",
            Error(400, "Throttling", "Maximum sending rate exceeded."),
            No,
            3,
        ),
        (
            "throttled, unknown wording",
            Error(429, "SomethingNew", "later"),
            No,
            2,
        ),
        (
            "limit of the account",
            Error(400, "LimitExceededException", "too many"),
            No,
            2,
        ),
        (
            "rejected",
            Error(
                400,
                "MessageRejected",
                "Email address is on the suppression list.",
            ),
            No,
            2,
        ),
        (
            "rejected",
            Error(400, "BadRequestException", "Illegal address"),
            No,
            2,
        ),
        (
            "quota used up",
            Error(
                400,
                "LimitExceededException",
                "Daily message quota exceeded.",
            ),
            No,
            0,
        ),
        (
            "account paused",
            Error(400, "SendingPausedException", "Email sending is paused."),
            No,
            0,
        ),
        (
            "account suspended",
            Error(400, "AccountSuspendedException", "suspended"),
            No,
            0,
        ),
        (
            "sender not verified",
            Error(400, "MailFromDomainNotVerifiedException", "not verified"),
            No,
            0,
        ),
        (
            "permission missing",
            Error(
                403,
                "AccessDeniedException",
                "not authorized to perform ses:SendEmail",
            ),
            No,
            0,
        ),
        (
            "internal error",
            Error(500, "InternalFailure", "oops"),
            Maybe,
            10,
        ),
        (
            "internal error",
            Error(503, "ServiceUnavailable", "oops"),
            Maybe,
            5,
        ),
        (
            "unknown error",
            Error(502, "", "<html>bad gateway</html>"),
            Maybe,
            3,
        ),
        ("no answer", Silence, Maybe, 6),
        ("slow", Slow, Yes, 12),
        ("reset after the request", Reset, Maybe, 8),
        ("truncated answer", Half, Yes, 4),
        ("answer without an id", Rubbish("{}"), Yes, 3),
        (
            "answer that is not JSON",
            Rubbish("<html>hello</html>"),
            Yes,
            3,
        ),
        ("answer that is not HTTP", Noise, Yes, 3),
    ]
};

/// The faults of SMS.
const TEXT: &[Fault] = {
    use Answer::{Error, Half, Noise, Reset, Rubbish, Silence, Slow};
    use Taken::{Maybe, No, Yes};
    const CONFLICT: &str = "ConflictException";
    &[
        ("throttled", Error(400, "ThrottlingException", ""), No, 15),
        (
            "rejected",
            Error(400, CONFLICT, "DESTINATION_PHONE_NUMBER_OPTED_OUT"),
            No,
            20,
        ),
        (
            "rejected",
            Error(400, "ValidationException", "PRICE_OVER_THRESHOLD"),
            No,
            10,
        ),
        (
            "quota used up",
            Error(
                400,
                "ServiceQuotaExceededException",
                "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT",
            ),
            No,
            0,
        ),
        (
            "permission missing",
            Error(
                400,
                "AccessDeniedException",
                "INSUFFICIENT_ACCOUNT_REPUTATION",
            ),
            No,
            0,
        ),
        (
            "internal error",
            Error(500, "InternalServerException", ""),
            Maybe,
            15,
        ),
        ("unknown error", Error(502, "BadGateway", ""), Maybe, 3),
        ("no answer", Silence, Maybe, 6),
        ("slow", Slow, Yes, 12),
        ("reset after the request", Reset, Maybe, 15),
        ("truncated answer", Half, Yes, 4),
        ("answer without an id", Rubbish("{}"), Yes, 3),
        ("answer that is not HTTP", Noise, Yes, 3),
    ]
};

/// The faults of push messages, of each device.
const PUSH: &[Fault] = {
    use Answer::{Error, Half, Noise, Reset, Rubbish, Silence, Slow};
    use Taken::{Maybe, No, Yes};
    const DENIED: &str = "PERMISSION_DENIED";
    &[
        (
            "throttled",
            Error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
            No,
            15,
        ),
        (
            "throttled",
            Error(503, "UNAVAILABLE", "UNAVAILABLE"),
            No,
            10,
        ),
        (
            "rejected",
            Error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
            No,
            10,
        ),
        ("rejected", Error(403, DENIED, "SENDER_ID_MISMATCH"), No, 10),
        (
            "account suspended",
            Error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
            No,
            0,
        ),
        ("permission missing", Error(403, DENIED, ""), No, 0),
        (
            "internal error",
            Error(500, "INTERNAL", "INTERNAL"),
            Maybe,
            15,
        ),
        ("unknown error", Error(502, "", ""), Maybe, 3),
        ("no answer", Silence, Maybe, 6),
        ("slow", Slow, Yes, 12),
        ("reset after the request", Reset, Maybe, 15),
        ("truncated answer", Half, Yes, 4),
        ("answer without an id", Rubbish("{}"), Yes, 3),
        ("answer that is not HTTP", Noise, Yes, 3),
    ]
};
