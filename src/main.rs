//! Settings → connections → the Lambda loop or a command.

use std::process::ExitCode;

use booking_automation::database::settings::DatabaseSettings;
use booking_automation::entry::{self, cli, lambda, logging};
use booking_automation::http::settings::HttpSettings;
use booking_automation::primitives::settings::environment;
use booking_automation::tick::settings::PassSettings;
use clap::Parser;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Lambda starts the program without arguments.
    let ended = if lambda::is_here() {
        logging::start();
        run_function().await
    } else {
        let arguments = cli::Arguments::parse();
        logging::start();
        cli::execute(arguments).await
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run_function() -> anyhow::Result<()> {
    let database_settings = DatabaseSettings::from_environment(&environment)?;
    let pass_settings = PassSettings::from_environment(&environment)?;
    let http_settings = HttpSettings::from_environment(&environment)?;
    let automation = entry::automation(&database_settings, 1, pass_settings).await?;
    lambda::run(automation, database_settings, pass_settings, http_settings).await
}
