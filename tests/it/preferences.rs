//! What people have chosen, through the support API.

use booking_automation::messages::kind_name::KindName;
use booking_automation::messages::languages::Language;
use serde_json::{Value, json};

use crate::app::{App, hours, minutes, noon};
use crate::client::{Answer, request};
use crate::http::Server;
use crate::links::{app_with_links, path_of, reminder};
use crate::status::{ask, assert_invalid, support};

fn path(person: &str) -> String {
    format!("/people/{person}/preferences")
}

async fn put(server: &Server, person: &str, body: &Value) -> Answer {
    ask(
        server,
        "PUT",
        &path(person),
        &[],
        body.to_string().as_bytes(),
    )
    .await
}

async fn get(server: &Server, person: &str) -> Value {
    let answer = ask(server, "GET", &path(person), &[], b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn nothing(person: &str) -> Value {
    json!({"person_id": person, "language": null, "timezone": null, "quiet_hours": null, "channels": null, "opt_outs": []})
}

#[tokio::test]
async fn what_is_stored_replaces_what_was() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let customer = app.customer.to_string();
    assert_eq!(get(&server, &customer).await, nothing(&customer));
    let all = json!({
        "language": "pt-BR",
        "timezone": "W. Europe Standard Time",
        "quiet_hours": {"from": "22:00", "to": "06:30"},
        "channels": ["email"],
        "opt_outs": ["follow-up", "reminder"],
    });
    let stored = json!({
        "person_id": customer,
        "language": "pt",
        "timezone": "Europe/Berlin",
        "quiet_hours": {"from": "22:00", "to": "06:30"},
        "channels": ["email"],
        "opt_outs": ["follow-up", "reminder"],
    });
    // A UUID is one person, in whichever form.
    let answer = put(&server, &customer.to_uppercase(), &all).await;
    assert_eq!((answer.status, answer.json()), (200, stored.clone()));
    assert_eq!(get(&server, &customer).await, stored);
    assert_eq!(
        get(&server, &app.provider.to_string()).await,
        nothing(&app.provider.to_string())
    );
    let other = json!({"opt_outs": ["reminder", "expired"], "language": null});
    put(&server, &customer, &other).await;
    let mut expected = nothing(&customer);
    expected["opt_outs"] = json!(["expired", "reminder"]);
    assert_eq!(get(&server, &customer).await, expected);
    put(&server, &customer, &json!({})).await;
    assert_eq!(get(&server, &customer).await, nothing(&customer));
    // Other names than UUIDs.
    put(&server, "carla%40customers.example", &all).await;
    let person = "carla@customers.example";
    assert_eq!(get(&server, person).await["person_id"], person);
    assert_eq!(get(&server, person).await["language"], "pt");
}

#[tokio::test]
async fn an_error_names_the_member_and_stores_nothing() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let customer = app.customer.to_string();
    for (body, field) in [
        (json!({"language": "zh-TW"}), "language"),
        (json!({"language": "x y"}), "language"),
        (json!({"language": ""}), "language"),
        (json!({"language": 7}), "language"),
        (json!({"language": "e".repeat(101)}), "language"),
        (json!({"timezone": "Europe/Atlantis"}), "timezone"),
        (json!({"timezone": ""}), "timezone"),
        (json!({"timezone": "Etc/Unknown"}), "timezone"),
        (json!({"quiet_hours": "22:00"}), "quiet_hours"),
        (json!({"quiet_hours": {"from": "22:00"}}), "to"),
        (
            json!({"quiet_hours": {"from": "24:00", "to": "06:00"}}),
            "from",
        ),
        (
            json!({"quiet_hours": {"from": "22:00", "to": "6:00"}}),
            "to",
        ),
        (
            json!({"quiet_hours": {"from": "22:00", "to": "06:0٣"}}),
            "to",
        ),
        (
            json!({"quiet_hours": {"from": "22:00", "to": "06:00", "zone": "UTC"}}),
            "zone",
        ),
        (
            json!({"quiet_hours": {"from": "22:00", "to": "06:00"}}),
            "quiet_hours",
        ),
        (json!({"channels": []}), "channels"),
        (json!({"channels": ["webhook"]}), "channels"),
        (json!({"channels": "email"}), "channels"),
        (json!({"opt_outs": ["reminders"]}), "opt_outs"),
        // People who leave reminders leave grouped ones, too.
        (json!({"opt_outs": ["grouped-reminder"]}), "opt_outs"),
        (json!({"opt_outs": ["reminder", "reminder"]}), "opt_outs"),
        (json!({"opt_outs": [null]}), "opt_outs"),
        (json!({"opt_out": ["reminder"]}), "opt_out"),
        (json!([]), "body"),
    ] {
        let answer = put(&server, &customer, &body).await;
        assert_invalid(&answer, 400, field);
    }
    for person in ["%20", "a%20b", "Zo%C3%AB", "-x", &"x".repeat(401), "%00"] {
        let answer = put(&server, person, &json!({})).await;
        assert_invalid(&answer, 400, "id");
    }
    assert_eq!(get(&server, &customer).await, nothing(&customer));
    let rows = "SELECT count(*)::text FROM booking_automation_preferences";
    assert_eq!(app.column(rows, &[]).await, ["0"]);
    let answer = request(server.port, "PUT", &path(&customer), &[], b"{}").await;
    assert_eq!(answer.status, 401);
    let answer = ask(&server, "POST", &path(&customer), &[], b"{}").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, PUT"));
}

