//! Two functions beside the view of the contacts, which the owner may replace:
//! `booking_automation_is_live(bookings)` and `booking_automation_amount_paid(bookings)`.
//!
//! `migrate` derives a default of each from the columns that the database has, and derives it anew
//! when these change. A function that the owner has replaced stays as it is: the ledger of functions
//! has the digest of what `migrate` created last.
//!
//! The bodies are `RETURN …`: what they name is bound when they are created, whatever the path of
//! the session that calls them, and the planner inlines one that reads nothing but its booking. One
//! that reads other tables does so as its owner, so that the role of the passes needs no rights on
//! them.

use std::collections::BTreeMap;

use tokio_postgres::types::Type;

use crate::database::{BASE_TYPE, Result, Transaction};

/// Which bookings are live.
pub(crate) const IS_LIVE: &str = "booking_automation_is_live";
/// What was paid for a booking.
pub(crate) const AMOUNT_PAID: &str = "booking_automation_amount_paid";

/// The columns by which applications mark a row as deleted.
pub(crate) const DELETED: [&str; 2] = ["deleted_at", "is_deleted"];
/// The columns with what was paid, or the part of the price that is paid when booking.
const PAID: [&str; 5] = [
    "amount_paid",
    "paid_amount",
    "deposit_paid",
    "deposit_amount",
    "deposit",
];
const NUMBERS: [&str; 6] = ["int2", "int4", "int8", "numeric", "float4", "float8"];

/// SQL of the identifier of the function that takes a booking, by its name; NULL: there is none.
pub(crate) fn identifier_sql(name: &str) -> String {
    format!(
        "(SELECT p.oid FROM pg_proc p
           WHERE p.pronamespace = 'public'::regnamespace AND p.proname = '{name}' AND p.pronargs = 1
             AND p.proargtypes[0] = (SELECT c.reltype FROM pg_class c WHERE c.oid = to_regclass('public.bookings')))"
    )
}

/// SQL of a boolean: the database can tell which bookings are live. Before `migrate` of 0.3.0, it
/// cannot.
pub(crate) const IS_KNOWN: &str = "to_regclass('public.booking_automation_not_live') IS NOT NULL";

/// Whether the database can tell which bookings are live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// By its function.
    Known,
    /// `migrate` has not created the function yet: all are.
    Unknown,
}

impl Liveness {
    /// From the value of [`IS_KNOWN`].
    pub(crate) fn of(is_known: bool) -> Self {
        match is_known {
            true => Self::Known,
            false => Self::Unknown,
        }
    }

    /// SQL of a boolean: the booking `b`, a row of `bookings`, is live.
    pub(crate) fn condition(self) -> &'static str {
        match self {
            Self::Known => "public.booking_automation_is_live(b) IS TRUE",
            Self::Unknown => "true",
        }
    }
}

/// The columns of `bookings`, `users` and `services`, with their types by PostgreSQL's own names.
pub(crate) struct Columns(BTreeMap<(String, String), String>);

impl Columns {
    pub(crate) async fn read(transaction: &Transaction) -> Result<Self> {
        let sql = include_str!("owner_functions.sql").replace("{base_type}", BASE_TYPE);
        let rows = transaction.query(&sql, &[]).await?;
        let column = |row: &tokio_postgres::Row| {
            let type_name: Option<String> = row.get("type");
            let key = (row.get("relation"), row.get("name"));
            (key, type_name.unwrap_or_default())
        };
        Ok(Self(rows.iter().map(column).collect()))
    }

    fn type_of(&self, table: &str, column: &str) -> Option<&str> {
        let key = (table.to_owned(), column.to_owned());
        self.0.get(&key).map(String::as_str)
    }

    /// SQL that is true where a column marks its row as deleted; none: the type is not understood.
    pub(crate) fn is_deleted(&self, table: &str, row: &str, column: &str) -> Option<String> {
        Some(match self.type_of(table, column)? {
            "bool" => format!("{row}.{column} IS TRUE"),
            "timestamptz" | "timestamp" | "date" => format!("{row}.{column} IS NOT NULL"),
            // Seconds since 1970, where 0 is the usual default.
            "int2" | "int4" | "int8" => format!("COALESCE({row}.{column}, 0) <> 0"),
            _ => return None,
        })
    }

