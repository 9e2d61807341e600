//! The tables of our own, by their shape: a table of the user with such a name is found before the
//! first step.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::database::{Result, Transaction};
use crate::operations::check::finding::{Finding, Topic};
use crate::operations::check::foreign::{foreign_indexes, foreign_keys};
use crate::operations::check::functions::is_trusted_sql;

/// A table of ours.
struct OwnTable {
    name: &'static str,
    /// The step that creates it.
    step: &'static str,
    /// Its columns when it is created, with their types by PostgreSQL's own names.
    columns: &'static str,
    /// Columns that a step adds, if they are missing.
    added: &'static [(&'static str, &'static str)],
}

const fn table(name: &'static str, step: &'static str, columns: &'static str) -> OwnTable {
    OwnTable {
        name,
        step,
        columns,
        added: &[],
    }
}

const EVENTS: &str = "id uuid, booking_id uuid, event_type text, event_data jsonb, \
    scheduled_at timestamptz, executed_at timestamptz, status text, error_message text, \
    created_at timestamptz";
const EVENTS_ADDED: &str = "seq int8, rule text, audience text, channel text, revision int4, \
    starts_at timestamptz, attempts int4, claim int8, lease_until timestamptz, \
    next_attempt_at timestamptz, reason text, message_id text, flag_due bool";
const RUNS: &str = "id uuid, trigger text, scheduled_time text, execution_id text, attempt text, \
    as_of timestamptz, outcome text, summary jsonb, error text, looked_through timestamptz, \
    rules_digest text, created_at timestamptz";

