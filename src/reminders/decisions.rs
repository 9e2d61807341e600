//! Decides on every reminder that is due, and enqueues it or records why it is not sent.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::{Timestamp, ToSql, Type};
use uuid::Uuid;

use crate::database::owner_functions::Liveness;
use crate::database::{Parameter, Result, Transaction};
use crate::reminders::addresses::{HAND_OVER, without_address};
use crate::reminders::quiet_hours::{begun_after, with_quiet_hours};
use crate::reminders::watermark::Watermark;

/// Decisions that one pass makes at most; the rest follows in the next.
pub(crate) const LIMIT: i64 = 50_000;
/// Bookings that one pass takes from the recheck queue, at most.
const RECHECKS_LIMIT: i64 = 20_000;

/// What has its decisions already.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Decided {
    /// Due times up to here.
    pub(crate) due: Timestamp<DateTime<Utc>>,
    /// What quiet hours move that began up to here.
    pub(crate) quiet_hours: Timestamp<DateTime<Utc>>,
}

impl Decided {
    /// All of it: only bookings of the recheck queue are left.
    pub(crate) const ALL: Self = Self {
        due: Timestamp::PosInfinity,
        quiet_hours: Timestamp::PosInfinity,
    };
}

/// SQL of a boolean: the pair `p` of a booking and a rule's channel has its decision for the
/// revision of `s`. OFFSET 0: it is looked up by its key.
pub(crate) const IS_DECIDED: &str = "EXISTS (
    SELECT FROM public.booking_automation_events e
     WHERE e.event_type = 'reminder_sent' AND e.rule <> '' AND e.booking_id = p.id
       AND e.revision = s.revision
       AND e.rule = p.name AND e.audience = p.audience AND e.channel = p.channel
    OFFSET 0)";
const DECISIONS: &str = include_str!("decisions.sql");
const ENQUEUE: &str = include_str!("enqueue.sql");
const TAKE_RECHECKS: &str = include_str!("take_rechecks.sql");

/// The decisions of one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decisions {
    /// To be sent.
    pub(crate) pending: i64,
    /// Not to be sent, with a reason.
    pub(crate) skipped: i64,
    /// More are due than one pass takes.
    pub(crate) more: bool,
    /// The rest is left to a sweep, which must begin.
    pub(crate) left_to_sweep: bool,
}

impl Decisions {
    /// Adds those on notices.
    pub(crate) fn add(&mut self, notices: Self) {
        self.pending += notices.pending;
        self.skipped += notices.skipped;
    }
}

/// Enqueues what became due. Three statements; if there is too much for one statement, it leaves
/// the rest to a sweep, which the caller begins.
pub(crate) async fn enqueue_due(
    transaction: &Transaction,
    liveness: Liveness,
    as_of: DateTime<Utc>,
    watermark: &Watermark,
    run_id: Uuid,
) -> Result<Decisions> {
    let parameters = [
        (&RECHECKS_LIMIT as _, Type::INT8),
        (&as_of as _, Type::TIMESTAMPTZ),
        (&watermark.rules_digest as _, Type::TEXT),
    ];
    let rechecks = transaction.query(TAKE_RECHECKS, &parameters).await?;
    log_completed_ahead(&rechecks);
    let rechecks: Vec<Uuid> = rechecks.iter().map(|row| row.get("booking_id")).collect();
    decide_or_leave(transaction, liveness, as_of, watermark, &rechecks, run_id).await
}

/// Logs the bookings of the queue that were completed before their start, or moved ahead since. The
/// automation does not change them.
fn log_completed_ahead(rechecks: &[Row]) {
    let is_ahead = |row: &&Row| row.get::<_, bool>("is_completed_ahead");
    let ahead: BTreeSet<Uuid> = rechecks
        .iter()
        .filter(is_ahead)
        .map(|row| row.get("booking_id"))
        .collect();
    if let Some(first) = ahead.first() {
        tracing::warn!(
            bookings.count = ahead.len(),
            booking.id = %first,
            "bookings are completed although their start lies ahead; the automation does not \
             change them"
        );
    }
}

/// What a pass tries in turn, the most work first.
fn attempts(liveness: Liveness, watermark: &Watermark) -> Vec<Decided> {
    let quiet_hours = watermark.from();
    let mut due = vec![watermark.from(), watermark.looked_through];
    // There is no sweep before `migrate`.
    if liveness == Liveness::Known {
        due.push(Timestamp::PosInfinity);
    }
    due.dedup();
    let of = |due| Decided { due, quiet_hours };
    let mut attempts: Vec<_> = due.into_iter().map(of).collect();
    // A sweep moves nothing to the beginning of quiet hours, so that they come last.
    if liveness == Liveness::Known {
        attempts.push(Decided::ALL);
    }
    attempts
}

