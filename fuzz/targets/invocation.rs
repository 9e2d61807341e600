//! Invocations of the Lambda function. A documented payload does what the documentation says, a request with credentials fails at
//! the database, which does not exist, and everything else is refused before.

#![no_main]

use std::cell::RefCell;

use booking_automation::channels::webhook::settings::WebhookSettings;
use booking_automation::database::Database;
use booking_automation::database::settings::DatabaseSettings;
use booking_automation::delivery::Messengers;
use booking_automation::delivery::webhooks::WebhookDispatcher;
use booking_automation::entry::lambda::{self, Event};
use booking_automation::http::settings::HttpSettings;
use booking_automation::tick::Automation;
use booking_automation::tick::settings::PassSettings;
use booking_automation_fuzz::json;
use lambda_http::lambda_runtime::Diagnostic;
use lambda_http::{BoxFuture, Context, LambdaEvent, Service};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

const SECRET: &str = "local-secret-0123456789";
const TOKEN: &str = "local-token-0123456789";

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed)
});

type Answer = BoxFuture<'static, Result<Value, Diagnostic>>;
type Function = Box<dyn FnMut(LambdaEvent<Event>) -> Answer>;

thread_local! {
    static FUNCTION: RefCell<(Runtime, Function)> = RefCell::new(function());
}

/// The function and its runtime.
fn function() -> (Runtime, Function) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    // SAFETY: the process has no other thread yet.
    unsafe { std::env::set_var("AWS_REGION", "eu-central-1") };
    let lookup = |name: &str| match name {
        "DATABASE_URL" => Some("host=/nonexistent user=nobody".to_owned()),
        "CRON_SECRET" => Some(SECRET.to_owned()),
        "ADMIN_TOKEN" => Some(TOKEN.to_owned()),
        "CRON_SIGNING_SECRET" => Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
        "EMAIL_FROM" => Some("booking@studio.example".to_owned()),
        _ => None,
    };
    let database_settings =
        DatabaseSettings::from_environment(&lookup).expect("the settings are well-formed");
    let pass_settings =
        PassSettings::from_environment(&lookup).expect("the settings are well-formed");
    let http_settings =
        HttpSettings::from_environment(&lookup).expect("the settings are well-formed");
    let mut service = runtime.block_on(async {
        let messengers = Messengers::from_environment(&lookup)
            .await
            .expect("the settings are well-formed");
        let database = Database::new(&database_settings, 1).expect("a pool");
        let dispatcher = WebhookDispatcher::new(
            WebhookSettings::from_environment(&lookup).expect("the settings are well-formed"),
        );
        let automation = Automation::new(database, pass_settings, messengers, dispatcher);
        lambda::service(automation, database_settings, pass_settings, http_settings)
    });
    let call = move |event| -> Answer {
        let answer = service.call(event);
        Box::pin(async {
            answer
                .await
                .map(|answer| serde_json::to_value(answer).expect("an answer is JSON"))
        })
    };
    (runtime, Box::new(call))
}

fuzz_target!(|data: &[u8]| {
    // The runtime reads it like this.
    let Ok(event) = serde_json::from_slice::<Event>(data) else {
        return;
    };
    let payload: Value = serde_json::from_slice(data).expect("what was read is JSON");
    let answer = FUNCTION.with_borrow_mut(|(runtime, function)| {
        runtime.block_on(async {
            function(LambdaEvent {
                payload: event,
                context: Context::default(),
            })
            .await
        })
    });
    let documented = documented(&payload);
    match answer {
        Ok(answer) if answer["statusCode"].is_u64() => responded(&payload, &answer),
        // Only this can succeed without a database.
        Ok(answer) => {
            assert_eq!(answer["reason"], "event_type", "{answer}");
            assert_eq!(documented, Documented::SesEvent);
        }
        Err(Diagnostic {
            error_type,
            error_message,
        }) => {
            assert!(!error_message.contains(SECRET));
            let expected = match &error_type[..] {
                "PassFailed" => Documented::Schedule,
                "MigrationFailed" => Documented::Migrate,
                "MalformedEvent" | "EventNotRecorded" => Documented::SesEvent,
                "UnknownPayload" => Documented::No,
                other => panic!("{other}: {error_message}"),
            };
            assert_eq!(documented, expected, "{error_message}");
        }
    }
});

