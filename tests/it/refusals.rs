//! Each refused call is logged in a line, up to a few of each kind in a minute.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::app::App;
use crate::client::request;
use crate::http::{Server, bearer_secret};
use crate::lambda::{app_with_secrets, function_url_request};
use crate::runtime_api::Instance;

/// More of each kind than are logged.
const CALLS: usize = 20;
/// Lines of each kind in a minute, of which the test may meet two.
const MOST_LINES: usize = 10;

/// A secret in the wrong place: in a path, a query and a header.
const SECRET: &str = "a-secret-in-the-wrong-place";

/// How many lines there are of each status, in their order.
fn lines_of(log: &str, status_of: impl Fn(&str) -> u16) -> BTreeMap<u16, usize> {
    let mut lines = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains("refused a call")) {
        assert!(line.len() < 400, "{line}");
        for hidden in [
            SECRET,
            "203.0.113",
            "192.0.2.",
            "127.0.0.1",
            "local-secret",
            &bearer_secret(),
        ] {
            assert!(!line.contains(hidden), "{hidden}: {line}");
        }
        *lines.entry(status_of(line)).or_default() += 1;
    }
    lines
}

fn assert_sampled(lines: &BTreeMap<u16, usize>, log: &str) {
    let statuses: Vec<_> = lines.keys().copied().collect();
    assert_eq!(statuses, [401, 404, 405, 413, 429], "{log}");
    for (status, count) in lines {
        assert!((5..=MOST_LINES).contains(count), "{status}: {count} {log}");
    }
}

#[tokio::test]
async fn serve_logs_a_few_of_the_refused_calls_of_each_kind() {
    let mut app = App::new().await;
    app.env.insert("RATE_LIMIT", "1".to_owned());
    app.env
        .insert("ADMIN_TOKEN", "a-token-of-support-0123456789".to_owned());
    let server = Server::start(&app, &[]).await;
    let (path, query) = (format!("/{SECRET}"), format!("/run?secret={SECRET}"));
    let wrong = format!("Bearer {SECRET}");
    let wrong = [
        ("Authorization", wrong.as_bytes()),
        ("X-Forwarded-For", b"203.0.113.7"),
    ];
    let right = format!("Bearer {}", bearer_secret());
    let right = [("Authorization", right.as_bytes())];
    let huge = vec![b'x'; 65_537];
    let status = async |method, path: &str, headers: &[_], body: &[u8]| {
        request(server.port, method, path, headers, body)
            .await
            .status
    };
    assert_eq!(status("GET", "/run", &right, b"").await, 200);
    for _ in 0..CALLS {
        assert_eq!(status("GET", &query, &wrong, b"").await, 401);
        assert_eq!(status("GET", "/preview", &wrong, b"").await, 401);
        assert_eq!(status("GET", &path, &[], b"").await, 404);
        assert_eq!(status("PUT", &query, &right, b"").await, 405);
        assert_eq!(status("POST", "/health", &[], b"").await, 405);
        assert_eq!(status("POST", "/run", &right, &huge).await, 413);
        assert_eq!(status("GET", "/run", &right, b"").await, 429);
    }
    let log = server.end().await;
    let lines = lines_of(&log, |line| {
        let (_, rest) = line.split_once("status=").unwrap();
        rest[..3].parse().unwrap()
    });
    assert_sampled(&lines, &log);
    assert!(
        log.contains("refused a call: wrong bearer secret status=401"),
        "{log}"
    );
}

#[tokio::test]
async fn the_function_logs_a_few_of_the_refused_calls_of_each_kind() {
    let mut app = app_with_secrets().await;
    app.env.insert("RATE_LIMIT", "1".to_owned());
    let instance = Instance::start(&app).await;
    let wrong = format!("Bearer {SECRET}");
    let wrong = [
        ("authorization", wrong.as_str()),
        ("x-forwarded-for", "203.0.113.7"),
    ];
    let right = [("authorization", "Bearer local-secret-0123456789")];
    let huge = "x".repeat(65_537);
    let status = async |method, path: &str, headers: &[_], body: &str| {
        let request = function_url_request(method, path, headers, body);
        instance.invoke(&request).await.unwrap()["statusCode"]
            .as_i64()
            .unwrap()
    };
    assert_eq!(status("GET", "/run", &right, "").await, 200);
    for _ in 0..CALLS {
        assert_eq!(status("GET", "/run", &wrong, "").await, 401);
        assert_eq!(status("GET", &format!("/{SECRET}"), &[], "").await, 404);
        assert_eq!(status("DELETE", "/run", &right, "").await, 405);
        assert_eq!(status("POST", "/run", &right, &huge).await, 413);
        assert_eq!(status("GET", "/run", &right, "").await, 429);
    }
    let log = instance.kill().await;
    let lines = lines_of(&log, |line| {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["level"], "INFO", "{line}");
        u16::try_from(line["status"].as_u64().unwrap()).unwrap()
    });
    assert_sampled(&lines, &log);
}
