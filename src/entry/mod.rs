//! Ways in that are not HTTP routes.

pub mod lambda;
pub mod server;
