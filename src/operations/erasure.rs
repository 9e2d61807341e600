//! Erases what the audit trail says about a person. It keeps the fact that there were messages.
//!
//! Addresses and message texts are never stored. What identifies a person is the provider's message
//! id, the provider's feedback, and the reasons that the person gave for status changes. The keyed
//! digest of a suppressed address stays; otherwise the address would get mail again.
//!
//! A provider may have hundreds of thousands of messages, so they are erased in parts, each in a
//! transaction of its own. What is erased already is not found again: an erasure that was
//! interrupted goes on where it came to.

use std::collections::VecDeque;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::owner_functions;
use crate::database::{Result, Transaction};

/// Bookings of one part.
const BOOKINGS: usize = 1_000;
/// Messages of one part, at most: well below a second of work.
const MESSAGES: i64 = 5_000;
/// Bookings that are looked up at once: more than one call erases.
const LOOKED_UP: i64 = 100_000;

pub(crate) static ERASE_OWN: LazyLock<String> =
    LazyLock::new(|| with_messages(include_str!("erase_own.sql"), true));

/// SQL that erases a part.
pub(crate) fn erase_sql(is_migrated: bool) -> String {
    with_messages(include_str!("erasure.sql"), is_migrated)
}

fn left_sql(is_migrated: bool) -> String {
    with_messages(include_str!("erasure_left.sql"), is_migrated)
}

/// Erases the digests of the numbers to which the messages and the answers to replies went, of
/// numbers that replied, and of addresses that bounced.
const FORGET_DIGESTS: &str = ", numbers AS (
    DELETE FROM public.booking_automation_sms s USING forgotten WHERE s.event_id = forgotten.id
), addresses AS (
    DELETE FROM public.booking_automation_soft_bounces b
     USING forgotten WHERE b.event_id = forgotten.id
), replies AS (
    DELETE FROM public.booking_automation_sms_replies r
     USING forgotten WHERE r.event_id = forgotten.id RETURNING r.answer_id
), answers AS (
    DELETE FROM public.booking_automation_sms s USING replies WHERE s.event_id = replies.answer_id
)";

/// The messages about a booking that are its person's own: not those of guests. Before `migrate` of
/// 0.3.0 there are no guests, and no SMS.
fn with_messages(sql: &str, is_migrated: bool) -> String {
    let (is_first, forget_digests) = match is_migrated {
        true => ("e.recipient = ''", FORGET_DIGESTS),
        false => ("true", ""),
    };
    sql.replace("{forget_messages}", include_str!("forget_messages.sql"))
        .replace("{forget_digests}", forget_digests)
        .replace("{is_first}", is_first)
}

/// What was erased.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Erasure {
    person_id: String,
    /// The person's messages.
    messages: i64,
    /// Of those, messages that were waiting; they are not sent.
    not_sent: i64,
    /// Erased feedback of the provider.
    feedback: i64,
    /// Reasons that the person gave for a status change.
    reasons: i64,
    /// Messages that are being sent right now: call again to erase them.
    under_way: i64,
    /// Messages and reasons that are left for lack of time: call again to erase them. Where more
    /// bookings are left than were looked up, there are at least as many.
    remaining: i64,
}

impl Erasure {
    /// Of a person to whom no booking refers.
    pub(crate) fn nothing(person_id: &str) -> Self {
        Self {
            person_id: person_id.to_owned(),
            messages: 0,
            not_sent: 0,
            feedback: 0,
            reasons: 0,
            under_way: 0,
            remaining: 0,
        }
    }

    /// Of a person whose messages were not looked up.
    pub(crate) fn not_begun(person_id: &str) -> Self {
        Self {
            remaining: 1,
            ..Self::nothing(person_id)
        }
    }

    /// Both together. What is left is what `later` found.
    pub(crate) fn followed_by(&self, later: &Self) -> Self {
        Self {
            person_id: self.person_id.clone(),
            messages: self.messages + later.messages,
            not_sent: self.not_sent + later.not_sent,
            feedback: self.feedback + later.feedback,
            reasons: self.reasons + later.reasons,
            ..later.clone()
        }
    }

    /// Whether more can be erased now.
    pub(crate) fn has_more(&self) -> bool {
        self.remaining > 0
    }