#[tokio::test]
async fn messages_are_in_the_own_language_and_time_zone() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let body = json!({"language": "fr", "timezone": "Asia/Tokyo"});
    put(&server, &app.customer.to_string(), &body).await;
    let mail = reminder(&app).await;
    assert!(mail.subject().starts_with("Rappel"), "{}", mail.subject());
    let text = mail.text().replace('\u{a0}', " ");
    assert!(
        text.contains("heure normale du Japon (UTC+09:00)"),
        "{text}"
    );
    // Of the provider, nothing is known.
    app.sql("UPDATE reminder_rules SET audience = 'provider', effective_from = '2020-01-01' WHERE name = '1h'", &[])
        .await;
    app.sql(
        "UPDATE reminder_rules SET effective_from = '2020-01-01'",
        &[],
    )
    .await;
    app.confirmed(noon() + minutes(60)).await;
    app.run(noon()).await;
    let mails = app.ses.mails();
    let to_provider = mails
        .iter()
        .find(|mail| mail.to() == "petra@providers.example")
        .unwrap();
    assert!(
        to_provider.subject().starts_with("Reminder"),
        "{}",
        to_provider.subject()
    );
}

#[tokio::test]
async fn what_support_stores_is_what_the_page_shows_and_the_claim_heeds() {
    let mut app = app_with_links().await;
    let link = path_of(&reminder(&app).await);
    let server = support(&mut app, noon()).await;
    let customer = app.customer.to_string();
    put(
        &server,
        &customer,
        &json!({"language": "it", "opt_outs": ["reminder"]}),
    )
    .await;
    let page = request(server.port, "GET", &link, &[], b"").await;
    assert!(
        page.body.contains("<h1>I Suoi messaggi</h1>"),
        "{}",
        page.body
    );
    assert_eq!(page.body.matches(" checked").count(), 6, "{}", page.body);
    let id = app.confirmed(noon() + hours(24) + minutes(1)).await;
    app.run(noon() + minutes(2)).await;
    assert_eq!(app.reminders(id).await, ["24h skipped opted_out"]);
}

