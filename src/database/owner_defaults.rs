//! The defaults of the owner's functions (`owner_functions.rs`), derived from the columns that the
//! database has.

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
/// The columns of `bookings` that refer to people, and to a service.
const PEOPLE: [&str; 2] = ["customer_id", "provider_id"];
const SERVICE: [&str; 1] = ["service_id"];
const PRICE: &str = "total_price";
const NUMBERS: [&str; 6] = ["int2", "int4", "int8", "numeric", "float4", "float8"];

/// A column.
struct Column {
    /// Its type, by PostgreSQL's own name.
    type_name: String,
    /// Whether it is a type of whole numbers.
    is_whole: bool,
    /// Whether a new row has a value without being given one: it is NOT NULL, or has a default.
    is_preset: bool,
    /// Whether row-level security hides rows of its table from this role.
    is_hidden: bool,
}

/// The columns of `bookings`, `users` and `services`, by table and name.
pub(crate) struct Columns(BTreeMap<(String, String), Column>);

impl Columns {
    pub(crate) async fn read(transaction: &Transaction) -> Result<Self> {
        let sql = include_str!("owner_defaults.sql")
            .replace("{base_type}", BASE_TYPE)
            .replace("{is_whole}", IS_WHOLE);
        let rows = transaction.query(&sql, &[]).await?;
        let column = |row: &Row| {
            let type_name: Option<String> = row.get("type");
            let column = Column {
                type_name: type_name.unwrap_or_default(),
                is_whole: row.get("is_whole"),
                is_preset: row.get("is_preset"),
                is_hidden: row.get("is_hidden"),
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
    fn is_deleted(&self, table: &str, row: &str, column: &str) -> Option<String> {
        let found = self.find(table, column)?;
        Some(match &found.type_name[..] {
            "bool" => format!("{row}.{column} IS TRUE"),
            // Some special time, such as infinity, stands for a row that is not deleted.
            "timestamptz" | "timestamp" | "date" if found.is_preset => return None,
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

    /// Whether the default of [`IS_LIVE`] reads a column of [`DELETED`].
    pub(crate) fn reads_mark(&self, table: &str, mark: &str) -> bool {
        let is_referred_to = match table {
            "users" => !self.references(table, &PEOPLE).is_empty(),
            "services" => !self.references(table, &SERVICE).is_empty(),
            _ => true,
        };
        is_referred_to && self.is_deleted(table, table, mark).is_some()
    }

    /// The columns of `bookings` that refer to a table by its `id`.
    fn references(&self, table: &str, columns: &[&str]) -> Vec<String> {
        let id = self.type_of(table, "id").map(alike);
        let refers =
            |column: &&&str| id.is_some() && self.type_of("bookings", column).map(alike) == id;
        let found = columns.iter().filter(refers);
        found.map(|column| argument(IS_LIVE, column)).collect()
    }

    /// The rows of another table, marked as deleted, that a booking refers to.
    fn deleted_others(&self, table: &str, columns: &[&str]) -> Option<String> {
        let deleted = self.any_deleted(table, "other")?;
        let references = self.references(table, columns);
        (!references.is_empty()).then(|| {
            format!(
                "EXISTS (SELECT FROM public.{table} AS other WHERE other.id IN ({}) \
                 AND ({deleted}))",
                references.join(", ")
            )
        })
    }

    /// The default of [`IS_LIVE`].
    fn is_live(&self) -> Derived {
        let others = [
            ("users", self.deleted_others("users", &PEOPLE)),
            ("services", self.deleted_others("services", &SERVICE)),
        ];
        let is_hidden = |table| self.find(table, "id").is_some_and(|id| id.is_hidden);
        let read = others.iter().filter(|(_, condition)| condition.is_some());
        let read: Vec<_> = read.map(|(table, _)| *table).collect();
        // It reads other tables as its owner. The cost has the planner test other conditions first.
        let properties = match read.is_empty() {
            true => "",
            false => " SECURITY DEFINER COST 10000",
        };
        let own = self.any_deleted("bookings", &format!("({IS_LIVE}.booking)"));
        let others = others.into_iter().map(|(_, condition)| condition);
        let deleted: Vec<_> = [own].into_iter().chain(others).flatten().collect();
        let body = match deleted.is_empty() {
            true => "true".to_owned(),
            false => format!("NOT ({})", deleted.join("\n        OR ")),
        };
        Derived {
            name: IS_LIVE,
            returns: "boolean",
            properties,
            body,
            hidden: read.into_iter().filter(|table| is_hidden(table)).collect(),
        }
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

    /// The columns by which the default of [`AMOUNT_PAID`] goes: the first that is not NULL. Cents
    /// and euros are not mixed: all are of whole numbers, or none is.
    pub(crate) fn amounts(&self) -> Vec<&'static str> {
        let price = self.is_whole_number(PRICE);
        let is_alike = |paid: &&str| price.is_none() || self.is_whole_number(paid) == price;
        let paid = self.paid().next().filter(is_alike);
        paid.into_iter().chain(price.map(|_| PRICE)).collect()
    }

    /// The default of [`AMOUNT_PAID`]; none: no column has a number.
    fn amount_paid(&self) -> Option<Derived> {
        let amounts = self.amounts();
        let returns = match self.is_whole_number(amounts.first()?)? {
            true => "bigint",
            false => "numeric",
        };
        let amounts: Vec<_> = amounts
            .iter()
            .map(|column| format!("{}::{returns}", argument(AMOUNT_PAID, column)))
            .collect();
        Some(Derived {
            name: AMOUNT_PAID,
            returns,
            properties: "",
            body: format!("COALESCE({})", amounts.join(", ")),
            hidden: Vec::new(),
        })
    }

    /// The defaults that these columns give.
    pub(crate) fn derived(&self) -> impl Iterator<Item = Derived> + use<> {
        [Some(self.is_live()), self.amount_paid()]
            .into_iter()
            .flatten()
    }
}

/// Types that can be compared with each other count as one.
fn alike(type_name: &str) -> &str {
    match type_name {
        "int2" | "int4" | "int8" => "int8",
        "text" | "varchar" => "text",
        other => other,
    }
}

/// SQL of a column of a function's booking. `booking` alone would be a column of this name in
/// another table.
fn argument(function: &str, column: &str) -> String {
    format!("({function}.booking).{column}")
}

/// The default of one of the functions.
pub(crate) struct Derived {
    pub(crate) name: &'static str,
    returns: &'static str,
    properties: &'static str,
    body: String,
    /// The tables that it reads, and of which row-level security hides rows from this role.
    pub(crate) hidden: Vec<&'static str>,
}

impl Derived {
    /// The statement that creates it.
    pub(crate) fn create(&self) -> String {
        format!(
            "CREATE FUNCTION public.{}(booking public.bookings)
RETURNS {} LANGUAGE sql STABLE{}
RETURN {}",
            self.name, self.returns, self.properties, self.body
        )
    }

    /// SQL that evaluates its body for ten bookings, as this role.
    pub(crate) fn sample_sql(&self) -> String {
        format!(
            "SELECT count({}) FROM (SELECT (b.*)::public.bookings AS booking \
             FROM public.bookings b LIMIT 10) AS {}",
            self.body, self.name
        )
    }

    /// Whether `migrate` created a default by this very text.
    pub(crate) async fn is_current(&self, transaction: &Transaction) -> Result<bool> {
        let parameters = [
            (&self.name as _, Type::TEXT),
            (&self.create() as _, Type::TEXT),
        ];
        let sql = "SELECT split_part(digest, ' ', 1) = md5($2) AS is_current
                     FROM public.booking_automation_functions WHERE name = $1";
        let rows = transaction.query(sql, &parameters).await?;
        Ok(rows.first().is_some_and(|row| row.get("is_current")))
    }
}
