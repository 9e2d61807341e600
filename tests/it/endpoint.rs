//! An endpoint for webhooks on this machine, with or without TLS. The test chooses its answers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its first line.
    pub line: String,
    /// Its headers; names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
}

impl Received {
    /// Its `webhook-id`.
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// Its body, as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Its `type`.
    pub fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }
}

/// How to answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// With a status and nothing else.
    Status(u16),
    /// These bytes; then the connection is closed.
    Bytes(String),
    /// With 200 and a body that does not end.
    Endless,
    /// No answer.
    Silence,
    /// A status, when the test releases it.
    Held(tokio::sync::watch::Receiver<bool>, u16),
}

type Rule = Box<dyn Fn(&Received) -> Answer + Send>;

struct Shared {
    received: Mutex<Vec<Received>>,
    rule: Mutex<Rule>,
    arrived: tokio::sync::Notify,
    connections: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    written: AtomicUsize,
}

/// The endpoint.
pub struct Endpoint {
    /// Its port on 127.0.0.1.
    pub port: u16,
    shared: Arc<Shared>,
}

impl Endpoint {
    /// Starts an endpoint that accepts everything.
    pub async fn start() -> Self {
        Self::listen("127.0.0.1:0", None).await
    }

    /// Starts an endpoint with TLS.
    pub async fn with_certificate(certificate: &str, key: &str) -> Self {
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = config
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self::listen("127.0.0.1:0", Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn listen(address: &str, tls: Option<TlsAcceptor>) -> Self {
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            rule: Mutex::new(Box::new(|_| Answer::Status(204))),
            arrived: tokio::sync::Notify::new(),
            connections: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                state.connections.fetch_add(1, Ordering::SeqCst);
                let (shared, tls) = (state.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &shared).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &shared).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, shared }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// Sets the rule for later answers.
    pub fn answer(&self, rule: impl Fn(&Received) -> Answer + Send + 'static) {
        *self.shared.rule.lock().unwrap() = Box::new(rule);
    }

    /// Everything that arrived.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Deletes the stored requests.
    pub fn clear(&self) {
        self.shared.received.lock().unwrap().clear();
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The greatest number of concurrent requests.
    pub fn most_in_flight(&self) -> usize {
        self.shared.most_in_flight.load(Ordering::SeqCst)
    }

    /// How many bytes of endless bodies the client has taken.
    pub fn bytes_written(&self) -> usize {
        self.shared.written.load(Ordering::SeqCst)
    }

    /// Waits until `count` requests have arrived.
    pub async fn wait_for_requests(&self, count: usize) {
        let all_there = async {
            loop {
                let notified = self.shared.arrived.notified();
                if self.shared.received.lock().unwrap().len() >= count {
                    return;
                }
                notified.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), all_there)
            .await
            .expect("the requests arrive");
    }
}

/// Serves the requests of one connection.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) {
    let mut buffer = Vec::new();
    while let Some(received) = read(&mut stream, &mut buffer).await {
        shared.received.lock().unwrap().push(received.clone());
        let in_flight = shared.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most_in_flight.fetch_max(in_flight, Ordering::SeqCst);
        shared.arrived.notify_waiters();
        let answer = (shared.rule.lock().unwrap())(&received);
        let goes_on = reply(&mut stream, answer, shared).await;
        shared.in_flight.fetch_sub(1, Ordering::SeqCst);
        if !goes_on {
            return;
        }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<Received> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let mut lines = head.lines();
            let line = lines.next().unwrap().to_owned();
            let headers: BTreeMap<_, _> = lines
                .map(|line| line.split_once(": ").unwrap())
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let length: usize = headers
                .get("content-length")
                .map_or(0, |length| length.parse().unwrap());
            if buffer.len() >= end + 4 + length {
                let body = String::from_utf8(buffer[end + 4..end + 4 + length].to_vec()).unwrap();
                buffer.drain(..end + 4 + length);
                return Some(Received {
                    line,
                    headers,
                    body,
                });
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Answers a request; returns whether the connection stays open.
async fn reply(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    answer: Answer,
    shared: &Shared,
) -> bool {
    let status = |status: u16| format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n");
    match answer {
        Answer::Status(code) => stream.write_all(status(code).as_bytes()).await.is_ok(),
        Answer::Held(mut released, code) => {
            // Also ends when the test has ended.
            let _ = released.wait_for(|released| *released).await;
            stream.write_all(status(code).as_bytes()).await.is_ok()
        }
        Answer::Bytes(bytes) => {
            let _ = stream.write_all(bytes.as_bytes()).await;
            let _ = stream.shutdown().await;
            false
        }
        Answer::Endless => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
                .await;
            // Far more than the buffers of a socket that is not read.
            while shared.written.load(Ordering::SeqCst) < 100_000_000
                && stream.write_all(&[b'x'; 1000]).await.is_ok()
            {
                shared.written.fetch_add(1000, Ordering::SeqCst);
            }
            false
        }
        // Until the client closes the connection.
        Answer::Silence => {
            let _ = stream.read_u8().await;
            false
        }
    }
}
