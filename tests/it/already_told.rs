//! Nobody is told the same twice: a booking that was moved away and back, or cancelled and confirmed
//! again.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::app::{App, hours, minutes, noon};
use crate::http::Server;
use crate::notices::{set_status, switch_on};
use crate::ses::Answer;
use crate::status::{ask, support};

/// The start that the tests tell of.
fn start() -> DateTime<Utc> {
    noon() + hours(23)
}

fn later(count: i64) -> DateTime<Utc> {
    noon() + minutes(count)
}

/// A booking whose 24-hour reminder a pass at noon has sent.
async fn told(app: &App) -> Uuid {
    let id = app.confirmed(start()).await;
    app.run(noon()).await;
    assert_eq!(app.reminders(id).await, ["24h completed"]);
    id
}

async fn move_to(app: &App, id: Uuid, start: DateTime<Utc>) {
    let sql = "UPDATE bookings SET scheduled_at = $2 WHERE id = $1";
    app.sql(sql, &[&id, &start]).await;
}

/// Moves the booking away and back, with other changes between.
async fn move_away_and_back(app: &App, id: Uuid, changes: &str) {
    app.set_clock(later(1)).await;
    move_to(app, id, start() + hours(5)).await;
    app.db.batch_execute(changes).await.unwrap();
    move_to(app, id, start()).await;
}

async fn flag(app: &App, id: Uuid) -> bool {
    let sql = "SELECT reminder_24h_sent FROM bookings WHERE id = $1";
    app.one(sql, &[&id]).await.get(0)
}

const TOLD_ONCE: [&str; 2] = ["24h completed", "24h skipped already_told"];
const TOLD_AGAIN: [&str; 2] = ["24h completed", "24h completed"];

#[tokio::test]
async fn a_booking_moved_away_and_back_between_two_passes_is_not_reminded_of_twice() {
    let mut app = App::new().await;
    let id = told(&app).await;
    move_away_and_back(&app, id, "").await;
    assert!(flag(&app, id).await);
    let summary = app.run(later(2)).await;
    assert_eq!(
        (
            &summary["reminders"]["sent"],
            &summary["reminders"]["skipped"]
        ),
        (&json!(0), &json!(1))
    );
    assert_eq!(app.reminders(id).await, TOLD_ONCE);
    assert!(flag(&app, id).await);

    // Once more: what was skipped told nothing.
    move_away_and_back(&app, id, "").await;
    app.run(later(3)).await;
    assert_eq!(app.reminders(id).await[2..], ["24h skipped already_told"]);

    let server = support(&mut app, later(3)).await;
    let path = format!("/bookings/{id}/timeline");
    let timeline = ask(&server, "GET", &path, &[], b"").await.json();
    let sentence = "The 24h reminder to the customer by email was not sent: an earlier message says the same, and none was sent since.";
    let said = timeline["happened"].as_array().unwrap().last().unwrap()["text"].clone();
    assert_eq!(said, sentence);

    // The other reminders go out at their times.
    app.run(start() - minutes(50)).await;
    app.run(start() - minutes(15)).await;
    assert_eq!(
        app.reminders(id).await[3..],
        ["1h completed", "15m completed"]
    );
    assert_eq!(app.ses.mails().len(), 3);
}

#[tokio::test]
async fn a_booking_moved_away_and_back_within_a_transaction_is_not_reminded_of_twice() {
    let app = App::new().await;
    let id = told(&app).await;
    app.db.batch_execute("BEGIN").await.unwrap();
    move_away_and_back(&app, id, "").await;
    app.db.batch_execute("COMMIT").await.unwrap();
    app.run(later(2)).await;
    assert_eq!(app.reminders(id).await, TOLD_ONCE);
    assert!(flag(&app, id).await);
}

#[tokio::test]
async fn a_booking_cancelled_and_confirmed_again_is_not_reminded_of_twice() {
    let app = App::new().await;
    let id = told(&app).await;
    app.set_clock(later(1)).await;
    for status in ["cancelled", "confirmed"] {
        let sql = "UPDATE bookings SET status = $2 WHERE id = $1";
        app.sql(sql, &[&id, &status]).await;
    }
    app.run(later(2)).await;
    assert_eq!(app.reminders(id).await, TOLD_ONCE);
    assert!(flag(&app, id).await);
}

