//! The settings, read once at start from the environment.
//!
//! Each is parsed into a type that cannot hold a wrong value; what is malformed stops the program with
//! one line that names the variable and what it accepts. Values are never repeated in an error: any of
//! them may be, or hold, a secret.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use email_address::{EmailAddress, Options};
use secrecy::{SecretSlice, SecretString};
use thiserror::Error;
use url::Url;

use crate::channels::timing::Times;
use crate::database::tls::{self, Roots};

/// SES accepts addresses up to 320 characters: 64 before the `@`, 255 after it (RFC 5321, 4.5.3.1).
const ADDRESS_OPTIONS: Options =
    Options { minimum_sub_domains: 2, allow_domain_literal: false, allow_display_text: false };

/// A setting that is missing or malformed. Its message names the variable and what it accepts, and
/// never the value.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{variable} {problem}")]
pub struct SettingError {
    variable: &'static str,
    problem: String,
}

impl SettingError {
    /// An error that reads "`variable` `problem`".
    pub fn new(variable: &'static str, problem: impl Into<String>) -> Self {
        Self { variable, problem: problem.into() }
    }
}

/// Where a variable's value comes from: the process environment, or a test's own.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process environment. An empty variable counts as absent: a deployment template cannot unset one.
pub fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

pub(crate) fn read(lookup: Lookup, name: &str) -> Option<String> {
    lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn read_or<T>(
    lookup: Lookup,
    name: &'static str,
    default: T,
    parse: impl Fn(&str) -> Option<T>,
    accepts: &str,
) -> Result<T, SettingError> {
    match read(lookup, name) {
        None => Ok(default),
        Some(text) => parse(&text).ok_or_else(|| SettingError::new(name, format!("is not valid: it takes {accepts}"))),
    }
}

/// How to reach the database.
#[derive(Clone)]
pub struct DatabaseSettings {
    pub(crate) config: tokio_postgres::Config,
    pub(crate) roots: Roots,
}

impl fmt::Debug for DatabaseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseSettings").finish_non_exhaustive()
    }
}

impl DatabaseSettings {
    /// Reads `DATABASE_URL` and `DATABASE_CA_CERT`.
    ///
    /// # Errors
    /// Names the variable that is missing or malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        const NAME: &str = "DATABASE_URL";
        let text = read(lookup, NAME).ok_or_else(|| {
            SettingError::new(
                NAME,
                "is not set: it takes a PostgreSQL URL, postgres://user:password@host:5432/database",
            )
        })?;
        // libpq's stricter modes are what we do anyway: TLS is never used without verifying.
        let text =
            text.replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require");
        let mut config = tokio_postgres::Config::from_str(&text).map_err(|_| {
            SettingError::new(
                NAME,
                "is not valid: it takes a PostgreSQL URL (postgres://user:password@host:5432/database?sslmode=require) or \
                 key-value string (host=… user=… dbname=…), with the options that tokio-postgres documents; \
                 certificates go into DATABASE_CA_CERT",
            )
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(SettingError::new(NAME, "names no host"));
        }
        if config.get_user().is_none() {
            return Err(SettingError::new(NAME, "names no user"));
        }
        tls::require_unless_local(&mut config);
        config.application_name(config.get_application_name().unwrap_or("booking-automation").to_owned());
        config.connect_timeout(config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT));
        config.tcp_user_timeout(config.get_tcp_user_timeout().copied().unwrap_or(TCP_USER_TIMEOUT));
        let roots = Roots::with_extra(read(lookup, "DATABASE_CA_CERT"))
            .map_err(|problem| SettingError::new("DATABASE_CA_CERT", problem))?;
        Ok(Self { config, roots })
    }

    /// Whether every host is this machine.
    pub(crate) fn is_of_this_machine(&self) -> bool {
        tls::is_of_this_machine(&self.config)
    }
}

/// How long one host may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long sent bytes may stay unacknowledged before the connection counts as dead.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);

