//! The outcome of each SES answer, and of no answer.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::app::{App, noon};
use crate::delivery::{create_due_bookings, reminder_outcomes};
use crate::ses::Answer;

const THROTTLED: (&str, &str) = ("pending throttled 1 1", "retrying");
const LIMIT: (&str, &str) = ("pending limit 1 1", "retrying");
const QUOTA: (&str, &str) = ("pending quota 0 1", "deferred");
const ACCOUNT: (&str, &str) = ("pending account 0 1", "deferred");
const REJECTED: (&str, &str) = ("failed rejected 1 1", "failed");
const UNKNOWN: (&str, &str) = ("pending unknown 1 1", "unknown");

/// HTTP status, code, message; the recorded outcome and the figure that counts it.
const ANSWERS: &[(u16, &str, &str, (&str, &str))] = &[
    (
        429,
        "TooManyRequestsException",
        "Daily message quota exceeded.",
        QUOTA,
    ),
    (
        400,
        "ThrottlingException",
        "Daily message quota exceeded",
        QUOTA,
    ),
    (
        400,
        "LimitExceededException",
        "Sending quota exceeded for this account",
        QUOTA,
    ),
    (
        429,
        "TooManyRequestsException",
        "Maximum sending rate exceeded.",
        THROTTLED,
    ),
    (
        400,
        "Throttling",
        "Maximum sending rate exceeded.",
        THROTTLED,
    ),
    (400, "ThrottlingException", "Rate exceeded", THROTTLED),
    (400, "ThrottledException", "", THROTTLED),
    (400, "RequestThrottled", "", THROTTLED),
    (400, "RequestThrottledException", "", THROTTLED),
    (503, "RequestLimitExceeded", "", THROTTLED),
    (509, "BandwidthLimitExceeded", "", THROTTLED),
    (503, "SlowDown", "", THROTTLED),
    (503, "EC2ThrottledException", "", THROTTLED),
    (400, "PriorRequestNotComplete", "", THROTTLED),
    (400, "ProvisionedThroughputExceededException", "", THROTTLED),
    (400, "TransactionInProgressException", "", THROTTLED),
    (
        400,
        "LimitExceededException",
        "There are too many instances of the resource type.",
        LIMIT,
    ),
    (400, "AccountSuspendedException", "suspended", ACCOUNT),
    (400, "SendingPausedException", "paused", ACCOUNT),
    (400, "MailFromDomainNotVerifiedException", "no", ACCOUNT),
    (
        404,
        "NotFoundException",
        "Configuration set <x> does not exist.",
        ACCOUNT,
    ),
    (
        400,
        "MessageRejected",
        "Sending suspended for this account.",
        ACCOUNT,
    ),
    (
        400,
        "MessageRejected",
        "Sending paused for this account.",
        ACCOUNT,
    ),
    (
        400,
        "MessageRejected",
        "Email address is not verified. The following identities failed: BOOKING@studio.example",
        ACCOUNT,
    ),
    (
        400,
        "MessageRejected",
        "Email address is not verified: c1@customers.example",
        REJECTED,
    ),
    (
        400,
        "MessageRejected",
        "Email address is not verified: c1@my-studio.example, other-booking@studio.example.",
        REJECTED,
    ),
    (400, "MessageRejected", "virus", REJECTED),
    // The same message with another code is not about the sender.
    (
        400,
        "BadRequestException",
        "Email address is not verified: booking@studio.example",
        REJECTED,
    ),
    (400, "BadRequestException", "bad", REJECTED),
    (400, "ValidationError", "bad", REJECTED),
    (400, "ValidationException", "bad", REJECTED),
    (413, "RequestEntityTooLargeException", "", REJECTED),
    (400, "MalformedHttpRequestException", "", REJECTED),
    (403, "AccessDenied", "not authorized", ACCOUNT),
    (400, "AccessDeniedException", "not authorized", ACCOUNT),
    (400, "NotAuthorized", "", ACCOUNT),
    (403, "OptInRequired", "", ACCOUNT),
    (400, "ExpiredToken", "", ACCOUNT),
    (403, "ExpiredTokenException", "expired", ACCOUNT),
    (403, "InvalidClientTokenId", "", ACCOUNT),
    (400, "UnrecognizedClientException", "", ACCOUNT),
    (403, "MissingAuthenticationToken", "", ACCOUNT),
    (403, "MissingAuthenticationTokenException", "", ACCOUNT),
    (400, "IncompleteSignature", "", ACCOUNT),
    (400, "IncompleteSignatureException", "", ACCOUNT),
    (400, "InvalidSignatureException", "", ACCOUNT),
    (403, "SignatureDoesNotMatch", "", ACCOUNT),
    (400, "RequestExpired", "", ACCOUNT),
    (404, "UnknownOperationException", "", ACCOUNT),
    (400, "RequestAbortedException", "", UNKNOWN),
    (408, "RequestTimeoutException", "", UNKNOWN),
    (500, "InternalFailure", "oops", UNKNOWN),
    (500, "InternalServiceErrorException", "oops", UNKNOWN),
    (503, "ServiceUnavailable", "oops", UNKNOWN),
    (503, "ServiceUnavailableException", "oops", UNKNOWN),
    // Codes that are not in the table.
    (429, "", "", THROTTLED),
    (401, "", "", ACCOUNT),
    (403, "NewlyForbidden", "", ACCOUNT),
    (413, "", "", REJECTED),
    (400, "SomethingNew", "", UNKNOWN),
    (404, "", "", UNKNOWN),
    (409, "ConflictException", "", UNKNOWN),
    (500, "", "", UNKNOWN),
    (502, "", "<html>", UNKNOWN),
    (504, "", "", UNKNOWN),
];

