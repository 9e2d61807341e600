//! The outbox of reminders and notices: claim a page, hold the channel, count what waits.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::lifecycle::Role;
use crate::channels::Channel;
use crate::database::owner_functions::Liveness;
use crate::database::{Result, Transaction};
use crate::delivery::claim_sql::{CANDIDATES, CONTACTS, claim_sql};
use crate::delivery::digests::{DigestFacts, read_digests};
use crate::delivery::engine::Claimed;
use crate::delivery::figures::Backlog;
use crate::delivery::guests::{ALL_GUESTS, Guests};
use crate::delivery::recipients::{
    CONTACTS_TIMEOUT, contact_facts, contact_limits, named_person, own_or, told_facts,
};
use crate::delivery::tally::EndedMessages;
use crate::messages::Kind;
use crate::messages::facts::{BookingFacts, Canceller, DayFacts};
use crate::messages::grouped_reminder::day_of;
use crate::primitives::email_address::as_sent_to;
use crate::reminders::notices::NoticeEvent;

/// Attempts at one message, at most.
pub(crate) const MAX_ATTEMPTS: i32 = 5;

/// A message that is not written yet.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// Of a notice, with the facts that only it has.
    pub(crate) kind: Kind,
    /// The name by which the choices of the recipient are found; `None`: it is not known.
    pub(crate) person_id: Option<String>,
    /// Whether it asks the customer whether they will come.
    pub(crate) asks_attendance: bool,
    /// Whether it tests an account that could not send at the last try.
    pub(crate) tests_account: bool,
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
    pub(crate) ended: EndedMessages,
    /// They wait for the end of their people's quiet hours.
    pub(crate) postponed: i64,
    /// Whether the account could not send at the last try. Then the page is a single message, to
    /// test it.
    pub(crate) held: bool,
    /// The messages to send, the most urgent first.
    pub(crate) messages: Vec<Claimed<Draft>>,
}

impl MessagePage {
    /// Whether the outbox had nothing that could be claimed.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.ended.ids.is_empty() && self.postponed == 0
    }
}

/// How a page is claimed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClaimLimits {
    /// The messages of this channel.
    pub(crate) channel: Channel,
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
    /// Each message leaves in a mail of its own.
    pub(crate) alone: bool,
}

/// Locks the messages of a page, and reads the contacts view for them, with the settings of the
/// user's database. One round trip, and another one where digests are among them. `first` is set
/// to the first message that was locked, also if the view cannot be read.
pub(crate) async fn lock_candidates(
    transaction: &Transaction,
    limits: &ClaimLimits,
    first: &mut Option<Uuid>,
) -> Result<Candidates> {
    let parameters = [
        (&limits.channel.as_str() as _, Type::TEXT),
        (&limits.messages as _, Type::INT8),
        (&limits.rate as _, Type::FLOAT8),
        (&limits.page.as_secs_f64() as _, Type::FLOAT8),
        (&limits.single as _, Type::UUID),
        (&limits.as_of as _, Type::TIMESTAMPTZ),
        (&limits.alone as _, Type::BOOL),
    ];
    let limit = CONTACTS_TIMEOUT.min(transaction.statement_timeout());
    let (channel, candidates, contacts) = future::join3(
        lock_channel(transaction, limits.channel),
        transaction.query(&CANDIDATES, &parameters),
        transaction.query_with_their_settings(limit, CONTACTS, &contact_limits(&ALL_GUESTS)),
    )
    .await;
    channel?;
    let candidates = candidates?;
    let figures = candidates.first();
    *first = figures.and_then(|row| row.get("first_id"));
    let is_known = figures.map(|row| row.get("is_liveness_known"));
    let liveness = Liveness::of(is_known.unwrap_or_default());
    let by_id = |row: Row| (row.get::<_, Uuid>("id"), row);
    let mut contacts: BTreeMap<_, _> = contacts?.into_iter().map(by_id).collect();
    let ids: Option<Vec<Uuid>> = figures.and_then(|row| row.get("digests"));
    let digests = match ids.is_some() && liveness != Liveness::Unknown {
        true => read_digests(transaction, liveness, limits.as_of).await?,
        false => HashMap::new(),
    };
    // Those that do not fit into the page stay as they are.
    for id in ids.iter().flatten().filter(|id| !digests.contains_key(id)) {
        contacts.remove(id);
    }
    let has_notices = figures.map(|row| row.get("has_notices"));
    Ok(Candidates {
        liveness,
        has_notices: has_notices.unwrap_or_default(),
        contacts,
        digests,
    })
}

