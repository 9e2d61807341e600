//! Shares of the price, each in force for some time, and how the one that applies is chosen.
//!
//! Hours are elapsed hours, to the microsecond. Boundaries are inclusive: at the moment that a
//! policy names, its share is still refunded.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;
use thiserror::Error;

use crate::bookings::lifecycle::Role;
use crate::primitives::names::named;

/// The user's own policies.
pub(crate) const THEIRS: &str = "cancellation_policies";
/// Longest amount, in characters.
pub(crate) const LONGEST_AMOUNT: usize = 30;
/// The smallest time that the database knows.
pub(crate) const INSTANT: TimeDelta = TimeDelta::microseconds(1);

named! {
    /// Who cancels, which selects the policy.
    pub enum Case {
        /// The person who booked.
        Customer = "customer",
        /// The person who is booked.
        Provider = "provider",
        /// Support, or another program.
        Staff = "staff",
        /// The customer did not come.
        NoShow = "no_show",
    }
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
}

/// Why the refund cannot be determined until something is corrected.
#[derive(Clone, Debug, Error)]
pub(crate) enum RefundUndetermined {
    /// The error is in a row.
    #[error("{0}")]
    Data(String),
    /// The error is in the schema, or in this program's privileges.
    #[error("{0}")]
    Setup(String),
}

/// The policy that a share comes from.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Policy {
    pub(crate) source: &'static str,
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) applies_to: Case,
}

/// A share of the price, and when it applies: after `after`, up to and including `until`.
#[derive(Clone, Debug)]
pub(crate) struct Tier {
    pub(crate) policy: Policy,
    pub(crate) percent: String,
    pub(crate) after: Option<DateTime<Utc>>,
    pub(crate) until: Option<DateTime<Utc>>,
    /// The statuses of a booking that it applies to; empty: any.
    pub(crate) statuses: Vec<String>,
}

impl Tier {
    fn applies_at(&self, moment: DateTime<Utc>, status: &str) -> bool {
        self.after.is_none_or(|after| after < moment)
            && self.until.is_none_or(|until| moment <= until)
            && (self.statuses.is_empty() || self.statuses.iter().any(|fitting| fitting == status))
    }

    /// Whether it is in force whenever the other one is.
    fn contains_period_of(&self, other: &Self) -> bool {
        let longer = |until: DateTime<Utc>| other.until.is_some_and(|other| other <= until);
        self.after <= other.after && self.until.is_none_or(longer)
    }
}

/// Of several matches, the one whose time lies within that of all others.
fn applicable_tier<'a>(
    tiers: &'a [Tier],
    at: DateTime<Utc>,
    status: &str,
) -> Result<&'a Tier, RefundUndetermined> {
    let fitting: Vec<_> = tiers
        .iter()
        .filter(|tier| tier.applies_at(at, status))
        .collect();
    let is_wider = |tier: &Tier| {
        fitting
            .iter()
            .any(|other| tier.contains_period_of(other) && !other.contains_period_of(tier))
    };
    let narrowest: Vec<_> = fitting
        .iter()
        .copied()
        .filter(|tier| !is_wider(tier))
        .collect();
    let Some((first, others)) = narrowest.split_first() else {
        return Err(RefundUndetermined::Data(format!(
            "no active row of {THEIRS} applies to a booking that is {status} and cancelled at {}",
            format_moment(at)
        )));
    };
    match others
        .iter()
        .find(|other| !is_same_amount(&other.percent, &first.percent))
    {
        None => Ok(*first),
        Some(other) => Err(RefundUndetermined::Data(format!(
            "the rows {:?} and {:?} of {THEIRS} contradict each other: {} % or {} % at {}",
            first.policy.name,
            other.policy.name,
            first.percent,
            other.percent,
            format_moment(at)
        ))),
    }
}

/// The tier that applies at a moment, and the last moment at which it does.
pub(crate) fn in_force<'a>(
    tiers: &'a [Tier],
    at: DateTime<Utc>,
    status: &str,
) -> Result<(&'a Tier, Option<DateTime<Utc>>), RefundUndetermined> {
    let tier = applicable_tier(tiers, at, status)?;
    let mut boundaries: Vec<_> = tiers
        .iter()
        .flat_map(|tier| [tier.after, tier.until])
        .flatten()
        .collect();
    boundaries.sort_unstable();
    let is_last = |boundary: &DateTime<Utc>| {
        !applicable_tier(tiers, *boundary + INSTANT, status)
            .is_ok_and(|next| std::ptr::eq(next, tier))
    };
    Ok((
        tier,
        boundaries
            .into_iter()
            .filter(|boundary| *boundary >= at)
            .find(is_last),
    ))
}

/// Formats a moment for people and programs.
pub(crate) fn format_moment(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Whether two decimals are the same amount, however they are written.
pub(crate) fn is_same_amount(one: &str, other: &str) -> bool {
    fn parts(text: &str) -> (&str, &str) {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        (
            whole.trim_start_matches('0'),
            fraction.trim_end_matches('0'),
        )
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
