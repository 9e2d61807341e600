//! Notices: messages about what happened to a booking, after rules that the owner switches on.

use booking_automation::entry::statements::composed;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, connect, hours, minutes, noon};
use crate::client::Answer as HttpAnswer;
use crate::delivery::create_due_bookings;
use crate::feedback::ses_event;
use crate::http::Server;
use crate::runtime_api::Instance;
use crate::ses::Answer;
use crate::status::{ask, support};

/// Switches on the rules of these names for customers, a day before noon, and the reminders off.
pub async fn with_rules(names: &[&str]) -> App {
    let app = App::new().await;
    app.set_clock(noon() - hours(24)).await;
    switch_on(&app, names).await;
    app.sql("UPDATE reminder_rules SET active = false", &[])
        .await;
    app.set_clock(noon()).await;
    app
}

pub async fn switch_on(app: &App, names: &[&str]) {
    let sql = "UPDATE booking_automation_notice_rules SET active = true
                WHERE name = ANY ($1) AND audience = 'customer'";
    let switched = app.sql(sql, &[&names]).await;
    assert_eq!(switched, names.len() as u64);
}

pub async fn set_status(app: &App, id: Uuid, status: &str) {
    let sql = "UPDATE bookings SET status = $2 WHERE id = $1";
    assert_eq!(app.sql(sql, &[&id, &status]).await, 1);
}

pub async fn set_start(app: &App, id: Uuid, start: DateTime<Utc>) {
    let sql = "UPDATE bookings SET scheduled_at = $2 WHERE id = $1";
    assert_eq!(app.sql(sql, &[&id, &start]).await, 1);
}

/// The notices of a booking: `rule status reason`, in the order of the rows.
async fn notices(app: &App, id: Uuid) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', rule, status, reason) FROM booking_automation_events
                WHERE event_type = 'notification_sent' AND booking_id = $1 ORDER BY seq";
    app.column(sql, &[&id]).await
}

/// How many notices no pass has decided on.
async fn queued(app: &App) -> i64 {
    let sql = "SELECT count(*) FROM booking_automation_notices";
    app.one(sql, &[]).await.get(0)
}

#[tokio::test]
async fn notices_are_off_until_the_owner_switches_them_on() {
    let app = App::new().await;
    let id = app.booking("confirmed", noon() + hours(48)).await;
    set_start(&app, id, noon() + hours(50)).await;
    set_status(&app, id, "cancelled").await;
    assert_eq!(queued(&app).await, 0);
    let active = "SELECT name FROM booking_automation_notice_rules WHERE active";
    assert!(app.column(active, &[]).await.is_empty());
    // Switched on now, they say nothing of what happened before.
    app.set_clock(noon() + minutes(1)).await;
    switch_on(
        &app,
        &[
            "confirmed",
            "rescheduled",
            "cancelled",
            "expired",
            "follow-up",
        ],
    )
    .await;
    app.run(noon() + minutes(2)).await;
    assert!(notices(&app, id).await.is_empty());
}

#[tokio::test]
async fn each_event_is_told_once() {
    let app = with_rules(&[
        "confirmed",
        "rescheduled",
        "cancelled",
        "expired",
        "follow-up",
    ])
    .await;
    let id = app.booking("pending", noon() + hours(48)).await;
    app.run(noon()).await;
    assert!(app.ses.mails().is_empty());
    set_status(&app, id, "confirmed").await;
    app.run(noon() + minutes(1)).await;
    set_start(&app, id, noon() + hours(24)).await;
    app.run(noon() + minutes(2)).await;
    app.set_clock(noon() + minutes(3)).await;
    set_status(&app, id, "cancelled").await;
    let summary = app.run(noon() + minutes(3)).await;
    assert_eq!(
        summary["reminders"],
        json!({"due": 1, "sent": 1, "retrying": 0, "unknown": 0, "failed": 0, "skipped": 0, "deferred": 0})
    );
    assert_eq!(
        notices(&app, id).await,
        [
            "confirmed completed",
            "rescheduled completed",
            "cancelled completed"
        ]
    );
    app.run(noon() + minutes(4)).await;
    assert_eq!(app.ses.mails().len(), 3);
    assert_eq!(queued(&app).await, 0);
}

#[tokio::test]
async fn a_booking_that_is_inserted_as_confirmed_is_confirmed() {
    let app = with_rules(&["confirmed"]).await;
    let id = app.booking("confirmed", noon() + hours(48)).await;
    let past = app.booking("confirmed", noon() - hours(2)).await;
    app.run(noon()).await;
    assert_eq!(notices(&app, id).await, ["confirmed completed"]);
    assert!(notices(&app, past).await.is_empty());
}

#[tokio::test]
async fn steps_that_are_undone_confirm_nothing() {
    let app = with_rules(&["confirmed"]).await;
    for before in [
        "in_progress",
        "completed",
        "expired",
        "pending_completion",
        "pending_cancellation",
    ] {
        let id = app.booking(before, noon() + hours(48)).await;
        set_status(&app, id, "confirmed").await;
        app.run(noon()).await;
        assert!(notices(&app, id).await.is_empty(), "{before}");
    }
    for before in [
        "pending",
        "pending_payment",
        "paid",
        "cancelled",
        "rejected",
    ] {
        let id = app.booking(before, noon() + hours(48)).await;
        set_status(&app, id, "confirmed").await;
        app.run(noon()).await;
        assert_eq!(notices(&app, id).await, ["confirmed completed"], "{before}");
    }
}

#[tokio::test]
async fn an_event_of_more_than_an_hour_ago_is_not_told() {
    let app = with_rules(&["cancelled", "expired"]).await;
    let [late, in_time] = [
        app.confirmed(noon() + hours(48)).await,
        app.confirmed(noon() + hours(48)).await,
    ];
    let overdue = app.booking("confirmed", noon() - hours(72)).await;
    app.set_clock(noon()).await;
    set_status(&app, late, "cancelled").await;
    app.set_clock(noon() + minutes(1)).await;
    set_status(&app, in_time, "cancelled").await;
    app.run(noon() + minutes(61)).await;
    assert_eq!(notices(&app, late).await, ["cancelled skipped too_old"]);
    assert_eq!(notices(&app, in_time).await, ["cancelled completed"]);
    // An automatic step counts from when it was due.
    assert_eq!(app.status(overdue).await, "expired");
    assert!(
        notices(&app, overdue).await.is_empty(),
        "before the rule took effect"
    );
    let just = app
        .booking("confirmed", noon() - hours(23) - minutes(30))
        .await;
    app.run(noon() + hours(3)).await;
    assert_eq!(app.status(just).await, "expired");
    assert_eq!(notices(&app, just).await, ["expired skipped too_old"]);
    // Also if its notice becomes due after that.
    let delay =
        "UPDATE booking_automation_notice_rules SET delay = '3 hours' WHERE name = 'expired'";
    app.sql(delay, &[]).await;
    let late = app.booking("confirmed", noon() - hours(21)).await;
    for minute in [6 * 60, 7 * 60 + 30] {
        app.run(noon() + minutes(minute)).await;
    }
    assert_eq!(notices(&app, late).await, ["expired skipped too_old"]);
}

#[tokio::test]
async fn nothing_is_told_about_a_start_that_has_passed_but_follow_ups() {
    let app = with_rules(&["rescheduled", "cancelled", "follow-up"]).await;
    let id = app.confirmed(noon() + minutes(1)).await;
    set_start(&app, id, noon() + minutes(2)).await;
    let cancelled = app.confirmed(noon() + minutes(1)).await;
    set_status(&app, cancelled, "cancelled").await;
    app.run(noon() + minutes(2)).await;
    assert_eq!(notices(&app, id).await, ["rescheduled skipped started"]);
    assert_eq!(
        notices(&app, cancelled).await,
        ["cancelled skipped started"]
    );
    // It is completed when it ends, and followed up two hours later.
    app.run(noon() + minutes(62)).await;
    assert_eq!(app.status(id).await, "completed");
    app.run(noon() + minutes(181)).await;
    assert_eq!(app.ses.mails().len(), 0);
    app.run(noon() + minutes(182)).await;
    assert_eq!(
        notices(&app, id).await,
        ["rescheduled skipped started", "follow-up completed"]
    );
}

#[tokio::test]
async fn what_was_undone_is_not_told() {
    let app = with_rules(&["cancelled", "follow-up"]).await;
    let id = app.confirmed(noon() + hours(48)).await;
    set_status(&app, id, "cancelled").await;
    set_status(&app, id, "confirmed").await;
    let completed = app.booking("in_progress", noon() - hours(1)).await;
    set_status(&app, completed, "completed").await;
    set_status(&app, completed, "in_progress").await;
    app.sql(
        "UPDATE bookings SET auto_complete_blocked = true WHERE id = $1",
        &[&completed],
    )
    .await;
    app.run(noon()).await;
    app.run(noon() + hours(2)).await;
    assert_eq!(notices(&app, id).await, ["cancelled skipped overtaken"]);
    assert_eq!(
        notices(&app, completed).await,
        ["follow-up skipped overtaken"]
    );
}

