//! Quiet hours: a reminder that would fall into those of its person moves to their beginning.
//!
//! People are found by the booking's `customer_id` or `provider_id`, or by the name that the view
//! has for them. Whether a reminder is due is decided for all bookings at once, without the view;
//! so the view is read before, when quiet hours have just begun, and what it says is handed over in
//! settings of the transaction.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
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
/// SQL of a boolean: somebody's quiet hours have begun until `$1`, within an hour and after
/// `{since}`.
const BEGUN: &str = "EXISTS (
               SELECT FROM (SELECT DISTINCT quiet_from, quiet_until, timezone
                              FROM public.booking_automation_preferences
                             WHERE quiet_from IS NOT NULL) AS q
                WHERE lower(public.booking_automation_quiet_period($1, q.quiet_from,
                              q.quiet_until, q.timezone))
                      > greatest({since}, $1 - interval '1 hour'))";
/// SQL of a boolean: [`BEGUN`], perhaps of somebody whom only the view names.
pub(crate) const MAY_BE_NAMED: &str = "CASE WHEN EXISTS (
               SELECT FROM pg_attribute
                WHERE attrelid = to_regclass('public.booking_automation_contacts')
                  AND attname = 'person_id' AND NOT attisdropped)
          THEN {begun} ELSE false END";
/// SQL of a query of the quiet hours that the due time of `p` lies in. [`NAMED`] must precede it.
const QUIET: &str = "SELECT lower(public.booking_automation_quiet_period(
                          p.scheduled_at - p.lead, c.quiet_from, c.quiet_until,
                            c.timezone)) AS begins_at
                  FROM public.booking_automation_preferences c
                 WHERE c.person_id = {named_or_own}
                   AND c.quiet_from IS NOT NULL OFFSET 0";
/// SQL of the relation `n` of what [`NamedPeople::hand_over`] has handed over.
const NAMED: &str = "ROWS FROM (
          unnest(nullif(current_setting('booking_automation.named_bookings', true), '')::uuid[]),
          unnest(nullif(current_setting('booking_automation.named_audiences', true), '')::text[]),
          unnest(nullif(current_setting('booking_automation.named_people', true), '')::text[]))
          AS n (booking_id, audience, person_id)";
/// SQL of a boolean: an earlier pass of a preview, which begins after `{since}`, has moved the pair
/// `p` to itself.
pub(crate) const MOVED_BEFORE: &str = "p.moved_to IS NULL AND quiet.begins_at > {since}
                  AND quiet.begins_at >= p.scheduled_at - p.lead * 1.5
                  AND quiet.begins_at >= p.effective_from
                  AND quiet.begins_at >= coalesce(s.in_force_since, p.created_at, '-infinity')";

/// Replaces what statements about due reminders share. `since` is SQL of the time after which quiet
/// hours must have begun to move a reminder: what began before was for an earlier pass to move.
pub(crate) fn with_quiet_hours(sql: &str, liveness: Liveness, since: &str) -> String {
    let (early, quiet, begun) = match liveness {
        Liveness::Known | Liveness::Singly => (EARLY, QUIET, BEGUN),
        Liveness::Unknown => (NONE_EARLY, "SELECT NULL::timestamptz AS begins_at", "false"),
    };
    let sql = sql
        .replace("{early}", early)
        .replace("{quiet}", quiet)
        .replace("{named_or_own}", "coalesce(n.person_id, p.person_id)")
        .replace("{begun}", begun)
        .replace("{named}", NAMED);
    with_people(&sql).replace("{since}", since)
}

/// SQL of a query of the times after `$2` at which a pass decides about reminders of the booking
/// `$1`.
pub(crate) fn due_times_sql(liveness: Liveness) -> String {
    let sql = "WITH pair AS (
             SELECT b.scheduled_at, r.audience, r.lead, b.person_id
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
                   LEFT JOIN {named} ON n.booking_id = $1 AND n.audience = p.audience
                  CROSS JOIN LATERAL ({quiet}) AS quiet
                  WHERE quiet.begins_at >= p.scheduled_at - p.lead * 1.5) AS due
          WHERE due_at > $2
          ORDER BY 1";
    with_quiet_hours(sql, liveness, "$2")
}

