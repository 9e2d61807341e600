//! Chains of channels: a message goes by the next one where it cannot go by the first, and never by
//! two. What comes of it afterwards is in chain_rows.rs.

use std::process::Stdio;

use tokio::process::Child;
use tokio::sync::watch;

use crate::app::{hours, minutes, noon};
use crate::channels::{DEVICE, NUMBER, Reach};
use crate::fcm_endpoint;
use crate::ses;
use crate::sms_endpoint;

const CHAIN: &str = "push>sms>email";

/// SQL that suppresses the customer's number.
fn suppress_number() -> String {
    format!(
        "INSERT INTO booking_automation_suppressions (address_hash, reason, message_id)
         SELECT booking_automation_address_hash(inner_key, outer_key, '{NUMBER}'), 'complained', 'x' FROM booking_automation_hash_key"
    )
}

/// SQL by which the contacts view, not the customer, gives a number and their agreement.
pub fn view_with_phone(phone: &str, sms_allowed: &str) -> String {
    format!(
        "UPDATE booking_automation_preferences SET phone = NULL, sms_allowed = NULL;
         DO $do$ BEGIN
             EXECUTE 'CREATE OR REPLACE VIEW booking_automation_contacts AS
                      SELECT shipped.*, ''{phone}''::text AS phone, {sms_allowed} AS sms_allowed FROM ('
                 || rtrim(pg_get_viewdef('booking_automation_contacts'::regclass), ';') || ') AS shipped';
         END $do$"
    )
}

const NO_TOKEN: &str = "DELETE FROM booking_automation_push_tokens";
const NO_PHONE: &str = "UPDATE booking_automation_preferences SET phone = NULL";
const NOT_AGREED: &str = "UPDATE booking_automation_preferences SET sms_allowed = false";
const NEVER_ASKED: &str = "UPDATE booking_automation_preferences SET sms_allowed = NULL";

/// Sends one message by the chain, after this SQL and this change. It is sent once: as the row says,
/// and by so many mails, SMS and push messages.
async fn assert_moves(sql: &[&str], change: fn(&mut Reach), row: &str, sent: [usize; 3]) {
    let mut reach = Reach::by(&[CHAIN]).await;
    for sql in sql {
        reach.app.db.batch_execute(sql).await.unwrap();
    }
    change(&mut reach);
    reach.booking().await;
    let said = reach
        .app
        .call(&["run", "--as-of", &noon().to_rfc3339()])
        .await;
    let summary = said.summary();
    assert_eq!(
        reach.rows().await,
        [format!("{CHAIN} {row}")],
        "{}",
        said.stderr
    );
    assert_eq!(reach.sent(), sent, "{row}");
    let count = usize::from(sent != [0, 0, 0]);
    assert_eq!(summary["reminders"]["sent"], count, "{row}: {summary}");
    assert_eq!(summary["reminders"]["due"], 1, "{row}: {summary}");
    assert_eq!(summary["backlog"]["pending"], 0, "{row}: {summary}");
    // Nothing follows.
    reach.run_again(noon() + hours(1)).await;
    assert_eq!(reach.sent(), sent, "{row}");
}

#[tokio::test]
async fn a_message_goes_by_the_first_channel_that_reaches_the_person() {
    assert_moves(&[], |_| (), "completed 1", [0, 0, 1]).await;
    assert_moves(
        &[NO_TOKEN],
        |_| (),
        "by sms completed 1 push:no_address",
        [0, 1, 0],
    )
    .await;
    let row = "by email completed 1 push:no_address sms:no_address";
    assert_moves(&[NO_TOKEN, NO_PHONE], |_| (), row, [1, 0, 0]).await;
}

#[tokio::test]
async fn no_sms_is_sent_to_who_has_not_agreed() {
    for sql in [NOT_AGREED, NEVER_ASKED] {
        let row = "by email completed 1 push:no_address sms:not_agreed";
        assert_moves(&[NO_TOKEN, sql], |_| (), row, [1, 0, 0]).await;
    }
    // The person's own word counts more than the view's.
    let view = view_with_phone("+43 664 1234567", "true");
    let row = "by sms completed 1 push:no_address";
    assert_moves(&[NO_TOKEN, &view], |_| (), row, [0, 1, 0]).await;
    let row = "by email completed 1 push:no_address sms:not_agreed";
    assert_moves(&[NO_TOKEN, &view, NOT_AGREED], |_| (), row, [1, 0, 0]).await;
}

#[tokio::test]
async fn channels_that_a_person_has_not_chosen_are_passed_over() {
    let chosen = "UPDATE booking_automation_preferences SET channels = '{email}'";
    let row = "by email completed 1 push:not_chosen sms:not_chosen";
    assert_moves(&[chosen], |_| (), row, [1, 0, 0]).await;
    let chosen = "UPDATE booking_automation_preferences SET channels = '{sms,email}'";
    assert_moves(
        &[chosen],
        |_| (),
        "by sms completed 1 push:not_chosen",
        [0, 1, 0],
    )
    .await;
    // None is left.
    let chosen = "UPDATE booking_automation_preferences SET channels = '{webhook}'";
    let row = "by email skipped not_chosen 0 push:not_chosen sms:not_chosen";
    assert_moves(&[chosen], |_| (), row, [0, 0, 0]).await;
}

#[tokio::test]
async fn a_number_that_cannot_be_sent_to_is_passed_over() {
    let row = "by email completed 1 push:no_address sms:suppressed";
    assert_moves(&[NO_TOKEN, &suppress_number()], |_| (), row, [1, 0, 0]).await;
    for number in ["0664 1234567", "carla", "+43 (0)664 1234567"] {
        let view = view_with_phone(number, "true");
        let row = "by email completed 1 push:no_address sms:bad_number";
        assert_moves(&[NO_TOKEN, &view], |_| (), row, [1, 0, 0]).await;
    }
    // The number that the person has chosen is used, whatever the view says.
    let view = view_with_phone("carla", "true");
    let own = format!("UPDATE booking_automation_preferences SET phone = '{NUMBER}'");
    let row = "by sms completed 1 push:no_address";
    assert_moves(&[NO_TOKEN, &view, &own], |_| (), row, [0, 1, 0]).await;
    let opted_out = |reach: &mut Reach| reach.sms.answer(|_| sms_endpoint::Answer::OPTED_OUT);
    let row = "by email completed 1 push:no_address sms:number_opted_out";
    assert_moves(&[NO_TOKEN], opted_out, row, [1, 0, 0]).await;
}

#[tokio::test]
async fn a_person_who_has_enough_sms_for_today_gets_a_mail() {
    let before = format!(
        "INSERT INTO booking_automation_sms (event_id, address_hash, claimed_at)
         SELECT gen_random_uuid(), booking_automation_address_hash(inner_key, outer_key, '{NUMBER}'), now()
           FROM booking_automation_hash_key, generate_series(1, 5)"
    );
    let row = "by email completed 1 push:no_address sms:over_limit";
    assert_moves(&[NO_TOKEN, &before], |_| (), row, [1, 0, 0]).await;
}

#[tokio::test]
async fn a_channel_that_is_not_set_up_is_passed_over() {
    let no_push = |reach: &mut Reach| {
        reach.app.env.remove("FCM_CREDENTIALS");
    };
    assert_moves(
        &[],
        no_push,
        "by sms completed 1 push:not_set_up",
        [0, 1, 0],
    )
    .await;
    let neither = |reach: &mut Reach| {
        reach.app.env.remove("FCM_CREDENTIALS");
        reach.app.env.remove("SMS_FROM");
    };
    let row = "by email completed 1 push:not_set_up sms:not_set_up";
    assert_moves(&[], neither, row, [1, 0, 0]).await;
    let view = view_with_phone("+43 664 1234567", "true");
    assert_moves(&[&view], neither, row, [1, 0, 0]).await;
}

#[tokio::test]
async fn a_message_that_a_channel_refuses_for_good_goes_by_the_next_one() {
    let other_sender = |reach: &mut Reach| reach.fcm.answer(|_| fcm_endpoint::Answer::OTHER_SENDER);
    assert_moves(
        &[],
        other_sender,
        "by sms completed 1 push:other_sender",
        [0, 1, 0],
    )
    .await;
    let both = |reach: &mut Reach| {
        reach.fcm.answer(|_| fcm_endpoint::Answer::UNREGISTERED);
        reach.sms.answer(|_| {
            sms_endpoint::Answer::Error(400, "ValidationException", "PRICE_OVER_THRESHOLD")
        });
    };
    let row = "by email completed 1 push:no_device sms:too_expensive";
    assert_moves(&[], both, row, [1, 0, 0]).await;
    // The last one refuses, too.
    let all = |reach: &mut Reach| {
        reach.fcm.answer(|_| fcm_endpoint::Answer::OTHER_SENDER);
        reach.sms.answer(|_| sms_endpoint::Answer::OPTED_OUT);
        reach
            .app
            .ses
            .answer(|_| ses::Answer::Error(400, "MessageRejected", "no"));
    };
    let mut reach = Reach::by(&[CHAIN]).await;
    all(&mut reach);
    reach.booking().await;
    let summary = reach.run().await;
    assert_eq!(summary["reminders"]["failed"], 1, "{summary}");
    assert_eq!(summary["reminders"]["due"], 1, "{summary}");
    let row = format!("{CHAIN} by email failed rejected 1 push:other_sender sms:number_opted_out");
    assert_eq!(reach.rows().await, [row]);
    assert_eq!(
        reach.attempts().await,
        ["other_sender", "number_opted_out", "rejected"]
    );
}

#[tokio::test]
async fn a_message_whose_attempts_are_used_up_goes_by_the_next_channel() {
    let reach = Reach::by(&[CHAIN]).await;
    reach.fcm.answer(|_| fcm_endpoint::Answer::THROTTLED);
    reach.booking().await;
    for attempt in 1..5 {
        let summary = reach.run_again(noon()).await;
        assert_eq!(summary["reminders"]["retrying"], 1, "{summary}");
        assert_eq!(
            reach.rows().await,
            [format!("{CHAIN} pending throttled {attempt}")]
        );
    }
    let summary = reach.run_again(noon()).await;
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    assert_eq!(summary["reminders"]["due"], 1, "{summary}");
    assert_eq!(
        reach.rows().await,
        [format!("{CHAIN} by sms completed 1 push:throttled")]
    );
    assert_eq!(reach.sent(), [0, 1, 0]);
    let outcomes = [
        "throttled",
        "throttled",
        "throttled",
        "throttled",
        "throttled",
        "sent",
    ];
    assert_eq!(reach.attempts().await, outcomes);
}

#[tokio::test]
async fn a_message_whose_start_leaves_no_time_for_a_retry_goes_by_the_next_channel() {
    let reach = Reach::by(&[CHAIN]).await;
    reach.fcm.answer(|_| fcm_endpoint::Answer::THROTTLED);
    reach.booking().await;
    let before_start = noon() + hours(24) - chrono::Duration::seconds(50);
    reach.app.run(before_start).await;
    assert_eq!(
        reach.rows().await,
        [format!("{CHAIN} by sms completed 1 push:throttled")]
    );
    assert_eq!(reach.sent(), [0, 1, 0]);
}

#[tokio::test]
async fn a_message_waits_for_a_held_channel_for_an_hour_at_most() {
    let reach = Reach::by(&[CHAIN]).await;
    reach.fcm.answer(|_| fcm_endpoint::Answer::NO_ACCOUNT);
    reach.booking().await;
    let summary = reach.run().await;
    assert_eq!(summary["held_back"], "account", "{summary}");
    // The hold is younger, by the real clock.
    reach.run_again(noon() + minutes(61)).await;
    let waits = [format!("{CHAIN} pending account 0")];
    assert_eq!(reach.rows().await, waits);
    let hold_for = "UPDATE booking_automation_channels SET held_since = now() - $1::int * interval '1 minute' WHERE held_reason IS NOT NULL";
    reach.app.sql(hold_for, &[&61]).await;
    // The message has waited for less.
    reach.run_again(noon() + minutes(59)).await;
    assert_eq!(reach.rows().await, waits);
    let summary = reach.run_again(noon() + minutes(61)).await;
    assert_eq!(
        reach.rows().await,
        [format!("{CHAIN} by sms completed 1 push:held")]
    );
    assert_eq!(reach.sent(), [0, 1, 0]);
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    assert_eq!(summary["reminders"]["due"], 1, "{summary}");
    // The account can send again: nobody gets a second message.
    reach.fcm.answer(|_| fcm_endpoint::Answer::Sent);
    reach.run_again(noon() + minutes(70)).await;
    assert_eq!(reach.sent(), [0, 1, 0]);
}

#[tokio::test]
async fn a_message_that_is_urgent_waits_for_a_held_channel_for_a_quarter_of_its_lead() {
    let reach = Reach::by(&["email"]).await;
    reach.set_channels("1h", &[CHAIN]).await;
    reach
        .app
        .sql(
            "UPDATE reminder_rules SET active = false WHERE name = '24h'",
            &[],
        )
        .await;
    reach.fcm.answer(|_| fcm_endpoint::Answer::NO_ACCOUNT);
    reach.app.confirmed(noon() + hours(1)).await;
    reach.run().await;
    let held = "UPDATE booking_automation_channels SET held_since = now() - interval '20 minutes' WHERE held_reason IS NOT NULL";
    reach.app.sql(held, &[]).await;
    reach.run_again(noon() + minutes(14)).await;
    assert_eq!(reach.rows().await, [format!("{CHAIN} pending account 0")]);
    reach.run_again(noon() + minutes(16)).await;
    assert_eq!(
        reach.rows().await,
        [format!("{CHAIN} by sms completed 1 push:held")]
    );
}

#[tokio::test]
async fn a_message_that_may_have_been_sent_does_not_leave_a_held_channel() {
    let reach = Reach::by(&["push>sms"]).await;
    reach.fcm.answer(|_| fcm_endpoint::Answer::UNKNOWN);
    reach.booking().await;
    reach.run().await;
    assert_eq!(reach.rows().await, ["push>sms pending unknown 1"]);
    reach.fcm.answer(|_| fcm_endpoint::Answer::NO_ACCOUNT);
    reach.run_again(noon()).await;
    let held = "UPDATE booking_automation_channels SET held_since = now() - interval '2 hours' WHERE held_reason IS NOT NULL";
    assert_eq!(reach.app.sql(held, &[]).await, 1);
    reach.run_again(noon() + hours(2)).await;
    assert_eq!(reach.sent(), [0, 0, 0]);
    assert_eq!(reach.rows().await, ["push>sms pending account 1"]);
}

#[tokio::test]
async fn an_unknown_outcome_never_moves_on() {
    let reach = Reach::by(&["sms>email"]).await;
    reach.sms.answer(|_| sms_endpoint::Answer::Reset);
    reach.booking().await;
    for attempt in 1..5 {
        let summary = reach.run_again(noon()).await;
        assert_eq!(summary["reminders"]["unknown"], 1, "{summary}");
        assert_eq!(
            reach.rows().await,
            [format!("sms>email pending unknown {attempt}")]
        );
    }
    let summary = reach.run_again(noon()).await;
    assert_eq!(summary["reminders"]["failed"], 1, "{summary}");
    assert_eq!(reach.rows().await, ["sms>email failed unknown 5"]);
    assert_eq!(reach.attempts().await, ["unknown"; 5]);
    reach.run_again(noon() + hours(1)).await;
    assert_eq!(reach.app.ses.mails().len(), 0);
    assert_eq!(reach.sms.requests().len(), 5);
}

#[tokio::test]
async fn after_an_unknown_outcome_no_later_refusal_moves_on() {
    // An answer that is final, and one that uses the attempts up.
    let refused = [
        (sms_endpoint::Answer::OPTED_OUT, "number_opted_out", 2),
        (sms_endpoint::Answer::THROTTLED, "throttled", 5),
    ];
    for (answer, reason, attempts) in refused {
        let reach = Reach::by(&["sms>email"]).await;
        reach.sms.answer(|_| sms_endpoint::Answer::Reset);
        reach.booking().await;
        reach.run().await;
        reach.sms.answer(move |_| answer.clone());
        for _ in 1..attempts {
            reach.run_again(noon()).await;
        }
        let row = format!("sms>email failed {reason} {attempts}");
        assert_eq!(reach.rows().await, [row]);
        assert_eq!(reach.app.ses.mails().len(), 0);
    }
    // And what the next claim finds out.
    for (sql, reason) in [
        (NO_PHONE, "no_address"),
        (NOT_AGREED, "not_agreed"),
        (&suppress_number(), "suppressed"),
    ] {
        let reach = Reach::by(&["sms>email"]).await;
        reach.sms.answer(|_| sms_endpoint::Answer::Reset);
        reach.booking().await;
        reach.run().await;
        reach.app.sql(sql, &[]).await;
        reach.run_again(noon()).await;
        assert_eq!(
            reach.rows().await,
            [format!("sms>email skipped {reason} 1")]
        );
        assert_eq!(reach.app.ses.mails().len(), 0);
    }
}

/// Starts a call, and kills it while its SMS is under way.
async fn killed_in_flight(reach: &Reach) -> watch::Sender<bool> {
    let (release, wait) = watch::channel(false);
    reach.sms.answer(move |_| {
        sms_endpoint::Answer::Held(wait.clone(), Box::new(sms_endpoint::Answer::Sent))
    });
    reach.booking().await;
    let mut command = reach.app.command(&["run", "--as-of", &noon().to_rfc3339()]);
    let mut process: Child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    reach.sms.wait_for_requests(1).await;
    process.kill().await.unwrap();
    assert_eq!(reach.rows().await, ["sms>email sending 1"]);
    // Under its lease, nobody else sends it.
    reach.app.run(noon()).await;
    assert_eq!(reach.sms.requests().len(), 1);
    reach.sms.answer(|_| sms_endpoint::Answer::Sent);
    release
}

#[tokio::test]
async fn a_process_that_ends_while_its_sms_is_under_way_never_makes_a_mail_of_it() {
    let reach = Reach::by(&["sms>email"]).await;
    let _release = killed_in_flight(&reach).await;
    let summary = reach.run_again(noon()).await;
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    assert_eq!(reach.rows().await, ["sms>email completed 2"]);
    assert_eq!(reach.attempts().await, ["unknown", "sent"]);
    assert_eq!(
        (reach.app.ses.mails().len(), reach.sms.requests().len()),
        (0, 2)
    );

    for (sql, reason) in [
        (NOT_AGREED, "not_agreed"),
        (NO_PHONE, "no_address"),
        (&suppress_number(), "suppressed"),
    ] {
        let reach = Reach::by(&["sms>email"]).await;
        let _release = killed_in_flight(&reach).await;
        reach.app.sql(sql, &[]).await;
        reach.run_again(noon()).await;
        assert_eq!(
            reach.rows().await,
            [format!("sms>email skipped {reason} 1")]
        );
        assert_eq!(
            (reach.app.ses.mails().len(), reach.sms.requests().len()),
            (0, 1)
        );
    }
}

#[tokio::test]
async fn a_channel_that_is_not_set_up_any_more_does_not_make_two_messages_of_one() {
    let mut reach = Reach::by(&["sms>email"]).await;
    let _release = killed_in_flight(&reach).await;
    reach.app.env.remove("SMS_FROM");
    reach.run_again(noon()).await;
    assert_eq!(reach.rows().await, ["sms>email skipped not_set_up 1"]);
    assert_eq!(reach.app.ses.mails().len(), 0);
}

#[tokio::test]
async fn a_message_that_has_moved_on_begins_with_all_its_attempts() {
    let reach = Reach::by(&["push>email"]).await;
    reach.fcm.answer(|_| fcm_endpoint::Answer::OTHER_SENDER);
    reach
        .app
        .ses
        .answer(|_| ses::Answer::Error(429, "TooManyRequestsException", "slower"));
    reach.booking().await;
    let summary = reach.run().await;
    assert_eq!(summary["reminders"]["retrying"], 1, "{summary}");
    for attempt in 1..5 {
        let row = format!("push>email by email pending throttled {attempt} push:other_sender");
        assert_eq!(reach.rows().await, [row]);
        reach.run_again(noon()).await;
    }
    assert_eq!(
        reach.rows().await,
        ["push>email by email failed throttled 5 push:other_sender"]
    );
    assert_eq!(reach.fcm.requests().len(), 1, "{DEVICE} is not tried again");
}

#[tokio::test]
async fn a_message_waits_as_long_as_fcm_asks_and_goes_by_the_next_channel_where_that_is_too_long() {
    let reach = Reach::by(&["push>email"]).await;
    reach.fcm.answer(|_| fcm_endpoint::Answer::Later(600));
    reach.booking().await;
    reach.run().await;
    assert_eq!(reach.rows().await, ["push>email pending throttled 1"]);
    let wait = "SELECT next_attempt_at - now() BETWEEN interval '9 min 30 s' AND interval '10 min'
                  FROM booking_automation_events WHERE event_type = 'reminder_sent'";
    assert!(reach.app.one(wait, &[]).await.get::<_, bool>(0));
    reach.run_again(noon() + hours(24) - minutes(5)).await;
    let row = "push>email by email completed 1 push:throttled";
    assert_eq!(reach.rows().await, [row]);
}

#[tokio::test]
async fn a_token_server_that_does_not_answer_leaves_no_doubt() {
    let mut reach = Reach::by(&["push>email"]).await;
    reach.app.env.insert("TEST_TIME_DIVISOR", "4".to_owned());
    reach.fcm.silence_tokens();
    reach.booking().await;
    for attempt in 1..5 {
        let summary = reach.run_again(noon()).await;
        assert_eq!(summary["reminders"]["retrying"], 1, "{summary}");
        let row = format!("push>email pending unreachable {attempt}");
        assert_eq!(reach.rows().await, [row]);
    }
    reach.run_again(noon()).await;
    let row = "push>email by email completed 1 push:unreachable";
    assert_eq!(reach.rows().await, [row]);
    assert_eq!(reach.sent(), [1, 0, 0]);
}

#[tokio::test]
async fn the_lane_of_push_messages_stops_when_fcm_asks_to_wait() {
    let reach = Reach::by(&["push>email"]).await;
    reach.fcm.answer(|_| fcm_endpoint::Answer::Later(600));
    for _ in 0..60 {
        reach.booking().await;
    }
    let summary = reach.run().await;
    let tried = reach.fcm.requests().len();
    // As many as were under way.
    assert!((1..40).contains(&tried), "{tried}");
    assert_eq!(summary["reminders"]["retrying"], tried, "{summary}");
    let untried = "SELECT count(*) FROM booking_automation_events
                    WHERE event_type = 'reminder_sent' AND status = 'pending' AND attempts = 0";
    let untried: i64 = reach.app.one(untried, &[]).await.get(0);
    assert_eq!(untried, 60 - i64::try_from(tried).unwrap());
    // The channel is not held, and the next call goes on.
    reach.fcm.answer(|_| fcm_endpoint::Answer::Sent);
    reach.run().await;
    assert_eq!(reach.sent(), [0, 0, 60 - tried]);
}
