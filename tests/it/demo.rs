//! `make demo` and its mails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::app::{App, hours, minutes, skipped};
use crate::others::find;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn mail_folder() -> PathBuf {
    root().join("target/demo-mails")
}

/// The output and the events of the demo. It runs once for all tests, up to its table.
async fn run_demo() -> &'static (String, Vec<Value>) {
    static DEMO: OnceCell<(String, Vec<Value>)> = OnceCell::const_new();
    DEMO.get_or_init(async || {
        let mut make = Command::new("make");
        // The variables that cargo sets for tests would make another cargo rebuild everything.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CARGO_PKG_")
                || name.to_string_lossy().starts_with("CARGO_MANIFEST_")
            {
                make.env_remove(name);
            }
        }
        let output = make
            .args(["-s", "demo"])
            .current_dir(root())
            .env("DEMO_EXIT", "1")
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let events = std::fs::read_to_string(mail_folder().join("events.ndjson")).unwrap();
        let events = events
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        (String::from_utf8(output.stdout).unwrap(), events)
    })
    .await
}

/// The label of a line and the numbers at its end.
fn parse_table_row(line: &str) -> (String, Vec<i64>) {
    // The explanation of a reason follows the numbers after three blanks.
    let line = line
        .trim_start()
        .rsplit_once("   ")
        .filter(|(_, last)| last.contains(' '))
        .map_or(line, |(row, _)| row);
    let mut label: Vec<_> = line.split_whitespace().collect();
    let mut numbers = Vec::new();
    while let Some(number) = label.last().and_then(|word| word.parse().ok()) {
        numbers.insert(0, number);
        label.pop();
    }
    (label.join(" "), numbers)
}

/// The table that the demo prints.
struct PrintedTable {
    /// How many events each line of the table counts.
    counts: BTreeMap<String, i64>,
    /// How many bookings have a status.
    bookings: BTreeMap<String, String>,
}

impl PrintedTable {
    fn parse(output: &str) -> Self {
        let (_, table) = output.split_once("Status changes\n").unwrap();
        let (changes, table) = table.split_once("\nReminders").unwrap();
        let (reminders, rest) = table.split_once("\n\nBookings now: ").unwrap();
        let (rules, reminders) = reminders.split_once('\n').unwrap();
        let rules: Vec<_> = rules.split_whitespace().collect();
        assert_eq!(rules, ["24h", "1h", "15m"]);

        let mut counts = BTreeMap::new();
        for (label, numbers) in changes.lines().map(parse_table_row) {
            counts.insert(label, numbers[0]);
        }
        for (outcome, numbers) in reminders.lines().map(parse_table_row) {
            for (rule, count) in rules.iter().zip(numbers).filter(|(_, count)| *count > 0) {
                counts.insert(format!("{rule} {outcome}"), count);
            }
        }
        let (bookings, _) = rest.split_once('\n').unwrap();
        let bookings = bookings.split(", ").filter_map(|part| part.split_once(' '));
        Self {
            counts,
            bookings: bookings
                .map(|(count, status)| (status.to_owned(), count.to_owned()))
                .collect(),
        }
    }

    /// The sum of all lines whose label contains a text.
    fn sum(&self, label: &str) -> i64 {
        self.counts
            .iter()
            .filter(|(key, _)| key.contains(label))
            .map(|(_, count)| count)
            .sum()
    }
}

/// The events, counted under the labels of the table.
fn count_events(events: &[Value]) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for event in events {
        let text = |pointer: &str| {
            event
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let label = match (text("/event_type"), text("/status")) {
            // The table has none of the moves, and of messages the reminders alone.
            ("rescheduled" | "notification_sent", _) => continue,
            ("status_update", _) => {
                format!(
                    "{} → {} by {}",
                    text("/event_data/from"),
                    text("/event_data/to"),
                    // Without the id of a person.
                    text("/event_data/by").split(':').next().unwrap()
                )
            }
            (_, "completed") => format!("{} sent", text("/rule")),
            (_, status) => format!("{} {status}: {}", text("/rule"), text("/reason")),
        };
        *counts.entry(label).or_insert(0_i64) += 1;
    }
    counts
}

