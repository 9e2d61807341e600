//! What is told of a run: its table, and what it is guilty of.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::app::App;
use crate::chaos::{Length, World};
use crate::chaos_wire::{Action, Held, Point};

/// What was done to the database, and how often.
#[derive(Clone, Copy, Default)]
pub struct Restarts {
    /// Sessions were told to end.
    pub fast: u64,
    /// They were not: a crash.
    pub immediate: u64,
}

/// A row of the table.
pub struct Row {
    what: String,
    count: String,
    /// Whether it is for the README, too.
    important: bool,
}

/// A run that is over, and was judged.
pub struct Run<'a> {
    /// Where the verdict is.
    pub app: &'a App,
    /// What was known to all.
    pub world: &'a World,
    /// When a pass had the lock.
    pub held: &'a [Held],
    /// What was done to connections and instances, but for killing them.
    pub broken: &'a [Action],
    /// What was done to the server.
    pub restarts: Restarts,
    /// Sessions that were ended.
    pub terminated: u64,
    /// Whether clocks were off.
    pub clocks_off: bool,
    /// Calls that were refused, and connections that they made.
    pub refused: (u64, u64),
    /// How long it went on.
    pub took: Duration,
}

impl Run<'_> {
    async fn count(&self, sql: &str) -> i64 {
        self.app.one(sql, &[]).await.get(0)
    }

    /// The table.
    pub async fn report(&self) -> Vec<Row> {
        let Self { world, .. } = self;
        let mut rows = Vec::new();
        let mut row = |what: &str, count: u64, important: bool| {
            rows.push(Row { what: what.to_owned(), count: count.to_string(), important });
        };
        let signed = |count: i64| u64::try_from(count).unwrap();
        row("instances killed", world.killed(), true);
        for (point, count) in &*world.kills.lock().unwrap() {
            row(&format!("– {}", point.name()), *count, false);
        }
        row("PostgreSQL restarted (fast, immediate)", self.restarts.fast + self.restarts.immediate, true);
        row("– immediate", self.restarts.immediate, false);
        row("sessions terminated", self.terminated, true);
        let count = |is_it: fn(&Action) -> bool| self.broken.iter().filter(|action| is_it(action)).count() as u64;
        row("connections cut", count(|action| matches!(action, Action::Cut)), true);
        row("connections half-opened", count(|action| matches!(action, Action::HalfOpen(_))), true);
        row(
            "instances stopped for longer than their claims last",
            count(|action| matches!(action, Action::Stop(_))),
            true,
        );
        row("instances at once whose clock is ten minutes off, of six", if self.clocks_off { 4 } else { 0 }, true);
        for (what, count) in &*world.calls.lock().unwrap() {
            row(&format!("calls {what}"), *count, false);
        }
        row("passes that held the lock", self.held.len() as u64, false);
        let answers = world.mail.answers();
        let faults: u64 = answers.iter().filter(|(name, _)| **name != "taken").map(|(_, count)| count).sum();
        row("requests to SES", answers.values().sum(), true);
        row("– answered wrongly, or not at all", faults, true);
        for (name, count) in answers.iter().filter(|(name, _)| **name != "taken") {
            row(&format!("– {name}"), *count, false);
        }
        row("events of SES told", world.told.load(Ordering::SeqCst), false);
        row("messages taken by SES", world.mail.taken() as u64, true);
        row("statements of the other client", world.load.statements.load(Ordering::SeqCst), true);
        row(
            "– broken off by a restart of the server, and so excused",
            world.load.restarted.load(Ordering::SeqCst),
            false,
        );
        row("– failed", world.load.failed.lock().unwrap().len() as u64, true);
        row(
            "– longest, in milliseconds",
            u64::try_from(world.load.longest.lock().unwrap().as_millis()).unwrap(),
            false,
        );
        row("refused calls over HTTP", self.refused.0, true);
        row("– that touched the database", self.refused.1, true);
        row(
            "bookings made",
            signed(self.count("SELECT count(*) FROM chaos_changes WHERE operation = 'INSERT'").await),
            false,
        );
        row("reminders owed", signed(self.count("SELECT count(*) FROM chaos_owed").await), true);
        let ends = "SELECT coalesce(status || ': ' || CASE WHEN status IN ('failed', 'skipped') THEN reason END, status) AS what, count(*)
                      FROM chaos_judged WHERE lost IS NULL GROUP BY 1 ORDER BY 1";
        for ending in self.app.db.query(ends, &[]).await.unwrap() {
            let what: String = ending.get(0);
            row(&format!("– {}", what.replace("completed", "sent")), signed(ending.get(1)), what == "completed");
        }
        let doubled =
            "SELECT coalesce(sum(taken - 1), 0)::bigint FROM chaos_reminders WHERE taken > 1 AND taken <= accounted";
        row("messages doubled, with a record of the doubt", signed(self.count(doubled).await), true);
        let offences = "SELECT count(*) FROM chaos_offences WHERE what LIKE ";
        let without = self.count(&format!("{offences} 'sent more often%'")).await;
        row("**messages doubled without a record**", signed(without), true);
        row(
            "**reminders lost**",
            signed(self.count("SELECT count(*) FROM chaos_offences WHERE invariant = 'I1'").await),
            true,
        );
        row(
            "messages sent when they were not due",
            signed(self.count(&format!("{offences} 'sent when it was not%'")).await),
            true,
        );
        row("status changes by the program", signed(self.count("SELECT count(*) FROM chaos_transitions").await), true);
        row(
            "– forbidden, twice, missing, or not audited",
            signed(self.count("SELECT count(*) FROM chaos_offences WHERE invariant = 'I3'").await),
            true,
        );
        row("passes that overlapped", overlaps(self.held) as u64, true);
        row(
            "traces of passes that failed",
            signed(self.count("SELECT count(*) FROM chaos_offences WHERE invariant = 'I5'").await),
            true,
        );
        row(
            "flags on bookings that are wrong",
            signed(self.count("SELECT count(*) FROM chaos_offences WHERE invariant = 'flags'").await),
            false,
        );
        row("outcomes that came too late, and were not recorded", world.stale.load(Ordering::SeqCst), false);
        row("rows of runs", signed(self.count("SELECT count(*) FROM automation_runs").await), false);
        row("seconds", self.took.as_secs(), false);
        rows
    }

    /// I1 to I7; and that there was chaos at all.
    pub async fn assert_no_violation(&self, length: &Length, report: &[Row]) {
        let table = text(report);
        let sql = "SELECT invariant || ': ' || what || ', ' || count(*) || ' times: ' || string_agg(detail, '; ' ORDER BY detail) FILTER (WHERE number <= 5)
                     FROM (SELECT *, row_number() OVER (PARTITION BY invariant, what ORDER BY detail) AS number FROM chaos_offences) AS o
                    GROUP BY invariant, what ORDER BY 1";
        let mut offences = self.app.column(sql, &[]).await;
        if overlaps(self.held) > 0 {
            offences.push(format!("I4: passes overlapped, {} times", overlaps(self.held)));
        }
        if self.refused.1 > 0 {
            offences.push(format!("I6: refused calls made {} connections", self.refused.1));
        }
        let heard = "SELECT count(DISTINCT (message_id, kind)) FROM booking_automation_feedback";
        let (heard, told) = (self.count(heard).await, self.world.mail.count_distinct_events());
        if heard != told {
            offences.push(format!("events of SES: {told} told, {heard} on record"));
        }
        let failed = self.world.load.failed.lock().unwrap().clone();
        offences.extend(failed.iter().take(5).map(|statement| {
            format!("I7: a statement of the other client failed ({} in all): {statement}", failed.len())
        }));
        offences.extend(self.world.misdeeds.lock().unwrap().iter().take(3).cloned());
        assert!(offences.is_empty(), "SEED={} KILLS={}\n{table}\n{}", length.seed, length.kills, offences.join("\n"));

        for point in Point::NAMED {
            let killed = self.world.kills.lock().unwrap().get(&point).copied().unwrap_or_default();
            assert!(killed > 0, "nobody was killed: {}\n{table}", point.name());
        }
        assert!(self.restarts.fast + self.restarts.immediate > 0 && !self.broken.is_empty(), "{table}");
        assert!(self.count("SELECT count(*) FROM chaos_owed").await > 100 && self.refused.0 > 0, "{table}");
        assert!(self.count("SELECT count(*) FROM chaos_transitions").await > 10, "{table}");
    }
}

