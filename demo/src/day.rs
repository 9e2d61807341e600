//! The simulated day: what people do, and a pass a minute.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use booking_automation::database::{Begin, Database};
use booking_automation::primitives::call::Call;
use booking_automation::tick::summary::{Summary, Work};
use booking_automation::tick::trigger::Trigger;
use booking_automation::tick::{self, Automation};
use chrono::{DateTime, TimeDelta, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use tokio_postgres::types::{ToSql, Type};

use crate::clock::clock;
use crate::mailbox::{Mail, Mailbox};
use crate::phones::REMOVED;
use crate::web::{Answer, Web};

/// No pass runs in these two hours. All times here are minutes since the start of the day.
const OUTAGE: std::ops::Range<i64> = 12 * 60..14 * 60;
/// What the owner's program writes during the day.
const ACTS: [Act; 3] = [
    Act {
        minute: 6 * 60,
        what: "a customer cancels the booking of {}",
        times: &[8 * 60],
        sql: "UPDATE public.bookings SET status = 'cancelled', cancelled_at = $1
               WHERE scheduled_at = $2",
    },
    Act {
        minute: 10 * 60 + 40,
        what: "a booking moves from {} to {}",
        times: &[11 * 60 + 20, 15 * 60 + 30],
        sql: "UPDATE public.bookings SET scheduled_at = $3, updated_at = $1
               WHERE scheduled_at = $2",
    },
    Act {
        minute: 16 * 60,
        what: "somebody books for {}",
        times: &[16 * 60 + 30],
        sql: "INSERT INTO public.bookings
                     (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes,
                      total_price, is_online, location, meeting_link, created_at)
              SELECT customer_id, provider_id, service_id, 'confirmed', $2, duration_minutes,
                     total_price, is_online, location, meeting_link, $1
                FROM public.bookings ORDER BY abs(extract(epoch FROM scheduled_at - $2)) LIMIT 1",
    },
];
/// When a provider cancels by the support API, the booking, and the provider (`day.sql`).
const CANCELLATION: (i64, &str, &str) = (
    9 * 60,
    "00000000-0000-0000-0000-000000000305",
    "00000000-0000-0000-0000-000000000102",
);
/// The people who use the app, and the registration tokens of their devices.
const DEVICES: [(&str, &str); 2] = [
    ("00000000-0000-0000-0000-000000000124", "otto-phone"),
    ("00000000-0000-0000-0000-000000000125", REMOVED),
];
/// The customers who answer a reminder that asks.
const VISITS: [Visit; 2] = [
    Visit {
        who: "aiko@customers.example",
        what: "Aiko Tanaka follows a link in a reminder and says that she will come",
        answer: Answer::Attends,
    },
    Visit {
        who: "rita@customers.example",
        what: "Rita Alves follows a link in a reminder, sees the refund and cancels",
        answer: Answer::CannotCome,
    },
];
/// How long after a reminder they do so.
const AFTER: TimeDelta = TimeDelta::minutes(10);

/// A change of `bookings` by the owner's program.
struct Act {
    minute: i64,
    /// Each `{}` is replaced by one of the `times`.
    what: &'static str,
    times: &'static [i64],
    /// `$1` is the time of the change; `$2` and `$3` are the `times`.
    sql: &'static str,
}

/// An answer by a link.
struct Visit {
    who: &'static str,
    what: &'static str,
    answer: Answer,
}

/// Creates the day's bookings, as the owner's program would have done before. Switches the rules on
/// when the day begins.
pub async fn fill(database: &Database, start: DateTime<Utc>) -> anyhow::Result<()> {
    for statement in include_str!("day.sql").split_inclusive(";\n") {
        let parameters: &[&(dyn ToSql + Sync)] = if statement.contains("$1") {
            &[&start]
        } else {
            &[]
        };
        write(database, start - TimeDelta::days(2), statement, parameters).await?;
    }
    for rules in [
        // The program was installed when the day began: earlier reminders are not sent.
        "UPDATE public.reminder_rules SET effective_from = $1, asks_attendance = name = '24h',
                channels = '{push>sms>email}'",
        "UPDATE public.booking_automation_notice_rules SET active = true, effective_from = $1",
        "UPDATE public.booking_automation_digest_rules SET active = true, effective_from = $1
          WHERE audience = 'provider'",
    ] {
        write(database, start, rules, &[&start]).await?;
    }
    Ok(())
}

/// Executes a statement of the owner's program at that time. Returns the number of rows.
async fn write(
    database: &Database,
    as_of: DateTime<Utc>,
    sql: &str,
    times: &[&(dyn ToSql + Sync)],
) -> anyhow::Result<u64> {
    let begin = Begin {
        as_of: Some(as_of),
        ..Begin::default()
    };
    let (transaction, _) = database
        .begin(&begin, "SET LOCAL booking_automation.actor = 'backend'")
        .await?;
    let parameters: Vec<_> = times
        .iter()
        .map(|time| (*time, Type::TIMESTAMPTZ))
        .collect();
    let rows = transaction.execute(sql, &parameters).await?;
    transaction.commit().await?;
    Ok(rows)
}

/// The day, and what it is played with.
pub struct Day<'a> {
    pub automation: &'a Automation,
    pub database: &'a Database,
    pub mailbox: &'a Mailbox,
    pub web: &'a Web,
    pub start: DateTime<Utc>,
}

