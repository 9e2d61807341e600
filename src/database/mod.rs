//! The one way to the database: short transactions of unnamed statements on a pooled connection.
//!
//! Everything runs inside a transaction that sets its own limits with `SET LOCAL`, so that it works
//! behind a transaction pooler (PgBouncer, Supavisor, RDS Proxy), where neither named statements nor
//! session settings survive. A transaction that is dropped before it ended takes its connection with
//! it: what state that connection is in is then not our guess to make, and the server rolls back.

pub(crate) mod failover;
pub mod migrate;
pub(crate) mod tls;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use deadpool_postgres::{
    Client, ConfigConnectImpl, Connect, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use futures_util::future;
use thiserror::Error;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{NoTls, Row, SimpleQueryMessage, SimpleQueryRow};

use crate::config::DatabaseSettings;
use crate::database::failover::HostByHost;

/// How long a statement on our own tables, or a migration, waits for a lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a statement that writes `bookings` does. It takes no row that is locked, so this is about what
/// the user's own triggers want. Far shorter than the server's `deadlock_timeout` (a second): when they and
/// we wait for each other, it is we who give up.
pub(crate) const BOOKINGS_LOCK_TIMEOUT: Duration = Duration::from_millis(100);
/// How long a pooled connection may take to prove that it is alive: a frozen and thawed function holds
/// sockets that look open and are dead.
const RECYCLE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for a new connection over all hosts, or for this process's other use of it.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// What the network may add to a statement's own time limit before we give up on the connection.
const NETWORK_MARGIN: Duration = Duration::from_secs(2);

/// Why the database did not do what it was asked.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// No connection: refused, wrong credentials, failed verification, or too slow.
    #[error("the database cannot be reached")]
    Unreachable(#[source] PoolError),
    /// A connection that stopped answering.
    #[error("the database did not answer within {:.1} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The server refused a statement, or the connection broke in it.
    #[error("a statement failed")]
    Statement(#[from] tokio_postgres::Error),
}

impl DatabaseError {
    /// The SQLSTATE, when it was the server that refused.
    pub fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Unreachable(PoolError::Backend(error)) | Self::Statement(error) => error.code(),
            Self::Unreachable(_) | Self::Timeout(_) => None,
        }
    }

