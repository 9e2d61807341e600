//! Several concurrent instances are killed at every named point and at random moments. The database
//! and the endpoints of mail, SMS, push messages and webhooks fail in every way, while another client changes the same bookings. Then
//! the faults stop, and the result is evaluated from the history of the bookings, the traffic and
//! the requests at the mail endpoint.
//!
//! `make test` runs it short. `make chaos` runs it long: `SEED=` repeats the random choices of an
//! earlier run (points, faults and load; not the timing of the operating system), `KILLS=` sets the
//! length.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::app::{App, connect};
use crate::chaos_answers::Channel;
use crate::chaos_hooks::{self, Hooks};
use crate::chaos_load::{self, Shared};
use crate::chaos_mail::{self, Mail, PUBLIC_URL};
use crate::chaos_report::{self, Restarts, Run};
use crate::chaos_wire::{self, Action, Held, Kill, Plan, Point, Slot};
use crate::client::request;
use crate::cluster::{OwnCluster, faketime_library};
use crate::http::Server;
use crate::isolation::{STATES, peak_memory};
use crate::proxy::{Cut, Proxy};
use crate::runtime_api::{Instance, Outcome};

const THEIRS: &str = include_str!("theirs.sql");
const SETUP: &str = include_str!("chaos.sql");
const VERDICT: &str = include_str!("chaos_verdict.sql");

/// Concurrent instances.
const INSTANCES: usize = 6;
/// Sessions of the other client.
const SESSIONS: u64 = 6;
/// Time of an invocation. The call has two seconds less.
const INVOCATION: Duration = Duration::from_secs(30);
/// How many seconds the clock of each instance is ahead, if libfaketime is installed.
const AHEAD: [i64; INSTANCES] = [0, 600, -600, 0, 600, -600];
/// The other client books nothing while so many messages wait,
const ENOUGH_WAITING: i64 = 250;
/// or so many SES events.
const ENOUGH_UNTOLD: usize = 1000;
/// Longest time without a kill or a message.
const STANDSTILL: Duration = Duration::from_secs(120);
/// Longest time for everything to become quiet in the end.
const QUIET_WITHIN: Duration = Duration::from_secs(300);
/// Kills of a run whose tables go into the documents.
const DOCUMENTED: u64 = 10_000;
const EXPIRE_AFTER: &str = "600s";
const COMPLETE_AFTER: &str = "5s";

/// Before the second attempt of a webhook message and so on: as many as there may be, so that none is
/// given up. They are divided like the other waits.
const HOOKS_RETRY_AFTER: [&str; 20] = ["6s"; 20];
/// Points at which an instance is stopped.
const STOPS: [Point; 6] = [
    Point::RequestArrived,
    Point::AnswerWritten,
    Point::TextArrived,
    Point::PushArrived,
    Point::Claimed,
    Point::Claimed,
];

/// The length of the run.
pub struct Length {
    /// The seed of the random choices.
    pub seed: u64,
    /// Instances that must have been killed.
    pub kills: u64,
    /// Messages that must have been taken.
    messages: usize,
    /// The divisor of the delivery's times: 6 makes a lease of 45 s one of 7.5 s. A message must be
    /// sent within 3 s of its claim, divided alike: with 12 a machine with other work lets no message
    /// through.
    divisor: u32,
    /// Whether it is `make chaos`.
    long: bool,
}

impl Length {
    fn from_environment() -> Self {
        let number = |name: &str| {
            std::env::var(name)
                .ok()
                .map(|text| text.parse::<u64>().expect("a whole number"))
        };
        let long = std::env::var_os("CHAOS").is_some();
        let seed = number("SEED").unwrap_or_else(|| {
            if long {
                fastrand::u64(1..1_000_000_000)
            } else {
                7
            }
        });
        let kills = number("KILLS").unwrap_or(if long { DOCUMENTED } else { 120 });
        let divisor = if long { 12 } else { 6 };
        let messages = usize::try_from(kills).unwrap() * if long { 20 } else { 1 };
        Self {
            seed,
            kills,
            messages,
            divisor,
            long,
        }
    }

    /// How long an instance is stopped: longer than its leases.
    fn stop_duration(&self, rng: &mut fastrand::Rng) -> Duration {
        let claims_last = Duration::from_secs(45 + 120) / self.divisor;
        claims_last + Duration::from_millis(rng.u64(500..2000))
    }

