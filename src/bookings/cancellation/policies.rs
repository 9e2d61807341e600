//! Which part of a booking's price is refunded when it is cancelled: policies, which are data.
//!
//! For customers the user's own `cancellation_policies`, where any is active; else
//! `booking_automation_cancellation_policies`, the service's row before the default one; else what is built in. Data that
//! does not say it without a doubt is named and refused: a cancellation that has to wait is better than a wrong refund.
//!
//! Hours are elapsed ones, to the microsecond. A share is refunded up to and including the moment that a policy names.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;
use thiserror::Error;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::lifecycle::Role;
use crate::database::{DatabaseError, Transaction};

/// The user's own policies, and ours.
const THEIRS: &str = "cancellation_policies";
const OURS: &str = "booking_automation_cancellation_policies";
/// Hours from the start that a policy of the user's may name: a century and more.
const MOST_HOURS: f64 = 1_000_000.0;
/// Longest amount, in characters.
pub(crate) const LONGEST_AMOUNT: usize = 30;
/// The smallest time that the database knows.
pub(crate) const INSTANT: TimeDelta = TimeDelta::microseconds(1);

/// What a policy applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Case {
    Customer,
    Provider,
    /// Support, or another program.
    Staff,
    /// The customer did not come.
    NoShow,
}

impl Case {
    pub(crate) fn of(role: Role, no_show: bool) -> Self {
        match role {
            _ if no_show => Self::NoShow,
            Role::Customer => Self::Customer,
            Role::Provider => Self::Provider,
            Role::Admin | Role::System | Role::Automation => Self::Staff,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Provider => "provider",
            Self::Staff => "staff",
            Self::NoShow => "no_show",
        }
    }
}

/// Why nobody can tell what is refunded, before something is put right.
#[derive(Clone, Debug, Error)]
pub(crate) enum Undecided {
    /// In a row.
    #[error("{0}")]
    Data(String),
    /// In the schema, or in what this program may read.
    #[error("{0}")]
    Setup(String),
}

/// Whose share it is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Policy {
    pub(crate) source: &'static str,
    id: Option<String>,
    pub(crate) name: String,
    applies_to: Case,
}

/// A share of the price, and how long it is refunded: after one moment, and until another, that one included.
#[derive(Clone, Debug)]
pub(crate) struct Tier {
    pub(crate) policy: Policy,
    pub(crate) percent: String,
    after: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    /// Of a booking with one of these; none: with any.
    statuses: Vec<String>,
}

impl Tier {
    fn fits(&self, moment: DateTime<Utc>, status: &str) -> bool {
        self.after.is_none_or(|after| after < moment)
            && self.until.is_none_or(|until| moment <= until)
            && (self.statuses.is_empty() || self.statuses.iter().any(|fitting| fitting == status))
    }

    /// Whether it is in force whenever the other is.
    fn spans(&self, other: &Self) -> bool {
        let longer = |until: DateTime<Utc>| other.until.is_some_and(|other| other <= until);
        self.after <= other.after && self.until.is_none_or(longer)
    }
}

/// Of several that fit, the one whose time lies within that of the others.
fn chosen<'a>(tiers: &'a [Tier], at: DateTime<Utc>, status: &str) -> Result<&'a Tier, Undecided> {
    let fitting: Vec<_> = tiers.iter().filter(|tier| tier.fits(at, status)).collect();
    let is_wider = |tier: &Tier| fitting.iter().any(|other| tier.spans(other) && !other.spans(tier));
    let narrowest: Vec<_> = fitting.iter().copied().filter(|tier| !is_wider(tier)).collect();
    let Some((first, others)) = narrowest.split_first() else {
        return Err(Undecided::Data(format!(
            "none of the active rows of {THEIRS} says what is refunded for a booking that is {status} and cancelled at {}",
            moment(at)
        )));
    };
    match others.iter().find(|other| !is_same_amount(&other.percent, &first.percent)) {
        None => Ok(*first),
        Some(other) => Err(Undecided::Data(format!(
            "the rows {:?} and {:?} of {THEIRS} contradict each other: {} % or {} % at {}",
            first.policy.name,
            other.policy.name,
            first.percent,
            other.percent,
            moment(at)
        ))),
    }
}

