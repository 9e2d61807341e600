//! The running function on loopback, and those who use it: people who follow a link in a mail, and
//! the owner's program, which calls the support API.

use std::sync::Arc;

use anyhow::Context as _;
use booking_automation::http;
use booking_automation::http::settings::HttpSettings;
use booking_automation::tick::Automation;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The function's address, and what it works with.
pub struct Web {
    listener: std::net::TcpListener,
    automation: Arc<Automation>,
    settings: HttpSettings,
    /// Of the support API.
    token: &'static str,
}

/// What a customer answers to a reminder.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// "I'll be there."
    Attends,
    /// "I can't come."
    CannotCome,
}

/// A status and a body.
struct Response {
    status: u16,
    body: String,
}

impl Web {
    pub fn new(
        listener: std::net::TcpListener,
        automation: Automation,
        settings: HttpSettings,
        token: &'static str,
    ) -> Self {
        Self {
            listener,
            automation: Arc::new(automation),
            settings,
            token,
        }
    }

    /// Follows the link of an answer in the text of a mail, and presses the button of the page.
    pub async fn answer(
        &self,
        as_of: DateTime<Utc>,
        mail: &str,
        answer: Answer,
    ) -> anyhow::Result<()> {
        let path = self.attendance_path(mail)?;
        let (path, field) = match answer {
            Answer::Attends => (path, "start"),
            Answer::CannotCome => (format!("{path}/cancel"), "terms"),
        };
        let page = self.request(as_of, "GET", &path, "", "").await?;
        let value = hidden_field(&page.body, field)
            .with_context(|| format!("the page of {path} has no button: {}", page.status))?;
        let form = match answer {
            Answer::Attends => format!("{field}={value}&answer=attend"),
            Answer::CannotCome => format!("{field}={value}"),
        };
        let header = "Content-Type: application/x-www-form-urlencoded\r\n";
        let answered = self.request(as_of, "POST", &path, header, &form).await?;
        // A page that has something to ask has a button still.
        let is_done = answered.status == 200 && hidden_field(&answered.body, field).is_none();
        anyhow::ensure!(is_done, "{path} was not answered: {}", answered.status);
        Ok(())
    }

    /// Cancels a booking by the support API, as its provider. Returns the refund.
    pub async fn cancel(
        &self,
        as_of: DateTime<Utc>,
        booking: &str,
        provider: &str,
    ) -> anyhow::Result<String> {
        let path = format!("/bookings/{booking}/cancellation");
        let header = self.credentials() + "Content-Type: application/json\r\n";
        let body = json!({"actor": {"role": "provider", "id": provider}, "reason": "ill"});
        let answer = self
            .request(as_of, "POST", &path, &header, &body.to_string())
            .await?;
        anyhow::ensure!(answer.status == 200, "{path}: {}", answer.body);
        let cancelled: Value = serde_json::from_str(&answer.body)?;
        let member = |name: &str| cancelled.pointer(&format!("/refund/{name}"));
        let text = |name: &str| member(name).and_then(Value::as_str);
        let refund = text("amount").zip(text("currency"));
        let (amount, currency) = refund.with_context(|| format!("no refund in {cancelled}"))?;
        Ok(format!("{amount} {currency}"))
    }

    /// Says by the support API that a person uses the app on a device with this token.
    pub async fn register(
        &self,
        as_of: DateTime<Utc>,
        person: &str,
        device: &str,
    ) -> anyhow::Result<()> {
        let path = format!("/people/{person}/push-tokens/{device}");
        let answer = self
            .request(as_of, "PUT", &path, &self.credentials(), "")
            .await?;
        anyhow::ensure!(answer.status < 300, "{path}: {}", answer.body);
        Ok(())
    }

    /// The header for the support API.
    fn credentials(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.token)
    }

    /// The path of the page on which a customer says that they will come.
    fn attendance_path(&self, mail: &str) -> anyhow::Result<String> {
        let base = format!("http://{}/a/", self.listener.local_addr()?);
        let (_, rest) = mail
            .split_once(&base)
            .context("the mail has no such link")?;
        let token = rest.split_whitespace().next().unwrap_or_default();
        Ok(format!("/a/{}", token.trim_end_matches("/cancel")))
    }

    /// Makes a request to the function, whose clock shows `as_of`.
    async fn request(
        &self,
        as_of: DateTime<Utc>,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> anyhow::Result<Response> {
        let address = self.listener.local_addr()?;
        let listener = self.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        let (calls, stop) = (TaskTracker::new(), CancellationToken::new());
        let router = http::router(
            self.automation.clone(),
            self.settings.clone(),
            Some(as_of),
            calls,
            stop.clone(),
        );
        let server = axum::serve(TcpListener::from_std(listener)?, router);
        let server = server.with_graceful_shutdown(stop.clone().cancelled_owned());
        let server = tokio::spawn(server.into_future());

        let mut stream = TcpStream::connect(address).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        drop(stream);
        stop.cancel();
        server.await??;
        Response::parse(&answer).with_context(|| format!("no answer to {method} {path}"))
    }
}

impl Response {
    /// An answer that ends with its connection.
    fn parse(answer: &[u8]) -> Option<Self> {
        let answer = String::from_utf8_lossy(answer);
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split_whitespace().nth(1)?;
        Some(Self {
            status: status.parse().ok()?,
            body: body.to_owned(),
        })
    }
}

/// The value of a hidden field of a form.
fn hidden_field<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    Some(rest.split_once('"')?.0)
}
