//! Receipts of SMS: what is stored, what a message that is lost does, and what messages cost.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, hours, noon};
use crate::lambda::example_event;
use crate::runtime_api::Instance;
use crate::sms_endpoint::{Answer, Sms};
use crate::status::{ask, support};

/// The customer's number.
pub const NUMBER: &str = "+436641234567";
/// AWS's name of an event, and our kind.
const KINDS: [(&str, &str); 15] = [
    ("TEXT_QUEUED", "sent"),
    ("TEXT_PENDING", "sent"),
    ("TEXT_SENT", "sent"),
    ("TEXT_SUCCESSFUL", "handed_over"),
    ("TEXT_DELIVERED", "delivered"),
    ("TEXT_INVALID", "bounced"),
    ("TEXT_INVALID_MESSAGE", "rejected"),
    ("TEXT_BLOCKED", "rejected"),
    ("TEXT_CARRIER_BLOCKED", "rejected"),
    ("TEXT_PROTECT_BLOCKED", "rejected"),
    ("TEXT_SPAM", "rejected"),
    ("TEXT_UNREACHABLE", "undelivered"),
    ("TEXT_CARRIER_UNREACHABLE", "undelivered"),
    ("TEXT_TTL_EXPIRED", "undelivered"),
    ("TEXT_UNKNOWN", "unknown"),
];
/// Those after which the message never arrives.
const LOST: std::ops::Range<usize> = 5..14;

/// An app whose only rule, the 24-hour reminder, goes by this channel or chain, and whose customer
/// agreed to get SMS.
pub async fn app_with_sms(channel: &str) -> (App, Sms) {
    let mut app = App::new().await;
    app.has_grants = false;
    let sms = Sms::start().await;
    sms.set_up(&mut app);
    let sql = "UPDATE reminder_rules SET channels = ARRAY[$1], active = name = '24h'";
    app.sql(sql, &[&channel]).await;
    let sql = "UPDATE reminder_rules SET effective_from = '2020-01-01'";
    app.sql(sql, &[]).await;
    choose_number(&app, app.customer, NUMBER).await;
    (app, sms)
}

/// Chooses a number, and agrees to SMS.
pub async fn choose_number(app: &App, person: Uuid, number: &str) {
    let sql = "INSERT INTO booking_automation_preferences (person_id, phone, sms_allowed) VALUES ($1, $2, true)
               ON CONFLICT (person_id) DO UPDATE SET phone = excluded.phone";
    app.sql(sql, &[&person.to_string(), &number]).await;
}

/// A receipt of this type about a message.
pub fn receipt(event_type: &str, event_id: &str, message_id: &str) -> Value {
    let mut event = example_event("sms-delivered");
    event["detail"]["eventType"] = event_type.into();
    event["detail"]["messageStatus"] = event_type.trim_start_matches("TEXT_").into();
    event["detail"]["context"]["event_id"] = event_id.into();
    event["detail"]["messageId"] = message_id.into();
    event
}

/// The messages that left, and those that wait: channel, status and reason.
pub async fn messages(app: &App, booking: Uuid) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', channel, status, reason) FROM booking_automation_events
                WHERE booking_id = $1 AND event_type = 'reminder_sent' ORDER BY seq";
    app.column(sql, &[&booking]).await
}

async fn stored_kinds(app: &App) -> Vec<String> {
    let sql = "SELECT kind FROM booking_automation_feedback ORDER BY id";
    app.column(sql, &[]).await
}

