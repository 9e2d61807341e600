//! Which status may follow which, who may change it, and when: one table, for the pass and for
//! people.

use crate::primitives::names::named;

named! {
    /// The statuses of a booking that this program knows. The user's table may have others.
    pub enum Status {
        /// Asked for.
        Pending = "pending",
        /// Waits for its payment.
        PendingPayment = "pending_payment",
        /// Paid for.
        Paid = "paid",
        /// It will take place.
        Confirmed = "confirmed",
        /// It takes place.
        InProgress = "in_progress",
        /// It took place.
        Completed = "completed",
        /// It was cancelled.
        Cancelled = "cancelled",
        /// The provider declined it.
        Rejected = "rejected",
        /// The payment was returned.
        Refunded = "refunded",
        /// The payment failed.
        Failed = "failed",
        /// A person must confirm that it took place.
        PendingCompletion = "pending_completion",
        /// A person must confirm the cancellation.
        PendingCancellation = "pending_cancellation",
        /// Whether it took place is not known.
        Expired = "expired",
    }
}

named! {
    /// Who takes a step.
    pub enum Role {
        /// The person who booked.
        Customer = "customer",
        /// The person who is booked.
        Provider = "provider",
        /// Support.
        Admin = "admin",
        /// Another program of the user.
        System = "system",
        /// This program, because a time has come. No request may claim it.
        Automation = "automation",
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
    /// From the booking's start on, and only for a customer who did not come.
    NoShow,
    /// While the step that it undoes is the latest one, and the automation took that step.
    Undo,
    /// By the conditions of [`crate::bookings::transitions`].
    Due,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The status before.
    pub from: Status,
    /// The status after.
    pub to: Status,
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

const fn step(from: Status, to: Status, by: &'static [Role], when: When) -> Step {
    Step { from, to, by, when }
}

/// The pass's own steps.
pub(crate) const EXPIRE_PENDING: Step =
    step(Status::Pending, Status::Expired, AUTOMATION, When::Due);
pub(crate) const EXPIRE_CONFIRMED: Step =
    step(Status::Confirmed, Status::Expired, AUTOMATION, When::Due);
pub(crate) const EXPIRE_STARTED: Step =
    step(Status::InProgress, Status::Expired, AUTOMATION, When::Due);
pub(crate) const START: Step = step(Status::Confirmed, Status::InProgress, AUTOMATION, When::Due);
pub(crate) const COMPLETE: Step =
    step(Status::InProgress, Status::Completed, AUTOMATION, When::Due);
/// The start was moved into the future after [`START`].
pub(crate) const REOPEN: Step = step(Status::InProgress, Status::Confirmed, AUTOMATION, When::Due);

/// Every step that this program takes or allows. Changes that other programs write directly are
/// audited, not checked.
pub const TABLE: &[Step] = {
    use Status::{
        Cancelled, Completed, Confirmed, Expired, InProgress, Paid, Pending, PendingCancellation,
        PendingCompletion, Refunded,
    };
    &[
        EXPIRE_PENDING,
        EXPIRE_CONFIRMED,
        EXPIRE_STARTED,
        START,
        COMPLETE,
        REOPEN,
        step(Pending, Confirmed, PROVIDERS_AND_STAFF, When::BeforeStart),
        // After the start, a customer or provider can no longer cancel; a provider can report a
        // no-show.
        step(Confirmed, Cancelled, CUSTOMERS, When::BeforeStart),
        step(Confirmed, Cancelled, PROVIDERS, When::BeforeStart),
        step(Confirmed, Cancelled, STAFF, When::Any),
        step(Confirmed, Cancelled, PROVIDERS, When::NoShow),
        step(InProgress, Cancelled, PROVIDERS, When::NoShow),
        step(Confirmed, Completed, PROVIDERS, When::FromStart),
        step(Confirmed, Completed, STAFF, When::Any),
        step(InProgress, Completed, PROVIDERS, When::FromStart),
        step(InProgress, Completed, STAFF, When::Any),
        // Every status in which the booking may have been paid for.
        step(Paid, Refunded, STAFF, When::Any),
        step(Confirmed, Refunded, STAFF, When::Any),
        step(InProgress, Refunded, STAFF, When::Any),
        step(Completed, Refunded, STAFF, When::Any),
        step(Cancelled, Refunded, STAFF, When::Any),
        step(Expired, Refunded, STAFF, When::Any),
        step(PendingCompletion, Refunded, STAFF, When::Any),
        step(PendingCancellation, Refunded, STAFF, When::Any),
        // Undoing a wrong automatic step; the automation then no longer changes the booking.
        step(InProgress, Confirmed, PROVIDERS_AND_STAFF, When::Undo),
        step(Completed, InProgress, PROVIDERS_AND_STAFF, When::Undo),
        step(Completed, Confirmed, PROVIDERS_AND_STAFF, When::Undo),
        step(Expired, Pending, PROVIDERS_AND_STAFF, When::Undo),
        step(Expired, Confirmed, PROVIDERS_AND_STAFF, When::Undo),
        step(Expired, InProgress, PROVIDERS_AND_STAFF, When::Undo),
    ]
};
