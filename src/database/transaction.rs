//! Transactions: short, with their own time limits, and made of unnamed statements.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use deadpool_postgres::Client;
use futures_util::future;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, SimpleQueryMessage};

use crate::database::error::{DatabaseError, Result};

/// How long a statement on our own tables, or a migration, waits for a lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a statement that writes `bookings` waits for a lock. It skips locked rows, so only the
/// user's own triggers can make it wait. The limit is far below the server's `deadlock_timeout`
/// (one second): if their transaction and ours wait for each other, ours gives up.
pub(crate) const BOOKINGS_LOCK_TIMEOUT: Duration = Duration::from_millis(100);
/// How long to wait for a new connection, over all hosts, or for a free one in the pool.
pub(crate) const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long after a statement's time limit we wait for the answer before we give up on the
/// connection.
const NETWORK_MARGIN: Duration = Duration::from_secs(2);

/// How a transaction begins.
#[derive(Clone, Debug)]
pub struct Begin {
    /// Longest time for a single statement.
    pub statement_timeout: Duration,
    /// Longest time to wait for a lock.
    pub lock_timeout: Duration,
    /// Only read, from one snapshot.
    pub read_only: bool,
    /// The time to use in place of the database clock; triggers see it too. `None`: the clock.
    pub as_of: Option<DateTime<Utc>>,
    /// When to stop waiting, whether for a connection or an answer. `None`: only the limits above
    /// apply.
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
    /// With the usual limits, to be given up at `until`.
    pub(crate) fn until(until: Instant) -> Self {
        Self {
            until: Some(until),
            ..Self::default()
        }
    }

    /// One message, so one round trip. Every value is a number or made here, so nothing needs
    /// quoting.
    pub(crate) fn sql(&self) -> String {
        let mode = if self.read_only {
            "ISOLATION LEVEL REPEATABLE READ READ ONLY"
        } else {
            "ISOLATION LEVEL READ COMMITTED READ WRITE"
        };
        let as_of = self.as_of.map(|as_of| {
            format!(
                "; SET LOCAL booking_automation.as_of = '{}'",
                as_of.to_rfc3339()
            )
        });
        format!(
            "BEGIN {mode}; \
             SET LOCAL statement_timeout = {statement}; \
             SET LOCAL lock_timeout = {lock}; \
             SET LOCAL idle_in_transaction_session_timeout = {idle}; \
             SET LOCAL synchronous_commit = on; \
             {OUR_SETTINGS}; \
             SET LOCAL booking_automation.actor = 'booking-automation'{as_of}",
            statement = self.statement_timeout.as_millis(),
            lock = self.lock_timeout.as_millis(),
            idle = CONNECTION_TIMEOUT.as_millis(),
            as_of = as_of.unwrap_or_default(),
        )
    }
}

/// The settings of our own statements.
///
/// `search_path`: no operator or function is found in a schema in which another role may create
/// one. Our tables and functions are named with their schema.
///
/// `enable_seqscan`: every read has its index, and few of many bookings are due. The planner cannot
/// know that confirmed bookings are mostly in the future: it estimates that most are due, and would
/// read the whole table to find the first.
const OUR_SETTINGS: &str = "SET LOCAL search_path = pg_catalog, pg_temp; \
     SET LOCAL TimeZone = 'UTC'; \
     SET LOCAL DateStyle = 'ISO'; \
     SET LOCAL IntervalStyle = 'postgres'; \
     SET LOCAL standard_conforming_strings = on; \
     SET LOCAL quote_all_identifiers = off; \
     SET LOCAL jit = off; \
     SET LOCAL enable_seqscan = off";

/// The settings that the user's database, role and connection give a session: of everything that
/// [`OUR_SETTINGS`] or a single transaction changes. The user's triggers, and functions that the
/// contacts view calls, see the settings of the statement that runs them, so such statements run
/// with these. `jit` stays off: these statements read a page of rows, and to compile them can take
/// longer than their limit.
const THEIR_SETTINGS: &str = "SET LOCAL search_path TO DEFAULT; \
     SET LOCAL TimeZone TO DEFAULT; \
     SET LOCAL DateStyle TO DEFAULT; \
     SET LOCAL IntervalStyle TO DEFAULT; \
     SET LOCAL standard_conforming_strings TO DEFAULT; \
     SET LOCAL quote_all_identifiers TO DEFAULT; \
     SET LOCAL enable_seqscan TO DEFAULT; \
     SET LOCAL enable_bitmapscan TO DEFAULT; \
     SET LOCAL enable_hashjoin TO DEFAULT; \
     SET LOCAL enable_mergejoin TO DEFAULT";