#[tokio::test]
async fn each_receipt_is_stored_once_and_without_numbers() {
    let (app, sms) = app_with_sms("sms").await;
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let id = sms.accepted()[0].event_id().to_owned();
    let instance = Instance::start(&app).await;
    for (event_type, kind) in KINDS {
        let mut event = receipt(event_type, &id, &format!("{event_type} sms-1"));
        let description = format!("The number {NUMBER}, carla@customers.example, is out");
        event["detail"]["messageStatusDescription"] = description.into();
        let told = instance.invoke(&event).await.unwrap();
        let suppressed = i64::from(kind == "bounced");
        let recorded = json!({"outcome": "recorded", "kind": kind, "settled": false, "suppressed": suppressed});
        assert_eq!(told, recorded, "{event_type}");
        let again = instance.invoke(&event).await.unwrap();
        let duplicate = json!({"outcome": "ignored", "reason": "duplicate"});
        assert_eq!(again, duplicate, "{event_type}");
    }
    assert_eq!(stored_kinds(&app).await, KINDS.map(|(_, kind)| kind));
    let sql = "SELECT details::text FROM booking_automation_feedback ORDER BY id";
    let details = app.column(sql, &[]).await.join("\n");
    for kept in [
        "DELIVERED",
        "The number +…, …, is out",
        "Telekom",
        "0.09582",
    ] {
        assert!(details.contains(kept), "{details}");
    }
    let log = instance.kill().await;
    for text in [&details, &log] {
        for personal in ["43664", "4915112345678", "carla"] {
            assert!(!text.contains(personal), "{text}");
        }
    }
    assert_eq!(messages(&app, booking).await, ["sms completed"]);
}

#[tokio::test]
async fn a_status_that_is_not_final_is_a_delay() {
    let (app, sms) = app_with_sms("sms>email").await;
    app.booking_due_now().await;
    app.call(&["run"]).await.summary();
    let id = sms.accepted()[0].event_id().to_owned();
    let instance = Instance::start(&app).await;
    for (event_type, kind) in KINDS {
        for not_final in [json!(false), json!(null), json!("true")] {
            let message_id = format!("{event_type} {not_final}");
            let mut event = receipt(event_type, &id, &message_id);
            event["detail"]["isFinal"] = not_final;
            let told = instance.invoke(&event).await.unwrap();
            let is_lost = KINDS[LOST].contains(&(event_type, kind));
            let kind = if is_lost { "delayed" } else { kind };
            assert_eq!(
                (&told["kind"], &told["suppressed"]),
                (&kind.into(), &0.into())
            );
        }
    }
    app.call(&["run"]).await.summary();
    assert!(app.ses.mails().is_empty());
}

#[tokio::test]
async fn receipts_of_other_messages_and_other_events_are_ignored() {
    let (app, sms) = app_with_sms("sms").await;
    app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let ours = sms.accepted()[0].event_id().to_owned();
    let mut others = ["not-a-uuid", "", &Uuid::new_v4().to_string()]
        .map(|id| receipt("TEXT_DELIVERED", id, "sms-1"))
        .to_vec();
    for context in [
        json!(null),
        json!({}),
        json!([ours]),
        json!({"event_id": [ours]}),
    ] {
        let mut event = receipt("TEXT_DELIVERED", &ours, "sms-1");
        event["detail"]["context"] = context;
        others.push(event);
    }
    for detail_type in [
        "Media Message Delivery Status Updated",
        "Registration Status Change",
        "",
    ] {
        let mut event = receipt("TEXT_DELIVERED", &ours, "sms-1");
        event["detail-type"] = detail_type.into();
        others.push(event);
    }
    others.push(receipt("MEDIA_DELIVERED", &ours, "sms-1"));
    others.push(receipt("TEXT_SOMETHING_NEW", &ours, "sms-1"));
    let instance = Instance::start(&app).await;
    for event in others {
        let told = instance.invoke(&event).await.unwrap();
        assert_eq!(told["outcome"], "ignored", "{event}");
    }
    assert!(stored_kinds(&app).await.is_empty());
}

#[tokio::test]
async fn a_malformed_receipt_is_a_function_error_that_names_the_field() {
    let (app, _) = app_with_sms("sms").await;
    let instance = Instance::start(&app).await;
    let id = Uuid::new_v4().to_string();
    let missing = [json!(null), json!([]), json!({}), json!(""), json!(1e300)];
    for (member, wrong) in [
        ("eventType", &missing[..]),
        ("messageId", &missing[..]),
        ("eventTimestamp", &missing[..]),
        (
            "eventTimestamp",
            &[json!(-1), json!(i64::MAX), json!(253_402_300_800_000_i64)],
        ),
    ] {
        for wrong in wrong {
            let mut event = receipt("TEXT_DELIVERED", &id, "sms-1");
            event["detail"][member] = wrong.clone();
            let error = instance.invoke(&event).await.unwrap_err();
            assert_eq!(error["errorType"], "MalformedEvent", "{member} {error}");
            let said = format!("the SMS event has no detail.{member}");
            assert_eq!(error["errorMessage"], said);
        }
    }
    // Unusual, but readable.
    let mut odd = receipt("TEXT_DELIVERED", &id, "sms\u{0}");
    odd["detail"]["messageStatusDescription"] = "x\u{0}".repeat(100_000).into();
    odd["detail"]["totalMessageParts"] = (-1).into();
    odd["detail"]["totalMessagePrice"] = "free".into();
    assert_eq!(instance.invoke(&odd).await.unwrap()["reason"], "not_ours");
}

