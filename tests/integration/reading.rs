//! Reading, cancelling and retrying one order; health; unknown routes.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tests::{NO_DATABASE, World, assert_members, call_in_process, event, get, post, post_empty, with_header};

use crate::released::recorder::Recording;

#[tokio::test]
async fn unchanged_order_is_not_sent_again() {
    let world = World::with_orders(&["o-1"]).await;
    world.refuse(&["o-1"], "out of stock").await;
    for change in [
        "attempts = 2",
        "failure = 'declined'",
        "user_id = 'erased-1'",
        "started_at = NULL, failure = NULL, cancelled = true",
    ] {
        let before = world.get("/orders/o-1").await;
        let etag = before.header("etag");
        let ask = || with_header(get("/orders/o-1"), "if-none-match", etag);
        let unchanged = world.call(ask()).await;
        assert_eq!((unchanged.status, unchanged.text.as_str(), unchanged.header("etag")), (304, "", etag));
        world.execute(&format!("UPDATE orders SET {change}")).await;
        let changed = world.call(ask()).await;
        assert_eq!((changed.status, changed.header("etag") == etag), (200, false), "{change}");
    }
}

#[tokio::test]
async fn impossible_order_id_is_not_found() {
    let world = World::with_orders(&["o-1"]).await;
    for id in ["none", "a%20b", "%00", "%ff", "o-1%20", &"x".repeat(65)] {
        world.get(&format!("/orders/{id}")).await.problem(404);
        world.get(&format!("/orders/{id}/status")).await.problem(404);
    }
}

#[tokio::test]
async fn pending_order_can_be_cancelled_for_good() {
    let world = World::with_orders(&["o-1"]).await;
    let cancelled = world.call_as("alice", "orders/write", post_empty("/orders/o-1/cancel")).await.expect(200);
    assert_members(&cancelled, &json!({"status": "cancelled", "next": [], "attempts": 0, "started_at": null}));
    assert!(cancelled["finished_at"].is_string(), "{cancelled}");
    assert_eq!(world.call(post_empty("/orders/o-1/cancel")).await.expect(200), cancelled);
    assert_eq!(world.value::<i64>("SELECT count(*) FROM order_work").await, 0);
    assert_eq!(world.counted("cancelled").await, 1);
}

#[tokio::test]
async fn processing_order_can_be_neither_cancelled_nor_retried() {
    let world = World::with_orders(&["o-1"]).await;
    world.execute("UPDATE order_work SET started_at = now()").await;
    let problem = world.call(post_empty("/orders/o-1/cancel")).await.problem(409);
    assert_eq!(problem["detail"], "The order is processing. A client can cancel only a pending order.");
    world.call(post_empty("/orders/o-1/retry")).await.problem(409);
    world.call(post_empty("/orders/none/cancel")).await.problem(404);
    world.call(post_empty("/orders/none/retry")).await.problem(404);
}

#[tokio::test]
async fn failed_order_can_be_retried_only_by_an_operator() {
    let world = World::with_orders(&["o-1"]).await;
    world.receive().await;
    world.refuse(&["o-1"], "no stock").await;
    let failed = world.get("/orders/o-1").await.expect(200);
    assert_members(&failed, &json!({"status": "failed", "failure": "no stock", "attempts": 1, "next": ["retry"]}));
    world.call_as("alice", "orders/read orders/write", post_empty("/orders/o-1/retry")).await.problem(403);
    let retried = world.call(post_empty("/orders/o-1/retry")).await.expect(200);
    assert_members(&retried, &json!({"status": "pending", "failure": null, "attempts": 0}));
    assert_eq!(world.receive().await.as_deref(), Some("o-1"));
    assert_eq!(world.call(post_empty("/orders/o-1/retry")).await.expect(200), retried);
    assert_eq!(world.receive().await.as_deref(), Some("o-1"), "the first message may be lost");
    world.call(post_empty("/orders/o-1/cancel")).await.expect(200);
    world.call(post_empty("/orders/o-1/retry")).await.problem(409);
}

#[tokio::test]
async fn status_of_an_order_at_work_is_worth_asking_for_soon() {
    let world = World::with_orders(&["o-1"]).await;
    // The lease says nothing about when the worker is done.
    world.claim(&["o-1"]).await;
    assert_eq!(world.get("/orders/o-1/status").await.header("retry-after"), "1");
}

