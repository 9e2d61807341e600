//! An endpoint with the part of the API of AWS End User Messaging SMS that sends a message. The test
//! chooses its answers. It takes only requests that are signed with the tests' key.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::sync::watch::Receiver;

use crate::app::App;
use crate::judges::captured;

/// A request to send.
#[derive(Clone, Debug)]
pub struct TextMessage(pub Value);

impl TextMessage {
    /// Its recipient's number.
    pub fn to(&self) -> &str {
        self.text("DestinationPhoneNumber")
    }

    /// What it says.
    pub fn body(&self) -> &str {
        self.text("MessageBody")
    }

    /// The event id in its context.
    pub fn event_id(&self) -> &str {
        self.0["Context"]["event_id"].as_str().unwrap()
    }

    fn text(&self, member: &str) -> &str {
        self.0[member].as_str().unwrap()
    }
}

/// How to answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200.
    Sent,
    /// An error of the API: its status, code and reason.
    Error(u16, &'static str, &'static str),
    /// Another answer, when the test releases it.
    Held(Receiver<bool>, Box<Answer>),
    /// The connection breaks in the middle of a 200: nobody knows whether it was sent.
    Reset,
}

impl Answer {
    /// The number's owner has answered STOP.
    pub const OPTED_OUT: Self = Self::Error(
        400,
        "ConflictException",
        "DESTINATION_PHONE_NUMBER_OPTED_OUT",
    );
    /// Slower.
    pub const THROTTLED: Self = Self::Error(400, "ThrottlingException", "");
}

type Rule = Box<dyn Fn(&TextMessage) -> Answer + Send>;

struct Shared {
    requests: Mutex<Vec<TextMessage>>,
    /// The first few, with their headers.
    captured: Mutex<Vec<Value>>,
    accepted: Mutex<Vec<TextMessage>>,
    rule: Mutex<Rule>,
    arrived: Notify,
}

/// The endpoint.
pub struct Sms {
    url: String,
    shared: Arc<Shared>,
}

impl Sms {
    /// Starts an endpoint that accepts everything.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            captured: Mutex::default(),
            accepted: Mutex::default(),
            rule: Mutex::new(Box::new(|_| Answer::Sent)),
            arrived: Notify::new(),
        });
        let router = Router::new()
            .route("/", post(receive))
            .with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// Lets the program send SMS here.
    pub fn set_up(&self, app: &mut App) {
        let url = self.url.clone();
        app.env
            .insert("AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2", url);
        app.env.insert("SMS_FROM", "STUDIO".to_owned());
        app.env.insert("SMS_RATE", "1000".to_owned());
    }

    /// Sets the rule for later answers.
    pub fn answer(&self, rule: impl Fn(&TextMessage) -> Answer + Send + 'static) {
        *self.shared.rule.lock().unwrap() = Box::new(rule);
    }

    /// Everything that arrived, whatever the answer.
    pub fn requests(&self) -> Vec<TextMessage> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The first few requests, with their headers.
    pub fn captured(&self) -> Vec<Value> {
        self.shared.captured.lock().unwrap().clone()
    }

    /// What was accepted, or may have been.
    pub fn accepted(&self) -> Vec<TextMessage> {
        self.shared.accepted.lock().unwrap().clone()
    }

    /// Waits until `count` requests have arrived.
    pub async fn wait_for_requests(&self, count: usize) {
        let all_there = async {
            loop {
                let notified = self.shared.arrived.notified();
                if self.requests().len() >= count {
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

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if header("x-amz-target") != Some("PinpointSMSVoiceV2.SendTextMessage")
        || header("content-type") != Some("application/x-amz-json-1.0")
    {
        return error(400, "UnknownOperationException", "");
    }
    if !is_signed(&headers, &body) {
        return error(403, "InvalidSignatureException", "");
    }
    {
        let mut first = shared.captured.lock().unwrap();
        if first.len() < 8 {
            first.push(captured("sms-voice", "/", &headers, &body));
        }
    }
    let message = TextMessage(serde_json::from_slice(&body).unwrap());
    let number = {
        let mut requests = shared.requests.lock().unwrap();
        requests.push(message.clone());
        requests.len()
    };
    shared.arrived.notify_waiters();
    let mut answer = (shared.rule.lock().unwrap())(&message);
    while let Answer::Held(mut released, then) = answer {
        // Also ends when the test has ended.
        let _ = released.wait_for(|released| *released).await;
        answer = *then;
    }
    if let Answer::Sent | Answer::Reset = answer {
        shared.accepted.lock().unwrap().push(message);
    }
    match answer {
        Answer::Sent => axum::Json(json!({"MessageId": format!("sms-{number}")})).into_response(),
        Answer::Error(status, code, reason) => error(status, code, reason),
        Answer::Reset => {
            let broken = futures_util::stream::iter([
                Ok(Bytes::from_static(b"{")),
                Err(std::io::Error::other("reset")),
            ]);
            axum::body::Body::from_stream(broken).into_response()
        }
        Answer::Held(..) => unreachable!(),
    }
}

/// An error as JSON 1.0 has it.
fn error(status: u16, code: &str, reason: &str) -> Response {
    let mut body =
        json!({"__type": format!("com.amazonaws.pinpointsmsvoicev2#{code}"), "Message": "no"});
    if !reason.is_empty() {
        body["Reason"] = json!(reason);
    }
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Whether a request has the signature (AWS Signature Version 4) of the tests' key.
fn is_signed(headers: &HeaderMap, body: &[u8]) -> bool {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let parts = || {
        let parts = header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let parts: BTreeMap<_, _> = parts
            .split(", ")
            .filter_map(|it| it.split_once('='))
            .collect();
        let names = *parts.get("SignedHeaders")?;
        let scope = parts.get("Credential")?.strip_prefix("test/")?;
        let mut of_scope = scope.split('/');
        let day = of_scope.next()?;
        let (region, service) = ("eu-central-1", "sms-voice");
        if !of_scope.eq([region, service, "aws4_request"]) {
            return None;
        }
        let mut canonical = "POST\n/\n\n".to_owned();
        for name in names.split(';') {
            writeln!(canonical, "{name}:{}", header(name)?.trim()).unwrap();
        }
        write!(canonical, "\n{names}\n{}", hex(&Sha256::digest(body))).unwrap();
        let hash = hex(&Sha256::digest(&canonical));
        let text = format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{hash}",
            header("x-amz-date")?
        );
        let key = [day, region, service, "aws4_request", &text]
            .iter()
            .fold(b"AWS4test".to_vec(), |key, part| keyed(&key, part));
        let covers = |name: &str| names.split(';').any(|one| one == name);
        Some(covers("host") && covers("x-amz-target") && hex(&key) == *parts.get("Signature")?)
    };
    parts().unwrap_or_default()
}
