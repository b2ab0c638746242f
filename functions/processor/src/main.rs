//! The `processor` function: reads its configuration, builds its clients once and processes batches until the environment ends.

use std::sync::Arc;

use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use processor::event::SqsEvent;
use processor::{ConfiguredWork, DatabaseFailed, Processor, ProcessorConfig};
use shared::config::{Env, or_exit};
use shared::{aws, lifecycle, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::read();
    telemetry::init(&env);
    let (config, work) = (or_exit(ProcessorConfig::from_env(&env)), or_exit(ConfiguredWork::from_env(&env)));
    let processor = Arc::new(or_exit(Processor::new(config, work, &env)));
    let warming = Arc::clone(&processor);
    lifecycle::warm(async move {
        tokio::join!(warming.database.warm(), async { aws::warm() });
    });
    let handle = move |event: LambdaEvent<SqsEvent>| {
        let processor = Arc::clone(&processor);
        // What Lambda shows and logs.
        let shown = |error: DatabaseFailed| Diagnostic {
            error_type: "DatabaseFailed".to_owned(),
            error_message: error.to_string(),
        };
        async move { processor.handle(event.payload).await.map_err(shown) }
    };
    lifecycle::run(service_fn(handle)).await
}
