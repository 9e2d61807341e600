//! One mail for several: reminders of a person's bookings of one day leave together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Duration, Timelike as _, Utc};
use uuid::Uuid;

use crate::app::{App, connect, hours, minutes, noon};
use crate::feedback::ses_event;
use crate::runtime_api::Instance;
use crate::ses::{Answer, Mail};
use crate::status::{ask, support};

/// Confirmed bookings at these hours after noon.
async fn bookings_after<const N: usize>(app: &App, starts: [i64; N]) -> [Uuid; N] {
    let mut ids = [Uuid::nil(); N];
    for (id, start) in ids.iter_mut().zip(starts) {
        *id = app.confirmed(noon() + hours(start)).await;
    }
    ids
}

/// How many bookings each mail lists, by the links to their pages.
fn listed(app: &App) -> Vec<usize> {
    let bookings = |mail: Mail| mail.text().matches("https://bookings.example/").count();
    app.ses.mails().into_iter().map(bookings).collect()
}

async fn app_with_pages() -> App {
    let mut app = App::new().await;
    let page = "https://bookings.example".to_owned();
    app.env.insert("PUBLIC_URL", page);
    app.sql("UPDATE reminder_rules SET group_within = '12 hours'", &[])
        .await;
    app
}

/// The reminders of all bookings by their starts: `status reason attempts`.
async fn outcomes(app: &App) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', status, reason, attempts) FROM booking_automation_events
                WHERE event_type = 'reminder_sent' ORDER BY starts_at, seq";
    app.column(sql, &[]).await
}

async fn event_of(app: &App, booking: Uuid) -> String {
    let sql = "SELECT id::text FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'reminder_sent'";
    app.one(sql, &[&booking]).await.get(0)
}

/// A pass that is committed, and after which nothing can be claimed.
async fn pass_without_delivery(app: &App, arguments: &[&str]) {
    let holder = connect(&app.url).await;
    holder
        .batch_execute("BEGIN; SELECT FROM booking_automation_channels FOR UPDATE")
        .await
        .unwrap();
    let call = [&["run", "--for", "10s"], arguments].concat();
    app.call(&call).await.summary();
    holder.batch_execute("ROLLBACK").await.unwrap();
}

/// A pass at noon whose messages SES does not take; then it takes all.
async fn throttled_once(app: &App) {
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slower"));
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    app.ses.clear();
}

async fn cancel(app: &App, booking: Uuid) {
    let sql = "UPDATE bookings SET status = 'cancelled' WHERE id = $1";
    app.sql(sql, &[&booking]).await;
}

#[tokio::test]
async fn bookings_of_one_day_leave_in_one_mail() {
    let mut app = app_with_pages().await;
    // In Vienna: March 2 at 13:00, 14:00 and 19:00, and March 3 at 01:00.
    let ids = bookings_after(&app, [24, 25, 30, 36]).await;
    let summary = app.run(noon()).await;
    assert_eq!(summary["reminders"]["sent"], 3, "{summary}");
    let mails = app.ses.mails();
    let [mail] = &mails[..] else {
        panic!("{} mails", mails.len());
    };
    assert!(mail.subject().contains("3 bookings"), "{}", mail.subject());
    let places = ids.map(|id| mail.text().find(&id.to_string()));
    assert!(
        places[0].is_some() && places[0] < places[1] && places[1] < places[2],
        "{}",
        mail.text()
    );
    assert_eq!((places[3], mail.calendar().is_some()), (None, false));
    assert_eq!(mail.event_id(), event_of(&app, ids[0]).await);
    let message_ids = "SELECT DISTINCT message_id FROM booking_automation_events WHERE event_type = 'reminder_sent'";
    assert_eq!(app.column(message_ids, &[]).await.len(), 1);
    // Each has its own row, due at its own time.
    let due =
        "SELECT concat_ws(' ', to_char(scheduled_at AT TIME ZONE 'UTC', 'HH24:MI'), status, reason)
                 FROM booking_automation_events WHERE event_type = 'reminder_sent' ORDER BY 1";
    assert_eq!(
        app.column(due, &[]).await,
        ["12:00 completed", "13:00 completed", "18:00 completed"]
    );
    // The flag of each booking, and why it got no mail of its own.
    let flags = "SELECT count(*) FROM bookings WHERE reminder_24h_sent";
    assert_eq!(app.one(flags, &[]).await.get::<_, i64>(0), 3);
    app.ses.clear();
    for later in [1, 6] {
        app.run(noon() + hours(later)).await;
    }
    assert_eq!(app.ses.mails().len(), 0);
    app.run(noon() + hours(12)).await;
    assert_eq!(listed(&app), [1]);
    let server = support(&mut app, noon() + hours(13)).await;
    let path = format!("/bookings/{}/timeline", ids[1]);
    let timeline = ask(&server, "GET", &path, &[], b"").await.json();
    let entry = (timeline["happened"].as_array().unwrap().iter())
        .find(|entry| entry["kind"] == "message")
        .unwrap();
    assert_eq!(entry["sent_with"], ids[0].to_string(), "{entry}");
    let said = format!(
        "was sent. It shared its mail with the reminder of booking {}.",
        ids[0]
    );
    assert!(entry["text"].as_str().unwrap().ends_with(&said), "{entry}");
}