/// A test compares it with a migrated database.
const OWN_TABLES: &[OwnTable] = &[
    table(
        "booking_automation_migrations",
        "",
        "name text, applied_at timestamptz",
    ),
    table(
        "booking_automation_functions",
        "",
        "name text, version int4, digest text, applied_at timestamptz",
    ),
    OwnTable {
        added: &[
            ("05_own_tables", EVENTS_ADDED),
            (
                "21_notice_key",
                "about uuid, person_id uuid, local_day date",
            ),
            ("27_groups", "led_by uuid, led_attempt int4"),
            ("28_recipients", "recipient text"),
            ("30_via", "via text"),
        ],
        ..table("booking_automation_events", "05_own_tables", EVENTS)
    },
    OwnTable {
        added: &[
            ("26_attendance", "asks_attendance bool"),
            ("27_groups", "group_within interval"),
        ],
        ..table(
            "reminder_rules",
            "05_own_tables",
            "name text, audience text, lead interval, channels _text, active bool, \
             effective_from timestamptz, created_at timestamptz",
        )
    },
    table(
        "booking_automation_state",
        "05_own_tables",
        "booking_id uuid, revision int4, starts_at timestamptz, in_force_since timestamptz, \
         unblocked_at timestamptz, blocked_reason text",
    ),
    table(
        "booking_automation_looks",
        "05_own_tables",
        "seq int8, booking_id uuid",
    ),
    OwnTable {
        added: &[(
            "10_account_holds",
            "held_reason text, held_since timestamptz",
        )],
        ..table(
            "booking_automation_channels",
            "05_own_tables",
            "channel text, next_at timestamptz",
        )
    },
    OwnTable {
        added: &[("08_webhook_ids", "webhook_id text")],
        ..table("automation_runs", "05_own_tables", RUNS)
    },
    table(
        "booking_automation_callers",
        "09_rate_limits",
        "credential text, next_at timestamptz",
    ),
    table(
        "booking_automation_feedback",
        "11_feedback",
        "id int8, event_id uuid, booking_id uuid, kind text, message_id text, \
         occurred_at timestamptz, details jsonb, created_at timestamptz",
    ),
    OwnTable {
        added: &[("32_receipts", "until timestamptz")],
        ..table(
            "booking_automation_suppressions",
            "11_feedback",
            "address_hash bytea, reason text, message_id text, created_at timestamptz",
        )
    },
    table(
        "booking_automation_hash_key",
        "11_feedback",
        "one bool, inner_key bytea, outer_key bytea",
    ),
    table(
        "booking_automation_requests",
        "14_requests",
        "key text, digest bytea, answer jsonb, created_at timestamptz",
    ),
    table(
        "booking_automation_erasures",
        "15_trail",
        "id int8, kind text, day date, person_id uuid, events int8, at timestamptz, \
         transaction xid8",
    ),
    table(
        "booking_automation_webhooks",
        "16_webhooks",
        "id uuid, url text, kinds _text, secret text, is_active bool, created_at timestamptz, \
         failing_since timestamptz, suspended_at timestamptz",
    ),
    table(
        "booking_automation_cancellation_policies",
        "17_cancellation",
        "id uuid, service_id uuid, applies_to text, name text, free_until interval, \
         partial_until interval, partial_percent numeric, after_percent numeric, \
         created_at timestamptz",
    ),
    table(
        "booking_automation_not_live",
        "18_not_live",
        "status text, before timestamptz, looked_at timestamptz",
    ),
    OwnTable {
        added: &[("29_sweep", "catches_up bool, begun_at timestamptz")],
        ..table(
            "booking_automation_sweep",
            "18_not_live",
            "one bool, starts_at timestamptz, booking_id uuid, size int8",
        )
    },
    table(
        "booking_automation_claim_marks",
        "19_claim_marks",
        "id uuid, channel text, messages int8, event_id uuid, event_claim int8, deaths int4, \
         begun_at timestamptz",
    ),
    table(
        "booking_automation_state_changes",
        "20_state_changes",
        "seq int8, booking_id uuid, in_force_since timestamptz, unblocked_at timestamptz",
    ),
    table(
        "booking_automation_notice_rules",
        "22_notices",
        "name text, on_event text, delay interval, audience text, channels _text, active bool, \
         effective_from timestamptz, created_at timestamptz",
    ),
    table(
        "booking_automation_notices",
        "22_notices",
        "seq int8, event_id uuid, booking_id uuid, on_event text, rule text, audience text, \
         happened_at timestamptz, due_at timestamptz, is_automatic bool, queued_at timestamptz, \
         transaction xid8, held_since timestamptz, decided_at timestamptz, is_dropped bool",
    ),
    table(
        "booking_automation_digest_rules",
        "23_digests",
        "name text, local_hour int4, audience text, channels _text, active bool, \
         effective_from timestamptz, created_at timestamptz",
    ),
    table(
        "booking_automation_digest_state",
        "23_digests",
        "id bool, looked_through timestamptz, rules_digest text",
    ),
    table(
        "booking_automation_link_keys",
        "24_people",
        "id int4, secret bytea, created_at timestamptz",
    ),
    OwnTable {
        added: &[("31_channels", "phone text, sms_allowed bool")],
        ..table(
            "booking_automation_preferences",
            "24_people",
            "person_id text, language text, timezone text, quiet_from time, quiet_until time, \
             channels _text, links_from timestamptz, calendar_from timestamptz, \
             updated_at timestamptz",
        )
    },
    table(
        "booking_automation_opt_outs",
        "24_people",
        "person_id text, kind text, created_at timestamptz",
    ),
    table(
        "booking_automation_templates",
        "25_templates",
        "kind text, language text, part text, body text, active bool",
    ),
    table(
        "booking_automation_attendance",
        "26_attendance",
        "booking_id uuid, person_id text, starts_at timestamptz, answered_at timestamptz",
    ),
    table(
        "booking_automation_push_tokens",
        "31_channels",
        "token text, person_id text, seen_at timestamptz",
    ),
    table(
        "booking_automation_sms",
        "31_channels",
        "event_id uuid, address_hash bytea, claimed_at timestamptz",
    ),
    table(
        "booking_automation_soft_bounces",
        "32_receipts",
        "address_hash bytea, message_id text, event_id uuid, bounced_at timestamptz",
    ),
    table(
        "booking_automation_sms_replies",
        "33_replies",
        "inbound_id text, event_id uuid, address_hash bytea, meaning text, answer text, \
         answer_id uuid, said_at timestamptz, received_at timestamptz",
    ),
];

/// A column that a table has.
struct Column {
    type_name: String,
    needs_value: bool,
}

