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
use crate::people::preferences::forget_choices;
use crate::people::{self, message_person};

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

/// Erases all that is known of a person. Bookings refer to people by UUID: a person of another name
/// has messages as a guest only.
pub(crate) async fn erase_person(
    State(api): State<Arc<Api>>,
    id: PathId,
    request: Request,
) -> ApiResponse {
    let authorized = authorize(&api, "DELETE", request).await?;
    let person = parse_person(id)?;
    let mut erasing = Erasing::default();
    let mut parts = InParts::begin(&api, &authorized).await?;
    loop {
        let part = async |transaction: &Transaction, so_far: Option<Value>| {
            erasing.next_part(transaction, &person, so_far).await
        };
        let answer = parts.next(progress, part).await?;
        if let Some(problem) = erasing.problem.take() {
            return Err(problem.into());
        }
        if let Some(answer) = answer {
            return Ok(Json(answer));
        }
    }
}

/// How far the erasure of a person came in this call.
#[derive(Default)]
struct Erasing {
    are_choices_erased: bool,
    /// From the second part on, of a person with messages.
    eraser: Option<Eraser>,
    /// Why no messages were erased, after the choices were.
    problem: Option<Problem>,
}

impl Erasing {
    /// The first part erases the choices, whatever becomes of the messages.
    async fn next_part(
        &mut self,
        transaction: &Transaction,
        person: &str,
        so_far: Option<Value>,
    ) -> Answer {
        let earlier = so_far.as_ref().and_then(|it| it["choices"].as_i64());
        let mut choices = earlier.unwrap_or_default();
        let mut answer = if self.are_choices_erased {
            self.erase_messages(transaction, person, so_far).await?
        } else {
            let forgotten = forget_choices(transaction, person).await;
            choices += forgotten.map_err(|error| database_problem(&error))?;
            self.are_choices_erased = true;
            followed_by(so_far, &Erasure::not_begun(person))
        };
        answer["person_id"] = json!(person);
        answer["choices"] = json!(choices);
        Ok(answer)
    }

    /// The next part of the messages. Where the first one fails, so does the call.
    async fn erase_messages(
        &mut self,
        transaction: &Transaction,
        person: &str,
        so_far: Option<Value>,
    ) -> Answer {
        if let Some(eraser) = &mut self.eraser {
            return erase_part(eraser, transaction, so_far).await;
        }
        let begun = match Uuid::try_parse(person) {
            Ok(id) => Eraser::begin(transaction, id).await,
            Err(_) => Eraser::begin_guest(transaction, message_person(person)).await,
        };
        let part = match begun.map_err(|error| database_problem(&error)) {
            Ok(Some(eraser)) => {
                let eraser = self.eraser.insert(eraser);
                erase_part(eraser, transaction, so_far).await
            }
            Ok(None) => Ok(followed_by(so_far, &Erasure::nothing(person))),
            Err(problem) => Err(problem),
        };
        part.map_err(|problem| {
            self.problem = Some(problem);
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no messages were erased")
        })
    }
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
    Ok(followed_by(so_far, &part))
}

fn followed_by(so_far: Option<Value>, part: &Erasure) -> Value {
    match so_far.and_then(erasure) {
        Some(earlier) => json!(earlier.followed_by(part)),
        None => json!(part),
    }
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
