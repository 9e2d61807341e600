//! The database's clock steps by up to an hour, in both directions, while instances are killed at random moments and the
//! mail endpoint fails. What is due stays due at every position of the clock, so the evaluation needs no times: each
//! booking has its changes once, and its reminder is sent once, or more often with a recorded doubt.
//!
//! `make test` runs it short, `make chaos` long; `SEED=` and `KILLS=` as in `chaos.rs`.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;

use crate::app::{App, connect};
use crate::cluster::OwnCluster;
use crate::ses::Answer;

/// Programs at once.
const PROGRAMS: u64 = 4;
/// How far the clock is from the true time, at most, in seconds.
const FARTHEST: i64 = 3600;
/// Steps of the clock, at least.
const STEPS: u64 = 12;
/// Longest time for everything to be sent in the end.
const QUIET_WITHIN: Duration = Duration::from_secs(120);

/// New bookings. One of two is over at every position of the clock: it starts and is completed. The other one's reminder
/// of 24 hours is due at every position, and no other.
const BOOK: &str = "
    INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, created_at)
    SELECT $1, $2, $3, 'confirmed', $4::timestamptz + CASE WHEN n % 2 = 0 THEN interval '20 hours' ELSE interval '-3 hours' END,
           30, $4::timestamptz - interval '3 days'
      FROM generate_series(1, 6) AS n";

struct Run {
    over: AtomicBool,
    kills: AtomicU64,
    steps: AtomicU64,
    calls: AtomicU64,
}

