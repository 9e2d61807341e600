//! Random histories: changes of bookings, people, rules and clocks, a faulty mail endpoint, and
//! calls of the program in between. After each call the database and the summary are compared with
//! the reference.
//!
//! `HISTORIES` and `SEED` (environment variables) set the number and the seed. A failing history is
//! shrunk and printed; it depends only on its steps and can be repeated.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::app::{App, STATUSES, connect, noon};
use crate::reference::{
    Audience, Booking, Change, Counts, Edit, Fate, Mailbox, Reference, Reminder, Rule, Seen,
    Settings, State, Time, Transitions,
};
use crate::ses::Answer;

/// The number of histories in `make test`.
const HISTORIES: u32 = 40;
/// The most elements of one history; some have several steps.
const STEPS: usize = 35;
const PEOPLE: usize = 4;
/// The most bookings at one time: all due reminders fit into one page.
const BOOKINGS: usize = 12;
/// The default of `SEND_CONCURRENCY`.
const AT_ONCE: usize = 16;
const RULES: [&str; 5] = ["24h", "1h", "15m", "early", "late"];
const MINUTE: Time = 60;
const HOUR: Time = 60 * MINUTE;
const DAY: Time = 24 * HOUR;

/// A history. A step names bookings and rules by a number among those that exist at that time.
#[derive(Clone, Debug)]
struct History {
    expire_pending: bool,
    short_waits: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Book {
        customer: usize,
        provider: Option<usize>,
        status: &'static str,
        start: Time,
        minutes: i32,
        blocked: Option<bool>,
    },
    Edit {
        booking: usize,
        edit: Edit,
    },
    /// Changes the status or the start of all bookings in one statement.
    EditAll {
        status: Option<&'static str>,
        move_by: Time,
    },
    Delete {
        booking: usize,
    },
    Address {
        person: usize,
        mailbox: Mailbox,
    },
    DeletePerson {
        person: usize,
    },
    NewRule {
        name: usize,
        audience: Audience,
        lead: Time,
    },
    EditRule {
        rule: usize,
        edit: RuleEdit,
    },
    Wait {
        time: Time,
    },
    /// Waits until one of the next moments at which something changes for a booking, or one second
    /// before or after.
    WaitUntil {
        moment: usize,
        off: Time,
    },
    Tick {
        back: Time,
        fates: [Answers; PEOPLE],
        lock: Option<usize>,
        kind: Kind,
    },
}

#[derive(Clone, Copy, Debug)]
enum RuleEdit {
    Active(bool),
    ByMail(bool),
    Lead(Time),
    Delete,
}

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Usual,
    DryRun,
    /// No connection to the endpoint can be made.
    Unreachable,
    /// The program is killed while its requests are in flight.
    Killed,
    /// No request is answered during the call.
    Silence,
    /// Two calls at once.
    Twice,
}

/// What the endpoint says to one person's messages.
#[derive(Clone, Copy, Debug)]
enum Answers {
    Sent,
    Throttled,
    Rejected,
    Error500,
    Rubbish,
    Reset,
    Paused,
    Quota,
}

impl Answers {
    fn fate(self) -> Fate {
        match self {
            Self::Sent => Fate::Sent,
            Self::Throttled => Fate::Throttled,
            Self::Rejected => Fate::Rejected,
            Self::Error500 | Self::Rubbish | Self::Reset => Fate::Doubt,
            Self::Paused => Fate::Account,
            Self::Quota => Fate::Quota,
        }
    }

    fn answer(self) -> Answer {
        match self {
            Self::Sent => Answer::Sent,
            Self::Throttled => Answer::Error(429, "TooManyRequestsException", "slow down"),
            Self::Rejected => Answer::Error(400, "MessageRejected", "no"),
            Self::Error500 => Answer::Error(500, "InternalFailure", "oops"),
            Self::Rubbish => Answer::Rubbish("<html>"),
            Self::Reset => Answer::Reset,
            Self::Paused => Answer::Error(400, "SendingPausedException", "paused"),
            Self::Quota => Answer::Error(
                429,
                "TooManyRequestsException",
                "Daily message quota exceeded.",
            ),
        }
    }
}

/// Strategies are boxed: as values they would exceed the stack of a test.
fn history_strategy() -> BoxedStrategy<History> {
    (
        prop::bool::weighted(0.3),
        any::<bool>(),
        vec(booking_strategy(), 3..7),
        vec(step_strategy(), 5..=STEPS),
    )
        .prop_map(|(expire_pending, short_waits, bookings, steps)| {
            let steps = bookings
                .into_iter()
                .chain(steps.into_iter().flatten())
                .collect();
            History {
                expire_pending,
                short_waits,
                steps,
            }
        })
        .boxed()
}

fn booking_strategy() -> BoxedStrategy<Step> {
    let provider = option::of(0..PEOPLE);
    let blocked = option::weighted(0.2, any::<bool>());
    (
        0..PEOPLE,
        provider,
        status_strategy(),
        start_strategy(),
        duration_strategy(),
        blocked,
    )
        .prop_map(
            |(customer, provider, status, start, minutes, blocked)| Step::Book {
                customer,
                provider,
                status,
                start,
                minutes,
                blocked,
            },
        )
        .boxed()
}

fn edit_strategy() -> BoxedStrategy<Edit> {
    let status = option::weighted(0.4, status_strategy());
    let start = option::weighted(0.4, start_strategy());
    let minutes = option::weighted(0.1, duration_strategy());
    let blocked = option::weighted(0.3, option::of(any::<bool>()));
    let customer = option::weighted(0.1, option::weighted(0.9, 0..PEOPLE));
    let any = (status, start, minutes, blocked, customer).prop_map(
        |(status, start, minutes, blocked, customer)| Edit {
            status,
            start,
            minutes,
            blocked,
            customer,
        },
    );
    let confirmed = |start| Edit {
        status: Some("confirmed"),
        start: Some(start),
        ..Edit::default()
    };
    prop_oneof![2 => any, 1 => start_strategy().prop_map(confirmed)].boxed()
}

