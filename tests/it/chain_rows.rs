//! What comes of chains afterwards: bounces open the rest of a chain, messages by other channels
//! supersede each other or were told already, rules change their channels, and each channel has a
//! queue of its own.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{hours, minutes, noon};
use crate::chains::view_with_phone;
use crate::channels::{DEVICE, Reach};
use crate::feedback::ses_event;
use crate::runtime_api::Instance;
use crate::{ses, sms_endpoint};

/// Runs by the real clock.
async fn run_now(reach: &Reach) -> Value {
    reach.app.call(&["run"]).await.summary()
}

/// A mail of a chain, sent by the real clock, and an instance that takes events about it.
async fn mailed(channels: &str) -> (Reach, Instance, String) {
    let reach = Reach::by(&[channels]).await;
    reach.app.booking_due_now().await;
    let summary = run_now(&reach).await;
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    assert_eq!(reach.app.ses.mails().len(), 1);
    let (instance, id) = (Instance::start(&reach.app).await, reach.event_id().await);
    (reach, instance, id)
}

async fn tell(instance: &Instance, event: &Value) -> Value {
    instance.invoke(event).await.unwrap()
}

/// Which messages are the rest of which others' chains: `channel reason`.
async fn followers(reach: &Reach, first: &str) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', channel, event_data ->> 'followed_reason') FROM booking_automation_events
                WHERE event_data ->> 'follows' = $1";
    reach.app.column(sql, &[&first]).await
}

#[tokio::test]
async fn a_permanent_bounce_before_the_start_opens_the_rest_of_the_chain() {
    let (reach, instance, id) = mailed("email>sms>push").await;
    let bounce = ses_event("ses-bounce", &id, "message-1");
    let told = tell(&instance, &bounce).await;
    assert_eq!(told["outcome"], "recorded", "{told}");
    let rows = ["email>sms>push completed 1", "sms>push pending 0"];
    assert_eq!(reach.rows().await, rows);
    assert_eq!(followers(&reach, &id).await, ["sms>push bounced"]);
    // Neither the same event nor another one about the message opens it again.
    let told = tell(&instance, &bounce).await;
    assert_eq!(told, json!({"outcome": "ignored", "reason": "duplicate"}));
    tell(&instance, &ses_event("ses-reject", &id, "message-1")).await;
    assert_eq!(reach.rows().await, rows);
    let summary = run_now(&reach).await;
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    let rows = ["email>sms>push completed 1", "sms>push completed 1"];
    assert_eq!(reach.rows().await, rows);
    assert_eq!(reach.sent(), [1, 1, 0]);
    // Nor does it afterwards.
    let mut again = bounce.clone();
    again["detail"]["bounce"]["timestamp"] = json!("2026-03-02T12:00:03.000Z");
    assert_eq!(tell(&instance, &again).await["outcome"], "recorded");
    run_now(&reach).await;
    assert_eq!(reach.rows().await, rows);
    assert_eq!(reach.sent(), [1, 1, 0]);
}

#[tokio::test]
async fn the_rest_of_a_chain_is_a_chain() {
    let (reach, instance, id) = mailed("email>sms>push").await;
    tell(&instance, &ses_event("ses-bounce", &id, "message-1")).await;
    reach.sms.answer(|_| sms_endpoint::Answer::OPTED_OUT);
    run_now(&reach).await;
    assert_eq!(
        reach.rows().await,
        [
            "email>sms>push completed 1",
            "sms>push by push completed 1 sms:number_opted_out"
        ]
    );
    assert_eq!(reach.sent(), [1, 0, 1]);
}

#[tokio::test]
async fn only_what_says_that_a_mail_is_lost_opens_the_rest_of_its_chain() {
    let (reach, instance, id) = mailed("email>sms").await;
    for name in ["ses-send", "ses-delivery", "ses-delay", "ses-complaint"] {
        tell(&instance, &ses_event(name, &id, "message-1")).await;
    }
    let mut transient = ses_event("ses-bounce", &id, "message-1");
    transient["detail"]["bounce"]["bounceType"] = json!("Transient");
    assert_eq!(tell(&instance, &transient).await["outcome"], "recorded");
    assert_eq!(reach.rows().await, ["email>sms completed 1"]);
    tell(&instance, &ses_event("ses-reject", &id, "message-1")).await;
    assert_eq!(followers(&reach, &id).await, ["sms rejected"]);
}

