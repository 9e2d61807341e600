//! Signed links: one-click unsubscribing, and the page where people choose their messages.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, hours, minutes, noon, skipped};
use crate::attendance::{asking, attend, attend_path, cancel_path, terms};
use crate::client::{Answer, Header, request};
use crate::cluster::faketime_library;
use crate::http::{SERVE, Server};
use crate::lambda::{app_with_secrets, function_url_request};
use crate::languages::read_languages;
use crate::notices::{set_start, set_status, with_rules};
use crate::others::find;
use crate::proxy::{Cut, Proxy};
use crate::runtime_api::Instance;
use crate::ses::Mail;
use crate::status::{ask, support};

/// The function's address. Requests go to its own port, with the path alone.
pub const BASE: &str = "https://links.example/bookings";
const ONE_CLICK: &[u8] = b"List-Unsubscribe=One-Click";
const URLENCODED: Header<'static> = ("Content-Type", b"application/x-www-form-urlencoded");

/// An app whose messages have links.
pub async fn app_with_links() -> App {
    let mut app = App::new().await;
    app.env.insert("LINK_BASE_URL", format!("{BASE}/"));
    app
}

/// Sends a reminder.
pub async fn reminder(app: &App) -> Mail {
    app.confirmed(noon() + hours(24)).await;
    let summary = app.run(noon()).await;
    assert_eq!(summary["reminders"]["sent"], 1, "{summary}");
    app.ses.mails().pop().unwrap()
}

/// The path of the link in a mail's header.
pub fn path_of(mail: &Mail) -> String {
    let header = mail.header("List-Unsubscribe");
    let url = header.strip_prefix('<').and_then(|it| it.strip_suffix('>'));
    let path = url.and_then(|url| url.strip_prefix(BASE));
    path.unwrap_or_else(|| panic!("{header:?}")).to_owned()
}

pub async fn serve(app: &App) -> Server {
    Server::start(app, &["--as-of", &noon().to_rfc3339()]).await
}

pub async fn get(server: &Server, path: &str) -> Answer {
    request(server.port, "GET", path, &[], b"").await
}

pub async fn post(server: &Server, path: &str, body: &str) -> Answer {
    request(server.port, "POST", path, &[URLENCODED], body.as_bytes()).await
}

/// What people have opted out of: `person kind`, by their names in the tests.
async fn opt_outs(app: &App) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', replace(replace(person_id, $1::uuid::text, 'customer'), $2::uuid::text, 'provider'), kind)
                 FROM booking_automation_opt_outs ORDER BY 1";
    app.column(sql, &[&app.customer, &app.provider]).await
}

/// Whether nobody has chosen anything.
async fn is_unchanged(app: &App) -> bool {
    let sql = "SELECT NOT EXISTS (SELECT FROM booking_automation_opt_outs)
                  AND NOT EXISTS (SELECT FROM booking_automation_preferences)";
    app.one(sql, &[]).await.get(0)
}

pub fn assert_page(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("set-cookie", ""),
        ("location", ""),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let policy = answer.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(!answer.body.contains("<script"), "{}", answer.body);
}

#[tokio::test]
async fn each_mail_has_a_link_that_unsubscribes_in_one_line() {
    let app = app_with_links().await;
    let mail = reminder(&app).await;
    let header = mail.header("List-Unsubscribe");
    assert!(
        header.starts_with("<https://links.example/bookings/p/"),
        "{header}"
    );
    assert!(header.len() < 150 && header.bytes().all(|byte| byte.is_ascii_graphic()));
    assert_eq!(
        mail.header("List-Unsubscribe-Post"),
        "List-Unsubscribe=One-Click"
    );
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    let link = header.trim_matches(['<', '>']);
    let line = format!("Choose which messages you get: {link}");
    assert!(mail.text().contains(&line), "{}", mail.text());
    assert!(
        mail.html().contains(&format!("<a href=\"{link}\"")),
        "{}",
        mail.html()
    );
}