/// Decides about everything that is due; if that is too much for one statement, about what became
/// due since the last pass; and if that is too much, about `rechecks`. A sweep decides about the
/// rest.
async fn decide_or_leave(
    transaction: &Transaction,
    liveness: Liveness,
    as_of: DateTime<Utc>,
    watermark: &Watermark,
    rechecks: &[Uuid],
    run_id: Uuid,
) -> Result<Decisions> {
    let mut failure = None;
    for before in attempts(liveness, watermark) {
        let decided =
            decide_candidates(transaction, liveness, as_of, before, rechecks, run_id).await;
        match decided {
            // Looking at everything is optional: its failure must not stop the decisions on what
            // became due now. A booking for which the owner's function fails must not stop those on
            // the others: the sweep finds it.
            Err(error)
                if error.is_statement_timeout()
                    || before.due == Timestamp::NegInfinity && error.is_of_a_row()
                    || liveness == Liveness::Known && error.is_of_contents() =>
            {
                tracing::error!(
                    error = error.loggable(),
                    "deciding about all reminders that are due failed; a sweep does it in parts"
                );
                failure = Some(error);
            }
            Err(error) => return Err(error),
            Ok(decided) => {
                return Ok(Decisions {
                    left_to_sweep: failure.is_some() && liveness == Liveness::Known,
                    ..decided
                });
            }
        }
    }
    match failure {
        // Without a sweep, the next pass must look at the same due times again.
        Some(error) if liveness != Liveness::Known => Err(error),
        _ => Ok(Decisions {
            left_to_sweep: true,
            ..Decisions::default()
        }),
    }
}

/// Decides about what became due and was not decided `before`, about what quiet hours move, and
/// about `rechecks`. At most two statements.
pub(crate) async fn decide_candidates(
    transaction: &Transaction,
    liveness: Liveness,
    as_of: DateTime<Utc>,
    before: Decided,
    rechecks: &[Uuid],
    run_id: Uuid,
) -> Result<Decisions> {
    let run_id = run_id.to_string();
    let common = parameters(&as_of, &before.due, &rechecks);
    let parameters: Vec<Parameter<'_>> = common
        .into_iter()
        .chain([
            (&run_id as _, Type::TEXT),
            (&before.quiet_hours as _, Type::TIMESTAMPTZ),
        ])
        .collect();
    let sql = enqueue_sql(liveness);
    let insert = async |transaction: &Transaction| transaction.query_one(&sql, &parameters).await;
    let row = transaction
        .in_savepoint(transaction.statement_timeout() / 2, insert)
        .await?;
    let pending: i64 = row.get("pending");
    let skipped = match pending {
        0 => 0,
        _ => skip_without_address(transaction, as_of).await?,
    };
    Ok(Decisions {
        pending: pending - skipped,
        skipped: row.get::<_, i64>("skipped") + skipped,
        more: row.get::<_, i64>("decisions") >= LIMIT,
        left_to_sweep: false,
    })
}

/// The last reason, `no_address`, of the reminders that were handed over. Returns how many have it.
async fn skip_without_address(transaction: &Transaction, as_of: DateTime<Utc>) -> Result<i64> {
    let events = match without_address(transaction).await {
        Ok(recipients) => recipients,
        // The view fails. Delivery reads each address again, one by one if necessary.
        Err(error) if error.is_of_a_row() => {
            tracing::error!(
                error = error.loggable(),
                "booking_automation_contacts cannot be read for all bookings that are due"
            );
            return Ok(0);
        }
        Err(error) => return Err(error),
    };
    if events.is_empty() {
        return Ok(0);
    }
    let events: Vec<_> = events.into_iter().map(|(id, _)| id).collect();
    // By other channels they may reach the person: their claims find out.
    let sql = "UPDATE public.booking_automation_events
                  SET status = 'skipped', reason = 'no_address', executed_at = $2,
                    next_attempt_at = NULL
                WHERE id = ANY ($1) AND status = 'pending' AND channel = 'email'";
    let parameters = [
        (&events as _, Type::UUID_ARRAY),
        (&as_of as _, Type::TIMESTAMPTZ),
    ];
    let skipped = transaction.execute(sql, &parameters).await?;
    Ok(i64::try_from(skipped).unwrap_or(i64::MAX))
}

