//! Replies to SMS: who may send them, what each does, and what is answered.

use booking_automation::messages::sms::segments;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, hours, minutes};
use crate::lambda::example_event;
use crate::receipts::{NUMBER, app_with_sms, choose_number};
use crate::runtime_api::Instance;
use crate::sms_endpoint::{Answer, Sms};

const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:sms-replies";
const LINKS: &str = "https://links.example/b";
const CONTACT: &str = "+43 1 234567";

/// How an SMS asks whether the customer will come. Reminders in Arabic, Chinese and Japanese
/// fill their segment, so that no question fits.
const QUESTIONS: [(&str, &str); 7] = [
    ("de", "Antworten Sie C"),
    ("en", "Reply C"),
    ("es", "Responda C"),
    ("fr", "Répondez C"),
    ("it", "Risponda C"),
    ("pl", "Odpisz C"),
    ("pt", "Responda C"),
];

/// An app that takes replies.
async fn app_with_replies() -> (App, Sms, Instance) {
    let (mut app, sms) = app_with_sms("sms").await;
    app.env.insert("SMS_REPLIES_TOPIC", TOPIC.to_owned());
    app.env.insert("SMS_CONTACT", CONTACT.to_owned());
    app.env.insert("LINK_BASE_URL", LINKS.to_owned());
    app.env.insert("SMS_FROM", "+12065550100".to_owned());
    let instance = Instance::start(&app).await;
    (app, sms, instance)
}

/// A reply with this text, from this number.
fn reply_from(number: &str, body: &str, answers: Option<&str>) -> Value {
    let mut event = example_event("sms-reply");
    let message = json!({
        "originationNumber": number,
        "destinationNumber": "+12065550100",
        "messageKeyword": "KEYWORD",
        "messageBody": body,
        "inboundMessageId": Uuid::new_v4().to_string(),
        "previousPublishedMessageId": answers,
    });
    event["Records"][0]["Sns"]["Message"] = message.to_string().into();
    event
}

async fn told(instance: &Instance, event: &Value) -> Value {
    instance.invoke(event).await.unwrap()["replies"][0].clone()
}

fn recorded(meaning: &str, answered: bool) -> Value {
    json!({"outcome": "recorded", "meaning": meaning, "answered": answered})
}

/// A booking whose reminder was sent by SMS.
async fn reminded(app: &App) -> Uuid {
    let booking = app.booking_due_now().await;
    app.call(&["run"]).await.summary();
    booking
}

/// The bookings to which the customer will come.
async fn attendances(app: &App) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', a.booking_id, a.person_id, a.starts_at = b.scheduled_at)
                 FROM booking_automation_attendance a JOIN bookings b ON b.id = a.booking_id";
    app.column(sql, &[]).await
}

/// What is answered to what a person must read.
fn contact() -> String {
    format!("Please contact us. {CONTACT}")
}

/// The texts that were sent back, since the last time.
fn answers(sms: &Sms, sent: &mut usize) -> Vec<String> {
    let all = sms.accepted();
    let new = all[*sent..].iter().map(|text| text.body().to_owned());
    let new = new.collect();
    *sent = all.len();
    new
}

#[tokio::test]
async fn c_confirms_attendance_once_and_without_an_answer() {
    let (app, sms, instance) = app_with_replies().await;
    let booking = reminded(&app).await;
    let event = reply_from(NUMBER, " c\n", Some("sms-1"));
    assert_eq!(told(&instance, &event).await, recorded("attends", false));
    let expected = [format!("{booking} {} t", app.customer)];
    assert_eq!(attendances(&app).await, expected);
    let again = told(&instance, &event).await;
    assert_eq!(again, json!({"outcome": "ignored", "reason": "duplicate"}));
    assert_eq!(sms.accepted().len(), 1, "the reminder");
    // The page of the link says so, too, and so does the timeline: it is the same row.
    let sql = "SELECT status FROM bookings WHERE id = $1";
    assert_eq!(app.column(sql, &[&booking]).await, ["confirmed"]);
    let log = instance.kill().await;
    assert!(!log.contains("43664"), "{log}");
    let sql = "SELECT r::text FROM booking_automation_sms_replies r";
    let rows = app.column(sql, &[]).await;
    assert!(rows.len() == 1 && !rows[0].contains("43664"), "{rows:?}");
}

