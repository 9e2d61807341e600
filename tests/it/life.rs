//! Random lives of bookings: steps by all roles, cancellations, passes and direct writes near the
//! booking's times. Each is compared with the reference: the answer, the booking, the audit trail
//! and the cancellation options.
//!
//! `HISTORIES` and `SEED` (environment variables) set the number and the seed.

use chrono::{DateTime, Duration, Utc};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, STATUSES, noon};
use crate::http::Server;
use crate::life_reference::{By, Change, Edit, Life, ROLES, Role, Time};
use crate::status::{ask, support};

/// The number of lives in `make test`.
const LIVES: u32 = 40;
/// The most elements of one life; some have several steps.
const STEPS: usize = 12;
const MINUTE: Time = 60;
const HOUR: Time = 60 * MINUTE;
/// The moments of steps. Each has a server with its own clock.
const MOMENTS: [Time; 9] = [
    0,
    10 * MINUTE,
    HOUR,
    2 * HOUR,
    12 * HOUR,
    13 * HOUR,
    24 * HOUR,
    26 * HOUR,
    60 * HOUR,
];
/// An odd number of cents, so that halves are rounded.
const PRICE: u64 = 9_999;

#[derive(Clone, Debug)]
struct Story {
    expire_pending: bool,
    status: &'static str,
    start: Time,
    minutes: i32,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Waits until one of the next moments.
    Later(usize),
    Pass,
    Ask {
        to: &'static str,
        role: Role,
    },
    Cancel {
        role: Role,
        no_show: bool,
        expects: Expects,
    },
    Write(Edit),
}

/// What a caller who cancels expects to be refunded.
#[derive(Clone, Copy, Debug)]
enum Expects {
    Whatever,
    /// The refund of the option.
    AsTold,
    Other,
}

fn story_strategy() -> BoxedStrategy<Story> {
    (
        any::<bool>(),
        status_strategy(),
        start_strategy(),
        duration_strategy(),
        vec(step_strategy(), 4..=STEPS),
    )
        .prop_map(|(expire_pending, status, start, minutes, steps)| {
            let steps = steps.into_iter().flatten().collect();
            Story {
                expire_pending,
                status,
                start,
                minutes,
                steps,
            }
        })
        .boxed()
}