#[tokio::test]
async fn dots_are_not_an_order_id() {
    let world = World::with_orders(&["o-1"]).await;
    world.refuse(&["o-1"], "out of stock").await;
    for path in ["/orders/./retry", "/orders/%2E/retry", "/orders/x/../retry", "/orders/x/%2e%2e/retry"] {
        let mut event = event(Some(("admin", "orders/admin")), post("/orders", &json!({"dry_run": false}))).await;
        event["rawPath"] = path.into();
        let answer = world.invoke(&event).await.unwrap();
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    assert_eq!(world.status("o-1").await, "failed");
}

#[tokio::test]
async fn health_needs_no_token_and_reports_the_database() {
    let world = World::new().await;
    assert_eq!(world.call_unknown(get("/healthz")).await.expect(200), json!({"status": "ok"}));
    let api = world.api_with_env(&world.env_with(NO_DATABASE));
    call_in_process(&api, None, get("/healthz")).await.problem(503);
}

#[tokio::test]
async fn unknown_route_or_method_is_a_problem() {
    let world = World::new().await;
    for path in ["/", "/orders/", "/order", "/orders/a/b", "/metrics/x"] {
        assert_eq!(world.get(path).await.problem(404)["type"], "/docs/problems#no-such-route", "{path}");
    }
    for (method, path, allowed) in
        [(Method::DELETE, "/orders", "GET,HEAD,POST"), (Method::PUT, "/orders/a", "GET,HEAD")]
    {
        let answer = world.call(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await;
        let mut allow: Vec<_> = answer.header("allow").split(',').map(str::to_owned).collect();
        allow.sort();
        assert_eq!(allow.join(","), allowed);
        answer.problem(405);
    }
}

/// It has the methods of the path. The gateway adds the headers of CORS, and a browser makes its call only if the status is 2xx.
#[tokio::test]
async fn preflight_is_the_only_answer_of_the_default_route() {
    let world = World::new().await;
    let mut event = event(None, get("/orders/o-1/cancel")).await;
    let preflight = |event: &mut Value, path: &str| {
        (event["rawPath"], event["requestContext"]["routeKey"]) = (path.into(), "$default".into());
        event["requestContext"]["http"]["method"] = "OPTIONS".into();
    };
    preflight(&mut event, "/orders/o-1/cancel");
    let answer = world.invoke(&event).await.unwrap();
    assert_eq!((answer.status, answer.header("allow"), answer.text.as_str()), (204, "POST", ""));
    preflight(&mut event, "/nothing");
    world.invoke(&event).await.unwrap().problem(404);
    for path in ["//orders", "/orders//status", "//healthz"] {
        preflight(&mut event, path);
        event["requestContext"]["http"]["method"] = "GET".into();
        let problem = world.invoke(&event).await.unwrap().problem(404);
        assert_eq!(problem["type"], "/docs/problems#no-such-route", "{path}");
    }
}

#[tokio::test]
async fn statement_is_prepared_at_its_second_use() {
    for (prepare, is_unnamed) in [("on", [true, false, false]), ("off", [true; 3])] {
        let world = World::with(&[("DATABASE_PREPARE", prepare)]).await;
        world.create("o-1").await;
        let (recording, url) = Recording::start(&world).await;
        let api = world.api_with("DATABASE_URL", url.as_str());
        for _ in 0..3 {
            call_in_process(&api, Some(("alice", "orders/read")), get("/orders/o-1")).await.expect(200);
        }
        let names: Vec<_> = recording.statements().into_iter().map(|statement| statement.name).collect();
        assert!(names.iter().map(String::is_empty).eq(is_unnamed) && names[1] == names[2], "{prepare}: {names:?}");
    }
}

#[tokio::test]
async fn authentication_off_makes_every_caller_an_administrator() {
    let world = World::new().await;
    let api = world.api_with("AUTH", "off");
    call_in_process(&api, None, get("/metrics")).await.expect(200);
    world.call_unknown(get("/metrics")).await.problem(401);
}

#[tokio::test]
async fn head_is_answered_as_get_without_the_body() {
    let world = World::with_orders(&["o-1"]).await;
    let (api, site) = (world.another_api(), site::router(site::SiteConfig::default()));
    let claims = Some(("alice", "orders/read orders/admin"));
    let of_the_api = ["/orders", "/orders/o-1", "/orders/o-1/status", "/metrics", "/healthz"];
    let pages = ["/docs", "/docs/index.html", "/docs/problems", "/openapi.json", "/dashboard", "/dashboard/index.html"];
    let calls = of_the_api.map(|path| (&api, path)).into_iter().chain(pages.map(|path| (&site, path)));
    for (router, path) in calls {
        let head = Request::head(path).body(Body::empty()).unwrap();
        let head = call_in_process(router, claims, head).await;
        let get = call_in_process(router, claims, get(path)).await;
        assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{path}");
        for name in ["content-type", "location", "retry-after", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
        assert!(get.status < 400, "{path}: {get:?}");
    }
}
