//! Fulfilment by webhook: what the merchant's endpoint is sent, and what its answers lead to; attempts and back-off.

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
use processor::{Config, ConfiguredWork, Processor};
use serde_json::{Value, json};
use tests::{World, failures, handle, order};
use tokio::net::TcpListener;

const SECRET: &str = "a-secret-of-the-merchant";

/// The calls that the endpoint got, in order.
type Journal = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// An endpoint on this machine that keeps a journal and answers by the order's id. Returns its URL.
async fn endpoint_by<F>(answer: impl Fn(String) -> F + Clone + Send + Sync + 'static) -> (String, Journal)
where
    F: Future<Output = Response> + Send + 'static,
{
    let journal = Journal::default();
    let told = Arc::clone(&journal);
    let take = post(move |headers: HeaderMap, body: Bytes| {
        let order_id = headers["idempotency-key"].to_str().unwrap().to_owned();
        told.lock().unwrap().push((headers, String::from_utf8(body.to_vec()).unwrap()));
        answer(order_id)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/fulfil", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().route("/fulfil", take)).await });
    (url, journal)
}

/// The same that always answers alike.
async fn endpoint(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> (String, Journal) {
    endpoint_by(move |_| std::future::ready(answer())).await
}

/// A world whose processor calls this endpoint.
async fn world(url: &str, more: &[(&str, &str)]) -> (World, Processor<ConfiguredWork>) {
    let webhook =
        [("WORK", "webhook"), ("WEBHOOK_URL", url), ("WEBHOOK_SECRET", SECRET), ("WEBHOOK_TIMEOUT_SECONDS", "1")];
    let world = World::with(&[&webhook, more].concat()).await;
    let processor = world.processor_with(Config::work(&world.env()).unwrap());
    (world, processor)
}

/// Places an order, has it attempted once and returns it.
async fn attempted(world: &World, processor: &Processor<ConfiguredWork>) -> Value {
    world.place("o-1").await;
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
async fn an_answer_that_no_retry_can_mend_fails_the_order() {
    let (url, journal) = endpoint(|| (StatusCode::FOUND, [("location", "/elsewhere")]).into_response()).await;
    let (world, processor) = world(&url, &[]).await;
    let order = attempted(&world, &processor).await;
    assert_eq!(order["failure"], "the fulfilment endpoint answered 302 Found");
    assert_eq!(journal.lock().unwrap().len(), 1);
    assert_eq!(world.dead_letters().await, 0);
}

#[tokio::test]
async fn a_failed_attempt_is_repeated_after_the_back_off() {
    let (url, journal) = endpoint(always(503)).await;
    let (world, processor) = world(&url, &[("RETRY_BASE_SECONDS", "3"), ("MAX_ATTEMPTS", "3")]).await;
    world.place("o-1").await;
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

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_slow_broken_or_gone_is_tried_again() {
    let (slow, _) = endpoint(|| {
        std::thread::sleep(Duration::from_millis(1500));
        StatusCode::OK.into_response()
    })
    .await;
    let broken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let broken_url = format!("http://{}/", broken.local_addr().unwrap());
    tokio::spawn(async move { while broken.accept().await.is_ok() {} });
    for (url, cause) in [
        (slow.as_str(), "did not answer in time"),
        (&broken_url, "did not answer properly"),
        ("http://127.0.0.1:1/", "can't be connected to"),
    ] {
        let (world, processor) = world(url, &[("MAX_ATTEMPTS", "1")]).await;
        let failure = attempted(&world, &processor).await["failure"].to_string();
        assert!(failure.contains(&format!("the fulfilment endpoint {cause}")), "{url}: {failure}");
    }
}

#[tokio::test]
async fn an_answer_of_any_size_is_cut_off_and_counts() {
    let (url, _) = endpoint(|| "x".repeat(50_000_000).into_response()).await;
    let (world, processor) = world(&url, &[]).await;
    assert_eq!(attempted(&world, &processor).await["status"], "completed");
}

#[tokio::test]
async fn an_order_is_given_up_only_once_its_dead_letter_is_there() {
    let (url, _) = endpoint(always(500)).await;
    let (world, _) = world(&url, &[("MAX_ATTEMPTS", "1")]).await;
    world.place("o-1").await;
    let env = world.env_with(("AWS_ENDPOINT_URL", "http://127.0.0.1:1"));
    let processor = Processor::new(Config::from_env(&env).unwrap(), Config::work(&env).unwrap(), &env).unwrap();
    assert_eq!(failures(&handle(&processor, &["o-1"]).await), ["m0"]);
    assert_eq!(world.status("o-1").await, "processing");
}
