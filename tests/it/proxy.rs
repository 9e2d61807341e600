//! A TCP proxy in front of PostgreSQL: breaks the connection at the first COMMIT that is a message of its own, or
//! counts round trips.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where to break it: before, in or after COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nowhere.
    Never,
    /// The server never sees the COMMIT.
    Before,
    /// The server gets it, and the connection is gone before it answers.
    Within,
    /// The server answered, and the client never sees it.
    After,
    /// As `Within`, and from then on there is no way to the server.
    Forever,
}

/// The proxy.
pub struct Proxy {
    /// URL of the database through it.
    pub url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    cut: AtomicBool,
    /// Whether the last bytes came from the server.
    answered: AtomicBool,
    round_trips: AtomicU64,
    connections: AtomicU64,
    /// Connections up to this one are dead, and look alive.
    frozen: AtomicU64,
}

impl Proxy {
    /// Starts one in front of the server in `url`.
    pub async fn start(url: &str, cut: Cut) -> Self {
        let (user, rest) = url.split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let (address, proxy) = Self::of(server, cut).await;
        Self { url: format!("{user}@{address}/{database}"), ..proxy }
    }

    /// Starts one in front of any server; its address.
    pub async fn of(server: &str, cut: Cut) -> (SocketAddr, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        tokio::spawn(accept(listener, server.to_owned(), cut, state.clone()));
        (address, Self { url: String::new(), state })
    }

    /// Whether the connection was broken.
    pub fn was_cut(&self) -> bool {
        self.state.cut.load(Ordering::SeqCst)
    }

    /// How often the client has spoken after the server did.
    pub fn round_trips(&self) -> u64 {
        self.state.round_trips.load(Ordering::SeqCst)
    }

    /// How many connections there have been.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// From now on nothing passes through the connections that there are; they stay open.
    pub fn freeze(&self) {
        self.state.frozen.store(self.connections(), Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, server: String, cut: Cut, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        if cut == Cut::Forever && state.cut.load(Ordering::SeqCst) {
            continue;
        }
        tokio::spawn(relay(client, server.clone(), cut, state.clone()));
    }
}

async fn relay(client: TcpStream, server: String, cut: Cut, state: Arc<State>) {
    let upstream = TcpStream::connect(server).await.unwrap();
    let number = state.connections.fetch_add(1, Ordering::SeqCst) + 1;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = upstream.into_split();
    let committing = Arc::new(AtomicBool::new(false));
    let answers = {
        let (committing, state) = (committing.clone(), state.clone());
        async move {
            let mut buffer = vec![0; 65536];
            loop {
                let Ok(count @ 1..) = from_server.read(&mut buffer).await else { return };
                state.answered.store(true, Ordering::SeqCst);
                // CommandComplete of the COMMIT: the server has done it.
                if committing.load(Ordering::SeqCst) && contains(&buffer[..count], b"COMMIT\0") {
                    return;
                }
                if to_client.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
        }
    };
    let requests = async move {
        let mut buffer = vec![0; 65536];
        loop {
            let Ok(count @ 1..) = from_client.read(&mut buffer).await else { return };
            if state.frozen.load(Ordering::SeqCst) >= number {
                continue;
            }
            if state.answered.swap(false, Ordering::SeqCst) {
                state.round_trips.fetch_add(1, Ordering::SeqCst);
            }
            let is_commit = cut != Cut::Never
                && contains(&buffer[..count], b"\0\0\0\x0bCOMMIT\0")
                && !state.cut.swap(true, Ordering::SeqCst);
            if is_commit && cut == Cut::Before {
                return;
            }
            if is_commit && cut == Cut::After {
                committing.store(true, Ordering::SeqCst);
            }
            if to_server.write_all(&buffer[..count]).await.is_err() {
                return;
            }
            if is_commit && [Cut::Within, Cut::Forever].contains(&cut) {
                return;
            }
        }
    };
    // Whichever side ends, both sockets are dropped.
    tokio::select! {
        () = answers => {}
        () = requests => {}
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
