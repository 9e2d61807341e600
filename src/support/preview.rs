//! What the coming passes would do and send if nothing changed, minute by minute. It only reads, by
//! the pass's own conditions and decisions.
//!
//! It assumes one pass at every whole minute, the first one now. It ignores a pass's limits, the
//! send rate, future failures, and changes that a claim would find.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::bookings::lifecycle::Status;
use crate::bookings::projection::{ProjectionWindow, projection_sql};
use crate::bookings::step_rules::StepRules;
use crate::bookings::transitions::is_zero;
use crate::database::owner_functions::Liveness;
use crate::database::{Begin, Database, Parameter, Result, Transaction};
use crate::reminders::addresses::without_address_between;
use crate::reminders::decisions::queued_rechecks;
use crate::reminders::notices::queued_sql;
use crate::reminders::planned::counts_sql;
use crate::reminders::quiet_hours::hand_over_names;
use crate::reminders::watermark::Watermark;
use crate::support::expected_costs::{EXPECTED_COSTS, ExpectedCosts, ExpectedMessages};
use crate::support::route::Route;
use crate::tick::error::PassError;
use crate::tick::probe;
use crate::tick::settings::PassSettings;

/// Shortest time to look ahead.
pub const SHORTEST: Duration = Duration::from_secs(60);
/// Longest time to look ahead.
pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// Default time to look ahead.
pub const USUAL: Duration = Duration::from_secs(24 * 3600);

/// The pass that is the first at, or after, a time `at`, no earlier than `$1`.
const PASS: &str =
    "greatest(date_trunc('minute', at + interval '1 minute' - interval '1 microsecond'), $1)";
/// The passes until `$2`, each with the time of the previous one.
pub(crate) const PASSES: &str = "(SELECT $1 AS at, NULL AS before
      UNION ALL
      SELECT at, greatest(at - interval '1 minute', $1)
        FROM generate_series(date_trunc('minute', $1) + interval '1 minute', $2,
          interval '1 minute') AS at)";

/// Each pass finds its few bookings by an index. The planner cannot know how few they are, and
/// would read whole tables for each pass.
const NESTED_LOOPS: &str = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";

/// How long after the end of its time a preview waits for the server to say that it gave up.
const MARGIN: Duration = Duration::from_secs(1);

/// The preview.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// Now.
    as_of: DateTime<Utc>,
    /// The end of the preview.
    until: DateTime<Utc>,
    /// Of all minutes.
    total: ChangeCounts,
    /// Of all minutes, by rule.
    rules: Vec<ReminderCounts>,
    /// Of all minutes, by channel and day.
    costs: ExpectedCosts,
    /// The minutes in which anything is due.
    minutes: Vec<Minute>,
}

/// Status changes.
#[derive(Clone, Debug, Default, Serialize)]
struct ChangeCounts {
    started: i64,
    completed: i64,
    expired: i64,
    #[serde(skip_serializing_if = "is_zero")]
    reopened: i64,
}

/// The decisions on the reminders of one rule.
#[derive(Clone, Debug, Serialize)]
struct ReminderCounts {
    rule: String,
    audience: String,
    channel: String,
    #[serde(flatten)]
    route: Route,
    send: i64,
    /// By reason.
    skip: BTreeMap<String, i64>,
}

/// One pass.
#[derive(Clone, Debug, Serialize)]
struct Minute {
    at: DateTime<Utc>,
    #[serde(flatten)]
    changes: ChangeCounts,
    reminders: Vec<ReminderCounts>,
}

/// The reminders of a rule, by its name, audience and channel, and the channel in use.
type ByRule = BTreeMap<([String; 3], Option<String>), ReminderCounts>;

