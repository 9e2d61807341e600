//! SES events: repeated, late, out of order, before our own record, and of messages that are not
//! ours.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::app::{App, connect, hours, minutes, noon};
use crate::delivery::{create_due_bookings, reminder_outcomes};
use crate::lambda::example_event;
use crate::receipts::app_with_sms;
use crate::runtime_api::Instance;
use crate::ses::Answer;

const KINDS: [(&str, &str); 7] = [
    ("ses-send", "sent"),
    ("ses-delivery", "delivered"),
    ("ses-bounce", "bounced"),
    ("ses-complaint", "complained"),
    ("ses-reject", "rejected"),
    ("ses-delay", "delayed"),
    ("ses-rendering-failure", "rendering_failed"),
];

/// An example event, about this message.
pub fn ses_event(name: &str, event_id: &str, message_id: &str) -> Value {
    let mut event = example_event(name);
    event["detail"]["mail"]["tags"]["event_id"] = json!([event_id]);
    event["detail"]["mail"]["messageId"] = message_id.into();
    event
}

/// The id of a booking's only reminder.
async fn reminder_event_id(app: &App, booking: Uuid) -> String {
    let sql = "SELECT id::text FROM booking_automation_events WHERE event_type = 'reminder_sent' AND booking_id = $1";
    app.one(sql, &[&booking]).await.get(0)
}

/// Asserts that an event has settled the reminder; returns the provider's id and the outcomes of
/// the attempts.
async fn settled_message(app: &App, event_id: &str) -> (String, Vec<String>) {
    let sql = "SELECT to_jsonb(e) FROM booking_automation_events e WHERE id = $1::text::uuid";
    let row: Value = app.one(sql, &[&event_id]).await.get(0);
    assert!(
        row["status"] == "completed" && !row["executed_at"].is_null(),
        "{row}"
    );
    for open in ["reason", "error_message", "lease_until", "next_attempt_at"] {
        assert!(row[open].is_null(), "{open}: {row}");
    }
    let attempts = row["event_data"]["attempts"].as_array().unwrap();
    let last = attempts.last().unwrap();
    assert_eq!(
        (&last["message_id"], &last["settled_by"]),
        (&row["message_id"], &true.into()),
        "{row}"
    );
    let outcomes = attempts
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap().to_owned());
    (
        row["message_id"].as_str().unwrap().to_owned(),
        outcomes.collect(),
    )
}

async fn stored_feedback(app: &App) -> Vec<String> {
    app.column(
        "SELECT kind || ' ' || message_id FROM booking_automation_feedback ORDER BY id",
        &[],
    )
    .await
}

#[tokio::test]
async fn each_ses_event_is_stored_once_and_without_personal_data() {
    let app = App::new().await;
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let id = reminder_event_id(&app, booking).await;
    let instance = Instance::start(&app).await;
    for (file, kind) in KINDS {
        let told = instance
            .invoke(&ses_event(file, &id, "message-1"))
            .await
            .unwrap();
        let suppressed = i64::from(kind == "bounced");
        assert_eq!(
            told,
            json!({"outcome": "recorded", "kind": kind, "settled": false, "suppressed": suppressed}),
            "only a bounce suppresses, and only once"
        );
        let again = instance
            .invoke(&ses_event(file, &id, "message-1"))
            .await
            .unwrap();
        assert_eq!(
            again,
            json!({"outcome": "ignored", "reason": "duplicate"}),
            "{file}"
        );
    }
    assert_eq!(
        stored_feedback(&app).await,
        KINDS.map(|(_, kind)| format!("{kind} message-1"))
    );
    let rows: i64 = app
        .one(
            "SELECT count(*) FROM booking_automation_feedback WHERE booking_id = $1 AND event_id::text = $2",
            &[&booking, &id],
        )
        .await
        .get(0);
    assert_eq!(rows, 7);
    let details = app
        .column(
            "SELECT details::text FROM booking_automation_feedback ORDER BY id",
            &[],
        )
        .await
        .join("\n");
    assert!(
        details.contains("550 5.1.1 <…>: user unknown") && details.contains("MailboxFull"),
        "{details}"
    );
    let log = instance.kill().await;
    for text in [&details, &log] {
        assert!(!text.contains('@') && !text.contains("carla"), "{text}");
    }
    // The message itself is unchanged.
    assert_eq!(app.reminders(booking).await, ["24h completed"]);
    let runs: i64 = app
        .one("SELECT count(*) FROM automation_runs", &[])
        .await
        .get(0);
    assert_eq!(runs, 1, "an SES event does not run a pass");
}

#[tokio::test]
async fn two_delays_are_two_rows_and_both_names_of_a_kind_are_known() {
    let app = App::new().await;
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let id = reminder_event_id(&app, booking).await;
    let instance = Instance::start(&app).await;
    for time in ["2026-03-01T12:05:00.000Z", "2026-03-01T12:35:00.000Z"] {
        let mut delay = ses_event("ses-delay", &id, "m");
        delay["detail"]["deliveryDelay"]["timestamp"] = time.into();
        assert_eq!(
            instance.invoke(&delay).await.unwrap()["outcome"],
            "recorded",
            "{time}"
        );
    }
    let mut failure = ses_event("ses-rendering-failure", &id, "m");
    failure["detail"]["eventType"] = "RenderingFailure".into();
    assert_eq!(
        instance.invoke(&failure).await.unwrap()["outcome"],
        "recorded"
    );
    assert_eq!(
        stored_feedback(&app).await,
        ["delayed m", "delayed m", "rendering_failed m"]
    );
}

