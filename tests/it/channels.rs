//! SMS and push messages: what leaves by each channel, what each answer means, and which devices get
//! a message. Chains of channels are in chains.rs.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, hours, noon};
use crate::fcm_endpoint::{self, Fcm, PushMessage};
use crate::sms_endpoint::{self, Sms};

/// The customer's number.
pub const NUMBER: &str = "+436641234567";
/// The customer's device.
pub const DEVICE: &str = "device-of-carla";

/// An app with all channels, and a customer who can be reached by each.
pub struct Reach {
    /// The program.
    pub app: App,
    /// Where SMS go.
    pub sms: Sms,
    /// Where push messages go.
    pub fcm: Fcm,
}

impl Reach {
    /// Creates an app with all channels. The 24-hour reminder is the only rule, and goes by these
    /// channels or chains.
    pub async fn by(channels: &[&str]) -> Self {
        let mut app = App::new().await;
        let (sms, fcm) = (Sms::start().await, Fcm::start().await);
        sms.set_up(&mut app);
        fcm.set_up(&mut app);
        let sql = "UPDATE reminder_rules SET active = false WHERE name <> '24h'";
        app.sql(sql, &[]).await;
        let reach = Self { app, sms, fcm };
        reach.set_channels("24h", channels).await;
        reach.choose(reach.app.customer, Some(NUMBER), true).await;
        reach.add_device(reach.app.customer, DEVICE).await;
        reach
    }

    /// Switches a rule on, with these channels. It is as if it had been so for years.
    pub async fn set_channels(&self, rule: &str, channels: &[&str]) {
        let sql = "UPDATE reminder_rules SET channels = $2, active = true WHERE name = $1";
        self.app.sql(sql, &[&rule, &channels]).await;
        let sql = "UPDATE reminder_rules SET effective_from = '2020-01-01' WHERE name = $1";
        self.app.sql(sql, &[&rule]).await;
    }

    /// What a person has chosen.
    pub async fn choose(&self, person: Uuid, phone: Option<&str>, sms_allowed: bool) {
        let sql = "INSERT INTO booking_automation_preferences (person_id, phone, sms_allowed) VALUES ($1, $2, $3)";
        let person = person.to_string();
        self.app.sql(sql, &[&person, &phone, &sms_allowed]).await;
    }

    /// A person's device. A later one is newer.
    pub async fn add_device(&self, person: Uuid, token: &str) {
        let sql = "INSERT INTO booking_automation_push_tokens (person_id, token, seen_at) VALUES ($1, $2, clock_timestamp())";
        self.app.sql(sql, &[&person.to_string(), &token]).await;
    }

    /// The devices that are known.
    pub async fn devices(&self) -> Vec<String> {
        let sql = "SELECT token FROM booking_automation_push_tokens ORDER BY seen_at";
        self.app.column(sql, &[]).await
    }

    /// The customer's booking whose reminder is due at noon.
    pub async fn booking(&self) -> Uuid {
        self.app.confirmed(noon() + hours(24)).await
    }

    /// Runs at noon.
    pub async fn run(&self) -> Value {
        self.run_at(noon()).await
    }

    /// Runs at this time.
    async fn run_at(&self, at: DateTime<Utc>) -> Value {
        let said = self.app.call(&["run", "--as-of", &at.to_rfc3339()]).await;
        said.summary()
    }

    /// Ends all waits, and runs at this time.
    pub async fn run_again(&self, at: DateTime<Utc>) -> Value {
        self.app.make_claimable().await;
        self.run_at(at).await
    }

    /// How many messages were accepted: mails, SMS and push messages. All mails count.
    pub fn sent(&self) -> [usize; 3] {
        let (sms, push) = (self.sms.accepted().len(), self.fcm.accepted().len());
        [self.app.ses.mails().len(), sms, push]
    }

