//! `DATABASE_URL`: unknown and malformed parameters are named with their equivalent, values are
//! never printed, and what the server receives is what the text says.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::app::App;

/// Stands for what must not be printed.
const SECRET: &str = "secret-value";

/// What the program says about a `DATABASE_URL` that it refuses: one line.
async fn refusal(app: &App, url: &str) -> String {
    let output = app
        .command(&["run"])
        .env("DATABASE_URL", url)
        .output()
        .await
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && output.stdout.is_empty(),
        "{url}"
    );
    assert_eq!(stderr.lines().count(), 1, "{url}: {stderr}");
    assert!(stderr.contains("DATABASE_URL "), "{url}: {stderr}");
    assert!(!stderr.contains(SECRET), "{url}: {stderr}");
    stderr
}

/// Asserts that a `DATABASE_URL` is refused, and that each of these texts is said.
async fn assert_refused(app: &App, url: &str, told: &[&str]) {
    let refusal = refusal(app, url).await;
    for told in told {
        assert!(refusal.contains(told), "{url}: {told}: {refusal}");
    }
}

#[tokio::test]
async fn unknown_parameters_are_all_named_with_their_equivalent() {
    let app = App::empty().await;
    let url = "postgres://user:secret-value@db.example/x?";
    let key_values = "host=db.example user=user password='secret-value' dbname=x ";
    for (query, pairs, told) in [
        (
            "pgbouncer=true&schema=app&sslrootcert=%2Fca.pem&connection_limit=1&pool_timeout=0",
            "pgbouncer=true schema=app sslrootcert=/ca.pem connection_limit=1 pool_timeout=0",
            &[
                "`pgbouncer` is not known (leave it out",
                "`schema` is not known (leave it out: the tables are in the schema public",
                "options=-csearch_path=",
                "`sslrootcert` is not known (put the certificate or its path into DATABASE_CA_CERT",
                "`connection_limit` is not known",
                "`pool_timeout` is not known",
            ][..],
        ),
        (
            "sslmode=verify-full&keepalives_count=3&statement_timeout=5s&sslcert=a",
            "sslmode=verify-full keepalives_count=3 statement_timeout=5s sslcert=a",
            &[
                "`keepalives_count` is not known (write keepalives_retries)",
                "`statement_timeout` is not known",
                "`sslcert` is not known (there are no client certificates here",
            ],
        ),
        (
            "currentSchema=app&SSLMODE=require&ssl=true&ApplicationName=me",
            "currentSchema=app SSLMODE=require ssl=true ApplicationName=me",
            &[
                "`currentSchema` is not known",
                "`SSLMODE` is not known (write sslmode)",
                "`ssl` is not known (write sslmode=require",
                "`ApplicationName` is not known (write application_name)",
            ],
        ),
        (
            "flux_capacitor=1&sslmode=allow&connect_timeout=abc&application_name=a&application_name=b",
            "flux_capacitor=1 sslmode=allow connect_timeout=abc application_name=a application_name=b",
            &[
                "`flux_capacitor` is not known (leave it out)",
                "`sslmode` is not valid, it takes disable, prefer, require, verify-ca or verify-full",
                "`connect_timeout` is not valid, it takes seconds",
                "`application_name` is given more than once",
            ],
        ),
        (
            "pgbouncer",
            "pgbouncer=''",
            &["`pgbouncer` is not known (leave it out"],
        ),
        (
            "target_session_attrs=primary&hostaddr=nowhere&port=5432x",
            "target_session_attrs=primary hostaddr=nowhere port=5432x",
            &[
                "`target_session_attrs` is not valid, it takes any, read-write or read-only",
                "`hostaddr` is not valid, it takes IP addresses",
                "`port` is not valid, it takes numbers",
            ],
        ),
    ] {
        assert_refused(&app, &format!("{url}{query}"), told).await;
        assert_refused(&app, &format!("{key_values}{pairs}"), told).await;
    }
}

#[tokio::test]
async fn no_part_of_a_password_is_printed_even_where_it_looks_like_a_parameter() {
    let app = App::empty().await;
    let hidden = "a parameter whose name is not printed";
    let at = "write it as %40";
    for (url, told) in [
        (
            "postgres://u@db.example/x?password=a&secret-value=b",
            hidden,
        ),
        ("host=db.example user=u password=a secret-value=b", hidden),
        (
            "host=db.example user=u password=a secret-value",
            "without =",
        ),
        (
            "host=db.example user=u password='a secret-value",
            "quoted value without its end",
        ),
        ("postgres://u:a@b?secret-value=c@db.example/x", hidden),
        ("postgres://u:a@secret-value@db.example/x", at),
        // The driver would send a part of it as the password, to the host secret-value.
        ("postgres://db.example/x?user=u&password=a@secret-value", at),
        (
            "postgres://db.example:5432/x?user=u&password=a@secret-value",
            at,
        ),
        (
            "postgres://db.example:5432?user=u&password=a@secret-value",
            at,
        ),
        (
            "postgresql+psycopg2://u:secret-value@db.example/x?a=b",
            "it takes a PostgreSQL URL",
        ),
        (
            "jdbc:postgresql://db.example/x?user=u&password=secret-value",
            "it takes a PostgreSQL URL",
        ),
        ("postgres://u:secret-value@[::1/x", "malformed host"),
        ("postgres://u:secret-value@a,/x", "names no host"),
        ("postgres://u:secret-value@/x", "names no host"),
        ("postgres://:secret-value@db.example/x", "names no user"),
        (
            "postgres://u:secret-value@a,b,c/x?port=1,2",
            "different numbers",
        ),
        (
            "host=a,b hostaddr=127.0.0.1 user=u password=secret-value",
            "different numbers",
        ),
    ] {
        assert_refused(&app, url, &[told]).await;
    }
}

