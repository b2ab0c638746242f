//! The schema: what it refuses, what it keeps on its page, and how it comes to be.

use std::time::Duration;

use serde_json::json;
use shared::db::{DbConfig, schema};
use shared::deadline::Deadline;
use tests::{World, handle};

async fn migrate(config: &DbConfig) -> Result<Vec<String>, schema::SchemaError> {
    schema::migrate(config, Deadline::after(Duration::from_mins(1))).await
}

#[tokio::test]
async fn migrations_apply_once_and_two_runs_at_once_follow_one_another() {
    let world = World::new().await;
    let config = DbConfig::from_env(&world.owner_env()).unwrap();
    world.place("o-1").await;
    let (one, two) = tokio::join!(migrate(&config), migrate(&config));
    assert_eq!((one.unwrap(), two.unwrap()), (vec![], vec![]));
    assert_eq!(world.order_count().await, 1);
    world.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    let (one, two) = tokio::join!(migrate(&config), migrate(&config));
    let mut applied = [one.unwrap(), two.unwrap()];
    applied.sort();
    assert_eq!(applied, [vec![], vec!["V1__orders".to_owned()]]);
}

#[tokio::test]
async fn a_release_that_is_rolled_back_to_accepts_the_migrations_of_the_next() {
    let world = World::new().await;
    world
        .execute(
            "INSERT INTO refinery_schema_history SELECT 2, 'of_the_next', applied_on, '7' FROM refinery_schema_history",
        )
        .await;
    assert_eq!(migrate(&DbConfig::from_env(&world.owner_env()).unwrap()).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_was_applied_is_refused() {
    let world = World::new().await;
    world.execute("UPDATE refinery_schema_history SET checksum = '1'").await;
    let error = migrate(&DbConfig::from_env(&world.owner_env()).unwrap()).await.unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("V1__orders") && cause.contains("different"), "{cause}");
}

/// Places `count` orders and gives their identifiers.
async fn place_many(world: &World, count: usize) -> Vec<String> {
    let ids: Vec<_> = (0..count).map(|index| format!("o-{index}")).collect();
    for id in &ids {
        world.place(id).await;
    }
    ids
}

#[tokio::test]
async fn every_update_of_an_orders_usual_life_leaves_the_indexes_alone() {
    let world = World::new().await;
    // Room for all versions of a row: a page that is full because a new connection anywhere on the server has just then
    // kept PostgreSQL from clearing it says nothing about indexes.
    world.execute("ALTER TABLE orders SET (fillfactor = 30)").await;
    let ids = place_many(&world, 200).await;
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let (to_process, to_cancel) = ids.split_at(150);
    handle(&world.processor(Duration::from_secs(5)), to_process).await;
    world.execute("UPDATE order_work SET due_at = now()").await;
    handle(&world.processor(Duration::ZERO), to_process).await;
    for id in to_cancel {
        world.post(&format!("/orders/{id}/cancel"), &json!({})).await.expect(200);
    }
    assert_eq!(world.value::<i64>("SELECT count(*) FROM order_states WHERE status = 'completed'").await, 150);
    assert_eq!(world.update_counts("orders", 200).await, (150 + 50, 150));
}

#[tokio::test]
async fn a_page_has_room_for_a_second_version_of_all_its_orders_at_once() {
    let world = World::new().await;
    let ids = place_many(&world, 150).await;
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    handle(&world.processor(Duration::ZERO), &ids).await;
    assert_eq!(world.update_counts("orders", 150).await, (150, 150));
}

#[tokio::test]
async fn the_schema_refuses_states_that_cannot_be() {
    let world = World::new().await;
    world.place("o-1").await;
    for (constraint, change) in [
        ("orders_cancelled", "cancelled = true"),
        ("orders_started_at", "finished_at = now()"),
        ("orders_started_at", "started_at = now()"),
        ("orders_started_at", "started_at = now(), finished_at = now(), cancelled = true"),
        ("orders_failure", "failure = 'x'"),
        ("orders_failure", "failure = 'x', finished_at = now(), cancelled = true"),
        ("amount_check", "total_amount = -1"),
        ("item_ids_check", "item_ids = '{}'"),
        ("user_id_check", "user_id = ''"),
        ("order_id_check", "order_id = 'a b'"),
    ] {
        let refused = world.try_execute(&format!("UPDATE orders SET {change}")).await.unwrap_err();
        assert_eq!(refused.as_db_error().and_then(|error| error.constraint()), Some(constraint), "{change}");
    }
}

#[tokio::test]
async fn the_sample_data_is_consistent_with_its_statistics() {
    let world = World::new().await;
    world.execute(include_str!("../stack/sample_data.sql")).await;
    let metrics = world.get("/metrics").await.expect(200);
    for row in world.rows("SELECT status, count(*) FROM order_states GROUP BY status", &[]).await {
        let (status, count): (String, i64) = (row.get(0), row.get(1));
        assert_eq!(metrics["status_counts"][&status], count, "{status}");
    }
    assert_eq!(metrics["total_orders"], world.order_count().await);
}
