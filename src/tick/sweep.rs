//! The hourly sweep, after a pass and apart from it: in parts, each in a transaction under the
//! pass's lock, for a fifth of a second of each call until it is complete. What it finds is pending
//! for the next call.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::bookings::not_live::{MarkPart, mark_not_live};
use crate::bookings::step_rules::StepRules;
use crate::database::owner_functions::Liveness;
use crate::database::{Begin, Database, Transaction};
use crate::primitives::call::Call;
use crate::reminders::sweep::{
    Part, SWEEP_TIME, end_sweep, examine_part, next_part, record_failed_part, record_part,
};
use crate::tick::error::PassError;
use crate::tick::pass::{begin_pass, refuse_hidden_rows, take_lock};
use crate::tick::preconditions::Preconditions;
use crate::tick::settings::PassSettings;

/// Time for marks, or for a sweep that makes decisions which a pass could not, in one call.
const CATCH_UP_TIME: Duration = Duration::from_secs(5);
/// No part begins when less than this is left of the call.
const SPARE_TIME: Duration = Duration::from_secs(1);
/// Longest time for one statement of a part: a part that is too slow is tried with fewer bookings.
const PART_TIMEOUT: Duration = Duration::from_secs(1);
/// The same, of marks.
const MARK_TIMEOUT: Duration = Duration::from_secs(3);

/// Bookings of each status that are marked at once: about 150 ms of work.
const MARKED_AT_ONCE: i64 = 50_000;
/// Bookings that may fail in one call: where more fail, it is not for the bookings.
const MOST_LEFT_OUT: usize = 10;

/// What became of a part.
enum Outcome {
    /// It was examined, or the next one is smaller. The sweep has this time in one call.
    Recorded(Duration),
    /// It was a single booking, and failed.
    LeftOut(Duration),
    /// There is no part: the sweep is complete.
    Complete,
    /// A pass is running, and the sweep would make it wait; or there is no sweep before `migrate`.
    Postponed,
}

/// Marks what is not live, for the passes of the next hour: a part of the bookings after the other,
/// for a few seconds. What was marked stays so; passes read the rest. A failure is logged, and the
/// next hour's call tries again. `anew`: from the beginning; otherwise the marks move on.
pub(crate) async fn mark_what_is_not_live(
    database: &Database,
    settings: &PassSettings,
    call: &Call,
    anew: bool,
) {
    let until = Instant::now() + CATCH_UP_TIME;
    let mut part = MarkPart {
        size: MARKED_AT_ONCE,
        is_first: anew,
    };
    while Instant::now() < until && has_time(call) {
        match mark_part(database, settings, call, part).await {
            Ok(true) => part.is_first = false,
            Ok(false) => return,
            Err(error) if error.is_too_slow() && part.size > 1 => {
                part.size = (part.size / 4).max(1);
            }
            Err(error) => {
                tracing::error!(
                    error = %error,
                    "the bookings that are not live could not be marked; the next hour's call \
                     tries again"
                );
                return;
            }
        }
    }
}

/// Returns whether there is a next part.
async fn mark_part(
    database: &Database,
    settings: &PassSettings,
    call: &Call,
    part: MarkPart,
) -> Result<bool, PassError> {
    let Some((transaction, preconditions, rules)) =
        begin(database, settings, &limits(call, MARK_TIMEOUT)).await?
    else {
        return Ok(false);
    };
    let as_of = call.as_of.unwrap_or(preconditions.clock);
    let mark =
        async |transaction: &Transaction| mark_not_live(transaction, &rules, as_of, part).await;
    Ok(transaction.commit_after(mark).await?)
}

fn has_time(call: &Call) -> bool {
    Instant::now() + SPARE_TIME < call.deadline && !call.stop.is_cancelled()
}

fn limits(call: &Call, longest: Duration) -> Begin {
    let limits = begin_pass(call);
    Begin {
        statement_timeout: limits.statement_timeout.min(longest),
        ..limits
    }
}