/// What the message says, and where it went.
#[tokio::test]
async fn a_person_who_was_told_something_else_is_told_again() {
    let changes = [
        "UPDATE bookings SET location = 'Gürtel 5, Wien'",
        "UPDATE bookings SET location = NULL",
        "UPDATE bookings SET meeting_link = 'https://meet.example/a'",
        "UPDATE bookings SET is_online = true",
        "UPDATE bookings SET duration_minutes = 90",
        "UPDATE services SET title = 'Deep massage'",
        "UPDATE users SET email = 'carla@new.example' WHERE email = 'carla@customers.example'",
    ];
    for change in changes {
        let app = App::new().await;
        let id = told(&app).await;
        move_away_and_back(&app, id, change).await;
        app.run(later(2)).await;
        assert_eq!(app.reminders(id).await, TOLD_AGAIN, "{change}");
        // That is what was told last.
        move_away_and_back(&app, id, "").await;
        app.run(later(3)).await;
        assert_eq!(
            app.reminders(id).await[2..],
            ["24h skipped already_told"],
            "{change}"
        );
    }
}

/// Links differ by the case of their letters, and addresses do not.
#[tokio::test]
async fn a_person_who_was_told_of_a_cancellation_is_reminded_again() {
    let app = App::new().await;
    app.set_clock(noon() - hours(24)).await;
    switch_on(&app, &["cancelled"]).await;
    let id = told(&app).await;
    for (minute, status) in [(1, "cancelled"), (2, "confirmed")] {
        app.set_clock(later(minute)).await;
        set_status(&app, id, status).await;
        app.run(later(minute)).await;
    }
    let sql = "SELECT concat_ws(' ', rule, status, reason) FROM booking_automation_events
                WHERE booking_id = $1 AND rule <> '' ORDER BY seq";
    assert_eq!(
        app.column(sql, &[&id]).await,
        ["24h completed", "cancelled completed", "24h completed"]
    );
}

#[tokio::test]
async fn the_case_of_letters_counts_in_a_link_and_not_in_an_address() {
    let app = App::new().await;
    app.db
        .batch_execute(
            "ALTER TABLE bookings ALTER meeting_link SET DEFAULT 'https://meet.example/a'",
        )
        .await
        .unwrap();
    let id = told(&app).await;
    move_away_and_back(
        &app,
        id,
        "UPDATE users SET email = upper(email), display_name = 'C.'",
    )
    .await;
    app.run(later(2)).await;
    assert_eq!(app.reminders(id).await, TOLD_ONCE);
    move_away_and_back(
        &app,
        id,
        "UPDATE bookings SET meeting_link = 'https://meet.example/A'",
    )
    .await;
    app.run(later(3)).await;
    assert_eq!(app.reminders(id).await[2..], ["24h completed"]);
}

#[tokio::test]
async fn a_message_that_came_back_is_sent_again() {
    for (kind, reminders) in [
        ("bounced", TOLD_AGAIN),
        ("rejected", TOLD_AGAIN),
        ("rendering_failed", TOLD_AGAIN),
        ("delivered", TOLD_ONCE),
        ("delayed", TOLD_ONCE),
        ("complained", TOLD_ONCE),
    ] {
        let app = App::new().await;
        let id = told(&app).await;
        let sql = "INSERT INTO booking_automation_feedback (event_id, booking_id, kind, message_id, occurred_at, details)
                   SELECT id, booking_id, $2, message_id, now(), '{}' FROM booking_automation_events WHERE booking_id = $1 AND rule = '24h'";
        app.sql(sql, &[&id, &kind]).await;
        move_away_and_back(&app, id, "").await;
        app.run(later(2)).await;
        assert_eq!(app.reminders(id).await, reminders, "{kind}");
    }
}

#[tokio::test]
async fn another_bookings_message_that_came_back_does_not_count() {
    let app = App::new().await;
    let id = told(&app).await;
    let other = told(&app).await;
    let sql = "INSERT INTO booking_automation_feedback (event_id, booking_id, kind, message_id, occurred_at, details)
               SELECT id, booking_id, 'bounced', message_id, now(), '{}' FROM booking_automation_events WHERE booking_id = $1 AND rule = '24h'";
    app.sql(sql, &[&other]).await;
    move_away_and_back(&app, id, "").await;
    app.run(later(2)).await;
    assert_eq!(app.reminders(id).await, TOLD_ONCE);
}

