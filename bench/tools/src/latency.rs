//! A longer way to a server: every byte of its answers comes later by the same time. What is pipelined stays so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    round_trips: AtomicU64,
}

pub(crate) async fn relay(listen: SocketAddr, server: SocketAddr, delay: Duration) -> anyhow::Result<()> {
    let counts = Arc::new(Counts::default());
    let listener = TcpListener::bind(listen).await?;
    let accept = async {
        while let Ok((client, _)) = listener.accept().await {
            counts.connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(pass_on(client, server, delay, counts.clone()));
        }
    };
    tokio::select! {
        () = accept => {}
        () = crate::told_to_end() => {}
    }
    let told = |count: &AtomicU64| count.load(Ordering::Relaxed);
    println!("{}", json!({"connections": told(&counts.connections), "round_trips": told(&counts.round_trips)}));
    Ok(())
}

async fn pass_on(client: TcpStream, server: SocketAddr, delay: Duration, counts: Arc<Counts>) {
    let Ok(upstream) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = upstream.into_split();
    // Whether the last word was the server's.
    let answered = AtomicBool::new(true);
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let requests = async {
        let mut buffer = vec![0; 65536];
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            if answered.swap(false, Ordering::Relaxed) {
                counts.round_trips.fetch_add(1, Ordering::Relaxed);
            }
            if to_server.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    let answers = async {
        let mut buffer = vec![0; 65536];
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            if sender.send((Instant::now() + delay, buffer[..count].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let held_up = async {
        while let Some((at, bytes)) = receiver.recv().await {
            sleep_until(at).await;
            answered.store(true, Ordering::Relaxed);
            if to_client.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = answers => {}
        () = held_up => {}
    }
}
