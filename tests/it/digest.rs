//! The daily digest: one message to a person with the bookings of their coming day.

use chrono::{DateTime, Duration, NaiveDate, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::app::{App, connect, hours, minutes, noon};
use crate::feedback::ses_event;
use crate::languages::plain_spaces;
use crate::notices::set_start;
use crate::runtime_api::Instance;
use crate::ses::Answer;
use crate::status::{ask, support};

/// Switches on the digest of an audience at an hour, a day before noon, and the reminders off.
async fn with_digest(audience: &str, hour: i32) -> App {
    let app = App::new().await;
    app.sql("UPDATE reminder_rules SET active = false", &[])
        .await;
    switch_on(&app, audience, hour, noon() - hours(24)).await;
    app
}

async fn switch_on(app: &App, audience: &str, hour: i32, at: DateTime<Utc>) {
    app.set_clock(at).await;
    let sql = "UPDATE booking_automation_digest_rules SET active = true, local_hour = $2 WHERE audience = $1";
    assert_eq!(app.sql(sql, &[&audience, &hour]).await, 1);
    app.set_clock(noon()).await;
}

fn at(time: &str) -> DateTime<Utc> {
    time.parse().unwrap()
}

/// 7:00 of Monday, March 2, in Vienna.
fn seven() -> DateTime<Utc> {
    at("2026-03-02T06:00:00Z")
}

/// The digests: `person day status reason`, in the order of the rows.
async fn digests(app: &App) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', u.display_name, e.local_day, e.status, e.reason)
                 FROM booking_automation_events e LEFT JOIN users u ON u.id = e.person_id
                WHERE e.event_type = 'notification_sent' ORDER BY e.seq";
    app.column(sql, &[]).await
}

/// The digests by when they were due: `person day time`.
async fn due_times(app: &App) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', u.display_name, e.local_day, to_char(e.scheduled_at AT TIME ZONE 'UTC', 'DD HH24:MI'))
                 FROM booking_automation_events e JOIN users u ON u.id = e.person_id
                WHERE e.event_type = 'notification_sent' ORDER BY 1";
    app.column(sql, &[]).await
}

/// A confirmed booking with this provider.
async fn booking_with(app: &mut App, provider: Uuid, start: DateTime<Utc>) -> Uuid {
    let usual = std::mem::replace(&mut app.provider, provider);
    let id = app.confirmed(start).await;
    app.provider = usual;
    id
}

async fn set_status(app: &App, id: Uuid, status: &str) {
    let sql = "UPDATE bookings SET status = $2 WHERE id = $1";
    assert_eq!(app.sql(sql, &[&id, &status]).await, 1);
}

fn throttle(app: &App) {
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
}

#[tokio::test]
async fn digests_are_off_until_the_owner_switches_them_on() {
    let app = App::new().await;
    app.sql("UPDATE reminder_rules SET active = false", &[])
        .await;
    app.confirmed(seven() + hours(3)).await;
    app.run(seven()).await;
    assert!(digests(&app).await.is_empty() && app.ses.mails().is_empty());
    let active = "SELECT name FROM booking_automation_digest_rules WHERE active";
    assert!(app.column(active, &[]).await.is_empty());
    // Switched on after the hour: that day has none.
    switch_on(&app, "provider", 7, seven() + minutes(1)).await;
    app.run(seven() + minutes(15)).await;
    assert!(digests(&app).await.is_empty());
    // The hour is changed to one that has passed.
    let sql = "UPDATE booking_automation_digest_rules SET local_hour = 8 WHERE active";
    app.set_clock(seven() + minutes(61)).await;
    app.sql(sql, &[]).await;
    app.run(seven() + minutes(75)).await;
    assert!(digests(&app).await.is_empty());
    // It gets a channel after the hour.
    for (minute, change) in [
        (76, "local_hour = 9, channels = '{}'"),
        (122, "channels = '{email}'"),
    ] {
        app.set_clock(seven() + minutes(minute)).await;
        let sql = format!("UPDATE booking_automation_digest_rules SET {change} WHERE active");
        app.sql(&sql, &[]).await;
    }
    app.run(seven() + minutes(123)).await;
    assert!(digests(&app).await.is_empty());
}

#[tokio::test]
async fn a_provider_gets_one_digest_of_the_day_that_begins() {
    let mut app = with_digest("provider", 7).await;
    app.confirmed(seven() + hours(7)).await;
    let first = app.confirmed(seven() + hours(2)).await;
    app.sql(
        "UPDATE bookings SET is_online = true, location = NULL, meeting_link = 'https://meet.example/a?b=c' WHERE id = $1",
        &[&first],
    )
    .await;
    // Another day, another provider, and bookings that do not count.
    app.confirmed(at("2026-03-02T23:00:00Z")).await;
    app.confirmed(at("2026-03-01T22:59:00Z")).await;
    for status in ["pending", "cancelled", "in_progress"] {
        app.booking(status, seven() + hours(4)).await;
    }
    let other = app
        .person("Olga Other", Some("olga@providers.example"), "UTC")
        .await;
    booking_with(&mut app, other, seven() + hours(5)).await;

    let before = app.run(seven() - minutes(1)).await;
    assert_eq!(before["reminders"]["due"], 0, "{before}");
    let dry = ["run", "--dry-run", "--as-of", &seven().to_rfc3339()];
    let dry = app.call(&dry).await.summary();
    // Of Olga, whose zone is not known: by the zone of the place, which is the provider's, at 7:00 UTC.
    assert_eq!(dry["reminders"]["deferred"], 1, "{dry}");
    let summary = app.run(seven()).await;
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    for minute in 1..20 {
        app.run(seven() + minutes(minute * 5)).await;
    }
    assert_eq!(
        digests(&app).await,
        [
            "Petra Provider 2026-03-02 completed",
            "Olga Other 2026-03-02 completed"
        ]
    );
    let mails = app.ses.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].to(), "petra@providers.example");
    assert_eq!(mails[0].subject(), "2 bookings on Mon, Mar 2");
    insta::assert_snapshot!("digest_text", plain_spaces(mails[0].text()));
    let html = mails[0].html();
    assert!(
        html.contains("href=\"https://meet.example/a?b=c\"") && !html.contains("/bookings/"),
        "{html}"
    );
    assert_eq!(mails[1].subject(), "1 booking on Mon, Mar 2");
}

#[tokio::test]
async fn from_noon_on_it_is_of_the_next_day() {
    let app = with_digest("customer", 18).await;
    app.confirmed(at("2026-03-01T22:00:00Z")).await;
    app.confirmed(at("2026-03-01T23:00:00Z")).await;
    app.confirmed(at("2026-03-02T22:59:00Z")).await;
    app.confirmed(at("2026-03-02T23:00:00Z")).await;
    app.run(at("2026-03-01T17:00:00Z")).await;
    assert_eq!(digests(&app).await, ["Carla Customer 2026-03-02 completed"]);
    let mail = &app.ses.mails()[0];
    assert_eq!(mail.to(), "carla@customers.example");
    assert_eq!(mail.subject(), "2 bookings on Mon, Mar 2");
    assert!(mail.text().contains("Massage with Petra Provider"));
}

