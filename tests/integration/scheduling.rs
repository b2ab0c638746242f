//! Orders with a `process_after`: pending and cancellable until then, due then, and processed once.

use std::time::Duration;

use sandbox::queue::CallRuling;
use serde_json::{Value, json};
use shared::db::requeue::Slice;
use sweeper::Sweeper;
use tests::{NO_AWS, World, order_with};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::slow::SlowQueues;

const MINUTE: u64 = 60;

/// An order that is to be processed so many seconds from now.
fn scheduled(order_id: &str, seconds: u64) -> Value {
    let time = OffsetDateTime::now_utc() + Duration::from_secs(seconds);
    order_with(order_id, &json!({"process_after": time.format(&Rfc3339).unwrap()}))
}

async fn create(world: &World, order_id: &str, seconds: u64) -> Value {
    world.post("/orders", &scheduled(order_id, seconds)).await.expect(201)
}

/// Sweeps, and returns how many first messages were sent, and how many orders were requeued.
async fn sweep(world: &World) -> (usize, usize) {
    let swept = world.sweep().await;
    (swept.enqueued, swept.requeued)
}

#[tokio::test]
async fn order_is_processed_at_its_time_and_once() {
    let world = World::new().await;
    let created = create(&world, "o-1", 600).await;
    assert_eq!((&created["status"], &created["next"]), (&json!("pending"), &json!(["cancel"])));
    assert_eq!(created["process_after"].as_str().unwrap().len(), "2026-11-24T10:51:00.366368Z".len());
    world.process(&["o-1"]).await;
    assert_eq!(world.status("o-1").await, "pending");
    world.let_pass(595.0).await;
    world.process(&["o-1"]).await;
    assert_eq!(world.status("o-1").await, "pending");
    world.let_pass(6.0).await;
    for _ in 0..3 {
        world.process(&["o-1", "o-1"]).await;
    }
    assert_eq!((world.status("o-1").await.as_str(), world.counted("completed").await), ("completed", 1));
    assert_eq!(world.get("/orders/o-1").await.expect(200)["attempts"], 1);
}

#[tokio::test]
async fn near_order_has_a_message_and_a_far_one_none() {
    let world = World::new().await;
    create(&world, "near", 14 * MINUTE).await;
    assert_eq!((world.queue_depth().await, world.delayed().await), (1, 1));
    create(&world, "far", 16 * MINUTE).await;
    world.post("/orders", &scheduled("far-too", 30 * 24 * 60 * MINUTE - 5)).await.expect(201);
    let orders = ["batch-far", "batch-near"].map(|id| scheduled(id, if id == "batch-far" { 3600 } else { 60 }));
    assert_eq!(world.post("/orders/batch", &json!({"orders": orders})).await.expect(200)["accepted"], 2);
    assert_eq!(world.queue_depth().await, 2);
}

#[tokio::test]
async fn sweeper_sends_the_message_before_the_order_is_due() {
    let world = World::new().await;
    create(&world, "o-1", 25 * MINUTE).await;
    create(&world, "o-2", 26 * MINUTE).await;
    assert_eq!(sweep(&world).await, (0, 0));
    world.let_pass(15.5 * 60.0).await;
    assert_eq!(sweep(&world).await, (1, 0), "o-2 is due in eleven minutes");
    assert_eq!((sweep(&world).await, world.queue_depth().await), ((0, 0), 1));
    let visible = world.receive().await;
    assert_eq!(visible, None, "the message is delayed until the order is due");
    world.let_pass(20.0 * 60.0).await;
    world.process(&["o-1", "o-2"]).await;
    assert_eq!((world.status("o-1").await.as_str(), world.status("o-2").await.as_str()), ("completed", "completed"));
    assert_eq!(world.counted("requeued").await, 0, "no message was lost");
}

#[tokio::test]
async fn lost_message_of_a_scheduled_order_is_found() {
    let world = World::new().await;
    create(&world, "far", 25 * MINUTE).await;
    create(&world, "near", 10 * MINUTE).await;
    world.let_pass(16.0 * 60.0).await;
    assert_eq!(sweep(&world).await, (1, 1), "the message of `near` is overdue");
    world.let_pass(9.0 * 60.0 + 181.0).await;
    assert_eq!(sweep(&world).await, (0, 2));
}

