//! The life of a booking: which steps there are, who takes them and when, and what a cancellation
//! refunds.

pub mod cancellation;
pub(crate) mod columns;
pub(crate) mod customer_cancellation;
mod judge;
pub mod lifecycle;
pub(crate) mod not_live;
pub(crate) mod projection;
mod refusals;
pub mod settings;
mod snapshot;
pub(crate) mod state_changes;
pub(crate) mod status_change;
pub(crate) mod step_rules;
mod step_runner;
pub(crate) mod steps;
pub(crate) mod storable;
pub mod transitions;
pub(crate) mod unblock;
