//! `make demo`: the unchanged program simulates a day of bookings in well under a minute, and then keeps running.
//!
//! PostgreSQL is embedded and accepts one connection at a time, so everything uses the program's pool, which has one connection.

mod mailbox;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use booking_automation::channels::email::Ses;
use booking_automation::channels::email::settings::EmailSettings;
use booking_automation::channels::webhook::settings::WebhookSettings;
use booking_automation::database::settings::DatabaseSettings;
use booking_automation::database::{Begin, Database};
use booking_automation::delivery::Mailer;
use booking_automation::delivery::webhooks::WebhookDispatcher;
use booking_automation::entry::server;
use booking_automation::http::settings::HttpSettings;
use booking_automation::operations::check::finding::MigrateOptions;
use booking_automation::operations::migration::check_and_migrate;
use booking_automation::primitives::call::Call;
use booking_automation::tick::settings::PassSettings;
use booking_automation::tick::summary::{Summary, Work};
use booking_automation::tick::trigger::Trigger;
use booking_automation::tick::{self, Automation};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use mailbox::Mailbox;
use pglite_oxide::PgliteServer;
use tokio_postgres::types::{ToSql, Type};

/// No pass runs in these two hours. All times here are minutes since the start of the day.
const OUTAGE: std::ops::Range<i64> = 12 * 60..14 * 60;
/// What people do during the day.
const PEOPLE: [Act; 3] = [
    Act {
        minute: 6 * 60,
        what: "a customer cancels the booking of {}",
        times: &[8 * 60],
        sql: "UPDATE public.bookings SET status = 'cancelled', cancelled_at = $1 WHERE scheduled_at = $2",
    },
    Act {
        minute: 10 * 60 + 40,
        what: "a booking moves from {} to {}",
        times: &[11 * 60 + 20, 15 * 60 + 30],
        sql: "UPDATE public.bookings SET scheduled_at = $3, updated_at = $1 WHERE scheduled_at = $2",
    },
    Act {
        minute: 16 * 60,
        what: "somebody books for {}",
        times: &[16 * 60 + 30],
        sql: "INSERT INTO public.bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, is_online, location, meeting_link, created_at)
              SELECT customer_id, provider_id, service_id, 'confirmed', $2, duration_minutes, is_online, location, meeting_link, $1
                FROM public.bookings ORDER BY abs(extract(epoch FROM scheduled_at - $2)) LIMIT 1",
    },
];
/// The folder of the mails and the events.
const FOLDER: &str = "target/demo-mails";
/// The time zone of the times that the demo shows.
const ZONE: &str = "Europe/Vienna";
const SECRET: &str = "demo-secret-0123456789";
const SIGNING_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A change of `bookings` by a person.
struct Act {
    minute: i64,
    /// Each `{}` is replaced by one of the `times`.
    what: &'static str,
    times: &'static [i64],
    /// `$1` is the time of the change; `$2` and `$3` are the `times`.
    sql: &'static str,
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mailbox, endpoint) = runtime
        .block_on(Mailbox::open(Path::new(FOLDER)))
        .with_context(|| format!("{FOLDER} cannot be written"))?;
    let settings = [
        ("AWS_ENDPOINT_URL_SESV2", endpoint.as_str()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "demo"),
        ("AWS_SECRET_ACCESS_KEY", "demo"),
    ];
    for (name, value) in settings {
        // SAFETY: the process has no other thread yet.
        unsafe { std::env::set_var(name, value) };
    }
    println!("Starting an embedded PostgreSQL …");
    let server = PgliteServer::temporary_tcp().context("the embedded PostgreSQL did not start")?;
    let ended = runtime.block_on(demo(&server.database_url(), &mailbox));
    // This closes the connection; the server waits for it.
    drop(runtime);
    server.shutdown()?;
    ended
}

