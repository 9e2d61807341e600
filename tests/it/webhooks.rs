//! Outgoing webhooks: each subscription gets each event once, and no other address is called.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use booking_automation::channels::webhook::egress::{Egress, EgressError, Resolver, is_public};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, CommandOutput, connect, hours, minutes, noon, skipped};
use crate::client::{signature, unix_time};
use crate::cluster::{certificates, cluster};
use crate::endpoint::{Answer, Endpoint, Received};
use crate::guarantees::{can_read_plans, enable_plan_logging, plans_of_call};
use crate::others::find;
use crate::proxy::{Cut, Proxy};
use crate::status::{ask, support};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ALL: [&str; 6] = [
    "started",
    "completed",
    "expired",
    "cancelled",
    "rescheduled",
    "reminder_sent",
];

/// An app that may call webhooks on this machine.
async fn app_with_local_webhooks() -> App {
    let mut app = App::new().await;
    app.env
        .insert("WEBHOOK_ALLOW_PRIVATE", "127.0.0.1, localhost".to_owned());
    app
}

/// Creates a subscription to these kinds.
pub async fn subscribe(app: &App, url: &str, kinds: &[&str]) -> Uuid {
    let sql = "INSERT INTO booking_automation_webhooks (url, kinds, secret) VALUES ($1, $2, $3) RETURNING id";
    app.one(sql, &[&url, &kinds, &SECRET]).await.get(0)
}

/// Creates and cancels bookings, each of which causes a message.
async fn cancel_bookings(app: &App, count: usize) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let id = app.booking("pending", noon() + hours(200)).await;
        app.sql(
            "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
            &[&id],
        )
        .await;
        ids.push(id);
    }
    ids
}

/// The messages of a subscription in order: `status attempts reason`.
async fn message_states(app: &App, webhook: Uuid) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', status, attempts, reason) FROM booking_automation_events
                WHERE event_type = 'webhook' AND audience = $1 ORDER BY seq";
    app.column(sql, &[&webhook.to_string()]).await
}

async fn failing_and_suspended(app: &App, webhook: Uuid) -> (bool, bool) {
    let sql = "SELECT failing_since IS NOT NULL, suspended_at IS NOT NULL FROM booking_automation_webhooks WHERE id = $1";
    let row = app.one(sql, &[&webhook]).await;
    (row.get(0), row.get(1))
}

/// Asserts a current signature of the body with this secret.
fn assert_signed(received: &Received, secret: &str) {
    let timestamp = &received.headers["webhook-timestamp"];
    let expected = signature(
        secret,
        received.id().as_bytes(),
        timestamp.as_bytes(),
        received.body.as_bytes(),
    );
    assert_eq!(received.headers["webhook-signature"], expected);
    assert!(
        timestamp.parse::<u64>().unwrap().abs_diff(unix_time()) < 200,
        "{timestamp}"
    );
}

/// Bookings with one change of each kind.
struct ChangedBookings {
    /// The pass starts and completes it.
    done: Uuid,
    /// The pass expires it.
    lost: Uuid,
    /// The pass reminds its customer.
    reminded: Uuid,
    /// The user's backend moves and cancels it.
    moved: Uuid,
}

impl ChangedBookings {
    /// Creates them. The backend has no privileges on our tables; it also writes what no message
    /// follows from.
    async fn create(app: &App) -> Self {
        let done = app.confirmed(noon() - hours(2)).await;
        let lost = app.booking("in_progress", noon() - hours(100)).await;
        let reminded = app.confirmed(noon() + hours(24)).await;
        let moved = app.booking("pending", noon() + hours(300)).await;
        let backend = app.backend_role().await;
        let move_to = "UPDATE bookings SET scheduled_at = $2 WHERE id = $1";
        backend
            .execute(move_to, &[&moved, &(noon() + hours(301))])
            .await
            .unwrap();
        backend
            .execute(
                "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
                &[&moved],
            )
            .await
            .unwrap();
        // A cancelled booking that moves, and writes that change nothing.
        backend
            .execute(move_to, &[&moved, &(noon() + hours(302))])
            .await
            .unwrap();
        backend
            .execute(
                "UPDATE bookings SET location = 'elsewhere', status = status",
                &[],
            )
            .await
            .unwrap();
        Self {
            done,
            lost,
            reminded,
            moved,
        }
    }
}

/// The kind and the booking of each message that an endpoint received.
fn received_kinds(endpoint: &Endpoint) -> BTreeSet<(String, String)> {
    let received = endpoint.received();
    received
        .iter()
        .map(|one| {
            (
                one.kind(),
                one.json()["data"]["booking_id"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            )
        })
        .collect()
}

fn kinds(expected: &[(&str, Uuid)]) -> BTreeSet<(String, String)> {
    expected
        .iter()
        .map(|(kind, id)| (format!("booking.{kind}"), id.to_string()))
        .collect()
}

fn message_of_kind(endpoint: &Endpoint, kind: &str) -> Received {
    let received = endpoint.received();
    received
        .into_iter()
        .find(|received| received.kind() == format!("booking.{kind}"))
        .unwrap()
}

#[tokio::test]
async fn each_subscription_gets_its_kinds_of_events_from_every_source() {
    let app = app_with_local_webhooks().await;
    let (everything, some, other) = (
        Endpoint::start().await,
        Endpoint::start().await,
        Endpoint::start().await,
    );
    let subscription = subscribe(&app, &everything.url(), &ALL).await;
    subscribe(&app, &some.url(), &["completed", "cancelled"]).await;
    let off = subscribe(&app, &other.url(), &ALL).await;
    app.sql(
        "UPDATE booking_automation_webhooks SET is_active = false WHERE id = $1",
        &[&off],
    )
    .await;
    let bookings = ChangedBookings::create(&app).await;

    // The message about a reminder may wait for the next call.
    let (first, second) = (app.run(noon()).await, app.run(noon() + minutes(1)).await);
    let sent: i64 = [&first, &second]
        .iter()
        .filter_map(|summary| summary["webhooks"]["sent"].as_i64())
        .sum();
    assert_eq!(sent, 8, "{first} {second}");
    let figures = ["retrying", "failed", "skipped", "deferred"]
        .map(|figure| first["webhooks"][figure].as_i64().unwrap());
    assert_eq!(
        (figures, &first["webhooks"]["due"]),
        ([0; 4], &first["webhooks"]["sent"])
    );
    assert!(
        app.run(noon() + minutes(2)).await.get("webhooks").is_none(),
        "no message was due"
    );

    let ChangedBookings {
        done,
        lost,
        reminded,
        moved,
    } = bookings;
    let all = kinds(&[
        ("started", done),
        ("completed", done),
        ("expired", lost),
        ("rescheduled", moved),
        ("cancelled", moved),
        ("reminder_sent", reminded),
    ]);
    assert_eq!(
        (received_kinds(&everything), everything.received().len()),
        (all, 6)
    );
    let two = kinds(&[("completed", done), ("cancelled", moved)]);
    assert_eq!((received_kinds(&some), some.received().len()), (two, 2));
    assert_eq!(other.connections(), 0);
    assert_eq!(
        failing_and_suspended(&app, subscription).await,
        (false, false)
    );

    for received in everything.received() {
        assert_form_without_personal_data(&received);
    }
    assert_bodies(&app, &everything, &bookings).await;
    assert_event_ids(&app, &everything, &bookings).await;
    // Each subscription gets the same id.
    let id = message_of_kind(&everything, "cancelled").id().to_owned();
    assert!(some.received().iter().any(|received| received.id() == id));
}

fn assert_form_without_personal_data(received: &Received) {
    assert_signed(received, SECRET);
    assert_eq!(received.line, "POST /hook HTTP/1.1");
    assert_eq!(received.headers["content-type"], "application/json");
    for secret in ["carla@", "petra@", "Carla", "Ringstra", "whsec"] {
        assert!(!received.body.contains(secret), "{}", received.body);
    }
}

async fn assert_bodies(app: &App, endpoint: &Endpoint, bookings: &ChangedBookings) {
    let ChangedBookings {
        done,
        reminded,
        moved,
        ..
    } = bookings;
    let by = "SELECT event_data ->> 'by' FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'status_update'";
    let by: String = app.one(by, &[moved]).await.get(0);
    assert_eq!(
        message_of_kind(endpoint, "completed").json(),
        json!({"type": "booking.completed", "timestamp": "2026-03-01T12:00:00.000000Z",
               "data": {"booking_id": done, "from": "in_progress", "to": "completed", "by": "booking-automation"}})
    );
    assert_eq!(
        message_of_kind(endpoint, "rescheduled").json()["data"],
        json!({"booking_id": moved, "from": "2026-03-14T00:00:00.000000Z", "to": "2026-03-14T01:00:00.000000Z", "by": by})
    );
    assert_eq!(
        message_of_kind(endpoint, "reminder_sent").json()["data"],
        json!({"booking_id": reminded, "rule": "24h", "audience": "customer", "channel": "email",
               "starts_at": "2026-03-02T12:00:00.000000Z"})
    );
}

/// The id of a message is the id of its event.
async fn assert_event_ids(app: &App, endpoint: &Endpoint, bookings: &ChangedBookings) {
    for (kind, id, event_type) in [
        ("cancelled", bookings.moved, "status_update"),
        ("rescheduled", bookings.moved, "rescheduled"),
        ("reminder_sent", bookings.reminded, "reminder_sent"),
    ] {
        // The booking was moved once more when it was cancelled: no message follows from that.
        let sql = "SELECT id::text FROM booking_automation_events
                    WHERE booking_id = $1 AND event_type = $2 ORDER BY seq LIMIT 1";
        assert_eq!(
            app.column(sql, &[&id, &event_type]).await,
            [message_of_kind(endpoint, kind).id()]
        );
    }
}

/// Verifies messages with the library of the specification's authors.
const VERIFY: &str = "
import json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
for line in sys.stdin:
    asked = json.loads(line)
    try:
        Webhook(asked['secret']).verify(asked['body'].encode(), asked['headers'])
        print('verified')
    except WebhookVerificationError:
        print('refused')";

#[tokio::test]
async fn messages_are_verified_by_the_standard_webhooks_library() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    subscribe(&app, &endpoint.url(), &ALL).await;
    app.confirmed(noon() - hours(2)).await;
    app.confirmed(noon() + hours(24)).await;
    cancel_bookings(&app, 1).await;
    app.run(noon()).await;
    app.run(noon() + minutes(1)).await;
    let received = endpoint.received();
    assert_eq!(received.len(), 4);

    let Some(python) = find("python", &["target/judges/bin"]) else {
        return skipped("the Standard Webhooks library is not installed (make judges)");
    };
    let ask = |secret: &str, headers: Value, body: &str| {
        json!({"secret": secret, "headers": headers, "body": body}).to_string()
    };
    let mut asked = Vec::new();
    for one in &received {
        let mut others = json!(one.headers);
        others["webhook-id"] = json!(Uuid::new_v4());
        asked.push(ask(SECRET, json!(one.headers), &one.body));
        asked.push(ask(
            SECRET,
            json!(one.headers),
            &one.body.replace("booking.", "booking.."),
        ));
        asked.push(ask(SECRET, others, &one.body));
        asked.push(ask(
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            json!(one.headers),
            &one.body,
        ));
    }
    let mut process = std::process::Command::new(python)
        .args(["-c", VERIFY])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Without the library the process ends before it reads.
    let _ = process
        .stdin
        .take()
        .unwrap()
        .write_all(asked.join("\n").as_bytes());
    let output = process.wait_with_output().unwrap();
    if String::from_utf8_lossy(&output.stderr).contains("ModuleNotFoundError") {
        return skipped("the Standard Webhooks library is not installed (make judges)");
    }
    let said = String::from_utf8(output.stdout).unwrap();
    let expected = ["verified", "refused", "refused", "refused"].repeat(received.len());
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        expected,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn a_rolled_back_change_sends_nothing_and_a_bulk_change_one_message_each() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    for kinds in [&["cancelled"][..], &["cancelled", "cancelled", "started"]] {
        subscribe(&app, &endpoint.url(), kinds).await;
    }
    app.sql(
        "INSERT INTO bookings (customer_id, status, scheduled_at) SELECT $1, 'pending', $2 FROM generate_series(1, 3000)",
        &[&app.customer, &(noon() + hours(500))],
    )
    .await;
    let backend = app.backend_role().await;
    let count =
        "SELECT count(*), count(DISTINCT (message_id, audience)), count(DISTINCT booking_id)
                   FROM booking_automation_events WHERE event_type = 'webhook'";
    backend
        .batch_execute("BEGIN; UPDATE bookings SET status = 'cancelled'; ROLLBACK")
        .await
        .unwrap();
    assert_eq!(app.one(count, &[]).await.get::<_, i64>(0), 0);
    assert_eq!(
        backend
            .execute("UPDATE bookings SET status = 'cancelled'", &[])
            .await
            .unwrap(),
        3000
    );
    let row = app.one(count, &[]).await;
    assert_eq!(
        (
            row.get::<_, i64>(0),
            row.get::<_, i64>(1),
            row.get::<_, i64>(2)
        ),
        (6000, 6000, 3000)
    );

    // Webhook messages do not count as reminders.
    endpoint.answer(|_| Answer::Status(500));
    app.run(noon()).await;
    let waiting = app.run(noon() + minutes(1)).await;
    assert_eq!(
        waiting["backlog"],
        json!({"pending": 0, "oldest_due_at": null})
    );
    assert_eq!(waiting["reminders"]["deferred"], 0);
}

