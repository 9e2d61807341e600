//! Chains under every combination of two faults: of two channels, and of two answers of one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use uuid::Uuid;

use crate::app::{hours, noon};
use crate::channels::Reach;
use crate::{fcm_endpoint, sms_endpoint};

/// More calls than a message has attempts by all its channels.
const CALLS: usize = 10;

/// What happens to a message by the first channel. Devices have these names.
const OF_PUSH: [&str; 8] = [
    "accepted",
    "no_address",
    "not_chosen",
    "no_device",
    "other_sender",
    "throttled",
    "unknown",
    "unknown once",
];
/// What happens by the second one. Numbers end with the place in this list.
const OF_SMS: [&str; 10] = [
    "accepted",
    "no_address",
    "not_chosen",
    "not_agreed",
    "suppressed",
    "over_limit",
    "number_opted_out",
    "too_expensive",
    "throttled",
    "unknown",
];

/// A customer with a booking whose message meets these two.
async fn booking(reach: &mut Reach, push: &str, sms: &str) -> Uuid {
    let of = |list: &[&str], fault| list.iter().position(|it| *it == fault).unwrap();
    let (of_push, of_sms) = (of(&OF_PUSH, push), of(&OF_SMS, sms));
    let email = format!("carla-{of_push}-{of_sms}@customers.example");
    let person = reach.app.person("Carla", Some(&email), "UTC").await;
    let number = format!("+4366412345{of_push}{of_sms}");
    let phone = (sms != "no_address").then_some(&*number);
    reach.choose(person, phone, sms != "not_agreed").await;
    let mut chosen = vec!["push", "sms", "email"];
    chosen.retain(|channel| match *channel {
        "push" => push != "not_chosen",
        "sms" => sms != "not_chosen",
        _ => true,
    });
    let sql = "UPDATE booking_automation_preferences SET channels = $2 WHERE person_id = $1";
    reach.app.sql(sql, &[&person.to_string(), &chosen]).await;
    if push != "no_address" {
        reach.add_device(person, &format!("{push}, {of_sms}")).await;
    }
    let before = match sms {
        "suppressed" => {
            "INSERT INTO booking_automation_suppressions (address_hash, reason, message_id)
             SELECT booking_automation_address_hash(inner_key, outer_key, $1), 'complained', 'x'
               FROM booking_automation_hash_key"
        }
        "over_limit" => {
            "INSERT INTO booking_automation_sms (event_id, address_hash, claimed_at)
             SELECT gen_random_uuid(), booking_automation_address_hash(inner_key, outer_key, $1), now()
               FROM booking_automation_hash_key, generate_series(1, 5)"
        }
        _ => "SELECT $1::text",
    };
    reach.app.db.execute(before, &[&number]).await.unwrap();
    reach.app.customer = person;
    reach.app.confirmed(noon() + hours(24)).await
}

/// The row of a message that meets these two.
fn row_after(push: &str, sms: &str) -> String {
    let end = |channel: &str, fault: &str| match fault {
        "accepted" => Some(format!("{channel}completed 1")),
        "unknown once" => Some(format!("{channel}completed 2")),
        "unknown" => Some(format!("{channel}failed unknown 5")),
        _ => None,
    };
    let by_sms = || end("by sms ", sms).map(|row| format!("{row} push:{push}"));
    let row = end("", push).or_else(by_sms);
    row.unwrap_or_else(|| format!("by email completed 1 push:{push} sms:{sms}"))
}

