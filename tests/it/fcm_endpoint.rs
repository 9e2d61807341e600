//! An endpoint with the part of Google's APIs that push messages need: it gives access tokens for
//! assertions that are signed with the tests' key, and takes messages with these tokens. The test
//! chooses its answers for each device.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::app::App;

/// The service account's key. It was made for tests, and opens nothing.
pub const KEY: &str = include_str!("../../src/channels/push/tests/key.pem");
pub const ACCOUNT: &str = "sender@studio-nord.iam.gserviceaccount.example";
pub const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";

/// A message to a device.
#[derive(Clone, Debug)]
pub struct PushMessage(pub Value);

impl PushMessage {
    /// The device.
    pub fn token(&self) -> &str {
        self.0["token"].as_str().unwrap()
    }

    /// What it says.
    pub fn body(&self) -> &str {
        self.0["notification"]["body"].as_str().unwrap()
    }

    /// The event id in its data.
    pub fn event_id(&self) -> &str {
        self.0["data"]["event_id"].as_str().unwrap()
    }
}

/// How to answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200.
    Sent,
    /// An error: its status, its name, and FCM's own code, if it has one.
    Error(u16, &'static str, &'static str),
    /// 429, with the seconds to wait.
    Later(u64),
    /// None.
    Silence,
}

impl Answer {
    /// The app is gone from the device.
    pub const UNREGISTERED: Self = Self::Error(404, "NOT_FOUND", "UNREGISTERED");
    /// The device is another project's.
    pub const OTHER_SENDER: Self = Self::Error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH");
    /// The project cannot send.
    pub const NO_ACCOUNT: Self = Self::Error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR");
    /// Slower.
    pub const THROTTLED: Self = Self::Error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED");
    /// Nobody knows whether it was sent.
    pub const UNKNOWN: Self = Self::Error(500, "INTERNAL", "INTERNAL");
}

type Rule = Box<dyn Fn(&PushMessage) -> Answer + Send>;

struct Shared {
    requests: Mutex<Vec<PushMessage>>,
    accepted: Mutex<Vec<PushMessage>>,
    rule: Mutex<Rule>,
    token_uri: String,
    /// The assertions that were accepted.
    assertions: Mutex<Vec<String>>,
    /// How many access tokens were given.
    given: Mutex<usize>,
    /// Whether requests for access tokens have no answer.
    is_token_server_silent: AtomicBool,
}

/// The endpoint.
pub struct Fcm {
    url: String,
    shared: Arc<Shared>,
}

impl Fcm {
    /// Starts an endpoint that accepts everything.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            accepted: Mutex::default(),
            rule: Mutex::new(Box::new(|_| Answer::Sent)),
            token_uri: format!("{url}/token"),
            assertions: Mutex::default(),
            given: Mutex::default(),
            is_token_server_silent: AtomicBool::default(),
        });
        let router = Router::new()
            .route("/token", post(give_token))
            .route("/v1/projects/studio-nord/messages:send", post(receive))
            .with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// Lets the program send push messages here.
    pub fn set_up(&self, app: &mut App) {
        let credentials = credentials(&self.shared.token_uri);
        app.env.insert("FCM_CREDENTIALS", credentials);
        app.env.insert("FCM_ENDPOINT", self.url.clone());
    }

    /// Sets the rule for later answers.
    pub fn answer(&self, rule: impl Fn(&PushMessage) -> Answer + Send + 'static) {
        *self.shared.rule.lock().unwrap() = Box::new(rule);
    }

    /// From now on, requests for access tokens have no answer.
    pub fn silence_tokens(&self) {
        let is_silent = &self.shared.is_token_server_silent;
        is_silent.store(true, Ordering::Relaxed);
    }

    /// Everything that arrived, whatever the answer.
    pub fn requests(&self) -> Vec<PushMessage> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// What was accepted.
    pub fn accepted(&self) -> Vec<PushMessage> {
        self.shared.accepted.lock().unwrap().clone()
    }

    /// Where access tokens are given.
    pub fn token_uri(&self) -> &str {
        &self.shared.token_uri
    }

    /// The assertions for which access tokens were given.
    pub fn assertions(&self) -> Vec<String> {
        self.shared.assertions.lock().unwrap().clone()
    }

    /// How many access tokens were given.
    pub fn tokens_given(&self) -> usize {
        *self.shared.given.lock().unwrap()
    }
}

