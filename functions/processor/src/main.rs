//! The `processor` function: reads its configuration, builds its clients once and takes batches until the environment ends.

use std::sync::Arc;
use std::time::SystemTime;

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Context, Error, LambdaEvent, run, service_fn, tracing};
use processor::{Config, Processor};
use shared::config::{Env, or_exit};
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let env = Env::read();
    let (config, work) = or_exit(Config::from_env(&env).and_then(|config| Ok((config, Config::work(&env)?))));
    let processor = Arc::new(or_exit(Processor::new(config, work, &env)));
    let warming = Arc::clone(&processor);
    tokio::spawn(async move { warming.db.warm().await });
    let processor = &processor;
    run(service_fn(|LambdaEvent { payload, context }: LambdaEvent<SqsEvent>| async move {
        Ok::<_, Error>(processor.handle(payload, deadline(&context)).await)
    }))
    .await
}

/// When the function will be stopped, by the clock that only goes forward.
fn deadline(context: &Context) -> Instant {
    let left = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now() + left
}
