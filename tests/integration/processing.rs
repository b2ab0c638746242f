//! The processor: claim, work, record, with all kinds of batches.

mod attempts;

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use processor::{Outcome, Simulated, Work};
use sandbox::wire::{Moment, Ruling, ruled_by};
use serde_json::json;
use shared::db::Store;
use shared::db::claim::Claimed;
use shared::deadline::Deadline;
use tests::{NO_AWS, NO_DATABASE, World, batch, failures, handle, store};

const NOW: Duration = Duration::ZERO;
const FIVE_SECONDS: Duration = Duration::from_secs(5);

#[tokio::test]
async fn order_without_a_delay_is_completed_by_its_first_message() {
    let world = World::with_orders(&["o-1"]).await;
    world.process(&["o-1"]).await;
    let order = world.get("/orders/o-1").await.expect(200);
    assert_eq!((&order["status"], &order["attempts"], &order["next"]), (&json!("completed"), &json!(1), &json!([])));
    assert!(order["started_at"].is_string() && order["finished_at"].is_string());
    assert_eq!(world.get("/orders/o-1/status").await.header("retry-after"), "");
    assert_eq!(world.value::<i64>("SELECT count(*) FROM order_work").await, 0);
}

#[tokio::test]
async fn delayed_order_waits_in_the_queue_not_in_the_function() {
    let world = World::with_orders(&["o-1"]).await;
    world.receive().await;
    let processor = world.processor(FIVE_SECONDS);
    assert!(failures(&handle(&processor, &["o-1"]).await).is_empty());
    let order = world.get("/orders/o-1").await.expect(200);
    assert_eq!((&order["status"], &order["attempts"]), (&json!("processing"), &json!(1)));
    assert!(world.value::<bool>("SELECT claim IS NULL FROM order_work").await);
    assert_eq!((world.queue_depth().await, world.delayed().await), (1, 1));
    world.let_pass(5.0).await;
    handle(&processor, &["o-1"]).await;
    assert_eq!(world.status("o-1").await, "completed");
    let took: f64 = world.value("SELECT extract(epoch FROM finished_at - started_at)::float8 FROM orders").await;
    assert!(took >= 5.0, "the order started with its first claim: {took}");
}

#[tokio::test]
async fn claim_of_delayed_work_says_when_the_order_is_due() {
    let world = World::with_orders(&["o-1"]).await;
    let claim =
        world.store().claim(&["o-1".parse().unwrap()], Duration::from_secs(30), FIVE_SECONDS, 12).await.unwrap();
    let [(_, due_in)] = claim.not_due.as_slice() else { panic!("{claim:?}") };
    assert_eq!(*due_in, FIVE_SECONDS);
}

#[tokio::test]
async fn order_that_is_soon_due_keeps_its_message_once() {
    let world = World::with_orders(&["o-1"]).await;
    let processor = world.processor(Duration::from_secs(2));
    for (receives, kept) in [("1", &["m0"][..]), ("2", &[])] {
        let event = world.deliver().await;
        assert_eq!(event.messages[0].attributes.as_ref().unwrap().receives.as_deref(), Some(receives));
        assert_eq!(failures(&processor.handle(event).await.unwrap()), kept);
        world.execute("UPDATE order_work SET due_at = due_at + interval '7 s'").await;
    }
    assert_eq!(world.queue_depth().await, 2, "the second wait has a message of its own");
}

#[tokio::test]
async fn order_whose_message_is_not_kept_gets_a_new_one() {
    // Ten seconds are the longest wait with the same message.
    for (seconds, receipt) in [(11, None), (5, Some("of-an-earlier-delivery"))] {
        let world = World::with_orders(&["o-1"]).await;
        let mut event = world.deliver().await;
        if let Some(receipt) = receipt {
            event.messages[0].receipt_handle = Some(receipt.to_owned());
        }
        let response = world.processor(Duration::from_secs(seconds)).handle(event).await.unwrap();
        assert_eq!((failures(&response), world.queue_depth().await, world.delayed().await), (vec![], 2, 1));
    }
}

#[tokio::test]
async fn workers_with_the_same_messages_process_each_order_once() {
    let world = World::new().await;
    let ids = world.create_many(50).await;
    let workers: Vec<_> = (0..4).map(|_| world.processor(NOW)).collect();
    futures_util::future::join_all(workers.iter().map(|worker| handle(worker, &ids))).await;
    assert_eq!(world.counted("completed").await, 50);
    let once = "SELECT count(*) FROM order_states WHERE status = 'completed' AND attempts = 1";
    assert_eq!(world.value::<i64>(once).await, 50);
}