#[tokio::test]
async fn a_reminder_that_asks_says_what_to_answer_in_each_language() {
    let (mut app, sms, _) = app_with_replies().await;
    let sql = "UPDATE reminder_rules SET asks_attendance = true WHERE name = '24h'";
    app.sql(sql, &[]).await;
    for (number, (tag, _)) in QUESTIONS.iter().enumerate() {
        app.customer = app.person("Carla", None, "UTC").await;
        choose_number(&app, app.customer, &format!("+43664100000{number}")).await;
        let sql = "UPDATE booking_automation_preferences SET language = $2 WHERE person_id = $1";
        app.sql(sql, &[&app.customer.to_string(), tag]).await;
        app.booking_due_now().await;
    }
    app.call(&["run"]).await.summary();
    let sent = sms.accepted();
    assert_eq!(sent.len(), QUESTIONS.len());
    for (number, (tag, question)) in QUESTIONS.iter().enumerate() {
        let to = format!("+43664100000{number}");
        let body = sent.iter().find(|it| it.to() == to).unwrap().body();
        assert!(body.contains(question), "{tag}: {body}");
        assert_eq!(segments(body).count, 1, "{tag}: {body}");
    }
}

#[tokio::test]
async fn no_reminder_asks_where_the_answer_would_do_nothing_or_it_is_too_long() {
    let rule = "UPDATE reminder_rules SET asks_attendance = true WHERE name = '24h'";
    let asks = async |missing: &[&'static str], from: &str, sql: &[&str]| {
        let (mut app, sms, _) = app_with_replies().await;
        for name in missing {
            app.env.remove(name);
        }
        app.env.insert("SMS_FROM", from.to_owned());
        for sql in sql {
            app.sql(sql, &[]).await;
        }
        reminded(&app).await;
        let sent = sms.accepted();
        assert_eq!(segments(sent[0].body()).count, 1, "{sent:?}");
        sent[0].body().contains("Reply C")
    };
    let number = "+12065550100";
    assert!(asks(&[], number, &[rule]).await);
    assert!(asks(&["LINK_BASE_URL"], number, &[rule]).await);
    assert!(asks(&["SMS_CONTACT"], "pool-0123456789abcdef", &[rule]).await);
    assert!(!asks(&["LINK_BASE_URL", "SMS_CONTACT"], number, &[rule]).await);
    assert!(!asks(&["SMS_REPLIES_TOPIC"], number, &[rule]).await);
    assert!(!asks(&[], number, &[]).await);
    // Nobody can answer a sender id.
    for from in [
        "STUDIO",
        "arn:aws:sms-voice:eu-central-1:123456789012:sender-id/STUDIO/AT",
    ] {
        assert!(!asks(&[], from, &[rule]).await, "{from}");
    }
    let long = "UPDATE services SET title = repeat('Massage ', 6)";
    assert!(!asks(&[], number, &[rule, long]).await);
}

#[tokio::test]
async fn c_is_about_the_question_and_n_takes_it_back() {
    let (app, _, instance) = app_with_replies().await;
    let sql = "UPDATE reminder_rules SET asks_attendance = true WHERE name = '24h'";
    app.sql(sql, &[]).await;
    let asked = reminded(&app).await;
    app.sql(&sql.replace("true", "false"), &[]).await;
    // A later message that asks nothing.
    let sql = "UPDATE reminder_rules SET channels = '{sms}', active = true, asks_attendance = name = '24h'
                WHERE name IN ('24h', '1h')";
    app.sql(sql, &[]).await;
    app.set_clock(chrono::Utc::now() - hours(48)).await;
    app.booking("confirmed", chrono::Utc::now() + minutes(50))
        .await;
    app.call(&["run"]).await.summary();
    let reply = reply_from(NUMBER, "C", None);
    assert_eq!(told(&instance, &reply).await, recorded("attends", false));
    assert_eq!(
        attendances(&app).await,
        [format!("{asked} {} t", app.customer)]
    );
    let reply = reply_from(NUMBER, "N", None);
    assert_eq!(
        told(&instance, &reply).await,
        recorded("cannot_attend", true)
    );
    assert!(attendances(&app).await.is_empty());
}