#[tokio::test]
async fn a_link_leaves_the_kind_of_its_own_mail() {
    let app = app_with_links().await;
    let sql = "UPDATE booking_automation_notice_rules
                  SET active = true, effective_from = '2020-01-01' WHERE audience = 'customer'";
    app.sql(sql, &[]).await;
    let id = app.booking("confirmed", noon() + hours(48)).await;
    app.run(noon()).await;
    app.sql(
        "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
        &[&id, &(noon() + hours(50))],
    )
    .await;
    app.run(noon() + minutes(1)).await;
    app.sql("UPDATE bookings SET status = 'cancelled'", &[])
        .await;
    app.run(noon() + minutes(2)).await;
    let server = serve(&app).await;
    assert_eq!(app.ses.mails().len(), 3);
    for (mail, kind) in app
        .ses
        .mails()
        .iter()
        .zip(["confirmed", "rescheduled", "cancelled"])
    {
        assert_page(
            &post(&server, &path_of(mail), "List-Unsubscribe=One-Click").await,
            200,
        );
        assert_eq!(opt_outs(&app).await, [format!("customer {kind}")]);
        app.sql("DELETE FROM booking_automation_opt_outs", &[])
            .await;
    }
}

/// Makes a booking, and brings about what a notice of this kind tells of; returns the booking. No
/// other notice tells of it.
async fn booking_told_of(app: &App, kind: &str) -> Uuid {
    let ahead = noon() + hours(48);
    let id = match kind {
        "confirmed" => app.booking("pending", ahead).await,
        // It was confirmed before the rules took effect.
        "rescheduled" | "cancelled" => app.confirmed(ahead).await,
        _ => app.booking("in_progress", noon() - hours(1)).await,
    };
    match kind {
        "rescheduled" => set_start(app, id, ahead + hours(2)).await,
        "follow-up" => set_status(app, id, "completed").await,
        status => set_status(app, id, status).await,
    }
    id
}

#[tokio::test]
async fn each_kind_of_notice_stops_for_whoever_left_it() {
    const KINDS: [&str; 5] = [
        "confirmed",
        "rescheduled",
        "cancelled",
        "expired",
        "follow-up",
    ];
    let mut app = with_rules(&KINDS).await;
    app.env.insert("LINK_BASE_URL", BASE.to_owned());
    app.sql(
        "UPDATE booking_automation_notice_rules SET delay = '0'",
        &[],
    )
    .await;
    let told = "SELECT concat_ws(' ', rule, status, reason) FROM booking_automation_events
                 WHERE event_type = 'notification_sent' AND booking_id = $1 ORDER BY seq";
    let server = serve(&app).await;
    for kind in KINDS {
        // The person has left all other kinds, and gets this one.
        for other in KINDS.into_iter().filter(|other| *other != kind) {
            let out = "INSERT INTO booking_automation_opt_outs (person_id, kind) VALUES ($1, $2)";
            app.sql(out, &[&app.customer.to_string(), &other]).await;
        }
        let id = booking_told_of(&app, kind).await;
        app.run(noon()).await;
        assert_eq!(
            app.column(told, &[&id]).await,
            [format!("{kind} completed")]
        );
        let take_up_again = "DELETE FROM booking_automation_opt_outs";
        app.sql(take_up_again, &[]).await;
        // By the link in that mail, they leave this one alone.
        let path = path_of(app.ses.mails().last().unwrap());
        assert_page(
            &post(&server, &path, "List-Unsubscribe=One-Click").await,
            200,
        );
        assert_eq!(opt_outs(&app).await, [format!("customer {kind}")]);
        app.ses.clear();
        let id = booking_told_of(&app, kind).await;
        app.run(noon()).await;
        assert_eq!(
            app.column(told, &[&id]).await,
            [format!("{kind} skipped opted_out")]
        );
        assert_eq!(app.ses.mails().len(), 0, "{kind}");
        app.sql(take_up_again, &[]).await;
    }
}

