//! The `site` function: serves static pages until the environment ends. It has no secret, no database and no queue.

use lambda_http::Error;
use shared::config::{Env, or_exit};
use shared::{gateway, telemetry};
use site::SiteConfig;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::read();
    telemetry::init(&env);
    gateway::serve(site::router(or_exit(SiteConfig::from_env(&env)))).await
}
