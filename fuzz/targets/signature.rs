//! Credentials. The program and two other implementations of Standard Webhooks identify the same caller, or refuse the request for
//! the same reason.

#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use arbitrary::Arbitrary;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, Engine};
use booking_automation::http::auth::{Caller, Credentials, Refusal, authenticate};
use booking_automation::http::settings::CronSecrets;
use booking_automation::tick::trigger::Trigger;
use libfuzzer_sys::fuzz_target;

const BEARER: [&str; 2] = ["bearer-secret-of-today", "bearer-secret-of-yesterday"];
const KEYS: [[u8; 32]; 3] = [
    *b"signing-key-of-today-32-bytes-lo",
    *b"signing-key-of-yesterday-32-byte",
    *b"a key that is nobody's, 32 bytes",
];
/// 2026-03-01, and the tolerance for a signature's time.
const NOW: u64 = 1_772_366_400;

/// A request's headers and body: arbitrary or almost valid.
#[derive(Arbitrary, Debug)]
struct Request<'a> {
    no_bearer: bool,
    no_signing: bool,
    now: Option<u64>,
    authorization: Few<Authorization<'a>>,
    id: Few<&'a [u8]>,
    timestamp: Few<Timestamp<'a>>,
    signatures: Few<Vec<Signature<'a>>>,
    body: &'a [u8],
}

/// Usually one value, so that enough requests are valid.
#[derive(Arbitrary, Debug)]
enum Few<T> {
    One(T),
    None,
    Another(T),
    Two(T, T),
}

