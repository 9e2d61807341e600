//! Requests over HTTP, through `serve`.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio_postgres::Client;

use crate::app::{App, connect, hours, signal};
use crate::client::{Answer, Header, receive, request, run_signed, send, signature, unix_time};
use crate::proxy::{Cut, Proxy};
use crate::ses;

const BEARER: &str = "a bearer secret that has no spaces: 0123456789";
/// The signing secret of a server unless the app sets another one.
pub const SIGNING: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// The bearer secret of a server unless the app sets another one.
pub fn bearer_secret() -> String {
    BEARER.replace(' ', "-")
}

/// The arguments of a `serve` at a free port.
pub const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// A running `serve`.
pub struct Server {
    process: Child,
    /// Where it listens.
    pub port: u16,
    log: tokio::task::JoinHandle<String>,
}

impl Server {
    /// Starts `serve` with both kinds of secrets: those of the app, or else the constants above.
    pub async fn start(app: &App, arguments: &[&str]) -> Self {
        Self::start_as(app, app.command(&[&SERVE, arguments].concat())).await
    }

    /// Starts `serve` by this command.
    pub async fn start_as(app: &App, mut command: Command) -> Self {
        command
            .env("CRON_SECRET", bearer_secret())
            .env("CRON_SIGNING_SECRET", SIGNING)
            .envs(&app.env)
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let port = loop {
            let line = lines
                .next_line()
                .await
                .unwrap()
                .unwrap_or_else(|| panic!("it ended: {said}"));
            said += &line;
            if let Some((_, port)) = line.split_once("listening on http://127.0.0.1:") {
                break port.parse().unwrap();
            }
        };
        let log = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                said = said + &line + "\n";
            }
            said
        });
        Self { process, port, log }
    }

    /// Calls `/run` with the bearer secret.
    pub async fn run_with_bearer(&self) -> Answer {
        let authorization = format!("Bearer {}", bearer_secret());
        request(
            self.port,
            "GET",
            "/run",
            &[("Authorization", authorization.as_bytes())],
            b"",
        )
        .await
    }

    async fn run_signed(&self, id: &str) -> Answer {
        run_signed(self.port, SIGNING, id).await
    }

    /// Ends the server with SIGTERM; returns its log.
    pub async fn end(mut self) -> String {
        signal(&self.process, "-TERM");
        let status = tokio::time::timeout(Duration::from_secs(60), self.process.wait())
            .await
            .unwrap()
            .unwrap();
        let log = self.log.await.unwrap();
        assert!(status.success(), "{log}");
        log
    }
}

/// A database that accepts connections, counts them and closes them; its URL and the count.
async fn database_that_hangs_up() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "postgres://user:password-of-the-database@{}/x",
        listener.local_addr().unwrap()
    );
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, count)
}

/// `serve` in front of a database that only counts connections.
struct RefusalServer {
    server: Server,
    connections: Arc<AtomicUsize>,
    authorization: String,
}

impl RefusalServer {
    async fn start() -> Self {
        let mut app = App::empty().await;
        let (url, connections) = database_that_hangs_up().await;
        app.env.insert("DATABASE_URL", url);
        let server = Server::start(&app, &[]).await;
        Self {
            server,
            connections,
            authorization: format!("Bearer {}", bearer_secret()),
        }
    }

    /// A request with a valid bearer secret.
    async fn authorized(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let headers = [("Authorization", self.authorization.as_bytes())];
        request(self.server.port, method, path, &headers, body).await
    }

    /// A request without credentials.
    async fn anonymous(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        request(self.server.port, method, path, &[], body).await
    }

    /// A `POST /run` with these headers and no body.
    async fn run_with(&self, headers: &[Header<'_>]) -> Answer {
        request(self.server.port, "POST", "/run", headers, b"").await
    }

    /// A chunked `POST /run` with a valid bearer secret.
    async fn chunked(&self, body: &[u8]) -> Answer {
        let headers = [
            ("Authorization", self.authorization.as_bytes()),
            ("Transfer-Encoding", &b"chunked"[..]),
        ];
        chunked_request(self.server.port, &headers, body).await
    }

    /// Ends the server; returns its log, which has no secrets.
    async fn end(self) -> String {
        let log = self.server.end().await;
        for secret in [&bearer_secret(), "password-of-the-database", &SIGNING[6..]] {
            assert!(!log.contains(secret), "{log}");
        }
        log
    }

    async fn end_without_connection(self) {
        assert_eq!(
            self.connections.load(Ordering::SeqCst),
            0,
            "a refused request connects to the database"
        );
        self.end().await;
    }
}

fn assert_problem(answer: &Answer, status: u16, request: &str) {
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (status, "application/problem+json"),
        "{request}"
    );
}