/// The sum of one kind of change over the lines of all passes.
fn sum_of_passes(output: &str, kind: &str) -> i64 {
    let parts = output
        .lines()
        .filter_map(|line| line.split_once("  "))
        .flat_map(|(_, told)| told.split(", "));
    parts
        .filter_map(|part| part.strip_suffix(kind)?.trim().parse::<i64>().ok())
        .sum()
}

/// The messages of the lines of all passes, by kind. In such a line, two blanks follow the time.
fn messages_of_passes(output: &str) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    let told = output
        .lines()
        .filter_map(|line| line.split_once("messages: "));
    for (_, messages) in told.filter(|(before, _)| before.contains("  ")) {
        for message in messages.split(" + ") {
            let (count, kind) = message.split_once(' ').unwrap();
            *counts.entry(kind.to_owned()).or_insert(0) += count.parse::<i64>().unwrap();
        }
    }
    counts
}

/// The counts after a label, by name: `Messages by kind: 112 reminder, 7 digest`.
fn counts_of_line(output: &str, label: &str) -> BTreeMap<String, i64> {
    let line = output.lines().find_map(|line| line.strip_prefix(label));
    let counts = line.unwrap_or_else(|| panic!("{label}: {output}")).trim();
    counts
        .split(", ")
        .map(|part| {
            let (count, name) = part.split_once(' ').unwrap();
            (name.to_owned(), count.parse().unwrap())
        })
        .collect()
}

/// The channel by which a message went.
fn channel_used(event: &Value) -> &str {
    let chain = event["channel"].as_str().unwrap();
    let via = event["via"].as_str();
    via.unwrap_or_else(|| chain.split('>').next().unwrap())
}

/// The kinds of the messages that were sent, with the channel if it is not mail, by the names of
/// their files, as the events have them.
fn kinds_of_messages(events: &[Value]) -> BTreeMap<String, String> {
    let sent = events
        .iter()
        .filter(|event| event["status"] == "completed" && event["message_id"].is_string());
    let mut kinds = BTreeMap::new();
    for event in sent {
        let data = &event["event_data"];
        let kind = match (&event["event_type"], data["notice"]["on_event"].as_str()) {
            (kind, None) if kind == "reminder_sent" => "reminder",
            (_, None) => "digest",
            (_, Some("completed")) => "follow-up",
            (_, Some(on_event)) => on_event,
        };
        // Firebase's ids have a path before the name.
        let id = event["message_id"].as_str().unwrap();
        let name = id.rsplit('/').next().unwrap().to_owned();
        let kind = match (kinds.contains_key(&name), channel_used(event)) {
            // One mail for several bookings.
            (true, _) => "grouped-reminder".to_owned(),
            (false, "email") => kind.to_owned(),
            (false, channel) => format!("{kind} by {channel}"),
        };
        kinds.insert(name, kind);
    }
    kinds
}

#[tokio::test]
async fn the_summary_table_matches_the_events() {
    let (output, events) = run_demo().await;
    let table = PrintedTable::parse(output);
    assert_eq!(table.counts, count_events(events), "{output}");
    // The day shows each rule, each reason and each kind of change.
    for shown in [
        "24h sent",
        "1h sent",
        "15m sent",
        "1h skipped: booked_late",
        "1h skipped: superseded",
        "15m skipped: no_address",
        "confirmed → expired by booking-automation",
        "confirmed → cancelled by backend",
        "in_progress → completed by booking-automation",
    ] {
        assert!(table.counts.contains_key(shown), "{shown}: {output}");
    }

    // The lines of the passes and the bookings add up to the same numbers.
    let passes = |kind: &str| sum_of_passes(output, kind);
    assert_eq!(
        passes("started"),
        table.sum("confirmed → in_progress"),
        "{output}"
    );
    assert_eq!(
        passes("completed"),
        table.sum("in_progress → completed"),
        "{output}"
    );
    let skipped = events.iter().filter(|event| event["status"] == "skipped");
    assert_eq!(passes("not to be sent"), skipped.count() as i64, "{output}");
    let mut kinds = BTreeMap::new();
    for kind in kinds_of_messages(events).into_values() {
        *kinds.entry(kind).or_insert(0) += 1;
    }
    assert_eq!(messages_of_passes(output), kinds, "{output}");
    assert_eq!(
        counts_of_line(output, "Messages by kind:"),
        kinds,
        "{output}"
    );
    let completed = table.counts["in_progress → completed by booking-automation"].to_string();
    let bookings =
        ["completed", "pending", "expired", "cancelled"].map(|status| &table.bookings[status][..]);
    assert_eq!(bookings, [&completed, "1", "1", "4"], "{output}");
}

