//! Logs go to stderr: stdout carries a command's output and nothing else.

use std::io::{IsTerminal, Write};

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::database::migrate::progress::CLEAR_LINE;

/// Standard error. On a terminal, a line of the log replaces the progress that is shown there.
enum Stderr {
    Terminal { is_at_start: bool },
    Other,
}

impl Stderr {
    fn new() -> Self {
        match std::io::stderr().is_terminal() {
            true => Self::Terminal { is_at_start: true },
            false => Self::Other,
        }
    }
}

impl Write for Stderr {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        if let Self::Terminal { is_at_start } = self
            && std::mem::take(is_at_start)
        {
            std::io::stderr().write_all(CLEAR_LINE.as_bytes())?;
        }
        std::io::stderr().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Starts logging: as `RUST_LOG` says, as JSON where Lambda's log format says so.
pub fn start() {
    let filter = std::env::var("RUST_LOG")
        .ok()
        .and_then(|text| text.parse::<Targets>().ok());
    let filter = filter.unwrap_or_else(|| {
        Targets::new()
            .with_default(LevelFilter::WARN)
            .with_target("booking_automation", LevelFilter::INFO)
            // It repeats every function error.
            .with_target("lambda_runtime::layers::panic", LevelFilter::OFF)
            // The span that holds the request's id.
            .with_target("lambda_runtime::layers::trace", LevelFilter::INFO)
    });
    // These limits override RUST_LOG: the SDK's traces contain the session token, and SES's answers
    // with addresses.
    let filter = filter
        .with_target("aws_sigv4", LevelFilter::WARN)
        .with_target("aws_smithy_runtime", LevelFilter::WARN);
    let json = std::env::var("AWS_LAMBDA_LOG_FORMAT")
        .is_ok_and(|format| format.eq_ignore_ascii_case("json"));
    let lines = tracing_subscriber::fmt::layer().with_writer(Stderr::new);
    let lines = match json {
        true => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
        false => lines.boxed(),
    };
    tracing_subscriber::registry()
        .with(lines)
        .with(filter)
        .init();
}
