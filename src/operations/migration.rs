//! `migrate`: first the looks at whether the database fits and the trial of the pass's own changes,
//! then the steps.

use std::time::Instant;

use crate::database::Database;
use crate::database::migrate::{self, BaseTables, MigrateError};
use crate::operations::check::finding::{Finding, Intent, Level, refusal};
use crate::operations::{check, probe};

/// What the caller chose.
#[derive(Clone, Copy, Debug, Default)]
pub struct MigrateOptions {
    /// Base tables that are missing are created beside other tables.
    pub create_base_tables: bool,
    /// The pass's own changes are not tried first.
    pub no_probe: bool,
}

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
    let MigrateOptions {
        create_base_tables,
        no_probe,
    } = options;
    let checked = check::check(database, Intent::Migrate { create_base_tables }, until).await;
    warn_or_refuse(&checked.findings)?;
    if !no_probe {
        warn_or_refuse(&probe::probe(database, true, until).await?)?;
    }
    let base_tables = match checked.may_create_base_tables {
        true => BaseTables::Create,
        false => BaseTables::Leave,
    };
    migrate::migrate(database, base_tables, until, report).await
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
