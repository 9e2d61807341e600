//! Authenticates callers: by a bearer secret, or by a signature of the Standard Webhooks
//! specification (<https://www.standardwebhooks.com>).
//!
//! It depends on its arguments only: no clock, no network, no database. Every comparison with a
//! secret takes constant time, and no part of a request is interpreted before its signature is
//! verified.

use std::str;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

use crate::http::settings::{AdminTokens, CronSecrets};
use crate::primitives::signature::mac;
use crate::tick::trigger::Trigger;

/// How far a signature's timestamp may differ from our clock, either way (Standard Webhooks,
/// "Verifying the timestamp", leaves it to the receiver; its libraries take five minutes).
const TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// Longest `webhook-id`, in bytes.
const LONGEST_ID: usize = 256;

/// The headers that authenticate a request: all values of each, unchanged.
#[derive(Clone, Debug, Default)]
pub struct Credentials<'a> {
    /// `Authorization`
    pub authorization: Vec<&'a [u8]>,
    /// `webhook-id`
    pub webhook_id: Vec<&'a [u8]>,
    /// `webhook-timestamp`
    pub webhook_timestamp: Vec<&'a [u8]>,
    /// `webhook-signature`
    pub webhook_signature: Vec<&'a [u8]>,
}

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The trigger to record for its passes.
    pub trigger: Trigger,
    /// Identifies the secret that it used: 32 bits of its digest, in hexadecimal.
    pub credential: String,
}

impl Caller {
    fn new(trigger: Trigger, secret: &[u8]) -> Self {
        Self {
            trigger,
            credential: credential_name(b"booking-automation caller ", secret),
        }
    }
}

/// Identifies a secret without revealing it. Each purpose has names of its own, so that callers of
/// `/run` and of the support API never share a rate limit.
fn credential_name(purpose: &[u8], secret: &[u8]) -> String {
    let digest = Sha256::digest([purpose, secret].concat());
    digest
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Why a request was refused. Only the log shows the reason; the answer is always the same.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// Neither a bearer secret nor a signature.
    #[error("no credentials")]
    None,
    /// `Authorization` is not `Bearer` with one of the secrets, or is repeated; or no secret is
    /// set.
    #[error("wrong bearer secret")]
    Bearer,
    /// Not exactly one of each of the three headers.
    #[error("webhook headers are missing or repeated")]
    Incomplete,
    /// None of the secrets made it; or none is set.
    #[error("wrong signature")]
    Signature,
    /// Signed, but the timestamp is malformed or too far from our clock.
    #[error("the signature's timestamp is malformed or more than five minutes off")]
    Timestamp,
    /// Signed, but the id is malformed.
    #[error("the signature's id has a dot, is too long, or is not visible ASCII")]
    Id,
}

/// Identifies the caller. All credentials that the request presents must be valid. A request with
/// both a secret and a signature counts as signed.
///
/// # Errors
/// When one of the credentials is not valid, or there are none.
pub fn authenticate(
    secrets: &CronSecrets,
    presented: &Credentials,
    body: &[u8],
    now: SystemTime,
) -> Result<Caller, Refusal> {
    let Credentials {
        authorization,
        webhook_id,
        webhook_timestamp,
        webhook_signature,
    } = presented;
    let bearer = match authorization[..] {
        [] => None,
        [one] => Some(Caller::new(
            Trigger::Bearer,
            matching_bearer(&secrets.bearer, one)
                .ok_or(Refusal::Bearer)?
                .as_bytes(),
        )),
        _ => return Err(Refusal::Bearer),
    };
    let signed = match (
        &webhook_id[..],
        &webhook_timestamp[..],
        &webhook_signature[..],
    ) {
        ([], [], []) => None,
        ([id], [timestamp], [signatures]) => {
            let secret = matching_signer(secrets, id, timestamp, signatures, body)
                .ok_or(Refusal::Signature)?;
            if !is_current(timestamp, now) {
                return Err(Refusal::Timestamp);
            }
            let webhook_id = parse_id(id).ok_or(Refusal::Id)?;
            Some(Caller::new(Trigger::Signature { webhook_id }, secret))
        }
        _ => return Err(Refusal::Incomplete),
    };
    signed.or(bearer).ok_or(Refusal::None)
}

/// Identifies the token that a request presents: 32 bits of its digest, in hexadecimal. `None`: no
/// valid token, or more than one `Authorization`. Signatures are ignored here.
pub(crate) fn authorize_bearer(tokens: &AdminTokens, presented: &Credentials) -> Option<String> {
    let [one] = presented.authorization[..] else {
        return None;
    };
    let token = matching_bearer(&tokens.0, one)?;
    Some(credential_name(
        b"booking-automation admin ",
        token.as_bytes(),
    ))
}

/// The secret that the request presents. It compares digests, so that timing does not reveal a
/// secret's length, and always compares with all secrets.
fn matching_bearer<'a>(secrets: &'a [SecretString], authorization: &[u8]) -> Option<&'a str> {
    let (scheme, token) = authorization.split_at_checked("Bearer ".len())?;
    // The scheme is case-insensitive (RFC 9110, 11.1).
    if !scheme.eq_ignore_ascii_case(b"Bearer ") {
        return None;
    }
    let token = Sha256::digest(token);
    let mut fitting = None;
    for secret in secrets.iter().map(ExposeSecret::expose_secret) {
        if Sha256::digest(secret).ct_eq(&token).into() {
            fitting = Some(secret);
        }
    }
    fitting
}

/// The secret that made one of the space-separated signatures. Versions other than `v1` are
/// ignored: a sender may add newer ones.
fn matching_signer<'a>(
    secrets: &'a CronSecrets,
    id: &[u8],
    timestamp: &[u8],
    signatures: &[u8],
    body: &[u8],
) -> Option<&'a [u8]> {
    let presented: Vec<Vec<u8>> = signatures
        .split(|byte| *byte == b' ')
        .filter_map(|signature| BASE64_STANDARD.decode(signature.strip_prefix(b"v1,")?).ok())
        .collect();
    let mut fitting = None;
    for secret in secrets.signing.iter().map(ExposeSecret::expose_secret) {
        let expected = mac(secret, id, timestamp, body);
        let fits = presented.iter().fold(Choice::from(0), |any, signature| {
            any | expected.ct_eq(signature)
        });
        if fits.into() {
            fitting = Some(secret);
        }
    }
    fitting
}

/// Whether the timestamp (seconds since 1970) is within the tolerance.
fn is_current(timestamp: &[u8], now: SystemTime) -> bool {
    let digits = timestamp.iter().all(u8::is_ascii_digit);
    let seconds = str::from_utf8(timestamp)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse::<u64>().ok());
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    seconds.is_some_and(|seconds| seconds.abs_diff(now) <= TOLERANCE.as_secs())
}

/// An id with a dot would make the signed text ambiguous, since dots separate its parts.
fn parse_id(id: &[u8]) -> Option<String> {
    let fits = (1..=LONGEST_ID).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_graphic() && *byte != b'.');
    str::from_utf8(id).ok().filter(|_| fits).map(str::to_owned)
}
