//! The candidates of a page: its messages, locked, with what the contacts view says of them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::channels::Channel;
use crate::database::owner_functions::Liveness;
use crate::database::{Result, Transaction};
use crate::delivery::claim_sql::{CANDIDATES, CONTACTS};
use crate::delivery::digests::{DigestFacts, read_digests};
use crate::delivery::guests::ALL_GUESTS;
use crate::delivery::recipients::{CONTACTS_TIMEOUT, contact_limits, named_person, told_facts};
use crate::primitives::email_address::as_sent_to;
use crate::primitives::phone_number::PhoneNumber;
use crate::reminders::Reason;

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
    /// Messages to one person in a day, at most, where the channel has such a limit.
    pub(crate) per_person: i64,
    /// The channel is not set up: no message can go by it.
    pub(crate) is_off: bool,
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
    pub(crate) liveness: Liveness,
    /// Some are notices or digests.
    pub(crate) has_notices: bool,
    pub(crate) contacts: BTreeMap<Uuid, Row>,
    pub(crate) digests: HashMap<Uuid, DigestFacts>,
}

/// A candidate: its recipient's address, a hash of what it tells, the end of its day, the view's
/// own name of the recipient, whether they agreed to get SMS, and why the address cannot be used.
pub(crate) struct Candidate {
    pub(crate) address: Option<String>,
    pub(crate) facts: Vec<u8>,
    pub(crate) last_start: Option<DateTime<Utc>>,
    pub(crate) person_id: Option<String>,
    pub(crate) sms_allowed: bool,
    pub(crate) unusable: Option<Reason>,
}

impl Candidates {
    /// Whether messages have chains of channels.
    pub(crate) fn has_chains(&self) -> bool {
        self.liveness != Liveness::Unknown
    }

    /// One of them.
    pub(crate) fn candidate(&self, id: &Uuid, contact: &Row, limits: &ClaimLimits) -> Candidate {
        let digest = self.digests.get(id);
        let recipient = digest.and_then(DigestFacts::recipient);
        let text = |column| contact.get::<_, Option<String>>(column);
        let (email, phone, sms_allowed) = match recipient {
            Some(recipient) => (
                Some(recipient.email),
                recipient.phone,
                recipient.sms_allowed,
            ),
            None if digest.is_some() => (None, None, false),
            None => {
                let sms_allowed: Option<bool> = contact.get("sms_allowed");
                (text("email"), text("phone"), sms_allowed == Some(true))
            }
        };
        let number = phone.as_deref().map(PhoneNumber::parse);
        let is_sms = limits.channel == Channel::Sms;
        let (address, unusable) = match number {
            _ if limits.is_off => (None, Some(Reason::NotSetUp)),
            Some(Ok(number)) if is_sms => (Some(number.as_str().to_owned()), None),
            Some(Err(_)) if is_sms => (None, Some(Reason::BadNumber)),
            _ if is_sms => (None, None),
            _ => (email.as_deref().map(as_sent_to), None),
        };
        let told = digest.map_or_else(|| told_facts(contact), DigestFacts::told);
        Candidate {
            address,
            sms_allowed,
            unusable,
            facts: Sha256::digest(told.to_string()).to_vec(),
            last_start: digest.and_then(|digest| digest.last_start),
            person_id: match digest {
                Some(digest) => digest.person_id.clone(),
                None => named_person(contact),
            },
        }
    }
}

/// Waits for other transactions that claim.
async fn lock_channel(transaction: &Transaction, channel: Channel) -> Result<()> {
    let sql = "SELECT FROM public.booking_automation_channels WHERE channel = $1 FOR UPDATE";
    transaction
        .execute(sql, &[(&channel.as_str(), Type::TEXT)])
        .await?;
    Ok(())
}
