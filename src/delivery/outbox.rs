//! The outbox of reminders and notices: claim a page, hold the channel, count what waits.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::lifecycle::Role;
use crate::channels::Channel;
use crate::database::owner_functions::{IS_KNOWN, Liveness};
use crate::database::{Result, Transaction};
use crate::delivery::figures::Backlog;
use crate::delivery::recipients::{
    ARE_PEOPLE_KNOWN, contact_facts, named_person, own_or, preferences_sql,
};
use crate::messages::Kind;
use crate::messages::facts::{BookingFacts, Canceller};
use crate::primitives::email_address::as_sent_to;
use crate::reminders::Reason;
use crate::reminders::addresses::HAND_OVER;
use crate::reminders::notices::NoticeEvent;

/// Attempts at one message, at most.
pub(crate) const MAX_ATTEMPTS: i32 = 5;

/// For a claim's transaction: the page is the head of an index. With outdated statistics, the
/// planner would collect and sort the whole backlog in a bitmap for every page.
pub(crate) const IN_INDEX_ORDER: &str = "SET LOCAL enable_bitmapscan = off";

/// The row of a channel. It is free after a page's time or that of one message at the latest: what
/// lies beyond was written before the database's clock was set back.
const CHANNEL: &str = "(SELECT channel, held_reason,
                      least(next_at, clock_timestamp() + make_interval(secs => greatest({seconds}, 1 / {rate}))) AS next_at
                 FROM public.booking_automation_channels)";
/// How many messages can leave within a page's time.
const ROOM: &str = "CASE WHEN c.next_at <= k.at THEN greatest(floor({rate} * {seconds}), 1)
                ELSE greatest(floor({rate} * ({seconds} - extract(epoch FROM c.next_at - k.at)::float8)), 0)
           END";
/// How long reading the contacts of a page may take: no message leaves more than three seconds
/// after it began.
pub(crate) const CONTACTS_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of the texts of a page: with their copies, far less than the smallest function has.
pub(crate) const CONTACTS_BYTES: i64 = 2 << 20;
/// SQL of a boolean: the event `e` is a reminder or a notice that is not final. Messages to webhooks
/// have no start.
const CLAIMABLE: &str =
    "e.status IN ('pending', 'sending') AND e.event_type IN ('reminder_sent', 'notification_sent')
       AND e.starts_at IS NOT NULL";
/// SQL that precedes a moment: the message `e` is of no use after that moment, because the booking
/// has started. Some notices are about what comes after the start.
const ENDS_BEFORE: &str = "coalesce(e.event_data -> 'notice' ->> 'on_event', '') NOT IN ('expired', 'completed') AND e.starts_at <=";
/// SQL of a boolean: the person has got the message `{alias}`, or may have got it.
const MAY_HAVE_ARRIVED: &str = "{alias}.attempts > 0
    AND ({alias}.status IN ('completed', 'sending') OR {alias}.error_message LIKE 'the lease ran out%'
         OR {alias}.event_data @> '{\"attempts\": [{\"outcome\": \"unknown\"}]}')";
/// What a notice says, before `migrate` of 0.3.0, when there is none.
const NO_NOTICE: &str = "SELECT NULL::text AS not_due, NULL::jsonb AS facts";
pub(crate) const CONTACTS: &str = include_str!("contacts.sql");
pub(crate) static CANDIDATES: LazyLock<String> =
    LazyLock::new(|| with_room(include_str!("claim_candidates.sql"), "$3", "$4"));
/// SQL of a query of the columns that [`waiting_of_row`] reads.
pub(crate) const WAITING: &str = include_str!("waiting.sql");

/// Replaces what statements about messages share.
pub(crate) fn with_conditions(sql: &str) -> String {
    sql.replace("{claimable}", CLAIMABLE)
        .replace("{ends_before}", ENDS_BEFORE)
}

