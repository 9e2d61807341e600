//! A server on this computer that grants access tokens and takes messages, as a script says.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// A request, as it arrived.
#[derive(Clone)]
pub(super) struct Received {
    /// The request line and the headers.
    pub(super) head: String,
    pub(super) body: String,
}

impl Received {
    pub(super) fn is_for_token(&self) -> bool {
        self.head.starts_with("POST /token ")
    }

    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }

    /// The device's token.
    pub(super) fn token(&self) -> String {
        let token = &self.json()["message"]["token"];
        token.as_str().expect("a token").to_owned()
    }
}

/// What the server does with a request.
#[derive(Clone)]
pub(super) enum Reply {
    /// A status, lines of the head, and the body.
    Answer(u16, String, String),
    /// An answer whose body ends early.
    Cut,
    /// The connection ends without an answer.
    Close,
    /// The connection is reset.
    Reset,
    /// There is no answer.
    Silence,
    /// A reply that waits at a barrier.
    After(Arc<Barrier>, Box<Self>),
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::Answer(status, String::new(), body.to_string())
    }

    /// The message was taken.
    pub(super) fn taken() -> Self {
        Self::json(200, &json!({"name": "projects/studio-nord/messages/1"}))
    }

    /// The `count`th access token.
    pub(super) fn granted(count: usize) -> Self {
        let token = format!("access-{count}");
        let body = json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"});
        Self::json(200, &body)
    }
}

/// What the server replies to a request, by its number among those of its kind.
type Script = dyn Fn(&Received, usize) -> Reply + Send + Sync;

/// The server.
pub(super) struct FakeFcm {
    pub(super) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    /// Ends with the server.
    _tasks: JoinSet<()>,
}

impl FakeFcm {
    /// Grants tokens, and replies to messages by the script.
    pub(super) async fn start(
        script: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_with_tokens(Reply::granted, script).await
    }

    /// Replies to requests for tokens by the first script, to messages by the second one.
    pub(super) async fn start_with_tokens(
        tokens: impl Fn(usize) -> Reply + Send + Sync + 'static,
        messages: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let received = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(move |request, count| match request.is_for_token() {
            true => tokens(count),
            false => messages(request, count),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, received.clone(), script));
        Self {
            address,
            received,
            _tasks: tasks,
        }
    }

    /// The requests for tokens.
    pub(super) fn token_requests(&self) -> Vec<Received> {
        self.received(true)
    }

    /// The messages.
    pub(super) fn messages(&self) -> Vec<Received> {
        self.received(false)
    }

    fn received(&self, for_token: bool) -> Vec<Received> {
        let all = lock(&self.received);
        let of_kind = all
            .iter()
            .filter(|request| request.is_for_token() == for_token);
        of_kind.cloned().collect()
    }
}

async fn serve(listener: TcpListener, received: Arc<Mutex<Vec<Received>>>, script: Arc<Script>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (received, script) = (received.clone(), script.clone());
        connections.spawn(async move {
            // A client that goes away is one of the cases.
            _ = serve_one(stream, &received, &*script).await;
        });
    }
}

async fn serve_one(
    mut stream: TcpStream,
    received: &Mutex<Vec<Received>>,
    script: &Script,
) -> io::Result<()> {
    let request = read_request(&mut stream).await?;
    let reply = {
        let mut received = lock(received);
        received.push(request.clone());
        let is_for_token = request.is_for_token();
        let of_kind = received
            .iter()
            .filter(|one| one.is_for_token() == is_for_token);
        script(&request, of_kind.count())
    };
    let mut reply = reply;
    while let Reply::After(barrier, next) = reply {
        barrier.wait().await;
        reply = *next;
    }
    let (status, head, body, length) = match reply {
        Reply::Answer(status, head, body) => (status, head, body.clone(), body.len()),
        Reply::Cut => (200, String::new(), "{\"name\"".to_owned(), 100),
        Reply::Close | Reply::After(..) => return Ok(()),
        Reply::Reset => return stream.set_zero_linger(),
        Reply::Silence => std::future::pending().await,
    };
    let answer = format!("HTTP/1.1 {status} \r\ncontent-length: {length}\r\n{head}\r\n{body}");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

async fn read_request(stream: &mut TcpStream) -> io::Result<Received> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut request = Received {
                head: head.to_owned(),
                body: String::new(),
            };
            let length = request.header("content-length");
            let length = length.and_then(|length| length.parse().ok());
            // Lossy text may be longer than its bytes, which are whole at the end.
            if bytes.len() - head.len() - 4 == length.unwrap_or(0) {
                request.body = body.to_owned();
                return Ok(request);
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