#[tokio::test]
async fn a_rule_says_how_far_apart_they_may_be() {
    for (within, mails) in [
        ("12 hours", vec![3]),
        ("6 hours", vec![3]),
        ("2 hours", vec![2, 1]),
        ("0", vec![1, 1, 1]),
    ] {
        let app = app_with_pages().await;
        let sql = "UPDATE reminder_rules SET group_within = $1::text::interval";
        app.sql(sql, &[&within]).await;
        bookings_after(&app, [24, 25, 30]).await;
        for later in [0, 1, 6] {
            app.run(noon() + hours(later)).await;
        }
        assert_eq!(listed(&app), mails, "{within}");
    }
    // Not even of those that are due at once.
    let app = app_with_pages().await;
    app.sql("UPDATE reminder_rules SET group_within = '0'", &[])
        .await;
    bookings_after(&app, [24, 24]).await;
    app.run(noon()).await;
    assert_eq!(listed(&app), [1, 1]);
    // A reminder close to the start leaves by itself.
    let app = app_with_pages().await;
    let sql = "UPDATE reminder_rules SET lead = '11 hours' WHERE name = '24h'";
    app.sql(sql, &[]).await;
    app.sql(
        "UPDATE reminder_rules SET effective_from = '-infinity'",
        &[],
    )
    .await;
    bookings_after(&app, [11, 12]).await;
    app.run(noon()).await;
    assert_eq!(listed(&app), [1]);
}

#[tokio::test]
async fn a_rule_of_the_other_audience_has_no_say() {
    for (customers, providers, mails) in [("0", "12 hours", vec![1, 1]), ("12 hours", "0", vec![2])]
    {
        let app = app_with_pages().await;
        let sql = "INSERT INTO reminder_rules (name, audience, lead, active, group_within) VALUES ('24h', 'provider', '30 hours', false, $1::text::interval)";
        app.sql(sql, &[&providers]).await;
        let sql = "UPDATE reminder_rules SET group_within = $1::text::interval WHERE audience = 'customer'";
        app.sql(sql, &[&customers]).await;
        bookings_after(&app, [24, 31]).await;
        app.run(noon()).await;
        app.run(noon() + hours(7)).await;
        assert_eq!(listed(&app), mails);
        // There are none to providers, and the lead is that of the customers' rule.
        let rows = "SELECT concat_ws(' ', audience, starts_at - scheduled_at) FROM booking_automation_events WHERE event_type = 'reminder_sent'";
        assert_eq!(app.column(rows, &[]).await, ["customer 1 day"; 2]);
    }
}

#[tokio::test]
async fn other_decisions_about_a_booking_do_not_keep_it_out() {
    for decision in [
        "'48h', 'customer', 'email', 1",
        "'24h', 'provider', 'email', 1",
        "'24h', 'customer', 'sms', 1",
        "'24h', 'customer', 'email', 0",
    ] {
        let app = app_with_pages().await;
        let [_, second] = bookings_after(&app, [24, 25]).await;
        let sql = format!(
            "INSERT INTO booking_automation_events (booking_id, event_type, status, starts_at, rule, audience, channel, revision)
             SELECT id, 'reminder_sent', 'skipped', scheduled_at, {decision} FROM bookings WHERE id = $1"
        );
        app.sql(&sql, &[&second]).await;
        app.run(noon()).await;
        assert_eq!(listed(&app), [2], "{decision}");
    }
}

#[tokio::test]
async fn a_booking_from_before_the_installation_joins() {
    let app = app_with_pages().await;
    let [_, second] = bookings_after(&app, [24, 25]).await;
    let sql = "DELETE FROM booking_automation_state WHERE booking_id = $1";
    app.sql(sql, &[&second]).await;
    app.run(noon()).await;
    assert_eq!(listed(&app), [2]);
}

#[tokio::test]
async fn quiet_hours_of_others_or_at_another_time_keep_none_out() {
    let app = app_with_pages().await;
    let other = app
        .person("Other", Some("other@customers.example"), "UTC")
        .await;
    let sql = "INSERT INTO booking_automation_preferences (person_id, quiet_from, quiet_until, timezone)
               VALUES ($1::uuid::text, '22:00', '23:00', 'UTC'), ($2::uuid::text, '12:30', '20:00', 'UTC')";
    app.sql(sql, &[&app.customer, &other]).await;
    bookings_after(&app, [24, 25]).await;
    app.run(noon()).await;
    assert_eq!(listed(&app), [2]);
}

