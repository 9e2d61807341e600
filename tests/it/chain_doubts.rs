//! Chains where something is in doubt or is missing: several attempts, refusals that cost nothing,
//! channels that are held or not set up, and who moves on with whom.

use crate::app::{hours, minutes, noon};
use crate::chain_kinds::{GUESTS, two_on_one_day};
use crate::channels::Reach;
use crate::fcm_endpoint;
use crate::receipts::{app_with_sms, messages, receipt};
use crate::runtime_api::Instance;
use crate::sms_endpoint::Answer;

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
