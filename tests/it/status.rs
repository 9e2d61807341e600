//! Status changes that people and other programs request over HTTP.

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::app::{App, STATUSES, connect, hours, minutes, noon};
use crate::client::{Answer, Header, request};
use crate::http::Server;

/// The token of the support routes.
pub const TOKEN: &str = "a-token-for-support-0123456789";

/// Starts a server with support routes; its clock stands at `as_of`.
pub async fn support(app: &mut App, as_of: DateTime<Utc>) -> Server {
    app.env.insert("ADMIN_TOKEN", TOKEN.to_owned());
    Server::start(app, &["--as-of", &as_of.to_rfc3339()]).await
}

/// Sends a request with support's token.
pub async fn ask(
    server: &Server,
    method: &str,
    path: &str,
    more: &[Header<'_>],
    body: &[u8],
) -> Answer {
    let authorization = format!("Bearer {TOKEN}");
    let headers = [&[("Authorization", authorization.as_bytes())], more].concat();
    request(server.port, method, path, &headers, body).await
}

/// Requests a status change by an actor.
async fn request_status(server: &Server, id: Uuid, to: &str, role: &str) -> Answer {
    let body = json!({"to": to, "actor": {"role": role, "id": "somebody"}, "reason": "said so"})
        .to_string();
    ask(
        server,
        "POST",
        &format!("/bookings/{id}/status"),
        &[],
        body.as_bytes(),
    )
    .await
}

const ROLES: [&str; 4] = ["customer", "provider", "admin", "system"];

/// Whether a role may take this step of a new booking. Written from the brief, not from the code.
fn is_allowed(from: &str, to: &str, role: &str, has_started: bool) -> bool {
    let staff = role == "admin" || role == "system";
    match (from, to) {
        ("pending", "confirmed") => role != "customer" && !has_started,
        ("confirmed", "cancelled") => staff || !has_started,
        ("confirmed", "completed") => staff || role == "provider" && has_started,
        ("in_progress", "completed") => staff || role == "provider" && has_started,
        (
            "paid"
            | "confirmed"
            | "in_progress"
            | "completed"
            | "cancelled"
            | "expired"
            | "pending_completion"
            | "pending_cancellation",
            "refunded",
        ) => staff,
        _ => false,
    }
}

#[tokio::test]
async fn each_step_is_allowed_or_refused_by_status_role_and_start() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let (mut allowed, mut forbidden) = (0, 0);
    for has_started in [false, true] {
        for from in STATUSES {
            // No automatic step is due but the start.
            let start = if has_started {
                noon() - minutes(10)
            } else {
                noon() + hours(30)
            };
            let judged = if has_started && from == "confirmed" {
                "in_progress"
            } else {
                from
            };
            let id = app.booking(from, start).await;
            for to in STATUSES {
                for role in ROLES {
                    let answer = request_status(&server, id, to, role).await;
                    let what =
                        format!("{from} to {to} by {role}, started: {has_started}: {answer:?}");
                    let undo = has_started
                        && from == "confirmed"
                        && to == "confirmed"
                        && role != "customer";
                    if is_allowed(judged, to, role, has_started) || undo {
                        assert_eq!(answer.status, 200, "{what}");
                        assert_eq!(answer.json()["from"], judged, "{what}");
                        assert_eq!(app.status(id).await, to, "{what}");
                        allowed += 1;
                        // Restore the booking.
                        app.sql_without_triggers(&format!(
                            "DELETE FROM booking_automation_events WHERE booking_id = '{id}';
                             DELETE FROM booking_automation_state WHERE booking_id = '{id}';
                             UPDATE bookings SET status = '{from}', auto_complete_blocked = NULL WHERE id = '{id}'"
                        ))
                        .await;
                    } else {
                        let unknown = ![
                            "confirmed",
                            "cancelled",
                            "completed",
                            "refunded",
                            "in_progress",
                            "expired",
                            "pending",
                        ]
                        .contains(&to);
                        assert_eq!(answer.status, if unknown { 422 } else { 409 }, "{what}");
                        assert_eq!(answer.header("content-type"), "application/problem+json");
                        assert_eq!(app.status(id).await, from, "nothing is written: {what}");
                        forbidden += 1;
                    }
                }
            }
        }
    }
    assert_eq!(allowed + forbidden, 2 * 13 * 13 * 4);
    assert!(allowed > 40, "{allowed}");
}