#[tokio::test]
async fn events_of_other_messages_and_of_other_kinds_are_ignored() {
    let app = App::new().await;
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let ours = reminder_event_id(&app, booking).await;
    let audit: String = app
        .one(
            "SELECT id::text FROM booking_automation_events WHERE event_type = 'reminder_sent'",
            &[],
        )
        .await
        .get(0);
    assert_eq!(ours, audit);
    let instance = Instance::start(&app).await;
    app.sql(
        "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
        &[&booking],
    )
    .await;
    let change: String = app
        .one(
            "SELECT id::text FROM booking_automation_events WHERE event_type = 'status_update'",
            &[],
        )
        .await
        .get(0);
    let mut others = ["not-a-uuid", "", &change]
        .map(|id| ses_event("ses-bounce", id, "m"))
        .to_vec();
    others.push(example_event("ses-bounce"));
    let mut untagged = example_event("ses-complaint");
    untagged["detail"]["mail"]
        .as_object_mut()
        .unwrap()
        .remove("tags");
    others.push(untagged);
    for kind in ["Open", "Click", "Subscription", "Something New"] {
        let mut event = ses_event("ses-bounce", &ours, "m");
        event["detail"]["eventType"] = kind.into();
        others.push(event);
    }
    for event in others {
        let told = instance.invoke(&event).await.unwrap();
        assert_eq!(told["outcome"], "ignored", "{event}");
    }
    assert!(stored_feedback(&app).await.is_empty());
    let suppressed: i64 = app
        .one("SELECT count(*) FROM booking_automation_suppressions", &[])
        .await
        .get(0);
    assert_eq!(suppressed, 0);
}

#[tokio::test]
async fn a_malformed_ses_event_is_a_function_error_that_names_the_field() {
    let app = App::new().await;
    let instance = Instance::start(&app).await;
    let id = Uuid::new_v4().to_string();
    for (path, named) in [
        (&["eventType"][..], "detail.eventType"),
        (&["mail", "messageId"], "detail.mail.messageId"),
        (&["mail", "timestamp"], "detail.mail.timestamp"),
        (&["mail"], "detail.mail.messageId"),
    ] {
        for wrong in [json!(null), json!(7), json!(""), json!([]), json!({})] {
            let mut event = ses_event("ses-send", &id, "m");
            let mut place = &mut event["detail"];
            for name in path {
                place = &mut place[name];
            }
            *place = wrong;
            let error = instance.invoke(&event).await.unwrap_err();
            assert_eq!(error["errorType"], "MalformedEvent", "{path:?} {error}");
            assert!(
                error["errorMessage"].as_str().unwrap().ends_with(named),
                "{path:?} {error}"
            );
        }
    }
    let error = instance
        .invoke(&json!({"source": "aws.ses"}))
        .await
        .unwrap_err();
    assert_eq!(error["errorType"], "MalformedEvent");
    // Unusual, but readable: texts that PostgreSQL refuses, and very long ones.
    let mut odd = ses_event("ses-bounce", &id, "m\u{0}");
    odd["detail"]["bounce"]["bouncedRecipients"] =
        json!([7, {"emailAddress": "\u{0}"}, {"status": "x".repeat(100_000)}]);
    odd["detail"]["bounce"]["a\u{0}name"] = "a value".into();
    odd["detail"]["bounce"]["x".repeat(100_000)] = "a value".into();
    assert_eq!(instance.invoke(&odd).await.unwrap()["reason"], "not_ours");
}

#[tokio::test]
async fn an_event_that_cannot_be_stored_is_a_function_error_and_can_be_retried() {
    let app = App::new().await;
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let send = ses_event(
        "ses-send",
        &reminder_event_id(&app, booking).await,
        "message-1",
    );
    let instance = Instance::start(&app).await;
    app.db
        .batch_execute("ALTER TABLE booking_automation_feedback RENAME TO gone")
        .await
        .unwrap();
    let error = instance.invoke(&send).await.unwrap_err();
    assert_eq!(error["errorType"], "EventNotRecorded", "{error}");
    app.db
        .batch_execute("ALTER TABLE gone RENAME TO booking_automation_feedback")
        .await
        .unwrap();
    assert_eq!(instance.invoke(&send).await.unwrap()["outcome"], "recorded");
}

#[tokio::test]
async fn every_kind_of_event_settles_an_unknown_outcome_without_a_second_mail() {
    for (file, kind) in KINDS {
        let mut app = App::new().await;
        app.env
            .insert("SES_CONFIGURATION_SET", "bookings".to_owned());
        let booking = app.confirmed(noon() + hours(24)).await;
        app.ses
            .answer(|_| Answer::Error(500, "InternalFailure", "oops"));
        app.run(noon()).await;
        assert_eq!(app.reminders(booking).await, ["24h pending unknown"]);
        let instance = Instance::start(&app).await;
        let told = instance
            .invoke(&ses_event(
                file,
                &reminder_event_id(&app, booking).await,
                "theirs",
            ))
            .await
            .unwrap();
        assert_eq!(
            (&told["kind"], &told["settled"]),
            (&kind.into(), &true.into())
        );
        assert_eq!(app.reminders(booking).await, ["24h completed"]);
        let (message_id, attempts) =
            settled_message(&app, &reminder_event_id(&app, booking).await).await;
        assert_eq!(
            (message_id.as_str(), &attempts[..]),
            ("theirs", &["unknown".to_owned(), "sent".to_owned()][..])
        );

        app.run(noon() + minutes(1)).await;
        assert_eq!(app.ses.mails().len(), 1, "{kind}");
        let flag: bool = app
            .one(
                "SELECT reminder_24h_sent FROM bookings WHERE id = $1",
                &[&booking],
            )
            .await
            .get(0);
        assert!(flag, "the flag is set");
    }
}

#[tokio::test]
async fn without_an_event_an_unknown_outcome_is_retried_and_the_doubt_is_recorded() {
    let mut app = App::new().await;
    app.env
        .insert("SES_CONFIGURATION_SET", "bookings".to_owned());
    let booking = app.confirmed(noon() + hours(24)).await;
    app.ses
        .answer(|_| Answer::Error(500, "InternalFailure", "oops"));
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    assert_eq!(
        app.run(noon()).await["reminders"]["sent"],
        0,
        "no retry within two minutes"
    );
    app.make_claimable().await;
    assert_eq!(app.run(noon()).await["reminders"]["sent"], 1);
    assert_eq!(app.ses.mails().len(), 2);
    let history: Value = app
        .one(
            "SELECT event_data -> 'attempts' FROM booking_automation_events",
            &[],
        )
        .await
        .get(0);
    assert_eq!(
        (&history[0]["outcome"], &history[1]["outcome"]),
        (&"unknown".into(), &"sent".into())
    );
    // The late event of the first attempt has nothing to settle.
    let told = Instance::start(&app)
        .await
        .invoke(&ses_event(
            "ses-send",
            &reminder_event_id(&app, booking).await,
            "the-first",
        ))
        .await
        .unwrap();
    assert_eq!(told["settled"], false);
    assert_eq!(
        app.column("SELECT message_id FROM booking_automation_events", &[])
            .await,
        ["message-2"]
    );
}

