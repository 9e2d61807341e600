//! Chains of channels of notices, digests, guests' messages and mails for several bookings.

use chrono::{DateTime, Utc};

use crate::app::{App, hours, minutes, noon};
use crate::channels::Reach;
use crate::notices::set_status;
use crate::{fcm_endpoint, ses, sms_endpoint};

/// An app without reminders, and with this rule of notices for customers.
async fn with_notice(name: &str, channels: &[&str]) -> Reach {
    let reach = Reach::by(&["email"]).await;
    let app = &reach.app;
    app.sql("UPDATE reminder_rules SET active = false", &[])
        .await;
    app.set_clock(noon() - hours(24)).await;
    let sql = "UPDATE booking_automation_notice_rules SET active = true, channels = $2 WHERE name = $1 AND audience = 'customer'";
    assert_eq!(app.sql(sql, &[&name, &channels]).await, 1);
    app.set_clock(noon()).await;
    reach
}

/// The notices and digests: `channels by the present one, status, reason, attempts`, and why its
/// earlier channels were left.
async fn notices(app: &App) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', channel, 'by ' || via, status, reason, attempts,
                      (SELECT string_agg(step ->> 'channel' || ':' || (step ->> 'reason'), ' ' ORDER BY n)
                         FROM jsonb_array_elements(event_data -> 'chain') WITH ORDINALITY AS steps (step, n)))
                 FROM booking_automation_events WHERE event_type = 'notification_sent' ORDER BY seq";
    app.column(sql, &[]).await
}

#[tokio::test]
async fn a_notice_goes_by_the_channels_of_its_rule() {
    for (change, row, sent) in [
        ("SELECT", "sms>email completed 1", [0, 1, 0]),
        (
            "UPDATE booking_automation_preferences SET phone = NULL",
            "sms>email by email completed 1 sms:no_address",
            [1, 0, 0],
        ),
        (
            "INSERT INTO booking_automation_opt_outs (person_id, kind) SELECT person_id, 'cancelled' FROM booking_automation_preferences",
            "sms>email skipped opted_out 0",
            [0, 0, 0],
        ),
    ] {
        let reach = with_notice("cancelled", &["sms>email"]).await;
        let id = reach.app.booking("confirmed", noon() + hours(72)).await;
        reach.app.db.batch_execute(change).await.unwrap();
        set_status(&reach.app, id, "cancelled").await;
        reach.app.run(noon() + minutes(1)).await;
        assert_eq!(notices(&reach.app).await, [row], "{change}");
        assert_eq!(reach.sent(), sent, "{change}");
        for message in reach.sms.accepted() {
            assert!(message.body().contains("canceled"), "{}", message.body());
        }
    }
}

#[tokio::test]
async fn what_was_told_of_a_change_by_one_channel_is_not_told_by_the_next() {
    let reach = with_notice("cancelled", &["sms>email"]).await;
    let id = reach.app.booking("confirmed", noon() + hours(72)).await;
    reach.sms.answer(|_| sms_endpoint::Answer::Reset);
    set_status(&reach.app, id, "cancelled").await;
    reach.app.run(noon() + minutes(1)).await;
    for minute in 2..8 {
        reach.run_again(noon() + minutes(minute)).await;
    }
    assert_eq!(notices(&reach.app).await, ["sms>email failed unknown 5"]);
    assert_eq!(reach.app.ses.mails().len(), 0);
}

/// 7:00 of Monday, March 2, in Vienna.
fn seven() -> DateTime<Utc> {
    "2026-03-02T06:00:00Z".parse().unwrap()
}

/// An app without reminders, and with a digest for providers at seven.
async fn with_digest(channels: &[&str]) -> Reach {
    let reach = Reach::by(&["email"]).await;
    let app = &reach.app;
    app.sql("UPDATE reminder_rules SET active = false", &[])
        .await;
    app.set_clock(noon() - hours(24)).await;
    let sql = "UPDATE booking_automation_digest_rules SET active = true, local_hour = 7, channels = $1 WHERE audience = 'provider'";
    assert_eq!(app.sql(sql, &[&channels]).await, 1);
    app.set_clock(noon()).await;
    app.confirmed(seven() + hours(3)).await;
    app.confirmed(seven() + hours(5)).await;
    reach
}

#[tokio::test]
async fn a_digest_goes_by_the_channels_of_its_rule() {
    let reach = with_digest(&["push>sms>email"]).await;
    reach
        .add_device(reach.app.provider, "device-of-petra")
        .await;
    reach.app.run(seven()).await;
    assert_eq!(notices(&reach.app).await, ["push>sms>email completed 1"]);
    let sent = reach.fcm.accepted();
    assert_eq!((sent.len(), sent[0].token()), (1, "device-of-petra"));
    // It is about no booking alone.
    assert!(sent[0].0["data"]["booking_id"].is_null(), "{:?}", sent[0]);

    let reach = with_digest(&["push>sms>email"]).await;
    reach
        .choose(reach.app.provider, Some("+436640000001"), true)
        .await;
    reach.app.run(seven()).await;
    let row = "push>sms>email by sms completed 1 push:no_address";
    assert_eq!(notices(&reach.app).await, [row]);
    assert_eq!(reach.sms.accepted()[0].to(), "+436640000001");

    let reach = with_digest(&["push>sms>email"]).await;
    reach.app.run(seven()).await;
    let row = "push>sms>email by email completed 1 push:no_address sms:no_address";
    assert_eq!(notices(&reach.app).await, [row]);
    assert_eq!(reach.sent(), [1, 0, 0]);
    // Nobody gets it again.
    reach.run_again(seven() + minutes(15)).await;
    assert_eq!(reach.sent(), [1, 0, 0]);
}