/// One byte over the limit.
fn oversized_body() -> Vec<u8> {
    vec![b'x'; 64 * 1024 + 1]
}

/// The order of the checks: path, method, size, credentials.
#[tokio::test]
async fn refused_paths_methods_and_sizes_never_connect_to_the_database() {
    let server = RefusalServer::start().await;
    let health = server.anonymous("GET", "/health", b"").await;
    assert_eq!(
        (health.status, health.body.as_str()),
        (200, r#"{"status":"ok"}"#)
    );
    assert_unknown_paths_are_refused(&server).await;
    assert_other_methods_are_refused(&server).await;
    assert_large_bodies_are_refused(&server).await;
    server.end_without_connection().await;
}

async fn assert_unknown_paths_are_refused(server: &RefusalServer) {
    for path in [
        "/",
        "/events",
        "/Run",
        "/run/",
        "/run/x",
        "//run",
        "/%72un",
        "/health/",
        "/admin",
        "/run%00",
        "/..%2frun",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            assert_problem(
                &server.authorized(method, path, b"").await,
                404,
                &format!("{method} {path}"),
            );
        }
    }
    // A scheduler's payload has no meaning over HTTP.
    assert_eq!(
        server
            .authorized("POST", "/events", br#"{"trigger":"schedule"}"#)
            .await
            .status,
        404
    );
}

async fn assert_other_methods_are_refused(server: &RefusalServer) {
    // HEAD is not allowed where GET runs a pass.
    for method in [
        "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY",
    ] {
        let answer = server.authorized(method, "/run", b"").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, "GET, POST"),
            "{method}"
        );
    }
    assert_eq!(
        server
            .anonymous("PUT", "/run", &oversized_body())
            .await
            .status,
        405
    );
    assert_eq!(
        server
            .anonymous("POST", "/health", b"")
            .await
            .header("allow"),
        "GET, HEAD"
    );
}

/// A body over the limit, with its length announced or chunked.
async fn assert_large_bodies_are_refused(server: &RefusalServer) {
    assert_eq!(
        server
            .anonymous("POST", "/run", &oversized_body())
            .await
            .status,
        413
    );
    let huge = oversized_body();
    let chunks = [
        format!("{:x}\r\n", huge.len()).into_bytes(),
        huge,
        b"\r\n0\r\n\r\n".to_vec(),
    ]
    .concat();
    assert_problem(
        &server.chunked(&chunks).await,
        413,
        "an oversized chunked body",
    );
    assert_problem(&server.chunked(b"ZZ\r\n").await, 400, "a malformed chunk");
}

