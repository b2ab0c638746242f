//! Fulfilment by webhook: what the merchant's endpoint is told, and what its answers lead to; attempts and back-off.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use processor::{Config, ConfiguredWork, Outcome, Processor, Work};
use serde_json::{Value, json};
use sha2::Sha256;
use shared::db::Db;
use shared::db::work::Claimed;
use shared::deadline::Deadline;
use tests::{World, failures, handle};
use tokio::net::TcpListener;

const SECRET: &str = "a secret of the merchant's";

/// What the endpoint was told, in order.
type Journal = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// An endpoint on this machine that keeps a journal and always answers the same; gives its URL.
async fn endpoint(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> (String, Journal) {
    let journal = Journal::default();
    let told = Arc::clone(&journal);
    let take = post(move |headers: HeaderMap, body: Bytes| async move {
        told.lock().unwrap().push((headers, String::from_utf8(body.to_vec()).unwrap()));
        answer()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/fulfil", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().route("/fulfil", take)).await });
    (url, journal)
}

/// A world whose processor calls this endpoint.
async fn world(url: &str, more: &[(&str, &str)]) -> (World, Processor<ConfiguredWork>) {
    let webhook =
        [("WORK", "webhook"), ("WEBHOOK_URL", url), ("WEBHOOK_SECRET", SECRET), ("WEBHOOK_TIMEOUT_SECONDS", "1")];
    let world = World::with(&[&webhook, more].concat()).await;
    let processor = world.processor_with(Config::work(&world.env()).unwrap());
    (world, processor)
}

/// Places an order, has it attempted once and gives it.
async fn attempted(world: &World, processor: &Processor<ConfiguredWork>) -> Value {
    world.place("o-1").await;
    handle(processor, &["o-1"]).await;
    world.get("/orders/o-1").await.expect(200)
}

fn always(status: u16) -> impl Fn() -> Response + Clone {
    move || StatusCode::from_u16(status).unwrap().into_response()
}

#[tokio::test]
async fn the_endpoint_is_told_of_the_order_signed_and_with_its_idempotency_key() {
    let (url, journal) = endpoint(always(204)).await;
    let (world, processor) = world(&url, &[]).await;
    let order = attempted(&world, &processor).await;
    assert_eq!((&order["status"], &order["attempts"]), (&json!("completed"), &json!(1)));
    let (headers, body) = journal.lock().unwrap().pop().unwrap();
    assert_eq!(headers["idempotency-key"], "o-1");
    let signature = headers["ordermill-signature"].to_str().unwrap();
    let (time, code) = signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(format!("{time}.{body}"));
    let code: Vec<u8> =
        (0..code.len()).step_by(2).map(|at| u8::from_str_radix(&code[at..at + 2], 16).unwrap()).collect();
    mac.verify_slice(&code).unwrap();
    let told: Value = serde_json::from_str(&body).unwrap();
    let known = json!({
        "order_id": "o-1", "user_id": "alice", "item_ids": ["book-1", "pen-7"], "total_amount": "59.98",
        "created_at": order["created_at"], "attempt": 1
    });
    assert_eq!(told, known);
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
async fn an_endpoint_that_asks_for_time_is_told_again_when_it_is_over() {
    let (url, _) = endpoint(|| (StatusCode::ACCEPTED, [("retry-after", "30")]).into_response()).await;
    let (world, processor) = world(&url, &[]).await;
    let order = attempted(&world, &processor).await;
    assert_eq!((&order["status"], &order["attempts"]), (&json!("processing"), &json!(1)));
    assert_eq!(world.get("/orders/o-1/status").await.header("retry-after"), "30");
}

#[tokio::test]
async fn a_failed_attempt_is_tried_again_with_the_same_message_after_the_backoff() {
    let (url, journal) = endpoint(always(503)).await;
    let (world, processor) = world(&url, &[("RETRY_BASE_SECONDS", "1"), ("MAX_ATTEMPTS", "3")]).await;
    world.place("o-1").await;
    for attempt in 1..=2 {
        let response = processor.handle(world.deliver().await).await;
        assert_eq!(failures(&response), ["m0"], "attempt {attempt}");
        assert_eq!(world.get("/orders/o-1").await.expect(200)["attempts"], attempt + 1);
    }
    assert!(failures(&processor.handle(world.deliver().await).await).is_empty());
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

/// Work that never ends.
struct Endless;

impl Work for Endless {
    async fn run(&self, _: &Claimed, _: &Db, _: Deadline) -> Outcome {
        std::future::pending().await
    }
}

#[tokio::test]
async fn what_there_is_no_time_for_is_released_at_once_and_burns_no_attempt() {
    let world = World::with(&[("FUNCTION_TIMEOUT_SECONDS", "4")]).await;
    world.place("o-1").await;
    let response = world.processor_with(Endless).handle(world.deliver().await).await;
    assert_eq!(failures(&response), ["m0"]);
    assert_eq!(world.receive().await.as_deref(), Some("o-1"));
    assert!(failures(&handle(&world.processor(Duration::ZERO), &["o-1"]).await).is_empty());
    assert_eq!(world.get("/orders/o-1").await.expect(200)["attempts"], 1);
}
