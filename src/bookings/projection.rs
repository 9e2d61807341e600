//! The automatic steps to come if nothing changes: for the timeline, the preview, and a
//! cancellation's deadlines.

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::columns::Column;
use crate::bookings::snapshot::{self, BookingSnapshot};
use crate::bookings::step_rules::StepRules;
use crate::bookings::steps::{END, StepKind};
use crate::database::{Parameter, Result, Transaction};

/// The most automatic steps of one booking in sequence.
const MOST_STEPS: usize = 4;
/// How far one booking is projected.
const FAR_AWAY: TimeDelta = TimeDelta::days(36_500);

const PROJECTION: &str = include_str!("projection.sql");

/// SQL of a query `projection`: `booking_id`, `from_status`, `to_status`, and `at`, when each step
/// is due, or `$1` if it is due by then. It ignores the limit of a pass. Its parameters are those
/// of [`ProjectionWindow`].
pub(crate) fn projection_sql(rules: &StepRules) -> String {
    let bookings: Vec<_> = rules
        .steps()
        .map(|step| {
            let (from, order) = (step.edge.from, step.order);
            let blocked = if order == END {
                format!("AND {}", rules.not_blocked())
            } else {
                String::new()
            };
            let is_live = rules.liveness.condition();
            let reach = match step.kind {
                StepKind::Reopened => format!("{order} > $1 AND {}", rules.may_be_automatic()),
                _ => format!("{order} <= $2"),
            };
            format!(
                "SELECT b.id, b.status FROM public.bookings b
                  WHERE b.status = '{from}' AND {reach} {blocked}
                    AND ($3::uuid IS NULL OR b.id = $3) AND {is_live}"
            )
        })
        .collect();
    let next_steps: Vec<_> = rules
        .steps()
        .enumerate()
        .map(|(order, step)| {
            let (from, to) = (step.edge.from, step.edge.to);
            let due = format!("{} AND {}", step.condition(rules), step.not_refused())
                .replace("$1", "m.at")
                .replace("$2", "(m.at - make_interval(secs => $4))")
                .replace("$3", "(m.at - make_interval(secs => $5))");
            format!(
                "SELECT '{to}', m.at, {order} FROM moment m WHERE b.status = '{from}' AND {due}"
            )
        })
        .collect();
    let flags = [
        (Column::AutoCompleteBlocked, ", r.auto_complete_blocked"),
        (Column::AutoStatusUpdated, ", r.auto_status_updated"),
    ];
    let flags = flags
        .into_iter()
        .filter(|(column, _)| rules.columns.has(*column));
    PROJECTION
        .replace("{bookings}", &bookings.join(" UNION "))
        .replace("{next_steps}", &next_steps.join(" UNION ALL "))
        .replace("{most_steps}", &MOST_STEPS.to_string())
        .replace("{flags}", &flags.map(|(_, sql)| sql).collect::<String>())
        .replace(END, rules.end())
}

/// `$1` to `$5` of [`projection_sql`].
pub(crate) struct ProjectionWindow {
    as_of: DateTime<Utc>,
    until: DateTime<Utc>,
    booking_id: Option<Uuid>,
    expire_after: f64,
    complete_after: f64,
}

impl ProjectionWindow {
    pub(crate) fn new(
        rules: &StepRules,
        as_of: DateTime<Utc>,
        until: DateTime<Utc>,
        booking_id: Option<Uuid>,
    ) -> Self {
        let expire_after = rules.settings.expire_after.as_secs_f64();
        let complete_after = rules.settings.complete_after.as_secs_f64();
        Self {
            as_of,
            until,
            booking_id,
            expire_after,
            complete_after,
        }
    }

    pub(crate) fn parameters(&self) -> [Parameter<'_>; 5] {
        [
            (&self.as_of, Type::TIMESTAMPTZ),
            (&self.until, Type::TIMESTAMPTZ),
            (&self.booking_id, Type::UUID),
            (&self.expire_after, Type::FLOAT8),
            (&self.complete_after, Type::FLOAT8),
        ]
    }
}

/// A step to come.
pub(crate) struct ProjectedStep {
    pub(crate) at: DateTime<Utc>,
    pub(crate) from: String,
    pub(crate) to: String,
}

pub(crate) fn steps_sql(rules: &StepRules) -> String {
    let projection = projection_sql(rules);
    format!(
        "{projection}
         SELECT at, from_status, to_status FROM projection WHERE steps > 0 ORDER BY steps"
    )
}

/// The steps of one booking.
pub(crate) async fn projected_steps(
    transaction: &Transaction,
    rules: &StepRules,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
) -> Result<Vec<ProjectedStep>> {
    let sql = steps_sql(rules);
    let window = ProjectionWindow::new(rules, as_of, as_of + FAR_AWAY, Some(booking_id));
    let rows = transaction.query(&sql, &window.parameters()).await?;
    Ok(rows
        .iter()
        .map(|row| ProjectedStep {
            at: row.get("at"),
            from: row.get("from_status"),
            to: row.get("to_status"),
        })
        .collect())
}

/// The booking as a status change would find it now, and after each automatic step to come. It
/// neither locks nor writes. `None`: there is no such booking.
pub(crate) async fn projected_states(
    transaction: &Transaction,
    rules: &StepRules,
    as_of: DateTime<Utc>,
    id: Uuid,
) -> Result<Option<Vec<(DateTime<Utc>, BookingSnapshot)>>> {
    let Some(now) = snapshot::read(transaction, id, as_of).await? else {
        return Ok(None);
    };
    let steps = projected_steps(transaction, rules, as_of, id).await?;
    let mut moments: Vec<_> = steps
        .iter()
        .map(|step| step.at)
        .chain(now.start)
        .filter(|at| *at > as_of)
        .collect();
    moments.push(as_of);
    moments.sort_unstable();
    moments.dedup();
    let at = |moment| BookingSnapshot {
        status: steps
            .iter()
            .rfind(|step| step.at <= moment)
            .map_or(&now.status, |step| &step.to)
            .clone(),
        start: now.start,
        has_started: now.has_started || now.start.is_some_and(|start| start <= moment),
    };
    Ok(Some(
        moments
            .into_iter()
            .map(|moment| (moment, at(moment)))
            .collect(),
    ))
}
