//! The outbox's statements: claim a page, record its outcomes, make the flags good, count what waits.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::{Parameter, Result, Transaction};
use crate::messages::reminder::Reminder;
use crate::tick::summary::Backlog;

/// Attempts at one message, at most.
pub(crate) const MAX_ATTEMPTS: i32 = 5;

/// The channel of everything that is sent so far.
const CHANNEL: &str = "email";

/// For the transaction of a claim: the page is the head of an index. The planner, whose statistics are older than what
/// waits, would collect the whole backlog in a bitmap and sort it, for every page anew.
pub(crate) const IN_INDEX_ORDER: &str = "SET LOCAL enable_bitmapscan = off";

const CLAIM: &str = include_str!("claim.sql");
const RECORD: &str = include_str!("record.sql");
const FLAGS: &str = include_str!("flags.sql");

/// How many reminders wait, how many of those can be claimed now, and since when the oldest was due.
/// Leases and back-off run on the real clock. Messages to webhooks speak of no start.
pub(crate) const WAITING: &str = "SELECT count(*) AS pending,
           count(*) FILTER (WHERE next_attempt_at <= clock_timestamp()) AS claimable,
           min(scheduled_at) FILTER (WHERE isfinite(scheduled_at)) AS oldest_due_at
      FROM booking_automation_events
     WHERE status IN ('pending', 'sending') AND next_attempt_at IS NOT NULL AND starts_at IS NOT NULL";

/// One claimed message.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    /// The event: the message's tag at the provider.
    pub(crate) id: Uuid,
    /// The fencing token.
    pub(crate) claim: i64,
    /// Which attempt this is, from 1.
    pub(crate) attempt: i32,
    /// What it says, to whom.
    pub(crate) reminder: Reminder,
}

/// A claimed page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    /// When the first message may leave, from the moment of the claim on.
    pub(crate) free_in: Duration,
    /// What the send rate had room for; zero: others have taken it all.
    pub(crate) room: f64,
    /// Found not to be due any more.
    pub(crate) skipped: i64,
    /// Tried often enough.
    pub(crate) failed: i64,
    /// Sent by an earlier attempt, as the provider's events say.
    pub(crate) settled: i64,
    /// The events of all three.
    pub(crate) ended: Vec<Uuid>,
    /// Whether the account could not send when it was last tried: then the page is one message, to find out.
    pub(crate) held: bool,
    /// To be sent, the most urgent first.
    pub(crate) messages: Vec<Claimed>,
}

impl Page {
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
    /// What can leave within this time.
    pub(crate) page: Duration,
    /// How long it keeps others away.
    pub(crate) lease: Duration,
    /// How long an unknown outcome waits for the provider's own event.
    pub(crate) unknown_wait: Duration,
    /// The moment to judge by; `None`: the clock.
    pub(crate) as_of: Option<DateTime<Utc>>,
}

/// Claims a page. The caller commits before anything is sent. One round trip.
pub(crate) async fn claim(transaction: &Transaction, limits: &ClaimLimits) -> Result<Page> {
    let parameters = [
        (&CHANNEL as _, Type::TEXT),
        (&limits.messages as _, Type::INT8),
        (&limits.rate as _, Type::FLOAT8),
        (&limits.page.as_secs_f64() as _, Type::FLOAT8),
        (&limits.lease.as_secs_f64() as _, Type::FLOAT8),
        (&limits.unknown_wait.as_secs_f64() as _, Type::FLOAT8),
        (&limits.as_of as _, Type::TIMESTAMPTZ),
        (&MAX_ATTEMPTS as _, Type::INT4),
    ];
    let (locked, rows) = future::join(lock_channel(transaction), transaction.query(CLAIM, &parameters)).await;
    locked?;
    let rows = rows?;
    let Some(first) = rows.first() else { return Ok(Page::default()) };
    Ok(Page {
        free_in: Duration::try_from_secs_f64(first.get(0)).unwrap_or_default(),
        room: first.get(1),
        skipped: first.get(2),
        failed: first.get(3),
        settled: first.get(4),
        ended: first.get(5),
        held: first.get(24),
        messages: rows.iter().filter_map(claimed).collect(),
    })
}

/// Waits for those who claim or settle.
pub(crate) async fn lock_channel(transaction: &Transaction) -> Result<()> {
    let sql = "SELECT FROM booking_automation_channels WHERE channel = $1 FOR UPDATE";
    transaction.execute(sql, &[(&CHANNEL, Type::TEXT)]).await?;
    Ok(())
}