/// What the pass decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassSettings {
    /// Wait after a booking's end before it is completed.
    pub complete_after: Duration,
    /// Wait after a booking's end before an unfinished one is overdue.
    pub expire_after: Duration,
    /// Whether `pending` bookings expire when their start has passed.
    pub expire_pending: bool,
    /// How long events are kept, after they happened and after the start that they speak of.
    pub retention: Duration,
}

/// How long events are kept when nobody says it: a year, and a month to look back at it.
const RETENTION: Duration = Duration::from_secs(400 * 24 * 3600);
/// Shortest such time: a verdict keeps its reminder from being sent again, and complaints come weeks later.
const SHORTEST_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

impl PassSettings {
    /// Reads `COMPLETE_AFTER`, `EXPIRE_AFTER`, `EXPIRE_PENDING` and `RETENTION`.
    ///
    /// # Errors
    /// Names the variable that is malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        const DURATION: &str = "a duration such as 90s, 15m, 24h or 7d, up to 365d";
        let complete_after = read_or(lookup, "COMPLETE_AFTER", Duration::ZERO, parse_duration, DURATION)?;
        let expire_after = read_or(lookup, "EXPIRE_AFTER", Duration::from_secs(24 * 3600), parse_duration, DURATION)?;
        if complete_after >= expire_after {
            return Err(SettingError::new("COMPLETE_AFTER", "must be less than EXPIRE_AFTER"));
        }
        let expire_pending =
            read_or(lookup, "EXPIRE_PENDING", false, |text| text.to_ascii_lowercase().parse().ok(), "true or false")?;
        let retention = read_or(
            lookup,
            "RETENTION",
            RETENTION,
            |text| duration_up_to(text, 3650).filter(|kept| *kept >= SHORTEST_RETENTION),
            "a duration from 30d to 3650d, such as 400d",
        )?;
        Ok(Self { complete_after, expire_after, expire_pending, retention })
    }
}

/// Calls a minute with one credential when nobody says how many: a cron service makes one, and repeats.
const CALLS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(10).expect("not zero");

/// Who may fire a pass over HTTP, and how often. Neither secret: nobody.
#[derive(Clone, Debug)]
pub struct CronSecrets {
    pub(crate) bearer: Vec<SecretString>,
    pub(crate) signing: Vec<SecretSlice<u8>>,
    /// Calls that each of them may make in a minute, and how many of these at once.
    pub(crate) calls_per_minute: NonZeroU32,
}

impl CronSecrets {
    /// Reads `CRON_SECRET` and `CRON_SIGNING_SECRET`, several of each, comma-separated, so that they can be
    /// rotated; and `RATE_LIMIT`.
    ///
    /// # Errors
    /// Names the variable that is malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let bearer = read_secrets(lookup, "CRON_SECRET", bearer_secret)?;
        let signing = read_secrets(lookup, "CRON_SIGNING_SECRET", signing_secret)?;
        let calls_per_minute = read_or(
            lookup,
            "RATE_LIMIT",
            CALLS_PER_MINUTE,
            |text| text.parse().ok().filter(|calls: &NonZeroU32| calls.get() <= 6000),
            "calls a minute, a whole number from 1 to 6000",
        )?;
        Ok(Self { bearer, signing, calls_per_minute })
    }

    /// Whether there is none, so that every request is refused.
    pub fn is_empty(&self) -> bool {
        self.bearer.is_empty() && self.signing.is_empty()
    }
}

/// Who may use the routes for support. None: there are no such routes.
#[derive(Clone, Debug)]
pub struct AdminTokens(pub(crate) Vec<SecretString>);

