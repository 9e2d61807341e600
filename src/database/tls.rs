//! TLS to the database: certificate and host name are always verified. Connections are plain text
//! only on this machine, or with `sslmode=disable`.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, Der, TrustAnchor};
use rustls::{ClientConfig, NamedGroup, RootCertStore};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Amazon's certificate authorities for RDS and Aurora in every region (their public trust store,
/// `global-bundle.pem`): the web's roots do not include them. Of each certificate, what a
/// verification needs: the values of `subject` and `subjectPublicKeyInfo`, each after its length in
/// two bytes, the higher first. To parse whole certificates took a quarter of the program's start.
/// `scripts/trust-anchors` writes them; a test compares them with what `webpki` reads of the PEM
/// file.
const AMAZON_RDS: &[u8] = include_bytes!("../../certificates/amazon-rds.anchors");

/// The certificate authorities to trust besides the web's roots and Amazon's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roots {
    extra: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// Parses `DATABASE_CA_CERT`: PEM text, or the path of a PEM file.
    pub(crate) fn with_extra(text_or_path: Option<String>) -> Result<Self, String> {
        const ACCEPTS: &str = "it takes a CA certificate as PEM text \
            (-----BEGIN CERTIFICATE-----…) or the path of such a file";
        let Some(text_or_path) = text_or_path else {
            return Ok(Self::default());
        };
        let pem = if text_or_path.contains("-----BEGIN") {
            // Environment files with one line per variable write line breaks as \n.
            text_or_path.replace("\\n", "\n").into_bytes()
        } else {
            std::fs::read(Path::new(&text_or_path)).map_err(|error| {
                format!("cannot be read as a file ({}): {ACCEPTS}", error.kind())
            })?
        };
        let extra: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|_| format!("is not valid PEM: {ACCEPTS}"))?;
        let mut store = RootCertStore::empty();
        if extra.is_empty() || store.add_parsable_certificates(extra.iter().cloned()).1 > 0 {
            return Err(format!(
                "holds no certificate, or one that cannot be parsed: {ACCEPTS}"
            ));
        }
        Ok(Self { extra })
    }

    /// A connector that verifies against them.
    pub(crate) fn connector(&self) -> Result<MakeRustlsConnect, rustls::Error> {
        let web = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
        let mut store = RootCertStore {
            roots: web.chain(anchors(AMAZON_RDS)).collect(),
        };
        let mut provider = rustls::crypto::ring::default_provider();
        // PostgreSQL before 18 accepts P-256 only (`ssl_ecdh_curve`). Offering another group first
        // costs a round trip for a second hello.
        provider
            .kx_groups
            .sort_by_key(|group| group.name() != NamedGroup::secp256r1);
        store.add_parsable_certificates(self.extra.iter().cloned());
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }
}

/// The trust anchors that stand one after the other.
fn anchors(mut rest: &'static [u8]) -> impl Iterator<Item = TrustAnchor<'static>> {
    let mut next = move || {
        let (length, after) = rest.split_first_chunk()?;
        let (value, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        rest = after;
        Some(Der::from_slice(value))
    };
    std::iter::from_fn(move || {
        Some(TrustAnchor {
            subject: next()?,
            subject_public_key_info: next()?,
            name_constraints: None,
        })
    })
}

/// `prefer`, libpq's default, lets an attacker on the network force plain text. It becomes
/// `require`, or `disable` when every host is this machine.
pub(crate) fn require_unless_local(config: &mut tokio_postgres::Config) {
    if config.get_ssl_mode() == SslMode::Prefer {
        let local = is_of_this_machine(config);
        config.ssl_mode(if local {
            SslMode::Disable
        } else {
            SslMode::Require
        });
    }
}

/// Whether every host is this machine.
pub(crate) fn is_of_this_machine(config: &tokio_postgres::Config) -> bool {
    config.get_hosts().iter().all(is_local)
        && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name.eq_ignore_ascii_case("localhost")
                || name
                    .parse()
                    .is_ok_and(|address: IpAddr| address.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use rustls::RootCertStore;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::{AMAZON_RDS, anchors};

    #[test]
    fn the_trust_anchors_of_amazon_are_those_of_its_pem_file() -> Result<(), Box<dyn Error>> {
        let pem = include_bytes!("../../certificates/amazon-rds.pem");
        let mut parsed = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            parsed.add(certificate?)?;
        }
        assert!(parsed.len() > 50);
        assert!(anchors(AMAZON_RDS).eq(parsed.roots));
        Ok(())
    }
}
