//! What time will make of bookings if nobody changes anything: for the timeline, the preview, and whoever asks what comes next.

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::lifecycle;
use crate::bookings::transitions::{self, END, NOT_REFUSED, Step};
use crate::config::PassSettings;
use crate::database::{Parameter, Result, Transaction};

/// Steps that time makes of one booking at most, one after the other.
const LONGEST_LIFE: usize = 4;

/// How far one booking's life is looked ahead.
const FAR_AWAY: TimeDelta = TimeDelta::days(36_500);

/// SQL of a query `life` of the steps that the coming passes take if nobody changes anything: `booking_id`, `from_status`,
/// `to_status`, and `at`, when each is due, or `$1` if it is by then. Every booking is taken through the pass's own conditions, at
/// each moment at which one of them can change. What the limit of a pass puts off is not told.
///
/// `$1` as_of, `$2` until, `$3` the one booking (NULL: all), `$4` EXPIRE_AFTER and `$5` COMPLETE_AFTER in seconds.
pub(crate) fn life(settings: &PassSettings) -> String {
    let first: Vec<_> = transitions::steps(settings)
        .map(|step| {
            let blocked = if step.order == END { "AND b.auto_complete_blocked IS NOT TRUE" } else { "" };
            let Step { edge: lifecycle::Step { from, .. }, order, .. } = step;
            format!("SELECT b.id, b.status FROM bookings b WHERE b.status = '{from}' AND {order} <= $2 {blocked} AND ($3::uuid IS NULL OR b.id = $3)")
        })
        .collect();
    let next: Vec<_> = transitions::steps(settings)
        .enumerate()
        .map(|(order, step)| {
            let Step { edge: lifecycle::Step { from, to, .. }, .. } = step;
            let due = format!("{} AND {NOT_REFUSED}", step.condition())
                .replace("$1", "m.at")
                .replace("$2", "(m.at - make_interval(secs => $4))")
                .replace("$3", "(m.at - make_interval(secs => $5))");
            format!("SELECT '{to}', m.at, {order} FROM moment m WHERE b.status = '{from}' AND {due}")
        })
        .collect();
    format!(
        "WITH RECURSIVE life AS (
             -- As they are now: UNION tells each once.
             SELECT id AS booking_id, NULL AS from_status, status AS to_status, $1::timestamptz AS at, 0 AS steps
               FROM ({first}) AS b
             UNION ALL
             SELECT l.booking_id, l.to_status, next.status, next.at, l.steps + 1
               FROM life l
              CROSS JOIN LATERAL (
                     SELECT r.id, l.to_status AS status, r.scheduled_at, r.duration_minutes, r.auto_complete_blocked
                       FROM bookings r WHERE r.id = l.booking_id) AS b
              CROSS JOIN LATERAL (
                     WITH moment AS (
                         SELECT moment.at
                           FROM (VALUES (l.at), (b.scheduled_at), ({END} + make_interval(secs => $4)), ({END} + make_interval(secs => $5)),
                                        ((SELECT s.unblocked_at FROM booking_automation_state s WHERE s.booking_id = b.id) + make_interval(secs => $4)),
                                        ((SELECT max(f.next_attempt_at) FROM booking_automation_events f
                                           WHERE f.booking_id = b.id AND f.event_type = 'status_update' AND f.status = 'failed'))) AS moment (at)
                          WHERE moment.at BETWEEN l.at AND $2)
                     {next}
                      ORDER BY 2, 3
                      LIMIT 1) AS next (status, at, step)
              WHERE l.steps < {LONGEST_LIFE}
         )",
        first = first.join(" UNION "),
        next = next.join(" UNION ALL "),
    )
}

/// `$1` to `$5` of [`life`].
pub(crate) struct Coming {
    as_of: DateTime<Utc>,
    until: DateTime<Utc>,
    booking_id: Option<Uuid>,
    expire_after: f64,
    complete_after: f64,
}

impl Coming {
    pub(crate) fn new(
        settings: &PassSettings,
        as_of: DateTime<Utc>,
        until: DateTime<Utc>,
        booking_id: Option<Uuid>,
    ) -> Self {
        let (expire_after, complete_after) =
            (settings.expire_after.as_secs_f64(), settings.complete_after.as_secs_f64());
        Self { as_of, until, booking_id, expire_after, complete_after }
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
pub(crate) struct ToCome {
    pub(crate) at: DateTime<Utc>,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// [`life`] of one booking.
pub(crate) async fn life_of(
    transaction: &Transaction,
    settings: &PassSettings,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
) -> Result<Vec<ToCome>> {
    let sql = format!("{} SELECT at, from_status, to_status FROM life WHERE steps > 0 ORDER BY steps", life(settings));
    let coming = Coming::new(settings, as_of, as_of + FAR_AWAY, Some(booking_id));
    let rows = transaction.query(&sql, &coming.parameters()).await?;
    Ok(rows.iter().map(|row| ToCome { at: row.get(0), from: row.get(1), to: row.get(2) }).collect())
}
