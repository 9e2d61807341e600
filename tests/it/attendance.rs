//! Reminders that ask whether the customer will come, and the pages of both answers.

use serde_json::Value;
use uuid::Uuid;

use crate::app::{App, hours, minutes, noon};
use crate::client::{Answer, request};
use crate::http::Server;
use crate::languages::read_languages;
use crate::links::{BASE, app_with_links, assert_page, get, judge, path_of, post, serve};
use crate::ses::Mail;
use crate::status::{ask, support};

/// An app whose first reminder asks.
pub async fn asking() -> App {
    let app = app_with_links().await;
    let ask = "UPDATE reminder_rules SET asks_attendance = true WHERE name = '24h'";
    assert_eq!(app.sql(ask, &[]).await, 1);
    app
}

/// Sends a reminder of a booking that costs 80.01; returns the booking and the mail.
async fn reminder(app: &App) -> (Uuid, Mail) {
    let id = app.confirmed(noon() + hours(24)).await;
    let price = "UPDATE bookings SET total_price = 80.01 WHERE id = $1";
    app.sql(price, &[&id]).await;
    let summary = app.run(noon()).await;
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    (id, app.ses.mails().pop().unwrap())
}

/// The path of the page on which customers say that they will come.
pub fn attend_path(mail: &Mail) -> String {
    let mut paths = attend_paths(mail).into_iter();
    paths.next().unwrap_or_else(|| panic!("{}", mail.text()))
}

/// Those of all bookings of a mail, in their order.
fn attend_paths(mail: &Mail) -> Vec<String> {
    let base = format!("{BASE}/a/");
    let links = mail.text().split(&base).skip(1);
    links
        .map(|rest| format!("/a/{}", rest.split_whitespace().next().unwrap()))
        .filter(|path| !path.ends_with("/cancel"))
        .collect()
}

pub fn cancel_path(mail: &Mail) -> String {
    format!("{}/cancel", attend_path(mail))
}

/// What a page's form sends to cancel.
pub fn terms(page: &Answer) -> String {
    let (_, rest) = page
        .body
        .split_once("name=\"terms\" value=\"")
        .unwrap_or_else(|| panic!("{page:?}"));
    format!("terms={}", rest.split('"').next().unwrap())
}

/// What a page's form sends to say that they will come.
fn attending(page: &Answer) -> String {
    let (_, rest) = page
        .body
        .split_once("name=\"start\" value=\"")
        .unwrap_or_else(|| panic!("{page:?}"));
    let start = rest.split('"').next().unwrap();
    format!("start={start}&answer=attend")
}

/// Says so on the page.
pub async fn attend(server: &Server, path: &str) -> Answer {
    let page = get(server, path).await;
    post(server, path, &attending(&page)).await
}

async fn answers(app: &App) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', booking_id, replace(person_id, $1::uuid::text, 'customer'))
                 FROM booking_automation_attendance";
    app.column(sql, &[&app.customer]).await
}

#[tokio::test]
async fn reminders_of_rules_that_ask_have_two_buttons() {
    let app = asking().await;
    let (_, mail) = reminder(&app).await;
    let path = attend_path(&mail);
    let [yes, no] = [format!("{BASE}{path}"), format!("{BASE}{path}/cancel")];
    for (label, link) in [("I’ll be there", &yes), ("I can’t come", &no)] {
        assert!(
            mail.text().contains(&format!("{label}: {link}\n")),
            "{}",
            mail.text()
        );
        assert!(
            mail.html().contains(&format!("<a href=\"{link}\"")),
            "{}",
            mail.html()
        );
    }
    // Other rules, providers and notices do not ask.
    app.sql(
        "UPDATE reminder_rules SET effective_from = '2020-01-01', asks_attendance = (name = '1h')",
        &[],
    )
    .await;
    app.sql(
        "INSERT INTO reminder_rules (name, audience, lead, asks_attendance, effective_from) VALUES ('24h', 'provider', '24 hours', true, '2020-01-01')",
        &[],
    )
    .await;
    app.sql("UPDATE booking_automation_notice_rules SET active = true, effective_from = '2020-01-01' WHERE name = 'confirmed'", &[])
        .await;
    app.ses.clear();
    app.set_clock(noon()).await;
    app.booking("confirmed", noon() + hours(24)).await;
    app.confirmed(noon() + hours(24) + minutes(1)).await;
    app.run(noon() + minutes(1)).await;
    let mails = app.ses.mails();
    assert!(mails.len() >= 4, "{}", mails.len());
    for mail in mails {
        assert!(!mail.text().contains("/a/"), "{}", mail.text());
    }
}

