//! What a message says of a booking and its people, from rows of the contacts view.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::messages::facts::BookingFacts;

/// How long reading the contacts of a page may take: no message leaves more than three seconds
/// after it began.
pub(crate) const CONTACTS_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of the texts of a page: with their copies, far less than the smallest function has.
pub(crate) const CONTACTS_BYTES: i64 = 2 << 20;

/// The facts of a row of contacts.sql or digest_contacts.sql, of a booking whose start is not
/// compared with the clock and whose duration is not known.
pub(crate) fn facts_of(
    contact: &Row,
    booking_id: Uuid,
    audience: String,
    starts_at: DateTime<Utc>,
) -> BookingFacts {
    BookingFacts {
        booking_id,
        audience,
        starts_at,
        starts_in: Duration::ZERO,
        duration_minutes: None,
        email: contact
            .get::<_, Option<String>>("email")
            .unwrap_or_default(),
        name: contact.get("name"),
        timezone: contact.get("timezone"),
        service: contact.get("service"),
        with_name: contact.get("with_name"),
        place: contact.get("place"),
        meeting_link: contact.get("meeting_link"),
        is_online: contact.get("is_online"),
        language: contact.get("language"),
        place_timezone: contact.get("place_timezone"),
        reply_to: contact.get("reply_to"),
        preferences_link: None,
        revision: 0,
        told_at: starts_at,
    }
}

/// What a message tells about a row of contacts.sql. A person who was told the same is not told
/// again.
pub(crate) fn told_facts(contact: &Row) -> Value {
    let [service, place, link] =
        ["service", "place", "meeting_link"].map(|column| contact.get::<_, Option<&str>>(column));
    json!([service, place, link, contact.get::<_, bool>("is_online")])
}
