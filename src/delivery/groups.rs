//! One mail for several: which reminders of a person leave together.
//!
//! When a reminder becomes due, those of the person's other bookings of that day join it that
//! become due within the rule's `group_within`. The day and the address are those of the contacts
//! view. A claim finds the members by `led_by`, and reads everything anew (`claim.sql`).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::owner_functions::Liveness;
use crate::database::{Result, Transaction};
use crate::delivery::claim_sql::CONTACTS;
use crate::delivery::guests::NO_GUESTS;
use crate::delivery::recipients::{CONTACTS_TIMEOUT, contact_facts, contact_limits, named_person};
use crate::messages::facts::BookingFacts;
use crate::messages::grouped_reminder::day_of;
use crate::primitives::email_address::as_sent_to;
use crate::reminders::addresses::{HAND_OVER, with_people};

/// Bookings in one mail, at most.
const LARGEST_GROUP: usize = 20;
/// Reminders that one pass looks at, at most. The others leave one by one.
const MOST_READ: i64 = 5_000;

const GROUPS: &str = include_str!("groups.sql");
const JOIN: &str = include_str!("join_groups.sql");
const ZONES: &str = "SELECT person_id, timezone FROM public.booking_automation_preferences
                      WHERE person_id = ANY ($1) AND timezone IS NOT NULL";

/// SQL that finds and hands over the reminders of people with several bookings.
pub(crate) fn groups_sql(liveness: Liveness) -> String {
    with_people(GROUPS)
        .replace("{is_live}", liveness.condition())
        .replace(
            "{latest_revision}",
            &liveness.latest_revision("c.booking_id"),
        )
        .replace("{hand_over}", HAND_OVER)
}

/// Lets the reminders that this transaction has just enqueued leave with others of the same person.
/// Returns how many more it enqueued for that. Where that fails, they leave one by one. One round
/// trip; four where a person has several bookings.
pub(crate) async fn group_enqueued(
    transaction: &Transaction,
    liveness: Liveness,
    as_of: DateTime<Utc>,
    run_id: Uuid,
) -> Result<i64> {
    match find_and_join(transaction, liveness, as_of, run_id).await {
        Err(error) if error.is_of_a_row() => {
            tracing::warn!(
                error = error.loggable(),
                "which reminders leave in one mail could not be found; each leaves in its own"
            );
            Ok(0)
        }
        joined => joined,
    }
}

async fn find_and_join(
    transaction: &Transaction,
    liveness: Liveness,
    as_of: DateTime<Utc>,
    run_id: Uuid,
) -> Result<i64> {
    let limit = CONTACTS_TIMEOUT.min(transaction.statement_timeout());
    let sql = groups_sql(liveness);
    let find = async |transaction: &Transaction| {
        let parameters = [
            (&as_of as _, Type::TIMESTAMPTZ),
            (&MOST_READ as _, Type::INT8),
        ];
        transaction.query(&sql, &parameters).await
    };
    let found = transaction.in_savepoint(limit, find).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let limits = contact_limits(&NO_GUESTS);
    let contacts = transaction
        .query_with_their_settings(limit, CONTACTS, &limits)
        .await?;
    let contacts = contacts.into_iter().map(|row| (row.get("id"), row));
    let contacts = contacts.collect::<HashMap<Uuid, Row>>();
    // Beyond the bytes of a page, there is no contact.
    let mut reminders: Vec<_> = (found.iter())
        .filter_map(|row| Some(Reminder::of(row, contacts.get(&row.get("id"))?)))
        .collect();
    choose_zones(transaction, limit, &mut reminders).await?;
    let members = members_of(&reminders);
    match members.is_empty() {
        true => Ok(0),
        false => join(transaction, &members, as_of, run_id).await,
    }
}

/// A reminder of a person with several bookings.
struct Reminder {
    id: Uuid,
    /// It is due: this transaction has enqueued it.
    is_enqueued: bool,
    revision: i32,
    rule: String,
    channel: String,
    /// The name by which the person's choices are found.
    person_id: String,
    facts: BookingFacts,
}

/// A reminder that leaves with another one.
struct Member<'a> {
    reminder: &'a Reminder,
    led_by: Uuid,
}

