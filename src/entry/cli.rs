//! The command line.

use std::io::{BufWriter, ErrorKind, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use crate::database::migrate::progress;
use crate::database::settings::DatabaseSettings;
use crate::database::{Database, migrate};
use crate::delivery::Channels;
use crate::delivery::suppression::{self, Destination, Suppression};
use crate::entry::uninstall::progress_interval;
use crate::entry::{automation, server, template, uninstall};
use crate::http::settings::HttpSettings;
use crate::operations::check;
use crate::operations::check::finding::{Intent, MigrateOptions};
use crate::operations::migration;
use crate::primitives::call::Call;
use crate::primitives::duration::parse_duration;
use crate::primitives::settings::environment;
use crate::support::preview;
use crate::support::trail::{self, TrailError};
use crate::tick;
use crate::tick::settings::PassSettings;
use crate::tick::trigger::Trigger;

/// Changes the status of bookings when their time comes, and sends the reminders that are due.
///
/// Settings are environment variables: see docs/settings.md. DATABASE_URL is always required.
#[derive(Parser)]
#[command(version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Brings the database's schema up to date. It is safe on a live database, and does nothing
    /// when run again. A database that does not fit is refused before anything is changed.
    Migrate(MigrateArguments),
    /// Looks at whether the database fits, before or after migrate, and writes nothing. Prints a
    /// line for each finding, and exits with 1 if there is an error.
    Check {
        /// Print the findings as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Removes what `migrate` created, and keeps your tables. It lists everything and asks first.
    Uninstall(uninstall::Arguments),
    /// Runs one pass, sends what is due, and prints the summary as JSON.
    Run {
        /// Show what a pass would do now, without writing or sending anything.
        #[arg(long)]
        dry_run: bool,
        /// How long the call may take: 30s, 5m.
        #[arg(long = "for", default_value = "50s", value_parser = call_duration)]
        time: Duration,
        /// Decide as if it were this time (RFC 3339) and not the database's: for tests and
        /// previews.
        #[arg(long, hide = true)]
        as_of: Option<DateTime<Utc>>,
    },
    /// Prints as JSON what the coming passes would do and send if nothing changed, minute by
    /// minute. It writes nothing.
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
        /// Only events written since a time (RFC 3339), or for so long (90m, 7d). Default: all.
        #[arg(long, value_parser = since)]
        since: Option<DateTime<Utc>>,
    },
    /// Serves HTTP: /run with credentials fires a pass, /health reports that the process is alive.
    Serve {
        /// The address to listen on.
        #[arg(long, default_value = "127.0.0.1:9000")]
        listen: SocketAddr,
        /// Also fire a pass at this interval, from 10s to 1h: for places without a cron.
        #[arg(long, value_parser = interval)]
        every: Option<Duration>,
        /// Decide support's requests as if it were this time (RFC 3339): for tests.
        #[arg(long, hide = true)]
        as_of: Option<DateTime<Utc>>,
    },
    /// Checks and shows your own texts of messages, the rows of booking_automation_templates: see
    /// docs/wording.md.
    #[command(subcommand)]
    Template(template::Command),
    /// Takes a mail address or a phone number off the suppression list, on which bounces or a
    /// complaint, or the receipt of an SMS, put it.
    LiftSuppression {
        /// The address, address@example.com, or the number with its country code, +12065550100.
        #[arg(value_name = "ADDRESS_OR_NUMBER", value_parser = destination)]
        destination: Destination,
    },
}

#[derive(Args)]
struct MigrateArguments {
    /// Create the tables bookings, users and services where they are missing, although the database
    /// has other tables.
    #[arg(long)]
    create_base_tables: bool,
    /// Add no column to bookings, now and in every later migrate: the reminder flags, the log of
    /// automatic changes and the block of an undo are then only in our own tables.
    #[arg(long)]
    no_columns: bool,
    /// Do not try the pass's own changes on one booking of each state first. They are rolled back,
    /// but what a trigger does elsewhere, as by dblink or HTTP, stays.
    #[arg(long)]
    no_probe: bool,
    /// How often to log the progress: for tests.
    #[arg(long, hide = true, default_value = "10s", value_parser = progress_interval)]
    progress_every: Duration,
}

impl MigrateArguments {
    fn options(&self) -> MigrateOptions {
        MigrateOptions {
            create_base_tables: self.create_base_tables,
            no_columns: self.no_columns,
            no_probe: self.no_probe,
        }
    }
}

/// Less than this leaves no time to send anything and record it.
const SHORTEST_CALL: Duration = Duration::from_secs(5);
/// How long the first pass's preview may take after `migrate`, and how long `preview` may take.
const PREVIEW_TIME: Duration = Duration::from_secs(60);

fn call_duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|time| *time >= SHORTEST_CALL)
        .ok_or_else(|| "takes a duration of at least 5s, such as 50s or 5m".to_owned())
}

fn preview_duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|time| (preview::SHORTEST..=preview::LONGEST).contains(time))
        .ok_or_else(|| "takes a duration from 1m to 7d, such as 24h".to_owned())
}

fn since(text: &str) -> Result<DateTime<Utc>, String> {
    if let Some(ago) = parse_duration(text) {
        return Ok(Utc::now() - ago);
    }
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|_| {
            "takes a time such as 2026-03-01T12:00:00Z, or how long ago, such as 24h".to_owned()
        })
}

fn interval(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|time| (10..=3600).contains(&time.as_secs()))
        .ok_or_else(|| "takes a duration from 10s to 1h, such as 1m".to_owned())
}

fn destination(text: &str) -> Result<Destination, String> {
    Destination::parse(text).ok_or_else(|| {
        "takes a mail address, address@example.com, or a phone number with its country code, \
         +12065550100"
            .to_owned()
    })
}

