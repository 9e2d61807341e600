//! The endpoints of two webhook subscriptions in the chaos run. Their addresses do not say which
//! instance calls: where an instance is to be killed at a call, the database says who claimed the
//! message.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::app::App;
use crate::chaos_wire::{Action, Point, Slot};
use crate::webhooks::subscribe;

/// The subscriptions: the path of each, and the kinds of its messages.
const SUBSCRIPTIONS: [(&str, &[&str]); 2] = [
    (
        "all",
        &[
            "started",
            "completed",
            "expired",
            "cancelled",
            "rescheduled",
            "reminder_sent",
        ],
    ),
    ("some", &["completed", "cancelled"]),
];

/// How a call is answered.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// With this status.
    Status(u16),
    /// With 204, later.
    Slow,
    /// Not at all.
    Silence,
    /// The connection is reset when the call has arrived.
    Reset,
}

/// The name, the answer, whether the message counts as taken, and how often in a thousand calls.
const FAULTS: &[(&str, Answer, bool, u32)] = &[
    ("not found", Answer::Status(404), false, 10),
    ("later", Answer::Status(429), false, 5),
    ("unavailable", Answer::Status(503), false, 15),
    ("failed after it was taken", Answer::Status(500), true, 5),
    ("slow", Answer::Slow, true, 10),
    ("no answer", Answer::Silence, true, 3),
    ("reset", Answer::Reset, true, 10),
];

/// A call, as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// The subscription.
    pub subscription: Uuid,
    /// The `webhook-id`.
    pub message: String,
    /// Whether the message was taken.
    pub taken: bool,
    /// How it was answered.
    pub answer: &'static str,
}

/// The endpoints of all subscriptions.
pub struct Hooks {
    rng: Mutex<fastrand::Rng>,
    calls: Mutex<Vec<Call>>,
    taken: AtomicUsize,
    faulty: AtomicBool,
    /// Longest answer.
    slowest: Duration,
    /// Each subscription, in the order of [`SUBSCRIPTIONS`].
    subscriptions: Mutex<Vec<Uuid>>,
    /// The places of all instances.
    slots: Mutex<Vec<Arc<Slot>>>,
    database: String,
    client: tokio::sync::Mutex<Option<Client>>,
}

impl Hooks {
    /// Creates the endpoints; callers wait for an answer for `patience`.
    pub fn new(seed: u64, patience: Duration, database: &str) -> Self {
        Self {
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
            calls: Mutex::default(),
            taken: AtomicUsize::new(0),
            faulty: AtomicBool::new(true),
            slowest: patience * 3 / 2,
            subscriptions: Mutex::default(),
            slots: Mutex::default(),
            database: database.to_owned(),
            client: tokio::sync::Mutex::default(),
        }
    }

    /// Says which instances there are.
    pub fn set_slots(&self, slots: &[Arc<Slot>]) {
        *self.slots.lock().unwrap() = slots.to_vec();
    }

    /// How many messages they took.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// All calls, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// Stops all faults.
    pub fn stop_faults(&self) {
        self.faulty.store(false, Ordering::SeqCst);
    }

    /// Chooses the answer to a call and stores the call.
    fn choose_answer(&self, subscription: Uuid, message: &str) -> Answer {
        let mut drawn = self.rng.lock().unwrap().u32(0..1000);
        let fault = FAULTS.iter().find(|(.., often)| {
            let is_it = drawn < *often;
            drawn = drawn.wrapping_sub(*often);
            is_it
        });
        let none = ("taken", Answer::Status(204), true, 0);
        let is_faulty = self.faulty.load(Ordering::SeqCst);
        let (name, answer, taken, _) = *fault.filter(|_| is_faulty).unwrap_or(&none);
        if taken {
            self.taken.fetch_add(1, Ordering::SeqCst);
        }
        self.calls.lock().unwrap().push(Call {
            subscription,
            message: message.to_owned(),
            taken,
            answer: name,
        });
        answer
    }

