//! Two functions beside the view of the contacts, which the owner may replace:
//! `booking_automation_is_live(bookings)` and `booking_automation_amount_paid(bookings)`.
//!
//! `migrate` derives a default of each from the columns that the database has, and derives it anew
//! when these change. A function that the owner has replaced stays as it is: the table of functions
//! has a digest of what `migrate` created last.
//!
//! The bodies are `RETURN …`: what they name is bound when they are created, whatever the path of
//! the session that calls them, and the planner inlines one that reads nothing but its booking. One
//! that reads other tables does so as its owner, so that the role of the passes needs no rights on
//! them.

use std::collections::BTreeMap;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::database::{BASE_TYPE, IS_WHOLE, Result, Transaction};

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
const PRICE: &str = "total_price";
const NUMBERS: [&str; 6] = ["int2", "int4", "int8", "numeric", "float4", "float8"];

/// SQL of the oid of the function that takes a booking, by its name; NULL: there is none.
pub(crate) fn function_oid_sql(name: &str) -> String {
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

/// A column.
struct Column {
    /// Its type, by PostgreSQL's own name.
    type_name: String,
    /// Whether it is a type of whole numbers.
    is_whole: bool,
}

/// The columns of `bookings`, `users` and `services`, by table and name.
pub(crate) struct Columns(BTreeMap<(String, String), Column>);

impl Columns {
    pub(crate) async fn read(transaction: &Transaction) -> Result<Self> {
        let sql = include_str!("owner_functions.sql")
            .replace("{base_type}", BASE_TYPE)
            .replace("{is_whole}", IS_WHOLE);
        let rows = transaction.query(&sql, &[]).await?;
        let column = |row: &Row| {
            let type_name: Option<String> = row.get("type");
            let column = Column {
                type_name: type_name.unwrap_or_default(),
                is_whole: row.get("is_whole"),
            };
            ((row.get("relation"), row.get("name")), column)
        };
        Ok(Self(rows.iter().map(column).collect()))
    }

    fn find(&self, table: &str, column: &str) -> Option<&Column> {
        self.0.get(&(table.to_owned(), column.to_owned()))
    }

    fn type_of(&self, table: &str, column: &str) -> Option<&str> {
        self.find(table, column).map(|column| &column.type_name[..])
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

    /// Whether a column of `bookings` holds whole numbers; `None`: no numbers.
    fn is_whole_number(&self, column: &str) -> Option<bool> {
        let column = self.find("bookings", column)?;
        NUMBERS
            .contains(&&column.type_name[..])
            .then_some(column.is_whole)
    }

    /// The columns of `bookings` that say by their name what was paid.
    pub(crate) fn paid(&self) -> impl Iterator<Item = &'static str> {
        let is_number = |column: &&str| self.is_whole_number(column).is_some();
        PAID.into_iter().filter(is_number)
    }

    /// The columns by which the default of [`AMOUNT_PAID`] goes: the first that is not NULL. Cents and
    /// euros are not mixed: all are of whole numbers, or none is.
    pub(crate) fn amounts(&self) -> Vec<&'static str> {
        let price = self.is_whole_number(PRICE);
        let is_alike = |paid: &&str| price.is_none() || self.is_whole_number(paid) == price;
        let paid = self.paid().next().filter(is_alike);
        paid.into_iter().chain(price.map(|_| PRICE)).collect()
    }

    /// The statement that creates the default of [`AMOUNT_PAID`]; none: no column has a number.
    fn amount_paid(&self) -> Option<String> {
        let amounts = self.amounts();
        let returns = match self.is_whole_number(amounts.first()?)? {
            true => "bigint",
            false => "numeric",
        };
        let amounts: Vec<_> = amounts
            .iter()
            .map(|column| format!("(booking).{column}::{returns}"))
            .collect();
        let body = format!("COALESCE({})", amounts.join(", "));
        Some(create(AMOUNT_PAID, returns, "", &body))
    }
}

fn create(name: &str, returns: &str, properties: &str, body: &str) -> String {
    format!(
        "CREATE FUNCTION public.{name}(booking public.bookings)
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
    let state = State::read(transaction, name).await?;
    let parameters = [(&name as _, Type::TEXT), (&text as _, Type::TEXT)];
    let is_current = "SELECT split_part(digest, ' ', 1) = md5($2) AS is_current
                        FROM public.booking_automation_functions WHERE name = $1";
    match state {
        State::Replaced => return Ok(false),
        State::Default => {
            let row = transaction.query_one(is_current, &parameters).await?;
            if row.get("is_current") {
                return Ok(false);
            }
            // Its result may have another type.
            let drop = format!("DROP FUNCTION public.{name}(public.bookings)");
            transaction.batch(&drop).await?;
        }
        State::Missing => {}
    }
    transaction.batch(text).await?;
    // It may read other tables as its owner.
    let grant = format!(
        "REVOKE EXECUTE ON FUNCTION public.{name}(public.bookings) FROM PUBLIC;
         SELECT public.booking_automation_grant_to_passes('EXECUTE ON FUNCTION public.{name}(public.bookings)')"
    );
    transaction.batch(&grant).await?;
    // Digests of the text, and of what the server made of it.
    let record = format!(
        "INSERT INTO public.booking_automation_functions (name, version, digest)
         SELECT $1, 0, concat_ws(' ', md5($2), {DIGEST}) FROM pg_proc p WHERE p.oid = {oid}
         ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, applied_at = now()",
        oid = function_oid_sql(name)
    );
    transaction.execute(&record, &parameters).await?;
    Ok(true)
}

/// A digest of the function `p`, whatever the names of its table and its columns.
const DIGEST: &str = "md5(concat_ws(' ', p.prosrc, pg_get_function_sqlbody(p.oid), p.prorettype, p.prosecdef, p.procost))";

/// SQL of a boolean: the function `p` is as `migrate` created it; NULL: this role may not know.
pub(crate) async fn is_default_sql(transaction: &Transaction) -> Result<String> {
    let may_read = "SELECT has_table_privilege(to_regclass('public.booking_automation_functions'), 'SELECT') AS may_read";
    let row = transaction.query_one(may_read, &[]).await?;
    Ok(match row.get("may_read") {
        Some(true) => format!(
            "EXISTS (SELECT FROM public.booking_automation_functions f
                      WHERE f.name = p.proname AND split_part(f.digest, ' ', 2) = {DIGEST})"
        ),
        Some(false) => "NULL::boolean".to_owned(),
        // There is no record.
        None => "false".to_owned(),
    })
}

/// What became of one of the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Missing,
    /// It is as `migrate` created it.
    Default,
    /// It is the owner's.
    Replaced,
}

impl State {
    pub(crate) async fn read(transaction: &Transaction, name: &str) -> Result<Self> {
        let is_default = is_default_sql(transaction).await?;
        let oid = function_oid_sql(name);
        let sql = format!("SELECT {is_default} AS is_default FROM pg_proc p WHERE p.oid = {oid}");
        let rows = transaction.query(&sql, &[]).await?;
        Ok(match rows.first().map(|row| row.get("is_default")) {
            None => Self::Missing,
            Some(Some(true)) => Self::Default,
            Some(Some(false) | None) => Self::Replaced,
        })
    }
}