/// What the passes of the next `time` would do.
///
/// # Errors
/// As for a pass; and when the database does not answer by `deadline`.
pub async fn preview(
    database: &Database,
    settings: &PassSettings,
    as_of: Option<DateTime<Utc>>,
    time: Duration,
    deadline: Instant,
) -> std::result::Result<Preview, PassError> {
    let statement_timeout = deadline.saturating_duration_since(Instant::now());
    let begin = Begin {
        read_only: true,
        as_of,
        statement_timeout,
        // The server gives up before.
        until: Some(deadline + MARGIN),
        ..Begin::default()
    };
    let (transaction, _) = database.begin(&begin, NESTED_LOOPS).await?;
    let clock = "SELECT coalesce($1, transaction_timestamp()) AS as_of";
    let as_of: DateTime<Utc> = transaction
        .query_one(clock, &[(&as_of, Type::TIMESTAMPTZ)])
        .await?
        .get("as_of");
    let until = as_of + TimeDelta::from_std(time.min(LONGEST)).unwrap_or_default();
    let rules = StepRules::read(&transaction, &settings.transitions).await?;
    let watermark = probe::watermark(&transaction, settings, &rules, as_of).await?;
    // In turn: a statement with other settings must not be sent between the others.
    let span = Span {
        as_of,
        until,
        deadline,
    };
    let changes = count_changes(&transaction, &rules, span).await?;
    let due = count_due_reminders(&transaction, rules.liveness, &watermark, span).await?;
    let waiting = count_waiting(&transaction, rules.liveness, span).await?;
    let reminders = [due, waiting].concat();
    let costs = expect_costs(&transaction, &reminders, deadline).await?;
    transaction.rollback().await?;
    Ok(Preview::of(as_of, until, &changes, &reminders, costs))
}

/// The time that a preview covers, and when it must be there.
#[derive(Clone, Copy)]
struct Span {
    as_of: DateTime<Utc>,
    until: DateTime<Utc>,
    deadline: Instant,
}

