//! The next page of mail is claimed while the last one is under way. The first page of a delivery
//! has twice as many messages as leave at once, and the next one follows when all have left.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::process::Child;
use tokio::sync::watch;

use crate::app::{App, connect, hours, noon, signal};
use crate::delivery::{create_due_bookings, reminder_outcomes};
use crate::proxy::{Cut, Proxy};
use crate::ses::Answer;

/// Two messages leave at once. Two of the first page, which has four, wait for their answer until
/// the test gives it.
async fn held(count: i32, answer: fn() -> Answer) -> (App, watch::Sender<bool>) {
    let mut app = App::new().await;
    app.env.insert("SEND_CONCURRENCY", "2".to_owned());
    create_due_bookings(&app, count).await;
    let (release, wait) = watch::channel(false);
    app.ses.answer(move |mail| match mail.to() {
        "c3@customers.example" | "c4@customers.example" => {
            Answer::Held(wait.clone(), Box::new(answer()))
        }
        _ => Answer::Sent,
    });
    (app, release)
}

/// As [`held`]; and the first two of the page wait for an answer of their own.
async fn held_twice(count: i32) -> (App, watch::Sender<bool>, watch::Sender<bool>) {
    let (app, release) = held(count, || Answer::Sent).await;
    let (begin, first) = watch::channel(false);
    let second = release.subscribe();
    app.ses.answer(move |mail| match mail.to() {
        "c1@customers.example" | "c2@customers.example" => {
            Answer::Held(first.clone(), Box::new(Answer::Sent))
        }
        "c3@customers.example" | "c4@customers.example" => {
            Answer::Held(second.clone(), Box::new(Answer::Sent))
        }
        _ => Answer::Sent,
    });
    (app, begin, release)
}

fn start(app: &App) -> Child {
    start_for(app, "50s")
}

