//! The deployed stack, through its gateway: the real zips, the real queue protocol, real tokens.

use std::time::Duration;

use serde_json::json;
use tests::{Bus, Stack, connect, eventually, order};
use uuid::Uuid;

fn fresh_id() -> String {
    format!("e2e-{}", Uuid::new_v4().simple())
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn end_of_an_order_reaches_a_queue_behind_the_bus() {
    let (stack, bus, id) = (Stack::running(), Bus::new().await, fresh_id());
    bus.add_default(&id).await;
    stack.post_as("TOKEN_ALICE", "/orders", &order(&id)).await.expect(201);
    let event = bus.events(1).await.remove(0);
    assert_eq!((&event["detail-type"], &event["detail"]["sequence"]), (&json!("order.completed"), &json!(1)));
    assert_eq!(event["detail"]["order"], stack.get_as("TOKEN_ALICE", &format!("/orders/{id}")).await.expect(200));
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn malformed_message_becomes_a_dead_letter_with_its_reason() {
    let stack = Stack::running();
    let sqs = stack.sqs();
    let body = &format!("no order: {}", fresh_id());
    sqs.send_message().queue_url(stack.get("QUEUE_URL")).message_body(body).send().await.unwrap();
    let reason = eventually("the message is a dead letter", Duration::from_secs(20), async || {
        let asked = sqs.receive_message().queue_url(stack.get("DLQ_URL")).message_attribute_names("reason").send();
        let messages = asked.await.unwrap().messages.unwrap_or_default();
        let found = messages.into_iter().find(|message| message.body.as_ref() == Some(body))?;
        found.message_attributes?.remove("reason")?.string_value
    })
    .await;
    assert_eq!(reason, "not an order's identifier");
}

/// The difference between a recount of the orders and the statistics and work, in one snapshot of the database.
const DIFFERENCE: &str = "
    SELECT abs(recount.completed - stats.completed) + abs(recount.failed - stats.failed)
        + abs(recount.cancelled - stats.cancelled) + abs(recount.active - work.active)
    FROM (SELECT count(*) FILTER (WHERE status = 'completed') AS completed, count(*) FILTER (WHERE status = 'failed') AS failed,
            count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
            count(*) FILTER (WHERE status IN ('pending', 'processing')) AS active FROM order_states) AS recount,
        (SELECT coalesce(sum(completed), 0) AS completed, coalesce(sum(failed), 0) AS failed,
            coalesce(sum(cancelled), 0) AS cancelled FROM (
                SELECT completed, failed, cancelled FROM order_stats
                UNION ALL SELECT completed, failed, cancelled FROM order_outcomes) AS every) AS stats,
        (SELECT count(*) AS active FROM order_work) AS work";

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn thousand_concurrent_orders_are_all_completed_and_counted() {
    let (stack, run) = (Stack::running(), fresh_id());
    assert_eq!(stack.create_many(&run, 1000, 64).await, [201; 1000]);
    stack.wait_until_completed(&run, 1000).await;
    let sql = connect(stack.get("DATABASE_URL")).await;
    let completed = "SELECT count(*) FROM order_states WHERE status = 'completed'";
    let before: i64 = sql.query_one(completed, &[]).await.unwrap().get(0);
    let shown =
        stack.get_as("TOKEN_ADMIN", "/metrics").await.expect(200)["status_counts"]["completed"].as_i64().unwrap();
    let after: i64 = sql.query_one(completed, &[]).await.unwrap().get(0);
    assert!((before..=after).contains(&shown), "{before} <= {shown} <= {after}");
    let difference: i64 = sql.query_one(&format!("SELECT ({DIFFERENCE})::bigint"), &[]).await.unwrap().get(0);
    assert_eq!(difference, 0);
}
