//! The endpoints of mail, SMS and push messages over plain sockets, with every fault of the tables in
//! chaos_answers.rs. They know which messages they accepted.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::chaos_answers::{Answer, Channel, Fault, NONE, Taken, UNREGISTERED};
use crate::chaos_wire::{Action, Slot};
use crate::fcm_endpoint;
use crate::lambda::example_event;
use crate::receipts::receipt;

/// The base of the links in the messages.
pub const PUBLIC_URL: &str = "https://studio.example/app/";
/// Mails to these never arrive.
pub const BOUNCES: &str = "bounces-";
/// SMS to numbers that begin so never arrive.
pub const UNDELIVERED: &str = "+43699";
/// Devices without the app.
pub const GONE: &str = "gone-";

/// A request, as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// The channel.
    pub channel: Channel,
    /// The tag: which event it is.
    pub event: Uuid,
    /// The address, number or device.
    pub target: String,
    /// The bookings that its links lead to. Only mails have links: of others, it is the nil UUID.
    pub bookings: BTreeSet<Uuid>,
    /// When it had arrived.
    pub at: SystemTime,
    /// Whether the message was taken.
    pub taken: bool,
    /// How it was answered.
    pub answer: &'static str,
    /// Which instance sent it, as its session of the database is named.
    pub life: String,
    /// Whether that instance had been stopped.
    pub stopped: bool,
}

/// The endpoint, of all instances.
pub struct Mail {
    rng: Mutex<fastrand::Rng>,
    requests: Mutex<Vec<Request>>,
    taken: AtomicUsize,
    faulty: AtomicBool,
    /// Until when the account of a channel cannot send, and with which fault.
    trouble: Mutex<Option<(Instant, Channel, Fault)>>,
    /// Longest answer: somewhat more than a sender waits.
    slowest: Duration,
    /// The events to deliver, and the earliest time of each.
    news: Mutex<VecDeque<(Instant, Value)>>,
    /// The message ids and kinds of all events.
    told: Mutex<BTreeSet<(String, &'static str)>>,
    /// Who sent each message last.
    senders: Mutex<HashMap<Uuid, (Arc<Slot>, u64)>>,
}

impl Mail {
    /// Creates an endpoint; senders wait for an answer for `patience`.
    pub fn new(seed: u64, patience: Duration) -> Self {
        Self {
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
            requests: Mutex::default(),
            taken: AtomicUsize::new(0),
            faulty: AtomicBool::new(true),
            trouble: Mutex::default(),
            slowest: patience * 3 / 2,
            news: Mutex::default(),
            told: Mutex::default(),
            senders: Mutex::default(),
        }
    }

    /// How many messages it took.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// All requests, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// How many requests were answered how.
    pub fn answers(&self) -> BTreeMap<&'static str, u64> {
        let faults = Channel::ALL.into_iter().flat_map(Channel::faults);
        let mut answers: BTreeMap<_, _> = faults.map(|(name, ..)| (*name, 0)).collect();
        for request in self.requests.lock().unwrap().iter() {
            *answers.entry(request.answer).or_default() += 1;
        }
        answers
    }

    /// Makes the account of a channel unable to send for so long.
    pub fn fail_account_for(&self, time: Duration) {
        let mut rng = self.rng.lock().unwrap();
        let channel = Channel::ALL[rng.usize(0..Channel::ALL.len())];
        let faults: Vec<_> = channel.account_faults().collect();
        let fault = *faults[rng.usize(0..faults.len())];
        *self.trouble.lock().unwrap() = Some((Instant::now() + time, channel, fault));
    }

    /// Stops all faults.
    pub fn stop_faults(&self) {
        self.faulty.store(false, Ordering::SeqCst);
    }

    /// The next event to deliver.
    pub fn next_event(&self) -> Option<Value> {
        let mut news = self.news.lock().unwrap();
        news.front()
            .is_some_and(|(at, _)| *at <= Instant::now())
            .then(|| news.pop_front())
            .flatten()
            .map(|(_, told)| told)
    }

    /// Delivers an event again whose delivery is uncertain.
    pub fn requeue_event(&self, told: Value) {
        self.news.lock().unwrap().push_back((Instant::now(), told));
    }

    /// The number of events to deliver, now or later.
    pub fn pending_events(&self) -> usize {
        self.news.lock().unwrap().len()
    }

    /// The number of distinct events.
    pub fn count_distinct_events(&self) -> u64 {
        self.told.lock().unwrap().len() as u64
    }

    /// How many messages of a channel it took.
    pub fn taken_by(&self, channel: Channel) -> u64 {
        let requests = self.requests.lock().unwrap();
        let of_channel = requests.iter().filter(|it| it.channel == channel);
        of_channel.filter(|it| it.taken).count() as u64
    }

