//! A mail endpoint over plain sockets with every fault of the table. It knows which messages it
//! accepted.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::chaos_wire::{Action, Point, Slot};
use crate::lambda::example_event;

/// The base of the links in the messages.
pub const PUBLIC_URL: &str = "https://studio.example/app/";

/// How a request is answered.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// Accepted, and answered.
    Sent,
    /// Accepted, with a late answer: before or after the sender gives up.
    Slow,
    /// An error of the API.
    Error(u16, &'static str, &'static str),
    /// No answer at all.
    Silence,
    /// The connection is reset when the request has arrived.
    Reset,
    /// The connection ends in the middle of the answer.
    Half,
    /// 200, with something that SES would not say.
    Rubbish(&'static str),
    /// Nothing that is HTTP.
    Noise,
}

/// Whether the message was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Yes,
    No,
    /// Either: the sender cannot know it.
    Maybe,
}

/// The name, the answer, whether the message is accepted, and how often in a thousand requests.
const FAULTS: &[(&str, Answer, Taken, u32)] = {
    use Answer::{Error, Half, Noise, Reset, Rubbish, Silence, Slow};
    use Taken::{Maybe, No, Yes};
    &[
        (
            "throttled",
            Error(
                429,
                "TooManyRequestsException",
                "Maximum sending rate exceeded.",
            ),
            No,
            10,
        ),
        (
            "throttled",
            Error(400, "ThrottlingException", "Rate exceeded"),
            No,
            3,
        ),
        (
            "throttled",
            Error(400, "Throttling", "Maximum sending rate exceeded."),
            No,
            3,
        ),
        (
            "throttled, unknown wording",
            Error(429, "SomethingNew", "later"),
            No,
            2,
        ),
        (
            "limit of the account",
            Error(400, "LimitExceededException", "too many"),
            No,
            2,
        ),
        (
            "rejected",
            Error(
                400,
                "MessageRejected",
                "Email address is on the suppression list.",
            ),
            No,
            2,
        ),
        (
            "rejected",
            Error(400, "BadRequestException", "Illegal address"),
            No,
            2,
        ),
        (
            "quota used up",
            Error(
                400,
                "LimitExceededException",
                "Daily message quota exceeded.",
            ),
            No,
            0,
        ),
        (
            "account paused",
            Error(400, "SendingPausedException", "Email sending is paused."),
            No,
            0,
        ),
        (
            "account suspended",
            Error(400, "AccountSuspendedException", "suspended"),
            No,
            0,
        ),
        (
            "sender not verified",
            Error(400, "MailFromDomainNotVerifiedException", "not verified"),
            No,
            0,
        ),
        (
            "permission missing",
            Error(
                403,
                "AccessDeniedException",
                "not authorized to perform ses:SendEmail",
            ),
            No,
            0,
        ),
        (
            "internal error",
            Error(500, "InternalFailure", "oops"),
            Maybe,
            10,
        ),
        (
            "internal error",
            Error(503, "ServiceUnavailable", "oops"),
            Maybe,
            5,
        ),
        (
            "unknown error",
            Error(502, "", "<html>bad gateway</html>"),
            Maybe,
            3,
        ),
        ("no answer", Silence, Maybe, 6),
        ("slow", Slow, Yes, 12),
        ("reset after the request", Reset, Maybe, 8),
        ("truncated answer", Half, Yes, 4),
        ("answer without an id", Rubbish("{}"), Yes, 3),
        (
            "answer that is not JSON",
            Rubbish("<html>hello</html>"),
            Yes,
            3,
        ),
        ("answer that is not HTTP", Noise, Yes, 3),
    ]
};
/// The faults of the account, which apply to all messages for a while.
const ACCOUNT: std::ops::Range<usize> = 7..12;

