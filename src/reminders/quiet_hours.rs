//! Quiet hours: a reminder that would fall into those of its person moves to their beginning.
//!
//! People are found by the booking's `customer_id` or `provider_id`: whether a reminder is due is
//! decided for all bookings at once, without the view of the contacts.

use crate::database::owner_functions::Liveness;
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
/// SQL of a query of the quiet hours that the due time of `{pair}` lies in.
const QUIET: &str = "SELECT lower(public.booking_automation_quiet_period(
                          {pair}.scheduled_at - {pair}.lead, c.quiet_from, c.quiet_until,
                            c.timezone)) AS begins_at
                  FROM public.booking_automation_preferences c
                 WHERE c.person_id = {pair}.person_id AND c.quiet_from IS NOT NULL OFFSET 0";
/// SQL of a boolean: an earlier pass of a preview, which begins after `{since}`, has moved the pair
/// `p` to itself.
pub(crate) const MOVED_BEFORE: &str = "p.moved_to IS NULL AND quiet.begins_at > {since}
                  AND quiet.begins_at >= p.scheduled_at - p.lead * 1.5
                  AND quiet.begins_at >= p.effective_from
                  AND quiet.begins_at >= coalesce(s.in_force_since, p.created_at, '-infinity')";

/// Replaces what statements about due reminders share. `since` is SQL of the time after which quiet
/// hours must have begun to move a reminder. A pass moves what began within an hour: the UNIQUE key
/// knows what has moved already.
pub(crate) fn with_quiet_hours(sql: &str, liveness: Liveness, since: &str) -> String {
    let (early, quiet) = match liveness {
        Liveness::Known | Liveness::Singly => (EARLY, QUIET),
        Liveness::Unknown => (NONE_EARLY, "SELECT NULL::timestamptz AS begins_at"),
    };
    let sql = sql
        .replace("{early}", early)
        .replace("{quiet}", &quiet.replace("{pair}", "p"));
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
                 SELECT quiet.begins_at FROM pair p CROSS JOIN LATERAL ({quiet}) AS quiet
                  WHERE quiet.begins_at >= p.scheduled_at - p.lead * 1.5) AS due
          WHERE due_at > $2
          ORDER BY 1";
    with_quiet_hours(sql, liveness, "$2")
}
