//! Whether the program and a database fit: what `migrate` looks at before it changes anything, and
//! what `booking-automation check` prints. It only reads.
//!
//! Each part has a transaction of its own, since a failed statement ends one.

mod chains;
mod columns;
pub mod finding;
mod foreign;
mod functions;
mod notices;
mod own_tables;
mod owner_functions;
mod rights;
mod rows;
mod server;
mod statuses;
mod sweep;
mod tables;
mod templates;
mod view;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::database::migrate::{ADDS_COLUMNS, NO_COLUMNS};
use crate::database::{Begin, Database, REQUIRED, Result, Transaction};
use crate::operations::check::finding::{Finding, Intent, Level, Topic};
use crate::operations::check::tables::Relations;
pub(crate) use crate::operations::check::view::{SEVERAL as SEVERAL_CONTACTS, VIEW_SAMPLE};

/// Longest time for one query on the catalogue.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a look is tried while another session holds a lock, and the pause between.
const LOCK_TRIES: usize = 5;
const LOCK_PAUSE: Duration = Duration::from_secs(1);

/// What the looks found, and what `migrate` needs to know of it.
#[derive(Debug)]
pub struct Report {
    /// In the order of the looks.
    pub findings: Vec<Finding>,
    /// Whether `migrate` may create the base tables that are missing.
    pub may_create_base_tables: bool,
}

impl Report {
    /// Whether anything does not fit.
    pub fn has_errors(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.level == Level::Error)
    }
}

/// Looks at everything. It writes nothing, and a look that fails is a finding, too.
pub async fn check(database: &Database, intent: Intent, until: Option<Instant>) -> Report {
    let mut looks = Looks {
        database,
        until,
        findings: Vec::new(),
    };
    let may_create_base_tables = look_at_all(&mut looks, intent).await.unwrap_or_default();
    Report {
        findings: looks.findings,
        may_create_base_tables,
    }
}

/// Returns whether `migrate` may create base tables; `None`: it found no more than an error.
async fn look_at_all(looks: &mut Looks<'_>, intent: Intent) -> Option<bool> {
    let server = looks.read(Topic::Connection, server::look).await?;
    looks.findings.extend(server.findings);
    if !server.is_supported {
        return None;
    }
    let relations = looks.read(Topic::Tables, Relations::read).await?;
    looks.findings.extend(tables::look(&relations, intent));
    if intent.creates_base_tables() && !relations.have_base_tables() {
        looks.look(Topic::Tables, tables::look_at_references).await;
    }
    let Some(steps) = looks.read(Topic::Schema, applied_steps).await else {
        // The role may lack a privilege.
        look_at_rights(looks, &relations, intent, true).await;
        return None;
    };
    let is_migrated = steps.contains(REQUIRED);
    look_at_rights(looks, &relations, intent, is_migrated).await;
    if matches!(intent, Intent::Check { .. }) {
        looks.findings.push(migrated(is_migrated));
    }
    looks
        .look(Topic::Names, async |transaction| {
            let mut findings = own_tables::look(transaction, &steps).await?;
            findings.extend(functions::look(transaction, &steps).await?);
            if findings.is_empty() {
                findings.push(Finding::ok(Topic::Names, "our names are free, or ours"));
            }
            Ok(findings)
        })
        .await;
    if relations.has("bookings") {
        let adds_columns = !intent.adds_no_columns() && !steps.contains(NO_COLUMNS);
        if !adds_columns && steps.contains(ADDS_COLUMNS) {
            looks.findings.push(columns::added_already());
        }
        look_at_bookings(looks, &steps, &relations, adds_columns).await?;
    }
    if steps.contains(chains::ALLOWS_CHAINS) {
        let look =
            async |transaction: &Transaction| chains::look(transaction, intent.set_up()).await;
        looks.look(Topic::Channels, look).await;
    }
    Some(relations.are_only_ours() || intent.creates_base_tables())
}

async fn look_at_rights(
    looks: &mut Looks<'_>,
    relations: &Relations,
    intent: Intent,
    is_migrated: bool,
) {
    if relations.has("bookings") {
        let rights =
            async |transaction: &Transaction| rights::look(transaction, intent, is_migrated).await;
        looks.look(Topic::Rights, rights).await;
    }
}

