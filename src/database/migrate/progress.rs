//! Shows how far `migrate` and `uninstall` are, and whom they wait for.
//!
//! Twice a second, a connection of its own looks at the sessions of this process. It is closed at
//! once, so that it never keeps the last one from the work. A terminal shows one line that changes;
//! a log gets a line at intervals. The work never fails because of it.

use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::database::migrate::step::session_name;
use crate::database::settings::DatabaseSettings;
use crate::database::{Begin, Database, Result};

/// The usual interval between two lines in a log.
pub const INTERVAL: Duration = Duration::from_secs(10);
/// How often to look: more often than the second for which a step waits for a lock.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After so many failures in succession it says so, and shows nothing any more.
const MOST_FAILURES: u32 = 5;
/// Clears the line that the cursor is on.
pub const CLEAR_LINE: &str = "\r\x1b[2K";

/// Does `work` while its progress is shown: on a terminal at once, in a log at each interval.
/// `settings` are those of the connections that do the work.
pub async fn watched<T>(
    settings: &DatabaseSettings,
    interval: Duration,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    let done = tokio::select! {
        done = &mut work => done,
        never = watch(settings, interval) => match never {},
    };
    if std::io::stderr().is_terminal() {
        write_to_terminal("");
    }
    done
}

async fn watch(settings: &DatabaseSettings, interval: Duration) -> Infallible {
    let Ok(database) = Database::new(settings, 1) else {
        return std::future::pending().await;
    };
    let is_terminal = std::io::stderr().is_terminal();
    let (mut rate, mut failures) = (Rate::default(), 0);
    let (mut last_written, mut last_wait) = (Instant::now(), None);
    while failures < MOST_FAILURES {
        tokio::time::sleep(LOOK_EVERY.min(interval)).await;
        let rows = match look(&database).await {
            Ok(rows) => rows,
            Err(error) => {
                failures += 1;
                if failures == MOST_FAILURES {
                    let error = error.loggable();
                    tracing::info!(error, "the progress cannot be read, and is no longer shown");
                }
                continue;
            }
        };
        failures = 0;
        let lines: Vec<_> = rows.iter().map(|row| line(row, &mut rate)).collect();
        // A step waits for a second and then pauses for longer: the wait must not be missed.
        if let Some(line) = lines.iter().find(|line| line.contains(WAITS)) {
            last_wait = Some(line.clone());
        }
        let lines = if lines.is_empty() {
            last_wait.clone().into_iter().collect()
        } else {
            lines
        };
        if is_terminal {
            write_to_terminal(&lines.join("; "));
        } else if last_written.elapsed() >= interval && !lines.is_empty() {
            lines.iter().for_each(|line| tracing::info!("{line}"));
            (last_written, last_wait) = (Instant::now(), None);
        }
    }
    std::future::pending().await
}

async fn look(database: &Database) -> Result<Vec<Row>> {
    let begin = Begin {
        statement_timeout: Duration::from_secs(2),
        ..Begin::default()
    };
    let (transaction, _) = database.begin(&begin, "").await?;
    let marker = format!("/* {} */", session_name());
    let parameters = [
        (&session_name() as _, Type::TEXT),
        (&marker as _, Type::TEXT),
    ];
    let rows = transaction
        .query(include_str!("progress.sql"), &parameters)
        .await?;
    // Its connection closes with it.
    drop(transaction);
    Ok(rows)
}

/// How a line goes on when the session waits.
const WAITS: &str = "; waits for ";

/// One session's progress, in words.
fn line(row: &Row, rate: &mut Rate) -> String {
    let seconds: i64 = row.get("seconds");
    let mut line = match row.get::<_, Option<&str>>("phase") {
        Some(phase) => {
            let index: Option<&str> = row.get("index_name");
            let (done, total): (i64, i64) = (row.get("done"), row.get("total"));
            let share = rate.share(phase, done, total, row.get("unit"));
            format!(
                "index {}: {phase}{share}, {seconds} s so far",
                index.unwrap_or("?")
            )
        }
        None => {
            let step: &str = row.get("step");
            let size: Option<&str> = row.get("size");
            let reads = size.filter(|_| step.ends_with("validated"));
            let reads = reads
                .map(|size| format!("; it reads {size} once"))
                .unwrap_or_default();
            let name = if step.is_empty() { "index" } else { step };
            format!("{name}: {seconds} s so far{reads}")
        }
    };
    let blockers: Vec<String> = row.get("blockers");
    if !blockers.is_empty() {
        line += &format!("{WAITS}{}", blockers.join(", "));
    }
    line
}

/// How fast the present phase of an index build is.
#[derive(Default)]
struct Rate {
    phase: String,
    since: Option<(Instant, i64)>,
}

impl Rate {
    /// The share that is done and the time left, in words; empty if the phase counts nothing.
    fn share(&mut self, phase: &str, done: i64, total: i64, unit: &str) -> String {
        if total <= 0 {
            return String::new();
        }
        let (since, at_first) = match self.since {
            Some(since) if self.phase == phase && done >= since.1 => since,
            _ => {
                phase.clone_into(&mut self.phase);
                *self.since.insert((Instant::now(), done))
            }
        };
        let left = seconds_left(since.elapsed(), done - at_first, total - done);
        let left = left
            .map(|seconds| format!(", about {seconds} s left in this phase"))
            .unwrap_or_default();
        format!(
            " {} % ({done} of {total} {unit}){left}",
            done.saturating_mul(100) / total
        )
    }
}

/// Seconds for `left` units, if `done` took `elapsed`.
fn seconds_left(elapsed: Duration, done: i64, left: i64) -> Option<u64> {
    let (done, left) = (u32::try_from(done).ok()?, u32::try_from(left).ok()?);
    (done > 0)
        .then(|| (elapsed.as_secs_f64() * f64::from(left) / f64::from(done)).ceil())
        .map(|seconds| Duration::from_secs_f64(seconds).as_secs())
}

/// Replaces the terminal's line, without wrapping it.
fn write_to_terminal(line: &str) {
    let text = format!("{CLEAR_LINE}\x1b[?7l{line}\x1b[?7h");
    let mut stderr = std::io::stderr().lock();
    // Nothing else can be done about a terminal that is gone.
    let _ = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::seconds_left;

    #[test]
    fn the_time_left_follows_from_the_rate() {
        let after = Duration::from_secs(10);
        assert_eq!(seconds_left(after, 50, 25), Some(5));
        assert_eq!(seconds_left(after, 3, 1), Some(4));
        assert_eq!(seconds_left(after, 0, 25), None);
        assert_eq!(seconds_left(after, 50, 0), Some(0));
    }
}
