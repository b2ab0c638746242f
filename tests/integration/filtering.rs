//! `GET /orders` with the filters of backends: by identifiers, by time and by cause; each page by page, and bounded.

use serde_json::Value;
use tests::{World, get, ids, walk};

/// Ten orders a user of alice and bob, `o-1` to `o-20`, a second apart from 2026-01-01. Every fifth has failed, every seventh is completed,
/// `o-11` is processing and `o-13` cancelled.
async fn world() -> World {
    let world = World::new().await;
    let failed = "'given up after ' || i || ' attempts: the shop (50%_off) answered 503'";
    let columns = [
        ("user_id", "CASE i % 2 WHEN 0 THEN 'alice' ELSE 'bob' END"),
        ("created_at", "'2026-01-01T00:00:00Z'::timestamptz + i * interval '1 second'"),
        ("started_at", "CASE WHEN i % 5 = 0 OR i % 7 = 0 THEN now() END"),
        ("finished_at", "CASE WHEN i % 5 = 0 OR i % 7 = 0 OR i = 13 THEN now() END"),
        ("cancelled", "i = 13"),
        ("failure", &format!("CASE WHEN i % 5 = 0 THEN {failed} END")),
    ];
    world.insert(20, &columns).await;
    world.execute("UPDATE order_work SET started_at = now() WHERE order_id = 'o-11'").await;
    world
}

/// The numbers of the orders that a query lists, read in pages of two.
async fn listed(world: &World, query: &str) -> String {
    let ids = walk(&format!("limit=2&{query}"), async |path| world.get(path).await.expect(200)).await;
    ids.iter().map(|id| &id[2..]).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn filters_list_the_orders_that_match_all_of_them_newest_first() {
    let world = world().await;
    let three = "order_id=o-3&order_id=o-10&order_id=o-6&order_id=none&order_id=o-3";
    let range = "created_from=2026-01-01T00:00:05Z&created_before=2026-01-01T01:00:11%2B01:00";
    for (query, expected) in [
        ("order_id=none", ""),
        (three, "10 6 3"),
        (&format!("{three}&status=pending"), "6 3"),
        (&format!("{three}&status=failed"), "10"),
        (&format!("{three}&user_id=alice"), "10 6"),
        (&format!("{three}&cause=503"), "10"),
        (&format!("{three}&created_before=2026-01-01T00:00:10Z"), "6 3"),
        ("status=completed", "14 7"),
        ("status=failed", "20 15 10 5"),
        ("status=cancelled", "13"),
        ("status=processing", "11"),
        ("status=pending", "19 18 17 16 12 9 8 6 4 3 2 1"),
        ("status=pending&user_id=bob", "19 17 9 3 1"),
        ("status=processing&user_id=alice", ""),
        // A range begins at its first moment, and ends before its last.
        (range, "10 9 8 7 6 5"),
        (&format!("{range}&user_id=bob"), "9 7 5"),
        (&format!("{range}&status=pending"), "9 8 6"),
        (&format!("{range}&status=completed"), "7"),
        (&format!("{range}&status=failed"), "10 5"),
        (&format!("{range}&status=cancelled"), ""),
        (&format!("{range}&status=failed&user_id=alice"), "10"),
        (&format!("{range}&cause=attempts"), "10 5"),
        (&format!("{range}&cause=attempts&user_id=bob"), "5"),
        ("created_from=2026-01-01T00:00:19Z", "20 19"),
        ("created_before=2026-01-01T00:00:03Z", "2 1"),
        ("created_from=2026-01-01T00:00:09Z&created_before=2026-01-01T00:00:09Z", ""),
        // A cause is a part of the failure, as it is written.
        ("cause=after%2015%20attempts", "15"),
        ("cause=503", "20 15 10 5"),
        ("cause=(50%25_off)", "20 15 10 5"),
        ("cause=50_", ""),
        ("cause=Attempts", ""),
        ("cause=", "20 19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1"),
        ("cause=503&status=failed&user_id=alice", "20 10"),
        ("cause=503&status=completed", ""),
    ] {
        assert_eq!(listed(&world, query).await, expected, "{query}");
    }
    let hundred: Vec<_> = (1..=100).map(|i| format!("order_id=o-{i}")).collect();
    let page = world.get(&format!("/orders?limit=200&{}", hundred.join("&"))).await.expect(200);
    assert_eq!((ids(&page).len(), &page["next_cursor"]), (20, &Value::Null));
}

#[tokio::test]
async fn query_that_is_not_utf_8_is_malformed() {
    let world = World::new().await;
    for path in ["/orders?user_id=%e9", "/orders?cause=%c3", "/metrics?hours=%ff"] {
        let problem = world.get(path).await.problem(400);
        assert_eq!(problem["type"], "/docs/problems#malformed", "{path}");
    }
    world.get("/orders?user_id=%c3%a9").await.expect(200);
}

#[tokio::test]
async fn user_sees_only_its_own_orders() {
    let world = world().await;
    for (user, scope, query, expected) in [
        ("alice", "orders/read", "limit=3", ["o-20", "o-18", "o-16"].as_slice()),
        ("alice", "orders/read", "limit=2&user_id=alice", &["o-20", "o-18"]),
        ("alice", "orders/read", "order_id=o-2&order_id=o-3", &["o-2"]),
        ("shop", "orders/read.all", "order_id=o-2&order_id=o-3", &["o-3", "o-2"]),
    ] {
        let page = world.call_as(user, scope, get(&format!("/orders?{query}"))).await.expect(200);
        assert_eq!(ids(&page), expected, "{user}: {query}");
    }
    world.call_as("alice", "orders/read", get("/orders?user_id=bob")).await.problem(403);
}
