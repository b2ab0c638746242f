//! The history of an order: what happened to it, when, and who did it.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use processor::Outcome;
use serde_json::{Value, json};
use sweeper::Sweeper;
use tests::{NO_AWS, OutcomeBy, World, assert_members, event, handle, invoke, post_empty};

/// Work that is tried again.
const BUSY: OutcomeBy<fn(&str) -> Outcome> =
    OutcomeBy(|_| Outcome::Retry { cause: "the shop is busy".to_owned(), after: None });

async fn history(world: &World, order_id: &str) -> Value {
    world.get(&format!("/orders/{order_id}/history")).await.expect(200)
}

/// The changes as `change attempt by`, in their order.
async fn changes(world: &World, order_id: &str) -> Vec<String> {
    let history = history(world, order_id).await;
    let changes = history["changes"].as_array().unwrap();
    let times: Vec<_> = changes.iter().map(|change| change["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let text = |change: &Value| {
        let (what, by) = (change["change"].as_str().unwrap(), change["by"].as_str().unwrap());
        format!("{what} {} {by}", change["attempt"])
    };
    changes.iter().map(text).collect()
}

async fn events(world: &World) -> i64 {
    world.value("SELECT count(*) FROM order_events").await
}

#[tokio::test]
async fn ordinary_order_has_a_history_and_stores_none() {
    let world = World::new().await;
    world.create("o-1").await;
    handle(&world.processor(Duration::from_secs(1)), &["o-1"]).await;
    assert_eq!(changes(&world, "o-1").await, ["created null caller", "started 1 processor"]);
    world.let_pass(5.0).await;
    handle(&world.processor(Duration::from_secs(1)), &["o-1"]).await;
    assert_eq!(changes(&world, "o-1").await, ["created null caller", "started 1 processor", "completed 1 processor"]);
    world.create("o-2").await;
    world.refuse(&["o-2"], "refused").await;
    let history = history(&world, "o-2").await;
    let end = &history["changes"][2];
    assert_members(end, &json!({"change": "failed", "cause": "refused"}));
    assert_eq!(history["truncated"], false);
    let order = world.get("/orders/o-2").await.expect(200);
    assert_eq!((&end["at"], &history["changes"][0]["at"]), (&order["finished_at"], &order["created_at"]));
    assert_eq!(events(&world).await, 0);
}

#[tokio::test]
async fn failed_attempts_a_retry_and_its_author_are_recorded() {
    let world = World::new().await;
    world.create("o-1").await;
    world.process_with(BUSY, &["o-1"]).await;
    world.let_pass(900.0).await;
    world.refuse(&["o-1"], "refused").await;
    world.call_as("olga", "orders/admin", post_empty("/orders/o-1/retry")).await.expect(200);
    world.process(&["o-1"]).await;
    let expected = [
        "created null caller",
        "started 1 processor",
        "attempt_failed 1 processor",
        "failed 2 processor",
        "retried null caller",
        "started 1 processor",
        "completed 1 processor",
    ];
    assert_eq!(changes(&world, "o-1").await, expected);
    let history = history(&world, "o-1").await;
    let change = |index: usize| &history["changes"][index];
    assert_eq!((&change(2)["cause"], &change(3)["cause"]), (&json!("the shop is busy"), &json!("refused")));
    assert_eq!((&change(4)["subject"], &change(4)["client"]), (&json!("olga"), &Value::Null));
    assert_eq!(events(&world).await, 2);
    let last_cause = world.store().last_cause(&"o-1".parse().unwrap()).await.unwrap();
    assert_eq!(last_cause, None, "the retry took the failed attempt back");
}

#[tokio::test]
async fn worker_that_dies_leaves_a_failed_attempt() {
    let world = World::new().await;
    world.create("o-1").await;
    world.claim(&["o-1"]).await;
    world.let_pass(60.0).await;
    world.process(&["o-1"]).await;
    let last_cause = world.store().last_cause(&"o-1".parse().unwrap()).await.unwrap();
    assert_eq!(last_cause.as_deref(), Some("the worker ended without an outcome"));
    let expected =
        ["created null caller", "started 1 processor", "attempt_failed 1 processor", "completed 2 processor"];
    assert_eq!(changes(&world, "o-1").await, expected);
    assert_eq!(history(&world, "o-1").await["changes"][2]["cause"], "the worker ended without an outcome");
}

/// Calls as a user whose token has these claims.
async fn call(world: &World, claims: Value, method: &str, path: &str) -> tests::Answer {
    let api = world.api_with("AUTH", "jwt");
    let mut event = event(None, Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await;
    event["requestContext"]["authorizer"] = json!({"jwt": {"claims": claims}});
    invoke(&api, &event).await.unwrap()
}

#[tokio::test]
async fn cancel_shows_its_author_only_to_permitted_readers() {
    let world = World::new().await;
    let shop = |client: Value| {
        let mut claims = json!({"sub": "shop", "scope": "orders/read.all orders/write.all"});
        claims.as_object_mut().unwrap().extend(client.as_object().unwrap().clone());
        claims
    };
    let long = "x".repeat(256);
    for (order_id, client, stored) in [
        ("o-1", json!({"client_id": "web-shop", "azp": "other"}), json!("web-shop")),
        ("o-2", json!({"azp": "app"}), json!("app")),
        ("o-3", json!({"client_id": long}), Value::Null),
        ("o-4", json!({"client_id": "a\u{0}b"}), Value::Null),
        ("o-5", json!({}), Value::Null),
    ] {
        world.create(order_id).await;
        call(&world, shop(client), "POST", &format!("/orders/{order_id}/cancel")).await.expect(200);
        assert_eq!(changes(&world, order_id).await, ["created null caller", "cancelled null caller"]);
        let change = &history(&world, order_id).await["changes"][1];
        assert_eq!((&change["subject"], &change["client"]), (&json!("shop"), &stored), "{order_id}");
    }
    let alice = async |path: &str| {
        call(&world, json!({"sub": "alice", "scope": "orders/read orders/write"}), "GET", path).await
    };
    let seen = alice("/orders/o-1/history").await.expect(200);
    assert_members(&seen["changes"][1], &json!({"change": "cancelled", "subject": null, "client": null}));
    world.create("o-6").await;
    call(&world, json!({"sub": "alice", "scope": "orders/write"}), "POST", "/orders/o-6/cancel").await.expect(200);
    assert_eq!(alice("/orders/o-6/history").await.expect(200)["changes"][1]["subject"], "alice");
    world.get("/orders/o-7/history").await.problem(404);
}

#[tokio::test]
async fn requeues_are_recorded_and_those_that_the_queue_refused_too() {
    let world = World::new().await;
    world.create("o-1").await;
    world.let_pass(300.0).await;
    assert_eq!(Sweeper::from_env(&world.env_with(NO_AWS)).unwrap().sweep().await.unwrap().unsent, 1);
    assert_eq!(world.sweep().await.requeued, 1);
    let expected =
        ["created null caller", "requeued null sweeper", "requeue_failed null sweeper", "requeued null sweeper"];
    assert_eq!(changes(&world, "o-1").await, expected);
}

#[tokio::test]
async fn history_is_bounded_and_says_what_it_left_out() {
    let world = World::new().await;
    world.create("o-1").await;
    let fill = |most: i64| {
        format!("INSERT INTO order_events (order_id, event) SELECT 'o-1', 'requeued' FROM generate_series(1, {most})")
    };
    world.execute(&fill(99)).await;
    world.process_with(BUSY, &["o-1"]).await;
    assert_eq!(events(&world).await, 100);
    world.let_pass(900.0).await;
    world.process_with(BUSY, &["o-1"]).await;
    world.let_pass(900.0).await;
    world.sweep().await;
    assert_eq!((events(&world).await, history(&world, "o-1").await["truncated"].clone()), (100, json!(true)));
    // Callers' changes have room beyond that.
    world.refuse(&["o-1"], "refused").await;
    world.post("/orders/o-1/retry", &json!({})).await.expect(200);
    assert_eq!(events(&world).await, 101);
    world.execute(&fill(99)).await;
    world.refuse(&["o-1"], "refused").await;
    world.post("/orders/o-1/retry", &json!({})).await.expect(200);
    world.post("/orders/o-1/cancel", &json!({})).await.expect(200);
    assert_eq!(events(&world).await, 201);
    // The second retry is not recorded, and so the start and the failure before it are not either.
    let changes = changes(&world, "o-1").await;
    let count = |change: &str| changes.iter().filter(|line| line.starts_with(change)).count();
    assert_eq!(["created ", "started ", "failed ", "retried ", "cancelled "].map(count), [1; 5], "{changes:?}");
    assert_eq!(changes.last().unwrap(), "cancelled null caller");
}
