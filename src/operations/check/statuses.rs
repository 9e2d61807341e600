//! The statuses: those that the pass writes, and those that are in the data.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_postgres::types::Type;

use crate::bookings::lifecycle::{Role, Status, TABLE};
use crate::bookings::storable::{Obstacle, Storability, storability, written_statuses};
use crate::database::{Result, Transaction};
use crate::operations::check::finding::{Finding, Topic};

/// The step that lets CHECKs over the status alone allow `expired`.
const EXPIRED_STEP: &str = "03_status_expired";
/// How long the sample may take.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(1);
/// About how many pages the sample has.
const SAMPLE_PAGES: f32 = 1000.0;
/// How many unknown statuses are named.
const NAMED: usize = 10;

/// Whether the column can hold what the pass writes. `steps` are those that were applied.
pub(crate) async fn look_at_written(
    transaction: &Transaction,
    steps: &BTreeSet<String>,
) -> Result<Vec<Finding>> {
    let storability = storability(transaction).await?;
    let is_extended = steps.contains(EXPIRED_STEP);
    let mut findings: Vec<_> = written_statuses()
        .filter_map(|status| judge(status, &storability, is_extended))
        .collect();
    if findings.is_empty() {
        let text = "the column status can hold what the pass writes";
        findings.push(Finding::ok(Topic::Statuses, text));
    }
    Ok(findings)
}

fn judge(status: Status, storability: &Storability, is_extended: bool) -> Option<Finding> {
    let of_status = storability.obstacles.iter().filter(|(of, _)| *of == status);
    let migrate_extends = status == Status::Expired && !is_extended;
    let obstacle = of_status
        .map(|(_, obstacle)| obstacle)
        .find(|obstacle| !(migrate_extends && matches!(obstacle, Obstacle::Check(_))))?;
    let what = match obstacle {
        Obstacle::Type(name) => format!("the type {name} cannot hold it"),
        Obstacle::Check(name) => format!("the CHECK {name} refuses it"),
        Obstacle::CheckOfRow(name) => return Some(depends_on_row(status, name)),
        Obstacle::Key => "the table of statuses that a foreign key names has no such row".into(),
    };
    let text = format!("bookings.status cannot be {status}: {what}");
    // The step evaluates the CHECKs with this status, which fails on such a domain.
    let is_type = matches!(obstacle, Obstacle::Type(_));
    if migrate_extends && is_type && storability.is_checked_domain {
        let remedy = "let the domain allow it (ALTER DOMAIN … DROP CONSTRAINT …, ADD CONSTRAINT …)";
        return Some(Finding::error(Topic::Statuses, text, remedy));
    }
    Some(Finding::warning(
        Topic::Statuses,
        format!("{text}; these steps will not be made: {}", steps_to(status)),
        "let the column allow it",
    ))
}

fn depends_on_row(status: Status, check: &str) -> Finding {
    Finding::warning(
        Topic::Statuses,
        format!(
            "whether bookings.status can be {status} depends on other columns: the CHECK {check} \
             refuses it where they are NULL; it may refuse these steps: {}",
            steps_to(status)
        ),
        "let the CHECK allow what these steps write",
    )
}

/// The pass's steps to a status, as `confirmed → in_progress`.
fn steps_to(status: Status) -> String {
    let steps: Vec<_> = TABLE
        .iter()
        .filter(|step| step.to == status && step.by.contains(&Role::Automation))
        .map(|step| format!("{} → {}", step.from, step.to))
        .collect();
    steps.join(", ")
}

/// How many bookings wait, since the database refuses their step.
pub(crate) async fn look_at_set_aside(transaction: &Transaction) -> Result<Vec<Finding>> {
    let row = transaction
        .query_one(include_str!("set_aside.sql"), &[])
        .await?;
    let bookings: i64 = row.get("bookings");
    let (message, count) = match row.get::<_, Option<&str>>("message") {
        Some(message) if bookings > 0 => (message, bookings),
        _ => return Ok(Vec::new()),
    };
    Ok(vec![Finding::warning(
        Topic::Steps,
        format!(
            "{count} bookings are set aside, since the database refuses their change of status; \
             the latest: {message}"
        ),
        "correct what refuses it; the trail has the error of each",
    )])
}

/// Which percentage of the bookings' pages so many are.
pub(super) async fn percent_of_pages(transaction: &Transaction, wanted: f32) -> Result<f32> {
    let pages = "SELECT pg_relation_size('public.bookings')
                        / current_setting('block_size')::bigint AS pages";
    let pages: i64 = transaction.query_one(pages, &[]).await?.get("pages");
    #[expect(clippy::cast_precision_loss, reason = "it is a percentage of pages")]
    let percent = (100.0 * wanted / pages.max(1) as f32).min(100.0);
    Ok(percent)
}

/// Which statuses in the data no rule knows, by a sample.
pub(crate) async fn look_at_data(transaction: &Transaction) -> Result<Vec<Finding>> {
    let percent = percent_of_pages(transaction, SAMPLE_PAGES).await?;
    let sample = async |transaction: &Transaction| {
        let parameters = [(&percent as _, Type::FLOAT4)];
        transaction
            .query(include_str!("statuses.sql"), &parameters)
            .await
    };
    let rows = match transaction.in_savepoint(SAMPLE_TIMEOUT, sample).await {
        Err(error) if error.is_statement_timeout() => {
            let text = "a sample of the statuses took longer than a second, and was given up";
            return Ok(vec![Finding::warning(
                Topic::Statuses,
                text,
                "check again at a quieter time",
            )]);
        }
        rows => rows?,
    };
    let counts = rows
        .iter()
        .map(|row| (row.get::<_, Option<String>>("status"), row.get("bookings")));
    Ok(unknown_statuses(&counts.collect::<Vec<_>>()))
}

fn unknown_statuses(counts: &[(Option<String>, i64)]) -> Vec<Finding> {
    let total: i64 = counts.iter().map(|(_, count)| count).sum();
    let unknown: Vec<_> = counts
        .iter()
        .filter_map(|(status, count)| {
            let status = status.as_deref().unwrap_or("NULL");
            Status::from_name(status)
                .is_none()
                .then(|| format!("{status} ({count})"))
        })
        .take(NAMED)
        .collect();
    if unknown.is_empty() {
        let text = format!("every status in a sample of {total} bookings is known");
        return vec![Finding::ok(Topic::Statuses, text)];
    }
    let known: Vec<_> = Status::ALL.iter().map(|status| status.as_str()).collect();
    vec![Finding::warning(
        Topic::Statuses,
        format!(
            "in a sample of {total} bookings, no rule knows these statuses: {}; such bookings \
             are neither moved on nor reminded of",
            unknown.join(", ")
        ),
        format!("the program knows {}", known.join(", ")),
    )]
}