/// The old time that a mail of a move tells, by the record of its claim.
async fn told_from(app: &App, id: Uuid) -> Vec<String> {
    let sql = "SELECT booking_automation_rfc3339((event_data -> 'notice' ->> 'from')::timestamptz) FROM booking_automation_events
                WHERE event_type = 'notification_sent' AND status = 'completed' AND booking_id = $1 ORDER BY seq";
    app.column(sql, &[&id]).await
}

#[tokio::test]
async fn several_moves_are_told_as_one() {
    let app = with_rules(&["rescheduled"]).await;
    let id = app.confirmed(noon() + hours(48)).await;
    for start in [50, 52, 54] {
        set_start(&app, id, noon() + hours(start)).await;
    }
    app.run(noon()).await;
    assert_eq!(
        notices(&app, id).await,
        [
            "rescheduled skipped superseded",
            "rescheduled skipped superseded",
            "rescheduled completed"
        ]
    );
    assert_eq!(app.ses.mails().len(), 1);
    let before = Some(told_from(&app, id).await.remove(0).parse().unwrap());
    assert_eq!(before, Some(noon() + hours(48)));
}

#[tokio::test]
async fn a_move_away_and_back_is_not_told() {
    let app = with_rules(&["rescheduled"]).await;
    let id = app.confirmed(noon() + hours(48)).await;
    set_start(&app, id, noon() + hours(50)).await;
    set_start(&app, id, noon() + hours(48)).await;
    app.run(noon()).await;
    assert_eq!(
        notices(&app, id).await,
        [
            "rescheduled skipped superseded",
            "rescheduled skipped already_told"
        ]
    );
    // Told of the move, the person is told of the way back, too.
    set_start(&app, id, noon() + hours(50)).await;
    app.run(noon() + minutes(1)).await;
    set_start(&app, id, noon() + hours(48)).await;
    app.run(noon() + minutes(2)).await;
    assert_eq!(
        notices(&app, id).await[2..],
        ["rescheduled completed", "rescheduled completed"]
    );
    assert_eq!(app.ses.mails().len(), 2);
}

#[tokio::test]
async fn a_confirmation_tells_the_start_that_it_was_moved_to() {
    let app = with_rules(&["confirmed", "rescheduled"]).await;
    let id = app.booking("pending", noon() + hours(48)).await;
    set_status(&app, id, "confirmed").await;
    set_start(&app, id, noon() + hours(50)).await;
    app.run(noon()).await;
    assert_eq!(
        notices(&app, id).await,
        ["confirmed completed", "rescheduled skipped superseded"]
    );
    let told = "SELECT starts_at FROM booking_automation_events WHERE event_type = 'notification_sent' AND status = 'completed'";
    let told: DateTime<Utc> = app.one(told, &[]).await.get(0);
    assert_eq!(told, noon() + hours(50));
}

#[tokio::test]
async fn a_cancellation_and_a_confirmation_are_told_only_if_the_person_knows_otherwise() {
    let app = with_rules(&["confirmed", "cancelled"]).await;
    let id = app.booking("confirmed", noon() + hours(48)).await;
    app.run(noon()).await;
    // Both at once: as the person knows it.
    set_status(&app, id, "cancelled").await;
    set_status(&app, id, "confirmed").await;
    app.run(noon() + minutes(1)).await;
    assert_eq!(
        notices(&app, id).await[1..],
        [
            "cancelled skipped overtaken",
            "confirmed skipped already_told"
        ]
    );
    set_status(&app, id, "cancelled").await;
    app.run(noon() + minutes(2)).await;
    set_status(&app, id, "confirmed").await;
    set_status(&app, id, "cancelled").await;
    app.run(noon() + minutes(3)).await;
    assert_eq!(
        notices(&app, id).await[3..],
        [
            "cancelled completed",
            "confirmed skipped cancelled",
            "cancelled skipped already_told"
        ]
    );
    set_status(&app, id, "confirmed").await;
    app.run(noon() + minutes(4)).await;
    assert_eq!(
        notices(&app, id).await.last().unwrap(),
        "confirmed completed"
    );
}

#[tokio::test]
async fn who_cancelled_is_known_from_the_actor_or_the_booking() {
    let app = with_rules(&["cancelled"]).await;
    let sql = "UPDATE bookings SET status = 'cancelled', cancelled_by = $2 WHERE id = $1";
    let mut ids = Vec::new();
    for by in [
        Some(app.customer),
        Some(app.provider),
        Some(Uuid::new_v4()),
        None,
    ] {
        let id = app.confirmed(noon() + hours(48)).await;
        app.sql(sql, &[&id, &by]).await;
        ids.push(id);
    }
    let id = app.confirmed(noon() + hours(48)).await;
    app.sql(
        "SELECT set_config('booking_automation.actor', 'admin:7', false)",
        &[],
    )
    .await;
    app.sql(sql, &[&id, &Some(app.customer)]).await;
    ids.push(id);
    app.run(noon()).await;
    let told = app
        .column(
            "SELECT event_data -> 'notice' ->> 'by' FROM booking_automation_events
              WHERE event_type = 'notification_sent' AND status = 'completed' ORDER BY array_position($1, booking_id)",
            &[&ids],
        )
        .await;
    assert_eq!(told, ["customer", "provider", "", "", "admin"]);
}

#[tokio::test]
async fn a_rule_that_was_switched_off_sends_nothing_more() {
    let app = with_rules(&["cancelled", "follow-up"]).await;
    let id = app.confirmed(noon() + hours(48)).await;
    set_status(&app, id, "cancelled").await;
    let completed = app.booking("in_progress", noon() - hours(1)).await;
    set_status(&app, completed, "completed").await;
    // Off and on again: nothing of what happened before.
    for active in [false, true] {
        app.set_clock(noon() + minutes(1)).await;
        app.sql("UPDATE booking_automation_notice_rules SET active = $1 WHERE audience = 'customer' AND name IN ('cancelled', 'follow-up')", &[&active]).await;
    }
    app.run(noon() + minutes(2)).await;
    app.run(noon() + hours(2)).await;
    assert_eq!(notices(&app, id).await, ["cancelled skipped rule_off"]);
    assert_eq!(
        notices(&app, completed).await,
        ["follow-up skipped rule_off"]
    );
    // Off between the pass and the claim.
    let id = app.confirmed(noon() + hours(48)).await;
    app.set_clock(noon() + hours(2)).await;
    set_status(&app, id, "cancelled").await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon() + hours(2)).await;
    app.sql(
        "DELETE FROM booking_automation_notice_rules WHERE name = 'cancelled'",
        &[],
    )
    .await;
    app.make_claimable().await;
    app.run(noon() + hours(2) + minutes(1)).await;
    assert_eq!(notices(&app, id).await, ["cancelled skipped rule_off"]);
}

#[tokio::test]
async fn other_rules_do_not_keep_one_in_force() {
    for off in ["active = false", "on_event = 'expired'", "channels = '{}'"] {
        let app = with_rules(&["cancelled"]).await;
        app.set_clock(noon() - hours(24)).await;
        // Of another audience, and of another name.
        let sql = "UPDATE booking_automation_notice_rules SET active = true WHERE name = 'cancelled';
                   INSERT INTO booking_automation_notice_rules (name, on_event, active) VALUES ('other', 'cancelled', true)";
        app.db.batch_execute(sql).await.unwrap();
        app.set_clock(noon()).await;
        let id = app.confirmed(noon() + hours(48)).await;
        set_status(&app, id, "cancelled").await;
        app.ses
            .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
        app.run(noon()).await;
        let sql = format!(
            "UPDATE booking_automation_notice_rules SET {off} WHERE name = 'cancelled' AND audience = 'customer'"
        );
        app.sql(&sql, &[]).await;
        app.ses.answer(|_| Answer::Sent);
        app.make_claimable().await;
        app.run(noon() + minutes(1)).await;
        let sql =
            "SELECT concat_ws(' ', audience, rule, status, reason) FROM booking_automation_events
                    WHERE event_type = 'notification_sent' ORDER BY 1";
        assert_eq!(
            app.column(sql, &[]).await,
            [
                "customer cancelled skipped rule_off",
                "customer other completed",
                "provider cancelled completed"
            ],
            "{off}"
        );
    }
}

/// Cancels so many bookings in one statement.
async fn cancel_many(app: &App, count: i32) {
    app.set_clock(noon() - hours(1000)).await;
    confirm_many(app, count).await;
    app.set_clock(noon()).await;
    app.sql(
        "UPDATE bookings SET status = 'cancelled' WHERE status = 'confirmed'",
        &[],
    )
    .await;
}

async fn outcomes(app: &App) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', rule, status, reason, count(*)) FROM booking_automation_events
                WHERE event_type = 'notification_sent' GROUP BY rule, status, reason ORDER BY 1";
    app.column(sql, &[]).await
}

