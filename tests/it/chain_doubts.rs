//! Chains where something is in doubt or is missing: several attempts, refusals that cost nothing,
//! channels that are held or not set up, and who moves on with whom.

use tokio::sync::watch;

use crate::app::{hours, minutes, noon};
use crate::chain_kinds::{GUESTS, two_on_one_day};
use crate::channels::Reach;
use crate::feedback::ses_event;
use crate::receipts::{app_with_sms, messages, receipt};
use crate::runtime_api::Instance;
use crate::sms_endpoint::Answer;
use crate::{fcm_endpoint, ses};

const NO_TOKEN: &str = "DELETE FROM booking_automation_push_tokens";
const TOO_EXPENSIVE: Answer = Answer::Error(400, "ValidationException", "PRICE_OVER_THRESHOLD");

#[tokio::test]
async fn a_receipt_about_one_attempt_opens_nothing_where_another_may_have_arrived() {
    let (app, sms) = app_with_sms("sms>email").await;
    let instance = Instance::start(&app).await;
    for event_type in ["TEXT_UNREACHABLE", "TEXT_INVALID", "TEXT_CARRIER_BLOCKED"] {
        // The answer is lost, and the SMS is sent again.
        sms.answer(|_| Answer::Reset);
        let booking = app.booking_due_now().await;
        app.call(&["run"]).await.summary();
        assert_eq!(messages(&app, booking).await, ["sms>email pending unknown"]);
        sms.answer(|_| Answer::Sent);
        app.make_claimable().await;
        app.call(&["run"]).await.summary();
        assert_eq!(messages(&app, booking).await, ["sms>email completed"]);
        let id = sms.accepted().last().unwrap().event_id().to_owned();
        let sent_as: String = app
            .one(
                "SELECT message_id FROM booking_automation_events WHERE id = $1::text::uuid",
                &[&id],
            )
            .await
            .get(0);
        // Neither the loss of the first one nor that of the second one shows that both are lost.
        for message_id in [format!("first-{id}"), sent_as] {
            let lost = receipt(event_type, &id, &message_id);
            let told = instance.invoke(&lost).await.unwrap();
            assert_eq!(told["outcome"], "recorded", "{told}");
            assert_eq!(
                messages(&app, booking).await,
                ["sms>email completed"],
                "{event_type}"
            );
        }
        app.sql("DELETE FROM booking_automation_suppressions", &[])
            .await;
    }
    app.call(&["run"]).await.summary();
    assert_eq!(app.ses.mails().len(), 0);
}

#[tokio::test]
async fn a_receipt_that_comes_before_the_record_of_a_second_attempt_opens_the_rest() {
    // What happens to the first attempt, and the messages after the receipt.
    let opened = ["sms>email sending", "email pending"];
    for (first, after) in [
        (Answer::THROTTLED, &opened[..]),
        (Answer::Reset, &opened[..1]),
    ] {
        let (app, sms) = app_with_sms("sms>email").await;
        let instance = Instance::start(&app).await;
        sms.answer(move |_| first.clone());
        let booking = app.booking_due_now().await;
        app.call(&["run"]).await.summary();
        let (answer, held) = watch::channel(false);
        sms.answer(move |_| Answer::Held(held.clone(), Box::new(Answer::Sent)));
        app.make_claimable().await;
        tokio::join!(app.call(&["run"]), async {
            sms.wait_for_requests(2).await;
            let id = sms.requests()[1].event_id().to_owned();
            let lost = receipt("TEXT_UNREACHABLE", &id, "second");
            instance.invoke(&lost).await.unwrap();
            assert_eq!(messages(&app, booking).await, after);
            answer.send(true).unwrap();
        });
        app.call(&["run"]).await.summary();
        let mut ended = vec!["sms>email completed", "email completed"];
        ended.truncate(after.len());
        assert_eq!(messages(&app, booking).await, ended);
        assert_eq!(
            (sms.requests().len(), app.ses.mails().len()),
            (2, after.len() - 1)
        );
    }
}

