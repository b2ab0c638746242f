//! `GET /orders`: the content of a list, paging that neither skips nor repeats orders, and its bounds. The filters are in `filtering.rs`.

use std::collections::HashSet;

use serde_json::Value;
use tests::{World, call_in_process, get, ids, walk};

use crate::released::recorder::Recording;

/// Inserts `count` orders, several in each microsecond.
async fn insert(world: &World, prefix: &str, count: usize) {
    let created_at = "'2026-01-01'::timestamptz + (i / 3) * interval '1 microsecond'";
    world.insert(count, &[("order_id", &format!("'{prefix}' || i")), ("created_at", created_at)]).await;
}

#[tokio::test]
async fn paging_shows_every_order_once_while_others_are_created() {
    let world = World::new().await;
    insert(&world, "old-", 100).await;
    let mut pages = 0;
    let seen = walk("limit=7", async |path| {
        let page = world.get(path).await.expect(200);
        pages += 1;
        world.create(&format!("new-{pages}")).await;
        page
    })
    .await;
    assert!(pages > 11);
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

/// A world with more active orders than the api reads for a page, and three older, completed orders.
async fn world_with_few_completed() -> World {
    let world = World::new().await;
    let active = [("order_id", "'active-' || i"), ("created_at", "now() - i * interval '1 ms'")];
    world.insert(2_100, &active).await;
    let done = [("order_id", "'done-' || i"), ("created_at", "now() - (10 + i) * interval '1 day'")];
    world.insert_ended(3, "0 s", &done).await;
    world
}

async fn page(world: &World, query: &str, cursor: &Value) -> (usize, Value) {
    let cursor = cursor.as_str().map_or(String::new(), |cursor| format!("&cursor={cursor}"));
    let page = world.get(&format!("/orders?{query}{cursor}")).await.expect(200);
    (ids(&page).len(), page["next_cursor"].clone())
}

#[tokio::test]
async fn page_of_a_rare_status_or_cause_ends_early_with_a_cursor() {
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
    let failure = "CASE i WHEN 2001 THEN 'rare' ELSE 'common' END";
    let failed = [("order_id", "'failed-' || i"), ("created_at", "now() - i * interval '1 s'"), ("failure", failure)];
    world.insert_ended(2_001, "0 s", &failed).await;
    let (first, cursor) = page(&world, "cause=rare", &Value::Null).await;
    assert_eq!((first, page(&world, "cause=rare", &cursor).await.0), (0, 1), "the cause of one of 2,001 failures");
}

/// Two statements see two states: an order that is retried in between would move the end of the scan.
#[tokio::test]
async fn page_and_the_end_of_its_scan_are_of_one_statement() {
    let world = world_with_few_completed().await;
    let (recording, url) = Recording::start(&world).await;
    let api = world.api_with("DATABASE_URL", url.as_str());
    let request = get("/orders?status=completed&limit=2");
    let page = call_in_process(&api, Some(("admin", "orders/read orders/admin")), request).await.expect(200);
    assert!(page["next_cursor"].is_string(), "{page}");
    let of_orders = |sql: &str| sql.contains("FROM orders");
    assert_eq!(recording.statements().iter().filter(|statement| of_orders(&statement.sql)).count(), 1);
}
