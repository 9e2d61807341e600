//! Settings → connections → the Lambda loop or a subcommand.

use std::io::{BufWriter, ErrorKind, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use booking_automation::channels::email::Ses;
use booking_automation::config::{
    self, Address, AdminTokens, CronSecrets, DatabaseSettings, DeliverySettings, PassSettings, WebhookSettings,
};
use booking_automation::database::Database;
use booking_automation::database::migrate;
use booking_automation::delivery::Mailer;
use booking_automation::delivery::feedback::{self, Suppression};
use booking_automation::delivery::webhooks::Teller;
use booking_automation::entry::lambda;
use booking_automation::entry::server;
use booking_automation::support::preview;
use booking_automation::support::trail::{self, ListError};
use booking_automation::tick;
use booking_automation::tick::Automation;
use booking_automation::tick::call::{Call, Cause};
use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use serde::Serialize;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Moves bookings on when their time has come, and reminds people of them.
///
/// Settings are environment variables; docs/settings.md lists them. DATABASE_URL is always needed.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Brings the database's schema up to date. Safe on a live database; running it again does nothing.
    Migrate,
    /// Runs one pass, sends what is due, and prints the summary as JSON.
    Run {
        /// Show what a pass would do now; write and send nothing.
        #[arg(long)]
        dry_run: bool,
        /// How long the call may take: 30s, 5m.
        #[arg(long = "for", default_value = "50s", value_parser = call_duration)]
        time: Duration,
        /// Decide as if it were this time (RFC 3339) and not the database's: for tests and previews.
        #[arg(long, hide = true)]
        as_of: Option<DateTime<Utc>>,
    },
    /// Prints as JSON what the coming passes would do and send, minute by minute, if nobody changed anything. Writes nothing.
    Preview {
        /// How far to look ahead: from 1m to 7d.
        #[arg(long = "for", default_value = "24h", value_parser = preview_duration)]
        time: Duration,
        /// Decide as if it were this time (RFC 3339): for tests.
        #[arg(long, hide = true)]
        as_of: Option<DateTime<Utc>>,
    },
    /// Prints the audit trail: a line of JSON for each event, the newest first.
    Events {
        /// Events written since then: a time (RFC 3339), or how long ago (90m, 7d). All, if it is not there.
        #[arg(long, value_parser = since)]
        since: Option<DateTime<Utc>>,
    },
    /// Answers HTTP: /run with credentials fires a pass, /health tells that the process lives.
    Serve {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:9000")]
        listen: SocketAddr,
        /// Fire a pass every so often, too, from 10s to 1h: for places without a cron.
        #[arg(long, value_parser = interval)]
        every: Option<Duration>,
        /// What support asks is decided as if it were this time (RFC 3339): for tests.
        #[arg(long, hide = true)]
        as_of: Option<DateTime<Utc>>,
    },
    /// Lets an address be written to again that bounced for good, or whose owner complained.
    LiftSuppression {
        /// The address, address@example.com.
        #[arg(value_parser = address)]
        address: Address,
    },
}

/// Less than this leaves no time to send anything and record it.
const SHORTEST_CALL: Duration = Duration::from_secs(5);
/// How long a preview may take.
const PREVIEW_TIME: Duration = Duration::from_secs(60);

fn call_duration(text: &str) -> Result<Duration, String> {
    config::parse_duration(text)
        .filter(|time| *time >= SHORTEST_CALL)
        .ok_or_else(|| "takes a duration of at least 5s, such as 50s or 5m".to_owned())
}

fn preview_duration(text: &str) -> Result<Duration, String> {
    config::parse_duration(text)
        .filter(|time| (preview::SHORTEST..=preview::LONGEST).contains(time))
        .ok_or_else(|| "takes a duration from 1m to 7d, such as 24h".to_owned())
}

fn since(text: &str) -> Result<DateTime<Utc>, String> {
    if let Some(ago) = config::parse_duration(text) {
        return Ok(Utc::now() - ago);
    }
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|_| "takes a time such as 2026-03-01T12:00:00Z, or how long ago, such as 24h".to_owned())
}

fn interval(text: &str) -> Result<Duration, String> {
    config::parse_duration(text)
        .filter(|time| (10..=3600).contains(&time.as_secs()))
        .ok_or_else(|| "takes a duration from 10s to 1h, such as 1m".to_owned())
}

