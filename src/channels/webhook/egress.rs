//! Which targets webhooks may call: public addresses over TLS, and hosts that the operator allows
//! by name.
//!
//! A subscription's URL is data, and this program may have access to a private network. So the
//! addresses themselves are checked, in the one place that opens connections, however the URL
//! writes them. There is no second look-up that could return another address, and a refused target
//! receives nothing, not even a SYN.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::net::TcpStream;

/// Turns a name and a port into addresses.
pub type Resolver =
    Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Any error.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// Why a target is not called. It does not reveal the target's address.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum EgressError {
    /// One of its addresses is not public.
    #[error("not a public address")]
    Private,
    /// The message would cross the network unencrypted.
    #[error("not https")]
    Plain,
}

/// Opens connections to allowed targets.
#[derive(Clone)]
pub struct Egress {
    allowed: Arc<[String]>,
    resolver: Resolver,
    /// Longest time to connect to each address of a name.
    connect: Duration,
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress")
            .field("allowed", &self.allowed)
            .finish_non_exhaustive()
    }
}

impl Egress {
    /// Allows public addresses, and the hosts in `allowed` at any address. Each address may take
    /// `connect` to accept.
    pub fn new(allowed: Vec<String>, connect: Duration) -> Self {
        Self {
            allowed: allowed.into(),
            resolver: Arc::new(look_up),
            connect,
        }
    }

    /// Replaces the name look-up.
    #[must_use]
    pub fn resolving_by(self, resolver: Resolver) -> Self {
        Self { resolver, ..self }
    }

    /// The addresses for `uri`, all of them checked.
    ///
    /// # Errors
    /// [`EgressError`]; or the name cannot be looked up.
    pub async fn allowed_addresses(&self, uri: &Uri) -> Result<Vec<SocketAddr>, BoxError> {
        let host = uri.host().ok_or("no host")?;
        let tls = uri.scheme_str() == Some("https");
        let allowed = self
            .allowed
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(host));
        if !tls && !allowed {
            return Err(EgressError::Plain.into());
        }
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => (self.resolver)(bare.to_owned(), port).await?,
        };
        // One non-public address is enough to refuse: a mixed answer may be an attempt to have the
        // private address tried next.
        if !allowed && !addresses.iter().all(|address| is_public(address.ip())) {
            return Err(EgressError::Private.into());
        }
        Ok(addresses)
    }

    /// Connects to the first of the addresses for `uri` that accepts.
    ///
    /// # Errors
    /// [`EgressError`], before any address was tried; or the look-up or all connections failed.
    pub async fn connect(&self, uri: &Uri) -> Result<TcpStream, BoxError> {
        let mut failed: BoxError = "the name has no address".into();
        for address in self.allowed_addresses(uri).await? {
            failed = match tokio::time::timeout(self.connect, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => error.into(),
                Err(_) => "no connection in time".into(),
            };
        }
        Err(failed)
    }
}

/// Looks names up as this machine does.
fn look_up(host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) }.boxed()
}

/// Whether an address is public: not reserved by IANA's registries of special-purpose addresses
/// (RFC 6890).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|(network, bits)| {
            u32::from(address) >> (32 - bits) == u32::from(Ipv4Addr::from(*network)) >> (32 - bits)
        }),
        IpAddr::V6(address) => {
            let within = |(network, bits): &([u16; 8], u32)| {
                u128::from(address) >> (128 - bits)
                    == u128::from(Ipv6Addr::from(*network)) >> (128 - bits)
            };
            within(&GLOBAL_UNICAST) && !SPECIAL_V6.iter().any(within)
        }
    }
}

const SPECIAL_V4: [([u8; 4], u32); 16] = [
    ([0, 0, 0, 0], 8),        // this network, unspecified
    ([10, 0, 0, 0], 8),       // private
    ([100, 64, 0, 0], 10),    // shared: behind a carrier's NAT
    ([127, 0, 0, 0], 8),      // loopback
    ([169, 254, 0, 0], 16),   // link-local: metadata services with credentials
    ([172, 16, 0, 0], 12),    // private
    ([192, 0, 0, 0], 24),     // protocol assignments
    ([192, 0, 2, 0], 24),     // documentation
    ([192, 88, 99, 0], 24),   // 6to4 relays
    ([192, 168, 0, 0], 16),   // private
    ([198, 18, 0, 0], 15),    // benchmarking
    ([198, 51, 100, 0], 24),  // documentation
    ([203, 0, 113, 0], 24),   // documentation
    ([168, 63, 129, 16], 32), // Azure's platform address, in a public range
    ([224, 0, 0, 0], 4),      // multicast
    ([240, 0, 0, 0], 4),      // reserved, broadcast
];

/// The global unicast range. Loopback, unspecified, mapped and NAT64 addresses (64:ff9b::/96,
/// 64:ff9b:1::/48), unique local (fc00::/7), link-local, site-local (fec0::/10) and multicast
/// addresses are outside it.
const GLOBAL_UNICAST: ([u16; 8], u32) = ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

const SPECIAL_V6: [([u16; 8], u32); 4] = [
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // protocol assignments: Teredo, benchmarking, ORCHID
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), // 6to4: an IPv4 address in disguise
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation
];
