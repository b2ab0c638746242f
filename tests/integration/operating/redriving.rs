//! `POST /dead-letters/redrive`: retries, requeues or deletes the letters by their orders' state.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use sandbox::wire::{Ruling, ruled_by};
use serde_json::{Value, json};
use tests::{World, assert_members, call_in_process, post};

use super::world_with_failed;

async fn redrive(world: &World, options: Value) -> Value {
    world.post("/dead-letters/redrive", &options).await.expect(200)
}

/// A world whose dead-letter queue holds messages of a failed, an active and a completed order, and a malformed one.
pub async fn world_with_dead_letters() -> World {
    let world = world_with_failed(&["failed-1"]).await;
    world.create("active-1").await;
    world.create("done-1").await;
    world.process(&["done-1"]).await;
    while world.queue_depth().await > 0 {
        world.receive().await;
    }
    for body in ["failed-1", "active-1", "done-1", "no order's", "failed-1"] {
        world.send_dead_letter(body).await;
    }
    world
}

#[tokio::test]
async fn redrive_is_a_dry_run_by_default() {
    let world = world_with_dead_letters().await;
    for _ in 0..2 {
        let report = redrive(&world, json!({})).await;
        let found = json!({"dry_run": true, "found": 5, "unreadable": 1, "retried": 0, "requeued": 0, "claimed": 0, "ended": 0});
        assert_eq!(report, found);
    }
    assert_eq!((world.queue_depth().await, world.dead_letters().await), (0, 5));
}

#[tokio::test]
async fn redrive_retries_requeues_or_deletes_by_the_orders_state() {
    let world = world_with_dead_letters().await;
    let report = redrive(&world, json!({"dry_run": false})).await;
    let done =
        json!({"dry_run": false, "found": 5, "unreadable": 1, "retried": 1, "requeued": 1, "claimed": 0, "ended": 1});
    assert_eq!(report, done);
    let mut enqueued = [world.receive().await.unwrap(), world.receive().await.unwrap()];
    enqueued.sort();
    assert_eq!(enqueued, ["active-1", "failed-1"]);
    assert_eq!(world.receive_dead_letter().await.as_deref(), Some("no order's"));
    assert_eq!((world.queue_depth().await, world.dead_letters().await), (0, 0));
    assert_eq!(world.status("failed-1").await, "pending");
}

#[tokio::test]
async fn redrive_finds_all_dead_letters_up_to_its_limit() {
    for (letters, limit) in [(8, 1), (25, 11), (25, 100)] {
        let world = World::new().await;
        for index in 0..letters {
            world.send_dead_letter(&format!("gone-{index}")).await;
        }
        let found = letters.min(limit);
        for dry_run in [true, true, false] {
            let report = redrive(&world, json!({"dry_run": dry_run, "limit": limit})).await;
            assert_members(&report, &json!({"found": found, "ended": if dry_run { 0 } else { found }}));
        }
        assert_eq!(world.dead_letters().await, i64::from(letters - found));
    }
}

#[tokio::test]
async fn redrive_leaves_the_letter_of_an_order_that_a_worker_holds() {
    let world = World::with_orders(&["o-1"]).await;
    world.receive().await;
    world.let_pass(2.0).await;
    world.claim(&["o-1"]).await;
    world.send_dead_letter("o-1").await;
    let report = redrive(&world, json!({"dry_run": false})).await;
    assert_members(&report, &json!({"claimed": 1, "requeued": 0, "ended": 0}));
    assert_eq!((world.dead_letters().await, world.queue_depth().await), (1, 0));
    world.let_pass(31.0).await;
    assert_eq!(redrive(&world, json!({"dry_run": false})).await["requeued"], 1);
    assert_eq!((world.dead_letters().await, world.queue_depth().await), (0, 1));
}

#[tokio::test]
async fn redrive_leaves_the_letter_of_an_order_it_can_not_enqueue() {
    let world = World::with_orders(&["o-1"]).await;
    world.send_dead_letter("o-1").await;
    let missing = world.queue_url().replace("-orders", "-no-orders");
    let no_queue = world.api_with_env(&world.env_with(("QUEUE_URL", &missing)));
    let call = post("/dead-letters/redrive", &json!({"dry_run": false}));
    let report = call_in_process(&no_queue, Some(("olga", "orders/admin")), call).await.expect(200);
    assert_members(&report, &json!({"found": 1, "requeued": 0, "ended": 0}));
    assert_eq!(world.dead_letters().await, 1);
}

#[tokio::test]
async fn retried_orders_are_enqueued_though_others_can_not_be_read() {
    let world = world_with_dead_letters().await;
    let is_retried = AtomicBool::new(false);
    let hook = ruled_by(move |_, statement| {
        // The look-up of the orders that were not retried.
        let is_read = statement.query.sql.contains("is_scheduled") && is_retried.load(Relaxed);
        is_retried.fetch_or(statement.query.sql.contains("SET started_at = NULL"), Relaxed);
        if is_read { Ruling::Cut } else { Ruling::Pass }
    });
    let (_wire, url) = world.behind_a_proxy(hook).await;
    let api = world.api_with("DATABASE_URL", url.as_str());
    let call = post("/dead-letters/redrive", &json!({"dry_run": false}));
    call_in_process(&api, Some(("olga", "orders/admin")), call).await.problem(503);
    assert_eq!(world.queue_depth().await, 1, "the message of the retried order");
}
