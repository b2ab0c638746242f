//! The time of the next call after an answer: `Retry-After`, the back-off, and the longest wait.

use std::time::Instant;

use sandbox::server::silent;

use super::*;

const WEEK: f64 = 7.0 * 86400.0;

/// An answer with `Retry-After`.
fn later(status: u16, retry_after: &str) -> Reply {
    Reply::of(status).with("retry-after", retry_after)
}

#[tokio::test]
async fn next_call_waits_until_the_retry_after() {
    let answer = async |order_id: String| Some(later(order_id.parse().unwrap(), "30"));
    let merchant = Merchant::start(answer).await.unwrap();
    let (world, processor) = world(&merchant.url(), &[]).await;
    for (status, attempts) in [("202", 0), ("429", 1), ("503", 1)] {
        world.create(status).await;
        assert!(failures(&handle(&processor, &[status]).await).is_empty());
        assert_eq!(world.status(status).await, "processing", "{status}");
        let wait = world.due_in(status).await;
        assert!((25.0..=30.0).contains(&wait), "{status}: {wait} s");
        let sql = format!("SELECT attempts::bigint FROM order_work WHERE order_id = '{status}'");
        assert_eq!(world.value::<i64>(&sql).await, attempts, "{status}");
        world.assert_retry_after_is_due_time(status).await;
    }
}

#[tokio::test]
async fn endless_wait_fails_the_order_after_a_week() {
    let merchant = endpoint(|| later(202, "86400")).await;
    let (world, processor) = world(&merchant.url(), &[]).await;
    assert_eq!(attempted(&world, &processor).await["status"], "processing");
    world.let_pass(WEEK - 60.0).await;
    handle(&processor, &["o-1"]).await;
    assert_eq!(world.status("o-1").await, "processing");
    world.let_pass(86400.0).await;
    handle(&processor, &["o-1"]).await;
    let order = world.get("/orders/o-1").await.expect(200);
    assert_eq!(order["failure"], "given up after 7 days of waiting");
    assert_eq!(world.receive_dead_letter().await.as_deref(), Some("o-1"));
    assert_eq!(merchant.calls().len(), 3);
}

#[tokio::test]
async fn answer_counts_before_the_end_of_its_body() {
    let large = Reply { body: vec![b'x'; 50_000_000].into(), ..Reply::of(200) };
    let dripping = Reply { drip: Some(Duration::from_secs(1)), ..Reply::of(200) };
    for answer in [large, dripping] {
        let merchant = endpoint(move || answer.clone()).await;
        let (world, processor) = world(&merchant.url(), &[("WEBHOOK_TIMEOUT_SECONDS", "5")]).await;
        let begun = Instant::now();
        assert_eq!(attempted(&world, &processor).await["status"], "completed");
        assert!(begun.elapsed() < Duration::from_secs(4), "the processor waited for the body: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn answers_have_the_effects_of_the_openapi_document() {
    let merchant = endpoint_of_statuses().await;
    let (world, processor) = world(&merchant.url(), &[]).await;
    let answers = &documented()["responses"];
    let statuses: Vec<_> =
        [200..=206, 299..=308, 400..=431, 451..=451, 500..=504, 599..=599].into_iter().flatten().collect();
    for status in &statuses {
        let id = status.to_string();
        world.create(&id).await;
        handle(&processor, &[&id]).await;
        let attempts = format!("SELECT coalesce(sum(attempts), 0) FROM order_work WHERE order_id = '{id}'");
        let effect = match (world.status(&id).await.as_str(), world.value::<i64>(&attempts).await) {
            ("completed", _) => "The order is completed",
            ("failed", _) => "The order fails",
            (_, 0) => "The order waits",
            _ => "The order is retried",
        };
        let keys = [id.clone(), format!("{}XX", status / 100), "default".to_owned()];
        let answer = keys.iter().find_map(|key| answers.get(key)).unwrap();
        assert!(answer["description"].as_str().unwrap().starts_with(effect), "{id}: {effect}: {answer}");
    }
    assert_eq!(merchant.calls().len(), statuses.len(), "no redirect is followed");
    assert_eq!(world.dead_letters().await, 0, "no attempts are used up");
}

/// The body of the document's first call of `POST /orders/retry`.
fn documented_retry() -> Value {
    let document = std::fs::read_to_string("../docs/webhook.md").unwrap();
    let (_, call) = document.split_once("\"$API_URL/orders/retry\"").unwrap();
    let json = call.split_once("-d '").and_then(|(_, rest)| rest.split_once('\'')).unwrap().0;
    serde_json::from_str(json).unwrap()
}

#[tokio::test]
async fn documented_call_recovers_from_a_mistake_of_the_merchant() {
    let merchant = endpoint_of_statuses().await;
    let (world, processor) = world(&merchant.url(), &[("MAX_ATTEMPTS", "2"), ("RETRY_BASE_SECONDS", "1")]).await;
    let orders = ["401", "403", "404", "423", "410"];
    for order in orders {
        world.create(order).await;
    }
    handle(&processor, &orders).await;
    for order in orders {
        assert_eq!(world.status(order).await, if order == "410" { "failed" } else { "processing" }, "{order}");
    }
    world.let_pass(2.0).await;
    handle(&processor, &orders).await;
    assert_eq!(world.value::<i64>("SELECT count(*) FROM orders WHERE failure IS NOT NULL").await, 5);
    let report = world.post("/orders/retry", &documented_retry()).await.expect(200);
    assert_eq!((&report["matched"], &report["retried"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(world.status("401").await, "pending");
}

#[tokio::test]
async fn documented_causes_are_the_stored_ones() {
    let document = std::fs::read_to_string("../docs/webhook.md").unwrap().replace('\n', " ");
    let (_silent, silent_url) = silent().await.unwrap();
    let no_handshake_url = silent_url.replace("http", "https");
    let broken = Merchant::start(async |_| None).await.unwrap();
    let merchant = endpoint(|| Reply::of(503)).await;
    for (url, cause) in [
        (silent_url.as_str(), "the fulfilment endpoint did not answer in time"),
        (&broken.url(), "the fulfilment endpoint did not answer properly"),
        ("http://127.0.0.1:1/", "the fulfilment endpoint can't be connected to"),
        (&no_handshake_url, "the fulfilment endpoint can't be connected to"),
        (&merchant.url(), "the fulfilment endpoint answered 503"),
    ] {
        assert!(document.contains(&format!("`{cause}`")), "{cause} is not documented");
        let patience = if url == silent_url { "1" } else { "5" };
        let variables = [("MAX_ATTEMPTS", "1"), ("WEBHOOK_TIMEOUT_SECONDS", patience)];
        let (world, processor) = world(url, &variables).await;
        let failure = attempted(&world, &processor).await["failure"].to_string();
        assert!(failure.contains(cause), "{url}: {failure}");
    }
}
