//! The database's clock steps: nothing waits longer than it was meant to, no lease is taken as over, and nothing is
//! lost or sent twice without a record.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use crate::app::{App, hours, noon};
use crate::cluster::OwnCluster;
use crate::endpoint::Endpoint;
use crate::http::Server;
use crate::proxy::{Cut, Proxy};
use crate::ses::Answer;
use crate::webhooks::subscribe;

/// An event of ours that waits, as if the clock had been an hour ahead when it was written.
async fn wait_an_hour_too_long(app: &App) {
    app.db
        .batch_execute(
            "UPDATE booking_automation_events
                SET next_attempt_at = next_attempt_at + interval '1 hour', lease_until = lease_until + interval '1 hour';
             UPDATE booking_automation_channels SET next_at = now() + interval '1 hour';
             UPDATE automation_runs SET created_at = created_at + interval '1 hour'",
        )
        .await
        .unwrap();
}

/// For how many seconds an event waits yet.
async fn seconds_left(app: &App, id: Uuid) -> f64 {
    let sql = "SELECT coalesce(extract(epoch FROM max(next_attempt_at) - clock_timestamp()), 0)::float8
                 FROM booking_automation_events WHERE booking_id = $1 AND status IN ('pending', 'sending')";
    app.one(sql, &[&id]).await.get(0)
}

#[tokio::test]
async fn after_a_step_back_a_message_waits_no_longer_than_its_back_off() {
    let app = App::new().await;
    let (retried, untried) = (
        app.confirmed(noon() + hours(24)).await,
        app.confirmed(noon() + hours(24)).await,
    );
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slower"));
    app.run(noon()).await;
    app.sql(
        "UPDATE booking_automation_events SET attempts = 0, reason = NULL WHERE booking_id = $1",
        &[&untried],
    )
    .await;
    app.ses.answer(|_| Answer::Sent);
    app.ses.clear();
    wait_an_hour_too_long(&app).await;
    let output = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert!(
        output.stderr.contains("it was set back"),
        "{}",
        output.stderr
    );
    // Two seconds of the channel, not an hour.
    assert_eq!(app.reminders(untried).await, ["24h completed"]);
    let left = seconds_left(&app, retried).await;
    assert!((1.0..=90.0).contains(&left), "{left}");
    let next_at = "SELECT next_at < now() + interval '3 seconds' FROM booking_automation_channels WHERE channel = 'email'";
    assert!(app.one(next_at, &[]).await.get::<_, bool>(0));
}

#[tokio::test]
async fn after_a_step_back_a_lease_is_cut_and_not_over() {
    let app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    let (release, held) = tokio::sync::watch::channel(false);
    app.ses
        .answer(move |_| Answer::Held(held.clone(), Box::new(Answer::Sent)));
    let at_noon = noon().to_rfc3339();
    let call = ["run", "--for", "40s", "--as-of", &at_noon];
    let other = async {
        app.wait_until(
            "SELECT EXISTS (SELECT FROM booking_automation_events WHERE status = 'sending')",
        )
        .await;
        wait_an_hour_too_long(&app).await;
        app.run(noon()).await;
        let left = seconds_left(&app, id).await;
        assert!((30.0..=45.0).contains(&left), "{left}");
        release.send(true).unwrap();
    };
    let (first, ()) = tokio::join!(app.call(&call), other);
    assert_eq!(first.summary()["reminders"]["sent"], 1);
    assert_eq!(app.reminders(id).await, ["24h completed"]);
    assert_eq!(app.ses.mails().len(), 1);
}

#[tokio::test]
async fn after_a_step_back_a_webhook_waits_no_longer_than_its_setting_says() {
    let mut app = App::new().await;
    let endpoint = Endpoint::start().await;
    app.env
        .insert("WEBHOOK_ALLOW_PRIVATE", "127.0.0.1".to_owned());
    app.env.insert("WEBHOOK_RETRY_AFTER", "20s,70s".to_owned());
    subscribe(&app, &endpoint.url(), &["cancelled"]).await;
    endpoint.answer(|_| crate::endpoint::Answer::Status(500));
    let id = app.booking("pending", noon() + hours(200)).await;
    app.sql(
        "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
        &[&id],
    )
    .await;
    app.run(noon()).await;
    wait_an_hour_too_long(&app).await;
    app.run(noon()).await;
    let left = seconds_left(&app, id).await;
    assert!((1.0..=20.0).contains(&left), "{left}");
}