#[tokio::test]
async fn refused_credentials_get_one_identical_answer_and_never_connect_to_the_database() {
    let server = RefusalServer::start().await;
    let timestamp = unix_time().to_string();
    let good = signature(SIGNING, b"msg_1", timestamp.as_bytes(), b"");
    let stale = signature(SIGNING, b"msg_1", b"1649367553", b"");
    let right: Header<'_> = ("Authorization", server.authorization.as_bytes());
    let (id, timestamp, good): (Header<'_>, Header<'_>, Header<'_>) = (
        ("webhook-id", b"msg_1"),
        ("webhook-timestamp", timestamp.as_bytes()),
        ("webhook-signature", good.as_bytes()),
    );
    let refused: [&[Header<'_>]; 14] = [
        &[],
        &[("Authorization", b"")],
        &[("Authorization", b"Bearer wrong")],
        &[("Authorization", b"Bearer \xff\xfe")],
        &[("Authorization", b"Basic dXNlcjpwYXNz")],
        &[right, right],
        &[right, id],
        &[right, id, timestamp, ("webhook-signature", b"v1,AAAA")],
        &[("Authorization", b"Bearer wrong"), id, timestamp, good],
        &[id, timestamp],
        &[id, good],
        &[timestamp, good],
        &[id, id, timestamp, good],
        &[
            id,
            ("webhook-timestamp", b"1649367553"),
            ("webhook-signature", stale.as_bytes()),
        ],
    ];
    let mut answers = Vec::new();
    for headers in refused {
        answers.push(server.run_with(headers).await);
    }
    // Signed for another body.
    answers.push(
        request(
            server.server.port,
            "POST",
            "/run",
            &[id, timestamp, good],
            b"x",
        )
        .await,
    );
    // A secret in the URL is ignored.
    answers.push(
        server
            .anonymous("GET", &format!("/run?secret={}", bearer_secret()), b"")
            .await,
    );
    assert_eq!(
        (answers[0].status, answers[0].header("www-authenticate")),
        (401, "Bearer")
    );
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
    server.end_without_connection().await;
}

#[tokio::test]
async fn an_accepted_request_connects_to_the_database_and_logs_no_secrets() {
    let server = RefusalServer::start().await;
    let answer = server.authorized("GET", "/run", b"").await;
    assert_problem(&answer, 503, &format!("{answer:?}"));
    assert!(server.connections.load(Ordering::SeqCst) > 0);
    assert_eq!(server.anonymous("HEAD", "/health", b"").await.status, 200);

    let log = server.end().await;
    assert!(log.contains("the database cannot be reached"), "{log}");
}

/// Sends a `POST /run` whose body has its own framing.
async fn chunked_request(port: u16, headers: &[Header<'_>], body: &[u8]) -> Answer {
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    let mut head = b"POST /run HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".to_vec();
    for (name, value) in headers {
        head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    let _ = socket.write_all(&[&head[..], b"\r\n", body].concat()).await;
    receive(socket).await
}

/// Sends these bytes; returns the statuses of the answers.
async fn send_raw(port: u16, bytes: &str) -> Vec<u16> {
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    socket.write_all(bytes.as_bytes()).await.unwrap();
    let mut said = String::new();
    tokio::time::timeout(Duration::from_secs(30), socket.read_to_string(&mut said))
        .await
        .unwrap()
        .unwrap();
    said.split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| answer[..3].parse().unwrap())
        .collect()
}

#[tokio::test]
async fn ambiguous_requests_run_nothing() {
    let app = App::new().await;
    let server = Server::start(&app, &[]).await;
    let right = format!("Authorization: Bearer {}\r\n", bearer_secret());
    let runs = "SELECT count(*) FROM automation_runs";
    for (lines, status) in [
        (
            format!("Authorization: Bearer\r\n {}\r\n", bearer_secret()),
            400,
        ),
        (format!("X: y\r\n {right}"), 400),
        (right.replace(':', " :"), 400),
        (format!("X: y\r{right}"), 400),
        (
            format!("{right}Content-Length: 0\r\nContent-Length: 1\r\n"),
            400,
        ),
        (format!("{right}Transfer-Encoding: xchunked\r\n"), 400),
        (right.repeat(2), 401),
        (format!("Proxy-{right}X-{right}Cookie: {right}"), 401),
    ] {
        let request = format!("POST /run HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n");
        assert_eq!(send_raw(server.port, &request).await, [status], "{lines:?}");
    }
    let overridden = format!(
        "DELETE /run HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-HTTP-Method-Override: GET\r\n{right}\r\n"
    );
    assert_eq!(send_raw(server.port, &overridden).await, [405]);
    // A request hidden behind two contradicting lengths is not executed.
    let hidden = format!("GET /run HTTP/1.1\r\nHost: x\r\n{right}Connection: close\r\n\r\n");
    let length = hidden.len() + 5;
    let both = format!(
        "POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    );
    assert_eq!(send_raw(server.port, &both).await, [401]);
    assert_eq!(app.one(runs, &[]).await.get::<_, i64>(0), 0);
    // Each of several requests on one connection is checked separately.
    let (get, post) = (
        "GET /run HTTP/1.1\r\nHost: x\r\n",
        "POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n",
    );
    let three = format!("{get}\r\n{post}{right}\r\nabc{get}Connection: close\r\n\r\n");
    assert_eq!(send_raw(server.port, &three).await, [401, 200, 401]);
    assert_eq!(app.one(runs, &[]).await.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_bearer_secret_or_a_signature_runs_a_pass() {
    let app = App::new().await;
    let server = Server::start(&app, &[]).await;
    let answer = server.run_with_bearer().await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json"),
        "{answer:?}"
    );
    assert_eq!(
        (&answer.json()["outcome"], &answer.json()["trigger"]),
        (&"completed".into(), &"bearer".into())
    );

    let answer = server.run_signed("msg_first").await;
    assert_eq!(
        (&answer.json()["outcome"], &answer.json()["trigger"]),
        (&"completed".into(), &"signature".into())
    );

    // The signature covers the whole body, up to the size limit.
    let body = vec![b'x'; 64 * 1024];
    let timestamp = unix_time().to_string();
    let by = signature(SIGNING, b"msg_large", timestamp.as_bytes(), &body);
    let headers: [Header<'_>; 3] = [
        ("Webhook-Id", b"msg_large"),
        ("Webhook-Timestamp", timestamp.as_bytes()),
        ("Webhook-Signature", by.as_bytes()),
    ];
    assert_eq!(
        request(server.port, "POST", "/run", &headers, &body)
            .await
            .json()["outcome"],
        "completed"
    );

    let runs = app
        .column("SELECT concat_ws(' ', trigger, outcome, webhook_id) FROM automation_runs ORDER BY created_at", &[])
        .await;
    assert_eq!(
        runs,
        [
            "bearer completed",
            "signature completed msg_first",
            "signature completed msg_large"
        ]
    );
    let log = server.end().await;
    assert_eq!(
        log.matches("pass=\"committed\"").count(),
        3,
        "each call is logged with its summary: {log}"
    );
}

#[tokio::test]
async fn a_signed_request_runs_once_across_all_instances() {
    let app = App::new().await;
    let (one, other) = (
        Server::start(&app, &[]).await,
        Server::start(&app, &[]).await,
    );
    assert_eq!(one.run_signed("msg_1").await.json()["outcome"], "completed");
    for server in [&one, &other] {
        let answer = server.run_signed("msg_1").await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            (&answer.json()["outcome"], &answer.json()["reason"]),
            (&"skipped".into(), &"duplicate_request".into())
        );
    }
    assert_eq!(
        other.run_signed("msg_2").await.json()["outcome"],
        "completed"
    );
    // After the tolerance the same id is a new request.
    app.sql(
        "UPDATE automation_runs SET created_at = created_at - interval '16 minutes'",
        &[],
    )
    .await;
    assert_eq!(
        other.run_signed("msg_1").await.json()["outcome"],
        "completed"
    );
    let runs: i64 = app
        .one("SELECT count(*) FROM automation_runs", &[])
        .await
        .get(0);
    assert_eq!(runs, 3);
}

#[tokio::test]
async fn concurrent_requests_with_one_id_run_one_pass() {
    let app = App::new().await;
    let servers = [
        Server::start(&app, &[]).await,
        Server::start(&app, &[]).await,
    ];
    let calls = (0..16).map(|number| servers[number % 2].run_signed("msg_raced"));
    let answers = futures_util::future::join_all(calls).await;
    let ran = answers
        .iter()
        .filter(|answer| answer.json()["outcome"] == "completed")
        .count();
    assert_eq!(ran, 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.status == 200));
}

#[tokio::test]
async fn a_failed_or_skipped_call_can_be_repeated_with_its_id() {
    let app = App::new().await;
    let server = Server::start(&app, &[]).await;
    // The pass fails at its last statement.
    app.db
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.outcome = 'completed' THEN RAISE 'the secret of row 4711'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON automation_runs FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    let answer = server.run_signed("msg_1").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (503, "application/problem+json")
    );
    assert!(!answer.body.contains("4711"), "{}", answer.body);
    app.db
        .batch_execute("DROP TRIGGER refuse ON automation_runs")
        .await
        .unwrap();

    let other = connect(&app.url).await;
    hold_advisory_lock(&other, 7_091_869_195_317_477_377).await;
    let answer = server.run_signed("msg_1").await;
    assert_eq!(
        (answer.status, &answer.json()["reason"]),
        (200, &"overlap".into())
    );
    drop(other);
    app.wait_until("SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))").await;

    assert_eq!(
        server.run_signed("msg_1").await.json()["outcome"],
        "completed"
    );
    assert_eq!(
        server.run_signed("msg_1").await.json()["reason"],
        "duplicate_request"
    );
    let log = server.end().await;
    assert!(
        log.contains("the pass failed: SQLSTATE P0001") && !log.contains("4711"),
        "{log}"
    );
}

/// A trigger of the user makes each UPDATE of a booking wait until the test releases the lock 42.
pub async fn linger_on_updates(app: &App) {
    app.db
        .batch_execute(
            "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 WHILE NOT pg_try_advisory_xact_lock_shared(42) LOOP PERFORM pg_sleep(0.01); END LOOP; RETURN NEW; END $$;
             CREATE TRIGGER linger BEFORE UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION linger()",
        )
        .await
        .unwrap();
}

/// Takes an advisory lock until the session ends.
pub async fn hold_advisory_lock(session: &Client, key: i64) {
    session
        .execute("SELECT pg_advisory_lock($1)", &[&key])
        .await
        .unwrap();
}

#[tokio::test]
async fn an_unmigrated_database_is_reported() {
    let app = App::empty().await;
    let server = Server::start(&app, &[]).await;
    let answer = server.run_with_bearer().await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.json()["detail"],
        "the database has not been migrated"
    );
}