#[tokio::test]
async fn an_event_settles_a_message_that_had_failed() {
    let app = App::new().await;
    let booking = app.confirmed(noon() + minutes(1)).await;
    app.ses
        .answer(|_| Answer::Error(500, "InternalFailure", "oops"));
    app.run(noon()).await;
    assert_eq!(
        app.reminders(booking).await.last().unwrap(),
        "15m failed unknown",
        "there is no retry after the start"
    );
    let id: String = app
        .one(
            "SELECT id::text FROM booking_automation_events WHERE rule = '15m' AND booking_id = $1",
            &[&booking],
        )
        .await
        .get(0);
    Instance::start(&app)
        .await
        .invoke(&ses_event("ses-delivery", &id, "theirs"))
        .await
        .unwrap();
    assert_eq!(
        app.reminders(booking).await.last().unwrap(),
        "15m completed"
    );
}

/// All permutations.
fn permutations<T: Copy>(things: &[T]) -> Vec<Vec<T>> {
    if things.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for first in 0..things.len() {
        let mut rest = things.to_vec();
        let thing = rest.remove(first);
        all.extend(permutations(&rest).into_iter().map(|mut order| {
            order.insert(0, thing);
            order
        }));
    }
    all
}

#[tokio::test]
async fn the_order_of_events_and_our_record_does_not_change_the_result() {
    let mut app = App::new().await;
    app.env
        .insert("SES_CONFIGURATION_SET", "bookings".to_owned());
    let instance = Instance::start(&app).await;
    // The position of our record among the events; before it the message is claimed.
    let orders = permutations(&["record", "ses-send", "ses-delivery", "ses-delay"]);
    assert_eq!(orders.len(), 24);
    for (round, order) in orders.iter().enumerate() {
        for answered in [true, false] {
            app.ses.clear();
            let (answer, held) = tokio::sync::watch::channel(false);
            app.ses.answer(move |_| {
                let then = if answered {
                    Answer::Sent
                } else {
                    Answer::Error(500, "InternalFailure", "oops")
                };
                Answer::Held(held.clone(), Box::new(then))
            });
            let booking = app.confirmed(noon() + hours(24)).await;
            let noon = noon().to_rfc3339();
            let arguments = ["run", "--as-of", &noon];
            let (said, ()) = tokio::join!(app.call(&arguments), async {
                app.ses.wait_for_mails(1).await;
                let id = app.ses.mails()[0].event_id().to_owned();
                let mut recorded = false;
                for step in order {
                    if *step == "record" {
                        answer.send(true).unwrap();
                        app.wait_until(
                            "SELECT NOT EXISTS (SELECT FROM booking_automation_events WHERE status = 'sending')",
                        )
                        .await;
                        recorded = true;
                    } else {
                        // An event does not settle a claimed message; after the record, the first
                        // event settles it.
                        let told = instance
                            .invoke(&ses_event(step, &id, &format!("m-{round}-{answered}")))
                            .await
                            .unwrap();
                        let first = order.iter().find(|step| **step != "record") == Some(step);
                        assert_eq!(
                            told["settled"],
                            recorded && !answered && first,
                            "{order:?} {told}"
                        );
                    }
                }
            });
            assert!(!said.stderr.contains("stale"), "{order:?}: {}", said.stderr);
            assert_eq!(
                app.reminders(booking).await,
                ["24h completed"],
                "{order:?} {answered}"
            );
            app.make_claimable().await;
            app.run(noon.parse().unwrap()).await;
            assert_eq!(app.ses.mails().len(), 1, "{order:?} {answered}");
        }
    }
}

#[tokio::test]
async fn an_event_of_the_first_attempt_settles_the_message_despite_a_failed_second_attempt() {
    let throttled = Answer::Error(429, "TooManyRequestsException", "slow down");
    let rejected = Answer::Error(400, "MessageRejected", "virus");
    // The fifth attempt is the last.
    for (made, answer) in [(4, throttled.clone()), (1, throttled), (1, rejected)] {
        let mut app = App::new().await;
        app.env
            .insert("SES_CONFIGURATION_SET", "bookings".to_owned());
        let booking = app.confirmed(noon() + hours(24)).await;
        app.ses
            .answer(|_| Answer::Error(500, "InternalFailure", "oops"));
        app.run(noon()).await;
        app.sql(
            "UPDATE booking_automation_events SET attempts = $1",
            &[&made],
        )
        .await;
        app.make_claimable().await;
        let (release, held) = tokio::sync::watch::channel(false);
        let then = answer.clone();
        app.ses
            .answer(move |_| Answer::Held(held.clone(), Box::new(then.clone())));
        let id = reminder_event_id(&app, booking).await;
        let instance = Instance::start(&app).await;
        let noon = noon().to_rfc3339();
        let arguments = ["run", "--as-of", &noon];
        let (said, ()) = tokio::join!(app.call(&arguments), async {
            app.ses.wait_for_mails(2).await;
            let told = instance
                .invoke(&ses_event("ses-send", &id, "the-first"))
                .await
                .unwrap();
            assert_eq!(told["settled"], false, "claimed");
            release.send(true).unwrap();
        });
        assert_eq!(
            said.summary()["reminders"]["sent"],
            1,
            "{answer:?} {}",
            said.stdout
        );
        let (message_id, attempts) = settled_message(&app, &id).await;
        assert_eq!(
            (message_id.as_str(), &attempts[..]),
            ("the-first", &["unknown".to_owned(), "sent".to_owned()][..])
        );
    }
}

/// A query: whether so many sessions of the program wait for a lock.
fn sessions_wait_for_lock(count: usize) -> String {
    format!(
        "SELECT count(*) = {count} FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'booking-automation' AND wait_event_type = 'Lock'"
    )
}

/// Delivers an event until it is recorded, as Lambda retries it.
async fn deliver_event(instance: &Instance, event: &Value) -> Value {
    for _ in 0..30 {
        if let Ok(told) = instance.invoke(event).await {
            return told;
        }
    }
    panic!("not recorded after 30 deliveries: {event}");
}

