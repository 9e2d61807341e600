//! Reads the user's own `cancellation_policies`, and refuses what it cannot interpret.

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::Row;

use crate::bookings::cancellation::tiers::{
    Case, Policy, RefundUndetermined, THEIRS, Tier, is_amount,
};
use crate::database::{DatabaseError, Transaction};

/// Most hours before the start in a policy of the user: more than a century.
const MOST_HOURS: f64 = 1_000_000.0;
/// Empty if the user has no such table, or no active row. An error names the row that is wrong.
pub(crate) async fn tiers(
    transaction: &Transaction,
    start: DateTime<Utc>,
) -> Result<Result<Vec<Tier>, RefundUndetermined>, DatabaseError> {
    let row = transaction
        .query_one(include_str!("policy_tables.sql"), &[])
        .await?;
    let (policies, conditions): (bool, bool) = (row.get("has_policies"), row.get("has_conditions"));
    let (unreadable, missing): (Vec<String>, Vec<String>) =
        (row.get("unreadable"), row.get("missing"));
    if !policies {
        return Ok(Ok(Vec::new()));
    }
    if !unreadable.is_empty() {
        let what = unreadable.join(" and ");
        return Ok(Err(RefundUndetermined::Setup(format!(
            "the refund depends on {what}, but this program may not read all of it"
        ))));
    }
    let conditions = if conditions {
        "public.cancellation_policy_conditions"
    } else {
        "(SELECT WHERE false)"
    };
    let sql = include_str!("their_policies.sql").replace("{conditions}", conditions);
    let rows = transaction.query(&sql, &[]).await?;
    if !rows.is_empty() && !missing.is_empty() {
        let what = missing.join(", ");
        return Ok(Err(RefundUndetermined::Setup(format!(
            "the refund depends on {THEIRS}, but there is no {what}"
        ))));
    }
    Ok(rows.iter().map(|row| their_tier(row, start)).collect())
}

/// An active row: it applies from its `min_hours_before` up to less than its `max_hours_before`
/// before the start. An error names the row that cannot be interpreted.
fn their_tier(row: &Row, start: DateTime<Utc>) -> Result<Tier, RefundUndetermined> {
    let text = |column| row.get::<_, Option<String>>(column);
    let title = text("title").or_else(|| text("id")).unwrap_or_default();
    let conditions = row.get("conditions");
    let row_named = TheirRow { title: &title };
    let percent = text("refund_percentage")
        .filter(|text| is_amount(text) && number_up_to(text, 100.0).is_some())
        .ok_or_else(|| row_named.cannot_interpret("refund_percentage is not from 0 to 100"))?;
    let mut at_least = row_named.lead("min_hours_before", text("min_hours_before"), 3600.0)?;
    let mut less_than = row_named.lead("max_hours_before", text("max_hours_before"), 3600.0)?;
    let mut statuses = Vec::new();
    let conditions: Vec<(Option<String>, Option<String>)> = serde_json::from_value(conditions)
        .map_err(|_| row_named.cannot_interpret("its conditions"))?;
    for (kind, value) in conditions {
        let kind = kind.unwrap_or_default();
        match (kind.as_str(), value) {
            (_, None) => {
                return Err(
                    row_named.cannot_interpret(&format!("its condition {kind:?} has no value"))
                );
            }
            ("booking_status", Some(status)) => statuses.push(status),
            ("min_time_before_start", value) => {
                at_least = at_least.max(row_named.lead(&kind, value, 60.0)?);
            }
            ("max_time_before_start", value) => {
                let both = [less_than, row_named.lead(&kind, value, 60.0)?];
                less_than = both.into_iter().flatten().min();
            }
            _ => {
                return Err(
                    row_named.cannot_interpret(&format!("its condition {kind:?} is not known"))
                );
            }
        }
    }
    Ok(Tier {
        policy: Policy {
            source: THEIRS,
            id: text("id"),
            name: title.clone(),
            applies_to: Case::Customer,
        },
        percent,
        after: less_than.map(|lead| start - lead),
        until: at_least.map(|lead| start - lead),
        statuses,
    })
}

/// A row, by the title that errors name.
struct TheirRow<'a> {
    title: &'a str,
}

impl TheirRow<'_> {
    fn cannot_interpret(&self, what: &str) -> RefundUndetermined {
        let title = self.title;
        RefundUndetermined::Data(format!(
            "the row {title:?} of {THEIRS} cannot be understood: {what}"
        ))
    }

    /// A time of hours or minutes, exact to the microsecond.
    fn lead(
        &self,
        what: &str,
        text: Option<String>,
        seconds: f64,
    ) -> Result<Option<TimeDelta>, RefundUndetermined> {
        let Some(text) = text else { return Ok(None) };
        let number = number_up_to(&text, MOST_HOURS * 3600.0 / seconds)
            .ok_or_else(|| self.cannot_interpret(&format!("{what} is {text:?}")))?;
        let microseconds = (number * seconds * 1e6).round() as i64;
        Ok(Some(TimeDelta::microseconds(microseconds)))
    }
}

fn number_up_to(text: &str, most: f64) -> Option<f64> {
    text.parse::<f64>()
        .ok()
        .filter(|number| number.abs() <= most)
}
