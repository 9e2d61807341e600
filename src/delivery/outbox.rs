//! The outbox of reminders and notices: claim a page, hold the channel, count what waits.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::lifecycle::Role;
use crate::channels::Channel;
use crate::database::owner_functions::Liveness;
use crate::database::{Result, Transaction};
use crate::delivery::candidates::{Candidates, ClaimLimits};
use crate::delivery::claim_sql::claim_sql;
use crate::delivery::engine::Claimed;
use crate::delivery::figures::Backlog;
use crate::delivery::guests::Guests;
use crate::delivery::recipients::{contact_facts, own_or};
use crate::delivery::tally::EndedMessages;
use crate::messages::Kind;
use crate::messages::facts::{BookingFacts, Canceller, DayFacts};
use crate::messages::grouped_reminder::day_of;
use crate::reminders::Reason;
use crate::reminders::notices::NoticeEvent;

/// Attempts at one message, at most.
pub(crate) const MAX_ATTEMPTS: i32 = 5;

/// A message that is not written yet.
#[derive(Clone)]
pub(crate) struct Draft {
    /// Of a notice, with the facts that only it has.
    pub(crate) kind: Kind,
    /// The name by which the choices of the recipient are found; `None`: it is not known.
    pub(crate) person_id: Option<String>,
    /// Whether it asks the customer whether they will come.
    pub(crate) asks_attendance: bool,
    /// Whether it tests an account that could not send at the last try.
    pub(crate) tests_account: bool,
    /// Where it goes: a mail address, a phone number, or a person with devices.
    pub(crate) address: String,
    /// The start after which it is of no use, of a digest that of the day's last booking; `None`:
    /// it is about none that lies ahead.
    pub(crate) start: Option<DateTime<Utc>>,
    /// The moment that decided about it, by the database clock unless a call has one of its own.
    pub(crate) at: DateTime<Utc>,
    /// Our clock at that moment, or a little before.
    pub(crate) read_at: Instant,
    /// The devices of a push message.
    pub(crate) tokens: Vec<String>,
    /// What it says, and to whom.
    pub(crate) facts: BookingFacts,
}

impl Draft {
    /// How long until the start after which it is of no use; `None`: there is none.
    pub(crate) fn starts_in(&self) -> Option<Duration> {
        let now = self.at + self.read_at.elapsed();
        let left = self.start? - now;
        Some(left.to_std().unwrap_or_default())
    }
}

/// Neither the address nor the devices.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("kind", &self.kind.name())
            .field("booking_id", &self.facts.booking_id)
            .field("devices", &self.tokens.len())
            .finish_non_exhaustive()
    }
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
    /// They are to go by the next channel of their chain.
    pub(crate) moved_on: i64,
    /// Whether the account could not send at the last try. Then the page is a single message, to
    /// test it.
    pub(crate) held: bool,
    /// The messages to send, the most urgent first.
    pub(crate) messages: Vec<Claimed<Draft>>,
}

impl MessagePage {
    /// Nothing is there to be claimed.
    fn none() -> Self {
        Self {
            room: 1.0,
            ..Self::default()
        }
    }

    /// Whether the outbox had nothing that could be claimed.
    pub(crate) fn is_empty(&self) -> bool {
        let others = self.postponed + self.moved_on;
        self.messages.is_empty() && self.ended.ids.is_empty() && others == 0
    }
}