async fn look_at_bookings(
    looks: &mut Looks<'_>,
    steps: &BTreeSet<String>,
    relations: &Relations,
    adds_columns: bool,
) -> Option<()> {
    let look = async |transaction: &Transaction| columns::look(transaction, adds_columns).await;
    let bookings = looks.read(Topic::Columns, look).await?;
    looks.findings.extend(bookings.findings);
    if bookings.lacks_columns {
        looks.look(Topic::Rows, rows::look).await;
    }
    if bookings.has_status {
        looks
            .look(Topic::Statuses, async |transaction| {
                statuses::look_at_written(transaction, steps).await
            })
            .await;
        looks.look(Topic::Statuses, statuses::look_at_data).await;
    }
    if steps.contains(REQUIRED) {
        looks.look(Topic::Steps, statuses::look_at_set_aside).await;
    }
    if steps.contains(notices::QUEUE) {
        looks.look(Topic::Notices, notices::look).await;
    }
    if steps.contains(templates::TABLE) {
        looks.look(Topic::Templates, templates::look).await;
    }
    if steps.contains(sweep::KNOWS_LIVENESS) {
        looks.look(Topic::Sweep, sweep::look).await;
    }
    looks.look(Topic::Functions, owner_functions::look).await;
    if !relations.has("booking_automation_contacts") {
        if relations.have_base_tables() {
            looks.look(Topic::View, view::look_at_usual).await;
        }
        return Some(());
    }
    let columns = looks.read(Topic::View, view::look_at_columns).await?;
    let is_whole = columns.is_empty();
    looks.findings.extend(columns);
    if is_whole && bookings.fits {
        looks.look(Topic::View, view::look_at_sample).await;
    }
    Some(())
}

fn migrated(is_migrated: bool) -> Finding {
    match is_migrated {
        true => Finding::ok(Topic::Schema, "the schema is that of this version"),
        false => Finding::warning(
            Topic::Schema,
            "the schema is missing, or older than this program",
            "run booking-automation migrate",
        ),
    }
}

/// The names of the steps that were applied.
pub(crate) async fn applied_steps(transaction: &Transaction) -> Result<BTreeSet<String>> {
    // The user may have a table of this name.
    let is_ours = "SELECT count(*) = 1 AS is_ours FROM pg_attribute
                    WHERE attrelid = to_regclass('public.booking_automation_migrations')
                      AND attname = 'name' AND atttypid = 'text'::regtype";
    if !transaction
        .query_one(is_ours, &[])
        .await?
        .get::<_, bool>("is_ours")
    {
        return Ok(BTreeSet::new());
    }
    let names = "SELECT name FROM public.booking_automation_migrations";
    let rows = transaction.query(names, &[]).await?;
    Ok(rows.iter().map(|row| row.get("name")).collect())
}

/// What was found so far.
struct Looks<'a> {
    database: &'a Database,
    until: Option<Instant>,
    findings: Vec<Finding>,
}

impl Looks<'_> {
    /// Runs a look in a read-only transaction, and keeps what it finds.
    async fn look(
        &mut self,
        topic: Topic,
        part: impl AsyncFn(&Transaction) -> Result<Vec<Finding>>,
    ) {
        if let Some(findings) = self.read(topic, part).await {
            self.findings.extend(findings);
        }
    }

    /// Runs a look in a read-only transaction. `None`: it failed, which is a finding.
    async fn read<T>(
        &mut self,
        topic: Topic,
        part: impl AsyncFn(&Transaction) -> Result<T>,
    ) -> Option<T> {
        let begin = Begin {
            statement_timeout: STATEMENT_TIMEOUT,
            read_only: true,
            until: self.until,
            ..Begin::default()
        };
        let mut tries = 0;
        loop {
            tries += 1;
            let read = async {
                let (transaction, _) = self.database.begin(&begin, "").await?;
                let found = part(&transaction).await?;
                transaction.rollback().await?;
                Result::Ok(found)
            };
            match read.await {
                Ok(found) => return Some(found),
                // A step of another `migrate`, or of the owner.
                Err(error) if error.is_lock() && tries < LOCK_TRIES => {
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                Err(error) => {
                    let text = format!("it could not be looked at: {}", error.message());
                    self.findings.push(Finding::error(topic, text, ""));
                    return None;
                }
            }
        }
    }
}