fn with_room(sql: &str, rate: &str, seconds: &str) -> String {
    with_conditions(sql)
        .replace("{hand_over}", HAND_OVER)
        .replace("{is_liveness_known}", IS_KNOWN)
        .replace("{are_people_known}", ARE_PEOPLE_KNOWN)
        .replace("{room}", ROOM)
        .replace("{channel}", CHANNEL)
        .replace("{rate}", rate)
        .replace("{seconds}", seconds)
}

pub(crate) fn claim_sql(liveness: Liveness, are_people_known: bool) -> String {
    let sql = with_room(include_str!("claim.sql"), "$2", "$3");
    let notice = match liveness {
        Liveness::Known | Liveness::Singly => include_str!("claim_notice.sql"),
        Liveness::Unknown => NO_NOTICE,
    };
    let latest_revision = liveness.latest_revision("e.booking_id");
    let sql = sql
        .replace("{is_live}", liveness.condition())
        .replace("{latest_revision}", &latest_revision)
        .replace("{notice}", notice)
        .replace("{preferences}", &preferences_sql(are_people_known));
    ["later", "o", "c"].iter().fold(sql, |sql, alias| {
        let condition = MAY_HAVE_ARRIVED.replace("{alias}", alias);
        sql.replace(&format!("{{may_have_arrived:{alias}}}"), &condition)
    })
}

/// One claimed message.
#[derive(Clone, Debug)]
pub(crate) struct ClaimedMessage {
    /// The event: the message's tag at the provider.
    pub(crate) id: Uuid,
    /// The fencing token.
    pub(crate) claim: i64,
    /// Which attempt this is, from 1.
    pub(crate) attempt: i32,
    /// Of a notice, with the facts that only it has.
    pub(crate) kind: Kind,
    /// By whose name preferences are found.
    pub(crate) person_id: Option<String>,
    /// Whether it asks the customer whether they will come.
    pub(crate) asks_attendance: bool,
    /// What it says, and to whom.
    pub(crate) facts: BookingFacts,
}

/// A claimed page.
#[derive(Clone, Debug, Default)]
pub(crate) struct MessagePage {
    /// When the first message may leave, from the moment of the claim on.
    pub(crate) free_in: Duration,
    /// The channel has no row, so nothing can be claimed.
    pub(crate) is_without_channel: bool,
    /// How many messages the send rate allows; zero: other instances use it up.
    pub(crate) room: f64,
    /// No longer due.
    pub(crate) skipped: i64,
    /// All attempts are used.
    pub(crate) failed: i64,
    /// Sent by an earlier attempt, according to the provider's events.
    pub(crate) settled: i64,
    /// The events of all three.
    pub(crate) ended: Vec<Uuid>,
    /// Whether the account could not send at the last try. Then the page is a single message, to
    /// test it.
    pub(crate) held: bool,
    /// The messages to send, the most urgent first.
    pub(crate) messages: Vec<ClaimedMessage>,
}

impl MessagePage {
    /// Whether the outbox had nothing that could be claimed.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.ended.is_empty()
    }
}

/// How a page is claimed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClaimLimits {
    /// Messages, at most.
    pub(crate) messages: i64,
    /// Messages per second, of all instances together.
    pub(crate) rate: f64,
    /// The page holds what can leave within this time.
    pub(crate) page: Duration,
    /// How long the claim lasts.
    pub(crate) lease: Duration,
    /// How long an unknown outcome waits for the provider's own event.
    pub(crate) unknown_wait: Duration,
    /// The moment to decide by; `None`: the clock.
    pub(crate) as_of: Option<DateTime<Utc>>,
    /// Only this message.
    pub(crate) single: Option<Uuid>,
}

