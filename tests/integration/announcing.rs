//! Events: each order that ends is announced on the bus, at least once.

mod faults;

use serde_json::{Value, json};
use shared::order::Status;
use tests::{Bus, World, call_in_process, order_with, post};

/// A bus, and a world whose orders are announced on it.
async fn world_with_bus() -> (World, Bus) {
    let bus = Bus::new().await;
    (World::with(&[("EVENT_BUS", &bus.name)]).await, bus)
}

/// The number of ends that are not announced.
pub async fn kept(world: &World) -> i64 {
    world.value("SELECT count(*) FROM order_ends").await
}

/// Claims the order and ends it as failed, as a worker that crashes before it announces the end.
pub async fn fail_without_announcing(world: &World, order_id: &str) {
    let claim = world.claim(&[order_id]).await;
    let store = tests::store(&world.env_with(("EVENT_BUS", "default")));
    store.finish(claim.token, &[tests::end(&claim.claimed[0], Some("declined"))]).await.unwrap();
}

/// Lets the time pass that a worker has to announce ends.
pub async fn leave_behind(world: &World) {
    world.execute("UPDATE order_ends SET ended_at = ended_at - interval '31 s'").await;
}

#[tokio::test]
async fn completed_order_is_announced_as_the_api_shows_it() {
    let (world, bus) = world_with_bus().await;
    let more = json!({"metadata": {"cart": "77"}, "currency": "JPY", "total_amount": "5998"});
    world.post("/orders", &order_with("o-1", &more)).await.expect(201);
    assert_eq!(bus.arrived().await, [Value::Null; 0], "none before it ended");
    world.process(&["o-1"]).await;
    let events = bus.events(1).await;
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((&event["source"], &event["detail-type"]), (&json!("ordermill"), &json!("order.completed")));
    let detail = &event["detail"];
    assert_eq!(detail["order"], world.get("/orders/o-1").await.expect(200));
    assert_eq!((&detail["sequence"], &detail["omitted"]), (&json!(1), &json!([])));
    assert_eq!(kept(&world).await, 0);
    // A crash between the bus's answer and the deletion.
    world.execute("INSERT INTO order_ends SELECT order_id, 1, finished_at FROM orders").await;
    world.process(&["o-1"]).await;
    assert_eq!((&bus.events(1).await[0]["detail"], kept(&world).await), (detail, 0), "a repeat is the same event");
}

#[tokio::test]
async fn deployment_without_a_bus_keeps_no_ends() {
    let world = World::new().await;
    let ids = world.create_many(3).await;
    world.post("/orders/o-2/cancel", &json!({})).await.expect(200);
    world.process(&ids).await;
    assert_eq!((kept(&world).await, world.counted("completed").await), (0, 2));
    assert_eq!(world.get("/metrics").await.expect(200)["oldest_event_seconds"], Value::Null);
}

#[tokio::test]
async fn cancelled_orders_are_announced_when_their_messages_come() {
    let (world, bus) = world_with_bus().await;
    let ids = world.create_many(12).await;
    world.post("/orders/o-0/cancel", &json!({})).await.expect(200);
    assert_eq!(kept(&world).await, 1);
    let report = world.post("/orders/cancel", &json!({"dry_run": false, "user_id": "alice"})).await.expect(200);
    assert_eq!((&report["cancelled"], kept(&world).await), (&json!(11), 12));
    world.process(&ids).await;
    let events = bus.events(12).await;
    for event in &events {
        assert_eq!(event["detail-type"], "order.cancelled");
        assert_eq!(event["detail"]["order"]["status"], "cancelled");
    }
    assert_eq!((events.len(), kept(&world).await), (12, 0));
}

#[tokio::test]
async fn end_that_was_left_behind_is_announced_by_the_sweeper() {
    let (world, bus) = world_with_bus().await;
    world.create("o-1").await;
    fail_without_announcing(&world, "o-1").await;
    assert_eq!((world.sweep().await.events, kept(&world).await), (0, 1), "its worker still has time");
    leave_behind(&world).await;
    world.create("o-2").await;
    fail_without_announcing(&world, "o-2").await;
    leave_behind(&world).await;
    let waits = world.get("/metrics").await.expect(200);
    assert!((62.0..93.0).contains(&waits["oldest_event_seconds"].as_f64().unwrap()), "that of the first: {waits}");
    assert_eq!((&waits["status_counts"]["pending"], &waits["oldest_overdue_seconds"]), (&json!(0), &json!(0.0)));
    let swept = world.sweep().await;
    assert_eq!((swept.events, swept.requeued, kept(&world).await), (2, 0, 0));
    assert!(bus.events(2).await.iter().all(|event| event["detail-type"] == "order.failed"));
    assert_eq!(world.get("/metrics").await.expect(200)["oldest_event_seconds"], 0.0);
}

#[tokio::test]
async fn sweep_announces_more_ends_than_a_chunk_has() {
    let (world, bus) = world_with_bus().await;
    world.insert_ended(250, "1 hour", &[]).await;
    let keep = "INSERT INTO order_ends (order_id, sequence, ended_at) SELECT order_id, 1, finished_at FROM orders";
    world.execute(keep).await;
    assert_eq!((world.sweep().await.events, kept(&world).await), (250, 0));
    let events = bus.events(250).await;
    assert_eq!(events.len(), 250);
}