fn claimed(row: &Row) -> Option<Claimed> {
    let id: Option<Uuid> = row.get(6);
    Some(Claimed {
        id: id?,
        claim: row.get(8),
        attempt: row.get(9),
        reminder: Reminder {
            booking_id: row.get(7),
            audience: row.get(11),
            starts_at: row.get(12),
            email: row.get(13),
            name: row.get(14),
            timezone: row.get(15),
            service: row.get(16),
            with_name: row.get(17),
            place: row.get(18),
            meeting_link: row.get(19),
            is_online: row.get::<_, Option<bool>>(20).unwrap_or_default(),
            place_timezone: row.get(21),
            starts_in: Duration::try_from_secs_f64(row.get(22)).unwrap_or_default(),
            duration_minutes: row.get(23),
        },
    })
}

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The provider took it, under this id.
    Sent { message_id: String },
    /// It was not sent and may be tried again.
    NotSent { reason: &'static str, error: String },
    /// It was not sent and never will be.
    Rejected { reason: &'static str, error: String },
    /// Nobody knows.
    Unknown { error: String },
    /// The account cannot send now: nothing is wrong with the message, and no attempt is used up.
    AccountWide { reason: &'static str, error: String },
    /// No request left: past the page's time or the call's. No attempt is used up.
    Deferred,
}

/// The outcomes of a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcomes {
    /// What they say of the account, where they say anything: why it cannot send, or that it can.
    pub(crate) account: Option<std::result::Result<(), &'static str>>,
    ids: Vec<Uuid>,
    claims: Vec<i64>,
    outcomes: Vec<&'static str>,
    reasons: Vec<Option<&'static str>>,
    errors: Vec<Option<String>>,
    message_ids: Vec<Option<String>>,
    waits: Vec<f64>,
}

impl Outcomes {
    /// Adds one. `wait` is how long to wait before the next attempt, where there is to be one.
    pub(crate) fn push(&mut self, id: Uuid, claim: i64, outcome: &Outcome, wait: Duration) {
        let (name, reason, error, message_id) = match outcome.clone() {
            Outcome::Sent { message_id } => ("completed", None, None, Some(message_id)),
            Outcome::NotSent { reason, error } => ("pending", Some(reason), Some(error), None),
            Outcome::Rejected { reason, error } => ("failed", Some(reason), Some(error), None),
            Outcome::Unknown { error } => ("pending", Some("unknown"), Some(error), None),
            Outcome::AccountWide { reason, error } => ("released", Some(reason), Some(error), None),
            Outcome::Deferred => ("released", None, None, None),
        };
        match outcome {
            Outcome::AccountWide { reason, .. } => self.account = Some(Err(reason)),
            // SES looked at the message itself.
            Outcome::Sent { .. } | Outcome::Rejected { reason: "rejected", .. } if self.account.is_none() => {
                self.account = Some(Ok(()));
            }
            _ => {}
        }
        self.ids.push(id);
        self.claims.push(claim);
        self.outcomes.push(name);
        self.reasons.push(reason);
        self.errors.push(error);
        self.message_ids.push(message_id);
        self.waits.push(wait.as_secs_f64());
    }

    /// What the provider took: events and its message ids.
    pub(crate) fn sent(&self) -> impl Iterator<Item = (Uuid, &str)> {
        self.ids.iter().zip(&self.message_ids).filter_map(|(id, message_id)| Some((*id, message_id.as_deref()?)))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// Records outcomes, fenced. Returns the events that were recorded, each with whether it is final; one
/// that is absent was stale: somebody else has claimed it since.
pub(crate) async fn record(
    transaction: &Transaction,
    outcomes: &Outcomes,
    as_of: Option<DateTime<Utc>>,
) -> Result<Vec<(Uuid, String)>> {
    // In a statement of its own: what the provider's events say of them is seen then.
    let lock = "SELECT FROM booking_automation_events WHERE id = ANY ($1) ORDER BY id FOR UPDATE";
    let parameters: [Parameter<'_>; 9] = [
        (&outcomes.ids, Type::UUID_ARRAY),
        (&outcomes.claims, Type::INT8_ARRAY),
        (&outcomes.outcomes, Type::TEXT_ARRAY),
        (&outcomes.reasons, Type::TEXT_ARRAY),
        (&outcomes.errors, Type::TEXT_ARRAY),
        (&outcomes.message_ids, Type::TEXT_ARRAY),
        (&outcomes.waits, Type::FLOAT8_ARRAY),
        (&as_of, Type::TIMESTAMPTZ),
        (&MAX_ATTEMPTS, Type::INT4),
    ];
    let (locked, rows) =
        future::join(transaction.execute(lock, &parameters[..1]), transaction.query(RECORD, &parameters)).await;
    locked?;
    let rows = rows?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Holds the channel back, with a reason, or lets it go.
pub(crate) async fn hold(transaction: &Transaction, reason: Option<&str>) -> Result<()> {
    let sql = "UPDATE booking_automation_channels
                  SET held_reason = $2, held_since = CASE WHEN $2 IS NOT NULL THEN coalesce(held_since, clock_timestamp()) END
                WHERE channel = $1 AND held_reason IS DISTINCT FROM $2";
    transaction.execute(sql, &[(&CHANNEL, Type::TEXT), (&reason, Type::TEXT)]).await?;
    Ok(())
}

/// Counts a failed attempt against the first message that could be claimed: its booking's row of the view
/// cannot be read. Backs off as after any other attempt. What the view has no part in is as in a claim: a lease that ran out
/// is put on record, and what the provider told of an earlier attempt settles it. Returns the event and its new status.
pub(crate) async fn set_aside(
    transaction: &Transaction,
    error: &str,
    back_off: Duration,
    as_of: Option<DateTime<Utc>>,
) -> Result<Vec<(Uuid, String)>> {
    let sql = "
        WITH first AS (
            SELECT id, least(1 << attempts, 8) * make_interval(secs => $4) AS wait
              FROM booking_automation_events
             WHERE status IN ('pending', 'sending') AND event_type = 'reminder_sent' AND starts_at IS NOT NULL
               AND next_attempt_at <= clock_timestamp()
             ORDER BY starts_at, seq LIMIT 1 FOR UPDATE SKIP LOCKED
        ), told AS (
            SELECT e.id, first.wait, clock_timestamp() AS at, coalesce($2, clock_timestamp()) AS as_of,
                   (SELECT (array_agg(f.message_id ORDER BY f.id))[1] FROM booking_automation_feedback f WHERE f.event_id = e.id) AS settled_by
              FROM first JOIN booking_automation_events e ON e.id = first.id
        ), judged AS (
            SELECT t.*,
                   CASE WHEN t.settled_by IS NOT NULL THEN 'completed'
                        WHEN e.attempts + 1 >= $3 OR e.starts_at <= t.as_of + t.wait THEN 'failed'
                        ELSE 'pending' END AS status,
                   CASE WHEN t.settled_by IS NOT NULL
                        THEN jsonb_build_object('attempt', e.attempts, 'at', t.at, 'outcome', 'sent', 'message_id', t.settled_by, 'settled_by', true)
                        WHEN e.status = 'sending'
                        THEN jsonb_build_object('attempt', e.attempts, 'outcome', 'unknown', 'error', 'the lease ran out') END AS attempt
              FROM told t JOIN booking_automation_events e ON e.id = t.id
        )
        UPDATE booking_automation_events e
           SET status = j.status, message_id = coalesce(j.settled_by, e.message_id),
               attempts = CASE WHEN j.status = 'completed' THEN e.attempts ELSE least(e.attempts + 1, $3) END, claim = e.claim + 1,
               reason = CASE WHEN j.status <> 'completed' THEN 'contacts' END,
               error_message = CASE WHEN j.status <> 'completed' THEN $1 END,
               flag_due = j.status = 'completed' AND booking_automation_has_flag(e.rule, e.audience),
               event_data = CASE WHEN j.attempt IS NULL THEN e.event_data
                   ELSE jsonb_set(coalesce(e.event_data, '{}'), '{attempts}', coalesce(e.event_data -> 'attempts', '[]') || j.attempt) END,
               lease_until = NULL,
               next_attempt_at = CASE WHEN j.status = 'pending' THEN j.at + j.wait END,
               executed_at = CASE WHEN j.status <> 'pending' THEN j.as_of END
          FROM judged j
         WHERE e.id = j.id
        RETURNING e.id, e.status";
    let parameters = [
        (&error as _, Type::TEXT),
        (&as_of as _, Type::TIMESTAMPTZ),
        (&MAX_ATTEMPTS as _, Type::INT4),
        (&back_off.as_secs_f64() as _, Type::FLOAT8),
    ];
    // The provider's word is written under the channel's lock: it is there before this reads, or finds the row as this left it.
    let (locked, rows) = future::join(lock_channel(transaction), transaction.query(sql, &parameters)).await;
    locked?;
    Ok(rows?.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Makes up to `limit` flags good. Returns how many are settled.
pub(crate) async fn project_flags(transaction: &Transaction, limit: i64, only: Option<&[Uuid]>) -> Result<u64> {
    transaction.execute(FLAGS, &[(&limit, Type::INT8), (&only, Type::UUID_ARRAY)]).await
}

/// Bookings whose flags are behind.
pub(crate) async fn flags_due(transaction: &Transaction, limit: i64) -> Result<Vec<Uuid>> {
    let sql = "SELECT DISTINCT booking_id FROM (
                   SELECT booking_id FROM booking_automation_events WHERE flag_due ORDER BY seq LIMIT $1) AS due";
    let rows = transaction.query(sql, &[(&limit, Type::INT8)]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Lets a booking's flags be: the user's database refuses them. The event says so.
pub(crate) async fn give_up_flags(transaction: &Transaction, booking_id: Uuid, error: &str) -> Result<()> {
    let sql = "UPDATE booking_automation_events
                  SET flag_due = false, event_data = coalesce(event_data, '{}') || jsonb_build_object('flag_error', $2)
                WHERE booking_id = $1 AND flag_due";
    transaction.execute(sql, &[(&booking_id, Type::UUID), (&error, Type::TEXT)]).await?;
    Ok(())
}

/// What waits, from a row of [`WAITING`] at `position`: the backlog, and how many can be claimed now.
pub(crate) fn waiting(row: &Row, position: usize) -> (Backlog, i64) {
    let backlog = Backlog { pending: row.get(position), oldest_due_at: row.get(position + 2) };
    (backlog, row.get(position + 1))
}
