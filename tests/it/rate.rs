//! The send rate: shared by all instances, most urgent first, and under throttling by SES.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::app::{App, hours, minutes, noon};
use crate::cluster::{faketime_library, remove_shared_memory_of_dead_processes};
use crate::delivery::{create_due_bookings, reminder_outcomes};
use crate::http::Server;
use crate::ses::{Answer, Mail};

/// Creates bookings in random order in the next 23 hours; the customer's address has the rank of
/// the start.
async fn create_shuffled_bookings(app: &App, count: i32) {
    app.set_clock(noon() - hours(1000)).await;
    app.sql(
        "WITH person AS (
             INSERT INTO users (display_name, email)
             SELECT 'Customer', 'c' || n || '@customers.example' FROM generate_series(1, $1::int) AS n
             RETURNING id, substring(email FROM '[0-9]+')::int AS rank
         )
         INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, created_at)
         SELECT id, $2, $3, 'confirmed', $4::timestamptz + interval '61 minutes' + rank * interval '30 seconds', 60, '2026-01-01'
           FROM person ORDER BY md5(rank::text)",
        &[&count, &app.provider, &app.service, &noon()],
    )
    .await;
    app.set_clock(noon()).await;
}

fn rank_of(mail: &Mail) -> usize {
    mail.to()
        .trim_start_matches('c')
        .split('@')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn at_14_per_second_the_most_urgent_of_2_000_go_first() {
    let mut app = App::new().await;
    app.env.insert("SEND_RATE", "14".to_owned());
    app.env.insert("SEND_CONCURRENCY", "4".to_owned());
    create_shuffled_bookings(&app, 2_000).await;
    let noon_text = noon().to_rfc3339();
    let arguments = ["run", "--for", "11s", "--as-of", &noon_text];
    let first = app.call(&arguments);
    let urgent = async {
        // While messages are in flight, a booking is made that starts in ten minutes.
        app.ses.wait_for_mails(20).await;
        app.set_clock(noon() - hours(100)).await;
        let booking = app.booking("confirmed", noon() + minutes(10)).await;
        let before = app.ses.mails().len();
        let second = app
            .call(&["run", "--for", "9s", "--as-of", &noon_text])
            .await;
        (booking, before, second.summary())
    };
    let (first, (booking, before, second)) = tokio::join!(first, urgent);
    let (first, mails) = (first.summary(), app.ses.mails());
    let sent = |summary: &serde_json::Value| summary["reminders"]["sent"].as_i64().unwrap();
    assert_eq!(
        sent(&first) + sent(&second),
        mails.len() as i64,
        "{first} {second}"
    );

    // The late booking waits only for the messages claimed before it, two pages at most.
    let place = mails
        .iter()
        .position(|mail| mail.to() == "carla@customers.example")
        .expect("the late reminder is sent");
    assert!(place <= before + 2 * 28 + 4, "{place} after {before}");
    assert_eq!(
        app.reminders(booking).await.last().unwrap(),
        "15m completed"
    );

    // The others are sent in the order of their starts, except that messages in flight, or a page
    // of another instance, may overtake each other.
    let ranks: Vec<usize> = mails
        .iter()
        .filter(|mail| mail.to() != "carla@customers.example")
        .map(rank_of)
        .collect();
    for (place, rank) in ranks.iter().enumerate() {
        assert!(
            rank.abs_diff(place + 1) <= 28 + 4,
            "{rank} at {place}: {ranks:?}"
        );
    }
    let mut sorted = ranks.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), ranks.len(), "no message is sent twice");
    // The unsent messages are less urgent than the sent ones, except those in flight at the end.
    assert!(sorted.last().unwrap() - sorted.len() <= 28, "{sorted:?}");
    assert!(
        (40..=14 * 11 + 28).contains(&ranks.len()),
        "{}",
        ranks.len()
    );
}

/// The greatest number of messages within one second.
fn busiest_second(app: &App) -> usize {
    let times = app.ses.times();
    let second = Duration::from_secs(1);
    times
        .iter()
        .map(|from| {
            times
                .iter()
                .filter(|time| *time >= from && **time - *from < second)
                .count()
        })
        .max()
        .unwrap()
}

