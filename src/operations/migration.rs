//! `migrate`: first the looks at whether the database fits and the trial of the pass's own changes,
//! then the steps.

use std::time::Instant;

use crate::database::Database;
use crate::database::migrate::{self, BaseTables, Columns, MigrateError};
use crate::operations::check::finding::{Finding, Intent, Level, MigrateOptions, refusal};
use crate::operations::{check, trial};

/// Refuses a database that does not fit, with all reasons and before anything is changed; else
/// brings its schema up to date. Calls `report` for each step that it applied.
///
/// # Errors
/// See [`MigrateError`].
pub async fn check_and_migrate(
    database: &Database,
    options: MigrateOptions,
    until: Option<Instant>,
    report: impl FnMut(&str),
) -> Result<(), MigrateError> {
    let checked = check::check(database, Intent::Migrate(options), until).await;
    warn_or_refuse(&checked.findings)?;
    if !options.no_probe {
        warn_or_refuse(&trial::try_changes(database, !options.no_columns, until).await?)?;
    }
    let base_tables = match checked.may_create_base_tables {
        true => BaseTables::Create,
        false => BaseTables::Leave,
    };
    let columns = match options.no_columns {
        true => Columns::Leave,
        false => Columns::AsRecorded,
    };
    migrate::migrate(database, base_tables, columns, until, report).await
}

/// Logs the warnings, and refuses with all errors.
fn warn_or_refuse(findings: &[Finding]) -> Result<(), MigrateError> {
    for finding in findings {
        if finding.level == Level::Warning {
            let topic = finding.topic.as_str();
            tracing::warn!(check.topic = topic, "{}", finding.sentence());
        }
    }
    match refusal(findings) {
        Some(refusal) => Err(MigrateError::Unfit(refusal)),
        None => Ok(()),
    }
}
