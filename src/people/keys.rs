//! The keys that sign links: a table of ours, read once and kept by each process.
//!
//! A forged link must cost the database nothing. So a link that names a known key is judged by that
//! key alone, and one that names an unknown key makes the process read the keys once a minute at
//! most.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::prelude::{BASE64_STANDARD, Engine};
use chrono::{DateTime, Utc};
use thiserror::Error;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

use crate::database::{Begin, Database, DatabaseError, Result, Transaction};
use crate::people::links::{Link, LinkKey, LinkSigner, Purpose, SignedToken};

/// The keys are not read again sooner than this.
const PAUSE: Duration = Duration::from_secs(60);
/// Keys are trusted so long. Then the next valid link makes the process read them again: the owner
/// may have deleted one.
const TRUSTED_FOR: Duration = Duration::from_secs(3600);
/// How long reading them may take.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads all keys, in the form in which [`KeysRead`] takes them.
pub(crate) const READ: &str =
    "SELECT id AS link_key_id, encode(secret, 'base64') AS link_key_secret,
            created_at < now() - interval '90 days' AS link_key_is_old,
            created_at < now() - interval '2 minutes' AS link_key_is_settled,
            floor(extract(epoch FROM now()) * 1000)::bigint AS link_key_now
       FROM public.booking_automation_link_keys
      ORDER BY id";
/// Makes a new key, if there is none of the last 90 days; deletes those that are three years old,
/// and the marks by which their links were revoked.
pub(crate) const ROTATE: [&str; 3] = [
    "INSERT INTO public.booking_automation_link_keys (secret)
     SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
      WHERE NOT EXISTS (SELECT FROM public.booking_automation_link_keys
                         WHERE created_at >= now() - interval '90 days')",
    "DELETE FROM public.booking_automation_link_keys WHERE created_at < now() - interval '3 years'",
    "DELETE FROM public.booking_automation_preferences
      WHERE person_id IN (
            SELECT revoked.person_id
              -- Before the last step of `migrate`, these columns may be missing.
              FROM (SELECT NULL::text AS phone, NULL::boolean AS sms_allowed) AS absent
             CROSS JOIN LATERAL (
                   SELECT person_id FROM public.booking_automation_preferences
                    WHERE links_from < now() - interval '3 years'
                      AND coalesce(language, timezone, phone) IS NULL AND quiet_from IS NULL
                      AND channels IS NULL AND sms_allowed IS NULL
                      AND (calendar_from IS NULL OR calendar_from < now() - interval '3 years'))
                AS revoked)",
];
/// SQL of a boolean: this role may read the keys; NULL: there are none before `migrate` of 0.3.0.
pub(crate) const MAY_READ: &str =
    "has_table_privilege(to_regclass('public.booking_automation_link_keys'), 'SELECT')";

/// The answer to [`READ`].
#[derive(Debug, Default)]
pub(crate) struct KeysRead {
    keys: BTreeMap<u32, LinkKey>,
    /// The newest one that signs. A key begins to sign after two minutes: by then, each process
    /// that meets its first link has read it, or may read.
    settled: Option<u32>,
    /// The database's clock.
    now: DateTime<Utc>,
    /// There is none that is new enough to sign.
    pub(crate) needs_new: bool,
}

impl KeysRead {
    /// Rows of other statements may be among them.
    pub(crate) fn of(messages: &[SimpleQueryMessage]) -> Self {
        let mut read = Self {
            needs_new: true,
            ..Self::default()
        };
        for message in messages {
            let SimpleQueryMessage::Row(row) = message else {
                continue;
            };
            let text = |column: &str| row.try_get(column).ok().flatten();
            let Some((id, secret)) = text("link_key_id").zip(text("link_key_secret")) else {
                continue;
            };
            let (Ok(id), Ok(secret)) = (id.parse(), BASE64_STANDARD.decode(secret)) else {
                continue;
            };
            let key = LinkKey {
                id,
                secret: secret.into(),
            };
            read.keys.insert(id, key);
            if text("link_key_is_settled") == Some("t") {
                read.settled = Some(id);
            }
            read.needs_new &= text("link_key_is_old") == Some("t");
            let milliseconds = text("link_key_now").and_then(|text| text.parse().ok());
            let now = milliseconds.and_then(DateTime::from_timestamp_millis);
            read.now = now.unwrap_or(read.now);
        }
        read
    }

    /// Signs with the newest key that is settled, else with the newest. `None`: there is none.
    pub(crate) fn signer(&self, base: &str) -> Option<LinkSigner> {
        let settled = self.settled.and_then(|id| self.keys.get(&id));
        let key = settled.or_else(|| self.keys.values().next_back())?;
        Some(LinkSigner {
            base: base.to_owned(),
            key: key.clone(),
            now: self.now,
        })
    }
}

