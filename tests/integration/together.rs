//! Environments that Lambda gives many calls at once, as on Managed Instances: what comes at the same time is done together,
//! and nobody notices.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use sandbox::gateway::{Claims, Gateway};
use sandbox::postgres::{Postgres, Stop};
use sandbox::runtime::{Function, Pool};
use sandbox::wire::{Ruling, Wire};
use serde_json::{Value, json};
use shared::db::intake::{Created, Intake, Wanted};
use shared::order::NewOrder;
use tests::{World, order};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::environments::function_with;

const ALICE: Claims = Claims { sub: "alice", scope: "orders/read orders/write" };
/// How many calls an environment is given at once.
const AT_ONCE: &str = "32";

/// The api in one environment that takes many calls at once, behind a gateway.
async fn api(world: &World) -> (Arc<Pool>, Arc<Gateway>) {
    let function = function_with(world, "api", "ApiFunction", &[("AWS_LAMBDA_MAX_CONCURRENCY", AT_ONCE)]);
    let function = Function { timeout: Duration::from_secs(10), ..function };
    let pool = Arc::new(Pool::new(function, 1));
    pool.warm(1).await.expect("it starts");
    (Arc::clone(&pool), Arc::new(Gateway::new(pool)))
}

/// Places these at once, and counts the answers by their status.
async fn place_all(gateway: &Gateway, orders: &[Value]) -> BTreeMap<u16, usize> {
    let calls = orders.iter().map(|order| gateway.call("POST", "/orders", ALICE, Some(order)));
    let mut counts = BTreeMap::new();
    for answer in join_all(calls).await {
        *counts.entry(answer.expect("an answer").status).or_default() += 1;
    }
    counts
}

fn orders(from: usize, to: usize) -> Vec<Value> {
    (from..to).map(|number| order(&format!("o-{number}"))).collect()
}