#[tokio::test]
async fn rules_and_notices_with_the_name_of_one_that_asks_do_not_ask() {
    let app = asking().await;
    app.set_clock(noon() - hours(1000)).await;
    let rules = "UPDATE reminder_rules SET active = false;
                 INSERT INTO reminder_rules (name, audience, lead, asks_attendance)
                 VALUES ('day', 'customer', '24 hours', true), ('day', 'provider', '24 hours', false);
                 INSERT INTO booking_automation_notice_rules (name, on_event, active) VALUES ('day', 'confirmed', true)";
    app.db.batch_execute(rules).await.unwrap();
    app.set_clock(noon()).await;
    app.booking("confirmed", noon() + hours(24)).await;
    app.run(noon()).await;
    // The notice, and the reminders of both people.
    let mails = app.ses.mails();
    assert_eq!(mails.len(), 3);
    let asking = mails.iter().filter(|mail| mail.text().contains("/a/"));
    assert_eq!(asking.count(), 1);
}

#[tokio::test]
async fn a_customer_says_that_they_will_come() {
    let mut app = asking().await;
    let (id, mail) = reminder(&app).await;
    let path = attend_path(&mail);
    let server = support(&mut app, noon()).await;
    // A scanner follows both links.
    for path in [&path, &cancel_path(&mail)] {
        for method in ["GET", "HEAD"] {
            assert_page(&request(server.port, method, path, &[], b"").await, 200);
        }
    }
    assert!(answers(&app).await.is_empty());
    let question = get(&server, &path).await;
    for text in [
        "Will you be there?",
        "Massage",
        "Ringstraße",
        "Monday, March 2, 2026",
        "I’ll be there",
    ] {
        assert!(question.body.contains(text), "{text}: {}", question.body);
    }
    for body in ["", "answer=maybe", "terms=x"] {
        assert_page(&post(&server, &path, body).await, 400);
    }
    for _ in 0..2 {
        let answer = post(&server, &path, &attending(&question)).await;
        assert_page(&answer, 200);
        assert!(
            answer.body.contains("Thank you. See you then!"),
            "{}",
            answer.body
        );
        assert_eq!(answers(&app).await, [format!("{id} customer")]);
    }
    assert!(
        get(&server, &path)
            .await
            .body
            .contains("Thank you. See you then!")
    );
    let timeline = ask(
        &server,
        "GET",
        &format!("/bookings/{id}/timeline"),
        &[],
        b"",
    )
    .await
    .json();
    let happened = timeline["happened"].as_array().unwrap();
    let entry = happened
        .iter()
        .find(|entry| entry["kind"] == "attendance")
        .unwrap();
    assert_eq!(
        entry["text"], "The customer said that they will come at 2026-03-02T12:00:00Z.",
        "{timeline}"
    );
    // In their own language and time zone.
    let own = br#"{"language": "en-GB", "timezone": "Asia/Tokyo"}"#;
    let preferences = format!("/people/{}/preferences", app.customer);
    assert_eq!(
        ask(&server, "PUT", &preferences, &[], own).await.status,
        200
    );
    let page = get(&server, &path).await.body;
    assert!(page.contains("Japan Standard Time"), "{page}");
    // Nobody has said so of another time.
    app.sql(
        "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 hour' WHERE id = $1",
        &[&id],
    )
    .await;
    let page = get(&server, &path).await;
    assert!(!page.body.contains("Thank you"), "{}", page.body);
    assert_eq!(app.status(id).await, "confirmed");
}

