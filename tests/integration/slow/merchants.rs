//! A merchant who takes almost as long as he may.

use sandbox::mapping::{Mapping, reliable};
use sandbox::merchant::{Calls, Merchant, Reply};
use tokio::time::sleep;

use super::*;

/// The proportions of a webhook of 4.5 s, of a time-out of 5 s and of a function of 15 s, in less time.
const TAKES: Duration = Duration::from_millis(1800);
const WEBHOOK: (&str, &str) = ("WEBHOOK_TIMEOUT_SECONDS", "2");
const FUNCTION: (&str, &str) = (LIMIT, "7");

#[tokio::test(flavor = "multi_thread")]
async fn slow_merchant_costs_throughput_and_nothing_else() {
    let decide = |_| async {
        sleep(TAKES).await;
        Some(Reply::of(204))
    };
    let merchant = Merchant::start(decide).await.unwrap();
    let webhook =
        [("WORK", "webhook"), ("WEBHOOK_URL", &*merchant.url()), ("WEBHOOK_SECRET", "a-secret-of-the-merchant")];
    let times = [WEBHOOK, FUNCTION, ("LEASE_SECONDS", "9"), ("VISIBILITY_TIMEOUT_SECONDS", "20")];
    let slow = SlowQueues::new(&[&webhook[..], &times].concat()).await;
    let all = numbered("o", 100);
    slow.place_all(&all).await;
    let processors = Arc::new(Pool::new(function(&slow.world, "processor", &[FUNCTION]), 1));
    let mapping = Mapping {
        queues: Arc::clone(&slow.queues),
        queue: "orders".to_owned(),
        pool: processors,
        batch_size: 100,
        window: Duration::ZERO,
        courier: reliable(),
    };
    let pollers = mapping.start(1);
    tests::eventually("every order is completed", Duration::from_mins(1), async || {
        assert_eq!(slow.queues.counts("dead").total(), 0, "healthy orders are dead letters");
        (slow.count("completed").await == all.len()).then_some(())
    })
    .await;
    pollers.stop().await;
    let calls = merchant.calls();
    let wrong: Vec<_> = calls.iter().filter(|(_, calls)| **calls != Calls { begun: 1, cut_off: 0 }).collect();
    assert!(wrong.is_empty(), "called more than once, or cut off: {wrong:?}");
}