/// The locked messages of a page: each with its row of [`CONTACTS`].
#[derive(Debug)]
pub(crate) struct Candidates {
    liveness: Liveness,
    /// Some are notices or digests.
    has_notices: bool,
    contacts: BTreeMap<Uuid, Row>,
    digests: HashMap<Uuid, DigestFacts>,
}

/// A candidate: its recipient's address, a hash of what it tells, the end of its day, and the
/// view's own name of the recipient.
struct Candidate {
    email: Option<String>,
    facts: Vec<u8>,
    last_start: Option<DateTime<Utc>>,
    person_id: Option<String>,
}

impl Candidates {
    fn candidate(&self, id: &Uuid, contact: &Row) -> Candidate {
        let digest = self.digests.get(id);
        let email = match digest {
            Some(digest) => digest.recipient().map(|recipient| recipient.email),
            None => contact.get("email"),
        };
        let told = digest.map_or_else(|| told_facts(contact), DigestFacts::told);
        Candidate {
            email: email.as_deref().map(as_sent_to),
            facts: Sha256::digest(told.to_string()).to_vec(),
            last_start: digest.and_then(|digest| digest.last_start),
            person_id: match digest {
                Some(digest) => digest.person_id.clone(),
                None => named_person(contact),
            },
        }
    }
}

/// Claims the candidates that are still due. The caller commits before anything is sent. One round
/// trip.
pub(crate) async fn claim_page(
    transaction: &Transaction,
    limits: &ClaimLimits,
    candidates: &Candidates,
) -> Result<MessagePage> {
    let ids: Vec<_> = candidates.contacts.keys().collect();
    let contacts = candidates.contacts.iter();
    let (mut emails, mut facts, mut last_starts) = (Vec::new(), Vec::new(), Vec::new());
    let mut people = Vec::new();
    for candidate in contacts.map(|(id, contact)| candidates.candidate(id, contact)) {
        emails.push(candidate.email);
        facts.push(candidate.facts);
        last_starts.push(candidate.last_start);
        people.push(candidate.person_id);
    }
    let guests = Guests::of(&candidates.contacts);
    let parameters = [
        (&limits.channel.as_str() as _, Type::TEXT),
        (&limits.rate as _, Type::FLOAT8),
        (&limits.page.as_secs_f64() as _, Type::FLOAT8),
        (&limits.lease.as_secs_f64() as _, Type::FLOAT8),
        (&limits.unknown_wait.as_secs_f64() as _, Type::FLOAT8),
        (&limits.as_of as _, Type::TIMESTAMPTZ),
        (&MAX_ATTEMPTS as _, Type::INT4),
        (&ids as _, Type::UUID_ARRAY),
        (&emails as _, Type::TEXT_ARRAY),
        (&facts as _, Type::BYTEA_ARRAY),
        (&last_starts as _, Type::TIMESTAMPTZ_ARRAY),
        (&people as _, Type::TEXT_ARRAY),
        (&guests.messages as _, Type::UUID_ARRAY),
        (&guests.recipients as _, Type::TEXT_ARRAY),
        (&guests.people as _, Type::UUID_ARRAY),
    ];
    let sql = claim_sql(candidates.liveness, candidates.has_notices);
    let rows = transaction.query(&sql, &parameters).await?;
    Ok(page_of(&rows, candidates))
}

