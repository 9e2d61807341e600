//! What a delivery reads once, at its beginning: the owner's own wording, and the key that signs
//! the links in messages. Whatever happens to that read, messages go out.

use std::time::{Duration, Instant};

use tokio_postgres::SimpleQueryMessage;

use crate::database::{Begin, Database};
use crate::delivery::templates::{self, own_text};
use crate::messages::wording::Wording;
use crate::people::keys::{self, KeysRead, LinkKeys};
use crate::people::links::LinkSigner;
use crate::primitives::call::Call;

/// How long delivery waits for it: for the statement, for a lock, and in all.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(1);
const LOCK_TIMEOUT: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(2);

/// Whether a table can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableAccess {
    /// There is no table.
    #[default]
    Missing,
    /// This role may not read it.
    Refused,
    /// It may.
    Granted,
}

impl TableAccess {
    /// From the value of SQL such as [`templates::MAY_READ`].
    pub(crate) fn of(may_read: Option<&str>) -> Self {
        match may_read {
            None => Self::Missing,
            Some("t") => Self::Granted,
            Some(_) => Self::Refused,
        }
    }
}

/// What can be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveryAccess {
    /// The owner's own texts.
    pub templates: TableAccess,
    /// The keys of links.
    pub link_keys: TableAccess,
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Preparation {
    pub(crate) wording: Wording,
    /// `None`: messages have no links.
    pub(crate) signer: Option<LinkSigner>,
}

/// Reads both in one round trip. Without an answer in time, the built-in texts are used, and
/// messages have no links. Without `link_base`, the keys are not read.
pub(crate) async fn prepare(
    database: &Database,
    call: &Call,
    access: DeliveryAccess,
    link_base: Option<&str>,
    known_keys: &LinkKeys,
) -> Preparation {
    if access.templates == TableAccess::Refused {
        warn_of_wording("this role may not read booking_automation_templates");
    }
    if link_base.is_some() && access.link_keys == TableAccess::Refused {
        warn_of_links("this role may not read booking_automation_link_keys");
    }
    let reads_texts = access.templates == TableAccess::Granted;
    let link_base = link_base.filter(|_| access.link_keys == TableAccess::Granted);
    let statements: Vec<_> = [
        reads_texts.then_some(templates::READ),
        link_base.map(|_| keys::READ),
    ]
    .into_iter()
    .flatten()
    .collect();
    if statements.is_empty() {
        return Preparation::default();
    }
    let read = read_at_once(database, call, &statements.join("; "), true).await;
    let messages = match read {
        Ok(messages) => messages,
        Err(problem) => {
            if reads_texts {
                warn_of_wording(&problem);
            }
            if link_base.is_some() {
                warn_of_links(&problem);
            }
            return Preparation::default();
        }
    };
    let signer = match link_base {
        Some(base) => signer(database, call, KeysRead::of(&messages), base, known_keys).await,
        None => None,
    };
    Preparation {
        wording: Wording::of(messages.iter().filter_map(own_text)),
        signer,
    }
}

/// Signs with the newest key. If that is too old, it is replaced first, which takes one more round
/// trip in 90 days.
async fn signer(
    database: &Database,
    call: &Call,
    mut read: KeysRead,
    base: &str,
    known_keys: &LinkKeys,
) -> Option<LinkSigner> {
    if read.needs_new {
        let rotate = format!("{}; {}", keys::ROTATE.join("; "), keys::READ);
        match read_at_once(database, call, &rotate, false).await {
            Ok(messages) => read = KeysRead::of(&messages),
            Err(problem) => tracing::warn!("no new key for links could be made: {problem}"),
        }
    }
    known_keys.keep(&read);
    read.signer(base)
}

pub(crate) fn warn_of_wording(problem: &str) {
    tracing::warn!("your own texts could not be read, and the built-in ones are used: {problem}");
}

fn warn_of_links(problem: &str) {
    tracing::warn!("the keys of links could not be read, and messages have no links: {problem}");
}

/// In one round trip. The error is for the log.
async fn read_at_once(
    database: &Database,
    call: &Call,
    statements: &str,
    read_only: bool,
) -> std::result::Result<Vec<SimpleQueryMessage>, String> {
    let begin = Begin {
        statement_timeout: STATEMENT_TIMEOUT,
        lock_timeout: LOCK_TIMEOUT,
        read_only,
        until: Some(call.deadline.min(Instant::now() + TIMEOUT)),
        ..Begin::default()
    };
    let sql = format!("{statements}; COMMIT");
    let read = tokio::time::timeout(TIMEOUT, database.alone(&begin, &sql)).await;
    match read {
        Ok(read) => read.map_err(|error| error.loggable()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}
