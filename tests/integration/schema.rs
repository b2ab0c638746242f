//! The schema: its constraints, its updates within a page, and its migrations.

use std::time::Duration;

use serde_json::json;
use shared::db::{DbConfig, schema};
use shared::deadline::Deadline;
use tests::{World, handle};
use tokio_postgres::error::SqlState;

use crate::migrating::migrations;

async fn migrate(config: &DbConfig) -> Result<Vec<String>, schema::SchemaError> {
    schema::migrate(config, Deadline::after(Duration::from_mins(1))).await
}

#[tokio::test]
async fn concurrent_runs_apply_each_migration_once() {
    let world = World::new().await;
    let config = DbConfig::from_env(&world.owner_env()).unwrap();
    world.create("o-1").await;
    let (one, two) = tokio::join!(migrate(&config), migrate(&config));
    assert_eq!((one.unwrap(), two.unwrap()), (vec![], vec![]));
    assert_eq!(world.order_count().await, 1);
    world.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    let (one, two) = tokio::join!(migrate(&config), migrate(&config));
    let mut applied = [one.unwrap(), two.unwrap()];
    applied.sort();
    assert_eq!(applied, [vec![], migrations()]);
}

#[tokio::test]
async fn previous_release_accepts_the_migrations_of_the_next() {
    let world = World::new().await;
    let next = "INSERT INTO refinery_schema_history
        SELECT max(version) + 1, 'of_the_next', max(applied_on), '7' FROM refinery_schema_history";
    world.execute(next).await;
    assert_eq!(migrate(&DbConfig::from_env(&world.owner_env()).unwrap()).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn migration_with_a_number_before_the_newest_is_refused() {
    let world = World::new().await;
    world.execute("UPDATE refinery_schema_history SET version = version + 1000").await;
    let error = migrate(&DbConfig::from_env(&world.owner_env()).unwrap()).await.unwrap_err();
    assert!(error.to_string().starts_with("V1__orders was not applied before a later migration was"), "{error:?}");
}

#[tokio::test]
async fn migration_changed_after_it_was_applied_is_refused() {
    let world = World::new().await;
    world.execute("UPDATE refinery_schema_history SET checksum = '1'").await;
    let error = migrate(&DbConfig::from_env(&world.owner_env()).unwrap()).await.unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("V1__orders") && cause.contains("different"), "{cause}");
}

#[tokio::test]
async fn updates_of_an_ordinary_life_touch_no_index() {
    let world = World::new().await;
    // Room for all versions of a row. Otherwise a page may be full because a concurrent transaction keeps PostgreSQL from
    // pruning it, which says nothing about indexes.
    world.execute("ALTER TABLE orders SET (fillfactor = 30)").await;
    let ids = world.create_many(200).await;
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
async fn page_has_room_for_second_versions_of_all_its_orders() {
    let world = World::new().await;
    let ids = world.create_many(150).await;
    handle(&world.processor(Duration::ZERO), &ids).await;
    assert_eq!(world.update_counts("orders", 150).await, (150, 150));
}

#[tokio::test]
async fn schema_refuses_impossible_states() {
    let world = World::new().await;
    world.create("o-1").await;
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
        ("order_id_check", "order_id = '..'"),
        ("currency_check", "currency = 'eur'"),
        ("metadata_check", "metadata = '[]'"),
        ("metadata_check", "metadata = '{}'"),
        ("metadata_check", r#"metadata = '{"a": 1}'"#),
        ("metadata_check", r#"metadata = '{"a": null}'"#),
        ("metadata_check", r#"metadata = '{"": "x"}'"#),
        ("metadata_check", r#"metadata = '{"a\n": "x"}'"#),
        ("metadata_check", "metadata = jsonb_build_object(repeat('k', 41), 'x')"),
        ("metadata_check", "metadata = jsonb_build_object('k', repeat('x', 501))"),
        ("metadata_check", "metadata = (SELECT jsonb_object_agg(i, 'x') FROM generate_series(1, 21) AS i)"),
    ] {
        let refused = world.try_execute(&format!("UPDATE orders SET {change}")).await.unwrap_err();
        assert_eq!(refused.as_db_error().and_then(|error| error.constraint()), Some(constraint), "{change}");
    }
    let no_currency = world.try_execute("UPDATE orders SET currency = NULL").await.unwrap_err();
    assert_eq!(no_currency.code(), Some(&SqlState::NOT_NULL_VIOLATION));
    let largest = "jsonb_object_agg(lpad(i::text, 40, 'ü'), repeat(E'\\n', 500)) FROM generate_series(1, 20) AS i";
    world.execute(&format!("UPDATE orders SET metadata = (SELECT {largest})")).await;
}

#[tokio::test]
async fn sample_data_is_of_a_service_that_keeps_up() {
    let world = World::new().await;
    world.create("o-1").await;
    world.process(&["o-1"]).await;
    world.execute("UPDATE order_outcomes SET minute = minute - interval '5 minutes'").await;
    assert_eq!(world.sweep().await.folded, 1);
    world.execute(include_str!("../stack/add_up_outcomes.sql")).await;
    world.execute(include_str!("../stack/sample_data.sql")).await;
    let metrics = world.get("/metrics").await.expect(200);
    for row in world.rows("SELECT status, count(*) FROM order_states GROUP BY status", &[]).await {
        let (status, count): (String, i64) = (row.get(0), row.get(1));
        assert_eq!(metrics["status_counts"][&status], count, "{status}");
    }
    assert_eq!(metrics["total_orders"], world.order_count().await);
    assert_eq!(metrics["status_counts"]["pending"], 20);
    let old = "SELECT count(*) FROM order_states WHERE finished_at IS NULL AND created_at < now() - interval '1 minute'
        AND due_at < now() + interval '1 hour'";
    let late = "SELECT count(*) FROM order_states WHERE started_at - greatest(created_at, process_after) > interval '1 minute'";
    for sql in [old, late] {
        assert_eq!(world.value::<i64>(sql).await, 0, "{sql}");
    }
    assert!(world.sweep().await.folded > 900, "the next sweep folds its outcomes");
    assert_eq!(world.get("/metrics").await.expect(200)["status_counts"], metrics["status_counts"]);
    let history = world.get("/orders/sample-0005/history").await.expect(200);
    let cancel = history["changes"].as_array().unwrap().last().unwrap();
    assert_eq!((&cancel["change"], &cancel["subject"]), (&"cancelled".into(), &"user-5".into()), "{history}");
}
