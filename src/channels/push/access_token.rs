//! Access to FCM: a token for an hour in exchange for a signed assertion (RFC 7523).
//!
//! All sends of a process share one token, and one request for it. While it is renewed, they use
//! the old one. Its age is counted by the database clock, which goes on while a function is frozen.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, USER_AGENT};
use axum::http::{HeaderValue, Request, Response};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use chrono::{DateTime, Utc};
use http_body_util::Full;
use ring::rand::SystemRandom;
use ring::signature::RSA_PKCS1_SHA256;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::channels::Outcome;
use crate::channels::http_client::{HttpClient, PROGRAM};
use crate::channels::push::settings::{PushSettings, ServiceAccount};
use crate::primitives::errors::{error_chain, redact_addresses, shortened};
use crate::reminders::Reason;

/// What a token is for.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// How long an assertion is valid, and a token is used, at most. Google accepts nothing longer.
const LIFETIME: Duration = Duration::from_secs(3600);
/// How far an assertion is dated back, in case our clock is ahead: Google refuses one from the
/// future.
const CLOCK_SKEW: Duration = Duration::from_secs(10);
/// How long before its end a token is renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// How long a token that could not be renewed is used before the next try, at most.
const RENEW_AGAIN: Duration = Duration::from_secs(60);
/// Longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// The access tokens of a service account.
pub(super) struct AccessTokens {
    account: Arc<ServiceAccount>,
    /// Time for a message's access token and its connection together.
    connect: Duration,
    latest: Mutex<Latest>,
    /// Locked during a request for a token that nobody can do without.
    requesting: tokio::sync::Mutex<()>,
}

/// What the latest request returned.
#[derive(Default)]
struct Latest {
    token: Option<AccessToken>,
    failure: Option<Outcome>,
    /// How many requests have ended.
    requests: u64,
}

/// A token, as the header of requests.
#[derive(Clone)]
struct AccessToken {
    authorization: HeaderValue,
    renew_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

/// The answer to an assertion (RFC 6749, 5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// Seconds.
    #[serde(default)]
    expires_in: Option<u64>,
}

impl AccessTokens {
    pub(super) fn new(settings: &PushSettings) -> Self {
        Self {
            account: settings.account.clone(),
            connect: settings.timing.connect,
            latest: Mutex::default(),
            requesting: tokio::sync::Mutex::default(),
        }
    }

    /// The `Authorization` of a request at the time `now`. Callers without a valid token wait for
    /// the one that is requested, and share it or the failure.
    pub(super) async fn authorization(
        &self,
        http: &HttpClient,
        now: DateTime<Utc>,
    ) -> Result<HeaderValue, Outcome> {
        let (known, requests) = {
            let mut latest = self.latest();
            (latest.take_turn(now), latest.requests)
        };
        match known {
            Known::Fresh(authorization) => Ok(authorization),
            // The message has to leave soon.
            Known::Old(old) => {
                let requested = self.request_token(http, now, self.connect / 3).await;
                Ok(self.latest().update(requested).unwrap_or(old))
            }
            Known::Nothing => self.first_authorization(http, now, requests).await,
        }
    }

    /// The same, where no token is valid. `requests` had ended when the caller came.
    async fn first_authorization(
        &self,
        http: &HttpClient,
        now: DateTime<Utc>,
        requests: u64,
    ) -> Result<HeaderValue, Outcome> {
        let _requesting = self.requesting.lock().await;
        {
            let mut latest = self.latest();
            if let Known::Fresh(authorization) | Known::Old(authorization) = latest.take_turn(now) {
                return Ok(authorization);
            }
            let failure = latest.failure.as_ref();
            if let Some(failure) = failure.filter(|_| requests != latest.requests) {
                return Err(failure.clone());
            }
        }
        // So that those who wait, too, learn of it in their time.
        let requested = self.request_token(http, now, self.connect * 2 / 3).await;
        self.latest().update(requested)
    }

