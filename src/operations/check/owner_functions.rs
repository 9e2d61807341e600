//! The two functions that the owner may replace: which bookings are live, and what was paid.

use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::database::owner_defaults::{Columns, Derived};
use crate::database::owner_functions::{AMOUNT_PAID, IS_LIVE, is_default_sql};
use crate::database::{Result, Transaction};
use crate::operations::check::finding::{Finding, Topic};
use crate::operations::check::functions::is_trusted_sql;

const READ_THE_GUIDE: &str = "docs/install.md says how to write it";

/// How long a function may take for ten bookings.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(1);

/// What each may return. Of amounts, the type says whether they are whole numbers, whose unit
/// `PRICE_UNIT` says.
const RETURNS: [(&str, &[&str]); 2] = [
    (IS_LIVE, &["boolean"]),
    (AMOUNT_PAID, &["numeric", "bigint"]),
];

/// Looks at those that are there, and at the columns that they should read.
pub(crate) async fn look(transaction: &Transaction) -> Result<Vec<Finding>> {
    let columns = Columns::read(transaction).await?;
    let names = RETURNS.map(|(name, _)| name).to_vec();
    let parameters = [(&names as _, Type::TEXT_ARRAY)];
    let is_default = is_default_sql(transaction).await?;
    let sql = include_str!("owner_functions.sql")
        .replace("{is_default}", &is_default)
        .replace("{is_trusted}", &is_trusted_sql("p.proowner"));
    let rows = transaction.query(&sql, &parameters).await?;
    let mut findings = Vec::new();
    for (name, returns) in RETURNS {
        let of_name = rows.iter().filter(|row| row.get::<_, &str>("name") == name);
        let (of_rows, overloads): (Vec<_>, Vec<_>) =
            of_name.partition(|row| row.get("is_of_a_row"));
        findings.extend(overloads.into_iter().map(overload));
        let (of_bookings, of_others): (Vec<_>, Vec<_>) = of_rows
            .into_iter()
            .partition(|row| row.get("is_of_bookings"));
        let is_replaced = of_bookings
            .first()
            .is_some_and(|row| row.get::<_, Option<bool>>("is_default") != Some(true));
        if let Some(default) = columns.derived().find(|it| it.name == name && !is_replaced) {
            findings.extend(look_at_default(transaction, &default, !of_bookings.is_empty()).await?);
        }
        findings.extend(match of_bookings.first() {
            Some(row) => look_at_one(transaction, row, name, returns).await?,
            None => missing(&columns, name, &of_others),
        });
        let reads = of_bookings.first().map(|row| row.get("columns"));
        match name {
            IS_LIVE => findings.extend(unread_marks(&columns, reads)),
            _ => findings.extend(unread_amounts(&columns, reads)),
        }
    }
    Ok(findings)
}

async fn look_at_one(
    transaction: &Transaction,
    row: &Row,
    name: &str,
    returns: &[&str],
) -> Result<Vec<Finding>> {
    let mut findings = misfits(row, name, returns);
    if findings.is_empty() {
        let function = format!("public.{name}(public.bookings)");
        let sql = format!(
            "SELECT count(result) FROM (SELECT public.{name}(b.*) AS result FROM public.bookings b \
             LIMIT 10) AS results"
        );
        findings.extend(try_sample(transaction, &function, "correct it", &sql).await?);
    }
    if findings.is_empty() {
        let whose = match row.get("is_default") {
            Some(true) => " (as migrate derived it)",
            Some(false) => " (yours)",
            None => "",
        };
        let reads = match &row.get::<_, Vec<&str>>("columns")[..] {
            [] => "no column".to_owned(),
            columns => columns.join(", "),
        };
        let text = format!("{name}{whose} reads {reads}");
        findings.push(Finding::ok(Topic::Functions, text));
    }
    Ok(findings)
}

/// A call could mean this one, too.
fn overload(row: &Row) -> Finding {
    let (name, arguments): (&str, &str) = (row.get("name"), row.get("arguments"));
    let function = format!("public.{name}({arguments})");
    Finding::error(
        Topic::Functions,
        format!("the function {function} exists beside {name}(public.bookings)"),
        format!("drop or rename it: ALTER FUNCTION {function} RENAME TO …;"),
    )
}