#[tokio::test]
async fn what_became_due_before_its_rule_began_does_not_join() {
    let app = app_with_pages().await;
    let sql = "UPDATE reminder_rules SET effective_from = $1";
    app.sql(sql, &[&(noon() - hours(1))]).await;
    // In Vienna: March 2 at 02:00 and at 13:00.
    let [before, _] = bookings_after(&app, [13, 24]).await;
    app.run(noon()).await;
    assert_eq!(listed(&app), [1]);
    assert_eq!(app.reminders(before).await, [""; 0]);
}

#[tokio::test]
async fn reminders_of_earlier_passes_and_of_others_stay_as_they_are() {
    let app = app_with_pages().await;
    let led = "SELECT count(*)::text FROM booking_automation_events WHERE led_by IS NOT NULL";
    // It was tried by itself, and what becomes due two minutes later leaves by itself.
    bookings_after(&app, [24]).await;
    throttled_once(&app).await;
    app.confirmed(noon() + hours(24) + minutes(2)).await;
    app.make_claimable().await;
    app.run(noon() + minutes(2)).await;
    assert_eq!(listed(&app), [1, 1]);
    assert_eq!(app.column(led, &[]).await, ["0"]);
    // Two of another day: the second leaves with the first.
    bookings_after(&app, [72, 73]).await;
    app.run(noon() + hours(48)).await;
    assert_eq!(app.column(led, &[]).await, ["1"]);
}

#[tokio::test]
async fn reminders_of_nobody_in_particular_leave_one_by_one() {
    let app = app_with_pages().await;
    bookings_after(&app, [24, 24]).await;
    app.db
        .batch_execute(
            "UPDATE bookings SET customer_id = NULL;
             ALTER VIEW booking_automation_contacts RENAME TO theirs;
             CREATE VIEW booking_automation_contacts AS
             SELECT id AS booking_id, 'customer'::text AS audience, 'desk@customers.example'::text AS email, 'Desk'::text AS name,
                    NULL::text AS timezone, NULL::text AS service, NULL::text AS with_name, location AS place, NULL::text AS meeting_link,
                    false AS is_online, NULL::text AS place_timezone FROM bookings",
        )
        .await
        .unwrap();
    app.run(noon()).await;
    assert_eq!(listed(&app), [1, 1]);
}

#[tokio::test]
async fn only_reminders_of_one_person_at_one_address_leave_together() {
    let mut app = app_with_pages().await;
    let [first] = bookings_after(&app, [24]).await;
    let usual = app.customer;
    app.customer = app
        .person("Other", Some("other@customers.example"), "Europe/Vienna")
        .await;
    bookings_after(&app, [24, 25]).await;
    app.customer = usual;
    let [elsewhere] = bookings_after(&app, [26]).await;
    app.db
        .batch_execute(&format!(
            "ALTER VIEW booking_automation_contacts RENAME TO theirs;
             CREATE VIEW booking_automation_contacts AS
             SELECT booking_id, audience, CASE booking_id WHEN '{elsewhere}' THEN 'work@customers.example' ELSE email END AS email,
                    name, timezone, service, with_name, place, meeting_link, is_online, place_timezone FROM theirs"
        ))
        .await
        .unwrap();
    app.run(noon()).await;
    let mut mails: Vec<_> = (app.ses.mails().iter())
        .map(|mail| {
            (
                mail.to().to_owned(),
                mail.text().contains(&first.to_string()),
            )
        })
        .collect();
    mails.sort();
    assert_eq!(mails.len(), 2, "{mails:?}");
    let mut sizes = listed(&app);
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 2]);
    assert_eq!(app.reminders(elsewhere).await, Vec::<String>::new());
    app.ses.clear();
    app.run(noon() + hours(2)).await;
    assert_eq!(app.ses.mails()[0].to(), "work@customers.example");
}

#[tokio::test]
async fn the_day_is_that_of_the_place_and_online_that_of_the_person() {
    // 13:00 and 23:00 in Vienna are March 2 in Los Angeles, too; 23:30 and 01:00 are one day there.
    for (is_online, starts, mails) in [
        (false, [24 * 60, 34 * 60 + 30], vec![2]),
        (false, [34 * 60 + 30, 36 * 60], vec![1]),
        (true, [34 * 60 + 30, 36 * 60], vec![2]),
    ] {
        let app = app_with_pages().await;
        for start in starts {
            app.confirmed(noon() + minutes(start)).await;
        }
        app.sql(
            "UPDATE users SET timezone = 'America/Los_Angeles' WHERE id = $1",
            &[&app.customer],
        )
        .await;
        if is_online {
            app.sql(
                "UPDATE bookings SET location = NULL, meeting_link = 'https://meet.example/1'",
                &[],
            )
            .await;
        }
        app.run(noon() + minutes(starts[0]) - hours(24)).await;
        assert_eq!(listed(&app), mails, "{is_online} {starts:?}");
    }
    // What the person has chosen counts more than the view.
    let app = app_with_pages().await;
    app.confirmed(noon() + minutes(34 * 60 + 30)).await;
    app.confirmed(noon() + minutes(36 * 60)).await;
    app.sql(
        "UPDATE bookings SET location = NULL, meeting_link = 'https://meet.example/1'",
        &[],
    )
    .await;
    app.sql(
        "INSERT INTO booking_automation_preferences (person_id, timezone) VALUES ($1::uuid::text, 'America/Los_Angeles')",
        &[&app.customer],
    )
    .await;
    app.run(noon() + minutes(34 * 60 + 30) - hours(24)).await;
    assert_eq!(listed(&app), [2]);
}