/// The rows of a query that has until `deadline`: so the server, too, gives it up then. One round
/// trip.
async fn query_until(
    transaction: &Transaction,
    deadline: Instant,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<Vec<Row>> {
    let left = deadline.saturating_duration_since(Instant::now());
    // Zero would be no limit.
    let limit = left.as_millis().max(1);
    let limit = format!("SET LOCAL statement_timeout = {limit}");
    let (limited, rows) = future::join(
        transaction.batch(&limit),
        transaction.query(sql, parameters),
    )
    .await;
    limited?;
    rows
}

/// Rows of `pass`, `to_status`, `count`.
async fn count_changes(
    transaction: &Transaction,
    rules: &StepRules,
    Span {
        as_of,
        until,
        deadline,
    }: Span,
) -> Result<Vec<Row>> {
    let window = ProjectionWindow::new(rules, as_of, until, None);
    let sql = changes_sql(rules);
    query_until(transaction, deadline, &sql, &window.parameters()).await
}

pub(crate) fn changes_sql(rules: &StepRules) -> String {
    let projection = projection_sql(rules);
    format!(
        "{projection}
         SELECT * FROM (SELECT {PASS} AS pass, to_status, count(*) AS count
                          FROM projection WHERE steps > 0 GROUP BY 1, 2) AS counted
          WHERE pass <= $2"
    )
}

/// Rows of `pass`, `rule`, `audience`, `channel`, `via`, `reason`, `count`: decisions.
async fn count_due_reminders(
    transaction: &Transaction,
    liveness: Liveness,
    watermark: &Watermark,
    Span {
        as_of,
        until,
        deadline,
    }: Span,
) -> Result<Vec<Row>> {
    let rechecks = queued_rechecks(transaction).await?;
    let (bookings, audiences) = without_address_between(transaction, as_of, until).await?;
    hand_over_names(transaction, liveness, as_of, until).await?;
    let looked_through = watermark.from();
    let parameters: [Parameter<'_>; 6] = [
        (&as_of, Type::TIMESTAMPTZ),
        (&until, Type::TIMESTAMPTZ),
        (&looked_through, Type::TIMESTAMPTZ),
        (&rechecks, Type::UUID_ARRAY),
        (&bookings, Type::UUID_ARRAY),
        (&audiences, Type::TEXT_ARRAY),
    ];
    let sql = counts_sql(liveness, PASSES);
    query_until(transaction, deadline, &sql, &parameters).await
}

/// The same, of messages that wait for an attempt, and of notices that are queued.
async fn count_waiting(
    transaction: &Transaction,
    liveness: Liveness,
    Span {
        as_of,
        until,
        deadline,
    }: Span,
) -> Result<Vec<Row>> {
    let parameters: [Parameter<'_>; 2] = [(&as_of, Type::TIMESTAMPTZ), (&until, Type::TIMESTAMPTZ)];
    query_until(transaction, deadline, &waiting_sql(liveness), &parameters).await
}

pub(crate) fn waiting_sql(liveness: Liveness) -> String {
    let queued = queued_sql(liveness);
    format!(
        "SELECT {PASS} AS pass, rule, audience, channel, via, NULL AS reason, count(*) AS count
           FROM (SELECT e.at, e.rule, e.audience, e.channel, e.used_via AS via
                   -- Before `migrate`, events lack this column.
                   FROM (SELECT NULL::text AS via) AS absent
                  CROSS JOIN LATERAL (
                        SELECT next_attempt_at AS at, rule, audience, channel, via AS used_via
                          FROM public.booking_automation_events
                         WHERE status = 'pending' AND next_attempt_at <= $2
                           AND (event_type IN ('reminder_sent', 'guest_reminder_sent')
                                AND starts_at > $1
                                OR event_type = 'notification_sent')) AS e
                 {queued}) AS waiting
          GROUP BY 1, 2, 3, 4, 5"
    )
}

/// What these reminders will cost.
async fn expect_costs(
    transaction: &Transaction,
    reminders: &[Row],
    deadline: Instant,
) -> Result<ExpectedCosts> {
    let messages = ExpectedMessages::of(reminders);
    let sms = match messages.have_sms() {
        true => {
            query_until(
                transaction,
                deadline,
                &EXPECTED_COSTS,
                &messages.parameters(),
            )
            .await?
        }
        // Before `migrate`, the tables of SMS are missing.
        false => Vec::new(),
    };
    Ok(messages.costs(&sms))
}

impl Preview {
    fn of(
        as_of: DateTime<Utc>,
        until: DateTime<Utc>,
        changes: &[Row],
        reminders: &[Row],
        costs: ExpectedCosts,
    ) -> Self {
        let mut total = ChangeCounts::default();
        let mut minutes: BTreeMap<DateTime<Utc>, (ChangeCounts, ByRule)> = BTreeMap::new();
        for row in changes {
            let minute = &mut minutes.entry(row.get("pass")).or_default().0;
            let to = Status::from_name(row.get("to_status"));
            for counts in [minute, &mut total] {
                counts.add(to, row.get("count"));
            }
        }
        let mut rules = ByRule::new();
        for row in reminders {
            for counts in [
                &mut minutes.entry(row.get("pass")).or_default().1,
                &mut rules,
            ] {
                add_reminders(counts, row);
            }
        }
        let minutes = minutes
            .into_iter()
            .map(|(at, (changes, reminders))| Minute {
                at,
                changes,
                reminders: reminders.into_values().collect(),
            });
        Self {
            as_of,
            until,
            total,
            rules: rules.into_values().collect(),
            costs,
            minutes: minutes.collect(),
        }
    }
}

impl ChangeCounts {
    fn add(&mut self, to: Option<Status>, count: i64) {
        match to {
            Some(Status::InProgress) => self.started += count,
            Some(Status::Completed) => self.completed += count,
            Some(Status::Confirmed) => self.reopened += count,
            _ => self.expired += count,
        }
    }
}

fn add_reminders(by_rule: &mut ByRule, row: &Row) {
    let [rule, audience, channel]: [String; 3] =
        ["rule", "audience", "channel"].map(|column| row.get(column));
    let via: Option<&str> = row.get("via");
    let route = Route::waiting(&channel, via);
    let key = (
        [rule.clone(), audience.clone(), channel.clone()],
        route.via.clone(),
    );
    let none = ReminderCounts {
        rule,
        audience,
        channel,
        route,
        send: 0,
        skip: BTreeMap::new(),
    };
    let counts = by_rule.entry(key).or_insert(none);
    let (reason, count): (Option<String>, i64) = (row.get("reason"), row.get("count"));
    match reason {
        None => counts.send += count,
        Some(reason) => *counts.skip.entry(reason).or_default() += count,
    }
}