/// An app whose callers have the default rate limit.
async fn app_with_default_rate_limit() -> App {
    let mut app = App::new().await;
    app.env.remove("RATE_LIMIT");
    app
}

#[tokio::test]
async fn each_credential_has_ten_calls_a_minute_across_all_instances() {
    let app = app_with_default_rate_limit().await;
    let servers = [
        Server::start(&app, &[]).await,
        Server::start(&app, &[]).await,
    ];
    for call in 0..10 {
        let server = &servers[call % 2];
        // Refused requests do not count towards the limit.
        assert_eq!(
            request(server.port, "GET", "/run", &[], b"").await.status,
            401
        );
        assert_eq!(server.run_with_bearer().await.status, 200, "{call}");
    }
    for server in &servers {
        let refused = server.run_with_bearer().await;
        assert_eq!(
            (refused.status, refused.header("content-type")),
            (429, "application/problem+json")
        );
        // One call is regained every six seconds.
        assert!(
            (1..=6).contains(&refused.header("retry-after").parse::<u32>().unwrap()),
            "{refused:?}"
        );
    }
    let runs: i64 = app
        .one("SELECT count(*) FROM automation_runs", &[])
        .await
        .get(0);
    assert_eq!(runs, 10, "a refused call runs nothing");
    // Another credential has its own limit.
    assert_eq!(servers[0].run_signed("msg_1").await.status, 200);
    // The limit is regained with time.
    app.sql(
        "UPDATE booking_automation_callers SET next_at = next_at - interval '12 seconds'",
        &[],
    )
    .await;
    let statuses = [
        servers[0].run_with_bearer().await.status,
        servers[1].run_with_bearer().await.status,
    ];
    assert_eq!(statuses, [200, 200]);
    assert_eq!(servers[0].run_with_bearer().await.status, 429);
}