#[tokio::test]
async fn another_rule_that_told_of_another_start_counts_and_one_that_told_of_the_same_does_not() {
    let app = App::new().await;
    let id = told(&app).await;
    app.set_clock(later(1)).await;
    move_to(&app, id, later(50)).await;
    app.run(later(2)).await;
    assert_eq!(app.reminders(id).await.last().unwrap(), "1h completed");
    app.set_clock(later(3)).await;
    move_to(&app, id, start()).await;
    app.run(later(4)).await;
    let last = app.reminders(id).await;
    assert!(last.contains(&"24h completed".to_owned()), "{last:?}");
    assert_eq!(app.ses.mails().len(), 3);

    let app = App::new().await;
    let sql = "INSERT INTO reminder_rules (name, lead) VALUES ('23h', '23 hours')";
    app.sql(sql, &[]).await;
    let id = app.confirmed(start() + minutes(30)).await;
    app.run(noon()).await;
    app.run(later(30)).await;
    assert_eq!(app.reminders(id).await, ["24h completed", "23h completed"]);
    app.set_clock(later(31)).await;
    move_to(&app, id, start()).await;
    move_to(&app, id, start() + minutes(30)).await;
    app.run(later(32)).await;
    assert_eq!(
        app.reminders(id).await,
        [
            "24h completed",
            "24h skipped superseded",
            "23h completed",
            "23h skipped already_told"
        ]
    );
}

#[tokio::test]
async fn the_other_persons_messages_do_not_count() {
    let app = App::new().await;
    app.set_clock(noon() - hours(48)).await;
    let sql =
        "INSERT INTO reminder_rules (name, lead, audience) VALUES ('1h', '1 hour', 'provider')";
    app.sql(sql, &[]).await;
    app.sql(
        "UPDATE reminder_rules SET active = false WHERE name = '1h' AND audience = 'customer'",
        &[],
    )
    .await;
    let id = told(&app).await;
    app.set_clock(later(1)).await;
    move_to(&app, id, later(50)).await;
    app.run(later(2)).await;
    assert_eq!(app.reminders(id).await.last().unwrap(), "1h completed");
    move_to(&app, id, start()).await;
    app.run(later(4)).await;
    assert_eq!(app.ses.mails().len(), 2, "{:?}", app.reminders(id).await);
}

/// The reminder of another start: how it ended, and whether the first start is told of again.
#[tokio::test]
async fn a_message_that_may_have_arrived_counts_and_one_that_was_not_sent_does_not() {
    for (answer, told_again) in [
        (Answer::Error(500, "InternalFailure", "what?"), true),
        (
            Answer::Error(429, "TooManyRequestsException", "slow down"),
            false,
        ),
        (Answer::Error(400, "MessageRejected", "no"), false),
    ] {
        let app = App::new().await;
        let id = told(&app).await;
        app.ses.answer({
            let answer = answer.clone();
            move |_| answer.clone()
        });
        app.set_clock(later(1)).await;
        move_to(&app, id, start() - hours(1)).await;
        app.run(later(2)).await;
        app.ses.answer(|_| Answer::Sent);
        app.set_clock(later(3)).await;
        move_to(&app, id, start()).await;
        app.make_claimable().await;
        let summary = app.run(later(4)).await;
        assert_eq!(
            summary["reminders"]["sent"] == 1,
            told_again,
            "{answer:?} {:?}",
            app.reminders(id).await
        );
    }
}

/// Its sender is gone, and nobody knows whether the message left.
#[tokio::test]
async fn a_lost_lease_counts_as_told() {
    for is_ended in [true, false] {
        let app = App::new().await;
        let id = told(&app).await;
        app.ses
            .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
        app.set_clock(later(1)).await;
        move_to(&app, id, start() - hours(1)).await;
        app.run(later(2)).await;
        app.ses.answer(|_| Answer::Sent);
        app.sql("UPDATE booking_automation_events SET status = 'sending', attempts = 2 WHERE status = 'pending'", &[])
            .await;
        app.make_claimable().await;
        if is_ended {
            app.set_clock(later(3)).await;
            move_to(&app, id, start() + hours(100)).await;
            app.run(later(4)).await;
        }
        app.set_clock(later(5)).await;
        move_to(&app, id, start()).await;
        assert_eq!(
            app.run(later(6)).await["reminders"]["sent"],
            1,
            "{is_ended}"
        );
    }
}

/// The first message has no known outcome.
#[tokio::test]
async fn a_message_of_unknown_outcome_is_sent_again() {
    let app = App::new().await;
    app.ses
        .answer(|_| Answer::Error(500, "InternalFailure", "what?"));
    let id = app.confirmed(start()).await;
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    move_away_and_back(&app, id, "").await;
    app.make_claimable().await;
    app.run(later(2)).await;
    assert_eq!(
        app.reminders(id).await,
        ["24h skipped rescheduled", "24h completed"]
    );
}

