//! The next page of mail is claimed while the last one is under way. The first page of a delivery
//! has twice as many messages as leave at once, and the next one follows when all have left.

use std::process::Stdio;

use serde_json::json;
use tokio::process::Child;
use tokio::sync::watch;

use crate::app::{App, hours, noon};
use crate::delivery::{create_due_bookings, reminder_outcomes};
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

fn start(app: &App) -> Child {
    let mut command = app.command(&["run", "--as-of", &noon().to_rfc3339()]);
    command.stdout(Stdio::piped()).spawn().unwrap()
}

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