async fn demo(url: &str, mailbox: &Mailbox) -> anyhow::Result<()> {
    let lookup = |name: &str| match name {
        "DATABASE_URL" => Some(url.to_owned()),
        "EMAIL_FROM" => Some("Studio Nord <booking@studio.example>".to_owned()),
        "PUBLIC_URL" => Some("https://studio.example".to_owned()),
        "CRON_SECRET" => Some(SECRET.to_owned()),
        "CRON_SIGNING_SECRET" => Some(SIGNING_SECRET.to_owned()),
        _ => None,
    };
    let database = Database::new(&DatabaseSettings::from_environment(&lookup)?, 1)?;
    check_and_migrate(&database, MigrateOptions::default(), None, |step| {
        println!("  migrate: {step}")
    })
    .await?;
    let now = Utc::now();
    let start = (now - TimeDelta::days(1)).duration_trunc(TimeDelta::hours(1))?;
    fill(&database, start)
        .await
        .context("the day could not be filled in")?;
    let delivery = EmailSettings::from_environment(&lookup)?;
    let mailer = Mailer::new(delivery.clone(), Ses::new(&delivery).await?);
    let dispatcher = WebhookDispatcher::new(WebhookSettings::from_environment(&lookup)?);
    let automation = Automation::new(
        database.clone(),
        PassSettings::from_environment(&lookup)?,
        mailer,
        dispatcher,
    );

    println!("\nThe day until now, a pass a minute; the clock is Vienna's.");
    play(&automation, &database, start, (now - start).num_minutes()).await?;
    println!("\n{}", table(&database).await?);
    keep_events(&database, mailbox).await?;
    println!(
        "{} mails: {FOLDER}/index.html, and every event, as JSON: {FOLDER}/events.ndjson",
        mailbox.len()
    );
    if std::env::var_os("DEMO_EXIT").is_some_and(|exit| exit == "1") {
        return Ok(());
    }
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    println!(
        "\nNow it runs each minute on the real clock, and answers on http://{address} (Ctrl-C ends it). Try:\n"
    );
    println!("  curl -H 'Authorization: Bearer {SECRET}' http://{address}/run\n");
    println!("  body='' id=\"msg_$(openssl rand -hex 12)\" timestamp=$(date +%s)");
    println!(
        "  key=$(printf %s '{}' | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \\n')",
        &SIGNING_SECRET[6..]
    );
    println!(
        "  signature=$(printf %s \"$id.$timestamp.$body\" | openssl dgst -sha256 -mac HMAC -macopt \"hexkey:$key\" -binary | openssl base64 -A)"
    );
    println!(
        "  curl --data-binary \"$body\" http://{address}/run -H \"webhook-id: $id\" -H \"webhook-timestamp: $timestamp\" -H \"webhook-signature: v1,$signature\"\n"
    );
    let settings = HttpSettings::from_environment(&lookup)?;
    server::serve(
        automation,
        settings,
        None,
        address,
        Some(Duration::from_secs(60)),
    )
    .await?;
    keep_events(&database, mailbox).await?;
    println!("\nEnded; {} mails are in {FOLDER}.", mailbox.len());
    Ok(())
}

/// Creates the day's bookings, as the user's backend would have done before.
async fn fill(database: &Database, start: DateTime<Utc>) -> anyhow::Result<()> {
    for statement in include_str!("day.sql").split_inclusive(";\n") {
        let parameters: &[&(dyn ToSql + Sync)] = if statement.contains("$1") {
            &[&start]
        } else {
            &[]
        };
        write(database, start - TimeDelta::days(2), statement, parameters).await?;
    }
    // The program was installed when the day began: earlier reminders are not sent.
    write(
        database,
        start,
        "UPDATE public.reminder_rules SET effective_from = $1",
        &[&start],
    )
    .await?;
    for switched_on in [
        "UPDATE public.booking_automation_notice_rules SET active = true WHERE audience = 'customer' AND on_event <> 'completed'",
        "UPDATE public.booking_automation_digest_rules SET active = true WHERE audience = 'provider'",
    ] {
        write(database, start, switched_on, &[]).await?;
    }
    Ok(())
}

