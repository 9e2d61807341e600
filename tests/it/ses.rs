//! A mail endpoint with the part of the SES v2 API that sends a message. The test chooses its
//! answers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_parser::{Addr, Address, MessageParser, MessagePart, MimeHeaders};
use serde_json::{Value, json};

use crate::judges::captured;

/// A request to send, and what it says, in either form of a mail.
#[derive(Clone, Debug)]
pub struct Mail(pub Value, Content);

#[derive(Clone, Debug, Default)]
struct Content {
    from: String,
    subject: String,
    text: String,
    html: String,
    reply_to: Vec<String>,
    headers: BTreeMap<String, String>,
    calendar: Option<Calendar>,
}

/// The calendar part of a mail.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// Of the part's header.
    pub method: String,
    /// The part.
    pub text: String,
    /// The whole mail.
    pub mail: Vec<u8>,
}

impl Mail {
    /// Reads a request.
    pub fn of(request: Value) -> Self {
        let content = match request.pointer("/Content/Raw/Data") {
            Some(raw) => of_raw(&STANDARD.decode(raw.as_str().unwrap()).unwrap()),
            None => of_simple(&request),
        };
        Self(request, content)
    }

    /// Its recipient.
    pub fn to(&self) -> &str {
        self.0["Destination"]["ToAddresses"][0].as_str().unwrap()
    }

    /// Its sender: the whole header.
    pub fn from(&self) -> &str {
        &self.1.from
    }

    /// Its subject.
    pub fn subject(&self) -> &str {
        &self.1.subject
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.1.text
    }

    /// Its HTML.
    pub fn html(&self) -> &str {
        &self.1.html
    }

    /// Whom answers go to.
    pub fn reply_to(&self) -> &[String] {
        &self.1.reply_to
    }

    /// Its calendar part.
    pub fn calendar(&self) -> Option<&Calendar> {
        self.1.calendar.as_ref()
    }

    /// The value of a header of its own, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.1.headers.get(name).map_or("", String::as_str)
    }

    /// The event id in its tag.
    pub fn event_id(&self) -> &str {
        self.0["EmailTags"][0]["Value"].as_str().unwrap()
    }
}

/// The form that SES makes a mail of.
fn of_simple(request: &Value) -> Content {
    let simple = &request["Content"]["Simple"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
    let headers = simple["Headers"].as_array().into_iter().flatten();
    Content {
        from: text(&request["FromEmailAddress"]),
        subject: text(&simple["Subject"]["Data"]),
        text: text(&simple["Body"]["Text"]["Data"]),
        html: text(&simple["Body"]["Html"]["Data"]),
        reply_to: texts(&request["ReplyToAddresses"]),
        headers: headers
            .map(|header| (text(&header["Name"]), text(&header["Value"])))
            .collect(),
        calendar: None,
    }
}

/// A complete mail, read by a parser that none of us wrote.
fn of_raw(raw: &[u8]) -> Content {
    let mail = MessageParser::default().parse(raw).unwrap();
    let part = |subtype: &str| {
        let mut parts = mail.parts.iter().filter(|part| {
            let content_type = part.content_type();
            content_type.is_some_and(|found| found.subtype() == Some(subtype))
        });
        let found = parts.next().unwrap();
        assert!(parts.next().is_none(), "two parts of text/{subtype}");
        found
    };
    let text = |part: &MessagePart<'_>| {
        let text = part.text_contents().unwrap();
        let (lines, ends) = (text.matches('\n').count(), text.matches("\r\n").count());
        assert_eq!(lines, ends, "line ends of text are CRLF");
        text.to_owned()
    };
    let with_plain_ends = |subtype| text(part(subtype)).replace("\r\n", "\n");
    let headers: BTreeMap<_, _> = (mail.headers_raw())
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let addresses = mail.reply_to().and_then(Address::as_list);
    let address = |address: &Addr<'_>| address.address.as_deref().unwrap().to_owned();
    let calendar = part("calendar");
    let content_type = calendar.content_type().unwrap();
    Content {
        from: headers["From"].replace("\r\n ", " "),
        subject: mail.subject().unwrap().to_owned(),
        text: with_plain_ends("plain"),
        html: with_plain_ends("html"),
        reply_to: addresses.into_iter().flatten().map(address).collect(),
        headers,
        calendar: Some(Calendar {
            method: content_type.attribute("method").unwrap().to_owned(),
            text: text(calendar),
            mail: raw.to_vec(),
        }),
    }
}

/// How to answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200.
    Sent,
    /// An error of the API.
    Error(u16, &'static str, &'static str),
    /// No answer.
    Silence,
    /// 200, after this time.
    Slow(Duration),
    /// Another answer, when the test releases it.
    Held(tokio::sync::watch::Receiver<bool>, Box<Answer>),
    /// 200 with a body that SES would not send.
    Rubbish(&'static str),
    /// The connection breaks in the middle of a 200.
    Reset,
}