#[tokio::test]
async fn whoever_is_forgotten_has_no_choices_and_no_links() {
    let mut app = app_with_links().await;
    let mail = reminder(&app).await;
    let link = path_of(&mail);
    let server = support(&mut app, noon()).await;
    let customer = app.customer.to_string();
    let body = json!({
        "language": "it",
        "timezone": "UTC",
        "quiet_hours": {"from": "22:00", "to": "06:30"},
        "channels": ["email"],
        "opt_outs": ["reminder", "expired"],
    });
    let key = [("Idempotency-Key", b"k".as_slice())];
    let stored = ask(
        &server,
        "PUT",
        &path(&customer),
        &key,
        body.to_string().as_bytes(),
    )
    .await;
    assert_eq!(stored.status, 200, "{stored:?}");
    // The provider's choices stay.
    put(&server, &app.provider.to_string(), &body).await;
    let forget = format!("/people/{customer}");
    let forgotten = ask(&server, "DELETE", &forget, &[], b"").await;
    assert_eq!(
        forgotten.json(),
        json!({"person_id": customer, "choices": 6, "messages": 1, "not_sent": 0, "feedback": 0, "reasons": 0,
               "under_way": 0, "remaining": 0})
    );
    assert_eq!(get(&server, &customer).await, nothing(&customer));
    // What stays is when that was.
    let left = "SELECT concat_ws(' ', num_nonnulls(language, timezone, quiet_from, quiet_until, channels),
                       (SELECT count(*) FROM booking_automation_opt_outs o WHERE o.person_id = p.person_id), links_from IS NOT NULL)
                  FROM booking_automation_preferences p WHERE p.person_id = $1";
    assert_eq!(app.column(left, &[&customer]).await, ["0 0 t"]);
    let of_provider = get(&server, &app.provider.to_string()).await;
    for member in ["language", "quiet_hours", "channels"] {
        assert_eq!(of_provider[member], body[member], "{member}");
    }
    let sql = "SELECT count(*)::text FROM booking_automation_requests";
    assert_eq!(app.column(sql, &[]).await, ["0"]);
    for method in ["GET", "POST"] {
        let body = b"List-Unsubscribe=One-Click";
        let kind = [(
            "Content-Type",
            b"application/x-www-form-urlencoded".as_slice(),
        )];
        let page = request(server.port, method, &link, &kind, body).await;
        assert_eq!(page.status, 404, "{page:?}");
        assert!(
            page.body.contains("This link does not work"),
            "{}",
            page.body
        );
    }
    let ids = "SELECT count(*)::text FROM booking_automation_events WHERE message_id IS NOT NULL";
    assert_eq!(app.column(ids, &[]).await, ["0"]);
    // Messages from now on are in the view's language, and have links that work.
    app.confirmed(noon() + hours(24) + minutes(1)).await;
    app.run(noon() + minutes(2)).await;
    let mail = app.ses.mails().pop().unwrap();
    assert!(mail.subject().starts_with("Reminder"), "{}", mail.subject());
    let page = request(server.port, "GET", &path_of(&mail), &[], b"").await;
    assert_eq!(page.status, 200, "{page:?}");
    // A person without bookings, by another name, and once more.
    put(&server, "somebody@people.example", &body).await;
    for choices in [6, 0] {
        let forgotten = ask(
            &server,
            "DELETE",
            "/people/somebody@people.example",
            &[],
            b"",
        )
        .await;
        assert_eq!(
            (forgotten.status, &forgotten.json()["choices"]),
            (200, &json!(choices))
        );
    }
    let messages = ask(
        &server,
        "DELETE",
        &format!("/people/{customer}/messages"),
        &[],
        b"",
    )
    .await;
    assert_eq!(messages.json()["messages"], 1, "as before: {messages:?}");
}

#[tokio::test]
async fn before_migrate_nothing_can_be_stored() {
    let mut app = App::new().await;
    let drop = "DROP TABLE booking_automation_opt_outs, booking_automation_preferences";
    app.db.batch_execute(drop).await.unwrap();
    let server = support(&mut app, noon()).await;
    let customer = app.customer.to_string();
    let answer = put(&server, &customer, &json!({})).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains("has not been migrated"), "{answer:?}");
    // Messages are erased as before.
    app.confirmed(noon() + hours(24)).await;
    let path = format!("/people/{customer}/messages");
    assert_eq!(ask(&server, "DELETE", &path, &[], b"").await.status, 200);
}

#[test]
fn the_description_has_each_choice_of_kind_and_language() {
    let described: Value =
        serde_json::from_str(include_str!("../../src/http/api/openapi.json")).unwrap();
    let schemas = &described["components"]["schemas"];
    let kinds: Vec<_> = KindName::choices().map(KindName::as_str).collect();
    assert_eq!(schemas["MessageKind"]["enum"], json!(kinds));
    let mut tags: Vec<_> = Language::all()
        .map(|language| json!(language.tag()))
        .collect();
    tags.push(Value::Null);
    assert_eq!(
        schemas["Preferences"]["properties"]["language"]["enum"],
        json!(tags)
    );
}
