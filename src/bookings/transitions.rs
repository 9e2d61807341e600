//! Status changes that time makes: which, when, and one set-based statement for each.
//!
//! The same conditions make the UPDATE, the question whether anything is due, and the count that
//! `--dry-run`, `migrate` and the summary's `remaining` show.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::lifecycle;
use crate::config::PassSettings;
use crate::database::{DatabaseError, Parameter, Result, Transaction};

/// Status changes that one pass makes at most, over all steps.
pub const LIMIT: i64 = 50_000;
/// What is due is counted up to here, each kind: beyond it the exact number is not worth the reading.
const COUNT_LIMIT: i64 = 1_000_000;
/// How long a booking whose change the database refused (a constraint or trigger of the user's) is left
/// alone. Others go on meanwhile.
const REFUSED_FOR: Duration = Duration::from_secs(3600);
/// By how much fewer bookings are tried at a time when a statement takes too long: 50 000, 3 125, 195, 12.
const SLOW_DIVISOR: i64 = 16;
/// Each may take this part of the pass's statement time, itself a quarter of the call's: when the smallest
/// has its turn, half of the time for transitions is left.
const SLOW_ATTEMPTS: u32 = 4;
/// Statements that one pass spends on finding the bookings whose change is refused.
const ISOLATION_STATEMENTS: usize = 100;

/// One kind of change. In the SQL, `b` is the booking; `$1` is `as_of`, `$2` is `as_of − EXPIRE_AFTER`,
/// `$3` is `as_of − COMPLETE_AFTER`.
pub(crate) struct Step {
    /// From which status to which.
    pub(crate) edge: lifecycle::Step,
    /// Of the booking's own columns.
    due: &'static str,
    /// When it became due, for the audit trail.
    due_at: &'static str,
    /// What is most overdue comes first: an indexed expression.
    pub(crate) order: &'static str,
    kind: Kind,
}

/// Which number of the summary a step adds to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Started,
    Completed,
    Expired,
    /// As `Expired`, and only where `EXPIRE_PENDING` says so.
    ExpiredPending,
}

pub(crate) const END: &str = "booking_end(b.scheduled_at, b.duration_minutes)";
/// An overdue booking's time counts from when a person unblocked it, if that is later than its end.
const NOT_JUST_UNBLOCKED: &str =
    "NOT EXISTS (SELECT FROM booking_automation_state s WHERE s.booking_id = b.id AND s.unblocked_at > $2)";
/// An overdue booking expires or stays: it must not be taken for one that took place because the earlier
/// step could not have it (somebody held it locked, the limit was reached, the database refused).
const NOT_OVERDUE: &str = "(booking_end(b.scheduled_at, b.duration_minutes) > $2 OR b.auto_complete_blocked IS TRUE
        OR EXISTS (SELECT FROM booking_automation_state s WHERE s.booking_id = b.id AND s.unblocked_at > $2))";
const OVERDUE_AT: &str = "greatest(booking_end(b.scheduled_at, b.duration_minutes),
        (SELECT s.unblocked_at FROM booking_automation_state s WHERE s.booking_id = b.id)) + ($1 - $2)";
/// A person has taken an automatic step back, and not yet let the automation have the booking again.
const NOT_TAKEN_BACK: &str = "NOT (b.auto_complete_blocked IS TRUE AND EXISTS (
        SELECT FROM booking_automation_state s WHERE s.booking_id = b.id AND s.blocked_reason IS NOT NULL))";
/// Bookings whose change the database refused lately.
pub(crate) const NOT_REFUSED: &str = "NOT EXISTS (SELECT FROM booking_automation_events f
        WHERE f.booking_id = b.id AND f.event_type = 'status_update' AND f.status = 'failed' AND f.next_attempt_at > $1)";