/// The audit trail of a booking's status: `from to by reason`.
async fn status_trail(app: &App, id: Uuid) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', event_data ->> 'from', event_data ->> 'to', event_data ->> 'by', event_data ->> 'reason')
                 FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'status_update' ORDER BY seq";
    app.column(sql, &[&id]).await
}

#[tokio::test]
async fn a_status_change_records_actor_and_reason() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = app.confirmed(noon() + hours(30)).await;
    let body =
        json!({"to": "cancelled", "actor": {"role": "customer", "id": app.customer}, "reason": "ill"}).to_string();

    let answer = ask(
        &server,
        "POST",
        &format!("/bookings/{id}/status"),
        &[],
        body.as_bytes(),
    )
    .await;
    assert_eq!(
        answer.json(),
        json!({"booking_id": id, "from": "confirmed", "to": "cancelled", "at": "2026-03-01T12:00:00Z",
               "by": format!("customer:{}", app.customer), "reason": "ill", "automation_blocked": false,
               "refund": {"percent": "100", "total": null, "amount": null, "kept": null, "until": "2026-03-01T18:00:00Z",
                          "policy": {"source": "built_in", "id": null, "name": "default", "applies_to": "customer"},
                          "text": "By the policy \"default\" (built_in), 100 % is refunded (the booking has no price), up to and including 2026-03-01T18:00:00Z."}})
    );
    assert_eq!(
        status_trail(&app, id).await,
        [format!("confirmed cancelled customer:{} ill", app.customer)]
    );
    let row = app
        .one("SELECT cancelled_at = $2, cancelled_by, cancellation_reason FROM bookings WHERE id = $1", &[&id, &noon()])
        .await;
    let (at, by, why): (bool, Uuid, String) = (row.get(0), row.get(1), row.get(2));
    assert_eq!((at, by, why.as_str()), (true, app.customer, "ill"));
    // No reminder is sent for the cancelled booking.
    app.run(noon() + hours(20)).await;
    assert!(app.ses.mails().is_empty());
}

/// A trigger of the user that takes a tenth of a second.
async fn slow_down(app: &App, table: &str) {
    let sql = format!(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$;
         CREATE TRIGGER slow BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION slow()"
    );
    app.db.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn a_request_is_recorded_with_the_moment_that_it_was_decided_by() {
    let mut app = App::new().await;
    app.env.insert("ADMIN_TOKEN", TOKEN.to_owned());
    let server = Server::start(&app, &[]).await;
    let (id, ended) = (
        app.confirmed(Utc::now() + hours(30)).await,
        app.confirmed(Utc::now() - minutes(90)).await,
    );
    slow_down(&app, "bookings").await;
    let answer = request_status(&server, id, "cancelled", "customer").await;
    let at = answer.json()["at"].as_str().unwrap().to_owned();
    let recorded =
        "SELECT (executed_at = $2::text::timestamptz)::text FROM booking_automation_events
                     WHERE booking_id = $1 AND event_type = 'status_update'";
    assert_eq!(app.column(recorded, &[&id, &at]).await, ["true"]);

    // The automatic steps that a request takes first.
    assert_eq!(
        request_status(&server, ended, "refunded", "admin")
            .await
            .status,
        200
    );
    let recorded = "SELECT (e.executed_at = b.completed_at)::text FROM booking_automation_events e
                      JOIN bookings b ON b.id = e.booking_id WHERE b.id = $1 AND e.event_type = 'status_update'";
    assert_eq!(app.column(recorded, &[&ended]).await, ["true"; 3]);
}

#[tokio::test]
async fn an_erasure_has_one_moment() {
    let mut app = App::new().await;
    app.env.insert("ADMIN_TOKEN", TOKEN.to_owned());
    let server = Server::start(&app, &[]).await;
    let id = app.confirmed(Utc::now() + hours(30)).await;
    app.sql(
        "INSERT INTO booking_automation_events (booking_id, event_type, rule, audience, channel, status, starts_at, next_attempt_at, revision)
         SELECT $1, 'reminder_sent', n::text, 'customer', 'email', 'pending', now(), now() + interval '1 hour', 1
           FROM generate_series(1, 3) AS n",
        &[&id],
    )
    .await;
    slow_down(&app, "booking_automation_events").await;
    let path = format!("/people/{}/messages", app.customer);
    let answer = ask(&server, "DELETE", &path, &[], b"").await;
    assert_eq!(answer.json()["not_sent"], 3, "{answer:?}");
    let moments = "SELECT e.executed_at = f.at FROM booking_automation_events e, booking_automation_erasures f
                    WHERE f.kind = 'person' AND e.event_type = 'reminder_sent'";
    let rows = app.db.query(moments, &[]).await.unwrap();
    assert_eq!(
        rows.iter().map(|row| row.get(0)).collect::<Vec<bool>>(),
        [true; 3]
    );
}

#[tokio::test]
async fn a_status_request_applies_overdue_automatic_steps_first() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = app.confirmed(noon() - minutes(90)).await;

    // It ended 30 minutes ago, and the table has `confirmed`.
    let answer = request_status(&server, id, "cancelled", "customer").await;
    assert_eq!(answer.status, 409);
    let problem = answer.json();
    assert_eq!(
        (&problem["current"], &problem["allowed"]),
        (&json!("completed"), &json!([]))
    );
    assert_eq!(
        problem["detail"],
        "a booking that is completed cannot become cancelled"
    );
    assert_eq!(app.status(id).await, "confirmed", "nothing is written");
    assert!(status_trail(&app, id).await.is_empty());

    // An allowed step is written after the due automatic steps.
    assert_eq!(
        request_status(&server, id, "refunded", "admin")
            .await
            .status,
        200
    );
    let steps = status_trail(&app, id).await;
    assert_eq!(steps[0], "confirmed in_progress booking-automation");
    assert_eq!(steps[1], "in_progress completed booking-automation");
    assert_eq!(steps[2], "completed refunded admin:somebody said so");
}

