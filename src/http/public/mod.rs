//! Pages that people reach by the signed links in their messages. Everybody who has a link may use
//! it: there are no accounts, cookies or sessions.
//!
//! Link scanners follow every link, so GET and HEAD change nothing. A link is judged before the
//! database is touched, and no path is logged.

mod attendance;
mod calendar;
mod form;
mod page;
mod preferences;
mod visits;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use chrono::{DateTime, Utc};

use crate::database::{BOOKINGS_LOCK_TIMEOUT, Begin, DatabaseError, Transaction};
use crate::http::places::Places;
use crate::http::problem::method_not_allowed;
use crate::http::public::form::Form;
use crate::http::public::page::{Look, Trouble};
use crate::http::public::visits::Visits;
use crate::http::refusals::log_refusal;
use crate::http::request::{deadline_of, read_request};
use crate::messages::languages::Language;
use crate::people::keys::KeysError;
use crate::people::links::{Link, Purpose};
use crate::people::preferences::{Preferences, read_preferences};
use crate::tick::Automation;

/// What the pages work with.
struct Public {
    /// The moment to decide by, in place of the database clock.
    as_of: Option<DateTime<Utc>>,
    automation: Arc<Automation>,
    places: Arc<Places>,
    visits: Visits,
    look: Look,
}

/// The routes; none without `LINK_BASE_URL`.
pub(crate) fn routes(
    automation: Arc<Automation>,
    places: Arc<Places>,
    as_of: Option<DateTime<Utc>>,
) -> Router {
    if automation.messages().link_base_url.is_none() {
        return Router::new();
    }
    Router::new()
        .route("/p/{token}", any(preferences::preferences))
        .route("/a/{token}", any(attendance::attend))
        .route("/a/{token}/cancel", any(attendance::cancel))
        .route("/calendar/{name}", any(calendar::calendar))
        .with_state(Arc::new(Public {
            look: Look::new(automation.sender(), automation.messages()),
            automation,
            places,
            as_of,
            visits: Visits::default(),
        }))
}

/// The token in a path.
type Token = Result<Path<String>, PathRejection>;

/// A visit with a valid link.
struct Visit {
    link: Link,
    /// Of a POST.
    form: Option<Form>,
    is_head: bool,
    deadline: Instant,
}

impl Visit {
    /// The answer: without its body, where only the head was asked for.
    fn answer(&self, mut response: Response) -> Response {
        if self.is_head {
            *response.body_mut() = Body::empty();
        }
        response
    }
}

/// Checks in this order: method, link, rate, size.
async fn visit(
    public: &Public,
    purpose: Purpose,
    token: Token,
    request: Request,
) -> Result<Visit, Response> {
    let deadline = deadline_of(&request);
    let method = request.method().clone();
    if ![Method::GET, Method::HEAD, Method::POST].contains(&method) {
        return Err(public
            .look
            .with_headers(method_not_allowed("GET, HEAD, POST")));
    }
    let token = token.map(|Path(token)| token).unwrap_or_default();
    let (keys, database) = (public.automation.link_keys(), public.automation.database());
    let link = match keys.verify(database, &token, purpose, deadline).await {
        Ok(Some(link)) => link,
        Ok(None) => {
            log_refusal(StatusCode::NOT_FOUND, "not a link of this database");
            return Err(public.look.trouble(Trouble::Broken, None));
        }
        Err(error) => {
            log_unread_keys(&error);
            return Err(public.look.trouble(Trouble::Unavailable, None));
        }
    };
    if !public.visits.count(&link.person, Instant::now()) {
        log_refusal(
            StatusCode::TOO_MANY_REQUESTS,
            "too many visits of one person",
        );
        return Err(public.look.trouble(Trouble::TooMany, link.language()));
    }
    let form = match method == Method::POST {
        true => {
            let (head, body) = read_request(request)
                .await
                .map_err(|refused| public.look.with_headers(refused))?;
            Some(Form::parse(&head.headers, &body))
        }
        false => None,
    };
    Ok(Visit {
        link,
        form,
        is_head: method == Method::HEAD,
        deadline,
    })
}

fn log_unread_keys(error: &KeysError) {
    match error {
        // Once a minute at most.
        KeysError::Database(_) => tracing::error!("{error}"),
        KeysError::Pause => log_refusal(StatusCode::SERVICE_UNAVAILABLE, error),
    }
}

/// Begins a transaction for a visit. `None`: the link was revoked.
async fn begin(
    public: &Public,
    visit: &Visit,
    read_only: bool,
) -> crate::database::Result<Option<(Transaction, Preferences)>> {
    let begin = Begin {
        lock_timeout: BOOKINGS_LOCK_TIMEOUT,
        read_only,
        as_of: public.as_of,
        ..Begin::until(visit.deadline)
    };
    let (transaction, _) = public.automation.database().begin(&begin, "").await?;
    let preferences = read_preferences(&transaction, &visit.link.person).await?;
    let is_revoked = |from| visit.link.made_at < from;
    if preferences.links_from.is_some_and(is_revoked) {
        transaction.rollback().await?;
        return Ok(None);
    }
    Ok(Some((transaction, preferences)))
}

/// The language of a page: the person's own, else that of the message with the link.
fn language_of(public: &Public, link: &Link, preferences: &Preferences) -> &'static Language {
    let own = preferences.language.as_deref().and_then(Language::matching);
    own.or_else(|| link.language())
        .unwrap_or(public.look.default_language)
}

/// The page for what the database could not do.
fn unavailable(public: &Public, link: &Link, error: &DatabaseError) -> Response {
    tracing::error!(
        error = error.loggable(),
        "a page of a link could not be answered"
    );
    public.look.trouble(Trouble::Unavailable, link.language())
}
