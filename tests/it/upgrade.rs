//! Upgrades of an installation: the previous release and this one work side by side, before, between and after the steps
//! of `migrate`, while the owners' programs write.
//!
//! A step of a migration expands the schema; the release after it contracts. These tests stop `migrate` after each step
//! and let both programs pass a simulated day there. In the end, every reminder was sent once and every change of a status
//! is in the trail. `scripts/previous-release` builds the previous program; without it, the tests skip themselves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use booking_automation::database::Database;
use booking_automation::database::migrate::{self, MigrateError};
use booking_automation::database::settings::DatabaseSettings;
use booking_automation::operations::check::finding::MigrateOptions;
use booking_automation::operations::migration::check_and_migrate;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::app::{App, CommandOutput, hours, minutes, skipped};

/// The owners' tables and rows.
const OWNERS_TABLES: &str = include_str!("theirs.sql");
/// Version and revision of the previous release.
const PREVIOUS_RELEASE: &str = include_str!("../previous-release");

/// The rules, by their leads, the shortest first.
const RULES: [(&str, TimeDelta); 3] = [
    ("15m", TimeDelta::minutes(15)),
    ("1h", TimeDelta::hours(1)),
    ("24h", TimeDelta::hours(24)),
];
/// Hours of a simulated day at which the previous program passes; this one passes three hours later.
const HOURS: [i64; 4] = [0, 6, 12, 18];
/// Sessions that write while the schema changes.
const WRITERS: usize = 2;

#[tokio::test]
async fn both_releases_pass_a_day_before_between_and_after_the_steps() {
    let Some(previous) = previous_program() else {
        return;
    };
    let mut studio = Studio::open(previous).await;
    studio.migrate_by_previous().await;
    studio.log_status_changes().await;
    studio.pass_day().await;
    let mut migration = Migration::start(&studio.app.url);
    while let Some(step) = migration.next_step().await {
        studio.moment = format!("after {step}");
        studio.pass_day().await;
        migration.go_on();
    }
    migration.end();
    studio.moment = "after the last step".to_owned();
    studio.pass_day().await;
    // An owner who goes back to the previous release may migrate with it, too.
    studio.migrate_by_previous().await;
    studio.pass_day().await;
    studio.close().await;
}

#[tokio::test]
async fn a_first_migration_stops_no_writer_and_nothing_passes_before_its_last_step() {
    let Some(previous) = previous_program() else {
        return;
    };
    let mut studio = Studio::open(previous).await;
    let mut migration = Migration::start(&studio.app.url);
    let mut steps = 0;
    while let Some(step) = migration.next_step().await {
        steps += 1;
        studio.moment = format!("after {step}");
        if !studio.can_pass().await {
            studio.assert_refuses(Release::Previous, studio.start).await;
            studio.assert_refuses(Release::This, studio.start).await;
        }
        studio.writers.assert_busy().await;
        migration.go_on();
    }
    migration.end();
    studio.moment = "after the last step".to_owned();
    assert!(steps > 20, "{steps} steps and indexes");
    studio.log_status_changes().await;
    studio.pass_day().await;
    studio.pass_day().await;
    studio.close().await;
}

/// The previous release's program, if it was built.
pub fn previous_program() -> Option<PathBuf> {
    let version = PREVIOUS_RELEASE
        .lines()
        .find_map(|line| line.strip_prefix("version="))
        .unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("target/previous/{version}/booking-automation"));
    if !program.is_file() {
        skipped(&format!(
            "upgrades from {version}: its program is not built (make previous)"
        ));
        return None;
    }
    Some(program)
}

/// Whose program passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Release {
    /// The one before.
    Previous,
    /// The one under test.
    This,
}

/// The owners' database, both programs, and what must come of it all.
struct Studio {
    app: App,
    previous: PathBuf,
    /// Names of the previous release's steps.
    previous_steps: BTreeSet<String>,
    writers: Writers,
    calendar: Calendar,
    /// The first simulated day. It lies ahead of the real clock, which the owners' sessions go by.
    start: DateTime<Utc>,
    days_passed: i64,
    /// Between which steps it is, for what a failed test says.
    moment: String,
    /// Where the trail ended when the owners began to log changes of statuses themselves.
    logged_since: i64,
}