/// One step, or several that belong together.
fn step_strategy() -> BoxedStrategy<Vec<Step>> {
    let which = || 0..1000_usize;
    let wait_until =
        || (0..5_usize, -1..=1_i64).prop_map(|(moment, off)| Step::WaitUntil { moment, off });
    let tick = || {
        let back = prop_oneof![8 => Just(0), 1 => 1..=180_i64];
        (
            back,
            answers_strategy(),
            option::weighted(0.1, which()),
            call_kind_strategy(),
        )
            .prop_map(|(back, fates, lock, kind)| Step::Tick {
                back,
                fates,
                lock,
                kind,
            })
    };
    let change = prop_oneof![
        35 => booking_strategy(),
        25 => (which(), edit_strategy()).prop_map(|(booking, edit)| Step::Edit { booking, edit }),
        2 => (option::weighted(0.5, status_strategy()), prop_oneof![Just(0), -300..300_i64])
            .prop_map(|(status, minutes)| Step::EditAll { status, move_by: minutes * MINUTE }),
        2 => which().prop_map(|booking| Step::Delete { booking }),
        5 => (0..PEOPLE, mailbox_strategy()).prop_map(|(person, mailbox)| Step::Address { person, mailbox }),
        1 => (0..PEOPLE).prop_map(|person| Step::DeletePerson { person }),
        5 => (0..RULES.len(), audience_strategy(), lead_strategy()).prop_map(|(name, audience, lead)| Step::NewRule { name, audience, lead }),
        7 => (which(), rule_edit_strategy()).prop_map(|(rule, edit)| Step::EditRule { rule, edit }),
        4 => wait_strategy().prop_map(|time| Step::Wait { time }),
        2 => wait_until(),
    ]
    .boxed();
    let change = change.prop_map(|step| vec![step]).boxed();
    let again = which()
        .prop_map(|booking| {
            let to = |status| Step::Edit {
                booking,
                edit: Edit {
                    status: Some(status),
                    ..Edit::default()
                },
            };
            vec![to("cancelled"), to("confirmed")]
        })
        .boxed();
    let rule = (which(), rule_edit_strategy())
        .prop_map(|(rule, edit)| vec![Step::EditRule { rule, edit }]);
    // Something changes between a failed attempt and its retry.
    let meanwhile = prop_oneof![3 => change.clone(), 1 => again.clone(), 1 => rule];
    let trouble = (
        wait_until(),
        failing_answers_strategy(),
        meanwhile,
        wait_strategy(),
        tick(),
    )
        .prop_map(|(until, fates, changes, time, tick)| {
            let failed = Step::Tick {
                back: 0,
                fates,
                lock: None,
                kind: Kind::Usual,
            };
            [until, failed]
                .into_iter()
                .chain(changes)
                .chain([Step::Wait { time }, tick])
                .collect()
        });
    prop_oneof![
        6 => change,
        2 => trouble,
        1 => again,
        4 => (wait_until(), tick()).prop_map(|(wait, tick)| vec![wait, tick]),
        1 => (wait_strategy(), tick()).prop_map(|(time, tick)| vec![Step::Wait { time }, tick]),
        1 => tick().prop_map(|tick| vec![tick]),
    ]
    .boxed()
}

fn status_strategy() -> BoxedStrategy<&'static str> {
    prop_oneof![12 => Just("confirmed"), 1 => Just("cancelled"), 1 => Just("pending"), 1 => Just("in_progress"),
        1 => prop::sample::select(&STATUSES[..])]
    .boxed()
}

/// Relative to now, in whole minutes.
fn start_strategy() -> BoxedStrategy<Time> {
    let minutes = prop_oneof![
        1 => -300..0_i64,
        // Boundaries of lateness.
        2 => prop::sample::select(&[10_i64, 15, 40, 60, 960, 1440][..]),
        3 => 1..90_i64,
        3 => 90..1500_i64,
        1 => 1500..5000_i64,
    ];
    minutes.prop_map(|minutes| minutes * MINUTE).boxed()
}

fn duration_strategy() -> BoxedStrategy<i32> {
    prop_oneof![4 => Just(60), 2 => 1..300_i32, 1 => Just(0), 1 => Just(-30)].boxed()
}

fn mailbox_strategy() -> BoxedStrategy<Mailbox> {
    prop_oneof![4 => (0..3_u8).prop_map(Mailbox::Good), 1 => Just(Mailbox::Missing), 1 => Just(Mailbox::Blank),
        1 => Just(Mailbox::Malformed)]
    .boxed()
}

fn audience_strategy() -> BoxedStrategy<Audience> {
    prop_oneof![Just(Audience::Customer), Just(Audience::Provider)].boxed()
}

fn lead_strategy() -> BoxedStrategy<Time> {
    prop_oneof![
        prop::sample::select(&[15 * MINUTE, HOUR, DAY, 2 * DAY][..]),
        (1..200_i64).prop_map(|minutes| minutes * MINUTE)
    ]
    .boxed()
}

fn rule_edit_strategy() -> BoxedStrategy<RuleEdit> {
    prop_oneof![
        2 => any::<bool>().prop_map(RuleEdit::Active),
        1 => any::<bool>().prop_map(RuleEdit::ByMail),
        2 => lead_strategy().prop_map(RuleEdit::Lead),
        1 => Just(RuleEdit::Delete),
    ]
    .boxed()
}

fn wait_strategy() -> BoxedStrategy<Time> {
    prop_oneof![6 => MINUTE..10 * MINUTE, 2 => MINUTE..3 * HOUR, 1 => HOUR..3 * DAY].boxed()
}

/// Nothing is sent, and most messages are retried.
fn failing_answers_strategy() -> BoxedStrategy<[Answers; PEOPLE]> {
    let answers = [
        Answers::Throttled,
        Answers::Throttled,
        Answers::Error500,
        Answers::Reset,
        Answers::Paused,
    ];
    prop::sample::select(answers.to_vec())
        .prop_map(|answers| [answers; PEOPLE])
        .boxed()
}

/// Mostly the same for all people.
fn answers_strategy() -> BoxedStrategy<[Answers; PEOPLE]> {
    let answers = || {
        prop_oneof![
            6 => Just(Answers::Sent),
            2 => Just(Answers::Throttled),
            1 => Just(Answers::Rejected),
            1 => Just(Answers::Error500),
            1 => Just(Answers::Rubbish),
            1 => Just(Answers::Reset),
            1 => Just(Answers::Paused),
            1 => Just(Answers::Quota),
        ]
    };
    prop_oneof![4 => Just([Answers::Sent; PEOPLE]), 3 => answers().prop_map(|answers| [answers; PEOPLE]),
        3 => prop::array::uniform4(answers())]
    .boxed()
}