/// Creates a reminder whose only attempt will be unknown; the sender lets SES answer.
async fn create_reminder_with_held_answer(app: &App) -> tokio::sync::watch::Sender<bool> {
    let (answer, held) = tokio::sync::watch::channel(false);
    let oops = Answer::Error(500, "InternalFailure", "oops");
    app.ses
        .answer(move |_| Answer::Held(held.clone(), Box::new(oops.clone())));
    app.confirmed(noon() + minutes(1)).await;
    answer
}

#[tokio::test]
async fn an_event_does_not_wait_for_a_lock_on_another_message() {
    let app = App::new().await;
    let (told_of, held) = (
        app.confirmed(noon() + hours(24)).await,
        app.confirmed(noon() + hours(24)).await,
    );
    app.run(noon()).await;
    let other = connect(&app.url).await;
    other.batch_execute("BEGIN").await.unwrap();
    let hold = "SELECT FROM booking_automation_events WHERE booking_id = $1 FOR UPDATE";
    assert_eq!(other.execute(hold, &[&held]).await.unwrap(), 1);
    let instance = Instance::start(&app).await;
    deliver_event(
        &instance,
        &ses_event("ses-delivery", &reminder_event_id(&app, told_of).await, "m"),
    )
    .await;
    assert_eq!(stored_feedback(&app).await, ["delivered m"]);
}

#[tokio::test]
async fn an_event_just_before_our_record_settles_the_message() {
    let app = App::new().await;
    let answer = create_reminder_with_held_answer(&app).await;
    let noon = noon().to_rfc3339();
    let arguments = ["run", "--as-of", &noon];
    let instance = Instance::start(&app).await;
    let (_, id) = tokio::join!(app.call(&arguments), async {
        app.ses.wait_for_mails(1).await;
        let id = app.ses.mails()[0].event_id().to_owned();
        let send = ses_event("ses-send", &id, "theirs");
        // Both wait for the row of the message; the event is first in the queue.
        let other = connect(&app.url).await;
        other
            .batch_execute("BEGIN; SELECT FROM booking_automation_events FOR UPDATE")
            .await
            .unwrap();
        let (_, ()) = tokio::join!(deliver_event(&instance, &send), async {
            app.wait_until(&sessions_wait_for_lock(1)).await;
            answer.send(true).unwrap();
            app.wait_until(&sessions_wait_for_lock(2)).await;
            other.batch_execute("COMMIT").await.unwrap();
        });
        id
    });
    assert_eq!(settled_message(&app, &id).await.0, "theirs");
}

/// An SQL function that waits until the test's session releases its lock.
const LINGER: &str = "CREATE FUNCTION linger() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
     WHILE NOT pg_try_advisory_xact_lock(42) LOOP PERFORM pg_sleep(0.01); END LOOP; RETURN true; END $$;";

/// Delivers an event while a session pauses in `linger()`. Resumes the session when the event is
/// recorded or waits.
async fn deliver_event_while_paused(app: &App, instance: &Instance, event: &Value, lock: Client) {
    let lingers = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')";
    app.wait_until(lingers).await;
    let waits_or_told = format!(
        "SELECT ({}) OR EXISTS (SELECT FROM booking_automation_feedback)",
        sessions_wait_for_lock(1)
    );
    let (_, ()) = tokio::join!(deliver_event(instance, event), async {
        app.wait_until(&waits_or_told).await;
        drop(lock);
    });
}

async fn take_pause_lock(app: &App) -> Client {
    let session = connect(&app.url).await;
    session
        .batch_execute("SELECT pg_advisory_lock(42)")
        .await
        .unwrap();
    session
}

#[tokio::test]
async fn an_event_during_our_record_settles_the_message() {
    let app = App::new().await;
    let answer = create_reminder_with_held_answer(&app).await;
    app.db
        .batch_execute(&format!(
            "{LINGER} CREATE FUNCTION record() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.linger(); RETURN NEW; END $$;
             CREATE TRIGGER record BEFORE UPDATE ON booking_automation_events
                FOR EACH ROW WHEN (OLD.status = 'sending') EXECUTE FUNCTION record()"
        ))
        .await
        .unwrap();
    let lock = take_pause_lock(&app).await;
    let noon = noon().to_rfc3339();
    let arguments = ["run", "--as-of", &noon];
    let instance = Instance::start(&app).await;
    let (_, id) = tokio::join!(app.call(&arguments), async {
        app.ses.wait_for_mails(1).await;
        let id = app.ses.mails()[0].event_id().to_owned();
        answer.send(true).unwrap();
        deliver_event_while_paused(&app, &instance, &ses_event("ses-send", &id, "theirs"), lock)
            .await;
        id
    });
    assert_eq!(settled_message(&app, &id).await.0, "theirs");
}

#[tokio::test]
async fn an_event_during_the_claim_that_gives_up_settles_the_message() {
    let app = App::new().await;
    create_due_bookings(&app, 2).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    // The sender of the second message died in its last attempt.
    app.sql("UPDATE booking_automation_events SET status = 'sending', attempts = 5 WHERE starts_at = (SELECT max(starts_at) FROM booking_automation_events)", &[])
        .await;
    app.make_claimable().await;
    let id: String = app
        .one(
            "SELECT id::text FROM booking_automation_events WHERE status = 'sending'",
            &[],
        )
        .await
        .get(0);
    app.db
        .batch_execute(&format!(
            "{LINGER} ALTER VIEW booking_automation_contacts RENAME TO contacts;
             CREATE VIEW booking_automation_contacts AS SELECT * FROM contacts WHERE email <> 'c1@customers.example' OR linger()"
        ))
        .await
        .unwrap();
    let lock = take_pause_lock(&app).await;
    let noon = noon().to_rfc3339();
    let arguments = ["run", "--as-of", &noon];
    let instance = Instance::start(&app).await;
    let send = ses_event("ses-send", &id, "theirs");
    tokio::join!(
        app.call(&arguments),
        deliver_event_while_paused(&app, &instance, &send, lock)
    );
    assert_eq!(settled_message(&app, &id).await.0, "theirs");
}