#[tokio::test]
async fn a_bounce_after_the_start_and_one_of_a_chain_that_has_ended_open_nothing() {
    // By the real clock, this booking is over.
    let reach = Reach::by(&["email>sms"]).await;
    reach.booking().await;
    reach.run().await;
    let (instance, id) = (Instance::start(&reach.app).await, reach.event_id().await);
    let told = tell(&instance, &ses_event("ses-bounce", &id, "message-1")).await;
    assert_eq!(told["outcome"], "recorded", "{told}");
    assert_eq!(reach.rows().await, ["email>sms completed 1"]);

    for channels in ["email", "push>email"] {
        let reach = Reach::by(&[channels]).await;
        reach
            .app
            .sql("DELETE FROM booking_automation_push_tokens", &[])
            .await;
        reach.app.booking_due_now().await;
        run_now(&reach).await;
        let (instance, id) = (Instance::start(&reach.app).await, reach.event_id().await);
        tell(&instance, &ses_event("ses-bounce", &id, "message-1")).await;
        assert_eq!(reach.rows().await.len(), 1);
        assert_eq!(reach.sent(), [1, 0, 0]);
    }
}

#[tokio::test]
async fn a_bounce_that_settles_an_unknown_outcome_opens_the_rest_of_the_chain() {
    let reach = Reach::by(&["email>sms"]).await;
    reach.app.ses.answer(|_| ses::Answer::Reset);
    reach.app.booking_due_now().await;
    run_now(&reach).await;
    assert_eq!(reach.rows().await, ["email>sms pending unknown 1"]);
    let (instance, id) = (Instance::start(&reach.app).await, reach.event_id().await);
    tell(&instance, &ses_event("ses-bounce", &id, "message-1")).await;
    run_now(&reach).await;
    let rows = ["email>sms completed 1", "sms completed 1"];
    assert_eq!(reach.rows().await, rows);
    assert_eq!(reach.sent(), [1, 1, 0]);
}

#[tokio::test]
async fn the_rest_of_a_chain_is_not_sent_if_the_booking_or_the_rule_has_changed() {
    let changes = [
        ("UPDATE bookings SET status = 'cancelled'", "cancelled"),
        (
            "UPDATE reminder_rules SET channels = '{email>push}'",
            "rule_off",
        ),
        ("UPDATE reminder_rules SET active = false", "rule_off"),
    ];
    for (change, reason) in changes {
        let (reach, instance, id) = mailed("email>sms").await;
        tell(&instance, &ses_event("ses-bounce", &id, "message-1")).await;
        reach.app.sql(change, &[]).await;
        run_now(&reach).await;
        let rows = [
            "email>sms completed 1".to_owned(),
            format!("sms skipped {reason} 0"),
        ];
        assert_eq!(reach.rows().await[..2], rows, "{change}");
        assert_eq!(reach.sent(), [1, 0, 0]);
    }
}

/// The reminders by their rules: `rule channels by the present one, status, reason`.
async fn by_rule(reach: &Reach) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', rule, channel, 'by ' || via, status, reason) FROM booking_automation_events
                WHERE event_type = 'reminder_sent' ORDER BY scheduled_at, seq";
    reach.app.column(sql, &[]).await
}

#[tokio::test]
async fn of_two_rules_that_are_due_at_once_only_one_goes_by_a_channel_that_they_share() {
    for (first, second, expected, sent) in [
        (
            "sms>email",
            "email",
            ["24h sms>email skipped superseded", "1h email completed"],
            [1, 0, 0],
        ),
        (
            "email",
            "push>email",
            ["24h email skipped superseded", "1h push>email completed"],
            [0, 0, 1],
        ),
        (
            "push>sms",
            "sms>email",
            ["24h push>sms skipped superseded", "1h sms>email completed"],
            [0, 1, 0],
        ),
        (
            "sms",
            "push>email",
            ["24h sms completed", "1h push>email completed"],
            [0, 1, 1],
        ),
        (
            "sms>push",
            "email",
            ["24h sms>push completed", "1h email completed"],
            [1, 1, 0],
        ),
    ] {
        let reach = Reach::by(&[first]).await;
        reach.set_channels("1h", &[second]).await;
        reach.app.confirmed(noon() + hours(1)).await;
        reach.run().await;
        assert_eq!(by_rule(&reach).await, expected);
        assert_eq!(reach.sent(), sent, "{first} {second}");
    }
}

