//! The addresses of a message.

use crate::messages::facts::BookingFacts;
use crate::primitives::email_address::{Address, AddressError};

/// From whom to whom a message goes, besides the sender.
pub(crate) struct Envelope {
    pub(super) to: Address,
    pub(super) reply_to: Option<Address>,
    /// Where the recipient chooses which messages they get.
    preferences_link: Option<String>,
}

impl Envelope {
    /// An address for answers that is not one is left out: the message is more important.
    pub(crate) fn of(facts: &BookingFacts) -> Result<Self, AddressError> {
        Ok(Self {
            to: Address::parse(&facts.email)?,
            reply_to: (facts.reply_to.as_deref()).and_then(|text| Address::parse(text).ok()),
            preferences_link: facts.preferences_link.clone(),
        })
    }

    /// Names and values of headers, each in one line.
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("Auto-Submitted", "auto-generated".to_owned())];
        if let Some(link) = &self.preferences_link {
            // RFC 8058: a mail reader unsubscribes with one POST.
            headers.push(("List-Unsubscribe", format!("<{link}>")));
            headers.push((
                "List-Unsubscribe-Post",
                "List-Unsubscribe=One-Click".to_owned(),
            ));
        }
        headers
    }

    pub(super) fn reply_to(&self) -> Option<Vec<String>> {
        let address = self.reply_to.as_ref()?;
        Some(vec![address.as_str().to_owned()])
    }
}
