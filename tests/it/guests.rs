//! Guests: other recipients of a message, whom the contacts view tells apart by `recipient`.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::app::{App, hours, minutes, noon};
use crate::cancellation::cancel;
use crate::feedback::ses_event;
use crate::links::{app_with_links, path_of, post, serve};
use crate::notices::{set_start, switch_on};
use crate::runtime_api::Instance;
use crate::ses::Answer;
use crate::status::{ask, support};
use crate::upgrade::{call, previous_program};

/// The view has a row for each row of the table `guests`, before its own.
const GUESTS: &str = "
    CREATE TABLE guests (booking_id uuid, recipient text, email text, name text, language text, person_id text,
                         audience text DEFAULT 'customer');
    DO $$ BEGIN
        EXECUTE 'CREATE OR REPLACE VIEW booking_automation_contacts AS
                 WITH shipped AS (' || rtrim(pg_get_viewdef('booking_automation_contacts'::regclass), ';') || ')
                 SELECT s.booking_id, s.audience, g.email, g.name, s.timezone, g.language, s.service, s.with_name, s.place,
                        s.meeting_link, s.is_online, s.place_timezone, g.person_id, g.recipient
                   FROM shipped s JOIN guests g ON g.booking_id = s.booking_id AND g.audience = s.audience
                  UNION ALL
                 SELECT shipped.*, NULL, NULL FROM shipped';
    END $$";

async fn with_view(app: App) -> App {
    app.db.batch_execute(GUESTS).await.unwrap();
    app
}

async fn app_with_guests() -> App {
    with_view(App::new().await).await
}

/// Without reminders, with these rules of notices.
async fn app_with_notices(names: &[&str]) -> App {
    let app = app_with_guests().await;
    app.sql("UPDATE reminder_rules SET active = false", &[])
        .await;
    app.set_clock(noon() - hours(24)).await;
    switch_on(&app, names).await;
    app.set_clock(noon()).await;
    app
}

/// A guest of a booking, with an address that is the name's, and a person of their own.
async fn invite(app: &App, booking: Uuid, name: &str) -> Uuid {
    let sql = "INSERT INTO guests (booking_id, recipient, email, name, person_id)
               VALUES ($1, $2, $2 || '@guests.example', $2, $3::uuid::text)";
    let person = Uuid::new_v4();
    app.sql(sql, &[&booking, &name, &person]).await;
    person
}

/// A booking that becomes due at noon, with guests of these names.
async fn class<const N: usize>(app: &App, names: [&str; N]) -> (Uuid, [Uuid; N]) {
    let booking = app.confirmed(noon() + hours(24)).await;
    let mut people = [Uuid::nil(); N];
    for (person, name) in people.iter_mut().zip(names) {
        *person = invite(app, booking, name).await;
    }
    (booking, people)
}

/// The messages: `recipient rule status reason attempts`, the first recipient's as `-`.
async fn messages(app: &App) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', coalesce(nullif(recipient, ''), '-'), rule, status, reason, attempts)
                 FROM booking_automation_events WHERE audience = 'customer' AND rule <> '' ORDER BY recipient, seq";
    app.column(sql, &[]).await
}

/// To whom mails went since they were last cleared, in order.
fn receivers(app: &App) -> Vec<String> {
    let mails = app.ses.mails().into_iter();
    let mut receivers: Vec<_> = mails
        .map(|mail| mail.to().split('@').next().unwrap().to_owned())
        .collect();
    receivers.sort();
    app.ses.clear();
    receivers
}

/// SES takes no message to this address for now.
fn throttle(app: &App, name: &'static str) {
    app.ses
        .answer(move |mail| match mail.to().starts_with(name) {
            true => Answer::Error(429, "TooManyRequestsException", "slower"),
            false => Answer::Sent,
        });
}

/// Other instances use a low send rate up.
const BUSY: &str = "UPDATE booking_automation_channels SET next_at = now() + interval '90 seconds'";

/// Runs so many calls, each of which sends one message at most.
async fn page_by_page(app: &mut App, now: DateTime<Utc>, calls: usize) {
    app.env.insert("SEND_RATE", "0.01".to_owned());
    for _ in 0..calls {
        let free = "UPDATE booking_automation_channels SET next_at = now()";
        app.sql(free, &[]).await;
        app.run(now).await;
    }
}

