//! Settings: an error names the variable and what it accepts, and never prints the value. TLS is a
//! setting.

use crate::app::{App, hours, noon, skipped};
use crate::cluster::cluster;
use crate::proxy::{Cut, Proxy};
use crate::ses::Answer;

#[tokio::test]
async fn no_log_level_prints_secrets_or_addresses() {
    let mut app = App::new().await;
    app.env.insert("RUST_LOG", "trace".to_owned());
    app.env.insert(
        "AWS_SECRET_ACCESS_KEY",
        "secret-of-aws-0123456789".to_owned(),
    );
    app.env
        .insert("AWS_SESSION_TOKEN", "token-of-aws-0123456789".to_owned());
    app.env.insert(
        "DATABASE_URL",
        app.url.replace(
            "postgres://postgres@",
            "postgres://postgres:password-of-the-database@",
        ),
    );
    app.ses.answer(|mail| {
        Answer::Error(
            400,
            "MessageRejected",
            if mail.to().starts_with("carla") {
                "no carla@customers.example"
            } else {
                ""
            },
        )
    });
    app.confirmed(noon() + hours(24)).await;
    let said = app.call(&["run", "--as-of", &noon().to_rfc3339()]).await;
    assert!(
        said.success && said.stderr.contains("TRACE"),
        "{}",
        said.stderr
    );
    for secret in [
        "secret-of-aws",
        "token-of-aws",
        "password-of-the-database",
        "carla@",
        "Carla",
        "Ringstra",
    ] {
        assert!(!said.stderr.contains(secret), "{secret}: {}", said.stderr);
    }
}