type Rule = Box<dyn Fn(&Mail) -> Answer + Send>;

struct Shared {
    mails: Mutex<Vec<Mail>>,
    /// The first few requests, with their headers.
    captured: Mutex<Vec<Value>>,
    times: Mutex<Vec<Instant>>,
    rule: Mutex<Rule>,
    arrived: tokio::sync::Notify,
    rate_requests: AtomicUsize,
    account_refused: AtomicBool,
}

/// The endpoint.
pub struct Ses {
    /// Its URL.
    pub url: String,
    shared: Arc<Shared>,
}

impl Ses {
    /// Starts an endpoint that accepts everything.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared {
            mails: Mutex::default(),
            captured: Mutex::default(),
            times: Mutex::default(),
            rule: Mutex::new(Box::new(|_| Answer::Sent)),
            arrived: tokio::sync::Notify::new(),
            rate_requests: AtomicUsize::new(0),
            account_refused: AtomicBool::new(false),
        });
        let router = Router::new()
            .route("/v2/email/outbound-emails", post(send))
            .route("/v2/email/account", get(account))
            .with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// Sets the rule for later answers.
    pub fn answer(&self, rule: impl Fn(&Mail) -> Answer + Send + 'static) {
        *self.shared.rule.lock().unwrap() = Box::new(rule);
    }

    /// Everything that arrived.
    pub fn mails(&self) -> Vec<Mail> {
        self.shared.mails.lock().unwrap().clone()
    }

    /// The first few requests, with their headers.
    pub fn captured(&self) -> Vec<Value> {
        self.shared.captured.lock().unwrap().clone()
    }

    /// When each message arrived.
    pub fn times(&self) -> Vec<Instant> {
        self.shared.times.lock().unwrap().clone()
    }

    /// How often the send rate was requested.
    pub fn rate_requests(&self) -> usize {
        self.shared.rate_requests.load(Ordering::SeqCst)
    }

    /// From now on refuses `GetAccount`, as without the permission.
    pub fn refuse_account(&self) {
        self.shared.account_refused.store(true, Ordering::SeqCst);
    }

    /// Deletes the stored requests.
    pub fn clear(&self) {
        self.shared.mails.lock().unwrap().clear();
        self.shared.times.lock().unwrap().clear();
    }

    /// Waits until `count` messages have arrived.
    pub async fn wait_for_mails(&self, count: usize) {
        let all_there = async {
            loop {
                let notified = self.shared.arrived.notified();
                if self.shared.mails.lock().unwrap().len() >= count {
                    return;
                }
                notified.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), all_there)
            .await
            .expect("the messages arrive");
    }
}

async fn account(State(shared): State<Arc<Shared>>) -> Response {
    shared.rate_requests.fetch_add(1, Ordering::SeqCst);
    if shared.account_refused.load(Ordering::SeqCst) {
        return (
            StatusCode::FORBIDDEN,
            [("x-amzn-errortype", "AccessDeniedException")],
            "{}",
        )
            .into_response();
    }
    axum::Json(json!({"SendQuota": {"MaxSendRate": 500.0, "Max24HourSend": 50000.0}}))
        .into_response()
}

async fn send(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    assert!(headers.contains_key("authorization"), "requests are signed");
    {
        let mut first = shared.captured.lock().unwrap();
        if first.len() < 8 {
            first.push(captured(
                "ses",
                "/v2/email/outbound-emails",
                &headers,
                &body,
            ));
        }
    }
    let mail = Mail::of(serde_json::from_slice(&body).unwrap());
    let number = {
        let mut mails = shared.mails.lock().unwrap();
        mails.push(mail.clone());
        shared.times.lock().unwrap().push(Instant::now());
        mails.len()
    };
    shared.arrived.notify_waiters();
    let mut answer = (shared.rule.lock().unwrap())(&mail);
    while let Answer::Held(mut released, then) = answer {
        // Also ends when the test has ended.
        let _ = released.wait_for(|released| *released).await;
        answer = *then;
    }
    let sent =
        move || axum::Json(json!({"MessageId": format!("message-{number}")})).into_response();
    let error = |status, code: &'static str, message: &str| {
        let status = StatusCode::from_u16(status).unwrap();
        (
            status,
            [("x-amzn-errortype", code)],
            axum::Json(json!({"message": message})),
        )
            .into_response()
    };
    match answer {
        Answer::Sent => sent(),
        Answer::Slow(time) => {
            tokio::time::sleep(time).await;
            sent()
        }
        Answer::Silence | Answer::Held(..) => std::future::pending().await,
        Answer::Rubbish(body) => ([("content-type", "application/json")], body).into_response(),
        Answer::Reset => {
            let broken = futures_util::stream::iter([
                Ok(Bytes::from_static(b"{")),
                Err(std::io::Error::other("reset")),
            ]);
            axum::body::Body::from_stream(broken).into_response()
        }
        Answer::Error(status, code, message) => error(status, code, message),
    }
}
