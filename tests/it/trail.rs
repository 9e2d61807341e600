//! The audit trail: listing, protection and erasure.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use uuid::Uuid;

use crate::app::{App, connect, hours, minutes, noon};
use crate::client::Header;
use crate::http::Server;
use crate::lambda::example_event;
use crate::runtime_api::Instance;
use crate::status::{ask, support};

/// Creates a sent reminder, a skipped one and a status change.
async fn create_events(app: &App) {
    app.confirmed(noon() + hours(24)).await;
    app.booking("confirmed", noon() + minutes(30)).await;
    app.confirmed(noon() - minutes(1)).await;
    app.run(noon()).await;
}

/// All events, as text.
async fn all_events(app: &App) -> Vec<String> {
    app.column(
        "SELECT e::text FROM booking_automation_events e ORDER BY seq",
        &[],
    )
    .await
}

async fn erasure_records(app: &App) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', kind, day, person_id, events) FROM booking_automation_erasures ORDER BY id";
    app.column(sql, &[]).await
}

#[tokio::test]
async fn final_events_cannot_be_changed_even_by_the_owner() {
    let app = App::new().await;
    create_events(&app).await;
    let before = all_events(&app).await;
    let statuses = "SELECT DISTINCT status FROM booking_automation_events ORDER BY 1";
    assert_eq!(app.column(statuses, &[]).await, ["completed", "skipped"]);
    for sql in [
        "DELETE FROM booking_automation_events",
        "TRUNCATE booking_automation_events",
        "UPDATE booking_automation_events SET status = 'pending'",
        "UPDATE booking_automation_events SET status = 'failed' WHERE status = 'completed'",
        "UPDATE booking_automation_events SET event_data = '{}'",
        "UPDATE booking_automation_events SET event_data = NULL",
        "UPDATE booking_automation_events SET booking_id = gen_random_uuid()",
        "UPDATE booking_automation_events SET executed_at = now(), flag_due = true",
        "UPDATE booking_automation_events SET message_id = 'another' WHERE status = 'completed'",
        "UPDATE booking_automation_events SET reason = 'other' WHERE status = 'skipped'",
        // A record of the retention with a wrong transaction.
        "WITH said AS (INSERT INTO booking_automation_erasures (kind, day, at, transaction)
                       VALUES ('retention', '2020-01-01', now(), pg_current_xact_id()))
         DELETE FROM booking_automation_events",
    ] {
        let refused = app.db.batch_execute(sql).await.expect_err(sql);
        let refused = refused.as_db_error().unwrap();
        assert_eq!(refused.code().code(), "23001", "{sql}: {refused:?}");
        assert!(
            refused
                .message()
                .starts_with("the audit trail cannot be changed"),
            "{refused:?}"
        );
    }
    assert_eq!(all_events(&app).await, before);
    assert!(erasure_records(&app).await.is_empty());
}

#[tokio::test]
async fn only_an_ses_event_turns_a_failed_reminder_into_a_sent_one() {
    let app = App::new().await;
    let sql = "INSERT INTO booking_automation_events (booking_id, event_type, status, rule, audience, channel, event_data)
               SELECT gen_random_uuid(), type, status, '24h', 'customer', 'email', '{\"attempts\": [{\"attempt\": 1}]}'
                 FROM (VALUES ('reminder_sent', 'failed'), ('reminder_sent', 'skipped'), ('status_update', 'failed')) AS v (type, status)";
    app.sql(sql, &[]).await;
    let settled = r#"event_data = '{"attempts": [{"attempt": 1}, {"settled_by": true}]}'"#;
    let doubtful = r#"event_data = '{"attempts": [{"attempt": 1}, {"settled_by": false}]}'"#;
    let rewritten = r#"event_data = '{"attempts": [{"settled_by": true}]}'"#;
    let failed = "WHERE status = 'failed' AND event_type = 'reminder_sent'";
    let before = all_events(&app).await;
    for change in [
        format!("status = 'completed' {failed}"),
        format!("status = 'completed', {doubtful} {failed}"),
        format!("status = 'completed', {rewritten} {failed}"),
        format!("status = 'completed', {settled} WHERE status = 'skipped'"),
        format!("status = 'completed', {settled} WHERE event_type = 'status_update'"),
        format!("status = 'pending', {settled} {failed}"),
        format!("status = 'completed', {settled}, rule = '1h' {failed}"),
        format!("status = 'completed', {settled}, attempts = 7 {failed}"),
        format!("status = 'completed', {settled}, booking_id = gen_random_uuid() {failed}"),
    ] {
        let change = format!("UPDATE booking_automation_events SET {change}");
        let refused = app.db.batch_execute(&change).await.expect_err(&change);
        assert_eq!(refused.code().unwrap().code(), "23001", "{change}");
    }
    assert_eq!(all_events(&app).await, before);
    let word = format!(
        "UPDATE booking_automation_events SET status = 'completed', {settled}, message_id = 'm', executed_at = now() {failed}"
    );
    assert_eq!(app.sql(&word, &[]).await, 1);
}

