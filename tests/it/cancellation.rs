//! Who may cancel a booking, until when, and what is refunded.

use chrono::{DateTime, Duration, Utc};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, STATUSES, connect, hours, minutes, noon};
use crate::client::{Answer, Header};
use crate::http::Server;
use crate::odd_databases::{app_of_plain_role, create_before_update_trigger};
use crate::status::{ask, assert_invalid, support};

/// Each way to cancel a booking.
const OPTIONS: [(&str, bool); 5] = [
    ("customer", false),
    ("provider", false),
    ("provider", true),
    ("admin", false),
    ("system", false),
];

/// A confirmed booking with a price.
async fn create_priced_booking(app: &App, start: DateTime<Utc>, price: &str) -> Uuid {
    let id = app.confirmed(start).await;
    app.sql(
        "UPDATE bookings SET total_price = $2::text::numeric WHERE id = $1",
        &[&id, &price],
    )
    .await;
    id
}

/// Who may cancel a booking and what is refunded, as the support API answers.
async fn fetch_options(server: &Server, id: Uuid) -> Value {
    let answer = ask(
        server,
        "GET",
        &format!("/bookings/{id}/cancellation"),
        &[],
        b"",
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn option_for<'a>(options: &'a Value, role: &str, no_show: bool) -> &'a Value {
    let mut options = options["options"].as_array().unwrap().iter();
    options
        .find(|option| option["role"] == role && option["no_show"] == no_show)
        .unwrap()
}

/// What a customer would be refunded now: percentage and amount.
async fn customer_refund(server: &Server, id: Uuid) -> (String, String) {
    let options = fetch_options(server, id).await;
    let option = option_for(&options, "customer", false);
    let text = |member: &str| {
        option["refund"][member]
            .as_str()
            .unwrap_or_else(|| panic!("{option}"))
            .to_owned()
    };
    (text("percent"), text("amount"))
}

async fn post_cancellation(server: &Server, id: Uuid, more: &[Header<'_>], body: &Value) -> Answer {
    ask(
        server,
        "POST",
        &format!("/bookings/{id}/cancellation"),
        more,
        body.to_string().as_bytes(),
    )
    .await
}

pub async fn cancel(server: &Server, id: Uuid, role: &str, no_show: bool) -> Answer {
    post_cancellation(
        server,
        id,
        &[],
        &json!({"actor": {"role": role}, "reason": "said so", "no_show": no_show}),
    )
    .await
}

/// The data of a booking's last event.
async fn last_event_data(app: &App, id: Uuid) -> Value {
    let sql = "SELECT event_data FROM booking_automation_events WHERE booking_id = $1 ORDER BY seq DESC LIMIT 1";
    app.one(sql, &[&id]).await.get(0)
}

/// Adds a row to our policies.
async fn insert_policy(
    app: &App,
    service: Option<Uuid>,
    applies_to: &str,
    name: &str,
    values: &str,
) {
    let sql = format!(
        "INSERT INTO booking_automation_cancellation_policies
                (service_id, applies_to, name, free_until, partial_until, partial_percent, after_percent)
         VALUES ($1, $2, $3, {values})"
    );
    app.sql(&sql, &[&service, &applies_to, &name]).await;
}

#[tokio::test]
async fn options_list_who_may_cancel_until_when_and_the_refund() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = create_priced_booking(&app, noon() + hours(30), "80.01").await;

    let mut told = fetch_options(&server, id).await;
    assert_eq!(told["booking_id"], json!(id));
    let customer = option_for(&told, "customer", false);
    insta::assert_json_snapshot!(customer["refund"], @r#"
    {
      "amount": "80.01",
      "kept": "0.00",
      "percent": "100",
      "policy": {
        "applies_to": "customer",
        "id": null,
        "name": "default",
        "source": "built_in"
      },
      "text": "By the policy \"default\" (built_in), 80.01 of 80.01 (100 %) is refunded and 0.00 is kept, up to and including 2026-03-01T18:00:00Z.",
      "total": "80.01",
      "until": "2026-03-01T18:00:00Z"
    }
    "#);
    assert_eq!(customer["before"], "2026-03-02T18:00:00Z");
    let text = customer["refund"]["text"].as_str().unwrap();
    assert_eq!(
        customer["text"],
        format!("customer may cancel before 2026-03-02T18:00:00Z. {text}")
    );
    assert_eq!(
        later_refunds(customer),
        [
            // Half a cent is rounded up in the customer's favour.
            "50 %: 40.01 refunded, 40.00 kept until 2026-03-02T06:00:00Z",
            "0 %: 0.00 refunded, 80.01 kept until -",
        ]
    );

    for (role, case) in [
        ("provider", "provider"),
        ("admin", "staff"),
        ("system", "staff"),
    ] {
        let option = option_for(&told, role, false);
        assert_eq!(
            (&option["allowed"], &option["refund"]["amount"]),
            (&json!(true), &json!("80.01")),
            "{option}"
        );
        assert_eq!(option["refund"]["policy"]["applies_to"], case, "{option}");
        assert_eq!(
            (&option["before"], &option["later"]),
            (&json!("2026-03-02T18:00:00Z"), &json!([])),
            "{option}"
        );
    }
    let no_show = option_for(&told, "provider", true);
    insta::assert_snapshot!(
        json!([no_show["allowed"], no_show["refund"], no_show["before"], no_show["text"]]),
        @r#"[false,null,null,"the booking has not started: provider can change it to cancelled as a no-show only from the start on"]"#
    );
    told.as_object_mut()
        .unwrap()
        .retain(|member, _| !["options", "booking_id"].contains(&member.as_str()));
    assert_eq!(
        told,
        json!({"as_of": "2026-03-01T12:00:00Z", "status": "confirmed", "starts_at": "2026-03-02T18:00:00Z", "total": "80.01"})
    );
}

/// The refunds that follow later, a line each.
fn later_refunds(option: &Value) -> Vec<String> {
    let text = |refund: &Value, member: &str| refund[member].as_str().unwrap_or("-").to_owned();
    let line = |refund: &Value| {
        let [percent, amount, kept, until] =
            ["percent", "amount", "kept", "until"].map(|member| text(refund, member));
        format!("{percent} %: {amount} refunded, {kept} kept until {until}")
    };
    option["later"]
        .as_array()
        .unwrap()
        .iter()
        .map(line)
        .collect()
}

#[tokio::test]
async fn a_cancellation_updates_the_booking_and_records_the_refund_decision() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = create_priced_booking(&app, noon() + hours(20), "49.99").await;
    let body = json!({"actor": {"role": "customer", "id": app.customer}, "reason": "ill"});

    let answer = post_cancellation(&server, id, &[], &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut said = answer.json();
    let refund = said.as_object_mut().unwrap().remove("refund").unwrap();
    assert_eq!(
        said,
        json!({"booking_id": id, "from": "confirmed", "to": "cancelled", "at": "2026-03-01T12:00:00Z",
               "by": format!("customer:{}", app.customer), "reason": "ill", "automation_blocked": false})
    );
    let decision = json!({"percent": "50", "total": "49.99", "amount": "25.00", "kept": "24.99",
                          "policy": {"source": "built_in", "name": "default", "applies_to": "customer"}});
    for member in ["percent", "total", "amount", "kept"] {
        assert_eq!(refund[member], decision[member]);
    }
    assert_eq!(
        last_event_data(&app, id).await,
        json!({"from": "confirmed", "to": "cancelled", "by": format!("customer:{}", app.customer),
               "session_user": "postgres", "reason": "ill", "refund": decision})
    );
    let row = app
        .one(
            "SELECT status = 'cancelled' AND cancelled_at = $2, cancelled_by, cancellation_reason FROM bookings WHERE id = $1",
            &[&id, &noon()],
        )
        .await;
    let (written, by, why): (bool, Uuid, String) = (row.get(0), row.get(1), row.get(2));
    assert_eq!((written, by, why.as_str()), (true, app.customer, "ill"));

    let told = ask(
        &server,
        "GET",
        &format!("/bookings/{id}/timeline"),
        &[],
        b"",
    )
    .await
    .json();
    let cancelled = told["happened"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["to"] == "cancelled")
        .unwrap();
    assert_eq!(
        cancelled["text"],
        format!(
            "customer:{} changed the status from confirmed to cancelled: ill (to be refunded: 25.00 of 49.99)",
            app.customer
        )
    );
    // A second cancellation is refused.
    assert_eq!(post_cancellation(&server, id, &[], &body).await.status, 409);
    // A cancellation by other means has no refund decision.
    let other = create_priced_booking(&app, noon() + hours(20), "49.99").await;
    app.sql(
        "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
        &[&other],
    )
    .await;
    assert_eq!(last_event_data(&app, other).await["refund"], json!(null));
}

#[tokio::test]
async fn the_status_route_makes_the_same_refund_decision() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = create_priced_booking(&app, noon() + hours(20), "49.99").await;
    let body = json!({"to": "cancelled", "actor": {"role": "customer"}}).to_string();
    let answer = ask(
        &server,
        "POST",
        &format!("/bookings/{id}/status"),
        &[],
        body.as_bytes(),
    )
    .await;
    assert_eq!(
        (answer.status, &answer.json()["refund"]["amount"]),
        (200, &json!("25.00"))
    );
    assert_eq!(last_event_data(&app, id).await["refund"]["amount"], "25.00");
}

