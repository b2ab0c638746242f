//! Erasure: `POST /users/{user_id}/erase` removes a user from ended orders, and touches nothing else.

use serde_json::{Value, json};
use tests::{Answer, Log, World, get, order_with, post, post_empty, with_header};
use tracing::Level;

use crate::announcing::fail_without_announcing;
use crate::roles::AppRole;

async fn erase(world: &World, user_id: &str) -> Answer {
    world.call(post_empty(&format!("/users/{user_id}/erase"))).await
}

/// Creates an order of this user, with an idempotency key and metadata.
async fn create(world: &World, order_id: &str, user_id: &str) {
    let order = order_with(order_id, &json!({"user_id": user_id, "metadata": {"gift for": user_id}}));
    let request = with_header(post("/orders", &order), "idempotency-key", &format!("key-{order_id}"));
    world.call(request).await.expect(201);
}

/// A world with these users' orders, each named by its user and completed.
async fn world_of(users: &[&str]) -> World {
    let world = World::new().await;
    for user_id in users {
        for number in ["1", "2"] {
            create(&world, &format!("{user_id}-{number}"), user_id).await;
            world.process(&[format!("{user_id}-{number}")]).await;
        }
    }
    world
}

async fn user_of(world: &World, order_id: &str) -> String {
    world.get(&format!("/orders/{order_id}")).await.expect(200)["user_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn calls_without_options_refuse_those_of_their_neighbours() {
    let world = world_of(&["alice"]).await;
    world.create("o-1").await;
    for path in ["/users/alice/erase", "/orders/alice-1/retry", "/orders/o-1/cancel"] {
        let problem = world.post(path, &json!({"dry_run": true})).await.problem(422);
        assert_eq!(problem["errors"][0]["pointer"], "#/dry_run", "{path}: {problem}");
    }
    assert_eq!(world.get("/orders/o-1").await.expect(200)["status"], "pending");
    assert_eq!(user_of(&world, "alice-1").await, "alice");
    // Many clients name a type even if there is no body.
    let empty = with_header(post_empty("/orders/o-1/cancel"), "content-type", "application/x-www-form-urlencoded");
    world.call(empty).await.expect(200);
    world.post("/users/alice/erase", &json!({})).await.expect(200);
}

#[tokio::test]
async fn erased_orders_have_a_pseudonym_each_and_nothing_of_the_user() {
    let world = world_of(&["alice", "bob"]).await;
    let before = world.get("/orders/alice-1").await.expect(200);
    assert_eq!(erase(&world, "alice").await.expect(200), json!({"erased": 2, "more": false}));
    let pseudonyms = [user_of(&world, "alice-1").await, user_of(&world, "alice-2").await];
    assert!(pseudonyms.iter().all(|user| user.starts_with("erased-")), "{pseudonyms:?}");
    assert_ne!(pseudonyms[0], pseudonyms[1]);
    let keyed = "SELECT coalesce(string_agg(order_id, ' ' ORDER BY order_id), '') FROM orders WHERE idempotency_key IS NOT NULL";
    assert_eq!(world.value::<String>(keyed).await, "bob-1 bob-2");
    let mut after = world.get("/orders/alice-1").await.expect(200);
    assert_eq!(after["metadata"], json!({}));
    (after["user_id"], after["metadata"]) = ("alice".into(), json!({"gift for": "alice"}));
    assert_eq!((after, user_of(&world, "bob-1").await.as_str()), (before, "bob"));
    let listed = world.call_as("alice", "orders/read", get("/orders")).await.expect(200);
    assert_eq!(listed["orders"], json!([]));
    world.call_as("alice", "orders/read", get("/orders/alice-1")).await.problem(404);
    for user_id in ["alice", "nobody", "%C3%A4%20b%23c"] {
        assert_eq!(erase(&world, user_id).await.expect(200), json!({"erased": 0, "more": false}));
    }
    assert_eq!(user_of(&world, "alice-1").await, pseudonyms[0]);
}

#[tokio::test]
async fn order_that_is_active_or_not_announced_keeps_its_user() {
    let world = World::new().await;
    create(&world, "o-1", "alice").await;
    // The call refuses these orders before. One may come, or be retried, after that.
    let alice = "alice".parse().unwrap();
    let store = tests::store(&world.env_with(("EVENT_BUS", "default")));
    let erase = async || store.erase_user(&alice, 10).await.unwrap();
    assert_eq!(erase().await, 0);
    fail_without_announcing(&world, "o-1").await;
    assert_eq!(erase().await, 0);
    world.execute("DELETE FROM order_ends").await;
    assert_eq!(erase().await, 1);
}

#[tokio::test]
async fn erased_user_is_gone_from_the_orders_histories() {
    let world = World::new().await;
    create(&world, "cancelled", "alice").await;
    world.refuse(&["cancelled"], "out of stock").await;
    world.post("/orders/cancelled/retry", &json!({})).await.expect(200);
    let cancel = post("/orders/cancelled/cancel", &json!({}));
    world.call_as("alice", "orders/write", cancel).await.expect(200);
    // A machine's token has the same identifier as its subject and as its client.
    world.execute("UPDATE order_events SET client = 'alice' WHERE subject = 'alice'").await;
    let authors = async || {
        let history = world.get("/orders/cancelled/history").await.expect(200);
        let by =
            |change: &str| history["changes"].as_array().unwrap().iter().find(|it| it["change"] == change).cloned();
        ["retried", "cancelled"].map(|change| by(change).map(|it| (it["subject"].clone(), it["client"].clone())))
    };
    let [operator, user] = authors().await;
    assert_eq!(user, Some((json!("alice"), json!("alice"))));
    assert_eq!(operator.as_ref().unwrap().0, "admin");
    erase(&world, "alice").await.expect(200);
    let pseudonym = user_of(&world, "cancelled").await;
    assert_eq!(authors().await, [operator, Some((json!(pseudonym), Value::Null))]);
}

#[tokio::test]
async fn user_of_a_path_is_decoded_once() {
    let world = World::new().await;
    for (order_id, user_id) in [("o-1", "alice@example.com"), ("o-2", "alice%40example.com")] {
        create(&world, order_id, user_id).await;
        world.process(&[order_id]).await;
    }
    let refused = ["alice%2540example.com", "alice%252540example.com", "a%00b", &"u".repeat(129)];
    for user_id in refused {
        assert_eq!(erase(&world, user_id).await.problem(422)["errors"][0]["pointer"], "{user_id}");
    }
    erase(&world, "alice%2Fexample.com").await.problem(404);
    assert_eq!(erase(&world, "alice%40example.com").await.expect(200)["erased"], 1);
    assert_eq!(user_of(&world, "o-2").await, "alice%40example.com");
}

#[tokio::test]
async fn active_orders_refuse_an_erasure_by_their_number() {
    let world = World::with(&[("EVENT_BUS", "default")]).await;
    for (order_id, user_id) in [("of-bob", "bob"), ("active-1", "alice"), ("active-2", "alice")] {
        create(&world, order_id, user_id).await;
    }
    let counted = async || erase(&world, "alice").await.problem(409)["detail"].as_str().unwrap().to_owned();
    // A user with few orders, and one with more than a call reads.
    for more in [5, 1000] {
        let order_id = format!("'o-' || {more} + i");
        world.insert_ended(more, "0 s", &[("order_id", &order_id)]).await;
        assert!(counted().await.contains("whose event is not yet published: 2."), "{}", counted().await);
    }
    assert_eq!(user_of(&world, "o-6").await, "alice");
    // One end that is not announced, and one of an order that was retried since.
    let ends = "INSERT INTO order_ends (order_id, sequence, ended_at) VALUES ('o-6', 1, now()), ('active-1', 1, now())";
    world.execute(ends).await;
    assert!(counted().await.contains("whose event is not yet published: 3."), "{}", counted().await);
    world.execute("DELETE FROM order_ends; DELETE FROM order_work").await;
    let ended = "UPDATE orders SET cancelled = true, finished_at = now() WHERE finished_at IS NULL";
    world.execute(ended).await;
    assert_eq!(erase(&world, "alice").await.expect(200)["erased"], 1007);
}

#[tokio::test]
async fn order_that_is_locked_is_left_for_the_next_call() {
    let world = world_of(&["alice"]).await;
    world.execute("BEGIN; SELECT FROM orders WHERE order_id = 'alice-1' FOR UPDATE").await;
    assert_eq!(erase(&world, "alice").await.expect(200), json!({"erased": 1, "more": true}));
    world.execute("ROLLBACK").await;
    assert_eq!(erase(&world, "alice").await.expect(200), json!({"erased": 1, "more": false}));
}

#[tokio::test]
async fn order_that_ends_again_during_an_erasure_keeps_its_user() {
    let role = AppRole::of(World::with(&[("EVENT_BUS", "default")]).await).await;
    let world = &role.world;
    for order_id in ["o-1", "gate"] {
        create(world, order_id, "alice").await;
        fail_without_announcing(world, order_id).await;
    }
    // The erasure waits at the gate, the newest order, which it reads first.
    let gate = "DELETE FROM order_ends;
        CREATE FUNCTION passes(order_id text) RETURNS boolean LANGUAGE plpgsql AS $$
            BEGIN IF order_id = 'gate' THEN PERFORM pg_advisory_xact_lock(1); END IF; RETURN true; END $$;
        ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
        CREATE POLICY gate ON orders USING (passes(order_id));
        SELECT pg_advisory_lock(1)";
    world.execute(gate).await;
    let alice = "alice".parse().unwrap();
    let store = tests::store(&world.env_with(("DATABASE_URL", &role.url())));
    let (erased, ()) = tokio::join!(store.erase_user(&alice, 10), async {
        world.wait_for_locked_out(1).await;
        world.post("/orders/o-1/retry", &json!({})).await.expect(200);
        fail_without_announcing(world, "o-1").await;
        world.execute("SELECT pg_advisory_unlock(1)").await;
    });
    assert_eq!((erased.unwrap(), user_of(world, "o-1").await.as_str()), (1, "alice"));
}

#[tokio::test]
async fn erasure_is_logged_with_the_caller_and_without_the_user() {
    let world = world_of(&["ursula"]).await;
    let log = Log::listen(Level::INFO);
    create(&world, "active", "ursula").await;
    let call = async |path| world.call_as("olga", "orders/admin", post_empty(path)).await;
    for path in ["/users/ursula/erase/", "//users/ursula/erase"] {
        call(path).await.problem(404);
    }
    call("/users/ursula/erase").await.problem(409);
    world.post("/orders/active/cancel", &Value::Null).await.expect(200);
    call("/users/ursula/erase").await.expect(200);
    let text = log.text();
    let line = text.lines().find(|line| line.contains("erased a user") && line.contains("erased=3")).expect(&text);
    assert!(line.contains("caller=\"olga\"") && text.contains("/users/{user_id}/erase"), "{text}");
    assert!(!text.contains("ursula"), "{text}");
}