/// Malformed settings. The value is never printed: `secret-value` stands for what must not appear.
const MALFORMED: &[(&str, &str)] = &[
    ("DATABASE_URL", ""),
    ("DATABASE_URL", "mysql://secret-value@127.0.0.1/x"),
    (
        "DATABASE_URL",
        "postgres://user:secret-value@127.0.0.1:port/x",
    ),
    (
        "DATABASE_URL",
        "postgres://user:secret-value@127.0.0.1/x?sslmode=secret-value",
    ),
    (
        "DATABASE_URL",
        "host=127.0.0.1 password=secret-value dbname=x",
    ),
    ("DATABASE_URL", "user=secret-value"),
    ("DATABASE_CA_CERT", "/no/such/secret-value"),
    (
        "DATABASE_CA_CERT",
        "-----BEGIN CERTIFICATE-----\nsecret-value\n-----END CERTIFICATE-----",
    ),
    (
        "DATABASE_CA_CERT",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    ),
    ("EMAIL_FROM", ""),
    ("EMAIL_FROM", "secret-value"),
    ("EMAIL_FROM", "Name <secret-value>"),
    ("EMAIL_FROM", "a@b.example\r\nBcc: secret-value@c.example"),
    ("EMAIL_FROM", "a\nb <secret-value@b.example>"),
    ("EMAIL_FROM", "\"a\tsecret-value\"@b.example"),
    ("SES_CONFIGURATION_SET", "secret-value?"),
    ("SEND_RATE", "secret-value"),
    ("SEND_RATE", "0"),
    ("SEND_RATE", "-1"),
    ("SEND_RATE", "NaN"),
    ("SEND_RATE", "inf"),
    ("SEND_CONCURRENCY", "0"),
    ("SEND_CONCURRENCY", "secret-value"),
    ("SEND_CONCURRENCY", "1000000"),
    ("SMS_FROM", "secret-value 12"),
    ("SMS_FROM", "12065550100"),
    ("SMS_CONFIGURATION_SET", "secret-value?"),
    ("SMS_MAX_PRICE", "secret-value"),
    ("SMS_MAX_PRICE", "1"),
    ("SMS_MAX_PRICE", "0.0"),
    ("SMS_RATE", "secret-value"),
    ("SMS_RATE", "0"),
    ("SMS_RATE", "1001"),
    ("SMS_RATE", "NaN"),
    ("SMS_PER_PERSON", "secret-value"),
    ("SMS_PER_PERSON", "0"),
    ("SMS_PER_PERSON", "101"),
    ("SMS_PER_PERSON", "1.5"),
    ("SMS_REPLIES_TOPIC", "secret-value"),
    ("SMS_CONTACT", "secret-value\nof two lines"),
    ("FCM_CREDENTIALS", "/no/such/secret-value"),
    ("FCM_CREDENTIALS", "{\"secret-value\": "),
    ("FCM_CREDENTIALS", "{\"project_id\": \"secret-value\"}"),
    ("FCM_ENDPOINT", "secret-value"),
    ("FCM_ENDPOINT", "http://secret-value.example"),
    ("COMPLETE_AFTER", "secret-value"),
    ("COMPLETE_AFTER", "-5m"),
    ("COMPLETE_AFTER", "5"),
    ("COMPLETE_AFTER", "m"),
    ("COMPLETE_AFTER", "99999999999999999999d"),
    ("COMPLETE_AFTER", "24h"),
    ("EXPIRE_AFTER", "1.5h"),
    ("EXPIRE_AFTER", "366d"),
    ("EXPIRE_PENDING", "secret-value"),
    ("CURRENCY", "secret-value"),
    ("CURRENCY", "XXQ"),
    ("CURRENCY", "XAU"),
    ("CURRENCY", "EUR,USD"),
    ("PRICE_UNIT", "secret-value"),
    ("PRICE_UNIT", "cents"),
    ("OVERLAP_ALARM_AFTER", "secret-value"),
    ("OVERLAP_ALARM_AFTER", "59s"),
    ("OVERLAP_ALARM_AFTER", "366d"),
    ("RETENTION", "secret-value"),
    ("RETENTION", "29d"),
    ("RETENTION", "3651d"),
    ("TEST_TIME_DIVISOR", "0"),
    ("TEST_TIME_DIVISOR", "1001"),
    ("TEST_TIME_DIVISOR", "secret-value"),
    ("PUBLIC_URL", "secret-value"),
    ("PUBLIC_URL", "javascript:alert(1)"),
    ("PUBLIC_URL", "https://user:secret-value@example.com"),
    ("PUBLIC_URL", "https://example.com/?secret-value"),
    ("APP_LINK_BASE", "secret-value"),
    ("APP_LINK_BASE", "http://studio.example/secret-value"),
    ("APP_LINK_BASE", "https://studio.example/?secret-value"),
    ("LINK_BASE_URL", "secret-value"),
    ("LINK_BASE_URL", "http://secret-value.example"),
    ("LINK_BASE_URL", "http://127.0.0.1.secret-value.example"),
    ("LINK_BASE_URL", "ftp://localhost/secret-value"),
    ("LINK_BASE_URL", "https://user:secret-value@example.com"),
    ("LINK_BASE_URL", "https://example.com/?secret-value"),
    ("DEFAULT_LANGUAGE", "secret-value"),
    ("DEFAULT_LANGUAGE", "sv"),
    ("DEFAULT_LANGUAGE", "zh-TW"),
    ("MAIL_CALENDAR", "secret-value"),
    ("MAIL_LOGO_URL", "secret-value"),
    ("MAIL_LOGO_URL", "http://studio.example/secret-value.png"),
    (
        "MAIL_LOGO_URL",
        "https://user:secret-value@studio.example/logo.png",
    ),
    ("MAIL_LOGO_URL", "data:image/png;base64,secret-value"),
    ("MAIL_COLOR", "secret-value"),
    ("MAIL_COLOR", "red"),
    ("MAIL_COLOR", "#1d4ed8;background:url(secret-value)"),
    ("MAIL_SIGNATURE", "a\tsecret-value"),
    (
        "MAIL_SIGNATURE",
        "1\\n2\\n3\\n4\\n5\\n6\\n7\\n8\\n9\\n10\\nsecret-value",
    ),
    ("WEBHOOK_ALLOW_PRIVATE", "hooks.internal,secret-value:8080"),
    ("WEBHOOK_ALLOW_PRIVATE", "http://secret-value/"),
    ("WEBHOOK_ALLOW_PRIVATE", "hooks.internal,"),
    ("WEBHOOK_RETRY_AFTER", "1m,,5m"),
    ("WEBHOOK_RETRY_AFTER", "1m,0s"),
    (
        "WEBHOOK_RETRY_AFTER",
        "1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s",
    ),
    ("WEBHOOK_SUSPEND_AFTER", "0h"),
    ("AWS_REGION", ""),
];

