//! Old rows are deleted in small batches, and only those.

use serde_json::Value;
use uuid::Uuid;

use crate::app::{App, connect, hours, noon};

/// Inserts final events of so many days ago.
async fn insert_old_rows(app: &App, count: i32, days: i32) {
    app.sql(
        "INSERT INTO booking_automation_events (booking_id, event_type, status, created_at, executed_at, starts_at, rule, revision)
         SELECT gen_random_uuid(), CASE n % 2 WHEN 0 THEN 'status_update' ELSE 'reminder_sent' END,
                (ARRAY['completed', 'failed', 'skipped'])[n % 3 + 1], at, at, CASE n % 2 WHEN 1 THEN at + interval '1 day' END, '24h', 1
           FROM generate_series(1, $1) AS n, LATERAL (SELECT now() - $2 * interval '1 day' AS at) AS moment",
        &[&count, &f64::from(days)],
    )
    .await;
}

async fn count_rows(app: &App, table: &str) -> i64 {
    app.one(&format!("SELECT count(*) FROM {table}"), &[])
        .await
        .get(0)
}

async fn run_now(app: &App) -> Value {
    app.call(&["run"]).await.summary()
}

#[tokio::test]
async fn events_and_runs_are_deleted_after_their_retention() {
    let mut app = App::new().await;
    run_now(&app).await;
    let runs = "INSERT INTO automation_runs (id, trigger, as_of, outcome, created_at, webhook_id)
                SELECT gen_random_uuid(), 'cli', at, 'completed', at, 'msg_' || days
                  FROM unnest($1::int[]) AS days, LATERAL (SELECT now() - days * interval '1 day' AS at) AS moment";
    app.sql(runs, &[&vec![29, 31, 399, 401]]).await;
    let feedback = "INSERT INTO booking_automation_feedback (event_id, booking_id, kind, message_id, occurred_at, details, created_at)
                    SELECT gen_random_uuid(), gen_random_uuid(), 'sent', days::text, now(), '{}', now() - days * interval '1 day'
                      FROM unnest($1::int[]) AS days";
    app.sql(feedback, &[&vec![401, 399]]).await;
    for days in [399, 402] {
        insert_old_rows(&app, 6, days).await;
    }
    run_now(&app).await;
    let left = app
        .column(
            "SELECT DISTINCT (now()::date - created_at::date)::text FROM booking_automation_events",
            &[],
        )
        .await;
    assert!(left == ["399"] || left == ["400"], "{left:?}");
    assert_eq!(count_rows(&app, "booking_automation_events").await, 6);
    assert_eq!(
        app.column("SELECT message_id FROM booking_automation_feedback", &[])
            .await,
        ["399"]
    );
    let old_runs = app
        .column(
            "SELECT webhook_id FROM automation_runs WHERE webhook_id IS NOT NULL",
            &[],
        )
        .await;
    assert_eq!(old_runs, ["msg_29"]);

    app.env.insert("RETENTION", "30d".to_owned());
    run_now(&app).await;
    assert_eq!(count_rows(&app, "booking_automation_events").await, 0);
    assert_eq!(count_rows(&app, "booking_automation_feedback").await, 0);
    assert_eq!(
        app.column(
            "SELECT webhook_id FROM automation_runs WHERE webhook_id IS NOT NULL",
            &[]
        )
        .await,
        ["msg_29"]
    );
}

#[tokio::test]
async fn the_state_of_an_ended_booking_is_deleted_with_its_last_event() {
    let mut app = App::new().await;
    app.env.insert("RETENTION", "30d".to_owned());
    let mut ids = Vec::new();
    for status in ["cancelled", "refunded", "paid", "cancelled", "cancelled"] {
        let id = app.confirmed(noon() + hours(24)).await;
        app.sql(
            "UPDATE bookings SET status = $2 WHERE id = $1",
            &[&id, &status],
        )
        .await;
        ids.push(id);
    }
    let [cancelled, refunded, may_come_back, deleted, of_late] = ids[..] else {
        unreachable!()
    };
    app.sql("DELETE FROM bookings WHERE id = $1", &[&deleted])
        .await;
    app.sql_without_triggers(
        "UPDATE booking_automation_events SET created_at = now() - interval '31 days'",
    )
    .await;
    app.sql("INSERT INTO booking_automation_events (booking_id, event_type) VALUES ($1, 'status_update')", &[&of_late])
        .await;
    assert_eq!(count_rows(&app, "booking_automation_state").await, 5);

    run_now(&app).await;
    let left = app
        .column(
            "SELECT booking_id::text FROM booking_automation_state ORDER BY booking_id",
            &[],
        )
        .await;
    let mut expected = [may_come_back.to_string(), of_late.to_string()];
    expected.sort();
    assert_eq!(left, expected);
    assert_eq!(count_rows(&app, "booking_automation_events").await, 1);

    // A booking that is confirmed again is reminded as if it were new.
    for id in [cancelled, refunded] {
        app.set_clock(noon()).await;
        app.sql(
            "UPDATE bookings SET status = 'confirmed' WHERE id = $1",
            &[&id],
        )
        .await;
    }
    app.run(noon() + hours(1)).await;
    assert_eq!(app.reminders(cancelled).await, ["24h completed"]);
    assert_eq!(app.reminders(refunded).await, ["24h completed"]);
}