#[tokio::test]
async fn messages_reported_as_sent_complete_even_if_cancelled_or_exhausted_since() {
    let mut app = App::new().await;
    app.env.insert("SEND_CONCURRENCY", "2".to_owned());
    create_due_bookings(&app, 6).await;
    app.ses.answer(|_| Answer::Silence);
    let mut process = app
        .command(&["run", "--as-of", &noon().to_rfc3339()])
        .spawn()
        .unwrap();
    app.ses.wait_for_mails(2).await;
    process.kill().await.unwrap();
    let claimed = "SELECT id::text FROM booking_automation_events WHERE status = 'sending' ORDER BY starts_at";
    let claimed = app.column(claimed, &[]).await;
    assert_eq!(claimed.len(), 4, "a page");
    let instance = Instance::start(&app).await;
    for id in &claimed {
        instance
            .invoke(&ses_event("ses-delivery", id, id))
            .await
            .unwrap();
    }
    // One is no longer due; another one has no attempt left.
    let cancelled = "UPDATE bookings SET status = 'cancelled' WHERE id = (SELECT booking_id FROM booking_automation_events WHERE id = $1::text::uuid)";
    app.sql(cancelled, &[&claimed[0]]).await;
    app.sql(
        "UPDATE booking_automation_events SET attempts = 5 WHERE id = $1::text::uuid",
        &[&claimed[1]],
    )
    .await;
    app.make_claimable().await;
    app.ses.clear();
    app.ses.answer(|_| Answer::Sent);
    let summary = app.run(noon()).await;
    for id in &claimed {
        assert_eq!(
            settled_message(&app, id).await,
            (id.clone(), vec!["sent".to_owned()])
        );
    }
    // The call continues after a page without a message to send.
    assert_eq!(
        (app.ses.mails().len(), &summary["reminders"]["sent"]),
        (2, &6.into()),
        "{summary}"
    );
}

#[tokio::test]
async fn an_event_does_not_change_a_skipped_reminder() {
    let app = App::new().await;
    let booking = app.confirmed(noon() + hours(24)).await;
    app.ses
        .answer(|_| Answer::Error(500, "InternalFailure", "oops"));
    app.run(noon()).await;
    app.sql(
        "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
        &[&booking],
    )
    .await;
    app.make_claimable().await;
    app.run(noon()).await;
    assert_eq!(app.reminders(booking).await, ["24h skipped cancelled"]);
    let send = ses_event(
        "ses-send",
        &reminder_event_id(&app, booking).await,
        "theirs",
    );
    let told = Instance::start(&app).await.invoke(&send).await.unwrap();
    assert_eq!(
        (&told["outcome"], &told["settled"]),
        (&"recorded".into(), &false.into()),
        "{told}"
    );
    assert_eq!(app.reminders(booking).await, ["24h skipped cancelled"]);
}

#[tokio::test]
async fn settling_a_reminder_to_the_provider_sets_no_flag() {
    for claimed in [false, true] {
        let app = App::new().await;
        app.sql("INSERT INTO reminder_rules (name, lead, audience, effective_from) VALUES ('24h', '24 hours', 'provider', '2020-01-01')", &[])
            .await;
        app.sql(
            "UPDATE users SET email = NULL WHERE id = $1",
            &[&app.customer],
        )
        .await;
        let booking = app.confirmed(noon() + hours(24)).await;
        app.ses
            .answer(|_| Answer::Error(500, "InternalFailure", "oops"));
        app.run(noon()).await;
        let id = app.ses.mails()[0].event_id().to_owned();
        if claimed {
            app.sql(
                "UPDATE booking_automation_events SET status = 'sending' WHERE id = $1::text::uuid",
                &[&id],
            )
            .await;
        }
        let told = Instance::start(&app)
            .await
            .invoke(&ses_event("ses-send", &id, "theirs"))
            .await
            .unwrap();
        assert_eq!(told["settled"], !claimed);
        app.make_claimable().await;
        app.run(noon()).await;
        assert_eq!(settled_message(&app, &id).await.0, "theirs");
        let flag: bool = app
            .one(
                "SELECT reminder_24h_sent FROM bookings WHERE id = $1",
                &[&booking],
            )
            .await
            .get(0);
        assert!(!flag, "{claimed}");
    }
}

#[tokio::test]
async fn an_event_settles_the_message_of_a_killed_sender_when_the_lease_expires() {
    let app = App::new().await;
    create_due_bookings(&app, 2).await;
    app.ses.answer(|_| Answer::Silence);
    let mut process = app
        .command(&["run", "--as-of", &noon().to_rfc3339()])
        .spawn()
        .unwrap();
    app.ses.wait_for_mails(2).await;
    process.kill().await.unwrap();
    // SES reports one of the two.
    let known = app.ses.mails()[0].event_id().to_owned();
    let told = Instance::start(&app)
        .await
        .invoke(&ses_event("ses-send", &known, "theirs"))
        .await
        .unwrap();
    assert_eq!(told["settled"], false, "a claimed message is not settled");
    app.ses.clear();
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    let summary = app.run(noon()).await;
    assert_eq!(
        (&summary["reminders"]["sent"], &summary["reminders"]["due"]),
        (&2.into(), &2.into()),
        "{summary}"
    );
    assert_eq!(
        app.ses.mails().len(),
        1,
        "only the other message is sent again"
    );
    assert_ne!(app.ses.mails()[0].event_id(), known);
    assert_eq!(
        reminder_outcomes(&app).await,
        ["completed 1 1", "completed 2 1"]
    );
    app.run(noon()).await;
    let flags: i64 = app
        .one("SELECT count(*) FROM bookings WHERE reminder_24h_sent", &[])
        .await
        .get(0);
    assert_eq!(flags, 2);
}

/// Delivers a bounce or complaint of the customer, with a change.
async fn deliver_bounce_or_complaint(
    app: &App,
    file: &str,
    change: impl FnOnce(&mut Value),
) -> Value {
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let mut event = ses_event(
        file,
        &reminder_event_id(app, booking).await,
        &Uuid::new_v4().to_string(),
    );
    change(&mut event["detail"]);
    let told = Instance::start(app).await.invoke(&event).await.unwrap();
    app.ses.clear();
    told
}

/// The state of the customer's next reminder.
async fn next_reminder_outcome(app: &App) -> Vec<String> {
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    app.reminders(booking).await
}

