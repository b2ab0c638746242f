//! A minimal function: it answers every event with the same text.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let hello =
        |_: LambdaEvent<Value>| async { Ok::<_, Error>(json!({"statusCode": 201, "headers": {}, "body": "hello"})) };
    lambda_runtime::run(service_fn(hello)).await
}