#[tokio::test]
async fn who_is_no_longer_due_drops_out_and_another_leads() {
    let app = app_with_pages().await;
    let [first, second, third] = bookings_after(&app, [24, 25, 26]).await;
    throttled_once(&app).await;
    assert_eq!(outcomes(&app).await, ["pending throttled 1"; 3]);
    cancel(&app, first).await;
    app.make_claimable().await;
    app.run(noon() + minutes(2)).await;
    assert_eq!(listed(&app), [2]);
    assert_eq!(app.ses.mails()[0].event_id(), event_of(&app, second).await);
    assert_eq!(
        outcomes(&app).await,
        ["skipped cancelled 1", "completed 2", "completed 2"]
    );
    let led = "SELECT led_by::text FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'reminder_sent'";
    assert_eq!(
        app.column(led, &[&third]).await,
        [event_of(&app, second).await]
    );
    assert_eq!(app.column(led, &[&second]).await, [""]);
}

#[tokio::test]
async fn without_its_leader_a_reminder_waits_for_its_own_time() {
    let app = app_with_pages().await;
    let [first, second, third] = bookings_after(&app, [24, 26, 28]).await;
    pass_without_delivery(&app, &["--as-of", &noon().to_rfc3339()]).await;
    assert_eq!(outcomes(&app).await, ["pending 0"; 3]);
    cancel(&app, first).await;
    app.run(noon() + minutes(1)).await;
    assert_eq!(app.ses.mails().len(), 0);
    assert_eq!(
        outcomes(&app).await,
        ["skipped cancelled 0", "pending 0", "pending 0"]
    );
    // By the clock, it would be two hours later.
    let due = "UPDATE booking_automation_events SET next_attempt_at = now() WHERE booking_id = $1 AND status = 'pending' AND next_attempt_at > now() + interval '1 hour'";
    assert_eq!(app.sql(due, &[&second]).await, 1);
    app.run(noon() + hours(2)).await;
    assert_eq!(listed(&app), [2]);
    assert!(app.ses.mails()[0].text().contains(&third.to_string()));
}

#[tokio::test]
async fn after_a_doubt_the_same_ones_are_tried_again() {
    let app = app_with_pages().await;
    bookings_after(&app, [24, 25]).await;
    app.ses.answer(|_| Answer::Reset);
    app.run(noon()).await;
    assert_eq!(outcomes(&app).await, ["pending unknown 1"; 2]);
    let tag = app.ses.mails()[0].event_id().to_owned();
    app.ses.answer(|_| Answer::Sent);
    app.ses.clear();
    // Another one of the day, which becomes due now.
    app.confirmed(noon() + hours(24) + minutes(2)).await;
    app.make_claimable().await;
    app.run(noon() + minutes(2)).await;
    // The mails are under way at once.
    let mails = app.ses.mails().into_iter().zip(listed(&app));
    let mut listed: Vec<_> = mails
        .map(|(mail, count)| (count, mail.event_id() == tag))
        .collect();
    listed.sort_unstable();
    assert_eq!(listed, [(1, false), (2, true)]);
    assert_eq!(
        outcomes(&app).await,
        ["completed 2", "completed 1", "completed 2"]
    );
}

#[tokio::test]
async fn the_providers_events_are_about_all_of_a_mail() {
    let mut app = app_with_pages().await;
    app.env
        .insert("SES_CONFIGURATION_SET", "bookings".to_owned());
    let [first, second] = bookings_after(&app, [24, 25]).await;
    app.ses.answer(|_| Answer::Reset);
    app.run(noon()).await;
    assert_eq!(outcomes(&app).await, ["pending unknown 1"; 2]);
    let tag = event_of(&app, first).await;
    let instance = Instance::start(&app).await;
    instance
        .invoke(&ses_event("ses-send", &tag, "m-1"))
        .await
        .unwrap();
    assert_eq!(outcomes(&app).await, ["completed 1"; 2]);
    instance
        .invoke(&ses_event("ses-bounce", &tag, "m-1"))
        .await
        .unwrap();
    let server = support(&mut app, noon() + hours(1)).await;
    let path = format!("/bookings/{second}/timeline");
    let timeline = ask(&server, "GET", &path, &[], b"").await.json();
    let text = timeline.to_string();
    assert!(text.contains("bounced") && text.contains("m-1"), "{text}");
}

