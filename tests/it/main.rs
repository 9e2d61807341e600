//! The program as users run it: the command line, with a real PostgreSQL and mail endpoints that
//! speak the SES API. Every test has its own database.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "these are tests"
)]

mod already_told;
mod app;
mod app_links;
mod architecture;
mod attendance;
mod auth;
mod calendar;
mod cancellation;
mod chaos;
mod chaos_clock;
mod chaos_load;
mod chaos_mail;
mod chaos_report;
mod chaos_wire;
mod check;
mod claim_ahead;
mod claims;
mod client;
mod clock;
mod cluster;
mod connections;
mod database_url;
mod delivery;
mod demo;
mod deployment;
mod digest;
mod endpoint;
mod erasure;
mod failures;
mod feed;
mod feedback;
mod grouped_reminder;
mod groups;
mod guarantees;
mod guests;
mod histories;
mod housekeeping;
mod http;
mod isolation;
mod kinds;
mod lambda;
mod languages;
mod layout;
mod life;
mod life_reference;
mod links;
mod live;
mod mail;
mod migrations;
mod model;
mod money;
mod notices;
mod odd_databases;
mod others;
mod outcomes;
mod overlap;
mod owner_functions;
mod places;
mod preferences;
mod preview;
mod probe;
mod progress;
mod proxy;
mod quiet_hours;
mod rate;
mod readme;
mod reference;
mod refusals;
mod reminders;
mod reopened;
mod runtime_api;
mod ses;
mod settings;
mod settings_of_theirs;
mod snapshots_of_theirs;
mod statements;
mod status;
mod sweep;
mod their_code;
mod timeline;
mod times;
mod trail;
mod transitions;
mod uninstall;
mod upgrade;
mod webhooks;
mod wording;