/// A relation that has the name of a table of ours.
#[derive(Default)]
struct Found {
    is_table: bool,
    /// The owner, who may not change bookings otherwise.
    stranger: Option<String>,
    columns: BTreeMap<String, Column>,
}

/// Whether the tables with our names are ours, as far as their shape tells. `steps` are those that
/// were applied.
pub(crate) async fn look(
    transaction: &Transaction,
    steps: &BTreeSet<String>,
) -> Result<Vec<Finding>> {
    let names: Vec<_> = OWN_TABLES.iter().map(|table| table.name).collect();
    let rows = transaction
        .query(
            &include_str!("own_tables.sql").replace("{is_trusted}", &is_trusted_sql("c.relowner")),
            &[(&names as _, Type::TEXT_ARRAY)],
        )
        .await?;
    let found = by_relation(&rows);
    let judged = OWN_TABLES.iter().filter_map(|table| {
        let wrong = match found.get(table.name) {
            Some(found) => table.differences(found, steps),
            None if steps.contains(table.step) => vec!["it is gone".to_owned()],
            None => Vec::new(),
        };
        (!wrong.is_empty()).then(|| table.misfit(&wrong, steps))
    });
    let mut findings: Vec<_> = judged.collect();
    findings.extend(foreign_keys(transaction).await?);
    findings.extend(foreign_indexes(transaction).await?);
    Ok(findings)
}

fn by_relation(rows: &[Row]) -> BTreeMap<String, Found> {
    let mut relations: BTreeMap<String, Found> = BTreeMap::new();
    for row in rows {
        let found = relations.entry(row.get("relation")).or_default();
        found.is_table = row.get::<_, &str>("kind") == "r";
        let is_trusted: bool = row.get("is_trusted");
        found.stranger = (!is_trusted).then(|| row.get("owner"));
        if let Some(name) = row.get("name") {
            let column = Column {
                type_name: row.get("type"),
                needs_value: row.get("needs_value"),
            };
            found.columns.insert(name, column);
        }
    }
    relations
}

/// `id uuid, name text` → (`id`, `uuid`), (`name`, `text`).
fn columns(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    text.split(", ").filter_map(|column| column.split_once(' '))
}

impl OwnTable {
    fn differences(&self, found: &Found, steps: &BTreeSet<String>) -> Vec<String> {
        if !found.is_table {
            return vec!["it is no plain table".to_owned()];
        }
        let mut wrong = Vec::new();
        if let (Some(owner), false) = (&found.stranger, steps.contains(self.step)) {
            wrong.push(format!("it belongs to {owner}"));
        }
        let mut known = BTreeSet::new();
        let always = columns(self.columns).map(|column| (column, true));
        let added = self.added.iter().flat_map(|(step, text)| {
            let is_applied = steps.contains(*step);
            columns(text).map(move |column| (column, is_applied))
        });
        for ((name, wanted), is_required) in always.chain(added) {
            known.insert(name);
            match found.columns.get(name) {
                None if is_required => wrong.push(format!("the column {name} is missing")),
                Some(column) if column.type_name != wanted => wrong.push(format!(
                    "the column {name} is {}, not {wanted}",
                    column.type_name
                )),
                _ => {}
            }
        }
        let unknown = found
            .columns
            .iter()
            .filter(|(name, column)| column.needs_value && !known.contains(&name[..]));
        wrong.extend(unknown.map(|(name, _)| format!("the column {name} needs a value")));
        wrong
    }

    fn misfit(&self, wrong: &[String], steps: &BTreeSet<String>) -> Finding {
        let (name, wrong) = (self.name, wrong.join(", "));
        if steps.contains(self.step) {
            return Finding::error(
                Topic::Names,
                format!("the table {name} of this program was changed: {wrong}"),
                "restore it as migrate created it (migrations/ has the statements)",
            );
        }
        Finding::error(
            Topic::Names,
            format!("public.{name} exists and is not this program's: {wrong}"),
            format!("the program needs this name; run: ALTER TABLE public.{name} RENAME TO …;"),
        )
    }
}