#[tokio::test]
async fn a_refused_status_change_sends_no_message() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    subscribe(&app, &endpoint.url(), &ALL).await;
    let refused = app.confirmed(noon() - minutes(1)).await;
    app.db
        .batch_execute(&format!(
            "ALTER TABLE bookings ADD CHECK (id <> '{refused}' OR status <> 'in_progress') NOT VALID"
        ))
        .await
        .unwrap();
    app.confirmed(noon() - minutes(1)).await;
    assert_eq!(app.run(noon()).await["webhooks"]["sent"], 1);
    assert_ne!(
        endpoint.received()[0].json()["data"]["booking_id"],
        json!(refused)
    );
}

#[tokio::test]
async fn a_move_changed_by_a_trigger_sends_one_message_with_the_final_start() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    subscribe(&app, &endpoint.url(), &["rescheduled"]).await;
    let id = app.booking("pending", noon() + hours(200)).await;
    app.db
        .batch_execute(
            "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN UPDATE bookings SET scheduled_at = date_trunc('hour', scheduled_at) + interval '1 hour' WHERE id = NEW.id; RETURN NULL; END $$;
             CREATE TRIGGER theirs AFTER UPDATE OF scheduled_at ON bookings FOR EACH ROW
                WHEN (NEW.scheduled_at <> date_trunc('hour', NEW.scheduled_at)) EXECUTE FUNCTION theirs()",
        )
        .await
        .unwrap();
    let start = noon() + hours(201) + minutes(20);
    app.sql(
        "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
        &[&id, &start],
    )
    .await;
    assert_eq!(app.run(noon()).await["webhooks"]["sent"], 1);
    let told: DateTime<Utc> = endpoint.received()[0].json()["data"]["to"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(told, noon() + hours(202));
    // The trail has both moves. The message has the id of the one that it reports.
    let moves = "SELECT concat_ws(' ', event_data ->> 'to', id = $2::text::uuid) FROM booking_automation_events
                  WHERE booking_id = $1 AND event_type = 'rescheduled' ORDER BY 1";
    assert_eq!(
        app.column(moves, &[&id, &endpoint.received()[0].id()])
            .await,
        [
            "2026-03-09T21:20:00.000000Z f",
            "2026-03-09T22:00:00.000000Z t"
        ]
    );
}

#[tokio::test]
async fn moves_to_and_fro_within_one_statement_send_each_message_once() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    subscribe(&app, &endpoint.url(), &["rescheduled"]).await;
    let id = app.booking("pending", noon() + hours(200)).await;
    // Its name is between those of our triggers: the same move is made twice before the first is reported.
    app.db
        .batch_execute(
            "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF pg_trigger_depth() = 1 THEN
                     UPDATE bookings SET scheduled_at = scheduled_at - interval '1 hour';
                     UPDATE bookings SET scheduled_at = scheduled_at + interval '1 hour';
                 END IF;
                 RETURN NULL;
             END $$;
             CREATE TRIGGER booking_automation_p AFTER UPDATE ON bookings FOR EACH STATEMENT EXECUTE FUNCTION theirs()",
        )
        .await
        .unwrap();
    app.sql(
        "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 hour' WHERE id = $1",
        &[&id],
    )
    .await;
    let summary = app.run(noon()).await;
    let ids: BTreeSet<_> = endpoint
        .received()
        .iter()
        .map(|one| one.id().to_owned())
        .collect();
    assert_eq!(
        (&summary["webhooks"]["sent"], ids.len()),
        (&json!(2), 2),
        "{summary}"
    );
}

#[tokio::test]
async fn a_refused_message_is_retried_for_a_day_with_the_same_id_and_body() {
    let mut app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    endpoint.answer(|_| Answer::Status(503));
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    let id = cancel_bookings(&app, 1).await[0];
    let mut waits = Vec::new();
    for attempt in 1..=9 {
        let summary = app.run(noon()).await;
        assert_eq!(
            (
                &summary["webhooks"]["retrying"],
                &summary["webhooks"]["failed"]
            ),
            (&json!(1), &json!(0))
        );
        assert_eq!(
            message_states(&app, webhook).await,
            [format!("pending {attempt} refused")]
        );
        waits.push(minutes_until_retry(&app).await);
        assert!(
            app.run(noon()).await.get("webhooks").is_none(),
            "not before its time"
        );
        app.make_claimable().await;
    }
    assert_eq!(waits, [1, 5, 15, 60, 120, 240, 360, 360, 360]);
    let summary = app.run(noon()).await;
    assert_eq!(
        (
            &summary["webhooks"]["retrying"],
            &summary["webhooks"]["failed"]
        ),
        (&json!(0), &json!(1))
    );
    assert_eq!(message_states(&app, webhook).await, ["failed 10 refused"]);
    app.make_claimable().await;
    app.run(noon()).await;
    let received = endpoint.received();
    assert_eq!(received.len(), 10);
    for one in &received {
        assert_eq!((one.id(), &one.body), (received[0].id(), &received[0].body));
        assert_signed(one, SECRET);
    }

    let entry = webhook_entry_of_timeline(&mut app, id).await;
    assert_eq!(
        entry["text"],
        format!(
            "The booking.cancelled message to webhook {webhook} failed permanently: the endpoint did not accept it."
        )
    );
    assert_eq!(
        (&entry["webhook_id"], &entry["about"]),
        (&json!(webhook), &json!("cancelled"))
    );
    assert_eq!(
        (&entry["status"], &entry["message_id"]),
        (&json!("failed"), &json!(received[0].id()))
    );
    assert_eq!(
        (
            entry["attempts"].as_array().unwrap().len(),
            &entry["attempts"][0]["error"]
        ),
        (10, &json!("HTTP 503"))
    );
}

