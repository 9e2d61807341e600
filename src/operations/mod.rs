//! Upkeep of our own tables: what is too old is deleted, what refers to a person is erased on request.

pub(crate) mod erasure;
pub(crate) mod retention;
pub mod settings;
