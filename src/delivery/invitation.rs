//! A booking as its customer sees it on a page, read anew.

use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::owner_functions::Liveness;
use crate::database::{Result, Transaction, finite};
use crate::delivery::claim_sql::CONTACTS;
use crate::delivery::guests::NO_GUESTS;
use crate::delivery::recipients::{CONTACTS_TIMEOUT, contact_facts, contact_limits, named_person};
use crate::messages::facts::BookingFacts;
use crate::people::person_id;
use crate::reminders::addresses::HAND_OVER;

/// A booking to which a customer may come.
#[derive(Clone, Debug)]
pub(crate) struct Invitation {
    pub(crate) facts: BookingFacts,
    /// The customer's id in the user's tables.
    pub(crate) customer_id: String,
    /// By whose name links are made.
    pub(crate) person_id: String,
}

pub(crate) static HAND_OVER_BOOKING: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {HAND_OVER} FROM (SELECT $1 AS id, $1 AS booking_id, 'customer' AS audience) \
         AS handed_over"
    )
});
pub(crate) static INVITATION: LazyLock<String> = LazyLock::new(|| {
    include_str!("invitation.sql").replace("{is_live}", Liveness::Known.condition())
});

/// Reads a booking that is confirmed and has not started. `None`: it is not, or there is none.
pub(crate) async fn read_invitation(
    transaction: &Transaction,
    booking_id: Uuid,
    as_of: DateTime<Utc>,
) -> Result<Option<Invitation>> {
    let id = [(&booking_id as _, Type::UUID)];
    let limits = contact_limits(&NO_GUESTS);
    let parameters = [
        (&booking_id as _, Type::UUID),
        (&as_of as _, Type::TIMESTAMPTZ),
    ];
    let limit = CONTACTS_TIMEOUT.min(transaction.statement_timeout());
    let (handed_over, contacts, bookings) = future::join3(
        transaction.query(&HAND_OVER_BOOKING, &id),
        transaction.query_with_their_settings(limit, CONTACTS, &limits),
        transaction.query(&INVITATION, &parameters),
    )
    .await;
    handed_over?;
    let (contacts, bookings) = (contacts?, bookings?);
    let (Some(contact), Some(booking)) = (contacts.first(), bookings.first()) else {
        return Ok(None);
    };
    let Some(starts_at) = finite(booking, "scheduled_at") else {
        return Ok(None);
    };
    let customer_id: String = booking.get("customer_id");
    let facts = contact_facts(contact, booking_id, "customer".to_owned(), starts_at);
    Ok(Some(Invitation {
        person_id: named_person(contact)
            .unwrap_or_else(|| person_id(&customer_id).unwrap_or_default()),
        customer_id,
        facts: BookingFacts {
            starts_in: (starts_at - as_of).to_std().unwrap_or(Duration::ZERO),
            duration_minutes: booking.get("duration_minutes"),
            ..facts
        },
    }))
}
