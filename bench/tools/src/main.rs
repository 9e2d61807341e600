//! Tools of the benchmarks: a mail endpoint that answers after a given time, a proxy that adds latency to the database, and a
//! program that simulates weeks.

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
    /// Serves SES v2: answers each SendEmail after a delay. `/taken` returns how many there were, and in how many seconds.
    Endpoint {
        /// Where to listen.
        listen: SocketAddr,
        /// Milliseconds to an answer.
        delay: u64,
    },
    /// Forwards TCP and delays the answers. On SIGTERM, prints the number of round trips.
    Latency {
        /// Where to listen.
        listen: SocketAddr,
        /// The server.
        server: SocketAddr,
        /// Milliseconds added to a round trip.
        delay: u64,
    },
    /// Runs passes over simulated minutes for a number of real minutes, on a separate database. Prints a line of JSON for each
    /// simulated day.
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