    /// Whether the connection is gone, so that nobody knows what became of the statement. A server that breaks
    /// down says why, and is gone nevertheless: a COMMIT that it answers so may have been done.
    pub fn is_lost_connection(&self) -> bool {
        match self {
            Self::Unreachable(_) => false,
            Self::Timeout(_) => true,
            Self::Statement(error) => {
                error.is_closed()
                    || error.code().is_none()
                    || error.code().is_some_and(|code| code.code().starts_with("57P") || code.code().starts_with("08"))
                    || error.as_db_error().is_some_and(|refused| {
                        matches!(refused.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
                    })
            }
        }
    }

    /// Whether the server takes no writes: a standby, which refuses a transaction that would.
    fn is_read_only_server(&self) -> bool {
        self.code()
            .is_some_and(|code| [SqlState::FEATURE_NOT_SUPPORTED, SqlState::READ_ONLY_SQL_TRANSACTION].contains(code))
    }

    /// Whether a statement may have failed for what is in, or hangs on, one of its rows: a constraint, a
    /// value, a lock, a trigger of the user's, which can raise any code. Such a row must not stop the
    /// others. Not so when the connection (08), transaction (25, 40001), resources (53), operator (57),
    /// system (58, XX) are to blame.
    pub(crate) fn is_of_a_row(&self) -> bool {
        self.code().is_some_and(|code| {
            !["08", "25", "53", "57", "58", "XX"].contains(&&code.code()[..2])
                && *code != SqlState::T_R_SERIALIZATION_FAILURE
        })
    }

    /// Whether a statement took longer than it may.
    pub(crate) fn is_statement_timeout(&self) -> bool {
        self.code() == Some(&SqlState::QUERY_CANCELED)
    }

    /// Whether a lock of somebody else's was not let go in time.
    pub(crate) fn is_lock(&self) -> bool {
        self.code().is_some_and(|code| [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED].contains(code))
    }

    /// The server's message with its hint, for whoever runs a command by hand. Without the detail, which
    /// may quote a row.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Unreachable(PoolError::Backend(error)) | Self::Statement(error) => match error.as_db_error() {
                Some(refused) => {
                    let hint = refused.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
                    format!("{}: {}{hint}", refused.code().code(), refused.message())
                }
                None => chain(error),
            },
            Self::Unreachable(error) => chain(error),
            Self::Timeout(_) => self.to_string(),
        }
    }

    /// The whole story, for our own tables.
    pub fn details(&self) -> String {
        let refused = match self {
            Self::Unreachable(PoolError::Backend(error)) | Self::Statement(error) => error.as_db_error(),
            Self::Unreachable(_) | Self::Timeout(_) => None,
        };
        let detail = refused.and_then(|refused| refused.detail()).map(|detail| format!(" [{detail}]"));
        self.message() + &detail.unwrap_or_default()
    }

    /// What may be logged. A message of the server's may quote a row, or come from a trigger of somebody
    /// else's; only those of connections (08), log-ins (28, 3D), resources (53) and the operator (57) are
    /// told, of the others the SQLSTATE.
    pub fn loggable(&self) -> String {
        let what = match self.code() {
            Some(code) if !["08", "28", "3D", "53", "57"].contains(&&code.code()[..2]) => {
                format!("SQLSTATE {}", code.code())
            }
            _ => self.message(),
        };
        if matches!(self, Self::Unreachable(_)) { format!("{self}: {what}") } else { what }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The outcome of a call to the database.
pub type Result<T> = std::result::Result<T, DatabaseError>;

/// A pool of connections, usually of one.
#[derive(Clone, Debug)]
pub struct Database {
    pool: Pool,
}

/// How a transaction begins.
#[derive(Clone, Debug)]
pub struct Begin {
    /// Longest time a single statement may take.
    pub statement_timeout: Duration,
    /// Longest time to wait for a lock.
    pub lock_timeout: Duration,
    /// Only read, from one snapshot.
    pub read_only: bool,
    /// What the transaction takes for now: triggers then see it too. `None`: the database clock.
    pub as_of: Option<DateTime<Utc>>,
    /// When to give up on it, whatever it waits for: a connection, an answer. `None`: never, beyond the
    /// limits above.
    pub until: Option<Instant>,
}

impl Default for Begin {
    fn default() -> Self {
        Self {
            statement_timeout: Duration::from_secs(10),
            lock_timeout: LOCK_TIMEOUT,
            read_only: false,
            as_of: None,
            until: None,
        }
    }
}

impl Begin {
    /// One message: a round trip, whatever it sets. Every value is a number or made here.
    ///
    /// `SET CONSTRAINTS`: what the user deferred to COMMIT would fail the whole pass there; so it fails in the
    /// statement that breaks it, where the booking can be told from the others.
    ///
    /// `enable_seqscan`: every read of ours has its index, and what is due is few among many. The planner
    /// cannot know that the confirmed bookings are those to come, takes most of them for due, and would
    /// look for the first by reading the whole table.
    fn sql(&self) -> String {
        let mode = if self.read_only {
            "ISOLATION LEVEL REPEATABLE READ READ ONLY"
        } else {
            "ISOLATION LEVEL READ COMMITTED READ WRITE"
        };
        let as_of = self.as_of.map(|as_of| format!("; SET LOCAL booking_automation.as_of = '{}'", as_of.to_rfc3339()));
        format!(
            "BEGIN {mode}; \
             SET LOCAL statement_timeout = {statement}; \
             SET LOCAL lock_timeout = {lock}; \
             SET LOCAL idle_in_transaction_session_timeout = {idle}; \
             SET LOCAL search_path = public, pg_temp; \
             SET LOCAL TimeZone = 'UTC'; \
             SET LOCAL DateStyle = 'ISO'; \
             SET LOCAL synchronous_commit = on; \
             SET LOCAL jit = off; \
             SET LOCAL enable_seqscan = off; \
             SET CONSTRAINTS ALL IMMEDIATE; \
             SET LOCAL booking_automation.actor = 'booking-automation'{as_of}",
            statement = self.statement_timeout.as_millis(),
            lock = self.lock_timeout.as_millis(),
            idle = CONNECTION_TIMEOUT.as_millis(),
            as_of = as_of.unwrap_or_default(),
        )
    }
}

impl Database {
    /// A pool of at most `connections`. Opens none yet.
    ///
    /// # Errors
    /// When the TLS library refuses the trust anchors.
    pub fn new(settings: &DatabaseSettings, connections: usize) -> anyhow::Result<Self> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Verified };
        let config = settings.config.clone();
        let driver: Box<dyn Connect> = match config.get_ssl_mode() {
            SslMode::Disable => Box::new(ConfigConnectImpl { tls: NoTls }),
            _ => Box::new(ConfigConnectImpl { tls: settings.roots.connector()? }),
        };
        let connect = HostByHost::new(driver, &config, CONNECTION_TIMEOUT);
        let manager = Manager::from_connect(config, connect, recycling);
        let timeouts = Timeouts {
            wait: Some(CONNECTION_TIMEOUT),
            create: Some(CONNECTION_TIMEOUT),
            recycle: Some(RECYCLE_TIMEOUT),
        };
        let pool = Pool::builder(manager).max_size(connections).runtime(Runtime::Tokio1).timeouts(timeouts).build()?;
        Ok(Self { pool })
    }

    /// Begins a transaction. `also` is sent in the same message, and its rows are returned.
    ///
    /// A connection that turns out to be dead is replaced, once. So is one that leads to a server which was
    /// demoted since, as a pooler's can: a new one looks for the host that takes writes.
    ///
    /// # Errors
    /// When no connection can be had, or the server refuses.
    pub async fn begin(&self, begin: &Begin, also: &str) -> Result<(Transaction, Vec<SimpleQueryMessage>)> {
        let sql = format!("{}; {also}", begin.sql());
        let error = match self.begin_once(begin, &sql).await {
            Err(error) if begin.until.is_none_or(|until| Instant::now() < until) => error,
            result => return result,
        };
        if error.is_read_only_server() {
            // The others are as old, and would pass for alive.
            self.pool.retain(|_, _| false);
        } else if !error.is_lost_connection() {
            return Err(error);
        }
        self.begin_once(begin, &sql).await
    }

    async fn begin_once(&self, begin: &Begin, sql: &str) -> Result<(Transaction, Vec<SimpleQueryMessage>)> {
        let client = within(CONNECTION_TIMEOUT * 2 + RECYCLE_TIMEOUT, begin.until, self.pool.get()).await?;
        let client = client.map_err(DatabaseError::Unreachable)?;
        let transaction =
            Transaction { client: Some(client), statement_timeout: begin.statement_timeout, until: begin.until };
        let rows = transaction.limited(transaction.client().simple_query(sql)).await?;
        Ok((transaction, rows))
    }

    /// A whole transaction in one message: `sql` ends it. Its rows are returned.
    ///
    /// # Errors
    /// As [`Database::begin`].
    pub(crate) async fn alone(&self, begin: &Begin, sql: &str) -> Result<Vec<SimpleQueryMessage>> {
        let (mut transaction, rows) = self.begin(begin, sql).await?;
        drop(transaction.client.take());
        Ok(rows)
    }

    /// A connection outside a transaction, for what PostgreSQL refuses to do in one. It is closed afterwards.
    ///
    /// # Errors
    /// When no connection can be had.
    pub(crate) async fn detached(&self) -> Result<deadpool_postgres::ClientWrapper> {
        self.pool.get().await.map(Client::take).map_err(DatabaseError::Unreachable)
    }
}

