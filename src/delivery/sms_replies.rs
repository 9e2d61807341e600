//! Parses replies to SMS. AWS publishes a reply to an SNS topic, and the topic invokes the
//! function. IAM decides who may invoke it, so the records need no signature.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::delivery::feedback::{MalformedEvent, text};
use crate::primitives::names::named;
use crate::primitives::phone_number::PhoneNumber;

/// The source of the records.
pub(crate) const SOURCE: &str = "aws:sns";
/// The words by which AWS takes a number off its lists (AWS End User Messaging SMS User Guide,
/// "Required opt-out keywords"). AWS answers them itself.
const OPT_OUT_WORDS: [&str; 10] = [
    "ARRET",
    "CANCEL",
    "END",
    "OPT-OUT",
    "OPTOUT",
    "QUIT",
    "REMOVE",
    "STOP",
    "TD",
    "UNSUBSCRIBE",
];
/// The words by which people want SMS again.
const OPT_IN_WORDS: [&str; 2] = ["START", "UNSTOP"];

named! {
    /// What a reply means.
    pub enum Meaning {
        /// The customer will come.
        Attends = "attends",
        /// They will not.
        CannotAttend = "cannot_attend",
        /// They want no SMS.
        OptedOut = "opted_out",
        /// They want SMS again.
        OptedIn = "opted_in",
        /// A person must read it.
        Other = "other",
    }
}

impl Meaning {
    /// Of the whole text, in any case.
    fn of(text: &str) -> Self {
        match &*text.trim().to_uppercase() {
            "C" => Self::Attends,
            "N" => Self::CannotAttend,
            word if OPT_OUT_WORDS.contains(&word) => Self::OptedOut,
            word if OPT_IN_WORDS.contains(&word) => Self::OptedIn,
            _ => Self::Other,
        }
    }
}

/// A reply to an SMS.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The topic's ARN.
    pub topic: String,
    /// AWS's id of it.
    pub inbound_id: String,
    /// Whose it is.
    pub number: PhoneNumber,
    /// What it means. Its text is not kept.
    pub meaning: Meaning,
    /// When the topic got it. AWS hands replies on in any order.
    pub said_at: DateTime<Utc>,
    /// AWS's id of the message that it answers; `None`: not told.
    pub answers: Option<String>,
}

/// Parses the records that SNS hands over: one, as a rule. `None`: it is from a number to which no
/// SMS can go, such as a short code.
///
/// # Errors
/// Names the missing member.
pub fn parse(event: &Value) -> Result<Vec<Option<Reply>>, MalformedEvent> {
    let records = event["Records"].as_array().into_iter().flatten();
    records.map(|record| parse_record(&record["Sns"])).collect()
}

fn parse_record(record: &Value) -> Result<Option<Reply>, MalformedEvent> {
    let malformed = |member| MalformedEvent("SMS reply", member);
    let topic = text(&record["TopicArn"]).ok_or(malformed("TopicArn"))?;
    let message = record["Message"].as_str().unwrap_or_default();
    let message: Value = serde_json::from_str(message).unwrap_or_default();
    let inbound_id = text(&message["inboundMessageId"]).ok_or(malformed("inboundMessageId"))?;
    let said_at = text(&record["Timestamp"]).and_then(|at| at.parse().ok());
    let said_at = said_at.ok_or(malformed("Timestamp"))?;
    let number = message["originationNumber"].as_str();
    let number = PhoneNumber::parse(number.ok_or(malformed("originationNumber"))?);
    Ok(number.ok().map(|number| Reply {
        topic,
        inbound_id,
        number,
        meaning: Meaning::of(message["messageBody"].as_str().unwrap_or_default()),
        said_at,
        answers: text(&message["previousPublishedMessageId"]),
    }))
}

#[cfg(test)]
mod tests {
    use super::{Meaning, OPT_IN_WORDS, OPT_OUT_WORDS};

    #[test]
    fn a_reply_means_what_its_whole_text_says() {
        let out = OPT_OUT_WORDS.map(|word| (word, Meaning::OptedOut));
        let back = OPT_IN_WORDS.map(|word| (word, Meaning::OptedIn));
        for (word, meaning) in out.into_iter().chain(back) {
            let lower = word.to_lowercase();
            for text in [word, &lower, &format!(" {word}\n")] {
                assert_eq!(Meaning::of(text), meaning, "{text}");
            }
            let sentence = format!("please {word}");
            assert_eq!(Meaning::of(&sentence), Meaning::Other, "{sentence}");
        }
        for (text, meaning) in [
            ("C", Meaning::Attends),
            (" c ", Meaning::Attends),
            ("N", Meaning::CannotAttend),
            ("n\n", Meaning::CannotAttend),
            ("", Meaning::Other),
            ("CC", Meaning::Other),
            ("C.", Meaning::Other),
            ("stop it", Meaning::Other),
            ("\u{441}", Meaning::Other),
        ] {
            assert_eq!(Meaning::of(text), meaning, "{text:?}");
        }
    }
}
