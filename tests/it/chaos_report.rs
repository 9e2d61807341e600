//! The report of a run: its table and its violations.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::app::App;
use crate::chaos::{Length, World};
use crate::chaos_answers::Channel;
use crate::chaos_wire::{Action, Held, Point};

const GUESTS: &str =
    "SELECT coalesce(sum(requests), 0)::bigint FROM chaos_messages WHERE recipient <> ''";
const MOVED: &str =
    "SELECT count(*) FROM chaos_messages WHERE event_data ? 'chain' AND status = 'completed'";
const FOLLOWED: &str = "SELECT count(*) FROM chaos_messages WHERE follows AND status = 'completed'";
const TOLD: &str = "SELECT count(*) FROM chaos_told";
const NOTICES: &str = "SELECT count(*) FROM booking_automation_events WHERE event_type = 'notification_sent' AND status = 'completed'";
const OPTED_OUT: &str = "SELECT count(*) FROM booking_automation_events WHERE reason = 'opted_out'";

/// The restarts of the server.
#[derive(Clone, Copy, Default)]
pub struct Restarts {
    /// Fast shutdown: sessions were terminated.
    pub fast: u64,
    /// Immediate shutdown: a crash.
    pub immediate: u64,
}

/// A row of the table.
pub struct Row {
    what: String,
    count: String,
    /// Whether it is in the short table, too.
    important: bool,
}

/// An evaluated run.
pub struct Run<'a> {
    /// The database with the evaluation.
    pub app: &'a App,
    /// The state that all tasks shared.
    pub world: &'a World,
    /// When a pass had the lock.
    pub held: &'a [Held],
    /// The faults of connections and instances, except kills.
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

impl Row {
    /// A row for docs/generated/chaos.md and the README.
    fn important(what: &str, count: u64) -> Self {
        Self {
            what: what.to_owned(),
            count: count.to_string(),
            important: true,
        }
    }

    /// A row for docs/generated/chaos.md alone.
    fn detail(what: &str, count: u64) -> Self {
        Self {
            what: what.to_owned(),
            count: count.to_string(),
            important: false,
        }
    }
}

