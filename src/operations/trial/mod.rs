//! Tries the pass's own UPDATEs on the user's bookings before `migrate` changes anything, and rolls
//! them back. A new column breaks what copies whole rows of `bookings`, and from then on every
//! UPDATE fails, the user's too; only trying shows what their triggers, rules and functions take.
//!
//! The first round takes the table as it is, and locks a booking of each state. The second round
//! adds the columns under an exclusive lock, for a second at most, and tries what the first round
//! found to work.

mod attempt;
mod verdict;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::bookings::columns::Column;
use crate::bookings::lifecycle::Status;
use crate::bookings::settings::TransitionSettings;
use crate::bookings::step_rules::StepRules;
use crate::database::migrate::{
    ADDS_COLUMNS, MigrateError, NO_COLUMNS, announce_and_lock, retry_on_locks,
};
use crate::database::schema::step_text;
use crate::database::{BOOKINGS_LOCK_TIMEOUT, Begin, Database, Result, Transaction};
use crate::operations::check::applied_steps;
use crate::operations::check::finding::{Finding, Topic};
pub(crate) use crate::operations::trial::attempt::TOUCH;
use crate::operations::trial::attempt::{Attempt, Outcome, Trial, Tried};

/// How long all attempts of a round may take, and how long the second round holds its lock.
const ROUND: Duration = Duration::from_secs(1);
/// Longest time for a statement that prepares the second round. It is longer than the wait for a
/// lock, which must end as a lock that is tried again.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the search for a booking of one state may take.
const PICK_TIMEOUT: Duration = Duration::from_millis(300);
/// The steps that the second round takes before the attempts.
const EXPIRED_STEP: &str = "03_status_expired";
const PICK: &str = include_str!("pick.sql");
const CALLS_DBLINK: &str = include_str!("dblink.sql");
/// The columns that `migrate` adds.
const ADDED: [Column; 7] = [
    Column::AutoCompleteBlocked,
    Column::AutoStatusUpdated,
    Column::AutomationLogs,
    Column::CompletedAt,
    Column::Reminder24hSent,
    Column::Reminder1hSent,
    Column::Reminder15mSent,
];
/// Which steps are due is not asked here.
const SETTINGS: TransitionSettings = TransitionSettings {
    complete_after: Duration::ZERO,
    expire_after: Duration::ZERO,
    expire_pending: true,
};

/// What the first round found.
struct FirstRound {
    tried: Vec<Tried>,
    /// Step 03 was applied: the CHECKs of the status allow `expired`.
    is_extended: bool,
    /// Step 02 is still to come, and adds columns.
    lacks_columns: bool,
    calls_dblink: bool,
}

impl FirstRound {
    /// A CHECK refuses `expired`, which `migrate` changes before a pass writes it.
    fn is_extended_later(&self, tried: &Tried) -> bool {
        let by_check = matches!(tried.outcome, Outcome::Refused { by_check: true, .. });
        by_check && tried.attempt.expires() && !self.is_extended
    }
}

/// Tries everything. `adds_columns`: `migrate` is to add its columns. An error among the findings
/// is a change that the database takes today and would no longer take with the columns.
///
/// # Errors
/// When another session's lock on `bookings` is not released in time.
pub(crate) async fn try_changes(
    database: &Database,
    adds_columns: bool,
    until: Option<Instant>,
) -> std::result::Result<Vec<Finding>, MigrateError> {
    let first = retry_on_locks("trial", async || first_round(database, until).await).await;
    let first = match or_warning(first)? {
        Ok(Some(first)) => first,
        Ok(None) => return Ok(Vec::new()),
        Err(warning) => return Ok(vec![warning]),
    };
    let (later, today): (Vec<_>, Vec<_>) = first
        .tried
        .iter()
        .cloned()
        .partition(|tried| first.is_extended_later(tried));
    let mut findings = verdict::of_today(&today);
    let taken = |tried: &Tried| matches!(tried.outcome, Outcome::Taken | Outcome::Kept);
    let taken: Vec<_> = today.into_iter().filter(taken).collect();
    if !(adds_columns && first.lacks_columns) || (taken.is_empty() && later.is_empty()) {
        return Ok(findings);
    }
    if first.calls_dblink {
        let text = "a function calls dblink, which may wait for the lock of this transaction \
                    without end: the changes were not tried with the columns that migrate adds";
        findings.push(Finding::warning(Topic::Steps, text, ""));
        return Ok(findings);
    }
    let second = retry_on_locks("trial with new columns", async || {
        second_round(database, until, first.is_extended, &taken, &later).await
    });
    match or_warning(second.await)? {
        Ok(second) => findings.extend(second),
        Err(warning) => findings.push(warning),
    }
    Ok(findings)
}

/// A round that failed for another reason than a lock is a warning: nothing was learned.
fn or_warning<T>(
    round: std::result::Result<T, MigrateError>,
) -> std::result::Result<std::result::Result<T, Finding>, MigrateError> {
    match round {
        Err(MigrateError::Step { cause, .. }) => {
            let text = format!(
                "the pass's changes could not be tried to the end: {}",
                cause.message()
            );
            Ok(Err(Finding::warning(Topic::Steps, text, "")))
        }
        round => round.map(Ok),
    }
}

