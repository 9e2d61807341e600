//! What a pass needs to know before its first statement: the clock, and whether the table of the
//! bookings still is what it was when the schema was installed.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use tokio_postgres::SimpleQueryMessage;

use crate::bookings::columns::{BookingColumns, COLUMNS_THERE, missing_columns};
use crate::bookings::settings::TransitionSettings;
use crate::bookings::state_changes::ANY_WAITING;
use crate::bookings::step_rules::StepRules;
use crate::database::last_row;
use crate::database::owner_functions::{IS_KNOWN, IS_LIVE, Liveness, function_oid_sql};
use crate::delivery::preparation::{DeliveryAccess, TableAccess};
use crate::delivery::templates;
use crate::people::keys;
use crate::tick::error::PassError;

/// SQL of the columns that [`Preconditions::of`] reads.
pub(crate) static PRECONDITIONS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "(extract(epoch FROM transaction_timestamp()) * 1000000)::bigint,
         {columns},
         to_regclass('public.booking_automation_migrations') IS NOT NULL,
         (SELECT coalesce(string_agg(name, ', '), '')
           FROM (VALUES ('booking_automation_on_update'), ('booking_automation_on_insert'))
             AS wanted (name)
           WHERE NOT EXISTS (SELECT FROM pg_trigger t
             WHERE t.tgrelid = to_regclass('public.bookings') AND t.tgname = wanted.name)),
         {IS_KNOWN},
         {is_live} IS NOT NULL,
         {ANY_WAITING},
         {may_read_templates},
         {may_read_keys}",
        may_read_templates = templates::MAY_READ,
        may_read_keys = keys::MAY_READ,
        is_live = function_oid_sql(IS_LIVE),
        columns = *COLUMNS_THERE
    )
});

/// What a pass starts from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Preconditions {
    /// The database's clock.
    pub(crate) clock: DateTime<Utc>,
    /// The value of [`COLUMNS_THERE`].
    columns: String,
    is_installed: bool,
    missing_triggers: String,
    is_liveness_known: bool,
    has_is_live: bool,
    /// Changes of our state of bookings may wait for this pass.
    pub(crate) state_changes: bool,
    /// What delivery can read.
    pub(crate) delivery: DeliveryAccess,
}

impl Preconditions {
    /// `None`: the database returned no row.
    pub(crate) fn of(rows: &[SimpleQueryMessage]) -> Option<Self> {
        let row = last_row(rows)?;
        Some(Self {
            clock: DateTime::from_timestamp_micros(row.get(0)?.parse().ok()?)?,
            columns: row.get(1)?.to_owned(),
            is_installed: row.get(2)? == "t",
            missing_triggers: row.get(3)?.to_owned(),
            is_liveness_known: row.get(4)? == "t",
            has_is_live: row.get(5)? == "t",
            state_changes: row.get(6)? == "t",
            delivery: DeliveryAccess {
                templates: TableAccess::of(row.get(7)),
                link_keys: TableAccess::of(row.get(8)),
            },
        })
    }

    /// By what the steps are decided.
    ///
    /// # Errors
    /// Names what is missing.
    pub(crate) fn rules(&self, settings: &TransitionSettings) -> Result<StepRules, PassError> {
        if !self.is_installed {
            return Err(PassError::SchemaMissing);
        }
        if let Some(missing) = missing_columns(&self.columns) {
            return Err(PassError::Changed(missing));
        }
        if self.is_liveness_known && !self.has_is_live {
            return Err(PassError::Changed(format!(
                "there is no function {IS_LIVE}(public.bookings): the table was replaced, \
                 or the function \
                 was dropped; run `booking-automation migrate`"
            )));
        }
        Ok(StepRules {
            settings: *settings,
            columns: BookingColumns::of(&self.columns),
            liveness: Liveness::of(self.is_liveness_known),
        })
    }

    /// # Errors
    /// Names the triggers that are missing: without them, changes leave no trace.
    pub(crate) fn check_triggers(&self) -> Result<(), PassError> {
        if self.missing_triggers.is_empty() {
            return Ok(());
        }
        Err(PassError::Changed(format!(
            "public.bookings has no trigger {}: the table was replaced, \
             or the trigger was dropped; \
             run `booking-automation migrate`",
            self.missing_triggers
        )))
    }
}