#[tokio::test]
async fn refund_boundaries_are_inclusive() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let second = Duration::seconds(1);
    let instant = Duration::microseconds(1);
    let id = create_priced_booking(&app, noon() + hours(1), "80.00").await;
    // The time before the start, and the customer's refund by the built-in policy.
    for (lead, expected) in [
        (hours(1000), Some("100")),
        (hours(24) + second, Some("100")),
        (hours(24) + instant, Some("100")),
        (hours(24), Some("100")),
        (hours(24) - instant, Some("50")),
        (hours(24) - second, Some("50")),
        (hours(12) + second, Some("50")),
        (hours(12), Some("50")),
        (hours(12) - instant, Some("0")),
        (hours(12) - second, Some("0")),
        (second, Some("0")),
        (instant, Some("0")),
        // The booking has started.
        (Duration::zero(), None),
        (-instant, None),
        (-second, None),
    ] {
        let start = noon() + lead;
        app.sql(
            "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
            &[&id, &start],
        )
        .await;
        let told = fetch_options(&server, id).await;
        let customer = option_for(&told, "customer", false);
        assert_eq!(
            customer["refund"]["percent"].as_str(),
            expected,
            "{lead}: {customer}"
        );
        assert_eq!(
            customer["allowed"],
            expected.is_some(),
            "{lead}: {customer}"
        );

        let answer = cancel(&server, id, "customer", false).await;
        assert_eq!(
            answer.status,
            if expected.is_some() { 200 } else { 409 },
            "{lead}: {answer:?}"
        );
        assert_eq!(answer.json()["refund"], customer["refund"], "{lead}");
        // The provider can report a no-show from the instant at which the customer can no longer
        // cancel.
        let told = option_for(&told, "provider", true);
        assert_eq!(told["allowed"], expected.is_none(), "{lead}: {told}");
        app.sql(
            "UPDATE bookings SET status = 'confirmed', cancelled_at = NULL WHERE id = $1",
            &[&id],
        )
        .await;
        let answer = cancel(&server, id, "provider", true).await;
        assert_eq!(
            answer.status,
            if expected.is_none() { 200 } else { 409 },
            "{lead}: {answer:?}"
        );
        app.sql(
            "UPDATE bookings SET status = 'confirmed', cancelled_at = NULL WHERE id = $1",
            &[&id],
        )
        .await;
    }
}