/// The table of the design, 3.2, in the order in which it is judged.
const STEPS: [Step; 5] = [
    Step {
        edge: lifecycle::EXPIRE_PENDING,
        due: "b.scheduled_at <= $1",
        due_at: "b.scheduled_at",
        order: "b.scheduled_at",
        kind: Kind::ExpiredPending,
    },
    // A booking never ends before it starts: the bound on the start is what the index serves.
    Step {
        edge: lifecycle::EXPIRE_CONFIRMED,
        due: "b.scheduled_at <= $2 AND booking_end(b.scheduled_at, b.duration_minutes) <= $2 AND b.auto_complete_blocked IS NOT TRUE",
        due_at: OVERDUE_AT,
        order: "b.scheduled_at",
        kind: Kind::Expired,
    },
    Step {
        edge: lifecycle::EXPIRE_STARTED,
        due: "booking_end(b.scheduled_at, b.duration_minutes) <= $2 AND b.auto_complete_blocked IS NOT TRUE",
        due_at: OVERDUE_AT,
        order: END,
        kind: Kind::Expired,
    },
    Step {
        edge: lifecycle::START,
        due: "b.scheduled_at <= $1",
        due_at: "b.scheduled_at",
        order: "b.scheduled_at",
        kind: Kind::Started,
    },
    Step {
        edge: lifecycle::COMPLETE,
        due: "booking_end(b.scheduled_at, b.duration_minutes) <= $3 AND b.auto_complete_blocked IS NOT TRUE",
        due_at: "booking_end(b.scheduled_at, b.duration_minutes) + ($1 - $3)",
        order: END,
        kind: Kind::Completed,
    },
];

/// The steps that these settings let time make.
pub(crate) fn steps(settings: &PassSettings) -> impl Iterator<Item = &'static Step> {
    STEPS.iter().filter(|step| step.is_on(settings))
}

impl Step {
    fn is_on(&self, settings: &PassSettings) -> bool {
        self.kind != Kind::ExpiredPending || settings.expire_pending
    }

    /// Of the booking: tested to find it, and again in the UPDATE.
    pub(crate) fn condition(&self) -> String {
        let due = self.due;
        match self.kind {
            Kind::ExpiredPending => format!("{due} AND {NOT_TAKEN_BACK}"),
            Kind::Expired => format!("{due} AND {NOT_JUST_UNBLOCKED}"),
            Kind::Started => format!("{due} AND {NOT_OVERDUE} AND {NOT_TAKEN_BACK}"),
            Kind::Completed => format!("{due} AND {NOT_OVERDUE}"),
        }
    }

    /// The bookings that are due for this step.
    fn candidates(&self) -> String {
        format!("FROM bookings b WHERE b.status = '{}' AND {} AND {NOT_REFUSED}", self.edge.from, self.condition())
    }

    /// Takes up to `$4` of them, or those of `$5`, and moves them on. `$6` is the run.
    fn update(&self) -> String {
        let Self { edge: lifecycle::Step { from, to, .. }, due_at, order, .. } = self;
        let completed_at = if *to == "completed" { ", completed_at = $1" } else { "" };
        format!(
            "-- The most overdue first. What somebody else holds locked waits for the next pass.
             WITH candidate AS MATERIALIZED (
                 SELECT b.id {candidates} AND ($5::uuid[] IS NULL OR b.id = ANY ($5))
                  ORDER BY {order} LIMIT $4
                    FOR NO KEY UPDATE OF b SKIP LOCKED
             )
             UPDATE bookings b
                SET status = '{to}', auto_status_updated = true{completed_at},
                    -- Whatever was there before stays; our entries are a list.
                    automation_logs = CASE
                        WHEN b.automation_logs IS NULL OR jsonb_typeof(b.automation_logs) = 'null' THEN '[]'::jsonb
                        WHEN jsonb_typeof(b.automation_logs) = 'array' THEN b.automation_logs
                        ELSE jsonb_build_array(b.automation_logs) END || jsonb_build_object('at', $1, 'from', '{from}', 'to', '{to}', 'due_at', {due_at}, 'run_id', $6)
               FROM candidate c
              WHERE b.id = c.id
                -- Tested again: the lock may have shown a newer row.
                AND b.status = '{from}' AND {condition}",
            candidates = self.candidates(),
            condition = self.condition(),
        )
    }
}

