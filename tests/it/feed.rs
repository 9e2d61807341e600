//! The feed of a person's bookings, which calendars fetch again and again.

use serde_json::{Value, json};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::app::{App, hours, minutes, noon};
use crate::calendar::{ical_js, python_on_feeds};
use crate::client::{Answer, request};
use crate::http::Server;
use crate::links::{BASE, app_with_links, assert_page, path_of, reminder};
use crate::notices::{set_start, set_status};
use crate::status::{ask, support};

async fn serve(app: &mut App) -> Server {
    support(app, noon()).await
}

/// The path of a new address of a person's feed.
async fn feed_of(server: &Server, person: Uuid) -> String {
    let path = format!("/people/{person}/calendar");
    let answer = ask(server, "GET", &path, &[], b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    assert_eq!(answer["person_id"], json!(person));
    let path = answer["url"].as_str().unwrap().strip_prefix(BASE).unwrap();
    assert!(
        path.starts_with("/calendar/") && path.ends_with(".ics"),
        "{path}"
    );
    path.to_owned()
}

async fn fetch(server: &Server, path: &str) -> Answer {
    request(server.port, "GET", path, &[], b"").await
}

/// `uid status sequence` of each booking, by the names of the tests, in the order of the feed.
fn in_short(feed: &Answer, names: &[(Uuid, &str)]) -> Vec<String> {
    assert_eq!(feed.status, 200, "{feed:?}");
    let events = feed.body.split("BEGIN:VEVENT\r\n").skip(1);
    let shorten = |event: &str| {
        let of = |name: &str| {
            let (_, rest) = event.split_once(&format!("\r\n{name}:")).unwrap();
            rest.split("\r\n").next().unwrap().to_owned()
        };
        let (uid, _) = event.split_once("\r\n").unwrap();
        let id = uid.strip_prefix("UID:").unwrap().split('@').next().unwrap();
        let id: Uuid = id.parse().unwrap();
        let (_, name) = names.iter().find(|(known, _)| *known == id).unwrap();
        format!("{name} {} {}", of("STATUS"), of("SEQUENCE"))
    };
    events.map(shorten).collect()
}

async fn status_at(app: &App, at: chrono::DateTime<chrono::Utc>, id: Uuid, status: &str) {
    app.set_clock(at).await;
    set_status(app, id, status).await;
    app.set_clock(noon()).await;
}

#[tokio::test]
async fn a_feed_has_a_persons_bookings_as_their_mails_have_them() {
    let mut app = app_with_links().await;
    let other = app
        .person("Olga", Some("olga@customers.example"), "UTC")
        .await;
    let own = app.booking("confirmed", noon() + hours(48)).await;
    let moved = app.booking("confirmed", noon() + hours(50)).await;
    set_start(&app, moved, noon() + hours(24)).await;
    let cancelled = app.booking("confirmed", noon() + hours(72)).await;
    set_status(&app, cancelled, "cancelled").await;
    // It was in nobody's calendar.
    let pending = app.booking("pending", noon() + hours(72)).await;
    let declined = app.booking("pending", noon() + hours(72)).await;
    set_status(&app, declined, "cancelled").await;
    let others = app.booking("confirmed", noon() + hours(96)).await;
    app.sql(
        "UPDATE bookings SET customer_id = $2 WHERE id = $1",
        &[&others, &other],
    )
    .await;
    let names = [
        (own, "own"),
        (moved, "moved"),
        (cancelled, "cancelled"),
        (pending, "pending"),
        (declined, "declined"),
        (others, "others"),
    ];
    // Versions of which others were told, and a message without one.
    for (booking, audience, channel, recipient, rule, data) in [
        (own, "provider", "email", "", "48h", json!({"sequence": 9})),
        (own, "customer", "sms", "", "48h", json!({"sequence": 9})),
        (
            own,
            "customer",
            "email",
            "guest",
            "48h",
            json!({"sequence": 9}),
        ),
        (
            others,
            "customer",
            "email",
            "",
            "48h",
            json!({"sequence": 9}),
        ),
        (others, "customer", "email", "", "72h", json!({})),
    ] {
        let sql = "INSERT INTO booking_automation_events (booking_id, event_type, status, rule, audience, channel, recipient, revision, starts_at, event_data)
                   SELECT id, 'reminder_sent', 'skipped', $5, $2, $3, $4, 1, scheduled_at, $6 FROM bookings WHERE id = $1";
        let values: [&(dyn ToSql + Sync); 6] =
            [&booking, &audience, &channel, &recipient, &rule, &data];
        app.sql(sql, &values).await;
    }
    let server = serve(&mut app).await;
    let feed = fetch(&server, &feed_of(&server, app.customer).await).await;
    let expected = [
        "moved CONFIRMED 4",
        "own CONFIRMED 2",
        "cancelled CANCELLED 3",
    ];
    assert_eq!(in_short(&feed, &names), expected);
    assert_eq!(feed.header("content-type"), "text/calendar; charset=utf-8");
    assert_eq!(feed.header("referrer-policy"), "no-referrer");
    // The provider has the bookings of both customers, and the other customer has one.
    let of_provider = fetch(&server, &feed_of(&server, app.provider).await).await;
    assert_eq!(in_short(&of_provider, &names).len(), 4);
    assert!(
        of_provider
            .body
            .contains("SUMMARY:Massage with Carla Customer")
    );
    let of_other = fetch(&server, &feed_of(&server, other).await).await;
    assert_eq!(in_short(&of_other, &names), ["others CONFIRMED 9"]);
    // Nobody is asked for an answer by a feed.
    assert!(!feed.body.contains("ATTENDEE"), "{}", feed.body);
    assert!(!feed.body.contains("VALARM"), "{}", feed.body);

    // The mail about the same booking.
    app.run(noon() + minutes(1)).await;
    let mails = app.ses.mails();
    let mail = mails
        .iter()
        .find(|mail| mail.to() == "carla@customers.example")
        .unwrap();
    let in_mail = &mail.calendar().unwrap().text;
    for line in [
        "SEQUENCE:4",
        "DTSTART:20260302T120000Z",
        "SUMMARY:Massage with Petra Provider",
    ] {
        assert!(in_mail.contains(line) && feed.body.contains(line), "{line}");
    }
    assert!(in_mail.contains(&format!("UID:{moved}@booking-automation")));

    // What a mail tells anew, and a cancellation that no mail tells of.
    let rules = "UPDATE reminder_rules SET active = name IN ('24h', '1h')";
    app.sql(rules, &[]).await;
    let sql = "UPDATE bookings SET location = 'Opernring 2, Wien' WHERE id = $1";
    app.sql(sql, &[&moved]).await;
    app.run(noon() + hours(23)).await;
    let path = feed_of(&server, app.customer).await;
    let feed = fetch(&server, &path).await;
    assert_eq!(in_short(&feed, &names)[0], "moved CONFIRMED 5");
    // A move that no mail tells of, after several such changes, and a cancellation.
    let sql = format!(
        "UPDATE booking_automation_events SET event_data = event_data || '{{\"sequence\": 9}}' WHERE booking_id = '{moved}' AND event_data ? 'sequence'"
    );
    app.sql_without_triggers(&sql).await;
    set_start(&app, moved, noon() + hours(25)).await;
    let feed = fetch(&server, &path).await;
    assert_eq!(in_short(&feed, &names)[0], "moved CONFIRMED 12");
    set_start(&app, moved, noon() + hours(24)).await;
    let feed = fetch(&server, &path).await;
    assert_eq!(in_short(&feed, &names)[0], "moved CONFIRMED 13");
    for (status, expected) in [
        ("cancelled", "moved CANCELLED 14"),
        ("confirmed", "moved CONFIRMED 15"),
    ] {
        status_at(&app, noon() + hours(23), moved, status).await;
        let feed = fetch(&server, &path).await;
        assert_eq!(in_short(&feed, &names)[0], expected);
    }
}

#[tokio::test]
async fn other_calendars_read_the_feed() {
    let mut app = app_with_links().await;
    app.sql(
        "UPDATE services SET title = $1",
        &[&"x\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:evil,;\\ 👩‍👩‍👧"],
    )
    .await;
    let own = app.booking("confirmed", noon() + hours(48)).await;
    let cancelled = app.booking("confirmed", noon() + hours(72)).await;
    set_status(&app, cancelled, "cancelled").await;
    let server = serve(&mut app).await;
    let feed = fetch(&server, &feed_of(&server, app.customer).await).await;
    let expected = json!([
        {"uid": format!("{own}@booking-automation"), "status": "CONFIRMED", "sequence": 2},
        {"uid": format!("{cancelled}@booking-automation"), "status": "CANCELLED", "sequence": 3},
    ]);
    if let Some(found) = python_on_feeds(&[&feed.body]) {
        let found = &found[0];
        assert_eq!(found["defects"], json!([]));
        assert_eq!(found["method"], "PUBLISH");
        assert_eq!(found["refresh"], json!(["DURATION", "PT1H"]));
        assert_eq!(found["lives"], "PT1H");
        assert_eq!(found["events"], expected);
        let names: Vec<Value> = found["name"].as_array().unwrap().clone();
        assert!(!names[0].as_str().unwrap().is_empty() && names[0] == names[1]);
    }
    if let Some(found) = ical_js(&[&feed.body]) {
        assert_eq!(found[0]["method"], "PUBLISH");
        assert_eq!(found[0]["all"], expected);
    }
}

#[tokio::test]
async fn a_cancelled_booking_stays_for_thirty_days() {
    let mut app = app_with_links().await;
    let [long_ago, lately] = [
        app.booking("confirmed", noon() + hours(24 * 60)).await,
        app.booking("confirmed", noon() + hours(24 * 61)).await,
    ];
    let days = |days: i64| noon() - hours(24 * days);
    status_at(&app, days(30), long_ago, "cancelled").await;
    status_at(&app, days(30) + minutes(1), lately, "cancelled").await;
    let names = [(long_ago, "long ago"), (lately, "lately")];
    let server = serve(&mut app).await;
    let path = feed_of(&server, app.customer).await;
    let feed = fetch(&server, &path).await;
    assert_eq!(in_short(&feed, &names), ["lately CANCELLED 3"]);
    // Confirmed again, it is back with a higher sequence.
    set_status(&app, long_ago, "confirmed").await;
    let feed = fetch(&server, &path).await;
    assert_eq!(
        in_short(&feed, &names),
        ["long ago CONFIRMED 4", "lately CANCELLED 3"]
    );
}

#[tokio::test]
async fn what_was_refunded_without_a_cancellation_is_cancelled() {
    let mut app = app_with_links().await;
    let ahead = app.booking("confirmed", noon() + hours(48)).await;
    // It took place.
    let past = app.booking("confirmed", noon() - hours(48)).await;
    status_at(&app, noon() - hours(46), past, "completed").await;
    for id in [ahead, past] {
        status_at(&app, noon(), id, "refunded").await;
    }
    let server = serve(&mut app).await;
    let feed = fetch(&server, &feed_of(&server, app.customer).await).await;
    let names = [(ahead, "ahead"), (past, "past")];
    assert_eq!(in_short(&feed, &names), ["ahead CANCELLED 3"]);
}

#[tokio::test]
async fn what_is_cancelled_in_a_feed_is_cancelled_now_and_was_confirmed() {
    let mut app = app_with_links().await;
    let [reopened, reset] = [
        app.booking("confirmed", noon() + hours(48)).await,
        app.booking("confirmed", noon() + hours(49)).await,
    ];
    // It waits for a confirmation again, after a cancellation and before one.
    for (id, status) in [
        (reopened, "cancelled"),
        (reopened, "pending"),
        (reset, "pending"),
        (reset, "cancelled"),
    ] {
        status_at(&app, noon() - minutes(5), id, status).await;
    }
    let server = serve(&mut app).await;
    let feed = fetch(&server, &feed_of(&server, app.customer).await).await;
    let names = [(reopened, "reopened"), (reset, "reset")];
    assert_eq!(in_short(&feed, &names), ["reset CANCELLED 3"]);
}

#[tokio::test]
async fn what_is_not_live_is_in_no_feed() {
    let mut app = app_with_links().await;
    app.sql("ALTER TABLE bookings ADD deleted_at timestamptz", &[])
        .await;
    let said = app.call(&["migrate"]).await;
    assert!(said.success, "{}", said.stderr);
    let [live, deleted] = [
        app.booking("confirmed", noon() + hours(48)).await,
        app.booking("confirmed", noon() + hours(49)).await,
    ];
    let sql = "UPDATE bookings SET deleted_at = now() WHERE id = $1";
    app.sql(sql, &[&deleted]).await;
    let server = serve(&mut app).await;
    let feed = fetch(&server, &feed_of(&server, app.customer).await).await;
    assert_eq!(in_short(&feed, &[(live, "live")]), ["live CONFIRMED 2"]);
}

#[tokio::test]
async fn a_feed_has_the_language_and_the_wording_of_the_mails() {
    let mut app = app_with_links().await;
    let view = "DO $$ BEGIN
        EXECUTE 'CREATE OR REPLACE VIEW booking_automation_contacts AS ' ||
                replace(pg_get_viewdef('booking_automation_contacts'::regclass), 'NULL::text AS language', '''fr''::text AS language');
    END $$";
    app.db.batch_execute(view).await.unwrap();
    app.booking("confirmed", noon() + hours(48)).await;
    let server = serve(&mut app).await;
    let path = feed_of(&server, app.customer).await;
    let summary = async || {
        let feed = fetch(&server, &path).await.body;
        let (_, rest) = feed.split_once("SUMMARY:").unwrap();
        rest.split("\r\n").next().unwrap().to_owned()
    };
    assert_eq!(summary().await, "Massage avec Petra Provider");
    let own = "INSERT INTO booking_automation_preferences (person_id, language) VALUES ($1::uuid::text, 'de')";
    app.sql(own, &[&app.customer]).await;
    assert_eq!(summary().await, "Massage mit Petra Provider");
    let wording = "INSERT INTO booking_automation_templates (kind, language, part, body, active)
                   VALUES ('all', 'de', 'booking-with', '{ $service } bei { $person }', true)";
    app.sql(wording, &[]).await;
    assert_eq!(summary().await, "Massage bei Petra Provider");
    // As in mails, what cannot be read is replaced by the built-in texts.
    app.sql("DROP TABLE booking_automation_templates", &[])
        .await;
    assert_eq!(summary().await, "Massage mit Petra Provider");
}

#[tokio::test]
async fn many_past_bookings_leave_what_lies_ahead_in_the_feed() {
    let mut app = app_with_links().await;
    let sql = format!(
        "INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at)
         SELECT '{}', '{}', '{}', 'completed', '{}'::timestamptz - n * interval '1 hour' FROM generate_series(1, 600) AS n ORDER BY md5(n::text)",
        app.customer,
        app.provider,
        app.service,
        noon(),
    );
    app.sql_without_triggers(&sql).await;
    let ahead = app.booking("confirmed", noon() + hours(48)).await;
    let server = serve(&mut app).await;
    let feed = fetch(&server, &feed_of(&server, app.provider).await).await;
    assert_eq!(feed.body.matches("BEGIN:VEVENT").count(), 500);
    assert!(feed.body.contains(&format!("UID:{ahead}@")));
    // Of the past, the most recent are kept, and the order is that of their starts.
    let starts: Vec<&str> = feed
        .body
        .split("\r\nDTSTART:")
        .skip(1)
        .map(|rest| rest.split("\r\n").next().unwrap())
        .collect();
    assert!(starts.is_sorted(), "{starts:?}");
    assert_eq!(
        (starts[0], starts[498]),
        ("20260208T170000Z", "20260301T110000Z")
    );
}

#[tokio::test]
async fn what_was_confirmed_before_the_installation_stays_when_it_is_cancelled() {
    let mut app = app_with_links().await;
    let id = app.booking("confirmed", noon() + hours(48)).await;
    let declined = app.booking("pending", noon() + hours(48)).await;
    let before = "DELETE FROM booking_automation_state; DELETE FROM booking_automation_events";
    app.sql_without_triggers(before).await;
    set_status(&app, id, "cancelled").await;
    set_status(&app, declined, "cancelled").await;
    app.sql_without_triggers("DELETE FROM booking_automation_state")
        .await;
    let server = serve(&mut app).await;
    let feed = fetch(&server, &feed_of(&server, app.customer).await).await;
    let found = in_short(&feed, &[(id, "cancelled"), (declined, "declined")]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("cancelled CANCELLED"), "{found:?}");
}

#[tokio::test]
async fn bookings_may_lack_their_provider_or_their_customer() {
    for lacking in ["provider_id", "customer_id"] {
        let mut app = app_with_links().await;
        let own = app.booking("confirmed", noon() + hours(48)).await;
        let change = format!("ALTER TABLE bookings RENAME {lacking} TO somebody_id");
        app.db.batch_execute(&change).await.unwrap();
        let person = match lacking {
            "provider_id" => app.customer,
            _ => app.provider,
        };
        let server = serve(&mut app).await;
        let feed = fetch(&server, &feed_of(&server, person).await).await;
        assert_eq!(in_short(&feed, &[(own, "own")]).len(), 1, "{lacking}");
        let erase = format!("/people/{person}");
        let answer = ask(&server, "DELETE", &erase, &[], b"").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["remaining"], 0, "{answer:?}");
    }
}

#[tokio::test]
async fn a_new_key_does_not_sign_while_an_older_one_does() {
    let mut app = app_with_links().await;
    reminder(&app).await;
    app.sql(
        "UPDATE booking_automation_link_keys SET created_at = now() - interval '91 days'",
        &[],
    )
    .await;
    let server = serve(&mut app).await;
    let key = |path: &str| path["/calendar/".len()..][..7].to_owned();
    let first = key(&feed_of(&server, app.customer).await);
    app.sql(
        "INSERT INTO booking_automation_link_keys (secret) VALUES (sha256('new'))",
        &[],
    )
    .await;
    assert_eq!(key(&feed_of(&server, app.customer).await), first);
    app.sql(
        "UPDATE booking_automation_link_keys SET created_at = created_at - interval '3 minutes'",
        &[],
    )
    .await;
    assert_ne!(key(&feed_of(&server, app.customer).await), first);
}

#[tokio::test]
async fn an_unchanged_feed_is_not_sent_again() {
    let mut app = app_with_links().await;
    let id = app.booking("confirmed", noon() + hours(48)).await;
    let server = serve(&mut app).await;
    let path = feed_of(&server, app.customer).await;
    let first = fetch(&server, &path).await;
    let tag = first.header("etag").to_owned();
    assert!(
        tag.starts_with('"') && tag.ends_with('"') && tag.len() == 45,
        "{tag}"
    );
    assert_eq!(first.header("cache-control"), "private, no-cache");
    let with = async |known: &str| {
        let header = [("If-None-Match", known.as_bytes())];
        request(server.port, "GET", &path, &header, b"").await
    };
    for known in [
        tag.clone(),
        format!("\"other\", {tag}"),
        format!("W/{tag}"),
        "*".to_owned(),
    ] {
        let again = with(&known).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{known}");
        assert_eq!(again.header("etag"), tag);
    }
    for known in ["\"other\"", "", &tag[1..44]] {
        assert_eq!(with(known).await.status, 200, "{known}");
    }
    let head = request(server.port, "HEAD", &path, &[], b"").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("etag"), tag);
    // A change of a booking is one of its feed.
    for change in [
        "UPDATE bookings SET location = 'Nebenan 2' WHERE id = $1",
        "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 hour' WHERE id = $1",
        "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
    ] {
        let before = fetch(&server, &path).await.header("etag").to_owned();
        app.sql(change, &[&id]).await;
        let after = with(&before).await;
        assert_eq!(after.status, 200, "{change}");
        assert_ne!(after.header("etag"), before);
    }
}

#[tokio::test]
async fn an_address_can_be_revoked_and_another_made() {
    let mut app = app_with_links().await;
    let mail_path = path_of(&reminder(&app).await);
    let server = serve(&mut app).await;
    let old = feed_of(&server, app.customer).await;
    let of_provider = feed_of(&server, app.provider).await;
    assert_eq!(fetch(&server, &old).await.status, 200);
    let path = format!("/people/{}/calendar", app.customer);
    let answer = ask(&server, "DELETE", &path, &[], b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_page(&fetch(&server, &old).await, 404);
    let new = feed_of(&server, app.customer).await;
    assert_eq!(fetch(&server, &new).await.status, 200);
    // Nobody else's, and no link in a mail.
    assert_eq!(fetch(&server, &of_provider).await.status, 200);
    assert_page(&fetch(&server, &mail_path).await, 200);
    // Whoever is erased has none that works.
    let erase = format!("/people/{}", app.customer);
    assert_eq!(ask(&server, "DELETE", &erase, &[], b"").await.status, 200);
    assert_page(&fetch(&server, &new).await, 404);
}

#[tokio::test]
async fn whatever_is_no_address_of_a_feed_gets_404() {
    let mut app = app_with_links().await;
    let mail_path = path_of(&reminder(&app).await);
    let server = serve(&mut app).await;
    let feed = feed_of(&server, app.customer).await;
    let name = feed.strip_prefix("/calendar/").unwrap().to_owned();
    let token = name.strip_suffix(".ics").unwrap();
    let of_mail = mail_path.strip_prefix("/p/").unwrap();
    for path in [
        format!("/calendar/{token}"),
        format!("/calendar/{of_mail}.ics"),
        format!("/calendar/x{name}"),
        "/calendar/.ics".to_owned(),
        format!("/p/{token}"),
    ] {
        assert_page(&fetch(&server, &path).await, 404);
    }
    let posted = request(server.port, "POST", &feed, &[], b"").await;
    assert_eq!((posted.status, posted.header("allow")), (405, "GET, HEAD"));
    // Nobody without a UUID has bookings.
    let answer = ask(&server, "GET", "/people/somebody/calendar", &[], b"").await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let sql = "SELECT NOT EXISTS (SELECT FROM booking_automation_preferences)";
    assert!(
        app.one(sql, &[]).await.get::<_, bool>(0),
        "a visit writes nothing"
    );
}

#[tokio::test]
async fn without_a_base_of_links_there_are_no_feeds() {
    let mut app = App::new().await;
    let server = serve(&mut app).await;
    let path = format!("/people/{}/calendar", app.customer);
    let answer = ask(&server, "GET", &path, &[], b"").await;
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.body.contains("LINK_BASE_URL"), "{}", answer.body);
    assert_eq!(fetch(&server, "/calendar/x.ics").await.status, 404);
}