#[tokio::test]
async fn policy_hours_are_elapsed_hours_across_clock_changes() {
    let mut app = App::new().await;
    let (_, database) = app.url.rsplit_once('/').unwrap();
    app.db
        .batch_execute(&format!(
            "ALTER DATABASE {database} SET TimeZone = 'Europe/Vienna'"
        ))
        .await
        .unwrap();
    insert_policy(&app, None, "customer", "a day", "'1 day', NULL, NULL, 10").await;
    // 10:00 in Vienna after the clocks changed that night, and 24 hours before.
    for (start, day_before) in [
        ("2026-03-29T08:00:00Z", "2026-03-28T08:00:00Z"),
        ("2026-10-25T09:00:00Z", "2026-10-24T09:00:00Z"),
    ] {
        let (start, last): (DateTime<Utc>, DateTime<Utc>) =
            (start.parse().unwrap(), day_before.parse().unwrap());
        let id = create_priced_booking(&app, start, "80.00").await;
        for (as_of, expected) in [
            (last - Duration::seconds(1), "100"),
            (last, "100"),
            (last + Duration::microseconds(1), "10"),
            (last + Duration::seconds(1), "10"),
            // The end of a calendar day.
            (last - minutes(30), "100"),
            (last + minutes(30), "10"),
        ] {
            let server = support(&mut app, as_of).await;
            let told = fetch_options(&server, id).await;
            let customer = option_for(&told, "customer", false);
            assert_eq!(
                customer["refund"]["percent"], expected,
                "{as_of}: {customer}"
            );
            if expected == "100" {
                assert_eq!(customer["refund"]["until"], day_before);
            }
        }
    }
}

#[tokio::test]
async fn a_service_policy_overrides_the_default_separately_for_each_case() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = create_priced_booking(&app, noon() + hours(30), "200.00").await;
    // The policy that decides for a role, and the amount.
    let told = async |role: &str| {
        let options = fetch_options(&server, id).await;
        let refund = &option_for(&options, role, false)["refund"];
        let (name, amount) = (&refund["policy"]["name"], &refund["amount"]);
        format!("{} {}", name.as_str().unwrap(), amount.as_str().unwrap())
    };
    assert_eq!(told("customer").await, "default 200.00");
    assert_eq!(told("provider").await, "default 200.00");

    insert_policy(
        &app,
        None,
        "customer",
        "everybody's",
        "'48 hours', '24 hours', 12.5, 5",
    )
    .await;
    assert_eq!(told("customer").await, "everybody's 25.00");
    assert_eq!(told("provider").await, "default 200.00");
    insert_policy(
        &app,
        Some(app.service),
        "customer",
        "massages",
        "'72 hours', '31 hours', 50, 1",
    )
    .await;
    insert_policy(
        &app,
        Some(Uuid::nil()),
        "customer",
        "another service's",
        "NULL, NULL, NULL, 77",
    )
    .await;
    assert_eq!(told("customer").await, "massages 2.00");
    insert_policy(
        &app,
        Some(app.service),
        "provider",
        "strict",
        "NULL, '30 hours', 90, 80",
    )
    .await;
    assert_eq!(told("provider").await, "strict 180.00");
    insert_policy(&app, None, "staff", "goodwill", "NULL, NULL, NULL, 33.33").await;
    assert_eq!(told("admin").await, "goodwill 66.66");
    assert_eq!(told("system").await, "goodwill 66.66");

    // The service was deleted: the default applies.
    app.sql(
        "UPDATE bookings SET service_id = NULL WHERE id = $1",
        &[&id],
    )
    .await;
    assert_eq!(told("customer").await, "everybody's 25.00");
    assert_invalid_policies_are_refused(&app).await;
}

/// The database refuses policies that make no sense, and a second default for one case.
async fn assert_invalid_policies_are_refused(app: &App) {
    for wrong in [
        "'customer', 'x', '1 month', NULL, NULL, 0",
        "'customer', 'x', '-1 hour', NULL, NULL, 0",
        "'customer', 'x', '1 hour', '2 hours', 50, 0",
        "'customer', 'x', '2 hours', '1 hour', NULL, 0",
        "'customer', 'x', '2 hours', '1 hour', 101, 0",
        "'customer', 'x', '2 hours', NULL, NULL, -1",
        "'customer', 'x', '2 hours', NULL, NULL, 'NaN'",
        "'no_show', 'x', '2 hours', NULL, NULL, 0",
        "'nobody', 'x', NULL, NULL, NULL, 0",
        // A default for this case exists already.
        "'customer', 'x', NULL, NULL, NULL, 0",
    ] {
        let sql = format!(
            "INSERT INTO booking_automation_cancellation_policies
                    (applies_to, name, free_until, partial_until, partial_percent, after_percent) VALUES ({wrong})"
        );
        assert!(app.db.execute(&sql, &[]).await.is_err(), "{wrong}");
    }
}

/// Creates the user's own tables with these policies: title, percentage, least and most hours,
/// active.
async fn create_users_policy_tables(app: &App, policies: &str) {
    app.db
        .batch_execute(&format!(
            "CREATE TABLE cancellation_policies (
                 id uuid PRIMARY KEY DEFAULT gen_random_uuid(), title text NOT NULL, description text,
                 refund_percentage integer NOT NULL, min_hours_before integer, max_hours_before integer,
                 is_active boolean DEFAULT true, created_at timestamptz DEFAULT now());
             CREATE TABLE cancellation_policy_conditions (
                 id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
                 policy_id uuid NOT NULL REFERENCES cancellation_policies (id) ON DELETE CASCADE,
                 condition_type text NOT NULL, condition_value text);
             INSERT INTO cancellation_policies (title, refund_percentage, min_hours_before, max_hours_before, is_active)
             VALUES {policies}"
        ))
        .await
        .unwrap();
}

async fn insert_condition(app: &App, title: &str, kind: &str, value: Option<&str>) {
    let sql =
        "INSERT INTO cancellation_policy_conditions (policy_id, condition_type, condition_value)
               SELECT id, $2, $3 FROM cancellation_policies WHERE title = $1";
    assert_eq!(app.sql(sql, &[&title, &kind, &value]).await, 1);
}

/// Moves a booking so that it starts so long after now.
async fn set_lead(app: &App, booking: Uuid, lead: Duration) {
    app.sql(
        "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
        &[&booking, &(noon() + lead)],
    )
    .await;
}