#[tokio::test]
async fn a_reminder_that_waits_is_superseded_by_a_later_one_of_a_channel_that_they_share() {
    for (second, reason, sent) in [("email", " superseded", [1, 0, 0]), ("push", "", [0, 1, 1])] {
        let reach = Reach::by(&["sms>email"]).await;
        reach.set_channels("1h", &[second]).await;
        reach.sms.answer(|_| sms_endpoint::Answer::THROTTLED);
        reach.app.confirmed(noon() + hours(1) + minutes(1)).await;
        reach.run().await;
        reach.sms.answer(|_| sms_endpoint::Answer::Sent);
        reach.run_again(noon() + minutes(1)).await;
        let status = if reason.is_empty() {
            "completed"
        } else {
            "skipped"
        };
        let first = format!("24h sms>email {status}{reason}");
        assert_eq!(
            by_rule(&reach).await,
            [first, format!("1h {second} completed")]
        );
        assert_eq!(reach.sent(), sent);
    }
}

#[tokio::test]
async fn a_message_that_went_by_one_channel_supersedes_none_by_the_others_of_its_chain() {
    // The later one was sent by push: a mail of the earlier one is another message.
    let reach = Reach::by(&["email"]).await;
    reach.set_channels("1h", &["push>email"]).await;
    reach
        .app
        .ses
        .answer(|_| ses::Answer::Error(429, "TooManyRequestsException", "slower"));
    reach.app.confirmed(noon() + hours(1) + minutes(1)).await;
    reach.run().await;
    let later = "UPDATE booking_automation_events SET next_attempt_at = now() + interval '1 hour' WHERE status = 'pending'";
    reach.app.sql(later, &[]).await;
    reach.app.run(noon() + minutes(1)).await;
    reach.app.ses.answer(|_| ses::Answer::Sent);
    reach.run_again(noon() + minutes(2)).await;
    let rows = ["24h email completed", "1h push>email completed"];
    assert_eq!(by_rule(&reach).await, rows);
}

/// Moves the customer's booking away and back.
async fn move_away_and_back(reach: &Reach, id: Uuid) {
    reach.app.set_clock(noon() + minutes(1)).await;
    for start in [noon() + hours(29), noon() + hours(24)] {
        let sql = "UPDATE bookings SET scheduled_at = $2 WHERE id = $1";
        reach.app.sql(sql, &[&id, &start]).await;
    }
}

#[tokio::test]
async fn what_was_told_by_a_channel_of_the_chain_is_not_told_again() {
    let already = "sms>email skipped already_told 0";
    let again = "sms>email completed 1";
    for (change, second, sent) in [
        ("SELECT", already, [0, 1, 0]),
        // By a number that was not told.
        (
            "UPDATE booking_automation_preferences SET phone = '+436649999999'",
            again,
            [0, 2, 0],
        ),
    ] {
        let reach = Reach::by(&["sms>email"]).await;
        let id = reach.booking().await;
        reach.run().await;
        move_away_and_back(&reach, id).await;
        reach.app.db.batch_execute(change).await.unwrap();
        reach.run_again(noon() + minutes(2)).await;
        assert_eq!(reach.rows().await, ["sms>email completed 1", second]);
        assert_eq!(reach.sent(), sent);
    }
    // Another rule's channel told nothing by this one.
    let reach = Reach::by(&["sms>email"]).await;
    let id = reach.booking().await;
    reach.run().await;
    move_away_and_back(&reach, id).await;
    reach.set_channels("24h", &["email"]).await;
    reach.run_again(noon() + minutes(2)).await;
    assert_eq!(
        reach.rows().await,
        ["sms>email completed 1", "email completed 1"]
    );
    assert_eq!(reach.sent(), [1, 1, 0]);
}

