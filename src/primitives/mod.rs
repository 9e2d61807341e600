//! The ground that every room stands on: the limits of a call, how a setting is read, durations, mail
//! addresses, signatures, and names. Nothing here knows bookings, the database or the network.

pub mod call;
pub mod duration;
pub mod email_address;
pub(crate) mod errors;
pub(crate) mod names;
pub mod settings;
pub mod signature;
