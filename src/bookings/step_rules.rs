//! By what the automatic steps are decided: the settings, and what this database has.

use crate::bookings::columns::{BookingColumns, COLUMNS_THERE, Column};
use crate::bookings::settings::TransitionSettings;
use crate::database::owner_functions::{IS_KNOWN, Liveness};
use crate::database::{Result, Transaction};

/// SQL of a boolean: a person undid an automatic step of the booking `b`.
pub(crate) const TAKEN_BACK: &str = "EXISTS (SELECT FROM public.booking_automation_state s
        WHERE s.booking_id = b.id AND s.blocked_reason IS NOT NULL)";

/// By what the steps are decided: the settings, and what this database has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepRules {
    pub(crate) settings: TransitionSettings,
    pub(crate) columns: BookingColumns,
    pub(crate) liveness: Liveness,
}

impl StepRules {
    /// The same, where the owner's function fails for some booking: it is asked for each alone.
    pub(crate) fn asking_singly(self) -> Self {
        match self.liveness {
            Liveness::Known => Self {
                liveness: Liveness::Singly,
                ..self
            },
            _ => self,
        }
    }

    /// Reads what the database has.
    pub(crate) async fn read(
        transaction: &Transaction,
        settings: &TransitionSettings,
    ) -> Result<Self> {
        let sql = format!(
            "SELECT {} AS columns, {IS_KNOWN} AS is_known",
            *COLUMNS_THERE
        );
        let row = transaction.query_one(&sql, &[]).await?;
        Ok(Self {
            settings: *settings,
            columns: BookingColumns::of(row.get("columns")),
            liveness: Liveness::of(row.get("is_known")),
        })
    }

    /// SQL of a boolean: a person must decide on the booking `b`.
    pub(crate) fn blocked(&self) -> &'static str {
        match self.columns.has(Column::AutoCompleteBlocked) {
            true => "b.auto_complete_blocked IS TRUE",
            false => TAKEN_BACK,
        }
    }

    /// Its negation, as in the predicate of the index.
    pub(crate) fn not_blocked(&self) -> String {
        match self.columns.has(Column::AutoCompleteBlocked) {
            true => "b.auto_complete_blocked IS NOT TRUE".to_owned(),
            false => format!("NOT {TAKEN_BACK}"),
        }
    }

    /// SQL of a boolean: the automation may have changed the booking `b`; as in the predicate of
    /// the index. A step by time sets the flag; the trail decides.
    pub(crate) fn may_be_automatic(&self) -> &'static str {
        match self.columns.has(Column::AutoStatusUpdated) {
            true => "b.auto_status_updated IS TRUE",
            false => "true",
        }
    }

    /// SQL of the end of the booking `b`: an indexed expression.
    pub(crate) fn end(&self) -> &'static str {
        match self.liveness {
            // The step that creates the one function creates the other.
            Liveness::Known | Liveness::Singly => {
                "public.booking_automation_end(b.scheduled_at, b.duration_minutes::bigint)"
            }
            Liveness::Unknown => "public.booking_end(b.scheduled_at, b.duration_minutes::bigint)",
        }
    }
}