#[tokio::test]
async fn a_mail_readers_one_click_leaves_that_kind_alone() {
    let app = app_with_links().await;
    app.sql(
        "UPDATE booking_automation_notice_rules SET active = true, effective_from = '2020-01-01' WHERE name = 'cancelled'",
        &[],
    )
    .await;
    let path = path_of(&reminder(&app).await);
    let server = serve(&app).await;
    let multipart = "--frontier\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--frontier--\r\n";
    let bodies: [(&[u8], &[u8]); 2] = [
        (b"application/x-www-form-urlencoded", ONE_CLICK),
        (
            b"multipart/form-data; boundary=frontier",
            multipart.as_bytes(),
        ),
    ];
    for (kind, body) in bodies {
        // Twice: it is reusable.
        for _ in 0..2 {
            let answer = request(server.port, "POST", &path, &[("Content-Type", kind)], body).await;
            assert_page(&answer, 200);
            assert!(
                answer
                    .body
                    .contains("You will no longer get these messages: Reminders")
            );
            assert_eq!(opt_outs(&app).await, ["customer reminder"]);
        }
        app.sql("DELETE FROM booking_automation_opt_outs", &[])
            .await;
    }
    post(&server, &path, "List-Unsubscribe=One-Click").await;
    // The customer gets no reminder, the provider does, and the customer gets the rest.
    app.sql("UPDATE reminder_rules SET active = (name = '24h')", &[])
        .await;
    app.sql(
        "INSERT INTO reminder_rules (name, audience, lead, effective_from) VALUES ('24h', 'provider', '24 hours', '2020-01-01')",
        &[],
    )
    .await;
    app.ses.clear();
    let id = app.confirmed(noon() + hours(24) + minutes(1)).await;
    app.run(noon() + minutes(2)).await;
    let mut told = app.reminders(id).await;
    told.sort();
    assert_eq!(told, ["24h completed", "24h skipped opted_out"]);
    app.sql(
        "UPDATE bookings SET status = 'cancelled' WHERE id = $1",
        &[&id],
    )
    .await;
    app.run(noon() + minutes(3)).await;
    let to: Vec<_> = app
        .ses
        .mails()
        .iter()
        .map(|mail| mail.to().to_owned())
        .collect();
    assert!(to.contains(&"carla@customers.example".to_owned()), "{to:?}");
    let sentence = app.call(&["events"]).await.stdout;
    assert!(sentence.contains("opted_out"), "{sentence}");
}

#[tokio::test]
async fn a_message_that_waits_is_not_sent_to_whoever_leaves_meanwhile() {
    let app = app_with_links().await;
    let path = path_of(&reminder(&app).await);
    // Throttled: it is tried again.
    app.ses
        .answer(|_| crate::ses::Answer::Error(429, "TooManyRequestsException", "slow down"));
    let id = app.confirmed(noon() + hours(24) + minutes(1)).await;
    app.run(noon() + minutes(2)).await;
    assert_eq!(app.reminders(id).await, ["24h pending throttled"]);
    let server = serve(&app).await;
    assert_page(
        &post(&server, &path, "List-Unsubscribe=One-Click").await,
        200,
    );
    app.ses.answer(|_| crate::ses::Answer::Sent);
    app.make_claimable().await;
    app.run(noon() + minutes(3)).await;
    assert_eq!(app.reminders(id).await, ["24h skipped opted_out"]);
}

#[tokio::test]
async fn a_scanner_that_follows_the_link_changes_nothing() {
    let app = app_with_links().await;
    let path = path_of(&reminder(&app).await);
    let server = serve(&app).await;
    for _ in 0..2 {
        let page = get(&server, &path).await;
        assert_page(&page, 200);
        assert_eq!(page.body.matches(" checked").count(), 7, "{}", page.body);
        assert!(
            page.body.contains("Unsubscribe: Reminders"),
            "{}",
            page.body
        );
        let head = request(server.port, "HEAD", &path, &[], b"").await;
        assert_page(&head, 200);
        assert_eq!(head.body, "");
    }
    for query in ["?List-Unsubscribe=One-Click", "?shown=reminder"] {
        assert_page(&get(&server, &format!("{path}{query}")).await, 200);
    }
    assert!(is_unchanged(&app).await);
}

#[tokio::test]
async fn what_a_page_does_not_understand_changes_nothing() {
    let app = app_with_links().await;
    let path = path_of(&reminder(&app).await);
    let server = serve(&app).await;
    for body in [
        "",
        "List-Unsubscribe=Yes",
        "wants-reminder=yes",
        "shown=nothing",
        "\u{0}=&&",
    ] {
        let answer = post(&server, &path, body).await;
        assert_page(&answer, 400);
        assert!(
            answer.body.contains("Nothing was changed"),
            "{}",
            answer.body
        );
    }
    let large = "x".repeat(65_537);
    assert_eq!(post(&server, &path, &large).await.status, 413);
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = request(server.port, method, &path, &[], ONE_CLICK).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, "GET, HEAD, POST")
        );
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
    }
    assert!(is_unchanged(&app).await);
}

