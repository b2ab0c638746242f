//! Fulfilment by webhook: the requests to the merchant's endpoint, the effects of its answers, attempts and back-off.

mod answers;
mod batches;
mod signed;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use processor::{ConfiguredWork, Processor};
use sandbox::merchant::{Call, Merchant, Reply};
use serde_json::{Value, json};
use tests::{MERCHANT_SECRET as SECRET, World, failures, handle, order_with, webhook};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The call in the OpenAPI document.
fn documented() -> Value {
    serde_json::from_str::<Value>(site::OPENAPI).unwrap()["webhooks"]["fulfilOrder"]["post"].take()
}

/// Starts an endpoint that gives every order the same answer.
async fn endpoint(answer: impl Fn() -> Reply + Clone + Send + Sync + 'static) -> Merchant {
    Merchant::start(move |_| std::future::ready(Some(answer()))).await.unwrap()
}

/// A world whose processor calls this endpoint.
pub async fn world(url: &str, more: &[(&str, &str)]) -> (World, Processor<ConfiguredWork>) {
    let world = World::with(&[&webhook(url), more].concat()).await;
    let processor = world.processor_with(ConfiguredWork::from_env(&world.env()).unwrap());
    (world, processor)
}

/// Creates an order, processes it once and returns it.
pub async fn attempted(world: &World, processor: &Processor<ConfiguredWork>) -> Value {
    world.create("o-1").await;
    handle(processor, &["o-1"]).await;
    world.get("/orders/o-1").await.expect(200)
}

/// The URL of an endpoint that answers the first request of each connection and no further one, as if a firewall had dropped it.
async fn endpoint_of_single_answers() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"}") {
                    connection.read_buf(&mut request).await.unwrap();
                }
                connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                let _ = connection.read_to_end(&mut request).await;
            });
        }
    });
    url
}

/// Starts an endpoint that answers with the status that the order's id begins with.
pub async fn endpoint_of_statuses() -> Merchant {
    let status = |order_id: &str| order_id.split('-').next().unwrap().parse().unwrap();
    let answer = move |order_id: String| std::future::ready(Some(Reply::of(status(&order_id)).with("location", "/")));
    Merchant::start(answer).await.unwrap()
}

#[tokio::test]
async fn failed_attempt_is_retried_after_the_back_off() {
    let merchant = endpoint(|| Reply::of(503)).await;
    let (world, processor) = world(&merchant.url(), &[("RETRY_BASE_SECONDS", "30"), ("MAX_ATTEMPTS", "3")]).await;
    world.create("o-1").await;
    for (attempt, longest) in [(1, 30.0), (2, 60.0)] {
        assert!(failures(&handle(&processor, &["o-1"]).await).is_empty());
        assert_eq!(world.get("/orders/o-1").await.expect(200)["attempts"], attempt + 1);
        let wait = world.due_in("o-1").await;
        assert!(wait <= longest && wait > longest / 2.0 - 5.0, "{wait} s after attempt {attempt}");
        world.let_pass(longest).await;
    }
    assert!(failures(&handle(&processor, &["o-1"]).await).is_empty());
    let order = world.get("/orders/o-1").await.expect(200);
    assert_eq!(order["failure"], "given up after 3 attempts: the fulfilment endpoint answered 503 Service Unavailable");
    assert_eq!((&order["status"], &order["attempts"]), (&json!("failed"), &json!(3)));
    assert_eq!(world.receive_dead_letter().await.as_deref(), Some("o-1"));
    assert_eq!(merchant.calls().len(), 3);
}

#[tokio::test]
async fn connection_that_was_idle_is_not_used_again() {
    let (world, processor) = world(&endpoint_of_single_answers().await, &[("MAX_ATTEMPTS", "1")]).await;
    assert_eq!(attempted(&world, &processor).await["status"], "completed");
    tokio::time::sleep(Duration::from_millis(4100)).await;
    world.create("o-2").await;
    handle(&processor, &["o-2"]).await;
    assert_eq!(world.status("o-2").await, "completed");
}

#[tokio::test]
async fn order_that_is_unreadable_uses_up_its_attempts() {
    let merchant = endpoint(|| Reply::of(200)).await;
    let (world, processor) = world(&merchant.url(), &[("MAX_ATTEMPTS", "2")]).await;
    world.create("o-1").await;
    world.execute("UPDATE orders SET currency = 'XAU'").await;
    for _ in 0..2 {
        assert!(failures(&handle(&processor, &["o-1"]).await).is_empty());
        world.let_pass(600.0).await;
    }
    let failure: String = world.value("SELECT failure FROM orders").await;
    assert_eq!(failure, "given up after 2 attempts: the order could not be read");
    assert_eq!((world.receive_dead_letter().await.as_deref(), merchant.calls().len()), (Some("o-1"), 0));
}