#[tokio::test]
async fn each_table_is_pruned_independently() {
    let app = App::new().await;
    run_now(&app).await;
    insert_old_rows(&app, 6, 399).await;
    for (table, columns, values, age) in [
        (
            "booking_automation_feedback",
            "event_id, booking_id, kind, message_id, occurred_at, details",
            "gen_random_uuid(), gen_random_uuid(), 'sent', gen_random_uuid(), now(), '{}'",
            "401 days",
        ),
        (
            "booking_automation_requests",
            "key, digest",
            "gen_random_uuid(), ''",
            "25 hours",
        ),
        (
            "automation_runs",
            "id, trigger, as_of, outcome",
            "gen_random_uuid(), 'cli', '2020-01-01'::timestamptz, 'completed'",
            "31 days",
        ),
    ] {
        for (age, rows) in [(age, 1), ("0 s", 1000)] {
            let sql = format!(
                "INSERT INTO {table} ({columns}, created_at)
                 SELECT {values}, now() - interval '{age}' FROM generate_series(1, {rows})"
            );
            app.sql(&sql, &[]).await;
        }
        // The oldest row is stored after the others.
        let old = format!("created_at < now() - interval '{age}' + interval '1 hour'");
        app.sql(
            &format!("UPDATE {table} SET created_at = created_at WHERE {old}"),
            &[],
        )
        .await;
        assert_eq!(
            count_rows(&app, &format!("{table} WHERE {old}")).await,
            1,
            "{table}"
        );
        run_now(&app).await;
        assert_eq!(
            count_rows(&app, &format!("{table} WHERE {old}")).await,
            0,
            "{table}"
        );
        assert!(
            count_rows(&app, table).await >= 1000,
            "today's stay: {table}"
        );
    }
    assert_eq!(count_rows(&app, "booking_automation_events").await, 6);
    assert_eq!(
        count_rows(&app, "booking_automation_erasures").await,
        0,
        "no event was deleted"
    );
}

#[tokio::test]
async fn the_record_of_sms_and_replies_is_deleted_with_events_and_that_of_soft_bounces_after_thirty_days()
 {
    let mut app = App::new().await;
    run_now(&app).await;
    // Nothing else has expired.
    let sms = "INSERT INTO booking_automation_sms (event_id, address_hash, claimed_at)
               SELECT gen_random_uuid(), '', now() - days * interval '1 day' FROM unnest($1::int[]) AS days";
    app.sql(sms, &[&vec![0, 29, 31, 399, 401]]).await;
    let sms_left = "SELECT round(extract(epoch FROM now() - claimed_at) / 86400)::text
                      FROM booking_automation_sms ORDER BY claimed_at DESC";
    run_now(&app).await;
    assert_eq!(app.column(sms_left, &[]).await, ["0", "29", "31", "399"]);
    let bounces = "INSERT INTO booking_automation_soft_bounces (address_hash, message_id, event_id, bounced_at)
                   SELECT '', days, gen_random_uuid(), now() - days * interval '1 day' FROM unnest($1::int[]) AS days";
    app.sql(bounces, &[&vec![0, 29, 31, 300]]).await;
    let bounces_left =
        "SELECT message_id FROM booking_automation_soft_bounces ORDER BY bounced_at DESC";
    run_now(&app).await;
    assert_eq!(app.column(bounces_left, &[]).await, ["0", "29"]);
    let replies = "INSERT INTO booking_automation_sms_replies (inbound_id, event_id, address_hash, meaning, said_at, received_at)
                   SELECT days, gen_random_uuid(), '', 'other', now(), now() - days * interval '1 day' FROM unnest($1::int[]) AS days";
    app.sql(replies, &[&vec![0, 29, 31]]).await;
    let replies_left =
        "SELECT inbound_id FROM booking_automation_sms_replies ORDER BY received_at DESC";
    run_now(&app).await;
    assert_eq!(app.column(replies_left, &[]).await, ["0", "29", "31"]);
    app.env.insert("RETENTION", "30d".to_owned());
    run_now(&app).await;
    assert_eq!(app.column(sms_left, &[]).await, ["0", "29"]);
    assert_eq!(app.column(replies_left, &[]).await, ["0", "29"]);
    // Before `migrate`, there is none.
    app.db
        .batch_execute("DROP TABLE booking_automation_sms, booking_automation_push_tokens, booking_automation_soft_bounces, booking_automation_sms_replies")
        .await
        .unwrap();
    insert_old_rows(&app, 6, 402).await;
    run_now(&app).await;
    assert_eq!(count_rows(&app, "booking_automation_events").await, 0);
}

