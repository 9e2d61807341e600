//! A function that commits one row in PostgreSQL, over one connection that it keeps: the least that a pass takes.
//! With DATABASE_CA_CERT, the connection has TLS and the server's certificate is verified.

use std::sync::Arc;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

const COMMIT: &str = "INSERT INTO commits DEFAULT VALUES";

async fn connect() -> Result<Client, Error> {
    let url = std::env::var("DATABASE_URL")?;
    let Ok(authority) = std::env::var("DATABASE_CA_CERT") else {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        return Ok(client);
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = MakeRustlsConnect::new(config);
    let (client, connection) = tokio_postgres::connect(&url, tls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let kept = OnceCell::new();
    lambda_runtime::run(service_fn(|_: LambdaEvent<Value>| async {
        let client: &Client = kept.get_or_try_init(connect).await?;
        client.batch_execute(COMMIT).await?;
        Ok::<_, Error>(json!({"statusCode": 200}))
    }))
    .await
}
