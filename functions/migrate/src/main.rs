//! The `migrate` function: a CloudFormation custom resource that brings the schema up to date.

use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use migrate::Event;
use shared::config::Env;
use shared::db::DbConfig;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    // A bad configuration is reported to CloudFormation too, which would otherwise wait for an answer until it times out.
    let config = &DbConfig::from_env(&Env::read());
    run(service_fn(|event: LambdaEvent<Event>| async move { migrate::handle(config, event.payload).await })).await
}