#[tokio::test]
async fn a_hundred_changes_in_one_transaction_are_told_and_more_are_held() {
    let app = with_rules(&["cancelled"]).await;
    cancel_many(&app, 100).await;
    app.run(noon()).await;
    assert_eq!(outcomes(&app).await, ["cancelled completed 100"]);
    cancel_many(&app, 101).await;
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert_eq!(outcomes(&app).await, ["cancelled completed 100"]);
    assert!(
        said.stderr
            .contains("notices are held until you release or drop them"),
        "{}",
        said.stderr
    );
    assert_eq!(queued(&app).await, 101);
    // Said once, and by `check`.
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert!(!said.stderr.contains("held"), "{}", said.stderr);
    let check = app.call(&["check"]).await;
    assert!(
        check
            .stdout
            .contains("more than 100 changes of a kind: 101"),
        "{}",
        check.stdout
    );
}

#[tokio::test]
async fn more_than_a_hundred_bookings_that_are_inserted_as_confirmed_are_held() {
    let app = with_rules(&["confirmed"]).await;
    for (count, told) in [(100, 100), (101, 100)] {
        confirm_many(&app, count).await;
        app.run(noon()).await;
        assert_eq!(
            outcomes(&app).await,
            [format!("confirmed completed {told}")]
        );
    }
    assert_eq!(queued(&app).await, 101);
}

/// Creates so many confirmed bookings in one statement.
async fn confirm_many(app: &App, count: i32) {
    app.sql(
        "INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes)
         SELECT $1, $2, $3, 'confirmed', $4, 60 FROM generate_series(1, $5::int)",
        &[&app.customer, &app.provider, &app.service, &(noon() + hours(48)), &count],
    )
    .await;
}

#[tokio::test]
async fn each_transaction_event_rule_and_audience_has_a_hundred_of_its_own() {
    let app = with_rules(&["confirmed", "cancelled"]).await;
    app.set_clock(noon() - hours(24)).await;
    app.db
        .batch_execute(
            "UPDATE booking_automation_notice_rules SET active = true WHERE name = 'confirmed';
             INSERT INTO booking_automation_notice_rules (name, on_event, delay, audience, active)
             VALUES ('also', 'confirmed', '0', 'customer', true)",
        )
        .await
        .unwrap();
    app.set_clock(noon() - hours(1000)).await;
    confirm_many(&app, 60).await;
    app.set_clock(noon()).await;
    app.db.batch_execute("BEGIN").await.unwrap();
    app.sql("UPDATE bookings SET status = 'cancelled'", &[])
        .await;
    confirm_many(&app, 60).await;
    app.db.batch_execute("COMMIT").await.unwrap();
    confirm_many(&app, 60).await;
    app.run(noon()).await;
    assert_eq!(
        outcomes(&app).await,
        [
            "also completed 120",
            "cancelled completed 60",
            "confirmed completed 240"
        ]
    );
}

#[tokio::test]
async fn an_import_holds_nothing_else() {
    let app = with_rules(&["confirmed", "cancelled"]).await;
    app.set_clock(noon() - hours(1000)).await;
    confirm_many(&app, 5).await;
    app.set_clock(noon()).await;
    app.db.batch_execute("BEGIN").await.unwrap();
    app.sql("UPDATE bookings SET status = 'cancelled'", &[])
        .await;
    confirm_many(&app, 101).await;
    app.db.batch_execute("COMMIT").await.unwrap();
    confirm_many(&app, 5).await;
    app.run(noon()).await;
    let told = ["cancelled completed 5", "confirmed completed 5"];
    assert_eq!(outcomes(&app).await, told);
    assert_eq!(queued(&app).await, 101);
}

#[tokio::test]
async fn a_rule_without_channels_for_a_while_tells_nothing_of_that_time() {
    let app = with_rules(&["follow-up"]).await;
    let set = async |channels: &str| {
        let sql = "UPDATE booking_automation_notice_rules SET channels = $1::text::text[] WHERE name = 'follow-up'";
        app.sql(sql, &[&channels]).await;
    };
    set("{}").await;
    let id = app.booking("in_progress", noon() - hours(3)).await;
    set_status(&app, id, "completed").await;
    app.set_clock(noon() + minutes(1)).await;
    set("{email}").await;
    for minute in [1, 119, 121, 125] {
        app.run(noon() + minutes(minute)).await;
    }
    assert!(app.ses.mails().is_empty());
    assert!(
        !outcomes(&app)
            .await
            .contains(&"follow-up completed 1".to_owned())
    );
}

#[tokio::test]
async fn a_rule_whose_delay_changes_tells_what_happened_before() {
    let app = with_rules(&["follow-up"]).await;
    let id = app.booking("in_progress", noon() - hours(3)).await;
    set_status(&app, id, "completed").await;
    app.set_clock(noon() + minutes(1)).await;
    let sql =
        "UPDATE booking_automation_notice_rules SET delay = '3 hours' WHERE name = 'follow-up'";
    app.sql(sql, &[]).await;
    for minute in [2, 120, 180] {
        app.run(noon() + minutes(minute)).await;
    }
    assert_eq!(notices(&app, id).await, ["follow-up completed"]);
}

#[tokio::test]
async fn a_refund_without_a_cancellation_cancels() {
    let app = with_rules(&["cancelled"]).await;
    let confirmed = app.booking("confirmed", noon() + hours(48)).await;
    let completed = app.booking("completed", noon() - hours(48)).await;
    for id in [confirmed, completed] {
        set_status(&app, id, "refunded").await;
    }
    app.run(noon()).await;
    let mails = app.ses.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].calendar().is_some_and(|it| it.method == "CANCEL"));
    // What was cancelled before is not cancelled again.
    let cancelled = app.booking("confirmed", noon() + hours(48)).await;
    for status in ["cancelled", "refunded"] {
        set_status(&app, cancelled, status).await;
    }
    app.run(noon() + minutes(1)).await;
    assert_eq!(outcomes(&app).await, ["cancelled completed 2"]);
}

#[tokio::test]
async fn a_notice_that_is_skipped_is_not_deferred() {
    for can_send in [true, false] {
        let app = with_rules(&["cancelled"]).await;
        if !can_send {
            app.sql("DELETE FROM booking_automation_channels", &[])
                .await;
        }
        for hour in [-2, 0] {
            app.set_clock(noon() + hours(hour)).await;
            let id = app.booking("confirmed", noon() + hours(48)).await;
            set_status(&app, id, "cancelled").await;
        }
        let figures = &app.run(noon()).await["reminders"];
        assert_eq!(
            (
                &figures["due"],
                &figures["sent"],
                &figures["skipped"],
                &figures["deferred"]
            ),
            (
                &json!(2),
                &json!(i32::from(can_send)),
                &json!(1),
                &json!(i32::from(!can_send))
            ),
            "{figures}"
        );
    }
}

#[tokio::test]
async fn the_automations_own_steps_are_never_held() {
    let app = with_rules(&["follow-up"]).await;
    app.sql(
        "UPDATE booking_automation_notice_rules SET delay = '0' WHERE name = 'follow-up'",
        &[],
    )
    .await;
    app.sql(
        "INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes)
         SELECT $1, $2, $3, 'in_progress', $4, 60 FROM generate_series(1, 150)",
        &[&app.customer, &app.provider, &app.service, &(noon() - hours(1))],
    )
    .await;
    app.run(noon()).await;
    assert_eq!(outcomes(&app).await, ["follow-up completed 150"]);
}

/// With reminders one hour before the start.
async fn with_follow_ups_and_reminders() -> App {
    let app = with_rules(&["follow-up"]).await;
    app.set_clock(noon() - hours(1000)).await;
    let sql = "UPDATE reminder_rules SET active = true WHERE name = '1h'";
    app.sql(sql, &[]).await;
    app.set_clock(noon()).await;
    app
}

#[tokio::test]
async fn urgent_reminders_go_before_follow_ups() {
    let mut app = with_follow_ups_and_reminders().await;
    app.env.insert("SEND_CONCURRENCY", "1".to_owned());
    let ended = app.booking("in_progress", noon() - hours(1)).await;
    set_status(&app, ended, "completed").await;
    let soon = app.confirmed(noon() + hours(2) + minutes(30)).await;
    app.run(noon() + hours(2)).await;
    let order = app
        .column("SELECT booking_id::text FROM booking_automation_events WHERE message_id IS NOT NULL ORDER BY message_id", &[])
        .await;
    assert_eq!(order, [soon, ended].map(|id| id.to_string()));
}

#[tokio::test]
async fn follow_ups_beyond_the_rate_are_not_claimed() {
    for (reminders, claims) in [(0, ["0", "1"]), (1, ["0", "0"])] {
        let mut app = with_follow_ups_and_reminders().await;
        // One message each ten seconds.
        app.env.insert("SEND_RATE", "0.1".to_owned());
        for _ in 0..2 {
            let id = app.booking("in_progress", noon() - hours(1)).await;
            set_status(&app, id, "completed").await;
        }
        for _ in 0..reminders {
            app.confirmed(noon() + hours(2) + minutes(30)).await;
        }
        let as_of = (noon() + hours(2)).to_rfc3339();
        let call = app
            .call(&["run", "--for", "10s", "--as-of", &as_of])
            .await
            .summary();
        assert_eq!(call["reminders"]["sent"], 1, "{call}");
        let sql = "SELECT claim::text FROM booking_automation_events WHERE event_type = 'notification_sent' ORDER BY 1";
        assert_eq!(app.column(sql, &[]).await, claims);
    }
}

