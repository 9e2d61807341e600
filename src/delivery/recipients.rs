//! The recipients of a claimed page, and what they have chosen.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::Parameter;
use crate::messages::facts::BookingFacts;
use crate::people::person_id;

/// How long reading the contacts of a page may take: no message leaves more than three seconds
/// after it began.
pub(crate) const CONTACTS_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of the texts of a page: with their copies, far less than the smallest function has.
pub(crate) const CONTACTS_BYTES: i64 = 2 << 20;
/// What the person `who` has chosen.
const PREFERENCES: &str = "
    SELECT p.language, p.timezone, p.quiet_from, p.quiet_until, p.channels, p.phone, p.sms_allowed,
           ARRAY(SELECT o.kind FROM public.booking_automation_opt_outs o
             WHERE o.person_id = {person}) AS opt_outs
      FROM (SELECT) AS one
      LEFT JOIN public.booking_automation_preferences p ON p.person_id = {person}";
/// The same, where the database does not know.
const NO_PREFERENCES: &str =
    "SELECT NULL::text AS language, NULL::text AS timezone, '{}'::text[] AS opt_outs,
            NULL::text[] AS channels, NULL::text AS phone, NULL::boolean AS sms_allowed";

/// The parameters of contacts.sql.
pub(crate) fn contact_limits(guests: &i64) -> [Parameter<'_>; 2] {
    [(&CONTACTS_BYTES, Type::INT8), (guests, Type::INT8)]
}

/// SQL of what the person `who` has chosen.
pub(crate) fn preferences_sql(are_people_known: bool) -> String {
    match are_people_known {
        true => PREFERENCES.replace("{person}", "who.person_id"),
        false => NO_PREFERENCES.to_owned(),
    }
}

/// The view's own name of a recipient. `None`: the view has none. Empty: the name cannot be used,
/// so no choices are looked up.
pub(crate) fn named_person(contact: &Row) -> Option<String> {
    usable_name(contact.get("person_id"))
}

/// A person's name in the view, as in [`named_person`].
pub(crate) fn usable_name(name: Option<&str>) -> Option<String> {
    let name = name.map(str::trim).filter(|name| !name.is_empty())?;
    Some(person_id(name).unwrap_or_default())
}

/// What the person has chosen, else what the view says.
pub(crate) fn own_or(claimed: &Row, contact: &Row, column: &str) -> Option<String> {
    let own: Option<String> = claimed.get(column);
    own.or_else(|| contact.get(column))
}

/// What the contacts view says about a booking and a recipient.
pub(crate) fn contact_facts(
    contact: &Row,
    booking_id: Uuid,
    audience: String,
    starts_at: DateTime<Utc>,
) -> BookingFacts {
    BookingFacts {
        booking_id,
        audience,
        is_guest: false,
        starts_at,
        starts_in: Duration::ZERO,
        duration_minutes: None,
        // A message is claimed only if there is an address.
        email: contact
            .get::<_, Option<String>>("email")
            .unwrap_or_default(),
        phone: contact.get("phone"),
        sms_allowed: contact
            .get::<_, Option<bool>>("sms_allowed")
            .unwrap_or_default(),
        name: contact.get("name"),
        timezone: contact.get("timezone"),
        language: contact.get("language"),
        service: contact.get("service"),
        with_name: contact.get("with_name"),
        place: contact.get("place"),
        meeting_link: contact.get("meeting_link"),
        is_online: contact.get("is_online"),
        place_timezone: contact.get("place_timezone"),
        reply_to: contact.get("reply_to"),
        preferences_link: None,
        attendance_link: None,
        asks_reply: false,
        sequence: 0,
        told_at: DateTime::UNIX_EPOCH,
    }
}

/// What a message says about a row of contacts.sql. A second message that says the same is skipped.
pub(crate) fn told_facts(contact: &Row) -> Value {
    let [service, place, link] =
        ["service", "place", "meeting_link"].map(|column| contact.get::<_, Option<&str>>(column));
    json!([service, place, link, contact.get::<_, bool>("is_online")])
}