#[tokio::test]
async fn a_message_whose_attempts_told_the_same_is_not_sent_again() {
    let app = App::new().await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slower"));
    let id = app.confirmed(start()).await;
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    app.run(noon()).await;
    assert_eq!(app.reminders(id).await, ["24h completed"]);
    move_away_and_back(&app, id, "").await;
    app.run(later(2)).await;
    assert_eq!(app.reminders(id).await, TOLD_ONCE);
}

/// Two attempts that told different things: which of them arrived is not known.
#[tokio::test]
async fn a_message_whose_attempts_told_different_things_is_sent_again() {
    let app = App::new().await;
    app.ses
        .answer(|_| Answer::Error(500, "InternalFailure", "what?"));
    let id = app.confirmed(start()).await;
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    app.sql("UPDATE bookings SET location = 'Gürtel 5, Wien'", &[])
        .await;
    app.make_claimable().await;
    app.run(later(1)).await;
    assert_eq!(app.reminders(id).await, ["24h completed"]);
    move_away_and_back(&app, id, "").await;
    app.run(later(2)).await;
    assert_eq!(app.reminders(id).await, TOLD_AGAIN);
}

#[tokio::test]
async fn a_message_of_an_earlier_release_is_sent_again() {
    let app = App::new().await;
    let id = told(&app).await;
    app.sql_without_triggers(
        "UPDATE booking_automation_events SET event_data = event_data - 'told'",
    )
    .await;
    move_away_and_back(&app, id, "").await;
    app.run(later(2)).await;
    assert_eq!(app.reminders(id).await, TOLD_AGAIN);
}

/// Several rules are due at once, and the person has the message of the nearest.
#[tokio::test]
async fn the_nearest_of_several_rules_still_replaces_the_others() {
    let app = App::new().await;
    let id = app.confirmed(later(50)).await;
    app.run(noon()).await;
    let first = ["24h skipped superseded", "1h completed"];
    assert_eq!(app.reminders(id).await, first);
    app.set_clock(later(1)).await;
    move_to(&app, id, start()).await;
    move_to(&app, id, later(50)).await;
    app.run(later(2)).await;
    assert_eq!(
        app.reminders(id).await,
        [
            "24h skipped superseded",
            "24h skipped booked_late",
            "1h completed",
            "1h skipped already_told"
        ]
    );
}

/// A reminder that the person has replaces one that waits for its retry.
#[tokio::test]
async fn a_queued_retry_is_superseded_by_a_nearer_reminder_that_was_told_before() {
    let app = App::new().await;
    app.set_clock(noon() - hours(48)).await;
    app.sql(
        "INSERT INTO reminder_rules (name, lead) VALUES ('55m', '55 minutes')",
        &[],
    )
    .await;
    let id = app.confirmed(later(50)).await;
    app.run(noon()).await;
    app.sql(
        "UPDATE reminder_rules SET active = false WHERE name = '55m'",
        &[],
    )
    .await;
    app.set_clock(later(1)).await;
    move_to(&app, id, start()).await;
    move_to(&app, id, later(50)).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(later(2)).await;
    for change in ["active = true", "effective_from = '-infinity'"] {
        let sql = format!("UPDATE reminder_rules SET {change} WHERE name = '55m'");
        app.sql(&sql, &[]).await;
    }
    app.ses.answer(|_| Answer::Sent);
    app.run(later(3)).await;
    app.make_claimable().await;
    app.run(later(4)).await;
    assert_eq!(
        app.reminders(id).await,
        [
            "24h skipped superseded",
            "24h skipped booked_late",
            "1h skipped superseded",
            "1h skipped superseded",
            "55m completed",
            "55m skipped already_told"
        ]
    );
}

/// An SES event that comes late finds what was told.
#[tokio::test]
async fn a_message_that_a_later_event_settles_counts_as_told() {
    let app = App::new().await;
    app.ses
        .answer(|_| Answer::Error(500, "InternalFailure", "what?"));
    let id = app.confirmed(start()).await;
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    let sql = "INSERT INTO booking_automation_feedback (event_id, booking_id, kind, message_id, occurred_at, details)
               SELECT id, booking_id, 'sent', 'message-1', now(), '{}' FROM booking_automation_events WHERE booking_id = $1";
    app.sql(sql, &[&id]).await;
    app.make_claimable().await;
    app.run(later(1)).await;
    assert_eq!(app.reminders(id).await, ["24h completed"]);
    move_away_and_back(&app, id, "").await;
    app.run(later(2)).await;
    assert_eq!(app.reminders(id).await, TOLD_ONCE);
    assert_eq!(app.ses.mails().len(), 1);
}