#[tokio::test]
async fn a_follow_up_is_tried_again_although_the_start_has_passed() {
    let app = with_rules(&["follow-up"]).await;
    let id = app.booking("in_progress", noon() - hours(1)).await;
    set_status(&app, id, "completed").await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon() + hours(2)).await;
    assert_eq!(notices(&app, id).await, ["follow-up pending throttled"]);
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    app.run(noon() + hours(2) + minutes(2)).await;
    assert_eq!(notices(&app, id).await, ["follow-up completed"]);
}

#[tokio::test]
async fn the_key_prevents_a_second_notice_about_the_same_event() {
    let app = with_rules(&["cancelled"]).await;
    let id = app.confirmed(noon() + hours(48)).await;
    set_status(&app, id, "cancelled").await;
    app.db
        .batch_execute("CREATE TABLE copy AS SELECT * FROM booking_automation_notices")
        .await
        .unwrap();
    app.run(noon()).await;
    let again = "INSERT INTO booking_automation_notices (event_id, booking_id, on_event, rule, audience, happened_at, due_at, is_automatic, queued_at)
                 SELECT event_id, booking_id, on_event, rule, audience, happened_at, due_at, is_automatic, queued_at FROM copy";
    app.sql(again, &[]).await;
    app.run(noon() + minutes(1)).await;
    assert_eq!(notices(&app, id).await, ["cancelled completed"]);
    assert_eq!((app.ses.mails().len(), queued(&app).await), (1, 0));
}

#[tokio::test]
async fn an_open_transaction_of_the_owner_neither_waits_nor_fails() {
    let app = with_rules(&["cancelled"]).await;
    let ids = [
        app.confirmed(noon() + hours(48)).await,
        app.confirmed(noon() + hours(48)).await,
    ];
    let mut other = connect(&app.url).await;
    other
        .batch_execute(&format!(
            "SET booking_automation.as_of = '{}'",
            noon().to_rfc3339()
        ))
        .await
        .unwrap();
    let open = other
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::Serializable)
        .start()
        .await
        .unwrap();
    open.execute(
        "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
        &[&ids[0]],
    )
    .await
    .unwrap();
    set_status(&app, ids[1], "cancelled").await;
    app.run(noon()).await;
    open.commit().await.unwrap();
    app.run(noon() + minutes(1)).await;
    for id in ids {
        assert_eq!(notices(&app, id).await, ["cancelled completed"]);
    }
}