#[tokio::test]
async fn an_answer_that_did_not_leave_is_given_to_the_next_reply() {
    let (app, sms, instance) = app_with_replies().await;
    reminded(&app).await;
    let answered = "SELECT concat_ws(' ', count(*), count(answer), (SELECT count(*) FROM booking_automation_sms))
                      FROM booking_automation_sms_replies";
    for (answer, rows) in [
        (Answer::THROTTLED, "1 0 1"),
        (Answer::OPTED_OUT, "2 0 1"),
        // It may have arrived.
        (Answer::Reset, "3 1 2"),
    ] {
        sms.answer(move |_| answer.clone());
        let reply = reply_from(NUMBER, "N", Some("sms-1"));
        assert_eq!(
            told(&instance, &reply).await,
            recorded("cannot_attend", false)
        );
        assert_eq!(app.column(answered, &[]).await, [rows]);
    }
    sms.answer(|_| Answer::Sent);
    let reply = reply_from(NUMBER, "N", Some("sms-1"));
    assert_eq!(
        told(&instance, &reply).await,
        recorded("cannot_attend", false)
    );
}

#[tokio::test]
async fn the_latest_word_counts_in_whatever_order_replies_arrive() {
    let at = |word: &str, second: u32| {
        let mut event = reply_from(NUMBER, word, None);
        event["Records"][0]["Sns"]["Timestamp"] =
            format!("2026-03-01T12:00:{second:02}.000Z").into();
        event
    };
    let sql = "SELECT reason FROM booking_automation_suppressions";
    let (app, _, instance) = app_with_replies().await;
    reminded(&app).await;
    for (word, second, suppressed) in [
        ("STOP", 20, true),
        ("START", 10, true),
        ("START", 30, false),
        ("STOP", 25, false),
        ("STOP", 40, true),
    ] {
        told(&instance, &at(word, second)).await;
        let is_suppressed = !app.column(sql, &[]).await.is_empty();
        assert_eq!(is_suppressed, suppressed, "{word} {second}");
    }
    // Nothing about the number is on record any more.
    app.sql("DELETE FROM booking_automation_sms", &[]).await;
    told(&instance, &at("START", 50)).await;
    assert!(app.column(sql, &[]).await.is_empty());
    // A suppression that does not end is none of START's.
    reminded(&app).await;
    let bounced = "INSERT INTO booking_automation_suppressions (address_hash, reason, message_id)
                   SELECT address_hash, 'bounced', 'x' FROM booking_automation_sms LIMIT 1";
    assert_eq!(app.sql(bounced, &[]).await, 1);
    for (word, second) in [("STOP", 51), ("START", 52)] {
        told(&instance, &at(word, second)).await;
        assert_eq!(app.column(sql, &[]).await, ["bounced"], "{word}");
    }
}

#[tokio::test]
async fn a_reply_is_about_the_message_that_it_answers_else_about_the_latest() {
    let (app, _, instance) = app_with_replies().await;
    let first = reminded(&app).await;
    let second = reminded(&app).await;
    let reply = reply_from(NUMBER, "C", Some("sms-1"));
    assert_eq!(told(&instance, &reply).await, recorded("attends", false));
    let of = |booking| format!("{booking} {} t", app.customer);
    assert_eq!(attendances(&app).await, [of(first)]);
    for answers in [None, Some("another")] {
        let sql = "DELETE FROM booking_automation_attendance";
        app.sql(sql, &[]).await;
        let reply = reply_from(NUMBER, "C", answers);
        told(&instance, &reply).await;
        assert_eq!(attendances(&app).await, [of(second)]);
    }
}

