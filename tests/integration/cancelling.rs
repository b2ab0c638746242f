//! `POST /orders/cancel`: many pending orders at once.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Log, World, actor, call_in_process, handle, order_with, post, post_empty};
use tracing::Level;

async fn cancel(world: &World, options: Value) -> Value {
    world.post("/orders/cancel", &options).await.expect(200)
}

/// A world with these pending orders of alice's, and one of bob's.
async fn world(count: usize) -> World {
    let world = World::new().await;
    for number in 1..=count {
        world.create(&format!("o-{number}")).await;
    }
    world.post("/orders", &order_with("b-1", &json!({"user_id": "bob"}))).await.expect(201);
    world
}

#[tokio::test]
async fn cancelling_many_is_a_dry_run_by_default() {
    let world = world(2).await;
    let report = json!({"dry_run": true, "matched": 3, "cancelled": 0});
    assert_eq!(cancel(&world, json!({})).await, report);
    assert_eq!(world.call(post_empty("/orders/cancel")).await.expect(200), report);
    assert_eq!((world.status("o-1").await.as_str(), world.counted("cancelled").await), ("pending", 0));
}

#[tokio::test]
async fn only_pending_orders_that_match_are_cancelled() {
    let world = world(3).await;
    handle(&world.processor(Duration::from_mins(1)), &["o-1"]).await;
    let created_at = world.get("/orders/o-2").await.expect(200)["created_at"].clone();
    for (filter, matched) in [
        (json!({"order_ids": ["o-2"], "created_from": created_at}), 1),
        (json!({"order_ids": ["o-2"], "created_before": created_at}), 0),
        (json!({"user_id": "bob"}), 1),
        (json!({"user_id": "alice"}), 2),
        (json!({"user_id": "carol"}), 0),
        (json!({"created_from": "2100-01-01T00:00:00Z"}), 0),
        (json!({"order_ids": ["o-1", "o-2", "unknown"]}), 1),
        (json!({"order_ids": ["o-2", "o-3"], "user_id": "carol"}), 0),
        (
            json!({"created_from": "2020-01-01T00:00:00Z", "created_before": "2100-01-01T00:00:00Z", "status": "pending"}),
            3,
        ),
    ] {
        assert_eq!(cancel(&world, filter.clone()).await["matched"], matched, "{filter}");
    }
    // The work of an order may begin after a call has found it.
    let (begun, olga) = (["o-1".parse().unwrap()], "olga".parse().unwrap());
    assert_eq!(world.store().cancel(&begun, None, actor(&olga)).await.unwrap(), 0);
    let log = Log::listen(Level::INFO);
    let report = cancel(&world, json!({"dry_run": false, "user_id": "alice"})).await;
    assert_eq!(report, json!({"dry_run": false, "matched": 2, "cancelled": 2}));
    assert!(log.text().contains("order_ids=\"o-2 o-3\""), "{}", log.text());
    for (order_id, status) in [("o-1", "processing"), ("o-2", "cancelled"), ("o-3", "cancelled"), ("b-1", "pending")] {
        assert_eq!(world.status(order_id).await, status, "{order_id}");
    }
    assert_eq!(world.counted("cancelled").await, 2);
    assert_eq!(world.value::<i64>("SELECT count(*) FROM order_work").await, 2);
    let change = &world.get("/orders/o-2/history").await.expect(200)["changes"][1];
    assert_eq!((&change["change"], &change["subject"]), (&json!("cancelled"), &json!("admin")));
    assert_eq!(cancel(&world, json!({"dry_run": false, "user_id": "alice"})).await["cancelled"], 0);
}

#[tokio::test]
async fn cancel_that_waits_for_a_claim_leaves_the_order_to_its_worker() {
    let world = world(1).await;
    let worker = tests::connect(world.owner_url()).await;
    let claim =
        "BEGIN; UPDATE order_work SET started_at = now(), claim = gen_random_uuid(), due_at = now() + interval '1 min'";
    worker.batch_execute(claim).await.unwrap();
    let (one, many) = (world.another_api(), world.another_api());
    let admin = Some(("olga", "orders/admin"));
    let all = json!({"dry_run": false});
    let (one, many, ()) = tokio::join!(
        call_in_process(&one, admin, post_empty("/orders/o-1/cancel")),
        call_in_process(&many, admin, post("/orders/cancel", &all)),
        async {
            world.wait_for_locked_out(2).await;
            worker.batch_execute("COMMIT").await.unwrap();
        }
    );
    one.problem(409);
    assert_eq!(many.expect(200)["cancelled"], 0);
    assert_eq!((world.status("o-1").await.as_str(), world.status("b-1").await.as_str()), ("processing", "processing"));
}

#[tokio::test]
async fn cancel_of_anothers_order_waits_for_no_lock() {
    let world = world(1).await;
    world.execute("BEGIN; SELECT FROM order_work FOR UPDATE").await;
    let (api, mallory) = (world.another_api(), Some(("mallory", "orders/write")));
    call_in_process(&api, mallory, post_empty("/orders/o-1/cancel")).await.problem(404);
}

#[tokio::test]
async fn limit_takes_the_oldest() {
    let world = world(5).await;
    let report = cancel(&world, json!({"dry_run": false, "limit": 2})).await;
    assert_eq!((&report["matched"], &report["cancelled"]), (&json!(6), &json!(2)));
    assert_eq!((world.status("o-2").await.as_str(), world.status("o-3").await.as_str()), ("cancelled", "pending"));
}

#[tokio::test]
async fn slow_pace_ends_with_the_calls_time_and_continues_later() {
    let world = world(8).await;
    let report = cancel(&world, json!({"dry_run": false, "per_second": 1})).await;
    let cancelled = report["cancelled"].as_u64().unwrap();
    assert!((2..8).contains(&cancelled), "{report}");
    let rest = cancel(&world, json!({"dry_run": false})).await;
    assert_eq!((&rest["matched"], &rest["cancelled"]), (&json!(9 - cancelled), &json!(9 - cancelled)));
}
