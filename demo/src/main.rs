//! `make demo`: the unchanged program plays a day of bookings in well under a minute, and then runs on.
//!
//! PostgreSQL is embedded and takes one connection at a time, so that everything goes through the program's own pool of one.

mod mailbox;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use booking_automation::call::{Call, Cause};
use booking_automation::config::{CronSecrets, DatabaseSettings, DeliverySettings, PassSettings};
use booking_automation::database::{Begin, Database};
use booking_automation::delivery::Mailer;
use booking_automation::run::{self, Automation};
use booking_automation::ses::Ses;
use booking_automation::summary::Summary;
use booking_automation::{migrate, serve};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use mailbox::Mailbox;
use pglite_oxide::PgliteServer;
use tokio_postgres::types::Type;

/// The day, in minutes.
const DAY: i64 = 24 * 60;
/// Nobody fires a pass in these two hours.
const OUTAGE: std::ops::Range<i64> = 12 * 60..14 * 60;
/// Where the mails go.
const MAILS: &str = "target/demo-mails";
const SECRET: &str = "demo-secret-0123456789";
const SIGNING_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// What people do in the course of the day: at which minute, what, and the statement.
const PEOPLE: [(i64, &str, &str); 3] = [
    (
        6 * 60,
        "a customer cancels the booking of 08:00",
        "UPDATE bookings SET status = 'cancelled', cancelled_at = $1 WHERE scheduled_at = $1 + interval '2 hours'",
    ),
    (
        9 * 60,
        "a booking moves from 11:20 to 15:20 the same day",
        "UPDATE bookings SET scheduled_at = scheduled_at + interval '4 hours' WHERE scheduled_at = $1 + interval '2 hours 20 minutes'",
    ),
    (
        16 * 60,
        "somebody books for half an hour later",
        "INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, location)
         SELECT '00000000-0000-0000-0000-000000000115', provider_id, id, 'confirmed', $1 + interval '30 minutes', 60, 'Ringstraße 1, Wien'
           FROM services ORDER BY id LIMIT 1",
    ),
];

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mailbox, endpoint) = runtime.block_on(Mailbox::open(Path::new(MAILS)))?;
    let settings = [
        ("AWS_ENDPOINT_URL_SESV2", endpoint.as_str()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "demo"),
        ("AWS_SECRET_ACCESS_KEY", "demo"),
    ];
    for (name, value) in settings {
        // SAFETY: the runtime has no other thread yet, and nothing else runs.
        unsafe { std::env::set_var(name, value) };
    }
    println!("Starting an embedded PostgreSQL …");
    let server = PgliteServer::temporary_tcp()?;
    let ended = runtime.block_on(demo(&server.database_url(), &mailbox));
    // Its connection goes with the runtime; the server waits for that.
    drop(runtime);
    server.shutdown()?;
    ended
}

async fn demo(url: &str, mailbox: &Mailbox) -> anyhow::Result<()> {
    let lookup = |name: &str| match name {
        "DATABASE_URL" => Some(url.to_owned()),
        "EMAIL_FROM" => Some("Studio Nord <booking@studio.example>".to_owned()),
        "CRON_SECRET" => Some(SECRET.to_owned()),
        "CRON_SIGNING_SECRET" => Some(SIGNING_SECRET.to_owned()),
        _ => None,
    };
    let database = Database::new(&DatabaseSettings::from_environment(&lookup)?, 1)?;
    migrate::migrate(&database, None, |step| println!("  migrate: {step}")).await?;
    let start = (Utc::now() - TimeDelta::days(1)).duration_trunc(TimeDelta::minutes(1))?;
    fill(&database, start).await.context("the day could not be filled in")?;
    let delivery = DeliverySettings::from_environment(&lookup)?;
    let mailer = Mailer::new(delivery.clone(), Ses::new(&delivery).await?);
    let automation = Automation::new(database.clone(), PassSettings::from_environment(&lookup)?, mailer);

    play(&automation, &database, start).await?;
    tell(&database).await?;
    println!("\n{} mails: {}", mailbox.len(), mailbox.index()?.display());
    if std::env::var_os("DEMO_EXIT").is_some_and(|exit| exit == "1") {
        return Ok(());
    }
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    println!("\nNow it runs each minute on the real clock, and answers on http://{address} (Ctrl-C ends it). Try:\n");
    println!("  curl -H 'Authorization: Bearer {SECRET}' http://{address}/run\n");
    println!("  body='' id=\"msg_$(openssl rand -hex 12)\" timestamp=$(date +%s)");
    println!("  key=$(printf %s '{}' | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \\n')", &SIGNING_SECRET[6..]);
    println!(
        "  signature=$(printf %s \"$id.$timestamp.$body\" | openssl dgst -sha256 -mac HMAC -macopt \"hexkey:$key\" -binary | openssl base64 -A)"
    );
    println!(
        "  curl --data-binary \"$body\" http://{address}/run -H \"webhook-id: $id\" -H \"webhook-timestamp: $timestamp\" -H \"webhook-signature: v1,$signature\"\n"
    );
    serve::serve(automation, CronSecrets::from_environment(&lookup)?, address, Some(Duration::from_secs(60))).await?;
    mailbox.index()?;
    Ok(())
}