/// One step, or several that belong together.
fn step_strategy() -> BoxedStrategy<Vec<Step>> {
    let roles = || prop::sample::select(&ROLES[..]);
    let edit = (
        option::weighted(0.4, status_strategy()),
        option::weighted(0.4, start_strategy()),
        option::weighted(0.2, duration_strategy()),
        option::weighted(0.5, any::<bool>()),
    )
        .prop_map(|(status, start, minutes, blocked)| {
            Step::Write(Edit {
                status,
                start,
                minutes,
                blocked,
            })
        });
    // Statuses that time changes.
    let revived = (
        prop::sample::select(&["confirmed", "confirmed", "pending", "in_progress"][..]),
        start_strategy(),
    )
        .prop_map(|(status, start)| {
            Step::Write(Edit {
                status: Some(status),
                start: Some(start),
                ..Edit::default()
            })
        });
    let blocked = |blocked| {
        Step::Write(Edit {
            blocked: Some(blocked),
            ..Edit::default()
        })
    };
    let ask = || {
        let to = prop_oneof![
            6 => prop::sample::select(&["confirmed", "in_progress", "completed", "refunded", "cancelled", "pending"][..]),
            1 => prop::sample::select(&STATUSES[..]),
        ];
        (to, roles()).prop_map(|(to, role)| Step::Ask { to, role })
    };
    let who = prop_oneof![
        3 => (roles(), Just(false)),
        3 => Just((Role::Provider, true)),
        1 => (roles(), Just(true)),
    ];
    let expects = prop_oneof![3 => Just(Expects::Whatever), 2 => Just(Expects::AsTold), 1 => Just(Expects::Other)];
    let cancel = (who, expects).prop_map(|((role, no_show), expects)| Step::Cancel {
        role,
        no_show,
        expects,
    });
    let later = || (1..3_usize).prop_map(Step::Later);
    let back = || {
        let to = prop::sample::select(&["confirmed", "in_progress", "pending"][..]);
        (to, prop::sample::select(&ROLES[1..])).prop_map(|(to, role)| Step::Ask { to, role })
    };
    // An automatic step is reverted, and the booking goes on.
    let taken_back = (
        revived.clone(),
        later(),
        back(),
        back(),
        option::of(any::<bool>()),
        later(),
    )
        .prop_map(move |(revived, later, one, other, block, later_still)| {
            let mut steps = vec![revived, later, Step::Pass, one, other, Step::Pass];
            steps.extend(
                block
                    .into_iter()
                    .flat_map(|again| [blocked(false), blocked(again)]),
            );
            steps.extend([later_still, Step::Pass]);
            steps
        });
    // A booking that may have been started by time is moved.
    let moved = (revived.clone(), start_strategy(), ask(), later()).prop_map(
        |(revived, start, ask, later)| {
            let moved = Step::Write(Edit {
                start: Some(start + 24 * HOUR),
                ..Edit::default()
            });
            vec![
                revived,
                Step::Pass,
                moved,
                ask,
                Step::Pass,
                later,
                Step::Pass,
            ]
        },
    );
    let one = prop_oneof![3 => later(), 3 => Just(Step::Pass), 4 => ask(), 5 => cancel.clone(), 1 => edit];
    prop_oneof![
        5 => one.prop_map(|step| vec![step]),
        2 => (revived.clone(), cancel.clone()).prop_map(|(revived, cancel)| vec![revived, cancel]),
        2 => (revived, ask(), cancel).prop_map(|(revived, ask, cancel)| vec![revived, ask, cancel]),
        2 => taken_back,
        2 => moved,
    ]
    .boxed()
}

fn status_strategy() -> BoxedStrategy<&'static str> {
    prop_oneof![8 => Just("confirmed"), 2 => Just("in_progress"), 2 => Just("pending"), 1 => prop::sample::select(&STATUSES[..])]
        .boxed()
}

/// A moment, or 12 or 24 hours after it, with one second more or less.
fn start_strategy() -> BoxedStrategy<Time> {
    let lead = prop::sample::select(&[0, 0, 0, 12 * HOUR, 24 * HOUR, -HOUR][..]);
    (prop::sample::select(&MOMENTS[..]), lead, -1..=1_i64)
        .prop_map(|(moment, lead, off)| moment + lead + off)
        .boxed()
}

fn duration_strategy() -> BoxedStrategy<i32> {
    prop_oneof![4 => Just(60), 2 => Just(600), 1 => Just(0), 1 => Just(-30), 1 => 1..200_i32]
        .boxed()
}

#[test]
fn random_booking_lives_match_the_reference() {
    let setting = |name| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect(name))
    };
    let (count, seed) = (setting("HISTORIES"), setting("SEED").unwrap_or(1));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: count.map_or(LIVES, |count| count.try_into().unwrap()),
        max_shrink_iters: 400,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stages = runtime.block_on(async { [Stage::new(false).await, Stage::new(true).await] });
    let figures = std::cell::RefCell::new(Figures::default());
    let result = runner.run(&story_strategy(), |story| {
        let stage = &stages[usize::from(story.expire_pending)];
        let mut figures = figures.borrow_mut();
        runtime
            .block_on(stage.run_story(&story, &mut figures))
            .map_err(TestCaseError::fail)
    });
    if let Err(TestError::Fail(reason, story)) = &result {
        panic!("{reason}\nSEED={seed}, made small: {story:#?}");
    }
    result.unwrap();
    let figures = figures.into_inner();
    if count.is_some() {
        use std::io::Write;
        std::io::stderr()
            .write_all(format!("{figures:?}, SEED={seed}\n").as_bytes())
            .unwrap();
    }
    // Every kind of step happened.
    let Figures {
        taken,
        refused,
        taken_back,
        cancelled,
        no_shows,
        surprises,
        automatic,
    } = figures;
    for figure in [
        taken, refused, taken_back, cancelled, no_shows, surprises, automatic,
    ] {
        assert!(figure > 0, "{figures:?}");
    }
}

