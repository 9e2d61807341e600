//! Databases and roles whose settings reach our sessions, other encodings and collations: a day has
//! the same outcome as everywhere.

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::json;

use crate::app::{App, connect, hours, minutes, noon, skipped};
use crate::cluster::cluster;
use crate::ses::Answer;
use crate::status::{ask, support};

/// Settings that do not depend on each other share a database.
const SETTINGS: &[(&str, &[&str])] = &[
    ("nothing", &[]),
    ("quoted names", &["quote_all_identifiers = on"]),
    (
        "German dates",
        &[
            "TimeZone = 'Pacific/Chatham'",
            "DateStyle = 'German'",
            "IntervalStyle = 'postgres_verbose'",
            "bytea_output = 'escape'",
            "extra_float_digits = -15",
            "xmlbinary = 'hex'",
            "xmloption = 'document'",
        ],
    ),
    (
        "SQL dates",
        &[
            "TimeZone = 'America/St_Johns'",
            "DateStyle = 'SQL, DMY'",
            "IntervalStyle = 'sql_standard'",
            "lc_messages = 'C'",
            "lc_monetary = 'C'",
            "lc_numeric = 'C'",
            "lc_time = 'C'",
            "client_min_messages = 'debug5'",
            "client_encoding = 'LATIN1'",
        ],
    ),
    (
        "strings",
        &[
            "standard_conforming_strings = off",
            "backslash_quote = off",
            "escape_string_warning = on",
        ],
    ),
    (
        "nulls",
        &["transform_null_equals = on", "array_nulls = off"],
    ),
    (
        "transactions",
        &[
            "default_transaction_isolation = 'serializable'",
            "default_transaction_read_only = on",
            "default_transaction_deferrable = on",
            "synchronous_commit = off",
        ],
    ),
    (
        "limits",
        &[
            "work_mem = '64kB'",
            "maintenance_work_mem = '1MB'",
            "statement_timeout = '1s'",
            "lock_timeout = '1ms'",
            "idle_in_transaction_session_timeout = '20ms'",
            "synchronous_commit = remote_apply",
            "commit_delay = 1000",
            "commit_siblings = 0",
        ],
    ),
    (
        "plans",
        &[
            "enable_seqscan = off",
            "enable_indexscan = off",
            "enable_indexonlyscan = off",
            "enable_bitmapscan = off",
            "enable_hashjoin = off",
            "enable_mergejoin = off",
            "enable_sort = off",
            "enable_material = off",
            "constraint_exclusion = on",
            "join_collapse_limit = 1",
            "from_collapse_limit = 1",
            "geqo_threshold = 2",
        ],
    ),
    (
        "parallel and compiled",
        &[
            "jit = on",
            "jit_above_cost = 0",
            "plan_cache_mode = 'force_generic_plan'",
            "enable_nestloop = off",
            "parallel_setup_cost = 0",
            "parallel_tuple_cost = 0",
            "min_parallel_table_scan_size = 0",
            "min_parallel_index_scan_size = 0",
            "max_parallel_maintenance_workers = 2",
            // `debug_parallel_query` since version 16.
            "force_parallel_mode = on",
        ],
    ),
    (
        "places",
        &[
            "search_path = '\"$user\", nowhere, pg_temp'",
            "row_security = off",
            "check_function_bodies = off",
            "default_tablespace = 'pg_default'",
            "temp_tablespaces = ''",
            "default_table_access_method = 'heap'",
            "default_toast_compression = 'pglz'",
            "lo_compat_privileges = on",
        ],
    ),
    ("no path", &["search_path = ''"]),
    ("a foreign schema first", &["search_path = theirs, public"]),
    (
        "the catalog last",
        &["search_path = theirs, public, pg_catalog"],
    ),
];

/// Settings under which a day has another outcome today, and a part of that outcome. An entry that no
/// longer applies fails the test: move it to `SETTINGS`.
const KNOWN_TO_DIFFER: &[(&str, &[&str], &str)] = &[(
    "triggers are off",
    &["session_replication_role = 'replica'"],
    "session_replication_role",
)];