/// Executes a command.
///
/// # Errors
/// When a setting is missing or malformed, or the command fails.
pub async fn execute(arguments: Arguments) -> anyhow::Result<()> {
    let database_settings = DatabaseSettings::from_environment(&environment)?;
    let pass_settings = PassSettings::from_environment(&environment)?;
    match arguments.command {
        Command::Migrate(arguments) => {
            migrate_and_preview(&database_settings, &pass_settings, &arguments).await
        }
        Command::Uninstall(arguments) => uninstall_and_print(&database_settings, &arguments).await,
        Command::Check { json } => print_check(&database_settings, json).await,
        Command::Run {
            dry_run: true,
            time,
            as_of,
        } => {
            let database = Database::new(&database_settings, 1)?;
            print(&tick::dry_run(&database, &pass_settings, &call_within(time, as_of)).await?)
        }
        Command::Run {
            dry_run: false,
            time,
            as_of,
        } => {
            let call = call_within(time, as_of);
            let automation = automation(&database_settings, 1, pass_settings).await?;
            let stop = call.stop.clone();
            tokio::spawn(async move { server::stop_signal().await.map(|()| stop.cancel()) });
            print(&tick::run(&automation, &Trigger::Cli, &call).await?)
        }
        Command::Preview { time, as_of } => {
            print_preview(&database_settings, &pass_settings, as_of, time).await
        }
        Command::Events { since } => print_trail(&database_settings, since).await,
        Command::Serve {
            listen,
            every,
            as_of,
        } => {
            let settings = HttpSettings::from_environment(&environment)?;
            let count = server::CONNECTIONS;
            let automation = automation(&database_settings, count, pass_settings).await?;
            server::serve(automation, settings, as_of, listen, every).await
        }
        Command::Template(command) => template::execute(&database_settings, command).await,
        Command::LiftSuppression { destination } => {
            lift_suppression(&database_settings, &destination).await
        }
    }
}

fn call_within(time: Duration, as_of: Option<DateTime<Utc>>) -> Call {
    Call {
        as_of,
        ..Call::until(Instant::now() + time)
    }
}

async fn migrate_and_preview(
    database_settings: &DatabaseSettings,
    settings: &PassSettings,
    arguments: &MigrateArguments,
) -> anyhow::Result<()> {
    let database = Database::new(database_settings, migrate::CONNECTIONS)?;
    let mut steps = 0;
    let migration = migration::check_and_migrate(&database, arguments.options(), None, |step| {
        steps += 1;
        tracing::info!("done: {step}");
    });
    progress::watched(database_settings, arguments.progress_every, migration).await?;
    if steps == 0 {
        tracing::info!("the schema is up to date: nothing to do");
    }
    let call = Call::until(Instant::now() + PREVIEW_TIME);
    let preview = tick::dry_run(&database, settings, &call)
        .await
        .context("the first pass could not be previewed")?;
    tracing::info!("stdout shows what the first pass would do if it ran now");
    print(&preview)
}

async fn print_preview(
    database: &DatabaseSettings,
    settings: &PassSettings,
    as_of: Option<DateTime<Utc>>,
    time: Duration,
) -> anyhow::Result<()> {
    let database = Database::new(database, 1)?;
    let deadline = Instant::now() + PREVIEW_TIME;
    print(&preview::preview(&database, settings, as_of, time, deadline).await?)
}

async fn print_check(database: &DatabaseSettings, json: bool) -> anyhow::Result<()> {
    let database = Database::new(database, 1)?;
    let set_up = Channels::set_up(&environment)?;
    let report = check::check(&database, Intent::Check { set_up }, None).await;
    if json {
        print(&report.findings)?;
    } else {
        let mut output = std::io::stdout().lock();
        for finding in &report.findings {
            let (level, topic) = (finding.level.as_str(), finding.topic.as_str());
            writeln!(output, "{level:<8} {topic:<11} {}", finding.sentence())
                .context("the findings could not be written to stdout")?;
        }
    }
    anyhow::ensure!(
        !report.has_errors(),
        "the database does not fit: the findings have the errors"
    );
    Ok(())
}

async fn uninstall_and_print(
    database: &DatabaseSettings,
    arguments: &uninstall::Arguments,
) -> anyhow::Result<()> {
    print(&uninstall::uninstall(database, arguments).await?)
}

async fn print_trail(
    database: &DatabaseSettings,
    since: Option<DateTime<Utc>>,
) -> anyhow::Result<()> {
    let database = Database::new(database, 1)?;
    let mut output = BufWriter::new(std::io::stdout().lock());
    match trail::write_all(&database, since, &mut output).await {
        // The reader, such as `head`, has closed the pipe.
        Err(TrailError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => {
            let count = written?;
            tracing::info!(count, "done: {count} events");
            Ok(())
        }
    }
}

async fn lift_suppression(
    database: &DatabaseSettings,
    destination: &Destination,
) -> anyhow::Result<()> {
    let database = Database::new(database, 1)?;
    let (what, other_list) = match destination {
        Destination::Address(_) => ("address", "SES's own suppression list"),
        Destination::Number(_) => ("number", "an opt-out list of AWS End User Messaging SMS"),
    };
    let lifted = suppression::lift_suppression(&database, destination).await;
    let lifted =
        lifted.map_err(|error| anyhow::anyhow!("nothing was lifted: {}", error.loggable()))?;
    let Suppression { reason, since } =
        lifted.with_context(|| format!("nothing was lifted: this {what} is not suppressed"))?;
    tracing::info!(
        suppression.reason = reason,
        suppression.since = %since,
        "the {what} is no longer suppressed here; {other_list} may still have it"
    );
    Ok(())
}

fn print(output: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string(output)?;
    writeln!(std::io::stdout(), "{json}").context("the output could not be written to stdout")
}
