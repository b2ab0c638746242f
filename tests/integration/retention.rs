//! Retention: which orders the sweeper deletes, and what stays of them.

use sweeper::Sweeper;
use tests::{World, connect};
use tokio_postgres::error::SqlState;

use crate::roles::AppRole;

/// Inserts completed orders of alice's with these prefixes of their ids, that were created and ended so many days ago.
async fn insert(world: &World, prefix: &str, count: usize, created: f64, ended: f64) {
    let order_id = format!("'{prefix}-' || i");
    let created_at = format!("now() - interval '{created} days'");
    let columns = [("order_id", &*order_id), ("created_at", &created_at)];
    world.insert_ended(count, &format!("{ended} days"), &columns).await;
}

async fn keeping(days: &str) -> World {
    World::with(&[("RETENTION_DAYS", days)]).await
}

/// The prefixes of the orders that are left, in order.
async fn left(world: &World) -> String {
    world.value("SELECT coalesce(string_agg(DISTINCT split_part(order_id, '-', 1), ' '), '') FROM orders").await
}

async fn deleted(world: &World) -> u64 {
    world.sweep().await.deleted
}

#[tokio::test]
async fn orders_that_ended_before_the_retention_are_deleted() {
    let world = keeping("30").await;
    insert(&world, "old", 3, 40.0, 30.5).await;
    insert(&world, "young", 3, 40.0, 29.5).await;
    assert_eq!((deleted(&world).await, left(&world).await.as_str()), (3, "young"));
    assert_eq!(deleted(&world).await, 0);
    world.get("/orders/old-1").await.problem(404);
}

#[tokio::test]
async fn orders_are_kept_for_ever_by_default() {
    for days in ["", "0"] {
        let world = keeping(days).await;
        insert(&world, "old", 1, 40_000.0, 40_000.0).await;
        assert_eq!((deleted(&world).await, left(&world).await.as_str()), (0, "old"));
    }
}

#[tokio::test]
async fn retention_out_of_bounds_is_refused_at_start() {
    let world = World::new().await;
    for days in ["36501", "36500.5", "-1", "ever", "18446744073709551615"] {
        let refused = Sweeper::from_env(&world.env_with(("RETENTION_DAYS", days))).err().expect(days).to_string();
        assert!(refused.starts_with("RETENTION_DAYS: "), "{refused}");
    }
}

#[tokio::test]
async fn active_orders_are_never_deleted_however_old() {
    let world = keeping("1").await;
    world.create("active").await;
    world.let_pass(100.0 * 86_400.0).await;
    // An order that ended and has work left, as no statement leaves one.
    insert(&world, "odd", 1, 50.0, 50.0).await;
    world.execute("INSERT INTO order_work (order_id, created_at, due_at) VALUES ('odd-1', now(), now())").await;
    assert_eq!((deleted(&world).await, left(&world).await.as_str()), (0, "active odd"));
}

#[tokio::test]
async fn totals_and_statistics_outlive_the_orders() {
    let world = keeping("1").await;
    let ids = world.create_many(4).await;
    world.process(&ids[..3]).await;
    let figures = async || {
        let metrics = world.get("/metrics").await.expect(200);
        ["total_orders", "status_counts", "average_processing_time", "processing_seconds"]
            .map(|name| metrics[name].clone())
    };
    let before = figures().await;
    let age = "UPDATE orders SET created_at = now() - interval '9 days', started_at = now() - interval '9 days',
            finished_at = now() - interval '8 days' WHERE finished_at IS NOT NULL";
    world.execute(age).await;
    assert_eq!((deleted(&world).await, world.order_count().await), (3, 1));
    assert_eq!(figures().await, before);
}

