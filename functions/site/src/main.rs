//! The `site` function: serves static pages until the environment ends. It knows no secret, no database and no queue.

use lambda_http::{Error, tracing};
use shared::gateway;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    gateway::serve(site::router()).await
}
