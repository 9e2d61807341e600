//! The end of the day: a summary, and the files with what the program has recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use booking_automation::database::{Begin, Database};
use tokio_postgres::Row;

use crate::mailbox::Mail;

const STATUS_CHANGES: &str = "
    SELECT event_data->>'from' AS before, event_data->>'to' AS after,
           split_part(event_data->>'by', ':', 1) AS by, count(*)
      FROM public.booking_automation_events WHERE event_type = 'status_update'
     GROUP BY 1, 2, 3 ORDER BY count(*) DESC, 1, 2, 3";
const REMINDERS: &str = "
    SELECT rule, count(*),
           CASE status WHEN 'completed' THEN 'sent'
                ELSE concat_ws(': ', status, reason) END AS outcome
      FROM public.booking_automation_events WHERE event_type = 'reminder_sent' GROUP BY 1, 3";
const RULES: &str = "SELECT name FROM public.reminder_rules ORDER BY lead DESC";
const BOOKINGS: &str = "
    SELECT status AS name, count(*) FROM public.bookings GROUP BY 1 ORDER BY 2 DESC, 1";
const ANSWERS: &str = "
    SELECT count(*) FILTER (WHERE event_data->>'by' LIKE 'customer:%') AS cancelled,
           (SELECT count(*) FROM public.booking_automation_attendance) AS attend
      FROM public.booking_automation_events
     WHERE event_type = 'status_update' AND event_data->>'to' = 'cancelled'";
/// The files with rows of tables, as lines of JSON.
const FILES: [(&str, &str); 2] = [
    (
        "events.ndjson",
        "SELECT to_jsonb(e)::text AS line FROM public.booking_automation_events e ORDER BY seq",
    ),
    (
        "attendance.ndjson",
        "SELECT to_jsonb(a)::text AS line FROM public.booking_automation_attendance a
          ORDER BY answered_at",
    ),
];

/// The summary, read from the database; the messages are those of the mailbox.
pub async fn summary(database: &Database, mails: &[Mail]) -> anyhow::Result<String> {
    let (transaction, _) = database.begin(&Begin::default(), "").await?;
    let changes = transaction.query(STATUS_CHANGES, &[]).await?;
    let reminders = transaction.query(REMINDERS, &[]).await?;
    let rules = transaction.query(RULES, &[]).await?;
    let bookings = transaction.query(BOOKINGS, &[]).await?;
    let answers = transaction.query_one(ANSWERS, &[]).await?;
    transaction.rollback().await?;

    let mut text = String::from("Status changes\n");
    for row in &changes {
        let [from, to, by] = ["before", "after", "by"].map(|column| row.get::<_, &str>(column));
        let (change, by) = (format!("{from} → {to}"), format!("by {by}"));
        writeln!(
            text,
            "  {change:28}{by:24}{:>6}",
            row.get::<_, i64>("count")
        )?;
    }
    write_reminders(&mut text, &reminders, &rules)?;
    let count = |row: &Row| format!("{} {}", row.get::<_, i64>("count"), name(row));
    let bookings: Vec<_> = bookings.iter().map(count).collect();
    let [attend, cancelled] = ["attend", "cancelled"].map(|column| answers.get::<_, i64>(column));
    writeln!(text, "\n\nBookings now: {}", bookings.join(", "))?;
    writeln!(
        text,
        "Answers by links: {attend} will come, {cancelled} cannot\n"
    )?;
    let labels: Vec<_> = mails.iter().map(Mail::label).collect();
    let by_kind = counted(labels.iter().map(String::as_str));
    let languages = mails.iter().map(|mail| mail.language.as_str());
    let by_language = counted(languages.filter(|language| !language.is_empty()));
    writeln!(text, "Messages by kind: {by_kind}")?;
    writeln!(text, "Mails by language: {by_language}")?;
    Ok(text)
}

/// The table of reminders: a line for each outcome, a column for each rule.
fn write_reminders(text: &mut String, reminders: &[Row], rules: &[Row]) -> anyhow::Result<()> {
    write!(text, "\n{:30}", "Reminders")?;
    for rule in rules {
        write!(text, "{:>6}", name(rule))?;
    }
    let counts: BTreeMap<(&str, &str), i64> = reminders
        .iter()
        .map(|row| ((row.get("outcome"), row.get("rule")), row.get("count")))
        .collect();
    let outcomes: BTreeSet<&str> = counts.keys().map(|(outcome, _)| *outcome).collect();
    for outcome in outcomes {
        write!(text, "\n  {outcome:28}")?;
        for rule in rules {
            let count = counts.get(&(outcome, name(rule))).unwrap_or(&0);
            write!(text, "{count:>6}")?;
        }
        write!(text, "{}", why(outcome))?;
    }
    Ok(())
}

fn name(row: &Row) -> &str {
    row.get("name")
}

/// How often each name occurs, the most frequent first.
fn counted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_insert(0_usize) += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let counts = counts.iter().map(|(name, count)| format!("{count} {name}"));
    counts.collect::<Vec<_>>().join(", ")
}

/// What a reason means.
fn why(outcome: &str) -> &'static str {
    match outcome {
        "skipped: booked_late" => "   booked or moved too late for it",
        "skipped: no_address" => "   no address is known",
        "skipped: superseded" => "   one nearer to the start went out",
        _ => "",
    }
}

/// Writes what was recorded, a row a line, in chronological order.
pub async fn write_files(database: &Database, folder: &Path) -> anyhow::Result<()> {
    let (transaction, _) = database.begin(&Begin::default(), "").await?;
    for (file, sql) in FILES {
        let rows = transaction.query(sql, &[]).await?;
        let lines = rows.iter().map(|row| row.get::<_, &str>("line"));
        let lines: String = lines.flat_map(|line| [line, "\n"]).collect();
        std::fs::write(folder.join(file), lines)?;
    }
    transaction.rollback().await?;
    Ok(())
}