#[tokio::test]
async fn privileges_and_search_path_do_not_bypass_the_protection() {
    let app = App::new().await;
    create_events(&app).await;
    let before = all_events(&app).await;
    let backend = app.backend_role().await;
    app.db
        .batch_execute("GRANT ALL ON booking_automation_events TO PUBLIC")
        .await
        .unwrap();
    let refused = backend
        .batch_execute("DELETE FROM booking_automation_events")
        .await
        .unwrap_err();
    assert_eq!(
        refused.code().unwrap().code(),
        "23001",
        "not because of a missing privilege: {refused:?}"
    );
    // A function of the same name that returns the transaction id the trigger expects.
    app.db
        .batch_execute(
            "INSERT INTO booking_automation_erasures (kind, day, at, transaction) VALUES ('retention', now(), now(), '3');
             CREATE SCHEMA forged;
             CREATE FUNCTION forged.pg_current_xact_id() RETURNS xid8 LANGUAGE sql AS
                 $$ SELECT transaction FROM public.booking_automation_erasures $$;
             SET search_path = forged, pg_catalog, public",
        )
        .await
        .unwrap();
    let refused = app
        .db
        .batch_execute("DELETE FROM booking_automation_events")
        .await
        .unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "23001", "{refused:?}");
    app.db
        .batch_execute("SET search_path = public")
        .await
        .unwrap();
    assert_eq!(all_events(&app).await, before);
    // Open events are not protected yet.
    let sql = "INSERT INTO booking_automation_events (booking_id, event_type, status) VALUES (gen_random_uuid(), 'x', 'pending')";
    app.sql(sql, &[]).await;
    assert_eq!(
        app.sql(
            "UPDATE booking_automation_events SET claim = 1 WHERE event_type = 'x'",
            &[]
        )
        .await,
        1
    );
    assert_eq!(
        app.sql(
            "DELETE FROM booking_automation_events WHERE event_type = 'x'",
            &[]
        )
        .await,
        1
    );
}

#[tokio::test]
async fn an_erasure_leaves_a_permanent_record() {
    let app = App::new().await;
    create_events(&app).await;
    let say = "INSERT INTO booking_automation_erasures (kind, day, person_id, at, transaction)
               VALUES ('person', '2026-03-01', gen_random_uuid(), now(), pg_current_xact_id())";
    app.sql(say, &[]).await;
    // A record of another transaction allows no deletion.
    app.db
        .batch_execute("DELETE FROM booking_automation_events")
        .await
        .unwrap_err();
    for sql in [
        "DELETE FROM booking_automation_erasures",
        "TRUNCATE booking_automation_erasures",
        "UPDATE booking_automation_erasures SET kind = 'retention'",
        "UPDATE booking_automation_erasures SET events = -1",
        "UPDATE booking_automation_erasures SET person_id = NULL",
        // This would allow a second deletion.
        "UPDATE booking_automation_erasures SET transaction = pg_current_xact_id()",
        "UPDATE booking_automation_erasures SET at = '2020-01-01'",
    ] {
        let refused = app.db.batch_execute(sql).await.expect_err(sql);
        assert_eq!(
            refused.code().unwrap().code(),
            "23001",
            "{sql}: {refused:?}"
        );
    }
    // A record in the same transaction allows the deletion.
    app.db
        .batch_execute(&format!(
            "BEGIN; {say}; DELETE FROM booking_automation_events; COMMIT"
        ))
        .await
        .unwrap();
    assert!(all_events(&app).await.is_empty());
    assert_eq!(erasure_records(&app).await.len(), 2);
}

#[tokio::test]
async fn an_old_retention_record_allows_no_deletion_and_a_new_one_has_the_true_time() {
    let app = App::new().await;
    let say = "INSERT INTO booking_automation_erasures (kind, day, at, transaction) VALUES ('retention', '2020-01-01', '2020-01-01', '3')";
    app.sql(say, &[]).await;
    let told = "SELECT concat_ws(' ', day, at AT TIME ZONE 'UTC', transaction = '3') FROM booking_automation_erasures";
    assert_eq!(
        app.column(told, &[]).await,
        ["2026-03-01 2026-03-01 12:00:00 f"],
        "the trigger sets day, time and transaction"
    );
    // Today's record may only increase its count.
    for change in [
        "kind = 'person', person_id = gen_random_uuid()",
        "day = day - 1",
        "events = events - 1",
    ] {
        let refused = app
            .db
            .execute(
                &format!("UPDATE booking_automation_erasures SET {change}"),
                &[],
            )
            .await
            .expect_err(change);
        assert_eq!(
            refused.code().unwrap().code(),
            "23001",
            "{change}: {refused:?}"
        );
    }
    assert_eq!(
        app.sql(
            "UPDATE booking_automation_erasures SET events = events + 1",
            &[]
        )
        .await,
        1
    );
    app.set_clock(noon() + hours(24)).await;
    create_events(&app).await;
    app.set_clock(noon() + hours(24)).await;
    let reuse = "BEGIN; UPDATE booking_automation_erasures SET transaction = pg_current_xact_id(); DELETE FROM booking_automation_events; COMMIT";
    assert_eq!(
        app.db
            .batch_execute(reuse)
            .await
            .unwrap_err()
            .code()
            .unwrap()
            .code(),
        "23001"
    );
    app.db.batch_execute("ROLLBACK").await.unwrap();
    assert!(!all_events(&app).await.is_empty());
}