#[tokio::test]
async fn a_receipt_settles_an_unknown_outcome_without_a_second_sms() {
    let (mut app, sms) = app_with_sms("sms").await;
    app.env
        .insert("SMS_CONFIGURATION_SET", "bookings".to_owned());
    sms.answer(|_| Answer::Reset);
    for (event_type, _) in KINDS {
        let booking = app.confirmed(noon() + hours(24)).await;
        app.run(noon()).await;
        let waits = ["sms pending unknown"];
        assert_eq!(messages(&app, booking).await, waits, "{event_type}");
        let id = sms.requests().last().unwrap().event_id().to_owned();
        let told = Instance::start(&app).await;
        let told = told.invoke(&receipt(event_type, &id, &id)).await.unwrap();
        assert_eq!(told["settled"], true, "{event_type} {told}");
        assert_eq!(messages(&app, booking).await, ["sms completed"]);
        app.sql("DELETE FROM booking_automation_suppressions", &[])
            .await;
        app.sql("DELETE FROM booking_automation_sms", &[]).await;
    }
    let requests = sms.requests().len();
    app.make_claimable().await;
    app.run(noon()).await;
    assert_eq!(sms.requests().len(), requests);
}

#[tokio::test]
async fn a_lost_message_goes_by_the_next_channel_while_the_start_lies_ahead() {
    let (app, sms) = app_with_sms("sms>email").await;
    let instance = Instance::start(&app).await;
    for (index, (event_type, kind)) in KINDS.into_iter().enumerate() {
        app.ses.clear();
        let booking = app.booking_due_now().await;
        app.call(&["run"]).await.summary();
        assert_eq!(messages(&app, booking).await, ["sms>email completed"]);
        let id = sms.accepted().last().unwrap().event_id().to_owned();
        let told = instance
            .invoke(&receipt(event_type, &id, &id))
            .await
            .unwrap();
        assert_eq!(told["kind"], kind);
        app.call(&["run"]).await.summary();
        let expected: &[&str] = match LOST.contains(&index) {
            true => &["sms>email completed", "email completed"],
            false => &["sms>email completed"],
        };
        assert_eq!(messages(&app, booking).await, expected, "{event_type}");
        assert_eq!(app.ses.mails().len(), expected.len() - 1);
        // The number works again, and was not written to too often.
        app.sql("DELETE FROM booking_automation_suppressions", &[])
            .await;
        app.sql("DELETE FROM booking_automation_sms", &[]).await;
    }
}

#[tokio::test]
async fn after_the_start_a_lost_message_goes_by_no_other_channel() {
    let (app, sms) = app_with_sms("sms>email").await;
    // By the real clock, this start has passed.
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let id = sms.accepted()[0].event_id().to_owned();
    let instance = Instance::start(&app).await;
    let told = instance
        .invoke(&receipt("TEXT_TTL_EXPIRED", &id, "sms-1"))
        .await;
    assert_eq!(told.unwrap()["kind"], "undelivered");
    assert_eq!(messages(&app, booking).await, ["sms>email completed"]);
}

