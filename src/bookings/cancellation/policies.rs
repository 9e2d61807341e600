//! Policies: which part of a booking's price is refunded when it is cancelled.
//!
//! For customers, the user's own `cancellation_policies` apply, if any is active. Otherwise
//! `booking_automation_cancellation_policies` applies, the service's row before the default row;
//! otherwise the built-in policy. Ambiguous data is refused with its name: a delayed cancellation
//! is better than a wrong refund.

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::cancellation::their_policies;
use crate::bookings::cancellation::tiers::{Case, Policy, RefundUndetermined, Tier};
use crate::database::{DatabaseError, Transaction};

/// Our own policies.
const OURS: &str = "booking_automation_cancellation_policies";

/// The policies that may apply to one booking.
pub(crate) struct Policies {
    start: Option<DateTime<Utc>>,
    /// The service's rows, then the default rows.
    ours: Vec<Rule>,
    /// Empty: the user has no policies.
    theirs: Result<Vec<Tier>, RefundUndetermined>,
}

/// One of our rows: how long before the start everything is refunded, how long a part, and which
/// part.
struct Rule {
    applies_to: String,
    source: &'static str,
    id: Option<String>,
    name: String,
    free_until: Option<TimeDelta>,
    partial: Option<(TimeDelta, String)>,
    after_percent: String,
}

/// The policy without any row: a customer gets everything back until a day before the start, half
/// until twelve hours before, and then nothing; a no-show gets nothing. If the provider or staff
/// cancels, everything is refunded.
fn built_in(case: Case) -> Rule {
    let (free_until, partial, after_percent) = match case {
        Case::Customer => (
            Some(TimeDelta::hours(24)),
            Some((TimeDelta::hours(12), "50".to_owned())),
            "0",
        ),
        Case::Provider | Case::Staff => (None, None, "100"),
        Case::NoShow => (None, None, "0"),
    };
    Rule {
        applies_to: case.as_str().to_owned(),
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
            ours: read_our_policies(transaction, service).await?,
            theirs: their_policies::tiers(transaction, start.unwrap_or_default()).await?,
        })
    }

    /// The possible refunds in a case, and when each applies.
    pub(crate) fn tiers(&self, case: Case) -> Result<Vec<Tier>, RefundUndetermined> {
        let Some(start) = self.start else {
            return Err(RefundUndetermined::Data(
                "the booking's scheduled_at is out of range, so hours before it cannot be counted"
                    .into(),
            ));
        };
        if case == Case::Customer {
            let theirs = self.theirs.clone()?;
            if !theirs.is_empty() {
                return Ok(theirs);
            }
        }
        let ours = self
            .ours
            .iter()
            .find(|rule| rule.applies_to == case.as_str());
        Ok(ours.map_or_else(
            || built_in(case).tiers(case, start),
            |rule| rule.tiers(case, start),
        ))
    }
}

async fn read_our_policies(
    transaction: &Transaction,
    service: Option<Uuid>,
) -> Result<Vec<Rule>, DatabaseError> {
    let sql = "SELECT applies_to, id::text AS id, name,
                      (extract(epoch FROM free_until) * 1000000)::bigint AS free_until,
                      (extract(epoch FROM partial_until) * 1000000)::bigint AS partial_until,
                      partial_percent::text AS partial_percent, after_percent::text AS after_percent
                 FROM public.booking_automation_cancellation_policies
                WHERE service_id IS NULL OR service_id = $1
                ORDER BY service_id NULLS LAST";
    let rows = transaction.query(sql, &[(&service, Type::UUID)]).await?;
    let lead = |row: &Row, column| {
        row.get::<_, Option<i64>>(column)
            .map(TimeDelta::microseconds)
    };
    let rule = |row: &Row| Rule {
        applies_to: row.get("applies_to"),
        source: OURS,
        id: row.get("id"),
        name: row.get("name"),
        free_until: lead(row, "free_until"),
        partial: lead(row, "partial_until").zip(row.get("partial_percent")),
        after_percent: row.get("after_percent"),
    };
    Ok(rows.iter().map(rule).collect())
}

impl Rule {
    fn tiers(&self, case: Case, start: DateTime<Utc>) -> Vec<Tier> {
        let policy = Policy {
            source: self.source,
            id: self.id.clone(),
            name: self.name.clone(),
            applies_to: case,
        };
        let tier = |percent: &str, after, until| Tier {
            policy: policy.clone(),
            percent: percent.to_owned(),
            after,
            until,
            statuses: Vec::new(),
        };
        let free = self.free_until.map(|lead| (lead, "100"));
        let partial = self
            .partial
            .as_ref()
            .map(|(lead, percent)| (*lead, percent.as_str()));
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