#[tokio::test]
async fn after_a_step_back_a_caller_waits_a_minute_at_most() {
    let mut app = App::new().await;
    app.env.insert("RATE_LIMIT", "2".to_owned());
    app.env
        .insert("CRON_SECRET", "a-secret-of-the-tests".to_owned());
    let server = Server::start(&app, &[]).await;
    let run = async || {
        let bearer = [("Authorization", b"Bearer a-secret-of-the-tests".as_slice())];
        crate::client::request(server.port, "POST", "/run", &bearer, b"").await
    };
    assert_eq!(run().await.status, 200);
    app.sql(
        "UPDATE booking_automation_callers SET next_at = next_at + interval '1 hour'",
        &[],
    )
    .await;
    assert_eq!(run().await.status, 200);
    // The minute is used up, as if all calls of the last one had counted.
    let refused = run().await;
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_refusal_that_lies_ahead_sets_no_booking_aside() {
    let app = App::new().await;
    let id = app.confirmed(noon()).await;
    let refused = "INSERT INTO booking_automation_events (booking_id, event_type, event_data, scheduled_at, executed_at, status, next_attempt_at)
                   VALUES ($1, 'status_update', '{\"from\": \"confirmed\", \"to\": \"in_progress\"}', $2, $2, 'failed', $2::timestamptz + interval '1 minute')";
    app.sql(refused, &[&id, &(noon() + hours(1))]).await;
    app.run(noon()).await;
    assert_eq!(app.status(id).await, "in_progress");
}

/// Sent mails by event.
fn sent(app: &App) -> BTreeMap<String, usize> {
    let mut sent = BTreeMap::new();
    for mail in app.ses.mails() {
        *sent.entry(mail.event_id().to_owned()).or_default() += 1;
    }
    sent
}

/// Steps the clock by so many seconds at the BEGIN or COMMIT with this number of a call that sends three mails, and
/// judges after three more calls. Returns whether the call came so far.
async fn step_within_a_call(cluster: &OwnCluster, seconds: i64, number: u64) -> bool {
    cluster.step_clock(0);
    let mut app = App::migrate_and_open(&cluster.another_database().await).await;
    app.sql("RESET booking_automation.as_of", &[]).await;
    app.sql(
        "UPDATE reminder_rules SET effective_from = now() - interval '2 days'",
        &[],
    )
    .await;
    for _ in 0..3 {
        let sql = "INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, created_at)
                   VALUES ($1, $2, $3, 'confirmed', now() + interval '22 hours', 60, now() - interval '3 days')";
        app.sql(sql, &[&app.customer, &app.provider, &app.service])
            .await;
    }
    let direct = app.env["DATABASE_URL"].clone();
    let proxy = Proxy::start_cutting_at(&direct, Cut::Hold, number).await;
    app.env.insert("DATABASE_URL", proxy.url.clone());
    let stepped = async {
        while !proxy.was_cut() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        cluster.step_clock(seconds);
        proxy.release();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = app.call(&["run", "--for", "20s"]) => {}
        () = stepped => {}
    }
    let was_held = proxy.was_cut();
    if !was_held {
        return false;
    }
    app.env.insert("DATABASE_URL", direct);
    // Three ticks: a lease or a back-off has passed before the last.
    let mut log = String::new();
    for tick in 0..3 {
        cluster.step_clock(seconds + tick * 60);
        log += &app.call(&["run", "--for", "20s"]).await.stderr;
    }
    let what = format!("{seconds:+} s at {number}: {log}");
    assert!(
        log.contains("the clocks of the database and of this machine differ"),
        "{what}"
    );
    judge(&app, &what).await;
    true
}

/// Every reminder was sent, and more than once only for recorded doubts.
async fn judge(app: &App, what: &str) {
    let sql = "SELECT jsonb_build_object('id', id, 'status', status, 'doubts',
                      (SELECT count(*) FROM jsonb_array_elements(event_data -> 'attempts') AS a WHERE a ->> 'outcome' = 'unknown'))::text
                 FROM booking_automation_events WHERE event_type = 'reminder_sent' AND rule = '24h'";
    let events = app.column(sql, &[]).await;
    assert_eq!(events.len(), 3, "{what}");
    let sent = sent(app);
    for event in events {
        let event: Value = serde_json::from_str(&event).unwrap();
        let mails = sent
            .get(event["id"].as_str().unwrap())
            .copied()
            .unwrap_or(0);
        assert_eq!(event["status"], "completed", "{what}: {event}");
        let doubts = usize::try_from(event["doubts"].as_u64().unwrap()).unwrap();
        assert!((1..=1 + doubts).contains(&mails), "{what}: {event} {mails}");
    }
}

#[tokio::test]
async fn a_step_of_the_clock_at_any_point_of_a_call_loses_and_doubles_nothing() {
    let step_everywhere = async |seconds| {
        let Some(cluster) = OwnCluster::start_with_clock().await else {
            return;
        };
        let mut number = 1;
        while step_within_a_call(&cluster, seconds, number).await {
            number += 1;
        }
        // The transactions of the pass, the mark, the claim, the record, the summary, the flags, the duration.
        assert!((10..20).contains(&number), "{number}");
    };
    tokio::join!(step_everywhere(-3600), step_everywhere(3600));
}
