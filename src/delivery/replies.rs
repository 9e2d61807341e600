//! What replies to SMS do. They must come from the topic of the settings, from a number to which an
//! SMS went.
//!
//! `C` says that a customer will come. `N` is answered with the link to cancel: no text cancels.
//! AWS's opt-out words suppress the number. Anything else is answered
//! with whom to contact, once a day. A reply is stored once, and its answer is sent once, if at
//! all: it is recorded before it leaves, and is not tried again.

use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::channels::Outcome;
use crate::database::{BOOKINGS_LOCK_TIMEOUT, Begin, Database, Result, Transaction, finite};
use crate::delivery::invitation::{Invitation, read_invitation};
use crate::delivery::sms_replies::{Meaning, Reply};
use crate::delivery::suppression::LOCK_ADDRESS;
use crate::delivery::texter::Texter;
use crate::messages::answers::{contact_answer, link_answer};
use crate::messages::kind_name::KindName;
use crate::messages::language_of;
use crate::messages::languages::Language;
use crate::messages::settings::MessageSettings;
use crate::people::attendance::{forget_attendance, store_attendance};
use crate::people::keys::read_signer;
use crate::people::links::Purpose;
use crate::primitives::phone_number::PhoneNumber;

const REPLY: &str = include_str!("reply.sql");
const ANSWER: &str = include_str!("answer.sql");
/// An answer that did not leave: the next reply is answered again, and the day's limit is not used.
const WITHDRAW: &str = "WITH withdrawn AS (
       UPDATE public.booking_automation_sms_replies SET answer = NULL, answer_id = NULL
        WHERE inbound_id = $1 AND answer_id = $2)
    DELETE FROM public.booking_automation_sms WHERE event_id = $2";

/// How a reply was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum ReplyOutcome {
    /// It was stored.
    Recorded {
        meaning: Meaning,
        /// Whether AWS accepted an answer.
        answered: bool,
    },
    /// It was not stored.
    Ignored {
        /// `topic`: it is not from the topic of the settings; `not_ours`: no SMS went to this
        /// number; `duplicate`: stored before.
        reason: &'static str,
    },
}

impl ReplyOutcome {
    /// No SMS went to the number.
    pub(crate) const NOT_OURS: Self = Self::Ignored { reason: "not_ours" };
}

/// What handles replies.
pub(crate) struct Replier<'a> {
    pub(crate) database: &'a Database,
    /// `None`: SMS are not set up.
    pub(crate) texter: Option<&'a Texter>,
    pub(crate) messages: &'a MessageSettings,
    pub(crate) until: Instant,
}

