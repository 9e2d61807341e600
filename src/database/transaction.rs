//! What a transaction is here: a short one, with limits of its own, of unnamed statements.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use deadpool_postgres::Client;
use futures_util::future;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, SimpleQueryMessage};

use crate::database::error::{DatabaseError, Result};

/// How long a statement on our own tables, or a migration, waits for a lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a statement that writes `bookings` waits for one. It takes no row that is locked, so this is about what the
/// user's own triggers want. It is far shorter than the server's `deadlock_timeout` (a second): when they and we wait for
/// each other, we give up.
pub(crate) const BOOKINGS_LOCK_TIMEOUT: Duration = Duration::from_millis(100);
/// How long to wait for a new connection over all hosts, or for this process's other use of it.
pub(crate) const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// What the network may add to a statement's own time limit before we give up on the connection.
const NETWORK_MARGIN: Duration = Duration::from_secs(2);

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
    /// With the usual limits, to be given up at `until`.
    pub(crate) fn until(until: Instant) -> Self {
        Self {
            until: Some(until),
            ..Self::default()
        }
    }

    /// One message: a round trip, whatever it sets. Every value is a number or made here.
    ///
    /// `SET CONSTRAINTS`: what the user deferred to COMMIT would fail the whole pass there; so it fails in the
    /// statement that breaks it, where the booking can be told from the others.
    ///
    /// `enable_seqscan`: every read of ours has its index, and what is due is few among many. The planner
    /// cannot know that the confirmed bookings are those to come, takes most of them for due, and would
    /// look for the first by reading the whole table.
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
    /// Begins it on `client` with `sql`, and returns the rows of that.
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

    /// Gives the connection back, where the transaction has ended already.
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

    /// Rows of a query. Futures of several statements, joined, go out in one round trip.
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
        let begin = format!(
            "SAVEPOINT work; SET LOCAL statement_timeout = {}",
            limit.as_millis()
        );
        let end = format!(
            "RELEASE SAVEPOINT work; SET LOCAL statement_timeout = {}",
            self.statement_timeout.as_millis()
        );
        let (begun, done, ended) =
            future::join3(self.batch(&begin), work(self), self.batch(&end)).await;
        begun?;
        match done {
            Ok(done) => ended.map(|()| done),
            Err(error) => {
                if error.is_of_a_row() || error.is_statement_timeout() {
                    self.batch("ROLLBACK TO SAVEPOINT work; RELEASE SAVEPOINT work")
                        .await?;
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
    pub async fn commit_after<T>(self, last: impl AsyncFnOnce(&Self) -> Result<T>) -> Result<T> {
        let (done, committed) = future::join(last(&self), self.batch("COMMIT")).await;
        let done = done?;
        committed?;
        self.release();
        Ok(done)
    }

    /// Undoes everything, and gives the connection back.
    ///
    /// # Errors
    /// When the connection is lost; the server rolls back then too.
    pub async fn rollback(self) -> Result<()> {
        self.batch("ROLLBACK").await?;
        self.release();
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
