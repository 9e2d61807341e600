//! Guests: other recipients of a message, whom the contacts view tells apart by `recipient`. The
//! claim of the first recipient's message enqueues theirs (claim_guests.sql).

use std::collections::BTreeMap;

use tokio_postgres::Row;
use uuid::Uuid;

use crate::delivery::recipients::usable_name;
use crate::people::message_person;

/// Guests of a message, at most.
const MOST_GUESTS: usize = 1_000;
/// Only the first recipients are read.
pub(crate) const NO_GUESTS: i64 = 0;
/// One more than there may be, so that it shows.
pub(crate) const ALL_GUESTS: i64 = MOST_GUESTS as i64 + 1;

/// The guests of a page's messages, as the claim takes them.
#[derive(Default)]
pub(crate) struct Guests<'a> {
    /// The first recipients' messages, once for each guest.
    pub(crate) messages: Vec<&'a Uuid>,
    /// The guests, by the view's `recipient`.
    pub(crate) recipients: Vec<String>,
    /// As [`message_person`] of the view's own names of them.
    pub(crate) people: Vec<Option<Uuid>>,
}

impl<'a> Guests<'a> {
    /// From rows of contacts.sql.
    pub(crate) fn of(contacts: &'a BTreeMap<Uuid, Row>) -> Self {
        let mut guests = Self::default();
        for (message, contact) in contacts {
            let recipients: Option<Vec<String>> = contact.get("guests");
            let people: Option<Vec<Option<String>>> = contact.get("guest_people");
            let recipients = recipients.unwrap_or_default();
            if recipients.len() > MOST_GUESTS {
                tracing::error!(
                    event.id = %message,
                    "booking_automation_contacts has more than {MOST_GUESTS} guests of a booking: \
                     the others get no message"
                );
            }
            let found = recipients.into_iter().zip(people.into_iter().flatten());
            for (recipient, person) in found.take(MOST_GUESTS) {
                guests.messages.push(message);
                guests.recipients.push(recipient);
                let name = usable_name(person.as_deref()).filter(|name| !name.is_empty());
                guests.people.push(name.as_deref().map(message_person));
            }
        }
        guests
    }
}
