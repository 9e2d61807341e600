//! Judges that none of us wrote: moto's SES, PgBouncer in transaction mode, the Standard Webhooks library, schemathesis.
//! Where one is not installed its test says so and does nothing else.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::app::{App, hours, minutes, noon, skipped};
use crate::client::{Header, request};
use crate::http::{SIGNING, Server};
use crate::status::{TOKEN, ask, support};

/// Where a program is: in one of these places, or on the `PATH`.
pub fn find(program: &str, places: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    places
        .iter()
        .map(PathBuf::from)
        .chain(std::env::split_paths(&path))
        .map(|place| place.join(program))
        .find(|file| file.is_file())
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Waits until a process listens on its port.
pub async fn listens(port: u16, process: &mut Child) {
    for _ in 0..1200 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_ok()
        {
            return;
        }
        assert!(
            process.try_wait().unwrap().is_none(),
            "it ended before it listened"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it does not listen");
}

/// A request to moto; the answer's body.
async fn moto(port: u16, method: &str, path: &str, body: &str) -> String {
    let authorization =
        b"AWS4-HMAC-SHA256 Credential=test/20260301/eu-central-1/ses/aws4_request, SignedHeaders=host, Signature=0";
    let headers: [Header<'_>; 2] = [
        ("Content-Type", b"application/json"),
        ("Authorization", authorization),
    ];
    let answer = request(port, method, path, &headers, body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

#[tokio::test]
async fn an_ses_that_none_of_us_wrote_takes_our_messages() {
    let Some(moto_server) = find("moto_server", &["target/judges/bin"]) else {
        skipped("moto_server is not installed (pip install 'moto[server]')");
        return;
    };
    let port = free_port();
    let mut server = Command::new(moto_server)
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    listens(port, &mut server).await;

    let mut app = App::new().await;
    app.env
        .insert("AWS_ENDPOINT_URL_SESV2", format!("http://127.0.0.1:{port}"));
    app.env.insert(
        "EMAIL_FROM",
        "Praxis Müller <booking@studio.example>".to_owned(),
    );
    let first = app.confirmed(noon() + hours(24)).await;
    let second = app.confirmed(noon() + hours(1)).await;

    // The sender's identity is not verified yet: held back, nothing used up. Of a complete mail, moto
    // says that in words that SES has not.
    app.env.insert("MAIL_CALENDAR", "false".to_owned());
    let summary = app.run(noon()).await;
    assert_eq!(summary["reminders"]["deferred"], 2, "{summary}");
    assert_eq!(app.reminders(first).await, ["24h pending account"]);

    moto(
        port,
        "POST",
        "/v2/email/identities",
        r#"{"EmailIdentity": "booking@studio.example"}"#,
    )
    .await;
    app.make_claimable().await;
    app.env.remove("MAIL_CALENDAR");
    let summary = app.run(noon()).await;
    assert_eq!(summary["reminders"]["sent"], 2, "{summary}");
    assert_eq!(
        app.reminders(second).await,
        ["24h skipped superseded", "1h completed"]
    );

    // What it says it got, under the ids that we recorded.
    let stored: Value =
        serde_json::from_str(&moto(port, "GET", "/moto-api/data.json", "").await).unwrap();
    let ids = app.column("SELECT message_id FROM booking_automation_events WHERE status = 'completed' AND event_type = 'reminder_sent'", &[]).await;
    let stored = stored.to_string();
    for id in ids {
        assert!(!id.is_empty() && stored.contains(&id), "{id}: {stored}");
    }
    assert!(stored.contains("text/calendar; charset=UTF-8; method=REQUEST"));

    // And a mail without an appointment.
    app.env.insert("MAIL_CALENDAR", "false".to_owned());
    app.confirmed(noon() + hours(24)).await;
    let summary = app.run(noon()).await;
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    server.kill().await.unwrap();
}

#[tokio::test]
async fn everything_works_behind_a_transaction_pooler() {
    let Some(pgbouncer) = find("pgbouncer", &["/usr/sbin", "/usr/local/sbin"]) else {
        skipped("pgbouncer is not installed (Debian: apt-get install pgbouncer)");
        return;
    };
    let mut app = App::new().await;
    let url: tokio_postgres::Config = app.url.parse().unwrap();
    let (server_port, database) = (url.get_ports()[0], url.get_dbname().unwrap().to_owned());
    let port = free_port();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("pgbouncer.ini");
    std::fs::write(directory.path().join("users.txt"), "\"postgres\" \"\"\n").unwrap();
    // Two server connections for everybody: each transaction may meet another one.
    std::fs::write(
        &config,
        format!(
            "[databases]\n{database} = host=127.0.0.1 port={server_port} user=postgres pool_size=2\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\nmax_client_conn = 100\nlogfile = {}\npidfile =\n",
            directory.path().join("log").display()
        ),
    )
    .unwrap();
    let mut command = Command::new(pgbouncer);
    command
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    if std::fs::metadata(&config).is_ok_and(|file| std::os::unix::fs::MetadataExt::uid(&file) == 0)
    {
        // It refuses to run as root.
        std::process::Command::new("chown")
            .args(["-R", "postgres"])
            .arg(directory.path())
            .status()
            .unwrap();
        command.args(["-u", "postgres"]);
    }
    let mut pooler = command.spawn().unwrap();
    listens(port, &mut pooler).await;
    app.env.insert(
        "DATABASE_URL",
        format!("postgres://postgres@127.0.0.1:{port}/{database}"),
    );

    let said = app.call(&["migrate"]).await;
    assert!(said.success, "{}", said.stderr);
    for round in 0..4 {
        let now = noon() + minutes(round);
        app.confirmed(now).await;
        for _ in 0..5 {
            app.confirmed(now + hours(24)).await;
        }
        let summaries = futures_util::future::join_all((0..8).map(|_| app.run(now))).await;
        let sent: i64 = summaries
            .iter()
            .filter_map(|summary| summary["reminders"]["sent"].as_i64())
            .sum();
        let started: i64 = summaries
            .iter()
            .filter_map(|summary| summary["transitions"]["started"].as_i64())
            .sum();
        assert_eq!((sent, started), (5, 1), "round {round}");
    }
    let stranded: i64 = app.one("SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database WHERE locktype = 'advisory' AND datname = current_database()", &[]).await.get(0);
    assert_eq!(stranded, 0, "no lock stays with a server connection");
    pooler.kill().await.unwrap();
}

/// Signs as its users do, with the library of those who wrote the specification.
const SIGN: &str = "
import datetime, sys
from standardwebhooks.webhooks import Webhook
now = datetime.datetime.now(tz=datetime.timezone.utc)
print(int(now.timestamp()), Webhook(sys.argv[1]).sign(sys.argv[2], now, sys.argv[3]))";

#[tokio::test]
async fn what_the_standard_webhooks_library_signs_is_accepted() {
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let python = find("python", &["target/judges/bin"]);
    let sign = async |secret: &str, id: &str, body: &str| {
        let output = Command::new(python.as_ref()?)
            .args(["-c", SIGN, secret, id, body])
            .output()
            .await
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        said.trim()
            .split_once(' ')
            .map(|(timestamp, signature)| (timestamp.to_owned(), signature.to_owned()))
    };
    let mut app = App::new().await;
    app.env.insert(
        "CRON_SIGNING_SECRET",
        format!("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD,{SECRET}"),
    );
    let server = Server::start(&app, &[]).await;
    for body in ["", "{}", "{\"täglich\": \"ja\"}\n"] {
        let id = format!("msg_{}", body.len());
        let Some((timestamp, signature)) = sign(SECRET, &id, body).await else {
            skipped("the Standard Webhooks library is not installed (make judges)");
            return;
        };
        let headers: [Header<'_>; 3] = [
            ("webhook-id", id.as_bytes()),
            ("webhook-timestamp", timestamp.as_bytes()),
            ("webhook-signature", signature.as_bytes()),
        ];
        let answer = request(server.port, "POST", "/run", &headers, body.as_bytes()).await;
        assert_eq!(
            (answer.status, &answer.json()["outcome"]),
            (200, &"completed".into()),
            "{body:?}"
        );
        assert_eq!(
            request(server.port, "POST", "/run", &headers, b"another")
                .await
                .status,
            401
        );
    }
}

#[tokio::test]
async fn the_signing_examples_of_the_guide_run_as_written() {
    let app = App::new().await;
    let server = Server::start(&app, &[]).await;
    let guide = include_str!("../../docs/fire-and-sign.md");
    let (_, section) = guide.split_once("## Sign a request").unwrap();
    for (language, program, arguments) in [
        ("sh", "sh", &["-c"][..]),
        ("js", "node", &["--input-type=module", "-e"]),
        ("python", "python3", &["-c"]),
    ] {
        let needed = if program == "sh" { "curl" } else { program };
        if find(needed, &[]).is_none() {
            skipped(&format!("{needed} is not installed"));
            continue;
        }
        let (_, code) = section.split_once(&format!("```{language}\n")).unwrap();
        let (code, _) = code.split_once("```").unwrap();
        let output = Command::new(program)
            .args(arguments)
            .arg(code)
            .env("URL", format!("http://127.0.0.1:{}", server.port))
            .env("CRON_SIGNING_SECRET", SIGNING)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            said.contains(r#""outcome":"completed""#) && said.contains("signature"),
            "{language}: {output:?}"
        );
    }
    let calls: i64 = app
        .one(
            "SELECT count(DISTINCT webhook_id) FROM automation_runs",
            &[],
        )
        .await
        .get(0);
    let runs: i64 = app
        .one("SELECT count(*) FROM automation_runs", &[])
        .await
        .get(0);
    assert_eq!(calls, runs);
}

/// What schemathesis finds with a description of the routes, whose URL or path it is given.
async fn schemathesis(server: &Server, description: &str) -> Option<std::process::Output> {
    let program = find("schemathesis", &["target/judges/bin"])?
        .canonicalize()
        .unwrap();
    // It writes where it is.
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.current_dir(&directory);
    command.args([
        "run",
        description,
        "--url",
        &format!("http://127.0.0.1:{}", server.port),
    ]);
    command.args([
        "--header",
        &format!("Authorization: Bearer {TOKEN}"),
        "--checks",
        "all",
        "--seed",
        "1",
        "--no-color",
    ]);
    command.args([
        "--max-examples",
        "25",
        "--phases",
        "examples,coverage,fuzzing",
        "--generation-database",
        "none",
    ]);
    Some(command.output().await.unwrap())
}

/// Takes the `Idempotency-Key` from all operations.
fn without_keys(description: &mut Value) {
    let paths = description["paths"].as_object_mut().unwrap().values_mut();
    let operations = paths.flat_map(|path| path.as_object_mut().unwrap().values_mut());
    for operation in operations {
        if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
            parameters
                .retain(|parameter| parameter["$ref"] != "#/components/parameters/IdempotencyKey");
        }
    }
}

#[tokio::test]
async fn the_routes_for_support_are_as_their_description_says() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let mut description = ask(&server, "GET", "/openapi.json", &[], b"").await.json();
    // No schema says which names of time zones there are.
    description["components"]["schemas"]["Preferences"]["properties"]["timezone"] =
        json!({"enum": ["Europe/Vienna", "Asia/Kathmandu", "UTC", null]});
    // Nor behind which country codes a number may begin with 0.
    description["components"]["schemas"]["Preferences"]["properties"]["phone"] =
        json!({"enum": ["+436641234567", "+390612345678", "+6904123", null]});
    // It would use a key for more than one request.
    without_keys(&mut description);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("openapi.json");
    std::fs::write(&file, description.to_string()).unwrap();
    let Some(output) = schemathesis(&server, file.to_str().unwrap()).await else {
        skipped("schemathesis is not installed (make judges)");
        return;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );

    // Once more with bookings, people and events that there are.
    let mut ids = Vec::new();
    for (status, start) in [
        ("pending", noon() + hours(5)),
        ("confirmed", noon() + hours(5)),
        ("confirmed", noon() - minutes(5)),
        ("in_progress", noon() - minutes(5)),
        ("completed", noon() - hours(5)),
        ("cancelled", noon() + hours(5)),
    ] {
        ids.push(app.booking(status, start).await);
    }
    app.run(noon()).await;
    description["components"]["parameters"]["BookingId"]["schema"] = json!({"enum": ids});
    description["paths"]["/people/{id}/messages"]["delete"]["parameters"][0]["schema"] =
        json!({"enum": [app.customer, app.provider]});
    std::fs::write(&file, description.to_string()).unwrap();
    let output = schemathesis(&server, file.to_str().unwrap()).await.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let changes: i64 = app
        .one("SELECT count(*) FROM booking_automation_events WHERE event_data ->> 'by' LIKE 'admin%'", &[])
        .await
        .get(0);
    assert!(changes > 0, "it got as far as changing a booking");
    let log = server.end().await;
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}
