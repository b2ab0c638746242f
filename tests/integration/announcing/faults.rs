//! The bus refuses, hangs, loses its answers and takes half of a batch: no order waits for it, and no event is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use processor::{Processor, Simulated};
use sandbox::queue::{CallRuling, Sighting};
use serde_json::json;
use tests::{Log, World, failures, handle};
use tokio::time::Instant;
use tracing::Level;

use super::{fail_without_announcing, kept, leave_behind};
use crate::slow::SlowQueues;

/// A world with a bus that can be slow.
async fn slow_bus() -> SlowQueues {
    SlowQueues::slow_at(|call| call.action == "PutEvents", &[("EVENT_BUS", "shop")]).await
}

/// Completes twenty orders while the bus is ruled like this. Asserts that no message fails, and that it is quick.
async fn complete_twenty(slow: &SlowQueues, ruling: CallRuling) {
    let ids = slow.world.create_many(20).await;
    slow.rule(ruling);
    let took = complete(&slow.world.processor(Duration::ZERO), &ids).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(slow.world.counted("completed").await, 20);
}

/// Lets the lease pass, and sweeps. Returns how many events the bus took.
async fn sweep(world: &World) -> usize {
    leave_behind(world).await;
    world.sweep().await.events
}

/// The number of times that the bus took each event, by the event's id. Asserts that the time of each is that of the end.
fn taken(slow: &SlowQueues) -> BTreeMap<String, usize> {
    let mut taken = BTreeMap::new();
    for event in slow.queues.events() {
        let detail: serde_json::Value = serde_json::from_str(&event.detail).unwrap();
        let ended = shared::timestamp::parse(detail["order"]["finished_at"].as_str().unwrap()).unwrap();
        assert_eq!(event.time, Some(ended.unix_timestamp()), "{detail}");
        *taken.entry(detail["event_id"].to_string()).or_default() += 1;
    }
    taken
}

/// Completes the orders in one batch. Asserts that no message fails, and returns how long it took.
async fn complete(processor: &Processor<Simulated>, ids: &[String]) -> Duration {
    let begun = Instant::now();
    let response = handle(processor, ids).await;
    assert_eq!(failures(&response), [""; 0]);
    begun.elapsed()
}

#[tokio::test]
async fn refused_entries_alone_are_announced_again() {
    let (slow, log) = (slow_bus().await, Log::listen(Level::WARN));
    complete_twenty(&slow, CallRuling::Half).await;
    assert_eq!((kept(&slow.world).await, taken(&slow).len()), (10, 10));
    let text = log.text();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("could not send some")).collect();
    assert_eq!(lines.len(), 2, "a line for each call of ten events: {text}");
    for line in lines {
        assert!(line.contains("could not send some events; the sweeper will retry"), "{line}");
        for field in ["refused=5", "events=10", "code=\"InternalFailure\"", "reason=\"refused\""] {
            assert!(line.contains(field), "{field}: {line}");
        }
    }
    slow.rule(CallRuling::Pass);
    assert_eq!((sweep(&slow.world).await, kept(&slow.world).await), (10, 0));
    let taken = taken(&slow);
    assert!(taken.len() == 20 && taken.values().all(|times| *times == 1), "{taken:?}");
}

#[tokio::test]
async fn bus_that_refuses_or_hangs_delays_no_order_and_loses_no_event() {
    for ruling in [CallRuling::Refuse(403), CallRuling::LoseCall, CallRuling::Hang, CallRuling::NoBus] {
        let (slow, log) = (slow_bus().await, Log::listen(Level::WARN));
        complete_twenty(&slow, ruling).await;
        assert_eq!((sweep(&slow.world).await, kept(&slow.world).await, taken(&slow).len()), (0, 20, 0), "{ruling:?}");
        let names_no_bus = log.text().contains("there is no such event bus");
        assert_eq!(names_no_bus, ruling == CallRuling::NoBus, "{ruling:?}: {}", log.text());
        slow.rule(CallRuling::Pass);
        assert_eq!((sweep(&slow.world).await, kept(&slow.world).await, taken(&slow).len()), (20, 0, 20), "{ruling:?}");
    }
}

