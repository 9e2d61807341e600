//! The service account that sends, and where FCM is.

use std::fmt;
use std::fs;
use std::sync::Arc;

use axum::http::Uri;
use ring::rsa::KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value};
use url::{Host, Url};

use crate::channels::timing::Timing;
use crate::primitives::settings::{Lookup, SettingError, read};

/// Google's endpoint of FCM.
const ENDPOINT: &str = "https://fcm.googleapis.com";
/// What `FCM_CREDENTIALS` takes.
const ACCEPTS: &str = "it takes the key of a service account as JSON text, or the path of such a \
                       file";

/// The service account that sends, and where FCM is.
#[derive(Clone)]
pub struct PushSettings {
    pub(crate) account: Arc<ServiceAccount>,
    /// Where the messages of the account's project go.
    pub(crate) messages: Uri,
    /// The waits of delivery.
    pub(crate) timing: Timing,
}

impl fmt::Debug for PushSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushSettings").finish_non_exhaustive()
    }
}

impl PushSettings {
    /// Reads `FCM_CREDENTIALS` and `FCM_ENDPOINT`; and, in tests, `TEST_TIME_DIVISOR`. Without
    /// credentials, the channel is off.
    ///
    /// # Errors
    /// Names the variable that is malformed, and the member of the credentials.
    pub fn from_environment(lookup: Lookup) -> Result<Option<Self>, SettingError> {
        const NAME: &str = "FCM_CREDENTIALS";
        let endpoint = read_endpoint(lookup)?;
        let timing = Timing::from_environment(lookup)?;
        let Some(text_or_path) = read(lookup, NAME) else {
            return Ok(None);
        };
        let account = ServiceAccount::parse(&text_or_path)
            .map_err(|problem| SettingError::new(NAME, problem))?;
        let messages = messages_of(&endpoint, &account.project_id)
            .ok_or_else(|| SettingError::new(NAME, not_valid("project_id", "a project's id")))?;
        Ok(Some(Self {
            account: Arc::new(account),
            messages,
            timing,
        }))
    }
}

/// The key of a service account.
pub(crate) struct ServiceAccount {
    project_id: String,
    pub(crate) client_email: String,
    /// Which of the account's keys it is.
    pub(crate) key_id: Option<String>,
    pub(crate) key: KeyPair,
    /// Where access tokens come from.
    pub(crate) token_uri: Uri,
}

impl ServiceAccount {
    /// Parses `FCM_CREDENTIALS`: JSON text, or the path of a JSON file. An error repeats no value.
    fn parse(text_or_path: &str) -> Result<Self, String> {
        let text = match text_or_path.starts_with('{') {
            true => text_or_path.to_owned(),
            false => fs::read_to_string(text_or_path).map_err(|error| {
                format!("cannot be read as a file ({}): {ACCEPTS}", error.kind())
            })?,
        };
        let json: Map<String, Value> = serde_json::from_str(text.trim())
            .map_err(|_| format!("is not a JSON object: {ACCEPTS}"))?;
        let member = |name| {
            text_of(&json, name).ok_or_else(|| format!("has no text as `{name}`: {ACCEPTS}"))
        };
        let project_id = Some(member("project_id")?)
            .filter(|text| is_project_id(text))
            .ok_or_else(|| not_valid("project_id", "a project's id"))?;
        let client_email = Some(member("client_email")?)
            .filter(|text| is_account_name(text))
            .ok_or_else(|| not_valid("client_email", "the address of a service account"))?;
        let key = parse_key(member("private_key")?).ok_or_else(|| {
            let what = "an RSA key of 2048 to 4096 bits as PEM text (-----BEGIN PRIVATE KEY-----…)";
            not_valid("private_key", what)
        })?;
        let token_uri = parse_url(member("token_uri")?)
            .and_then(|url| url.as_str().parse().ok())
            .ok_or_else(|| not_valid("token_uri", URLS))?;
        Ok(Self {
            project_id: project_id.to_owned(),
            client_email: client_email.to_owned(),
            key_id: text_of(&json, "private_key_id").map(str::to_owned),
            key,
            token_uri,
        })
    }
}

/// The member's text, if there is one.
fn text_of<'a>(json: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let text = json.get(name)?.as_str()?.trim();
    (!text.is_empty()).then_some(text)
}

/// That a member of the credentials is not what it has to be.
fn not_valid(member: &str, accepts: &str) -> String {
    format!("has a `{member}` that is not valid: it takes {accepts}")
}

/// It becomes a part of a path. Old ids have a domain before a colon.
fn is_project_id(text: &str) -> bool {
    let is_of_id = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte);
    text.len() <= 100 && text.bytes().all(is_of_id)
}

fn is_account_name(text: &str) -> bool {
    text.contains('@') && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An RSA key in PKCS#8. Line breaks may be written as \n once more than JSON needs.
fn parse_key(pem: &str) -> Option<KeyPair> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(pem.replace("\\n", "\n").as_bytes()).ok()?;
    KeyPair::from_pkcs8(key.secret_pkcs8_der()).ok()
}

/// What URLs may be.
const URLS: &str = "an https URL without user, query and fragment (http only for this computer)";

fn read_endpoint(lookup: Lookup) -> Result<Url, SettingError> {
    const NAME: &str = "FCM_ENDPOINT";
    let text = read(lookup, NAME);
    let url = parse_url(text.as_deref().unwrap_or(ENDPOINT));
    url.ok_or_else(|| SettingError::new(NAME, format!("is not valid: it takes {URLS}")))
}

/// Messages and credentials go there: in plain text on this computer alone.
fn parse_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_here = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let is_safe = url.scheme() == "https" || url.scheme() == "http" && is_here;
    (is_plain && is_safe).then_some(url)
}