fn call_kind_strategy() -> BoxedStrategy<Kind> {
    prop_oneof![40 => Just(Kind::Usual), 4 => Just(Kind::DryRun), 2 => Just(Kind::Unreachable), 4 => Just(Kind::Killed),
        1 => Just(Kind::Silence), 4 => Just(Kind::Twice)]
    .boxed()
}

/// What all histories did.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    histories: u64,
    steps: u64,
    ticks: u64,
    verdicts: u64,
    requests: u64,
    messages: u64,
    changes: u64,
}

#[test]
fn random_histories_match_the_reference() {
    let setting = |name| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect(name))
    };
    let (count, seed) = (setting("HISTORIES"), setting("SEED").unwrap_or(1));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: count.map_or(HISTORIES, |count| count.try_into().unwrap()),
        max_shrink_iters: Config::default().max_shrink_iters.min(400),
        // Failures become ordinary tests.
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stage = runtime.block_on(Stage::new());
    let stage = std::cell::RefCell::new(stage);
    let started = Instant::now();
    let result = runner.run(&history_strategy(), |history| {
        let stage = &mut *stage.borrow_mut();
        let played = runtime.block_on(stage.run_history(&history));
        if played.is_err() {
            stage.failed_in.get_or_insert(stage.figures.histories);
        }
        played.map_err(TestCaseError::fail)
    });
    let figures = stage.borrow().figures;
    if count.is_some() {
        use std::io::Write;
        let seconds = started.elapsed().as_secs();
        std::io::stderr()
            .write_all(format!("{figures:?} in {seconds} s, SEED={seed}\n").as_bytes())
            .unwrap();
    }
    if let Err(TestError::Fail(reason, history)) = &result {
        let number = stage.borrow().failed_in.unwrap_or_default();
        panic!("{reason}\nSEED={seed}, in history {number}, made small: {history:#?}");
    }
    result.unwrap();
}

/// One database for all histories; each history empties it.
struct Stage {
    app: App,
    holder: Client,
    figures: Figures,
    failed_in: Option<u64>,
}

impl Stage {
    async fn new() -> Self {
        let app = App::new().await;
        let holder = connect(&app.url).await;
        Self {
            app,
            holder,
            figures: Figures::default(),
            failed_in: None,
        }
    }

    async fn run_history(&mut self, history: &History) -> Result<(), String> {
        self.figures.histories += 1;
        let settings = if history.short_waits {
            Settings {
                complete_after: 30 * MINUTE,
                expire_after: 2 * HOUR,
                expire_pending: history.expire_pending,
            }
        } else {
            Settings {
                complete_after: 0,
                expire_after: DAY,
                expire_pending: history.expire_pending,
            }
        };
        self.app
            .env
            .insert("COMPLETE_AFTER", format!("{}s", settings.complete_after));
        self.app
            .env
            .insert("EXPIRE_AFTER", format!("{}s", settings.expire_after));
        self.app
            .env
            .insert("EXPIRE_PENDING", settings.expire_pending.to_string());
        self.app
            .sql_without_triggers(
                "TRUNCATE bookings, users, services, reminder_rules, automation_runs, booking_automation_events,
                          booking_automation_state, booking_automation_looks;
                 INSERT INTO reminder_rules (name, lead) VALUES ('24h', '24 hours'), ('1h', '1 hour'), ('15m', '15 minutes');
                 UPDATE reminder_rules SET effective_from = '2020-01-01';
                 UPDATE booking_automation_channels SET held_reason = NULL, held_since = NULL",
            )
            .await;
        let rule = |name, lead| Rule {
            name,
            audience: Audience::Customer,
            lead,
            active: true,
            by_mail: true,
            effective_from: Time::MIN,
        };
        let reference = Reference {
            settings,
            now: 0,
            rules: vec![rule("24h", DAY), rule("1h", HOUR), rule("15m", 15 * MINUTE)],
            people: vec![None; PEOPLE],
            bookings: Vec::new(),
            reminders: Vec::new(),
            held: false,
        };
        let mut play = Play {
            app: &mut self.app,
            holder: &self.holder,
            figures: &mut self.figures,
            reference,
            people: [Uuid::nil(); PEOPLE],
            bookings: Vec::new(),
            flags_behind: HashSet::new(),
            events: Vec::new(),
        };
        for person in 0..PEOPLE {
            play.set_address(person, Mailbox::Good(0)).await;
        }
        for (position, step) in history.steps.iter().enumerate() {
            play.figures.steps += 1;
            play.set_clock().await;
            play.apply_step(step)
                .await
                .map_err(|error| format!("step {position}, {step:?}: {error}"))?;
        }
        Ok(())
    }
}

/// A running history.
struct Play<'a> {
    app: &'a mut App,
    holder: &'a Client,
    figures: &'a mut Figures,
    reference: Reference,
    people: [Uuid; PEOPLE],
    bookings: Vec<Uuid>,
    /// Bookings that were locked or whose call was killed: their flags are set later.
    flags_behind: HashSet<usize>,
    /// The events of the reference's reminders.
    events: Vec<Uuid>,
}

fn moment(time: Time) -> DateTime<Utc> {
    noon() + chrono::Duration::seconds(time)
}

fn email_address(person: usize, mailbox: Mailbox) -> Option<String> {
    match mailbox {
        Mailbox::Missing => None,
        Mailbox::Blank => Some("  ".to_owned()),
        Mailbox::Malformed => Some(format!("{person}@")),
        Mailbox::Good(number) => Some(format!("{person}@mail{number}.example")),
    }
}

fn audience_name(audience: Audience) -> &'static str {
    match audience {
        Audience::Customer => "customer",
        Audience::Provider => "provider",
    }
}

fn expect_equal<T: PartialEq + std::fmt::Debug>(
    what: &str,
    got: T,
    expected: T,
) -> Result<(), String> {
    if got == expected {
        Ok(())
    } else {
        Err(format!("{what}: is {got:?}, should be {expected:?}"))
    }
}

