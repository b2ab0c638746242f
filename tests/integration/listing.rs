//! `GET /orders`: the content of a list, and paging that neither skips nor repeats orders.

use std::collections::HashSet;

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;
use tests::World;

/// The order ids on a page.
pub fn ids(page: &Value) -> Vec<String> {
    let orders = page["orders"].as_array().unwrap();
    orders.iter().map(|order| order["order_id"].as_str().unwrap().to_owned()).collect()
}

/// Inserts `count` orders, half of them alice's and half bob's, several in each microsecond.
async fn insert(world: &World, prefix: &str, count: i32) {
    world
        .execute(&format!(
            "WITH inserted AS (
                INSERT INTO orders (order_id, user_id, item_ids, total_amount, created_at)
                SELECT '{prefix}' || i, CASE i % 2 WHEN 0 THEN 'alice' ELSE 'bob' END, '{{i}}', i,
                    '2026-01-01'::timestamptz + (i / 3) * interval '1 microsecond'
                FROM generate_series(1, {count}) AS i RETURNING order_id, created_at
            ) INSERT INTO order_work (order_id, created_at, due_at) SELECT order_id, created_at, now() FROM inserted"
        ))
        .await;
}

/// Reads all pages by their cursors and returns the ids. Calls `between` after each page.
pub async fn walk(world: &World, query: &str, between: impl AsyncFn()) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/orders?{query}{cursor}")).await.expect(200);
        seen.extend(ids(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
        between().await;
    }
}

#[tokio::test]
async fn paging_shows_every_order_once_while_others_are_created() {
    let world = World::new().await;
    insert(&world, "old-", 100).await;
    let created = std::sync::atomic::AtomicI32::new(0);
    let seen = walk(&world, "limit=7", async || {
        let number = created.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        world.create(&format!("new-{number}")).await;
    })
    .await;
    assert!(created.into_inner() > 10);
    let old: Vec<_> = seen.iter().filter(|id| id.starts_with("old-")).collect();
    assert_eq!(old.len(), 100);
    assert_eq!(old.iter().collect::<HashSet<_>>().len(), 100);
    let sql = "SELECT order_id FROM orders WHERE order_id LIKE 'old-%' ORDER BY created_at DESC, order_id DESC";
    let expected: Vec<String> = world.rows(sql, &[]).await.iter().map(|row| row.get(0)).collect();
    assert_eq!(old.into_iter().cloned().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn last_page_has_no_next_cursor() {
    let world = World::new().await;
    insert(&world, "o-", 4).await;
    assert_eq!(world.get("/orders?limit=4").await.expect(200)["next_cursor"], Value::Null);
    let page = world.get("/orders?limit=2").await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let last = world.get(&format!("/orders?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!((ids(&last).len(), &last["next_cursor"]), (2, &Value::Null));
    assert_eq!(ids(&World::new().await.get("/orders").await.expect(200)).len(), 0);
}

#[tokio::test]
async fn list_is_filtered_by_status_and_user() {
    let world = World::new().await;
    insert(&world, "o-", 10).await;
    world.execute("DELETE FROM order_work WHERE order_id IN ('o-1', 'o-2', 'o-3')").await;
    world
        .execute(
            "UPDATE orders SET started_at = now(), finished_at = now() WHERE order_id = 'o-1';
            UPDATE orders SET started_at = now(), finished_at = now(), failure = 'f' WHERE order_id = 'o-2';
            UPDATE orders SET cancelled = true, finished_at = now() WHERE order_id = 'o-3';
            UPDATE order_work SET started_at = now() WHERE order_id = 'o-4'",
        )
        .await;
    for (query, expected) in [
        ("status=completed", &["o-1"][..]),
        ("status=failed", &["o-2"]),
        ("status=cancelled", &["o-3"]),
        ("status=processing", &["o-4"]),
        ("status=pending", &["o-9", "o-10", "o-8", "o-7", "o-6", "o-5"]),
        ("status=pending&user_id=bob", &["o-9", "o-7", "o-5"]),
        ("status=failed&user_id=bob", &[]),
    ] {
        assert_eq!(walk(&world, &format!("{query}&limit=2"), async || {}).await, expected, "{query}");
    }
}

#[tokio::test]
async fn user_sees_only_its_own_orders() {
    let world = World::new().await;
    insert(&world, "o-", 6).await;
    let ask = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let page = world.call_as("alice", "orders/read", ask("/orders")).await.expect(200);
    assert_eq!(ids(&page), ["o-6", "o-4", "o-2"]);
    world.call_as("alice", "orders/read", ask("/orders?user_id=alice")).await.expect(200);
    world.call_as("alice", "orders/read", ask("/orders?user_id=bob")).await.problem(403);
    world.call_as("alice", "orders/write", ask("/orders")).await.problem(403);
    world.call_unknown(ask("/orders")).await.problem(401);
}
