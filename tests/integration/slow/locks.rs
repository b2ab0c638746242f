//! A table that is locked: by a migration, by an operator's long transaction.

use std::collections::BTreeSet;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_postgres::NoTls;

use super::*;
use crate::roles::AppRole;

/// How many environments place orders.
const ENVIRONMENTS: usize = 16;
/// How long the lock is held: longer than any call may take.
const LOCKED: Duration = Duration::from_secs(10);

/// Another session, which holds a lock on the table until it commits.
async fn lock(role: &AppRole, table: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(role.world.owner_url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await.unwrap();
    client
}

/// Places one order after another until one is taken. Gives those that were refused, and when the last was taken.
async fn place_until_taken(
    gateway: &Gateway,
    client: usize,
    is_locked: watch::Receiver<bool>,
) -> (Vec<String>, Instant) {
    let mut refused = Vec::new();
    loop {
        let order_id = format!("o-{client}-{}", refused.len());
        let answer = within(SLOW_DATABASE, "POST /orders", place(gateway, &order_id)).await;
        if answer.status == 201 {
            assert!(!*is_locked.borrow(), "an order can't be taken while the table is locked");
            return (refused, Instant::now());
        }
        assert_comes_later(&answer);
        refused.push(order_id);
        sleep(Duration::from_millis(100)).await;
    }
}

/// The most connections at once until `end`.
async fn most_connections(world: &World, end: Instant) -> usize {
    let mut most = 0;
    while Instant::now() < end {
        most = most.max(connections(world).await.0);
        sleep(Duration::from_millis(100)).await;
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_orders_answer_503_and_leave_nothing_behind() {
    let role = AppRole::new().await;
    let gateway = gateway(&role.world, ENVIRONMENTS, &[("DATABASE_URL", &role.url())]).await;
    let (lock, (locked, is_locked)) = (lock(&role, "orders").await, watch::channel(true));
    let unlock = async {
        let most = most_connections(&role.world, Instant::now() + LOCKED).await;
        locked.send_replace(false);
        lock.batch_execute("COMMIT").await.unwrap();
        (most, Instant::now())
    };
    let clients = (0..ENVIRONMENTS).map(|client| place_until_taken(&gateway, client, is_locked.clone()));
    let (taken, (most, unlocked)) = tokio::join!(join_all(clients), unlock);
    assert!(most <= ENVIRONMENTS + 4, "{most} connections of {ENVIRONMENTS} environments");
    let late = taken.iter().map(|(_, at)| at.saturating_duration_since(unlocked)).max().unwrap();
    assert!(late <= Duration::from_secs(2), "an order is taken only {late:?} after the lock's end");
    quiet(&role.world, Duration::from_secs(1)).await;
    let refused: Vec<_> = taken.into_iter().flat_map(|(refused, _)| refused).collect();
    assert!(refused.len() >= ENVIRONMENTS, "{refused:?}");
    let stored = role.world.rows("SELECT order_id FROM orders WHERE order_id = ANY ($1)", &[&refused]).await;
    assert!(stored.is_empty(), "{} of the refused orders were stored later", stored.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_that_timed_out_is_not_sent_again() {
    let role = AppRole::new().await;
    let gateway = gateway(&role.world, 1, &[("DATABASE_URL", &role.url())]).await;
    let lock = lock(&role, "orders").await;
    let sent = "SELECT pid, query_start::text FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'ordermill' AND wait_event_type = 'Lock'";
    let (mut call, mut seen) = (Box::pin(place(&gateway, "o-1")), BTreeSet::new());
    let answer = loop {
        tokio::select! {
            answer = &mut call => break answer,
            rows = role.world.rows(sent, &[]) => {
                seen.extend(rows.iter().map(|row| (row.get::<_, i32>(0), row.get::<_, String>(1))));
                sleep(Duration::from_millis(50)).await;
            }
        }
    };
    assert_comes_later(&answer);
    assert_eq!(seen.len(), 1, "{seen:?}");
    lock.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_work_brings_the_batch_back_and_nothing_stays() {
    let role = AppRole::new().await;
    role.world.place("o-1").await;
    let processor =
        start(&role.world, "processor", &[("DATABASE_URL", &role.url()), ("PROCESSING_DELAY_SECONDS", "0")]).await;
    let lock = lock(&role, "order_work").await;
    assert_eq!(come_back(&processor, &["o-1"]).await, 1);
    quiet(&role.world, Duration::from_secs(1)).await;
    // The other one is that of the api by which the order was placed.
    assert!(connections(&role.world).await.0 <= 2);
    lock.batch_execute("COMMIT").await.unwrap();
    assert_eq!(come_back(&processor, &["o-1"]).await, 0);
    assert_eq!(role.world.status("o-1").await, "completed");
}