/// Tries everything on the table as it is. `None`: there is no table yet.
async fn first_round(database: &Database, until: Option<Instant>) -> Result<Option<FirstRound>> {
    let begin = Begin {
        lock_timeout: BOOKINGS_LOCK_TIMEOUT,
        until,
        ..Begin::default()
    };
    let (transaction, _) = database.begin(&begin, "").await?;
    let is_there = "SELECT to_regclass('public.bookings') IS NOT NULL AS is_there";
    let is_there = transaction.query_one(is_there, &[]).await?;
    if !is_there.get::<_, bool>("is_there") {
        transaction.rollback().await?;
        return Ok(None);
    }
    tracing::info!(
        "trying the pass's changes on one booking of each state, rolled back; a trigger that calls \
         out, such as by dblink or an HTTP extension, does so for real: --no-probe leaves this out"
    );
    let steps = applied_steps(&transaction).await?;
    let rules = StepRules::read(&transaction, &SETTINGS).await?;
    let calls_dblink = transaction.query_one(CALLS_DBLINK, &[]).await?;
    let bookings = pick(&transaction).await?;
    let trial = Trial {
        transaction: &transaction,
        rules,
        deadline: Instant::now() + ROUND,
    };
    let mut tried = Vec::new();
    for attempt in Attempt::all() {
        let booking = bookings.get(attempt.status().as_str()).copied();
        tried.push(trial.attempt(attempt, booking).await?);
    }
    transaction.rollback().await?;
    Ok(Some(FirstRound {
        tried,
        is_extended: steps.contains(EXPIRED_STEP),
        lacks_columns: !steps.contains(ADDS_COLUMNS)
            && !steps.contains(NO_COLUMNS)
            && ADDED.iter().any(|column| !rules.columns.has(*column)),
        calls_dblink: calls_dblink.get("calls_dblink"),
    }))
}

/// Locks one booking of each state that a pass changes.
async fn pick(transaction: &Transaction) -> Result<BTreeMap<&'static str, Uuid>> {
    let mut bookings = BTreeMap::new();
    for status in [Status::Pending, Status::Confirmed, Status::InProgress] {
        let status = status.as_str();
        let parameters = [(&status as _, Type::TEXT)];
        let find = async |transaction: &Transaction| transaction.query(PICK, &parameters).await;
        match transaction.in_savepoint(PICK_TIMEOUT, find).await {
            Ok(rows) => bookings.extend(rows.first().map(|row| (status, row.get("id")))),
            // A large table without such a booking.
            Err(error) if error.is_statement_timeout() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bookings)
}

/// Tries with the new columns what the first round `taken`, and the `later` attempts, which need
/// step 03: first without the columns, to tell what they do.
async fn second_round(
    database: &Database,
    until: Option<Instant>,
    is_extended: bool,
    taken: &[Tried],
    later: &[Tried],
) -> Result<Vec<Finding>> {
    let begin = Begin {
        statement_timeout: PREPARE_TIMEOUT,
        until,
        ..Begin::default()
    };
    let (transaction, _) = database.begin(&begin, &announce_and_lock("trial")).await?;
    let lock = "LOCK TABLE public.bookings IN ACCESS EXCLUSIVE MODE";
    transaction.batch(lock).await?;
    let deadline = Instant::now() + ROUND;
    let lock_timeout = BOOKINGS_LOCK_TIMEOUT.as_millis();
    let mut prepared = format!("SET LOCAL lock_timeout = {lock_timeout}");
    if !is_extended {
        prepared = format!("{prepared}; {}", step_text(EXPIRED_STEP));
    }
    transaction.batch(&prepared).await?;
    let later = round(&transaction, deadline, later).await?;
    transaction.batch(step_text(ADDS_COLUMNS)).await?;
    // `old.*` in a function is read when its statement is planned; later sessions plan anew.
    transaction.batch("DISCARD PLANS").await?;
    let mut open = taken.to_vec();
    let is_taken = |tried: &&Tried| matches!(tried.outcome, Outcome::Taken | Outcome::Kept);
    open.extend(later.iter().filter(is_taken).cloned());
    let with_columns = round(&transaction, deadline, &open).await?;
    transaction.rollback().await?;
    let mut findings = verdict::of_today(&later);
    findings.extend(verdict::of_columns(&with_columns));
    Ok(findings)
}

/// Makes these attempts, up to the first slow one: other sessions wait for the lock.
async fn round(
    transaction: &Transaction,
    deadline: Instant,
    attempts: &[Tried],
) -> Result<Vec<Tried>> {
    let mut trial = Trial {
        transaction,
        rules: StepRules::read(transaction, &SETTINGS).await?,
        deadline,
    };
    let mut tried = Vec::new();
    for Tried {
        attempt, booking, ..
    } in attempts
    {
        let made = trial.attempt(*attempt, *booking).await?;
        if made.outcome == Outcome::Slow {
            trial.deadline = Instant::now();
        }
        tried.push(made);
    }
    Ok(tried)
}
