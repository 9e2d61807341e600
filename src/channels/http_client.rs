//! Sends one HTTP/1.1 request to an endpoint or a provider, over a connection of its own.
//!
//! It follows no redirects, keeps no cookies, and uses no proxy from the environment.

use std::pin::pin;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::header::HOST;
use axum::http::uri::Scheme;
use axum::http::{HeaderValue, Request, Response, Uri};
use futures_util::future::{self, Either};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::channels::webhook::egress::{BoxError, Egress};

/// The `User-Agent` of requests.
pub(crate) const PROGRAM: &str = concat!("booking-automation/", env!("CARGO_PKG_VERSION"));
/// Longest head of an answer, in bytes.
const LONGEST_HEAD: usize = 8 * 1024;

/// A connection, with TLS or without.
type Stream = tokio_util::either::Either<TcpStream, TlsStream<TcpStream>>;

/// Opens connections.
#[derive(Debug)]
pub(crate) struct HttpClient {
    egress: Egress,
    /// Created for the first request: it reads all the system's certificate authorities.
    tls: OnceCell<Arc<ClientConfig>>,
}

impl HttpClient {
    /// Connects to what `egress` allows.
    pub(crate) fn new(egress: Egress) -> Self {
        Self {
            egress,
            tls: OnceCell::new(),
        }
    }

    /// Connects to the host of `uri`.
    pub(crate) async fn connect(&self, uri: &Uri) -> Result<Connection, BoxError> {
        let stream = self.egress.connect(uri).await?;
        let stream = match uri.scheme() == Some(&Scheme::HTTPS) {
            true => Stream::Right(self.secure(uri, stream).await?),
            false => Stream::Left(stream),
        };
        let host = uri.authority().map_or("", |authority| authority.as_str());
        Ok(Connection {
            stream,
            host: HeaderValue::from_str(host)?,
        })
    }

    async fn secure(&self, uri: &Uri, stream: TcpStream) -> Result<TlsStream<TcpStream>, BoxError> {
        let tls = self
            .tls
            .get_or_try_init(async || tls_config().map(Arc::new))
            .await?;
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        Ok(TlsConnector::from(tls.clone())
            .connect(ServerName::try_from(host)?, stream)
            .await?)
    }
}

/// A connection for one request.
pub(crate) struct Connection {
    stream: Stream,
    host: HeaderValue,
}

impl Connection {
    /// Sends the request, and reads the answer with the first `longest_body` bytes of its body.
    pub(crate) async fn send(
        self,
        mut request: Request<Full<Bytes>>,
        longest_body: usize,
    ) -> hyper::Result<Response<Bytes>> {
        // The form that servers expect: the host in `Host`, and only the path in the request line.
        request.headers_mut().insert(HOST, self.host);
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
        let mut http = http1::Builder::new();
        let (mut sender, connection) = http
            .max_buf_size(LONGEST_HEAD)
            .handshake(TokioIo::new(self.stream))
            .await?;
        let answer = pin!(async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = read_start(body, longest_body).await?;
            Ok(Response::from_parts(head, body))
        });
        match future::select(answer, pin!(connection)).await {
            Either::Left((answer, _)) => answer,
            // The connection ended, with or without an answer.
            Either::Right((_, answer)) => answer.await,
        }
    }
}

/// The first `longest` bytes of a body. The rest is not waited for.
async fn read_start(mut body: Incoming, longest: usize) -> hyper::Result<Bytes> {
    let mut start = Vec::new();
    while start.len() < longest {
        let Some(frame) = body.frame().await else {
            break;
        };
        start.extend(frame?.into_data().unwrap_or_default());
    }
    start.truncate(longest);
    Ok(start.into())
}

/// TLS for HTTP/1.1, verified with the authorities that this machine trusts, as for SES
/// (`SSL_CERT_FILE` names others).
fn tls_config() -> Result<ClientConfig, rustls::Error> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}
