//! An endpoint on this machine for the client's tests, with the answers that they choose.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use aws_config::Region;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_pinpointsmsvoicev2::Client;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::channels::aws::client_config;
use crate::channels::sms::Sms;
use crate::channels::sms::settings::SmsSettings;
use crate::channels::{Outcome, TimeLimits};
use crate::primitives::phone_number::PhoneNumber;

/// What an exchange takes at most.
const LONGEST: Duration = Duration::from_secs(20);
/// A time that does not end during a test.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
/// The event of every message.
pub(crate) const EVENT: Uuid = Uuid::from_u128(0x0123_4567_89ab_cdef);

/// An endpoint on this machine, and a client of it.
pub(crate) struct Endpoint {
    pub(crate) listener: TcpListener,
    pub(crate) sms: Sms,
}

/// What arrived, on a connection that is open.
pub(crate) struct Request {
    head: String,
    pub(crate) body: Value,
    pub(crate) connection: TcpStream,
}

impl Endpoint {
    /// Of a client with these settings. Without a sender among them, it is `STUDIO`.
    pub(crate) async fn start(variables: &[(&str, &str)]) -> Self {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret-of-aws", None, None, "test");
        Self::start_with(variables, HOUR, credentials).await
    }

    /// Of a client that has these credentials, and waits so long for an answer.
    pub(crate) async fn start_with(
        variables: &[(&str, &str)],
        answer_time: Duration,
        credentials: impl ProvideCredentials + 'static,
    ) -> Self {
        let lookup = |name: &str| {
            let mut found = variables.iter().chain(&[("SMS_FROM", "STUDIO")]);
            let (_, value) = found.find(|(variable, _)| *variable == name)?;
            Some((*value).to_owned())
        };
        let settings = SmsSettings::from_environment(&lookup);
        let mut settings = settings.expect("valid").expect("a sender");
        settings.timing.request = answer_time;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let region = Region::from_static("eu-central-1");
        let config = client_config(region.clone(), settings.timing)
            .endpoint_url(url)
            .credentials_provider(credentials);
        let sms = Sms::in_region(region, &settings);
        let client = Client::new(&config.load().await);
        sms.client.set(client).expect("the first client");
        Self { listener, sms }
    }

    /// Sends one message. Nobody answers it.
    pub(crate) async fn send(&self, expires_in: Duration, leave_by: Instant) -> Outcome {
        let limits = TimeLimits {
            leave_by,
            give_up_at: leave_by + HOUR,
        };
        self.send_within(expires_in, limits).await
    }

    /// Sends one message within these limits.
    pub(crate) async fn send_within(&self, expires_in: Duration, limits: TimeLimits) -> Outcome {
        let to = PhoneNumber::parse("+1 206 555 0100").expect("a number");
        let text = "Your booking: 1 March, 13:00 ✓";
        let sent = self.sms.send(EVENT, &to, text, expires_in, limits);
        tokio::time::timeout(LONGEST, sent).await.expect("an end")
    }

    /// Sends one message, and answers with these bytes.
    pub(crate) async fn exchange(&self, expires_in: Duration, answer: &[u8]) -> (Outcome, Request) {
        let sent = self.send(expires_in, Instant::now() + HOUR);
        tokio::join!(sent, receive(&self.listener, answer))
    }

    /// The outcome of one message with this answer.
    pub(crate) async fn outcome(&self, status: u16, body: &str) -> Outcome {
        self.exchange(HOUR, &answer(status, body)).await.0
    }

    /// Checks that nothing else was sent: no second try, or nothing at all.
    pub(crate) fn assert_quiet(self) {
        let listener = self.listener.into_std().expect("a listener");
        let waiting = listener.accept().map(|_| ());
        let error = waiting.expect_err("a connection too many");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}

/// An HTTP answer, after which the connection ends.
pub(crate) fn answer(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} -\r\ncontent-type: application/x-amz-json-1.0\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Reads one request, and answers it.
pub(crate) async fn receive(listener: &TcpListener, answer: &[u8]) -> Request {
    let exchanged = async {
        let (mut connection, _) = listener.accept().await?;
        let mut read = Vec::new();
        let (head, body) = loop {
            assert_ne!(connection.read_buf(&mut read).await?, 0, "a whole request");
            let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            let (head, body) = (String::from_utf8_lossy(&read[..end]), &read[end + 4..]);
            let length = header(&head, "content-length").and_then(|it| it.parse().ok());
            if body.len() >= length.unwrap_or(usize::MAX) {
                break (head.into_owned(), serde_json::from_slice(body)?);
            }
        };
        connection.write_all(answer).await?;
        // An answer ends its connection; without one, the client decides.
        if !answer.is_empty() {
            connection.shutdown().await?;
        }
        std::io::Result::Ok(Request {
            head,
            body,
            connection,
        })
    };
    let exchanged = tokio::time::timeout(LONGEST, exchanged).await;
    exchanged.expect("a request in time").expect("a request")
}

/// A header of a request.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

impl Request {
    /// The line with the method.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// A header, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        header(&self.head, name).unwrap_or_default()
    }
}
