//! Quiet hours: a reminder that would fall into those of its person moves to their beginning.
//!
//! People are found by the booking's `customer_id` or `provider_id`, or by the name that the view
//! has for them. Whether a reminder is due is decided for all bookings at once, without the view.
//! So a pass reads the view before, if quiet hours have just begun, and hands the names over in a
//! setting of the transaction.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::owner_functions::Liveness;
use crate::database::{Parameter, Result, Transaction};
use crate::reminders::addresses::with_people;

/// SQL of a query of the reminders that move to `$1`.
const EARLY: &str = include_str!("early.sql");
/// SQL of a query with the columns of [`EARLY`] that has no rows.
const NONE_EARLY: &str = "SELECT NULL::uuid AS id, NULL::timestamptz AS scheduled_at,
           NULL::timestamptz AS created_at, NULL::text AS name,
           NULL::text AS audience, NULL::text AS channel, NULL::interval AS lead,
           NULL::timestamptz AS effective_from, NULL::text AS person_id,
           NULL::timestamptz AS begins_at
     WHERE false";
/// SQL of a boolean: quiet hours of at least one person began after `{since}`, and within the last
/// hour before `$1`.
const BEGUN: &str = "EXISTS (
               SELECT FROM (SELECT DISTINCT quiet_from, quiet_until, timezone
                              FROM public.booking_automation_preferences
                             WHERE quiet_from IS NOT NULL) AS q
                WHERE lower(public.booking_automation_quiet_period($1, q.quiet_from,
                              q.quiet_until, q.timezone))
                      > greatest({since}, $1 - interval '1 hour'))";
/// SQL of a boolean: [`BEGUN`], and the view has names of people.
pub(crate) const READS_NAMES: &str = "CASE WHEN EXISTS (
               SELECT FROM pg_attribute
                WHERE attrelid = to_regclass('public.booking_automation_contacts')
                  AND attname = 'person_id' AND NOT attisdropped)
          THEN {begun} ELSE false END";
/// SQL of a query of the quiet hours that the due time of `{pair}` lies in.
const QUIET: &str = "SELECT lower(public.booking_automation_quiet_period(
                          {pair}.scheduled_at - {pair}.lead, c.quiet_from, c.quiet_until,
                            c.timezone)) AS begins_at
                  FROM public.booking_automation_preferences c
                 WHERE c.person_id = {pair}.person_id
                   AND c.quiet_from IS NOT NULL OFFSET 0";
/// SQL of the name of the person whom the rule `r` tells about the booking `b`: what
/// [`hand_over_names`] has handed over, else the booking's own. A statement reads the setting once.
const NAMED: &str = "coalesce(
          (SELECT nullif(current_setting('booking_automation.names', true), '')::jsonb)
              ->> concat_ws(' ', b.id, r.audience), {person})";
/// SQL of a boolean: an earlier pass of a preview, which begins after `{since}`, has moved the pair
/// `p` to itself.
pub(crate) const MOVED_BEFORE: &str = "p.moved_to IS NULL AND quiet.begins_at > {since}
                  AND quiet.begins_at >= p.scheduled_at - p.lead * 1.5
                  AND quiet.begins_at >= p.effective_from
                  AND quiet.begins_at >= coalesce(s.in_force_since, p.created_at, '-infinity')";

/// SQL of the time after which quiet hours must have begun, if passes have decided up to
/// `looked_through`: transactions of a minute before may have ended since.
pub(crate) fn begun_after(looked_through: &str) -> String {
    format!("{looked_through} - interval '1 minute'")
}

/// Replaces what statements about due reminders share. `since` is SQL of the time after which quiet
/// hours must have begun to move a reminder: what began before was for an earlier pass to move.
pub(crate) fn with_quiet_hours(sql: &str, liveness: Liveness, since: &str) -> String {
    let (early, quiet, begun) = match liveness {
        Liveness::Known | Liveness::Singly => (EARLY, QUIET, BEGUN),
        Liveness::Unknown => (NONE_EARLY, "SELECT NULL::timestamptz AS begins_at", "false"),
    };
    let sql = sql
        .replace("{early}", early)
        .replace("{quiet}", &quiet.replace("{pair}", "p"))
        .replace("{begun}", begun)
        .replace("{person}", NAMED);
    with_people(&sql).replace("{since}", since)
}

