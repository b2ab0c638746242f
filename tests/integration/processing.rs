//! The processor: claim, work, record; and batches of every kind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use processor::{Outcome, Work};
use serde_json::json;
use shared::db::Db;
use shared::db::work::{Claimed, Finish, Reschedule};
use shared::deadline::Deadline;
use tests::{World, failures, handle};

const NOW: Duration = Duration::ZERO;
const FIVE_SECONDS: Duration = Duration::from_secs(5);

/// Work that always comes out the same, and counts how often it ran.
struct Always(Outcome, AtomicUsize);

impl Work for Always {
    async fn run(&self, _: &Claimed, _: &Db, _: Deadline) -> Outcome {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.clone()
    }
}

#[tokio::test]
async fn an_order_whose_work_takes_no_time_is_completed_by_its_first_message() {
    let world = World::new().await;
    world.place("o-1").await;
    assert!(failures(&handle(&world.processor(NOW), &["o-1"]).await).is_empty());
    let order = world.get("/orders/o-1").await.expect(200);
    assert_eq!((&order["status"], &order["attempts"], &order["next"]), (&json!("completed"), &json!(1), &json!([])));
    assert!(order["started_at"].is_string() && order["finished_at"].is_string());
    assert_eq!(world.get("/orders/o-1/status").await.header("retry-after"), "");
    assert_eq!(world.value::<i64>("SELECT count(*) FROM order_work").await, 0);
}

#[tokio::test]
async fn an_order_that_takes_its_time_waits_in_the_queue_and_not_in_the_function() {
    let world = World::new().await;
    world.place("o-1").await;
    world.receive().await;
    let processor = world.processor(FIVE_SECONDS);
    assert!(failures(&handle(&processor, &["o-1"]).await).is_empty());
    let order = world.get("/orders/o-1").await.expect(200);
    assert_eq!((&order["status"], &order["attempts"]), (&json!("processing"), &json!(1)));
    assert!(world.value::<bool>("SELECT claim IS NULL FROM order_work").await);
    assert_eq!(world.queue_depth().await, 1);
    world.let_pass(5.0).await;
    handle(&processor, &["o-1"]).await;
    assert_eq!(world.status("o-1").await, "completed");
}

#[tokio::test]
async fn a_message_that_comes_too_early_is_sent_again_for_when_the_order_is_due() {
    let world = World::with(&[("CANCEL_WINDOW_SECONDS", "3")]).await;
    world.place("o-1").await;
    let before = world.queue_depth().await;
    assert!(failures(&handle(&world.processor(NOW), &["o-1"]).await).is_empty());
    assert_eq!(world.status("o-1").await, "pending");
    assert_eq!(world.queue_depth().await, before + 1);
}

#[tokio::test]
async fn a_redelivered_message_does_not_process_the_order_twice() {
    let world = World::new().await;
    world.place("o-1").await;
    let processor = world.processor_with(Always(Outcome::Complete, AtomicUsize::new(0)));
    for _ in 0..3 {
        assert!(failures(&handle(&processor, &["o-1", "o-1"]).await).is_empty());
    }
    assert_eq!(world.counted("completed").await, 1);
    assert_eq!(world.get("/orders/o-1").await.expect(200)["attempts"], 1);
}

#[tokio::test]
async fn workers_that_get_the_same_messages_at_once_share_the_orders_out() {
    let world = World::new().await;
    let ids: Vec<_> = (0..50).map(|index| format!("o-{index}")).collect();
    for id in &ids {
        world.place(id).await;
    }
    let bodies: Vec<_> = ids.iter().map(String::as_str).collect();
    let workers: Vec<_> = (0..4).map(|_| world.processor(NOW)).collect();
    futures_util::future::join_all(workers.iter().map(|worker| handle(worker, &bodies))).await;
    assert_eq!(world.counted("completed").await, 50);
    assert_eq!(
        world.value::<i64>("SELECT count(*) FROM order_states WHERE status = 'completed' AND attempts = 1").await,
        50
    );
}

#[tokio::test]
async fn a_claim_leaves_an_order_that_another_statement_holds_and_does_not_wait_for_it() {
    let world = World::new().await;
    world.place("o-1").await;
    world.place("o-2").await;
    world.execute("BEGIN; SELECT FROM order_work WHERE order_id = 'o-1' FOR UPDATE").await;
    let ids = ["o-1".parse().unwrap(), "o-2".parse().unwrap()];
    let claim = shared::db::work::claim(&world.db(), &ids, Duration::from_secs(30)).await.unwrap();
    assert_eq!((&claim.claimed[0].order_id, claim.claimed.len()), (&ids[1], 1));
    assert_eq!(claim.not_due, [(ids[0].clone(), Duration::ZERO)]);
    world.execute("COMMIT").await;
}