impl Studio {
    /// The owners' tables, with bookings of the first two days, and writers at work. Nothing is migrated yet.
    async fn open(previous: PathBuf) -> Self {
        let mut app = App::empty().await;
        app.db.batch_execute(OWNERS_TABLES).await.unwrap();
        (app.customer, app.provider, app.service) = (
            Uuid::from_u128(0xc),
            Uuid::from_u128(0xd),
            Uuid::from_u128(0xe),
        );
        let mut studio = Self {
            previous_steps: steps_of(&previous).await,
            writers: Writers::start(&app).await,
            calendar: Calendar::default(),
            start: (Utc::now() + hours(2)).duration_trunc(hours(1)).unwrap(),
            days_passed: 0,
            moment: "before the steps".to_owned(),
            logged_since: 0,
            app,
            previous,
        };
        studio.book_day(0).await;
        studio.book_day(1).await;
        studio
    }

    async fn migrate_by_previous(&self) {
        let said = call(&self.app, Some(&self.previous), &["migrate"]).await;
        assert!(said.success, "{}", said.stderr);
    }

    /// From here on, the owners log each change of a status, to be compared with the trail.
    async fn log_status_changes(&mut self) {
        self.app
            .db
            .batch_execute(
                "BEGIN;
                 LOCK TABLE bookings IN SHARE ROW EXCLUSIVE MODE;
                 CREATE TABLE owners_log (booking_id uuid, old_status text, new_status text);
                 CREATE FUNCTION log_status() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
                     BEGIN INSERT INTO owners_log VALUES (NEW.id, OLD.status, NEW.status); RETURN NULL; END $$;
                 CREATE TRIGGER log_status AFTER UPDATE ON bookings FOR EACH ROW
                     WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION log_status()",
            )
            .await
            .unwrap();
        let end = "SELECT coalesce(max(seq), 0) FROM booking_automation_events WHERE event_type = 'status_update'";
        self.logged_since = self.app.one(end, &[]).await.get(0);
        self.app.db.batch_execute("COMMIT").await.unwrap();
    }

    /// One simulated day: both programs pass in turns, and the owners move and cancel bookings in between.
    async fn pass_day(&mut self) {
        self.writers.assert_busy().await;
        self.book_day(self.days_passed + 2).await;
        for hour in HOURS {
            let as_of = self.start + TimeDelta::days(self.days_passed) + hours(hour);
            self.pass(Release::Previous, as_of).await;
            // One of those that were just reminded comes two days later, and is reminded again.
            self.calendar
                .move_one(&self.app, as_of + hours(24), as_of + hours(72))
                .await;

            let as_of = as_of + hours(3);
            self.calendar.cancel_one(&self.app, as_of + hours(24)).await;
            self.pass(Release::This, as_of).await;
        }
        self.days_passed += 1;
    }

    /// Bookings that each pass of a day has something to do with.
    async fn book_day(&mut self, day: i64) {
        for hour in HOURS.into_iter().flat_map(|hour| [hour, hour + 3]) {
            let pass = self.start + TimeDelta::days(day) + hours(hour);
            for _ in 0..3 {
                self.calendar.book(&self.app, pass + hours(24)).await;
            }
            // On the first day, the earlier reminders of these were due before anything ran.
            if day > 0 {
                self.calendar.book(&self.app, pass + hours(1)).await;
                self.calendar.book(&self.app, pass + minutes(15)).await;
            }
        }
    }

    /// Whether the database has what both programs need: this one passes on the previous one's schema, too, since
    /// what it adds itself, it uses only from the next release on.
    async fn can_pass(&self) -> bool {
        let ledger = self
            .app
            .column("SELECT name FROM booking_automation_migrations", &[])
            .await;
        self.previous_steps.is_subset(&ledger.into_iter().collect())
    }

    /// Runs a program. The server may not have noticed yet that the one before, which refused, is gone with its lock.
    async fn run(&self, release: Release, as_of: DateTime<Utc>) -> CommandOutput {
        let program = (release == Release::Previous).then_some(self.previous.as_path());
        let as_of = as_of.to_rfc3339();
        for _ in 0..100 {
            let said = call(&self.app, program, &["run", "--as-of", &as_of]).await;
            if !said.stdout.contains(r#""reason":"overlap""#) {
                return said;
            }
        }
        panic!("{release:?}, {}: the lock is never free", self.moment);
    }

    async fn pass(&mut self, release: Release, as_of: DateTime<Utc>) {
        let said = self.run(release, as_of).await;
        let who = format!("{release:?}, {}", self.moment);
        assert!(said.success, "{who}: {}", said.stderr);
        let summary = said.summary();
        assert_eq!(summary["outcome"], "completed", "{who}: {summary}");
        assert_eq!(summary["reminders"]["failed"], 0, "{who}: {summary}");
        self.calendar.expect_pass(as_of);
    }

