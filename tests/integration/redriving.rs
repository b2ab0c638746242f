//! `POST /dead-letters/redrive` handles at most its limit of letters and finds all of them. A retry of many reads each history once.

use std::time::Duration;

use serde_json::{Value, json};
use shared::db::retry::FailedFilter;
use tests::{World, assert_members, eventually};

/// A world with dead letters of orders that do not exist.
async fn world_with_letters(count: usize) -> World {
    let world = World::new().await;
    for index in 0..count {
        world.send_dead_letter(&format!("gone-{index}")).await;
    }
    world
}

async fn redrive(world: &World, options: Value) -> Value {
    world.post("/dead-letters/redrive", &options).await.expect(200)
}

#[tokio::test]
async fn redrive_finds_all_dead_letters_up_to_its_limit() {
    for (letters, limit) in [(8, 1), (25, 11), (25, 100)] {
        let world = world_with_letters(letters).await;
        let found = letters.min(limit);
        for dry_run in [true, true, false] {
            let report = redrive(&world, json!({"dry_run": dry_run, "limit": limit})).await;
            assert_members(&report, &json!({"found": found, "ended": if dry_run { 0 } else { found }}));
        }
        assert_eq!(world.dead_letters().await, i64::try_from(letters - found).unwrap());
    }
}

#[tokio::test]
async fn redrive_leaves_the_letter_of_an_order_that_a_worker_holds() {
    let world = World::new().await;
    world.create("o-1").await;
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
