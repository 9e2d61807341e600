//! HTTP requests to subscribers.

pub mod egress;
