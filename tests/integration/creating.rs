//! `POST /orders`: valid and invalid orders, and repeats.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tests::{World, call_in_process};

fn good() -> Value {
    json!({"order_id": "o-1", "user_id": "alice", "item_ids": ["book-1"], "total_amount": 59.98})
}

fn post(body: impl Into<Body>) -> Request<Body> {
    Request::post("/orders").header("content-type", "application/json").body(body.into()).unwrap()
}

fn post_with_key(key: &str, body: &Value) -> Request<Body> {
    let mut request = post(body.to_string());
    request.headers_mut().insert("idempotency-key", key.parse().unwrap());
    request
}

#[tokio::test]
async fn accepted_order_is_stored_exactly_and_enqueued() {
    let world = World::new().await;
    let answer = world.post("/orders", &good()).await;
    assert_eq!(answer.header("location"), "/orders/o-1");
    assert_eq!(answer.header("cache-control"), "no-store");
    let order = answer.expect(201);
    assert_eq!(order["total_amount"], "59.98");
    assert_eq!(order["status"], "pending");
    assert_eq!(order["attempts"], 0);
    assert_eq!(order["next"], json!(["cancel"]));
    assert_eq!(world.value::<String>("SELECT total_amount::text FROM orders").await, "59.9800");
    assert_eq!(world.value::<i64>("SELECT count(*) FROM order_work").await, 1);
    assert_eq!(world.receive().await.as_deref(), Some("o-1"));
}

/// Keeps the first inserts of orders from storing anything, as a row that is deleted just afterwards does.
async fn skip_inserts(world: &World, times: i64) {
    let sql = format!(
        "CREATE SEQUENCE inserts;
        CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN IF nextval(''inserts'') > {times} THEN RETURN NEW; END IF; RETURN NULL; END';
        CREATE TRIGGER skip BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION skip()"
    );
    world.execute(&sql).await;
}

#[tokio::test]
async fn create_that_races_a_deletion_is_tried_once_more() {
    for (times, status) in [(1, 201), (2, 503)] {
        let world = World::new().await;
        skip_inserts(&world, times).await;
        let answer = world.post("/orders", &good()).await;
        assert_eq!(
            (answer.status, answer.header("retry-after").is_empty()),
            (status, status == 201),
            "{}",
            answer.text
        );
    }
}