/// Runs the program again and again, and kills it at a random moment of most calls.
async fn run_and_kill(app: &App, run: &Run, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    while !run.over.load(Ordering::SeqCst) {
        let mut program = app
            .command(&["run", "--for", "10s"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let time = Duration::from_millis(rng.u64(10..250));
        if tokio::time::timeout(time, program.wait()).await.is_err() {
            program.kill().await.unwrap();
            run.kills.fetch_add(1, Ordering::SeqCst);
        }
        run.calls.fetch_add(1, Ordering::SeqCst);
    }
}

/// Steps the clock and makes new bookings, until there were enough kills.
async fn step_and_book(app: &App, cluster: &OwnCluster, run: &Run, seed: u64, kills: u64) -> i64 {
    let mut rng = fastrand::Rng::with_seed(seed);
    let true_time: chrono::DateTime<chrono::Utc> = app.one("SELECT now()", &[]).await.get(0);
    let (began, mut bookings) = (Instant::now(), 0);
    while run.kills.load(Ordering::SeqCst) < kills || run.steps.load(Ordering::SeqCst) < STEPS {
        let limit = Duration::from_secs(60 + 3 * kills);
        assert!(began.elapsed() < limit, "too few kills in {limit:?}");
        cluster.step_clock(rng.i64(-FARTHEST..=FARTHEST));
        run.steps.fetch_add(1, Ordering::SeqCst);
        let people = [&app.customer, &app.provider, &app.service];
        app.sql(BOOK, &[people[0], people[1], people[2], &true_time])
            .await;
        bookings += 6;
        tokio::time::sleep(Duration::from_millis(rng.u64(200..1500))).await;
    }
    run.over.store(true, Ordering::SeqCst);
    bookings
}

/// Without kills and steps: the clock goes on by a minute for each call.
async fn run_until_quiet(app: &App, cluster: &OwnCluster) {
    let give_up = Instant::now() + QUIET_WITHIN;
    let waits = "SELECT EXISTS (SELECT FROM booking_automation_events WHERE status IN ('pending', 'sending'))
                     OR EXISTS (SELECT FROM bookings WHERE status <> 'completed' AND scheduled_at < now())";
    for minute in 1.. {
        cluster.step_clock(minute * 60);
        app.call(&["run", "--for", "20s"]).await.summary();
        if !app.one(waits, &[]).await.get::<_, bool>(0) {
            return;
        }
        assert!(Instant::now() < give_up, "not quiet in {QUIET_WITHIN:?}");
    }
}

/// What went wrong, in a line each.
async fn judge(app: &App, bookings: i64) -> Vec<String> {
    let mut wrong = Vec::new();
    let changes = "SELECT format('%s: %s', b.id, array_agg(e.event_data ->> 'to' ORDER BY e.seq))
                     FROM bookings b
                     LEFT JOIN booking_automation_events e ON e.booking_id = b.id AND e.event_type = 'status_update' AND e.status = 'completed'
                    WHERE b.scheduled_at < now() GROUP BY b.id
                   HAVING array_agg(e.event_data ->> 'to' ORDER BY e.seq) IS DISTINCT FROM '{in_progress,completed}'
                       OR jsonb_array_length(b.automation_logs) <> 2";
    wrong.extend(app.column(changes, &[]).await);
    let sql = "SELECT jsonb_build_object('id', id, 'status', status, 'reason', reason, 'rule', rule, 'attempts', attempts, 'doubts',
                      (SELECT count(DISTINCT a ->> 'attempt') FROM jsonb_array_elements(event_data -> 'attempts') AS a
                        WHERE a ->> 'outcome' = 'unknown'))::text
                 FROM booking_automation_events WHERE event_type = 'reminder_sent'";
    let events = app.column(sql, &[]).await;
    if i64::try_from(events.len()) != Ok(bookings / 2) {
        wrong.push(format!(
            "{} reminders for {bookings} bookings",
            events.len()
        ));
    }
    let mut sent = BTreeMap::<String, u64>::new();
    for mail in app.ses.mails() {
        *sent.entry(mail.event_id().to_owned()).or_default() += 1;
    }
    for event in events {
        let what: Value = serde_json::from_str(&event).unwrap();
        let requests = sent.get(what["id"].as_str().unwrap()).copied().unwrap_or(0);
        let doubts = what["doubts"].as_u64().unwrap();
        let was_sent = what["status"] == "completed" && (1..=1 + doubts).contains(&requests);
        // Killed at each of its attempts.
        let was_given_up = what["reason"] == "unknown" && what["attempts"] == 5 && requests <= 5;
        if !was_sent && !was_given_up {
            wrong.push(format!("{event}: {requests} requests"));
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_of_the_clock_and_kills_lose_and_double_nothing() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let is_long = std::env::var_os("CHAOS").is_some();
    let seed = number("SEED").unwrap_or(7);
    let kills = number("KILLS").unwrap_or(10_000) / 10;
    let kills = if is_long { kills } else { 40 };
    let Some(cluster) = OwnCluster::start_with_clock().await else {
        return;
    };
    let mut app = App::migrate_and_open(&cluster.url).await;
    app.db = connect(&cluster.url).await;
    app.sql(
        "UPDATE reminder_rules SET effective_from = now() - interval '2 days'",
        &[],
    )
    .await;
    app.env.insert("TEST_TIME_DIVISOR", "30".to_owned());
    // Each claim has more than one page.
    app.env.insert("SEND_CONCURRENCY", "2".to_owned());
    app.ses
        .answer(|_| Answer::Slow(Duration::from_millis(fastrand::u64(0..60))));
    let run = Run {
        over: AtomicBool::new(false),
        kills: AtomicU64::new(0),
        steps: AtomicU64::new(0),
        calls: AtomicU64::new(0),
    };
    let programs = join_all((0..PROGRAMS).map(|place| run_and_kill(&app, &run, seed + place)));
    let (bookings, _) = tokio::join!(
        step_and_book(&app, &cluster, &run, seed ^ 0xc1, kills),
        programs
    );
    run_until_quiet(&app, &cluster).await;
    let wrong = judge(&app, bookings).await;
    let [kills, steps, calls] =
        [&run.kills, &run.steps, &run.calls].map(|count| count.load(Ordering::SeqCst));
    let told = format!(
        "SEED={seed}: {calls} calls, {kills} kills, {steps} steps of the clock, {bookings} bookings, {} mails",
        app.ses.mails().len()
    );
    if is_long {
        use std::io::Write;
        std::io::stderr()
            .write_all(format!("{told}\n").as_bytes())
            .unwrap();
    }
    assert!(wrong.is_empty(), "{told}\n{}", wrong.join("\n"));
}
