//! Steps of the database's clock.
//!
//! Everything is decided by it. Where it is wrong, so are the decisions; a pass can only say so.
//! Where it was set back, what is stored as "not before" lies further ahead than was meant: such
//! waits and leases are cut.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;

use crate::database::owner_functions::is_known;
use crate::database::{Begin, Database, Result, Transaction};
use crate::delivery::webhooks::WebhookDispatcher;
use crate::delivery::{Mailer, Messenger};
use crate::primitives::call::Call;

const BOUND_WAITS: &str = include_str!("bound_waits.sql");
/// What was queued lies ahead by as much as the clock was set back.
const BOUND_NOTICES: &str = "UPDATE public.booking_automation_notices n
      SET due_at = n.due_at - (n.queued_at - k.at),
        happened_at = n.happened_at - (n.queued_at - k.at), queued_at = k.at
     FROM (SELECT clock_timestamp() AS at) AS k
    WHERE n.queued_at > k.at";
/// SQL of the seconds by which the clock is behind the latest run.
pub(crate) const SECONDS_SET_BACK: &str = "coalesce(greatest(extract(epoch FROM
    (SELECT max(created_at) FROM public.automation_runs) - clock_timestamp()), 0), 0)::float8";
/// A step or a difference that is an error.
const LARGE: Duration = Duration::from_secs(60);

/// Logs a step back, and a difference from the clock of this machine.
pub(crate) fn report_clock(clock: DateTime<Utc>, set_back: Duration) {
    if set_back > LARGE {
        tracing::error!(
            seconds = set_back.as_secs(),
            "the database's clock is behind the latest run: it was set back; waits and leases are \
             cut"
        );
    }
    let here = DateTime::<Utc>::from(SystemTime::now());
    let ahead = (clock - here).num_seconds();
    if ahead.unsigned_abs() > LARGE.as_secs() {
        tracing::error!(
            seconds_ahead = ahead,
            "the clocks of the database and of this machine differ; bookings and reminders follow \
             the database's"
        );
    }
}

/// Cuts waits and leases that lie further ahead than their attempts allow. Returns how many there
/// were.
pub(crate) async fn bound_waits(
    database: &Database,
    mailer: &Mailer,
    dispatcher: &WebhookDispatcher,
    call: &Call,
) -> Result<u64> {
    let (mail, webhooks) = (&mailer.settings.timing, dispatcher.settings());
    let seconds = |wait: Duration| wait.as_secs_f64();
    let unknown_wait = mailer.unknown_wait();
    let retry_after: Vec<_> = webhooks.retry_after.iter().copied().map(seconds).collect();
    let parameters = [
        (&seconds(mail.lease) as _, Type::FLOAT8),
        (&seconds(unknown_wait) as _, Type::FLOAT8),
        (&seconds(mail.probe_wait) as _, Type::FLOAT8),
        (&seconds(mail.back_off) as _, Type::FLOAT8),
        (&seconds(webhooks.timing.lease) as _, Type::FLOAT8),
        (&retry_after as _, Type::FLOAT8_ARRAY),
    ];
    let (transaction, _) = database.begin(&Begin::until(call.deadline), "").await?;
    transaction
        .commit_after(async |transaction: &Transaction| {
            if is_known(transaction).await? {
                transaction.execute(BOUND_NOTICES, &[]).await?;
            }
            transaction.execute(BOUND_WAITS, &parameters).await
        })
        .await
}
