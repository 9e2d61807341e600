//! The two functions that the owner may replace: which bookings are live, and what was paid.

use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::database::owner_functions::{AMOUNT_PAID, Columns, IS_LIVE};
use crate::database::{Result, Transaction};
use crate::operations::check::finding::{Finding, Topic};

const READ_THE_GUIDE: &str = "docs/install.md says how to write it";

/// How long a function may take for ten bookings.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(1);

/// What each must return.
const RETURNS: [(&str, &str); 2] = [(IS_LIVE, "boolean"), (AMOUNT_PAID, "numeric")];

/// Looks at those that are there, and at what marks rows as deleted.
pub(crate) async fn look(transaction: &Transaction) -> Result<Vec<Finding>> {
    let names = RETURNS.map(|(name, _)| name).to_vec();
    let rows = transaction
        .query(
            include_str!("owner_functions.sql"),
            &[(&names as _, Type::TEXT_ARRAY)],
        )
        .await?;
    let function = |name: &str| rows.iter().find(|row| row.get::<_, &str>("name") == name);
    let mut findings = Vec::new();
    for (name, returns) in RETURNS {
        if let Some(row) = function(name) {
            let misfits = misfits(row, name, returns);
            if misfits.is_empty() {
                findings.extend(try_sample(transaction, name).await?);
            }
            findings.extend(misfits);
        }
    }
    let columns = Columns::read(transaction).await?;
    let reads = function(IS_LIVE).map(|row| row.get::<_, Vec<String>>("columns"));
    findings.extend(unread_marks(&columns, reads.as_deref()));
    if findings.is_empty() {
        findings.push(match reads {
            Some(reads) if reads.is_empty() => Finding::ok(
                Topic::Functions,
                "booking_automation_is_live reads no column: all bookings are treated alike",
            ),
            Some(reads) => Finding::ok(
                Topic::Functions,
                format!("booking_automation_is_live reads {}", reads.join(", ")),
            ),
            None => Finding::ok(
                Topic::Functions,
                "migrate creates booking_automation_is_live and booking_automation_amount_paid",
            ),
        });
    }
    Ok(findings)
}

fn misfits(row: &Row, name: &str, wanted: &str) -> Vec<Finding> {
    let (returns, owner): (&str, &str) = (row.get("returns"), row.get("owner"));
    let function = format!("public.{name}(public.bookings)");
    let mut findings = Vec::new();
    if returns != wanted {
        findings.push(Finding::error(
            Topic::Functions,
            format!("{function} returns {returns}, not {wanted}"),
            format!("drop it, and create it anew; {READ_THE_GUIDE}"),
        ));
    }
    if !row.get::<_, bool>("is_bound") {
        findings.push(Finding::error(
            Topic::Functions,
            format!(
                "the body of {function} is a text: it would be read with the search_path of the \
                 program, and not be inlined"
            ),
            format!("write the body as RETURN …; {READ_THE_GUIDE}"),
        ));
    }
    if !row.get::<_, bool>("is_of_the_owner") {
        findings.push(Finding::error(
            Topic::Functions,
            format!(
                "{function} belongs to {owner}, who may not change bookings otherwise: what it does \
                 would be done by the role of the passes"
            ),
            format!("drop it, or run: ALTER FUNCTION {function} OWNER TO the owner of bookings;"),
        ));
    }
    findings
}

/// Columns that mark rows as deleted, and that are not read. `reads`: the columns that the function
/// reads; `None`: `migrate` creates it.
fn unread_marks(columns: &Columns, reads: Option<&[String]>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for table in ["bookings", "users", "services"] {
        for mark in columns.marks(table) {
            let is_read = match reads {
                Some(reads) => reads.contains(&format!("{table}.{mark}")),
                None => columns.is_deleted(table, table, mark).is_some(),
            };
            if !is_read {
                findings.push(Finding::warning(
                    Topic::Functions,
                    format!(
                        "{table}.{mark} may mark deleted rows, and booking_automation_is_live does \
                         not read it: their bookings are changed and reminded of"
                    ),
                    format!("replace the function if they should not be; {READ_THE_GUIDE}"),
                ));
            }
        }
    }
    findings
}

/// Calls a function for ten bookings.
async fn try_sample(transaction: &Transaction, name: &str) -> Result<Option<Finding>> {
    let sql = format!(
        "SELECT count(public.{name}(b)) AS calls FROM (SELECT * FROM public.bookings LIMIT 10) AS b"
    );
    let call = async |transaction: &Transaction| transaction.query_one(&sql, &[]).await;
    match transaction.in_savepoint(SAMPLE_TIMEOUT, call).await {
        Ok(_) => Ok(None),
        Err(error) if error.is_lost_connection() => Err(error),
        Err(error) => Ok(Some(Finding::error(
            Topic::Functions,
            format!(
                "public.{name}(public.bookings) fails for one of ten bookings: {}",
                error.message()
            ),
            format!("correct it; {READ_THE_GUIDE}"),
        ))),
    }
}
