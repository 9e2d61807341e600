//! For support: the timeline of a booking, the audit trail, and what the coming passes will do.

pub mod preview;
pub(crate) mod sentences;
pub(crate) mod timeline;
pub mod trail;
