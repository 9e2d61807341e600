//! Cancelling a booking: who may, until when, and what is refunded. The refund is decided here and recorded; no money is moved.
//!
//! Whether a booking may be cancelled follows from the table in [`crate::bookings::lifecycle`]; the refund follows from the
//! `policies`. Amounts are decimals that PostgreSQL calculates; here they are text.

pub(crate) mod policies;
pub(crate) mod refunds;
pub(crate) mod terms;
mod their_policies;
pub mod tiers;