#[tokio::test]
async fn c_about_a_booking_that_is_no_longer_as_told_is_answered_with_whom_to_contact() {
    for change in [
        "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
        "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 hour' WHERE id = $1",
        "DELETE FROM bookings WHERE id = $1",
    ] {
        let (app, sms, instance) = app_with_replies().await;
        let booking = reminded(&app).await;
        let mut sent = sms.accepted().len();
        app.sql(change, &[&booking]).await;
        let reply = reply_from(NUMBER, "C", Some("sms-1"));
        assert_eq!(told(&instance, &reply).await, recorded("attends", true));
        assert!(attendances(&app).await.is_empty(), "{change}");
        let answered = answers(&sms, &mut sent);
        assert_eq!(answered, [contact()], "{change}");
    }
}

#[tokio::test]
async fn who_is_no_longer_the_customer_does_not_answer_for_the_next_one() {
    let (app, sms, instance) = app_with_replies().await;
    let booking = reminded(&app).await;
    let otto = app
        .person("Otto", Some("otto@customers.example"), "Europe/Vienna")
        .await;
    choose_number(&app, otto, "+436641111111").await;
    let sql = "UPDATE bookings SET customer_id = $1 WHERE id = $2";
    app.sql(sql, &[&otto, &booking]).await;
    let mut sent = sms.accepted().len();
    for (body, meaning, answered) in [("N", "cannot_attend", true), ("C", "attends", false)] {
        let reply = reply_from(NUMBER, body, Some("sms-1"));
        assert_eq!(told(&instance, &reply).await, recorded(meaning, answered));
    }
    assert!(attendances(&app).await.is_empty());
    // Nothing about the booking is told.
    assert_eq!(answers(&sms, &mut sent), [contact()]);
}

#[tokio::test]
async fn n_is_answered_with_the_link_to_cancel_and_cancels_nothing() {
    let (app, sms, instance) = app_with_replies().await;
    let booking = reminded(&app).await;
    let mut sent = sms.accepted().len();
    let reply = reply_from(NUMBER, "N", Some("sms-1"));
    assert_eq!(
        told(&instance, &reply).await,
        recorded("cannot_attend", true)
    );
    let answered = answers(&sms, &mut sent);
    let link = answered[0].strip_prefix("Cancel the booking: ").unwrap();
    assert!(
        link.starts_with(&format!("{LINKS}/a/")) && link.ends_with("/cancel"),
        "{link}"
    );
    assert_eq!(sms.accepted()[1].to(), NUMBER);
    assert_eq!(app.status(booking).await, "confirmed");
    // A second one within a day is not answered: the link still works.
    let again = reply_from(NUMBER, "n", Some("sms-1"));
    assert_eq!(
        told(&instance, &again).await,
        recorded("cannot_attend", false)
    );
    assert!(answers(&sms, &mut sent).is_empty());
    let sql =
        "UPDATE booking_automation_sms_replies SET received_at = received_at - interval '25 hours'";
    app.sql(sql, &[]).await;
    let later = reply_from(NUMBER, "N", Some("sms-1"));
    assert_eq!(
        told(&instance, &later).await,
        recorded("cannot_attend", true)
    );
    // The page is that of this customer.
    let server = crate::http::Server::start(&app, &[]).await;
    let path = link.strip_prefix(LINKS).unwrap();
    let page = crate::client::request(server.port, "GET", path, &[], b"").await;
    assert_eq!(page.status, 200, "{}", page.body);
}

#[tokio::test]
async fn n_without_links_is_answered_with_whom_to_contact() {
    let (mut app, sms) = app_with_sms("sms").await;
    app.env.insert("SMS_REPLIES_TOPIC", TOPIC.to_owned());
    app.env.insert("SMS_CONTACT", CONTACT.to_owned());
    let instance = Instance::start(&app).await;
    reminded(&app).await;
    let mut sent = sms.accepted().len();
    let reply = reply_from(NUMBER, "N", None);
    assert_eq!(
        told(&instance, &reply).await,
        recorded("cannot_attend", true)
    );
    assert_eq!(answers(&sms, &mut sent), [contact()]);
}