/// The table as plain text.
pub fn text(report: &[Row]) -> String {
    report.iter().map(|row| format!("{:<60} {}\n", row.what, row.count)).collect()
}

/// Puts the tables between their marks: a short one in the README, the whole one in docs/TESTING.md.
pub fn write(report: &[Row], length: &Length) {
    for (file, all) in [("README.md", false), ("docs/TESTING.md", true)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let Some((before, rest)) = text.split_once("<!-- chaos -->\n") else { continue };
        let (_, after) = rest.split_once("<!-- /chaos -->").unwrap();
        let rows: String = report
            .iter()
            .filter(|row| all || row.important)
            .map(|row| format!("| {} | {} |\n", row.what, row.count))
            .collect();
        let table = format!("| `SEED={} KILLS={} make chaos` | |\n|---|---:|\n{rows}", length.seed, length.kills);
        std::fs::write(&path, format!("{before}<!-- chaos -->\n{table}<!-- /chaos -->{after}")).unwrap();
    }
}

/// How often two passes held the lock at once, as seen on the wire.
fn overlaps(held: &[Held]) -> usize {
    let mut held = held.to_vec();
    held.sort();
    let mut until = held[0].1;
    held[1..]
        .iter()
        .filter(|(from, to)| {
            let overlaps = *from < until;
            until = until.max(*to);
            overlaps
        })
        .count()
}
