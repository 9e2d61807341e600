//! Whether the view of the contacts is still as `migrate` created it. If not, it is the owner's.

use crate::database::{Begin, Database, Result};

/// The step that creates the view.
const STEP: &str = include_str!("../../../../migrations/06_contacts_view.sql");

/// Creates the shipped view as a temporary one, in a transaction that is rolled back, and compares
/// the definitions as the server prints them. Where that fails, for example because the shipped
/// view does not fit the tables, the view is not the shipped one.
pub(crate) async fn is_as_shipped(database: &Database) -> bool {
    compare(database).await.unwrap_or(false)
}

async fn compare(database: &Database) -> Result<bool> {
    let Some(query) = shipped_query(STEP) else {
        return Ok(false);
    };
    let (transaction, _) = database.begin(&Begin::default(), "").await?;
    let create = format!(
        "SET LOCAL search_path = public, pg_temp;
         CREATE TEMP VIEW booking_automation_shipped_contacts AS {query}"
    );
    transaction.batch(&create).await?;
    let compare = "SELECT coalesce(
                          pg_get_viewdef(to_regclass('pg_temp.booking_automation_shipped_contacts'))
                          = pg_get_viewdef(to_regclass('public.booking_automation_contacts')),
                          false) AS equal";
    let equal = transaction.query_one(compare, &[]).await?.get("equal");
    transaction.rollback().await?;
    Ok(equal)
}

/// The view's query in the text of the step.
fn shipped_query(step: &str) -> Option<&str> {
    let (_, after) = step.split_once("booking_automation_contacts AS\n")?;
    after.split_once(';').map(|(query, _)| query)
}

#[cfg(test)]
mod tests {
    use super::{STEP, shipped_query};

    #[test]
    fn the_step_has_the_query() {
        let query = shipped_query(STEP).unwrap_or_default().trim();
        assert!(
            query.contains("booking_id") && query.ends_with("b.service_id"),
            "{query}"
        );
    }
}
