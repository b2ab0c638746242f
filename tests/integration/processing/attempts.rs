//! Attempts: a lease that expires costs one, and an order fails after its last.

use std::time::Duration;

use processor::Outcome;
use serde_json::json;
use shared::db::claim::Claimed;
use shared::db::finish::Reschedule;
use shared::order::OrderId;
use tests::{NO_AWS, OutcomeBy, World, assert_members, failures, handle};

use super::NOW;

#[tokio::test]
async fn worker_with_an_expired_lease_changes_nothing() {
    let world = World::with_orders(&["o-1"]).await;
    let store = world.store();
    let lost = world.claim(&["o-1"]).await;
    world.let_pass(31.0).await;
    let holder = world.claim(&["o-1"]).await;
    assert_eq!(holder.claimed[0].attempts, 1);
    assert_eq!(world.claim(&["o-1"]).await.claimed.len(), 0, "the lease still runs");
    let outcome = [tests::end(&lost.claimed[0], None)];
    assert!(store.finish(lost.token, &outcome).await.unwrap().is_empty());
    let Claimed { order_id, claimed_at, .. } = &holder.claimed[0];
    let retry = Reschedule { order_id, due_at: *claimed_at, failed_attempt: Some("busy") };
    store.reschedule(lost.token, &[retry]).await.unwrap();
    assert_eq!(world.status("o-1").await, "processing");
    assert_eq!(store.finish(holder.token, &outcome).await.unwrap().len(), 1);
    assert_eq!((world.status("o-1").await.as_str(), world.counted("completed").await), ("completed", 1));
}

#[tokio::test]
async fn order_that_kills_its_workers_fails_after_its_attempts() {
    let world = World::with(&[("MAX_ATTEMPTS", "3")]).await;
    world.create("o-1").await;
    for _ in 0..3 {
        assert_eq!(world.claim(&["o-1"]).await.claimed.len(), 1);
        world.let_pass(31.0).await;
    }
    // A requeue does not hide that the last lease has expired.
    world.let_pass(300.0).await;
    assert_eq!(world.sweep().await.requeued, 1);
    world.process(&["o-1"]).await;
    let order = world.get("/orders/o-1").await.expect(200);
    let failure = "given up after 3 attempts: the worker ended without an outcome";
    assert_members(&order, &json!({"failure": failure, "attempts": 3}));
}

#[tokio::test]
async fn order_that_kills_its_workers_fails_none_of_its_batch() {
    for max_attempts in [2, 3, 12] {
        let world = World::new().await;
        let mut left: Vec<OrderId> = world.create_many(10).await.iter().map(|name| name.parse().unwrap()).collect();
        let store = world.store();
        world.let_pass(2.0).await;
        // One batch each time, as its messages would return together. The worker ends before it records anything if o-0 is in its batch.
        for _ in 0..12 {
            let claim = store.claim(&left, Duration::from_secs(30), Duration::ZERO, max_attempts).await.unwrap();
            let is_bad = |order: &Claimed| order.order_id.as_str() == "o-0";
            let failed = claim.claimed.iter().find(|order| order.attempts >= max_attempts && !is_bad(order));
            assert!(failed.is_none(), "{failed:?} of {max_attempts} attempts");
            if !claim.claimed.iter().any(is_bad) {
                let ends: Vec<_> = claim.claimed.iter().map(|order| tests::end(order, None)).collect();
                let ended = store.finish(claim.token, &ends).await.unwrap();
                left.retain(|order_id| !ended.contains(order_id));
            }
            world.let_pass(31.0).await;
        }
        assert_eq!(left, ["o-0".parse().unwrap()], "{max_attempts} attempts");
    }
}

#[tokio::test]
async fn order_whose_dead_letter_is_refused_keeps_its_last_cause() {
    let world = World::with(&[("MAX_ATTEMPTS", "2")]).await;
    world.create("o-1").await;
    let busy = || OutcomeBy(|_: &str| Outcome::Retry { cause: "the shop is busy".to_owned(), after: None });
    world.process_with(busy(), &["o-1"]).await;
    world.let_pass(900.0).await;
    for _ in 0..2 {
        let processor = tests::processor(&world.env_with(NO_AWS), busy());
        assert_eq!(failures(&handle(&processor, &["o-1"]).await), ["m0"]);
        assert_eq!(world.status("o-1").await, "processing");
    }
    world.process_with(busy(), &["o-1"]).await;
    let order = world.get("/orders/o-1").await.expect(200);
    let failure = "given up after 2 attempts: the shop is busy";
    assert_eq!((&order["failure"], &order["attempts"]), (&json!(failure), &json!(2)));
    assert_eq!(world.dead_letters().await, 1);
}

#[tokio::test]
async fn failed_claim_of_an_expired_lease_costs_others_no_attempt() {
    let world = World::with_orders(&["expired", "fresh"]).await;
    world.claim(&["expired"]).await;
    world.let_pass(31.0).await;
    world.execute("ALTER TABLE order_events RENAME TO out_of_sight").await;
    let failed = handle(&world.processor(NOW), &["expired", "fresh"]).await;
    assert_eq!(failures(&failed), ["m0"]);
    world.execute("ALTER TABLE out_of_sight RENAME TO order_events").await;
    let order = world.get("/orders/fresh").await.expect(200);
    assert_eq!((&order["status"], &order["attempts"]), (&json!("completed"), &json!(1)));
}
