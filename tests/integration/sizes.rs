//! Sizes: every answer with the largest valid data is below Lambda's limit, and no valid order is too large.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tests::{Answer, World, call_in_process, event, get, post, walk};

use crate::matrix::routes;

/// The largest size of an event and of an answer in bytes, by Lambda's quotas.
const LAMBDA: usize = 6_291_556;
/// The largest characters: two bytes in JSON and four when that is quoted again, or four bytes of UTF-8.
const LARGE: [&str; 2] = ["\"", "𝄞"];
/// A number of largest orders that needs more than one page.
const ORDERS: usize = 24;

/// A world, and the routes that a test has called in it.
struct Calls {
    world: World,
    routes: BTreeSet<String>,
}

impl Calls {
    /// Calls the api and asserts the size of the answer.
    async fn call(&mut self, route: &str, request: Request<Body>) -> Answer {
        self.routes.insert(route.to_owned());
        let answer = self.world.call(request).await;
        let size = in_lambda(&answer);
        assert!(size < LAMBDA, "{route}: {size} bytes: {:.300}", answer.text);
        answer
    }

    async fn get(&mut self, route: &str, path: &str) -> Value {
        self.call(route, get(path)).await.expect(200)
    }
}

/// The approximate size of an answer in Lambda's format, in bytes.
fn in_lambda(answer: &Answer) -> usize {
    let headers: usize = answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 6).sum();
    json!(answer.text).to_string().len() + headers + 200
}

/// Inserts failed orders of the largest size, each with its own cause.
async fn insert_largest(world: &World, large: &str) {
    let insert = format!(
        "INSERT INTO orders (order_id, user_id, item_ids, total_amount, metadata, process_after, started_at, finished_at,
            attempts, failure)
        SELECT rpad('o-' || i || '-', 64, 'x'), repeat($${large}$$, 128), array_fill(repeat($${large}$$, 128), ARRAY[500]),
            999999999999.99, (
                SELECT jsonb_object_agg(key || repeat($${large}$$, 38), repeat($${large}$$, 500))
                FROM generate_series(1, 20) AS key
            ), now(), now(), now(), 5, i || repeat($${large}$$, 300)
        FROM generate_series(1, {ORDERS}) AS i"
    );
    world.execute(&insert).await;
}

/// Inserts as many retries as an order can have, each with the longest texts.
async fn insert_longest_history(world: &World, id: &str, large: &str) {
    let insert = format!(
        "INSERT INTO order_events (order_id, event, attempt, cause, started_at, finished_at, subject, client)
        SELECT '{id}', 'retried', 5, repeat($${large}$$, 300), now(), now(), repeat($${large}$$, 128), repeat($${large}$$, 255)
        FROM generate_series(1, 200)"
    );
    world.execute(&insert).await;
}

async fn call_every_route(calls: &mut Calls, large: &str) {
    insert_largest(&calls.world, large).await;
    for query in ["", "status=failed"] {
        let ids = walk(&format!("limit=200&{query}"), async |path| {
            let page = calls.get("GET /orders", path).await;
            assert!(page["orders"][0].is_object(), "{path}: the page is empty");
            page
        })
        .await;
        assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (ORDERS, ORDERS), "{query}");
    }
    let id = format!("{:x<64}", "o-7-");
    calls.get("GET /orders/{order_id}", &format!("/orders/{id}")).await;
    calls.get("GET /orders/{order_id}/status", &format!("/orders/{id}/status")).await;
    insert_longest_history(&calls.world, &id, large).await;
    let history = calls.get("GET /orders/{order_id}/history", &format!("/orders/{id}/history")).await;
    assert!(history["changes"].as_array().unwrap().len() > 600);
    let why = json!({"reason": large.repeat(500)});
    calls.call("POST /processing/pause", post("/processing/pause", &why)).await.expect(200);
    calls.get("GET /metrics", "/metrics").await;
    calls.call("POST /processing/resume", post("/processing/resume", &why)).await.expect(200);
    calls.get("GET /healthz", "/healthz").await;
    let none = json!({});
    calls.call("POST /orders/retry", post("/orders/retry", &none)).await.expect(200);
    calls.call("POST /orders/cancel", post("/orders/cancel", &none)).await.expect(200);
    calls.call("POST /orders/{order_id}/retry", post(&format!("/orders/{id}/retry"), &none)).await.expect(200);
    calls.call("POST /orders/{order_id}/cancel", post(&format!("/orders/{id}/cancel"), &none)).await.expect(200);
    calls.call("POST /users/{user_id}/erase", post("/users/nobody/erase", &none)).await.expect(200);
    calls.call("POST /dead-letters/redrive", post("/dead-letters/redrive", &none)).await.expect(200);
    let items = vec![large.repeat(128); 500];
    let metadata: serde_json::Map<_, _> =
        (0..20).map(|index| (format!("{index}{}", large.repeat(38)), json!(large.repeat(500)))).collect();
    let order = json!({"user_id": large.repeat(128), "item_ids": items, "total_amount": "999999999999.99", "metadata": metadata});
    calls.call("POST /orders", post("/orders", &order)).await.expect(201);
    for status in [201, 200] {
        let answer = calls.call("POST /orders/batch", post("/orders/batch", &largest_batch(large))).await.expect(200);
        assert_eq!((&answer["accepted"], &answer["results"][499]["status"]), (&json!(500), &json!(status)));
    }
}

