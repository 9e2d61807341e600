//! `/bookings/{id}/…`: status, block, cancellation, timeline.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde_json::json;
use uuid::Uuid;

use crate::bookings::cancellation::terms;
use crate::bookings::cancellation::tiers::is_amount;
use crate::bookings::lifecycle::{Role, Status, TABLE};
use crate::bookings::status_change::{Actor, StatusRequest, change_status as change};
use crate::bookings::unblock::unblock;
use crate::http::api::errors::{database_problem, no_booking, status_problem};
use crate::http::api::guard::{
    Api, ApiResponse, Authorized, PathId, authorize, idempotently, parse_path_id, read_only,
};
use crate::http::params::{BodyParams, malformed, unprocessable};
use crate::http::problem::{Problem, method_not_allowed};
use crate::support;

/// Longest id of an actor, and longest reason, in characters.
const LONGEST_ID: usize = 200;
const LONGEST_REASON: usize = 1_000;

/// `POST /bookings/{id}/status`
pub(crate) async fn change_status(
    State(api): State<Arc<Api>>,
    id: PathId,
    request: Request,
) -> ApiResponse {
    let authorized = authorize(&api, "POST", request).await?;
    let booking_id = parse_path_id(id)?;
    let body = BodyParams::of(&authorized.body, &["to", "actor", "reason"])?;
    let to = Status::from_name(&body.text("to")?)
        .filter(|status| TABLE.iter().any(|step| step.to == *status));
    let to = to.ok_or_else(|| {
        unprocessable(
            "to",
            &format!("takes one of these statuses: {}", target_statuses()),
        )
    })?;
    let actor = parse_actor(&body)?;
    let request = StatusRequest {
        to,
        actor: &actor,
        no_show: false,
        expected_refund: None,
    };
    take_step(&api, &authorized, booking_id, &request).await
}

/// `GET` and `POST /bookings/{id}/cancellation`
pub(crate) async fn cancellation(
    state: State<Arc<Api>>,
    id: PathId,
    request: Request,
) -> ApiResponse {
    match request.method().as_str() {
        "GET" => cancellation_terms(state, id, request).await,
        "POST" => cancel(state, id, request).await,
        _ => Err(method_not_allowed("GET, POST")),
    }
}

async fn cancellation_terms(
    State(api): State<Arc<Api>>,
    id: PathId,
    request: Request,
) -> ApiResponse {
    let authorized = authorize(&api, "GET", request).await?;
    let booking_id = parse_path_id(id)?;
    let (settings, money) = (
        &api.automation.settings().transitions,
        api.automation.settings().money,
    );
    let terms = read_only(&api, &authorized, async |transaction, as_of| {
        let terms = terms::terms(transaction, settings, money, as_of, booking_id).await;
        terms
            .map(|terms| json!(terms))
            .map_err(|error| status_problem(error.into()))
    });
    Ok(Json(terms.await?))
}

async fn cancel(State(api): State<Arc<Api>>, id: PathId, request: Request) -> ApiResponse {
    let authorized = authorize(&api, "POST", request).await?;
    let booking_id = parse_path_id(id)?;
    let body = BodyParams::of(
        &authorized.body,
        &["actor", "reason", "no_show", "expected_refund"],
    )?;
    let actor = parse_actor(&body)?;
    let no_show = body.flag("no_show")?;
    let expected_refund = body.optional_text("expected_refund", usize::MAX)?;
    if expected_refund
        .as_deref()
        .is_some_and(|text| !is_amount(text))
    {
        return Err(unprocessable("expected_refund", "takes an amount such as 12.50").into());
    }
    let expected_refund = expected_refund.as_deref();
    let request = StatusRequest {
        to: Status::Cancelled,
        actor: &actor,
        no_show,
        expected_refund,
    };
    take_step(&api, &authorized, booking_id, &request).await
}

async fn take_step(
    api: &Api,
    authorized: &Authorized,
    booking_id: Uuid,
    request: &StatusRequest<'_>,
) -> ApiResponse {
    let (settings, money) = (
        &api.automation.settings().transitions,
        api.automation.settings().money,
    );
    let changed = idempotently(api, authorized, async |transaction, as_of| {
        let changed = change(transaction, settings, money, as_of, booking_id, request).await;
        changed
            .map(|changed| json!(changed))
            .map_err(status_problem)
    });
    Ok(Json(changed.await?))
}

/// `DELETE /bookings/{id}/block`
pub(crate) async fn lift_block(
    State(api): State<Arc<Api>>,
    id: PathId,
    request: Request,
) -> ApiResponse {
    let authorized = authorize(&api, "DELETE", request).await?;
    let booking_id = parse_path_id(id)?;
    let settings = &api.automation.settings().transitions;
    let lifted = idempotently(&api, &authorized, async |transaction, as_of| {
        let unblocked = unblock(transaction, settings, as_of, booking_id).await;
        unblocked
            .map(|unblocked| json!(unblocked))
            .map_err(status_problem)
    });
    Ok(Json(lifted.await?))
}

/// `GET /bookings/{id}/timeline`
pub(crate) async fn timeline(
    State(api): State<Arc<Api>>,
    id: PathId,
    request: Request,
) -> ApiResponse {
    let authorized = authorize(&api, "GET", request).await?;
    let booking_id = parse_path_id(id)?;
    let settings = &api.automation.settings().transitions;
    let timeline = read_only(&api, &authorized, async |transaction, as_of| {
        let timeline = support::timeline::timeline(transaction, settings, as_of, booking_id).await;
        let timeline = timeline.map_err(|error| database_problem(&error))?;
        timeline
            .map(|timeline| json!(timeline))
            .ok_or_else(no_booking)
    });
    Ok(Json(timeline.await?))
}

fn parse_actor(body: &BodyParams) -> Result<Actor, Problem> {
    const ROLES: &str = "takes customer, provider, admin or system";
    let members = body.object("actor", &["role", "id"])?;
    let role = members
        .text("role")
        .map_err(|_| malformed("actor.role", ROLES))?;
    let role = Role::from_name(&role).filter(|role| *role != Role::Automation);
    Ok(Actor {
        role: role.ok_or_else(|| unprocessable("actor.role", ROLES))?,
        id: members
            .optional_text("id", LONGEST_ID)?
            .map(parse_actor_id)
            .transpose()?,
        reason: body
            .optional_text("reason", LONGEST_REASON)?
            .filter(|reason| !reason.trim().is_empty()),
    })
}

/// The audit trail shows this id, so it must not be an address or a name. A UUID is written in the
/// usual lower-case form.
fn parse_actor_id(id: String) -> Result<String, Problem> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if id.is_empty() || !id.bytes().all(plain) {
        return Err(unprocessable(
            "actor.id",
            "takes an id: letters, digits, and . _ : -",
        ));
    }
    Ok(Uuid::try_parse(&id).map_or(id, |id| id.to_string()))
}

fn target_statuses() -> String {
    let mut statuses: Vec<_> = TABLE.iter().map(|step| step.to.as_str()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses.join(", ")
}