    /// The reminders: `channels by the present one, status, reason, attempts`, and why its earlier
    /// channels were left.
    pub async fn rows(&self) -> Vec<String> {
        let sql = "SELECT concat_ws(' ', channel, 'by ' || via, status, reason, attempts,
                          (SELECT string_agg(step ->> 'channel' || ':' || (step ->> 'reason'), ' ' ORDER BY n)
                             FROM jsonb_array_elements(event_data -> 'chain') WITH ORDINALITY AS steps (step, n)))
                     FROM booking_automation_events
                    WHERE event_type IN ('reminder_sent', 'guest_reminder_sent') ORDER BY scheduled_at, seq";
        self.app.column(sql, &[]).await
    }

    /// The outcomes of all attempts at the only message.
    pub async fn attempts(&self) -> Vec<String> {
        let sql = "SELECT attempt ->> 'outcome' FROM booking_automation_events,
                          jsonb_array_elements(event_data -> 'attempts') WITH ORDINALITY AS attempts (attempt, n)
                    WHERE event_type = 'reminder_sent' ORDER BY n";
        self.app.column(sql, &[]).await
    }

    /// The id of the only reminder.
    pub async fn event_id(&self) -> String {
        let sql =
            "SELECT id::text FROM booking_automation_events WHERE event_type = 'reminder_sent'";
        self.app.one(sql, &[]).await.get(0)
    }
}

#[tokio::test]
async fn a_reminder_by_sms_says_all_in_one_sentence_and_expires_with_the_start() {
    let reach = Reach::by(&["sms"]).await;
    let id = reach.booking().await;
    let summary = reach.run().await;
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    assert_eq!(summary["reminders"]["due"], 1, "{summary}");
    assert_eq!(reach.rows().await, ["sms completed 1"]);
    assert_eq!(reach.sent(), [0, 1, 0]);
    let message = &reach.sms.accepted()[0];
    assert_eq!(message.to(), NUMBER);
    assert_eq!(message.event_id(), reach.event_id().await);
    assert_expires_before(&message.0["TimeToLive"], 24 * 3600);
    assert_eq!(message.0["OriginationIdentity"], "STUDIO");
    let body = message.body();
    assert!(body.contains("Massage") && !body.contains('\n'), "{body}");
    // One segment of the GSM 7-bit alphabet.
    assert!(body.is_ascii() && body.len() <= 160, "{body}");
    let sql = "SELECT concat_ws(' ', message_id, reminder_24h_sent)
                 FROM booking_automation_events e JOIN bookings b ON b.id = e.booking_id WHERE event_type = 'reminder_sent'";
    assert_eq!(reach.app.column(sql, &[]).await, ["sms-1 t"]);
    // Nothing else is sent.
    reach.run_again(noon() + hours(1)).await;
    assert_eq!(reach.sent(), [0, 1, 0]);
    assert_eq!(reach.app.reminders(id).await, ["24h completed"]);
}

/// Checks that a message expires a second or more before the start, which is so many seconds away.
fn assert_expires_before(seconds: &Value, start: u64) {
    let seconds = seconds.as_u64().unwrap();
    assert!(
        (start - 9..start).contains(&seconds),
        "{seconds} of {start}"
    );
}

fn assert_push_expires_before(message: &PushMessage, start: u64) {
    let ttl = message.0["android"]["ttl"].as_str().unwrap();
    let seconds: u64 = ttl.strip_suffix('s').unwrap().parse().unwrap();
    assert_expires_before(&json!(seconds), start);
}

#[tokio::test]
async fn an_sms_that_would_arrive_after_the_start_is_not_sent() {
    let reach = Reach::by(&["sms"]).await;
    reach.booking().await;
    let start = noon() + hours(24);
    let summary = reach.run_at(start - Duration::milliseconds(5_500)).await;
    assert_eq!(summary["reminders"]["failed"], 0, "{summary}");
    assert_eq!(reach.rows().await, ["sms pending 0"]);
    // It is not claimed over and over again.
    let wait = "SELECT claim = 1 AND next_attempt_at > now() + interval '1 second'
                  FROM booking_automation_events WHERE event_type = 'reminder_sent'";
    assert!(reach.app.one(wait, &[]).await.get::<_, bool>(0));
    reach.run_again(start).await;
    assert_eq!(reach.rows().await, ["sms skipped started 0"]);
    assert!(reach.sms.requests().is_empty());
}