    /// The fault of a request.
    fn choose_fault(&self, rng: &mut fastrand::Rng, message: &Message) -> Fault {
        if message.target.starts_with(GONE) {
            return UNREGISTERED;
        }
        if !self.faulty.load(Ordering::SeqCst) {
            return NONE;
        }
        if let Some((until, channel, fault)) = *self.trouble.lock().unwrap()
            && channel == message.channel
            && Instant::now() < until
        {
            return fault;
        }
        let mut drawn = rng.u32(0..1000);
        let drawn = message.channel.faults().iter().find(|(.., often)| {
            let is_it = drawn < *often;
            drawn = drawn.wrapping_sub(*often);
            is_it
        });
        *drawn.unwrap_or(&NONE)
    }

    /// Chooses the answer to a request and stores the request.
    fn choose_answer(&self, message: &Message, slot: &Slot, life: u64) -> (Answer, String) {
        let mut rng = self.rng.lock().unwrap();
        let (name, answer, taken, _) = self.choose_fault(&mut rng, message);
        let taken = taken == Taken::Yes || taken == Taken::Maybe && rng.bool();
        let message_id = format!("message-{}", Uuid::from_u128(rng.u128(..)));
        self.requests.lock().unwrap().push(Request {
            channel: message.channel,
            event: message.event,
            target: message.target.clone(),
            bookings: message.bookings.clone(),
            at: SystemTime::now(),
            taken,
            answer: name,
            life: slot.session_name(life),
            stopped: slot.was_stopped(life),
        });
        if taken {
            self.taken.fetch_add(1, Ordering::SeqCst);
            self.schedule_events(&mut rng, message, &message_id);
        }
        (answer, message_id)
    }

    /// Resumes the instance that sent the same message before, if it was stopped; returns whether
    /// it did.
    fn resume_previous_sender(&self, event: Uuid, slot: &Arc<Slot>, life: u64) -> bool {
        let before = self
            .senders
            .lock()
            .unwrap()
            .insert(event, (slot.clone(), life));
        before.is_some_and(|(other, its_life)| {
            (its_life != life || !Arc::ptr_eq(&other, slot)) && other.resume(its_life)
        })
    }

    /// Schedules events for every fourth message, once or twice, in any order, and those that say that
    /// the message was lost for the addresses and numbers that none reaches.
    fn schedule_events(&self, rng: &mut fastrand::Rng, message: &Message, message_id: &str) {
        let to = message.target.as_str();
        let (first, lost, delivered) = match message.channel {
            Channel::Email => ("ses-send", "ses-bounce", "ses-delivery"),
            Channel::Sms => ("TEXT_SENT", "TEXT_UNREACHABLE", "TEXT_DELIVERED"),
            Channel::Push => return,
        };
        let is_lost = to.starts_with(BOUNCES) || to.starts_with(UNDELIVERED);
        if !is_lost && rng.u8(0..4) > 0 {
            return;
        }
        let mut kinds = vec![first, if is_lost { lost } else { delivered }];
        if rng.u8(0..4) == 0 {
            kinds.push(kinds[rng.usize(0..2)]);
        }
        rng.shuffle(&mut kinds);
        for kind in kinds {
            let told = match message.channel {
                Channel::Email => mail_event(kind, message, message_id),
                _ => receipt(kind, &message.event.to_string(), message_id),
            };
            let at = Instant::now() + Duration::from_millis(rng.u64(0..6000));
            self.news.lock().unwrap().push_back((at, told));
            self.told
                .lock()
                .unwrap()
                .insert((message_id.to_owned(), kind));
        }
    }
}

/// An event of SES about a mail.
fn mail_event(kind: &str, message: &Message, message_id: &str) -> Value {
    let to = message.target.as_str();
    let mut told = example_event(kind);
    told["detail"]["mail"]["tags"]["event_id"] = json!([message.event.to_string()]);
    told["detail"]["mail"]["messageId"] = message_id.into();
    told["detail"]["mail"]["destination"] = json!([to]);
    if kind == "ses-bounce" {
        told["detail"]["bounce"]["bouncedRecipients"][0]["emailAddress"] = to.into();
    }
    told
}

/// A message that an instance sends.
struct Message {
    channel: Channel,
    event: Uuid,
    target: String,
    bookings: BTreeSet<Uuid>,
}

impl Message {
    fn of_mail(body: &Value) -> Self {
        let mail = crate::ses::Mail::of(body.clone());
        let links = mail.text().split(PUBLIC_URL).skip(1);
        let bookings = links
            .map(|rest| {
                let link = rest.split_whitespace().next().unwrap_or_default();
                let id = link.rsplit('/').next().and_then(|id| id.parse().ok());
                id.unwrap_or_default()
            })
            .collect();
        Self {
            channel: Channel::Email,
            event: parse_id(&body["EmailTags"][0]["Value"]),
            target: text_of(&body["Destination"]["ToAddresses"][0]),
            bookings,
        }
    }