/// Orders, repeats of half of them, and others that want the identifiers of some.
fn mixed() -> Vec<Value> {
    let mut others = orders(0, 20);
    for other in &mut others {
        other["item_ids"] = json!(["something-else"]);
    }
    [orders(0, 200), orders(100, 200), orders(100, 200), others].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_calls_at_once_gets_its_own_answer_and_every_order_is_there_once() {
    let world = World::new().await;
    let (pool, gateway) = api(&world).await;
    assert_eq!(place_all(&gateway, &orders(0, 20)).await, BTreeMap::from([(201, 20)]));
    assert_eq!(place_all(&gateway, &mixed()).await, BTreeMap::from([(200, 220), (201, 180), (409, 20)]));
    assert_eq!((pool.started(), world.order_count().await), (1, 200));
    let sql = "SELECT count(*) FROM orders JOIN order_work USING (order_id) WHERE item_ids <> '{something-else}'";
    assert_eq!(world.value::<i64>(sql).await, 200);
    let connections = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'ordermill'";
    assert!(world.value::<i64>(connections).await <= 4, "an environment has a few connections, however many calls");
    // Each new order's message, and one more with each answer that found its order pending.
    assert_eq!(world.queue_depth().await, 420);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_come_together_stay_those_of_their_users() {
    let world = World::new().await;
    let (_, gateway) = api(&world).await;
    let place = async |user: String| {
        let claims = Claims { sub: &user, scope: "orders/read orders/write" };
        let wanted = json!({"user_id": &user, "item_ids": ["book-1"], "total_amount": 1});
        let placed = gateway.call("POST", "/orders", claims, Some(&wanted)).await.expect("an answer");
        let path = format!("/orders/{}", placed.body["order_id"].as_str().unwrap());
        let read = gateway.call("GET", &path, claims, None).await.expect("an answer");
        assert_eq!((placed.status, read.status, &read.body["user_id"]), (201, 200, &json!(user)));
    };
    join_all((0..100).map(|number| place(format!("user-{number}")))).await;
    assert_eq!(world.order_count().await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_each_of_many_calls_is_told_so_and_none_once_it_is_back() {
    let mut postgres = Postgres::start().await.unwrap();
    let world = World::with(&[("DATABASE_URL", &postgres.url(postgres.address()))]).await;
    let (_, gateway) = api(&world).await;
    assert_eq!(place_all(&gateway, &orders(0, 50)).await, BTreeMap::from([(201, 50)]));
    postgres.stop(Stop::Immediate).await.unwrap();
    assert_eq!(place_all(&gateway, &orders(50, 100)).await, BTreeMap::from([(503, 50)]));
    postgres.resume().await.unwrap();
    assert_eq!(place_all(&gateway, &orders(0, 100)).await, BTreeMap::from([(200, 50), (201, 50)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_database_that_does_not_answer_each_of_many_calls_is_told_so_before_the_functions_time_is_over() {
    let postgres = Postgres::start().await.unwrap();
    let (is_silent, waits) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let (silent, waiting) = (Arc::clone(&is_silent), Arc::clone(&waits));
    let hook = Arc::new(move |_, _| {
        let is_silent = silent.load(Ordering::Relaxed);
        if is_silent {
            waiting.notify_one();
        }
        async move { if is_silent { pending().await } else { Ruling::Pass } }.boxed()
    });
    let wire = Wire::start(postgres.address(), hook).await.unwrap();
    let world = World::with(&[("DATABASE_URL", &postgres.url(wire.address()))]).await;
    let (pool, gateway) = api(&world).await;
    assert_eq!(place_all(&gateway, &orders(0, 20)).await, BTreeMap::from([(201, 20)]));
    is_silent.store(true, Ordering::Relaxed);
    let (some, others) = (orders(20, 30), orders(30, 50));
    let (first, later) = tokio::join!(place_all(&gateway, &some), async {
        waits.notified().await;
        place_all(&gateway, &others).await
    });
    assert_eq!((first, later), (BTreeMap::from([(503, 10)]), BTreeMap::from([(503, 20)])));
    is_silent.store(false, Ordering::Relaxed);
    assert_eq!(place_all(&gateway, &orders(50, 60)).await, BTreeMap::from([(201, 10)]));
    assert_eq!(pool.started(), 1, "no call took so long that its environment was killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_is_told_to_end_answers_all_that_it_was_given() {
    let world = World::new().await;
    let (pool, gateway) = api(&world).await;
    assert_eq!(place_all(&gateway, &orders(0, 1)).await, BTreeMap::from([(201, 1)]));
    world.execute("BEGIN; LOCK TABLE orders IN EXCLUSIVE MODE").await;
    let under_way = tokio::spawn(async move { place_all(&gateway, &orders(1, 30)).await });
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass";
    tests::eventually("a statement waits", Duration::from_secs(5), async || {
        (world.value::<i64>(waiting).await > 0).then_some(())
    })
    .await;
    let environment = pool.running().pop().unwrap();
    environment.terminate();
    world.execute("COMMIT").await;
    assert_eq!(under_way.await.unwrap(), BTreeMap::from([(201, 29)]));
    timeout(Duration::from_secs(5), environment.exited()).await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_equal_identifiers_one_whose_key_is_taken_does_not_stand_in_the_way_of_the_other() {
    let world = World::new().await;
    let key = Some(b"key".to_vec());
    let wanted = |order_id: &str, key: Option<Vec<u8>>| {
        let new = NewOrder {
            order_id: order_id.parse().ok(),
            user_id: "alice".parse().unwrap(),
            item_ids: vec!["book-1".to_owned()].try_into().unwrap(),
            total_amount: "1".parse().unwrap(),
        };
        Wanted::new(new, key)
    };
    let (db, intake) = (world.db(), Intake::new(Duration::ZERO));
    assert!(matches!(intake.create(&db, wanted("o-1", key.clone())).await, Ok(Created::New(_))));
    let together = vec![wanted("o-2", key), wanted("o-2", None), wanted("o-3", None)];
    let created = intake.create_all(&db, together).await;
    assert!(matches!(created[..], [Ok(Created::KeyReused), Ok(Created::New(_)), Ok(Created::New(_))]), "{created:?}");
}
