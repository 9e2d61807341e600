//! Which reminders became due, and the decision on each.
//!
//! Candidates come from two places: the due times since the last pass (`watermark`), and the
//! recheck queue (`booking_automation_looks`), in which triggers put bookings that came into force
//! or were moved, since their due times may lie before that range. Both only find candidates; the
//! UNIQUE key of the outbox decides. The first pass after the rules changed looks at everything.
//! Bookings that were written without firing the triggers are found by a sweep, once an hour, in
//! transactions of its own: it reads far more than a pass, and must not hold the pass's locks for
//! as long.

pub(crate) mod addresses;
pub(crate) mod decisions;
pub(crate) mod digest_rules;
pub(crate) mod digests;
pub(crate) mod held_notices;
pub(crate) mod hidden_rows;
pub mod notices;
pub(crate) mod planned;
pub(crate) mod quiet_hours;
mod reason;
pub(crate) mod sweep;
pub(crate) mod watermark;

pub use reason::Reason;
