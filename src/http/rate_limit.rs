//! Limits how often each credential may call over HTTP. The count is in the database, so that all
//! instances share it.
//!
//! The generic cell rate algorithm (ITU-T I.371): each call moves a credential's time forward by
//! its share of the minute; a call that would move it more than a minute ahead of the clock is
//! refused. A time that lies further ahead was written before the database's clock was set back,
//! and counts as a minute. One message begins, changes one row and commits, so a process that dies
//! cannot leave the row locked.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::database::{Begin, Database, Result, last_row};

/// The period over which calls are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Longest time for counting a call. It is not part of the pass.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait while another call with the same credential is being counted.
const LOCK_TIMEOUT: Duration = Duration::from_millis(100);

/// Counts a call. `Some`: this call is refused, and the next one may come after that time.
///
/// # Errors
/// When the database cannot be reached. The call must then be refused.
pub(crate) async fn take_call(
    database: &Database,
    credential: &str,
    calls_per_minute: NonZeroU32,
    deadline: Instant,
) -> Result<Option<Duration>> {
    let share = WINDOW.as_secs_f64() / f64::from(calls_per_minute.get());
    let window = WINDOW.as_secs_f64();
    let ahead = window - share;
    // Safe to format in: the credential is hexadecimal digits, the others are numbers.
    let sql = format!(
        "SET LOCAL synchronous_commit = off;
         WITH taken AS (
             INSERT INTO public.booking_automation_callers AS c (credential, next_at)
             VALUES ('{credential}', clock_timestamp() + interval '{share} seconds')
             ON CONFLICT (credential) DO UPDATE
                SET next_at = least(clock_timestamp() + interval '{window} seconds',
                        greatest(c.next_at, clock_timestamp()) + interval '{share} seconds')
              WHERE c.next_at <= clock_timestamp() + interval '{ahead} seconds'
                 OR c.next_at > clock_timestamp() + interval '{window} seconds'
             RETURNING credential
         )
         -- The wait is approximate if another call was counted since this statement began.
         SELECT EXISTS (SELECT FROM taken),
                (SELECT extract(epoch FROM c.next_at - clock_timestamp()) - {ahead}
                   FROM public.booking_automation_callers c WHERE credential = '{credential}');
         COMMIT"
    );
    let begin = Begin {
        statement_timeout: TIMEOUT,
        lock_timeout: LOCK_TIMEOUT,
        until: Some(deadline),
        ..Begin::default()
    };
    let rows = match database.alone(&begin, &sql).await {
        // Another call with the same credential is being counted, slowly.
        Err(error) if error.is_lock() => return Ok(Some(Duration::from_secs(1))),
        rows => rows?,
    };
    let row = last_row(&rows);
    if row.and_then(|row| row.get(0)) == Some("t") {
        return Ok(None);
    }
    let wait: f64 = row
        .and_then(|row| row.get(1)?.parse().ok())
        .unwrap_or(share);
    Ok(Some(
        Duration::try_from_secs_f64(wait.max(0.0)).unwrap_or(WINDOW),
    ))
}
