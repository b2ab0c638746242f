//! Batches under a slow merchant: no call starts that can't end in time, and no content is read before its call.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use sandbox::runtime::{Environment, Function};

use super::*;
use crate::environments::function_with;
use crate::slow::{messages, numbered};

/// Places orders and returns their identifiers.
async fn place_many(world: &World, count: usize) -> Vec<String> {
    let ids: Vec<_> = (0..count).map(|index| format!("o-{index}")).collect();
    for id in &ids {
        world.place(id).await;
    }
    ids
}

/// With the default times a batch has time for two calls of 4 s, one after the other.
#[tokio::test]
async fn a_slow_merchant_is_called_once_for_each_order() {
    let (url, journal) = endpoint_by(|_| async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        StatusCode::OK.into_response()
    })
    .await;
    let (world, processor) = world(&url, &[("WEBHOOK_TIMEOUT_SECONDS", "5"), ("WEBHOOK_CONCURRENCY", "4")]).await;
    let mut open = place_many(&world, 16).await;
    let mut rounds = 0;
    while !open.is_empty() && rounds < 10 {
        let before = (open.len(), world.queue_depth().await);
        let bodies: Vec<_> = open.iter().map(String::as_str).collect();
        assert!(failures(&handle(&processor, &bodies).await).is_empty(), "a message uses up one of its receives");
        let sql = "SELECT array_agg(order_id) FROM (SELECT order_id FROM order_work ORDER BY order_id) AS open";
        open = world.value::<Option<Vec<String>>>(sql).await.unwrap_or_default();
        assert!(open.len() < before.0, "round {rounds} completed no order");
        let sent = world.queue_depth().await - before.1;
        assert_eq!(
            usize::try_from(sent).unwrap(),
            open.len(),
            "each order that there was no time for has a new message"
        );
        rounds += 1;
    }
    assert!(open.is_empty() && rounds > 1, "{rounds} rounds, open: {open:?}");
    let calls = journal.lock().unwrap().len();
    let sql = "SELECT count(*) FROM orders WHERE attempts = 1 AND finished_at IS NOT NULL AND failure IS NULL";
    assert_eq!((calls, world.value::<i64>(sql).await), (16, 16));
}

#[tokio::test]
async fn an_order_s_content_is_read_when_its_call_begins() {
    let shared: Arc<OnceLock<World>> = Arc::default();
    let (in_endpoint, calls) = (Arc::clone(&shared), Arc::new(Mutex::new(0)));
    // Each call changes all orders. A content that was read before that would be sent as it was.
    let (url, journal) = endpoint_by(move |_| {
        let (world, calls) = (Arc::clone(&in_endpoint), Arc::clone(&calls));
        async move {
            let call = {
                let mut calls = calls.lock().unwrap();
                *calls += 1;
                *calls
            };
            world.get().unwrap().execute(&format!("UPDATE orders SET total_amount = {call}")).await;
            StatusCode::OK.into_response()
        }
    })
    .await;
    let (world, processor) = world(&url, &[("WEBHOOK_CONCURRENCY", "1")]).await;
    let ids = place_many(&world, 20).await;
    assert!(shared.set(world).is_ok());
    handle(&processor, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let journal = journal.lock().unwrap();
    let amount =
        |body: &String| serde_json::from_str::<Value>(body).unwrap()["total_amount"].as_str().unwrap().to_owned();
    let sent: Vec<_> = journal.iter().map(|(_, body)| amount(body)).collect();
    let expected: Vec<_> =
        std::iter::once("59.98".to_owned()).chain((1..20).map(|call| format!("{call}.00"))).collect();
    assert_eq!(sent, expected);
    let keys: BTreeSet<_> = journal.iter().map(|(headers, _)| headers["idempotency-key"].to_str().unwrap()).collect();
    assert_eq!(keys.len(), 20);
}

/// The most memory that a process has had, in bytes.
fn peak_memory(process_id: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// The largest batch of a queue, whose orders have 2.5 GB of content; the function has 512 MB.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_large_orders_fit_into_the_memory() {
    let (url, journal) = endpoint(always(204)).await;
    let (world, _) = world(&url, &[]).await;
    world.place("o-0").await;
    world.execute("UPDATE orders SET item_ids = array_fill(repeat(chr(128512), 128), ARRAY[500])").await;
    world
        .execute(
            "INSERT INTO orders (order_id, user_id, item_ids, total_amount)
            SELECT 'o-' || n, user_id, item_ids, total_amount FROM orders, generate_series(1, 9999) AS n;
            INSERT INTO order_work (order_id, created_at, due_at)
            SELECT order_id, created_at, now() FROM orders WHERE order_id <> 'o-0'",
        )
        .await;
    let function = function_with(&world, "processor", "ProcessorFunction", &[]);
    // The time limit is tested elsewhere; here a busy machine may exceed it.
    let function = Function { timeout: Duration::from_mins(1), ..function };
    let processor = Environment::start(&function, "p".to_owned()).await.unwrap();
    processor.invoke(messages(&numbered("o", 10_000))).await.unwrap();
    let (peak, calls) = (peak_memory(processor.process_id()) / 1_000_000, journal.lock().unwrap().len());
    assert!(calls > 10 && peak < 256, "{peak} MB after {calls} calls");
}
