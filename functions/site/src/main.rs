//! The `site` function: serves static pages until the environment ends. It knows no secret, no database and no queue.

use lambda_http::{Error, run, tracing};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    run(site::router()).await
}