#[tokio::test]
async fn the_day_shows_five_languages_every_kind_of_mail_and_the_answers() {
    let (output, events) = run_demo().await;
    let languages = counts_of_line(output, "Mails by language:");
    for language in ["en", "de", "pt", "ja", "ar"] {
        assert!(languages.contains_key(language), "{language}: {output}");
    }
    let kinds = counts_of_line(output, "Messages by kind:");
    for kind in [
        "reminder",
        "grouped-reminder",
        "confirmed",
        "rescheduled",
        "cancelled",
        "follow-up",
        "digest",
    ] {
        assert!(kinds.contains_key(kind), "{kind}: {output}");
    }

    // One customer said by a link that they will come, another cancelled by one.
    let person = |number: u32| format!("00000000-0000-0000-0000-000000000{number}");
    let answers = std::fs::read_to_string(mail_folder().join("attendance.ndjson")).unwrap();
    let answers: Vec<Value> = answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0]["person_id"], person(113));
    let reminded = |event: &&Value| {
        event["booking_id"] == answers[0]["booking_id"]
            && event["starts_at"] == answers[0]["starts_at"]
            && event["rule"] == "24h"
            && event["status"] == "completed"
    };
    assert_eq!(events.iter().filter(reminded).count(), 1, "{answers:?}");
    let cancelled_by = |by: String| {
        let mut cancellations = events.iter().filter(|event| {
            event["event_type"] == "status_update"
                && event["event_data"]["to"] == "cancelled"
                && event["event_data"]["by"] == by
        });
        let cancellation = cancellations.next().unwrap_or_else(|| panic!("{by}"));
        let refund = &cancellation["event_data"]["refund"];
        (refund["percent"].clone(), refund["currency"].clone())
    };
    let customer = cancelled_by(format!("customer:{}", person(119)));
    assert_eq!(customer, ("50".into(), "EUR".into()));
    let provider = cancelled_by(format!("provider:{}", person(102)));
    assert_eq!(provider, ("100".into(), "EUR".into()));
    assert!(
        output.contains("Answers by links: 1 will come, 1 cannot\n"),
        "{output}"
    );
}

#[tokio::test]
async fn people_get_messages_by_the_first_channel_that_reaches_them() {
    run_demo().await;
    let index = std::fs::read_to_string(mail_folder().join("index.html")).unwrap();
    for (to, channel, not_by) in [
        // Without an address; with the app; and with an app that was removed.
        ("+431588580", "sms", "push: no_address"),
        ("otto-phone", "push", ""),
        ("+431588581", "sms", "push: no_device"),
    ] {
        let to = format!("<td>{to}</td>");
        // The first message: the latest ones come first.
        let row = index.lines().rfind(|line| line.contains(&to));
        let row = row.unwrap_or_else(|| panic!("nothing to {to}"));
        let kind = format!("<span>reminder by {channel}</span>");
        let not_by = format!("<td class=\"not-by\">{not_by}</td>");
        assert!(row.contains(&kind) && row.contains(&not_by), "{row}");
    }
}