#[tokio::test]
async fn old_rows_that_are_still_needed_are_kept() {
    let mut app = App::new().await;
    app.env.insert("RETENTION", "30d".to_owned());
    // Pending, claimed, with a future start, and the run that the next pass continues from.
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    app.sql_without_triggers(
        "UPDATE booking_automation_events SET starts_at = now() + interval '1 hour'",
    )
    .await;
    app.sql(
        "UPDATE automation_runs SET as_of = now() - interval '50 days'",
        &[],
    )
    .await;
    for status in ["pending", "sending"] {
        let sql =
            "INSERT INTO booking_automation_events (booking_id, event_type, status, starts_at, next_attempt_at, rule)
                   VALUES (gen_random_uuid(), 'reminder_sent', $1, '2020-01-01', now() + interval '1 hour', '24h')";
        app.sql(sql, &[&status]).await;
    }
    app.sql_without_triggers(
        "UPDATE booking_automation_events SET created_at = now() - interval '500 days'",
    )
    .await;
    app.sql(
        "UPDATE automation_runs SET created_at = now() - interval '500 days'",
        &[],
    )
    .await;
    insert_old_rows(&app, 10, 500).await;
    // The next pass starts where this run ended.
    let before: String = app
        .one("SELECT id::text FROM automation_runs", &[])
        .await
        .get(0);
    run_now(&app).await;
    assert_eq!(app.reminders(booking).await, ["24h completed"]);
    let left = app
        .column("SELECT status FROM booking_automation_events WHERE event_type = 'reminder_sent' ORDER BY seq", &[])
        .await;
    assert_eq!(left, ["completed", "pending", "sending"]);
    assert_eq!(
        count_rows(&app, "automation_runs").await,
        1,
        "the old run is deleted when there is a newer one"
    );
    assert_ne!(
        app.column("SELECT id::text FROM automation_runs", &[])
            .await,
        [before]
    );
    // The newest completed run is kept, even if it is old; a failed run does not replace it.
    app.sql(
        "UPDATE automation_runs SET created_at = now() - interval '500 days', as_of = now() + interval '1 hour'",
        &[],
    )
    .await;
    let failed = "INSERT INTO automation_runs (id, trigger, as_of, outcome, created_at)
                  SELECT gen_random_uuid(), 'cli', as_of + interval '1 hour', 'failed', created_at FROM automation_runs";
    app.sql(failed, &[]).await;
    run_now(&app).await;
    assert_eq!(
        app.column("SELECT outcome FROM automation_runs", &[]).await,
        ["completed"; 2]
    );
}

