//! Links that open the owner's app.

use serde_json::json;

use crate::app::{App, hours, noon};
use crate::client::{Answer, request};
use crate::http::Server;

const APPLE: &str = "/.well-known/apple-app-site-association";
const ANDROID: &str = "/.well-known/assetlinks.json";
const BOOKING: &str = "/app/bookings/0d1d2610-37b5-4f28-9a86-a9cc5cb3a8cb";
const FINGERPRINT: &str = "14:6D:E9:83:C5:73:06:50:D8:EE:B9:95:2F:34:FC:64:16:A0:83:42:E6:1D:BE:A8:8A:04:96:B2:3F:CF:44:E5";

async fn app_with_links() -> App {
    let mut app = App::new().await;
    for (name, value) in [
        ("APP_LINK_BASE", "https://go.studio.example/app/"),
        ("PUBLIC_URL", "https://studio.example"),
        (
            "APPLE_APP_IDS",
            "A1B2C3D4E5.example.studio, A1B2C3D4E5.example.studio-beta",
        ),
    ] {
        app.env.insert(name, value.to_owned());
    }
    let android = format!("example.studio={}", FINGERPRINT.to_lowercase());
    app.env.insert("ANDROID_APPS", android);
    app
}

async fn get(server: &Server, path: &str) -> Answer {
    request(server.port, "GET", path, &[], b"").await
}

#[tokio::test]
async fn phones_learn_which_app_opens_the_links() {
    let app = app_with_links().await;
    let server = Server::start(&app, &[]).await;
    let apple = get(&server, APPLE).await;
    assert_eq!(apple.status, 200);
    assert_eq!(apple.header("content-type"), "application/json");
    assert_eq!(
        apple.json(),
        json!({"applinks": {"details": [{
            "appIDs": ["A1B2C3D4E5.example.studio", "A1B2C3D4E5.example.studio-beta"],
            "components": [{"/": "/app/bookings/*"}]
        }]}})
    );
    let android = get(&server, ANDROID).await;
    assert_eq!(android.header("content-type"), "application/json");
    assert_eq!(
        android.json(),
        json!([{
            "relation": ["delegate_permission/common.handle_all_urls"],
            "target": {
                "namespace": "android_app",
                "package_name": "example.studio",
                "sha256_cert_fingerprints": [FINGERPRINT]
            }
        }])
    );
}

#[tokio::test]
async fn a_browser_without_the_app_goes_to_the_page_of_the_booking() {
    let app = app_with_links().await;
    let server = Server::start(&app, &[]).await;
    let answer = get(&server, BOOKING).await;
    assert_eq!(answer.status, 302);
    assert_eq!(
        answer.header("location"),
        "https://studio.example/bookings/0d1d2610-37b5-4f28-9a86-a9cc5cb3a8cb"
    );
    // Nothing of a path is repeated in an answer.
    for id in [
        "evil.example",
        "..%2F..%2Fevil.example",
        "%0D%0ASet-Cookie:a=b",
    ] {
        let answer = get(&server, &format!("/app/bookings/{id}")).await;
        assert_eq!(answer.status, 404, "{id}");
        assert_eq!(answer.header("location"), "");
    }
    for path in [APPLE, ANDROID, BOOKING] {
        let answer = request(server.port, "POST", path, &[], b"").await;
        assert_eq!(answer.status, 405, "{path}");
    }
}

#[tokio::test]
async fn without_the_setting_there_are_no_such_paths() {
    let mut app = App::new().await;
    app.env
        .insert("PUBLIC_URL", "https://studio.example".to_owned());
    let server = Server::start(&app, &[]).await;
    for path in [APPLE, ANDROID, BOOKING, &BOOKING[4..]] {
        assert_eq!(get(&server, path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_button_of_a_mail_opens_the_app_first() {
    let app = app_with_links().await;
    let id = app.confirmed(noon() + hours(24)).await;
    app.run(noon()).await;
    let mails = app.ses.mails();
    let link = format!("https://go.studio.example/app/bookings/{id}");
    for text in [mails[0].text(), mails[0].html()] {
        assert!(text.contains(&link), "{text}");
        assert!(!text.contains("https://studio.example/bookings/"), "{text}");
    }
}

#[tokio::test]
async fn malformed_apps_stop_the_server_at_start() {
    let app = App::empty().await;
    let short = format!("example.studio={}", &FINGERPRINT[3..]);
    let name = format!("studio={FINGERPRINT}");
    let second = format!("example.studio={FINGERPRINT},secret-value");
    for (base, variable, value) in [
        ("", "APPLE_APP_IDS", "A1B2C3D4E5.example.secret-value"),
        (
            "https://go.studio.example",
            "APPLE_APP_IDS",
            "A1B2C3D4.example",
        ),
        (
            "https://go.studio.example",
            "APPLE_APP_IDS",
            "A1B2C3D4E5.secret-value/*",
        ),
        (
            "https://go.studio.example",
            "APPLE_APP_IDS",
            "A1B2C3D4E5.example,",
        ),
        ("", "ANDROID_APPS", &format!("example.studio={FINGERPRINT}")),
        (
            "https://go.studio.example",
            "ANDROID_APPS",
            "example.studio=secret-value",
        ),
        ("https://go.studio.example", "ANDROID_APPS", &short),
        ("https://go.studio.example", "ANDROID_APPS", &name),
        ("https://go.studio.example", "ANDROID_APPS", &second),
    ] {
        let output = app
            .command(&["serve", "--listen", "127.0.0.1:0"])
            .env("APP_LINK_BASE", base)
            .env(variable, value)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{value}");
        assert!(said.contains(variable), "{value}: {said}");
        assert!(!said.contains("secret-value"), "{said}");
    }
}
