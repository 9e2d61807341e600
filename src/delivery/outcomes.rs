//! The outcomes of a page, and their record.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::future;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::channels::Outcome;
use crate::channels::timing::Timing;
use crate::database::{DatabaseError, Parameter, Result, Transaction};
use crate::delivery::claim_sql::with_conditions;
use crate::delivery::event::EventStatus;
use crate::primitives::errors::in_ascii;
use crate::reminders::Reason;

static RECORD: LazyLock<String> =
    LazyLock::new(|| record_sql(NEXT_CHANNEL, SET_VIA, MOVED_ON, &format!(", {FORGET_SMS}")));
/// Where there are no chains.
static RECORD_ALONE: LazyLock<String> = LazyLock::new(|| record_sql("NULL::text", "", "", ""));
/// SQL of the channel that follows that of the message `e` in its chain.
const NEXT_CHANNEL: &str = "public.booking_automation_next_channel(e.channel, \
    coalesce(e.via, split_part(e.channel, '>', 1)))";
/// SQL that sets it. The message leaves the mail of another one.
const SET_VIA: &str = "via = coalesce(j.next_channel, e.via), \
    led_by = CASE WHEN NOT j.moves_on THEN e.led_by END, \
    led_attempt = CASE WHEN NOT j.moves_on THEN e.led_attempt END,";
const MOVED_ON: &str = "WHEN j.moves_on THEN public.booking_automation_moved_on( \
    public.booking_automation_with_attempt(e.event_data, j.attempt), \
    coalesce(e.via, split_part(e.channel, '>', 1)), j.reason, j.at)";

/// SMS that did not leave, at this attempt or an earlier one, do not count toward the limit of a
/// person's messages in a day.
const FORGET_SMS: &str = "unsent AS (
    DELETE FROM public.booking_automation_sms m
     USING final j
      JOIN public.booking_automation_events e ON e.id = j.id
     WHERE m.event_id = j.id AND e.status = 'sending' AND e.claim = j.claim
       AND j.outcome <> 'completed' AND j.reason IS DISTINCT FROM 'unknown'
       AND (e.event_data @> '{\"attempts\": [{\"outcome\": \"unknown\"}]}') IS NOT TRUE
)";

fn record_sql(next_channel: &str, set_via: &str, moved_on: &str, unsent: &str) -> String {
    with_conditions(include_str!("record.sql"))
        .replace("{unsent}", unsent)
        .replace("{next_channel}", next_channel)
        .replace("{set_via}", set_via)
        .replace("{moved_on}", moved_on)
}

/// The statements, for the test that prepares them all.
pub(crate) fn statements() -> [(&'static str, String); 2] {
    [
        ("record", RECORD.clone()),
        ("record without chains", RECORD_ALONE.clone()),
    ]
}

/// The outcomes of a page, as [`record_outcomes`] takes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageOutcomes {
    /// What they show about the account, if anything: why it cannot send, or that it can.
    pub(crate) account: Option<std::result::Result<(), Reason>>,
    ids: Vec<Uuid>,
    claims: Vec<i64>,
    outcomes: Vec<&'static str>,
    reasons: Vec<Option<&'static str>>,
    errors: Vec<Option<String>>,
    message_ids: Vec<Option<String>>,
    parts: Vec<Option<i32>>,
    waits: Vec<f64>,
    zones_unknown: Vec<bool>,
}

impl PageOutcomes {
    /// With texts that a database of any encoding can store.
    pub(crate) fn in_ascii(&self) -> Self {
        let ascii = |text: &Option<String>| text.as_deref().map(in_ascii);
        Self {
            errors: self.errors.iter().map(ascii).collect(),
            message_ids: self.message_ids.iter().map(ascii).collect(),
            ..self.clone()
        }
    }

    /// Adds the outcome of one request: of these events, with their fencing tokens. `wait` is the
    /// time until the next attempt, if there is one.
    pub(crate) fn push(
        &mut self,
        events: impl Iterator<Item = (Uuid, i64)>,
        outcome: &Outcome,
        wait: Duration,
        is_zone_unknown: bool,
    ) {
        let (name, reason, error, message_id) = match outcome.clone() {
            Outcome::Sent { message_id, .. } => ("completed", None, None, message_id),
            Outcome::NotSent { reason, error } => ("pending", Some(reason), Some(error), None),
            Outcome::Rejected { reason, error } => ("failed", Some(reason), Some(error), None),
            Outcome::Unknown { error } => ("pending", Some(Reason::Unknown), Some(error), None),
            Outcome::AccountWide { reason, error } => ("released", Some(reason), Some(error), None),
            Outcome::Deferred => ("released", None, None, None),
        };
        match outcome {
            Outcome::AccountWide { reason, .. } => self.account = Some(Err(*reason)),
            // The provider processed the message itself.
            Outcome::Sent { .. }
            | Outcome::Rejected {
                reason: Reason::Rejected,
                ..
            } if self.account.is_none() => {
                self.account = Some(Ok(()));
            }
            _ => {}
        }
        let parts = match outcome {
            Outcome::Sent { parts, .. } => *parts,
            _ => None,
        };
        for (id, claim) in events {
            self.ids.push(id);
            self.parts.push(parts);
            self.claims.push(claim);
            self.outcomes.push(name);
            self.reasons.push(reason.map(Reason::as_str));
            self.errors.push(error.clone());
            self.message_ids.push(message_id.clone());
            self.waits.push(wait.as_secs_f64());
            self.zones_unknown.push(is_zone_unknown);
        }
    }