    fn of_text(body: &Value) -> Self {
        Self {
            channel: Channel::Sms,
            event: parse_id(&body["Context"]["event_id"]),
            target: text_of(&body["DestinationPhoneNumber"]),
            bookings: BTreeSet::from([Uuid::nil()]),
        }
    }

    fn of_push(body: &Value) -> Self {
        Self {
            channel: Channel::Push,
            event: parse_id(&body["message"]["data"]["event_id"]),
            target: text_of(&body["message"]["token"]),
            bookings: BTreeSet::from([Uuid::nil()]),
        }
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn parse_id(value: &Value) -> Uuid {
    let id = value.as_str().and_then(|id| id.parse().ok());
    id.unwrap_or_default()
}

/// Lets an instance send all messages to this URL.
pub fn set_up(environment: &mut BTreeMap<&'static str, String>, url: &str) {
    let credentials = fcm_endpoint::credentials(&format!("{url}/token"));
    environment.extend([
        ("AWS_ENDPOINT_URL_SESV2", url.to_owned()),
        ("AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2", url.to_owned()),
        ("FCM_ENDPOINT", url.to_owned()),
        ("FCM_CREDENTIALS", credentials),
    ]);
}

/// Starts the endpoint for the instances of one place; returns its URL.
pub async fn start(mail: Arc<Mail>, slot: Arc<Slot>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (mail, slot) = (mail.clone(), slot.clone());
            tokio::spawn(async move { serve_connection(stream, &mail, &slot).await });
        }
    });
    url
}

async fn serve_connection(mut stream: TcpStream, mail: &Mail, slot: &Arc<Slot>) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    loop {
        let request = read_request(&mut stream, &mut buffer).await?;
        let life = request.life;
        if request.path == "token" {
            let token =
                json!({"access_token": "access", "expires_in": 3599, "token_type": "Bearer"});
            let answer = response(200, "", &token.to_string());
            stream.write_all(&answer).await.ok()?;
            continue;
        }
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        let message = match request.path.as_str() {
            "" => Message::of_text(&body),
            path if path.ends_with("messages:send") => Message::of_push(&body),
            _ => Message::of_mail(&body),
        };
        let channel = message.channel;
        let (answer, message_id) = mail.choose_answer(&message, slot, life);
        if mail.resume_previous_sender(message.event, slot, life) {
            // The resumed sender gets time to record its outcome first.
            tokio::time::sleep(mail.slowest / 3).await;
        }
        let [arrived, answered] = channel.points();
        match slot.next_action(life, arrived) {
            Some(Action::Kill) => {
                slot.kill(arrived).await;
                return None;
            }
            Some(Action::Stop(time)) => slot.stop(life, time),
            _ => {}
        }
        let sent = response(200, "", &channel.accepted(&message_id));
        match answer {
            Answer::Sent => stream.write_all(&sent).await.ok()?,
            Answer::Slow => {
                let time = mail.slowest.mul_f64(mail.rng.lock().unwrap().f64());
                tokio::time::sleep(time).await;
                stream.write_all(&sent).await.ok()?;
            }
            Answer::Error(status, code, detail) => {
                let body = channel.refused(status, code, detail);
                let answer = response(status, code, &body);
                stream.write_all(&answer).await.ok()?;
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
            Answer::Half => {
                stream.write_all(&sent[..sent.len() - 20]).await.ok()?;
                return None;
            }
            Answer::Rubbish(body) => stream.write_all(&response(200, "", body)).await.ok()?,
            Answer::Noise => {
                stream.write_all(b"220 mail.example ESMTP\r\n").await.ok()?;
                return None;
            }
        }
        match slot.next_action(life, answered) {
            Some(Action::Kill) => {
                slot.kill(answered).await;
                return None;
            }
            Some(Action::Stop(time)) => slot.stop(life, time),
            _ => {}
        }
    }
}

fn response(status: u16, code: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nx-amzn-errortype: {code}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A request, unread.
struct Incoming {
    /// The sender's life, with which the path begins. It may be over when the connection is accepted.
    life: u64,
    /// The rest of the path.
    path: String,
    body: Vec<u8>,
}

/// Reads one request; `None` when the connection ends.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Incoming> {
    loop {
        if let Some(head) = buffer
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n")
            .map(|at| at + 4)
        {
            let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
            // A request without a body has no length.
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
                .unwrap_or(0_usize);
            if buffer.len() >= head + length {
                let body = buffer.drain(..head + length).skip(head).collect::<Vec<_>>();
                let path = text.split_whitespace().nth(1)?.strip_prefix('/')?;
                let (life, path) = path.split_once('/').unwrap_or((path, ""));
                return Some(Incoming {
                    life: life.parse().expect("a path that begins with the life"),
                    path: path.to_owned(),
                    body,
                });
            }
        }
        let 1.. = stream.read_buf(buffer).await.ok()? else {
            return None;
        };
    }
}
