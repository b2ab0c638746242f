//! A queue that accepts connections and answers late or never.

use std::collections::BTreeSet;

use sandbox::queue::DEAD_LETTERS;
use shared::deadline::Deadline;
use shared::events::Bus;
use shared::order::OrderId;
use shared::queue::{Message, Queue};

use super::*;
use crate::fulfilling::endpoint_of_statuses;
use crate::sweeping::backlog;

/// The event of the sweeper's schedule.
const SWEEP: &str = include_str!("../../events/sweep.json");

/// Runs the sweeper, and returns how many orders it requeued. Asserts that it answers within its time-out.
async fn sweep(sweeper: &Environment) -> usize {
    let answer = sweeper.invoke(SWEEP.into()).await.expect("the sweeper answers within its time-out");
    let swept: Value = serde_json::from_slice(&answer).unwrap();
    usize::try_from(swept["requeued"].as_u64().unwrap()).unwrap()
}

/// The first call with the same content never gets an answer.
#[tokio::test]
async fn call_over_a_dead_connection_is_sent_again() {
    let seen = Mutex::new(BTreeSet::new());
    let is_new = move |call: Sighting| seen.lock().unwrap().insert(call.bodies);
    let dead_at_first = move |call| if is_new(call) { CallRuling::Hang } else { CallRuling::Pass };
    let SlowQueues { world, queues, .. } = SlowQueues::ruled_by(dead_at_first, &[("EVENT_BUS", "shop")]).await;
    // The calls have a minute here. How soon they are sent again, and that their callers have the time, the unit tests say.
    let deadline = Deadline::after(Duration::from_mins(1));
    let queue = Queue::orders(&world.env()).unwrap();
    let orders: Vec<OrderId> = numbered("o", 10).iter().map(|order_id| order_id.parse().unwrap()).collect();
    let messages: Vec<_> = orders.iter().map(|order_id| Message::new(order_id, None, Duration::ZERO)).collect();
    for sent in join_all(messages.iter().map(|message| queue.send(message, deadline))).await {
        sent.unwrap();
    }
    let sent: BTreeSet<_> = queues.steal(usize::MAX).into_iter().collect();
    assert_eq!(sent.len(), orders.len(), "{sent:?}");
    world.insert_ended(1, "0 s", &[]).await;
    world.execute("INSERT INTO order_ends SELECT order_id, 1, finished_at FROM orders").await;
    let (store, bus) = (world.store(), Bus::from_env(&world.env()).unwrap().unwrap());
    let ends = store.find_ends(&["o-1".parse().unwrap()]).await.unwrap();
    assert_eq!(bus.announce(&store, &ends, deadline).await.unwrap(), 1);
    assert!(!queues.events().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn hanging_queue_delays_no_call_and_loses_no_order() {
    let merchant = endpoint_of_statuses().await;
    let slow = SlowQueues::new(&webhook(&merchant.url())).await;
    let bad = numbered("422", 100);
    slow.create_all(&bad).await;
    assert_eq!(count_failures(&start(&slow.world, "processor", &[]).await, &bad).await, 0);
    drop(slow.queues.steal(usize::MAX));
    let gateway = gateway(&slow.world, 1, &[]).await;
    slow.rule(CallRuling::Hang);

    let orders: Vec<_> = numbered("o", 500).iter().map(|order_id| order(order_id)).collect();
    let retry = json!({"dry_run": false, "limit": 1000, "per_second": 1000});
    for (method, path, body, expected) in [
        ("POST", "/orders", Some(order("alone")), 201),
        ("POST", "/orders/batch", Some(json!({"orders": orders})), 200),
        ("POST", "/orders/retry", Some(retry.clone()), 200),
        ("POST", "/orders/422-0/retry", None, 200),
        ("POST", "/dead-letters/redrive", Some(retry), 503),
        ("GET", "/metrics", None, 200),
    ] {
        let answer = within(ALWAYS, path, gateway.call(method, path, ADMIN, body.as_ref())).await.expect("an answer");
        assert_eq!(answer.status, expected, "{path}: {answer:?}");
        assert!(expected != 503 || answer.retry_after.is_some(), "{path}: {answer:?}");
    }
    assert_eq!(slow.world.order_count().await, 602);

    slow.rule(CallRuling::Pass);
    slow.world.let_pass(200.0).await;
    drop(slow.queues.steal(usize::MAX));
    assert_eq!(sweep(&start(&slow.world, "sweeper", &[]).await).await, 602);
}

#[tokio::test]
async fn redrive_whose_sends_hang_reports_what_it_did() {
    // The sends of a call take two seconds, and its statements must end within 2.4.
    let slow = SlowQueues::slow_at(|call| call.action.starts_with("Send"), &[(LIMIT, "6")]).await;
    let world = &slow.world;
    let dead_letters = Queue::orders(&world.env()).unwrap().dead_letters(&world.env()).unwrap();
    for order_id in ["failed-1", "done-1"] {
        world.create(order_id).await;
        let letter = Message::new(&order_id.parse().unwrap(), None, Duration::ZERO);
        dead_letters.send(&letter, Deadline::after(Duration::from_mins(1))).await.unwrap();
    }
    world.refuse(&["failed-1"], "no stock").await;
    world.process(&["done-1"]).await;
    slow.rule(CallRuling::Hang);
    let report = world.post("/dead-letters/redrive", &json!({"dry_run": false})).await.expect(200);
    assert_eq!((&report["retried"], &report["ended"]), (&json!(1), &json!(1)), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn hanging_queue_loses_no_known_outcome() {
    let merchant = endpoint_of_statuses().await;
    let slow = SlowQueues::new(&[&webhook(&merchant.url())[..], &[("MAX_ATTEMPTS", "1")]].concat()).await;
    let all = [numbered("503", 5), numbered("204", 5)].concat();
    slow.create_all(&all).await;
    let processor = start(&slow.world, "processor", &[]).await;
    slow.rule(CallRuling::Hang);
    assert!(count_failures(&processor, &all).await <= 5, "a message of a completed order failed");
    slow.rule(CallRuling::Pass);
    assert_eq!(slow.count("completed").await, 5);
    slow.world.let_pass(31.0).await;
    assert_eq!(count_failures(&processor, &all).await, 0);
    assert_eq!((slow.count("completed").await, slow.count("failed").await), (5, 5));
    assert!(slow.queues.counts(DEAD_LETTERS).total() >= 5);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn thousand_last_attempts_are_recorded_in_one_batch() {
    let merchant = endpoint_of_statuses().await;
    let limits = [("MAX_ATTEMPTS", "1"), ("WEBHOOK_CONCURRENCY", "100")];
    let slow = SlowQueues::new(&[&webhook(&merchant.url())[..], &limits].concat()).await;
    let all = numbered("503", 1000);
    slow.create_all(&all).await;
    slow.rule(CallRuling::Late(Duration::from_millis(20)));
    assert_eq!(count_failures(&start(&slow.world, "processor", &[]).await, &all).await, 0);
    assert_eq!((slow.count("failed").await, slow.queues.counts(DEAD_LETTERS).total()), (1000, 1000));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn sweeper_with_a_backlog_stops_in_time_and_continues() {
    let slow = SlowQueues::new(&[("SWEEP_LIMIT", "1000000")]).await;
    backlog(&slow.world, 20_000).await;
    slow.rule(CallRuling::Late(Duration::from_millis(200)));
    let sweeper = start(&slow.world, "sweeper", &[]).await;
    let (first, second) = (sweep(&sweeper).await, sweep(&sweeper).await);
    assert!(first > 0 && second > 0, "{first}, then {second}");
    let sent = slow.queues.steal(usize::MAX);
    let orders: BTreeSet<_> = sent.iter().collect();
    assert!(orders.len() >= first + second, "{first} and {second}, of {} orders", orders.len());
}

#[tokio::test]
async fn depth_of_a_queue_is_shown_though_the_other_is_silent() {
    let slow = SlowQueues::slow_at(|call| call.queue == DEAD_LETTERS, &[]).await;
    slow.world.create("o-1").await;
    slow.rule(CallRuling::Hang);
    let metrics = slow.world.get("/metrics").await.expect(200);
    assert_eq!((&metrics["queue_depth"], &metrics["dead_letter_depth"]), (&json!(1), &json!(null)));
}