    /// Throws away a token that FCM refused, if no other one took its place.
    pub(super) fn discard(&self, refused: &HeaderValue) {
        let is_refused = |token: &mut AccessToken| token.authorization == *refused;
        self.latest().token.take_if(is_refused);
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests a token, within this time from the name look-up to the last byte of the answer. A
    /// failure leaves no doubt: no message was sent.
    async fn request_token(
        &self,
        http: &HttpClient,
        now: DateTime<Utc>,
        time: Duration,
    ) -> Result<AccessToken, Outcome> {
        let request = self.request(now)?;
        let answer = async {
            let connection = http.connect(request.uri()).await;
            let connection = connection.map_err(|error| unreachable(&error_chain(&*error)))?;
            let answer = connection.send(request, LONGEST_ANSWER).await;
            answer.map_err(|error| unreachable(&error_chain(&error)))
        };
        let answer = tokio::time::timeout(time, answer).await;
        let answer = answer.map_err(|_| unreachable("no answer in time"))??;
        match answer.status().is_success() {
            true => granted(answer.body(), now),
            false => Err(refused(&answer)),
        }
    }

    fn request(&self, now: DateTime<Utc>) -> Result<Request<Full<Bytes>>, Outcome> {
        let assertion = self.assertion(now).map_err(account_wide)?;
        let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
        // The characters of an assertion need no escapes.
        let form = format!("grant_type={grant}&assertion={assertion}");
        Request::post(self.account.token_uri.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(USER_AGENT, PROGRAM)
            .body(Full::from(form))
            .map_err(|_| account_wide("the token's URL cannot be called"))
    }

    /// A JSON Web Token, signed by RS256.
    fn assertion(&self, now: DateTime<Utc>) -> Result<String, &'static str> {
        let account = &self.account;
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if let Some(key_id) = &account.key_id {
            header["kid"] = json!(key_id);
        }
        let issued_at = (now - CLOCK_SKEW).timestamp();
        let claims = json!({
            "iss": account.client_email,
            "scope": SCOPE,
            "aud": account.token_uri.to_string(),
            "iat": issued_at,
            "exp": issued_at + LIFETIME.as_secs().cast_signed(),
        });
        let encoded = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
        let part = |json: Value| encoded(json.to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; account.key.public().modulus_len()];
        account
            .key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| "the private key cannot sign")?;
        Ok(format!("{signed}.{}", encoded(&signature)))
    }
}

/// The token that is known.
enum Known {
    Fresh(HeaderValue),
    /// It is valid, and the caller renews it.
    Old(HeaderValue),
    Nothing,
}

impl Latest {
    /// The token at this time. An old one is fresh for the next callers, until a try to renew it is
    /// due again, whatever becomes of this one.
    fn take_turn(&mut self, now: DateTime<Utc>) -> Known {
        match self.token.as_mut().filter(|token| now < token.expires_at) {
            Some(token) if now < token.renew_at => Known::Fresh(token.authorization.clone()),
            Some(token) => {
                token.renew_at = now + RENEW_AGAIN;
                Known::Old(token.authorization.clone())
            }
            None => Known::Nothing,
        }
    }

    /// Keeps what was requested.
    fn update(&mut self, requested: Result<AccessToken, Outcome>) -> Result<HeaderValue, Outcome> {
        self.requests += 1;
        self.failure = requested.as_ref().err().cloned();
        let token = self.token.insert(requested?);
        Ok(token.authorization.clone())
    }
}

/// The token of an answer.
fn granted(body: &[u8], now: DateTime<Utc>) -> Result<AccessToken, Outcome> {
    let granted: Granted =
        serde_json::from_slice(body).map_err(|_| unreachable("the answer has no access token"))?;
    let mut authorization = HeaderValue::try_from(format!("Bearer {}", granted.access_token))
        .map_err(|_| unreachable("the access token cannot be sent"))?;
    authorization.set_sensitive(true);
    let lifetime = (granted.expires_in).map_or(LIFETIME, |seconds| {
        Duration::from_secs(seconds).min(LIFETIME)
    });
    Ok(AccessToken {
        authorization,
        // One that is short is not renewed all the time.
        renew_at: now + (lifetime - RENEW_BEFORE.min(lifetime / 2)),
        expires_at: now + lifetime,
    })
}

/// What a refusal means (RFC 6749, 5.2): the credentials are wrong, or the server has trouble.
fn refused(answer: &Response<Bytes>) -> Outcome {
    let status = answer.status();
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let mut error = format!("HTTP {}", status.as_u16());
    for (before, name) in [(" ", "error"), (": ", "error_description")] {
        if let Some(text) = body[name].as_str() {
            error.push_str(before);
            error.push_str(text);
        }
    }
    let error = redact_addresses(&error);
    match status.as_u16() {
        408 | 425 => unreachable(&error),
        429 => Outcome::NotSent {
            reason: Reason::Throttled,
            error: of_token(&error),
        },
        400..500 => account_wide(&error),
        _ => unreachable(&error),
    }
}

/// Another try may succeed.
fn unreachable(error: &str) -> Outcome {
    Outcome::NotSent {
        reason: Reason::Unreachable,
        error: of_token(error),
    }
}

/// No message can be sent with these credentials.
fn account_wide(error: &str) -> Outcome {
    Outcome::AccountWide {
        reason: Reason::Account,
        error: of_token(error),
    }
}

fn of_token(error: &str) -> String {
    shortened(format!("no access token: {error}"))
}
