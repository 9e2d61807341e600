//! The Lambda function: the program with a stand-in for the Lambda Runtime API.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{App, connect};
use crate::client::{signature, unix_time};
use crate::cluster::OwnCluster;
use crate::proxy::{Cut, Proxy};
use crate::runtime_api::{Instance, Outcome};
use crate::ses;
use crate::status::TOKEN;

const SECRET: &str = "local-secret-0123456789";
const SIGNING: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// An example event: a file of `events/`.
pub fn example_event(name: &str) -> Value {
    let path = format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A request in the format of a function URL.
pub fn function_url_request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Value {
    let mut event = example_event("bearer");
    event["requestContext"]["http"]["method"] = method.into();
    event["requestContext"]["http"]["path"] = path.into();
    event["rawPath"] = path.into();
    event["headers"]
        .as_object_mut()
        .unwrap()
        .remove("authorization");
    for (name, value) in headers {
        event["headers"][name] = (*value).into();
    }
    event["body"] = body.into();
    event
}

/// The status and the JSON body of an answer.
fn status_and_body(outcome: Outcome) -> (i64, Value) {
    let answer = outcome.unwrap();
    let body = answer["body"].as_str().unwrap_or_default();
    (
        answer["statusCode"].as_i64().unwrap(),
        serde_json::from_str(body).unwrap_or(Value::Null),
    )
}

/// An app whose function takes the secrets of the example events.
pub async fn app_with_secrets() -> App {
    let mut app = App::new().await;
    app.env.insert("CRON_SECRET", SECRET.to_owned());
    app.env.insert("CRON_SIGNING_SECRET", SIGNING.to_owned());
    app
}

async fn count_runs(app: &App) -> i64 {
    app.one("SELECT count(*) FROM automation_runs", &[])
        .await
        .get(0)
}

#[tokio::test]
async fn a_scheduler_invocation_returns_the_summary_and_records_its_metadata() {
    let app = App::new().await;
    let booking = app.booking_due_now().await;
    let instance = Instance::start(&app).await;
    let summary = instance.invoke(&example_event("schedule")).await.unwrap();
    assert_eq!(
        (&summary["outcome"], &summary["trigger"]),
        (&json!("completed"), &json!("schedule"))
    );
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    assert_eq!(app.reminders(booking).await, ["24h completed"]);
    let sql = "SELECT concat_ws(' ', trigger, scheduled_time, execution_id, attempt) FROM automation_runs";
    assert_eq!(
        app.column(sql, &[]).await,
        ["schedule 2026-03-01T12:00:00Z d32c5kddcf5bb8c3 1"]
    );

    // Any value is recorded and ignored.
    for odd in [
        json!(null),
        json!(7),
        json!({"a": [1]}),
        json!("\u{0}a\u{0}"),
        json!("x".repeat(100_000)),
    ] {
        let payload = json!({"trigger": "schedule", "scheduled_time": odd, "attempt": odd});
        assert_eq!(
            instance.invoke(&payload).await.unwrap()["outcome"],
            "completed",
            "{payload:.100}"
        );
    }
    assert_eq!(
        instance
            .invoke(&json!({"trigger": "schedule"}))
            .await
            .unwrap()["outcome"],
        "completed"
    );
    let longest: i32 = app
        .one(
            "SELECT max(length(scheduled_time)) FROM automation_runs",
            &[],
        )
        .await
        .get(0);
    assert_eq!(longest, 200);

    // The alarm for missing passes counts one JSON line for each committed pass.
    let log = instance.kill().await;
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let committed = lines
        .iter()
        .filter(|line| line["pass"] == "committed")
        .count();
    assert_eq!(committed, 7, "{log}");
    assert!(!log.contains("carla@customers.example"), "{log}");
}

#[tokio::test]
async fn an_unknown_payload_is_a_function_error_and_runs_nothing() {
    let app = app_with_secrets().await;
    let instance = Instance::start(&app).await;
    for payload in [
        "{}",
        "[]",
        "null",
        "42",
        r#""schedule""#,
        r#"["schedule"]"#,
        r#"["schedule",null,null,null]"#,
        r#"["migrate"]"#,
        r#"{"trigger":"other"}"#,
        r#"{"trigger":null}"#,
        r#"{"trigger":["schedule"]}"#,
        r#"{"Trigger":"schedule"}"#,
        r#"{"trigger":"schedule","dry_run":true}"#,
        r#"{"trigger":"migrate","force":true}"#,
        r#"{"trigger":"migrate","no_probe":"yes"}"#,
        r#"{"trigger":"migrate","no_columns":1}"#,
        r#"{"trigger":"schedule","no_probe":true}"#,
        r#"{"trigger":"cli"}"#,
        r#"{"detail":{"trigger":"schedule"}}"#,
        r#"{"version":"0","source":"aws.events","detail-type":"Scheduled Event","resources":[],"detail":{}}"#,
        r#"{"Records":[{"eventSource":"aws:sqs","body":"{\"trigger\":\"schedule\"}"}]}"#,
        // Not a request, and with an invalid URI.
        r#"{"requestContext":[null,"migrate","a","@",null,"b","c\u0000d","@/openapi.json","2.",-9,["send"],[]]}"#,
        r#"{"requestContext":[],"trigger":"schedule"}"#,
        r#"{"requestContext":null,"trigger":"schedule"}"#,
        // Half a request of a function URL.
        r#"{"version":"2.0","rawPath":"/run","headers":{"authorization":"Bearer local-secret-0123456789"}}"#,
    ] {
        let error = instance
            .invoke_within(Duration::from_secs(60), payload.into())
            .await
            .unwrap_err();
        assert_eq!(error["errorType"], "UnknownPayload", "{payload}: {error}");
        let message = error["errorMessage"].as_str().unwrap();
        assert!(
            message.contains(r#"{"trigger":"schedule"}"#)
                && message.contains(r#"{"trigger":"migrate"}"#),
            "{message}"
        );
        assert!(!message.contains(SECRET), "{message}");
    }
    assert_eq!(count_runs(&app).await, 0);
    assert_eq!(
        instance.invoke(&example_event("schedule")).await.unwrap()["outcome"],
        "completed",
        "the instance goes on"
    );
}

#[tokio::test]
async fn a_failed_pass_is_a_function_error() {
    let mut app = App::new().await;
    let url = std::mem::replace(
        app.env.get_mut("DATABASE_URL").unwrap(),
        "postgres://user:the-password@127.0.0.1:1/x".to_owned(),
    );
    let instance = Instance::start(&app).await;
    let error = instance
        .invoke(&example_event("schedule"))
        .await
        .unwrap_err();
    assert_eq!(error["errorType"], "PassFailed");
    let message = error["errorMessage"].as_str().unwrap();
    assert!(
        message.contains("the database cannot be reached") && !message.contains("the-password"),
        "{message}"
    );
    let error = instance
        .invoke(&example_event("migrate"))
        .await
        .unwrap_err();
    assert_eq!(error["errorType"], "MigrationFailed");

    // A database without the schema.
    app.env.insert(
        "DATABASE_URL",
        format!("{}/postgres", url.rsplit_once('/').unwrap().0),
    );
    let error = Instance::start(&app)
        .await
        .invoke(&example_event("schedule"))
        .await
        .unwrap_err();
    assert!(
        error["errorMessage"].as_str().unwrap().contains("migrate"),
        "{error}"
    );

    // Another pass is running: the call is skipped at once.
    app.env.insert("DATABASE_URL", url);
    let holder = connect(&app.url).await;
    holder
        .execute("SELECT pg_advisory_lock(7091869195317477377)", &[])
        .await
        .unwrap();
    let summary = Instance::start(&app)
        .await
        .invoke(&example_event("schedule"))
        .await
        .unwrap();
    assert_eq!(
        (&summary["outcome"], &summary["reason"]),
        (&json!("skipped"), &json!("overlap"))
    );

    // For too long, it is a function error.
    app.env.remove("OVERLAP_ALARM_AFTER");
    app.sql(
        "UPDATE automation_runs SET created_at = now() - interval '6 minutes'",
        &[],
    )
    .await;
    app.sql(
        "UPDATE booking_automation_migrations SET applied_at = now() - interval '6 minutes'",
        &[],
    )
    .await;
    let error = Instance::start(&app)
        .await
        .invoke(&example_event("schedule"))
        .await
        .unwrap_err();
    assert_eq!(error["errorType"], "PassFailed");
    let message = error["errorMessage"].as_str().unwrap();
    assert!(message.contains("application_name"), "{error}");
}

#[tokio::test]
async fn an_invalid_setting_stops_the_function_at_start() {
    let mut app = app_with_secrets().await;
    app.env.insert("CRON_SECRET", "short".to_owned());
    let (success, log) = Instance::start(&app).await.wait_for_exit().await;
    let line: Value = serde_json::from_str(&log).unwrap();
    assert!(
        !success
            && line["message"]
                .as_str()
                .unwrap()
                .starts_with("CRON_SECRET "),
        "{log}"
    );
}

#[tokio::test]
async fn function_url_requests_are_answered_like_http_requests() {
    let app = app_with_secrets().await;
    let instance = Instance::start(&app).await;
    let right = [("authorization", "Bearer local-secret-0123456789")];
    assert_eq!(
        status_and_body(instance.invoke(&example_event("health")).await),
        (200, json!({"status": "ok"}))
    );
    for path in ["/", "/events", "/run/", "/admin"] {
        let request = function_url_request("POST", path, &right, r#"{"trigger":"schedule"}"#);
        assert_eq!(
            status_and_body(instance.invoke(&request).await).0,
            404,
            "{path}"
        );
    }
    let refused = instance
        .invoke(&function_url_request("DELETE", "/run", &right, ""))
        .await
        .unwrap();
    assert_eq!(
        (&refused["statusCode"], &refused["headers"]["allow"]),
        (&json!(405), &json!("GET, POST"))
    );
    let huge = function_url_request("POST", "/run", &right, &"x".repeat(65_537));
    assert_eq!(status_and_body(instance.invoke(&huge).await).0, 413);
    // The outdated example of the specification and a request without credentials get the same
    // answer.
    let refused = instance.invoke(&example_event("signed")).await.unwrap();
    assert_eq!(refused["statusCode"], 401);
    assert_eq!(refused["headers"]["www-authenticate"], "Bearer");
    assert_eq!(
        refused["headers"]["content-type"],
        "application/problem+json"
    );
    assert_eq!(
        instance
            .invoke(&function_url_request("GET", "/run", &[], ""))
            .await
            .unwrap(),
        refused
    );
    assert_eq!(count_runs(&app).await, 0);

    let (status, summary) = status_and_body(instance.invoke(&example_event("bearer")).await);
    assert_eq!(
        (status, &summary["outcome"], &summary["trigger"]),
        (200, &json!("completed"), &json!("bearer"))
    );
    let signed = signed_request_with_binary_body();
    let (status, summary) = status_and_body(instance.invoke(&signed).await);
    assert_eq!((status, &summary["trigger"]), (200, &json!("signature")));
    let (status, summary) = status_and_body(instance.invoke(&signed).await);
    assert_eq!(
        (status, &summary["reason"]),
        (200, &json!("duplicate_request"))
    );

    app.db
        .batch_execute("ALTER TABLE automation_runs RENAME TO gone")
        .await
        .unwrap();
    assert_eq!(
        status_and_body(instance.invoke(&example_event("bearer")).await).0,
        503
    );
    let log = instance.kill().await;
    assert!(!log.contains(SECRET), "{log}");
}

/// A signed request; a function URL encodes its body as base64.
fn signed_request_with_binary_body() -> Value {
    let timestamp = unix_time().to_string();
    let by = signature(SIGNING, b"msg_1", timestamp.as_bytes(), b"\x00\xffbytes");
    let headers = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", &timestamp),
        ("webhook-signature", &by),
    ];
    let mut signed = function_url_request("POST", "/run", &headers, "AP9ieXRlcw==");
    signed["isBase64Encoded"] = true.into();
    signed
}

#[tokio::test]
async fn support_routes_work_through_a_function_url_with_query_parameters() {
    let mut app = app_with_secrets().await;
    app.env.insert("ADMIN_TOKEN", TOKEN.to_owned());
    let authorization = format!("Bearer {TOKEN}");
    let instance = Instance::start(&app).await;
    let ask = async |method: &str, path: &str, query: &str| {
        let mut event =
            function_url_request(method, path, &[("authorization", &authorization)], "");
        event["rawQueryString"] = query.into();
        status_and_body(instance.invoke(&event).await)
    };
    let booking = app.booking_due_now().await;
    instance.invoke(&example_event("schedule")).await.unwrap();

    let (status, page) = ask(
        "GET",
        "/events",
        &format!("limit=1&booking={booking}&since=2020-01-01T00%3A00%3A00Z"),
    )
    .await;
    assert_eq!(
        (status, page["events"][0]["booking_id"].as_str()),
        (200, Some(&booking.to_string()[..])),
        "{page}"
    );
    assert_eq!(
        ask("GET", "/events", "status=failed").await,
        (200, json!({"events": [], "next": null}))
    );
    let (status, preview) = ask("GET", "/preview", "for=30h").await;
    assert_eq!(
        (status, &preview["total"]["started"]),
        (200, &json!(1)),
        "{preview}"
    );
    assert_eq!(
        ask("GET", &format!("/bookings/{booking}/timeline"), "")
            .await
            .0,
        200
    );
    // An unreadable query is an error and not ignored.
    for query in ["limit=1&type=<\">", "type=\u{0}", &"x".repeat(2000)] {
        let (status, problem) = ask("GET", "/events", query).await;
        assert_eq!(
            (status, &problem["field"]),
            (400, &json!("-")),
            "{query}: {problem}"
        );
    }
    assert_eq!(
        ask("DELETE", &format!("/people/{}/messages", app.customer), "")
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn a_malformed_function_url_request_is_answered_without_a_function_error() {
    let app = app_with_secrets().await;
    let instance = Instance::start(&app).await;
    for (member, value) in [
        ("rawQueryString", json!("a=<\"> b&\u{0}ä=%zz")),
        ("queryStringParameters", json!({"a": "<\">"})),
        ("cookies", json!(["a=\n", "ä"])),
        ("rawPath", json!("/ <\">")),
        ("rawPath", json!("//evil.example/run")),
        ("rawPath", json!("/run?x")),
        ("rawPath", json!("/\u{0}ä%2")),
        ("rawPath", json!("")),
        ("rawPath", json!("run")),
        ("rawPath", json!("@evil.example/run")),
        ("rawPath", json!("/a".repeat(40_000))),
        ("headers", json!({"Host": "a b", "X-Forwarded-Proto": "<>"})),
    ] {
        let mut odd = function_url_request(
            "GET",
            "/run",
            &[("host", "a b"), ("x-forwarded-proto", "<>")],
            "",
        );
        odd[member] = value.clone();
        let (status, _) = status_and_body(instance.invoke(&odd).await);
        assert!([401, 404].contains(&status), "{member} = {value}: {status}");
    }
    let mut odd = function_url_request("POST", "/run", &[], "no base64");
    odd["isBase64Encoded"] = true.into();
    assert_eq!(status_and_body(instance.invoke(&odd).await).0, 401);
    for (member, value) in [
        ("domainName", json!("a@\u{0}b")),
        ("stage", json!("a\u{0} <%2")),
    ] {
        let mut odd = function_url_request("GET", "/run", &[], "");
        odd["requestContext"][member] = value.clone();
        assert_eq!(
            status_and_body(instance.invoke(&odd).await).0,
            401,
            "{member} = {value}"
        );
    }
    let mut odd = example_event("bearer");
    odd["headers"]["x-odd"] = "\u{e9}\u{0}".into();
    odd["headers"]["x odd"] = "x".into();
    assert_eq!(status_and_body(instance.invoke(&odd).await).0, 200);
    let mut odd = example_event("bearer");
    odd["rawQueryString"] = "a=<\">".into();
    assert_eq!(status_and_body(instance.invoke(&odd).await).0, 200);
}

#[tokio::test]
async fn an_ses_connection_lost_while_frozen_loses_no_message() {
    let mut app = App::new().await;
    let (address, proxy) =
        Proxy::in_front_of(app.ses.url.strip_prefix("http://").unwrap(), Cut::Never).await;
    app.env
        .insert("AWS_ENDPOINT_URL_SESV2", format!("http://{address}"));
    app.env.remove("SEND_RATE");
    let instance = Instance::start(&app).await;
    app.booking_due_now().await;
    assert_eq!(
        instance.invoke(&example_event("schedule")).await.unwrap()["reminders"]["sent"],
        1
    );
    proxy.freeze();
    // The test needs real time to pass; in production it is a minute.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let booking = app.booking_due_now().await;
    let summary = instance.invoke(&example_event("schedule")).await.unwrap();
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    assert_eq!(app.reminders(booking).await, ["24h completed"]);
    assert_eq!(
        app.ses.rate_requests(),
        1,
        "the rate is requested once for each instance"
    );
}

#[tokio::test]
async fn the_sign_script_creates_a_valid_signed_request() {
    let app = app_with_secrets().await;
    let script = format!("{}/events/sign", env!("CARGO_MANIFEST_DIR"));
    let output = std::process::Command::new("sh")
        .arg(script)
        .env("CRON_SIGNING_SECRET", SIGNING)
        .output()
        .unwrap();
    let signed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (status, summary) = status_and_body(Instance::start(&app).await.invoke(&signed).await);
    assert_eq!((status, &summary["outcome"]), (200, &json!("completed")));
}

#[tokio::test]
async fn messages_that_do_not_fit_into_an_invocation_are_deferred() {
    let mut app = app_with_secrets().await;
    app.env.insert("SEND_CONCURRENCY", "1".to_owned());
    for _ in 0..3 {
        app.booking_due_now().await;
    }
    app.ses.answer(|_| ses::Answer::Silence);
    let instance = Instance::start(&app).await;
    let time = Duration::from_secs(10);
    let summary = instance
        .invoke_within(time, example_event("schedule").to_string().into())
        .await
        .unwrap();
    assert!(
        summary["duration_ms"].as_u64().unwrap() < 10_000,
        "{summary}"
    );
    let reminders = &summary["reminders"];
    assert_eq!(
        (&reminders["due"], &reminders["sent"]),
        (&json!(3), &json!(0)),
        "{summary}"
    );
    assert!(
        reminders["unknown"].as_i64() >= Some(1) && reminders["deferred"].as_i64() >= Some(1),
        "{summary}"
    );
    let open: i64 = app
        .one(
            "SELECT count(*) FROM booking_automation_events WHERE status = 'sending'",
            &[],
        )
        .await
        .get(0);
    assert_eq!(open, 0, "every outcome is recorded");

    // The same over HTTP.
    app.make_claimable().await;
    let (begun, bearer) = (Instant::now(), example_event("bearer").to_string());
    let answered = status_and_body(instance.invoke_within(time, bearer.into()).await);
    assert!(begun.elapsed() < time && answered.0 == 200, "{answered:?}");

    // With less time than the margin nothing starts.
    let error = instance
        .invoke_within(
            Duration::from_secs(1),
            example_event("schedule").to_string().into(),
        )
        .await
        .unwrap_err();
    assert_eq!(error["errorType"], "NoTime");
}

#[tokio::test]
async fn an_unresponsive_database_does_not_exceed_the_invocation_time() {
    let mut app = App::empty().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    app.env.insert(
        "DATABASE_URL",
        format!("postgres://user@{}/x", silent.local_addr().unwrap()),
    );
    let instance = Instance::start(&app).await;
    for name in ["schedule", "migrate"] {
        let (time, begun) = (Duration::from_secs(5), Instant::now());
        let error = instance
            .invoke_within(time, example_event(name).to_string().into())
            .await
            .unwrap_err();
        assert!(
            begun.elapsed() < time,
            "{name}: {:?} {error}",
            begun.elapsed()
        );
    }
}

#[tokio::test]
async fn a_frozen_migration_releases_its_lock() {
    let app = App::empty().await;
    app.db
        .batch_execute(include_str!("theirs.sql"))
        .await
        .unwrap();
    // A transaction that has seen the table keeps a concurrent build from finishing.
    let holder = connect(&app.url).await;
    holder
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM users LIMIT 1")
        .await
        .unwrap();
    let frozen = Instance::start(&app).await;
    let call = frozen.invoke_within(
        Duration::from_secs(8),
        example_event("migrate").to_string().into(),
    );
    let freeze = async {
        app.wait_until("SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE datname = current_database() AND phase LIKE 'waiting%')").await;
        frozen.signal("-STOP");
        app.wait_until("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction' AND query LIKE '%pg_advisory%')").await;
        holder.batch_execute("COMMIT").await.unwrap();
        // Another instance migrates while the first is frozen.
        let migrated = Instance::start(&app)
            .await
            .invoke(&example_event("migrate"))
            .await
            .unwrap();
        assert_eq!(migrated["outcome"], "migrated");
        let steps = migrated["steps"].to_string();
        assert!(
            !steps.contains("01_base_tables") && steps.contains("08_webhook_ids"),
            "{steps}"
        );
        frozen.signal("-CONT");
    };
    // The thawed instance reports that its deadline has passed.
    let (outcome, ()) = futures_util::future::join(call, freeze).await;
    assert_eq!(outcome.unwrap_err()["errorType"], "MigrationFailed");
}

#[tokio::test]
async fn the_migrate_payload_migrates_the_schema() {
    let app = App::empty().await;
    let instance = Instance::start(&app).await;
    let migrated = instance.invoke(&example_event("migrate")).await.unwrap();
    assert_eq!(migrated["outcome"], "migrated");
    assert_eq!(
        migrated["steps"].as_array().unwrap().len(),
        52,
        "{migrated}"
    );
    assert_eq!(migrated["first_pass"]["outcome"], "dry_run");
    assert_eq!(
        instance.invoke(&example_event("migrate")).await.unwrap()["steps"],
        json!([])
    );
    assert_eq!(
        instance.invoke(&example_event("schedule")).await.unwrap()["outcome"],
        "completed"
    );
}

#[tokio::test]
async fn the_migrate_payload_refuses_a_database_that_does_not_fit_with_all_reasons() {
    let app = App::empty().await;
    app.db
        .batch_execute("CREATE SCHEMA app; CREATE TABLE app.bookings (id uuid, scheduled_at timestamptz, status text); CREATE TABLE reminder_rules (id int)")
        .await
        .unwrap();
    let instance = Instance::start(&app).await;
    let error = instance
        .invoke(&example_event("migrate"))
        .await
        .unwrap_err();
    assert_eq!(error["errorType"], "MigrationFailed");
    let message = error["errorMessage"].as_str().unwrap();
    for expected in [
        "nothing was changed",
        "the table public.bookings does not exist; these look like it: app.bookings",
        "public.reminder_rules exists and is not this program's",
    ] {
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let ledger = "SELECT to_regclass('booking_automation_migrations') IS NULL";
    assert!(app.one(ledger, &[]).await.get::<_, bool>(0));
}

#[tokio::test]
async fn the_migrate_payload_tries_the_pass_first_unless_it_says_no() {
    let app = App::empty().await;
    app.db
        .batch_execute(include_str!("../../migrations/01_base_tables.sql"))
        .await
        .unwrap();
    app.db
        .batch_execute(
            "INSERT INTO bookings (status, scheduled_at) VALUES ('confirmed', now() + interval '1 day');
             CREATE TABLE history (LIKE bookings);
             CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO history SELECT old.*; RETURN new; END $$;
             CREATE TRIGGER remember AFTER UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION remember()",
        )
        .await
        .unwrap();
    let instance = Instance::start(&app).await;
    let error = instance
        .invoke(&example_event("migrate"))
        .await
        .unwrap_err();
    let message = error["errorMessage"].as_str().unwrap();
    assert!(message.contains("in the function remember()"), "{message}");
    let without_columns =
        "SELECT count(*)::int FROM booking_automation_migrations WHERE name = '02_no_columns'";
    let migrated = instance
        .invoke(&json!({"trigger": "migrate", "no_probe": true, "no_columns": true}))
        .await
        .unwrap();
    assert_eq!(migrated["outcome"], "migrated");
    assert_eq!(app.one(without_columns, &[]).await.get::<_, i32>(0), 1);
}

#[tokio::test]
async fn a_database_restart_between_invocations_fails_no_pass() {
    let Some(own) = OwnCluster::start().await else {
        return;
    };
    let mut app = App::empty().await;
    app.env.insert("DATABASE_URL", own.url.clone());
    let instance = Instance::start(&app).await;
    assert_eq!(
        instance.invoke(&example_event("migrate")).await.unwrap()["outcome"],
        "migrated"
    );
    assert_eq!(
        instance.invoke(&example_event("schedule")).await.unwrap()["outcome"],
        "completed"
    );
    own.restart();
    assert_eq!(
        instance.invoke(&example_event("schedule")).await.unwrap()["outcome"],
        "completed"
    );
}

#[tokio::test]
async fn a_database_connection_lost_while_frozen_is_replaced() {
    let mut app = App::new().await;
    let proxy = Proxy::start(&app.url, Cut::Never).await;
    app.env.insert("DATABASE_URL", proxy.url.clone());
    let instance = Instance::start(&app).await;
    for _ in 0..2 {
        assert_eq!(
            instance.invoke(&example_event("schedule")).await.unwrap()["outcome"],
            "completed"
        );
    }
    let before = proxy.connections();
    assert_eq!(before, 1, "the connection is kept between invocations");
    // The socket looks open, and no data pass.
    proxy.freeze();
    assert_eq!(
        instance.invoke(&example_event("schedule")).await.unwrap()["outcome"],
        "completed"
    );
    assert_eq!(
        proxy.connections(),
        before + 1,
        "the connection is replaced once"
    );
    assert_eq!(count_runs(&app).await, 3);
}

#[tokio::test]
async fn a_status_change_works_through_a_function_url() {
    let mut app = App::new().await;
    app.env
        .insert("ADMIN_TOKEN", "a-token-for-support-0123456789".to_owned());
    let id = app.booking_due_now().await;
    let instance = Instance::start(&app).await;
    let token = [("authorization", "Bearer a-token-for-support-0123456789")];

    let body = json!({"to": "cancelled", "actor": {"role": "admin"}}).to_string();
    let path = format!("/bookings/{id}/status");
    assert_eq!(
        status_and_body(
            instance
                .invoke(&function_url_request("POST", &path, &[], &body))
                .await
        )
        .0,
        401
    );
    let (status, changed) = status_and_body(
        instance
            .invoke(&function_url_request("POST", &path, &token, &body))
            .await,
    );
    assert_eq!(
        (status, &changed["from"], &changed["to"]),
        (200, &json!("confirmed"), &json!("cancelled"))
    );
    assert_eq!(app.status(id).await, "cancelled");

    let (status, timeline) = status_and_body(
        instance
            .invoke(&function_url_request(
                "GET",
                &format!("/bookings/{id}/timeline"),
                &token,
                "",
            ))
            .await,
    );
    assert_eq!(
        (status, &timeline["booking"]["status"]),
        (200, &json!("cancelled"))
    );
    assert_eq!(
        status_and_body(
            instance
                .invoke(&function_url_request("GET", "/openapi.json", &token, ""))
                .await
        )
        .0,
        200
    );
}