#[tokio::test]
async fn an_automatic_step_can_be_reverted_and_is_not_repeated() {
    let mut app = App::new().await;
    let id = app.confirmed(noon() - minutes(90)).await;
    let (another, untouched) = (
        app.confirmed(noon() - minutes(90)).await,
        app.confirmed(noon() - minutes(90)).await,
    );
    app.run(noon()).await;
    assert_eq!(app.status(id).await, "completed");
    let server = support(&mut app, noon() + minutes(1)).await;

    assert_eq!(
        request_status(&server, id, "confirmed", "customer")
            .await
            .status,
        409
    );
    // Later events do not prevent it: a message, a refused step, and a step of another booking.
    let since = "INSERT INTO booking_automation_events (booking_id, event_type, event_data, status)
                 VALUES ($1, 'notification_sent', '{}', 'completed'),
                        ($1, 'status_update', '{\"from\": \"completed\", \"to\": \"refunded\", \"by\": \"somebody\"}', 'failed')";
    app.sql(since, &[&id]).await;
    assert_eq!(
        request_status(&server, another, "refunded", "admin")
            .await
            .status,
        200
    );
    let answer = request_status(&server, id, "confirmed", "provider").await;
    assert_eq!(app.status(untouched).await, "completed");
    assert_eq!(
        (answer.status, &answer.json()["automation_blocked"]),
        (200, &json!(true))
    );
    let blocked = "SELECT status = 'confirmed' AND auto_complete_blocked AND completed_at IS NULL FROM bookings WHERE id = $1";
    assert!(app.one(blocked, &[&id]).await.get::<_, bool>(0));

    // Later passes do not start, complete or expire it.
    for later in [minutes(2), hours(2), hours(50)] {
        let summary = app.run(noon() + later).await;
        assert_eq!(
            summary["transitions"],
            json!({"started": 0, "completed": 0, "expired": 0, "remaining": 0})
        );
    }
    assert_eq!(app.status(id).await, "confirmed");
    // The last step is a person's: it cannot be reverted.
    let problem = request_status(&server, id, "in_progress", "provider")
        .await
        .json();
    assert_eq!(
        problem["detail"],
        "a booking that is confirmed cannot become in_progress"
    );
    drop(server);
    assert_reverting_keeps_completed_at_of_the_user(&mut app).await;

    // Unblocked, the booking is automated again.
    app.set_clock(noon() + hours(51)).await;
    app.sql(
        "UPDATE bookings SET auto_complete_blocked = false WHERE id = $1",
        &[&id],
    )
    .await;
    app.run(noon() + hours(52)).await;
    assert_eq!(app.status(id).await, "completed");
}