#[tokio::test]
async fn concurrent_calls_are_each_counted() {
    let app = app_with_default_rate_limit().await;
    let servers = [
        Server::start(&app, &[]).await,
        Server::start(&app, &[]).await,
    ];
    let began = std::time::Instant::now();
    let calls = (0..24).map(|call| servers[call % 2].run_with_bearer());
    let answers = futures_util::future::join_all(calls).await;
    // One call is regained every six seconds.
    let most = 10 + usize::try_from(began.elapsed().as_secs() / 6).unwrap();
    let taken = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    // A call that waits too long for a concurrent count is refused, too.
    assert!(
        (1..=most).contains(&taken) && taken + refused == 24,
        "{taken} {refused}"
    );
}

#[tokio::test]
async fn a_call_is_refused_if_a_concurrent_call_used_up_the_limit() {
    let app = app_with_default_rate_limit().await;
    let server = Server::start(&app, &[]).await;
    assert_eq!(server.run_with_bearer().await.status, 200);
    // The call has begun to count itself and reads the credential's row when the test releases it.
    app.db
        .batch_execute(
            "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 WHILE NOT pg_try_advisory_xact_lock(42) LOOP PERFORM pg_sleep(0.01); END LOOP; RETURN NEW; END $$;
             CREATE TRIGGER linger BEFORE INSERT ON booking_automation_callers FOR EACH ROW EXECUTE FUNCTION linger()",
        )
        .await
        .unwrap();
    let holder = connect(&app.url).await;
    hold_advisory_lock(&holder, 42).await;
    let (refused, ()) = tokio::join!(server.run_with_bearer(), async {
        app.wait_until(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')",
        )
        .await;
        app.sql(
            "UPDATE booking_automation_callers SET next_at = date_trunc('second', clock_timestamp()) + interval '60 seconds'",
            &[],
        )
        .await;
        drop(holder);
    });
    assert_eq!(refused.status, 429, "{refused:?}");
    let next = app
        .column(
            "SELECT (next_at = date_trunc('second', next_at))::text FROM booking_automation_callers",
            &[],
        )
        .await;
    assert_eq!(next, ["true"], "a refused call does not count");
    let runs: i64 = app
        .one("SELECT count(*) FROM automation_runs", &[])
        .await
        .get(0);
    assert_eq!(runs, 1);
}