/// What all histories did.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    taken: u32,
    refused: u32,
    taken_back: u32,
    cancelled: u32,
    no_shows: u32,
    surprises: u32,
    automatic: u32,
}

/// A database and a server for each moment.
struct Stage {
    app: App,
    servers: Vec<Server>,
}

fn moment(time: Time) -> DateTime<Utc> {
    noon() + Duration::seconds(time)
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

fn cents(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

impl Stage {
    async fn new(expire_pending: bool) -> Self {
        let mut app = App::new().await;
        app.env.insert("EXPIRE_PENDING", expire_pending.to_string());
        let mut servers = Vec::new();
        for time in MOMENTS {
            servers.push(support(&mut app, moment(time)).await);
        }
        Self { app, servers }
    }

    async fn run_story(&self, story: &Story, figures: &mut Figures) -> Result<(), String> {
        let app = &self.app;
        // Without reminders and rate limits.
        app.db
            .batch_execute("TRUNCATE bookings, booking_automation_state, booking_automation_looks, automation_runs; DELETE FROM reminder_rules;
                            DELETE FROM booking_automation_callers")
            .await
            .unwrap();
        app.set_clock(noon()).await;
        let sql = "INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, total_price)
                   VALUES ($1, $2, $3, $4, $5, $6, $7::text::numeric) RETURNING id";
        let (start, price) = (moment(story.start), cents(PRICE));
        let row = app
            .one(
                sql,
                &[
                    &app.customer,
                    &app.provider,
                    &app.service,
                    &story.status,
                    &start,
                    &story.minutes,
                    &price,
                ],
            )
            .await;
        let mut play = Play {
            stage: self,
            id: row.get(0),
            now: 0,
            life: Life {
                expire_after: 24 * HOUR,
                complete_after: 0,
                expire_pending: story.expire_pending,
                price: PRICE,
                status: story.status,
                start: story.start,
                minutes: story.minutes,
                blocked: false,
                taken_back: false,
                unblocked_at: None,
                completed_at: None,
                cancelled_at: None,
                changes: Vec::new(),
            },
            figures,
        };
        for (position, step) in story.steps.iter().enumerate() {
            let seen = match play.apply_step(*step).await {
                Ok(()) => play.compare_booking().await,
                Err(error) => Err(error),
            };
            seen.map_err(|error| {
                format!("step {position}, {step:?}, at {}: {error}", play.time())
            })?;
        }
        let by_time = play
            .life
            .changes
            .iter()
            .filter(|change| change.by == By::Automation)
            .count();
        play.figures.automatic += u32::try_from(by_time).unwrap();
        Ok(())
    }
}

/// A running life.
struct Play<'a> {
    stage: &'a Stage,
    id: Uuid,
    /// The index of the moment.
    now: usize,
    life: Life,
    figures: &'a mut Figures,
}

impl Play<'_> {
    fn time(&self) -> Time {
        MOMENTS[self.now]
    }

    async fn post(&self, route: &str, body: Value) -> (u16, Value) {
        let path = format!("/bookings/{}/{route}", self.id);
        let answer = ask(
            &self.stage.servers[self.now],
            "POST",
            &path,
            &[],
            body.to_string().as_bytes(),
        )
        .await;
        (answer.status, answer.json())
    }

    async fn apply_step(&mut self, step: Step) -> Result<(), String> {
        let app = &self.stage.app;
        match step {
            Step::Later(moments) => self.now = (self.now + moments).min(MOMENTS.len() - 1),
            Step::Pass => {
                app.run(moment(self.time())).await;
                self.life.advance(self.time());
            }
            Step::Ask { to, role } => {
                let taken = self.life.take_step(to, role, false, self.time());
                let answer = self
                    .post("status", json!({"to": to, "actor": {"role": role.name()}}))
                    .await;
                self.compare_answer(taken, to, answer)?;
            }
            Step::Cancel {
                role,
                no_show,
                expects,
            } => {
                let told = self.compare_cancellation_option(role, no_show).await?;
                let expected_refund = match expects {
                    Expects::Whatever => None,
                    Expects::AsTold => told.map(cents),
                    Expects::Other => Some(cents(told.unwrap_or_default() + 1)),
                };
                let before = self.life.clone();
                let mut taken = self.life.take_step("cancelled", role, no_show, self.time());
                expect_equal(
                    "what was told",
                    taken.and_then(|change| change.refund),
                    told,
                )?;
                let body = json!({"actor": {"role": role.name()}, "no_show": no_show, "expected_refund": expected_refund});
                let answer = self.post("cancellation", body).await;
                if taken.is_some() && matches!(expects, Expects::Other) {
                    expect_equal("the field", &answer.1["field"], &json!("expected_refund"))?;
                    (self.life, taken) = (before, None);
                    self.figures.surprises += 1;
                }
                self.figures.no_shows += u32::from(taken.is_some() && no_show);
                self.compare_answer(taken, "cancelled", answer)?;
            }
            Step::Write(write) => {
                app.set_clock(moment(self.time())).await;
                let sql =
                    "UPDATE bookings SET status = coalesce($2, status), scheduled_at = coalesce($3, scheduled_at),
                                  duration_minutes = coalesce($4, duration_minutes),
                                  auto_complete_blocked = coalesce($5, auto_complete_blocked) WHERE id = $1";
                let start = write.start.map(moment);
                app.sql(
                    sql,
                    &[
                        &self.id,
                        &write.status,
                        &start,
                        &write.minutes,
                        &write.blocked,
                    ],
                )
                .await;
                self.life.apply_edit(write, self.time());
            }
        }
        Ok(())
    }

    fn compare_answer(
        &mut self,
        taken: Option<Change>,
        to: &str,
        (status, answer): (u16, Value),
    ) -> Result<(), String> {
        let Some(change) = taken else {
            self.figures.refused += 1;
            let known = [
                "pending",
                "confirmed",
                "in_progress",
                "completed",
                "expired",
                "cancelled",
                "refunded",
            ];
            return expect_equal(
                &format!("{answer}"),
                status,
                if known.contains(&to) { 409 } else { 422 },
            );
        };
        self.figures.taken += 1;
        self.figures.cancelled += u32::from(change.refund.is_some());
        expect_equal(&format!("{answer}"), status, 200)?;
        expect_equal("from", &answer["from"], &json!(change.from))?;
        expect_equal("to", &answer["to"], &json!(change.to))?;
        expect_equal(
            "refund",
            &answer["refund"]["amount"],
            &json!(change.refund.map(cents)),
        )?;
        self.figures.taken_back += u32::from(change.takes_back);
        expect_equal(
            "automation_blocked",
            &answer["automation_blocked"],
            &json!(change.takes_back),
        )
    }

    /// Compares one cancellation option; returns the refund.
    async fn compare_cancellation_option(
        &self,
        role: Role,
        no_show: bool,
    ) -> Result<Option<u64>, String> {
        let path = format!("/bookings/{}/cancellation", self.id);
        let told = ask(&self.stage.servers[self.now], "GET", &path, &[], b"")
            .await
            .json();
        let mut options = told["options"].as_array().ok_or(told.to_string())?.iter();
        let option = options
            .find(|option| option["role"] == role.name() && option["no_show"] == no_show)
            .cloned()
            .unwrap_or_default();
        let expected = self.life.cancellation_option(role, no_show, self.time());
        if option.is_null() {
            // Only providers have an option for a no-show.
            return expect_equal("no option", expected, None).map(|()| None);
        }
        let got = (
            option["allowed"].clone(),
            option["refund"]["amount"].clone(),
            option["before"].clone(),
        );
        let before = expected.and_then(|(_, before)| before).map(moment);
        expect_equal(
            "the outlook",
            got,
            (
                json!(expected.is_some()),
                json!(expected.map(|(refund, _)| cents(refund))),
                json!(before),
            ),
        )?;
        Ok(expected.map(|(refund, _)| refund))
    }

    /// The booking and its trail.
    async fn compare_booking(&self) -> Result<(), String> {
        let app = &self.stage.app;
        let sql = "SELECT status, auto_complete_blocked IS TRUE, completed_at, cancelled_at FROM bookings WHERE id = $1";
        let row = app.one(sql, &[&self.id]).await;
        let Life {
            status,
            blocked,
            completed_at,
            cancelled_at,
            changes,
            ..
        } = &self.life;
        expect_equal("the status", row.get::<_, String>(0).as_str(), *status)?;
        expect_equal("auto_complete_blocked", row.get(1), *blocked)?;
        expect_equal("completed_at", row.get(2), completed_at.map(moment))?;
        expect_equal("cancelled_at", row.get(3), cancelled_at.map(moment))?;
        let sql = "SELECT concat_ws(' ', event_data ->> 'from', event_data ->> 'to',
                                    CASE WHEN event_data ->> 'by' = session_user THEN 'backend' ELSE event_data ->> 'by' END,
                                    event_data -> 'refund' ->> 'amount')
                     FROM booking_automation_events WHERE booking_id = $1 AND event_type = 'status_update' ORDER BY seq";
        let told = |change: &Change| {
            let by = match change.by {
                By::Automation => "booking-automation",
                By::Role(role) => role.name(),
                By::Backend => "backend",
            };
            let refund = change
                .refund
                .map(|refund| format!(" {}", cents(refund)))
                .unwrap_or_default();
            format!("{} {} {by}{refund}", change.from, change.to)
        };
        expect_equal(
            "the trail",
            app.column(sql, &[&self.id]).await,
            changes.iter().map(told).collect(),
        )
    }
}