#[tokio::test]
async fn without_links_and_somebody_to_contact_nothing_is_sent_back() {
    let (mut app, sms) = app_with_sms("sms").await;
    app.env.insert("SMS_REPLIES_TOPIC", TOPIC.to_owned());
    let instance = Instance::start(&app).await;
    reminded(&app).await;
    for (body, meaning) in [("N", "cannot_attend"), ("Hello?", "other")] {
        let reply = reply_from(NUMBER, body, None);
        assert_eq!(told(&instance, &reply).await, recorded(meaning, false));
    }
    assert_eq!(sms.accepted().len(), 1, "the reminder");
}

#[tokio::test]
async fn answers_count_among_the_sms_of_a_person() {
    let (mut app, sms, _) = app_with_replies().await;
    app.env.insert("SMS_PER_PERSON", "2".to_owned());
    let instance = Instance::start(&app).await;
    reminded(&app).await;
    let reply = reply_from(NUMBER, "Hello?", None);
    assert_eq!(told(&instance, &reply).await, recorded("other", true));
    assert_eq!(sms.accepted().len(), 2);
    let next = reminded(&app).await;
    assert_eq!(app.reminders(next).await, ["24h skipped over_limit"]);
    // What a reply says is done all the same.
    let reply = reply_from(NUMBER, "N", None);
    assert_eq!(
        told(&instance, &reply).await,
        recorded("cannot_attend", false)
    );
    let reply = reply_from(NUMBER, "C", None);
    assert_eq!(told(&instance, &reply).await, recorded("attends", false));
    assert_eq!(attendances(&app).await.len(), 1);
    assert_eq!(sms.accepted().len(), 2);
    // Only the answer that left is among the SMS.
    let sql = "SELECT concat_ws(' ', r.meaning, r.answer, s.event_id IS NOT NULL)
                 FROM booking_automation_sms_replies r
                 LEFT JOIN booking_automation_sms s ON s.event_id = r.answer_id
                ORDER BY r.received_at";
    let rows = ["other contact t", "cannot_attend f", "attends f"];
    assert_eq!(app.column(sql, &[]).await, rows);
}

#[tokio::test]
async fn opt_out_words_suppress_the_number_and_are_answered_by_aws() {
    for word in [
        "ARRET",
        "cancel",
        " End ",
        "opt-out",
        "OPTOUT",
        "Quit",
        "REMOVE",
        "stop\n",
        "td",
        "UNSUBSCRIBE",
    ] {
        let (app, sms, instance) = app_with_replies().await;
        let booking = reminded(&app).await;
        let reply = reply_from(NUMBER, word, None);
        assert_eq!(told(&instance, &reply).await, recorded("opted_out", false));
        assert_eq!(app.status(booking).await, "confirmed", "{word}");
        let sql =
            "SELECT concat_ws(' ', reason, until IS NULL) FROM booking_automation_suppressions";
        assert_eq!(app.column(sql, &[]).await, ["opted_out t"], "{word}");
        let next = reminded(&app).await;
        assert_eq!(app.reminders(next).await, ["24h skipped suppressed"]);
        assert_eq!(sms.accepted().len(), 1, "the first reminder");
        // What they write afterwards is not answered.
        let other = reply_from(NUMBER, "Hello?", None);
        assert_eq!(told(&instance, &other).await, recorded("other", false));
        if word != "ARRET" {
            continue;
        }
        // A repeat does not suppress a lifted number again.
        app.sql("DELETE FROM booking_automation_suppressions", &[])
            .await;
        assert_eq!(told(&instance, &reply).await["reason"], "duplicate");
        assert!(app.column(sql, &[]).await.is_empty());
    }
}

