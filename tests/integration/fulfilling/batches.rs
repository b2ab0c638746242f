//! Batches of orders: their content is read when its call starts, and not kept in memory.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use futures_util::FutureExt;
use sandbox::runtime::{Environment, Function};
use sandbox::wire::{Hook, Moment, Ruling};
use tests::processor;
use tokio::time::sleep;

use super::*;
use crate::environments::function_with;
use crate::slow::{SlowQueues, messages, numbered};

#[tokio::test]
async fn content_of_an_order_is_read_when_its_call_begins() {
    let shared: Arc<OnceLock<World>> = Arc::default();
    let in_endpoint = Arc::clone(&shared);
    // Each call changes all orders, so a content that was read earlier would be sent with an old amount.
    let merchant = Merchant::start(move |_| {
        let world = Arc::clone(&in_endpoint);
        async move {
            world.get().unwrap().execute("UPDATE orders SET total_amount = total_amount + 1").await;
            Some(Reply::of(200))
        }
    });
    let merchant = merchant.await.unwrap();
    let (world, processor) = world(&merchant.url(), &[("WEBHOOK_CONCURRENCY", "1")]).await;
    let ids = world.create_many(20).await;
    assert!(shared.set(world).is_ok());
    handle(&processor, &ids).await;
    let received = merchant.calls();
    let amount = |body: &str| serde_json::from_str::<Value>(body).unwrap()["total_amount"].as_str().unwrap().to_owned();
    let sent: Vec<_> = received.iter().map(|call| amount(&call.body)).collect();
    let expected: Vec<_> = (59..79).map(|euros| format!("{euros}.98")).collect();
    assert_eq!(sent, expected);
    let keys: BTreeSet<_> = received.iter().map(Call::order_id).collect();
    assert_eq!(keys.len(), 20);
}

#[tokio::test]
async fn order_is_not_read_if_its_call_can_not_end_in_time() {
    let merchant = endpoint(|| Reply::of(200)).await;
    // Calls start within three seconds.
    let limits = [("FUNCTION_TIMEOUT_SECONDS", "8"), ("WEBHOOK_TIMEOUT_SECONDS", "2")];
    let (world, _) = world(&merchant.url(), &limits).await;
    let reads = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&reads);
    let hook: Hook = Arc::new(move |moment, statement| {
        let is_read = moment == Moment::Before && statement.query.sql.contains("FROM order_states");
        *counted.lock().unwrap() += i32::from(is_read);
        let pause = Duration::from_millis(if is_read { 400 } else { 0 });
        async move {
            sleep(pause).await;
            Ruling::Pass
        }
        .boxed()
    });
    let (_wire, url) = world.behind_a_proxy(hook).await;
    let env = world.env_with(("DATABASE_URL", url.as_str()));
    let processor = processor(&env, ConfiguredWork::from_env(&env).unwrap());
    handle(&processor, &world.create_many(10).await).await;
    let reads = *reads.lock().unwrap();
    assert!((2..=8).contains(&reads), "{reads} reads");
    let started = "SELECT count(*) FROM orders WHERE finished_at IS NOT NULL";
    assert!(world.value::<i64>(started).await >= 2, "the outcomes of the calls");
}

/// The peak memory of a process, in bytes.
fn peak_memory(process_id: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Adds the orders of the largest batch of a queue, which are due. They have 2.5 GB of content, and the function has 512 MB.
async fn add_large_orders(world: &World) -> Vec<String> {
    world.create("o-0").await;
    world.execute("UPDATE orders SET item_ids = array_fill(repeat(chr(128512), 128), ARRAY[500])").await;
    let others = "INSERT INTO orders (order_id, user_id, item_ids, total_amount)
        SELECT 'o-' || n, user_id, item_ids, total_amount FROM orders, generate_series(1, 9999) AS n;
        INSERT INTO order_work (order_id, created_at, due_at)
        SELECT order_id, created_at, now() FROM orders WHERE order_id <> 'o-0'";
    world.execute(others).await;
    numbered("o", 10_000)
}

/// Processes a batch of these orders. Returns the function's peak memory in MB.
async fn peak_of_a_batch(world: &World, order_ids: &[String]) -> u64 {
    let function = function_with(world, "processor", "ProcessorFunction", &[]);
    // A busy machine may exceed the template's time limit, which other tests check.
    let function = Function { timeout: Duration::from_mins(1), ..function };
    let processor = Environment::start(&function, "p".to_owned()).await.unwrap();
    processor.invoke(messages(order_ids)).await.unwrap();
    peak_memory(processor.process_id()) / 1_000_000
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn ten_thousand_large_orders_fit_into_the_memory() {
    let merchant = endpoint(|| Reply::of(204)).await;
    // A short time-out lets many calls fit into the batch.
    let (world, _) = world(&merchant.url(), &[("WEBHOOK_TIMEOUT_SECONDS", "1")]).await;
    let peak = peak_of_a_batch(&world, &add_large_orders(&world).await).await;
    let calls = merchant.calls().len();
    assert!(calls > 10 && peak < 256, "{peak} MB after {calls} calls");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn ends_of_ten_thousand_large_orders_fit_into_the_memory() {
    let slow = SlowQueues::new(&[("EVENT_BUS", "shop"), ("PROCESSING_DELAY_SECONDS", "0")]).await;
    let peak = peak_of_a_batch(&slow.world, &add_large_orders(&slow.world).await).await;
    let events = slow.queues.events().len();
    assert!(events > 10 && peak < 256, "{peak} MB after {events} events");
}
