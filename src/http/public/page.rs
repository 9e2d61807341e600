//! The one layout of all pages: plain HTML without scripts.

use askama::Template;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};
use url::Url;

use crate::channels::email::sender::Sender;
use crate::messages::languages::{Language, TextError};
use crate::messages::settings::MessageSettings;

const STYLE: &str = include_str!("page.css");

/// What all pages look like.
pub(super) struct Look {
    sender: String,
    logo_url: Option<String>,
    style: String,
    /// The policy that lets a browser load nothing but that.
    policy: HeaderValue,
    pub(super) default_language: &'static Language,
}

/// A page.
pub(super) struct Page {
    language: &'static Language,
    direction: String,
    title: String,
    /// What has just been done.
    notice: Option<String>,
    texts: Vec<String>,
    /// HTML of a template.
    content: String,
}

#[derive(Template)]
#[template(path = "page.html")]
struct Html<'a> {
    look: &'a Look,
    page: &'a Page,
}

/// Why there is nothing to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is not a link, or it does not work any more.
    Broken,
    /// It was a link to a booking that has started, was cancelled, or is another's now.
    Over,
    /// Only the owner's people can cancel this booking.
    CannotCancel,
    /// A form without what it needs.
    Unreadable,
    /// Too many visits.
    TooMany,
    /// The database cannot be asked.
    Unavailable,
}

impl Trouble {
    fn status(self) -> StatusCode {
        match self {
            Self::Broken | Self::Over => StatusCode::NOT_FOUND,
            Self::CannotCancel => StatusCode::CONFLICT,
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn texts(self) -> [&'static str; 2] {
        match self {
            Self::Broken => ["link-broken", "link-broken-explained"],
            Self::Over => ["link-over", "link-over-explained"],
            Self::CannotCancel => ["cannot-cancel", "cannot-cancel-explained"],
            _ => ["page-unavailable", "page-unavailable-explained"],
        }
    }
}

impl Page {
    pub(super) fn new(language: &'static Language, title: &'static str) -> Result<Self, TextError> {
        Ok(Self {
            language,
            direction: language.direction()?,
            title: language.text(title, &[])?,
            notice: None,
            texts: Vec::new(),
            content: String::new(),
        })
    }

    pub(super) fn with_notice(self, notice: Option<String>) -> Self {
        Self { notice, ..self }
    }

    pub(super) fn with_text(mut self, text: String) -> Self {
        self.texts.push(text);
        self
    }

    /// `content` is HTML of a template.
    pub(super) fn with_content(self, content: String) -> Self {
        Self { content, ..self }
    }
}

impl Look {
    pub(super) fn new(sender: &Sender, settings: &MessageSettings) -> Self {
        let look = &settings.look;
        let style = STYLE
            .replace("{color}", &look.color.to_string())
            .replace("{text}", look.color.text());
        let hash = BASE64_STANDARD.encode(Sha256::digest(&style));
        let logo = look
            .logo_url
            .as_deref()
            .and_then(|url| Url::parse(url).ok());
        let images = match logo {
            Some(url) => format!("; img-src {}", url.origin().ascii_serialization()),
            None => String::new(),
        };
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'{images}; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'"
        );
        Self {
            sender: sender.display_name().to_owned(),
            logo_url: look.logo_url.clone(),
            style,
            policy: HeaderValue::from_str(&policy)
                .unwrap_or(HeaderValue::from_static("default-src 'none'")),
            default_language: settings.default_language,
        }
    }

    /// The answer with a page. A text of the languages or a template that fails is a fault of the
    /// program's, which no input can cause.
    pub(super) fn show(&self, status: StatusCode, page: Result<Page, PageError>) -> Response {
        let html = page.and_then(|page| {
            Ok(Html {
                look: self,
                page: &page,
            }
            .render()?)
        });
        match html {
            Ok(html) => {
                let content_type = [(CONTENT_TYPE, "text/html; charset=utf-8")];
                self.with_headers((status, content_type, html).into_response())
            }
            Err(error) => {
                tracing::error!("a page could not be written: {error}");
                self.with_headers(StatusCode::INTERNAL_SERVER_ERROR.into_response())
            }
        }
    }

    /// A page that says why there is nothing to show; in the default language, unless the link says
    /// which one is right.
    pub(super) fn trouble(
        &self,
        trouble: Trouble,
        language: Option<&'static Language>,
    ) -> Response {
        let language = language.unwrap_or(self.default_language);
        let page = || -> Result<Page, PageError> {
            let [title, explained] = trouble.texts();
            let explained = language.text(explained, &[])?;
            Ok(Page::new(language, title)?.with_text(explained))
        };
        let mut response = self.show(trouble.status(), page());
        if matches!(trouble, Trouble::TooMany | Trouble::Unavailable) {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("60"));
        }
        response
    }

    /// Adds what keeps the link, and the page, to its reader.
    pub(super) fn with_headers(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        for (name, value) in [
            (CACHE_CONTROL, "no-store"),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (HeaderName::from_static("x-robots-tag"), "noindex"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// A page that cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// A text of the language.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The template.
    #[error(transparent)]
    Template(#[from] askama::Error),
}