impl Replier<'_> {
    /// Records a reply, does what it says, and answers it.
    ///
    /// # Errors
    /// When the database refuses it. Lambda then delivers it again.
    pub(crate) async fn handle(&self, reply: &Reply) -> Result<ReplyOutcome> {
        let is_ours = |texter: &&Texter| {
            texter.settings.replies.topic.as_deref() == Some(reply.topic.as_str())
        };
        let Some(texter) = self.texter.filter(is_ours) else {
            tracing::warn!("a reply to an SMS is not from the topic of SMS_REPLIES_TOPIC");
            return Ok(ReplyOutcome::Ignored { reason: "topic" });
        };
        let (transaction, _) = (self.database).begin(&Begin::until(self.until), "").await?;
        let stored = match store_reply(&transaction, texter, reply).await? {
            Ok(stored) => stored,
            Err(reason) => {
                // It may have ended an opt-out.
                transaction.commit().await?;
                return Ok(ReplyOutcome::Ignored { reason });
            }
        };
        let answer = self.follow(&transaction, texter, reply, &stored).await?;
        if let Some(answer) = &answer {
            store_answer(&transaction, reply, answer).await?;
        }
        transaction.commit().await?;
        let answered = match &answer {
            Some(answer) => self.send(texter, reply, &stored, answer).await,
            None => false,
        };
        let (event, meaning) = (stored.event_id, reply.meaning);
        tracing::info!(event.id = %event, reply.meaning = %meaning, answered, "received a reply");
        Ok(ReplyOutcome::Recorded { meaning, answered })
    }

    /// Does what a reply says. Returns the answer, if there is one.
    async fn follow(
        &self,
        transaction: &Transaction,
        texter: &Texter,
        reply: &Reply,
        stored: &StoredReply,
    ) -> Result<Option<Answer>> {
        if matches!(reply.meaning, Meaning::OptedOut | Meaning::OptedIn) || !stored.is_customer {
            return Ok(None);
        }
        let invitation = read_own_invitation(transaction, reply, stored).await?;
        let as_told = invitation
            .as_ref()
            .filter(|found| Some(found.facts.starts_at) == stored.starts_at);
        match (reply.meaning, as_told) {
            (Meaning::Attends, Some(invitation))
                if attends(transaction, invitation, stored).await? =>
            {
                return Ok(None);
            }
            (Meaning::CannotAttend, Some(invitation)) => {
                forget_attendance(transaction, stored.booking_id).await?;
                let link = cancel_link(transaction, self.messages, invitation).await?;
                if link.is_some() {
                    return Ok(link.filter(|_| stored.may_be_answered && !stored.knows_link));
                }
            }
            _ => {}
        }
        if stored.knows_contact || !stored.may_be_answered {
            return Ok(None);
        }
        let language = match &invitation {
            Some(invitation) => language_of(&invitation.facts, self.messages),
            None => (stored.language.as_deref())
                .and_then(Language::matching)
                .unwrap_or(self.messages.default_language),
        };
        let contact = texter.settings.replies.contact.as_deref();
        let text = contact.and_then(|contact| contact_answer(contact, language).ok());
        Ok(text.map(|text| Answer::new("contact", text)))
    }

    /// Sends an answer, once. Returns whether AWS accepted it.
    async fn send(
        &self,
        texter: &Texter,
        reply: &Reply,
        stored: &StoredReply,
        answer: &Answer,
    ) -> bool {
        let sending = texter.answer(answer.id, &reply.number, &answer.text, self.until);
        let outcome = sending.await;
        // Without the provider's text, which may quote the number.
        let reason = match &outcome {
            Outcome::Sent { .. } => return true,
            Outcome::NotSent { reason, .. }
            | Outcome::Rejected { reason, .. }
            | Outcome::AccountWide { reason, .. } => reason.as_str(),
            Outcome::Unknown { .. } => "unknown",
            Outcome::Deferred => "no_time",
        };
        let event = stored.event_id;
        tracing::warn!(event.id = %event, reason, "the answer to a reply was not sent; given up");
        if !matches!(outcome, Outcome::Unknown { .. })
            && let Err(error) = self.withdraw(reply, answer).await
        {
            tracing::warn!(event.id = %event, error = %error.loggable(), "it counts as sent");
        }
        false
    }

    async fn withdraw(&self, reply: &Reply, answer: &Answer) -> Result<()> {
        let (transaction, _) = (self.database).begin(&Begin::until(self.until), "").await?;
        let parameters = [
            (&reply.inbound_id as _, Type::TEXT),
            (&answer.id as _, Type::UUID),
        ];
        transaction.execute(WITHDRAW, &parameters).await?;
        transaction.commit().await
    }
}

/// The message that a reply answers, and what its sender knows.
struct StoredReply {
    event_id: Uuid,
    booking_id: Uuid,
    /// What the message told.
    starts_at: Option<DateTime<Utc>>,
    /// It went to a customer, or to a guest of theirs.
    is_customer: bool,
    is_guest: bool,
    may_be_answered: bool,
    /// They were told in the last day whom to contact.
    knows_contact: bool,
    /// They got the link for this message in the last day.
    knows_link: bool,
    /// What the person has chosen.
    language: Option<String>,
    as_of: DateTime<Utc>,
}

impl StoredReply {
    fn of(row: &Row) -> Self {
        Self {
            event_id: row.get("id"),
            booking_id: row.get("booking_id"),
            starts_at: finite(row, "starts_at"),
            is_customer: row.get("is_customer"),
            is_guest: row.get("is_guest"),
            may_be_answered: row.get("may_be_answered"),
            knows_contact: row.get("knows_contact"),
            knows_link: row.get("knows_link"),
            language: row.get("language"),
            as_of: row.get("as_of"),
        }
    }
}

