//! What `migrate` shows while it waits or builds indexes.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio_postgres::Client;

use crate::app::{App, connect, skipped};

const THEIRS: &str = include_str!("theirs.sql");

/// A session with a name, in a transaction that has run `sql`.
async fn holder(app: &App, sql: &str) -> Client {
    let session = connect(&app.url).await;
    let begin = format!(
        "SET application_name = 'nightly_export'; BEGIN ISOLATION LEVEL REPEATABLE READ; {sql}"
    );
    session.batch_execute(&begin).await.unwrap();
    session
}

fn start(app: &App, arguments: &[&str]) -> (Child, Lines<BufReader<ChildStderr>>) {
    let mut command = app.command(arguments);
    let mut child = command
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    (child, lines)
}

/// The first line that contains all parts.
async fn line_with(lines: &mut Lines<BufReader<ChildStderr>>, parts: &[&str]) -> String {
    let mut said = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if parts.iter().all(|part| line.contains(part)) {
            return line;
        }
        said += &format!("{line}\n");
    }
    panic!("no line has {parts:?}: {said}");
}

async fn ends_well(mut child: Child, mut lines: Lines<BufReader<ChildStderr>>) {
    while lines.next_line().await.unwrap().is_some() {}
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn migrate_says_for_whose_lock_a_step_waits() {
    let app = App::empty().await;
    app.db.batch_execute(THEIRS).await.unwrap();
    let holder = holder(
        &app,
        "UPDATE bookings SET total_price = 1 WHERE status = 'paid'",
    )
    .await;
    // Without the trial, which would wait for it first.
    let (child, mut lines) = start(&app, &["migrate", "--no-probe", "--progress-every", "1s"]);
    let parts = [
        "02_booking_columns",
        "waits for pid",
        "role postgres",
        "nightly_export",
        "idle in transaction",
    ];
    let line = line_with(&mut lines, &parts).await;
    assert!(
        !line.contains("UPDATE") && !line.contains("127.0.0.1"),
        "{line}"
    );
    holder.batch_execute("COMMIT").await.unwrap();
    ends_well(child, lines).await;
}

#[tokio::test]
async fn migrate_says_how_far_an_index_build_is_and_for_whom_it_waits() {
    let app = App::empty().await;
    app.db.batch_execute(THEIRS).await.unwrap();
    let holder = holder(&app, "SELECT FROM users LIMIT 1").await;
    let (child, mut lines) = start(&app, &["migrate", "--progress-every", "1s"]);
    let parts = [
        "index booking_automation_",
        "waiting for old snapshots",
        "waits for pid",
        "nightly_export",
    ];
    line_with(&mut lines, &parts).await;
    holder.batch_execute("COMMIT").await.unwrap();
    ends_well(child, lines).await;
}

/// The role may open only the two connections that the work itself needs.
#[tokio::test]
async fn migrate_succeeds_where_its_progress_cannot_be_read() {
    let mut app = App::empty().await;
    app.db.batch_execute(THEIRS).await.unwrap();
    let role = format!("limited_{}", uuid::Uuid::new_v4().simple());
    let url = app.url.clone();
    let (_, host) = url.rsplit_once('@').unwrap();
    let (_, database) = host.rsplit_once('/').unwrap();
    app.db
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'x' CONNECTION LIMIT 2;
             ALTER DATABASE {database} OWNER TO {role}; ALTER SCHEMA public OWNER TO {role};
             ALTER TABLE users OWNER TO {role}; ALTER TABLE services OWNER TO {role}; ALTER TABLE bookings OWNER TO {role}"
        ))
        .await
        .unwrap();
    app.env
        .insert("DATABASE_URL", format!("postgres://{role}:x@{host}"));
    let holder = holder(&app, "SELECT FROM users LIMIT 1").await;
    let migrate = tokio::spawn(app.command(&["migrate", "--progress-every", "1s"]).output());
    let builds = "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE datname = current_database()
                                    AND phase = 'waiting for old snapshots')";
    app.wait_until(builds).await;
    holder.batch_execute("COMMIT").await.unwrap();
    let output = migrate.await.unwrap().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn a_terminal_shows_the_progress_in_one_line() {
    let app = App::empty().await;
    app.db.batch_execute(THEIRS).await.unwrap();
    let program = env!("CARGO_BIN_EXE_booking-automation");
    let mut command = Command::new("script");
    command.args(["-qefc", &format!("{program} migrate"), "/dev/null"]);
    command
        .env_clear()
        .envs(&app.env)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let holder = holder(&app, "SELECT FROM users LIMIT 1").await;
    let Ok(mut child) = command.spawn() else {
        skipped("the progress on a terminal: `script` (util-linux) is not installed");
        return;
    };
    // Each new state replaces the line, and ends with "wrap lines again".
    let mut states = BufReader::new(child.stdout.take().unwrap()).split(b'h');
    loop {
        let state = states.next_segment().await.unwrap().expect("the progress");
        let state = String::from_utf8_lossy(&state).into_owned();
        if state.contains("(role postgres, application_name nig") {
            break;
        }
    }
    holder.batch_execute("COMMIT").await.unwrap();
    while states.next_segment().await.unwrap().is_some() {}
    assert!(child.wait().await.unwrap().success());
}
