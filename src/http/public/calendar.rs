//! `/calendar/{token}.ics`: a person's bookings, for programs that fetch a calendar again and
//! again.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::database::{Result, Transaction};
use crate::delivery::feed::{FeedEntry, read_feed};
use crate::delivery::preparation::warn_of_wording;
use crate::delivery::templates::read_templates;
use crate::http::clock::read_clock;
use crate::http::problem::method_not_allowed;
use crate::http::public::page::Trouble;
use crate::http::public::{Public, Token, Visit, begin, language_of, unavailable, visit};
use crate::messages::calendar::{Appointment, feed};
use crate::messages::facts::BookingFacts;
use crate::messages::languages::{Language, TextError};
use crate::messages::wording::Wording;
use crate::people::calendar::feeds_from;
use crate::people::links::Purpose;
use crate::people::preferences::Preferences;

/// What a feed is made of.
struct Content {
    /// Of bookings for which neither the person nor the view says one.
    language: &'static Language,
    preferences: Preferences,
    wording: Wording,
    entries: Vec<FeedEntry>,
}

pub(super) async fn calendar(
    State(public): State<Arc<Public>>,
    token: Token,
    request: Request,
) -> Response {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return public.look.with_headers(method_not_allowed("GET, HEAD"));
    }
    let known: Vec<HeaderValue> = (request.headers().get_all(IF_NONE_MATCH).iter())
        .cloned()
        .collect();
    // Without its ending, a name is no token.
    let token =
        token.map(|Path(name)| Path(name.strip_suffix(".ics").unwrap_or_default().to_owned()));
    let visit = match visit(&public, Purpose::Calendar, token, request).await {
        Ok(visit) => visit,
        Err(refused) => return refused,
    };
    let response = answer(&public, &visit, &known).await;
    visit.answer(response)
}

async fn answer(public: &Public, visit: &Visit, known: &[HeaderValue]) -> Response {
    let trouble = |trouble| public.look.trouble(trouble, visit.link.language());
    let Ok(person) = Uuid::try_parse(&visit.link.person) else {
        return trouble(Trouble::Broken);
    };
    let Ok(_place) = public.places.take(visit.deadline).await else {
        return trouble(Trouble::Unavailable);
    };
    let content = match read(public, visit, person).await {
        Ok(Some(content)) => content,
        Ok(None) => return trouble(Trouble::Broken),
        Err(error) => return unavailable(public, &visit.link, &error),
    };
    match write(public, content) {
        Ok(text) => respond(public, text, known),
        Err(error) => {
            tracing::error!("a calendar could not be written: {error}");
            trouble(Trouble::Unavailable)
        }
    }
}

/// `None`: the address was revoked.
async fn read(public: &Public, visit: &Visit, person: Uuid) -> Result<Option<Content>> {
    let Some((transaction, preferences)) = begin(public, visit, true).await? else {
        return Ok(None);
    };
    let read = async || -> Result<Option<(Vec<FeedEntry>, Wording)>> {
        let from = feeds_from(&transaction, &visit.link.person).await?;
        if from.is_some_and(|from| visit.link.made_at < from) {
            return Ok(None);
        }
        let as_of = read_clock(&transaction, public.as_of).await?;
        let entries = read_feed(&transaction, person, as_of).await?;
        Ok(Some((entries, read_wording(&transaction).await?)))
    };
    let read = read().await;
    let _ = transaction.rollback().await;
    Ok(read?.map(|(entries, wording)| Content {
        language: language_of(public, &visit.link, &preferences),
        preferences,
        wording,
        entries,
    }))
}

/// The owner's own wording. Where it cannot be read, the built-in texts, as in mails.
async fn read_wording(transaction: &Transaction) -> Result<Wording> {
    let limit = transaction.statement_timeout();
    let read = async |transaction: &Transaction| read_templates(transaction, false).await;
    match transaction.in_savepoint(limit, read).await {
        Ok(texts) => Ok(Wording::of(texts)),
        Err(error) if error.is_lost_connection() => Err(error),
        Err(error) => {
            warn_of_wording(&error.loggable());
            Ok(Wording::default())
        }
    }
}

fn write(public: &Public, content: Content) -> std::result::Result<String, TextError> {
    let (settings, sender) = (public.automation.messages(), public.automation.sender());
    let mut appointments = Vec::new();
    for entry in content.entries {
        let facts = BookingFacts {
            timezone: (content.preferences.timezone.clone()).or(entry.facts.timezone),
            ..entry.facts
        };
        let chosen = content.preferences.language.as_deref();
        let language = (chosen.or(facts.language.as_deref()))
            .and_then(Language::matching)
            .unwrap_or(content.language);
        let (is_cancelled, wording) = (entry.is_cancelled, &content.wording);
        let appointment = Appointment::in_feed(&facts, is_cancelled, language, settings, wording)?;
        appointments.extend(appointment);
    }
    Ok(feed(sender.display_name(), sender.address(), &appointments))
}

/// The feed; or only that it is the one that the program has.
fn respond(public: &Public, text: String, known: &[HeaderValue]) -> Response {
    let digest = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&text));
    let tag = format!("\"{digest}\"");
    let response = match has(known, &tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(CONTENT_TYPE, "text/calendar; charset=utf-8")], text).into_response(),
    };
    let mut response = public.look.with_headers(response);
    let headers = response.headers_mut();
    // It may be kept, by this program alone, and is asked for each time.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    response
}

/// RFC 9110, 13.1.2.
fn has(known: &[HeaderValue], tag: &str) -> bool {
    let lists = known.iter().filter_map(|value| value.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .map(|one| one.trim().trim_start_matches("W/"))
        .any(|one| one == tag || one == "*")
}