/// A parameter and its type: statements are never prepared by name, so the server must be told.
pub type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// An open transaction. Dropped before [`Transaction::commit`] or [`Transaction::rollback`], it closes its
/// connection, and the server rolls back.
#[derive(Debug)]
pub struct Transaction {
    client: Option<Client>,
    statement_timeout: Duration,
    until: Option<Instant>,
}

/// Gives up on `call` after `limit`, or at `until` when that is sooner.
async fn within<T>(limit: Duration, until: Option<Instant>, call: impl Future<Output = T>) -> Result<T> {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let limit = left.map_or(limit, |left| left.min(limit));
    tokio::time::timeout(limit, call).await.map_err(|_| DatabaseError::Timeout(limit))
}

impl Transaction {
    #[expect(clippy::expect_used, reason = "only the methods that consume the transaction take its client")]
    fn client(&self) -> &Client {
        self.client.as_ref().expect("an open transaction has its client")
    }

    async fn limited<T>(&self, call: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>) -> Result<T> {
        Ok(within(self.statement_timeout + NETWORK_MARGIN, self.until, call).await??)
    }

    /// Rows of a query. Futures of several statements, joined, go out in one round trip.
    ///
    /// # Errors
    /// As every statement.
    pub async fn query(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>> {
        self.limited(self.client().query_typed(sql, parameters)).await
    }

    /// The one row of a query that always has one.
    ///
    /// # Errors
    /// As every statement.
    pub async fn query_one(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Row> {
        let mut rows = self.query(sql, parameters).await?;
        #[expect(clippy::expect_used, reason = "only aggregates and statements with a constant row come here")]
        Ok(rows.pop().expect("the query has a row"))
    }

    /// Number of rows that a statement touched.
    ///
    /// # Errors
    /// As every statement.
    pub async fn execute(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<u64> {
        self.limited(self.client().execute_typed(sql, parameters)).await
    }

    /// How long a statement may take.
    pub(crate) fn statement_timeout(&self) -> Duration {
        self.statement_timeout
    }

    /// Several statements without parameters.
    ///
    /// # Errors
    /// As every statement.
    pub async fn batch(&self, sql: &str) -> Result<()> {
        self.limited(self.client().batch_execute(sql)).await
    }

    /// Does `work`, a single statement that may take `limit`, and undoes it alone when it fails for what can
    /// be undone: of a row, or too slow. One round trip, and one more when it fails.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) async fn in_savepoint<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        let begin = format!("SAVEPOINT work; SET LOCAL statement_timeout = {}", limit.as_millis());
        let end =
            format!("RELEASE SAVEPOINT work; SET LOCAL statement_timeout = {}", self.statement_timeout.as_millis());
        let (begun, done, ended) = future::join3(self.batch(&begin), work(self), self.batch(&end)).await;
        begun?;
        match done {
            Ok(done) => ended.map(|()| done),
            Err(error) => {
                if error.is_of_a_row() || error.is_statement_timeout() {
                    self.batch("ROLLBACK TO SAVEPOINT work; RELEASE SAVEPOINT work").await?;
                }
                Err(error)
            }
        }
    }

    /// Commits.
    ///
    /// # Errors
    /// A lost connection leaves open whether it was committed.
    pub async fn commit(self) -> Result<()> {
        self.commit_after(async |_| Ok(())).await
    }

    /// Does `last` and commits, in one round trip: COMMIT is sent without waiting for what `last` answers.
    /// When `last` fails, nothing is committed, and its error is returned: the server answers a failed
    /// transaction's COMMIT with a silent ROLLBACK.
    ///
    /// # Errors
    /// A lost connection leaves open whether it was committed.
    pub async fn commit_after<T>(mut self, last: impl AsyncFnOnce(&Self) -> Result<T>) -> Result<T> {
        let (done, committed) = future::join(last(&self), self.batch("COMMIT")).await;
        let done = done?;
        committed?;
        drop(self.client.take());
        Ok(done)
    }

    /// Undoes everything, and gives the connection back.
    ///
    /// # Errors
    /// When the connection is lost; the server rolls back then too.
    pub async fn rollback(mut self) -> Result<()> {
        self.batch("ROLLBACK").await?;
        drop(self.client.take());
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // Not ended: out of the pool, and closed.
        if let Some(client) = self.client.take() {
            drop(Client::take(client));
        }
    }
}

/// The text values of the last row that a simple query returned.
pub(crate) fn last_row(messages: &[SimpleQueryMessage]) -> Option<&SimpleQueryRow> {
    messages.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })
}

/// A JSON value that is one: PostgreSQL takes numbers and depths that serde_json does not.
pub(crate) fn json(row: &Row, position: usize) -> serde_json::Value {
    row.try_get(position).ok().flatten().unwrap_or_default()
}

/// A time that is one: neither missing nor infinite, nor beyond what chrono knows.
pub(crate) fn finite(row: &Row, position: usize) -> Option<DateTime<Utc>> {
    row.try_get(position).ok().flatten()
}