#[tokio::test]
async fn only_a_number_that_is_not_valid_is_suppressed() {
    let (app, sms) = app_with_sms("sms").await;
    let instance = Instance::start(&app).await;
    for (event_type, kind) in KINDS {
        app.sql("DELETE FROM booking_automation_sms", &[]).await;
        let booking = app.confirmed(noon() + hours(24)).await;
        app.run(noon()).await;
        assert_eq!(
            messages(&app, booking).await,
            ["sms completed"],
            "{event_type}"
        );
        let id = sms.accepted().last().unwrap().event_id().to_owned();
        // As AWS's own examples, without the number.
        let mut event = receipt(event_type, &id, &id);
        event["detail"]
            .as_object_mut()
            .unwrap()
            .remove("destinationPhoneNumber");
        let told = instance.invoke(&event).await.unwrap();
        assert_eq!(
            told["suppressed"],
            i64::from(kind == "bounced"),
            "{event_type}"
        );
        if kind != "bounced" {
            continue;
        }
        let sql = "SELECT reason || ' ' || (until IS NULL) FROM booking_automation_suppressions";
        assert_eq!(app.column(sql, &[]).await, ["bounced true"]);
        let next = app.confirmed(noon() + hours(24)).await;
        app.run(noon()).await;
        assert_eq!(messages(&app, next).await, ["sms skipped suppressed"]);
        // Another number of the same person is written to.
        choose_number(&app, app.customer, "+436641111111").await;
        let other = app.confirmed(noon() + hours(24)).await;
        app.run(noon()).await;
        assert_eq!(messages(&app, other).await, ["sms completed"]);
        assert_only_the_number_can_be_lifted(&app).await;
        // A repeat does not suppress a lifted number again.
        assert_eq!(
            instance.invoke(&event).await.unwrap()["reason"],
            "duplicate"
        );
        choose_number(&app, app.customer, NUMBER).await;
    }
}