async fn assert_instances_share_one_rate(instances: usize) {
    const RATE: usize = 20;
    let mut app = App::new().await;
    app.env.insert("SEND_RATE", RATE.to_string());
    create_due_bookings(&app, 100).await;
    let noon = noon().to_rfc3339();
    let arguments = ["run", "--for", "30s", "--as-of", &noon];
    let mut command = app.command(&arguments);
    let mut first = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    app.ses.wait_for_mails(1).await;
    let others = futures_util::future::join_all((1..instances).map(|_| app.call(&arguments))).await;
    first.wait().await.unwrap();
    assert!(others.iter().all(|said| said.success));
    assert_eq!(reminder_outcomes(&app).await, ["completed 1 100"]);
    assert_eq!(app.ses.mails().len(), 100);
    // A page has two seconds of sending.
    let busiest = busiest_second(&app);
    assert!(busiest <= RATE + 2 * RATE, "{busiest}");
    // Together the instances do not exceed the rate.
    let times = app.ses.times();
    let took = *times.last().unwrap() - times[0];
    assert!(took >= Duration::from_millis(4_500), "{took:?}");
}

#[tokio::test]
async fn one_instance_keeps_the_send_rate_from_page_to_page() {
    const RATE: usize = 20;
    let mut app = App::new().await;
    app.env.insert("SEND_RATE", RATE.to_string());
    create_due_bookings(&app, 100).await;
    app.ses.answer(|_| Answer::Slow(Duration::from_millis(100)));
    app.run(noon()).await;
    assert_eq!(reminder_outcomes(&app).await, ["completed 1 100"]);
    let times = app.ses.times();
    let took = *times.last().unwrap() - times[0];
    assert!(took >= Duration::from_millis(4_500), "{took:?}");
}

#[tokio::test]
async fn two_instances_share_one_send_rate() {
    assert_instances_share_one_rate(2).await;
}

#[tokio::test]
async fn eight_instances_share_one_send_rate() {
    assert_instances_share_one_rate(8).await;
}