#[tokio::test]
async fn a_dry_run_and_the_timeline_know_what_is_queued() {
    let mut app = with_rules(&["cancelled", "follow-up"]).await;
    let [id, completed] = [
        app.confirmed(noon() + hours(48)).await,
        app.booking("in_progress", noon() - hours(1)).await,
    ];
    set_status(&app, id, "cancelled").await;
    set_status(&app, completed, "completed").await;
    let said = app
        .call(&["run", "--dry-run", "--as-of", &noon().to_rfc3339()])
        .await;
    assert_eq!(said.summary()["reminders"]["deferred"], 1);
    assert_eq!(queued(&app).await, 2);
    app.run(noon()).await;
    let server = support(&mut app, noon()).await;
    let timeline = async |id: Uuid, member: &str| {
        let answer = ask(
            &server,
            "GET",
            &format!("/bookings/{id}/timeline"),
            &[],
            b"",
        )
        .await;
        let entries = answer.json()[member].clone();
        let last = entries.as_array().unwrap().last().cloned().unwrap();
        last["text"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        timeline(id, "happened").await,
        "The cancelled notice to the customer by email was sent."
    );
    assert_eq!(
        timeline(completed, "planned").await,
        "The follow-up notice to the customer will be sent."
    );
    let preview = ask(&server, "GET", "/preview?for=3h", &[], b"")
        .await
        .json();
    assert_eq!(
        preview["rules"],
        json!([{"rule": "follow-up", "audience": "customer", "channel": "email", "send": 1, "skip": {}}]),
        "{preview}"
    );
}

/// Lists what is held.
async fn held(server: &Server) -> Value {
    let answer = ask(server, "GET", "/notices/held", &[], b"").await;
    answer.json()["held"].clone()
}

async fn decide(server: &Server, held: &Value, decision: &str, key: &str) -> HttpAnswer {
    let [transaction, event] = ["transaction", "on_event"].map(|name| held[name].as_str().unwrap());
    let path = format!("/notices/held/{transaction}/{event}/{decision}");
    let key = [("Idempotency-Key", key.as_bytes())];
    ask(server, "POST", &path, &key, b"").await
}

#[tokio::test]
async fn held_notices_are_released_or_dropped() {
    let mut app = with_rules(&["cancelled"]).await;
    cancel_many(&app, 101).await;
    app.run(noon()).await;
    let server = support(&mut app, noon()).await;
    let all = held(&server).await;
    let (first, transaction) = (&all[0], all[0]["transaction"].clone());
    assert_eq!(
        (&first["on_event"], &first["notices"]),
        (&json!("cancelled"), &json!(101))
    );
    let id: Uuid = app
        .one(
            "SELECT booking_id FROM booking_automation_notices LIMIT 1",
            &[],
        )
        .await
        .get(0);
    let timeline = ask(
        &server,
        "GET",
        &format!("/bookings/{id}/timeline"),
        &[],
        b"",
    )
    .await;
    assert_eq!(timeline.json()["planned"][0]["status"], "held");
    // Not this one, and not so.
    for (number, event, decision, status) in [
        (json!("1"), "cancelled", "release", 404),
        (transaction.clone(), "confirmed", "release", 404),
        (transaction.clone(), "moved", "release", 400),
        (json!("x"), "cancelled", "release", 400),
        (json!("-1"), "cancelled", "drop", 400),
        (transaction.clone(), "cancelled", "send", 404),
    ] {
        let other = json!({"transaction": number, "on_event": event});
        let answer = decide(&server, &other, decision, "other").await;
        assert_eq!(answer.status, status, "{other} {decision}");
    }
    assert_eq!(held(&server).await, all);
    let released = decide(&server, first, "release", "one").await.json();
    let expected = json!({"transaction": transaction, "on_event": "cancelled", "notices": 101, "has_more": false});
    assert_eq!(released, expected);
    // A repeat gets the same answer, and without the key there is nothing left.
    assert_eq!(
        decide(&server, first, "release", "one").await.json(),
        expected
    );
    assert_eq!(decide(&server, first, "drop", "two").await.status, 404);
    app.run(noon() + minutes(1)).await;
    assert_eq!(outcomes(&app).await, ["cancelled completed 101"]);

    cancel_many(&app, 150).await;
    app.run(noon()).await;
    let dropped = decide(&server, &held(&server).await[0], "drop", "three").await;
    assert_eq!(dropped.json()["notices"], 150);
    app.run(noon() + minutes(2)).await;
    assert_eq!(
        outcomes(&app).await,
        ["cancelled completed 101", "cancelled skipped dropped 150"]
    );
    assert_eq!(queued(&app).await, 0);
}

#[tokio::test]
async fn a_release_hours_later_is_sent() {
    let mut app = with_rules(&["cancelled"]).await;
    cancel_many(&app, 101).await;
    app.run(noon()).await;
    let later = noon() + hours(20);
    let server = support(&mut app, later).await;
    decide(&server, &held(&server).await[0], "release", "one").await;
    app.run(later + hours(2)).await;
    assert_eq!(outcomes(&app).await, ["cancelled completed 101"]);
}

#[tokio::test]
async fn a_decision_is_about_one_transaction() {
    let mut app = with_rules(&["cancelled"]).await;
    app.set_clock(noon() - hours(24)).await;
    app.db
        .batch_execute(
            "INSERT INTO booking_automation_notice_rules (name, on_event, delay, audience, active)
             VALUES ('later', 'cancelled', '2 hours', 'customer', true);
             UPDATE booking_automation_notice_rules SET active = true, delay = '2 hours'
              WHERE name = 'cancelled' AND audience = 'provider'",
        )
        .await
        .unwrap();
    for _ in 0..2 {
        cancel_many(&app, 130).await;
    }
    app.run(noon()).await;
    let held_rows =
        "SELECT count(*)::text FROM booking_automation_notices WHERE held_since IS NOT NULL";
    assert_eq!(app.column(held_rows, &[]).await, ["260"]);
    // As if a pass had held only a part.
    let part = "UPDATE booking_automation_notices SET held_since = NULL WHERE held_since IS NOT NULL AND seq / 3 % 2 = 0";
    assert!(app.sql(part, &[]).await > 100);
    let server = support(&mut app, noon()).await;
    let dropped = decide(&server, &held(&server).await[0], "drop", "one").await;
    assert_eq!(dropped.json()["notices"], 130);
    app.run(noon()).await;
    assert_eq!(outcomes(&app).await, ["cancelled skipped dropped 130"]);
    // Those of the other transaction, and of two rules whose notices are not due yet.
    assert_eq!(queued(&app).await, 130 + 2 * 260);
}

#[tokio::test]
async fn a_decision_covers_what_no_pass_has_held_yet_and_no_other_kind() {
    let mut app = with_rules(&["cancelled", "follow-up"]).await;
    app.sql(
        "UPDATE booking_automation_notice_rules SET delay = '0' WHERE name = 'follow-up'",
        &[],
    )
    .await;
    let completed = app.booking("in_progress", noon() - hours(1)).await;
    app.db.batch_execute("BEGIN").await.unwrap();
    cancel_many(&app, 130).await;
    set_status(&app, completed, "completed").await;
    app.db.batch_execute("COMMIT").await.unwrap();
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    assert_eq!(outcomes(&app).await, ["follow-up pending throttled 1"]);
    // As if a pass had held only a part.
    app.sql("UPDATE booking_automation_notices SET held_since = NULL WHERE seq IN (SELECT seq FROM booking_automation_notices LIMIT 50)", &[]).await;
    let server = support(&mut app, noon()).await;
    let dropped = decide(&server, &held(&server).await[0], "drop", "one").await;
    assert_eq!(dropped.json()["notices"], 130);
    app.run(noon()).await;
    assert_eq!(
        outcomes(&app).await,
        [
            "cancelled skipped dropped 130",
            "follow-up pending throttled 1"
        ]
    );
}

#[tokio::test]
async fn a_pass_and_a_decision_at_the_same_time_lose_nothing() {
    let mut app = with_rules(&["cancelled"]).await;
    cancel_many(&app, 101).await;
    // Somebody decides on a part just now.
    let other = connect(&app.url).await;
    other
        .batch_execute(
            "BEGIN; SELECT FROM booking_automation_notices ORDER BY seq LIMIT 40 FOR UPDATE",
        )
        .await
        .unwrap();
    app.run(noon()).await;
    other.batch_execute("UPDATE booking_automation_notices SET decided_at = now() WHERE seq IN (SELECT seq FROM booking_automation_notices ORDER BY seq LIMIT 40); COMMIT").await.unwrap();
    app.run(noon()).await;
    assert_eq!(outcomes(&app).await, ["cancelled completed 40"]);
    let server = support(&mut app, noon()).await;
    let all = held(&server).await;
    assert_eq!(all[0]["notices"], 61);
    // Both: that is decided again.
    app.sql(
        "UPDATE booking_automation_notices SET decided_at = now()",
        &[],
    )
    .await;
    assert_eq!(
        decide(&server, &all[0], "release", "one").await.json()["notices"],
        61
    );
    app.run(noon()).await;
    assert_eq!(outcomes(&app).await, ["cancelled completed 101"]);
}

#[tokio::test]
async fn an_erasure_takes_queued_and_sent_notices() {
    let mut app = with_rules(&["cancelled", "follow-up"]).await;
    let [id, completed] = [
        app.confirmed(noon() + hours(48)).await,
        app.booking("in_progress", noon() - hours(1)).await,
    ];
    set_status(&app, id, "cancelled").await;
    set_status(&app, completed, "completed").await;
    app.run(noon()).await;
    let server = support(&mut app, noon()).await;
    let path = format!("/people/{}/messages", app.customer);
    let erased = ask(&server, "DELETE", &path, &[], b"").await;
    assert_eq!(
        (&erased.json()["messages"], &erased.json()["not_sent"]),
        (&json!(2), &json!(1))
    );
    let left = "SELECT count(*) FROM booking_automation_events WHERE event_type = 'notification_sent' AND (message_id IS NOT NULL OR event_data ? 'notice')";
    assert_eq!(
        (
            app.one(left, &[]).await.get::<_, i64>(0),
            queued(&app).await
        ),
        (0, 0)
    );
    app.run(noon() + hours(2)).await;
    assert_eq!(app.ses.mails().len(), 1);
}

#[tokio::test]
async fn what_the_provider_says_of_a_notice_is_recorded() {
    let app = with_rules(&["cancelled", "confirmed"]).await;
    let id = app.booking("confirmed", noon() + hours(48)).await;
    app.run(noon()).await;
    let mail = app.ses.mails().remove(0);
    let mut event = ses_event("ses-bounce", mail.event_id(), "message-1");
    event["detail"]["bounce"]["bouncedRecipients"][0]["emailAddress"] = mail.to().into();
    Instance::start(&app).await.invoke(&event).await.unwrap();
    let said = "SELECT kind FROM booking_automation_feedback";
    assert_eq!(app.column(said, &[]).await, ["bounced"]);
    set_status(&app, id, "cancelled").await;
    app.run(noon() + minutes(1)).await;
    assert_eq!(
        notices(&app, id).await,
        ["confirmed completed", "cancelled skipped suppressed"]
    );
}

#[tokio::test]
async fn a_claim_of_reminders_reads_nothing_for_notices() {
    let app = App::new().await;
    create_due_bookings(&app, 20).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    app.make_claimable().await;
    let claim = composed().into_iter().find(|(name, _)| name == "claim");
    let ids = "(SELECT array_agg(id) FROM booking_automation_events)";
    let values = [
        (
            "$16::boolean[]",
            "(SELECT array_agg(false) FROM booking_automation_events)",
        ),
        (
            "$17::text[]",
            "(SELECT array_agg(NULL::text) FROM booking_automation_events)",
        ),
        ("$13::uuid[]", "NULL::uuid[]"),
        ("$14::text[]", "NULL::text[]"),
        ("$15::uuid[]", "NULL::uuid[]"),
        ("$11::timestamptz[]", "ARRAY[NULL::timestamptz]"),
        (
            "$12::text[]",
            "(SELECT array_agg(NULL::text) FROM booking_automation_events)",
        ),
        (
            "$10::bytea[]",
            "(SELECT array_agg('\\x00'::bytea) FROM booking_automation_events)",
        ),
        ("$8::uuid[]", ids),
        (
            "$9::text[]",
            "(SELECT array_agg('a@b.example'::text) FROM booking_automation_events)",
        ),
        ("$1", "'email'"),
        ("$2", "100::float8"),
        ("$3", "2::float8"),
        ("$4", "30::float8"),
        ("$5", "120::float8"),
        ("$6", "'2026-03-01 12:00Z'::timestamptz"),
        ("$7", "5"),
    ];
    let sql = values.iter().fold(claim.unwrap().1, |sql, (name, value)| {
        sql.replace(name, value)
    });
    // As in a claim: compiling this statement takes seconds.
    app.sql("SET jit = off", &[]).await;
    let plan = app
        .column(
            &format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {sql}"),
            &[],
        )
        .await;
    let claimed = "SELECT id::text FROM booking_automation_events WHERE status = 'sending'";
    assert_eq!(app.column(claimed, &[]).await.len(), 20);
    for scan in [
        "on booking_automation_events o",
        "on booking_automation_events w",
        "on booking_automation_events c",
        "on booking_automation_notice_rules r ",
        "on booking_automation_digest_rules d ",
    ] {
        let lines: Vec<_> = plan.iter().filter(|line| line.contains(scan)).collect();
        assert!(!lines.is_empty(), "{scan}: {plan:#?}");
        assert!(
            lines.iter().all(|line| line.contains("never executed")),
            "{scan}: {plan:#?}"
        );
    }
}

/// Messages whose outcome is not known, until the next `answer`.
fn lose_answers(app: &App) {
    app.ses
        .answer(|_| Answer::Error(500, "InternalFailure", "who knows"));
}

#[tokio::test]
async fn what_may_have_been_told_is_corrected() {
    let app = with_rules(&["confirmed", "rescheduled", "cancelled"]).await;
    // Perhaps told of the move, and then moved back.
    let moved = app.confirmed(noon() + hours(48)).await;
    // Perhaps told of the cancellation, and then confirmed again.
    let cancelled = app.confirmed(noon() + hours(48)).await;
    // Perhaps told of the first start, and then moved.
    let confirmed = app.booking("pending", noon() + hours(48)).await;
    app.run(noon()).await;
    lose_answers(&app);
    set_start(&app, moved, noon() + hours(50)).await;
    set_status(&app, cancelled, "cancelled").await;
    set_status(&app, confirmed, "confirmed").await;
    app.run(noon() + minutes(1)).await;
    set_start(&app, moved, noon() + hours(48)).await;
    set_status(&app, cancelled, "confirmed").await;
    set_start(&app, confirmed, noon() + hours(50)).await;
    app.ses.answer(|_| Answer::Sent);
    app.run(noon() + minutes(2)).await;
    assert_eq!(
        notices(&app, moved).await.last().unwrap(),
        "rescheduled completed"
    );
    assert_eq!(
        told_from(&app, moved).await.last().unwrap()[..16],
        (noon() + hours(50)).to_rfc3339()[..16]
    );
    assert_eq!(
        notices(&app, cancelled).await.last().unwrap(),
        "confirmed completed"
    );
    assert_eq!(
        notices(&app, confirmed).await.last().unwrap(),
        "rescheduled completed"
    );
    // After several moves, the message names the start before the last move.
    let twice = app.booking("pending", noon() + hours(48)).await;
    lose_answers(&app);
    set_status(&app, twice, "confirmed").await;
    app.run(noon() + minutes(3)).await;
    for start in [50, 52] {
        set_start(&app, twice, noon() + hours(start)).await;
    }
    app.ses.answer(|_| Answer::Sent);
    app.run(noon() + minutes(4)).await;
    assert_eq!(
        told_from(&app, twice).await.last().unwrap()[..16],
        (noon() + hours(50)).to_rfc3339()[..16]
    );
}

#[tokio::test]
async fn the_same_event_twice_is_told_once() {
    let app = with_rules(&["confirmed", "follow-up"]).await;
    let id = app.booking("confirmed", noon() + hours(48)).await;
    set_status(&app, id, "pending_payment").await;
    set_status(&app, id, "confirmed").await;
    let completed = app.booking("in_progress", noon() - hours(1)).await;
    app.sql(
        "UPDATE bookings SET auto_complete_blocked = true WHERE id = $1",
        &[&completed],
    )
    .await;
    for (time, status) in [(0, "completed"), (5, "in_progress"), (10, "completed")] {
        app.set_clock(noon() + minutes(time)).await;
        set_status(&app, completed, status).await;
    }
    for time in [10, 120, 130] {
        app.run(noon() + minutes(time)).await;
    }
    assert_eq!(
        notices(&app, id).await,
        ["confirmed skipped superseded", "confirmed completed"]
    );
    assert_eq!(
        notices(&app, completed).await,
        ["follow-up completed", "follow-up skipped already_told"]
    );
}

#[tokio::test]
async fn each_rule_about_an_event_tells_of_it() {
    let app = with_rules(&["confirmed", "cancelled"]).await;
    app.set_clock(noon() - hours(24)).await;
    app.sql(
        "INSERT INTO booking_automation_notice_rules (name, on_event, delay, active)
         VALUES ('welcome', 'confirmed', '1 hour', true), ('come back', 'cancelled', '1 hour', true)",
        &[],
    )
    .await;
    app.set_clock(noon()).await;
    let [id, cancelled] = [
        app.booking("confirmed", noon() + hours(48)).await,
        app.confirmed(noon() + hours(48)).await,
    ];
    set_status(&app, cancelled, "cancelled").await;
    for time in [0, 60] {
        app.run(noon() + minutes(time)).await;
    }
    assert_eq!(
        notices(&app, id).await,
        ["confirmed completed", "welcome completed"]
    );
    assert_eq!(
        notices(&app, cancelled).await,
        ["cancelled completed", "come back completed"]
    );
}

#[tokio::test]
async fn another_person_is_told_although_the_one_before_knew() {
    let app = with_rules(&["confirmed"]).await;
    let id = app.booking("confirmed", noon() + hours(48)).await;
    app.run(noon()).await;
    let other = app
        .person("Robin", Some("robin@customers.example"), "Europe/Vienna")
        .await;
    let sql = "UPDATE bookings SET customer_id = $2, status = $3 WHERE id = $1";
    for status in ["pending", "confirmed"] {
        app.sql(sql, &[&id, &other, &status]).await;
    }
    app.run(noon() + minutes(1)).await;
    assert_eq!(
        notices(&app, id).await,
        ["confirmed completed", "confirmed completed"]
    );
    assert_eq!(app.ses.mails()[1].to(), "robin@customers.example");
}

#[tokio::test]
async fn a_move_without_a_later_notice_is_told_with_the_current_start() {
    let app = with_rules(&["rescheduled"]).await;
    let id = app.confirmed(noon() + hours(48)).await;
    set_start(&app, id, noon() + hours(50)).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    app.sql_without_triggers(&format!(
        "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 hour' WHERE id = '{id}'"
    ))
    .await;
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    app.run(noon() + minutes(1)).await;
    assert_eq!(notices(&app, id).await, ["rescheduled completed"]);
    let told: DateTime<Utc> = app.one("SELECT starts_at FROM booking_automation_events WHERE event_type = 'notification_sent'", &[]).await.get(0);
    assert_eq!(told, noon() + hours(51));
}

#[tokio::test]
async fn a_booking_that_loses_its_start_ends_its_notices() {
    for start in ["NULL", "'infinity'", "'280000-01-01'"] {
        let app = with_rules(&["cancelled", "confirmed"]).await;
        let ids = [
            app.confirmed(noon() + hours(48)).await,
            app.booking("confirmed", noon() + hours(48)).await,
        ];
        set_status(&app, ids[0], "cancelled").await;
        app.ses
            .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
        app.run(noon()).await;
        app.db.batch_execute(&format!("ALTER TABLE bookings ALTER scheduled_at DROP NOT NULL; UPDATE bookings SET scheduled_at = {start}")).await.unwrap();
        app.make_claimable().await;
        app.run(noon() + minutes(1)).await;
        assert_eq!(
            notices(&app, ids[0]).await,
            ["cancelled skipped no_start"],
            "{start}"
        );
        assert_eq!(
            notices(&app, ids[1]).await,
            ["confirmed skipped no_start"],
            "{start}"
        );
    }
}

#[tokio::test]
async fn a_notice_that_waited_for_its_turn_is_not_too_old() {
    let app = with_rules(&["cancelled"]).await;
    let id = app.confirmed(noon() + hours(48)).await;
    set_status(&app, id, "cancelled").await;
    let other = connect(&app.url).await;
    other
        .batch_execute("BEGIN; SELECT FROM booking_automation_notices FOR UPDATE")
        .await
        .unwrap();
    app.run(noon() + minutes(1)).await;
    other.batch_execute("COMMIT").await.unwrap();
    app.run(noon() + hours(2)).await;
    assert_eq!(notices(&app, id).await, ["cancelled completed"]);
}

#[tokio::test]
async fn only_a_pass_within_the_hour_after_its_time_let_a_notice_wait() {
    let app = with_rules(&["cancelled"]).await;
    let id = app.confirmed(noon() + hours(48)).await;
    set_status(&app, id, "cancelled").await;
    for (outcome, minute) in [("failed", 30), ("completed", -1), ("completed", 61)] {
        let sql = "INSERT INTO automation_runs (id, trigger, as_of, outcome) VALUES (gen_random_uuid(), 'cli', $1, $2)";
        app.sql(sql, &[&(noon() + minutes(minute)), &outcome]).await;
    }
    app.run(noon() + minutes(62)).await;
    assert_eq!(notices(&app, id).await, ["cancelled skipped too_old"]);
}

#[tokio::test]
async fn a_notice_about_a_booking_that_is_gone_is_skipped() {
    let app = with_rules(&["cancelled"]).await;
    let id = app.confirmed(noon() + hours(48)).await;
    set_status(&app, id, "cancelled").await;
    app.sql("DELETE FROM bookings", &[]).await;
    let summary = app.run(noon()).await;
    let reminders = &summary["reminders"];
    assert_eq!(
        (&reminders["due"], &reminders["skipped"]),
        (&json!(1), &json!(1)),
        "{summary}"
    );
    assert_eq!(notices(&app, id).await, ["cancelled skipped deleted"]);
    assert_eq!(queued(&app).await, 0);
    let decided = "SELECT (executed_at = $1)::text FROM booking_automation_events WHERE event_type = 'notification_sent'";
    assert_eq!(app.column(decided, &[&noon()]).await, ["true"]);
}

#[tokio::test]
async fn a_notice_has_the_schedule_of_its_booking() {
    let app = with_rules(&["confirmed"]).await;
    app.booking("confirmed", noon() + hours(48)).await;
    let moved = app.booking("confirmed", noon() + hours(50)).await;
    set_start(&app, moved, noon() + hours(49)).await;
    app.run(noon()).await;
    let revisions = "SELECT revision::text FROM booking_automation_events WHERE event_type = 'notification_sent' ORDER BY seq";
    assert_eq!(app.column(revisions, &[]).await, ["1", "2"]);
}

#[tokio::test]
async fn a_notice_waits_three_minutes_for_a_confirmation() {
    let app = with_rules(&["rescheduled"]).await;
    let id = app.confirmed(noon()).await;
    // The program of the owner started it, so no pass takes it back.
    set_status(&app, id, "in_progress").await;
    set_start(&app, id, noon() + hours(48)).await;
    app.run(noon() + minutes(2)).await;
    assert_eq!(queued(&app).await, 1);
    app.run(noon() + minutes(3)).await;
    assert_eq!(notices(&app, id).await, ["rescheduled skipped started"]);
}

#[tokio::test]
async fn notices_that_cannot_be_enqueued_fail_no_pass() {
    let app = with_rules(&["cancelled"]).await;
    let [id, started] = [
        app.confirmed(noon() + hours(48)).await,
        app.confirmed(noon()).await,
    ];
    set_status(&app, id, "cancelled").await;
    let refuse = "ALTER TABLE booking_automation_events ADD CONSTRAINT theirs CHECK (event_type <> 'notification_sent') NOT VALID";
    app.db.batch_execute(refuse).await.unwrap();
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert!(
        said.success && said.stderr.contains("notices could not be enqueued"),
        "{}",
        said.stderr
    );
    assert_eq!(app.status(started).await, "in_progress");
    app.db
        .batch_execute("ALTER TABLE booking_automation_events DROP CONSTRAINT theirs")
        .await
        .unwrap();
    app.run(noon() + minutes(1)).await;
    assert_eq!(notices(&app, id).await, ["cancelled completed"]);
}

#[tokio::test]
async fn a_notice_of_a_move_does_not_wait_for_a_booking_that_is_gone() {
    let app = with_rules(&["rescheduled"]).await;
    let id = app.confirmed(noon() + hours(48)).await;
    set_start(&app, id, noon() + hours(50)).await;
    app.sql("DELETE FROM bookings", &[]).await;
    app.run(noon()).await;
    assert_eq!(notices(&app, id).await, ["rescheduled skipped deleted"]);
}

#[tokio::test]
async fn a_started_booking_that_is_moved_ahead_is_told_when_it_is_confirmed_again() {
    let app = with_rules(&["rescheduled"]).await;
    let id = app.confirmed(noon()).await;
    app.run(noon()).await;
    assert_eq!(app.status(id).await, "in_progress");
    set_start(&app, id, noon() + hours(48)).await;
    let other = connect(&app.url).await;
    other
        .execute("SELECT set_config('lock_timeout', '1s', false)", &[])
        .await
        .unwrap();
    other
        .batch_execute(&format!(
            "BEGIN; SELECT FROM bookings WHERE id = '{id}' FOR UPDATE"
        ))
        .await
        .unwrap();
    app.run(noon() + minutes(1)).await;
    assert_eq!(app.status(id).await, "in_progress");
    other.batch_execute("COMMIT").await.unwrap();
    app.run(noon() + minutes(2)).await;
    assert_eq!(app.status(id).await, "confirmed");
    assert_eq!(notices(&app, id).await, ["rescheduled completed"]);
}

#[tokio::test]
async fn a_row_that_another_program_writes_into_the_trail_never_fails() {
    let app = with_rules(&["cancelled"]).await;
    let id = app.confirmed(noon() + hours(48)).await;
    let sql = "INSERT INTO booking_automation_events (booking_id, event_type, event_data, scheduled_at, executed_at, status)
               VALUES ($1, 'status_update', '{\"to\": \"cancelled\"}', $2, NULL, 'completed'),
                      ($1, 'rescheduled', NULL, $2, NULL, 'completed'), ($1, 'status_update', '[]', NULL, NULL, 'completed')";
    assert_eq!(app.sql(sql, &[&id, &noon()]).await, 3);
    app.run(noon()).await;
    assert_eq!(notices(&app, id).await, ["cancelled skipped overtaken"]);
}

#[tokio::test]
async fn notices_do_not_wait_for_a_clock_that_was_set_back() {
    let app = with_rules(&["cancelled"]).await;
    let id = app.booking("confirmed", Utc::now() + hours(72)).await;
    // The clock ran a day fast.
    app.set_clock(Utc::now() + hours(24)).await;
    set_status(&app, id, "cancelled").await;
    app.sql("INSERT INTO automation_runs (id, trigger, as_of, outcome, created_at) VALUES (gen_random_uuid(), 'cli', now() + interval '1 day', 'completed', now() + interval '1 day')", &[]).await;
    for _ in 0..2 {
        let said = app.call(&["run"]).await;
        assert!(said.success, "{}", said.stderr);
    }
    assert_eq!(notices(&app, id).await, ["cancelled completed"]);
}

#[tokio::test]
async fn a_confirmation_that_was_certainly_not_sent_is_told_before_the_move() {
    let app = with_rules(&["confirmed", "rescheduled"]).await;
    let id = app.booking("confirmed", noon() + hours(48)).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    set_start(&app, id, noon() + hours(50)).await;
    app.ses.answer(|_| Answer::Sent);
    app.run(noon() + minutes(1)).await;
    app.make_claimable().await;
    app.run(noon() + minutes(2)).await;
    assert_eq!(
        notices(&app, id).await,
        ["confirmed completed", "rescheduled skipped superseded"]
    );
}

#[tokio::test]
async fn a_later_rule_about_the_confirmation_replaces_no_move() {
    let app = with_rules(&["confirmed", "rescheduled"]).await;
    app.set_clock(noon() - hours(24)).await;
    app.sql(
        "INSERT INTO booking_automation_notice_rules (name, on_event, delay, active) VALUES ('welcome', 'confirmed', '1 hour', true)",
        &[],
    )
    .await;
    app.set_clock(noon()).await;
    let id = app.booking("confirmed", noon() + hours(48)).await;
    app.run(noon()).await;
    app.set_clock(noon() + hours(1)).await;
    set_start(&app, id, noon() + hours(50)).await;
    app.run(noon() + hours(1)).await;
    assert!(
        notices(&app, id)
            .await
            .contains(&"rescheduled completed".to_owned()),
        "{:?}",
        notices(&app, id).await
    );
}

#[tokio::test]
async fn a_move_from_a_start_that_nobody_writes_is_told() {
    for odd in ["280000-01-01", "infinity", "0044-03-15 BC"] {
        let app = with_rules(&["rescheduled"]).await;
        let id = app.confirmed(noon() + hours(48)).await;
        app.db
            .batch_execute(&format!("UPDATE bookings SET scheduled_at = '{odd}'"))
            .await
            .unwrap();
        set_start(&app, id, noon() + hours(50)).await;
        app.run(noon()).await;
        assert_eq!(
            notices(&app, id).await.last().unwrap(),
            "rescheduled completed",
            "{odd}"
        );
    }
}

/// Stores a copy of the booking's notices with other values.
async fn store_another(app: &App, id: Uuid, values: &str) {
    let sql = format!(
        "INSERT INTO booking_automation_events
                (booking_id, event_type, about, rule, audience, channel, revision, status, attempts, starts_at, scheduled_at, executed_at, event_data)
         SELECT booking_id, event_type, gen_random_uuid(), rule, audience, channel, revision, 'completed', 1, starts_at, scheduled_at, executed_at,
                jsonb_set(event_data, '{{notice,from}}', '\"2026-01-01T00:00:00Z\"') || '{{\"told\": \"another thing\"}}'
           FROM booking_automation_events WHERE booking_id = '{id}' AND event_type = 'notification_sent';
         UPDATE booking_automation_events SET {values} WHERE event_data ->> 'told' = 'another thing'"
    );
    app.sql_without_triggers(&sql).await;
}

#[tokio::test]
async fn what_is_told_to_others_or_elsewhere_does_not_count() {
    for (values, counts) in [
        ("recipient = ''", true),
        ("audience = 'provider'", false),
        ("channel = 'sms'", false),
        ("recipient = 'guest'", false),
        ("rule = 'other'", false),
    ] {
        // The last word to the customer was the confirmation.
        let app = with_rules(&["confirmed"]).await;
        let id = app.booking("confirmed", noon() + hours(48)).await;
        app.run(noon()).await;
        store_another(&app, id, values).await;
        for status in ["pending", "confirmed"] {
            set_status(&app, id, status).await;
        }
        app.run(noon() + minutes(1)).await;
        let expected = match counts {
            true => "confirmed completed",
            false => "confirmed skipped already_told",
        };
        assert_eq!(
            notices(&app, id).await.last().unwrap(),
            expected,
            "{values}"
        );

        // Nobody was told of the first move.
        let app = with_rules(&["rescheduled"]).await;
        let id = app.confirmed(noon() + hours(48)).await;
        app.ses
            .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
        set_start(&app, id, noon() + hours(50)).await;
        app.run(noon()).await;
        let other = format!(
            "{values}, status = 'skipped', attempts = 0, scheduled_at = scheduled_at - interval '1 minute'"
        );
        store_another(&app, id, &other).await;
        set_start(&app, id, noon() + hours(48)).await;
        app.ses.answer(|_| Answer::Sent);
        app.make_claimable().await;
        app.run(noon() + minutes(1)).await;
        let expected = match counts {
            true => "rescheduled completed",
            false => "rescheduled skipped already_told",
        };
        assert_eq!(
            notices(&app, id).await.last().unwrap(),
            expected,
            "{values}"
        );
    }
}

#[tokio::test]
async fn what_did_not_arrive_was_not_told() {
    for (kind, event, expected) in [
        ("bounced", "id", "confirmed completed"),
        ("rejected", "id", "confirmed completed"),
        ("rendering_failed", "id", "confirmed completed"),
        ("delivered", "id", "confirmed skipped already_told"),
        (
            "bounced",
            "gen_random_uuid()",
            "confirmed skipped already_told",
        ),
    ] {
        let app = with_rules(&["confirmed"]).await;
        let id = app.booking("confirmed", noon() + hours(48)).await;
        app.run(noon()).await;
        let sql = format!(
            "INSERT INTO booking_automation_feedback (event_id, booking_id, kind, message_id, occurred_at, details)
             SELECT {event}, booking_id, '{kind}', 'message', now(), '{{}}' FROM booking_automation_events WHERE event_type = 'notification_sent'"
        );
        app.sql_without_triggers(&sql).await;
        for status in ["pending", "confirmed"] {
            set_status(&app, id, status).await;
        }
        app.run(noon() + minutes(1)).await;
        assert_eq!(
            notices(&app, id).await.last().unwrap(),
            expected,
            "{kind} {event}"
        );
    }
}

#[tokio::test]
async fn a_follow_up_of_which_the_answer_was_lost_is_tried_again() {
    let app = with_rules(&["follow-up"]).await;
    let id = app.booking("in_progress", noon() - hours(1)).await;
    set_status(&app, id, "completed").await;
    lose_answers(&app);
    app.run(noon() + hours(2)).await;
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    app.run(noon() + hours(2) + minutes(2)).await;
    assert_eq!(notices(&app, id).await, ["follow-up completed"]);
    assert_eq!(app.ses.mails().len(), 2);
}

#[tokio::test]
async fn a_follow_up_is_told_once_for_each_start() {
    let app = with_rules(&["confirmed", "follow-up"]).await;
    let id = app.booking("confirmed", noon() + hours(48)).await;
    let block = "UPDATE bookings SET auto_complete_blocked = true WHERE id = $1";
    app.sql(block, &[&id]).await;
    app.run(noon()).await;
    let follow_up = async |at: DateTime<Utc>| {
        for status in ["in_progress", "completed"] {
            app.set_clock(at).await;
            set_status(&app, id, status).await;
        }
        app.run(at + hours(2)).await;
    };
    // The confirmation for the same start does not count as a follow-up.
    follow_up(noon() + hours(49)).await;
    // The same appointment once more, and another one.
    follow_up(noon() + hours(52)).await;
    set_start(&app, id, noon() + hours(54)).await;
    follow_up(noon() + hours(55)).await;
    assert_eq!(
        notices(&app, id).await,
        [
            "confirmed completed",
            "follow-up completed",
            "follow-up skipped already_told",
            "follow-up completed"
        ]
    );
}

#[tokio::test]
async fn a_cancellation_that_may_have_been_told_is_told_again() {
    let app = with_rules(&["cancelled"]).await;
    let id = app.confirmed(noon() + hours(48)).await;
    lose_answers(&app);
    set_status(&app, id, "cancelled").await;
    app.run(noon()).await;
    for status in ["confirmed", "cancelled"] {
        set_status(&app, id, status).await;
    }
    app.ses.answer(|_| Answer::Sent);
    app.run(noon() + minutes(1)).await;
    assert_eq!(
        notices(&app, id).await.last().unwrap(),
        "cancelled completed"
    );
}

/// Each case confirms the booking a second time, after other messages.
#[tokio::test]
async fn a_confirmation_is_told_again_unless_it_was_told_for_certain_and_nothing_else_since() {
    let again = async |app: &App, id: Uuid, at: DateTime<Utc>| {
        for status in ["pending", "confirmed"] {
            set_status(app, id, status).await;
        }
        app.ses.answer(|_| Answer::Sent);
        app.run(at).await;
        notices(app, id).await.pop().unwrap()
    };
    let reminded = async || {
        let app = with_rules(&["confirmed"]).await;
        let sql = "UPDATE reminder_rules SET active = true, effective_from = '-infinity' WHERE name = '24h'";
        app.sql(sql, &[]).await;
        app
    };
    // A reminder alone told the same.
    let app = reminded().await;
    let id = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let last = again(&app, id, noon() + minutes(1)).await;
    assert_eq!(last, "confirmed completed");
    // A confirmation that may not have arrived, and a reminder.
    let app = reminded().await;
    let id = app
        .booking("confirmed", noon() + hours(24) + minutes(2))
        .await;
    lose_answers(&app);
    app.run(noon()).await;
    app.ses.answer(|_| Answer::Sent);
    app.run(noon() + minutes(2)).await;
    let last = again(&app, id, noon() + minutes(3)).await;
    assert_eq!(last, "confirmed completed");
    // A confirmation, and a reminder that may not have arrived.
    let app = reminded().await;
    let id = app
        .booking("confirmed", noon() + hours(24) + minutes(2))
        .await;
    app.run(noon()).await;
    lose_answers(&app);
    app.run(noon() + minutes(2)).await;
    let last = again(&app, id, noon() + minutes(3)).await;
    assert_eq!(last, "confirmed completed");
    // Both arrived.
    let app = reminded().await;
    let id = app
        .booking("confirmed", noon() + hours(24) + minutes(2))
        .await;
    for minute in [0, 2] {
        app.run(noon() + minutes(minute)).await;
    }
    let last = again(&app, id, noon() + minutes(3)).await;
    assert_eq!(last, "confirmed skipped already_told");
}

#[tokio::test]
async fn a_cancellation_is_told_again_to_another_address() {
    for (change, expected) in [
        ("SELECT 1", "cancelled skipped already_told"),
        (
            "UPDATE users SET email = 'other@customers.example'",
            "cancelled completed",
        ),
    ] {
        let app = with_rules(&["cancelled"]).await;
        let id = app.confirmed(noon() + hours(48)).await;
        set_status(&app, id, "cancelled").await;
        app.run(noon()).await;
        app.db.batch_execute(change).await.unwrap();
        for status in ["confirmed", "cancelled"] {
            set_status(&app, id, status).await;
        }
        app.run(noon() + minutes(1)).await;
        assert_eq!(notices(&app, id).await.last().unwrap(), expected);
    }
}

#[tokio::test]
async fn a_start_that_was_told_as_cancelled_is_told_again() {
    let app = with_rules(&["cancelled", "rescheduled"]).await;
    let id = app.confirmed(noon() + hours(48)).await;
    set_status(&app, id, "cancelled").await;
    app.run(noon()).await;
    set_status(&app, id, "confirmed").await;
    for start in [50, 48] {
        set_start(&app, id, noon() + hours(start)).await;
    }
    app.run(noon() + minutes(1)).await;
    assert_eq!(
        notices(&app, id).await.last().unwrap(),
        "rescheduled completed"
    );
}

#[tokio::test]
async fn a_move_of_a_booking_that_nobody_knows_is_not_told() {
    let app = with_rules(&["rescheduled"]).await;
    let id = app.booking("pending", noon() + hours(48)).await;
    set_start(&app, id, noon() + hours(50)).await;
    set_status(&app, id, "confirmed").await;
    app.run(noon()).await;
    assert_eq!(notices(&app, id).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_step_that_the_database_refuses_is_not_told() {
    let app = with_rules(&["follow-up"]).await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                  $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
                  CREATE TRIGGER refuse BEFORE UPDATE ON bookings FOR EACH ROW
                    WHEN (NEW.status = 'completed') EXECUTE FUNCTION refuse()";
    app.db.batch_execute(refuse).await.unwrap();
    app.booking("in_progress", noon() - hours(3)).await;
    app.run(noon()).await;
    let refused = "SELECT count(*) FROM booking_automation_events WHERE event_type = 'status_update' AND status = 'failed'";
    assert_eq!(app.one(refused, &[]).await.get::<_, i64>(0), 1);
    assert_eq!(queued(&app).await, 0);
    app.run(noon() + hours(2)).await;
    assert_eq!(app.ses.mails().len(), 0);
}

#[tokio::test]
async fn rules_about_one_event_do_not_replace_each_other() {
    let app = with_rules(&["rescheduled"]).await;
    app.set_clock(noon() - hours(24)).await;
    let sql = "UPDATE booking_automation_notice_rules SET active = true WHERE name = 'rescheduled';
               INSERT INTO booking_automation_notice_rules (name, on_event, active) VALUES ('other', 'rescheduled', true)";
    app.db.batch_execute(sql).await.unwrap();
    app.set_clock(noon()).await;
    let id = app.confirmed(noon() + hours(48)).await;
    for start in [50, 52] {
        set_start(&app, id, noon() + hours(start)).await;
    }
    // Another channel's, and another booking's, which wait for longer.
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    for values in ["channel = 'sms'", "booking_id = gen_random_uuid()"] {
        let waits = "status = 'pending', attempts = 0, executed_at = NULL, event_data = event_data - 'told',
                     scheduled_at = scheduled_at + interval '1 minute'";
        store_another(&app, id, &format!("{values}, {waits}")).await;
    }
    app.ses.answer(|_| Answer::Sent);
    app.make_claimable().await;
    app.run(noon() + minutes(1)).await;
    let sql = "SELECT DISTINCT concat_ws(' ', audience, rule, status, reason) FROM booking_automation_events
                WHERE event_type = 'notification_sent' AND booking_id = $1 AND channel = 'email' ORDER BY 1";
    assert_eq!(
        app.column(sql, &[&id]).await,
        [
            "customer other completed",
            "customer other skipped superseded",
            "customer rescheduled completed",
            "customer rescheduled skipped superseded",
            "provider rescheduled completed",
            "provider rescheduled skipped superseded",
        ]
    );
}
