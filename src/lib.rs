//! Time-driven automation for a bookings database: every minute one pass moves bookings on and enqueues
//! the reminders that became due, in one transaction; then the reminders are sent through Amazon SES.

pub mod bookings;
pub mod channels;
pub mod config;
pub mod database;
pub mod delivery;
pub mod entry;
pub mod http;
pub mod messages;
pub mod operations;
pub mod reminders;
pub mod support;
pub mod tick;
