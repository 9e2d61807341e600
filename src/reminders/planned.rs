//! Decisions to come if nothing changes: by the pass's own statement, without writing.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tokio_postgres::types::{Timestamp, Type};
use uuid::Uuid;

use crate::database::owner_functions::Liveness;
use crate::database::{Result, Transaction, finite};
use crate::reminders::Reason;
use crate::reminders::addresses::{HAND_OVER, without_address};
use crate::reminders::decisions::{LIMIT, decisions_sql, decisions_to_come_sql, parameters};
use crate::reminders::quiet_hours::{MOVED_BEFORE, begun_after, due_times_sql, hand_over_names_of};
use crate::reminders::watermark::LATEST;

/// The channel of a message that goes by mail alone.
const MAIL: &str = "email";

/// SQL of a query that counts the decisions of the passes to come: `pass`, the pass's time, then
/// `rule`, `audience`, `channel`, `via` (NULL), `reason` (NULL: to be sent) and `count`. `passes`
/// is SQL of a relation with `at` and `before`, the time of the pass before each; the first goes on
/// from `$3`, and looks at the bookings `$4`, too. `$5` and `$6` are those of
/// [`crate::reminders::addresses::without_address_between`].
pub(crate) fn counts_sql(liveness: Liveness, passes: &str) -> String {
    // $3 is the first pass's.
    let first = begun_after("{first}");
    let since = format!("coalesce(p.before, {first})");
    let moved_before = MOVED_BEFORE.replace("{since}", &first);
    let decisions = decisions_to_come_sql(liveness, &since, &moved_before)
        .replace("$4", &LIMIT.to_string())
        .replace(
            "$3",
            "CASE WHEN p.before IS NULL THEN $4::uuid[] ELSE '{}' END",
        )
        .replace("$2", "coalesce(p.before, $3)")
        .replace("{first}", "$3")
        .replace("$1", "p.at");
    format!(
        "SELECT p.at AS pass, d.name AS rule, d.audience, d.channel, NULL AS via, d.reason,
                count(*) AS count
           FROM {passes} AS p
          CROSS JOIN LATERAL ({decisions} SELECT name, audience, channel, reason FROM decision) AS d
          GROUP BY 1, 2, 3, 4, 5, 6"
    )
}

/// A decision to come.
#[derive(Clone, Debug)]
pub(crate) struct PlannedReminder {
    /// The rule's name.
    pub(crate) rule: String,
    /// To whom.
    pub(crate) audience: String,
    /// By which channel.
    pub(crate) channel: String,
    /// When it is made; `None`: with the next pass.
    pub(crate) at: Option<DateTime<Utc>>,
    /// When the reminder is due, or was.
    pub(crate) due_at: DateTime<Utc>,
    /// `None`: it is to be sent.
    pub(crate) reason: Option<String>,
}

impl PlannedReminder {
    /// Whether both are about the same message.
    fn is_of(&self, other: &Self) -> bool {
        self.rule == other.rule && self.audience == other.audience && self.channel == other.channel
    }
}

/// SQL of the decisions one by one.
pub(crate) fn list_sql(liveness: Liveness) -> String {
    let decisions = decisions_sql(liveness, &begun_after(LATEST));
    format!(
        "{decisions} SELECT name, audience, channel, coalesce(moved_to, due_at) AS due_at, reason
                       FROM decision WHERE id = ANY ($3) ORDER BY due_at"
    )
}

/// The decisions on one booking's reminders: those of the next pass, and those of passes at the due
/// times to come. It only reads; the number of statements grows with the number of the booking's
/// due times.
pub(crate) async fn planned_reminders(
    transaction: &Transaction,
    liveness: Liveness,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
) -> Result<Vec<PlannedReminder>> {
    hand_over_names_of(transaction, liveness, booking_id).await?;
    let due_times = due_times(transaction, liveness, as_of, booking_id).await?;
    let times = [None].into_iter().chain(due_times.into_iter().map(Some));
    let sql = list_sql(liveness);
    let (nothing_since, only) = (Timestamp::<DateTime<Utc>>::PosInfinity, vec![booking_id]);
    let mut planned = Vec::new();
    for at in times {
        let moment: DateTime<Utc> = at.unwrap_or(as_of);
        let rows = transaction
            .query(&sql, &parameters(&moment, &nothing_since, &only))
            .await?;
        let decisions = rows.iter().map(|row| PlannedReminder {
            rule: row.get("name"),
            audience: row.get("audience"),
            channel: row.get("channel"),
            at,
            due_at: row.get("due_at"),
            reason: row.get("reason"),
        });
        // Reminders due earlier have their decisions by then, and so have those that quiet hours
        // moved.
        let is_new = |decision: &PlannedReminder| {
            at.is_none_or(|at| decision.due_at == at)
                && !planned
                    .iter()
                    .any(|before: &PlannedReminder| before.is_of(decision))
        };
        let new: Vec<_> = decisions.filter(is_new).collect();
        planned.extend(new);
    }
    add_missing_addresses(transaction, booking_id, &mut planned).await?;
    Ok(planned)
}

/// Gives the last reason, `no_address`, to what else would be sent by mail alone.
async fn add_missing_addresses(
    transaction: &Transaction,
    booking_id: Uuid,
    planned: &mut [PlannedReminder],
) -> Result<()> {
    let is_mail = |it: &&mut PlannedReminder| it.channel == MAIL;
    let to_send = planned.iter_mut().filter(|it| it.reason.is_none());
    let to_send = to_send.filter(is_mail);
    let to_send: Vec<_> = to_send.collect();
    let audiences: BTreeSet<_> = to_send.iter().map(|it| it.audience.clone()).collect();
    let audiences: Vec<_> = audiences.into_iter().collect();
    if audiences.is_empty() {
        return Ok(());
    }
    let hand_over = format!(
        "SELECT {HAND_OVER}
           FROM (SELECT $1 AS id, $1 AS booking_id, audience FROM unnest($2) AS audience)
             AS handed_over"
    );
    let parameters = [
        (&booking_id as _, Type::UUID),
        (&audiences as _, Type::TEXT_ARRAY),
    ];
    transaction.query(&hand_over, &parameters).await?;
    let missing = without_address(transaction).await?;
    for planned in to_send {
        if missing
            .iter()
            .any(|(_, audience)| *audience == planned.audience)
        {
            planned.reason = Some(Reason::NoAddress.to_string());
        }
    }
    Ok(())
}

/// The due times of one booking that lie ahead, and those to which quiet hours move them.
async fn due_times(
    transaction: &Transaction,
    liveness: Liveness,
    as_of: DateTime<Utc>,
    booking_id: Uuid,
) -> Result<Vec<DateTime<Utc>>> {
    let rows = transaction
        .query(
            &due_times_sql(liveness),
            &[(&booking_id, Type::UUID), (&as_of, Type::TIMESTAMPTZ)],
        )
        .await?;
    Ok(rows
        .iter()
        .filter_map(|row| finite(row, "due_at"))
        .collect())
}
