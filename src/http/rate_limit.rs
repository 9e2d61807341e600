//! How often each credential may fire a pass over HTTP, counted in the database, so that all instances
//! count together.
//!
//! The generic cell rate algorithm (ITU-T I.371): each call moves a credential's time on by its share of the
//! minute, and one that would move it more than a minute ahead of the clock is refused. One row, one
//! statement, one message that begins and commits: nobody who goes away in the middle leaves it locked.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::database::{Begin, Database, Result, last_row};

/// The time that a credential's calls are counted over.
const WINDOW: Duration = Duration::from_secs(60);
/// How long it may take; no part of the pass.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for another call with the same credential, which is being counted.
const LOCK_TIMEOUT: Duration = Duration::from_millis(100);

/// Counts a call. `Some` says in how long the next one may come: this one may not.
///
/// # Errors
/// When the database cannot be asked. Then nobody may.
pub(crate) async fn take(
    database: &Database,
    credential: &str,
    calls_per_minute: NonZeroU32,
    deadline: Instant,
) -> Result<Option<Duration>> {
    let share = WINDOW.as_secs_f64() / f64::from(calls_per_minute.get());
    let ahead = WINDOW.as_secs_f64() - share;
    // The credential is hexadecimal digits, the others are numbers.
    let sql = format!(
        "SET LOCAL synchronous_commit = off;
         WITH taken AS (
             INSERT INTO booking_automation_callers AS c (credential, next_at)
             VALUES ('{credential}', clock_timestamp() + interval '{share} seconds')
             ON CONFLICT (credential) DO UPDATE
                SET next_at = greatest(c.next_at, clock_timestamp()) + interval '{share} seconds'
              WHERE c.next_at <= clock_timestamp() + interval '{ahead} seconds'
             RETURNING credential
         )
         -- The wait is a guess where another call was counted meanwhile: this statement began before.
         SELECT EXISTS (SELECT FROM taken),
                (SELECT extract(epoch FROM c.next_at - clock_timestamp()) - {ahead}
                   FROM booking_automation_callers c WHERE credential = '{credential}');
         COMMIT"
    );
    let begin = Begin {
        statement_timeout: TIMEOUT,
        lock_timeout: LOCK_TIMEOUT,
        until: Some(deadline),
        ..Begin::default()
    };
    let rows = match database.alone(&begin, &sql).await {
        // Another call of the same credential is being counted, and takes its time.
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
