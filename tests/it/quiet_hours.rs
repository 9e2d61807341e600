//! Quiet hours: a reminder that would fall into those of its person moves to their beginning.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, hours, minutes, noon};
use crate::links::name_people;
use crate::notices::set_status;
use crate::status::{ask, support};

/// An app with one rule, for customers.
async fn app_with_rule(lead: &str) -> App {
    let app = App::new().await;
    let sql =
        format!("UPDATE reminder_rules SET active = name = '{lead}' AND audience = 'customer'");
    app.sql(&sql, &[]).await;
    app
}

async fn set_quiet_hours(app: &App, person: Uuid, from: &str, until: &str, zone: &str) {
    set_quiet_hours_of(app, &person.to_string(), from, until, zone).await;
}

async fn set_quiet_hours_of(app: &App, person: &str, from: &str, until: &str, zone: &str) {
    let sql =
        "INSERT INTO booking_automation_preferences (person_id, quiet_from, quiet_until, timezone)
               VALUES ($1, $2::text::time, $3::text::time, $4)";
    app.sql(sql, &[&person, &from, &until, &zone]).await;
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// What is on record about the reminder of a booking: its status, and its quiet hours.
async fn record(app: &App, id: Uuid) -> Option<(String, Value)> {
    let sql = "SELECT status, coalesce(event_data -> 'quiet_hours', 'null') FROM booking_automation_events
                WHERE event_type = 'reminder_sent' AND booking_id = $1";
    let rows = app.db.query(sql, &[&id]).await.unwrap();
    assert!(rows.len() <= 1, "{rows:?}");
    rows.first().map(|row| (row.get(0), row.get(1)))
}

/// The minutes of the next 24 hours in which reminders go out, by the preview.
async fn previewed_sends(app: &App, from: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let preview = ["preview", "--for", "24h", "--as-of", &from.to_rfc3339()];
    let preview = app.call(&preview).await.summary();
    let is_sent = |minute: &&Value| {
        let rules = minute["reminders"].as_array().unwrap();
        rules.iter().any(|rule| rule["send"] != 0)
    };
    let minutes = preview["minutes"].as_array().unwrap().iter();
    minutes
        .filter(is_sent)
        .map(|minute| at(minute["at"].as_str().unwrap()))
        .collect()
}

/// Asserts that a reminder is sent at `sent_at`, and not by the pass before.
async fn assert_sent_at(app: &App, id: Uuid, sent_at: DateTime<Utc>) {
    app.run(sent_at - minutes(1)).await;
    assert_eq!(record(app, id).await, None);
    app.run(sent_at).await;
    let (status, _) = record(app, id).await.unwrap();
    assert_eq!(status, "completed", "{sent_at}");
}

#[tokio::test]
async fn a_reminder_moves_to_the_beginning_of_quiet_hours() {
    let app = app_with_rule("24h").await;
    set_quiet_hours(&app, app.customer, "22:00", "07:00", "Europe/Vienna").await;
    // Due at 3 o'clock in Vienna.
    let id = app.confirmed(at("2026-03-03T02:00:00Z")).await;
    assert_sent_at(&app, id, at("2026-03-01T21:00:00Z")).await;
    let expected = json!({"from": "2026-03-01T21:00:00+00:00", "moved": true});
    assert_eq!(record(&app, id).await.unwrap().1, expected);
    // Nothing else follows at its own time.
    app.run(at("2026-03-02T02:00:00Z")).await;
    assert_eq!(app.ses.mails().len(), 1);
    // It keeps its own due time, by which nearer reminders replace it.
    let sql = "SELECT scheduled_at FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'reminder_sent'";
    let due: DateTime<Utc> = app.one(sql, &[&id]).await.get(0);
    assert_eq!(due, at("2026-03-02T02:00:00Z"));
}

#[tokio::test]
async fn only_the_reminders_of_that_person_move() {
    let app = app_with_rule("24h").await;
    set_quiet_hours(&app, app.provider, "22:00", "07:00", "Europe/Vienna").await;
    let id = app.confirmed(at("2026-03-03T02:00:00Z")).await;
    app.run(at("2026-03-01T21:00:00Z")).await;
    assert_sent_at(&app, id, at("2026-03-02T02:00:00Z")).await;
    assert_eq!(record(&app, id).await.unwrap().1, Value::Null);
}

#[tokio::test]
async fn what_moves_is_confirmed_of_an_active_rule_and_within_an_hour_and_half_the_lead() {
    let app = app_with_rule("24h").await;
    // Not active.
    app.sql(
        "UPDATE reminder_rules SET lead = '23 hours' WHERE name = '1h'",
        &[],
    )
    .await;
    app.sql(
        "UPDATE reminder_rules SET effective_from = '2026-01-01'",
        &[],
    )
    .await;
    let late = app
        .person("Late", Some("late@customers.example"), "UTC")
        .await;
    set_quiet_hours(&app, app.customer, "22:00", "07:00", "Europe/Vienna").await;
    set_quiet_hours(&app, late, "23:30", "12:00", "Europe/Vienna").await;
    // Somebody's have just begun at the first pass, when the others' are ahead.
    set_quiet_hours(&app, app.provider, "20:59", "07:00", "Europe/Vienna").await;
    let start = at("2026-03-03T02:00:00Z");
    // An hour and a half ago, her quiet hours began.
    let over = app.confirmed(start).await;
    let [moves, half, pending] = [
        app.confirmed(start).await,
        // Half its lead before is a moment after they began.
        app.confirmed(at("2026-03-03T10:30:30Z")).await,
        app.booking("pending", start).await,
    ];
    let sql = "UPDATE bookings SET customer_id = $1 WHERE id = ANY ($2)";
    app.sql(sql, &[&late, &[moves, half, pending].as_slice()])
        .await;
    app.run(at("2026-03-01T20:00:00Z")).await;
    app.run(at("2026-03-01T22:31:00Z")).await;
    assert_eq!(record(&app, moves).await.unwrap().0, "completed");
    for id in [over, half, pending] {
        assert_eq!(record(&app, id).await, None);
    }
    assert_sent_at(&app, over, at("2026-03-02T02:00:00Z")).await;
    assert_sent_at(&app, half, at("2026-03-02T10:30:30Z")).await;
}

#[tokio::test]
async fn what_lies_outside_of_quiet_hours_stays() {
    let app = app_with_rule("24h").await;
    set_quiet_hours(&app, app.customer, "22:00", "07:00", "Europe/Vienna").await;
    for (start, due) in [
        ("2026-03-02T20:59:00Z", "2026-03-01T20:59:00Z"),
        ("2026-03-03T06:00:00Z", "2026-03-02T06:00:00Z"),
    ] {
        let id = app.confirmed(at(start)).await;
        assert_sent_at(&app, id, at(due)).await;
        assert_eq!(record(&app, id).await.unwrap().1, Value::Null, "{start}");
    }
}

#[tokio::test]
async fn a_reminder_without_a_moment_before_goes_out_at_its_own_time() {
    // Half an hour before 6 o'clock lies in the quiet hours, too.
    let app = app_with_rule("1h").await;
    set_quiet_hours(&app, app.customer, "22:00", "07:00", "Europe/Vienna").await;
    let id = app.confirmed(at("2026-03-02T06:00:00Z")).await;
    app.run(at("2026-03-01T21:00:00Z")).await;
    assert_sent_at(&app, id, at("2026-03-02T05:00:00Z")).await;
    let expected = json!({"from": "2026-03-01T21:00:00+00:00", "moved": false});
    assert_eq!(record(&app, id).await.unwrap().1, expected);

    // No pass ran when they began, and for an hour: now they are under way.
    let app = app_with_rule("24h").await;
    set_quiet_hours(&app, app.customer, "22:00", "07:00", "Europe/Vienna").await;
    let id = app.confirmed(at("2026-03-03T02:00:00Z")).await;
    app.run(at("2026-03-01T20:00:00Z")).await;
    app.run(at("2026-03-01T22:00:00Z")).await;
    assert_sent_at(&app, id, at("2026-03-02T02:00:00Z")).await;
}

#[tokio::test]
async fn a_booking_made_within_quiet_hours_is_reminded_of_at_its_own_time() {
    let app = app_with_rule("24h").await;
    set_quiet_hours(&app, app.customer, "22:00", "07:00", "Europe/Vienna").await;
    // Booked, and another one moved, half an hour after they began; one was booked before.
    let start = at("2026-03-03T02:00:00Z");
    app.set_clock(at("2026-03-01T20:59:00Z")).await;
    let before = app.booking("confirmed", start).await;
    let moved = app.booking("confirmed", start + hours(100)).await;
    app.set_clock(at("2026-03-01T21:30:00Z")).await;
    let booked = app.booking("confirmed", start).await;
    let sql = "UPDATE bookings SET scheduled_at = $2 WHERE id = $1";
    app.sql(sql, &[&moved, &start]).await;
    let sends = previewed_sends(&app, at("2026-03-01T21:31:00Z")).await;
    assert_eq!(sends.last(), Some(&(start - hours(24))));
    app.run(at("2026-03-01T21:31:00Z")).await;
    assert_eq!(record(&app, before).await.unwrap().0, "completed");
    let its_own = start - hours(24);
    for id in [booked, moved] {
        assert_eq!(record(&app, id).await, None);
    }
    app.run(its_own).await;
    for id in [booked, moved] {
        assert_eq!(record(&app, id).await.unwrap().0, "completed");
    }
}

#[tokio::test]
async fn a_rule_switched_on_within_quiet_hours_reminds_at_its_own_time() {
    let app = app_with_rule("1h").await;
    set_quiet_hours(&app, app.customer, "22:00", "07:00", "Europe/Vienna").await;
    let id = app.confirmed(at("2026-03-03T02:00:00Z")).await;
    app.set_clock(at("2026-03-01T21:30:00Z")).await;
    app.sql("UPDATE reminder_rules SET active = name = '24h'", &[])
        .await;
    assert_eq!(
        previewed_sends(&app, at("2026-03-01T21:31:00Z")).await,
        [at("2026-03-02T02:00:00Z")]
    );
    app.run(at("2026-03-01T21:31:00Z")).await;
    assert_sent_at(&app, id, at("2026-03-02T02:00:00Z")).await;
}

#[tokio::test]
async fn a_nearer_rule_is_compared_by_its_own_due_time() {
    let app = app_with_rule("24h").await;
    set_quiet_hours(&app, app.customer, "22:00", "07:00", "Europe/Vienna").await;
    // Both move to the same moment: the nearer one goes out.
    app.sql(
        "UPDATE reminder_rules SET active = true, lead = '23 hours' WHERE name = '1h'",
        &[],
    )
    .await;
    app.set_clock(at("2026-02-01T12:00:00Z")).await;
    app.sql(
        "UPDATE reminder_rules SET effective_from = '2026-01-01'",
        &[],
    )
    .await;
    let id = app.confirmed(at("2026-03-03T02:00:00Z")).await;
    app.run(at("2026-03-01T21:00:00Z")).await;
    let mut reminders = app.reminders(id).await;
    reminders.sort();
    assert_eq!(reminders, ["1h completed", "24h skipped superseded"]);
}

#[tokio::test]
async fn a_pass_that_came_a_little_late_moves_it_still() {
    let app = app_with_rule("24h").await;
    set_quiet_hours(&app, app.customer, "22:00", "07:00", "Europe/Vienna").await;
    let id = app.confirmed(at("2026-03-03T02:00:00Z")).await;
    app.run(at("2026-03-01T20:59:00Z")).await;
    app.run(at("2026-03-01T21:59:00Z")).await;
    let (status, quiet_hours) = record(&app, id).await.unwrap();
    assert_eq!(
        (&*status, &quiet_hours["moved"]),
        ("completed", &json!(true))
    );
}

#[tokio::test]
async fn half_the_lead_is_the_most() {
    let app = app_with_rule("24h").await;
    // Twelve hours before the due time, to the minute; and one minute more.
    set_quiet_hours(&app, app.customer, "08:00", "21:00", "UTC").await;
    let moved = app.confirmed(at("2026-03-03T20:00:00Z")).await;
    let stays = app.confirmed(at("2026-03-03T20:01:00Z")).await;
    assert_sent_at(&app, moved, at("2026-03-02T08:00:00Z")).await;
    assert_sent_at(&app, stays, at("2026-03-02T20:01:00Z")).await;
}

#[tokio::test]
async fn quiet_hours_begin_by_the_clock_of_their_own_day() {
    // The clocks go forward in the night to 29 March: 22 o'clock is 21:00 UTC before, 20:00 after.
    let app = app_with_rule("24h").await;
    set_quiet_hours(&app, app.customer, "22:00", "07:00", "Europe/Vienna").await;
    let id = app.confirmed(at("2026-03-30T04:30:00Z")).await;
    assert_sent_at(&app, id, at("2026-03-28T21:00:00Z")).await;
    let id = app.confirmed(at("2026-03-31T04:30:00Z")).await;
    assert_sent_at(&app, id, at("2026-03-29T20:00:00Z")).await;
    // Back, in the night to 25 October.
    let id = app.confirmed(at("2026-10-26T05:30:00Z")).await;
    assert_sent_at(&app, id, at("2026-10-24T20:00:00Z")).await;
}

#[tokio::test]
async fn quiet_hours_of_a_zone_with_half_an_hour_and_beyond_the_date_line() {
    let app = app_with_rule("24h").await;
    set_quiet_hours(&app, app.customer, "21:30", "06:00", "Asia/Kolkata").await;
    let id = app.confirmed(at("2026-03-03T20:00:00Z")).await;
    assert_sent_at(&app, id, at("2026-03-02T16:00:00Z")).await;
    app.sql(
        "UPDATE booking_automation_preferences SET timezone = 'Pacific/Kiritimati'",
        &[],
    )
    .await;
    // 14 hours ahead: 3 o'clock on the 6th is the 5th in UTC.
    let id = app.confirmed(at("2026-03-06T13:00:00Z")).await;
    assert_sent_at(&app, id, at("2026-03-05T07:30:00Z")).await;
}

#[tokio::test]
async fn a_zone_that_the_server_does_not_know_has_no_quiet_hours() {
    let app = app_with_rule("24h").await;
    set_quiet_hours(&app, app.customer, "22:00", "07:00", "Mars/Olympus_Mons").await;
    let id = app.confirmed(at("2026-03-03T02:00:00Z")).await;
    assert_sent_at(&app, id, at("2026-03-02T02:00:00Z")).await;
}

#[tokio::test]
async fn a_moved_booking_has_its_reminder_for_its_new_start() {
    let app = app_with_rule("24h").await;
    set_quiet_hours(&app, app.customer, "22:00", "07:00", "Europe/Vienna").await;
    let id = app.confirmed(at("2026-03-03T02:00:00Z")).await;
    app.run(at("2026-03-01T21:00:00Z")).await;
    app.set_clock(at("2026-03-01T22:00:00Z")).await;
    let sql = "UPDATE bookings SET scheduled_at = '2026-03-04T02:00Z' WHERE id = $1";
    app.sql(sql, &[&id]).await;
    app.run(at("2026-03-02T20:59:00Z")).await;
    assert_eq!(app.ses.mails().len(), 1);
    app.run(at("2026-03-02T21:00:00Z")).await;
    assert_eq!(app.ses.mails().len(), 2);
}

#[tokio::test]
async fn preview_and_timeline_say_when_a_moved_reminder_goes_out() {
    let mut app = app_with_rule("24h").await;
    set_quiet_hours(&app, app.customer, "22:00", "07:00", "Europe/Vienna").await;
    let id = app.confirmed(at("2026-03-03T02:00:00Z")).await;
    app.run(noon()).await;
    let sends = previewed_sends(&app, noon()).await;
    assert_eq!(sends, [at("2026-03-01T21:00:00Z")]);

    let server = support(&mut app, noon()).await;
    let told = ask(
        &server,
        "GET",
        &format!("/bookings/{id}/timeline"),
        &[],
        b"",
    )
    .await;
    let planned = told.json()["planned"].to_string();
    assert!(planned.contains("2026-03-01T21:00:00Z"), "{planned}");
    assert!(!planned.contains("2026-03-02T02:00:00Z"), "{planned}");
}

#[tokio::test]
async fn the_view_may_name_the_person_who_has_quiet_hours() {
    for (expression, person) in [
        ("lower(shipped.email)", "carla@customers.example"),
        (
            "'' A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11''::text",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        (
            "''A0EEBC999C0B4EF8BB6D6BB9BD380A11''::text",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        (
            "lower(shipped.email) COLLATE \"POSIX\"",
            "carla@customers.example",
        ),
        (
            "CASE shipped.audience WHEN ''customer'' THEN 7 END::bigint",
            "7",
        ),
    ] {
        let mut app = app_with_rule("24h").await;
        name_people(&app, expression).await;
        set_quiet_hours_of(&app, person, "22:00", "07:00", "Europe/Vienna").await;
        let id = app.confirmed(at("2026-03-03T02:00:00Z")).await;
        let begin = at("2026-03-01T21:00:00Z");
        assert_eq!(previewed_sends(&app, noon()).await, [begin], "{expression}");
        app.run(noon()).await;
        let server = support(&mut app, noon()).await;
        let path = format!("/bookings/{id}/timeline");
        let told = ask(&server, "GET", &path, &[], b"").await;
        let planned = told.json()["planned"].to_string();
        assert!(planned.contains("2026-03-01T21:00:00Z"), "{planned}");
        assert!(!planned.contains("2026-03-02T02:00:00Z"), "{planned}");
        app.run(begin - minutes(1)).await;
        let dry = ["run", "--dry-run", "--as-of", &begin.to_rfc3339()];
        let dry = app.call(&dry).await.summary();
        assert_eq!(dry["reminders"]["deferred"], 1, "{dry}");
        assert_sent_at(&app, id, begin).await;
        let expected = json!({"from": "2026-03-01T21:00:00+00:00", "moved": true});
        assert_eq!(record(&app, id).await.unwrap().1, expected);
        app.run(at("2026-03-02T02:00:00Z")).await;
        assert_eq!(app.ses.mails().len(), 1);
    }
}

#[tokio::test]
async fn quiet_hours_are_those_of_the_person_whom_the_view_names() {
    for (expression, moves) in [
        // Somebody else, who has none; and no usable name.
        ("''desk''::text", false),
        ("shipped.booking_id::text", false),
        ("''front desk''::text", false),
        // The booking's customer, whose they are.
        ("NULL::text", true),
        ("''  ''::text", true),
    ] {
        let app = app_with_rule("24h").await;
        name_people(&app, expression).await;
        set_quiet_hours(&app, app.customer, "22:00", "07:00", "Europe/Vienna").await;
        let id = app.confirmed(at("2026-03-03T02:00:00Z")).await;
        let (begin, due) = (at("2026-03-01T21:00:00Z"), at("2026-03-02T02:00:00Z"));
        app.run(begin).await;
        // Nor does a later pass move it.
        app.run(begin + minutes(1)).await;
        assert_eq!(record(&app, id).await.is_some(), moves, "{expression}");
        app.run(due).await;
        assert_eq!(app.ses.mails().len(), 1, "{expression}");
    }
}

#[tokio::test]
async fn each_recipient_of_a_booking_has_their_own_quiet_hours() {
    let app = app_with_rule("24h").await;
    let sql = "INSERT INTO reminder_rules (name, lead, audience, active) VALUES ('day', '24 hours', 'provider', true)";
    app.sql(sql, &[]).await;
    name_people(&app, "shipped.audience").await;
    set_quiet_hours_of(&app, "provider", "22:00", "07:00", "Europe/Vienna").await;
    let id = app.confirmed(at("2026-03-03T02:00:00Z")).await;
    app.run(at("2026-03-01T21:00:00Z")).await;
    let sql = "SELECT audience FROM booking_automation_events WHERE booking_id = $1";
    assert_eq!(app.column(sql, &[&id]).await, ["provider"]);

    // A guest's are not the first recipient's.
    let app = app_with_rule("24h").await;
    let sql = "DO $$ DECLARE shipped text := rtrim(pg_get_viewdef('booking_automation_contacts'::regclass), ';'); BEGIN
                   EXECUTE 'CREATE OR REPLACE VIEW booking_automation_contacts AS
                            SELECT shipped.*, recipient AS person_id, recipient
                              FROM (' || shipped || ') AS shipped CROSS JOIN (VALUES (''guest''), (NULL)) AS r (recipient)';
               END $$";
    app.db.batch_execute(sql).await.unwrap();
    set_quiet_hours_of(&app, "guest", "22:00", "07:00", "Europe/Vienna").await;
    let id = app.confirmed(at("2026-03-03T02:00:00Z")).await;
    app.run(at("2026-03-01T21:00:00Z")).await;
    assert_eq!(record(&app, id).await, None);
    // It is on record that the guest's stayed at its own time.
    for minute in 0..2 {
        app.run(at("2026-03-02T02:00:00Z") + minutes(minute)).await;
    }
    let sql = "SELECT concat_ws(' ', nullif(recipient, ''), status, event_data ->> 'quiet_hours') FROM booking_automation_events
                WHERE booking_id = $1 ORDER BY recipient";
    assert_eq!(
        app.column(sql, &[&id]).await,
        [
            "completed",
            r#"guest completed {"from": "2026-03-01T21:00:00+00:00", "moved": false}"#
        ]
    );
}

#[tokio::test]
async fn a_reminder_of_a_person_whom_the_view_names_and_that_stays_is_on_record() {
    for (until, within) in [
        ("07:00", true),
        // Its due time is not within them.
        ("02:59", false),
    ] {
        let app = app_with_rule("24h").await;
        name_people(&app, "lower(shipped.email)").await;
        let person = "carla@customers.example";
        set_quiet_hours_of(&app, person, "12:00", until, "Europe/Vienna").await;
        set_quiet_hours_of(&app, "other", "22:00", "07:00", "Europe/Vienna").await;
        let id = app.confirmed(at("2026-03-03T02:00:00Z")).await;
        // They began more than half the lead before.
        app.run(at("2026-03-02T02:00:00Z")).await;
        let decision = json!({"from": "2026-03-01T11:00:00+00:00", "moved": false});
        let found = "SELECT event_data -> 'quiet_hours' FROM booking_automation_events WHERE booking_id = $1";
        let found: Option<Value> = app.one(found, &[&id]).await.get(0);
        assert_eq!(found, within.then_some(decision), "{until}");
        assert_eq!(app.ses.mails().len(), 1);
    }
}

#[tokio::test]
async fn a_reminder_that_leaves_before_its_quiet_hours_has_none_on_record() {
    let app = app_with_rule("24h").await;
    app.sql("UPDATE reminder_rules SET group_within = '12 hours'", &[])
        .await;
    name_people(&app, "lower(shipped.email)").await;
    let person = "carla@customers.example";
    set_quiet_hours_of(&app, person, "18:30", "21:00", "Europe/Vienna").await;
    for start in [24, 30] {
        app.confirmed(noon() + hours(start)).await;
    }
    // The second one is due at 19 o'clock in Vienna, and leaves with the first one.
    app.run(noon()).await;
    assert_eq!(app.ses.mails().len(), 1);
    let sql = "SELECT concat_ws(' ', to_char(scheduled_at AT TIME ZONE 'UTC', 'HH24:MI'), status, event_data ->> 'quiet_hours')
                 FROM booking_automation_events WHERE event_type = 'reminder_sent' ORDER BY 1";
    assert_eq!(
        app.column(sql, &[]).await,
        ["12:00 completed", "18:00 completed"]
    );
}

#[tokio::test]
async fn where_the_view_fails_for_a_booking_the_others_are_reminded_at_their_own_time() {
    let mut app = app_with_rule("24h").await;
    let id = app.confirmed(at("2026-03-03T02:00:00Z")).await;
    let broken = app.confirmed(at("2026-03-03T03:00:00Z")).await;
    let person = format!("(1 / (shipped.booking_id <> ''{broken}'')::integer)::text");
    name_people(&app, &person).await;
    set_quiet_hours_of(&app, "1", "22:00", "07:00", "Europe/Vienna").await;
    let ran = app.call(&["run", "--as-of", "2026-03-01T21:00:00Z"]).await;
    let says = "quiet hours of people whom only booking_automation_contacts names";
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
    let sends = previewed_sends(&app, at("2026-03-01T21:01:00Z")).await;
    assert!(sends.contains(&at("2026-03-02T02:00:00Z")), "{sends:?}");
    let server = support(&mut app, at("2026-03-01T21:01:00Z")).await;
    let path = format!("/bookings/{broken}/timeline");
    let told = ask(&server, "GET", &path, &[], b"").await.json();
    assert!(
        told["planned"].to_string().contains("2026-03-02T03:00:00Z"),
        "{told}"
    );
    assert_sent_at(&app, id, at("2026-03-02T02:00:00Z")).await;
}

#[tokio::test]
async fn a_booking_that_is_stored_a_moment_after_the_pass_is_reminded_of_before() {
    let app = app_with_rule("24h").await;
    set_quiet_hours(&app, app.customer, "22:00", "07:00", "Europe/Vienna").await;
    let begin = at("2026-03-01T21:00:00Z");
    app.run(begin).await;
    // Its transaction began before.
    app.set_clock(begin - minutes(1)).await;
    let id = app.booking("confirmed", at("2026-03-03T02:00:00Z")).await;
    app.run(begin + minutes(1)).await;
    assert_eq!(record(&app, id).await.unwrap().0, "completed");
}

#[tokio::test]
async fn a_booking_of_which_nobody_can_say_whether_it_is_live_stops_no_other_reminder() {
    let app = app_with_rule("24h").await;
    let sql = "CREATE OR REPLACE FUNCTION booking_automation_is_live(booking bookings) RETURNS boolean LANGUAGE sql STABLE
               RETURN 1 / length(booking.location) > -1";
    app.db.batch_execute(sql).await.unwrap();
    set_quiet_hours(&app, app.customer, "22:00", "07:00", "Europe/Vienna").await;
    let [first, second] = [at("2026-03-01T21:00:00Z"), at("2026-03-02T21:00:00Z")];
    for (begin, broken, other, expected) in [
        // The broken one is due when the quiet hours begin; they move the other.
        (first, hours(24), hours(29), "completed"),
        // They would move the broken one. The other is due, and a sweep decides about it.
        (second, hours(29), hours(24), "pending"),
    ] {
        let [broken, other] = [
            app.confirmed(begin + broken).await,
            app.confirmed(begin + other).await,
        ];
        let sql = "UPDATE bookings SET location = '' WHERE id = $1";
        app.sql(sql, &[&broken]).await;
        app.run(begin - minutes(1)).await;
        app.run(begin).await;
        let (status, _) = record(&app, other).await.unwrap();
        assert_eq!(status, expected);
        assert_eq!(record(&app, broken).await, None);
    }
}

#[tokio::test]
async fn a_notice_about_no_start_ahead_waits_for_the_end_of_quiet_hours() {
    let app = app_with_rule("24h").await;
    app.set_clock(noon() - hours(24)).await;
    let sql = "UPDATE booking_automation_notice_rules SET active = true
                WHERE audience = 'customer' AND name IN ('follow-up', 'expired', 'cancelled')";
    app.sql(sql, &[]).await;
    set_quiet_hours(&app, app.customer, "12:00", "14:30", "UTC").await;
    app.set_clock(noon()).await;
    let done = app.booking("in_progress", noon() - hours(1)).await;
    let expired = app.booking("in_progress", noon() - hours(1)).await;
    let ahead = app.booking("confirmed", noon() + hours(72)).await;
    let delay = "UPDATE booking_automation_notice_rules SET delay = '0' WHERE name = 'follow-up'";
    app.sql(delay, &[]).await;
    for (id, status) in [
        (done, "completed"),
        (expired, "expired"),
        (ahead, "cancelled"),
    ] {
        set_status(&app, id, status).await;
    }
    let others = "INSERT INTO booking_automation_events (booking_id, event_type, status, rule, audience, channel, revision, starts_at, scheduled_at, next_attempt_at)
                  VALUES ($1, 'reminder_sent', 'pending', '24h', 'customer', 'letter', 1, $2, $2, '2020-01-01')";
    app.sql(others, &[&ahead, &noon()]).await;
    app.run(noon() + minutes(1)).await;
    let of_others = "SELECT to_char(next_attempt_at, 'YYYY') FROM booking_automation_events WHERE channel = 'letter'";
    assert_eq!(app.column(of_others, &[]).await, ["2020"]);
    // The cancellation is about a start ahead.
    let sql = "SELECT concat_ws(' ', rule, status, event_data #>> '{quiet_hours,until}', attempts) FROM booking_automation_events
                WHERE event_type = 'notification_sent' ORDER BY rule";
    assert_eq!(
        app.column(sql, &[]).await,
        [
            "cancelled completed 1",
            "expired pending 2026-03-01T14:30:00+00:00 0",
            "follow-up pending 2026-03-01T14:30:00+00:00 0"
        ]
    );
    // It waits for as long by the real clock, by which claims are made.
    let wait = "SELECT bool_and(next_attempt_at - clock_timestamp() BETWEEN interval '2 h 28 min' AND interval '2 h 29 min')
                  FROM booking_automation_events WHERE rule IN ('follow-up', 'expired')";
    assert!(app.one(wait, &[]).await.get::<_, bool>(0));
    app.make_claimable().await;
    app.run(noon() + minutes(150)).await;
    assert_eq!(app.ses.mails().len(), 3);
}
