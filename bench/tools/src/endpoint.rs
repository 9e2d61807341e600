//! SES v2, as little of it as a sender needs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

struct Shared {
    delay: Duration,
    taken: AtomicU64,
}

pub(crate) async fn serve(listen: SocketAddr, delay: Duration) -> anyhow::Result<()> {
    let shared = Arc::new(Shared { delay, taken: AtomicU64::new(0) });
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
    println!("{}", json!({"taken": shared.taken.load(Ordering::Relaxed)}));
    Ok(())
}

async fn send(State(shared): State<Arc<Shared>>, _body: axum::body::Bytes) -> Json<Value> {
    tokio::time::sleep(shared.delay).await;
    let number = shared.taken.fetch_add(1, Ordering::Relaxed);
    Json(json!({"MessageId": format!("message-{number}")}))
}

async fn account() -> Json<Value> {
    Json(json!({"SendQuota": {"MaxSendRate": 100_000.0, "Max24HourSend": 1e9}}))
}

/// How many were taken since the last question.
async fn taken(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({"taken": shared.taken.swap(0, Ordering::Relaxed)}))
}