#[tokio::test]
async fn a_malformed_setting_stops_the_program_with_one_line_that_names_it() {
    let app = App::new().await;
    for (variable, value) in MALFORMED {
        let mut app_env = app.env.clone();
        app_env.insert(variable, (*value).to_owned());
        let output = app
            .command(&["run"])
            .env_clear()
            .envs(&app_env)
            .output()
            .await
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{variable}={value}"
        );
        assert_eq!(stderr.lines().count(), 1, "{variable}={value}: {stderr}");
        assert!(
            stderr.contains(&format!("{variable} ")),
            "{variable}={value}: {stderr}"
        );
        assert!(
            !stderr.contains("secret-value"),
            "{variable}={value}: {stderr}"
        );
    }
    let runs: i64 = app
        .one("SELECT count(*) FROM automation_runs", &[])
        .await
        .get(0);
    assert_eq!(runs, 0, "nothing was changed");
}

#[tokio::test]
async fn a_weak_secret_stops_the_server_at_start() {
    let app = App::empty().await;
    let fine = "a-fine-secret-of-32-characters--";
    for (variable, value) in [
        ("CRON_SECRET", "secret-value-15".to_owned()),
        ("CRON_SECRET", format!("{fine},secret-value-15")),
        ("CRON_SECRET", format!("{fine},")),
        ("CRON_SECRET", format!(",{fine}")),
        ("CRON_SECRET", "secret-value with a space".to_owned()),
        ("CRON_SECRET", "secret-value-ü-0123456789".to_owned()),
        ("CRON_SECRET", "secret-value\n0123456789012".to_owned()),
        (
            "CRON_SIGNING_SECRET",
            "secret-value-0123456789012345678".to_owned(),
        ),
        // 23 and 65 bytes.
        (
            "CRON_SIGNING_SECRET",
            "whsec_c2VjcmV0LXZhbHVlLXNlY3JldC12YWw=".to_owned(),
        ),
        (
            "CRON_SIGNING_SECRET",
            format!("whsec_{}", "AAAA".repeat(21) + "AAA="),
        ),
        (
            "CRON_SIGNING_SECRET",
            "whsec_secret-value*not*base64*0123456789".to_owned(),
        ),
        (
            "CRON_SIGNING_SECRET",
            "WHSEC_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".to_owned(),
        ),
        (
            "CRON_SIGNING_SECRET",
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD,whsec_".to_owned(),
        ),
    ] {
        let output = app
            .command(&["serve", "--listen", "127.0.0.1:0"])
            .env(variable, &value)
            .output()
            .await
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{variable}={value}"
        );
        assert_eq!(stderr.lines().count(), 1, "{variable}={value}: {stderr}");
        assert!(
            stderr.contains(&format!("{variable} is not valid")),
            "{variable}={value}: {stderr}"
        );
        assert!(
            !stderr.contains("secret-value") && !stderr.contains(fine),
            "{variable}={value}: {stderr}"
        );
    }
}