impl AdminTokens {
    /// Reads `ADMIN_TOKEN`: one or several, comma-separated.
    ///
    /// # Errors
    /// Names the variable when it is malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        read_secrets(lookup, "ADMIN_TOKEN", bearer_secret).map(Self)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A comma-separated list of secrets. One that does not fit refuses them all: the others would hide that it
/// does not work.
fn read_secrets<T>(
    lookup: Lookup,
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<Vec<T>, SettingError> {
    let Some(list) = read(lookup, name) else { return Ok(Vec::new()) };
    list.split(',').map(|secret| parse(secret.trim()).map_err(|problem| SettingError::new(name, problem))).collect()
}

/// Shortest bearer secret, in characters.
const SHORTEST_BEARER: usize = 16;

/// A header carries visible ASCII; RFC 6750, 2.1 has no spaces in a bearer token.
fn bearer_secret(text: &str) -> Result<SecretString, &'static str> {
    let fits = text.len() >= SHORTEST_BEARER && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned().into()).ok_or(
        "is not valid: it takes secrets of at least 16 characters, ASCII without spaces, comma-separated \
         (openssl rand -hex 32 makes one)",
    )
}

/// `whsec_` and base64 of 24 to 64 bytes (Standard Webhooks, "Signature scheme").
pub(crate) fn signing_secret(text: &str) -> Result<SecretSlice<u8>, &'static str> {
    text.strip_prefix("whsec_")
        .and_then(|encoded| BASE64_STANDARD.decode(encoded).ok())
        .filter(|key| (24..=64).contains(&key.len()))
        .map(Into::into)
        .ok_or(
            "is not valid: it takes Standard Webhooks secrets, whsec_ and base64 of 24 to 64 bytes, comma-separated \
             (echo \"whsec_$(openssl rand -base64 32)\" makes one)",
        )
}

/// Parses `90s`, `15m`, `24h`, `7d`: a whole number and its unit, at most 365 days.
pub fn parse_duration(text: &str) -> Option<Duration> {
    duration_up_to(text, 365)
}

fn duration_up_to(text: &str, days: u64) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    let number: u64 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    let seconds = number.checked_mul(seconds)?;
    (seconds <= days * 24 * 3600).then(|| Duration::from_secs(seconds))
}

/// What goes into every message, and how fast they go out.
#[derive(Clone, Debug)]
pub struct DeliverySettings {
    /// The sender.
    pub from: Sender,
    /// The SES configuration set, if any.
    pub configuration_set: Option<String>,
    /// Messages per second of all instances together; `None`: ask SES.
    pub send_rate: Option<f64>,
    /// Sends in flight in one instance.
    pub send_concurrency: NonZeroUsize,
    /// Base of the links in messages, without a trailing slash; `None`: no links.
    pub public_url: Option<String>,
    /// How long delivery waits for what.
    pub(crate) times: Times,
}

impl DeliverySettings {
    /// Reads `EMAIL_FROM`, `SES_CONFIGURATION_SET`, `SEND_RATE`, `SEND_CONCURRENCY` and `PUBLIC_URL`; and, in tests,
    /// `TEST_TIME_DIVISOR`.
    ///
    /// # Errors
    /// Names the variable that is missing or malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let from = read(lookup, "EMAIL_FROM").ok_or_else(|| {
            SettingError::new("EMAIL_FROM", "is not set: it takes the sender, Name <address@example.com>")
        })?;
        let from = Sender::parse(&from).ok_or_else(|| {
            SettingError::new("EMAIL_FROM", "is not valid: it takes address@example.com or Name <address@example.com>")
        })?;
        let configuration_set = read(lookup, "SES_CONFIGURATION_SET");
        if configuration_set.as_deref().is_some_and(|name| !is_ses_name(name)) {
            return Err(SettingError::new(
                "SES_CONFIGURATION_SET",
                "is not valid: it takes a configuration set's name, up to 64 letters, digits, - and _",
            ));
        }
        let send_rate = read_or(
            lookup,
            "SEND_RATE",
            None,
            |text| text.parse().ok().filter(|rate: &f64| (0.01..=10_000.0).contains(rate)).map(Some),
            "messages per second, from 0.01 to 10000",
        )?;
        let send_concurrency = read_or(
            lookup,
            "SEND_CONCURRENCY",
            const { NonZeroUsize::new(16).expect("16 is not zero") },
            |text| text.parse().ok().filter(|n: &NonZeroUsize| n.get() <= 256),
            "a whole number from 1 to 256",
        )?;
        let public_url = read_or(
            lookup,
            "PUBLIC_URL",
            None,
            |text| parse_base_url(text).map(Some),
            "an http or https URL without query",
        )?;
        let times = Times::from_environment(lookup)?;
        Ok(Self { from, configuration_set, send_rate, send_concurrency, public_url, times })
    }
}