#[tokio::test]
async fn a_digest_expires_with_the_last_start_of_the_day() {
    let reach = Reach::by(&[]).await;
    let early = noon() - hours(24);
    reach.app.set_clock(early).await;
    let sql = "UPDATE booking_automation_digest_rules
                  SET active = true, local_hour = 13, channels = '{sms,push}' WHERE audience = 'customer'";
    assert_eq!(reach.app.sql(sql, &[]).await, 1);
    reach.app.set_clock(noon()).await;
    for hour in [20, 25, 22] {
        reach.app.confirmed(noon() + hours(hour)).await;
    }
    reach.run().await;
    let (sms, push) = (reach.sms.accepted(), reach.fcm.accepted());
    assert_eq!((sms.len(), push.len()), (1, 1));
    assert_expires_before(&sms[0].0["TimeToLive"], 25 * 3600);
    assert_push_expires_before(&push[0], 25 * 3600);
}

#[tokio::test]
async fn a_device_that_does_not_answer_leaves_the_others_their_message() {
    let mut reach = Reach::by(&["push"]).await;
    reach.app.env.insert("TEST_TIME_DIVISOR", "4".to_owned());
    for device in ["silent", "gone"] {
        reach.add_device(reach.app.customer, device).await;
    }
    reach.fcm.answer(|message| match message.token() {
        "silent" => fcm_endpoint::Answer::Silence,
        "gone" => fcm_endpoint::Answer::UNREGISTERED,
        _ => fcm_endpoint::Answer::Sent,
    });
    reach.booking().await;
    reach.run().await;
    assert_eq!(reach.rows().await, ["push completed 1"]);
    assert_eq!(reach.devices().await, [DEVICE, "silent"]);
}

#[tokio::test]
async fn a_reminder_by_push_goes_to_the_device_with_one_access_token() {
    let reach = Reach::by(&["push"]).await;
    reach.booking().await;
    let other = reach.app.confirmed(noon() + hours(23)).await;
    let summary = reach.run().await;
    assert_eq!(summary["reminders"]["sent"], 2, "{summary}");
    assert_eq!(reach.rows().await, ["push completed 1", "push completed 1"]);
    assert_eq!(reach.sent(), [0, 0, 2]);
    assert_eq!(reach.fcm.tokens_given(), 1);
    let sent = reach.fcm.accepted();
    assert!(sent.iter().all(|message| message.token() == DEVICE));
    let of_other = sent
        .iter()
        .find(|message| message.0["data"]["booking_id"] == json!(other));
    let message = of_other.unwrap();
    assert!(message.body().contains("Massage"), "{message:?}");
    assert_push_expires_before(message, 23 * 3600);
    let sql = "SELECT message_id FROM booking_automation_events WHERE id::text = $1";
    let recorded = reach.app.column(sql, &[&message.event_id()]).await;
    assert!(
        recorded[0].starts_with("projects/studio-nord/messages/"),
        "{recorded:?}"
    );
}

#[tokio::test]
async fn several_channels_of_a_rule_do_not_depend_on_each_other() {
    let reach = Reach::by(&["email", "sms", "push"]).await;
    reach.booking().await;
    reach.sms.answer(|_| sms_endpoint::Answer::OPTED_OUT);
    reach.fcm.answer(|_| fcm_endpoint::Answer::THROTTLED);
    let summary = reach.run().await;
    let reminders = &summary["reminders"];
    for told in ["sent", "failed", "retrying"] {
        assert_eq!(reminders[told], 1, "{summary}");
    }
    let mut rows = reach.rows().await;
    rows.sort();
    let expected = [
        "email completed 1",
        "push pending throttled 1",
        "sms failed number_opted_out 1",
    ];
    assert_eq!(rows, expected);
    assert_eq!(summary["backlog"]["pending"], 1, "{summary}");
    reach.fcm.answer(|_| fcm_endpoint::Answer::Sent);
    reach.run_again(noon()).await;
    assert_eq!(reach.sent(), [1, 0, 1]);
}

