//! The due time up to which passes have decided.
//!
//! A pass remembers it (`automation_runs.looked_through`), so that the next one reads a single
//! range of the index on the start per rule: its cost follows what is due, not what is stored.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::Timestamp;

use crate::database::owner_functions::Liveness;
use crate::reminders::quiet_hours::{READS_NAMES, begun_after, with_quiet_hours};

/// SQL of the time at which the sweep of the hour of `{as_of}` begins: seven minutes past, when
/// fewer reminders are due than at the quarters.
pub(crate) const LATEST_HOUR: &str =
    "date_trunc('hour', {as_of} - interval '7 minutes') + interval '7 minutes'";
/// SQL of common table expressions, the last one `watermark`.
pub(crate) static WATERMARK: LazyLock<String> = LazyLock::new(|| {
    let latest_hour = LATEST_HOUR.replace("{as_of}", "$1");
    include_str!("watermark.sql").replace("{latest_hour}", &latest_hour)
});
/// SQL of the time up to which the latest pass has decided; NULL: there was none.
pub(crate) const LATEST: &str = "(SELECT looked_through FROM public.automation_runs
      WHERE outcome = 'completed' ORDER BY as_of DESC LIMIT 1)";
/// SQL of the time up to which passes have decided, or the beginning. [`WATERMARK`] must precede
/// it.
const SINCE: &str =
    "(SELECT CASE WHEN everything THEN '-infinity' ELSE looked_through END FROM watermark)";
const ANY_DUE: &str = include_str!("any_due.sql");

/// SQL of a boolean: a reminder is due. [`WATERMARK`] must precede it.
pub(crate) fn any_due_sql(liveness: Liveness) -> String {
    with_quiet_hours(ANY_DUE, liveness, &begun_after(SINCE))
}

/// SQL of a boolean: a pass reads the names that the view has for people, since quiet hours have
/// begun. [`WATERMARK`] must precede it.
pub(crate) fn reads_names_sql(liveness: Liveness) -> String {
    with_quiet_hours(READS_NAMES, liveness, &begun_after(SINCE))
}

/// What a pass found out before it began.
#[derive(Clone, Debug)]
pub(crate) struct Watermark {
    /// Due times up to here have their decisions; -infinity: none has.
    pub(crate) looked_through: Timestamp<DateTime<Utc>>,
    /// Look at everything again: on the first pass, or after the rules changed.
    pub(crate) everything: bool,
    /// A sweep is to follow.
    pub(crate) sweep: bool,
    /// The digest of the rules in force.
    pub(crate) rules_digest: String,
}

impl Watermark {
    /// From a row that has the columns of [`WATERMARK`].
    pub(crate) fn of(row: &Row) -> Self {
        Self {
            looked_through: row.get("looked_through"),
            everything: row.get("everything"),
            sweep: row.get("sweep"),
            rules_digest: row.get("rules_digest"),
        }
    }

    /// Where a pass starts.
    pub(crate) fn from(&self) -> Timestamp<DateTime<Utc>> {
        if self.everything {
            Timestamp::NegInfinity
        } else {
            self.looked_through
        }
    }
}