/// Secrets that are in two places: `secret-value` stands for what must not appear.
const SHARED: &[(&[(&str, &str)], &str)] = &[
    (
        &[
            ("CRON_SECRET", "another-secret-0123,secret-value-0123456"),
            ("ADMIN_TOKEN", "a-token-0123456789,secret-value-0123456"),
        ],
        "ADMIN_TOKEN and CRON_SECRET have a secret in common",
    ),
    // The text of a signing secret, with and without its prefix.
    (
        &[
            (
                "CRON_SIGNING_SECRET",
                "whsec_c2VjcmV0LXZhbHVlLXNlY3JldC12YWx1",
            ),
            ("ADMIN_TOKEN", "whsec_c2VjcmV0LXZhbHVlLXNlY3JldC12YWx1"),
        ],
        "ADMIN_TOKEN and CRON_SIGNING_SECRET have a secret in common",
    ),
    (
        &[
            (
                "CRON_SIGNING_SECRET",
                "whsec_c2VjcmV0LXZhbHVlLXNlY3JldC12YWx1",
            ),
            ("ADMIN_TOKEN", " c2VjcmV0LXZhbHVlLXNlY3JldC12YWx1 "),
        ],
        "ADMIN_TOKEN and CRON_SIGNING_SECRET have a secret in common",
    ),
    // And its key.
    (
        &[
            (
                "CRON_SIGNING_SECRET",
                "whsec_c2VjcmV0LXZhbHVlLXNlY3JldC12YWx1",
            ),
            ("CRON_SECRET", "secret-value-secret-valu"),
        ],
        "CRON_SIGNING_SECRET and CRON_SECRET have a secret in common",
    ),
    (
        &[("CRON_SECRET", "secret-value-0123456, secret-value-0123456")],
        "CRON_SECRET has the same secret twice",
    ),
    (
        &[("ADMIN_TOKEN", "secret-value-0123456,secret-value-0123456")],
        "ADMIN_TOKEN has the same secret twice",
    ),
    (
        &[(
            "CRON_SIGNING_SECRET",
            "whsec_c2VjcmV0LXZhbHVlLXNlY3JldC12YWx1,whsec_c2VjcmV0LXZhbHVlLXNlY3JldC12YWx1",
        )],
        "CRON_SIGNING_SECRET has the same secret twice",
    ),
];

#[tokio::test]
async fn a_secret_with_two_uses_stops_the_server_at_start() {
    let app = App::empty().await;
    for (variables, told) in SHARED {
        let output = app
            .command(&["serve", "--listen", "127.0.0.1:0"])
            .envs(variables.iter().copied())
            .output()
            .await
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{variables:?}"
        );
        assert_eq!(stderr.lines().count(), 1, "{variables:?}: {stderr}");
        assert!(stderr.contains(told), "{variables:?}: {stderr}");
        for secret in ["secret-value", "c2VjcmV0", "another-secret", "a-token"] {
            assert!(!stderr.contains(secret), "{variables:?}: {stderr}");
        }
    }
}

