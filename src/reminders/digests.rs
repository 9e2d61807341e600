//! Digests: one message a day to a person, with the bookings of their coming day. A pass puts those
//! whose hour has come into the outbox, where they are delivered as notices are.
//!
//! Clocks come to a full hour at quarters of an hour, wherever they are. So a pass reads the people
//! of the coming bookings only if a quarter has begun since the last time; which zones they are in
//! is known only then.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;
use std::time::Instant;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::owner_functions::Liveness;
use crate::database::{Parameter, Result, Transaction};
use crate::primitives::zones::{iana_name, zone_of_person};
use crate::reminders::decisions::Decisions;
use crate::reminders::digest_rules::{DigestRule, DigestRules, LocalDay};

/// Parts that are left out, at most: where more fail, all of them may.
const MOST_LEFT_OUT: usize = 8;
/// Bookings that start within this time of each other are not told apart any more.
const SMALLEST_PART: TimeDelta = TimeDelta::minutes(1);

/// SQL of a join: whose digest lists a booking.
pub(crate) const PERSON: &str = include_str!("digest_person.sql");
pub(crate) static PEOPLE: LazyLock<String> =
    LazyLock::new(|| include_str!("digest_people.sql").replace("{person}", PERSON));
const ENQUEUE: &str = include_str!("enqueue_digests.sql");

/// SQL that hands over the bookings that start after `$1` and before `$2`.
pub(crate) fn coming_sql(liveness: Liveness) -> String {
    format!(
        "SELECT set_config('booking_automation.bookings',
           coalesce(array_agg(b.id), '{{}}')::text, true)
           FROM public.bookings b
          WHERE b.status = 'confirmed' AND b.scheduled_at > $1 AND b.scheduled_at < $2
            AND {is_live}",
        is_live = liveness.condition()
    )
}

/// Digests that are due, as the columns of [`ENQUEUE`].
#[derive(Debug, Default)]
struct DueDigests {
    rules: Vec<String>,
    audiences: Vec<String>,
    people: Vec<Uuid>,
    days: Vec<NaiveDate>,
    due_at: Vec<DateTime<Utc>>,
    last_starts: Vec<DateTime<Utc>>,
    facts: Vec<Value>,
}

impl DueDigests {
    /// Those of the people in rows of [`PEOPLE`].
    fn of(rows: &[Row], rules: &DigestRules, as_of: DateTime<Utc>) -> Self {
        let since = rules.since(as_of);
        let mut digests = Self::default();
        let mut days: HashMap<(String, i8), Vec<LocalDay>> = HashMap::new();
        let people = people_of(rows);
        let mut added = HashSet::new();
        for row in rows {
            let text = |column| row.get::<_, Option<&str>>(column);
            let zone = zone_of_person(text("timezone"), text("place_timezone"));
            let audience: &str = row.get("audience");
            let (key_of_person, person) = (person_of(row), &people[&person_of(row)]);
            for rule in rules.rules.iter().filter(|rule| rule.audience == audience) {
                let key = (iana_name(&zone).to_owned(), rule.hour);
                let days = days
                    .entry(key)
                    .or_insert_with(|| LocalDay::due(&zone, rule.hour, since, as_of));
                for day in days {
                    if added.insert((key_of_person, &rule.name, day.date)) {
                        digests.add(key_of_person.1, person, rule, day);
                    }
                }
            }
        }
        digests
    }

    /// Adds the digest of a day, unless the day is empty.
    fn add(&mut self, person_id: Uuid, person: &Person, rule: &DigestRule, day: &LocalDay) {
        let in_day = |start: &DateTime<Utc>| day.begins <= *start && *start < day.ends;
        let is_in_force = rule.is_in_force(day.due_at);
        let starts = person.starts.iter().copied();
        let Some(last) = starts.filter(in_day).max().filter(|_| is_in_force) else {
            return;
        };
        self.facts.push(json!({
            "person_id": person_id, "day": day.date, "begins": day.begins, "ends": day.ends,
            "people": person.referred_ids
        }));
        self.rules.push(rule.name.clone());
        self.audiences.push(rule.audience.clone());
        self.people.push(person_id);
        self.days.push(day.date);
        self.due_at.push(day.due_at);
        self.last_starts.push(last);
    }