#[tokio::test]
async fn a_malformed_message_goes_to_the_dead_letter_queue_and_fails_none_of_its_batch() {
    let world = World::new().await;
    world.place("o-1").await;
    world.place("o-2").await;
    let response = handle(&world.processor(NOW), &["o-1", "{\"order\": 1}", "never-placed", "o-2"]).await;
    assert!(failures(&response).is_empty(), "{response:?}");
    assert_eq!((world.status("o-1").await.as_str(), world.status("o-2").await.as_str()), ("completed", "completed"));
    assert_eq!(world.receive_dead_letter().await.as_deref(), Some("{\"order\": 1}"));
}

#[tokio::test]
async fn an_order_that_fails_says_why_and_is_counted() {
    let world = World::new().await;
    world.place("o-1").await;
    let processor = world.processor_with(Always(Outcome::Fail("out of stock".to_owned()), AtomicUsize::new(0)));
    assert!(failures(&handle(&processor, &["o-1"]).await).is_empty());
    let order = world.get("/orders/o-1").await.expect(200);
    assert_eq!((&order["status"], &order["failure"]), (&json!("failed"), &json!("out of stock")));
    assert_eq!(world.counted("failed").await, 1);
}

#[tokio::test]
async fn a_cancelled_order_is_never_processed() {
    let world = World::new().await;
    world.place("o-1").await;
    world.post("/orders/o-1/cancel", &json!({})).await.expect(200);
    let processor = world.processor_with(Always(Outcome::Complete, AtomicUsize::new(0)));
    assert!(failures(&handle(&processor, &["o-1"]).await).is_empty());
    assert_eq!(world.status("o-1").await, "cancelled");
}

#[tokio::test]
async fn a_worker_whose_lease_ran_out_changes_nothing() {
    let world = World::new().await;
    world.place("o-1").await;
    let (db, lease) = (world.db(), Duration::from_secs(30));
    let ids = ["o-1".parse().unwrap()];
    let lost = shared::db::work::claim(&db, &ids, lease).await.unwrap();
    world.let_pass(31.0).await;
    let holder = shared::db::work::claim(&db, &ids, lease).await.unwrap();
    assert_eq!(holder.claimed[0].attempts, 1);
    let outcome = [Finish { order: &lost.claimed[0], attempts: 1, failure: None }];
    assert!(shared::db::work::finish(&db, lost.token, &outcome, Duration::ZERO).await.unwrap().is_empty());
    shared::db::work::reschedule(
        &db,
        lost.token,
        &[Reschedule { order_id: &ids[0], due_at: holder.claimed[0].now, failed_attempt: Some("busy") }],
    )
    .await
    .unwrap();
    assert_eq!(world.status("o-1").await, "processing");
    assert_eq!(shared::db::work::finish(&db, holder.token, &outcome, Duration::ZERO).await.unwrap().len(), 1);
    assert_eq!(world.status("o-1").await, "completed");
}

#[tokio::test]
async fn an_order_that_takes_its_workers_down_is_given_up_in_the_end() {
    let world = World::with(&[("MAX_ATTEMPTS", "3")]).await;
    world.place("o-1").await;
    let ids = ["o-1".parse().unwrap()];
    for _ in 0..3 {
        assert_eq!(shared::db::work::claim(&world.db(), &ids, Duration::from_secs(30)).await.unwrap().claimed.len(), 1);
        world.let_pass(31.0).await;
    }
    let processor = world.processor_with(Always(Outcome::Complete, AtomicUsize::new(0)));
    handle(&processor, &["o-1"]).await;
    let order = world.get("/orders/o-1").await.expect(200);
    assert_eq!(
        (&order["failure"], &order["attempts"]),
        (&json!("given up after 3 attempts that ended without an outcome"), &json!(3))
    );
}

#[tokio::test]
async fn without_a_database_the_whole_batch_comes_back() {
    let world = World::new().await;
    let url = ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere");
    let env = world.env_with(url);
    let config = processor::Config::from_env(&env).unwrap();
    let processor = processor::Processor::new(config, processor::Simulated { delay: NOW }, &env).unwrap();
    let response = handle(&processor, &["o-1", "o-2", "o-1"]).await;
    assert_eq!(failures(&response), ["m0", "m1", "m2"]);
}

#[tokio::test]
async fn a_wait_that_the_queue_was_not_told_of_brings_its_message_back() {
    let world = World::new().await;
    world.place("o-1").await;
    let env = world.env_with(("AWS_ENDPOINT_URL", "http://127.0.0.1:1"));
    let config = processor::Config::from_env(&env).unwrap();
    let processor = processor::Processor::new(config, processor::Simulated { delay: FIVE_SECONDS }, &env).unwrap();
    assert_eq!(failures(&handle(&processor, &["o-1"]).await), ["m0"]);
}