#[tokio::test]
async fn refused_message_is_sent_by_the_next_sweep() {
    let world = World::new().await;
    create(&world, "o-1", 25 * MINUTE).await;
    world.let_pass(20.0 * 60.0).await;
    let swept = Sweeper::from_env(&world.env_with(NO_AWS)).unwrap().sweep().await.unwrap();
    assert_eq!((swept.enqueued, swept.unsent), (0, 1));
    // A sweep that ends before it sends.
    assert_eq!(world.store().find_scheduled(Slice::default(), Duration::from_mins(10), 100).await.unwrap().len(), 1);
    world.let_pass(5.0 * 60.0 + 10.0).await;
    assert_eq!((sweep(&world).await, world.counted("requeued").await), ((1, 0), 0));
    assert_eq!(world.receive().await.as_deref(), Some("o-1"), "at once, because the order is due");
}

#[tokio::test]
async fn retry_and_redrive_enqueue_an_order_only_near_its_time() {
    let world = World::new().await;
    create(&world, "far", 30 * MINUTE).await;
    assert_eq!(world.post("/orders/far/retry", &json!({})).await.expect(200)["status"], "pending");
    world.send_dead_letter("far").await;
    let report = world.post("/dead-letters/redrive", &json!({"dry_run": false})).await.expect(200);
    assert_eq!((&report["requeued"], &report["ended"]), (&json!(0), &json!(0)));
    assert_eq!((world.queue_depth().await, world.dead_letters().await), (0, 0));
    create(&world, "near", 14 * MINUTE).await;
    world.send_dead_letter("near").await;
    let report = world.post("/dead-letters/redrive", &json!({"dry_run": false})).await.expect(200);
    assert_eq!((&report["requeued"], world.delayed().await), (&json!(1), 2));
}

#[tokio::test]
async fn scheduled_order_can_be_cancelled_until_its_time() {
    let world = World::new().await;
    create(&world, "o-1", 25 * MINUTE).await;
    world.let_pass(24.0 * 60.0).await;
    let cancelled = world.post("/orders/o-1/cancel", &json!({})).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    world.let_pass(240.0).await;
    assert_eq!(sweep(&world).await, (0, 0));
    world.process(&["o-1"]).await;
    assert_eq!(world.status("o-1").await, "cancelled");
}

#[tokio::test]
async fn waiting_for_its_time_is_neither_overdue_nor_queueing() {
    let world = World::new().await;
    create(&world, "o-1", 3600).await;
    world.create("o-2").await;
    let metrics = world.get("/metrics").await.expect(200);
    assert_eq!((&metrics["scheduled"], &metrics["status_counts"]["pending"]), (&json!(1), &json!(2)));
    world.process(&["o-2"]).await;
    world.let_pass(3000.0).await;
    let slice = world.store().read_slice(Slice::default(), Duration::from_mins(3), Duration::ZERO).await.unwrap();
    assert_eq!((slice.oldest, slice.has_late), (Duration::ZERO, false));
    world.let_pass(601.0).await;
    assert_eq!(world.get("/metrics").await.expect(200)["scheduled"], 0);
    world.process(&["o-1"]).await;
    let metrics = world.get("/metrics").await.expect(200);
    assert_eq!(metrics["status_counts"]["completed"], 2);
    assert!(metrics["queueing_seconds"]["p99"].as_f64().unwrap() < 60.0, "{metrics}");
}

#[tokio::test]
async fn retried_order_has_one_message_and_queues_from_its_due_time() {
    let world = World::new().await;
    create(&world, "o-1", 3600).await;
    world.let_pass(3601.0).await;
    world.refuse(&["o-1"], "refused").await;
    world.post("/orders/o-1/retry", &json!({})).await.expect(200);
    assert_eq!((sweep(&world).await, world.queue_depth().await), ((0, 0), 1));
    world.process(&["o-1"]).await;
    let metrics = world.get("/metrics").await.expect(200);
    assert!(metrics["queueing_seconds"]["p99"].as_f64().unwrap() < 60.0, "{metrics}");
}