/// The bookings that [`enqueue_due`] would take from the recheck queue.
pub(crate) async fn queued_rechecks(transaction: &Transaction) -> Result<Vec<Uuid>> {
    let sql = "SELECT booking_id FROM public.booking_automation_looks ORDER BY seq LIMIT $1";
    let rows = transaction
        .query(sql, &[(&RECHECKS_LIMIT, Type::INT8)])
        .await?;
    Ok(rows.iter().map(|row| row.get("booking_id")).collect())
}

/// What [`enqueue_due`] would do now. Writes nothing.
pub(crate) async fn preview(
    transaction: &Transaction,
    liveness: Liveness,
    as_of: DateTime<Utc>,
    watermark: &Watermark,
) -> Result<Decisions> {
    let rechecks = queued_rechecks(transaction).await?;
    let row = transaction
        .query_one(
            &preview_sql(liveness),
            &parameters(&as_of, &watermark.from(), &rechecks),
        )
        .await?;
    let (pending, skipped): (i64, i64) = (row.get("pending"), row.get("skipped"));
    let without = match pending {
        0 => 0,
        _ => i64::try_from(without_address(transaction).await?.len()).unwrap_or(i64::MAX),
    };
    Ok(Decisions {
        pending: pending - without,
        skipped: skipped + without,
        ..Decisions::default()
    })
}

/// SQL of common table expressions, the last one `decision`, with all reasons but `no_address`.
/// `since` is SQL of the time after which quiet hours must have begun.
pub(crate) fn decisions_sql(liveness: Liveness, since: &str) -> String {
    with_reasons(liveness, "", since, "false")
}

/// The same with all reasons, for the passes to come: `$5` and `$6` are the bookings and audiences
/// without an address; `moved_before` is SQL of a boolean, that an earlier one of these passes has
/// decided on the pair `p`.
pub(crate) fn decisions_to_come_sql(liveness: Liveness, since: &str, moved_before: &str) -> String {
    with_reasons(
        liveness,
        "WHEN j.channel = 'email' \
          AND (j.id, j.audience) IN (SELECT * FROM unnest($5::uuid[], $6::text[])) \
         THEN 'no_address'",
        since,
        moved_before,
    )
}

/// `since` is SQL of the time after which quiet hours must have begun.
fn with_reasons(liveness: Liveness, no_address: &str, since: &str, moved_before: &str) -> String {
    let waits_for_revision = match liveness {
        Liveness::Known | Liveness::Singly => {
            "EXISTS (SELECT FROM public.booking_automation_state_changes c \
             WHERE c.booking_id = p.id AND c.in_force_since IS NOT NULL)"
        }
        Liveness::Unknown => "false",
    };
    let shares_channel = match liveness {
        Liveness::Known | Liveness::Singly => {
            "public.booking_automation_shares_channel(j.channel, e.channel, e.via, e.status)"
        }
        Liveness::Unknown => "e.channel = j.channel",
    };
    with_quiet_hours(DECISIONS, liveness, since)
        .replace("{shares_channel}", shares_channel)
        .replace("{is_decided}", IS_DECIDED)
        .replace("{moved_before}", moved_before)
        .replace("{is_live}", liveness.condition())
        .replace("{waits_for_revision}", waits_for_revision)
        .replace("{latest_revision}", &liveness.latest_revision("p.id"))
        .replace("-- {no_address}", no_address)
}

/// Enqueues the decisions, and hands over those to be sent.
pub(crate) fn enqueue_sql(liveness: Liveness) -> String {
    decisions_sql(liveness, &begun_after("$6::timestamptz"))
        + &ENQUEUE.replace("{hand_over}", HAND_OVER)
}

/// Counts the decisions, and hands over those to be sent.
pub(crate) fn preview_sql(liveness: Liveness) -> String {
    format!(
        "{decisions}, handed_over AS (
             SELECT id, id AS booking_id, audience FROM decision
              WHERE reason IS NULL AND channel = 'email')
         SELECT (SELECT count(*) FROM decision WHERE reason IS NULL) AS pending,
                (SELECT count(*) FROM decision WHERE reason IS NOT NULL) AS skipped,
                {HAND_OVER}
           FROM handed_over",
        decisions = decisions_sql(liveness, &begun_after("$2::timestamptz"))
    )
}

/// `$1` to `$4` of [`decisions_sql`].
pub(crate) fn parameters<'a>(
    as_of: &'a DateTime<Utc>,
    looked_through: &'a Timestamp<DateTime<Utc>>,
    rechecks: &'a (impl ToSql + Sync),
) -> [Parameter<'a>; 4] {
    [
        (as_of, Type::TIMESTAMPTZ),
        (looked_through, Type::TIMESTAMPTZ),
        (rechecks, Type::UUID_ARRAY),
        (&LIMIT, Type::INT8),
    ]
}