/// Fills in the day, as somebody else's backend did two days before.
async fn fill(database: &Database, start: DateTime<Utc>) -> anyhow::Result<()> {
    let begin = Begin { as_of: Some(start - TimeDelta::days(2)), ..Begin::default() };
    let (transaction, _) = database.begin(&begin, "SET LOCAL booking_automation.actor = 'backend'").await?;
    for statement in include_str!("day.sql").split(";\n").filter(|statement| statement.contains("INSERT")) {
        let parameters = [(&start as _, Type::TIMESTAMPTZ)];
        transaction.execute(statement, if statement.contains("$1") { &parameters } else { &[] }).await?;
    }
    // The rules were there before the day.
    transaction.batch("UPDATE reminder_rules SET effective_from = now() - interval '30 days'").await?;
    transaction.commit().await?;
    Ok(())
}

/// A pass a minute, but for the outage.
async fn play(automation: &Automation, database: &Database, start: DateTime<Utc>) -> anyhow::Result<()> {
    let bar = ProgressBar::new(DAY as u64).with_style(ProgressStyle::with_template("{bar:40} {msg} of the day")?);
    let say = |line: String| if bar.is_hidden() { println!("{line}") } else { bar.println(line) };
    for minute in 0..=DAY {
        let as_of = start + TimeDelta::minutes(minute);
        let clock = format!("{:02}:{:02}", minute / 60, minute % 60);
        bar.set_position(minute as u64);
        bar.set_message(clock.clone());
        for (_, what, statement) in PEOPLE.iter().filter(|(at, ..)| *at == minute) {
            let begin = Begin { as_of: Some(as_of), ..Begin::default() };
            let (transaction, _) = database.begin(&begin, "SET LOCAL booking_automation.actor = 'backend'").await?;
            let rows = transaction.execute(statement, &[(&as_of, Type::TIMESTAMPTZ)]).await?;
            transaction.commit().await?;
            anyhow::ensure!(rows == 1, "{what}: {rows} bookings");
            say(format!("{clock}  · {what}"));
        }
        if OUTAGE.contains(&minute) {
            if minute == OUTAGE.start {
                say(format!("{clock}  · an outage: no pass for two hours"));
            }
            continue;
        }
        let deadline = Instant::now() + Duration::from_secs(50);
        let call = Call { as_of: Some(as_of), ..Call::new(Cause::Cli, deadline) };
        if let Summary::Completed(work) = run::run(automation, &call).await? {
            let (moved, mails) = (work.transitions, work.reminders);
            let figures = [
                (moved.started, "started"),
                (moved.completed, "completed"),
                (moved.expired, "expired"),
                (mails.sent, "reminded"),
                (mails.skipped, "skipped"),
            ];
            let told: Vec<_> =
                figures.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
            if !told.is_empty() {
                say(format!("{clock}  {}", told.join(", ")));
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// The table at the end, from the events.
async fn tell(database: &Database) -> anyhow::Result<()> {
    let sql = "SELECT CASE event_type WHEN 'status_update' THEN 'booking' ELSE 'reminder ' || rule END,
                      CASE event_type WHEN 'status_update' THEN concat(event_data->>'from', ' → ', event_data->>'to', ', by ', event_data->>'by')
                           ELSE concat_ws(': ', CASE status WHEN 'completed' THEN 'sent' ELSE status END, reason) END,
                      count(*)
                 FROM booking_automation_events
                GROUP BY 1, 2 ORDER BY 1, 2";
    let (transaction, _) = database.begin(&Begin::default(), "").await?;
    let rows = transaction.query(sql, &[]).await?;
    transaction.rollback().await?;
    println!();
    for row in rows {
        println!("  {:13} {:55} {:>4}", row.get::<_, &str>(0), row.get::<_, &str>(1), row.get::<_, i64>(2));
    }
    Ok(())
}