/// How many bookings each kind of change moved, or would move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Transitions {
    /// `confirmed → in_progress`.
    pub started: i64,
    /// `in_progress → completed`.
    pub completed: i64,
    /// `→ expired`.
    pub expired: i64,
    /// Due, but beyond this pass's limit, or of bookings that somebody else holds locked.
    pub remaining: i64,
}

impl Transitions {
    fn add(&mut self, kind: Kind, count: i64) {
        match kind {
            Kind::Started => self.started += count,
            Kind::Completed => self.completed += count,
            Kind::Expired | Kind::ExpiredPending => self.expired += count,
        }
    }

    /// How many were made.
    pub(crate) fn made(&self) -> i64 {
        self.started + self.completed + self.expired
    }
}

/// The moments that every decision of a pass is made by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    as_of: DateTime<Utc>,
    expire_before: DateTime<Utc>,
    complete_before: DateTime<Utc>,
}

impl Moments {
    pub(crate) fn new(as_of: DateTime<Utc>, settings: &PassSettings) -> Self {
        // Settings are at most a year: neither conversion nor subtraction can fail.
        let before = |wait: Duration| as_of - TimeDelta::from_std(wait).unwrap_or_default();
        Self { as_of, expire_before: before(settings.expire_after), complete_before: before(settings.complete_after) }
    }

    /// `$1` to `$3` of every statement here.
    pub(crate) fn parameters(&self) -> [Parameter<'_>; 3] {
        [
            (&self.as_of, Type::TIMESTAMPTZ),
            (&self.expire_before, Type::TIMESTAMPTZ),
            (&self.complete_before, Type::TIMESTAMPTZ),
        ]
    }
}

/// SQL of a boolean: is any change due? A few index probes.
pub(crate) fn any_due(settings: &PassSettings) -> String {
    let questions: Vec<_> = steps(settings).map(|step| format!("EXISTS (SELECT {})", step.candidates())).collect();
    questions.join(" OR ")
}

/// Makes the changes that are due, at most [`LIMIT`], and begins none after `until`. A constant number of
/// statements, unless the user's database refuses one or is slow at it.
pub(crate) async fn advance(
    transaction: &Transaction,
    moments: &Moments,
    settings: &PassSettings,
    run_id: Uuid,
    until: Instant,
) -> Result<Transitions> {
    let mut done = Transitions::default();
    let mut pass = Steps { transaction, moments, run_id, until, isolation_statements: ISOLATION_STATEMENTS };
    for step in steps(settings) {
        let changed = pass.advance(step, LIMIT - done.made()).await?;
        done.add(step.kind, changed);
    }
    done.remaining = plan(transaction, moments, settings, COUNT_LIMIT).await?.made();
    if (1..LIMIT).contains(&done.remaining) {
        for step in steps(settings) {
            done.add(step.kind, -pass.record_set_back(step).await?);
        }
    }
    Ok(done)
}

