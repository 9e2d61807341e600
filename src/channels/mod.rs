//! How a message leaves: one folder a channel.

pub mod email;
pub(crate) mod timing;
pub mod webhook;