/// Executes a statement of the user's backend at that time. Returns the number of rows.
async fn write(
    database: &Database,
    as_of: DateTime<Utc>,
    sql: &str,
    times: &[&(dyn ToSql + Sync)],
) -> anyhow::Result<u64> {
    let begin = Begin {
        as_of: Some(as_of),
        ..Begin::default()
    };
    let (transaction, _) = database
        .begin(&begin, "SET LOCAL booking_automation.actor = 'backend'")
        .await?;
    let parameters: Vec<_> = times
        .iter()
        .map(|time| (*time, Type::TIMESTAMPTZ))
        .collect();
    let rows = transaction.execute(sql, &parameters).await?;
    transaction.commit().await?;
    Ok(rows)
}

/// Runs one pass per minute, except during the outage.
async fn play(
    automation: &Automation,
    database: &Database,
    start: DateTime<Utc>,
    minutes: i64,
) -> anyhow::Result<()> {
    let bar = ProgressBar::new(minutes as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {msg}")?);
    let say = |line: String| {
        if bar.is_hidden() {
            println!("{line}")
        } else {
            bar.println(line)
        }
    };
    let (began, mut passes) = (Instant::now(), 0);
    for minute in 0..=minutes {
        let as_of = start + TimeDelta::minutes(minute);
        let now = clock(as_of)?;
        bar.set_position(minute as u64);
        bar.set_message(now.clone());
        for act in PEOPLE.iter().filter(|act| act.minute == minute) {
            let times: Vec<_> = act
                .times
                .iter()
                .map(|time| start + TimeDelta::minutes(*time))
                .collect();
            let what = times.iter().try_fold(act.what.to_owned(), |what, time| {
                anyhow::Ok(what.replacen("{}", &clock(*time)?, 1))
            })?;
            let parameters: Vec<_> = [&as_of]
                .into_iter()
                .chain(&times)
                .map(|time| time as &(dyn ToSql + Sync))
                .collect();
            let rows = write(database, as_of, act.sql, &parameters).await?;
            anyhow::ensure!(rows == 1, "{what}: {rows} bookings");
            say(format!("{now}  · {what}"));
        }
        if OUTAGE.contains(&minute) {
            if minute == OUTAGE.start {
                say(format!("{now}  · an outage: no pass for two hours"));
            }
            continue;
        }
        let call = Call {
            as_of: Some(as_of),
            ..Call::until(Instant::now() + Duration::from_secs(50))
        };
        let Summary::Completed(work) = tick::run(automation, &Trigger::Cli, &call).await? else {
            anyhow::bail!("{now}: the pass was skipped");
        };
        passes += 1;
        let told = done(&work);
        if !told.is_empty() {
            say(format!("{now}  {told}"));
        }
    }
    bar.finish_and_clear();
    println!(
        "{passes} passes in {:.0} seconds.",
        began.elapsed().as_secs_f32()
    );
    Ok(())
}

/// What a pass did, in words; empty if it did nothing.
fn done(work: &Work) -> String {
    let (moved, mails) = (&work.transitions, &work.reminders);
    let figures = [
        (moved.started, "started"),
        (moved.completed, "completed"),
        (moved.expired, "expired"),
        (moved.reopened, "confirmed again"),
        (mails.sent, "mails sent"),
        (mails.skipped, "not to be sent"),
        (
            mails.failed + mails.retrying + mails.unknown + mails.deferred,
            "not sent",
        ),
    ];
    let told: Vec<_> = figures
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    told.join(", ")
}

/// The table at the end, read from the database.
async fn table(database: &Database) -> anyhow::Result<String> {
    let (transaction, _) = database.begin(&Begin::default(), "").await?;
    let changes = transaction
        .query(
            "SELECT event_data->>'from', event_data->>'to', event_data->>'by', count(*)
               FROM public.booking_automation_events WHERE event_type = 'status_update' GROUP BY 1, 2, 3 ORDER BY count(*) DESC, 1, 2",
            &[],
        )
        .await?;
    let reminders = transaction
        .query(
            "SELECT CASE status WHEN 'completed' THEN 'sent' ELSE concat_ws(': ', status, reason) END, rule, count(*)
               FROM public.booking_automation_events WHERE event_type = 'reminder_sent' GROUP BY 1, 2",
            &[],
        )
        .await?;
    let notices = transaction
        .query(
            "SELECT concat_ws(' ', rule, CASE status WHEN 'completed' THEN 'sent' ELSE concat_ws(': ', status, reason) END), count(*)
               FROM public.booking_automation_events WHERE event_type = 'notification_sent' GROUP BY 1 ORDER BY 1",
            &[],
        )
        .await?;
    let rules = transaction
        .query(
            "SELECT name FROM public.reminder_rules ORDER BY lead DESC",
            &[],
        )
        .await?;
    let bookings = transaction
        .query(
            "SELECT status, count(*) FROM public.bookings GROUP BY status ORDER BY count(*) DESC, status",
            &[],
        )
        .await?;
    transaction.rollback().await?;

    let mut text = String::from("Status changes\n");
    for row in &changes {
        let [from, to, by] = [0, 1, 2].map(|column| row.get::<_, &str>(column));
        writeln!(
            text,
            "  {:28}{:24}{:>6}",
            format!("{from} → {to}"),
            format!("by {by}"),
            row.get::<_, i64>(3)
        )?;
    }
    write!(text, "\n{:30}", "Reminders")?;
    for rule in &rules {
        write!(text, "{:>6}", rule.get::<_, &str>(0))?;
    }
    let counts: BTreeMap<(&str, &str), i64> = reminders
        .iter()
        .map(|row| ((row.get(0), row.get(1)), row.get(2)))
        .collect();
    let outcomes: BTreeSet<&str> = counts.keys().map(|(outcome, _)| *outcome).collect();
    for outcome in outcomes {
        write!(text, "\n  {outcome:28}")?;
        for rule in &rules {
            write!(
                text,
                "{:>6}",
                counts.get(&(outcome, rule.get(0))).unwrap_or(&0)
            )?;
        }
        write!(text, "{}", why(outcome))?;
    }
    text.push_str("\n\nNotices and digests");
    for row in &notices {
        let (outcome, count): (&str, i64) = (row.get(0), row.get(1));
        write!(text, "\n  {outcome:28}{count:>6}")?;
    }
    let now: Vec<_> = bookings
        .iter()
        .map(|row| format!("{} {}", row.get::<_, i64>(1), row.get::<_, &str>(0)))
        .collect();
    writeln!(text, "\n\nBookings now: {}", now.join(", "))?;
    Ok(text)
}

/// What a reason means.
fn why(outcome: &str) -> &'static str {
    match outcome {
        "skipped: booked_late" => "   booked or moved too late for it",
        "skipped: no_address" => "   no address is known",
        "skipped: superseded" => "   one nearer to the start went out",
        _ => "",
    }
}