impl Day<'_> {
    /// Runs one pass per minute, except during the outage.
    pub async fn play(&self, minutes: i64) -> anyhow::Result<()> {
        let bar = ProgressBar::new(minutes as u64)
            .with_style(ProgressStyle::with_template("{bar:40} {msg}")?);
        let say = |line: String| {
            if bar.is_hidden() {
                println!("{line}")
            } else {
                bar.println(line)
            }
        };
        let (began, mut passes) = (Instant::now(), 0);
        let mut visits: Vec<_> = VISITS.iter().collect();
        for (person, device) in DEVICES {
            self.web.register(self.start, person, device).await?;
        }
        for minute in 0..=minutes {
            let as_of = self.start + TimeDelta::minutes(minute);
            let now = clock(as_of)?;
            bar.set_position(minute as u64);
            bar.set_message(now.clone());
            for what in self.act(minute, as_of).await? {
                say(format!("{now}  · {what}"));
            }
            for what in self.visit(&mut visits, as_of).await? {
                say(format!("{now}  · {what}"));
            }
            if OUTAGE.contains(&minute) {
                if minute == OUTAGE.start {
                    say(format!("{now}  · an outage: no pass for two hours"));
                }
                continue;
            }
            passes += 1;
            let told = self.pass(as_of).await?;
            if !told.is_empty() {
                say(format!("{now}  {told}"));
            }
        }
        bar.finish_and_clear();
        let missing: Vec<_> = visits.iter().map(|visit| visit.who).collect();
        anyhow::ensure!(missing.is_empty(), "no reminder that asks: {missing:?}");
        println!(
            "{passes} passes in {:.0} seconds.",
            began.elapsed().as_secs_f32()
        );
        Ok(())
    }

    /// What happens in a minute, without those who follow a link. Returns it in words.
    async fn act(&self, minute: i64, as_of: DateTime<Utc>) -> anyhow::Result<Vec<String>> {
        let mut done = Vec::new();
        for act in ACTS.iter().filter(|act| act.minute == minute) {
            let time = |minute: &i64| self.start + TimeDelta::minutes(*minute);
            let times: Vec<_> = act.times.iter().map(time).collect();
            let what = times.iter().try_fold(act.what.to_owned(), |what, time| {
                anyhow::Ok(what.replacen("{}", &clock(*time)?, 1))
            })?;
            let parameters: Vec<_> = [&as_of]
                .into_iter()
                .chain(&times)
                .map(|time| time as &(dyn ToSql + Sync))
                .collect();
            let rows = write(self.database, as_of, act.sql, &parameters).await?;
            anyhow::ensure!(rows == 1, "{what}: {rows} bookings");
            done.push(what);
        }
        let (at, booking, provider) = CANCELLATION;
        if minute == at {
            let refund = self.web.cancel(as_of, booking, provider).await?;
            done.push(format!(
                "Omar Haddad cancels a booking of Amal Nasser by the support API; refund: {refund}"
            ));
        }
        Ok(done)
    }

    /// Some time after a reminder that asks, its customer follows a link in it. What is done is
    /// removed from `open`, and returned in words.
    async fn visit(
        &self,
        open: &mut Vec<&Visit>,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Vec<&'static str>> {
        let mut done = Vec::new();
        let mut later = Vec::new();
        for visit in open.drain(..) {
            let is_read = |mail: &Mail| {
                let record = mail.record.as_ref();
                mail.to == visit.who
                    && mail.text.contains("/a/")
                    && record.is_some_and(|record| record.sent_at + AFTER <= as_of)
            };
            let Some(mail) = self.mailbox.find(is_read)? else {
                later.push(visit);
                continue;
            };
            self.web.answer(as_of, &mail.text, visit.answer).await?;
            done.push(visit.what);
        }
        *open = later;
        Ok(done)
    }

    /// One pass. Returns what it did, in words; empty if it did nothing.
    async fn pass(&self, as_of: DateTime<Utc>) -> anyhow::Result<String> {
        let call = Call {
            as_of: Some(as_of),
            ..Call::until(Instant::now() + Duration::from_secs(50))
        };
        // On the heap: the compiler gives up on so deep a future.
        let summary = Box::pin(tick::run(self.automation, &Trigger::Cli, &call)).await?;
        let Summary::Completed(work) = summary else {
            anyhow::bail!("{as_of}: the pass was skipped");
        };
        let mails = self.mailbox.read_records(self.database).await?;
        Ok(done(&work, &mails))
    }
}

/// What a pass did, in words; empty if it did nothing.
fn done(work: &Work, mails: &[Mail]) -> String {
    let (moved, messages) = (&work.transitions, &work.reminders);
    let not_sent = messages.failed + messages.retrying + messages.unknown + messages.deferred;
    let figures = [
        (moved.started, "started"),
        (moved.completed, "completed"),
        (moved.expired, "expired"),
        (moved.reopened, "confirmed again"),
        (messages.skipped, "not to be sent"),
        (not_sent, "not sent yet"),
    ];
    let told = figures.iter().filter(|(count, _)| *count > 0);
    let mut told: Vec<_> = told
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let mut kinds = BTreeMap::new();
    for mail in mails {
        *kinds.entry(mail.label()).or_insert(0) += 1;
    }
    if !kinds.is_empty() {
        let kinds = kinds.iter().map(|(kind, count)| format!("{count} {kind}"));
        told.push(format!(
            "messages: {}",
            kinds.collect::<Vec<_>>().join(" + ")
        ));
    }
    told.join(", ")
}
