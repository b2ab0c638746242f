//! The time of the next call after an answer: `Retry-After` in every form, the back-off, and the longest wait.

use axum::body::{Body, Bytes};
use futures_util::{StreamExt, stream};
use std::time::Instant;

use super::*;

const WEEK: f64 = 7.0 * 86400.0;

/// An answer with `Retry-After`.
fn later(status: u16, retry_after: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), [("retry-after", retry_after.to_owned())]).into_response()
}

/// The forms of `Retry-After`: the id of an order, the value in its answer, and the least and the most seconds to wait.
fn forms() -> Vec<(&'static str, Option<String>, [f64; 2])> {
    let in_a_minute = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_mins(1));
    let back_off = [2.5, 5.0];
    vec![
        ("seconds", Some("30".to_owned()), [30.0; 2]),
        ("decimal", Some("10.5".to_owned()), [11.0; 2]),
        ("date", Some(in_a_minute), [50.0, 61.0]),
        ("overflow", Some("99999999999999999999".to_owned()), [86400.0; 2]),
        ("long", Some("864000".to_owned()), [86400.0; 2]),
        ("two", Some("60, 120".to_owned()), back_off),
        ("text", Some("soon".to_owned()), back_off),
        ("absent", None, back_off),
    ]
}

/// Processes orders that are answered with this status and every form of `Retry-After`. Asserts how long they wait.
async fn check_waits(status: u16) -> World {
    let (url, _) = endpoint_by(move |order_id| async move {
        let (_, value, _) = forms().into_iter().find(|(form, ..)| *form == order_id).unwrap();
        value.map_or_else(always(status), |value| later(status, &value))
    })
    .await;
    let (world, processor) = world(&url, &[]).await;
    let orders: Vec<_> = forms().iter().map(|(form, ..)| *form).collect();
    for order in &orders {
        world.create(order).await;
    }
    assert!(failures(&handle(&processor, &orders).await).is_empty());
    for (form, _, [least, most]) in forms() {
        assert_eq!(world.status(form).await, "processing", "{status} with {form}");
        let wait = due_in(&world, form).await;
        assert!((least - 5.0..=most).contains(&wait) && wait > 0.0, "{status} with {form}: {wait} s");
    }
    world
}

#[tokio::test]
async fn answer_202_waits_with_every_form_of_retry_after() {
    let world = check_waits(202).await;
    assert_eq!(world.value::<i64>("SELECT sum(attempts)::bigint FROM order_work").await, 0);
    assert_eq!(world.get("/orders/seconds/status").await.header("retry-after"), "30");
}

#[tokio::test]
async fn answer_503_or_429_is_not_retried_before_its_retry_after() {
    for status in [503, 429] {
        let world = check_waits(status).await;
        assert_eq!(world.value::<i64>("SELECT min(attempts)::bigint FROM order_work").await, 1);
    }
}

#[tokio::test]
async fn calls_for_an_order_are_a_second_apart() {
    let (url, journal) = endpoint(|| later(202, "0")).await;
    let (world, processor) = world(&url, &[]).await;
    world.create("o-1").await;
    let begun = Instant::now();
    for _ in 0..10 {
        handle(&processor, &["o-1"]).await;
    }
    let most = 1 + begun.elapsed().as_secs();
    let calls = u64::try_from(journal.lock().unwrap().len()).unwrap();
    assert!(calls <= most, "{calls} calls in {:?}", begun.elapsed());
    world.let_pass(1.0).await;
    handle(&processor, &["o-1"]).await;
    assert_eq!(u64::try_from(journal.lock().unwrap().len()).unwrap(), calls + 1);
}

#[tokio::test]
async fn endless_wait_fails_the_order_after_a_week() {
    let (url, journal) = endpoint(|| later(202, "86400")).await;
    let (world, processor) = world(&url, &[]).await;
    assert_eq!(attempted(&world, &processor).await["status"], "processing");
    world.let_pass(WEEK - 60.0).await;
    handle(&processor, &["o-1"]).await;
    assert_eq!(world.status("o-1").await, "processing");
    world.let_pass(86400.0).await;
    handle(&processor, &["o-1"]).await;
    let order = world.get("/orders/o-1").await.expect(200);
    assert_eq!(order["failure"], "given up after 7 days of waiting");
    assert_eq!(world.receive_dead_letter().await.as_deref(), Some("o-1"));
    assert_eq!(journal.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn answer_counts_while_its_body_drips() {
    let (url, _) = endpoint(|| {
        let drops = stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"{")) });
        Response::new(Body::from_stream(drops.chain(stream::pending())))
    })
    .await;
    let (world, processor) = world(&url, &[("WEBHOOK_TIMEOUT_SECONDS", "5")]).await;
    world.create("o-1").await;
    let begun = Instant::now();
    handle(&processor, &["o-1"]).await;
    assert_eq!(world.status("o-1").await, "completed");
    assert!(begun.elapsed() < Duration::from_secs(4), "the processor waited for the body: {:?}", begun.elapsed());
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
    let (url, _) = endpoint_by(|order_id| async move { always(order_id[2..].parse().unwrap())() }).await;
    let (world, processor) = world(&url, &[("MAX_ATTEMPTS", "2"), ("RETRY_BASE_SECONDS", "1")]).await;
    let orders = ["o-401", "o-403", "o-404", "o-423", "o-410"];
    for order in orders {
        world.create(order).await;
    }
    handle(&processor, &orders).await;
    for order in orders {
        assert_eq!(world.status(order).await, if order == "o-410" { "failed" } else { "processing" }, "{order}");
    }
    world.let_pass(2.0).await;
    handle(&processor, &orders).await;
    assert_eq!(world.value::<i64>("SELECT count(*) FROM orders WHERE failure IS NOT NULL").await, 5);
    let report = world.post("/orders/retry", &documented_retry()).await.expect(200);
    assert_eq!((&report["matched"], &report["retried"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(world.status("o-401").await, "pending");
}

#[tokio::test]
async fn documented_causes_are_the_stored_ones() {
    let document = std::fs::read_to_string("../docs/webhook.md").unwrap().replace('\n', " ");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("http://{}/", silent.local_addr().unwrap());
    let broken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let broken_url = format!("http://{}/", broken.local_addr().unwrap());
    tokio::spawn(async move { while broken.accept().await.is_ok() {} });
    let (unavailable, _) = endpoint(always(503)).await;
    for (url, cause) in [
        (silent_url.as_str(), "the fulfilment endpoint did not answer in time"),
        (&broken_url, "the fulfilment endpoint did not answer properly"),
        ("http://127.0.0.1:1/", "the fulfilment endpoint can't be connected to"),
        (&unavailable, "the fulfilment endpoint answered 503"),
    ] {
        assert!(document.contains(&format!("`{cause}`")), "{cause} is not documented");
        let (world, processor) = world(url, &[("MAX_ATTEMPTS", "1")]).await;
        let failure = attempted(&world, &processor).await["failure"].to_string();
        assert!(failure.contains(cause), "{url}: {failure}");
    }
    drop(silent);
}
