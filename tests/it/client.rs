//! A plain HTTP client for this machine. It can send malformed requests.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A header: name and value as bytes.
pub type Header<'a> = (&'a str, &'a [u8]);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers except the date; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The value of a header, or an empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends a request and leaves the connection open.
pub async fn send(
    port: u16,
    method: &str,
    path: &str,
    headers: &[Header<'_>],
    body: &[u8],
) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    )
    .into_bytes();
    for (name, value) in headers {
        request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    request.extend(body);
    // The server may answer and close the connection before everything is sent.
    let _ = socket.write_all(&request).await;
    socket
}

/// Reads the whole answer.
pub async fn receive(mut socket: TcpStream) -> Answer {
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let mut lines = head.lines();
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .filter(|(name, _)| name != "date")
        .collect();
    Answer {
        status,
        headers,
        body: body.to_owned(),
    }
}

/// Sends a request and reads its answer.
pub async fn request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[Header<'_>],
    body: &[u8],
) -> Answer {
    receive(send(port, method, path, headers, body).await).await
}

/// Seconds since 1970.
pub fn unix_time() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// A Standard Webhooks signature.
pub fn signature(secret: &str, id: &[u8], timestamp: &[u8], body: &[u8]) -> String {
    let key = BASE64_STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(&[id, b".", timestamp, b".", body].concat());
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

/// Calls `/run` with a signature of now.
pub async fn run_signed(port: u16, secret: &str, id: &str) -> Answer {
    let timestamp = unix_time().to_string();
    let signature = signature(secret, id.as_bytes(), timestamp.as_bytes(), b"");
    let headers = [
        ("webhook-id", id.as_bytes()),
        ("webhook-timestamp", timestamp.as_bytes()),
        ("webhook-signature", signature.as_bytes()),
    ];
    request(port, "POST", "/run", &headers, b"").await
}
