//! What people read: one folder for each kind of message.

pub mod languages;
mod plain_text;
pub mod reminder;
pub mod times;