#[tokio::test]
async fn delayed_messages_do_not_count_as_missing() {
    let world = World::new().await;
    let orders: Vec<_> = (0..200).map(|i| scheduled(&format!("s-{i}"), 10 * MINUTE)).collect();
    world.post("/orders/batch", &json!({"orders": orders})).await.expect(200);
    // The api has two seconds for sending them, which may not be enough for all on a busy machine.
    let delayed = world.delayed().await;
    assert!(delayed >= 100, "{delayed}");
    world.let_pass(3600.0).await;
    assert_eq!(sweep(&world).await, (0, 100), "a hundred are sent again in any case");
}

#[tokio::test]
async fn pause_holds_back_messages_of_scheduled_orders() {
    let world = World::new().await;
    create(&world, "o-1", 25 * MINUTE).await;
    world.post("/processing/pause", &json!({"reason": "a test"})).await.expect(200);
    world.let_pass(30.0 * 60.0).await;
    assert_eq!(sweep(&world).await, (0, 0));
    world.post("/processing/resume", &json!({"reason": "a test"})).await.expect(200);
    let (announced, requeued) = sweep(&world).await;
    assert_eq!(announced + requeued, 1);
    assert_eq!(world.receive().await.as_deref(), Some("o-1"));
}

#[tokio::test]
async fn order_without_a_time_to_come_is_due_after_the_cancel_window() {
    let world = World::with(&[("CANCEL_WINDOW_SECONDS", "60")]).await;
    let order = |order_id| order_with(order_id, &json!({"process_after": "2020-02-29T00:00:00+02:00"}));
    let created = world.post("/orders", &order("o-1")).await.expect(201);
    assert_eq!(created["process_after"], "2020-02-28T22:00:00.000000Z");
    world.post("/orders/batch", &json!({"orders": [order("o-2")]})).await.expect(200);
    world.create("o-3").await;
    let in_a_minute = "SELECT bool_and(due_at = created_at + interval '60 s') FROM order_work";
    assert!(world.value::<bool>(in_a_minute).await);
    world.assert_retry_after_is_due_time("o-3").await;
    for (seconds, status) in [(30.0, "pending"), (31.0, "completed")] {
        world.let_pass(seconds).await;
        world.process(&["o-1", "o-2", "o-3"]).await;
        assert_eq!([world.status("o-1").await, world.status("o-2").await, world.status("o-3").await], [status; 3]);
        assert_eq!(world.queue_depth().await, 6, "a message of each is sent again for the time at which it is due");
    }
}

/// Stores orders that are due after this time, and have no message.
pub async fn schedule_many(world: &World, orders: usize, after: &str) {
    world.insert(orders, &[("order_id", "'s-' || i"), ("process_after", &format!("now() + {after}"))]).await;
}

#[tokio::test]
async fn neither_a_limit_nor_a_lock_holds_up_scheduled_orders() {
    // The limit is that of lost messages.
    let world = World::with(&[("SWEEP_LIMIT", "100")]).await;
    schedule_many(&world, 1500, "interval '1 day'").await;
    world.let_pass(86_400.0 - 300.0).await;
    world.execute("UPDATE order_work SET due_at = due_at - interval '1 s' WHERE order_id = 's-1'").await;
    world.execute("BEGIN; SELECT FROM order_work WHERE order_id = 's-1' FOR UPDATE").await;
    // Both chunks have the first order.
    assert_eq!((sweep(&world).await, world.queue_depth().await), ((1501, 0), 1501));
    world.execute("COMMIT").await;
    assert_eq!(sweep(&world).await, (1, 0), "a message that is not recorded is sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn scheduled_orders_leave_a_sweep_time_for_lost_messages() {
    let slow = SlowQueues::new(&[("FUNCTION_TIMEOUT_SECONDS", "40")]).await;
    schedule_many(&slow.world, 12_000, "interval '1 day'").await;
    slow.world.let_pass(86_400.0 - 300.0).await;
    slow.world.insert(1, &[("created_at", "now() - interval '1 h'")]).await;
    // A chunk of a thousand takes 3 s, and longer beside other tests. Four begin within ten seconds, the half of the time before the last
    // chunk.
    slow.rule(CallRuling::Late(Duration::from_millis(240)));
    let swept = slow.world.sweeper().sweep().await.unwrap();
    assert!(swept.enqueued >= 3000 && swept.requeued == 1, "{swept:?}");
}
