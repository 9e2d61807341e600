//! Which reminders became due, and the verdict on each.
//!
//! A pass remembers up to which due time it looked (`automation_runs.looked_through`), so that the next
//! one reads a single range of the index on the start per rule: what is due costs, not what is stored.
//! Bookings that came into force or were moved since then may have due times before that range; the
//! triggers queue them in `booking_automation_looks`. Both only find candidates; the UNIQUE key decides. The first pass
//! after the rules changed looks at everything. What was written past the triggers a [`sweep`] finds, once an hour, in a
//! transaction of its own: it reads far more than a pass, and must not hold what the pass has locked for as long.

use chrono::{DateTime, Utc};
use tokio_postgres::types::{Timestamp, ToSql, Type};
use uuid::Uuid;

use crate::database::{Parameter, Result, Transaction, finite};

/// Verdicts that one pass gives at most; the rest follows in the next.
const LIMIT: i64 = 50_000;
/// Queued looks that one pass takes at most.
const LOOKS_LIMIT: i64 = 20_000;

const VERDICTS: &str = include_str!("decisions.sql");
/// The last verdict, asked only of those that nothing else speaks against. Apart, since it reads the user's
/// view, which may be broken.
const NO_ADDRESS: &str = "WHEN coalesce((SELECT btrim(c.email) FROM booking_automation_contacts c
                          WHERE c.booking_id = j.id AND c.audience = j.audience LIMIT 1), '') = '' THEN 'no_address'";
const ENQUEUE: &str = include_str!("enqueue.sql");
const ADOPT_STRAYS: &str = include_str!("untracked_moves.sql");

/// SQL of a boolean: does a due time lie between `watermark.looked_through` and `$1`?
pub(crate) const ANY_DUE: &str = "EXISTS (
    SELECT FROM reminder_rules r, watermark w
     CROSS JOIN LATERAL (
            SELECT FROM bookings b
             WHERE b.status = 'confirmed'
               AND b.scheduled_at > $1 AND b.scheduled_at <= $1 + r.lead
               AND b.scheduled_at > CASE WHEN w.everything THEN '-infinity' ELSE w.looked_through END + r.lead
               AND b.scheduled_at >= r.effective_from + r.lead
             LIMIT 1) AS due
     WHERE r.active)";

/// Where the pass stands: at the latest pass before `$1`, or at the beginning when the rules are not the ones that it
/// judged by. The first pass after seven minutes past an hour,
/// when fewer reminders are due than at the quarters, is followed by a sweep.
pub(crate) const WATERMARK: &str = "rules AS MATERIALIZED (
    SELECT md5(coalesce(string_agg(format('%s|%s|%s|%s|%s|%s', name, audience, lead, channels, active, effective_from),
                                   ',' ORDER BY name, audience), '')) AS digest
      FROM reminder_rules
), latest AS MATERIALIZED (
    SELECT as_of, looked_through, rules_digest
      FROM automation_runs
     WHERE outcome = 'completed' AND as_of < $1
     ORDER BY as_of DESC
     LIMIT 1
), watermark AS MATERIALIZED (
    SELECT rules.digest,
           coalesce(latest.looked_through, '-infinity') AS looked_through,
           coalesce(latest.rules_digest <> rules.digest, true) AS everything,
           coalesce(latest.as_of < date_trunc('hour', $1 - interval '7 minutes') + interval '7 minutes', false) AS sweep
      FROM rules LEFT JOIN latest ON true
)";

/// What a pass found out before it began.
#[derive(Clone, Debug)]
pub(crate) struct Watermark {
    /// Due times up to here have their verdicts; -infinity: none has.
    pub(crate) looked_through: Timestamp<DateTime<Utc>>,
    /// Look at everything once more: the first pass of all, or after the rules changed.
    pub(crate) everything: bool,
    /// A sweep is to follow.
    pub(crate) sweep: bool,
    /// Of the rules in force.
    pub(crate) rules_digest: String,
}

/// The verdicts of one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdicts {
    /// To be sent.
    pub(crate) pending: i64,
    /// Not to be sent, with a reason.
    pub(crate) skipped: i64,
    /// More are due than one pass takes.
    pub(crate) more: bool,
}