    /// The columns of [`DELETED`] that a table has.
    pub(crate) fn marks(&self, table: &str) -> impl Iterator<Item = &'static str> {
        let has = |column: &&str| self.type_of(table, column).is_some();
        DELETED.into_iter().filter(has)
    }

    /// SQL that is true where a row is marked as deleted; none: it has no such column.
    fn any_deleted(&self, table: &str, row: &str) -> Option<String> {
        let marks = self.marks(table);
        let conditions: Vec<_> = marks
            .filter_map(|column| self.is_deleted(table, row, column))
            .collect();
        (!conditions.is_empty()).then(|| conditions.join(" OR "))
    }

    /// The columns of `bookings` that refer to a table by its `id`.
    fn references(&self, table: &str, columns: &[&str]) -> Vec<String> {
        let id = self.type_of(table, "id");
        let refers = |column: &&&str| id.is_some() && self.type_of("bookings", column) == id;
        let found = columns.iter().filter(refers);
        found.map(|column| format!("(booking).{column}")).collect()
    }

    /// The rows of another table, marked as deleted, that a booking refers to.
    fn deleted_others(&self, table: &str, columns: &[&str]) -> Option<String> {
        let deleted = self.any_deleted(table, "other")?;
        let references = self.references(table, columns);
        (!references.is_empty()).then(|| {
            format!(
                "EXISTS (SELECT FROM public.{table} AS other WHERE other.id IN ({}) AND ({deleted}))",
                references.join(", ")
            )
        })
    }

    /// The statement that creates the default of [`IS_LIVE`].
    fn is_live(&self) -> String {
        let others = [
            self.deleted_others("users", &["customer_id", "provider_id"]),
            self.deleted_others("services", &["service_id"]),
        ];
        // It reads other tables as its owner. The cost has the planner test other conditions first.
        let as_owner = match others.iter().any(Option::is_some) {
            true => " SECURITY DEFINER COST 10000",
            false => "",
        };
        let own = self.any_deleted("bookings", "(booking)");
        let deleted: Vec<_> = [own].into_iter().chain(others).flatten().collect();
        let body = match deleted.is_empty() {
            true => "true".to_owned(),
            false => format!("NOT ({})", deleted.join("\n        OR ")),
        };
        create(IS_LIVE, "boolean", as_owner, &body)
    }

    /// The statement that creates the default of [`AMOUNT_PAID`]; none: no column has a number.
    fn amount_paid(&self) -> Option<String> {
        let is_number = |column: &&str| {
            let type_name = self.type_of("bookings", column);
            type_name.is_some_and(|name| NUMBERS.contains(&name))
        };
        let paid = PAID.into_iter().find(is_number);
        let amounts: Vec<_> = paid
            .into_iter()
            .chain(["total_price"].into_iter().filter(is_number))
            .map(|column| format!("(booking).{column}::numeric"))
            .collect();
        (!amounts.is_empty()).then(|| {
            let body = format!("COALESCE({})", amounts.join(", "));
            create(AMOUNT_PAID, "numeric", "", &body)
        })
    }
}

fn create(name: &str, returns: &str, properties: &str, body: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION public.{name}(booking public.bookings)
RETURNS {returns} LANGUAGE sql STABLE{properties}
RETURN {body}"
    )
}

/// Creates the defaults that are missing, and those that `migrate` created from other columns.
/// Returns their names.
pub(crate) async fn derive(transaction: &Transaction) -> Result<Vec<&'static str>> {
    let columns = Columns::read(transaction).await?;
    let mut derived = Vec::new();
    for (name, text) in [
        (IS_LIVE, Some(columns.is_live())),
        (AMOUNT_PAID, columns.amount_paid()),
    ] {
        if let Some(text) = text
            && derive_one(transaction, name, &text).await?
        {
            derived.push(name);
        }
    }
    Ok(derived)
}

async fn derive_one(transaction: &Transaction, name: &str, text: &str) -> Result<bool> {
    let parameters = [(&name as _, Type::TEXT), (&text as _, Type::TEXT)];
    let row = transaction.query_one(&state_sql(name), &parameters).await?;
    let exists: bool = row.get("exists");
    if exists && !row.get::<_, bool>("is_outdated_default") {
        return Ok(false);
    }
    transaction.batch(text).await?;
    if !exists {
        transaction.batch(&make_private(name)).await?;
    }
    transaction.execute(&record_sql(name), &parameters).await?;
    Ok(true)
}

/// The functions that are not as `migrate` created them.
pub(crate) async fn replaced(transaction: &Transaction) -> Result<Vec<&'static str>> {
    let has_record =
        "SELECT to_regclass('public.booking_automation_functions') IS NOT NULL AS found";
    let has_record: bool = transaction.query_one(has_record, &[]).await?.get("found");
    let mut replaced = Vec::new();
    for name in [IS_LIVE, AMOUNT_PAID] {
        // No text is empty: an unchanged default is outdated.
        let parameters = [(&name as _, Type::TEXT), (&"" as _, Type::TEXT)];
        if !has_record
            || !transaction
                .query_one(&state_sql(name), &parameters)
                .await?
                .get::<_, bool>("is_outdated_default")
        {
            replaced.push(name);
        }
    }
    Ok(replaced)
}

/// Whether the function exists, and whether it is a default of another text than `$2`. The
/// record has two digests: of the text, and of the function as the server prints it.
fn state_sql(name: &str) -> String {
    format!(
        "SELECT found.oid IS NOT NULL AS exists,
                coalesce(f.digest = concat_ws(' ', split_part(f.digest, ' ', 1), md5(pg_get_functiondef(found.oid)))
                         AND split_part(f.digest, ' ', 1) <> md5($2), false) AS is_outdated_default
           FROM (SELECT {identifier}) AS found (oid)
           LEFT JOIN public.booking_automation_functions f ON f.name = $1",
        identifier = identifier_sql(name)
    )
}

fn record_sql(name: &str) -> String {
    format!(
        "INSERT INTO public.booking_automation_functions (name, version, digest)
         SELECT $1, 0, concat_ws(' ', md5($2), md5(pg_get_functiondef({identifier})))
         ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, applied_at = now()",
        identifier = identifier_sql(name)
    )
}

/// Only the roles of passes may call it, since it may read other tables as its owner.
fn make_private(name: &str) -> String {
    format!(
        "REVOKE EXECUTE ON FUNCTION public.{name}(public.bookings) FROM PUBLIC;
         DO $$
         DECLARE
             granted record;
         BEGIN
             FOR granted IN
                 SELECT DISTINCT quote_ident(pg_get_userbyid(a.grantee)) AS role
                   FROM pg_class c, aclexplode(c.relacl) AS a
                  WHERE c.oid = 'public.automation_runs'::regclass AND a.privilege_type = 'INSERT'
                    AND a.grantee NOT IN (0, c.relowner)
             LOOP
                 EXECUTE format('GRANT EXECUTE ON FUNCTION public.{name}(public.bookings) TO %s', granted.role);
             END LOOP;
         END
         $$"
    )
}
