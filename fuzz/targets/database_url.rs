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

/// All refusals but those of parameters. None of them depends on the value.
static REFUSALS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let good = Some("host=db.example user=u");
    [
        (None, None),
        (Some("postgres://["), None),
        (Some("user=u"), None),
        (Some("host=db.example"), None),
        (Some("host=a,b hostaddr=127.0.0.1 user=u"), None),
        (Some("a"), None),
        (Some("a='"), None),
        (Some("a://"), None),
        (Some("postgres://a@b@c"), None),
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
            let of_parameters = refusal.strip_prefix("DATABASE_URL has to be corrected: ");
            match of_parameters {
                None => assert!(REFUSALS.contains(&refusal), "{refusal}"),
                Some(problems) => only_names(url.unwrap_or_default(), problems),
            }
            return;
        }
    };
    assert_eq!(format!("{settings:?}"), "DatabaseSettings { .. }");
    // Without stricter modes, the driver reads the same text.
    let config: Option<Config> = url
        .filter(|url| !url.contains("verify-"))
        .and_then(|url| url.trim().parse().ok());
    // A pool with TLS first reads 300 certificates.
    if config.is_some_and(|config| config.get_ssl_mode() == SslMode::Disable) {
        Database::new(&settings, 1).expect("a pool");
    }
});

/// What the refusal of parameters quotes: names, as they stand in the text.
fn only_names(url: &str, problems: &str) {
    for quoted in problems.split('`').skip(1).step_by(2) {
        let plain = quoted
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-. ".contains(&byte));
        assert!(plain && quoted.len() <= 40, "{quoted:?}");
        assert!(url.contains(quoted) || url.contains('%'), "{quoted:?}");
    }
}