/// Locks the messages of a page, and reads the contacts view for them, with the settings of the
/// user's database. One round trip.
pub(crate) async fn lock_candidates(
    transaction: &Transaction,
    limits: &ClaimLimits,
) -> Result<Candidates> {
    let parameters = [
        (&Channel::Email.as_str() as _, Type::TEXT),
        (&limits.messages as _, Type::INT8),
        (&limits.rate as _, Type::FLOAT8),
        (&limits.page.as_secs_f64() as _, Type::FLOAT8),
        (&limits.single as _, Type::UUID),
        (&limits.as_of as _, Type::TIMESTAMPTZ),
    ];
    let limit = CONTACTS_TIMEOUT.min(transaction.statement_timeout());
    let (channel, candidates, contacts) = future::join3(
        lock_channel(transaction),
        transaction.query(&CANDIDATES, &parameters),
        transaction.query_with_their_settings(limit, CONTACTS, &[(&CONTACTS_BYTES, Type::INT8)]),
    )
    .await;
    channel?;
    let candidates = candidates?;
    let is_known = |column| candidates.first().is_some_and(|row| row.get(column));
    let by_id = |row: Row| (row.get::<_, Uuid>("id"), row);
    Ok(Candidates {
        liveness: Liveness::of(is_known("is_liveness_known")),
        are_people_known: is_known("are_people_known"),
        contacts: contacts?.into_iter().map(by_id).collect(),
    })
}

/// The locked messages of a page: each with its row of [`CONTACTS`].
#[derive(Debug)]
pub(crate) struct Candidates {
    liveness: Liveness,
    are_people_known: bool,
    contacts: BTreeMap<Uuid, Row>,
}

/// Claims the candidates that are still due. The caller commits before anything is sent. One round
/// trip.
pub(crate) async fn claim_page(
    transaction: &Transaction,
    limits: &ClaimLimits,
    candidates: &Candidates,
) -> Result<MessagePage> {
    let ids: Vec<_> = candidates.contacts.keys().collect();
    let emails: Vec<_> = candidates
        .contacts
        .values()
        .map(|contact| contact.get::<_, Option<&str>>("email").map(as_sent_to))
        .collect();
    let facts: Vec<_> = candidates.contacts.values().map(facts_digest).collect();
    let people: Vec<_> = candidates.contacts.values().map(named_person).collect();
    let parameters = [
        (&Channel::Email.as_str() as _, Type::TEXT),
        (&limits.rate as _, Type::FLOAT8),
        (&limits.page.as_secs_f64() as _, Type::FLOAT8),
        (&limits.lease.as_secs_f64() as _, Type::FLOAT8),
        (&limits.unknown_wait.as_secs_f64() as _, Type::FLOAT8),
        (&limits.as_of as _, Type::TIMESTAMPTZ),
        (&MAX_ATTEMPTS as _, Type::INT4),
        (&ids as _, Type::UUID_ARRAY),
        (&emails as _, Type::TEXT_ARRAY),
        (&facts as _, Type::BYTEA_ARRAY),
        (&people as _, Type::TEXT_ARRAY),
    ];
    let sql = claim_sql(candidates.liveness, candidates.are_people_known);
    let rows = transaction.query(&sql, &parameters).await?;
    // The statement always has a row if the channel has its own.
    let Some(first) = rows.first() else {
        return Ok(MessagePage {
            is_without_channel: true,
            ..MessagePage::default()
        });
    };
    Ok(MessagePage {
        free_in: Duration::try_from_secs_f64(first.get("free_in")).unwrap_or_default(),
        is_without_channel: false,
        room: first.get("room"),
        skipped: first.get("skipped"),
        failed: first.get("failed"),
        settled: first.get("settled"),
        ended: first.get("ended"),
        held: first.get("held"),
        messages: rows
            .iter()
            .filter_map(|row| ClaimedMessage::of(row, candidates))
            .collect(),
    })
}

/// A digest of what a message tells about a row of [`CONTACTS`]. A person who was told the same is not
/// told again.
fn facts_digest(contact: &Row) -> Vec<u8> {
    let [service, place, link] =
        ["service", "place", "meeting_link"].map(|column| contact.get::<_, Option<&str>>(column));
    let facts = json!([service, place, link, contact.get::<_, bool>("is_online")]);
    Sha256::digest(facts.to_string()).to_vec()
}