/// How long the only webhook message waits for its next attempt.
async fn minutes_until_retry(app: &App) -> i64 {
    let wait = "SELECT round(extract(epoch FROM next_attempt_at - clock_timestamp()) / 60)::int8
                  FROM booking_automation_events WHERE event_type = 'webhook'";
    app.one(wait, &[]).await.get(0)
}

/// The entry of a booking's timeline about its webhook message.
async fn webhook_entry_of_timeline(app: &mut App, booking: Uuid) -> Value {
    let server = support(app, noon()).await;
    let timeline = ask(
        &server,
        "GET",
        &format!("/bookings/{booking}/timeline"),
        &[],
        b"",
    )
    .await
    .json();
    let mut happened = timeline["happened"].as_array().unwrap().iter();
    happened
        .find(|entry| entry["kind"] == "webhook")
        .unwrap()
        .clone()
}

#[tokio::test]
async fn an_endpoint_that_fails_for_a_day_is_suspended_until_it_is_resumed() {
    let mut app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    endpoint.answer(|_| Answer::Status(500));
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    let other = subscribe(&app, &endpoint.url(), &["expired"]).await;
    let ids = cancel_bookings(&app, 3).await;
    run_at_noon(&app).await;
    assert_eq!(failing_and_suspended(&app, webhook).await, (true, false));
    assert_eq!(failing_and_suspended(&app, other).await, (false, false));
    assert_eq!(endpoint.received().len(), 3);

    // A failing endpoint gets one message a call. After 24 hours of failures it is suspended.
    let output = run_after_failing_for(&app, hours(24) - minutes(1)).await;
    assert_eq!(
        (
            failing_and_suspended(&app, webhook).await,
            endpoint.received().len()
        ),
        ((true, false), 4)
    );
    assert!(!output.stderr.contains("suspended"), "{}", output.stderr);
    let output = run_after_failing_for(&app, hours(24) + minutes(1)).await;
    assert_eq!(
        (
            failing_and_suspended(&app, webhook).await,
            endpoint.received().len()
        ),
        ((true, true), 5)
    );
    assert!(
        output.stderr.contains("WARN") && output.stderr.contains("suspended"),
        "{}",
        output.stderr
    );
    assert!(
        output.stderr.contains(&webhook.to_string()),
        "{}",
        output.stderr
    );
    assert!(
        !output.stderr.contains(&endpoint.url()),
        "{}",
        output.stderr
    );
    assert_suspension_ends_pending_messages(&mut app, webhook, ids[0]).await;

    endpoint.clear();
    endpoint.answer(|_| Answer::Status(200));
    app.sql(
        "UPDATE booking_automation_webhooks SET suspended_at = NULL",
        &[],
    )
    .await;
    assert_eq!(failing_and_suspended(&app, webhook).await, (false, false));
    cancel_bookings(&app, 2).await;
    assert_eq!(app.run(noon()).await["webhooks"]["sent"], 2);
    assert_eq!(
        (
            failing_and_suspended(&app, webhook).await,
            endpoint.received().len()
        ),
        ((false, false), 2)
    );
}

/// The pending messages of a suspended endpoint end, and new events are not queued.
async fn assert_suspension_ends_pending_messages(app: &mut App, webhook: Uuid, booking: Uuid) {
    cancel_bookings(app, 1).await;
    app.make_claimable().await;
    assert_eq!(run_at_noon(app).await.summary()["webhooks"]["skipped"], 3);
    let ended = message_states(app, webhook).await;
    assert_eq!(ended.len(), 3, "{ended:?}");
    assert!(
        ended
            .iter()
            .all(|one| one.starts_with("skipped") && one.ends_with("suspended")),
        "{ended:?}"
    );
    let entry = webhook_entry_of_timeline(app, booking).await.to_string();
    assert!(
        entry.contains("was not sent: the subscription is suspended"),
        "{entry}"
    );
}

async fn run_at_noon(app: &App) -> CommandOutput {
    app.call(&["run", "--as-of", &noon().to_rfc3339()]).await
}

/// Runs as if every endpoint had failed for so long and every message were due.
async fn run_after_failing_for(app: &App, time: chrono::Duration) -> CommandOutput {
    let sql =
        "UPDATE booking_automation_webhooks SET failing_since = now() - $1 * interval '1 minute'";
    app.sql(sql, &[&(time.num_minutes() as f64)]).await;
    app.make_claimable().await;
    run_at_noon(app).await
}

#[tokio::test]
async fn an_endpoint_that_answers_410_is_suspended_at_once() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    endpoint.answer(|_| Answer::Status(410));
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    cancel_bookings(&app, 1).await;
    app.run(noon()).await;
    assert_eq!(failing_and_suspended(&app, webhook).await, (true, true));
    app.make_claimable().await;
    app.run(noon()).await;
    assert_eq!(message_states(&app, webhook).await, ["skipped 1 suspended"]);
    assert_eq!(endpoint.received().len(), 1);
}

#[tokio::test]
async fn a_refused_message_does_not_block_the_others() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    let poison = cancel_bookings(&app, 1).await[0].to_string();
    endpoint.answer(move |received| {
        Answer::Status(if received.body.contains(&poison) {
            422
        } else {
            200
        })
    });
    app.run(noon()).await;
    assert_eq!(failing_and_suspended(&app, webhook).await, (false, false));
    cancel_bookings(&app, 5).await;
    app.make_claimable().await;
    app.run(noon()).await;
    assert_eq!(failing_and_suspended(&app, webhook).await, (false, false));
    let sent = message_states(&app, webhook).await;
    assert_eq!(
        sent.iter().filter(|one| *one == "completed 1").count(),
        5,
        "{sent:?}"
    );
    assert_eq!(sent[0], "pending 2 refused");
}

#[tokio::test]
async fn refused_messages_do_not_suspend_an_endpoint_that_is_there() {
    let app = app_with_local_webhooks().await;
    for (status, is_suspended) in [
        (400, false),
        (404, false),
        (429, false),
        (302, true),
        (500, true),
    ] {
        let endpoint = Endpoint::start().await;
        endpoint.answer(move |_| Answer::Status(status));
        let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
        cancel_bookings(&app, 1).await;
        run_at_noon(&app).await;
        // As the endpoint's other failures, before it was there again.
        run_after_failing_for(&app, hours(25)).await;
        assert_eq!(
            failing_and_suspended(&app, webhook).await,
            (is_suspended, is_suspended),
            "{status}"
        );
        assert_eq!(endpoint.received().len(), 2, "{status}");
        app.sql("DELETE FROM booking_automation_webhooks", &[])
            .await;
        app.make_claimable().await;
        run_at_noon(&app).await;
    }
}

#[tokio::test]
async fn a_kind_that_is_refused_does_not_hold_back_another_one() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    endpoint.answer(|received| {
        Answer::Status(match received.kind().as_str() {
            "booking.cancelled" => 400,
            _ => 200,
        })
    });
    subscribe(&app, &endpoint.url(), &ALL).await;
    // More than two batches of them, and due for longer.
    cancel_bookings(&app, 130).await;
    make_due_for_an_hour(&app, 0).await;
    app.confirmed(noon() - hours(2)).await;
    app.run(noon()).await;
    // All are tried once in one call, since an endpoint that answers is there; the kinds take turns.
    let kinds: Vec<_> = endpoint.received().iter().map(|one| one.kind()).collect();
    let count = |kind: &str| kinds.iter().filter(|one| *one == kind).count();
    assert_eq!(
        ["booking.cancelled", "booking.started", "booking.completed"].map(count),
        [130, 1, 1]
    );
    let first = &kinds[..8];
    for kind in ["booking.started", "booking.completed"] {
        assert!(first.contains(&kind.to_owned()), "{kind} in {first:?}");
    }
}

#[tokio::test]
async fn messages_with_fewer_attempts_go_first() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    cancel_bookings(&app, 130).await;
    make_due_for_an_hour(&app, 1).await;
    let new = cancel_bookings(&app, 1).await[0].to_string();
    app.run(noon()).await;
    let received = endpoint.received();
    assert_eq!(received.len(), 131);
    let position = received.iter().position(|one| one.body.contains(&new));
    assert!(position.unwrap() < 8, "{position:?}");
    assert_eq!(message_states(&app, webhook).await.len(), 131);
}

#[tokio::test]
async fn each_kind_tests_an_endpoint_that_fails() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    endpoint.answer(|received| {
        Answer::Status(match received.kind().as_str() {
            "booking.cancelled" => 500,
            _ => 200,
        })
    });
    subscribe(&app, &endpoint.url(), &ALL).await;
    cancel_bookings(&app, 100).await;
    make_due_for_an_hour(&app, 0).await;
    app.run(noon()).await;
    app.confirmed(noon() - hours(2)).await;
    let mut calls = 0;
    // The kind of a test is random, so there is a bound that practically no run reaches.
    while !endpoint
        .received()
        .iter()
        .any(|one| one.kind() == "booking.completed")
    {
        app.run(noon() + minutes(calls)).await;
        calls += 1;
        assert!(calls < 20);
    }
}

