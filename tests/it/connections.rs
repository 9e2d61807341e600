//! Clients of `serve` that do not send, or do not read, keep out no others.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Command;

use crate::app::{App, connect, hours};
use crate::client::{receive, request, send};
use crate::http::{SERVE, Server, bearer_secret, hold_advisory_lock, linger_on_updates};

/// The most connections at once.
const MOST: usize = 512;
/// Less than `serve` waits for headers, and far more than the tests need.
const AT_ONCE: Duration = Duration::from_secs(9);

/// More than `serve` waits for headers or a body, and less than it lets a connection stand still.
const SOON: Duration = Duration::from_secs(25);

/// The answer lists [`APPS`], so that few answers fill the buffers.
const LONG_ANSWER: &[u8] =
    b"GET /.well-known/apple-app-site-association HTTP/1.1\r\nHost: x\r\n\r\n";
const APPS: usize = 300;
const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

/// What a client does that keeps its connection.
#[derive(Clone, Copy, Debug)]
enum Client {
    Silent,
    UnfinishedHeaders,
    UnfinishedBody,
    /// It got an answer, and sends nothing more.
    KeptAlive,
    /// It sends requests until nothing more fits, and reads no answer.
    Unread,
}

impl Client {
    async fn connect(self, port: u16) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        // So that not much fits.
        socket.set_recv_buffer_size(4096).unwrap();
        socket.set_send_buffer_size(4096).unwrap();
        let server = format!("127.0.0.1:{port}").parse().unwrap();
        let mut socket = socket.connect(server).await.unwrap();
        match self {
            Self::Silent => {}
            Self::UnfinishedHeaders => {
                let part = b"GET /health HTTP/1.1\r\nHost: x\r\nX: ";
                socket.write_all(part).await.unwrap();
            }
            Self::UnfinishedBody => {
                let part = b"POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx";
                socket.write_all(part).await.unwrap();
            }
            Self::KeptAlive => {
                socket.write_all(HEALTH).await.unwrap();
                assert!(socket.read(&mut [0; 1024]).await.unwrap() > 0);
            }
            Self::Unread => fill(&mut socket).await,
        }
        socket
    }
}

/// Sends requests until the server takes no more of them for a while: it is busy with those of the
/// other clients, too.
async fn fill(socket: &mut TcpStream) {
    let requests = LONG_ANSWER.repeat(1000);
    while tokio::time::timeout(Duration::from_millis(500), socket.write_all(&requests))
        .await
        .is_ok()
    {}
}

/// Waits until the server has done what the clients have sent so far.
async fn wait_until_idle(port: u16) {
    for _ in 0..40 {
        let asked = Instant::now();
        request(port, "GET", "/health", &[], b"").await;
        if asked.elapsed() < Duration::from_millis(200) {
            return;
        }
    }
}

async fn connect_all(client: Client, port: u16) -> Vec<TcpStream> {
    futures_util::future::join_all((0..MOST).map(|_| client.connect(port))).await
}

#[tokio::test]
async fn clients_that_do_not_send_or_read_keep_out_no_others() {
    for client in [
        Client::Silent,
        Client::UnfinishedHeaders,
        Client::UnfinishedBody,
        Client::KeptAlive,
        Client::Unread,
    ] {
        let mut app = App::new().await;
        let base = "https://bookings.example/appointments".to_owned();
        app.env.insert("APP_LINK_BASE", base);
        let apps = vec!["A1B2C3D4E5.example.bookings"; APPS].join(",");
        app.env.insert("APPLE_APP_IDS", apps);
        let server = Server::start(&app, &[]).await;
        let lingering = connect_all(client, server.port).await;
        wait_until_idle(server.port).await;
        let begun = Instant::now();
        // All places are taken.
        let health = request(server.port, "GET", "/health", &[], b"").await;
        assert_eq!(health.status, 200, "{client:?}");
        let run = server.run_with_bearer().await.json();
        assert_eq!(run["outcome"], "completed", "{client:?}: {run}");
        assert!(begun.elapsed() < AT_ONCE, "{client:?}: they had to wait");
        // They delay no shutdown, either.
        server.end().await;
        drop(lingering);
    }
}