#[tokio::test]
async fn a_customer_who_cannot_come_sees_the_refund_and_cancels() {
    let mut app = asking().await;
    app.sql("UPDATE booking_automation_notice_rules SET active = true, effective_from = '2020-01-01' WHERE name = 'cancelled'", &[])
        .await;
    let (id, mail) = reminder(&app).await;
    let path = cancel_path(&mail);
    let server = support(&mut app, noon()).await;
    let page = get(&server, &path).await;
    assert_page(&page, 200);
    for text in [
        "Cancel this booking?",
        "The full price of 80.01 will be refunded.",
        "Cancel the booking",
    ] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    for body in ["", "answer=attend"] {
        assert_page(&post(&server, &path, body).await, 400);
    }
    assert_eq!(app.status(id).await, "confirmed");
    let done = post(&server, &path, &terms(&page)).await;
    assert_page(&done, 200);
    assert!(
        done.body.contains("<h1>Your booking is canceled</h1>"),
        "{}",
        done.body
    );
    assert!(
        done.body
            .contains("The full price of 80.01 will be refunded."),
        "{}",
        done.body
    );
    assert_eq!(app.status(id).await, "cancelled");
    let sql = "SELECT event_data FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'status_update' ORDER BY seq DESC LIMIT 1";
    let data: Value = app.one(sql, &[&id]).await.get(0);
    assert_eq!(data["by"], format!("customer:{}", app.customer), "{data}");
    assert_eq!(data["refund"]["amount"], "80.01", "{data}");
    // Once more: it is over.
    for answer in [
        post(&server, &path, &terms(&page)).await,
        get(&server, &attend_path(&mail)).await,
    ] {
        assert_page(&answer, 404);
        assert!(
            answer.body.contains("This link is no longer valid"),
            "{}",
            answer.body
        );
    }
    app.run(noon() + minutes(1)).await;
    let told = app.ses.mails().pop().unwrap();
    assert!(told.text().contains("canceled"), "{}", told.text());
}

#[tokio::test]
async fn each_booking_of_a_grouped_reminder_is_answered_by_itself() {
    let app = asking().await;
    app.sql("UPDATE reminder_rules SET group_within = '12 hours'", &[])
        .await;
    let comes = app.confirmed(noon() + hours(24)).await;
    let cancels = app.confirmed(noon() + hours(25)).await;
    let summary = app.run(noon()).await;
    assert_eq!(summary["reminders"]["sent"], 2, "{summary}");
    let mails = app.ses.mails();
    let [mail] = &mails[..] else {
        panic!("{} mails", mails.len());
    };
    let paths = attend_paths(mail);
    let [first, second] = &paths[..] else {
        panic!("{}", mail.text());
    };
    assert_ne!(first, second);
    for path in [first, second] {
        let [yes, no] = [format!("{BASE}{path}"), format!("{BASE}{path}/cancel")];
        let pair = format!("I’ll be there: {yes}\nI can’t come: {no}\n");
        assert!(mail.text().contains(&pair), "{}", mail.text());
        for link in [yes, no] {
            let target = format!("<a href=\"{link}\"");
            assert_eq!(mail.html().matches(&target).count(), 1, "{}", mail.html());
        }
    }
    let server = serve(&app).await;
    let thanks = "Thank you. See you then!";
    let answer = attend(&server, first).await;
    assert_page(&answer, 200);
    assert!(answer.body.contains(thanks), "{}", answer.body);
    assert_eq!(answers(&app).await, [format!("{comes} customer")]);
    // Of the other one, nothing is said yet.
    let question = get(&server, second).await;
    assert_page(&question, 200);
    assert!(!question.body.contains(thanks), "{}", question.body);
    let cancel = format!("{second}/cancel");
    let page = get(&server, &cancel).await;
    assert_page(&post(&server, &cancel, &terms(&page)).await, 200);
    assert_eq!(app.status(cancels).await, "cancelled");
    assert_page(&get(&server, second).await, 404);
    // The first one stays as it was.
    assert_eq!(app.status(comes).await, "confirmed");
    assert_eq!(answers(&app).await, [format!("{comes} customer")]);
    let page = get(&server, first).await;
    assert_page(&page, 200);
    assert!(page.body.contains(thanks), "{}", page.body);
}

#[tokio::test]
async fn what_has_changed_is_shown_anew_and_nothing_is_cancelled() {
    let app = asking().await;
    let (id, mail) = reminder(&app).await;
    let path = cancel_path(&mail);
    let server = serve(&app).await;
    for change in [
        "UPDATE bookings SET total_price = 90 WHERE id = $1",
        "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 minute' WHERE id = $1",
        "UPDATE bookings SET total_price = NULL WHERE id = $1",
    ] {
        let before = terms(&get(&server, &path).await);
        app.sql(change, &[&id]).await;
        for old in [before.as_str(), "terms=", "terms=x"] {
            let page = post(&server, &path, old).await;
            assert_page(&page, 200);
            assert!(
                page.body.contains("The time or the refund has changed."),
                "{change}: {}",
                page.body
            );
            assert_eq!(app.status(id).await, "confirmed", "{change}");
            assert_ne!(terms(&page), before);
        }
    }
    // What is shown then is what is agreed to.
    let page = post(&server, &path, "terms=x").await;
    assert_page(&post(&server, &path, &terms(&page)).await, 200);
    assert_eq!(app.status(id).await, "cancelled");
}

