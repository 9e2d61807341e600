//! A page of messages that ends its process, or is large, stops neither the others nor the process.

use std::process::Stdio;

use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::app::{App, connect, hours, minutes, noon};
use crate::http::hold_advisory_lock;
use crate::notices::{set_status, with_rules};
use crate::ses::Answer;

/// The view waits for the test's lock at each person with an address like `fatal@…`: there the test kills the process.
const FATAL_VIEW: &str = "
    CREATE TABLE armed ();
    CREATE FUNCTION wait_for_the_test(address text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        IF address LIKE 'fatal@%' AND to_regclass('public.armed') IS NOT NULL THEN PERFORM pg_advisory_xact_lock_shared(77); END IF;
        RETURN address; END $$;
    DO $$ BEGIN
        EXECUTE 'CREATE OR REPLACE VIEW booking_automation_contacts AS
            SELECT booking_id, audience, public.wait_for_the_test(email) AS email, name, timezone, language, service, with_name, place,
                   meeting_link, is_online, place_timezone FROM (' || rtrim(pg_get_viewdef('booking_automation_contacts'), ';') || ') AS shipped';
    END $$";
const WAITS: &str = "EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 AND NOT granted \
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";

/// Seven reminders that wait to be sent, in the order of their starts; the fourth is the fatal one.
async fn seven_messages(app: &mut App) -> Vec<Uuid> {
    app.env.insert("SEND_CONCURRENCY", "2".to_owned());
    let customer = app.customer;
    let fatal = app
        .person("Fatal", Some("fatal@customers.example"), "UTC")
        .await;
    let mut bookings = Vec::new();
    for minute in 0..7 {
        app.customer = if minute == 3 { fatal } else { customer };
        bookings.push(app.confirmed(noon() + hours(23) + minutes(minute)).await);
    }
    queue_messages(app).await;
    bookings
}

/// Enqueues what is due, and sends none of it yet.
async fn queue_messages(app: &App) {
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slower"));
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    app.ses.clear();
    app.make_claimable().await;
}

/// Starts a run, and kills it when it waits for the test's lock. Returns whether it came so far.
async fn run_and_kill(app: &App) -> bool {
    let mut run = app
        .command(&["run", "--as-of", &noon().to_rfc3339()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let waits = format!("SELECT {WAITS}");
    let killed = loop {
        if run.try_wait().unwrap().is_some() {
            break false;
        }
        if app.one(&waits, &[]).await.get::<_, bool>(0) {
            run.kill().await.unwrap();
            break true;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    // The server ends its session when the statement's time is over.
    app.wait_until(&format!("SELECT NOT {WAITS}")).await;
    killed
}

/// As if 45 seconds had passed since the last claim was announced.
async fn let_marks_grow_old(app: &App) {
    let older =
        "UPDATE booking_automation_claim_marks SET begun_at = begun_at - interval '46 seconds'";
    app.sql(older, &[]).await;
}

/// Kills runs until one comes to its end. Returns how many it killed.
async fn kill_until_one_ends(app: &App) -> usize {
    let mut deaths = 0;
    while run_and_kill(app).await {
        deaths += 1;
        assert!(deaths < 12, "every process ends over the same page");
        let_marks_grow_old(app).await;
    }
    deaths
}

async fn lock(app: &App) -> Client {
    let holder = connect(&app.url).await;
    hold_advisory_lock(&holder, 77).await;
    holder
}

#[tokio::test]
async fn a_message_that_ends_every_process_is_given_up_and_the_others_are_sent_once() {
    let mut app = App::new().await;
    let bookings = seven_messages(&mut app).await;
    app.db.batch_execute(FATAL_VIEW).await.unwrap();
    let _lock = lock(&app).await;
    let deaths = kill_until_one_ends(&app).await;
    // Each page that ends its process is halved, and each one that does not is doubled.
    assert_eq!(deaths, 7);
    for (number, booking) in bookings.iter().enumerate() {
        let expected = match number {
            3 => "24h failed crash",
            _ => "24h completed",
        };
        assert_eq!(app.reminders(*booking).await, [expected], "{number}");
    }
    assert_eq!(app.ses.mails().len(), 6);
    let marks = "SELECT count(*) FROM booking_automation_claim_marks";
    assert_eq!(app.one(marks, &[]).await.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_follow_up_that_ends_every_process_is_given_up_and_the_others_are_sent_once() {
    let mut app = with_rules(&["follow-up"]).await;
    app.env.insert("SEND_CONCURRENCY", "2".to_owned());
    let delay = "UPDATE booking_automation_notice_rules SET delay = '0' WHERE name = 'follow-up'";
    app.sql(delay, &[]).await;
    let customer = app.customer;
    let fatal = app
        .person("Fatal", Some("fatal@customers.example"), "UTC")
        .await;
    for minute in 0..4 {
        app.customer = if minute == 2 { fatal } else { customer };
        let start = noon() - hours(2) + minutes(minute);
        let id = app.booking("in_progress", start).await;
        set_status(&app, id, "completed").await;
    }
    queue_messages(&app).await;
    app.db.batch_execute(FATAL_VIEW).await.unwrap();
    let _lock = lock(&app).await;
    kill_until_one_ends(&app).await;
    let outcomes = "SELECT concat_ws(' ', status, reason) FROM booking_automation_events
                     WHERE event_type = 'notification_sent' ORDER BY starts_at";
    assert_eq!(
        app.column(outcomes, &[]).await,
        ["completed", "completed", "failed crash", "completed"]
    );
    assert_eq!(app.ses.mails().len(), 3);
}

#[tokio::test]
async fn a_claim_that_ends_its_process_undoes_no_record() {
    let mut app = App::new().await;
    let bookings = seven_messages(&mut app).await;
    // The first page has two messages: it leaves the fatal one for the second, which is claimed
    // while the last one of the first is under way.
    app.env.insert("SEND_CONCURRENCY", "1".to_owned());
    app.db.batch_execute(FATAL_VIEW).await.unwrap();
    let _lock = lock(&app).await;
    assert!(run_and_kill(&app).await);
    assert_eq!(app.reminders(bookings[0]).await, ["24h completed"]);
    assert_eq!(app.reminders(bookings[1]).await, ["24h sending"]);
    assert_eq!(app.ses.mails().len(), 2);
}

#[tokio::test]
async fn a_message_is_not_given_up_for_processes_that_end_after_its_claim() {
    let mut app = App::new().await;
    let bookings = seven_messages(&mut app).await;
    app.db.batch_execute(FATAL_VIEW).await.unwrap();
    let _lock = lock(&app).await;
    for _ in 0..5 {
        assert!(run_and_kill(&app).await);
        let_marks_grow_old(&app).await;
        app.sql(
            // As after a claim by another instance.
            "UPDATE booking_automation_events SET claim = claim + 1 WHERE booking_id = $1",
            &[&bookings[3]],
        )
        .await;
    }
    app.sql("DROP TABLE armed", &[]).await;
    app.run(noon()).await;
    assert_eq!(app.reminders(bookings[3]).await, ["24h completed"]);
}

#[tokio::test]
async fn a_claim_that_fails_leaves_no_mark() {
    let app = App::new().await;
    app.confirmed(noon() + hours(24)).await;
    queue_messages(&app).await;
    app.db
        .batch_execute("ALTER TABLE booking_automation_hash_key RENAME TO elsewhere")
        .await
        .unwrap();
    let output = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert!(
        output.stderr.contains("delivery stopped"),
        "{}",
        output.stderr
    );
    let marks = "SELECT count(*) FROM booking_automation_claim_marks";
    assert_eq!(app.one(marks, &[]).await.get::<_, i64>(0), 0);
}

/// Records how many messages each claim takes.
async fn count_pages(app: &App) {
    app.db
        .batch_execute(
            "CREATE TABLE pages (messages bigint);
             CREATE FUNCTION count_page() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
                 INSERT INTO public.pages SELECT count(*) FROM claimed WHERE status = 'sending'; RETURN NULL; END $$;
             CREATE TRIGGER count_page AFTER UPDATE ON booking_automation_events
                 REFERENCING NEW TABLE AS claimed FOR EACH STATEMENT EXECUTE FUNCTION count_page()",
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn without_a_death_the_speed_alone_decides_about_the_next_page() {
    let mut app = App::new().await;
    app.env.insert("SEND_CONCURRENCY", "2".to_owned());
    for _ in 0..60 {
        app.confirmed(noon() + hours(24)).await;
    }
    count_pages(&app).await;
    let summary = app.run(noon()).await;
    assert_eq!(summary["reminders"]["sent"], 60, "{summary}");
    let pages = app
        .column("SELECT messages::text FROM pages WHERE messages > 0", &[])
        .await;
    let second: i64 = pages[1].parse().unwrap();
    assert!(pages[0] == "4" && second > 8, "{pages:?}");
}

#[tokio::test]
async fn the_texts_of_a_page_are_bounded_by_their_bytes() {
    let mut app = App::new().await;
    app.env.insert("SEND_CONCURRENCY", "256".to_owned());
    // It is about reading: without optimization, writing so many complete mails takes long.
    app.env.insert("MAIL_CALENDAR", "false".to_owned());
    // Each character has four bytes: one message has 8 KB of texts.
    app.db
        .batch_execute(
            "UPDATE services SET title = repeat('𝄞', 1000); UPDATE users SET display_name = repeat('𝄞', 1000)",
        )
        .await
        .unwrap();
    let start = noon() + hours(24);
    let link = "https://meet.example/".to_owned() + &"x".repeat(1900);
    app.sql(
        "INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, is_online, location, meeting_link, created_at)
         SELECT $1, $2, $3, 'confirmed', $4, 60, true, repeat('𝄞', 1000), $5, $4::timestamptz - interval '3 days' FROM generate_series(1, 1500)",
        &[&app.customer, &app.provider, &app.service, &start, &link],
    )
    .await;
    count_pages(&app).await;
    let summary = app.run(noon()).await;
    assert_eq!(summary["reminders"]["sent"], 1500, "{summary}");
    let largest: i64 = app.one("SELECT max(messages) FROM pages", &[]).await.get(0);
    // Two megabytes have 250. A slow machine reads fewer at a time.
    assert!((2..300).contains(&largest), "{largest} messages");
}

#[tokio::test]
async fn what_others_wrote_into_an_event_stops_no_page() {
    let app = App::new().await;
    let start = noon() + hours(24);
    let (scalar, long, good) = (
        app.confirmed(start).await,
        app.confirmed(start).await,
        app.confirmed(start).await,
    );
    queue_messages(&app).await;
    let data = "UPDATE booking_automation_events SET event_data = $2 WHERE booking_id = $1";
    let attempts: Vec<_> = (0..10_000)
        .map(|attempt| json!({"attempt": attempt}))
        .collect();
    app.sql(data, &[&scalar, &json!(5)]).await;
    app.sql(data, &[&long, &json!({"attempts": attempts})])
        .await;
    app.run(noon()).await;
    for booking in [scalar, long, good] {
        assert_eq!(app.reminders(booking).await, ["24h completed"]);
    }
    let kept = "SELECT jsonb_array_length(event_data -> 'attempts') FROM booking_automation_events WHERE booking_id = $1";
    assert_eq!(app.one(kept, &[&scalar]).await.get::<_, i32>(0), 1);
    assert_eq!(app.one(kept, &[&long]).await.get::<_, i32>(0), 20);
}

#[tokio::test]
async fn lists_that_each_row_reads_stay_short() {
    let app = App::new().await;
    let channels = "UPDATE reminder_rules SET channels = array_fill('email'::text, ARRAY[17])";
    let kinds = "INSERT INTO booking_automation_webhooks (url, secret, kinds)
                 VALUES ('https://example.test/', 'whsec_' || encode(sha256('secret'), 'base64'), array_fill('started'::text, ARRAY[17]))";
    for (sql, constraint) in [
        (channels, "reminder_rules_channels_check"),
        (kinds, "booking_automation_webhooks_few_kinds"),
    ] {
        let error = app.db.execute(sql, &[]).await.unwrap_err();
        assert_eq!(error.as_db_error().unwrap().constraint(), Some(constraint));
        app.sql(&sql.replace("17", "16"), &[]).await;
    }
}