#[tokio::test]
async fn without_a_rate_from_ses_one_message_per_second_is_sent() {
    let mut app = App::new().await;
    app.env.remove("SEND_RATE");
    app.ses.refuse_account();
    create_due_bookings(&app, 30).await;
    let said = app
        .call(&["run", "--for", "7s", "--as-of", &noon().to_rfc3339()])
        .await;
    let reminders = &said.summary()["reminders"];
    let sent = reminders["sent"].as_i64().unwrap();
    assert!((1..=6).contains(&sent), "{reminders}");
    assert_eq!(reminders["deferred"], 30 - sent);
    assert!(
        said.stderr.contains("SES did not report its send rate"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn a_warm_process_asks_for_the_rate_again_when_the_answer_is_old() {
    let Some(library) = faketime_library() else {
        return;
    };
    let mut app = App::new().await;
    app.env.remove("SEND_RATE");
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    let set_clock = |ahead: &str| std::fs::write(&clock, ahead).unwrap();
    set_clock("+0");
    for (name, value) in [
        ("LD_PRELOAD", &library[..]),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ] {
        app.env.insert(name, value.to_owned());
    }
    let server = Server::start(&app, &[]).await;
    let run = async |bookings: usize| {
        for _ in 0..bookings {
            app.booking_due_now().await;
        }
        let summary = server.run_with_bearer().await.json();
        assert_eq!(summary["reminders"]["sent"], bookings, "{summary}");
        app.ses.rate_requests()
    };
    assert_eq!(run(1).await, 1);
    set_clock("+3590");
    assert_eq!(run(3).await, 1);
    app.ses.refuse_account();
    set_clock("+3610");
    for asked in [2, 3] {
        let started = Instant::now();
        assert_eq!(run(8).await, asked);
        // Without an answer, the rate stays.
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    // A clock that was set back makes the answer old, too.
    set_clock("-3600");
    assert_eq!(run(1).await, 4);
    let log = server.end().await;
    remove_shared_memory_of_dead_processes();
    assert!(
        log.contains("SES did not report its send rate") && log.contains("rate=500"),
        "{log}"
    );
}

#[tokio::test]
async fn a_missing_row_of_the_channel_is_an_error_that_says_what_to_do() {
    let app = App::new().await;
    create_due_bookings(&app, 3).await;
    let channel = "UPDATE booking_automation_channels SET channel = $1 WHERE channel = 'email'";
    app.sql(channel, &[&"Email"]).await;
    let arguments = ["run", "--for", "8s", "--as-of", &noon().to_rfc3339()];
    let said = app.call(&arguments).await;
    let summary = said.summary();
    assert!(
        summary["duration_ms"].as_u64().unwrap() < 3_000,
        "{summary}"
    );
    assert_eq!(summary["reminders"]["deferred"], 3);
    let remedy = "INSERT INTO public.booking_automation_channels (channel) VALUES ('email')";
    assert_eq!(said.stderr.matches(remedy).count(), 1, "{}", said.stderr);
    assert!(said.stderr.contains("ERROR"), "{}", said.stderr);
    app.sql(remedy, &[]).await;

    // It is deleted while a page is being sent.
    let (release, held) = tokio::sync::watch::channel(false);
    app.ses
        .answer(move |_| Answer::Held(held.clone(), Box::new(Answer::Sent)));
    let call = tokio::spawn(app.command(&arguments).output());
    app.ses.wait_for_mails(3).await;
    create_due_bookings(&app, 1).await;
    app.sql("DELETE FROM booking_automation_channels", &[])
        .await;
    release.send(true).unwrap();
    let output = call.await.unwrap().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains(remedy), "{log}");
    assert_eq!(reminder_outcomes(&app).await, ["completed 1 3"]);
}

#[tokio::test]
async fn repeated_throttling_loses_and_repeats_no_message() {
    let app = App::new().await;
    create_due_bookings(&app, 60).await;
    // Ten requests are accepted, ten are throttled, and so on.
    let counter = AtomicUsize::new(0);
    let taken = std::sync::Arc::new(std::sync::Mutex::new(BTreeMap::<String, usize>::new()));
    app.ses.answer({
        let taken = taken.clone();
        move |mail| {
            if counter.fetch_add(1, Ordering::SeqCst) / 10 % 2 == 1 {
                return Answer::Error(
                    429,
                    "TooManyRequestsException",
                    "Maximum sending rate exceeded.",
                );
            }
            *taken
                .lock()
                .unwrap()
                .entry(mail.event_id().to_owned())
                .or_default() += 1;
            Answer::Sent
        }
    });
    for _ in 0..5 {
        let summary = app.run(noon()).await;
        let waiting: i64 = app
            .one(
                "SELECT count(*) FROM booking_automation_events WHERE status = 'pending' AND reason = 'throttled'",
                &[],
            )
            .await
            .get(0);
        assert_eq!(summary["reminders"]["retrying"], waiting, "{summary}");
        app.make_claimable().await;
    }
    let final_rows: i64 = app
        .one(
            "SELECT count(*) FROM booking_automation_events WHERE status = 'completed'",
            &[],
        )
        .await
        .get(0);
    assert_eq!(final_rows, 60);
    let taken = taken.lock().unwrap();
    assert_eq!(taken.len(), 60);
    assert!(taken.values().all(|times| *times == 1), "{taken:?}");
}

#[tokio::test]
async fn the_send_rate_is_stored_as_the_time_of_the_next_message() {
    let mut app = App::new().await;
    app.env.insert("SEND_RATE", "0.5".to_owned());
    create_due_bookings(&app, 3).await;
    let before: DateTime<Utc> = app.one("SELECT now()", &[]).await.get(0);
    app.call(&["run", "--for", "5s", "--as-of", &noon().to_rfc3339()])
        .await
        .summary();
    let next: DateTime<Utc> = app
        .one(
            "SELECT next_at FROM booking_automation_channels WHERE channel = 'email'",
            &[],
        )
        .await
        .get(0);
    let sent = app.ses.mails().len() as i64;
    assert!(sent >= 1);
    assert!(
        next >= before + chrono::Duration::seconds(2 * sent),
        "{next} {before} {sent}"
    );
}
