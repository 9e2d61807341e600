//! Upkeep of our own tables: deletes old rows, and erases a person's data on request.

pub(crate) mod erasure;
pub(crate) mod retention;
pub mod settings;