const THEIRS: &str = "CREATE SCHEMA theirs;
    CREATE TABLE theirs.bookings (LIKE pg_class);
    CREATE FUNCTION theirs.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT timestamptz ''1999-01-01''';
    CREATE FUNCTION theirs.lower(text) RETURNS text LANGUAGE sql AS 'SELECT ''wrong''::text'";

/// Sets what sessions of the database begin with; those that are open keep theirs.
async fn apply(app: &App, settings: &[&str]) {
    let (_, database) = app.url.rsplit_once('/').unwrap();
    for setting in settings {
        let alter = |setting: &str| format!("ALTER DATABASE {database} SET {setting}");
        if app.db.batch_execute(&alter(setting)).await.is_err() {
            let renamed = setting.replace("force_parallel_mode", "debug_parallel_query");
            app.db.batch_execute(&alter(&renamed)).await.unwrap();
        }
    }
}

/// Installs the program in an empty database. An error is what `migrate` says.
async fn install(app: &mut App) -> Result<(), String> {
    let said = app.call(&["migrate", "--create-base-tables"]).await;
    if !said.success {
        return Err(said.stderr);
    }
    let old = "UPDATE public.reminder_rules SET effective_from = '2020-01-01'";
    app.sql(old, &[]).await;
    app.customer = app
        .person(
            "Carla Cäsar",
            Some("carla@customers.example"),
            "Europe/Vienna",
        )
        .await;
    app.provider = app.person("Petra", None, "Europe/Vienna").await;
    let service = "INSERT INTO services (title) VALUES ('Massage') RETURNING id";
    app.service = app.one(service, &[]).await.get(0);
    Ok(())
}

/// A session with the settings confirms a booking, which is reminded, started and completed; the
/// outcome in words.
async fn a_day(app: &App) -> Vec<String> {
    app.set_clock(noon() - hours(240)).await;
    let booking = app.booking("pending", noon() + hours(24)).await;
    let backend = connect(&app.url).await;
    let confirm = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL booking_automation.as_of = '2026-02-19 12:00:00+00';
         UPDATE public.bookings SET status = 'confirmed' WHERE id = '{booking}'; COMMIT"
    );
    backend.batch_execute(&confirm).await.unwrap();
    for minute in [0, 23 * 60, 24 * 60, 25 * 60, 25 * 60 + 20] {
        app.run(noon() + minutes(minute)).await;
    }
    let trail = "SELECT concat_ws(' ', event_type, rule, status, reason, scheduled_at AT TIME ZONE 'UTC', starts_at AT TIME ZONE 'UTC',
                        event_data ->> 'from', event_data ->> 'to', event_data -> 'attempts' -> 0 ->> 'outcome', revision, flag_due)
                   FROM public.booking_automation_events WHERE booking_id = $1 ORDER BY seq";
    let state = "SELECT concat_ws(' ', b.status, b.completed_at AT TIME ZONE 'UTC', b.reminder_24h_sent, b.reminder_1h_sent, b.auto_status_updated,
                        jsonb_array_length(b.automation_logs), b.automation_logs -> 0 ->> 'due_at', s.revision, s.starts_at AT TIME ZONE 'UTC')
                   FROM public.bookings b LEFT JOIN public.booking_automation_state s ON s.booking_id = b.id WHERE b.id = $1";
    let mut outcome = app.column(trail, &[&booking]).await;
    outcome.extend(app.column(state, &[&booking]).await);
    outcome.extend(app.ses.mails().iter().map(|mail| mail.text().to_owned()));
    outcome
}

async fn outcome_under(name: &str, settings: &[&str]) -> (String, Vec<String>) {
    let mut app = App::empty().await;
    app.db.batch_execute(THEIRS).await.unwrap();
    apply(&app, settings).await;
    let outcome = match install(&mut app).await {
        Ok(()) => a_day(&app).await,
        Err(refusal) => vec![refusal],
    };
    (name.to_owned(), outcome)
}

#[tokio::test]
async fn a_day_has_the_same_outcome_under_any_settings_of_the_database() {
    let known = KNOWN_TO_DIFFER
        .iter()
        .map(|(name, settings, _)| (*name, *settings));
    let mut outcomes: Vec<_> = stream::iter(SETTINGS.iter().copied().chain(known))
        .map(|(name, settings)| outcome_under(name, settings))
        .buffered(4)
        .collect()
        .await;
    let (_, expected) = outcomes.remove(0);
    // Confirmed, two reminders, started, completed; the booking; two mails.
    assert_eq!(expected.len(), 8, "{expected:#?}");
    let mut differs = Vec::new();
    for (name, outcome) in outcomes {
        let known = KNOWN_TO_DIFFER.iter().find(|(known, ..)| *known == name);
        let is_right = match known {
            Some((.., part)) => {
                outcome != expected && outcome.iter().any(|line| line.contains(part))
            }
            None => outcome == expected,
        };
        if !is_right {
            differs.push(format!("{name}: {outcome:#?}"));
        }
    }
    assert!(
        differs.is_empty(),
        "{}\nexpected: {expected:#?}",
        differs.join("\n")
    );
}

/// An app with an empty database of this kind; `None`: the server has no such locale.
async fn database_with(options: &str) -> Option<App> {
    let mut app = App::empty().await;
    let (_, name) = app.url.rsplit_once('/').unwrap();
    let name = name.to_owned();
    let admin = connect(&format!("{}/postgres", cluster().base_url)).await;
    let drop = format!("DROP DATABASE {name} WITH (FORCE)");
    admin.batch_execute(&drop).await.unwrap();
    let create = format!("CREATE DATABASE {name} TEMPLATE template0 {options}");
    if let Err(error) = admin.batch_execute(&create).await {
        let why = error.as_db_error().unwrap().message().to_owned();
        skipped(&format!("a database with {options}: {why}"));
        return None;
    }
    app.db = connect(&app.url).await;
    Some(app)
}

#[tokio::test]
async fn a_day_has_the_same_outcome_in_any_encoding_and_collation() {
    let mut expected = None;
    for options in [
        "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'",
        "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
        "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LOCALE 'C'",
        "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'de-AT-u-co-phonebk' LOCALE 'C'",
        "ENCODING 'UTF8' LOCALE 'tr_TR.UTF-8'",
    ] {
        let Some(mut app) = database_with(options).await else {
            continue;
        };
        install(&mut app).await.unwrap();
        let outcome = a_day(&app).await;
        let expected = expected.get_or_insert_with(|| outcome.clone());
        assert_eq!((outcome.len(), &outcome), (8, &*expected), "{options}");
    }
}

/// The database cannot store what the provider said: the outcome is recorded all the same.
#[tokio::test]
async fn an_answer_that_the_encoding_cannot_store_is_recorded() {
    let latin = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'";
    let mut app = database_with(latin).await.unwrap();
    install(&mut app).await.unwrap();
    app.ses
        .answer(|_| Answer::Error(400, "MessageRejected", "拒绝 → no 🎉"));
    let booking = app.confirmed(noon() + hours(24)).await;
    let mut said = String::new();
    for minute in [0, 5, 10] {
        let at = (noon() + minutes(minute)).to_rfc3339();
        said += &app.call(&["run", "--as-of", &at]).await.stderr;
        app.make_claimable().await;
    }
    assert_eq!(
        app.reminders(booking).await,
        ["24h failed rejected"],
        "{said}"
    );
    assert_eq!(app.ses.mails().len(), 1, "{said}");
}

/// A database without an encoding can hold bytes that are no text.
#[tokio::test]
async fn a_database_without_an_encoding_is_refused() {
    let ascii = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'";
    let mut app = database_with(ascii).await.unwrap();
    let refused = install(&mut app).await.unwrap_err();
    assert!(refused.contains("SQL_ASCII"), "{refused}");
}

/// A text of support's that the database cannot store is the request's fault, and changes nothing.
#[tokio::test]
async fn a_reason_that_the_encoding_cannot_store_is_refused() {
    let latin = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'";
    let mut app = database_with(latin).await.unwrap();
    install(&mut app).await.unwrap();
    let booking = app.confirmed(noon() + hours(24)).await;
    let server = support(&mut app, noon()).await;
    let path = format!("/bookings/{booking}/status");
    for (reason, status) in [("no 🎉", 422), ("déjà vu", 200)] {
        let body =
            json!({"to": "cancelled", "actor": {"role": "admin", "id": "kim"}, "reason": reason});
        let answer = ask(&server, "POST", &path, &[], body.to_string().as_bytes()).await;
        assert_eq!(answer.status, status, "{reason}: {}", answer.body);
    }
    assert_eq!(app.status(booking).await, "cancelled");
}
