//! An endpoint with the part of SES v2 that the program uses. It stores every mail as a file.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::Context as _;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_builder::MessageBuilder;
use mail_parser::MessageParser;
use serde_json::{Value, json};

/// The mails so far.
pub struct Mailbox {
    folder: PathBuf,
    mails: Mutex<Vec<Mail>>,
}

struct Mail {
    to: String,
    subject: String,
    language: String,
    /// Known once the database has been asked.
    kind: String,
}

impl Mailbox {
    /// Empties the folder and starts to listen. Returns the endpoint's URL.
    pub async fn open(folder: &Path) -> anyhow::Result<(Arc<Self>, String)> {
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder)?;
        let mailbox = Arc::new(Self {
            folder: folder.to_owned(),
            mails: Mutex::default(),
        });
        let router = Router::new()
            .route("/v2/email/outbound-emails", post(take))
            .route(
                "/v2/email/account",
                get(async || Json(json!({"SendQuota": {"MaxSendRate": 500.0}}))),
            )
            .with_state(mailbox.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(axum::serve(listener, router).into_future());
        Ok((mailbox, url))
    }

    /// The number of mails that have arrived.
    pub fn len(&self) -> usize {
        self.mails.lock().map_or(0, |mails| mails.len())
    }

    /// Adds the kinds of mails to the list, by the ids of the messages.
    pub fn set_kinds(&self, mut kinds: HashMap<String, String>) -> anyhow::Result<()> {
        let mut mails = self.lock()?;
        for (number, mail) in mails.iter_mut().enumerate() {
            if let Some(kind) = kinds.remove(&name(number + 1)) {
                mail.kind = kind;
            }
        }
        self.index(&mails)
    }

    fn lock(&self) -> anyhow::Result<MutexGuard<'_, Vec<Mail>>> {
        let mails = self.mails.lock();
        mails.map_err(|_| anyhow::anyhow!("the list of mails cannot be used any more"))
    }

    /// Writes the list of all mails.
    fn index(&self, mails: &[Mail]) -> anyhow::Result<()> {
        let mut rows = String::new();
        for (number, mail) in mails.iter().enumerate() {
            let (file, to, subject) = (name(number + 1), escaped(&mail.to), escaped(&mail.subject));
            let (language, kind) = (escaped(&mail.language), escaped(&mail.kind));
            writeln!(
                rows,
                "<tr><td>{to}</td><td>{kind}</td><td>{language}</td><td lang=\"{language}\" dir=\"auto\"><a href=\"{file}.html\">{subject}</a></td><td><a href=\"{file}.eml\">.eml</a></td></tr>"
            )?;
        }
        let page = format!(
            "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <meta name=\"color-scheme\" content=\"light dark\"><title>Mails of the demo</title>\
             <style>body{{font:16px/1.5 sans-serif;max-width:64em;margin:2em auto;padding:0 1em}}th,td{{padding:.2em 1em .2em 0;vertical-align:top;text-align:start}}\
             @media(max-width:40em){{thead{{display:none}}tr{{display:block;padding:.5em 0}}td{{display:inline-block;padding-block:0}}}}</style>\
             </head><body><h1>Mails of the demo</h1><table><thead><tr><th>To</th><th>Kind</th><th>Language</th><th>Subject</th><th>As sent</th></tr></thead>\
             <tbody>{rows}</tbody></table></body></html>"
        );
        std::fs::write(self.folder.join("index.html"), page)?;
        Ok(())
    }

    fn keep(&self, request: &Value) -> anyhow::Result<String> {
        let content = match request.pointer("/Content/Raw/Data").and_then(Value::as_str) {
            Some(raw) => Content::of_raw(STANDARD.decode(raw)?)?,
            None => Content::of_simple(request)?,
        };
        let mut mails = self.lock()?;
        let file = name(mails.len() + 1);
        let html = &content.html;
        std::fs::write(self.folder.join(format!("{file}.html")), html)?;
        std::fs::write(self.folder.join(format!("{file}.eml")), &content.eml)?;
        let language = html
            .split_once("<html lang=\"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .map_or("", |(language, _)| language)
            .to_owned();
        mails.push(Mail {
            to: text(request, "/Destination/ToAddresses/0"),
            subject: content.subject,
            language,
            kind: String::new(),
        });
        self.index(&mails)?;
        Ok(file)
    }
}

/// What a request says, in either form of a mail.
struct Content {
    subject: String,
    html: String,
    eml: Vec<u8>,
}

impl Content {
    /// A complete mail: one with the appointment for a calendar.
    fn of_raw(eml: Vec<u8>) -> anyhow::Result<Self> {
        let mail = MessageParser::default()
            .parse(&eml)
            .context("a mail that cannot be read")?;
        Ok(Self {
            subject: mail.subject().unwrap_or_default().to_owned(),
            html: mail.body_html(0).unwrap_or_default().into_owned(),
            eml: eml.clone(),
        })
    }

    /// The form that SES makes a mail of.
    fn of_simple(request: &Value) -> anyhow::Result<Self> {
        let from = text(request, "/FromEmailAddress");
        let (name, address) = from
            .trim_end_matches('>')
            .rsplit_once(" <")
            .unwrap_or(("", &from));
        let subject = text(request, "/Content/Simple/Subject/Data");
        let html = text(request, "/Content/Simple/Body/Html/Data");
        let eml = MessageBuilder::new()
            .from((name.trim_matches('"'), address))
            .to(text(request, "/Destination/ToAddresses/0"))
            .subject(subject.clone())
            .text_body(text(request, "/Content/Simple/Body/Text/Data"))
            .html_body(html.clone())
            .write_to_vec()?;
        Ok(Self { subject, html, eml })
    }
}

fn text(request: &Value, pointer: &str) -> String {
    let text = request.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

async fn take(
    State(mailbox): State<Arc<Mailbox>>,
    Json(request): Json<Value>,
) -> Result<Json<Value>, String> {
    mailbox
        .keep(&request)
        .map(|id| Json(json!({"MessageId": id})))
        .map_err(|error| error.to_string())
}

fn name(number: usize) -> String {
    format!("mail-{number:03}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
