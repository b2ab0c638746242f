//! The calls of operators: retrying failed orders, many at a time, and redriving the dead-letter queue.

mod redriving;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use processor::Outcome;
use sandbox::wire::{Moment, Ruling, ruled_by};
use serde_json::{Value, json};
use shared::db::retry::FailedFilter;
use tests::{Log, OutcomeBy, World, assert_members, call_in_process, eventually, post, post_empty};
use tracing::Level;

use redriving::world_with_dead_letters;

/// A world with these orders, all failed. The cause is the prefix of an order's id.
async fn world_with_failed(ids: &[&str]) -> World {
    let world = World::new().await;
    for id in ids {
        world.create(id).await;
        world.receive().await;
    }
    let refuse = OutcomeBy(|id: &str| Outcome::Fail(id.split('-').next().unwrap().to_owned()));
    world.process_with(refuse, ids).await;
    world
}

async fn retry(world: &World, options: Value) -> Value {
    world.post("/orders/retry", &options).await.expect(200)
}

#[tokio::test]
async fn retry_of_many_is_a_dry_run_by_default() {
    let world = world_with_failed(&["stock-1", "stock-2", "card-1"]).await;
    let causes = json!([{"failure": "stock", "orders": 2}, {"failure": "card", "orders": 1}]);
    let report = json!({"dry_run": true, "matched": 3, "retried": 0, "causes": causes});
    assert_eq!(retry(&world, json!({})).await, report);
    assert_eq!(world.call(post_empty("/orders/retry")).await.expect(200), report);
    assert_eq!((world.status("stock-1").await.as_str(), world.queue_depth().await), ("failed", 0));
}

#[tokio::test]
async fn retry_of_many_retries_only_filtered_orders() {
    let world = world_with_failed(&["stock-1", "stock-2", "card-1"]).await;
    let report = retry(&world, json!({"dry_run": false, "status": "failed", "cause": "card"})).await;
    assert_eq!((&report["matched"], &report["retried"]), (&json!(1), &json!(1)));
    assert_eq!((world.status("card-1").await.as_str(), world.status("stock-1").await.as_str()), ("pending", "failed"));
    assert_eq!(world.receive().await.as_deref(), Some("card-1"));
    let stock_1 = world.get("/orders/stock-1").await.expect(200);
    for (filter, matched) in [
        // A range begins at its first moment, and ends before its last.
        (json!({"order_ids": ["stock-1"], "failed_from": stock_1["finished_at"]}), 1),
        (json!({"order_ids": ["stock-1"], "failed_before": stock_1["finished_at"]}), 0),
        (json!({"order_ids": ["stock-1"], "created_from": stock_1["created_at"]}), 1),
        (json!({"order_ids": ["stock-1"], "created_before": stock_1["created_at"]}), 0),
        (json!({"user_id": "bob"}), 0),
        (json!({"cause": "%_\\'é"}), 0),
        (json!({"user_id": "alice"}), 2),
        (json!({"failed_from": "2100-01-01T00:00:00Z"}), 0),
        (json!({"created_from": "2100-01-01T00:00:00Z"}), 0),
        (json!({"created_before": "2100-01-01T00:00:00Z", "created_from": "2020-01-01T00:00:00Z"}), 2),
        (json!({"order_ids": ["stock-1", "card-1", "unknown"]}), 1),
        (json!({"failed_before": "2100-01-01T00:00:00+01:00", "failed_from": "2020-01-01T00:00:00Z"}), 2),
    ] {
        assert_eq!(retry(&world, filter.clone()).await["matched"], matched, "{filter}");
    }
    let metrics = world.get("/metrics").await.expect(200);
    assert_eq!((&metrics["status_counts"]["failed"], &metrics["status_counts"]["pending"]), (&json!(2), &json!(1)));
    let report = retry(&world, json!({"dry_run": false, "order_ids": ["stock-2", "card-1"]})).await;
    assert_eq!((&report["matched"], &report["retried"]), (&json!(1), &json!(1)));
    assert_eq!((world.status("stock-1").await.as_str(), world.status("stock-2").await.as_str()), ("failed", "pending"));
}

#[tokio::test]
async fn retried_orders_fall_due_at_the_given_rate_oldest_first() {
    let ids = ["x-1", "x-2", "x-3", "x-4", "x-5"];
    for (path, expected) in [
        ("/orders/retry", json!({"matched": 5, "retried": 3})),
        ("/dead-letters/redrive", json!({"found": 3, "retried": 3})),
    ] {
        let world = world_with_failed(&ids).await;
        for letter in &ids[..3] {
            world.send_dead_letter(letter).await;
        }
        let options = json!({"dry_run": false, "limit": 3, "per_second": 1});
        assert_members(&world.post(path, &options).await.expect(200), &expected);
        let sql = "SELECT order_id || ' in ' || round(extract(epoch FROM due_at - min(due_at) OVER ()))
            FROM order_work ORDER BY due_at";
        let due: Vec<String> = world.rows(sql, &[]).await.iter().map(|row| row.get(0)).collect();
        assert_eq!(due, ["x-1 in 0", "x-2 in 1", "x-3 in 2"], "{path}");
        assert!(world.value::<bool>("SELECT min(due_at) <= now() FROM order_work").await, "{path}");
        assert_eq!(world.queue_depth().await, 3);
    }
}