#[tokio::test]
async fn an_empty_day_sends_nothing() {
    let app = with_digest("provider", 7).await;
    app.confirmed(seven() - minutes(30)).await;
    let tomorrow = app.confirmed(seven() + hours(17)).await;
    app.run(seven()).await;
    assert!(digests(&app).await.is_empty() && app.ses.mails().is_empty());
    // The next day has one; it is cancelled before the message leaves.
    throttle(&app);
    app.run(seven() + hours(24)).await;
    assert!(digests(&app).await.is_empty());
    set_status(&app, tomorrow, "cancelled").await;
    let id = app.confirmed(seven() + hours(50)).await;
    app.run(seven() + hours(48)).await;
    assert_eq!(
        digests(&app).await,
        ["Petra Provider 2026-03-04 pending throttled"]
    );
    set_status(&app, id, "cancelled").await;
    app.make_claimable().await;
    let summary = app.run(seven() + hours(48) + minutes(1)).await;
    assert_eq!(summary["reminders"]["skipped"], 1, "{summary}");
    assert_eq!(
        digests(&app).await,
        ["Petra Provider 2026-03-04 skipped empty_day"]
    );
    assert_eq!(app.ses.mails().len(), 1, "the throttled one");
}

#[tokio::test]
async fn it_says_what_is_so_when_it_leaves() {
    let app = with_digest("provider", 7).await;
    let [gone, moved, _stays] = [
        app.confirmed(seven() + hours(2)).await,
        app.confirmed(seven() + hours(3)).await,
        app.confirmed(seven() + hours(4)).await,
    ];
    throttle(&app);
    app.run(seven()).await;
    set_status(&app, gone, "cancelled").await;
    let later = seven() + hours(6);
    app.sql(
        "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
        &[&moved, &later],
    )
    .await;
    app.confirmed(seven() + hours(5)).await;
    app.ses.clear();
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    app.run(seven() + minutes(1)).await;
    assert_eq!(digests(&app).await, ["Petra Provider 2026-03-02 completed"]);
    let mails = app.ses.mails();
    let text = plain_spaces(mails[0].text());
    let times: Vec<_> = text
        .lines()
        .filter(|line| line.contains("Massage"))
        .collect();
    let line = |time: &str| format!("{time}: Massage with Carla Customer");
    assert_eq!(
        times,
        [
            line("11:00 AM – 12:00 PM"),
            line("12:00 PM – 1:00 PM"),
            line("1:00 PM – 2:00 PM")
        ]
    );
    // The row tells until when it makes sense: the start of the last booking.
    let starts_at: DateTime<Utc> = app
        .one(
            "SELECT starts_at FROM booking_automation_events WHERE person_id IS NOT NULL",
            &[],
        )
        .await
        .get(0);
    assert_eq!(starts_at, later);
}

#[tokio::test]
async fn it_is_an_hour_late_at_most() {
    for (late, expected) in [(60, 0), (59, 1)] {
        let app = with_digest("provider", 7).await;
        app.confirmed(seven() + hours(8)).await;
        app.run(seven() - minutes(5)).await;
        app.run(seven() + minutes(late)).await;
        assert_eq!(app.ses.mails().len(), expected, "{late}");
        app.run(seven() + minutes(late + 5)).await;
        assert_eq!(digests(&app).await.len(), expected, "{late}");
    }
}

#[tokio::test]
async fn a_rule_that_is_off_sends_nothing_any_more() {
    let app = with_digest("provider", 7).await;
    app.confirmed(seven() + hours(8)).await;
    throttle(&app);
    app.run(seven()).await;
    app.sql(
        "UPDATE booking_automation_digest_rules SET active = false",
        &[],
    )
    .await;
    app.make_claimable().await;
    app.run(seven() + minutes(1)).await;
    assert_eq!(
        digests(&app).await,
        ["Petra Provider 2026-03-02 skipped rule_off"]
    );
}

#[tokio::test]
async fn other_digest_rules_do_not_keep_one_in_force() {
    for off in ["active = false", "channels = '{}'"] {
        let app = with_digest("provider", 7).await;
        switch_on(&app, "customer", 7, noon() - hours(72)).await;
        app.set_clock(noon() - hours(72)).await;
        let sql = "INSERT INTO booking_automation_digest_rules (name, local_hour, audience, active) VALUES ('other', 7, 'provider', true)";
        app.sql(sql, &[]).await;
        app.confirmed(seven() + hours(3)).await;
        throttle(&app);
        app.run(seven()).await;
        let sql = format!(
            "UPDATE booking_automation_digest_rules SET {off} WHERE name = 'daily' AND audience = 'provider'"
        );
        app.sql(&sql, &[]).await;
        app.ses.answer(|_| Answer::Sent);
        app.make_claimable().await;
        app.run(seven() + minutes(1)).await;
        let sql =
            "SELECT concat_ws(' ', audience, rule, status, reason) FROM booking_automation_events
                    WHERE local_day IS NOT NULL ORDER BY 1";
        assert_eq!(
            app.column(sql, &[]).await,
            [
                "customer daily completed",
                "provider daily skipped rule_off",
                "provider other completed"
            ],
            "{off}"
        );
    }
}

#[tokio::test]
async fn each_person_has_it_at_the_hour_of_their_own_clock() {
    let mut app = with_digest("provider", 7).await;
    for zone in [
        "Pacific/Kiritimati",
        "Asia/Kathmandu",
        "asia/kolkata",
        "W. Europe Standard Time",
        "Nowhere/Land",
        "America/St_Johns",
        "America/New_York",
        "Pacific/Pago_Pago",
    ] {
        let person = app.person(zone, Some("p@providers.example"), zone).await;
        // Each local day from March 2 to 4 has bookings.
        for day in 0..4 {
            for hour in [0, 8, 16] {
                let start = at("2026-03-01T18:00:00Z") + hours(24 * day + hour);
                booking_with(&mut app, person, start).await;
            }
        }
    }
    let begin = at("2026-03-02T06:00:00Z");
    for quarter in 0..=96 {
        app.run(begin + minutes(15 * quarter)).await;
    }
    let due = due_times(&app).await;
    let mut expected = vec![
        "America/New_York 2026-03-02 02 12:00",
        "America/St_Johns 2026-03-02 02 10:30",
        "Asia/Kathmandu 2026-03-03 03 01:15",
        "Nowhere/Land 2026-03-02 02 07:00",
        "Pacific/Kiritimati 2026-03-03 02 17:00",
        "Pacific/Pago_Pago 2026-03-02 02 18:00",
        "W. Europe Standard Time 2026-03-02 02 06:00",
        "W. Europe Standard Time 2026-03-03 03 06:00",
        "asia/kolkata 2026-03-03 03 01:30",
    ];
    expected.sort_unstable();
    let mut due: Vec<_> = due.iter().map(String::as_str).collect();
    due.sort_unstable();
    assert_eq!(due, expected);
    assert_eq!(app.ses.mails().len(), expected.len());
}