#[tokio::test]
async fn hard_bounced_and_complaining_addresses_are_suppressed_until_lifted() {
    for (file, reason) in [("ses-bounce", "bounced"), ("ses-complaint", "complained")] {
        let app = App::new().await;
        let told = deliver_bounce_or_complaint(&app, file, |_| {}).await;
        assert_eq!(told["suppressed"], 1, "{told}");
        assert_eq!(
            next_reminder_outcome(&app).await,
            ["24h skipped suppressed"]
        );
        assert!(app.ses.mails().is_empty());
        // Other people get their mail.
        let other = app
            .person("Otto", Some("otto@customers.example"), "Europe/Vienna")
            .await;
        let id = app.confirmed(noon() + hours(24)).await;
        app.sql(
            "UPDATE bookings SET customer_id = $1 WHERE id = $2",
            &[&other, &id],
        )
        .await;
        app.run(noon()).await;
        assert_eq!(app.reminders(id).await, ["24h completed"]);
        assert_every_spelling_is_suppressed(&app).await;
        assert_eq!(app.ses.mails().len(), 1, "Otto's");
        assert_only_the_suppressed_address_can_be_lifted(&app, reason).await;
    }
}

async fn set_address_of_customer(app: &App, address: &str) {
    app.sql(
        "UPDATE users SET email = $2 WHERE id = $1",
        &[&app.customer, &address],
    )
    .await;
}

/// Case and surrounding blanks do not matter. A no-break space makes the address malformed.
async fn assert_every_spelling_is_suppressed(app: &App) {
    for address in [
        " Carla@Customers.EXAMPLE ",
        "\tcarla@customers.example\r\n",
        "\n\u{c} carla@customers.example\t",
    ] {
        set_address_of_customer(app, address).await;
        assert_eq!(
            next_reminder_outcome(app).await,
            ["24h skipped suppressed"],
            "{address:?}"
        );
    }
    set_address_of_customer(app, "carla@customers.example\u{a0}").await;
    assert_eq!(next_reminder_outcome(app).await, ["24h failed bad_address"]);
    set_address_of_customer(app, "carla@customers.example").await;
}

async fn assert_only_the_suppressed_address_can_be_lifted(app: &App, reason: &str) {
    for address in [
        "otto@customers.example",
        "nobody",
        "carla@customers.example x",
    ] {
        let output = app.call(&["lift-suppression", address]).await;
        assert!(!output.success && output.stdout.is_empty(), "{address}");
    }
    assert_eq!(next_reminder_outcome(app).await, ["24h skipped suppressed"]);
    let output = app
        .call(&["lift-suppression", "CARLA@customers.example"])
        .await;
    assert!(
        output.success && output.stderr.contains(reason),
        "{}",
        output.stderr
    );
    assert_eq!(next_reminder_outcome(app).await, ["24h completed"]);
    let again = app
        .call(&["lift-suppression", "carla@customers.example"])
        .await;
    assert!(
        !again.success && again.stderr.contains("is not suppressed"),
        "{}",
        again.stderr
    );
}

#[tokio::test]
async fn an_address_that_is_sent_to_in_another_form_is_suppressed_too() {
    for (stored, sent_to, reported) in [
        (
            "carla@bücher.example",
            "carla@xn--bcher-kva.example",
            "carla@xn--bcher-kva.example",
        ),
        (
            "abc..def@docomo.ne.jp",
            "\"abc..def\"@docomo.ne.jp",
            "\"abc..def\"@docomo.ne.jp",
        ),
        // A server may leave the quotes out.
        (
            "abc.@docomo.ne.jp",
            "\"abc.\"@docomo.ne.jp",
            "abc.@docomo.ne.jp",
        ),
    ] {
        let app = App::new().await;
        set_address_of_customer(&app, stored).await;
        assert_eq!(next_reminder_outcome(&app).await, ["24h completed"]);
        assert_eq!(app.ses.mails()[0].to(), sent_to);
        let told = deliver_bounce_or_complaint(&app, "ses-bounce", |detail| {
            detail["bounce"]["bouncedRecipients"][0]["emailAddress"] = reported.into();
        })
        .await;
        assert_eq!(told["suppressed"], 1, "{told}");
        let kept = "SELECT details::text FROM booking_automation_feedback";
        let kept: String = app.one(kept, &[]).await.get(0);
        assert!(!kept.contains("abc") && !kept.contains("xn--"), "{kept}");
        for address in [stored, reported] {
            set_address_of_customer(&app, address).await;
            let outcome = next_reminder_outcome(&app).await;
            assert_eq!(outcome, ["24h skipped suppressed"], "{address}");
        }
        assert!(app.call(&["lift-suppression", stored]).await.success);
        assert_eq!(next_reminder_outcome(&app).await, ["24h completed"]);
    }
}

#[tokio::test]
async fn a_repeated_event_does_not_suppress_a_lifted_address_again() {
    let app = App::new().await;
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let id = reminder_event_id(&app, booking).await;
    let instance = Instance::start(&app).await;
    let bounce = ses_event("ses-bounce", &id, "message-1");
    assert_eq!(instance.invoke(&bounce).await.unwrap()["suppressed"], 1);
    assert!(
        app.call(&["lift-suppression", "carla@customers.example"])
            .await
            .success
    );
    assert_eq!(
        instance.invoke(&bounce).await.unwrap(),
        json!({"outcome": "ignored", "reason": "duplicate"})
    );
    assert_eq!(next_reminder_outcome(&app).await, ["24h completed"]);
    // A new event suppresses it again.
    assert_eq!(
        instance
            .invoke(&ses_event("ses-bounce", &id, "message-2"))
            .await
            .unwrap()["suppressed"],
        1
    );
    assert_eq!(
        next_reminder_outcome(&app).await,
        ["24h skipped suppressed"]
    );
}

#[tokio::test]
async fn without_the_hash_key_mail_is_sent_and_a_bounce_is_a_function_error() {
    let app = App::new().await;
    app.sql("DELETE FROM booking_automation_hash_key", &[])
        .await;
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    assert_eq!(app.reminders(booking).await, ["24h completed"]);
    let id = reminder_event_id(&app, booking).await;
    let instance = Instance::start(&app).await;
    let error = instance
        .invoke(&ses_event("ses-bounce", &id, "message-1"))
        .await
        .unwrap_err();
    assert_eq!(error["errorType"], "EventNotRecorded", "{error}");
    assert!(stored_feedback(&app).await.is_empty());
    assert_eq!(
        instance
            .invoke(&ses_event("ses-delivery", &id, "message-1"))
            .await
            .unwrap()["outcome"],
        "recorded"
    );
}

