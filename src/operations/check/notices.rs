//! Notices that are held, because one transaction changed too many bookings.

use crate::database::{Result, Transaction};
use crate::operations::check::finding::{Finding, Topic};

/// The step that creates the queue of notices.
pub(crate) const QUEUE: &str = "22_notices";

/// Says how many wait for a decision.
pub(crate) async fn look(transaction: &Transaction) -> Result<Vec<Finding>> {
    let sql = "SELECT count(*) AS notices FROM public.booking_automation_notices \
        WHERE held_since IS NOT NULL";
    let notices: i64 = transaction.query_one(sql, &[]).await?.get("notices");
    if notices == 0 {
        return Ok(Vec::new());
    }
    let text = format!(
        "notices wait for your decision, since one transaction made more than 100 changes of a \
         kind: {notices}"
    );
    let hint = "GET /notices/held lists them; then POST …/release or …/drop";
    Ok(vec![Finding::warning(Topic::Notices, text, hint)])
}
