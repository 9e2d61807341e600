//! What `uninstall` would drop, and what it keeps and why.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio_postgres::types::Type;

use crate::database::functions::FUNCTIONS;
use crate::database::migrate::step::{MigrateError, run_step};
use crate::database::migrate::uninstall::view::is_as_shipped;
use crate::database::owner_functions::{AMOUNT_PAID, IS_LIVE, State};
use crate::database::schema::INDEXES;
use crate::database::{Database, DatabaseError, Transaction};

/// The record of `migrate`'s steps.
const LEDGER: &str = "booking_automation_migrations";
/// The tables that `migrate` creates.
const TABLES: [&str; 33] = [
    "automation_runs",
    "booking_automation_attendance",
    "booking_automation_callers",
    "booking_automation_cancellation_policies",
    "booking_automation_channels",
    "booking_automation_claim_marks",
    "booking_automation_digest_rules",
    "booking_automation_digest_state",
    "booking_automation_erasures",
    "booking_automation_events",
    "booking_automation_feedback",
    "booking_automation_functions",
    "booking_automation_hash_key",
    "booking_automation_link_keys",
    "booking_automation_looks",
    LEDGER,
    "booking_automation_not_live",
    "booking_automation_notice_rules",
    "booking_automation_notices",
    "booking_automation_opt_outs",
    "booking_automation_preferences",
    "booking_automation_push_tokens",
    "booking_automation_requests",
    "booking_automation_sms",
    "booking_automation_sms_replies",
    "booking_automation_soft_bounces",
    "booking_automation_state",
    "booking_automation_state_changes",
    "booking_automation_suppressions",
    "booking_automation_sweep",
    "booking_automation_templates",
    "booking_automation_webhooks",
    "reminder_rules",
];
/// The audit trail, the record of what was erased from it, and the revisions of schedules, by which
/// an event is found again: without them a reminder after a new `migrate` would look as if it had
/// been sent.
const TRAIL: [&str; 3] = [
    "booking_automation_erasures",
    "booking_automation_events",
    "booking_automation_state",
];
/// What protects a kept trail: the functions of its triggers, and what they call.
const TRAIL_FUNCTIONS: [&str; 5] = [
    "booking_automation_is_trusted",
    "booking_automation_keep_erasure",
    "booking_automation_keep_event",
    "booking_automation_keep_table",
    "booking_automation_now",
];

/// The functions that the owner may replace.
const OWNER_FUNCTIONS: [&str; 2] = [IS_LIVE, AMOUNT_PAID];

const NOT_AS_CREATED: &str = "it is not as `migrate` created it, so it is yours";

/// What `uninstall` is asked to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep the audit trail, with the triggers that protect it.
    pub keep_trail: bool,
    /// Also drop the columns that `migrate` added to `bookings`.
    pub drop_columns: bool,
}

/// An object and the statement that drops it.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its kind and name.
    pub name: String,
    pub(crate) statement: String,
    /// Whether it goes only when all before it are gone: the ledger, and what protects the trail.
    pub(crate) is_last: bool,
}

impl Object {
    fn new(name: String, statement: impl Into<String>) -> Self {
        Self {
            name,
            statement: statement.into(),
            is_last: false,
        }
    }

    fn last(self) -> Self {
        Self {
            is_last: true,
            ..self
        }
    }
}

/// An object that stays.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its kind and name.
    pub name: String,
    /// Why it stays, and what the owner can do.
    pub why: String,
}

/// What would be dropped, in this order, and what stays.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub(crate) triggers: Vec<Object>,
    /// Names of indexes on `bookings`, which are dropped concurrently.
    pub(crate) indexes: Vec<String>,
    pub(crate) objects: Vec<Object>,
    /// Tables and columns that `migrate` created, as the ledger names them, whether they are
    /// dropped or stay.
    pub(crate) ours: Vec<String>,
    /// What stays.
    pub kept: Vec<Kept>,
}

impl Plan {
    /// Whether there is nothing to drop.
    pub fn is_empty(&self) -> bool {
        self.triggers.is_empty() && self.indexes.is_empty() && self.objects.is_empty()
    }

    /// The names of all that would be dropped.
    pub fn dropped(&self) -> impl Iterator<Item = String> {
        let named = |objects: &[Object]| objects.iter().map(|it| it.name.clone()).collect();
        let (triggers, objects): (Vec<_>, Vec<_>) = (named(&self.triggers), named(&self.objects));
        let indexes = self.indexes.iter().map(|name| format!("index {name}"));
        let indexes: Vec<_> = indexes.collect();
        triggers.into_iter().chain(indexes).chain(objects)
    }