impl Play<'_> {
    async fn set_clock(&self) {
        self.app.set_clock(moment(self.reference.now)).await;
    }

    /// The position of an existing booking.
    fn existing_booking(&self, number: usize) -> Option<usize> {
        let there: Vec<_> = (0..self.bookings.len())
            .filter(|position| !self.reference.bookings[*position].deleted)
            .collect();
        (!there.is_empty()).then(|| there[number % there.len()])
    }

    async fn apply_step(&mut self, step: &Step) -> Result<(), String> {
        match *step {
            Step::Book {
                customer,
                provider,
                status,
                start,
                minutes,
                blocked,
            } => {
                let there = self
                    .reference
                    .bookings
                    .iter()
                    .filter(|booking| !booking.deleted)
                    .count();
                if there < BOOKINGS {
                    self.book(customer, provider, status, start, minutes, blocked)
                        .await;
                }
            }
            Step::Edit { booking, edit } => {
                if let Some(booking) = self.existing_booking(booking) {
                    self.edit(booking, edit).await;
                }
            }
            Step::EditAll { status, move_by } => self.edit_all(status, move_by).await,
            Step::Delete { booking } => {
                if let Some(booking) = self.existing_booking(booking) {
                    self.app
                        .sql(
                            "DELETE FROM bookings WHERE id = $1",
                            &[&self.bookings[booking]],
                        )
                        .await;
                    self.reference.bookings[booking].deleted = true;
                }
            }
            Step::Address { person, mailbox } => self.set_address(person, mailbox).await,
            Step::DeletePerson { person } => {
                self.app
                    .sql("DELETE FROM users WHERE id = $1", &[&self.people[person]])
                    .await;
                self.reference.delete_person(person);
            }
            Step::NewRule {
                name,
                audience,
                lead,
            } => self.add_rule(RULES[name], audience, lead).await,
            Step::EditRule { rule, edit } => {
                if !self.reference.rules.is_empty() {
                    self.edit_rule(rule % self.reference.rules.len(), edit)
                        .await;
                }
            }
            Step::Wait { time } => self.reference.now += time,
            Step::WaitUntil { moment, off } => self.wait_until(moment, off),
            Step::Tick {
                back,
                fates,
                lock,
                kind,
            } => self.run_tick(back, fates, lock, kind).await?,
        }
        Ok(())
    }

    /// Changes all bookings in one statement.
    async fn edit_all(&mut self, status: Option<&'static str>, move_by: Time) {
        let sql = "UPDATE bookings SET status = coalesce($1, status), scheduled_at = scheduled_at + make_interval(secs => $2)";
        self.app.sql(sql, &[&status, &(move_by as f64)]).await;
        for booking in 0..self.bookings.len() {
            let start = Some(self.reference.bookings[booking].start + move_by);
            if !self.reference.bookings[booking].deleted {
                self.reference.edit(
                    booking,
                    &Edit {
                        status,
                        start,
                        ..Edit::default()
                    },
                );
            }
        }
    }

    /// Adds a rule unless it exists.
    async fn add_rule(&mut self, name: &'static str, audience: Audience, lead: Time) {
        let effective_from = self.reference.now;
        let rules = &mut self.reference.rules;
        if !rules
            .iter()
            .any(|rule| rule.name == name && rule.audience == audience)
        {
            let sql = "INSERT INTO reminder_rules (name, audience, lead) VALUES ($1, $2, make_interval(secs => $3))";
            self.app
                .sql(sql, &[&name, &audience_name(audience), &(lead as f64)])
                .await;
            rules.push(Rule {
                name,
                audience,
                lead,
                active: true,
                by_mail: true,
                effective_from,
            });
        }
    }

    async fn book(
        &mut self,
        customer: usize,
        provider: Option<usize>,
        status: &'static str,
        start: Time,
        minutes: i32,
        blocked: Option<bool>,
    ) {
        let known = |person: usize| self.reference.people[person].is_some().then_some(person);
        let (customer, provider) = (known(customer), provider.and_then(known));
        let id = |person: Option<usize>| person.map(|person| self.people[person]);
        let now = self.reference.now;
        let start = now + start;
        let sql = "INSERT INTO bookings (customer_id, provider_id, status, scheduled_at, duration_minutes, auto_complete_blocked, created_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id";
        let row = self
            .app
            .one(
                sql,
                &[
                    &id(customer),
                    &id(provider),
                    &status,
                    &moment(start),
                    &minutes,
                    &blocked,
                    &moment(now),
                ],
            )
            .await;
        self.bookings.push(row.get(0));
        self.reference.book(Booking {
            customer,
            provider,
            status,
            start,
            minutes,
            blocked,
            unblocked_at: None,
            revision: 0,
            in_force_since: 0,
            completed_at: None,
            changes: Vec::new(),
            deleted: false,
        });
    }

    async fn edit(&mut self, booking: usize, mut edit: Edit) {
        edit.start = edit.start.map(|start| self.reference.now + start);
        edit.customer = edit
            .customer
            .map(|person| person.filter(|person| self.reference.people[*person].is_some()));
        self.reference.edit(booking, &edit);
        // Writes all columns, changed or not.
        let now = &self.reference.bookings[booking];
        let sql = "UPDATE bookings SET status = $2, scheduled_at = $3, duration_minutes = $4, auto_complete_blocked = $5, customer_id = $6
                    WHERE id = $1";
        let customer = now.customer.map(|person| self.people[person]);
        self.app
            .sql(
                sql,
                &[
                    &self.bookings[booking],
                    &now.status,
                    &moment(now.start),
                    &now.minutes,
                    &now.blocked,
                    &customer,
                ],
            )
            .await;
    }

    async fn set_address(&mut self, person: usize, mailbox: Mailbox) {
        let email = email_address(person, mailbox);
        if self.reference.people[person].is_some() {
            self.app
                .sql(
                    "UPDATE users SET email = $2 WHERE id = $1",
                    &[&self.people[person], &email],
                )
                .await;
        } else {
            self.people[person] = self
                .app
                .person("Somebody", email.as_deref(), "Europe/Vienna")
                .await;
        }
        self.reference.people[person] = Some(mailbox);
    }

    async fn edit_rule(&mut self, position: usize, edit: RuleEdit) {
        let now = self.reference.now;
        let rule = &mut self.reference.rules[position];
        let (name, audience) = (rule.name, audience_name(rule.audience));
        let and = "WHERE name = $1 AND audience = $2";
        match edit {
            RuleEdit::Active(active) => {
                let sql = format!("UPDATE reminder_rules SET active = $3 {and}");
                self.app.sql(&sql, &[&name, &audience, &active]).await;
                if active && !rule.active {
                    rule.effective_from = now;
                }
                rule.active = active;
            }
            RuleEdit::ByMail(by_mail) => {
                let channels: &[&str] = if by_mail { &["email"] } else { &[] };
                let sql = format!("UPDATE reminder_rules SET channels = $3 {and}");
                self.app.sql(&sql, &[&name, &audience, &channels]).await;
                if by_mail && !rule.by_mail {
                    rule.effective_from = now;
                }
                rule.by_mail = by_mail;
            }
            RuleEdit::Lead(lead) => {
                let sql =
                    format!("UPDATE reminder_rules SET lead = make_interval(secs => $3) {and}");
                self.app
                    .sql(&sql, &[&name, &audience, &(lead as f64)])
                    .await;
                if rule.lead != lead {
                    rule.effective_from = now;
                }
                rule.lead = lead;
            }
            RuleEdit::Delete => {
                self.app
                    .sql(
                        &format!("DELETE FROM reminder_rules {and}"),
                        &[&name, &audience],
                    )
                    .await;
                self.reference.rules.remove(position);
            }
        }
    }

    /// Sets the clock to a start, an end, a due time, the last moment at which a new booking is not
    /// late, and so on.
    fn wait_until(&mut self, moment: usize, off: Time) {
        let Reference {
            settings,
            now,
            rules,
            bookings,
            ..
        } = &self.reference;
        let mut moments = Vec::new();
        for booking in bookings.iter().filter(|booking| !booking.deleted) {
            let overdue = booking.end().max(booking.unblocked_at.unwrap_or(Time::MIN))
                + settings.expire_after;
            match booking.status {
                "confirmed" => {
                    let leads = rules.iter().flat_map(|rule| [rule.lead, rule.lead * 2 / 3]);
                    moments.extend(
                        leads
                            .map(|lead| booking.start - lead)
                            .chain([booking.start, overdue]),
                    );
                }
                "in_progress" => moments.extend([
                    booking.end(),
                    booking.end() + settings.complete_after,
                    overdue,
                ]),
                "pending" => moments.push(booking.start),
                _ => {}
            }
        }
        moments.retain(|moment| moment + off > *now);
        moments.sort();
        moments.truncate(5);
        if !moments.is_empty() {
            self.reference.now = moments[moment % moments.len()] + off;
        }
    }

    /// One call, or two at once; then everything is compared.
    async fn run_tick(
        &mut self,
        back: Time,
        fates: [Answers; PEOPLE],
        lock: Option<usize>,
        kind: Kind,
    ) -> Result<(), String> {
        self.figures.ticks += 1;
        let as_of = self.reference.now - back;
        let locked = lock.and_then(|number| self.existing_booking(number));
        // Two calls at once: it is unknown which of them tests a held account, and with which
        // message.
        let refused = fates
            .iter()
            .any(|answers| matches!(answers, Answers::Paused | Answers::Quota));
        let kind = if kind == Kind::Twice && (refused || self.reference.held) {
            Kind::Usual
        } else {
            kind
        };
        self.make_retries_claimable().await;
        if kind == Kind::DryRun {
            return self.compare_dry_run(as_of).await;
        }

        // The pass, by the reference.
        let given_before = self.reference.reminders.len();
        let transitions = self.reference.advance(as_of, locked);
        let (_, skipped) = self.reference.decide_reminders(as_of);
        let expected_requests = self.reference.count_sendable(as_of);
        // Which message tests a held account is unknown before the call.
        let killed = kind == Kind::Killed
            && !self.reference.held
            && (1..=AT_ONCE).contains(&expected_requests);

        let log = Arc::new(Mutex::new(Vec::new()));
        self.set_mail_answers(fates, log.clone(), killed || kind == Kind::Silence);
        let started = Instant::now();
        let summaries = self
            .run_calls(as_of, kind, locked, killed.then_some(expected_requests))
            .await?;
        let took = started.elapsed();

        let rows = self.reminder_rows().await;
        self.match_rows(&rows, given_before)?;
        let requests = std::mem::take(&mut *log.lock().unwrap());
        let seen = self.observed_call(&rows, &requests, kind, killed, took)?;
        let (mut counts, touched) = self.reference.deliver(as_of, &seen)?;
        counts.skipped += skipped;
        self.compare_reminders(&rows, &touched, took)?;
        self.compare_bookings(locked, killed).await?;
        self.compare_changes().await?;
        self.compare_summaries(&summaries, as_of, transitions, counts, &seen)?;
        self.figures.verdicts +=
            u64::try_from(self.reference.reminders.len() - given_before).unwrap();
        self.figures.requests += u64::try_from(requests.len()).unwrap();
        self.figures.messages += u64::try_from(counts.sent).unwrap();
        self.figures.changes += u64::try_from(transitions.total()).unwrap();
        Ok(())
    }

    /// Runs the program once, or twice at the same time, while another session holds a booking
    /// locked.
    async fn run_calls(
        &self,
        as_of: Time,
        kind: Kind,
        locked: Option<usize>,
        kill_at: Option<usize>,
    ) -> Result<[Option<Value>; 2], String> {
        if let Some(booking) = locked {
            self.holder.batch_execute("BEGIN").await.unwrap();
            let sql = "SELECT FROM bookings WHERE id = $1 FOR UPDATE";
            self.holder
                .execute(sql, &[&self.bookings[booking]])
                .await
                .unwrap();
        }
        let run_once = || self.run_program(as_of, kind, kill_at);
        let summaries = if kind == Kind::Twice {
            let (one, other) = tokio::join!(run_once(), run_once());
            [one?, other?]
        } else {
            [run_once().await?, None]
        };
        if locked.is_some() {
            self.holder.batch_execute("ROLLBACK").await.unwrap();
        }
        Ok(summaries)
    }

    fn compare_summaries(
        &self,
        summaries: &[Option<Value>; 2],
        as_of: Time,
        transitions: Transitions,
        counts: Counts,
        seen: &Seen,
    ) -> Result<(), String> {
        match summaries {
            [Some(summary), None] => {
                self.compare_summary(summary, as_of, transitions, counts)?;
                let held_back = seen
                    .answers
                    .values()
                    .any(|fate| matches!(fate, Fate::Account | Fate::Quota));
                expect_equal("held back", !summary["held_back"].is_null(), held_back)
            }
            [Some(one), Some(other)] => compare_summed_summaries(one, other, transitions, counts),
            _ => Ok(()),
        }
    }

    /// Leases and back-off use the database's real clock: sets what the clock of the history makes
    /// claimable.
    async fn make_retries_claimable(&self) {
        let free: Vec<Uuid> = self
            .reference
            .claimable()
            .into_iter()
            .map(|position| self.events[position])
            .collect();
        let sql = "UPDATE booking_automation_events
                      SET next_attempt_at = now() + CASE WHEN id = ANY ($1) THEN interval '0' ELSE interval '1 hour' END
                    WHERE status IN ('pending', 'sending')";
        self.app.sql(sql, &[&free]).await;
    }

    /// Sets the endpoint's answers; the log gets event, address and answer of each request.
    fn set_mail_answers(
        &self,
        fates: [Answers; PEOPLE],
        log: Arc<Mutex<Vec<(String, String, Fate)>>>,
        silent: bool,
    ) {
        self.app.ses.clear();
        self.app.ses.answer(move |mail| {
            let person: usize = mail.to()[..1].parse().unwrap();
            let fate = if silent {
                Fate::Doubt
            } else {
                fates[person].fate()
            };
            log.lock()
                .unwrap()
                .push((mail.event_id().to_owned(), mail.to().to_owned(), fate));
            if silent {
                Answer::Silence
            } else {
                fates[person].answer()
            }
        });
    }

    /// The summary, or `None` if the program is killed when so many requests are in flight.
    async fn run_program(
        &self,
        as_of: Time,
        kind: Kind,
        kill_at: Option<usize>,
    ) -> Result<Option<Value>, String> {
        let as_of = moment(as_of).to_rfc3339();
        let mut arguments = vec!["run", "--as-of", &as_of];
        match kind {
            Kind::DryRun => arguments.push("--dry-run"),
            Kind::Silence => arguments.extend(["--for", "6s"]),
            Kind::Usual | Kind::Unreachable | Kind::Killed | Kind::Twice => {}
        }
        let mut command = self.app.command(&arguments);
        if kind == Kind::Unreachable {
            // No process listens on this port.
            command.env("AWS_ENDPOINT_URL_SESV2", "http://127.0.0.1:1");
        }
        let mut process = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let under_way = async {
            match kill_at {
                Some(count) => self.app.ses.wait_for_mails(count).await,
                None => std::future::pending().await,
            }
        };
        let killed = tokio::select! {
            _ = process.wait() => false,
            () = under_way => true,
        };
        if killed {
            process.kill().await.unwrap();
            return Ok(None);
        }
        let (mut stdout, mut stderr) = (String::new(), String::new());
        process
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut stdout)
            .await
            .unwrap();
        process
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .await
            .unwrap();
        if kill_at.is_some() {
            return Err(format!(
                "the call ended before all it should have sent was under way: {stdout} {stderr}"
            ));
        }
        serde_json::from_str(&stdout)
            .map(Some)
            .map_err(|error| format!("no summary, {error}: {stdout} {stderr}"))
    }

    async fn compare_dry_run(&mut self, as_of: Time) -> Result<(), String> {
        let everything = "SELECT md5(string_agg(line, ',' ORDER BY line)) FROM (
            SELECT b::text AS line FROM bookings b UNION ALL SELECT e::text FROM booking_automation_events e
            UNION ALL SELECT l::text FROM booking_automation_looks l UNION ALL SELECT r::text FROM automation_runs r
            UNION ALL SELECT s::text FROM booking_automation_state s) AS lines";
        let before = self.app.column(everything, &[]).await;
        let summary = self.run_program(as_of, Kind::DryRun, None).await?.unwrap();
        expect_equal(
            "everything, after a dry run",
            self.app.column(everything, &[]).await,
            before,
        )?;
        let mut reference = self.reference.clone();
        let transitions = reference.advance(as_of, None);
        let (_, skipped) = reference.decide_reminders(as_of);
        let deferred = i64::try_from(reference.claimable().len()).unwrap();
        self.compare_summary(
            &summary,
            as_of,
            transitions,
            Counts {
                skipped,
                deferred,
                ..Counts::default()
            },
        )
    }

    /// The reminders' rows, in the order of the reference's.
    async fn reminder_rows(&self) -> Vec<Found> {
        let sql = "SELECT e.id, e.seq, e.booking_id, e.revision, e.rule, e.audience, e.channel, e.scheduled_at, e.starts_at, e.status,
                          e.reason, e.attempts, extract(epoch FROM e.next_attempt_at - clock_timestamp())::float8,
                          ARRAY(SELECT a ->> 'outcome' FROM jsonb_array_elements(e.event_data -> 'attempts') WITH ORDINALITY AS t (a, n)
                                 ORDER BY n)
                     FROM booking_automation_events e WHERE e.event_type = 'reminder_sent'";
        let rows = self.app.db.query(sql, &[]).await.unwrap();
        rows.iter().map(Found::new).collect()
    }

    /// Matches the rows with the reference's reminders: the same number, with the same bookings,
    /// rules, due times and starts, and with equal revisions where the reference has equal ones.
    fn match_rows(&mut self, rows: &[Found], given_before: usize) -> Result<(), String> {
        let known: HashSet<Uuid> = self.events.iter().copied().collect();
        let mut new: Vec<&Found> = rows.iter().filter(|row| !known.contains(&row.id)).collect();
        let position: HashMap<Uuid, usize> = self
            .bookings
            .iter()
            .enumerate()
            .map(|(n, id)| (*id, n))
            .collect();
        new.sort_by_key(|row| {
            (
                position[&row.booking],
                row.audience.clone(),
                row.rule.clone(),
            )
        });
        let mut expected: Vec<usize> = (given_before..self.reference.reminders.len()).collect();
        expected.sort_by_key(|position| {
            let reminder = &self.reference.reminders[*position];
            (
                reminder.booking,
                audience_name(reminder.audience),
                reminder.rule,
            )
        });
        let got: Vec<_> = new
            .iter()
            .map(|row| {
                (
                    position[&row.booking],
                    row.audience.as_str(),
                    row.rule.as_str(),
                    row.due,
                    row.start,
                )
            })
            .collect();
        let should: Vec<_> = expected
            .iter()
            .map(|position| {
                let reminder = &self.reference.reminders[*position];
                (
                    reminder.booking,
                    audience_name(reminder.audience),
                    reminder.rule,
                    moment(reminder.due),
                    moment(reminder.start),
                )
            })
            .collect();
        if got != should {
            return Err(format!("new verdicts: are {got:#?}, should be {should:#?}"));
        }
        self.events
            .resize(self.reference.reminders.len(), Uuid::nil());
        for (position, row) in expected.into_iter().zip(new) {
            self.events[position] = row.id;
            self.reference.reminders[position].seq = row.seq;
        }
        expect_equal("rows", rows.len(), self.events.len())?;
        let found: HashMap<Uuid, &Found> = rows.iter().map(|row| (row.id, row)).collect();
        let mut revisions = HashMap::new();
        for (event, reminder) in self.events.iter().zip(&self.reference.reminders) {
            let Some(row) = found.get(event) else {
                return Err(format!("gone: {reminder:?}"));
            };
            let revision = *revisions
                .entry((reminder.booking, reminder.revision))
                .or_insert(row.revision);
            expect_equal("revision", row.revision, revision)?;
        }
        let kinds: HashSet<_> = revisions
            .iter()
            .map(|((booking, _), revision)| (booking, revision))
            .collect();
        expect_equal("revisions", kinds.len(), revisions.len())
    }

    /// The observed call in the terms of the reference.
    fn observed_call(
        &self,
        rows: &[Found],
        requests: &[(String, String, Fate)],
        kind: Kind,
        killed: bool,
        took: Duration,
    ) -> Result<Seen, String> {
        let position: HashMap<String, usize> = self
            .events
            .iter()
            .enumerate()
            .map(|(position, id)| (id.to_string(), position))
            .collect();
        let mut answers = HashMap::new();
        for (event, to, fate) in requests {
            let Some(position) = position.get(event) else {
                return Err(format!("sent, and on no record: {event}"));
            };
            let reminder = &self.reference.reminders[*position];
            let mailbox = self.reference.mailbox(reminder.booking, reminder.audience);
            let person = self
                .reference
                .recipient(reminder.booking, reminder.audience);
            let address =
                mailbox.and_then(|mailbox| email_address(person.unwrap_or_default(), mailbox));
            expect_equal("sent to", Some(to.as_str()), address.as_deref())?;
            if answers.insert(*position, *fate).is_some() {
                return Err(format!("sent twice in one call: {reminder:?}"));
            }
        }
        let failed = rows
            .iter()
            .filter(|row| row.status == "failed")
            .map(|row| position[&row.id.to_string()])
            .collect();
        // On a slow machine a claim may become too old to send: it is released after three seconds.
        let short = kind == Kind::Silence || took > Duration::from_secs(3);
        Ok(Seen {
            answers,
            failed,
            unreachable: kind == Kind::Unreachable,
            killed,
            short,
        })
    }

    fn compare_reminders(
        &self,
        rows: &[Found],
        touched: &[usize],
        took: Duration,
    ) -> Result<(), String> {
        let found: HashMap<Uuid, &Found> = rows.iter().map(|row| (row.id, row)).collect();
        for (position, reminder) in self.reference.reminders.iter().enumerate() {
            let row = found[&self.events[position]];
            let state = match reminder.state {
                State::Pending => "pending",
                State::Sending => "sending",
                State::Completed => "completed",
                State::Failed => "failed",
                State::Skipped => "skipped",
            };
            let got = (
                row.status.as_str(),
                row.reason.as_deref(),
                row.attempts,
                row.outcomes.as_slice(),
            );
            let outcomes: Vec<String> = reminder
                .outcomes
                .iter()
                .map(|outcome| (*outcome).to_owned())
                .collect();
            let should = (
                state,
                reminder.reason,
                reminder.attempts,
                outcomes.as_slice(),
            );
            if got != should {
                return Err(format!(
                    "{}: is {got:?}, should be {should:?}",
                    self.describe(reminder)
                ));
            }
            let waits = matches!(reminder.state, State::Pending | State::Sending);
            expect_equal("whether it waits", row.waits.is_some(), waits)?;
            if let Some(waits) = row.waits.filter(|_| touched.contains(&position)) {
                let expected = (reminder.free_at - self.reference.now) as f64;
                if waits > expected || waits < expected - took.as_secs_f64() - 5.0 {
                    return Err(format!(
                        "{}: waits {waits} s, should {expected}",
                        self.describe(reminder)
                    ));
                }
            }
        }
        Ok(())
    }

    fn describe(&self, reminder: &Reminder) -> String {
        format!(
            "at {}, {reminder:?} of {:?}",
            self.reference.now, self.reference.bookings[reminder.booking]
        )
    }

    async fn compare_bookings(
        &mut self,
        locked: Option<usize>,
        killed: bool,
    ) -> Result<(), String> {
        let sql = "SELECT id, status, completed_at, coalesce(auto_status_updated, false),
                          reminder_24h_sent, reminder_1h_sent, reminder_15m_sent, automation_logs FROM bookings";
        let rows = self.app.db.query(sql, &[]).await.unwrap();
        let rows: HashMap<Uuid, &Row> = rows.iter().map(|row| (row.get(0), row)).collect();
        if killed {
            self.flags_behind.extend(0..self.bookings.len());
        } else {
            self.flags_behind.clear();
            self.flags_behind.extend(locked);
        }
        for (position, booking) in self.reference.bookings.iter().enumerate() {
            let Some(row) = rows.get(&self.bookings[position]) else {
                expect_equal("gone", true, booking.deleted)?;
                continue;
            };
            let automatic: Vec<_> = booking
                .changes
                .iter()
                .filter(|change| change.automatic)
                .collect();
            let got = (
                row.get::<_, &str>(1),
                row.get::<_, Option<DateTime<Utc>>>(2),
                row.get::<_, bool>(3),
            );
            let should = (
                booking.status,
                booking.completed_at.map(moment),
                !automatic.is_empty(),
            );
            if got != should {
                return Err(format!(
                    "at {}, {booking:?}: is {got:?}, should be {should:?}",
                    self.reference.now
                ));
            }
            let log: Value = row.get(7);
            let log = log.as_array().unwrap().iter().map(|entry| {
                let time = |name: &str| {
                    entry[name]
                        .as_str()
                        .unwrap()
                        .parse::<DateTime<Utc>>()
                        .unwrap()
                };
                json!([entry["from"], entry["to"], time("due_at"), time("at")])
            });
            let should = automatic.iter().map(|change| {
                json!([
                    change.from,
                    change.to,
                    moment(change.due),
                    moment(change.at)
                ])
            });
            expect_equal(
                "automation_logs",
                log.collect::<Vec<_>>(),
                should.collect::<Vec<_>>(),
            )?;
            if !self.flags_behind.contains(&position) {
                let flags = [4, 5, 6].map(|column| row.get::<_, bool>(column));
                let should =
                    ["24h", "1h", "15m"].map(|rule| self.reference.expected_flag(position, rule));
                expect_equal(&format!("flags of {booking:?}"), flags, should)?;
            }
        }
        let there = self
            .reference
            .bookings
            .iter()
            .filter(|booking| !booking.deleted)
            .count();
        expect_equal("bookings", rows.len(), there)
    }

    /// Every status change has exactly one event.
    async fn compare_changes(&self) -> Result<(), String> {
        let sql = "SELECT booking_id, event_data ->> 'from', event_data ->> 'to', event_data ->> 'by', scheduled_at, executed_at, status
                     FROM booking_automation_events WHERE event_type = 'status_update' ORDER BY seq";
        let rows = self.app.db.query(sql, &[]).await.unwrap();
        let mut found: HashMap<Uuid, Vec<_>> = HashMap::new();
        for row in &rows {
            expect_equal("a change's event", row.get::<_, &str>(6), "completed")?;
            let automatic = row.get::<_, &str>(3) == "booking-automation";
            found.entry(row.get(0)).or_default().push((
                row.get::<_, &str>(1),
                row.get::<_, &str>(2),
                automatic,
                row.get::<_, DateTime<Utc>>(4),
                row.get::<_, DateTime<Utc>>(5),
            ));
        }
        for (id, booking) in self.bookings.iter().zip(&self.reference.bookings) {
            let should: Vec<_> = booking
                .changes
                .iter()
                .map(
                    |Change {
                         from,
                         to,
                         automatic,
                         due,
                         at,
                     }| (*from, *to, *automatic, moment(*due), moment(*at)),
                )
                .collect();
            expect_equal(
                "events of the changes",
                found.remove(id).unwrap_or_default(),
                should,
            )?;
        }
        expect_equal("events of other bookings", found.len(), 0)
    }

    fn compare_summary(
        &self,
        summary: &Value,
        as_of: Time,
        transitions: Transitions,
        counts: Counts,
    ) -> Result<(), String> {
        let Counts {
            sent,
            retrying,
            unknown,
            failed,
            skipped,
            deferred,
        } = counts;
        let Transitions {
            started,
            completed,
            expired,
            reopened,
            remaining,
        } = transitions;
        let told: DateTime<Utc> = summary["as_of"].as_str().unwrap().parse().unwrap();
        expect_equal("as_of", told, moment(as_of))?;
        let mut transitions = json!({"started": started, "completed": completed, "expired": expired, "remaining": remaining});
        if reopened > 0 {
            transitions["reopened"] = reopened.into();
        }
        expect_equal("transitions", &summary["transitions"], &transitions)?;
        let due = sent + retrying + unknown + failed + skipped + deferred;
        let reminders = json!({"due": due, "sent": sent, "retrying": retrying, "unknown": unknown, "failed": failed,
                               "skipped": skipped, "deferred": deferred});
        expect_equal("reminders", &summary["reminders"], &reminders)?;
        if summary["outcome"] == "completed" {
            let waiting: Vec<_> = self
                .reference
                .reminders
                .iter()
                .filter(|reminder| matches!(reminder.state, State::Pending | State::Sending))
                .collect();
            expect_equal(
                "backlog",
                summary["backlog"]["pending"].as_u64(),
                waiting.len().try_into().ok(),
            )?;
            let oldest = summary["backlog"]["oldest_due_at"]
                .as_str()
                .map(|time| time.parse::<DateTime<Utc>>().unwrap());
            expect_equal(
                "oldest",
                oldest,
                waiting.iter().map(|reminder| moment(reminder.due)).min(),
            )?;
        }
        Ok(())
    }
}

