//! The view of the contacts: whether it can be read, by whom, and how fast.

use std::time::{Duration, Instant};

use tokio_postgres::types::Type;

use crate::database::schema::step_text;
use crate::database::{BASE_TYPE, DatabaseError, Result, Transaction};
use crate::operations::check::finding::{Finding, Topic};
use crate::operations::check::functions::is_trusted_sql;
use crate::operations::check::statuses::percent_of_pages;
use crate::reminders::hidden_rows::find_hidden_rows;

/// The columns that delivery reads.
const COLUMNS: [&str; 11] = [
    "booking_id",
    "audience",
    "email",
    "name",
    "timezone",
    "service",
    "with_name",
    "place",
    "meeting_link",
    "is_online",
    "place_timezone",
];
pub(crate) const VIEW_SAMPLE: &str = include_str!("view_sample.sql");
pub(crate) const SEVERAL: &str = include_str!("view_several.sql");
/// How many pages the sample is drawn from: so many that it is hardly ever empty.
const SEVERAL_PAGES: f32 = 10.0;
/// How long the sample may take.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(1);
/// A row of the view that takes longer than this makes each page of mails slow.
const SLOW_ROW: Duration = Duration::from_millis(50);

const READ_THE_GUIDE: &str = "docs/install.md lists the view's columns";

/// Whether the view that `migrate` creates would fit the tables.
pub(crate) async fn look_at_usual(transaction: &Transaction) -> Result<Vec<Finding>> {
    let text = step_text("06_contacts_view");
    let query = text
        .split_once("VIEW public.booking_automation_contacts AS")
        .and_then(|(_, rest)| rest.split_once(';'))
        .map_or("SELECT 1", |(query, _)| query);
    let sql = format!("SELECT FROM ({query}) AS contacts LIMIT 0");
    Ok(match transaction.query(&sql, &[]).await {
        Ok(_) => vec![Finding::ok(
            Topic::View,
            "migrate creates the view booking_automation_contacts over users and services",
        )],
        Err(error) if error.is_of_a_row() => vec![Finding::error(
            Topic::View,
            format!(
                "the view booking_automation_contacts does not fit these tables: {}",
                error.message()
            ),
            format!("create public.booking_automation_contacts yourself; {READ_THE_GUIDE}"),
        )],
        Err(error) => return Err(error),
    })
}

/// Whether the view that is there has what delivery reads, and shows all rows.
pub(crate) async fn look_at_columns(transaction: &Transaction) -> Result<Vec<Finding>> {
    let sql = include_str!("view.sql").replace("{base_type}", BASE_TYPE);
    let rows = transaction.query(&sql, &[]).await?;
    let column = |name: &str| rows.iter().find(|row| row.get::<_, &str>("name") == name);
    let mut findings = Vec::new();
    let missing: Vec<_> = COLUMNS
        .into_iter()
        .filter(|name| column(name).is_none())
        .collect();
    if !missing.is_empty() {
        findings.push(Finding::error(
            Topic::View,
            format!(
                "booking_automation_contacts has no column {}",
                missing.join(", ")
            ),
            format!("add them, as NULL::text where you have no value; {READ_THE_GUIDE}"),
        ));
    }
    if let Some(id) = column("booking_id")
        && id.get::<_, Option<&str>>("base") != Some("uuid")
    {
        let found: &str = id.get("type");
        findings.push(Finding::error(
            Topic::View,
            format!("booking_automation_contacts.booking_id is {found}: it must be uuid"),
            "cast it in the view",
        ));
    }
    findings.extend(of_stranger(transaction).await?);
    if let Some(hidden) = find_hidden_rows(transaction, true).await? {
        findings.push(Finding::error(
            Topic::View,
            format!(
                "row-level security on {} is in force for the role {}, as which \
                 booking_automation_contacts or booking_automation_is_live reads it: hidden people \
                 would never be reminded, and deleted ones would be",
                hidden.relation, hidden.reader
            ),
            "let the owner of that table own the view and the function, or give the role BYPASSRLS",
        ));
    }
    Ok(findings)
}