#[tokio::test]
async fn clients_beyond_the_open_files_of_the_process_keep_out_no_others() {
    let app = App::new().await;
    let command = app.command(&SERVE);
    let of = command.as_std();
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 40; exec \"$0\" \"$@\""])
        .arg(of.get_program())
        .args(of.get_args())
        .env_clear()
        .envs(
            of.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .kill_on_drop(true);
    let server = Server::start_as(&app, limited).await;
    let lingering = futures_util::future::join_all(
        (0..60).map(|_| TcpStream::connect(("127.0.0.1", server.port))),
    )
    .await;
    let begun = Instant::now();
    let health = request(server.port, "GET", "/health", &[], b"").await;
    assert_eq!(health.status, 200);
    assert!(begun.elapsed() < AT_ONCE, "it had to wait");
    drop(lingering);
}

#[tokio::test]
async fn a_request_under_way_keeps_its_connection() {
    let app = App::new().await;
    linger_on_updates(&app).await;
    app.set_clock(chrono::Utc::now() - hours(48)).await;
    app.booking("confirmed", chrono::Utc::now()).await;
    let holder = connect(&app.url).await;
    hold_advisory_lock(&holder, 42).await;
    let server = Server::start(&app, &[]).await;
    let authorization = format!("Bearer {}", bearer_secret());
    let headers = [("Authorization", authorization.as_bytes())];
    let slow = send(server.port, "POST", "/run", &headers, b"").await;
    app.wait_until(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')",
    )
    .await;
    // It is the oldest connection, and would be the first to be ended.
    let first = connect_all(Client::Silent, server.port).await;
    let second = connect_all(Client::UnfinishedBody, server.port).await;
    let health = request(server.port, "GET", "/health", &[], b"").await;
    assert_eq!(health.status, 200);
    drop(holder);
    assert_eq!(receive(slow).await.json()["transitions"]["started"], 1);
    drop((first, second));
}

#[tokio::test]
async fn many_connections_of_one_address_end_none_of_another() {
    let app = App::new().await;
    let server = Server::start(&app, &[]).await;
    let mut early = Client::UnfinishedHeaders.connect(server.port).await;
    let server_address = format!("127.0.0.1:{}", server.port).parse().unwrap();
    let mut many = Vec::new();
    for _ in 0..2 * MOST {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        many.push(socket.connect(server_address).await.unwrap());
        if many.len() > MOST {
            many.remove(0);
        }
    }
    early
        .write_all(b"x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(receive(early).await.status, 200);
    drop(many);
}

#[tokio::test]
async fn a_client_that_reads_no_answer_is_ended_in_the_end() {
    let app = App::new().await;
    let server = Server::start(&app, &[]).await;
    let mut socket = Client::Unread.connect(server.port).await;
    // Nothing more fits, until the server ends the connection.
    let refused = tokio::time::timeout(Duration::from_secs(120), async {
        while socket.write_all(HEALTH).await.is_ok() {}
    });
    assert!(refused.await.is_ok(), "the connection stays");
}

/// Sends a byte again and again, until the server ends the connection.
async fn trickle(mut socket: TcpStream) {
    while socket.write_all(b"x").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_client_that_sends_slowly_or_not_at_all_is_ended_in_the_end() {
    let app = App::new().await;
    let server = Server::start(&app, &[]).await;
    let connect = async |client: Client| client.connect(server.port).await;
    let headers = trickle(connect(Client::UnfinishedHeaders).await);
    let long = b"POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n";
    let mut body = connect(Client::Silent).await;
    body.write_all(long).await.unwrap();
    let silent = receive_rest(connect(Client::Silent).await);
    let idle = receive_rest(connect(Client::KeptAlive).await);
    let all = futures_util::future::join4(headers, trickle(body), silent, idle);
    let ended = tokio::time::timeout(SOON, all).await;
    assert!(ended.is_ok(), "a connection stays");
}

async fn receive_rest(mut socket: TcpStream) {
    let _ = socket.read_to_end(&mut Vec::new()).await;
}
