//! A proxy in front of PostgreSQL that parses the traffic: it knows when an instance has taken the
//! lock, enqueued, claimed or recorded, stops relaying there, and has the instance killed, its
//! connection broken, or its session terminated. The program does not know of it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};

/// A point at which a fault can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// The pass has its lock, and does not know it yet.
    LockTaken,
    /// The reminders are enqueued, not committed.
    Enqueued,
    /// The pass has sent everything but its COMMIT.
    BeforeCommit,
    /// The server has committed the pass, and the pass does not know it yet.
    AfterCommit,
    /// A page is claimed and committed, and none of its requests is sent.
    Claimed,
    /// A request has arrived at the mail endpoint, whole.
    RequestArrived,
    /// The answer to a request has been written.
    AnswerWritten,
    /// The same, of SMS.
    TextArrived,
    /// The same, of SMS.
    TextAnswered,
    /// The same, of push messages.
    PushArrived,
    /// The same, of push messages.
    PushAnswered,
    /// The same, of webhooks.
    HookArrived,
    /// The same, of webhooks.
    HookAnswered,
    /// The answers of a page have been received: the instance asks to record them, and the server
    /// has not heard of it.
    AnswersReceived,
    /// The outcomes are committed, and the instance does not know it yet.
    Recorded,
    /// Any message passes.
    AnyMoment,
}

impl Point {
    /// All named points.
    pub const NAMED: [Self; 15] = [
        Self::LockTaken,
        Self::Enqueued,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::Claimed,
        Self::RequestArrived,
        Self::AnswerWritten,
        Self::TextArrived,
        Self::TextAnswered,
        Self::PushArrived,
        Self::PushAnswered,
        Self::HookArrived,
        Self::HookAnswered,
        Self::AnswersReceived,
        Self::Recorded,
    ];

    /// The points of webhooks.
    pub const OF_HOOKS: [Self; 2] = [Self::HookArrived, Self::HookAnswered];

    /// Whether an endpoint sees it, and not the proxy.
    pub fn is_at_endpoint(self) -> bool {
        (Self::RequestArrived..=Self::HookAnswered).contains(&self)
    }

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::LockTaken => "lock taken",
            Self::Enqueued => "enqueued",
            Self::BeforeCommit => "before COMMIT",
            Self::AfterCommit => "after COMMIT",
            Self::Claimed => "claimed",
            Self::RequestArrived => "a request sent",
            Self::AnswerWritten => "its answer written",
            Self::TextArrived => "an SMS sent",
            Self::TextAnswered => "its answer written, of an SMS",
            Self::PushArrived => "a push message sent",
            Self::PushAnswered => "its answer written, of a push message",
            Self::HookArrived => "a webhook called",
            Self::HookAnswered => "its answer written, of a webhook",
            Self::AnswersReceived => "answers received, before recording",
            Self::Recorded => "recorded",
            Self::AnyMoment => "at a random moment",
        }
    }
}

/// A fault at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// SIGKILL to the instance.
    Kill,
    /// SIGKILL to the instance, after this time.
    KillLater(Duration),
    /// Its connection breaks.
    Cut,
    /// Its connection stays open, and no data pass; the server's side ends after this time.
    HalfOpen(Duration),
    /// The server's session is ended by an administrator.
    Terminate,
    /// SIGSTOP to the instance, and SIGCONT after this time, or when another instance sends the
    /// same message.
    Stop(Duration),
}

/// A planned fault: at a point, after it was passed so many times.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Where.
    pub point: Point,
    /// How often it is passed before.
    pub after: u32,
    /// What.
    pub action: Action,
}

/// A request to kill the instance, answered when it is dead.
pub type Kill = (Point, oneshot::Sender<()>);

/// A pass that held the lock at least between these times.
pub type Held = (Instant, Instant);

/// The place of one instance, with the plans for its current life.
pub struct Slot {
    number: usize,
    /// The number of the current life. Connections of earlier lives are ignored.
    pub life: AtomicU64,
    /// The life that was last stopped, and the one that is stopped now.
    stopped: Mutex<(u64, u64)>,
    /// Its current process.
    pub process: AtomicU32,
    /// What is planned, in order.
    pub plans: Mutex<VecDeque<Plan>>,
    kills: mpsc::UnboundedSender<Kill>,
    terminate: mpsc::UnboundedSender<i32>,
    connections: Mutex<Vec<watch::Sender<Option<Action>>>>,
    held: Arc<Mutex<Vec<Held>>>,
    done: Arc<Mutex<Vec<Action>>>,
}