#[tokio::test]
async fn people_choose_kinds_and_language_on_their_page() {
    let app = app_with_links().await;
    let path = path_of(&reminder(&app).await);
    let server = serve(&app).await;
    let kinds = [
        "reminder",
        "confirmed",
        "rescheduled",
        "cancelled",
        "expired",
        "follow-up",
    ];
    let shown = kinds.join("+");
    let choice = format!(
        "language-shown=en&language=de&wants-reminder=yes&wants-cancelled=yes&shown={shown}"
    );
    let page = post(&server, &path, &choice).await;
    assert_page(&page, 200);
    let boxes = page.body.matches("name=\"wants-").count();
    assert_eq!(boxes, 7, "a grouped reminder is a reminder: {}", page.body);
    assert!(
        page.body.contains("Ihre Auswahl ist gespeichert."),
        "{}",
        page.body
    );
    assert!(
        page.body.contains("<html lang=\"de\" dir=\"ltr\">"),
        "{}",
        page.body
    );
    let unwanted = ["confirmed", "expired", "follow-up", "rescheduled"];
    let expected = unwanted.map(|kind| format!("customer {kind}"));
    assert_eq!(opt_outs(&app).await, expected);
    // The next message is in that language. A kind that a page does not show stays as it is.
    app.confirmed(noon() + hours(24) + minutes(1)).await;
    app.run(noon() + minutes(2)).await;
    let mails = app.ses.mails();
    let subject = mails.last().unwrap().subject();
    assert!(subject.starts_with("Erinnerung: "), "{subject}");
    let page = post(&server, &path, "shown=expired+reminder&wants-expired=yes").await;
    assert_eq!(page.body.matches(" checked").count(), 3, "{}", page.body);
    let expected = ["confirmed", "follow-up", "reminder", "rescheduled"];
    assert_eq!(
        opt_outs(&app).await,
        expected.map(|kind| format!("customer {kind}"))
    );
    // The language that a form shows is no choice.
    let own = "SELECT coalesce(language, '-') FROM booking_automation_preferences";
    assert_eq!(app.column(own, &[]).await, ["de"]);
    let page = post(
        &server,
        &path,
        "shown=expired&language-shown=fr&language=fr",
    )
    .await;
    assert_page(&page, 200);
    assert_eq!(app.column(own, &[]).await, ["de"]);
}

/// The id of the key that signed a link.
fn key_of(path: &str) -> Vec<u8> {
    let token = path.strip_prefix("/p/").unwrap();
    BASE64_URL_SAFE_NO_PAD.decode(token).unwrap()[1..5].to_vec()
}

