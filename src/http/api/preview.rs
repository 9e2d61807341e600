//! `GET /preview`: what the coming passes would do.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use serde_json::json;

use crate::http::api::errors::database_problem;
use crate::http::api::guard::{Api, ApiResponse, authorize};
use crate::http::params::{QueryParams, malformed};
use crate::http::problem::{Problem, pass_failed};
use crate::primitives::duration::parse_duration;
use crate::support::preview::{self, LONGEST, SHORTEST, USUAL};
use crate::tick::error::PassError;

pub(crate) async fn preview(State(api): State<Arc<Api>>, request: Request) -> ApiResponse {
    let authorized = authorize(&api, "GET", request).await?;
    let time = preview_time(&QueryParams::of(&authorized.query, &["for"])?)?;
    let (_place, deadline) = api.places.take_large(authorized.deadline).await?;
    let (database, settings) = (api.automation.database(), api.automation.settings());
    match preview::preview(database, settings, api.as_of, time, deadline).await {
        Ok(preview) => Ok(Json(json!(preview))),
        Err(PassError::Database(error)) => Err(database_problem(&error).into()),
        Err(error) => Err(pass_failed(&error)),
    }
}

fn preview_time(query: &QueryParams) -> Result<Duration, Problem> {
    match query.get("for") {
        None => Ok(USUAL),
        Some(text) => parse_duration(text)
            .filter(|time| (SHORTEST..=LONGEST).contains(time))
            .ok_or_else(|| malformed("for", "takes a duration from 1m to 7d, such as 24h")),
    }
}