impl Slot {
    /// Creates a place. Requests to kill and to terminate go to `kills` and `terminate`; passes are
    /// stored in `held`, and faults of connections in `done`.
    pub fn new(
        number: usize,
        kills: mpsc::UnboundedSender<Kill>,
        terminate: mpsc::UnboundedSender<i32>,
        held: Arc<Mutex<Vec<Held>>>,
        done: Arc<Mutex<Vec<Action>>>,
    ) -> Self {
        Self {
            number,
            life: AtomicU64::new(0),
            stopped: Mutex::default(),
            process: AtomicU32::new(0),
            plans: Mutex::default(),
            kills,
            terminate,
            connections: Mutex::default(),
            held,
            done,
        }
    }

    /// The name of a life's sessions.
    pub fn session_name(&self, life: u64) -> String {
        format!("booking-automation-{}-{life}", self.number)
    }

    /// The current life, if its next fault is to happen at one of these points.
    pub fn life_with_plan(&self, points: &[Point]) -> Option<u64> {
        let plans = self.plans.lock().unwrap();
        let plan = plans.front()?;
        let life = self.life.load(Ordering::SeqCst);
        points.contains(&plan.point).then_some(life)
    }

    /// The fault that is planned for this point, if it is reached often enough.
    pub fn next_action(&self, life: u64, point: Point) -> Option<Action> {
        if self.life.load(Ordering::SeqCst) != life {
            return None;
        }
        let mut plans = self.plans.lock().unwrap();
        let plan = plans.front_mut().filter(|plan| plan.point == point)?;
        if plan.after > 0 {
            plan.after -= 1;
            return None;
        }
        plans.pop_front().map(|plan| plan.action)
    }

    /// Kills the instance after `time`, if its life is not over.
    fn kill_later(self: &Arc<Self>, life: u64, point: Point, time: Duration) {
        let slot = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            if slot.life.load(Ordering::SeqCst) == life {
                slot.kill(point).await;
            }
        });
    }

    /// Kills the instance. Returns when it is dead.
    pub async fn kill(&self, point: Point) {
        let (dead, is_dead) = oneshot::channel();
        let _ = self.kills.send((point, dead));
        let _ = is_dead.await;
    }

    /// Stops the instance for `time` at most.
    pub fn stop(self: &Arc<Self>, life: u64, time: Duration) {
        *self.stopped.lock().unwrap() = (life, life);
        self.signal("-STOP");
        self.record_action(Action::Stop(time));
        let slot = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            slot.resume(life);
        });
    }

    /// Resumes the instance; returns whether it was stopped.
    pub fn resume(&self, life: u64) -> bool {
        let mut stopped = self.stopped.lock().unwrap();
        let is_stopped = stopped.1 == life && self.life.load(Ordering::SeqCst) == life;
        if is_stopped {
            stopped.1 = 0;
            self.signal("-CONT");
        }
        is_stopped
    }

    /// Whether it was ever stopped.
    pub fn was_stopped(&self, life: u64) -> bool {
        self.stopped.lock().unwrap().0 == life
    }

    fn signal(&self, signal: &str) {
        let process = self.process.load(Ordering::SeqCst).to_string();
        // The process may be a zombie.
        let _ = std::process::Command::new("sh")
            .args(["-c", "kill $0 $1 2>/dev/null", signal, &process])
            .status();
    }

    /// Applies a fault to all connections.
    pub fn break_connections(&self, action: Action) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.send(Some(action));
        }
    }

    fn record_action(&self, action: Action) {
        self.done.lock().unwrap().push(action);
    }
}

/// Starts the proxy of a place; returns its port.
pub async fn start(slot: Arc<Slot>, server_port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let slot = slot.clone();
            tokio::spawn(async move {
                // While the server is down, the client's connection ends at once.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)).await {
                    relay(client, server, &slot).await;
                }
            });
        }
    });
    port
}