/// Remembers the role, and takes it again: a trigger of the user may set another one for the rest
/// of the transaction.
const REMEMBER_ROLE: &str =
    "SELECT set_config('booking_automation.role', current_setting('role'), true)";
const RESTORE_ROLE: &str =
    "SELECT set_config('role', current_setting('booking_automation.role'), true)";

/// Checks the deferred constraints now, and leaves them deferred: the inner savepoint's end undoes
/// the change of their mode, and they are checked again at COMMIT. A violation fails here, where it
/// is known which statement caused it, and not at COMMIT, where it would undo the whole pass.
const CHECK_CONSTRAINTS: &str =
    "SAVEPOINT deferred; SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK TO SAVEPOINT deferred";

/// A parameter and its type. Statements are not prepared by name, so each call sends the types.
pub type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// An open transaction. If it is dropped before [`Transaction::commit`] or
/// [`Transaction::rollback`], its connection closes and the server rolls back.
#[derive(Debug)]
pub struct Transaction {
    client: Option<Client>,
    statement_timeout: Duration,
    until: Option<Instant>,
}

/// Gives up on `call` after `limit`, or at `until` when that is sooner.
pub(crate) async fn within<T>(
    limit: Duration,
    until: Option<Instant>,
    call: impl Future<Output = T>,
) -> Result<T> {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let limit = left.map_or(limit, |left| left.min(limit));
    tokio::time::timeout(limit, call)
        .await
        .map_err(|_| DatabaseError::Timeout(limit))
}

impl Transaction {
    /// Begins a transaction on `client` with `sql`, and returns the rows of `sql`.
    pub(crate) async fn start(
        client: Client,
        begin: &Begin,
        sql: &str,
    ) -> Result<(Self, Vec<SimpleQueryMessage>)> {
        let Begin {
            statement_timeout,
            until,
            ..
        } = *begin;
        let transaction = Self {
            client: Some(client),
            statement_timeout,
            until,
        };
        let rows = transaction
            .limited(transaction.client().simple_query(sql))
            .await?;
        Ok((transaction, rows))
    }

    /// Returns the connection to the pool. The transaction must have ended.
    pub(crate) fn release(mut self) {
        drop(self.client.take());
    }

