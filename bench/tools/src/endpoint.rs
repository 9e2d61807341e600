//! The part of SES v2 that a sender needs.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

struct Shared {
    delay: Duration,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    count: u64,
    /// The times of the first and the last answer.
    between: Option<(Instant, Instant)>,
}

pub(crate) async fn serve(listen: SocketAddr, delay: Duration) -> anyhow::Result<()> {
    let shared = Arc::new(Shared {
        delay,
        taken: Mutex::default(),
    });
    let router = Router::new()
        .route("/v2/email/outbound-emails", post(send))
        .route("/v2/email/account", get(account))
        .route("/taken", get(taken))
        .with_state(shared.clone());
    let listener = TcpListener::bind(listen).await?;
    tokio::select! {
        ended = axum::serve(listener, router).into_future() => ended?,
        () = crate::told_to_end() => {}
    }
    Ok(())
}

async fn send(State(shared): State<Arc<Shared>>, _body: axum::body::Bytes) -> Json<Value> {
    // Exact to the microsecond. Tokio's timer rounds up to whole milliseconds, so that answers would arrive in groups.
    futures_timer::Delay::new(shared.delay).await;
    let mut taken = shared.taken.lock().expect("nobody panics with it");
    taken.count += 1;
    let now = Instant::now();
    taken.between = Some((taken.between.map_or(now, |(first, _)| first), now));
    Json(json!({"MessageId": format!("message-{}", taken.count)}))
}

async fn account() -> Json<Value> {
    Json(json!({"SendQuota": {"MaxSendRate": 100_000.0, "Max24HourSend": 1e9}}))
}

/// The number of messages since the last call, and the seconds between the first and the last answer.
async fn taken(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let taken = std::mem::take(&mut *shared.taken.lock().expect("nobody panics with it"));
    let seconds = taken.between.map_or(0.0, |(first, last)| {
        last.duration_since(first).as_secs_f64()
    });
    Json(json!({"taken": taken.count, "seconds": seconds}))
}
