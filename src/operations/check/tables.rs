//! The tables `bookings`, `users` and `services`: which are there, and what looks like a missing
//! one.

use crate::database::{Result, Transaction};
use crate::operations::check::finding::{Finding, Intent, Topic};

/// The base tables of `migrations/01_base_tables.sql`, each with the names that others give it.
const BASE_TABLES: [(&str, &[&str]); 3] = [
    (
        "bookings",
        &[
            "booking",
            "appointment",
            "appointments",
            "reservation",
            "reservations",
        ],
    ),
    (
        "users",
        &[
            "user",
            "profile",
            "profiles",
            "account",
            "accounts",
            "customer",
            "customers",
        ],
    ),
    (
        "services",
        &[
            "service",
            "offering",
            "offerings",
            "treatments",
            "event_types",
        ],
    ),
];
/// How many similar relations are named.
const NAMED: usize = 3;

/// Which relations there are.
pub(crate) struct Relations {
    relations: Vec<Relation>,
}

struct Relation {
    schema: String,
    name: String,
    kind: String,
    has_start: bool,
    has_status: bool,
    has_email: bool,
}

impl Relation {
    fn is_ours(&self) -> bool {
        let name = &self.name;
        self.schema == "public"
            && (name.starts_with("booking_automation_")
                || name == "reminder_rules"
                || name == "automation_runs")
    }

    fn is_table(&self) -> bool {
        ["r", "p", "f"].contains(&&self.kind[..])
    }

    fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// Whether it may be what the owner has in place of a base table.
    fn looks_like(&self, table: &str, names: &[&str]) -> bool {
        let name = self.name.to_lowercase();
        let by_columns = match table {
            "bookings" => self.has_start && self.has_status,
            "users" => self.has_email,
            _ => false,
        };
        name == table || names.contains(&&name[..]) || by_columns
    }
}

impl Relations {
    pub(crate) async fn read(transaction: &Transaction) -> Result<Self> {
        let rows = transaction
            .query(include_str!("relations.sql"), &[])
            .await?;
        let relations = rows
            .iter()
            .map(|row| Relation {
                schema: row.get("schema"),
                name: row.get("name"),
                kind: row.get("kind"),
                has_start: row.get::<_, Option<bool>>("has_start").unwrap_or_default(),
                has_status: row.get::<_, Option<bool>>("has_status").unwrap_or_default(),
                has_email: row.get::<_, Option<bool>>("has_email").unwrap_or_default(),
            })
            .collect();
        Ok(Self { relations })
    }

    /// Whether `public` has a relation of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.relations
            .iter()
            .any(|relation| relation.schema == "public" && relation.name == name)
    }

    /// Whether every table is ours.
    pub(crate) fn are_only_ours(&self) -> bool {
        !self
            .relations
            .iter()
            .any(|relation| relation.is_table() && !relation.is_ours())
    }

    /// Whether all base tables are there.
    pub(crate) fn have_base_tables(&self) -> bool {
        BASE_TABLES.iter().all(|(table, _)| self.has(table))
    }

    /// The similar relations of a base table, as `app.bookings, public.appointments`.
    fn similar_to(&self, table: &str, names: &[&str]) -> String {
        let mut similar: Vec<&Relation> = self
            .relations
            .iter()
            .filter(|relation| !relation.is_ours() && relation.looks_like(table, names))
            .filter(|relation| !BASE_TABLES.iter().any(|(base, _)| self.is(relation, base)))
            .collect();
        // The same name first, then similar names.
        similar.sort_by_key(|relation| {
            (
                relation.name != table,
                !names.contains(&&relation.name[..]),
                relation.full_name(),
            )
        });
        let similar: Vec<_> = similar
            .into_iter()
            .take(NAMED)
            .map(Relation::full_name)
            .collect();
        similar.join(", ")
    }

    fn is(&self, relation: &Relation, base: &str) -> bool {
        relation.schema == "public" && relation.name == base
    }
}

/// Whether the base tables that are to be created can refer to those that are there.
pub(crate) async fn look_at_references(transaction: &Transaction) -> Result<Vec<Finding>> {
    let rows = transaction
        .query(include_str!("referable.sql"), &[])
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let name: &str = row.get("name");
            Finding::error(
                Topic::Tables,
                format!(
                    "public.{name} has no unique column id of the type uuid, which the missing \
                     base tables would refer to"
                ),
                "run migrate without --create-base-tables, and create the view \
                 public.booking_automation_contacts over your own tables",
            )
        })
        .collect())
}

/// Whether the tables are there, or may be created.
pub(crate) fn look(relations: &Relations, intent: Intent) -> Vec<Finding> {
    let missing: Vec<_> = BASE_TABLES
        .iter()
        .filter(|(table, _)| !relations.has(table))
        .collect();
    let names: Vec<_> = missing.iter().map(|(table, _)| *table).collect();
    let names = names.join(", ");
    if missing.is_empty() {
        let text = "bookings, users and services are in the schema public";
        return vec![Finding::ok(Topic::Tables, text)];
    }
    if relations.are_only_ours() || intent.creates_base_tables() {
        let text = format!("migrate creates the missing tables: {names}");
        return vec![Finding::ok(Topic::Tables, text)];
    }
    let has_view = relations.has("booking_automation_contacts");
    if has_view && relations.has("bookings") {
        let text = format!(
            "{names}: not in the schema public, and not needed: you have the view \
             booking_automation_contacts"
        );
        return vec![Finding::ok(Topic::Tables, text)];
    }
    missing
        .into_iter()
        .filter(|(table, _)| *table == "bookings" || !has_view)
        .map(|(table, similar)| missing_table(relations, table, similar))
        .collect()
}

fn missing_table(relations: &Relations, table: &str, names: &[&str]) -> Finding {
    let similar = relations.similar_to(table, names);
    let similar = match similar.is_empty() {
        true => String::new(),
        false => format!("; these look like it: {similar}"),
    };
    let remedy = if table == "bookings" {
        "move or rename your table to public.bookings (ALTER TABLE … SET SCHEMA public, ALTER \
         TABLE … RENAME TO bookings; a view under its old name keeps your programs working)"
    } else {
        "create the view public.booking_automation_contacts over your own tables, with the \
         columns that docs/install.md lists"
    };
    Finding::error(
        Topic::Tables,
        format!("the table public.{table} does not exist{similar}"),
        format!("{remedy}; or run migrate --create-base-tables to have an empty one created"),
    )
}