/// Enqueues what became due. Two statements.
pub(crate) async fn enqueue(
    transaction: &Transaction,
    as_of: DateTime<Utc>,
    watermark: &Watermark,
    run_id: Uuid,
) -> Result<Verdicts> {
    // Where the clock was set back, or is another host's, passes have looked further than this one does. What it takes from
    // the queue is not due yet, perhaps, and they must not stand for it: from now on they say what this one says.
    let take = "WITH ahead AS (
                    UPDATE automation_runs SET looked_through = least(looked_through, $2), rules_digest = $3
                     WHERE outcome = 'completed' AND as_of > $2 AND EXISTS (SELECT FROM booking_automation_looks)
                )
                DELETE FROM booking_automation_looks
                 WHERE seq IN (SELECT seq FROM booking_automation_looks ORDER BY seq LIMIT $1)
             RETURNING booking_id";
    let parameters =
        [(&LOOKS_LIMIT as _, Type::INT8), (&as_of as _, Type::TIMESTAMPTZ), (&watermark.rules_digest as _, Type::TEXT)];
    let looks = transaction.query(take, &parameters).await?;
    let looks: Vec<Uuid> = looks.iter().map(|row| row.get(0)).collect();
    if watermark.everything {
        match give_verdicts(transaction, as_of, Timestamp::NegInfinity, &looks, run_id).await {
            // It looks back: it must not keep the pass from what became due now.
            Err(error) if error.is_of_a_row() || error.is_statement_timeout() => {
                tracing::error!(error = error.loggable(), "the look at all bookings failed; the next hour's goes on");
            }
            result => return result,
        }
    }
    give_verdicts(transaction, as_of, watermark.looked_through, &looks, run_id).await
}

/// Looks at every confirmed booking within the longest lead, those written past the triggers included. Two statements.
pub(crate) async fn sweep(transaction: &Transaction, as_of: DateTime<Utc>, run_id: Uuid) -> Result<Verdicts> {
    let adopt =
        async |transaction: &Transaction| transaction.execute(ADOPT_STRAYS, &[(&as_of, Type::TIMESTAMPTZ)]).await;
    let strays = transaction.in_savepoint(transaction.statement_timeout() / 2, adopt).await?;
    if strays > 0 {
        tracing::warn!(
            bookings.count = strays,
            "bookings were moved past the triggers; their reminders are armed again"
        );
    }
    give_verdicts(transaction, as_of, Timestamp::NegInfinity, &[], run_id).await
}

async fn give_verdicts(
    transaction: &Transaction,
    as_of: DateTime<Utc>,
    looked_through: Timestamp<DateTime<Utc>>,
    looks: &[Uuid],
    run_id: Uuid,
) -> Result<Verdicts> {
    let run_id = run_id.to_string();
    let limit = transaction.statement_timeout() / 2;
    let insert = async |no_address: &str| {
        let sql = verdicts(no_address) + ENQUEUE;
        let common = parameters(&as_of, &looked_through, &looks);
        let parameters: Vec<Parameter<'_>> = common.into_iter().chain([(&run_id as _, Type::TEXT)]).collect();
        transaction.in_savepoint(limit, async |transaction| transaction.query_one(&sql, &parameters).await).await
    };
    let row = match insert(NO_ADDRESS).await {
        // The view fails. Delivery asks for each address again, one by one if need be.
        Err(error) if error.is_of_a_row() => {
            tracing::error!(
                error = error.loggable(),
                "booking_automation_contacts cannot be read for all bookings that are due"
            );
            insert("").await?
        }
        row => row?,
    };
    Ok(Verdicts { pending: row.get(0), skipped: row.get(1), more: row.get::<_, i64>(2) >= LIMIT })
}

/// The looks that [`enqueue`] would take.
pub(crate) async fn queued(transaction: &Transaction) -> Result<Vec<Uuid>> {
    let queued = "SELECT booking_id FROM booking_automation_looks ORDER BY seq LIMIT $1";
    let looks = transaction.query(queued, &[(&LOOKS_LIMIT, Type::INT8)]).await?;
    Ok(looks.iter().map(|row| row.get(0)).collect())
}