/// SQL of a query of the times after `$2` at which a pass decides about reminders of the booking
/// `$1`.
pub(crate) fn due_times_sql(liveness: Liveness) -> String {
    let sql = "WITH pair AS (
             SELECT b.scheduled_at, r.lead, b.person_id
               FROM public.reminder_rules r
              CROSS JOIN {absent}
              CROSS JOIN LATERAL (
                    SELECT b.scheduled_at, {person} AS person_id FROM public.bookings b
                     WHERE b.id = $1 AND b.status = 'confirmed' AND isfinite(b.scheduled_at)) AS b
              WHERE r.active
         )
         SELECT DISTINCT due_at
           FROM (SELECT scheduled_at - lead AS due_at FROM pair
                 UNION ALL
                 SELECT quiet.begins_at
                   FROM pair p
                  CROSS JOIN LATERAL ({quiet}) AS quiet
                  WHERE quiet.begins_at >= p.scheduled_at - p.lead * 1.5) AS due
          WHERE due_at > $2
          ORDER BY 1";
    with_quiet_hours(sql, liveness, "$2")
}

/// SQL of a query of the names of people of the bookings that `which` is a condition of.
fn names_sql(which: &str) -> String {
    include_str!("named_people.sql").replace("{which}", which)
}

/// Of bookings whose reminders passes from `$1` to `$2` may move.
pub(crate) static NAMES_BETWEEN: LazyLock<String> = LazyLock::new(|| {
    names_sql(
        "b.scheduled_at OPERATOR(pg_catalog.>) ($1 OPERATOR(pg_catalog.+) r.lead) \
         AND b.scheduled_at OPERATOR(pg_catalog.<=) \
         ($2 OPERATOR(pg_catalog.+) (r.lead OPERATOR(pg_catalog.*) 1.5))",
    )
});
/// Of the booking `$1`.
pub(crate) static NAMES_OF_BOOKING: LazyLock<String> =
    LazyLock::new(|| names_sql("b.id OPERATOR(pg_catalog.=) $1"));

/// Hands over the names that the view has for the people whose reminders passes from `from` to
/// `until` may move. Returns whether there are any.
pub(crate) async fn hand_over_names(
    transaction: &Transaction,
    liveness: Liveness,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<bool> {
    let parameters = [
        (&from as _, Type::TIMESTAMPTZ),
        (&until as _, Type::TIMESTAMPTZ),
    ];
    hand_over(transaction, liveness, &NAMES_BETWEEN, &parameters).await
}

/// The same, of one booking.
pub(crate) async fn hand_over_names_of(
    transaction: &Transaction,
    liveness: Liveness,
    booking_id: Uuid,
) -> Result<bool> {
    let parameters = [(&booking_id as _, Type::UUID)];
    hand_over(transaction, liveness, &NAMES_OF_BOOKING, &parameters).await
}

async fn hand_over(
    transaction: &Transaction,
    liveness: Liveness,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<bool> {
    // There are no preferences.
    if liveness == Liveness::Unknown {
        return Ok(false);
    }
    let limit = transaction.statement_timeout() / 4;
    let rows = transaction
        .query_with_their_settings(limit, sql, parameters)
        .await;
    let rows = match rows {
        // The view fails: quiet hours are those of the bookings' own people.
        Err(error) if error.is_of_a_row() => {
            tracing::error!(
                error = error.loggable(),
                "quiet hours of people whom only booking_automation_contacts names are not \
                 considered: it cannot be read for all bookings"
            );
            return Ok(false);
        }
        rows => rows?,
    };
    if rows.is_empty() {
        return Ok(false);
    }
    let names = rows.iter().map(|row| {
        let (booking_id, audience): (Uuid, &str) = (row.get("booking_id"), row.get("audience"));
        let name = row.get("person_id");
        (format!("{booking_id} {audience}"), Value::String(name))
    });
    let names = Value::Object(names.collect());
    let sql = "SELECT set_config('booking_automation.names', $1::text, true)";
    transaction.query(sql, &[(&names, Type::JSONB)]).await?;
    Ok(true)
}