#[tokio::test]
async fn unused_calls_accumulate_for_one_minute_only() {
    let mut app = App::new().await;
    // One call is regained every 30 seconds.
    app.env.insert("RATE_LIMIT", "2".to_owned());
    let server = Server::start(&app, &[]).await;
    assert_eq!(server.run_with_bearer().await.status, 200);
    app.sql(
        "UPDATE booking_automation_callers SET next_at = now() - interval '1 day'",
        &[],
    )
    .await;
    for status in [200, 200, 429] {
        assert_eq!(server.run_with_bearer().await.status, status);
    }
}

#[tokio::test]
async fn rate_limiting_does_not_wait_for_locks() {
    let app = app_with_default_rate_limit().await;
    let server = Server::start(&app, &[]).await;
    assert_eq!(server.run_with_bearer().await.status, 200);
    let other = crate::app::connect(&app.url).await;
    other
        .batch_execute("BEGIN; UPDATE booking_automation_callers SET next_at = next_at")
        .await
        .unwrap();
    let refused = server.run_with_bearer().await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "2"));
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(server.run_with_bearer().await.status, 200);
}

#[tokio::test]
async fn a_call_that_cannot_be_counted_is_refused() {
    let app = app_with_default_rate_limit().await;
    let server = Server::start(&app, &[]).await;
    app.db
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON booking_automation_callers FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    let answer = server.run_with_bearer().await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(
        answer.json()["detail"],
        "the pass failed and changed nothing; the log says why"
    );
    app.sql("DROP TABLE booking_automation_callers", &[]).await;
    let answer = server.run_with_bearer().await;
    assert_eq!(
        (answer.status, &answer.json()["detail"]),
        (503, &"the database has not been migrated".into())
    );
    let runs: i64 = app
        .one("SELECT count(*) FROM automation_runs", &[])
        .await
        .get(0);
    assert_eq!(runs, 0);
}

#[tokio::test]
async fn a_client_disconnect_does_not_interrupt_the_call() {
    let app = App::new().await;
    let booking = app.booking_due_now().await;
    app.ses
        .answer(|_| ses::Answer::Slow(Duration::from_millis(500)));
    let server = Server::start(&app, &[]).await;
    let authorization = format!("Bearer {}", bearer_secret());
    let socket = send(
        server.port,
        "POST",
        "/run",
        &[("Authorization", authorization.as_bytes())],
        b"",
    )
    .await;
    app.ses.wait_for_mails(1).await;
    drop(socket);
    app.wait_until("SELECT EXISTS (SELECT FROM booking_automation_events WHERE status = 'completed' AND rule = '24h')")
        .await;
    assert_eq!(app.reminders(booking).await, ["24h completed"]);
    assert_eq!(app.ses.mails().len(), 1);
}

#[tokio::test]
async fn a_slow_pass_blocks_neither_health_checks_nor_overlapping_calls() {
    let app = App::new().await;
    linger_on_updates(&app).await;
    app.set_clock(chrono::Utc::now() - hours(48)).await;
    let booking = app.booking("confirmed", chrono::Utc::now()).await;
    let holder = connect(&app.url).await;
    hold_advisory_lock(&holder, 42).await;
    let server = Server::start(&app, &[]).await;
    let authorization = format!("Bearer {}", bearer_secret());
    let slow = send(
        server.port,
        "POST",
        "/run",
        &[("Authorization", authorization.as_bytes())],
        b"",
    )
    .await;
    app.wait_until(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')",
    )
    .await;

    assert_eq!(
        request(server.port, "GET", "/health", &[], b"")
            .await
            .status,
        200
    );
    let answers = futures_util::future::join_all((0..8).map(|_| server.run_with_bearer())).await;
    for answer in answers {
        assert_eq!(answer.json()["reason"], "overlap", "{answer:?}");
    }
    assert_eq!(
        app.status(booking).await,
        "confirmed",
        "the first call is still running"
    );
    drop(holder);
    assert_eq!(receive(slow).await.json()["transitions"]["started"], 1);
}

