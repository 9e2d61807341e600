//! The probe of a pass: one round trip that finds out whether there is work, before anything is
//! written.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::bookings::step_rules::StepRules;
use crate::bookings::transitions::{self, Moments};
use crate::database::{REQUIRED, Transaction, migrate};
use crate::delivery::Channels;
use crate::delivery::figures::Backlog;
use crate::delivery::{claim_sql, outbox, webhooks};
use crate::operations::retention;
use crate::reminders::digest_rules::{self, DigestRules};
use crate::reminders::watermark::{self, Watermark};
use crate::reminders::{notices, sweep};
use crate::tick::clock;
use crate::tick::error::PassError;
use crate::tick::settings::PassSettings;

/// How long a `webhook-id` is remembered: longer than a signature can be valid, which is twice the
/// tolerance, since clocks differ.
const WEBHOOK_ID_MINUTES: u32 = 15;

/// Which work is due.
pub(crate) struct WorkDue {
    /// A signed request with this `webhook-id` has run a pass before.
    pub(crate) duplicate_request: bool,
    /// Status changes.
    pub(crate) transitions: bool,
    /// Decisions on reminders.
    pub(crate) reminders: bool,
    /// Whether to read the names that the view has for people: quiet hours have begun.
    pub(crate) reads_names: bool,
    /// Notices.
    pub(crate) notices: bool,
    /// The rules of digests.
    pub(crate) digests: DigestRules,
    /// Whether a digest may be due.
    pub(crate) may_have_digests: bool,
    /// Flags on `bookings` that are behind.
    pub(crate) flags: bool,
    /// Rows older than they are kept.
    pub(crate) expired_rows: bool,
    /// Messages to webhooks.
    pub(crate) webhooks: bool,
    /// Whether there is any live subscription.
    pub(crate) subscribed: bool,
    /// By how much the database's clock was set back, if it was.
    pub(crate) clock_set_back: Duration,
    pub(crate) backlog: Backlog,
    /// How many reminders of the backlog can be claimed now.
    pub(crate) claimable: i64,
    /// The channels that have some of them.
    pub(crate) channels: Channels,
    /// Whether a sweep is under way.
    pub(crate) sweeps: bool,
    pub(crate) watermark: Watermark,
}

impl WorkDue {
    /// Whether decisions read who the people are.
    pub(crate) fn reads_contacts(&self) -> bool {
        self.reminders || self.reads_names || self.notices || self.may_have_digests
    }
}

/// Asks all of it.
///
/// # Errors
/// Also when the schema is missing or row-level security would hide bookings.
pub(crate) async fn probe(
    transaction: &Transaction,
    settings: &PassSettings,
    rules: &StepRules,
    moments: &Moments,
    webhook_id: Option<&str>,
) -> Result<WorkDue, PassError> {
    let sql = probe_sql(rules);
    let [as_of, expire_before, complete_before] = moments.parameters();
    let [events, runs] = retention::seconds_kept(&settings.retention);
    let parameters = [
        as_of,
        expire_before,
        complete_before,
        (&webhook_id as _, Type::TEXT),
        (&events as _, Type::FLOAT8),
        (&runs as _, Type::FLOAT8),
    ];
    let row = match transaction.query_one(&sql, &parameters).await {
        Err(error) if migrate::is_schema_missing(&error) => return Err(PassError::SchemaMissing),
        row => row?,
    };
    check_database(&row)?;
    let (backlog, claimable) = outbox::waiting_of_row(&row);
    let digests = DigestRules::of(&row);
    Ok(WorkDue {
        may_have_digests: digests.may_be_due(moments.as_of()),
        digests,
        duplicate_request: row.get("duplicate_request"),
        transitions: row.get("transitions_due"),
        reminders: row.get("reminders_due"),
        reads_names: row.get("reads_names"),
        notices: row.get("notices_due"),
        flags: row.get("flags_due"),
        expired_rows: row
            .get::<_, Option<bool>>("rows_expired")
            .unwrap_or_default(),
        webhooks: row.get("webhooks_due"),
        subscribed: row.get("subscribed"),
        clock_set_back: Duration::try_from_secs_f64(row.get("clock_set_back")).unwrap_or_default(),
        backlog,
        claimable,
        channels: Channels::of(&row),
        sweeps: row.get("sweeps"),
        watermark: Watermark::of(&row),
    })
}

/// # Errors
/// A pass cannot run in this database.
fn check_database(probed: &Row) -> Result<(), PassError> {
    if !probed.get::<_, bool>("schema_is_there") {
        return Err(PassError::SchemaMissing);
    }
    if probed.get::<_, bool>("rows_are_hidden") {
        return Err(PassError::RowSecurity);
    }
    Ok(())
}

/// Where a pass would stand now.
pub(crate) async fn watermark(
    transaction: &Transaction,
    settings: &PassSettings,
    rules: &StepRules,
    as_of: DateTime<Utc>,
) -> Result<Watermark, PassError> {
    let moments = Moments::new(as_of, &rules.settings);
    Ok(probe(transaction, settings, rules, &moments, None)
        .await?
        .watermark)
}

pub(crate) fn probe_sql(rules: &StepRules) -> String {
    format!(
        "WITH {watermark}, waiting AS ({waiting}), digests AS MATERIALIZED ({digests})
         SELECT EXISTS (SELECT FROM public.booking_automation_migrations WHERE name = '{latest}')
           AS schema_is_there,
                ({transitions}) AS transitions_due,
                EXISTS (SELECT FROM public.booking_automation_looks) OR {reminders}
                  AS reminders_due,
                {reads_names} AS reads_names,
                {notices} AS notices_due,
                EXISTS (SELECT FROM public.booking_automation_events WHERE flag_due) AS flags_due,
                EXISTS (SELECT FROM public.automation_runs
                         WHERE webhook_id = $4
                           AND created_at > now() - interval '{WEBHOOK_ID_MINUTES} minutes')
                           AS duplicate_request,
                ({expired_rows}) AS rows_expired,
                row_security_active('public.bookings') AS rows_are_hidden,
                EXISTS ({webhooks_due}) AS webhooks_due,
                {subscribed} AS subscribed,
                {set_back} AS clock_set_back,
                {sweeps} AS sweeps,
                waiting.*, watermark.*, digests.*
           FROM watermark, waiting, digests",
        watermark = *watermark::WATERMARK,
        latest = REQUIRED,
        transitions = transitions::any_due(rules),
        reminders = watermark::any_due_sql(rules.liveness),
        reads_names = watermark::reads_names_sql(rules.liveness),
        notices = notices::any_due_sql(rules.liveness),
        waiting = claim_sql::WAITING,
        digests = digest_rules::rules_sql(rules.liveness),
        expired_rows = retention::any_expired_sql(rules.liveness),
        webhooks_due = webhooks::DUE,
        subscribed = webhooks::ANY_SUBSCRIBED,
        set_back = clock::SECONDS_SET_BACK,
        sweeps = sweep::under_way_sql(rules.liveness),
    )
}