/// Passes between two times.
async fn run_between(app: &App, from: &str, until: &str, every: Duration) {
    let (mut now, until) = (at(from), at(until));
    while now <= until {
        app.run(now).await;
        now += every;
    }
}

#[tokio::test]
async fn an_hour_that_does_not_exist_or_exists_twice_brings_one_digest() {
    // On March 29, the clocks go from 2:00 to 3:00; on October 25, from 3:00 to 2:00.
    for (day, from, until, due) in [
        (
            "2026-03-29",
            "2026-03-28T23:30:00Z",
            "2026-03-29T03:30:00Z",
            "29 01:00",
        ),
        (
            "2026-10-25",
            "2026-10-24T22:30:00Z",
            "2026-10-25T03:30:00Z",
            "25 00:00",
        ),
    ] {
        let app = with_digest("provider", 2).await;
        let noon: DateTime<Utc> = at(&format!("{day}T12:00:00Z"));
        app.confirmed(noon).await;
        // 2:30 of that night.
        app.confirmed(noon - hours(10) - minutes(30)).await;
        run_between(&app, from, until, minutes(15)).await;
        assert_eq!(
            due_times(&app).await,
            [format!("Petra Provider {day} {due}")],
            "{day}"
        );
        assert_eq!(app.ses.mails().len(), 1);
        insta::assert_snapshot!(
            format!("digest_{day}"),
            plain_spaces(app.ses.mails()[0].text())
        );
    }
}

#[tokio::test]
async fn a_day_that_a_zone_leaves_out_brings_none() {
    // Samoa had no December 30, 2011: after the 29th came the 31st.
    for (hour, expected) in [
        (7, ["29 29 17:00", "31 30 17:00", "01 31 17:00"]),
        (18, ["29 29 04:00", "31 30 10:00", "01 31 04:00"]),
    ] {
        let mut app = App::new().await;
        app.sql("UPDATE reminder_rules SET active = false", &[])
            .await;
        switch_on(&app, "provider", hour, at("2011-12-01T00:00:00Z")).await;
        let person = app
            .person("Sina", Some("sina@providers.example"), "Pacific/Apia")
            .await;
        for hour in 0..96 {
            let start = at("2011-12-29T00:00:00Z") + hours(hour);
            booking_with(&mut app, person, start).await;
        }
        run_between(
            &app,
            "2011-12-29T03:00:00Z",
            "2011-12-31T18:00:00Z",
            hours(1),
        )
        .await;
        let mut due = due_times(&app).await;
        due.sort_by_key(|due| due.split(' ').nth(1).map(str::to_owned));
        let due: Vec<_> = due
            .iter()
            .map(|due| {
                let (_, rest) = due.split_once("Sina ").unwrap();
                rest[8..].to_owned()
            })
            .collect();
        assert_eq!(due, expected, "{hour}");
    }
}

#[tokio::test]
async fn repeats_kills_and_passes_at_the_same_time_bring_one_digest() {
    let mut app = with_digest("provider", 7).await;
    app.confirmed(seven() + hours(3)).await;
    let passes = (0..4).map(|_| app.run(seven()));
    futures_util::future::join_all(passes).await;
    // As if the pass had ended before it recorded how far it came; and as if the clock were set back.
    for (forget, then) in [
        (
            "UPDATE booking_automation_digest_state SET looked_through = '-infinity'",
            seven() + minutes(5),
        ),
        (
            "UPDATE booking_automation_digest_state SET rules_digest = ''",
            seven() + minutes(6),
        ),
        (
            "DELETE FROM booking_automation_digest_state",
            seven() + minutes(7),
        ),
        ("DELETE FROM automation_runs", seven()),
    ] {
        app.sql(forget, &[]).await;
        app.run(then).await;
    }
    assert_eq!(digests(&app).await, ["Petra Provider 2026-03-02 completed"]);
    assert_eq!(app.ses.mails().len(), 1);
    // Those who had none yet get theirs.
    let olga = app
        .person("Olga", Some("olga@providers.example"), "Europe/Vienna")
        .await;
    booking_with(&mut app, olga, seven() + hours(4)).await;
    app.sql("DELETE FROM booking_automation_digest_state", &[])
        .await;
    app.run(seven() + minutes(8)).await;
    assert_eq!(
        digests(&app).await,
        [
            "Petra Provider 2026-03-02 completed",
            "Olga 2026-03-02 completed"
        ]
    );
    // The key decides, whoever writes.
    let copy = "INSERT INTO booking_automation_events (booking_id, event_type, rule, audience, channel, person_id, local_day)
                SELECT booking_id, event_type, rule, audience, channel, person_id, local_day
                  FROM booking_automation_events WHERE person_id IS NOT NULL";
    let refused = app.db.execute(copy, &[]).await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "23505");
}

#[tokio::test]
async fn doubts_suppressed_addresses_and_feedback_are_as_with_other_messages() {
    let mut app = with_digest("provider", 7).await;
    app.confirmed(seven() + hours(3)).await;
    app.confirmed(seven() + hours(27)).await;
    app.ses.answer(|_| Answer::Reset);
    app.run(seven()).await;
    assert_eq!(
        digests(&app).await,
        ["Petra Provider 2026-03-02 pending unknown"]
    );
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    app.run(seven() + minutes(1)).await;
    let outcomes = "SELECT (event_data -> 'attempts')::text FROM booking_automation_events WHERE person_id IS NOT NULL";
    let attempts = app.column(outcomes, &[]).await;
    assert!(
        attempts[0].contains("\"unknown\"") && attempts[0].contains("\"sent\""),
        "{attempts:?}"
    );
    let mails = app.ses.mails();
    app.env
        .insert("SES_CONFIGURATION_SET", "bookings".to_owned());
    let instance = Instance::start(&app).await;
    let mut event = ses_event("ses-bounce", mails[1].event_id(), "message-1");
    event["detail"]["bounce"]["bouncedRecipients"] =
        json!([{"emailAddress": "petra@providers.example"}]);
    instance.invoke(&event).await.unwrap();
    let feedback = "SELECT kind FROM booking_automation_feedback";
    assert_eq!(app.column(feedback, &[]).await, ["bounced"]);
    app.run(seven() + hours(24)).await;
    assert_eq!(
        digests(&app).await,
        [
            "Petra Provider 2026-03-02 completed",
            "Petra Provider 2026-03-03 skipped suppressed"
        ]
    );
}