/// The tier at a moment, and the last moment at which it is the one.
pub(crate) fn in_force<'a>(
    tiers: &'a [Tier],
    at: DateTime<Utc>,
    status: &str,
) -> Result<(&'a Tier, Option<DateTime<Utc>>), Undecided> {
    let tier = chosen(tiers, at, status)?;
    let mut boundaries: Vec<_> = tiers.iter().flat_map(|tier| [tier.after, tier.until]).flatten().collect();
    boundaries.sort_unstable();
    let is_last = |boundary: &DateTime<Utc>| {
        !chosen(tiers, *boundary + INSTANT, status).is_ok_and(|next| std::ptr::eq(next, tier))
    };
    Ok((tier, boundaries.into_iter().filter(|boundary| *boundary >= at).find(is_last)))
}

/// Those that may decide for one booking.
pub(crate) struct Policies {
    start: Option<DateTime<Utc>>,
    /// Of the service, then the default ones.
    ours: Vec<Rule>,
    /// None: the user has none.
    theirs: Result<Vec<Tier>, Undecided>,
}

/// A row of ours: everything until so long before the start, a part until so long before it, and what is refunded then.
struct Rule {
    applies_to: String,
    source: &'static str,
    id: Option<String>,
    name: String,
    free_until: Option<TimeDelta>,
    partial: Option<(TimeDelta, String)>,
    after_percent: String,
}

/// Where no row says otherwise: a customer has everything back until a day before the start, half of it until twelve hours
/// before, and then nothing, nor has one who did not come; for what is not the customer's doing, everything is refunded.
fn built_in(case: Case) -> Rule {
    let (free_until, partial, after_percent) = match case {
        Case::Customer => (Some(TimeDelta::hours(24)), Some((TimeDelta::hours(12), "50".to_owned())), "0"),
        Case::Provider | Case::Staff => (None, None, "100"),
        Case::NoShow => (None, None, "0"),
    };
    Rule {
        applies_to: case.name().to_owned(),
        source: "built_in",
        id: None,
        name: "default".to_owned(),
        free_until,
        partial,
        after_percent: after_percent.to_owned(),
    }
}

impl Policies {
    pub(crate) async fn read(
        transaction: &Transaction,
        service: Option<Uuid>,
        start: Option<DateTime<Utc>>,
    ) -> Result<Self, DatabaseError> {
        Ok(Self {
            start,
            ours: ours(transaction, service).await?,
            theirs: theirs(transaction, start.unwrap_or_default()).await?,
        })
    }

    /// What may be refunded in a case, and when.
    pub(crate) fn tiers(&self, case: Case) -> Result<Vec<Tier>, Undecided> {
        let Some(start) = self.start else {
            return Err(Undecided::Data("the booking's scheduled_at is no moment that hours can be counted to".into()));
        };
        if case == Case::Customer {
            let theirs = self.theirs.clone()?;
            if !theirs.is_empty() {
                return Ok(theirs);
            }
        }
        let ours = self.ours.iter().find(|rule| rule.applies_to == case.name());
        Ok(ours.map_or_else(|| built_in(case).tiers(case, start), |rule| rule.tiers(case, start)))
    }
}

async fn ours(transaction: &Transaction, service: Option<Uuid>) -> Result<Vec<Rule>, DatabaseError> {
    let sql = "SELECT applies_to, id::text, name,
                      (extract(epoch FROM free_until) * 1000000)::bigint, (extract(epoch FROM partial_until) * 1000000)::bigint,
                      partial_percent::text, after_percent::text
                 FROM booking_automation_cancellation_policies
                WHERE service_id IS NULL OR service_id = $1
                ORDER BY service_id NULLS LAST";
    let rows = transaction.query(sql, &[(&service, Type::UUID)]).await?;
    let lead = |row: &Row, position| row.get::<_, Option<i64>>(position).map(TimeDelta::microseconds);
    let rule = |row: &Row| Rule {
        applies_to: row.get(0),
        source: OURS,
        id: row.get(1),
        name: row.get(2),
        free_until: lead(row, 3),
        partial: lead(row, 4).zip(row.get(5)),
        after_percent: row.get(6),
    };
    Ok(rows.iter().map(rule).collect())
}

impl Rule {
    fn tiers(&self, case: Case, start: DateTime<Utc>) -> Vec<Tier> {
        let policy = Policy { source: self.source, id: self.id.clone(), name: self.name.clone(), applies_to: case };
        let tier = |percent: &str, after, until| Tier {
            policy: policy.clone(),
            percent: percent.to_owned(),
            after,
            until,
            statuses: Vec::new(),
        };
        let free = self.free_until.map(|lead| (lead, "100"));
        let partial = self.partial.as_ref().map(|(lead, percent)| (*lead, percent.as_str()));
        let mut after = None;
        let mut tiers = Vec::new();
        for (lead, percent) in free.into_iter().chain(partial) {
            let until = Some(start - lead);
            tiers.push(tier(percent, after, until));
            after = until;
        }
        tiers.push(tier(&self.after_percent, after, None));
        tiers
    }
}

