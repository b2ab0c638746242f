//! The metrics that the functions write into their logs for CloudWatch.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tests::{NO_AWS, World, event, eventually, order, post, webhook};

use crate::environments::start_logged;
use crate::fulfilling::endpoint_of_statuses;
use crate::slow::messages;

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

/// Waits until the log of a function has this metric within this range.
pub async fn expect(log: &Path, metric: &str, range: Range<f64>) {
    eventually(&format!("{metric} is written"), Duration::from_secs(15), async || {
        total(&std::fs::read_to_string(log).unwrap(), metric).filter(|value| range.contains(value))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn api_writes_the_metrics_of_created_orders() {
    let world = World::new().await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let api = start_logged(&world, "ApiFunction", &[NO_AWS], log.path()).await.unwrap();
    let orders = serde_json::json!({"orders": [order("o-2"), order("o-3")]});
    for request in [post("/orders", &order("o-1")), post("/orders", &order("o-1")), post("/orders/batch", &orders)] {
        api.invoke(event(Some(("alice", "orders/write")), request).await.to_string().into()).await.unwrap();
    }
    // A repeat sends the message again.
    expect(log.path(), "OrdersUnsent", 4.0..5.0).await;
    expect(log.path(), "OrdersAccepted", 3.0..4.0).await;
    expect(log.path(), "OrdersReplayed", 1.0..2.0).await;
    expect(log.path(), "DatabaseRoundTrip", 0.01..10_000.0).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn sweeper_writes_the_metrics_of_overdue_orders() {
    let world = World::new().await;
    let log = tempfile::NamedTempFile::new().unwrap();
    world.create("o-1").await;
    world.let_pass(400.0).await;
    let sweeper = start_logged(&world, "SweeperFunction", &[], log.path()).await.unwrap();
    sweeper.invoke("{}".into()).await.unwrap();
    expect(log.path(), "OldestOverdue", 400.0..430.0).await;
    expect(log.path(), "OrdersRequeued", 1.0..2.0).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn processor_writes_the_metrics_of_ended_orders() {
    let world = World::new().await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let ids = ["200", "204", "400", "503", "deleted"];
    for id in &ids[..4] {
        world.create(id).await;
    }
    let merchant = endpoint_of_statuses().await;
    let url = merchant.url();
    let processor = start_logged(&world, "ProcessorFunction", &webhook(&url), log.path()).await.unwrap();
    // The environment's only batch is counted, too.
    processor.invoke(messages(&ids)).await.unwrap();
    expect(log.path(), "OrdersFailed", 1.0..2.0).await;
    expect(log.path(), "OrdersRetried", 1.0..2.0).await;
    expect(log.path(), "OrdersEndedBefore", 1.0..2.0).await;
    expect(log.path(), "OrdersCompleted", 2.0..3.0).await;
    expect(log.path(), "ClaimToFinish", 0.01..30_000.0).await;
    expect(log.path(), "DatabaseRoundTrip", 0.01..10_000.0).await;
}