#[tokio::test]
async fn a_person_who_can_not_be_reached_by_a_channel_is_not_sent_to_and_the_row_says_why() {
    let reach = Reach::by(&["sms", "push"]).await;
    let stranger = reach
        .app
        .person("Sam", Some("sam@customers.example"), "UTC")
        .await;
    let id = reach.booking().await;
    let sql = "UPDATE bookings SET customer_id = $2 WHERE id = $1";
    reach.app.sql(sql, &[&id, &stranger]).await;
    let summary = reach.run().await;
    assert_eq!(summary["reminders"]["skipped"], 2, "{summary}");
    let mut rows = reach.rows().await;
    rows.sort();
    assert_eq!(
        rows,
        ["push skipped no_address 0", "sms skipped no_address 0"]
    );
    assert_eq!(reach.sent(), [0, 0, 0]);
}

/// The answers of SMS v2: status, code, reason; the row's status, reason and attempts.
const SMS_ANSWERS: [(u16, &str, &str, &str); 12] = {
    const CONFLICT: &str = "ConflictException";
    const VALIDATION: &str = "ValidationException";
    const DENIED: &str = "AccessDeniedException";
    const BLOCKED: &str = "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION";
    const SPENT: &str = "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT";
    [
        (
            400,
            CONFLICT,
            "DESTINATION_PHONE_NUMBER_OPTED_OUT",
            "failed number_opted_out 1",
        ),
        (
            400,
            CONFLICT,
            "DESTINATION_PHONE_NUMBER_NOT_VERIFIED",
            "pending account 0",
        ),
        (400, CONFLICT, BLOCKED, "failed number_blocked 1"),
        (
            400,
            VALIDATION,
            "COUNTRY_NOT_ENABLED",
            "failed country_off 1",
        ),
        (
            400,
            VALIDATION,
            "PRICE_OVER_THRESHOLD",
            "failed too_expensive 1",
        ),
        (400, "ThrottlingException", "", "pending throttled 1"),
        (
            400,
            "ServiceQuotaExceededException",
            SPENT,
            "pending quota 0",
        ),
        (400, DENIED, "ACCOUNT_DISABLED", "pending account 0"),
        (
            400,
            DENIED,
            "INSUFFICIENT_ACCOUNT_REPUTATION",
            "pending account 0",
        ),
        (403, "InvalidSignatureException", "", "pending account 0"),
        (500, "InternalServerException", "", "pending unknown 1"),
        (502, "", "", "pending unknown 1"),
    ]
};

/// The answers of FCM: status, name, code; the row's status, reason and attempts.
const FCM_ANSWERS: [(u16, &str, &str, &str); 9] = [
    (404, "NOT_FOUND", "UNREGISTERED", "failed no_device 1"),
    (404, "NOT_FOUND", "", "pending account 0"),
    (
        400,
        "INVALID_ARGUMENT",
        "INVALID_ARGUMENT",
        "failed rejected 1",
    ),
    (
        403,
        "PERMISSION_DENIED",
        "SENDER_ID_MISMATCH",
        "failed other_sender 1",
    ),
    (
        401,
        "UNAUTHENTICATED",
        "THIRD_PARTY_AUTH_ERROR",
        "pending account 0",
    ),
    (
        429,
        "RESOURCE_EXHAUSTED",
        "QUOTA_EXCEEDED",
        "pending throttled 1",
    ),
    (503, "UNAVAILABLE", "UNAVAILABLE", "pending throttled 1"),
    (500, "INTERNAL", "INTERNAL", "pending unknown 1"),
    (502, "", "", "pending unknown 1"),
];

