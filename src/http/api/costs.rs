//! `GET /costs`: what messages cost, by day and channel.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde_json::json;

use crate::http::api::errors::database_problem;
use crate::http::api::guard::{Api, ApiResponse, authorize, read_only};
use crate::http::params::QueryParams;
use crate::support::costs::{MOST_DAYS, read_costs};

/// Days, by default.
const USUAL_DAYS: i64 = 30;

pub(crate) async fn costs(State(api): State<Arc<Api>>, request: Request) -> ApiResponse {
    let authorized = authorize(&api, "GET", request).await?;
    let query = QueryParams::of(&authorized.query, &["days"])?;
    let days = query.number("days", 1..=MOST_DAYS)?.unwrap_or(USUAL_DAYS);
    let costs = read_only(&api, &authorized, async |transaction, _| {
        let costs = read_costs(transaction, days).await;
        costs
            .map(|costs| json!(costs))
            .map_err(|error| database_problem(&error))
    });
    Ok(Json(costs.await?))
}
