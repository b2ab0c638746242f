//! One user's flood does not delay another user's order: each message names the group of its order's user.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use processor::Outcome;
use processor::event::{Attributes, SqsEvent};
use sandbox::mapping::Mapping;
use sandbox::runtime::Pool;
use serde_json::json;
use shared::queue::Group;
use tests::{OutcomeBy, World, batch, order_with};

use crate::slow::{SlowQueues, function, numbered};

/// How long the flood may take.
const PATIENCE: Duration = Duration::from_mins(2);
const FLOOD: usize = 2000;

fn of(user_id: &str) -> String {
    Group::of(user_id).as_str().to_owned()
}

/// A batch with a message of this body, which was sent with this group.
fn message(body: &str, group: Option<&str>) -> SqsEvent {
    let mut event = batch(&[body]);
    event.messages[0].attributes = Some(Attributes { group: group.map(str::to_owned), ..Attributes::default() });
    event
}

#[tokio::test]
async fn each_sender_names_the_group_of_the_orders_user() {
    let world = World::new().await;
    let assert_group = async |sender: &str| assert_eq!(world.receive_group().await.unwrap(), of("alice"), "{sender}");
    world.create("o-1").await;
    assert_group("create").await;
    for (path, body) in [("/orders/o-1/retry", json!({})), ("/orders/retry", json!({"dry_run": false}))] {
        world.refuse(&["o-1"], "no stock").await;
        world.post(path, &body).await.expect(200);
        assert_group(path).await;
    }
    world.send_dead_letter("o-1").await;
    let report = world.post("/dead-letters/redrive", &json!({"dry_run": false})).await.expect(200);
    assert_eq!(report["requeued"], 1);
    assert_group("redrive").await;
    world.let_pass(181.0).await;
    assert_eq!(world.sweep().await.requeued, 1);
    assert_group("sweep").await;
    let orders = ["bob", "Jörg Müller"].map(|user| json!({"user_id": user, "item_ids": ["a"], "total_amount": 1}));
    world.post("/orders/batch", &json!({"orders": orders})).await.expect(200);
    let groups = BTreeSet::from([world.receive_group().await.unwrap(), world.receive_group().await.unwrap()]);
    assert_eq!(groups, [of("bob"), of("Jörg Müller")].into(), "batch");
}

#[tokio::test]
async fn processor_passes_a_messages_group_on() {
    let world = World::with(&[("MAX_ATTEMPTS", "1")]).await;
    // An order that waits, one that is not begun, one that another statement holds, and one whose attempts are used up.
    let outcomes = [
        Outcome::Wait(Some(Duration::from_secs(1))),
        Outcome::NotStarted,
        Outcome::Complete,
        Outcome::Retry { cause: "busy".to_owned(), after: None },
    ];
    for group in [Some("a-group"), None] {
        for (index, outcome) in outcomes.clone().into_iter().enumerate() {
            let id = format!("{index}-{}", group.is_some());
            world.create(&id).await;
            world.receive().await;
            world.execute("BEGIN").await;
            if outcome == Outcome::Complete {
                world.execute(&format!("SELECT FROM order_work WHERE order_id = '{id}' FOR UPDATE")).await;
            }
            let is_given_up = matches!(outcome, Outcome::Retry { .. });
            world.processor_with(OutcomeBy(move |_: &str| outcome.clone())).handle(message(&id, group)).await.unwrap();
            world.execute("COMMIT").await;
            let sent = if is_given_up { world.receive_dead_letters_group().await } else { world.receive_group().await };
            assert_eq!(sent.as_deref(), group, "{id}");
        }
        world.processor(Duration::ZERO).handle(message("no order", group)).await.unwrap();
        assert_eq!(world.receive_dead_letters_group().await.as_deref(), group, "malformed");
    }
}

/// With the real functions and a fair queue as AWS describes it. Bob's order is the last in the queue, behind two thousand of alice's.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn flood_of_one_user_does_not_delay_another_users_order() {
    let slow = SlowQueues::new(&[("PROCESSING_DELAY_SECONDS", "1")]).await;
    let world = &slow.world;
    slow.create_all(&numbered("alice", FLOOD)).await;
    world.post("/orders", &order_with("bob", &json!({"user_id": "bob"}))).await.expect(201);
    let pool = Arc::new(Pool::new(function(world, "processor", &[]), 2));
    let processing = Mapping::new(Arc::clone(&slow.queues), pool).start(2);
    let all = i64::try_from(FLOOD).unwrap() + 1;
    tests::until("all orders are completed", PATIENCE, async || world.counted("completed").await == all).await;
    processing.stop().await;
    let sooner =
        "SELECT count(*) FROM orders WHERE finished_at < (SELECT finished_at FROM orders WHERE order_id = 'bob')";
    let sooner: i64 = world.value(sooner).await;
    let most = i64::try_from(FLOOD / 4).unwrap();
    assert!(sooner < most, "{sooner} of alice's orders were completed before bob's one");
}
