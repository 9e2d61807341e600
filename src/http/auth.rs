//! Who may call: a caller with a bearer secret, or with a request signed as the Standard Webhooks specification says
//! (<https://www.standardwebhooks.com>).
//!
//! It depends on its arguments alone: no clock, no network, no database. Every comparison with a secret takes the same time
//! whatever is compared, and nothing of a request is interpreted before its signature is verified.

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

/// How far a signature's time may be from ours, either way (Standard Webhooks, "Verifying the timestamp",
/// leaves it to the receiver; its libraries take five minutes).
const TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// Longest `webhook-id`, in bytes.
const LONGEST_ID: usize = 256;

/// The headers that say who a request is from: all values of each, as they came.
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
    /// What it fires a pass as.
    pub trigger: Trigger,
    /// Which of the secrets it has: 32 bits of its digest, in hexadecimal.
    pub credential: String,
}

impl Caller {
    fn new(trigger: Trigger, secret: &[u8]) -> Self {
        Self {
            trigger,
            credential: credential_name(secret),
        }
    }
}

/// Which secret it is, without saying it.
fn credential_name(secret: &[u8]) -> String {
    let digest = Sha256::digest([b"booking-automation caller ", secret].concat());
    digest
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Why a request was refused. For the log: the answer is the same for every reason.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// Neither way was used.
    #[error("no credentials")]
    None,
    /// Not `Bearer` and one of the secrets, once; or no secret is set.
    #[error("wrong bearer secret")]
    Bearer,
    /// Not all three headers, each once.
    #[error("webhook headers are missing or doubled")]
    Incomplete,
    /// By none of the secrets; or none is set.
    #[error("wrong signature")]
    Signature,
    /// Signed, but not a time, or one that is too far from ours.
    #[error("the signature's timestamp is more than five minutes off, or no timestamp")]
    Timestamp,
    /// Signed, but with an id that does not serve as one.
    #[error("the signature's id has a dot, is too long, or is not visible ASCII")]
    Id,
}

/// Who sent the request, if all that it presents is valid. A request with both a secret and a signature
/// counts as signed.
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

/// Which of the tokens a request presents: 32 bits of its digest, in hexadecimal. `None`: none that is valid, or not one
/// alone. A signature says nothing here.
pub(crate) fn authorize_bearer(tokens: &AdminTokens, presented: &Credentials) -> Option<String> {
    match presented.authorization[..] {
        [one] => matching_bearer(&tokens.0, one).map(|token| credential_name(token.as_bytes())),
        _ => None,
    }
}

/// The secret that is presented. Digests are compared, so that not even the secret's length shows; and all of
/// them, whichever fits.
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

/// The secret that one of the space-separated signatures is by. Versions other than `v1` are passed over: there
/// may be newer ones beside it.
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

/// Whether the timestamp, seconds since 1970, is within the tolerance, before or after.
fn is_current(timestamp: &[u8], now: SystemTime) -> bool {
    let digits = timestamp.iter().all(u8::is_ascii_digit);
    let seconds = str::from_utf8(timestamp)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse::<u64>().ok());
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    seconds.is_some_and(|seconds| seconds.abs_diff(now) <= TOLERANCE.as_secs())
}

/// With a dot in it, what is signed could be cut in more than one way.
fn parse_id(id: &[u8]) -> Option<String> {
    let fits = (1..=LONGEST_ID).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_graphic() && *byte != b'.');
    str::from_utf8(id).ok().filter(|_| fits).map(str::to_owned)
}
