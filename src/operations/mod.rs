//! Upkeep of our own tables.

pub(crate) mod erasure;
pub(crate) mod retention;
