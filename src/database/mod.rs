//! All access to the database: short transactions of unnamed statements on a pooled connection.
//!
//! Everything runs inside a transaction that sets its own limits with `SET LOCAL`, so that it works
//! behind a transaction pooler (PgBouncer, Supavisor, RDS Proxy), where neither named statements
//! nor session settings survive. A transaction that is dropped before its end closes its
//! connection, since the connection's state is unknown then; the server rolls back.

mod connection_parameters;
mod connection_string;
pub mod error;
mod failover;
pub mod functions;
pub mod migrate;
pub(crate) mod owner_defaults;
pub(crate) mod owner_functions;
pub(crate) mod rights;
mod rows;
pub(crate) mod schema;
pub mod settings;
mod tls;
mod transaction;
mod triggers;

use std::time::{Duration, Instant};

use deadpool_postgres::{
    Client, ConfigConnectImpl, Connect, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime,
    Timeouts,
};
use tokio_postgres::config::SslMode;
use tokio_postgres::{NoTls, SimpleQueryMessage};

pub use crate::database::error::{DatabaseError, Result};
use crate::database::failover::FailoverConnector;
pub(crate) use crate::database::rows::{BASE_TYPE, IS_WHOLE, finite, json, last_row};
pub(crate) use crate::database::schema::REQUIRED;
use crate::database::settings::DatabaseSettings;
pub(crate) use crate::database::transaction::BOOKINGS_LOCK_TIMEOUT;
pub use crate::database::transaction::{Begin, Parameter, Transaction};
use crate::database::transaction::{CONNECTION_TIMEOUT, within};

/// Advisory lock of the pass. An arbitrary number.
pub(crate) const PASS_LOCK: i64 = 0x626b_6175_746f_0001;
/// How long the check of a pooled connection may take. After Lambda has frozen and resumed a
/// function, its sockets look open but may be dead.
const RECYCLE_TIMEOUT: Duration = Duration::from_secs(2);

/// A pool of connections, usually of one.
#[derive(Clone, Debug)]
pub struct Database {
    pool: Pool,
}

impl Database {
    /// A pool of at most `connections`. It opens none yet.
    ///
    /// # Errors
    /// When the TLS library refuses the trust anchors.
    pub fn new(settings: &DatabaseSettings, connections: usize) -> anyhow::Result<Self> {
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Verified,
        };
        let config = settings.config.clone();
        let driver: Box<dyn Connect> = match config.get_ssl_mode() {
            SslMode::Disable => Box::new(ConfigConnectImpl { tls: NoTls }),
            _ => Box::new(ConfigConnectImpl {
                tls: settings.roots.connector()?,
            }),
        };
        let connect = FailoverConnector::new(driver, &config, CONNECTION_TIMEOUT);
        let manager = Manager::from_connect(config, connect, recycling);
        let timeouts = Timeouts {
            wait: Some(CONNECTION_TIMEOUT),
            create: Some(CONNECTION_TIMEOUT),
            recycle: Some(RECYCLE_TIMEOUT),
        };
        let pool = Pool::builder(manager)
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .timeouts(timeouts)
            .build()?;
        Ok(Self { pool })
    }

    /// How many connections it may have.
    pub(crate) fn connections(&self) -> usize {
        self.pool.status().max_size
    }

    /// Begins a transaction. `also` is sent in the same message, and its rows are returned.
    ///
    /// A dead connection is replaced, once. So is a connection to a server that has become a
    /// standby (a pooler can hold such connections): a new connection looks for the host that
    /// accepts writes.
    ///
    /// # Errors
    /// When there is no connection, or the server refuses.
    pub async fn begin(
        &self,
        begin: &Begin,
        also: &str,
    ) -> Result<(Transaction, Vec<SimpleQueryMessage>)> {
        let sql = format!("{}; {also}", begin.sql());
        let error = match self.begin_once(begin, &sql).await {
            Err(error) if begin.until.is_none_or(|until| Instant::now() < until) => error,
            result => return result,
        };
        if error.is_read_only_server() {
            // The other connections are as old, and would pass the check.
            self.pool.retain(|_, _| false);
        } else if !error.is_lost_connection() {
            return Err(error);
        }
        self.begin_once(begin, &sql).await
    }

    async fn begin_once(
        &self,
        begin: &Begin,
        sql: &str,
    ) -> Result<(Transaction, Vec<SimpleQueryMessage>)> {
        let client = within(
            CONNECTION_TIMEOUT * 2 + RECYCLE_TIMEOUT,
            begin.until,
            self.pool.get(),
        )
        .await?;
        let client = client.map_err(DatabaseError::Unreachable)?;
        Transaction::start(client, begin, sql).await
    }

    /// Runs a whole transaction in one message and returns its rows. `sql` must end the
    /// transaction.
    ///
    /// # Errors
    /// As [`Database::begin`].
    pub(crate) async fn alone(&self, begin: &Begin, sql: &str) -> Result<Vec<SimpleQueryMessage>> {
        let (transaction, rows) = self.begin(begin, sql).await?;
        transaction.release();
        Ok(rows)
    }

    /// A connection without a transaction, for commands that PostgreSQL refuses inside one. It does
    /// not return to the pool.
    ///
    /// # Errors
    /// When no connection can be had.
    pub(crate) async fn detached(&self) -> Result<deadpool_postgres::ClientWrapper> {
        self.pool
            .get()
            .await
            .map(Client::take)
            .map_err(DatabaseError::Unreachable)
    }
}
