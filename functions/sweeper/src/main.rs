//! The `sweeper` function: reads its configuration, builds its clients once, and runs at each event of the schedule.

use std::sync::Arc;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use shared::config::{Env, or_exit};
use shared::{lifecycle, telemetry};
use sweeper::Sweeper;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::read();
    telemetry::init(&env);
    let sweeper = Arc::new(or_exit(Sweeper::from_env(&env)));
    // The content of the schedule's event does not matter.
    let handle = move |_: LambdaEvent<serde_json::Value>| {
        let sweeper = Arc::clone(&sweeper);
        async move { Ok::<_, Error>(sweeper.sweep().await?) }
    };
    lifecycle::run(service_fn(handle)).await
}
