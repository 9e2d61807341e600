//! What support asks.

pub mod preview;
pub(crate) mod timeline;
pub mod trail;