#[tokio::test]
async fn who_wants_sms_again_gets_them() {
    let (app, sms, instance) = app_with_replies().await;
    reminded(&app).await;
    let sql = "SELECT reason FROM booking_automation_suppressions";
    for word in ["START", " unstop\n"] {
        let stop = reply_from(NUMBER, "STOP", None);
        assert_eq!(told(&instance, &stop).await, recorded("opted_out", false));
        assert_eq!(app.column(sql, &[]).await, ["opted_out"]);
        // However long ago the last SMS was.
        let age = "UPDATE booking_automation_sms SET claimed_at = claimed_at - interval '40 days'";
        app.sql(age, &[]).await;
        let start = reply_from(NUMBER, word, None);
        assert_eq!(told(&instance, &start).await, recorded("opted_in", false));
        assert!(app.column(sql, &[]).await.is_empty());
    }
    let next = reminded(&app).await;
    assert_eq!(app.reminders(next).await, ["24h completed"]);
    assert_eq!(sms.accepted().len(), 2);
    // Nothing else is lifted.
    let stop = reply_from(NUMBER, "STOP", None);
    told(&instance, &stop).await;
    let other = "UPDATE booking_automation_suppressions SET reason = 'bounced'";
    app.sql(other, &[]).await;
    let start = reply_from(NUMBER, "START", None);
    assert_eq!(told(&instance, &start).await, recorded("opted_in", false));
    assert_eq!(app.column(sql, &[]).await, ["bounced"]);
}

#[tokio::test]
async fn after_seven_days_a_reply_must_say_what_it_answers() {
    let (app, _, instance) = app_with_replies().await;
    reminded(&app).await;
    let age = "UPDATE booking_automation_sms SET claimed_at = claimed_at - interval '169 hours'";
    app.sql(age, &[]).await;
    for answers in [None, Some("another")] {
        let reply = reply_from(NUMBER, "C", answers);
        let not_ours = json!({"outcome": "ignored", "reason": "not_ours"});
        assert_eq!(told(&instance, &reply).await, not_ours);
    }
    let reply = reply_from(NUMBER, "C", Some("sms-1"));
    assert_eq!(told(&instance, &reply).await, recorded("attends", false));
}

#[tokio::test]
async fn anything_else_is_answered_once_a_day_in_the_persons_language() {
    let (app, sms, instance) = app_with_replies().await;
    reminded(&app).await;
    let mut sent = sms.accepted().len();
    let sql = "UPDATE booking_automation_preferences SET language = 'de'";
    app.sql(sql, &[]).await;
    for (text, answered) in [
        ("Can I bring my dog?", true),
        ("Hello?", false),
        ("", false),
    ] {
        let reply = reply_from(NUMBER, text, None);
        assert_eq!(
            told(&instance, &reply).await,
            recorded("other", answered),
            "{text}"
        );
    }
    assert_eq!(
        answers(&sms, &mut sent),
        [format!("Bitte wenden Sie sich an uns. {CONTACT}")]
    );
    let sql =
        "UPDATE booking_automation_sms_replies SET received_at = received_at - interval '25 hours'";
    app.sql(sql, &[]).await;
    let reply = reply_from(NUMBER, "Hello?", None);
    assert_eq!(told(&instance, &reply).await, recorded("other", true));
    // Other people have a day of their own.
    let otto = app
        .person("Otto", Some("otto@customers.example"), "Europe/Vienna")
        .await;
    choose_number(&app, otto, "+436641111111").await;
    let booking = app.booking_due_now().await;
    let sql = "UPDATE bookings SET customer_id = $1 WHERE id = $2";
    app.sql(sql, &[&otto, &booking]).await;
    app.call(&["run"]).await.summary();
    let reply = reply_from("+436641111111", "Hello?", None);
    assert_eq!(told(&instance, &reply).await, recorded("other", true));
}

#[tokio::test]
async fn two_replies_at_once_are_answered_once() {
    let (app, sms, instance) = app_with_replies().await;
    let second = Instance::start(&app).await;
    reminded(&app).await;
    let sent = sms.accepted().len();
    let [one, other] = ["Hello?", "Anyone?"].map(|text| reply_from(NUMBER, text, None));
    tokio::join!(told(&instance, &one), told(&second, &other));
    assert_eq!(sms.accepted().len(), sent + 1);
}

#[tokio::test]
async fn an_answer_that_is_not_sent_is_not_tried_again() {
    let (app, sms, instance) = app_with_replies().await;
    reminded(&app).await;
    sms.answer(|_| Answer::Reset);
    let reply = reply_from(NUMBER, "Hello?", None);
    assert_eq!(told(&instance, &reply).await, recorded("other", false));
    assert_eq!(told(&instance, &reply).await["reason"], "duplicate");
    assert_eq!(sms.requests().len(), 2);
}

