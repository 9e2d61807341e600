//! What people have chosen, through the support API.

use booking_automation::messages::kind_name::KindName;
use booking_automation::messages::languages::Language;
use serde_json::{Value, json};

use crate::app::{App, hours, minutes, noon};
use crate::client::{Answer, Header, request};
use crate::http::Server;
use crate::links::{app_with_links, path_of, post, reminder};
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

fn key_of(key: &str) -> [Header<'_>; 1] {
    [("Idempotency-Key", key.as_bytes())]
}

async fn get(server: &Server, person: &str) -> Value {
    let answer = ask(server, "GET", &path(person), &[], b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn nothing(person: &str) -> Value {
    json!({"person_id": person, "language": null, "timezone": null, "quiet_hours": null, "channels": null, "phone": null,
           "sms_allowed": null, "opt_outs": []})
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
        "channels": ["sms", "push", "email"],
        "phone": " +1 (206) 555-0100",
        "sms_allowed": true,
        "opt_outs": ["follow-up", "reminder"],
    });
    let stored = json!({
        "person_id": customer,
        "language": "pt",
        "timezone": "Europe/Berlin",
        "quiet_hours": {"from": "22:00", "to": "06:30"},
        "channels": ["sms", "push", "email"],
        "phone": "+12065550100",
        "sms_allowed": true,
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
    put(&server, &customer, &json!({"sms_allowed": false})).await;
    assert_eq!(get(&server, &customer).await["sms_allowed"], false);
    // The shortest number: of Tokelau.
    put(&server, &customer, &json!({"phone": "+690 7290"})).await;
    assert_eq!(get(&server, &customer).await["phone"], "+6907290");
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
        (json!({"channels": ["sms", "sms"]}), "channels"),
        (json!({"channels": ["push>sms"]}), "channels"),
        (json!({"phone": "0206 777 0100"}), "phone"),
        (json!({"phone": "+44 (0)20 6777 0100"}), "phone"),
        (json!({"phone": "+1 206 777 0100 ext. 5"}), "phone"),
        (json!({"phone": "+44 020 6777 0100"}), "phone"),
        (json!({"phone": "+120677"}), "phone"),
        (json!({"phone": ""}), "phone"),
        (json!({"phone": 12_067_770_100_i64}), "phone"),
        (json!({"phone": "+1".repeat(51)}), "phone"),
        (json!({"sms_allowed": "yes"}), "sms_allowed"),
        (json!({"sms_allowed": 1}), "sms_allowed"),
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
        assert!(!answer.body.contains("777"), "{answer:?}");
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
async fn what_the_page_does_not_show_stays_as_it_is() {
    let mut app = app_with_links().await;
    let link = path_of(&reminder(&app).await);
    let server = support(&mut app, noon()).await;
    let customer = app.customer.to_string();
    let body = json!({
        "timezone": "Europe/Vienna",
        "quiet_hours": {"from": "22:00", "to": "06:30"},
        "channels": ["push", "email"],
        "phone": "+12065550100",
        "sms_allowed": false,
        "opt_outs": ["digest"],
    });
    put(&server, &customer, &body).await;
    let page = request(server.port, "GET", &link, &[], b"").await;
    assert!(!page.body.contains("2065550100"), "{}", page.body);
    for (form, opt_outs) in [
        (
            "shown=reminder+digest&wants-digest=on&language-shown=en&language=de",
            json!(["reminder"]),
        ),
        ("List-Unsubscribe=One-Click", json!(["reminder"])),
    ] {
        let page = post(&server, &link, form).await;
        assert_eq!(page.status, 200, "{page:?}");
        let mut expected = body.clone();
        expected["person_id"] = json!(customer);
        expected["language"] = json!("de");
        expected["opt_outs"] = opt_outs;
        assert_eq!(get(&server, &customer).await, expected, "{form}");
    }
}

#[tokio::test]
async fn a_message_goes_by_no_channel_that_was_not_chosen() {
    let mut app = App::new().await;
    let server = support(&mut app, noon()).await;
    let customer = app.customer.to_string();
    for (channels, chain, outcome) in [
        (json!(["sms", "push"]), "email", "24h skipped not_chosen"),
        (json!(["sms", "email"]), "email", "24h completed"),
        (json!(["email"]), "push>email", "24h completed"),
        (
            json!(["push", "sms"]),
            "push>email",
            "24h skipped not_chosen",
        ),
    ] {
        put(&server, &customer, &json!({"channels": channels})).await;
        app.sql(
            "UPDATE reminder_rules SET channels = ARRAY[$1], effective_from = '2020-01-01' WHERE name = '24h'",
            &[&chain],
        )
        .await;
        app.sql(
            "UPDATE reminder_rules SET effective_from = '2020-01-01'",
            &[],
        )
        .await;
        let id = app.confirmed(noon() + hours(24)).await;
        app.run(noon()).await;
        assert_eq!(app.reminders(id).await, [outcome], "{channels} {chain}");
    }
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
        "phone": "+12065550100",
        "sms_allowed": true,
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
    // The provider's choices stay, and so do their devices.
    put(&server, &app.provider.to_string(), &body).await;
    for (person, token) in [
        (app.customer, "a"),
        (app.customer, "b"),
        (app.provider, "c"),
    ] {
        let device = format!("/people/{person}/push-tokens/{token}");
        assert_eq!(
            ask(&server, "PUT", &device, &key_of(token), b"")
                .await
                .status,
            201
        );
    }
    let forget = format!("/people/{customer}");
    let forgotten = ask(&server, "DELETE", &forget, &[], b"").await;
    assert_eq!(
        forgotten.json(),
        json!({"person_id": customer, "choices": 10, "messages": 1, "not_sent": 0, "feedback": 0, "reasons": 0,
               "under_way": 0, "remaining": 0})
    );
    assert_eq!(get(&server, &customer).await, nothing(&customer));
    // What stays is when that was.
    let left = "SELECT concat_ws(' ', num_nonnulls(language, timezone, quiet_from, quiet_until, channels, phone, sms_allowed),
                       (SELECT count(*) FROM booking_automation_opt_outs o WHERE o.person_id = p.person_id), links_from IS NOT NULL)
                  FROM booking_automation_preferences p WHERE p.person_id = $1";
    assert_eq!(app.column(left, &[&customer]).await, ["0 0 t"]);
    let of_provider = get(&server, &app.provider.to_string()).await;
    for member in [
        "language",
        "quiet_hours",
        "channels",
        "phone",
        "sms_allowed",
    ] {
        assert_eq!(of_provider[member], body[member], "{member}");
    }
    let devices = "SELECT token FROM booking_automation_push_tokens";
    assert_eq!(app.column(devices, &[]).await, ["c"]);
    // The answers for repeated requests: only that to the provider's.
    let sql = "SELECT answer ->> 'person_id' FROM booking_automation_requests";
    assert_eq!(app.column(sql, &[]).await, [app.provider.to_string()]);
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
    for choices in [8, 0] {
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
async fn an_old_revocation_is_deleted_with_old_keys_where_nothing_was_chosen_since() {
    let app = app_with_links().await;
    app.sql(
        "INSERT INTO booking_automation_preferences (person_id, links_from, language, phone, sms_allowed, channels, calendar_from)
         SELECT person, now() - age::interval, language, phone, sms_allowed, channels, now() - calendar::interval
           FROM (VALUES ('old', '4 years', NULL, NULL, NULL::boolean, NULL::text[], NULL),
                        ('old feed', '4 years', NULL, NULL, NULL, NULL, '4 years'),
                        ('new', '2 years', NULL, NULL, NULL, NULL, NULL),
                        ('feed', '4 years', NULL, NULL, NULL, NULL, '2 years'),
                        ('language', '4 years', 'de', NULL, NULL, NULL, NULL),
                        ('phone', '4 years', NULL, '+12065550100', NULL, NULL, NULL),
                        ('not agreed', '4 years', NULL, NULL, false, NULL, NULL),
                        ('channels', '4 years', NULL, NULL, NULL, '{sms}', NULL))
                AS chosen (person, age, language, phone, sms_allowed, channels, calendar)",
        &[],
    )
    .await;
    let age =
        "UPDATE booking_automation_link_keys SET created_at = created_at - interval '91 days'";
    app.sql(age, &[]).await;
    reminder(&app).await;
    let left = "SELECT person_id FROM booking_automation_preferences ORDER BY 1";
    assert_eq!(
        app.column(left, &[]).await,
        ["channels", "feed", "language", "new", "not agreed", "phone"]
    );
}

#[tokio::test]
async fn before_migrate_nothing_can_be_stored() {
    let mut app = App::new().await;
    let drop = "DROP TABLE booking_automation_opt_outs, booking_automation_preferences, booking_automation_push_tokens, booking_automation_soft_bounces, booking_automation_sms_replies";
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
