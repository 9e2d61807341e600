//! A TCP proxy in front of PostgreSQL. It breaks the connection at one BEGIN, or at one COMMIT in
//! its own message, or stops relaying there, and counts round trips. And a pooler, which changes
//! the server behind a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Where the connection is cut: before, during or after COMMIT, or at BEGIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nowhere.
    Never,
    /// The server does not get the BEGIN.
    Begin,
    /// The server does not get the COMMIT.
    Before,
    /// The server gets the COMMIT and executes it, and no answer passes.
    Within,
    /// The server answers, and the client does not get the answer.
    After,
    /// As `Within`, and later connections do not reach the server.
    Forever,
    /// As `After`, and the client receives a PANIC of the server.
    Panic,
    /// At a BEGIN or a COMMIT: from then on no data pass, and every connection stays open.
    Silence,
    /// At a BEGIN or a COMMIT: the server gets it when the test calls `release`.
    Hold,
}

/// The PANIC of a server whose log has no space.
const PANIC: &[u8] = b"E\0\0\0\x33SPANIC\0VPANIC\0C53100\0MNo space left on device\0\0";

/// The proxy.
pub struct Proxy {
    /// URL of the database through it.
    pub url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    cut: AtomicBool,
    /// The number of COMMITs or BEGINs.
    counted: AtomicU64,
    /// Whether the last bytes came from the server.
    answered: AtomicBool,
    round_trips: AtomicU64,
    connections: AtomicU64,
    /// The test lets the held message pass.
    released: tokio::sync::Notify,
    /// Connections up to this number relay nothing and stay open.
    frozen: AtomicU64,
}

impl Proxy {
    /// Starts a proxy in front of the server in `url` that cuts at the first COMMIT.
    pub async fn start(url: &str, cut: Cut) -> Self {
        Self::start_cutting_at(url, cut, 1).await
    }

    /// Starts a proxy that cuts at the COMMIT, or BEGIN, with this number, counted from 1.
    pub async fn start_cutting_at(url: &str, cut: Cut, number: u64) -> Self {
        let (user, rest) = url.split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let (address, proxy) = Self::listen(server, cut, number).await;
        Self {
            url: format!("{user}@{address}/{database}"),
            ..proxy
        }
    }

    /// Starts a proxy in front of any server; returns its address.
    pub async fn in_front_of(server: &str, cut: Cut) -> (SocketAddr, Self) {
        Self::listen(server, cut, 1).await
    }

    async fn listen(server: &str, cut: Cut, number: u64) -> (SocketAddr, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        tokio::spawn(accept(
            listener,
            server.to_owned(),
            cut,
            number,
            state.clone(),
        ));
        (
            address,
            Self {
                url: String::new(),
                state,
            },
        )
    }

    /// Whether the connection was broken.
    pub fn was_cut(&self) -> bool {
        self.state.cut.load(Ordering::SeqCst)
    }

    /// How often the client sent after the server.
    pub fn round_trips(&self) -> u64 {
        self.state.round_trips.load(Ordering::SeqCst)
    }

    /// The number of connections.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Lets the held message pass.
    pub fn release(&self) {
        self.state.released.notify_one();
    }

    /// From now on the existing connections relay nothing; they stay open.
    pub fn freeze(&self) {
        self.state
            .frozen
            .store(self.connections(), Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, server: String, cut: Cut, number: u64, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        if cut == Cut::Forever && state.cut.load(Ordering::SeqCst) {
            continue;
        }
        tokio::spawn(relay(client, server.clone(), cut, number, state.clone()));
    }
}

async fn relay(client: TcpStream, server: String, cut: Cut, cut_at: u64, state: Arc<State>) {
    let upstream = TcpStream::connect(server).await.unwrap();
    let number = state.connections.fetch_add(1, Ordering::SeqCst) + 1;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = upstream.into_split();
    let committing = Arc::new(AtomicBool::new(false));
    let connection = Connection {
        number,
        cut,
        cut_at,
        committing,
        state,
    };
    // When one side ends, both sockets are dropped.
    tokio::select! {
        () = connection.relay_answers(from_server, to_client) => {}
        () = connection.relay_requests(from_client, to_server) => {}
    }
}

/// One connection through the proxy.
struct Connection {
    number: u64,
    cut: Cut,
    cut_at: u64,
    /// Whether the COMMIT at which it is cut has passed.
    committing: Arc<AtomicBool>,
    state: Arc<State>,
}

impl Connection {
    async fn relay_answers(&self, mut from_server: OwnedReadHalf, to_client: OwnedWriteHalf) {
        let mut buffer = vec![0; 65536];
        let mut to_client = Some(to_client);
        loop {
            let Ok(count @ 1..) = from_server.read(&mut buffer).await else {
                return;
            };
            self.state.answered.store(true, Ordering::SeqCst);
            if self.committing.load(Ordering::SeqCst) {
                if [Cut::Within, Cut::Forever].contains(&self.cut)
                    && let Some(mut to_client) = to_client.take()
                {
                    let _ = to_client.shutdown().await;
                }
                // CommandComplete of the COMMIT: the server has committed.
                if contains(&buffer[..count], b"COMMIT\0") {
                    if let (Cut::Panic, Some(mut to_client)) = (self.cut, to_client) {
                        let _ = to_client.write_all(PANIC).await;
                    }
                    return;
                }
            }
            if let Some(to_client) = &mut to_client
                && to_client.write_all(&buffer[..count]).await.is_err()
            {
                return;
            }
        }
    }