#[tokio::test]
async fn every_pair_of_faults_of_two_channels_has_its_row() {
    let mut reach = Reach::by(&["push>sms>email"]).await;
    let seen: Mutex<BTreeMap<String, usize>> = Mutex::default();
    reach.fcm.answer(move |message| {
        let (fault, _) = message.token().split_once(',').unwrap();
        match fault {
            "no_device" => fcm_endpoint::Answer::UNREGISTERED,
            "other_sender" => fcm_endpoint::Answer::OTHER_SENDER,
            "throttled" => fcm_endpoint::Answer::THROTTLED,
            "unknown" => fcm_endpoint::Answer::UNKNOWN,
            "unknown once" => {
                let mut seen = seen.lock().unwrap();
                let times = seen.entry(message.token().to_owned()).or_default();
                *times += 1;
                match times {
                    1 => fcm_endpoint::Answer::UNKNOWN,
                    _ => fcm_endpoint::Answer::Sent,
                }
            }
            _ => fcm_endpoint::Answer::Sent,
        }
    });
    reach.sms.answer(|message| {
        let place = message.to()[message.to().len() - 1..].parse::<usize>();
        match OF_SMS[place.unwrap()] {
            "number_opted_out" => sms_endpoint::Answer::OPTED_OUT,
            "too_expensive" => {
                sms_endpoint::Answer::Error(400, "ValidationException", "PRICE_OVER_THRESHOLD")
            }
            "throttled" => sms_endpoint::Answer::THROTTLED,
            "unknown" => sms_endpoint::Answer::Reset,
            _ => sms_endpoint::Answer::Sent,
        }
    });
    let mut expected = BTreeMap::new();
    for push in OF_PUSH {
        for sms in OF_SMS {
            let id = booking(&mut reach, push, sms).await;
            expected.insert(id, (format!("{push}, {sms}"), row_after(push, sms)));
        }
    }
    for _ in 0..CALLS {
        reach.run_again(noon()).await;
    }
    let rows = reach.app.db.query(
        "SELECT booking_id, concat_ws(' ', 'by ' || via, status, reason, attempts,
                (SELECT string_agg(step ->> 'channel' || ':' || (step ->> 'reason'), ' ' ORDER BY n)
                   FROM jsonb_array_elements(event_data -> 'chain') WITH ORDINALITY AS steps (step, n)))
           FROM booking_automation_events WHERE event_type = 'reminder_sent'",
        &[],
    );
    let rows = rows.await.unwrap();
    assert_eq!(rows.len(), OF_PUSH.len() * OF_SMS.len());
    for row in rows {
        let (pair, expected) = &expected[&row.get(0)];
        assert_eq!(row.get::<_, &str>(1), expected, "{pair}");
    }
    assert_one_channel_each(&reach);
}

/// Each message was sent, or may have been, by exactly one channel.
fn assert_one_channel_each(reach: &Reach) {
    let doubtful = |it: &fcm_endpoint::PushMessage| it.token().starts_with("unknown");
    let mails = reach
        .app
        .ses
        .mails()
        .iter()
        .map(|it| it.event_id().to_owned())
        .collect();
    let sms = reach
        .sms
        .accepted()
        .iter()
        .map(|it| it.event_id().to_owned())
        .collect();
    let push = (reach.fcm.accepted().iter())
        .chain(reach.fcm.requests().iter().filter(|it| doubtful(it)))
        .map(|it| it.event_id().to_owned())
        .collect();
    let by_channel: [BTreeSet<String>; 3] = [mails, sms, push];
    let all: BTreeSet<_> = by_channel.iter().flatten().collect();
    let count = by_channel.iter().map(BTreeSet::len).sum::<usize>();
    assert_eq!(all.len(), count, "a message went by two channels");
    assert_eq!(all.len(), OF_PUSH.len() * OF_SMS.len());
}

#[tokio::test]
async fn every_pair_of_answers_of_one_channel_has_its_row() {
    let answers = [
        ("throttled", sms_endpoint::Answer::THROTTLED),
        ("unknown", sms_endpoint::Answer::Reset),
        ("number_opted_out", sms_endpoint::Answer::OPTED_OUT),
    ];
    for (first, first_answer) in &answers {
        for (second, second_answer) in &answers {
            let (row, sent) = match (*first, *second) {
                ("number_opted_out", _) | ("throttled", "number_opted_out") => {
                    ("by email completed 1 sms:number_opted_out", [1, 0, 0])
                }
                ("unknown", "number_opted_out") => ("failed number_opted_out 2", [0, 1, 0]),
                ("throttled", "throttled") => ("completed 3", [0, 1, 0]),
                ("unknown", "unknown") => ("completed 3", [0, 3, 0]),
                _ => ("completed 3", [0, 2, 0]),
            };
            let reach = Reach::by(&["sms>email"]).await;
            let script = Mutex::new(vec![second_answer.clone(), first_answer.clone()]);
            let next = move |_: &_| script.lock().unwrap().pop();
            (reach.sms).answer(move |it| next(it).unwrap_or(sms_endpoint::Answer::Sent));
            reach.booking().await;
            for _ in 0..4 {
                reach.run_again(noon()).await;
            }
            let pair = format!("{first}, {second}");
            assert_eq!(reach.rows().await, [format!("sms>email {row}")], "{pair}");
            assert_eq!(reach.sent(), sent, "{pair}");
        }
    }
}