#[tokio::test]
async fn a_call_is_answered_within_twenty_seconds() {
    let mut app = App::new().await;
    app.env.insert("SEND_CONCURRENCY", "1".to_owned());
    for _ in 0..3 {
        app.booking_due_now().await;
    }
    // The provider does not answer during the call.
    app.ses.answer(|_| ses::Answer::Silence);
    let server = Server::start(&app, &[]).await;
    let begun = Instant::now();
    let summary = server.run_with_bearer().await.json();
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?} {summary}",
        begun.elapsed()
    );
    let reminders = &summary["reminders"];
    assert_eq!(reminders["due"], 3, "{summary}");
    assert!(
        reminders["unknown"].as_i64() >= Some(1) && reminders["deferred"].as_i64() >= Some(1),
        "{summary}"
    );
}

#[tokio::test]
async fn serve_records_its_outcomes_when_it_receives_sigterm() {
    let mut app = App::new().await;
    app.env.insert("SEND_RATE", "20".to_owned());
    app.env.insert("SEND_CONCURRENCY", "4".to_owned());
    for _ in 0..600 {
        app.booking_due_now().await;
    }
    // Sending takes 30 seconds.
    let server = Server::start(&app, &["--every", "1m"]).await;
    app.ses.wait_for_mails(10).await;
    // An unfinished request does not delay the shutdown.
    let mut half = tokio::net::TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    half.write_all(b"GET /health HTT").await.unwrap();
    let log = server.end().await;
    assert!(!log.contains("cut off"), "{log}");
    let sql = "SELECT count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'pending' AND attempts = 0), count(*)
                 FROM booking_automation_events WHERE rule = '24h'";
    let row = app.one(sql, &[]).await;
    let (completed, pending, all): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(usize::try_from(completed).unwrap(), app.ses.mails().len());
    assert_eq!((completed + pending, all), (600, 600));
    assert!(pending > 0, "it stopped before all messages were sent");
}

#[tokio::test]
async fn an_unknown_commit_is_not_reported_as_a_failure() {
    let mut app = App::new().await;
    let booking = app
        .booking("confirmed", chrono::Utc::now() - hours(1))
        .await;
    let proxy = Proxy::start(&app.url, Cut::Forever).await;
    app.env.insert("DATABASE_URL", proxy.url.clone());
    let server = Server::start(&app, &[]).await;
    let answer = server.run_signed("msg_1").await;
    assert!(proxy.was_cut());
    assert_eq!(
        (answer.status, &answer.json()["detail"]),
        (
            503,
            &"whether the pass was committed is not known; the log says why".into()
        )
    );
    // The pass was committed.
    app.wait_until("SELECT EXISTS (SELECT FROM automation_runs WHERE outcome = 'completed' AND webhook_id = 'msg_1')")
        .await;
    assert_ne!(app.status(booking).await, "confirmed");
}

#[tokio::test]
async fn serve_every_runs_passes_and_records_outcomes_before_it_ends() {
    let app = App::new().await;
    let booking = app.booking_due_now().await;
    app.ses
        .answer(|_| ses::Answer::Slow(Duration::from_millis(700)));
    let server = Server::start(&app, &["--every", "10s"]).await;
    app.ses.wait_for_mails(1).await;
    assert_eq!(app.reminders(booking).await, ["24h sending"]);
    server.end().await;
    assert_eq!(app.reminders(booking).await, ["24h completed"]);

    let said = app.call(&["serve", "--every", "1s"]).await;
    assert!(
        !said.success && said.stderr.contains("from 10s to 1h"),
        "{}",
        said.stderr
    );
    // A port that is in use.
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let said = app
        .call(&[
            "serve",
            "--listen",
            &taken.local_addr().unwrap().to_string(),
        ])
        .await;
    assert!(
        !said.success && said.stderr.contains("cannot listen on 127.0.0.1:"),
        "{}",
        said.stderr
    );
}
