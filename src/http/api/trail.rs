//! `GET /events`: the audit trail in pages.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde_json::json;

use crate::delivery::event::EventStatus;
use crate::http::api::errors::database_problem;
use crate::http::api::guard::{Api, ApiResponse, authorize, read_only};
use crate::http::params::{QueryParams, parse_id, unprocessable};
use crate::http::problem::Problem;
use crate::support::trail::{LARGEST_PAGE, TrailFilter, read_page};

/// Events per page, by default.
const USUAL_PAGE: i64 = 100;

pub(crate) async fn list_events(State(api): State<Arc<Api>>, request: Request) -> ApiResponse {
    let authorized = authorize(&api, "GET", request).await?;
    let known = [
        "booking", "type", "status", "since", "until", "before", "limit",
    ];
    let query = QueryParams::of(&authorized.query, &known)?;
    let filter = TrailFilter {
        booking_id: query
            .get("booking")
            .map(|id| parse_id("booking", id))
            .transpose()?,
        event_type: query.get("type").map(str::to_owned),
        status: query.get("status").map(parse_status).transpose()?,
        since: query.time("since")?,
        until: query.time("until")?,
    };
    let before = query.number("before", 1..=i64::MAX)?.unwrap_or(i64::MAX);
    let rows = query
        .number("limit", 1..=LARGEST_PAGE)?
        .unwrap_or(USUAL_PAGE);
    let page = read_only(&api, &authorized, async |transaction, _| {
        let page = read_page(transaction, &filter, before, rows).await;
        page.map(|page| json!(page))
            .map_err(|error| database_problem(&error))
    });
    Ok(Json(page.await?))
}

fn parse_status(text: &str) -> Result<EventStatus, Problem> {
    EventStatus::from_name(text).ok_or_else(|| {
        unprocessable(
            "status",
            "takes pending, sending, completed, failed or skipped",
        )
    })
}