#[tokio::test]
async fn rows_of_cancellation_policies_decide_for_customers() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    insert_policy(&app, None, "customer", "ours", "NULL, NULL, NULL, 7").await;
    let theirs =
        "('early', 100, 48, NULL, true), ('late', 40, 6, 48, true), ('never', 0, NULL, 6, true),
                  ('old', 99, NULL, NULL, false), ('odd', 98, NULL, NULL, NULL)";
    create_users_policy_tables(&app, theirs).await;
    let id = create_priced_booking(&app, noon() + hours(1), "80.00").await;
    let instant = Duration::microseconds(1);
    for (lead, percent, amount) in [
        (hours(1000), "100", "80.00"),
        (hours(48), "100", "80.00"),
        (hours(48) - instant, "40", "32.00"),
        (hours(6), "40", "32.00"),
        (hours(6) - instant, "0", "0.00"),
        (instant, "0", "0.00"),
    ] {
        set_lead(&app, id, lead).await;
        assert_eq!(
            customer_refund(&server, id).await,
            (percent.to_owned(), amount.to_owned()),
            "{lead}"
        );
    }
    set_lead(&app, id, hours(50)).await;
    let options = fetch_options(&server, id).await;
    let customer = option_for(&options, "customer", false);
    let policy = &customer["refund"]["policy"];
    assert_eq!(
        (&policy["source"], &policy["name"]),
        (&json!("cancellation_policies"), &json!("early"))
    );
    assert!(policy["id"].is_string());
    assert_eq!(customer["refund"]["until"], "2026-03-01T14:00:00Z");
    let later: Vec<_> = customer["later"]
        .as_array()
        .unwrap()
        .iter()
        .map(|later| later["until"].clone())
        .collect();
    assert_eq!(later, [json!("2026-03-03T08:00:00Z"), json!(null)]);
    // These policies decide for customers only.
    assert_eq!(
        option_for(&options, "provider", false)["refund"]["policy"]["source"],
        "built_in"
    );

    assert_conditions_narrow_policies(&app, &server, id).await;

    // Without an active row, our own policy decides again.
    app.sql("UPDATE cancellation_policies SET is_active = false", &[])
        .await;
    assert_eq!(
        customer_refund(&server, id).await,
        ("7".into(), "5.60".into())
    );
    app.sql("DROP TABLE cancellation_policy_conditions", &[])
        .await;
    app.sql(
        "UPDATE cancellation_policies SET is_active = true WHERE title = 'early'",
        &[],
    )
    .await;
    assert_eq!(customer_refund(&server, id).await.0, "100");
}

/// Conditions on the minutes before the start and on the booking's status, for a booking that
/// starts in 50 hours.
async fn assert_conditions_narrow_policies(app: &App, server: &Server, booking: Uuid) {
    insert_condition(app, "early", "min_time_before_start", Some("3060")).await;
    insert_condition(app, "late", "max_time_before_start", Some("2880")).await;
    let answer = cancel(server, booking, "customer", false).await;
    assert_eq!(answer.status, 409);
    assert_eq!(
        answer.json()["detail"],
        "no active row of cancellation_policies applies to a booking that is confirmed and cancelled at 2026-03-01T12:00:00Z"
    );
    app.sql(
        "UPDATE cancellation_policies SET max_hours_before = NULL WHERE title = 'never'",
        &[],
    )
    .await;
    insert_condition(app, "never", "booking_status", Some("confirmed")).await;
    insert_condition(app, "never", "booking_status", Some("paid")).await;
    assert_eq!(customer_refund(server, booking).await.0, "0");
    let other_status = "UPDATE cancellation_policy_conditions SET condition_value = 'in_progress' WHERE condition_value = 'confirmed'";
    app.sql(other_status, &[]).await;
    assert_eq!(cancel(server, booking, "customer", false).await.status, 409);
    assert_eq!(app.status(booking).await, "confirmed");
}

#[tokio::test]
async fn the_narrowest_of_several_matching_policies_decides() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    create_users_policy_tables(
        &app,
        "('any time', 10, NULL, NULL, true), ('a day', 60, 24, NULL, true), ('a week', 100, 168, NULL, true)",
    )
    .await;
    let id = create_priced_booking(&app, noon() + hours(200), "100.00").await;
    assert_eq!(customer_refund(&server, id).await.0, "100");
    let told = fetch_options(&server, id).await;
    let customer = option_for(&told, "customer", false);
    let percents: Vec<_> = customer["later"]
        .as_array()
        .unwrap()
        .iter()
        .map(|later| later["percent"].clone())
        .collect();
    assert_eq!(percents, [json!("60"), json!("10")]);
    assert_eq!(customer["refund"]["until"], "2026-03-02T20:00:00Z");

    // The time ranges overlap, and neither contains the other.
    app.sql(
        "UPDATE cancellation_policies SET min_hours_before = 100, max_hours_before = 300 WHERE title = 'a day'",
        &[],
    )
    .await;
    let answer = cancel(&server, id, "customer", false).await;
    assert_eq!(answer.status, 409);
    assert_eq!(
        answer.json()["detail"],
        "the rows \"a day\" and \"a week\" of cancellation_policies contradict each other: 60 % or 100 % at 2026-03-01T12:00:00Z"
    );
    let told = fetch_options(&server, id).await;
    let customer = option_for(&told, "customer", false);
    assert_eq!(
        (&customer["allowed"], &customer["text"]),
        (&json!(false), &answer.json()["detail"])
    );
    // Overlapping policies with the same percentage do not conflict.
    app.sql(
        "UPDATE cancellation_policies SET refund_percentage = 60 WHERE title = 'a week'",
        &[],
    )
    .await;
    assert_eq!(customer_refund(&server, id).await.0, "60");
    assert_eq!(cancel(&server, id, "provider", false).await.status, 200);
}