#[tokio::test]
async fn erasing_a_person_erases_their_digests_and_sends_no_second_one() {
    let mut app = with_digest("provider", 7).await;
    app.confirmed(seven() + hours(3)).await;
    app.run(seven()).await;
    app.set_clock(seven() + minutes(2)).await;
    let server = support(&mut app, seven() + minutes(2)).await;
    let path = format!("/people/{}/messages", app.provider);
    let answer = ask(&server, "DELETE", &path, &[], b"").await.json();
    for (member, count) in [
        ("messages", 1),
        ("not_sent", 0),
        ("under_way", 0),
        ("remaining", 0),
    ] {
        assert_eq!(answer[member], count, "{answer}");
    }
    let left = "SELECT concat_ws(' ', event_data, message_id) FROM booking_automation_events WHERE person_id IS NOT NULL";
    assert_eq!(app.column(left, &[]).await, ["{\"forgotten\": true}"]);
    let erased = "SELECT events::text FROM booking_automation_erasures WHERE kind = 'person'";
    assert_eq!(app.column(erased, &[]).await, ["1"]);
    // What is erased is not erased again.
    let answer = ask(&server, "DELETE", &path, &[], b"").await.json();
    assert_eq!(answer["messages"], 0, "{answer}");
    app.sql("DELETE FROM booking_automation_digest_state", &[])
        .await;
    app.run(seven() + minutes(10)).await;
    assert_eq!(app.ses.mails().len(), 1);
    // One that waits is not sent.
    throttle(&app);
    app.confirmed(seven() + hours(27)).await;
    app.run(seven() + hours(24)).await;
    let server = support(&mut app, seven() + hours(24)).await;
    let answer = ask(&server, "DELETE", &path, &[], b"").await.json();
    assert_eq!(answer["not_sent"], 1, "{answer}");
    app.run(seven() + hours(24) + minutes(5)).await;
    assert_eq!(
        digests(&app).await.last().unwrap(),
        "Petra Provider 2026-03-03 skipped forgotten"
    );
}

#[tokio::test]
async fn the_trail_shows_a_digest_without_a_booking() {
    let mut app = with_digest("provider", 7).await;
    app.confirmed(seven() + hours(3)).await;
    app.run(seven()).await;
    let server = support(&mut app, seven()).await;
    let events = ask(&server, "GET", "/events?type=notification_sent", &[], b"")
        .await
        .json();
    let event = &events["events"][0];
    assert!(event["booking_id"].is_null(), "{event}");
    assert_eq!(event["rule"], "daily");
    assert_eq!(event["data"]["digest"]["day"], "2026-03-02", "{event}");
    assert_eq!(
        event["data"]["digest"]["person_id"],
        app.provider.to_string()
    );
    let path = format!("/bookings/{}/timeline", Uuid::nil());
    let answer = ask(&server, "GET", &path, &[], b"").await;
    assert_eq!(answer.status, 404, "{answer:?}");
}

