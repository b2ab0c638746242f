//! The minimum for accepting an order: connects, inserts and sends, one after the other, and prints how many microseconds
//! that took.
//!
//! | variable | meaning |
//! |---|---|
//! | `DATABASE_URL` | the URL of the database |
//! | `DATABASE_CA_FILE` | the file of the trusted authorities |
//! | `QUEUE_URL`, `AWS_ENDPOINT_URL` | the URLs of the queue and of its server |

use std::time::Instant;

use native_tls::{Certificate, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use probes::{Error, INSERT, Queue};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let begin = Instant::now();
    insert(&std::env::var("DATABASE_URL")?, &std::env::var("DATABASE_CA_FILE")?).await?;
    Queue::from_env()?.send().await?;
    println!("{}", begin.elapsed().as_micros());
    Ok(())
}

async fn insert(url: &str, authorities: &str) -> Result<(), Error> {
    let mut tls = TlsConnector::builder();
    tls.disable_built_in_roots(true);
    for authority in Certificate::stack_from_pem(&std::fs::read(authorities)?)? {
        tls.add_root_certificate(authority);
    }
    let mut config: tokio_postgres::Config = url.parse()?;
    config.ssl_mode(tokio_postgres::config::SslMode::Require);
    let (client, connection) = config.connect(MakeTlsConnector::new(tls.build()?)).await?;
    tokio::spawn(connection);
    client.query_typed(INSERT, &[]).await?;
    Ok(())
}