/// Goes on with the sweep that is under way, while the next part is likely to end in time. A
/// failure is logged, and the next call goes on.
pub(crate) async fn sweep(database: &Database, settings: &PassSettings, call: &Call, run_id: Uuid) {
    let (begun, mut left_out) = (Instant::now(), 0);
    let (mut time, mut last) = (SWEEP_TIME, Duration::ZERO);
    while left_out < MOST_LEFT_OUT && begun.elapsed() + last <= time && has_time(call) {
        let part_begun = Instant::now();
        match sweep_part(database, settings, call, run_id).await {
            Ok(Outcome::Recorded(sweep_time)) => time = sweep_time,
            Ok(Outcome::LeftOut(sweep_time)) => (time, left_out) = (sweep_time, left_out + 1),
            Ok(Outcome::Complete | Outcome::Postponed) => return,
            Err(error) => {
                tracing::error!(error = %error, "the sweep failed; the next call goes on with it");
                return;
            }
        }
        last = part_begun.elapsed();
    }
}

async fn sweep_part(
    database: &Database,
    settings: &PassSettings,
    call: &Call,
    run_id: Uuid,
) -> Result<Outcome, PassError> {
    let begun = Instant::now();
    let limits = limits(call, PART_TIMEOUT);
    let Some((transaction, preconditions, rules)) = begin(database, settings, &limits).await?
    else {
        return Ok(Outcome::Postponed);
    };
    if rules.liveness == Liveness::Unknown {
        transaction.rollback().await?;
        return Ok(Outcome::Postponed);
    }
    let as_of = call.as_of.unwrap_or(preconditions.clock);
    let Some(part) = next_part(&transaction, as_of).await? else {
        let end = async |transaction: &Transaction| end_sweep(transaction, as_of).await;
        transaction.commit_after(end).await?;
        return Ok(Outcome::Complete);
    };
    match examine_part(&transaction, rules.liveness, as_of, &part, run_id).await {
        // The rest of the part follows in the next one, which begins at the same booking.
        Ok(decisions) if decisions.more => transaction.commit().await?,
        Ok(_) => {
            let took = begun.elapsed();
            let record =
                async |transaction: &Transaction| record_part(transaction, &part, took).await;
            transaction.commit_after(record).await?;
        }
        Err(error) if error.is_of_a_row() => {
            tracing::warn!(
                error = error.loggable(),
                "a part of the sweep failed; the next one is smaller"
            );
            let _ = transaction.rollback().await;
            return record_failure(database, &limits, &part).await;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Outcome::Recorded(time_for(&part)))
}

fn time_for(part: &Part) -> Duration {
    match part.catches_up {
        true => CATCH_UP_TIME,
        false => SWEEP_TIME,
    }
}

async fn record_failure(
    database: &Database,
    limits: &Begin,
    part: &Part,
) -> Result<Outcome, PassError> {
    let (transaction, _) = database.begin(limits, "").await?;
    let record = async |transaction: &Transaction| record_failed_part(transaction, part).await;
    let left_out = transaction.commit_after(record).await?;
    Ok(match left_out {
        true => Outcome::LeftOut(time_for(part)),
        false => Outcome::Recorded(time_for(part)),
    })
}

/// Begins a transaction under the pass's lock. `None`: a pass is running.
async fn begin(
    database: &Database,
    settings: &PassSettings,
    limits: &Begin,
) -> Result<Option<(Transaction, Preconditions, StepRules)>, PassError> {
    let (transaction, rows) = database.begin(limits, &take_lock()).await?;
    let Some(preconditions) = Preconditions::of(&rows) else {
        transaction.rollback().await?;
        return Ok(None);
    };
    let rules = preconditions.rules(&settings.transitions)?;
    refuse_hidden_rows(&transaction, true).await?;
    Ok(Some((transaction, preconditions, rules)))
}
