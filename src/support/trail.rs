//! The audit trail as a list: in pages, the newest event first, or every event since a time, one
//! line each.
//!
//! Paging uses an event's position in the trail, which only grows, so new events do not shift the
//! next page. Each page is a short transaction that reads a limited number of rows, so that even a
//! long list does not hold back vacuum.

use std::io::{self, Write};
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::{Begin, Database, DatabaseError, Result, Transaction, finite, json};
use crate::delivery::event::EventStatus;
use crate::support::costs::COST_OF_MESSAGE;
use crate::support::route::Route;
use crate::support::{EVENT_DATA, guest_of};

/// Events of a page, at most: well below the 6 MB that a function URL's answer may have.
pub(crate) const LARGEST_PAGE: i64 = 500;
/// Rows that one page examines for a filter: tens of milliseconds of work.
const LOOK_AT: i64 = 20_000;

pub(crate) static PAGE: LazyLock<String> = LazyLock::new(|| {
    include_str!("trail.sql")
        .replace("{event_data}", EVENT_DATA)
        .replace("{cost}", COST_OF_MESSAGE)
});

/// The events to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrailFilter {
    /// Of this booking.
    pub(crate) booking_id: Option<Uuid>,
    /// `status_update`, `reminder_sent` …
    pub(crate) event_type: Option<String>,
    /// `completed`, `failed` …
    pub(crate) status: Option<EventStatus>,
    /// Written at this time or later.
    pub(crate) since: Option<DateTime<Utc>>,
    /// Written before.
    pub(crate) until: Option<DateTime<Utc>>,
}

impl TrailFilter {
    /// Whether every event of the booking, or of all, is wanted.
    fn takes_all(&self) -> bool {
        self.event_type.is_none()
            && self.status.is_none()
            && self.since.is_none()
            && self.until.is_none()
    }
}

/// A page of the trail.
#[derive(Debug, Serialize)]
pub(crate) struct TrailPage {
    events: Vec<TrailEntry>,
    /// Where the next page begins; `None`: this is the last page. A page may be short or empty and
    /// still have a next page.
    next: Option<String>,
}

/// An event, as stored.
#[derive(Debug, Serialize)]
struct TrailEntry {
    id: Uuid,
    /// When it was written.
    at: Option<DateTime<Utc>>,
    /// `None`: it belongs to no booking.
    booking_id: Option<Uuid>,
    #[serde(rename = "type")]
    event_type: String,
    status: String,
    /// When it was due.
    due_at: Option<DateTime<Utc>>,
    /// When it ended.
    executed_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    message: Option<MessageFacts>,
    data: Value,
}

/// The fields that only messages have.
#[derive(Debug, Serialize)]
struct MessageFacts {
    rule: String,
    audience: String,
    channel: String,
    #[serde(flatten)]
    route: Route,
    /// `None`: the first recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    revision: i32,
    starts_at: Option<DateTime<Utc>>,
    attempts: i32,
    message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<MessageCost>,
}

/// What an SMS cost, with all its attempts.
#[derive(Debug, Serialize)]
struct MessageCost {
    parts: i64,
    /// In US dollars; `None`: it is not known, or not yet.
    price: Option<String>,
}

impl MessageCost {
    fn of(row: &Row) -> Option<Self> {
        Some(Self {
            parts: row.get::<_, Option<i64>>("parts")?,
            price: row.get("price"),
        })
    }
}

impl TrailEntry {
    /// `None`: a page without events, which is one row without an id.
    fn of(row: &Row) -> Option<(i64, Self)> {
        let seq = row.get::<_, Option<i64>>("seq")?;
        let channel: String = row.get("channel");
        let (via, status): (Option<String>, String) = (row.get("via"), row.get("status"));
        let data = json(row, "event_data");
        let message = (!channel.is_empty()).then(|| MessageFacts {
            rule: row.get("rule"),
            audience: row.get("audience"),
            route: Route::of(&channel, via.as_deref(), &status, &data),
            channel,
            recipient: guest_of(row),
            revision: row.get("revision"),
            starts_at: finite(row, "starts_at"),
            attempts: row.get("attempts"),
            message_id: row.get("message_id"),
            cost: MessageCost::of(row),
        });
        let event = Self {
            id: row.get("id"),
            at: finite(row, "created_at"),
            booking_id: Some(row.get("booking_id")).filter(|id: &Uuid| !id.is_nil()),
            event_type: row.get("event_type"),
            status,
            due_at: finite(row, "scheduled_at"),
            executed_at: finite(row, "executed_at"),
            reason: row.get("reason"),
            error: row.get("error"),
            message,
            data,
        };
        Some((seq, event))
    }
}

/// Up to `rows` events before the position `before` in the trail, the newest first.
pub(crate) async fn read_page(
    transaction: &Transaction,
    filter: &TrailFilter,
    before: i64,
    rows: i64,
) -> Result<TrailPage> {
    let look_at = if filter.takes_all() {
        rows
    } else {
        LOOK_AT.max(rows)
    };
    let status = filter.status.map(EventStatus::as_str);
    let parameters = [
        (&before as _, Type::INT8),
        (&rows as _, Type::INT8),
        (&look_at as _, Type::INT8),
        (&filter.booking_id as _, Type::UUID),
        (&filter.event_type as _, Type::TEXT),
        (&status as _, Type::TEXT),
        (&filter.since as _, Type::TIMESTAMPTZ),
        (&filter.until as _, Type::TIMESTAMPTZ),
    ];
    let found = transaction.query(&PAGE, &parameters).await?;
    let events: Vec<_> = found.iter().filter_map(TrailEntry::of).collect();
    let last = events.last().map(|(seq, _)| *seq);
    // The statement has one row at least.
    let looked = found.first().map(|row| {
        (
            row.get::<_, Option<i64>>("reach"),
            row.get::<_, i64>("rows"),
            row.get::<_, bool>("past"),
        )
    });
    let next = match looked {
        _ if i64::try_from(events.len()) == Ok(rows) => last,
        Some((reach, looked_at, false)) if looked_at == look_at => reach,
        _ => None,
    };
    Ok(TrailPage {
        events: events.into_iter().map(|(_, event)| event).collect(),
        next: next.map(|seq| seq.to_string()),
    })
}

/// Why a list ended early.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// The database.
    #[error("the events could not be read: {}", .0.loggable())]
    Database(DatabaseError),
    /// The output.
    #[error("the events could not be written: {0}")]
    Output(#[from] io::Error),
}

impl From<DatabaseError> for TrailError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

/// Writes every event since a time (`None`: all there are) as a line of JSON, the newest first.
/// Holds a page of them at a time. Returns how many there were.
///
/// # Errors
/// When the database fails, or `output` cannot be written. Lines written before are complete.
pub async fn write_all(
    database: &Database,
    since: Option<DateTime<Utc>>,
    output: &mut impl Write,
) -> std::result::Result<u64, TrailError> {
    let filter = TrailFilter {
        since,
        ..TrailFilter::default()
    };
    let (mut before, mut count) = (i64::MAX, 0);
    loop {
        let begin = Begin {
            read_only: true,
            ..Begin::default()
        };
        let (transaction, _) = database.begin(&begin, "").await?;
        let TrailPage { events, next } =
            read_page(&transaction, &filter, before, LARGEST_PAGE).await?;
        transaction.rollback().await?;
        for event in &events {
            serde_json::to_writer(&mut *output, event).map_err(io::Error::from)?;
            output.write_all(b"\n")?;
            count += 1;
        }
        output.flush()?;
        match next.and_then(|next| next.parse().ok()) {
            Some(next) => before = next,
            None => return Ok(count),
        }
    }
}