    /// Prints to stderr directly: the test runner hides the output of tests.
    fn print_progress(&self, what: &str) {
        if self.long || std::env::var_os("PROGRESS").is_some() {
            std::io::stderr()
                .write_all(format!("{what}\n").as_bytes())
                .unwrap();
        }
    }
}

/// The state that all tasks share.
pub struct World {
    /// The endpoints of mail, SMS and push messages.
    pub mail: Arc<Mail>,
    /// The endpoints of webhooks.
    pub hooks: Arc<Hooks>,
    /// The other client.
    pub load: Arc<Shared>,
    /// The number of kills at each point.
    pub kills: Mutex<BTreeMap<Point, u64>>,
    /// The results of the calls.
    pub calls: Mutex<BTreeMap<&'static str, u64>>,
    /// Violations by instances, such as panics.
    pub misdeeds: Mutex<Vec<String>>,
    /// Outcomes that were too late to be recorded.
    pub stale: AtomicU64,
    /// Delivered SES events.
    pub told: AtomicU64,
    /// The most memory that an instance had, in MiB.
    pub memory: AtomicU64,
    over: AtomicBool,
}

impl World {
    fn new(length: &Length, database: &str) -> Self {
        let patience = Duration::from_secs(10) / length.divisor;
        Self {
            mail: Arc::new(Mail::new(length.seed ^ 0xe1, patience)),
            hooks: Arc::new(Hooks::new(length.seed ^ 0xf1, patience, database)),
            load: Arc::default(),
            kills: Mutex::default(),
            calls: Mutex::default(),
            misdeeds: Mutex::default(),
            stale: AtomicU64::new(0),
            told: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            over: AtomicBool::new(false),
        }
    }

    /// How many instances were killed.
    pub fn killed(&self) -> u64 {
        self.kills.lock().unwrap().values().sum()
    }

    fn killed_everywhere(&self) -> bool {
        self.points_without_kill().is_empty()
    }

    fn points_without_kill(&self) -> Vec<Point> {
        let kills = self.kills.lock().unwrap();
        let named = Point::NAMED.into_iter();
        named.filter(|point| !kills.contains_key(point)).collect()
    }

    fn count_call(&self, outcome: &Outcome) {
        let what = match outcome {
            Ok(summary) if summary["reason"] == "overlap" => "skipped: overlap",
            Ok(summary) if summary["outcome"] == "completed" => "completed",
            Ok(_) => "SES event recorded",
            Err(_) => "failed",
        };
        *self.calls.lock().unwrap().entry(what).or_default() += 1;
    }
}

/// The place of an instance, which is started again after every kill.
struct Place {
    slot: Arc<Slot>,
    kills: mpsc::UnboundedReceiver<Kill>,
    environment: BTreeMap<&'static str, String>,
    ahead: i64,
    length: Arc<Length>,
    rng: fastrand::Rng,
}

impl Place {
    /// Plans the next life; returns its greatest length.
    fn plan_next_life(&mut self, world: &World) -> Duration {
        let rng = &mut self.rng;
        let mut plans = self.slot.plans.lock().unwrap();
        plans.clear();
        // The run waits for these points alone.
        let missing = world.points_without_kill();
        if world.killed() >= self.length.kills && !missing.is_empty() {
            plans.push_back(Plan {
                point: missing[rng.usize(0..missing.len())],
                after: 0,
                action: Action::Kill,
            });
            return Duration::from_secs(8);
        }
        // The instance is stopped, like a frozen function, for longer than its claims last, and
        // killed later.
        if rng.u8(0..if self.length.long { 50 } else { 20 }) == 0 {
            let point = STOPS[rng.usize(0..STOPS.len())];
            let time = self.length.stop_duration(rng);
            plans.push_back(Plan {
                point,
                after: rng.u32(0..4),
                action: Action::Stop(time),
            });
            return time + Duration::from_millis(rng.u64(2000..10_000));
        }
        // Sometimes a fault that the instance survives.
        if rng.u8(0..10) == 0 {
            let wire: Vec<_> = Point::NAMED
                .into_iter()
                .filter(|point| !point.is_at_endpoint())
                .collect();
            let point = wire[rng.usize(0..wire.len())];
            let action = match rng.u8(0..5) {
                0 | 1 => Action::Cut,
                2 => Action::HalfOpen(half_open_duration(rng)),
                _ => Action::Terminate,
            };
            plans.push_back(Plan {
                point,
                after: rng.u32(0..2),
                action,
            });
        }
        match rng.u8(0..50) {
            0..10 => {
                let action = Action::KillLater(Duration::from_millis(rng.u64(0..60)));
                plans.push_back(Plan {
                    point: Point::AnyMoment,
                    after: rng.u32(0..600),
                    action,
                });
            }
            // Killed before its first request.
            10 => return Duration::from_millis(rng.u64(0..100)),
            _ => {
                let point = Point::NAMED[rng.usize(0..Point::NAMED.len())];
                let most = match point {
                    Point::RequestArrived | Point::AnswerWritten => 20,
                    _ if point.is_at_endpoint() => 6,
                    _ => 4,
                };
                plans.push_back(Plan {
                    point,
                    after: rng.u32(0..most),
                    action: Action::Kill,
                });
            }
        }
        // If there is no work and the point is not reached, the instance is killed at this time.
        Duration::from_millis(rng.u64(8000..16_000))
    }

