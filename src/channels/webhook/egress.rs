//! Whom webhooks may call: public addresses over TLS, and hosts that the operator allows by name.
//!
//! A subscription's URL is data, and this program may stand where a private network can be reached. So the addresses
//! themselves are judged, in the one place that opens connections, whichever way a URL writes them: there is no second look-up
//! that could answer something else, and what is refused is refused before anything is sent, a SYN included.

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

/// Why a target is not called. Says nothing of where it is.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum EgressError {
    /// One of its addresses is not everybody's.
    #[error("not a public address")]
    Private,
    /// What is told would cross the net in the clear.
    #[error("not https")]
    Plain,
}

/// Opens connections, to whom they may go.
#[derive(Clone)]
pub struct Egress {
    allowed: Arc<[String]>,
    resolver: Resolver,
    /// For each address of a name.
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
    /// Public ones, and the hosts that are `allowed` wherever they are; each address may take `connect` to accept.
    pub fn new(allowed: Vec<String>, connect: Duration) -> Self {
        Self {
            allowed: allowed.into(),
            resolver: Arc::new(look_up),
            connect,
        }
    }

    /// With another way to look names up.
    #[must_use]
    pub fn resolving_by(self, resolver: Resolver) -> Self {
        Self { resolver, ..self }
    }

    /// The addresses that a connection for `uri` goes to, all of them judged.
    ///
    /// # Errors
    /// [`EgressError`]; or the name cannot be looked up.
    pub async fn addresses(&self, uri: &Uri) -> Result<Vec<SocketAddr>, BoxError> {
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
        // One of several is enough: whoever answers so wants to be tried until it fits.
        if !allowed && !addresses.iter().all(|address| is_public(address.ip())) {
            return Err(EgressError::Private.into());
        }
        Ok(addresses)
    }

    /// A connection for `uri`, to the first of its addresses that accepts one.
    ///
    /// # Errors
    /// [`EgressError`], and then none was tried; or no name, or nobody there.
    pub async fn connect(&self, uri: &Uri) -> Result<TcpStream, BoxError> {
        let mut failed: BoxError = "the name has no address".into();
        for address in self.addresses(uri).await? {
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

/// As this machine does.
fn look_up(host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) }.boxed()
}

/// Whether an address is everybody's: none of those that the IANA's registries of special-purpose addresses (RFC 6890) keep
/// for something else.
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
    ([169, 254, 0, 0], 16),   // link-local: where clouds keep credentials
    ([172, 16, 0, 0], 12),    // private
    ([192, 0, 0, 0], 24),     // protocol assignments
    ([192, 0, 2, 0], 24),     // documentation
    ([192, 88, 99, 0], 24),   // relays of 6to4
    ([192, 168, 0, 0], 16),   // private
    ([198, 18, 0, 0], 15),    // benchmarking
    ([198, 51, 100, 0], 24),  // documentation
    ([203, 0, 113, 0], 24),   // documentation
    ([168, 63, 129, 16], 32), // a cloud's own, although public by its number
    ([224, 0, 0, 0], 4),      // multicast
    ([240, 0, 0, 0], 4),      // reserved, broadcast
];

/// What is global at all. Loopback, unspecified, mapped and NAT64 addresses (64:ff9b::/96, 64:ff9b:1::/48), unique local
/// (fc00::/7), link-local, site-local (fec0::/10) and multicast ones are outside.
const GLOBAL_UNICAST: ([u16; 8], u32) = ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

const SPECIAL_V6: [([u16; 8], u32); 4] = [
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // protocol assignments: Teredo, benchmarking, ORCHID
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), // 6to4: an IPv4 address in disguise
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation
];