#[tokio::test]
async fn a_message_that_another_session_holds_locked_stops_no_test_of_an_endpoint() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    endpoint.answer(|_| Answer::Status(500));
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    cancel_bookings(&app, 1).await;
    app.run(noon()).await;
    assert_eq!(failing_and_suspended(&app, webhook).await, (true, false));
    // One message is tried while the endpoint fails; the longest due is locked.
    cancel_bookings(&app, 2).await;
    make_due_for_an_hour(&app, 0).await;
    let session = connect(&app.url).await;
    session
        .batch_execute(
            "BEGIN; SELECT FROM booking_automation_events WHERE event_type = 'webhook' AND status = 'pending'
                     ORDER BY attempts, next_attempt_at, seq LIMIT 1 FOR UPDATE",
        )
        .await
        .unwrap();
    endpoint.answer(|_| Answer::Status(200));
    app.run(noon()).await;
    assert_eq!(failing_and_suspended(&app, webhook).await, (false, false));
}

/// All messages that wait have been due for an hour, after so many attempts.
async fn make_due_for_an_hour(app: &App, attempts: i32) {
    app.sql(
        "UPDATE booking_automation_events SET attempts = $1, next_attempt_at = now() - interval '1 hour'
          WHERE event_type = 'webhook' AND status = 'pending'",
        &[&attempts],
    )
    .await;
}

#[tokio::test]
async fn the_waits_and_the_suspension_of_webhooks_are_settings() {
    let mut app = app_with_local_webhooks().await;
    app.env.insert("WEBHOOK_RETRY_AFTER", "2m, 3h".to_owned());
    app.env.insert("WEBHOOK_SUSPEND_AFTER", "2h".to_owned());
    let endpoint = Endpoint::start().await;
    endpoint.answer(|_| Answer::Status(500));
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    cancel_bookings(&app, 1).await;
    for wait in [2, 180] {
        app.run(noon()).await;
        assert_eq!(minutes_until_retry(&app).await, wait);
        app.make_claimable().await;
    }
    app.run(noon()).await;
    assert_eq!(message_states(&app, webhook).await, ["failed 3 refused"]);
    assert_eq!(failing_and_suspended(&app, webhook).await, (true, false));
    cancel_bookings(&app, 1).await;
    run_after_failing_for(&app, hours(2) - minutes(1)).await;
    assert_eq!(failing_and_suspended(&app, webhook).await, (true, false));
    run_after_failing_for(&app, hours(2) + minutes(1)).await;
    assert_eq!(failing_and_suspended(&app, webhook).await, (true, true));
}

#[tokio::test]
async fn a_hanging_endpoint_times_out_and_delays_no_other() {
    let mut app = app_with_local_webhooks().await;
    // The timeout of ten seconds becomes one second.
    app.env.insert("TEST_TIME_DIVISOR", "10".to_owned());
    let (hanging, fine) = (Endpoint::start().await, Endpoint::start().await);
    hanging.answer(|_| Answer::Silence);
    let slow = subscribe(&app, &hanging.url(), &["cancelled"]).await;
    subscribe(&app, &fine.url(), &["cancelled"]).await;
    cancel_bookings(&app, 40).await;
    app.confirmed(noon() + hours(24)).await;
    // Not a webhook message: a reminder by another channel.
    let by_another = "INSERT INTO booking_automation_events (booking_id, event_type, rule, audience, channel, status, starts_at, next_attempt_at)
                      VALUES (gen_random_uuid(), 'reminder_sent', '24h', 'customer', 'sms', 'pending', $1, now())";
    app.sql(by_another, &[&(noon() + hours(24))]).await;
    let summary = app.run(noon()).await;
    assert_eq!(summary["reminders"]["sent"], 1);
    // Only the four messages in flight were tried.
    assert_eq!(
        summary["webhooks"],
        json!({"due": 80, "sent": 40, "retrying": 4, "failed": 0, "skipped": 0, "deferred": 36})
    );
    assert_eq!((fine.received().len(), hanging.received().len()), (40, 4));
    assert!(hanging.most_in_flight() <= 4 && fine.most_in_flight() <= 4);
    let ended = message_states(&app, slow).await;
    assert_eq!(
        ended
            .iter()
            .filter(|one| *one == "pending 1 no_answer")
            .count(),
        4,
        "{ended:?}"
    );
    assert_eq!(
        ended.iter().filter(|one| *one == "pending 0").count(),
        36,
        "{ended:?}"
    );
    let of_an_attempt = "SELECT count(*) FROM booking_automation_events
                          WHERE event_type = 'webhook' AND status = 'pending' AND (executed_at IS NOT NULL OR attempts = 0 AND event_data ? 'attempts')";
    assert_eq!(app.one(of_an_attempt, &[]).await.get::<_, i64>(0), 0);

    // The endpoint does not use up the time of a call.
    let summary = app.run(noon() + minutes(1)).await;
    assert_eq!(hanging.received().len(), 5, "{summary}");
    assert!(
        summary["duration_ms"].as_u64().unwrap() < 20_000,
        "{summary}"
    );
}

#[tokio::test]
async fn failing_endpoints_are_called_after_the_others() {
    let mut app = app_with_local_webhooks().await;
    app.env.insert("TEST_TIME_DIVISOR", "10".to_owned());
    let (hanging, fine) = (Endpoint::start().await, Endpoint::start().await);
    hanging.answer(|_| Answer::Silence);
    // As many subscriptions as are dispatched concurrently; their ids are before the other's.
    app.sql(
        "INSERT INTO booking_automation_webhooks (id, url, kinds, secret, failing_since)
         SELECT lpad(n::text, 32, '0')::uuid, $1, ARRAY['cancelled'], $3, now() FROM generate_series(1, 16) AS n
         UNION ALL SELECT lpad('17', 32, '0')::uuid, $2, ARRAY['cancelled'], $3, NULL",
        &[&hanging.url(), &fine.url(), &SECRET],
    )
    .await;
    cancel_bookings(&app, 1).await;
    let mut process = app
        .command(&["run", "--as-of", &noon().to_rfc3339()])
        .spawn()
        .unwrap();
    fine.wait_for_requests(1).await;
    let cut_off = "SELECT id::text FROM booking_automation_events WHERE event_type = 'webhook' AND reason = 'no_answer'";
    assert_eq!(
        app.column(cut_off, &[]).await,
        Vec::<String>::new(),
        "the first hanging request would have timed out before"
    );
    process.kill().await.unwrap();
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let app = app_with_local_webhooks().await;
    let (endpoint, elsewhere) = (Endpoint::start().await, Endpoint::start().await);
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    cancel_bookings(&app, 1).await;
    for (round, status) in [301, 302, 303, 307, 308].into_iter().enumerate() {
        let answer = format!(
            "HTTP/1.1 {status} So\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
            elsewhere.url()
        );
        endpoint.answer(move |_| Answer::Bytes(answer.clone()));
        app.make_claimable().await;
        app.run(noon()).await;
        assert_eq!(
            message_states(&app, webhook).await,
            [format!("pending {} refused", round + 1)]
        );
    }
    assert_eq!((endpoint.received().len(), elsewhere.connections()), (5, 0));
    let error = app
        .column(
            "SELECT error_message FROM booking_automation_events WHERE event_type = 'webhook'",
            &[],
        )
        .await;
    assert_eq!(error, ["HTTP 308"]);
}

#[tokio::test]
async fn response_bodies_are_not_read_and_malformed_responses_are_no_answer() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    endpoint.answer(|_| Answer::Endless);
    cancel_bookings(&app, 1).await;
    app.run(noon()).await;
    assert_eq!(message_states(&app, webhook).await, ["completed 1"]);
    assert!(
        endpoint.bytes_written() < 20_000_000,
        "{} bytes were taken",
        endpoint.bytes_written()
    );

    for (round, bytes) in [
        "".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        "HTTP/1.1 200".to_owned(),
        format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(20_000)),
    ]
    .into_iter()
    .enumerate()
    {
        endpoint.answer(move |_| Answer::Bytes(bytes.clone()));
        cancel_bookings(&app, 1).await;
        app.run(noon()).await;
        assert_eq!(
            message_states(&app, webhook).await.last().unwrap(),
            "pending 1 no_answer",
            "{round}"
        );
    }
}

#[tokio::test]
async fn tls_endpoints_need_a_valid_certificate() {
    let mut app = app_with_local_webhooks().await;
    let (authority, certificate, key) = certificates();
    let endpoint = Endpoint::with_certificate(&certificate, &key).await;
    let webhook = subscribe(&app, &format!("https://localhost:{}/", endpoint.port), &ALL).await;
    // The certificate is for `localhost` alone.
    let other = subscribe(&app, &format!("https://127.0.0.1:{}/", endpoint.port), &ALL).await;
    cancel_bookings(&app, 1).await;
    app.run(noon()).await;
    assert_eq!(
        message_states(&app, webhook).await,
        ["pending 1 no_connection"]
    );

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("authority.pem");
    std::fs::write(&file, authority).unwrap();
    app.env
        .insert("SSL_CERT_FILE", file.to_str().unwrap().to_owned());
    app.make_claimable().await;
    app.run(noon()).await;
    assert_eq!(message_states(&app, webhook).await, ["completed 2"]);
    assert_eq!(
        message_states(&app, other).await,
        ["pending 2 no_connection"]
    );
    assert_eq!(endpoint.received().len(), 1);
    assert_signed(&endpoint.received()[0], SECRET);
}

