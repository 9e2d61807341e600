//! The bookings of a person, for the feed of their calendar.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use futures_util::future;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::owner_functions::Liveness;
use crate::database::{Result, Transaction, finite};
use crate::delivery::claim_sql::{CONTACTS, IS_CANCELLATION, SEQUENCE, with_aliases};
use crate::delivery::guests::NO_GUESTS;
use crate::delivery::recipients::contact_facts;
use crate::delivery::recipients::{CONTACTS_TIMEOUT, contact_limits};
use crate::messages::facts::BookingFacts;
use crate::reminders::addresses::HAND_OVER;

/// Bookings in a feed, at most.
const LIMIT: i64 = 500;

pub(crate) static FEED: LazyLock<String> = LazyLock::new(|| {
    let sql = include_str!("feed.sql")
        .replace("{is_live}", Liveness::Known.condition())
        .replace("{hand_over}", HAND_OVER);
    let sql = with_aliases(&sql, "sequence", SEQUENCE);
    with_aliases(&sql, "is_cancellation", IS_CANCELLATION).replace("{revision}", "booking.revision")
});

/// A booking in a feed.
#[derive(Clone, Debug)]
pub(crate) struct FeedEntry {
    pub(crate) facts: BookingFacts,
    pub(crate) is_cancelled: bool,
}

/// Reads the bookings of the last 30 days and those ahead, in their order: [`LIMIT`] at most, the
/// nearest ahead first. One round trip.
pub(crate) async fn read_feed(
    transaction: &Transaction,
    person: Uuid,
    as_of: DateTime<Utc>,
) -> Result<Vec<FeedEntry>> {
    let parameters = [
        (&person as _, Type::UUID),
        (&as_of as _, Type::TIMESTAMPTZ),
        (&LIMIT as _, Type::INT8),
    ];
    let limits = contact_limits(&NO_GUESTS);
    let limit = CONTACTS_TIMEOUT.min(transaction.statement_timeout());
    let (bookings, contacts) = future::join(
        transaction.query(&FEED, &parameters),
        transaction.query_with_their_settings(limit, CONTACTS, &limits),
    )
    .await;
    let bookings = bookings?;
    let by_id = |row: Row| (row.get::<_, Uuid>("id"), row);
    let contacts: BTreeMap<_, _> = contacts?.into_iter().map(by_id).collect();
    let entry = |row: &Row| {
        let contact = contacts.get(&row.get::<_, Uuid>("id"))?;
        FeedEntry::of(row, contact)
    };
    Ok(bookings.iter().filter_map(entry).collect())
}

impl FeedEntry {
    fn of(booking: &Row, contact: &Row) -> Option<Self> {
        let (id, audience) = (booking.get("id"), booking.get("audience"));
        let starts_at = finite(booking, "starts_at")?;
        Some(Self {
            facts: BookingFacts {
                duration_minutes: booking.get("duration_minutes"),
                sequence: booking.get("sequence"),
                // The same at each visit, so that a feed changes only when a booking does.
                told_at: finite(booking, "in_force_since").unwrap_or(starts_at),
                ..contact_facts(contact, id, audience, starts_at)
            },
            is_cancelled: booking.get("is_cancelled"),
        })
    }
}