#[tokio::test]
async fn transient_bounces_and_other_events_suppress_no_address() {
    let app = App::new().await;
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 6] = [
        ("ses-bounce", |detail| {
            detail["bounce"]["bounceType"] = "Transient".into()
        }),
        ("ses-bounce", |detail| {
            detail["bounce"]["bounceType"] = "Undetermined".into()
        }),
        ("ses-complaint", |detail| {
            detail["complaint"]["complaintFeedbackType"] = "not-spam".into()
        }),
        ("ses-bounce", |detail| {
            detail["bounce"]["bouncedRecipients"][0]["emailAddress"] = "Carla <>".into()
        }),
        ("ses-delay", |_| {}),
        ("ses-reject", |_| {}),
    ];
    for (file, change) in changes {
        let told = deliver_bounce_or_complaint(&app, file, change).await;
        assert_eq!(
            (&told["outcome"], &told["suppressed"]),
            (&"recorded".into(), &0.into()),
            "{file} {told}"
        );
        assert_eq!(
            next_reminder_outcome(&app).await,
            ["24h completed"],
            "{file}"
        );
    }
}

#[tokio::test]
async fn a_bounced_recipient_may_be_given_with_or_without_a_name() {
    for told in [
        "carla@customers.example",
        "Carla <CARLA@customers.example>",
        " <carla@customers.example>",
    ] {
        let app = App::new().await;
        deliver_bounce_or_complaint(&app, "ses-bounce", |detail| {
            detail["bounce"]["bouncedRecipients"][0]["emailAddress"] = told.into();
        })
        .await;
        assert_eq!(
            next_reminder_outcome(&app).await,
            ["24h skipped suppressed"],
            "{told}"
        );
    }
}

#[tokio::test]
async fn suppressed_addresses_are_stored_as_keyed_hashes() {
    let app = App::new().await;
    deliver_bounce_or_complaint(&app, "ses-bounce", |_| {}).await;
    let row = app
        .one("SELECT address_hash, inner_key, reason, message_id <> '' AND created_at <= now() FROM booking_automation_suppressions, booking_automation_hash_key", &[])
        .await;
    let (hash, inner): (Vec<u8>, Vec<u8>) = (row.get(0), row.get(1));
    assert_eq!(
        (row.get::<_, &str>(2), row.get::<_, bool>(3)),
        ("bounced", true)
    );
    // HMAC-SHA-256, computed by another implementation with the same key.
    let key: Vec<u8> = inner.iter().map(|byte| byte ^ 0x36).take(32).collect();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(b"carla@customers.example");
    assert_eq!(mac.finalize().into_bytes().as_slice(), hash);
    // Each database has its own key.
    let fresh = App::empty().await;
    assert!(fresh.call(&["migrate"]).await.success);
    let other: Vec<u8> = fresh
        .one("SELECT inner_key FROM booking_automation_hash_key", &[])
        .await
        .get(0);
    assert_ne!(other, inner);
    assert!(fresh.call(&["migrate"]).await.success);
    let same: Vec<u8> = fresh
        .one("SELECT inner_key FROM booking_automation_hash_key", &[])
        .await
        .get(0);
    assert_eq!(other, same, "a second migrate keeps the key");
}

#[tokio::test]
async fn an_event_gives_up_on_a_locked_message_and_can_be_retried() {
    let app = App::new().await;
    let booking = app.confirmed(noon() + hours(24)).await;
    app.ses
        .answer(|_| Answer::Error(500, "InternalFailure", "oops"));
    app.run(noon()).await;
    let id = reminder_event_id(&app, booking).await;
    // Another session locks the row of the message: the event fails and is repeated.
    let other = connect(&app.url).await;
    other
        .batch_execute("BEGIN; SELECT FROM booking_automation_events FOR UPDATE")
        .await
        .unwrap();
    let instance = Instance::start(&app).await;
    let send = ses_event("ses-send", &id, "theirs");
    let started = std::time::Instant::now();
    let error = instance.invoke(&send).await.unwrap_err();
    assert_eq!(error["errorType"], "EventNotRecorded");
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(stored_feedback(&app).await.is_empty(), "all or nothing");
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(instance.invoke(&send).await.unwrap()["settled"], true);
}

#[tokio::test]
async fn an_event_does_not_wait_for_a_claim() {
    let app = App::new().await;
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let id = reminder_event_id(&app, booking).await;
    let instance = Instance::start(&app).await;
    // A claim locks the channel's row.
    let claim = connect(&app.url).await;
    let lock = "BEGIN; SELECT FROM booking_automation_channels WHERE channel = 'email' FOR UPDATE";
    claim.batch_execute(lock).await.unwrap();
    let told = instance
        .invoke(&ses_event("ses-delivery", &id, "message-1"))
        .await
        .unwrap();
    assert_eq!(told["outcome"], "recorded");
    claim.batch_execute("ROLLBACK").await.unwrap();
}

/// The reminder of a new booking leaves, and comes back for now.
async fn bounce_softly(app: &App, instance: &Instance) -> Value {
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let id = reminder_event_id(app, booking).await;
    let mut event = ses_event("ses-bounce", &id, &id);
    event["detail"]["bounce"]["bounceType"] = "Transient".into();
    let told = instance.invoke(&event).await.unwrap();
    assert_eq!(told["kind"], "bounced", "{told}");
    told
}

