//! The bookings of digests, read when their messages are claimed.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::future;
use serde_json::json;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::owner_functions::Liveness;
use crate::database::{Result, Transaction};
use crate::delivery::recipients::{CONTACTS_BYTES, CONTACTS_TIMEOUT, contact_facts, named_person};
use crate::messages::facts::{BookingFacts, DayFacts};
use crate::reminders::digests::PERSON;

/// Bookings that a digest lists, at most.
const MOST_LISTED: i64 = 50;
/// Bookings that are read for a digest, at most.
const MOST_READ: i64 = 1_000;

const BOOKINGS: &str = include_str!("digest_bookings.sql");
pub(crate) static CONTACTS: LazyLock<String> =
    LazyLock::new(|| include_str!("digest_contacts.sql").replace("{person}", PERSON));

/// SQL that hands over the bookings of digests.
pub(crate) fn bookings_sql(liveness: Liveness) -> String {
    BOOKINGS.replace("{is_live}", liveness.condition())
}

/// SQL of a boolean: the message `e` is a digest. Before `migrate` of 0.3.0, there is none.
pub(crate) fn is_digest_sql(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Known | Liveness::Singly => "e.local_day IS NOT NULL",
        Liveness::Unknown => "false",
    }
}

/// SQL of the reason for which the digest `e` is not due any more.
pub(crate) fn not_due_sql(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Known | Liveness::Singly => {
            "CASE
                WHEN NOT EXISTS (SELECT FROM public.booking_automation_digest_rules d
                                  WHERE d.name = e.rule AND d.audience = e.audience AND d.active
                                    AND {is_of_rule:d}) THEN 'rule_off'
                WHEN candidate.last_start IS NULL THEN 'empty_day'
             END"
        }
        Liveness::Unknown => "NULL",
    }
}

/// A pattern of PostgreSQL for a UUID.
const UUID: &str = "(?i)^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$";

/// SQL from FROM on: the digests that the person may have got after the message `told` about the
/// booking `b`, and that did not know the booking's present schedule: after its first change since
/// then, as far as changes are known, and until a minute after the last one, which may have been
/// committed later. Digests have the person's id as in digest_person.sql, and list no guests'
/// bookings.
pub(crate) fn digests_between_sql(liveness: Liveness) -> String {
    if liveness == Liveness::Unknown {
        return "WHERE false".to_owned();
    }
    DIGESTS_BETWEEN
        .replace("{changes}", CHANGES_SINCE)
        .replace("{uuid}", UUID)
}

/// The text of [`digests_between_sql`]. Dates are compared as texts, since the trail may have rows
/// of the owner's.
const DIGESTS_BETWEEN: &str = "FROM public.booking_automation_events digest
    WHERE e.recipient = ''
      AND digest.person_id = coalesce(substring(who.person_id FROM '{uuid}'),
                                      substring(who.referred_id FROM '{uuid}'))::uuid
      AND digest.local_day IS NOT NULL AND {may_have_arrived:digest}
      AND digest.audience = e.audience AND {shares_channel:digest}
      AND (digest.executed_at < told.executed_at) IS NOT TRUE
      AND digest.scheduled_at < interval '1 minute'
          + CASE WHEN b.status = 'confirmed' THEN s.in_force_since
                 ELSE (SELECT max(change.executed_at) {changes}) END
      AND ((SELECT min(change.executed_at) {changes}) >= digest.executed_at) IS NOT TRUE
      -- The booking is, or was, of that day, in whatever zone the day is.
      AND ((b.scheduled_at AT TIME ZONE 'UTC')::date
               BETWEEN digest.local_day - 1 AND digest.local_day + 1
           OR EXISTS (SELECT {changes} AND change.event_type = 'rescheduled'
                        AND left(change.event_data ->> 'to', 10) COLLATE \"C\"
                            BETWEEN (digest.local_day - 1)::text
                                AND (digest.local_day + 1)::text))";
/// SQL from FROM on: the changes of a booking since the message `told`.
const CHANGES_SINCE: &str = "FROM public.booking_automation_events change
    WHERE change.booking_id = e.booking_id AND change.seq > told.seq
      AND change.event_type IN ('rescheduled', 'status_update')";

