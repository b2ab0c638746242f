//! Fulfilment by webhook: the requests to the merchant's endpoint, the effects of its answers, attempts and back-off.

mod answers;
mod batches;
mod signed;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use processor::{ConfiguredWork, Processor, ProcessorConfig};
use serde_json::{Value, json};
use tests::{World, failures, handle, order};
use tokio::net::TcpListener;

const SECRET: &str = "a-secret-of-the-merchant";

/// The calls that the endpoint received, in order.
type Journal = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// Starts an endpoint that keeps a journal and answers by the order's id. Returns its URL and the journal.
async fn endpoint_by<F>(answer: impl Fn(String) -> F + Clone + Send + Sync + 'static) -> (String, Journal)
where
    F: Future<Output = Response> + Send + 'static,
{
    let journal = Journal::default();
    let received = Arc::clone(&journal);
    let handler = post(move |headers: HeaderMap, body: Bytes| {
        let order_id = headers["idempotency-key"].to_str().unwrap().to_owned();
        received.lock().unwrap().push((headers, String::from_utf8(body.to_vec()).unwrap()));
        answer(order_id)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/fulfil", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().route("/fulfil", handler)).await });
    (url, journal)
}

/// Starts an endpoint that gives every order the same answer.
async fn endpoint(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> (String, Journal) {
    endpoint_by(move |_| std::future::ready(answer())).await
}

/// A world whose processor calls this endpoint.
async fn world(url: &str, more: &[(&str, &str)]) -> (World, Processor<ConfiguredWork>) {
    let webhook =
        [("WORK", "webhook"), ("WEBHOOK_URL", url), ("WEBHOOK_SECRET", SECRET), ("WEBHOOK_TIMEOUT_SECONDS", "1")];
    let world = World::with(&[&webhook, more].concat()).await;
    let processor = world.processor_with(ProcessorConfig::work(&world.env()).unwrap());
    (world, processor)
}

/// Creates an order, processes it once and returns it.
async fn attempted(world: &World, processor: &Processor<ConfiguredWork>) -> Value {
    world.create("o-1").await;
    handle(processor, &["o-1"]).await;
    world.get("/orders/o-1").await.expect(200)
}

/// The seconds until an order is due.
async fn due_in(world: &World, order_id: &str) -> f64 {
    let sql =
        format!("SELECT extract(epoch FROM due_at - now())::float8 FROM order_work WHERE order_id = '{order_id}'");
    world.value(&sql).await
}

fn always(status: u16) -> impl Fn() -> Response + Clone {
    move || StatusCode::from_u16(status).unwrap().into_response()
}

#[tokio::test]
async fn permanent_refusal_fails_the_order() {
    let (url, journal) = endpoint(|| (StatusCode::FOUND, [("location", "/elsewhere")]).into_response()).await;
    let (world, processor) = world(&url, &[]).await;
    let order = attempted(&world, &processor).await;
    assert_eq!(order["failure"], "the fulfilment endpoint answered 302 Found");
    assert_eq!(journal.lock().unwrap().len(), 1);
    assert_eq!(world.dead_letters().await, 0);
}

#[tokio::test]
async fn failed_attempt_is_retried_after_the_back_off() {
    let (url, journal) = endpoint(always(503)).await;
    let (world, processor) = world(&url, &[("RETRY_BASE_SECONDS", "3"), ("MAX_ATTEMPTS", "3")]).await;
    world.create("o-1").await;
    for (attempt, longest) in [(1, 3.0), (2, 6.0)] {
        assert!(failures(&handle(&processor, &["o-1"]).await).is_empty());
        assert_eq!(world.get("/orders/o-1").await.expect(200)["attempts"], attempt + 1);
        let wait = due_in(&world, "o-1").await;
        assert!(wait <= longest && wait > longest / 2.0 - 1.0, "{wait} s after attempt {attempt}");
        world.let_pass(longest).await;
    }
    assert!(failures(&handle(&processor, &["o-1"]).await).is_empty());
    let order = world.get("/orders/o-1").await.expect(200);
    assert_eq!(order["failure"], "given up after 3 attempts: the fulfilment endpoint answered 503 Service Unavailable");
    assert_eq!((&order["status"], &order["attempts"]), (&json!("failed"), &json!(3)));
    assert_eq!(world.receive_dead_letter().await.as_deref(), Some("o-1"));
    assert_eq!(journal.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn large_answer_is_cut_off_and_counts() {
    let (url, _) = endpoint(|| "x".repeat(50_000_000).into_response()).await;
    let (world, processor) = world(&url, &[]).await;
    assert_eq!(attempted(&world, &processor).await["status"], "completed");
}

#[tokio::test]
async fn order_fails_only_after_its_dead_letter_is_sent() {
    let (url, _) = endpoint(always(500)).await;
    let (world, _) = world(&url, &[("MAX_ATTEMPTS", "1")]).await;
    world.create("o-1").await;
    let env = world.env_with(("AWS_ENDPOINT_URL", "http://127.0.0.1:1"));
    let processor =
        Processor::new(ProcessorConfig::from_env(&env).unwrap(), ProcessorConfig::work(&env).unwrap(), &env).unwrap();
    assert_eq!(failures(&handle(&processor, &["o-1"]).await), ["m0"]);
    assert_eq!(world.status("o-1").await, "processing");
}