/// Reverting `in_progress` keeps a `completed_at` that the user wrote.
async fn assert_reverting_keeps_completed_at_of_the_user(app: &mut App) {
    let started = app.confirmed(noon() + hours(50)).await;
    app.sql(
        "UPDATE bookings SET completed_at = '2020-01-01' WHERE id = $1",
        &[&started],
    )
    .await;
    app.run(noon() + hours(50)).await;
    let server = support(app, noon() + hours(50) + minutes(1)).await;
    assert_eq!(
        request_status(&server, started, "confirmed", "provider")
            .await
            .status,
        200
    );
    let kept = "SELECT completed_at::date::text FROM bookings WHERE id = $1";
    assert_eq!(app.column(kept, &[&started]).await, ["2020-01-01"]);
}

#[tokio::test]
async fn a_manual_step_cannot_be_reverted_as_an_automatic_one() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = app.booking("in_progress", noon() - minutes(10)).await;

    assert_eq!(
        request_status(&server, id, "completed", "provider")
            .await
            .status,
        200
    );
    let problem = request_status(&server, id, "in_progress", "provider")
        .await
        .json();
    assert_eq!(
        problem["detail"],
        "the automation did not make the booking completed, so there is nothing to undo"
    );
}

#[tokio::test]
async fn writes_of_the_users_backend_count_and_are_attributed_to_its_role() {
    let mut app = App::new().await;
    let id = app.confirmed(noon() - minutes(10)).await;
    app.run(noon()).await;
    let server = support(&mut app, noon() + minutes(1)).await;
    let backend = app.backend_role().await;
    backend
        .execute(
            "UPDATE bookings SET status = 'completed' WHERE id = $1",
            &[&id],
        )
        .await
        .unwrap();

    // The request sees the new status; there is no automatic step to revert.
    assert_eq!(
        request_status(&server, id, "in_progress", "provider")
            .await
            .status,
        409
    );
    let timeline = ask(
        &server,
        "GET",
        &format!("/bookings/{id}/timeline"),
        &[],
        b"",
    )
    .await
    .json();
    let last = timeline["happened"].as_array().unwrap().last().unwrap();
    let role: String = backend
        .query_one("SELECT session_user::text", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(
        (&last["to"], &last["by"]),
        (&json!("completed"), &json!(role))
    );
    assert_cannot_write_the_trail(&backend).await;
    assert_eq!(status_trail(&app, id).await.len(), 2);

    // A change between two requests is seen by the second one.
    let other = app.confirmed(noon() + hours(30)).await;
    backend
        .execute(
            "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
            &[&other],
        )
        .await
        .unwrap();
    let problem = request_status(&server, other, "completed", "admin").await;
    assert_eq!(
        (problem.status, &problem.json()["current"]),
        (409, &json!("cancelled"))
    );
    assert_eq!(
        request_status(&server, other, "refunded", "admin")
            .await
            .status,
        200
    );
}

/// The backend's role has no privileges on the trail and cannot switch the triggers off.
async fn assert_cannot_write_the_trail(backend: &Client) {
    for sql in [
        "DELETE FROM booking_automation_events",
        "UPDATE booking_automation_events SET event_data = '{}'",
        "INSERT INTO booking_automation_events (booking_id, event_type) VALUES (gen_random_uuid(), 'status_update')",
        "INSERT INTO booking_automation_erasures (kind, day, at, transaction) VALUES ('retention', now(), now(), pg_current_xact_id())",
        "ALTER TABLE bookings DISABLE TRIGGER booking_automation_on_update",
    ] {
        assert_eq!(
            backend
                .batch_execute(sql)
                .await
                .unwrap_err()
                .code()
                .unwrap()
                .code(),
            "42501",
            "{sql}"
        );
    }
}

#[tokio::test]
async fn a_repeated_idempotency_key_returns_the_first_answer() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = app.confirmed(noon() + hours(30)).await;
    let path = format!("/bookings/{id}/status");
    let body = |reason: &str| {
        json!({"to": "cancelled", "actor": {"role": "admin"}, "reason": reason})
            .to_string()
            .into_bytes()
    };
    let key: [Header<'_>; 1] = [("Idempotency-Key", b"4f2c")];

    // A refused request does not use the key.
    let early = json!({"to": "confirmed", "actor": {"role": "admin"}}).to_string();
    assert_eq!(
        ask(&server, "POST", &path, &key, early.as_bytes())
            .await
            .status,
        409
    );

    let first = ask(&server, "POST", &path, &key, &body("ill")).await;
    assert_eq!(first.status, 200);
    let again = ask(&server, "POST", &path, &key, &body("ill")).await;
    assert_eq!((again.status, again.json()), (200, first.json()));
    assert_eq!(status_trail(&app, id).await.len(), 1);

    // Another key has its own answer.
    let another = format!(
        "/bookings/{}/status",
        app.confirmed(noon() + hours(30)).await
    );
    let by_another: [Header<'_>; 1] = [("Idempotency-Key", b"5a3d")];
    let second = ask(&server, "POST", &another, &by_another, &body("ill")).await;
    assert_eq!((second.status, second.json() == first.json()), (200, false));
    assert_eq!(
        ask(&server, "POST", &path, &key, &body("ill")).await.json(),
        first.json()
    );

    let other = ask(&server, "POST", &path, &key, &body("not ill")).await;
    assert_eq!(
        (other.status, &other.json()["field"]),
        (422, &json!("Idempotency-Key"))
    );
    let without = ask(&server, "POST", &path, &[], &body("ill")).await;
    assert_eq!(without.status, 409);

    for wrong in [&b""[..], b"with space", &[b'x'; 257]] {
        let answer = ask(
            &server,
            "POST",
            &path,
            &[("Idempotency-Key", wrong)],
            &body("ill"),
        )
        .await;
        assert_eq!(
            (answer.status, &answer.json()["field"]),
            (400, &json!("Idempotency-Key"))
        );
    }
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_its_token() {
    const OTHER: &str = "another-token-0123456789";
    let mut app = App::new().await;
    app.env.insert("ADMIN_TOKEN", format!("{TOKEN},{OTHER}"));
    let server = Server::start(&app, &["--as-of", &noon().to_rfc3339()]).await;
    let id = app.confirmed(noon() + hours(30)).await;
    let path = format!("/bookings/{id}/status");
    let body = json!({"to": "cancelled", "actor": {"role": "admin"}}).to_string();
    let key: Header<'_> = ("Idempotency-Key", b"4f2c");
    let with_token = async |token: &str, body: &str| {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_bytes()), key];
        request(server.port, "POST", &path, &headers, body.as_bytes()).await
    };
    // A row that version 0.2.0 left matches no request.
    app.sql(
        "INSERT INTO booking_automation_requests (key, digest, answer) VALUES ('4f2c', 'x', '{}')",
        &[],
    )
    .await;
    let first = with_token(TOKEN, &body).await;
    assert_eq!(first.status, 200, "{first:?}");
    // Another token does not get the answer, nor learns that the key was used.
    let other = with_token(OTHER, &body).await;
    assert_eq!(other.status, 409, "{other:?}");
    assert!(
        other.json()["detail"]
            .as_str()
            .unwrap()
            .contains("cancelled")
    );
    let to = json!({"to": "refunded", "actor": {"role": "admin"}}).to_string();
    assert_eq!(with_token(OTHER, &to).await.status, 200);
    assert_eq!(with_token(TOKEN, &body).await.json(), first.json());
    assert_eq!(status_trail(&app, id).await.len(), 2);
    let keys = "SELECT key FROM booking_automation_requests";
    for stored in app.column(keys, &[]).await {
        assert!(!stored.contains("token"), "{stored}");
    }
}

#[tokio::test]
async fn tokens_and_secrets_never_share_a_rate_limit() {
    let mut app = App::new().await;
    let secret = "one-text-at-two-times";
    let callers = "SELECT credential FROM booking_automation_callers";
    app.env.insert("CRON_SECRET", secret.to_owned());
    let server = Server::start(&app, &[]).await;
    let authorization = format!("Bearer {secret}");
    let headers = [("authorization", authorization.as_bytes())];
    let answer = request(server.port, "POST", "/run", &headers, b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(server);
    // The two cannot be set together; each has a name of its own even so.
    app.env.remove("CRON_SECRET");
    app.env.insert("ADMIN_TOKEN", secret.to_owned());
    let server = Server::start(&app, &[]).await;
    let answer = request(server.port, "GET", "/openapi.json", &headers, b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(app.column(callers, &[]).await.len(), 2);
}

#[tokio::test]
async fn concurrent_requests_with_one_idempotency_key_change_the_status_once() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    for number in 0..10 {
        let id = app.confirmed(noon() + hours(30)).await;
        let path = format!("/bookings/{id}/status");
        let body = json!({"to": "cancelled", "actor": {"role": "admin"}})
            .to_string()
            .into_bytes();
        let key = format!("key-{number}").into_bytes();
        let key: [Header<'_>; 1] = [("Idempotency-Key", &key)];
        let (first, second) = tokio::join!(
            ask(&server, "POST", &path, &key, &body),
            ask(&server, "POST", &path, &key, &body)
        );
        // The second request gets the same answer, or is asked to retry and then gets it.
        let answers =
            [&first, &second].map(|answer| (answer.status, answer.body.contains("try again")));
        assert!(
            answers
                .iter()
                .all(|answer| [(200, false), (409, true)].contains(answer)),
            "{first:?} {second:?}"
        );
        assert!(answers.contains(&(200, false)));
        let again = ask(&server, "POST", &path, &key, &body).await;
        assert!(again == first || again == second, "{again:?}");
        assert_eq!(status_trail(&app, id).await.len(), 1);
    }
}

#[tokio::test]
async fn a_request_waits_only_briefly_for_another_with_its_idempotency_key() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = app.confirmed(noon() + hours(30)).await;
    // The first 32 bits of sha256("booking-automation admin " + token), by sha256sum, and the key.
    app.db
        .batch_execute(
            "BEGIN; INSERT INTO booking_automation_requests (key, digest) VALUES ('3e63d5a4:4f2c', '')",
        )
        .await
        .unwrap();
    let body = json!({"to": "cancelled", "actor": {"role": "admin"}})
        .to_string()
        .into_bytes();
    let path = format!("/bookings/{id}/status");
    let answer = ask(
        &server,
        "POST",
        &path,
        &[("Idempotency-Key", b"4f2c")],
        &body,
    )
    .await;
    assert_eq!(answer.status, 409, "{answer:?}");
    app.db.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(
        ask(
            &server,
            "POST",
            &path,
            &[("Idempotency-Key", b"4f2c")],
            &body
        )
        .await
        .status,
        200
    );
}

#[tokio::test]
async fn a_briefly_locked_booking_still_gets_its_automatic_steps_first() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = app.confirmed(noon() - minutes(90)).await;
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
    let other = connect(&app.url).await;
    // The lock may be released too late; then try again.
    for _ in 0..50 {
        other
            .batch_execute(&format!(
                "BEGIN; SELECT FROM bookings WHERE id = '{id}' FOR UPDATE"
            ))
            .await
            .unwrap();
        let let_go = async {
            app.wait_until(waits).await;
            other.batch_execute("COMMIT").await.unwrap();
        };
        let (answer, ()) =
            tokio::join!(request_status(&server, id, "cancelled", "customer"), let_go);
        assert_eq!(answer.status, 409);
        if !answer.body.contains("try again") {
            assert_eq!(
                answer.json()["current"],
                "completed",
                "the booking ended 30 minutes ago"
            );
            return;
        }
    }
    panic!("the lock was never released in time");
}

#[tokio::test]
async fn two_racing_clients_change_the_status_once() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    for _ in 0..10 {
        let id = app.confirmed(noon() + hours(30)).await;
        let (cancelled, completed) = tokio::join!(
            request_status(&server, id, "cancelled", "customer"),
            request_status(&server, id, "completed", "admin")
        );
        let mut statuses = [cancelled.status, completed.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{cancelled:?} {completed:?}");
        assert_eq!(status_trail(&app, id).await.len(), 1);
    }
}

#[tokio::test]
async fn a_status_request_does_not_wait_for_a_locked_booking() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = app.confirmed(noon() + hours(30)).await;
    app.db
        .batch_execute(&format!(
            "BEGIN; SELECT FROM bookings WHERE id = '{id}' FOR UPDATE"
        ))
        .await
        .unwrap();

    let answer = request_status(&server, id, "cancelled", "customer").await;
    assert_eq!(answer.status, 409);
    assert_eq!(
        answer.json()["detail"],
        "another transaction is changing this booking right now; try again"
    );

    app.db.batch_execute("COMMIT").await.unwrap();
    assert_eq!(
        request_status(&server, id, "cancelled", "customer")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_pass_and_a_request_for_one_booking_do_not_conflict() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    // The pass first: it locks the booking, and a user's trigger waits.
    let id = app.confirmed(noon() - minutes(1)).await;
    app.db
        .batch_execute("SELECT pg_advisory_lock(7)")
        .await
        .unwrap();
    app.sql(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN WHILE NOT pg_try_advisory_xact_lock_shared(7) LOOP PERFORM pg_sleep(0.005); END LOOP; RETURN NEW; END'",
        &[],
    )
    .await;
    app.sql(
        "CREATE TRIGGER wait BEFORE UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION wait()",
        &[],
    )
    .await;
    let pass = app
        .command(&["run", "--as-of", &noon().to_rfc3339()])
        .output();
    let pass = tokio::spawn(pass);
    app.wait_until(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')",
    )
    .await;
    assert_eq!(
        request_status(&server, id, "refunded", "admin")
            .await
            .status,
        409,
        "locked"
    );
    app.db
        .batch_execute("SELECT pg_advisory_unlock(7)")
        .await
        .unwrap();
    pass.await.unwrap().unwrap();
    assert_eq!(app.status(id).await, "in_progress");
    app.sql("DROP TRIGGER wait ON bookings", &[]).await;

    // The request first: the pass reads the new status.
    let id = app.confirmed(noon() - minutes(1)).await;
    assert_eq!(
        request_status(&server, id, "refunded", "admin")
            .await
            .status,
        200
    );
    let summary = app.run(noon()).await;
    assert_eq!(summary["transitions"]["started"], 0);
    assert_eq!(app.status(id).await, "refunded");
}

/// The answer is a problem that names this field.
pub fn assert_invalid(answer: &Answer, status: u16, field: &str) {
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (status, "application/problem+json"),
        "{answer:?}"
    );
    assert_eq!(answer.json()["field"], field, "{answer:?}");
}