/// What a client sends to log in: its startup parameters and its password.
struct LogIn {
    startup: BTreeMap<String, String>,
    password: String,
}

/// Accepts one client, asks for its password, and hangs up.
async fn log_in(listener: &TcpListener) -> LogIn {
    let (mut client, _) = listener.accept().await.unwrap();
    let startup = read_message(&mut client).await;
    let mut texts = startup[4..]
        .split(|byte| *byte == 0)
        .map(|text| String::from_utf8(text.to_vec()).unwrap());
    let mut parameters = BTreeMap::new();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        parameters.insert(name, value);
    }
    // AuthenticationCleartextPassword
    client.write_all(b"R\0\0\0\x08\0\0\0\x03").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'p');
    let mut password = read_message(&mut client).await;
    assert_eq!(password.pop(), Some(0));
    LogIn {
        startup: parameters,
        password: String::from_utf8(password).unwrap(),
    }
}

/// The body of a message, which its length precedes.
async fn read_message(client: &mut TcpStream) -> Vec<u8> {
    let length = client.read_u32().await.unwrap();
    let mut body = vec![0; usize::try_from(length).unwrap() - 4];
    client.read_exact(&mut body).await.unwrap();
    body
}

/// What the server receives from the program with this `DATABASE_URL`.
async fn received(app: &App, listener: &TcpListener, url: &str) -> LogIn {
    let mut command = app.command(&["run"]);
    let program = command.env("DATABASE_URL", url).output();
    let (output, log_in) = tokio::join!(program, async {
        tokio::time::timeout(std::time::Duration::from_secs(20), log_in(listener))
            .await
            .unwrap_or_else(|_| panic!("the program did not log in: {url}"))
    });
    let stderr = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(!stderr.contains(&log_in.password), "{url}: {stderr}");
    log_in
}

#[tokio::test]
async fn the_server_receives_user_password_and_database_as_they_are_written() {
    let app = App::empty().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let host = format!("127.0.0.1:{port}");
    let pairs = format!("host=127.0.0.1 port={port} user=u dbname=x");
    let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = first.local_addr().unwrap().port();
    drop(first);
    for (url, password) in [
        // An sslmode in a password is a part of it.
        (
            format!("postgres://u:sslmode=verify-full@{host}/x"),
            "sslmode=verify-full",
        ),
        (
            format!("{pairs} password=sslmode=verify-ca"),
            "sslmode=verify-ca",
        ),
        (
            format!("postgres://u:p%3Fa%26b%40c%2Fd%25@{host}/x"),
            "p?a&b@c/d%",
        ),
        (
            format!("postgres://u:p?a&b/c=d#e:f%20g@{host}/x?connect_timeout=3"),
            "p?a&b/c=d#e:f g",
        ),
        (
            format!("postgresql://u@{host}/x?password=p%26q%3Dr"),
            "p&q=r",
        ),
        (
            format!("{pairs} password='it\\'s a \\\\ \"secret\"'"),
            "it's a \\ \"secret\"",
        ),
        (format!("{pairs} password = it\\'s\\ one"), "it's one"),
        (format!("postgres://u:pü%C3%BC@{host}/x"), "püü"),
        // Several hosts; the query overrides what stands before it.
        (
            format!("postgres://u:word-1@127.0.0.1:{closed},{host}/x?connect_timeout=1"),
            "word-1",
        ),
        (
            format!(
                "host=127.0.0.1,127.0.0.1 port={closed},{port} user=u dbname=x password=word-1"
            ),
            "word-1",
        ),
        (
            format!("postgres://u:word-1@db.example:{port}/y?host=127.0.0.1&dbname=x"),
            "word-1",
        ),
        (
            format!("postgres:///x?user=u&password=word-1&host=127.0.0.1&port={port}"),
            "word-1",
        ),
    ] {
        let log_in = received(&app, &listener, &url).await;
        assert_eq!(log_in.password, password, "{url}");
        assert_eq!(
            (&*log_in.startup["user"], &*log_in.startup["database"]),
            ("u", "x"),
            "{url}"
        );
        assert_eq!(log_in.startup["application_name"], "booking-automation");
    }
    let url = format!(
        "postgres://%C3%BC:word-1@{host}/a%2Fb?application_name=me%20too&options=-csearch_path%3Dapp&sslmode=prefer"
    );
    let startup = received(&app, &listener, &url).await.startup;
    for (name, value) in [
        ("user", "ü"),
        ("database", "a/b"),
        ("application_name", "me too"),
        ("options", "-csearch_path=app"),
    ] {
        assert_eq!(startup[name], value);
    }
}

#[tokio::test]
async fn stricter_modes_of_sslmode_require_tls_in_both_forms() {
    let app = App::empty().await;
    for mode in ["verify-full", "verify-ca", "require"] {
        for url in [
            format!("postgres://u:secret-value@127.0.0.1:PORT/x?sslmode={mode}"),
            format!("host=127.0.0.1 port=PORT user=u password='secret-value' sslmode = '{mode}'"),
            format!(
                "postgres://u:secret-value@127.0.0.1:PORT/x?sslmode={}",
                mode.replace('-', "%2D")
            ),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let mut command = app.command(&["run"]);
            let program = command
                .env("DATABASE_URL", url.replace("PORT", &port.to_string()))
                .output();
            let (output, request) = tokio::join!(program, async {
                let (mut client, _) = listener.accept().await.unwrap();
                read_message(&mut client).await
            });
            // SSLRequest
            assert_eq!(request, 80_877_103_u32.to_be_bytes(), "{url}");
            assert!(!output.unwrap().status.success());
        }
    }
}