/// `FCM_CREDENTIALS` of the tests' account, which gets its access tokens there.
pub fn credentials(token_uri: &str) -> String {
    let credentials = json!({
        "type": "service_account",
        "project_id": "studio-nord",
        "private_key_id": "key-1",
        "private_key": KEY,
        "client_email": ACCOUNT,
        "token_uri": token_uri,
    });
    credentials.to_string()
}

/// The token endpoint of Google (RFC 7523).
async fn give_token(State(shared): State<Arc<Shared>>, body: String) -> Response {
    const GRANT: &str =
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    if shared.is_token_server_silent.load(Ordering::Relaxed) {
        return std::future::pending().await;
    }
    let is_valid = |assertion: &&str| is_valid(assertion, &shared.token_uri);
    let Some(assertion) = body.strip_prefix(GRANT).filter(is_valid) else {
        let refused = json!({"error": "invalid_grant", "error_description": "Invalid JWT."});
        return (StatusCode::BAD_REQUEST, axum::Json(refused)).into_response();
    };
    let mut assertions = shared.assertions.lock().unwrap();
    assertions.push(assertion.to_owned());
    let mut given = shared.given.lock().unwrap();
    *given += 1;
    let token = format!("access-{given}");
    axum::Json(json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"}))
        .into_response()
}

/// Whether an assertion is signed with the account's key and says what Google asks for. The clock of
/// the tests is not checked.
fn is_valid(assertion: &str, token_uri: &str) -> bool {
    let json = |part: &str| -> Option<Value> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let claims_if_signed = || {
        let (signed, signature) = assertion.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
        let key = KeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public());
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        public.verify(signed.as_bytes(), &signature).ok()?;
        let is_known = json(header)? == json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"});
        is_known.then(|| json(claims)).flatten()
    };
    claims_if_signed().is_some_and(|claims| {
        let time = |name: &str| claims[name].as_i64().unwrap_or_default();
        let lifetime = time("exp") - time("iat");
        claims["iss"] == ACCOUNT
            && claims["scope"] == SCOPE
            && claims["aud"] == token_uri
            && (1..=3600).contains(&lifetime)
    })
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let is_given = |count: usize| {
        let expected = format!("Bearer access-{count}");
        headers["authorization"] == expected.as_str()
    };
    let given = *shared.given.lock().unwrap();
    if !(headers.contains_key("authorization") && (1..=given).any(is_given)) {
        return error(401, "UNAUTHENTICATED", "");
    }
    let mut request: Value = serde_json::from_slice(&body).unwrap();
    let message = PushMessage(request["message"].take());
    if body.len() > 4096 || !message.0["token"].is_string() {
        return error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT");
    }
    let number = {
        let mut requests = shared.requests.lock().unwrap();
        requests.push(message.clone());
        requests.len()
    };
    let answer = (shared.rule.lock().unwrap())(&message);
    match answer {
        Answer::Sent => {
            shared.accepted.lock().unwrap().push(message);
            let name = format!("projects/studio-nord/messages/{number}");
            axum::Json(json!({"name": name})).into_response()
        }
        Answer::Error(status, name, code) => error(status, name, code),
        Answer::Silence => std::future::pending().await,
        Answer::Later(seconds) => {
            let mut later = error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED");
            later.headers_mut().insert("retry-after", seconds.into());
            later
        }
    }
}

/// An error of Google; with a code of FCM's own, one of FCM.
fn error(status: u16, name: &str, code: &str) -> Response {
    let details = match code {
        "" => json!([]),
        code => json!([{
            "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
            "errorCode": code,
        }]),
    };
    let error = json!({"code": status, "message": "no", "status": name, "details": details});
    let status = StatusCode::from_u16(status).unwrap();
    (status, axum::Json(json!({"error": error}))).into_response()
}
