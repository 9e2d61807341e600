//! Ways in: the command line, the Lambda loop, and `serve`.

pub mod cli;
mod connections;
mod invocation;
pub mod lambda;
pub mod logging;
pub mod server;
pub mod statements;
mod template;
mod uninstall;

use crate::channels::webhook::settings::WebhookSettings;
use crate::database::Database;
use crate::database::settings::DatabaseSettings;
use crate::delivery::Messengers;
use crate::delivery::webhooks::WebhookDispatcher;
use crate::primitives::settings::environment;
use crate::tick::Automation;
use crate::tick::settings::PassSettings;

/// Builds what a call works with from the settings.
///
/// # Errors
/// Names the setting that is missing or malformed.
pub async fn automation(
    database: &DatabaseSettings,
    connections: usize,
    pass: PassSettings,
) -> anyhow::Result<Automation> {
    let messengers = Messengers::from_environment(&environment).await?;
    let dispatcher = WebhookDispatcher::new(WebhookSettings::from_environment(&environment)?);
    Ok(Automation::new(
        Database::new(database, connections)?,
        pass,
        messengers,
        dispatcher,
    ))
}
