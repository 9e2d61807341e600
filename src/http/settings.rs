//! Who may call over HTTP, and how often; and which links open the owner's app.

use std::num::NonZeroU32;

use base64::prelude::{BASE64_STANDARD, Engine};
use secrecy::{SecretSlice, SecretString};

use crate::http::app_links::AppLinks;
use crate::primitives::settings::{Lookup, SettingError, read, read_list, read_or};
use crate::primitives::signature::signing_secret;

/// Default for calls a minute with one credential: a cron service makes one, and some retries.
const CALLS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(10).expect("not zero");

/// What the routes are set up with.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Who may fire a pass.
    pub secrets: CronSecrets,
    /// Who may use the support API.
    pub tokens: AdminTokens,
    /// Which apps open the links in messages.
    pub app_links: AppLinks,
}

impl HttpSettings {
    /// Reads the settings of [`CronSecrets`], [`AdminTokens`] and [`AppLinks`].
    ///
    /// # Errors
    /// Names the variable that is malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        Ok(Self {
            secrets: CronSecrets::from_environment(lookup)?,
            tokens: AdminTokens::from_environment(lookup)?,
            app_links: AppLinks::from_environment(lookup)?,
        })
    }
}

/// Who may fire a pass over HTTP, and how often. Without any secret, every request is refused.
#[derive(Clone, Debug)]
pub struct CronSecrets {
    pub(crate) bearer: Vec<SecretString>,
    pub(crate) signing: Vec<SecretSlice<u8>>,
    /// Calls that each credential may make in a minute; all of them may come at once.
    pub(crate) calls_per_minute: NonZeroU32,
}

impl CronSecrets {
    /// Reads `CRON_SECRET` and `CRON_SIGNING_SECRET`, each a comma-separated list so that secrets
    /// can be rotated, and `RATE_LIMIT`.
    ///
    /// # Errors
    /// Names the variable that is malformed, or repeats a secret.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let bearer = read_list(lookup, "CRON_SECRET", bearer_secret)?;
        let signing = read_list(lookup, "CRON_SIGNING_SECRET", signing_secret)?;
        refuse_shared_secrets(lookup, &CRON_LISTS)?;
        let calls_per_minute = read_or(
            lookup,
            "RATE_LIMIT",
            CALLS_PER_MINUTE,
            |text| {
                text.parse()
                    .ok()
                    .filter(|calls: &NonZeroU32| calls.get() <= 6000)
            },
            "calls a minute, a whole number from 1 to 6000",
        )?;
        Ok(Self {
            bearer,
            signing,
            calls_per_minute,
        })
    }

    /// Whether no secret is set, so that every request is refused.
    pub fn is_empty(&self) -> bool {
        self.bearer.is_empty() && self.signing.is_empty()
    }
}

/// Who may use the support API. Without a token, its routes do not exist.
#[derive(Clone, Debug)]
pub struct AdminTokens(pub(crate) Vec<SecretString>);

impl AdminTokens {
    /// Reads `ADMIN_TOKEN`: one or several, comma-separated. A secret for `/run` is not accepted
    /// as a token: a cron service that has it could use the support API.
    ///
    /// # Errors
    /// Names the variable when it is malformed, and the other one when they share a secret.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let tokens = read_list(lookup, "ADMIN_TOKEN", bearer_secret)?;
        refuse_shared_secrets(lookup, &ALL_LISTS)?;
        Ok(Self(tokens))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Shortest bearer secret, in characters.
const SHORTEST_BEARER: usize = 16;

/// A header carries visible ASCII; a bearer token has no spaces (RFC 6750, 2.1).
fn bearer_secret(text: &str) -> Result<SecretString, &'static str> {
    let fits = text.len() >= SHORTEST_BEARER && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned().into()).ok_or(
        "is not valid: it takes secrets of at least 16 characters, ASCII without spaces, \
         comma-separated (openssl rand -hex 32 makes one)",
    )
}

/// The variables with secrets for `/run`.
const CRON_LISTS: [&str; 2] = ["CRON_SECRET", "CRON_SIGNING_SECRET"];
/// All variables with secrets of callers.
const ALL_LISTS: [&str; 3] = ["CRON_SECRET", "CRON_SIGNING_SECRET", "ADMIN_TOKEN"];

/// Refuses a secret that is in two of the lists, or twice in one: a caller with one right would
/// have the other, too, and removing the secret from one place would not end its use.
fn refuse_shared_secrets(lookup: Lookup, lists: &[&'static str]) -> Result<(), SettingError> {
    let secrets = lists.iter().flat_map(|variable| {
        let list = read(lookup, variable).unwrap_or_default();
        let forms: Vec<_> = list.split(',').map(forms_of).collect();
        forms.into_iter().map(|forms| (*variable, forms))
    });
    let mut earlier: Vec<(&str, Vec<Vec<u8>>)> = Vec::new();
    for (variable, forms) in secrets.filter(|(_, forms)| !forms.is_empty()) {
        let same = earlier
            .iter()
            .find(|(_, others)| others.iter().any(|other| forms.contains(other)));
        match same {
            Some((other, _)) if *other == variable => {
                return Err(SettingError::new(variable, "has the same secret twice"));
            }
            Some((other, _)) => {
                let problem = format!("and {other} have a secret in common: give each its own");
                return Err(SettingError::new(variable, problem));
            }
            None => earlier.push((variable, forms)),
        }
    }
    Ok(())
}

/// The forms in which one secret may be written: as it is, without the `whsec_` of a signing
/// secret, and decoded from base64.
fn forms_of(secret: &str) -> Vec<Vec<u8>> {
    let secret = secret.trim();
    let bare = secret.strip_prefix("whsec_").unwrap_or(secret);
    let decoded = BASE64_STANDARD.decode(bare).ok();
    let forms = decoded.into_iter().chain([bare.as_bytes().to_vec()]);
    forms.filter(|form| !form.is_empty()).collect()
}