/// None where the user has no such table, or nothing in force in it. One that is not as it should be is named.
async fn theirs(
    transaction: &Transaction,
    start: DateTime<Utc>,
) -> Result<Result<Vec<Tier>, Undecided>, DatabaseError> {
    let row = transaction.query_one(include_str!("policy_tables.sql"), &[]).await?;
    let (policies, conditions): (bool, bool) = (row.get(0), row.get(1));
    let (unreadable, missing): (Vec<String>, Vec<String>) = (row.get(2), row.get(3));
    if !policies {
        return Ok(Ok(Vec::new()));
    }
    if !unreadable.is_empty() {
        let what = unreadable.join(" and ");
        return Ok(Err(Undecided::Setup(format!(
            "this program may not read all of {what}, which decides what is refunded"
        ))));
    }
    let conditions = if conditions { "public.cancellation_policy_conditions" } else { "(SELECT WHERE false)" };
    let sql = include_str!("their_policies.sql").replace("{conditions}", conditions);
    let rows = transaction.query(&sql, &[]).await?;
    if !rows.is_empty() && !missing.is_empty() {
        let what = missing.join(", ");
        return Ok(Err(Undecided::Setup(format!("{THEIRS} decides what is refunded, and there is no {what}"))));
    }
    Ok(rows.iter().map(|row| their_tier(row, start)).collect())
}

/// An active row of theirs: from at least so long before the start, until less than so long. Named where it says what cannot
/// be understood.
fn their_tier(row: &Row, start: DateTime<Utc>) -> Result<Tier, Undecided> {
    let text = |position| row.get::<_, Option<String>>(position);
    let title = text(1).or_else(|| text(0)).unwrap_or_default();
    let wrong = |what: &str| Undecided::Data(format!("the row {title:?} of {THEIRS} cannot be understood: {what}"));
    let number = |text: &str, most: f64| text.parse::<f64>().ok().filter(|number| number.abs() <= most);
    // Of hours and minutes, that is: exact to the microsecond. The percentage stays a text.
    let lead = |what: &str, text: Option<String>, seconds: f64| match text {
        None => Ok(None),
        Some(text) => match number(&text, MOST_HOURS * 3600.0 / seconds) {
            Some(number) => Ok(Some(TimeDelta::microseconds((number * seconds * 1e6).round() as i64))),
            None => Err(wrong(&format!("{what} is {text:?}"))),
        },
    };
    let percent = text(2).filter(|text| is_amount(text) && number(text, 100.0).is_some());
    let percent = percent.ok_or_else(|| wrong("refund_percentage is not from 0 to 100"))?;
    let mut at_least = lead("min_hours_before", text(3), 3600.0)?;
    let mut less_than = lead("max_hours_before", text(4), 3600.0)?;
    let mut statuses = Vec::new();
    let conditions: Vec<(Option<String>, Option<String>)> =
        serde_json::from_value(row.get(5)).map_err(|_| wrong("its conditions"))?;
    for (kind, value) in conditions {
        let kind = kind.unwrap_or_default();
        match (kind.as_str(), value) {
            (_, None) => return Err(wrong(&format!("its condition {kind:?} has no value"))),
            ("booking_status", Some(status)) => statuses.push(status),
            ("min_time_before_start", value) => at_least = at_least.max(lead(&kind, value, 60.0)?),
            ("max_time_before_start", value) => {
                less_than = [less_than, lead(&kind, value, 60.0)?].into_iter().flatten().min();
            }
            _ => return Err(wrong(&format!("its condition {kind:?} is not known"))),
        }
    }
    Ok(Tier {
        policy: Policy { source: THEIRS, id: text(0), name: title.clone(), applies_to: Case::Customer },
        percent,
        after: less_than.map(|lead| start - lead),
        until: at_least.map(|lead| start - lead),
        statuses,
    })
}

/// A moment, for people and programs.
pub(crate) fn moment(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Whether two decimals are the same amount, however they are written.
pub(crate) fn is_same_amount(one: &str, other: &str) -> bool {
    fn parts(text: &str) -> (&str, &str) {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        (whole.trim_start_matches('0'), fraction.trim_end_matches('0'))
    }
    parts(one) == parts(other)
}

/// Whether a text is an amount: digits, and perhaps a point and more of them.
pub(crate) fn is_amount(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= LONGEST_AMOUNT
        && match text.split_once('.') {
            None => digits(text),
            Some((whole, fraction)) => digits(whole) && digits(fraction),
        }
}