#[tokio::test]
async fn sweep_goes_on_when_ends_can_not_be_read() {
    let slow = slow_bus().await;
    slow.world.create_many(1).await;
    slow.world.execute("UPDATE order_work SET due_at = due_at - interval '1 day'").await;
    slow.world.execute("BEGIN; LOCK order_ends").await;
    let error = slow.world.sweeper().sweep().await.unwrap_err();
    let requeued = slow.world.value::<i64>("SELECT count(*) FROM order_work WHERE requeued_at IS NOT NULL").await;
    assert_eq!((error.to_string().contains("ends"), requeued), (true, 1), "{error:?}");
}

#[tokio::test]
async fn bus_that_hangs_delays_one_batch_of_an_environment() {
    // The calls by the events that they have. The repeat of a call is the same one.
    let calls = Arc::<Mutex<BTreeSet<Vec<String>>>>::default();
    let seen = Arc::clone(&calls);
    let note = move |call: &Sighting| {
        let is_to_the_bus = call.action == "PutEvents";
        if is_to_the_bus {
            seen.lock().unwrap().insert(call.bodies.clone());
        }
        is_to_the_bus
    };
    let slow = SlowQueues::slow_at(note, &[("EVENT_BUS", "shop")]).await;
    let ids = slow.world.create_many(60).await;
    slow.rule(CallRuling::Hang);
    let processor = slow.world.processor(Duration::ZERO);
    let batches: Vec<_> = ids.chunks(20).collect();
    let first = complete(&processor, batches[0]).await;
    assert!(first > Duration::from_secs(1), "it waits for the bus: {first:?}");
    let calls_of_the_first = calls.lock().unwrap().clone();
    for batch in &batches[1..] {
        complete(&processor, batch).await;
    }
    assert_eq!(*calls.lock().unwrap(), calls_of_the_first, "the other batches do not call the bus");
    slow.rule(CallRuling::Pass);
    assert_eq!((sweep(&slow.world).await, kept(&slow.world).await, taken(&slow).len()), (60, 0, 60));
}

#[tokio::test]
async fn bus_is_looked_up_once_for_the_batches_of_half_a_minute() {
    for (bus, look_ups) in [("shop", 1), ("arn:aws:events:eu-central-1:999988887777:event-bus/shop", 0)] {
        let seen = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&seen);
        // A refused look-up does not keep events back.
        let rule = move |call: Sighting| {
            let is_look_up = call.action == "DescribeEventBus";
            counter.fetch_add(usize::from(is_look_up), Ordering::SeqCst);
            if is_look_up { CallRuling::Refuse(403) } else { CallRuling::Pass }
        };
        let SlowQueues { world, queues, .. } = SlowQueues::ruled_by(rule, &[("EVENT_BUS", bus)]).await;
        let (ids, processor) = (world.create_many(3).await, world.processor(Duration::ZERO));
        for id in ids {
            complete(&processor, &[id]).await;
        }
        assert_eq!((seen.load(Ordering::SeqCst), queues.events().len()), (look_ups, 3), "{bus}");
    }
}

/// A bus of another account can have a policy that forbids a kind of event.
#[tokio::test]
async fn ends_that_the_bus_always_refuses_hold_up_no_others() {
    let rule = |call: Sighting| {
        let is_forbidden = call.bodies.iter().any(|body| body.contains("\"cancelled\""));
        if is_forbidden { CallRuling::Refuse(403) } else { CallRuling::Pass }
    };
    let SlowQueues { world, queues, .. } = SlowQueues::ruled_by(rule, &[("EVENT_BUS", "shop")]).await;
    world.create_many(101).await;
    let report = world.post("/orders/cancel", &json!({"dry_run": false, "limit": 100})).await.expect(200);
    assert_eq!(report["cancelled"], 100);
    fail_without_announcing(&world, "o-100").await;
    leave_behind(&world).await;
    let sweeper = world.sweeper();
    let events = [sweeper.sweep().await.unwrap().events, sweeper.sweep().await.unwrap().events];
    assert_eq!((events, kept(&world).await, queues.events().len()), ([0, 1], 100, 1));
}