    #[expect(
        clippy::expect_used,
        reason = "only the methods that consume the transaction take its client"
    )]
    fn client(&self) -> &Client {
        self.client
            .as_ref()
            .expect("an open transaction has its client")
    }

    async fn limited<T>(
        &self,
        call: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        Ok(within(self.statement_timeout + NETWORK_MARGIN, self.until, call).await??)
    }

    /// The rows of a query. Joined futures of several statements take one round trip.
    ///
    /// # Errors
    /// As every statement.
    pub async fn query(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>> {
        self.limited(self.client().query_typed(sql, parameters))
            .await
    }

    /// The one row of a query that always has one.
    ///
    /// # Errors
    /// As every statement.
    pub async fn query_one(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Row> {
        let mut rows = self.query(sql, parameters).await?;
        #[expect(
            clippy::expect_used,
            reason = "only aggregates and statements with a constant row come here"
        )]
        Ok(rows.pop().expect("the query has a row"))
    }

    /// Number of rows that a statement touched.
    ///
    /// # Errors
    /// As every statement.
    pub async fn execute(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<u64> {
        self.limited(self.client().execute_typed(sql, parameters))
            .await
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

    /// Runs `work`, a single statement on our own tables with the time limit `limit`, in a
    /// savepoint. If a row made it fail, or it was too slow, only `work` is undone. One round trip,
    /// and one more on failure.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) async fn in_savepoint<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        let (begin, end) = (self.begin_savepoint(limit), self.end_savepoint());
        let (begun, done, ended) =
            future::join3(self.batch(&begin), work(self), self.batch(&end)).await;
        begun?;
        self.undo_if_refused(done.and_then(|done| ended.map(|()| done)))
            .await
    }

    /// Runs `write`, a single statement on `bookings`, with the settings of the user's database, in
    /// a savepoint. `prepare` runs before it with ours, and hands over by settings of the
    /// transaction: both are sent at once. Deferred constraints are checked after it. If a row, a
    /// trigger or a constraint made it fail, or it was too slow, both are undone. One round trip,
    /// and one more on failure.
    ///
    /// `write` must not name an operator or function without its schema: see
    /// `tests/it/their_code.rs`.
    ///
    /// # Errors
    /// Those of both.
    pub(crate) async fn write_with_their_settings<T>(
        &self,
        limit: Duration,
        prepare: impl AsyncFnOnce(&Self) -> Result<()>,
        write: impl AsyncFnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        let begin = format!("{}; {REMEMBER_ROLE}", self.begin_savepoint(limit));
        let end = format!(
            "{CHECK_CONSTRAINTS}; {}; {OUR_SETTINGS}; {RESTORE_ROLE}",
            self.end_savepoint()
        );
        let (begun, prepared, switched, written, ended) = future::join5(
            self.batch(&begin),
            prepare(self),
            self.batch(THEIR_SETTINGS),
            write(self),
            self.batch(&end),
        )
        .await;
        begun?;
        let result = prepared
            .and(switched)
            .and(written)
            .and_then(|written| ended.map(|()| written));
        self.undo_if_refused(result).await
    }

    /// The rows of a query that runs with the settings of the user's database, since functions of
    /// theirs may run in it. If it fails, the transaction goes on. One round trip.
    ///
    /// The query must not name an operator or function without its schema: see
    /// `tests/it/their_code.rs`.
    ///
    /// # Errors
    /// As every statement.
    pub(crate) async fn query_with_their_settings(
        &self,
        limit: Duration,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>> {
        let begin = format!("{}; {THEIR_SETTINGS}", self.begin_savepoint(limit));
        let (begun, rows, ended) = future::join3(
            self.batch(&begin),
            self.query(sql, parameters),
            // Restores our settings, too.
            self.batch("ROLLBACK TO SAVEPOINT work; RELEASE SAVEPOINT work"),
        )
        .await;
        begun?;
        let rows = rows?;
        ended?;
        Ok(rows)
    }

    fn begin_savepoint(&self, limit: Duration) -> String {
        let limit = limit.as_millis();
        format!("SAVEPOINT work; SET LOCAL statement_timeout = {limit}")
    }

    fn end_savepoint(&self) -> String {
        let limit = self.statement_timeout.as_millis();
        format!("RELEASE SAVEPOINT work; SET LOCAL statement_timeout = {limit}")
    }

    async fn undo_if_refused<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && error.is_of_a_row()
        {
            self.batch("ROLLBACK TO SAVEPOINT work; RELEASE SAVEPOINT work")
                .await?;
        }
        result
    }

    /// Commits.
    ///
    /// # Errors
    /// A lost connection leaves open whether it was committed.
    pub async fn commit(self) -> Result<()> {
        self.commit_after(async |_| Ok(())).await
    }

    /// Runs `last` and commits, in one round trip: COMMIT does not wait for the answer to `last`.
    /// If `last` fails, nothing is committed and its error is returned: the server turns the COMMIT
    /// of a failed transaction into a ROLLBACK.
    ///
    /// # Errors
    /// A lost connection leaves open whether it was committed.
    pub async fn commit_after<T>(self, last: impl AsyncFnOnce(&Self) -> Result<T>) -> Result<T> {
        let (done, committed) = future::join(last(&self), self.batch("COMMIT")).await;
        let done = done?;
        committed?;
        self.release();
        Ok(done)
    }

    /// Undoes everything, and returns the connection to the pool.
    ///
    /// # Errors
    /// When the connection is lost; the server rolls back in that case, too.
    pub async fn rollback(self) -> Result<()> {
        self.batch("ROLLBACK").await?;
        self.release();
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // The transaction has not ended: remove the connection from the pool and close it.
        if let Some(client) = self.client.take() {
            drop(Client::take(client));
        }
    }
}