#[tokio::test]
async fn order_without_an_id_gets_a_uuid_of_version_7() {
    let world = World::new().await;
    let mut body = good();
    body.as_object_mut().unwrap().remove("order_id");
    let order = world.post("/orders", &body).await.expect(201);
    let id: uuid::Uuid = order["order_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
}

#[tokio::test]
async fn cancel_window_is_the_time_until_the_order_is_due() {
    let world = World::with(&[("CANCEL_WINDOW_SECONDS", "60")]).await;
    world.create("o-1").await;
    let sql = "SELECT w.due_at = o.created_at + interval '60 s' FROM orders o JOIN order_work w USING (order_id)";
    assert!(world.value::<bool>(sql).await);
    assert_eq!(world.get("/orders/o-1/status").await.header("retry-after"), "60");
}

#[tokio::test]
async fn repeated_order_is_replayed_and_stored_once() {
    let world = World::new().await;
    let first = world.post("/orders", &good()).await.expect(201);
    let mut again = good();
    again["total_amount"] = json!("59.98");
    let replay = world.post("/orders", &again).await;
    assert_eq!(replay.header("idempotent-replayed"), "true");
    assert_eq!(replay.expect(200), first);
    assert_eq!(world.order_count().await, 1);
}

#[tokio::test]
async fn id_of_another_order_is_a_conflict() {
    let world = World::new().await;
    world.post("/orders", &good()).await.expect(201);
    for (field, other) in [("total_amount", json!(60)), ("item_ids", json!(["book-2"])), ("user_id", json!("bob"))] {
        let mut body = good();
        body[field] = other;
        let problem = world.post("/orders", &body).await.problem(409);
        assert_eq!(problem["type"], "/docs/problems#conflict");
    }
    assert_eq!(world.order_count().await, 1);
}

#[tokio::test]
async fn idempotency_key_replays_an_order_without_an_id() {
    let world = World::new().await;
    let mut body = good();
    body.as_object_mut().unwrap().remove("order_id");
    let first = world.call(post_with_key("key-1", &body)).await.expect(201);
    let replay = world.call(post_with_key("key-1", &body)).await;
    assert_eq!(replay.header("idempotent-replayed"), "true");
    assert_eq!(replay.expect(200)["order_id"], first["order_id"]);
    body["total_amount"] = json!(1);
    let problem = world.call(post_with_key("key-1", &body)).await.problem(422);
    assert_eq!(problem["type"], "/docs/problems#key-reused");
    world.call(post_with_key("key-2", &body)).await.expect(201);
    assert_eq!(world.order_count().await, 2);
}

#[tokio::test]
async fn idempotency_keys_of_two_callers_are_independent() {
    let world = World::new().await;
    for user in ["alice", "bob"] {
        let body = json!({"user_id": user, "item_ids": ["i"], "total_amount": 1});
        world.call_as(user, "orders/write", post_with_key("the same", &body)).await.expect(201);
    }
    assert_eq!(world.order_count().await, 2);
}

#[tokio::test]
async fn idempotency_key_of_another_order_is_refused() {
    let world = World::new().await;
    world.call(post_with_key("key-1", &good())).await.expect(201);
    world.call(post_with_key("key-1", &good())).await.expect(200);
    let mut other = good();
    other["order_id"] = json!("o-2");
    assert_eq!(world.call(post_with_key("key-1", &other)).await.problem(422)["type"], "/docs/problems#key-reused");
}

#[tokio::test]
async fn concurrent_equal_requests_create_one_order() {
    let world = World::new().await;
    let body = good();
    let posts = [(); 20].map(|()| world.post("/orders", &body));
    let mut statuses = Vec::new();
    for answer in futures_util::future::join_all(posts).await {
        statuses.push(answer.status);
    }
    statuses.sort_unstable();
    assert_eq!((statuses[19], &statuses[..19]), (201, &[200; 19][..]));
    assert_eq!(world.order_count().await, 1);
}

/// Invalid bodies: a name, the body, and the expected status.
fn bad_bodies() -> Vec<(&'static str, String, u16)> {
    let with = |field: &str, value: &str| {
        let mut members = vec![("user_id", r#""alice""#), ("item_ids", r#"["i"]"#), ("total_amount", "1")];
        members.retain(|(name, _)| *name != field);
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{},\"{field}\":{value}}}", members.join(","))
    };
    let items = |count: usize| format!("[{}]", vec!["\"i\""; count].join(","));
    vec![
        ("invalid JSON", "{".to_owned(), 400),
        ("no object", "[1]".to_owned(), 400),
        ("NaN", with("total_amount", "NaN"), 400),
        ("Infinity", with("total_amount", "Infinity"), 400),
        ("invalid UTF-8 escaped", with("user_id", r#""\ud800""#), 422),
        ("an unknown field", with("coupon", "1"), 422),
        ("a missing field", r#"{"user_id":"alice"}"#.to_owned(), 422),
        ("three decimals", with("total_amount", "1.005"), 422),
        ("a negative amount", with("total_amount", "-0.01"), 422),
        ("a huge exponent", with("total_amount", "1e400"), 422),
        ("an amount too large", with("total_amount", "1000000000000"), 422),
        ("two decimals of a yen", with("total_amount", "1.55,\"currency\":\"JPY\""), 422),
        ("an unknown currency", with("currency", "\"HRK\""), 422),
        ("metadata with a number", with("metadata", "{\"a\":1}"), 422),
        ("a time beyond thirty days", with("process_after", "\"2099-01-01T00:00:00Z\""), 422),
        ("no items", with("item_ids", "[]"), 422),
        ("501 items", with("item_ids", &items(501)), 422),
        ("an item of a number", with("item_ids", "[1]"), 422),
        ("an item with a NUL", with("item_ids", r#"["\u0000"]"#), 422),
        ("an id with a space", with("order_id", r#""a b""#), 422),
        ("an id with a control character", with("order_id", r#""a\u0007""#), 422),
        ("an id of 65 characters", with("order_id", &format!("\"{}\"", "x".repeat(65))), 422),
        ("a user with a NUL", with("user_id", r#""a\u0000""#), 422),
        ("a body of more than 1 MiB", with("item_ids", &format!("[\"{}\"]", "x".repeat(1 << 20))), 413),
    ]
}

#[tokio::test]
async fn invalid_order_gets_a_problem_and_stores_nothing() {
    let world = World::new().await;
    for (name, body, status) in bad_bodies() {
        let answer = world.call(post(body)).await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        let problem = answer.problem(status);
        assert_eq!(problem["instance"], "/orders", "{name}");
        assert_eq!(problem["request_id"], "test-request", "{name}");
        assert_eq!(problem["errors"].is_array(), status == 422, "{name}: {problem}");
    }
    assert_eq!((world.order_count().await, world.queue_depth().await), (0, 0));
}

#[tokio::test]
async fn body_with_another_content_type_is_refused() {
    let world = World::new().await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let request =
            Request::post("/orders").header("content-type", content_type).body(good().to_string().into()).unwrap();
        world.call(request).await.problem(415);
    }
    let request = Request::post("/orders").header("content-type", "application/json; charset=utf-8");
    world.call(request.body(good().to_string().into()).unwrap()).await.expect(201);
}

#[tokio::test]
async fn order_for_another_user_is_refused_and_not_stored() {
    let world = World::new().await;
    world.call_as("bob", "orders/write", post(good().to_string())).await.problem(403);
    world.call_as("alice", "orders/read", post(good().to_string())).await.problem(403);
    world.call_as("alice", "orders/read", post("no order")).await.problem(403);
    let unknown = world.call_unknown(post(good().to_string())).await;
    assert_eq!(unknown.header("www-authenticate"), "Bearer");
    unknown.problem(401);
    assert_eq!((world.order_count().await, world.queue_depth().await), (0, 0));
}

#[tokio::test]
async fn unreachable_database_returns_503_with_retry_after() {
    let world = World::new().await;
    let api = world.api_with("DATABASE_URL", "postgres://app@127.0.0.1:1/nowhere");
    let answer = call_in_process(&api, Some(("alice", "orders/write")), post(good().to_string())).await;
    assert_eq!(answer.header("retry-after"), "2");
    let problem = answer.problem(503);
    assert!(!problem.to_string().contains("127.0.0.1"), "{problem}");
    // An invalid order is still refused, because its validation needs no database.
    call_in_process(&api, Some(("alice", "orders/write")), post("{}")).await.problem(422);
    assert_eq!(world.queue_depth().await, 0);
}

#[tokio::test]
async fn unreachable_queue_loses_no_order_and_the_sweeper_requeues_it() {
    let world = World::new().await;
    let api = world.api_with("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    call_in_process(&api, Some(("alice", "orders/write")), post(good().to_string())).await.expect(201);
    assert_eq!(world.queue_depth().await, 0);
    world.let_pass(181.0).await;
    assert_eq!(world.sweeper().sweep().await.unwrap().requeued, 1);
    assert_eq!(world.receive().await.as_deref(), Some("o-1"));
}
