//! The marks that keep passes from reading past bookings that are not live, which the automation
//! never changes.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::step_rules::StepRules;
use crate::bookings::steps::StepKind;
use crate::database::owner_functions::Liveness;
use crate::database::{Result, Transaction};

/// Bookings of the latest hour are never behind a mark.
const SHORTEST_WAIT: Duration = Duration::from_secs(3600);

/// The bookings of each status that are read at once.
#[derive(Clone, Copy)]
pub(crate) struct MarkPart {
    pub(crate) size: i64,
    /// From the beginning; otherwise from the marks on that passes heed.
    pub(crate) is_first: bool,
}

/// Marks how far back the past bookings are not live, for the passes of the next hour. Returns
/// whether the marks can move on.
pub(crate) async fn mark_not_live(
    transaction: &Transaction,
    rules: &StepRules,
    as_of: DateTime<Utc>,
    part: MarkPart,
) -> Result<bool> {
    if rules.liveness == Liveness::Unknown {
        return Ok(false);
    }
    let wait = rules.settings.expire_after.max(SHORTEST_WAIT);
    let overdue = as_of - TimeDelta::from_std(wait).unwrap_or_default();
    let parameters = [
        (&as_of as _, Type::TIMESTAMPTZ),
        (&overdue as _, Type::TIMESTAMPTZ),
        (&part.size as _, Type::INT8),
        (&part.is_first as _, Type::BOOL),
    ];
    let row = transaction
        .query_one(&mark_not_live_sql(rules), &parameters)
        .await?;
    Ok(row.get("more"))
}

pub(crate) fn mark_not_live_sql(rules: &StepRules) -> String {
    let mut past: Vec<String> = Vec::new();
    // What goes back to `confirmed` lies ahead, behind no mark.
    for step in rules.steps().filter(|step| step.kind != StepKind::Reopened) {
        let of_status = format!("({})", step.past_sql(rules));
        if !past.contains(&of_status) {
            past.push(of_status);
        }
    }
    include_str!("mark_not_live.sql").replace("{past}", &past.join("\n    UNION ALL\n    "))
}

/// Lets the next pass look at this booking, too.
pub(crate) async fn lower_marks(
    transaction: &Transaction,
    rules: &StepRules,
    booking_id: Uuid,
) -> Result<()> {
    if rules.liveness == Liveness::Known {
        let sql = "UPDATE public.booking_automation_not_live m SET before = b.scheduled_at
                     FROM public.bookings b
                    WHERE b.id = $1 AND b.scheduled_at < m.before";
        transaction
            .execute(sql, &[(&booking_id, Type::UUID)])
            .await?;
    }
    Ok(())
}