#[tokio::test]
async fn an_event_that_came_before_the_claim_settles_all_of_a_mail() {
    let app = app_with_pages().await;
    let [first, _] = bookings_after(&app, [24, 25]).await;
    app.ses.answer(|_| Answer::Reset);
    app.run(noon()).await;
    app.ses.clear();
    let sql = "INSERT INTO booking_automation_feedback (event_id, booking_id, kind, message_id, occurred_at, details)
               SELECT id, booking_id, 'sent', 'm-1', now(), '{}' FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'reminder_sent'";
    app.sql(sql, &[&first]).await;
    app.make_claimable().await;
    let summary = app.run(noon() + minutes(2)).await;
    assert_eq!(summary["reminders"]["sent"], 2, "{summary}");
    assert_eq!(app.ses.mails().len(), 0);
    assert_eq!(outcomes(&app).await, ["completed 1"; 2]);
    // Not of one that was not in that mail.
    let app = app_with_pages().await;
    let [first, second] = bookings_after(&app, [24, 25]).await;
    app.ses.answer(|_| Answer::Reset);
    app.run(noon()).await;
    let alone = "UPDATE booking_automation_events SET led_attempt = NULL WHERE booking_id = $1 AND event_type = 'reminder_sent'";
    app.sql(alone, &[&second]).await;
    app.sql(sql, &[&first]).await;
    app.ses.clear();
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    app.run(noon() + minutes(2)).await;
    assert_eq!(listed(&app), [1]);
}

#[tokio::test]
async fn what_is_locked_leaves_in_a_mail_of_its_own() {
    let mut app = app_with_pages().await;
    let [_, second] = bookings_after(&app, [24, 25]).await;
    throttled_once(&app).await;
    app.customer = app
        .person("Other", Some("other@customers.example"), "Europe/Vienna")
        .await;
    bookings_after(&app, [24]).await;
    app.make_claimable().await;
    let holder = connect(&app.url).await;
    holder.batch_execute("BEGIN").await.unwrap();
    holder
        .execute("SELECT FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'reminder_sent' FOR UPDATE", &[&second])
        .await
        .unwrap();
    app.run(noon() + minutes(2)).await;
    assert_eq!(listed(&app), [1, 1]);
    holder.batch_execute("ROLLBACK").await.unwrap();
    app.ses.clear();
    app.run(noon() + minutes(3)).await;
    assert_eq!(listed(&app), [1]);
    assert!(app.ses.mails()[0].text().contains(&second.to_string()));
    assert!(
        outcomes(&app)
            .await
            .iter()
            .all(|outcome| outcome.starts_with("completed"))
    );
}