/// Why, and for how long addresses are suppressed; `None`: for ever.
async fn suppressions(app: &App) -> Vec<(String, Option<i32>)> {
    let sql = "SELECT reason, extract(day FROM until - created_at + interval '1 minute')::integer
                 FROM booking_automation_suppressions";
    let rows = app.db.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn three_transient_bounces_in_a_month_suppress_an_address_for_two_weeks() {
    let app = App::new().await;
    let instance = Instance::start(&app).await;
    for suppressed in [0, 0, 1] {
        let told = bounce_softly(&app, &instance).await;
        assert_eq!(told["suppressed"], suppressed);
    }
    assert_eq!(
        suppressions(&app).await,
        [("bounced_softly".to_owned(), Some(14))]
    );
    // Only the keyed digest is stored.
    let sql = "SELECT f::text FROM booking_automation_soft_bounces f
                 JOIN booking_automation_suppressions s USING (address_hash)";
    let rows = app.column(sql, &[]).await;
    assert!(
        rows.len() == 3 && !rows.concat().contains("carla"),
        "{rows:?}"
    );
    assert_eq!(
        next_reminder_outcome(&app).await,
        ["24h skipped suppressed"]
    );

    // It ends by itself. If the next mail comes back, too, it begins again.
    let end = "UPDATE booking_automation_suppressions SET until = now()";
    app.sql(end, &[]).await;
    assert_eq!(next_reminder_outcome(&app).await, ["24h completed"]);
    assert_eq!(bounce_softly(&app, &instance).await["suppressed"], 1);
    assert_eq!(
        next_reminder_outcome(&app).await,
        ["24h skipped suppressed"]
    );
    let lifted = app
        .call(&["lift-suppression", "carla@customers.example"])
        .await;
    assert!(lifted.success && lifted.stderr.contains("bounced_softly"));
    assert_eq!(next_reminder_outcome(&app).await, ["24h completed"]);
}

#[tokio::test]
async fn transient_bounces_that_are_recorded_at_the_same_time_count_each_other() {
    let app = App::new().await;
    let instances = (Instance::start(&app).await, Instance::start(&app).await);
    bounce_softly(&app, &instances.0).await;
    let mut events = Vec::new();
    for _ in 0..2 {
        let booking = app.confirmed(noon() + hours(24)).await;
        app.run(noon()).await;
        let id = reminder_event_id(&app, booking).await;
        let mut event = ses_event("ses-bounce", &id, &id);
        event["detail"]["bounce"]["bounceType"] = "Transient".into();
        events.push(event);
    }
    // The second one is stored, but not committed, when the third one comes.
    app.db
        .batch_execute(&format!(
            "{LINGER} CREATE FUNCTION store() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.linger(); RETURN NEW; END $$;
             CREATE TRIGGER store AFTER INSERT ON booking_automation_soft_bounces FOR EACH ROW EXECUTE FUNCTION store()"
        ))
        .await
        .unwrap();
    let lock = take_pause_lock(&app).await;
    let lingering = |count: usize| {
        format!(
            "SELECT count(*) >= {count} FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
        )
    };
    let (second, third, ()) = tokio::join!(
        instances.0.invoke(&events[0]),
        async {
            app.wait_until(&lingering(1)).await;
            instances.1.invoke(&events[1]).await
        },
        async {
            app.wait_until(&lingering(1)).await;
            let both = format!(
                "SELECT ({}) OR ({})",
                sessions_wait_for_lock(1),
                lingering(2)
            );
            app.wait_until(&both).await;
            drop(lock);
        }
    );
    let suppressed = [second, third].map(|told| told.unwrap()["suppressed"].clone());
    assert_eq!(suppressed, [0, 1]);
    let soft = ("bounced_softly".to_owned(), Some(14));
    assert_eq!(suppressions(&app).await, [soft]);
}

#[tokio::test]
async fn transient_bounces_count_once_a_message_for_a_month_and_for_one_address() {
    let app = App::new().await;
    let instance = Instance::start(&app).await;
    bounce_softly(&app, &instance).await;
    // A second event about the same mail.
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let id = reminder_event_id(&app, booking).await;
    for time in ["2026-03-01T12:05:00.000Z", "2026-03-01T12:35:00.000Z"] {
        let mut event = ses_event("ses-bounce", &id, "message");
        event["detail"]["bounce"]["bounceType"] = "Transient".into();
        event["detail"]["bounce"]["timestamp"] = time.into();
        assert_eq!(instance.invoke(&event).await.unwrap()["suppressed"], 0);
        assert_eq!(
            instance.invoke(&event).await.unwrap()["reason"],
            "duplicate"
        );
    }
    // Another address.
    set_address_of_customer(&app, "otto@customers.example").await;
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let id = reminder_event_id(&app, booking).await;
    let mut event = ses_event("ses-bounce", &id, "other");
    event["detail"]["bounce"]["bounceType"] = "Transient".into();
    event["detail"]["bounce"]["bouncedRecipients"][0]["emailAddress"] =
        "otto@customers.example".into();
    assert_eq!(instance.invoke(&event).await.unwrap()["suppressed"], 0);
    set_address_of_customer(&app, "carla@customers.example").await;
    // One of a month ago.
    let age = "UPDATE booking_automation_soft_bounces SET bounced_at = now() - $1::text::interval
                WHERE message_id <> 'message'";
    app.sql(age, &[&"30 days 1 minute"]).await;
    assert_eq!(bounce_softly(&app, &instance).await["suppressed"], 0);
    app.sql(age, &[&"29 days 23 hours"]).await;
    assert_eq!(bounce_softly(&app, &instance).await["suppressed"], 1);
}

#[tokio::test]
async fn a_permanent_bounce_replaces_a_suppression_that_ends_and_not_the_other_way_round() {
    let app = App::new().await;
    let instance = Instance::start(&app).await;
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let id = reminder_event_id(&app, booking).await;
    for _ in 0..2 {
        bounce_softly(&app, &instance).await;
    }
    // Mails that are under way when the address is suppressed.
    let late = |message_id: &str, bounce_type: &str| {
        let mut event = ses_event("ses-bounce", &id, message_id);
        event["detail"]["bounce"]["bounceType"] = bounce_type.into();
        event
    };
    let soft = || ("bounced_softly".to_owned(), Some(14));
    for (message_id, bounce_type, suppressed, expected) in [
        ("1", "Transient", 1, soft()),
        ("2", "Transient", 0, soft()),
        ("3", "Undetermined", 0, soft()),
        ("4", "Permanent", 1, ("bounced".to_owned(), None)),
        ("5", "Transient", 0, ("bounced".to_owned(), None)),
        ("6", "Permanent", 0, ("bounced".to_owned(), None)),
    ] {
        let event = late(message_id, bounce_type);
        let told = instance.invoke(&event).await.unwrap();
        assert_eq!(told["suppressed"], suppressed, "{message_id}");
        assert_eq!(suppressions(&app).await, [expected], "{message_id}");
    }
}

#[tokio::test]
async fn an_address_that_is_suppressed_for_a_while_is_reached_by_the_next_channel() {
    let (app, sms) = app_with_sms("email>sms").await;
    let instance = Instance::start(&app).await;
    for _ in 0..3 {
        bounce_softly(&app, &instance).await;
    }
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    assert_eq!(app.reminders(booking).await, ["24h completed"]);
    assert_eq!((app.ses.mails().len(), sms.accepted().len()), (3, 1));
}