#[tokio::test]
async fn invalid_input_is_refused_with_its_field_and_changes_nothing() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = app.confirmed(noon() + hours(30)).await;
    let path = format!("/bookings/{id}/status");
    let post = async |body: &str| ask(&server, "POST", &path, &[], body.as_bytes()).await;
    for body in ["", "{", "[]", "\u{0}"] {
        assert_invalid(&post(body).await, 400, "body");
    }
    let good = json!({"to": "cancelled", "actor": {"role": "admin"}});
    for missing in ["to", "actor"] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(missing);
        assert_invalid(&post(&body.to_string()).await, 400, missing);
    }
    for (status, field, member, value) in [
        (400, "to", "to", json!(7)),
        (422, "to", "to", json!("canceled")),
        (422, "to", "to", json!("rejected")),
        (400, "actor", "actor", json!("admin")),
        (400, "actor.role", "actor", json!({})),
        (422, "actor.role", "actor", json!({"role": "automation"})),
        (422, "actor.role", "actor", json!({"role": "root"})),
        (400, "id", "actor", json!({"role": "admin", "id": 7})),
        (
            422,
            "actor.id",
            "actor",
            json!({"role": "admin", "id": "anna@customers.example"}),
        ),
        (
            422,
            "actor.id",
            "actor",
            json!({"role": "admin", "id": "Anna Customer"}),
        ),
        (422, "actor.id", "actor", json!({"role": "admin", "id": ""})),
        (400, "name", "actor", json!({"role": "admin", "name": "x"})),
        (400, "reason", "reason", json!(["x"])),
        (400, "reason", "reason", json!("x".repeat(1001))),
        (400, "reason", "reason", json!("\u{0}")),
        (400, "because", "because", json!("x")),
    ] {
        let mut body = good.clone();
        body[member] = value;
        assert_invalid(&post(&body.to_string()).await, status, field);
    }
    for (field, body) in [
        (
            "to",
            r#"{"to": "confirmed", "actor": {"role": "admin"}, "to": "cancelled"}"#,
        ),
        // The same name, written differently.
        (
            "to",
            r#"{"to": "cancelled", "actor": {"role": "admin"}, "\u0074o": "cancelled"}"#,
        ),
        (
            "role",
            r#"{"to": "cancelled", "actor": {"role": "customer", "role": "admin"}}"#,
        ),
        (
            "x",
            r#"{"to": "cancelled", "actor": {"role": "admin"}, "reason": [1, {"x": 1.5, "x": null}]}"#,
        ),
    ] {
        assert_invalid(&post(body).await, 400, field);
    }
    for (id, status) in [
        ("7", 400),
        ("x", 400),
        (&format!("{id}0"), 400),
        (&Uuid::nil().to_string(), 404),
    ] {
        let answer = ask(
            &server,
            "POST",
            &format!("/bookings/{id}/status"),
            &[],
            good.to_string().as_bytes(),
        )
        .await;
        assert_eq!(
            (answer.status, &answer.json()["field"]),
            (status, &json!("id")),
            "{id}"
        );
    }
    assert_eq!(app.status(id).await, "confirmed");
    assert!(status_trail(&app, id).await.is_empty());
    let log = server.end().await;
    assert!(!log.contains("ERROR"), "{log}");
}