/// What [`enqueue`] would do now. Writes nothing.
pub(crate) async fn preview(
    transaction: &Transaction,
    as_of: DateTime<Utc>,
    watermark: &Watermark,
) -> Result<Verdicts> {
    let looks = queued(transaction).await?;
    let sql = format!(
        "{} SELECT count(*) FILTER (WHERE reason IS NULL), count(*) FILTER (WHERE reason IS NOT NULL) FROM verdict",
        verdicts(NO_ADDRESS)
    );
    let looked_through = if watermark.everything { Timestamp::NegInfinity } else { watermark.looked_through };
    let row = transaction.query_one(&sql, &parameters(&as_of, &looked_through, &looks)).await?;
    Ok(Verdicts { pending: row.get(0), skipped: row.get(1), more: false })
}

/// SQL of a query of the verdicts that the passes to come give if nobody changes anything, counted: the pass's time, rule,
/// audience, channel, reason (NULL: to be sent), count. `passes` is SQL of a relation with `at` and `before`, the time of the pass
/// before each; the first goes on from `$3`, and looks at the bookings `$4`, too.
pub(crate) fn to_come(passes: &str) -> String {
    let verdicts = verdicts(NO_ADDRESS)
        .replace("$4", &LIMIT.to_string())
        .replace("$3", "CASE WHEN p.before IS NULL THEN $4::uuid[] ELSE '{}' END")
        .replace("$2", "coalesce(p.before, $3)")
        .replace("$1", "p.at");
    format!(
        "SELECT p.at, v.name, v.audience, v.channel, v.reason, count(*)
           FROM {passes} AS p
          CROSS JOIN LATERAL ({verdicts} SELECT name, audience, channel, reason FROM verdict) AS v
          GROUP BY 1, 2, 3, 4, 5"
    )
}

/// A verdict that is still to be given.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// The rule's name.
    pub(crate) rule: String,
    /// To whom.
    pub(crate) audience: String,
    /// By what.
    pub(crate) channel: String,
    /// When it is given; `None`: with the next pass.
    pub(crate) at: Option<DateTime<Utc>>,
    /// When it is due, or was.
    pub(crate) due_at: DateTime<Utc>,
    /// `None`: it is to be sent.
    pub(crate) reason: Option<String>,
}

/// The verdicts that one booking still gets if nothing changes: those that the next pass gives, and those that passes at the
/// due times to come do, each by the pass's own statement. Reads alone; statements by the number of the booking's due times.
pub(crate) async fn expected(
    transaction: &Transaction,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
) -> Result<Vec<Expected>> {
    let due_times = "SELECT DISTINCT b.scheduled_at - r.lead
                       FROM bookings b, reminder_rules r
                      WHERE b.id = $1 AND b.status = 'confirmed' AND isfinite(b.scheduled_at)
                        AND r.active AND b.scheduled_at - r.lead > $2
                      ORDER BY 1";
    let due_times = transaction.query(due_times, &[(&booking_id, Type::UUID), (&as_of, Type::TIMESTAMPTZ)]).await?;
    let times = [None].into_iter().chain(due_times.iter().filter_map(|row| finite(row, 0)).map(Some));
    let sql =
        format!("{} SELECT name, audience, channel, due_at, reason FROM verdict ORDER BY due_at", verdicts(NO_ADDRESS));
    let (nothing_since, only) = (Timestamp::<DateTime<Utc>>::PosInfinity, vec![booking_id]);
    let mut expected = Vec::new();
    for at in times {
        let moment: DateTime<Utc> = at.unwrap_or(as_of);
        let rows = transaction.query(&sql, &parameters(&moment, &nothing_since, &only)).await?;
        let verdicts = rows.iter().map(|row| Expected {
            rule: row.get(0),
            audience: row.get(1),
            channel: row.get(2),
            at,
            due_at: row.get(3),
            reason: row.get(4),
        });
        // What is due earlier has its verdict by then.
        expected.extend(verdicts.filter(|verdict| at.is_none_or(|at| verdict.due_at == at)));
    }
    Ok(expected)
}

/// The verdicts, with or without the last one.
fn verdicts(no_address: &str) -> String {
    VERDICTS.replace("-- {no_address}", no_address)
}

/// `$1` to `$4` of the verdicts.
fn parameters<'a>(
    as_of: &'a DateTime<Utc>,
    looked_through: &'a Timestamp<DateTime<Utc>>,
    looks: &'a (impl ToSql + Sync),
) -> [Parameter<'a>; 4] {
    [(as_of, Type::TIMESTAMPTZ), (looked_through, Type::TIMESTAMPTZ), (looks, Type::UUID_ARRAY), (&LIMIT, Type::INT8)]
}