/// Takes an allowed step as support.
async fn take_allowed_step(server: &Server, id: Uuid, to: &str) {
    let body = json!({"to": to, "actor": {"role": "admin"}}).to_string();
    let answer = ask(
        server,
        "POST",
        &format!("/bookings/{id}/status"),
        &[],
        body.as_bytes(),
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_pending_booking_whose_expiry_was_reverted_does_not_expire_again() {
    let mut app = App::new().await;
    app.env.insert("EXPIRE_PENDING", "true".to_owned());
    let id = app.booking("pending", noon()).await;
    app.run(noon()).await;
    assert_eq!(app.status(id).await, "expired");
    let server = support(&mut app, noon()).await;
    take_allowed_step(&server, id, "pending").await;
    assert_eq!(
        app.run(noon() + Duration::minutes(1)).await["transitions"]["expired"],
        0
    );
    assert_eq!(app.status(id).await, "pending");
    // The booking expires after it is unblocked.
    app.sql(
        "UPDATE bookings SET auto_complete_blocked = false WHERE id = $1",
        &[&id],
    )
    .await;
    app.run(noon() + Duration::minutes(2)).await;
    assert_eq!(app.status(id).await, "expired");
}

#[tokio::test]
async fn a_new_block_does_not_prevent_the_start_as_a_reverted_step_does() {
    let mut app = App::new().await;
    let id = app.booking("confirmed", noon()).await;
    app.run(noon()).await;
    let server = support(&mut app, noon()).await;
    take_allowed_step(&server, id, "confirmed").await;
    app.run(noon() + Duration::minutes(1)).await;
    assert_eq!(app.status(id).await, "confirmed", "the step was reverted");
    // A block by the backend prevents the completion and not the start.
    for blocked in [false, true] {
        app.sql(
            "UPDATE bookings SET auto_complete_blocked = $2 WHERE id = $1",
            &[&id, &blocked],
        )
        .await;
    }
    app.run(noon() + Duration::minutes(2)).await;
    assert_eq!(app.status(id).await, "in_progress");
}
