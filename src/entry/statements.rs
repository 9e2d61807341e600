//! Every statement that the program puts together, for the test that prepares them all.

use std::time::Duration;

use chrono::DateTime;
use uuid::Uuid;

use crate::bookings::cancellation::refunds::PaidBy;
use crate::bookings::columns::BookingColumns;
use crate::bookings::lifecycle::TABLE;
use crate::bookings::not_live;
use crate::bookings::settings::TransitionSettings;
use crate::bookings::step_rules::StepRules;
use crate::bookings::steps::STEPS;
use crate::bookings::{projection, status_change, transitions, unblock};
use crate::database::owner_functions::Liveness;
use crate::delivery::{
    aftermath, claim_sql, digests as delivered_digests, feed, feedback, flags, groups, invitation,
    outcomes, unprepared, webhook_outbox, webhooks,
};
use crate::operations::{check, erasure, trial};
use crate::reminders::quiet_hours::{NAMES_BETWEEN, NAMES_OF_BOOKING};
use crate::reminders::{addresses, decisions, digests, notices, planned, sweep};
use crate::support::{costs, expected_costs, preview, timeline, trail};
use crate::tick::probe;

/// Every status change by time, and every column.
fn rules() -> StepRules {
    StepRules {
        settings: TransitionSettings {
            complete_after: Duration::ZERO,
            expire_after: Duration::from_secs(24 * 3600),
            expire_pending: true,
        },
        columns: BookingColumns::all(),
        liveness: Liveness::Known,
    }
}

/// The statements that run with the settings of the user's database, by
/// `Transaction::write_with_their_settings` and `query_with_their_settings`.
pub fn with_their_settings() -> Vec<String> {
    let rules = rules();
    let steps = STEPS.iter().flat_map(|step| {
        let (run_id, limit) = (Uuid::nil().to_string(), Duration::from_secs(1));
        let singly = step.update_singly_sql(&rules, DateTime::UNIX_EPOCH, &run_id, limit);
        [step.update_sql(&rules), singly]
    });
    let changes = TABLE
        .iter()
        .map(|step| status_change::update_sql(&rules, step));
    let others = [
        flags::update_sql(rules.columns).unwrap_or_default(),
        claim_sql::CONTACTS.to_owned(),
        delivered_digests::CONTACTS.clone(),
        addresses::WITHOUT_ADDRESS.to_owned(),
        addresses::WITHOUT_ADDRESS_BETWEEN.to_owned(),
        digests::PEOPLE.clone(),
        NAMES_BETWEEN.clone(),
        NAMES_OF_BOOKING.clone(),
        unblock::UNBLOCK.to_owned(),
        check::VIEW_SAMPLE.to_owned(),
        check::SEVERAL_CONTACTS.to_owned(),
        trial::TOUCH.to_owned(),
    ];
    steps.chain(changes).chain(others).collect()
}

/// Each statement with a name. Statements that stand in the sources as they are sent are not among
/// them.
pub fn composed() -> Vec<(String, String)> {
    let rules = rules();
    let mut statements = transitions::statements(&rules);
    let claims = claim_sql::statements(rules.liveness).into_iter();
    let named = claims
        .chain(sweep::statements(rules.liveness))
        .chain(outcomes::statements())
        .chain(of_delivery(rules.liveness));
    statements.extend(named.map(|(name, sql)| (name.to_owned(), sql)));
    statements.extend(
        [
            ("probe", probe::probe_sql(&rules)),
            ("decisions", decisions::enqueue_sql(rules.liveness)),
            ("notices", notices::enqueue_sql()),
            ("what was paid", PaidBy::Function.refund_basis_sql()),
            ("the price", PaidBy::TotalPrice.refund_basis_sql()),
            ("marks", not_live::mark_not_live_sql(&rules)),
            ("erasure", erasure::erase_sql(true)),
            ("erasure of a person's own", erasure::ERASE_OWN.clone()),
            ("people of digests", digests::coming_sql(rules.liveness)),
            (
                "bookings of digests",
                delivered_digests::bookings_sql(rules.liveness),
            ),
            ("groups", groups::groups_sql(rules.liveness)),
            ("decisions, counted", decisions::preview_sql(rules.liveness)),
            (
                "decisions of one booking",
                planned::list_sql(rules.liveness),
            ),
            (
                "decisions to come",
                planned::counts_sql(rules.liveness, preview::PASSES),
            ),
            ("changes to come", preview::changes_sql(&rules)),
            ("waiting reminders", preview::waiting_sql(rules.liveness)),
            ("timeline", timeline::EVENTS.clone()),
            ("trail", trail::PAGE.clone()),
            ("costs", costs::COSTS.clone()),
            ("costs to come", expected_costs::EXPECTED_COSTS.clone()),
            ("projection", projection::steps_sql(&rules)),
            ("subscriptions", webhook_outbox::subscriptions_sql()),
            ("any subscribed", webhooks::any_subscribed_sql()),
        ]
        .map(|(name, sql)| (name.to_owned(), sql)),
    );
    statements
}

/// Those of messages that leave, and of what is said of them.
fn of_delivery(liveness: Liveness) -> [(&'static str, String); 7] {
    [
        ("invitation", invitation::INVITATION.clone()),
        ("feed", feed::FEED.clone()),
        ("feedback", feedback::FEEDBACK.clone()),
        ("feedback before migrate", feedback::FEEDBACK_ALONE.clone()),
        ("lock of a mail", feedback::LOCK_MAIL.clone()),
        ("move on from a hold", aftermath::MOVE_ON_HELD.clone()),
        ("unprepared", unprepared::unprepared_sql(liveness)),
    ]
}