/// A token with another byte.
fn forged(path: &str, position: usize) -> String {
    let token = path.strip_prefix("/p/").unwrap();
    let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(token).unwrap();
    bytes[position] ^= 1;
    format!("/p/{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

#[tokio::test]
async fn forged_links_read_and_write_nothing() {
    let mut app = app_with_links().await;
    let path = path_of(&reminder(&app).await);
    let other = app_with_links().await;
    // The databases of the tests are copies of one.
    other
        .sql(
            "UPDATE booking_automation_link_keys SET secret = sha256('another')",
            &[],
        )
        .await;
    let of_another_database = path_of(&reminder(&other).await);
    let proxy = Proxy::start(&app.url, Cut::Never).await;
    app.env.insert("DATABASE_URL", proxy.url.clone());
    let server = serve(&app).await;
    // The keys are not known yet: one forged link makes the process read them, and many as well.
    for position in [1, 4] {
        assert_page(&get(&server, &forged(&path, position)).await, 404);
    }
    let connections = proxy.connections();
    assert_eq!(connections, 1);
    assert_page(&get(&server, &path).await, 200);
    let before = (proxy.connections(), proxy.round_trips());
    let length = BASE64_URL_SAFE_NO_PAD
        .decode(&path["/p/".len()..])
        .unwrap()
        .len();
    let mut links: Vec<_> = (0..length)
        .map(|position| forged(&path, position))
        .collect();
    links.extend([
        of_another_database,
        path[..path.len() - 1].to_owned(),
        format!("{path}A"),
        "/p/x".to_owned(),
        "/p/%00".to_owned(),
        "/p/%ff".to_owned(),
        format!("/p/{}", "A".repeat(5_000)),
        path.replace("/p/", "/p/../p/"),
    ]);
    for link in links {
        for method in ["GET", "POST"] {
            let answer = request(server.port, method, &link, &[URLENCODED], ONE_CLICK).await;
            assert_eq!(answer.status, 404, "{link}: {answer:?}");
        }
    }
    assert_eq!((proxy.connections(), proxy.round_trips()), before);
    assert!(is_unchanged(&app).await);
}

#[tokio::test]
async fn links_are_in_no_line_of_the_log() {
    let mut app = asking().await;
    app.env.insert("RUST_LOG", "trace".to_owned());
    let id = app.confirmed(noon() + hours(24)).await;
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    let mail = app.ses.mails().pop().unwrap();
    let path = path_of(&mail);
    let server = support(&mut app, noon()).await;
    assert_page(&get(&server, &path).await, 200);
    assert_page(
        &post(&server, &path, "List-Unsubscribe=One-Click").await,
        200,
    );
    assert_page(&get(&server, &forged(&path, 20)).await, 404);
    assert_eq!(get(&server, &format!("{path}/x")).await.status, 404);
    // The links about the booking, and the address of the person's calendar.
    assert_page(&attend(&server, &attend_path(&mail)).await, 200);
    let page = get(&server, &cancel_path(&mail)).await;
    assert_page(&page, 200);
    let cancelled = post(&server, &cancel_path(&mail), &terms(&page)).await;
    assert_page(&cancelled, 200);
    assert_eq!(app.status(id).await, "cancelled");
    let feed = format!("/people/{}/calendar", app.customer);
    let feed = ask(&server, "GET", &feed, &[], b"").await.json();
    let feed = feed["url"].as_str().unwrap().strip_prefix(BASE).unwrap();
    let answer = get(&server, feed).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/calendar; charset=utf-8")
    );
    // Whatever the link is for, and the method.
    let token = &path["/p/".len()..];
    let others = ["/a/{token}", "/a/{token}/cancel", "/calendar/{token}.ics"];
    for other in others.map(|other| other.replace("{token}", token)) {
        for method in ["GET", "POST", "PUT"] {
            let answer = request(server.port, method, &other, &[], b"").await;
            assert!(answer.status >= 400, "{other}: {answer:?}");
        }
    }
    let log = server.end().await;
    assert!(
        log.contains("not a link of this database"),
        "it logs: {log}"
    );
    for link in [path.as_str(), attend_path(&mail).as_str(), feed] {
        let token = &link.split('/').nth(2).unwrap()[..20];
        for log in [&log, &said.stderr] {
            assert!(!log.contains(token), "{link}: {log}");
        }
    }
}

#[tokio::test]
async fn keys_are_replaced_after_90_days_and_old_links_still_work() {
    let app = app_with_links().await;
    let first = path_of(&reminder(&app).await);
    let keys = "SELECT count(*)::text FROM booking_automation_link_keys";
    assert_eq!(app.column(keys, &[]).await, ["1"]);
    let age = "UPDATE booking_automation_link_keys SET created_at = now() - $1::text::interval";
    app.sql(age, &[&"91 days"]).await;
    app.confirmed(noon() + hours(24) + minutes(1)).await;
    app.run(noon() + minutes(2)).await;
    assert_eq!(app.column(keys, &[]).await, ["2"]);
    // It begins to sign after two minutes.
    assert_eq!(
        key_of(&path_of(app.ses.mails().last().unwrap())),
        key_of(&first)
    );
    let older =
        "UPDATE booking_automation_link_keys SET created_at = created_at - interval '3 minutes'";
    app.sql(older, &[]).await;
    app.confirmed(noon() + hours(24) + minutes(2)).await;
    app.run(noon() + minutes(2)).await;
    let second = path_of(app.ses.mails().last().unwrap());
    assert_ne!(key_of(&second), key_of(&first));
    // Another run does not.
    app.confirmed(noon() + hours(24) + minutes(3)).await;
    app.run(noon() + minutes(4)).await;
    assert_eq!(app.column(keys, &[]).await, ["2"]);
    let server = serve(&app).await;
    for path in [&first, &second] {
        assert_page(&get(&server, path).await, 200);
    }
    drop(server.end().await);
    // After three years, or when the owner deletes it, a key is gone, and its links with it.
    app.sql(age, &[&"4 years"]).await;
    app.confirmed(noon() + hours(24) + minutes(5)).await;
    app.run(noon() + minutes(6)).await;
    let third = path_of(app.ses.mails().last().unwrap());
    assert_eq!(app.column(keys, &[]).await, ["1"]);
    let server = serve(&app).await;
    assert_page(&get(&server, &third).await, 200);
    for path in [&first, &second] {
        assert_page(&get(&server, path).await, 404);
    }
}

/// The clock of one server. It is kept in a folder.
struct ServerClock(tempfile::TempDir);

impl ServerClock {
    fn file(&self) -> PathBuf {
        self.0.path().join("clock")
    }

    /// Sets it to so many seconds ahead of the true time.
    fn put_forward(&self, seconds: u32) {
        // Never empty for a reader.
        let new = self.0.path().join("new");
        std::fs::write(&new, format!("+{seconds}s\n")).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }
}

/// Starts a server whose clock the test sets; `None`, with a message, where libfaketime is not
/// installed.
async fn serve_with_clock(app: &App) -> Option<(ServerClock, Server)> {
    let library = faketime_library()?;
    let clock = ServerClock(tempfile::tempdir().unwrap());
    clock.put_forward(0);
    let as_of = noon().to_rfc3339();
    let arguments = [&SERVE[..], &["--as-of", as_of.as_str()][..]].concat();
    let mut command = app.command(&arguments);
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", clock.file())
        .env("FAKETIME_NO_CACHE", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    let server = Server::start_as(app, command).await;
    Some((clock, server))
}

#[tokio::test]
async fn a_process_trusts_a_deleted_key_for_an_hour_at_most() {
    let app = app_with_links().await;
    let path = path_of(&reminder(&app).await);
    let Some((clock, server)) = serve_with_clock(&app).await else {
        return;
    };
    assert_page(&get(&server, &path).await, 200);
    app.sql("DELETE FROM booking_automation_link_keys", &[])
        .await;
    clock.put_forward(3_500);
    assert_page(&get(&server, &path).await, 200);
    clock.put_forward(3_700);
    assert_page(&get(&server, &path).await, 404);
}

#[tokio::test]
async fn a_running_process_learns_a_new_key_within_a_minute() {
    let app = app_with_links().await;
    let first = path_of(&reminder(&app).await);
    // A key that is old enough to sign, and a mail that has a link by it.
    let new = "INSERT INTO booking_automation_link_keys (secret, created_at)
               VALUES (sha256('another'), now() - interval '3 minutes')";
    app.sql(new, &[]).await;
    app.confirmed(noon() + hours(24) + minutes(1)).await;
    app.run(noon() + minutes(2)).await;
    let second = path_of(app.ses.mails().last().unwrap());
    assert_ne!(key_of(&second), key_of(&first));
    let take = "CREATE TABLE taken AS SELECT * FROM booking_automation_link_keys WHERE secret = sha256('another');
                DELETE FROM booking_automation_link_keys WHERE secret = sha256('another')";
    app.db.batch_execute(take).await.unwrap();
    let Some((clock, server)) = serve_with_clock(&app).await else {
        return;
    };
    // It reads the keys.
    assert_page(&get(&server, &first).await, 200);
    let put_back =
        "INSERT INTO booking_automation_link_keys OVERRIDING SYSTEM VALUE SELECT * FROM taken";
    app.sql(put_back, &[]).await;
    // It has read the keys less than a minute ago, so it takes this link for a forged one.
    assert_page(&get(&server, &second).await, 404);
    assert_page(&get(&server, &first).await, 200);
    clock.put_forward(61);
    for path in [&second, &first] {
        assert_page(&get(&server, path).await, 200);
    }
}

#[tokio::test]
async fn without_keys_or_address_messages_go_out_without_links() {
    let mut app = app_with_links().await;
    let unread = "the keys of links could not be read";
    for (change, is_logged) in [
        (
            "DELETE FROM booking_automation_link_keys; REVOKE INSERT ON booking_automation_link_keys FROM booking_automation_pass",
            false,
        ),
        (
            "REVOKE SELECT ON booking_automation_link_keys FROM booking_automation_pass",
            true,
        ),
        ("DROP TABLE booking_automation_link_keys", false),
        // Before `migrate` of this release.
        (
            "DROP TABLE booking_automation_opt_outs, booking_automation_preferences, booking_automation_push_tokens, booking_automation_soft_bounces, booking_automation_sms_replies",
            false,
        ),
    ] {
        app.db.batch_execute(change).await.unwrap();
        app.confirmed(noon() + hours(24)).await;
        let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
        assert_eq!(said.summary()["reminders"]["sent"], 1, "{change}: {said:?}");
        let mail = app.ses.mails().pop().unwrap();
        assert_eq!(mail.header("List-Unsubscribe"), "", "{change}");
        assert!(!mail.text().contains("/p/"), "{change}: {}", mail.text());
        assert_eq!(
            said.stderr.contains(unread),
            is_logged,
            "{change}: {}",
            said.stderr
        );
    }
    let server = serve(&app).await;
    assert_page(
        &get(&server, "/p/AQAAAAFpAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await,
        404,
    );
    drop(server.end().await);

    app.env.remove("LINK_BASE_URL");
    let other = App::new().await;
    let mail = reminder(&other).await;
    assert_eq!(mail.header("List-Unsubscribe"), "");
    assert_eq!(mail.header("List-Unsubscribe-Post"), "");
    app.env
        .insert("DATABASE_URL", "postgres://nobody@127.0.0.1:1/x".to_owned());
    let server = serve(&app).await;
    let answer = get(&server, "/p/x").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (404, "application/problem+json")
    );
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_gets_a_page_in_plain_words() {
    let mut app = app_with_links().await;
    let path = path_of(&reminder(&app).await);
    app.env
        .insert("DATABASE_URL", "postgres://nobody@127.0.0.1:1/x".to_owned());
    let server = serve(&app).await;
    for _ in 0..2 {
        let answer = post(&server, &path, "List-Unsubscribe=One-Click").await;
        assert_page(&answer, 503);
        assert_eq!(answer.header("retry-after"), "60");
        assert!(
            answer.body.contains("Please try again in a minute."),
            "{}",
            answer.body
        );
    }
}

/// Replaces the contacts view by one with `person_id`.
pub async fn name_people(app: &App, expression: &str) {
    let sql = format!(
        "DO $$ DECLARE shipped text := rtrim(pg_get_viewdef('booking_automation_contacts'::regclass), ';'); BEGIN
             EXECUTE 'CREATE OR REPLACE VIEW booking_automation_contacts AS SELECT shipped.*, {expression} AS person_id FROM ('
                 || shipped || ') AS shipped';
         END $$"
    );
    app.db.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn the_view_may_name_people_itself() {
    // One person, whatever the form of a UUID; and a number.
    for (expression, name) in [
        ("lower(shipped.email)", Some("carla@customers.example")),
        (
            "''  A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11 ''::text",
            Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        ("42", Some("42")),
        ("repeat(''x'', 400)", Some("x")),
        // No name: the booking's customer.
        ("NULL::text", None),
        ("'' ''::text", None),
    ] {
        let app = app_with_links().await;
        name_people(&app, expression).await;
        let mail = reminder(&app).await;
        assert!(mail.header("List-Unsubscribe").len() < 995);
        let server = serve(&app).await;
        let page = post(&server, &path_of(&mail), "List-Unsubscribe=One-Click").await;
        assert_page(&page, 200);
        let stored = app
            .column("SELECT person_id FROM booking_automation_opt_outs", &[])
            .await;
        let customer = app.customer.to_string();
        let name = name.unwrap_or(&customer);
        assert!(
            stored.len() == 1 && stored[0].trim_matches('x') == name.trim_matches('x'),
            "{expression}: {stored:?}"
        );
        let id = app.confirmed(noon() + hours(24) + minutes(1)).await;
        app.run(noon() + minutes(2)).await;
        assert_eq!(
            app.reminders(id).await,
            ["24h skipped opted_out"],
            "{expression}"
        );
    }
    // Other names are nobody's.
    for expression in [
        "repeat(''x'', 100000)",
        "''Zoë''::text",
        "''a b''::text",
        "''.''::text",
    ] {
        let app = app_with_links().await;
        let out =
            "INSERT INTO booking_automation_opt_outs (person_id, kind) VALUES ($1, 'reminder')";
        for person in ["x".repeat(400), app.customer.to_string(), "Zoë".to_owned()] {
            app.sql(out, &[&person]).await;
        }
        name_people(&app, expression).await;
        assert_eq!(reminder(&app).await.header("List-Unsubscribe"), "");
    }
}

#[tokio::test]
async fn whoever_wants_no_confirmations_is_told_of_moves() {
    let app = app_with_links().await;
    app.sql(
        "UPDATE booking_automation_notice_rules SET active = true, effective_from = '2020-01-01'
          WHERE name IN ('confirmed', 'rescheduled') AND audience = 'customer'",
        &[],
    )
    .await;
    app.sql("UPDATE reminder_rules SET active = false", &[])
        .await;
    let out = "INSERT INTO booking_automation_opt_outs (person_id, kind) VALUES ($1, 'confirmed')";
    app.sql(out, &[&app.customer.to_string()]).await;
    let id = app.booking("confirmed", noon() + hours(48)).await;
    app.set_clock(noon() + minutes(1)).await;
    app.sql(
        "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
        &[&id, &(noon() + hours(50))],
    )
    .await;
    app.run(noon() + minutes(2)).await;
    let told = "SELECT concat_ws(' ', rule, status, reason) FROM booking_automation_events
                 WHERE event_type = 'notification_sent' ORDER BY rule";
    assert_eq!(
        app.column(told, &[]).await,
        ["confirmed skipped opted_out", "rescheduled completed"]
    );
}

#[tokio::test]
async fn one_person_cannot_keep_the_pages_busy() {
    let app = app_with_links().await;
    let path = path_of(&reminder(&app).await);
    let server = serve(&app).await;
    for _ in 0..30 {
        assert_page(&get(&server, &path).await, 200);
    }
    let answer = post(&server, &path, "List-Unsubscribe=One-Click").await;
    assert_page(&answer, 429);
    assert_eq!(answer.header("retry-after"), "60");
    assert!(is_unchanged(&app).await);
}

#[tokio::test]
async fn the_function_on_lambda_answers_links() {
    let mut app = app_with_secrets().await;
    app.env.insert("LINK_BASE_URL", BASE.to_owned());
    let path = path_of(&reminder(&app).await);
    let instance = Instance::start(&app).await;
    let head = [("content-type", "application/x-www-form-urlencoded")];
    let page = instance
        .invoke(&function_url_request("GET", &path, &[], ""))
        .await
        .unwrap();
    assert_eq!(page["statusCode"], 200, "{page}");
    assert!(
        page["body"].as_str().unwrap().contains("Your messages"),
        "{page}"
    );
    let mut event = function_url_request("POST", &path, &head, "List-Unsubscribe=One-Click");
    event["isBase64Encoded"] = json!(false);
    let answer = instance.invoke(&event).await.unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert_eq!(opt_outs(&app).await, ["customer reminder"]);
    let log = instance.kill().await;
    assert!(!log.contains(&path["/p/".len()..][..20]), "{log}");
}

/// What html-validate says of pages.
pub fn judge(pages: &[(String, String)]) {
    let Some(node) = find("node", &[]) else {
        return skipped("node is not installed");
    };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/target/judges-node");
    if !std::path::Path::new(folder)
        .join("node_modules/html-validate")
        .is_dir()
    {
        return skipped("html-validate is not installed (make judges)");
    }
    let mut child = Command::new(node)
        .args([
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/pages.mjs"),
            folder,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let asked: Vec<Value> = pages
        .iter()
        .map(|(name, html)| json!({"name": name, "html": html}))
        .collect();
    let mut input = child.stdin.take().unwrap();
    input
        .write_all(json!(asked).to_string().as_bytes())
        .unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

#[tokio::test]
async fn pages_are_in_the_language_of_the_mail_and_sound() {
    let mut app = app_with_links().await;
    app.env.insert(
        "MAIL_LOGO_URL",
        "https://studio.example/logo.png".to_owned(),
    );
    read_languages(&app).await;
    let mut pages = Vec::new();
    for (minute, (language, direction, title)) in [
        ("ar", "rtl", "رسائلك"),
        ("ja", "ltr", "メッセージの設定"),
        ("fr-CA", "ltr", "Vos messages"),
        ("xx", "ltr", "Your messages"),
    ]
    .into_iter()
    .enumerate()
    {
        let at = minutes(minute as i64);
        app.sql("UPDATE users SET speaks = $1", &[&language]).await;
        app.confirmed(noon() + hours(24) + at).await;
        app.run(noon() + at).await;
        let path = path_of(app.ses.mails().last().unwrap());
        let server = serve(&app).await;
        let page = get(&server, &path).await;
        assert_page(&page, 200);
        let tag = match language {
            "xx" => "en",
            _ => &language[..2],
        };
        assert!(
            page.body
                .contains(&format!("<html lang=\"{tag}\" dir=\"{direction}\">")),
            "{}",
            page.body
        );
        assert!(
            page.body.contains(&format!("<h1>{title}</h1>")),
            "{}",
            page.body
        );
        pages.push((language.to_owned(), page.body));
        let done = post(&server, &path, "List-Unsubscribe=One-Click").await;
        pages.push((format!("{language}, done"), done.body));
        let broken = get(&server, "/p/x").await;
        pages.push((format!("{language}, broken"), broken.body));
        app.sql("DELETE FROM booking_automation_opt_outs", &[])
            .await;
        if let Some(folder) = std::env::var_os("PAGES_FOLDER") {
            let folder = std::path::Path::new(&folder);
            for (name, html) in &pages {
                std::fs::write(folder.join(format!("{name}.html")), html).unwrap();
            }
        }
    }
    judge(&pages);
}