/// Of two concurrent calls one may be skipped; together they do the work of one.
fn compare_summed_summaries(
    one: &Value,
    other: &Value,
    transitions: Transitions,
    counts: Counts,
) -> Result<(), String> {
    let sum = |part: &str, names: &[&str]| -> i64 {
        [one, other]
            .iter()
            .filter(|summary| summary["outcome"] == "completed")
            .flat_map(|summary| {
                names
                    .iter()
                    .map(|name| summary[part][*name].as_i64().unwrap_or_default())
            })
            .sum()
    };
    expect_equal(
        "transitions of both",
        sum(
            "transitions",
            &["started", "completed", "expired", "reopened"],
        ),
        transitions.total(),
    )?;
    let Counts {
        sent,
        retrying,
        unknown,
        failed,
        skipped,
        deferred: _,
    } = counts;
    for (name, count) in [
        ("sent", sent),
        ("retrying", retrying),
        ("unknown", unknown),
        ("failed", failed),
        ("skipped", skipped),
    ] {
        expect_equal(&format!("{name} of both"), sum("reminders", &[name]), count)?;
    }
    Ok(())
}

/// A reminder's row.
struct Found {
    id: Uuid,
    seq: i64,
    booking: Uuid,
    revision: i32,
    rule: String,
    audience: String,
    due: DateTime<Utc>,
    start: DateTime<Utc>,
    status: String,
    reason: Option<String>,
    attempts: i32,
    /// Seconds until the next attempt.
    waits: Option<f64>,
    outcomes: Vec<String>,
}

impl Found {
    fn new(row: &Row) -> Self {
        assert_eq!(row.get::<_, &str>(6), "email");
        Self {
            id: row.get(0),
            seq: row.get(1),
            booking: row.get(2),
            revision: row.get(3),
            rule: row.get(4),
            audience: row.get(5),
            due: row.get(7),
            start: row.get(8),
            status: row.get(9),
            reason: row.get(10),
            attempts: row.get(11),
            waits: row.get(12),
            outcomes: row.get(13),
        }
    }
}
