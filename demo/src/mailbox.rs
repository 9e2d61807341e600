//! The messages that the program sends: an endpoint with the part of SES v2 that it uses, which
//! stores every mail as a file, and what arrives on [`crate::phones`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::Context as _;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use booking_automation::database::{Begin, Database};
use chrono::{DateTime, Utc};
use mail_builder::MessageBuilder;
use mail_parser::MessageParser;
use serde_json::{Value, json};
use tokio_postgres::types::Type;

use crate::{mailbox_page, phones};

const FACTS: &str = include_str!("mails.sql");

/// The messages so far.
pub struct Mailbox {
    folder: PathBuf,
    mails: Mutex<Vec<Mail>>,
}

/// A message, as the list shows it.
#[derive(Clone)]
pub struct Mail {
    /// The id that the endpoint answered with.
    pub id: String,
    /// The name of its files.
    pub name: String,
    pub channel: Channel,
    pub to: String,
    pub subject: String,
    /// The tag in the HTML; empty if there is none.
    pub language: String,
    pub text: String,
    /// Known once the program has recorded that it was sent.
    pub record: Option<Record>,
}

/// How a message arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Email,
    Sms,
    Push,
}

impl Channel {
    /// Its name in rules.
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Push => "push",
        }
    }
}

/// What the database knows of a message.
#[derive(Clone)]
pub struct Record {
    pub sent_at: DateTime<Utc>,
    pub kind: String,
    /// The channels by which it could not go, each with the reason.
    pub not_by: Option<String>,
}

impl Mail {
    /// The kind of message; empty while it is not known.
    pub fn kind(&self) -> &str {
        let record = self.record.as_ref();
        record.map_or("", |record| &record.kind)
    }

    /// The kind, with the channel if it is no mail.
    pub fn label(&self) -> String {
        match self.channel {
            Channel::Email => self.kind().to_owned(),
            channel => format!("{} by {}", self.kind(), channel.name()),
        }
    }
}

impl Mailbox {
    /// Empties the folder and starts to listen. Returns the endpoint's URL.
    pub async fn open(folder: &Path) -> anyhow::Result<(Arc<Self>, String)> {
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder.join("text"))?;
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
            .merge(phones::routes())
            .with_state(mailbox.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(axum::serve(listener, router).into_future());
        Ok((mailbox, url))
    }

    /// The first mail that fits.
    pub fn find(&self, fits: impl Fn(&Mail) -> bool) -> anyhow::Result<Option<Mail>> {
        Ok(self.lock()?.iter().find(|mail| fits(mail)).cloned())
    }

    /// The mails that have arrived, in the order of their arrival.
    pub fn mails(&self) -> anyhow::Result<Vec<Mail>> {
        Ok(self.lock()?.clone())
    }

    /// Reads from the database what kind of mails have arrived, and when they were sent. Writes the
    /// list anew if there are such mails, and returns them.
    pub async fn read_records(&self, database: &Database) -> anyhow::Result<Vec<Mail>> {
        let is_open = |mail: &&Mail| mail.record.is_none();
        let open: Vec<_> = (self.lock()?.iter().filter(is_open))
            .map(|mail| mail.id.clone())
            .collect();
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let (transaction, _) = database.begin(&Begin::default(), "").await?;
        let rows = transaction
            .query(FACTS, &[(&open, Type::TEXT_ARRAY)])
            .await?;
        transaction.rollback().await?;

        let mut mails = self.lock()?;
        let mut recorded = Vec::new();
        for row in &rows {
            let id: &str = row.get("message_id");
            if let Some(mail) = mails.iter_mut().find(|mail| mail.id == id) {
                mail.record = Some(Record {
                    sent_at: row.get("sent_at"),
                    kind: row.get("kind"),
                    not_by: row.get("not_by"),
                });
                recorded.push(mail.clone());
            }
        }
        std::fs::write(self.folder.join("index.html"), mailbox_page::list(&mails)?)?;
        Ok(recorded)
    }

    fn lock(&self) -> anyhow::Result<MutexGuard<'_, Vec<Mail>>> {
        let mails = self.mails.lock();
        mails.map_err(|_| anyhow::anyhow!("the mails cannot be read any more"))
    }

    /// Stores a mail. Returns its id.
    fn keep(&self, request: &Value) -> anyhow::Result<String> {
        let content = match request.pointer("/Content/Raw/Data").and_then(Value::as_str) {
            Some(raw) => Content::of_raw(STANDARD.decode(raw)?)?,
            None => Content::of_simple(request)?,
        };
        let mut mails = self.lock()?;
        let name = format!("mail-{:03}", mails.len() + 1);
        let language = content.language().to_owned();
        let mail = Mail {
            id: name.clone(),
            name: name.clone(),
            channel: Channel::Email,
            to: text(request, "/Destination/ToAddresses/0"),
            subject: content.subject,
            language,
            text: content.text,
            record: None,
        };
        let file = |ending: &str| self.folder.join(format!("{name}{ending}"));
        std::fs::write(file(".html"), &content.html)?;
        std::fs::write(file(".eml"), &content.eml)?;
        self.write_text(&mail)?;
        mails.push(mail);
        Ok(name)
    }

    /// Stores a message that is only a text. `id_of` makes its id from the name of its files, which
    /// is returned.
    pub fn keep_text(
        &self,
        channel: Channel,
        to: String,
        text: String,
        id_of: impl Fn(&str) -> String,
    ) -> anyhow::Result<String> {
        let mut mails = self.lock()?;
        let name = format!("{}-{:03}", channel.name(), mails.len() + 1);
        let mail = Mail {
            id: id_of(&name),
            name,
            channel,
            to,
            subject: text.clone(),
            language: String::new(),
            text,
            record: None,
        };
        self.write_text(&mail)?;
        let id = mail.id.clone();
        mails.push(mail);
        Ok(id)
    }

    /// The text of a message, as a page.
    fn write_text(&self, mail: &Mail) -> anyhow::Result<()> {
        let file = self.folder.join(format!("text/{}.html", mail.name));
        Ok(std::fs::write(file, mailbox_page::text(mail))?)
    }
}

/// What a request says, in either form of a mail.
struct Content {
    subject: String,
    text: String,
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
            text: mail.body_text(0).unwrap_or_default().into_owned(),
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
        let plain = text(request, "/Content/Simple/Body/Text/Data");
        let eml = MessageBuilder::new()
            .from((name.trim_matches('"'), address))
            .to(text(request, "/Destination/ToAddresses/0"))
            .subject(subject.clone())
            .text_body(plain.clone())
            .html_body(html.clone())
            .write_to_vec()?;
        Ok(Self {
            subject,
            text: plain,
            html,
            eml,
        })
    }

    /// The language that the HTML is declared to be in.
    fn language(&self) -> &str {
        let tag = self.html.split_once("<html lang=\"");
        let tag = tag.and_then(|(_, rest)| rest.split_once('"'));
        tag.map_or("", |(language, _)| language)
    }
}

/// The text at a place of a request.
pub fn text(request: &Value, pointer: &str) -> String {
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