#[tokio::test]
async fn a_customer_cannot_cancel_after_the_start_even_if_the_booking_stays_confirmed() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = create_priced_booking(&app, noon() + hours(30), "80.00").await;
    // An automatic step of the booking was reverted.
    app.sql(
        "UPDATE bookings SET auto_complete_blocked = true WHERE id = $1",
        &[&id],
    )
    .await;
    app.sql(
        "UPDATE booking_automation_state SET blocked_reason = 'mine' WHERE booking_id = $1",
        &[&id],
    )
    .await;
    let told = fetch_options(&server, id).await;
    assert_eq!(
        option_for(&told, "customer", false)["before"],
        "2026-03-02T18:00:00Z"
    );
    app.sql(
        "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
        &[&id, &noon()],
    )
    .await;
    let answer = cancel(&server, id, "customer", false).await;
    assert_eq!(answer.status, 409);
    assert_eq!(
        answer.json()["detail"],
        "the booking has started: customer can change it to cancelled only before the start"
    );
}

#[tokio::test]
async fn a_refused_automatic_step_does_not_block_a_cancellation() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = create_priced_booking(&app, noon() - minutes(10), "80.00").await;
    create_before_update_trigger(&app, "NEW.status = 'in_progress'", "RAISE EXCEPTION 'no'").await;
    let answer = cancel(&server, id, "admin", false).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(app.status(id).await, "cancelled");
}

/// The user's tables with other column types, and one policy.
const POLICIES_OF_OTHER_TYPES: &str = "
    DROP TABLE IF EXISTS cancellation_policies, cancellation_policy_conditions;
    CREATE TABLE cancellation_policies (id uuid DEFAULT gen_random_uuid(), title text, refund_percentage text,
                                        min_hours_before numeric, max_hours_before text, is_active boolean);
    CREATE TABLE cancellation_policy_conditions (policy_id uuid, condition_type text, condition_value text);
    INSERT INTO cancellation_policies VALUES (DEFAULT, 'p', '50.5', 0.5, '1000', true);";

#[tokio::test]
async fn malformed_policies_are_refused_with_an_error_that_names_them() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = create_priced_booking(&app, noon() + hours(30), "80.00").await;
    app.db.batch_execute(POLICIES_OF_OTHER_TYPES).await.unwrap();
    assert_eq!(
        customer_refund(&server, id).await,
        ("50.5".into(), "40.40".into())
    );

    assert_malformed_columns_are_refused(&app, &server, id).await;
    assert_malformed_conditions_are_refused(&app, &server, id).await;
    assert_missing_columns_are_refused(&app, &server, id).await;
    assert_malformed_bookings_are_refused(&app, &server, id).await;
    let log = server.end().await;
    assert!(!log.contains("ERROR"), "{log}");
}

async fn assert_malformed_columns_are_refused(app: &App, server: &Server, id: Uuid) {
    let percentage = "refund_percentage is not from 0 to 100";
    let whole =
        format!("the row \"p\" of cancellation_policies cannot be understood: {percentage}");
    for (column, value, named) in [
        ("refund_percentage", "'101'", &whole[..]),
        ("refund_percentage", "'all'", percentage),
        ("refund_percentage", "NULL", percentage),
        ("refund_percentage", "'-1'", percentage),
        ("min_hours_before", "'NaN'", "min_hours_before is \"NaN\""),
        (
            "max_hours_before",
            "'2000000000'",
            "max_hours_before is \"2000000000\"",
        ),
        (
            "max_hours_before",
            "'1000000.5'",
            "max_hours_before is \"1000000.5\"",
        ),
    ] {
        let change = format!("UPDATE cancellation_policies SET {column} = {value}");
        assert_refused_after(app, server, id, &change, 409, named).await;
    }
}

async fn assert_malformed_conditions_are_refused(app: &App, server: &Server, id: Uuid) {
    for (kind, value, named) in [
        (
            "phase_of_the_moon",
            "'full'",
            "its condition \"phase_of_the_moon\" is not known",
        ),
        (
            "min_time_before_start",
            "'an hour'",
            "min_time_before_start is \"an hour\"",
        ),
        (
            "booking_status",
            "NULL",
            "its condition \"booking_status\" has no value",
        ),
    ] {
        let change = format!(
            "INSERT INTO cancellation_policy_conditions SELECT id, '{kind}', {value} FROM cancellation_policies"
        );
        assert_refused_after(app, server, id, &change, 409, named).await;
    }
}

async fn assert_missing_columns_are_refused(app: &App, server: &Server, id: Uuid) {
    let no_percentage = "the refund depends on cancellation_policies, but there is no cancellation_policies.refund_percentage";
    for (change, named) in [
        (
            "cancellation_policies RENAME refund_percentage TO percentage",
            no_percentage,
        ),
        (
            "cancellation_policies DROP is_active",
            "there is no cancellation_policies.is_active",
        ),
        (
            "cancellation_policy_conditions DROP policy_id",
            "there is no cancellation_policy_conditions.policy_id",
        ),
    ] {
        assert_refused_after(
            app,
            server,
            id,
            &format!("ALTER TABLE {change}"),
            503,
            named,
        )
        .await;
    }
}

/// Without the user's policies, the booking itself can be malformed.
async fn assert_malformed_bookings_are_refused(app: &App, server: &Server, id: Uuid) {
    for (change, status, named) in [
        (
            "UPDATE bookings SET total_price = -1",
            409,
            "the booking's price, -1.00, is not an amount that can be refunded in part",
        ),
        (
            "UPDATE bookings SET total_price = 'NaN'",
            409,
            "price, NaN, is not an amount",
        ),
        (
            "UPDATE bookings SET total_price = 80, scheduled_at = 'infinity'",
            409,
            "the booking's scheduled_at is out of range, so hours before it cannot be counted",
        ),
        (
            "ALTER TABLE bookings DROP total_price CASCADE",
            503,
            "bookings has no column total_price, so no refund can be calculated",
        ),
    ] {
        let change = format!("DROP TABLE cancellation_policies; {change}");
        assert_refused_after(app, server, id, &change, status, named).await;
    }
}

