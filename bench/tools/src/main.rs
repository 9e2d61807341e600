//! What the benchmarks need and nobody sells: a mail endpoint that answers after a given time, a way to the database that
//! takes a given time, and a program that lives through simulated weeks.

mod endpoint;
mod latency;
#[cfg(feature = "soak")]
mod soak;

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;

/// Helpers of `make bench`.
#[derive(Parser)]
enum Tool {
    /// Speaks SES v2: answers each SendEmail after a while. `/taken` tells how many, and in how long.
    Endpoint {
        /// Where to listen.
        listen: SocketAddr,
        /// Milliseconds to an answer.
        delay: u64,
    },
    /// Passes TCP on, and holds the answers up. On SIGTERM prints the round trips.
    Latency {
        /// Where to listen.
        listen: SocketAddr,
        /// The server.
        server: SocketAddr,
        /// Milliseconds added to a round trip.
        delay: u64,
    },
    /// Passes over simulated minutes, for so many real ones, on a database of its own; a line of JSON each simulated day.
    #[cfg(feature = "soak")]
    Soak(soak::Soak),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Tool::parse() {
        Tool::Endpoint { listen, delay } => {
            endpoint::serve(listen, Duration::from_millis(delay)).await
        }
        Tool::Latency {
            listen,
            server,
            delay,
        } => latency::relay(listen, server, Duration::from_millis(delay)).await,
        #[cfg(feature = "soak")]
        Tool::Soak(soak) => soak.run().await,
    }
}

/// Waits for SIGTERM.
async fn told_to_end() {
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).expect("signals");
    terminate.recv().await;
}