async fn assert_outcome(answer: Answer, (recorded, told): (&str, &str)) {
    let app = App::new().await;
    create_due_bookings(&app, 1).await;
    app.ses.answer({
        let answer = answer.clone();
        move |_| answer.clone()
    });
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    let summary = said.summary();
    assert_eq!(reminder_outcomes(&app).await, [recorded], "{answer:?}");
    let mut reminders = json!({"due": 1, "sent": 0, "retrying": 0, "unknown": 0, "failed": 0, "skipped": 0, "deferred": 0});
    reminders[told] = json!(1);
    assert_eq!(summary["reminders"], reminders, "{answer:?}");
    assert_eq!(
        app.ses.mails().len(),
        1,
        "the SDK's own retries are off: {answer:?}"
    );
    assert!(
        !said.stderr.contains("@customers.example"),
        "the log has no addresses: {}",
        said.stderr
    );
    let errors = app
        .column(
            "SELECT concat(error_message, event_data) FROM booking_automation_events",
            &[],
        )
        .await;
    assert!(
        !errors.join(" ").contains("@"),
        "the events have no addresses: {errors:?}"
    );
    let waits = i64::from(told != "failed");
    assert_eq!(summary["backlog"]["pending"], waits, "{answer:?}");
    // The run's row has the same summary.
    let stored: serde_json::Value = app
        .one("SELECT summary FROM automation_runs", &[])
        .await
        .get(0);
    assert_eq!(stored, summary);
    // The alarm counts lines with ERROR.
    let loud = ["account", "quota", "limit"]
        .iter()
        .any(|reason| recorded.contains(reason));
    assert_eq!(
        said.stderr.contains("ERROR"),
        loud,
        "{answer:?}: {}",
        said.stderr
    );
}

