//! Every statement that the program puts together, for the test that prepares them all.

use std::time::Duration;

use crate::bookings::columns::BookingColumns;
use crate::bookings::settings::TransitionSettings;
use crate::bookings::steps::StepRules;
use crate::bookings::{projection, transitions};
use crate::delivery::{outbox, webhook_outbox, webhooks};
use crate::reminders::{decisions, planned};
use crate::support::preview;
use crate::tick::probe;

/// Each statement with a name. Statements that stand in the sources as they are sent are not among
/// them.
pub fn composed() -> Vec<(String, String)> {
    let transitions = TransitionSettings {
        complete_after: Duration::ZERO,
        expire_after: Duration::from_secs(24 * 3600),
        expire_pending: true,
    };
    let rules = StepRules {
        settings: transitions,
        columns: BookingColumns::all(),
    };
    let mut statements = transitions::statements(&rules);
    statements.extend(
        [
            ("probe", probe::probe_sql(&rules)),
            ("decisions", decisions::enqueue_sql()),
            ("claim, candidates", outbox::CANDIDATES.clone()),
            ("claim", outbox::CLAIM.clone()),
            ("decisions, counted", decisions::preview_sql()),
            ("decisions of one booking", planned::list_sql()),
            ("decisions to come", planned::counts_sql(preview::PASSES)),
            ("changes to come", preview::changes_sql(&rules)),
            ("waiting reminders", preview::waiting_sql()),
            ("projection", projection::steps_sql(&rules)),
            ("subscriptions", webhook_outbox::subscriptions_sql()),
            (
                "any subscribed",
                format!("SELECT {}", webhooks::ANY_SUBSCRIBED),
            ),
        ]
        .map(|(name, sql)| (name.to_owned(), sql)),
    );
    statements
}