#[tokio::test]
async fn nobody_comes_to_a_start_that_they_were_not_shown() {
    let app = asking().await;
    let (id, mail) = reminder(&app).await;
    let path = attend_path(&mail);
    let server = serve(&app).await;
    let before = attending(&get(&server, &path).await);
    let later = "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 hour' WHERE id = $1";
    app.sql(later, &[&id]).await;
    for old in [before.as_str(), "answer=attend", "answer=attend&start=x"] {
        let page = post(&server, &path, old).await;
        assert_page(&page, 200);
        assert!(
            page.body.contains("The time or the refund has changed."),
            "{}",
            page.body
        );
        assert!(answers(&app).await.is_empty());
        assert_ne!(attending(&page), before);
    }
    let page = post(&server, &path, &before).await;
    let answer = post(&server, &path, &attending(&page)).await;
    assert!(answer.body.contains("Thank you."), "{}", answer.body);
    assert_eq!(answers(&app).await, [format!("{id} customer")]);
}

#[tokio::test]
async fn an_answer_is_not_stored_while_the_booking_changes() {
    let app = asking().await;
    let (id, mail) = reminder(&app).await;
    let path = attend_path(&mail);
    let server = serve(&app).await;
    let form = attending(&get(&server, &path).await);
    app.db.batch_execute("BEGIN").await.unwrap();
    let later = "UPDATE bookings SET scheduled_at = scheduled_at + interval '1 hour' WHERE id = $1";
    app.sql(later, &[&id]).await;
    let answer = post(&server, &path, &form).await;
    assert_page(&answer, 503);
    assert_eq!(answer.header("retry-after"), "60");
    app.db.batch_execute("COMMIT").await.unwrap();
    assert!(answers(&app).await.is_empty());
    let page = post(&server, &path, &form).await;
    assert!(attending(&page) != form, "{}", page.body);
    assert!(answers(&app).await.is_empty());
}

#[tokio::test]
async fn a_cancellation_for_which_the_database_is_too_slow_can_be_tried_again() {
    for code in [
        "query_canceled",
        "lock_not_available",
        "undefined_table",
        "insufficient_privilege",
    ] {
        let app = asking().await;
        let (id, mail) = reminder(&app).await;
        app.db
            .batch_execute(&format!(
                "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$;
                 CREATE TRIGGER fail BEFORE UPDATE ON bookings FOR EACH ROW WHEN (NEW.status = 'cancelled') EXECUTE FUNCTION fail()",
            ))
            .await
            .unwrap();
        let server = serve(&app).await;
        let page = get(&server, &cancel_path(&mail)).await;
        let answer = post(&server, &cancel_path(&mail), &terms(&page)).await;
        assert_page(&answer, 503);
        assert_eq!(answer.header("retry-after"), "60", "{code}");
        assert_eq!(app.status(id).await, "confirmed");
    }
}

/// Whether both pages say that the link is over, and change nothing.
async fn assert_over(app: &App, server: &Server, mail: &Mail, why: &str) {
    for (path, body) in [
        (attend_path(mail), "answer=attend"),
        (cancel_path(mail), "terms=x"),
    ] {
        for answer in [get(server, &path).await, post(server, &path, body).await] {
            assert_page(&answer, 404);
            assert!(
                answer.body.contains("This link is no longer valid"),
                "{why}: {}",
                answer.body
            );
        }
    }
    assert!(answers(app).await.is_empty(), "{why}");
}