#[tokio::test]
async fn no_spelling_of_a_loopback_address_is_called() {
    let app = App::new().await;
    let endpoint = Endpoint::start().await;
    let port = endpoint.port;
    let mut webhooks = Vec::new();
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "0.0.0.0",
        "%6cocalhost",
    ] {
        webhooks.push(subscribe(&app, &format!("https://{host}:{port}/"), &ALL).await);
    }
    // Plain HTTP.
    let plain = subscribe(&app, &format!("http://127.0.0.1:{port}/"), &ALL).await;
    cancel_bookings(&app, 1).await;
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert!(said.success);
    for webhook in &webhooks {
        assert_eq!(
            message_states(&app, *webhook).await,
            ["pending 1 forbidden_target"],
            "{}",
            said.stderr
        );
    }
    assert_eq!(
        message_states(&app, plain).await,
        ["pending 1 forbidden_target"]
    );
    assert_eq!(endpoint.connections(), 0);

    // An allowed host is called, the others are not.
    let mut app = app;
    app.env
        .insert("WEBHOOK_ALLOW_PRIVATE", "localhost".to_owned());
    app.sql(
        "UPDATE booking_automation_webhooks SET url = $1 WHERE id = $2",
        &[&format!("http://localhost:{port}/"), &plain],
    )
    .await;
    app.make_claimable().await;
    app.run(noon()).await;
    assert_eq!(message_states(&app, plain).await, ["completed 2"]);
    assert_eq!(
        (endpoint.received().len(), endpoint.connections() >= 1),
        (1, true)
    );
    assert_eq!(
        message_states(&app, webhooks[0]).await,
        ["pending 2 forbidden_target"]
    );
}

/// A resolver that returns these addresses, and its number of calls.
fn resolver_for(addresses: &[&str]) -> (Resolver, Arc<AtomicUsize>) {
    let addresses: Vec<IpAddr> = addresses
        .iter()
        .map(|address| address.parse().unwrap())
        .collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let resolver: Resolver = Arc::new(move |_, port| {
        count.fetch_add(1, Ordering::SeqCst);
        let found = addresses
            .iter()
            .map(|address| SocketAddr::new(*address, port))
            .collect();
        async move { Ok(found) }.boxed()
    });
    (resolver, asked)
}

fn refusal_reason<T: std::fmt::Debug>(
    result: Result<T, Box<dyn std::error::Error + Send + Sync>>,
) -> Option<EgressError> {
    result
        .err()
        .and_then(|error| error.downcast_ref::<EgressError>().copied())
}

