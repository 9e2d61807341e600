//! The devices of people that take push messages, through the support API.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, noon};
use crate::client::{Answer, request};
use crate::http::Server;
use crate::status::{ask, assert_invalid, support};

/// As FCM's are, and with all that a token may have.
const TOKEN: &str = "fXy_1-z:APA91b";
const ODD: &str = "a%2Fb%25%23%3F";

async fn put(server: &Server, person: &str, token: &str) -> Answer {
    let path = format!("/people/{person}/push-tokens/{token}");
    ask(server, "PUT", &path, &[], b"").await
}

async fn delete(server: &Server, person: &str, token: &str) -> Answer {
    let path = format!("/people/{person}/push-tokens/{token}");
    ask(server, "DELETE", &path, &[], b"").await
}

async fn get(server: &Server, person: &str) -> Value {
    let path = format!("/people/{person}/push-tokens");
    let answer = ask(server, "GET", &path, &[], b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Who has which device.
async fn owners(app: &App) -> Vec<String> {
    let sql = "SELECT person_id || ' ' || token FROM booking_automation_push_tokens ORDER BY 1";
    app.column(sql, &[]).await
}

#[tokio::test]
async fn a_device_has_one_owner_and_a_repeat_makes_it_recent() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    assert_eq!(
        get(&server, "carla").await,
        json!({"person_id": "carla", "count": 0, "devices": []})
    );
    let first = put(&server, "carla", TOKEN).await;
    let added = first.json();
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(
        added,
        json!({"person_id": "carla", "seen_at": added["seen_at"], "is_new": true, "dropped": 0})
    );
    let again = put(&server, "carla", TOKEN).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert!(
        again.json()["seen_at"].as_str() > added["seen_at"].as_str(),
        "{again:?}"
    );
    assert_eq!(again.json()["is_new"], false);
    assert_eq!(put(&server, "carla", ODD).await.status, 201);
    assert_eq!(
        owners(&app).await,
        ["carla a/b%#?".to_owned(), format!("carla {TOKEN}")]
    );
    let devices = get(&server, "carla").await;
    assert_eq!(
        (&devices["count"], &devices["devices"][1]),
        (&json!(2), &json!({"seen_at": again.json()["seen_at"]}))
    );
    assert!(!devices.to_string().contains("APA91b"), "{devices}");

    // The device changes hands.
    let moved = put(&server, "otto", TOKEN).await;
    assert_eq!((moved.status, &moved.json()["is_new"]), (201, &json!(true)));
    assert!(
        moved.json()["seen_at"].as_str() > added["seen_at"].as_str(),
        "{moved:?}"
    );
    assert_eq!(
        owners(&app).await,
        ["carla a/b%#?".to_owned(), format!("otto {TOKEN}")]
    );
    // It is no longer carla's to remove.
    for (person, was_there) in [("carla", false), ("otto", true), ("otto", false)] {
        let removed = delete(&server, person, TOKEN).await;
        assert_eq!(
            (removed.status, removed.json()),
            (200, json!({"person_id": person, "was_there": was_there}))
        );
    }
    assert_eq!(owners(&app).await, ["carla a/b%#?"]);
    // A UUID is one person, in whichever form.
    let id = Uuid::from_u128(0xabc);
    put(&server, &id.to_string().to_uppercase(), TOKEN).await;
    assert_eq!(get(&server, &id.to_string()).await["count"], 1);
    let log = server.end().await;
    assert!(!log.contains("APA91b"), "{log}");
}

#[tokio::test]
async fn the_oldest_of_fifty_devices_is_dropped_for_the_next_one() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    app.sql(
        "INSERT INTO booking_automation_push_tokens (token, person_id, seen_at)
         SELECT 'token-' || n, 'carla', now() - n * interval '1 day' FROM generate_series(1, 50) AS n",
        &[],
    )
    .await;
    app.sql(
        "INSERT INTO booking_automation_push_tokens (token, person_id, seen_at)
         VALUES ('older', 'otto', now() - interval '99 days')",
        &[],
    )
    .await;
    // One of them is not the next one, even the oldest. It is still in use.
    let known = put(&server, "carla", "token-50").await;
    assert_eq!((known.status, &known.json()["dropped"]), (200, &json!(0)));
    let next = put(&server, "carla", "next").await;
    assert_eq!((next.status, &next.json()["dropped"]), (201, &json!(1)));
    let devices = get(&server, "carla").await;
    assert_eq!(devices["count"], 50);
    let left = app
        .column(
            "SELECT token FROM booking_automation_push_tokens WHERE token IN ('token-48', 'token-49', 'token-50', 'older') ORDER BY 1",
            &[],
        )
        .await;
    assert_eq!(left, ["older", "token-48", "token-50"]);
    // The latest one is first.
    let dates: Vec<_> = devices["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["seen_at"].as_str())
        .collect();
    assert!(dates.is_sorted_by(|one, other| one >= other), "{dates:?}");
    assert_eq!(dates[0], next.json()["seen_at"].as_str());
}

#[tokio::test]
async fn a_repeat_with_a_key_gets_the_first_answer() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let path = format!("/people/carla/push-tokens/{TOKEN}");
    let key = [("Idempotency-Key", b"k".as_slice())];
    let first = ask(&server, "PUT", &path, &key, b"").await;
    let again = ask(&server, "PUT", &path, &key, b"").await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.json(), again.json());
    let other = format!("/people/otto/push-tokens/{TOKEN}");
    let other = ask(&server, "PUT", &other, &key, b"").await;
    assert_invalid(&other, 422, "Idempotency-Key");
    let kept = "SELECT concat(key, answer) FROM booking_automation_requests";
    let kept = app.column(kept, &[]).await.concat();
    assert!(!kept.contains("APA91b"), "{kept}");
}

#[tokio::test]
async fn an_error_names_what_is_wrong_and_repeats_no_token() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let long = "x".repeat(1_025);
    for (person, token, field) in [
        ("carla", "a%20b", "token"),
        ("carla", "a%0Ab", "token"),
        ("carla", "a%00", "token"),
        ("carla", "Zo%C3%AB", "token"),
        ("carla", long.as_str(), "token"),
        ("-x", TOKEN, "id"),
        ("a%20b", TOKEN, "id"),
        ("carla", "%FF", "id"),
    ] {
        for method in ["PUT", "DELETE"] {
            let path = format!("/people/{person}/push-tokens/{token}");
            let answer = ask(&server, method, &path, &[], b"").await;
            assert_invalid(&answer, 400, field);
            assert!(!answer.body.contains("APA91b"), "{answer:?}");
        }
    }
    assert_eq!(put(&server, "carla", &"x".repeat(1_024)).await.status, 201);
    assert_eq!(put(&server, "carla", "").await.status, 404);
    let path = format!("/people/carla/push-tokens/{TOKEN}");
    for (path, allowed) in [
        (&path[..], "PUT, DELETE"),
        ("/people/carla/push-tokens", "GET"),
    ] {
        let answer = ask(&server, "POST", path, &[], b"").await;
        assert_eq!((answer.status, answer.header("allow")), (405, allowed));
        let method = allowed.split(',').next().unwrap();
        let answer = request(server.port, method, path, &[], b"").await;
        assert_eq!(answer.status, 401);
    }
    app.db
        .batch_execute("DROP TABLE booking_automation_push_tokens, booking_automation_soft_bounces, booking_automation_sms_replies")
        .await
        .unwrap();
    let answer = put(&server, "carla", TOKEN).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains("has not been migrated"), "{answer:?}");
}