#[tokio::test]
async fn every_sent_mail_is_in_the_list_of_messages_with_its_kind_and_language() {
    let (_, events) = run_demo().await;
    let all = kinds_of_messages(events);
    let is_mail = |(_, kind): &(&String, &String)| !kind.contains(" by ");
    let kinds: BTreeMap<_, _> = all.iter().filter(is_mail).collect();
    assert!(kinds.len() > 110, "{}", kinds.len());
    let files = |folder: PathBuf| -> BTreeSet<String> {
        let names = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap());
        names
            .filter_map(|name| name.strip_suffix(".html").map(str::to_owned))
            .filter(|name| name != "index")
            .collect()
    };
    let mails: BTreeSet<_> = kinds.keys().map(|name| (*name).clone()).collect();
    assert_eq!(mails, files(mail_folder()));
    let sent: BTreeSet<_> = all.keys().cloned().collect();
    assert_eq!(sent, files(mail_folder().join("text")));
    let index = std::fs::read_to_string(mail_folder().join("index.html")).unwrap();
    for (name, kind) in &kinds {
        let html = std::fs::read_to_string(mail_folder().join(format!("{name}.html"))).unwrap();
        let (_, language) = html.split_once("<html lang=\"").unwrap();
        let (language, _) = language.split_once('"').unwrap();
        let row = index
            .lines()
            .find(|line| line.contains(&format!("\"{name}.html\"")))
            .unwrap_or_else(|| panic!("{name} is not in the list"));
        for shown in [
            format!("<td class=\"kind\"><span>{kind}</span>"),
            format!("<td>{language}</td>"),
            format!("\"text/{name}.html\""),
            format!("\"{name}.eml\""),
        ] {
            assert!(row.contains(&shown), "{shown}: {row}");
        }
    }

    // Parsed as mail programs parse them.
    let Some(python) = find("python3", &[]) else {
        return skipped("python3 is not installed");
    };
    const READ: &str = "
import email, email.policy, glob, json, os, re, sys
kinds = json.loads(sys.argv[2])
starts = {'en': ('Reminder: ', 'Hello '), 'en-GB': ('Reminder: ', 'Hello '), 'de': ('Erinnerung: ', 'Guten Tag '),
          'fr': ('Rappel\\u00a0: ', 'Bonjour '), 'es': ('Recordatorio: ', 'Hola, '), 'ar': ('تذكير: ', 'مرحبًا '),
          'ja': ('リマインダー：', 'Aiko Tanaka 様'), 'pt': ('Lembrete: ', 'Olá, ')}
for name in sorted(glob.glob(sys.argv[1] + '/*.eml')):
    mail = email.message_from_binary_file(open(name, 'rb'), policy=email.policy.default)
    html = open(name.replace('.eml', '.html'), encoding='utf-8').read()
    language = re.search('<html lang=\"([^\"]+)\"', html).group(1)
    kind = kinds[os.path.basename(name)[:-4]]
    subject, hello = starts[language] if kind == 'reminder' else ('', '')
    assert not mail.defects and mail['To'] and mail['Subject'].startswith(subject), (name, mail.defects)
    assert mail['From'] == 'Studio Nord <booking@studio.example>', mail['From']
    # Line ends of text are CRLF in MIME.
    assert mail.get_body(('html',)).get_content().replace('\\r\\n', '\\n').strip() == html.strip(), name
    assert mail.get_body(('plain',)).get_content().startswith(hello), name
    print(mail['To'], kind)";
    let output = Command::new(python)
        .args(["-c", READ])
        .arg(mail_folder())
        .arg(serde_json::to_string(&kinds).unwrap())
        .output()
        .await
        .unwrap();
    let to = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        to.lines().count(),
        kinds.len(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Providers get digests and some notices, and no reminders.
    for (address, kind) in to.lines().filter_map(|line| line.split_once(' ')) {
        let expected = match kind {
            "reminder" | "grouped-reminder" => "@customers.example",
            "digest" => "@studio.example",
            _ => ".example",
        };
        assert!(address.ends_with(expected), "{kind} to {address}");
    }
}