#[tokio::test]
async fn an_event_about_an_earlier_mail_of_the_leader_opens_nothing_for_who_was_not_in_it() {
    for (is_in_doubt, follow) in [(false, 2), (true, 0)] {
        let reach = Reach::by(&["email>sms"]).await;
        let app = &reach.app;
        let sql = "UPDATE reminder_rules SET group_within = '12 hours' WHERE name = '24h'";
        app.sql(sql, &[]).await;
        app.ses
            .answer(|_| ses::Answer::Error(429, "TooManyRequestsException", "slower"));
        for _ in 0..2 {
            app.booking_due_now().await;
        }
        app.call(&["run"]).await.summary();
        assert_eq!(app.ses.mails().len(), 1, "one mail for both");
        let leader = app.ses.mails()[0].event_id().to_owned();
        if is_in_doubt {
            // As if each had been tried alone, and the leader's mail might have arrived.
            let sql = "UPDATE booking_automation_events
                          SET event_data = jsonb_set(event_data, '{attempts,0,outcome}', '\"unknown\"')
                        WHERE id = $1::text::uuid";
            assert_eq!(app.sql(sql, &[&leader]).await, 1);
        }
        let (answer, held) = watch::channel(false);
        app.ses
            .answer(move |_| ses::Answer::Held(held.clone(), Box::new(ses::Answer::Sent)));
        app.make_claimable().await;
        let instance = Instance::start(app).await;
        tokio::join!(app.call(&["run"]), async {
            app.ses.wait_for_mails(2).await;
            assert_eq!(app.ses.mails()[1].event_id(), leader);
            let bounce = ses_event("ses-bounce", &leader, "which");
            instance.invoke(&bounce).await.unwrap();
            let mut rows = reach.rows().await;
            rows.sort();
            let opened = rows.split_off(2);
            assert_eq!(rows, ["email>sms sending 2", "email>sms sending 2"]);
            assert_eq!(opened, vec!["sms pending 0"; follow]);
            answer.send(true).unwrap();
        });
    }
}

#[tokio::test]
async fn a_message_that_was_given_back_after_a_refusal_moves_on() {
    let reach = Reach::by(&["push>email"]).await;
    reach.fcm.answer(|_| fcm_endpoint::Answer::THROTTLED);
    reach.booking().await;
    reach.run().await;
    // As if a second attempt had been given back: it leaves no error.
    let given_back = "UPDATE booking_automation_events SET error_message = NULL, reason = NULL WHERE attempts = 1";
    assert_eq!(reach.app.sql(given_back, &[]).await, 1);
    reach.app.sql(NO_TOKEN, &[]).await;
    reach.run_again(noon()).await;
    let row = "push>email by email completed 1 push:no_address";
    assert_eq!(reach.rows().await, [row]);
}