#[tokio::test]
async fn a_booking_without_status_and_start_causes_no_server_error() {
    let mut app = App::new().await;
    let id = app.confirmed(noon() + hours(30)).await;
    app.db
        .batch_execute(
            "ALTER TABLE bookings ALTER scheduled_at DROP NOT NULL; ALTER TABLE bookings ALTER status DROP NOT NULL",
        )
        .await
        .unwrap();
    app.sql(
        "UPDATE bookings SET scheduled_at = NULL, status = NULL WHERE id = $1",
        &[&id],
    )
    .await;
    let server = support(&mut app, noon()).await;
    for path in ["timeline", "cancellation"] {
        let answer = ask(&server, "GET", &format!("/bookings/{id}/{path}"), &[], b"").await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    assert_eq!(
        request_status(&server, id, "cancelled", "admin")
            .await
            .status,
        409
    );
}

#[tokio::test]
async fn support_routes_apply_the_same_request_checks_as_run() {
    let mut app = App::new().await;
    let id = app.confirmed(noon() + hours(30)).await;
    let path = format!("/bookings/{id}/status");
    let body = json!({"to": "cancelled", "actor": {"role": "admin"}}).to_string();

    // Without ADMIN_TOKEN the routes do not exist.
    let server = Server::start(&app, &[]).await;
    for path in [&path[..], "/openapi.json"] {
        assert_eq!(
            ask(&server, "POST", path, &[], body.as_bytes())
                .await
                .status,
            404
        );
    }
    let server = support(&mut app, noon()).await;
    assert_eq!(
        request(server.port, "GET", &path, &[], b"")
            .await
            .header("allow"),
        "POST"
    );
    assert_eq!(
        request(server.port, "POST", &path, &[], &[b'x'; 64 * 1024 + 1])
            .await
            .status,
        413
    );
    assert_wrong_tokens_are_refused(&server, &path, &body).await;
    assert_eq!(app.status(id).await, "confirmed");
    assert_calls_are_limited(&app, &server, &path, &body).await;
    assert_eq!(app.status(id).await, "confirmed");
    // The token does not run a pass.
    assert_eq!(ask(&server, "GET", "/run", &[], b"").await.status, 401);
}

async fn assert_wrong_tokens_are_refused(server: &Server, path: &str, body: &str) {
    let cron = format!(
        "Bearer {}",
        "a-bearer-secret-that-has-no-spaces:-0123456789"
    );
    for authorization in [
        "",
        "Bearer ",
        "Bearer a-token-for-support-012345678",
        "Basic eA==",
        &cron,
    ] {
        let headers = [("Authorization", authorization.as_bytes())];
        let answer = request(server.port, "POST", path, &headers, body.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (401, "Bearer"),
            "{authorization}"
        );
    }
    assert_eq!(
        request(server.port, "POST", path, &[], body.as_bytes())
            .await
            .status,
        401
    );
    // The token is checked before an unreadable id.
    assert_eq!(
        request(server.port, "GET", "/bookings/%FF/timeline", &[], b"")
            .await
            .status,
        401
    );
    assert_invalid(
        &ask(server, "GET", "/bookings/%FF/timeline", &[], b"").await,
        400,
        "id",
    );
}

/// All calls with one token count towards one limit.
async fn assert_calls_are_limited(app: &App, server: &Server, path: &str, body: &str) {
    assert_eq!(
        ask(server, "GET", "/openapi.json", &[], b"").await.status,
        200
    );
    app.sql(
        "UPDATE booking_automation_callers SET next_at = now() + interval '60 seconds'",
        &[],
    )
    .await;
    let answer = ask(server, "POST", path, &[], body.as_bytes()).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (429, "application/problem+json")
    );
    assert_eq!(answer.header("retry-after"), "1", "{answer:?}");
}
