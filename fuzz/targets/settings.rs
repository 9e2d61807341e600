//! Settings. Accepted values are within their documented limits; refusals do not repeat values, and no secret is printed.

#![no_main]

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use booking_automation::channels::email::settings::EmailSettings;
use booking_automation::http::auth::{Credentials, authenticate};
use booking_automation::http::settings::CronSecrets;
use booking_automation::primitives::settings::SettingError;
use booking_automation::tick::settings::PassSettings;
use booking_automation::tick::trigger::Trigger;
use booking_automation_fuzz::{duration, environment};
use libfuzzer_sys::fuzz_target;

const DAY: u64 = 24 * 60 * 60;

type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// All refusals: of a value that no setting accepts, and of a missing value. None of them depends on the value.
static REFUSALS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let names = [
        "COMPLETE_AFTER",
        "EXPIRE_AFTER",
        "EXPIRE_PENDING",
        "RETENTION",
        "CURRENCY",
        "PRICE_UNIT",
        "OVERLAP_ALARM_AFTER",
        "CRON_SECRET",
        "CRON_SIGNING_SECRET",
    ];
    let more = [
        "RATE_LIMIT",
        "EMAIL_FROM",
        "SES_CONFIGURATION_SET",
        "SEND_RATE",
        "SEND_CONCURRENCY",
        "PUBLIC_URL",
    ];
    let mut refusals: Vec<String> = Vec::new();
    for wrong in names.into_iter().chain(more) {
        let lookup = |name: &str| match name {
            _ if name == wrong => Some("!".to_owned()),
            "EMAIL_FROM" => Some("booking@studio.example".to_owned()),
            _ => None,
        };
        let before = refusals.len();
        refusals.extend(refused(&read(&lookup)));
        assert_eq!(refusals.len(), before + 1, "{wrong}");
    }
    refusals.extend(refused(&read(&|_| None)));
    refusals.extend(refused(&read(&|name| match name {
        "COMPLETE_AFTER" => Some("2d".to_owned()),
        "EMAIL_FROM" => Some("booking@studio.example".to_owned()),
        _ => None,
    })));
    for (bearer, signing) in [
        ("0123456789abcdef,0123456789abcdef", ""),
        (
            "",
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD,whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        ),
        (
            "C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        ),
    ] {
        refusals.extend(refused(&read(&|name| match name {
            "CRON_SECRET" => Some(bearer.to_owned()),
            "CRON_SIGNING_SECRET" => Some(signing.to_owned()),
            "EMAIL_FROM" => Some("booking@studio.example".to_owned()),
            _ => None,
        })));
    }
    refusals.into_iter().collect()
});

type Read = (
    Result<PassSettings, SettingError>,
    Result<CronSecrets, SettingError>,
    Result<EmailSettings, SettingError>,
);

fn read(lookup: Lookup) -> Read {
    (
        PassSettings::from_environment(lookup),
        CronSecrets::from_environment(lookup),
        EmailSettings::from_environment(lookup),
    )
}

fn refused((pass, secrets, delivery): &Read) -> Vec<String> {
    let errors = [
        pass.as_ref().err(),
        secrets.as_ref().err(),
        delivery.as_ref().err(),
    ];
    errors
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect()
}