/// After this change a customer cannot cancel; the options give the same reason.
async fn assert_refused_after(
    app: &App,
    server: &Server,
    booking: Uuid,
    change: &str,
    status: u16,
    named: &str,
) {
    app.db.batch_execute(POLICIES_OF_OTHER_TYPES).await.unwrap();
    app.db.batch_execute(change).await.unwrap();
    let answer = cancel(server, booking, "customer", false).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (status, "application/problem+json"),
        "{change}: {answer:?}"
    );
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(named), "{change}: {detail}");
    let options = fetch_options(server, booking).await;
    assert_eq!(option_for(&options, "customer", false)["text"], detail);
    assert_eq!(app.status(booking).await, "confirmed");
    if !change.contains("bookings") {
        assert_eq!(
            option_for(&options, "provider", false)["allowed"],
            true,
            "{change}"
        );
    }
}

#[tokio::test]
async fn unreadable_policies_are_an_error_and_not_ignored() {
    let mut app = app_of_plain_role(&[]).await;
    let server = support(&mut app, noon()).await;
    let id = create_priced_booking(&app, noon() + hours(30), "80.00").await;
    let role: String = app.one("SELECT current_user::text", &[]).await.get(0);
    app.db.batch_execute("RESET ROLE").await.unwrap();
    create_users_policy_tables(&app, "('p', 50, NULL, NULL, true)").await;
    let named = "the refund depends on cancellation_policies and cancellation_policy_conditions, but this program may not read all of it";
    let refused = async || {
        let answer = cancel(&server, id, "customer", false).await;
        assert_eq!(
            (answer.status, &answer.json()["detail"]),
            (503, &json!(named)),
            "{answer:?}"
        );
    };
    refused().await;
    let tables = ["cancellation_policies", "cancellation_policy_conditions"];
    for table in tables {
        let sql = format!(
            "GRANT SELECT ON {table} TO {role}; ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
        );
        app.db.batch_execute(&sql).await.unwrap();
    }
    refused().await;
    for table in tables {
        app.db
            .batch_execute(&format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"))
            .await
            .unwrap();
    }
    assert_eq!(customer_refund(&server, id).await.0, "50");
}

/// Changes a booking's status as its provider, through the status route.
async fn change_status_as_provider(server: &Server, booking: Uuid, to: &str) -> Answer {
    let body = json!({"to": to, "actor": {"role": "provider"}}).to_string();
    ask(
        server,
        "POST",
        &format!("/bookings/{booking}/status"),
        &[],
        body.as_bytes(),
    )
    .await
}

fn assert_conflict(answer: &Answer, detail: &str) {
    assert_eq!(
        (answer.status, &answer.json()["detail"]),
        (409, &json!(detail))
    );
}

#[tokio::test]
async fn only_the_provider_can_report_a_no_show_and_only_after_the_start() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = create_priced_booking(&app, noon() - minutes(10), "80.00").await;

    for role in ["customer", "admin", "system"] {
        let answer = cancel(&server, id, role, true).await;
        assert_conflict(
            &answer,
            &format!("{role} may not change a booking from in_progress to cancelled as a no-show"),
        );
    }
    // A booking in progress cannot be cancelled otherwise, by either route.
    let answer = cancel(&server, id, "provider", false).await;
    assert_conflict(
        &answer,
        "a booking that is in_progress cannot become cancelled",
    );
    let answer = change_status_as_provider(&server, id, "cancelled").await;
    assert_eq!(
        (answer.status, &answer.json()["allowed"]),
        (409, &json!(["completed", "confirmed"]))
    );
    assert_eq!(app.status(id).await, "confirmed", "nothing is written");

    let options = fetch_options(&server, id).await;
    let no_show = option_for(&options, "provider", true);
    assert_eq!(
        (&options["status"], &no_show["allowed"]),
        (&json!("in_progress"), &json!(true))
    );
    // The booking is completed in 50 minutes.
    assert_eq!(
        (&no_show["before"], &no_show["refund"]["kept"]),
        (&json!("2026-03-01T12:50:00Z"), &json!("80.00"))
    );
    let answer = cancel(&server, id, "provider", true).await;
    assert_eq!(
        (answer.status, &answer.json()["from"]),
        (200, &json!("in_progress")),
        "{answer:?}"
    );
    let refund = &last_event_data(&app, id).await["refund"];
    assert_eq!(
        (&refund["amount"], &refund["policy"]["applies_to"]),
        (&json!("0.00"), &json!("no_show"))
    );

    // A policy decides the refund of a no-show.
    insert_policy(&app, None, "no_show", "kind", "NULL, NULL, NULL, 25").await;
    let id = create_priced_booking(&app, noon(), "80.00").await;
    let answer = cancel(&server, id, "provider", true).await;
    assert_eq!(
        (answer.status, &answer.json()["refund"]["amount"]),
        (200, &json!("20.00"))
    );
    // A completed booking can be a no-show only after the automatic step is reverted.
    let id = create_priced_booking(&app, noon() - hours(1), "80.00").await;
    let answer = cancel(&server, id, "provider", true).await;
    assert_conflict(
        &answer,
        "a booking that is completed cannot become cancelled as a no-show",
    );
    assert_eq!(
        change_status_as_provider(&server, id, "in_progress")
            .await
            .status,
        200
    );
    assert_eq!(cancel(&server, id, "provider", true).await.status, 200);
}

#[tokio::test]
async fn a_cancellation_does_what_its_options_said() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let mut allowed = 0;
    // Days before, hours before, minutes before, now, in progress, over, overdue.
    for start in [
        hours(30),
        hours(13),
        minutes(5),
        minutes(0),
        minutes(-30),
        hours(-2),
        hours(-30),
    ] {
        for status in STATUSES {
            for (role, no_show) in OPTIONS {
                let id = app.booking(status, noon() + start).await;
                app.sql(
                    "UPDATE bookings SET total_price = 33.33 WHERE id = $1",
                    &[&id],
                )
                .await;
                let told = fetch_options(&server, id).await;
                let option = option_for(&told, role, no_show);
                let answer = cancel(&server, id, role, no_show).await;
                let what = format!("{status} {start} {role} {no_show}: {option} {answer:?}");
                if option["allowed"] == true {
                    assert_eq!(
                        (answer.status, &answer.json()["refund"]),
                        (200, &option["refund"]),
                        "{what}"
                    );
                    assert_eq!(answer.json()["from"], told["status"], "{what}");
                    allowed += 1;
                } else {
                    assert_eq!(
                        (answer.status, &answer.json()["detail"]),
                        (409, &option["text"]),
                        "{what}"
                    );
                    assert_eq!(answer.json()["current"], told["status"], "{what}");
                    assert_eq!(app.status(id).await, status, "{what}");
                }
            }
        }
    }
    // Before the start, four ways to cancel a confirmed booking; in progress, only the no-show.
    assert_eq!(allowed, 3 * 4 + 2 * 2);
}