/// Opens each mail in frames of the width of a phone and of a desktop, and lists what cannot be
/// read.
const LOOK: &str = r#"<!DOCTYPE html><html style="color-scheme: light dark"><body><pre id="said">not finished</pre><script>
const rgb = (color) => color.match(/[\d.]+/g).map(Number);
const light = (color) => rgb(color).slice(0, 3).map((c) => c / 255)
  .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
const wrong = [];
let texts = 0, dark = 0;
addEventListener("load", async () => {
  for (const mail of MAILS) for (const width of [320, 390, 1000]) {
    const frame = document.createElement("iframe");
    frame.style = `border: 0; width: ${width}px; height: 700px`;
    const loaded = new Promise((done) => frame.onload = done);
    frame.src = mail;
    document.body.append(frame);
    await loaded;
    const view = frame.contentWindow, page = frame.contentDocument, where = `${mail} at ${width}: `;
    dark += view.matchMedia("(prefers-color-scheme: dark)").matches;
    if (page.documentElement.scrollWidth > width) wrong.push(where + "wider than the screen");
    const walk = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
    // The preheader is there for lists of mails only.
    for (let node; node = walk.nextNode();) if (node.data.trim() && node.parentElement.checkVisibility()) {
      texts++;
      const style = view.getComputedStyle(node.parentElement);
      let behind = node.parentElement;
      while (behind && rgb(view.getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
      const ground = behind ? view.getComputedStyle(behind).backgroundColor : "rgb(255, 255, 255)";
      if (contrast(style.color, ground) < 4.5) wrong.push(where + `${style.color} on ${ground}: ${node.data}`);
      if (parseFloat(style.fontSize) < 14) wrong.push(where + `small: ${node.data}`);
    }
    frame.remove();
  }
  said.textContent = JSON.stringify({ texts, dark, wrong });
});
</script>"#;

#[tokio::test]
async fn mails_are_readable_on_phone_and_desktop_in_light_and_dark_mode() {
    let (_, events) = run_demo().await;
    let Some(chromium) = find("chromium", &[]) else {
        return skipped("chromium is not installed (make judges)");
    };
    let files: Vec<_> = events
        .iter()
        .filter(|event| event["message_id"].is_string() && channel_used(event) == "email")
        .filter_map(|event| event["message_id"].as_str())
        .map(|name| format!("file://{}/{name}.html", mail_folder().display()))
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let look = |files: &[String]| LOOK.replace("MAILS", &serde_json::to_string(files).unwrap());
    let page = directory.path().join("look.html");
    for (scheme, dark) in [("1", 0), ("0", files.len() * 3)] {
        std::fs::write(&page, look(&files)).unwrap();
        let said = open_in_chromium(&chromium, directory.path(), &page, scheme).await;
        assert_eq!(said["wrong"], Value::Array(Vec::new()), "{said}");
        assert!(
            said["texts"].as_u64().unwrap() as usize > files.len() * 3 * 5,
            "{said}"
        );
        assert_eq!(said["dark"], dark, "the browser shows it as asked: {said}");
    }
    // The check finds errors: a page with low contrast.
    let bad = directory.path().join("bad.html");
    std::fs::write(
        &bad,
        format!(
            "<body style='color:#999;background:#fff'>{}",
            "x".repeat(200)
        ),
    )
    .unwrap();
    std::fs::write(&page, look(&[format!("file://{}", bad.display())])).unwrap();
    let said = open_in_chromium(&chromium, directory.path(), &page, "1").await;
    assert_eq!(said["wrong"].as_array().unwrap().len(), 6, "{said}");
}

/// Opens the page in Chromium, in light (`"1"`) or dark (`"0"`) mode; returns the page's result.
async fn open_in_chromium(chromium: &Path, profile: &Path, page: &Path, scheme: &str) -> Value {
    let output = Command::new(chromium)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--allow-file-access-from-files",
        ])
        .args(["--virtual-time-budget=600000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .arg(format!("file://{}", page.display()))
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let dom = String::from_utf8(output.stdout).unwrap();
    let said = dom
        .split_once("<pre id=\"said\">")
        .and_then(|(_, rest)| rest.split_once("</pre>"))
        .map(|(said, _)| said);
    serde_json::from_str(said.unwrap_or_default())
        .unwrap_or_else(|_| panic!("{said:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn the_demo_continues_on_the_real_clock_and_its_curl_commands_work() {
    // The other tests use the folder of the first run.
    run_demo().await;
    let Some(_) = find("curl", &[]) else {
        return skipped("curl is not installed");
    };
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("target")).unwrap();
    let mut demo = Command::new(root().join("target/demo/debug/booking-automation-demo"))
        .current_dir(copy.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut pasted = String::new();
    let mut live = false;
    while !pasted.contains("webhook-signature") {
        let line = lines
            .next_line()
            .await
            .unwrap()
            .expect("it ended before it served");
        live |= line.contains("Ctrl-C ends it");
        if live && line.starts_with("  ") {
            pasted += &line;
            pasted.push('\n');
        }
    }
    let output = Command::new("sh")
        .args(["-e", "-c", &pasted])
        .output()
        .await
        .unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    let triggers: Vec<_> = ["bearer", "signature"]
        .into_iter()
        .filter(|trigger| {
            answers.contains(r#"{"outcome":"completed""#)
                && answers.contains(&format!(r#""trigger":"{trigger}""#))
        })
        .collect();
    assert_eq!(
        triggers,
        ["bearer", "signature"],
        "{pasted}{answers}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    crate::app::signal(&demo, "-INT");
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        last = line;
    }
    assert!(demo.wait().await.unwrap().success());
    assert!(last.starts_with("Ended; "), "{last}");
}

#[tokio::test]
async fn the_demo_day_has_all_bookings_at_every_start_time() {
    let app = App::new().await;
    app.sql("ALTER TABLE bookings DISABLE TRIGGER ALL", &[])
        .await;
    let statements: Vec<_> = include_str!("../../demo/src/day.sql")
        .split_inclusive(";\n")
        .collect();
    for statement in &statements[..4] {
        app.sql(statement, &[]).await;
    }
    let [usual, planned] = [statements[4], statements[5]];
    for season in [
        "2026-01-10T00:00:00Z",
        "2026-04-02T00:00:00Z",
        "2026-07-10T00:00:00Z",
        // The clocks are put back in Europe.
        "2026-10-24T00:00:00Z",
        "2026-10-28T00:00:00Z",
    ] {
        for hour in 0..24 {
            let start = season.parse::<DateTime<Utc>>().unwrap() + hours(hour);
            assert_eq!(app.sql(usual, &[&start]).await, 77, "{start}");
            assert_eq!(app.sql(planned, &[&start]).await, 7, "{start}");
            // Each customer's reminder of a day before is due early enough to be answered.
            let planned = "
                WITH gone AS (DELETE FROM bookings WHERE id::text LIKE '%-0000000003__' RETURNING *)
                SELECT min(scheduled_at) AS first,
                       max(scheduled_at) FILTER (WHERE id::text NOT SIMILAR TO '%30(2|3)') AS last,
                       count(DISTINCT (scheduled_at AT TIME ZONE 'Europe/Vienna')::date)
                         FILTER (WHERE id::text SIMILAR TO '%30(1|2|3)') AS days
                  FROM gone";
            let row = app.one(planned, &[]).await;
            let [first, last]: [DateTime<Utc>; 2] = ["first", "last"].map(|name| row.get(name));
            assert!(first >= start + hours(24), "{start}: {first}");
            assert!(last <= start + minutes(47 * 60 + 30), "{start}: {last}");
            assert_eq!(row.get::<_, i64>("days"), 1, "{start}");
        }
    }
    let asleep: i64 = app
        .one(
            "SELECT count(*) FROM bookings b JOIN users u ON u.id = b.customer_id
              WHERE u.email LIKE '%@customers.example' AND extract(hour FROM scheduled_at AT TIME ZONE coalesce(u.timezone, 'UTC')) < 7",
            &[],
        )
        .await
        .get(0);
    assert_eq!(asleep, 0);
}
