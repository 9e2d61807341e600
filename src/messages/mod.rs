//! What people read: one folder a kind of message.

mod plain_text;
pub mod reminder;
pub mod times;