/// Lifts the suppression of the customer's number, which may be written as people write it.
async fn assert_only_the_number_can_be_lifted(app: &App) {
    for other in ["+436641111111", "carla@customers.example"] {
        let said = app.call(&["lift-suppression", other]).await;
        assert!(
            !said.success && said.stderr.contains("is not suppressed"),
            "{}",
            said.stderr
        );
    }
    // A national number has more than one meaning.
    let said = app.call(&["lift-suppression", "0664 1234567"]).await;
    assert!(
        !said.success && said.stderr.contains("with its country code"),
        "{}",
        said.stderr
    );
    let left = "SELECT count(*) FROM booking_automation_suppressions";
    assert_eq!(app.one(left, &[]).await.get::<_, i64>(0), 1);
    let said = app.call(&["lift-suppression", "+43 (664) 123-4567"]).await;
    assert!(
        said.success
            && said
                .stderr
                .contains("the number is no longer suppressed here"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("bounced") && !said.stderr.contains("4567"));
    assert_eq!(app.one(left, &[]).await.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn the_receipt_of_an_earlier_attempt_does_not_suppress_another_number() {
    let (app, sms) = app_with_sms("sms").await;
    sms.answer(|_| Answer::Reset);
    let booking = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    choose_number(&app, app.customer, "+436641111111").await;
    sms.answer(|_| Answer::Sent);
    app.make_claimable().await;
    app.run(noon()).await;
    assert_eq!(messages(&app, booking).await, ["sms completed"]);
    let id = sms.accepted()[0].event_id().to_owned();
    let instance = Instance::start(&app).await;
    let first = instance
        .invoke(&receipt("TEXT_INVALID", &id, "sms-1"))
        .await;
    assert_eq!(first.unwrap()["suppressed"], 0);
    let second = instance
        .invoke(&receipt("TEXT_INVALID", &id, "sms-2"))
        .await;
    assert_eq!(second.unwrap()["suppressed"], 1);
}

/// What the trail says that the only message cost.
async fn cost(app: &mut App) -> Value {
    let server = support(app, noon()).await;
    let path = "/events?type=reminder_sent";
    let page = ask(&server, "GET", path, &[], b"").await.json();
    page["events"][0]["cost"].clone()
}

#[tokio::test]
async fn parts_are_counted_when_an_sms_leaves_and_corrected_by_its_receipt() {
    let (mut app, sms) = app_with_sms("sms").await;
    let text = "x".repeat(159) + "ł";
    let sql = "INSERT INTO booking_automation_templates (kind, language, part, body) VALUES ('reminder', 'en', 'short', $1)";
    app.sql(sql, &[&text]).await;
    app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    assert_eq!(sms.accepted()[0].body(), text);
    let id = sms.accepted()[0].event_id().to_owned();
    assert_eq!(cost(&mut app).await, json!({"parts": 3, "price": null}));

    let instance = Instance::start(&app).await;
    let mut event = receipt("TEXT_SUCCESSFUL", &id, "sms-1");
    event["detail"]["totalMessageParts"] = 4.into();
    event["detail"]["totalMessagePrice"] = json!(0.04);
    instance.invoke(&event).await.unwrap();
    assert_eq!(cost(&mut app).await, json!({"parts": 4, "price": "0.04"}));
    // The latest one counts.
    let mut last = receipt("TEXT_DELIVERED", &id, "sms-1");
    last["detail"]["eventTimestamp"] = 1_772_370_000_000_i64.into();
    last["detail"]["totalMessagePrice"] = json!(0.00581);
    last["detail"]["totalCarrierFee"] = json!(0.00302);
    instance.invoke(&last).await.unwrap();
    assert_eq!(
        cost(&mut app).await,
        json!({"parts": 1, "price": "0.00883"})
    );
    // A second SMS about the same message is paid, too.
    instance
        .invoke(&receipt("TEXT_DELIVERED", &id, "sms-0"))
        .await
        .unwrap();
    assert_eq!(
        cost(&mut app).await,
        json!({"parts": 2, "price": "0.10465"})
    );
}

#[tokio::test]
async fn mails_have_no_cost_and_other_programs_data_is_no_error() {
    let mut app = App::new().await;
    app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    assert_eq!(cost(&mut app).await, Value::Null);
    let sql = "INSERT INTO booking_automation_events (booking_id, event_type, status, rule, audience, channel, event_data)
               VALUES (gen_random_uuid(), 'reminder_sent', 'failed', 'x', 'customer', 'sms', $1)";
    for data in [
        json!({"attempts": [{"parts": "many"}, {"parts": 1.5}, 7, null]}),
        json!({"attempts": {"parts": []}}),
        json!([]),
        json!("attempts"),
    ] {
        app.sql(sql, &[&data]).await;
        let cost = cost(&mut app).await;
        assert!(cost.is_null() || cost["parts"].is_i64(), "{cost}");
    }
}

#[tokio::test]
async fn costs_are_added_up_by_day() {
    let (mut app, sms) = app_with_sms("sms").await;
    let instance = Instance::start(&app).await;
    for hour in 0..3 {
        app.confirmed(noon() + hours(24 - hour)).await;
    }
    app.run(noon()).await;
    assert_eq!(sms.accepted().len(), 3);
    for (index, message) in sms.accepted().iter().enumerate().take(2) {
        let event = receipt(
            "TEXT_DELIVERED",
            message.event_id(),
            &format!("sms-{}", index + 1),
        );
        instance.invoke(&event).await.unwrap();
    }
    // One was sent the day before, one two months ago.
    let sql = "UPDATE booking_automation_sms SET claimed_at = claimed_at - $2::text::interval WHERE event_id = $1::text::uuid";
    for (message, age) in sms.accepted().iter().zip(["1 day", "62 days"]) {
        app.sql(sql, &[&message.event_id(), &age]).await;
    }
    let days = "SELECT to_char((now() - ago) AT TIME ZONE 'UTC', 'YYYY-MM-DD')
                  FROM unnest(ARRAY[interval '0', '1 day', '62 days']) AS ago";
    let days = app.column(days, &[]).await;
    let server = support(&mut app, noon()).await;
    let costs = ask(&server, "GET", "/costs", &[], b"").await.json();
    let line = |day: &str, price: &str, unpriced: i64| json!({"day": day, "channel": "sms", "messages": 1, "parts": 1, "price": price, "unpriced": unpriced});
    let expected = [line(&days[0], "0", 1), line(&days[1], "0.09582", 0)];
    assert_eq!(costs, json!({"currency": "USD", "days": expected}));
    let today = ask(&server, "GET", "/costs?days=1", &[], b"").await.json();
    assert_eq!(today["days"], json!([expected[0]]));
    let all = ask(&server, "GET", "/costs?days=92", &[], b"").await.json();
    assert_eq!(all["days"][2], line(&days[2], "0.09582", 0));
    for wrong in ["days=0", "days=93", "days=x", "since=1"] {
        let answer = ask(&server, "GET", &format!("/costs?{wrong}"), &[], b"").await;
        assert_eq!(answer.status, 400, "{wrong}");
    }
}

/// The costs that the preview of two days expects.
async fn expected_costs(app: &mut App, at: DateTime<Utc>) -> Vec<Value> {
    let server = support(app, at).await;
    let preview = ask(&server, "GET", "/preview?for=2d", &[], b"")
        .await
        .json();
    server.end().await;
    assert_eq!(preview["costs"]["currency"], "USD");
    preview["costs"]["days"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_preview_adds_up_what_earlier_sms_of_the_rule_cost_else_all() {
    let (mut app, sms) = app_with_sms("sms>email").await;
    let sql = "UPDATE reminder_rules SET active = true, channels = ARRAY[$2] WHERE name = $1";
    app.sql(sql, &[&"1h", &"email"]).await;
    for hour in [25, 26, 37, 49, 50] {
        app.confirmed(noon() + hours(hour)).await;
    }
    let day = |day: u8, channel: &str, messages: i64| json!({"day": format!("2026-03-0{day}"), "channel": channel, "messages": messages});
    let sms_of = |number: u8, messages: i64, parts: i64, price: Option<&str>| {
        let mut day = day(number, "sms", messages);
        day["parts"] = parts.into();
        day["price"] = price.into();
        day
    };
    // Nothing was sent: each SMS is one part, and its price is not known.
    assert_eq!(
        expected_costs(&mut app, noon()).await,
        [
            sms_of(1, 2, 2, None),
            day(2, "email", 2),
            sms_of(2, 3, 3, None),
            day(3, "email", 2),
        ]
    );

    let at = noon() + hours(2);
    app.run(at).await;
    assert_eq!(sms.accepted().len(), 2);
    let instance = Instance::start(&app).await;
    let first = sms.accepted()[0].event_id().to_owned();
    let mut event = receipt("TEXT_DELIVERED", &first, "sms-1");
    event["detail"]["totalMessageParts"] = 3.into();
    event["detail"]["totalMessagePrice"] = json!(0.06);
    event["detail"]["totalCarrierFee"] = json!(0.03);
    instance.invoke(&event).await.unwrap();
    // Of another rule: five parts, without a price.
    let sql = "WITH sent AS (INSERT INTO booking_automation_events (booking_id, event_type, status, rule, audience, channel, event_data)
                      VALUES (gen_random_uuid(), 'notification_sent', 'completed', 'confirmed', 'customer', 'sms', $1) RETURNING id)
               INSERT INTO booking_automation_sms SELECT id, '', now() FROM sent";
    app.sql(sql, &[&json!({"attempts": [{"parts": 5}]})]).await;
    // Three parts and one: two each, of 0.03.
    let expected = [
        day(2, "email", 2),
        sms_of(2, 3, 6, Some("0.18")),
        day(3, "email", 3),
    ];
    assert_eq!(expected_costs(&mut app, at).await, expected);
    // A rule that has sent none yet: the mean of all, three parts.
    let sql = "INSERT INTO reminder_rules (name, lead, audience, channels) VALUES ('12h', '12 hours', 'provider', '{sms}')";
    app.sql(sql, &[]).await;
    let sql = "UPDATE reminder_rules SET effective_from = '2020-01-01'";
    app.sql(sql, &[]).await;
    let expected = [
        day(2, "email", 2),
        sms_of(2, 3 + 3, 6 + 9, Some("0.45")),
        day(3, "email", 3),
        sms_of(3, 2, 6, Some("0.18")),
    ];
    assert_eq!(expected_costs(&mut app, at).await, expected);
}

#[tokio::test]
async fn the_preview_counts_a_message_by_the_channel_that_it_has_come_to() {
    let (mut app, sms) = app_with_sms("push>sms>email").await;
    app.confirmed(noon() + hours(24)).await;
    sms.answer(|_| Answer::Error(400, "ThrottlingException", ""));
    app.run(noon()).await;
    let sql = "UPDATE booking_automation_events SET next_attempt_at = $1 WHERE status = 'pending' AND via = 'sms'";
    assert_eq!(app.sql(sql, &[&(noon() + hours(1))]).await, 1);
    app.confirmed(noon() + hours(26)).await;
    assert_eq!(
        expected_costs(&mut app, noon()).await,
        [
            json!({"day": "2026-03-01", "channel": "push", "messages": 1}),
            json!({"day": "2026-03-01", "channel": "sms", "messages": 1, "parts": 1, "price": null}),
        ]
    );
}
