//! What may follow what in a booking's life, by whom, and when: one table, for the pass and for people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Who booked.
    Customer,
    /// Who is booked.
    Provider,
    /// Support.
    Admin,
    /// Another program of the user's.
    System,
    /// This program, because time has come: no request may say so.
    #[serde(skip)]
    Automation,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Customer => "customer",
            Self::Provider => "provider",
            Self::Admin => "admin",
            Self::System => "system",
            Self::Automation => "automation",
        })
    }
}

/// When a step may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At any time.
    Any,
    /// Until the booking's start.
    BeforeStart,
    /// From the booking's start on.
    FromStart,
    /// The same, and only for a customer who did not come.
    NoShow,
    /// While what it takes back is the last thing that happened, and the automation did it.
    Undo,
    /// By the conditions of [`crate::transitions`].
    Due,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The status before.
    pub from: &'static str,
    /// The status after.
    pub to: &'static str,
    /// Who may take it.
    pub by: &'static [Role],
    /// When.
    pub when: When,
}

const CUSTOMERS: &[Role] = &[Role::Customer];
const PROVIDERS: &[Role] = &[Role::Provider];
const STAFF: &[Role] = &[Role::Admin, Role::System];
const PROVIDERS_AND_STAFF: &[Role] = &[Role::Provider, Role::Admin, Role::System];
const AUTOMATION: &[Role] = &[Role::Automation];

const fn step(from: &'static str, to: &'static str, by: &'static [Role], when: When) -> Step {
    Step { from, to, by, when }
}

/// The pass's own steps.
pub(crate) const EXPIRE_PENDING: Step = step("pending", "expired", AUTOMATION, When::Due);
pub(crate) const EXPIRE_CONFIRMED: Step = step("confirmed", "expired", AUTOMATION, When::Due);
pub(crate) const EXPIRE_STARTED: Step = step("in_progress", "expired", AUTOMATION, When::Due);
pub(crate) const START: Step = step("confirmed", "in_progress", AUTOMATION, When::Due);
pub(crate) const COMPLETE: Step = step("in_progress", "completed", AUTOMATION, When::Due);

/// Every step that this program takes or lets be taken. What other programs write is theirs: it is audited, not judged.
pub const TABLE: &[Step] = &[
    EXPIRE_PENDING,
    EXPIRE_CONFIRMED,
    EXPIRE_STARTED,
    START,
    COMPLETE,
    step("pending", "confirmed", PROVIDERS_AND_STAFF, When::BeforeStart),
    // A customer or provider whose booking has started did not cancel it: the policies say what is left to them.
    step("confirmed", "cancelled", CUSTOMERS, When::BeforeStart),
    step("confirmed", "cancelled", PROVIDERS, When::BeforeStart),
    step("confirmed", "cancelled", STAFF, When::Any),
    step("confirmed", "cancelled", PROVIDERS, When::NoShow),
    step("in_progress", "cancelled", PROVIDERS, When::NoShow),
    step("confirmed", "completed", PROVIDERS, When::FromStart),
    step("confirmed", "completed", STAFF, When::Any),
    step("in_progress", "completed", PROVIDERS, When::FromStart),
    step("in_progress", "completed", STAFF, When::Any),
    // Whatever was paid for.
    step("paid", "refunded", STAFF, When::Any),
    step("confirmed", "refunded", STAFF, When::Any),
    step("in_progress", "refunded", STAFF, When::Any),
    step("completed", "refunded", STAFF, When::Any),
    step("cancelled", "refunded", STAFF, When::Any),
    step("expired", "refunded", STAFF, When::Any),
    step("pending_completion", "refunded", STAFF, When::Any),
    step("pending_cancellation", "refunded", STAFF, When::Any),
    // The automation was wrong: what it did is taken back, and it leaves the booking alone from then on.
    step("in_progress", "confirmed", PROVIDERS_AND_STAFF, When::Undo),
    step("completed", "in_progress", PROVIDERS_AND_STAFF, When::Undo),
    step("completed", "confirmed", PROVIDERS_AND_STAFF, When::Undo),
    step("expired", "pending", PROVIDERS_AND_STAFF, When::Undo),
    step("expired", "confirmed", PROVIDERS_AND_STAFF, When::Undo),
    step("expired", "in_progress", PROVIDERS_AND_STAFF, When::Undo),
];