#[tokio::test]
async fn a_rule_that_gets_other_channels_sends_nobody_a_second_message() {
    for (first, second, sent) in [
        ("email", "sms>email", [1, 0, 0]),
        ("sms>email", "email>sms", [0, 1, 0]),
        ("email", "email>sms", [1, 0, 0]),
    ] {
        let reach = Reach::by(&[first]).await;
        reach.booking().await;
        reach.run().await;
        reach.set_channels("24h", &[second]).await;
        for minute in 1..4 {
            reach.run_again(noon() + minutes(minute)).await;
        }
        assert_eq!(
            reach.sent(),
            sent,
            "{first} {second}: {:?}",
            reach.rows().await
        );
        let rows = [
            format!("{first} completed 1"),
            format!("{second} skipped superseded 0"),
        ];
        assert_eq!(reach.rows().await, rows);
    }
}

#[tokio::test]
async fn a_message_that_waits_while_its_rule_gets_other_channels_is_sent_once() {
    let reach = Reach::by(&["email"]).await;
    reach
        .app
        .ses
        .answer(|_| ses::Answer::Error(429, "TooManyRequestsException", "slower"));
    reach.booking().await;
    reach.run().await;
    reach.app.ses.answer(|_| ses::Answer::Sent);
    reach.app.ses.clear();
    reach.set_channels("24h", &["sms>email"]).await;
    reach.run_again(noon() + minutes(1)).await;
    reach.run_again(noon() + minutes(2)).await;
    let rows = ["email skipped rule_off 1", "sms>email completed 1"];
    assert_eq!(reach.rows().await, rows);
    assert_eq!(reach.sent(), [0, 1, 0]);
}

#[tokio::test]
async fn the_claim_of_a_channel_reads_its_own_queue() {
    let reach = Reach::by(&["sms"]).await;
    let queue = "
        SET session_replication_role = replica;
        INSERT INTO booking_automation_events (booking_id, event_type, status, rule, audience, channel, via, revision, starts_at, scheduled_at, next_attempt_at)
        SELECT gen_random_uuid(), 'reminder_sent', 'pending', '24h', 'customer', q.channel, q.via, 1, now() + q.ahead + n * interval '1 second', now(), now()
          FROM (VALUES ('email', NULL, interval '1 hour', 25000), ('sms>email', 'email', '1 hour', 25000), ('email>sms', 'sms', '20 hours', 10)) AS q (channel, via, ahead, count)
         CROSS JOIN generate_series(1, q.count) AS n;
        RESET session_replication_role;
        ANALYZE booking_automation_events";
    reach.app.db.batch_execute(queue).await.unwrap();
    let statements = booking_automation::entry::statements::composed();
    let (_, candidates) = statements
        .iter()
        .find(|(name, _)| name == "claim, candidates")
        .unwrap();
    // As in a claim.
    let prepare = format!(
        "SET enable_bitmapscan = off; SET plan_cache_mode = force_generic_plan;
         PREPARE candidates (text, int8, float8, float8, uuid, timestamptz, bool) AS {candidates}"
    );
    reach.app.db.batch_execute(&prepare).await.unwrap();
    let explain = "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) EXECUTE candidates ('sms', 1000, 1000, 2, NULL, NULL, false)";
    let plan = reach.app.column(explain, &[]).await;
    let text = plan.join("\n");
    let queue = "Index Scan using booking_automation_events_queue on booking_automation_events e";
    let scans: Vec<_> = plan.iter().filter(|line| line.contains(queue)).collect();
    assert_eq!(scans.len(), 2, "{text}");
    assert!(scans[0].contains("rows=10"), "{text}");
    assert!(
        !text.contains("Seq Scan on booking_automation_events"),
        "{text}"
    );
    let buffers = plan
        .iter()
        .find_map(|line| line.trim().strip_prefix("Buffers: shared "))
        .unwrap();
    let pages: u64 = buffers
        .split(' ')
        .filter_map(|part| part.split_once('=')?.1.parse::<u64>().ok())
        .sum();
    assert!(pages < 300, "{pages}: {text}");
}

