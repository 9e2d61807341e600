//! Upkeep: whether a database fits, its migration, deletion of old rows, and the erasure of a
//! person's data on request.

pub mod check;
pub(crate) mod erasure;
pub mod migration;
pub(crate) mod retention;
pub mod settings;
pub(crate) mod trial;
