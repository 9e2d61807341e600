//! The owner's own wording, read once at the beginning of a delivery. Whatever happens to that
//! read, messages go out.

use std::time::{Duration, Instant};

use tokio_postgres::SimpleQueryMessage;

use crate::database::{Begin, Database, Result, Transaction};
use crate::messages::wording::{OwnText, Wording};
use crate::primitives::call::Call;

/// How long delivery waits for it: for the statement, for a lock, and in all.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(1);
const LOCK_TIMEOUT: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(2);
/// Broken texts that one line of the log names.
const NAMED: usize = 5;

const READ: &str = include_str!("templates.sql");

/// SQL of a boolean: this role may read the table; NULL: there is none before `migrate` of 0.3.0.
/// It looks at the catalogue alone, so it waits for no lock on the table.
pub(crate) const MAY_READ: &str =
    "has_table_privilege(to_regclass('public.booking_automation_templates'), 'SELECT')";

/// Whether the owner's own texts can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TemplateAccess {
    /// There is no table.
    #[default]
    Missing,
    /// This role may not read it.
    Refused,
    /// It may.
    Granted,
}

impl TemplateAccess {
    pub(crate) fn of(may_read: Option<&str>) -> Self {
        match may_read {
            None => Self::Missing,
            Some("t") => Self::Granted,
            Some(_) => Self::Refused,
        }
    }
}

/// The wording of a delivery. It never fails: without an answer in time, the built-in texts are
/// used.
pub(crate) async fn wording(database: &Database, call: &Call, access: TemplateAccess) -> Wording {
    let problem = match access {
        TemplateAccess::Missing => return Wording::default(),
        TemplateAccess::Refused => "this role may not read booking_automation_templates".to_owned(),
        TemplateAccess::Granted => {
            match tokio::time::timeout(TIMEOUT, read_at_once(database, call)).await {
                Ok(Ok(texts)) => return Wording::of(texts),
                Ok(Err(error)) => error.loggable(),
                Err(_) => "no answer in time".to_owned(),
            }
        }
    };
    tracing::warn!("your own texts could not be read, and the built-in ones are used: {problem}");
    Wording::default()
}

/// In one round trip.
async fn read_at_once(database: &Database, call: &Call) -> Result<Vec<OwnText>> {
    let begin = Begin {
        statement_timeout: STATEMENT_TIMEOUT,
        lock_timeout: LOCK_TIMEOUT,
        read_only: true,
        until: Some(call.deadline.min(Instant::now() + TIMEOUT)),
        ..Begin::default()
    };
    let messages = database.alone(&begin, &format!("{READ}; COMMIT")).await?;
    Ok(messages.iter().filter_map(own_text).collect())
}

fn own_text(message: &SimpleQueryMessage) -> Option<OwnText> {
    let SimpleQueryMessage::Row(row) = message else {
        return None;
    };
    let text = |column| row.get(column).map(str::to_owned);
    Some(OwnText {
        kind: text("kind")?,
        language: text("language")?,
        part: text("part")?,
        body: text("body"),
    })
}

/// The owner's own texts, for whoever looks at them. With the inactive ones, as if they were
/// active.
///
/// # Errors
/// As every statement; also when there is no table.
pub async fn read_templates(transaction: &Transaction, inactive: bool) -> Result<Vec<OwnText>> {
    let sql = match inactive {
        true => READ.replace("WHERE active", ""),
        false => READ.to_owned(),
    };
    let rows = transaction.query(&sql, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| OwnText {
            kind: row.get("kind"),
            language: row.get("language"),
            part: row.get("part"),
            body: row.get("body"),
        })
        .collect())
}

/// Logs the broken texts, in one line for each call, and counts them.
pub(crate) fn report_broken(wording: &Wording) -> i64 {
    let broken = wording.broken();
    if broken.is_empty() {
        return 0;
    }
    let named: Vec<_> = broken.iter().take(NAMED).map(ToString::to_string).collect();
    tracing::warn!(
        templates.broken = broken.len(),
        templates.first = named.join("; "),
        "own texts are broken, and the built-in ones are used (booking-automation template check)"
    );
    i64::try_from(broken.len()).unwrap_or(i64::MAX)
}