fn messages_of(endpoint: &Url, project_id: &str) -> Option<Uri> {
    let base = endpoint.as_str().trim_end_matches('/');
    let messages = format!("{base}/v1/projects/{project_id}/messages:send");
    messages.parse().ok()
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair as OtherKeyPair;
    use serde_json::{Value, json};

    use super::PushSettings;
    use crate::channels::push::tests::samples::{ACCOUNT, credentials};
    use crate::primitives::settings::SettingError;

    fn settings(
        credentials: &str,
        endpoint: Option<&str>,
    ) -> Result<Option<PushSettings>, SettingError> {
        PushSettings::from_environment(&|name| match name {
            "FCM_CREDENTIALS" => Some(credentials.to_owned()),
            "FCM_ENDPOINT" => endpoint.map(str::to_owned),
            _ => None,
        })
    }

    fn error_of(credentials: &str) -> String {
        let outcome = settings(credentials, None);
        outcome.expect_err("they are malformed").to_string()
    }

    /// Credentials of which one member is another value; `null`: it is missing.
    fn with_member(name: &str, value: Value) -> String {
        let mut json = credentials("https://oauth2.googleapis.com/token");
        match value {
            Value::Null => _ = json.as_object_mut().expect("an object").remove(name),
            value => json[name] = value,
        }
        json.to_string()
    }

    #[test]
    fn without_credentials_the_channel_is_off() {
        for empty in ["", "  "] {
            let settings = settings(empty, None).expect("they are optional");
            assert!(settings.is_none());
        }
    }

    #[test]
    fn credentials_are_text_or_the_path_of_a_file() {
        let text = with_member("", Value::Null);
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), format!("{text}\n")).expect("a file");
        let path = file.path().to_str().expect("a path");
        // Line breaks that were escaped twice.
        let escaped = text.replace("\\n", "\\\\n");
        for credentials in [&text, path, &escaped, &format!(" {text} ")] {
            let settings = settings(credentials, None).expect("they are valid");
            let settings = settings.expect("the channel is on");
            assert_eq!(
                settings.messages.to_string(),
                "https://fcm.googleapis.com/v1/projects/studio-nord/messages:send"
            );
            let account = &settings.account;
            assert_eq!(
                account.token_uri.to_string(),
                "https://oauth2.googleapis.com/token"
            );
            assert_eq!(account.client_email, ACCOUNT);
            assert_eq!(account.key_id.as_deref(), Some("key-1"));
            assert_eq!(format!("{settings:?}"), "PushSettings { .. }");
        }
    }

    #[test]
    fn an_error_names_the_member_and_repeats_no_value() {
        let other_key = OtherKeyPair::generate().expect("a key").serialize_pem();
        let pkcs1 =
            "-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0LXZhbHVl\n-----END RSA PRIVATE KEY-----";
        for (name, wrong) in [
            ("project_id", json!("secret-value/../x")),
            ("project_id", json!("secret-value?x")),
            ("client_email", json!("secret-value")),
            ("client_email", json!("secret-value@ü.example")),
            ("private_key", json!("secret-value")),
            ("private_key", json!(pkcs1)),
            ("private_key", json!(other_key)),
            ("token_uri", json!("secret-value")),
            ("token_uri", json!("http://secret-value.example/token")),
            ("token_uri", json!("https://user:secret-value@a.example/")),
            ("token_uri", json!("ftp://localhost/secret-value")),
            ("token_uri", json!("https://a.example/?secret-value")),
        ] {
            for value in [wrong.clone(), json!(7), json!(" "), Value::Null] {
                let error = error_of(&with_member(name, value));
                let (variable, said) = error.split_once(' ').expect("a sentence");
                assert_eq!(variable, "FCM_CREDENTIALS");
                assert!(said.contains(&format!("`{name}`")), "{error}");
                assert!(!error.contains("secret-value"), "{error}");
            }
        }
    }

    #[test]
    fn what_is_no_json_object_and_no_file_is_refused() {
        for (wrong, expected) in [
            ("{\"secret-value\": ", "is not a JSON object"),
            ("{'secret-value'}", "is not a JSON object"),
            ("/no/such/secret-value", "cannot be read as a file"),
            ("[\"secret-value\"]", "cannot be read as a file"),
        ] {
            let error = error_of(wrong);
            assert!(
                error.starts_with(&format!("FCM_CREDENTIALS {expected}")),
                "{error}"
            );
            assert!(!error.contains("secret-value"), "{error}");
        }
    }

    #[test]
    fn the_endpoint_is_https_or_this_computer() {
        let text = with_member("", Value::Null);
        for (endpoint, base) in [
            ("http://localhost:9099", "http://localhost:9099"),
            ("http://127.0.0.1:9099/", "http://127.0.0.1:9099"),
            ("http://[::1]:9099/fcm", "http://[::1]:9099/fcm"),
            ("https://fcm.internal", "https://fcm.internal"),
        ] {
            let settings = settings(&text, Some(endpoint)).expect("it is valid");
            assert_eq!(
                settings.expect("the channel is on").messages.to_string(),
                format!("{base}/v1/projects/studio-nord/messages:send")
            );
        }
        for wrong in [
            "http://fcm.googleapis.com",
            "http://127.0.0.1.secret-value.example",
            "https://a.example/?secret-value",
            "https://a.example/#secret-value",
            "https://secret-value@a.example",
            "secret-value",
        ] {
            // Without credentials, too.
            for credentials in [&text, ""] {
                let error = settings(credentials, Some(wrong)).expect_err("it is malformed");
                let error = error.to_string();
                assert!(error.starts_with("FCM_ENDPOINT is not valid"), "{error}");
                assert!(!error.contains("secret-value"), "{error}");
            }
        }
    }
}