/// A request, as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// The tag: which event it is.
    pub event: Uuid,
    /// The bookings that its links lead to.
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
    /// Until when the account cannot send, and with which of [`FAULTS`].
    trouble: Mutex<(Instant, usize)>,
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
            trouble: Mutex::new((Instant::now(), ACCOUNT.start)),
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
        let mut answers: BTreeMap<_, _> = FAULTS.iter().map(|(name, ..)| (*name, 0)).collect();
        for request in self.requests.lock().unwrap().iter() {
            *answers.entry(request.answer).or_default() += 1;
        }
        answers
    }

    /// Makes the account unable to send for so long.
    pub fn fail_account_for(&self, time: Duration) {
        *self.trouble.lock().unwrap() = (
            Instant::now() + time,
            self.rng.lock().unwrap().usize(ACCOUNT),
        );
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

    /// Chooses the answer to a request and stores the request.
    fn choose_answer(&self, body: &Value, slot: &Slot, life: u64) -> (Answer, String, Uuid) {
        let mut rng = self.rng.lock().unwrap();
        let fault = if !self.faulty.load(Ordering::SeqCst) {
            None
        } else {
            let (until, which) = *self.trouble.lock().unwrap();
            let mut drawn = rng.u32(0..1000);
            let drawn = FAULTS.iter().find(|(.., often)| {
                let is_it = drawn < *often;
                drawn = drawn.wrapping_sub(*often);
                is_it
            });
            if Instant::now() < until {
                FAULTS.get(which)
            } else {
                drawn
            }
        };
        let (name, answer, taken, _) = *fault.unwrap_or(&("taken", Answer::Sent, Taken::Yes, 0));
        let taken = taken == Taken::Yes || taken == Taken::Maybe && rng.bool();
        let mail = crate::ses::Mail::of(body.clone());
        let links = mail.text().split(PUBLIC_URL).skip(1);
        let bookings = links
            .map(|rest| {
                let link = rest.split_whitespace().next().unwrap_or_default();
                let id = link.rsplit('/').next().and_then(|id| id.parse().ok());
                id.unwrap_or_default()
            })
            .collect();
        let event: Uuid = body["EmailTags"][0]["Value"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .unwrap_or_default();
        let message_id = format!("message-{}", Uuid::from_u128(rng.u128(..)));
        self.requests.lock().unwrap().push(Request {
            event,
            bookings,
            at: SystemTime::now(),
            taken,
            answer: name,
            life: slot.session_name(life),
            stopped: slot.was_stopped(life),
        });
        if taken {
            self.taken.fetch_add(1, Ordering::SeqCst);
            self.schedule_events(&mut rng, event, &message_id, body);
        }
        (answer, message_id, event)
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

    /// Schedules events for every fourth message, once or twice, in any order, and a bounce for the
    /// addresses that bounce.
    fn schedule_events(
        &self,
        rng: &mut fastrand::Rng,
        event_id: Uuid,
        message_id: &str,
        body: &Value,
    ) {
        let to = body["Destination"]["ToAddresses"][0]
            .as_str()
            .unwrap_or_default();
        let bounces = to.starts_with("bounces-");
        if !bounces && rng.u8(0..4) > 0 {
            return;
        }
        let mut kinds = vec![
            "ses-send",
            if bounces {
                "ses-bounce"
            } else {
                "ses-delivery"
            },
        ];
        if rng.u8(0..4) == 0 {
            kinds.push(kinds[rng.usize(0..2)]);
        }
        rng.shuffle(&mut kinds);
        for kind in kinds {
            let mut told = example_event(kind);
            told["detail"]["mail"]["tags"]["event_id"] = json!([event_id.to_string()]);
            told["detail"]["mail"]["messageId"] = message_id.into();
            told["detail"]["mail"]["destination"] = json!([to]);
            if kind == "ses-bounce" {
                told["detail"]["bounce"]["bouncedRecipients"][0]["emailAddress"] = to.into();
            }
            let at = Instant::now() + Duration::from_millis(rng.u64(0..6000));
            self.news.lock().unwrap().push_back((at, told));
            self.told
                .lock()
                .unwrap()
                .insert((message_id.to_owned(), kind));
        }
    }
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
        let (life, body) = read_request(&mut stream, &mut buffer).await?;
        let (answer, message_id, event) = mail.choose_answer(&body, slot, life);
        if mail.resume_previous_sender(event, slot, life) {
            // The resumed sender gets time to record its outcome first.
            tokio::time::sleep(mail.slowest / 3).await;
        }
        match slot.next_action(life, Point::RequestArrived) {
            Some(Action::Kill) => {
                slot.kill(Point::RequestArrived).await;
                return None;
            }
            Some(Action::Stop(time)) => slot.stop(life, time),
            _ => {}
        }
        let sent = response(200, "", &json!({"MessageId": message_id}).to_string());
        match answer {
            Answer::Sent => stream.write_all(&sent).await.ok()?,
            Answer::Slow => {
                let time = mail.slowest.mul_f64(mail.rng.lock().unwrap().f64());
                tokio::time::sleep(time).await;
                stream.write_all(&sent).await.ok()?;
            }
            Answer::Error(status, code, message) => {
                let body = json!({"message": message}).to_string();
                stream
                    .write_all(&response(status, code, &body))
                    .await
                    .ok()?;
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
        match slot.next_action(life, Point::AnswerWritten) {
            Some(Action::Kill) => {
                slot.kill(Point::AnswerWritten).await;
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

/// Reads one request; returns the sender's life, with which the path begins, and the body. `None`
/// when the connection ends. The life may be over when the connection is accepted.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(u64, Value)> {
    loop {
        if let Some(head) = buffer
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n")
            .map(|at| at + 4)
        {
            let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| {
                line.strip_prefix("content-length:")?
                    .trim()
                    .parse::<usize>()
                    .ok()
            })?;
            if buffer.len() >= head + length {
                let body = buffer.drain(..head + length).skip(head).collect::<Vec<_>>();
                let life = text
                    .split('/')
                    .nth(1)?
                    .parse()
                    .expect("a path that begins with the life");
                return Some((life, serde_json::from_slice(&body).ok()?));
            }
        }
        let 1.. = stream.read_buf(buffer).await.ok()? else {
            return None;
        };
    }
}
