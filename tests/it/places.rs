//! What the support API leaves of the connections to the database.

use chrono::Utc;
use futures_util::future::join_all;
use serde_json::json;
use tokio_postgres::Client;

use crate::app::{App, connect, hours, noon};
use crate::client::Answer;
use crate::http::{Server, hold_advisory_lock, linger_on_updates};
use crate::status::{ask, support};

/// More than there are connections.
const REQUESTS: usize = 8;

/// The owner's function makes everything that only reads wait, until the session is dropped.
async fn hold_readers(app: &App) -> Client {
    app.db
        .batch_execute(
            "CREATE OR REPLACE FUNCTION booking_automation_is_live(booking bookings) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
                 WHILE current_setting('transaction_read_only') = 'on' AND NOT pg_try_advisory_xact_lock_shared(42) LOOP
                     PERFORM pg_sleep(0.01);
                 END LOOP;
                 RETURN true;
             END $$",
        )
        .await
        .unwrap();
    let holder = connect(&app.url).await;
    hold_advisory_lock(&holder, 42).await;
    holder
}

const READER_WAITS: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity
                             WHERE datname = current_database() AND wait_event = 'PgSleep')";

/// Asks for the same so often at once.
async fn ask_often(server: &Server, path: &str) -> Vec<Answer> {
    join_all((0..REQUESTS).map(|_| ask(server, "GET", path, &[], b""))).await
}

#[tokio::test]
async fn previews_that_take_too_long_leave_a_connection_for_the_pass() {
    let mut app = App::new().await;
    app.confirmed(noon() + hours(30)).await;
    let server = support(&mut app, noon()).await;
    let holder = hold_readers(&app).await;
    let pass = async {
        app.wait_until(READER_WAITS).await;
        let answers = join_all((0..3).map(|_| server.run_with_bearer())).await;
        let usual = ask(&server, "GET", "/events", &[], b"").await;
        (answers, usual)
    };
    let (previews, (passes, usual)) = tokio::join!(ask_often(&server, "/preview?for=7d"), pass);
    for answer in passes {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(
        usual.status, 200,
        "a large request leaves a place: {usual:?}"
    );
    for preview in previews {
        assert_eq!(
            (preview.status, preview.header("retry-after")),
            (503, "10"),
            "{preview:?}"
        );
        let problem = preview.json();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("ask for less"), "{detail}");
    }
    drop(holder);
    let preview = ask(&server, "GET", "/preview?for=7d", &[], b"").await;
    assert_eq!(preview.status, 200, "{preview:?}");
    let log = server.end().await;
    assert!(!log.contains("ERROR"), "{log}");
}

#[tokio::test]
async fn slow_usual_requests_leave_a_connection_for_the_pass() {
    let mut app = App::new().await;
    let booking = app.confirmed(noon() + hours(30)).await;
    let server = support(&mut app, noon()).await;
    let holder = hold_readers(&app).await;
    let path = format!("/bookings/{booking}/timeline");
    let pass = async {
        app.wait_until(READER_WAITS).await;
        let answers = join_all((0..3).map(|_| server.run_with_bearer())).await;
        drop(holder);
        answers
    };
    let (timelines, passes) = tokio::join!(ask_often(&server, &path), pass);
    for answer in passes {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for timeline in timelines {
        assert_eq!(timeline.status, 200, "{timeline:?}");
    }
}

#[tokio::test]
async fn slow_status_changes_leave_a_connection_for_the_pass() {
    let mut app = App::new().await;
    for _ in 0..REQUESTS {
        // The pass, by the real clock, has nothing to do.
        app.confirmed(Utc::now() + hours(48)).await;
    }
    let server = support(&mut app, noon()).await;
    linger_on_updates(&app).await;
    let holder = connect(&app.url).await;
    hold_advisory_lock(&holder, 42).await;
    let ids = app.column("SELECT id::text FROM bookings", &[]).await;
    let body = json!({"to": "cancelled", "actor": {"role": "admin"}}).to_string();
    let cancel = async |id: &String| {
        let path = format!("/bookings/{id}/status");
        ask(&server, "POST", &path, &[], body.as_bytes()).await
    };
    let pass = async {
        app.wait_until(READER_WAITS).await;
        let answer = server.run_with_bearer().await;
        drop(holder);
        answer
    };
    let (cancelled, pass) = tokio::join!(join_all(ids.iter().map(cancel)), pass);
    assert_eq!(pass.status, 200, "{pass:?}");
    for answer in cancelled {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}
