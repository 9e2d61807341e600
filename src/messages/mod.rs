//! What people read: one folder a kind of message.

pub mod reminder;