impl Run<'_> {
    async fn count(&self, sql: &str) -> u64 {
        u64::try_from(self.app.one(sql, &[]).await.get::<_, i64>(0)).unwrap()
    }

    /// The table.
    pub async fn report(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        self.report_faults(&mut rows);
        self.report_calls(&mut rows);
        self.report_mail(&mut rows);
        self.report_other_client(&mut rows);
        self.report_reminders(&mut rows).await;
        self.report_violations(&mut rows).await;
        rows
    }

    /// What was done to instances, the server and connections.
    fn report_faults(&self, rows: &mut Vec<Row>) {
        rows.push(Row::important("instances killed", self.world.killed()));
        for (point, count) in &*self.world.kills.lock().unwrap() {
            rows.push(Row::detail(&format!("– {}", point.name()), *count));
        }
        let restarts = self.restarts.fast + self.restarts.immediate;
        rows.push(Row::important(
            "PostgreSQL restarted (fast, immediate)",
            restarts,
        ));
        rows.push(Row::detail("– immediate", self.restarts.immediate));
        rows.push(Row::important("sessions terminated", self.terminated));
        let count = |is_it: fn(&Action) -> bool| {
            self.broken.iter().filter(|action| is_it(action)).count() as u64
        };
        rows.push(Row::important(
            "connections cut",
            count(|action| matches!(action, Action::Cut)),
        ));
        rows.push(Row::important(
            "connections half-opened",
            count(|action| matches!(action, Action::HalfOpen(_))),
        ));
        rows.push(Row::important(
            "instances suspended for longer than their leases",
            count(|action| matches!(action, Action::Stop(_))),
        ));
        let clocks = if self.clocks_off { 4 } else { 0 };
        rows.push(Row::important(
            "concurrent instances, of six, whose clock is wrong by ten minutes",
            clocks,
        ));
        let memory = self.world.memory.load(Ordering::SeqCst);
        rows.push(Row::important(
            "most memory of an instance, in MiB, with texts of megabytes",
            memory,
        ));
    }

    fn report_calls(&self, rows: &mut Vec<Row>) {
        for (what, count) in &*self.world.calls.lock().unwrap() {
            rows.push(Row::detail(&format!("calls {what}"), *count));
        }
        rows.push(Row::detail(
            "passes that held the lock",
            self.held.len() as u64,
        ));
    }

    fn report_mail(&self, rows: &mut Vec<Row>) {
        let answers = self.world.mail.answers();
        let faults: Vec<_> = answers
            .iter()
            .filter(|(name, _)| **name != "taken")
            .collect();
        rows.push(Row::important(
            "requests to SES, the SMS API and FCM",
            answers.values().sum(),
        ));
        rows.push(Row::important(
            "– with a wrong answer or none",
            faults.iter().map(|(_, count)| *count).sum(),
        ));
        rows.extend(
            faults
                .iter()
                .map(|(name, count)| Row::detail(&format!("– {name}"), **count)),
        );
        rows.push(Row::detail(
            "SES events and receipts of SMS delivered",
            self.world.told.load(Ordering::SeqCst),
        ));
        let requests = self.world.mail.requests();
        let grouped = requests.iter().filter(|it| it.bookings.len() > 1).count();
        rows.push(Row::important("mails for several bookings", grouped as u64));
        rows.push(Row::important(
            "messages accepted",
            self.world.mail.taken() as u64,
        ));
        for channel in Channel::ALL {
            rows.push(Row::important(
                &format!("– by {}", channel.as_str()),
                self.world.mail.taken_by(channel),
            ));
        }
        let calls = self.world.hooks.calls();
        let faults = calls.iter().filter(|call| call.answer != "taken").count();
        rows.push(Row::important("calls of webhooks", calls.len() as u64));
        rows.push(Row::important(
            "– with a wrong answer or none",
            faults as u64,
        ));
    }

    /// The other client's statements, and the calls over HTTP that are refused.
    fn report_other_client(&self, rows: &mut Vec<Row>) {
        let load = &self.world.load;
        rows.push(Row::important(
            "statements of the other client",
            load.statements.load(Ordering::SeqCst),
        ));
        let restarted = load.restarted.load(Ordering::SeqCst);
        rows.push(Row::detail(
            "– interrupted by a restart of the server (expected)",
            restarted,
        ));
        rows.push(Row::important(
            "– failed",
            load.failed.lock().unwrap().len() as u64,
        ));
        let longest = u64::try_from(load.longest.lock().unwrap().as_millis()).unwrap();
        rows.push(Row::detail("– longest, in milliseconds", longest));
        rows.push(Row::important("refused calls over HTTP", self.refused.0));
        rows.push(Row::important(
            "– that connected to the database",
            self.refused.1,
        ));
    }

    async fn report_reminders(&self, rows: &mut Vec<Row>) {
        for (what, sql) in [
            ("mails to guests", GUESTS),
            ("notices sent", NOTICES),
            ("messages sent by a later channel of their chain", MOVED),
            ("messages sent after one that came back", FOLLOWED),
            ("messages to webhooks", TOLD),
            ("messages not sent, since the person opted out", OPTED_OUT),
        ] {
            rows.push(Row::important(what, self.count(sql).await));
        }
        let bookings = "SELECT count(*) FROM chaos_changes WHERE operation = 'INSERT'";
        rows.push(Row::detail("bookings created", self.count(bookings).await));
        rows.push(Row::important(
            "reminders that came due",
            self.count("SELECT count(*) FROM chaos_owed").await,
        ));
        let ends = "SELECT coalesce(status || ': ' || CASE WHEN status IN ('failed', 'skipped') THEN reason END, status) AS what, count(*)
                      FROM chaos_judged WHERE lost IS NULL GROUP BY 1 ORDER BY 1";
        for ending in self.app.db.query(ends, &[]).await.unwrap() {
            let (what, count): (String, i64) = (ending.get(0), ending.get(1));
            let row = if what == "completed" {
                Row::important
            } else {
                Row::detail
            };
            rows.push(row(
                &format!("– {}", what.replace("completed", "sent")),
                u64::try_from(count).unwrap(),
            ));
        }
        let doubled = "SELECT coalesce(sum(taken - 1), 0)::bigint FROM chaos_reminders WHERE taken > 1 AND taken <= accounted";
        let refused = "SELECT count(*) FROM booking_automation_events
                        WHERE event_type = 'status_update' AND status = 'failed' AND next_attempt_at > executed_at";
        rows.push(Row::important(
            "status changes that a trigger refused, with any SQLSTATE",
            self.count(refused).await,
        ));
        let unread = "SELECT coalesce(sum((SELECT count(*) FROM jsonb_array_elements(event_data -> 'attempts') AS a WHERE a ->> 'outcome' = 'contacts')), 0)::bigint
                        FROM chaos_reminders";
        rows.push(Row::important(
            "attempts for which the view could not be read",
            self.count(unread).await,
        ));
        rows.push(Row::important(
            "messages sent twice, with a recorded unknown outcome",
            self.count(doubled).await,
        ));
    }

    async fn report_violations(&self, rows: &mut Vec<Row>) {
        let offences = async |condition: &str| {
            self.count(&format!(
                "SELECT count(*) FROM chaos_offences WHERE {condition}"
            ))
            .await
        };
        let two_channels = "what IN ('accepted by two channels', 'went on to another channel after an attempt that may have arrived')";
        let doubled = offences("what LIKE 'sent more often%'").await;
        rows.push(Row::important(
            "**messages sent twice without a record**",
            doubled,
        ));
        rows.push(Row::important(
            "**messages sent by two channels**",
            offences(two_channels).await,
        ));
        rows.push(Row::important(
            "messages to webhooks lost, or told twice without a record",
            offences("invariant = 'webhooks'").await,
        ));
        rows.push(Row::important(
            "**reminders lost**",
            offences("invariant = 'I1'").await,
        ));
        let not_due = offences("what LIKE 'sent when it was not%'").await;
        rows.push(Row::important(
            "messages sent when they were not due",
            not_due,
        ));
        let transitions = self.count("SELECT count(*) FROM chaos_transitions").await;
        rows.push(Row::important("status changes by the program", transitions));
        let forbidden = offences("invariant = 'I3'").await;
        rows.push(Row::important(
            "– forbidden, repeated, missing, or not audited",
            forbidden,
        ));
        rows.push(Row::important(
            "– of good bookings, later than the third pass",
            offences("invariant = 'late'").await,
        ));
        rows.push(Row::important(
            "overlapping passes",
            overlaps(self.held) as u64,
        ));
        rows.push(Row::important(
            "traces of failed passes",
            offences("invariant = 'I5'").await,
        ));
        rows.push(Row::detail(
            "wrong flags on bookings",
            offences("invariant = 'flags'").await,
        ));
        let stale = self.world.stale.load(Ordering::SeqCst);
        rows.push(Row::detail("stale outcomes, not recorded", stale));
        rows.push(Row::detail(
            "recorded runs",
            self.count("SELECT count(*) FROM automation_runs").await,
        ));
        rows.push(Row::detail("seconds", self.took.as_secs()));
    }

    /// Asserts I1 to I7, and that enough faults happened.
    pub async fn assert_no_violation(&self, length: &Length, report: &[Row]) {
        let table = text(report);
        let sql = "SELECT invariant || ': ' || what || ', ' || count(*) || ' times: ' || string_agg(detail, '; ' ORDER BY detail) FILTER (WHERE number <= 5)
                     FROM (SELECT *, row_number() OVER (PARTITION BY invariant, what ORDER BY detail) AS number FROM chaos_offences) AS o
                    GROUP BY invariant, what ORDER BY 1";
        let mut offences = self.app.column(sql, &[]).await;
        if overlaps(self.held) > 0 {
            offences.push(format!(
                "I4: passes overlapped, {} times",
                overlaps(self.held)
            ));
        }
        if self.refused.1 > 0 {
            offences.push(format!(
                "I6: refused calls made {} connections",
                self.refused.1
            ));
        }
        let heard = "SELECT count(DISTINCT (message_id, kind)) FROM booking_automation_feedback";
        let (heard, told) = (
            self.count(heard).await,
            self.world.mail.count_distinct_events(),
        );
        if heard != told {
            offences.push(format!(
                "events of SES and receipts: {told} told, {heard} on record"
            ));
        }
        let failed = self.world.load.failed.lock().unwrap().clone();
        offences.extend(failed.iter().take(5).map(|statement| {
            format!(
                "I7: a statement of the other client failed ({} in all): {statement}",
                failed.len()
            )
        }));
        let memory = self.world.memory.load(Ordering::SeqCst);
        if !(1..128).contains(&memory) {
            offences.push(format!("an instance had {memory} MiB of memory"));
        }
        offences.extend(self.world.misdeeds.lock().unwrap().iter().take(3).cloned());
        assert!(
            offences.is_empty(),
            "SEED={} KILLS={}\n{table}\n{}",
            length.seed,
            length.kills,
            offences.join("\n")
        );

        for point in Point::NAMED {
            let killed = self
                .world
                .kills
                .lock()
                .unwrap()
                .get(&point)
                .copied()
                .unwrap_or_default();
            assert!(
                killed > 0,
                "no instance was killed at this point: {}\n{table}",
                point.name()
            );
        }
        assert!(
            self.restarts.fast + self.restarts.immediate > 0 && !self.broken.is_empty(),
            "{table}"
        );
        assert!(
            self.count("SELECT count(*) FROM chaos_owed").await > 100 && self.refused.0 > 0,
            "{table}"
        );
        for what in [GUESTS, NOTICES, OPTED_OUT, MOVED, TOLD] {
            assert!(self.count(what).await > 10, "{what}\n{table}");
        }
        assert!(self.count(FOLLOWED).await > 0, "{table}");
        for channel in Channel::ALL {
            let taken = self.world.mail.taken_by(channel);
            assert!(taken > 10, "{}\n{table}", channel.as_str());
        }
        assert!(
            self.count("SELECT count(*) FROM chaos_transitions").await > 10,
            "{table}"
        );
    }
}

/// The table as plain text.
pub fn text(report: &[Row]) -> String {
    report
        .iter()
        .map(|row| format!("{:<60} {}\n", row.what, row.count))
        .collect()
}

/// Puts the tables between their marks: a short one in the README, the whole one in
/// docs/generated/chaos.md.
pub fn write(report: &[Row], length: &Length) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/generated/chaos.md");
    let mut text = std::fs::read_to_string(&path).unwrap();
    for (name, all) in [("short", false), ("whole", true)] {
        let (start, end) = (
            format!("<!-- chaos: {name} -->\n"),
            format!("<!-- /chaos: {name} -->"),
        );
        let (before, rest) = text.split_once(&start).unwrap();
        let (_, after) = rest.split_once(&end).unwrap();
        let rows: String = report
            .iter()
            .filter(|row| all || row.important)
            .map(|row| format!("| {} | {} |\n", row.what, row.count))
            .collect();
        let table = format!(
            "| `SEED={} KILLS={} make chaos` | |\n|---|---:|\n{rows}",
            length.seed, length.kills
        );
        text = format!("{before}{start}{table}{end}{after}");
    }
    std::fs::write(&path, text).unwrap();
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