/// The day of a digest, as it is now.
#[derive(Debug)]
pub(crate) struct DigestFacts {
    pub(crate) day: DayFacts,
    /// The start of the day's last booking; `None`: there is none.
    pub(crate) last_start: Option<DateTime<Utc>>,
    /// The view's own name of the person; `None`: it has none.
    pub(crate) person_id: Option<String>,
}

impl DigestFacts {
    /// The recipient, with the first booking of the day.
    pub(crate) fn recipient(&self) -> Option<BookingFacts> {
        let first = self.day.bookings.first()?;
        let mut recipient = first.clone();
        let answers_to_others = |other: &BookingFacts| other.reply_to != first.reply_to;
        // An answer cannot go to several.
        if self.day.others > 0 || self.day.bookings.iter().any(answers_to_others) {
            recipient.reply_to = None;
        }
        Some(recipient)
    }

    /// What it tells.
    pub(crate) fn told(&self) -> serde_json::Value {
        let bookings = self.day.bookings.iter().map(|booking| {
            json!([
                booking.booking_id,
                booking.starts_at,
                booking.duration_minutes,
                booking.service,
                booking.place,
                booking.meeting_link
            ])
        });
        json!([self.day.date, bookings.collect::<Vec<_>>(), self.day.others])
    }
}

/// The digests among the candidates of a page, with their bookings. One whose texts do not fit into
/// the page is missing. One round trip.
pub(crate) async fn read_digests(
    transaction: &Transaction,
    liveness: Liveness,
    as_of: Option<DateTime<Utc>>,
) -> Result<HashMap<Uuid, DigestFacts>> {
    let sql = bookings_sql(liveness);
    let bookings = [
        (&as_of as _, Type::TIMESTAMPTZ),
        (&MOST_READ as _, Type::INT8),
    ];
    let contacts = [
        (&CONTACTS_BYTES as _, Type::INT8),
        (&MOST_LISTED as _, Type::INT8),
    ];
    let limit = CONTACTS_TIMEOUT.min(transaction.statement_timeout());
    let (digests, rows) = future::join(
        transaction.query_one(&sql, &bookings),
        transaction.query_with_their_settings(limit, &CONTACTS, &contacts),
    )
    .await;
    let (digests, rows) = (digests?, rows?);
    let ids: Option<Vec<Uuid>> = digests.get("ids");
    let days: Option<Vec<NaiveDate>> = digests.get("days");
    let mut rows_of: HashMap<Uuid, Vec<Row>> = HashMap::new();
    for row in rows {
        rows_of.entry(row.get("id")).or_default().push(row);
    }
    let days = ids.into_iter().flatten().zip(days.into_iter().flatten());
    let digests = days.filter_map(|(id, date)| {
        let rows = rows_of.remove(&id).unwrap_or_default();
        Some((id, digest_of(date, &rows)?))
    });
    Ok(digests.collect())
}

/// `None`: rows are missing.
fn digest_of(date: NaiveDate, rows: &[Row]) -> Option<DigestFacts> {
    let in_all: i64 = rows.first().map_or(0, |row| row.get("bookings"));
    let listed = i64::try_from(rows.len()).ok()?;
    if listed < in_all.min(MOST_LISTED) {
        return None;
    }
    let bookings = rows.iter().map(|row| BookingFacts {
        duration_minutes: row
            .get::<_, Option<i64>>("duration_minutes")
            .map(|minutes| i32::try_from(minutes.max(0)).unwrap_or(i32::MAX)),
        ..contact_facts(
            row,
            row.get("booking_id"),
            row.get("audience"),
            row.get("starts_at"),
        )
    });
    Some(DigestFacts {
        day: DayFacts {
            date,
            bookings: bookings.collect(),
            others: usize::try_from(in_all - listed).unwrap_or_default(),
        },
        last_start: rows.first().and_then(|row| row.get("last_start")),
        person_id: rows.first().and_then(named_person),
    })
}
