//! `make demo`: the unchanged program simulates a day of bookings in about a minute, and then
//! keeps running.
//!
//! PostgreSQL is embedded and accepts one connection at a time, so everything uses one pool, which
//! has one connection.

mod clock;
mod day;
mod mailbox;
mod mailbox_page;
mod phones;
mod summary;
mod web;

use std::fs::DirBuilder;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use booking_automation::channels::webhook::settings::WebhookSettings;
use booking_automation::database::Database;
use booking_automation::database::settings::DatabaseSettings;
use booking_automation::delivery::Messengers;
use booking_automation::delivery::webhooks::WebhookDispatcher;
use booking_automation::entry::server;
use booking_automation::http::settings::HttpSettings;
use booking_automation::operations::check::finding::MigrateOptions;
use booking_automation::operations::migration::check_and_migrate;
use booking_automation::tick::Automation;
use booking_automation::tick::settings::PassSettings;
use chrono::{DurationRound, TimeDelta, Utc};
use pglite_oxide::PgliteServer;

use crate::day::Day;
use crate::mailbox::Mailbox;
use crate::web::Web;

/// The folder of the mails and the events.
const FOLDER: &str = "target/demo-mails";
const SECRET: &str = "demo-secret-0123456789";
const SIGNING_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
/// Of the support API.
const ADMIN_TOKEN: &str = "demo-support-0123456789";
/// On the real clock, the list of mails is written anew so often.
const LIST_EVERY: Duration = Duration::from_secs(5);

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mailbox, endpoint) = runtime
        .block_on(Mailbox::open(Path::new(FOLDER)))
        .with_context(|| format!("{FOLDER} cannot be written"))?;
    let settings = [
        ("AWS_ENDPOINT_URL_SESV2", endpoint.as_str()),
        ("AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2", endpoint.as_str()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "demo"),
        ("AWS_SECRET_ACCESS_KEY", "demo"),
    ];
    for (name, value) in settings {
        // SAFETY: the process has no other thread yet.
        unsafe { std::env::set_var(name, value) };
    }
    println!("Starting an embedded PostgreSQL …");
    let socket = SocketFolder::create().context("the folder of a socket could not be made")?;
    let server = PgliteServer::builder()
        .temporary()
        .unix(socket.0.join(".s.PGSQL.5432"))
        .start()
        .context("the embedded PostgreSQL did not start")?;
    let ended = runtime.block_on(demo(server.database_url(), endpoint, &mailbox));
    // This closes the connection; the server waits for it.
    drop(runtime);
    server.shutdown()?;
    ended
}

/// The folder of PostgreSQL's socket. By TCP, the embedded server would wait 40 ms in many passes
/// before it sends the rest of an answer (Nagle's algorithm).
struct SocketFolder(PathBuf);