    /// Lives until the end of the run.
    async fn run_lives(mut self, world: Arc<World>) {
        while !world.over.load(Ordering::SeqCst) {
            while self.kills.try_recv().is_ok() {}
            let longest = self.plan_next_life(&world);
            let life = self.slot.life.fetch_add(1, Ordering::SeqCst) + 1;
            let mut environment = self.environment.clone();
            let url = format!(
                "{}?application_name={}",
                environment["DATABASE_URL"],
                self.slot.session_name(life)
            );
            environment.insert("DATABASE_URL", url);
            let endpoints = format!("{}/{life}", environment["AWS_ENDPOINT_URL_SESV2"]);
            chaos_mail::set_up(&mut environment, &endpoints);
            if self.rng.u8(0..50) == 0 {
                let names = [
                    "AWS_ENDPOINT_URL_SESV2",
                    "AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2",
                    "FCM_ENDPOINT",
                ];
                // No process listens on this port.
                let nowhere = "http://127.0.0.1:1".to_owned();
                environment.insert(names[self.rng.usize(0..names.len())], nowhere);
            }
            let program = Path::new(env!("CARGO_BIN_EXE_booking-automation"));
            let mut instance =
                Instance::start_in_environment(&environment, program, self.ahead).await;
            self.slot
                .process
                .store(instance.process_id(), Ordering::SeqCst);
            let mut news = None;
            let (point, dead) = tokio::select! {
                kill = self.kills.recv() => kill.map(|(point, dead)| (point, Some(dead))).unwrap(),
                () = tokio::time::sleep(longest) => (Point::AnyMoment, None),
                () = invoke_until_over(&instance, &world, &mut self.rng, &mut news) => (Point::AnyMoment, None),
            };
            if let Some(news) = news {
                world.mail.requeue_event(news);
            }
            let ended = instance.try_exit_status();
            let process = self.slot.process.load(Ordering::SeqCst);
            let memory = peak_memory(process);
            world.memory.fetch_max(memory, Ordering::SeqCst);
            let log = if ended.is_some() {
                instance.wait_for_exit().await.1
            } else {
                instance.kill().await
            };
            drop::<Option<oneshot::Sender<()>>>(dead);
            *world.kills.lock().unwrap().entry(point).or_default() += 1;
            self.check_log(&log, ended.is_some(), &world);
            if self.ahead != 0 {
                for leftover in [
                    format!("faketime_shm_{process}"),
                    format!("sem.faketime_sem_{process}"),
                ] {
                    let _ = std::fs::remove_file(Path::new("/dev/shm").join(leftover));
                }
            }
        }
    }

    fn check_log(&self, log: &str, ended: bool, world: &World) {
        let stale = log.matches("stale outcomes were not recorded").count() as u64;
        world.stale.fetch_add(stale, Ordering::SeqCst);
        if ended || log.contains("panicked") {
            world
                .misdeeds
                .lock()
                .unwrap()
                .push(format!("an instance ended by itself, or panicked: {log}"));
        }
    }
}

fn half_open_duration(rng: &mut fastrand::Rng) -> Duration {
    Duration::from_millis(if rng.u8(0..10) == 0 {
        rng.u64(3000..12_000)
    } else {
        rng.u64(300..3000)
    })
}

