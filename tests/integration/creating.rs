//! `POST /orders`: valid and invalid orders, and repeats.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use sweeper::Swept;
use tests::{NO_AWS, NO_DATABASE, World, assert_members, call_in_process, order, order_with, post, with_header};

/// An order without an identifier.
fn anonymous() -> Value {
    json!({"user_id": "alice", "item_ids": ["book-1"], "total_amount": 59.98})
}

fn post_with_key(key: &str, body: &Value) -> Request<Body> {
    with_header(post("/orders", body), "idempotency-key", key)
}

#[tokio::test]
async fn accepted_order_is_stored_exactly_and_enqueued() {
    let world = World::new().await;
    let answer = world.post("/orders", &order("o-1")).await;
    assert_eq!((answer.header("location"), answer.header("cache-control")), ("/orders/o-1", "no-store"));
    let created = answer.expect(201);
    let expected = json!({"total_amount": "59.98", "status": "pending", "attempts": 0, "next": ["cancel"]});
    assert_members(&created, &expected);
    assert_eq!(world.get("/orders/o-1").await.expect(200), created);
    assert_eq!(world.get("/orders/o-1/status").await.expect(200), json!({"order_id": "o-1", "status": "pending"}));
    assert_eq!(world.value::<String>("SELECT total_amount::text FROM orders").await, "59.9800");
    assert_eq!(world.value::<i64>("SELECT count(*) FROM order_work").await, 1);
    assert_eq!(world.receive().await.as_deref(), Some("o-1"));
}

/// The first inserts store nothing, as if a row that is there were deleted just afterwards.
#[tokio::test]
async fn create_that_races_a_deletion_is_tried_once_more() {
    for (times, status) in [(1, 201), (2, 503)] {
        let world = World::new().await;
        let sql = format!(
            "CREATE SEQUENCE inserts;
            CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN IF nextval(''inserts'') > {times} THEN RETURN NEW; END IF; RETURN NULL; END';
            CREATE TRIGGER skip BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION skip()"
        );
        world.execute(&sql).await;
        let answer = world.post("/orders", &order("o-1")).await;
        let is_final = answer.header("retry-after").is_empty();
        assert_eq!((answer.status, is_final), (status, status == 201), "{answer:?}");
    }
}

#[tokio::test]
async fn repeated_order_is_replayed_and_stored_once() {
    let world = World::new().await;
    let first = world.create("o-1").await;
    let again = order_with("o-1", &json!({"total_amount": 59.98}));
    let replay = world.post("/orders", &again).await;
    assert_eq!(replay.header("idempotent-replayed"), "true");
    assert_eq!(replay.expect(200), first);
    assert_eq!(world.order_count().await, 1);
    assert_eq!(world.queue_depth().await, 2, "the message of the first call may not have been sent");
}

#[tokio::test]
async fn id_of_another_order_is_a_conflict() {
    let world = World::with_orders(&["o-1"]).await;
    for other in [json!({"total_amount": 60}), json!({"item_ids": ["book-2"]}), json!({"user_id": "bob"})] {
        let problem = world.post("/orders", &order_with("o-1", &other)).await.problem(409);
        assert_eq!(problem["type"], "/docs/problems#conflict", "{other}");
        // The client may have lost the answer to its first request: another order would be a second one.
        assert!(problem["detail"].as_str().unwrap().contains("Read it: "), "{problem}");
    }
    assert_eq!(world.order_count().await, 1);
}

