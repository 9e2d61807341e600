//! `/people/{id}/preferences`: what a person has chosen.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde_json::{Value, json};

use crate::channels::Channel;
use crate::http::api::errors::database_problem;
use crate::http::api::guard::{Api, ApiResponse, PathId, authorize, idempotently, read_only};
use crate::http::api::people::parse_person;
use crate::http::params::{BodyParams, malformed};
use crate::http::problem::{Problem, method_not_allowed};
use crate::messages::kind_name::KindName;
use crate::messages::languages::Language;
use crate::people::preferences::{Preferences, read_preferences, store_preferences};
use crate::primitives::phone_number::PhoneNumber;
use crate::primitives::zones::{iana_name, known_zone};

/// Members of the body.
const MEMBERS: [&str; 7] = [
    "language",
    "timezone",
    "quiet_hours",
    "channels",
    "phone",
    "sms_allowed",
    "opt_outs",
];
/// The channels that reach people.
const CHANNELS: [&str; 3] = [
    Channel::Email.as_str(),
    Channel::Sms.as_str(),
    Channel::Push.as_str(),
];
/// Longest language, time zone and phone number, in characters.
const LONGEST: usize = 100;

/// `GET` and `PUT /people/{id}/preferences`
pub(crate) async fn preferences(
    state: State<Arc<Api>>,
    id: PathId,
    request: Request,
) -> ApiResponse {
    match request.method().as_str() {
        "GET" => show(state, id, request).await,
        "PUT" => replace(state, id, request).await,
        _ => Err(method_not_allowed("GET, PUT")),
    }
}

async fn show(State(api): State<Arc<Api>>, id: PathId, request: Request) -> ApiResponse {
    let authorized = authorize(&api, "GET", request).await?;
    let person = parse_person(id)?;
    let answer = read_only(&api, &authorized, async |transaction, _| {
        let read = read_preferences(transaction, &person).await;
        read.map(|preferences| answer(&person, &preferences))
            .map_err(|error| database_problem(&error))
    });
    Ok(Json(answer.await?))
}

async fn replace(State(api): State<Arc<Api>>, id: PathId, request: Request) -> ApiResponse {
    let authorized = authorize(&api, "PUT", request).await?;
    let person = parse_person(id)?;
    let preferences = parse(&BodyParams::of(&authorized.body, &MEMBERS)?)?;
    let answer = idempotently(&api, &authorized, async |transaction, _| {
        let stored = store_preferences(transaction, &person, &preferences).await;
        stored
            .map(|()| answer(&person, &preferences))
            .map_err(|error| database_problem(&error))
    });
    Ok(Json(answer.await?))
}

fn answer(person: &str, preferences: &Preferences) -> Value {
    let quiet_hours =
        (preferences.quiet_hours.as_ref()).map(|[from, to]| json!({"from": from, "to": to}));
    json!({
        "person_id": person,
        "language": preferences.language,
        "timezone": preferences.timezone,
        "quiet_hours": quiet_hours,
        "channels": preferences.channels,
        "phone": preferences.phone.as_ref().map(PhoneNumber::as_str),
        "sms_allowed": preferences.sms_allowed,
        "opt_outs": preferences.opt_outs,
    })
}

fn parse(body: &BodyParams) -> Result<Preferences, Problem> {
    let kinds: Vec<_> = KindName::choices().map(KindName::as_str).collect();
    let channels = body.optional_names("channels", &CHANNELS)?;
    if channels.as_ref().is_some_and(Vec::is_empty) {
        return Err(malformed(
            "channels",
            "is empty: leave messages by opt_outs",
        ));
    }
    let (timezone, quiet_hours) = (parse_zone(body)?, parse_quiet_hours(body)?);
    if quiet_hours.is_some() && timezone.is_none() {
        let problem = "needs timezone: the hours are those of the person's clock";
        return Err(malformed("quiet_hours", problem));
    }
    Ok(Preferences {
        language: parse_language(body)?,
        timezone,
        quiet_hours,
        channels,
        phone: parse_phone(body)?,
        sms_allowed: body.optional_flag("sms_allowed")?,
        opt_outs: body
            .optional_names("opt_outs", &kinds)?
            .unwrap_or_default()
            .into_iter()
            .collect(),
        links_from: None,
    })
}

/// The tag of the file in which messages are then written: `pt` of `pt-BR`.
fn parse_language(body: &BodyParams) -> Result<Option<String>, Problem> {
    let Some(tag) = body.optional_text("language", LONGEST)? else {
        return Ok(None);
    };
    let language = Language::matching(&tag).ok_or_else(|| {
        let tags: Vec<_> = Language::all().map(Language::tag).collect();
        malformed(
            "language",
            &format!("takes a language of {}", tags.join(", ")),
        )
    })?;
    Ok(Some(language.tag().to_owned()))
}

/// In E.164, also of a number with spaces and the like. An error does not repeat the number.
fn parse_phone(body: &BodyParams) -> Result<Option<PhoneNumber>, Problem> {
    const NAME: &str = "phone";
    let Some(number) = body.optional_text(NAME, LONGEST)? else {
        return Ok(None);
    };
    let number = PhoneNumber::parse(&number);
    number.map(Some).map_err(|error| {
        malformed(
            NAME,
            &format!("takes a number such as +12065550100: {error}"),
        )
    })
}

/// The IANA name, also of a name in Windows.
fn parse_zone(body: &BodyParams) -> Result<Option<String>, Problem> {
    let Some(name) = body.optional_text("timezone", LONGEST)? else {
        return Ok(None);
    };
    let zone = known_zone(Some(&name));
    let zone = zone.ok_or_else(|| malformed("timezone", "takes a name such as Europe/Vienna"))?;
    Ok(Some(iana_name(&zone).to_owned()))
}

fn parse_quiet_hours(body: &BodyParams) -> Result<Option<[String; 2]>, Problem> {
    const NAME: &str = "quiet_hours";
    if !body.has(NAME) {
        return Ok(None);
    }
    let hours = body.object(NAME, &["from", "to"])?;
    let time = |member: &str| {
        let text = hours.text(member)?;
        match is_time(&text) {
            true => Ok(text),
            false => Err(malformed(member, "takes a time such as 22:00")),
        }
    };
    let (from, to) = (time("from")?, time("to")?);
    Ok(Some([from, to]))
}

/// `00:00` to `23:59`.
fn is_time(text: &str) -> bool {
    let part = |range: std::ops::Range<usize>, below: u8| {
        let digits = text
            .get(range)
            .filter(|it| it.bytes().all(|b| b.is_ascii_digit()));
        digits
            .and_then(|digits| digits.parse().ok())
            .is_some_and(|number: u8| number < below)
    };
    text.len() == 5 && text.get(2..3) == Some(":") && part(0..2, 24) && part(3..5, 60)
}