/// Gives the view another expression as its `person_id`.
async fn with_person_id(app: &App, person_id: &str) {
    let sql = format!(
        "DO $$ BEGIN
             EXECUTE 'CREATE OR REPLACE VIEW booking_automation_contacts AS '
                 || regexp_replace(pg_get_viewdef('booking_automation_contacts'::regclass), '\\mFROM', ', {person_id} AS person_id FROM');
         END $$"
    );
    app.db.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn the_view_may_say_who_the_person_is() {
    let mut app = with_digest("provider", 7).await;
    app.sql("ALTER TABLE users ADD COLUMN account uuid", &[])
        .await;
    app.sql("UPDATE users SET account = id", &[]).await;
    with_person_id(&app, "person.account").await;
    // Petra has two profiles.
    let second = app
        .person("Petra P.", Some("petra@providers.example"), "Europe/London")
        .await;
    app.sql(
        "UPDATE users SET account = $1 WHERE id = $2",
        &[&app.provider, &second],
    )
    .await;
    app.confirmed(seven() + hours(3)).await;
    booking_with(&mut app, second, seven() + hours(2)).await;
    // The second one's clock shows seven an hour later.
    app.run(seven()).await;
    app.run(seven() + hours(1)).await;
    assert_eq!(digests(&app).await, ["Petra Provider 2026-03-02 completed"]);
    assert_eq!(app.ses.mails().len(), 1);
    assert_eq!(app.ses.mails()[0].subject(), "2 bookings on Mon, Mar 2");
    // Where the view does not say, it is whom the booking names.
    app.sql("UPDATE users SET account = NULL", &[]).await;
    app.confirmed(seven() + hours(30)).await;
    booking_with(&mut app, second, seven() + hours(29)).await;
    app.run(seven() + hours(24)).await;
    app.run(seven() + hours(25)).await;
    assert_eq!(app.ses.mails().len(), 3);
}

#[tokio::test]
async fn a_digest_finds_what_a_person_has_chosen_however_the_view_writes_their_name() {
    for (name, is_own) in [
        ("upper(person.id::text)", false),
        ("replace(person.id::text, ''-'', '''')", false),
        ("'' '' || person.id || '' ''", false),
        ("''  ''", false),
        ("NULL::text", false),
        ("lower(split_part(person.display_name, chr(32), 1))", true),
    ] {
        let app = with_digest("provider", 7).await;
        with_person_id(&app, name).await;
        let sql = "INSERT INTO booking_automation_preferences (person_id, language, timezone)
                   VALUES (CASE WHEN $2 THEN 'petra' ELSE $1::uuid::text END, 'de', 'Europe/Helsinki'),
                          ('other', 'fr', 'Asia/Dubai')";
        app.sql(sql, &[&app.provider, &is_own]).await;
        app.confirmed(seven() + hours(3)).await;
        // Seven o'clock of the other person, and of this one.
        app.run(seven() - hours(3)).await;
        assert_eq!(digests(&app).await, Vec::<String>::new(), "{name}");
        app.run(seven() - hours(1)).await;
        assert_eq!(
            digests(&app).await,
            ["Petra Provider 2026-03-02 completed"],
            "{name}"
        );
        assert_eq!(
            app.ses.mails()[0].subject(),
            "1 Buchung am Mo., 2. März",
            "{name}"
        );
    }
}

/// The view gives each booking the zone of its place.
#[tokio::test]
async fn bookings_at_places_in_several_zones_are_one_digest() {
    let mut app = with_digest("customer", 7).await;
    let linda = app
        .person("Linda", Some("linda@providers.example"), "Europe/London")
        .await;
    app.confirmed(seven() + hours(3)).await;
    booking_with(&mut app, linda, seven() + hours(5)).await;
    let dry = ["run", "--dry-run", "--as-of", &seven().to_rfc3339()];
    let dry = app.call(&dry).await.summary();
    assert_eq!(dry["reminders"]["deferred"], 1, "{dry}");
    throttle(&app);
    app.run(seven()).await;
    let sql = "SELECT starts_at FROM booking_automation_events WHERE local_day IS NOT NULL";
    let last: DateTime<Utc> = app.one(sql, &[]).await.get(0);
    assert_eq!(last, seven() + hours(5));
}

#[tokio::test]
async fn a_name_that_is_no_uuid_is_for_choices_alone() {
    let app = with_digest("provider", 7).await;
    with_person_id(&app, "lower(split_part(person.display_name, chr(32), 1))").await;
    app.confirmed(seven() + hours(3)).await;
    app.run(seven()).await;
    assert_eq!(digests(&app).await, ["Petra Provider 2026-03-02 completed"]);
    let sql =
        "INSERT INTO booking_automation_opt_outs (person_id, kind) VALUES ('petra', 'digest')";
    app.sql(sql, &[]).await;
    app.confirmed(seven() + hours(27)).await;
    app.run(seven() + hours(24)).await;
    assert_eq!(
        digests(&app).await.last().unwrap(),
        "Petra Provider 2026-03-03 skipped opted_out"
    );
}

#[tokio::test]
async fn a_digest_heeds_what_the_person_has_chosen() {
    let app = with_digest("provider", 7).await;
    // 7 o'clock there is an hour before.
    let sql = "INSERT INTO booking_automation_preferences (person_id, language, timezone)
               VALUES ($1::uuid::text, 'de', 'Europe/Helsinki')";
    app.sql(sql, &[&app.provider]).await;
    app.confirmed(seven() + hours(3)).await;
    app.run(seven() - hours(1)).await;
    assert_eq!(digests(&app).await, ["Petra Provider 2026-03-02 completed"]);
    assert_eq!(app.ses.mails()[0].subject(), "1 Buchung am Mo., 2. März");
    // They leave digests, and nothing else.
    let sql = "INSERT INTO booking_automation_opt_outs (person_id, kind) VALUES ($1::uuid::text, 'digest')";
    app.sql(sql, &[&app.provider]).await;
    app.confirmed(seven() + hours(26)).await;
    app.run(seven() + hours(23)).await;
    assert_eq!(
        digests(&app).await,
        [
            "Petra Provider 2026-03-02 completed",
            "Petra Provider 2026-03-03 skipped opted_out"
        ]
    );
    assert_eq!(app.ses.mails().len(), 1);
}

#[tokio::test]
async fn people_behind_one_provider_get_their_own_bookings() {
    let app = with_digest("provider", 7).await;
    // A studio: the place says who does it.
    with_person_id(
        &app,
        "CASE WHEN a.audience = ''provider'' THEN md5(b.location)::uuid END",
    )
    .await;
    for (place, hour) in [("Ana", 2), ("Ben", 3), ("Ana", 4), ("Ben", 5), ("Ben", 6)] {
        let id = app.confirmed(seven() + hours(hour)).await;
        app.sql(
            "UPDATE bookings SET location = $2 WHERE id = $1",
            &[&id, &place],
        )
        .await;
    }
    app.run(seven()).await;
    let mut subjects: Vec<_> = (app.ses.mails().iter())
        .map(|mail| mail.subject().to_owned())
        .collect();
    subjects.sort_unstable();
    assert_eq!(
        subjects,
        ["2 bookings on Mon, Mar 2", "3 bookings on Mon, Mar 2"]
    );
}

/// A pass that looked while the rule was not committed yet decided nothing about it.
#[tokio::test]
async fn a_rule_that_is_committed_after_its_hour_has_its_digests() {
    let app = with_digest("customer", 20).await;
    app.confirmed(seven() + hours(3)).await;
    let mut other = connect(&app.url).await;
    let clock = (seven() - minutes(1)).to_rfc3339();
    let open = other.transaction().await.unwrap();
    open.batch_execute(&format!(
        "SET booking_automation.as_of = '{clock}';
         UPDATE booking_automation_digest_rules SET active = true WHERE audience = 'provider'"
    ))
    .await
    .unwrap();
    app.run(seven()).await;
    open.commit().await.unwrap();
    app.run(seven() + minutes(1)).await;
    assert_eq!(digests(&app).await, ["Petra Provider 2026-03-02 completed"]);
}

#[tokio::test]
async fn a_booking_that_refers_to_nobody_is_in_no_digest() {
    let app = with_digest("provider", 7).await;
    for hour in [3, 4] {
        let id = app.confirmed(seven() + hours(hour)).await;
        let sql = "UPDATE bookings SET provider_id = NULL WHERE id = $1";
        app.sql(sql, &[&id]).await;
    }
    app.confirmed(seven() + hours(5)).await;
    app.run(seven()).await;
    assert_eq!(digests(&app).await, ["Petra Provider 2026-03-02 completed"]);
    assert_eq!(app.ses.mails()[0].subject(), "1 booking on Mon, Mar 2");
    // The view may name a person all the same; but their bookings are found by whom these refer to.
    let named = "CASE WHEN b.provider_id IS NULL THEN ''00000000-0000-0000-0000-000000000001'' END";
    with_person_id(&app, named).await;
    let sql = "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 day' WHERE provider_id IS NULL";
    assert_eq!(app.sql(sql, &[]).await, 2);
    app.run(seven() + hours(24)).await;
    assert_eq!(digests(&app).await, ["Petra Provider 2026-03-02 completed"]);
}

#[tokio::test]
async fn a_long_day_is_cut() {
    let app = with_digest("provider", 7).await;
    app.sql(
        "INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, location)
         SELECT $1, $2, $3, 'confirmed', $4::timestamptz + number * interval '10 minutes', 10, repeat('x', 5000) FROM generate_series(1, 60) AS number",
        &[&app.customer, &app.provider, &app.service, &seven()],
    )
    .await;
    app.run(seven()).await;
    let mail = &app.ses.mails()[0];
    assert_eq!(mail.subject(), "60 bookings on Mon, Mar 2");
    let text = mail.text();
    assert_eq!(text.matches("Massage with Carla").count(), 50);
    assert!(
        text.contains("10 more bookings are not listed here."),
        "{text}"
    );
}

#[tokio::test]
async fn many_digests_leave_in_pages_that_the_texts_fill() {
    let mut app = with_digest("provider", 7).await;
    // A page has room for sixteen, of 60 bookings each; and with these texts for fewer.
    let providers: i32 = 60;
    app.sql(
        "INSERT INTO users (display_name, email, timezone)
         SELECT 'Provider ' || n || repeat('y', 400), 'p' || n || '@providers.example', 'Europe/Vienna' FROM generate_series(1, $1::int) AS n",
        &[&providers],
    )
    .await;
    app.sql(
        "INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, is_online, meeting_link, location)
         SELECT $1, u.id, $2, 'confirmed', $3::timestamptz + number * interval '10 minutes', 10, true, 'https://meet.example/' || repeat('x', 1900), repeat('z', 500)
           FROM users u, generate_series(1, 60) AS number WHERE u.display_name LIKE 'Provider %'",
        &[&app.customer, &app.service, &seven()],
    )
    .await;
    app.env.insert("SEND_RATE", "2000".to_owned());
    app.run(seven()).await;
    assert_eq!(app.ses.mails().len(), 60);
    let whole = |mail: &crate::ses::Mail| mail.text().matches("Massage with Carla").count() == 50;
    assert!(app.ses.mails().iter().all(whole));
}

#[tokio::test]
async fn a_booking_whose_people_cannot_be_read_does_not_stop_the_others() {
    let mut app = with_digest("provider", 7).await;
    let other = app
        .person("Olga", Some("olga@providers.example"), "Europe/Vienna")
        .await;
    let broken = booking_with(&mut app, other, seven() + hours(2)).await;
    app.confirmed(seven() + hours(3)).await;
    app.confirmed(seven() + hours(2) + minutes(2)).await;
    app.sql(
        "UPDATE bookings SET location = '0' WHERE id = $1",
        &[&broken],
    )
    .await;
    app.db
        .batch_execute("ALTER TABLE users ADD COLUMN one uuid")
        .await
        .unwrap();
    // A division by zero for one booking.
    with_person_id(
        &app,
        "CASE WHEN b.location = ''0'' AND 1 / length(substr(b.location, 2)) > 0 THEN person.one END",
    )
    .await;
    let said = app.call(&["run", "--as-of", &seven().to_rfc3339()]).await;
    assert!(
        said.stderr.contains("digests leave out bookings"),
        "{}",
        said.stderr
    );
    assert_eq!(digests(&app).await, ["Petra Provider 2026-03-02 completed"]);
    assert_eq!(app.ses.mails()[0].subject(), "2 bookings on Mon, Mar 2");
}

#[tokio::test]
async fn a_booking_of_which_nobody_can_say_whether_it_is_live_does_not_stop_other_people() {
    let mut app = with_digest("provider", 7).await;
    let other = app
        .person("Olga", Some("olga@providers.example"), "Europe/Vienna")
        .await;
    app.db
        .batch_execute(
            "CREATE OR REPLACE FUNCTION booking_automation_is_live(booking bookings) RETURNS boolean LANGUAGE sql STABLE
             RETURN 1 / length(booking.location) > -1",
        )
        .await
        .unwrap();
    let broken = booking_with(&mut app, other, seven() + hours(2)).await;
    app.confirmed(seven() + hours(3)).await;
    throttle(&app);
    app.sql(
        "UPDATE bookings SET location = 'x' WHERE id = $1",
        &[&broken],
    )
    .await;
    app.run(seven()).await;
    assert_eq!(digests(&app).await.len(), 2);
    // From now on, it fails for Olga's booking.
    app.sql(
        "UPDATE bookings SET location = '' WHERE id = $1",
        &[&broken],
    )
    .await;
    app.ses.answer(|_| Answer::Sent);
    for minute in 1..4 {
        app.make_claimable().await;
        app.call(&["run", "--as-of", &(seven() + minutes(minute)).to_rfc3339()])
            .await;
    }
    let mut digests = digests(&app).await;
    digests.sort_unstable();
    assert_eq!(
        digests,
        [
            "Olga 2026-03-02 pending contacts",
            "Petra Provider 2026-03-02 completed"
        ]
    );
}

#[tokio::test]
async fn without_an_address_it_is_on_record() {
    let app = with_digest("provider", 7).await;
    app.sql("UPDATE users SET email = NULL", &[]).await;
    app.confirmed(seven() + hours(3)).await;
    app.run(seven()).await;
    assert_eq!(
        digests(&app).await,
        ["Petra Provider 2026-03-02 skipped no_address"]
    );
}

#[tokio::test]
async fn each_digest_has_the_bookings_of_its_person_and_their_day() {
    let mut app = with_digest("provider", 7).await;
    switch_on(&app, "customer", 20, noon() - hours(24)).await;
    // At 7:00 in Vienna, it is 20:00 there, and the next day begins four hours later.
    let zone = "UPDATE users SET timezone = 'Pacific/Kiritimati' WHERE id = $1";
    app.sql(zone, &[&app.customer]).await;
    let (carla, petra) = (app.customer, app.provider);
    let olga = app
        .person("Olga", Some("olga@customers.example"), "Europe/London")
        .await;
    for (customer, provider, hour) in [
        (carla, petra, 2),
        (carla, petra, 6),
        (carla, petra, 20),
        (olga, petra, 7),
        // The other way round.
        (petra, olga, 8),
        (olga, carla, 9),
    ] {
        (app.customer, app.provider) = (customer, provider);
        app.confirmed(seven() + hours(hour)).await;
    }
    app.run(seven()).await;
    let mut subjects: Vec<_> = (app.ses.mails().iter())
        .map(|mail| format!("{} {}", mail.to(), mail.subject()))
        .collect();
    subjects.sort();
    assert_eq!(
        subjects,
        [
            "carla@customers.example 2 bookings on Tue, Mar 3",
            "petra@providers.example 3 bookings on Mon, Mar 2",
        ]
    );
}

/// Without the notice, the digest would be the last message that the person got.
#[tokio::test]
async fn a_notice_repeats_what_a_digest_has_told_differently() {
    let moved = [
        "scheduled_at = scheduled_at + interval '2 hours'",
        "scheduled_at = scheduled_at - interval '2 hours'",
    ];
    // The digest is of tomorrow, and the booking of another day.
    let brought_forward = [
        "scheduled_at = scheduled_at - interval '3 days'",
        "scheduled_at = scheduled_at + interval '3 days'",
    ];
    let [confirmed, cancelled] = ["status = 'confirmed'", "status = 'cancelled'"];
    // The rules; what happens before the digest and after it; the notice of the last change, which
    // is sent again unless the digest was another person's.
    for (rules, first, changes, rule) in [
        ("confirmed,rescheduled", confirmed, moved, "rescheduled"),
        (
            "confirmed,rescheduled",
            confirmed,
            brought_forward,
            "rescheduled",
        ),
        ("cancelled", cancelled, [confirmed, cancelled], "cancelled"),
        ("confirmed", confirmed, [cancelled, confirmed], "confirmed"),
    ] {
        for is_theirs in [true, false] {
            let app = with_digest("customer", 13).await;
            app.set_clock(noon() - hours(3)).await;
            let sql = "UPDATE booking_automation_notice_rules SET active = true
                    WHERE audience = 'customer' AND name = ANY (string_to_array($1, ','))";
            app.sql(sql, &[&rules]).await;
            let day = match changes == brought_forward {
                true => 4,
                false => 1,
            };
            let id = app.booking("pending", noon() + hours(24 * day - 1)).await;
            app.confirmed(noon() + hours(24)).await;
            let change = async |at: DateTime<Utc>, change: &str| {
                app.set_clock(at).await;
                let sql = format!("UPDATE bookings SET {change} WHERE id = $1");
                app.sql(&sql, &[&id]).await;
            };
            change(noon() - minutes(60), first).await;
            app.run(noon() - minutes(59)).await;
            let sql = "UPDATE booking_automation_notice_rules SET delay = '15 minutes'";
            app.sql(sql, &[]).await;
            change(noon() - minutes(10), changes[0]).await;
            app.run(noon()).await;
            let listed = "Carla Customer 2026-03-02 completed".to_owned();
            assert!(digests(&app).await.contains(&listed));
            if !is_theirs {
                let sql = "UPDATE booking_automation_events SET person_id = gen_random_uuid() WHERE local_day IS NOT NULL";
                app.sql_without_triggers(sql).await;
            }
            change(noon() + minutes(3), changes[1]).await;
            app.run(noon() + minutes(6)).await;
            app.run(noon() + minutes(19)).await;
            let sql = "SELECT count(*)::text FROM booking_automation_events
                        WHERE event_type = 'notification_sent' AND booking_id = $1 AND rule = $2 AND status = 'completed'
                          AND seq > (SELECT seq FROM booking_automation_events WHERE local_day IS NOT NULL)";
            let sent = app.column(sql, &[&id, &rule]).await;
            assert_eq!(sent, [i32::from(is_theirs).to_string()], "{rule}");
            if is_theirs && changes == moved {
                // From what the digest said, not from what the confirmation did.
                let mails = app.ses.mails();
                let text = mails.last().unwrap().text();
                assert!(
                    text.contains("Before: Monday, March 2, 2026, 2:00"),
                    "{text}"
                );
            }
        }
    }
}

/// Of several moves, the one that follows the digest is told with the start that the digest said.
#[tokio::test]
async fn a_digest_says_where_a_booking_is_moved_from() {
    for (moves, expected) in [
        // From 13 o'clock on; the confirmation said 12, the digest 14.
        (["14:00", "16:00", "17:00"], Some("2:00")),
        (["14:00", "16:00", "14:00"], None),
    ] {
        let app = with_digest("customer", 13).await;
        app.set_clock(noon() - hours(3)).await;
        let sql = "UPDATE booking_automation_notice_rules SET active = true
                    WHERE audience = 'customer' AND name IN ('confirmed', 'rescheduled')";
        app.sql(sql, &[]).await;
        let id = app.booking("pending", noon() + hours(23)).await;
        app.set_clock(noon() - hours(1)).await;
        set_status(&app, id, "confirmed").await;
        app.run(noon() - minutes(59)).await;
        let sql = "UPDATE booking_automation_notice_rules SET delay = '15 minutes'";
        app.sql(sql, &[]).await;
        let other = app.booking("pending", noon() + hours(24)).await;
        for (minute, time) in [-10, 3, 6].into_iter().zip(moves) {
            app.set_clock(noon() + minutes(minute)).await;
            // Neither a move of another booking nor another event of this one counts.
            let start = noon() + hours(24) + minutes(minute);
            set_start(&app, other, start).await;
            let sql = "INSERT INTO booking_automation_events (booking_id, event_type, scheduled_at, executed_at, status, event_data)
                       SELECT $1, 'note', moment, moment, 'completed', jsonb_build_object('from', moment)
                         FROM (SELECT $2::timestamptz AS moment) AS m";
            app.sql(sql, &[&id, &(noon() + minutes(minute))]).await;
            let start = format!("2026-03-02 {time} Europe/Vienna");
            let sql = "UPDATE bookings SET scheduled_at = $2::text::timestamptz WHERE id = $1";
            app.sql(sql, &[&id, &start]).await;
            app.run(noon() + minutes(minute.max(0))).await;
        }
        app.run(noon() + minutes(22)).await;
        let mails = app.ses.mails();
        let last = mails.last().unwrap();
        match expected {
            Some(time) => {
                let before = format!("Before: Monday, March 2, 2026, {time}");
                assert_eq!(mails.len(), 3);
                assert!(last.text().contains(&before), "{}", last.text());
            }
            None => assert!(!last.text().contains("Before: "), "{}", last.text()),
        }
    }
}

/// Without the reminder, the digest would be the last message that the person got.
#[tokio::test]
async fn a_reminder_repeats_what_a_digest_has_told_differently() {
    let again = "24h completed";
    let once = "24h skipped already_told";
    for (away, back, digest, last) in [
        (-10, 5, "", again),
        // A view may name people by other ids than UUIDs.
        (-10, 5, "named", again),
        // What the digest told is not known for certain.
        (
            -10,
            5,
            "status = 'failed', executed_at = executed_at + interval '1 day', error_message = 'the lease ran out'",
            again,
        ),
        // It was read a moment after the change, whose transaction may have ended later.
        (
            -10,
            5,
            "scheduled_at = scheduled_at + interval '330 seconds', executed_at = executed_at + interval '330 seconds'",
            again,
        ),
        // The triggers of the program were off, so that the trail has no changes.
        (-10, 5, "untracked", again),
        // It told that the booking was moved back, or left before it was moved.
        (-10, -5, "", once),
        (5, 7, "", once),
        (
            -10,
            5,
            "scheduled_at = scheduled_at + interval '390 seconds', executed_at = executed_at + interval '390 seconds'",
            once,
        ),
        // Others, and what did not arrive.
        (-10, 5, "person_id = gen_random_uuid()", once),
        (-10, 5, "audience = 'provider'", once),
        (-10, 5, "channel = 'sms'", once),
        (-10, 5, "local_day = local_day + 5", once),
        (-10, 5, "status = 'skipped', attempts = 0", once),
    ] {
        let app = with_digest("customer", 13).await;
        for change in ["active = (name = '24h')", "effective_from = '-infinity'"] {
            let sql = format!("UPDATE reminder_rules SET {change}");
            app.sql(&sql, &[]).await;
        }
        if digest == "named" {
            with_person_id(&app, "''person '' || person.email").await;
        }
        let start = noon() + hours(23);
        // What changed before the reminder, or of another booking, and other events do not count.
        let id = app.booking("pending", start).await;
        set_status(&app, id, "confirmed").await;
        app.run(start - hours(24)).await;
        let other = app.confirmed(start + hours(2)).await;
        app.set_clock(noon() - minutes(11)).await;
        set_start(&app, other, start + hours(1)).await;
        let sql = "INSERT INTO booking_automation_events (booking_id, event_type, scheduled_at, executed_at, status)
                   SELECT $1, 'note', moment, moment, 'completed' FROM (SELECT $2::timestamptz AS moment) AS m";
        app.sql(sql, &[&id, &(noon() - minutes(11))]).await;
        let mut moments = [(0, None), (away, Some(2)), (back, Some(0))];
        moments.sort_unstable();
        for (at, later) in moments {
            let at = noon() + minutes(at);
            let Some(later) = later else {
                app.run(at).await;
                assert_eq!(digests(&app).await, ["Carla Customer 2026-03-02 completed"]);
                if digest.contains('=') {
                    let sql = format!(
                        "UPDATE booking_automation_events SET {digest} WHERE local_day IS NOT NULL"
                    );
                    app.sql_without_triggers(&sql).await;
                }
                continue;
            };
            app.set_clock(at).await;
            set_start(&app, id, start + hours(later)).await;
        }
        if digest == "untracked" {
            let sql = "DELETE FROM booking_automation_events WHERE event_type = 'rescheduled'";
            app.sql_without_triggers(sql).await;
        }
        app.run(noon() + minutes(8)).await;
        let told = app.reminders(id).await;
        let found = told.last().map(String::as_str);
        assert_eq!(found, Some(last), "{away} {back} {digest}");
    }
}

#[tokio::test]
async fn a_booking_that_is_not_live_is_not_listed() {
    let app = with_digest("provider", 7).await;
    app.db
        .batch_execute("ALTER TABLE bookings ADD COLUMN deleted_at timestamptz")
        .await
        .unwrap();
    let said = app.call(&["migrate"]).await;
    assert!(said.success, "{}", said.stderr);
    let deleted = app.confirmed(seven() + hours(3)).await;
    app.sql(
        "UPDATE bookings SET deleted_at = now() WHERE id = $1",
        &[&deleted],
    )
    .await;
    app.run(seven()).await;
    assert!(digests(&app).await.is_empty());
    app.confirmed(seven() + hours(26)).await;
    let deleted = app.confirmed(seven() + hours(27)).await;
    app.sql(
        "UPDATE bookings SET deleted_at = now() WHERE id = $1",
        &[&deleted],
    )
    .await;
    app.run(seven() + hours(24)).await;
    assert_eq!(app.ses.mails()[0].subject(), "1 booking on Tue, Mar 3");
}

#[tokio::test]
async fn own_texts_replace_those_of_the_digest() {
    let app = with_digest("provider", 7).await;
    app.sql(
        "INSERT INTO booking_automation_templates (kind, language, part, body)
         VALUES ('digest', 'en', 'subject', E'{ $count ->\n [one] Just one\n*[other] { $count } today\n}')",
        &[],
    )
    .await;
    app.confirmed(seven() + hours(3)).await;
    app.run(seven()).await;
    assert_eq!(app.ses.mails()[0].subject(), "Just one");
}

#[tokio::test]
async fn days_are_stored_as_days() {
    let app = with_digest("provider", 7).await;
    app.confirmed(seven() + hours(3)).await;
    app.run(seven()).await;
    let row = app
        .one(
            "SELECT booking_id, person_id, local_day, scheduled_at, starts_at FROM booking_automation_events WHERE person_id IS NOT NULL",
            &[],
        )
        .await;
    assert_eq!(row.get::<_, Uuid>("booking_id"), Uuid::nil());
    assert_eq!(row.get::<_, Uuid>("person_id"), app.provider);
    assert_eq!(
        row.get::<_, NaiveDate>("local_day"),
        NaiveDate::from_ymd_opt(2026, 3, 2).unwrap()
    );
    assert_eq!(row.get::<_, DateTime<Utc>>("scheduled_at"), seven());
    assert_eq!(
        row.get::<_, DateTime<Utc>>("starts_at"),
        seven() + Duration::hours(3)
    );
}

#[tokio::test]
async fn before_migrate_messages_go_out_as_they_did() {
    let mut app = App::new().await;
    app.confirmed(noon() + hours(24)).await;
    app.db
        .batch_execute(
            "DROP TABLE booking_automation_digest_rules, booking_automation_digest_state, booking_automation_preferences,
                 booking_automation_push_tokens, booking_automation_soft_bounces, booking_automation_sms_replies, booking_automation_sms;
             DROP TRIGGER booking_automation_keep_keys ON booking_automation_events;
             ALTER TABLE booking_automation_events DROP COLUMN person_id, DROP COLUMN local_day, DROP COLUMN led_by, DROP COLUMN led_attempt,
                 DROP COLUMN recipient, DROP COLUMN via;
             ALTER TABLE reminder_rules DROP COLUMN group_within;
             DO $$ BEGIN
                 EXECUTE regexp_replace(pg_get_functiondef('booking_automation_keep_event'::regproc), '(NEW|OLD)[.]recipient,', '', 'g');
             END $$;
             CREATE OR REPLACE FUNCTION booking_automation_settled_by(event_id uuid) RETURNS text LANGUAGE sql STABLE AS
             'SELECT min(f.message_id) FROM public.booking_automation_feedback f WHERE f.event_id = booking_automation_settled_by.event_id'",
        )
        .await
        .unwrap();
    let summary = app.run(noon()).await;
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    let dry = ["run", "--dry-run", "--as-of", &noon().to_rfc3339()];
    assert_eq!(app.call(&dry).await.summary()["outcome"], "dry_run");
    let server = support(&mut app, noon()).await;
    let events = ask(&server, "GET", "/events", &[], b"").await;
    assert_eq!(events.status, 200, "{events:?}");
    let path = format!("/people/{}/messages", app.customer);
    let answer = ask(&server, "DELETE", &path, &[], b"").await.json();
    assert_eq!(answer["messages"], 1, "{answer}");
}

#[tokio::test]
async fn without_rules_nothing_of_digests_is_read() {
    let app = App::new().await;
    app.sql("UPDATE reminder_rules SET active = false", &[])
        .await;
    app.confirmed(seven() + hours(3)).await;
    // Whoever reads the view fails.
    app.db
        .batch_execute(
            "DO $$ BEGIN
                 EXECUTE 'CREATE OR REPLACE VIEW booking_automation_contacts AS '
                     || replace(pg_get_viewdef('booking_automation_contacts'::regclass), 'b.id AS booking_id', '(1 / (b.duration_minutes - b.duration_minutes) || b.id::text)::uuid AS booking_id');
             END $$",
        )
        .await
        .unwrap();
    let call = async |time: DateTime<Utc>| app.call(&["run", "--as-of", &time.to_rfc3339()]).await;
    let said = call(seven()).await;
    assert!(
        said.success && !said.stderr.contains("ERROR"),
        "{}",
        said.stderr
    );
    switch_on(&app, "provider", 7, noon()).await;
    // With a rule, at the quarters alone.
    for (minute, reads) in [(0, true), (7, false), (15, true)] {
        app.sql("UPDATE booking_automation_digest_state SET looked_through = $1, rules_digest = (
                     SELECT md5(string_agg(format('%s|%s|%s|%s|%s', name, audience, local_hour, channels, extract(epoch FROM effective_from)), ','))
                       FROM booking_automation_digest_rules WHERE active)", &[&(seven() + minutes(minute) - minutes(1))])
            .await;
        let said = call(seven() + minutes(minute)).await;
        assert!(said.success, "{}", said.stderr);
        let has_failed = said.stderr.contains("digests leave out bookings");
        assert_eq!(has_failed, reads, "{minute}: {}", said.stderr);
    }
}