    /// `$2` to `$8`.
    fn parameters(&self) -> [Parameter<'_>; 7] {
        [
            (&self.rules, Type::TEXT_ARRAY),
            (&self.audiences, Type::TEXT_ARRAY),
            (&self.people, Type::UUID_ARRAY),
            (&self.days, Type::DATE_ARRAY),
            (&self.due_at, Type::TIMESTAMPTZ_ARRAY),
            (&self.last_starts, Type::TIMESTAMPTZ_ARRAY),
            (&self.facts, Type::JSONB_ARRAY),
        ]
    }
}

/// The audience and the person of a row of [`PEOPLE`].
fn person_of(row: &Row) -> (&str, Uuid) {
    (row.get("audience"), row.get("person_id"))
}

/// What the rows of [`PEOPLE`] say of a person: several rows, where bookings have different zones.
#[derive(Default)]
struct Person {
    /// The ids by which bookings refer to them.
    referred_ids: BTreeSet<Uuid>,
    starts: Vec<DateTime<Utc>>,
}

fn people_of(rows: &[Row]) -> HashMap<(&str, Uuid), Person> {
    let mut people: HashMap<_, Person> = HashMap::new();
    for row in rows {
        let person = people.entry(person_of(row)).or_default();
        person
            .referred_ids
            .extend(row.get::<_, Vec<Uuid>>("referred_ids"));
        person
            .starts
            .extend(row.get::<_, Vec<DateTime<Utc>>>("starts"));
    }
    people
}

/// Enqueues the digests that are due. Where the people of some bookings cannot be read, fewer
/// bookings are tried, until `until`; the next passes try again what is left, for an hour.
pub(crate) async fn enqueue_digests(
    transaction: &Transaction,
    liveness: Liveness,
    rules: &DigestRules,
    as_of: DateTime<Utc>,
    run_id: Uuid,
    until: Instant,
) -> Result<Decisions> {
    let mut decisions = Decisions::default();
    if !rules.may_be_due(as_of) {
        return Ok(decisions);
    }
    let mut parts = vec![(as_of, rules.until(as_of))];
    let mut left_out = Vec::new();
    while let Some(part) = parts.pop() {
        if left_out.len() > MOST_LEFT_OUT || Instant::now() > until {
            tracing::error!(
                "not all digests that are due could be enqueued; the next pass tries again"
            );
            return Ok(decisions);
        }
        match enqueue_part(transaction, liveness, rules, as_of, run_id, part).await {
            Ok(enqueued) => decisions.pending += enqueued,
            Err(error) if error.is_of_contents() || error.is_statement_timeout() => {
                match halves(part) {
                    Some(halves) => parts.extend(halves),
                    None => left_out.push((part.0, error)),
                }
            }
            Err(error) if error.is_of_a_row() => {
                tracing::error!(error = error.loggable(), "digests could not be enqueued");
                return Ok(decisions);
            }
            Err(error) => return Err(error),
        }
    }
    if let Some((from, error)) = left_out.first() {
        tracing::error!(
            error = error.loggable(),
            bookings.from = %from,
            parts.count = left_out.len(),
            "digests leave out bookings: their people cannot be read"
        );
    }
    record_progress(transaction, rules, as_of).await?;
    Ok(decisions)
}

