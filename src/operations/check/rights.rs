//! What the role that is connected may do.

use tokio_postgres::types::Type;

use crate::database::{Result, Transaction};
use crate::operations::check::finding::{Finding, Intent, Topic};

/// Our tables that a pass, delivery and upkeep write.
const WRITTEN: [&str; 12] = [
    "automation_runs",
    "booking_automation_callers",
    "booking_automation_channels",
    "booking_automation_erasures",
    "booking_automation_events",
    "booking_automation_feedback",
    "booking_automation_looks",
    "booking_automation_requests",
    "booking_automation_state",
    "booking_automation_suppressions",
    "booking_automation_webhooks",
    "reminder_rules",
];

/// Looks at the rights on the tables that are there.
pub(crate) async fn look(
    transaction: &Transaction,
    intent: Intent,
    is_up_to_date: bool,
) -> Result<Vec<Finding>> {
    let row = transaction
        .query_one(include_str!("bookings.sql"), &[])
        .await?;
    let mut findings = Vec::new();
    if row.get("rows_are_hidden") {
        findings.push(Finding::error(
            Topic::Rights,
            "row-level security is in force for this role on bookings, so that it may not see \
             them all",
            "give it BYPASSRLS, or use the owner's without FORCE ROW LEVEL SECURITY",
        ));
    }
    let (is_owner, may_create): (bool, bool) = (row.get("is_owner"), row.get("may_create"));
    if !(is_up_to_date || is_owner && may_create) {
        let text = "this role cannot migrate: it does not own bookings, or may not create tables \
                    in the schema public";
        let owner: &str = row.get("owner");
        let remedy = format!("run migrate as the owner of bookings, {owner}");
        findings.push(match intent {
            Intent::Check => Finding::warning(Topic::Rights, text, remedy),
            Intent::Migrate { .. } => Finding::error(Topic::Rights, text, remedy),
        });
    }
    findings.extend(missing_privileges(transaction).await?);
    if findings.is_empty() {
        let text = "this role may do what a pass does";
        findings.push(Finding::ok(Topic::Rights, text));
    }
    Ok(findings)
}

async fn missing_privileges(transaction: &Transaction) -> Result<Vec<Finding>> {
    let tables = &WRITTEN[..];
    let rows = transaction
        .query(
            include_str!("rights.sql"),
            &[(&tables as _, Type::TEXT_ARRAY)],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let relation: &str = row.get("relation");
            let privileges = row.get::<_, Vec<&str>>("privileges").join(", ");
            Finding::warning(
                Topic::Rights,
                format!("this role may not {privileges} on {relation}, and a pass needs it"),
                format!("run: GRANT {privileges} ON public.{relation} TO the role of the pass;"),
            )
        })
        .collect())
}