fn address(text: &str) -> Result<Address, String> {
    Address::parse(text).ok_or_else(|| "takes a mail address, address@example.com".to_owned())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Lambda starts the program without arguments.
    let ended = if lambda::is_here() {
        start_logging();
        function().await
    } else {
        let arguments = Arguments::parse();
        start_logging();
        execute(arguments.command).await
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Logs go to stderr: stdout carries the summary and nothing else. JSON where Lambda's log format says so.
fn start_logging() {
    let filter = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = filter.unwrap_or_else(|| {
        Targets::new()
            .with_default(LevelFilter::WARN)
            .with_target("booking_automation", LevelFilter::INFO)
            // It tells every function error once more.
            .with_target("lambda_runtime::layers::panic", LevelFilter::OFF)
            // The span that holds the request's id.
            .with_target("lambda_runtime::layers::trace", LevelFilter::INFO)
    });
    // Whatever is asked for: the SDK's traces hold the session's token, and what SES says with addresses in it.
    let filter =
        filter.with_target("aws_sigv4", LevelFilter::WARN).with_target("aws_smithy_runtime", LevelFilter::WARN);
    let json = std::env::var("AWS_LAMBDA_LOG_FORMAT").is_ok_and(|format| format.eq_ignore_ascii_case("json"));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if json { lines.json().flatten_event(true).with_span_list(false).boxed() } else { lines.boxed() };
    tracing_subscriber::registry().with(lines).with(filter).init();
}

async fn function() -> anyhow::Result<()> {
    let database_settings = DatabaseSettings::from_environment(&config::environment)?;
    let pass_settings = PassSettings::from_environment(&config::environment)?;
    let secrets = CronSecrets::from_environment(&config::environment)?;
    let automation = automation(&database_settings, 1, pass_settings).await?;
    let tokens = AdminTokens::from_environment(&config::environment)?;
    lambda::run(automation, database_settings, pass_settings, secrets, tokens).await
}

async fn automation(database: &DatabaseSettings, connections: usize, pass: PassSettings) -> anyhow::Result<Automation> {
    let delivery = DeliverySettings::from_environment(&config::environment)?;
    let ses = Ses::new(&delivery).await?;
    let teller = Teller::new(WebhookSettings::from_environment(&config::environment)?);
    Ok(Automation::new(Database::new(database, connections)?, pass, Mailer::new(delivery, ses), teller))
}

async fn execute(command: Command) -> anyhow::Result<()> {
    let database_settings = DatabaseSettings::from_environment(&config::environment)?;
    let pass_settings = PassSettings::from_environment(&config::environment)?;
    match command {
        Command::Migrate => {
            let database = Database::new(&database_settings, migrate::CONNECTIONS)?;
            let mut steps = 0;
            migrate::migrate(&database, None, |step| {
                steps += 1;
                tracing::info!("done: {step}");
            })
            .await?;
            if steps == 0 {
                tracing::info!("the schema is up to date: nothing to do");
            }
            let call = Call::new(Cause::Cli, Instant::now() + Duration::from_secs(60));
            let preview = tick::dry_run(&database, &pass_settings, &call)
                .await
                .context("the first pass could not be previewed")?;
            tracing::info!("what the first pass would do, if it ran now, is on stdout");
            print(&preview)
        }
        Command::Run { dry_run: true, time, as_of } => {
            let call = Call { as_of, ..Call::new(Cause::Cli, Instant::now() + time) };
            print(&tick::dry_run(&Database::new(&database_settings, 1)?, &pass_settings, &call).await?)
        }
        Command::Run { dry_run: false, time, as_of } => {
            let call = Call { as_of, ..Call::new(Cause::Cli, Instant::now() + time) };
            let automation = automation(&database_settings, 1, pass_settings).await?;
            let stop = call.stop.clone();
            tokio::spawn(async move { server::signalled().await.map(|()| stop.cancel()) });
            print(&tick::run(&automation, &call).await?)
        }
        Command::Preview { time, as_of } => {
            let database = Database::new(&database_settings, 1)?;
            let deadline = Instant::now() + PREVIEW_TIME;
            print(&preview::of(&database, &pass_settings, as_of, time, deadline).await?)
        }
        Command::Events { since } => {
            let database = Database::new(&database_settings, 1)?;
            let mut output = BufWriter::new(std::io::stdout().lock());
            match trail::list(&database, since, &mut output).await {
                // Whoever reads has read enough.
                Err(ListError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                listed => {
                    let count = listed?;
                    tracing::info!(count, "that were all events");
                    Ok(())
                }
            }
        }
        Command::Serve { listen, every, as_of } => {
            let secrets = CronSecrets::from_environment(&config::environment)?;
            let automation = automation(&database_settings, server::CONNECTIONS, pass_settings).await?;
            let tokens = AdminTokens::from_environment(&config::environment)?;
            server::serve(automation, secrets, tokens, as_of, listen, every).await
        }
        Command::LiftSuppression { address } => {
            let database = Database::new(&database_settings, 1)?;
            let lifted = feedback::lift(&database, &address).await;
            let lifted = lifted.map_err(|error| anyhow::anyhow!("nothing was lifted: {}", error.loggable()))?;
            let Suppression { reason, since } = lifted.context("nothing was lifted: this address is not suppressed")?;
            tracing::info!(suppression.reason = reason, suppression.since = %since, "it is written to again, if SES's own list lets it");
            Ok(())
        }
    }
}

fn print(summary: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string(summary)?;
    writeln!(std::io::stdout(), "{json}").context("the summary could not be written to stdout")
}
