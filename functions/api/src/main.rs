//! The `api` function: reads its configuration, builds its clients once and serves calls until the environment ends.

use std::sync::Arc;

use api::{Api, ApiConfig};
use lambda_http::Error;
use shared::config::{Env, or_exit};
use shared::{aws, gateway, lifecycle, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::read();
    telemetry::init(&env);
    let api = Arc::new(or_exit(ApiConfig::from_env(&env).and_then(|config| Api::new(config, &env))));
    let warming = Arc::clone(&api);
    lifecycle::warm(async move {
        tokio::join!(warming.database.warm(), async { aws::warm() });
    });
    gateway::serve(api::router(api)).await
}