#[tokio::test]
async fn old_rows_are_deleted_in_batches_without_waiting_for_locks() {
    let app = App::new().await;
    insert_old_rows(&app, 25_000, 450).await;
    // Another session locks one row all the time.
    let other = connect(&app.url).await;
    let locked: String = other
        .query_one(
            "SELECT id::text FROM booking_automation_events ORDER BY created_at, id LIMIT 1",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    other
        .batch_execute(&format!(
            "BEGIN; SELECT FROM booking_automation_events WHERE id = '{locked}' FOR UPDATE"
        ))
        .await
        .unwrap();
    for left in [15_000, 5_000] {
        run_now(&app).await;
        assert_eq!(count_rows(&app, "booking_automation_events").await, left);
    }
    // Several instances delete while they send mail.
    let mut bookings = Vec::new();
    for _ in 0..20 {
        bookings.push(app.booking_due_now().await);
    }
    let summaries = futures_util::future::join_all((0..4).map(|_| run_now(&app))).await;
    let sent: i64 = summaries
        .iter()
        .filter_map(|summary| summary["reminders"]["sent"].as_i64())
        .sum();
    assert_eq!(sent, 20);
    run_now(&app).await;
    assert_eq!(
        app.column("SELECT id::text FROM booking_automation_events WHERE created_at < now() - interval '1 day'", &[])
            .await,
        [locked]
    );
    for booking in bookings {
        assert_eq!(app.reminders(booking).await, ["24h completed"]);
    }
    other.batch_execute("COMMIT").await.unwrap();
    run_now(&app).await;
    assert_eq!(count_rows(&app, "booking_automation_events").await, 20);
}

#[tokio::test]
async fn no_statement_deletes_more_than_a_thousand_rows() {
    let app = App::new().await;
    app.db
        .batch_execute(
            "CREATE TABLE forgotten (relation text, count bigint);
             CREATE FUNCTION forgotten() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
                BEGIN INSERT INTO forgotten SELECT TG_RELID::regclass, count(*) FROM gone; RETURN NULL; END $$",
        )
        .await
        .unwrap();
    let tables = [
        "automation_runs",
        "booking_automation_events",
        "booking_automation_feedback",
        "booking_automation_requests",
    ];
    for table in tables {
        let trigger = format!(
            "CREATE TRIGGER forgotten AFTER DELETE ON {table} REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION forgotten()"
        );
        app.db.batch_execute(&trigger).await.unwrap();
    }
    insert_old_rows(&app, 1500, 450).await;
    app.db
        .batch_execute(
            "INSERT INTO booking_automation_feedback (event_id, booking_id, kind, message_id, occurred_at, details, created_at)
             SELECT gen_random_uuid(), gen_random_uuid(), 'sent', n::text, now(), '{}', now() - interval '450 days' FROM generate_series(1, 1500) AS n;
             INSERT INTO booking_automation_requests (key, digest, created_at)
             SELECT n::text, '', now() - interval '2 days' FROM generate_series(1, 1500) AS n;
             INSERT INTO automation_runs (id, trigger, as_of, outcome, created_at)
             SELECT gen_random_uuid(), 'cli', now() - interval '450 days', 'completed', now() - interval '450 days' FROM generate_series(1, 1500)",
        )
        .await
        .unwrap();
    run_now(&app).await;
    let counts = app
        .column(
            "SELECT concat_ws(' ', relation, count) FROM forgotten WHERE count > 0 ORDER BY relation, count DESC",
            &[],
        )
        .await;
    let expected: Vec<_> = tables
        .iter()
        .flat_map(|table| [format!("{table} 1000"), format!("{table} 500")])
        .collect();
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn a_failed_cleanup_does_not_fail_the_call() {
    let app = App::new().await;
    insert_old_rows(&app, 5, 450).await;
    app.db
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
             CREATE TRIGGER refuse BEFORE DELETE ON booking_automation_events FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    let booking = app.booking_due_now().await;
    let said = app.call(&["run"]).await;
    assert_eq!(said.summary()["reminders"]["sent"], 1);
    assert!(
        said.stderr.contains("could not be deleted"),
        "{}",
        said.stderr
    );
    assert_eq!(app.reminders(booking).await, ["24h completed"]);
}

#[tokio::test]
async fn busy_tables_are_vacuumed_after_a_fixed_number_of_changes() {
    let app = App::new().await;
    let sql = "SELECT relname::text FROM pg_class, unnest(reloptions) AS option
                WHERE option ~ '^autovacuum_vacuum_threshold=' ORDER BY 1";
    let tables = [
        "automation_runs",
        "booking_automation_callers",
        "booking_automation_channels",
        "booking_automation_events",
        "booking_automation_feedback",
        "booking_automation_looks",
        "booking_automation_notices",
        "booking_automation_state_changes",
    ];
    assert_eq!(app.column(sql, &[]).await, tables);
}

/// A trigger of the user that takes half a second, once.
async fn slow_down(app: &App, write: &str, table: &str) {
    let sql = format!(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
         CREATE TRIGGER slow AFTER {write} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION slow()"
    );
    app.db.batch_execute(&sql).await.unwrap();
}

/// Asserts that a call's duration covers half a second that a trigger takes, in its answer and in its row.
async fn assert_duration_covers_the_trigger(app: &App, summary: &Value) {
    assert!(summary["duration_ms"].as_u64().unwrap() >= 500, "{summary}");
    let run: Uuid = summary["run_id"].as_str().unwrap().parse().unwrap();
    let stored = "SELECT summary FROM automation_runs WHERE id = $1";
    let stored: Value = app.one(stored, &[&run]).await.get(0);
    assert_eq!(&stored, summary);
}

#[tokio::test]
async fn the_duration_covers_the_flags_that_follow_delivery() {
    let app = App::new().await;
    app.confirmed(noon() + hours(24)).await;
    slow_down(&app, "UPDATE OF reminder_24h_sent", "bookings").await;
    let summary = app.run(noon()).await;
    assert_duration_covers_the_trigger(&app, &summary).await;
}

#[tokio::test]
async fn the_duration_covers_retention() {
    let app = App::new().await;
    app.sql(
        "INSERT INTO booking_automation_events (booking_id, event_type, status, created_at)
         VALUES (gen_random_uuid(), 'status_update', 'completed', timestamptz '2020-01-01')",
        &[],
    )
    .await;
    slow_down(&app, "DELETE", "booking_automation_events").await;
    let summary = app.call(&["run"]).await.summary();
    assert_duration_covers_the_trigger(&app, &summary).await;
}
