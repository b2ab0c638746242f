//! The parts that the minimal programs share.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use shared::aws::Http;

/// The error of a minimal program.
pub type Error = lambda_runtime::Error;

/// Inserts an order and its work.
pub const INSERT: &str = "WITH inserted AS (
        INSERT INTO orders (order_id, user_id, item_ids, total_amount)
        VALUES (gen_random_uuid()::text, 'user-1', '{book-1,pen-7}', 59.98) RETURNING order_id, created_at
    )
    INSERT INTO order_work (order_id, created_at, due_at) SELECT order_id, created_at, created_at FROM inserted";

/// The queue `QUEUE_URL` of the server `AWS_ENDPOINT_URL`.
pub struct Queue {
    client: Client,
    url: String,
}

impl Queue {
    /// Reads the variables.
    ///
    /// # Errors
    /// One of them is missing.
    pub fn from_env() -> Result<Self, Error> {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("bare", "secret", None, None, "bench"))
            .endpoint_url(std::env::var("AWS_ENDPOINT_URL")?)
            .http_client(Http::default());
        Ok(Self { client: Client::from_conf(config.build()), url: std::env::var("QUEUE_URL")? })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The call failed.
    pub async fn send(&self) -> Result<(), Error> {
        self.client.send_message().queue_url(&self.url).message_body("an-order").send().await?;
        Ok(())
    }
}
