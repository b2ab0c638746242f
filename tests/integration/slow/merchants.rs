//! A merchant whose endpoint takes more than half of the time-out for each answer.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use sandbox::mapping::{Courier, Mapping, reliable};
use sandbox::merchant::{Call, Merchant, Reply};
use sandbox::queue::DEAD_LETTERS;

use super::*;

/// Ten calls run at once, so those for all orders take 17.5 s. That is longer than the function has: it leaves some orders to later batches.
const LATENCY: Duration = Duration::from_millis(3500);
const ORDERS: usize = 50;
const WEBHOOK: (&str, &str) = ("WEBHOOK_TIMEOUT_SECONDS", "6");
const FUNCTION: (&str, &str) = (LIMIT, "17");

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn slow_merchant_is_called_once_for_each_order() {
    let decide = |_| async {
        sleep(LATENCY).await;
        Some(Reply::of(204))
    };
    let merchant = Merchant::start(decide).await.unwrap();
    let slow = SlowQueues::new(&[&webhook(&merchant.url())[..], &[WEBHOOK, FUNCTION]].concat()).await;
    let all = numbered("o", ORDERS);
    slow.create_all(&all).await;
    let processors = Arc::new(Pool::new(function(&slow.world, "processor", &[FUNCTION]), 1));
    let most_receives = Arc::new(AtomicU32::new(0));
    let (deliver, most) = (reliable(), Arc::clone(&most_receives));
    let courier: Courier = Arc::new(move |messages| {
        most.fetch_max(messages.iter().map(|message| message.receives).max().unwrap_or(0), Ordering::Relaxed);
        deliver(messages)
    });
    let mapping = Mapping::new(Arc::clone(&slow.queues), processors);
    let pollers = Mapping { batch_size: ORDERS, courier, ..mapping }.start(1);
    tests::until("every order is completed", Duration::from_mins(1), async || {
        assert_eq!(slow.queues.counts(DEAD_LETTERS).total(), 0, "healthy orders are dead letters");
        slow.count("completed").await == all.len()
    })
    .await;
    pollers.stop().await;
    let calls = merchant.calls();
    let called: BTreeSet<_> = calls.iter().map(Call::order_id).collect();
    assert_eq!((calls.len(), called.len()), (all.len(), all.len()), "an order was called more than once");
    assert!(!calls.iter().any(|call| call.is_cut_off), "a call was cut off");
    // An order without enough time for its call gets a new message, so that no message uses up a receive.
    assert_eq!(most_receives.load(Ordering::Relaxed), 1);
    let in_one_attempt = "SELECT count(*) FROM orders WHERE attempts = 1 AND failure IS NULL";
    assert_eq!(slow.world.value::<i64>(in_one_attempt).await, i64::try_from(ORDERS).unwrap());
}