/// Records that all digests that are due have their decisions.
async fn record_progress(
    transaction: &Transaction,
    rules: &DigestRules,
    as_of: DateTime<Utc>,
) -> Result<()> {
    let sql =
        "UPDATE public.booking_automation_digest_state SET looked_through = $1, rules_digest = $2";
    let parameters = [
        (&as_of as _, Type::TIMESTAMPTZ),
        (&rules.version as _, Type::TEXT),
    ];
    transaction.execute(sql, &parameters).await?;
    Ok(())
}

/// Bookings by their starts: after the first, and before the second.
type Part = (DateTime<Utc>, DateTime<Utc>);

/// The halves of a part that failed; `None`: it is too small.
fn halves((from, to): Part) -> Option<[Part; 2]> {
    let length = to - from;
    if length < SMALLEST_PART {
        return None;
    }
    let middle = from + length / 2;
    // Both bounds of a part are outside of it.
    let before = middle + TimeDelta::microseconds(1);
    // The last one is read first: the bookings that start first.
    Some([(middle, to), (from, before)])
}

/// Returns how many there are.
async fn enqueue_part(
    transaction: &Transaction,
    liveness: Liveness,
    rules: &DigestRules,
    as_of: DateTime<Utc>,
    run_id: Uuid,
    part: Part,
) -> Result<i64> {
    let digests = read_due(transaction, liveness, rules, as_of, part).await?;
    if digests.people.is_empty() {
        return Ok(0);
    }
    let run_id = run_id.to_string();
    let parameters: Vec<Parameter<'_>> = [(&run_id as _, Type::TEXT)]
        .into_iter()
        .chain(digests.parameters())
        .collect();
    let insert =
        async |transaction: &Transaction| transaction.query_one(ENQUEUE, &parameters).await;
    let limit = transaction.statement_timeout() / 4;
    let row = transaction.in_savepoint(limit, insert).await?;
    Ok(row.get("pending"))
}

async fn read_due(
    transaction: &Transaction,
    liveness: Liveness,
    rules: &DigestRules,
    as_of: DateTime<Utc>,
    (from, to): Part,
) -> Result<DueDigests> {
    let limit = transaction.statement_timeout() / 4;
    let sql = coming_sql(liveness);
    let bounds = [
        (&from as _, Type::TIMESTAMPTZ),
        (&to as _, Type::TIMESTAMPTZ),
    ];
    let hand_over = async |transaction: &Transaction| transaction.query(&sql, &bounds).await;
    transaction.in_savepoint(limit, hand_over).await?;
    let audiences = rules.audiences();
    let rows = transaction
        .query_with_their_settings(limit, &PEOPLE, &[(&audiences, Type::TEXT_ARRAY)])
        .await?;
    Ok(DueDigests::of(&rows, rules, as_of))
}

/// What [`enqueue_digests`] would do now. Writes nothing.
pub(crate) async fn preview(
    transaction: &Transaction,
    liveness: Liveness,
    rules: &DigestRules,
    as_of: DateTime<Utc>,
) -> Result<Decisions> {
    if !rules.may_be_due(as_of) {
        return Ok(Decisions::default());
    }
    let part = (as_of, rules.until(as_of));
    let due = read_due(transaction, liveness, rules, as_of, part).await?;
    let sql = "SELECT count(*) AS pending
                 FROM unnest($1::text[], $2::text[], $3::uuid[], $4::date[])
                   AS d (rule, audience, person_id, day)
                 JOIN public.booking_automation_digest_rules r ON r.name = d.rule
                   AND r.audience = d.audience
                CROSS JOIN unnest(r.channels) AS channel
                WHERE NOT EXISTS (SELECT FROM public.booking_automation_events e
                                   WHERE e.event_type = 'notification_sent'
                                     AND e.person_id = d.person_id AND e.local_day = d.day
                                     AND e.rule = d.rule AND e.audience = d.audience
                                     AND e.channel = channel)";
    let row = transaction.query_one(sql, &due.parameters()[..4]).await?;
    Ok(Decisions {
        pending: row.get("pending"),
        ..Decisions::default()
    })
}