    async fn relay_requests(&self, mut from_client: OwnedReadHalf, mut to_server: OwnedWriteHalf) {
        let mut buffer = vec![0; 65536];
        loop {
            let Ok(count @ 1..) = from_client.read(&mut buffer).await else {
                return;
            };
            if self.state.frozen.load(Ordering::SeqCst) >= self.number {
                continue;
            }
            if self.state.answered.swap(false, Ordering::SeqCst) {
                self.state.round_trips.fetch_add(1, Ordering::SeqCst);
            }
            let cuts_here = self.cuts_at(&buffer[..count]);
            if cuts_here {
                self.state.cut.store(true, Ordering::SeqCst);
                if [Cut::Begin, Cut::Before].contains(&self.cut) {
                    return;
                }
                if self.cut == Cut::Silence {
                    // Later connections, too.
                    self.state.frozen.store(u64::MAX, Ordering::SeqCst);
                    continue;
                }
                if self.cut == Cut::Hold {
                    self.state.released.notified().await;
                } else {
                    self.committing.store(true, Ordering::SeqCst);
                }
            }
            if to_server.write_all(&buffer[..count]).await.is_err() {
                return;
            }
            if cuts_here && [Cut::Within, Cut::Forever].contains(&self.cut) {
                // The client gives up; the server's answer is still to come.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether these bytes have the BEGIN or COMMIT at which the connection is cut.
    fn cuts_at(&self, bytes: &[u8]) -> bool {
        let begin = contains(bytes, b"BEGIN ISOLATION LEVEL");
        let commit = contains(bytes, b"\0\0\0\x0bCOMMIT\0");
        let counts = match self.cut {
            Cut::Never => false,
            Cut::Begin => begin,
            Cut::Silence | Cut::Hold => begin || commit,
            _ => commit,
        };
        counts && self.state.counted.fetch_add(1, Ordering::SeqCst) + 1 == self.cut_at
    }
}

/// Starts a simple pooler: its client connections outlive those to the server and continue with the
/// server that answers next. Without TLS, and for a user without a password.
pub async fn start_pooler(server: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = server.to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(relay_pooled(client, server.clone()));
        }
    });
    address
}

async fn relay_pooled(mut client: TcpStream, server: String) -> std::io::Result<()> {
    let (mut asked, mut said) = (vec![0; 65536], vec![0; 65536]);
    let count = client.read(&mut asked).await?;
    let startup = asked[..count].to_vec();
    let mut upstream = TcpStream::connect(&server).await?;
    upstream.write_all(&startup).await?;
    let mut gone = false;
    loop {
        tokio::select! {
            count = client.read(&mut asked) => {
                let count = count?;
                if count == 0 {
                    return Ok(());
                }
                if std::mem::take(&mut gone) {
                    upstream = TcpStream::connect(&server).await?;
                    upstream.write_all(&startup).await?;
                    // The client has already received a greeting.
                    let mut greeting = Vec::new();
                    while !greeting.ends_with(b"Z\0\0\0\x05I") {
                        greeting.push(upstream.read_u8().await?);
                    }
                }
                upstream.write_all(&asked[..count]).await?;
            }
            count = upstream.read(&mut said), if !gone => match count {
                Ok(0) | Err(_) => gone = true,
                // The message that the server shuts down is dropped.
                Ok(count) if contains(&said[..count], b"C57P01\0") => {}
                Ok(count) => client.write_all(&said[..count]).await?,
            }
        }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}
