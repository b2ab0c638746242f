//! Unusual but legitimate input of clients and tools: other forms of values, methods, headers and claims.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request};
use processor::Outcome;
use serde_json::{Value, json};
use tests::{Ends, World, call_in_process, event, handle, invoke, order, post};

fn request(method: Method, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
}

async fn world_with_failed(order_id: &str) -> World {
    let world = World::new().await;
    world.create(order_id).await;
    handle(&world.processor_with(Ends(|_: &str| Outcome::Fail("out of stock".to_owned()))), &[order_id]).await;
    world
}

#[tokio::test]
async fn null_order_id_and_trailing_zeros_are_accepted() {
    let world = World::new().await;
    let mut body = order("");
    (body["order_id"], body["total_amount"]) = (Value::Null, "36.4000".into());
    let created = world.post("/orders", &body).await.expect(201);
    assert_eq!((created["order_id"].as_str().unwrap().len(), &created["total_amount"]), (36, &json!("36.40")));
    body["total_amount"] = "36.4001".into();
    world.post("/orders", &body).await.problem(422);
}

#[tokio::test]
async fn dots_are_not_an_order_id() {
    let world = world_with_failed("o-1").await;
    for id in [".", ".."] {
        assert_eq!(world.post("/orders", &order(id)).await.problem(422)["errors"][0]["pointer"], "#/order_id");
        let sql =
            format!("INSERT INTO orders (order_id, user_id, item_ids, total_amount) VALUES ('{id}', 'a', '{{a}}', 1)");
        let refused = world.try_execute(&sql).await.unwrap_err();
        assert_eq!(refused.as_db_error().and_then(|error| error.constraint()), Some("order_id_check"));
    }
    for path in ["/orders/./retry", "/orders/%2E/retry", "/orders/x/../retry", "/orders/x/%2e%2e/retry"] {
        let mut event = event(Some(("admin", "orders/admin")), post("/orders", &json!({"dry_run": false}))).await;
        event["rawPath"] = path.into();
        let answer = invoke(&world.api_of(), &event).await.unwrap();
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    assert_eq!(world.status("o-1").await, "failed");
}

#[tokio::test]
async fn head_is_answered_as_get_without_the_body() {
    let world = World::new().await;
    world.create("o-1").await;
    let (api, site) = (world.api_of(), site::router(site::SiteConfig::default()));
    let claims = Some(("alice", "orders/read orders/admin"));
    let of_the_api = ["/orders", "/orders/o-1", "/orders/o-1/status", "/metrics", "/healthz"];
    let pages = ["/docs", "/docs/index.html", "/docs/problems", "/openapi.json", "/dashboard", "/dashboard/index.html"];
    let calls = of_the_api.map(|path| (&api, path)).into_iter().chain(pages.map(|path| (&site, path)));
    for (router, path) in calls {
        let get = call_in_process(router, claims, request(Method::GET, path)).await;
        let head = call_in_process(router, claims, request(Method::HEAD, path)).await;
        assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{path}");
        for name in ["content-type", "location", "retry-after", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
        assert!(get.status < 400, "{path}: {get:?}");
    }
}

#[tokio::test]
async fn compressed_body_returns_415() {
    let world = World::new().await;
    for (coding, status) in [("gzip", 415), ("br", 415), ("identity", 201)] {
        let mut request = post("/orders", &order(coding));
        request.headers_mut().insert("content-encoding", coding.parse().unwrap());
        let answer = world.call(request).await;
        assert_eq!(answer.status, status, "{coding}");
        assert_eq!(answer.header("accept-encoding"), if status == 415 { "identity" } else { "" });
    }
}

#[tokio::test]
async fn body_that_is_not_declared_as_json_returns_415() {
    let world = World::new().await;
    let mut as_text = post("/orders", &order("o-1"));
    as_text.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    let without_type = Request::post("/orders/retry").body(Body::from(r#"{"dry_run": false}"#)).unwrap();
    for request in [as_text, without_type] {
        let answer = world.call(request).await;
        // RFC 9110, 12.5.3: it would say that the encoding was refused.
        assert_eq!(answer.header("accept-encoding"), "", "{answer:?}");
        answer.problem(415);
    }
}

#[tokio::test]
async fn metrics_are_negotiated() {
    let world = World::new().await;
    let ask = async |accept: &str| {
        let answer = world.call(Request::get("/metrics").header("accept", accept).body(Body::empty()).unwrap()).await;
        (answer.header("content-type").to_owned(), answer.text)
    };
    let families = |text: &str| {
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let (content_type, text) = ask("text/plain; version=0.0.4").await;
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert!(!text.contains("# EOF"), "{text}");
    let (content_type, openmetrics) = ask("application/openmetrics-text;q=0.9, text/plain;q=0.8").await;
    assert!(content_type.starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(openmetrics.ends_with("# EOF\n") && families(&text) == families(&openmetrics), "{text}");
    assert!(families(&text).len() >= 8, "{text}");
    for accept in ["application/openmetrics-text;q=0", "*/*", "image/png"] {
        assert_eq!(ask(accept).await.0, "application/json", "{accept}");
    }
}

#[tokio::test]
async fn repeated_retry_is_answered_the_same() {
    let world = world_with_failed("o-1").await;
    let retried = world.post("/orders/o-1/retry", &json!({})).await.expect(200);
    assert_eq!(
        (&retried["status"], world.post("/orders/o-1/retry", &json!({})).await.expect(200)),
        (&json!("pending"), retried.clone())
    );
    world.post("/orders/o-1/cancel", &json!({})).await.expect(200);
    world.post("/orders/o-1/retry", &json!({})).await.problem(409);
}