/// Takes the steps that are due for one booking, which has this status and is locked, as the next pass would. Tells whether
/// there were any. What the user's database refuses stays undone.
pub(crate) async fn advance_one(
    transaction: &Transaction,
    moments: &Moments,
    settings: &PassSettings,
    booking_id: Uuid,
    mut status: &str,
) -> Result<bool> {
    let pass = Steps { transaction, moments, run_id: Uuid::nil(), until: Instant::now(), isolation_statements: 0 };
    let mut moved = false;
    for step in steps(settings) {
        if step.edge.from != status {
            continue;
        }
        match pass.in_savepoint(step, 1, Some(&[booking_id])).await {
            Ok(0) => {}
            Ok(_) => (status, moved) = (step.edge.to, true),
            Err(error) if error.is_of_a_row() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(moved)
}

/// What the steps of one pass share.
struct Steps<'a> {
    transaction: &'a Transaction,
    moments: &'a Moments,
    run_id: Uuid,
    until: Instant,
    isolation_statements: usize,
}

impl Steps<'_> {
    /// One step: a single statement, or smaller ones when the user's triggers are too slow for that.
    async fn advance(&mut self, step: &Step, room: i64) -> Result<i64> {
        let (mut changed, mut chunk) = (0, room);
        while chunk > 0 {
            match self.in_savepoint(step, chunk, None).await {
                Ok(count) => {
                    changed += count;
                    if count < chunk {
                        break;
                    }
                    chunk = chunk.min(room - changed);
                }
                Err(error) if error.is_statement_timeout() && chunk > 1 => {
                    tracing::warn!(
                        transition.to = step.edge.to,
                        chunk,
                        "status changes are slow here; trying fewer at a time"
                    );
                    chunk = (chunk / SLOW_DIVISOR).max(1);
                }
                Err(error) if error.is_of_a_row() => {
                    changed += self.isolate(step, chunk).await?;
                    break;
                }
                Err(error) => return Err(error),
            }
            if Instant::now() >= self.until {
                break;
            }
        }
        Ok(changed)
    }

    /// One step's UPDATE of up to `limit` bookings, or of `only` these, undone when it fails. One round trip.
    async fn in_savepoint(&self, step: &Step, limit: i64, only: Option<&[Uuid]>) -> Result<i64> {
        let sql = step.update();
        let [as_of, expire, complete] = self.moments.parameters();
        let run_id = self.run_id.to_string();
        let parameters =
            [as_of, expire, complete, (&limit, Type::INT8), (&only, Type::UUID_ARRAY), (&run_id, Type::TEXT)];
        let limit_each = self.transaction.statement_timeout() / SLOW_ATTEMPTS;
        let changed = self
            .transaction
            .in_savepoint(limit_each, async |transaction| transaction.execute(&sql, &parameters).await)
            .await?;
        Ok(i64::try_from(changed).unwrap_or(i64::MAX))
    }

    /// Halves the candidates until the refused ones stand alone; each of those is recorded and left alone
    /// for a while, the others are moved on.
    async fn isolate(&mut self, step: &Step, room: i64) -> Result<i64> {
        let [as_of, expire, complete] = self.moments.parameters();
        let candidates = format!(
            "SELECT b.id {} ORDER BY {} LIMIT $4 FOR NO KEY UPDATE OF b SKIP LOCKED",
            step.candidates(),
            step.order
        );
        let rows = self.transaction.query(&candidates, &[as_of, expire, complete, (&room, Type::INT8)]).await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
        let mut changed = 0;
        let mut halves = vec![&ids[..]];
        while let Some(ids) = halves.pop() {
            if ids.is_empty() {
                continue;
            }
            if self.isolation_statements == 0 || Instant::now() >= self.until {
                tracing::warn!(
                    transition.to = step.edge.to,
                    "too many bookings are refused; the rest waits for the next pass"
                );
                break;
            }
            self.isolation_statements -= 1;
            match self.in_savepoint(step, room, Some(ids)).await {
                Ok(count) => changed += count,
                Err(error) if error.is_of_a_row() || error.is_statement_timeout() => match ids {
                    // A lock that a trigger of theirs met, or a slow one: the next pass may be luckier.
                    [_] if error.is_lock() || error.is_statement_timeout() => {}
                    [id] => self.record_refusal(step, *id, &error).await?,
                    _ => {
                        let (first, second) = ids.split_at(ids.len() / 2);
                        halves.extend([second, first]);
                    }
                },
                Err(error) => return Err(error),
            }
        }
        Ok(changed)
    }

    /// What a trigger of theirs set back at once was refused, too: tried every minute, it would fire their triggers and
    /// lengthen the booking's log each time. Returns how many there were.
    async fn record_set_back(&self, step: &Step) -> Result<i64> {
        let lifecycle::Step { from, to, .. } = step.edge;
        let sql = format!(
            "INSERT INTO booking_automation_events
                    (booking_id, event_type, event_data, scheduled_at, executed_at, status, reason, error_message, next_attempt_at)
             SELECT b.id, 'status_update', jsonb_build_object('from', '{from}', 'to', '{to}', 'by', 'booking-automation', 'run_id', $4),
                    $1, $1, 'failed', 'refused', 'a trigger set the status back', $1 + make_interval(secs => $5)
             {candidates} AND b.automation_logs -> -1 ->> 'run_id' = $4 AND b.automation_logs -> -1 ->> 'to' = '{to}'",
            candidates = step.candidates(),
        );
        let [as_of, expire, complete] = self.moments.parameters();
        let (run_id, wait) = (self.run_id.to_string(), REFUSED_FOR.as_secs_f64());
        let parameters = [as_of, expire, complete, (&run_id as _, Type::TEXT), (&wait as _, Type::FLOAT8)];
        let count = self.transaction.execute(&sql, &parameters).await?;
        if count > 0 {
            tracing::warn!(
                transition.to = to,
                bookings.count = count,
                "a trigger set the status back; tried again later"
            );
        }
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }

    async fn record_refusal(&self, step: &Step, booking_id: Uuid, error: &DatabaseError) -> Result<()> {
        let code = error.code().map_or("", |code| code.code());
        tracing::warn!(booking.id = %booking_id, transition.from = step.edge.from, transition.to = step.edge.to, sqlstate = code,
            "the database refused a status change; it is tried again later");
        let sql = "INSERT INTO booking_automation_events
                   (booking_id, event_type, event_data, scheduled_at, executed_at, status, reason, error_message, next_attempt_at)
            VALUES ($1, 'status_update', jsonb_build_object('from', $2, 'to', $3, 'by', 'booking-automation', 'run_id', $4),
                    $5, $5, 'failed', 'refused', $6, $5 + make_interval(secs => $7))";
        let parameters = [
            (&booking_id as _, Type::UUID),
            (&step.edge.from as _, Type::TEXT),
            (&step.edge.to as _, Type::TEXT),
            (&self.run_id.to_string() as _, Type::TEXT),
            (&self.moments.as_of as _, Type::TIMESTAMPTZ),
            (&error.details() as _, Type::TEXT),
            (&REFUSED_FOR.as_secs_f64() as _, Type::FLOAT8),
        ];
        self.transaction.execute(sql, &parameters).await?;
        Ok(())
    }
}