    /// The program says that `migrate` must run first, and neither writes nor sends anything.
    async fn assert_refuses(&self, release: Release, as_of: DateTime<Utc>) {
        let before = (self.runs().await, self.app.ses.mails().len());
        let said = self.run(release, as_of).await;
        let who = format!("{release:?}, {}", self.moment);
        assert!(
            !said.success && said.stdout.is_empty(),
            "{who}: {}",
            said.stdout
        );
        assert!(
            said.stderr
                .contains("run `booking-automation migrate` first"),
            "{who}: {}",
            said.stderr
        );
        assert_eq!(
            (self.runs().await, self.app.ses.mails().len()),
            before,
            "{who}"
        );
    }

    /// Rows of `automation_runs`, if it is there.
    async fn runs(&self) -> i64 {
        let exists = "SELECT to_regclass('automation_runs') IS NOT NULL";
        if !self.app.one(exists, &[]).await.get::<_, bool>(0) {
            return 0;
        }
        self.app
            .one("SELECT count(*) FROM automation_runs", &[])
            .await
            .get(0)
    }

    /// The writers end, both programs pass once more, and everything is compared with what must be.
    async fn close(mut self) {
        self.writers.stop().await;
        let end = self.start + TimeDelta::days(self.days_passed);
        self.pass(Release::Previous, end).await;
        self.pass(Release::This, end + minutes(1)).await;
        self.assert_calendar().await;
        self.assert_mails().await;
        self.assert_nothing_lost(end + minutes(1)).await;
        self.assert_audited().await;
    }

    /// Each of the owners' bookings has the status and the flags that it must have.
    async fn assert_calendar(&self) {
        let flags = "SELECT status, reminder_15m_sent, reminder_1h_sent, reminder_24h_sent FROM bookings WHERE id = $1";
        for booking in &self.calendar.bookings {
            let row = self.app.one(flags, &[&booking.id]).await;
            assert_eq!(row.get::<_, String>(0), booking.status, "{booking:?}");
            for (column, (rule, _)) in RULES.iter().enumerate() {
                let flag: Option<bool> = row.get(column + 1);
                assert_eq!(
                    flag.unwrap_or_default(),
                    booking.sent.contains(rule),
                    "{rule}: {booking:?}"
                );
            }
        }
    }

    /// The owners' bookings had exactly the mails that they must have, and no message was sent twice.
    async fn assert_mails(&self) {
        let ids: Vec<Uuid> = self
            .app
            .ses
            .mails()
            .iter()
            .map(|mail| mail.event_id().parse().unwrap())
            .collect();
        let distinct: BTreeSet<Uuid> = ids.iter().copied().collect();
        assert_eq!(distinct.len(), ids.len(), "messages that were sent twice");
        let rows = "SELECT booking_id, rule FROM booking_automation_events WHERE id = ANY($1)";
        let rows = self.app.db.query(rows, &[&ids]).await.unwrap();
        assert_eq!(rows.len(), ids.len(), "messages without a row");

        let of_calendar: BTreeSet<Uuid> = self
            .calendar
            .bookings
            .iter()
            .map(|booking| booking.id)
            .collect();
        let mut unexpected: Vec<(Uuid, String)> =
            rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        unexpected.retain(|(booking, _)| of_calendar.contains(booking));
        let mut missing = self.calendar.expected.clone();
        assert!(missing.len() > 50, "{} mails", missing.len());
        missing.retain(|mail| {
            let sent = unexpected.iter().position(|sent| sent == mail);
            sent.map(|position| unexpected.swap_remove(position))
                .is_none()
        });
        assert!(
            missing.is_empty() && unexpected.is_empty(),
            "missing: {missing:?}, unexpected: {unexpected:?}"
        );
    }

    /// No decision was made twice, none is missing, and nothing waits. This holds for the writers' bookings, too.
    async fn assert_nothing_lost(&self, as_of: DateTime<Utc>) {
        let doubled = "SELECT booking_id::text FROM booking_automation_events WHERE event_type = 'reminder_sent'
                        GROUP BY booking_id, revision, rule, audience, channel HAVING count(*) > 1";
        assert_eq!(self.app.column(doubled, &[]).await, [""; 0]);
        let missing =
            "SELECT concat_ws(' ', b.id, r.name, b.scheduled_at, b.created_at) FROM bookings b, reminder_rules r
             WHERE b.status = 'confirmed' AND b.scheduled_at - r.lead <= $1 AND b.scheduled_at > $1
               AND NOT EXISTS (SELECT FROM booking_automation_events e WHERE e.booking_id = b.id AND e.rule = r.name
                                  AND e.event_type = 'reminder_sent' AND e.starts_at = b.scheduled_at)";
        assert_eq!(self.app.column(missing, &[&as_of]).await, [""; 0]);
        let waiting =
            "SELECT concat_ws(' ', booking_id, rule, status, reason) FROM booking_automation_events
                        WHERE event_type = 'reminder_sent' AND status IN ('pending', 'sending')";
        assert_eq!(self.app.column(waiting, &[]).await, [""; 0]);
    }