impl Reminder {
    fn of(row: &Row, contact: &Row) -> Self {
        Self {
            id: row.get("id"),
            is_enqueued: row.get("is_enqueued"),
            revision: row.get("revision"),
            rule: row.get("rule"),
            channel: row.get("channel"),
            person_id: named_person(contact).unwrap_or_else(|| row.get("person_id")),
            facts: contact_facts(
                contact,
                row.get("booking_id"),
                row.get("audience"),
                row.get("starts_at"),
            ),
        }
    }

    /// Reminders with the same key leave together: those of a rule for a person at an address, of
    /// bookings on one day.
    fn key(&self) -> impl Ord + use<'_> {
        (
            &self.rule,
            &self.facts.audience,
            &self.channel,
            &self.person_id,
            as_sent_to(&self.facts.email),
            day_of(&self.facts),
        )
    }
}

/// The zones that the people have chosen.
async fn choose_zones(
    transaction: &Transaction,
    limit: Duration,
    reminders: &mut [Reminder],
) -> Result<()> {
    let people: Vec<_> = (reminders.iter())
        .map(|reminder| reminder.person_id.clone())
        .collect();
    let read = async |transaction: &Transaction| {
        transaction
            .query(ZONES, &[(&people, Type::TEXT_ARRAY)])
            .await
    };
    let rows = transaction.in_savepoint(limit, read).await?;
    let zones = rows
        .iter()
        .map(|row| (row.get("person_id"), row.get("timezone")));
    let zones = zones.collect::<HashMap<String, String>>();
    for reminder in reminders {
        if let Some(zone) = zones.get(&reminder.person_id) {
            reminder.facts.timezone = Some(zone.clone());
        }
    }
    Ok(())
}

/// The first one that is due leads those with the same key.
fn members_of(reminders: &[Reminder]) -> Vec<Member<'_>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for reminder in reminders {
        groups.entry(reminder.key()).or_default().push(reminder);
    }
    let mut members = Vec::new();
    for mut group in groups.into_values() {
        group.sort_by_key(|reminder| reminder.facts.starts_at);
        let leader = group.iter().find(|reminder| reminder.is_enqueued);
        let Some(led_by) = leader.map(|leader| leader.id) else {
            continue;
        };
        let others = group.into_iter().filter(|reminder| reminder.id != led_by);
        members.extend(
            others
                .take(LARGEST_GROUP - 1)
                .map(|reminder| Member { reminder, led_by }),
        );
    }
    members
}

/// Writes who leads them, and enqueues those that are not due yet. Returns how many these are.
async fn join(
    transaction: &Transaction,
    members: &[Member<'_>],
    as_of: DateTime<Utc>,
    run_id: Uuid,
) -> Result<i64> {
    fn column<'a, T>(members: &'a [Member<'_>], value: impl Fn(&'a Reminder) -> T) -> Vec<T> {
        members
            .iter()
            .map(|member| value(member.reminder))
            .collect()
    }
    let leaders: Vec<_> = members.iter().map(|member| member.led_by).collect();
    let run_id = run_id.to_string();
    let parameters = [
        (&column(members, |it| it.id) as _, Type::UUID_ARRAY),
        (&leaders as _, Type::UUID_ARRAY),
        (
            &column(members, |it| it.facts.booking_id) as _,
            Type::UUID_ARRAY,
        ),
        (
            &column(members, |it| it.facts.starts_at) as _,
            Type::TIMESTAMPTZ_ARRAY,
        ),
        (&column(members, |it| it.revision) as _, Type::INT4_ARRAY),
        (&column(members, |it| &it.rule) as _, Type::TEXT_ARRAY),
        (
            &column(members, |it| &it.facts.audience) as _,
            Type::TEXT_ARRAY,
        ),
        (&column(members, |it| &it.channel) as _, Type::TEXT_ARRAY),
        (&run_id as _, Type::TEXT),
        (&as_of as _, Type::TIMESTAMPTZ),
    ];
    let limit = transaction.statement_timeout() / 2;
    let join = async |transaction: &Transaction| transaction.query_one(JOIN, &parameters).await;
    let row = transaction.in_savepoint(limit, join).await?;
    Ok(row.get("joined"))
}
