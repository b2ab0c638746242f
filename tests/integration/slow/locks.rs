//! A locked table, as by a migration or an operator's long transaction.

use std::collections::BTreeSet;

use processor::Outcome;
use shared::db::finish::Reschedule;
use tests::{LOCKED_OUT, OutcomeBy, failures, handle, processor};

use super::*;
use crate::roles::AppRole;

/// The number of environments that create orders.
const ENVIRONMENTS: usize = 16;
/// The duration of the lock: longer than any call may take.
const LOCKED: Duration = Duration::from_secs(10);

/// The highest number of connections until `end`.
async fn most_connections(world: &World, end: Instant) -> usize {
    let mut most = 0;
    while Instant::now() < end {
        most = most.max(connections(world).await.0);
        sleep(Duration::from_millis(100)).await;
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn locked_orders_return_503_and_store_nothing_later() {
    let role = AppRole::new().await;
    let gateway = gateway(&role.world, ENVIRONMENTS, &[("DATABASE_URL", &role.url())]).await;
    let (lock, (locked, is_locked)) = (role.world.lock("orders").await, watch::channel(true));
    let unlock = async {
        let most = most_connections(&role.world, Instant::now() + LOCKED).await;
        locked.send_replace(false);
        lock.batch_execute("COMMIT").await.unwrap();
        (most, Instant::now())
    };
    let clients = (0..ENVIRONMENTS).map(|client| create_until_accepted(&gateway, client, is_locked.clone()));
    let (accepted, (most, unlocked)) = tokio::join!(join_all(clients), unlock);
    assert!(most <= ENVIRONMENTS + 4, "{most} connections of {ENVIRONMENTS} environments");
    assert_eq!(
        accepted.iter().map(|client| client.accepted_during).sum::<usize>(),
        0,
        "accepted while the table was locked"
    );
    let late = accepted.iter().map(|client| client.accepted.saturating_duration_since(unlocked)).max().unwrap();
    assert!(late <= Duration::from_secs(2), "an order was accepted only {late:?} after the lock's end");
    wait_until_idle(&role.world, Duration::from_secs(10)).await;
    let refused: Vec<_> = accepted.into_iter().flat_map(|client| client.refused).collect();
    assert!(refused.len() >= ENVIRONMENTS, "{refused:?}");
    let stored = role.world.rows("SELECT order_id FROM orders WHERE order_id = ANY ($1)", &[&refused]).await;
    assert!(stored.is_empty(), "{} of the refused orders were stored later", stored.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn timed_out_statement_is_not_sent_again() {
    let role = AppRole::new().await;
    let gateway = gateway(&role.world, 1, &[("DATABASE_URL", &role.url())]).await;
    let lock = role.world.lock("orders").await;
    let sent = format!("SELECT pid, waitstart::text {LOCKED_OUT}");
    let (mut call, mut seen) = (Box::pin(create(&gateway, "o-1")), BTreeSet::new());
    let answer = loop {
        tokio::select! {
            answer = &mut call => break answer,
            rows = role.world.rows(&sent, &[]) => {
                seen.extend(rows.iter().map(|row| (row.get::<_, i32>(0), row.get::<_, String>(1))));
                sleep(Duration::from_millis(50)).await;
            }
        }
    };
    assert_unavailable(&answer);
    assert_eq!(seen.len(), 1, "{seen:?}");
    lock.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn statement_is_sent_again_after_a_late_cancellation() {
    let role = AppRole::new().await;
    // So short that the api's deadline is before the server's limit for a lock.
    let variables = [("DATABASE_URL", &*role.url()), (LIMIT, "5")];
    let gateway = gateway(&role.world, 1, &variables).await;
    let lock = role.world.lock("orders").await;
    assert_unavailable(&create(&gateway, "o-1").await);
    wait_until_idle(&role.world, Duration::from_secs(1)).await;
    let cancel_and_unlock = async {
        // The cancellation of the first statement, as if the network had held it up.
        let cancel = format!("SELECT pg_cancel_backend(pid) {LOCKED_OUT}");
        let cancelled = async || role.world.rows(&cancel, &[]).await.pop();
        tests::eventually("a second statement waits", Duration::from_secs(5), cancelled).await;
        lock.batch_execute("COMMIT").await.unwrap();
    };
    let (answer, ()) = tokio::join!(create(&gateway, "o-2"), cancel_and_unlock);
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn locked_work_fails_the_batch_and_leaves_no_statement() {
    let role = AppRole::new().await;
    role.world.create("o-1").await;
    let processor =
        start(&role.world, "processor", &[("DATABASE_URL", &role.url()), ("PROCESSING_DELAY_SECONDS", "0")]).await;
    let lock = role.world.lock("order_work").await;
    assert_eq!(count_failures(&processor, &["o-1"]).await, 1);
    wait_until_idle(&role.world, Duration::from_secs(1)).await;
    // The other connection is that of the api that created the order.
    assert!(connections(&role.world).await.0 <= 2);
    lock.batch_execute("COMMIT").await.unwrap();
    assert_eq!(count_failures(&processor, &["o-1"]).await, 0);
    assert_eq!(role.world.status("o-1").await, "completed");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn outcome_is_recorded_once_a_lock_is_gone() {
    let role = AppRole::new().await;
    role.world.create("o-1").await;
    let processor =
        start(&role.world, "processor", &[("DATABASE_URL", &role.url()), ("PROCESSING_DELAY_SECONDS", "0")]).await;
    // A claim does not need this table.
    let lock = role.world.lock("orders").await;
    let unlock = async {
        let (sent, seen) = (format!("SELECT waitstart::text {LOCKED_OUT}"), Mutex::new(BTreeSet::new()));
        tests::eventually("the record is repeated", Duration::from_secs(10), async || {
            let rows = role.world.rows(&sent, &[]).await;
            let mut seen = seen.lock().unwrap();
            seen.extend(rows.iter().map(|row| row.get::<_, String>(0)));
            (seen.len() == 2).then_some(())
        })
        .await;
        lock.batch_execute("COMMIT").await.unwrap();
    };
    let (failures, ()) = tokio::join!(count_failures(&processor, &["o-1"]), unlock);
    assert_eq!(failures, 0);
    assert_eq!(role.world.value::<i32>("SELECT attempts FROM orders WHERE finished_at IS NOT NULL").await, 1);
    // Both are of the time at which the order ended at last.
    let metrics = role.world.get("/metrics").await.expect(200);
    let (mean, median) = (&metrics["average_processing_time"], &metrics["processing_seconds"]["p50"]);
    assert!((median.as_f64().unwrap() / mean.as_f64().unwrap() - 1.0).abs() <= 0.025, "{metrics}");
}

#[tokio::test]
async fn outcome_that_a_lock_keeps_from_its_record_holds_up_no_other() {
    let role = AppRole::of(World::with(&[(LIMIT, "7")]).await).await;
    let wait = || Outcome::Wait(Some(Duration::from_mins(1)));
    let work = OutcomeBy(|id: &str| if id == "o-0" { Outcome::Complete } else { wait() });
    let processor = processor(&role.world.env_with(("DATABASE_URL", &role.url())), work);
    let ids = role.world.create_many(2).await;
    // The wait needs only `order_work`.
    let lock = role.world.lock("orders").await;
    let response = handle(&processor, &ids).await;
    lock.batch_execute("COMMIT").await.unwrap();
    assert_eq!(failures(&response).len(), 1, "the order whose end was not recorded");
    let waits = "SELECT claim IS NULL FROM order_work WHERE order_id = 'o-1'";
    assert!(role.world.value::<bool>(waits).await);
}

/// Asserts that a statement on `b` and `a`, which waits for a lock on `a`, has not locked `b` yet.
async fn assert_locks_in_key_order(world: &World, table: &str, statement: impl Future<Output = ()>) {
    let (holder, watcher) = (tests::connect(world.owner_url()).await, tests::connect(world.owner_url()).await);
    let row = |order_id| format!("SELECT FROM {table} WHERE order_id = '{order_id}' FOR UPDATE");
    holder.batch_execute(&format!("BEGIN; {}", row("a"))).await.unwrap();
    let look = async {
        world.wait_for_locked_out(1).await;
        watcher.batch_execute(&format!("{} NOWAIT", row("b"))).await.expect(table);
        holder.batch_execute("COMMIT").await.unwrap();
    };
    tokio::join!(statement, look);
}

#[tokio::test]
async fn statements_on_many_orders_lock_them_in_key_order() {
    let world = World::new().await;
    let claimed = async || {
        world.execute("DELETE FROM order_work; DELETE FROM orders").await;
        for order_id in ["a", "b"] {
            world.create(order_id).await;
        }
        let mut claim = world.claim(&["a", "b"]).await;
        claim.claimed.sort_by(|a, b| b.order_id.cmp(&a.order_id));
        claim
    };
    let store = tests::store(&world.env_with(("EVENT_BUS", "default")));
    let claim = claimed().await;
    let later = claim.claimed.iter().map(|order| Reschedule {
        order_id: &order.order_id,
        due_at: order.claimed_at,
        failed_attempt: Some("busy"),
    });
    let later: Vec<_> = later.collect();
    let reschedule = async || store.reschedule(claim.token, &later).await.unwrap();
    assert_locks_in_key_order(&world, "order_work", reschedule()).await;
    let claim = claimed().await;
    let ends: Vec<_> = claim.claimed.iter().map(|order| tests::end(order, None)).collect();
    let finish = async || drop(store.finish(claim.token, &ends).await.unwrap());
    assert_locks_in_key_order(&world, "order_work", finish()).await;
    let mut ends = store.find_ends(&["a".parse().unwrap(), "b".parse().unwrap()]).await.unwrap();
    ends.sort_by(|a, b| b.order.order_id.cmp(&a.order.order_id));
    let ends: Vec<_> = ends.iter().collect();
    let delete = async || store.delete_ends(&ends).await.unwrap();
    assert_locks_in_key_order(&world, "order_ends", delete()).await;
}
