//! The least function that accepts an order: for each event it inserts one by a prepared statement, and sends its message. It reads no
//! event, checks nothing and logs nothing.

use lambda_runtime::{LambdaEvent, service_fn};
use probes::{Error, INSERT, Queue};
use serde::de::IgnoredAny;
use serde_json::json;
use tokio_postgres::NoTls;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (client, connection) = tokio_postgres::connect(&std::env::var("DATABASE_URL")?, NoTls).await?;
    tokio::spawn(connection);
    let (insert, queue) = (client.prepare(INSERT).await?, Queue::from_env()?);
    let accept = async |_: LambdaEvent<IgnoredAny>| {
        client.execute(&insert, &[]).await?;
        queue.send().await?;
        Ok::<_, Error>(json!({"statusCode": 201, "headers": {}, "body": "accepted"}))
    };
    lambda_runtime::run(service_fn(accept)).await
}
