//! Simulates weeks in one process, like a warm function. In each simulated minute, bookings are created, moved and cancelled, and
//! a pass runs. After each simulated day, the tables are vacuumed and measured.

use std::time::{Duration, Instant};

use anyhow::Context;
use booking_automation::channels::webhook::settings::WebhookSettings;
use booking_automation::database::Database;
use booking_automation::database::migrate;
use booking_automation::database::settings::DatabaseSettings;
use booking_automation::delivery::Messengers;
use booking_automation::delivery::webhooks::WebhookDispatcher;
use booking_automation::operations::check::finding::MigrateOptions;
use booking_automation::operations::migration::check_and_migrate;
use booking_automation::operations::settings::RetentionSettings;
use booking_automation::primitives::call::Call;
use booking_automation::primitives::settings::environment;
use booking_automation::tick::settings::PassSettings;
use booking_automation::tick::summary::Summary;
use booking_automation::tick::trigger::Trigger;
use booking_automation::tick::{self, Automation};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::json;
use tokio_postgres::{Client, NoTls};

/// Bookings created in a simulated minute.
const BOOKINGS_A_MINUTE: i32 = 3;
/// How long events and runs are stored: shorter than a setting allows, so that retention takes effect within the weeks.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Args)]
pub(crate) struct Soak {
    /// Real minutes.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
}

impl Soak {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let settings = DatabaseSettings::from_environment(&environment)?;
        check_and_migrate(
            &Database::new(&settings, migrate::CONNECTIONS)?,
            MigrateOptions::default(),
            None,
            |_| {},
        )
        .await?;
        let backend = Backend::connect().await?;
        let messengers = Messengers::from_environment(&environment).await?;
        let pass = PassSettings {
            retention: RetentionSettings { events: RETENTION },
            ..PassSettings::from_environment(&environment)?
        };
        let dispatcher = WebhookDispatcher::new(WebhookSettings::from_environment(&environment)?);
        let automation =
            Automation::new(Database::new(&settings, 1)?, pass, messengers, dispatcher);

        let until = Instant::now() + Duration::from_secs_f64(self.minutes * 60.0);
        let first = Utc::now();
        let (mut now, mut passes, mut sent, mut moved) = (first, Vec::new(), 0, 0);
        while Instant::now() < until {
            backend.minute(now).await?;
            let started = Instant::now();
            let deadline = Instant::now() + Duration::from_secs(50);
            let call = Call {
                as_of: Some(now),
                ..Call::until(deadline)
            };
            // Boxed: the compiler limits how deep futures nest.
            let pass = Box::pin(tick::run(&automation, &Trigger::Cli, &call));
            let Summary::Completed(work) = pass.await? else {
                anyhow::bail!("a pass was skipped")
            };
            passes.push(started.elapsed().as_secs_f64() * 1000.0);
            sent += work.reminders.sent;
            let made = work.transitions;
            moved += made.started + made.completed + made.expired + made.reopened;
            now += TimeDelta::minutes(1);
            if passes.len() == 24 * 60 {
                passes.sort_by(f64::total_cmp);
                let (bytes, rows) = backend.sizes().await?;
                println!(
                    "{}",
                    json!({"day": (now - first).num_days(), "resident_kb": resident_kb()?, "bytes": bytes, "events": rows,
                           "pass_ms_median": passes[passes.len() / 2], "pass_ms_99": passes[passes.len() * 99 / 100],
                           "sent": sent, "moved": moved})
                );
                passes.clear();
                (sent, moved) = (0, 0);
            }
        }
        Ok(())
    }
}

/// The user's own backend.
struct Backend(Client);

impl Backend {
    async fn connect() -> anyhow::Result<Self> {
        let url = environment("DATABASE_URL").context("DATABASE_URL is not set")?;
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        client
            .batch_execute(
                // Column defaults use the simulated time, too.
                "ALTER TABLE booking_automation_events ALTER COLUMN created_at SET DEFAULT booking_automation_now();
                 ALTER TABLE automation_runs ALTER COLUMN created_at SET DEFAULT booking_automation_now();
                 INSERT INTO users (display_name, email, timezone)
                 SELECT 'Customer ' || n, 'c' || n || '@customers.example', 'Europe/Vienna' FROM generate_series(1, 500) AS n",
            )
            .await?;
        Ok(Self(client))
    }

    /// Creates bookings for the next two days, moves one and cancels one. Deletes bookings a week after their end, as a user's
    /// housekeeping would.
    async fn minute(&self, now: DateTime<Utc>) -> anyhow::Result<()> {
        self.0
            .batch_execute(&format!(
                "SET booking_automation.as_of = '{now}';
                 INSERT INTO bookings (customer_id, status, scheduled_at, duration_minutes, created_at)
                 SELECT (SELECT id FROM users ORDER BY random() LIMIT 1 OFFSET 0 * n), 'confirmed',
                        '{now}'::timestamptz + random() * interval '2 days', 15 + 15 * n, '{now}' FROM generate_series(1, {BOOKINGS_A_MINUTE}) AS n;
                 UPDATE bookings SET scheduled_at = scheduled_at + interval '90 minutes'
                  WHERE id = (SELECT id FROM bookings WHERE status = 'confirmed' AND scheduled_at > '{now}' ORDER BY scheduled_at LIMIT 1 OFFSET 20);
                 UPDATE bookings SET status = 'cancelled'
                  WHERE id = (SELECT id FROM bookings WHERE status = 'confirmed' AND scheduled_at > '{now}' ORDER BY scheduled_at LIMIT 1 OFFSET 40);
                 DELETE FROM bookings WHERE scheduled_at < '{now}'::timestamptz - interval '7 days'",
                now = now.to_rfc3339(),
            ))
            .await?;
        Ok(())
    }

    /// The bytes of our tables and indexes after a vacuum, and the number of events.
    async fn sizes(&self) -> anyhow::Result<(i64, i64)> {
        self.0.batch_execute("VACUUM ANALYZE").await?;
        let row = self
            .0
            .query_one(
                "SELECT sum(pg_total_relation_size(oid))::bigint, (SELECT count(*) FROM booking_automation_events)
                   FROM pg_class
                  WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
                    AND (relname LIKE 'booking_automation%' OR relname IN ('automation_runs', 'reminder_rules'))",
                &[],
            )
            .await?;
        Ok((row.get(0), row.get(1)))
    }
}

fn resident_kb() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}