#[tokio::test]
async fn messages_of_deleted_orders_are_acknowledged() {
    let world = keeping("1").await;
    insert(&world, "old", 1, 9.0, 9.0).await;
    assert_eq!(deleted(&world).await, 1);
    world.process(&["old-1"]).await;
    world.send_dead_letter("old-1").await;
    let redriven = world.post("/dead-letters/redrive", &serde_json::json!({"dry_run": false})).await.expect(200);
    assert_eq!((&redriven["ended"], world.queue_depth().await, world.dead_letters().await), (&1.into(), 0, 0));
}

#[tokio::test]
async fn orders_that_stay_do_not_keep_back_those_behind_them() {
    let world = keeping("30").await;
    // More than a chunk of orders that were created first and ended late.
    insert(&world, "late", 1200, 90.0, 1.5).await;
    insert(&world, "old", 1200, 60.0, 60.0).await;
    assert_eq!((deleted(&world).await, left(&world).await.as_str()), (1200, "late"));
}

#[tokio::test]
async fn run_goes_on_where_the_last_one_ran_out_of_time() {
    let world = World::with(&[("RETENTION_DAYS", "30"), ("FUNCTION_TIMEOUT_SECONDS", "5")]).await;
    insert(&world, "first", 1, 50.0, 50.0).await;
    let slow =
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN OLD; END';
        CREATE TRIGGER slow BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION wait()";
    world.execute(slow).await;
    let sweeper = world.sweeper();
    assert_eq!(sweeper.sweep().await.unwrap().deleted, 1);
    world.execute("DROP TRIGGER slow ON orders").await;
    insert(&world, "before", 1, 60.0, 60.0).await;
    insert(&world, "behind", 1, 40.0, 40.0).await;
    assert_eq!((sweeper.sweep().await.unwrap().deleted, left(&world).await.as_str()), (1, "before"));
    assert_eq!((sweeper.sweep().await.unwrap().deleted, left(&world).await.as_str()), (1, ""));
}

#[tokio::test]
async fn concurrent_runs_delete_each_order_once() {
    let world = keeping("30").await;
    insert(&world, "old", 3000, 60.0, 60.0).await;
    let (one, two) = (world.sweeper(), world.sweeper());
    let (one, two) = tokio::join!(one.sweep(), two.sweep());
    let rest = deleted(&world).await;
    assert_eq!(one.unwrap().deleted + two.unwrap().deleted + rest, 3000);
    assert_eq!(world.order_count().await, 0);
}

#[tokio::test]
async fn order_that_is_being_retried_is_not_deleted() {
    let world = keeping("30").await;
    insert(&world, "old", 1, 60.0, 60.0).await;
    world.execute("UPDATE orders SET failure = 'refused'").await;
    world.execute("BEGIN; SELECT FROM orders FOR UPDATE").await;
    assert_eq!(deleted(&world).await, 0);
    world.execute("ROLLBACK").await;
    assert_eq!(deleted(&world).await, 1);
}

#[tokio::test]
async fn functions_role_deletes_through_the_function_alone() {
    let role = AppRole::new().await;
    insert(&role.world, "old", 1, 60.0, 60.0).await;
    insert(&role.world, "today", 1, 60.0, 0.9).await;
    let client = connect(&role.url()).await;
    let refused = client.batch_execute("DELETE FROM orders").await.unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    // A table of the caller's own hides neither the orders nor their work from the function, and no argument passes its floor.
    let shadow = "CREATE TEMP TABLE orders (LIKE orders); CREATE TEMP TABLE order_work (order_id text);
        SET search_path = pg_temp, public; SELECT delete_ended_orders('-infinity', '', 'infinity', 2000000000)";
    client.batch_execute(shadow).await.unwrap();
    assert_eq!(left(&role.world).await, "today");
}

#[tokio::test]
async fn no_other_role_may_delete_orders_by_the_function() {
    let world = World::new().await;
    let is_public = "SELECT has_function_privilege('pg_monitor', 'delete_ended_orders(timestamptz, text, timestamptz, integer)', 'EXECUTE')";
    assert!(!world.value::<bool>(is_public).await);
}