#[tokio::test]
async fn unreadable_json_and_dates_do_not_break_the_support_routes() {
    let mut app = App::new().await;
    let id = app.confirmed(noon() + hours(30)).await;
    let plant = format!("SET booking_automation.refund = '{{\"{id}\": 1e999}}'");
    app.db.batch_execute(&plant).await.unwrap();
    app.sql(
        "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
        &[&id],
    )
    .await;
    app.db
        .batch_execute("RESET booking_automation.refund")
        .await
        .unwrap();
    // A start that chrono cannot represent.
    let far = app.confirmed(noon() + hours(30)).await;
    app.sql(
        "UPDATE bookings SET scheduled_at = '294000-01-01' WHERE id = $1",
        &[&far],
    )
    .await;
    let server = support(&mut app, noon()).await;
    for path in [
        "/events".to_owned(),
        format!("/bookings/{id}/timeline"),
        format!("/bookings/{far}/timeline"),
    ] {
        let answer = ask(&server, "GET", &path, &[], b"").await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    assert!(app.call(&["events"]).await.success);
}

#[tokio::test]
async fn retention_records_one_row_a_day_with_the_deleted_count() {
    let app = App::new().await;
    let old = "INSERT INTO booking_automation_events (booking_id, event_type, status, created_at)
               SELECT gen_random_uuid(), 'status_update', 'completed', timestamptz '2020-01-01' FROM generate_series(1, $1)";
    app.run(noon()).await;
    assert!(
        erasure_records(&app).await.is_empty(),
        "nothing was deleted"
    );
    // Deleted runs and pending reminders of any age are not counted.
    let runs = "INSERT INTO automation_runs (id, trigger, as_of, outcome, created_at)
                VALUES (gen_random_uuid(), 'cli', '2020-01-01', 'completed', '2020-01-01')";
    app.sql(runs, &[]).await;
    let waits = "INSERT INTO booking_automation_events (booking_id, event_type, rule, status, starts_at, created_at, next_attempt_at)
                 VALUES (gen_random_uuid(), 'reminder_sent', '24h', 'pending', '2020-01-01', '2020-01-01', now() + interval '1 hour')";
    app.sql(waits, &[]).await;
    app.run(noon() + minutes(1)).await;
    let forgotten = app
        .column(
            "SELECT id::text FROM automation_runs WHERE created_at < '2021-01-01'",
            &[],
        )
        .await;
    assert_eq!(
        (forgotten.len(), erasure_records(&app).await),
        (0, Vec::new())
    );
    app.sql("DELETE FROM booking_automation_events", &[]).await;
    app.sql(old, &[&2500]).await;
    app.run(noon() + minutes(1)).await;
    app.sql(old, &[&3]).await;
    app.run(noon() + minutes(2)).await;
    app.sql(old, &[&4]).await;
    app.run(noon() + hours(24)).await;
    assert_eq!(
        erasure_records(&app).await,
        ["retention 2026-03-01 2503", "retention 2026-03-02 4"]
    );
    assert!(all_events(&app).await.is_empty());
}

/// All events of a query, and the number of pages.
async fn fetch_all_pages(server: &Server, query: &str) -> (Vec<Value>, usize) {
    let (mut events, mut pages, mut before) = (Vec::new(), 0, String::new());
    loop {
        let answer = ask(server, "GET", &format!("/events?{query}{before}"), &[], b"").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.json();
        events.extend(page["events"].as_array().unwrap().iter().cloned());
        pages += 1;
        match page["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => return (events, pages),
        }
    }
}

fn event_ids(events: &[Value]) -> Vec<String> {
    events
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn pages_are_stable_while_events_are_added() {
    let mut app = App::new().await;
    for number in 0..5 {
        app.confirmed(noon() - minutes(1) - minutes(number)).await;
    }
    app.run(noon()).await;
    let in_order = "SELECT id::text FROM booking_automation_events ORDER BY seq DESC";
    let expected = app.column(in_order, &[]).await;
    assert_eq!(expected.len(), 5);
    let server = support(&mut app, noon()).await;

    let first = ask(&server, "GET", "/events?limit=2", &[], b"")
        .await
        .json();
    assert_eq!(
        event_ids(first["events"].as_array().unwrap()),
        expected[..2]
    );
    app.confirmed(noon() - minutes(1)).await;
    app.run(noon() + minutes(1)).await;
    let next = first["next"].as_str().unwrap();
    let second = ask(
        &server,
        "GET",
        &format!("/events?limit=2&before={next}"),
        &[],
        b"",
    )
    .await
    .json();
    assert_eq!(
        event_ids(second["events"].as_array().unwrap()),
        expected[2..4]
    );

    let (events, pages) = fetch_all_pages(&server, "limit=2").await;
    assert_eq!(
        (event_ids(&events), pages),
        (app.column(in_order, &[]).await, 4)
    );
}

#[tokio::test]
async fn events_are_returned_with_their_fields() {
    let mut app = App::new().await;
    let id = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    app.confirmed(noon() - minutes(1)).await;
    app.run(noon() + minutes(1)).await;
    let server = support(&mut app, noon()).await;
    let (events, _) = fetch_all_pages(&server, "").await;

    let change = &events[0];
    assert_eq!(
        (&change["type"], &change["status"]),
        (&json!("status_update"), &json!("completed"))
    );
    assert_eq!(
        (&change["data"]["to"], &change["data"]["by"]),
        (&json!("in_progress"), &json!("booking-automation"))
    );
    assert!(
        change.get("rule").is_none() && change.get("message_id").is_none(),
        "{change}"
    );
    let sent = &events[1];
    let told = [
        "type",
        "rule",
        "audience",
        "channel",
        "status",
        "booking_id",
        "due_at",
        "starts_at",
        "attempts",
    ];
    assert_eq!(
        told.map(|member| sent[member].clone()),
        [
            json!("reminder_sent"),
            json!("24h"),
            json!("customer"),
            json!("email"),
            json!("completed"),
            json!(id),
            json!("2026-03-01T12:00:00Z"),
            json!("2026-03-02T12:00:00Z"),
            json!(1)
        ]
    );
    assert_eq!(
        sent["message_id"],
        sent["data"]["attempts"][0]["message_id"]
    );
    assert!(!server.end().await.contains("ERROR"));
}

#[tokio::test]
async fn message_errors_are_shown_and_database_errors_are_not() {
    let mut app = App::new().await;
    app.ses
        .answer(|_| crate::ses::Answer::Error(400, "MessageRejected", "not this one"));
    app.confirmed(noon() + hours(24)).await;
    app.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'of carla@customers.example'; END $$",
        &[],
    )
    .await;
    app.sql("CREATE TRIGGER refuse BEFORE UPDATE OF status ON bookings FOR EACH ROW EXECUTE FUNCTION refuse()", &[])
        .await;
    app.confirmed(noon() - minutes(1)).await;
    app.run(noon()).await;
    let server = support(&mut app, noon()).await;
    let (events, _) = fetch_all_pages(&server, "status=failed").await;
    let of = |kind: &str| events.iter().find(|event| event["type"] == kind).unwrap();
    assert!(
        of("reminder_sent")["error"]
            .as_str()
            .unwrap()
            .contains("not this one"),
        "{events:?}"
    );
    let refused = of("status_update");
    assert_eq!(
        (&refused["reason"], refused.get("error")),
        (&json!("refused"), None),
        "{refused}"
    );
    assert!(!refused.to_string().contains("carla"));
}

#[tokio::test]
async fn filters_find_rare_events_behind_many_others() {
    let mut app = App::new().await;
    let rare = app.confirmed(noon() - minutes(1)).await;
    app.run(noon()).await;
    let others = "INSERT INTO booking_automation_events (booking_id, event_type, status, reason, created_at)
                  SELECT gen_random_uuid(), 'reminder_sent', 'skipped', 'booked_late', $2::timestamptz + n * interval '1 second'
                    FROM generate_series(1, $1) AS n";
    app.sql(others, &[&45_000, &(noon() + hours(100))]).await;
    let server = support(&mut app, noon()).await;

    let (found, pages) = fetch_all_pages(&server, "type=status_update").await;
    assert_eq!(
        (found.len(), pages),
        (1, 3),
        "each page looks at 20 000 rows"
    );
    assert_eq!(found[0]["booking_id"], json!(rare));
    let (found, pages) = fetch_all_pages(&server, &format!("booking={rare}")).await;
    assert_eq!((found.len(), pages), (1, 1), "one page by the index");
    let (found, _) = fetch_all_pages(
        &server,
        "status=skipped&limit=500&since=2026-03-06T04:29:30Z",
    )
    .await;
    assert_eq!(found.len(), 31, "both bounds are inclusive, to the second");
    let (found, _) = fetch_all_pages(&server, "until=2026-03-05T16:00:02Z&status=skipped").await;
    assert_eq!(found.len(), 1);
    let (found, pages) = fetch_all_pages(&server, "status=completed&limit=1").await;
    assert_eq!((found.len(), pages), (1, 4), "the last page is empty");
    let (found, _) = fetch_all_pages(
        &server,
        "status=skipped&limit=500&since=2026-03-06T04:20:01Z",
    )
    .await;
    assert_eq!(found.len(), 600);
    let page = ask(&server, "GET", "/events?status=skipped&limit=7", &[], b"")
        .await
        .json();
    assert_eq!(page["events"].as_array().unwrap().len(), 7);
    let times: Vec<_> = found
        .iter()
        .map(|event| event["at"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        times.is_sorted_by(|one, next| one > next),
        "the newest first"
    );
    // The search stops at events that are too old.
    app.sql_without_triggers(
        "UPDATE booking_automation_events SET created_at = '2026-02-01' WHERE seq < 20000",
    )
    .await;
    let (found, pages) = fetch_all_pages(&server, "since=2026-03-06T10:00:00Z").await;
    assert_eq!((found.len(), pages), (0, 2));
}

#[tokio::test]
async fn invalid_input_is_refused_with_its_field_and_logs_no_error() {
    let mut app = App::new().await;
    create_events(&app).await;
    let before = all_events(&app).await;
    let server = support(&mut app, noon()).await;
    let long = format!("type={}", "x".repeat(201));
    for (query, status, field) in [
        ("limit=0", 400, "limit"),
        ("limit=501", 400, "limit"),
        ("limit=99999999999999999999", 400, "limit"),
        ("limit=x", 400, "limit"),
        ("before=0", 400, "before"),
        ("before=-1", 400, "before"),
        ("before=abc", 400, "before"),
        ("before=9223372036854775808", 400, "before"),
        ("booking=7", 400, "booking"),
        ("status=done", 422, "status"),
        ("since=yesterday", 400, "since"),
        ("until=2026-13-01T00:00:00Z", 400, "until"),
        ("type=%00", 400, "type"),
        ("type=", 400, "type"),
        (&long, 400, "type"),
        ("page=2", 400, "page"),
        ("limit=1&limit=2", 400, "limit"),
    ] {
        let answer = ask(&server, "GET", &format!("/events?{query}"), &[], b"").await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, "application/problem+json"),
            "{query}"
        );
        assert_eq!(answer.json()["field"], field, "{query}");
    }
    for (id, status) in [("7", 400), (&Uuid::nil().to_string(), 404)] {
        let answer = ask(
            &server,
            "DELETE",
            &format!("/people/{id}/messages"),
            &[],
            b"",
        )
        .await;
        assert_eq!(
            (answer.status, &answer.json()["field"]),
            (status, &json!("id")),
            "{id}"
        );
    }
    assert_eq!(
        (all_events(&app).await, erasure_records(&app).await),
        (before, Vec::new())
    );
    assert!(!server.end().await.contains("ERROR"));
    let said = app.call(&["events", "--since", "yesterday"]).await;
    assert!(
        !said.success && said.stderr.contains("how long ago, such as 24h"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn the_events_command_streams_json_lines_with_bounded_memory() {
    let app = App::new().await;
    let many = "INSERT INTO booking_automation_events (booking_id, event_type, event_data, status, created_at)
                SELECT gen_random_uuid(), 'status_update', jsonb_build_object('reason', repeat(md5(n::text), 60)), 'completed',
                       $1::timestamptz + n * interval '1 second'
                  FROM generate_series(1, 30000) AS n";
    app.sql(many, &[&noon()]).await;

    let mut process = app
        .command(&["events"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let (mut seen, mut bytes, mut peak) = (BTreeSet::new(), 0, 0);
    while let Some(line) = lines.next_line().await.unwrap() {
        let event: Value = serde_json::from_str(&line).unwrap();
        seen.insert(event["id"].as_str().unwrap().to_owned());
        bytes += line.len();
        if seen.len() == 29_000 {
            let status =
                std::fs::read_to_string(format!("/proc/{}/status", process.id().unwrap())).unwrap();
            let line = status
                .lines()
                .find(|line| line.starts_with("VmHWM:"))
                .unwrap();
            peak = line
                .split_whitespace()
                .nth(1)
                .unwrap()
                .parse::<usize>()
                .unwrap()
                * 1024;
        }
    }
    assert!(process.wait().await.unwrap().success());
    assert_eq!(seen.len(), 30_000);
    assert!(
        bytes > 60_000_000 && peak < bytes / 2,
        "{bytes} bytes were told, {peak} held"
    );

    let since = noon() + hours(8) + minutes(19);
    let said = app.call(&["events", "--since", &since.to_rfc3339()]).await;
    assert!(said.success, "{}", said.stderr);
    assert_eq!(said.stdout.lines().count(), 61);
    assert!(said.stderr.contains("count=61"), "{}", said.stderr);
    let first: Value = serde_json::from_str(said.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(first["at"], "2026-03-01T20:20:00Z", "the newest first");
}

/// Erases a person's data through the support API; returns the answer.
async fn erase_person(server: &Server, person: Uuid) -> Value {
    ask(
        server,
        "DELETE",
        &format!("/people/{person}/messages"),
        &[],
        b"",
    )
    .await
    .json()
}

/// Erases a person's data: so many messages and reasons.
async fn assert_erased(server: &Server, person: Uuid, messages: i64, reasons: i64) {
    let erased = erase_person(server, person).await;
    assert_eq!(
        (&erased["messages"], &erased["reasons"]),
        (&json!(messages), &json!(reasons)),
        "{erased}"
    );
}

/// Changes a booking's status in a person's name.
async fn take_step(
    server: &Server,
    booking: Uuid,
    to: &str,
    actor: (&str, &str),
    reason: Option<&str>,
) {
    take_step_with_key(server, booking, to, actor, reason, &[]).await;
}

/// The same, with an `Idempotency-Key`.
async fn take_step_with_key(
    server: &Server,
    booking: Uuid,
    to: &str,
    (role, person): (&str, &str),
    reason: Option<&str>,
    key: &[Header<'_>],
) {
    let body =
        json!({"to": to, "actor": {"role": role, "id": person}, "reason": reason}).to_string();
    let answer = ask(
        server,
        "POST",
        &format!("/bookings/{booking}/status"),
        key,
        body.as_bytes(),
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Makes Otto the customer of a booking.
async fn give_booking_to_otto(app: &App, booking: Uuid) -> Uuid {
    let otto = app
        .person("Otto Other", Some("otto@others.example"), "UTC")
        .await;
    app.sql(
        "UPDATE bookings SET customer_id = $2 WHERE id = $1",
        &[&booking, &otto],
    )
    .await;
    otto
}

#[tokio::test]
async fn erasing_a_person_keeps_the_data_of_others_on_the_same_booking() {
    let mut app = App::new().await;
    app.sql(
        "INSERT INTO reminder_rules (name, lead, audience) VALUES ('24h', '24 hours', 'provider')",
        &[],
    )
    .await;
    app.sql(
        "UPDATE reminder_rules SET effective_from = '2020-01-01'",
        &[],
    )
    .await;
    let (customer, provider) = (app.customer.to_string(), app.provider.to_string());
    let id = app.confirmed(noon() + hours(24)).await;
    let ottos = app.confirmed(noon() + hours(24)).await;
    let otto = give_booking_to_otto(&app, ottos).await;
    app.run(noon()).await;
    // An event that the user's backend wrote.
    let theirs =
        "INSERT INTO booking_automation_events (booking_id, event_type, audience, event_data)
                  VALUES ($1, 'notification_sent', 'provider', '{\"text\": \"x\"}')";
    app.sql(theirs, &[&id]).await;
    let server = support(&mut app, noon()).await;
    take_step(
        &server,
        id,
        "cancelled",
        ("customer", &customer),
        Some("ill"),
    )
    .await;
    take_step(
        &server,
        id,
        "refunded",
        ("admin", &provider),
        Some("of support's"),
    )
    .await;

    assert_erased(&server, otto, 1, 0).await;
    let erased = "SELECT audience FROM booking_automation_events WHERE event_data ? 'forgotten'";
    assert_eq!(
        app.column(erased, &[]).await,
        ["customer"],
        "no message to the provider is erased"
    );
    assert_erased(&server, app.provider, 2, 0).await;
    let kept = "SELECT concat_ws(' ', event_type, audience, message_id IS NOT NULL, event_data ? 'forgotten', event_data ->> 'reason', event_data ->> 'text')
                  FROM booking_automation_events WHERE booking_id = $1 ORDER BY event_type DESC, seq";
    insta::assert_snapshot!(app.column(kept, &[&id]).await.join("\n"), @r"
    status_update  f f ill
    status_update  f f of support's
    reminder_sent customer t f
    reminder_sent provider f t
    notification_sent provider f f x
    ");
    assert_only_the_reason_of_a_block_is_erased(&app, &server).await;

    // A step without a reason has no reason to erase.
    let other = app.confirmed(noon() + hours(30)).await;
    take_step(&server, other, "cancelled", ("customer", &customer), None).await;
    assert_erased(&server, app.customer, 1, 1).await;
}

async fn assert_only_the_reason_of_a_block_is_erased(app: &App, server: &Server) {
    let provider = app.provider.to_string();
    let undone = app.confirmed(noon() - minutes(10)).await;
    take_step(
        server,
        undone,
        "confirmed",
        ("provider", &provider),
        Some("nobody came"),
    )
    .await;
    assert_eq!(erase_person(server, app.provider).await["reasons"], 1);
    let timeline = ask(
        server,
        "GET",
        &format!("/bookings/{undone}/timeline"),
        &[],
        b"",
    )
    .await;
    assert!(!timeline.body.contains("nobody came"), "{timeline:?}");
    assert_eq!(timeline.json()["booking"]["automation_blocked"], true);
}

#[tokio::test]
async fn erasing_a_person_leaves_a_message_that_is_being_claimed() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let (id, other) = (
        app.confirmed(noon() + hours(23)).await,
        connect(&app.url).await,
    );
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
    // The lock may be released too late; then try again.
    for _ in 0..50 {
        let message = "INSERT INTO booking_automation_events
                              (booking_id, event_type, rule, audience, channel, status, starts_at, next_attempt_at, revision)
                       VALUES ($1, 'reminder_sent', '24h', 'customer', 'email', 'pending', now(), now(), 1)";
        app.sql(message, &[&id]).await;
        let claim = "BEGIN; UPDATE booking_automation_events SET status = 'sending', claim = 1, lease_until = now()";
        other.batch_execute(claim).await.unwrap();
        let let_go = async {
            app.wait_until(waits).await;
            other.batch_execute("COMMIT").await.unwrap();
        };
        let path = format!("/people/{}/messages", app.customer);
        let (answer, ()) = tokio::join!(ask(&server, "DELETE", &path, &[], b""), let_go);
        if answer.status == 200 {
            let told = answer.json();
            assert_eq!(
                (&told["messages"], &told["under_way"]),
                (&json!(0), &json!(1)),
                "{told}"
            );
            let claimed = "SELECT lease_until IS NOT NULL FROM booking_automation_events WHERE status = 'sending'";
            assert!(app.one(claimed, &[]).await.get::<_, bool>(0));
            return;
        }
        assert_eq!(answer.status, 409, "{answer:?}");
        app.sql("DELETE FROM booking_automation_events", &[]).await;
    }
    panic!("the lock was never released in time");
}

/// Hands the function an SES event about a booking's only message.
async fn deliver_ses_event(
    app: &App,
    instance: &Instance,
    name: &str,
    booking: Uuid,
    message_id: Option<&str>,
) {
    let sql = "SELECT id::text FROM booking_automation_events WHERE booking_id = $1";
    let id: String = app.one(sql, &[&booking]).await.get(0);
    let mut event = example_event(name);
    event["detail"]["mail"]["tags"]["event_id"] = json!([id]);
    if let Some(message_id) = message_id {
        event["detail"]["mail"]["messageId"] = message_id.into();
    }
    instance.invoke(&event).await.unwrap();
}

/// Adds a queued 24 h reminder to the customer of a booking.
async fn add_queued_reminder(app: &App, booking: Uuid, status: &str) {
    let sql = "INSERT INTO booking_automation_events
                      (booking_id, event_type, rule, audience, channel, status, starts_at, next_attempt_at, revision, event_data)
               SELECT id, 'reminder_sent', '24h', 'customer', 'email', $2, scheduled_at, $3, 1, '{\"attempts\": [{\"error\": \"x\"}]}'
                 FROM bookings WHERE id = $1";
    app.sql(sql, &[&booking, &status, &(noon() + hours(1))])
        .await;
}

/// The bookings that SES events are stored for.
async fn bookings_with_feedback(app: &App) -> Vec<String> {
    app.column(
        "SELECT booking_id::text FROM booking_automation_feedback",
        &[],
    )
    .await
}

/// What another person's data is in: events, the block with its reason, and the stored answer to a
/// request.
async fn data_of_others(app: &App, booking: Uuid) -> [Vec<String>; 3] {
    let events = "SELECT e::text FROM booking_automation_events e WHERE booking_id = $1";
    let blocks = "SELECT concat_ws(' ', booking_id, blocked_reason) FROM booking_automation_state WHERE blocked_reason IS NOT NULL";
    let answers = "SELECT answer::text FROM booking_automation_requests WHERE key LIKE '%:5a3d'";
    [
        app.column(events, &[&booking]).await,
        app.column(blocks, &[]).await,
        app.column(answers, &[]).await,
    ]
}

#[tokio::test]
async fn erasing_a_person_removes_their_data_and_keeps_the_counts() {
    let mut app = App::new().await;
    let (customer, provider) = (app.customer.to_string(), app.provider.to_string());
    let (theirs, other) = (
        app.confirmed(noon() + hours(24)).await,
        app.confirmed(noon() + hours(24)).await,
    );
    give_booking_to_otto(&app, other).await;
    app.run(noon()).await;
    assert_eq!(app.ses.mails().len(), 2);
    let instance = Instance::start(&app).await;
    for id in [theirs, other] {
        let sql = "SELECT message_id FROM booking_automation_events WHERE booking_id = $1";
        let message_id: String = app.one(sql, &[&id]).await.get(0);
        deliver_ses_event(&app, &instance, "ses-delivery", id, Some(&message_id)).await;
    }
    // The customer's data: a message that waits, one in flight, and a reason.
    let (waits, sending) = (
        app.confirmed(noon() + hours(23)).await,
        app.confirmed(noon() + hours(22)).await,
    );
    add_queued_reminder(&app, waits, "pending").await;
    add_queued_reminder(&app, sending, "sending").await;
    let server = support(&mut app, noon()).await;
    let cancelled = app.confirmed(noon() + hours(50)).await;
    let (actor, key) = (
        ("customer", &customer.to_uppercase()[..]),
        [("Idempotency-Key", &b"4f2c"[..])],
    );
    take_step_with_key(&server, cancelled, "cancelled", actor, Some("ill"), &key).await;
    // The provider's data: a reason, the block that it explains, and the stored answer.
    let undone = app.confirmed(noon() - minutes(10)).await;
    let (actor, key) = (
        ("provider", &provider[..]),
        [("Idempotency-Key", &b"5a3d"[..])],
    );
    take_step_with_key(
        &server,
        undone,
        "confirmed",
        actor,
        Some("nobody came"),
        &key,
    )
    .await;
    let before = data_of_others(&app, other).await;
    assert_eq!(before[1], [format!("{undone} nobody came")]);
    assert!(
        before[2].len() == 1 && before[2][0].contains("nobody came"),
        "{before:?}"
    );

    assert_eq!(
        erase_person(&server, app.customer).await,
        json!({"person_id": customer, "messages": 2, "not_sent": 1, "feedback": 1, "reasons": 1, "under_way": 1, "remaining": 0})
    );
    assert_customer_is_erased(&app, theirs, waits, cancelled).await;
    assert_eq!(data_of_others(&app, other).await, before);
    assert_eq!(
        app.column(
            "SELECT split_part(key, ':', 2) FROM booking_automation_requests",
            &[]
        )
        .await,
        ["5a3d"]
    );
    assert_eq!(bookings_with_feedback(&app).await, [other.to_string()]);
    assert_eq!(
        erasure_records(&app).await,
        [format!("person 2026-03-01 {customer} 3")]
    );
    assert_nothing_is_stored_or_sent_again(&app, &server, &instance, theirs, other, waits).await;
    let log = server.end().await;
    assert!(!log.contains("carla") && !log.contains("ill"), "{log}");
}

async fn assert_nothing_is_stored_or_sent_again(
    app: &App,
    server: &Server,
    instance: &Instance,
    sent_to_them: Uuid,
    other: Uuid,
    waiting: Uuid,
) {
    // A second erasure finds only the message that was in flight.
    let sent = "UPDATE booking_automation_events SET status = 'completed', next_attempt_at = NULL WHERE status = 'sending'";
    app.sql(sent, &[]).await;
    let again = erase_person(server, app.customer).await;
    assert_eq!(
        (&again["messages"], &again["under_way"], &again["feedback"]),
        (&json!(1), &json!(0), &json!(0))
    );
    // Later SES events of the erased message are not stored.
    deliver_ses_event(app, instance, "ses-bounce", sent_to_them, None).await;
    assert_eq!(bookings_with_feedback(app).await, [other.to_string()]);
    // The waiting message is not sent, and the timeline says why.
    app.run(noon() + hours(1)).await;
    assert_eq!(app.ses.mails().len(), 2);
    let timeline = ask(
        server,
        "GET",
        &format!("/bookings/{waiting}/timeline"),
        &[],
        b"",
    )
    .await
    .json();
    assert_eq!(
        timeline["happened"][0]["text"],
        "The 24h reminder to the customer by email was not sent: the person's data was erased."
    );
}

/// Of the messages only the counts are left; of the step, everything but the reason.
async fn assert_customer_is_erased(app: &App, sent: Uuid, waiting: Uuid, cancelled: Uuid) {
    let kept = "SELECT concat_ws(' ', rule, audience, channel, status, reason, attempts, message_id, error_message, event_data)
                  FROM booking_automation_events WHERE booking_id = $1";
    assert_eq!(
        app.column(kept, &[&sent]).await,
        ["24h customer email completed 1 {\"sequence\": 2, \"forgotten\": true}"]
    );
    assert_eq!(
        app.column(kept, &[&waiting]).await,
        ["24h customer email skipped forgotten 0 {\"forgotten\": true}"]
    );
    let step = "SELECT event_data::text FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'status_update'";
    let step = app.column(step, &[&cancelled]).await.join("");
    assert!(
        step.contains("\"to\": \"cancelled\"") && !step.contains("ill"),
        "{step}"
    );
}
