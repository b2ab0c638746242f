//! `POST /orders/batch`: many orders in one call, each accepted or refused by itself.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::{World, call_in_process, order, order_with, post, with_header};

use crate::slow::SlowQueues;

async fn create_all(world: &World, orders: &[Value]) -> Value {
    world.post("/orders/batch", &json!({"orders": orders})).await.expect(200)
}

async fn send_with_key(world: &World, orders: &[Value], key: &str) -> Value {
    let batch = post("/orders/batch", &json!({"orders": orders}));
    world.call(with_header(batch, "idempotency-key", key)).await.expect(200)
}

fn statuses(result: &Value) -> Vec<u64> {
    result["results"].as_array().unwrap().iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn valid_orders_are_created_and_invalid_ones_refused_in_place() {
    let world = World::new().await;
    let bad = order_with("o-2", &json!({"total_amount": 1.005}));
    let bobs = order_with("o-4", &json!({"user_id": "bob"}));
    let batch = post("/orders/batch", &json!({"orders": [order("o-1"), bad, json!(7), order("o-3"), bobs]}));
    let result = world.call_as("alice", "orders/write", batch).await.expect(200);
    assert_eq!((statuses(&result), &result["accepted"]), (vec![201, 422, 422, 201, 403], &json!(2)));
    let results = &result["results"];
    assert_eq!(results[0]["order"], world.get("/orders/o-1").await.expect(200));
    assert_eq!(results[1]["problem"]["errors"][0]["pointer"], "#/orders/1/total_amount");
    let no_object = json!([{"pointer": "#/orders/2", "detail": "must be an object"}]);
    assert_eq!(results[2]["problem"]["errors"], no_object);
    assert_eq!((&results[1]["order"], &results[0]["problem"]), (&Value::Null, &Value::Null));
    assert_eq!((world.order_count().await, world.queue_depth().await), (2, 2));
}

#[tokio::test]
async fn five_hundred_orders_are_stored_as_sent() {
    let SlowQueues { world, queues, .. } = SlowQueues::new(&[]).await;
    let awkward = ["\"", "\\", "{}", "a,b", "NULL", "'", "ü\u{2028}", "{\"a\":[]}"];
    let order = |number: usize| {
        let items: Vec<_> = awkward.iter().cycle().skip(number).take(1 + number % 5).collect();
        json!({"order_id": format!("o-{number}"), "user_id": "al\"ice\\", "item_ids": items, "total_amount": number})
    };
    let orders: Vec<_> = (0..500).map(order).collect();
    let result = create_all(&world, &orders).await;
    assert_eq!(statuses(&result), [201; 500]);
    for number in [0, 1, 4, 7, 499] {
        let stored = world.get(&format!("/orders/o-{number}")).await.expect(200);
        assert_eq!(stored["item_ids"], orders[number]["item_ids"]);
        assert_eq!(stored["user_id"], "al\"ice\\");
        assert_eq!(stored["total_amount"], format!("{number}.00"));
    }
    let sent: BTreeSet<_> = queues.steal(usize::MAX).into_iter().collect();
    assert_eq!((world.order_count().await, sent.len()), (500, 500));
    assert_eq!(world.value::<i64>("SELECT count(*) FROM order_work").await, 500);
}

#[tokio::test]
async fn repeated_batch_creates_no_order_twice() {
    let world = World::new().await;
    for messages in [2, 4] {
        create_all(&world, &[order("o-1"), order("o-2")]).await;
        assert_eq!(world.queue_depth().await, messages, "the messages of the first call may not have been sent");
    }
    let other = |order_id| order_with(order_id, &json!({"total_amount": "1.00"}));
    // The first of the orders with the same identifier is created.
    let batch = [order("o-1"), other("o-2"), order("o-3"), other("o-3"), order("o-3")];
    for status in [201, 200] {
        assert_eq!(statuses(&create_all(&world, &batch).await), [200, 409, status, 409, 200]);
    }
    assert_eq!(world.get("/orders/o-3").await.expect(200)["total_amount"], "59.98");
    assert_eq!(world.order_count().await, 3);
}

#[tokio::test]
async fn lookup_that_fails_for_good_is_a_fault_of_the_service() {
    let world = World::new().await;
    create_all(&world, &[order("o-1")]).await;
    world.execute("ALTER VIEW order_states RENAME TO out_of_sight").await;
    assert_eq!(statuses(&create_all(&world, &[order("o-1"), order("o-2")]).await), [500, 201]);
}

#[tokio::test]
async fn idempotency_key_identifies_each_order_of_a_repeated_batch() {
    let world = World::new().await;
    let anonymous = json!({"user_id": "alice", "item_ids": ["a"], "total_amount": 1});
    let send = async |orders: &[Value]| send_with_key(&world, orders, "k-1").await;
    let same = vec![anonymous; 3];
    let first = send(&same[..2]).await;
    assert_eq!(statuses(&first), [201, 201]);
    let again = send(&same).await;
    assert_eq!(statuses(&again), [200, 200, 201]);
    assert_eq!(again["results"][1]["order"]["order_id"], first["results"][1]["order"]["order_id"]);
    let other = [json!({"user_id": "alice", "item_ids": ["b"], "total_amount": 1})];
    assert_eq!(statuses(&send(&other).await), [422]);
    // One order alone has the key itself, not that of a position.
    world.call(with_header(post("/orders", &other[0]), "idempotency-key", "k-1")).await.expect(201);
    assert_eq!(world.order_count().await, 4);
}

#[tokio::test]
async fn part_of_a_batch_is_accepted_only_without_the_batch_key() {
    let world = World::new().await;
    let send = async |orders: &[Value], key: &str| statuses(&send_with_key(&world, orders, key).await);
    let bad = order_with("o-2", &json!({"total_amount": -1}));
    assert_eq!(send(&[order("o-1"), bad], "k-1").await, [201, 422]);
    assert_eq!(send(&[order("o-2")], "k-1").await, [422], "its position has the key of o-1");
    assert_eq!(statuses(&create_all(&world, &[order("o-2")]).await), [201]);
    assert_eq!(send(&[order("o-2")], "k-2").await, [200]);
    assert_eq!(send(&[order("o-1"), order("o-2")], "k-1").await, [200, 200]);
}

/// Some clients send a new key with each attempt.
#[tokio::test]
async fn concurrent_repeats_create_each_order_once() {
    let world = World::new().await;
    let (api, other) = (world.another_api(), world.another_api());
    for round in 0..5 {
        let named: Vec<_> = (0..100).map(|number| order(&format!("o-{round}-{number}"))).collect();
        let unnamed = vec![json!({"user_id": "alice", "item_ids": ["a"], "total_amount": 1}); 100];
        for (orders, keys) in [(named, ["k-1", "k-2"]), (unnamed, ["k-3", "k-3"])] {
            let send = async |api, orders: &[Value], key: &str| {
                let batch = post("/orders/batch", &json!({"orders": orders}));
                let batch = with_header(batch, "idempotency-key", &format!("{key}-{round}"));
                statuses(&call_in_process(api, Some(("alice", "orders/write")), batch).await.expect(200))
            };
            // Two orders in the other order would deadlock if the statement did not sort them.
            let is_reversed = round % 2 == 1 && keys[0] != keys[1];
            let mut others = orders.clone();
            if is_reversed {
                others.reverse();
            }
            let (one, mut two) = tokio::join!(send(&api, &orders, keys[0]), send(&other, &others, keys[1]));
            if is_reversed {
                two.reverse();
            }
            let created = one.iter().zip(&two).all(|(one, two)| one + two == 401);
            assert!(created, "{keys:?}: {one:?} {two:?}");
        }
    }
}

#[tokio::test]
async fn malformed_batch_is_refused_as_a_whole() {
    let world = World::new().await;
    for (body, status) in [
        (json!({"orders": []}), 422),
        (json!({"orders": vec![order("o-1"); 501]}), 422),
        (json!({"orders": {}}), 422),
        (json!({"orders": [order("o-1")], "more": 1}), 422),
        (json!({}), 422),
        (json!([]), 400),
        (json!({"orders": ["x".repeat(4 << 20)]}), 413),
    ] {
        world.post("/orders/batch", &body).await.problem(status);
    }
    assert_eq!((world.order_count().await, world.queue_depth().await), (0, 0));
}
