//! Cancellation of a booking: who may cancel, until when, and what is refunded. This module decides
//! and records the refund; it moves no money.
//!
//! The table in [`crate::bookings::lifecycle`] says whether a booking may be cancelled; the
//! `policies` determine the refund, and `money` to which digit it is rounded. PostgreSQL calculates
//! the amounts as decimals; here they are text.

pub mod money;
pub(crate) mod policies;
pub(crate) mod refunds;
pub(crate) mod terms;
mod their_policies;
pub mod tiers;
