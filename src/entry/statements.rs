//! Every statement that the program puts together, for the test that prepares them all.

use std::time::Duration;

use crate::bookings::cancellation::money::MoneySettings;
use crate::bookings::settings::TransitionSettings;
use crate::bookings::{projection, transitions};
use crate::delivery::{webhook_outbox, webhooks};
use crate::operations::settings::RetentionSettings;
use crate::reminders::{decisions, planned};
use crate::support::preview;
use crate::tick::probe;
use crate::tick::settings::{OVERLAP_ALARM_AFTER, PassSettings};

/// Each statement with a name. Statements that stand in the sources as they are sent are not among
/// them.
pub fn composed() -> Vec<(String, String)> {
    let transitions = TransitionSettings {
        complete_after: Duration::ZERO,
        expire_after: Duration::from_secs(24 * 3600),
        expire_pending: true,
    };
    let settings = PassSettings {
        transitions,
        retention: RetentionSettings {
            events: Duration::from_secs(400 * 24 * 3600),
        },
        money: MoneySettings::default(),
        overlap_alarm_after: OVERLAP_ALARM_AFTER,
    };
    let mut statements = transitions::statements(&transitions);
    statements.extend(
        [
            ("probe", probe::probe_sql(&settings)),
            ("decisions", decisions::enqueue_sql(true)),
            ("decisions without addresses", decisions::enqueue_sql(false)),
            ("decisions, counted", decisions::preview_sql()),
            ("decisions of one booking", planned::list_sql()),
            ("decisions to come", planned::counts_sql(preview::PASSES)),
            ("changes to come", preview::changes_sql(&transitions)),
            ("waiting reminders", preview::waiting_sql()),
            ("projection", projection::steps_sql(&transitions)),
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