impl<T> Few<T> {
    fn as_list(&self) -> Vec<&T> {
        match self {
            Self::One(one) | Self::Another(one) => vec![one],
            Self::None => vec![],
            Self::Two(one, two) => vec![one, two],
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Authorization<'a> {
    Known { scheme: Scheme, old: bool },
    Altered { old: bool, at: u8, to: u8 },
    Raw(&'a [u8]),
}

#[derive(Arbitrary, Debug)]
enum Scheme {
    Bearer,
    Lower,
    Mixed,
    Basic,
    Twice,
}

impl Authorization<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Known { scheme, old } => {
                let scheme = match scheme {
                    Scheme::Bearer => "Bearer ",
                    Scheme::Lower => "bearer ",
                    Scheme::Mixed => "bEaReR ",
                    Scheme::Basic => "Basic ",
                    Scheme::Twice => "Bearer  ",
                };
                [scheme, BEARER[usize::from(*old)]].concat().into_bytes()
            }
            Self::Altered { old, at, to } => {
                let mut bytes = ["Bearer ", BEARER[usize::from(*old)]].concat().into_bytes();
                let at = usize::from(*at) % bytes.len();
                bytes[at] = *to;
                bytes
            }
            Self::Raw(bytes) => bytes.to_vec(),
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Timestamp<'a> {
    Off { seconds: i16, zeros: u8 },
    Signed(i64),
    Raw(&'a [u8]),
}

impl Timestamp<'_> {
    fn bytes(&self, now: u64) -> Vec<u8> {
        match self {
            Self::Off { seconds, zeros } => format!(
                "{}{}",
                "0".repeat(usize::from(zeros % 32)),
                now.saturating_add_signed((*seconds).into())
            )
            .into_bytes(),
            Self::Signed(seconds) => format!("{seconds:+}").into_bytes(),
            Self::Raw(bytes) => bytes.to_vec(),
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Signature<'a> {
    By { key: u8, form: Form },
    Altered { key: u8, at: u8, to: u8 },
    Raw(&'a [u8]),
}

#[derive(Arbitrary, Debug)]
enum Form {
    Right,
    Version2,
    Unversioned,
    NoPadding,
    UrlSafe,
    Short(u8),
    OtherId,
}

impl Signature<'_> {
    fn bytes(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> Vec<u8> {
        match self {
            Self::By { key, form } => {
                let sign = |id, timestamp, body| {
                    signature(&KEYS[usize::from(*key) % KEYS.len()], id, timestamp, body)
                };
                let signed = sign(id, timestamp, body);
                let text = match form {
                    Form::Right => ["v1,", &BASE64_STANDARD.encode(signed)].concat(),
                    Form::Version2 => ["v2,", &BASE64_STANDARD.encode(signed)].concat(),
                    Form::Unversioned => BASE64_STANDARD.encode(signed),
                    Form::NoPadding => ["v1,", &BASE64_STANDARD_NO_PAD.encode(signed)].concat(),
                    Form::UrlSafe => ["v1,", &BASE64_URL_SAFE.encode(signed)].concat(),
                    Form::Short(length) => [
                        "v1,",
                        &BASE64_STANDARD.encode(&signed[..usize::from(length % 32)]),
                    ]
                    .concat(),
                    Form::OtherId => [
                        "v1,",
                        &BASE64_STANDARD.encode(sign(b"other", timestamp, body)),
                    ]
                    .concat(),
                };
                text.into_bytes()
            }
            Self::Altered { key, at, to } => {
                let right = Self::By {
                    key: *key,
                    form: Form::Right,
                };
                let mut bytes = right.bytes(id, timestamp, body);
                let at = usize::from(*at) % bytes.len();
                bytes[at] = *to;
                bytes
            }
            Self::Raw(bytes) => bytes.to_vec(),
        }
    }
}

fn signature(key: &[u8], id: &[u8], timestamp: &[u8], body: &[u8]) -> [u8; 32] {
    hmac_sha256::HMAC::mac([id, b".", timestamp, b".", body].concat(), key)
}

/// With and without bearer secrets, with and without keys.
static SECRETS: LazyLock<[[CronSecrets; 2]; 2]> = LazyLock::new(|| {
    let secrets = |bearer: bool, signing: bool| {
        CronSecrets::from_environment(&|name| match name {
            "CRON_SECRET" if bearer => Some(BEARER.join(",")),
            "CRON_SIGNING_SECRET" if signing => Some(secret(0) + ", " + &secret(1)),
            _ => None,
        })
        .expect("the secrets are well-formed")
    };
    [
        [secrets(true, true), secrets(true, false)],
        [secrets(false, true), secrets(false, false)],
    ]
});

fn secret(key: usize) -> String {
    ["whsec_", &BASE64_STANDARD.encode(KEYS[key])].concat()
}

fuzz_target!(|request: Request| {
    let secrets = &SECRETS[usize::from(request.no_bearer)][usize::from(request.no_signing)];
    // The clock may have any value; usually it is almost right.
    let now = request
        .now
        .filter(|now| now % 4 == 0)
        .map_or(NOW, |now| now >> 2);
    let authorization: Vec<Vec<u8>> = request
        .authorization
        .as_list()
        .into_iter()
        .map(Authorization::bytes)
        .collect();
    let ids: Vec<Vec<u8>> = request
        .id
        .as_list()
        .into_iter()
        .map(|id| id.to_vec())
        .collect();
    let timestamps: Vec<Vec<u8>> = request
        .timestamp
        .as_list()
        .into_iter()
        .map(|at| at.bytes(now))
        .collect();
    let (id, timestamp) = (
        ids.first().cloned().unwrap_or_default(),
        timestamps.first().cloned().unwrap_or_default(),
    );
    let signatures: Vec<Vec<u8>> = request
        .signatures
        .as_list()
        .into_iter()
        .map(|list| {
            list.iter()
                .map(|one| one.bytes(&id, &timestamp, request.body))
                .collect::<Vec<_>>()
                .join(&b' ')
        })
        .collect();

    let presented = Credentials {
        authorization: authorization.iter().map(Vec::as_slice).collect(),
        webhook_id: ids.iter().map(Vec::as_slice).collect(),
        webhook_timestamp: timestamps.iter().map(Vec::as_slice).collect(),
        webhook_signature: signatures.iter().map(Vec::as_slice).collect(),
    };
    let judged = authenticate(
        secrets,
        &presented,
        request.body,
        UNIX_EPOCH + Duration::from_secs(now),
    );
    assert_eq!(judged, expected(&request, &presented, now));
    if let Ok(Caller {
        trigger: Trigger::Signature { webhook_id },
        ..
    }) = judged
    {
        agrees(&webhook_id, &timestamps[0], &signatures[0], request.body);
    }
});

/// The expected result by the specification, calculated with other libraries.
fn expected(request: &Request, presented: &Credentials, now: u64) -> Result<Caller, Refusal> {
    let bearer = match &presented.authorization[..] {
        [] => None,
        [one] if !request.no_bearer => {
            let (scheme, token) = one.split_at_checked(7).ok_or(Refusal::Bearer)?;
            let known = BEARER.iter().position(|secret| secret.as_bytes() == token);
            let secret = known
                .filter(|_| scheme.to_ascii_lowercase() == b"bearer ")
                .ok_or(Refusal::Bearer)?;
            Some(caller(Trigger::Bearer, BEARER[secret].as_bytes()))
        }
        _ => return Err(Refusal::Bearer),
    };
    let (ids, timestamps, signatures) = (
        &presented.webhook_id,
        &presented.webhook_timestamp,
        &presented.webhook_signature,
    );
    match (ids.len(), timestamps.len(), signatures.len()) {
        (0, 0, 0) => return bearer.ok_or(Refusal::None),
        (1, 1, 1) => {}
        _ => return Err(Refusal::Incomplete),
    }
    // The specification's libraries compare the texts without decoding them.
    let texts = |key: &[u8; 32]| {
        [
            "v1,",
            &BASE64_STANDARD.encode(signature(key, ids[0], timestamps[0], request.body)),
        ]
        .concat()
        .into_bytes()
    };
    let by = |key: &&[u8; 32]| {
        signatures[0]
            .split(|byte| *byte == b' ')
            .any(|one| one == texts(key))
    };
    // If two match, the result names the later one.
    let key = KEYS[..2]
        .iter()
        .filter(|_| !request.no_signing)
        .rfind(by)
        .ok_or(Refusal::Signature)?;
    let seconds = timestamps[0].iter().try_fold(0_u128, |seconds, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        Some((seconds * 10 + u128::from(digit)).min(u128::from(u64::MAX) + 1))
    });
    let near = |seconds: &u128| seconds.abs_diff(now.into()) <= 300 && *seconds <= u64::MAX.into();
    seconds
        .filter(|_| !timestamps[0].is_empty())
        .filter(near)
        .ok_or(Refusal::Timestamp)?;
    let id = String::from_utf8(ids[0].to_vec()).map_err(|_| Refusal::Id)?;
    let fits = (1..=256).contains(&id.len())
        && id
            .chars()
            .all(|one| ('!'..='~').contains(&one) && one != '.');
    if !fits {
        return Err(Refusal::Id);
    }
    Ok(caller(Trigger::Signature { webhook_id: id }, key))
}

fn caller(trigger: Trigger, secret: &[u8]) -> Caller {
    let mut hash = hmac_sha256::Hash::new();
    hash.update(b"booking-automation caller ");
    hash.update(secret);
    let credential = hash.finalize()[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Caller {
        trigger,
        credential,
    }
}

/// Signs with the specification's own library and one of the two keys. It accepts only texts and formats the time itself.
fn agrees(id: &str, timestamp: &[u8], signatures: &[u8], body: &[u8]) {
    static JUDGES: LazyLock<[standardwebhooks::Webhook; 2]> = LazyLock::new(|| {
        [0, 1].map(|key| standardwebhooks::Webhook::new(&secret(key)).expect("a secret"))
    });
    let seconds = str::from_utf8(timestamp)
        .ok()
        .and_then(|text| text.parse::<i64>().ok());
    let Some(seconds) = seconds.filter(|seconds| seconds.to_string().as_bytes() == timestamp)
    else {
        return;
    };
    if str::from_utf8(body).is_err() {
        return;
    }
    let signed = JUDGES.iter().any(|judge| {
        let signature = judge.sign(id, seconds, body).expect("a signature");
        signatures
            .split(|byte| *byte == b' ')
            .any(|one| one == signature.as_bytes())
    });
    assert!(signed, "accepted, and not signed");
}
