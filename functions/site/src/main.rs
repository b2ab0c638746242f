//! The `site` function: serves static pages until the environment ends. It knows no secret, no database and no queue.

use lambda_http::Error;
use shared::config::Env;
use shared::{gateway, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init(&Env::read());
    gateway::serve(site::router()).await
}