#[tokio::test]
async fn links_end_with_the_start_and_with_the_customer() {
    for change in [
        "UPDATE bookings SET status = 'cancelled'",
        "UPDATE bookings SET status = 'pending'",
        "UPDATE bookings SET customer_id = (SELECT id FROM users WHERE display_name = 'Petra Provider')",
        "UPDATE bookings SET scheduled_at = '2026-03-01T12:00:00Z'",
        "UPDATE bookings SET scheduled_at = NULL",
        "UPDATE bookings SET scheduled_at = 'infinity'",
        "DELETE FROM bookings",
    ] {
        let app = asking().await;
        let (_, mail) = reminder(&app).await;
        app.db
            .batch_execute("ALTER TABLE bookings ALTER scheduled_at DROP NOT NULL")
            .await
            .unwrap();
        let server = serve(&app).await;
        assert_page(&get(&server, &attend_path(&mail)).await, 200);
        app.sql(change, &[]).await;
        assert_over(&app, &server, &mail, change).await;
    }
    let app = asking().await;
    let (_, mail) = reminder(&app).await;
    let at_the_start = (noon() + hours(24)).to_rfc3339();
    let server = Server::start(&app, &["--as-of", &at_the_start]).await;
    assert_over(&app, &server, &mail, "the start").await;
    let server = Server::start(&app, &["--as-of", &(noon() + hours(23)).to_rfc3339()]).await;
    assert_page(&get(&server, &attend_path(&mail)).await, 200);
}

#[tokio::test]
async fn keys_that_cannot_be_read_are_an_error_of_the_log_once() {
    let mut app = asking().await;
    let (_, mail) = reminder(&app).await;
    app.env
        .insert("DATABASE_URL", "postgres://nobody@127.0.0.1:1/x".to_owned());
    let server = serve(&app).await;
    for _ in 0..10 {
        assert_page(&get(&server, &attend_path(&mail)).await, 503);
    }
    let log = server.end().await;
    let lines = |text: &str| log.matches(text).count();
    assert_eq!(lines("the keys of links could not be read: "), 1, "{log}");
    let refused = "refused a call: the keys of links could not be read a moment ago";
    assert_eq!(lines(refused), 5, "{log}");
}

#[tokio::test]
async fn a_page_is_about_its_own_booking_until_that_is_deleted() {
    let app = asking().await;
    app.sql("ALTER TABLE bookings ADD deleted_at timestamptz", &[])
        .await;
    let said = app.call(&["migrate"]).await;
    assert!(said.success, "{}", said.stderr);
    for days in [2, 3] {
        app.confirmed(noon() + hours(24 * days)).await;
    }
    let (id, mail) = reminder(&app).await;
    let server = serve(&app).await;
    let page = get(&server, &attend_path(&mail)).await;
    assert!(page.body.contains("Monday, March 2, 2026"), "{}", page.body);
    let sql = "UPDATE bookings SET deleted_at = now() WHERE id = $1";
    app.sql(sql, &[&id]).await;
    assert_over(&app, &server, &mail, "deleted").await;
}

#[tokio::test]
async fn a_link_is_for_its_own_page_alone() {
    let app = asking().await;
    let (_, mail) = reminder(&app).await;
    let server = serve(&app).await;
    let (own, attend) = (path_of(&mail), attend_path(&mail));
    for path in [
        own.replace("/p/", "/a/"),
        format!("{}/cancel", own.replace("/p/", "/a/")),
        attend.replace("/a/", "/p/"),
    ] {
        assert_page(&get(&server, &path).await, 404);
    }
}

#[tokio::test]
async fn a_booking_that_the_database_keeps_cannot_be_cancelled_here() {
    let app = asking().await;
    let (id, mail) = reminder(&app).await;
    app.db
        .batch_execute(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation'; END $$;
             CREATE TRIGGER keep BEFORE UPDATE ON bookings FOR EACH ROW WHEN (NEW.status = 'cancelled') EXECUTE FUNCTION keep()",
        )
        .await
        .unwrap();
    let server = serve(&app).await;
    let page = get(&server, &cancel_path(&mail)).await;
    let answer = post(&server, &cancel_path(&mail), &terms(&page)).await;
    assert_page(&answer, 409);
    assert!(
        answer.body.contains("This booking cannot be canceled here"),
        "{}",
        answer.body
    );
    assert_eq!(app.status(id).await, "confirmed");
}