/// Sends one message by a channel that answers so.
async fn assert_answer(
    channel: &str,
    (status, code, why, expected): (u16, &'static str, &'static str, &str),
) {
    let reach = Reach::by(&[channel]).await;
    reach.booking().await;
    reach
        .sms
        .answer(move |_| sms_endpoint::Answer::Error(status, code, why));
    reach
        .fcm
        .answer(move |_| fcm_endpoint::Answer::Error(status, code, why));
    let said = reach
        .app
        .call(&["run", "--as-of", &noon().to_rfc3339()])
        .await;
    let case = format!("{channel} {status} {code} {why}: {}", said.stderr);
    assert_eq!(
        reach.rows().await,
        [format!("{channel} {expected}")],
        "{case}"
    );
    assert_eq!(
        reach.sms.requests().len() + reach.fcm.requests().len(),
        1,
        "{case}"
    );
    let is_held = ["account", "quota"].iter().any(|it| expected.contains(it));
    assert_eq!(said.summary()["held_back"].is_string(), is_held, "{case}");
    assert_eq!(said.stderr.contains("ERROR"), is_held, "{case}");
    let sql = "SELECT held_reason IS NOT NULL FROM booking_automation_channels WHERE channel = $1";
    assert_eq!(
        reach.app.one(sql, &[&channel]).await.get::<_, bool>(0),
        is_held,
        "{case}"
    );
    // A device is forgotten only where FCM says that the app is gone.
    let known: &[&str] = if why == "UNREGISTERED" {
        &[]
    } else {
        &[DEVICE]
    };
    assert_eq!(reach.devices().await, known, "{case}");
    // Numbers and tokens are neither logged nor recorded.
    let recorded = reach
        .app
        .column(
            "SELECT row_to_json(e)::text FROM booking_automation_events e",
            &[],
        )
        .await;
    for text in recorded.iter().chain([&said.stderr]) {
        assert!(
            !text.contains("6641234567") && !text.contains(DEVICE),
            "{text}"
        );
    }
}

#[tokio::test]
async fn every_answer_of_the_sms_api_has_its_outcome() {
    let lines = SMS_ANSWERS.map(|line| assert_answer("sms", line));
    stream::iter(lines)
        .buffer_unordered(2)
        .collect::<Vec<()>>()
        .await;
}

#[tokio::test]
async fn every_answer_of_fcm_has_its_outcome() {
    let lines = FCM_ANSWERS.map(|line| assert_answer("push", line));
    stream::iter(lines)
        .buffer_unordered(2)
        .collect::<Vec<()>>()
        .await;
}

#[tokio::test]
async fn credentials_that_the_endpoint_refuses_hold_the_channel() {
    let mut reach = Reach::by(&["sms", "push"]).await;
    reach
        .app
        .env
        .insert("AWS_SECRET_ACCESS_KEY", "another".to_owned());
    let credentials = reach.app.env["FCM_CREDENTIALS"].replace("sender@", "stranger@");
    reach.app.env.insert("FCM_CREDENTIALS", credentials);
    reach.booking().await;
    let summary = reach.run().await;
    assert_eq!(summary["held_back"], "account", "{summary}");
    assert_eq!(summary["reminders"]["deferred"], 2, "{summary}");
    let mut rows = reach.rows().await;
    rows.sort();
    assert_eq!(rows, ["push pending account 0", "sms pending account 0"]);
    assert_eq!(reach.sms.requests().len() + reach.fcm.requests().len(), 0);
}

/// Devices of a person, with FCM's answers; the row's status, reason and attempts.
const DEVICES: [(&[(&str, fcm_endpoint::Answer)], &str); 5] = {
    use fcm_endpoint::Answer;
    [
        (
            &[
                ("gone", Answer::UNREGISTERED),
                ("kept", Answer::Sent),
                ("other", Answer::OTHER_SENDER),
            ],
            "completed 1",
        ),
        (
            &[("slow", Answer::THROTTLED), ("kept", Answer::Sent)],
            "completed 1",
        ),
        (
            &[("gone", Answer::UNREGISTERED), ("slow", Answer::THROTTLED)],
            "pending throttled 1",
        ),
        (
            &[("lost", Answer::UNKNOWN), ("slow", Answer::THROTTLED)],
            "pending unknown 1",
        ),
        (
            &[
                ("gone-1", Answer::UNREGISTERED),
                ("gone-2", Answer::UNREGISTERED),
            ],
            "failed no_device 1",
        ),
    ]
};