fn start_for(app: &App, time: &str) -> Child {
    let mut command = app.command(&["run", "--for", time, "--as-of", &noon().to_rfc3339()]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

const LOCK_CHANNEL: &str =
    "BEGIN; SELECT FROM booking_automation_channels WHERE channel = 'email' FOR UPDATE";
const CLAIM_WAITS: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity
                     WHERE wait_event_type = 'Lock' AND datname = current_database()
                       AND query LIKE '%booking_automation_channels%')";

async fn summary(process: Child) -> serde_json::Value {
    let output = process.wait_with_output().await.unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Waits until more is claimed than the two messages that wait for their answer. What had its
/// answer is recorded before.
async fn wait_until_claimed_ahead(app: &App) {
    let claimed = "SELECT count(*) FILTER (WHERE status = 'sending') > 2 AND count(*) FILTER (WHERE status = 'completed') = 2
                     FROM booking_automation_events WHERE event_type = 'reminder_sent'";
    app.wait_until(claimed).await;
}

#[tokio::test]
async fn the_next_page_is_claimed_while_the_last_one_is_under_way() {
    let (app, release) = held(12, || Answer::Sent).await;
    let process = start(&app);
    wait_until_claimed_ahead(&app).await;
    assert_eq!(app.ses.mails().len(), 4);
    release.send(true).unwrap();
    let summary = summary(process).await;
    assert_eq!(summary["reminders"]["sent"], 12, "{summary}");
    assert_eq!(app.ses.mails().len(), 12);
    assert_eq!(reminder_outcomes(&app).await, ["completed 1 12"]);
}

#[tokio::test]
async fn only_what_was_under_way_is_sent_again_after_a_kill() {
    let (app, _release) = held(16, || Answer::Sent).await;
    let mut process = start(&app);
    wait_until_claimed_ahead(&app).await;
    process.kill().await.unwrap();
    app.make_claimable().await;
    app.ses.answer(|_| Answer::Sent);
    assert_eq!(app.run(noon()).await["reminders"]["sent"], 14);
    assert_eq!(app.ses.mails().len(), 18);
}

#[tokio::test]
async fn a_page_is_given_back_if_the_account_cannot_send() {
    let refused = || Answer::Error(400, "AccountSuspendedException", "no");
    let (app, release) = held(12, refused).await;
    let process = start(&app);
    wait_until_claimed_ahead(&app).await;
    release.send(true).unwrap();
    let summary = summary(process).await;
    assert_eq!(summary["held_back"], "account", "{summary}");
    assert_eq!(app.ses.mails().len(), 4);
    assert_eq!(
        reminder_outcomes(&app).await,
        ["completed 1 2", "pending 0 8", "pending account 0 2"]
    );
}

#[tokio::test]
async fn a_page_whose_facts_are_old_is_read_again() {
    let (mut app, release) = held(5, || Answer::Sent).await;
    let last = app.confirmed(noon() + hours(24)).await;
    // A message leaves 1.5 seconds after its booking was read, at most.
    app.env.insert("TEST_TIME_DIVISOR", "2".to_owned());
    let process = start(&app);
    wait_until_claimed_ahead(&app).await;
    let cancel = "UPDATE bookings SET status = 'cancelled' WHERE id = $1";
    app.sql(cancel, &[&last]).await;
    app.wait_until(
        "SELECT max(lease_until) < now() + interval '20.9 seconds'
           FROM booking_automation_events WHERE status = 'sending'",
    )
    .await;
    release.send(true).unwrap();
    let summary = summary(process).await;
    let reminders = &summary["reminders"];
    assert_eq!(
        (&reminders["sent"], &reminders["skipped"]),
        (&json!(5), &json!(1)),
        "{summary}"
    );
    assert_eq!(app.reminders(last).await, ["24h skipped cancelled"]);
    assert_eq!(app.ses.mails().len(), 5);
    // What did not leave was no attempt.
    let outcomes = reminder_outcomes(&app).await;
    assert_eq!(outcomes, ["completed 1 5", "skipped cancelled 0 1"]);
}

#[tokio::test]
async fn messages_that_were_claimed_before_a_hold_do_not_end_it() {
    let mut app = App::new().await;
    app.env.insert("SEND_CONCURRENCY", "2".to_owned());
    create_due_bookings(&app, 4).await;
    let (release, wait) = watch::channel(false);
    app.ses.answer(move |mail| match mail.to() {
        "c1@customers.example" | "c2@customers.example" => {
            Answer::Held(wait.clone(), Box::new(Answer::Sent))
        }
        _ => Answer::Error(400, "AccountSuspendedException", "no"),
    });
    let process = start(&app);
    app.ses.wait_for_mails(2).await;
    // Another instance finds that the account cannot send.
    app.confirmed(noon() + hours(24)).await;
    assert_eq!(app.run(noon()).await["held_back"], "account");
    // That message tests it later, and the answer says nothing about the account.
    let ready =
        "UPDATE booking_automation_events SET next_attempt_at = now() WHERE status = 'pending'";
    app.sql(ready, &[]).await;
    app.ses.answer(|mail| match mail.to() {
        "c3@customers.example" | "c4@customers.example" => Answer::Sent,
        _ => Answer::Error(429, "TooManyRequestsException", "slower"),
    });
    release.send(true).unwrap();
    let summary = summary(process).await;
    assert_eq!(summary["reminders"]["sent"], 4, "{summary}");
    assert_eq!(summary["reminders"]["retrying"], 1, "{summary}");
    let held = "SELECT held_reason FROM booking_automation_channels WHERE channel = 'email'";
    assert_eq!(app.column(held, &[]).await, ["account"]);
}

#[tokio::test]
async fn a_claim_ahead_that_fails_is_logged_and_made_again() {
    let (app, begin, release) = held_twice(12).await;
    let process = start(&app);
    app.ses.wait_for_mails(2).await;
    let other = connect(&app.url).await;
    other.batch_execute(LOCK_CHANNEL).await.unwrap();
    begin.send(true).unwrap();
    app.wait_until(CLAIM_WAITS).await;
    // It gives up.
    app.wait_until(&format!("SELECT NOT ({CLAIM_WAITS})")).await;
    other.batch_execute("ROLLBACK").await.unwrap();
    release.send(true).unwrap();
    let output = process.wait_with_output().await.unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let said = "the next page could not be claimed ahead";
    assert_eq!(log.matches(said).count(), 1, "{log}");
    assert_eq!(reminder_outcomes(&app).await, ["completed 1 12"], "{log}");
    assert_eq!(app.ses.mails().len(), 12);
}

#[tokio::test]
async fn answers_that_come_during_a_claim_are_recorded_although_it_hangs() {
    let (mut app, begin, release) = held_twice(4).await;
    let proxy = Proxy::start(&app.url, Cut::Never).await;
    app.env.insert("DATABASE_URL", proxy.url.clone());
    // A statement of a claim ahead is given up after four seconds, and leaves time to record; one of
    // another claim after ten.
    let process = start_for(&app, "9s");
    app.ses.wait_for_mails(2).await;
    let other = connect(&app.url).await;
    other.batch_execute(LOCK_CHANNEL).await.unwrap();
    begin.send(true).unwrap();
    app.wait_until(CLAIM_WAITS).await;
    proxy.freeze();
    release.send(true).unwrap();
    other.batch_execute("ROLLBACK").await.unwrap();
    let output = process.wait_with_output().await.unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(reminder_outcomes(&app).await, ["completed 1 4"], "{log}");
}

#[tokio::test]
async fn pages_are_no_larger_than_what_leaves_in_time() {
    let mut app = App::new().await;
    app.env.insert("SEND_CONCURRENCY", "4".to_owned());
    create_due_bookings(&app, 150).await;
    app.ses.answer(|_| Answer::Slow(Duration::from_millis(50)));
    let summary = app.run(noon()).await;
    assert_eq!(summary["reminders"]["sent"], 150, "{summary}");
    assert_eq!(reminder_outcomes(&app).await, ["completed 1 150"]);
    // A machine that stands still for a second lets some be given back.
    let again = "SELECT count(*) < 20 FROM booking_automation_events WHERE claim > 1";
    assert!(app.one(again, &[]).await.get::<_, bool>(0));
}

#[tokio::test]
async fn a_stop_signal_ends_the_wait_for_the_send_rate() {
    let mut app = App::new().await;
    // One message in a hundred seconds.
    app.env.insert("SEND_RATE", "0.01".to_owned());
    create_due_bookings(&app, 3).await;
    let process = start_for(&app, "10m");
    app.wait_until(
        "SELECT EXISTS (SELECT FROM booking_automation_events WHERE event_type = 'reminder_sent' AND status = 'completed')",
    )
    .await;
    signal(&process, "-TERM");
    let waited = tokio::time::timeout(Duration::from_secs(60), process.wait_with_output()).await;
    let output = waited.expect("the wait ends").unwrap();
    assert!(output.status.success());
    assert_eq!(app.ses.mails().len(), 1);
    // No claim is announced that will not be made.
    let marks = "SELECT count(*)::text FROM booking_automation_claim_marks";
    assert_eq!(app.column(marks, &[]).await, ["0"]);
}
