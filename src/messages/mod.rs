//! What people read: one folder for each kind of message.

mod plain_text;
pub mod reminder;
pub mod times;