#[tokio::test]
async fn guests_get_their_sms_although_the_first_recipients_number_cannot_be_used() {
    let reach = Reach::by(&["sms"]).await;
    reach.app.db.batch_execute(GUESTS).await.unwrap();
    let sql = "INSERT INTO guests VALUES ('anna', 'anna@guests.example', '+43 664 1111111')";
    reach.app.sql(sql, &[]).await;
    let view = "DO $$ BEGIN
        EXECUTE 'CREATE OR REPLACE VIEW booking_automation_contacts AS ' ||
                replace(pg_get_viewdef('booking_automation_contacts'::regclass), 'NULL::text AS phone', '''0664 1234567''::text AS phone');
        END $$;
        UPDATE booking_automation_preferences SET phone = NULL";
    reach.app.db.batch_execute(view).await.unwrap();
    reach.booking().await;
    reach.run().await;
    let mut rows = reach.rows().await;
    rows.sort();
    assert_eq!(rows, ["sms completed 1", "sms skipped bad_number 0"]);
}

#[tokio::test]
async fn sms_that_were_refused_or_are_tried_again_do_not_use_up_the_day() {
    let mut reach = Reach::by(&["sms>email"]).await;
    reach.app.env.insert("SMS_PER_PERSON", "2".to_owned());
    reach.sms.answer(|_| TOO_EXPENSIVE);
    for ahead in [24, 23] {
        reach.app.confirmed(noon() + hours(ahead)).await;
    }
    reach.run().await;
    assert_eq!(reach.sent(), [2, 0, 0]);
    let remembered = "SELECT count(*)::text FROM booking_automation_sms";
    assert_eq!(reach.app.column(remembered, &[]).await, ["0"]);
    // Two are tried twice, and both are sent.
    reach.sms.answer(|_| Answer::THROTTLED);
    for ahead in [22, 21] {
        reach.app.confirmed(noon() + hours(ahead)).await;
    }
    reach.run().await;
    reach.sms.answer(|_| Answer::Sent);
    reach.run_again(noon()).await;
    assert_eq!(reach.sent(), [2, 2, 0]);
    // An SMS whose answer was lost counts.
    assert_eq!(reach.app.column(remembered, &[]).await, ["2"]);
    reach
        .app
        .sql("DELETE FROM booking_automation_sms", &[])
        .await;
    reach.sms.answer(|_| Answer::Reset);
    reach.app.confirmed(noon() + hours(20)).await;
    reach.run().await;
    assert_eq!(reach.app.column(remembered, &[]).await, ["1"]);
}

#[tokio::test]
async fn messages_leave_a_held_channel_whose_provider_does_not_answer_the_test() {
    let reach = Reach::by(&["push>sms"]).await;
    reach.fcm.answer(|_| fcm_endpoint::Answer::NO_ACCOUNT);
    for ahead in [24, 25] {
        reach.app.confirmed(noon() + hours(ahead)).await;
    }
    reach.run().await;
    let held = "UPDATE booking_automation_channels SET held_since = now() - interval '2 hours' WHERE held_reason IS NOT NULL";
    assert_eq!(reach.app.sql(held, &[]).await, 1);
    reach.fcm.answer(|_| fcm_endpoint::Answer::THROTTLED);
    reach.run_again(noon() + hours(3)).await;
    let rows = ["push>sms by sms completed 1 push:held"; 2];
    assert_eq!(reach.rows().await, rows);
    assert_eq!(reach.sent(), [0, 2, 0]);
}

#[tokio::test]
async fn a_message_waits_for_a_channel_that_is_not_set_up_if_no_other_follows() {
    let mut reach = Reach::by(&["sms"]).await;
    let from = reach.app.env.remove("SMS_FROM").unwrap();
    reach.booking().await;
    let summary = reach.run().await;
    assert_eq!(summary["backlog"]["pending"], 1, "{summary}");
    assert_eq!(reach.rows().await, ["sms pending not_set_up 0"]);
    // Not at once: the next one waits its turn.
    reach.app.run(noon() + minutes(1)).await;
    // An instance that has it sends it.
    reach.app.env.insert("SMS_FROM", from);
    reach.run_again(noon() + minutes(5)).await;
    assert_eq!(reach.rows().await, ["sms completed 1"]);

    reach.app.env.remove("SMS_FROM");
    reach.app.confirmed(noon() + hours(26)).await;
    reach.app.run(noon() + hours(2)).await;
    reach.run_again(noon() + hours(27)).await;
    let rows = ["sms completed 1", "sms skipped not_set_up 0"];
    assert_eq!(reach.rows().await, rows);
}

#[tokio::test]
async fn reminders_of_a_day_move_on_together_and_leave_in_one_mail() {
    let reach = two_on_one_day("push>sms>email").await;
    reach.app.sql(NO_TOKEN, &[]).await;
    let sql = "UPDATE booking_automation_preferences SET phone = NULL";
    reach.app.sql(sql, &[]).await;
    reach.run().await;
    let row = "push>sms>email by email completed 1 push:no_address sms:no_address";
    assert_eq!(reach.rows().await, [row, row]);
    assert_eq!(reach.sent(), [1, 0, 0]);
}

#[tokio::test]
async fn a_receipt_of_a_leader_that_has_moved_on_says_nothing_of_those_in_its_mail() {
    let mut reach = Reach::by(&["email>sms"]).await;
    let sql = "UPDATE reminder_rules SET group_within = '12 hours' WHERE name = '24h'";
    reach.app.sql(sql, &[]).await;
    for ahead in [24, 28] {
        reach.app.confirmed(noon() + hours(ahead)).await;
    }
    let answer = |status, code| {
        reach
            .app
            .ses
            .answer(move |_| ses::Answer::Error(status, code, "no"))
    };
    answer(429, "TooManyRequestsException");
    reach.run().await;
    let waits = "email>sms pending throttled 1";
    assert_eq!(reach.rows().await, [waits, waits]);
    // Another person's message shows that the account cannot send.
    answer(400, "AccountSuspendedException");
    reach.app.customer = reach
        .app
        .person("Tom", Some("tom@customers.example"), "UTC")
        .await;
    reach.app.confirmed(noon() + hours(23)).await;
    reach.app.run(noon()).await;
    let held = "UPDATE booking_automation_channels SET held_since = now() - interval '2 hours'
                 WHERE held_reason IS NOT NULL";
    assert_eq!(reach.app.sql(held, &[]).await, 1);
    // Only the first one has waited for an hour.
    reach.run_again(noon() + minutes(61)).await;
    let first = &reach.sms.accepted()[0];
    let told = receipt("TEXT_SENT", first.event_id(), "sms-1");
    let instance = Instance::start(&reach.app).await;
    assert_eq!(instance.invoke(&told).await.unwrap()["outcome"], "recorded");
    let rows = reach.rows().await;
    assert!(
        rows.contains(&"email>sms by sms completed 1 email:held".to_owned()),
        "{rows:?}"
    );
    assert!(rows.contains(&waits.to_owned()), "{rows:?}");
    // It is sent when its mail can be.
    reach.app.ses.answer(|_| ses::Answer::Sent);
    reach.run_again(noon() + hours(4)).await;
    assert_eq!(reach.rows().await.last().unwrap(), "email>sms completed 2");
}

#[tokio::test]
async fn what_a_mailbox_refuses_is_not_refused_by_the_app_of_the_same_name() {
    let reach = Reach::by(&["push"]).await;
    let suppressed = "INSERT INTO booking_automation_suppressions (address_hash, reason, message_id)
        SELECT booking_automation_address_hash(inner_key, outer_key, $1), 'bounced', 'x' FROM booking_automation_hash_key";
    let person = reach.app.customer.to_string();
    reach.app.sql(suppressed, &[&person]).await;
    reach.booking().await;
    reach.run().await;
    assert_eq!(reach.rows().await, ["push completed 1"]);
}