#[tokio::test]
async fn every_resolved_address_of_a_host_is_checked() {
    let second = Duration::from_secs(1);
    let uri = "https://hooks.example:8443/path".parse().unwrap();
    for (addresses, refused) in [
        (&["10.0.0.1"][..], true),
        (&["169.254.169.254"], true),
        (&["fe80::1"], true),
        (&["fd00:ec2::254"], true),
        (&["::ffff:169.254.169.254"], true),
        (&["64:ff9b::a9fe:a9fe"], true),
        (&["2002:a9fe:a9fe::1"], true),
        (&["11.0.0.1", "2600::1"], false),
        // One private address of several is enough.
        (&["11.0.0.1", "127.0.0.1"], true),
        (&["127.0.0.1", "11.0.0.1"], true),
        (&["11.0.0.1", "2600::1", "::1"], true),
    ] {
        let (system, asked) = resolver_for(addresses);
        let found = Egress::new(Vec::new(), second)
            .resolving_by(system)
            .allowed_addresses(&uri)
            .await;
        assert_eq!(asked.load(Ordering::SeqCst), 1, "the host is resolved once");
        match refused {
            true => assert_eq!(
                refusal_reason(found),
                Some(EgressError::Private),
                "{addresses:?}"
            ),
            false => {
                let found: Vec<_> = found.unwrap().iter().map(ToString::to_string).collect();
                assert_eq!(found, ["11.0.0.1:8443", "[2600::1]:8443"]);
            }
        }
    }
    // Plain HTTP is refused before resolving; an allowed host may have a private address.
    let (system, asked) = resolver_for(&["10.0.0.1"]);
    let egress = Egress::new(vec!["hooks.internal".to_owned()], second).resolving_by(system);
    assert_eq!(
        refusal_reason(
            egress
                .allowed_addresses(&"http://hooks.example/".parse().unwrap())
                .await
        ),
        Some(EgressError::Plain)
    );
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    let found = egress
        .allowed_addresses(&"http://hooks.INTERNAL/".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(found, ["10.0.0.1:80".parse().unwrap()]);
    assert!(
        egress
            .allowed_addresses(&"https://hooks.internal.example/".parse().unwrap())
            .await
            .is_err()
    );
    // An address in the URL is checked without a resolver.
    for uri in [
        "https://10.0.0.1/",
        "https://[fd00::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://user@169.254.169.254/",
    ] {
        assert_eq!(
            refusal_reason(egress.allowed_addresses(&uri.parse().unwrap()).await),
            Some(EgressError::Private),
            "{uri}"
        );
    }
}

#[tokio::test]
async fn forbidden_addresses_are_refused_before_a_connection_is_opened() {
    // A local port, so that a forbidden connection stays on this machine.
    let endpoint = Endpoint::start().await;
    let uri: axum::http::Uri = format!("https://hooks.example:{}/", endpoint.port)
        .parse()
        .unwrap();
    for addresses in [
        &["127.0.0.1"][..],
        &["127.0.0.2"],
        &["::ffff:127.0.0.1"],
        &["0.0.0.0"],
        &["127.0.0.1", "::1"],
    ] {
        let (system, asked) = resolver_for(addresses);
        let egress = Egress::new(Vec::new(), Duration::from_secs(1)).resolving_by(system);
        assert_eq!(
            refusal_reason(egress.connect(&uri).await),
            Some(EgressError::Private),
            "{addresses:?}"
        );
        assert_eq!(
            (asked.load(Ordering::SeqCst), endpoint.connections()),
            (1, 0),
            "{addresses:?}"
        );
    }
    // If the host is allowed, the resolved addresses are called, until one answers.
    let (system, asked) = resolver_for(&["::1", "127.0.0.1"]);
    let egress =
        Egress::new(vec!["hooks.example".to_owned()], Duration::from_secs(1)).resolving_by(system);
    assert!(egress.connect(&uri).await.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    tokio::time::timeout(Duration::from_secs(60), async {
        while endpoint.connections() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

/// Networks of the IANA's registries that are not public: the address before, the first, the last,
/// and the address after. A dash stands for no address.
const PRIVATE_NETWORKS: &str = "
- 0.0.0.0 0.255.255.255 1.0.0.0
9.255.255.255 10.0.0.0 10.255.255.255 11.0.0.0
100.63.255.255 100.64.0.0 100.127.255.255 100.128.0.0
126.255.255.255 127.0.0.0 127.255.255.255 128.0.0.0
168.63.129.15 168.63.129.16 168.63.129.16 168.63.129.17
169.253.255.255 169.254.0.0 169.254.255.255 169.255.0.0
172.15.255.255 172.16.0.0 172.31.255.255 172.32.0.0
191.255.255.255 192.0.0.0 192.0.0.255 192.0.1.0
192.0.1.255 192.0.2.0 192.0.2.255 192.0.3.0
192.88.98.255 192.88.99.0 192.88.99.255 192.88.100.0
192.167.255.255 192.168.0.0 192.168.255.255 192.169.0.0
198.17.255.255 198.18.0.0 198.19.255.255 198.20.0.0
198.51.99.255 198.51.100.0 198.51.100.255 198.51.101.0
203.0.112.255 203.0.113.0 203.0.113.255 203.0.114.0
223.255.255.255 224.0.0.0 255.255.255.255 -
- :: 2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff 2001:200::
2001:db7:ffff:ffff:ffff:ffff:ffff:ffff 2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 2001:db9::
2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2002:: 2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2003::
3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff 3fff:: 3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff 3fff:1000::
3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 4000:: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -
";

/// Addresses within those networks.
const PRIVATE_ADDRESSES: &str = "
::1 ::ffff:11.0.0.1 ::11.0.0.1 64:ff9b::b00:1 64:ff9b:1::1 100::1 2001::1 2001:2::1
5f00::1 fc00::1 fdff::1 fe80::1 fec0::1 ff02::1
";

#[test]
fn the_public_address_check_is_exact_at_network_boundaries() {
    let public = |text: &str| is_public(text.parse().unwrap());
    let networks: Vec<_> = PRIVATE_NETWORKS
        .trim()
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .collect();
    assert_eq!(networks.len(), 20);
    for network in networks {
        let [before, first, last, after] = network[..] else {
            panic!("{network:?}")
        };
        assert!(before == "-" || public(before), "{before}");
        assert!(!public(first) && !public(last), "{first} to {last}");
        assert!(after == "-" || public(after), "{after}");
    }
    assert_eq!(PRIVATE_ADDRESSES.split_whitespace().count(), 14);
    for private in PRIVATE_ADDRESSES.split_whitespace() {
        assert!(!public(private), "{private}");
    }
    assert!(public("2000::1") && public("2600:1f00::1") && public("2a00::1"));
}

#[tokio::test]
async fn webhook_triggers_cause_no_jit_compilation() {
    let app = app_with_local_webhooks().await;
    if !can_read_plans(&app) {
        return;
    }
    if !app
        .one("SELECT pg_jit_available()", &[])
        .await
        .get::<_, bool>(0)
    {
        return skipped("what a compiling server does, which this one is not");
    }
    subscribe(&app, "https://example.com/", &ALL).await;
    enable_plan_logging(&app).await;
    let backend = app.backend_role().await;
    let before = cluster().log_of_database(&app.url).unwrap().len();
    for write in [
        "INSERT INTO bookings (status, scheduled_at, duration_minutes) VALUES ('confirmed', now() + interval '1 day', 60)",
        "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 hour'",
        "UPDATE bookings SET auto_complete_blocked = true",
        "UPDATE bookings SET auto_complete_blocked = false",
        "UPDATE bookings SET status = 'cancelled'",
        "DELETE FROM bookings",
    ] {
        backend.batch_execute(write).await.unwrap();
    }
    let plans = cluster()
        .log_of_database(&app.url)
        .unwrap()
        .split_off(before);
    assert!(
        plans.contains("booking_automation_webhooks_live"),
        "the log has the plans of our triggers"
    );
    assert!(!plans.contains("JIT:"), "{plans}");
    // A function that disables plan types gets high cost estimates, which would start JIT
    // compilation.
    let compiled = "SELECT proname::text FROM pg_proc WHERE proconfig::text LIKE '%enable_%' AND NOT 'jit=off' = ANY (proconfig)";
    assert_eq!(app.column(compiled, &[]).await, Vec::<String>::new());
}

#[tokio::test]
async fn concurrent_calls_deliver_each_message_once() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    subscribe(&app, &endpoint.url(), &ALL).await;
    cancel_bookings(&app, 150).await;
    let summaries = futures_util::future::join_all((0..6).map(|_| app.run(noon()))).await;
    // A call that overlaps another pass dispatches nothing; the next call does.
    app.run(noon()).await;
    let received = endpoint.received();
    let ids: BTreeSet<_> = received.iter().map(Received::id).collect();
    assert_eq!((received.len(), ids.len()), (150, 150), "{summaries:?}");
}

#[tokio::test]
async fn killing_a_dispatcher_loses_nothing_and_repeats_messages_with_the_same_id() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    cancel_bookings(&app, 10).await;
    endpoint.answer(|_| Answer::Silence);
    let mut process = app
        .command(&["run", "--as-of", &noon().to_rfc3339()])
        .spawn()
        .unwrap();
    endpoint.wait_for_requests(4).await;
    process.kill().await.unwrap();
    let under_way: BTreeSet<_> = endpoint
        .received()
        .iter()
        .map(|one| one.id().to_owned())
        .collect();

    endpoint.clear();
    endpoint.answer(|_| Answer::Status(200));
    // Messages under a lease are not claimed again.
    app.run(noon()).await;
    assert_eq!(endpoint.received().len(), 0);
    app.make_claimable().await;
    app.run(noon()).await;
    let ids: BTreeSet<_> = endpoint
        .received()
        .iter()
        .map(|one| one.id().to_owned())
        .collect();
    assert_eq!((endpoint.received().len(), ids.len()), (10, 10));
    assert!(ids.is_superset(&under_way));
    let doubts = "SELECT count(*) FROM booking_automation_events WHERE event_data -> 'attempts' -> 0 ->> 'outcome' = 'unknown'";
    assert_eq!(app.one(doubts, &[]).await.get::<_, i64>(0), 10);
    assert!(
        message_states(&app, webhook)
            .await
            .iter()
            .all(|one| one == "completed 2")
    );
}

#[tokio::test]
async fn changes_made_by_a_pass_are_dispatched_in_the_same_call() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    subscribe(&app, &endpoint.url(), &["started"]).await;
    app.confirmed(noon()).await;
    assert_eq!(app.run(noon()).await["webhooks"]["sent"], 1);
    assert_eq!(endpoint.received()[0].kind(), "booking.started");
}

#[tokio::test]
async fn recording_outcomes_is_retried_after_a_failure() {
    let mut recorded_again = 0;
    for commit in 2..=4 {
        let mut app = app_with_local_webhooks().await;
        let endpoint = Endpoint::start().await;
        let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
        cancel_bookings(&app, 1).await;
        let proxy = Proxy::start_cutting_at(&app.url, Cut::Before, commit).await;
        app.env.insert("DATABASE_URL", proxy.url.clone());
        let said = app
            .call(&["run", "--for", "20s", "--as-of", &noon().to_rfc3339()])
            .await;
        assert!(proxy.was_cut(), "{commit}");
        if !endpoint.received().is_empty() {
            assert_eq!(
                (
                    message_states(&app, webhook).await,
                    endpoint.received().len()
                ),
                (vec!["completed 1".to_owned()], 1)
            );
            recorded_again +=
                usize::from(said.stderr.contains("could not be recorded; trying again"));
        }
    }
    assert_eq!(recorded_again, 1);
}

#[tokio::test]
async fn a_short_call_dispatches_and_records_its_outcomes() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    cancel_bookings(&app, 1).await;
    // The call has less time than an answer may take.
    let said = app
        .call(&["run", "--for", "12s", "--as-of", &noon().to_rfc3339()])
        .await;
    assert_eq!(said.summary()["webhooks"]["sent"], 1);
    assert_eq!(message_states(&app, webhook).await, ["completed 1"]);
    assert!(!said.stderr.contains("stale"), "{}", said.stderr);
}

#[tokio::test]
async fn no_message_is_sent_too_late_to_record_its_outcome() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    subscribe(&app, &endpoint.url(), &ALL).await;
    cancel_bookings(&app, 16).await;
    // Four at a time, two seconds each: the time for sending ends after the second four.
    endpoint.answer(|_| {
        let (release, held) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            release.send_replace(true);
        });
        Answer::Held(held, 200)
    });
    let said = app
        .call(&["run", "--for", "8s", "--as-of", &noon().to_rfc3339()])
        .await;
    assert!(
        endpoint.received().len() <= 8,
        "{}",
        endpoint.received().len()
    );
    assert!(said.summary()["webhooks"]["deferred"].as_i64().unwrap() >= 8);
}

#[tokio::test]
async fn an_unreachable_endpoint_gets_no_new_attempts_in_the_same_call() {
    let app = app_with_local_webhooks().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    drop(listener);
    let webhook = subscribe(&app, &url, &ALL).await;
    cancel_bookings(&app, 30).await;
    app.run(noon()).await;
    let messages = message_states(&app, webhook).await;
    assert!(
        messages.contains(&"pending 1 no_connection".to_owned()),
        "{messages:?}"
    );
    assert!(
        messages
            .iter()
            .filter(|message| *message == "pending 0")
            .count()
            > 10,
        "{messages:?}"
    );
}

#[tokio::test]
async fn any_number_of_messages_can_end_in_one_call() {
    for (count, status, attempts, change, outcome) in [
        (1500, "pending", 0, "suspended_at = now()", "skipped"),
        (100, "sending", 10, "kinds = kinds", "failed"),
    ] {
        let app = app_with_local_webhooks().await;
        let webhook = subscribe(&app, "http://127.0.0.1:9/hook", &ALL).await;
        let waiting = "INSERT INTO booking_automation_events
                   (booking_id, event_type, channel, rule, audience, message_id, event_data, scheduled_at, status, attempts, next_attempt_at)
            SELECT gen_random_uuid(), 'webhook', 'webhook', 'cancelled', $1, gen_random_uuid()::text, '{}', now(), $3, $4, now()
              FROM generate_series(1, $2)";
        app.sql(waiting, &[&webhook.to_string(), &count, &status, &attempts])
            .await;
        app.sql(
            &format!("UPDATE booking_automation_webhooks SET {change}"),
            &[],
        )
        .await;
        assert_eq!(app.run(noon()).await["webhooks"][outcome], count);
    }
}

#[tokio::test]
async fn a_webhook_message_whose_lease_expires_in_its_last_attempt_fails() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    cancel_bookings(&app, 1).await;
    app.sql("UPDATE booking_automation_events SET status = 'sending', attempts = 10, next_attempt_at = now() WHERE event_type = 'webhook'", &[]).await;
    assert_eq!(
        app.run(noon()).await["webhooks"],
        json!({"due": 1, "sent": 0, "retrying": 0, "failed": 1, "skipped": 0, "deferred": 0})
    );
    assert_eq!(
        (message_states(&app, webhook).await, endpoint.connections()),
        (vec!["failed 10 unknown".to_owned()], 0)
    );
    let why = "SELECT error_message FROM booking_automation_events WHERE event_type = 'webhook'";
    assert_eq!(
        app.column(why, &[]).await,
        ["the lease ran out: the endpoint may have accepted the message"]
    );
}

