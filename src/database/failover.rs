//! Several hosts in one `DATABASE_URL`: they are tried in turn, each for its share of the time.
//!
//! The driver tries them too, but its time limit covers only the TCP connection. A host that
//! accepts and then hangs, such as a primary during a failover, would block the attempt on the next
//! host.

use std::pin::Pin;
use std::time::Duration;

use deadpool_postgres::Connect;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, LoadBalanceHosts};
use tokio_postgres::{Client, Config, Error};
use uuid::Uuid;

/// Connects to the first host that answers.
pub(crate) struct FailoverConnector {
    driver: Box<dyn Connect>,
    hosts: Vec<Config>,
    random: bool,
    /// For every host but the last; the pool's own time limit covers that one.
    limit: Duration,
}

impl FailoverConnector {
    /// Tries the hosts of `config` within `time`.
    pub(crate) fn new(driver: Box<dyn Connect>, config: &Config, time: Duration) -> Self {
        let count = config.get_hosts().len().max(config.get_hostaddrs().len());
        let hosts: Vec<_> = if count <= 1 {
            vec![config.clone()]
        } else {
            (0..count).map(|index| for_host(config, index)).collect()
        };
        let random = config.get_load_balance_hosts() == LoadBalanceHosts::Random;
        let limit = time / u32::try_from(hosts.len()).unwrap_or(u32::MAX);
        Self {
            driver,
            hosts,
            random,
            limit,
        }
    }
}

type Connected = Result<(Client, JoinHandle<()>), Error>;

impl Connect for FailoverConnector {
    fn connect(&self, config: &Config) -> Pin<Box<dyn Future<Output = Connected> + Send + '_>> {
        let mut hosts: Vec<_> = self.hosts.iter().collect();
        if self.random {
            let first = usize::from(Uuid::new_v4().as_bytes()[0]) % hosts.len();
            hosts.rotate_left(first);
        }
        let Some((last, others)) = hosts
            .split_last()
            .map(|(last, others)| (*last, others.to_vec()))
        else {
            return self.driver.connect(config);
        };
        Box::pin(async move {
            for host in others {
                if let Ok(Ok(connected)) =
                    tokio::time::timeout(self.limit, self.driver.connect(host)).await
                {
                    return Ok(connected);
                }
            }
            self.driver.connect(last).await
        })
    }
}

/// The configuration with one host only, and all other settings unchanged.
fn for_host(config: &Config, index: usize) -> Config {
    let mut alone = Config::new();
    match config.get_hosts().get(index) {
        Some(Host::Tcp(host)) => _ = alone.host(host),
        #[cfg(unix)]
        Some(Host::Unix(path)) => _ = alone.host_path(path),
        None => {}
    }
    config
        .get_hostaddrs()
        .get(index)
        .map(|address| alone.hostaddr(*address));
    config
        .get_ports()
        .get(index)
        .or(config.get_ports().first())
        .map(|port| alone.port(*port));
    config.get_user().map(|user| alone.user(user));
    config
        .get_password()
        .map(|password| alone.password(password));
    config.get_dbname().map(|name| alone.dbname(name));
    config.get_options().map(|options| alone.options(options));
    config
        .get_application_name()
        .map(|name| alone.application_name(name));
    config
        .get_connect_timeout()
        .map(|time| alone.connect_timeout(*time));
    config
        .get_tcp_user_timeout()
        .map(|time| alone.tcp_user_timeout(*time));
    config
        .get_keepalives_interval()
        .map(|time| alone.keepalives_interval(time));
    config
        .get_keepalives_retries()
        .map(|count| alone.keepalives_retries(count));
    alone
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding())
        .load_balance_hosts(config.get_load_balance_hosts());
    alone
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use super::*;

    #[test]
    fn a_host_alone_keeps_every_other_setting() {
        let settings = "user=u password=p dbname=d options='-c x=1' application_name=a
                        sslmode=require sslnegotiation=direct connect_timeout=7 tcp_user_timeout=8
                        keepalives=0 keepalives_idle=9 keepalives_interval=10
                        keepalives_retries=11 target_session_attrs=read-write
                        channel_binding=require load_balance_hosts=random";
        let parse = |hosts: &str| format!("{hosts} {settings}").parse::<Config>().unwrap();
        let several = parse("host=one,two hostaddr=10.0.0.1,10.0.0.2 port=1,2");
        assert_eq!(
            for_host(&several, 0),
            parse("host=one hostaddr=10.0.0.1 port=1")
        );
        assert_eq!(
            for_host(&several, 1),
            parse("host=two hostaddr=10.0.0.2 port=2")
        );
        assert_eq!(
            for_host(&parse("host=one,/run port=3"), 1),
            parse("host=/run port=3")
        );
    }
}