async fn relay(mut client: TcpStream, mut server: TcpStream, slot: &Arc<Slot>) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let life = slot.life.load(Ordering::SeqCst);
    let (sender, mut broken) = watch::channel(None);
    slot.connections.lock().unwrap().push(sender);
    let mut talk = Conversation::default();
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    let action = 'talk: loop {
        let (from_client, to) = tokio::select! {
            count = client.read_buf(&mut asked) => {
                let Ok(1..) = count else { break None };
                (true, &mut server)
            }
            count = server.read_buf(&mut answered) => {
                let Ok(1..) = count else { break None };
                (false, &mut client)
            }
            changed = broken.changed() => {
                let action = changed.ok().and_then(|()| *broken.borrow_and_update());
                match action {
                    None => continue,
                    action => break action,
                }
            }
        };
        let mut out = Vec::new();
        loop {
            // At any time only one side's buffer has a whole message.
            let (message, points) = if let Some(message) = take_message(&mut asked, !talk.greeted) {
                let point = talk.point_before(&message);
                // The messages before it must arrive.
                if point.is_some() && to.write_all(&std::mem::take(&mut out)).await.is_err() {
                    break 'talk None;
                }
                (message, Vec::from_iter(point))
            } else if let Some(message) = take_message(&mut answered, false) {
                let points = talk.track_answer(&message, slot);
                (message, points)
            } else {
                break;
            };
            let points: Vec<_> = points.into_iter().chain([Point::AnyMoment]).collect();
            match points
                .into_iter()
                .find_map(|point| Some((point, slot.next_action(life, point)?)))
            {
                None => {}
                Some((point, Action::KillLater(time))) => slot.kill_later(life, point, time),
                Some((_, Action::Terminate)) => {
                    let _ = slot.terminate.send(talk.backend);
                }
                Some((_, Action::Stop(time))) => slot.stop(life, time),
                Some((point, Action::Kill)) => {
                    slot.kill(point).await;
                    break 'talk None;
                }
                Some((_, action)) => break 'talk Some(action),
            }
            if from_client {
                talk.track_request(&message);
            }
            out.extend(message);
        }
        if to.write_all(&out).await.is_err() {
            break None;
        }
    };
    talk.end(slot);
    match action {
        Some(Action::HalfOpen(time)) => {
            slot.record_action(Action::HalfOpen(time));
            half_open(client, server, time).await;
        }
        Some(action @ Action::Cut) => slot.record_action(action),
        // Killed, or ended by one side: both sockets are dropped.
        _ => {}
    }
}

/// No data pass between the two sides. The client's side ends when it gives up, the server's after
/// `time`.
async fn half_open(mut client: TcpStream, server: TcpStream, time: Duration) {
    let until = tokio::time::Instant::now() + time;
    let client = async {
        let mut buffer = vec![0; 65536];
        while let Ok(1..) = client.read(&mut buffer).await {}
    };
    let server = async {
        tokio::time::sleep_until(until).await;
        drop(server);
    };
    // The client's side ends with its process.
    let _ = tokio::time::timeout(
        Duration::from_secs(60),
        futures_util::future::join(client, server),
    )
    .await;
}

/// Takes the next whole message. Only the first message of the client has no type byte.
fn take_message(buffer: &mut Vec<u8>, first: bool) -> Option<Vec<u8>> {
    let start = usize::from(!first);
    let length =
        u32::from_be_bytes(buffer.get(start..start + 4)?.try_into().unwrap()) as usize + start;
    (buffer.len() >= length).then(|| buffer.drain(..length).collect())
}

/// What a message that the server will answer with "ready" has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Other,
    TakeLock,
    Enqueue,
    Claim,
    Record,
    Commit,
    Rollback,
}

/// The parsed state of one connection.
#[derive(Default)]
struct Conversation {
    greeted: bool,
    /// The server's process.
    backend: i32,
    /// What waits for its "ready", and since when.
    waiting: VecDeque<(Step, Instant)>,
    /// What has been parsed since.
    parsed: Step,
    /// Since the last "ready": whether there was a row, one of a claimed message, and the last
    /// command's name.
    row: bool,
    message_claimed: bool,
    command: Vec<u8>,
    /// State of the transaction.
    is_pass: bool,
    claimed: bool,
    recorded: bool,
    /// Since when it is known to have the lock.
    locked: Option<Instant>,
    /// When the last request was sent that the server answered within a transaction. The time of an answer
    /// says nothing: the session may be over, and another may have the lock, when the answer is read here.
    last_alive: Option<Instant>,
}

impl Conversation {
    /// The point that a client's message marks before it reaches the server.
    fn point_before(&self, message: &[u8]) -> Option<Point> {
        match message[0] {
            b'Q' if self.greeted && self.is_pass && message[5..].starts_with(b"COMMIT") => {
                Some(Point::BeforeCommit)
            }
            b'P' if self.greeted && step_of(message) == Step::Record => {
                Some(Point::AnswersReceived)
            }
            _ => None,
        }
    }

