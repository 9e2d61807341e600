//! Notices that are held, because one transaction changed too many bookings.

use crate::database::{Result, Transaction};
use crate::operations::check::finding::{Finding, Topic};

/// The step that creates the queue of notices.
pub(crate) const QUEUE: &str = "22_notices";

/// Says how many wait for a decision.
pub(crate) async fn look(transaction: &Transaction) -> Result<Vec<Finding>> {
    let sql = "SELECT count(*) AS notices, count(DISTINCT transaction) AS transactions
                 FROM public.booking_automation_notices WHERE held_since IS NOT NULL";
    let row = transaction.query_one(sql, &[]).await?;
    let (notices, transactions): (i64, i64) = (row.get("notices"), row.get("transactions"));
    if notices == 0 {
        return Ok(Vec::new());
    }
    let text = format!(
        "{notices} notices about {transactions} transactions that changed more than a hundred \
         bookings each are held"
    );
    let hint = "GET /notices/held lists them; POST /notices/held/<transaction>/release or /drop";
    Ok(vec![Finding::warning(Topic::Notices, text, hint)])
}
