//! `migrate`: first the looks at whether the database fits, then the steps.

use std::time::Instant;

use crate::database::Database;
use crate::database::migrate::{self, BaseTables, Columns, MigrateError};
use crate::operations::check;
use crate::operations::check::finding::{Intent, Level, MigrateOptions, refusal};

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
    for finding in &checked.findings {
        if finding.level == Level::Warning {
            let topic = finding.topic.as_str();
            tracing::warn!(check.topic = topic, "{}", finding.sentence());
        }
    }
    if let Some(refusal) = refusal(&checked.findings) {
        return Err(MigrateError::Unfit(refusal));
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
