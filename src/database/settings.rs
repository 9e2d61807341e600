//! How to reach the database.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::database::tls::{self, Roots};
use crate::primitives::settings::{Lookup, SettingError, read};

/// How to reach the database.
#[derive(Clone)]
pub struct DatabaseSettings {
    pub(crate) config: tokio_postgres::Config,
    pub(crate) roots: Roots,
}

impl fmt::Debug for DatabaseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseSettings").finish_non_exhaustive()
    }
}

impl DatabaseSettings {
    /// Reads `DATABASE_URL` and `DATABASE_CA_CERT`.
    ///
    /// # Errors
    /// Names the variable that is missing or malformed.
    pub fn from_environment(lookup: Lookup) -> Result<Self, SettingError> {
        const NAME: &str = "DATABASE_URL";
        let text = read(lookup, NAME).ok_or_else(|| {
            SettingError::new(
                NAME,
                "is not set: it takes a PostgreSQL URL, postgres://user:password@host:5432/database",
            )
        })?;
        // TLS is always verified here, so libpq's stricter modes are the same as `require`.
        let text = text
            .replace("sslmode=verify-full", "sslmode=require")
            .replace("sslmode=verify-ca", "sslmode=require");
        let mut config = tokio_postgres::Config::from_str(&text).map_err(|_| {
            SettingError::new(
                NAME,
                "is not valid: it takes a PostgreSQL URL (postgres://user:password@host:5432/database?sslmode=require) or \
                 key-value string (host=… user=… dbname=…), with the options that tokio-postgres documents; \
                 certificates go into DATABASE_CA_CERT",
            )
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(SettingError::new(NAME, "names no host"));
        }
        if config.get_user().is_none() {
            return Err(SettingError::new(NAME, "names no user"));
        }
        tls::require_unless_local(&mut config);
        config.application_name(
            config
                .get_application_name()
                .unwrap_or("booking-automation")
                .to_owned(),
        );
        config.connect_timeout(
            config
                .get_connect_timeout()
                .copied()
                .unwrap_or(CONNECT_TIMEOUT),
        );
        config.tcp_user_timeout(
            config
                .get_tcp_user_timeout()
                .copied()
                .unwrap_or(TCP_USER_TIMEOUT),
        );
        let roots = Roots::with_extra(read(lookup, "DATABASE_CA_CERT"))
            .map_err(|problem| SettingError::new("DATABASE_CA_CERT", problem))?;
        Ok(Self { config, roots })
    }

    /// Whether every host is this machine.
    pub(crate) fn is_of_this_machine(&self) -> bool {
        tls::is_of_this_machine(&self.config)
    }
}

/// How long one host may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long sent bytes may stay unacknowledged before the connection counts as dead.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);
