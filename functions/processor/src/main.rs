//! The `processor` function: reads its configuration, builds its clients once and takes batches until the environment ends.

use std::sync::Arc;

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use processor::{Config, Processor, Simulated};
use shared::config::{Env, or_exit};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let env = Env::read();
    let config = or_exit(Config::from_env(&env));
    let work = Simulated { delay: config.processing_delay };
    let processor = Arc::new(or_exit(Processor::new(config, work, &env)));
    let warming = Arc::clone(&processor);
    tokio::spawn(async move { warming.db.warm().await });
    run(service_fn(|event: LambdaEvent<SqsEvent>| async { Ok::<_, Error>(processor.handle(event.payload).await) }))
        .await
}