#[tokio::test]
async fn each_guest_gets_a_mail_of_their_own() {
    let mut app = app_with_guests().await;
    let (booking, _) = class(&app, ["anna", "bruno"]).await;
    app.sql(
        "UPDATE guests SET language = 'de' WHERE name = 'bruno'",
        &[],
    )
    .await;
    let alone = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let mails = app.ses.mails();
    let of = |to: &str| mails.iter().find(|mail| mail.to().starts_with(to)).unwrap();
    assert!(of("anna").text().contains("anna") && !of("anna").text().contains("Carla"));
    assert!(
        of("bruno").text().contains("Guten Tag bruno"),
        "{}",
        of("bruno").text()
    );
    assert_eq!(receivers(&app), ["anna", "bruno", "carla", "carla"]);
    assert_eq!(
        messages(&app).await,
        [
            "- 24h completed 1",
            "- 24h completed 1",
            "anna 24h completed 1",
            "bruno 24h completed 1"
        ]
    );
    let types = "SELECT concat_ws(' ', recipient, event_type, revision, to_char(scheduled_at AT TIME ZONE 'UTC', 'HH24:MI'),
                                  event_data ->> 'run_id' IS NOT NULL)
                   FROM booking_automation_events WHERE booking_id = $1 AND rule <> '' ORDER BY recipient";
    assert_eq!(
        app.column(types, &[&booking]).await,
        [
            " reminder_sent 1 12:00 t",
            "anna guest_reminder_sent 1 12:00 t",
            "bruno guest_reminder_sent 1 12:00 t"
        ]
    );
    // Once.
    app.run(noon() + minutes(1)).await;
    assert_eq!(receivers(&app), [""; 0]);
    // With the next rule, one more has come.
    invite(&app, booking, "cora").await;
    app.run(noon() + hours(23)).await;
    assert_eq!(receivers(&app), ["anna", "bruno", "carla", "carla", "cora"]);
    // Support sees whom each was for.
    let server = support(&mut app, noon() + hours(23)).await;
    let path = format!("/bookings/{booking}/timeline");
    let timeline = ask(&server, "GET", &path, &[], b"").await.json();
    let texts: Vec<_> = (timeline["happened"].as_array().unwrap().iter())
        .filter(|entry| entry["recipient"] == "anna")
        .map(|entry| entry["text"].as_str().unwrap())
        .collect();
    assert_eq!(
        texts,
        [
            "The 24h reminder to the customer's guest anna by email was sent.",
            "The 1h reminder to the customer's guest anna by email was sent."
        ]
    );
    let path = "/events?type=guest_reminder_sent&limit=1";
    let page = ask(&server, "GET", path, &[], b"").await.json();
    assert_eq!(page["events"][0]["recipient"], "cora", "{page}");
    let path = format!("/events?booking_id={alone}&type=reminder_sent");
    let page = ask(&server, "GET", &path, &[], b"").await.json();
    assert_eq!(page["events"][0].get("recipient"), None, "{page}");
}

#[tokio::test]
async fn a_customers_guests_get_no_message_of_the_providers() {
    let app = app_with_guests().await;
    app.set_clock(noon() - hours(1000)).await;
    let rule =
        "INSERT INTO reminder_rules (name, lead, audience) VALUES ('24h', '24 hours', 'provider')";
    app.sql(rule, &[]).await;
    class(&app, ["anna"]).await;
    for minute in 0..2 {
        app.run(noon() + minutes(minute)).await;
    }
    let sql = "SELECT concat_ws(' ', audience, coalesce(nullif(recipient, ''), '-'), status) FROM booking_automation_events
                WHERE rule = '24h' ORDER BY 1";
    assert_eq!(
        app.column(sql, &[]).await,
        [
            "customer - completed",
            "customer anna completed",
            "provider - completed"
        ]
    );
}