#[tokio::test]
async fn a_success_in_the_last_attempt_ends_the_failure_period() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    cancel_bookings(&app, 1).await;
    app.sql(
        "UPDATE booking_automation_events SET attempts = 9 WHERE event_type = 'webhook'",
        &[],
    )
    .await;
    app.sql(
        "UPDATE booking_automation_webhooks SET failing_since = now() - interval '25 hours'",
        &[],
    )
    .await;
    assert_eq!(app.run(noon()).await["webhooks"]["sent"], 1);
    assert_eq!(message_states(&app, webhook).await, ["completed 10"]);
    assert_eq!(failing_and_suspended(&app, webhook).await, (false, false));
    let recorded =
        "SELECT concat_ws(' ', executed_at = $1, event_data -> 'attempts' -> -1 ->> 'outcome')
                      FROM booking_automation_events WHERE event_type = 'webhook'";
    assert_eq!(app.column(recorded, &[&noon()]).await, ["t sent"]);
}

#[tokio::test]
async fn a_late_outcome_changes_neither_a_newer_claim_nor_a_final_state() {
    for last in [false, true] {
        let app = app_with_local_webhooks().await;
        let endpoint = Endpoint::start().await;
        let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
        cancel_bookings(&app, 1).await;
        let attempts = if last { 9 } else { 0 };
        app.sql(
            "UPDATE booking_automation_events SET attempts = $1 WHERE event_type = 'webhook'",
            &[&attempts],
        )
        .await;
        let (release, held) = tokio::sync::watch::channel(false);
        let (release_second, held_second) = tokio::sync::watch::channel(false);
        endpoint.answer(move |_| Answer::Held(held.clone(), 200));
        let call = || {
            tokio::spawn(
                app.command(&["run", "--as-of", &noon().to_rfc3339()])
                    .output(),
            )
        };
        let first = call();
        endpoint.wait_for_requests(1).await;
        app.make_claimable().await;
        endpoint.answer(move |_| Answer::Held(held_second.clone(), 200));
        let second = call();
        if last {
            second.await.unwrap().unwrap();
        } else {
            endpoint.wait_for_requests(2).await;
        }
        release.send(true).unwrap();
        let first = first.await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&first.stderr);
        assert!(first.status.success() && said.contains("stale"), "{said}");
        assert_eq!(
            message_states(&app, webhook).await,
            [if last {
                "failed 10 unknown"
            } else {
                "sending 2"
            }]
        );
        release_second.send_replace(true);
    }
}

#[tokio::test]
async fn an_outcome_after_the_lease_changes_nothing() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    cancel_bookings(&app, 1).await;
    let (release, held) = tokio::sync::watch::channel(false);
    endpoint.answer(move |_| Answer::Held(held.clone(), 500));
    let arguments = ["run", "--as-of", &noon().to_rfc3339()];
    let first = app.call(&arguments);
    let second = async {
        endpoint.wait_for_requests(1).await;
        app.make_claimable().await;
        endpoint.answer(|_| Answer::Status(200));
        let summary = app.run(noon()).await;
        release.send(true).unwrap();
        summary
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(second["webhooks"]["sent"], 1);
    assert!(first.stderr.contains("stale"), "{}", first.stderr);
    assert_eq!(message_states(&app, webhook).await, ["completed 2"]);
}

#[tokio::test]
async fn messages_of_deleted_or_inactive_subscriptions_end_with_the_reason() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    let (deleted, off, kept) = (
        subscribe(&app, &endpoint.url(), &ALL).await,
        subscribe(&app, &endpoint.url(), &ALL).await,
        subscribe(&app, &endpoint.url(), &ALL).await,
    );
    cancel_bookings(&app, 2).await;
    app.sql(
        "DELETE FROM booking_automation_webhooks WHERE id = $1",
        &[&deleted],
    )
    .await;
    app.sql(
        "UPDATE booking_automation_webhooks SET is_active = false WHERE id = $1",
        &[&off],
    )
    .await;
    assert_eq!(
        app.run(noon()).await["webhooks"],
        json!({"due": 6, "sent": 2, "retrying": 0, "failed": 0, "skipped": 4, "deferred": 0})
    );
    assert_eq!(
        message_states(&app, deleted).await,
        ["skipped 0 unsubscribed"; 2]
    );
    assert_eq!(
        message_states(&app, off).await,
        ["skipped 0 switched_off"; 2]
    );
    assert_eq!(message_states(&app, kept).await, ["completed 1"; 2]);
}

#[tokio::test]
async fn a_new_secret_or_url_applies_from_the_next_attempt() {
    let app = app_with_local_webhooks().await;
    let (before, after) = (Endpoint::start().await, Endpoint::start().await);
    before.answer(|_| Answer::Status(500));
    let webhook = subscribe(&app, &before.url(), &ALL).await;
    cancel_bookings(&app, 1).await;
    app.run(noon()).await;
    let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    app.sql(
        "UPDATE booking_automation_webhooks SET url = $1, secret = $2",
        &[&after.url(), &secret],
    )
    .await;
    assert_eq!(
        failing_and_suspended(&app, webhook).await,
        (false, false),
        "the changed subscription has not failed"
    );
    app.make_claimable().await;
    app.run(noon()).await;
    assert_eq!((before.received().len(), after.received().len()), (1, 1));
    assert_signed(&after.received()[0], secret);
}

#[tokio::test]
async fn invalid_subscriptions_are_refused_by_the_database() {
    let app = App::new().await;
    let insert =
        "INSERT INTO booking_automation_webhooks (url, kinds, secret) VALUES ($1, $2::text[], $3)";
    let long = format!("https://hooks.example/{}", "x".repeat(2000));
    let fine = ("https://hooks.example/", &["completed"][..], SECRET);
    for (url, kinds, secret) in [
        ("ftp://hooks.example/", fine.1, fine.2),
        ("hooks.example", fine.1, fine.2),
        ("https://", fine.1, fine.2),
        ("https://user:password@hooks.example/", fine.1, fine.2),
        ("https://hooks.example/ x", fine.1, fine.2),
        ("https://hooks.example/#x", fine.1, fine.2),
        ("https://hooks.example\\@10.0.0.1/", fine.1, fine.2),
        (&long, fine.1, fine.2),
        (fine.0, &[], fine.2),
        (fine.0, &["completed", "paid"], fine.2),
        (fine.0, fine.1, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        (fine.0, fine.1, "whsec_c2VjcmV0LXZhbHVlLXNlY3JldC12YWw="),
        (fine.0, fine.1, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"),
        (fine.0, fine.1, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMf=="),
        (fine.0, fine.1, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa*w"),
    ] {
        let error = app
            .db
            .execute(insert, &[&url, &kinds, &secret])
            .await
            .unwrap_err();
        assert_eq!(
            error.code().unwrap().code(),
            "23514",
            "{url} {kinds:?} {secret}"
        );
    }
    for (url, kinds, secret) in [
        fine,
        (
            "http://10.0.3.7:8080/hooks?token=1",
            &ALL,
            &format!("whsec_{}", "A".repeat(84) + "AA==")[..],
        ),
        (
            "https://[fd00::7]/",
            fine.1,
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        ),
    ] {
        app.sql(insert, &[&url, &kinds, &secret]).await;
    }
    // Only the owner can read the secrets.
    let backend = app.backend_role().await;
    let denied = backend
        .query("SELECT FROM booking_automation_webhooks", &[])
        .await
        .unwrap_err();
    assert_eq!(denied.code().unwrap().code(), "42501");
}

#[tokio::test]
async fn no_log_level_prints_a_url_or_a_secret() {
    let mut app = app_with_local_webhooks().await;
    app.env.insert("RUST_LOG", "trace".to_owned());
    let endpoint = Endpoint::start().await;
    endpoint.answer(|_| {
        Answer::Bytes(
            "HTTP/1.1 500 Said-secretly\r\nX: said-secretly\r\n\r\nsaid-secretly".to_owned(),
        )
    });
    for path in ["token-of-the-path", "?token-of-the-path"] {
        subscribe(
            &app,
            &format!("http://127.0.0.1:{}/{path}", endpoint.port),
            &["cancelled"],
        )
        .await;
    }
    subscribe(&app, "https://10.0.0.1/token-of-the-path", &["cancelled"]).await;
    cancel_bookings(&app, 1).await;
    app.confirmed(noon() + hours(24)).await;
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert!(said.success && said.stderr.contains("TRACE"));
    assert_eq!(endpoint.received().len(), 2);
    for secret in ["token-of-the-path", SECRET, &SECRET[6..], "said-secretly"] {
        assert!(!said.stderr.contains(secret), "{secret}: {}", said.stderr);
    }
}

#[tokio::test]
async fn subscriptions_add_no_round_trips_to_an_idle_pass() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    for _ in 0..3 {
        subscribe(&app, &endpoint.url(), &ALL).await;
    }
    let proxy = Proxy::start(&app.url, Cut::Never).await;
    let mut through = app.command(&["run", "--as-of", &noon().to_rfc3339()]);
    through.env("DATABASE_URL", &proxy.url);
    let trips = async |command: &mut tokio::process::Command| {
        let before = proxy.round_trips();
        assert!(command.output().await.unwrap().status.success());
        proxy.round_trips() - before
    };
    trips(&mut through).await;
    let idle = trips(&mut through).await;
    app.sql("DELETE FROM booking_automation_webhooks", &[])
        .await;
    assert_eq!(trips(&mut through).await, idle);
    // A waiting message adds no round trip.
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    cancel_bookings(&app, 1).await;
    app.sql(
        "UPDATE booking_automation_events SET next_attempt_at = now() + interval '1 hour' WHERE audience = $1",
        &[&webhook.to_string()],
    )
    .await;
    assert_eq!(trips(&mut through).await, idle);
}

#[tokio::test]
async fn a_locked_subscription_loses_no_outcome_and_blocks_no_writer() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    endpoint.answer(|_| Answer::Status(500));
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    let other = connect(&app.url).await;
    other
        .batch_execute("BEGIN; UPDATE booking_automation_webhooks SET kinds = kinds")
        .await
        .unwrap();
    cancel_bookings(&app, 1).await;
    app.run(noon()).await;
    assert_eq!(message_states(&app, webhook).await, ["pending 1 refused"]);
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(failing_and_suspended(&app, webhook).await, (false, false));
    app.make_claimable().await;
    app.run(noon()).await;
    assert_eq!(failing_and_suspended(&app, webhook).await, (true, false));
}

#[tokio::test]
async fn events_during_suspension_or_inactivity_are_not_queued() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    let [live, off, suspended] = [
        subscribe(&app, &endpoint.url(), &ALL).await,
        subscribe(&app, &endpoint.url(), &ALL).await,
        subscribe(&app, &endpoint.url(), &ALL).await,
    ];
    app.sql(
        "UPDATE booking_automation_webhooks SET is_active = false WHERE id = $1",
        &[&off],
    )
    .await;
    app.sql(
        "UPDATE booking_automation_webhooks SET suspended_at = now() WHERE id = $1",
        &[&suspended],
    )
    .await;
    let id = app.confirmed(noon() + hours(25)).await;
    app.sql(
        "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
        &[&id, &(noon() + hours(24))],
    )
    .await;
    app.run(noon()).await;
    app.sql(
        "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
        &[&id],
    )
    .await;
    // Events that other programs write; only the completed status change is dispatched.
    app.sql(
        "INSERT INTO booking_automation_events (booking_id, event_type, status, event_data)
         SELECT $1, kind, status, '{\"to\": \"cancelled\"}'
           FROM (VALUES ('status_update', 'completed'), ('status_update', 'failed'), ('notification_sent', 'completed')) AS other (kind, status)",
        &[&id],
    )
    .await;
    let kinds = "SELECT rule FROM booking_automation_events WHERE event_type = 'webhook' AND audience = $1 ORDER BY seq";
    assert_eq!(
        app.column(kinds, &[&live.to_string()]).await,
        ["rescheduled", "reminder_sent", "cancelled", "cancelled"]
    );
    for other in [off, suspended] {
        assert_eq!(app.column(kinds, &[&other.to_string()]).await, [""; 0]);
    }
}

#[tokio::test]
async fn reactivating_a_subscription_resets_its_failure_period() {
    let app = app_with_local_webhooks().await;
    let webhook = subscribe(&app, "https://hooks.example", &ALL).await;
    app.sql("UPDATE booking_automation_webhooks SET failing_since = now() - interval '2 days', is_active = false", &[])
        .await;
    assert_eq!(failing_and_suspended(&app, webhook).await, (true, false));
    app.sql(
        "UPDATE booking_automation_webhooks SET is_active = true",
        &[],
    )
    .await;
    assert_eq!(failing_and_suspended(&app, webhook).await, (false, false));
}

#[tokio::test]
async fn a_subscription_suspended_during_a_delivery_stays_suspended() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    cancel_bookings(&app, 1).await;
    app.sql(
        "UPDATE booking_automation_webhooks SET failing_since = now() - interval '1 hour'",
        &[],
    )
    .await;
    let (release, held) = tokio::sync::watch::channel(false);
    endpoint.answer(move |_| Answer::Held(held.clone(), 200));
    let arguments = ["run", "--as-of", &noon().to_rfc3339()];
    let suspended = async {
        endpoint.wait_for_requests(1).await;
        app.sql(
            "UPDATE booking_automation_webhooks SET suspended_at = now()",
            &[],
        )
        .await;
        release.send(true).unwrap();
    };
    let (said, ()) = tokio::join!(app.call(&arguments), suspended);
    assert_eq!(said.summary()["webhooks"]["sent"], 1);
    assert_eq!(failing_and_suspended(&app, webhook).await, (true, true));
}