#[tokio::test]
async fn several_devices_are_one_message_and_only_those_that_are_gone_are_forgotten() {
    for (devices, expected) in DEVICES {
        let reach = Reach::by(&["push"]).await;
        reach
            .app
            .sql("DELETE FROM booking_automation_push_tokens", &[])
            .await;
        for (token, _) in devices {
            reach.add_device(reach.app.customer, token).await;
        }
        reach.fcm.answer(|message| {
            let known = DEVICES.iter().flat_map(|(devices, _)| devices.iter());
            let mut of_token = known.filter(|(token, _)| *token == message.token());
            of_token.next().unwrap().1.clone()
        });
        reach.booking().await;
        let summary = reach.run().await;
        assert_eq!(summary["reminders"]["due"], 1, "{summary}");
        assert_eq!(reach.rows().await, [format!("push {expected}")]);
        let sent: BTreeSet<_> = reach
            .fcm
            .requests()
            .iter()
            .map(|it| it.token().to_owned())
            .collect();
        assert_eq!(sent.len(), devices.len(), "each device once");
        assert_eq!(reach.fcm.requests().len(), devices.len());
        let mut known: Vec<_> = devices.iter().map(|(token, _)| *token).collect();
        known.retain(|token| !token.starts_with("gone"));
        assert_eq!(reach.devices().await, known);
    }
}

#[tokio::test]
async fn a_device_that_changes_hands_gets_the_messages_of_its_owner_alone() {
    let reach = Reach::by(&["push"]).await;
    let heir = reach
        .app
        .person("Hanna", Some("hanna@customers.example"), "UTC")
        .await;
    let sql = "UPDATE booking_automation_push_tokens SET person_id = $1";
    reach.app.sql(sql, &[&heir.to_string()]).await;
    reach.booking().await;
    let of_heir = reach.app.confirmed(noon() + hours(23)).await;
    let sql = "UPDATE bookings SET customer_id = $2 WHERE id = $1";
    reach.app.sql(sql, &[&of_heir, &heir]).await;
    reach.run().await;
    let sent = reach.fcm.accepted();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0["data"]["booking_id"], json!(of_heir));
    let mut rows = reach.rows().await;
    rows.sort();
    assert_eq!(rows, ["push completed 1", "push skipped no_address 0"]);
}

#[tokio::test]
async fn a_person_gets_so_many_sms_in_a_day_the_most_urgent_first() {
    let mut reach = Reach::by(&["sms>email"]).await;
    reach.app.env.insert("SMS_PER_PERSON", "2".to_owned());
    for ahead in [24, 20, 22] {
        reach.app.confirmed(noon() + hours(ahead)).await;
    }
    let summary = reach.run().await;
    assert_eq!(summary["reminders"]["sent"], 3, "{summary}");
    let rows = [
        "sms>email completed 1",
        "sms>email completed 1",
        "sms>email by email completed 1 sms:over_limit",
    ];
    assert_eq!(reach.rows().await, rows);
    assert_eq!(reach.sent(), [1, 2, 0]);
    // A day later, there are others.
    reach
        .app
        .sql(
            "UPDATE booking_automation_sms SET claimed_at = now() - interval '25 hours'",
            &[],
        )
        .await;
    reach.app.confirmed(noon() + hours(24)).await;
    reach.run().await;
    assert_eq!(reach.sent(), [1, 3, 0]);
    // No number is stored.
    let stored = reach
        .app
        .column(
            "SELECT row_to_json(s)::text FROM booking_automation_sms s",
            &[],
        )
        .await;
    assert_eq!(stored.len(), 3);
    assert!(!stored.join(" ").contains("6641234567"), "{stored:?}");
}
