//! A proxy that delays every byte of a server's answers by the same time. Pipelining is preserved. It uses threads because their
//! timers are exact to a tenth of a millisecond.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::json;

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    round_trips: AtomicU64,
}

pub(crate) async fn relay(
    listen: SocketAddr,
    server: SocketAddr,
    delay: Duration,
) -> anyhow::Result<()> {
    let counts = Arc::new(Counts::default());
    let listener = TcpListener::bind(listen)?;
    std::thread::spawn({
        let counts = counts.clone();
        move || {
            for client in listener.incoming().flatten() {
                counts.connections.fetch_add(1, Ordering::Relaxed);
                let counts = counts.clone();
                std::thread::spawn(move || pass_on(client, server, delay, &counts));
            }
        }
    });
    crate::told_to_end().await;
    let told = |count: &AtomicU64| count.load(Ordering::Relaxed);
    println!(
        "{}",
        json!({"connections": told(&counts.connections), "round_trips": told(&counts.round_trips)})
    );
    Ok(())
}

/// Copies until one side closes the connection.
fn pass_on(client: TcpStream, server: SocketAddr, delay: Duration, counts: &Counts) -> Option<()> {
    let upstream = TcpStream::connect(server).ok()?;
    client.set_nodelay(true).ok()?;
    upstream.set_nodelay(true).ok()?;
    // Whether the server sent last.
    let answered = AtomicBool::new(true);
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    let (mut from_server, mut to_client) = (upstream.try_clone().ok()?, client.try_clone().ok()?);
    let end = |_| {
        _ = (
            client.shutdown(Shutdown::Both),
            upstream.shutdown(Shutdown::Both),
        )
    };
    std::thread::scope(|scope| {
        scope.spawn(move || {
            copy(&mut from_server, |bytes| {
                sender
                    .send((Instant::now() + delay, bytes.to_vec()))
                    .is_ok()
            })
        });
        scope.spawn(|| {
            for (at, bytes) in receiver {
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                answered.store(true, Ordering::Relaxed);
                if to_client.write_all(&bytes).is_err() {
                    break;
                }
            }
            end(());
        });
        copy(&mut &client, |bytes| {
            if answered.swap(false, Ordering::Relaxed) {
                counts.round_trips.fetch_add(1, Ordering::Relaxed);
            }
            (&upstream).write_all(bytes).is_ok()
        });
        end(());
    });
    Some(())
}

fn copy(from: &mut impl Read, mut to: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 65536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !to(&buffer[..count]) {
            return;
        }
    }
}