/// The view has a guest of each booking of a customer, with a number of theirs, or none.
pub const GUESTS: &str = "
    CREATE TABLE guests (recipient text, email text, phone text);
    GRANT SELECT ON guests TO PUBLIC;
    DO $$ BEGIN
        EXECUTE 'CREATE OR REPLACE VIEW booking_automation_contacts AS
                 WITH shipped AS (' || rtrim(pg_get_viewdef('booking_automation_contacts'::regclass), ';') || ')
                 SELECT s.booking_id, s.audience, g.email, g.recipient AS name, s.timezone, s.language, s.service, s.with_name, s.place,
                        s.meeting_link, s.is_online, s.place_timezone, g.recipient AS person_id, g.recipient, g.phone, true AS sms_allowed
                   FROM shipped s CROSS JOIN guests g WHERE s.audience = ''customer''
                  UNION ALL
                 SELECT shipped.*, NULL, NULL, NULL, NULL FROM shipped';
    END $$";

#[tokio::test]
async fn each_guest_has_a_channel_of_their_own() {
    let reach = Reach::by(&["sms>email"]).await;
    reach.app.db.batch_execute(GUESTS).await.unwrap();
    let sql = "INSERT INTO guests VALUES ('anna', 'anna@guests.example', '+43 664 1111111'), ('bruno', 'bruno@guests.example', NULL),
                                         ('clara', NULL, NULL)";
    reach.app.sql(sql, &[]).await;
    reach.booking().await;
    let summary = reach.run().await;
    assert_eq!(summary["reminders"]["sent"], 3, "{summary}");
    let mut rows = reach.rows().await;
    rows.sort();
    assert_eq!(
        rows,
        [
            "sms>email by email completed 1 sms:no_address",
            "sms>email by email skipped no_address 0 sms:no_address",
            "sms>email completed 1",
            "sms>email completed 1",
        ]
    );
    let mut numbers: Vec<_> = reach
        .sms
        .accepted()
        .iter()
        .map(|it| it.to().to_owned())
        .collect();
    numbers.sort();
    assert_eq!(numbers, ["+436641111111", "+436641234567"]);
    assert_eq!(reach.app.ses.mails()[0].to(), "bruno@guests.example");
}

#[tokio::test]
async fn guests_get_their_messages_although_the_first_recipient_moves_on() {
    let reach = Reach::by(&["sms>email"]).await;
    reach.app.db.batch_execute(GUESTS).await.unwrap();
    let sql = "INSERT INTO guests VALUES ('anna', 'anna@guests.example', '+43 664 1111111')";
    reach.app.sql(sql, &[]).await;
    let sql = "UPDATE booking_automation_preferences SET phone = NULL";
    reach.app.sql(sql, &[]).await;
    reach.booking().await;
    reach.run().await;
    let mut rows = reach.rows().await;
    rows.sort();
    let expected = [
        "sms>email by email completed 1 sms:no_address",
        "sms>email completed 1",
    ];
    assert_eq!(rows, expected);
    assert_eq!(reach.sent(), [1, 1, 0]);
}

/// Two bookings of a customer on one day, whose reminders may share a mail.
pub async fn two_on_one_day(channels: &str) -> Reach {
    let reach = Reach::by(&[channels]).await;
    let sql = "UPDATE reminder_rules SET group_within = '12 hours' WHERE name = '24h'";
    reach.app.sql(sql, &[]).await;
    for ahead in [24, 25] {
        reach.app.confirmed(noon() + hours(ahead)).await;
    }
    reach
}

#[tokio::test]
async fn a_mail_for_several_bookings_that_is_refused_becomes_a_message_for_each() {
    let reach = two_on_one_day("email>sms").await;
    reach
        .app
        .ses
        .answer(|_| ses::Answer::Error(400, "MessageRejected", "no"));
    reach.run().await;
    let row = "email>sms by sms completed 1 email:rejected";
    assert_eq!(reach.rows().await, [row, row]);
    assert_eq!(
        (reach.app.ses.mails().len(), reach.sms.accepted().len()),
        (1, 2)
    );
}

#[tokio::test]
async fn sms_and_push_messages_are_not_grouped_and_leave_at_their_own_times() {
    let reach = two_on_one_day("push>sms").await;
    reach.run().await;
    assert_eq!(reach.sent(), [0, 0, 1]);
    reach.fcm.answer(|_| fcm_endpoint::Answer::OTHER_SENDER);
    reach.app.run(noon() + minutes(59)).await;
    assert_eq!(reach.sent(), [0, 0, 1]);
    // The wait is by the real clock.
    reach.run_again(noon() + minutes(61)).await;
    let rows = [
        "push>sms completed 1",
        "push>sms by sms completed 1 push:other_sender",
    ];
    assert_eq!(reach.rows().await, rows);
    assert_eq!(reach.sent(), [0, 1, 1]);
}
