//! The metrics that the functions write into their logs for CloudWatch.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use sandbox::runtime::{Environment, Function};
use serde_json::Value;
use tests::{World, eventually};
use tokio::net::TcpListener;

use crate::environments::function_with;
use crate::slow::messages;

/// Starts a function of this world with the log format of AWS.
async fn start(world: &World, logical_id: &str, variables: &[(&str, &str)], log: &Path) -> Environment {
    let as_on_aws = [("AWS_LAMBDA_LOG_FORMAT", "JSON"), ("STACK", "ordermill-prod")];
    let variables: Vec<_> = as_on_aws.iter().chain(variables).copied().collect();
    let function = function_with(world, logical_id, logical_id, &variables);
    let function = Function { timeout: Duration::from_secs(30), log: Some(log.to_owned()), ..function };
    Environment::start(&function, logical_id.to_owned()).await.unwrap()
}

/// The sum of a metric over all lines of a log, or `None` if no line contains it.
fn total(log: &str, metric: &str) -> Option<f64> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let metrics = lines.filter(|line| {
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        directive["Namespace"] == "Ordermill"
            && directive["Dimensions"][0][0] == "Stack"
            && line["Stack"] == "ordermill-prod"
    });
    let values = metrics.filter_map(|line| sum(line.get(metric)?));
    values.reduce(|one, other| one + other)
}

/// The sum of a metric's value: a number, a list of numbers, or values with counts.
fn sum(value: &Value) -> Option<f64> {
    let list = |value: &Value| value.as_array().map(|all| all.iter().filter_map(Value::as_f64).collect::<Vec<_>>());
    if let (Some(values), Some(counts)) = (list(&value["Values"]), list(&value["Counts"])) {
        return Some(values.iter().zip(counts).map(|(value, count)| value * count).sum());
    }
    value.as_f64().or_else(|| list(value).map(|values| values.iter().sum()))
}

async fn expect(log: &Path, metric: &str, range: Range<f64>) {
    eventually(&format!("{metric} is written"), Duration::from_secs(15), async || {
        total(&std::fs::read_to_string(log).unwrap(), metric).filter(|value| range.contains(value))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn sweeper_writes_the_metrics_of_overdue_orders() {
    let world = World::new().await;
    let log = tempfile::NamedTempFile::new().unwrap();
    world.create("o-1").await;
    world.let_pass(400.0).await;
    let sweeper = start(&world, "SweeperFunction", &[], log.path()).await;
    sweeper.invoke("{}".into()).await.unwrap();
    expect(log.path(), "OldestOverdue", 400.0..430.0).await;
    expect(log.path(), "OrdersRequeued", 1.0..2.0).await;
}

/// Starts a fulfilment endpoint that refuses one order, and returns its URL.
async fn endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let fulfil = post(
        async |headers: HeaderMap| {
            if headers["idempotency-key"] == "o-2" { StatusCode::BAD_REQUEST } else { StatusCode::OK }
        },
    );
    tokio::spawn(async { axum::serve(listener, Router::new().route("/", fulfil)).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn processor_writes_the_metrics_of_ended_orders() {
    let world = World::new().await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let ids = ["o-1", "o-2", "o-3"];
    for id in ids {
        world.create(id).await;
    }
    let url = endpoint().await;
    let webhook = [("WORK", "webhook"), ("WEBHOOK_URL", url.as_str()), ("WEBHOOK_SECRET", "a-secret-of-some-length")];
    let processor = start(&world, "ProcessorFunction", &webhook, log.path()).await;
    processor.invoke(messages(&ids)).await.unwrap();
    expect(log.path(), "OrdersFailed", 1.0..2.0).await;
    expect(log.path(), "OrdersCompleted", 2.0..3.0).await;
}
