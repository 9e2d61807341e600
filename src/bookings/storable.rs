//! Which statuses the user's column can hold. It evaluates what the catalogue has and writes
//! nothing; a trigger that refuses a status shows only when it is written.

use std::time::Duration;

use crate::bookings::lifecycle::{Role, Status, TABLE};
use crate::database::{Result, Transaction};

const CATALOGUE: &str = include_str!("storable.sql");
/// How long one evaluation may take.
const EVALUATION_TIMEOUT: Duration = Duration::from_secs(1);

/// What keeps a status from being stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The type: too short, an enum without it, or a domain that refuses it.
    Type(String),
    /// A CHECK over the status alone.
    Check(String),
    /// A CHECK over other columns, too: it depends on the booking.
    CheckOfRow(String),
    /// A table of statuses that a foreign key names.
    Key,
}

/// What decides which statuses can be stored.
#[derive(Debug)]
pub(crate) struct Storability {
    pub(crate) obstacles: Vec<(Status, Obstacle)>,
    /// The type is a domain, and a CHECK names the status alone.
    pub(crate) is_checked_domain: bool,
}

/// The statuses that the pass writes.
pub(crate) fn written_statuses() -> impl Iterator<Item = Status> {
    let written = |status: &Status| {
        TABLE
            .iter()
            .any(|step| step.to == *status && step.by.contains(&Role::Automation))
    };
    Status::ALL.iter().copied().filter(written)
}

/// The statuses that the pass writes and the column cannot hold, for a booking of any kind. A
/// handful of statements; nothing is written.
///
/// # Errors
/// As every statement. A failed evaluation counts as a refusal.
pub(crate) async fn unstorable_statuses(transaction: &Transaction) -> Result<Vec<Status>> {
    let found = storability(transaction).await?.obstacles;
    let mut statuses: Vec<_> = found
        .into_iter()
        .filter(|(_, obstacle)| !matches!(obstacle, Obstacle::CheckOfRow(_)))
        .map(|(status, _)| status)
        .collect();
    statuses.dedup();
    Ok(statuses)
}

/// Evaluates, for each status that the pass writes, what may refuse it.
pub(crate) async fn storability(transaction: &Transaction) -> Result<Storability> {
    let row = transaction.query_one(CATALOGUE, &[]).await?;
    let type_name: String = row.get("type");
    let names: Vec<String> = row.get("check_names");
    let is_alone: Vec<bool> = row.get("is_alone");
    let checks: Vec<String> = row.get("check_queries");
    let keys: Vec<String> = row.get("key_queries");
    // A cast to a shorter type cuts the text.
    let fits = format!("SELECT '{{status}}'::text::{type_name}::text = '{{status}}' AS holds");
    let mut obstacles = Vec::new();
    for status in written_statuses() {
        if !holds(transaction, &fits, status).await? {
            obstacles.push((status, Obstacle::Type(type_name.clone())));
            continue;
        }
        for ((query, name), is_alone) in checks.iter().zip(&names).zip(&is_alone) {
            if !holds(transaction, query, status).await? {
                let obstacle = match is_alone {
                    true => Obstacle::Check,
                    false => Obstacle::CheckOfRow,
                };
                obstacles.push((status, obstacle(name.clone())));
            }
        }
        for query in &keys {
            if !holds(transaction, query, status).await? {
                obstacles.push((status, Obstacle::Key));
            }
        }
    }
    Ok(Storability {
        obstacles,
        is_checked_domain: row.get("is_domain") && is_alone.contains(&true),
    })
}

/// Whether an evaluation holds; one that fails does not.
async fn holds(transaction: &Transaction, query: &str, status: Status) -> Result<bool> {
    let query = query.replace("{status}", status.as_str());
    let evaluate = async |transaction: &Transaction| transaction.query_one(&query, &[]).await;
    match transaction.in_savepoint(EVALUATION_TIMEOUT, evaluate).await {
        Ok(row) => Ok(row.get("holds")),
        Err(error) if error.is_of_a_row() => Ok(false),
        Err(error) => Err(error),
    }
}
