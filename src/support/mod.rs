//! For support: the timeline of a booking, the audit trail, and what the coming passes will do.

pub(crate) mod booking_now;
pub(crate) mod costs;
pub(crate) mod expected_costs;
pub mod preview;
pub(crate) mod route;
pub(crate) mod sentences;
pub(crate) mod timeline;
pub mod trail;

use tokio_postgres::Row;

/// The guest to whom a message goes, from a row with `recipient`; `None`: to the first recipient.
pub(crate) fn guest_of(row: &Row) -> Option<String> {
    let recipient: String = row.get("recipient");
    Some(recipient).filter(|recipient| !recipient.is_empty())
}

/// SQL of the data of the event `e`: what other programs wrote there may have any length.
pub(crate) const EVENT_DATA: &str = "CASE WHEN octet_length(e.event_data::text) <= 16384 \
    THEN e.event_data \
    ELSE '{\"too_long\": true}' END";