/// Invokes an instance repeatedly, with the SES events of the mail endpoint, until the run is over.
async fn invoke_until_over(
    instance: &Instance,
    world: &World,
    rng: &mut fastrand::Rng,
    news: &mut Option<Value>,
) {
    while !world.over.load(Ordering::SeqCst) {
        for _ in 0..3 {
            *news = world.mail.next_event();
            let Some(told) = &*news else { break };
            let outcome = instance
                .invoke_within(INVOCATION, told.to_string().into_bytes())
                .await;
            world.count_call(&outcome);
            if outcome.is_err() {
                break;
            }
            world.told.fetch_add(1, Ordering::SeqCst);
            *news = None;
        }
        if let Some(told) = news.take() {
            world.mail.requeue_event(told);
        }
        let tick = json!({"trigger": "schedule"}).to_string().into_bytes();
        world.count_call(&instance.invoke_within(INVOCATION, tick).await);
        tokio::time::sleep(Duration::from_millis(rng.u64(0..150))).await;
    }
}

/// An administrator's session, reopened after a restart of the server.
struct Administrator {
    url: String,
    client: Option<Client>,
}

impl Administrator {
    fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            client: None,
        }
    }

    /// The first column of the first row; `None` when there is none, or no server.
    async fn query_value<T: for<'a> tokio_postgres::types::FromSql<'a>>(
        &mut self,
        sql: &str,
    ) -> Option<T> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await.ok()?;
            tokio::spawn(connection);
            self.client = Some(client);
        }
        self.client
            .as_ref()?
            .query(sql, &[])
            .await
            .ok()?
            .first()
            .map(|row| row.get(0))
    }
}

