//! Time-driven automation for a bookings database: every minute one pass moves bookings on and enqueues
//! the reminders that became due, in one transaction; then the reminders are sent through Amazon SES.
//!
//! It is fired by Lambda ([`lambda`]), over HTTP (`http`, [`auth`], `rate_limit`, [`serve`]) or from the command line; what is
//! known of who fired it is a [`call`]. What support and other programs ask for comes in by `admin`: steps in a booking's life
//! (`status`, judged by the table in [`lifecycle`], once only by `idempotency`), what its `cancellation` refunds (by `policies`),
//! its `timeline`, a [`preview`] of the passes to come (both by what `forecast` says), the audit trail ([`events`]), and that people are forgotten (`people`).
//!
//! Read it in this order: [`run`], the pass ([`pass`], `transitions`, `reminders`), delivery ([`delivery`],
//! `outbox`, [`ses`], [`message`]), whoever subscribed ([`webhooks`], [`targets`]), what SES says later ([`feedback`]), the answer ([`summary`]). The settings are in
//! [`config`]; the way to the database, and what a transaction is here, in [`database`]; the schema in [`migrate`]; what is
//! over is forgotten in `housekeeping`.

mod admin;
pub mod auth;
pub mod call;
mod cancellation;
pub mod config;
pub mod database;
pub mod delivery;
pub mod events;
pub mod feedback;
mod fields;
mod forecast;
mod hosts;
mod housekeeping;
mod http;
mod idempotency;
pub mod lambda;
pub mod lifecycle;
pub mod message;
pub mod migrate;
mod outbox;
pub mod pass;
mod people;
mod policies;
pub mod preview;
mod rate_limit;
mod reminders;
pub mod run;
pub mod serve;
pub mod ses;
mod status;
pub mod summary;
pub mod targets;
mod timeline;
mod times;
mod tls;
pub mod transitions;
pub mod webhooks;