async fn erase(server: &Server, person: Uuid) {
    let path = format!("/people/{person}/messages");
    let answer = ask(server, "DELETE", &path, &[], b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn erasing_a_person_erases_what_they_were_told() {
    let mut app = App::new().await;
    let id = told(&app).await;
    let stored =
        "SELECT (event_data ->> 'told') FROM booking_automation_events WHERE booking_id = $1";
    let digest = app.column(stored, &[&id]).await;
    assert_eq!(
        digest[0].len(),
        44,
        "a digest, and nothing that can be read"
    );
    let server = support(&mut app, later(1)).await;
    erase(&server, app.customer).await;
    assert_eq!(app.column(stored, &[&id]).await, [""]);
    move_away_and_back(&app, id, "").await;
    app.run(later(2)).await;
    assert_eq!(app.reminders(id).await, TOLD_AGAIN);
}

/// Two bookings of one person, and two databases, never share a digest.
#[tokio::test]
async fn the_digest_has_the_key_of_its_database() {
    let mut digests = Vec::new();
    for _ in 0..2 {
        let app = App::new().await;
        app.sql("UPDATE booking_automation_hash_key SET inner_key = sha256(gen_random_uuid()::text::bytea) || sha256(gen_random_uuid()::text::bytea)", &[])
            .await;
        told(&app).await;
        digests.extend(
            app.column(
                "SELECT event_data ->> 'told' FROM booking_automation_events",
                &[],
            )
            .await,
        );
    }
    assert_ne!(digests[0], digests[1]);
}

/// A claim looks the history of each message up by its booking.
#[tokio::test]
async fn a_claim_reads_the_messages_of_its_bookings_by_an_index() {
    let app = App::new().await;
    app.db
        .batch_execute(
            "SET session_replication_role = replica;
             INSERT INTO bookings (status, scheduled_at, duration_minutes) SELECT 'confirmed', now() + interval '1 hour', 60 FROM generate_series(1, 5000);
             INSERT INTO booking_automation_events (booking_id, event_type, event_data, status, rule, audience, channel, revision, starts_at, attempts)
             SELECT id, 'reminder_sent', '{\"told\": \"x\"}', 'completed', rule, 'customer', 'email', revision, scheduled_at, 1
               FROM bookings, generate_series(1, 3) AS revision, (VALUES ('24h'), ('1h')) AS rules (rule);
             INSERT INTO booking_automation_events (booking_id, event_type, status, rule, audience, channel, revision, starts_at, next_attempt_at)
             SELECT id, 'reminder_sent', 'pending', '1h', 'customer', 'email', 4, scheduled_at, now() FROM bookings;
             RESET session_replication_role; ANALYZE bookings; ANALYZE booking_automation_events",
        )
        .await
        .unwrap();
    let statements = booking_automation::entry::statements::composed();
    let (_, claim) = statements.iter().find(|(name, _)| name == "claim").unwrap();
    let prepare = format!(
        "SET plan_cache_mode = force_custom_plan;
         SET enable_seqscan = off; SET enable_bitmapscan = off; -- as in a claim
         PREPARE claim (text, float8, float8, float8, float8, timestamptz, int, uuid[], text[], bytea[], timestamptz[], text[], uuid[], text[], text[], bool[], text[]) AS {claim}"
    );
    app.db.batch_execute(&prepare).await.unwrap();
    let page = "SELECT format('EXPLAIN (COSTS OFF) EXECUTE claim (''email'', 100, 2, 45, 120, NULL, 5, %L, %L, %L, %L, %L, NULL, NULL, NULL, %L, %L)',
                              array_agg(id), array_agg('carla@customers.example'::text), array_agg(sha256('facts')),
                              array_agg(NULL::timestamptz), array_agg(NULL::text), array_agg(NULL::bool), array_agg(NULL::text))
                  FROM (SELECT id FROM booking_automation_events WHERE status = 'pending' LIMIT 200) AS page";
    let explain: String = app.one(page, &[]).await.get(0);
    let plan = app.column(&explain, &[]).await.join("\n");
    assert!(
        plan.contains("booking_automation_events_reminder_key on booking_automation_events told"),
        "{plan}"
    );
    assert!(
        plan.contains("booking_automation_events_booking on booking_automation_events later"),
        "{plan}"
    );
    let whole = |table: &str| plan.contains(&format!("Seq Scan on {table} "));
    assert!(
        !whole("booking_automation_events") && !whole("bookings"),
        "{plan}"
    );
}