#[tokio::test]
async fn a_booking_that_cannot_be_read_stops_none_of_its_day() {
    let app = app_with_pages().await;
    let [_, broken, _] = bookings_after(&app, [24, 25, 26]).await;
    throttled_once(&app).await;
    app.db
        .batch_execute(&format!(
            "ALTER VIEW booking_automation_contacts RENAME TO theirs;
             CREATE FUNCTION broken(id uuid) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
                 IF id = '{broken}' THEN RAISE EXCEPTION 'no such person'; END IF;
                 RETURN 'carla@customers.example';
             END $$;
             CREATE VIEW booking_automation_contacts AS
             SELECT booking_id, audience, public.broken(booking_id) AS email,
                    name, timezone, service, with_name, place, meeting_link, is_online, place_timezone FROM theirs"
        ))
        .await
        .unwrap();
    for later in 2..5 {
        app.make_claimable().await;
        app.run(noon() + minutes(later)).await;
    }
    let outcomes = outcomes(&app).await;
    assert!(
        outcomes[0] == "completed 2"
            && outcomes[1].contains("contacts")
            && outcomes[2] == "completed 2",
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn people_who_want_no_reminders_get_no_mail_for_several() {
    let app = app_with_pages().await;
    bookings_after(&app, [24, 25]).await;
    let sql = "INSERT INTO booking_automation_opt_outs (person_id, kind) VALUES ($1::uuid::text, 'reminder')";
    app.sql(sql, &[&app.customer]).await;
    app.run(noon()).await;
    // The choice may change until the other one's own time.
    assert_eq!(outcomes(&app).await, ["skipped opted_out 0", "pending 0"]);
    app.make_claimable().await;
    app.run(noon() + hours(1)).await;
    assert_eq!(app.ses.mails().len(), 0);
    assert_eq!(outcomes(&app).await, ["skipped opted_out 0"; 2]);
}

#[tokio::test]
async fn a_long_day_leaves_in_several_mails() {
    let app = app_with_pages().await;
    for place in 0..25 {
        app.confirmed(noon() + hours(24) + minutes(place)).await;
    }
    app.run(noon()).await;
    app.run(noon() + minutes(20)).await;
    assert_eq!(listed(&app), [20, 5]);
}

#[tokio::test]
async fn those_that_are_due_at_once_leave_in_one_mail() {
    let app = app_with_pages().await;
    bookings_after(&app, [20, 21, 22]).await;
    app.run(noon()).await;
    assert_eq!(listed(&app), [3]);
    assert_eq!(outcomes(&app).await, ["completed 1"; 3]);
}

#[tokio::test]
async fn what_is_moved_or_not_live_does_not_join() {
    let app = app_with_pages().await;
    let [_, moved, gone] = bookings_after(&app, [24, 25, 26]).await;
    cancel(&app, gone).await;
    let later: DateTime<Utc> = noon() + Duration::days(3);
    app.sql(
        "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
        &[&moved, &later],
    )
    .await;
    app.run(noon()).await;
    assert_eq!(listed(&app), [1]);
    assert_eq!(app.reminders(moved).await, Vec::<String>::new());
}

/// The bookings that a mail lists.
fn bookings_in(mail: &Mail) -> BTreeSet<Uuid> {
    let links = mail.text().split("https://bookings.example/bookings/");
    let ids = links
        .skip(1)
        .filter_map(|rest| rest.get(..36)?.parse().ok());
    ids.collect()
}

#[tokio::test]
async fn kills_lose_no_booking_of_a_mail_and_every_repeat_is_on_record() {
    let mut app = app_with_pages().await;
    app.env.insert("SEND_CONCURRENCY", "3".to_owned());
    for person in 0..20 {
        let address = format!("c{person}@customers.example");
        app.customer = app
            .person("Customer", Some(&address), "Europe/Vienna")
            .await;
        bookings_after(&app, [24, 25, 26]).await;
    }
    let mut random = fastrand::Rng::with_seed(7);
    let at_noon = noon().to_rfc3339();
    for kill in 0..12 {
        if kill % 4 == 2 {
            let sql = "UPDATE bookings SET status = 'cancelled' WHERE id =
                           (SELECT id FROM bookings WHERE status = 'confirmed' ORDER BY id LIMIT 1)";
            app.sql(sql, &[]).await;
        }
        let asked = AtomicUsize::new(kill);
        app.ses
            .answer(move |_| match asked.fetch_add(1, Ordering::SeqCst) % 4 {
                0 | 1 => Answer::Sent,
                2 => Answer::Reset,
                _ => Answer::Silence,
            });
        let taken = app.ses.mails().len() + random.usize(1..4);
        let mut processes: Vec<_> = (0..2)
            .map(|_| app.command(&["run", "--as-of", &at_noon]).spawn().unwrap())
            .collect();
        // The test's own limit ends it if no such mail arrives.
        let arrived = app.ses.wait_for_mails(taken);
        let _ = tokio::time::timeout(std::time::Duration::from_secs(3), arrived).await;
        for process in &mut processes {
            process.kill().await.unwrap();
        }
        // All of a mail's bookings have the outcome of its attempt, or none.
        let apart = "SELECT count(*) FROM booking_automation_events m JOIN booking_automation_events leader ON leader.id = m.led_by
                      WHERE m.led_attempt = m.attempts AND leader.attempts = m.attempts AND leader.status <> m.status";
        assert_eq!(app.one(apart, &[]).await.get::<_, i64>(0), 0, "{kill}");
        // Meanwhile, the leases keep what was in flight from being sent again.
        if kill % 4 == 3 {
            app.make_claimable().await;
        }
    }
    app.make_claimable().await;
    app.ses.answer(|_| Answer::Sent);
    app.run(noon()).await;
    let open =
        "SELECT count(*) FROM booking_automation_events WHERE status IN ('pending', 'sending')";
    assert_eq!(app.one(open, &[]).await.get::<_, i64>(0), 0);
    let mut mails: BTreeMap<Uuid, i32> = BTreeMap::new();
    for booking in app.ses.mails().iter().flat_map(bookings_in) {
        *mails.entry(booking).or_default() += 1;
    }
    let rows = "SELECT booking_id, status, attempts, reason FROM booking_automation_events WHERE event_type = 'reminder_sent'";
    let rows = app.db.query(rows, &[]).await.unwrap();
    assert_eq!(rows.len(), 60);
    let completed = rows
        .iter()
        .filter(|row| row.get::<_, &str>(1) == "completed");
    assert!(completed.count() >= 30);
    for row in rows {
        let (booking, status): (Uuid, &str) = (row.get(0), row.get(1));
        let (attempts, in_mails) = (row.get::<_, i32>(2), mails.get(&booking).copied());
        let in_mails = in_mails.unwrap_or_default();
        // Each mail is an attempt of each booking in it. An attempt whose process was killed may have had no mail.
        assert!(in_mails <= attempts, "{booking}: {in_mails} of {attempts}");
        match status {
            "completed" => assert!(in_mails >= 1, "{booking}"),
            "failed" => assert_eq!(attempts, 5, "{booking}"),
            _ => assert_eq!(row.get::<_, &str>(3), "cancelled", "{booking}"),
        }
    }
}

#[tokio::test]
async fn what_another_sender_is_sending_is_left_to_it() {
    let app = app_with_pages().await;
    let [first, second] = bookings_after(&app, [24, 25]).await;
    throttled_once(&app).await;
    // As 0.2.0 may have claimed them, one after the other.
    let sql = "UPDATE booking_automation_events SET status = 'sending', lease_until = now() + $2::text::interval, next_attempt_at = now() + $2::text::interval
                WHERE booking_id = $1 AND event_type = 'reminder_sent'";
    app.sql(sql, &[&first, &"-1 second"]).await;
    app.sql(sql, &[&second, &"1 minute"]).await;
    app.run(noon() + minutes(2)).await;
    assert_eq!(listed(&app), [1]);
    assert_eq!(outcomes(&app).await, ["completed 2", "sending throttled 1"]);
}

#[tokio::test]
async fn what_would_be_due_in_quiet_hours_leaves_when_they_begin() {
    let app = app_with_pages().await;
    // In Vienna: due on March 1 at 19:00 and 22:30.
    let evening = noon() + hours(24) + minutes(5 * 60);
    let [at_seven, at_night] = [evening + hours(1), evening + minutes(4 * 60 + 30)];
    app.confirmed(at_seven).await;
    let late = app.confirmed(at_night).await;
    app.sql(
        "INSERT INTO booking_automation_preferences (person_id, timezone, quiet_from, quiet_until) VALUES ($1::uuid::text, 'Europe/Vienna', '22:00', '08:00')",
        &[&app.customer],
    )
    .await;
    app.run(at_seven - hours(24)).await;
    assert_eq!(listed(&app), [1]);
    assert_eq!(app.reminders(late).await, Vec::<String>::new());
    // 22:00.
    app.run(at_night - hours(24) - minutes(30)).await;
    assert_eq!(app.reminders(late).await, ["24h completed"]);
}

#[tokio::test]
async fn a_reminder_that_waits_for_its_own_time_supersedes_none_before() {
    let app = app_with_pages().await;
    app.sql(
        "INSERT INTO reminder_rules (name, audience, lead, group_within, effective_from) VALUES ('18h', 'customer', '18 hours', '12 hours', '-infinity')",
        &[],
    )
    .await;
    app.sql(
        "UPDATE reminder_rules SET effective_from = '-infinity'",
        &[],
    )
    .await;
    // The reminder of 18 h of the second is written with that of the first, before its reminder of 24 h is due.
    let [first, second] = [noon() + hours(18), noon() + hours(28)];
    let (early, late) = (app.confirmed(first).await, app.confirmed(second).await);
    app.sql(
        "UPDATE reminder_rules SET group_within = '0' WHERE name = '24h'",
        &[],
    )
    .await;
    app.run(first - hours(24)).await;
    pass_without_delivery(&app, &["--as-of", &noon().to_rfc3339()]).await;
    assert_eq!(app.reminders(late).await, ["18h pending"]);
    cancel(&app, early).await;
    app.ses.clear();
    app.run(second - hours(24)).await;
    assert_eq!(app.reminders(late).await, ["24h completed", "18h pending"]);
    app.make_claimable().await;
    app.run(second - hours(18)).await;
    assert_eq!(
        app.reminders(late).await,
        ["24h completed", "18h completed"]
    );
}

#[tokio::test]
async fn after_a_step_back_of_the_clock_they_still_wait_for_their_own_time() {
    let app = app_with_pages().await;
    app.sql(
        "UPDATE reminder_rules SET effective_from = '-infinity'",
        &[],
    )
    .await;
    let now = Utc::now();
    // It is noon where they are: two hours later it is the same day, at any hour of this test.
    let zone = format!("Etc/GMT{:+}", i64::from(now.hour()) - 12);
    app.sql("UPDATE users SET timezone = $1", &[&zone]).await;
    app.confirmed(now + hours(24) - minutes(1)).await;
    let later = app.confirmed(now + hours(26)).await;
    pass_without_delivery(&app, &[]).await;
    assert_eq!(app.reminders(later).await, ["24h pending"]);
    app.sql(
        "UPDATE automation_runs SET created_at = created_at + interval '1 hour'",
        &[],
    )
    .await;
    app.sql("UPDATE booking_automation_events SET led_by = NULL", &[])
        .await;
    let output = app.call(&["run"]).await;
    assert!(
        output.stderr.contains("it was set back"),
        "{}",
        output.stderr
    );
    assert_eq!(app.reminders(later).await, ["24h pending"]);
}

#[tokio::test]
async fn people_are_looked_up_at_once_and_bookings_by_their_start() {
    let app = app_with_pages().await;
    app.db
        .batch_execute(
            "SET session_replication_role = replica;
             INSERT INTO bookings (customer_id, status, scheduled_at, duration_minutes)
             SELECT gen_random_uuid(), 'confirmed', now() + n * interval '1 minute', 60 FROM generate_series(1, 20000) AS n;
             RESET session_replication_role; ANALYZE bookings",
        )
        .await
        .unwrap();
    let statements = booking_automation::entry::statements::composed();
    let (_, groups) = statements
        .iter()
        .find(|(name, _)| name == "groups")
        .unwrap();
    app.db
        .batch_execute(&format!(
            "SET plan_cache_mode = force_custom_plan; SET enable_seqscan = off; -- as in a pass
             SET booking_automation.events = '{{}}';
             PREPARE groups (timestamptz, int8) AS {groups}"
        ))
        .await
        .unwrap();
    let explain = "EXPLAIN (COSTS OFF) EXECUTE groups (now(), 5000)";
    let plan = app.column(explain, &[]).await.join("\n");
    assert!(plan.contains("hashed SubPlan"), "{plan}");
    assert!(
        plan.contains("Index Scan using booking_automation_confirmed_start"),
        "{plan}"
    );
    assert!(!plan.contains("Seq Scan on bookings"), "{plan}");
}

#[tokio::test]
async fn what_belongs_to_another_person_meanwhile_leaves_by_itself() {
    let app = app_with_pages().await;
    let [_, second] = bookings_after(&app, [24, 25]).await;
    throttled_once(&app).await;
    // A family shares an address; the links in a mail are its person's own.
    let other = app
        .person("Other", Some("carla@customers.example"), "Europe/Vienna")
        .await;
    let sql = "UPDATE bookings SET customer_id = $2 WHERE id = $1";
    app.sql(sql, &[&second, &other]).await;
    app.make_claimable().await;
    app.run(noon() + minutes(2)).await;
    assert_eq!(listed(&app), [1, 1]);
}

#[tokio::test]
async fn an_event_of_a_mail_brings_back_nothing_that_was_erased() {
    let mut app = app_with_pages().await;
    app.env
        .insert("SES_CONFIGURATION_SET", "bookings".to_owned());
    let [first, second] = bookings_after(&app, [24, 25]).await;
    app.ses.answer(|_| Answer::Reset);
    app.run(noon()).await;
    let sql = r#"UPDATE booking_automation_events SET status = 'failed', event_data = '{"forgotten": true}', next_attempt_at = NULL
                  WHERE booking_id = $1 AND event_type = 'reminder_sent'"#;
    app.sql(sql, &[&second]).await;
    let event = ses_event("ses-send", &event_of(&app, first).await, "m-1");
    Instance::start(&app).await.invoke(&event).await.unwrap();
    assert_eq!(outcomes(&app).await, ["completed 1", "failed unknown 1"]);
}

#[tokio::test]
async fn an_event_of_a_mail_settles_none_that_was_tried_in_another_one() {
    let mut app = app_with_pages().await;
    app.env
        .insert("SES_CONFIGURATION_SET", "bookings".to_owned());
    let [first, second] = bookings_after(&app, [24, 25]).await;
    app.ses.answer(|_| Answer::Reset);
    app.run(noon()).await;
    // As 0.2.0 may have tried it, in a mail of its own.
    let sql = "UPDATE booking_automation_events SET led_attempt = NULL WHERE booking_id = $1 AND event_type = 'reminder_sent'";
    app.sql(sql, &[&second]).await;
    let event = ses_event("ses-send", &event_of(&app, first).await, "m-1");
    Instance::start(&app).await.invoke(&event).await.unwrap();
    assert_eq!(outcomes(&app).await, ["completed 1", "pending unknown 1"]);
}

#[tokio::test]
async fn a_mail_that_came_back_told_none_of_its_people_anything() {
    for (kind, expected) in [
        ("delivered", "skipped already_told"),
        ("bounced", "completed"),
    ] {
        let app = app_with_pages().await;
        let [first, second] = bookings_after(&app, [24, 25]).await;
        app.run(noon()).await;
        let sql = "INSERT INTO booking_automation_feedback (event_id, booking_id, kind, message_id, occurred_at, details)
                   SELECT id, booking_id, $2, 'm-1', now(), '{}' FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'reminder_sent'";
        app.sql(sql, &[&first, &kind]).await;
        // Away and back.
        for hours_later in [26, 25] {
            let sql = "UPDATE bookings SET scheduled_at = $2 WHERE id = $1";
            app.sql(sql, &[&second, &(noon() + hours(hours_later))])
                .await;
        }
        app.run(noon() + hours(1)).await;
        let reminders = app.reminders(second).await;
        assert_eq!(
            reminders,
            ["24h completed", &format!("24h {expected}")],
            "{kind}"
        );
    }
}