/// Why a link could not be judged.
#[derive(Debug, Error)]
pub(crate) enum KeysError {
    /// The keys could not be read.
    #[error("the keys of links could not be read: {}", .0.loggable())]
    Database(#[from] DatabaseError),
    /// Nor could they less than a minute ago.
    #[error("the keys of links could not be read a moment ago")]
    Pause,
}

/// Signs with the newest key that is settled, else with the newest. `None`: there is none.
pub(crate) async fn read_signer(
    transaction: &Transaction,
    base: &str,
) -> Result<Option<LinkSigner>> {
    let sql = "SELECT id, secret, clock_timestamp() AS now FROM public.booking_automation_link_keys
                ORDER BY created_at < now() - interval '2 minutes' DESC, id DESC LIMIT 1";
    let rows = transaction.query(sql, &[]).await?;
    Ok(rows.first().map(|row| LinkSigner {
        base: base.to_owned(),
        key: LinkKey {
            id: row.get::<_, i32>("id").cast_unsigned(),
            secret: row.get::<_, Vec<u8>>("secret").into(),
        },
        now: row.get("now"),
    }))
}

/// The keys that this process knows.
#[derive(Debug, Default)]
pub(crate) struct LinkKeys {
    known: Mutex<Known>,
    /// One reads for all.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    keys: BTreeMap<u32, LinkKey>,
    /// When they were read. By the wall's clock: the other one may stand still while a function is
    /// frozen.
    read_at: Option<SystemTime>,
    /// When they were read, or could not be.
    tried_at: Option<SystemTime>,
    has_failed: bool,
}

/// Whether a time is less than `time` ago. After a clock was set back, it is not.
fn is_within(time: Duration, at: Option<SystemTime>) -> bool {
    let age = at.and_then(|at| at.elapsed().ok());
    age.is_some_and(|age| age < time)
}

impl LinkKeys {
    /// Keeps what was read.
    pub(crate) fn keep(&self, read: &KeysRead) {
        let now = Some(SystemTime::now());
        *self.lock() = Known {
            keys: read.keys.clone(),
            read_at: now,
            tried_at: now,
            has_failed: false,
        };
    }

    /// What a link says; `None`: it is none of this database's for this purpose.
    ///
    /// # Errors
    /// When its key is not known, and the keys cannot be read.
    pub(crate) async fn verify(
        &self,
        database: &Database,
        token: &str,
        purpose: Purpose,
        deadline: Instant,
    ) -> std::result::Result<Option<Link>, KeysError> {
        let Some(token) = SignedToken::decode(token) else {
            return Ok(None);
        };
        let Some(key_id) = token.key_id() else {
            return Ok(None);
        };
        if let Some(key) = self.key(key_id) {
            let link = token.verify(&key, purpose);
            if link.is_none() || is_within(TRUSTED_FOR, self.lock().read_at) {
                return Ok(link);
            }
        }
        self.read_again(database, deadline).await?;
        let key = self.key(key_id);
        Ok(key.and_then(|key| token.verify(&key, purpose)))
    }

    /// Reads the keys, if that was not tried within the last minute.
    async fn read_again(
        &self,
        database: &Database,
        deadline: Instant,
    ) -> std::result::Result<(), KeysError> {
        let _reading = self.reading.lock().await;
        {
            let known = self.lock();
            if is_within(PAUSE, known.tried_at) {
                return match known.has_failed {
                    true => Err(KeysError::Pause),
                    false => Ok(()),
                };
            }
        }
        match read_keys(database, deadline).await {
            Ok(read) => {
                self.keep(&read);
                Ok(())
            }
            Err(error) => {
                let mut known = self.lock();
                (known.tried_at, known.has_failed) = (Some(SystemTime::now()), true);
                Err(error.into())
            }
        }
    }

    fn key(&self, id: u32) -> Option<LinkKey> {
        self.lock().keys.get(&id).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Before `migrate` of 0.3.0, there are none.
async fn read_keys(database: &Database, deadline: Instant) -> Result<KeysRead> {
    let begin = Begin {
        statement_timeout: STATEMENT_TIMEOUT,
        read_only: true,
        until: Some(deadline),
        ..Begin::default()
    };
    match database.alone(&begin, &format!("{READ}; COMMIT")).await {
        Ok(messages) => Ok(KeysRead::of(&messages)),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(KeysRead::default()),
        Err(error) => Err(error),
    }
}