/// Stores a reply; or says why not.
async fn store_reply(
    transaction: &Transaction,
    texter: &Texter,
    reply: &Reply,
) -> Result<std::result::Result<StoredReply, &'static str>> {
    let number = reply.number.as_str();
    // One reply of a number at a time, so that two are not answered at once.
    transaction
        .execute(LOCK_ADDRESS, &[(&number, Type::TEXT)])
        .await?;
    let (meaning, most) = (
        reply.meaning.as_str(),
        i64::from(texter.settings.per_person.get()),
    );
    let parameters = [
        (&number as _, Type::TEXT),
        (&reply.inbound_id as _, Type::TEXT),
        (&meaning as _, Type::TEXT),
        (&reply.answers as _, Type::TEXT),
        (&most as _, Type::INT8),
        (&reply.said_at as _, Type::TIMESTAMPTZ),
    ];
    let rows = transaction.query(REPLY, &parameters).await?;
    Ok(match rows.first() {
        None => Err("not_ours"),
        Some(row) if !row.get::<_, bool>("is_new") => Err("duplicate"),
        Some(row) => Ok(StoredReply::of(row)),
    })
}

/// What is sent back.
struct Answer {
    id: Uuid,
    kind: &'static str,
    text: String,
}

impl Answer {
    fn new(kind: &'static str, text: String) -> Self {
        let id = Uuid::new_v4();
        Self { id, kind, text }
    }
}

/// The booking, while it is confirmed and lies ahead, in the language that the customer has chosen.
/// `None`, too: the message went to a guest, or the number is no longer the customer's.
async fn read_own_invitation(
    transaction: &Transaction,
    reply: &Reply,
    stored: &StoredReply,
) -> Result<Option<Invitation>> {
    if stored.is_guest {
        return Ok(None);
    }
    let found = read_invitation(transaction, stored.booking_id, stored.as_of).await?;
    // Without the customer's id, no answer can be stored.
    let Some(mut invitation) = found.filter(|found| !found.person_id.is_empty()) else {
        return Ok(None);
    };
    let sql = "SELECT language, phone FROM public.booking_automation_preferences
                WHERE person_id = $1";
    let rows = transaction
        .query(sql, &[(&invitation.person_id, Type::TEXT)])
        .await?;
    let own = |column: &str| -> Option<String> { rows.first().and_then(|row| row.get(column)) };
    let facts = &mut invitation.facts;
    facts.language = own("language").or(facts.language.take());
    let phone = own("phone").or(facts.phone.take());
    let phone = phone.and_then(|phone| PhoneNumber::parse(&phone).ok());
    let is_theirs = phone.is_some_and(|phone| phone == reply.number);
    Ok(is_theirs.then_some(invitation))
}

/// Stores that the customer will come. Returns whether the booking is still as they were told.
async fn attends(
    transaction: &Transaction,
    invitation: &Invitation,
    stored: &StoredReply,
) -> Result<bool> {
    // Another transaction may hold the booking's lock. This one waits for a short time only.
    let wait = BOOKINGS_LOCK_TIMEOUT.as_millis();
    transaction
        .batch(&format!("SET LOCAL lock_timeout = {wait}"))
        .await?;
    store_attendance(
        transaction,
        stored.booking_id,
        &invitation.person_id,
        invitation.facts.starts_at,
        stored.as_of,
    )
    .await
}

/// The answer with the customer's link to the page that cancels. `None`: there are no links.
async fn cancel_link(
    transaction: &Transaction,
    settings: &MessageSettings,
    invitation: &Invitation,
) -> Result<Option<Answer>> {
    let Some(base) = settings.link_base_url.as_deref() else {
        return Ok(None);
    };
    let (person, booking) = (&invitation.person_id, Some(invitation.facts.booking_id));
    let language = language_of(&invitation.facts, settings);
    let (purpose, kind) = (Purpose::Attendance, KindName::Reminder);
    let signer = read_signer(transaction, base).await?;
    let url = signer.and_then(|signer| signer.url(purpose, person, kind, language, booking));
    let text = url.and_then(|url| link_answer(&format!("{url}/cancel"), language).ok());
    Ok(text.map(|text| Answer::new("link", text)))
}

async fn store_answer(transaction: &Transaction, reply: &Reply, answer: &Answer) -> Result<()> {
    let parameters = [
        (&reply.inbound_id as _, Type::TEXT),
        (&answer.kind as _, Type::TEXT),
        (&answer.id as _, Type::UUID),
    ];
    transaction.execute(ANSWER, &parameters).await?;
    Ok(())
}