fn page_of(rows: &[Row], candidates: &Candidates) -> MessagePage {
    // The statement always has a row if the channel has its own.
    let Some(first) = rows.first() else {
        return MessagePage {
            is_without_channel: true,
            ..MessagePage::default()
        };
    };
    MessagePage {
        free_in: Duration::try_from_secs_f64(first.get("free_in")).unwrap_or_default(),
        is_without_channel: false,
        room: first.get("room"),
        ended: EndedMessages {
            skipped: first.get("skipped"),
            failed: first.get("failed"),
            settled: first.get("settled"),
            ids: first.get("ended"),
        },
        postponed: first.get("postponed"),
        held: first.get("held"),
        messages: messages_of(rows, candidates),
    }
}

/// The messages of a page. Who leads precedes those that leave in the same mail.
fn messages_of(rows: &[Row], candidates: &Candidates) -> Vec<Claimed<Draft>> {
    let mut messages: Vec<Claimed<Draft>> = Vec::new();
    let mut places: HashMap<Uuid, usize> = HashMap::new();
    for row in rows {
        let Some(message) = claimed_message(row, candidates) else {
            continue;
        };
        match places.get(&row.get::<_, Uuid>("leader")) {
            Some(place) => add_member(&mut messages[*place], message),
            None => {
                places.insert(message.id, messages.len());
                messages.push(message);
            }
        }
    }
    messages
}

/// Waits for other transactions that claim.
async fn lock_channel(transaction: &Transaction, channel: Channel) -> Result<()> {
    let sql = "SELECT FROM public.booking_automation_channels WHERE channel = $1 FOR UPDATE";
    transaction
        .execute(sql, &[(&channel.as_str(), Type::TEXT)])
        .await?;
    Ok(())
}

/// `None`: a page without messages, which is one row without an id.
fn claimed_message(row: &Row, candidates: &Candidates) -> Option<Claimed<Draft>> {
    let id: Uuid = row.get::<_, Option<Uuid>>("id")?;
    let contact = candidates.contacts.get(&id)?;
    let (kind, facts) = match candidates.digests.get(&id) {
        Some(digest) => (Kind::Digest(digest.day.clone()), digest.recipient()?),
        None => (kind_of(row.get("notice")), facts_of_booking(row, contact)),
    };
    Some(Claimed {
        id,
        claim: row.get("claim"),
        members: Vec::new(),
        attempt: row.get("attempts"),
        content: Draft {
            kind,
            person_id: row.get("person_id"),
            asks_attendance: row.get("asks_attendance"),
            tests_account: row.get("held"),
            facts,
        },
    })
}

/// Lets another message leave in the same mail.
fn add_member(claimed: &mut Claimed<Draft>, member: Claimed<Draft>) {
    claimed.members.push((member.id, member.claim));
    let Draft { kind, facts, .. } = &mut claimed.content;
    if let Kind::Reminder = kind {
        *kind = Kind::GroupedReminder(DayFacts {
            date: day_of(facts),
            bookings: vec![facts.clone()],
            others: 0,
        });
    }
    if let Kind::GroupedReminder(day) = kind {
        // An answer cannot go to several.
        if member.content.facts.reply_to != facts.reply_to {
            facts.reply_to = None;
        }
        day.bookings.push(member.content.facts);
    }
}

fn facts_of_booking(row: &Row, contact: &Row) -> BookingFacts {
    let left: Option<f64> = row.get("seconds_left");
    let (booking_id, audience) = (row.get("booking_id"), row.get("audience"));
    BookingFacts {
        starts_in: Duration::try_from_secs_f64(left.unwrap_or_default()).unwrap_or_default(),
        is_guest: row.get("is_guest"),
        duration_minutes: row.get("duration_minutes"),
        timezone: own_or(row, contact, "timezone"),
        language: own_or(row, contact, "language"),
        sequence: row.get::<_, Option<i64>>("sequence").unwrap_or_default(),
        told_at: row.get("as_of"),
        ..contact_facts(contact, booking_id, audience, row.get("starts_at"))
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

/// The backlog, and how many of it can be claimed now, from a row of
/// [`crate::delivery::claim_sql::WAITING`].
pub(crate) fn waiting_of_row(row: &Row) -> (Backlog, i64) {
    let backlog = Backlog {
        pending: row.get("pending"),
        more: row.get("more_pending"),
        oldest_due_at: row.get("oldest_due_at"),
    };
    (backlog, row.get("claimable"))
}
