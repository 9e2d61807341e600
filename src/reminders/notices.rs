//! Notices: messages about what happened to a booking. Triggers queue them in the transaction of
//! the event (schema/functions/booking_automation_queue_notices.sql); a pass puts those that are
//! due into the outbox, where they are delivered as reminders are.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::owner_functions::Liveness;
use crate::database::{Result, Transaction};
use crate::primitives::names::named;
use crate::reminders::decisions::Decisions;

named! {
    /// What a notice is about: `on_event` of its rule.
    pub enum NoticeEvent {
        /// The booking was confirmed, or inserted as confirmed.
        Confirmed = "confirmed",
        /// Its start was moved.
        Rescheduled = "rescheduled",
        /// It was cancelled.
        Cancelled = "cancelled",
        /// It expired.
        Expired = "expired",
        /// It was completed.
        Completed = "completed",
    }
}

/// Notices that one pass takes at most; the rest follows in the next. Where that takes too long, a
/// pass tries fewer.
const LIMITS: [i64; 3] = [20_000, 1_000, 50];
/// Notices of one rule about one transaction of another program that are sent without a person's
/// decision.
const WITHOUT_DECISION: i64 = 100;
/// Notices of one rule about one transaction that one pass holds at most.
const HELD_AT_ONCE: i64 = 100_000;

const DECISIONS: &str = include_str!("notices.sql");

/// Enqueues the decisions.
pub(crate) fn enqueue_sql() -> String {
    DECISIONS.replace("{lock}", "FOR UPDATE SKIP LOCKED") + include_str!("enqueue_notices.sql")
}

/// SQL of a boolean: some are due at `$1`. Before `migrate` of 0.3.0, there is no queue.
pub(crate) fn any_due_sql(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Known | Liveness::Singly => {
            "(EXISTS (SELECT FROM public.booking_automation_notices
                       WHERE held_since IS NULL AND decided_at IS NULL AND due_at <= $1)
              OR EXISTS (SELECT FROM public.booking_automation_notices
                          WHERE held_since IS NULL AND decided_at IS NOT NULL AND due_at <= $1))"
        }
        Liveness::Unknown => "false",
    }
}

/// Enqueues the notices that are due, in one statement. Where it fails, fewer are tried; where
/// those fail, too, that is logged, and the next pass tries again.
pub(crate) async fn enqueue_notices(
    transaction: &Transaction,
    as_of: DateTime<Utc>,
    run_id: Uuid,
) -> Result<Decisions> {
    for limit in LIMITS {
        match enqueue_some(transaction, as_of, run_id, limit).await {
            Err(error) if error.is_of_a_row() => tracing::error!(
                error = error.loggable(),
                notices.limit = limit,
                "notices could not be enqueued"
            ),
            enqueued => return enqueued,
        }
    }
    Ok(Decisions::default())
}

async fn enqueue_some(
    transaction: &Transaction,
    as_of: DateTime<Utc>,
    run_id: Uuid,
    limit: i64,
) -> Result<Decisions> {
    let run_id = run_id.to_string();
    let parameters = [
        (&as_of as _, Type::TIMESTAMPTZ),
        (&limit as _, Type::INT8),
        (&WITHOUT_DECISION as _, Type::INT8),
        (&run_id as _, Type::TEXT),
        (&HELD_AT_ONCE as _, Type::INT8),
    ];
    let sql = enqueue_sql();
    let enqueue = async |transaction: &Transaction| transaction.query_one(&sql, &parameters).await;
    let row = transaction
        .in_savepoint(transaction.statement_timeout() / 4, enqueue)
        .await?;
    let held: i64 = row.get("held");
    if held > 0 {
        let events: Vec<String> = row.get("held_events");
        tracing::error!(
            notices.count = held,
            notices.events = events.join(", "),
            "one transaction made more than {WITHOUT_DECISION} changes of a kind: its notices are \
             held until you release or drop them (GET /notices/held)"
        );
    }
    Ok(Decisions {
        pending: row.get("pending"),
        skipped: row.get("skipped"),
        ..Decisions::default()
    })
}

/// SQL that adds the queued notices that are due until `$2` to a query of `at`, `rule`, `audience`
/// and `channel`.
pub(crate) fn queued_sql(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Known | Liveness::Singly => {
            "UNION ALL
             SELECT n.due_at, n.rule, n.audience, channel, NULL
               FROM public.booking_automation_notices n
               JOIN public.booking_automation_notice_rules r ON r.name = n.rule
                 AND r.audience = n.audience AND r.active
              CROSS JOIN unnest(r.channels) AS channel
              WHERE n.held_since IS NULL AND NOT n.is_dropped AND n.due_at <= $2"
        }
        Liveness::Unknown => "",
    }
}

/// A notice that no pass has decided on.
#[derive(Clone, Debug)]
pub(crate) struct QueuedNotice {
    /// The rule's name.
    pub(crate) rule: String,
    /// To whom.
    pub(crate) audience: String,
    /// When it is due, or was.
    pub(crate) due_at: DateTime<Utc>,
    /// It waits for a person's decision.
    pub(crate) is_held: bool,
}

/// The queued notices about one booking.
pub(crate) async fn queued_notices(
    transaction: &Transaction,
    liveness: Liveness,
    booking_id: Uuid,
) -> Result<Vec<QueuedNotice>> {
    if liveness == Liveness::Unknown {
        return Ok(Vec::new());
    }
    let sql = "SELECT rule, audience, due_at, held_since IS NOT NULL AS is_held
                 FROM public.booking_automation_notices WHERE booking_id = $1 AND NOT is_dropped
                   ORDER BY due_at, seq LIMIT 100";
    let rows = transaction.query(sql, &[(&booking_id, Type::UUID)]).await?;
    Ok(rows
        .iter()
        .map(|row| QueuedNotice {
            rule: row.get("rule"),
            audience: row.get("audience"),
            due_at: row.get("due_at"),
            is_held: row.get("is_held"),
        })
        .collect())
}

/// What [`enqueue_notices`] would do now. Writes nothing.
pub(crate) async fn preview(transaction: &Transaction, as_of: DateTime<Utc>) -> Result<Decisions> {
    let decisions = DECISIONS.replace("{lock}", "");
    let sql = format!(
        "{decisions}
         SELECT count(*) FILTER (WHERE reason IS NULL) AS pending,
                count(*) FILTER (WHERE reason IS NOT NULL) AS skipped
           FROM decision"
    );
    let parameters = [
        (&as_of as _, Type::TIMESTAMPTZ),
        (&LIMITS[0] as _, Type::INT8),
        (&WITHOUT_DECISION as _, Type::INT8),
    ];
    let row = transaction.query_one(&sql, &parameters).await?;
    Ok(Decisions {
        pending: row.get("pending"),
        skipped: row.get("skipped"),
        ..Decisions::default()
    })
}