#[tokio::test]
async fn reading_the_options_neither_writes_nor_waits_for_locks() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = create_priced_booking(&app, noon() - minutes(10), "80.00").await;
    app.db
        .batch_execute(
            "CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'fired'; END $$;
             CREATE TRIGGER never BEFORE UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION never()",
        )
        .await
        .unwrap();
    let version = "SELECT ctid::text || xmin FROM bookings WHERE id = $1";
    let before: String = app.one(version, &[&id]).await.get(0);
    let other = connect(&app.url).await;
    other
        .batch_execute(&format!(
            "BEGIN; SELECT FROM bookings WHERE id = '{id}' FOR UPDATE"
        ))
        .await
        .unwrap();

    let told = fetch_options(&server, id).await;
    assert_eq!(
        (
            &told["status"],
            &option_for(&told, "customer", false)["allowed"]
        ),
        (&json!("in_progress"), &json!(false))
    );
    assert_eq!(app.one(version, &[&id]).await.get::<_, String>(0), before);
    // A cancellation does not wait for the lock either.
    let answer = cancel(&server, id, "provider", true).await;
    assert_eq!(
        (answer.status, &answer.json()["detail"]),
        (
            409,
            &json!("another transaction is changing this booking right now; try again")
        )
    );
    other.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test]
async fn a_cancellation_is_refused_if_the_refund_differs_from_the_expected_one() {
    let mut app = App::new().await;
    let id = create_priced_booking(&app, noon() + hours(24), "80.00").await;
    let server = support(&mut app, noon()).await;
    let shown = customer_refund(&server, id).await.1;
    assert_eq!(shown, "80.00");
    let body = |expected: &str| json!({"actor": {"role": "customer"}, "expected_refund": expected});

    // One second later the refund is smaller.
    let server = support(&mut app, noon() + Duration::seconds(1)).await;
    let answer = post_cancellation(&server, id, &[("Idempotency-Key", b"k")], &body(&shown)).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (409, "application/problem+json")
    );
    let problem = answer.json();
    assert_eq!(
        (&problem["field"], &problem["refund"]["amount"]),
        (&json!("expected_refund"), &json!("40.00"))
    );
    assert_eq!(
        problem["detail"],
        "the refund is not the expected one: By the policy \"default\" (built_in), 40.00 of 80.00 (50 %) is refunded and 40.00 is kept, up to and including 2026-03-02T00:00:00Z."
    );
    assert_eq!(app.status(id).await, "confirmed");
    // The amount may be written differently. A refusal does not use the key.
    for (expected, status) in [("40.01", 409), ("4", 409), ("400", 409), ("040.0", 200)] {
        let answer =
            post_cancellation(&server, id, &[("Idempotency-Key", b"k")], &body(expected)).await;
        assert_eq!(answer.status, status, "{expected}: {answer:?}");
    }
    // A repeated request gets the same answer.
    let again = post_cancellation(&server, id, &[("Idempotency-Key", b"k")], &body("040.0")).await;
    assert_eq!(
        (again.status, &again.json()["refund"]["amount"]),
        (200, &json!("40.00"))
    );
    let cancelled = "SELECT count(*) FROM booking_automation_events WHERE booking_id = $1 AND event_data ->> 'to' = 'cancelled'";
    assert_eq!(app.one(cancelled, &[&id]).await.get::<_, i64>(0), 1);

    // A booking without a price has no refund amount.
    let id = app.confirmed(noon() + hours(30)).await;
    let answer = post_cancellation(&server, id, &[], &body("0")).await;
    assert_eq!(
        (answer.status, &answer.json()["refund"]["amount"]),
        (409, &json!(null))
    );
    let answer = cancel(&server, id, "customer", false).await;
    assert_eq!(
        (
            answer.status,
            &answer.json()["refund"]["percent"],
            &answer.json()["refund"]["total"]
        ),
        (200, &json!("100"), &json!(null))
    );
    assert!(
        answer.json()["refund"]["text"]
            .as_str()
            .unwrap()
            .contains("100 % is refunded (the booking has no price)")
    );
}

#[tokio::test]
async fn a_cancellation_that_a_trigger_prevents_is_reported_as_refused() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = create_priced_booking(&app, noon() + hours(30), "80.00").await;
    for body in [
        "RETURN NULL",
        "NEW.status := 'pending_cancellation'; RETURN NEW",
    ] {
        app.db
            .batch_execute(&format!(
                "CREATE OR REPLACE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; END $$;
                 DROP TRIGGER IF EXISTS theirs ON bookings;
                 CREATE TRIGGER theirs BEFORE UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION theirs()"
            ))
            .await
            .unwrap();
        let answer = cancel(&server, id, "customer", false).await;
        assert_eq!(
            (answer.status, &answer.json()["detail"]),
            (
                409,
                &json!("a database trigger prevents the booking from becoming cancelled")
            )
        );
        assert_eq!(app.status(id).await, "confirmed");
    }
}

#[tokio::test]
async fn a_refund_decision_is_recorded_only_for_its_own_booking() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = create_priced_booking(&app, noon() + hours(30), "80.00").await;
    let other = create_priced_booking(&app, noon() + hours(40), "50.00").await;
    // A trigger of the user's cancels the other bookings.
    app.db
        .batch_execute(
            "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 UPDATE bookings SET status = 'cancelled' WHERE id <> NEW.id AND status = 'confirmed'; RETURN NULL; END $$;
             CREATE TRIGGER theirs AFTER UPDATE ON bookings FOR EACH ROW WHEN (NEW.status = 'cancelled') EXECUTE FUNCTION theirs()",
        )
        .await
        .unwrap();
    assert_eq!(cancel(&server, id, "customer", false).await.status, 200);
    assert_eq!(last_event_data(&app, id).await["refund"]["amount"], "80.00");
    let event = last_event_data(&app, other).await;
    assert_eq!(
        (&event["to"], &event["refund"]),
        (&json!("cancelled"), &json!(null))
    );
}

