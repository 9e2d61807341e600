//! The marks that keep passes from reading past bookings that are not live, which the automation
//! never changes.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::steps::StepRules;
use crate::database::owner_functions::Liveness;
use crate::database::{Result, Transaction};

/// Bookings of the latest hour are never behind a mark.
const SHORTEST_WAIT: Duration = Duration::from_secs(3600);

/// Marks how far back the past bookings are not live, for the passes of the next hour.
pub(crate) async fn mark_not_live(
    transaction: &Transaction,
    rules: &StepRules,
    as_of: DateTime<Utc>,
) -> Result<()> {
    if rules.liveness == Liveness::Unknown {
        return Ok(());
    }
    let sql = mark_not_live_sql(rules);
    let wait = rules.settings.expire_after.max(SHORTEST_WAIT);
    let overdue = as_of - TimeDelta::from_std(wait).unwrap_or_default();
    let mark = async |transaction: &Transaction| {
        transaction
            .execute(
                &sql,
                &[(&as_of, Type::TIMESTAMPTZ), (&overdue, Type::TIMESTAMPTZ)],
            )
            .await
    };
    let marked = transaction
        .in_savepoint(transaction.statement_timeout() / 2, mark)
        .await;
    match marked {
        // It only makes passes faster: its failure must not stop the rest of the sweep.
        Err(error) if error.is_of_a_row() => {
            tracing::error!(
                error = error.loggable(),
                "the bookings that are not live could not be marked; the next sweep tries again"
            );
            Ok(())
        }
        marked => marked.map(|_| ()),
    }
}

pub(crate) fn mark_not_live_sql(rules: &StepRules) -> String {
    let mut past: Vec<String> = Vec::new();
    for step in rules.steps() {
        let of_status = step.past_sql(rules);
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
