//! Time-driven automation for a bookings database: every minute one pass makes the status changes
//! and enqueues the reminders that are due, in one transaction. Then the reminders are sent through
//! Amazon SES, and subscribers get their webhooks.
//!
//! The rooms, in the order of their dependencies, which only point down (`tests/it/architecture.rs`
//! checks that):
//!
//! - [`entry`]: ways in that are not HTTP: the command line, the Lambda loop, `serve`, logging.
//! - [`http`]: the router, who may call, `/run`, and the support API.
//! - [`support`]: for support: a booking's timeline, the audit trail, the preview.
//! - [`tick`]: one call: the pass, what is due, the run's log, the summary.
//! - [`operations`]: whether a database fits, its migration, retention and erasure.
//! - [`delivery`]: claim, send, record; flags; what the provider says later; suppression.
//! - [`people`]: what people decide about their messages, and the signed links by which they do it.
//! - [`channels`]: how a message leaves: mail through SES, push messages, webhooks.
//! - [`messages`]: what people read.
//! - [`bookings`]: the life of a booking: steps, status changes, projection, cancellation.
//! - [`reminders`]: rules become decisions, decisions become outbox rows.
//! - [`database`]: connections, transactions, errors, fail-over, TLS, the schema.
//! - [`primitives`]: durations, addresses, signatures, settings, names: the ground.

pub mod bookings;
pub mod channels;
pub mod database;
pub mod delivery;
pub mod entry;
pub mod http;
pub mod messages;
pub mod operations;
pub mod people;
pub mod primitives;
pub mod reminders;
pub mod support;
pub mod tick;