#[tokio::test]
async fn invalid_options_are_all_named_and_change_nothing() {
    let world = world_with_failed(&["x-1"]).await;
    world.create("x-2").await;
    let (retry, cancel) = (["/orders/retry"].as_slice(), ["/orders/cancel"].as_slice());
    let both = [retry, cancel].concat();
    for (paths, mut options, pointers) in [
        (&*both, json!({"limit": 0}), "#/limit"),
        (&both, json!({"limit": 1001}), "#/limit"),
        (&both, json!({"per_second": 0}), "#/per_second"),
        (&both, json!({"per_second": 1001}), "#/per_second"),
        (&both, json!({"user_id": ""}), "#/user_id"),
        (&both, json!({"status": "completed"}), "#/status"),
        (cancel, json!({"status": "processing"}), "#/status"),
        (&both, json!({"status": null}), "#/status"),
        (&both, json!({"order_ids": []}), "#/order_ids"),
        (&both, json!({"order_ids": vec!["x-1"; 1001]}), "#/order_ids"),
        (&both, json!({"order_ids": ["x-1", ".."]}), "#/order_ids/1"),
        (&both, json!({"created_from": "today"}), "#/created_from"),
        (retry, json!({"failed_from": "yesterday"}), "#/failed_from"),
        (retry, json!({"cause": ""}), "#/cause"),
        (retry, json!({"cause": "a\0b"}), "#/cause"),
        (retry, json!({"cause": "a\nb"}), "#/cause"),
        (retry, json!({"cause": "x".repeat(257)}), "#/cause"),
        (cancel, json!({"cause": "a"}), "#/cause"),
        (&both, json!({"dryrun": false}), "#/dryrun"),
        (&both, json!({"order_ids": [], "limit": 0, "per_second": 0}), "#/order_ids #/limit #/per_second"),
        (retry, json!({"limit": 0, "cause": ""}), "#/limit #/cause"),
    ] {
        options["dry_run"] = false.into();
        for path in paths {
            let problem = world.post(path, &options).await.problem(422);
            let errors = problem["errors"].as_array().unwrap().iter();
            let named: Vec<_> = errors.map(|error| error["pointer"].as_str().unwrap()).collect();
            assert_eq!(named.join(" "), pointers, "{path}: {options}");
        }
    }
    world.post("/dead-letters/redrive", &json!({"dry_run": false, "limit": 1001})).await.problem(422);
    assert_eq!((world.status("x-1").await.as_str(), world.status("x-2").await.as_str()), ("failed", "pending"));
}

#[tokio::test]
async fn order_may_be_named_like_a_call() {
    let world = World::new().await;
    for name in ["retry", "cancel", "batch"] {
        world.create(name).await;
        assert_eq!(world.get(&format!("/orders/{name}")).await.expect(200)["order_id"], name);
        world.post(&format!("/orders/{name}/cancel"), &json!({})).await.expect(200);
    }
}

/// The statement is committed and sent again, because the connection is cut before its answer.
#[tokio::test]
async fn retry_whose_answer_is_lost_enqueues_its_orders() {
    let retried = world_with_failed(&["stock-1", "stock-2"]).await;
    let redriven = world_with_dead_letters().await;
    for (world, path, report) in [
        (retried, "/orders/retry", json!({"matched": 2, "retried": 2})),
        (redriven, "/dead-letters/redrive", json!({"retried": 1, "requeued": 1, "ended": 1})),
    ] {
        let is_cut = AtomicBool::new(false);
        let hook = ruled_by(move |moment, statement| {
            let is_retry = moment == Moment::After && statement.query.sql.contains("SET started_at = NULL");
            if is_retry && !is_cut.swap(true, Relaxed) { Ruling::Cut } else { Ruling::Pass }
        });
        let (_wire, url) = world.behind_a_proxy(hook).await;
        let api = world.api_with("DATABASE_URL", url.as_str());
        let call = post(path, &json!({"dry_run": false}));
        assert_members(&call_in_process(&api, Some(("olga", "orders/admin")), call).await.expect(200), &report);
        assert_eq!(world.queue_depth().await, 2, "{path}");
    }
}

#[tokio::test]
async fn retry_of_many_orders_reads_the_events_of_each_once() {
    let world = World::new().await;
    world.insert_ended(1000, "0 s", &[("failure", "'no stock'")]).await;
    let store = world.store();
    let failed = store.find_failed(&FailedFilter::default(), 1000).await.unwrap();
    let retried = store.retry(&failed, Duration::ZERO, tests::actor(&"olga".parse().unwrap())).await.unwrap();
    assert_eq!(retried.len(), 1000);
    // The server publishes the counts of a session at its end.
    drop(store);
    let scans = eventually("the scans of a thousand orders", Duration::from_secs(30), async || {
        let sql = "SELECT seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = 'order_events'";
        Some(world.value::<i64>(sql).await).filter(|scans| *scans >= 1000)
    })
    .await;
    assert!(scans < 3000, "{scans} scans for 1000 orders");
}

#[tokio::test]
async fn operators_calls_are_logged_with_the_caller() {
    let world = world_with_failed(&["x-1"]).await;
    let log = Log::listen(Level::INFO);
    for (path, options) in [
        ("/orders/retry", &json!({"failed_from": "2020-01-01T00:00:00Z"})),
        ("/orders/cancel", &json!({"created_from": "2020-01-01T00:00:00Z"})),
        ("/dead-letters/redrive", &json!({})),
        ("/orders/x-1/retry", &json!({})),
        ("/orders/x-1/cancel", &json!({})),
    ] {
        world.call_as("olga", "orders/admin", post(path, options)).await.expect(200);
    }
    let text = log.text();
    let of_many = ["retried failed orders", "cancelled pending orders"];
    for action in of_many.into_iter().chain(["redrove dead letters", "retried the order", "cancelled the order"]) {
        let line = text.lines().find(|line| line.contains(action)).unwrap_or_else(|| panic!("no {action:?} in {text}"));
        assert!(line.contains("caller=\"olga\""), "{line}");
        assert!(!of_many.contains(&action) || line.contains("2020-01-01"), "{line}");
    }
}