/// Claims the candidates that are still due. The caller commits before anything is sent. One round
/// trip.
pub(crate) async fn claim_page(
    transaction: &Transaction,
    limits: &ClaimLimits,
    candidates: &Candidates,
) -> Result<MessagePage> {
    // Before `migrate`, there is mail alone.
    if limits.channel != Channel::Email && candidates.liveness == Liveness::Unknown {
        return Ok(MessagePage::none());
    }
    let ids: Vec<_> = candidates.contacts.keys().collect();
    let contacts = candidates.contacts.iter();
    let (mut addresses, mut facts, mut last_starts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut people, mut sms_allowed, mut unusable) = (Vec::new(), Vec::new(), Vec::new());
    let candidate = |(id, contact)| candidates.candidate(id, contact, limits);
    for candidate in contacts.map(candidate) {
        addresses.push(candidate.address);
        sms_allowed.push(candidate.sms_allowed);
        unusable.push(candidate.unusable.map(Reason::as_str));
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
        (&addresses as _, Type::TEXT_ARRAY),
        (&facts as _, Type::BYTEA_ARRAY),
        (&last_starts as _, Type::TIMESTAMPTZ_ARRAY),
        (&people as _, Type::TEXT_ARRAY),
        (&guests.messages as _, Type::UUID_ARRAY),
        (&guests.recipients as _, Type::TEXT_ARRAY),
        (&guests.people as _, Type::UUID_ARRAY),
        (&sms_allowed as _, Type::BOOL_ARRAY),
        (&unusable as _, Type::TEXT_ARRAY),
        (&limits.per_person as _, Type::INT8),
    ];
    let sql = claim_sql(candidates.liveness, limits.channel, candidates.has_notices);
    // Before the statement reads the clock: what counts from here is never behind it.
    let read_at = Instant::now();
    let rows = transaction.query(&sql, &parameters).await?;
    Ok(page_of(&rows, candidates, read_at))
}

fn page_of(rows: &[Row], candidates: &Candidates, read_at: Instant) -> MessagePage {
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
        moved_on: first.get("moved_on"),
        held: first.get("held"),
        messages: messages_of(rows, candidates, read_at),
    }
}

/// The messages of a page. Who leads precedes those that leave in the same mail.
fn messages_of(rows: &[Row], candidates: &Candidates, read_at: Instant) -> Vec<Claimed<Draft>> {
    let mut messages: Vec<Claimed<Draft>> = Vec::new();
    let mut places: HashMap<Uuid, usize> = HashMap::new();
    for row in rows {
        let Some(message) = claimed_message(row, candidates, read_at) else {
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

/// `None`: a page without messages, which is one row without an id.
fn claimed_message(row: &Row, candidates: &Candidates, read_at: Instant) -> Option<Claimed<Draft>> {
    let id: Uuid = row.get::<_, Option<Uuid>>("id")?;
    let contact = candidates.contacts.get(&id)?;
    let (kind, facts) = match candidates.digests.get(&id) {
        Some(digest) => (Kind::Digest(digest.day.clone()), digest.recipient()?),
        None => (kind_of(row.get("notice")), facts_of_booking(row, contact)),
    };
    let is_about_start = !matches!(kind, Kind::Expired | Kind::FollowUp);
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
            address: row.get("address"),
            start: is_about_start.then(|| row.get("starts_at")),
            at: row.get("as_of"),
            read_at,
            tokens: row
                .get::<_, Option<Vec<String>>>("tokens")
                .unwrap_or_default(),
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use chrono::{DateTime, Utc};

    use super::Draft;
    use crate::messages::Kind;
    use crate::messages::samples::sample_facts;

    const NOON: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");

    fn draft() -> Draft {
        Draft {
            kind: Kind::Reminder,
            person_id: Some("carla".to_owned()),
            asks_attendance: false,
            tests_account: false,
            address: "carla@a.example".to_owned(),
            start: Some(NOON + Duration::from_secs(60)),
            at: NOON,
            read_at: Instant::now(),
            tokens: vec!["device-of-carla".to_owned()],
            facts: sample_facts("customer", "en"),
        }
    }

    #[test]
    fn the_time_until_the_start_goes_on_after_the_message_was_read() {
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds));
        for (seconds, left) in [(0, 60), (10, 50), (70, 0)] {
            let read_at = ago(seconds).expect("this computer runs for longer");
            let starts_in = Draft { read_at, ..draft() }.starts_in();
            let starts_in = starts_in.expect("it starts");
            let most = Duration::from_secs(left);
            assert!(starts_in <= most, "{starts_in:?}");
            assert!(starts_in + Duration::from_secs(5) > most, "{starts_in:?}");
        }
        let start = None;
        assert_eq!(Draft { start, ..draft() }.starts_in(), None);
    }

    #[test]
    fn no_address_and_no_device_is_printed() {
        let printed = format!("{:?}", draft());
        assert!(printed.contains("Draft"), "{printed}");
        assert!(
            !printed.contains("carla") && !printed.contains('@'),
            "{printed}"
        );
    }
}