/// What `migrate` would create must work: it reads other tables as this role.
async fn look_at_default(
    transaction: &Transaction,
    default: &Derived,
    exists: bool,
) -> Result<Vec<Finding>> {
    let owns = "SELECT pg_has_role(relowner, 'USAGE') AS owns FROM pg_class \
        WHERE oid = 'public.bookings'::regclass";
    let row = transaction.query_one(owns, &[]).await?;
    if !row.get::<_, bool>("owns") || (exists && default.is_current(transaction).await?) {
        return Ok(Vec::new());
    }
    let name = default.name;
    let subject = format!("the {name} that migrate would create");
    let remedy = format!("let this role read all rows, or create {name} yourself");
    let mut findings: Vec<_> = default
        .hidden
        .iter()
        .map(|table| {
            Finding::error(
                Topic::Functions,
                format!(
                    "{subject} reads public.{table}, \
                    of which row-level security hides rows from this role"
                ),
                format!("{remedy}; {READ_THE_GUIDE}"),
            )
        })
        .collect();
    findings.extend(try_sample(transaction, &subject, &remedy, &default.sample_sql()).await?);
    Ok(findings)
}

/// `migrate` creates its default; but not where the table was replaced, and the owner's is left
/// behind.
fn missing(columns: &Columns, name: &str, of_others: &[&Row]) -> Vec<Finding> {
    let mut findings: Vec<_> = of_others
        .iter()
        .filter(|row| row.get::<_, Option<bool>>("is_default") == Some(false))
        .map(|row| {
            let arguments: &str = row.get("arguments");
            Finding::error(
                Topic::Functions,
                format!(
                    "public.{name}({arguments}) is yours, and takes another table than bookings"
                ),
                format!("create it for public.bookings, or drop it; {READ_THE_GUIDE}"),
            )
        })
        .collect();
    let amounts = columns.amounts();
    if findings.is_empty() && name == AMOUNT_PAID && amounts.len() > 1 {
        findings.push(Finding::warning(
            Topic::Functions,
            format!(
                "migrate creates {name}: each refund is a part of the first of {} that is not NULL",
                amounts.join(", ")
            ),
            format!("replace it if these do not say what was paid; {READ_THE_GUIDE}"),
        ));
    }
    findings
}

fn misfits(row: &Row, name: &str, wanted: &[&str]) -> Vec<Finding> {
    let (returns, owner): (&str, &str) = (row.get("returns"), row.get("owner"));
    let function = format!("public.{name}(public.bookings)");
    let mut findings = Vec::new();
    if !wanted.contains(&returns) {
        findings.push(Finding::error(
            Topic::Functions,
            format!("{function} returns {returns}, not {}", wanted.join(" or ")),
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
                "{function} belongs to {owner}, who may not change bookings otherwise: what it \
                 does would be done by the role of the passes"
            ),
            format!("drop it, or run: ALTER FUNCTION {function} OWNER TO the owner of bookings;"),
        ));
    }
    findings
}

/// Columns that mark rows as deleted, and that are not read. `reads`: the columns that the function
/// reads; `None`: `migrate` creates it.
fn unread_marks(columns: &Columns, reads: Option<Vec<String>>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for table in ["bookings", "users", "services"] {
        for mark in columns.marks(table) {
            let is_read = match &reads {
                Some(reads) => reads.contains(&format!("{table}.{mark}")),
                None => columns.reads_mark(table, mark),
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

/// Columns with what was paid, none of which is read.
fn unread_amounts(columns: &Columns, reads: Option<Vec<String>>) -> Option<Finding> {
    let reads = reads.unwrap_or_else(|| {
        let amounts = columns.amounts().into_iter();
        amounts.map(|column| format!("bookings.{column}")).collect()
    });
    let paid: Vec<_> = columns
        .paid()
        .map(|column| format!("bookings.{column}"))
        .collect();
    let is_read = paid.iter().any(|column| reads.contains(column));
    (!paid.is_empty() && !is_read).then(|| {
        Finding::warning(
            Topic::Functions,
            format!(
                "{} may say what was paid, and {AMOUNT_PAID} does not read it: each refund is a \
                 part of something else",
                paid.join(", ")
            ),
            format!("replace the function if it should; {READ_THE_GUIDE}"),
        )
    })
}

/// Evaluates a function for ten bookings.
async fn try_sample(
    transaction: &Transaction,
    function: &str,
    remedy: &str,
    sql: &str,
) -> Result<Option<Finding>> {
    let call = async |transaction: &Transaction| transaction.query_one(sql, &[]).await;
    match transaction.in_savepoint(SAMPLE_TIMEOUT, call).await {
        Ok(_) => Ok(None),
        Err(error) if error.is_lost_connection() => Err(error),
        Err(error) => Ok(Some(Finding::error(
            Topic::Functions,
            format!(
                "{function} fails for one of ten bookings: {}",
                error.message()
            ),
            format!("{remedy}; {READ_THE_GUIDE}"),
        ))),
    }
}