#[tokio::test]
async fn invalid_input_is_refused_with_its_field_and_cancels_nothing() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let id = create_priced_booking(&app, noon() + hours(30), "80.00").await;
    let path = format!("/bookings/{id}/cancellation");
    let good = json!({"actor": {"role": "customer"}});
    for (body, field) in [("", "body"), ("[]", "body"), ("{}", "actor")] {
        assert_invalid(
            &ask(&server, "POST", &path, &[], body.as_bytes()).await,
            400,
            field,
        );
    }
    for (status, member, value) in [
        (400, "to", json!("cancelled")),
        (400, "no_show", json!("yes")),
        (400, "no_show", json!(1)),
        (400, "reason", json!("x".repeat(1001))),
        // Amounts are decimals in a string.
        (400, "expected_refund", json!(80.0)),
        (422, "expected_refund", json!("")),
        (422, "expected_refund", json!("80,00")),
        (422, "expected_refund", json!("-80")),
        (422, "expected_refund", json!("8e1")),
        (422, "expected_refund", json!(".5")),
        (422, "expected_refund", json!("NaN")),
        (422, "expected_refund", json!("1".repeat(31))),
    ] {
        let mut body = good.clone();
        body[member] = value;
        assert_invalid(
            &post_cancellation(&server, id, &[], &body).await,
            status,
            member,
        );
    }
    let automation = json!({"actor": {"role": "automation"}});
    assert_invalid(
        &post_cancellation(&server, id, &[], &automation).await,
        422,
        "actor.role",
    );
    for (id, status) in [
        ("7", 400),
        (&format!("{id}0"), 400),
        (&Uuid::nil().to_string(), 404),
    ] {
        for (method, body) in [("GET", String::new()), ("POST", good.to_string())] {
            let answer = ask(
                &server,
                method,
                &format!("/bookings/{id}/cancellation"),
                &[],
                body.as_bytes(),
            )
            .await;
            assert_eq!(
                (answer.status, &answer.json()["field"]),
                (status, &json!("id")),
                "{method} {id}"
            );
        }
    }
    let answer = ask(&server, "DELETE", &path, &[], b"").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, POST"));
    let answer = crate::client::request(server.port, "GET", &path, &[], b"").await;
    assert_eq!(answer.status, 401);
    assert_eq!(app.status(id).await, "confirmed");
    let log = server.end().await;
    assert!(!log.contains("ERROR"), "{log}");
}

/// An amount in units of its last digit, as a decimal.
fn decimal(units: u128, digits: u32) -> String {
    let one = 10_u128.pow(digits);
    format!(
        "{}.{:0width$}",
        units / one,
        units % one,
        width = digits as usize
    )
}

#[test]
fn refund_and_kept_amount_add_up_to_the_total_and_are_rounded_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (app, server, id) = runtime.block_on(async {
        let mut app = App::new().await;
        // Many databases define the column without a precision.
        app.db
            .batch_execute(
                "DROP FUNCTION booking_automation_amount_paid(bookings);
                 ALTER TABLE bookings ALTER total_price TYPE numeric",
            )
            .await
            .unwrap();
        insert_policy(&app, None, "provider", "any", "NULL, NULL, NULL, 0").await;
        let server = support(&mut app, noon()).await;
        let id = app.confirmed(noon() + hours(30)).await;
        (app, server, id)
    });
    let totals = prop_oneof![
        4 => (0..100_000_u128, Just(2_u32)),
        2 => (0..10_u128.pow(18), Just(2)),
        2 => (0..10_u128.pow(15), 0..=6_u32),
    ];
    // In ten thousandths of a percent: whole percents, values that need rounding, any value.
    let percents = prop_oneof![
        2 => (0..=100_u128).prop_map(|percent| percent * 10_000),
        1 => prop::sample::select(&[5_000_u128, 125_000, 333_333, 666_667, 999_999, 1, 1_000_000][..]),
        2 => 0..=1_000_000_u128,
    ];
    let config = Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[5; 32]));
    let result = runner.run(&(totals, percents), |((units, digits), percent)| {
        // Rounded to the cent, or to the last digit of the price.
        let (mut units_of_total, mut fine) = (units * 10_u128.pow(8 - digits), 8);
        while fine > 2 && units_of_total.is_multiple_of(10) {
            (units_of_total, fine) = (units_of_total / 10, fine - 1);
        }
        // Rounded half up.
        let amount = (units_of_total * percent * 2 + 1_000_000) / 2_000_000;
        let kept = units_of_total.checked_sub(amount).expect("the refund is not greater than the total");
        let expected = json!([decimal(units_of_total, fine), decimal(amount, fine), decimal(kept, fine)]);
        let (total, percent) = (decimal(units, digits), decimal(percent, 4));
        runtime.block_on(async {
            let sql = "UPDATE bookings SET status = 'confirmed', cancelled_at = NULL, total_price = $2::text::numeric WHERE id = $1";
            app.sql(sql, &[&id, &total]).await;
            app.sql("UPDATE booking_automation_cancellation_policies SET after_percent = $1::text::numeric", &[&percent]).await;
            let told = fetch_options(&server, id).await;
            let figures = |refund: &Value| json!([refund["total"], refund["amount"], refund["kept"]]);
            prop_assert_eq!(figures(&option_for(&told, "provider", false)["refund"]), expected.clone(), "{} {}", total, percent);
            let body = json!({"actor": {"role": "provider"}, "expected_refund": expected[1]});
            let answer = post_cancellation(&server, id, &[], &body).await;
            prop_assert_eq!((answer.status, figures(&answer.json()["refund"])), (200, expected.clone()));
            prop_assert_eq!(figures(&last_event_data(&app, id).await["refund"]), expected);
            Ok(())
        })
    });
    result.unwrap();
}