/// An order fails, is retried, and then completes or is cancelled by a call.
#[tokio::test]
async fn each_end_of_a_retried_order_has_its_own_event() {
    let of_many = json!({"dry_run": false});
    for cancel in [None, Some(("/orders/o-1/cancel", json!({}))), Some(("/orders/cancel", of_many))] {
        let (world, bus) = world_with_bus().await;
        world.create("o-1").await;
        fail_without_announcing(&world, "o-1").await;
        let failed = world.get("/orders/o-1").await.expect(200);
        // The operator is faster than the announcement.
        world.post("/orders/o-1/retry", &json!({})).await.expect(200);
        leave_behind(&world).await;
        if let Some((path, body)) = &cancel {
            world.post(path, body).await.expect(200);
        }
        world.process(&["o-1"]).await;
        let (second_end, attempts) = if cancel.is_some() { ("order.cancelled", 0) } else { ("order.completed", 1) };
        let mut events = bus.events(2).await;
        events.sort_by_key(|event| event["detail"]["sequence"].as_i64());
        let [first, second] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((&first["detail-type"], &second["detail-type"]), (&json!("order.failed"), &json!(second_end)));
        assert_eq!(second["detail"]["order"]["attempts"], attempts);
        for field in ["status", "started_at", "attempts", "failure", "next"] {
            assert_eq!(first["detail"]["order"][field], failed[field], "{field}");
        }
        let finished_at = |event: &Value| event["detail"]["order"]["finished_at"].as_str().unwrap().to_owned();
        assert!(finished_at(first) < finished_at(second), "{events:?}");
        assert_eq!((&first["detail"]["sequence"], &second["detail"]["sequence"]), (&json!(1), &json!(2)));
        assert_ne!(first["detail"]["event_id"], second["detail"]["event_id"]);
        assert_eq!(kept(&world).await, 0);
    }
}

#[tokio::test]
async fn failure_that_a_waiting_retry_does_not_see_stays_a_failure() {
    let world = World::new().await;
    for order_id in ["o-1", "o-2"] {
        world.create(order_id).await;
        fail_without_announcing(&world, order_id).await;
    }
    let client = tests::connect(world.owner_url()).await;
    client.batch_execute("BEGIN; SELECT FROM orders WHERE order_id = 'o-1' FOR UPDATE").await.unwrap();
    let meanwhile = async {
        world.wait_for_locked_out(1).await;
        world.post("/orders/o-2/retry", &json!({})).await.expect(200);
        fail_without_announcing(&world, "o-2").await;
        client.batch_execute("COMMIT").await.unwrap();
    };
    let (other, both) = (world.another_api(), post("/orders/retry", &json!({"dry_run": false})));
    let (report, ()) = tokio::join!(call_in_process(&other, Some(("olga", "orders/admin")), both), meanwhile);
    assert_eq!(report.expect(200)["retried"], 1);
    let ends = world.store().find_ends(&["o-1", "o-2"].map(|id| id.parse().unwrap())).await.unwrap();
    assert!(ends.len() == 3 && ends.iter().all(|end| end.order.status == Status::Failed), "{ends:?}");
}

#[tokio::test]
async fn failures_that_retries_take_back_keep_their_own_causes() {
    let world = World::with_orders(&["o-1"]).await;
    for _ in 0..3 {
        fail_without_announcing(&world, "o-1").await;
        // Each retry comes before the announcement of the failure.
        world.execute("UPDATE orders SET failure = 'cause ' || coalesce(retries, 0)").await;
        world.post("/orders/o-1/retry", &json!({})).await.expect(200);
    }
    let mut ends = world.store().find_ends(&["o-1".parse().unwrap()]).await.unwrap();
    ends.sort_by_key(|end| end.sequence);
    let causes: Vec<_> = ends.iter().map(|end| (end.sequence, end.order.failure.as_deref().unwrap())).collect();
    assert_eq!(causes, [(1, "cause 0"), (2, "cause 1"), (3, "cause 2")]);
}

#[tokio::test]
async fn end_that_comes_during_the_announcement_of_another_is_kept() {
    let world = World::with_orders(&["o-1"]).await;
    fail_without_announcing(&world, "o-1").await;
    let store = world.store();
    let announced = store.find_ends(&["o-1".parse().unwrap()]).await.unwrap();
    world.post("/orders/o-1/retry", &json!({})).await.expect(200);
    fail_without_announcing(&world, "o-1").await;
    store.delete_ends(&announced.iter().collect::<Vec<_>>()).await.unwrap();
    assert_eq!(world.value::<i32>("SELECT sequence FROM order_ends").await, 2);
}

#[tokio::test]
async fn retention_waits_for_the_event() {
    let bus = Bus::new().await;
    let world = World::with(&[("EVENT_BUS", &bus.name), ("RETENTION_DAYS", "1")]).await;
    world.create("o-1").await;
    fail_without_announcing(&world, "o-1").await;
    let age = "UPDATE orders SET created_at = created_at - interval '9 d', started_at = started_at - interval '9 d',
        finished_at = finished_at - interval '9 d'";
    world.execute(age).await;
    assert_eq!((world.sweep().await.deleted, world.order_count().await), (0, 1));
    world.process(&["o-1"]).await;
    assert_eq!(bus.events(1).await[0]["detail"]["order"]["user_id"], "alice");
    assert_eq!(world.sweep().await.deleted, 1);
}

#[tokio::test]
async fn end_that_is_unreadable_does_not_hold_up_the_others() {
    let (world, _) = world_with_bus().await;
    for order_id in ["o-1", "o-2"] {
        world.create(order_id).await;
        fail_without_announcing(&world, order_id).await;
    }
    world.execute("UPDATE orders SET currency = 'XAU' WHERE order_id = 'o-1'").await;
    world.let_pass(60.0).await;
    assert_eq!(world.sweep().await.events, 1);
    let kept: String = world.value("SELECT order_id FROM order_ends").await;
    assert_eq!(kept, "o-1", "it is announced once it is repaired");
}
