//! Links that open the owner's mobile app: the two files by which iOS and Android learn that the
//! app may open them, and where a browser goes that has no app. No route reads the database.
//!
//! Apple, "Supporting associated domains"; Android, "Verify Android App Links".

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use crate::http::problem::{method_not_allowed, refuse};
use crate::messages::settings::{app_link_base, public_url};
use crate::primitives::settings::{Lookup, SettingError, read_list};

/// Which apps open the links under `APP_LINK_BASE`.
#[derive(Clone, Debug, Default)]
pub struct AppLinks {
    /// The path of `APP_LINK_BASE`, without a trailing slash; `None`: there are no such links.
    base_path: Option<String>,
    /// Where a browser goes without the app: `PUBLIC_URL`.
    public_url: Option<String>,
    /// `TEAMID.bundle.id`
    apple: Vec<String>,
    android: Vec<AndroidApp>,
}

/// An Android app that was signed with one certificate.
#[derive(Clone, Debug)]
struct AndroidApp {
    package: String,
    /// The SHA-256 of the certificate: 32 pairs of hexadecimal digits, separated by colons.
    fingerprint: String,
}

impl AppLinks {
    /// Reads `APP_LINK_BASE`, `APPLE_APP_IDS`, `ANDROID_APPS` and `PUBLIC_URL`.
    ///
    /// # Errors
    /// Names the variable that is malformed, or that needs another one.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        let apple = read_list(lookup, "APPLE_APP_IDS", parse_apple_id)?;
        let android = read_list(lookup, "ANDROID_APPS", AndroidApp::parse)?;
        let base = app_link_base(lookup)?;
        if base.is_none() {
            for (name, is_set) in [
                ("APPLE_APP_IDS", !apple.is_empty()),
                ("ANDROID_APPS", !android.is_empty()),
            ] {
                if is_set {
                    let problem = "needs APP_LINK_BASE, the base of the links that the app opens";
                    return Err(SettingError::new(name, problem));
                }
            }
        }
        Ok(Self {
            base_path: base.as_deref().and_then(path_of),
            public_url: public_url(lookup)?,
            apple,
            android,
        })
    }

    /// The routes; none without `APP_LINK_BASE`.
    pub(crate) fn routes(self) -> Router {
        let Some(base_path) = self.base_path else {
            return Router::new();
        };
        let mut routes = Router::new();
        if !self.apple.is_empty() {
            let file = apple_file(&self.apple, &base_path);
            let answer = async move |method| association(&method, file);
            routes = routes.route("/.well-known/apple-app-site-association", any(answer));
        }
        if !self.android.is_empty() {
            let file = self.android.iter().map(AndroidApp::statement).collect();
            let answer = async move |method| association(&method, file);
            routes = routes.route("/.well-known/assetlinks.json", any(answer));
        }
        match self.public_url {
            None => routes,
            Some(public_url) => {
                let answer = async move |method, path| without_app(&method, &public_url, path);
                routes.route(&format!("{base_path}/bookings/{{id}}"), any(answer))
            }
        }
    }
}

impl AndroidApp {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (package, fingerprint) = text.split_once('=').unwrap_or((text, ""));
        let (package, fingerprint) = (package.trim(), fingerprint.trim());
        let is_name = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_alphabetic())
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let is_pair =
            |pair: &str| pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
        let fits = package.contains('.')
            && package.split('.').all(is_name)
            && fingerprint.split(':').count() == 32
            && fingerprint.split(':').all(is_pair);
        let app = fits.then(|| Self {
            package: package.to_owned(),
            fingerprint: fingerprint.to_ascii_uppercase(),
        });
        app.ok_or(
            "is not valid: it takes package and SHA-256 of the certificate of each app \
             (com.example.app=14:6D:E9:…, 32 bytes), comma-separated",
        )
    }

    /// A statement of Digital Asset Links.
    fn statement(&self) -> Value {
        json!({
            "relation": ["delegate_permission/common.handle_all_urls"],
            "target": {
                "namespace": "android_app",
                "package_name": self.package,
                "sha256_cert_fingerprints": [self.fingerprint]
            }
        })
    }
}

/// Ten letters and digits, a point, and the bundle's id.
fn parse_apple_id(text: &str) -> Result<String, &'static str> {
    let fits = text.split_once('.').is_some_and(|(team, bundle)| {
        team.len() == 10
            && team.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && !bundle.is_empty()
            && bundle
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    });
    fits.then(|| text.to_owned()).ok_or(
        "is not valid: it takes team and bundle id of each app (A1B2C3D4E5.com.example.app), \
         comma-separated",
    )
}

fn path_of(base: &str) -> Option<String> {
    let url = Url::parse(base).ok()?;
    Some(url.path().trim_end_matches('/').to_owned())
}

fn apple_file(apps: &[String], base_path: &str) -> Value {
    let path = format!("{base_path}/bookings/*");
    json!({"applinks": {"details": [{"appIDs": apps, "components": [{"/": path}]}]}})
}

/// Apple and Google fetch it without following redirects, and want JSON.
fn association(method: &Method, file: Value) -> Response {
    if !is_read(method) {
        return method_not_allowed("GET, HEAD");
    }
    ([(CACHE_CONTROL, "public, max-age=3600")], Json(file)).into_response()
}

/// A browser without the app goes to the page of the booking.
fn without_app(method: &Method, public_url: &str, Path(id): Path<String>) -> Response {
    if !is_read(method) {
        return method_not_allowed("GET, HEAD");
    }
    match Uuid::parse_str(&id) {
        Ok(id) => {
            let page = format!("{public_url}/bookings/{id}");
            let headers = [(LOCATION, page.as_str()), (CONTENT_TYPE, "text/plain")];
            (StatusCode::FOUND, headers).into_response()
        }
        Err(_) => refuse(StatusCode::NOT_FOUND, "there is no such booking"),
    }
}

fn is_read(method: &Method) -> bool {
    [Method::GET, Method::HEAD].contains(method)
}
