//! The minimum for accepting an order: connects, inserts and sends, one after the other, and prints how many microseconds
//! that took.
//!
//! | variable | meaning |
//! |---|---|
//! | `DATABASE_URL` | the URL of the database |
//! | `DATABASE_CA_FILE` | the file of the trusted authorities |
//! | `QUEUE_URL`, `AWS_ENDPOINT_URL` | the URLs of the queue and of its server |

use std::time::Instant;

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use native_tls::{Certificate, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use shared::aws::Http;

type Error = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let begin = Instant::now();
    insert(&std::env::var("DATABASE_URL")?, &std::env::var("DATABASE_CA_FILE")?).await?;
    send(std::env::var("QUEUE_URL")?, std::env::var("AWS_ENDPOINT_URL")?).await?;
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
    let sql = "WITH inserted AS (
            INSERT INTO orders (order_id, user_id, item_ids, total_amount)
            VALUES (gen_random_uuid()::text, 'user-1', '{book-1,pen-7}', 59.98) RETURNING order_id, created_at
        )
        INSERT INTO order_work (order_id, created_at, due_at) SELECT order_id, created_at, created_at FROM inserted";
    client.query_typed(sql, &[]).await?;
    Ok(())
}

async fn send(queue: String, endpoint: String) -> Result<(), Error> {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("bare", "secret", None, None, "bench"))
        .endpoint_url(endpoint)
        .http_client(Http::default());
    let client = aws_sdk_sqs::Client::from_conf(config.build());
    client.send_message().queue_url(queue).message_body("an-order").send().await?;
    Ok(())
}