/// Whom webhooks may call, and how long they are waited for.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// Hosts that may be called wherever they are, and without TLS: as a URL has them, addresses included.
    pub allow_private: Vec<String>,
    /// How long delivery waits for what.
    pub(crate) times: Times,
}

impl WebhookSettings {
    /// Reads `WEBHOOK_ALLOW_PRIVATE`; and, in tests, `TEST_TIME_DIVISOR`.
    ///
    /// # Errors
    /// Names the variable when it is malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let allow_private = read_or(
            lookup,
            "WEBHOOK_ALLOW_PRIVATE",
            Vec::new(),
            |list| {
                list.split(',').map(|host| url::Host::parse(host.trim()).ok().map(|host| host.to_string())).collect()
            },
            "hosts, comma-separated, such as hooks.internal,10.0.3.7,[fd00::7]",
        )?;
        Ok(Self { allow_private, times: Times::from_environment(lookup)? })
    }
}

/// SES names: `[A-Za-z0-9_-]`, at most 64.
fn is_ses_name(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn parse_base_url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
    (plain && url.has_host() && url.username().is_empty() && url.password().is_none())
        .then(|| url.as_str().trim_end_matches('/').to_owned())
}

/// A mail address that can be written to: ASCII, with a domain of at least two labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// Parses one address without a display name; `None` when it is not one. SES takes ASCII only, and RFC 5321 no control
    /// characters, not even between quotes. What is trimmed is what
    /// `booking_automation_address_hash` trims.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        let address = EmailAddress::parse_with_options(text, ADDRESS_OPTIONS).ok()?;
        text.bytes().all(|byte| (b' '..=b'~').contains(&byte)).then(|| Self(address.to_string()))
    }

    /// The address itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who a message is from: an address, with or without a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    name: Option<String>,
    address: Address,
}

impl Sender {
    /// Parses `address` or `Name <address>`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let Some(before) = text.strip_suffix('>') else {
            return Some(Self { name: None, address: Address::parse(text)? });
        };
        let (name, address) = before.rsplit_once('<')?;
        let name = name.trim().trim_matches('"').trim();
        let name = (!name.is_empty()).then(|| name.to_owned());
        if name.as_deref().is_some_and(|name| name.chars().any(char::is_control)) {
            return None;
        }
        Some(Self { name, address: Address::parse(address)? })
    }

    /// The address alone.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// As a `From` header takes it: a quoted name (RFC 5322, 3.2.4), encoded words (RFC 2047) where the
    /// name is not ASCII, or looks like one: readers decode these even between quotes, where they must not be.
    pub fn header(&self) -> String {
        let address = self.address.as_str();
        match &self.name {
            None => address.to_owned(),
            Some(name) if name.is_ascii() && !name.contains("=?") => {
                let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
                format!("\"{quoted}\" <{address}>")
            }
            Some(name) => format!("{} <{address}>", encoded_words(name)),
        }
    }
}

/// RFC 2047 encoded words, Q encoding, each at most 75 characters and of whole UTF-8 characters.
fn encoded_words(text: &str) -> String {
    const START: &str = "=?UTF-8?Q?";
    const LONGEST: usize = 75 - START.len() - 2;
    let mut words = vec![String::new()];
    for character in text.chars() {
        let mut bytes = [0; 4];
        let encoded = match character {
            ' ' => "_".to_owned(),
            c if c.is_ascii_alphanumeric() => c.to_string(),
            c => c.encode_utf8(&mut bytes).bytes().map(|byte| format!("={byte:02X}")).collect(),
        };
        if words.last().is_some_and(|word| word.len() + encoded.len() > LONGEST) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push_str(&encoded);
        }
    }
    words.iter().map(|word| format!("{START}{word}?=")).collect::<Vec<_>>().join(" ")
}
