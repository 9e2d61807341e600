//! The life of a booking: which steps there are, who takes them, and what a cancellation refunds.

pub(crate) mod cancellation;
pub mod lifecycle;
pub(crate) mod projection;
pub(crate) mod status_change;
pub mod transitions;
