//! The rules of digests, and the days of people's clocks whose digests are due.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio_postgres::Row;

use crate::database::owner_functions::Liveness;
use crate::primitives::zones::moment_of;

/// Longest time by which a digest is late; then it is not sent.
const LATEST: TimeDelta = TimeDelta::hours(1);
/// The offsets of all zones from UTC are multiples of this.
const QUARTER: i64 = 15 * 60;
/// The hour from which on a digest is of the next day.
const NOON: i8 = 12;
/// By how many hours a day may be longer than 24.
const LONGEST_CHANGE: i64 = 3;

/// SQL of a query of one row, which [`DigestRules::of`] reads. Before `migrate` of 0.3.0, there are
/// no rules.
pub(crate) fn rules_sql(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Known | Liveness::Singly => include_str!("digest_rules.sql"),
        Liveness::Unknown => {
            "SELECT NULL::text[] AS digest_rules, NULL::text[] AS digest_audiences,
                    NULL::integer[] AS digest_hours,
                    NULL::float8[] AS digests_since, NULL::text AS digest_version,
                    NULL::float8 AS digests_looked_through"
        }
    }
}

/// A rule in force.
#[derive(Clone, Debug)]
pub(crate) struct DigestRule {
    pub(crate) name: String,
    pub(crate) audience: String,
    /// Of the person's clock.
    pub(crate) hour: i8,
    /// Since when, in seconds.
    since: f64,
}

/// The rules in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct DigestRules {
    pub(crate) rules: Vec<DigestRule>,
    /// A digest of them.
    pub(crate) version: Option<String>,
    /// Up to when passes have decided by exactly these rules, in seconds.
    looked_through: Option<f64>,
}

impl DigestRules {
    /// From a row of [`rules_sql`].
    pub(crate) fn of(row: &Row) -> Self {
        let names: Option<Vec<Option<String>>> = row.get("digest_rules");
        let audiences: Option<Vec<Option<String>>> = row.get("digest_audiences");
        let hours: Option<Vec<Option<i32>>> = row.get("digest_hours");
        let since: Option<Vec<Option<f64>>> = row.get("digests_since");
        let rules = names
            .into_iter()
            .flatten()
            .zip(audiences.into_iter().flatten())
            .zip(hours.into_iter().flatten())
            .zip(since.into_iter().flatten());
        let rules = rules.filter_map(|(((name, audience), hour), since)| {
            Some(DigestRule {
                name: name?,
                audience: audience?,
                hour: i8::try_from(hour?).ok()?,
                since: since?,
            })
        });
        Self {
            rules: rules.collect(),
            version: row.get("digest_version"),
            looked_through: row.get("digests_looked_through"),
        }
    }

    /// Whether a digest may be due.
    pub(crate) fn may_be_due(&self, as_of: DateTime<Utc>) -> bool {
        let quarter = as_of.timestamp().div_euclid(QUARTER) * QUARTER;
        !self.rules.is_empty() && quarter > self.since(as_of).timestamp()
    }

    /// Digests due later than this have no decisions yet.
    pub(crate) fn since(&self, as_of: DateTime<Utc>) -> DateTime<Utc> {
        let decided = self
            .looked_through
            .filter(|at| at.is_finite())
            .and_then(|at| DateTime::from_timestamp(at.floor() as i64, 0));
        let earliest = as_of - LATEST;
        // What lies ahead was written before the clock was set back.
        decided
            .filter(|at| earliest < *at && *at <= as_of)
            .unwrap_or(earliest)
    }

    /// Before when the bookings start that may be in a digest which is due.
    pub(crate) fn until(&self, as_of: DateTime<Utc>) -> DateTime<Utc> {
        let hours = self.rules.iter().map(|rule| match rule.hour < NOON {
            true => 24 - i64::from(rule.hour),
            false => 48 - i64::from(rule.hour),
        });
        as_of + TimeDelta::hours(hours.max().unwrap_or_default() + LONGEST_CHANGE)
    }

    pub(crate) fn audiences(&self) -> Vec<&str> {
        let mut audiences: Vec<_> = self.rules.iter().map(|rule| &rule.audience[..]).collect();
        audiences.sort_unstable();
        audiences.dedup();
        audiences
    }
}

/// A day of a person's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalDay {
    pub(crate) date: NaiveDate,
    pub(crate) begins: DateTime<Utc>,
    pub(crate) ends: DateTime<Utc>,
    /// When the digest of the day is due.
    pub(crate) due_at: DateTime<Utc>,
}

impl DigestRule {
    /// Whether it was in force at this moment.
    pub(crate) fn is_in_force(&self, at: DateTime<Utc>) -> bool {
        self.since <= at.timestamp() as f64
    }
}

impl LocalDay {
    /// The days of which digests became due after `since`. Mostly none or one; two, where a zone
    /// leaves out a day.
    pub(crate) fn due(
        zone: &TimeZone,
        hour: i8,
        since: DateTime<Utc>,
        as_of: DateTime<Utc>,
    ) -> Vec<Self> {
        let Ok(now) = Timestamp::from_second(as_of.timestamp()) else {
            return Vec::new();
        };
        let today = zone.to_datetime(now).date();
        let days = [today.yesterday().ok(), Some(today)];
        let days = days.into_iter().flatten().filter_map(|date| {
            let due_at = utc(moment_of(zone, date, hour)?)?;
            if due_at <= since || as_of < due_at {
                return None;
            }
            let date = match hour < NOON {
                true => date,
                false => date.tomorrow().ok()?,
            };
            Some(Self {
                date: NaiveDate::from_ymd_opt(
                    date.year().into(),
                    date.month().unsigned_abs().into(),
                    date.day().unsigned_abs().into(),
                )?,
                begins: utc(moment_of(zone, date, 0)?)?,
                ends: utc(moment_of(zone, date.tomorrow().ok()?, 0)?)?,
                due_at,
            })
        });
        days.collect()
    }
}

fn utc(moment: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(moment.as_second(), 0)
}