    fn keep(&mut self, name: String, why: &str) {
        let why = why.to_owned();
        self.kept.push(Kept { name, why });
    }
}

/// One row of `installed.sql`.
struct Installed {
    kind: String,
    name: String,
    on_table: String,
    function: String,
    statement: String,
}

/// Reads the catalog, and changes nothing.
///
/// # Errors
/// As a step of `migrate`.
pub async fn plan(database: &Database, options: Options) -> Result<Plan, MigrateError> {
    let (mut plan, view) = run_step(database, "uninstall: plan", async |transaction| {
        let mut plan = Plan::default();
        // The ledger goes last: without it, what has such a name is not ours.
        let Some(record) = Record::read(transaction).await? else {
            return Ok((plan, None));
        };
        let installed = read_installed(transaction).await?;
        plan_tables(&mut plan, &installed, &record, options);
        plan_triggers(&mut plan, &installed);
        plan_functions(&mut plan, &installed, options);
        plan_owner_functions(transaction, &mut plan, &installed).await?;
        plan_columns(transaction, &mut plan, &record, options).await?;
        plan_ledger(&mut plan, options);
        Ok((plan, installed.into_iter().find(|it| it.kind == "view")))
    })
    .await?;
    if let Some(view) = view {
        plan_view(&mut plan, &view, is_as_shipped(database).await);
    }
    Ok(plan)
}

async fn read_installed(transaction: &Transaction) -> Result<Vec<Installed>, DatabaseError> {
    let tables = TABLES.to_vec();
    let indexes: Vec<_> = INDEXES.map(|(name, _)| name).to_vec();
    let mut functions: Vec<_> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
    functions.push("booking_automation_make_private");
    functions.extend(OWNER_FUNCTIONS);
    let parameters = [
        (&tables as _, Type::TEXT_ARRAY),
        (&functions as _, Type::TEXT_ARRAY),
        (&indexes as _, Type::TEXT_ARRAY),
    ];
    let rows = transaction
        .query(include_str!("installed.sql"), &parameters)
        .await?;
    let text = |row: &tokio_postgres::Row, column: &str| -> String {
        row.get::<_, Option<String>>(column).unwrap_or_default()
    };
    Ok(rows
        .iter()
        .map(|row| Installed {
            kind: text(row, "kind"),
            name: text(row, "name"),
            on_table: text(row, "on_table"),
            function: text(row, "function"),
            statement: text(row, "statement"),
        })
        .collect())
}

/// What the ledger says of the objects that steps created.
#[derive(Default)]
struct Record {
    /// Whether the step that creates most tables, or an earlier `uninstall`, recorded what is ours.
    is_complete: bool,
    created: BTreeSet<String>,
}

impl Record {
    /// `None`: there is no ledger.
    async fn read(transaction: &Transaction) -> Result<Option<Self>, DatabaseError> {
        let exists = format!("SELECT to_regclass('public.{LEDGER}') IS NOT NULL AS found");
        let found = transaction.query_one(&exists, &[]).await?;
        if !found.get::<_, bool>("found") {
            return Ok(None);
        }
        // A ledger of an earlier version has no column `created`.
        let sql =
            format!("SELECT name, to_jsonb(m) -> 'created' AS created FROM public.{LEDGER} m");
        let mut record = Self::default();
        for row in transaction.query(&sql, &[]).await? {
            let name: &str = row.get("name");
            let created: Option<Value> = row.get("created");
            let Some(created) = created.as_ref().and_then(Value::as_array) else {
                continue;
            };
            record.is_complete |= ["05_own_tables", "uninstalled"].contains(&name);
            // The first step creates `bookings` itself in an empty database.
            if name != "01_base_tables" {
                let names = created.iter().filter_map(Value::as_str);
                record.created.extend(names.map(str::to_owned));
            }
        }
        Ok(Some(record))
    }

    /// Whether a table was there before `migrate`.
    fn is_theirs(&self, table: &str) -> bool {
        let without_step = [LEDGER, "booking_automation_functions"];
        self.is_complete
            && !without_step.contains(&table)
            && !self.created.contains(&format!("table {table}"))
    }
}