#[tokio::test]
async fn answers_are_forgotten_with_the_person_and_deleted_with_old_events() {
    let mut app = asking().await;
    let (_, mail) = reminder(&app).await;
    let path = attend_path(&mail);
    let server = support(&mut app, noon()).await;
    assert_page(&attend(&server, &path).await, 200);
    ask(
        &server,
        "DELETE",
        &format!("/people/{}", app.customer),
        &[],
        b"",
    )
    .await;
    assert!(answers(&app).await.is_empty());
    assert_page(&post(&server, &path, "answer=attend").await, 404);
    assert!(answers(&app).await.is_empty());
    drop(server.end().await);

    let app = asking().await;
    let (_, mail) = reminder(&app).await;
    let server = serve(&app).await;
    assert_page(&attend(&server, &attend_path(&mail)).await, 200);
    app.run(noon() + hours(48)).await;
    assert_eq!(answers(&app).await.len(), 1);
    app.run(noon() + hours(24 * 800)).await;
    assert!(answers(&app).await.is_empty());
}

#[tokio::test]
async fn before_migrate_reminders_go_out_without_the_question() {
    let mut app = asking().await;
    app.db
        .batch_execute("ALTER TABLE reminder_rules DROP COLUMN asks_attendance; DROP TABLE booking_automation_attendance")
        .await
        .unwrap();
    let (id, mail) = reminder(&app).await;
    assert!(!mail.text().contains("/a/"), "{}", mail.text());
    let server = support(&mut app, noon()).await;
    let timeline = ask(
        &server,
        "GET",
        &format!("/bookings/{id}/timeline"),
        &[],
        b"",
    )
    .await;
    assert_eq!(timeline.status, 200, "{timeline:?}");
    let said = app
        .call(&["run", "--as-of", &(noon() + hours(24 * 800)).to_rfc3339()])
        .await;
    assert!(
        said.success && !said.stderr.contains("WARN"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn names_on_the_pages_are_text_and_cut() {
    let app = asking().await;
    let hostile = format!(
        "\"'><img src=x onerror=alert(1)> & {{ name }} \u{202e}{}",
        "x".repeat(10_000)
    );
    let names = "UPDATE users SET display_name = $1";
    app.sql(names, &[&hostile]).await;
    let titles = "UPDATE services SET title = $1";
    app.sql(titles, &[&hostile]).await;
    let id = app.confirmed(noon() + hours(24)).await;
    let place = "UPDATE bookings SET location = $2 WHERE id = $1";
    app.sql(place, &[&id, &hostile]).await;
    app.run(noon()).await;
    let mail = app.ses.mails().pop().unwrap();
    let server = serve(&app).await;
    let mut pages = Vec::new();
    for path in [attend_path(&mail), cancel_path(&mail)] {
        let page = get(&server, &path).await;
        assert_page(&page, 200);
        assert!(!page.body.contains("<img"), "{}", page.body);
        assert!(page.body.contains("&#60;img"), "{}", page.body);
        assert!(page.body.len() < 20_000, "{}", page.body.len());
        pages.push((path, page.body));
    }
    judge(&pages);
}

#[tokio::test]
async fn both_pages_are_sound_in_other_languages() {
    let app = asking().await;
    read_languages(&app).await;
    let mut pages = Vec::new();
    for (minute, language) in ["ar", "de", "ja"].into_iter().enumerate() {
        let at = minutes(minute as i64);
        app.sql("UPDATE users SET speaks = $1", &[&language]).await;
        app.confirmed(noon() + hours(24) + at).await;
        app.run(noon() + at).await;
        let mail = app.ses.mails().pop().unwrap();
        let server = serve(&app).await;
        for path in [attend_path(&mail), cancel_path(&mail)] {
            let page = get(&server, &path).await;
            assert_page(&page, 200);
            assert!(
                page.body.contains(&format!("<html lang=\"{language}\"")),
                "{}",
                page.body
            );
            pages.push((format!("{language} {}", path.len()), page.body));
        }
        let page = attend(&server, &attend_path(&mail)).await;
        pages.push((format!("{language}, answered"), page.body));
        let shown = terms(&get(&server, &cancel_path(&mail)).await);
        let page = post(&server, &cancel_path(&mail), &shown).await;
        assert_page(&page, 200);
        pages.push((format!("{language}, cancelled"), page.body));
    }
    if let Some(folder) = std::env::var_os("PAGES_FOLDER") {
        for (name, html) in &pages {
            std::fs::write(
                std::path::Path::new(&folder).join(format!("{name}.html")),
                html,
            )
            .unwrap();
        }
    }
    judge(&pages);
}
