//! The addresses of a message.

use crate::messages::facts::BookingFacts;
use crate::primitives::email_address::{Address, AddressError};

/// From whom to whom a message goes, besides the sender.
pub(crate) struct Envelope {
    pub(super) to: Address,
    pub(super) reply_to: Option<Address>,
}

impl Envelope {
    /// An address for answers that is not one is left out: the message is more important.
    pub(crate) fn of(facts: &BookingFacts) -> Result<Self, AddressError> {
        Ok(Self {
            to: Address::parse(&facts.email)?,
            reply_to: (facts.reply_to.as_deref()).and_then(|text| Address::parse(text).ok()),
        })
    }

    pub(super) fn reply_to(&self) -> Option<Vec<String>> {
        let address = self.reply_to.as_ref()?;
        Some(vec![address.as_str().to_owned()])
    }
}