#[tokio::test]
async fn idempotency_key_replays_its_order_and_no_other() {
    let world = World::new().await;
    let mut body = anonymous();
    let first = world.call(post_with_key("key-1", &body)).await.expect(201);
    let id: uuid::Uuid = first["order_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    let replay = world.call(post_with_key("key-1", &body)).await;
    assert_eq!(replay.header("idempotent-replayed"), "true");
    assert_eq!(replay.expect(200)["order_id"], first["order_id"]);
    body["total_amount"] = json!(1);
    let problem = world.call(post_with_key("key-1", &body)).await.problem(422);
    assert_eq!(problem["type"], "/docs/problems#key-reused");
    assert!(problem["detail"].as_str().unwrap().contains("An earlier request with this key"), "{problem}");
    world.call(post_with_key("key-2", &body)).await.expect(201);
    // An order's own identifier identifies it too, and the key has to be that order's.
    for (order_id, status) in [("o-1", 201), ("o-1", 200), ("o-2", 422)] {
        let answer = world.call(post_with_key("key-3", &order(order_id))).await;
        assert_eq!(answer.expect(status)["type"].as_str(), (status == 422).then_some("/docs/problems#key-reused"));
    }
    assert_eq!(world.order_count().await, 3);
}

#[tokio::test]
async fn idempotency_keys_of_two_callers_are_independent() {
    let world = World::new().await;
    // Caller and key together are the same text for the last two.
    for (user, key) in [("alice", "the same"), ("bob", "the same"), ("carol", "ine-1"), ("caroline", "-1")] {
        let mut body = anonymous();
        body["user_id"] = user.into();
        world.call_as(user, "orders/write", post_with_key(key, &body)).await.expect(201);
    }
    assert_eq!(world.order_count().await, 4);
}

#[tokio::test]
async fn concurrent_equal_requests_create_one_order() {
    let world = World::new().await;
    let body = order("o-1");
    let answers = futures_util::future::join_all([(); 20].map(|()| world.post("/orders", &body))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!((statuses[19], &statuses[..19]), (201, &[200; 19][..]));
    assert_eq!(world.order_count().await, 1);
}

/// Which bodies are invalid, the unit tests of the body say.
#[tokio::test]
async fn invalid_order_gets_a_problem_and_stores_nothing() {
    let world = World::new().await;
    let bad = order_with("o-1", &json!({"total_amount": 1.005}));
    for (body, status) in [("{".to_owned(), 400), (bad.to_string(), 422)] {
        let request = Request::post("/orders").header("content-type", "application/json").body(body.into()).unwrap();
        let problem = world.call(request).await.problem(status);
        assert_eq!((&problem["instance"], &problem["request_id"]), (&json!("/orders"), &json!("test-request")));
        assert_eq!(problem["errors"].is_array(), status == 422, "{problem}");
    }
    assert_eq!((world.order_count().await, world.queue_depth().await), (0, 0));
}

#[tokio::test]
async fn body_that_is_not_plain_json_is_refused() {
    let world = World::new().await;
    for (name, value, status) in [
        ("content-type", "text/plain", 415),
        ("content-type", "application/x-www-form-urlencoded", 415),
        ("content-type", "", 415),
        ("content-type", "application/json; charset=utf-8", 201),
        ("content-type", "application/json;a=b; Charset=\"UTF8\"", 200),
        ("content-type", "application/json; charset=us-ascii", 200),
        ("content-type", "application/json; charset=iso-8859-1", 415),
        ("content-type", "application/json; charset=utf-8; charset=utf-16", 415),
        ("content-encoding", "gzip", 415),
        ("content-encoding", "br", 415),
        ("content-encoding", "identity", 200),
    ] {
        let answer = world.call(with_header(post("/orders", &order("o-1")), name, value)).await;
        assert_eq!(answer.status, status, "{name}: {value}");
        // RFC 9110, 12.5.3: it says that the encoding was refused.
        let is_refused_encoding = name == "content-encoding" && status == 415;
        assert_eq!(answer.header("accept-encoding"), if is_refused_encoding { "identity" } else { "" });
        if status == 415 {
            answer.problem(415);
        }
    }
    let without_type = Request::post("/orders/retry").body(Body::from(r#"{"dry_run": false}"#)).unwrap();
    world.call(without_type).await.problem(415);
}

#[tokio::test]
async fn byte_order_mark_before_a_body_is_ignored() {
    let world = World::new().await;
    let marked = |path: &str, body: &str| {
        let request = Request::post(path).header("content-type", "application/json");
        request.body(Body::from(format!("\u{feff}{body}"))).unwrap()
    };
    world.call(marked("/orders", &order("o-1").to_string())).await.expect(201);
    world.call(marked("/orders/o-1/cancel", "")).await.expect(200);
    world.call(marked("/orders", "\u{feff}{}")).await.problem(400);
}

/// Which scopes a call needs, the access matrix says.
#[tokio::test]
async fn order_for_another_user_is_refused_and_not_stored() {
    let world = World::new().await;
    world.call_as("bob", "orders/write", post("/orders", &order("o-1"))).await.problem(403);
    // The user comes before a bad key, and the scope before the body.
    world.call_as("bob", "orders/write", post_with_key("", &order("o-1"))).await.problem(403);
    world.call_as("alice", "orders/read", post("/orders", &json!("no order"))).await.problem(403);
    let unknown = world.call_unknown(post("/orders", &order("o-1"))).await;
    assert_eq!(unknown.header("www-authenticate"), "Bearer");
    unknown.problem(401);
    assert_eq!((world.order_count().await, world.queue_depth().await), (0, 0));
}

#[tokio::test]
async fn unreachable_database_returns_503_with_retry_after() {
    let world = World::new().await;
    let api = world.api_with_env(&world.env_with(NO_DATABASE));
    let call = async |body: &Value| call_in_process(&api, Some(("alice", "orders/write")), post("/orders", body)).await;
    let answer = call(&order("o-1")).await;
    assert_eq!(answer.header("retry-after"), "2");
    let problem = answer.problem(503);
    assert!(!problem.to_string().contains("127.0.0.1"), "{problem}");
    // An invalid order is still refused, because its validation needs no database.
    call(&json!({})).await.problem(422);
    assert_eq!(world.queue_depth().await, 0);
}

#[tokio::test]
async fn transient_errors_return_503_and_other_errors_500() {
    let world = World::new().await;
    let fail = "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = substr(NEW.order_id, 3); END $$;
        CREATE TRIGGER fail BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION fail()";
    world.execute(fail).await;
    for state in ["40001", "40P01", "55P03", "57014", "53000", "53100", "53200", "53300", "53400", "25006"] {
        let answer = world.post("/orders", &order(&format!("e-{state}"))).await;
        assert!(!answer.header("retry-after").is_empty(), "{state}: {answer:?}");
        answer.problem(503);
    }
    world.post("/orders", &order("e-P0001")).await.problem(500);
}

#[tokio::test]
async fn unreachable_queue_loses_no_order_and_the_sweeper_requeues_it() {
    let world = World::new().await;
    let api = world.api_with_env(&world.env_with(NO_AWS));
    call_in_process(&api, Some(("alice", "orders/write")), post("/orders", &order("o-1"))).await.expect(201);
    assert_eq!(world.queue_depth().await, 0);
    assert_eq!(world.sweep().await, Swept { requeued: 0, enqueued: 0, unsent: 0, folded: 0, deleted: 0, events: 0 });
    world.let_pass(181.0).await;
    assert_eq!(world.sweep().await.requeued, 1);
    assert_eq!(world.receive().await.as_deref(), Some("o-1"));
}