#[tokio::test]
async fn every_ses_answer_has_its_outcome() {
    let lines = ANSWERS.iter().map(|(status, code, message, expected)| {
        assert_outcome(Answer::Error(*status, code, message), *expected)
    });
    stream::iter(lines)
        .buffer_unordered(4)
        .collect::<Vec<()>>()
        .await;

    // Every line of the program's tables has a test: those of SES, and those of AWS in general.
    let tables = [
        (
            "const REFUSALS",
            include_str!("../../src/channels/email/refusals.rs"),
        ),
        (
            "const COMMON_REFUSALS",
            include_str!("../../src/channels/aws/refusals.rs"),
        ),
    ];
    let codes: BTreeSet<_> = tables
        .iter()
        .flat_map(|(name, source)| {
            let (_, table) = source.split_once(name).unwrap();
            let (table, _) = table.split_once("\n};").unwrap();
            table.split('(')
        })
        .filter_map(|line| line.trim_start().strip_prefix('"')?.split('"').next())
        .filter(|code| *code != "*")
        .collect();
    let tested: BTreeSet<_> = ANSWERS.iter().map(|(_, code, ..)| *code).collect();
    assert!(codes.len() > 35, "{codes:?}");
    assert_eq!(
        codes.difference(&tested).collect::<Vec<_>>(),
        Vec::<&&str>::new()
    );
}

#[tokio::test]
async fn an_unreadable_answer_is_an_unknown_outcome() {
    for body in [
        "",
        "{}",
        "{\"MessageId\":\"\"}",
        "{\"MessageId\":",
        "<html>It works!</html>",
        "[]",
        "null",
    ] {
        assert_outcome(Answer::Rubbish(body), UNKNOWN).await;
    }
}

/// Makes one attempt at an endpoint; returns the outcomes.
async fn run_against(app: &mut App, url: String) -> Vec<String> {
    app.env.insert("AWS_ENDPOINT_URL_SESV2", url);
    app.make_claimable().await;
    app.call(&["run", "--for", "8s", "--as-of", &noon().to_rfc3339()])
        .await
        .summary();
    reminder_outcomes(app).await
}

#[tokio::test]
async fn a_request_that_never_left_counts_as_not_sent() {
    let mut app = App::new().await;
    create_due_bookings(&app, 1).await;
    // No process listens.
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    assert_eq!(
        run_against(&mut app, format!("http://127.0.0.1:{port}")).await,
        ["pending unreachable 1 1"]
    );
    let why =
        app.column("SELECT error_message FROM booking_automation_events WHERE event_type = 'reminder_sent'", &[]).await;
    assert!(why[0].contains("Connection refused"), "{why:?}");

    // The server does not speak TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    assert_eq!(
        run_against(&mut app, format!("https://127.0.0.1:{port}")).await,
        ["pending unreachable 2 1"]
    );

    // The connection is not accepted: the queue is full.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        waiting.push(stream);
    }
    assert_eq!(
        run_against(&mut app, format!("http://{address}")).await,
        ["pending unreachable 3 1"]
    );
}

#[tokio::test]
async fn a_request_without_an_answer_is_an_unknown_outcome() {
    let mut app = App::new().await;
    create_due_bookings(&app, 1).await;
    app.ses.answer(|_| Answer::Silence);
    let url = app.ses.url.clone();
    assert_eq!(
        run_against(&mut app, url.clone()).await,
        ["pending unknown 1 1"]
    );
    // An answer after the end of the call.
    app.ses.answer(|_| Answer::Slow(Duration::from_secs(60)));
    assert_eq!(run_against(&mut app, url).await, ["pending unknown 2 1"]);

    // A connection that ends after the request, and one that ends in the answer.
    for (attempts, half) in [
        (3, &b""[..]),
        (4, b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"Mess"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = socket.read(&mut [0; 1024]).await;
                let _ = socket.write_all(half).await;
            }
        });
        let expected = format!("pending unknown {attempts} 1");
        assert_eq!(
            run_against(&mut app, format!("http://127.0.0.1:{port}")).await,
            [expected]
        );
    }
    let history = "SELECT string_agg(attempt ->> 'outcome', ' ' ORDER BY n) FROM booking_automation_events,
                          jsonb_array_elements(event_data -> 'attempts') WITH ORDINALITY AS history (attempt, n)";
    assert_eq!(
        app.column(history, &[]).await,
        ["unknown unknown unknown unknown"]
    );
}