    /// Tracks a client's message before it reaches the server.
    fn track_request(&mut self, message: &[u8]) {
        if !std::mem::replace(&mut self.greeted, true) {
            return;
        }
        match message[0] {
            b'Q' => {
                let text = &message[5..];
                let step = if text.starts_with(b"COMMIT") {
                    Step::Commit
                } else if text.starts_with(b"ROLLBACK\0") {
                    Step::Rollback
                } else if contains(text, b"pg_try_advisory_xact_lock") {
                    Step::TakeLock
                } else {
                    Step::Other
                };
                if text.starts_with(b"BEGIN") {
                    (self.is_pass, self.claimed, self.recorded) =
                        (step == Step::TakeLock, false, false);
                }
                self.waiting.push_back((step, Instant::now()));
            }
            b'P' => self.parsed = step_of(message),
            b'S' => {
                let step = std::mem::take(&mut self.parsed);
                self.waiting.push_back((step, Instant::now()));
            }
            _ => {}
        }
    }

    /// Tracks a server's message; returns the points that it marks before it reaches the client.
    fn track_answer(&mut self, message: &[u8], slot: &Slot) -> Vec<Point> {
        match message[0] {
            b'K' => self.backend = i32::from_be_bytes(message[5..9].try_into().unwrap()),
            b'D' => {
                self.row = true;
                self.message_claimed |= column_is_set(message, 9);
            }
            b'C' => self.command = message[5..].to_vec(),
            b'Z' if self.backend != 0 => return self.points_at_ready(message[5], slot),
            _ => {}
        }
        Vec::new()
    }

    fn points_at_ready(&mut self, status: u8, slot: &Slot) -> Vec<Point> {
        let (row, message_claimed) = (
            std::mem::take(&mut self.row),
            std::mem::take(&mut self.message_claimed),
        );
        let command = std::mem::take(&mut self.command);
        // The first "ready" is the greeting.
        let Some((step, asked)) = self.waiting.pop_front() else {
            return Vec::new();
        };
        if status == b'T' {
            self.last_alive = Some(asked);
        }
        // If there is no answer, the session may have been over when it was asked.
        if let Step::Commit | Step::Rollback = step {
            self.record_held_lock(slot, asked);
        }
        match (step, status) {
            (Step::TakeLock, b'T') if row => {
                self.locked = Some(Instant::now());
                vec![Point::LockTaken]
            }
            (Step::Enqueue, b'T') => vec![Point::Enqueued],
            (Step::Claim, b'T') => {
                self.claimed |= message_claimed;
                Vec::new()
            }
            (Step::Record, b'T') => {
                self.recorded = true;
                Vec::new()
            }
            (Step::Commit, b'I') if command == b"COMMIT\0" => {
                let told = [
                    (self.is_pass, Point::AfterCommit),
                    (self.claimed, Point::Claimed),
                    (self.recorded, Point::Recorded),
                ];
                told.into_iter()
                    .filter_map(|(is_so, point)| is_so.then_some(point))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    fn record_held_lock(&mut self, slot: &Slot, at: Instant) {
        if let Some(locked) = self.locked.take() {
            slot.held.lock().unwrap().push((locked, at));
        }
    }

    /// Without a COMMIT or ROLLBACK, the lock was held at least until the last request that was answered.
    fn end(&mut self, slot: &Slot) {
        if let Some(last) = self.locked.max(self.last_alive) {
            self.record_held_lock(slot, last);
        }
    }
}

fn step_of(parse: &[u8]) -> Step {
    if contains(parse, b", enqueued AS (") {
        Step::Enqueue
    } else if contains(parse, b"AS candidate (id, address, facts") {
        Step::Claim
    } else if contains(
        parse,
        b"AS o (id, claim, outcome, reason, error, message_id, wait, zone_unknown, parts)",
    ) {
        Step::Record
    } else {
        Step::Other
    }
}

/// Whether a column of a row is there and not NULL.
fn column_is_set(row: &[u8], column: usize) -> bool {
    let mut rest = &row[7..];
    let mut length = -1;
    for _ in 0..=column {
        let Some((bytes, after)) = rest.split_first_chunk::<4>() else {
            return false;
        };
        length = i32::from_be_bytes(*bytes);
        rest = &after[usize::try_from(length).unwrap_or(0)..];
    }
    length >= 0
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}