    /// The instance that has claimed a message, with its life, if one is to be killed at a call.
    async fn sender(&self, subscription: Uuid, message: &str) -> Option<(Arc<Slot>, u64)> {
        let slots = self.slots.lock().unwrap().clone();
        let planned: Vec<_> = slots
            .into_iter()
            .filter_map(|slot| Some((slot.life_with_plan(&Point::OF_HOOKS)?, slot)))
            .collect();
        if planned.is_empty() {
            return None;
        }
        let life = self.claimer(subscription, message).await?;
        planned
            .into_iter()
            .find(|(number, slot)| slot.session_name(*number) == life)
            .map(|(number, slot)| (slot, number))
    }

    /// The session that has claimed a message; `None` while there is no server.
    async fn claimer(&self, subscription: Uuid, message: &str) -> Option<String> {
        let mut client = self.client.lock().await;
        if client.as_ref().is_none_or(Client::is_closed) {
            let (new, connection) = tokio_postgres::connect(&self.database, NoTls).await.ok()?;
            tokio::spawn(connection);
            *client = Some(new);
        }
        let sql = "SELECT c.life FROM booking_automation_events e
                     JOIN chaos_claims c ON c.event_id = e.id
                    WHERE e.event_type = 'webhook' AND e.message_id = $1 AND e.audience = $2 AND c.new_status = 'sending'
                    ORDER BY c.seq DESC LIMIT 1";
        let subscription = subscription.to_string();
        let client = client.as_ref()?;
        let rows = client.query(sql, &[&message, &subscription]).await.ok()?;
        rows.first().map(|row| row.get(0))
    }
}

/// Starts the endpoints, and creates the subscriptions.
pub async fn start(app: &App, hooks: &Arc<Hooks>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for (path, kinds) in SUBSCRIPTIONS {
        let url = format!("http://127.0.0.1:{port}/{path}");
        let subscription = subscribe(app, &url, kinds).await;
        hooks.subscriptions.lock().unwrap().push(subscription);
    }
    let hooks = hooks.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let hooks = hooks.clone();
            tokio::spawn(async move { serve_connection(stream, &hooks).await });
        }
    });
}

/// Kills the instance that calls, if that is planned for this point; returns whether it did.
async fn kill_at(point: Point, sender: Option<&(Arc<Slot>, u64)>) -> bool {
    let Some((slot, life)) = sender else {
        return false;
    };
    // Only kills are planned here.
    let is_planned = matches!(slot.next_action(*life, point), Some(Action::Kill));
    if is_planned {
        slot.kill(point).await;
    }
    is_planned
}

async fn serve_connection(mut stream: TcpStream, hooks: &Hooks) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    loop {
        let (path, message) = read_call(&mut stream, &mut buffer).await?;
        let place = SUBSCRIPTIONS.iter().position(|(name, _)| *name == path);
        let subscription = hooks.subscriptions.lock().unwrap()[place.expect("a known path")];
        let answer = hooks.choose_answer(subscription, &message);
        let sender = hooks.sender(subscription, &message).await;
        if kill_at(Point::HookArrived, sender.as_ref()).await {
            return None;
        }
        let status = match answer {
            Answer::Status(status) => status,
            Answer::Slow => {
                let time = hooks.slowest.mul_f64(hooks.rng.lock().unwrap().f64());
                tokio::time::sleep(time).await;
                204
            }
            Answer::Silence => {
                // Until the client closes the connection.
                stream.read_to_end(&mut buffer).await.ok()?;
                return None;
            }
            Answer::Reset => {
                let _ = stream.set_zero_linger();
                return None;
            }
        };
        let answer = format!("HTTP/1.1 {status} -\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok()?;
        if kill_at(Point::HookAnswered, sender.as_ref()).await {
            return None;
        }
    }
}

/// Reads one call; returns its path and its `webhook-id`. `None` when the connection ends.
async fn read_call(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, String)> {
    loop {
        let end = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        if let Some(head) = end.map(|at| at + 4) {
            let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
            let header = |name: &str| {
                let mut lines = text.lines();
                lines.find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
            };
            let length: usize = header("content-length:")?.parse().ok()?;
            if buffer.len() >= head + length {
                buffer.drain(..head + length);
                let path = text.split_whitespace().nth(1)?.trim_start_matches('/');
                return Some((path.to_owned(), header("webhook-id:")?));
            }
        }
        let 1.. = stream.read_buf(buffer).await.ok()? else {
            return None;
        };
    }
}