/// SQL of [`NamedPeople`], of the bookings that `which` is a condition of.
fn named_sql(which: &str) -> String {
    include_str!("named_people.sql").replace("{which}", which)
}

/// Of bookings that passes from `$1` to `$2` may decide on before their time.
pub(crate) static NAMED_BETWEEN: LazyLock<String> = LazyLock::new(|| {
    named_sql(
        "b.scheduled_at OPERATOR(pg_catalog.>) ($1 OPERATOR(pg_catalog.+) r.lead) \
         AND b.scheduled_at OPERATOR(pg_catalog.<=) \
         ($2 OPERATOR(pg_catalog.+) (r.lead OPERATOR(pg_catalog.*) 1.5))",
    )
});
/// Of the booking `$1`.
pub(crate) static NAMED_OF_BOOKING: LazyLock<String> =
    LazyLock::new(|| named_sql("b.id OPERATOR(pg_catalog.=) $1"));

/// The people of bookings whom the view names differently than `bookings`, as far as quiet hours
/// depend on it.
#[derive(Debug, Default)]
pub(crate) struct NamedPeople {
    bookings: Vec<Uuid>,
    audiences: Vec<String>,
    people: Vec<String>,
}

impl NamedPeople {
    /// Of bookings that passes of a time may decide on before their own.
    pub(crate) async fn between(
        transaction: &Transaction,
        liveness: Liveness,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Self> {
        let parameters = [
            (&from as _, Type::TIMESTAMPTZ),
            (&until as _, Type::TIMESTAMPTZ),
        ];
        Self::read(transaction, liveness, &NAMED_BETWEEN, &parameters).await
    }

    /// Of one booking.
    pub(crate) async fn of_booking(
        transaction: &Transaction,
        liveness: Liveness,
        booking_id: Uuid,
    ) -> Result<Self> {
        let parameters = [(&booking_id as _, Type::UUID)];
        Self::read(transaction, liveness, &NAMED_OF_BOOKING, &parameters).await
    }

    async fn read(
        transaction: &Transaction,
        liveness: Liveness,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Self> {
        // There are no preferences.
        if liveness == Liveness::Unknown {
            return Ok(Self::default());
        }
        let limit = transaction.statement_timeout() / 4;
        let rows = transaction
            .query_with_their_settings(limit, sql, parameters)
            .await?;
        let mut named = Self::default();
        for row in rows {
            named.bookings.push(row.get("booking_id"));
            named.audiences.push(row.get("audience"));
            named.people.push(row.get("person_id"));
        }
        Ok(named)
    }

    /// To the statements that follow in the transaction. Returns whether there are any.
    pub(crate) async fn hand_over(&self, transaction: &Transaction) -> Result<bool> {
        if self.people.is_empty() {
            return Ok(false);
        }
        let sql = "SELECT set_config('booking_automation.named_bookings', $1::text, true),
                    set_config('booking_automation.named_audiences', $2::text, true),
                    set_config('booking_automation.named_people', $3::text, true)";
        let parameters = [
            (&self.bookings as _, Type::UUID_ARRAY),
            (&self.audiences as _, Type::TEXT_ARRAY),
            (&self.people as _, Type::TEXT_ARRAY),
        ];
        transaction.query(sql, &parameters).await?;
        Ok(true)
    }
}

/// Hands over the people of whose bookings a pass may decide before their time. Returns whether
/// there are any.
pub(crate) async fn hand_over_due(
    transaction: &Transaction,
    liveness: Liveness,
    as_of: DateTime<Utc>,
) -> Result<bool> {
    match NamedPeople::between(transaction, liveness, as_of, as_of).await {
        Ok(named) => named.hand_over(transaction).await,
        // The view fails: reminders go out at their own times.
        Err(error) if error.is_of_a_row() => {
            tracing::error!(
                error = error.loggable(),
                "quiet hours of people whom only booking_automation_contacts names are not \
                 considered: it cannot be read for all bookings"
            );
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