#[tokio::test]
async fn claim_skips_an_order_that_another_statement_locks() {
    let world = World::with_orders(&["o-1", "o-2"]).await;
    world.execute("BEGIN; SELECT FROM order_work WHERE order_id = 'o-1' FOR UPDATE").await;
    let claim = world.claim(&["o-1", "o-2"]).await;
    assert_eq!((claim.claimed[0].order_id.as_str(), claim.claimed.len()), ("o-2", 1));
    assert_eq!(claim.not_due, [("o-1".parse().unwrap(), Duration::ZERO)]);
    world.execute("COMMIT").await;
}

#[tokio::test]
async fn claims_whose_answers_were_lost_are_made_once() {
    let world = World::with_orders(&["lapsed"]).await;
    world.claim(&["lapsed"]).await;
    world.let_pass(31.0).await;
    world.create("new").await;
    // Each of the claim's two statements is committed, and the connection cut before its answer.
    let lost = Mutex::<HashSet<String>>::default();
    let hook = ruled_by(move |moment, statement| {
        let is_lost = moment == Moment::After && lost.lock().unwrap().insert(statement.query.sql.clone());
        if is_lost { Ruling::Cut } else { Ruling::Pass }
    });
    let (_wire, url) = world.behind_a_proxy(hook).await;
    let store = store(&world.env_with(("DATABASE_URL", url.as_str())));
    let both = ["lapsed", "new"].map(|id| id.parse().unwrap());
    let claim = store.claim(&both, Duration::from_secs(30), NOW, 12).await.unwrap();
    let mut claimed: Vec<_> = claim.claimed.iter().map(|order| (order.order_id.as_str(), order.attempts)).collect();
    claimed.sort_unstable();
    assert_eq!(claimed, [("lapsed", 1), ("new", 0)], "{claim:?}");
    let failed = "SELECT count(*) FROM order_events WHERE event = 'attempt_failed'";
    assert_eq!(world.value::<i64>(failed).await, 1);
}

/// Work that takes four seconds.
struct Slow;

impl Work for Slow {
    async fn run(&self, _: &Claimed, _: &Store, _: Deadline) -> Outcome {
        tokio::time::sleep(Duration::from_secs(4)).await;
        Outcome::Complete
    }
}

#[tokio::test]
async fn work_of_an_order_does_not_delay_the_message_of_another() {
    let world = World::with_orders(&["now", "soon"]).await;
    world.execute("UPDATE order_work SET due_at = now() + interval '5 s' WHERE order_id = 'soon'").await;
    let mut event = world.deliver().await;
    event.messages.extend(world.deliver().await.messages);
    event.messages[1].message_id = Some("another".to_owned());
    world.processor_with(Slow).handle(event).await.unwrap();
    assert_eq!(world.status("now").await, "completed");
    // It becomes visible in a second, and not in five.
    let begun = Instant::now();
    assert_eq!(world.receive().await.as_deref(), Some("soon"));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn malformed_message_is_dead_lettered_and_fails_no_other() {
    let world = World::with_orders(&["o-1", "o-2"]).await;
    world.process(&["o-1", "{\"order\": 1}", "never-created", "o-2"]).await;
    assert_eq!((world.status("o-1").await.as_str(), world.status("o-2").await.as_str()), ("completed", "completed"));
    assert_eq!(world.receive_dead_letter().await.as_deref(), Some("{\"order\": 1}"));
}

#[tokio::test]
async fn batch_that_the_database_fails_is_an_error_of_the_function() {
    let world = World::new().await;
    let processor = tests::processor(&world.env_with(NO_DATABASE), Simulated { delay: NOW });
    assert!(processor.handle(batch(&["o-1", "o-2", "o-1"])).await.is_err());
    let response = processor.handle(batch(&["o-1", "no order's id!"])).await.expect("a message is done");
    assert_eq!(failures(&response), ["m0"]);
    world.create("o-1").await;
    world.execute("ALTER TABLE order_outcomes RENAME TO out_of_sight").await;
    assert!(world.processor(NOW).handle(batch(&["o-1"])).await.is_err(), "the outcome can't be recorded");
    world.let_pass(31.0).await;
    world.execute("ALTER TABLE order_events RENAME TO past_out_of_sight").await;
    assert!(world.processor(NOW).handle(batch(&["o-1"])).await.is_err(), "the order can't be claimed again");
}

#[tokio::test]
async fn wait_that_was_not_enqueued_fails_its_message() {
    let world = World::with_orders(&["o-1"]).await;
    let processor = tests::processor(&world.env_with(NO_AWS), Simulated { delay: FIVE_SECONDS });
    assert_eq!(failures(&handle(&processor, &["o-1"]).await), ["m0"]);
}