/// Writes every event as a line of JSON, in chronological order, and the kinds of the mails into the
/// list of mails.
async fn keep_events(database: &Database, mailbox: &Mailbox) -> anyhow::Result<()> {
    let (transaction, _) = database.begin(&Begin::default(), "").await?;
    let rows = transaction
        .query(
            "SELECT to_jsonb(e)::text || E'\\n' FROM public.booking_automation_events e ORDER BY seq",
            &[],
        )
        .await?;
    let kinds = transaction
        .query(
            "SELECT message_id,
                    CASE WHEN event_type = 'reminder_sent' THEN 'reminder' WHEN person_id IS NOT NULL THEN 'digest'
                         ELSE event_data -> 'notice' ->> 'on_event' END
               FROM public.booking_automation_events
              WHERE event_type IN ('reminder_sent', 'notification_sent') AND message_id IS NOT NULL",
            &[],
        )
        .await?;
    transaction.rollback().await?;
    let lines: String = rows.iter().map(|row| row.get::<_, &str>(0)).collect();
    std::fs::write(Path::new(FOLDER).join("events.ndjson"), lines)?;
    mailbox.set_kinds(kinds.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The weekday and local time of the studio.
fn clock(time: DateTime<Utc>) -> anyhow::Result<String> {
    let there = jiff::Timestamp::from_second(time.timestamp())?.in_tz(ZONE)?;
    Ok(there.strftime("%a %H:%M").to_string())
}