#[tokio::test]
async fn a_booking_may_have_guests_alone() {
    let app = app_with_guests().await;
    class(&app, ["anna"]).await;
    app.sql(
        "UPDATE users SET email = NULL WHERE id = $1",
        &[&app.customer],
    )
    .await;
    app.run(noon()).await;
    assert_eq!(receivers(&app), ["anna"]);
    assert_eq!(
        messages(&app).await,
        ["- 24h skipped no_address 0", "anna 24h completed 1"]
    );
    // The flag says that the customer was reminded.
    let flags = "SELECT count(*) FROM bookings WHERE reminder_24h_sent";
    assert_eq!(app.one(flags, &[]).await.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn what_one_has_chosen_is_not_chosen_for_another() {
    let app = with_view(app_with_links().await).await;
    let sql = "UPDATE reminder_rules SET asks_attendance = true WHERE audience = 'customer'";
    app.sql(sql, &[]).await;
    let (_, [anna, _]) = class(&app, ["anna", "bruno"]).await;
    app.sql(
        "UPDATE guests SET person_id = NULL WHERE name = 'bruno'",
        &[],
    )
    .await;
    app.run(noon()).await;
    let mails = app.ses.mails();
    let of = |to: &str| mails.iter().find(|mail| mail.to().starts_with(to)).unwrap();
    // A guest cannot cancel the customer's booking. A guest without a `person_id` has no links.
    for (to, choices, attendance) in [
        ("carla", true, true),
        ("anna", true, false),
        ("bruno", false, false),
    ] {
        let mail = of(to);
        assert_eq!(
            (
                !mail.header("List-Unsubscribe").is_empty(),
                mail.text().contains("I can’t come")
            ),
            (choices, attendance),
            "{to}: {}",
            mail.text()
        );
    }
    let server = serve(&app).await;
    post(&server, &path_of(of("anna")), "List-Unsubscribe=One-Click").await;
    let people = "SELECT person_id FROM booking_automation_opt_outs";
    assert_eq!(app.column(people, &[]).await, [anna.to_string()]);
    app.ses.clear();
    app.run(noon() + hours(23)).await;
    assert_eq!(receivers(&app), ["bruno", "carla"]);
    // And the other way round.
    let opt_out = "INSERT INTO booking_automation_opt_outs (person_id, kind) VALUES ($1::uuid::text, 'reminder')";
    app.sql(opt_out, &[&app.customer]).await;
    app.sql(
        "DELETE FROM booking_automation_opt_outs WHERE person_id = $1::uuid::text",
        &[&anna],
    )
    .await;
    app.run(noon() + hours(23) + minutes(45)).await;
    assert_eq!(receivers(&app), ["anna", "bruno"]);
    assert!(
        messages(&app)
            .await
            .contains(&"- 15m skipped opted_out 0".to_owned())
    );
}

#[tokio::test]
async fn guests_get_notices() {
    let mut app = app_with_notices(&["confirmed", "rescheduled", "cancelled"]).await;
    let booking = app.booking("confirmed", noon() + hours(24)).await;
    invite(&app, booking, "anna").await;
    app.run(noon()).await;
    assert_eq!(receivers(&app), ["anna", "carla"]);
    app.set_clock(noon() + minutes(1)).await;
    set_start(&app, booking, noon() + hours(30)).await;
    app.run(noon() + minutes(1)).await;
    for mail in app.ses.mails() {
        assert!(mail.text().contains("7:00"), "{}", mail.text());
        assert!(mail.calendar().is_some(), "{}", mail.text());
    }
    assert_eq!(receivers(&app), ["anna", "carla"]);
    // One more knows of no start yet; the cancellation reaches all.
    invite(&app, booking, "bruno").await;
    app.set_clock(noon() + minutes(2)).await;
    let sql = "UPDATE bookings SET total_price = 80 WHERE id = $1";
    app.sql(sql, &[&booking]).await;
    let server = support(&mut app, noon() + minutes(2)).await;
    let answer = cancel(&server, booking, "customer", false).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    app.run(noon() + minutes(2)).await;
    let mails = app.ses.mails();
    // It was the customer, and not the guest, who also gets no money back.
    for mail in &mails {
        let (by, refund) = match mail.to().starts_with("carla") {
            true => ("You canceled this booking.", true),
            false => ("The customer canceled this booking.", false),
        };
        let text = mail.text();
        assert!(text.contains(by), "{text}");
        assert_eq!(text.contains("refunded"), refund, "{text}");
    }
    let cancels = |mail: &crate::ses::Mail| mail.calendar().is_some_and(|it| it.method == "CANCEL");
    assert!(mails.iter().all(cancels));
    assert_eq!(receivers(&app), ["anna", "bruno", "carla"]);
}

#[tokio::test]
async fn what_one_was_told_is_not_told_to_another() {
    let app = app_with_guests().await;
    let (booking, _) = class(&app, ["anna", "bruno"]).await;
    app.ses.answer(|mail| match mail.to().starts_with("bruno") {
        true => Answer::Error(400, "MessageRejected", "no"),
        false => Answer::Sent,
    });
    app.run(noon()).await;
    assert_eq!(receivers(&app), ["anna", "bruno", "carla"]);
    app.ses.answer(|_| Answer::Sent);
    // Moved away and back: only who has not been told is reminded.
    set_start(&app, booking, noon() + hours(40)).await;
    set_start(&app, booking, noon() + hours(24)).await;
    app.run(noon() + minutes(1)).await;
    assert_eq!(receivers(&app), ["bruno"]);
    assert_eq!(
        messages(&app).await,
        [
            "- 24h completed 1",
            "- 24h skipped already_told 0",
            "anna 24h completed 1",
            "anna 24h skipped already_told 0",
            "bruno 24h failed rejected 1",
            "bruno 24h completed 1"
        ]
    );
}

#[tokio::test]
async fn of_several_reminders_the_nearest_goes_to_each() {
    let app = app_with_guests().await;
    class(&app, ["anna"]).await;
    // The customer's message arrives, the guest's does not.
    throttle(&app, "anna");
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    app.ses.clear();
    app.make_claimable().await;
    app.run(noon() + hours(23)).await;
    assert_eq!(receivers(&app), ["anna", "carla"]);
    assert_eq!(
        messages(&app).await,
        [
            "- 24h completed 1",
            "- 1h completed 1",
            "anna 24h skipped superseded 1",
            "anna 1h completed 1"
        ]
    );
}

/// With reminders 24 hours before the start, and confirmations, if they are on, an hour after the event.
async fn app_with_confirmations(are_on: bool) -> App {
    let app = app_with_guests().await;
    let rules = "UPDATE reminder_rules SET active = name = '24h' AND audience = 'customer'";
    app.sql(rules, &[]).await;
    app.set_clock(noon()).await;
    let sql = "UPDATE booking_automation_notice_rules SET active = $1, delay = '1 hour'
                WHERE name = 'confirmed' AND audience = 'customer'";
    app.sql(sql, &[&are_on]).await;
    app
}

#[tokio::test]
async fn what_waits_for_others_does_not_replace_a_guests_reminder() {
    for other in ["another booking's reminder", "a notice"] {
        let app = app_with_confirmations(other == "a notice").await;
        let booking = app.booking("confirmed", noon() + hours(24)).await;
        invite(&app, booking, "anna").await;
        throttle(&app, "anna");
        app.run(noon()).await;
        assert_eq!(
            messages(&app).await,
            ["- 24h completed 1", "anna 24h pending throttled 1"]
        );
        app.ses.answer(|_| Answer::Sent);
        app.make_claimable().await;
        if other != "a notice" {
            app.confirmed(noon() + hours(25)).await;
        }
        // Both are claimed together.
        app.run(noon() + hours(1)).await;
        let messages = messages(&app).await;
        assert_eq!(messages[0], "- 24h completed 1");
        assert!(
            messages[1].ends_with(" completed 1"),
            "{other}: {messages:?}"
        );
        assert_eq!(messages[2], "anna 24h completed 2", "{other}");
    }
}

#[tokio::test]
async fn a_guests_own_notice_does_not_replace_their_reminder() {
    let app = app_with_confirmations(true).await;
    let booking = app.booking("confirmed", noon() + hours(24)).await;
    invite(&app, booking, "anna").await;
    throttle(&app, "anna");
    for minute in [0, 60, 61] {
        app.run(noon() + minutes(minute)).await;
    }
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    app.run(noon() + minutes(62)).await;
    assert_eq!(
        messages(&app).await,
        [
            "- 24h completed 1",
            "- confirmed completed 1",
            "anna 24h completed 2",
            "anna confirmed completed 2"
        ]
    );
}

#[tokio::test]
async fn a_guest_of_two_bookings_is_reminded_of_both() {
    let app = app_with_guests().await;
    class(&app, ["anna"]).await;
    throttle(&app, "anna");
    app.run(noon()).await;
    let second = app.confirmed(noon() + hours(25)).await;
    invite(&app, second, "anna").await;
    for minute in [60, 61] {
        app.run(noon() + minutes(minute)).await;
    }
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    app.run(noon() + minutes(62)).await;
    assert_eq!(
        messages(&app).await,
        [
            "- 24h completed 1",
            "- 24h completed 1",
            "anna 24h completed 2",
            "anna 24h completed 2"
        ]
    );
}

#[tokio::test]
async fn a_guest_who_has_left_gets_nothing() {
    let app = app_with_guests().await;
    class(&app, ["anna", "bruno"]).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slower"));
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    app.ses.clear();
    app.sql("DELETE FROM guests WHERE name = 'anna'", &[]).await;
    app.make_claimable().await;
    app.run(noon() + minutes(1)).await;
    assert_eq!(receivers(&app), ["bruno", "carla"]);
    assert_eq!(
        messages(&app).await,
        [
            "- 24h completed 2",
            "anna 24h skipped no_address 1",
            "bruno 24h completed 2"
        ]
    );
}

#[tokio::test]
async fn who_has_another_ones_place_has_none_of_their_choices() {
    let app = with_view(app_with_links().await).await;
    class(&app, ["anna"]).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slower"));
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    app.ses.clear();
    let sql = "UPDATE guests SET email = 'ben@guests.example', name = 'ben', person_id = NULL";
    app.sql(sql, &[]).await;
    app.make_claimable().await;
    app.run(noon() + minutes(1)).await;
    let mails = app.ses.mails();
    let of = |to: &str| mails.iter().find(|mail| mail.to().starts_with(to)).unwrap();
    assert_eq!(of("ben").header("List-Unsubscribe"), "");
    assert_ne!(of("carla").header("List-Unsubscribe"), "");
}

#[tokio::test]
async fn a_guests_own_digest_told_nothing_of_the_booking() {
    let app = app_with_guests().await;
    let (booking, [gus]) = class(&app, ["gus"]).await;
    app.run(noon()).await;
    for (minute, start) in [(1, hours(26)), (3, hours(24))] {
        app.set_clock(noon() + minutes(minute)).await;
        set_start(&app, booking, noon() + start).await;
    }
    let digest = "INSERT INTO booking_automation_events (booking_id, event_type, rule, audience, channel, status, person_id, local_day, scheduled_at, executed_at, attempts)
                  VALUES ('00000000-0000-0000-0000-000000000000', 'notification_sent', 'digest', 'customer', 'email', 'completed', $1, '2026-03-02', $2, $2, 1)";
    app.sql(digest, &[&gus, &(noon() + minutes(2))]).await;
    app.run(noon() + minutes(4)).await;
    let last = messages(&app).await.pop().unwrap();
    assert_eq!(last, "gus 24h skipped already_told 0");
}

#[tokio::test]
async fn a_digest_is_the_persons_own() {
    let app = app_with_guests().await;
    app.sql("UPDATE reminder_rules SET active = false", &[])
        .await;
    app.set_clock(noon() - hours(24)).await;
    let sql = "UPDATE booking_automation_digest_rules SET active = true";
    app.sql(sql, &[]).await;
    app.set_clock(noon()).await;
    let booking = app.booking("confirmed", noon() + hours(24)).await;
    invite(&app, booking, "anna").await;
    invite(&app, booking, "paula").await;
    let sql = "UPDATE guests SET audience = 'provider' WHERE name = 'paula'";
    app.sql(sql, &[]).await;
    // At seven o'clock in Vienna.
    app.run(noon() + hours(18)).await;
    assert_eq!(receivers(&app), ["carla", "petra"]);
}

#[tokio::test]
async fn guests_wait_for_the_time_of_their_own_booking() {
    let app = app_with_guests().await;
    app.sql("UPDATE reminder_rules SET group_within = '12 hours'", &[])
        .await;
    class(&app, ["anna"]).await;
    let later = app.confirmed(noon() + hours(26)).await;
    invite(&app, later, "bruno").await;
    app.run(noon()).await;
    // One mail about both to the customer.
    assert_eq!(receivers(&app), ["anna", "carla"]);
    app.run(noon() + hours(2) - minutes(1)).await;
    assert_eq!(receivers(&app), [""; 0]);
    app.make_claimable().await;
    app.run(noon() + hours(2)).await;
    assert_eq!(receivers(&app), ["bruno"]);
}

#[tokio::test]
async fn a_guest_waits_until_the_customers_message_has_ended() {
    let app = app_with_guests().await;
    let settings = "UPDATE reminder_rules SET group_within = '12 hours';
                    INSERT INTO booking_automation_opt_outs (person_id, kind) SELECT id::text, 'reminder' FROM users";
    app.db.batch_execute(settings).await.unwrap();
    app.confirmed(noon() + hours(24)).await;
    let later = app.confirmed(noon() + hours(26)).await;
    invite(&app, later, "anna").await;
    // The second reminder was to leave with the first, which ends.
    app.run(noon()).await;
    assert_eq!(
        messages(&app).await,
        ["- 24h skipped opted_out 0", "- 24h pending 0"]
    );
    app.make_claimable().await;
    app.run(noon() + hours(2)).await;
    assert_eq!(receivers(&app), ["anna"]);
    assert_eq!(
        messages(&app).await,
        [
            "- 24h skipped opted_out 0",
            "- 24h skipped opted_out 0",
            "anna 24h completed 1"
        ]
    );
}

#[tokio::test]
async fn a_customers_quiet_hours_do_not_hold_a_guests_messages() {
    let app = app_with_guests().await;
    app.sql("UPDATE reminder_rules SET active = false", &[])
        .await;
    app.set_clock(noon() - hours(24)).await;
    switch_on(&app, &["follow-up"]).await;
    let quiet =
        "INSERT INTO booking_automation_preferences (person_id, quiet_from, quiet_until, timezone)
                 VALUES ($1::uuid::text, '11:00', '16:00', 'UTC')";
    app.sql(quiet, &[&app.customer]).await;
    app.set_clock(noon()).await;
    let booking = app.booking("in_progress", noon() - hours(1)).await;
    invite(&app, booking, "anna").await;
    app.sql("UPDATE bookings SET status = 'completed'", &[])
        .await;
    app.run(noon()).await;
    app.run(noon() + hours(2)).await;
    assert_eq!(receivers(&app), ["anna"]);
    assert_eq!(
        messages(&app).await,
        ["- follow-up pending 0", "anna follow-up completed 1"]
    );
}

#[tokio::test]
async fn guests_of_a_cancelled_booking_have_no_messages() {
    let app = app_with_guests().await;
    let (booking, _) = class(&app, ["anna"]).await;
    // The reminder waits because other instances use the send rate up.
    let mut app = app;
    app.env.insert("SEND_RATE", "0.01".to_owned());
    app.sql(BUSY, &[]).await;
    app.run(noon()).await;
    let sql = "UPDATE bookings SET status = 'cancelled' WHERE id = $1";
    app.sql(sql, &[&booking]).await;
    page_by_page(&mut app, noon() + minutes(1), 1).await;
    assert_eq!(messages(&app).await, ["- 24h skipped cancelled 0"]);
}

#[tokio::test]
async fn a_recipient_is_a_text_of_any_kind() {
    let app = app_with_guests().await;
    let booking = app.confirmed(noon() + hours(24)).await;
    let long = "x".repeat(10_000);
    for (recipient, email) in [
        (Some(""), None),
        (Some("  "), None),
        (None, None),
        (Some(" 7 "), Some("seven@guests.example")),
        (Some("7"), Some("seven@guests.example")),
        (Some("{\"a,b\\"), Some("odd@guests.example")),
        (Some("Ω 'x'"), Some("omega@guests.example")),
        (Some(long.as_str()), Some("long@guests.example")),
    ] {
        let sql = "INSERT INTO guests (booking_id, recipient, email) VALUES ($1, $2, $3)";
        app.sql(sql, &[&booking, &recipient, &email]).await;
    }
    app.run(noon()).await;
    let (mut receivers, longest) = (
        receivers(&app),
        "SELECT max(length(recipient)) FROM booking_automation_events",
    );
    // Of several rows without a recipient, one is read, as ever.
    receivers.retain(|receiver| receiver != "carla");
    assert_eq!(receivers, ["long", "odd", "omega", "seven"]);
    assert_eq!(app.one(longest, &[]).await.get::<_, i32>(0), 200);
}

#[tokio::test]
async fn erasing_a_person_erases_what_was_sent_to_them_as_a_guest() {
    let mut app = app_with_guests().await;
    let (_, [anna, _, _]) = class(&app, ["anna", "bruno", "clara"]).await;
    let sql = "UPDATE guests SET person_id = email WHERE recipient = 'bruno'";
    app.sql(sql, &[]).await;
    let others = app.confirmed(noon() + hours(23)).await;
    app.ses.answer(|mail| match mail.to().starts_with("carla") {
        true => Answer::Sent,
        false => Answer::Error(429, "TooManyRequestsException", "slower"),
    });
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    app.ses.clear();
    // A booking refers to the id that was derived from the guest's name. Its messages are not the guest's.
    let sql = "WITH u AS (INSERT INTO users (id, display_name, email) SELECT DISTINCT person_id, 'Namesake', 'n@customers.example'
                            FROM booking_automation_events WHERE recipient = 'bruno' RETURNING id)
               UPDATE bookings SET customer_id = u.id FROM u WHERE bookings.id = $1";
    assert_eq!(app.db.execute(sql, &[&others]).await.unwrap(), 1);
    let forgotten = "SELECT coalesce(nullif(recipient, ''), '-') FROM booking_automation_events
                      WHERE event_data ? 'forgotten' ORDER BY 1";
    let server = support(&mut app, noon()).await;
    // The customer's own are erased, and the guests' are not.
    let path = format!("/people/{}/messages", app.customer);
    let erased = ask(&server, "DELETE", &path, &[], b"").await.json();
    assert_eq!(
        (&erased["messages"], &erased["not_sent"]),
        (&Value::from(1), &Value::from(0)),
        "{erased}"
    );
    assert_eq!(app.column(forgotten, &[]).await, ["-"]);
    let path = format!("/people/{anna}/messages");
    let erased = ask(&server, "DELETE", &path, &[], b"").await.json();
    assert_eq!(
        (&erased["messages"], &erased["not_sent"]),
        (&Value::from(1), &Value::from(1)),
        "{erased}"
    );
    assert_eq!(app.column(forgotten, &[]).await, ["-", "anna"]);
    // A name that is no UUID finds a guest's messages, too.
    let path = "/people/bruno@guests.example";
    let erased = ask(&server, "DELETE", path, &[], b"").await.json();
    assert_eq!(
        (
            &erased["messages"],
            &erased["not_sent"],
            &erased["person_id"]
        ),
        (
            &Value::from(1),
            &Value::from(1),
            &Value::from("bruno@guests.example")
        ),
        "{erased}"
    );
    assert_eq!(app.column(forgotten, &[]).await, ["-", "anna", "bruno"]);
    let erased = ask(&server, "DELETE", "/people/nobody", &[], b"")
        .await
        .json();
    assert_eq!(
        (&erased["messages"], &erased["remaining"]),
        (&Value::from(0), &Value::from(0)),
        "{erased}"
    );
    app.make_claimable().await;
    app.run(noon() + minutes(1)).await;
    assert_eq!(receivers(&app), ["clara"]);
}

#[tokio::test]
async fn the_providers_events_are_about_one_guest() {
    let app = app_with_guests().await;
    class(&app, ["anna", "bruno"]).await;
    app.ses.answer(|mail| match mail.to().starts_with("anna") {
        true => Answer::Error(500, "InternalFailure", "?"),
        false => Answer::Sent,
    });
    app.run(noon()).await;
    let mails = app.ses.mails();
    let anna = mails
        .iter()
        .find(|mail| mail.to().starts_with("anna"))
        .unwrap();
    let event = anna.event_id().to_owned();
    app.ses.answer(|_| Answer::Sent);
    app.ses.clear();
    let instance = Instance::start(&app).await;
    instance
        .invoke(&ses_event("ses-delivery", &event, "m-anna"))
        .await
        .unwrap();
    app.make_claimable().await;
    app.run(noon() + minutes(5)).await;
    assert_eq!(receivers(&app), [""; 0]);
    assert_eq!(
        messages(&app).await,
        [
            "- 24h completed 1",
            "anna 24h completed 1",
            "bruno 24h completed 1"
        ]
    );
}

#[tokio::test]
async fn the_providers_event_about_a_guests_reminder_sets_no_flag() {
    for (claimed, view_fails) in [(false, false), (true, false), (true, true)] {
        let app = app_with_guests().await;
        let (booking, _) = class(&app, ["anna"]).await;
        let sql = "INSERT INTO booking_automation_opt_outs (person_id, kind) SELECT id::text, 'reminder' FROM users";
        app.sql(sql, &[]).await;
        app.ses
            .answer(|_| Answer::Error(500, "InternalFailure", "?"));
        for minute in 0..2 {
            app.run(noon() + minutes(minute)).await;
        }
        let event = app.ses.mails()[0].event_id().to_owned();
        if claimed {
            let sql =
                "UPDATE booking_automation_events SET status = 'sending' WHERE id = $1::text::uuid";
            app.sql(sql, &[&event]).await;
        }
        let told = Instance::start(&app)
            .await
            .invoke(&ses_event("ses-send", &event, "m-anna"))
            .await
            .unwrap();
        assert_eq!(told["settled"], !claimed);
        if view_fails {
            let fail = "ALTER VIEW booking_automation_contacts RENAME TO sound;
                        CREATE VIEW booking_automation_contacts AS
                        SELECT * FROM sound WHERE 1 / CASE WHEN recipient = 'anna' THEN length(left(name, 0)) ELSE 1 END > 0";
            app.db.batch_execute(fail).await.unwrap();
        }
        app.make_claimable().await;
        for minute in 2..4 {
            app.run(noon() + minutes(minute)).await;
        }
        assert_eq!(
            messages(&app).await,
            ["- 24h skipped opted_out 0", "anna 24h completed 1"]
        );
        let flag = "SELECT reminder_24h_sent FROM bookings WHERE id = $1";
        let flag: bool = app.one(flag, &[&booking]).await.get(0);
        assert!(!flag, "{claimed} {view_fails}");
    }
}

#[tokio::test]
async fn the_previous_release_leaves_messages_to_guests_alone() {
    let Some(previous) = previous_program() else {
        return;
    };
    let app = app_with_guests().await;
    class(&app, ["anna"]).await;
    throttle(&app, "anna");
    app.run(noon()).await;
    assert_eq!(receivers(&app), ["anna", "carla"]);
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    let pass = ["run", "--as-of", &(noon() + minutes(1)).to_rfc3339()];
    let said = call(&app, Some(&previous), &pass).await;
    assert!(said.success, "{}", said.stderr);
    assert_eq!(receivers(&app), [""; 0]);
    app.run(noon() + minutes(2)).await;
    assert_eq!(receivers(&app), ["anna"]);
}

#[tokio::test]
async fn webhooks_hear_of_each_guest() {
    let app = app_with_guests().await;
    let sql = "INSERT INTO booking_automation_webhooks (url, kinds, secret)
               VALUES ('https://hooks.example/', '{reminder_sent}', 'whsec_' || encode(sha256('x'), 'base64'))";
    app.sql(sql, &[]).await;
    class(&app, ["anna"]).await;
    app.run(noon()).await;
    let sql = "SELECT concat_ws(' ', event_data ->> 'type', event_data #>> '{data,audience}', event_data #>> '{data,recipient}')
                 FROM booking_automation_events WHERE event_type = 'webhook' ORDER BY seq";
    assert_eq!(
        app.column(sql, &[]).await,
        [
            "booking.reminder_sent customer",
            "booking.reminder_sent customer anna"
        ]
    );
}

#[tokio::test]
async fn the_recipient_of_a_finished_message_cannot_be_changed() {
    let app = app_with_guests().await;
    class(&app, ["anna"]).await;
    app.run(noon()).await;
    let sql = "UPDATE booking_automation_events SET recipient = 'bruno' WHERE recipient = 'anna'";
    let refused = app.db.execute(sql, &[]).await.unwrap_err();
    let message = refused.as_db_error().unwrap().message();
    assert!(
        message.contains("the audit trail cannot be changed"),
        "{message}"
    );
}

#[tokio::test]
async fn a_view_without_guests_is_read_once_for_each_message() {
    let app = App::new().await;
    let booking = app.confirmed(noon() + hours(24)).await;
    let statements = booking_automation::entry::statements::with_their_settings();
    let contacts = (statements.iter())
        .find(|sql| sql.starts_with("-- Persons, addresses and places of the messages"))
        .unwrap();
    let hand_over = format!(
        "SET booking_automation.events = '{{{booking}}}'; SET booking_automation.bookings = '{{{booking}}}';
         SET booking_automation.audiences = '{{customer}}';
         PREPARE contacts (bigint, bigint) AS {contacts}"
    );
    app.db.batch_execute(&hand_over).await.unwrap();
    let explain = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE contacts (2000000, 1001)";
    for (guests, read) in [(false, 1), (true, 2)] {
        if guests {
            app.db.batch_execute(GUESTS).await.unwrap();
        }
        let plan = app.column(explain, &[]).await;
        let scans = (plan.iter())
            .filter(|line| line.contains(" on bookings b") && !line.contains("never executed"));
        assert_eq!(scans.count(), read, "{plan:#?}");
    }
}

#[tokio::test]
async fn of_two_moves_a_guest_hears_of_the_latest() {
    let mut app = app_with_notices(&["rescheduled"]).await;
    let booking = app.booking("confirmed", noon() + hours(24)).await;
    invite(&app, booking, "anna").await;
    app.run(noon()).await;
    set_start(&app, booking, noon() + hours(30)).await;
    throttle(&app, "anna");
    app.run(noon() + minutes(1)).await;
    app.ses.answer(|_| Answer::Sent);
    app.ses.clear();
    // The guest's message about the first move is the page's only one. That of the second move is
    // enqueued when the customer's is claimed.
    set_start(&app, booking, noon() + hours(40)).await;
    app.make_claimable().await;
    page_by_page(&mut app, noon() + minutes(2), 3).await;
    assert_eq!(receivers(&app), ["anna", "carla"]);
    assert_eq!(
        messages(&app).await,
        [
            "- rescheduled completed 1",
            "- rescheduled completed 1",
            "anna rescheduled skipped superseded 1",
            "anna rescheduled completed 1"
        ]
    );
}

#[tokio::test]
async fn a_guest_hears_of_a_move_by_the_confirmation_that_waits() {
    let mut app = app_with_notices(&["confirmed", "rescheduled"]).await;
    let booking = app.booking("confirmed", noon() + hours(24)).await;
    invite(&app, booking, "anna").await;
    // The confirmation waits because other instances use the send rate up.
    app.env.insert("SEND_RATE", "0.01".to_owned());
    app.sql(BUSY, &[]).await;
    app.run(noon()).await;
    // The new start is earlier, so that the message about the move is the next page's only one.
    set_start(&app, booking, noon() + hours(20)).await;
    page_by_page(&mut app, noon() + minutes(1), 3).await;
    assert_eq!(receivers(&app), ["anna", "carla"]);
    assert_eq!(
        messages(&app).await,
        [
            "- confirmed completed 1",
            "- rescheduled skipped superseded 0",
            "anna rescheduled skipped superseded 0",
            "anna confirmed completed 1"
        ]
    );
}

/// For each case, a message to a guest about a move waits for its second attempt. Beside it waits a
/// copy, about another event and a minute later, for longer, with the values `of_all` and of the
/// case. The guests are `person-0`, `person-1` and so on. Asserts the outcomes, `status reason`.
async fn assert_outcomes_beside(app: &App, of_all: &str, cases: &[(&str, &str)]) {
    let mut bookings = Vec::new();
    for number in 0..cases.len() {
        let booking = app.booking("confirmed", noon() + hours(48)).await;
        invite(app, booking, "anna").await;
        let sql = "UPDATE guests SET person_id = $2 WHERE booking_id = $1";
        app.sql(sql, &[&booking, &format!("person-{number}")]).await;
        bookings.push(booking);
    }
    app.run(noon()).await;
    for booking in &bookings {
        set_start(app, *booking, noon() + hours(50)).await;
    }
    throttle(app, "anna");
    app.run(noon() + minutes(1)).await;
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    let copies = "INSERT INTO booking_automation_events
                         (booking_id, event_type, about, recipient, rule, audience, channel, revision, status, starts_at,
                          scheduled_at, next_attempt_at, event_data)
                  SELECT booking_id, event_type, gen_random_uuid(), recipient, rule, audience, channel, revision, status, starts_at,
                         scheduled_at + interval '1 minute', now() + interval '1 hour', event_data || jsonb_build_object('copy_of', booking_id)
                    FROM booking_automation_events WHERE recipient = 'anna' AND status = 'pending'";
    app.sql_without_triggers(copies).await;
    let sql = format!("UPDATE booking_automation_events SET {of_all} WHERE event_data ? 'copy_of'");
    app.sql_without_triggers(&sql).await;
    for (booking, (case, _)) in bookings.iter().zip(cases) {
        let sql = format!(
            "UPDATE booking_automation_events SET {case} WHERE event_data ->> 'copy_of' = '{booking}'"
        );
        app.sql_without_triggers(&sql).await;
    }
    app.run(noon() + minutes(2)).await;
    let outcomes = "SELECT concat_ws(' ', e.status, e.reason) FROM booking_automation_events e
                     WHERE e.recipient = 'anna' AND e.rule = 'rescheduled' AND NOT e.event_data ? 'copy_of'
                     ORDER BY array_position($1::uuid[], e.booking_id)";
    let outcomes: Vec<String> = app.column(outcomes, &[&bookings]).await;
    let outcomes: Vec<_> = (cases.iter().zip(&outcomes))
        .map(|((case, _), outcome)| (*case, &outcome[..]))
        .collect();
    assert_eq!(outcomes, cases);
}

#[tokio::test]
async fn a_later_message_about_a_move_that_waits_replaces_the_earlier_one() {
    let app = app_with_notices(&["rescheduled"]).await;
    let cases = [
        ("attempts = 0", "skipped superseded"),
        // The guest's follows when the customer's is claimed.
        ("recipient = ''", "skipped superseded"),
        (
            "status = 'sending', lease_until = now() + interval '1 hour'",
            "skipped superseded",
        ),
        (
            "recipient = '', booking_id = gen_random_uuid()",
            "completed",
        ),
        ("recipient = 'paul'", "completed"),
        // The messages of its guests are in the outbox already.
        (
            "recipient = '', status = 'sending', lease_until = now() + interval '1 hour'",
            "completed",
        ),
        ("event_type = 'guest_reminder_sent'", "completed"),
        ("channel = 'sms'", "completed"),
        ("rule = 'other'", "completed"),
        ("audience = 'provider'", "completed"),
        (
            "event_data = jsonb_set(event_data, '{notice,on_event}', '\"cancelled\"')",
            "completed",
        ),
        ("status = 'skipped', reason = 'rule_off'", "completed"),
        (
            "status = 'sending', next_attempt_at = now() - interval '1 hour', lease_until = now() + interval '1 hour'",
            "completed",
        ),
        (
            "scheduled_at = scheduled_at - interval '2 minutes'",
            "completed",
        ),
    ];
    assert_outcomes_beside(&app, "reason = NULL", &cases).await;
}

/// The customer's, about the same move, is tried again later.
#[tokio::test]
async fn the_customers_own_message_that_waits_does_not_replace_a_guests() {
    let app = app_with_notices(&["rescheduled"]).await;
    let booking = app.booking("confirmed", noon() + hours(48)).await;
    invite(&app, booking, "anna").await;
    app.run(noon()).await;
    set_start(&app, booking, noon() + hours(50)).await;
    throttle(&app, "carla");
    app.run(noon() + minutes(1)).await;
    assert_eq!(
        messages(&app).await,
        [
            "- rescheduled pending throttled 1",
            "anna rescheduled completed 1"
        ]
    );
}

#[tokio::test]
async fn a_confirmation_that_waits_replaces_the_message_about_a_move() {
    let app = app_with_notices(&["confirmed", "rescheduled"]).await;
    let rules = "INSERT INTO booking_automation_notice_rules (name, on_event, audience, delay, channels, active) VALUES
        ('other', 'confirmed', 'customer', '0', '{email}', true), ('provider''s', 'confirmed', 'provider', '0', '{email}', true),
        ('late', 'confirmed', 'customer', '1 hour', '{email}', true), ('mute', 'confirmed', 'customer', '0', '{}', true),
        ('off', 'confirmed', 'customer', '0', '{email}', false), ('expired', 'expired', 'customer', '0', '{email}', true)
        ON CONFLICT (name, audience) DO UPDATE SET active = true";
    app.db.batch_execute(rules).await.unwrap();
    let of_provider = "UPDATE booking_automation_notice_rules SET active = true WHERE name = 'confirmed' AND audience = 'provider'";
    app.sql(of_provider, &[]).await;
    let opted_out = "INSERT INTO booking_automation_opt_outs (person_id, kind) VALUES ('person-0', 'confirmed')";
    app.sql(opted_out, &[]).await;
    let cases = [
        ("attempts = 0", "completed"),
        ("attempts = 0", "skipped superseded"),
        ("recipient = ''", "skipped superseded"),
        (
            "recipient = '', booking_id = gen_random_uuid()",
            "completed",
        ),
        ("recipient = 'paul'", "completed"),
        ("status = 'skipped', reason = 'rule_off'", "completed"),
        (
            "attempts = 1, event_data = event_data || '{\"attempts\": [{\"outcome\": \"unknown\"}]}'",
            "completed",
        ),
        ("event_type = 'guest_reminder_sent'", "completed"),
        ("channel = 'sms'", "completed"),
        ("audience = 'provider'", "completed"),
        (
            "event_data = jsonb_set(event_data, '{notice,on_event}', '\"expired\"')",
            "completed",
        ),
        ("rule = 'unknown'", "completed"),
        ("rule = 'other'", "skipped superseded"),
        ("rule = 'provider''s'", "completed"),
        ("rule = 'late'", "completed"),
        ("rule = 'mute'", "completed"),
        ("rule = 'off'", "completed"),
        ("rule = 'expired'", "completed"),
    ];
    let confirmation = "rule = 'confirmed', event_data = jsonb_set(event_data, '{notice,on_event}', '\"confirmed\"')";
    assert_outcomes_beside(&app, confirmation, &cases).await;
}

#[tokio::test]
async fn a_thousand_guests_of_a_booking_get_messages() {
    let mut app = app_with_guests().await;
    let (booking, _) = class(&app, []).await;
    let invite = "INSERT INTO guests (booking_id, recipient, email, name)
                  SELECT $1, to_char(n, 'FM0000'), to_char(n, 'FM0000') || '@guests.example', 'Guest'
                    FROM generate_series(1, 1003) AS n";
    app.sql(invite, &[&booking]).await;
    app.run(noon()).await;
    app.run(noon()).await;
    let expected: Vec<_> = (1..=1000)
        .map(|n| format!("{n:04}"))
        .chain(["carla".to_owned()])
        .collect();
    assert_eq!(receivers(&app), expected);
    // Support sees the latest of them.
    let server = support(&mut app, noon()).await;
    let path = format!("/bookings/{booking}/timeline");
    let timeline = ask(&server, "GET", &path, &[], b"").await.json();
    let mut seen: Vec<_> = (timeline["happened"].as_array().unwrap().iter())
        .filter_map(|entry| entry["recipient"].as_str())
        .collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen, &expected[800..1000]);
}
