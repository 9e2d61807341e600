//! Shared by every room: the limits of a call, reading settings, durations, mail addresses, phone
//! numbers, signatures, time zones, and names. Nothing here depends on bookings, the database or
//! the network.

pub mod call;
pub mod duration;
pub mod email_address;
pub(crate) mod errors;
pub(crate) mod names;
pub mod phone_number;
pub mod settings;
pub mod signature;
pub(crate) mod zones;
