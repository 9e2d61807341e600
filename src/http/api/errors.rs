//! Turns errors into problem answers.

use axum::http::StatusCode;
use serde_json::json;
use tokio_postgres::error::SqlState;

use crate::bookings::cancellation::tiers::RefundUndetermined;
use crate::bookings::status_change::StatusError;
use crate::database::{DatabaseError, migrate};
use crate::http::places::TRY_AGAIN_AFTER;
use crate::http::problem::Problem;

/// The answer to a refused status change.
pub(crate) fn status_problem(error: StatusError) -> Problem {
    match error {
        StatusError::NoBooking => no_booking(),
        StatusError::NotAllowed(not_allowed) => {
            let allowed: Vec<_> = not_allowed
                .allowed
                .iter()
                .map(|status| status.as_str())
                .collect();
            Problem::new(StatusCode::CONFLICT, not_allowed.to_string())
                .with("current", not_allowed.current)
                .with("allowed", allowed)
        }
        StatusError::RefundUndetermined(RefundUndetermined::Data(why)) => {
            Problem::new(StatusCode::CONFLICT, why)
        }
        StatusError::RefundUndetermined(RefundUndetermined::Setup(why)) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, why)
        }
        StatusError::OtherRefund(ref refund) => {
            Problem::new(StatusCode::CONFLICT, error.to_string())
                .with("field", "expected_refund")
                .with("refund", json!(refund))
        }
        StatusError::ChangedByTrigger(_) => Problem::new(StatusCode::CONFLICT, error.to_string()),
        StatusError::Database(error) => database_problem(&error),
    }
}

/// There is no booking with that id.
pub(crate) fn no_booking() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no such booking").with("field", "id")
}

/// A refusal by a constraint or trigger of the user's database, or a lock there, is a conflict
/// (409), not a server error. A statement that was too slow is no refusal.
pub(crate) fn database_problem(error: &DatabaseError) -> Problem {
    if error.code() == Some(&SqlState::UNDEFINED_TABLE) && migrate::is_schema_missing(error) {
        return unavailable(error);
    }
    if error.is_lock() {
        return Problem::new(
            StatusCode::CONFLICT,
            "another transaction is changing this booking right now; try again",
        );
    }
    if error.is_untranslatable() {
        return Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the database's encoding cannot store a character of this request",
        );
    }
    if error.is_too_slow() {
        tracing::warn!("the database took too long for a request to the support API");
        return Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the database took too long; try again, or ask for less",
        )
        .retry_after(TRY_AGAIN_AFTER);
    }
    if error.is_of_a_row() {
        tracing::warn!(
            error = error.loggable(),
            "the database refused a request to the support API"
        );
        return Problem::new(
            StatusCode::CONFLICT,
            "the database refuses this change; the log says why",
        );
    }
    unavailable(error)
}

/// The database cannot be reached, or has no schema.
pub(crate) fn unavailable(error: &DatabaseError) -> Problem {
    tracing::error!("{}", error.loggable());
    if migrate::is_schema_missing(error) {
        return Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the database has not been migrated",
        );
    }
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the database cannot be reached; the log says why",
    )
}