#[tokio::test]
async fn replies_of_strangers_and_of_other_topics_do_nothing() {
    let (app, sms, instance) = app_with_replies().await;
    reminded(&app).await;
    for body in ["C", "N", "STOP", "Hello?"] {
        let stranger = reply_from("+436649999999", body, Some("sms-1"));
        let not_ours = json!({"outcome": "ignored", "reason": "not_ours"});
        assert_eq!(told(&instance, &stranger).await, not_ours, "{body}");
        for topic in [
            &format!("{TOPIC}2"),
            "arn:aws:sns:eu-central-1:123456789012:other",
            "x",
        ] {
            let mut other = reply_from(NUMBER, body, Some("sms-1"));
            other["Records"][0]["Sns"]["TopicArn"] = topic.into();
            let ignored = json!({"outcome": "ignored", "reason": "topic"});
            assert_eq!(told(&instance, &other).await, ignored, "{body} {topic}");
        }
    }
    let sql = "SELECT 'x' FROM booking_automation_sms_replies UNION ALL SELECT 'x' FROM booking_automation_suppressions";
    assert!(app.column(sql, &[]).await.is_empty() && attendances(&app).await.is_empty());
    assert_eq!(sms.accepted().len(), 1);
    let short_code = reply_from("12345", "STOP", Some("sms-1"));
    assert_eq!(told(&instance, &short_code).await["reason"], "not_ours");
    // Without the setting, none is taken.
    let (app, _) = app_with_sms("sms").await;
    let instance = Instance::start(&app).await;
    let reply = reply_from(NUMBER, "C", None);
    assert_eq!(told(&instance, &reply).await["reason"], "topic");
}

#[tokio::test]
async fn a_malformed_reply_is_a_function_error_that_names_the_field_and_repeats_nothing() {
    let (_app, _sms, instance) = app_with_replies().await;
    let message = |change: fn(&mut Value)| {
        let mut event = example_event("sms-reply");
        let record = &mut event["Records"][0]["Sns"];
        let mut message: Value = serde_json::from_str(record["Message"].as_str().unwrap()).unwrap();
        change(&mut message);
        record["Message"] = message.to_string().into();
        event
    };
    let mut no_topic = example_event("sms-reply");
    no_topic["Records"][0]["Sns"]["TopicArn"] = json!(null);
    let mut no_message = example_event("sms-reply");
    no_message["Records"][0]["Sns"]["Message"] = "Hello +436641234567".into();
    for (event, named) in [
        (no_topic, "TopicArn"),
        (no_message, "inboundMessageId"),
        (
            message(|it| it["inboundMessageId"] = json!(7)),
            "inboundMessageId",
        ),
        (
            message(|it| it["originationNumber"] = json!(null)),
            "originationNumber",
        ),
    ] {
        let error = instance.invoke(&event).await.unwrap_err();
        let said = format!("the SMS reply event has no {named}");
        assert_eq!(
            (&error["errorType"], &error["errorMessage"]),
            (&"MalformedEvent".into(), &said.into())
        );
    }
}

#[tokio::test]
async fn a_provider_does_not_answer_for_the_customer() {
    let (app, sms, instance) = app_with_replies().await;
    let sql = "UPDATE reminder_rules SET audience = 'provider' WHERE name = '24h'";
    app.sql(sql, &[]).await;
    let sql = "UPDATE reminder_rules SET effective_from = '2020-01-01'";
    app.sql(sql, &[]).await;
    choose_number(&app, app.provider, "+436641111111").await;
    reminded(&app).await;
    assert_eq!(sms.accepted().len(), 1);
    for (body, meaning) in [
        ("C", "attends"),
        ("N", "cannot_attend"),
        ("Hello?", "other"),
    ] {
        let reply = reply_from("+436641111111", body, None);
        assert_eq!(told(&instance, &reply).await, recorded(meaning, false));
    }
    assert!(attendances(&app).await.is_empty());
    assert_eq!(sms.accepted().len(), 1);
}