#[tokio::test]
async fn retention_deletes_webhook_messages() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    subscribe(&app, &endpoint.url(), &ALL).await;
    cancel_bookings(&app, 2).await;
    app.run(noon()).await;
    let one = "SELECT id FROM booking_automation_events WHERE event_type = 'webhook' ORDER BY seq LIMIT 1";
    app.sql_without_triggers(&format!(
        "UPDATE booking_automation_events SET created_at = now() - interval '401 days' WHERE id = ({one})"
    ))
    .await;
    assert!(app.call(&["run"]).await.success);
    let left: i64 = app
        .one(
            "SELECT count(*) FROM booking_automation_events WHERE event_type = 'webhook'",
            &[],
        )
        .await
        .get(0);
    assert_eq!(left, 1);
}

#[tokio::test]
async fn a_reminder_settled_later_sends_one_reminder_sent_message() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    subscribe(&app, &endpoint.url(), &["reminder_sent"]).await;
    let id = app.confirmed(noon() + hours(24)).await;
    // The outcome is unknown; then it is settled as sent, which is dispatched once.
    app.ses.answer(|_| crate::ses::Answer::Rubbish("{}"));
    app.run(noon()).await;
    assert_eq!(endpoint.connections(), 0);
    let settle = "UPDATE booking_automation_events SET status = 'completed', executed_at = $2, next_attempt_at = NULL WHERE booking_id = $1 AND event_type = 'reminder_sent'";
    let at: DateTime<Utc> = noon() + minutes(2);
    app.sql(settle, &[&id, &at]).await;
    app.sql(
        "UPDATE booking_automation_events SET flag_due = false WHERE booking_id = $1",
        &[&id],
    )
    .await;
    app.run(noon() + minutes(3)).await;
    let received = endpoint.received();
    assert_eq!(
        (
            received.len(),
            received[0].kind(),
            &received[0].json()["timestamp"]
        ),
        (
            1,
            "booking.reminder_sent".to_owned(),
            &json!("2026-03-01T12:02:00.000000Z")
        )
    );
}

#[tokio::test]
async fn a_large_webhook_backlog_is_read_by_index() {
    let app = app_with_local_webhooks().await;
    if !can_read_plans(&app) {
        return;
    }
    let endpoint = Endpoint::start().await;
    let webhook = subscribe(&app, &endpoint.url(), &["cancelled"]).await;
    // More rows than the statistics know of, half of them not due yet.
    app.sql(
        "ALTER TABLE booking_automation_events SET (autovacuum_enabled = false)",
        &[],
    )
    .await;
    app.sql(
        "INSERT INTO booking_automation_events
                (booking_id, event_type, status, rule, audience, channel, message_id, event_data, scheduled_at, next_attempt_at)
         SELECT gen_random_uuid(), 'webhook', 'pending', 'cancelled', audience, 'webhook', gen_random_uuid()::text, '{}', $1,
                CASE WHEN audience = 'a' THEN now() ELSE now() + interval '1 hour' END
           FROM generate_series(1, 5000), unnest(ARRAY['a', $2]) AS audience",
        &[&noon(), &webhook.to_string()],
    )
    .await;
    enable_plan_logging(&app).await;
    for statistics in ["none", "true"] {
        app.confirmed(noon() + hours(24)).await;
        cancel_bookings(&app, 1).await;
        let plans = plans_of_call(&app, noon()).await;
        ensure_read_by_index(&plans, statistics);
        app.sql("ANALYZE booking_automation_events", &[]).await;
    }
    assert_eq!((app.ses.mails().len(), endpoint.received().len()), (2, 2));
}

/// The statements of a call that read what waits find it by index.
fn ensure_read_by_index(plans: &[String], statistics: &str) {
    let of = |words: &str| {
        let found: Vec<_> = plans.iter().filter(|plan| plan.contains(words)).collect();
        assert!(!found.is_empty(), "{words}");
        found
    };
    for plan in of("-- Locks the messages of a page") {
        assert!(
            plan.matches("= 'email'::text) AND (starts_at IS NOT NULL) AND (starts_at ")
                .count()
                == 2,
            "{statistics}: {plan}"
        );
    }
    for plan in of("-- Claims the messages to one subscription") {
        let turns = plan
            .matches("using booking_automation_events_turns")
            .count();
        assert_eq!(turns, 3, "{statistics}: {plan}");
        // With a million rows, the planner would join by reading them all.
        assert!(
            plan.contains("Index Cond: (id = ANY"),
            "{statistics}: {plan}"
        );
    }
    for plan in plans {
        assert!(
            !plan.contains("Seq Scan on booking_automation_events "),
            "{statistics}: {plan}"
        );
    }
}

#[tokio::test]
async fn webhooks_are_sent_before_migrate_builds_the_index_of_turns() {
    let app = app_with_local_webhooks().await;
    let endpoint = Endpoint::start().await;
    let webhook = subscribe(&app, &endpoint.url(), &ALL).await;
    app.sql("DROP INDEX booking_automation_events_turns", &[])
        .await;
    cancel_bookings(&app, 130).await;
    run_at_noon(&app).await;
    assert_eq!(
        message_states(&app, webhook).await,
        vec!["completed 1"; 130]
    );
}
