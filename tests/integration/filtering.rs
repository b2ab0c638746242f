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

/// The numbers of the orders on a page.
fn numbers(page: &Value) -> Vec<String> {
    ids(page).iter().map(|id| id[2..].to_owned()).collect()
}

/// The numbers of the orders that a query lists, read in pages of two.
async fn listed(world: &World, query: &str) -> String {
    let ids = walk(&format!("limit=2&{query}"), async |path| world.get(path).await.expect(200)).await;
    ids.iter().map(|id| &id[2..]).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn orders_are_listed_by_their_identifiers_newest_first() {
    let world = world().await;
    let three = "order_id=o-3&order_id=o-10&order_id=o-6&order_id=none&order_id=o-3";
    for (query, expected) in [
        (three.to_owned(), "10 6 3"),
        (format!("{three}&status=pending"), "6 3"),
        (format!("{three}&status=failed"), "10"),
        (format!("{three}&user_id=alice"), "10 6"),
        (format!("{three}&cause=503"), "10"),
        (format!("{three}&created_before=2026-01-01T00:00:10Z"), "6 3"),
        ("order_id=none".to_owned(), ""),
    ] {
        assert_eq!(listed(&world, &query).await, expected, "{query}");
    }
    let hundred: Vec<_> = (1..=100).map(|i| format!("order_id=o-{i}")).collect();
    let page = world.get(&format!("/orders?limit=200&{}", hundred.join("&"))).await.expect(200);
    assert_eq!((numbers(&page).len(), &page["next_cursor"]), (20, &Value::Null));
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
        ("alice", "orders/read", "limit=3", ["20", "18", "16"].as_slice()),
        ("alice", "orders/read", "limit=2&user_id=alice", &["20", "18"]),
        ("alice", "orders/read", "order_id=o-2&order_id=o-3", &["2"]),
        ("shop", "orders/read.all", "order_id=o-2&order_id=o-3", &["3", "2"]),
    ] {
        let page = world.call_as(user, scope, get(&format!("/orders?{query}"))).await.expect(200);
        assert_eq!(numbers(&page), expected, "{user}: {query}");
    }
    world.call_as("alice", "orders/read", get("/orders?user_id=bob")).await.problem(403);
}

#[tokio::test]
async fn list_is_filtered_by_status_and_user() {
    let world = world().await;
    for (query, expected) in [
        ("status=completed", "14 7"),
        ("status=failed", "20 15 10 5"),
        ("status=cancelled", "13"),
        ("status=processing", "11"),
        ("status=pending", "19 18 17 16 12 9 8 6 4 3 2 1"),
        ("status=pending&user_id=bob", "19 17 9 3 1"),
        ("status=processing&user_id=alice", ""),
    ] {
        assert_eq!(listed(&world, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn range_of_times_is_half_open_and_goes_with_every_filter() {
    let world = world().await;
    let range = "created_from=2026-01-01T00:00:05Z&created_before=2026-01-01T01:00:11%2B01:00";
    for (query, expected) in [
        ("", "10 9 8 7 6 5"),
        ("&user_id=bob", "9 7 5"),
        ("&status=pending", "9 8 6"),
        ("&status=completed", "7"),
        ("&status=failed", "10 5"),
        ("&status=cancelled", ""),
        ("&status=failed&user_id=alice", "10"),
        ("&cause=attempts", "10 5"),
        ("&cause=attempts&user_id=bob", "5"),
    ] {
        assert_eq!(listed(&world, &format!("{range}{query}")).await, expected, "{query}");
    }
    assert_eq!(listed(&world, "created_from=2026-01-01T00:00:19Z").await, "20 19");
    assert_eq!(listed(&world, "created_before=2026-01-01T00:00:03Z").await, "2 1");
    assert_eq!(listed(&world, "created_from=2026-01-01T00:00:09Z&created_before=2026-01-01T00:00:09Z").await, "");
}

#[tokio::test]
async fn cause_is_a_part_of_the_failure_as_it_is_written() {
    let world = world().await;
    for (cause, expected) in [
        ("after%2015%20attempts", "15"),
        ("503", "20 15 10 5"),
        ("(50%25_off)", "20 15 10 5"),
        ("50_", ""),
        ("Attempts", ""),
        ("", "20 19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1"),
    ] {
        assert_eq!(listed(&world, &format!("cause={cause}")).await, expected, "{cause}");
    }
    assert_eq!(listed(&world, "cause=503&status=failed&user_id=alice").await, "20 10");
    assert_eq!(listed(&world, "cause=503&status=completed").await, "");
}

#[tokio::test]
async fn page_of_a_rare_cause_ends_after_two_thousand_failures() {
    let world = World::new().await;
    let failure = "CASE i WHEN 2001 THEN 'rare' ELSE 'common' END";
    world.insert_ended(2_001, "0 s", &[("created_at", "now() - i * interval '1 second'"), ("failure", failure)]).await;
    let first = world.get("/orders?cause=rare").await.expect(200);
    assert_eq!((numbers(&first).len(), first["next_cursor"].is_string()), (0, true));
    let second = world.get(&format!("/orders?cause=rare&cursor={}", first["next_cursor"].as_str().unwrap())).await;
    assert_eq!(numbers(&second.expect(200)), ["2001"]);
}
