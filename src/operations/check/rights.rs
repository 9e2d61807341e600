//! What the role that is connected may do.

use tokio_postgres::types::Type;

use crate::database::owner_functions::{AMOUNT_PAID, IS_LIVE, function_oid_sql};
use crate::database::rights::NEEDED;
use crate::database::{Result, Transaction};
use crate::operations::check::finding::{Finding, Intent, Topic};

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
            Intent::Check { .. } => Finding::warning(Topic::Rights, text, remedy),
            Intent::Migrate(_) => Finding::error(Topic::Rights, text, remedy),
        });
    }
    findings.extend(missing_privileges(transaction).await?);
    findings.extend(functions_not_to_call(transaction).await?);
    if findings.is_empty() {
        let text = "this role may do what a pass does";
        findings.push(Finding::ok(Topic::Rights, text));
    }
    Ok(findings)
}

async fn missing_privileges(transaction: &Transaction) -> Result<Vec<Finding>> {
    let (relations, privileges): (Vec<_>, Vec<_>) = NEEDED.into_iter().unzip();
    let parameters = [
        (&relations as _, Type::TEXT_ARRAY),
        (&privileges as _, Type::TEXT_ARRAY),
    ];
    let rows = transaction
        .query(include_str!("rights.sql"), &parameters)
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

async fn functions_not_to_call(transaction: &Transaction) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for name in [IS_LIVE, AMOUNT_PAID] {
        let function = function_oid_sql(name);
        let sql = format!("SELECT has_function_privilege({function}, 'EXECUTE') AS may");
        let row = transaction.query_one(&sql, &[]).await?;
        if row.get::<_, Option<bool>>("may") == Some(false) {
            let function = format!("FUNCTION public.{name}(public.bookings)");
            findings.push(Finding::warning(
                Topic::Rights,
                format!("this role may not EXECUTE the {function}, and a pass needs it"),
                format!("run: GRANT EXECUTE ON {function} TO the role of the pass;"),
            ));
        }
    }
    Ok(findings)
}
