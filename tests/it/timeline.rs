//! The timeline of a booking: why a reminder was or was not sent.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, hours, minutes, noon};
use crate::ses::Answer;
use crate::status::{ask, support};

async fn fetch_timeline(app: &mut App, id: Uuid, as_of: DateTime<Utc>) -> Value {
    let server = support(app, as_of).await;
    let answer = ask(
        &server,
        "GET",
        &format!("/bookings/{id}/timeline"),
        &[],
        b"",
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// The sentences of the past (`happened`) or the planned (`planned`) entries.
fn sentences(timeline: &Value, which: &str) -> Vec<String> {
    timeline[which]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["text"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_normal_booking_lists_past_and_planned_entries() {
    let mut app = App::new().await;
    let id = app.confirmed(noon() + hours(23)).await;
    app.run(noon()).await;

    let told = fetch_timeline(&mut app, id, noon()).await;
    assert_eq!(
        sentences(&told, "happened"),
        ["The 24h reminder to the customer by email was sent."]
    );
    assert_eq!(
        sentences(&told, "planned"),
        [
            "The 1h reminder to the customer by email will be sent.",
            "The 15m reminder to the customer by email will be sent.",
            "The automation changes the status to in_progress.",
            "The automation changes the status to completed.",
        ]
    );
    let sent = &told["happened"][0];
    assert_eq!(
        (&sent["kind"], &sent["rule"], &sent["status"]),
        (&json!("message"), &json!("24h"), &json!("completed"))
    );
    assert_eq!(sent["due_at"], "2026-03-01T11:00:00Z");
    assert_eq!(
        (
            &sent["message_id"],
            sent["attempts"].as_array().unwrap().len()
        ),
        (&json!("message-1"), 1)
    );
    let times: Vec<_> = told["planned"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["at"].as_str().unwrap())
        .collect();
    assert_eq!(
        times,
        [
            "2026-03-02T10:00:00Z",
            "2026-03-02T10:45:00Z",
            "2026-03-02T11:00:00Z",
            "2026-03-02T12:00:00Z"
        ]
    );
    assert_eq!(
        told["booking"],
        json!({"status": "confirmed", "starts_at": "2026-03-02T11:00:00Z", "ends_at": "2026-03-02T12:00:00Z", "automation_blocked": false})
    );
}

#[tokio::test]
async fn a_move_of_the_start_is_in_the_trail_and_the_timeline() {
    let mut app = App::new().await;
    let (at_first, later) = (noon() + hours(48), noon() + hours(50));
    let id = app.booking("pending", at_first).await;
    let move_to = "UPDATE bookings SET scheduled_at = $2 WHERE id = $1";
    app.db
        .batch_execute(
            "SET booking_automation.actor = 'customer:7'; SET booking_automation.reason = 'ill'",
        )
        .await
        .unwrap();
    app.sql(move_to, &[&id, &later]).await;
    app.db
        .batch_execute("RESET booking_automation.actor; RESET booking_automation.reason")
        .await
        .unwrap();
    // To where it is, and another column: not moves.
    app.sql(move_to, &[&id, &later]).await;
    app.sql(
        "UPDATE bookings SET location = 'there' WHERE id = $1",
        &[&id],
    )
    .await;
    // A role without rights on the trail, which moves and cancels a booking at once, and takes a start away.
    let backend = app.backend_role().await;
    backend
        .batch_execute("SET booking_automation.actor = 'customer:8'")
        .await
        .unwrap();
    let both = "UPDATE bookings SET scheduled_at = $2, status = 'cancelled' WHERE id = $1";
    backend.execute(both, &[&id, &at_first]).await.unwrap();
    app.sql_without_triggers("ALTER TABLE bookings ALTER scheduled_at DROP NOT NULL")
        .await;
    app.sql(
        "UPDATE bookings SET scheduled_at = NULL WHERE id = $1",
        &[&id],
    )
    .await;

    let trail = "SELECT concat_ws(' ', status, event_data ->> 'from', event_data ->> 'to', event_data ->> 'by',
                                  event_data ->> 'reason', event_data ->> 'claimed_by', executed_at = scheduled_at)
                   FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'rescheduled' ORDER BY seq";
    let by: String = backend
        .query_one("SELECT current_user::text", &[])
        .await
        .unwrap()
        .get(0);
    let (first, second) = ("2026-03-03T12:00:00.000000Z", "2026-03-03T14:00:00.000000Z");
    assert_eq!(
        app.column(trail, &[&id]).await,
        [
            format!("completed {first} {second} customer:7 ill t"),
            format!("completed {second} {first} {by} customer:8 t"),
            format!("completed {first} postgres t"),
        ]
    );
    let told = fetch_timeline(&mut app, id, noon()).await;
    let moves: Vec<_> = told["happened"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["kind"] == "rescheduled")
        .collect();
    let texts: Vec<_> = moves
        .iter()
        .map(|entry| entry["text"].as_str().unwrap())
        .collect();
    let of_backend =
        format!("{by} moved the start from 2026-03-03T14:00:00Z to 2026-03-03T12:00:00Z.");
    assert_eq!(
        texts.iter().copied().collect::<BTreeSet<_>>(),
        BTreeSet::from([
            "customer:7 moved the start from 2026-03-03T12:00:00Z to 2026-03-03T14:00:00Z: ill",
            &of_backend,
            "postgres moved the start from 2026-03-03T12:00:00Z to no start.",
        ])
    );
    let first = moves
        .iter()
        .find(|entry| entry["by"] == "customer:7")
        .unwrap();
    assert_eq!(
        (&first["from"], &first["to"], &first["reason"]),
        (&json!(at_first), &json!(later), &json!("ill"))
    );
    let server = support(&mut app, noon()).await;
    let page = ask(&server, "GET", "/events?type=rescheduled", &[], b"")
        .await
        .json();
    let of_trail = page["events"].as_array().unwrap();
    assert_eq!(of_trail.len(), 3, "{page}");
    assert_eq!(of_trail[2]["id"], first["event_id"], "{page}");
}

#[tokio::test]
async fn a_step_due_now_is_planned_for_the_next_pass() {
    let mut app = App::new().await;
    let id = app.confirmed(noon()).await;
    let told = fetch_timeline(&mut app, id, noon()).await;
    assert_eq!(
        sentences(&told, "planned"),
        [
            "The next pass changes the status to in_progress.",
            "The automation changes the status to completed."
        ]
    );
    assert_eq!(told["planned"][0]["at"], Value::Null);
}

#[tokio::test]
async fn pending_sending_and_failed_reminders_are_described() {
    let mut app = App::new().await;
    let id = app.confirmed(noon() + hours(200)).await;
    app.sql(
        "INSERT INTO booking_automation_events
                (booking_id, event_type, status, reason, rule, audience, channel, revision, starts_at, scheduled_at, next_attempt_at)
         SELECT $1, 'reminder_sent', status, reason, rule, 'customer', 'email', 1, $2, $2, now() + interval '1 hour'
           FROM (VALUES ('a', 'pending', NULL), ('b', 'pending', 'throttled'), ('c', 'sending', NULL), ('d', 'failed', 'rejected'))
                AS message (rule, status, reason)",
        &[&id, &(noon() + hours(200))],
    )
    .await;
    let told = fetch_timeline(&mut app, id, noon()).await;
    assert_eq!(
        sentences(&told, "happened"),
        [
            "The a reminder to the customer by email waits to be sent.",
            "The b reminder to the customer by email waits for its next attempt: the messaging service asked to slow down.",
            "The c reminder to the customer by email is being sent.",
            "The d reminder to the customer by email failed permanently: the messaging service rejected the message permanently.",
        ]
    );
    assert!(told["happened"][0].get("attempts").is_none(), "{told}");
}

#[tokio::test]
async fn a_refused_status_change_is_described() {
    let mut app = App::new().await;
    let id = app.confirmed(noon() - minutes(5)).await;
    app.db
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    app.run(noon()).await;
    assert_eq!(
        sentences(&fetch_timeline(&mut app, id, noon()).await, "happened"),
        [
            "The database refused a change from confirmed to in_progress by the automation. It is tried again later."
        ]
    );
}

#[tokio::test]
async fn a_due_reminder_without_a_decision_is_listed_once_and_first() {
    let mut app = App::new().await;
    app.sql("INSERT INTO reminder_rules (name, lead, audience) VALUES ('15m', '15 minutes', 'provider')", &[]).await;
    let id = app.confirmed(noon() + hours(1)).await;
    let mut planned = sentences(&fetch_timeline(&mut app, id, noon()).await, "planned");
    // Entries with the same time have no order.
    planned[2..4].sort();
    assert_eq!(
        planned,
        [
            "The 24h reminder to the customer by email will not be sent: a later message replaces it.",
            "The 1h reminder to the customer by email will be sent.",
            "The 15m reminder to the customer by email will be sent.",
            "The 15m reminder to the provider by email will be sent.",
            "The automation changes the status to in_progress.",
            "The automation changes the status to completed.",
        ]
    );
}

#[tokio::test]
async fn each_reason_for_not_reminding_has_a_sentence() {
    let mut app = App::new().await;
    // No address.
    let nobody = app.person("Nobody", None, "UTC").await;
    let no_address = app.confirmed(noon() + hours(23)).await;
    app.sql(
        "UPDATE bookings SET customer_id = $2 WHERE id = $1",
        &[&no_address, &nobody],
    )
    .await;
    // Cancelled while the reminder waits for its retry.
    let cancelled = app.confirmed(noon() + hours(22)).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    let told = fetch_timeline(&mut app, cancelled, noon()).await;
    assert_eq!(
        sentences(&told, "happened"),
        [
            "The 24h reminder to the customer by email waits for its next attempt: the messaging service asked to slow down."
        ]
    );
    assert!(told["happened"][0]["next_attempt_at"].is_string());
    app.set_clock(noon() + minutes(1)).await;
    app.sql(
        "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
        &[&cancelled],
    )
    .await;
    app.make_claimable().await;
    app.run(noon() + minutes(2)).await;

    let told = fetch_timeline(&mut app, cancelled, noon() + minutes(3)).await;
    assert_eq!(
        sentences(&told, "happened"),
        [
            "postgres changed the status from confirmed to cancelled.",
            "The 24h reminder to the customer by email was not sent: the booking was no longer confirmed."
        ]
    );
    assert!(sentences(&told, "planned").is_empty());
    let told = fetch_timeline(&mut app, no_address, noon() + minutes(3)).await;
    assert_eq!(
        sentences(&told, "happened"),
        [
            "The 24h reminder to the customer by email was not sent: there is no address to send it to."
        ]
    );
    assert_eq!(
        sentences(&told, "planned")[0],
        "The 1h reminder to the customer by email will not be sent: there is no address to send it to."
    );
}

#[tokio::test]
async fn later_ses_events_are_listed_with_their_message() {
    let mut app = App::new().await;
    let id = app.confirmed(noon() + hours(23)).await;
    app.run(noon()).await;
    app.sql(
        "INSERT INTO booking_automation_feedback (event_id, booking_id, kind, message_id, occurred_at, details)
         SELECT id, booking_id, kind, message_id, $2, '{}' FROM booking_automation_events, unnest(ARRAY['sent', 'bounced']) AS kind
          WHERE booking_id = $1",
        &[&id, &noon()],
    )
    .await;
    let told = fetch_timeline(&mut app, id, noon()).await;
    assert_eq!(
        told["happened"][0]["provider"],
        json!([{"at": "2026-03-01T12:00:00+00:00", "said": "sent"}, {"at": "2026-03-01T12:00:00+00:00", "said": "bounced"}])
    );
}

#[tokio::test]
async fn a_timeline_has_only_its_own_booking_and_the_latest_1000_events() {
    let mut app = App::new().await;
    let mut bookings = Vec::new();
    for (index, start, reason) in [
        (1, noon() + hours(22), "the other's"),
        (2, noon() + hours(23), "its own"),
    ] {
        let id = app.confirmed(start).await;
        app.sql(
            "UPDATE bookings SET auto_complete_blocked = true WHERE id = $1",
            &[&id],
        )
        .await;
        let block = "INSERT INTO booking_automation_state (booking_id, revision, blocked_reason) VALUES ($1, 1, $2)
                     ON CONFLICT (booking_id) DO UPDATE SET blocked_reason = excluded.blocked_reason";
        app.sql(block, &[&id, &reason]).await;
        bookings.push((index, id, start, reason));
    }
    app.run(noon()).await;
    for (index, id, _, _) in &bookings {
        let said =
            "INSERT INTO booking_automation_feedback (event_id, booking_id, kind, message_id, occurred_at, details)
                    SELECT id, booking_id, kind, message_id, timestamptz '2026-03-01Z' + $2 * interval '1 hour', '{}'
                      FROM booking_automation_events, unnest(ARRAY['sent', 'delivered']) AS kind WHERE booking_id = $1";
        app.sql(said, &[id, &f64::from(*index)]).await;
    }
    // The first event is stored after the second.
    app.sql(
        "UPDATE booking_automation_feedback SET details = '{ }' WHERE kind = 'sent'",
        &[],
    )
    .await;
    for (index, id, start, reason) in &bookings {
        let told = fetch_timeline(&mut app, *id, noon()).await;
        assert_eq!(
            (
                &told["booking"]["starts_at"],
                &told["booking"]["blocked_reason"]
            ),
            (&json!(start), &json!(reason))
        );
        let at = format!("2026-03-01T0{index}:00:00+00:00");
        let said = json!([{"at": at, "said": "sent"}, {"at": at, "said": "delivered"}]);
        assert_eq!(told["happened"][0]["provider"], said);
    }

    let (_, id, ..) = bookings[1];
    let many = "INSERT INTO booking_automation_events (booking_id, event_type, event_data, status, executed_at)
                SELECT $1, 'status_update', jsonb_build_object('from', 'a', 'to', n), 'completed', $2::timestamptz + n * interval '1 second'
                  FROM generate_series(1, 1002) AS n";
    app.sql(many, &[&id, &noon()]).await;
    let told = fetch_timeline(&mut app, id, noon() + hours(1)).await;
    let happened = told["happened"].as_array().unwrap();
    assert_eq!(
        (happened.len(), &happened[0]["at"], &happened[999]["at"]),
        (
            1000,
            &json!("2026-03-01T12:00:03Z"),
            &json!("2026-03-01T12:16:42Z")
        )
    );
}

#[tokio::test]
async fn a_deleted_booking_keeps_its_timeline() {
    let mut app = App::new().await;
    let id = app.confirmed(noon() + hours(23)).await;
    app.run(noon()).await;
    app.sql("DELETE FROM bookings WHERE id = $1", &[&id]).await;
    let told = fetch_timeline(&mut app, id, noon()).await;
    assert_eq!(
        (&told["booking"], told["happened"].as_array().unwrap().len()),
        (&Value::Null, 1)
    );
    assert_eq!(told["planned"], json!([]));

    let server = support(&mut app, noon()).await;
    let unknown = ask(
        &server,
        "GET",
        &format!("/bookings/{}/timeline", Uuid::nil()),
        &[],
        b"",
    )
    .await;
    assert_eq!(
        (unknown.status, &unknown.json()["field"]),
        (404, &json!("id"))
    );
    let malformed = ask(&server, "GET", "/bookings/7/timeline", &[], b"").await;
    assert_eq!(
        (malformed.status, &malformed.json()["field"]),
        (400, &json!("id"))
    );
}

/// The planned entries without their sentences: what, when, and the reason.
fn planned_entries(timeline: &Value) -> BTreeSet<String> {
    let member = |entry: &Value, name: &str| entry[name].as_str().unwrap_or("-").to_owned();
    let plan = timeline["planned"].as_array().unwrap().iter();
    plan.map(|entry| {
        let names: &[_] = if entry["kind"] == "status" {
            &["from", "to", "at"]
        } else {
            &["rule", "audience", "at", "reason"]
        };
        names
            .iter()
            .map(|name| member(entry, name))
            .collect::<Vec<_>>()
            .join(" ")
    })
    .collect()
}

#[tokio::test]
async fn planned_entries_happen_as_planned_within_a_week() {
    let mut app = App::new().await;
    app.env.insert("COMPLETE_AFTER", "20m".to_owned());
    app.env.insert("EXPIRE_PENDING", "true".to_owned());
    app.sql("INSERT INTO reminder_rules (name, lead, audience) VALUES ('3d', '3 days', 'customer'), ('2h', '2 hours', 'provider')", &[]).await;
    app.sql(
        "UPDATE reminder_rules SET effective_from = '2020-01-01'",
        &[],
    )
    .await;
    let nobody = app.person("Nobody", None, "UTC").await;
    let mut ids = Vec::new();
    for day in 0..6 {
        ids.push(app.confirmed(noon() + hours(24 * day + 1)).await);
        ids.push(app.confirmed(noon() + hours(24 * day) + minutes(7)).await);
        ids.push(app.booking("pending", noon() + hours(24 * day + 3)).await);
        let id = app.confirmed(noon() + hours(24 * day + 5)).await;
        app.sql(
            "UPDATE bookings SET customer_id = $2 WHERE id = $1",
            &[&id, &nobody],
        )
        .await;
        ids.push(id);
        let id = app.confirmed(noon() + hours(24 * day + 7)).await;
        app.sql(
            "UPDATE bookings SET auto_complete_blocked = true WHERE id = $1",
            &[&id],
        )
        .await;
        ids.push(id);
        // Booked just now: some of its reminders are late.
        ids.push(
            app.booking("confirmed", noon() + hours(24 * day) + minutes(100))
                .await,
        );
    }
    app.run(noon()).await;

    let server = support(&mut app, noon()).await;
    let (mut plans, mut times) = (Vec::new(), BTreeSet::new());
    for id in &ids {
        let told = ask(
            &server,
            "GET",
            &format!("/bookings/{id}/timeline"),
            &[],
            b"",
        )
        .await
        .json();
        let plan = told["planned"].as_array().unwrap();
        times.extend(plan.iter().map(|entry| {
            entry["at"]
                .as_str()
                .unwrap()
                .parse::<DateTime<Utc>>()
                .unwrap()
        }));
        plans.push(planned_entries(&told));
    }
    server.end().await;
    assert!(plans.iter().map(BTreeSet::len).sum::<usize>() > 100);

    for time in times {
        app.run(time).await;
    }
    for (id, plan) in ids.iter().zip(plans) {
        let sql = "SELECT CASE event_type WHEN 'status_update'
                          THEN concat_ws(' ', event_data ->> 'from', event_data ->> 'to', to_char(executed_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'))
                          ELSE concat_ws(' ', rule, audience, to_char(scheduled_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), coalesce(reason, '-')) END
                     FROM booking_automation_events
                    WHERE booking_id = $1 AND (event_type = 'status_update' OR status IN ('completed', 'skipped')) AND executed_at > $2";
        let happened: BTreeSet<_> = app.column(sql, &[id, &noon()]).await.into_iter().collect();
        assert_eq!(happened, plan, "{id}");
    }
}

#[tokio::test]
async fn a_chain_says_which_channel_was_used_and_why_no_earlier_one() {
    let mut app = App::new().await;
    for sql in [
        "UPDATE reminder_rules SET channels = '{push>sms>email}' WHERE name <> '15m'",
        "UPDATE reminder_rules SET effective_from = '2020-01-01'",
    ] {
        app.sql(sql, &[]).await;
    }
    let id = app.confirmed(noon() + hours(23)).await;
    app.run(noon()).await;
    let told = fetch_timeline(&mut app, id, noon()).await;
    let note = "not by push: the channel is not set up; not by SMS: the channel is not set up";
    assert_eq!(
        sentences(&told, "happened"),
        [format!(
            "The 24h reminder to the customer by email was sent. N{}.",
            &note[1..]
        )]
    );
    assert_eq!(
        sentences(&told, "planned")[..2],
        [
            "The 1h reminder to the customer by push, else SMS, else email will be sent.",
            "The 15m reminder to the customer by email will be sent.",
        ]
    );
    let sent = &told["happened"][0];
    assert_eq!(
        [&sent["channel"], &sent["via"], &sent["route"]],
        [
            &json!("push>sms>email"),
            &json!("email"),
            &json!(format!("by email; {note}"))
        ]
    );
    let steps = sent["chain"].as_array().unwrap();
    let left: Vec<_> = steps
        .iter()
        .map(|step| [&step["channel"], &step["reason"]])
        .collect();
    assert_eq!(left, [["push", "not_set_up"], ["sms", "not_set_up"]]);
    assert!(
        steps[0]["at"].as_str().unwrap().ends_with("+00:00"),
        "{steps:?}"
    );
    let planned = &told["planned"];
    assert_eq!(
        (&planned[0]["via"], planned[0].get("chain")),
        (&json!("push"), None)
    );
    assert_eq!(
        (planned[1].get("via"), planned[1].get("route")),
        (None, None)
    );

    // The trail and the preview say the same.
    let server = support(&mut app, noon()).await;
    let path = format!("/events?booking={id}");
    let trail = ask(&server, "GET", &path, &[], b"").await.json();
    let event = &trail["events"][0];
    for member in ["channel", "via", "route", "chain"] {
        assert_eq!(event[member], sent[member], "{member}");
    }
    let preview = ask(&server, "GET", "/preview?for=24h", &[], b"")
        .await
        .json();
    let rules = preview["rules"].as_array().unwrap();
    let told: Vec<_> = rules
        .iter()
        .map(|rule| json!([rule["rule"], rule["via"], rule["route"], rule["send"]]))
        .collect();
    assert_eq!(
        told,
        [
            json!(["15m", null, null, 1]),
            json!(["1h", "push", "by push, else SMS, else email", 1])
        ]
    );
}

#[tokio::test]
async fn a_message_that_waits_for_a_later_channel_or_follows_another_says_so() {
    let mut app = App::new().await;
    let id = app.confirmed(noon() + hours(23)).await;
    let first = Uuid::from_u128(7);
    app.sql(
        "INSERT INTO booking_automation_events
                (booking_id, event_type, rule, audience, channel, via, status, revision, starts_at, scheduled_at, next_attempt_at, event_data)
         SELECT $1, 'reminder_sent', rule, 'customer', channel, via, status, 1, $2::timestamptz + interval '23 hours', $2,
                CASE status WHEN 'pending' THEN $2 END, data
           FROM (VALUES ('24h', 'push>sms>email', 'sms', 'pending',
                         '{\"chain\": [{\"channel\": \"push\", \"reason\": \"no_device\", \"at\": \"2026-03-01T11:00:00Z\"}]}'::jsonb),
                        ('1h', 'email', NULL, 'completed', jsonb_build_object('follows', $3::uuid, 'followed_reason', 'bounced')))
                AS message (rule, channel, via, status, data)",
        &[&id, &noon(), &first],
    )
    .await;
    let told = fetch_timeline(&mut app, id, noon()).await;
    let mut happened = sentences(&told, "happened");
    happened.sort();
    assert_eq!(
        happened,
        [
            "The 1h reminder to the customer by email was sent. It follows a message that bounced.",
            "The 24h reminder to the customer by SMS, else email waits to be sent. Not by push: the app is no longer \
             registered on any device of the recipient.",
        ]
    );
    let follows = told["happened"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["rule"] == "1h")
        .unwrap();
    assert_eq!(
        [&follows["follows"], &follows["via"], &follows["route"]],
        [
            &json!(first),
            &json!("email"),
            &json!("by email; it follows a message that bounced")
        ]
    );
    let server = support(&mut app, noon()).await;
    let preview = ask(&server, "GET", "/preview?for=2m", &[], b"")
        .await
        .json();
    let rules = preview["rules"].as_array().unwrap();
    let waiting = rules
        .iter()
        .find(|rule| rule["channel"] == "push>sms>email")
        .unwrap();
    assert_eq!(
        [&waiting["channel"], &waiting["via"], &waiting["route"]],
        [
            &json!("push>sms>email"),
            &json!("sms"),
            &json!("by SMS, else email")
        ]
    );
}
