//! Lists of a rare status: the work for a page is bounded.

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;
use tests::{World, call_in_process};

use crate::released::{recorded, unprepared};

/// A world with more active orders than the api reads for a page, and three older, completed orders.
async fn world_with_few_completed() -> World {
    let world = World::new().await;
    world
        .execute(
            "WITH active AS (
                INSERT INTO orders (order_id, user_id, item_ids, total_amount, created_at)
                SELECT 'active-' || i, 'alice', '{a}', 1, now() - i * interval '1 ms' FROM generate_series(1, 10100) AS i
                RETURNING order_id, created_at
            ) INSERT INTO order_work (order_id, created_at, due_at) SELECT order_id, created_at, now() FROM active;
            INSERT INTO orders (order_id, user_id, item_ids, total_amount, created_at, started_at, finished_at)
            SELECT 'done-' || i, 'alice', '{a}', 1, now() - (10 + i) * interval '1 day', now(), now()
            FROM generate_series(1, 3) AS i",
        )
        .await;
    world
}

async fn page(world: &World, query: &str, cursor: &Value) -> (usize, Value) {
    let cursor = cursor.as_str().map_or(String::new(), |cursor| format!("&cursor={cursor}"));
    let page = world.get(&format!("/orders?{query}{cursor}")).await.expect(200);
    (page["orders"].as_array().unwrap().len(), page["next_cursor"].clone())
}

#[tokio::test]
async fn page_of_a_rare_status_ends_early_with_a_cursor() {
    let world = world_with_few_completed().await;
    for query in ["status=completed&limit=2", "status=completed&user_id=alice&limit=2"] {
        let (first, cursor) = page(&world, query, &Value::Null).await;
        assert!(first == 0 && cursor.is_string(), "{query}: {first} {cursor}");
        let (second, cursor) = page(&world, query, &cursor).await;
        assert!(second == 2 && cursor.is_string(), "{query}: {second} {cursor}");
        assert_eq!(page(&world, query, &cursor).await, (1, Value::Null), "{query}");
    }
    for query in ["status=cancelled", "status=failed", "status=processing"] {
        assert_eq!(page(&world, query, &Value::Null).await, (0, Value::Null), "{query}");
    }
}

/// Two statements see two states: an order that is retried in between would move the end of the scan.
#[tokio::test]
async fn page_and_the_end_of_its_scan_are_of_one_statement() {
    let world = world_with_few_completed().await;
    let (recording, url) = recorded(&world).await;
    let (api, _) = unprepared(&world, &url);
    let request = Request::get("/orders?status=completed&limit=2").body(Body::empty()).unwrap();
    let page = call_in_process(&api, Some(("admin", "orders/read orders/admin")), request).await.expect(200);
    assert!(page["next_cursor"].is_string(), "{page}");
    let of_orders = |sql: &str| sql.contains("FROM orders");
    assert_eq!(recording.statements().iter().filter(|statement| of_orders(&statement.sql)).count(), 1);
}
