//! `DELETE /people/{id}/messages`: erases what the audit trail says about a person.
//! `DELETE /people/{id}`: and what they have chosen, and revokes their links.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::database::Transaction;
use crate::http::api::errors::database_problem;
use crate::http::api::guard::{
    Answer, Api, ApiResponse, InParts, PathId, Progress, authorize, parse_path_id,
};
use crate::http::params::malformed;
use crate::http::problem::Problem;
use crate::operations::erasure::{Eraser, Erasure};
use crate::people;
use crate::people::preferences::forget_choices;

pub(crate) async fn erase_messages(
    State(api): State<Arc<Api>>,
    id: PathId,
    request: Request,
) -> ApiResponse {
    let authorized = authorize(&api, "DELETE", request).await?;
    let person_id = parse_path_id(id)?;
    let mut eraser = None;
    let mut parts = InParts::begin(&api, &authorized).await?;
    loop {
        let part = async |transaction: &Transaction, so_far: Option<Value>| {
            let eraser = match &mut eraser {
                Some(eraser) => eraser,
                none => none.insert(begin(transaction, person_id).await?),
            };
            erase_part(eraser, transaction, so_far).await
        };
        if let Some(answer) = parts.next(progress, part).await? {
            return Ok(Json(answer));
        }
    }
}

/// A person's name in a path: as in the contacts view, which need not be a UUID.
pub(crate) fn parse_person(id: PathId) -> Result<String, Problem> {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    people::person_id(&id).ok_or_else(|| {
        malformed(
            "id",
            "takes up to 400 characters of visible ASCII, from a letter, a digit or _ on",
        )
    })
}

/// Erases all that is known of a person. Bookings refer to people by UUID: whoever has another
/// name has no messages.
pub(crate) async fn erase_person(
    State(api): State<Arc<Api>>,
    id: PathId,
    request: Request,
) -> ApiResponse {
    let authorized = authorize(&api, "DELETE", request).await?;
    let person = parse_person(id)?;
    let mut eraser = None;
    let mut parts = InParts::begin(&api, &authorized).await?;
    loop {
        let part = async |transaction: &Transaction, so_far: Option<Value>| {
            erase_all_part(&mut eraser, transaction, &person, so_far).await
        };
        if let Some(answer) = parts.next(progress, part).await? {
            return Ok(Json(answer));
        }
    }
}

/// The first part erases the choices.
async fn erase_all_part(
    eraser: &mut Option<Eraser>,
    transaction: &Transaction,
    person: &str,
    so_far: Option<Value>,
) -> Answer {
    let earlier = so_far
        .as_ref()
        .and_then(|so_far| so_far["choices"].as_i64());
    let choices = match eraser {
        Some(_) => 0,
        None => {
            if let Ok(id) = Uuid::try_parse(person) {
                let begun = Eraser::begin(transaction, id).await;
                *eraser = begun.map_err(|error| database_problem(&error))?;
            }
            let forgotten = forget_choices(transaction, person).await;
            forgotten.map_err(|error| database_problem(&error))?
        }
    };
    let mut answer = match eraser {
        Some(eraser) => erase_part(eraser, transaction, so_far).await?,
        None => json!(Erasure::nothing(Uuid::nil())),
    };
    answer["person_id"] = json!(person);
    answer["choices"] = json!(earlier.unwrap_or_default() + choices);
    Ok(answer)
}

async fn begin(transaction: &Transaction, person_id: Uuid) -> Result<Eraser, Problem> {
    let eraser = Eraser::begin(transaction, person_id).await;
    let unknown = || {
        Problem::new(StatusCode::NOT_FOUND, "no booking refers to this person").with("field", "id")
    };
    eraser
        .map_err(|error| database_problem(&error))?
        .ok_or_else(unknown)
}

async fn erase_part(
    eraser: &mut Eraser,
    transaction: &Transaction,
    so_far: Option<Value>,
) -> Answer {
    let part = eraser.erase_part(transaction).await;
    let part = part.map_err(|error| database_problem(&error))?;
    Ok(match so_far.and_then(erasure) {
        Some(earlier) => json!(earlier.followed_by(&part)),
        None => json!(part),
    })
}

fn erasure(answer: Value) -> Option<Erasure> {
    serde_json::from_value(answer).ok()
}

/// How far an erasure came, from its answer.
fn progress(answer: &Value) -> Progress {
    match erasure(answer.clone()) {
        Some(erasure) if erasure.has_more() => Progress::More,
        Some(erasure) if !erasure.is_complete() => Progress::Later,
        _ => Progress::Complete,
    }
}