/// A batch of 500 orders that is nearly as large as allowed.
fn largest_batch(large: &str) -> Value {
    let bytes = json!(large).to_string().len() - 2;
    let count = 2_560 * 1024 / 500 / (bytes * 128 + 3) - 1;
    let order = |i: usize| json!({"order_id": format!("batch-{i}"), "user_id": "a", "item_ids": vec![large.repeat(128); count], "total_amount": 1});
    let batch = json!({"orders": (0..500).map(order).collect::<Vec<_>>()});
    assert!((2_000_000..2_560 * 1024).contains(&batch.to_string().len()), "{}", batch.to_string().len());
    batch
}

#[tokio::test]
async fn answers_of_every_route_with_the_largest_data_fit_into_lambda() {
    for large in LARGE {
        let mut calls = Calls { world: World::new().await, routes: BTreeSet::new() };
        call_every_route(&mut calls, large).await;
        assert_eq!(calls.routes, routes::all().iter().map(ToString::to_string).collect());
    }
}

#[tokio::test]
async fn refusals_of_the_longest_input_fit_into_lambda() {
    let mut calls = Calls { world: World::new().await, routes: BTreeSet::new() };
    let unknown =
        |name: usize, large: &str| (0..name).map(|i| (format!("{i}{}", large.repeat(64)), json!(0))).collect();
    for large in ["\"", "\u{1}"] {
        let members: serde_json::Map<_, _> = unknown(20, large);
        let count = (2_500_000 / json!(members).to_string().len()).min(500);
        let unknown_names = json!({"orders": vec![json!(members); count]});
        let bytes = json!(large).to_string().len() - 2;
        let one_name = json!({large.repeat(1_000_000 / bytes): 0});
        let one_text = json!({"orders": [large.repeat(2_500_000 / bytes)]});
        for (path, body, status) in [
            ("/orders/batch", &unknown_names, 200),
            ("/orders/batch", &one_text, 200),
            ("/orders/batch", &one_name, 422),
            ("/orders", &one_name, 422),
            ("/orders", &json!(large.repeat(1_000_000 / bytes)), 400),
            ("/orders/retry", &one_name, 422),
            ("/dead-letters/redrive", &one_name, 422),
            ("/processing/pause", &one_name, 422),
        ] {
            calls.call(path, post(path, body)).await.expect(status);
        }
    }
    let bad_items = json!({"user_id": "a", "item_ids": vec![""; 500], "total_amount": 1});
    let answer = calls.call("/orders/batch", post("/orders/batch", &json!({"orders": vec![bad_items; 500]}))).await;
    assert_eq!(answer.expect(200)["results"][0]["problem"]["errors"].as_array().unwrap().len(), 20);
    let query = (0..2000).map(|i| format!("a{i}=%22")).collect::<Vec<_>>().join("&");
    calls.call("/orders", get(&format!("/orders?{query}"))).await.problem(422);
}

#[tokio::test]
async fn pages_fit_into_lambda() {
    let site = site::router(site::SiteConfig::default());
    for path in ["/openapi.json", "/docs/swagger-ui-bundle.js", "/docs/problems", "/dashboard/index.html"] {
        let answer = call_in_process(&site, None, get(path)).await;
        assert!(answer.status == 200 && in_lambda(&answer) < LAMBDA, "{path}: {}", in_lambda(&answer));
    }
}

/// A body that escapes every character of every value.
fn escaped_body() -> String {
    let item = format!("\"{}\"", "\\ud834\\udd1e".repeat(128));
    let (id, items) = ("\\u0061".repeat(64), vec![item.as_str(); 500].join(","));
    let value = "\\ud834\\udd1e".repeat(500);
    let entry = |index: usize| format!("\"{}{}\":\"{value}\"", "\\ud834\\udd1e".repeat(38), 10 + index);
    let metadata = (0..20).map(entry).collect::<Vec<_>>().join(",");
    format!(
        "{{\"order_id\":\"{id}\",\"user_id\":{item},\"item_ids\":[{items}],\"total_amount\":\"999999999999.99\",\
        \"currency\":\"\\u0045UR\",\"metadata\":{{{metadata}}},\"process_after\":\"2026-01-01T00:00:00.000000000+00:00\"}}"
    )
}

#[tokio::test]
async fn largest_valid_order_in_escapes_is_accepted() {
    let body = escaped_body();
    assert!(body.len() > 890_000, "{}", body.len());
    let request = Request::post("/orders").header("content-type", "application/json").body(Body::from(body)).unwrap();
    World::new().await.call(request).await.expect(201);
}

/// A body of this size with the largest event: a quotation mark takes two bytes in the body and four in the event.
fn quoted(path: &str, bytes: usize) -> Request<Body> {
    post(path, &json!("x".repeat(bytes % 2) + &"\"".repeat(bytes / 2 - 1)))
}

#[tokio::test]
async fn largest_body_fits_into_lambda_and_a_larger_one_is_refused() {
    let world = World::new().await;
    for (path, bytes, limit) in [
        ("/orders", 1 << 20, "1024 KiB"),
        ("/orders/retry", 1 << 20, "1024 KiB"),
        ("/orders/batch", 2560 << 10, "2560 KiB"),
    ] {
        let size = event(Some(("a", "orders/write")), quoted(path, bytes)).await.to_string().len();
        assert!((2 * bytes..LAMBDA - 20_000).contains(&size), "{path}: {size}");
        assert_ne!(world.call(quoted(path, bytes)).await.status, 413, "{path}");
        let problem = world.call(quoted(path, bytes + 1)).await.problem(413);
        assert!(problem["detail"].as_str().unwrap().contains(limit), "{problem}");
    }
}
