//! The command `uninstall`: says what goes and what stays, asks, and does it.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::database::Database;
use crate::database::migrate::uninstall::{self, Kept, Options, Plan};
use crate::database::migrate::{self, progress};
use crate::database::settings::DatabaseSettings;
use crate::primitives::duration::parse_duration;

/// What to remove.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Keep the audit trail, with the triggers that protect it.
    #[arg(long)]
    keep_trail: bool,
    /// Also drop the columns that `migrate` added to bookings, where it recorded that it added
    /// them.
    #[arg(long)]
    columns: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// How often to log the progress: for tests.
    #[arg(long, hide = true, default_value = "10s", value_parser = progress_interval)]
    progress_every: Duration,
}

/// Parses the interval of the progress in a log.
pub(crate) fn progress_interval(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "takes a duration such as 10s".to_owned())
}

/// Removes what `migrate` created, and returns what was dropped and what stays.
///
/// # Errors
/// When it is not confirmed, or a step fails. Finished steps stay: it can be run again.
pub(crate) async fn uninstall(
    settings: &DatabaseSettings,
    arguments: &Arguments,
) -> anyhow::Result<Value> {
    let database = &Database::new(settings, migrate::CONNECTIONS)?;
    let options = Options {
        keep_trail: arguments.keep_trail,
        drop_columns: arguments.columns,
    };
    let plan = uninstall::plan(database, options).await?;
    if plan.is_empty() {
        tracing::info!("there is nothing to uninstall");
        return Ok(answer(&[], &plan.kept));
    }
    say(&plan);
    if !arguments.yes {
        confirm()?;
    }
    let mut dropped = Vec::new();
    let work = uninstall::uninstall(database, &plan, |object| {
        tracing::info!("dropped: {object}");
        dropped.push(object.to_owned());
    });
    let mut kept = progress::watched(settings, arguments.progress_every, work).await?;
    for stays in &kept {
        tracing::warn!("stays: {}: {}", stays.name, stays.why);
    }
    ensure_gone(database, options, &kept).await?;
    kept.extend(plan.kept);
    Ok(answer(&dropped, &kept))
}

fn say(plan: &Plan) {
    for name in plan.dropped() {
        tracing::info!("will be dropped: {name}");
    }
    for Kept { name, why } in &plan.kept {
        tracing::info!("stays: {name}: {why}");
    }
    tracing::info!("stays: your tables, and a status CHECK that also allows 'expired'");
    tracing::warn!(
        "stop what fires passes and every `serve` first: \
         what a message in flight became would not be recorded"
    );
}

fn confirm() -> anyhow::Result<()> {
    let is_asked = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    ensure!(is_asked, "nothing was changed: confirm with --yes");
    write!(std::io::stderr(), "Drop all this? Type yes: ").context("the terminal is gone")?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    ensure!(typed.trim() == "yes", "nothing was changed");
    Ok(())
}

/// A `migrate` that ran meanwhile may have created objects again.
async fn ensure_gone(database: &Database, options: Options, kept: &[Kept]) -> anyhow::Result<()> {
    let left = uninstall::plan(database, options).await?;
    let mut left = left
        .dropped()
        .filter(|name| !kept.iter().any(|it| it.name == *name));
    if let Some(name) = left.next() {
        bail!("{name} was created meanwhile: let no `migrate` run, and run uninstall again");
    }
    Ok(())
}

fn answer(dropped: &[String], kept: &[Kept]) -> Value {
    let kept: Vec<_> = kept
        .iter()
        .map(|Kept { name, why }| json!({"name": name, "why": why}))
        .collect();
    json!({"outcome": "uninstalled", "dropped": dropped, "kept": kept})
}
