//! The `migrate` function: a CloudFormation custom resource that brings the schema up to date.

use std::sync::Arc;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use migrate::{DEFAULT_TIMEOUT, MigrateConfig, ResourceRequest};
use shared::config::Env;
use shared::deadline::Deadline;
use shared::{lifecycle, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::read();
    telemetry::init(&env);
    // A bad configuration is also reported to CloudFormation, which would otherwise wait until it times out.
    let config = Arc::new(MigrateConfig::from_env(&env));
    let timeout = config.as_ref().as_ref().map_or(DEFAULT_TIMEOUT, |config| config.timeout);
    let client = migrate::client()?;
    let handle = move |LambdaEvent { payload, .. }: LambdaEvent<ResourceRequest>| {
        let (config, client) = (Arc::clone(&config), client.clone());
        async move { migrate::handle(&config, &client, payload, Deadline::after(timeout)).await }
    };
    lifecycle::run(service_fn(handle)).await
}