    /// The trail has the changes of statuses that the owners logged themselves, and no others.
    async fn assert_audited(&self) {
        let sql = "WITH trail AS (SELECT booking_id, event_data ->> 'from', event_data ->> 'to' FROM booking_automation_events
                                   WHERE event_type = 'status_update' AND seq > $1),
             log AS (SELECT booking_id, old_status, new_status FROM owners_log)
             SELECT 'not in the trail: ' || missing::text FROM (SELECT * FROM log EXCEPT ALL SELECT * FROM trail) AS missing
             UNION ALL SELECT 'not in the log: ' || extra::text FROM (SELECT * FROM trail EXCEPT ALL SELECT * FROM log) AS extra";
        assert_eq!(self.app.column(sql, &[&self.logged_since]).await, [""; 0]);
        let logged: i64 = self
            .app
            .one("SELECT count(*) FROM owners_log", &[])
            .await
            .get(0);
        assert!(logged > 8000, "{logged} changes");
    }
}

/// Runs a program to its end: the previous one, or this release's.
pub async fn call(app: &App, program: Option<&Path>, arguments: &[&str]) -> CommandOutput {
    let Some(program) = program else {
        return app.call(arguments).await;
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(&app.env)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.unwrap();
    CommandOutput {
        success: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Names of the steps that a program's `migrate` records.
async fn steps_of(program: &Path) -> BTreeSet<String> {
    let app = App::empty().await;
    let said = call(&app, Some(program), &["migrate"]).await;
    assert!(said.success, "{}", said.stderr);
    app.column("SELECT name FROM booking_automation_migrations", &[])
        .await
        .into_iter()
        .collect()
}

/// This release's `migrate`, which stops after each of its steps.
struct Migration {
    steps: mpsc::UnboundedReceiver<String>,
    go_on: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<Result<(), MigrateError>>,
}

impl Migration {
    /// It runs in a thread of its own, since the report on a step blocks.
    fn start(url: &str) -> Self {
        let (report, steps) = mpsc::unbounded_channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel();
        let url = url.to_owned();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let lookup = |name: &str| (name == "DATABASE_URL").then(|| url.clone());
            let settings = DatabaseSettings::from_environment(&lookup).unwrap();
            runtime.block_on(async {
                let database = Database::new(&settings, migrate::CONNECTIONS).unwrap();
                let stop = |step: &str| {
                    // A test that has failed does not listen any more.
                    let _ = report.send(step.to_owned());
                    let _ = may_go_on.recv();
                };
                check_and_migrate(&database, MigrateOptions::default(), None, stop).await
            })
        });
        Self {
            steps,
            go_on,
            thread,
        }
    }

    /// Waits for the next step to be done. There is none after the last one.
    async fn next_step(&mut self) -> Option<String> {
        let patience = Duration::from_secs(300);
        tokio::time::timeout(patience, self.steps.recv())
            .await
            .expect("migrate goes on")
    }

    fn go_on(&self) {
        self.go_on.send(()).unwrap();
    }

    fn end(self) {
        self.thread.join().unwrap().unwrap();
    }
}

/// A booking of the owners' calendar, and what must have become of it.
#[derive(Debug)]
struct Booking {
    id: Uuid,
    start: DateTime<Utc>,
    status: &'static str,
    /// Rules that were decided on for this start.
    decided: Vec<&'static str>,
    /// Those of them that a message was sent for.
    sent: Vec<&'static str>,
}

/// The owners' bookings, and a model of what the passes make of them.
#[derive(Default)]
struct Calendar {
    bookings: Vec<Booking>,
    /// Mails, as the booking and the rule.
    expected: Vec<(Uuid, String)>,
}

impl Calendar {
    /// An hour's booking.
    async fn book(&mut self, app: &App, start: DateTime<Utc>) {
        let id = app.booking("confirmed", start).await;
        // Each has a customer, and so a mail, of its own.
        let customer = app
            .person("Customer", Some("own@customers.example"), "Europe/Vienna")
            .await;
        let own = "UPDATE bookings SET customer_id = $2 WHERE id = $1";
        app.sql(own, &[&id, &customer]).await;
        self.bookings.push(Booking {
            id,
            start,
            status: "confirmed",
            decided: Vec::new(),
            sent: Vec::new(),
        });
    }

    /// Moves one of the bookings that start then.
    async fn move_one(&mut self, app: &App, from: DateTime<Utc>, to: DateTime<Utc>) {
        let booking = self.confirmed_at(from);
        app.sql(
            "UPDATE bookings SET scheduled_at = $2 WHERE id = $1",
            &[&booking.id, &to],
        )
        .await;
        (booking.start, booking.decided, booking.sent) = (to, Vec::new(), Vec::new());
    }

    /// Cancels one of the bookings that start then.
    async fn cancel_one(&mut self, app: &App, start: DateTime<Utc>) {
        let booking = self.confirmed_at(start);
        let sql = "UPDATE bookings SET status = 'cancelled', cancelled_at = now() WHERE id = $1";
        app.sql(sql, &[&booking.id]).await;
        booking.status = "cancelled";
    }

    fn confirmed_at(&mut self, start: DateTime<Utc>) -> &mut Booking {
        let mut found = self.bookings.iter_mut();
        found
            .find(|booking| booking.start == start && booking.status == "confirmed")
            .expect("a booking")
    }

    /// What a pass at that time does: statuses first, then the reminders.
    fn expect_pass(&mut self, as_of: DateTime<Utc>) {
        for booking in &mut self.bookings {
            if booking.status == "confirmed" && booking.start <= as_of {
                booking.status = "in_progress";
            }
            if booking.status == "in_progress" && booking.start + hours(1) <= as_of {
                booking.status = "completed";
            }
            if booking.status != "confirmed" {
                continue;
            }
            let due = RULES.iter().filter(|(rule, lead)| {
                booking.start - *lead <= as_of && !booking.decided.contains(rule)
            });
            let due: Vec<_> = due.map(|(rule, _)| *rule).collect();
            // Of several that are due, the one nearest the start is sent.
            if let Some(nearest) = due.first() {
                self.expected.push((booking.id, (*nearest).to_owned()));
                booking.sent.push(nearest);
                booking.decided.extend(due);
            }
        }
    }
}

/// Sessions of the owners' backend that book, move, cancel and delete all the while. None of their statements may fail.
#[derive(Default)]
struct Writers {
    stopped: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    /// Milliseconds that a booking's life took at most.
    slowest: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Writers {
    async fn start(app: &App) -> Self {
        let mut writers = Self::default();
        for _ in 0..WRITERS {
            let Self {
                stopped,
                written,
                slowest,
                ..
            } = &writers;
            let (stopped, written, slowest) = (stopped.clone(), written.clone(), slowest.clone());
            let backend = app.backend_role().await;
            writers.tasks.push(tokio::spawn(async move {
                for number in 0.. {
                    if stopped.load(Ordering::Relaxed) {
                        break;
                    }
                    let started = Instant::now();
                    write(&backend, number).await;
                    slowest.fetch_max(
                        u64::try_from(started.elapsed().as_millis()).unwrap(),
                        Ordering::Relaxed,
                    );
                    written.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }));
        }
        writers
    }

    /// They write, and none of them has failed.
    async fn assert_busy(&self) {
        let before = self.written.load(Ordering::Relaxed);
        for _ in 0..1000 {
            assert!(
                self.tasks.iter().all(|task| !task.is_finished()),
                "a statement of a writer failed"
            );
            if self.written.load(Ordering::Relaxed) > before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the writers wait");
    }

    async fn stop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        for task in self.tasks.drain(..) {
            task.await.expect("no statement of a writer failed");
        }
        // A step waits a second for its lock, and what queues behind it waits no longer. Machines are slow.
        let slowest = self.slowest.load(Ordering::Relaxed);
        assert!(slowest < 10_000, "{slowest} ms");
    }
}

/// The life of one booking. One of twenty stays.
async fn write(backend: &Client, number: u64) {
    let book = "INSERT INTO bookings (customer_id, service_id, status, scheduled_at, duration_minutes)
                VALUES ('00000000-0000-0000-0000-00000000000c', '00000000-0000-0000-0000-00000000000e', 'confirmed',
                        now() + random() * interval '5 days', 30) RETURNING id";
    let id: Uuid = backend.query_one(book, &[]).await.unwrap().get(0);
    let later = "UPDATE bookings SET scheduled_at = scheduled_at + random() * interval '1 day' WHERE id = $1";
    backend.execute(later, &[&id]).await.unwrap();
    if number.is_multiple_of(20) {
        return;
    }
    let cancel = "UPDATE bookings SET status = 'cancelled', cancelled_at = now() WHERE id = $1";
    backend.execute(cancel, &[&id]).await.unwrap();
    backend
        .execute("DELETE FROM bookings WHERE id = $1", &[&id])
        .await
        .unwrap();
}