#[tokio::test]
async fn well_formed_settings_are_accepted() {
    let app = App::new().await;
    for (variable, value) in [
        ("EMAIL_FROM", "booking@studio.example"),
        ("EMAIL_FROM", "\"Studio, Nord\" <booking@studio.example>"),
        ("SEND_RATE", "0.5"),
        ("COMPLETE_AFTER", "90s"),
        ("EXPIRE_AFTER", "7d"),
        ("EXPIRE_PENDING", "TRUE"),
        ("CURRENCY", " eur "),
        ("PRICE_UNIT", "Minor"),
        ("OVERLAP_ALARM_AFTER", "60s"),
        ("PUBLIC_URL", "https://studio.example/app/"),
        ("APP_LINK_BASE", "https://go.studio.example"),
        ("LINK_BASE_URL", "https://links.example/bookings/"),
        ("LINK_BASE_URL", "http://localhost:9000"),
        ("LINK_BASE_URL", "http://[::1]:9000/"),
        ("DEFAULT_LANGUAGE", "pt_BR"),
        ("MAIL_CALENDAR", " False "),
        ("MAIL_LOGO_URL", "https://studio.example/logo.png?v=2"),
        ("MAIL_COLOR", "#AB1234"),
        ("MAIL_SIGNATURE", "Studio Nord\nRingstraße 1, Wien"),
        ("SEND_CONCURRENCY", " 4 "),
        ("SMS_FROM", "+1 206 555-0100"),
        ("SMS_FROM", "STUDIO"),
        ("SMS_CONFIGURATION_SET", "bookings"),
        ("SMS_MAX_PRICE", "0.10"),
        ("SMS_RATE", "0.5"),
        ("SMS_PER_PERSON", "100"),
        (
            "SMS_REPLIES_TOPIC",
            "arn:aws:sns:eu-central-1:123456789012:sms-replies",
        ),
        ("SMS_CONTACT", "+43 1 234567"),
        ("FCM_ENDPOINT", "http://localhost:9099"),
        // What a deployment template sets where nothing is chosen.
        ("SMS_FROM", ""),
        ("SMS_MAX_PRICE", ""),
        ("FCM_CREDENTIALS", " "),
        ("TEST_TIME_DIVISOR", "1000"),
    ] {
        let output = app
            .command(&["run"])
            .env(variable, value)
            .output()
            .await
            .unwrap();
        assert!(
            output.status.success(),
            "{variable}={value}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[tokio::test]
async fn invalid_arguments_are_refused_and_help_lists_the_commands() {
    let app = App::new().await;
    for arguments in [
        &["run", "--for", "50"][..],
        &["run", "--for", "1s"],
        &["dance"],
        &["run", "--as-of", "noon"],
    ] {
        let said = app.call(arguments).await;
        assert!(!said.success && said.stdout.is_empty());
        assert!(
            said.stderr.contains("error:"),
            "{arguments:?}: {}",
            said.stderr
        );
    }
    let said = app.call(&["--help"]).await;
    assert!(said.success && said.stdout.contains("migrate") && said.stdout.contains("run"));
}

#[tokio::test]
async fn test_time_divisor_is_accepted_only_for_a_local_database() {
    let mut app = App::new().await;
    app.env.insert("TEST_TIME_DIVISOR", "10".to_owned());
    let refused = "TEST_TIME_DIVISOR is for tests only: it is refused unless every host of DATABASE_URL is this machine";
    for (url, local) in [
        ("postgres://u@127.0.0.1:1/x", true),
        ("postgres://u@localhost:1/x", true),
        ("host=/nowhere user=u dbname=x", true),
        ("host='127.0.0.1,::1' port=1,1 user=u dbname=x", true),
        ("host=db.example hostaddr=192.0.2.1 user=u dbname=x", false),
        ("host=localhost hostaddr=192.0.2.1 user=u dbname=x", false),
        ("host=db.example hostaddr=127.0.0.1 user=u dbname=x", false),
        ("postgres://u@127.0.0.1:1,db.example:1/x", false),
    ] {
        app.env.insert("DATABASE_URL", url.to_owned());
        let said = app.call(&["run"]).await;
        assert!(!said.success && said.stdout.is_empty());
        // A local URL is accepted; no database listens there.
        let told = if local {
            "the database cannot be reached"
        } else {
            refused
        };
        assert!(said.stderr.contains(told), "{url}: {}", said.stderr);
        assert_eq!(
            said.stderr.contains("TEST_TIME_DIVISOR"),
            !local,
            "{url}: {}",
            said.stderr
        );
    }
}

#[tokio::test]
async fn test_time_divisor_shortens_leases_and_back_off() {
    let mut app = App::new().await;
    app.env.insert("TEST_TIME_DIVISOR", "10".to_owned());
    app.confirmed(noon() + hours(24)).await;
    app.ses
        .answer(|_| Answer::Error(429, "TooManyRequestsException", "slow down"));
    app.run(noon()).await;
    let wait = "SELECT extract(epoch FROM next_attempt_at - (event_data #>> '{attempts,0,at}')::timestamptz)::int
                  FROM booking_automation_events WHERE event_type = 'reminder_sent'";
    assert_eq!(app.one(wait, &[]).await.get::<_, i32>(0), 6);
    // The lease while the request is in flight.
    app.make_claimable().await;
    app.ses.clear();
    app.ses.answer(|_| Answer::Silence);
    let lease = async {
        app.ses.wait_for_mails(1).await;
        let sql = "SELECT lease_until BETWEEN now() AND now() + interval '4.5 s' FROM booking_automation_events
                    WHERE event_type = 'reminder_sent' AND status = 'sending'";
        app.one(sql, &[]).await.get::<_, bool>(0)
    };
    let (summary, lease) = tokio::join!(app.run(noon()), lease);
    assert!(lease);
    assert_eq!(summary["reminders"]["unknown"], 1, "{summary}");
    // Without the divisor, the request alone would have ten seconds.
    assert!(
        summary["duration_ms"].as_i64().unwrap() < 10_000,
        "{summary}"
    );
}

/// The app's URL with another host and an `sslmode`.
fn tls_url(app: &App, host: &str, mode: &str) -> String {
    format!("{}?sslmode={mode}", app.url.replace("127.0.0.1", host))
}

#[tokio::test]
async fn tls_verifies_the_host_name_or_refuses_to_connect() {
    let Some(ca) = &cluster().ca_pem else {
        skipped("TLS, which needs a server of our own");
        return;
    };
    let mut app = App::new().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ca).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let one_line = ca.replace('\n', "\\n");
    for (host, mode, trusted, works) in [
        ("localhost", "require", Some(ca), true),
        ("localhost", "require", Some(&path), true),
        ("localhost", "require", Some(&one_line), true),
        ("localhost", "verify-full", Some(ca), true),
        // An untrusted CA, and a certificate for another name.
        ("localhost", "require", None, false),
        ("127.0.0.1", "require", Some(ca), false),
        ("127.0.0.1", "verify-ca", Some(ca), false),
        // Only loopback may go without TLS.
        ("127.0.0.1", "prefer", None, true),
        ("localhost", "disable", None, true),
    ] {
        app.env.insert("DATABASE_URL", tls_url(&app, host, mode));
        app.env.remove("DATABASE_CA_CERT");
        if let Some(trusted) = trusted {
            app.env.insert("DATABASE_CA_CERT", trusted.clone());
        }
        let said = app.call(&["run"]).await;
        assert_eq!(said.success, works, "{host} {mode}: {}", said.stderr);
        if works {
            let runs = app
                .one("SELECT count(*) FROM automation_runs", &[])
                .await
                .get::<_, i64>(0);
            assert!(runs > 0);
        } else {
            assert!(
                said.stderr.contains("certificate"),
                "{host} {mode}: {}",
                said.stderr
            );
        }
    }
}

#[tokio::test]
async fn a_tls_connection_needs_one_handshake() {
    let Some(ca) = &cluster().ca_pem else {
        skipped("TLS, which needs a server of our own");
        return;
    };
    let mut app = App::new().await;
    app.env.insert("DATABASE_CA_CERT", ca.clone());
    app.call(&["run"]).await.summary();
    let proxy = Proxy::start(&app.url, Cut::Never).await;
    let url = app.url.replacen("127.0.0.1", "localhost", 1);
    let port = |url: &str| {
        url.rsplit_once(':')
            .unwrap()
            .1
            .split('/')
            .next()
            .unwrap()
            .to_owned()
    };
    app.env.insert(
        "DATABASE_URL",
        url.replacen(&port(&url), &port(&proxy.url), 1) + "?sslmode=require",
    );
    app.call(&["run"]).await.summary();
    // The request for TLS, the handshake with the log-in, and the three round trips of the pass.
    assert_eq!(proxy.round_trips(), 5);
}

#[tokio::test]
async fn a_remote_server_without_tls_is_refused() {
    // A server that refuses TLS, as an attacker in between would.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = tokio::io::AsyncReadExt::read(&mut socket, &mut [0; 8]).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, b"N").await;
            let mut rest = Vec::new();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut rest).await;
            assert!(
                !rest.windows(6).any(|window| window == b"secret"),
                "no credentials in the clear"
            );
        }
    });
    let mut app = App::new().await;
    // A host name that is not local, with its address.
    app.env.insert(
        "DATABASE_URL",
        format!("host=db.example hostaddr=127.0.0.1 port={port} user=u password=secret dbname=x"),
    );
    let said = app.call(&["run"]).await;
    assert!(!said.success);
    assert!(said.stderr.contains("TLS"), "{}", said.stderr);
}
