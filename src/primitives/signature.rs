//! Standard Webhooks signatures (<https://www.standardwebhooks.com>): the secret, and what is
//! signed; and tags of our own messages.

use base64::prelude::{BASE64_STANDARD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

/// `whsec_` and base64 of 24 to 64 bytes (Standard Webhooks, "Signature scheme").
pub(crate) fn signing_secret(text: &str) -> Result<SecretSlice<u8>, &'static str> {
    text.strip_prefix("whsec_")
        .and_then(|encoded| BASE64_STANDARD.decode(encoded).ok())
        .filter(|key| (24..=64).contains(&key.len()))
        .map(Into::into)
        .ok_or(
            "is not valid: it takes Standard Webhooks secrets, whsec_ and base64 of 24 to 64 \
             bytes, comma-separated (echo \"whsec_$(openssl rand -base64 32)\" makes one)",
        )
}

/// The signature of our own webhooks.
pub(crate) fn sign(secret: &SecretSlice<u8>, id: &str, timestamp: &str, body: &[u8]) -> String {
    let mac = mac(
        secret.expose_secret(),
        id.as_bytes(),
        timestamp.as_bytes(),
        body,
    );
    format!("v1,{}", BASE64_STANDARD.encode(mac))
}

/// The HMAC-SHA256 of a message of ours. `domain` says what kind of message it is.
pub(crate) fn tag_of(secret: &SecretSlice<u8>, domain: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = keyed(secret.expose_secret());
    mac.update(domain);
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Whether `tag` is the beginning of a message's HMAC. It takes as long whether it is or not.
pub(crate) fn is_tag_of(
    secret: &SecretSlice<u8>,
    domain: &[u8],
    message: &[u8],
    tag: &[u8],
) -> bool {
    let mut mac = keyed(secret.expose_secret());
    mac.update(domain);
    mac.update(message);
    mac.verify_truncated_left(tag).is_ok()
}

/// The HMAC of a message (Standard Webhooks, "Signature scheme").
pub(crate) fn mac(secret: &[u8], id: &[u8], timestamp: &[u8], body: &[u8]) -> [u8; 32] {
    let mut mac = keyed(secret);
    for part in [id, b".", timestamp, b".", body] {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn keyed(secret: &[u8]) -> Hmac<Sha256> {
    #[expect(
        clippy::expect_used,
        reason = "HMAC takes keys of every length (RFC 2104)"
    )]
    Hmac::new_from_slice(secret).expect("a key")
}