fuzz_target!(|input: &str| {
    let variables = environment(input);
    let lookup = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let settings = read(&lookup);
    for refusal in refused(&settings) {
        assert!(REFUSALS.contains(&refusal), "{refusal}");
    }
    let (pass, secrets, delivery_settings) = settings;
    let set = |name: &str| {
        variables
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    };

    if let Ok(settings) = pass {
        let told = |name, most, otherwise| {
            set(name).map_or(Some(Duration::from_secs(otherwise)), |text| {
                duration(text, most)
            })
        };
        assert_eq!(
            Some(settings.transitions.complete_after),
            told("COMPLETE_AFTER", 365, 0)
        );
        assert_eq!(
            Some(settings.transitions.expire_after),
            told("EXPIRE_AFTER", 365, DAY)
        );
        assert_eq!(
            Some(settings.retention.events),
            told("RETENTION", 3650, 400 * DAY)
        );
        assert!(
            settings.transitions.complete_after < settings.transitions.expire_after
                && settings.retention.events.as_secs() >= 30 * DAY
        );
        assert_eq!(
            settings.transitions.expire_pending,
            set("EXPIRE_PENDING").is_some_and(|text| text.eq_ignore_ascii_case("true"))
        );
    }
    if let Ok(secrets) = secrets {
        secret(&secrets, set("CRON_SECRET"), set("CRON_SIGNING_SECRET"));
    }
    if let Ok(settings) = delivery_settings {
        delivery(&settings, set("PUBLIC_URL"));
    }
});

/// The number of entries of a list that are tried, each against the whole list.
const FEW: usize = 4;

/// Every secret authenticates, as a bearer token or as a key, and none is printed.
fn secret(secrets: &CronSecrets, bearer: Option<&str>, signing: Option<&str>) {
    let printed = format!("{secrets:?}");
    assert_eq!(secrets.is_empty(), bearer.is_none() && signing.is_none());
    for secret in bearer
        .into_iter()
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .take(FEW)
    {
        assert!(secret.len() >= 16 && !printed.contains(secret));
        let authorization = ["Bearer ", secret].concat();
        let credentials = Credentials {
            authorization: vec![authorization.as_bytes()],
            ..Credentials::default()
        };
        let caller = authenticate(secrets, &credentials, b"", SystemTime::now());
        assert_eq!(caller.map(|caller| caller.trigger), Ok(Trigger::Bearer));
    }
    for secret in signing
        .into_iter()
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .take(FEW)
    {
        assert!(!printed.contains(secret.trim_start_matches("whsec_")));
        let signer = standardwebhooks::Webhook::new(secret)
            .expect("the specification's library takes it, too");
        let signature = signer
            .sign("id", 1_772_366_400, b"body")
            .expect("a signature");
        let credentials = Credentials {
            webhook_id: vec![b"id"],
            webhook_timestamp: vec![b"1772366400"],
            webhook_signature: vec![signature.as_bytes()],
            ..Credentials::default()
        };
        let caller = authenticate(
            secrets,
            &credentials,
            b"body",
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_772_366_400),
        );
        assert_eq!(
            caller.map(|caller| caller.trigger),
            Ok(Trigger::Signature {
                webhook_id: "id".to_owned()
            })
        );
    }
}

fn delivery(settings: &EmailSettings, url: Option<&str>) {
    let name = settings.configuration_set.as_deref().unwrap_or_default();
    assert!(
        name.len() <= 64
            && name
                .chars()
                .all(|one| one.is_ascii_alphanumeric() || one == '-' || one == '_')
    );
    assert!(
        settings
            .send_rate
            .is_none_or(|rate| (0.01..=10_000.0).contains(&rate))
    );
    assert!((1..=256).contains(&settings.send_concurrency.get()));
    assert_eq!(settings.messages.public_url.is_some(), url.is_some());
    let Some(base) = &settings.messages.public_url else {
        return;
    };
    assert!(
        base.starts_with("https://") || base.starts_with("http://"),
        "{base:?}"
    );
    // Messages contain it as text, where a space or a line break would end it, and paths are appended to it.
    assert!(
        base.chars()
            .all(|one| one.is_ascii_graphic() && !"<>?#".contains(one))
            && !base.ends_with('/'),
        "{base:?}"
    );
    let again = EmailSettings::from_environment(&|name| match name {
        "PUBLIC_URL" => Some(base.clone()),
        "EMAIL_FROM" => Some("booking@studio.example".to_owned()),
        _ => None,
    });
    assert_eq!(
        again
            .ok()
            .and_then(|again| again.messages.public_url)
            .as_ref(),
        Some(base)
    );
}