#[tokio::test]
async fn before_the_last_step_of_the_schema_mail_is_delivered_as_it_was() {
    let mut reach = Reach::by(&["email"]).await;
    reach.app.env.insert("TEST_TIME_DIVISOR", "1".to_owned());
    reach
        .app
        .db
        .batch_execute(
            "DROP TABLE booking_automation_push_tokens, booking_automation_soft_bounces, booking_automation_sms_replies, booking_automation_sms;
             ALTER TABLE booking_automation_preferences DROP COLUMN phone, DROP COLUMN sms_allowed;
             DROP TRIGGER booking_automation_keep_keys ON booking_automation_events;
             ALTER TABLE booking_automation_events DROP COLUMN via;
             DROP FUNCTION booking_automation_next_channel, booking_automation_moved_on, booking_automation_shares_channel;
             DELETE FROM booking_automation_channels WHERE channel <> 'email'",
        )
        .await
        .unwrap();
    reach.booking().await;
    reach
        .app
        .ses
        .answer(|_| ses::Answer::Error(429, "TooManyRequestsException", "slower"));
    let outcomes = "SELECT concat_ws(' ', channel, status, reason, attempts) FROM booking_automation_events WHERE event_type = 'reminder_sent'";
    let said = reach
        .app
        .call(&["run", "--as-of", &noon().to_rfc3339()])
        .await;
    assert_eq!(
        said.summary()["reminders"]["retrying"],
        1,
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("ERROR"), "{}", said.stderr);
    assert_eq!(
        reach.app.column(outcomes, &[]).await,
        ["email pending throttled 1"]
    );
    reach.app.ses.answer(|_| ses::Answer::Sent);
    let summary = reach.run_again(noon()).await;
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    assert_eq!(reach.app.column(outcomes, &[]).await, ["email completed 2"]);
    let (instance, id) = (Instance::start(&reach.app).await, reach.event_id().await);
    let told = tell(&instance, &ses_event("ses-bounce", &id, "message-2")).await;
    assert_eq!(told["outcome"], "recorded", "{told}");
    let dry = reach
        .app
        .call(&["run", "--dry-run", "--as-of", &noon().to_rfc3339()])
        .await;
    assert!(dry.success, "{}", dry.stderr);
}

#[tokio::test]
async fn after_the_missing_steps_messages_that_wait_go_out() {
    let reach = Reach::by(&["email"]).await;
    reach.booking().await;
    reach
        .app
        .db
        .batch_execute(
            "DROP TABLE booking_automation_push_tokens, booking_automation_soft_bounces, booking_automation_sms_replies, booking_automation_sms;
             ALTER TABLE booking_automation_preferences DROP COLUMN phone, DROP COLUMN sms_allowed;
             DROP TRIGGER booking_automation_keep_keys ON booking_automation_events;
             ALTER TABLE booking_automation_events DROP COLUMN via;
             DROP FUNCTION booking_automation_next_channel, booking_automation_moved_on, booking_automation_shares_channel;
             DELETE FROM booking_automation_channels WHERE channel <> 'email';
             DELETE FROM booking_automation_migrations WHERE name IN ('30_via', '31_channels', '32_receipts', '33_replies')",
        )
        .await
        .unwrap();
    reach
        .app
        .ses
        .answer(|_| ses::Answer::Error(429, "TooManyRequestsException", "slower"));
    reach.run().await;
    let said = reach.app.call(&["migrate"]).await;
    assert!(said.success, "{}", said.stderr);
    reach.app.ses.answer(|_| ses::Answer::Sent);
    reach.run_again(noon()).await;
    assert_eq!(reach.rows().await, ["email completed 2"]);
    // And chains are there.
    reach.add_device(reach.app.customer, DEVICE).await;
    reach
        .app
        .db
        .batch_execute(&view_with_phone("+43 664 1234567", "true"))
        .await
        .unwrap();
    reach.set_channels("24h", &["sms>email"]).await;
    reach.app.confirmed(noon() + hours(23)).await;
    reach.run_again(noon() + minutes(1)).await;
    assert_eq!(reach.sms.accepted().len(), 1, "{:?}", reach.rows().await);
}