    /// Whether nothing is left.
    pub(crate) fn is_complete(&self) -> bool {
        self.remaining == 0 && self.under_way == 0
    }
}

/// An erasure, part by part.
pub(crate) struct Eraser {
    person_id: Uuid,
    /// The bookings to come, and how many events of each can be erased.
    queue: VecDeque<(Uuid, i64)>,
    /// There may be bookings that were not looked up.
    has_others: bool,
    /// Messages that were being sent, of the parts so far.
    under_way: i64,
    /// Notices that no pass had taken, until a part counts them.
    queued: i64,
    /// There may be digests, which belong to no booking, or messages to the person as a guest.
    has_own: bool,
    /// After `migrate` of 0.3.0.
    is_migrated: bool,
}

impl Eraser {
    /// `None`: no booking refers to such a person.
    pub(crate) async fn begin(transaction: &Transaction, person_id: Uuid) -> Result<Option<Self>> {
        let mut eraser = Self {
            person_id,
            queue: VecDeque::new(),
            has_others: true,
            under_way: 0,
            queued: 0,
            has_own: false,
            // Before, there are no notices, no digests and no guests.
            is_migrated: owner_functions::is_known(transaction).await?,
        };
        eraser.look_up(transaction).await?;
        eraser.has_own = eraser.is_migrated && has_own(transaction, person_id).await?;
        let is_found = eraser.has_own || !eraser.queue.is_empty();
        if !is_found && !is_known(transaction, person_id).await? {
            return Ok(None);
        }
        if eraser.is_migrated {
            eraser.queued = skip_queued_notices(transaction, person_id).await?;
        }
        // The answers to the person's requests. A repeated request then gets 409, since its change
        // is no longer allowed.
        let erase_answers = "DELETE FROM public.booking_automation_requests
                              WHERE answer ->> 'by' IN ('customer:' || $1, 'provider:' || $1)";
        let text = person_id.to_string();
        transaction
            .execute(erase_answers, &[(&text, Type::TEXT)])
            .await?;
        Ok(Some(eraser))
    }

    /// Of a guest whose name is no UUID, so that no booking refers to them. `None`: they have no
    /// messages.
    pub(crate) async fn begin_guest(
        transaction: &Transaction,
        person_id: Uuid,
    ) -> Result<Option<Self>> {
        let has_own = owner_functions::is_known(transaction).await?
            && has_own(transaction, person_id).await?;
        Ok(has_own.then(|| Self {
            person_id,
            queue: VecDeque::new(),
            has_others: false,
            under_way: 0,
            queued: 0,
            has_own,
            is_migrated: true,
        }))
    }

    async fn look_up(&mut self, transaction: &Transaction) -> Result<()> {
        let parameters = [
            (&self.person_id as _, Type::UUID),
            (&LOOKED_UP as _, Type::INT8),
        ];
        let sql = left_sql(self.is_migrated);
        let rows = transaction.query(&sql, &parameters).await?;
        self.has_others = i64::try_from(rows.len()) == Ok(LOOKED_UP);
        self.queue = rows
            .iter()
            .map(|row| (row.get("id"), row.get("erasable")))
            .collect();
        Ok(())
    }

    /// Erases the next part. The caller commits.
    pub(crate) async fn erase_part(&mut self, transaction: &Transaction) -> Result<Erasure> {
        if self.queue.is_empty() && self.has_others {
            self.look_up(transaction).await?;
        }
        let part: Vec<Uuid> = self
            .queue
            .iter()
            .take(BOOKINGS)
            .map(|(id, _)| *id)
            .collect();
        // The audit trail accepts no change without this row.
        let announce = "INSERT INTO public.booking_automation_erasures
                                       (kind, day, person_id, at, transaction)
                        SELECT 'person', (moment AT TIME ZONE 'UTC')::date, $1, moment,
                          pg_current_xact_id()
                          FROM public.booking_automation_now() AS moment";
        transaction
            .execute(announce, &[(&self.person_id, Type::UUID)])
            .await?;
        let parameters = [
            (&self.person_id as _, Type::UUID),
            (&part as _, Type::UUID_ARRAY),
            (&MESSAGES as _, Type::INT8),
        ];
        let sql = erase_sql(self.is_migrated);
        let row = transaction.query_one(&sql, &parameters).await?;
        let own = self.erase_own(transaction).await?;
        let (messages, under_way): (i64, i64) = (row.get("messages"), row.get("under_way"));
        // Otherwise these bookings may have more messages.
        if messages == 0 || messages + under_way < MESSAGES {
            self.queue.drain(..part.len());
            self.under_way += under_way;
        }
        let queued = std::mem::take(&mut self.queued);
        Ok(Erasure {
            person_id: self.person_id.to_string(),
            messages: messages + queued + own.messages,
            not_sent: row.get::<_, i64>("not_sent") + queued + own.not_sent,
            feedback: row.get::<_, i64>("feedback") + own.feedback,
            reasons: row.get("reasons"),
            under_way: self.under_way,
            remaining: self.remaining(),
        })
    }