/// The functions that a view calls run as the role that reads it.
async fn of_stranger(transaction: &Transaction) -> Result<Option<Finding>> {
    let sql = format!(
        "SELECT pg_get_userbyid(c.relowner)::text AS owner, {} AS is_trusted
           FROM pg_class c WHERE c.oid = 'public.booking_automation_contacts'::regclass",
        is_trusted_sql("c.relowner")
    );
    let row = transaction.query_one(&sql, &[]).await?;
    let owner: &str = row.get("owner");
    Ok((!row.get::<_, bool>("is_trusted")).then(|| {
        Finding::warning(
            Topic::View,
            format!(
                "booking_automation_contacts belongs to {owner}, who may not change bookings \
                 otherwise: the functions that it calls run as the role of the passes"
            ),
            "if that role is not to be trusted with it, let the owner of bookings own the view",
        )
    }))
}

/// Reads the contacts of a few bookings.
pub(crate) async fn look_at_sample(transaction: &Transaction) -> Result<Vec<Finding>> {
    let started = Instant::now();
    let read = transaction.query_with_their_settings(SAMPLE_TIMEOUT, VIEW_SAMPLE, &[]);
    let rows: i64 = match read.await {
        Ok(rows) => rows.first().map_or(0, |row| row.get("rows")),
        Err(error) if error.is_statement_timeout() => {
            let text = "booking_automation_contacts took longer than a second for the contacts \
                        of ten bookings";
            return Ok(vec![slow(text.to_owned())]);
        }
        Err(error) if error.is_lost_connection() => return Err(error),
        Err(error) => return Ok(vec![failing(&error)]),
    };
    let Some(per_row) = u32::try_from(rows).ok().filter(|rows| *rows > 0) else {
        let text = "booking_automation_contacts can be read; there is no booking to try it with";
        return Ok(vec![Finding::ok(Topic::View, text)]);
    };
    let per_row = started.elapsed() / per_row;
    let text = format!(
        "booking_automation_contacts took {:.1} ms a row, for {rows} rows",
        per_row.as_secs_f64() * 1000.0
    );
    let speed = match per_row > SLOW_ROW {
        true => slow(text),
        false => Finding::ok(Topic::View, text),
    };
    let several = look_for_several(transaction).await?;
    Ok([vec![speed], several].concat())
}

/// Warns of rows that get no message: those beside another row for the same booking, audience and
/// recipient, of which one is read. Warns of a view that has rows of guests alone, too.
async fn look_for_several(transaction: &Transaction) -> Result<Vec<Finding>> {
    let percent = percent_of_pages(transaction, SEVERAL_PAGES).await?;
    let parameters = [(&percent as _, Type::FLOAT4)];
    let read = transaction.query_with_their_settings(SAMPLE_TIMEOUT, SEVERAL, &parameters);
    let rows = match read.await {
        Ok(rows) => rows,
        Err(error) if error.is_lost_connection() => return Err(error),
        // The other sample says what is wrong.
        Err(_) => return Ok(Vec::new()),
    };
    let count = |column| rows.first().map_or(0, |row| row.get::<_, i64>(column));
    let (several, guests_alone) = (count("several"), count("guests_alone"));
    let mut findings = Vec::new();
    if several > 0 {
        findings.push(Finding::warning(
            Topic::View,
            format!(
                "booking_automation_contacts has several rows for one audience and recipient of \
                 {several} of a hundred bookings: one of each gets messages, the others get none"
            ),
            "let the view have one row for each booking and audience, or tell guests apart by the \
             column recipient; docs/reminders.md describes it",
        ));
    }
    if guests_alone > 0 && guests_alone == count("read") {
        findings.push(Finding::warning(
            Topic::View,
            "every row of booking_automation_contacts for a hundred bookings has a recipient, so \
             each is a guest's: customers and providers get nothing",
            "let recipient be NULL in the rows of the customer and of the provider; \
             docs/reminders.md describes it",
        ));
    }
    Ok(findings)
}

fn slow(text: String) -> Finding {
    Finding::warning(
        Topic::View,
        text,
        "delivery reads it by booking_id and audience: let each of its tables have an index for \
         that",
    )
}

fn failing(error: &DatabaseError) -> Finding {
    Finding::error(
        Topic::View,
        format!(
            "booking_automation_contacts cannot be read for ten bookings: {}",
            error.message()
        ),
        format!("correct the view; {READ_THE_GUIDE}"),
    )
}