fn plan_tables(plan: &mut Plan, installed: &[Installed], record: &Record, options: Options) {
    let mut trail = Vec::new();
    let columns = record.created.iter().filter(|it| it.starts_with("column "));
    plan.ours.extend(columns.cloned());
    for table in installed.iter().filter(|it| it.kind == "table") {
        let name = format!("table {}", table.name);
        let is_trail = TRAIL.contains(&&table.name[..]);
        if record.is_theirs(&table.name) {
            plan.keep(name, "it was there before the first `migrate`");
            continue;
        }
        plan.ours.push(name.clone());
        if is_trail && options.keep_trail {
            plan.keep(
                name,
                "--keep-trail; its triggers and their functions stay, too",
            );
        } else if is_trail {
            trail.push(table);
        } else if table.name != LEDGER {
            plan.objects.push(Object::new(name, &table.statement));
        }
    }
    // Together: a part of the trail without the others says nothing.
    if !trail.is_empty() {
        let names: Vec<_> = trail.iter().map(|table| &table.name[..]).collect();
        let drops: Vec<_> = trail.iter().map(|table| &table.statement[..]).collect();
        let name = format!("table {}", names.join(", "));
        plan.objects.push(Object::new(name, drops.join("; ")));
    }
}

/// Triggers on the owner's tables come first, together. Those on our trail go before it, since it
/// may stay. The others go with their table.
fn plan_triggers(plan: &mut Plan, installed: &[Installed]) {
    let mut on_trail = Vec::new();
    for trigger in installed.iter().filter(|it| it.kind == "trigger") {
        let table = &trigger.on_table;
        let name = format!("trigger {} on {table}", trigger.name);
        let trigger_object = Object::new(name, &trigger.statement);
        let is_ours = plan.ours.contains(&format!("table {table}"));
        if !is_ours {
            plan.triggers.push(trigger_object);
        } else if TRAIL.contains(&&table[..]) && !TRAIL_FUNCTIONS.contains(&&trigger.function[..]) {
            on_trail.push(trigger_object);
        }
    }
    plan.objects.splice(0..0, on_trail);
    for index in installed.iter().filter(|it| it.kind == "index") {
        plan.indexes.push(index.name.clone());
    }
}

/// The functions; what protects the trail comes last.
fn plan_functions(plan: &mut Plan, installed: &[Installed], options: Options) {
    let functions = installed
        .iter()
        .filter(|it| it.kind == "function" && !OWNER_FUNCTIONS.contains(&&it.function[..]));
    let (last, first): (Vec<_>, Vec<_>) =
        functions.partition(|it| TRAIL_FUNCTIONS.contains(&&it.function[..]));
    let object = |it: &Installed| Object::new(format!("function {}", it.name), &it.statement);
    plan.objects.extend(first.into_iter().map(object));
    if !options.keep_trail {
        plan.objects
            .extend(last.into_iter().map(object).map(Object::last));
    }
}

/// They come first: the table that says whether they are as `migrate` created them is among the
/// others.
async fn plan_owner_functions(
    transaction: &Transaction,
    plan: &mut Plan,
    installed: &[Installed],
) -> Result<(), DatabaseError> {
    for function in OWNER_FUNCTIONS {
        let state = State::read(transaction, function).await?;
        for found in installed.iter().filter(|it| it.function == function) {
            let name = format!("function {}", found.name);
            match state {
                State::Default => plan.objects.insert(0, Object::new(name, &found.statement)),
                State::Missing | State::Replaced => plan.keep(name, NOT_AS_CREATED),
            }
        }
    }
    Ok(())
}

fn plan_ledger(plan: &mut Plan, options: Options) {
    if !options.keep_trail {
        let drop = format!("DROP TABLE IF EXISTS public.{LEDGER}");
        let ledger = Object::new(format!("table {LEDGER}"), drop);
        plan.objects.push(ledger.last());
    }
}

async fn plan_columns(
    transaction: &Transaction,
    plan: &mut Plan,
    record: &Record,
    options: Options,
) -> Result<(), DatabaseError> {
    let created: Vec<_> = record.created.iter().cloned().collect();
    let columns = include_str!("columns.sql");
    let rows = transaction
        .query(columns, &[(&created as _, Type::TEXT_ARRAY)])
        .await?;
    for row in &rows {
        let (column, is_ours): (&str, bool) = (row.get("name"), row.get("is_ours"));
        let name = format!("column bookings.{column}");
        let statement = format!("ALTER TABLE public.bookings DROP COLUMN IF EXISTS {column}");
        if is_ours && options.drop_columns {
            plan.objects.push(Object::new(name, statement));
        } else if is_ours {
            plan.keep(name, "`migrate` added it; --columns drops it");
        } else if options.drop_columns {
            let why = format!(
                "there is no record that `migrate` added it; if you know it did: {statement}"
            );
            plan.keep(name, &why);
        }
    }
    Ok(())
}

/// The view comes first: it reads `bookings`, and other objects of ours do not need it.
fn plan_view(plan: &mut Plan, view: &Installed, is_as_shipped: bool) {
    let name = format!("view {}", view.name);
    if is_as_shipped {
        plan.objects.insert(0, Object::new(name, &view.statement));
    } else {
        plan.keep(name, NOT_AS_CREATED);
    }
}