    async fn erase_own(&mut self, transaction: &Transaction) -> Result<ErasedOwn> {
        if !self.has_own {
            return Ok(ErasedOwn::default());
        }
        let parameters = [
            (&self.person_id as _, Type::UUID),
            (&MESSAGES as _, Type::INT8),
        ];
        let row = transaction.query_one(&ERASE_OWN, &parameters).await?;
        let (messages, under_way): (i64, i64) = (row.get("messages"), row.get("under_way"));
        if messages == 0 || messages + under_way < MESSAGES {
            self.has_own = false;
            self.under_way += under_way;
        }
        Ok(ErasedOwn {
            messages,
            not_sent: row.get("not_sent"),
            feedback: row.get("feedback"),
        })
    }

    fn remaining(&self) -> i64 {
        let known: i64 = self.queue.iter().map(|(_, erasable)| erasable).sum();
        // Messages that are being sent are not known to be so before their part.
        known.max(i64::from(
            self.has_others || self.has_own || !self.queue.is_empty(),
        ))
    }
}

/// What a part erased of digests, and of messages to the person as a guest.
#[derive(Default)]
struct ErasedOwn {
    messages: i64,
    not_sent: i64,
    feedback: i64,
}

async fn has_own(transaction: &Transaction, person_id: Uuid) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM public.booking_automation_events
                               WHERE person_id = $1) AS has_own";
    let row = transaction
        .query_one(sql, &[(&person_id, Type::UUID)])
        .await?;
    Ok(row.get("has_own"))
}

/// Ends the notices to the person on which no pass has decided. Returns how many.
async fn skip_queued_notices(transaction: &Transaction, person_id: Uuid) -> Result<i64> {
    let sql = "WITH taken AS (
                   DELETE FROM public.booking_automation_notices n
                    USING (SELECT NULL::uuid AS customer_id, NULL::uuid AS provider_id) AS absent
                    CROSS JOIN LATERAL (
                          SELECT b.id, 'customer' AS audience FROM public.bookings b
                            WHERE customer_id = $1
                          UNION ALL
                          SELECT b.id, 'provider' FROM public.bookings b
                            WHERE provider_id = $1) AS b
                    WHERE b.id = n.booking_id AND b.audience = n.audience
                   RETURNING n.*
               )
               INSERT INTO public.booking_automation_events
                      (booking_id, event_type, about, event_data, scheduled_at, executed_at,
                        status, reason, rule, audience, channel)
               SELECT booking_id, 'notification_sent', event_id, '{\"forgotten\": true}', due_at,
                 public.booking_automation_now(),
                      'skipped', 'forgotten', rule, audience, 'email'
                 FROM taken
               ON CONFLICT (about, rule, audience, channel, recipient)
               WHERE event_type = 'notification_sent' AND about IS NOT NULL DO NOTHING";
    let skipped = transaction
        .execute(sql, &[(&person_id, Type::UUID)])
        .await?;
    Ok(i64::try_from(skipped).unwrap_or(i64::MAX))
}

async fn is_known(transaction: &Transaction, person_id: Uuid) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM public.bookings WHERE customer_id = $1)
                   OR EXISTS (SELECT FROM public.bookings WHERE provider_id = $1) AS is_known
                 FROM (SELECT NULL::uuid AS customer_id, NULL::uuid AS provider_id) AS absent";
    let row = transaction
        .query_one(sql, &[(&person_id, Type::UUID)])
        .await?;
    Ok(row.get("is_known"))
}
