//! Another session holds the lock of the pass: for a short time it is another pass, and later an
//! error that names the session.

use tokio_postgres::Client;

use crate::app::{App, connect, noon};
use crate::client::request;
use crate::http::Server;
use crate::odd_databases::app_of_plain_role;

/// The key of the lock that a pass takes. It is a literal, so that a change of the key is noticed.
const PASS_LOCK: &str = "7091869195317477377";
const BEARER: &str = "a-bearer-secret-of-its-own";

/// An app with the default limit and one committed pass.
async fn app_with_pass() -> App {
    let mut app = App::new().await;
    app.env.remove("OVERLAP_ALARM_AFTER");
    app.run(noon()).await;
    app
}

/// Moves everything that was recorded into the past.
async fn age(app: &App, minutes: i32) {
    for (table, column) in [
        ("automation_runs", "created_at"),
        ("booking_automation_migrations", "applied_at"),
    ] {
        let sql = format!("UPDATE {table} SET {column} = now() - make_interval(mins => $1)");
        app.sql(&sql, &[&minutes]).await;
    }
}

/// A session of a role without any privilege of ours, which takes a lock.
struct Holder {
    session: Client,
    pid: i32,
    role: String,
}

async fn holder(app: &App, lock: &str) -> Holder {
    let url = app.backend_url().await;
    let session = connect(&format!("{url}?application_name=nightly%20job")).await;
    let sql = "SELECT pg_backend_pid(), current_user::text";
    let row = session.query_one(sql, &[]).await.unwrap();
    let (pid, role) = (row.get(0), row.get(1));
    session.batch_execute(lock).await.unwrap();
    Holder { session, pid, role }
}

/// Asserts that a call fails with one error that names these sessions.
async fn assert_alarm(app: &App, holders: &[&Holder]) {
    let said = app.call(&["run"]).await;
    assert!(!said.success && said.stdout.is_empty(), "{said:?}");
    assert!(said.stderr.contains("ERROR"), "{}", said.stderr);
    for holder in holders {
        let Holder { pid, role, .. } = holder;
        let named = format!("pid {pid}, role {role}, application_name 'nightly job'");
        assert!(said.stderr.contains(&named), "{named}: {}", said.stderr);
    }
}

async fn assert_skipped(app: &App) {
    let summary = app.call(&["run"]).await.summary();
    assert_eq!(summary["outcome"], "skipped", "{summary}");
    assert_eq!(summary["reason"], "overlap", "{summary}");
}

#[tokio::test]
async fn a_short_overlap_is_skipped_and_a_long_one_names_the_session() {
    let mut app = app_with_pass().await;
    let taken = format!("BEGIN; SELECT pg_advisory_xact_lock({PASS_LOCK})");
    let holder = holder(&app, &taken).await;
    assert_skipped(&app).await;
    age(&app, 4).await;
    assert_skipped(&app).await;
    age(&app, 6).await;
    assert_alarm(&app, &[&holder]).await;
    // Nothing is written, and no other waits.
    let runs: i64 = app
        .one("SELECT count(*) FROM automation_runs", &[])
        .await
        .get(0);
    assert_eq!(runs, 1);

    // Over HTTP, only the log names the session.
    app.env.insert("CRON_SECRET", BEARER.to_owned());
    let server = Server::start(&app, &[]).await;
    let authorization = format!("Bearer {BEARER}");
    let headers = [("authorization", authorization.as_bytes())];
    let answer = request(server.port, "POST", "/run", &headers, b"").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(
        answer
            .body
            .contains("another session holds the pass's lock")
    );
    assert!(!answer.body.contains(&holder.role) && !answer.body.contains("nightly"));
    let log = server.end().await;
    assert!(log.contains("ERROR") && log.contains(&holder.role), "{log}");

    // A longer limit.
    app.env.insert("OVERLAP_ALARM_AFTER", "7m".to_owned());
    assert_skipped(&app).await;
    app.env.remove("OVERLAP_ALARM_AFTER");

    holder.session.batch_execute("COMMIT").await.unwrap();
    assert_eq!(app.run(noon()).await["outcome"], "completed");
}

#[tokio::test]
async fn every_kind_of_lock_with_that_key_is_found() {
    let app = app_with_pass().await;
    age(&app, 6).await;
    for (take, release) in [
        (
            "SELECT pg_advisory_lock(KEY)",
            "SELECT pg_advisory_unlock(KEY)",
        ),
        (
            "SELECT pg_advisory_lock_shared(KEY)",
            "SELECT pg_advisory_unlock_shared(KEY)",
        ),
        (
            "BEGIN; SELECT pg_advisory_xact_lock_shared(KEY)",
            "ROLLBACK",
        ),
        // Twice by one session.
        (
            "SELECT pg_advisory_lock(KEY), pg_advisory_lock(KEY)",
            "SELECT pg_advisory_unlock_all()",
        ),
    ] {
        let holder = holder(&app, &take.replace("KEY", PASS_LOCK)).await;
        assert_alarm(&app, &[&holder]).await;
        let release = release.replace("KEY", PASS_LOCK);
        holder.session.batch_execute(&release).await.unwrap();
    }
    let shared = format!("SELECT pg_advisory_lock_shared({PASS_LOCK})");
    let (one, other) = (holder(&app, &shared).await, holder(&app, &shared).await);
    assert_alarm(&app, &[&one, &other]).await;
}

#[tokio::test]
async fn locks_with_another_key_or_in_another_database_stop_nothing() {
    let app = app_with_pass().await;
    age(&app, 6).await;
    // The same bits as two halves are another key.
    let halves =
        "SELECT pg_advisory_lock((KEY::bigint >> 32)::int, (KEY::bigint & 4294967295)::int)";
    let _halves = holder(&app, &halves.replace("KEY", PASS_LOCK)).await;
    let other = App::new().await;
    let _elsewhere = holder(&other, &format!("SELECT pg_advisory_lock({PASS_LOCK})")).await;
    assert_eq!(app.run(noon()).await["outcome"], "completed");
}

#[tokio::test]
async fn before_the_first_committed_pass_the_time_counts_from_migrate() {
    let mut app = App::new().await;
    app.env.remove("OVERLAP_ALARM_AFTER");
    let holder = holder(&app, &format!("SELECT pg_advisory_lock({PASS_LOCK})")).await;
    age(&app, 4).await;
    assert_skipped(&app).await;
    age(&app, 6).await;
    // A pass that failed was not committed.
    app.sql(
        "INSERT INTO automation_runs (id, trigger, as_of, outcome) VALUES (gen_random_uuid(), 'cli', now(), 'failed')",
        &[],
    )
    .await;
    assert_alarm(&app, &[&holder]).await;
    // An upgrade a moment ago.
    app.sql(
        "UPDATE booking_automation_migrations SET applied_at = now() WHERE name LIKE '01%'",
        &[],
    )
    .await;
    assert_skipped(&app).await;
}

#[tokio::test]
async fn a_plain_role_names_the_session_too() {
    let mut app = app_of_plain_role(&[]).await;
    app.env.remove("OVERLAP_ALARM_AFTER");
    app.run(noon()).await;
    age(&app, 6).await;
    let admin = connect(&app.url).await;
    let lock = format!("SELECT pg_advisory_lock({PASS_LOCK})");
    admin.batch_execute(&lock).await.unwrap();
    let said = app.call(&["run"]).await;
    assert!(!said.success, "{said:?}");
    assert!(
        said.stderr.contains("role postgres, application_name none"),
        "{}",
        said.stderr
    );
}
