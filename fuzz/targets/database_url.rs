//! `DATABASE_URL` and certificates. Refusals repeat no part of the input; an accepted input makes a pool.

#![no_main]

use std::collections::HashSet;
use std::sync::LazyLock;

use booking_automation::database::Database;
use booking_automation::database::settings::DatabaseSettings;
use booking_automation_fuzz::environment;
use libfuzzer_sys::fuzz_target;
use tokio_postgres::config::{Config, SslMode};

fn read(url: Option<&str>, certificate: Option<&str>) -> Result<DatabaseSettings, String> {
    DatabaseSettings::from_environment(&|name| match name {
        "DATABASE_URL" => url.map(str::to_owned),
        "DATABASE_CA_CERT" => certificate.map(str::to_owned),
        _ => None,
    })
    .map_err(|error| error.to_string())
}

/// All refusals. None of them depends on the value.
static REFUSALS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let good = Some("host=db.example user=u");
    [
        (None, None),
        (Some("postgres://["), None),
        (Some("user=u"), None),
        (Some("host=db.example"), None),
        (good, Some("-----BEGIN CERTIFICATE-----")),
        (
            good,
            Some("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"),
        ),
    ]
    .into_iter()
    .filter_map(|(url, certificate)| read(url, certificate).err())
    .collect()
});

fuzz_target!(|input: &str| {
    let variables = environment(input);
    let url = variables.get("DATABASE_URL").copied();
    // Any other value is the path of a file.
    let certificate = variables
        .get("DATABASE_CA_CERT")
        .copied()
        .filter(|text| text.contains("-----BEGIN"));
    let settings = match read(url, certificate) {
        Ok(settings) => settings,
        Err(refusal) => {
            assert!(REFUSALS.contains(&refusal), "{refusal}");
            return;
        }
    };
    assert_eq!(format!("{settings:?}"), "DatabaseSettings { .. }");
    let url = url.unwrap_or_default().trim();
    let written = url
        .replace("sslmode=verify-full", "sslmode=require")
        .replace("sslmode=verify-ca", "sslmode=require");
    let config: Config = written.parse().expect("the driver takes it, too");
    assert!(
        config.get_user().is_some()
            && !(config.get_hosts().is_empty() && config.get_hostaddrs().is_empty())
    );
    // A pool with TLS first reads 300 certificates.
    if config.get_ssl_mode() == SslMode::Disable {
        Database::new(&settings, 1).expect("a pool");
    }
});