    /// The accepted messages: events and the provider's message ids.
    pub(crate) fn sent(&self) -> impl Iterator<Item = (Uuid, &str)> {
        self.ids
            .iter()
            .zip(&self.message_ids)
            .filter_map(|(id, message_id)| Some((*id, message_id.as_deref()?)))
    }

    /// One of the events, for a line of the log: the first that is not among these.
    pub(crate) fn first_event(
        &self,
        recorded: &[RecordedOutcome],
    ) -> Option<tracing::field::DisplayValue<Uuid>> {
        let is_left = |id: &&Uuid| recorded.iter().all(|outcome| outcome.event_id != **id);
        self.ids
            .iter()
            .find(is_left)
            .copied()
            .map(tracing::field::display)
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

/// An event whose outcome was recorded, and its new status.
pub(crate) struct RecordedOutcome {
    pub(crate) event_id: Uuid,
    pub(crate) status: Option<EventStatus>,
    /// It goes by the next channel of its chain.
    pub(crate) moves_on: bool,
}

impl RecordedOutcome {
    /// From a row with the columns `id`, `status` and `moves_on`.
    pub(crate) fn of(row: &Row) -> Self {
        Self {
            event_id: row.get("id"),
            status: EventStatus::from_name(row.get("status")),
            moves_on: row.get("moves_on"),
        }
    }
}

/// Records outcomes, each fenced by its claim. An event that is missing from the result was stale:
/// another sender has claimed it since.
pub(crate) async fn record_outcomes(
    transaction: &Transaction,
    outcomes: &PageOutcomes,
    max_attempts: i32,
    as_of: Option<DateTime<Utc>>,
    has_chains: bool,
) -> Result<Vec<RecordedOutcome>> {
    // A separate statement, so that the next one sees the provider's events of these messages.
    let lock = "SELECT FROM public.booking_automation_events
                 WHERE id = ANY ($1) AND status = 'sending' ORDER BY id FOR UPDATE";
    let parameters: [Parameter<'_>; 11] = [
        (&outcomes.ids, Type::UUID_ARRAY),
        (&outcomes.claims, Type::INT8_ARRAY),
        (&outcomes.outcomes, Type::TEXT_ARRAY),
        (&outcomes.reasons, Type::TEXT_ARRAY),
        (&outcomes.errors, Type::TEXT_ARRAY),
        (&outcomes.message_ids, Type::TEXT_ARRAY),
        (&outcomes.waits, Type::FLOAT8_ARRAY),
        (&as_of, Type::TIMESTAMPTZ),
        (&max_attempts, Type::INT4),
        (&outcomes.zones_unknown, Type::BOOL_ARRAY),
        (&outcomes.parts, Type::INT4_ARRAY),
    ];
    let (locked, rows) = future::join(
        transaction.execute(lock, &parameters[..1]),
        transaction.query(
            if has_chains { &RECORD } else { &RECORD_ALONE },
            &parameters,
        ),
    )
    .await;
    locked?;
    Ok(rows?.iter().map(RecordedOutcome::of).collect())
}

/// Further tries to record outcomes, until the call is over: a message whose outcome cannot be
/// recorded is sent again when its lease has run out.
pub(crate) struct RecordRetries {
    pause: Duration,
    longest: Duration,
    deadline: Instant,
}

impl RecordRetries {
    pub(crate) fn new(timing: &Timing, deadline: Instant) -> Self {
        let (pause, longest) = timing.record_pauses;
        Self {
            pause,
            longest,
            deadline,
        }
    }

    /// Waits after an error. Returns whether there is time for another try.
    pub(crate) async fn wait_after(
        &mut self,
        error: &DatabaseError,
        outcomes: &PageOutcomes,
    ) -> bool {
        if Instant::now() + self.pause >= self.deadline {
            for (event, message_id) in outcomes.sent() {
                tracing::error!(
                    event.id = %event,
                    message.id = message_id,
                    "sent, but the outcome could not be recorded: the message will be sent again"
                );
            }
            return false;
        }
        tracing::warn!(
            error = error.loggable(),
            outcomes.count = outcomes.len(),
            event.id = outcomes.first_event(&[]),
            "outcomes could not be recorded; trying again"
        );
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(self.longest);
        true
    }
}