/// What is due, each kind counted up to `limit`. Writes nothing.
pub(crate) async fn plan(
    transaction: &Transaction,
    moments: &Moments,
    settings: &PassSettings,
    limit: i64,
) -> Result<Transitions> {
    let [expire_pending, expire_confirmed, expire_in_progress, start, complete] = &STEPS;
    // A booking whose start and end both passed goes through both steps in one pass.
    let start_and_complete = format!("{} AND {}", start.candidates(), complete.condition());
    let counts: Vec<_> = [expire_pending, expire_confirmed, expire_in_progress, start, complete]
        .iter()
        .map(|step| if step.is_on(settings) { step.candidates() } else { format!("{} AND false", step.candidates()) })
        .chain([start_and_complete])
        .map(|candidates| format!("(SELECT count(*) FROM (SELECT {candidates} LIMIT $4) AS counted)"))
        .collect();
    let sql = format!("SELECT {}", counts.join(", "));
    let [as_of, expire, completed] = moments.parameters();
    let row = transaction.query_one(&sql, &[as_of, expire, completed, (&limit, Type::INT8)]).await?;
    let count = |position: usize| row.get::<_, i64>(position);
    Ok(Transitions {
        expired: count(0) + count(1) + count(2),
        started: count(3),
        completed: count(4) + count(5),
        remaining: 0,
    })
}

/// What one pass would do now: [`plan`], cut at [`LIMIT`] in the order of the steps.
pub(crate) async fn preview(
    transaction: &Transaction,
    moments: &Moments,
    settings: &PassSettings,
) -> Result<Transitions> {
    let due = plan(transaction, moments, settings, COUNT_LIMIT).await?;
    let expired = due.expired.min(LIMIT);
    let started = due.started.min(LIMIT - expired);
    let completed = due.completed.min(LIMIT - expired - started);
    Ok(Transitions { started, completed, expired, remaining: due.made() - expired - started - completed })
}
