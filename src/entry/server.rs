//! `serve`: the same routes on a listener of our own, and a timer for places without a cron.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use chrono::{DateTime, Utc};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::entry::connections::Connections;
use crate::http;
use crate::http::settings::HttpSettings;
use crate::primitives::call::Call;
use crate::tick::trigger::Trigger;
use crate::tick::{self, Automation};

/// Connections to the database: one for the running pass, the others for calls that record what
/// they sent or find that a pass is running. They never wait for the pass's connection. The support
/// API uses two of them at most (`http/api/places.rs`).
pub const CONNECTIONS: usize = 4;
/// Longest time for a call by the timer.
const CALL_TIME: Duration = Duration::from_secs(50);
/// How long running calls may take to end after a signal: longer than a statement or a request to
/// SES may take, and shorter than Kubernetes's 30 s before it kills.
const SHUTDOWN_TIME: Duration = Duration::from_secs(25);
/// How long sending the answers may take after that.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// How long a client may take to send a request's headers, from the connection or the last answer
/// on.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// What the kernel keeps of a connection in each direction (bytes; Linux takes twice as many). Left
/// to itself it keeps megabytes: as many requests would be answered to a client that reads nothing.
const SOCKET_BUFFER: u32 = 32 << 10;
/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;
/// The pause after a connection could not be accepted, for example for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers on `listen`, and fires a pass `every` so often, until SIGTERM or SIGINT. Running calls
/// then send what they have claimed, record it, and answer.
///
/// # Errors
/// When it cannot listen on the address.
pub async fn serve(
    automation: Automation,
    settings: HttpSettings,
    as_of: Option<DateTime<Utc>>,
    listen: SocketAddr,
    every: Option<Duration>,
) -> anyhow::Result<()> {
    let automation = Arc::new(automation);
    let (calls, stop) = (TaskTracker::new(), CancellationToken::new());
    let listener = bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    if settings.secrets.is_empty() && every.is_none() {
        tracing::warn!(
            "nothing can fire a pass: set CRON_SECRET or CRON_SIGNING_SECRET, or use --every"
        );
    }
    if let Some(every) = every {
        calls.spawn(fire_periodically(every, automation.clone(), stop.clone()));
    }
    let router = http::router(automation, settings, as_of, calls.clone(), stop.clone());
    let server = tokio::spawn(answer_connections(listener, router, stop.clone()));
    stop_signal().await?;
    tracing::info!("shutting down; waiting for running calls");
    stop.cancel();
    calls.close();
    if tokio::time::timeout(SHUTDOWN_TIME, calls.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            "calls were interrupted; messages without a recorded outcome are retried when their \
             lease runs out"
        );
    }
    // Wait for the calls' answers to be sent, but not for a client that never ends its request.
    let _ = tokio::time::timeout(ANSWER_TIME, server).await;
    Ok(())
}

/// Listens on the address; accepted connections inherit the limits of the buffers.
fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket = match listen {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)
}

/// Answers connections until it must stop, and then those that have sent a request.
async fn answer_connections(listener: TcpListener, router: Router, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Connections::default());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME);
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((socket, client)) => {
                // Without a place, the socket is closed here.
                if let Some(connection) = connections.take_place(client.ip()) {
                    let service = connection.service(router.clone());
                    let served = http.serve_connection(TokioIo::new(socket), service);
                    tokio::spawn(connection.serve(graceful.watch(served)));
                }
            }
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                connections.end_one();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    graceful.shutdown().await;
}

/// A tick that comes while a call is under way is left out.
async fn fire_periodically(every: Duration, automation: Arc<Automation>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let deadline = Instant::now() + every.min(CALL_TIME);
        let call = Call {
            stop: stop.clone(),
            ..Call::until(deadline)
        };
        if let Err(error) = tick::run(&automation, &Trigger::Cli, &call).await {
            tracing::error!("{error}");
        }
    }
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// When the signals cannot be listened to.
pub async fn stop_signal() -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