/// Waits for other transactions that claim or settle.
pub(crate) async fn lock_channel(transaction: &Transaction) -> Result<()> {
    let sql = "SELECT FROM public.booking_automation_channels WHERE channel = $1 FOR UPDATE";
    transaction
        .execute(sql, &[(&Channel::Email.as_str(), Type::TEXT)])
        .await?;
    Ok(())
}

impl ClaimedMessage {
    /// `None`: a page without messages, which is one row without an id.
    fn of(row: &Row, candidates: &Candidates) -> Option<Self> {
        let id: Uuid = row.get::<_, Option<Uuid>>("id")?;
        let contact = candidates.contacts.get(&id)?;
        Some(Self {
            id,
            claim: row.get("claim"),
            attempt: row.get("attempts"),
            kind: kind_of(row.get("notice")),
            person_id: row.get("person_id"),
            asks_attendance: row.get("asks_attendance"),
            facts: BookingFacts {
                timezone: own_or(row, contact, "timezone"),
                language: own_or(row, contact, "language"),
                starts_in: {
                    let left: Option<f64> = row.get("seconds_left");
                    Duration::try_from_secs_f64(left.unwrap_or_default()).unwrap_or_default()
                },
                duration_minutes: row.get("duration_minutes"),
                revision: row.get("revision"),
                told_at: row.get("as_of"),
                ..contact_facts(
                    contact,
                    row.get("booking_id"),
                    row.get("audience"),
                    row.get("starts_at"),
                )
            },
        })
    }
}

/// The kind of a message: of a notice, with the facts that claim_notice.sql returned. A refund that
/// is not as this release writes it is not told.
fn kind_of(notice: Option<Value>) -> Kind {
    let Some(notice) = notice else {
        return Kind::Reminder;
    };
    let text = |member: &str| notice[member].as_str();
    match text("on_event").and_then(NoticeEvent::from_name) {
        Some(NoticeEvent::Rescheduled) => Kind::Rescheduled {
            from: text("from").and_then(|from| from.parse().ok()),
        },
        Some(NoticeEvent::Cancelled) => Kind::Cancelled {
            by: text("by").map(|role| match Role::from_name(role) {
                Some(Role::Customer) => Canceller::Customer,
                Some(Role::Provider) => Canceller::Provider,
                _ => Canceller::Business,
            }),
            refund: serde_json::from_value(notice["refund"].clone()).ok(),
        },
        Some(NoticeEvent::Expired) => Kind::Expired,
        Some(NoticeEvent::Completed) => Kind::FollowUp,
        Some(NoticeEvent::Confirmed) | None => Kind::Confirmed,
    }
}

/// Holds the channel with a reason, or releases it.
pub(crate) async fn set_channel_hold(
    transaction: &Transaction,
    reason: Option<Reason>,
) -> Result<()> {
    let sql = "UPDATE public.booking_automation_channels
                  SET held_reason = $2,
                      held_since = CASE WHEN $2 IS NOT NULL THEN coalesce(held_since, clock_timestamp()) END
                WHERE channel = $1 AND held_reason IS DISTINCT FROM $2";
    let reason = reason.map(Reason::as_str);
    transaction
        .execute(
            sql,
            &[
                (&Channel::Email.as_str(), Type::TEXT),
                (&reason, Type::TEXT),
            ],
        )
        .await?;
    Ok(())
}

/// The backlog, and how many of it can be claimed now, from a row of [`WAITING`].
pub(crate) fn waiting_of_row(row: &Row) -> (Backlog, i64) {
    let backlog = Backlog {
        pending: row.get("pending"),
        oldest_due_at: row.get("oldest_due_at"),
    };
    (backlog, row.get("claimable"))
}