#[derive(Debug, PartialEq)]
enum Documented {
    Schedule,
    Migrate,
    SesEvent,
    No,
}

/// The kind of a direct payload (docs/fire-and-sign.md, `events/`).
fn documented(payload: &Value) -> Documented {
    let Some(fields) = payload.as_object() else {
        return Documented::No;
    };
    let only = |names: &[&str]| fields.keys().all(|name| names.contains(&name.as_str()));
    if fields
        .get("requestContext")
        .is_some_and(|context| !context.is_object())
    {
        Documented::No
    } else if ["aws.ses", "aws.sms-voice"].contains(&payload["source"].as_str().unwrap_or_default())
    {
        Documented::SesEvent
    } else if payload["trigger"] == "schedule"
        && only(&["trigger", "scheduled_time", "execution_id", "attempt"])
    {
        Documented::Schedule
    } else if payload["trigger"] == "migrate"
        && only(&["trigger", "no_probe", "no_columns", "create_base_tables"])
        && ["no_probe", "no_columns", "create_base_tables"]
            .iter()
            .all(|option| fields.get(*option).is_none_or(Value::is_boolean))
    {
        Documented::Migrate
    } else {
        Documented::No
    }
}

/// The order of the checks: path, method, size, credentials, and then the database. The credentials of `/run` are valid for no
/// other route, and those of other routes are not valid for `/run`.
fn responded(payload: &Value, answer: &Value) {
    assert!(
        payload.get("requestContext").is_some(),
        "a direct invocation was taken for a request"
    );
    let status = answer["statusCode"].as_u64().unwrap_or_default();
    let path = payload["rawPath"].as_str().unwrap_or_default();
    let body = answer["body"].as_str().unwrap_or_default();
    assert!(
        ![SECRET, TOKEN, "nonexistent"]
            .iter()
            .any(|hidden| body.contains(hidden)),
        "{body}"
    );
    let opened_by = match path {
        "/run" => Some(SECRET),
        _ if is_for_support(path) => Some(TOKEN),
        _ => None,
    };
    match status {
        200 => assert!(
            path == "/health" && body == r#"{"status":"ok"}"# || body.is_empty(),
            "{path} {body}"
        ),
        404 => assert!(opened_by.is_none() && path != "/health", "{path}"),
        401 | 413 => assert!(opened_by.is_some(), "{path}"),
        405 => assert!(opened_by.is_some() || path == "/health", "{path}"),
        503 => {
            let secret = opened_by.expect("the database is asked for something");
            assert!(
                is_sent(payload, secret),
                "the database was asked for a stranger: {path}"
            );
        }
        other => panic!("{other} {body}"),
    }
}

/// Other paths are ignored: no route contains any other character.
fn is_for_support(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._".contains(&byte);
    let Some(path) = path
        .strip_prefix('/')
        .filter(|path| path.bytes().all(plain))
    else {
        return false;
    };
    let parts: Vec<_> = path.split('/').collect();
    match parts[..] {
        ["openapi.json" | "events" | "preview"] | ["notices", "held"] => true,
        [
            "bookings",
            id,
            "status" | "block" | "cancellation" | "timeline",
        ]
        | ["people", id]
        | [
            "people",
            id,
            "calendar" | "messages" | "preferences" | "push-tokens",
        ] => !id.is_empty(),
        ["people", id, "push-tokens", token] => !id.is_empty() && !token.is_empty(),
        ["notices", "held", number, event, "release" | "drop"] => {
            !number.is_empty() && !event.is_empty()
        }
        _ => false,
    }
}

/// Whether the headers contain the secret as a bearer token.
fn is_sent(payload: &Value, secret: &str) -> bool {
    let bearer = |value: &Value| {
        value.as_str().is_some_and(|value| {
            value.len() == 7 + secret.len()
                && value
                    .get(..7)
                    .is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "))
                && value.ends_with(secret)
        })
    };
    let authorization = |(name, value): (&String, &Value)| {
        // A single value may be a list with one entry.
        let values = value
            .as_array()
            .map_or(std::slice::from_ref(value), Vec::as_slice);
        name.eq_ignore_ascii_case("authorization") && values.iter().any(bearer)
    };
    payload["headers"]
        .as_object()
        .is_some_and(|headers| headers.iter().any(authorization))
}