/// Terminates the requested sessions of the program and counts them.
async fn terminate_sessions(
    url: String,
    mut sessions: mpsc::UnboundedReceiver<i32>,
    ended: Arc<AtomicU64>,
) {
    let mut administrator = Administrator::new(&url);
    while let Some(session) = sessions.recv().await {
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'booking-automation-%' AND ({session} = 0 OR pid = {session}) LIMIT 1"
        );
        if administrator.query_value::<bool>(&sql).await == Some(true) {
            ended.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Whether enough has happened for the evaluation to say something: there are messages to guests and
/// webhooks, notices, people who opted out, chains that moved on, and a message that was sent after
/// one that came back.
const ENOUGH: &str = "
    SELECT count(*) FILTER (WHERE recipient <> '' AND status = 'completed') > 12
       AND count(*) FILTER (WHERE event_type = 'notification_sent' AND status = 'completed') > 12
       AND count(*) FILTER (WHERE event_type = 'webhook' AND status = 'completed') > 12
       AND count(*) FILTER (WHERE reason = 'opted_out') > 12
       AND count(*) FILTER (WHERE event_data ? 'chain' AND status = 'completed') > 12
       AND bool_or(event_data ? 'follows' AND status = 'completed')
      FROM booking_automation_events";
/// How many messages wait. A call of a webhook takes less time than the others.
const WAITING: &str = "
    SELECT count(*) FILTER (WHERE event_type <> 'webhook') + count(*) FILTER (WHERE event_type = 'webhook') / 4
      FROM booking_automation_events WHERE status IN ('pending', 'sending') AND next_attempt_at <= now()";

/// Injects faults until the run is long enough: restarts the server, terminates sessions, breaks
/// connections and makes the account fail, at growing numbers of kills.
async fn inject_faults(
    world: &World,
    length: &Length,
    cluster: &Arc<OwnCluster>,
    slots: &[Arc<Slot>],
    terminate: &mpsc::UnboundedSender<i32>,
) -> Restarts {
    let rng = &mut fastrand::Rng::with_seed(length.seed ^ 0xd1);
    let mut administrator = Administrator::new(&cluster.url);
    let mut restarts = Restarts::default();
    let (mut restart_at, mut injure_at, mut trouble_at, mut tell_at) = (40, 5, 30, Instant::now());
    let began = Instant::now();
    let mut latest = ((0, 0), began);
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (kills, taken) = (world.killed(), world.mail.taken());
        if kills >= length.kills
            && taken >= length.messages
            && world.killed_everywhere()
            && Channel::ALL
                .iter()
                .all(|channel| world.mail.taken_by(*channel) > 12)
            && administrator.query_value::<bool>(ENOUGH).await == Some(true)
        {
            return restarts;
        }
        // A call that never returns is a failure, and so are calls that send nothing.
        if (kills, taken) != latest.0 {
            latest = ((kills, taken), Instant::now());
        }
        assert!(
            latest.1.elapsed() < STANDSTILL && kills < 5 * length.kills,
            "{kills} kills and {taken} messages: either nothing happens any more, or only kills do"
        );
        let waiting: Option<i64> = administrator.query_value(WAITING).await;
        if let Some(waiting) = waiting {
            let enough = waiting > ENOUGH_WAITING || world.mail.pending_events() > ENOUGH_UNTOLD;
            world.load.enough.store(enough, Ordering::SeqCst);
        }
        if tell_at <= Instant::now() {
            length.print_progress(&format!(
                "{:>5} s  {kills} kills, {taken} messages, {} calls of webhooks, {} waiting, {} statements of the other client; no kill yet: {:?}",
                began.elapsed().as_secs(),
                world.hooks.taken(),
                waiting.unwrap_or_default(),
                world.load.statements.load(Ordering::SeqCst),
                world.points_without_kill(),
            ));
            tell_at = Instant::now() + Duration::from_secs(20);
        }
        if kills >= injure_at {
            injure_at = kills + rng.u64(3..10);
            let slot = &slots[rng.usize(0..slots.len())];
            match rng.u8(0..5) {
                0 | 1 => slot.break_connections(Action::Cut),
                2 => slot.break_connections(Action::HalfOpen(half_open_duration(rng))),
                _ => _ = terminate.send(0),
            }
        }
        if kills >= trouble_at {
            trouble_at = kills + rng.u64(40..90);
            world
                .mail
                .fail_account_for(Duration::from_millis(rng.u64(100..1500)));
        }
        if kills >= restart_at {
            restart_at = kills + rng.u64(50..90);
            let immediate = rng.bool();
            world.load.restarts.fetch_add(1, Ordering::SeqCst);
            let server = cluster.clone();
            let restart = move || {
                if immediate {
                    server.crash();
                    server.start_server();
                } else {
                    server.restart();
                }
            };
            tokio::task::spawn_blocking(restart).await.unwrap();
            world.load.restarts.fetch_add(1, Ordering::SeqCst);
            *(if immediate {
                &mut restarts.immediate
            } else {
                &mut restarts.fast
            }) += 1;
        }
    }
}

/// Starts a server whose database connections go through a counting proxy.
async fn start_server_behind_proxy(app: &mut App, port: u16) -> (Server, Proxy) {
    let (address, proxy) = Proxy::in_front_of(&format!("127.0.0.1:{port}"), Cut::Never).await;
    app.env.insert(
        "DATABASE_URL",
        format!("postgres://postgres@{address}/postgres"),
    );
    (Server::start(app, &[]).await, proxy)
}

/// Sends requests that must be refused; returns their number.
async fn send_refused_calls(server: &Server, world: &World) -> u64 {
    let (large, mut calls) = (vec![b'x'; 70_000], 0);
    while !world.over.load(Ordering::SeqCst) {
        for (method, path, authorization, body, status) in [
            ("GET", "/nowhere", "", &b""[..], 404),
            ("POST", "/events", "", b"{\"trigger\":\"schedule\"}", 404),
            ("DELETE", "/run", "", b"", 405),
            ("POST", "/run", "", &large, 413),
            ("POST", "/run", "", b"", 401),
            ("GET", "/run", "Bearer a-wrong-secret-0123456789", b"", 401),
        ] {
            let headers = [("Authorization", authorization.as_bytes())];
            let headers = if authorization.is_empty() {
                &[]
            } else {
                &headers[..]
            };
            let answer = request(server.port, method, path, headers, body).await;
            assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
            calls += 1;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    calls
}

/// Runs a last instance without faults until no work is left.
async fn run_until_quiet(app: &App, world: &World, environment: &BTreeMap<&'static str, String>) {
    // What was refused waits for a minute and more.
    app.db
        .batch_execute(
            "DROP TRIGGER chaos_refuse ON bookings;
             SET session_replication_role = replica;
             UPDATE booking_automation_events SET next_attempt_at = executed_at + interval '1 microsecond'
              WHERE event_type = 'status_update' AND status = 'failed' AND next_attempt_at > executed_at;
             RESET session_replication_role",
        )
        .await
        .unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_booking-automation"));
    let instance = Instance::start_in_environment(environment, program, 0).await;
    let quiet = "SELECT NOT EXISTS (SELECT FROM booking_automation_events WHERE status IN ('pending', 'sending') AND next_attempt_at IS NOT NULL
                                       -- A reminder that was to leave with another one may wait for its own time.
                                       AND (status = 'sending' OR scheduled_at <= now()))
                    AND NOT EXISTS (SELECT FROM booking_automation_events WHERE flag_due)
                    AND NOT EXISTS (SELECT FROM booking_automation_looks)
                    -- A move of a started booking waits for the step back to confirmed, for a while.
                    AND NOT EXISTS (SELECT FROM booking_automation_notices n WHERE held_since IS NULL
                                       AND NOT EXISTS (SELECT FROM bookings b WHERE b.id = n.booking_id AND b.status = 'in_progress'))";
    let tick = json!({"trigger": "schedule"});
    let give_up = Instant::now() + QUIET_WITHIN;
    // The evaluation expects a reminder after three passes and a second. What they send may cause
    // events, and these may cause messages.
    let mut quiet_passes = 0;
    while quiet_passes < 5 {
        let pause = if quiet_passes > 0 { 500 } else { 50 };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        deliver_events(&instance, world).await;
        let summary = instance.invoke(&tick).await.unwrap();
        let is_quiet =
            world.mail.pending_events() == 0 && app.one(quiet, &[]).await.get::<_, bool>(0);
        quiet_passes = if is_quiet { quiet_passes + 1 } else { 0 };
        assert!(
            is_quiet || Instant::now() < give_up,
            "not quiet after {QUIET_WITHIN:?}: {summary}"
        );
    }
    instance.kill().await;
}

/// Delivers up to a hundred events of the providers to an instance.
async fn deliver_events(instance: &Instance, world: &World) {
    for _ in 0..100 {
        let Some(news) = world.mail.next_event() else {
            break;
        };
        instance.invoke(&news).await.unwrap();
        world.told.fetch_add(1, Ordering::SeqCst);
    }
}

/// Stores the endpoint's requests in the database and evaluates the run there.
async fn evaluate(app: &App, world: &World, divisor: u32) {
    for chunk in world.hooks.calls().chunks(5000) {
        let subscriptions: Vec<_> = chunk.iter().map(|it| it.subscription.to_string()).collect();
        let messages: Vec<&str> = chunk.iter().map(|call| call.message.as_str()).collect();
        let taken: Vec<bool> = chunk.iter().map(|call| call.taken).collect();
        let answers: Vec<&str> = chunk.iter().map(|call| call.answer).collect();
        let sql = "INSERT INTO chaos_calls SELECT * FROM unnest($1::text[], $2::text[], $3::boolean[], $4::text[])";
        app.sql(sql, &[&subscriptions, &messages, &taken, &answers])
            .await;
    }
    let requests = world.mail.requests();
    // Each booking that a mail lists.
    let listed: Vec<_> = (0..)
        .zip(&requests)
        .flat_map(|(number, request)| {
            request
                .bookings
                .iter()
                .map(move |id| (number, *id, request))
        })
        .collect();
    for chunk in listed.chunks(5000) {
        let numbers: Vec<i32> = chunk.iter().map(|(number, ..)| *number).collect();
        let bookings: Vec<Uuid> = chunk.iter().map(|(_, booking, _)| *booking).collect();
        let requests: Vec<_> = chunk.iter().map(|(.., request)| *request).collect();
        let events: Vec<Uuid> = requests.iter().map(|request| request.event).collect();
        let times: Vec<_> = requests.iter().map(|request| request.at).collect();
        let taken: Vec<bool> = requests.iter().map(|request| request.taken).collect();
        let answers: Vec<&str> = requests.iter().map(|request| request.answer).collect();
        let lives: Vec<&str> = requests
            .iter()
            .map(|request| request.life.as_str())
            .collect();
        let stopped: Vec<bool> = requests.iter().map(|request| request.stopped).collect();
        let channels: Vec<&str> = requests.iter().map(|it| it.channel.as_str()).collect();
        let targets: Vec<&str> = requests.iter().map(|it| it.target.as_str()).collect();
        // Only mails say which bookings they are about.
        let sql = "INSERT INTO chaos_requests
                   SELECT q.number, q.leader, q.leader, CASE WHEN q.channel = 'email' THEN q.booking_id ELSE coalesce(e.booking_id, q.booking_id) END,
                          q.at, q.taken, q.answer, q.life, q.stopped, q.channel, q.target
                     FROM unnest($1::int[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::boolean[], $6::text[], $7::text[], $8::boolean[], $9::text[], $10::text[])
                          AS q (number, leader, booking_id, at, taken, answer, life, stopped, channel, target)
                     LEFT JOIN booking_automation_events e ON e.id = q.leader";
        app.sql(
            sql,
            &[
                &numbers, &events, &bookings, &times, &taken, &answers, &lives, &stopped,
                &channels, &targets,
            ],
        )
        .await;
    }
    let seconds = |text: &str| format!("interval '{} seconds'", text.trim_end_matches('s'));
    let verdict = VERDICT
        .replace("$expire", &seconds(EXPIRE_AFTER))
        .replace("$complete", &seconds(COMPLETE_AFTER))
        .replace(
            "$lease",
            &format!("interval '{} seconds'", 45.0 / f64::from(divisor)),
        )
        .replace(
            "$back_off",
            &format!("interval '{} seconds'", 60.0 / f64::from(divisor)),
        );
    app.db.batch_execute(&verdict).await.unwrap();
}

/// The environment that all instances share.
fn instance_environment(app: &App, length: &Length) -> BTreeMap<&'static str, String> {
    let mut environment = app.env.clone();
    environment.extend([
        ("TEST_TIME_DIVISOR", length.divisor.to_string()),
        ("SES_CONFIGURATION_SET", "bookings".to_owned()),
        ("SEND_CONCURRENCY", "6".to_owned()),
        ("SMS_FROM", "STUDIO".to_owned()),
        ("SMS_CONFIGURATION_SET", "bookings".to_owned()),
        ("SMS_RATE", "1000".to_owned()),
        ("SMS_PER_PERSON", "100".to_owned()),
        ("WEBHOOK_ALLOW_PRIVATE", "127.0.0.1".to_owned()),
        ("WEBHOOK_RETRY_AFTER", HOOKS_RETRY_AFTER.join(",")),
        ("PUBLIC_URL", PUBLIC_URL.to_owned()),
        ("EXPIRE_AFTER", EXPIRE_AFTER.to_owned()),
        ("COMPLETE_AFTER", COMPLETE_AFTER.to_owned()),
    ]);
    environment
}

/// Starts the database server with the user's schema, years of rows, ours and the tables of the
/// evaluation.
async fn start_database() -> Option<(Arc<OwnCluster>, App)> {
    let settings = "track_commit_timestamp = on\nmax_connections = 200\nautovacuum_naptime = 10s\nmax_wal_size = 256MB";
    let cluster = OwnCluster::start_with(settings).await?;
    connect(&cluster.url)
        .await
        .batch_execute(THEIRS)
        .await
        .unwrap();
    let app = App::migrate_and_open(&cluster.url).await;
    let setup = SETUP.replace("$states", &STATES.join(","));
    app.db.batch_execute(&setup).await.unwrap();
    // One run catches up with the old rows: the instances live too briefly for that.
    app.call(&["run"]).await.summary();
    Some((Arc::new(cluster), app))
}

/// The places of all instances.
struct Places {
    slots: Vec<Arc<Slot>>,
    lives: Vec<tokio::task::JoinHandle<()>>,
    /// The environment of the last place.
    environment: BTreeMap<&'static str, String>,
    held: Arc<Mutex<Vec<Held>>>,
    broken: Arc<Mutex<Vec<Action>>>,
}

impl Places {
    /// Starts an instance in each place, behind its own proxy and mail endpoint and with its own
    /// clock.
    async fn start(
        app: &App,
        cluster: &OwnCluster,
        length: &Arc<Length>,
        world: &Arc<World>,
        terminations: &mpsc::UnboundedSender<i32>,
        faketime: Option<&str>,
    ) -> Self {
        let mut places = Self {
            slots: Vec::new(),
            lives: Vec::new(),
            environment: BTreeMap::new(),
            held: Arc::default(),
            broken: Arc::default(),
        };
        for (number, ahead) in AHEAD.into_iter().enumerate() {
            let (killer, kills) = mpsc::unbounded_channel();
            let (held, broken) = (places.held.clone(), places.broken.clone());
            let slot = Arc::new(Slot::new(
                number,
                killer,
                terminations.clone(),
                held,
                broken,
            ));
            let port = chaos_wire::start(slot.clone(), cluster.port).await;
            let mut environment = instance_environment(app, length);
            environment.insert(
                "DATABASE_URL",
                format!("postgres://postgres@127.0.0.1:{port}/postgres"),
            );
            environment.insert(
                "AWS_ENDPOINT_URL_SESV2",
                chaos_mail::start(world.mail.clone(), slot.clone()).await,
            );
            places.environment.clone_from(&environment);
            let ahead = if faketime.is_some() { ahead } else { 0 };
            if let Some(library) = faketime.filter(|_| ahead != 0) {
                environment.insert("LD_PRELOAD", library.to_owned());
                environment.insert("FAKETIME", format!("{ahead:+}s"));
                environment.insert("DONT_FAKE_MONOTONIC", "1".to_owned());
            }
            let rng = fastrand::Rng::with_seed(length.seed ^ (0xa1 + number as u64));
            let place = Place {
                slot: slot.clone(),
                kills,
                environment,
                ahead,
                length: length.clone(),
                rng,
            };
            places.slots.push(slot);
            places
                .lives
                .push(tokio::spawn(place.run_lives(world.clone())));
        }
        places
    }

    /// An environment whose database is not behind a proxy, where a connection may still be broken.
    fn environment_without_proxy(&self, app: &App) -> BTreeMap<&'static str, String> {
        let mut environment = self.environment.clone();
        let last = self.slots.last().unwrap();
        let life = last.life.load(Ordering::SeqCst);
        environment.insert(
            "DATABASE_URL",
            format!("{}?application_name={}", app.url, last.session_name(life)),
        );
        let endpoints = format!("{}/{life}", environment["AWS_ENDPOINT_URL_SESV2"]);
        chaos_mail::set_up(&mut environment, &endpoints);
        environment
    }
}

/// Starts the sessions of the other client.
fn start_load(
    backend: &str,
    provider: Uuid,
    length: &Length,
    world: &World,
) -> Vec<tokio::task::JoinHandle<()>> {
    let start = |number| {
        let seed = length.seed ^ (0xb1 + number);
        tokio::spawn(chaos_load::run_session(
            backend.to_owned(),
            provider,
            seed,
            world.load.clone(),
        ))
    };
    (0..SESSIONS).map(start).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn instances_killed_at_every_point_lose_no_reminder_and_record_every_repeat() {
    let length = Arc::new(Length::from_environment());
    let Some((cluster, mut app)) = start_database().await else {
        return;
    };
    length.print_progress(&format!("SEED={} KILLS={}", length.seed, length.kills));
    let backend = app.backend_url().await;
    app.sql("GRANT INSERT ON chaos_locked TO PUBLIC", &[]).await;
    let (server, way) = start_server_behind_proxy(&mut app, cluster.port).await;
    let world = Arc::new(World::new(&length, &cluster.url));
    chaos_hooks::start(&app, &world.hooks).await;
    let (terminations, sessions) = mpsc::unbounded_channel();
    let terminated = Arc::new(AtomicU64::new(0));
    let terminator = tokio::spawn(terminate_sessions(
        cluster.url.clone(),
        sessions,
        terminated.clone(),
    ));
    let faketime = faketime_library();
    let mut places = Places::start(
        &app,
        &cluster,
        &length,
        &world,
        &terminations,
        faketime.as_deref(),
    )
    .await;
    world.hooks.set_slots(&places.slots);
    let load = start_load(&backend, app.provider, &length, &world);

    let began = Instant::now();
    let faults = async {
        let restarts = inject_faults(&world, &length, &cluster, &places.slots, &terminations).await;
        world.over.store(true, Ordering::SeqCst);
        restarts
    };
    let (restarts, refused) = tokio::join!(faults, send_refused_calls(&server, &world));
    world.load.stop.store(true, Ordering::SeqCst);
    for task in std::mem::take(&mut places.lives).into_iter().chain(load) {
        task.await.unwrap();
    }
    let took = began.elapsed();
    terminator.abort();
    world.mail.stop_faults();
    world.hooks.stop_faults();
    app.db = connect(&app.url).await;
    run_until_quiet(&app, &world, &places.environment_without_proxy(&app)).await;
    length.print_progress(&format!("{:>5} s  quiet", began.elapsed().as_secs()));
    let requests = world.mail.requests();
    assert!(
        requests.iter().any(|request| request.bookings.len() > 1),
        "no mail was for several bookings"
    );
    evaluate(&app, &world, length.divisor).await;
    length.print_progress(&format!("{:>5} s  evaluated", began.elapsed().as_secs()));

    let held: Vec<Held> = places.held.lock().unwrap().clone();
    let broken: Vec<Action> = places.broken.lock().unwrap().clone();
    let run = Run {
        app: &app,
        world: &world,
        held: &held,
        broken: &broken,
        restarts,
        terminated: terminated.load(Ordering::SeqCst),
        clocks_off: faketime.is_some(),
        refused: (refused, way.connections()),
        took,
    };
    let report = run.report().await;
    length.print_progress(&chaos_report::text(&report));
    run.assert_no_violation(&length, &report).await;
    if length.long && length.kills >= DOCUMENTED {
        chaos_report::write(&report, &length);
    }
}
