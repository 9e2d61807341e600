//! How to reach the database.

use std::fmt;
use std::time::Duration;

use tokio_postgres::config::Host;

use crate::database::connection_parameters;
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
                "is not set: it takes a PostgreSQL URL, \
                 postgres://user:password@host:5432/database",
            )
        })?;
        let mut config = connection_parameters::read(&text)
            .map_err(|problem| SettingError::new(NAME, problem))?;
        if !names_a_host(&config) {
            return Err(SettingError::new(NAME, "names no host"));
        }
        if config.get_user().is_none_or(str::is_empty) {
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

/// Whether it has hosts, each with a name or an address.
fn names_a_host(config: &tokio_postgres::Config) -> bool {
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    let is_named = |host: &Host| !matches!(host, Host::Tcp(name) if name.is_empty());
    !addresses.is_empty() || !hosts.is_empty() && hosts.iter().all(is_named)
}

/// How long one host may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long sent bytes may stay unacknowledged before the connection counts as dead.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);