impl SocketFolder {
    fn create() -> std::io::Result<Self> {
        let name = format!("booking-automation-demo-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for SocketFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn demo(url: String, endpoint: String, mailbox: &Mailbox) -> anyhow::Result<()> {
    // The links in mails lead to this address, on which the function answers in the end, too.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let settings = Settings {
        url,
        endpoint,
        address,
    };
    let database = Database::new(&DatabaseSettings::from_environment(&settings.lookup())?, 1)?;
    check_and_migrate(&database, MigrateOptions::default(), None, |step| {
        println!("  migrate: {step}")
    })
    .await?;
    let now = Utc::now();
    let start = (now - TimeDelta::days(1)).duration_trunc(TimeDelta::hours(1))?;
    day::fill(&database, start)
        .await
        .context("the day could not be filled in")?;
    let automation = settings.automation(&database).await?;
    let http = HttpSettings::from_environment(&settings.lookup())?;
    let pages = settings.automation(&database).await?;
    let web = Web::new(listener, pages, http.clone(), ADMIN_TOKEN);

    println!("\nThe day until now, a pass a minute; the clock is Vienna's.");
    let day = Day {
        automation: &automation,
        database: &database,
        mailbox,
        web: &web,
        start,
    };
    day.play((now - start).num_minutes()).await?;
    let mails = mailbox.mails()?;
    println!("\n{}", summary::summary(&database, &mails).await?);
    summary::write_files(&database, Path::new(FOLDER)).await?;
    println!(
        "{} messages: {FOLDER}/index.html, and every event, as JSON: {FOLDER}/events.ndjson",
        mails.len()
    );
    if std::env::var_os("DEMO_EXIT").is_some_and(|exit| exit == "1") {
        return Ok(());
    }
    // Its place on the address is free for the server.
    drop(web);
    explain(address);
    let every = Some(Duration::from_secs(60));
    tokio::select! {
        ended = server::serve(automation, http, None, address, every) => ended?,
        failed = keep_list(&database, mailbox) => failed?,
    }
    mailbox.read_records(&database).await?;
    summary::write_files(&database, Path::new(FOLDER)).await?;
    println!(
        "\nEnded; {} messages are in {FOLDER}.",
        mailbox.mails()?.len()
    );
    Ok(())
}

/// Adds the mails that arrive to the list. It ends only with an error.
async fn keep_list(database: &Database, mailbox: &Mailbox) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(LIST_EVERY).await;
        mailbox.read_records(database).await?;
    }
}

/// What the program is set up with.
struct Settings {
    /// Of the database.
    url: String,
    /// Where messages go.
    endpoint: String,
    /// Where the function answers.
    address: SocketAddr,
}

impl Settings {
    fn lookup(&self) -> impl Fn(&str) -> Option<String> {
        let links = format!("http://{}", self.address);
        let url = self.url.clone();
        let endpoint = self.endpoint.clone();
        let account = phones::service_account(&endpoint);
        move |name: &str| {
            let value = match name {
                "DATABASE_URL" => &url,
                "EMAIL_FROM" => "Studio Nord <booking@studio.example>",
                "SMS_FROM" => "Studio",
                "FCM_CREDENTIALS" => &account,
                "FCM_ENDPOINT" => &endpoint,
                "PUBLIC_URL" => "https://studio.example",
                "LINK_BASE_URL" => &links,
                "CURRENCY" => "EUR",
                "CRON_SECRET" => SECRET,
                "CRON_SIGNING_SECRET" => SIGNING_SECRET,
                "ADMIN_TOKEN" => ADMIN_TOKEN,
                _ => return None,
            };
            Some(value.to_owned())
        }
    }

    async fn automation(&self, database: &Database) -> anyhow::Result<Automation> {
        let lookup = self.lookup();
        Ok(Automation::new(
            database.clone(),
            PassSettings::from_environment(&lookup)?,
            Messengers::from_environment(&lookup).await?,
            WebhookDispatcher::new(WebhookSettings::from_environment(&lookup)?),
        ))
    }
}

/// Says how to use the program that answers on the address.
fn explain(address: SocketAddr) {
    println!(
        "\nNow it runs each minute on the real clock, and answers on http://{address}, where the \
         links in the mails lead (Ctrl-C ends it). Try:\n"
    );
    println!("  curl -H 'Authorization: Bearer {SECRET}' http://{address}/run\n");
    println!("  body='' id=\"msg_$(openssl rand -hex 12)\" timestamp=$(date +%s)");
    println!(
        "  key=$(printf %s '{}' | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \\n')",
        &SIGNING_SECRET[6..]
    );
    println!(
        "  signature=$(printf %s \"$id.$timestamp.$body\" | openssl dgst -sha256 -mac HMAC \
         -macopt \"hexkey:$key\" -binary | openssl base64 -A)"
    );
    println!(
        "  curl --data-binary \"$body\" http://{address}/run -H \"webhook-id: $id\" \
         -H \"webhook-timestamp: $timestamp\" -H \"webhook-signature: v1,$signature\"\n"
    );
}
